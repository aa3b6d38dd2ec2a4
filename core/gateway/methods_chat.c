/* chat.*, agent, agent.wait: talking to the agent over OpenClaw's own protocol. */
#include <stdio.h>
#include <string.h>

#include "core/agent/transcript.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/chat.h"
#include "core/gateway/tally.h"

#define HISTORY_BYTES (6u << 20)
#define HISTORY_LIMIT 200
#define FOREVER_MS (24ull * 3600 * 1000)

bool oc_chat_session(oc_method_call *call, oc_str name, oc_str agent, char key[OC_SESSION_KEY_MAX])
{
	oc_err err = {0};
	char id[65];
	if (agent.n > 0)
		oc_agent_id_normalize(agent, id);
	else
		(void)oc_agent_default_id(oc_method_gateway(call)->rt->config, id);
	if (oc_session_key_resolve(name, id, "main", key, &err) == OC_OK)
		return true;
	if (err.code == OC_E_LIMIT) /* it will not be shorter later */
		err.code = OC_E_INVALID;
	oc_method_fail(call, &err);
	return false;
}

/* ---- Attachments ---- */

static bool is_base64(oc_str text)
{
	size_t n = text.n;
	if (n == 0 || n % 4 != 0)
		return false;
	while (n > 0 && text.n - n < 2 && text.p[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", text.p[i]) == NULL || text.p[i] == 0)
			return false;
	return true;
}

/* As media of a turn; NULL with err set when one is wrong, without when there is none. */
static cJSON *media_of(const cJSON *attachments, oc_err *err)
{
	static const char *const kinds[] = {"image", "audio", "video"};
	cJSON *media = cJSON_GetArraySize(attachments) > 0 ? cJSON_CreateArray() : NULL;
	const cJSON *one;
	cJSON_ArrayForEach(one, attachments)
	{
		const char *mime = oc_json_str(one, "mimeType", ""), *kind = "file", *name = oc_json_str(one, "fileName", NULL);
		oc_str data = oc_json_ostr(one, "content");
		const char *comma = oc_str_starts(data, "data:") ? memchr(data.p, ',', data.n) : NULL;
		if (comma != NULL)
			data = (oc_str){comma + 1, data.n - (size_t)(comma + 1 - data.p)};
		if (!is_base64(data)) {
			cJSON_Delete(media);
			(void)oc_fail(err, OC_E_INVALID, "", "attachment %s: invalid base64 content",
				      name != NULL ? name : oc_json_str(one, "type", "file"));
			return NULL;
		}
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (strncmp(mime, kinds[i], strlen(kinds[i])) == 0)
				kind = kinds[i];
		cJSON *row = cJSON_CreateObject();
		(void)oc_json_set_str(row, "type", kind);
		(void)oc_json_set_str(row, "data", data.p);
		oc_json_opt(row, "mime", mime);
		oc_json_opt(row, "name", name);
		(void)cJSON_AddItemToArray(media, row);
	}
	return media;
}

/* ---- Submitting ---- */

/* Where the session's last message came from, when the answer is to go there too. The caller's. */
static cJSON *delivery_of(oc_gateway *gw, const char *session)
{
	oc_auto_json cJSON *row = NULL;
	oc_err err = {0};
	if (oc_agent_session(gw->agent, oc_str_of(session), &row, &err) != OC_OK)
		return NULL;
	const cJSON *delivery = oc_json_get(row, "delivery");
	return oc_json_str(delivery, "channel", "")[0] != 0 ? cJSON_Duplicate(delivery, true) : NULL;
}

static oc_status submit(oc_method_call *call, const cJSON *params, const char *session, oc_turn_input *input, oc_run_ref *ref,
			oc_err *err)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_client *client = oc_method_client(call);
	char peer[OC_GATEWAY_PEER_MAX];
	oc_auto_json cJSON *media = media_of(oc_json_get(params, "attachments"), err);
	oc_auto_json cJSON *delivery = oc_json_bool(params, "deliver", false) && input->deliver == NULL ? delivery_of(gw, session) : NULL;
	if (err->code != OC_OK)
		return err->code;
	if (oc_agent_is_muted(gw->agent, session))
		return oc_fail(err, OC_E_INVALID, "", "send blocked by session policy");
	if (oc_json_ostr(params, "message").n == 0 && media == NULL)
		return oc_fail(err, OC_E_INVALID, "", "message or attachment required");
	input->session = oc_str_of(session);
	input->text = oc_json_ostr(params, "message");
	input->media = media;
	input->client = oc_gateway_peer(client->peer, peer);
	input->thinking = oc_json_ostr(params, "thinking");
	input->idempotency = oc_json_ostr(params, "idempotencyKey");
	input->trace = client->trace;
	input->restricted = oc_text_lacks_word(input->text, client->scopes);
	if (delivery != NULL)
		input->deliver = delivery;
	oc_chats_start(gw);
	oc_status status = oc_agent_submit(gw->agent, input, ref, err);
	if (status == OC_OK && !ref->duplicate)
		oc_chat_begin(gw, ref, input->idempotency);
	return status;
}

/* ---- chat.abort ---- */

struct aborting {
	oc_gateway *gw;
	const char *reason;
	cJSON *names;
};

static void abort_one(void *arg, const oc_chat *chat)
{
	struct aborting *a = arg;
	oc_err err = {0};
	if (oc_agent_cancel(a->gw->agent, chat->run, &err) != OC_OK)
		return;
	(void)cJSON_AddItemToArray(a->names, cJSON_CreateString(chat->name));
	oc_chat_tell_aborted(a->gw, chat, a->reason);
}

static void answer_aborted(oc_method_call *call, struct aborting *a)
{
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "ok", true);
	(void)oc_json_set_bool(result, "aborted", a->names != NULL && a->names->child != NULL);
	(void)oc_json_set(result, "runIds", a->names);
	oc_method_reply(call, result);
}

