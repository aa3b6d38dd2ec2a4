# The parts without side effects, which tests link by themselves.
telegram_pure_sources = \
	%D%/chunk.c \
	%D%/format.c %D%/format.h \
	%D%/html.c \
	%D%/inbound.c %D%/inbound.h \
	%D%/inline.c \
	%D%/json.c \
	%D%/text.c %D%/text.h

check_LTLIBRARIES += %D%/libtgpure.la
modules_channels_telegram_libtgpure_la_SOURCES = $(telegram_pure_sources)
modules_channels_telegram_libtgpure_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
modules_channels_telegram_libtgpure_la_CFLAGS = $(module_cflags)
