/* Services of plugins: started one after the other once their process is up and the gateway answers, then gateway_start;
 * stopped in reverse. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "ipc-bridge/plugin.h"

enum {
	START_MS = 60 * 1000, /* then the next one is started all the same */
	STOP_ONE_MS = 2500,   /* all of a plugin */
	STOP_ALL_MS = 6000,
};

static int count(const oc_plugin *plugin)
{
	return cJSON_GetArraySize(oc_json_get(plugin->snapshot, "services"));
}

/* ---- Starting ---- */

static void start_next(oc_plugin *plugin);

/* One that fails keeps neither the others nor the gateway from running. */
static void on_started(void *arg, oc_status status, oc_str result)
{
	oc_plugin *plugin = arg;
	const cJSON *row = cJSON_GetArrayItem(oc_json_get(plugin->snapshot, "services"), (int)plugin->service_next++);
	plugin->service_starting = false;
	if (status == OC_OK)
		oc_debug("plugins", "%s: service %s started", plugin->id, oc_json_str(row, "id", "?"));
	else if (status == OC_E_TIMEOUT)
		oc_warn("plugins", "%s: service %s is still starting after %d s", plugin->id, oc_json_str(row, "id", "?"), START_MS / 1000);
	else if (status != OC_E_RETRY)
		oc_error("plugins", "%s: service %s did not start: %.*s", plugin->id, oc_json_str(row, "id", "?"), OC_STR_ARG(result));
	if (status != OC_E_RETRY)
		start_next(plugin);
}

static void start_next(oc_plugin *plugin)
{
	const cJSON *row = cJSON_GetArrayItem(oc_json_get(plugin->snapshot, "services"), (int)plugin->service_next);
	oc_auto_free char *payload = row != NULL ? oc_asprintf("{\"service\":%d}", (int)oc_json_i64(row, "service", -1)) : NULL;
	if (plugin->phase != OC_PLUGIN_UP || plugin->service_starting)
		return;
	if (row == NULL && !plugin->greeted) {
		plugin->greeted = true;
		oc_plugin_greet(plugin);
	}
	if (payload == NULL)
		return;
	plugin->service_starting = oc_peer_call_start(plugin->peer, &(oc_peer_call){.method = "service.start", .payload = oc_str_of(payload),
										    .deadline_ms = START_MS, .on_done = on_started, .arg = plugin},
						      NULL) == OC_OK;
	if (!plugin->service_starting)
		oc_error("plugins", "%s: service %s cannot be started now", plugin->id, oc_json_str(row, "id", "?"));
}

void oc_plugin_services_start(oc_plugin *plugin, bool new_process)
{
	if (new_process) {
		plugin->service_next = 0;
		plugin->service_starting = plugin->greeted = false;
	}
	if (plugin->bridge->started && !plugin->bridge->stopping)
		start_next(plugin);
}

/* ---- Stopping ---- */

static void on_stopped(void *arg, oc_status status, oc_str result)
{
	oc_plugin *plugin = arg;
	if (status != OC_OK && status != OC_E_RETRY)
		oc_warn("plugins", "%s: its services did not stop: %.*s", plugin->id, OC_STR_ARG(result));
	oc_bridge_services_stop(plugin->bridge);
}

/* The last of those that have not been asked yet; then everything else ends. */
void oc_bridge_services_stop(oc_bridge *bridge)
{
	uint64_t now = oc_now_ms();
	oc_plugin *last = NULL;
	if (bridge->services_until == 0)
		bridge->services_until = now + STOP_ALL_MS;
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		if (p->phase == OC_PLUGIN_UP && count(p) > 0 && !p->services_asked)
			last = p;
	if (last == NULL || now >= bridge->services_until) {
		oc_bridge_halt_all(bridge);
		return;
	}
	uint64_t left = bridge->services_until - now;
	oc_peer_call call = {.method = "service.stopAll", .payload = OC_STR("{}"), .on_done = on_stopped, .arg = last,
			     .deadline_ms = (uint32_t)(left < STOP_ONE_MS ? left : STOP_ONE_MS)};
	last->services_asked = true;
	if (oc_peer_call_start(last->peer, &call, NULL) != OC_OK)
		oc_bridge_services_stop(bridge);
}
