/* See proto.h: connections, frames, events. */
#include "core/gateway/chat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/absent.h"
#include "core/gateway/node.h"

#define HANDSHAKE_MS 15000
#define HEALTH_MS 60000
#define MOST_STRAYED 10
#define PRESENCE_MS 250 /* changes within it are told together */
#define MAX_ANSWER (64u << 20)

/* ---- Frames out ---- */

static void send_text(oc_client *client, oc_str text)
{
	oc_proto *p = (oc_proto *)(void *)client;
	if (!client->gone && oc_ws_send(p->client.ws, text, false) == OC_E_BUSY)
		p->slow = true;
}

static void send_res(oc_proto *p, oc_sbuf *b)
{
	if (b->error == OC_OK)
		send_text(&p->client, oc_sbuf_view(b));
	else
		oc_warn("gateway", "an answer is not sent: %s", oc_status_text(b->error));
	oc_sbuf_free(b);
}

static void send_result(oc_proto *p, const cJSON *id, oc_str payload)
{
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_ANSWER);
	oc_frame_result(&b, id, payload);
	send_res(p, &b);
}

static void send_error(oc_proto *p, const cJSON *id, const oc_err *err, oc_str details)
{
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_ANSWER);
	oc_frame_error(&b, id, p->error_code, err, details);
	send_res(p, &b);
}

/* ---- Calls ---- */

/* One request; it and its tree lie in the arena. */
struct call {
	oc_arena *arena;
	oc_proto *proto;
	const cJSON *id;
};

static void on_answer(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	struct call *call = arg;
	oc_proto *p = call->proto;
	if (status == OC_OK) {
		send_result(p, call->id, result);
	} else {
		send_error(p, call->id, err, result);
		if (!p->connected && !p->client.gone)
			oc_ws_close(p->client.ws, p->close_code, oc_str_of(err->text));
	}
	oc_arena_free(call->arena);
}

static void on_interim(void *arg, oc_str result)
{
	const struct call *call = arg;
	send_result(call->proto, call->id, result);
}

/* Scope before existence: who may not do everything is not told what there is. */
static bool may_call(oc_proto *p, int row, const oc_absent *absent, oc_err *err)
{
	unsigned needs = row >= 0 ? oc_method_row((size_t)row)->scope : absent != NULL ? absent->scope : 0;
	bool is_node = p->client.scopes == OC_SCOPE_NODE;
	if (!p->connected)
		return true;
	if (is_node != (needs == OC_SCOPE_NODE) && (row >= 0 || absent != NULL || is_node)) {
		p->strayed++;
		(void)oc_fail(err, OC_E_DENIED, "", "unauthorized role: %s", is_node ? "node" : "operator");
		return false;
	}
	p->strayed = 0;
	return true;
}

static void call_method(oc_proto *p, oc_arena *arena, const cJSON *id, const char *name, const cJSON *params)
{
	OC_UNSET oc_err err, why;
	oc_err_clear(&why);
	int row = oc_method_find(oc_str_of(name), &err);
	const oc_absent *absent = row < 0 ? oc_absent_find(oc_str_of(name)) : NULL;
	struct call *call = oc_arena_alloc(arena, sizeof *call);
	if (call == NULL) {
		oc_arena_free(arena);
		return;
	}
	*call = (struct call){arena, p, id};
	if (p->connected && row >= 0 && oc_method_row((size_t)row) == &oc_method_connect)
		(void)oc_fail(&why, OC_E_INVALID, "", "connect is only valid as the first request");
	bool health = p->node != NULL && row >= 0 && oc_method_row((size_t)row) == &oc_method_health;
	if (health) { /* a node may look whether all is well, and nothing else of an operator's */
		on_answer(call, OC_OK, oc_proto_health(p->client.gateway), NULL);
	} else if (why.code != OC_OK || !may_call(p, row, absent, &why)) {
		on_answer(call, why.code, OC_STR_NONE, &why);
		if (p->strayed > MOST_STRAYED) /* it does not look at what it is told */
			oc_ws_close(p->client.ws, OC_WS_POLICY, OC_STR("repeated unauthorized calls"));
	} else if (row >= 0) {
		oc_method_start(&p->client, row, params, on_answer, call);
	} else if (!oc_method_guest(&p->client, oc_str_of(name), params, on_answer, call)) {
		if (absent != NULL)
			oc_absent_refuse(absent, &p->client, &why);
		else if ((p->client.scopes & OC_SCOPE_ADMIN) == 0)
			(void)oc_fail(&why, OC_E_DENIED, "", "missing scope: operator.admin");
		else
			(void)oc_fail(&why, OC_E_INVALID, "", "unknown method: %.100s", name);
		on_answer(call, why.code, OC_STR_NONE, &why);
	}
}

