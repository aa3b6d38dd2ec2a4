/* A reverse proxy to a Unix socket: see forward.h. */
#include "core/net/forward.h"

#include <string.h>
#include <sys/un.h>

#include "core/base/mem.h"
#include "core/net/server_inner.h"

#define HEAD_MAX ((size_t)256 * 1024)

struct oc_forward {
	oc_stream s; /* to the other side */
	oc_net net;
	uv_connect_t connect;
	oc_h1 h1;	/* its answer */
	oc_http_req *req; /* NULL: not ours any more */
	oc_http_tunnel *tunnel;
	oc_forward_options o;
	char *headers, *unhandled;
	char own[32];
	oc_sbuf out; /* before the connection is there: head, and the body's first pieces */
	oc_watch *timer;
	oc_owner *owner;
	bool connected, chunked, upgrade, head_seen, skip, finished;
};

static const oc_stream_cbs callbacks;

/* ---- The end ---- */

static void on_stream_closed(void *arg)
{
	oc_forward *f = arg;
	oc_h1_free(&f->h1);
	oc_sbuf_free(&f->out);
	oc_owner_free(f->owner);
	oc_net_destroy(&f->net);
	oc_free(f->headers);
	oc_free(f->unhandled);
	oc_free(f);
}

static void finish(oc_forward *f, oc_forward_end end, oc_status status, const char *why)
{
	oc_http_req *req = f->req;
	if (f->finished)
		return;
	f->finished = true;
	f->req = NULL;
	oc_watch_end(f->timer);
	f->timer = NULL;
	if (req != NULL && !req->gone)
		oc_http_on_close(req, NULL, NULL);
	f->o.done(f->o.arg, req, end, f->head_seen ? f->h1.status : 0, status, why);
	if (f->tunnel == NULL)
		oc_stream_close(&f->s, false);
}

void oc_forward_fail(oc_forward *f, oc_status status, const char *why)
{
	if (f->head_seen && f->req != NULL && !f->finished) {
		/* The client must see that something is missing. */
		oc_http_req *req = f->req;
		oc_http_on_close(req, NULL, NULL);
		f->req = NULL;
		oc_http_abort(req);
		finish(f, OC_FORWARD_GONE, status, why);
	} else {
		finish(f, OC_FORWARD_FAILED, status, why);
	}
}

/* The client went. A request that is ours has to be ended all the same. */
static void on_client_gone(void *arg, oc_http_req *req)
{
	oc_forward *f = arg;
	f->req = NULL;
	if (req->owned)
		oc_http_abort(req);
	finish(f, OC_FORWARD_GONE, OC_E_STATE, "the client is gone");
}

static void on_timeout(void *arg)
{
	oc_forward_fail(arg, OC_E_TIMEOUT, "it did not answer in time");
}

/* ---- The request ---- */

static bool is_hop(oc_str name)
{
	static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
					    "transfer-encoding", "upgrade", "expect", "content-length", "http2-settings"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (oc_str_ieq(name, oc_str_of(names[i])))
			return true;
	return false;
}

static bool starts_with(oc_str name, const char *prefix)
{
	size_t n = strlen(prefix);
	return n > 0 && name.n >= n && oc_str_ieq((oc_str){name.p, n}, oc_str_of(prefix));
}

/* Named by the Connection header: for us only. */
static bool is_named(const oc_h1 *h, oc_str name)
{
	char text[128];
	if (name.n == 0 || name.n >= sizeof(text))
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	return oc_h1_header_has_token(h, "connection", text);
}

static void add_line(oc_sbuf *b, oc_str name, oc_str value)
{
	oc_sbuf_str(b, name);
	oc_sbuf_z(b, ": ");
	oc_sbuf_str(b, value);
	oc_sbuf_z(b, "\r\n");
}

