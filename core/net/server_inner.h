/* What the files of the HTTP server share.  Inner header of core/net. */
#ifndef OC_NET_SERVER_INNER_H
#define OC_NET_SERVER_INNER_H

#include "core/net/http1.h"
#include "core/net/server.h"
#include "core/net/stream.h"
#include "core/net/ws_inner.h"

typedef struct oc_conn oc_conn;

typedef enum oc_conn_stage {
	OC_CONN_HEAD = 1, /* between requests, or reading a head */
	OC_CONN_BODY,	  /* the head was handed out, the body is coming */
	OC_CONN_HANDLING, /* the request is complete and not answered */
	OC_CONN_FLUSH,	  /* the last answer is being sent, then close */
	OC_CONN_LINGER,	  /* closed our side; reads and drops, so that the answer is not lost to a reset */
	OC_CONN_WS,
	OC_CONN_TUNNEL,
	OC_CONN_DEAD /* the stream is closing; only an unended request keeps the memory */
} oc_conn_stage;

struct oc_http_req {
	oc_conn *conn;
	bool active; /* between the head and its end */
	bool owned;  /* the handler must end it */
	bool gone;   /* the client went */
	bool head_sent, chunked, no_body;
	bool streams;
	uint64_t began_ns;
	int64_t left; /* of the announced length; -1: not announced */
	oc_sbuf extra; /* added headers as they are sent */
	oc_sbuf body;
	void (*on_body)(void *arg, oc_http_req *req, oc_str piece, bool last);
	void *on_body_arg;
	void (*on_close)(void *arg, oc_http_req *req);
	void *on_close_arg;
	void (*on_drain)(void *arg, oc_http_req *req);
	void *on_drain_arg;
	void *user;
};

struct oc_conn {
	oc_stream s; /* first: the memory ends with it */
	oc_http_server *server;
	oc_conn *next, **prev;
	oc_h1 h1;
	oc_http_req req;
	oc_http_peer peer;
	oc_sbuf in; /* received behind a request that is not answered yet */
	oc_ws *ws;
	const oc_http_tunnel_cbs *tunnel; /* NULL: none, or closed by its user */
	void *tunnel_arg;
	oc_conn_stage stage;
	uint64_t stage_ms; /* when the stage, or its head, began */
	uint64_t last_in_ms;
	uint64_t lingered; /* bytes dropped */
	uint64_t requests;
	uint64_t guard;	 /* what let in the current request, or what it became; 0: nothing */
	unsigned rights;
	bool pumping;
	bool keep; /* after the current answer */
	bool body_paused, in_full, stream_closed, fin_sent;
};

typedef struct oc_listener {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	oc_http_server *server;
	struct oc_listener *next;
	oc_tls_server *tls;
	char *path; /* of a Unix socket */
	uint64_t inode, device;
	bool is_tcp;
	/* Where a connection goes that there is no memory for: libuv asks for no other until it is accepted. */
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} drop;
	bool dropping, drop_owed, closed;
} oc_listener;

struct oc_http_server {
	oc_net net;
	oc_loop *loop;
	oc_http_server_options options;
	char head_end[80]; /* "\r\n", or the Server header before it */
	oc_listener *listeners;
	oc_conn *conns;
	uint32_t n_conns;
	uint32_t refs; /* the handle, every connection, every listener */
	uint32_t tick_ms;
	oc_watch *tick;
	oc_watch *deadline;
	void (*drained)(void *arg);
	void *drained_arg;
	bool draining, freed;
	oc_http_server_stats stats;
	oc_hist timing;
	int64_t date_s;
	char date[32]; /* "Sun, 06 Nov 1994 08:49:37 GMT" */
};

/* server.c */
void oc_server_unref(oc_http_server *server);
uint64_t oc_server_now(const oc_http_server *server); /* the loop's own clock, ms */
const char *oc_server_date(oc_http_server *server);
void oc_server_conn_gone(oc_http_server *server); /* one less */

/* http_conn.c */
oc_conn *oc_conn_new(oc_http_server *server, bool is_tcp);
void oc_conn_start(oc_conn *c, oc_tls_server *tls, bool refuse);
void oc_conn_tick(oc_conn *c, uint64_t now);
/* Closes at once; a running request is told. */
void oc_conn_cut(oc_conn *c, bool reset);
void oc_conn_drain(oc_conn *c);
/* times max_queue: a handler that does not listen to OC_E_BUSY is cut off */
#define OC_CONN_LIMIT_FACTOR 8
/* What waits in it, for figures; NULL: the bounds alone. */
void oc_conn_fill(const oc_conn *c, const oc_http_server *server, oc_fill *queues);
/* false: it is idle, nothing is to be ended. */
bool oc_conn_revoke(oc_conn *c, const char *reason);
/* The answer is complete: on to the next request, or close. */
void oc_conn_finished(oc_conn *c);
/* The request ends without an answer. */
void oc_conn_dropped(oc_conn *c);
/* Cuts the connection on the handler's account: it knows, so on_close is not called. */
void oc_conn_kill(oc_conn *c);
void oc_conn_became_ws(oc_conn *c, oc_ws *ws);
void oc_conn_became_tunnel(oc_conn *c);
void oc_conn_end_tunnel(oc_conn *c);
void oc_conn_ws_gone(void *conn, bool open);

/* http_reply.c */
/* An answer of the server itself, outside any request; the caller closes. */
void oc_conn_reply_error(oc_conn *c, int status, const char *code, const char *message);

#endif
