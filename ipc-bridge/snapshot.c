/*
 * What plugins registered, kept between runs, so that a gateway knows its plugins' tools and hooks without starting them.
 * A snapshot is good for one state of the plugin's files, its configuration and this program.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/plugin.h"

enum { DEPTH_MAX = 12, FILES_MAX = 20000, SNAPSHOT_MAX = 16 << 20, KEY_MAX = 16 };

/* Holds the key with which no plugin had to run. */
#define QUIET "cache/plugins/quiet"

static uint64_t add(uint64_t sum, const char *text)
{
	return oc_hash_step(oc_hash_z(sum, text), 256);
}

/* Names, sizes and times of all files but those of dependencies, of which it is seen when some came or went; whatever order the
 * folder is read in. */
static uint64_t sum_folder(const char *folder, unsigned depth, unsigned *files)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	uint64_t sum = 0;
	while (dir != NULL && (entry = readdir(dir)) != NULL && *files < FILES_MAX) {
		struct stat st;
		oc_auto_free char *path = oc_path_join(folder, entry->d_name);
		if (entry->d_name[0] == '.' || path == NULL || stat(path, &st) != 0)
			continue;
		uint64_t one = add(OC_HASH_START, entry->d_name);
		if (strcmp(entry->d_name, "node_modules") == 0) /* whether something came or went */
			sum += oc_hash_step(oc_hash_step(one, (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			sum += oc_hash_step(one, sum_folder(path, depth + 1, files));
		if (!S_ISREG(st.st_mode))
			continue;
		++*files;
		one = oc_hash_step(one, (uint64_t)st.st_size);
		sum += oc_hash_step(oc_hash_step(one, (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec);
	}
	if (dir != NULL)
		(void)closedir(dir);
	return sum;
}

static char *key_of(uint64_t sum)
{
	return oc_asprintf("%016" PRIx64, add(sum, PACKAGE_VERSION));
}

char *oc_plugin_key(const oc_plugin *plugin)
{
	unsigned files = 0;
	/* With what it may do: it may register other things when it may read more. */
	static const char *const grants[] = {"env", "read", "write", "network", "sandbox", "group"};
	const cJSON *entry = oc_json_get(oc_config_get(plugin->bridge->config, "plugins.entries"), plugin->id);
	oc_auto_free char *config = oc_json_print(plugin->config);
	if (config == NULL)
		return NULL;
	uint64_t sum = add(add(OC_HASH_START, plugin->entry), config);
	for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++) {
		const cJSON *granted = oc_json_get(entry, grants[i]);
		oc_auto_free char *text = granted != NULL ? oc_json_print(granted) : NULL;
		sum = add(sum, text);
	}
	return key_of(oc_hash_step(sum, sum_folder(plugin->root, 0, &files)));
}

/* <state>/cache/plugins/<id with its slashes escaped>.json */
static char *snapshot_path(const oc_plugin *plugin)
{
	oc_auto_free char *name = oc_asprintf("cache/plugins/%s.json", plugin->id);
	if (name == NULL)
		return NULL;
	for (char *p = name + strlen("cache/plugins/"); *p != 0; p++)
		if (*p == '/' || *p == '@')
			*p = '+';
	return oc_path_join(plugin->bridge->state, name);
}

void oc_snapshot_load(oc_plugin *plugin)
{
	oc_auto_free char *path = snapshot_path(plugin);
	oc_auto_free char *text = NULL;
	oc_auto_json cJSON *kept = NULL;
	size_t n;
	oc_free(plugin->key);
	plugin->key = oc_plugin_key(plugin);
	if (path == NULL || plugin->key == NULL || access(path, R_OK) != 0)
		return;
	if (oc_path_read(path, SNAPSHOT_MAX, &text, &n, NULL) != OC_OK || oc_json_parse((oc_str){text, n}, NULL, &kept, NULL) != OC_OK)
		return; /* made anew */
	if (strcmp(oc_json_str(kept, "key", ""), plugin->key) != 0)
		return;
	cJSON_Delete(plugin->snapshot);
	plugin->snapshot = cJSON_DetachItemFromObjectCaseSensitive(kept, "registrations");
	plugin->outdated = false;
}

void oc_snapshot_save(oc_plugin *plugin)
{
	oc_auto_free char *path = snapshot_path(plugin);
	oc_auto_free char *folder = oc_path_join(plugin->bridge->state, "cache/plugins");
	oc_auto_json cJSON *kept = cJSON_CreateObject();
	oc_err err = {0};
	if (path == NULL || folder == NULL || plugin->key == NULL || !oc_json_set_str(kept, "key", plugin->key) ||
	    !oc_json_set(kept, "registrations", cJSON_Duplicate(plugin->snapshot, true)))
		return;
	oc_auto_free char *text = oc_json_print(kept);
	if (text != NULL && (oc_path_mkdirs(folder, 0700, &err) != OC_OK || oc_path_write(path, text, strlen(text), 0600, &err) != OC_OK))
		oc_log_err(OC_LOG_WARN, "plugins", "what a plugin registers cannot be kept", &err);
}

/* ---- All of them ---- */

/* For a plugin that is a single file its folder. */
static uint64_t add_path(uint64_t sum, const char *path, unsigned *files)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return sum;
	oc_auto_free char *folder = S_ISDIR(st.st_mode) ? oc_strdup(path) : oc_memdup(path, (size_t)(oc_path_base(path) - path));
	return oc_hash_step(add(sum, path), folder != NULL ? sum_folder(folder, 0, files) : 0);
}

char *oc_plugins_key(const oc_bridge *bridge)
{
	unsigned files = 0;
	const cJSON *plugins = oc_config_get(bridge->config, "plugins"), *path;
	oc_auto_free char *workspace = oc_path_expand(oc_config_str(bridge->config, "agents.defaults.workspace", "workspace"), bridge->state);
	oc_auto_free char *own = workspace != NULL ? oc_path_join(workspace, ".openclaw/extensions") : NULL;
	oc_auto_free char *global = oc_path_join(bridge->state, "extensions"), *config = plugins != NULL ? oc_json_print(plugins) : oc_strdup("");
	if (own == NULL || global == NULL || config == NULL)
		return NULL;
	uint64_t sum = add(OC_HASH_START, config);
	cJSON_ArrayForEach(path, oc_json_get(oc_json_get(plugins, "load"), "paths"))
	{
		oc_auto_free char *full = cJSON_IsString(path) ? oc_path_expand(path->valuestring, bridge->state) : NULL;
		if (full != NULL)
			sum = add_path(sum, full, &files);
	}
	sum = add_path(add_path(sum, own, &files), global, &files);
	return files < FILES_MAX ? key_of(sum) : NULL;
}

bool oc_plugins_were_quiet(const oc_bridge *bridge, const char *key)
{
	oc_auto_free char *path = oc_path_join(bridge->state, QUIET), *text = NULL;
	size_t n;
	return path != NULL && access(path, R_OK) == 0 && oc_path_read(path, KEY_MAX, &text, &n, NULL) == OC_OK && strcmp(text, key) == 0;
}

void oc_plugins_note_quiet(const oc_bridge *bridge)
{
	oc_auto_free char *path = oc_path_join(bridge->state, QUIET), *folder = NULL;
	bool quiet = true;
	oc_err err = {0};
	for (const oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		quiet = quiet && p->quarantine == NULL && (!p->enabled || (oc_plugin_known(p) && !oc_plugin_must_run(p)));
	if (path == NULL || bridge->key == NULL || (quiet && oc_plugins_were_quiet(bridge, bridge->key)))
		return;
	if (!quiet)
		(void)unlink(path);
	else if (bridge->plugins != NULL && ((folder = oc_path_join(bridge->state, "cache/plugins")) == NULL || oc_path_mkdirs(folder, 0700, &err) != OC_OK ||
					     oc_path_write(path, bridge->key, strlen(bridge->key), 0600, &err) != OC_OK))
		oc_log_err(OC_LOG_WARN, "plugins", "that no plugin has to run cannot be kept", &err);
}
