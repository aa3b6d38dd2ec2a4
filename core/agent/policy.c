#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* FNM_CASEFOLD */
#endif
#include "core/agent/policy.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/agent/builtin.h"
#include "core/agent/subagent.h"
#include "core/base/log.h"

/* ---- Names ---- */

static const struct {
	const char *name, *members; /* separated by spaces */
} groups[] = {
	{"fs", "read write edit apply_patch list find grep"},
	{"runtime", "exec process"},
	{"sessions", "sessions_list sessions_history sessions_send sessions_spawn sessions_yield session_status"},
	{"memory", "memory_search memory_get"},
	{"web", "web_search web_fetch"},
	{"ui", "browser canvas"},
	{"automation", "cron gateway"},
	{"messaging", "message"},
	{"nodes", "nodes"},
};

static const struct {
	const char *name, *list;
} profiles[] = {
	{"minimal", "session_status"},
	{"coding", "group:fs group:runtime group:sessions group:memory image"},
	{"messaging", "group:messaging sessions_list sessions_history sessions_send session_status"},
};

/* Whether the list of words has one for which fn is true. */
static bool any_word(const char *list, bool (*fn)(const char *word, const oc_tool_info *tool), const oc_tool_info *tool)
{
	oc_str rest = oc_str_of(list);
	while (rest.p != NULL) {
		oc_str word = oc_str_cut(&rest, ' ');
		char text[80];
		if (word.n == 0 || word.n >= sizeof text)
			continue;
		memcpy(text, word.p, word.n);
		text[word.n] = 0;
		if (fn(text, tool))
			return true;
	}
	return false;
}

static bool same_name(const char *word, const oc_tool_info *tool)
{
	return strcmp(word, tool->name) == 0;
}

static bool in_group(const char *group, const oc_tool_info *tool)
{
	oc_module *module = oc_guest_module(tool->guest);
	if (strcmp(group, "openclaw") == 0)
		return oc_module_bundled(module);
	if (strcmp(group, "plugins") == 0)
		return !oc_module_bundled(module);
	if (strcmp(oc_json_str(tool->spec, "group", ""), group) == 0)
		return true;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		if (strcmp(groups[i].name, group) == 0)
			return any_word(groups[i].members, same_name, tool);
	return false;
}

static const char *unalias(const char *name)
{
	if (strcmp(name, "bash") == 0)
		return "exec";
	return strcmp(name, "apply-patch") == 0 ? "apply_patch" : name;
}

static bool word_is(const char *list, const char *name)
{
	oc_str rest = oc_str_of(list);
	while (rest.p != NULL)
		if (oc_str_eqz(oc_str_cut(&rest, ' '), name))
			return true;
	return false;
}

bool oc_policy_name_matches(const char *pattern, const char *tool)
{
	if (strncmp(pattern, "group:", 6) == 0) {
		for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
			if (strcmp(groups[i].name, pattern + 6) == 0)
				return word_is(groups[i].members, tool);
		return false;
	}
	return strcmp(unalias(pattern), tool) == 0 || fnmatch(pattern, tool, FNM_CASEFOLD) == 0;
}

static bool is_plugin(const oc_tool_info *tool)
{
	return strcmp(oc_module_origin(oc_guest_module(tool->guest)), "plugin") == 0;
}

/* The pattern of a list (a name, "*", "web_*", "group:fs", a module's name) names the tool. */
static bool matches(const char *pattern, const oc_tool_info *tool)
{
	char lower[128];
	size_t n = 0;
	for (; pattern[n] != 0 && n + 1 < sizeof lower; n++)
		lower[n] = pattern[n] >= 'A' && pattern[n] <= 'Z' ? (char)(pattern[n] + 32) : pattern[n];
	lower[n] = 0;
	oc_str trimmed = oc_str_trim(oc_str_of(lower));
	char name[128];
	memcpy(name, trimmed.p, trimmed.n);
	name[trimmed.n] = 0;
	if (strncmp(name, "group:", 6) == 0)
		return in_group(name + 6, tool);
	if (strchr(name, '*') != NULL)
		return fnmatch(name, tool->name, 0) == 0;
	return strcmp(unalias(name), tool->name) == 0 || strcmp(name, oc_module_name(oc_guest_module(tool->guest))) == 0 ||
	       (is_plugin(tool) && strcasecmp(name, oc_guest_id(tool->guest)) == 0);
}

