/* sessions_list, sessions_history, session_status, agents_list: what a turn may know of other conversations. */
#include "core/agent/session_tools.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/subagent.h"
#include "core/base/clock.h"

#define LIST_DEFAULT 50
#define LIST_MAX 200
#define HISTORY_DEFAULT 50
#define HISTORY_TEXT_MAX 4000
#define HISTORY_BYTES_MAX (80 * 1024)

/* ---- Who may see whom ---- */

static bool matches_agent(const cJSON *list, const char *agent_id)
{
	const cJSON *one;
	if (cJSON_GetArraySize(list) == 0)
		return true; /* on, and nobody named: everybody */
	cJSON_ArrayForEach(one, list) if (cJSON_IsString(one) && fnmatch(one->valuestring, agent_id, 0) == 0) return true;
	return false;
}

static bool agents_may_talk(const oc_config *config, const char *a, const char *b)
{
	const cJSON *allow = oc_config_get(config, "tools.agentToAgent.allow");
	return oc_config_bool(config, "tools.agentToAgent.enabled", false) && matches_agent(allow, a) && matches_agent(allow, b);
}

static bool spawned_by(oc_agent *agent, const char *session, const char *requester)
{
	char at[OC_SESSION_KEY_MAX];
	if (oc_subagent_descends(agent, session, requester))
		return true;
	/* Archived ones are known to the store only. */
	snprintf(at, sizeof at, "%s", session);
	for (int i = 0; i < 6 && oc_subagent_key(at); i++) {
		oc_auto_json cJSON *row = NULL;
		if (oc_store_session(agent->store, at, &row, NULL) != OC_OK)
			return false;
		const char *by = oc_json_str(oc_json_get(row, "settings"), "spawnedBy", "");
		if (by[0] == 0)
			return false;
		if (strcmp(by, requester) == 0)
			return true;
		snprintf(at, sizeof at, "%s", by);
	}
	return false;
}

static bool clamped(const oc_config *config, const oc_session_key *key)
{
	const cJSON *mode = oc_agent_setting(config, key->agent, "sandbox.mode");
	const cJSON *reach = oc_agent_setting(config, key->agent, "sandbox.sessionToolsVisibility");
	const char *text = cJSON_IsString(mode) ? mode->valuestring : "off";
	bool sandboxed = strcmp(text, "all") == 0 || (strcmp(text, "non-main") == 0 && strcmp(key->kind, "main") != 0);
	return sandboxed && !(cJSON_IsString(reach) && strcmp(reach->valuestring, "all") == 0);
}

static bool no(char *why, const char *text)
{
	if (why != NULL)
		snprintf(why, 200, "%s", text);
	return false;
}

bool oc_session_visible(oc_agent *agent, const oc_config *config, const char *requester, const char *target, char *why)
{
	oc_session_key from, to;
	const char *reach = oc_config_str(config, "tools.sessions.visibility", "tree");
	if (oc_session_key_parse(oc_str_of(requester), &from, NULL) != OC_OK ||
	    oc_session_key_parse(oc_str_of(target), &to, NULL) != OC_OK)
		return no(why, "that is not a session");
	if (strcmp(requester, target) == 0)
		return true;
	if (strcmp(reach, "self") != 0 && spawned_by(agent, target, requester))
		return true;
	if (strcmp(reach, "self") == 0)
		return no(why, "only this session can be reached (tools.sessions.visibility is self)");
	if (strcmp(reach, "tree") == 0 || (strcmp(reach, "agent") != 0 && strcmp(reach, "all") != 0))
		return no(why, "only this session and those started by it can be reached (tools.sessions.visibility is tree)");
	if (clamped(config, &from))
		return no(why, "a sandboxed session reaches only those it started");
	if (strcmp(from.agent, to.agent) == 0)
		return true;
	if (strcmp(reach, "agent") == 0)
		return no(why, "sessions of other agents cannot be reached (tools.sessions.visibility is agent)");
	return agents_may_talk(config, from.agent, to.agent) ||
	       no(why, "agents may not reach each other (tools.agentToAgent does not allow it)");
}

