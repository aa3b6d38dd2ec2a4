/*
 * openclaw plugins: TypeScript plugins.
 *
 * A running gateway knows what they registered and how their processes are; without one the folders and the configuration
 * are looked at here.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/plugins.h"
#include "core/cli/remote.h"
#include "ipc-bridge/bridge.h"

enum { LOAD_MS = 60 * 1000 }; /* the first time much may have to be transpiled */

/* ---- Looking without a gateway ---- */

typedef struct look {
	oc_config *config;
	oc_loop *loop;
	oc_bridge *bridge;
} look;

static void look_end(look *l)
{
	oc_bridge_free(l->bridge);
	oc_loop_free(l->loop);
	oc_config_unref(l->config);
}

static oc_status look_begin(look *l, oc_err *err)
{
	*l = (look){0};
	oc_status status = oc_config_load(NULL, &l->config, err);
	if (status == OC_OK)
		status = oc_loop_new(&l->loop, err);
	if (status == OC_OK)
		status = oc_bridge_new(l->loop, l->config, NULL, NULL, NULL, NULL, &l->bridge, err);
	if (status == OC_OK)
		status = oc_bridge_scan(l->bridge, err);
	if (status != OC_OK)
		look_end(l);
	return status;
}

static oc_status ask_list(cJSON **ret, oc_err *err)
{
	oc_auto_json cJSON *result = NULL;
	oc_status status = oc_remote_call("plugins.list", NULL, 0, &result, err);
	if (status == OC_OK)
		*ret = cJSON_DetachItemFromObjectCaseSensitive(result, "plugins");
	return status == OC_OK && *ret == NULL ? oc_fail(err, OC_E_PROTOCOL, NULL, "the gateway answered without a list") : status;
}

/* Whether a folder was added by hand, so that the running gateway has not seen it. */
static bool has_unseen(const cJSON *list)
{
	look l;
	const cJSON *p, *q;
	bool unseen = false;
	if (oc_remote_named() || look_begin(&l, NULL) != OC_OK)
		return false;
	oc_auto_json cJSON *here = oc_bridge_describe(l.bridge);
	cJSON_ArrayForEach(p, here)
	{
		bool seen = false;
		cJSON_ArrayForEach(q, list)
			seen |= strcmp(oc_json_str(p, "id", ""), oc_json_str(q, "id", "")) == 0;
		unseen |= !seen;
	}
	look_end(&l);
	return unseen;
}

oc_status oc_plugins_list(cJSON **ret, oc_err *err)
{
	look l;
	oc_status status;
	if (oc_remote_alive()) {
		cJSON *list = NULL;
		status = ask_list(&list, err);
		if (status == OC_OK && has_unseen(list)) {
			oc_remote_take_up();
			cJSON_Delete(list);
			status = ask_list(&list, err);
		}
		if (status == OC_OK)
			*ret = list;
		return status;
	}
	status = look_begin(&l, err);
	if (status != OC_OK)
		return status;
	*ret = oc_bridge_describe(l.bridge);
	look_end(&l);
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
}

static oc_status ask_info(const char *id, cJSON **ret, oc_err *err)
{
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_str(params, "id", id);
	return oc_remote_call("plugins.info", params, 0, ret, err);
}

oc_status oc_plugins_info(const char *id, cJSON **ret, oc_err *err)
{
	look l;
	oc_status status;
	if (oc_remote_alive()) {
		status = ask_info(id, ret, err);
		if (status == OC_E_NOT_FOUND && !oc_remote_named()) { /* its folder may just have come */
			oc_remote_take_up();
			status = ask_info(id, ret, err);
		}
		return status;
	}
	status = look_begin(&l, err);
	if (status != OC_OK)
		return status;
	const oc_plugin *plugin = oc_bridge_find(l.bridge, id);
	if (plugin == NULL)
		status = oc_fail(err, OC_E_NOT_FOUND, "openclaw plugins list", "there is no plugin \"%s\"", id);
	else
		*ret = oc_plugin_describe(plugin, true);
	look_end(&l);
	return status;
}

