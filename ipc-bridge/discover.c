/*
 * Finding plugins and deciding about them: the original's folders, manifests and rules (plugins.load.paths, the workspace's
 * and the state's extensions, allow, deny, entries, slots).  None of a plugin's code runs here.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/schema.h"
#include "ipc-bridge/plugin.h"

enum { MANIFEST_MAX = 1 << 20, PLUGINS_MAX = 500 };

static const char *const entry_suffixes[] = {".ts", ".js", ".mts", ".cts", ".mjs", ".cjs", NULL};
static const char *const entry_names[] = {"index.ts", "index.js", "index.mjs", "index.cjs", NULL};
static const char *const brands[] = {"openclaw", "clawdbot", "moltbot", NULL};

void oc_plugin_refuse(oc_plugin *plugin, const char *remedy, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	oc_free(plugin->why);
	oc_free(plugin->remedy);
	plugin->why = oc_strdup(text);
	plugin->remedy = remedy != NULL ? oc_strdup(remedy) : NULL;
	plugin->broken = true;
	plugin->enabled = false;
}

void oc_plugin_free(oc_plugin *plugin)
{
	if (plugin == NULL)
		return;
	oc_intake_end(plugin);
	oc_plugin_channels_free(plugin);
	oc_plugin_engines_free(plugin);
	cJSON_Delete(plugin->manifest);
	cJSON_Delete(plugin->config);
	cJSON_Delete(plugin->snapshot);
	cJSON_Delete(plugin->missing);
	cJSON_Delete(plugin->troubles);
	char *texts[] = {plugin->id, plugin->name, plugin->version, plugin->root, plugin->entry, plugin->key, plugin->why, plugin->failure, plugin->quarantine,
			 plugin->remedy, plugin->module_name, plugin->tools_json, plugin->output.partial, plugin->ended, plugin->group};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		oc_free(texts[i]);
	oc_owner_free(plugin->owner);
	oc_free(plugin);
}

/* ---- Files ---- */

/* A JSON object in a folder; NULL with err.code OC_E_NOT_FOUND when there is no such file. */
static cJSON *read_object(const char *folder, const char *file, oc_err *err)
{
	oc_auto_free char *path = oc_path_join(folder, file);
	oc_auto_free char *text = NULL;
	size_t n;
	cJSON *value = NULL;
	if (path == NULL) {
		(void)oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin");
		return NULL;
	}
	if (access(path, F_OK) != 0) {
		(void)oc_fail(err, OC_E_NOT_FOUND, NULL, "%s is not there", path);
		return NULL;
	}
	if (oc_path_read(path, MANIFEST_MAX, &text, &n, err) != OC_OK || oc_json_parse((oc_str){text, n}, NULL, &value, err) != OC_OK) {
		oc_err_prefix(err, "%s", path);
		return NULL;
	}
	if (!cJSON_IsObject(value)) {
		(void)oc_fail(err, OC_E_INVALID, NULL, "%s holds no object", path);
		cJSON_Delete(value);
		return NULL;
	}
	return value;
}

static cJSON *read_manifest(const char *folder, oc_err *err)
{
	for (const char *const *brand = brands; *brand != NULL; brand++) {
		oc_auto_free char *name = oc_asprintf("%s.plugin.json", *brand);
		*err = (oc_err){0};
		cJSON *manifest = name != NULL ? read_object(folder, name, err) : NULL;
		if (manifest != NULL || err->code != OC_E_NOT_FOUND)
			return manifest;
	}
	return NULL;
}

/* The block of package.json that is about plugins. */
static const cJSON *package_block(const cJSON *package)
{
	for (const char *const *brand = brands; *brand != NULL; brand++) {
		const cJSON *block = oc_json_get(package, *brand);
		if (cJSON_IsObject(block))
			return block;
	}
	return NULL;
}

/* Everything of a plugin stays inside its folder, which belongs to us or root and which nobody else may write to. */
static bool is_safe(oc_plugin *plugin)
{
	struct stat st;
	size_t n = strlen(plugin->root);
	if (stat(plugin->root, &st) != 0) {
		oc_plugin_refuse(plugin, NULL, "%s cannot be read", plugin->root);
		return false;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		oc_plugin_refuse(plugin, "let the gateway's user or root own it", "%s belongs to another user (uid %u)", plugin->root,
				 (unsigned)st.st_uid);
		return false;
	}
	if ((st.st_mode & S_IWOTH) != 0) {
		oc_plugin_refuse(plugin, "chmod o-w it", "everybody may write to %s", plugin->root);
		return false;
	}
	char *real = realpath(plugin->entry, NULL);
	bool inside = real != NULL && strncmp(real, plugin->root, n) == 0 && real[n] == '/';
	if (!inside)
		oc_plugin_refuse(plugin, NULL, real != NULL ? "its entry %s leads out of its folder" : "its entry %s is not there",
				 plugin->entry);
	free(real);
	return inside;
}

