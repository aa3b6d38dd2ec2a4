# See modules/local.mk.  To be switched on, by removing the first "# " of each line, when web.c and module.json are here.
# web_module_sources = %D%/web.c
# EXTRA_DIST += %D%/module.json $(web_module_sources)
# if MODULE_WEB_SHARED
# module_LTLIBRARIES += modules/web.la
# modules_web_la_SOURCES = $(web_module_sources)
# modules_web_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
# modules_web_la_CFLAGS = $(module_cflags)
# modules_web_la_LDFLAGS = -module $(module_ldflags)
# $(modules_web_la_OBJECTS): %D%/module.json
# endif
# if MODULE_WEB_STATIC
# noinst_LTLIBRARIES += modules/libweb.la
# static_module_names += web
# static_module_libs += modules/libweb.la
# modules_libweb_la_SOURCES = $(web_module_sources)
# modules_libweb_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -DOC_MODULE_STATIC=web
# modules_libweb_la_CFLAGS = $(module_cflags)
# $(modules_libweb_la_OBJECTS): %D%/module.json
# endif
