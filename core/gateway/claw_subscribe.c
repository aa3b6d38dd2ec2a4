/* See claw_subscribe.h. */
#include "core/gateway/claw_subscribe.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/chat.h"

#define HEARD_MAX 200

/* ---- Telling ---- */

static bool hears(const oc_proto *p, const char *session)
{
	return p->hears_sessions || oc_json_has_str(p->heard, session);
}

static bool hears_all(const oc_proto *p, const char *session)
{
	(void)session;
	return p->hears_sessions;
}

static bool anybody(const oc_gateway *gw, bool (*wants)(const oc_proto *p, const char *session), const char *session)
{
	if (gw->protos->n_hearing == 0)
		return false;
	for (const oc_proto *p = gw->protos->first; p != NULL; p = p->next)
		if (wants(p, session))
			return true;
	return false;
}

/* Takes payload. */
static void tell_them(oc_gateway *gw, const char *name, const oc_agent_event *e, bool (*wants)(const oc_proto *p, const char *session), cJSON *payload)
{
	(void)oc_json_set_str(payload, "sessionKey", e->session);
	oc_json_opt(payload, "agentId", e->agent);
	(void)oc_json_set_i64(payload, "ts", e->ts_ms);
	cJSON *row = oc_claw_session_row(gw, e->session);
	const cJSON *one;
	cJSON_ArrayForEach(one, row) /* both as a member and among them, as clients look for either */
		if (oc_json_get(payload, one->string) == NULL)
			(void)oc_json_set(payload, one->string, cJSON_Duplicate(one, true));
	if (row != NULL)
		(void)oc_json_set(payload, "session", row);
	oc_auto_free char *text = oc_json_print(payload);
	cJSON_Delete(payload);
	if (text != NULL) /* a tool's can be large and many */
		oc_proto_send(gw, &(oc_proto_event){.name = name, .scope = OC_SCOPE_READ, .payload = oc_str_of(text), .session = e->session, .wants = wants,
						    .drop_if_slow = strcmp(name, "session.tool") == 0});
}

static void tell_changed(oc_gateway *gw, const oc_agent_event *e, const char *phase, const char *reason)
{
	if (!anybody(gw, hears_all, e->session))
		return;
	cJSON *payload = cJSON_CreateObject();
	const oc_chat *chat = e->run[0] != 0 ? oc_chat_find(gw, e->run) : NULL;
	oc_json_opt(payload, "phase", phase);
	oc_json_opt(payload, "reason", reason);
	oc_json_opt(payload, "runId", chat != NULL ? chat->name : e->run);
	tell_them(gw, "sessions.changed", e, hears_all, payload);
}

static void tell_message(oc_gateway *gw, const oc_agent_event *e, const char *role, const char *text)
{
	if (text[0] == 0 || !anybody(gw, hears, e->session))
		return;
	cJSON *payload = cJSON_CreateObject(), *message = cJSON_CreateObject(), *content = cJSON_CreateArray(), *part = cJSON_CreateObject();
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", text);
	(void)cJSON_AddItemToArray(content, part);
	(void)oc_json_set_str(message, "role", role);
	(void)oc_json_set(message, "content", content);
	(void)oc_json_set_i64(message, "timestamp", e->ts_ms);
	(void)oc_json_set(payload, "message", message);
	int64_t seq = oc_json_i64(e->data, "seq", 0);
	if (seq > 0)
		(void)oc_json_set_i64(payload, "messageSeq", seq);
	tell_them(gw, "session.message", e, hears, payload);
}

void oc_claw_tell_tool(oc_gateway *gw, const oc_agent_event *e, const char *run, uint64_t seq, oc_str data)
{
	if (!anybody(gw, hears_all, e->session))
		return;
	cJSON *payload = cJSON_CreateObject();
	oc_auto_free char *raw = oc_memdup(data.p, data.n);
	(void)oc_json_set_str(payload, "runId", run);
	(void)oc_json_set_str(payload, "stream", "tool");
	(void)oc_json_set(payload, "data", raw != NULL ? cJSON_CreateRaw(raw) : NULL);
	(void)oc_json_set_i64(payload, "seq", (int64_t)seq);
	tell_them(gw, "session.tool", e, hears_all, payload);
}

