/*
 * A plugin's process: started when something needs it, its output in the log, ended with patience, started again after a
 * back-off when it dies, given up after dying too often.
 */
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/permit.h"

enum {
	FAILURES_MAX = 5,	  /* in a row: then it is left alone until it is enabled again */
	BACKOFF_FIRST_MS = 500,
	BACKOFF_MAX_MS = 60 * 1000,
	STEADY_MS = 60 * 1000,	  /* up for so long: what failed before is forgotten */
	INIT_MS = 60 * 1000,	  /* loading may transpile a lot, the first time */
	STOP_MS = 5000,
	GROUP_MS = 50,		  /* until it is seen again whether its group's process is gone */
	LAST_WORDS_MS = 1000,
};

static void try_again(void *arg);

/* ---- Who waits ---- */

static void tell_waiting(oc_plugin *plugin, oc_status status, const char *why)
{
	while (plugin->waits != NULL) {
		oc_plugin_wait *wait = plugin->waits;
		plugin->waits = wait->next;
		if (plugin->waits == NULL)
			plugin->waits_tail = &plugin->waits;
		plugin->n_waits--;
		wait->fn(wait->arg, status, why);
		oc_free(wait);
	}
}

/* ---- Its end ---- */

static uint64_t backoff(unsigned failures)
{
	uint64_t ms = BACKOFF_FIRST_MS;
	for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

bool oc_plugin_must_run(const oc_plugin *plugin)
{
	const cJSON *hook;
	cJSON_ArrayForEach(hook, oc_json_get(plugin->snapshot, "hooks"))
	{
		if (strcmp(oc_json_str(hook, "name", ""), "gateway_start") == 0)
			return true;
	}
	return cJSON_GetArraySize(oc_json_get(plugin->snapshot, "services")) > 0 ||
	       cJSON_GetArraySize(oc_json_get(plugin->snapshot, "channels")) > 0;
}

static void stopped(oc_plugin *plugin)
{
	oc_bridge *bridge = plugin->bridge;
	if (bridge->stopping && bridge->stop_pending > 0 && --bridge->stop_pending == 0 && bridge->stop_done != NULL)
		bridge->stop_done(bridge->stop_arg);
}

/* It failed, by itself or because it could not be started: says so, and decides whether it is tried again. */
static void failed(oc_plugin *plugin, const char *why, bool by_itself)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "%s", why);
	if (plugin->started_ms != 0 && oc_now_ms() - plugin->started_ms > STEADY_MS)
		plugin->failures = 0;
	plugin->failures++;
	oc_plugin_trouble(plugin, "crash", "%s", text);
	if (plugin->failures >= FAILURES_MAX) {
		char reason[600];
		(void)snprintf(reason, sizeof(reason), "it ended %d times in a row, at last: %s", FAILURES_MAX, text);
		oc_plugin_quarantine(plugin, reason, by_itself);
		oc_error("plugins", "%s: %s", plugin->id, reason);
	} else {
		uint64_t ms = backoff(plugin->failures);
		oc_warn("plugins", "%s: %s; it may start again in %llu ms", plugin->id, text, (unsigned long long)ms);
		plugin->not_before_ms = oc_now_ms() + ms;
	}
	/* Who asked meanwhile waits for the next one. */
	if (plugin->enabled && !plugin->bridge->stopping && (plugin->waits != NULL || oc_plugin_must_run(plugin)))
		(void)oc_plugin_wake(plugin, NULL, NULL);
	else
		tell_waiting(plugin, OC_E_UNAVAILABLE, text);
}

static void patient(oc_plugin *plugin, uint64_t ms, void (*fn)(void *arg))
{
	oc_watch_end(plugin->patience);
	plugin->patience = oc_timer_start(plugin->owner, ms, 0, fn, plugin);
	if (plugin->patience == NULL)
		fn(plugin);
}

