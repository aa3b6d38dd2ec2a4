#include "core/gateway/method.h"
#include "core/gateway/plugin_host.h"

#include <string.h>

#include "core/agent/heartbeat.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "core/gateway/gateway.h"
#include "core/store/pairing.h"

/* ---- Answers ---- */

void oc_plugin_reply(oc_plugin_ticket ticket, cJSON *result)
{
	oc_auto_free char *text = result != NULL ? oc_json_print(result) : NULL;
	cJSON_Delete(result);
	if (text != NULL)
		oc_bridge_answer(ticket, OC_OK, oc_str_of(text));
	else
		oc_bridge_answer(ticket, OC_E_NOMEM, OC_STR("out of memory"));
}

void oc_plugin_refuse_call(oc_plugin_ticket ticket, const oc_err *err)
{
	oc_auto_free char *text = err->remedy[0] != 0 ? oc_asprintf("%s (%s)", err->text, err->remedy) : oc_strdup(err->text);
	oc_bridge_answer(ticket, err->code, oc_str_of(text));
}

const cJSON *oc_plugin_arg(const oc_plugin_asked *asked, int n)
{
	return cJSON_GetArrayItem(asked->args, n);
}

oc_plugin_op *oc_plugin_op_new(const oc_plugin_asked *asked)
{
	oc_plugin_op *op = oc_alloc(sizeof *op);
	if (op == NULL) {
		oc_bridge_answer(asked->ticket, OC_E_NOMEM, OC_STR("out of memory"));
		return NULL;
	}
	*op = (oc_plugin_op){.rt = asked->rt, .ticket = asked->ticket, .next = asked->rt->plugin_ops};
	asked->rt->plugin_ops = op;
	return op;
}

void oc_plugin_op_drop(oc_plugin_op *op)
{
	oc_plugin_op **at = &op->rt->plugin_ops;
	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
	oc_free(op);
}

void oc_plugin_host_end(oc_runtime *rt)
{
	for (oc_plugin_op *op = rt->plugin_ops; op != NULL; op = op->next) {
		if (op->is_wait)
			oc_agent_wait_end(rt->agent, op);
		else if (op->started)
			oc_agent_detach(rt->agent, op->run, op);
		op->ticket.plugin = NULL; /* commits under way may still call back */
	}
	oc_plugin_unlisten(rt, NULL);
}

void oc_plugin_ops_free(oc_runtime *rt)
{
	while (rt->plugin_ops != NULL)
		oc_plugin_op_drop(rt->plugin_ops);
}

/* ---- Configuration ---- */

enum { CHANGES_MAX = 500 };

oc_status oc_plugin_config_write(oc_plugin *plugin, const oc_config *config, oc_modules *modules, const cJSON *list, oc_err *err)
{
	const cJSON *item;
	int n = cJSON_GetArraySize(list), i = 0;
	if (n == 0)
		return OC_OK;
	oc_config_change *changes = n <= CHANGES_MAX ? oc_calloc((size_t)n, sizeof *changes) : NULL;
	if (changes == NULL)
		return oc_fail(err, n > CHANGES_MAX ? OC_E_LIMIT : OC_E_NOMEM, NULL, "%d changes of the configuration at once", n);
	oc_status status = OC_OK;
	cJSON_ArrayForEach(item, list)
	{
		changes[i] = (oc_config_change){oc_json_str(item, "path", ""), oc_json_get(item, "value")};
		status = oc_jpath_check(changes[i].path, err);
		if (status == OC_OK && !oc_plugin_owns(plugin, changes[i].path))
			status = oc_fail(err, OC_E_DENIED, "add the path to plugins.entries.<id>.configWrites to let it",
					 "the plugin %s may not change %s", oc_plugin_id(plugin), changes[i].path);
		if (status != OC_OK)
			break;
		i++;
	}
	if (status == OC_OK)
		status = oc_config_edit_checked(oc_config_path(config), changes, (size_t)n, false, oc_modules_refiner, modules, err);
	oc_free(changes);
	return status;
}

