/* One connection of the server: from bytes to requests, and when to close. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/net/server_inner.h"

#define IN_MAX 65536u	      /* pipelined bytes kept while a request is being answered */
/* After our last word: how long the client may be silent, go on sending, and how much. */
#define LINGER_QUIET_MS 2000u
#define LINGER_MS 15000u
#define LINGER_BYTES 67108864u
#define RATE_GRACE_MS 10000u

static const oc_stream_cbs callbacks;

/* ---- The end ---- */

static void maybe_free(oc_conn *c)
{
	oc_http_server *server = c->server;

	if (!c->stream_closed || c->req.active)
		return;
	oc_h1_free(&c->h1);
	oc_sbuf_free(&c->in);
	oc_free(c);
	oc_server_unref(server);
}

static void on_stream_closed(void *arg)
{
	oc_conn *c = arg;
	oc_http_server *server = c->server;

	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->stream_closed = true;
	server->refs++;
	oc_server_conn_gone(server);
	maybe_free(c);
	oc_server_unref(server);
}

static void req_release(oc_conn *c)
{
	oc_http_req *req = &c->req;

	if (req->active) {
		c->server->stats.active--;
		oc_hist_add_ns(&c->server->timing, oc_now_ns() - req->began_ns);
	}
	req->active = false;
	oc_sbuf_free(&req->extra);
	oc_sbuf_free(&req->body);
}

/* Tells the handler that the client went; forgets the request unless the handler has to end it. */
static void req_lost(oc_conn *c)
{
	oc_http_req *req = &c->req;
	void (*cb)(void *, oc_http_req *) = req->on_close;

	if (!req->active || req->gone)
		return;
	req->gone = true;
	req->on_close = NULL;
	if (cb != NULL)
		cb(req->on_close_arg, req);
	if (!req->owned)
		req_release(c);
}

/* Tells the user of a tunnel, once. */
static void tunnel_lost(oc_conn *c)
{
	const oc_http_tunnel_cbs *cbs = c->tunnel;

	c->tunnel = NULL;
	if (cbs != NULL)
		cbs->on_close(c->tunnel_arg);
}

static void close_stream(oc_conn *c, bool reset)
{
	if (c->stage == OC_CONN_DEAD)
		return;
	c->stage = OC_CONN_DEAD;
	oc_stream_close(&c->s, reset);
}

void oc_conn_cut(oc_conn *c, bool reset)
{
	if (c->stage == OC_CONN_DEAD)
		return;
	if (c->ws != NULL) {
		oc_ws_cut(c->ws); /* closes the stream */
		return;
	}
	close_stream(c, reset);
	tunnel_lost(c);
	req_lost(c);
}

/* The last answer is queued: send it, then close. rest: the client may be sending still. */
static void close_softly(oc_conn *c, bool rest)
{
	c->stage = rest || c->s.tls != NULL ? OC_CONN_LINGER : OC_CONN_FLUSH;
	c->stage_ms = oc_server_now(c->server);
	if (c->stage == OC_CONN_FLUSH && c->s.queued == 0) {
		close_stream(c, false);
		return;
	}
	if (c->s.eof && c->s.queued == 0) {
		close_stream(c, false);
		return;
	}
	oc_stream_pause(&c->s, false);
	oc_stream_notify_flushed(&c->s);
}

static void on_flushed(void *arg)
{
	oc_conn *c = arg;

	if (c->stage == OC_CONN_FLUSH || (c->stage == OC_CONN_LINGER && c->s.eof)) {
		close_stream(c, false);
	} else if (c->stage == OC_CONN_LINGER && !c->fin_sent) {
		c->fin_sent = true;
		c->stage_ms = oc_server_now(c->server);
		oc_stream_shutdown(&c->s);
	}
}

/* ---- Requests ---- */

static void refuse(oc_conn *c, int status, const char *code, const char *text)
{
	bool answered = c->req.active && c->req.head_sent;

	if (status == 408)
		c->server->stats.timeouts++;
	else
		c->server->stats.bad_requests++;
	req_lost(c);
	if (answered || c->req.active) {
		/* Something was sent, or a handler thinks it will: only a cut tells the client. */
		oc_conn_cut(c, true);
		return;
	}
	oc_conn_reply_error(c, status, code, text);
	close_softly(c, true);
}