static void write_head(oc_forward *f)
{
	const oc_http_req *req = f->req;
	const oc_h1 *h = &req->conn->h1;
	oc_str target = oc_http_target(req), name, value;
	oc_sbuf *b = &f->out;
	oc_sbuf_printf(b, "%.*s ", OC_STR_ARG(oc_http_method(req)));
	if (oc_str_starts(target, "/")) {
		oc_sbuf_str(b, target);
	} else {
		oc_str query = oc_http_query(req);
		oc_sbuf_z(b, "/");
		if (query.n > 0)
			oc_sbuf_printf(b, "?%.*s", OC_STR_ARG(query));
	}
	oc_sbuf_z(b, " HTTP/1.1\r\n");
	for (size_t i = 0; i < oc_http_header_count(req); i++) {
		oc_http_header_at(req, i, &name, &value);
		if (is_hop(name) || starts_with(name, f->own) || is_named(h, name) ||
		    (f->o.drop_authorization && oc_str_ieq(name, OC_STR("authorization"))))
			continue;
		add_line(b, name, value);
	}
	oc_sbuf_z(b, f->headers);
	f->upgrade = h->upgrade && !h->chunked && h->content_length == 0 && !h->http10;
	if (f->upgrade)
		oc_sbuf_printf(b, "Connection: Upgrade\r\nUpgrade: %.*s\r\n", OC_STR_ARG(oc_http_header(req, "upgrade")));
	else
		oc_sbuf_z(b, "Connection: close\r\n");
	f->chunked = h->chunked;
	if (h->chunked)
		oc_sbuf_z(b, "Transfer-Encoding: chunked\r\n");
	else if (h->has_length)
		oc_sbuf_printf(b, "Content-Length: %llu\r\n", (unsigned long long)h->content_length);
	oc_sbuf_z(b, "\r\n");
}

static void send_part(oc_forward *f, oc_str part)
{
	if (f->connected)
		oc_stream_write(&f->s, &part, 1);
	else
		oc_sbuf_str(&f->out, part);
}

static void send_body(oc_forward *f, oc_str piece, bool last)
{
	char size[24];
	if (f->chunked && piece.n > 0) {
		int n = snprintf(size, sizeof(size), "%zx\r\n", piece.n);
		send_part(f, (oc_str){size, (size_t)n});
	}
	if (piece.n > 0)
		send_part(f, piece);
	if (f->chunked && piece.n > 0)
		send_part(f, OC_STR("\r\n"));
	if (f->chunked && last)
		send_part(f, OC_STR("0\r\n\r\n"));
}

static void on_piece(void *arg, oc_http_req *req, oc_str piece, bool last)
{
	oc_forward *f = arg;
	if (f->req != req)
		return; /* answered meanwhile: nobody reads the rest */
	send_body(f, piece, last);
	if (!last && f->connected && f->s.queued > f->s.high)
		oc_http_body_pause(req, true);
}

/* The other side took what waited. */
static void on_upstream_drain(void *arg)
{
	oc_forward *f = arg;
	if (f->tunnel != NULL)
		oc_http_tunnel_pause(f->tunnel, false);
	else if (f->req != NULL)
		oc_http_body_pause(f->req, false);
}

