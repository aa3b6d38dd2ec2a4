/*
 * cron/jobs.json of the original into the store: {"version":1,"jobs":[{…}]}, jobs of the form that cron.add takes.  A job keeps its
 * id; that it was taken over is noted (kv "migrate"), so that one deleted here does not come back.
 */
#include <string.h>

#include "core/agent/cron.h"
#include "core/agent/cron_job.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/cli.h"
#include "core/cli/migrate.h"

#define STORE_NAME "migrate"
#define FILE_BYTES_MAX ((size_t)16 << 20)
#define RUNS_MAX 500 /* of a job */

static bool taken_before(const oc_migration *m, const char *key)
{
	oc_buf *buf = NULL;
	if (m->store == NULL || oc_store_kv_get(m->store, STORE_NAME, oc_str_of(key), &buf, NULL) != OC_OK)
		return false;
	oc_buf_unref(buf);
	return true;
}

/* Our document of it, with the id and what is known of its last run. */
static oc_status make(const cJSON *theirs, const char *id, cJSON **ret, oc_err *err)
{
	static const char *const known[] = {"lastRunAtMs", "lastStatus", "lastRunStatus", "lastDurationMs", "lastError"};
	cJSON *job = NULL;
	oc_status status = oc_cron_job_make(theirs, oc_wall_ms(), &job, err);
	if (status != OC_OK)
		return status;
	int64_t made = oc_json_i64(theirs, "createdAtMs", 0);
	cJSON *state = cJSON_GetObjectItemCaseSensitive(job, "state");
	bool ok = oc_json_set_str(job, "id", id) && (made <= 0 || oc_json_set_i64(job, "createdAtMs", made));
	for (size_t i = 0; ok && i < sizeof known / sizeof *known; i++) {
		const cJSON *value = oc_json_get(oc_json_get(theirs, "state"), known[i]);
		ok = value == NULL || oc_json_set(state, known[i], cJSON_Duplicate(value, true));
	}
	if (ok) {
		*ret = job;
		return OC_OK;
	}
	cJSON_Delete(job);
	return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the job over");
}

static oc_status put(const oc_migration *m, const char *key, const char *id, const cJSON *job, oc_err *err)
{
	oc_batch *b = oc_batch_new(m->store);
	oc_auto_free char *text = oc_json_print(job);
	if (b == NULL || text == NULL) {
		oc_batch_free(b);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the job over");
	}
	oc_batch_cron_job(b, id, text);
	oc_batch_kv(b, STORE_NAME, oc_str_of(key), OC_STR("1"));
	return oc_batch_commit_now(b, err);
}

static void one_job(oc_migration *m, const cJSON *theirs)
{
	const char *id = oc_json_str(theirs, "id", ""), *name = oc_json_str(theirs, "name", id);
	oc_auto_free char *key = oc_asprintf("cron:%s", id);
	oc_auto_json cJSON *job = NULL;
	oc_err err = {0};
	if (key == NULL || id[0] == 0 || strlen(id) >= OC_CRON_ID_MAX) {
		oc_migration_note(m, "job", name, "skip", "it has no id");
	} else if (taken_before(m, key)) {
		oc_migration_note(m, "job", name, "same", "%s", "");
	} else {
		oc_status status = make(theirs, id, &job, &err);
		if (status == OC_OK && m->act)
			status = put(m, key, id, job, &err);
		if (status != OC_OK)
			oc_migration_fail(m, "job", name, &err);
		else
			oc_migration_note(m, "job", name, "import", "%s", oc_json_bool(job, "enabled", true) ? "" : "disabled");
	}
}

/* ---- What became of their runs ---- */

