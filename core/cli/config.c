/*
 * openclaw config: reading, changing and checking ~/.openclaw/openclaw.json.
 *
 * Changes are validated before they are written and keep the file's comments; a running gateway takes them up by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/config/config.h"
#include "core/data/jpath.h"
#include "core/data/json5.h"
#include "core/module/module.h"

#define VALUE_MAX ((size_t)1 << 20)

/* What modules say about their parts of a configuration. */
static oc_status refine(void *arg, oc_config *config)
{
	oc_modules *modules = NULL;
	(void)arg;
	oc_status status = oc_modules_new(NULL, config, NULL, &modules, NULL);
	if (status == OC_OK)
		status = oc_modules_scan(modules, NULL);
	if (status == OC_OK)
		status = oc_modules_refine(modules, config);
	oc_modules_free(modules);
	return status;
}

static oc_status load(const char *file, oc_config **ret, oc_err *err)
{
	oc_config *config = NULL;
	oc_log_set_level(OC_LOG_ERROR);
	oc_status status = oc_config_load(file, &config, err);
	if (status != OC_OK)
		return status;
	status = refine(NULL, config);
	if (status != OC_OK) {
		oc_config_unref(config);
		return oc_fail(err, status, NULL, "looking at the modules' settings: %s", oc_status_text(status));
	}
	*ret = config;
	return OC_OK;
}

/* Strings as they are, everything else as JSON. */
static void print_plain(const cJSON *value)
{
	oc_auto_free char *text = cJSON_IsString(value) ? NULL : oc_json_print_pretty(value);
	puts(cJSON_IsString(value) ? value->valuestring : text == NULL ? "" : text);
}

static bool hides_something(const cJSON *shown, const cJSON *real)
{
	return !oc_json_equal(shown, real);
}

/* ---- get ---- */

/* What may have been meant by a path that leads nowhere: the name nearest to the first wrong step. */
static void hint_at(const oc_config *config, const char *path, oc_err *err)
{
	const cJSON *node = oc_config_root(config), *child;
	oc_sbuf known;
	oc_jpath it;
	oc_sbuf_init(&known, 4096);
	oc_jpath_begin(&it, path);
	while (oc_jpath_next(&it) == OC_OK && !it.is_index) {
		const cJSON *next = oc_json_get(node, it.name);
		if (next == NULL)
			break;
		oc_jpath_add_name(&known, it.name);
		node = next;
	}
	const char *names[128];
	size_t n = 0;
	cJSON_ArrayForEach(child, node) if (n < 128 && child->string != NULL) names[n++] = child->string;
	const char *near = cJSON_IsObject(node) ? oc_str_nearest(it.name, names, n) : NULL;
	if (near != NULL) {
		oc_jpath_add_name(&known, near);
		oc_fail(err, OC_E_NOT_FOUND, "`openclaw config show` lists what is set.", "%s is not set; did you mean %s?", path,
			oc_sbuf_view(&known).p);
	} else {
		oc_fail(err, OC_E_NOT_FOUND, "`openclaw config show` lists what is set, `openclaw config schema` what can be.",
			"%s is not set", path);
	}
	oc_sbuf_free(&known);
}

static int run_get(const oc_args *args)
{
	const char *path = args->pos[0];
	oc_config *config = NULL;
	oc_err err = {0};
	if (oc_jpath_check(path, &err) != OC_OK)
		return oc_cli_usage(args, "%s", err.text);
	if (load(NULL, &config, &err) != OC_OK)
		return oc_cli_fail(&err);
	cJSON *value = oc_config_to_json(config, path, !oc_arg_flag(args, "reveal"));
	int code = OC_EXIT_OK;
	if (value == NULL) {
		hint_at(config, path, &err);
		code = oc_cli_fail(&err);
	} else if (oc_arg_flag(args, "json")) {
		code = oc_cli_print_json(value);
		value = NULL;
	} else {
		print_plain(value);
		if (hides_something(value, oc_config_get(config, path)) && !oc_arg_flag(args, "reveal"))
			fputs("(secrets are hidden; --reveal shows them)\n", stderr);
	}
	cJSON_Delete(value);
	oc_config_unref(config);
	return code;
}

/* ---- show ---- */

