#include "ipc-bridge/bridge.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/plugin.h"

/* ---- What the bridge needs around it ---- */

/* Where the JavaScript side is: OPENCLAW_BRIDGE_DIR, in the build tree, or where it was installed. */
char *oc_bridge_dir(void)
{
	const char *named = getenv("OPENCLAW_BRIDGE_DIR");
	oc_auto_free char *tree = oc_path_build_tree();
	if (named != NULL && named[0] == '/')
		return oc_strdup(named);
	return tree != NULL ? oc_path_join(tree, "bridge") : oc_path_installed(OC_BRIDGEDIR);
}

/* plugins.node, else the first "node" of PATH; NULL: none. */
char *oc_bridge_node(const oc_config *config)
{
	const char *path = getenv("PATH"), *named = oc_config_str(config, "plugins.node", NULL);
	if (named != NULL)
		return oc_path_expand(named, NULL);
	oc_str rest = oc_str_of(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
	while (rest.p != NULL) {
		oc_str folder = oc_str_cut(&rest, ':');
		oc_auto_free char *candidate = folder.n > 0 ? oc_asprintf("%.*s/node", OC_STR_ARG(folder)) : NULL;
		if (candidate != NULL && access(candidate, X_OK) == 0)
			return oc_strdup(candidate);
	}
	return NULL;
}

static oc_status configure_procs(oc_bridge *bridge, oc_err *err)
{
	oc_auto_free char *extensions = oc_path_join(bridge->state, "extensions");
	oc_auto_free char *states = oc_path_join(bridge->state, "plugins");
	oc_auto_free char *sockets = oc_path_join(bridge->state, "run/bridge");
	oc_auto_free char *cache = oc_path_join(bridge->state, "cache/plugins");
	oc_auto_free char *workspace =
		oc_path_expand(oc_config_str(bridge->config, "agents.defaults.workspace", "workspace"), bridge->state);
	const char *open[] = {extensions, states, sockets, cache, workspace, NULL};
	oc_procs_options options = {.level = OC_SANDBOX_OFF, .network = true, .state_dir = bridge->state, .open = open, .max_processes = 256};
	if (extensions == NULL || states == NULL || sockets == NULL || cache == NULL || workspace == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for plugins");
	options.allow_downgrade = oc_config_bool(bridge->config, "tools.exec.sandbox.allowDowngrade", false);
	return bridge->procs == NULL ? oc_procs_new(bridge->loop, &options, &bridge->procs, err)
				     : oc_procs_configure(bridge->procs, &options, err);
}

oc_status oc_bridge_new(oc_loop *loop, oc_config *config, oc_modules *modules, oc_hooks *hooks, const oc_bridge_host *host,
			void *arg, oc_bridge **ret, oc_err *err)
{
	oc_bridge *bridge = oc_alloc(sizeof(*bridge));
	if (bridge == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for plugins");
	*bridge = (oc_bridge){.loop = loop, .config = oc_config_ref(config), .modules = modules, .hooks = hooks, .host = host,
			      .host_arg = arg, .owner = oc_owner_new(loop, "plugins"), .state = oc_path_state_dir(),
			      .node_dir = oc_bridge_dir(), .node = oc_bridge_node(config)};
	oc_status status = OC_OK;
	if (bridge->owner == NULL || bridge->state == NULL || bridge->node_dir == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for plugins");
	if (status == OC_OK && modules != NULL)
		status = oc_modules_set_context(modules, "bridge", bridge);
	if (status != OC_OK) {
		oc_bridge_free(bridge);
		return status;
	}
	*ret = bridge;
	return OC_OK;
}

void oc_bridge_free(oc_bridge *bridge)
{
	if (bridge == NULL)
		return;
	bridge->stopping = true;
	for (oc_plugin *p = bridge->plugins, *next; p != NULL; p = next) {
		next = p->next;
		p->module = NULL; /* the registry went first */
		oc_plugin_withdraw(p);
		oc_peer_close(p->peer);
		oc_plugin_free(p);
	}
	oc_procs_free(bridge->procs);
	oc_owner_free(bridge->owner);
	oc_config_unref(bridge->config);
	oc_free(bridge->key);
	oc_free(bridge->state);
	oc_free(bridge->node_dir);
	oc_free(bridge->node);
	oc_free(bridge);
}

static void fill(oc_fill *q, const oc_plugin *p)
{
	oc_fill_add(&q[OC_QUEUE_plugin_waits], p != NULL ? p->n_waits : 0, OC_PLUGIN_WAITS_MAX);
	oc_fill_add(&q[OC_QUEUE_plugin_asked], p != NULL ? p->intake.calls : 0, OC_INTAKE_CALLS_MAX);
	oc_fill_add(&q[OC_QUEUE_plugin_backlog], p != NULL ? p->intake.n : 0, OC_INTAKE_BACKLOG_MAX);
	oc_peer_fill(p != NULL ? p->peer : NULL, OC_QUEUE_plugin_calls, q);
}

void oc_bridge_queues(const oc_bridge *bridge, oc_fill q[OC_QUEUE_N])
{
	fill(q, NULL);
	for (const oc_plugin *p = bridge != NULL ? bridge->plugins : NULL; p != NULL; p = p->next)
		fill(q, p);
}

/* ---- Life ---- */

oc_status oc_bridge_scan(oc_bridge *bridge, oc_err *err)
{
	oc_status status = oc_plugins_discover(bridge, err);
	if (status == OC_OK)
		oc_plugins_decide(bridge);
	if (status != OC_OK || bridge->plugins == NULL)
		return status;
	status = configure_procs(bridge, err);
	for (oc_plugin *p = bridge->plugins; status == OC_OK && p != NULL; p = p->next) {
		oc_err own = {0};
		if (!p->enabled)
			continue;
		oc_snapshot_load(p);
		if (p->snapshot != NULL && bridge->modules != NULL && oc_plugin_present(p, &own) != OC_OK)
			oc_plugin_refuse(p, NULL, "%s", own.text);
		/* After that: what it guards stays guarded, by refusals. */
		(void)oc_plugin_recall(p);
	}
	return status;
}

static void start_all(oc_bridge *bridge)
{
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		if (p->phase == OC_PLUGIN_UP)
			oc_plugin_services_start(p, false);
		if (!p->enabled || (oc_plugin_known(p) && !oc_plugin_must_run(p)))
			continue;
		if (bridge->node == NULL)
			oc_plugin_refuse(p, "install Node.js 20 or newer, or set plugins.node to its path",
					 "TypeScript plugins run in Node.js, which is not here");
		else
			(void)oc_plugin_wake(p, NULL, NULL);
	}
	oc_plugins_note_quiet(bridge);
}

void oc_bridge_put_off(oc_bridge *bridge)
{
	bridge->waiting = true;
}

void oc_bridge_need(oc_bridge *bridge)
{
	if (!bridge->waiting || bridge->stopping)
		return;
	oc_err err = {0};
	bridge->waiting = false;
	oc_free(bridge->key);
	bridge->key = oc_plugins_key(bridge);
	if (oc_bridge_scan(bridge, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "plugins", "looking for them", &err);
	if (bridge->started)
		start_all(bridge);
}

/* Nobody has asked for plugins yet, and none works by itself. */
static bool sleeps_on(const oc_bridge *bridge)
{
	oc_auto_free char *key = bridge->waiting ? oc_plugins_key(bridge) : NULL;
	return key != NULL && oc_plugins_were_quiet(bridge, key);
}

void oc_bridge_start(oc_bridge *bridge, int port)
{
	bool looked = !bridge->waiting;
	bridge->started = true;
	bridge->port = port;
	if (looked)
		start_all(bridge);
	else if (!sleeps_on(bridge))
		oc_bridge_need(bridge);
	/* Channels of plugins say what their settings may be. Plugins with channels do not sleep: it is never later, when somebody
	 * may hold on to a part of the configuration. */
	if (bridge->plugins != NULL && bridge->modules != NULL && oc_modules_refine(bridge->modules, bridge->config) != OC_OK)
		oc_error("plugins", "no memory to check the settings of their channels");
}

/* Its files and its part of the configuration are what they were. false: it is to begin anew all the same. */
static bool stays(oc_plugin *p)
{
	if (p->failure != NULL)
		return oc_plugin_stays_failed(p);
	bool was_in_quarantine = p->quarantine != NULL, is = oc_plugin_recall(p);
	if (!is && !was_in_quarantine)
		oc_plugin_tell_config(p);
	return is || !was_in_quarantine;
}

void oc_bridge_configure(oc_bridge *bridge, oc_config *config)
{
	oc_err err = {0};
	oc_config_unref(bridge->config);
	bridge->config = oc_config_ref(config);
	if (bridge->waiting) {
		if (!sleeps_on(bridge))
			oc_bridge_need(bridge);
		return;
	}
	oc_free(bridge->key);
	bridge->key = oc_plugins_key(bridge);
	if (oc_plugins_discover(bridge, &err) != OC_OK || configure_procs(bridge, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "plugins", "the new configuration", &err);
	oc_plugins_decide(bridge);
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		oc_auto_free char *key = p->enabled ? oc_plugin_key(p) : NULL;
		if (p->enabled && p->key != NULL && key != NULL && strcmp(key, p->key) == 0 && stays(p))
			continue;
		oc_free(p->failure);
		oc_free(p->quarantine);
		p->failure = p->quarantine = NULL;
		if (!p->enabled) {
			oc_plugin_withdraw(p);
			oc_free(p->key);
			p->key = NULL;
		}
		oc_plugin_halt(p);
		p->failures = 0;
		p->not_before_ms = 0;
		if (p->enabled) {
			p->outdated = true;
			oc_snapshot_load(p);
			if (oc_plugin_known(p))
				(void)oc_plugin_present(p, &err);
			if (!oc_plugin_recall(p) && bridge->started && (!oc_plugin_known(p) || oc_plugin_must_run(p)))
				(void)oc_plugin_wake(p, NULL, NULL);
		}
	}
	oc_plugins_note_quiet(bridge);
}

void oc_bridge_stop(oc_bridge *bridge, void (*done)(void *arg), void *arg)
{
	bridge->stopping = true;
	bridge->stop_done = done;
	bridge->stop_arg = arg;
	oc_bridge_services_stop(bridge);
}

void oc_bridge_halt_all(oc_bridge *bridge)
{
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		bridge->stop_pending += p->phase != OC_PLUGIN_DOWN;
	bool none = bridge->stop_pending == 0;
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		oc_plugin_halt(p);
	if (none)
		bridge->stop_done(bridge->stop_arg);
}

/* ---- Asking ---- */

struct oc_plugin_call {
	oc_plugin *plugin;
	char *method;
	char *payload;
	size_t payload_n;
	uint32_t deadline_ms, id;
	bool cancelled;
	void (*on_event)(void *arg, uint32_t type, oc_str payload);
	void (*on_done)(void *arg, oc_status status, oc_str result);
	void *arg;
};

static void ask_done(void *arg, oc_status status, oc_str result)
{
	oc_plugin_call *c = arg;
	if (status == OC_E_LIMIT)
		oc_plugin_trouble(c->plugin, "limit", "more than can be sent, or than it takes: %.*s", OC_STR_ARG(result));
	c->on_done(c->arg, status, result);
	oc_free(c->method);
	oc_free(c->payload);
	oc_free(c);
}

static void ask_event(void *arg, uint32_t type, oc_str payload)
{
	const oc_plugin_call *c = arg;
	if (c->on_event != NULL)
		oc_plugin_take_event(c->plugin, c->on_event, c->arg, type, payload);
}

static void ask_now(void *arg, oc_status status, const char *why)
{
	oc_plugin_call *c = arg;
	if (status == OC_OK && c->cancelled)
		status = OC_E_CANCELED;
	if (status == OC_OK) {
		oc_peer_call call = {.method = c->method, .payload = {c->payload, c->payload_n}, .deadline_ms = c->deadline_ms,
				     .on_event = ask_event, .on_done = ask_done, .arg = c};
		status = oc_peer_call_start(c->plugin->peer, &call, &c->id);
		if (status == OC_OK)
			return;
		why = oc_status_text(status);
	}
	ask_done(c, status, oc_str_of(why));
}

static void ask_later(void *arg)
{
	oc_plugin_call *c = arg;
	if (c->plugin->phase == OC_PLUGIN_UP)
		ask_now(c, OC_OK, "");
	else if (oc_plugin_wake(c->plugin, ask_now, c) != OC_OK)
		ask_done(c, OC_E_NOMEM, OC_STR("no memory for a plugin"));
}

/* It runs: nothing has to be kept until it does. false: the way that waits finds out why not. */
static bool ask_at_once(oc_plugin_call *c, const oc_plugin_request *request)
{
	oc_peer_call call = {.method = request->method, .payload = request->payload, .deadline_ms = request->deadline_ms,
			     .on_event = ask_event, .on_done = ask_done, .arg = c};
	return c->plugin->phase == OC_PLUGIN_UP && oc_peer_call_start(c->plugin->peer, &call, &c->id) == OC_OK;
}

oc_status oc_plugin_ask(oc_plugin *plugin, const oc_plugin_request *request, oc_plugin_call **ret)
{
	oc_plugin_call *c = oc_alloc(sizeof(*c));
	if (c == NULL)
		return OC_E_NOMEM;
	*c = (oc_plugin_call){.plugin = plugin, .payload_n = request->payload.n, .deadline_ms = request->deadline_ms, .on_event = request->on_event,
			      .on_done = request->on_done, .arg = request->arg};
	if (!ask_at_once(c, request)) {
		c->method = oc_strdup(request->method);
		c->payload = oc_memdup(request->payload.p, request->payload.n);
		oc_status status = c->method == NULL || c->payload == NULL ? OC_E_NOMEM : OC_OK;
		if (status == OC_OK)
			status = plugin->phase == OC_PLUGIN_UP ? oc_loop_defer(plugin->bridge->loop, NULL, ask_later, c)
							       : oc_plugin_wake(plugin, ask_now, c);
		if (status != OC_OK) {
			oc_free(c->method);
			oc_free(c->payload);
			oc_free(c);
			return status;
		}
	}
	if (ret != NULL)
		*ret = c;
	return OC_OK;
}

typedef struct need {
	void (*fn)(void *arg, oc_status status, const char *why);
	void *arg;
} need;

static void need_now(void *arg)
{
	need *n = arg;
	n->fn(n->arg, OC_OK, "");
	oc_free(n);
}

oc_status oc_plugin_need(oc_plugin *plugin, void (*fn)(void *arg, oc_status status, const char *why), void *arg)
{
	if (plugin->phase != OC_PLUGIN_UP)
		return oc_plugin_wake(plugin, fn, arg);
	need *n = oc_alloc(sizeof(*n));
	if (n == NULL)
		return OC_E_NOMEM;
	*n = (need){fn, arg};
	oc_status status = oc_loop_defer(plugin->bridge->loop, plugin->bridge->owner, need_now, n);
	if (status != OC_OK)
		oc_free(n);
	return status;
}

void oc_plugin_call_cancel(oc_plugin_call *call)
{
	call->cancelled = true;
	if (call->id != 0 && call->plugin->peer != NULL)
		oc_peer_cancel(call->plugin->peer, call->id);
}

/* ---- Reading ---- */

const char *oc_plugin_id(const oc_plugin *plugin)
{
	return plugin->id;
}

oc_module *oc_plugin_module(const oc_plugin *plugin)
{
	return plugin->module;
}

char *oc_plugin_state_dir(const oc_plugin *plugin)
{
	return oc_asprintf("%s/plugins/%s", plugin->bridge->state, plugin->id);
}

const cJSON *oc_bridge_accounts(oc_bridge *bridge, const char *channel)
{
	const cJSON *row;
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		const cJSON *rows = p->enabled ? oc_json_get(p->snapshot, "channels") : NULL;
		cJSON_ArrayForEach(row, rows)
		{
			const cJSON *accounts = oc_json_get(row, "accounts");
			if (strcmp(oc_json_str(row, "id", ""), channel) == 0 && cJSON_IsArray(accounts))
				return accounts;
		}
	}
	return NULL;
}

static const char *state_of(const oc_plugin *plugin)
{
	if (plugin->broken)
		return "error";
	if (!plugin->enabled)
		return "disabled";
	return oc_plugin_known(plugin) ? "loaded" : "loading";
}

static const char *phase_of(const oc_plugin *plugin)
{
	static const char *const names[] = {"", "idle", "starting", "running", "ending", "stopping"};
	return names[plugin->phase];
}

/* Its gateway methods that nobody reaches: one of ours, or of an earlier plugin, has the name. NULL: none. */
static cJSON *shadowed(const oc_plugin *plugin)
{
	const oc_bridge *bridge = plugin->bridge;
	cJSON *list = NULL;
	const cJSON *row, *rows = plugin->enabled ? oc_json_get(plugin->snapshot, "gatewayMethods") : NULL;
	cJSON_ArrayForEach(row, rows)
	{
		oc_str name = oc_json_ostr(row, "method");
		oc_plugin_method other;
		bool ours = bridge->host != NULL && bridge->host->has_method(name);
		if (!ours && oc_bridge_method(plugin->bridge, name, &other))
			ours = strcmp(other.plugin, plugin->id) != 0;
		if (!ours)
			continue;
		if (list == NULL)
			list = cJSON_CreateArray();
		(void)cJSON_AddItemToArray(list, cJSON_CreateString(oc_json_str(row, "method", "")));
	}
	return list;
}

cJSON *oc_plugin_describe(const oc_plugin *plugin, bool detail)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", plugin->id);
	(void)oc_json_set_str(o, "name", plugin->name != NULL ? plugin->name : plugin->id);
	(void)oc_json_set_str(o, "version", plugin->version != NULL ? plugin->version : "");
	(void)oc_json_set_str(o, "origin", plugin->origin);
	(void)oc_json_set_str(o, "source", plugin->entry);
	(void)oc_json_set_str(o, "root", plugin->root);
	if (oc_json_get(plugin->manifest, "kind") != NULL)
		(void)oc_json_set(o, "kind", cJSON_Duplicate(oc_json_get(plugin->manifest, "kind"), true));
	(void)oc_json_set_bool(o, "enabled", plugin->enabled);
	(void)oc_json_set_str(o, "status", state_of(plugin));
	(void)oc_json_set_str(o, "process", phase_of(plugin));
	if (plugin->why != NULL)
		(void)oc_json_set_str(o, plugin->broken ? "error" : "reason", plugin->why);
	if (plugin->remedy != NULL)
		(void)oc_json_set_str(o, "remedy", plugin->remedy);
	if (plugin->group != NULL)
		(void)oc_json_set_str(o, "group", plugin->group);
	if (plugin->proc != NULL)
		(void)oc_json_set_i64(o, "pid", oc_proc_pid(plugin->proc));
	if (plugin->missing != NULL)
		(void)oc_json_set(o, "missing", cJSON_Duplicate(plugin->missing, true));
	if (plugin->troubles != NULL)
		(void)oc_json_set(o, "troubles", cJSON_Duplicate(plugin->troubles, true));
	cJSON *hidden = shadowed(plugin);
	if (hidden != NULL)
		(void)oc_json_set(o, "shadowedMethods", hidden);
	if (detail && plugin->snapshot != NULL)
		(void)oc_json_set(o, "registered", cJSON_Duplicate(plugin->snapshot, true));
	return o;
}

cJSON *oc_bridge_describe(oc_bridge *bridge)
{
	cJSON *list = cJSON_CreateArray();
	oc_bridge_need(bridge);
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		if (!p->gone)
			(void)cJSON_AddItemToArray(list, oc_plugin_describe(p, false));
	return list;
}
