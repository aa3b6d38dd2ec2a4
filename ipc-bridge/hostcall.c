/* What a plugin's process tells and asks. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/permit.h"

enum {
	MISSING_MAX = 200, /* names kept of each kind */
	REGISTRATIONS_MAX = 4096, /* of each kind, with those that come late */
};

void oc_bridge_answer(oc_plugin_ticket ticket, oc_status status, oc_str result)
{
	if (ticket.plugin == NULL || ticket.plugin->peer == NULL || ticket.plugin->epoch != ticket.epoch)
		return;
	if (ticket.plugin->intake.calls > 0)
		ticket.plugin->intake.calls--;
	oc_peer_answer(ticket.plugin->peer, ticket.id, status, result);
}

oc_status oc_bridge_event(oc_plugin_ticket ticket, oc_str json)
{
	if (ticket.plugin == NULL || ticket.plugin->peer == NULL || ticket.plugin->epoch != ticket.epoch)
		return OC_E_UNAVAILABLE;
	return oc_peer_event(ticket.plugin->peer, ticket.id, 0, json);
}

void oc_bridge_notify(oc_plugin *plugin, const char *name, oc_str json)
{
	if (plugin->peer != NULL && plugin->phase == OC_PLUGIN_UP)
		(void)oc_peer_notify(plugin->peer, name, json);
}

void oc_plugin_called(oc_plugin *plugin, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	(void)deadline_ms;
	oc_auto_json cJSON *params = NULL;
	oc_err err = {0};
	const oc_bridge_host *host = plugin->bridge->host;
	oc_plugin_ticket ticket = {plugin, plugin->epoch, id};
	if (plugin->intake.calls++ >= OC_INTAKE_CALLS_MAX) {
		oc_queue_refused(OC_QUEUE_plugin_asked);
		oc_plugin_trouble(plugin, "limit", "more than %d of its calls were under way at once: further ones were refused", OC_INTAKE_CALLS_MAX);
		oc_bridge_answer(ticket, OC_E_LIMIT, OC_STR("too many calls of this plugin are under way"));
		return;
	}
	if (!oc_str_eqz(name, "runtime")) {
		oc_bridge_answer(ticket, OC_E_UNSUPPORTED, OC_STR("there is no such method"));
		return;
	}
	if (oc_json_parse(payload, NULL, &params, &err) != OC_OK) {
		oc_bridge_answer(ticket, OC_E_INVALID, oc_str_of(err.text));
		return;
	}
	const char *path = oc_json_str(params, "path", "");
	if (host == NULL || !host->runtime(plugin->bridge->host_arg, ticket, path, oc_json_get(params, "args"))) {
		oc_auto_free char *why = oc_asprintf("api.runtime.%s is not there in this gateway", path);
		oc_bridge_answer(ticket, OC_E_UNSUPPORTED, oc_str_of(why));
	}
}

static void take_log(oc_plugin *plugin, const cJSON *params)
{
	if (!oc_plugin_may_log(plugin))
		return;
	char where[96];
	int level = oc_log_level_parse(oc_json_str(params, "level", "info"));
	(void)snprintf(where, sizeof(where), "plugin %s", plugin->id);
	oc_log(level != 0 ? level : OC_LOG_INFO, where, "%s", oc_json_str(params, "message", ""));
}

void oc_plugin_trouble(oc_plugin *plugin, const char *kind, const char *format, ...)
{
	char text[400];
	va_list args;
	cJSON *row;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (plugin->troubles == NULL)
		plugin->troubles = cJSON_CreateArray();
	cJSON_ArrayForEach(row, plugin->troubles)
	{
		if (strcmp(oc_json_str(row, "kind", ""), kind) == 0)
			break;
	}
	if (row == NULL && plugin->troubles != NULL) {
		row = cJSON_CreateObject();
		(void)oc_json_set_str(row, "kind", kind);
		(void)cJSON_AddItemToArray(plugin->troubles, row);
	}
	(void)oc_json_set_i64(row, "count", oc_json_i64(row, "count", 0) + 1);
	(void)oc_json_set_i64(row, "at", oc_wall_ms());
	(void)oc_json_set_str(row, "last", text);
}

/* Whether a path that the plugin could not have is there: the file, or for one to be written its folder. */
static bool is_withheld(const oc_plugin *plugin, const char *path, bool write)
{
	struct stat st;
	oc_auto_free char *folder = oc_memdup(path, (size_t)(oc_path_base(path) - path));
	size_t n = strlen(plugin->root);
	if (strncmp(path, plugin->root, n) == 0 && path[n] == '/')
		return false;
	return stat(path, &st) == 0 || (write && folder != NULL && folder[0] != 0 && strcmp(folder, "/") != 0 && stat(folder, &st) == 0 && access(folder, W_OK) == 0);
}