static void read_plugin(oc_plugin *plugin, const cJSON *package)
{
	oc_err err = {0};
	plugin->manifest = read_manifest(plugin->root, &err);
	if (plugin->manifest == NULL) {
		oc_plugin_refuse(plugin, "a plugin has an openclaw.plugin.json with \"id\" and \"configSchema\"", "%s",
				 err.code == OC_E_NOT_FOUND ? "plugin manifest not found" : err.text);
		return;
	}
	const char *id = oc_json_str(plugin->manifest, "id", "");
	if (id[0] != 0 && strcmp(id, plugin->id) != 0) {
		oc_free(plugin->id);
		plugin->id = oc_strdup(id);
	}
	plugin->name = oc_strdup(oc_json_str(plugin->manifest, "name", plugin->id));
	plugin->version = oc_strdup(oc_json_str(plugin->manifest, "version", oc_json_str(package, "version", "")));
	if (!cJSON_IsObject(oc_json_get(plugin->manifest, "configSchema")))
		oc_plugin_refuse(plugin, NULL, "its manifest has no configSchema object");
	else if (oc_schema_valid(oc_json_get(plugin->manifest, "configSchema"), &err) != OC_OK)
		oc_plugin_refuse(plugin, NULL, "its configSchema: %s", err.text);
	else
		(void)is_safe(plugin);
}

static oc_plugin *known(oc_bridge *bridge, const char *id)
{
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		if (strcmp(p->id, id) == 0)
			return p;
	return NULL;
}

oc_plugin *oc_bridge_find(oc_bridge *bridge, const char *id)
{
	oc_bridge_need(bridge);
	oc_plugin *p = known(bridge, id);
	return p != NULL && !p->gone ? p : NULL;
}

/* What was found again may be another version now. */
static void take_over(oc_plugin *p, oc_plugin *fresh)
{
	char **const texts[][2] = {{&p->name, &fresh->name}, {&p->version, &fresh->version}, {&p->root, &fresh->root},
				   {&p->entry, &fresh->entry}, {&p->why, &fresh->why}, {&p->remedy, &fresh->remedy}};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *old = *texts[i][0];
		*texts[i][0] = *texts[i][1];
		*texts[i][1] = old;
	}
	cJSON *manifest = p->manifest;
	p->manifest = fresh->manifest;
	fresh->manifest = manifest;
	p->origin = fresh->origin;
	p->broken = fresh->broken;
	p->enabled = fresh->enabled;
	p->gone = false;
	p->seen = true;
	oc_plugin_free(fresh);
}

/* "plugin." and the id in a module's letters; what that makes alike is told apart by a hash. */
char *oc_plugin_module_name(const char *id)
{
	char out[65] = "plugin.";
	size_t n = strlen(out);
	uint32_t hash = 2166136261u; /* FNV-1a of 32 bits: operators have written such names into their configurations */
	bool changed = false;
	for (const char *p = id; *p != 0; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' || *p == '.';
		hash = (hash ^ (unsigned char)*p) * 16777619u;
		changed = changed || !plain || n >= 54;
		if (n < 54)
			out[n++] = plain ? *p : '_';
	}
	out[n] = 0;
	return changed ? oc_asprintf("%s-%08x", out, hash) : oc_strdup(out);
}

/* Adds one candidate unless its id is taken: the first folder wins. id, root and entry are copied. */
static void add(oc_bridge *bridge, const char *origin, const char *id, const char *root, const char *entry, const cJSON *package)
{
	char *real = realpath(root, NULL);
	oc_plugin *plugin = oc_alloc(sizeof(*plugin)), **end;
	size_t n = 0;
	if (plugin == NULL || real == NULL) {
		oc_free(plugin);
		free(real);
		return;
	}
	*plugin = (oc_plugin){.bridge = bridge, .origin = origin, .phase = OC_PLUGIN_DOWN, .id = oc_strdup(id), .root = oc_strdup(real),
			      .owner = oc_owner_new(bridge->loop, id)};
	plugin->waits_tail = &plugin->waits;
	while (entry[0] == '.' && entry[1] == '/')
		entry += 2;
	plugin->entry = oc_path_join(real, entry);
	free(real);
	if (plugin->id == NULL || plugin->root == NULL || plugin->entry == NULL || plugin->owner == NULL) {
		oc_plugin_free(plugin);
		return;
	}
	read_plugin(plugin, package);
	plugin->module_name = oc_plugin_module_name(plugin->id);
	for (end = &bridge->plugins; *end != NULL; end = &(*end)->next)
		n++;
	plugin->seen = true;
	oc_plugin *old = plugin->id != NULL ? known(bridge, plugin->id) : NULL;
	if (plugin->id == NULL || plugin->module_name == NULL || n >= PLUGINS_MAX || (old != NULL && old->seen))
		oc_plugin_free(plugin);
	else if (old != NULL)
		take_over(old, plugin);
	else
		*end = plugin;
}