/* What a model writes for a session, as a key that the caller may see; refused otherwise. */
static bool resolve(const oc_builtin_call *call, oc_str text, char key[OC_SESSION_KEY_MAX])
{
	oc_err err = {0};
	char why[200];
	if (oc_session_key_resolve(text, call->agent_id, oc_agent_main_key(call->agent->config), key, &err) != OC_OK) {
		oc_builtin_fail(call->call, &err);
		return false;
	}
	if (oc_session_visible(call->agent, call->agent->config, call->session, key, why))
		return true;
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", "forbidden");
	oc_json_opt(o, "error", why);
	oc_builtin_json(call->call, o);
	return false;
}

/* ---- sessions_list ---- */

/* The original's kinds. */
static const char *kind_of(const cJSON *row)
{
	const char *kind = oc_json_str(row, "kind", ""), *key = oc_json_str(row, "key", "");
	if (strcmp(kind, "main") == 0)
		return "main";
	if (strcmp(kind, "group") == 0 || strcmp(kind, "channel") == 0 || strcmp(kind, "thread") == 0)
		return "group";
	if (strstr(key, ":cron:") != NULL)
		return "cron";
	if (strstr(key, ":hook:") != NULL)
		return "hook";
	return strstr(key, ":node-") != NULL ? "node" : "other";
}

static bool wanted_kind(const cJSON *kinds, const char *kind)
{
	return cJSON_GetArraySize(kinds) == 0 || oc_json_has_str(kinds, kind);
}

