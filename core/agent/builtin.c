#include "core/agent/builtin.h"

#include <string.h>

#include "core/base/mem.h"

#define RESULT_MAX ((size_t)16 << 20)
#define SPECS_MAX ((size_t)1 << 20)

static const oc_builtin_tool *const tools[] = {
	&oc_tool_sessions_spawn, &oc_tool_sessions_yield, &oc_tool_subagents,	  &oc_tool_sessions_list, &oc_tool_sessions_history,
	&oc_tool_sessions_send,	 &oc_tool_session_status, &oc_tool_agents_list,
	&oc_tool_message,	 &oc_tool_cron,		  &oc_tool_nodes,
	&oc_tool_memory_search,
	&oc_tool_memory_get,
	NULL,
};
#define each_tool(t) for (const oc_builtin_tool *const *t = tools; *t != NULL; t++)

const oc_builtin_tool *oc_builtin_find(const char *name)
{
	each_tool(t) if (strcmp((*t)->name, name) == 0) return *t;
	return NULL;
}

/* ---- Ends of a call ---- */

static void complete(oc_call *call, const char *text, bool is_error, const cJSON *details)
{
	oc_sbuf b;
	if (!oc_call_is_owed(call))
		return;
	oc_sbuf_init(&b, RESULT_MAX);
	oc_sbuf_z(&b, "{\"content\":[{\"type\":\"text\",\"text\":");
	oc_sbuf_json(&b, oc_str_of(text));
	oc_sbuf_printf(&b, "}],\"isError\":%s", is_error ? "true" : "false");
	if (details != NULL) {
		oc_sbuf_z(&b, ",\"details\":");
		oc_json_add_to(&b, details);
	}
	oc_sbuf_char(&b, '}');
	if (b.error == OC_OK)
		oc_call_done(call, OC_OK, oc_sbuf_view(&b));
	else
		oc_call_done(call, b.error, OC_STR("the result is too long"));
	oc_sbuf_free(&b);
}

void oc_builtin_text(oc_call *call, bool is_error, const char *format, ...)
{
	oc_sbuf b;
	va_list args;
	oc_sbuf_init(&b, RESULT_MAX);
	va_start(args, format);
	oc_sbuf_vprintf(&b, format, args);
	va_end(args);
	if (b.error == OC_OK)
		complete(call, b.p != NULL ? b.p : "", is_error, NULL);
	else if (oc_call_is_owed(call))
		oc_call_done(call, b.error, OC_STR("the result is too long"));
	oc_sbuf_free(&b);
}

void oc_builtin_json(oc_call *call, cJSON *result)
{
	oc_auto_free char *text = result != NULL ? oc_json_print(result) : NULL;
	if (text != NULL)
		complete(call, text, false, result);
	else if (oc_call_is_owed(call))
		oc_call_done(call, OC_E_NOMEM, OC_STR("there is not enough memory for the result"));
	cJSON_Delete(result);
}

void oc_builtin_content(oc_call *call, const cJSON *content)
{
	oc_sbuf b;
	if (!oc_call_is_owed(call))
		return;
	oc_sbuf_init(&b, RESULT_MAX);
	oc_sbuf_z(&b, "{\"content\":");
	oc_json_add_to(&b, content);
	oc_sbuf_char(&b, '}');
	oc_call_done(call, b.error, b.error == OC_OK ? oc_sbuf_view(&b) : OC_STR("the result is too long"));
	oc_sbuf_free(&b);
}

void oc_builtin_fail(oc_call *call, const oc_err *err)
{
	bool remedy = err->remedy[0] != 0;
	oc_builtin_text(call, true, "%s%s%s%s", err->text[0] != 0 ? err->text : oc_status_text(err->code), remedy ? " (" : "",
			remedy ? err->remedy : "", remedy ? ")" : "");
}

/* ---- The module ---- */

void oc_agent_set_gateway(oc_agent *agent, oc_agent_gateway gateway, void *arg)
{
	agent->gateway = gateway;
	agent->gateway_arg = arg;
}

typedef struct instance {
	oc_self *self;
	char *specs;
} instance;

/* The agent is gone before its modules are. */
static oc_agent *agent_of(const instance *inst)
{
	return oc_modules_context(oc_module_registry(inst->self), "agent");
}