static void update_pause(oc_conn *c)
{
	oc_stream_pause(&c->s, c->body_paused || c->in_full);
}

static void begin_request(oc_conn *c)
{
	oc_http_server *server = c->server;
	oc_http_req *req = &c->req;

	memset(req, 0, sizeof(*req));
	req->conn = c;
	req->active = true;
	req->began_ns = oc_now_ns();
	req->left = -1;
	oc_sbuf_init(&req->extra, 65536);
	c->stage = OC_CONN_BODY;
	c->stage_ms = oc_server_now(server);
	c->keep = c->h1.keep_alive && !server->draining;
	c->guard = 0;
	c->rights = 0;
	c->h1.max_body = server->options.max_body;
	c->requests++;
	server->stats.requests++;
	server->stats.active++;
	if (server->options.handler.on_head != NULL)
		server->options.handler.on_head(server->options.handler.arg, req);
	if (c->stage != OC_CONN_BODY)
		return;
	oc_sbuf_init(&req->body, c->h1.max_body < SIZE_MAX ? (size_t)c->h1.max_body : SIZE_MAX - 1);
	if (c->h1.content_length > c->h1.max_body) {
		refuse(c, 413, "payload_too_large", "the body is larger than allowed here");
		return;
	}
	if (c->h1.wants_continue && (c->h1.chunked || c->h1.content_length > 0)) {
		oc_str line = OC_STR("HTTP/1.1 100 Continue\r\n\r\n");

		oc_stream_write(&c->s, &line, 1);
	}
}

static bool on_body(void *arg, oc_str piece)
{
	oc_conn *c = arg;
	oc_http_req *req = &c->req;

	if (c->stage != OC_CONN_BODY)
		return false;
	if (req->streams)
		req->on_body(req->on_body_arg, req, piece, false);
	else
		oc_sbuf_str(&req->body, piece);
	if (c->stage != OC_CONN_BODY)
		return false;
	if (req->body.error != OC_OK) {
		refuse(c, 503, "unavailable", "out of memory");
		return false;
	}
	return true;
}

static void complete_request(oc_conn *c)
{
	oc_http_server *server = c->server;
	oc_http_req *req = &c->req;

	c->stage = OC_CONN_HANDLING;
	req->owned = true;
	if (c->body_paused) { /* nothing of it is left to wait for; the client's end must be seen */
		c->body_paused = false;
		update_pause(c);
	}
	if (req->streams) {
		req->on_body(req->on_body_arg, req, OC_STR_NONE, true);
		if (c->stage != OC_CONN_HANDLING || !req->active)
			return; /* ended by the callback */
	}
	server->options.handler.on_request(server->options.handler.arg, req);
}

void oc_conn_finished(oc_conn *c)
{
	bool complete = c->stage == OC_CONN_HANDLING || (c->stage == OC_CONN_BODY && c->h1.done);

	req_release(c);
	if (c->stage == OC_CONN_DEAD) {
		maybe_free(c);
		return;
	}
	if (!c->keep || !complete || c->server->draining) {
		close_softly(c, !complete || c->in.n > 0);
		return;
	}
	oc_h1_reset(&c->h1);
	c->stage = OC_CONN_HEAD;
	c->stage_ms = oc_server_now(c->server);
	if (c->body_paused) {
		c->body_paused = false;
		update_pause(c);
	}
	/* Not from inside the handler's call: the next request waits until the loop comes round. */
	if (!c->pumping && c->in.n > 0)
		oc_stream_wake(&c->s);
}

void oc_conn_kill(oc_conn *c)
{
	c->req.gone = true;
	close_stream(c, true);
}

void oc_conn_dropped(oc_conn *c)
{
	req_release(c);
	if (c->stage == OC_CONN_DEAD)
		maybe_free(c);
	else
		close_stream(c, true);
}

/* ---- Bytes ---- */

static void keep_rest(oc_conn *c, const char *p, const char *end)
{
	oc_sbuf_add(&c->in, p, (size_t)(end - p));
	if (c->in.error != OC_OK) {
		oc_conn_cut(c, true);
		return;
	}
	if (c->in.n >= IN_MAX && !c->in_full) {
		c->in_full = true;
		update_pause(c);
	}
}

