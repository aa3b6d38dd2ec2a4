/* The command line's HTTP client: see local_client.h. */
#include "core/net/local_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/net/http1.h"
#include "core/net/server.h"
#include "core/net/sse.h"
#include "core/net/stream.h"
#include "core/net/ws_inner.h"

#define TIMEOUT_DEFAULT 10000u
#define BODY_DEFAULT ((size_t)16 << 20)
#define HEAD_MAX 65536u
#define WS_TICK_MS 1000u

struct oc_local_call {
	oc_stream s;
	oc_net net;
	oc_owner *owner;
	oc_ticket *ticket;
	oc_watch *timer;
	uv_connect_t connect;
	oc_h1 h1;
	oc_local_request r; /* the strings in it are not valid any more */
	oc_local_ws w;
	oc_sbuf out;  /* head and body of the request */
	oc_sbuf body; /* gathered */
	oc_sse *sse;
	oc_ws *ws;
	oc_http_peer peer;
	char where[160]; /* for messages */
	char accept[29]; /* expected of a WebSocket handshake */
	oc_status error; /* found while reading the body */
	bool is_ws, head_method, head_seen, over, discard;
};

static const oc_stream_cbs callbacks;

/* ---- The end ---- */

static void on_closed(void *arg)
{
	oc_local_call *c = arg;

	oc_h1_free(&c->h1);
	oc_sbuf_free(&c->out);
	oc_sbuf_free(&c->body);
	oc_sse_free(c->sse);
	oc_net_destroy(&c->net);
	oc_free(c);
}

static void release(oc_local_call *c)
{
	c->over = true;
	oc_owner_forget(c->ticket);
	c->ticket = NULL;
	oc_watch_end(c->timer);
	c->timer = NULL;
	oc_stream_close(&c->s, false);
}

static void finish(oc_local_call *c, oc_status status, oc_str message)
{
	uint64_t entered;

	if (c->over)
		return;
	release(c);
	entered = oc_owner_enter(c->owner);
	if (c->is_ws)
		c->w.failed(c->w.arg, status, message);
	else
		c->r.on_done(c->r.arg, status, c->head_seen ? c->h1.status : 0,
			     status == OC_OK ? oc_sbuf_view(&c->body) : message);
	oc_owner_leave(c->owner, entered);
}

__attribute__((format(printf, 3, 4))) static void fail(oc_local_call *c, oc_status status, const char *format, ...)
{
	oc_sbuf text;
	va_list args;

	oc_sbuf_init(&text, 1024);
	va_start(args, format);
	oc_sbuf_vprintf(&text, format, args);
	va_end(args);
	finish(c, status, oc_sbuf_view(&text));
	oc_sbuf_free(&text);
}

/* The owner is swept. */
static void on_sweep(void *arg)
{
	oc_local_call *c = arg;

	c->ticket = NULL;
	c->timer = NULL; /* the owner's too */
	if (c->ws != NULL)
		oc_ws_cut(c->ws);
	else if (!c->over)
		release(c);
}

static void on_timeout(void *arg)
{
	oc_local_call *c = arg;

	if (c->ws != NULL) {
		oc_ws_tick(c->ws, uv_now(oc_loop_uv(c->net.loop)));
		return;
	}
	fail(c, OC_E_TIMEOUT, "%s did not answer in time", c->where);
}

/* ---- The answer ---- */

static void on_ws_gone(void *arg, bool open)
{
	oc_local_call *c = arg;

	(void)open; /* a client's stream is closed */
	c->ws = NULL;
	if (!c->over)
		release(c);
}

static void ws_begin(oc_local_call *c)
{
	oc_ws *ws = NULL;
	oc_str accept = oc_h1_header_get(&c->h1, "sec-websocket-accept");
	uint64_t entered;

	if (c->h1.status != 101) {
		fail(c, c->h1.status == 401 || c->h1.status == 403 ? OC_E_AUTH : OC_E_PROTOCOL,
		     "%s refused the WebSocket with status %u", c->where, c->h1.status);
		return;
	}
	if (accept.p == NULL || !oc_str_eqz(accept, c->accept)) {
		fail(c, OC_E_PROTOCOL, "%s did not answer as a WebSocket server", c->where);
		return;
	}
	if (oc_ws_attach(&c->s, false, &c->w.ws, on_ws_gone, c, &ws) != OC_OK) {
		finish(c, OC_E_NOMEM, OC_STR("out of memory"));
		return;
	}
	c->ws = ws;
	oc_watch_end(c->timer);
	c->timer = oc_timer_start(c->owner, WS_TICK_MS, WS_TICK_MS, on_timeout, c);
	entered = oc_owner_enter(c->owner);
	c->w.opened(c->w.arg, ws);
	oc_owner_leave(c->owner, entered);
}

