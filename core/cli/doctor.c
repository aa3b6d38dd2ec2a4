/*
 * openclaw doctor: looks at everything that can be wrong, says what and what to do, and with --fix does the part that is
 * safe to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/config/config.h"
#include "core/module/module.h"
#include "core/security/sandbox.h"
#include "core/store/store.h"

enum level { GOOD, NOTE, BAD };

struct doctor {
	bool json, fix;
	cJSON *findings;
	unsigned bad, notes;
};

static void say(struct doctor *d, enum level level, const char *topic, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
static void say(struct doctor *d, enum level level, const char *topic, const char *remedy, const char *format, ...)
{
	static const char *const names[] = {"ok", "note", "problem"};
	char text[1200];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	d->bad += level == BAD;
	d->notes += level == NOTE;
	if (d->json) {
		cJSON *row = cJSON_CreateObject();
		oc_json_set_str(row, "level", names[level]);
		oc_json_set_str(row, "topic", topic);
		oc_json_set_str(row, "message", text);
		if (remedy != NULL && remedy[0] != 0)
			oc_json_set_str(row, "remedy", remedy);
		cJSON_AddItemToArray(d->findings, row);
		return;
	}
	const char *colour = level == GOOD ? oc_green() : level == NOTE ? oc_yellow() : oc_red();
	printf("%s%-8s%s%-9s %s\n", colour, names[level], oc_plain(), topic, text);
	if (remedy != NULL && remedy[0] != 0)
		printf("%-17s -> %s\n", "", remedy);
}

static void check_mode(struct doctor *d, const char *path, mode_t wanted)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return;
	if (st.st_uid != geteuid()) {
		say(d, BAD, "state", "run as the owner, or chown it", "%s belongs to another user (uid %u)", path,
		    (unsigned)st.st_uid);
	} else if ((st.st_mode & 0077) != 0) {
		bool fixed = d->fix && chmod(path, wanted) == 0;
		say(d, fixed ? GOOD : BAD, "state", fixed ? "" : "openclaw doctor --fix, or chmod it",
		    "%s %s open to other users (mode %o)", path, fixed ? "was" : "is", st.st_mode & 0777);
	}
}

static void check_state(struct doctor *d)
{
	oc_auto_free char *dir = oc_path_state_dir();
	oc_err err = {0};
	if (dir == NULL)
		return;
	if (!oc_path_exists(dir) && d->fix && oc_path_mkdirs(dir, 0700, &err) != OC_OK)
		say(d, BAD, "state", err.remedy, "%s", err.text);
	if (!oc_path_exists(dir)) {
		say(d, NOTE, "state", "`openclaw onboard` makes it", "%s does not exist yet", dir);
		return;
	}
	static const char *const secret[] = {"openclaw.json", ".env", "openclaw.db", "credentials/gateway-token", NULL};
	static const char *const folders[] = {"credentials", "run", "logs", NULL};
	check_mode(d, dir, 0700);
	for (size_t i = 0; secret[i] != NULL; i++) {
		oc_auto_free char *path = oc_path_join(dir, secret[i]);
		if (path != NULL)
			check_mode(d, path, 0600);
	}
	for (size_t i = 0; folders[i] != NULL; i++) {
		oc_auto_free char *path = oc_path_join(dir, folders[i]);
		if (path != NULL)
			check_mode(d, path, 0700);
	}
	struct statvfs fs;
	if (access(dir, W_OK) != 0)
		say(d, BAD, "state", "", "%s cannot be written: %s", dir, strerror(errno));
	else if (statvfs(dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < (100u << 20))
		say(d, BAD, "state", "free space on the disk", "less than 100 MB are free for %s", dir);
	else
		say(d, GOOD, "state", "", "%s", dir);
}

static void check_config(struct doctor *d, const oc_config *config)
{
	if (!oc_config_exists(config)) {
		say(d, NOTE, "config", "`openclaw onboard` writes it", "%s does not exist: defaults are used",
		    oc_config_path(config));
		return;
	}
	for (size_t i = 0; i < oc_config_problem_count(config); i++) {
		const oc_config_problem *p = oc_config_problem_at(config, i);
		say(d, p->severity == OC_CONFIG_ERROR ? BAD : NOTE, "config", p->remedy, "%s%s%s", p->path,
		    p->path[0] != 0 ? ": " : "", p->message);
	}
	if (oc_config_problem_count(config) == 0)
		say(d, GOOD, "config", "", "%s", oc_config_path(config));
}

static bool check_module(void *arg, oc_module *module)
{
	struct doctor *d = arg;
	oc_module_state state = oc_module_get_state(module);
	if (state == OC_MODULE_REFUSED || state == OC_MODULE_QUARANTINED)
		say(d, BAD, "module", oc_module_remedy(module), "%s is %s: %s", oc_module_name(module),
		    oc_module_state_name(state), oc_module_reason(module));
	else if (state == OC_MODULE_DISABLED && !oc_module_bundled(module))
		say(d, NOTE, "module", oc_module_remedy(module), "%s: %s", oc_module_name(module), oc_module_reason(module));
	else
		say(d, GOOD, "module", "", "%s %s (%s)", oc_module_name(module), oc_module_version(module),
		    oc_module_state_name(state));
	return true;
}

static void check_modules(struct doctor *d, oc_config *config)
{
	oc_modules *modules = NULL;
	oc_err err = {0};
	if (oc_modules_new(NULL, config, NULL, &modules, &err) != OC_OK || oc_modules_scan(modules, &err) != OC_OK)
		say(d, BAD, "module", err.remedy, "%s", err.text);
	else
		oc_modules_each(modules, check_module, d);
	oc_modules_free(modules);
}

static void check_model(struct doctor *d, oc_config *config)
{
	oc_modules *modules = NULL;
	const char *model = oc_config_str(config, "agents.defaults.model.primary",
					  oc_config_str(config, "agents.defaults.model", NULL));
	if (model == NULL) {
		say(d, NOTE, "model", "`openclaw onboard` chooses one", "no model is configured: the offline provider answers");
		return;
	}
	const char *slash = strchr(model, '/');
	size_t n = slash != NULL ? (size_t)(slash - model) : strlen(model);
	if (oc_modules_new(NULL, config, NULL, &modules, NULL) == OC_OK && oc_modules_scan(modules, NULL) == OC_OK) {
		cJSON *known = oc_modules_known_providers(modules);
		const cJSON *p, *found = NULL;
		cJSON_ArrayForEach(p, known) if (oc_str_eq(oc_json_ostr(p, "id"), (oc_str){model, n})) found = p;
		char path[128];
		snprintf(path, sizeof path, "models.providers.%.*s", (int)n, model);
		const cJSON *own = oc_config_get(config, path);
		const char *env = oc_json_str(found, "env", NULL);
		bool has_key = oc_json_str(own, "apiKey", "")[0] != 0 || (env != NULL && oc_config_env(config, env) != NULL);
		if (found == NULL && own == NULL)
			say(d, BAD, "model", "add it under models.providers, or choose another with `openclaw onboard`",
			    "%s: no provider \"%.*s\" is known", model, (int)n, model);
		else if (env != NULL && !has_key)
			say(d, BAD, "model", "openclaw onboard, or set the variable in the .env of the state folder",
			    "%s: there is no key (%s)", model, env);
		else
			say(d, GOOD, "model", "", "%s", model);
		cJSON_Delete(known);
	}
	oc_modules_free(modules);
}

static void check_sandbox(struct doctor *d)
{
	oc_sandbox_report report;
	oc_err err = {0};
	if (oc_sandbox_probe(&report, &err) != OC_OK)
		say(d, BAD, "sandbox", err.remedy, "%s", err.text);
	else if (!report.strict)
		say(d, BAD, "sandbox", report.remedy, "strict does not work here: %s", report.problem);
	else
		say(d, GOOD, "sandbox", "", "strict works (Landlock ABI %d)", report.landlock_abi);
	oc_str rest = oc_str_of(err.code == OC_OK ? report.notes : "");
	while (rest.n > 0) {
		oc_str line = oc_str_cut(&rest, '\n');
		if (line.n > 0)
			say(d, NOTE, "sandbox", "", "%.*s", OC_STR_ARG(line));
	}
}

static void check_store(struct doctor *d)
{
	oc_auto_free char *path = oc_path_state("openclaw.db");
	oc_store *store = NULL;
	oc_err err = {0};
	if (path == NULL || !oc_path_exists(path)) {
		say(d, NOTE, "store", "", "there is no store yet: it is made with the first message");
		return;
	}
	if (oc_store_open(path, NULL, OC_STORE_READER, &store, &err) != OC_OK)
		say(d, BAD, "store", err.remedy, "%s", err.text);
	else
		say(d, GOOD, "store", "", "%s, %lld session%s", path, (long long)oc_store_session_count(store), OC_S(oc_store_session_count(store)));
	oc_store_stats stats = {0};
	if (store != NULL)
		oc_store_get_stats(store, &stats);
	if (stats.wal_bytes > OC_STORE_WAL_LARGE)
		say(d, BAD, "store", OC_STORE_WAL_REMEDY,
		    "the log beside it has %lld MiB and grows while another program reads; from %lld MiB on no new work is taken",
		    (long long)(stats.wal_bytes >> 20), (long long)(OC_STORE_WAL_FULL >> 20));
	oc_store_close(store);
}

static void check_gateway(struct doctor *d)
{
	cJSON *status = NULL;
	oc_err err = {0};
	oc_status code = oc_remote_call("system.status", NULL, 3000, &status, &err);
	if (code == OC_OK)
		say(d, GOOD, "gateway", "", "runs at %s", oc_json_str(oc_json_get(status, "listen"), "url", "?"));
	else if (code == OC_E_UNAVAILABLE)
		say(d, NOTE, "gateway", err.remedy, "%s", err.text);
	else
		say(d, BAD, "gateway", err.remedy, "it does not answer as it should: %s", err.text);
	cJSON_Delete(status);
}

static int run_doctor(const oc_args *args)
{
	struct doctor d = {
		.json = oc_arg_flag(args, "json"),
		.fix = oc_arg_flag(args, "fix") || oc_arg_flag(args, "repair"),
		.findings = cJSON_CreateArray(),
	};
	oc_config *config = NULL;
	oc_err err = {0};
	oc_log_set_level(OC_LOG_ERROR);
	check_state(&d);
	if (oc_config_load(NULL, &config, &err) != OC_OK) {
		say(&d, BAD, "config", err.remedy, "%s", err.text);
		oc_config_load_gateway(NULL, &config, &err);
	} else {
		check_config(&d, config);
	}
	if (config != NULL) {
		check_modules(&d, config);
		check_model(&d, config);
	}
	check_sandbox(&d);
	check_store(&d);
	check_gateway(&d);
	oc_config_unref(config);
	if (d.json) {
		cJSON *root = cJSON_CreateObject();
		oc_json_set_bool(root, "ok", d.bad == 0);
		oc_json_set(root, "findings", d.findings);
		oc_cli_print_json(root);
	} else {
		cJSON_Delete(d.findings);
		printf("\n%u problem%s, %u note%s\n", d.bad, d.bad == 1 ? "" : "s", d.notes, d.notes == 1 ? "" : "s");
	}
	return d.bad == 0 ? OC_EXIT_OK : OC_EXIT_FAILED;
}

const oc_command oc_cmd_doctor = {
	.name = "doctor",
	.summary = "find what is wrong, and repair what is safe to repair",
	.opts = (const oc_opt[]){{"fix", 0, NULL, "repair: missing folders, modes of files"},
				 {"repair", 0, NULL, "the same as --fix"},
				 {"deep", 0, NULL, "taken for compatibility: everything is always looked at"},
				 {"json", 0, NULL, "print JSON"},
				 {0}},
	.help = "Exit code 1 when there is a problem; notes alone are fine.\n",
	.run = run_doctor,
};