static oc_status builtin_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret)
{
	(void)host;
	(void)config;
	oc_sbuf b;
	oc_agent *agent = oc_modules_context(oc_module_registry(self), "agent");
	bool memory = agent == NULL || oc_builtin_memory(agent->config);
	oc_sbuf_init(&b, SPECS_MAX);
	oc_sbuf_char(&b, '[');
	each_tool(t)
	{
		if (!memory && strncmp((*t)->name, "memory_", 7) == 0)
			continue;
		if (b.n > 1)
			oc_sbuf_char(&b, ',');
		oc_sbuf_z(&b, (*t)->spec);
	}
	oc_sbuf_char(&b, ']');
	instance *inst = oc_alloc(sizeof *inst);
	char *specs = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	if (inst == NULL || specs == NULL) {
		oc_free(inst);
		oc_free(specs);
		return OC_E_NOMEM;
	}
	*inst = (instance){self, specs};
	*ret = inst;
	return OC_OK;
}

static void builtin_fini(void *arg)
{
	instance *inst = arg;
	oc_free(inst->specs);
	oc_free(inst);
}

static oc_str builtin_tools(void *arg)
{
	const instance *inst = arg;
	return oc_str_of(inst->specs);
}

static void builtin_invoke(void *arg, oc_call *call, oc_str name, oc_str args_text, oc_str context_text)
{
	oc_agent *agent = agent_of(arg);
	oc_auto_json cJSON *args = NULL, *context = NULL;
	const oc_builtin_tool *tool = NULL;
	oc_err err = {0};
	each_tool(t) if (oc_str_eqz(name, (*t)->name)) tool = *t;
	if (agent == NULL || tool == NULL) {
		oc_call_done(call, OC_E_UNAVAILABLE, OC_STR("the tool is not there any more"));
		return;
	}
	if (oc_json_parse(args_text, NULL, &args, &err) != OC_OK || oc_json_parse(context_text, NULL, &context, &err) != OC_OK) {
		oc_call_done(call, err.code, oc_str_of(err.text));
		return;
	}
	tool->invoke(&(oc_builtin_call){
		.agent = agent,
		.call = call,
		.args = args,
		.context = context,
		.session = oc_json_str(context, "session", ""),
		.agent_id = oc_json_str(context, "agent", ""),
		.run = oc_json_str(context, "run", ""),
		.workspace = oc_json_str(context, "workspace", ""),
		.call_id = oc_json_str(context, "callId", ""),
	});
}

static void builtin_cancel(void *arg, oc_call *call)
{
	oc_agent *agent = agent_of(arg);
	/* Which tool it was is not known here: each looks for the handle among its own. */
	if (agent != NULL)
		each_tool(t) if ((*t)->cancel != NULL)(*t)->cancel(agent, call);
	if (oc_call_is_owed(call))
		oc_call_done(call, OC_E_CANCELED, OC_STR("stopped"));
}

static const oc_tool_vtbl vtbl = {
	.struct_size = sizeof(oc_tool_vtbl),
	.tools = builtin_tools,
	.invoke = builtin_invoke,
	.cancel = builtin_cancel,
};

static const char manifest[] =
	"{\"name\":\"core\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"tool\"],\"license\":\"MIT\","
	"\"description\":\"Tools of the agent itself.\","
	"\"configSchema\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}}";

static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "core", &vtbl}};

static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof desc,
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "core",
	.version = "1.0.0",
	.ifaces = ifaces,
	.n_ifaces = 1,
	.init = builtin_init,
	.fini = builtin_fini,
};

/* The memory slot: another plugin's memory, or none, takes the place of ours. */
bool oc_builtin_memory(const oc_config *config)
{
	const cJSON *slot = oc_config_get(config, "plugins.slots.memory");
	return !cJSON_IsNull(slot) && strcmp(oc_config_str(config, "plugins.slots.memory", "memory-core"), "memory-core") == 0;
}

oc_status oc_builtin_add(oc_agent *agent, oc_err *err)
{
	if (oc_modules_find(agent->modules, "core") != NULL)
		return OC_OK; /* an agent before this one left it */
	oc_status status = oc_modules_add(agent->modules, oc_str_of(manifest), &desc, "core", NULL, err);
	if (status != OC_OK)
		oc_err_prefix(err, "the agent's own tools");
	return status;
}
