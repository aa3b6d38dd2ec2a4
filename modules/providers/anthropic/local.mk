# See modules/local.mk.
anthropic_module_sources = %D%/module.c %D%/request.c %D%/request.h %D%/stream.c %D%/stream.h
EXTRA_DIST += %D%/module.json %D%/README.md $(anthropic_module_sources)
if MODULE_ANTHROPIC_SHARED
module_LTLIBRARIES += modules/anthropic.la
modules_anthropic_la_SOURCES = $(anthropic_module_sources)
modules_anthropic_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/providers/shared
modules_anthropic_la_CFLAGS = $(module_cflags)
modules_anthropic_la_LDFLAGS = -module $(module_ldflags)
modules_anthropic_la_LIBADD = modules/libprovider.la
$(modules_anthropic_la_OBJECTS): %D%/module.json
endif
if MODULE_ANTHROPIC_STATIC
noinst_LTLIBRARIES += modules/libanthropic.la
static_module_names += anthropic
static_module_libs += modules/libanthropic.la modules/libprovider.la
modules_libanthropic_la_SOURCES = $(anthropic_module_sources)
modules_libanthropic_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/providers/shared -DOC_MODULE_STATIC=anthropic
modules_libanthropic_la_CFLAGS = $(module_cflags)
$(modules_libanthropic_la_OBJECTS): %D%/module.json
endif
