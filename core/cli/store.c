/*
 * openclaw store: the database's care.
 *
 * Checking, copying and counting are done here, beside a running gateway, whose work they do not stop; what changes the file
 * is left to the gateway when one runs.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/gateway/gateway.h"
#include "core/store/store.h"

static char *store_path(oc_err *err)
{
	char *path = oc_path_state("openclaw.db");
	if (path == NULL)
		(void)oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	return path;
}

/* "12.3 MB" */
static const char *size_text(int64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double n = (double)bytes;
	int unit = 0;
	for (; n >= 1000 && unit < 4; unit++)
		n /= 1000;
	snprintf(out, size, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
	return out;
}

/* ---- check ---- */

static int run_check(const oc_args *args)
{
	oc_err err = {0};
	cJSON *report = NULL;
	oc_auto_free char *own = store_path(&err);
	const char *path = args->n_pos > 0 ? args->pos[0] : own;
	if (path == NULL || oc_store_check(path, oc_arg_flag(args, "quick"), &report, &err) != OC_OK)
		return oc_cli_fail(&err);
	bool ok = oc_json_bool(report, "ok", false);
	if (oc_arg_flag(args, "json")) {
		oc_cli_print_json(report);
		return ok ? OC_EXIT_OK : OC_EXIT_FAILED;
	}
	const cJSON *problem;
	cJSON_ArrayForEach(problem, oc_json_get(report, "problems")) printf("%sproblem%s %s\n", oc_red(), oc_plain(), problem->valuestring);
	int64_t sessions = oc_json_i64(report, "sessions", 0), events = oc_json_i64(report, "events", 0), messages = oc_json_i64(report, "messages", 0);
	printf("%s%s%s: %s, %" PRId64 " session%s, %" PRId64 " event%s, %" PRId64 " message%s, schema %" PRId64 "\n", ok ? oc_green() : oc_red(),
	       ok ? "whole" : "damaged", oc_plain(), path, sessions, OC_S(sessions), events, OC_S(events), messages, OC_S(messages),
	       oc_json_i64(report, "schema", 0));
	if (!ok)
		puts("  -> make a copy of the file, then `openclaw store restore BACKUP`");
	cJSON_Delete(report);
	return ok ? OC_EXIT_OK : OC_EXIT_FAILED;
}

/* ---- backup and restore ---- */

static int run_backup(const oc_args *args)
{
	oc_err err = {0};
	int64_t bytes = 0;
	char size[32];
	oc_auto_free char *path = store_path(&err);
	oc_auto_free char *to = args->n_pos > 0 ? oc_strdup(args->pos[0]) : oc_store_backup_name();
	if (path != NULL && to == NULL)
		(void)oc_fail(&err, OC_E_IO, "name a file", "the folder for backups cannot be made");
	if (path == NULL || to == NULL || oc_store_backup(path, to, &bytes, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json")) {
		cJSON *out = cJSON_CreateObject();
		oc_json_set_str(out, "path", to);
		oc_json_set_i64(out, "bytes", bytes);
		return oc_cli_print_json(out);
	}
	printf("%s: %s, checked\n", to, size_text(bytes, size, sizeof size));
	return OC_EXIT_OK;
}

static int run_restore(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_free char *path = store_path(&err), *kept = NULL;
	if (path == NULL)
		return oc_cli_fail(&err);
	if (oc_store_restore(path, args->pos[0], &kept, &err) != OC_OK) {
		if (err.code == OC_E_BUSY)
			snprintf(err.remedy, sizeof err.remedy, "stop the gateway first: `openclaw gateway stop`");
		return oc_cli_fail(&err);
	}
	printf("%s is in place.\n", args->pos[0]);
	if (kept != NULL)
		printf("What was there is kept as %s\n", kept);
	return OC_EXIT_OK;
}

/* ---- compact ---- */

static int run_compact(const oc_args *args)
{
	(void)args;
	oc_err err = {0};
	if (oc_remote_alive()) {
		cJSON *result = NULL;
		if (oc_remote_call("store.compact", NULL, 0, &result, &err) != OC_OK)
			return oc_remote_fail(&err);
		cJSON_Delete(result);
		puts("The gateway does it beside its work; `openclaw store stats` shows the size.");
		return OC_EXIT_OK;
	}
	int64_t before = 0, after = 0;
	char a[32], b[32];
	oc_auto_free char *path = store_path(&err);
	if (path == NULL || oc_store_compact(path, &before, &after, &err) != OC_OK)
		return oc_cli_fail(&err);
	printf("%s before, %s now\n", size_text(before, a, sizeof a), size_text(after, b, sizeof b));
	return OC_EXIT_OK;
}

/* ---- stats ---- */

static void row(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void row(const char *name, const char *format, ...)
{
	va_list args;
	printf("%s%-12s%s", oc_bold(), name, oc_plain());
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void print_writer(const cJSON *w)
{
	if (w == NULL) {
		row("gateway", "not running");
		return;
	}
	if (!oc_json_bool(w, "ok", true))
		row("writing", "%sstands still%s: %s\n            -> %s", oc_red(), oc_plain(), oc_json_str(w, "error", ""),
		    oc_json_str(w, "remedy", ""));
	row("queue", "%" PRId64 " of %" PRId64 ", %" PRId64 " held for the disk", oc_json_i64(w, "queued", 0), oc_json_i64(w, "queueMax", 0),
	    oc_json_i64(w, "held", 0));
	row("commits", "%" PRId64 " with %" PRId64 " changes, %" PRId64 " failed, %" PRId64 " stalls", oc_json_i64(w, "commits", 0),
	    oc_json_i64(w, "batches", 0), oc_json_i64(w, "failures", 0), oc_json_i64(w, "stalls", 0));
	row("latency", "commit with sync: mean %" PRId64 " us, p50 under %" PRId64 " us, p99 under %" PRId64 " us, longest %" PRId64 " us",
	    oc_json_i64(w, "commitMicrosMean", 0), oc_json_i64(w, "commitMicrosP50", 0), oc_json_i64(w, "commitMicrosP99", 0),
	    oc_json_i64(w, "commitMicrosMax", 0));
	row("removed", "%" PRId64 " sessions, %" PRId64 " messages, %" PRId64 " events, %" PRId64 " other rows since the start",
	    oc_json_i64(w, "prunedSessions", 0), oc_json_i64(w, "prunedMessages", 0), oc_json_i64(w, "prunedEvents", 0),
	    oc_json_i64(w, "prunedRows", 0));
}

static void print_stats(const cJSON *s)
{
	char a[32], b[32], c[32];
	const cJSON *bytes = oc_json_get(s, "bytes"), *outbox = oc_json_get(s, "outbox"), *one;
	row("file", "%s, schema %" PRId64, oc_json_str(s, "path", ""), oc_json_i64(s, "schema", 0));
	row("size", "%s, %s of it free; log %s", size_text(oc_json_i64(bytes, "file", 0), a, sizeof a),
	    size_text(oc_json_i64(bytes, "free", 0), b, sizeof b), size_text(oc_json_i64(bytes, "log", 0), c, sizeof c));
	if (oc_json_i64(bytes, "log", 0) > OC_STORE_WAL_LARGE)
		row("", "%sthe log grows while another program reads; from %lld MiB on no new work is taken%s: %s", oc_red(),
		    (long long)(OC_STORE_WAL_FULL >> 20), oc_plain(), OC_STORE_WAL_REMEDY);
	printf("%s%-12s%s", oc_bold(), "rows", oc_plain());
	cJSON_ArrayForEach(one, oc_json_get(s, "rows"))
		printf("%s%.0f %s", one->prev != NULL && one->prev->next != NULL ? ", " : "", one->valuedouble, one->string);
	putchar('\n');
	int64_t dead = oc_json_i64(outbox, "dead", 0);
	row("outbox", "%" PRId64 " waiting, %" PRId64 " delivered, %s%" PRId64 " given up%s%s", oc_json_i64(outbox, "pending", 0),
	    oc_json_i64(outbox, "delivered", 0), dead > 0 ? oc_red() : "", dead, dead > 0 ? oc_plain() : "",
	    dead > 0 ? " (`openclaw store dead list`)" : "");
	row("search", "%" PRId64 " messages are not in the index yet", oc_json_i64(s, "searchBehind", 0));
	print_writer(oc_json_get(s, "writer"));
}

static int run_stats(const oc_args *args)
{
	oc_err err = {0};
	cJSON *stats = NULL;
	oc_status status;
	if (oc_remote_alive()) {
		status = oc_remote_call("store.stats", NULL, 60000, &stats, &err);
	} else {
		oc_auto_free char *path = store_path(&err);
		status = path != NULL ? oc_store_figures(path, &stats, &err) : OC_E_NOMEM;
	}
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(stats);
	print_stats(stats);
	cJSON_Delete(stats);
	return OC_EXIT_OK;
}

/* ---- dead ---- */

static int run_dead_list(const oc_args *args)
{
	static const char *const heads[] = {"KEY", "CHANNEL", "TO", "TRIES", "GIVEN UP", "ERROR"};
	oc_err err = {0};
	int64_t limit = 100;
	cJSON *list = NULL;
	if (!oc_arg_i64(args, "limit", 1, 10000, &limit))
		return OC_EXIT_USAGE;
	oc_status status;
	if (oc_remote_alive()) {
		oc_auto_json cJSON *result = NULL;
		cJSON *params = cJSON_CreateObject();
		(void)oc_json_set_i64(params, "limit", limit);
		status = oc_remote_call("store.dead", params, 0, &result, &err);
		if (status == OC_OK)
			list = cJSON_DetachItemFromObjectCaseSensitive(result, "letters");
	} else {
		oc_store *store = NULL;
		oc_auto_free char *path = store_path(&err);
		status = path != NULL ? oc_store_open(path, NULL, OC_STORE_READER, &store, &err) : OC_E_NOMEM;
		if (status == OC_OK)
			status = oc_store_dead(store, limit, &list, &err);
		oc_store_close(store);
	}
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	if (cJSON_GetArraySize(list) == 0) {
		puts("No message was given up.");
	} else {
		oc_table *table = oc_table_new(heads, sizeof heads / sizeof *heads);
		const cJSON *d;
		cJSON_ArrayForEach(d, list)
		{
			char tries[24], when[32];
			snprintf(tries, sizeof tries, "%" PRId64, oc_json_i64(d, "attempts", 0));
			oc_wall_format(oc_json_i64(d, "failedAt", 0), when, sizeof when);
			when[19] = 0;
			const char *cells[] = {oc_json_str(d, "key", ""), oc_json_str(d, "channel", ""),
					       oc_json_str(oc_json_get(d, "message"), "to", ""), tries, when,
					       oc_json_str(d, "error", "")};
			oc_table_row(table, cells);
		}
		oc_table_print(table, stdout);
		puts("\nTry again: openclaw store dead retry KEY (or --all); forget: openclaw store dead drop KEY (or --all)");
	}
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

static oc_status change_here(const char *key, bool drop, int64_t *ret_count, oc_err *err)
{
	oc_store *store = NULL;
	cJSON *before = NULL, *after = NULL;
	oc_auto_free char *path = store_path(err);
	oc_status status = path != NULL ? oc_store_open(path, NULL, OC_STORE_BESIDE, &store, err) : OC_E_NOMEM;
	if (status == OC_OK)
		status = oc_store_dead(store, 10000, &before, err);
	if (status == OC_OK) {
		oc_batch *b = oc_batch_new(store);
		if (b != NULL)
			(void)(drop ? oc_batch_dead_drop(b, key) : oc_batch_dead_retry(b, key));
		status = oc_batch_commit_now(b, err);
	}
	if (status == OC_OK)
		status = oc_store_dead(store, 10000, &after, err);
	*ret_count = cJSON_GetArraySize(before) - cJSON_GetArraySize(after);
	cJSON_Delete(before);
	cJSON_Delete(after);
	oc_store_close(store);
	return status;
}

static int run_dead_change(const oc_args *args, bool drop)
{
	oc_err err = {0};
	const char *key = args->n_pos > 0 ? args->pos[0] : NULL;
	int64_t count = 0;
	if ((key == NULL) != oc_arg_flag(args, "all"))
		return oc_cli_usage(args, "give a key, or --all");
	oc_status status;
	if (oc_remote_alive()) {
		cJSON *result = NULL, *params = cJSON_CreateObject();
		if (key != NULL)
			(void)oc_json_set_str(params, "key", key);
		else
			(void)oc_json_set_bool(params, "all", true);
		status = oc_remote_call(drop ? "store.drop" : "store.retry", params, 0, &result, &err);
		count = oc_json_i64(result, "changed", 0);
		cJSON_Delete(result);
	} else {
		status = change_here(key, drop, &count, &err);
	}
	if (status == OC_OK && count == 0 && key != NULL)
		status = oc_fail(&err, OC_E_NOT_FOUND, "see `openclaw store dead list`", "no message with the key %s was given up", key);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	printf(drop ? "%" PRId64 " dropped\n" : "%" PRId64 " will be tried again\n", count);
	return OC_EXIT_OK;
}

static int run_dead_retry(const oc_args *args)
{
	return run_dead_change(args, false);
}

static int run_dead_drop(const oc_args *args)
{
	return run_dead_change(args, true);
}

/* ---- The commands ---- */

static const oc_opt json_opt[] = {{"json", 0, NULL, "one JSON document"}, {0}};

static const oc_command check_command = {
	.name = "check",
	.args = "[FILE]",
	.summary = "whether the store, or a backup, is whole",
	.help = "The file's pages, the sessions' numbers, counts and states, the search index. A gateway may run.\n",
	.opts = (const oc_opt[]){{"quick", 'q', NULL, "without comparing every index"}, {"json", 0, NULL, "one JSON document"}, {0}},
	.max_args = 1,
	.run = run_check,
};
static const oc_command backup_command = {
	.name = "backup",
	.args = "[FILE]",
	.summary = "a checked copy, while a gateway runs or not",
	.help = "Without FILE into the state folder's backups. A file that is there already is not touched.\n",
	.opts = json_opt,
	.max_args = 1,
	.run = run_backup,
};
static const oc_command restore_command = {
	.name = "restore",
	.args = "FILE",
	.summary = "put a backup in the store's place; what was there is kept",
	.help = "The gateway must be stopped. The backup is checked first.\n",
	.min_args = 1,
	.max_args = 1,
	.run = run_restore,
};
static const oc_command compact_command = {
	.name = "compact",
	.summary = "give free space back",
	.help = "A running gateway does it in pieces beside its work, after removing what is old (session.maintenance).\n",
	.run = run_compact,
};
static const oc_command stats_command = {
	.name = "stats",
	.summary = "sizes, rows, queues, latencies, what was given up",
	.opts = json_opt,
	.run = run_stats,
};
static const oc_command dead_list_command = {
	.name = "list",
	.summary = "messages that could not be delivered and were given up",
	.opts = (const oc_opt[]){{"limit", 'n', "NUMBER", "at most so many (100)"}, {"json", 0, NULL, "one JSON document"}, {0}},
	.run = run_dead_list,
};
static const oc_opt all_opt[] = {{"all", 0, NULL, "all of them"}, {0}};
static const oc_command dead_retry_command = {
	.name = "retry",
	.args = "[KEY]",
	.summary = "try to deliver it once more",
	.opts = all_opt,
	.max_args = 1,
	.run = run_dead_retry,
};
static const oc_command dead_drop_command = {
	.name = "drop",
	.args = "[KEY]",
	.summary = "forget it",
	.opts = all_opt,
	.max_args = 1,
	.run = run_dead_drop,
};
static const oc_command *const dead_subs[] = {&dead_list_command, &dead_retry_command, &dead_drop_command, NULL};
static const oc_command dead_command = {
	.name = "dead",
	.summary = "messages that were given up: list, retry, drop",
	.subs = dead_subs,
};
static const oc_command *const subs[] = {&check_command, &backup_command, &restore_command, &compact_command,
					 &stats_command, &dead_command,	  NULL};

const oc_command oc_cmd_store = {
	.name = "store",
	.summary = "the database: check, backup, restore, compact, stats, dead letters",
	.subs = subs,
};