static bool list_has(const cJSON *list, const oc_tool_info *tool)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, list) if (cJSON_IsString(one) && matches(one->valuestring, tool)) return true;
	return false;
}

/* ---- Filters ---- */

/* What the configuration says for all tools of a conversation: looked up once for a list of them. */
typedef struct facts {
	const oc_policy_context *context;
	const cJSON *tools, *tools_provider, *own, *own_provider; /* sections "tools": everybody's, the agent's */
	const cJSON *group, *sandbox, *subagents;
	bool usable, sandboxed, is_subagent, leaf;
} facts;

typedef struct verdict {
	const facts *f;
	const oc_policy_context *context;
	const oc_tool_info *tool;
	char *reason;
	bool denied;
} verdict;

static void deny(verdict *v, const char *where, const char *what)
{
	if (v->denied)
		return;
	v->denied = true;
	if (v->reason != NULL)
		snprintf(v->reason, 200, "%s %s", where, what);
}

typedef struct bundled_search {
	const cJSON *list;
	bool found;
} bundled_search;

static bool look_for_bundled(void *arg, const oc_tool_info *tool)
{
	bundled_search *s = arg;
	s->found = oc_module_bundled(oc_guest_module(tool->guest)) && list_has(s->list, tool);
	return !s->found;
}

/*
 * An allow-list that names only tools of third parties is meant to add them: taken at its word it would switch off
 * everything else.
 */
static bool only_adds(const verdict *v, const cJSON *allow)
{
	if (!oc_module_bundled(oc_guest_module(v->tool->guest)))
		return false;
	const cJSON *one;
	cJSON_ArrayForEach(one, allow) if (cJSON_IsString(one) && strchr(one->valuestring, '*') != NULL) return false;
	bundled_search s = {.list = allow};
	oc_modules_each_tool(v->context->agent->modules, look_for_bundled, &s);
	return !s.found;
}

static void apply_lists(verdict *v, const cJSON *filter, const char *where)
{
	const cJSON *allow = oc_json_get(filter, "allow"), *deny_list = oc_json_get(filter, "deny");
	if (cJSON_IsArray(deny_list) && list_has(deny_list, v->tool))
		deny(v, where, "denies it");
	if (cJSON_IsArray(allow) && cJSON_GetArraySize(allow) > 0 && !list_has(allow, v->tool) &&
	    !list_has(oc_json_get(filter, "alsoAllow"), v->tool) && !only_adds(v, allow))
		deny(v, where, "does not allow it");
}

static void apply_profile(verdict *v, const cJSON *filter, const char *where)
{
	const char *profile = oc_json_str(filter, "profile", "");
	if (profile[0] == 0 || strcmp(profile, "full") == 0)
		return;
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
		if (strcmp(profiles[i].name, profile) == 0 && any_word(profiles[i].list, matches, v->tool))
			return;
	/* A profile nobody knows allows nothing: a typing error must not open what was meant to be closed. */
	if (!list_has(oc_json_get(filter, "alsoAllow"), v->tool))
		deny(v, where, "has a profile without it");
}

/* byProvider.<provider/model>, else byProvider.<provider>. */
static const cJSON *by_provider(const oc_policy_context *c, const cJSON *filter)
{
	const cJSON *map = oc_json_get(filter, "byProvider");
	const char *model = c->model, *slash = strchr(model, '/');
	if (map == NULL || slash == NULL)
		return NULL;
	const cJSON *found = oc_json_get(map, model);
	char provider[65];
	if (found != NULL || (size_t)(slash - model) >= sizeof provider)
		return found;
	memcpy(provider, model, (size_t)(slash - model));
	provider[slash - model] = 0;
	return oc_json_get(map, provider);
}

