#include "core/gateway/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "core/agent/budget.h"
#include "core/agent/keyring.h"
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/plugin_host.h"
#include "core/gateway/plugins.h"
#include "core/net/http_client.h"

struct runtime {
	oc_runtime pub;
	oc_http_client *http;
	uint64_t stop_deadline;
};

static oc_owner *owner_of(oc_self *self)
{
	return oc_module_owner(self);
}

/* A secret that the configuration does not hold may be in the variable that the module's manifest names: a provider's API
 * key ("models.providers.<id>.apiKey") or a channel's token ("channels.<id>.<key>"). */
static oc_status secret_source(void *arg, oc_str name, oc_buf **ret)
{
	oc_runtime *rt = arg;
	if (oc_keyring_secret(rt->agent, name, ret) == OC_OK)
		return OC_OK;
	const char *value = oc_config_str(rt->config, name.p, NULL);
	cJSON *known = NULL;
	if ((value == NULL || value[0] == 0) && oc_str_starts(name, "models.providers.") && oc_str_ends(name, ".apiKey"))
		known = oc_modules_known_providers(rt->modules);
	else if (value == NULL || value[0] == 0)
		known = oc_modules_known_channels(rt->modules);
	const cJSON *row;
	cJSON_ArrayForEach(row, known)
	{
		oc_auto_free char *own = oc_asprintf(
			"models.providers.%s.apiKey", oc_json_str(row, "id", ""));
		const cJSON *envs = oc_json_get(row, "secretEnv"); /* {"channels.telegram.botToken":"TELEGRAM_BOT_TOKEN"} */
		const char *env = own != NULL && oc_str_eqz(name, own) ? oc_json_str(row, "env", NULL)
								       : oc_json_str(envs, name.p, NULL);
		if (env != NULL && (value = oc_config_env(rt->config, env)) != NULL)
			break;
	}
	oc_status status = value != NULL && value[0] != 0 ? OC_OK : OC_E_NOT_FOUND;
	if (status == OC_OK) {
		oc_log_redact(oc_str_of(value));
		*ret = oc_buf_new_secret(oc_str_of(value));
		if (*ret == NULL)
			status = OC_E_NOMEM;
	}
	cJSON_Delete(known);
	return status;
}

/* ---- The sandbox's rules out of the configuration ---- */

#define MAX_OPEN 64

static void add_workspace(char **list, size_t *n, const char *path, const char *base)
{
	char *full = path != NULL && *n < MAX_OPEN - 1 ? oc_path_expand(path, base) : NULL;
	if (full != NULL)
		list[(*n)++] = full;
}

static oc_status configure_procs(oc_runtime *rt, oc_err *err)
{
	oc_auto_free char *state = oc_path_state_dir();
	oc_auto_free char *media = oc_path_state("media");
	char *open[MAX_OPEN] = {0};
	size_t n = 0;
	char *read[MAX_OPEN] = {0};
	size_t n_read = 0;
	const cJSON *path;
	cJSON_ArrayForEach(path, oc_config_get(rt->config, "tools.exec.sandbox.readPaths"))
		add_workspace(read, &n_read, path->valuestring, state);
	add_workspace(open, &n, oc_config_str(rt->config, "agents.defaults.workspace", NULL), state);
	add_workspace(open, &n, "workspace", state);
	add_workspace(open, &n, media, NULL);
	const cJSON *agent;
	cJSON_ArrayForEach(agent, oc_config_get(rt->config, "agents.list"))
		add_workspace(open, &n, oc_json_str(agent, "workspace", NULL), state);
	int level = oc_sandbox_level_parse(oc_config_str(rt->config, "tools.exec.sandbox.level", "strict"));
	oc_procs_options options = {
		.level = level != 0 ? level : OC_SANDBOX_STRICT,
		.allow_downgrade = oc_config_bool(rt->config, "tools.exec.sandbox.allowDowngrade", false),
		.network = oc_config_bool(rt->config, "tools.exec.sandbox.network", false),
		.state_dir = state,
		.open = (const char *const *)open,
		.read = (const char *const *)read,
		.limits = {
			.memory_bytes = (uint64_t)oc_config_i64(rt->config, "tools.exec.sandbox.memoryBytes", 0),
			.processes = (uint64_t)oc_config_i64(rt->config, "tools.exec.sandbox.processes", 0),
			.cpu_seconds = (uint64_t)oc_config_i64(rt->config, "tools.exec.sandbox.cpuSeconds", 0),
			.file_bytes = (uint64_t)oc_config_i64(rt->config, "tools.exec.sandbox.fileBytes", 0),
		},
	};
	oc_status status = rt->procs == NULL ? oc_procs_new(rt->loop, &options, &rt->procs, err)
					     : oc_procs_configure(rt->procs, &options, err);
	for (size_t i = 0; i < n; i++)
		oc_free(open[i]);
	for (size_t i = 0; i < n_read; i++)
		oc_free(read[i]);
	return status;
}