oc_status oc_plugins_wait(const char *id, oc_err *err)
{
	oc_status status = OC_OK;
	for (uint64_t end = oc_now_ms() + LOAD_MS; oc_remote_alive() && oc_now_ms() < end;) {
		oc_auto_json cJSON *info = NULL;
		status = oc_plugins_info(id, &info, err);
		const char *phase = oc_json_str(info, "status", "");
		if (status == OC_OK && strcmp(phase, "loading") == 0) {
			nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
			continue;
		}
		if (status == OC_OK && strcmp(phase, "error") == 0)
			status = oc_fail(err, OC_E_UNAVAILABLE, oc_json_str(info, "remedy", "see openclaw plugins doctor"), "%s: %s", id,
					 oc_json_str(info, "error", "it could not be loaded"));
		break;
	}
	return status;
}

/* ---- list, info ---- */

static int run_list(const oc_args *args)
{
	static const char *const heads[] = {"ID", "VERSION", "FROM", "STATUS", "PROCESS", "NOTE"};
	oc_err err = {0};
	cJSON *list = NULL;
	const cJSON *p;
	if (oc_plugins_list(&list, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	if (cJSON_GetArraySize(list) == 0) {
		puts("No TypeScript plugins. A plugin's folder goes into the state folder's extensions/.");
		cJSON_Delete(list);
		return OC_EXIT_OK;
	}
	oc_cli_clean(list);
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(p, list)
	{
		const char *group = oc_json_str(p, "group", ""), *process = oc_json_str(p, "process", "");
		oc_auto_free char *shared = group[0] != 0 ? oc_asprintf("%s (%s)", process, group) : NULL;
		const char *cells[] = {oc_json_str(p, "id", ""), oc_json_str(p, "version", ""), oc_json_str(p, "origin", ""),
				       oc_json_str(p, "status", ""), shared != NULL ? shared : process,
				       oc_json_str(p, "error", oc_json_str(p, "reason", ""))};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

/* "tools  a, b" for one kind of registration. */
static void print_names(const cJSON *names, const char *title)
{
	const cJSON *name;
	if (cJSON_GetArraySize(names) == 0)
		return;
	printf("  %-16s", title);
	cJSON_ArrayForEach(name, names)
		printf("%s%s", name != names->child ? ", " : "", name->valuestring);
	putchar('\n');
}

static int run_info(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_json cJSON *info = NULL;
	if (oc_plugins_info(args->pos[0], &info, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(cJSON_Duplicate(info, true));
	oc_cli_clean(info);
	const cJSON *r = oc_json_get(info, "registered");
	printf("%s%s%s %s\n", oc_bold(), oc_json_str(info, "name", ""), oc_plain(), oc_json_str(info, "version", ""));
	printf("  %-16s%s\n  %-16s%s (process %s)\n", "source", oc_json_str(info, "source", ""), "status", oc_json_str(info, "status", ""),
	       oc_json_str(info, "process", ""));
	if (oc_json_str(info, "group", "")[0] != 0)
		printf("  %-16s%s (one process for all of it)\n", "group", oc_json_str(info, "group", ""));
	const char *note = oc_json_str(info, "error", oc_json_str(info, "reason", ""));
	if (note[0] != 0)
		printf("  %-16s%s\n", "note", note);
	static const struct {
		const char *kind, *title, *member;
	} kinds[] = {{"tools", "tools", "resolved"},	   {"hooks", "hooks", "name"},	  {"commands", "commands", "name"},
		     {"services", "services", "id"},	   {"httpRoutes", "routes", "path"}, {"gatewayMethods", "methods", "method"},
		     {"channels", "channels", "id"},	   {"providers", "providers", "id"}, {"cli", "command line", "commands"},
		     {"contextEngines", "engines", "id"}, {"internalHooks", "events", "events"}};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const cJSON *rows = oc_json_get(r, kinds[i].kind), *row;
		cJSON *flat = cJSON_CreateArray();
		cJSON_ArrayForEach(row, rows)
		{
			const cJSON *value = oc_json_get(row, kinds[i].member), *one;
			if (cJSON_IsString(value))
				(void)cJSON_AddItemToArray(flat, cJSON_CreateString(value->valuestring));
			if (!cJSON_IsArray(value))
				continue;
			cJSON_ArrayForEach(one, value)
				(void)cJSON_AddItemToArray(flat, cJSON_CreateString(cJSON_IsString(one) ? one->valuestring : oc_json_str(one, "name", "?")));
		}
		print_names(flat, kinds[i].title);
		cJSON_Delete(flat);
	}
	return OC_EXIT_OK;
}

/* ---- enable, disable ---- */

static int set_enabled(const oc_args *args, bool enabled)
{
	oc_err err = {0};
	oc_config *config = NULL;
	oc_auto_json cJSON *info = NULL;
	oc_config_edits e = {0};
	const char *id = args->pos[0];
	oc_status status = oc_plugins_info(id, &info, &err);
	if (status == OC_OK)
		status = oc_config_load(NULL, &config, &err);
	if (status == OC_OK && enabled && oc_json_has_str(oc_config_get(config, "plugins.deny"), id))
		status = oc_fail(&err, OC_E_DENIED, "take it out of plugins.deny first", "%s is in plugins.deny", id);
	if (status == OC_OK && enabled)
		status = oc_plugin_forgive(id, &err);
	if (status == OC_OK && enabled)
		oc_plugins_enable(&e, config, id, oc_json_get(info, "kind"));
	else if (status == OC_OK)
		oc_config_edits_set(&e, oc_plugins_path("entries", id, "enabled"), cJSON_CreateFalse());
	if (status == OC_OK)
		status = oc_config_edits_commit(&e, NULL, &err);
	oc_config_unref(config);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	oc_remote_take_up();
	status = enabled ? oc_plugins_wait(id, &err) : OC_OK;
	if (oc_arg_flag(args, "json")) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_bool(o, "ok", status == OC_OK);
		(void)oc_json_set_str(o, "id", id);
		(void)oc_json_set_bool(o, "enabled", enabled);
		oc_plugins_opt(o, "error", status != OC_OK ? err.text : NULL);
		(void)oc_cli_print_json(o);
		return status == OC_OK ? OC_EXIT_OK : OC_EXIT_FAILED;
	}
	printf("%s is %s%s.\n", id, enabled ? "enabled" : "disabled",
	       oc_remote_alive() ? "; the running gateway has taken it up" : "");
	return status == OC_OK ? OC_EXIT_OK : oc_cli_fail(&err);
}

static int run_enable(const oc_args *args)
{
	return set_enabled(args, true);
}

static int run_disable(const oc_args *args)
{
	return set_enabled(args, false);
}

static const oc_opt json_opt[] = {
	{"json", 0, NULL, "one JSON document"},
	{0},
};

static const oc_command list_command = {
	.name = "list", .summary = "every plugin found, its state and why", .opts = json_opt, .run = run_list};
static const oc_command info_command = {
	.name = "info", .args = "ID", .summary = "one plugin and what it registered", .opts = json_opt, .min_args = 1, .max_args = 1,
	.run = run_info};
static const oc_command enable_command = {
	.name = "enable", .args = "ID", .summary = "let a plugin run", .opts = json_opt, .min_args = 1, .max_args = 1, .run = run_enable};
static const oc_command disable_command = {
	.name = "disable", .args = "ID", .summary = "keep a plugin from running", .opts = json_opt, .min_args = 1, .max_args = 1, .run = run_disable};
static const oc_command *const subs[] = {&list_command, &info_command, &oc_plugins_install_command,
					 &oc_plugins_uninstall_command, &enable_command, &disable_command,
					 &oc_plugins_update_command, &oc_plugins_doctor_command, &oc_plugins_logs_command, NULL};

const oc_command oc_cmd_plugins = {
	.name = "plugins",
	.summary = "TypeScript plugins",
	.help = "A plugin is installed with `openclaw plugins install`, or its folder copied into the state folder's extensions/.\n"
		"Each plugin runs in a Node.js process of its own (or of its group), in the sandbox, and is started when it is\n"
		"needed.\n",
	.subs = subs,
};
