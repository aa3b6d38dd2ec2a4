/* openclaw migrate: an installation of the TypeScript original, taken over.  It is read only, so this can be done again. */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/migrate.h"
#include "core/cli/remote.h"

#define SHOWN_MAX 12 /* lines an action of a part; --json has all */

/* ---- What was found ---- */

cJSON *oc_migration_note(oc_migration *m, const char *part, const char *name, const char *action, const char *format, ...)
{
	char detail[512];
	va_list args;
	va_start(args, format);
	vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	cJSON *item = cJSON_CreateObject();
	oc_json_opt(item, "part", part);
	oc_json_opt(item, "name", name);
	oc_json_opt(item, "action", action);
	oc_json_opt(item, "detail", detail[0] != 0 ? detail : NULL);
	if (item == NULL || !cJSON_AddItemToArray(m->items, item)) {
		cJSON_Delete(item);
		return NULL;
	}
	return item;
}

void oc_migration_fail(oc_migration *m, const char *part, const char *name, const oc_err *err)
{
	cJSON *item = oc_migration_note(m, part, name, "fail", "%s", err->text[0] != 0 ? err->text : oc_status_text(err->code));
	oc_json_opt(item, "remedy", err->remedy[0] != 0 ? err->remedy : NULL);
	m->failed++;
}

static void look(oc_migration *m, bool act)
{
	cJSON_Delete(m->items);
	m->items = cJSON_CreateArray();
	m->act = act;
	m->failed = 0;
	oc_migrate_files(m);
	oc_migrate_senders(m);
	oc_migrate_jobs(m);
	oc_migrate_sessions(m);
}

/* ---- Where it is ---- */

/* Files that only the original makes. */
static bool is_installation(const char *dir)
{
	static const char *const marks[] = {"agents/main/sessions/sessions.json", "credentials", "cron/jobs.json", "clawdbot.json",
					    "moltbot.json", "identity/device.json", "devices/paired.json"};
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		oc_auto_free char *path = oc_path_join(dir, marks[i]);
		if (path != NULL && oc_path_exists(path))
			return true;
	}
	return false;
}

/* --from, else the state folder itself, else where the releases kept theirs. */
static char *find_source(const oc_args *args, const char *to, oc_err *err)
{
	static const char *const places[] = {"~/.openclaw", "~/.clawdbot", "~/.moltbot"};
	const char *from = oc_arg(args, "from");
	if (from != NULL) {
		char *path = oc_path_expand(from, NULL);
		if (path != NULL && oc_path_exists(path))
			return path;
		(void)oc_fail(err, OC_E_NOT_FOUND, NULL, "there is no folder %s", from);
		oc_free(path);
		return NULL;
	}
	if (is_installation(to))
		return oc_strdup(to);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char *path = oc_path_expand(places[i], NULL);
		if (path != NULL && is_installation(path))
			return path;
		oc_free(path);
	}
	(void)oc_fail(err, OC_E_NOT_FOUND, "name its state folder: openclaw migrate --from DIR",
		      "there is no TypeScript installation in %s, ~/.openclaw, ~/.clawdbot or ~/.moltbot", to);
	return NULL;
}

static oc_config *source_config(const char *from)
{
	const char *name = oc_migrate_config_name(from);
	oc_auto_free char *path = name != NULL ? oc_path_join(from, name) : NULL;
	oc_config *config = NULL;
	if (path != NULL)
		(void)oc_config_load(path, &config, NULL);
	return config;
}

/* ---- Saying it ---- */

static const struct {
	const char *action, *before, *after;
} words[] = {
	{"import", "will be taken over", "taken over"},
	{"append", "will be continued", "continued"},
	{"copy", "will be copied", "copied"},
	{"use", "is used where it is", "is used where it is"},
	{"same", "was taken over before", "was taken over before"},
	{"keep", "is left as it is here", "is left as it is here"},
	{"skip", "is not taken over", "is not taken over"},
	{"fail", "cannot be taken over", "cannot be taken over"},
};

static const char *say(const char *action, bool act)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].action, action) == 0)
			return act ? words[i].after : words[i].before;
	return action;
}

static void print_item(const cJSON *item, bool act)
{
	const char *action = oc_json_str(item, "action", ""), *detail = oc_json_str(item, "detail", "");
	const char *remedy = oc_json_str(item, "remedy", "");
	int64_t messages = oc_json_i64(item, "messages", 0), broken = oc_json_i64(item, "unreadable", 0);
	bool bad = strcmp(action, "fail") == 0;
	printf("  %-13s ", oc_json_str(item, "part", ""));
	oc_cli_text(stdout, oc_json_ostr(item, "name"), 120, true);
	printf(" %s%s%s", bad ? oc_red() : oc_dim(), say(action, act), oc_plain());
	if (messages > 0)
		printf(", %lld message%s", (long long)messages, messages == 1 ? "" : "s");
	if (broken > 0)
		printf(", %lld line%s cannot be read", (long long)broken, broken == 1 ? "" : "s");
	if (detail[0] != 0) {
		fputs(": ", stdout);
		oc_cli_text(stdout, oc_str_of(detail), 300, true);
	}
	putchar('\n');
	if (remedy[0] != 0)
		printf("  %-13s -> %s\n", "", remedy);
}