/* ---- Frames in ---- */

static void refuse_early(oc_proto *p, const oc_err *err)
{
	oc_debug("gateway", "not a connect request: %s", err->text);
	oc_ws_close(p->client.ws, OC_WS_POLICY, OC_STR("invalid request frame"));
}

static void take(oc_proto *p, oc_str text)
{
	oc_arena *arena = oc_arena_new(0);
	oc_frame frame = {0};
	OC_UNSET oc_err err;
	oc_err_clear(&err);
	if (oc_frame_parse(arena, text, !p->connected, &frame, &err) != OC_OK) {
		if (p->connected)
			send_error(p, frame.id, &err, OC_STR_NONE);
		else
			refuse_early(p, &err);
		oc_arena_free(arena);
		return;
	}
	if (!p->connected && strcmp(frame.method, "connect") != 0)
		(void)oc_fail(&err, OC_E_INVALID, "", "invalid handshake: first request must be connect");
	else if (frame.params != NULL && !cJSON_IsNull(frame.params) && !cJSON_IsObject(frame.params))
		(void)oc_fail(&err, OC_E_INVALID, "", "invalid %.60s params: must be object", frame.method);
	if (err.code == OC_OK) {
		(void)oc_trace_parse(frame.traceparent, p->client.trace);
		call_method(p, arena, frame.id, frame.method, cJSON_IsObject(frame.params) ? frame.params : NULL);
		return;
	}
	send_error(p, frame.id, &err, OC_STR_NONE);
	if (!p->connected)
		oc_ws_close(p->client.ws, OC_WS_POLICY, oc_str_of(err.text));
	oc_arena_free(arena);
}

/* ---- Connections ---- */

struct oc_protos *oc_protos_of(oc_gateway *gw)
{
	if (gw->protos == NULL)
		gw->protos = oc_alloc(sizeof *gw->protos);
	return gw->protos;
}

oc_devices *oc_proto_devices(oc_gateway *gw, oc_err *err)
{
	struct oc_protos *all = oc_protos_of(gw);
	if (all == NULL)
		(void)oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	else if (all->devices == NULL)
		(void)oc_devices_open(&all->devices, err);
	return all != NULL ? all->devices : NULL;
}

oc_proto *oc_proto_of(oc_client *client)
{
	return client->interim == on_interim ? (oc_proto *)(void *)client : NULL;
}

static void on_message(void *arg, oc_ws *ws, oc_str data, bool binary)
{
	oc_proto *p = arg;
	(void)ws;
	(void)binary; /* a request is one in either kind of frame */
	p->client.gateway->rpc_calls++;
	oc_client_ref(&p->client);
	take(p, data);
	oc_client_unref(&p->client);
}

static void on_drain(void *arg, oc_ws *ws)
{
	oc_proto *p = arg;
	(void)ws;
	p->slow = false;
}

static bool hears(const oc_proto *p)
{
	return p->hears_sessions || cJSON_GetArraySize(p->heard) > 0;
}

/* Counts connections that hear something: with nobody, nothing is made to be told. */
static void count_hearing(const oc_proto *p, bool before)
{
	size_t *n = &p->client.gateway->protos->n_hearing;
	if (hears(p) && !before)
		(*n)++;
	else if (!hears(p) && before)
		(*n)--;
}

