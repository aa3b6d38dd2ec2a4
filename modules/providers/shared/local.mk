# What the provider modules share: text, JSON in place, faults, endpoints, histories, the exchange over HTTP.  No module: a
# convenience library that each of them takes from (modules/libprovider.la in their LIBADD).
noinst_LTLIBRARIES += modules/libprovider.la
modules_libprovider_la_SOURCES = \
	%D%/endpoint.c %D%/endpoint.h \
	%D%/exchange.c %D%/exchange.h \
	%D%/fault.c %D%/fault.h \
	%D%/history.c %D%/history.h \
	%D%/json.c %D%/json.h \
	%D%/models.c %D%/models.h \
	%D%/quirks.c %D%/quirks.h \
	%D%/stream.c %D%/stream.h \
	%D%/text.c %D%/text.h
modules_libprovider_la_CPPFLAGS = $(module_cppflags)
modules_libprovider_la_CFLAGS = $(module_cflags)