void oc_conn_fill(const oc_conn *c, const oc_http_server *server, oc_fill *q)
{
	size_t queued = c != NULL ? c->s.queued : 0;

	if (c == NULL || c->ws != NULL)
		oc_fill_add(&q[OC_QUEUE_websocket_send_bytes], queued, oc_ws_capacity(c != NULL ? c->ws : NULL));
	if (c == NULL || c->ws == NULL)
		oc_fill_add(&q[OC_QUEUE_http_send_bytes], queued, (size_t)server->options.max_queue * (1 + OC_CONN_LIMIT_FACTOR));
	/* One read more than the mark, at which reading ends. */
	oc_fill_add(&q[OC_QUEUE_http_pipelined_bytes], c != NULL ? c->in.n : 0, IN_MAX + OC_NET_READ_BYTES);
}

static void pump(oc_conn *c, const char *p, const char *end)
{
	oc_stream_cork(&c->s);
	c->pumping = true;
	while (c->stage == OC_CONN_HEAD || c->stage == OC_CONN_BODY) {
		oc_h1_event event;

		if (p == end && (c->stage == OC_CONN_HEAD || !(c->h1.done || c->h1.paused)))
			break;
		event = oc_h1_next(&c->h1, &p, end);
		if (event == OC_H1_MORE)
			break;
		if (event == OC_H1_HEAD)
			begin_request(c);
		else if (event == OC_H1_DONE)
			complete_request(c);
		else if (c->h1.error_status != 0 && c->stage != OC_CONN_DEAD)
			refuse(c, c->h1.error_status, c->h1.error_code, c->h1.error_text);
		else
			break; /* the body was stopped by its handler, who has settled everything */
	}
	c->pumping = false;
	if (p < end) {
		if (c->stage == OC_CONN_HANDLING)
			keep_rest(c, p, end);
		else if (c->stage == OC_CONN_WS)
			oc_ws_feed(c->ws, oc_str_make(p, (size_t)(end - p)));
		else if (c->stage == OC_CONN_TUNNEL && c->tunnel != NULL)
			c->tunnel->on_data(c->tunnel_arg, oc_str_make(p, (size_t)(end - p)));
		else if (c->stage == OC_CONN_FLUSH)
			close_softly(c, true); /* closing with unread input would reset the connection */
	}
	oc_stream_uncork(&c->s);
}

/* What waited behind an answered request. */
static void pump_rest(oc_conn *c)
{
	oc_sbuf rest = c->in;

	oc_sbuf_init(&c->in, IN_MAX + OC_NET_READ_BYTES);
	if (c->in_full) {
		c->in_full = false;
		update_pause(c);
	}
	pump(c, rest.p, rest.p + rest.n);
	oc_sbuf_free(&rest);
}

static void on_wake(void *arg)
{
	oc_conn *c = arg;

	if (c->in.n > 0 && c->stage == OC_CONN_HEAD)
		pump_rest(c);
}

static void on_data(void *arg, oc_str bytes)
{
	oc_conn *c = arg;
	uint64_t now = oc_server_now(c->server);

	c->last_in_ms = now;
	switch (c->stage) {
	case OC_CONN_HEAD:
		if (c->in.n > 0) { /* not woken yet */
			keep_rest(c, bytes.p, bytes.p + bytes.n);
			return;
		}
		if (c->h1.head_raw == 0)
			c->stage_ms = now;
		pump(c, bytes.p, bytes.p + bytes.n);
		return;
	case OC_CONN_BODY:
		pump(c, bytes.p, bytes.p + bytes.n);
		return;
	case OC_CONN_HANDLING:
		keep_rest(c, bytes.p, bytes.p + bytes.n);
		return;
	case OC_CONN_FLUSH:
	case OC_CONN_LINGER:
		c->stage = OC_CONN_LINGER;
		c->lingered += bytes.n;
		if (c->lingered > LINGER_BYTES)
			close_stream(c, false);
		return;
	case OC_CONN_TUNNEL:
		if (c->tunnel != NULL)
			c->tunnel->on_data(c->tunnel_arg, bytes);
		return;
	case OC_CONN_WS:
	case OC_CONN_DEAD:
		return;
	}
}

static void on_drain(void *arg)
{
	oc_conn *c = arg;

	if (c->stage == OC_CONN_TUNNEL && c->tunnel != NULL) {
		c->tunnel->on_drain(c->tunnel_arg);
		return;
	}
	if (c->req.active && c->req.on_drain != NULL)
		c->req.on_drain(c->req.on_drain_arg, &c->req);
}