static void chat_abort(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	const char *name = oc_json_str(params, "runId", NULL);
	struct aborting a = {gw, "rpc", NULL};
	char session[OC_SESSION_KEY_MAX];
	if (!oc_chat_session(call, oc_json_ostr(params, "sessionKey"), OC_STR_NONE, session))
		return;
	const oc_chat *chat = name != NULL ? oc_chat_find(gw, name) : NULL;
	if (chat != NULL && !chat->ended && strcmp(chat->session, session) != 0) {
		oc_method_failf(call, OC_E_INVALID, "", "runId does not match sessionKey");
		return;
	}
	a.names = cJSON_CreateArray();
	if (name == NULL)
		oc_chats_each(gw, session, abort_one, &a);
	else if (chat != NULL && !chat->ended)
		abort_one(&a, chat);
	answer_aborted(call, &a);
}

const oc_method oc_method_chat_abort = {"chat.abort", OC_SCOPE_WRITE, "ends a run of a session, or all of them",
					OC_PARAMS_REQ("\"sessionKey\"", OC_NAME("sessionKey") "," OC_NAME("runId")), chat_abort};

/* ---- chat.send ---- */

static bool is_stop(oc_str text)
{
	static const char *const words[] = {"/stop", "stop", "abort", "/abort", "esc", "wait", "exit", "interrupt"};
	text = oc_str_trim(text);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (oc_str_ieq(text, oc_str_of(words[i])))
			return true;
	return false;
}

