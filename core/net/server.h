/*
 * The HTTP/1.1 server: TCP and Unix sockets, TLS, WebSocket upgrade.  [loop]
 *
 * The life of a request: `on_head` when its head is complete (check, limit, or answer at once), then `on_request` when its
 * body is complete too.  From then on (or from oc_http_respond_head on) the handler owns the oc_http_req and ends it exactly
 * once, now or later, with oc_http_respond, oc_http_error, oc_http_end, oc_http_abort or
 * oc_http_upgrade_ws.  That holds also after the client has gone: on_close only tells, answers then go nowhere, and the
 * ending call frees.  When the client goes, or the body is refused, before the handler owns the request, on_close tells too,
 * but then the request is gone with it.  The views that the getters return live as long as the request.
 *
 * The server itself refuses what breaks HTTP or the limits, with a JSON body {"error":{"code","message"}}, and closes:
 * 400 malformed or ambiguous, 408 too slow, 413 body, 414 URL, 417 Expect, 431 head, 501 coding or method, 505 version,
 * 503 too many connections.
 */
#ifndef OC_NET_SERVER_H
#define OC_NET_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openclaw/module.h>

#include "core/base/err.h"
#include "core/base/queues.h"
#include "core/base/str.h"
#include "core/loop/loop.h"
#include "core/net/tls.h"
#include "core/net/ws.h"

typedef struct oc_http_server oc_http_server;
typedef struct oc_http_req oc_http_req;

typedef struct oc_http_handler {
	/* The head is complete. May call oc_http_body_limit, oc_http_body_stream, or end the request already (401 before a
	 * body is read); then on_request does not follow. NULL is allowed. */
	void (*on_head)(void *arg, oc_http_req *req);
	/* The request is complete. Required. */
	void (*on_request)(void *arg, oc_http_req *req);
	void *arg;
} oc_http_handler;

typedef struct oc_http_server_options {
	oc_http_handler handler;
	uint64_t max_body;    /* 0: 1 MiB; on_head may change it for one request */
	uint32_t max_header;  /* request line and headers; 0: 64 KiB */
	uint32_t max_conns;   /* 0: 1024; more are answered with 503 */
	uint32_t max_queue;   /* bytes waiting for a slow reader before writes say OC_E_BUSY; 0: 256 KiB */
	uint32_t header_ms;   /* from the first byte to the end of the head (and the TLS handshake); 0: 10,000 */
	uint32_t body_ms;     /* without a byte of the body; 0: 30,000 */
	uint32_t body_rate;   /* least bytes per second of a body, after 10 s; 0: 256 */
	uint32_t write_ms;    /* without the client taking a byte of the answer; 0: 30,000 */
	uint32_t idle_ms;     /* keep-alive between requests; 0: 75,000 */
	const char *server_name; /* Server header; NULL: none */
} oc_http_server_options;

typedef struct oc_http_peer {
	bool is_unix;
	bool is_tls;
	bool is_loopback; /* TCP from 127/8 or ::1; false for Unix sockets */
	uint16_t port;
	uid_t uid; /* Unix sockets only: the kernel's word, (uid_t)-1 otherwise */
	gid_t gid;
	pid_t pid;
	char address[64]; /* without port; "unix" */
} oc_http_peer;

typedef struct oc_http_server_stats {
	uint64_t connections, connections_total, refused; /* open now; since start; over max_conns */
	uint64_t requests, active, websockets;            /* since start; unanswered now; open now */
	uint64_t bytes_in, bytes_out;
	uint64_t bad_requests, timeouts; /* answered by the server itself */
} oc_http_server_stats;

/* options are copied. */
oc_status oc_http_server_new(oc_loop *loop, const oc_http_server_options *options, oc_http_server **ret, oc_err *err);
/* address is numeric ("127.0.0.1", "::1", "0.0.0.0"); port 0 takes a free one, see ret_port (may be NULL). tls NULL: plain;
 * else a reference is taken. May be called several times. OC_E_EXISTS: the port is in use. */
oc_status oc_http_server_listen_tcp(oc_http_server *server, const char *address, uint16_t port, oc_tls_server *tls,
				    uint16_t *ret_port, oc_err *err);
/* Mode 0600; a socket left by a dead process is replaced, a living one refused (OC_E_EXISTS); removed at the end. */
oc_status oc_http_server_listen_unix(oc_http_server *server, const char *path, oc_err *err);
/* Stops listening, closes idle connections, lets running requests end (each with Connection: close) and closes WebSockets
 * with 1001; done runs once, when nothing is left or at the deadline, when the rest is cut. */
void oc_http_server_drain(oc_http_server *server, uint32_t deadline_ms, void (*done)(void *arg), void *arg);
/* Cuts everything; requests not yet ended are told by on_close and stay valid until they are. NULL is allowed. */
void oc_http_server_free(oc_http_server *server);
/* Ends what was let in by a secret that counts no more (oc_http_guard), which over says of each number: running requests and
 * tunnels are cut, on_close tells; WebSockets are closed with 1008 and reason. Returns how many. */
size_t oc_http_server_revoke(oc_http_server *server, bool (*over)(void *arg, uint64_t guard), void *arg, const char *reason);
void oc_http_server_get_stats(const oc_http_server *server, oc_http_server_stats *ret);
/* From a request's head to the end of its answer. */
const oc_hist *oc_http_server_timing(const oc_http_server *server);
/* Its bounded queues, by number. */
void oc_http_server_queues(const oc_http_server *server, oc_fill queues[OC_QUEUE_N]);

/* ---- The request ---- */

