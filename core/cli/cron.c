/* openclaw cron: jobs by the clock; openclaw system: events and heartbeats. All of it through the gateway. */
#include <string.h>

#include "core/agent/budget.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"

/* Calls, prints the answer as JSON when that was asked for, else hands it to print (which may be NULL: the words are said). */
static int ask(const oc_args *args, const char *method, cJSON *params, void (*print)(const cJSON *result), const char *words)
{
	oc_auto_json cJSON *result = NULL;
	oc_err err = {0};
	if (oc_remote_call(method, params, 0, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	if (oc_arg_flag(args, "json")) {
		cJSON *whole = result;
		result = NULL;
		return oc_cli_print_json(whole);
	}
	if (print != NULL)
		print(oc_cli_clean(result));
	else
		puts(words);
	return OC_EXIT_OK;
}

static cJSON *of_id(const oc_args *args)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", args->pos[0]);
	return o;
}

/* ---- Showing ---- */

static const char *stamp(int64_t ms, char out[32])
{
	if (ms <= 0)
		return "-";
	(void)oc_wall_format(ms, out, 32);
	out[19] = 'Z'; /* without the milliseconds */
	out[20] = 0;
	return out;
}

static char *schedule_text(const cJSON *s)
{
	const char *kind = oc_json_str(s, "kind", "");
	if (strcmp(kind, "at") == 0)
		return oc_asprintf("at %s", oc_json_str(s, "at", ""));
	if (strcmp(kind, "every") == 0)
		return oc_asprintf("every %lld s", (long long)(oc_json_i64(s, "everyMs", 0) / 1000));
	return oc_asprintf("%s%s%s", oc_json_str(s, "expr", ""), oc_json_get(s, "tz") != NULL ? " " : "", oc_json_str(s, "tz", ""));
}

static void print_list(const cJSON *r)
{
	static const char *const heads[] = {"ID", "NAME", "SCHEDULE", "NEXT", "LAST", "STATUS", "SESSION"};
	const cJSON *job, *jobs = oc_json_get(r, "jobs");
	if (cJSON_GetArraySize(jobs) == 0) {
		puts("There are no jobs. Add one: openclaw cron add --name NAME --every 1h --message TEXT");
		return;
	}
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof *heads);
	cJSON_ArrayForEach(job, jobs)
	{
		char next[32], last[32];
		const cJSON *state = oc_json_get(job, "state");
		oc_auto_free char *when = schedule_text(oc_json_get(job, "schedule"));
		const char *status = !oc_json_bool(job, "enabled", true)	  ? "disabled"
				     : oc_json_get(state, "runningAtMs") != NULL ? "running"
										  : oc_json_str(state, "lastStatus", "idle");
		const char *cells[] = {oc_json_str(job, "id", ""),
				       oc_json_str(job, "name", ""),
				       when != NULL ? when : "",
				       stamp(oc_json_i64(state, "nextRunAtMs", 0), next),
				       stamp(oc_json_i64(state, "lastRunAtMs", 0), last),
				       status,
				       oc_json_str(job, "sessionTarget", "")};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

static void print_job(const cJSON *job)
{
	char next[32];
	printf("%s  %s%s%s  next: %s\n", oc_json_str(job, "id", ""), oc_bold(), oc_json_str(job, "name", ""), oc_plain(),
	       stamp(oc_json_i64(oc_json_get(job, "state"), "nextRunAtMs", 0), next));
}

static void print_status(const cJSON *r)
{
	char next[32];
	printf("Jobs by the clock are %s: %lld, the next one at %s\n", oc_json_bool(r, "enabled", false) ? "on" : "off",
	       (long long)oc_json_i64(r, "jobs", 0), stamp(oc_json_i64(r, "nextWakeAtMs", 0), next));
}

static void print_run(const cJSON *r)
{
	if (oc_json_get(r, "runId") != NULL)
		puts("It runs; see `openclaw cron runs`.");
	else
		printf("It did not run: %s\n", oc_json_str(r, "reason", ""));
}

static void print_runs(const cJSON *r)
{
	static const char *const heads[] = {"WHEN", "JOB", "STATUS", "SECONDS", "DELIVERY", "SUMMARY"};
	const cJSON *entry, *entries = oc_json_get(r, "entries");
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof *heads);
	cJSON_ArrayForEach(entry, entries)
	{
		char when[32], seconds[32], summary[64];
		(void)snprintf(seconds, sizeof seconds, "%.1f", oc_json_num(entry, "durationMs", 0) / 1000);
		(void)snprintf(summary, sizeof summary, "%.60s", oc_json_str(entry, "error", oc_json_str(entry, "summary", "")));
		const char *cells[] = {stamp(oc_json_i64(entry, "runAtMs", 0), when),
				       oc_json_str(entry, "jobName", oc_json_str(entry, "jobId", "")),
				       oc_json_str(entry, "status", ""),
				       seconds,
				       oc_json_str(entry, "deliveryStatus", ""),
				       summary};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

/* ---- What a job is made of ---- */

static void text_opt(const oc_args *args, const char *option, cJSON *o, const char *member)
{
	const char *value = oc_arg(args, option);
	if (value != NULL)
		(void)oc_json_set_str(o, member, value);
}

/* One of --at, --every, --cron. false: what is wrong was said. */
static bool schedule_of(const oc_args *args, cJSON *job)
{
	const char *at = oc_arg(args, "at"), *every = oc_arg(args, "every"), *expr = oc_arg(args, "cron");
	int given = (at != NULL) + (every != NULL) + (expr != NULL);
	if (given > 1) {
		(void)oc_cli_usage(args, "give only one of --at, --every and --cron");
		return false;
	}
	if (given == 0)
		return true;
	cJSON *s = cJSON_AddObjectToObject(job, "schedule");
	(void)oc_json_set_str(s, "kind", at != NULL ? "at" : every != NULL ? "every" : "cron");
	if (at != NULL) {
		char text[32];
		int64_t in = oc_duration_ms(at[0] == '+' ? at + 1 : at, 0, -1);
		(void)oc_json_set_str(s, "at", in > 0 ? oc_wall_format(oc_wall_ms() + in, text, sizeof text) : at);
	} else if (every != NULL) {
		int64_t ms = oc_duration_ms(every, 60000, -1);
		if (ms <= 0) {
			(void)oc_cli_usage(args, "--every takes a time such as 10m, 1h or 1d");
			return false;
		}
		(void)oc_json_set_i64(s, "everyMs", ms);
	} else {
		(void)oc_json_set_str(s, "expr", expr);
		text_opt(args, "tz", s, "tz");
		if (oc_arg_flag(args, "exact"))
			(void)oc_json_set_i64(s, "staggerMs", 0);
		else if (oc_arg(args, "stagger") != NULL)
			(void)oc_json_set_i64(s, "staggerMs", oc_duration_ms(oc_arg(args, "stagger"), 1000, 0));
	}
	return true;
}

/* One flag says yes, the other no, neither nothing. */
static void flag_opt(const oc_args *args, const char *yes, const char *no, cJSON *o, const char *member)
{
	if (oc_arg_flag(args, yes) || oc_arg_flag(args, no))
		(void)oc_json_set_bool(o, member, oc_arg_flag(args, yes));
}

static bool payload_of(const oc_args *args, cJSON *job)
{
	const char *event = oc_arg(args, "system-event"), *message = oc_arg(args, "message");
	int64_t timeout = -1;
	if (event != NULL && message != NULL) {
		(void)oc_cli_usage(args, "give only one of --system-event and --message");
		return false;
	}
	if (!oc_arg_i64(args, "timeout-seconds", 0, 86400 * 7, &timeout))
		return false;
	cJSON *p = cJSON_CreateObject();
	if (event != NULL) {
		(void)oc_json_set_str(p, "kind", "systemEvent");
		(void)oc_json_set_str(p, "text", event);
	} else {
		text_opt(args, "message", p, "message");
		text_opt(args, "model", p, "model");
		text_opt(args, "thinking", p, "thinking");
		if (timeout >= 0)
			(void)oc_json_set_i64(p, "timeoutSeconds", timeout);
		flag_opt(args, "light-context", "no-light-context", p, "lightContext");
		if (p->child != NULL)
			(void)oc_json_set_str(p, "kind", "agentTurn");
	}
	if (p->child != NULL)
		(void)oc_json_set(job, "payload", p);
	else
		cJSON_Delete(p);
	return true;
}

static void delivery_of(const oc_args *args, cJSON *job)
{
	const char *hook = oc_arg(args, "webhook");
	cJSON *d = cJSON_CreateObject();
	const char *mode = oc_arg_flag(args, "no-deliver") ? "none" : hook != NULL ? "webhook" : oc_arg_flag(args, "announce") || oc_arg_flag(args, "deliver") ? "announce" : NULL;
	text_opt(args, "channel", d, "channel");
	text_opt(args, "to", d, "to");
	text_opt(args, "account", d, "accountId");
	if (hook != NULL)
		(void)oc_json_set_str(d, "to", hook);
	flag_opt(args, "best-effort-deliver", "no-best-effort-deliver", d, "bestEffort");
	if (mode != NULL || d->child != NULL)
		(void)oc_json_set_str(d, "mode", mode != NULL ? mode : "announce");
	if (d->child != NULL)
		(void)oc_json_set(job, "delivery", d);
	else
		cJSON_Delete(d);
}

/* When somebody is told that it fails again and again. false: what is wrong was said. */
static bool alert_of(const oc_args *args, cJSON *job)
{
	static const char *const texts[][2] = {{"failure-alert-channel", "channel"}, {"failure-alert-to", "to"}, {"failure-alert-mode", "mode"},
					       {"failure-alert-account-id", "accountId"}};
	const char *cooldown = oc_arg(args, "failure-alert-cooldown");
	int64_t after = 0, ms = cooldown != NULL ? oc_duration_ms(cooldown, 60000, -1) : 0;
	if (!oc_arg_i64(args, "failure-alert-after", 1, 1000, &after))
		return false;
	if (ms < 0) {
		(void)oc_cli_usage(args, "--failure-alert-cooldown takes a time such as 30m or 1h");
		return false;
	}
	cJSON *alert = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		text_opt(args, texts[i][0], alert, texts[i][1]);
	if (after > 0)
		(void)oc_json_set_i64(alert, "after", after);
	if (cooldown != NULL)
		(void)oc_json_set_i64(alert, "cooldownMs", ms);
	bool none = oc_arg_flag(args, "no-failure-alert"), asked = alert->child != NULL || oc_arg_flag(args, "failure-alert");
	if (none || asked)
		(void)oc_json_set(job, "failureAlert", none ? cJSON_CreateFalse() : alert);
	if (none || !asked)
		cJSON_Delete(alert);
	if (none && asked)
		(void)oc_cli_usage(args, "--no-failure-alert does not go with the other options of alerts");
	return !(none && asked);
}

/* NULL: what is wrong was said. */
static cJSON *job_of(const oc_args *args)
{
	cJSON *job = cJSON_CreateObject();
	text_opt(args, "name", job, "name");
	text_opt(args, "description", job, "description");
	text_opt(args, "agent", job, "agentId");
	text_opt(args, "session-key", job, "sessionKey");
	text_opt(args, "session", job, "sessionTarget");
	text_opt(args, "wake", job, "wakeMode");
	flag_opt(args, "delete-after-run", "keep-after-run", job, "deleteAfterRun");
	if (!schedule_of(args, job) || !payload_of(args, job) || !alert_of(args, job)) {
		cJSON_Delete(job);
		return NULL;
	}
	delivery_of(args, job);
	return job;
}

static int run_add(const oc_args *args)
{
	cJSON *job = job_of(args);
	if (job == NULL)
		return OC_EXIT_USAGE;
	const char *lacks = oc_json_get(job, "name") == NULL	  ? "--name"
			    : oc_json_get(job, "schedule") == NULL ? "one of --at, --every and --cron"
			    : oc_json_get(job, "payload") == NULL  ? "--message or --system-event"
								   : NULL;
	if (lacks != NULL) {
		cJSON_Delete(job);
		return oc_cli_usage(args, "give %s", lacks);
	}
	if (oc_arg_flag(args, "disabled"))
		(void)oc_json_set_bool(job, "enabled", false);
	return ask(args, "cron.add", job, print_job, NULL);
}

static int patch(const oc_args *args, cJSON *changes)
{
	cJSON *o = of_id(args);
	(void)oc_json_set(o, "patch", changes);
	return ask(args, "cron.update", o, print_job, NULL);
}

static int run_edit(const oc_args *args)
{
	cJSON *job = job_of(args);
	if (job == NULL)
		return OC_EXIT_USAGE;
	if (oc_arg_flag(args, "enable") || oc_arg_flag(args, "disable"))
		(void)oc_json_set_bool(job, "enabled", oc_arg_flag(args, "enable"));
	if (oc_arg_flag(args, "clear-agent"))
		(void)oc_json_set(job, "agentId", cJSON_CreateNull());
	if (oc_arg_flag(args, "clear-session-key"))
		(void)oc_json_set(job, "sessionKey", cJSON_CreateNull());
	if (job->child == NULL) {
		cJSON_Delete(job);
		return oc_cli_usage(args, "say what is to be changed");
	}
	return patch(args, job);
}

static int set_enabled(const oc_args *args, bool enabled)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "enabled", enabled);
	return patch(args, o);
}

static int run_enable(const oc_args *args)
{
	return set_enabled(args, true);
}

static int run_disable(const oc_args *args)
{
	return set_enabled(args, false);
}

static int run_list(const oc_args *args)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "includeDisabled", oc_arg_flag(args, "all"));
	(void)oc_json_set_i64(o, "limit", 200);
	return ask(args, "cron.list", o, print_list, NULL);
}