/* The messages of a session as others may read them: words, no pictures, no thoughts, no secrets of the transport. */
static cJSON *history_of(oc_agent *agent, const char *key, int64_t limit, bool tools, bool *ret_cut)
{
	oc_auto_json cJSON *history = NULL;
	oc_history_filter filter = {.limit = limit, .no_tools = !tools};
	cJSON *out = cJSON_CreateArray();
	size_t bytes = 0;
	if (oc_store_history(agent->store, key, &filter, &history, NULL) != OC_OK)
		return out;
	/* From the end: the newest fit first. */
	for (int i = cJSON_GetArraySize(history) - 1; i >= 0; i--) {
		const cJSON *m = cJSON_GetArrayItem(history, i);
		oc_auto_free char *text = oc_turn_text_of_parts(oc_json_get(m, "content"));
		size_t n = text != NULL ? strlen(text) : 0;
		if (n > HISTORY_TEXT_MAX) {
			for (n = HISTORY_TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
				;
			text[n] = 0;
			*ret_cut = true;
		}
		if (bytes + n > HISTORY_BYTES_MAX) {
			*ret_cut = true;
			break;
		}
		bytes += n + 64;
		cJSON *o = cJSON_CreateObject();
		oc_json_opt(o, "role", oc_json_str(m, "role", ""));
		oc_json_opt(o, "toolName", oc_json_str(m, "toolName", NULL));
		(void)oc_json_set_str(o, "text", text != NULL ? text : "");
		(void)oc_json_set_i64(o, "timestamp", oc_json_i64(m, "ts", 0));
		if (o == NULL || !cJSON_InsertItemInArray(out, 0, o))
			cJSON_Delete(o);
	}
	return out;
}

static cJSON *session_row(oc_agent *agent, const cJSON *s, int64_t messages)
{
	cJSON *o = cJSON_CreateObject();
	const cJSON *usage = oc_json_get(s, "usage"), *delivery = oc_json_get(s, "delivery");
	const char *key = oc_json_str(s, "key", "");
	bool cut = false;
	oc_json_opt(o, "key", key);
	oc_json_opt(o, "kind", kind_of(s));
	oc_json_opt(o, "channel", oc_json_str(s, "channel", oc_json_str(delivery, "channel", "unknown")));
	oc_json_opt(o, "label", oc_json_str(s, "title", NULL));
	oc_json_opt(o, "sessionId", oc_json_str(s, "sessionId", NULL));
	(void)oc_json_set_i64(o, "updatedAt", oc_json_i64(s, "updatedAt", 0));
	oc_json_opt(o, "model", oc_json_str(s, "model", NULL));
	oc_json_opt(o, "thinkingLevel", oc_json_str(s, "thinking", NULL));
	(void)oc_json_set_i64(o, "totalTokens", oc_json_i64(usage, "input", 0) + oc_json_i64(usage, "output", 0));
	oc_json_opt(o, "lastChannel", oc_json_str(delivery, "channel", NULL));
	oc_json_opt(o, "lastTo", oc_json_str(delivery, "to", NULL));
	oc_json_opt(o, "spawnedBy", oc_json_str(oc_json_get(s, "settings"), "spawnedBy", NULL));
	const oc_turn *turn = oc_lane_running(agent, key);
	oc_json_opt(o, "running", turn != NULL ? turn->run : NULL);
	if (messages > 0)
		(void)oc_json_set(o, "messages", history_of(agent, key, messages > 20 ? 20 : messages, false, &cut));
	return o;
}

static void invoke_list(const oc_builtin_call *call)
{
	oc_agent *agent = call->agent;
	oc_auto_json cJSON *all = NULL;
	oc_err err = {0};
	int64_t limit = oc_json_i64(call->args, "limit", LIST_DEFAULT), minutes = oc_json_i64(call->args, "activeMinutes", 0);
	const char *reach = oc_config_str(agent->config, "tools.sessions.visibility", "tree");
	oc_session_filter filter = {.limit = 1000, .agent = strcmp(reach, "all") == 0 ? NULL : call->agent_id,
				    .active_since_ms = minutes > 0 ? oc_wall_ms() - minutes * 60000 : 0};
	if (oc_store_sessions(agent->store, &filter, &all, &err) != OC_OK) {
		oc_builtin_fail(call->call, &err);
		return;
	}
	cJSON *o = cJSON_CreateObject(), *sessions = cJSON_CreateArray();
	const cJSON *s;
	int64_t n = 0;
	cJSON_ArrayForEach(s, all)
	{
		if (n >= (limit > 0 && limit < LIST_MAX ? limit : LIST_MAX))
			break;
		if (!wanted_kind(oc_json_get(call->args, "kinds"), kind_of(s)) ||
		    !oc_session_visible(agent, agent->config, call->session, oc_json_str(s, "key", ""), NULL))
			continue;
		(void)cJSON_AddItemToArray(sessions, session_row(agent, s, oc_json_i64(call->args, "messageLimit", 0)));
		n++;
	}
	(void)oc_json_set_i64(o, "count", n);
	if (!oc_json_set(o, "sessions", sessions)) {
		cJSON_Delete(o);
		o = NULL;
	}
	oc_builtin_json(call->call, o);
}

const oc_builtin_tool oc_tool_sessions_list = {
	.name = "sessions_list",
	.spec = "{\"name\":\"sessions_list\",\"group\":\"sessions\",\"description\":\"List the conversations you may reach, newest "
		"first, with their last messages when asked.\",\"parameters\":{\"type\":\"object\",\"properties\":{\"kinds\":{\"type\":"
		"\"array\",\"items\":{\"type\":\"string\"},\"description\":\"main, group, cron, hook, node, other\"},\"limit\":{\"type\":"
		"\"integer\",\"minimum\":1},\"activeMinutes\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"Only those active in "
		"the last minutes\"},\"messageLimit\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"How many of the last "
		"messages of each (at most 20)\"}}}}",
	.invoke = invoke_list,
	.repeatable = true,
};

/* ---- sessions_history ---- */

static void invoke_history(const oc_builtin_call *call)
{
	char key[OC_SESSION_KEY_MAX];
	bool cut = false;
	int64_t limit = oc_json_i64(call->args, "limit", HISTORY_DEFAULT);
	oc_auto_json cJSON *row = NULL;
	oc_err err = {0};
	if (!resolve(call, oc_json_ostr(call->args, "sessionKey"), key))
		return;
	if (oc_store_session(call->agent->store, key, &row, &err) != OC_OK) {
		oc_builtin_fail(call->call, &err);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "sessionKey", key);
	(void)oc_json_set(o, "messages", history_of(call->agent, key, limit > 0 && limit < 1000 ? limit : 1000,
						    oc_json_bool(call->args, "includeTools", false), &cut));
	(void)oc_json_set_bool(o, "truncated", cut);
	oc_builtin_json(call->call, o);
}

const oc_builtin_tool oc_tool_sessions_history = {
	.name = "sessions_history",
	.spec = "{\"name\":\"sessions_history\",\"group\":\"sessions\",\"description\":\"Read the messages of a conversation you may "
		"reach.\",\"parameters\":{\"type\":\"object\",\"properties\":{\"sessionKey\":{\"type\":\"string\",\"minLength\":1},"
		"\"limit\":{\"type\":\"integer\",\"minimum\":1},\"includeTools\":{\"type\":\"boolean\",\"description\":\"With tool calls "
		"and results\"}},\"required\":[\"sessionKey\"]}}",
	.invoke = invoke_history,
	.repeatable = true,
};

/* ---- session_status ---- */

static char *status_card(oc_agent *agent, const char *key, const char *agent_id)
{
	oc_sbuf b;
	oc_auto_json cJSON *s = NULL, *model = NULL;
	(void)oc_store_session(agent->store, key, &s, NULL);
	(void)oc_agent_model_status(agent, oc_str_of(agent_id), &model, NULL);
	const cJSON *usage = oc_json_get(s, "usage"), *subs = oc_json_get(oc_json_get(s, "settings"), "subagents");
	const char *own = oc_json_str(s, "model", ""), *think = oc_json_str(s, "thinking", "");
	time_t now = (time_t)(oc_wall_ms() / 1000);
	struct tm tm;
	char when[80];
	localtime_r(&now, &tm);
	strftime(when, sizeof when, "%A, %Y-%m-%d %H:%M (UTC%z)", &tm);
	oc_sbuf_init(&b, 8192);
	oc_sbuf_printf(&b, "OpenClaw %s\nTime: %s\nModel: %s\n", PACKAGE_VERSION, when,
		       own[0] != 0 ? own : oc_json_str(model, "model", "none"));
	oc_sbuf_printf(&b, "Tokens: %lld in / %lld out", (long long)oc_json_i64(usage, "input", 0),
		       (long long)oc_json_i64(usage, "output", 0));
	oc_sbuf_printf(&b, ", cost $%.4f\n", oc_json_num(usage, "cost", 0));
	if (subs != NULL)
		oc_sbuf_printf(&b, "Sub-agents: %lld so far, %lld tokens in / %lld out, cost $%.4f\n",
			       (long long)oc_json_i64(subs, "runs", 0), (long long)oc_json_i64(subs, "input", 0),
			       (long long)oc_json_i64(subs, "output", 0), oc_json_num(subs, "cost", 0));
	oc_sbuf_printf(&b, "Session: %s, %lld messages\nThinking: %s", key, (long long)oc_json_i64(s, "messages", 0),
		       think[0] != 0 ? think : "default");
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}

static void tell_status(oc_agent *agent, oc_call *call, const char *key, const char *agent_id, bool changed)
{
	oc_auto_free char *card = status_card(agent, key, agent_id);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	oc_json_opt(o, "sessionKey", key);
	(void)oc_json_set_bool(o, "changedModel", changed);
	oc_json_opt(o, "statusText", card);
	oc_builtin_json(call, o);
}

typedef struct model_change {
	oc_agent *agent;
	oc_call *call;
	char key[OC_SESSION_KEY_MAX];
} model_change;

static void model_changed(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	model_change *c = arg;
	oc_session_key key = {0};
	(void)result;
	(void)oc_session_key_parse(oc_str_of(c->key), &key, NULL);
	if (status != OC_OK)
		oc_builtin_fail(c->call, err);
	else
		tell_status(c->agent, c->call, c->key, key.agent, true);
	oc_free(c);
}

static void invoke_status(const oc_builtin_call *call)
{
	char key[OC_SESSION_KEY_MAX];
	oc_str wanted = oc_json_ostr(call->args, "sessionKey");
	const char *model = oc_json_str(call->args, "model", "");
	oc_err err = {0};
	snprintf(key, sizeof key, "%s", call->session);
	if (wanted.n > 0 && !resolve(call, wanted, key))
		return;
	oc_session_key parts = {0};
	(void)oc_session_key_parse(oc_str_of(key), &parts, NULL);
	if (model[0] == 0) {
		tell_status(call->agent, call->call, key, parts.agent, false);
		return;
	}
	model_change *c = oc_alloc(sizeof *c);
	if (c == NULL) {
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "the model cannot be changed");
	} else {
		*c = (model_change){.agent = call->agent, .call = call->call};
		memcpy(c->key, key, sizeof key);
		const char *to = strcmp(model, "default") == 0 ? "" : model;
		if (oc_agent_session_put(call->agent, oc_str_of(key), oc_str_of(parts.agent), &(oc_session_put){.model = to}, model_changed, c, &err) ==
		    OC_OK)
			return;
		oc_free(c);
	}
	oc_builtin_fail(call->call, &err);
}

