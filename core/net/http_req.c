/* What a handler can learn about a request. */
#include <string.h>

#include "core/net/server_inner.h"

static oc_str view(const oc_http_req *req, uint32_t at, uint32_t n)
{
	return oc_h1_view(&req->conn->h1, at, n);
}

oc_str oc_http_method(const oc_http_req *req)
{
	return oc_str_of(llhttp_method_name((llhttp_method_t)req->conn->h1.method));
}

bool oc_http_is(const oc_http_req *req, const char *method)
{
	uint8_t m = req->conn->h1.method;

	return strcmp(llhttp_method_name((llhttp_method_t)m), method) == 0
	       || (m == HTTP_HEAD && strcmp(method, "GET") == 0);
}

oc_str oc_http_path(const oc_http_req *req)
{
	const oc_h1 *h = &req->conn->h1;

	return h->path_n == 0 ? OC_STR_NONE : view(req, h->path, h->path_n);
}

oc_str oc_http_query(const oc_http_req *req)
{
	const oc_h1 *h = &req->conn->h1;

	return h->query_n == 0 ? OC_STR_NONE : view(req, h->query, h->query_n);
}

oc_str oc_http_target(const oc_http_req *req)
{
	return view(req, req->conn->h1.target, req->conn->h1.target_n);
}

oc_str oc_http_header(const oc_http_req *req, const char *lower_name)
{
	oc_str value = oc_h1_header_get(&req->conn->h1, lower_name);

	return value.p != NULL ? value : OC_STR_NONE;
}

bool oc_http_has_header(const oc_http_req *req, const char *lower_name)
{
	return oc_h1_header_get(&req->conn->h1, lower_name).p != NULL;
}

size_t oc_http_header_count(const oc_http_req *req)
{
	return req->conn->h1.n_headers;
}

void oc_http_header_at(const oc_http_req *req, size_t i, oc_str *ret_name, oc_str *ret_value)
{
	const oc_h1_header *header = &req->conn->h1.headers[i];

	*ret_name = view(req, header->name, header->name_n);
	*ret_value = view(req, header->value, header->value_n);
}

void oc_http_headers_json(const oc_http_req *req, oc_sbuf *out)
{
	size_t n = oc_http_header_count(req);
	oc_sbuf joined;
	bool first = true;

	oc_sbuf_init(&joined, 131072);
	oc_sbuf_char(out, '{');
	for (size_t i = 0; i < n; i++) {
		oc_str name, value, other_name, other;
		bool seen = false;

		oc_http_header_at(req, i, &name, &value);
		for (size_t j = 0; j < i && !seen; j++) {
			oc_http_header_at(req, j, &other_name, &other);
			seen = oc_str_eq(name, other_name);
		}
		if (seen)
			continue;
		oc_sbuf_clear(&joined);
		oc_sbuf_str(&joined, value);
		for (size_t j = i + 1; j < n; j++) {
			oc_http_header_at(req, j, &other_name, &other);
			if (!oc_str_eq(name, other_name))
				continue;
			oc_sbuf_z(&joined, oc_str_eqz(name, "cookie") ? "; " : ", ");
			oc_sbuf_str(&joined, other);
		}
		if (!first)
			oc_sbuf_char(out, ',');
		first = false;
		oc_sbuf_json(out, name);
		oc_sbuf_char(out, ':');
		oc_sbuf_json(out, oc_sbuf_view(&joined));
	}
	oc_sbuf_char(out, '}');
	oc_sbuf_free(&joined);
}

oc_str oc_http_body(const oc_http_req *req)
{
	return oc_sbuf_view(&req->body);
}

const oc_http_peer *oc_http_get_peer(const oc_http_req *req)
{
	return &req->conn->peer;
}

void *oc_http_user(const oc_http_req *req)
{
	return req->user;
}

void oc_http_set_user(oc_http_req *req, void *user)
{
	req->user = user;
}

void oc_http_body_limit(oc_http_req *req, uint64_t max_body)
{
	req->conn->h1.max_body = max_body;
}

void oc_http_body_stream(oc_http_req *req, void (*on_body)(void *arg, oc_http_req *req, oc_str piece, bool last),
			 void *arg)
{
	req->streams = true;
	req->on_body = on_body;
	req->on_body_arg = arg;
}

void oc_http_body_pause(oc_http_req *req, bool paused)
{
	oc_conn *c = req->conn;

	if (c->stage != OC_CONN_BODY)
		return;
	c->body_paused = paused;
	oc_stream_pause(&c->s, paused || c->in_full);
}

void oc_http_guard(oc_http_req *req, uint64_t guard, unsigned rights)
{
	req->conn->guard = guard;
	req->conn->rights = rights;
}

unsigned oc_http_rights(const oc_http_req *req)
{
	return req->conn->rights;
}

uint64_t oc_http_guarded_by(const oc_http_req *req)
{
	return req->conn->guard;
}

void oc_http_guard_ws(oc_ws *ws, uint64_t guard)
{
	((oc_conn *)oc_ws_holder(ws))->guard = guard;
}

void oc_http_on_close(oc_http_req *req, void (*cb)(void *arg, oc_http_req *req), void *arg)
{
	req->on_close = cb;
	req->on_close_arg = arg;
}

void oc_http_on_drain(oc_http_req *req, void (*cb)(void *arg, oc_http_req *req), void *arg)
{
	req->on_drain = cb;
	req->on_drain_arg = arg;
}