static int run_status(const oc_args *args)
{
	return ask(args, "cron.status", NULL, print_status, NULL);
}

static int run_rm(const oc_args *args)
{
	oc_auto_json cJSON *result = NULL;
	oc_err err = {0};
	if (oc_remote_call("cron.remove", of_id(args), 0, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	bool removed = oc_json_bool(result, "removed", false);
	if (oc_arg_flag(args, "json")) {
		cJSON *whole = result;
		result = NULL;
		(void)oc_cli_print_json(whole);
	} else if (removed) {
		puts("The job is removed.");
	} else {
		return oc_cli_fail((oc_fail(&err, OC_E_NOT_FOUND, "see `openclaw cron list --all`", "unknown cron job id: %.80s", args->pos[0]), &err));
	}
	return removed ? OC_EXIT_OK : OC_EXIT_FAILED;
}

static int run_run(const oc_args *args)
{
	cJSON *o = of_id(args);
	(void)oc_json_set_str(o, "mode", oc_arg_flag(args, "due") ? "due" : "force");
	return ask(args, "cron.run", o, print_run, NULL);
}

static int run_runs(const oc_args *args)
{
	int64_t limit = 50;
	if (!oc_arg_i64(args, "limit", 1, 200, &limit))
		return OC_EXIT_USAGE;
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_i64(o, "limit", limit);
	text_opt(args, "id", o, "id");
	return ask(args, "cron.runs", o, print_runs, NULL);
}

#define JSON_OPT {"json", 0, NULL, "print one JSON document"}
#define JOB_OPTS                                                                                                       \
	{"name", 0, "NAME", "what it is called"}, {"description", 0, "TEXT", "what it is for"},                        \
		{"at", 0, "TIME", "once: 2030-01-31T12:00:00Z, or from now: 20m"}, {"every", 0, "TIME", "every 10m, 1h, 1d"}, \
		{"cron", 0, "EXPR", "minute hour day month weekday"}, {"tz", 0, "ZONE", "of --cron: Europe/Berlin"},    \
		{"stagger", 0, "TIME", "up to so much later, the same for each run"},                                  \
		{"exact", 0, NULL, "not a second later"},                                                              \
		{"session", 0, "SESSION", "main, isolated or session:NAME"},                                           \
		{"session-key", 0, "KEY", "which session main is"}, {"agent", 0, "ID", "whose job it is"},             \
		{"wake", 0, "MODE", "now or next-heartbeat"}, {"system-event", 0, "TEXT", "told to the main session"}, \
		{"message", 0, "TEXT", "asked in a session of its own"}, {"model", 0, "MODEL", "provider/model"},      \
		{"thinking", 0, "LEVEL", "off, minimal, low, medium, high"},                                           \
		{"timeout-seconds", 0, "N", "of the run"}, {"announce", 0, NULL, "its answer goes to a chat"},         \
		{"no-deliver", 0, NULL, "its answer goes nowhere"}, {"channel", 0, "NAME", "which channel; or last"},  \
		{"to", 0, "WHOM", "whom or where to"}, {"account", 0, "ID", "of the channel"},                         \
		{"webhook", 0, "URL", "its answer is posted there"},                                                   \
		{"deliver", 0, NULL, "as --announce"},                                                                 \
		{"best-effort-deliver", 0, NULL, "not a failure when it cannot be delivered"},                         \
		{"no-best-effort-deliver", 0, NULL, "a failure then"},                                                 \
		{"light-context", 0, NULL, "without the files of the workspace"},                                      \
		{"no-light-context", 0, NULL, "with them"},                                                            \
		{"failure-alert", 0, NULL, "somebody is told when it fails again and again"},                          \
		{"no-failure-alert", 0, NULL, "nobody is"}, {"failure-alert-after", 0, "N", "failures in a row (2)"},  \
		{"failure-alert-channel", 0, "NAME", "which channel; or last"},                                        \
		{"failure-alert-to", 0, "WHOM", "whom, or which URL"},                                                 \
		{"failure-alert-mode", 0, "MODE", "announce or webhook"},                                              \
		{"failure-alert-account-id", 0, "ID", "of the channel"},                                               \
		{"failure-alert-cooldown", 0, "TIME", "so long between two (1h)"},                                     \
		{"delete-after-run", 0, NULL, "gone when it has run once"}, {"keep-after-run", 0, NULL, "kept then"}, JSON_OPT

static const oc_opt json_opts[] = {JSON_OPT, {0}};
static const oc_opt list_opts[] = {{"all", 0, NULL, "disabled ones too"}, JSON_OPT, {0}};
static const oc_opt run_opts[] = {{"due", 0, NULL, "only when it is due"}, JSON_OPT, {0}};
static const oc_opt runs_opts[] = {{"id", 0, "ID", "of this job"}, {"limit", 0, "N", "at most so many (50)"}, JSON_OPT, {0}};
static const oc_opt add_opts[] = {JOB_OPTS, {"disabled", 0, NULL, "not yet"}, {0}};
static const oc_opt edit_opts[] = {JOB_OPTS, {"enable", 0, NULL, "on"}, {"disable", 0, NULL, "off"},
				   {"clear-agent", 0, NULL, "the default agent's"},
				   {"clear-session-key", 0, NULL, "in the main session that its agent has"}, {0}};

static const oc_command cron_status = {.name = "status", .summary = "whether jobs run, and when the next one does", .opts = json_opts, .run = run_status},
			cron_list = {.name = "list", .summary = "list the jobs", .opts = list_opts, .run = run_list},
			cron_add = {.name = "add", .summary = "add a job", .opts = add_opts, .run = run_add,
				    .help = "  openclaw cron add --name news --cron \"0 8 * * 1-5\" --tz Europe/Berlin \\\n"
					    "      --message \"What is new?\" --channel telegram --to 4711\n"
					    "  openclaw cron add --name tea --at 20m --system-event \"The tea is ready.\""},
			cron_edit = {.name = "edit", .args = "ID", .summary = "change a job", .opts = edit_opts, .min_args = 1, .max_args = 1,
				     .run = run_edit},
			cron_rm = {.name = "rm", .args = "ID", .summary = "remove a job", .opts = json_opts, .min_args = 1, .max_args = 1,
				   .run = run_rm},
			cron_enable = {.name = "enable", .args = "ID", .summary = "let a job run", .opts = json_opts, .min_args = 1,
				       .max_args = 1, .run = run_enable},
			cron_disable = {.name = "disable", .args = "ID", .summary = "let a job rest", .opts = json_opts, .min_args = 1,
					.max_args = 1, .run = run_disable},
			cron_run = {.name = "run", .args = "ID", .summary = "run a job now", .opts = run_opts, .min_args = 1, .max_args = 1,
				    .run = run_run},
			cron_runs = {.name = "runs", .summary = "what became of the runs", .opts = runs_opts, .run = run_runs};
static const oc_command *const cron_subs[] = {&cron_status, &cron_list, &cron_add, &cron_edit, &cron_rm, &cron_enable, &cron_disable,
					      &cron_run, &cron_runs, NULL};
const oc_command oc_cmd_cron = {.name = "cron", .summary = "jobs by the clock", .subs = cron_subs};

/* ---- system ---- */

static int run_event(const oc_args *args)
{
	const char *text = oc_arg(args, "text"), *mode = oc_arg(args, "mode");
	if (text == NULL)
		return oc_cli_usage(args, "give --text");
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "text", text);
	(void)oc_json_set_str(o, "mode", mode != NULL ? mode : "next-heartbeat");
	return ask(args, "wake", o, NULL, "The main session is told.");
}

static void print_last(const cJSON *r)
{
	char when[32];
	if (!cJSON_IsObject(r))
		puts("There was no heartbeat since the gateway started.");
	else
		printf("%s  %s%s%s  %s\n", stamp(oc_json_i64(r, "ts", 0), when), oc_json_str(r, "status", ""),
		       oc_json_get(r, "reason") != NULL ? ": " : "", oc_json_str(r, "reason", ""), oc_json_str(r, "preview", ""));
}

static int run_last(const oc_args *args)
{
	return ask(args, "last-heartbeat", NULL, print_last, NULL);
}

static int set_heartbeats(const oc_args *args, bool enabled)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "enabled", enabled);
	return ask(args, "set-heartbeats", o, NULL, enabled ? "Heartbeats are on." : "Heartbeats are off until the gateway ends.");
}

static int run_heart_on(const oc_args *args)
{
	return set_heartbeats(args, true);
}

static int run_heart_off(const oc_args *args)
{
	return set_heartbeats(args, false);
}

static const oc_opt event_opts[] = {{"text", 0, "TEXT", "what is told"}, {"mode", 0, "MODE", "now or next-heartbeat"}, JSON_OPT, {0}};
static const oc_command heart_last = {.name = "last", .summary = "how the last one went", .opts = json_opts, .run = run_last},
			heart_on = {.name = "enable", .summary = "turn them on", .opts = json_opts, .run = run_heart_on},
			heart_off = {.name = "disable", .summary = "turn them off until the gateway ends", .opts = json_opts, .run = run_heart_off};
static const oc_command *const heart_subs[] = {&heart_last, &heart_on, &heart_off, NULL};
static const oc_command system_event = {.name = "event", .summary = "tell the main session something", .opts = event_opts, .run = run_event},
			system_heart = {.name = "heartbeat", .summary = "heartbeats", .subs = heart_subs};
static const oc_command *const system_subs[] = {&system_event, &system_heart, NULL};
const oc_command oc_cmd_system = {.name = "system", .summary = "events and heartbeats of the main session", .subs = system_subs};
