# See modules/local.mk.  To be switched on, by removing the first "# " of each line, when telegram.c and module.json are here.
# telegram_module_sources = %D%/telegram.c
# EXTRA_DIST += %D%/module.json $(telegram_module_sources)
# if MODULE_TELEGRAM_SHARED
# module_LTLIBRARIES += modules/telegram.la
# modules_telegram_la_SOURCES = $(telegram_module_sources)
# modules_telegram_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
# modules_telegram_la_CFLAGS = $(module_cflags)
# modules_telegram_la_LDFLAGS = -module $(module_ldflags)
# $(modules_telegram_la_OBJECTS): %D%/module.json
# endif
# if MODULE_TELEGRAM_STATIC
# noinst_LTLIBRARIES += modules/libtelegram.la
# static_module_names += telegram
# static_module_libs += modules/libtelegram.la
# modules_libtelegram_la_SOURCES = $(telegram_module_sources)
# modules_libtelegram_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -DOC_MODULE_STATIC=telegram
# modules_libtelegram_la_CFLAGS = $(module_cflags)
# $(modules_libtelegram_la_OBJECTS): %D%/module.json
# endif
