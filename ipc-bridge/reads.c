/*
 * What of the disk a plugin may read besides its own folder, so that what several plugins share works in the sandbox too.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/plugin.h"

static void add(oc_plugin_reads *list, char *path)
{
	if (path != NULL && list->n < OC_PLUGIN_READS_MAX && access(path, R_OK) == 0)
		list->path[list->n++] = list->made[list->made_n++] = path;
	else
		oc_free(path);
}

/* The node_modules of the folders above its own: where Node looks for what a workspace's plugins share. */
static void add_packages(oc_plugin_reads *list, const char *root)
{
	oc_auto_free char *folder = oc_strdup(root);
	for (char *slash; folder != NULL && (slash = strrchr(folder, '/')) != NULL && slash != folder;) {
		*slash = 0;
		add(list, oc_path_join(folder, "node_modules"));
	}
}

/* Whether this folder is one that holds plugins: the state's, the workspace's, or one named in plugins.load.paths. */
static bool holds_plugins(const oc_plugin *plugin, const char *folder)
{
	const cJSON *path;
	if (strcmp(plugin->origin, "config") != 0)
		return true;
	cJSON_ArrayForEach(path, oc_config_get(plugin->bridge->config, "plugins.load.paths"))
	{
		oc_auto_free char *full = cJSON_IsString(path) ? oc_path_expand(path->valuestring, plugin->bridge->state) : NULL;
		char *real = full != NULL ? realpath(full, NULL) : NULL;
		bool same = real != NULL && strcmp(real, folder) == 0;
		free(real);
		if (same)
			return true;
	}
	return false;
}

/* Folders beside it that are no plugins, in a folder of plugins: what these share (../shared/x.js). */
static void add_beside(oc_plugin_reads *list, const oc_plugin *plugin)
{
	oc_auto_free char *parent = oc_memdup(plugin->root, (size_t)(oc_path_base(plugin->root) - plugin->root));
	size_t n = parent != NULL ? strlen(parent) : 0;
	if (n > 1)
		parent[n - 1] = 0;
	DIR *dir = n > 1 && holds_plugins(plugin, parent) ? opendir(parent) : NULL;
	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
		oc_auto_free char *folder = entry->d_name[0] != '.' ? oc_path_join(parent, entry->d_name) : NULL;
		oc_auto_free char *manifest = folder != NULL ? oc_path_join(folder, "openclaw.plugin.json") : NULL;
		oc_auto_free char *package = folder != NULL ? oc_path_join(folder, "package.json") : NULL;
		struct stat st;
		if (manifest != NULL && package != NULL && access(manifest, F_OK) != 0 && access(package, F_OK) != 0 &&
		    lstat(folder, &st) == 0 && S_ISDIR(st.st_mode))
			add(list, oc_strdup(folder));
	}
	if (dir != NULL)
		(void)closedir(dir);
}

void oc_plugin_reads_add(oc_plugin_reads *reads, const oc_plugin *plugin)
{
	add_packages(reads, plugin->root);
	add_beside(reads, plugin);
}

void oc_plugin_reads_free(oc_plugin_reads *reads)
{
	for (size_t i = 0; i < reads->made_n; i++)
		oc_free(reads->made[i]);
}