static void on_event(void *arg, oc_str event, oc_str data, oc_str id)
{
	oc_local_call *c = arg;

	if (c->over)
		oc_sse_stop(c->sse);
	else
		c->r.on_sse(c->r.arg, event, data, id);
}

static void begin_body(oc_local_call *c)
{
	oc_str type = oc_h1_header_get(&c->h1, "content-type");
	uint64_t entered;

	if (type.p == NULL)
		type = OC_STR_NONE;
	if (c->head_method)
		c->h1.parser.flags |= F_SKIPBODY;
	if (c->h1.status < 200) {
		c->discard = true; /* 100 Continue and its like: another head follows */
		return;
	}
	c->discard = false;
	c->head_seen = true;
	if (c->r.on_sse != NULL && c->h1.status < 300 && oc_str_starts(type, "text/event-stream")) {
		c->sse = oc_sse_new(0, on_event, c);
		if (c->sse == NULL) {
			finish(c, OC_E_NOMEM, OC_STR("out of memory"));
			return;
		}
	}
	c->h1.max_body = c->sse != NULL || c->r.on_data != NULL ? UINT64_MAX : c->r.max_body;
	if (c->r.idle_ms != 0) {
		oc_timer_again(c->timer, c->r.idle_ms);
	} else {
		oc_watch_end(c->timer);
		c->timer = NULL;
	}
	if (c->r.on_head != NULL) {
		entered = oc_owner_enter(c->owner);
		c->r.on_head(c->r.arg, c->h1.status, type);
		oc_owner_leave(c->owner, entered);
	}
}

static bool on_body(void *arg, oc_str piece)
{
	oc_local_call *c = arg;
	uint64_t entered;

	if (c->discard || c->over)
		return !c->over;
	entered = oc_owner_enter(c->owner);
	if (c->sse != NULL) {
		oc_status status = oc_sse_feed(c->sse, piece);

		if (status != OC_OK && !c->over)
			c->error = status;
	} else if (c->r.on_data != NULL) {
		c->r.on_data(c->r.arg, piece);
	} else {
		oc_sbuf_str(&c->body, piece);
		c->error = c->body.error;
	}
	oc_owner_leave(c->owner, entered);
	return !c->over && c->error == OC_OK;
}

static void on_data(void *arg, oc_str bytes)
{
	oc_local_call *c = arg;
	const char *p = bytes.p, *end = bytes.p + bytes.n;

	if (c->timer != NULL && c->head_seen && c->r.idle_ms != 0)
		oc_timer_again(c->timer, c->r.idle_ms);
	while (!c->over && (p < end || c->h1.done || c->h1.paused)) {
		oc_h1_event event = oc_h1_next(&c->h1, &p, end);

		if (event == OC_H1_MORE)
			return;
		if (event == OC_H1_ERROR) {
			if (c->error != OC_OK)
				fail(c, c->error, "the answer of %s could not be taken", c->where);
			else if (c->h1.error_status == 413)
				fail(c, OC_E_LIMIT, "the answer of %s is too large", c->where);
			else if (!c->over)
				fail(c, OC_E_PROTOCOL, "%s does not speak HTTP: %s", c->where,
				     c->h1.error_text != NULL ? c->h1.error_text : "?");
			return;
		}
		if (event == OC_H1_HEAD) {
			if (c->is_ws && (c->h1.status >= 200 || c->h1.status == 101)) {
				ws_begin(c);
				if (c->ws != NULL && p < end)
					oc_ws_feed(c->ws, oc_str_make(p, (size_t)(end - p)));
				return;
			}
			begin_body(c);
		} else if (c->discard) {
			oc_h1_reset(&c->h1);
		} else {
			finish(c, OC_OK, OC_STR_NONE);
		}
	}
}

