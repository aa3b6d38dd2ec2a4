/* sessions.* of OpenClaw's own protocol: the sessions that session.* tells about, in the original's shape. */
#include <stdio.h>
#include <string.h>

#include "core/agent/heartbeat.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/chat.h"
#include "core/gateway/claw_subscribe.h"

/* ---- One row ---- */

/* What a session keeps for its commands (/verbose …), by the names of this protocol. */
static const struct {
	const char *member, *name, *values[6];
} settings[] = {
	{"verboseLevel", "verbose", {"on", "full", "off"}},
	{"reasoningLevel", "reasoning", {"on", "off", "stream"}},
	{"responseUsage", "usage", {"off", "tokens", "full", "on"}},
	{"sendPolicy", "sendPolicy", {"allow", "deny"}},
	{"execSecurity", "execSecurity", {"deny", "allowlist", "full"}},
	{"execAsk", "execAsk", {"off", "on-miss", "always"}},
	{"groupActivation", "activation", {"mention", "always"}},
	{"execHost", "execHost", {"sandbox"}},
	{"elevatedLevel", "elevated", {"off"}},
};

/* What the original has besides, and why nothing here would come of it: no value is kept that does nothing. */
static const struct {
	const char *member, *values[4], *why; /* no values: any */
} refusals[] = {
	{"execHost", {"gateway", "node"}, "commands run in the sandbox (tools.exec.sandbox.level says how strict it is); on nodes the tool nodes runs them"},
	{"execNode", {NULL}, "commands go to no node by themselves: the agent's tool nodes runs them there"},
	{"elevatedLevel", {"on", "ask", "full"}, "nothing runs outside of the sandbox because of a session: execSecurity and execAsk say what runs"},
	{"fastMode", {NULL}, "models are asked at their provider's usual tier"},
	{"spawnedBy", {NULL}, "only sessions_spawn makes sub-agents"},
	{"spawnDepth", {NULL}, "only sessions_spawn makes sub-agents"},
};

/* "provider/model" as two members. */
static void add_model(cJSON *o, const char *provider_name, const char *name, const char *model)
{
	const char *slash = strchr(model, '/');
	char provider[100];
	if (model[0] == 0)
		return;
	(void)snprintf(provider, sizeof provider, "%.*s", slash != NULL ? (int)(slash - model) : 0, model);
	oc_json_opt(o, provider_name, provider);
	(void)oc_json_set_str(o, name, slash != NULL ? slash + 1 : model);
}

/* How much the model can take, as far as it is known. */
static int64_t window_of(const cJSON *models, const char *model)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, models)
	{
		const char *id = oc_json_str(one, "id", "");
		if (strcmp(id, model) == 0)
			return oc_json_i64(one, "contextWindow", 0);
	}
	return 0;
}

struct known {
	cJSON *models;
	char model[200]; /* the default agent's */
};

static void know(oc_gateway *gw, struct known *k)
{
	oc_err err = {0};
	oc_auto_json cJSON *status = NULL;
	k->models = NULL;
	k->model[0] = 0;
	(void)oc_agent_models(gw->agent, &k->models, &err);
	if (oc_agent_model_status(gw->agent, OC_STR_NONE, &status, &err) == OC_OK)
		(void)snprintf(k->model, sizeof k->model, "%s", oc_json_str(status, "model", ""));
}

static cJSON *defaults_of(const struct known *k)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "modelProvider", "");
	(void)oc_json_set_str(o, "model", "");
	add_model(o, "modelProvider", "model", k->model);
	(void)oc_json_set_i64(o, "contextTokens", window_of(k->models, k->model));
	return o;
}