static void chat_send(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_err err = {0};
	oc_run_ref ref;
	char session[OC_SESSION_KEY_MAX];
	if (!oc_chat_session(call, oc_json_ostr(params, "sessionKey"), OC_STR_NONE, session))
		return;
	if (is_stop(oc_json_ostr(params, "message"))) {
		struct aborting a = {gw, "stop", cJSON_CreateArray()};
		oc_chats_each(gw, session, abort_one, &a);
		answer_aborted(call, &a);
		return;
	}
	/* What comes while a run is under way does what the session's queue says, as in a channel. */
	oc_turn_input input = {.origin = "webchat", .queue = "", .timeout_ms = (uint64_t)oc_json_i64(params, "timeoutMs", 0)};
	if (submit(call, params, session, &input, &ref, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	const oc_chat *chat = oc_chat_find(gw, ref.run);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "runId", oc_json_str(params, "idempotencyKey", ref.run));
	(void)oc_json_set_str(result, "status", !ref.duplicate ? "started" : chat != NULL && !chat->ended ? "in_flight" : "ok");
	oc_method_reply(call, result);
}

#define ATTACHMENTS "\"attachments\":{\"type\":\"array\",\"maxItems\":10,\"items\":{\"type\":\"object\"}}"
#define KEY "\"idempotencyKey\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}"
const oc_method oc_method_chat_send = {
	"chat.send", OC_SCOPE_WRITE, "sends a message to a session; `chat` events bring the answer. idempotencyKey is the run's name",
	OC_PARAMS_REQ("\"sessionKey\",\"message\",\"idempotencyKey\"",
		      OC_NAME("sessionKey") ",\"message\":{\"type\":\"string\"}," OC_STRING("thinking") "," OC_BOOLEAN("deliver") "," ATTACHMENTS
					    ",\"timeoutMs\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":86400000}," KEY),
	chat_send};

/* ---- chat.history ---- */

static cJSON *usage_of(const cJSON *models, const char *model, const cJSON *usage)
{
	static const char *const parts[] = {"input", "output", "cacheRead", "cacheWrite"};
	oc_usage u = {1, oc_json_i64(usage, "input", 0), oc_json_i64(usage, "output", 0), oc_json_i64(usage, "cacheRead", 0),
		      oc_json_i64(usage, "cacheWrite", 0), oc_json_num(usage, "cost", 0)};
	oc_sums sums = oc_sums_of(models, model, &u);
	cJSON *o = cJSON_CreateObject(), *cost = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		(void)oc_json_set(o, parts[i], cJSON_CreateNumber(sums.v[OC_SUM_INPUT + i]));
		(void)oc_json_set(cost, parts[i], cJSON_CreateNumber(sums.v[OC_SUM_COST_INPUT + i]));
	}
	(void)oc_json_set(o, "totalTokens", cJSON_CreateNumber(sums.v[OC_SUM_TOKENS]));
	(void)oc_json_set(cost, "total", cJSON_CreateNumber(u.cost));
	(void)oc_json_set(o, "cost", cost);
	return o;
}

/* What the store knows of a message besides its role and content. */
static void add_facts(cJSON *message, const cJSON *row, const cJSON *models)
{
	const char *model = oc_json_str(row, "model", ""), *slash = strchr(model, '/');
	const char *role = oc_json_str(message, "role", "");
	const cJSON *meta = oc_json_get(row, "meta");
	if (strcmp(role, "toolResult") == 0) {
		oc_json_opt(message, "toolCallId", oc_json_str(row, "toolCallId", NULL));
		oc_json_opt(message, "toolName", oc_json_str(row, "toolName", NULL));
		(void)oc_json_set_bool(message, "isError", oc_json_bool(row, "isError", false));
	} else if (strcmp(role, "assistant") == 0) {
		if (slash != NULL) {
			char provider[100];
			(void)snprintf(provider, sizeof provider, "%.*s", (int)(slash - model), model);
			(void)oc_json_set_str(message, "provider", provider);
			(void)oc_json_set_str(message, "model", slash + 1);
		}
		const char *reason = oc_json_str(meta, "stopReason", "");
		if (oc_json_get(meta, "usage") != NULL || strcmp(model, OC_AGENT_INJECTED) == 0)
			(void)oc_json_set(message, "usage", usage_of(models, model, oc_json_get(meta, "usage")));
		oc_json_opt(message, "stopReason", strcmp(reason, "tool_use") == 0 ? "toolUse" : reason);
	}
}