static int run_show(const oc_args *args)
{
	oc_config *config = NULL;
	oc_err err = {0};
	if (load(NULL, &config, &err) != OC_OK)
		return oc_cli_fail(&err);
	bool source = oc_arg_flag(args, "source"), reveal = oc_arg_flag(args, "reveal");
	cJSON *tree = cJSON_Duplicate(source ? oc_config_source(config) : oc_config_root(config), true);
	if (!reveal)
		oc_config_redact(tree, "", NULL);
	int code = OC_EXIT_OK;
	if (oc_arg_flag(args, "json")) {
		code = oc_cli_print_json(tree);
		tree = NULL;
	} else {
		printf("%s// %s%s%s%s\n", oc_dim(), oc_config_path(config), oc_config_exists(config) ? "" : " (does not exist)",
		       source ? ", as written" : ", with defaults", oc_plain());
		print_plain(tree);
		size_t n = oc_config_problem_count(config);
		if (n > 0)
			fprintf(stderr, "%zu problem%s: see `openclaw config validate`\n", n, n == 1 ? "" : "s");
	}
	cJSON_Delete(tree);
	oc_config_unref(config);
	return code;
}

/* ---- set and unset ---- */

/* All of stdin without its last line end, for values that must not appear in lists of processes. */
static char *read_stdin(oc_err *err)
{
	oc_sbuf b;
	oc_sbuf_init(&b, VALUE_MAX);
	for (;;) {
		char *room = oc_sbuf_room(&b, 4096);
		ssize_t n = room == NULL ? -1 : read(0, room, 4096);
		if (room != NULL && n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0 && room != NULL)
				oc_fail_errno(err, errno, "reading the value");
			else if (room == NULL)
				oc_fail(err, b.error, NULL, "the value has more than %zu bytes", VALUE_MAX);
			break;
		}
		oc_sbuf_grew(&b, (size_t)n);
	}
	if (err->code == OC_OK && b.n > 0 && b.p[b.n - 1] == '\n')
		b.p[--b.n] = 0;
	if (err->code == OC_OK && memchr(oc_sbuf_view(&b).p, 0, b.n) != NULL)
		oc_fail(err, OC_E_INVALID, "", "the value has a NUL byte");
	if (err->code == OC_OK)
		return oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return NULL;
}

static oc_status edit(const char *path, const cJSON *value, oc_err *err)
{
	oc_config_change change = {path, value};
	return oc_config_edit_checked(NULL, &change, 1, true, refine, NULL, err);
}

/* Sets the value as JSON5 or, where the schema wants text, as text: a password may be all digits. */
static oc_status set_value(const char *path, const char *text, bool as_string, oc_err *err)
{
	cJSON *value = NULL;
	oc_err first = {0};
	if (as_string || oc_json5_parse(oc_str_of(text), NULL, &value, &first) != OC_OK) {
		if (!as_string && (text[0] == '{' || text[0] == '[')) { /* meant as JSON5 for certain */
			*err = first;
			oc_err_prefix(err, "the value");
			return OC_E_INVALID;
		}
		first = (oc_err){0};
		value = cJSON_CreateString(text);
		as_string = true;
	}
	oc_status status = value == NULL ? oc_fail(&first, OC_E_NOMEM, NULL, "no memory for the value")
					 : edit(path, value, &first);
	if (status == OC_E_INVALID && !as_string && !cJSON_IsString(value)) {
		cJSON *string = cJSON_CreateString(text);
		if (string != NULL && edit(path, string, NULL) == OC_OK)
			status = OC_OK;
		cJSON_Delete(string);
	}
	cJSON_Delete(value);
	if (status != OC_OK)
		*err = first;
	return status;
}

/* What validation has to say about what was just set. */
static void note_problems(const oc_config *config, const char *path)
{
	for (size_t i = 0; i < oc_config_problem_count(config); i++) {
		const oc_config_problem *p = oc_config_problem_at(config, i);
		if (p->path[0] == 0 || (!oc_jpath_under(p->path, path) && !oc_jpath_under(path, p->path)))
			continue;
		fprintf(stderr, "%s%s:%s %s %s\n", oc_yellow(), p->severity == OC_CONFIG_ERROR ? "error" : "warning", oc_plain(), p->path,
			p->message);
		if (p->remedy[0] != 0)
			fprintf(stderr, "  -> %s\n", p->remedy);
	}
}

