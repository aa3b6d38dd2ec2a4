# See modules/local.mk.
openai_module_sources = %D%/module.c %D%/dialect.c %D%/dialect.h %D%/echo.c %D%/echo.h %D%/embed.c %D%/embed.h %D%/events.c %D%/events.h \
	%D%/request.c %D%/request.h %D%/responses.c %D%/responses.h %D%/stream.c %D%/stream.h
EXTRA_DIST += %D%/module.json %D%/README.md $(openai_module_sources)
if MODULE_OPENAI_SHARED
module_LTLIBRARIES += modules/openai.la
modules_openai_la_SOURCES = $(openai_module_sources)
modules_openai_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/providers/shared
modules_openai_la_CFLAGS = $(module_cflags)
modules_openai_la_LDFLAGS = -module $(module_ldflags)
modules_openai_la_LIBADD = modules/libprovider.la
$(modules_openai_la_OBJECTS): %D%/module.json
endif
if MODULE_OPENAI_STATIC
noinst_LTLIBRARIES += modules/libopenai.la
static_module_names += openai
static_module_libs += modules/libopenai.la modules/libprovider.la
modules_libopenai_la_SOURCES = $(openai_module_sources)
modules_libopenai_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/providers/shared -DOC_MODULE_STATIC=openai
modules_libopenai_la_CFLAGS = $(module_cflags)
$(modules_libopenai_la_OBJECTS): %D%/module.json
endif
