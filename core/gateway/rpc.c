/* JSON-RPC's two ways in: POST /rpc and the WebSocket /ws. */
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"
#include "core/gateway/jsonrpc.h"

#define LOGIN_MS 10000

static void client_init(oc_client *client, oc_gateway *gw, const oc_http_req *req)
{
	client->peer = oc_http_get_peer(req);
	client->gateway = gw;
	client->refs = 1;
}

/* ---- POST /rpc ---- */

struct post {
	oc_client client; /* first: the memory ends with its last reference */
	oc_http_req *req;
};

static void post_done(void *arg, oc_str text)
{
	struct post *post = arg;
	oc_gateway *gw = post->client.gateway;
	gw->status_class[2]++;
	if (text.n == 0)
		oc_http_respond(post->req, 204, NULL, OC_STR_NONE);
	else
		oc_http_respond(post->req, 200, "application/json", text);
	oc_client_gone(&post->client);
}

void oc_gateway_rpc(oc_gateway *gw, oc_http_req *req)
{
	struct post *post = oc_alloc(sizeof *post);
	if (post == NULL) {
		oc_http_error(req, 503, "nomem", "out of memory");
		return;
	}
	client_init(&post->client, gw, req);
	oc_access who;
	oc_access_recall(gw, req, &who);
	oc_access_grant(&post->client, &who, OC_SCOPE_ALL);
	post->client.req = post->req = req;
	(void)oc_trace_parse(oc_http_header(req, "traceparent"), post->client.trace);
	gw->rpc_calls++;
	oc_jsonrpc_handle(&post->client, oc_http_body(req), post_done, post);
}

/* ---- /ws ---- */

struct conn {
	oc_client client; /* first: the memory ends with its last reference */
	oc_watch *login; /* runs until the client has authenticated */
	oc_from from;
};

static void notify(oc_client *client, oc_str json)
{
	if (!client->gone)
		oc_ws_send(client->ws, json, false);
}

/* Whoever has logged in may stay, and send more. */
static void let_stay(struct conn *conn)
{
	if (conn->client.gone || conn->client.scopes == 0 || conn->login == NULL)
		return;
	oc_watch_end(conn->login);
	conn->login = NULL;
	oc_ws_set_max_message(conn->client.ws, OC_JSONRPC_MAX_BYTES);
}

static void ws_done(void *arg, oc_str text)
{
	oc_client *client = arg;
	let_stay((struct conn *)(void *)client);
	if (text.n > 0)
		notify(client, text);
}

static void ws_message(void *arg, oc_ws *ws, oc_str data, bool binary)
{
	struct conn *conn = arg;
	oc_client *client = &conn->client;
	if (binary) {
		oc_ws_close(ws, OC_WS_UNSUPPORTED, OC_STR("JSON-RPC is text"));
		return;
	}
	client->gateway->rpc_calls++;
	oc_client_ref(client); /* a message may end the connection under us */
	oc_jsonrpc_handle(client, data, ws_done, client);
	let_stay(conn);
	oc_client_unref(client);
}

static void ws_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	struct conn *conn = arg;
	(void)ws;
	oc_debug("gateway", "WebSocket closed: %u %.*s", code, OC_STR_ARG(reason));
	conn->client.gateway->ws_open--;
	oc_watch_end(conn->login);
	conn->login = NULL;
	oc_client_gone(&conn->client);
}

static void login_late(void *arg)
{
	struct conn *conn = arg;
	oc_ws_close(conn->client.ws, OC_WS_POLICY, OC_STR("not authenticated: call auth.login within ten seconds"));
}

void oc_gateway_ws(oc_gateway *gw, oc_http_req *req, const oc_access *who)
{
	struct conn *conn = oc_alloc(sizeof *conn);
	if (conn == NULL) {
		oc_http_error(req, 503, "nomem", "out of memory");
		return;
	}
	client_init(&conn->client, gw, req);
	oc_from_guesser(gw, req, &conn->from);
	conn->client.from = &conn->from;
	if (who != NULL)
		oc_access_grant(&conn->client, who, OC_SCOPE_ALL);
	conn->client.notify = notify;
	conn->client.can_events = who != NULL;
	oc_ws_options options = {
		.on_message = ws_message,
		.on_close = ws_close,
		.arg = conn,
		.max_message = who != NULL ? OC_JSONRPC_MAX_BYTES : 64 * 1024,
	};
	if (oc_http_upgrade_ws(req, &options, &conn->client.ws) != OC_OK) { /* answered already */
		oc_client_gone(&conn->client);
		return;
	}
	gw->status_class[1]++;
	gw->ws_connections++;
	gw->ws_open++;
	if (who == NULL)
		conn->login = oc_timer_start(gw->rt->owner, LOGIN_MS, 0, login_late, conn);
}
