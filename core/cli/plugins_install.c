/*
 * openclaw plugins install, uninstall, update: fetching is done by the JavaScript side (ipc-bridge/node/install.js), which
 * runs nothing of the plugin; what was installed is written into the configuration here, with its comments kept.
 */
#include <errno.h>
#include <ftw.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/plugins.h"
#include "core/cli/remote.h"
#include "core/config/config.h"
#include "ipc-bridge/bridge.h"

enum { ANSWER_MAX = 1 << 20, REMOVE_FDS = 16 };

extern char **environ;

/* ---- The JavaScript side ---- */

static oc_status read_all(int fd, oc_sbuf *into)
{
	char chunk[16384];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return into->error;
		oc_sbuf_add(into, chunk, (size_t)n);
	}
}

/* Runs argv, gives its standard output; its errors go where ours go. */
static oc_status run(const char *const *argv, oc_sbuf *out, oc_err *err)
{
	posix_spawn_file_actions_t actions;
	int ends[2], state = 0;
	pid_t pid;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return oc_fail_errno(err, errno, "running %s", argv[0]);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	int failed = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (failed != 0) {
		close(ends[0]);
		return oc_fail_errno(err, failed, "running %s", argv[0]);
	}
	(void)read_all(ends[0], out);
	close(ends[0]);
	while (waitpid(pid, &state, 0) < 0 && errno == EINTR)
		;
	return out->n > 0 ? OC_OK : oc_fail(err, OC_E_INTERNAL, NULL, "%s ended without an answer", argv[0]);
}