static cJSON *row_of(const cJSON *s, const struct known *k)
{
	const char *kind = oc_json_str(s, "kind", ""), *title = oc_json_str(s, "title", "");
	const char *model = oc_json_str(s, "model", ""), *channel = oc_json_str(oc_json_get(s, "delivery"), "channel", "webchat");
	bool group = strcmp(kind, "group") == 0 || strcmp(kind, "channel") == 0 || strcmp(kind, "thread") == 0;
	const cJSON *usage = oc_json_get(s, "usage");
	int64_t input = oc_json_i64(usage, "input", 0), output = oc_json_i64(usage, "output", 0);
	cJSON *o = cJSON_CreateObject(), *origin = cJSON_CreateObject(), *delivery = cJSON_CreateObject();
	(void)oc_json_set_str(o, "key", oc_json_str(s, "key", ""));
	(void)oc_json_set_str(o, "kind", group ? "group" : "direct");
	(void)oc_json_set_str(o, "chatType", group ? kind : "direct");
	oc_json_opt(o, "label", title);
	oc_json_opt(o, "displayName", title);
	(void)oc_json_set_str(origin, "provider", channel);
	(void)oc_json_set_str(origin, "surface", channel);
	(void)oc_json_set_str(origin, "chatType", group ? kind : "direct");
	(void)oc_json_set(o, "origin", origin);
	(void)oc_json_set_i64(o, "updatedAt", oc_json_i64(s, "updatedAt", 0));
	(void)oc_json_set_str(o, "sessionId", oc_json_str(s, "sessionId", ""));
	(void)oc_json_set_bool(o, "systemSent", oc_json_i64(s, "messages", 0) > 0);
	(void)oc_json_set_bool(o, "abortedLastRun", false);
	oc_json_opt(o, "thinkingLevel", oc_json_str(s, "thinking", NULL));
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		oc_json_opt(o, settings[i].member, oc_json_str(oc_json_get(s, "settings"), settings[i].name, NULL));
	oc_json_opt(o, "spawnedBy", oc_json_str(oc_json_get(s, "settings"), "spawnedBy", NULL));
	(void)oc_json_set_i64(o, "inputTokens", input);
	(void)oc_json_set_i64(o, "outputTokens", output);
	(void)oc_json_set_i64(o, "cacheRead", oc_json_i64(usage, "cacheRead", 0));
	(void)oc_json_set_i64(o, "cacheWrite", oc_json_i64(usage, "cacheWrite", 0));
	(void)oc_json_set_i64(o, "totalTokens", input + output);
	(void)oc_json_set_bool(o, "totalTokensFresh", true);
	add_model(o, "modelProvider", "model", model[0] != 0 ? model : k->model);
	(void)oc_json_set_i64(o, "contextTokens", window_of(k->models, model[0] != 0 ? model : k->model));
	(void)oc_json_set_str(delivery, "channel", channel);
	oc_json_opt(delivery, "to", oc_json_str(oc_json_get(s, "delivery"), "to", NULL));
	(void)oc_json_set(o, "deliveryContext", delivery);
	(void)oc_json_set_str(o, "lastChannel", channel);
	oc_json_opt(o, "derivedTitle", oc_json_str(s, "preview", NULL));
	oc_json_opt(o, "lastMessagePreview", oc_json_str(s, "preview", NULL));
	return o;
}

cJSON *oc_claw_session_row(oc_gateway *gw, const char *key)
{
	oc_auto_json cJSON *session = NULL;
	oc_err err = {0};
	struct known k;
	if (oc_agent_session(gw->agent, oc_str_of(key), &session, &err) != OC_OK)
		return NULL;
	know(gw, &k);
	cJSON *row = row_of(session, &k);
	cJSON_Delete(k.models);
	return row;
}

/* ---- sessions.list ---- */