/* "gateway.port is 1234, was 18789", "removed gateway.port, which is now 18789". Secrets are hidden already. */
static void print_change(const char *path, const cJSON *before, const cJSON *after, bool removed)
{
	oc_auto_free char *was = before == NULL ? NULL : oc_json_print(before), *is = after == NULL ? NULL : oc_json_print(after);
	printf("%s%s%s%s", removed ? "removed " : "", oc_bold(), path, oc_plain());
	if (is != NULL)
		printf("%s%s", removed ? ", which is now " : " is ", is);
	if (!removed && was != NULL && is != NULL && strcmp(was, is) != 0)
		printf(", was %s", was);
}

static int report_change(const oc_args *args, const char *path, cJSON *before, bool removed)
{
	oc_config *config = NULL;
	oc_err err = {0};
	oc_remote_take_up();
	if (load(NULL, &config, &err) != OC_OK) {
		cJSON_Delete(before);
		return oc_cli_fail(&err);
	}
	cJSON *after = oc_config_to_json(config, path, true);
	int code = OC_EXIT_OK;
	if (oc_arg_flag(args, "json")) {
		cJSON *out = cJSON_CreateObject();
		oc_json_set_str(out, "path", path);
		oc_json_set_str(out, "file", oc_config_path(config));
		oc_json_set(out, "before", before);
		oc_json_set(out, "after", after);
		code = oc_cli_print_json(out);
	} else {
		print_change(path, before, after, removed);
		printf(" %s(%s)%s\n", oc_dim(), oc_config_path(config), oc_plain());
		cJSON_Delete(before);
		cJSON_Delete(after);
	}
	note_problems(config, path);
	oc_config_unref(config);
	return code;
}

/* The value before a change, hidden if it is a secret; NULL when there is none. */
static cJSON *value_before(const char *path)
{
	oc_config *config = NULL;
	if (load(NULL, &config, NULL) != OC_OK)
		return NULL;
	cJSON *value = oc_config_to_json(config, path, true);
	oc_config_unref(config);
	return value;
}

static int run_set(const oc_args *args)
{
	const char *path = args->pos[0];
	oc_err err = {0};
	if (oc_jpath_check(path, &err) != OC_OK)
		return oc_cli_usage(args, "%s", err.text);
	oc_auto_free char *text = strcmp(args->pos[1], "-") == 0 ? read_stdin(&err) : oc_strdup(args->pos[1]);
	if (text == NULL)
		return oc_cli_fail(&err);
	cJSON *before = value_before(path);
	if (set_value(path, text, oc_arg_flag(args, "string"), &err) != OC_OK) {
		cJSON_Delete(before);
		return oc_cli_fail(&err);
	}
	return report_change(args, path, before, false);
}

static int run_unset(const oc_args *args)
{
	const char *path = args->pos[0];
	oc_err err = {0};
	if (oc_jpath_check(path, &err) != OC_OK)
		return oc_cli_usage(args, "%s", err.text);
	cJSON *before = value_before(path);
	if (edit(path, NULL, &err) != OC_OK) {
		cJSON_Delete(before);
		return oc_cli_fail(&err);
	}
	return report_change(args, path, before, true);
}

/* ---- validate ---- */

static cJSON *problem_json(const oc_config_problem *p)
{
	cJSON *row = cJSON_CreateObject();
	oc_json_set_str(row, "severity", p->severity == OC_CONFIG_ERROR ? "error" : "warning");
	oc_json_set_str(row, "path", p->path);
	oc_json_set_str(row, "section", p->section);
	oc_json_set_str(row, "message", p->message);
	oc_json_set_str(row, "remedy", p->remedy);
	oc_json_set_str(row, "file", p->file);
	if (p->line > 0) {
		oc_json_set_i64(row, "line", p->line);
		oc_json_set_i64(row, "column", p->column);
	}
	return row;
}

static int json_report(const char *file, bool exists, size_t errors, size_t warnings, cJSON *problems)
{
	cJSON *out = cJSON_CreateObject();
	oc_json_set_str(out, "file", file);
	oc_json_set_bool(out, "exists", exists);
	oc_json_set_bool(out, "valid", errors == 0);
	oc_json_set_i64(out, "errors", (int64_t)errors);
	oc_json_set_i64(out, "warnings", (int64_t)warnings);
	oc_json_set(out, "problems", problems);
	return oc_cli_print_json(out);
}

