/* Answers: heads, bodies, chunks. */
#include <stdio.h>
#include <string.h>

#include "core/net/server_inner.h"

#define HEAD_MAX 512
#define TYPE_MAX 160

#define STATUS_MAP(X)                                                                                        \
	X(100, "Continue") X(101, "Switching Protocols") X(200, "OK") X(201, "Created") X(202, "Accepted")   \
	X(204, "No Content") X(206, "Partial Content") X(301, "Moved Permanently") X(302, "Found")           \
	X(303, "See Other") X(304, "Not Modified") X(307, "Temporary Redirect") X(308, "Permanent Redirect") \
	X(400, "Bad Request") X(401, "Unauthorized") X(402, "Payment Required") X(403, "Forbidden")          \
	X(404, "Not Found") X(405, "Method Not Allowed") X(406, "Not Acceptable")                            \
	X(408, "Request Timeout") X(409, "Conflict") X(410, "Gone") X(411, "Length Required")                \
	X(412, "Precondition Failed") X(413, "Content Too Large") X(414, "URI Too Long")                     \
	X(415, "Unsupported Media Type") X(416, "Range Not Satisfiable") X(417, "Expectation Failed")        \
	X(421, "Misdirected Request") X(422, "Unprocessable Content") X(425, "Too Early")                    \
	X(426, "Upgrade Required") X(428, "Precondition Required") X(429, "Too Many Requests")               \
	X(431, "Request Header Fields Too Large") X(451, "Unavailable For Legal Reasons")                    \
	X(499, "Client Closed Request") X(500, "Internal Server Error") X(501, "Not Implemented")            \
	X(502, "Bad Gateway") X(503, "Service Unavailable") X(504, "Gateway Timeout")                        \
	X(505, "HTTP Version Not Supported")

static const char *status_text(int status)
{
	switch (status) {
#define STATUS_CASE(number, text) \
	case number:              \
		return text;
		STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
	default:
		return "Unknown";
	}
}

static char *put(char *at, const char *p, size_t n)
{
	memcpy(at, p, n);
	return at + n;
}
#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

