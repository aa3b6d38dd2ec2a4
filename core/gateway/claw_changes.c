/* agents.create, agents.update, agents.delete, skills.update, send, config.schema.lookup: small changes and questions of
 * clients of OpenClaw's own protocol. Configuration is changed in its file; answers come when the change is in effect. */
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/gateway.h"

/* ---- agents.create, agents.update, agents.delete ---- */

/* An agent's place in the file's list; -1: it is not there. */
static int place_of(const oc_config *config, const char *id)
{
	const cJSON *one;
	int i = 0;
	cJSON_ArrayForEach(one, oc_json_path(oc_config_source(config), "agents.list"))
	{
		char own[65];
		oc_agent_id_normalize(oc_json_ostr(one, "id"), own);
		if (strcmp(own, id) == 0)
			return i;
		i++;
	}
	return -1;
}

static cJSON *named(const char *name, const char *value)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_str(o, name, value);
	return o;
}

/* Writes the edits and answers with result, which it takes, when they are in effect. */
static void commit(oc_method_call *call, oc_config_edits *edits, cJSON *result)
{
	oc_err err = {0};
	if (oc_config_edits_commit(edits, NULL, &err) == OC_OK) {
		oc_gateway_reload_then(oc_method_gateway(call), false, call, result);
		return;
	}
	cJSON_Delete(result);
	oc_method_fail(call, &err);
}

/* The folder of an agent, made; NULL: err. */
static char *make_workspace(const char *given, oc_err *err)
{
	char *path = given[0] == '/' || given[0] == '~' ? oc_path_expand(given, NULL) : NULL;
	if (path == NULL)
		(void)oc_fail(err, OC_E_INVALID, "", "workspace must be a path from / or ~");
	else if (oc_path_mkdirs(path, 0700, err) == OC_OK)
		return path;
	oc_free(path);
	return NULL;
}

static cJSON *new_agent(const char *id, const cJSON *params, const char *workspace)
{
	cJSON *o = cJSON_CreateObject(), *identity = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", id);
	(void)oc_json_set_str(o, "name", oc_json_str(params, "name", ""));
	(void)oc_json_set_str(o, "workspace", workspace);
	(void)oc_json_set_str(identity, "name", oc_json_str(params, "name", ""));
	oc_json_opt(identity, "emoji", oc_json_str(params, "emoji", NULL));
	oc_json_opt(identity, "avatar", oc_json_str(params, "avatar", NULL));
	(void)oc_json_set(o, "identity", identity);
	return o;
}