/* Both its process and its connection are over. */
static void gone(oc_plugin *plugin)
{
	bool asked = plugin->phase == OC_PLUGIN_STOPPING;
	oc_auto_free char *why = plugin->ended;
	plugin->ended = NULL;
	oc_watch_end(plugin->patience);
	plugin->patience = NULL;
	const oc_bridge_host *host = plugin->bridge->host;
	oc_intake_end(plugin);
	oc_peer_close(plugin->peer);
	plugin->peer = NULL;
	oc_plugin_channels_down(plugin);
	if (host != NULL)
		host->gone(plugin->bridge->host_arg, plugin);
	plugin->phase = OC_PLUGIN_DOWN;
	if (asked) {
		stopped(plugin);
		/* Stopped to begin anew: changed, or asked for again meanwhile. */
		if (plugin->enabled && !plugin->bridge->stopping && (plugin->waits != NULL || !oc_plugin_known(plugin) || oc_plugin_must_run(plugin)))
			(void)oc_plugin_wake(plugin, NULL, NULL);
		else
			tell_waiting(plugin, OC_E_UNAVAILABLE, "it was stopped");
	} else {
		failed(plugin, why != NULL ? why : "its process ended", true);
	}
}

/* A descendant of it holds the connection open. */
static void not_waiting(void *arg)
{
	oc_plugin *plugin = arg;
	oc_watch_end(plugin->patience);
	plugin->patience = NULL;
	oc_peer_end(plugin->peer, plugin->ended != NULL ? plugin->ended : "its process ended");
}

/* What it said before it went may still be on its way: the end of the connection decides, which tells open calls. */
static void process_over(oc_plugin *plugin, const char *how)
{
	plugin->proc = plugin->output.proc = NULL;
	oc_watchdog_end(plugin);
	oc_free(plugin->ended);
	plugin->ended = plugin->group != NULL ? oc_asprintf("%s (group %s)", how, plugin->group) : oc_strdup(how);
	if (plugin->phase != OC_PLUGIN_STOPPING)
		plugin->phase = OC_PLUGIN_ENDING;
	if (plugin->peer != NULL && oc_peer_connected(plugin->peer))
		patient(plugin, LAST_WORDS_MS, not_waiting);
	else
		gone(plugin);
}

static void on_exit_of(void *arg, oc_status status, int exit_code, int signal, oc_str message)
{
	const oc_plugin *first = arg;
	const oc_proc *proc = first->proc;
	char how[256];
	if (status != OC_OK)
		(void)snprintf(how, sizeof(how), "its process: %.*s", OC_STR_ARG(message));
	else if (signal != 0)
		(void)snprintf(how, sizeof(how), "its process was ended by signal %d", signal);
	else
		(void)snprintf(how, sizeof(how), "its process ended with status %d", exit_code);
	for (oc_plugin *p = first->bridge->plugins; p != NULL; p = p->next)
		if (p->proc == proc)
			process_over(p, how);
}

void oc_plugin_kill(oc_plugin *plugin)
{
	if (plugin->proc != NULL)
		(void)oc_proc_kill(plugin->proc, 9);
}

static void too_slow(void *arg)
{
	oc_plugin *plugin = arg;
	oc_watch_end(plugin->patience);
	plugin->patience = NULL;
	oc_plugin_kill(plugin);
}

static void on_stop_answer(void *arg, oc_status status, oc_str result)
{
	(void)status;
	(void)result;
	oc_plugin *plugin = arg;
	if (plugin->proc != NULL)
		(void)oc_proc_kill(plugin->proc, 15);
}