/* args: [[{"path","value"?}]] */
static void config_write(const oc_plugin_asked *asked)
{
	const oc_runtime *rt = asked->rt;
	oc_plugin *plugin = asked->ticket.plugin;
	oc_err err = {0};
	if (oc_plugin_config_write(plugin, rt->config, rt->modules, oc_plugin_arg(asked, 0), &err) == OC_OK) {
		oc_info("plugins", "%s changed the configuration", oc_plugin_id(plugin));
		oc_bridge_answer(asked->ticket, OC_OK, OC_STR("null"));
	} else {
		oc_log_err(OC_LOG_WARN, "plugins", oc_plugin_id(plugin), &err);
		oc_plugin_refuse_call(asked->ticket, &err);
	}
}

/* ---- Pairing ---- */

/* What is not the plugin's own channel is not its business. */
static bool own_channel(const oc_plugin_asked *asked, const char *channel)
{
	oc_sbuf path;
	oc_sbuf_init(&path, 512);
	oc_sbuf_z(&path, "channels");
	oc_jpath_add_name(&path, channel);
	bool own = path.error == OC_OK && channel[0] != 0 && oc_plugin_owns(asked->ticket.plugin, oc_sbuf_view(&path).p);
	oc_sbuf_free(&path);
	if (!own) {
		oc_auto_free char *why = oc_asprintf("the channel %s is not this plugin's", channel);
		oc_bridge_answer(asked->ticket, OC_E_DENIED, oc_str_of(why));
	}
	return own;
}

/* args: [channel, account] */
static void pairing_read(const oc_plugin_asked *asked)
{
	const cJSON *channel = oc_plugin_arg(asked, 0), *account = oc_plugin_arg(asked, 1), *row;
	const char *name = cJSON_IsString(channel) ? channel->valuestring : "";
	oc_auto_json cJSON *rows = NULL;
	oc_err err = {0};
	if (!own_channel(asked, name))
		return;
	if (oc_pairing_allow_list(asked->rt->store, name, &rows, &err) != OC_OK) {
		oc_plugin_refuse_call(asked->ticket, &err);
		return;
	}
	cJSON *out = cJSON_CreateArray();
	cJSON_ArrayForEach(row, rows)
	{
		if (!cJSON_IsString(account) || strcmp(account->valuestring, oc_json_str(row, "account", "default")) == 0)
			(void)cJSON_AddItemToArray(out, cJSON_CreateString(oc_json_str(row, "sender", "")));
	}
	oc_plugin_reply(asked->ticket, out);
}

/* args: [{"channel","accountId","id","name"?}]; answers {"code","created"}; code "" when too many wait. */
static void pairing_ask(const oc_plugin_asked *asked)
{
	const cJSON *q = oc_plugin_arg(asked, 0);
	oc_pairing_ask ask = {.channel = oc_json_str(q, "channel", ""), .account = oc_json_str(q, "accountId", "default"),
			      .sender = oc_json_str(q, "id", ""), .name = oc_json_str(q, "name", NULL)};
	oc_err err = {0};
	if (!own_channel(asked, ask.channel))
		return;
	oc_status status = oc_pairing_request(asked->rt->store, &ask, &err);
	if (status != OC_OK && status != OC_E_LIMIT) {
		oc_plugin_refuse_call(asked->ticket, &err);
		return;
	}
	cJSON *out = cJSON_CreateObject();
	(void)oc_json_set_str(out, "code", status == OC_OK ? ask.code : "");
	(void)oc_json_set_bool(out, "created", status == OC_OK && ask.is_new);
	oc_plugin_reply(asked->ticket, out);
	if (status == OC_OK && ask.is_new)
		oc_agent_pairing_asked(asked->rt->agent, ask.channel, ask.account, ask.sender, ask.name, ask.code);
}

/* ---- What is said to a session without being a message ---- */

/* args: [text, {"sessionKey","contextKey"?}] */
static void system_event(const oc_plugin_asked *asked)
{
	const cJSON *text = oc_plugin_arg(asked, 0), *options = oc_plugin_arg(asked, 1);
	oc_err err = {0};
	if (oc_agent_tell(asked->rt->agent, oc_json_ostr(options, "sessionKey"), cJSON_IsString(text) ? text->valuestring : "",
			  oc_json_str(options, "contextKey", ""), &err) != OC_OK)
		oc_plugin_refuse_call(asked->ticket, &err);
	else
		oc_bridge_answer(asked->ticket, OC_OK, OC_STR("true"));
}

