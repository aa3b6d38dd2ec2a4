/* agents.*, agent.identity.get, tools.catalog, system-presence, node.list of OpenClaw's own protocol. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/agent/skills.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/chat.h"

#define MAX_FILE (1u << 20)

/* ---- agents.list ---- */

static void agents_list(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_auto_json cJSON *all = NULL;
	const cJSON *one;
	oc_err err = {0};
	(void)params;
	if (oc_agent_agents(gw->agent, &all, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject(), *list = cJSON_CreateArray();
	cJSON_ArrayForEach(one, oc_json_get(all, "agents"))
	{
		cJSON *row = cJSON_CreateObject();
		(void)oc_json_set_str(row, "id", oc_json_str(one, "id", ""));
		oc_json_opt(row, "name", oc_json_str(one, "name", NULL));
		(void)cJSON_AddItemToArray(list, row);
	}
	(void)oc_json_set_str(result, "defaultId", oc_json_str(all, "defaultId", "main"));
	(void)oc_json_set_str(result, "mainKey", oc_json_str(all, "mainKey", "main"));
	(void)oc_json_set_str(result, "scope", oc_config_str(gw->rt->config, "session.scope", "per-sender"));
	(void)oc_json_set(result, "agents", list);
	oc_method_reply(call, result);
}

const oc_method oc_method_agents_list = {"agents.list", OC_SCOPE_READ, "the agents' ids and names", OC_PARAMS(""), agents_list};

/* One agent as agent.get tells it; NULL: answered. The caller's. */
static cJSON *agent_of(oc_method_call *call, oc_str id)
{
	oc_gateway *gw = oc_method_gateway(call);
	cJSON *agent = NULL;
	oc_auto_json cJSON *all = NULL;
	const cJSON *one;
	oc_err err = {0};
	bool known = id.n == 0;
	if (oc_agent_agents(gw->agent, &all, &err) == OC_OK)
		cJSON_ArrayForEach(one, oc_json_get(all, "agents")) known = known || oc_str_eq(id, oc_json_ostr(one, "id"));
	if (!known)
		oc_method_failf(call, OC_E_INVALID, "", "unknown agent id \"%.64s\"", id.p);
	else if (oc_agent_agent(gw->agent, id, &agent, &err) != OC_OK)
		oc_method_fail(call, &err);
	return agent;
}

static void agent_identity_get(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_session_key key = {0};
	oc_err err = {0};
	oc_str id = oc_json_ostr(params, "agentId"), session = oc_json_ostr(params, "sessionKey");
	if (session.n > 0 && oc_session_key_parse(session, &key, &err) == OC_OK) {
		if (id.n > 0 && !oc_str_eqz(id, key.agent)) {
			oc_method_failf(call, OC_E_INVALID, "", "invalid agent.identity.get params: agent \"%.64s\" does not match session key agent \"%s\"",
					id.p, key.agent);
			return;
		}
		id = oc_str_of(key.agent);
	}
	oc_auto_json cJSON *agent = agent_of(call, id);
	if (agent == NULL)
		return;
	const cJSON *one, *identity = NULL;
	cJSON_ArrayForEach(one, oc_config_get(gw->rt->config, "agents.list"))
		if (strcmp(oc_json_str(one, "id", ""), oc_json_str(agent, "id", "")) == 0) identity = oc_json_get(one, "identity");
	const char *emoji = oc_json_str(identity, "emoji", NULL), *avatar = oc_json_str(identity, "avatar", emoji);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "agentId", oc_json_str(agent, "id", ""));
	(void)oc_json_set_str(result, "name", oc_json_str(identity, "name", oc_json_str(agent, "name", oc_config_str(gw->rt->config, "ui.assistant.name", "Assistant"))));
	(void)oc_json_set_str(result, "avatar", avatar != NULL ? avatar : "A");
	oc_json_opt(result, "emoji", emoji);
	oc_method_reply(call, result);
}

const oc_method oc_method_agent_identity_get = {"agent.identity.get", OC_SCOPE_READ, "an agent's name and face",
						OC_PARAMS(OC_NAME("agentId") "," OC_STRING("sessionKey")), agent_identity_get};

/* ---- agents.files.* ---- */

/* What may be read and written this way: the files about who the agent is. */
static const char *const file_names[] = {"AGENTS.md", "SOUL.md", "TOOLS.md", "IDENTITY.md", "USER.md", "HEARTBEAT.md", "BOOTSTRAP.md", "MEMORY.md"};

static const char *file_name(const char *wanted)
{
	for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++)
		if (strcmp(wanted, file_names[i]) == 0)
			return file_names[i];
	return NULL;
}