static void halt_one(oc_plugin *plugin)
{
	oc_watch_end(plugin->retry);
	plugin->retry = NULL;
	if (plugin->phase == OC_PLUGIN_DOWN)
		tell_waiting(plugin, OC_E_UNAVAILABLE, "it was stopped");
	if (plugin->phase == OC_PLUGIN_DOWN || plugin->phase == OC_PLUGIN_STOPPING)
		return;
	plugin->phase = OC_PLUGIN_STOPPING;
	if (plugin->proc == NULL)
		return; /* it is over as soon as its connection is */
	patient(plugin, STOP_MS, too_slow);
	if (plugin->peer == NULL || !oc_peer_ready(plugin->peer) ||
	    oc_peer_call_start(plugin->peer, &(oc_peer_call){.method = "shutdown", .payload = OC_STR("{\"reason\":\"stop\"}"),
							    .deadline_ms = STOP_MS, .on_done = on_stop_answer, .arg = plugin}, NULL) != OC_OK)
		(void)oc_proc_kill(plugin->proc, 15);
}

void oc_plugin_halt(oc_plugin *plugin)
{
	for (oc_plugin *p = oc_group_sharing(plugin, NULL); p != NULL; p = oc_group_sharing(plugin, p))
		halt_one(p);
}

/* ---- Its start ---- */

/* Registrations came: what is new is kept, who waited goes on. */
static void on_registered(void *arg, oc_status status, oc_str result)
{
	oc_plugin *plugin = arg;
	cJSON *snapshot = NULL;
	oc_err err = {0};
	if (plugin->phase != OC_PLUGIN_STARTING || !oc_peer_connected(plugin->peer))
		return; /* it ended meanwhile: gone() decides */
	if (status == OC_OK)
		status = oc_json_parse(result, NULL, &snapshot, &err);
	else
		(void)oc_fail(&err, status, NULL, "%.*s", OC_STR_ARG(result));
	if (status != OC_OK) {
		/* An error of its code comes again each time: no restarts, but of those who share its process. */
		plugin->failures = FAILURES_MAX - 1;
		for (oc_plugin *p = oc_group_sharing(plugin, NULL); p != NULL; p = oc_group_sharing(plugin, p))
			p->phase = OC_PLUGIN_STOPPING;
		oc_plugin_kill(plugin);
		oc_plugin_failed(plugin, err.text);
		if (plugin->outdated) {
			oc_plugin_withdraw(plugin);
			cJSON_Delete(plugin->snapshot);
			plugin->snapshot = NULL;
		}
		oc_error("plugins", "%s: %s", plugin->id, plugin->why);
		tell_waiting(plugin, OC_E_UNAVAILABLE, err.text);
		return;
	}
	bool changed = plugin->snapshot == NULL || !oc_json_equal(plugin->snapshot, snapshot), kept = oc_plugin_known(plugin);
	/* The one that was stays when it says the same: what is shown of it points into it. */
	cJSON_Delete(changed ? plugin->snapshot : snapshot);
	plugin->snapshot = changed ? snapshot : plugin->snapshot;
	plugin->outdated = false;
	plugin->phase = OC_PLUGIN_UP;
	if (changed || !kept)
		oc_snapshot_save(plugin);
	if (plugin->bridge->modules != NULL && (changed || !plugin->presented) && oc_plugin_present(plugin, &err) != OC_OK)
		oc_plugin_refuse(plugin, NULL, "%s", err.text);
	if (changed || !kept)
		oc_plugins_note_quiet(plugin->bridge);
	if (changed && cJSON_GetArraySize(oc_json_get(plugin->snapshot, "channels")) > 0 && plugin->bridge->host != NULL)
		plugin->bridge->host->channels(plugin->bridge->host_arg, plugin, true);
	oc_plugin_services_start(plugin, true);
	oc_plugin_channels_up(plugin);
	tell_waiting(plugin, OC_OK, "");
}