/* ---- What the store removes ---- */

#define DAY_MS ((int64_t)86400000)

/* "30d", a number of days; 0 for false and for what is no duration. */
static int64_t age_of(const oc_config *config, const char *path, int64_t fallback)
{
	const cJSON *value = oc_config_get(config, path);
	if (cJSON_IsFalse(value))
		return 0;
	if (cJSON_IsNumber(value))
		return (int64_t)value->valuedouble * DAY_MS;
	return cJSON_IsString(value) ? oc_duration_ms(value->valuestring, DAY_MS, fallback) : fallback;
}

/* "500mb", a number of bytes. */
static int64_t bytes_of(const oc_config *config, const char *path)
{
	static const struct {
		char letter;
		double factor;
	} units[] = {{'k', 1024}, {'m', 1048576}, {'g', 1073741824}, {'t', 1099511627776.0}};
	const cJSON *value = oc_config_get(config, path);
	if (cJSON_IsNumber(value))
		return (int64_t)value->valuedouble;
	if (!cJSON_IsString(value))
		return 0;
	char *end = NULL;
	double n = strtod(value->valuestring, &end);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if ((*end | 32) == units[i].letter)
			n *= units[i].factor;
	return n > 0 && n < 1e18 ? (int64_t)n : 0;
}

static void configure_retention(oc_runtime *rt)
{
	const oc_config *c = rt->config;
	bool enforce = strcmp(oc_config_str(c, "session.maintenance.mode", "warn"), "enforce") == 0;
	int64_t days = oc_config_i64(c, "session.maintenance.pruneDays", 0);
	int64_t prune = days > 0 ? days * DAY_MS : age_of(c, "session.maintenance.pruneAfter", 30 * DAY_MS);
	oc_retention keep = {
		.events_ms = age_of(c, "session.maintenance.eventRetention", 90 * DAY_MS),
		.done_ms = age_of(c, "session.maintenance.deliveryRetention", 30 * DAY_MS),
		.every_ms = oc_config_i64(c, "session.maintenance.everyMinutes", 60) * 60000,
	};
	keep.first_ms = keep.every_ms;
	if (enforce) {
		keep.sessions_ms = prune;
		keep.sessions_max = oc_config_i64(c, "session.maintenance.maxEntries", 500);
		keep.archive_ms = age_of(c, "session.maintenance.resetArchiveRetention", prune);
		keep.disk_bytes = bytes_of(c, "session.maintenance.maxDiskBytes");
		keep.disk_low_bytes = bytes_of(c, "session.maintenance.highWaterBytes");
		if (keep.disk_low_bytes <= 0 || keep.disk_low_bytes > keep.disk_bytes)
			keep.disk_low_bytes = keep.disk_bytes / 10 * 8;
	}
	oc_store_set_retention(rt->store, &keep);
}

/* ---- Life ---- */