static void on_end(void *arg, oc_status why)
{
	oc_local_call *c = arg;

	if (c->over)
		return;
	if (why == OC_OK && oc_h1_eof(&c->h1) == OC_H1_DONE) {
		finish(c, OC_OK, OC_STR_NONE);
		return;
	}
	fail(c, OC_E_IO, "%s closed the connection %s", c->where,
	     c->head_seen ? "in the middle of its answer" : "without an answer");
}

static const oc_stream_cbs callbacks = {.on_data = on_data, .on_end = on_end};

/* ---- The request ---- */

static void on_connect(uv_connect_t *req, int status)
{
	oc_local_call *c = req->data;
	oc_str all = oc_sbuf_view(&c->out);

	if (c->over)
		return;
	if (status != 0) {
		bool absent = status == UV_ENOENT || status == UV_ECONNREFUSED;

		fail(c, absent ? OC_E_UNAVAILABLE : status == UV_EACCES ? OC_E_DENIED : OC_E_IO, "%s %s: %s",
		     absent ? "no gateway listens on" : "cannot connect to", c->where, uv_strerror(status));
		return;
	}
	if (c->s.is_tcp)
		(void)uv_tcp_nodelay(&c->s.uv.tcp, 1);
	if (oc_stream_start(&c->s, &callbacks, c) != OC_OK) {
		fail(c, OC_E_IO, "cannot read from %s", c->where);
		return;
	}
	oc_stream_write(&c->s, &all, 1);
	oc_sbuf_free(&c->out);
}