void oc_plugin_lacks(oc_plugin *plugin, const char *kind, const char *name)
{
	if (plugin->missing == NULL)
		plugin->missing = cJSON_CreateObject();
	cJSON *list = cJSON_GetObjectItemCaseSensitive(plugin->missing, kind);
	const cJSON *known;
	if (list == NULL && (list = cJSON_AddArrayToObject(plugin->missing, kind)) == NULL)
		return;
	cJSON_ArrayForEach(known, list)
	{
		if (cJSON_IsString(known) && strcmp(known->valuestring, name) == 0)
			return;
	}
	/* What is not there for anybody was not kept from it. */
	bool file = strcmp(kind, "read") == 0 || strcmp(kind, "write") == 0, env = strcmp(kind, "env") == 0;
	if ((env && (oc_config_env(plugin->bridge->config, name) == NULL || strncmp(name, "OPENCLAW_BRIDGE_", 16) == 0)) ||
	    (file && (name[0] != '/' || !is_withheld(plugin, name, strcmp(kind, "write") == 0))))
		return;
	if (cJSON_GetArraySize(list) < MISSING_MAX)
		(void)cJSON_AddItemToArray(list, cJSON_CreateString(name));
	if (file || env || strcmp(kind, "network") == 0 || strcmp(kind, "method") == 0)
		oc_warn("plugins", "%s asked for %s %s, which it was not granted (openclaw plugins doctor)", plugin->id, kind, name);
	else
		oc_warn("plugins", "%s asked for %s %s, which this gateway does not have", plugin->id, kind, name);
}

/* Registrations that came after the first ones. */
static void take_register(oc_plugin *plugin, const cJSON *more)
{
	const cJSON *list, *item;
	oc_err err = {0};
	bool present = false;
	if (plugin->snapshot == NULL)
		return;
	cJSON_ArrayForEach(list, more)
	{
		cJSON *into = cJSON_GetObjectItemCaseSensitive(plugin->snapshot, list->string);
		if (cJSON_IsNumber(list) && cJSON_IsNumber(into))
			cJSON_SetNumberValue(into, list->valuedouble);
		cJSON_ArrayForEach(item, list)
		{
			if (cJSON_IsArray(into) && cJSON_GetArraySize(into) < REGISTRATIONS_MAX)
				(void)cJSON_AddItemToArray(into, cJSON_Duplicate(item, true));
		}
		present |= strcmp(list->string, "tools") == 0 || strcmp(list->string, "hooks") == 0;
	}
	/* The rest is looked up in the snapshot when it is needed. */
	if (present && oc_plugin_present(plugin, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "plugins", plugin->id, &err);
}

/* {"httpRoutes":[number,…]}: they are gone. */
static void take_unregister(oc_plugin *plugin, const cJSON *gone)
{
	cJSON *routes = cJSON_GetObjectItemCaseSensitive(plugin->snapshot, "httpRoutes");
	const cJSON *number;
	cJSON_ArrayForEach(number, oc_json_get(gone, "httpRoutes"))
	{
		for (int i = cJSON_GetArraySize(routes) - 1; i >= 0; i--)
			if (cJSON_IsNumber(number) && oc_json_num(cJSON_GetArrayItem(routes, i), "route", -1) == number->valuedouble)
				cJSON_DeleteItemFromArray(routes, i);
	}
}

void oc_plugin_noted(oc_plugin *plugin, oc_str name, oc_str payload)
{
	oc_auto_json cJSON *params = NULL;
	const oc_bridge_host *host = plugin->bridge->host;
	if (oc_json_parse(payload, NULL, &params, NULL) != OC_OK)
		return;
	if (oc_str_eqz(name, "log"))
		take_log(plugin, params);
	else if (oc_str_eqz(name, "missing"))
		oc_plugin_lacks(plugin, oc_json_str(params, "kind", "other"), oc_json_str(params, "name", "?"));
	else if (oc_str_eqz(name, "register"))
		take_register(plugin, params);
	else if (oc_str_eqz(name, "status"))
		oc_plugin_channel_status(plugin, params);
	else if (oc_str_eqz(name, "accounts"))
		oc_plugin_channel_accounts(plugin, params);
	else if (oc_str_eqz(name, "listen") && host != NULL)
		host->listen(plugin->bridge->host_arg, plugin, oc_json_str(params, "kind", ""));
	else if (oc_str_eqz(name, "unregister"))
		take_unregister(plugin, params);
	else if (oc_str_eqz(name, "broadcast") && host != NULL)
		host->broadcast(plugin->bridge->host_arg, plugin, oc_json_str(params, "event", ""), oc_json_get(params, "payload"));
}