static oc_status open_store(oc_runtime *rt, oc_err *err)
{
	oc_auto_free char *dir = oc_path_state_dir();
	oc_auto_free char *path = oc_path_state("openclaw.db");
	if (dir == NULL || path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "opening the store: out of memory");
	oc_status status = oc_path_mkdirs(dir, 0700, err);
	if (status == OC_OK)
		status = oc_store_open(path, rt->loop, rt->one_shot ? OC_STORE_SHARED : OC_STORE_OWNER, &rt->store, err);
	return status;
}

static oc_status offer_services(struct runtime *self, oc_err *err)
{
	oc_runtime *rt = &self->pub;
	oc_http_client_options http = {.user_agent = "openclaw/" PACKAGE_VERSION,
				       .proxy = oc_config_str(rt->config, "proxy.url", NULL),
				       .no_proxy = oc_config_str(rt->config, "proxy.noProxy", NULL),
				       .ca_file = oc_config_str(rt->config, "proxy.caFile", NULL)};
	oc_status status = oc_http_client_new(rt->loop, &http, &self->http, err);
	if (status == OC_OK)
		status = oc_modules_provide_service(rt->modules, OC_SERVICE_HTTP_CLIENT, 1, 0,
						    oc_http_client_service(self->http, owner_of), "net");
	if (status == OC_OK)
		status = configure_procs(rt, err);
	if (status == OC_OK)
		status = oc_modules_provide_service(rt->modules, OC_SERVICE_PROCESS, 1, 0,
						    oc_process_service(rt->procs, owner_of), "exec");
	oc_modules_set_secret_source(rt->modules, secret_source, rt);
	return status;
}

/* A plugin's channel names its accounts by itself. */
static const cJSON *accounts_of(void *arg, const char *channel)
{
	const oc_runtime *rt = arg;
	return oc_bridge_accounts(rt->bridge, channel);
}

oc_status oc_runtime_new(oc_config *config, unsigned flags, oc_runtime **ret, oc_err *err)
{
	bool one_shot = (flags & OC_RUNTIME_ONE_SHOT) != 0, safe = (flags & OC_RUNTIME_SAFE) != 0;
	struct runtime *self = oc_alloc(sizeof *self);
	if (self == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "starting: out of memory");
	oc_runtime *rt = &self->pub;
	rt->one_shot = one_shot;
	rt->safe = safe;
	rt->config = oc_config_ref(config);
	oc_config_register_secrets(config);
	oc_status status = oc_loop_new(&rt->loop, err);
	if (status == OC_OK && (rt->owner = oc_owner_new(rt->loop, "runtime")) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "starting: out of memory");
	if (status == OC_OK)
		status = open_store(rt, err);
	if (status == OC_OK && !one_shot)
		configure_retention(rt);
	if (status == OC_OK)
		status = oc_hooks_new(rt->loop, &rt->hooks, err);
	oc_modules_options modules = {.hooks = rt->hooks, .safe_mode = safe};
	if (status == OC_OK)
		status = oc_modules_new(rt->loop, config, &modules, &rt->modules, err);
	if (status == OC_OK)
		status = offer_services(self, err);
	oc_agent_options agent = {.one_shot = one_shot};
	if (status == OC_OK)
		status = oc_agent_new(rt->loop, config, rt->store, rt->modules, rt->hooks, &agent, &rt->agent, err);
	if (status == OC_OK)
		status = oc_isolates_new(rt->loop, config, rt->modules, &rt->isolates, err);
	if (status == OC_OK)
		status = oc_bridge_new(rt->loop, config, rt->modules, rt->hooks, &oc_plugin_host, rt, &rt->bridge, err);
	if (status == OC_OK) {
		oc_agent_set_accounts(rt->agent, accounts_of, rt);
		oc_agent_set_http(rt->agent, self->http);
		oc_plugins_join(rt);
		status = oc_modules_scan(rt->modules, err);
	}
	if (status == OC_OK && !safe && one_shot)
		status = oc_bridge_scan(rt->bridge, err);
	else if (status == OC_OK && !safe)
		oc_bridge_put_off(rt->bridge);
	if (status == OC_OK && oc_modules_refine(rt->modules, config) != OC_OK)
		status = oc_fail(err, OC_E_NOMEM, NULL, "starting: out of memory");
	if (status != OC_OK) {
		oc_runtime_free(rt);
		return status;
	}
	oc_config_unref(config); /* the caller's reference is ours now */
	*ret = rt;
	return OC_OK;
}

