/* agent.*, models.*, tools.*, channels.*, pairing.*, modules.*: what there is, and using one of it. */
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/proto.h"
#include "core/store/pairing.h"

#define OBJECT(members) "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" members "}}"
#define OBJECT_REQ(required, members) \
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[" required "],\"properties\":{" members "}}"
#define STRING(name) "\"" name "\":{\"type\":\"string\",\"maxLength\":512}"

static oc_agent *agent_of(const oc_method_call *call)
{
	return oc_method_gateway(call)->agent;
}

static void answer(oc_method_call *call, oc_status status, const char *name, cJSON *value, const oc_err *err)
{
	cJSON *result = value;
	if (status != OC_OK) {
		oc_method_fail(call, err);
		return;
	}
	if (name != NULL && (result = cJSON_CreateObject()) != NULL)
		oc_json_set(result, name, value);
	else if (name != NULL)
		cJSON_Delete(value);
	oc_method_reply(call, result);
}

/* ---- agents and models ---- */

static void agent_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_agents(agent_of(call), &value, &err);
	answer(call, status, NULL, value, &err);
}

const oc_method oc_method_agent_list = {"agent.list", OC_SCOPE_READ, "lists the agents", OBJECT(""), agent_list};

static void agent_get(oc_method_call *call, const cJSON *params)
{
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_agent(agent_of(call), oc_json_ostr(params, "agent"), &value, &err);
	answer(call, status, NULL, value, &err);
}

const oc_method oc_method_agent_get = {"agent.get", OC_SCOPE_READ, "one agent with its workspace files",
				       OBJECT(STRING("agent")), agent_get};

static void agent_status(oc_method_call *call, const cJSON *params)
{
	cJSON *model = NULL, *runs = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_model_status(agent_of(call), oc_json_ostr(params, "agent"), &model, &err);
	if (status == OC_OK)
		status = oc_agent_runs(agent_of(call), &runs, &err);
	cJSON *value = status == OC_OK ? cJSON_CreateObject() : NULL;
	if (value != NULL) {
		oc_json_set(value, "model", model);
		oc_json_set(value, "runs", runs);
	} else {
		cJSON_Delete(model);
		cJSON_Delete(runs);
	}
	answer(call, status, NULL, value, &err);
}

const oc_method oc_method_agent_status = {"agent.status", OC_SCOPE_READ, "the agent's model and what runs now",
					  OBJECT(STRING("agent")), agent_status};

/* OpenClaw's own clients have provider and id apart. */
static void split_ids(cJSON *models)
{
	cJSON *one;
	cJSON_ArrayForEach(one, models)
	{
		oc_auto_free char *id = oc_strdup(oc_json_str(one, "id", ""));
		const char *slash = id != NULL ? strchr(id, '/') : NULL;
		if (oc_json_get(one, "name") == NULL)
			oc_json_opt(one, "name", slash != NULL ? slash + 1 : id);
		if (slash != NULL)
			(void)oc_json_set_str(one, "id", slash + 1);
	}
}

static void models_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_models(agent_of(call), &value, &err);
	cJSON *result = status == OC_OK ? cJSON_CreateObject() : NULL;
	if (oc_method_client(call)->protocol != 0)
		split_ids(value);
	if (result != NULL) {
		oc_json_set(result, "models", value);
		oc_json_set(result, "keys", oc_agent_keys(agent_of(call)));
	} else {
		cJSON_Delete(value);
	}
	answer(call, status, NULL, result, &err);
}

const oc_method oc_method_models_list = {"models.list", OC_SCOPE_READ, "the models that are known and configured, and how their keys are",
					 OBJECT(""), models_list};

static void models_retry(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_err err = {0};
	cJSON *result = cJSON_CreateObject();
	oc_json_set_i64(result, "ended", (int64_t)oc_agent_rests_end(agent_of(call)));
	answer(call, OC_OK, NULL, result, &err);
}

const oc_method oc_method_models_retry = {"models.retry", OC_SCOPE_ADMIN, "asks models and keys again that rest after they refused",
					  OBJECT(""), models_retry};

/* ---- tools ---- */

static void tools_list(oc_method_call *call, const cJSON *params)
{
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_tools(agent_of(call), oc_json_ostr(params, "agent"), oc_json_ostr(params, "session"),
					  &value, &err);
	answer(call, status, "tools", value, &err);
}

const oc_method oc_method_tools_list = {"tools.list", OC_SCOPE_READ, "the tools and whether the policy allows them",
					OBJECT(STRING("agent") "," STRING("session")), tools_list};

static void on_tool_done(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	answer(arg, status, NULL, status == OC_OK ? cJSON_Duplicate(result, true) : NULL, err);
}

