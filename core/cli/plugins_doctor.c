/* openclaw plugins doctor, logs: what plugins asked for and did not get, what went wrong with them, and what they printed. */
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cli/plugins.h"
#include "core/cli/remote.h"
#include "core/config/config.h"
#include "ipc-bridge/bridge.h"

/* ---- Findings: {"plugin","severity","kind","what","remedy"?,"grant"?:{"path","value"}} ---- */

typedef struct findings {
	cJSON *list;
	const oc_config *config;
	const char *plugin;
} findings;

static cJSON *add(findings *f, const char *severity, const char *kind, const char *what, const char *remedy)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "plugin", f->plugin);
	(void)oc_json_set_str(o, "severity", severity);
	(void)oc_json_set_str(o, "kind", kind);
	(void)oc_json_set_str(o, "what", what);
	if (remedy != NULL && remedy[0] != 0)
		(void)oc_json_set_str(o, "remedy", remedy);
	(void)cJSON_AddItemToArray(f->list, o);
	return o;
}

/* What lets the plugin have it: a value for one member of its entry. Takes value. */
static void grant(const findings *f, cJSON *finding, const char *member, cJSON *value)
{
	cJSON *g = cJSON_AddObjectToObject(finding, "grant");
	oc_auto_free char *path = oc_plugins_path("entries", f->plugin, member);
	oc_auto_free char *text = oc_json_print(value);
	oc_auto_free char *command = oc_asprintf("openclaw config set '%s' '%s'", path != NULL ? path : "", text != NULL ? text : "");
	oc_plugins_opt(g, "path", path);
	(void)oc_json_set(g, "value", value);
	oc_plugins_opt(finding, "remedy", command);
}

/* What stands in the plugin's entry. */
static const cJSON *given(const findings *f, const char *member)
{
	return oc_json_get(oc_json_get(oc_config_get(f->config, "plugins.entries"), f->plugin), member);
}

static cJSON *list_with(const findings *f, const char *member, const char *more)
{
	cJSON *list = cJSON_IsArray(given(f, member)) ? cJSON_Duplicate(given(f, member), true) : cJSON_CreateArray();
	(void)cJSON_AddItemToArray(list, cJSON_CreateString(more));
	return list;
}

static void missing(findings *f, const char *kind, const char *name)
{
	static const struct {
		const char *kind, *words, *member;
	} grants[] = {{"env", "it read the environment variable %s, which it was not given", "env"},
		      {"read", "it read %s, which it was not given", "read"},
		      {"write", "it wrote to %s, which it may not", "write"},
		      {"network", "it connected to %s, and it has no network", "network"},
		      {"method", "it called the gateway's method %s, which it may not", "gatewayMethods"}};
	for (size_t i = 0; i < sizeof grants / sizeof *grants; i++) {
		if (strcmp(grants[i].kind, kind) != 0)
			continue;
		/* It asked before it was given that. */
		if (oc_json_has_str(given(f, grants[i].member), name) || cJSON_IsTrue(given(f, grants[i].member)))
			return;
		oc_sbuf what;
		oc_sbuf_init(&what, 8192);
		const char *mark = strstr(grants[i].words, "%s");
		oc_sbuf_printf(&what, "%.*s%s%s", (int)(mark - grants[i].words), grants[i].words, name, mark + 2);
		cJSON *finding = add(f, "info", kind, what.p != NULL ? what.p : kind, NULL);
		oc_sbuf_free(&what);
		grant(f, finding, grants[i].member,
		      strcmp(kind, "network") == 0 ? cJSON_CreateTrue() : list_with(f, grants[i].member, name));
		return;
	}
	oc_auto_free char *what = strcmp(kind, "api") == 0 ? oc_asprintf("it registered with api.%s, which nothing here uses", name)
							     : oc_asprintf("it called %s%s, which this gateway does not have",
									   strcmp(kind, "runtime") == 0 ? "api.runtime." : "", name);
	(void)add(f, strcmp(kind, "api") == 0 ? "info" : "warn", kind, what != NULL ? what : name, NULL);
}

static void look_at(findings *f, const cJSON *p)
{
	const cJSON *list, *one;
	f->plugin = oc_json_str(p, "id", "");
	const char *error = oc_json_str(p, "error", ""), *why = oc_json_str(p, "reason", "");
	if (error[0] != 0)
		(void)add(f, "error", "state", error, oc_json_str(p, "remedy", NULL));
	else if (why[0] != 0)
		(void)add(f, "info", "disabled", why, oc_json_str(p, "remedy", NULL));
	cJSON_ArrayForEach(one, oc_json_get(p, "troubles"))
	{
		int64_t times = oc_json_i64(one, "count", 1);
		oc_auto_free char *what = times > 1 ? oc_asprintf("%s (%lld times)", oc_json_str(one, "last", ""), (long long)times)
						    : oc_strdup(oc_json_str(one, "last", ""));
		(void)add(f, "warn", oc_json_str(one, "kind", "trouble"), what != NULL ? what : "", "openclaw plugins logs");
	}
	cJSON_ArrayForEach(list, oc_json_get(p, "missing")) cJSON_ArrayForEach(one, list) if (cJSON_IsString(one))
		missing(f, list->string, one->valuestring);
	cJSON_ArrayForEach(one, oc_json_get(p, "shadowedMethods"))
	{
		oc_auto_free char *what = oc_asprintf("its gateway method %s is never called: the gateway, or an earlier plugin, has one of that name",
						      one->valuestring);
		(void)add(f, "warn", "method", what != NULL ? what : "", NULL);
	}
	cJSON_ArrayForEach(one, oc_json_get(oc_json_get(p, "registered"), "diagnostics"))
		(void)add(f, oc_json_str(one, "level", "warn"), "registration", oc_json_str(one, "message", ""), NULL);
}