oc_str oc_http_method(const oc_http_req *req);
bool oc_http_is(const oc_http_req *req, const char *method); /* HEAD counts as GET too */
oc_str oc_http_path(const oc_http_req *req);  /* decoded and normalised */
oc_str oc_http_query(const oc_http_req *req); /* raw, without '?' */
oc_str oc_http_target(const oc_http_req *req); /* as received */
/* By lower-case name; "" when absent; of repeated headers the first. */
oc_str oc_http_header(const oc_http_req *req, const char *lower_name);
bool oc_http_has_header(const oc_http_req *req, const char *lower_name);
size_t oc_http_header_count(const oc_http_req *req);
void oc_http_header_at(const oc_http_req *req, size_t i, oc_str *ret_name, oc_str *ret_value);
/* Appends all headers as a JSON object with lower-case names; repeated ones are joined as RFC 9110 says. */
void oc_http_headers_json(const oc_http_req *req, oc_sbuf *out);
oc_str oc_http_body(const oc_http_req *req); /* whole; "" while or when streamed; NUL-terminated */
const oc_http_peer *oc_http_get_peer(const oc_http_req *req);
void *oc_http_user(const oc_http_req *req); /* the handler's own pointer, NULL at first */
void oc_http_set_user(oc_http_req *req, void *user);

/* In on_head only: the limit of this body; and: hand the body over piece by piece instead of gathering it (last with the
 * final call, whose piece may be empty; then on_request follows). The limit counts in both cases. */
void oc_http_body_limit(oc_http_req *req, uint64_t max_body);
void oc_http_body_stream(oc_http_req *req, void (*on_body)(void *arg, oc_http_req *req, oc_str piece, bool last),
			 void *arg);
/* A streamed body: stops reading from the client; what was read before (at most 64 KiB) still comes. */
void oc_http_body_pause(oc_http_req *req, bool paused);

/* A secret let this request in (or will let in the WebSocket that it becomes): oc_http_server_revoke is asked with its number.
 * 0: none did. rights are the handler's own and kept with it. */
void oc_http_guard(oc_http_req *req, uint64_t guard, unsigned rights);
unsigned oc_http_rights(const oc_http_req *req);
uint64_t oc_http_guarded_by(const oc_http_req *req);
/* The same for a WebSocket of this server, when it is known only now. */
void oc_http_guard_ws(oc_ws *ws, uint64_t guard);

/* Called once, from the loop, when the client goes away before the request was ended (also at server_free). */
void oc_http_on_close(oc_http_req *req, void (*cb)(void *arg, oc_http_req *req), void *arg);

/* ---- The answer ---- */

/* Before the head is sent. OC_E_INVALID: not a header name, CR/LF/NUL in the value, or one the server sets itself
 * (content-length, transfer-encoding, connection, date). The same name may be added several times. */
oc_status oc_http_add_header(oc_http_req *req, const char *name, oc_str value);
/* A whole answer; ends the request. content_type NULL: none. The body is copied when the socket cannot take it at once. */
void oc_http_respond(oc_http_req *req, int status, const char *content_type, oc_str body);
/* {"error":{"code":"…","message":"…"}}; ends the request. */
void oc_http_error(oc_http_req *req, int status, const char *code, const char *message);
/* A streamed answer: head, writes, end. content_length -1: chunked (until close for HTTP/1.0). */
oc_status oc_http_respond_head(oc_http_req *req, int status, const char *content_type, int64_t content_length);
/* OC_OK; OC_E_BUSY: taken, but the client is slow: wait for on_drain; OC_E_STATE: the client is gone; OC_E_LIMIT: more than
 * content_length, or far beyond max_queue (8 times): not taken, the connection is cut. Small writes of one loop iteration
 * are sent together. */
oc_status oc_http_write(oc_http_req *req, oc_str bytes);
/* Called whenever the queue has become short again after OC_E_BUSY. */
void oc_http_on_drain(oc_http_req *req, void (*cb)(void *arg, oc_http_req *req), void *arg);
void oc_http_end(oc_http_req *req);   /* ends a streamed answer properly */
void oc_http_abort(oc_http_req *req); /* cuts the connection, so that the client sees that something is missing */

/* Answers 101 and turns the connection into a WebSocket; headers added with oc_http_add_header go along. When the handshake
 * is not acceptable the request is answered with 400 or 426. Ends the request in both cases. */
oc_status oc_http_upgrade_ws(oc_http_req *req, const oc_ws_options *options, oc_ws **ret);

/* Any other protocol over the same connection: writes head (a whole 101), then bytes go both ways as they are. Ends the
 * request. NULL: it cannot be, and the request is still to be answered. */
typedef struct oc_http_tunnel oc_http_tunnel;
typedef struct oc_http_tunnel_cbs {
	void (*on_data)(void *arg, oc_str bytes); /* what came early, from inside */
	void (*on_drain)(void *arg); /* after OC_E_BUSY */
	void (*on_close)(void *arg); /* the client is gone, once; the tunnel too */
} oc_http_tunnel_cbs;
oc_http_tunnel *oc_http_upgrade_raw(oc_http_req *req, oc_str head, const oc_http_tunnel_cbs *cbs, void *arg);
/* OC_OK, or OC_E_BUSY: taken, but the client is slow. */
oc_status oc_http_tunnel_write(oc_http_tunnel *tunnel, oc_str bytes);
void oc_http_tunnel_pause(oc_http_tunnel *tunnel, bool paused);
/* Sends what waits, then closes; on_close does not follow. */
void oc_http_tunnel_close(oc_http_tunnel *tunnel);

#endif
