/*
 * What a plugin may see of the configuration, and may change in it: everything without secrets, its own parts with them.
 * plugins.entries.<id>.fullConfig: true shows and opens the whole, configWrites: ["path"] opens single parts.  And which of the
 * gateway's methods it may call: its own, and gatewayMethods: ["name"].
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "ipc-bridge/plugin.h"

static const cJSON *entry_of(const oc_plugin *plugin)
{
	return oc_json_get(oc_config_get(plugin->bridge->config, "plugins.entries"), plugin->id);
}

/* Calls fn for each id that the manifest claims or the code registered under that name. */
static void each_id(const oc_plugin *plugin, const char *list, void (*fn)(void *arg, const char *id), void *arg)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, oc_json_get(plugin->manifest, list))
	{
		if (cJSON_IsString(item))
			fn(arg, item->valuestring);
	}
	cJSON_ArrayForEach(item, oc_json_get(plugin->snapshot, list))
	{
		if (oc_json_str(item, "id", "")[0] != 0)
			fn(arg, oc_json_str(item, "id", ""));
	}
}

typedef struct revealing {
	const oc_config *config;
	cJSON *into; /* the masked object */
	const char *path;
} revealing;

static void reveal(void *arg, const char *id)
{
	const revealing *r = arg;
	const cJSON *plain = oc_json_get(oc_config_get(r->config, r->path), id);
	if (plain != NULL && cJSON_IsObject(r->into))
		(void)oc_json_set(r->into, id, cJSON_Duplicate(plain, true));
}

static cJSON *member(cJSON *tree, const char *a, const char *b)
{
	cJSON *node = cJSON_GetObjectItemCaseSensitive(tree, a);
	return b != NULL ? cJSON_GetObjectItemCaseSensitive(node, b) : node;
}

cJSON *oc_plugin_config_view(const oc_plugin *plugin)
{
	const oc_config *config = plugin->bridge->config;
	bool full = oc_json_bool(entry_of(plugin), "fullConfig", false);
	cJSON *view = oc_config_to_json(config, NULL, !full);
	if (view == NULL || full)
		return view;
	each_id(plugin, "channels", reveal, &(revealing){config, member(view, "channels", NULL), "channels"});
	each_id(plugin, "providers", reveal, &(revealing){config, member(view, "models", "providers"), "models.providers"});
	reveal(&(revealing){config, member(view, "plugins", "entries"), "plugins.entries"}, plugin->id);
	return view;
}

typedef struct owning {
	const char *path, *section;
	bool found;
} owning;

static void own(void *arg, const char *id)
{
	owning *o = arg;
	oc_sbuf b;
	oc_sbuf_init(&b, 1024);
	oc_sbuf_z(&b, o->section);
	oc_jpath_add_name(&b, id);
	if (b.error == OC_OK && oc_jpath_under(o->path, oc_sbuf_view(&b).p))
		o->found = true;
	oc_sbuf_free(&b);
}

bool oc_plugin_owns(const oc_plugin *plugin, const char *path)
{
	const cJSON *entry = entry_of(plugin), *granted;
	owning o = {.path = path};
	oc_sbuf b;
	o.section = "channels";
	each_id(plugin, "channels", own, &o);
	o.section = "models.providers";
	each_id(plugin, "providers", own, &o);
	oc_sbuf_init(&b, 1024);
	oc_sbuf_z(&b, "plugins.entries");
	oc_jpath_add_name(&b, plugin->id);
	oc_sbuf_z(&b, ".config");
	o.found = o.found || (b.error == OC_OK && oc_jpath_under(path, oc_sbuf_view(&b).p));
	oc_sbuf_free(&b);
	cJSON_ArrayForEach(granted, oc_json_get(entry, "configWrites"))
	{
		if (cJSON_IsString(granted) && oc_jpath_under(path, granted->valuestring))
			o.found = true;
	}
	/* What a plugin may do is never the plugin's to decide. */
	return o.found || (oc_json_bool(entry, "fullConfig", false) && !oc_jpath_under(path, "plugins") && strcmp(path, "plugins") != 0);
}

oc_status oc_plugin_may_call(oc_plugin *plugin, const char *method, oc_err *err)
{
	const oc_bridge_host *host = plugin->bridge->host;
	oc_plugin_method own;
	/* One of ours, or of an earlier plugin, does not become its own by being registered once more. */
	if ((host == NULL || !host->has_method(oc_str_of(method))) && oc_bridge_method(plugin->bridge, oc_str_of(method), &own)
	    && strcmp(own.plugin, plugin->id) == 0)
		return OC_OK;
	if (oc_json_names(oc_json_get(entry_of(plugin), "gatewayMethods"), method))
		return OC_OK;
	oc_plugin_lacks(plugin, "method", method);
	return oc_fail(err, OC_E_DENIED, "add its name to plugins.entries.<id>.gatewayMethods to let it (\"*\": all of them)",
		       "the plugin %s may not call the gateway's method %s", plugin->id, method);
}

void oc_plugin_tell_config(oc_plugin *plugin)
{
	oc_auto_json cJSON *note = NULL;
	if (plugin->peer == NULL || plugin->phase != OC_PLUGIN_UP || (note = cJSON_CreateObject()) == NULL)
		return;
	if (!oc_json_set(note, "config", oc_plugin_config_view(plugin)) ||
	    !oc_json_set(note, "pluginConfig", cJSON_Duplicate(plugin->config, true)))
		return;
	oc_auto_free char *text = oc_json_print(note);
	if (text != NULL)
		oc_bridge_notify(plugin, "config", oc_str_of(text));
}