/* What install.js says of a request, {"ok":true,…}; takes the request. */
static oc_status fetch(const oc_config *config, cJSON *request, cJSON **ret, oc_err *err)
{
	oc_auto_json cJSON *answer = NULL;
	oc_auto_free char *node = oc_bridge_node(config), *dir = oc_bridge_dir(), *text = oc_json_print(request);
	cJSON_Delete(request);
	oc_auto_free char *script = dir != NULL ? oc_path_join(dir, "install.js") : NULL;
	oc_sbuf out;
	if (node == NULL)
		return oc_fail(err, OC_E_UNAVAILABLE, "install Node.js 20 or newer, or set plugins.node to its path",
			       "TypeScript plugins run in Node.js, which is not here");
	if (script == NULL || text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	const char *const argv[] = {node, script, text, NULL};
	oc_sbuf_init(&out, ANSWER_MAX);
	oc_status status = run(argv, &out, err);
	if (status == OC_OK)
		status = oc_json_parse(oc_sbuf_view(&out), NULL, &answer, err);
	oc_sbuf_free(&out);
	if (status == OC_OK && !oc_json_bool(answer, "ok", false))
		status = oc_fail(err, OC_E_INVALID, oc_json_str(answer, "remedy", NULL), "%s", oc_json_str(answer, "error", "it failed"));
	if (status == OC_OK) {
		*ret = answer;
		answer = NULL;
	}
	return status;
}

/* ---- The configuration ---- */

static cJSON *record_of(const cJSON *got)
{
	cJSON *r = cJSON_CreateObject();
	char when[32];
	time_t now = time(NULL);
	struct tm tm;
	static const char *const copied[] = {"source", "spec", "sourcePath", "installPath", "version", "integrity", "resolved"};
	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		oc_plugins_opt(r, copied[i], oc_json_str(got, copied[i], NULL));
	gmtime_r(&now, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
	(void)oc_json_set_str(r, "installedAt", when);
	return r;
}

/* Installed means allowed to run: that is what was asked for. */
static oc_status remember(const oc_config *config, const cJSON *got, bool link, oc_err *err)
{
	const char *id = oc_json_str(got, "id", "");
	oc_config_edits e = {0};
	oc_status status = oc_plugin_forgive(id, err);
	if (status != OC_OK)
		return status;
	oc_config_edits_set(&e, oc_plugins_path("installs", id, ""), record_of(got));
	if (link)
		oc_config_edits_set(&e, oc_strdup("plugins.load.paths"),
				    oc_plugins_with(oc_config_get(config, "plugins.load.paths"), oc_json_str(got, "installPath", "")));
	oc_plugins_enable(&e, config, id, oc_json_get(got, "kind"));
	return oc_config_edits_commit(&e, NULL, err);
}

/* ---- Folders ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Only what lies directly in the extensions folder is ours to delete. */
static oc_status remove_folder(const char *extensions, const char *folder, oc_err *err)
{
	size_t n = strlen(extensions);
	const char *name = strncmp(folder, extensions, n) == 0 && folder[n] == '/' ? folder + n + 1 : "";
	if (name[0] == 0 || name[0] == '.' || strchr(name, '/') != NULL)
		return oc_fail(err, OC_E_DENIED, NULL, "%s is not in %s: it stays", folder, extensions);
	struct stat st;
	if (lstat(folder, &st) != 0)
		return OC_OK;
	if (S_ISLNK(st.st_mode) ? unlink(folder) != 0 : nftw(folder, remove_one, REMOVE_FDS, FTW_DEPTH | FTW_PHYS) != 0)
		return oc_fail_errno(err, errno, "removing %s", folder);
	return OC_OK;
}

/* ---- install ---- */

static void tell_installed(const cJSON *got, const char *verb)
{
	printf("%s %s%s%s %s into %s", verb, oc_bold(), oc_json_str(got, "id", ""), oc_plain(), oc_json_str(got, "version", ""),
	       oc_json_str(got, "installPath", ""));
	printf("; it is enabled%s.\n", oc_remote_alive() ? " and the running gateway has taken it up" : "");
}

/* Takes the request's further members. */
static oc_status install(const char *spec, bool link, bool replace, cJSON *request, cJSON **ret, oc_err *err)
{
	oc_config *config = NULL;
	cJSON *got = NULL;
	oc_auto_free char *extensions = oc_path_state("extensions");
	oc_status status = oc_config_load(NULL, &config, err);
	(void)oc_json_set_str(request, "spec", spec);
	(void)oc_json_set_str(request, "extensions", extensions != NULL ? extensions : "");
	(void)oc_json_set_bool(request, "link", link);
	(void)oc_json_set_bool(request, "replace", replace);
	if (status == OC_OK)
		status = fetch(config, request, &got, err);
	else
		cJSON_Delete(request);
	if (status == OC_OK) {
		status = remember(config, got, link, err);
		if (status != OC_OK && !link && !replace && extensions != NULL)
			(void)remove_folder(extensions, oc_json_str(got, "installPath", ""), NULL);
	}
	oc_config_unref(config);
	if (status == OC_OK) {
		oc_remote_take_up();
		*ret = got;
	} else {
		cJSON_Delete(got);
	}
	return status;
}

/* With --json a failure is a document, too. */
static int fail(const oc_args *args, const oc_err *err)
{
	if (!oc_arg_flag(args, "json"))
		return oc_cli_fail(err);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", false);
	(void)oc_json_set_str(o, "error", err->text);
	if (err->remedy[0] != 0)
		(void)oc_json_set_str(o, "remedy", err->remedy);
	(void)oc_cli_print_json(o);
	return OC_EXIT_FAILED;
}

static int run_install(const oc_args *args)
{
	oc_err err = {0};
	cJSON *got = NULL, *request = cJSON_CreateObject();
	int64_t seconds = 300;
	if (!oc_arg_i64(args, "timeout", 1, 86400, &seconds)) {
		cJSON_Delete(request);
		return OC_EXIT_USAGE;
	}
	(void)oc_json_set_i64(request, "timeoutMs", seconds * 1000);
	if (install(args->pos[0], oc_arg_flag(args, "link"), oc_arg_flag(args, "force"), request, &got, &err) != OC_OK)
		return fail(args, &err);
	oc_status status = oc_plugins_wait(oc_json_str(got, "id", ""), &err);
	if (oc_arg_flag(args, "json")) {
		oc_plugins_opt(got, "error", status != OC_OK ? err.text : NULL);
		(void)oc_cli_print_json(got);
		return status == OC_OK ? OC_EXIT_OK : OC_EXIT_FAILED;
	}
	oc_cli_clean(got);
	tell_installed(got, "Installed");
	cJSON_Delete(got);
	return status == OC_OK ? OC_EXIT_OK : oc_cli_fail(&err);
}

/* ---- uninstall ---- */

static oc_status forget(const oc_config *config, const char *id, const cJSON *record, oc_err *err)
{
	const cJSON *allow = oc_config_get(config, "plugins.allow"), *deny = oc_config_get(config, "plugins.deny");
	const cJSON *paths = oc_config_get(config, "plugins.load.paths");
	const char *folder = oc_json_str(record, "installPath", "");
	oc_config_edits e = {0};
	oc_config_edits_remove(&e, oc_plugins_path("entries", id, ""));
	oc_config_edits_remove(&e, oc_plugins_path("installs", id, ""));
	if (oc_json_has_str(allow, id))
		oc_config_edits_set(&e, oc_strdup("plugins.allow"), oc_plugins_without(allow, id));
	if (oc_json_has_str(deny, id))
		oc_config_edits_set(&e, oc_strdup("plugins.deny"), oc_plugins_without(deny, id));
	if (oc_json_has_str(paths, folder))
		oc_config_edits_set(&e, oc_strdup("plugins.load.paths"), oc_plugins_without(paths, folder));
	if (strcmp(oc_config_str(config, "plugins.slots.memory", ""), id) == 0)
		oc_config_edits_remove(&e, oc_strdup("plugins.slots.memory"));
	if (strcmp(oc_config_str(config, "plugins.slots.contextEngine", ""), id) == 0)
		oc_config_edits_remove(&e, oc_strdup("plugins.slots.contextEngine"));
	return oc_config_edits_commit(&e, NULL, err);
}

static int run_uninstall(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_json cJSON *info = NULL;
	oc_config *config = NULL;
	const char *id = args->pos[0];
	oc_auto_free char *extensions = oc_path_state("extensions");
	oc_status status = oc_config_load(NULL, &config, &err);
	if (status != OC_OK)
		return fail(args, &err);
	const cJSON *record = oc_json_get(oc_config_get(config, "plugins.installs"), id);
	bool found = oc_plugins_info(id, &info, &err) == OC_OK;
	bool linked = strcmp(oc_json_str(record, "source", ""), "path") == 0 &&
		      strcmp(oc_json_str(record, "sourcePath", "?"), oc_json_str(record, "installPath", "")) == 0;
	/* Without a record, what lies in the extensions folder under this id. */
	oc_auto_free char *folder = oc_strdup(oc_json_str(record, "installPath", found ? oc_json_str(info, "root", "") : ""));
	if (record == NULL && !found)
		status = err.code;
	bool keep = linked || oc_arg_flag(args, "keep-files") || folder == NULL || folder[0] == 0;
	/* First the files: a running gateway that sees only the settings gone starts it anew with none. */
	if (status == OC_OK && !keep && extensions != NULL)
		status = remove_folder(extensions, folder, &err);
	if (status == OC_OK)
		status = forget(config, id, record, &err);
	if (status == OC_OK)
		status = oc_plugin_forgive(id, &err);
	oc_config_unref(config);
	if (status != OC_OK)
		return fail(args, &err);
	oc_remote_take_up();
	if (oc_arg_flag(args, "json")) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_bool(o, "ok", true);
		(void)oc_json_set_str(o, "id", id);
		(void)oc_json_set_bool(o, "filesRemoved", !keep);
		return oc_cli_print_json(o);
	}
	printf("%s is uninstalled%s.\n", id, keep ? "; its files stay" : "");
	return OC_EXIT_OK;
}

/* ---- update ---- */

static oc_status update_one(const oc_args *args, const char *id, const cJSON *record, cJSON *out)
{
	oc_err err = {0};
	cJSON *row = cJSON_CreateObject(), *request = cJSON_CreateObject(), *got = NULL;
	const char *source = oc_json_str(record, "source", ""), *spec = oc_json_str(record, "spec", oc_json_str(record, "sourcePath", ""));
	oc_status status = OC_OK;
	(void)oc_json_set_str(row, "id", id);
	(void)oc_json_set_str(row, "from", oc_json_str(record, "version", ""));
	(void)oc_json_set_str(request, "expectId", id);
	/* A version that was named stays the same thing. */
	if (strcmp(source, "npm") == 0 && strrchr(spec, '@') != NULL && strrchr(spec, '@') != spec && !oc_arg_flag(args, "force"))
		oc_plugins_opt(request, "expectIntegrity", oc_json_str(record, "integrity", NULL));
	if (record == NULL || spec[0] == 0) {
		cJSON_Delete(request);
		status = oc_fail(&err, OC_E_NOT_FOUND, "openclaw plugins install", "there is no record of where %s came from", id);
	} else if (strcmp(source, "path") == 0 && strcmp(oc_json_str(record, "sourcePath", "?"), oc_json_str(record, "installPath", "")) == 0) {
		cJSON_Delete(request);
		(void)oc_json_set_str(row, "note", "linked: it is what its folder is");
	} else {
		status = install(spec, false, true, request, &got, &err);
	}
	(void)oc_json_set_bool(row, "ok", status == OC_OK);
	if (got != NULL) {
		(void)oc_json_set_str(row, "to", oc_json_str(got, "version", ""));
		oc_plugins_opt(row, "integrity", oc_json_str(got, "integrity", NULL));
	}
	if (status != OC_OK) {
		(void)oc_json_set_str(row, "error", err.text);
		if (err.remedy[0] != 0)
			(void)oc_json_set_str(row, "remedy", err.remedy);
	}
	cJSON_Delete(got);
	(void)cJSON_AddItemToArray(out, row);
	return status;
}

static int run_update(const oc_args *args)
{
	oc_err err = {0};
	oc_config *config = NULL;
	cJSON *rows = cJSON_CreateArray();
	const cJSON *row;
	bool failed = false;
	if (args->n_pos == 0 && !oc_arg_flag(args, "all")) {
		cJSON_Delete(rows);
		return oc_cli_usage(args, "name a plugin, or say --all");
	}
	if (oc_config_load(NULL, &config, &err) != OC_OK) {
		cJSON_Delete(rows);
		return fail(args, &err);
	}
	const cJSON *installs = oc_config_get(config, "plugins.installs");
	for (int i = 0; i < args->n_pos; i++)
		failed |= update_one(args, args->pos[i], oc_json_get(installs, args->pos[i]), rows) != OC_OK;
	if (args->n_pos == 0)
		cJSON_ArrayForEach(row, installs) failed |= update_one(args, row->string, row, rows) != OC_OK;
	oc_config_unref(config);
	if (oc_arg_flag(args, "json")) {
		(void)oc_cli_print_json(rows);
		return failed ? OC_EXIT_FAILED : OC_EXIT_OK;
	}
	oc_cli_clean(rows);
	cJSON_ArrayForEach(row, rows)
	{
		if (oc_json_bool(row, "ok", false))
			printf("%s: %s\n", oc_json_str(row, "id", ""), oc_json_str(row, "note", oc_json_str(row, "to", "")));
		else
			fprintf(stderr, "openclaw: %s: %s\n", oc_json_str(row, "id", ""), oc_json_str(row, "error", ""));
	}
	cJSON_Delete(rows);
	return failed ? OC_EXIT_FAILED : OC_EXIT_OK;
}

/* ---- The commands ---- */

const oc_command oc_plugins_install_command = {
	.name = "install", .args = "NAME|FOLDER|ARCHIVE", .summary = "fetch a plugin and let it run",
	.help = "From npm (NAME or NAME@VERSION), a folder, or a .tgz.  No script of it or of its dependencies is run, `openclaw` among\n"
		"them is not downloaded, and where it came from with its integrity is noted in plugins.installs.\n",
	.opts = (const oc_opt[]){{"link", 'l', NULL, "leave the folder where it is and load it from there"},
				 {"force", 'f', NULL, "replace what is installed under its id"},
				 {"timeout", 0, "SECONDS", "how long npm may take (300)"},
				 {"json", 0, NULL, "one JSON document"},
				 {0}},
	.min_args = 1, .max_args = 1, .run = run_install};
const oc_command oc_plugins_uninstall_command = {
	.name = "uninstall", .args = "ID", .summary = "remove a plugin, its files and its settings",
	.opts = (const oc_opt[]){{"keep-files", 0, NULL, "only forget it"}, {"json", 0, NULL, "one JSON document"}, {0}},
	.min_args = 1, .max_args = 1, .run = run_uninstall};
const oc_command oc_plugins_update_command = {
	.name = "update", .args = "[ID…]", .summary = "fetch installed plugins again, from where they came",
	.opts = (const oc_opt[]){{"all", 0, NULL, "every one that was installed"},
				 {"force", 'f', NULL, "also when what comes under the same version is not the same"},
				 {"json", 0, NULL, "one JSON document"},
				 {0}},
	.min_args = 0, .max_args = -1, .run = run_update};