static oc_status connect_to(oc_local_call *c, const char *unix_path, const char *address, uint16_t port, oc_err *err)
{
	int rc;

	c->connect.data = c;
	if (unix_path != NULL) {
		if (strlen(unix_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
			return oc_fail(err, OC_E_LIMIT, NULL, "the socket path %s is too long", unix_path);
		c->peer.is_unix = true;
		uv_pipe_connect(&c->connect, &c->s.uv.pipe, unix_path, on_connect);
		return OC_OK;
	}
	struct sockaddr_storage addr;

	rc = uv_ip4_addr(address, port, (struct sockaddr_in *)(void *)&addr);
	if (rc != 0)
		rc = uv_ip6_addr(address, port, (struct sockaddr_in6 *)(void *)&addr);
	if (rc != 0)
		return oc_fail(err, OC_E_INVALID, NULL, "\"%s\" is not an IP address", address);
	rc = uv_tcp_connect(&c->connect, &c->s.uv.tcp, (struct sockaddr *)&addr, on_connect);
	return rc == 0 ? OC_OK : oc_fail_errno(err, -rc, "cannot connect to %s port %u", address, (unsigned)port);
}

static bool plain(const char *s)
{
	return s == NULL || strpbrk(s, "\r\n") == NULL;
}

static void free_unstarted(oc_local_call *c)
{
	oc_sbuf_free(&c->out);
	oc_free(c);
}

/* What both kinds of calls share. On success the caller's request is in c->out already. */
static oc_status begin(oc_local_call *c, oc_owner *owner, const char *unix_path, const char *address, uint16_t port,
		       uint32_t timeout_ms, oc_err *err)
{
	oc_status status;

	if (c->out.error != OC_OK) {
		status = oc_fail(err, c->out.error, NULL, "the request is too large");
		free_unstarted(c);
		return status;
	}
	if (unix_path != NULL)
		(void)snprintf(c->where, sizeof(c->where), "%s", unix_path);
	else
		(void)snprintf(c->where, sizeof(c->where), "%s port %u", address, (unsigned)port);
	c->owner = owner;
	c->h1.max_head = HEAD_MAX;
	c->h1.on_body = on_body;
	c->h1.arg = c;
	oc_h1_init(&c->h1, HTTP_RESPONSE);
	if (oc_net_init(&c->net, oc_owner_loop(owner), "local client") != OC_OK
	    || oc_stream_init(&c->s, &c->net, unix_path == NULL, on_closed, c) != OC_OK) {
		oc_net_destroy(&c->net);
		free_unstarted(c);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	}
	/* From here on the memory goes with the stream. */
	c->ticket = oc_owner_track(owner, on_sweep, c);
	c->timer = oc_timer_start(owner, timeout_ms != 0 ? timeout_ms : TIMEOUT_DEFAULT, 0, on_timeout, c);
	if (c->ticket == NULL || c->timer == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	else
		status = connect_to(c, unix_path, address, port, err);
	if (status != OC_OK)
		release(c);
	return status;
}

static void add_token(oc_local_call *c, const char *token)
{
	if (token != NULL)
		oc_sbuf_printf(&c->out, "Authorization: Bearer %s\r\n", token);
}

oc_status oc_local_start(oc_owner *owner, const oc_local_request *request, oc_err *err)
{
	const char *method = request->method != NULL ? request->method : request->body.n > 0 ? "POST" : "GET";
	oc_local_call *c;

	if (!plain(method) || !plain(request->target) || !plain(request->token) || !plain(request->content_type)
	    || strpbrk(request->target, " ") != NULL)
		return oc_fail(err, OC_E_INVALID, NULL, "a part of the request has a line break or space in it");
	c = oc_alloc(sizeof(*c));
	if (c == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	c->r = *request;
	c->head_method = strcmp(method, "HEAD") == 0;
	if (c->r.max_body == 0)
		c->r.max_body = BODY_DEFAULT;
	oc_sbuf_init(&c->body, c->r.max_body);
	oc_sbuf_init(&c->out, request->body.n + HEAD_MAX);
	oc_sbuf_printf(&c->out, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, request->target);
	add_token(c, request->token);
	if (request->headers != NULL)
		oc_sbuf_z(&c->out, request->headers);
	if (request->body.n > 0 || strcmp(method, "POST") == 0)
		oc_sbuf_printf(&c->out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
			       request->content_type != NULL ? request->content_type : "application/json", request->body.n);
	oc_sbuf_z(&c->out, "\r\n");
	oc_sbuf_str(&c->out, request->body);
	return begin(c, owner, request->unix_path, request->address, request->port, request->timeout_ms, err);
}

oc_status oc_local_ws_open(oc_owner *owner, const oc_local_ws *request, oc_err *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char noise[22];
	char key[25];
	oc_local_call *c;

	if (!plain(request->target) || !plain(request->token) || strpbrk(request->target, " ") != NULL)
		return oc_fail(err, OC_E_INVALID, NULL, "a part of the request has a line break or space in it");
	c = oc_alloc(sizeof(*c));
	if (c == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a WebSocket");
	/* 16 random bytes in base64: the last digit carries only two bits. */
	oc_random(noise, sizeof(noise));
	for (size_t i = 0; i < 22; i++)
		key[i] = digits[i < 21 ? noise[i] & 63 : noise[i] & 48];
	memcpy(key + 22, "==", 3);
	oc_ws_accept_key(oc_str_of(key), c->accept);
	c->is_ws = true;
	c->w = *request;
	oc_sbuf_init(&c->out, HEAD_MAX);
	oc_sbuf_printf(&c->out,
		       "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
		       request->target, key);
	add_token(c, request->token);
	oc_sbuf_z(&c->out, "\r\n");
	return begin(c, owner, request->unix_path, request->address, request->port, request->timeout_ms, err);
}

/* ---- For commands that do one thing ---- */

typedef struct fetch {
	oc_status status;
	int http_status;
	char *body;
	size_t n;
	bool done;
} fetch;

static void fetch_done(void *arg, oc_status status, int http_status, oc_str body)
{
	fetch *f = arg;

	f->status = status;
	f->http_status = http_status;
	f->body = oc_memdup(body.p, body.n);
	f->n = body.n;
	f->done = true;
}

oc_status oc_local_fetch(oc_loop *loop, const oc_local_request *request, int *ret_status, char **ret_body, size_t *ret_n,
			 oc_err *err)
{
	oc_owner *owner = oc_owner_new(loop, "fetch");
	oc_local_request r = *request;
	fetch f = {0};
	oc_status status;

	if (owner == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	r.on_done = fetch_done;
	r.arg = &f;
	status = oc_local_start(owner, &r, err);
	while (status == OC_OK && !f.done)
		(void)uv_run(oc_loop_uv(loop), UV_RUN_ONCE);
	oc_owner_free(owner);
	if (status == OC_OK && f.status != OC_OK)
		status = oc_fail(err, f.status, f.status == OC_E_UNAVAILABLE ? "start it: openclaw gateway run" : NULL, "%s",
				 f.body != NULL ? f.body : "the request failed");
	if (status == OC_OK && f.body == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for the answer");
	if (status != OC_OK) {
		oc_free(f.body);
		return status;
	}
	*ret_status = f.http_status;
	*ret_body = f.body;
	if (ret_n != NULL)
		*ret_n = f.n;
	return OC_OK;
}