/* The newest that fit. Takes the rows. */
static cJSON *messages_of(oc_gateway *gw, cJSON *rows)
{
	oc_auto_json cJSON *models = NULL;
	oc_err err = {0};
	cJSON *list = cJSON_CreateArray();
	size_t bytes = 0;
	(void)oc_agent_models(gw->agent, &models, &err); /* without them costs are not divided */
	for (const cJSON *row = rows->child != NULL ? rows->child->prev : NULL; row != NULL; row = row == rows->child ? NULL : row->prev) {
		cJSON *message = oc_transcript_message(oc_json_str(row, "role", "user"), oc_json_get(row, "content"), oc_json_i64(row, "ts", 0));
		char *text = message != NULL ? oc_json_print(message) : NULL;
		bytes += text != NULL ? strlen(text) : 0;
		oc_free(text);
		if (message == NULL || bytes > HISTORY_BYTES) {
			cJSON_Delete(message);
			break;
		}
		add_facts(message, row, models);
		(void)oc_json_insert(list, 0, message);
	}
	cJSON_Delete(rows);
	return list;
}

static void chat_history(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_history_filter filter = {.limit = oc_json_i64(params, "limit", HISTORY_LIMIT)};
	oc_auto_json cJSON *row = NULL;
	cJSON *rows = NULL, *result = cJSON_CreateObject();
	oc_err err = {0};
	char session[OC_SESSION_KEY_MAX];
	if (!oc_chat_session(call, oc_json_ostr(params, "sessionKey"), OC_STR_NONE, session)) {
		cJSON_Delete(result);
		return;
	}
	(void)oc_json_set_str(result, "sessionKey", oc_json_str(params, "sessionKey", "")); /* by the name that the client knows */
	if (oc_agent_session(gw->agent, oc_str_of(session), &row, &err) == OC_OK)
		oc_json_opt(result, "sessionId", oc_json_str(row, "sessionId", NULL));
	if (row != NULL && oc_agent_history(gw->agent, oc_str_of(session), &filter, &rows, &err) == OC_OK)
		(void)oc_json_set(result, "messages", messages_of(gw, rows));
	else
		(void)oc_json_set(result, "messages", cJSON_CreateArray()); /* nobody said anything there yet */
	(void)oc_json_set_str(result, "thinkingLevel", oc_json_str(row, "thinking", "off"));
	oc_json_opt(result, "verboseLevel", oc_json_str(oc_json_get(row, "settings"), "verbose", NULL));
	oc_method_reply(call, result);
}

const oc_method oc_method_chat_history = {
	"chat.history", OC_SCOPE_READ, "the newest messages of a session, oldest first, in the original's form",
	OC_PARAMS_REQ("\"sessionKey\"", OC_NAME("sessionKey") ",\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}"), chat_history};

static void sessions_get(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_history_filter filter = {.limit = oc_json_i64(params, "limit", HISTORY_LIMIT)};
	oc_str key = oc_str_trim(oc_json_ostr(params, oc_json_get(params, "key") != NULL ? "key" : "sessionKey"));
	cJSON *rows = NULL, *result;
	oc_err err = {0};
	char session[OC_SESSION_KEY_MAX];
	if (key.n == 0) {
		oc_method_failf(call, OC_E_INVALID, "", "key required");
		return;
	}
	if (!oc_chat_session(call, key, OC_STR_NONE, session))
		return;
	result = cJSON_CreateObject();
	(void)oc_json_set(result, "messages", oc_agent_history(gw->agent, oc_str_of(session), &filter, &rows, &err) == OC_OK
						      ? messages_of(gw, rows) : cJSON_CreateArray());
	oc_method_reply(call, result);
}

const oc_method oc_method_sessions_get = {
	"sessions.get", OC_SCOPE_READ, "the newest messages of a session, as chat.history has them",
	OC_PARAMS(OC_STRING("key") "," OC_STRING("sessionKey") ",\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}"), sessions_get};

/* ---- agent ---- */

struct waiting {
	oc_method_call *call;
	char run[37], name[OC_CHAT_NAME_MAX];
	bool whole; /* of `agent`: the result; else how it stands */
};

