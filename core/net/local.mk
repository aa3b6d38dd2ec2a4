libocore_la_SOURCES += \
	%D%/client_inner.h \
	%D%/curl.c %D%/curl.h \
	%D%/forward.c %D%/forward.h \
	%D%/http1.c %D%/http1.h \
	%D%/http_client.c %D%/http_client.h \
	%D%/http_conn.c \
	%D%/http_exchange.c \
	%D%/http_head.c \
	%D%/http_pool.c \
	%D%/http_proxy.c \
	%D%/http_reply.c \
	%D%/http_req.c \
	%D%/http_upgrade.c \
	%D%/local_client.c %D%/local_client.h \
	%D%/server.c %D%/server.h %D%/server_inner.h \
	%D%/sha1.c %D%/sha1.h \
	%D%/sse.c %D%/sse.h \
	%D%/ssrf.c %D%/ssrf.h \
	%D%/stream.c %D%/stream.h \
	%D%/tls.c %D%/tls.h \
	%D%/url.c %D%/url.h \
	%D%/ws.c %D%/ws.h %D%/ws_inner.h
