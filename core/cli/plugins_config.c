/* What the commands about plugins change in the configuration. */
#include <string.h>

#include "core/base/mem.h"
#include "core/cli/plugins.h"
#include "core/data/jpath.h"

cJSON *oc_plugins_with(const cJSON *list, const char *text)
{
	cJSON *copy = cJSON_IsArray(list) ? cJSON_Duplicate(list, true) : cJSON_CreateArray();
	if (!oc_json_has_str(copy, text))
		(void)cJSON_AddItemToArray(copy, cJSON_CreateString(text));
	return copy;
}

cJSON *oc_plugins_without(const cJSON *list, const char *text)
{
	cJSON *copy = cJSON_CreateArray();
	const cJSON *item;
	cJSON_ArrayForEach(item, list) if (!cJSON_IsString(item) || strcmp(item->valuestring, text) != 0)
		(void)cJSON_AddItemToArray(copy, cJSON_Duplicate(item, true));
	return copy;
}

char *oc_plugins_path(const char *map, const char *id, const char *member)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 4096);
	oc_sbuf_printf(&b, "plugins.%s", map);
	oc_jpath_add_name(&b, id);
	if (member[0] != 0)
		oc_jpath_add_name(&b, member);
	char *path = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return path;
}

/* kind of a manifest: one name, or a list of them. */
static bool is_kind(const cJSON *kind, const char *name)
{
	return (cJSON_IsString(kind) && strcmp(kind->valuestring, name) == 0) || oc_json_has_str(kind, name);
}

void oc_plugins_enable(oc_config_edits *e, const oc_config *config, const char *id, const cJSON *kind)
{
	const cJSON *allow = oc_config_get(config, "plugins.allow");
	oc_config_edits_set(e, oc_plugins_path("entries", id, "enabled"), cJSON_CreateTrue());
	if (cJSON_GetArraySize(allow) > 0 && !oc_json_has_str(allow, id))
		oc_config_edits_set(e, oc_strdup("plugins.allow"), oc_plugins_with(allow, id));
	if (is_kind(kind, "memory"))
		oc_config_edits_set(e, oc_strdup("plugins.slots.memory"), cJSON_CreateString(id));
	if (is_kind(kind, "context-engine"))
		oc_config_edits_set(e, oc_strdup("plugins.slots.contextEngine"), cJSON_CreateString(id));
}