static cJSON *payloads_of(const cJSON *data)
{
	cJSON *list = cJSON_CreateArray(), *one = cJSON_CreateObject();
	(void)oc_json_set_str(one, "text", oc_json_str(data, "text", ""));
	(void)oc_json_set(one, "mediaUrl", cJSON_CreateNull());
	if (oc_json_str(data, "text", "")[0] != 0)
		(void)cJSON_AddItemToArray(list, one);
	else
		cJSON_Delete(one);
	return list;
}

static cJSON *result_of(const cJSON *data)
{
	const char *model = oc_json_str(data, "model", ""), *slash = strchr(model, '/');
	const cJSON *usage = oc_json_get(data, "usage");
	cJSON *result = cJSON_CreateObject(), *meta = cJSON_CreateObject(), *agent = cJSON_CreateObject(), *used = cJSON_CreateObject();
	char provider[100];
	(void)snprintf(provider, sizeof provider, "%.*s", slash != NULL ? (int)(slash - model) : 0, model);
	(void)oc_json_set_str(agent, "provider", provider);
	(void)oc_json_set_str(agent, "model", slash != NULL ? slash + 1 : model);
	(void)oc_json_set_i64(used, "input", oc_json_i64(usage, "input", 0));
	(void)oc_json_set_i64(used, "output", oc_json_i64(usage, "output", 0));
	(void)oc_json_set_i64(used, "total", oc_json_i64(usage, "input", 0) + oc_json_i64(usage, "output", 0));
	(void)oc_json_set(agent, "usage", used);
	(void)oc_json_set_i64(meta, "durationMs", oc_json_i64(data, "durationMs", 0));
	(void)oc_json_set(meta, "agentMeta", agent);
	(void)oc_json_set_bool(meta, "aborted", strcmp(oc_json_str(data, "status", ""), "canceled") == 0);
	oc_json_opt(meta, "stopReason", oc_json_str(data, "stopReason", NULL));
	(void)oc_json_set(result, "payloads", payloads_of(data));
	(void)oc_json_set(result, "meta", meta);
	return result;
}

static void add_times(cJSON *result, const oc_chat *chat)
{
	if (chat != NULL && chat->started_ms > 0)
		(void)oc_json_set_i64(result, "startedAt", chat->started_ms);
	if (chat != NULL && chat->ended_ms > 0)
		(void)oc_json_set_i64(result, "endedAt", chat->ended_ms);
}

static void on_over(void *arg, oc_status status, const cJSON *data)
{
	struct waiting *w = arg;
	const cJSON *error = oc_json_get(data, "error");
	const char *how = oc_json_str(data, "status", "ok");
	bool failed = cJSON_IsObject(error), late = status == OC_E_TIMEOUT && !w->whole;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "runId", w->name);
	(void)oc_json_set_str(result, "status", late ? "timeout" : failed ? "error" : strcmp(how, "ok") == 0 || w->whole ? "ok" : "error");
	if (status != OC_OK && !late) {
		cJSON_Delete(result);
		oc_method_failf(w->call, status, "", "waiting for run %s: %s", w->name, oc_status_text(status));
	} else if (w->whole && failed) {
		oc_err err = {0};
		(void)oc_json_set_str(result, "summary", oc_json_str(error, "message", "the turn failed"));
		(void)oc_fail(&err, OC_E_UNAVAILABLE, "", "%s", oc_json_str(error, "message", "the turn failed"));
		oc_method_fail_with(w->call, &err, result);
	} else if (w->whole) {
		(void)oc_json_set_str(result, "summary", strcmp(how, "canceled") == 0 ? "aborted" : "completed");
		(void)oc_json_set(result, "result", result_of(data));
		oc_method_reply(w->call, result);
	} else {
		if (!late)
			add_times(result, oc_chat_find(oc_method_gateway(w->call), w->run));
		oc_json_opt(result, "error", oc_json_str(error, "message", NULL));
		oc_method_reply(w->call, result);
	}
	oc_free(w);
}