oc_status oc_forward_new(oc_loop *loop, oc_http_req *req, const oc_forward_options *options, oc_forward **ret, oc_err *err)
{
	oc_forward *f = oc_alloc(sizeof(*f));
	if (f == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	f->req = req;
	f->o = *options;
	f->headers = oc_strdup(options->headers != NULL ? options->headers : "");
	f->unhandled = oc_strdup(options->unhandled != NULL ? options->unhandled : "");
	(void)snprintf(f->own, sizeof(f->own), "%s", options->own != NULL ? options->own : "");
	oc_sbuf_init(&f->out, HEAD_MAX + (options->gathered ? oc_http_body(req).n + 1024 : 0));
	if (f->headers != NULL && f->unhandled != NULL) {
		write_head(f);
		if (options->gathered)
			send_body(f, oc_http_body(req), true);
	}
	f->owner = oc_owner_new(loop, "forwarded request");
	if (f->headers == NULL || f->unhandled == NULL || f->out.error != OC_OK || f->owner == NULL ||
	    oc_net_init(&f->net, loop, "forwarded request") != OC_OK || oc_stream_init(&f->s, &f->net, false, on_stream_closed, f) != OC_OK) {
		oc_net_destroy(&f->net);
		oc_owner_free(f->owner);
		oc_sbuf_free(&f->out);
		oc_free(f->headers);
		oc_free(f->unhandled);
		oc_free(f);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	}
	f->h1.max_head = (uint32_t)HEAD_MAX;
	if (options->first_ms != 0)
		f->timer = oc_timer_start(f->owner, options->first_ms, 0, on_timeout, f);
	if (!options->gathered) {
		oc_http_body_stream(req, on_piece, f);
		oc_http_body_pause(req, true);
	}
	oc_http_on_close(req, on_client_gone, f);
	*ret = f;
	return OC_OK;
}

static void on_connect(uv_connect_t *connect, int status)
{
	oc_forward *f = connect->data;
	oc_str all = oc_sbuf_view(&f->out);
	if (f->finished)
		return;
	if ((status == UV_ECONNREFUSED || status == UV_ENOENT) && f->o.refused != NULL && f->o.refused(f->o.arg))
		return;
	if (status != 0) {
		oc_forward_fail(f, OC_E_UNAVAILABLE, uv_strerror(status));
		return;
	}
	if (f->out.error != OC_OK || oc_stream_start(&f->s, &callbacks, f) != OC_OK) {
		oc_forward_fail(f, OC_E_NOMEM, "out of memory");
		return;
	}
	f->connected = true;
	oc_stream_write(&f->s, &all, 1);
	oc_sbuf_free(&f->out);
	if (!f->o.gathered && f->req != NULL && f->s.queued <= f->s.high)
		oc_http_body_pause(f->req, false);
}

static bool on_answer_body(void *arg, oc_str piece);

void oc_forward_connect(oc_forward *f, const char *unix_path)
{
	if (f->finished)
		return;
	if (strlen(unix_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		oc_forward_fail(f, OC_E_LIMIT, "the path of its socket is too long");
		return;
	}
	f->h1.on_body = on_answer_body;
	f->h1.arg = f;
	oc_h1_init(&f->h1, HTTP_RESPONSE);
	f->connect.data = f;
	uv_pipe_connect(&f->connect, &f->s.uv.pipe, unix_path, on_connect);
}

/* ---- The answer ---- */

static void on_client_drain(void *arg, oc_http_req *req)
{
	oc_forward *f = arg;
	if (f->req == req)
		oc_stream_pause(&f->s, false);
}

static bool on_answer_body(void *arg, oc_str piece)
{
	oc_forward *f = arg;
	if (f->skip)
		return true;
	if (f->req == NULL)
		return false;
	oc_status status = oc_http_write(f->req, piece);
	if (status == OC_E_BUSY)
		oc_stream_pause(&f->s, true);
	return status == OC_OK || status == OC_E_BUSY;
}

static void begin_answer(oc_forward *f)
{
	const oc_h1 *h = &f->h1;
	oc_http_req *req = f->req;
	for (uint32_t i = 0; i < h->n_headers; i++) {
		oc_str name = oc_h1_view(h, h->headers[i].name, h->headers[i].name_n);
		if (!is_hop(name) && !starts_with(name, f->own) && !is_named(h, name))
			(void)oc_http_add_header(req, name.p, oc_h1_view(h, h->headers[i].value, h->headers[i].value_n));
	}
	f->head_seen = true;
	f->h1.max_body = UINT64_MAX;
	if (oc_http_is(req, "HEAD") && req->conn->h1.method == HTTP_HEAD)
		f->h1.parser.flags |= F_SKIPBODY;
	oc_watch_end(f->timer);
	f->timer = NULL;
	oc_http_on_drain(req, on_client_drain, f);
	(void)oc_http_respond_head(req, h->status, NULL, h->has_length && !h->chunked ? (int64_t)h->content_length : -1);
}

/* ---- Tunnels ---- */

static void tunnel_data(void *arg, oc_str bytes)
{
	oc_forward *f = arg;
	oc_stream_write(&f->s, &bytes, 1);
	if (f->tunnel != NULL && f->s.queued > f->s.high)
		oc_http_tunnel_pause(f->tunnel, true);
}

static void tunnel_drain(void *arg)
{
	oc_forward *f = arg;
	oc_stream_pause(&f->s, false);
}

static void tunnel_closed(void *arg)
{
	oc_forward *f = arg;
	f->tunnel = NULL;
	oc_stream_close(&f->s, false);
}

static const oc_http_tunnel_cbs tunnel_cbs = {tunnel_data, tunnel_drain, tunnel_closed};

static void tunnel_write(oc_forward *f, oc_str bytes)
{
	if (f->tunnel != NULL && bytes.n > 0 && oc_http_tunnel_write(f->tunnel, bytes) == OC_E_BUSY)
		oc_stream_pause(&f->s, true);
}

static void begin_tunnel(oc_forward *f, oc_str rest)
{
	const oc_h1 *h = &f->h1;
	oc_http_req *req = f->req;
	oc_sbuf head;
	if (!f->upgrade) {
		oc_forward_fail(f, OC_E_PROTOCOL, "it switched protocols without being asked");
		return;
	}
	oc_sbuf_init(&head, HEAD_MAX);
	oc_sbuf_z(&head, "HTTP/1.1 101 Switching Protocols\r\n");
	for (uint32_t i = 0; i < h->n_headers; i++) {
		oc_str name = oc_h1_view(h, h->headers[i].name, h->headers[i].name_n);
		if (oc_str_ieq(name, OC_STR("upgrade")) || oc_str_ieq(name, OC_STR("connection")) ||
		    (!is_hop(name) && !starts_with(name, f->own)))
			add_line(&head, name, oc_h1_view(h, h->headers[i].value, h->headers[i].value_n));
	}
	oc_sbuf_z(&head, "\r\n");
	f->head_seen = true;
	oc_http_on_close(req, NULL, NULL);
	f->tunnel = head.error == OC_OK ? oc_http_upgrade_raw(req, oc_sbuf_view(&head), &tunnel_cbs, f) : NULL;
	oc_sbuf_free(&head);
	if (f->tunnel == NULL) {
		f->head_seen = false;
		oc_forward_fail(f, OC_E_STATE, "the connection cannot change its protocol now");
		return;
	}
	f->req = NULL;
	finish(f, OC_FORWARD_ANSWERED, OC_OK, "");
	tunnel_write(f, rest);
}

/* ---- Bytes of the other side ---- */

static void took_head(oc_forward *f, oc_str rest)
{
	f->skip = f->h1.status < 200;
	if (f->h1.status == 101)
		begin_tunnel(f, rest);
	else if (f->h1.status >= 200 && f->unhandled[0] != 0 && oc_h1_header_get(&f->h1, f->unhandled).p != NULL)
		finish(f, OC_FORWARD_UNHANDLED, OC_OK, "");
	else if (f->h1.status >= 200)
		begin_answer(f);
}

static void over(oc_forward *f)
{
	oc_http_req *req = f->req;
	oc_http_on_close(req, NULL, NULL);
	f->req = NULL;
	oc_http_end(req);
	finish(f, OC_FORWARD_ANSWERED, OC_OK, "");
}

static void on_data(void *arg, oc_str bytes)
{
	oc_forward *f = arg;
	const char *p = bytes.p, *end = bytes.p + bytes.n;
	if (f->tunnel != NULL) {
		tunnel_write(f, bytes);
		return;
	}
	while (!f->finished && (p < end || f->h1.done || f->h1.paused)) {
		oc_h1_event event = oc_h1_next(&f->h1, &p, end);
		if (event == OC_H1_MORE)
			return;
		if (event == OC_H1_ERROR) {
			oc_forward_fail(f, OC_E_PROTOCOL, f->h1.error_text != NULL ? f->h1.error_text : "its answer is not HTTP");
			return;
		}
		if (event == OC_H1_HEAD)
			took_head(f, (oc_str){p, (size_t)(end - p)});
		else if (f->skip)
			oc_h1_reset(&f->h1); /* 100, 103: the answer follows */
		else
			over(f);
	}
}

static void on_end(void *arg, oc_status why)
{
	oc_forward *f = arg;
	if (f->tunnel != NULL) {
		oc_http_tunnel *tunnel = f->tunnel;
		f->tunnel = NULL;
		oc_http_tunnel_close(tunnel);
		oc_stream_close(&f->s, false);
	} else if (!f->finished && why == OC_OK && f->head_seen && oc_h1_eof(&f->h1) == OC_H1_DONE) {
		over(f);
	} else if (!f->finished) {
		oc_forward_fail(f, OC_E_RETRY, f->head_seen ? "it ended in the middle of its answer" : "it ended without an answer");
	}
}

static const oc_stream_cbs callbacks = {.on_data = on_data, .on_drain = on_upstream_drain, .on_end = on_end};