static void agents_create(oc_method_call *call, const cJSON *params)
{
	char id[65], main_id[65];
	oc_config_edits edits = {0};
	oc_err err = {0};
	oc_agent_id_normalize(oc_str_trim(oc_json_ostr(params, "name")), id);
	oc_config *config = oc_method_config(call);
	if (config == NULL)
		return;
	int n = cJSON_GetArraySize(oc_json_path(oc_config_source(config), "agents.list")), at = place_of(config, id);
	(void)oc_agent_default_id(config, main_id);
	oc_config_unref(config);
	oc_auto_free char *workspace = NULL;
	if (strcmp(id, "main") == 0)
		(void)oc_fail(&err, OC_E_INVALID, "", "\"main\" is reserved");
	else if (at >= 0)
		(void)oc_fail(&err, OC_E_INVALID, "", "agent \"%s\" already exists", id);
	else
		workspace = make_workspace(oc_json_str(params, "workspace", ""), &err);
	if (err.code != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = named("agentId", id);
	(void)oc_json_set_str(result, "name", oc_json_str(params, "name", ""));
	(void)oc_json_set_str(result, "workspace", workspace);
	if (n == 0) { /* who was there without being listed stays the default one */
		cJSON *list = cJSON_CreateArray(), *first = cJSON_CreateObject();
		(void)oc_json_set_str(first, "id", main_id);
		(void)cJSON_AddItemToArray(list, first);
		(void)cJSON_AddItemToArray(list, new_agent(id, params, workspace));
		oc_config_edits_set(&edits, oc_strdup("agents.list"), list);
	} else {
		oc_config_edits_set(&edits, oc_asprintf("agents.list[%d]", n), new_agent(id, params, workspace));
	}
	commit(call, &edits, result);
}

#define LOOKS OC_STRING("emoji") "," OC_STRING("avatar")
const oc_method oc_method_agents_create = {
	"agents.create", OC_SCOPE_ADMIN, "adds an agent to the configuration and makes its folder",
	OC_PARAMS_REQ("\"name\",\"workspace\"", OC_NAME("name") "," OC_NAME("workspace") "," LOOKS), agents_create};

/* The place of params' agent; -1: answered. */
static int known_agent(oc_method_call *call, const oc_config *config, const cJSON *params, char id[65])
{
	oc_agent_id_normalize(oc_json_ostr(params, "agentId"), id);
	int at = place_of(config, id);
	if (at < 0)
		oc_method_failf(call, OC_E_INVALID, "", "agent \"%s\" not found", id);
	return at;
}

static void agents_update(oc_method_call *call, const cJSON *params)
{
	static const struct {
		const char *name, *path;
	} members[] = {{"name", "name"}, {"name", "identity.name"}, {"model", "model"}, {"emoji", "identity.emoji"}, {"avatar", "identity.avatar"}};
	oc_config_edits edits = {0};
	char id[65];
	oc_config *config = oc_method_config(call);
	int at = config != NULL ? known_agent(call, config, params, id) : -1;
	oc_config_unref(config);
	if (at < 0)
		return;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (oc_json_ostr(params, members[i].name).n > 0)
			oc_config_edits_set(&edits, oc_asprintf("agents.list[%d].%s", at, members[i].path),
					    cJSON_CreateString(oc_json_str(params, members[i].name, "")));
	if (oc_json_ostr(params, "workspace").n > 0) {
		oc_err err = {0};
		oc_auto_free char *workspace = make_workspace(oc_json_str(params, "workspace", ""), &err);
		if (workspace == NULL) {
			oc_config_edits_drop(&edits);
			oc_method_fail(call, &err);
			return;
		}
		oc_config_edits_set(&edits, oc_asprintf("agents.list[%d].workspace", at), cJSON_CreateString(workspace));
	}
	commit(call, &edits, named("agentId", id));
}

const oc_method oc_method_agents_update = {
	"agents.update", OC_SCOPE_ADMIN, "changes an agent's name, folder, model, emoji or avatar in the configuration",
	OC_PARAMS_REQ("\"agentId\"", OC_NAME("agentId") "," OC_NAME("name") "," OC_NAME("workspace") "," OC_NAME("model") "," LOOKS), agents_update};

/* The bindings without those of an agent, when it has any. */
static int drop_bindings(const oc_config *config, const char *id, oc_config_edits *edits)
{
	const cJSON *bindings = oc_json_get(oc_config_source(config), "bindings"), *one;
	cJSON *rest = cJSON_CreateArray();
	int dropped = 0;
	cJSON_ArrayForEach(one, bindings)
	{
		char own[65];
		oc_agent_id_normalize(oc_json_ostr(one, "agentId"), own);
		if (strcmp(own, id) == 0)
			dropped++;
		else
			(void)cJSON_AddItemToArray(rest, cJSON_Duplicate(one, true));
	}
	if (dropped > 0)
		oc_config_edits_set(edits, oc_strdup("bindings"), rest);
	else
		cJSON_Delete(rest);
	return dropped;
}

static void agents_delete(oc_method_call *call, const cJSON *params)
{
	oc_config_edits edits = {0};
	char id[65];
	oc_config *config = oc_method_config(call);
	if (config == NULL)
		return;
	oc_agent_id_normalize(oc_json_ostr(params, "agentId"), id);
	if (strcmp(id, "main") == 0)
		oc_method_failf(call, OC_E_INVALID, "", "\"main\" cannot be deleted");
	int at = strcmp(id, "main") != 0 ? known_agent(call, config, params, id) : -1;
	if (at >= 0) {
		cJSON *result = named("agentId", id);
		oc_config_edits_remove(&edits, oc_asprintf("agents.list[%d]", at));
		(void)oc_json_set_i64(result, "removedBindings", drop_bindings(config, id, &edits));
		commit(call, &edits, result);
	}
	oc_config_unref(config);
}

const oc_method oc_method_agents_delete = {
	"agents.delete", OC_SCOPE_ADMIN, "takes an agent and its bindings out of the configuration; its folder and its sessions stay, whatever deleteFiles says",
	OC_PARAMS_REQ("\"agentId\"", OC_NAME("agentId") "," OC_BOOLEAN("deleteFiles")), agents_delete};

/* ---- skills.update ---- */

/* "" takes it away. */
static void edit_text(oc_config_edits *edits, const char *at, const char *name, const cJSON *value)
{
	char *path = oc_config_member_path(at, name);
	if (value->valuestring[0] != 0)
		oc_config_edits_set(edits, path, cJSON_CreateString(value->valuestring));
	else
		oc_config_edits_remove(edits, path);
}

static void skills_update(oc_method_call *call, const cJSON *params)
{
	const char *key = oc_json_str(params, "skillKey", "");
	const cJSON *enabled = oc_json_get(params, "enabled"), *secret = oc_json_get(params, "apiKey"), *one;
	oc_auto_free char *entry = oc_config_member_path("skills.entries", key);
	oc_auto_free char *env = entry != NULL ? oc_config_member_path(entry, "env") : NULL;
	oc_config_edits edits = {0};
	cJSON *result = named("skillKey", key), *config = cJSON_CreateObject();
	if (env == NULL) {
		edits.failed = true;
	} else {
		if (enabled != NULL)
			oc_config_edits_set(&edits, oc_config_member_path(entry, "enabled"), cJSON_CreateBool(cJSON_IsTrue(enabled)));
		if (secret != NULL)
			edit_text(&edits, entry, "apiKey", secret);
		cJSON_ArrayForEach(one, oc_json_get(params, "env")) edit_text(&edits, env, one->string, one);
	}
	if (enabled != NULL)
		(void)oc_json_set_bool(config, "enabled", cJSON_IsTrue(enabled));
	(void)oc_json_set(result, "config", config);
	commit(call, &edits, result);
}

const oc_method oc_method_skills_update = {
	"skills.update", OC_SCOPE_ADMIN, "switches a skill on or off, or sets its key or environment (\"\" takes it away); secrets are not told back",
	OC_PARAMS_REQ("\"skillKey\"", OC_NAME("skillKey") "," OC_BOOLEAN("enabled") ",\"apiKey\":{\"type\":\"string\",\"maxLength\":4096},"
			  "\"env\":{\"type\":\"object\",\"maxProperties\":100,\"additionalProperties\":{\"type\":\"string\",\"maxLength\":4096}}"),
	skills_update};

/* ---- send ---- */

struct sending {
	oc_method_call *call;
	char key[80], channel[64], run[61];
};

static void on_sent(void *arg, oc_status status, const oc_err *err)
{
	struct sending *s = arg;
	if (status == OC_OK) {
		cJSON *result = cJSON_CreateObject();
		(void)oc_json_set_str(result, "runId", s->run);
		(void)oc_json_set_str(result, "messageId", s->key);
		(void)oc_json_set_str(result, "channel", s->channel);
		oc_method_reply(s->call, result);
	} else {
		oc_method_fail(s->call, err);
	}
	oc_free(s);
}

/* The only one that is set up need not be named; one that is not would never send what waits for it. */
static bool settle_channel(const cJSON *channels, const char **name, oc_err *err)
{
	const cJSON *one, *found = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, channels)
	{
		bool set_up = cJSON_GetArraySize(oc_json_get(one, "accounts")) > 0;
		n += set_up ? 1 : 0;
		if ((*name)[0] != 0 ? strcmp(oc_json_str(one, "id", ""), *name) == 0 : set_up)
			found = one;
	}
	if ((*name)[0] == 0 && n != 1)
		(void)oc_fail(err, OC_E_INVALID, "", n == 0 ? "Channel is required (no configured channels detected)." : "channel is required");
	else if (cJSON_GetArraySize(oc_json_get(found, "accounts")) == 0)
		(void)oc_fail(err, OC_E_INVALID, "channels.status tells which are configured", "unsupported channel: %.100s", *name);
	else
		*name = oc_json_str(found, "id", "");
	return err->code == OC_OK;
}