static void wait_for(oc_method_call *call, const char *run, const char *name, bool whole, uint64_t ms)
{
	oc_err err = {0};
	struct waiting *w = oc_alloc(sizeof *w);
	if (w == NULL) {
		oc_method_failf(call, OC_E_NOMEM, "", "out of memory");
		return;
	}
	*w = (struct waiting){.call = call, .whole = whole};
	(void)snprintf(w->run, sizeof w->run, "%s", run);
	(void)snprintf(w->name, sizeof w->name, "%s", name);
	if (oc_agent_wait(oc_method_gateway(call)->agent, run, ms, on_over, w, &err) != OC_OK) {
		oc_method_fail(call, &err);
		oc_free(w);
	}
}

/* Two names for the agent must be one. */
static oc_status check_agent(const cJSON *params, oc_err *err)
{
	oc_session_key key = {0};
	oc_err odd = {0};
	char id[65];
	if (oc_json_ostr(params, "agentId").n == 0 || oc_session_key_parse(oc_json_ostr(params, "sessionKey"), &key, &odd) != OC_OK)
		return OC_OK;
	oc_agent_id_normalize(oc_json_ostr(params, "agentId"), id);
	if (strcmp(id, key.agent) != 0)
		return oc_fail(err, OC_E_INVALID, "", "invalid agent params: agent \"%s\" does not match session key agent \"%s\"", id, key.agent);
	return OC_OK;
}

/* Where the answer of `agent` goes besides. *ret NULL: nowhere. */
static oc_status find_target(oc_gateway *gw, const cJSON *params, const char *session, cJSON **ret, oc_err *err)
{
	const char *channel = oc_json_str(params, "channel", ""), *to = oc_json_str(params, "to", "");
	bool named = channel[0] != 0 && strcmp(channel, "last") != 0, inside = strcmp(channel, "webchat") == 0;
	if (named && !inside && oc_modules_channel(gw->rt->modules, oc_str_of(channel)) == NULL)
		return oc_fail(err, OC_E_INVALID, "", "invalid agent params: unknown channel: %.64s", channel);
	if (!oc_json_bool(params, "deliver", false) || inside)
		return OC_OK;
	if (named && to[0] != 0) {
		cJSON *target = *ret = cJSON_CreateObject();
		(void)oc_json_set_str(target, "channel", channel);
		(void)oc_json_set_str(target, "account", oc_json_str(params, "accountId", "default"));
		(void)oc_json_set_str(target, "to", to);
	} else if ((*ret = delivery_of(gw, session)) == NULL && !oc_json_bool(params, "bestEffortDeliver", false)) {
		return oc_fail(err, OC_E_INVALID, "give channel and to", "the answer is to be delivered, and nobody wrote to %s over a channel yet", session);
	}
	return OC_OK;
}

static void on_labeled(void *arg, oc_status status, const cJSON *session, const oc_err *err)
{
	(void)arg;
	(void)session;
	if (status != OC_OK)
		oc_warn("gateway", "a session's label is not kept: %s", err->text);
}