char *oc_plugin_init_params(const oc_plugin *plugin, const char *folder)
{
	oc_bridge *bridge = plugin->bridge;
	oc_auto_json cJSON *o = cJSON_CreateObject();
	oc_auto_free char *state = oc_asprintf("%s/plugins/%s", bridge->state, plugin->id);
	oc_auto_free char *cache = oc_plugin_cache(plugin);
	oc_auto_free char *http = oc_path_join(folder, "http");
	oc_auto_free char *workspace = oc_path_expand(oc_config_str(bridge->config, "agents.defaults.workspace", "workspace"), bridge->state);
	cJSON *config = oc_plugin_config_view(plugin);
	if (state == NULL || cache == NULL || http == NULL || workspace == NULL || config == NULL || o == NULL) {
		cJSON_Delete(config);
		return NULL;
	}
	(void)oc_json_set_str(o, "id", plugin->id);
	(void)oc_json_set_str(o, "root", plugin->root);
	(void)oc_json_set_str(o, "entry", plugin->entry);
	(void)oc_json_set_str(o, "origin", plugin->origin);
	(void)oc_json_set(o, "manifest", cJSON_Duplicate(plugin->manifest, true));
	(void)oc_json_set(o, "config", config);
	(void)oc_json_set(o, "pluginConfig", cJSON_Duplicate(plugin->config, true));
	(void)oc_json_set_str(o, "stateDir", state);
	(void)oc_json_set_str(o, "workspaceDir", workspace);
	(void)oc_json_set_str(o, "cacheDir", cache);
	(void)oc_json_set_str(o, "http", http);
	(void)oc_json_set_bool(o, "network", oc_permit_network(plugin));
	(void)oc_json_set_bool(o, "verbose", oc_log_level() >= OC_LOG_DEBUG);
	return oc_json_print(o);
}

static void on_ready(void *arg, oc_str hello)
{
	(void)hello;
	oc_plugin *plugin = arg;
	oc_auto_free char *folder = oc_asprintf("%s/run/bridge/%s", plugin->bridge->state, plugin->module_name);
	oc_auto_free char *params = folder != NULL ? oc_plugin_init_params(plugin, folder) : NULL;
	oc_peer_call call = {.method = "init", .payload = oc_str_of(params), .deadline_ms = INIT_MS, .on_done = on_registered, .arg = plugin};
	oc_status status = params != NULL ? oc_peer_call_start(plugin->peer, &call, NULL) : OC_E_NOMEM;
	if (status != OC_OK)
		on_registered(plugin, status, oc_str_of(oc_status_text(status)));
}

static void on_call(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	oc_plugin_take(arg, &(oc_frame){.kind = OC_FRAME_CALL, .id = id, .number = deadline_ms, .name = name, .payload = payload});
}

static void on_notify(void *arg, oc_str name, oc_str payload)
{
	oc_plugin_take(arg, &(oc_frame){.kind = OC_FRAME_NOTIFY, .name = name, .payload = payload});
}

static void end_it(void *arg)
{
	oc_plugin *plugin = arg;
	oc_watch_end(plugin->patience);
	plugin->patience = NULL;
	if (plugin->proc != NULL)
		(void)oc_proc_kill(plugin->proc, 15);
	patient(plugin, STOP_MS, too_slow);
}

/* The process's end follows, by itself or by our hand, when it has not come before. */
static void on_closed(void *arg, const char *why)
{
	oc_plugin *plugin = arg;
	if (plugin->phase != OC_PLUGIN_STOPPING) {
		oc_warn("plugins", "%s: %s", plugin->id, why);
		if (oc_str_starts(oc_str_of(why), "it ")) /* what it did, not what happened to it */
			oc_plugin_trouble(plugin, "protocol", "%s: its connection was ended", why);
		plugin->phase = OC_PLUGIN_ENDING;
	}
	if (plugin->proc == NULL) {
		gone(plugin);
		return;
	}
	/* Most often it is ending, and how it ended says more than our signal. */
	if (plugin->phase != OC_PLUGIN_STOPPING)
		patient(plugin, LAST_WORDS_MS, end_it);
}

static const oc_peer_events peer_events = {on_ready, on_call, NULL, on_notify, on_closed};

static oc_status make_folder(char *path, oc_err *err)
{
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin");
	return oc_path_mkdirs(path, 0700, err);
}

