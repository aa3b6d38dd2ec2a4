# See modules/local.mk.
web_module_sources = %D%/web.c %D%/web_cache.c %D%/web_cache.h %D%/web_charset.c %D%/web_charset.h %D%/web_html.c %D%/web_html.h \
	%D%/web_json.c %D%/web_json.h
EXTRA_DIST += %D%/module.json $(web_module_sources)
if MODULE_WEB_SHARED
module_LTLIBRARIES += modules/web.la
modules_web_la_SOURCES = $(web_module_sources)
modules_web_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/tools/shared
modules_web_la_CFLAGS = $(module_cflags)
modules_web_la_LDFLAGS = -module $(module_ldflags)
modules_web_la_LIBADD = modules/libtoolkit.la $(CJSON_LIBS)
$(modules_web_la_OBJECTS): %D%/module.json
endif
if MODULE_WEB_STATIC
noinst_LTLIBRARIES += modules/libweb.la
static_module_names += web
static_module_libs += modules/libweb.la modules/libtoolkit.la
modules_libweb_la_SOURCES = $(web_module_sources)
modules_libweb_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/tools/shared -DOC_MODULE_STATIC=web
modules_libweb_la_CFLAGS = $(module_cflags)
modules_libweb_la_LIBADD = $(CJSON_LIBS)
$(modules_libweb_la_OBJECTS): %D%/module.json
endif