/* false: a link that leads elsewhere, or no file: neither shown nor written. */
static bool describe(cJSON *o, const char *workspace, const char *name)
{
	oc_auto_free char *path = oc_path_join(workspace, name);
	struct stat st;
	bool there = path != NULL && lstat(path, &st) == 0;
	(void)oc_json_set_str(o, "name", name);
	(void)oc_json_set_str(o, "path", path != NULL ? path : "");
	(void)oc_json_set_bool(o, "missing", !there);
	if (there) {
		(void)oc_json_set_i64(o, "size", st.st_size);
		(void)oc_json_set_i64(o, "updatedAtMs", (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
	}
	return !there || S_ISREG(st.st_mode);
}

static cJSON *files_answer(const cJSON *agent, const char *member, cJSON *value)
{
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "agentId", oc_json_str(agent, "id", ""));
	(void)oc_json_set_str(result, "workspace", oc_json_str(agent, "workspace", ""));
	(void)oc_json_set(result, member, value);
	return result;
}

static void agents_files_list(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *agent = agent_of(call, oc_json_ostr(params, "agentId"));
	cJSON *list = agent != NULL ? cJSON_CreateArray() : NULL;
	for (size_t i = 0; list != NULL && i < sizeof file_names / sizeof *file_names; i++) {
		cJSON *one = cJSON_CreateObject();
		(void)describe(one, oc_json_str(agent, "workspace", ""), file_names[i]);
		(void)cJSON_AddItemToArray(list, one);
	}
	if (agent != NULL)
		oc_method_reply(call, files_answer(agent, "files", list));
}

const oc_method oc_method_agents_files_list = {"agents.files.list", OC_SCOPE_READ, "the files about who an agent is",
					       OC_PARAMS_REQ("\"agentId\"", OC_NAME("agentId")), agents_files_list};

/* The agent and the file; NULL: answered. */
static cJSON *file_of(oc_method_call *call, const cJSON *params, const char **ret_name, cJSON **ret_file)
{
	cJSON *agent = agent_of(call, oc_json_ostr(params, "agentId"));
	if (agent == NULL)
		return NULL;
	const char *wanted = oc_json_str(params, "name", "");
	*ret_name = file_name(wanted);
	*ret_file = cJSON_CreateObject();
	if (*ret_name != NULL && describe(*ret_file, oc_json_str(agent, "workspace", ""), *ret_name))
		return agent;
	oc_method_failf(call, OC_E_INVALID, "", "unsupported file \"%.100s\"", wanted);
	cJSON_Delete(*ret_file);
	cJSON_Delete(agent);
	return NULL;
}

static void agents_files_get(oc_method_call *call, const cJSON *params)
{
	const char *name;
	cJSON *file;
	oc_auto_json cJSON *agent = file_of(call, params, &name, &file);
	char *text = NULL;
	size_t n = 0;
	if (agent == NULL)
		return;
	if (!oc_json_bool(file, "missing", true) && oc_path_read(oc_json_str(file, "path", ""), MAX_FILE, &text, &n, NULL) == OC_OK)
		(void)oc_json_set_str(file, "content", text);
	oc_free(text);
	oc_method_reply(call, files_answer(agent, "file", file));
}

const oc_method oc_method_agents_files_get = {"agents.files.get", OC_SCOPE_READ, "one file about who an agent is",
					      OC_PARAMS_REQ("\"agentId\",\"name\"", OC_NAME("agentId") "," OC_NAME("name")), agents_files_get};

static void agents_files_set(oc_method_call *call, const cJSON *params)
{
	const char *name;
	cJSON *file;
	oc_auto_json cJSON *agent = file_of(call, params, &name, &file);
	oc_err err = {0};
	if (agent == NULL) /* answered: the parameters are gone too */
		return;
	oc_str content = oc_json_ostr(params, "content");
	oc_auto_free char *path = oc_strdup(oc_json_str(file, "path", ""));
	cJSON_Delete(file);
	if (oc_path_write(path, content.p, content.n, 0600, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	file = cJSON_CreateObject();
	(void)describe(file, oc_json_str(agent, "workspace", ""), name);
	(void)oc_json_set_str(file, "content", content.p);
	cJSON *result = files_answer(agent, "file", file);
	(void)oc_json_set_bool(result, "ok", true);
	oc_method_reply(call, result);
}

const oc_method oc_method_agents_files_set = {
	"agents.files.set", OC_SCOPE_ADMIN, "writes one file about who an agent is",
	OC_PARAMS_REQ("\"agentId\",\"name\",\"content\"", OC_NAME("agentId") "," OC_NAME("name") ",\"content\":{\"type\":\"string\",\"maxLength\":1048576}"),
	agents_files_set};

/* ---- tools.catalog ---- */

static cJSON *group_of(cJSON *groups, const char *id)
{
	cJSON *one;
	cJSON_ArrayForEach(one, groups) if (strcmp(oc_json_str(one, "id", ""), id) == 0) return one;
	one = cJSON_CreateObject();
	(void)oc_json_set_str(one, "id", id);
	(void)oc_json_set_str(one, "label", id);
	(void)oc_json_set_str(one, "source", "core");
	(void)oc_json_set(one, "tools", cJSON_CreateArray());
	(void)cJSON_AddItemToArray(groups, one);
	return one;
}

static void tools_catalog(oc_method_call *call, const cJSON *params)
{
	static const char *const profiles[][2] = {{"minimal", "Minimal"}, {"coding", "Coding"}, {"messaging", "Messaging"}, {"full", "Full"}};
	oc_auto_json cJSON *agent = agent_of(call, oc_json_ostr(params, "agentId"));
	oc_auto_json cJSON *list = NULL;
	const cJSON *tool;
	oc_err err = {0};
	if (agent == NULL)
		return;
	if (oc_agent_tools(oc_method_gateway(call)->agent, oc_json_ostr(agent, "id"), OC_STR_NONE, &list, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject(), *groups = cJSON_CreateArray(), *kinds = cJSON_CreateArray();
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
		cJSON *one = cJSON_CreateObject();
		(void)oc_json_set_str(one, "id", profiles[i][0]);
		(void)oc_json_set_str(one, "label", profiles[i][1]);
		(void)cJSON_AddItemToArray(kinds, one);
	}
	cJSON_ArrayForEach(tool, list)
	{
		const char *name = oc_json_str(tool, "name", ""), *module = oc_json_str(tool, "module", "core");
		const char *group = oc_json_str(tool, "group", module);
		cJSON *one = cJSON_CreateObject();
		(void)oc_json_set_str(one, "id", name);
		(void)oc_json_set_str(one, "label", name);
		(void)oc_json_set_str(one, "description", oc_json_str(tool, "description", ""));
		(void)oc_json_set_str(one, "source", "core");
		(void)oc_json_set_bool(one, "allowed", oc_json_bool(tool, "allowed", false));
		(void)oc_json_set(one, "defaultProfiles", cJSON_CreateArray());
		(void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(group_of(groups, group), "tools"), one);
	}
	(void)oc_json_set_str(result, "agentId", oc_json_str(agent, "id", ""));
	(void)oc_json_set(result, "profiles", kinds);
	(void)oc_json_set(result, "groups", groups);
	oc_method_reply(call, result);
}

const oc_method oc_method_tools_catalog = {"tools.catalog", OC_SCOPE_READ, "the tools there are, by group",
					   OC_PARAMS(OC_STRING("agentId") "," OC_BOOLEAN("includePlugins")), tools_catalog};

/* ---- skills.status ---- */

static cJSON *skill_of(const oc_skill *s)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "name", s->name);
	(void)oc_json_set_str(o, "description", s->description);
	(void)oc_json_set_str(o, "source", s->source);
	(void)oc_json_set_bool(o, "bundled", false);
	(void)oc_json_set_str(o, "filePath", s->location);
	(void)oc_json_set_str(o, "baseDir", s->dir);
	(void)oc_json_set_str(o, "skillKey", s->key);
	oc_json_opt(o, "primaryEnv", s->primary_env);
	oc_json_opt(o, "emoji", s->emoji);
	oc_json_opt(o, "homepage", s->homepage);
	(void)oc_json_set_bool(o, "always", s->always);
	(void)oc_json_set_bool(o, "disabled", !s->enabled);
	(void)oc_json_set_bool(o, "blockedByAllowlist", false);
	(void)oc_json_set_bool(o, "eligible", s->eligible);
	static const char *const sets[] = {"requirements", "missing"}, *const kinds[] = {"bins", "anyBins", "env", "config", "os"};
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		cJSON *set = cJSON_CreateObject();
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
			(void)oc_json_set(set, kinds[k], cJSON_CreateArray());
		(void)oc_json_set(o, sets[i], set);
	}
	const char *why = s->problem[0] != 0 ? s->problem : s->missing;
	if (why[0] != 0) /* in words: what is missing is not told apart by kind */
		(void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "missing"), "config"), cJSON_CreateString(why));
	(void)oc_json_set(o, "configChecks", cJSON_CreateArray());
	(void)oc_json_set(o, "install", cJSON_CreateArray());
	return o;
}