static bool value_ok(oc_str value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool has_body(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

/* Everything of a head up to the added headers. length -1: chunked, or until the end for HTTP/1.0. */
static size_t make_head(oc_conn *c, int status, const char *type, int64_t length, char out[HEAD_MAX])
{
	const char *text = status_text(status);
	const char *date = oc_server_date(c->server);
	size_t type_n = type != NULL ? strlen(type) : 0;
	char *at = out;

	if (status == 200) {
		at = PUT(at, "HTTP/1.1 200 OK\r\nDate: ");
	} else {
		at = PUT(at, "HTTP/1.1 ");
		at = oc_put_u64(at, (uint64_t)status);
		*at++ = ' ';
		at = put(at, text, strlen(text));
		at = PUT(at, "\r\nDate: ");
	}
	at = put(at, date, 29);
	at = PUT(at, "\r\nX-Content-Type-Options: nosniff\r\n");
	if (type_n > 0 && type_n <= TYPE_MAX && value_ok(oc_str_make(type, type_n))) {
		at = PUT(at, "Content-Type: ");
		at = put(at, type, type_n);
		at = PUT(at, "\r\n");
	}
	if (length >= 0 && has_body(status)) {
		at = PUT(at, "Content-Length: ");
		at = oc_put_u64(at, (uint64_t)length);
		at = PUT(at, "\r\n");
	} else if (length < 0 && has_body(status) && !c->h1.http10) {
		at = PUT(at, "Transfer-Encoding: chunked\r\n");
	}
	if (!c->keep)
		at = PUT(at, "Connection: close\r\n");
	else if (c->h1.http10)
		at = PUT(at, "Connection: keep-alive\r\n");
	return (size_t)(at - out);
}

/* Whether a handler may set it; the rest of the head is the server's. */
static bool name_ok(const char *name)
{
	static const char *const own[] = {"content-length", "transfer-encoding", "connection", "date",
					  "keep-alive",	    "trailer",		 "x-content-type-options"};
	size_t n = strlen(name);

	if (n == 0 || n > 128)
		return false;
	for (size_t i = 0; i < n; i++) {
		char ch = name[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9')
		      || strchr("!#$%&'*+-.^_`|~", ch) != NULL))
			return false;
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (oc_str_ieq(oc_str_make(name, n), oc_str_of(own[i])))
			return false;
	}
	return true;
}

oc_status oc_http_add_header(oc_http_req *req, const char *name, oc_str value)
{
	if (req->head_sent)
		return OC_E_STATE;
	if (!name_ok(name) || !value_ok(value))
		return OC_E_INVALID;
	oc_sbuf_z(&req->extra, name);
	oc_sbuf_z(&req->extra, ": ");
	oc_sbuf_str(&req->extra, value);
	oc_sbuf_z(&req->extra, "\r\n");
	return req->extra.error;
}

/* Whether the whole request was read: if not, the connection cannot be used again. */
static void decide_keep(oc_conn *c)
{
	if (c->server->draining || !(c->stage == OC_CONN_HANDLING || (c->stage == OC_CONN_BODY && c->h1.done)))
		c->keep = false;
}

/* The head of an answer and, when there is one, its first part; OC_E_STATE when the client is gone. */
static oc_status send_head(oc_http_req *req, int status, const char *type, int64_t length, const oc_str *body)
{
	oc_conn *c = req->conn;
	char head[HEAD_MAX];
	oc_str parts[4];
	size_t n = 0;

	req->head_sent = true;
	req->owned = true;
	req->no_body = c->h1.method == HTTP_HEAD || !has_body(status);
	if (req->gone || c->stage == OC_CONN_DEAD)
		return OC_E_STATE;
	if (req->extra.error != OC_OK)
		oc_sbuf_clear(&req->extra);
	decide_keep(c);
	if (length < 0 && c->h1.http10 && !req->no_body)
		c->keep = false;
	req->chunked = length < 0 && !c->h1.http10 && !req->no_body;
	parts[n++] = oc_str_make(head, make_head(c, status, type, length, head));
	if (req->extra.n > 0)
		parts[n++] = oc_sbuf_view(&req->extra);
	parts[n++] = oc_str_of(c->server->head_end);
	if (body != NULL && !req->no_body)
		parts[n++] = *body;
	oc_stream_write(&c->s, parts, n);
	return OC_OK;
}

/* A second answer, or one after a head, is a mistake of the handler; the client must not take it for the whole. */
static bool already(oc_http_req *req)
{
	if (!req->head_sent)
		return false;
	oc_conn_dropped(req->conn);
	return true;
}

void oc_http_respond(oc_http_req *req, int status, const char *content_type, oc_str body)
{
	if (already(req))
		return;
	(void)send_head(req, status, content_type, (int64_t)body.n, &body);
	oc_conn_finished(req->conn);
}

static void error_body(oc_sbuf *b, const char *code, const char *message)
{
	oc_sbuf_z(b, "{\"error\":{\"code\":");
	oc_sbuf_json(b, oc_str_of(code));
	oc_sbuf_z(b, ",\"type\":"); /* where clients of OpenAI's and the original's APIs look */
	oc_sbuf_json(b, oc_str_of(code));
	oc_sbuf_z(b, ",\"message\":");
	oc_sbuf_json(b, oc_str_of(message));
	oc_sbuf_z(b, "}}\n");
}

void oc_http_error(oc_http_req *req, int status, const char *code, const char *message)
{
	oc_sbuf b;

	oc_sbuf_init(&b, 65536);
	error_body(&b, code, message);
	oc_http_respond(req, status, "application/json", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

void oc_conn_reply_error(oc_conn *c, int status, const char *code, const char *message)
{
	char head[HEAD_MAX];
	oc_str parts[3];
	oc_sbuf b;

	oc_sbuf_init(&b, 4096);
	error_body(&b, code, message);
	c->keep = false;
	parts[1] = oc_str_of(c->server->head_end);
	parts[2] = oc_sbuf_view(&b);
	parts[0] = oc_str_make(head, make_head(c, status, "application/json", (int64_t)parts[2].n, head));
	oc_stream_write(&c->s, parts, 3);
	oc_sbuf_free(&b);
}

/* ---- Streams ---- */

oc_status oc_http_respond_head(oc_http_req *req, int status, const char *content_type, int64_t content_length)
{
	if (req->head_sent)
		return OC_E_STATE;
	req->left = content_length < 0 ? -1 : content_length;
	if (!req->gone && req->conn->stage != OC_CONN_DEAD)
		oc_stream_lazy(&req->conn->s); /* the first piece usually follows at once */
	return send_head(req, status, content_type, content_length, NULL);
}

oc_status oc_http_write(oc_http_req *req, oc_str bytes)
{
	oc_conn *c = req->conn;
	const size_t high = c->server->options.max_queue;
	char size[20];
	oc_str parts[3];
	size_t n = 0;

	if (req->gone || c->stage == OC_CONN_DEAD || !req->head_sent)
		return OC_E_STATE;
	if (c->s.queued > high && c->s.queued - high + bytes.n > OC_CONN_LIMIT_FACTOR * high) {
		oc_queue_refused(OC_QUEUE_http_send_bytes);
		oc_conn_kill(c);
		return OC_E_LIMIT;
	}
	if (req->left >= 0) {
		if (bytes.n > (uint64_t)req->left) {
			oc_conn_kill(c);
			return OC_E_LIMIT;
		}
		req->left -= (int64_t)bytes.n;
	}
	if (bytes.n == 0 || req->no_body)
		return OC_OK;
	if (req->chunked) {
		parts[n++] = oc_str_make(size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", bytes.n));
		parts[n++] = bytes;
		parts[n++] = OC_STR("\r\n");
	} else {
		parts[n++] = bytes;
	}
	oc_stream_lazy(&c->s);
	oc_stream_write(&c->s, parts, n);
	return c->s.queued > high ? OC_E_BUSY : OC_OK;
}

void oc_http_end(oc_http_req *req)
{
	oc_conn *c = req->conn;

	if (!req->head_sent) {
		oc_http_error(req, 500, "internal", "the request was ended without an answer");
		return;
	}
	if (req->left > 0 && !req->no_body) {
		oc_conn_dropped(c); /* less than announced */
		return;
	}
	if (!req->gone && c->stage != OC_CONN_DEAD) {
		if (req->chunked) {
			oc_str last = OC_STR("0\r\n\r\n");

			oc_stream_write(&c->s, &last, 1);
		}
		if (c->s.corked == 0)
			oc_stream_flush(&c->s);
	}
	oc_conn_finished(c);
}

void oc_http_abort(oc_http_req *req)
{
	oc_conn_dropped(req->conn);
}