static void sessions_list(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	int64_t minutes = oc_json_i64(params, "activeMinutes", 0), limit = oc_json_i64(params, "limit", 0);
	const char *label = oc_json_str(params, "label", NULL), *by = oc_json_str(params, "spawnedBy", NULL);
	oc_session_filter filter = {
		.agent = oc_json_str(params, "agentId", NULL),
		.text = label != NULL ? label : oc_json_str(params, "search", NULL),
		.active_since_ms = minutes > 0 ? oc_wall_ms() - minutes * 60000 : 0,
		.limit = limit > 0 && limit < 1000 ? limit : 1000,
		.state = "active",
	};
	oc_auto_json cJSON *list = NULL;
	oc_err err = {0};
	struct known k;
	if (oc_agent_sessions(gw->agent, &filter, &list, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	know(gw, &k);
	cJSON *result = cJSON_CreateObject(), *rows = cJSON_CreateArray();
	const cJSON *one;
	cJSON_ArrayForEach(one, list)
		if ((label == NULL || strcmp(oc_json_str(one, "title", ""), label) == 0) &&
		    (by == NULL || strcmp(oc_json_str(oc_json_get(one, "settings"), "spawnedBy", ""), by) == 0))
			(void)cJSON_AddItemToArray(rows, row_of(one, &k));
	oc_auto_free char *path = oc_path_state("openclaw.db");
	(void)oc_json_set_i64(result, "ts", oc_wall_ms());
	(void)oc_json_set_str(result, "path", path != NULL ? path : "");
	(void)oc_json_set_i64(result, "count", cJSON_GetArraySize(rows));
	(void)oc_json_set(result, "defaults", defaults_of(&k));
	(void)oc_json_set(result, "sessions", rows);
	cJSON_Delete(k.models);
	oc_method_reply(call, result);
}

const oc_method oc_method_sessions_list = {
	"sessions.list", OC_SCOPE_READ, "sessions, newest activity first, in the original's shape",
	OC_PARAMS("\"limit\":{\"type\":\"integer\",\"minimum\":1}," OC_COUNT("activeMinutes", 5256000) "," OC_BOOLEAN("includeGlobal") ","
		  OC_BOOLEAN("includeUnknown") "," OC_BOOLEAN("includeDerivedTitles") "," OC_BOOLEAN("includeLastMessage") "," OC_NAME("label") ","
		  OC_NAME("spawnedBy") "," OC_NAME("agentId") "," OC_STRING("search")),
	sessions_list};

/* ---- sessions.resolve ---- */

static void sessions_resolve(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	const char *label = oc_json_str(params, "label", NULL), *id = oc_json_str(params, "sessionId", NULL);
	oc_str key = oc_json_ostr(params, "key");
	oc_auto_json cJSON *list = NULL, *session = NULL;
	char full[OC_SESSION_KEY_MAX] = "";
	oc_err err = {0};
	int given = (key.n > 0) + (label != NULL) + (id != NULL);
	if (given != 1) {
		oc_method_failf(call, OC_E_INVALID, "", given == 0 ? "Either key, sessionId, or label is required"
								   : "Provide either key, sessionId, or label (not multiple)");
		return;
	}
	if (key.n > 0 && !oc_chat_session(call, key, oc_json_ostr(params, "agentId"), full))
		return;
	bool found = key.n > 0 && oc_agent_session(gw->agent, oc_str_of(full), &session, &err) == OC_OK;
	oc_session_filter filter = {.agent = oc_json_str(params, "agentId", NULL), .text = label, .limit = 1000};
	const cJSON *one;
	if (key.n == 0 && oc_agent_sessions(gw->agent, &filter, &list, &err) == OC_OK)
		cJSON_ArrayForEach(one, list)
			if (!found && (label != NULL ? strcmp(oc_json_str(one, "title", ""), label) == 0
						     : strcmp(oc_json_str(one, "sessionId", ""), id) == 0)) {
				(void)snprintf(full, sizeof full, "%s", oc_json_str(one, "key", ""));
				found = true;
			}
	if (!found) {
		oc_method_failf(call, OC_E_INVALID, "", "No session found%s: %.200s", label != NULL ? " with label" : "", key.n > 0 ? full : label != NULL ? label : id);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "ok", true);
	(void)oc_json_set_str(result, "key", full);
	oc_method_reply(call, result);
}

const oc_method oc_method_sessions_resolve = {
	"sessions.resolve", OC_SCOPE_READ, "the full key of a session by key, id or label",
	OC_PARAMS(OC_NAME("key") "," OC_NAME("sessionId") "," OC_NAME("label") "," OC_STRING("agentId") "," OC_STRING("spawnedBy") ","
		  OC_BOOLEAN("includeGlobal") "," OC_BOOLEAN("includeUnknown")),
	sessions_resolve};

/* ---- sessions.preview ---- */

static cJSON *preview_of(oc_gateway *gw, const char *key, int64_t limit, int64_t max_chars)
{
	oc_auto_json cJSON *rows = NULL;
	oc_history_filter filter = {.limit = limit, .no_tools = true};
	cJSON *o = cJSON_CreateObject(), *items = cJSON_CreateArray();
	const cJSON *row, *part;
	oc_err err = {0};
	bool there = oc_agent_history(gw->agent, oc_str_of(key), &filter, &rows, &err) == OC_OK && cJSON_GetArraySize(rows) > 0;
	cJSON_ArrayForEach(row, rows)
	{
		oc_sbuf text;
		oc_sbuf_init(&text, 65536);
		cJSON_ArrayForEach(part, oc_json_get(row, "content")) if (text.n < (size_t)max_chars) oc_sbuf_z(&text, oc_json_str(part, "text", ""));
		size_t n = text.n;
		if (n > (size_t)max_chars) /* not in the middle of a character */
			for (n = (size_t)max_chars; n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80;)
				n--;
		cJSON *item = cJSON_CreateObject();
		char *cut = oc_memdup(oc_sbuf_view(&text).p, n);
		(void)oc_json_set_str(item, "role", oc_json_str(row, "role", ""));
		(void)oc_json_set_str(item, "text", cut != NULL ? cut : "");
		(void)cJSON_AddItemToArray(items, item);
		oc_free(cut);
		oc_sbuf_free(&text);
	}
	(void)oc_json_set_str(o, "key", key);
	(void)oc_json_set_str(o, "status", there ? "ok" : "missing");
	(void)oc_json_set(o, "items", items);
	return o;
}

static void sessions_preview(oc_method_call *call, const cJSON *params)
{
	cJSON *result = cJSON_CreateObject(), *previews = cJSON_CreateArray();
	const cJSON *key;
	cJSON_ArrayForEach(key, oc_json_get(params, "keys"))
		(void)cJSON_AddItemToArray(previews, preview_of(oc_method_gateway(call), key->valuestring, oc_json_i64(params, "limit", 12),
								oc_json_i64(params, "maxChars", 240)));
	(void)oc_json_set_i64(result, "ts", oc_wall_ms());
	(void)oc_json_set(result, "previews", previews);
	oc_method_reply(call, result);
}

const oc_method oc_method_sessions_preview = {
	"sessions.preview", OC_SCOPE_READ, "the last messages of some sessions, shortened",
	OC_PARAMS_REQ("\"keys\"", "\"keys\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":100,\"items\":{\"type\":\"string\",\"minLength\":1,"
				  "\"maxLength\":511}},\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200},"
				  "\"maxChars\":{\"type\":\"integer\",\"minimum\":20,\"maximum\":4000}"),
	sessions_preview};

/* ---- Changes ---- */

struct changing {
	oc_method_call *call;
	char key[OC_SESSION_KEY_MAX];
	char kind; /* 'p'atch, 'r'eset, 'd'elete */
};

static void on_changed(void *arg, oc_status status, const cJSON *session, const oc_err *err)
{
	struct changing *c = arg;
	bool absent = c->kind == 'd' && status == OC_E_NOT_FOUND;
	if (status != OC_OK && !absent) {
		oc_method_fail(c->call, err);
		oc_free(c);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "ok", true);
	(void)oc_json_set_str(result, "key", c->key);
	if (c->kind == 'd') {
		(void)oc_json_set_bool(result, "deleted", !absent);
		(void)oc_json_set(result, "archived", cJSON_CreateArray());
	} else {
		struct known k;
		know(oc_method_gateway(c->call), &k);
		cJSON *entry = row_of(session, &k), *resolved = cJSON_CreateObject();
		add_model(resolved, "modelProvider", "model", oc_json_str(session, "model", k.model));
		(void)oc_json_set(result, "entry", entry);
		if (c->kind == 'p')
			(void)oc_json_set(result, "resolved", resolved);
		else
			cJSON_Delete(resolved);
		cJSON_Delete(k.models);
	}
	oc_method_reply(c->call, result);
	oc_free(c);
}

/* NULL: answered. */
static struct changing *begin(oc_method_call *call, const cJSON *params, char kind)
{
	struct changing *c = oc_alloc(sizeof *c);
	if (c == NULL) {
		oc_method_failf(call, OC_E_NOMEM, "", "out of memory");
		return NULL;
	}
	c->call = call;
	c->kind = kind;
	if (oc_chat_session(call, oc_json_ostr(params, "key"), OC_STR_NONE, c->key))
		return c;
	oc_free(c);
	return NULL;
}

static void began(struct changing *c, oc_status status, const oc_err *err)
{
	if (status != OC_OK)
		on_changed(c, status, NULL, err);
}

/* What is said of a member: NULL nothing, "" take it away. */
static const char *wanted(const cJSON *params, const char *name)
{
	const cJSON *one = oc_json_get(params, name);
	return one == NULL ? NULL : cJSON_IsString(one) ? one->valuestring : "";
}

static bool label_taken(oc_gateway *gw, const char *label, const char *key)
{
	oc_auto_json cJSON *list = NULL;
	oc_session_filter filter = {.text = label, .limit = 1000};
	oc_err err = {0};
	const cJSON *one;
	if (label == NULL || label[0] == 0 || oc_agent_sessions(gw->agent, &filter, &list, &err) != OC_OK)
		return false;
	cJSON_ArrayForEach(one, list)
		if (strcmp(oc_json_str(one, "title", ""), label) == 0 && strcmp(oc_json_str(one, "key", ""), key) != 0)
			return true;
	return false;
}

static void refuse_setting(oc_method_call *call, size_t i)
{
	char known[100] = "";
	size_t n = 0;
	for (size_t k = 0; settings[i].values[k] != NULL && n < sizeof known; k++)
		n += (size_t)snprintf(known + n, sizeof known - n, "%s\"%s\"", k > 0 ? "|" : "", settings[i].values[k]);
	oc_method_failf(call, OC_E_INVALID, "", "invalid %s (use %s)", settings[i].member, known);
}

/* The settings among the parameters, as a JSON object; NULL: none. false: answered. */
static bool read_settings(oc_method_call *call, const cJSON *params, char **ret)
{
	oc_auto_json cJSON *patch = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const char *value = wanted(params, settings[i].member);
		bool known = value != NULL && value[0] == 0;
		for (size_t k = 0; value != NULL && settings[i].values[k] != NULL; k++)
			known = known || strcmp(value, settings[i].values[k]) == 0;
		if (value == NULL)
			continue;
		if (!known) {
			refuse_setting(call, i);
			return false;
		}
		if (strcmp(settings[i].name, "reasoning") == 0 && strcmp(value, "stream") == 0)
			value = "on";
		else if (strcmp(settings[i].name, "usage") == 0 && strcmp(value, "on") == 0)
			value = "tokens";
		(void)oc_json_set(patch, settings[i].name, value[0] != 0 ? cJSON_CreateString(value) : cJSON_CreateNull());
	}
	*ret = patch != NULL && patch->child != NULL ? oc_json_print(patch) : NULL;
	return true;
}

/* That something is not set, or not on, is true here and asked of us. */
static bool is_refused(const cJSON *params, size_t i)
{
	const cJSON *value = oc_json_get(params, refusals[i].member);
	if (value == NULL || cJSON_IsNull(value) || cJSON_IsFalse(value))
		return false;
	bool listed = refusals[i].values[0] == NULL;
	for (size_t k = 0; k < 4 && refusals[i].values[k] != NULL; k++)
		listed = listed || (cJSON_IsString(value) && strcmp(value->valuestring, refusals[i].values[k]) == 0);
	return listed;
}

static void sessions_patch(oc_method_call *call, const cJSON *params)
{
	static const char *const levels[] = {"", "off", "minimal", "low", "medium", "high"};
	const char *thinking = wanted(params, "thinkingLevel"), *label = wanted(params, "label"), *model = wanted(params, "model");
	oc_err err = {0};
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		if (is_refused(params, i)) {
			oc_method_failf(call, OC_E_UNAVAILABLE, "", "%s cannot be that: %s", refusals[i].member, refusals[i].why);
			return;
		}
	bool known = thinking == NULL;
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		known = known || strcmp(thinking, levels[i]) == 0;
	if (!known) {
		oc_method_failf(call, OC_E_INVALID, "", "invalid thinkingLevel (use off|minimal|low|medium|high)");
		return;
	}
	oc_auto_free char *kept = NULL;
	if (!read_settings(call, params, &kept))
		return;
	struct changing *c = begin(call, params, 'p');
	if (c == NULL)
		return;
	if (label_taken(oc_method_gateway(call), label, c->key)) {
		oc_method_failf(call, OC_E_INVALID, "", "label already in use: %.200s", label);
		oc_free(c);
		return;
	}
	began(c, oc_agent_session_put(oc_method_gateway(call)->agent, oc_str_of(c->key), OC_STR_NONE,
				      &(oc_session_put){label, model, thinking, kept}, on_changed, c, &err), &err);
}

#define OR_NULL(name) "\"" name "\":{\"type\":[\"string\",\"boolean\",\"integer\",\"null\"]}"
const oc_method oc_method_sessions_patch = {
	"sessions.patch", OC_SCOPE_ADMIN, "changes a session's label, model, thinking level and what it shows (verboseLevel, reasoningLevel, responseUsage), sends (sendPolicy), "
	"lets run (execSecurity, execAsk; execHost is sandbox, elevatedLevel off, fastMode false, and others are refused with the reason) and when it answers "
	"in a group (groupActivation); makes it when there is none",
	OC_PARAMS_REQ("\"key\"", OC_NAME("key") ",\"label\":{\"type\":[\"string\",\"null\"],\"minLength\":1,\"maxLength\":64},"
			 "\"model\":{\"type\":[\"string\",\"null\"],\"maxLength\":200},\"thinkingLevel\":{\"type\":[\"string\",\"null\"],\"maxLength\":32},"
			 OR_NULL("verboseLevel") "," OR_NULL("reasoningLevel") "," OR_NULL("fastMode") "," OR_NULL("responseUsage") ","
			 OR_NULL("elevatedLevel") "," OR_NULL("execHost") "," OR_NULL("execSecurity") "," OR_NULL("execAsk") "," OR_NULL("execNode") ","
			 OR_NULL("spawnedBy") "," OR_NULL("spawnDepth") "," OR_NULL("sendPolicy") "," OR_NULL("groupActivation")),
	sessions_patch};

static void sessions_reset(oc_method_call *call, const cJSON *params)
{
	struct changing *c = begin(call, params, 'r');
	oc_err err = {0};
	if (c != NULL)
		began(c, oc_agent_session_reset(oc_method_gateway(call)->agent, oc_str_of(c->key), oc_json_str(params, "reason", "reset"), on_changed, c, &err), &err);
}

const oc_method oc_method_sessions_reset = {
	"sessions.reset", OC_SCOPE_ADMIN, "begins a session's history anew; what was said is kept",
	OC_PARAMS_REQ("\"key\"", OC_NAME("key") ",\"reason\":{\"enum\":[\"new\",\"reset\"]}"), sessions_reset};

static void sessions_delete(oc_method_call *call, const cJSON *params)
{
	struct changing *c = begin(call, params, 'd');
	oc_session_key key = {0};
	oc_err err = {0};
	if (c == NULL)
		return;
	if (oc_session_key_parse(oc_str_of(c->key), &key, &err) == OC_OK && strcmp(key.kind, "main") == 0) {
		oc_method_failf(call, OC_E_INVALID, "", "Cannot delete the main session (%s).", c->key);
		oc_free(c);
		return;
	}
	began(c, oc_agent_session_delete(oc_method_gateway(call)->agent, oc_str_of(c->key), on_changed, c, &err), &err);
}

const oc_method oc_method_sessions_delete = {
	"sessions.delete", OC_SCOPE_ADMIN, "removes a session and all its messages",
	OC_PARAMS_REQ("\"key\"", OC_NAME("key") "," OC_BOOLEAN("deleteTranscript") "," OC_BOOLEAN("emitLifecycleHooks")), sessions_delete};

/* ---- status ---- */

/* What `status` says of a session besides: how full it is, and what is set in it, in short. */
static void add_fullness(cJSON *row, const cJSON *session)
{
	static const char *const shown[][2] = {{"thinkingLevel", "think"}, {"verboseLevel", "verbose"}, {"reasoningLevel", "reasoning"}};
	int64_t window = oc_json_i64(row, "contextTokens", 0), used = oc_json_i64(row, "totalTokens", 0);
	cJSON *flags = cJSON_CreateArray();
	char text[80];
	(void)oc_json_set_str(row, "agentId", oc_json_str(session, "agent", ""));
	(void)oc_json_set_i64(row, "age", oc_wall_ms() - oc_json_i64(session, "updatedAt", oc_wall_ms()));
	(void)oc_json_set(row, "remainingTokens", window > 0 ? cJSON_CreateNumber((double)(used < window ? window - used : 0)) : cJSON_CreateNull());
	(void)oc_json_set(row, "percentUsed", window > 0 ? cJSON_CreateNumber((double)(used * 100 / window)) : cJSON_CreateNull());
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (oc_json_str(row, shown[i][0], "")[0] != 0) {
			(void)snprintf(text, sizeof text, "%s:%s", shown[i][1], oc_json_str(row, shown[i][0], ""));
			(void)cJSON_AddItemToArray(flags, cJSON_CreateString(text));
		}
	(void)snprintf(text, sizeof text, "id:%s", oc_json_str(row, "sessionId", ""));
	(void)cJSON_AddItemToArray(flags, cJSON_CreateString(text));
	(void)oc_json_set(row, "flags", flags);
}

static cJSON *heartbeats_of(oc_gateway *gw)
{
	oc_auto_json cJSON *agents = NULL;
	oc_err err = {0};
	const cJSON *one;
	cJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();
	(void)oc_agent_agents(gw->agent, &agents, &err);
	(void)oc_json_set_str(o, "defaultAgentId", oc_json_str(agents, "defaultId", "main"));
	cJSON_ArrayForEach(one, oc_json_get(agents, "agents"))
	{
		cJSON *row = oc_heartbeat_describe(gw->rt->config, oc_json_str(one, "id", "main"));
		(void)oc_json_set_str(row, "agentId", oc_json_str(one, "id", "main"));
		cJSON_DeleteItemFromObjectCaseSensitive(row, "prompt"); /* health has all */
		(void)cJSON_AddItemToArray(list, row);
	}
	(void)oc_json_set(o, "agents", list);
	return o;
}

static void status(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_session_filter filter = {.limit = 10};
	oc_auto_json cJSON *list = NULL;
	oc_auto_free char *path = oc_path_state("openclaw.db");
	oc_err err = {0};
	struct known k;
	const cJSON *one;
	(void)params;
	know(gw, &k);
	cJSON *result = cJSON_CreateObject(), *sessions = cJSON_CreateObject(), *recent = cJSON_CreateArray(), *paths = cJSON_CreateArray();
	(void)oc_agent_sessions(gw->agent, &filter, &list, &err);
	cJSON_ArrayForEach(one, list)
	{
		cJSON *row = row_of(one, &k);
		add_fullness(row, one);
		(void)cJSON_AddItemToArray(recent, row);
	}
	(void)cJSON_AddItemToArray(paths, cJSON_CreateString(path != NULL ? path : ""));
	(void)oc_json_set(sessions, "paths", paths);
	(void)oc_json_set_i64(sessions, "count", oc_store_session_count(gw->rt->store));
	(void)oc_json_set(sessions, "defaults", defaults_of(&k));
	(void)oc_json_set(sessions, "recent", recent);
	(void)oc_json_set_str(result, "runtimeVersion", PACKAGE_VERSION);
	(void)oc_json_set(result, "heartbeat", heartbeats_of(gw));
	(void)oc_json_set(result, "channelSummary", cJSON_CreateArray());
	(void)oc_json_set(result, "queuedSystemEvents", cJSON_CreateArray());
	(void)oc_json_set(result, "sessions", sessions);
	(void)oc_json_set(result, "gateway", oc_gateway_status(gw));
	cJSON_Delete(k.models);
	oc_method_reply(call, result);
}

const oc_method oc_method_status = {"status", OC_SCOPE_READ, "the version, recent sessions, and what system.status tells", OC_PARAMS(""), status};