static void on_end(void *arg, oc_status why)
{
	oc_conn *c = arg;

	if (why == OC_OK && (c->stage == OC_CONN_FLUSH || c->stage == OC_CONN_LINGER) && c->s.queued > 0) {
		oc_stream_notify_flushed(&c->s); /* a client that closed its side early still gets the answer */
		return;
	}
	oc_conn_cut(c, false);
}

static const oc_stream_cbs callbacks = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_flushed = on_flushed,
	.on_end = on_end,
	.on_wake = on_wake,
};

/* ---- Time ---- */

static void tick_body(oc_conn *c, uint64_t now)
{
	const oc_http_server_options *o = &c->server->options;
	uint64_t since = now - c->stage_ms, quiet = now - c->last_in_ms;

	if (c->body_paused) {
		c->stage_ms = c->last_in_ms = now; /* the handler's doing, not the client's */
		return;
	}
	if (quiet > o->body_ms || (since > RATE_GRACE_MS && c->h1.body_n < (since - RATE_GRACE_MS) / 1000 * o->body_rate))
		refuse(c, 408, "request_timeout", "the body came too slowly");
}

void oc_conn_tick(oc_conn *c, uint64_t now)
{
	const oc_http_server_options *o = &c->server->options;
	uint64_t since = now - c->stage_ms;

	if (c->stage != OC_CONN_DEAD && oc_stream_stalled_ms(&c->s, now) > o->write_ms) {
		c->server->stats.timeouts++;
		oc_conn_cut(c, true);
		return;
	}
	switch (c->stage) {
	case OC_CONN_HEAD:
		if (c->h1.head_raw > 0) {
			if (since > o->header_ms)
				refuse(c, 408, "request_timeout", "the request's head came too slowly");
		} else if (since > (c->requests == 0 ? o->header_ms : o->idle_ms) && c->s.queued == 0) {
			close_softly(c, c->s.tls != NULL);
		}
		return;
	case OC_CONN_BODY:
		tick_body(c, now);
		return;
	case OC_CONN_LINGER:
		if (c->fin_sent && since > LINGER_QUIET_MS && (now - c->last_in_ms > LINGER_QUIET_MS || since > LINGER_MS))
			close_stream(c, false);
		return;
	case OC_CONN_WS:
		oc_ws_tick(c->ws, now);
		return;
	case OC_CONN_HANDLING:
	case OC_CONN_FLUSH:
	case OC_CONN_TUNNEL:
	case OC_CONN_DEAD:
		return;
	}
}

void oc_conn_drain(oc_conn *c)
{
	static const char reason[] = "the server is shutting down";

	c->keep = false;
	if (c->stage == OC_CONN_HEAD && c->h1.head_raw == 0 && c->in.n == 0)
		close_softly(c, c->s.tls != NULL);
	else if (c->stage == OC_CONN_WS)
		oc_ws_close(c->ws, OC_WS_GOING_AWAY, oc_str_of(reason));
	else if (c->stage == OC_CONN_TUNNEL)
		oc_conn_cut(c, false);
}

bool oc_conn_revoke(oc_conn *c, const char *reason)
{
	bool busy = c->stage == OC_CONN_WS || c->stage == OC_CONN_TUNNEL || c->req.active;

	if (!busy)
		return false;
	if (c->stage == OC_CONN_WS)
		oc_ws_close(c->ws, OC_WS_POLICY, oc_str_of(reason));
	else
		oc_conn_cut(c, true);
	return true;
}

/* ---- Tunnels ---- */

void oc_conn_became_tunnel(oc_conn *c)
{
	oc_sbuf early = c->in;

	c->stage = OC_CONN_TUNNEL;
	req_release(c);
	oc_h1_reset(&c->h1);
	oc_sbuf_init(&c->in, IN_MAX + OC_NET_READ_BYTES);
	if (c->in_full || c->body_paused)
		oc_stream_pause(&c->s, false);
	c->in_full = c->body_paused = false;
	if (early.n > 0 && c->tunnel != NULL)
		c->tunnel->on_data(c->tunnel_arg, oc_sbuf_view(&early));
	oc_sbuf_free(&early);
}

void oc_conn_end_tunnel(oc_conn *c)
{
	if (c->stage == OC_CONN_TUNNEL)
		close_softly(c, true);
}

/* ---- WebSockets ---- */

