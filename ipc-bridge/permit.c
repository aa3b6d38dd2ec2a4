/*
 * What a plugin's process may see and reach: the folders every plugin has, and what plugins.entries.<id> grants besides:
 * env (names of variables), read and write (paths), network (true unless it says no), memoryMb, sandbox (a lower level).
 */
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/permit.h"

enum { MEMORY_MB = 1536, MEMORY_MIN_MB = 64, MEMORY_MAX_MB = 64 * 1024 };

static const cJSON *entry_of(const oc_plugin *plugin)
{
	return oc_json_get(oc_config_get(plugin->bridge->config, "plugins.entries"), plugin->id);
}

uint64_t oc_permit_memory(const oc_plugin *plugin)
{
	int64_t mb = oc_json_i64(entry_of(plugin), "memoryMb", MEMORY_MB);
	return (uint64_t)(mb < MEMORY_MIN_MB ? MEMORY_MIN_MB : mb > MEMORY_MAX_MB ? MEMORY_MAX_MB : mb) << 20;
}

bool oc_permit_network(const oc_plugin *plugin)
{
	return oc_json_bool(entry_of(plugin), "network", true);
}

static bool take(oc_permit *p, const char **list, size_t *n, char *path)
{
	if (path == NULL || p->n_texts == OC_PERMIT_MAX || *n + 1 >= OC_PERMIT_MAX) {
		oc_free(path);
		return false;
	}
	p->texts[p->n_texts++] = path;
	list[(*n)++] = path;
	return true;
}

static bool add_paths(const oc_plugin *plugin, oc_permit *p, const char *member, const char **list, size_t *n)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, oc_json_get(entry_of(plugin), member))
	{
		char *path = cJSON_IsString(one) ? oc_path_expand(one->valuestring, plugin->bridge->state) : NULL;
		if (path == NULL || !oc_path_exists(path)) {
			oc_warn("plugins", "%s: plugins.entries.%s.%s: %s is not there", plugin->id, plugin->id, member,
				path != NULL ? path : "it");
			oc_free(path);
			continue;
		}
		if (!take(p, list, n, path))
			return false;
	}
	return true;
}

static bool add_env(const oc_plugin *plugin, oc_permit *p)
{
	const cJSON *name;
	cJSON_ArrayForEach(name, oc_json_get(entry_of(plugin), "env"))
	{
		const char *value = cJSON_IsString(name) ? oc_config_env(plugin->bridge->config, name->valuestring) : NULL;
		oc_auto_free char *variable = value != NULL ? oc_asprintf("%s=%s", name->valuestring, value) : NULL;
		bool taken = variable == NULL || oc_permit_setenv(p, variable);
		if (variable != NULL)
			oc_wipe(variable, strlen(variable));
		if (!taken)
			return false;
	}
	return true;
}

bool oc_permit_setenv(oc_permit *p, const char *variable)
{
	if (p->n_env + 1 >= OC_PERMIT_MAX)
		return false;
	p->env[p->n_env] = oc_strdup(variable);
	return p->env[p->n_env] != NULL && ++p->n_env > 0;
}

static oc_status folder(oc_permit *p, char *path, oc_err *err)
{
	oc_status status = path != NULL ? oc_path_mkdirs(path, 0700, err) : OC_E_NOMEM;
	if (status != OC_OK)
		oc_free(path);
	else if (!take(p, p->write, &p->n_write, path))
		status = OC_E_LIMIT;
	return status;
}

char *oc_plugin_cache(const oc_plugin *plugin)
{
	return oc_asprintf("%s/cache/plugins/%s", plugin->bridge->state, plugin->module_name);
}

/* A plugin's own folders, and those its code lives in. */
static oc_status add_own(const oc_plugin *plugin, oc_permit *p, oc_err *err)
{
	oc_status status = folder(p, oc_asprintf("%s/plugins/%s", plugin->bridge->state, plugin->id), err);
	/* Its own: what it compiled is code, which no other plugin may put there. */
	if (status == OC_OK)
		status = folder(p, oc_plugin_cache(plugin), err);
	oc_plugin_reads around = {.n = 0};
	oc_plugin_reads_add(&around, plugin);
	if (status == OC_OK && !take(p, p->read, &p->n_read, oc_strdup(plugin->root)))
		status = OC_E_LIMIT;
	for (size_t i = 0; status == OC_OK && i < around.n; i++)
		if (!take(p, p->read, &p->n_read, oc_strdup(around.path[i])))
			status = OC_E_LIMIT;
	oc_plugin_reads_free(&around);
	return status;
}

oc_status oc_permit_read(const oc_plugin *plugin, const char *run, const char *besides, bool together, oc_permit *ret, oc_err *err)
{
	const oc_bridge *bridge = plugin->bridge;
	oc_permit p = {.network = oc_permit_network(plugin), .level = oc_sandbox_level_parse(oc_json_str(entry_of(plugin), "sandbox", "strict"))};
	oc_status status = run != NULL ? folder(&p, oc_strdup(run), err) : OC_OK;
	if (status == OC_OK)
		status = add_own(plugin, &p, err);
	for (oc_plugin *m = oc_group_next(plugin, NULL); together && status == OC_OK && m != NULL; m = oc_group_next(plugin, m)) {
		if (m == plugin)
			continue;
		status = folder(&p, oc_asprintf("%s/run/bridge/%s", bridge->state, m->module_name), err);
		if (status == OC_OK)
			status = add_own(m, &p, err);
	}
	if (status == OC_OK)
		status = folder(&p, oc_path_expand(oc_config_str(bridge->config, "agents.defaults.workspace", "workspace"), bridge->state), err);
	const char *const fixed[] = {bridge->node_dir, bridge->node, besides};
	for (size_t i = 0; status == OC_OK && i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i] != NULL && !take(&p, p.read, &p.n_read, oc_strdup(fixed[i])))
			status = OC_E_LIMIT;
	if (status == OC_OK && (!add_paths(plugin, &p, "read", p.read, &p.n_read) || !add_paths(plugin, &p, "write", p.write, &p.n_write) ||
				!add_env(plugin, &p)))
		status = OC_E_LIMIT;
	if (status == OC_E_LIMIT)
		(void)oc_fail(err, status, "grant it fewer", "too much is granted to %s", plugin->id);
	if (status == OC_OK)
		*ret = p;
	else
		oc_permit_free(&p);
	return status;
}

void oc_permit_free(oc_permit *p)
{
	for (size_t i = 0; i < p->n_texts; i++)
		oc_free(p->texts[i]);
	for (size_t i = 0; i < p->n_env; i++) {
		oc_wipe(p->env[i], strlen(p->env[i]));
		oc_free(p->env[i]);
	}
}
