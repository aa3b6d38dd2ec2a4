/*
 * openclaw module: what modules there are, what they may do, and which of them run.
 *
 * With a gateway running, list and info show what it says; enabling and disabling edit the configuration, which a running
 * gateway takes up by itself.
 */
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/config/config.h"
#include "core/data/jpath.h"
#include "core/module/crash.h"
#include "core/module/module.h"

/* ---- Where the facts come from ---- */

typedef struct view {
	oc_config *config;
	oc_modules *modules;
} view;

static oc_status view_open(view *v, oc_err *err)
{
	oc_status st;

	*v = (view){NULL, NULL};
	st = oc_config_load(NULL, &v->config, err);
	if (st == OC_OK)
		st = oc_modules_new(NULL, v->config, NULL, &v->modules, err);
	if (st == OC_OK)
		st = oc_modules_scan(v->modules, err);
	return st;
}

static void view_close(view *v)
{
	oc_modules_free(v->modules);
	oc_config_unref(v->config);
}

/* From the gateway when one runs, else from the folders. ret_running tells which. */
static oc_status get_list(cJSON **ret, bool *ret_running, oc_err *err)
{
	cJSON *result = NULL;
	view v;
	oc_status st;

	*ret_running = oc_remote_alive();
	if (*ret_running && oc_remote_call("modules.list", NULL, 0, &result, err) == OC_OK) {
		cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(result, "modules");

		*ret = list != NULL ? list : result;
		if (list != NULL)
			cJSON_Delete(result);
		return OC_OK;
	}
	*ret_running = false;
	st = view_open(&v, err);
	if (st == OC_OK)
		*ret = oc_modules_describe(v.modules);
	view_close(&v);
	return st == OC_OK && *ret == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "no memory for the list of modules") : st;
}

static oc_status no_such_module(const char *name, oc_err *err)
{
	return oc_fail(err, OC_E_NOT_FOUND, "`openclaw module list` shows all that were found; put its .so into ~/.openclaw/modules",
		       "there is no module \"%s\"", name);
}

static oc_status get_one(const char *name, cJSON **ret, bool *ret_running, oc_err *err)
{
	cJSON *params = cJSON_CreateObject();
	oc_module *m;
	view v;
	oc_status st;

	*ret_running = oc_remote_alive();
	if (*ret_running && params != NULL && oc_json_set_str(params, "name", name)
	    && oc_remote_call("modules.info", params, 0, ret, err) == OC_OK)
		return OC_OK;
	if (!*ret_running)
		cJSON_Delete(params);
	*ret_running = false;
	st = view_open(&v, err);
	m = st == OC_OK ? oc_modules_find(v.modules, name) : NULL;
	if (st == OC_OK && m == NULL)
		st = no_such_module(name, err);
	if (st == OC_OK)
		*ret = oc_module_describe(m, true);
	view_close(&v);
	return st;
}

/* ---- Showing ---- */

/* The state as people see it; without a gateway nothing runs, so "verified" means that it would. */
static const char *state_of(const cJSON *m)
{
	const char *state = oc_json_str(m, "state", "?");

	return strcmp(state, "verified") == 0 || strcmp(state, "stopped") == 0 ? "enabled" : state;
}

static const char *colour_of(const char *state)
{
	if (strcmp(state, "started") == 0 || strcmp(state, "enabled") == 0)
		return oc_green();
	if (strcmp(state, "refused") == 0 || strcmp(state, "quarantined") == 0)
		return oc_red();
	return strcmp(state, "disabled") == 0 ? oc_dim() : oc_yellow();
}

/* "a, b, c"; the caller's. */
static char *words(const cJSON *list)
{
	oc_sbuf b;
	const cJSON *item;

	oc_sbuf_init(&b, 4096);
	cJSON_ArrayForEach(item, list) {
		oc_sbuf_z(&b, b.n > 0 ? ", " : "");
		oc_sbuf_z(&b, cJSON_IsString(item) ? item->valuestring : oc_json_str(item, "id", "?"));
	}
	return oc_sbuf_take(&b);
}