void oc_conn_ws_gone(void *arg, bool open)
{
	oc_conn *c = arg;

	c->ws = NULL;
	c->server->stats.websockets--;
	if (!open) {
		c->stage = OC_CONN_DEAD; /* the stream is closing already */
	} else if (c->server->freed) {
		close_stream(c, false);
	} else {
		oc_stream_set_callbacks(&c->s, &callbacks, c);
		close_softly(c, true);
	}
}

void oc_conn_became_ws(oc_conn *c, oc_ws *ws)
{
	c->ws = ws;
	c->stage = OC_CONN_WS;
	c->server->stats.websockets++;
	req_release(c);
	oc_h1_reset(&c->h1);
	/* What came early: kept here when the request was answered later, still with pump() otherwise. */
	if (c->in.n > 0)
		oc_ws_feed_later(ws, oc_sbuf_view(&c->in));
	oc_sbuf_free(&c->in);
	if (c->in_full || c->body_paused)
		oc_stream_pause(&c->s, false);
}

/* ---- The beginning ---- */

static void read_peer(oc_conn *c)
{
	oc_http_peer *peer = &c->peer;
	struct sockaddr_storage addr;
	int len = sizeof(addr), fd = -1;

	peer->uid = (uid_t)-1;
	peer->gid = (gid_t)-1;
	if (!c->s.is_tcp) {
		struct ucred cred;
		socklen_t cred_len = sizeof(cred);

		peer->is_unix = true;
		memcpy(peer->address, "unix", 5);
		if (uv_fileno(&c->s.uv.handle, &fd) == 0
		    && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0) {
			peer->uid = cred.uid;
			peer->gid = cred.gid;
			peer->pid = cred.pid;
		}
		return;
	}
	memcpy(peer->address, "?", 2);
	if (uv_tcp_getpeername(&c->s.uv.tcp, (struct sockaddr *)&addr, &len) != 0)
		return;
	if (addr.ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, &addr, sizeof(in));
		(void)inet_ntop(AF_INET, &in.sin_addr, peer->address, sizeof(peer->address));
		peer->port = ntohs(in.sin_port);
		peer->is_loopback = (ntohl(in.sin_addr.s_addr) >> 24) == 127;
	} else if (addr.ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, &addr, sizeof(in6));
		peer->port = ntohs(in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			(void)inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, peer->address, sizeof(peer->address));
			peer->is_loopback = in6.sin6_addr.s6_addr[12] == 127;
		} else {
			(void)inet_ntop(AF_INET6, &in6.sin6_addr, peer->address, sizeof(peer->address));
			peer->is_loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
		}
	}
}

oc_conn *oc_conn_new(oc_http_server *server, bool is_tcp)
{
	oc_conn *c = oc_alloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	if (oc_stream_init(&c->s, &server->net, is_tcp, on_stream_closed, c) != OC_OK) {
		oc_free(c);
		return NULL;
	}
	c->server = server;
	c->stage = OC_CONN_HEAD;
	c->stage_ms = c->last_in_ms = oc_server_now(server);
	c->s.high = server->options.max_queue;
	c->h1.max_head = server->options.max_header;
	c->h1.on_body = on_body;
	c->h1.arg = c;
	oc_h1_init(&c->h1, HTTP_REQUEST);
	oc_sbuf_init(&c->in, IN_MAX + OC_NET_READ_BYTES);
	c->next = server->conns;
	c->prev = &server->conns;
	if (c->next != NULL)
		c->next->prev = &c->next;
	server->conns = c;
	return c;
}

void oc_conn_start(oc_conn *c, oc_tls_server *tls, bool refused)
{
	if (c->s.is_tcp)
		(void)uv_tcp_nodelay(&c->s.uv.tcp, 1);
	if (tls != NULL) {
		oc_tls *session = NULL;

		if (refused || oc_tls_accept(tls, oc_stream_tls_send, &c->s, &session) != OC_OK) {
			close_stream(c, false);
			return;
		}
		oc_stream_set_tls(&c->s, session);
		c->peer.is_tls = true;
	}
	read_peer(c);
	if (oc_stream_start(&c->s, &callbacks, c) != OC_OK) {
		close_stream(c, false);
		return;
	}
	if (refused) {
		oc_conn_reply_error(c, 503, "too_many_connections", "the server has as many connections as it may");
		close_softly(c, true);
	}
}
