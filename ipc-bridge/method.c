/* Gateway methods of plugins: which there are, and calling one in its plugin's process. */
#include <string.h>

#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

enum { METHOD_MS = 10 * 60 * 1000, PARAMS_MAX = 16 << 20 };

static const cJSON *rows_of(const oc_plugin *plugin)
{
	return oc_plugin_offers(plugin) ? oc_json_get(plugin->snapshot, "gatewayMethods") : NULL;
}

static const cJSON *row_of(const oc_plugin *plugin, oc_str name)
{
	const cJSON *row;
	cJSON_ArrayForEach(row, rows_of(plugin))
	{
		if (oc_str_eqz(name, oc_json_str(row, "method", "")))
			return row;
	}
	return NULL;
}

/* Of two plugins with a method of one name the first has it. */
static oc_plugin *owner_of(oc_bridge *bridge, oc_str name, const cJSON **ret_row)
{
	oc_bridge_need(bridge);
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		if ((*ret_row = row_of(p, name)) != NULL)
			return p;
	return NULL;
}

static void describe(const oc_plugin *plugin, const cJSON *row, oc_plugin_method *ret)
{
	*ret = (oc_plugin_method){.name = oc_json_str(row, "method", ""), .scope = oc_json_str(row, "scope", ""), .plugin = plugin->id};
}

bool oc_bridge_method(oc_bridge *bridge, oc_str name, oc_plugin_method *ret)
{
	const cJSON *row;
	const oc_plugin *plugin = owner_of(bridge, name, &row);
	if (plugin != NULL)
		describe(plugin, row, ret);
	return plugin != NULL;
}

bool oc_bridge_method_row(oc_bridge *bridge, size_t i, oc_plugin_method *ret)
{
	const cJSON *row, *first;
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		cJSON_ArrayForEach(row, rows_of(p))
		{
			if (owner_of(bridge, oc_json_ostr(row, "method"), &first) != p || i-- > 0)
				continue;
			describe(p, row, ret);
			return true;
		}
	}
	return false;
}

oc_status oc_bridge_method_run(oc_bridge *bridge, oc_str name, const cJSON *params, const cJSON *client,
			       void (*on_done)(void *arg, oc_status status, oc_str result), void *arg)
{
	const cJSON *row;
	oc_plugin *plugin = owner_of(bridge, name, &row);
	oc_sbuf b;
	if (plugin == NULL)
		return OC_E_NOT_FOUND;
	oc_sbuf_init(&b, PARAMS_MAX);
	oc_sbuf_z(&b, "{\"method\":");
	oc_sbuf_json(&b, name);
	oc_sbuf_z(&b, ",\"params\":");
	if (params != NULL)
		oc_json_add_to(&b, params);
	else
		oc_sbuf_z(&b, "{}");
	oc_sbuf_z(&b, ",\"client\":");
	oc_json_add_to(&b, client);
	oc_sbuf_char(&b, '}');
	oc_status status = b.error;
	if (status == OC_OK)
		status = oc_plugin_ask(plugin, &(oc_plugin_request){.method = "method", .payload = oc_sbuf_view(&b), .deadline_ms = METHOD_MS,
								    .on_done = on_done, .arg = arg}, NULL);
	oc_sbuf_free(&b);
	return status;
}
