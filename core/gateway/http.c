/* The routes of the HTTP server: who may, how much, and which file answers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/gateway/access.h"
#include "core/gateway/openai.h"
#include "core/gateway/proto.h"

typedef void (*route_fn)(oc_gateway *gw, oc_http_req *req);

struct route {
	const char *path, *allow; /* methods, as in the Allow header */
	unsigned scope;		  /* what the client must have; OC_SCOPE_NONE: no authentication */
	uint64_t max_body;
	route_fn run;
};

const char *oc_gateway_peer(const oc_http_peer *peer, char out[OC_GATEWAY_PEER_MAX])
{
	if (peer == NULL)
		return NULL;
	if (peer->is_unix)
		snprintf(out, OC_GATEWAY_PEER_MAX, "unix:%lld", (long long)peer->pid);
	else
		snprintf(out, OC_GATEWAY_PEER_MAX, "%s:%u", peer->address, (unsigned)peer->port);
	return out;
}

static void count(oc_gateway *gw, int status)
{
	gw->status_class[status / 100 < 6 ? status / 100 : 5]++;
}

static void answer_json(oc_gateway *gw, oc_http_req *req, int status, oc_str json)
{
	count(gw, status);
	oc_http_respond(req, status, "application/json", json);
}

static void refuse(oc_gateway *gw, oc_http_req *req, int status, const char *code, const char *message)
{
	count(gw, status);
	oc_http_error(req, status, code, message);
}

static void health(oc_gateway *gw, oc_http_req *req)
{
	answer_json(gw, req, 200, OC_STR("{\"ok\":true,\"status\":\"live\"}"));
}

/* Whether work may be sent here: a gateway that cannot write down a message cannot take it either. */
static void ready(oc_gateway *gw, oc_http_req *req)
{
	oc_store_stats store = {0};
	oc_store_get_stats(gw->rt->store, &store);
	const char *failing = gw->stopping ? "stopping" : !gw->ready ? "starting" : store.stalled_since_ms > 0 ? "store" : NULL;
	uint64_t up_ms = (oc_now_ns() - gw->started_ns) / 1000000u;
	char body[96];
	if (failing == NULL)
		(void)snprintf(body, sizeof body, "{\"ready\":true,\"failing\":[],\"uptimeMs\":%" PRIu64 "}", up_ms);
	else
		(void)snprintf(body, sizeof body, "{\"ready\":false,\"failing\":[\"%s\"],\"uptimeMs\":%" PRIu64 "}", failing, up_ms);
	answer_json(gw, req, failing == NULL ? 200 : 503, oc_str_of(body));
}

