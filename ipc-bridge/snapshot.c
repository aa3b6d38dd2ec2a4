/*
 * What plugins registered, kept between runs, so that a gateway knows its plugins' tools and hooks without starting them.
 * A snapshot is good for one state of the plugin's files, its configuration and this program.
 */
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/plugin.h"

enum { DEPTH_MAX = 12, FILES_MAX = 20000, SNAPSHOT_MAX = 16 << 20 };

/* Names, sizes and times of all files but those of dependencies, which come and go with package-lock.json. */
static void add_folder(crypto_generichash_state *hash, const char *folder, unsigned depth, unsigned *files)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	uint64_t sum[2] = {0, 0}; /* whatever order the folder is read in */
	while (dir != NULL && (entry = readdir(dir)) != NULL && *files < FILES_MAX) {
		struct stat st;
		char fact[512];
		unsigned char one[16];
		uint64_t parts[2];
		oc_auto_free char *path = oc_path_join(folder, entry->d_name);
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "node_modules") == 0 || path == NULL || stat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			add_folder(hash, path, depth + 1, files);
		if (!S_ISREG(st.st_mode))
			continue;
		++*files;
		int n = snprintf(fact, sizeof(fact), "%u/%s:%jd:%jd.%09ld", depth, entry->d_name, (intmax_t)st.st_size,
				 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		size_t length = n < 0 ? 0 : (size_t)n < sizeof(fact) ? (size_t)n : sizeof(fact) - 1;
		(void)crypto_generichash(one, sizeof(one), (unsigned char *)fact, length, NULL, 0);
		memcpy(parts, one, sizeof(parts));
		sum[0] += parts[0];
		sum[1] += parts[1];
	}
	if (dir != NULL)
		(void)closedir(dir);
	(void)crypto_generichash_update(hash, (unsigned char *)sum, sizeof(sum));
}

static void add_text(crypto_generichash_state *hash, const char *text)
{
	(void)crypto_generichash_update(hash, (const unsigned char *)text, strlen(text) + 1);
}

char *oc_plugin_key(const oc_plugin *plugin)
{
	crypto_generichash_state hash;
	unsigned char bytes[20];
	char hex[2 * sizeof(bytes) + 1];
	unsigned files = 0;
	/* With what it may do: it may register other things when it may read more. */
	static const char *const grants[] = {"env", "read", "write", "network", "sandbox", "group"};
	const cJSON *whole = oc_json_get(oc_config_get(plugin->bridge->config, "plugins.entries"), plugin->id);
	oc_auto_json cJSON *entry = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
		if (oc_json_get(whole, grants[i]) != NULL)
			(void)oc_json_set(entry, grants[i], cJSON_Duplicate(oc_json_get(whole, grants[i]), true));
	oc_auto_free char *config = oc_json_print(plugin->config), *granted = entry != NULL ? oc_json_print(entry) : oc_strdup("");
	if (config == NULL || granted == NULL || crypto_generichash_init(&hash, NULL, 0, sizeof(bytes)) != 0)
		return NULL;
	add_text(&hash, PACKAGE_VERSION);
	add_text(&hash, plugin->entry);
	add_text(&hash, config);
	add_text(&hash, granted);
	add_folder(&hash, plugin->root, 0, &files);
	(void)crypto_generichash_final(&hash, bytes, sizeof(bytes));
	return oc_strdup(sodium_bin2hex(hex, sizeof(hex), bytes, sizeof(bytes)));
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
	if (strcmp(oc_json_str(kept, "key", ""), plugin->key) == 0)
		plugin->snapshot = cJSON_DetachItemFromObjectCaseSensitive(kept, "registrations");
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
