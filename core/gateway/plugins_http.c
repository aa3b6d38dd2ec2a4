/* Requests for the HTTP routes of TypeScript plugins, handed on to the plugin's own server on a Unix socket. */
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"
#include "core/net/forward.h"

enum {
	MARK = 1,
	CANDIDATES_MAX = 16,
	FIRST_MS = 5 * 60 * 1000,	  /* until the head of an answer */
	GATHERED_MAX = 16 << 20,	  /* a body that several plugins may have to read */
	STREAMED_MAX = 1 << 30,
	AGAIN_MS = 50,
	AGAIN_MAX = 40,
};

typedef struct visit {
	oc_gateway *gw;
	oc_http_req *req;
	oc_forward *forward; /* the one under way; NULL: it is over */
	oc_watch *again;     /* until the next try */
	unsigned refusals;
	oc_from guesser; /* of a secret that is not ours; no address: there is none */
	bool drop_authorization, gathered, waits;
	size_t n, at;
	oc_plugin_http candidates[CANDIDATES_MAX];
} visit;

static void try_next(visit *v);

static void count(oc_gateway *gw, int status)
{
	gw->status_class[status / 100 < 6 ? status / 100 : 5]++;
}

static void release(visit *v)
{
	oc_watch_end(v->again);
	v->again = NULL;
	if (!v->waits) /* else on_up will */
		oc_free(v);
}

static void nobody(visit *v)
{
	count(v->gw, 404);
	oc_http_error(v->req, 404, "not_found", "there is nothing at this path; see /rpc, /ws, /v1/chat/completions, /health");
	release(v);
}

static void unavailable(visit *v, oc_status status, const char *why)
{
	const oc_plugin *plugin = v->candidates[v->at].plugin;
	int code = status == OC_E_TIMEOUT ? 504 : status == OC_E_PROTOCOL ? 502 : 503;
	oc_warn("plugins", "%s: a request was not answered: %s", oc_plugin_id(plugin), why);
	if (code == 503) {
		char seconds[24];
		int n = snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)(oc_plugin_retry_ms(plugin) + 999) / 1000);
		oc_http_add_header(v->req, "retry-after", (oc_str){seconds, (size_t)n});
	}
	count(v->gw, code);
	oc_http_error(v->req, code, code == 504 ? "timeout" : code == 502 ? "bad_gateway" : "unavailable",
		      code == 504 ? "the plugin did not answer in time"
				  : code == 502 ? "the plugin's answer is not HTTP" : "the plugin cannot answer now; try again");
	release(v);
}

static void on_done(void *arg, oc_http_req *req, oc_forward_end end, int http_status, oc_status status, const char *why)
{
	visit *v = arg;
	(void)req;
	v->forward = NULL;
	if (end == OC_FORWARD_UNHANDLED && v->gathered && v->at + 1 < v->n) {
		v->at++;
		try_next(v);
	} else if (end == OC_FORWARD_UNHANDLED) {
		nobody(v);
	} else if (end == OC_FORWARD_FAILED) {
		unavailable(v, status, why);
	} else {
		if (end == OC_FORWARD_ANSWERED)
			count(v->gw, http_status);
		if (end == OC_FORWARD_ANSWERED && (http_status == 401 || http_status == 403) && v->guesser.address[0] != 0)
			oc_access_refused(v->gw, &v->guesser);
		release(v);
	}
}

static void on_up(void *arg, oc_status status, const char *why)
{
	visit *v = arg;
	v->waits = false;
	if (v->forward == NULL) { /* the client went meanwhile */
		oc_free(v);
		return;
	}
	oc_auto_free char *path = oc_plugin_http_socket(v->candidates[v->at].plugin);
	if (status != OC_OK)
		oc_forward_fail(v->forward, status, why);
	else if (path == NULL)
		oc_forward_fail(v->forward, OC_E_NOMEM, "out of memory");
	else
		oc_forward_connect(v->forward, path);
}

static void ask(visit *v)
{
	v->waits = true;
	if (oc_plugin_need(v->candidates[v->at].plugin, on_up, v) != OC_OK) {
		v->waits = false;
		oc_forward_fail(v->forward, OC_E_NOMEM, "out of memory");
	}
}

