/* plugins.*: TypeScript plugins. */
#include "core/gateway/gateway.h"

static void plugins_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set(result, "plugins", oc_bridge_describe(oc_method_gateway(call)->rt->bridge));
	oc_method_reply(call, result);
}

const oc_method oc_method_plugins_list = {"plugins.list", OC_SCOPE_READ, "every TypeScript plugin found, its state and why",
					  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}", plugins_list};

static void plugins_info(oc_method_call *call, const cJSON *params)
{
	const char *id = oc_json_str(params, "id", "");
	const oc_plugin *plugin = oc_bridge_find(oc_method_gateway(call)->rt->bridge, id);
	if (plugin == NULL)
		oc_method_failf(call, OC_E_NOT_FOUND, "plugins.list names them", "there is no plugin \"%s\"", id);
	else
		oc_method_reply(call, oc_plugin_describe(plugin, true));
}

const oc_method oc_method_plugins_info = {
	"plugins.info", OC_SCOPE_READ, "one TypeScript plugin, with everything it registered",
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"id\"],\"properties\":{\"id\":{\"type\":\"string\"}}}",
	plugins_info};