/* A file that cannot be loaded at all is one error. */
static int report_broken(const char *file, bool json, const oc_err *err)
{
	if (!json)
		return oc_cli_fail(err);
	cJSON *row = cJSON_CreateObject(), *list = cJSON_CreateArray();
	oc_json_set_str(row, "severity", "error");
	oc_json_set_str(row, "path", "");
	oc_json_set_str(row, "section", "");
	oc_json_set_str(row, "message", err->text);
	oc_json_set_str(row, "remedy", err->remedy);
	oc_json_set_str(row, "file", file);
	cJSON_AddItemToArray(list, row);
	int code = json_report(file, err->code != OC_E_NOT_FOUND, 1, 0, list);
	return code == OC_EXIT_OK ? OC_EXIT_FAILED : code;
}

static void print_problem(const oc_config_problem *p)
{
	bool error = p->severity == OC_CONFIG_ERROR;
	printf("%s%s", oc_bold(), p->file);
	if (p->line > 0)
		printf(":%u:%u", p->line, p->column);
	printf(":%s %s%s:%s %s%s%s\n", oc_plain(), error ? oc_red() : oc_yellow(), error ? "error" : "warning", oc_plain(), p->path,
	       p->path[0] != 0 ? " " : "", p->message);
	if (p->remedy[0] != 0)
		printf("  -> %s\n", p->remedy);
}

