# See modules/local.mk.  To be switched on, by removing the first "# " of each line, when anthropic.c and module.json are here.
# anthropic_module_sources = %D%/anthropic.c
# EXTRA_DIST += %D%/module.json $(anthropic_module_sources)
# if MODULE_ANTHROPIC_SHARED
# module_LTLIBRARIES += modules/anthropic.la
# modules_anthropic_la_SOURCES = $(anthropic_module_sources)
# modules_anthropic_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
# modules_anthropic_la_CFLAGS = $(module_cflags)
# modules_anthropic_la_LDFLAGS = -module $(module_ldflags)
# $(modules_anthropic_la_OBJECTS): %D%/module.json
# endif
# if MODULE_ANTHROPIC_STATIC
# noinst_LTLIBRARIES += modules/libanthropic.la
# static_module_names += anthropic
# static_module_libs += modules/libanthropic.la
# modules_libanthropic_la_SOURCES = $(anthropic_module_sources)
# modules_libanthropic_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -DOC_MODULE_STATIC=anthropic
# modules_libanthropic_la_CFLAGS = $(module_cflags)
# $(modules_libanthropic_la_OBJECTS): %D%/module.json
# endif
