/* From a request to a WebSocket: the server's side of the handshake. */
#include <string.h>

#include "core/net/server_inner.h"

static bool ws_key_ok(oc_str key)
{
	/* 16 bytes in base64. */
	if (key.n != 24 || memcmp(key.p + 22, "==", 2) != 0)
		return false;
	for (size_t i = 0; i < 22; i++) {
		char c = key.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return false;
	}
	return true;
}

/* The request asks for a WebSocket. */
static bool wants_ws(const oc_http_req *req)
{
	const oc_h1 *h = &req->conn->h1;

	return h->upgrade && h->method == HTTP_GET && !h->http10 && oc_h1_header_has_token(h, "upgrade", "websocket");
}

static oc_status ws_refused(oc_http_req *req, int status, const char *code, const char *message)
{
	if (status == 426) {
		(void)oc_http_add_header(req, "Sec-WebSocket-Version", OC_STR("13"));
		(void)oc_http_add_header(req, "Upgrade", OC_STR("websocket"));
	}
	oc_http_error(req, status, code, message);
	return OC_E_INVALID;
}

static oc_status ws_start(oc_conn *c, const oc_ws_options *options, oc_str key, oc_ws **ret)
{
	char accept[29];
	oc_str parts[7];
	size_t n = 0;
	oc_status status;

	status = oc_ws_attach(&c->s, true, options, oc_conn_ws_gone, c, ret);
	if (status != OC_OK)
		return status;
	oc_ws_accept_key(key, accept);
	parts[n++] = OC_STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			    "Sec-WebSocket-Accept: ");
	parts[n++] = oc_str_of(accept);
	if (options->protocol != NULL) {
		parts[n++] = OC_STR("\r\nSec-WebSocket-Protocol: ");
		parts[n++] = oc_str_of(options->protocol);
	}
	parts[n++] = OC_STR("\r\n");
	parts[n++] = oc_sbuf_view(&c->req.extra);
	parts[n++] = OC_STR("\r\n");
	oc_stream_write(&c->s, parts, n);
	oc_conn_became_ws(c, *ret);
	return OC_OK;
}

oc_status oc_http_upgrade_ws(oc_http_req *req, const oc_ws_options *options, oc_ws **ret)
{
	oc_conn *c = req->conn;
	const oc_h1 *h = &c->h1;
	oc_str key = oc_h1_header_get(h, "sec-websocket-key");

	if (req->gone || c->server->draining) {
		oc_http_error(req, 503, "unavailable", "the server is shutting down");
		return OC_E_STATE;
	}
	if (!wants_ws(req))
		return ws_refused(req, 426, "upgrade_required", "this address speaks WebSocket");
	if (!oc_str_eqz(oc_http_header(req, "sec-websocket-version"), "13"))
		return ws_refused(req, 426, "upgrade_required", "only version 13 of the WebSocket protocol is spoken here");
	if (key.p == NULL || !ws_key_ok(key))
		return ws_refused(req, 400, "bad_request", "the Sec-WebSocket-Key header is missing or malformed");
	if (h->chunked || h->content_length > 0)
		return ws_refused(req, 400, "bad_request", "a WebSocket handshake has no body");
	if (ws_start(c, options, key, ret) != OC_OK) {
		oc_http_error(req, 503, "unavailable", "out of memory");
		return OC_E_NOMEM;
	}
	return OC_OK;
}

/* ---- Tunnels ---- */

static oc_conn *conn_of(oc_http_tunnel *tunnel)
{
	return (oc_conn *)(void *)tunnel;
}

oc_http_tunnel *oc_http_upgrade_raw(oc_http_req *req, oc_str head, const oc_http_tunnel_cbs *cbs, void *arg)
{
	oc_conn *c = req->conn;

	if (req->gone || c->server->draining || c->stage != OC_CONN_HANDLING || req->head_sent)
		return NULL;
	oc_stream_write(&c->s, &head, 1);
	c->tunnel = cbs;
	c->tunnel_arg = arg;
	oc_conn_became_tunnel(c);
	return (oc_http_tunnel *)(void *)c;
}

oc_status oc_http_tunnel_write(oc_http_tunnel *tunnel, oc_str bytes)
{
	oc_conn *c = conn_of(tunnel);

	oc_stream_lazy(&c->s);
	oc_stream_write(&c->s, &bytes, 1);
	return c->s.queued > c->s.high ? OC_E_BUSY : OC_OK;
}

void oc_http_tunnel_pause(oc_http_tunnel *tunnel, bool paused)
{
	oc_stream_pause(&conn_of(tunnel)->s, paused);
}

void oc_http_tunnel_close(oc_http_tunnel *tunnel)
{
	oc_conn *c = conn_of(tunnel);

	c->tunnel = NULL;
	oc_conn_end_tunnel(c);
}