const oc_builtin_tool oc_tool_session_status = {
	.name = "session_status",
	.spec = "{\"name\":\"session_status\",\"group\":\"sessions\",\"description\":\"Time, model, tokens and cost of this conversation "
		"or one you may reach; with model, it is changed for that conversation (default: back to the usual "
		"one).\",\"parameters\":{\"type\":\"object\",\"properties\":{\"sessionKey\":{\"type\":\"string\"},\"model\":{\"type\":"
		"\"string\",\"maxLength\":128}}}}",
	.invoke = invoke_status,
	.repeatable = true,
};

/* ---- agents_list ---- */

static bool may_start(const oc_config *config, const char *requester, const char *id, bool *ret_any)
{
	const cJSON *one, *list = oc_subagent_setting(config, requester, "allowAgents");
	bool found = strcmp(requester, id) == 0;
	cJSON_ArrayForEach(one, list)
	{
		char name[65];
		if (!cJSON_IsString(one))
			continue;
		oc_agent_id_normalize(oc_str_of(one->valuestring), name);
		if (strcmp(one->valuestring, "*") == 0)
			*ret_any = found = true;
		else if (strcmp(name, id) == 0)
			found = true;
	}
	return found;
}

static void invoke_agents(const oc_builtin_call *call)
{
	oc_auto_json cJSON *all = NULL;
	oc_err err = {0};
	bool any = false;
	if (oc_agent_agents(call->agent, &all, &err) != OC_OK) {
		oc_builtin_fail(call->call, &err);
		return;
	}
	cJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();
	const cJSON *a;
	cJSON_ArrayForEach(a, oc_json_get(all, "agents"))
	{
		const char *id = oc_json_str(a, "id", "");
		if (!may_start(call->agent->config, call->agent_id, id, &any))
			continue;
		cJSON *row = cJSON_CreateObject();
		oc_json_opt(row, "id", id);
		oc_json_opt(row, "name", oc_json_str(a, "name", NULL));
		(void)oc_json_set_bool(row, "configured", oc_agent_entry(call->agent->config, id) != NULL);
		(void)cJSON_AddItemToArray(list, row);
	}
	oc_json_opt(o, "requester", call->agent_id);
	(void)oc_json_set_bool(o, "allowAny", any);
	(void)oc_json_set(o, "agents", list);
	oc_builtin_json(call->call, o);
}

const oc_builtin_tool oc_tool_agents_list = {
	.name = "agents_list",
	.spec = "{\"name\":\"agents_list\",\"group\":\"sessions\",\"description\":\"The agents that sessions_spawn may be given as "
		"agentId.\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}",
	.invoke = invoke_agents,
	.repeatable = true,
};
