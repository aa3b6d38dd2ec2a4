/*
 * The command line's way to its own gateway: HTTP/1.1, streams and WebSocket over the Unix socket or loopback TCP, without
 * libcurl, name resolution or TLS, so that `openclaw status` costs milliseconds.  [loop]
 */
#ifndef OC_NET_LOCAL_CLIENT_H
#define OC_NET_LOCAL_CLIENT_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/loop/loop.h"
#include "core/net/ws.h"

typedef struct oc_local_call oc_local_call;

typedef struct oc_local_request {
	const char *unix_path; /* or: */
	const char *address;   /* numeric */
	uint16_t port;
	const char *method;  /* NULL: GET, or POST when there is a body */
	const char *target;  /* "/rpc" */
	const char *token;   /* bearer token; NULL: none (Unix socket) */
	const char *headers; /* further lines, each ended by CRLF; NULL: none */
	const char *content_type; /* of the body; NULL: application/json */
	oc_str body;              /* copied */
	uint32_t timeout_ms;      /* for the connection and the head; 0: 10,000 */
	uint32_t idle_ms;         /* without a byte afterwards; 0: none */
	size_t max_body;          /* of a gathered answer; 0: 16 MiB */
	/* All may be NULL but on_done. Without on_data and on_sse the body is gathered for on_done. */
	void (*on_head)(void *arg, int status, oc_str content_type);
	void (*on_data)(void *arg, oc_str data);
	void (*on_sse)(void *arg, oc_str event, oc_str data, oc_str id); /* a 2xx text/event-stream; else on_data or gathered */
	/* Exactly once, unless cancelled, and then the call is gone. OC_E_UNAVAILABLE: nobody listens. On an error body is the
	 * message. */
	void (*on_done)(void *arg, oc_status status, int http_status, oc_str body);
	void *arg;
} oc_local_request;

/* The call belongs to owner: its sweep cancels it, and no callback follows. Callbacks come later, never from inside start. */
oc_status oc_local_start(oc_owner *owner, const oc_local_request *request, oc_err *err);

/* As oc_local_start and running the loop until it is done; *ret_body is the caller's (oc_free), NUL-terminated. For commands
 * that do one thing. */
oc_status oc_local_fetch(oc_loop *loop, const oc_local_request *request, int *ret_status, char **ret_body, size_t *ret_n,
			 oc_err *err);

/* A WebSocket to the gateway. opened(arg, ws) once, or failed(arg, status, message) once. */
typedef struct oc_local_ws {
	const char *unix_path; /* or address and port */
	const char *address;
	uint16_t port;
	const char *target; /* "/ws" */
	const char *token;
	uint32_t timeout_ms; /* 0: 10,000 */
	oc_ws_options ws;
	void (*opened)(void *arg, oc_ws *ws);
	void (*failed)(void *arg, oc_status status, oc_str message);
	void *arg;
} oc_local_ws;
oc_status oc_local_ws_open(oc_owner *owner, const oc_local_ws *request, oc_err *err);

#endif