/* args: [{"agentId"?}] */
static void system_heartbeat(const oc_plugin_asked *asked)
{
	const char *agent = oc_json_str(oc_plugin_arg(asked, 0), "agentId", "");
	if (agent[0] == 0 || oc_heartbeat_every_ms(asked->rt->config, agent) > 0)
		oc_heartbeat_request(asked->rt->agent, agent, "plugin");
	oc_bridge_answer(asked->ticket, OC_OK, OC_STR("true"));
}

/* ---- Tools of the gateway that plugins may offer as theirs ---- */

static void tool_done(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	oc_plugin_op *op = arg;
	if (status == OC_OK)
		oc_plugin_reply(op->ticket, cJSON_Duplicate(result, true));
	else
		oc_plugin_refuse_call(op->ticket, err);
	oc_plugin_op_drop(op);
}

/* args: [name, arguments, {"sessionKey"?,"agentId"?}] */
static void memory_tool(const oc_plugin_asked *asked)
{
	const cJSON *name = oc_plugin_arg(asked, 0), *where = oc_plugin_arg(asked, 2);
	oc_str tool = oc_str_of(cJSON_IsString(name) ? name->valuestring : "");
	oc_err err = {0};
	if (!oc_str_starts(tool, "memory_")) {
		oc_bridge_answer(asked->ticket, OC_E_DENIED, OC_STR("only the memory tools are lent to plugins"));
		return;
	}
	oc_plugin_op *op = oc_plugin_op_new(asked);
	if (op == NULL)
		return;
	oc_tool_input input = {.agent = oc_json_ostr(where, "agentId"), .session = oc_json_ostr(where, "sessionKey"), .tool = tool,
			       .arguments = oc_plugin_arg(asked, 1), .done = tool_done, .arg = op};
	if (oc_agent_tool_execute(asked->rt->agent, &input, &err) != OC_OK) {
		oc_plugin_refuse_call(asked->ticket, &err);
		oc_plugin_op_drop(op);
	}
}

/* ---- The table ---- */

static const struct {
	const char *path;
	void (*run)(const oc_plugin_asked *asked);
} rows[] = {
	{"agent.run", oc_plugin_run},
	{"channel.dispatch", oc_plugin_dispatch},
	{"config.write", config_write},
	{"gateway.call", oc_plugin_gateway_call},
	{"memory.tool", memory_tool},
	{"pairing.ask", pairing_ask},
	{"pairing.read", pairing_read},
	{"subagent.deleteSession", oc_plugin_subagent_delete},
	{"subagent.getSessionMessages", oc_plugin_subagent_messages},
	{"subagent.run", oc_plugin_subagent_run},
	{"subagent.waitForRun", oc_plugin_subagent_wait},
	{"system.event", system_event},
	{"system.heartbeat", system_heartbeat},
};

static bool runtime(void *arg, oc_plugin_ticket ticket, const char *path, const cJSON *args)
{
	oc_plugin_asked asked = {.rt = arg, .ticket = ticket, .args = args};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].path, path) == 0) {
			rows[i].run(&asked);
			return true;
		}
	return false;
}

static void broadcast(void *arg, oc_plugin *plugin, const char *event, const cJSON *payload)
{
	const oc_runtime *rt = arg;
	oc_agent_announce(rt->agent, oc_plugin_id(plugin), event, payload != NULL ? cJSON_Duplicate(payload, true) : NULL);
}

static void listens(void *arg, oc_plugin *plugin, const char *kind)
{
	oc_plugin_listen(arg, plugin, kind);
}

static void gone(void *arg, oc_plugin *plugin)
{
	oc_plugin_unlisten(arg, plugin);
}

static void channels(void *arg, oc_plugin *plugin, bool others)
{
	oc_runtime *rt = arg;
	(void)plugin;
	oc_agent_sync_channels(rt->agent);
	/* Their settings were not checked yet. */
	if (others && rt->gateway != NULL)
		oc_gateway_reload(rt->gateway, false);
}

static bool has_method(oc_str name)
{
	return oc_method_find(name, NULL) >= 0;
}

const oc_bridge_host oc_plugin_host = {runtime, broadcast, listens, gone, channels, has_method};