void oc_claw_tell_session(oc_gateway *gw, const oc_agent_event *e)
{
	if (gw->protos->n_hearing == 0 || e->session[0] == 0)
		return;
	if (e->type == OC_AGENT_EV_ACCEPTED)
		tell_message(gw, e, "user", oc_json_str(e->data, "text", ""));
	else if (e->type == OC_AGENT_EV_REPLY && !oc_json_bool(e->data, "silent", false))
		tell_message(gw, e, "assistant", oc_json_str(e->data, "text", ""));
	else if (e->type == OC_AGENT_EV_START)
		tell_changed(gw, e, "start", NULL);
	else if (e->type == OC_AGENT_EV_DONE)
		tell_changed(gw, e, strcmp(oc_json_str(e->data, "status", "ok"), "ok") == 0 ? "end" : "error", NULL);
	else if (e->type == OC_AGENT_EV_SESSION)
		tell_changed(gw, e, NULL, oc_json_str(e->data, "change", "changed"));
}

/* ---- Asking ---- */

/* The connection; NULL: answered. */
static oc_proto *caller(oc_method_call *call)
{
	oc_proto *p = oc_proto_of(oc_method_client(call));
	if (p == NULL)
		oc_method_failf(call, OC_E_INVALID, "events.subscribe is what JSON-RPC has", "there is nowhere to send events to");
	return p;
}

static void hear_sessions(oc_method_call *call, bool from_now)
{
	oc_proto *p = caller(call);
	if (p == NULL)
		return;
	oc_proto_hear_sessions(p, from_now);
	oc_method_reply_text(call, from_now ? OC_STR("{\"subscribed\":true}") : OC_STR("{\"subscribed\":false}"));
}

static void sessions_subscribe(oc_method_call *call, const cJSON *params)
{
	(void)params;
	hear_sessions(call, true);
}

static void sessions_unsubscribe(oc_method_call *call, const cJSON *params)
{
	(void)params;
	hear_sessions(call, false);
}

const oc_method oc_method_sessions_subscribe = {"sessions.subscribe", OC_SCOPE_READ,
						"tells this connection what happens to sessions: sessions.changed, session.message, session.tool", OC_PARAMS(""),
						sessions_subscribe};
const oc_method oc_method_sessions_unsubscribe = {"sessions.unsubscribe", OC_SCOPE_READ, "ends sessions.subscribe", OC_PARAMS(""), sessions_unsubscribe};

static void hear_messages(oc_method_call *call, const cJSON *params, bool from_now)
{
	char key[OC_SESSION_KEY_MAX];
	oc_proto *p = caller(call);
	if (p == NULL || !oc_chat_session(call, oc_json_ostr(params, "key"), OC_STR_NONE, key))
		return;
	oc_proto_hear(p, key, from_now, HEARD_MAX);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "subscribed", from_now && oc_json_has_str(p->heard, key));
	(void)oc_json_set_str(result, "key", key);
	oc_method_reply(call, result);
}

static void sessions_messages_subscribe(oc_method_call *call, const cJSON *params)
{
	hear_messages(call, params, true);
}

static void sessions_messages_unsubscribe(oc_method_call *call, const cJSON *params)
{
	hear_messages(call, params, false);
}

#define KEY OC_PARAMS_REQ("\"key\"", OC_NAME("key"))
const oc_method oc_method_sessions_messages_subscribe = {"sessions.messages.subscribe", OC_SCOPE_READ,
							 "tells this connection the messages of a session: session.message", KEY, sessions_messages_subscribe};
const oc_method oc_method_sessions_messages_unsubscribe = {"sessions.messages.unsubscribe", OC_SCOPE_READ, "ends sessions.messages.subscribe", KEY,
							   sessions_messages_unsubscribe};