static bool has_suffix(const char *name)
{
	size_t n = strlen(name);
	if (n > 5 && (strcmp(name + n - 5, ".d.ts") == 0))
		return false;
	for (const char *const *suffix = entry_suffixes; *suffix != NULL; suffix++)
		if (n > strlen(*suffix) && strcmp(name + n - strlen(*suffix), *suffix) == 0)
			return true;
	return false;
}

static char *without_suffix(const char *name)
{
	const char *base = oc_path_base(name), *dot = strrchr(base, '.');
	return oc_memdup(base, dot != NULL ? (size_t)(dot - base) : strlen(base));
}

/* The part of a package's name behind its scope, else the folder's name; oc_free it. */
static char *package_id(const cJSON *package, const char *folder)
{
	const char *name = oc_json_str(package, "name", ""), *slash = strrchr(name, '/');
	name = slash != NULL ? slash + 1 : name;
	return oc_strdup(name[0] != 0 ? name : oc_path_base(folder));
}

/* An entry that only its author has: packages of later releases name in runtimeExtensions what it was compiled to. */
static const char *entry_that_is_there(const char *folder, const char *entry, const cJSON *compiled, int i)
{
	const cJSON *other = cJSON_GetArrayItem(compiled, i);
	oc_auto_free char *path = oc_path_join(folder, entry);
	return cJSON_IsString(other) && path != NULL && access(path, F_OK) != 0 ? other->valuestring : entry;
}

/* false: the folder is no plugin. */
static bool add_folder(oc_bridge *bridge, const char *origin, const char *folder)
{
	oc_err err = {0};
	oc_auto_json cJSON *package = read_object(folder, "package.json", &err);
	const cJSON *extensions = oc_json_get(package_block(package), "extensions"), *entry;
	oc_auto_free char *id = package_id(package, folder);
	if (id == NULL)
		return true;
	if (cJSON_GetArraySize(extensions) > 0) {
		const cJSON *compiled = oc_json_get(package_block(package), "runtimeExtensions");
		bool several = cJSON_GetArraySize(extensions) > 1;
		int i = 0;
		cJSON_ArrayForEach(entry, extensions)
		{
			int at = i++;
			if (!cJSON_IsString(entry))
				continue;
			oc_auto_free char *base = without_suffix(entry->valuestring);
			oc_auto_free char *own = several && base != NULL ? oc_asprintf("%s/%s", id, base) : oc_strdup(id);
			if (own != NULL)
				add(bridge, origin, own, folder, entry_that_is_there(folder, entry->valuestring, compiled, at), package);
		}
		return true;
	}
	for (const char *const *name = entry_names; *name != NULL; name++) {
		oc_auto_free char *path = oc_path_join(folder, *name);
		if (path != NULL && access(path, R_OK) == 0) {
			add(bridge, origin, id, folder, *name, package);
			return true;
		}
	}
	return false;
}

static void add_file(oc_bridge *bridge, const char *origin, const char *folder, const char *name)
{
	oc_auto_free char *id = without_suffix(name);
	if (id != NULL)
		add(bridge, origin, id, folder, name, NULL);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Every plugin directly inside a folder, in order of name. */
static void look_into(oc_bridge *bridge, const char *origin, const char *folder)
{
	struct dirent **names = NULL;
	int n = folder != NULL ? scandir(folder, &names, NULL, by_name) : 0;
	for (int i = 0; i < n; i++) {
		struct stat st;
		oc_auto_free char *path = names[i]->d_name[0] != '.' ? oc_path_join(folder, names[i]->d_name) : NULL;
		if (path != NULL && stat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode) && strcmp(names[i]->d_name, "node_modules") != 0)
				(void)add_folder(bridge, origin, path);
			else if (S_ISREG(st.st_mode) && has_suffix(names[i]->d_name))
				add_file(bridge, origin, folder, names[i]->d_name);
		}
		free(names[i]);
	}
	free(names);
}

static void add_path(oc_bridge *bridge, const char *path)
{
	struct stat st;
	oc_auto_free char *full = oc_path_expand(path, bridge->state);
	if (full == NULL || stat(full, &st) != 0)
		return;
	if (S_ISREG(st.st_mode)) {
		oc_auto_free char *folder = oc_memdup(full, (size_t)(oc_path_base(full) - full));
		if (folder != NULL)
			add_file(bridge, "config", folder, oc_path_base(full));
	} else if (!add_folder(bridge, "config", full)) {
		look_into(bridge, "config", full);
	}
}