oc_status oc_plugin_spawn(oc_plugin *plugin, const oc_plugin_launch *launch, oc_proc **ret, oc_err *err)
{
	oc_bridge *bridge = plugin->bridge;
	oc_permit permit;
	oc_auto_free char *main_js = oc_path_join(bridge->node_dir, launch->script);
	oc_status status = main_js != NULL ? oc_permit_read(plugin, launch->folder, launch->read, launch->together, &permit, err) : OC_E_NOMEM;
	if (status != OC_OK)
		return status;
	for (size_t i = 0; i < sizeof(launch->env) / sizeof(launch->env[0]) && launch->env[i] != NULL; i++)
		if (!oc_permit_setenv(&permit, launch->env[i]))
			status = oc_fail(err, OC_E_LIMIT, "grant it fewer", "too much is granted to %s", plugin->id);
	const char *argv[] = {bridge->node, "--max-old-space-size=1024", main_js, NULL};
	oc_proc_options options = {
		.profile = {.level = permit.level, .network = permit.network, .read = permit.read, .write = permit.write,
			    .cwd = launch->read != NULL ? launch->read : plugin->root, .argv = argv, .env = (const char *const *)permit.env,
			    .limits = {.memory_bytes = UINT64_C(8) << 30}},
		.flags = launch->flags,
		.yields = (launch->flags & OC_PROC_TERMINAL) == 0,
		.on_output = launch->on_output,
		.on_exit = launch->on_exit,
		.arg = launch->arg,
	};
	if (status == OC_OK)
		status = oc_proc_spawn(bridge->procs, plugin->owner, &options, ret, err);
	oc_permit_free(&permit);
	return status;
}

oc_status oc_plugin_line_open(oc_plugin *plugin, char *folder, const oc_peer_events *events, void *arg, oc_sbuf *lines, oc_err *err)
{
	char secret[33];
	oc_auto_free char *socket = folder != NULL ? oc_path_join(folder, "s") : NULL;
	oc_status status = make_folder(folder, err);
	if (status != OC_OK)
		return status;
	const char *transport = oc_config_str(plugin->bridge->config, "plugins.transport", "loop");
	(void)oc_id_token(secret, sizeof(secret) - 1);
	oc_peer_options peer = {.name = plugin->id, .queue = OC_QUEUE_plugin_calls, .path = socket, .secret = secret, .version = PACKAGE_VERSION,
				.transport = strcmp(transport, "nng") == 0 ? OC_TRANSPORT_NNG : OC_TRANSPORT_LOOP, .events = events, .arg = arg};
	status = oc_peer_open(plugin->bridge->loop, &peer, &plugin->peer, err);
	oc_sbuf_printf(lines, "%s\n%s\n%s\n", socket, secret, plugin->id);
	oc_wipe(secret, sizeof(secret));
	if (status == OC_OK && lines->error != OC_OK)
		status = oc_fail(err, lines->error, NULL, "no memory for a plugin");
	return status;
}

static oc_status open_line(oc_plugin *plugin, oc_sbuf *lines, oc_err *err)
{
	oc_auto_free char *folder = oc_asprintf("%s/run/bridge/%s", plugin->bridge->state, plugin->module_name);
	return oc_plugin_line_open(plugin, folder, &peer_events, plugin, lines, err);
}

/* Lines for all of its group that may run. */
static oc_status open_lines(oc_plugin *plugin, oc_sbuf *lines, oc_err *err)
{
	oc_sbuf_z(lines, "OPENCLAW_BRIDGE=");
	oc_status status = open_line(plugin, lines, err);
	for (oc_plugin *p = oc_group_next(plugin, NULL); p != NULL && status == OC_OK; p = oc_group_next(plugin, p))
		if (p != plugin && p->enabled)
			status = open_line(p, lines, err);
	return status;
}

static void began(oc_plugin *plugin, oc_proc *proc)
{
	oc_watch_end(plugin->retry);
	plugin->retry = NULL;
	plugin->proc = proc;
	plugin->phase = OC_PLUGIN_STARTING;
	plugin->epoch++;
	plugin->started_ms = oc_now_ms();
}