/* channels.<channel>[.accounts.<account>].groups.<chat or *>.{tools, toolsBySender.<id or *>} */
static const cJSON *group_policy(const oc_policy_context *c)
{
	if (c->channel[0] == 0 || c->chat[0] == 0)
		return NULL;
	const cJSON *channel = oc_json_get(oc_config_get(c->config, "channels"), c->channel);
	const cJSON *account = oc_json_get(oc_json_get(channel, "accounts"), c->account);
	const cJSON *chats = oc_json_get(account, "groups");
	if (chats == NULL)
		chats = oc_json_get(channel, "groups");
	const cJSON *chat = oc_json_get(chats, c->chat);
	if (chat == NULL)
		chat = oc_json_get(chats, "*");
	const cJSON *senders = oc_json_get(chat, "toolsBySender");
	const cJSON *sender = c->sender[0] != 0 ? oc_json_get(senders, c->sender) : NULL;
	if (sender == NULL && c->sender_name[0] != 0)
		sender = oc_json_get(senders, c->sender_name);
	if (sender == NULL)
		sender = oc_json_get(senders, "*");
	return sender != NULL ? sender : oc_json_get(chat, "tools");
}

static void apply_capabilities(verdict *v)
{
	const cJSON *capability;
	cJSON_ArrayForEach(capability, oc_json_get(v->tool->spec, "capabilities"))
	{
		if (cJSON_IsString(capability) &&
		    !oc_module_may(oc_guest_module(v->tool->guest), oc_str_of(capability->valuestring)))
			deny(v, "its module was not granted", capability->valuestring);
	}
}

/* What the core itself offers can be switched off by its own section of the configuration. */
static void apply_offer(verdict *v)
{
	const oc_builtin_tool *tool = strcmp(oc_guest_id(v->tool->guest), "core") == 0 ? oc_builtin_find(v->tool->name) : NULL;
	char why[200] = "";
	if (tool != NULL && tool->offered != NULL && !tool->offered(v->context->config, v->context->agent_id, why))
		deny(v, "it is not offered:", why);
}

/* What nobody reads along with and nobody answers in person does not get by itself: other conversations, the gateway, and
 * (for those that may not start others) what is for looking after them. tools.subagents.tools.allow gives it back. */
static const char sub_deny[] = "gateway agents_list whatsapp_login session_status cron memory_search memory_get sessions_send";
static const char leaf_deny[] = "subagents sessions_list sessions_history sessions_spawn sessions_yield";

static void apply_subagent(verdict *v)
{
	const cJSON *filter = v->f->subagents;
	if (!v->f->is_subagent)
		return;
	bool asked = list_has(oc_json_get(filter, "allow"), v->tool) || list_has(oc_json_get(filter, "alsoAllow"), v->tool);
	if (!asked && (any_word(sub_deny, same_name, v->tool) || (v->f->leaf && any_word(leaf_deny, same_name, v->tool))))
		deny(v, "sub-agents", "do not have it");
	apply_lists(v, filter, "tools.subagents.tools");
}

bool oc_policy_sandboxed(const oc_policy_context *c)
{
	const cJSON *mode = oc_agent_setting(c->config, c->agent_id, "sandbox.mode");
	const char *text = cJSON_IsString(mode) ? mode->valuestring : "off";
	return strcmp(text, "all") == 0 || (strcmp(text, "non-main") == 0 && strcmp(c->key->kind, "main") != 0);
}

/* Whether some list that adds tools names it, its plugin or all of them; "*" and patterns do not count. */
static bool is_named(const cJSON *list, const oc_tool_info *tool)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, list)
	{
		if (cJSON_IsString(one) && strchr(one->valuestring, '*') == NULL && matches(one->valuestring, tool))
			return true;
	}
	return false;
}

static bool is_asked_for(const verdict *v, const cJSON *filter, const cJSON *provider)
{
	return is_named(oc_json_get(filter, "allow"), v->tool) || is_named(oc_json_get(filter, "alsoAllow"), v->tool) ||
	       is_named(oc_json_get(provider, "allow"), v->tool) || is_named(oc_json_get(provider, "alsoAllow"), v->tool);
}