oc_status oc_plugins_discover(oc_bridge *bridge, oc_err *err)
{
	const cJSON *path;
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		p->seen = false;
	cJSON_ArrayForEach(path, oc_config_get(bridge->config, "plugins.load.paths"))
	{
		if (cJSON_IsString(path))
			add_path(bridge, path->valuestring);
	}
	oc_auto_free char *workspace = oc_path_expand(oc_config_str(bridge->config, "agents.defaults.workspace", "workspace"), bridge->state);
	oc_auto_free char *own = workspace != NULL ? oc_path_join(workspace, ".openclaw/extensions") : NULL;
	oc_auto_free char *global = oc_path_join(bridge->state, "extensions");
	if (own == NULL || global == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for plugins");
	look_into(bridge, "workspace", own);
	look_into(bridge, "global", global);
	/* Its process may still be ending: it stays here until then, out of everybody's sight. */
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		p->gone = !p->seen;
	return OC_OK;
}

/* ---- Deciding ---- */

static bool lists(const cJSON *list, const char *id)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_IsString(item) && strcmp(item->valuestring, id) == 0)
			return true;
	}
	return false;
}

static bool has_kind(const oc_plugin *plugin, const char *kind)
{
	const cJSON *value = oc_json_get(plugin->manifest, "kind");
	return cJSON_IsString(value) ? strcmp(value->valuestring, kind) == 0 : lists(value, kind);
}

/* The original's order of rules. NULL: it may run; else why not. */
static const char *reason(const oc_plugin *plugin, const cJSON *plugins, const cJSON *entry, const char **ret_remedy)
{
	const cJSON *allow = oc_json_get(plugins, "allow"), *slots = oc_json_get(plugins, "slots");
	const cJSON *enabled = oc_json_get(entry, "enabled");
	const char *memory = oc_json_str(slots, "memory", "memory-core");
	*ret_remedy = "openclaw plugins enable";
	if (!oc_json_bool(plugins, "enabled", true)) {
		*ret_remedy = "openclaw config set plugins.enabled true";
		return "plugins are switched off";
	}
	if (lists(oc_json_get(plugins, "deny"), plugin->id)) {
		*ret_remedy = "take it out of plugins.deny";
		return "blocked by denylist";
	}
	if (cJSON_GetArraySize(allow) > 0 && !lists(allow, plugin->id)) {
		*ret_remedy = "add it to plugins.allow";
		return "not in allowlist";
	}
	if (has_kind(plugin, "memory") && strcmp(memory, plugin->id) != 0) {
		*ret_remedy = "set plugins.slots.memory to its id";
		return "the memory slot is another plugin's";
	}
	if (strcmp(memory, plugin->id) == 0 && oc_json_get(slots, "memory") != NULL)
		return NULL;
	if (cJSON_IsBool(enabled))
		return cJSON_IsTrue(enabled) ? NULL : "disabled in config";
	return strcmp(plugin->origin, "workspace") == 0 ? "workspace plugin (disabled by default)" : NULL;
}

static void check_config(oc_plugin *plugin, const cJSON *entry)
{
	const cJSON *given = oc_json_get(entry, "config");
	oc_err err = {0};
	cJSON_Delete(plugin->config);
	plugin->config = given != NULL ? cJSON_Duplicate(given, true) : cJSON_CreateObject();
	if (plugin->config == NULL)
		oc_plugin_refuse(plugin, NULL, "no memory for its configuration");
	else if (oc_schema_check(oc_json_get(plugin->manifest, "configSchema"), plugin->config, &err) != OC_OK)
		oc_plugin_refuse(plugin, "mend plugins.entries.<id>.config", "invalid config: %s", err.text);
}

void oc_plugins_decide(oc_bridge *bridge)
{
	const cJSON *plugins = oc_config_get(bridge->config, "plugins");
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		const cJSON *entry = oc_json_get(oc_json_get(plugins, "entries"), p->id);
		const char *remedy, *why;
		p->enabled = p->enabled && !p->gone;
		if (p->gone || p->manifest == NULL || (p->broken && !cJSON_IsObject(oc_json_get(p->manifest, "configSchema"))))
			continue; /* no plugin at all */
		why = reason(p, plugins, entry, &remedy);
		oc_free(p->why);
		oc_free(p->remedy);
		p->why = p->remedy = NULL;
		p->broken = false;
		p->enabled = why == NULL;
		if (why != NULL) {
			p->why = oc_strdup(why);
			p->remedy = oc_strdup(remedy);
		} else if (is_safe(p)) {
			check_config(p, entry);
		}
	}
	oc_groups_decide(bridge);
	oc_plugins_publish_skills(bridge);
}
