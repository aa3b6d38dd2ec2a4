/* Slash commands of plugins: which there are, and running one in its plugin's process. */
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

typedef struct wanted {
	size_t left;
	const char *name; /* NULL: the left-th */
	const cJSON *row;
	oc_plugin *plugin;
} wanted;

/* The first of two plugins with a command of one name has it. */
static bool taken_before(oc_bridge *bridge, const oc_plugin *until, const char *name)
{
	const cJSON *row;
	for (oc_plugin *p = bridge->plugins; p != until; p = p->next) {
		if (!oc_plugin_offers(p))
			continue;
		cJSON_ArrayForEach(row, oc_json_get(p->snapshot, "commands"))
		{
			if (strcmp(oc_json_str(row, "name", ""), name) == 0)
				return true;
		}
	}
	return false;
}

static bool find(oc_bridge *bridge, wanted *w)
{
	const cJSON *row;
	oc_bridge_need(bridge);
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		if (!oc_plugin_offers(p))
			continue;
		cJSON_ArrayForEach(row, oc_json_get(p->snapshot, "commands"))
		{
			const char *name = oc_json_str(row, "name", "");
			if (w->name != NULL ? strcmp(name, w->name) != 0 : taken_before(bridge, p, name) || w->left-- > 0)
				continue;
			w->row = row;
			w->plugin = p;
			return true;
		}
	}
	return false;
}

bool oc_bridge_command(oc_bridge *bridge, size_t i, oc_plugin_command *ret)
{
	wanted w = {.left = i};
	if (!find(bridge, &w))
		return false;
	*ret = (oc_plugin_command){
		.name = oc_json_str(w.row, "name", ""),
		.description = oc_json_str(w.row, "description", ""),
		.plugin = w.plugin->id,
		.native = oc_json_get(w.row, "nativeNames"),
		.takes_args = oc_json_bool(w.row, "acceptsArgs", false),
		.requires_auth = oc_json_bool(w.row, "requireAuth", true),
	};
	return true;
}

oc_status oc_bridge_command_run(oc_bridge *bridge, const char *name, const cJSON *ctx, uint32_t deadline_ms,
				void (*on_done)(void *arg, oc_status status, oc_str result), void *arg, oc_plugin_call **ret)
{
	wanted w = {.name = name};
	if (!find(bridge, &w))
		return OC_E_NOT_FOUND;
	oc_sbuf b;
	oc_sbuf_init(&b, 1u << 20);
	oc_sbuf_printf(&b, "{\"command\":%d,\"ctx\":", (int)oc_json_i64(w.row, "command", -1));
	oc_json_add_to(&b, ctx);
	oc_sbuf_char(&b, '}');
	oc_status status = b.error;
	if (status == OC_OK)
		status = oc_plugin_ask(w.plugin, &(oc_plugin_request){.method = "command", .payload = oc_sbuf_view(&b),
								     .deadline_ms = deadline_ms, .on_done = on_done, .arg = arg}, ret);
	oc_sbuf_free(&b);
	return status;
}