static void metrics(oc_gateway *gw, oc_http_req *req)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 1u << 20);
	oc_gateway_metrics(gw, &b);
	count(gw, 200);
	oc_http_respond(req, 200, "text/plain; version=0.0.4; charset=utf-8", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static void rpc(oc_gateway *gw, oc_http_req *req)
{
	oc_gateway_rpc(gw, req);
}

static void refuse_auth(oc_gateway *gw, oc_http_req *req, const oc_access *who)
{
	uint64_t wait = oc_access_locked_ms(gw, req);
	if (wait > 0) {
		char seconds[OC_U64_CHARS];
		char *end = oc_put_u64(seconds, wait / 1000 + 1);
		oc_http_add_header(req, "retry-after", oc_str_make(seconds, (size_t)(end - seconds)));
		refuse(gw, req, 429, "rate_limited", "too many wrong tokens from your address; wait (see Retry-After)");
		return;
	}
	if (who->why != NULL) {
		refuse(gw, req, 401, "unauthorized", who->why);
		return;
	}
	oc_http_add_header(req, "www-authenticate", OC_STR("Bearer realm=\"openclaw\""));
	refuse(gw, req, 401, "unauthorized",
	       oc_http_has_header(req, "authorization") || oc_http_has_header(req, "x-api-key")
		       ? "wrong token; `openclaw status` shows where the right one is"
		       : "send `Authorization: Bearer TOKEN`; `openclaw status` shows where the token is");
}

/* Whether somebody may use a route or what a guest serves; else it was answered. */
static bool admitted(oc_gateway *gw, oc_http_req *req, unsigned scope)
{
	oc_access who;
	if (!oc_access_request(gw, req, &who)) {
		refuse_auth(gw, req, &who);
		return false;
	}
	if ((scope & ~who.scopes) == 0)
		return true;
	char text[80];
	(void)snprintf(text, sizeof text, "missing scope: operator.%s", oc_scope_name(scope & ~who.scopes));
	refuse(gw, req, 403, "forbidden", text);
	return false;
}

/* Browsers cannot send a header with a WebSocket: such a connection starts without scopes and calls auth.login. A page of another
 * site gets none to guess with. */
static void ws(oc_gateway *gw, oc_http_req *req)
{
	oc_access who;
	bool ok = oc_access_request(gw, req, &who);
	if (!ok && who.why == NULL && oc_access_is_foreign(gw, req))
		who.why = "a page of another site may not connect; gateway.controlUi.allowedOrigins names those that may";
	if (!ok)
		oc_http_guard(req, OC_GUARD_SECRET, OC_SCOPE_NONE); /* what auth.login will let in */
	if (!ok && (who.why != NULL || oc_http_has_header(req, "authorization") || oc_access_locked_ms(gw, req) > 0))
		refuse_auth(gw, req, &who);
	else
		oc_gateway_ws(gw, req, ok ? &who : NULL);
}

static void front(oc_gateway *gw, oc_http_req *req)
{
	count(gw, 200);
	oc_http_respond(req, 200, "text/plain; charset=utf-8",
			OC_STR("The OpenClaw gateway is running.\n\n"
			       "Talk to it:  openclaw agent -m \"hello\"\n"
			       "Its state:   openclaw status\n"
			       "For clients: POST /rpc, /ws (JSON-RPC 2.0), /v1/chat/completions, /v1/responses, /v1/embeddings (OpenAI's APIs),\n"
			       "             /v1/messages (Anthropic's)\n"));
}

static const struct route proto_route = {"/__openclaw__/ws", "GET", OC_SCOPE_NONE, 0, oc_proto_open};
static const struct route ui_route = {"/", "GET, HEAD", OC_SCOPE_NONE, 0, oc_gateway_ui};

static const struct route routes[] = {
	{"/auth/login", "GET, HEAD, POST", OC_SCOPE_NONE, 8192, oc_gateway_login},
	{"/auth/logout", "POST", OC_SCOPE_NONE, 1024, oc_gateway_logout},
	{"/health", "GET, HEAD", OC_SCOPE_NONE, 0, health},
	{"/healthz", "GET, HEAD", OC_SCOPE_NONE, 0, health},
	{"/ready", "GET, HEAD", OC_SCOPE_NONE, 0, ready},
	{"/readyz", "GET, HEAD", OC_SCOPE_NONE, 0, ready},
	{"/rpc", "POST", OC_SCOPE_READ, 1u << 20, rpc},
	{"/ws", "GET", OC_SCOPE_NONE, 0, ws},
	{"/v1/chat/completions", "POST", OC_SCOPE_WRITE, OC_OPENAI_BODY_MAX, oc_gateway_completions},
	{"/v1/responses", "POST", OC_SCOPE_WRITE, OC_OPENAI_BODY_MAX, oc_gateway_responses},
	{"/v1/messages", "POST", OC_SCOPE_WRITE, OC_OPENAI_BODY_MAX, oc_gateway_messages},
	{"/v1/embeddings", "POST", OC_SCOPE_WRITE, OC_OPENAI_BODY_MAX, oc_gateway_embeddings},
	{"/v1/models", "GET, HEAD", OC_SCOPE_READ, 0, oc_gateway_models},
	{"/v1/models/", "GET, HEAD", OC_SCOPE_READ, 0, oc_gateway_models}, /* and what is below */
	{"/tools/invoke", "POST", OC_SCOPE_WRITE, 2u << 20, oc_gateway_tools_invoke},
	{"/metrics", "GET, HEAD", OC_SCOPE_READ, 0, metrics},
	{"/", "GET, HEAD", OC_SCOPE_NONE, 0, front},
};

/* Clients of OpenClaw's own protocol come to any path that is not somebody's: most to "/". */
static bool is_upgrade(const oc_http_req *req)
{
	return oc_str_ieq(oc_http_header(req, "upgrade"), OC_STR("websocket"));
}

static const struct route *find(oc_str path)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		const char *p = routes[i].path;
		size_t n = strlen(p);
		if (oc_str_eqz(path, p) || (n > 1 && p[n - 1] == '/' && oc_str_starts(path, p)))
			return &routes[i];
	}
	return NULL;
}