/* A part's items of one action, the first few of many. */
static void print_group(const oc_migration *m, const char *part, const char *action)
{
	const cJSON *item;
	size_t n = 0;
	int64_t messages = 0;
	cJSON_ArrayForEach(item, m->items)
	{
		if (strcmp(oc_json_str(item, "part", ""), part) != 0 || strcmp(oc_json_str(item, "action", ""), action) != 0)
			continue;
		if (n < SHOWN_MAX)
			print_item(item, m->act);
		else
			messages += oc_json_i64(item, "messages", 0);
		n++;
	}
	if (n > SHOWN_MAX)
		printf("  %-13s and %zu more %s, %lld message%s (--json names them)\n", part, n - SHOWN_MAX, say(action, m->act),
		       (long long)messages, OC_S(messages));
}

static void print_all(const oc_migration *m)
{
	static const char *const parts[] = {"configuration", "setting", "logins", "devices", "workspace", "skills", "plugins", "sender", "job", "session"};
	printf("%s: %s%s\n", m->act ? "Taken over" : "Found", m->from, m->in_place ? " (the state folder itself: files stay where they are)" : "");
	for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
		for (size_t a = 0; a < sizeof words / sizeof *words; a++)
			print_group(m, parts[p], words[a].action);
}

static bool changes_something(const oc_migration *m)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, m->items)
	{
		const char *action = oc_json_str(item, "action", "");
		if (strcmp(action, "import") == 0 || strcmp(action, "append") == 0 || strcmp(action, "copy") == 0)
			return true;
	}
	return false;
}

/* ---- Doing it ---- */

static int print_json(oc_migration *m)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "from", m->from);
	(void)oc_json_set_str(o, "to", m->to);
	(void)oc_json_set_bool(o, "done", m->act);
	(void)oc_json_set(o, "items", m->items);
	m->items = NULL;
	int code = oc_cli_print_json(o);
	return m->failed > 0 ? OC_EXIT_FAILED : code;
}

static oc_status open_store(oc_migration *m, const char *path, bool act, oc_err *err)
{
	oc_store_close(m->store);
	m->store = NULL;
	oc_status status = oc_store_open(path, NULL, act ? OC_STORE_SHARED : OC_STORE_READER, &m->store, err);
	if (act || status == OC_OK || status == OC_E_NOT_FOUND)
		return status == OC_E_NOT_FOUND && !act ? OC_OK : status;
	/* Whoever began to make it was killed, or an older program wrote it: what only reads cannot put that right. */
	return oc_store_open(path, NULL, OC_STORE_SHARED, &m->store, err);
}

static int carry_out(oc_migration *m, const oc_args *args, const char *database)
{
	bool json = oc_arg_flag(args, "json");
	oc_err err = {0};
	if (open_store(m, database, false, &err) != OC_OK)
		return oc_cli_fail(&err);
	look(m, false);
	bool work = changes_something(m), dry = oc_arg_flag(args, "dry-run");
	if (json && (dry || !work))
		return print_json(m);
	if (!json && (dry || !work || !oc_arg_flag(args, "yes")))
		print_all(m);
	if (!json && !work)
		puts("There is nothing new to take over.");
	if (dry || !work)
		return m->failed > 0 ? OC_EXIT_FAILED : OC_EXIT_OK;
	if (oc_remote_alive()) {
		(void)oc_fail(&err, OC_E_BUSY, "openclaw gateway stop, then openclaw migrate again", "a gateway is running on %s", m->to);
		return oc_cli_fail(&err);
	}
	if (!oc_cli_agreed(args, "nothing was changed", "The source is not changed. Go on?"))
		return OC_EXIT_FAILED;
	if (oc_path_mkdirs(m->to, 0700, &err) != OC_OK || open_store(m, database, true, &err) != OC_OK)
		return oc_cli_fail(&err);
	look(m, true);
	if (json)
		return print_json(m);
	print_all(m);
	if (m->failed == 0)
		puts("\nNext: openclaw doctor, then openclaw gateway run");
	return m->failed > 0 ? OC_EXIT_FAILED : OC_EXIT_OK;
}

static int run_migrate(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_free char *to = oc_path_state_dir();
	oc_auto_free char *from = to != NULL ? find_source(args, to, &err) : NULL;
	oc_auto_free char *database = oc_path_state("openclaw.db");
	if (from == NULL || database == NULL)
		return oc_cli_fail(&err);
	char real_from[PATH_MAX], real_to[PATH_MAX];
	oc_migration m = {
		.from = from,
		.to = to,
		.in_place = realpath(from, real_from) != NULL && realpath(to, real_to) != NULL && strcmp(real_from, real_to) == 0,
		.config = source_config(from),
	};
	int code = carry_out(&m, args, database);
	oc_store_close(m.store);
	oc_config_unref(m.config);
	cJSON_Delete(m.items);
	return code;
}

const oc_command oc_cmd_migrate = {
	.name = "migrate",
	.summary = "take over an installation of the TypeScript original",
	.help = "Reads its state folder: configuration, .env, logins, paired devices, workspaces, skills, plugins, senders who were\n"
		"let in, jobs by the clock, and the sessions of every agent. Says what becomes of each, asks, and does it. The source is only read, and what is here\n"
		"already is not written over: when the original went on meanwhile, say it again for what is new.\n"
		"Without --from it is the state folder itself, else ~/.openclaw, ~/.clawdbot or ~/.moltbot.\n",
	.opts = (const oc_opt[]){{"from", 0, "DIR", "its state folder"},
				 {"dry-run", 0, NULL, "only say what would be done"},
				 {"yes", 'y', NULL, "do not ask"},
				 {"json", 0, NULL, "one JSON document"},
				 {0}},
	.run = run_migrate,
};