static void send_text(oc_method_call *call, const cJSON *params)
{
	oc_agent *agent = oc_method_gateway(call)->agent;
	oc_auto_json cJSON *channels = NULL, *message = cJSON_CreateObject();
	const char *channel = oc_json_str(params, "channel", "");
	oc_err err = {0};
	if (oc_str_trim(oc_json_ostr(params, "message")).n == 0) {
		bool media = oc_json_get(params, "mediaUrl") != NULL || oc_json_get(params, "mediaUrls") != NULL;
		oc_method_failf(call, media ? OC_E_UNAVAILABLE : OC_E_INVALID, "", "%s",
				media ? "this method sends text only: the agent's tool message sends files" : "invalid send params: text or media is required");
		return;
	}
	if (oc_agent_channels(agent, &channels, &err) != OC_OK || !settle_channel(channels, &channel, &err)) {
		oc_method_fail(call, &err);
		return;
	}
	struct sending *s = oc_alloc(sizeof *s);
	if (s == NULL) {
		oc_method_failf(call, OC_E_NOMEM, "", "out of memory");
		return;
	}
	s->call = call;
	(void)snprintf(s->channel, sizeof s->channel, "%s", channel);
	(void)snprintf(s->run, sizeof s->run, "%s", oc_json_str(params, "idempotencyKey", ""));
	(void)oc_json_set_str(message, "channel", channel);
	(void)oc_json_set_str(message, "account", oc_json_str(params, "accountId", "default"));
	(void)oc_json_set_str(message, "to", oc_json_str(params, "to", ""));
	oc_json_opt(message, "thread", oc_json_str(params, "threadId", NULL));
	(void)oc_json_set_str(message, "text", oc_json_str(params, "message", ""));
	oc_json_opt(message, "session", oc_json_str(params, "sessionKey", NULL));
	if (oc_agent_send(agent, message, oc_json_ostr(params, "idempotencyKey"), s->key, on_sent, s, &err) == OC_OK)
		return;
	oc_method_fail(call, &err);
	oc_free(s);
}