static bool allowed(const char *allow, oc_str method)
{
	oc_str rest = oc_str_of(allow);
	while (rest.p != NULL)
		if (oc_str_eq(oc_str_trim(oc_str_cut(&rest, ',')), method))
			return true;
	return false;
}

/* What authenticates by itself: whoever guessed too often guesses there no more. Else it was answered. */
static bool admitted_openly(oc_gateway *gw, oc_http_req *req)
{
	static const oc_access nobody;
	if (!oc_http_has_header(req, "authorization") || oc_access_locked_ms(gw, req) == 0)
		return true;
	refuse_auth(gw, req, &nobody);
	return false;
}

/* false: it is for no plugin. */
static bool for_plugin(oc_gateway *gw, oc_http_req *req, bool only_routes)
{
	bool auth;
	if (!oc_gateway_plugin_head(gw, req, only_routes, &auth))
		return false;
	void *visit = oc_http_user(req);
	if (auth ? admitted(gw, req, OC_SCOPE_WRITE) : admitted_openly(gw, req)) {
		oc_access_hide(gw, req);
		oc_gateway_plugin_begin(req);
	} else {
		oc_gateway_plugin_refused(visit); /* the request is gone */
	}
	return true;
}

void oc_gateway_head(void *arg, oc_http_req *req)
{
	oc_gateway *gw = arg;
	gw->requests++;
	if (oc_gateway_hook_head(gw, req))
		return;
	const struct route *route = find(oc_http_path(req));
	bool ours = route != NULL && route->run != front;
	if (!ours && for_plugin(gw, req, true))
		return;
	oc_guest *guest = !ours ? oc_modules_http_match(gw->rt->modules, oc_http_path(req)) : NULL;
	if (guest != NULL) {
		if ((oc_guest_flags(guest) & OC_HTTP_PUBLIC) != 0 ? admitted_openly(gw, req) : admitted(gw, req, OC_SCOPE_WRITE)) {
			oc_access_hide(gw, req);
			oc_http_set_user(req, guest); /* on_request takes what is no route for a guest */
		}
		return;
	}
	if (route == NULL && for_plugin(gw, req, false))
		return;
	if (!ours && is_upgrade(req))
		route = &proto_route;
	else if (!ours && oc_gateway_ui_wants(gw, req))
		route = &ui_route;
	if (route == NULL)
		refuse(gw, req, 404, "not_found", "there is nothing at this path; see /rpc, /ws, /v1/chat/completions, /health");
	else if (!allowed(route->allow, oc_http_method(req))) {
		oc_http_add_header(req, "allow", oc_str_of(route->allow));
		refuse(gw, req, 405, "method_not_allowed", "this path does not take that method; see the Allow header");
	} else if (route->scope == OC_SCOPE_NONE || admitted(gw, req, route->scope)) {
		if (route->max_body > 0)
			oc_http_body_limit(req, route->max_body);
		oc_http_set_user(req, (void *)(uintptr_t)route);
	}
}

void oc_gateway_request(void *arg, oc_http_req *req)
{
	oc_gateway *gw = arg;
	const struct route *route = oc_http_user(req);
	if (oc_gateway_hook_request(gw, req) || oc_gateway_plugin_request(req))
		return;
	if (route == &proto_route || route == &ui_route || (route >= routes && route < routes + sizeof routes / sizeof *routes))
		route->run(gw, req);
	else
		oc_gateway_guest(gw, req, oc_http_user(req));
}