static void finish(oc_runtime *rt)
{
	void (*done)(void *arg) = rt->done;
	rt->done = NULL;
	if (done != NULL)
		done(rt->arg);
}

static void need_plugins(void *arg)
{
	oc_bridge_need(((const oc_runtime *)arg)->bridge);
}

static void on_modules_started(void *arg, unsigned started, unsigned failed)
{
	oc_runtime *rt = arg;
	oc_err err = {0};
	oc_debug("modules", "%u started, %u failed", started, failed);
	oc_hooks_on_question(rt->hooks, need_plugins, rt);
	if (oc_agent_start(rt->agent, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "agent", "starting", &err);
	finish(rt);
}

void oc_runtime_start(oc_runtime *rt, void (*done)(void *arg), void *arg)
{
	rt->done = done;
	rt->arg = arg;
	oc_modules_start(rt->modules, on_modules_started, rt);
}

void oc_runtime_ready(oc_runtime *rt, int port)
{
	oc_bridge_start(rt->bridge, port);
	oc_plugin_renewals_start(rt);
	oc_agent_ready(rt->agent);
}

void oc_runtime_configure(oc_runtime *rt, oc_config *config)
{
	oc_err err = {0};
	oc_config_unref(rt->config);
	rt->config = oc_config_ref(config);
	oc_config_register_secrets(config);
	if (configure_procs(rt, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "sandbox", "new settings are not used", &err);
	if (!rt->one_shot)
		configure_retention(rt);
	oc_isolates_configure(rt->isolates, config);
	oc_modules_configure(rt->modules, config, NULL, NULL);
	if (!rt->safe)
		oc_bridge_configure(rt->bridge, config);
	oc_agent_reload(rt->agent, config);
}

static void on_modules_stopped(void *arg, unsigned stopped, unsigned failed)
{
	(void)stopped;
	if (failed > 0)
		oc_warn("modules", "%u did not stop in time", failed);
	finish(arg);
}

static void on_plugins_stopped(void *arg)
{
	oc_runtime *rt = arg;
	oc_modules_stop(rt->modules, ((struct runtime *)rt)->stop_deadline, on_modules_stopped, rt);
}

static void on_drained(void *arg)
{
	oc_runtime *rt = arg;
	oc_bridge_stop(rt->bridge, on_plugins_stopped, rt);
}

void oc_runtime_stop(oc_runtime *rt, uint64_t deadline_ms, void (*done)(void *arg), void *arg)
{
	rt->done = done;
	rt->arg = arg;
	((struct runtime *)rt)->stop_deadline = deadline_ms < 1000 ? 1000 : deadline_ms < 5000 ? deadline_ms : 5000;
	oc_agent_drain(rt->agent, deadline_ms, on_drained, rt);
}

void oc_runtime_free(oc_runtime *rt)
{
	if (rt == NULL)
		return;
	struct runtime *self = (struct runtime *)rt;
	if (rt->hooks != NULL)
		oc_hooks_on_question(rt->hooks, NULL, NULL);
	if (rt->agent != NULL)
		oc_plugin_host_end(rt);
	oc_agent_free(rt->agent);
	oc_modules_free(rt->modules);
	oc_isolates_free(rt->isolates);
	oc_bridge_free(rt->bridge);
	oc_hooks_free(rt->hooks);
	oc_procs_free(rt->procs);
	oc_http_client_free(self->http);
	oc_store_close(rt->store);
	oc_plugin_ops_free(rt);
	oc_plugin_renewals_free(rt);
	oc_owner_free(rt->owner);
	oc_loop_free(rt->loop);
	oc_config_unref(rt->config);
	oc_free(self);
}
