libocore_la_SOURCES += \
	%D%/http_client.h \
	%D%/local_client.h \
	%D%/server.h \
	%D%/sse.c %D%/sse.h \
	%D%/ssrf.c %D%/ssrf.h \
	%D%/tls.h \
	%D%/url.c %D%/url.h \
	%D%/ws.h