static void skills_status(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *agent = agent_of(call, oc_json_ostr(params, "agentId"));
	oc_auto_free char *state = oc_path_state_dir(), *managed = oc_path_state("skills");
	oc_arena *arena = agent != NULL ? oc_arena_new(0) : NULL;
	oc_skills skills = {0};
	oc_err err = {0};
	if (agent == NULL)
		return;
	const char *workspace = oc_json_str(agent, "workspace", "");
	if (arena == NULL || state == NULL || managed == NULL)
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "out of memory");
	else
		(void)oc_skills_load(oc_method_gateway(call)->rt->config, state, workspace, oc_json_str(agent, "id", "main"), arena, &skills, &err);
	cJSON *result = cJSON_CreateObject(), *list = cJSON_CreateArray();
	for (size_t i = 0; i < skills.n; i++)
		(void)cJSON_AddItemToArray(list, skill_of(&skills.list[i]));
	(void)oc_json_set_str(result, "workspaceDir", workspace);
	(void)oc_json_set_str(result, "managedSkillsDir", managed != NULL ? managed : "");
	(void)oc_json_set(result, "skills", list);
	oc_arena_free(arena);
	if (err.code == OC_OK) {
		oc_method_reply(call, result);
		return;
	}
	cJSON_Delete(result);
	oc_method_fail(call, &err);
}

const oc_method oc_method_skills_status = {"skills.status", OC_SCOPE_READ, "the skills of an agent, and why some cannot be used",
					   OC_PARAMS(OC_STRING("agentId")), skills_status};

/* ---- Who is here ---- */

static void system_presence(oc_method_call *call, const cJSON *params)
{
	oc_sbuf b;
	(void)params;
	oc_sbuf_init(&b, 1u << 20);
	oc_proto_add_presence(oc_method_gateway(call), &b);
	oc_method_reply_text(call, oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

const oc_method oc_method_system_presence = {"system-presence", OC_SCOPE_READ, "who is connected over OpenClaw's own protocol", OC_PARAMS(""),
					     system_presence};