static int report_problems(const oc_config *config, bool json, bool strict)
{
	size_t n = oc_config_problem_count(config), errors = oc_config_error_count(config), warnings = n - errors;
	int code = errors > 0 || (strict && warnings > 0) ? OC_EXIT_FAILED : OC_EXIT_OK;
	if (json) {
		cJSON *list = cJSON_CreateArray();
		for (size_t i = 0; i < n; i++)
			cJSON_AddItemToArray(list, problem_json(oc_config_problem_at(config, i)));
		int printed = json_report(oc_config_path(config), oc_config_exists(config), errors, warnings, list);
		return printed == OC_EXIT_OK ? code : printed;
	}
	for (size_t i = 0; i < n; i++)
		print_problem(oc_config_problem_at(config, i));
	if (!oc_config_exists(config))
		printf("%s does not exist: the defaults are used (`openclaw onboard` writes one)\n", oc_config_path(config));
	else if (n == 0)
		printf("%s%s is valid%s\n", oc_green(), oc_config_path(config), oc_plain());
	else
		printf("%zu error%s, %zu warning%s\n", errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
	return code;
}

static int run_validate(const oc_args *args)
{
	bool json = oc_arg_flag(args, "json");
	oc_auto_free char *file = args->n_pos > 0 ? oc_path_expand(args->pos[0], NULL) : oc_path_config();
	oc_config *config = NULL;
	oc_err err = {0};
	if (file == NULL) {
		oc_fail(&err, OC_E_NOMEM, NULL, "no memory for the configuration");
		return oc_cli_fail(&err);
	}
	if (args->n_pos > 0 && !oc_path_exists(file)) {
		oc_fail(&err, OC_E_NOT_FOUND, "", "%s does not exist", file);
		return report_broken(file, json, &err);
	}
	if (load(file, &config, &err) != OC_OK)
		return report_broken(file, json, &err);
	int code = report_problems(config, json, oc_arg_flag(args, "strict"));
	oc_config_unref(config);
	return code;
}

/* ---- path and schema ---- */

static int run_path(const oc_args *args)
{
	oc_auto_free char *path = oc_path_config();
	if (path == NULL)
		return OC_EXIT_FAILED;
	if (oc_arg_flag(args, "json")) {
		cJSON *out = cJSON_CreateObject();
		oc_json_set_str(out, "path", path);
		oc_json_set_bool(out, "exists", oc_path_exists(path));
		return oc_cli_print_json(out);
	}
	puts(path);
	return OC_EXIT_OK;
}

static int run_schema(const oc_args *args)
{
	oc_auto_json cJSON *schema = oc_config_schema();
	const cJSON *node = schema;
	oc_err err = {0};
	if (args->n_pos > 0 && oc_jpath_check(args->pos[0], &err) != OC_OK)
		return oc_cli_usage(args, "%s", err.text);
	oc_jpath it;
	oc_jpath_begin(&it, args->n_pos > 0 ? args->pos[0] : "");
	while (node != NULL && oc_jpath_next(&it) == OC_OK) {
		const cJSON *rest = oc_json_get(node, "additionalProperties");
		const cJSON *known = oc_json_get(oc_json_get(node, "properties"), it.name);
		node = it.is_index ? oc_json_get(node, "items") : known != NULL ? known : cJSON_IsFalse(rest) ? NULL : rest;
	}
	if (node == NULL) {
		oc_fail(&err, OC_E_NOT_FOUND, "`openclaw config schema` shows all keys.", "there is no key %s",
			args->n_pos > 0 ? args->pos[0] : "");
		return oc_cli_fail(&err);
	}
	return oc_cli_print_json(cJSON_Duplicate(node, true));
}

/* ---- The commands ---- */

#define JSON_OPT {"json", 0, NULL, "print JSON"}
#define REVEAL_OPT {"reveal", 0, NULL, "show secrets instead of ***"}

static const oc_command cmd_get = {
	.name = "get",
	.args = "PATH",
	.summary = "print one value, its default when it is not set",
	.help = "PATH is made of names joined by dots, [n] for an entry of a list, [\"…\"] for a name with dots:\n"
		"  openclaw config get gateway.port\n"
		"  openclaw config get 'agents.list[0].id'\n"
		"  openclaw config get 'agents.defaults.models[\"openai/gpt-4.1\"]'\n\n"
		"Exits with 1 when there is no such value.\n",
	.opts = (const oc_opt[]){JSON_OPT, REVEAL_OPT, {0}},
	.min_args = 1,
	.max_args = 1,
	.run = run_get,
};

static const oc_command cmd_set = {
	.name = "set",
	.args = "PATH VALUE",
	.summary = "set one value; comments and layout of the file stay",
	.help = "VALUE is JSON5, or else a string; - reads it from standard input, so that it is in no list of processes.\n"
		"The file is checked first and stays as it is when the value is not allowed; the old one is kept as\n"
		"openclaw.json.bak. A running gateway takes the change up by itself.\n\n"
		"  openclaw config set gateway.port 18790\n"
		"  openclaw config set agents.defaults.model.primary anthropic/claude-opus-4-5\n"
		"  openclaw config set channels.telegram '{ enabled: true, botToken: \"${TELEGRAM_BOT_TOKEN}\" }'\n"
		"  openclaw config set models.providers.openai.apiKey - < key.txt\n"
		"  openclaw config set -- messages.responsePrefix -5          (-- ends the options)\n",
	.opts = (const oc_opt[]){{"string", 0, NULL, "take VALUE as text even if it looks like a number"}, JSON_OPT, {0}},
	.min_args = 2,
	.max_args = 2,
	.run = run_set,
};

static const oc_command cmd_unset = {
	.name = "unset",
	.args = "PATH",
	.summary = "remove one value, so that its default counts",
	.opts = (const oc_opt[]){JSON_OPT, {0}},
	.min_args = 1,
	.max_args = 1,
	.run = run_unset,
};

static const oc_command cmd_show = {
	.name = "show",
	.summary = "print all of it, defaults included, secrets hidden",
	.opts = (const oc_opt[]){{"source", 0, NULL, "as written: without defaults, ${NAME} not replaced"}, REVEAL_OPT, JSON_OPT, {0}},
	.run = run_show,
};

static const oc_command cmd_validate = {
	.name = "validate",
	.args = "[FILE]",
	.summary = "check it, and list every problem with its line and what to do",
	.help = "Exits with 1 when there is an error. Warnings (unknown names) are none unless --strict.\n",
	.opts = (const oc_opt[]){{"strict", 0, NULL, "exit with 1 for warnings too"}, JSON_OPT, {0}},
	.max_args = 1,
	.run = run_validate,
};

static const oc_command cmd_path = {
	.name = "path",
	.summary = "print where the file is",
	.help = "OPENCLAW_CONFIG_PATH names another file, OPENCLAW_STATE_DIR another folder.\n",
	.opts = (const oc_opt[]){JSON_OPT, {0}},
	.run = run_path,
};

static const oc_command cmd_schema = {
	.name = "schema",
	.args = "[PATH]",
	.summary = "print the JSON Schema of all keys, or of one",
	.opts = (const oc_opt[]){{"json", 0, NULL, "taken for uniformity: it is JSON anyway"}, {0}},
	.max_args = 1,
	.run = run_schema,
};

const oc_command oc_cmd_config = {
	.name = "config",
	.summary = "read, change and check the configuration",
	.subs = (const oc_command *const[]){&cmd_get, &cmd_set, &cmd_unset, &cmd_show, &cmd_validate, &cmd_path, &cmd_schema, NULL},
};