static void tools_execute(oc_method_call *call, const cJSON *params)
{
	oc_tool_input input = {
		.agent = oc_json_ostr(params, "agent"),
		.session = oc_json_ostr(params, "session"),
		.tool = oc_json_ostr(params, "name"),
		.arguments = oc_json_get(params, "arguments"),
		.timeout_ms = (uint64_t)oc_json_i64(params, "timeoutMs", 0),
		.done = on_tool_done,
		.arg = call,
	};
	oc_err err = {0};
	if (oc_agent_tool_execute(agent_of(call), &input, &err) != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_tools_execute = {
	"tools.execute", OC_SCOPE_WRITE, "runs one tool under policy, validation and hooks",
	OBJECT_REQ("\"name\"", STRING("name") "," STRING("agent") "," STRING("session") ",\"arguments\":{\"type\":\"object\"},"
			       "\"timeoutMs\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600000}"),
	tools_execute};

/* ---- channels and pairing ---- */

static void channels_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_channels(agent_of(call), &value, &err);
	answer(call, status, "channels", value, &err);
}

const oc_method oc_method_channels_list = {"channels.list", OC_SCOPE_READ, "the channels and their accounts", OBJECT(""),
					   channels_list};

static void channels_status(oc_method_call *call, const cJSON *params)
{
	cJSON *list = NULL;
	oc_err err = {0};
	const char *wanted = oc_json_str(params, "channel", "");
	if (wanted[0] == 0) {
		cJSON *all = oc_proto_channels(oc_method_gateway(call), &err);
		answer(call, err.code, NULL, all, &err);
		return;
	}
	oc_status status = oc_agent_channels(agent_of(call), &list, &err);
	cJSON *found = NULL, *channel;
	cJSON_ArrayForEach(channel, list) if (oc_str_eqz(oc_json_ostr(channel, "id"), wanted)) found = channel;
	if (status == OC_OK && found == NULL)
		status = oc_fail(&err, OC_E_NOT_FOUND, "channels.list names them", "there is no channel \"%s\"", wanted);
	if (found != NULL)
		cJSON_DetachItemViaPointer(list, found);
	cJSON_Delete(list);
	answer(call, status, NULL, found, &err);
}

const oc_method oc_method_channels_status = {"channels.status", OC_SCOPE_READ,
					     "one channel and its accounts; without a name all, as OpenClaw's own clients want them",
					     OBJECT(STRING("channel") "," OC_BOOLEAN("probe") "," OC_COUNT("timeoutMs", 600000)), channels_status};

static void on_probed(void *arg, oc_status status, const cJSON *result)
{
	oc_err err;
	oc_fail(&err, status, NULL, "probing the channel: %s", oc_status_text(status));
	answer(arg, status, NULL, status == OC_OK ? cJSON_Duplicate(result, true) : NULL, &err);
}

static void channels_probe(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (oc_agent_channel_probe(agent_of(call), oc_json_ostr(params, "channel"), oc_json_ostr(params, "account"),
				   on_probed, call, &err)
	    != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_channels_probe = {"channels.probe", OC_SCOPE_WRITE, "checks a channel's accounts against the network",
					    OBJECT_REQ("\"channel\"", STRING("channel") "," STRING("account")),
					    channels_probe};

static void pairing_list(oc_method_call *call, const cJSON *params)
{
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_pairing_list(oc_method_gateway(call)->rt->store, oc_json_str(params, "channel", NULL), &value,
					   &err);
	answer(call, status, "requests", value, &err);
}

const oc_method oc_method_pairing_list = {"pairing.list", OC_SCOPE_ADMIN, "strangers who asked to talk to the agent",
					  OBJECT(STRING("channel")), pairing_list};

static void pairing_approve(oc_method_call *call, const cJSON *params)
{
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_pairing_approve(agent_of(call), oc_json_str(params, "channel", ""),
						    oc_json_str(params, "code", ""), &value, &err);
	answer(call, status, "request", value, &err);
}

const oc_method oc_method_pairing_approve = {"pairing.approve", OC_SCOPE_ADMIN, "lets the sender of a pairing code in",
					     OBJECT_REQ("\"channel\",\"code\"", STRING("channel") "," STRING("code")),
					     pairing_approve};

static void pairing_reject(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	oc_status status = oc_pairing_reject(oc_method_gateway(call)->rt->store, oc_json_str(params, "channel", ""),
					     oc_json_str(params, "code", ""), &err);
	answer(call, status, NULL, status == OC_OK ? cJSON_CreateObject() : NULL, &err);
}

const oc_method oc_method_pairing_reject = {"pairing.reject", OC_SCOPE_ADMIN, "makes a pairing code worthless",
					    OBJECT_REQ("\"channel\",\"code\"", STRING("channel") "," STRING("code")),
					    pairing_reject};

static void pairing_revoke(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	oc_status status = oc_pairing_revoke(oc_method_gateway(call)->rt->store, oc_json_str(params, "channel", ""),
					     oc_json_str(params, "account", "default"), oc_json_str(params, "sender", ""), &err);
	answer(call, status, NULL, status == OC_OK ? cJSON_CreateObject() : NULL, &err);
}

const oc_method oc_method_pairing_revoke = {
	"pairing.revoke", OC_SCOPE_ADMIN, "makes somebody a stranger again who was let in by a code",
	OBJECT_REQ("\"channel\",\"sender\"", STRING("channel") "," STRING("account") "," STRING("sender")), pairing_revoke};

/* ---- modules ---- */

static void modules_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_modules *modules = oc_method_gateway(call)->rt->modules;
	oc_err err = {0};
	oc_status status = oc_modules_scan(modules, &err); /* a file that was dropped in shows at once */
	answer(call, status, "modules", status == OC_OK ? oc_modules_describe(modules) : NULL, &err);
}

const oc_method oc_method_modules_list = {"modules.list", OC_SCOPE_READ, "every module found, its state and why",
					  OBJECT(""), modules_list};

/* The module that the parameters name; NULL: there is none, which is answered. */
static oc_module *named_module(oc_method_call *call, const cJSON *params)
{
	const char *name = oc_json_str(params, "name", "");
	oc_module *module = oc_modules_find(oc_method_gateway(call)->rt->modules, name);
	if (module == NULL)
		oc_method_failf(call, OC_E_NOT_FOUND, "modules.list names them", "there is no module \"%s\"", name);
	return module;
}

static void modules_info(oc_method_call *call, const cJSON *params)
{
	oc_module *module = named_module(call, params);
	if (module != NULL)
		oc_method_reply(call, oc_module_describe(module, true));
}

const oc_method oc_method_modules_info = {"modules.info", OC_SCOPE_READ, "one module in detail",
					  OBJECT_REQ("\"name\"", STRING("name")), modules_info};

static void modules_trace(oc_method_call *call, const cJSON *params)
{
	oc_module *module = named_module(call, params);
	if (module != NULL)
		oc_method_reply(call, oc_module_trace_read(module, (uint64_t)oc_json_i64(params, "after", 0)));
}

const oc_method oc_method_modules_trace = {"modules.trace", OC_SCOPE_READ, "what a module is called for, and how long it takes",
					   OBJECT_REQ("\"name\"", STRING("name") ",\"after\":{\"type\":\"integer\",\"minimum\":0}"),
					   modules_trace};

typedef struct reload {
	oc_method_call *call;
	oc_modules *modules;
	char name[80];
} reload;

static void reloaded(void *arg, unsigned started, unsigned failed)
{
	reload *r = arg;
	(void)started;
	(void)failed;
	oc_module *module = oc_modules_find(r->modules, r->name);
	if (module == NULL)
		oc_method_failf(r->call, OC_E_NOT_FOUND, "", "module %s is gone", r->name);
	else if (!oc_module_running(module)) {
		/* One with a process may be tried again already: then what ended it last is the reason. */
		oc_auto_json cJSON *o = oc_module_describe(module, false);
		const char *reason = oc_module_reason(module);
		oc_method_failf(r->call, OC_E_UNAVAILABLE, oc_module_remedy(module), "module %s does not run: %s", r->name,
				reason[0] != 0 ? reason : oc_json_str(o, "lastFailure", ""));
	}
	else
		oc_method_reply(r->call, oc_module_describe(module, false));
	oc_free(r);
}

static void modules_reload(oc_method_call *call, const cJSON *params)
{
	oc_module *module = named_module(call, params);
	oc_err err = {0};
	if (module == NULL)
		return;
	reload *r = oc_alloc(sizeof *r);
	oc_status status = r == NULL ? OC_E_NOMEM : OC_OK;
	if (status == OC_OK) {
		*r = (reload){.call = call, .modules = oc_method_gateway(call)->rt->modules};
		(void)snprintf(r->name, sizeof r->name, "%s", oc_module_name(module));
		status = oc_module_reload(module, reloaded, r, &err);
	}
	if (status == OC_OK)
		return;
	oc_free(r);
	answer(call, status, NULL, NULL, &err);
}

const oc_method oc_method_modules_reload = {"modules.reload", OC_SCOPE_ADMIN, "starts a module anew, with its settings and file as they are now",
					    OBJECT_REQ("\"name\"", STRING("name")), modules_reload};

static bool add_ailing(void *arg, oc_module *module)
{
	if (oc_module_reason(module)[0] != 0)
		cJSON_AddItemToArray(arg, oc_module_describe(module, false));
	return true;
}

static void modules_doctor(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_modules *modules = oc_method_gateway(call)->rt->modules;
	oc_err err = {0};
	oc_status status = oc_modules_scan(modules, &err);
	cJSON *list = cJSON_CreateArray();
	if (status == OC_OK && list != NULL)
		oc_modules_each(modules, add_ailing, list);
	answer(call, status, "modules", list, &err);
}

const oc_method oc_method_modules_doctor = {"modules.doctor", OC_SCOPE_READ, "the modules that do not run, why, and what to do",
					    OBJECT(""), modules_doctor};
