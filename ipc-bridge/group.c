/*
 * Plugins that trust each other and share one Node process (plugins.entries.<id>.group): who they are, and that all of them
 * may do the same, because the process has one sandbox.
 */
#include <string.h>

#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

/* What the sandbox of the process, or the view of who sits in it, is made of. */
static const char *const permissions[] = {"env", "read", "write", "network", "memoryMb", "fullConfig", "configWrites", "gatewayMethods", "sandbox"};

static bool same_group(const oc_plugin *a, const oc_plugin *b)
{
	return a == b || (a->group != NULL && b->group != NULL && strcmp(a->group, b->group) == 0);
}

oc_plugin *oc_group_next(const oc_plugin *plugin, oc_plugin *after)
{
	oc_plugin *p = after != NULL ? after->next : plugin->bridge->plugins;
	while (p != NULL && !same_group(p, plugin))
		p = p->next;
	return p;
}

oc_plugin *oc_group_sharing(const oc_plugin *plugin, oc_plugin *after)
{
	oc_plugin *p = after != NULL ? after->next : plugin->bridge->plugins;
	while (p != NULL && p != plugin && (plugin->proc == NULL || p->proc != plugin->proc))
		p = p->next;
	return p;
}

static const cJSON *entry_of(const oc_plugin *plugin)
{
	return oc_json_get(oc_config_get(plugin->bridge->config, "plugins.entries"), plugin->id);
}

/* NULL: none. Left out is not the same as the default said: both must be written alike, which is easier to check by eye. */
static const char *difference(const oc_plugin *a, const oc_plugin *b)
{
	for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
		const cJSON *x = oc_json_get(entry_of(a), permissions[i]), *y = oc_json_get(entry_of(b), permissions[i]);
		if ((x == NULL) != (y == NULL) || (x != NULL && !oc_json_equal(x, y)))
			return permissions[i];
	}
	return NULL;
}

void oc_groups_decide(oc_bridge *bridge)
{
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		const char *named = oc_json_str(entry_of(p), "group", "");
		oc_free(p->group);
		p->group = named[0] != 0 && p->enabled ? oc_strdup(named) : NULL;
	}
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		const oc_plugin *first = p->group != NULL ? oc_group_next(p, NULL) : p;
		const char *what = first != p ? difference(first, p) : NULL;
		if (what == NULL)
			continue;
		oc_plugin_refuse(p, "write the same permissions at both, or leave the group out",
				 "it cannot share the process of group %s: plugins.entries.%s.%s is not what it is for %s", p->group, p->id, what,
				 first->id);
		oc_free(p->group);
		p->group = NULL;
	}
}