static bool has_name(const cJSON *list, const char *name)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, list)
	{
		if (cJSON_IsString(one) && strcmp(one->valuestring, name) == 0)
			return true;
	}
	return false;
}

/* Tools of TypeScript plugins: optional ones are for who asks for them by name; a plugin that is called like one of our tools
 * gets none; some are not offered in a sandbox. */
static void apply_plugin(verdict *v)
{
	const oc_policy_context *c = v->context;
	oc_tool_info other;
	if (!is_plugin(v->tool))
		return;
	if (oc_json_bool(v->tool->spec, "optional", false) && !is_asked_for(v, v->f->tools, v->f->tools_provider) &&
	    !is_asked_for(v, v->f->own, v->f->own_provider))
		deny(v, "it is optional:", "tools.allow or tools.alsoAllow must name it, its plugin or group:plugins");
	if (oc_modules_tool(c->agent->modules, oc_str_of(oc_guest_id(v->tool->guest)), &other) && !is_plugin(&other) &&
	    oc_module_bundled(oc_guest_module(other.guest)))
		deny(v, "its plugin", "has the name of one of the core's tools");
	const cJSON *offered = oc_json_get(c->offered, oc_guest_id(v->tool->guest));
	if (cJSON_IsArray(offered) && !has_name(offered, v->tool->name))
		deny(v, "its plugin", "does not offer it in this conversation");
	if (!oc_json_bool(v->tool->spec, "sandboxed", true) && v->f->sandboxed)
		deny(v, "its plugin", "does not offer it in a sandbox");
}

static void gather(const oc_policy_context *c, facts *f)
{
	char key[OC_SESSION_KEY_MAX];
	*f = (facts){.context = c, .usable = oc_config_usable(c->config, "tools"), .sandboxed = oc_policy_sandboxed(c)};
	f->tools = oc_config_get(c->config, "tools");
	f->tools_provider = by_provider(c, f->tools);
	f->own = oc_json_get(oc_agent_entry(c->config, c->agent_id), "tools");
	f->own_provider = by_provider(c, f->own);
	f->group = group_policy(c);
	f->sandbox = f->sandboxed ? oc_config_get(c->config, "tools.sandbox.tools") : NULL;
	f->is_subagent = strncmp(c->key->name, "subagent:", 9) == 0;
	if (!f->is_subagent)
		return;
	f->subagents = oc_config_get(c->config, "tools.subagents.tools");
	f->leaf = oc_session_key_build(c->key, key, NULL) != OC_OK ||
		  oc_subagent_depth(c->agent, key) >= oc_subagent_max_depth(c->config);
}

static bool decide(const facts *f, const oc_tool_info *tool, char *reason)
{
	verdict v = {f, f->context, tool, reason, false};
	/* A section that could not be read closes the tools, it does not open them. */
	if (!f->usable)
		deny(&v, "the section tools of the configuration", "has an error");
	apply_profile(&v, f->tools, "tools");
	apply_profile(&v, f->tools_provider, "tools.byProvider");
	apply_lists(&v, f->tools, "tools");
	apply_lists(&v, f->tools_provider, "tools.byProvider");
	apply_profile(&v, f->own, "the agent's policy");
	apply_profile(&v, f->own_provider, "the agent's policy.byProvider");
	apply_lists(&v, f->own, "the agent's policy");
	apply_lists(&v, f->own_provider, "the agent's policy.byProvider");
	apply_lists(&v, f->group, "the group's policy");
	apply_lists(&v, f->sandbox, "tools.sandbox.tools");
	apply_subagent(&v);
	if (cJSON_IsArray(f->context->only) && !list_has(f->context->only, tool))
		deny(&v, "a hook", "left it out");
	apply_capabilities(&v);
	apply_offer(&v);
	apply_plugin(&v);
	return !v.denied;
}

bool oc_policy_allows(const oc_policy_context *context, const oc_tool_info *tool, char *reason)
{
	facts f;
	gather(context, &f);
	return decide(&f, tool, reason);
}