const oc_method oc_method_send = {
	"send", OC_SCOPE_WRITE, "sends a text over a channel; answered when it is certain to be tried, `events.subscribe` tells of its delivery",
	OC_PARAMS_REQ("\"to\",\"idempotencyKey\"",
		      OC_NAME("to") ",\"message\":{\"type\":\"string\",\"maxLength\":1048576},"
		      OC_STRING("mediaUrl") ",\"mediaUrls\":{\"type\":\"array\",\"maxItems\":10,\"items\":{\"type\":\"string\"}}," OC_BOOLEAN("gifPlayback") ","
		      OC_STRING("channel") "," OC_STRING("accountId") "," OC_STRING("agentId") "," OC_STRING("threadId") "," OC_STRING("sessionKey")
		      ",\"idempotencyKey\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":60}"),
	send_text};

/* ---- config.schema.lookup ---- */

static const cJSON *step(const cJSON *schema, const char *name)
{
	const cJSON *next = oc_json_get(oc_json_get(schema, "properties"), name), *more = oc_json_get(schema, "additionalProperties");
	if (next == NULL && cJSON_IsObject(oc_json_get(schema, "items")))
		next = strspn(name, "*0123456789") == strlen(name) ? oc_json_get(schema, "items") : NULL;
	return next != NULL ? next : cJSON_IsObject(more) ? more : NULL;
}

