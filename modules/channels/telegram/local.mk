# See modules/local.mk.  The parts without side effects are in a list of their own, since tests link them by themselves.
telegram_pure_sources = \
	%D%/chunk.c \
	%D%/compose.c %D%/telegram.h \
	%D%/format.c %D%/format.h \
	%D%/html.c \
	%D%/inbound.c %D%/inbound.h \
	%D%/inline.c \
	%D%/json.c \
	%D%/limit.c %D%/limit.h \
	%D%/text.c %D%/text.h
telegram_module_sources = $(telegram_pure_sources) \
	%D%/account.c \
	%D%/api.c \
	%D%/intake.c \
	%D%/lane.c \
	%D%/media.c \
	%D%/module.c \
	%D%/poll.c \
	%D%/send.c \
	%D%/settings.c %D%/settings.h \
	%D%/upload.c \
	%D%/webhook.c
EXTRA_DIST += %D%/README.md %D%/module.json $(telegram_module_sources)

if MODULE_TELEGRAM_SHARED
module_LTLIBRARIES += modules/telegram.la
modules_telegram_la_SOURCES = $(telegram_module_sources)
modules_telegram_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
modules_telegram_la_CFLAGS = $(module_cflags)
modules_telegram_la_LDFLAGS = -module $(module_ldflags)
modules_telegram_la_LIBADD = $(CJSON_LIBS)
$(modules_telegram_la_OBJECTS): %D%/module.json
endif
if MODULE_TELEGRAM_STATIC
noinst_LTLIBRARIES += modules/libtelegram.la
static_module_names += telegram
static_module_libs += modules/libtelegram.la
modules_libtelegram_la_SOURCES = $(telegram_module_sources)
modules_libtelegram_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -DOC_MODULE_STATIC=telegram
modules_libtelegram_la_CFLAGS = $(module_cflags)
modules_libtelegram_la_LIBADD = $(CJSON_LIBS)
$(modules_libtelegram_la_OBJECTS): %D%/module.json
endif

check_LTLIBRARIES += %D%/libtgpure.la
modules_channels_telegram_libtgpure_la_SOURCES = $(telegram_pure_sources)
modules_channels_telegram_libtgpure_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
modules_channels_telegram_libtgpure_la_CFLAGS = $(module_cflags)
