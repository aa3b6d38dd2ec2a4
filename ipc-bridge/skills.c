/*
 * The skills that enabled plugins bring (skills[] of their manifests): their folders, a line each, in a file that
 * core/agent/skills.c reads, because who reads skills, the CLI too, need not know of plugins.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "ipc-bridge/plugin.h"

enum { LIST_MAX = 64 * 1024 };

/* Only what is inside the plugin's own folder. */
static void add(oc_sbuf *b, const oc_plugin *plugin, const char *folder)
{
	oc_auto_free char *path = oc_path_join(plugin->root, folder);
	char *real = path != NULL ? realpath(path, NULL) : NULL;
	size_t n = strlen(plugin->root);
	if (real != NULL && strncmp(real, plugin->root, n) == 0 && (real[n] == '/' || real[n] == 0) && strchr(real, '\n') == NULL)
		oc_sbuf_printf(b, "%s\n", real);
	free(real);
}

void oc_plugins_publish_skills(const oc_bridge *bridge)
{
	oc_auto_free char *file = oc_path_join(bridge->state, "cache/plugin-skills"), *cache = oc_path_join(bridge->state, "cache"), *old = NULL;
	const cJSON *folder;
	oc_err err = {0};
	size_t n = 0;
	oc_sbuf b;
	if (file == NULL || cache == NULL)
		return;
	oc_sbuf_init(&b, LIST_MAX);
	for (const oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		const cJSON *folders = p->enabled ? oc_json_get(p->manifest, "skills") : NULL;
		cJSON_ArrayForEach(folder, folders)
		{
			if (cJSON_IsString(folder))
				add(&b, p, folder->valuestring);
		}
	}
	oc_str list = oc_sbuf_view(&b);
	if (list.n == 0)
		(void)unlink(file);
	else if ((access(file, R_OK) != 0 || oc_path_read(file, LIST_MAX, &old, &n, NULL) != OC_OK || !oc_str_eqz(list, old)) &&
		 (oc_path_mkdirs(cache, 0700, &err) != OC_OK || oc_path_write(file, list.p, list.n, 0600, &err) != OC_OK))
		oc_log_err(OC_LOG_WARN, "plugins", "the skills of plugins cannot be listed", &err);
	oc_sbuf_free(&b);
}