static bool has_children(const cJSON *schema)
{
	const cJSON *more = oc_json_get(schema, "additionalProperties");
	return cJSON_GetArraySize(oc_json_get(schema, "properties")) > 0 || cJSON_IsObject(more) || cJSON_IsObject(oc_json_get(schema, "items"));
}

static void add_child(cJSON *list, const cJSON *parent, const char *path, const char *name, const cJSON *schema)
{
	const cJSON *one;
	bool required = false;
	cJSON *o = cJSON_CreateObject(), *hint = cJSON_CreateObject();
	oc_auto_free char *at = oc_asprintf("%s.%s", path, name);
	cJSON_ArrayForEach(one, oc_json_get(parent, "required")) required = required || (cJSON_IsString(one) && strcmp(one->valuestring, name) == 0);
	(void)oc_json_set_str(o, "key", name);
	(void)oc_json_set_str(o, "path", at != NULL ? at : name);
	oc_json_opt(o, "type", oc_json_str(schema, "type", NULL));
	(void)oc_json_set_bool(o, "required", required);
	(void)oc_json_set_bool(o, "hasChildren", has_children(schema));
	oc_json_opt(hint, "help", oc_json_str(schema, "description", NULL));
	if (hint != NULL && hint->child != NULL)
		(void)oc_json_set(o, "hint", hint);
	else
		cJSON_Delete(hint);
	(void)cJSON_AddItemToArray(list, o);
}

static void config_schema_lookup(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *all = oc_config_schema();
	const char *path = oc_json_str(params, "path", "");
	const cJSON *schema = all, *one;
	oc_str rest = oc_json_ostr(params, "path");
	while (schema != NULL && rest.p != NULL) {
		oc_str part = oc_str_cut(&rest, '.');
		oc_auto_free char *name = oc_memdup(part.p, part.n);
		schema = name != NULL ? step(schema, name) : NULL;
	}
	if (schema == NULL) {
		oc_method_failf(call, OC_E_INVALID, "", "config schema path not found");
		return;
	}
	cJSON *result = cJSON_CreateObject(), *own = cJSON_CreateObject(), *children = cJSON_CreateArray(), *hint = cJSON_CreateObject();
	cJSON_ArrayForEach(one, schema) if (!cJSON_IsObject(one) || strcmp(one->string, "default") == 0)
		(void)oc_json_set(own, one->string, cJSON_Duplicate(one, true));
	cJSON_ArrayForEach(one, oc_json_get(schema, "properties")) add_child(children, schema, path, one->string, one);
	const cJSON *any = oc_json_get(schema, "items") != NULL ? oc_json_get(schema, "items") : oc_json_get(schema, "additionalProperties");
	if (cJSON_IsObject(any))
		add_child(children, schema, path, "*", any);
	oc_json_opt(hint, "help", oc_json_str(schema, "description", NULL));
	(void)oc_json_set_str(result, "path", path);
	(void)oc_json_set(result, "schema", own);
	(void)oc_json_set(result, "hint", hint);
	(void)oc_json_set_str(result, "hintPath", path);
	(void)oc_json_set(result, "children", children);
	oc_method_reply(call, result);
}

const oc_method oc_method_config_schema_lookup = {
	"config.schema.lookup", OC_SCOPE_READ, "the schema at one place of the configuration, and what is below it; * stands for any name or number",
	OC_PARAMS_REQ("\"path\"", OC_NAME("path")), config_schema_lookup};