static void on_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	oc_proto *p = arg;
	oc_gateway *gw = p->client.gateway;
	(void)ws;
	if (p->node != NULL)
		oc_node_gone(p);
	oc_debug("gateway", "WebSocket closed: %u %.*s", code, OC_STR_ARG(reason));
	gw->ws_open--;
	oc_watch_end(p->timer);
	p->timer = NULL;
	if (p->link != NULL) {
		*p->link = p->next;
		if (p->next != NULL)
			p->next->link = p->link;
		oc_proto_presence_changed(gw);
	}
	p->connected = false;
	oc_free(p->origin);
	oc_free(p->host);
	oc_free(p->device);
	oc_free(p->presence);
	bool heard = hears(p);
	cJSON_Delete(p->node);
	cJSON_Delete(p->heard);
	p->node = p->heard = NULL;
	p->hears_sessions = false;
	count_hearing(p, heard);
	p->origin = p->host = p->device = p->presence = NULL;
	oc_client_gone(&p->client);
}

static void on_late(void *arg)
{
	oc_proto *p = arg;
	oc_ws_close(p->client.ws, OC_WS_POLICY, OC_STR("handshake timeout"));
}

static uint64_t handshake_ms(const oc_gateway *gw)
{
	const char *text = oc_config_env(gw->rt->config, "OPENCLAW_HANDSHAKE_TIMEOUT_MS");
	int64_t ms = HANDSHAKE_MS;
	if (text != NULL)
		(void)oc_str_i64(oc_str_of(text), 100, 600000, &ms);
	return (uint64_t)ms;
}

static void challenge(oc_proto *p)
{
	char text[160];
	int n = snprintf(text, sizeof text,
			 "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"%s\",\"ts\":%" PRId64 "}}",
			 oc_id_uuid(p->nonce), oc_wall_ms());
	send_text(&p->client, oc_str_make(text, (size_t)n));
}

static char *header_copy(const oc_http_req *req, const char *name)
{
	oc_str value = oc_http_header(req, name);
	return value.n > 0 && value.n < 1024 ? oc_memdup(value.p, value.n) : NULL;
}

void oc_proto_open(oc_gateway *gw, oc_http_req *req)
{
	oc_proto *p = oc_protos_of(gw) != NULL ? oc_alloc(sizeof *p) : NULL;
	if (p == NULL) {
		oc_http_error(req, 503, "nomem", "out of memory");
		return;
	}
	p->client = (oc_client){.gateway = gw, .refs = 1, .notify = send_text, .interim = on_interim, .protocol = OC_PROTO_MIN};
	p->client.peer = oc_http_get_peer(req);
	oc_from_request(gw, req, &p->from);
	(void)oc_access_ambient(gw, req, &p->who);
	p->close_code = OC_WS_POLICY;
	p->origin = header_copy(req, "origin");
	oc_str host = oc_access_host(gw, req);
	p->host = host.n > 0 && host.n < 1024 ? oc_memdup(host.p, host.n) : NULL;
	/* What let it in may end before it says hello; else a secret will let it in. */
	oc_http_guard(req, p->who.guard != 0 ? p->who.guard : OC_GUARD_SECRET, OC_SCOPE_NONE);
	(void)oc_id_uuid(p->id);
	oc_ws_options options = {
		.on_message = on_message, .on_drain = on_drain, .on_close = on_close, .arg = p,
		.max_message = OC_PROTO_EARLY_BYTES, .max_queue = OC_PROTO_QUEUE_BYTES,
	};
	if (oc_http_upgrade_ws(req, &options, &p->client.ws) != OC_OK) { /* answered already */
		oc_free(p->origin);
		oc_free(p->host);
		oc_client_gone(&p->client);
		return;
	}
	gw->status_class[1]++;
	gw->ws_connections++;
	gw->ws_open++;
	p->timer = oc_timer_start(gw->rt->owner, handshake_ms(gw), 0, on_late, p);
	challenge(p);
}

/* ---- Events ---- */