void oc_policy_context_of(const oc_turn *turn, oc_policy_context *ret)
{
	*ret = (oc_policy_context){
		.agent = turn->agent,
		.config = turn->config,
		.agent_id = turn->agent_id,
		.model = turn->model.ref != NULL ? turn->model.ref : "",
		.key = &turn->key,
		.channel = oc_turn_channel(turn),
		.account = oc_json_str(turn->deliver, "account", ""),
		.chat = oc_context_is_group(turn) ? turn->key.peer : "",
		.sender = oc_json_str(turn->sender, "id", ""),
		.sender_name = oc_json_str(turn->sender, "username", ""),
		.only = turn->hook_tools_allow,
		.offered = turn->offered,
	};
}

/* ---- Lists ---- */

typedef struct writer {
	facts facts;
	oc_sbuf out;
} writer;

static bool write_tool(void *arg, const oc_tool_info *tool)
{
	writer *w = arg;
	if (!decide(&w->facts, tool, NULL))
		return true;
	oc_sbuf_char(&w->out, w->out.n == 0 ? '[' : ',');
	oc_sbuf_z(&w->out, tool->json);
	return true;
}

oc_status oc_policy_tools_json(oc_turn *turn, char **ret, oc_err *err)
{
	oc_policy_context context;
	writer w;
	oc_policy_context_of(turn, &context);
	gather(&context, &w.facts);
	oc_sbuf_init(&w.out, (size_t)8 << 20);
	oc_modules_each_tool(turn->agent->modules, write_tool, &w);
	if (w.out.n > 0)
		oc_sbuf_char(&w.out, ']');
	oc_status status = w.out.error;
	if (status == OC_OK && w.out.n > 0)
		*ret = oc_sbuf_take(&w.out);
	oc_sbuf_free(&w.out);
	return status == OC_OK ? OC_OK : oc_fail(err, status, NULL, "cannot describe the tools to the model");
}

typedef struct lister {
	facts facts;
	cJSON *out;
	bool failed;
} lister;

static bool list_tool(void *arg, const oc_tool_info *tool)
{
	lister *l = arg;
	char reason[200] = "";
	cJSON *o = cJSON_Duplicate(tool->spec, true);
	if (o == NULL || !cJSON_AddItemToArray(l->out, o)) {
		cJSON_Delete(o);
		l->failed = true;
		return false;
	}
	bool allowed = decide(&l->facts, tool, reason);
	l->failed = !oc_json_set_str(o, "module", oc_module_name(oc_guest_module(tool->guest))) ||
		    !oc_json_set_bool(o, "allowed", allowed) || (!allowed && !oc_json_set_str(o, "reason", reason));
	return !l->failed;
}

oc_status oc_agent_tools(oc_agent *agent, oc_str agent_id, oc_str session, cJSON **ret_array, oc_err *err)
{
	char id[65], key_text[OC_SESSION_KEY_MAX];
	oc_session_key key = {0};
	if (agent_id.n > 0)
		oc_agent_id_normalize(agent_id, id);
	else
		(void)oc_agent_default_id(agent->config, id);
	oc_status status = oc_session_key_resolve(session, id, oc_agent_main_key(agent->config), key_text, err);
	if (status == OC_OK)
		status = oc_session_key_parse(oc_str_of(key_text), &key, err);
	if (status != OC_OK)
		return status;
	bool group = strcmp(key.kind, "group") == 0 || strcmp(key.kind, "channel") == 0 || strcmp(key.kind, "thread") == 0;
	oc_policy_context context = {.agent = agent, .config = agent->config, .agent_id = agent_id.n > 0 ? id : key.agent,
				     .model = "", .key = &key, .channel = key.channel, .account = key.account,
				     .chat = group ? key.peer : "", .sender = "", .sender_name = ""};
	lister l = {.out = cJSON_CreateArray()};
	gather(&context, &l.facts);
	if (l.out != NULL)
		oc_modules_each_tool(agent->modules, list_tool, &l);
	if (l.out == NULL || l.failed) {
		cJSON_Delete(l.out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot list the tools");
	}
	*ret_array = l.out;
	return OC_OK;
}
