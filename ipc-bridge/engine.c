/* A plugin's context engines, as services "context-engine.<id>" of its module: methods and arguments go to its process. */
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

enum { PAYLOAD_MAX = 48 << 20 };

struct oc_plugin_engine {
	oc_plugin_engine *next;
	oc_plugin *plugin;
	char *name;
	int number;
};

static void done(void *arg, oc_status status, oc_str result)
{
	oc_call_done(arg, status, result);
}

static void call(void *inst, oc_call *asked, oc_str method, oc_str args)
{
	const oc_plugin_engine *e = inst;
	oc_sbuf b;
	oc_auto_free char *name = oc_asprintf("engine.%.*s", OC_STR_ARG(method));
	oc_sbuf_init(&b, PAYLOAD_MAX);
	oc_sbuf_printf(&b, "{\"engine\":%d,\"args\":", e->number);
	oc_sbuf_str(&b, args.n > 0 ? args : OC_STR("{}"));
	oc_sbuf_char(&b, '}');
	oc_status status = name == NULL ? OC_E_NOMEM : b.error;
	if (status == OC_OK)
		status = oc_plugin_ask(e->plugin, &(oc_plugin_request){.method = name, .payload = oc_sbuf_view(&b),
								       .deadline_ms = (uint32_t)oc_call_remaining(asked),
								       .on_done = done, .arg = asked}, NULL);
	oc_sbuf_free(&b);
	if (status != OC_OK)
		oc_call_done(asked, status, OC_STR("the plugin's process cannot be asked"));
}

/* Its deadline ends it in the process. */
static void cancel(void *inst, oc_call *asked)
{
	(void)inst;
	(void)asked;
}

static const oc_service_vtbl vtbl = {.struct_size = sizeof(vtbl), .call = call, .cancel = cancel};

void oc_plugin_engines_free(oc_plugin *plugin)
{
	while (plugin->engines != NULL) {
		oc_plugin_engine *e = plugin->engines;
		plugin->engines = e->next;
		oc_free(e->name);
		oc_free(e);
	}
}

static oc_plugin_engine *find_or_add(oc_plugin *plugin, const char *id)
{
	char *name = oc_asprintf("context-engine.%s", id);
	oc_plugin_engine *e = plugin->engines;
	while (e != NULL && name != NULL && strcmp(e->name, name) != 0)
		e = e->next;
	if (e != NULL || name == NULL || (e = oc_alloc(sizeof *e)) == NULL) {
		oc_free(name);
		return e;
	}
	*e = (oc_plugin_engine){.next = plugin->engines, .plugin = plugin, .name = name};
	plugin->engines = e;
	return e;
}

void oc_plugin_engines_register(oc_plugin *plugin)
{
	const cJSON *row;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "contextEngines"))
	{
		oc_err err = {0};
		oc_plugin_engine *e = find_or_add(plugin, oc_json_str(row, "id", ""));
		if (e == NULL)
			return;
		e->number = (int)oc_json_i64(row, "engine", -1);
		oc_iface iface = {OC_KIND_SERVICE, 1, 0, e->name, &vtbl};
		oc_status status = oc_guest_register(plugin->module, &iface, e, NULL, &err);
		if (status != OC_OK && status != OC_E_EXISTS)
			oc_log_err(OC_LOG_WARN, "plugins", plugin->id, &err);
	}
}