void oc_proto_add_versions(const oc_gateway *gw, oc_sbuf *out)
{
	oc_sbuf_printf(out, "{\"presence\":%" PRIu64 ",\"health\":%" PRIu64 "}", gw->protos->presence_version,
		       gw->protos->health_version);
}

static bool wants(const oc_proto *p, const oc_proto_event *e)
{
	bool may = (e->scope & ~p->client.scopes) == 0 || (p->node != NULL && e->session != NULL && oc_json_has_str(p->heard, e->session));
	return (e->to == NULL || e->to == p) && may && !(e->drop_if_slow && p->slow) && (!e->only_tool_events || p->tool_events)
	       && (e->wants == NULL || e->wants(p, e->session));
}

void oc_proto_send(oc_gateway *gw, const oc_proto_event *e)
{
	oc_proto *next;
	oc_sbuf b[2]; /* version 3, version 4 */
	size_t fixed[2] = {0};
	if (gw->protos == NULL || gw->protos->first == NULL)
		return;
	oc_sbuf_init(&b[0], MAX_ANSWER);
	oc_sbuf_init(&b[1], MAX_ANSWER);
	for (oc_proto *p = gw->protos->first; p != NULL; p = next) {
		next = p->next; /* a slow one may be closed by this */
		int v = p->client.protocol >= 4 && e->payload4.n > 0;
		if (!wants(p, e))
			continue;
		if (fixed[v] == 0) {
			oc_sbuf_printf(&b[v], "{\"type\":\"event\",\"event\":\"%s\",\"payload\":", e->name);
			oc_sbuf_str(&b[v], v != 0 ? e->payload4 : e->payload);
			if (e->versions) {
				oc_sbuf_z(&b[v], ",\"stateVersion\":");
				oc_proto_add_versions(gw, &b[v]);
			}
			oc_sbuf_z(&b[v], ",\"seq\":");
			fixed[v] = b[v].n;
		}
		if (b[v].error != OC_OK)
			continue;
		b[v].n = fixed[v];
		oc_sbuf_printf(&b[v], "%" PRIu64 "}", ++p->seq);
		send_text(&p->client, oc_sbuf_view(&b[v]));
	}
	oc_sbuf_free(&b[0]);
	oc_sbuf_free(&b[1]);
}

void oc_proto_send_json(oc_gateway *gw, const char *name, unsigned scope, cJSON *payload)
{
	char *text = gw->protos != NULL && gw->protos->first != NULL && payload != NULL ? oc_json_print(payload) : NULL;
	cJSON_Delete(payload);
	if (text != NULL)
		oc_proto_send(gw, &(oc_proto_event){.name = name, .scope = scope, .payload = oc_str_of(text)});
	oc_free(text);
}

void oc_proto_hear_sessions(oc_proto *p, bool from_now)
{
	bool before = hears(p);
	p->hears_sessions = from_now;
	count_hearing(p, before);
}

void oc_proto_hear(oc_proto *p, const char *session, bool from_now, int most)
{
	bool before = hears(p);
	cJSON *one;
	cJSON_ArrayForEach(one, p->heard)
	{
		if (strcmp(one->valuestring, session) == 0) {
			cJSON_Delete(cJSON_DetachItemViaPointer(p->heard, one));
			break;
		}
	}
	if (from_now && p->heard == NULL)
		p->heard = cJSON_CreateArray();
	if (from_now && cJSON_GetArraySize(p->heard) < most)
		(void)cJSON_AddItemToArray(p->heard, cJSON_CreateString(session));
	count_hearing(p, before);
}

static void tell_presence(void *arg)
{
	oc_gateway *gw = arg;
	oc_sbuf b;
	oc_watch_end(gw->protos->presence);
	gw->protos->presence = NULL;
	oc_sbuf_init(&b, 1u << 20);
	oc_sbuf_z(&b, "{\"presence\":");
	oc_proto_add_presence(gw, &b);
	oc_sbuf_char(&b, '}');
	if (b.error == OC_OK)
		oc_proto_send(gw, &(oc_proto_event){.name = "presence", .payload = oc_sbuf_view(&b), .drop_if_slow = true, .versions = true});
	oc_sbuf_free(&b);
}