static void agent(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_err err = {0};
	oc_run_ref ref;
	char session[OC_SESSION_KEY_MAX];
	const char *label = oc_json_str(params, "label", NULL);
	oc_auto_json cJSON *target = NULL;
	if (check_agent(params, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	if (!oc_chat_session(call, oc_json_ostr(params, "sessionKey"), oc_json_ostr(params, "agentId"), session))
		return;
	if (find_target(gw, params, session, &target, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	oc_turn_input input = {
		.origin = "agent", .deliver = target, .extra_system = oc_json_ostr(params, "extraSystemPrompt"),
		.model = oc_json_ostr(params, "model"), .timeout_ms = (uint64_t)oc_json_i64(params, "timeout", 0) * 1000,
	};
	if (submit(call, params, session, &input, &ref, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	const char *name = oc_json_str(params, "idempotencyKey", ref.run);
	if (!ref.duplicate && label != NULL &&
	    oc_agent_session_put(gw->agent, oc_str_of(session), OC_STR_NONE, &(oc_session_put){.title = label}, on_labeled, NULL, &err) != OC_OK)
		on_labeled(NULL, err.code, NULL, &err);
	if (!ref.duplicate) {
		cJSON *first = cJSON_CreateObject();
		(void)oc_json_set_str(first, "runId", name);
		(void)oc_json_set_str(first, "status", "accepted");
		(void)oc_json_set_i64(first, "acceptedAt", oc_wall_ms());
		oc_method_accept(call, first);
	}
	wait_for(call, ref.run, name, true, FOREVER_MS);
}

const oc_method oc_method_agent = {
	"agent", OC_SCOPE_WRITE, "runs a turn: answered first with \"accepted\" and, when it is over, with its result",
	OC_PARAMS_REQ("\"message\",\"idempotencyKey\"",
		      "\"message\":{\"type\":\"string\",\"minLength\":1}," OC_NAME("agentId") "," OC_STRING("to") "," OC_STRING("replyTo") ","
		      OC_STRING("sessionId") "," OC_STRING("sessionKey") "," OC_STRING("thinking") "," OC_STRING("model") "," OC_BOOLEAN("deliver") ","
		      OC_BOOLEAN("bestEffortDeliver") ","
		      ATTACHMENTS "," OC_STRING("channel") "," OC_STRING("replyChannel") "," OC_STRING("accountId") "," OC_STRING("replyAccountId") ","
		      OC_COUNT("timeout", 86400) "," OC_STRING("lane") ",\"extraSystemPrompt\":{\"type\":\"string\",\"maxLength\":100000}," KEY ","
		      "\"label\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}"),
	agent};

struct beginning {
	oc_method_call *call;
	char name[OC_CHAT_NAME_MAX];
	uint64_t until_ms;
};

static void on_begun(void *arg, const oc_chat *chat)
{
	struct beginning *b = arg;
	uint64_t now = oc_now_ms();
	if (chat != NULL) {
		wait_for(b->call, chat->run, b->name, false, b->until_ms > now ? b->until_ms - now : 1);
	} else {
		cJSON *result = cJSON_CreateObject();
		(void)oc_json_set_str(result, "runId", b->name);
		(void)oc_json_set_str(result, "status", "timeout");
		oc_method_reply(b->call, result);
	}
	oc_free(b);
}

/* Who waits may be quicker than who begins. */
static void wait_for_begin(oc_method_call *call, const char *name, uint64_t ms)
{
	oc_err err = {0};
	struct beginning *b = oc_alloc(sizeof *b);
	oc_chats_start(oc_method_gateway(call));
	if (b == NULL) {
		oc_method_failf(call, OC_E_NOMEM, "", "out of memory");
		return;
	}
	*b = (struct beginning){.call = call, .until_ms = oc_now_ms() + ms};
	(void)snprintf(b->name, sizeof b->name, "%s", name);
	if (oc_chat_await(oc_method_gateway(call), name, ms, on_begun, b, &err) != OC_OK) {
		oc_method_fail(call, &err);
		oc_free(b);
	}
}

static void agent_wait(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	const char *name = oc_json_str(params, "runId", "");
	const oc_chat *chat = oc_chat_find(gw, name);
	oc_auto_json cJSON *row = NULL;
	oc_err err = {0};
	int64_t asked = oc_json_i64(params, "timeoutMs", 30000);
	uint64_t ms = asked > 0 ? (uint64_t)asked : 1;
	if (chat == NULL && strlen(name) < OC_CHAT_NAME_MAX && oc_store_run(gw->rt->store, name, &row, &err) == OC_E_NOT_FOUND)
		wait_for_begin(call, name, ms);
	else
		wait_for(call, chat != NULL ? chat->run : name, name, false, ms);
}

const oc_method oc_method_agent_wait = {"agent.wait", OC_SCOPE_WRITE, "answers when a run is over, or \"timeout\"",
					OC_PARAMS_REQ("\"runId\"", OC_NAME("runId") "," OC_COUNT("timeoutMs", 86400000)), agent_wait};