static void look_at_machine(findings *f, const cJSON *plugins)
{
	const cJSON *record;
	oc_auto_free char *node = oc_bridge_node(f->config);
	f->plugin = "";
	if (node == NULL && cJSON_GetArraySize(plugins) > 0)
		(void)add(f, "error", "node", "TypeScript plugins run in Node.js, which is not here",
			  "install Node.js 20 or newer, or set plugins.node to its path");
	cJSON_ArrayForEach(record, oc_config_get(f->config, "plugins.installs"))
	{
		const char *path = oc_json_str(record, "installPath", "");
		f->plugin = record->string;
		if (path[0] != 0 && access(path, F_OK) != 0)
			(void)add(f, "error", "files", "it is noted as installed, but its folder is gone", "openclaw plugins update, or uninstall");
	}
}

static oc_status examine(const char *only, cJSON **ret, oc_err *err)
{
	oc_config *config = NULL;
	oc_auto_json cJSON *plugins = NULL;
	const cJSON *p;
	bool found = only == NULL;
	oc_status status = oc_config_load(NULL, &config, err);
	if (status == OC_OK)
		status = oc_plugins_list(&plugins, err);
	findings f = {.list = cJSON_CreateArray(), .config = config};
	if (status == OC_OK && only == NULL)
		look_at_machine(&f, plugins);
	cJSON_ArrayForEach(p, plugins)
	{
		oc_auto_json cJSON *all = NULL;
		const char *id = oc_json_str(p, "id", "");
		if (status != OC_OK || (only != NULL && strcmp(only, id) != 0))
			continue;
		found = true;
		look_at(&f, oc_plugins_info(id, &all, err) == OC_OK ? all : p);
	}
	if (status == OC_OK && !found)
		status = oc_fail(err, OC_E_NOT_FOUND, "openclaw plugins list", "there is no plugin \"%s\"", only);
	oc_config_unref(config);
	if (status == OC_OK)
		*ret = f.list;
	else
		cJSON_Delete(f.list);
	return status;
}

static int run_doctor(const oc_args *args)
{
	oc_err err = {0};
	cJSON *list = NULL;
	const cJSON *one;
	bool bad = false;
	if (examine(args->n_pos > 0 ? args->pos[0] : NULL, &list, &err) != OC_OK)
		return oc_cli_fail(&err);
	cJSON_ArrayForEach(one, list) bad |= strcmp(oc_json_str(one, "severity", ""), "error") == 0;
	if (oc_arg_flag(args, "json")) {
		(void)oc_cli_print_json(list);
		return bad ? OC_EXIT_FAILED : OC_EXIT_OK;
	}
	if (cJSON_GetArraySize(list) == 0)
		puts("Nothing is wrong with the plugins.");
	oc_cli_clean(list);
	cJSON_ArrayForEach(one, list)
	{
		const char *severity = oc_json_str(one, "severity", ""), *plugin = oc_json_str(one, "plugin", "");
		printf("%s%-5s%s %s%s%s\n", severity[0] == 'e' ? oc_red() : severity[0] == 'w' ? oc_yellow() : "", severity, oc_plain(), plugin,
		       plugin[0] != 0 ? ": " : "", oc_json_str(one, "what", ""));
		if (oc_json_get(one, "remedy") != NULL)
			printf("      %s%s%s\n", oc_dim(), oc_json_str(one, "remedy", ""), oc_plain());
	}
	if (!oc_remote_alive())
		puts("No gateway runs: what plugins asked for while they ran is known to a running one only.");
	cJSON_Delete(list);
	return bad ? OC_EXIT_FAILED : OC_EXIT_OK;
}

static int run_plugin_logs(const oc_args *args)
{
	int64_t lines = 100;
	const char *name = oc_arg(args, "level");
	int level = name != NULL ? oc_log_level_parse(name) : OC_LOG_TRACE;
	if (!oc_arg_i64(args, "lines", 0, 100000, &lines))
		return OC_EXIT_USAGE;
	if (level == 0)
		return oc_cli_usage(args, "--level is error, warn, info, debug or trace, not \"%s\"", name);
	return oc_logs_show(args->pos[0], lines, level, oc_arg_flag(args, "json"), oc_arg_flag(args, "follow"));
}

const oc_command oc_plugins_doctor_command = {
	.name = "doctor", .args = "[ID]", .summary = "what is wrong with plugins, and what they asked for and did not get",
	.help = "Each finding comes with what mends it; what a plugin was refused, with the command that grants it.\n",
	.opts = (const oc_opt[]){{"json", 0, NULL, "one JSON document"}, {0}},
	.max_args = 1, .run = run_doctor};
const oc_command oc_plugins_logs_command = {
	.name = "logs", .args = "ID", .summary = "what a plugin printed and logged, and what the gateway says about it",
	.opts = (const oc_opt[]){{"follow", 'f', NULL, "go on with what is added"},
				 {"lines", 'n', "NUMBER", "how many of the last lines (100)"},
				 {"level", 'l', "LEVEL", "only error, warn, info, debug … and what is worse"},
				 {"json", 0, NULL, "the lines as they are: one JSON object each"},
				 {0}},
	.min_args = 1, .max_args = 1, .run = run_plugin_logs};
