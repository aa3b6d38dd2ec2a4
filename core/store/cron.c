/* Reading jobs that run by the clock, and their runs. */
#include "core/store/reader.h"

static bool open_row(cJSON *obj, sqlite3_stmt *s)
{
	return oc_row_json(obj, "job", s, 0) && oc_row_str(obj, "run", s, 1) && oc_row_json(obj, "entry", s, 2);
}

oc_status oc_store_cron(oc_store *store, cJSON **ret_array, oc_err *err)
{
	/* In one statement: a start with neither pays for no more. */
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT job, NULL, NULL, 0 AS n FROM cron_jobs UNION ALL"
				       " SELECT NULL, run, entry, id AS n FROM cron_runs WHERE ended_ms IS NULL ORDER BY n",
				       err);
	return s != NULL ? oc_read_rows(store, s, open_row, "cannot read the jobs", ret_array, err) : oc_read_failed(err);
}

static bool run_row(cJSON *obj, sqlite3_stmt *s)
{
	return oc_row_json(obj, "entry", s, 0);
}

static void bind_filter(sqlite3_stmt *s, const oc_cron_run_filter *f)
{
	oc_sql_bind(s, 1, f->job);
	oc_sql_bind(s, 2, f->statuses);
	oc_sql_bind(s, 5, f->deliveries);
	oc_sql_bind(s, 6, f->text);
}

#define WHERE                                                                                                           \
	" FROM cron_runs AS r WHERE ended_ms IS NOT NULL AND (?1 IS NULL OR r.job = ?1)"                                \
	" AND (?2 IS NULL OR instr(',' || ?2 || ',', ',' || status || ','))"                                            \
	" AND (?5 IS NULL OR instr(',' || ?5 || ',', ',' || coalesce(entry ->> '$.deliveryStatus', 'not-requested') || ','))" \
	" AND (?6 IS NULL OR instr(lower(r.job || ' ' || coalesce(entry ->> '$.summary', '') || ' ' || coalesce(entry ->> '$.error', '') || ' '" \
	" || coalesce((SELECT j.job ->> '$.name' FROM cron_jobs AS j WHERE j.id = r.job), '')), lower(?6)))"

oc_status oc_store_cron_runs(oc_store *store, const oc_cron_run_filter *f, cJSON **ret_array, int64_t *ret_total, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT count(*)" WHERE, err);
	if (s == NULL)
		return oc_read_failed(err);
	bind_filter(s, f);
	int rc = sqlite3_step(s);
	*ret_total = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	oc_status status = oc_read_end(store, s, rc, "cannot read the runs", err);
	if (status != OC_OK)
		return status;
	s = f->oldest_first ? oc_read_stmt(store, "SELECT entry" WHERE " ORDER BY id LIMIT ?3 OFFSET ?4", err)
			    : oc_read_stmt(store, "SELECT entry" WHERE " ORDER BY id DESC LIMIT ?3 OFFSET ?4", err);
	if (s == NULL)
		return oc_read_failed(err);
	bind_filter(s, f);
	sqlite3_bind_int64(s, 3, oc_read_limit(f->limit, 50, 1000));
	sqlite3_bind_int64(s, 4, f->offset);
	return oc_read_rows(store, s, run_row, "cannot read the runs", ret_array, err);
}