/* Some of its group run without it: they end, and it asks again until all can begin together. */
static bool others_first(oc_plugin *plugin)
{
	bool others = false;
	for (oc_plugin *p = oc_group_next(plugin, NULL); p != NULL; p = oc_group_next(plugin, p))
		if (p->phase != OC_PLUGIN_DOWN) {
			others = true;
			oc_plugin_halt(p);
		}
	if (others)
		plugin->retry = oc_timer_start(plugin->owner, GROUP_MS, 0, try_again, plugin);
	return others && plugin->retry != NULL;
}

static oc_status start(oc_plugin *plugin, oc_err *err)
{
	oc_auto_free char *folder = oc_asprintf("%s/run/bridge/%s", plugin->bridge->state, plugin->module_name);
	oc_proc *proc = NULL;
	oc_sbuf lines;
	if (others_first(plugin))
		return OC_OK;
	oc_sbuf_init(&lines, OC_PLUGIN_LINES_MAX);
	oc_status status = folder != NULL ? open_lines(plugin, &lines, err) : OC_E_NOMEM;
	oc_plugin_launch launch = {.script = "main.js", .folder = folder, .env = {oc_sbuf_view(&lines).p}, .together = true, .flags = OC_PROC_MERGE,
				   .on_output = oc_plugin_output, .on_exit = on_exit_of, .arg = plugin};
	if (status == OC_OK)
		status = oc_plugin_spawn(plugin, &launch, &proc, err);
	if (lines.error == OC_OK)
		oc_wipe((char *)oc_sbuf_view(&lines).p, oc_sbuf_view(&lines).n);
	oc_sbuf_free(&lines);
	for (oc_plugin *p = oc_group_next(plugin, NULL); p != NULL; p = oc_group_next(plugin, p)) {
		if (p->phase == OC_PLUGIN_DOWN && p->peer != NULL && status == OC_OK) {
			began(p, proc);
		} else if (status != OC_OK) {
			oc_peer_close(p->peer);
			p->peer = NULL;
		}
	}
	if (status == OC_OK)
		oc_watchdog_start(plugin);
	return status;
}

static void try_again(void *arg)
{
	oc_plugin *plugin = arg;
	oc_err err = {0};
	oc_watch_end(plugin->retry);
	plugin->retry = NULL;
	if (plugin->phase != OC_PLUGIN_DOWN)
		return;
	if (!plugin->enabled || plugin->bridge->stopping)
		tell_waiting(plugin, OC_E_UNAVAILABLE, plugin->why != NULL ? plugin->why : "the gateway stops");
	else if (start(plugin, &err) != OC_OK)
		failed(plugin, err.text, false);
}

oc_status oc_plugin_wake(oc_plugin *plugin, void (*fn)(void *arg, oc_status status, const char *why), void *arg)
{
	if (fn != NULL && plugin->n_waits >= OC_PLUGIN_WAITS_MAX) {
		oc_queue_refused(OC_QUEUE_plugin_waits);
		return OC_E_LIMIT;
	}
	if (fn != NULL) {
		oc_plugin_wait *wait = oc_alloc(sizeof(*wait));
		if (wait == NULL)
			return OC_E_NOMEM;
		plugin->n_waits++;
		*wait = (oc_plugin_wait){.fn = fn, .arg = arg};
		*plugin->waits_tail = wait;
		plugin->waits_tail = &wait->next;
	}
	if (plugin->retry == NULL && plugin->phase == OC_PLUGIN_DOWN) {
		uint64_t now = oc_now_ms();
		plugin->retry = oc_timer_start(plugin->owner, plugin->not_before_ms > now ? plugin->not_before_ms - now : 0, 0, try_again, plugin);
		if (plugin->retry == NULL)
			return OC_E_NOMEM;
	}
	return OC_OK;
}
