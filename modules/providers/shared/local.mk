# What the provider modules share: text, JSON in place, faults, endpoints, histories, the exchange over HTTP.  No module: a
# convenience library that each of them takes from (modules/libprovider.la in their LIBADD).
noinst_LTLIBRARIES += modules/libprovider.la
modules_libprovider_la_SOURCES = \
	%D%/prv_endpoint.c %D%/prv_endpoint.h \
	%D%/prv_exchange.c %D%/prv_exchange.h \
	%D%/prv_fault.c %D%/prv_fault.h \
	%D%/prv_history.c %D%/prv_history.h \
	%D%/prv_json.c %D%/prv_json.h \
	%D%/prv_models.c %D%/prv_models.h \
	%D%/prv_quirks.c %D%/prv_quirks.h \
	%D%/prv_stream.c %D%/prv_stream.h \
	%D%/prv_text.c %D%/prv_text.h
modules_libprovider_la_CPPFLAGS = $(module_cppflags)
modules_libprovider_la_CFLAGS = $(module_cflags)