static void print_table(const cJSON *list)
{
	static const char *const heads[] = {"NAME", "VERSION", "STATE", "KINDS", "FROM", "WHY"};
	oc_table *table = oc_table_new(heads, 6);
	const cJSON *m;

	cJSON_ArrayForEach(m, list) {
		const char *state = state_of(m);
		oc_auto_free char *kinds = words(oc_json_get(m, "kinds"));
		oc_auto_free char *coloured = oc_asprintf("%s%s%s", colour_of(state), state, oc_plain());
		const char *cells[] = {oc_json_str(m, "name", "?"), oc_json_str(m, "version", ""), coloured, kinds,
				       oc_json_str(m, "origin", ""), oc_json_str(m, "reason", "")};

		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

static int module_list(const oc_args *args)
{
	cJSON *list = NULL;
	bool running = false;
	oc_err err = {0};

	if (get_list(&list, &running, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	if (cJSON_GetArraySize(list) == 0)
		printf("No modules were found. Bundled ones are installed with OpenClaw; others go into ~/.openclaw/modules.\n");
	else
		print_table(oc_cli_clean(list));
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

static const char *meaning(const char *capability)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{"net", "talks to the network"},
		{"exec", "runs commands in the sandbox"},
		{"fs.read", "reads files of the workspace"},
		{"fs.write", "changes files of the workspace"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, capability) == 0)
			return rows[i].text;
	return "";
}

static void row(const char *label, const char *text)
{
	if (text != NULL && text[0] != '\0')
		printf("%s%-13s%s%s\n", oc_bold(), label, oc_plain(), text);
}

static void row_words(const char *label, const cJSON *list)
{
	oc_auto_free char *text = words(list);

	row(label, text);
}

static void print_capabilities(const cJSON *m)
{
	const cJSON *item;
	const char *label = "capabilities";

	cJSON_ArrayForEach(item, oc_json_get(m, "capabilities")) {
		const char *name = cJSON_IsString(item) ? item->valuestring : "?";

		printf("%s%-13s%s%-10s %s\n", oc_bold(), label, oc_plain(), name, meaning(name));
		label = "";
	}
	if (label[0] != '\0')
		row(label, "none");
}

static void print_signature(const cJSON *m)
{
	const cJSON *s = oc_json_get(m, "signature");
	const char *state = oc_json_str(s, "state", ""), *key = oc_json_str(s, "key", "");

	if (strcmp(state, "good") == 0)
		printf("%s%-13s%s%sgood%s, key %s, %s\n", oc_bold(), "signature", oc_plain(), oc_green(), oc_plain(), key,
		       oc_json_str(s, "comment", ""));
	else if (strcmp(state, "bad") == 0)
		printf("%s%-13s%s%sbad%s: %s\n", oc_bold(), "signature", oc_plain(), oc_red(), oc_plain(), oc_json_str(s, "reason", ""));
	else if (key[0] != '\0')
		printf("%s%-13s%sby key %s, which is not in modules.trustedKeys\n", oc_bold(), "signature", oc_plain(), key);
	else if (state[0] != '\0')
		row("signature", "none");
}

/* What the operator should know before enabling. */
static void print_identity(const cJSON *m)
{
	oc_auto_free char *name = oc_asprintf("%s %s", oc_json_str(m, "name", "?"), oc_json_str(m, "version", ""));

	row("module", name);
	row("description", oc_json_str(m, "description", ""));
	row("license", oc_json_str(m, "license", ""));
	row("homepage", oc_json_str(m, "homepage", ""));
	row("file", oc_json_str(m, "path", ""));
	row("from", oc_json_str(m, "origin", ""));
	row("isolation", oc_json_str(m, "isolation", ""));
	row_words("kinds", oc_json_get(m, "kinds"));
	print_capabilities(m);
	row_words("secrets", oc_json_get(m, "secrets"));
	row_words("services", oc_json_get(m, "services"));
	row_words("providers", oc_json_get(m, "providers"));
	row_words("channels", oc_json_get(m, "channels"));
	row_words("tools", oc_json_get(m, "tools"));
	print_signature(m);
}

static void print_process(const cJSON *m)
{
	if (strcmp(oc_json_str(m, "isolation", ""), "process") != 0)
		return;
	printf("%s%-13s%s%lld, started again %lld times, ready in %lld ms\n", oc_bold(), "process", oc_plain(),
	       (long long)oc_json_i64(m, "pid", 0), (long long)oc_json_i64(m, "restarts", 0), (long long)oc_json_i64(m, "readyMs", 0));
	row("last failure", oc_json_str(m, "lastFailure", ""));
}

static void print_counts(const cJSON *m)
{
	const cJSON *calls = oc_json_get(m, "calls"), *memory = oc_json_get(m, "memory"), *callbacks = oc_json_get(m, "callbacks");

	printf("%s%-13s%s%lld open, %lld ok, %lld failed, %lld timed out\n", oc_bold(), "calls", oc_plain(),
	       (long long)oc_json_i64(calls, "open", 0), (long long)oc_json_i64(calls, "ok", 0),
	       (long long)oc_json_i64(calls, "failed", 0), (long long)oc_json_i64(calls, "timedOut", 0));
	printf("%s%-13s%s%lld bytes, at most %lld of %lld\n", oc_bold(), "memory", oc_plain(),
	       (long long)oc_json_i64(memory, "bytes", 0), (long long)oc_json_i64(memory, "peakBytes", 0),
	       (long long)oc_json_i64(memory, "limitBytes", 0));
	printf("%s%-13s%s%lld, %.1f ms in all, %.1f ms the longest\n", oc_bold(), "callbacks", oc_plain(),
	       (long long)oc_json_i64(callbacks, "count", 0), oc_json_num(callbacks, "totalMs", 0),
	       oc_json_num(callbacks, "maxMs", 0));
	if (oc_json_i64(m, "violations", 0) > 0)
		printf("%s%-13s%s%s%lld breaches of the contract%s\n", oc_bold(), "", oc_plain(), oc_yellow(),
		       (long long)oc_json_i64(m, "violations", 0), oc_plain());
}

static int module_info(const oc_args *args)
{
	cJSON *m = NULL;
	bool running = false;
	oc_err err = {0};
	const char *state;

	if (get_one(args->pos[0], &m, &running, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(m);
	print_identity(oc_cli_clean(m));
	state = state_of(m);
	printf("%s%-13s%s%s%s%s\n", oc_bold(), "state", oc_plain(), colour_of(state), state, oc_plain());
	row("why", oc_json_str(m, "reason", ""));
	row("what to do", oc_json_str(m, "remedy", ""));
	if (running && strcmp(state, "disabled") != 0 && strcmp(state, "refused") != 0) {
		print_process(m);
		print_counts(m);
	}
	cJSON_Delete(m);
	return OC_EXIT_OK;
}

/* ---- Enabling and disabling ---- */

typedef struct wanted {
	const char *what; /* a name or a path */
	oc_module *found;
} wanted;

static bool match_path(void *arg, oc_module *module)
{
	wanted *w = arg;

	if (strcmp(oc_module_path(module), w->what) != 0)
		return true;
	w->found = module;
	return false;
}

/* By name, or by the path of its file when two have one name. */
static oc_module *find(const view *v, const char *what)
{
	oc_auto_free char *path = strchr(what, '/') != NULL ? oc_path_expand(what, NULL) : NULL;
	wanted w = {.what = path};

	if (strchr(what, '/') == NULL)
		return oc_modules_find(v->modules, what);
	if (path != NULL)
		oc_modules_each(v->modules, match_path, &w);
	return w.found;
}

static bool confirmed(const oc_args *args, const oc_module *m)
{
	char line[16];

	if (oc_arg_flag(args, "yes") || oc_arg_flag(args, "json") || !isatty(0) || !isatty(1))
		return true;
	printf("\nIts code runs %s. Enable it? [y/N] ",
	       oc_module_isolated(m) ? "in a process of its own, with what it asks for" : "inside the gateway");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

/* modules.entries.NAME.member; the caller's, NULL: no memory. */
static char *entry_path(const oc_module *m, const char *member)
{
	oc_sbuf path;

	oc_sbuf_init(&path, 512);
	oc_sbuf_z(&path, "modules.entries");
	oc_jpath_add_name(&path, oc_module_name(m));
	oc_jpath_add_name(&path, member);
	return oc_sbuf_take(&path);
}

static oc_status write_enabled(const oc_module *m, const char *sha, oc_err *err)
{
	oc_config_edits edits = {0};

	oc_config_edits_set(&edits, entry_path(m, "enabled"), cJSON_CreateTrue());
	if (sha[0] != '\0')
		oc_config_edits_set(&edits, entry_path(m, "sha256"), cJSON_CreateString(sha));
	else
		oc_config_edits_remove(&edits, entry_path(m, "sha256"));
	return oc_config_edits_commit(&edits, NULL, err);
}

/* The configuration may still say no: then enabling it would be a lie. */
static oc_status check_lists(const view *v, const char *name, oc_err *err)
{
	static const struct {
		const char *path, *remedy;
		bool allow;
	} lists[] = {
		{"modules.deny", "take it out of modules.deny first", false},
		{"modules.allow", "add it to modules.allow first", true},
	};

	if (!oc_config_bool(v->config, "modules.enabled", true))
		return oc_fail(err, OC_E_DENIED, "openclaw config set modules.enabled true", "all modules are switched off");
	for (size_t i = 0; i < 2; i++) {
		const cJSON *list = oc_config_get(v->config, lists[i].path);
		bool in = oc_manifest_lists(list, oc_str_of(name));

		if (lists[i].allow ? cJSON_GetArraySize(list) > 0 && !in : in)
			return oc_fail(err, OC_E_DENIED, lists[i].remedy, "%s does not allow %s", lists[i].path, name);
	}
	return OC_OK;
}

static oc_status check_file(const oc_module *m, oc_err *err)
{
	if (oc_module_manifest(m) == NULL)
		return oc_fail(err, OC_E_DENIED, oc_module_remedy(m), "%s is refused: %s", oc_module_name(m), oc_module_reason(m));
	return OC_OK;
}

/* What the gateway would refuse is not enabled in the first place. */
static oc_status check_signature(const view *v, const oc_module *m, oc_err *err)
{
	oc_signature sig;
	oc_status st = oc_module_signature(m, &sig, err);

	if (st == OC_OK && sig.state != OC_SIGNATURE_GOOD && oc_config_bool(v->config, "modules.requireSignature", false))
		return oc_fail(err, OC_E_DENIED, "see modules.trustedKeys in the manual",
			       "%s is not signed by a key of modules.trustedKeys, and modules.requireSignature is on", oc_module_name(m));
	return st;
}

static int report(const oc_args *args, const oc_module *m, const char *sha)
{
	bool gateway = oc_remote_alive();

	oc_remote_take_up();
	if (oc_arg_flag(args, "json")) {
		cJSON *out = cJSON_CreateObject();

		(void)oc_json_set_str(out, "name", oc_module_name(m));
		(void)oc_json_set_bool(out, "enabled", sha != NULL);
		if (sha != NULL && sha[0] != '\0')
			(void)oc_json_set_str(out, "sha256", sha);
		(void)oc_json_set_bool(out, "gatewayRunning", gateway);
		return oc_cli_print_json(out);
	}
	printf("%s%s is %s.%s %s\n", oc_green(), oc_module_name(m), sha != NULL ? "enabled" : "disabled", oc_plain(),
	       gateway ? "The running gateway has taken it up."
		       : "It takes effect when the gateway starts.");
	return OC_EXIT_OK;
}

static int module_enable(const oc_args *args)
{
	view v;
	oc_module *m = NULL;
	cJSON *shown = NULL;
	char sha[65] = "";
	oc_err err = {0};
	int rc;
	oc_status st = view_open(&v, &err);

	if (st == OC_OK && (m = find(&v, args->pos[0])) == NULL)
		st = no_such_module(args->pos[0], &err);
	if (st == OC_OK)
		st = check_file(m, &err);
	if (st == OC_OK)
		st = check_lists(&v, oc_module_name(m), &err);
	if (st == OC_OK && !oc_module_bundled(m) && (st = check_signature(&v, m, &err)) == OC_OK)
		st = oc_module_sha256(m, sha, &err);
	if (st == OC_OK && !oc_arg_flag(args, "json")) {
		shown = oc_module_describe(m, true);
		print_identity(oc_cli_clean(shown));
		row("SHA-256", sha);
		cJSON_Delete(shown);
	}
	if (st == OC_OK && !oc_module_bundled(m) && !confirmed(args, m)) {
		printf("Nothing was changed.\n");
		view_close(&v);
		return OC_EXIT_FAILED;
	}
	if (st == OC_OK)
		st = oc_crash_forgive(oc_module_name(m), &err);
	if (st == OC_OK)
		st = write_enabled(m, sha, &err);
	rc = st == OC_OK ? report(args, m, sha) : oc_cli_fail(&err);
	view_close(&v);
	return rc;
}

static int module_disable(const oc_args *args)
{
	view v;
	oc_module *m = NULL;
	oc_config_edits edits = {0};
	oc_err err = {0};
	int rc;
	oc_status st = view_open(&v, &err);

	if (st == OC_OK && (m = find(&v, args->pos[0])) == NULL)
		st = no_such_module(args->pos[0], &err);
	if (st == OC_OK) {
		oc_config_edits_set(&edits, entry_path(m, "enabled"), cJSON_CreateFalse());
		st = oc_config_edits_commit(&edits, NULL, &err);
	}
	rc = st == OC_OK ? report(args, m, NULL) : oc_cli_fail(&err);
	view_close(&v);
	return rc;
}

/* ---- Doctor ---- */

typedef struct doctor {
	const char *only; /* one module */
	cJSON *findings;
	cJSON *running; /* as the gateway of this state folder has them; NULL: none runs */
	unsigned seen, bad;
} doctor;

static void finding(doctor *d, const char *name, const char *path, const char *level, const char *message, const char *remedy)
{
	cJSON *o = cJSON_CreateObject();

	if (o == NULL)
		return;
	(void)oc_json_set_str(o, "name", name);
	(void)oc_json_set_str(o, "level", level);
	(void)oc_json_set_str(o, "path", path);
	(void)oc_json_set_str(o, "message", message);
	(void)oc_json_set_str(o, "remedy", remedy);
	(void)cJSON_AddItemToArray(d->findings, o);
	d->bad += strcmp(level, "problem") == 0;
}

static bool in_state(const cJSON *row, const char *state)
{
	return strcmp(oc_json_str(row, "state", ""), state) == 0;
}

/* The gateway has something against it. */
static bool ails(const cJSON *row)
{
	return oc_json_str(row, "reason", "")[0] != 0 && !in_state(row, "disabled") && !in_state(row, "started");
}

/* What the gateway knows of it, taken out of its list; the caller's. */
static cJSON *take_row(doctor *d, const char *name, const char *path)
{
	cJSON *row;

	cJSON_ArrayForEach(row, d->running)
		if (strcmp(oc_json_str(row, "name", ""), name) == 0 && strcmp(oc_json_str(row, "path", ""), path) == 0)
			return cJSON_DetachItemViaPointer(d->running, row);
	return NULL;
}

static void tell_row(doctor *d, const cJSON *row)
{
	finding(d, oc_json_str(row, "name", ""), oc_json_str(row, "path", ""), "problem", oc_json_str(row, "reason", ""),
		oc_json_str(row, "remedy", ""));
}

/* One answer of each: what happened to it in the gateway says most, then what is wrong with the file that lies there now. */
static bool examine(void *arg, oc_module *m)
{
	doctor *d = arg;
	const char *name = oc_module_name(m), *path = oc_module_path(m);
	oc_module_state state = oc_module_get_state(m);
	oc_err err = {0};

	if (d->only != NULL && strcmp(name, d->only) != 0)
		return true;
	d->seen++;
	oc_auto_json cJSON *row = take_row(d, name, path);
	const char *unused = oc_json_str(row, "settingsUnused", "");
	if (unused[0] != 0)
		finding(d, name, path, "problem", unused, "correct its settings; until then it runs with the old ones");
	if (ails(row))
		tell_row(d, row);
	else if (state == OC_MODULE_REFUSED || state == OC_MODULE_QUARANTINED)
		finding(d, name, path, "problem", oc_module_reason(m), oc_module_remedy(m));
	else if (state == OC_MODULE_DISABLED)
		finding(d, name, path, "note", oc_module_reason(m), oc_module_remedy(m));
	else if (in_state(row, "started") && unused[0] == 0)
		finding(d, name, path, "ok", oc_module_isolated(m) ? "runs, in a process of its own" : "runs", "");
	else if (unused[0] != 0)
		; /* said */
	else if (oc_module_isolated(m)) /* its code is not let into this process */
		finding(d, name, path, "ok", "its file, manifest, permission and past are in order; its code was not looked at: that is done in a process of its own, by a gateway",
			d->running != NULL ? "" : "no gateway runs here; ask again beside one (openclaw gateway run)");
	else if (oc_module_check(m, &err) != OC_OK) /* as far as can be told without running it for real */
		finding(d, name, path, "problem", err.text, err.remedy);
	else
		finding(d, name, path, "ok", "in order", "");
	return true;
}

static void ask_gateway(doctor *d)
{
	oc_auto_json cJSON *result = NULL;

	if (oc_remote_alive() && oc_remote_call("modules.list", NULL, 0, &result, NULL) == OC_OK)
		d->running = cJSON_DetachItemFromObjectCaseSensitive(result, "modules");
}

/* Those that only the gateway has: plugins, for one. */
static void examine_rest(doctor *d)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, d->running) {
		if (d->only != NULL && strcmp(oc_json_str(row, "name", ""), d->only) != 0)
			continue;
		d->seen += d->only != NULL || ails(row);
		if (ails(row))
			tell_row(d, row);
		else if (d->only != NULL)
			finding(d, d->only, "", in_state(row, "disabled") ? "note" : "ok",
				in_state(row, "disabled") ? oc_json_str(row, "reason", "") : "runs", oc_json_str(row, "remedy", ""));
	}
}

static void print_findings(const doctor *d)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, d->findings) {
		const char *level = oc_json_str(o, "level", ""), *remedy = oc_json_str(o, "remedy", "");
		const char *colour = strcmp(level, "ok") == 0 ? oc_green() : strcmp(level, "note") == 0 ? oc_dim() : oc_red();

		printf("%s%-8s%s %s: %s\n", colour, level, oc_plain(), oc_json_str(o, "name", "?"), oc_json_str(o, "message", ""));
		if (remedy[0] != '\0')
			printf("%-9s-> %s\n", "", remedy);
	}
	printf("%u %s, %u %s\n", d->seen, d->seen == 1 ? "module" : "modules", d->bad, d->bad == 1 ? "problem" : "problems");
}

static int module_doctor(const oc_args *args)
{
	doctor d = {.only = args->n_pos > 0 ? args->pos[0] : NULL, .findings = cJSON_CreateArray()};
	view v;
	oc_err err = {0};
	oc_status st = view_open(&v, &err);
	int rc;

	if (st == OC_OK) {
		ask_gateway(&d);
		oc_modules_each(v.modules, examine, &d);
		examine_rest(&d);
		if (d.only != NULL && d.seen == 0)
			st = no_such_module(d.only, &err);
	}
	view_close(&v);
	cJSON_Delete(d.running);
	if (st != OC_OK) {
		cJSON_Delete(d.findings);
		return oc_cli_fail(&err);
	}
	rc = d.bad > 0 ? OC_EXIT_FAILED : OC_EXIT_OK;
	if (oc_arg_flag(args, "json")) {
		(void)oc_cli_print_json(d.findings);
		return rc;
	}
	oc_cli_clean(d.findings);
	print_findings(&d);
	cJSON_Delete(d.findings);
	return rc;
}

/* ---- Reload ---- */

static int module_reload(const oc_args *args)
{
	oc_auto_json cJSON *result = NULL;
	cJSON *params;
	oc_err err = {0};

	if (!oc_remote_alive()) {
		(void)oc_fail(&err, OC_E_UNAVAILABLE, "it reads settings and files when it starts", "no gateway runs");
		return oc_cli_fail(&err);
	}
	/* Settings that were just written count, also when the gateway has not looked at its file yet. */
	params = cJSON_CreateObject();
	(void)oc_json_set_bool(params, "secrets", false);
	if (oc_remote_call("system.reload", params, 0, &result, &err) != OC_OK)
		return oc_cli_fail(&err);
	cJSON_Delete(result);
	result = NULL;
	params = cJSON_CreateObject();
	(void)oc_json_set_str(params, "name", args->pos[0]);
	if (oc_remote_call("modules.reload", params, 0, &result, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json")) {
		(void)oc_cli_print_json(result);
		result = NULL;
	} else {
		printf("%s is %s%s%s.\n", args->pos[0], oc_green(), oc_json_str(result, "state", "?"), oc_plain());
	}
	return OC_EXIT_OK;
}

/* ---- The commands ---- */

static const oc_opt json_opt[] = {{"json", 0, NULL, "one JSON document"}, {0}};
static const oc_opt enable_opts[] = {
	{"yes", 'y', NULL, "do not ask"},
	{"json", 0, NULL, "one JSON document; does not ask"},
	{0},
};

static const oc_command list_command = {
	.name = "list",
	.summary = "every module found, its state and why",
	.opts = json_opt,
	.run = module_list,
};
static const oc_command info_command = {
	.name = "info",
	.args = "NAME",
	.summary = "one module: what it is, what it may do, how it does",
	.opts = json_opt,
	.min_args = 1,
	.max_args = 1,
	.run = module_info,
};
static const oc_command enable_command = {
	.name = "enable",
	.args = "NAME|PATH",
	.summary = "let a module run",
	.help = "Shows what the module asks for and writes modules.entries.NAME into the configuration.  For a module that is\n"
		"not bundled the SHA-256 of its file is kept there: when the file changes, it does not run until it is\n"
		"enabled again.  PATH chooses between two files that have one name.\n",
	.opts = enable_opts,
	.min_args = 1,
	.max_args = 1,
	.run = module_enable,
};
static const oc_command disable_command = {
	.name = "disable",
	.args = "NAME",
	.summary = "keep a module from running",
	.opts = json_opt,
	.min_args = 1,
	.max_args = 1,
	.run = module_disable,
};
static const oc_command reload_command = {
	.name = "reload",
	.args = "NAME",
	.summary = "let a module take its settings and file as they are now",
	.help = "For a running gateway, which goes on.  A module is handed settings that are new, if it can take them as it runs;\n"
		"without any, one in a process of its own gets a new process.  A quarantine ends.  The code of one inside the gateway\n"
		"stays as it was loaded; a file that was replaced runs only after \"openclaw module enable NAME\".\n",
	.opts = json_opt,
	.min_args = 1,
	.max_args = 1,
	.run = module_reload,
};
static const oc_command doctor_command = {
	.name = "doctor",
	.args = "[NAME]",
	.summary = "what keeps modules from running, and what to do",
	.help = "Checks files, manifests and hashes, says what a running gateway has against a module, and loads the code of enabled\n"
		"modules that run inside the gateway as far as their interfaces.\n"
		"Exit code 1 when there is a problem.\n",
	.opts = json_opt,
	.max_args = 1,
	.run = module_doctor,
};
static const oc_command *const subs[] = {&list_command, &info_command, &enable_command, &disable_command, &reload_command, &doctor_command,
	&oc_cmd_module_trace, &oc_cmd_module_new, &oc_cmd_module_build, &oc_cmd_module_test, &oc_cmd_module_verify, &oc_cmd_module_pack, NULL};

const oc_command oc_cmd_module = {
	.name = "module",
	.summary = "list, enable, examine and write modules",
	.help = "Modules are looked for in OPENCLAW_MODULE_PATH, modules.paths of the configuration, ~/.openclaw/modules and the\n"
		"system's folder of modules.  Those that OpenClaw comes with run unless disabled; all others only when they were enabled here.\n",
	.subs = subs,
};