/* One line of cron/runs/ID.jsonl; the entries are as ours. */
static bool put_run(oc_batch *b, const char *id, oc_str line)
{
	oc_auto_json cJSON *entry = NULL;
	if (oc_json_parse(line, NULL, &entry, NULL) != OC_OK || strcmp(oc_json_str(entry, "action", "finished"), "finished") != 0)
		return false;
	int64_t ts = oc_json_i64(entry, "ts", 0);
	oc_auto_free char *run = oc_asprintf("theirs:%s:%lld", id, (long long)ts), *json = oc_json_print(entry);
	if (ts <= 0)
		return false;
	if (b == NULL)
		return true;
	if (run == NULL || json == NULL)
		oc_batch_spoil(b);
	else
		oc_batch_cron_past(b, id, run, oc_json_str(entry, "status", "ok"), json, ts);
	return true;
}

/* The newest of them, as many as are kept here. A run has a name made of its job and time: taken twice it is there once. */
static void take_runs(oc_migration *m, const char *file)
{
	char id[OC_CRON_ID_MAX + 1];
	oc_auto_free char *path = oc_asprintf("%s/cron/runs/%s", m->from, file), *text = NULL;
	size_t n = 0, lines = 0, taken = 0;
	oc_err err = {0};
	if (path == NULL || !oc_str_ends(oc_str_of(file), ".jsonl") || strlen(file) - 6 >= sizeof id)
		return;
	(void)snprintf(id, sizeof id, "%.*s", (int)strlen(file) - 6, file);
	oc_auto_free char *name = oc_asprintf("cron/runs/%s", file), *key = oc_asprintf("cron-runs:%s", id);
	oc_status status = name == NULL || key == NULL ? oc_fail(&err, OC_E_NOMEM, NULL, "cannot take the runs over")
						       : oc_path_read(path, FILE_BYTES_MAX, &text, &n, &err);
	oc_batch *b = status == OC_OK && m->act ? oc_batch_new(m->store) : NULL;
	if (status == OC_OK && m->act && b == NULL)
		status = oc_fail(&err, OC_E_NOMEM, NULL, "cannot take the runs over");
	char size[32];
	(void)snprintf(size, sizeof size, "%zu", n);
	oc_buf *before = NULL;
	bool same = false;
	if (status == OC_OK && m->store != NULL && oc_store_kv_get(m->store, STORE_NAME, oc_str_of(key), &before, NULL) == OC_OK) {
		same = oc_str_eqz(oc_buf_str(before), size);
		oc_buf_unref(before);
	}
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	oc_str rest = {text, n};
	for (size_t skip = lines > RUNS_MAX ? lines - RUNS_MAX : 0; status == OC_OK && !same && rest.p != NULL && rest.n > 0;) {
		oc_str line = oc_str_cut(&rest, '\n');
		if (skip > 0)
			skip--;
		else
			taken += put_run(b, id, line);
	}
	if (b != NULL && !same)
		oc_batch_kv(b, STORE_NAME, oc_str_of(key), oc_str_of(size));
	if (b != NULL && same)
		oc_batch_free(b);
	else if (b != NULL && status == OC_OK)
		status = oc_batch_commit_now(b, &err);
	if (status != OC_OK)
		oc_migration_fail(m, "job", name != NULL ? name : file, &err);
	else
		oc_migration_note(m, "job", name, same ? "same" : "import", "%zu run%s", taken, OC_S(taken));
}

void oc_migrate_jobs(oc_migration *m)
{
	oc_auto_free char *path = oc_path_join(m->from, "cron/jobs.json"), *text = NULL;
	oc_auto_json cJSON *file = NULL;
	const cJSON *job;
	size_t n = 0;
	oc_err err = {0};
	if (path == NULL || !oc_path_exists(path))
		return;
	oc_status status = oc_path_read(path, FILE_BYTES_MAX, &text, &n, &err);
	if (status == OC_OK)
		status = oc_json_parse((oc_str){text, n}, NULL, &file, &err);
	if (status != OC_OK) {
		oc_migration_fail(m, "job", "cron/jobs.json", &err);
		return;
	}
	cJSON_ArrayForEach(job, oc_json_get(file, "jobs")) one_job(m, job);
	oc_migrate_each(m, "cron/runs", take_runs);
}