void oc_proto_presence_changed(oc_gateway *gw)
{
	struct oc_protos *all = gw->protos;
	if (all == NULL)
		return;
	all->presence_version++;
	if (all->presence == NULL && all->first != NULL && !gw->stopping)
		all->presence = oc_timer_start(gw->rt->owner, PRESENCE_MS, 0, tell_presence, gw);
}

/* Both stop when nobody is there to hear them. */
static bool nobody(oc_gateway *gw, oc_watch **timer)
{
	if (gw->protos->first != NULL)
		return false;
	oc_watch_end(*timer);
	*timer = NULL;
	return true;
}

static void on_tick(void *arg)
{
	oc_gateway *gw = arg;
	char text[64];
	int n = snprintf(text, sizeof text, "{\"ts\":%" PRId64 "}", oc_wall_ms());
	if (!nobody(gw, &gw->protos->tick))
		oc_proto_send(gw, &(oc_proto_event){.name = "tick", .payload = oc_str_make(text, (size_t)n), .drop_if_slow = true});
}

static void on_health(void *arg)
{
	oc_gateway *gw = arg;
	if (nobody(gw, &gw->protos->health))
		return;
	oc_str text = oc_proto_health(gw);
	oc_proto_send(gw, &(oc_proto_event){.name = "health", .payload = text, .drop_if_slow = true, .versions = true});
}

void oc_proto_join(oc_proto *p)
{
	oc_gateway *gw = p->client.gateway;
	struct oc_protos *all = gw->protos;
	p->connected = true;
	p->client.can_events = true;
	oc_watch_end(p->timer);
	p->timer = NULL;
	oc_free(p->origin);
	oc_free(p->host);
	p->origin = p->host = NULL;
	oc_ws_set_max_message(p->client.ws, OC_PROTO_BYTES);
	oc_proto_presence_changed(gw);
	p->next = all->first;
	p->link = &all->first;
	if (p->next != NULL)
		p->next->link = &p->next;
	all->first = p;
	oc_chats_start(gw);
	if (all->tick == NULL)
		all->tick = oc_timer_start(gw->rt->owner, OC_PROTO_TICK_MS, OC_PROTO_TICK_MS, on_tick, gw);
	if (all->health == NULL)
		all->health = oc_timer_start(gw->rt->owner, HEALTH_MS, HEALTH_MS, on_health, gw);
}

/* ---- The end ---- */

void oc_proto_shutdown(oc_gateway *gw, const char *reason)
{
	cJSON *payload = cJSON_CreateObject();
	(void)oc_json_set_str(payload, "reason", reason);
	(void)oc_json_set(payload, "restartExpectedMs", cJSON_CreateNull());
	oc_proto_send_json(gw, "shutdown", OC_SCOPE_NONE, payload);
}

void oc_proto_close_all(oc_gateway *gw)
{
	for (oc_proto *p = gw->protos != NULL ? gw->protos->first : NULL; p != NULL; p = p->next)
		oc_ws_close(p->client.ws, OC_WS_RESTART, OC_STR("service restart"));
}

void oc_proto_drop_device(oc_gateway *gw, const char *device, const char *role)
{
	bool node = strcmp(role, "node") == 0;
	for (oc_proto *p = gw->protos != NULL ? gw->protos->first : NULL; p != NULL; p = p->next)
		if (p->device != NULL && strcmp(p->device, device) == 0
		    && (role[0] == 0 || node == (p->client.scopes == OC_SCOPE_NODE)))
			oc_ws_close(p->client.ws, 4001, OC_STR("device removed"));
}

void oc_proto_cleanup(oc_gateway *gw)
{
	if (gw->protos == NULL)
		return;
	oc_chats_free(gw);
	oc_nodes_free(gw);
	oc_devices_free(gw->protos->devices);
	oc_free(gw->protos->health_text);
	oc_free(gw->protos);
	gw->protos = NULL;
}