static void ask_again(void *arg)
{
	visit *v = arg;
	oc_watch_end(v->again);
	v->again = NULL;
	ask(v);
}

/* Its process is just ending, and nobody has noticed yet: the next one will listen. */
static bool on_refused(void *arg)
{
	visit *v = arg;
	if (v->refusals++ < AGAIN_MAX)
		v->again = oc_timer_start(v->gw->rt->owner, AGAIN_MS, 0, ask_again, v);
	return v->again != NULL;
}

static void try_next(visit *v)
{
	const oc_plugin_http *candidate = &v->candidates[v->at];
	const oc_http_peer *peer = oc_http_get_peer(v->req);
	char headers[400];
	oc_err err = {0};
	(void)snprintf(headers, sizeof headers, "x-openclaw-routes: %s\r\nx-openclaw-peer: %s %u %d\r\n", candidate->routes,
		       peer->is_unix ? "127.0.0.1" : peer->address, peer->port, peer->is_tls);
	oc_forward_options options = {.headers = headers, .own = "x-openclaw-", .unhandled = "x-openclaw-unhandled",
				      .drop_authorization = v->drop_authorization, .gathered = v->gathered, .first_ms = FIRST_MS,
				      .done = on_done, .refused = on_refused, .arg = v};
	if (oc_forward_new(v->gw->rt->loop, v->req, &options, &v->forward, &err) != OC_OK) {
		unavailable(v, OC_E_NOMEM, err.text);
		return;
	}
	ask(v);
}

bool oc_gateway_plugin_head(oc_gateway *gw, oc_http_req *req, bool only_routes, bool *ret_auth)
{
	visit *v = oc_alloc(sizeof *v);
	if (v == NULL || gw->stopping || gw->rt->bridge == NULL) {
		oc_free(v);
		return false;
	}
	*v = (visit){.gw = gw, .req = req};
	v->n = only_routes ? oc_bridge_http_match(gw->rt->bridge, oc_http_path(req), v->candidates, CANDIDATES_MAX)
			   : oc_bridge_http_handlers(gw->rt->bridge, v->candidates, CANDIDATES_MAX);
	if (v->n == 0) {
		oc_free(v);
		return false;
	}
	*ret_auth = false;
	for (size_t i = 0; i < v->n; i++)
		*ret_auth |= v->candidates[i].gateway_auth;
	/* The gateway's own token is for the gateway; whatever else is in that header is for the plugin. */
	oc_access who;
	v->drop_authorization = oc_http_has_header(req, "authorization") && oc_access_secret(gw, oc_auth_bearer(oc_http_header(req, "authorization")), &who);
	if (!v->drop_authorization && oc_http_has_header(req, "authorization"))
		oc_from_guesser(gw, req, &v->guesser);
	v->gathered = v->n > 1;
	oc_http_body_limit(req, v->gathered ? GATHERED_MAX : STREAMED_MAX);
	oc_http_set_user(req, (void *)((uintptr_t)v | MARK));
	return true;
}

/* The user pointer of other requests is a route or a guest, both aligned. */
static visit *visit_of(const oc_http_req *req)
{
	uintptr_t user = (uintptr_t)oc_http_user(req);
	return (user & MARK) != 0 ? (visit *)(user & ~(uintptr_t)MARK) : NULL;
}

void oc_gateway_plugin_refused(void *user)
{
	oc_free((void *)((uintptr_t)user & ~(uintptr_t)MARK));
}

static void gone_early(void *arg, oc_http_req *req)
{
	(void)req;
	oc_free(arg);
}

void oc_gateway_plugin_begin(oc_http_req *req)
{
	visit *v = visit_of(req);
	if (v->gathered)
		oc_http_on_close(req, gone_early, v);
	else
		try_next(v);
}

bool oc_gateway_plugin_request(oc_http_req *req)
{
	visit *v = visit_of(req);
	if (v != NULL && v->gathered)
		try_next(v);
	return v != NULL;
}
