/* Reading runs, outbox, kv and usage. */
#include <string.h>
#include <time.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/data/json.h"
#include "core/store/reader.h"

/* ---- Runs ---- */

#define RUN_COLUMNS "run, session, state, accepted_ms, ended_ms, result, input, attempts"

static bool run_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "run", s, 0) && oc_row_str(o, "session", s, 1) && oc_row_str(o, "state", s, 2) &&
	       oc_row_i64(o, "startedAt", s, 3) &&
	       (sqlite3_column_type(s, 4) == SQLITE_NULL || oc_row_i64(o, "endedAt", s, 4)) &&
	       oc_row_json(o, "result", s, 5) && oc_row_json(o, "input", s, 6) && oc_row_i64(o, "attempts", s, 7);
}

static oc_status one_run(oc_store *store, sqlite3_stmt *s, const char *key, cJSON **ret_object, oc_err *err)
{
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	cJSON *array = NULL;
	oc_status status = oc_read_rows(store, s, run_row, "cannot read the run", &array, err);
	if (status != OC_OK)
		return status;
	cJSON *found = cJSON_DetachItemFromArray(array, 0);
	cJSON_Delete(array);
	if (found == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "there is no run %s", key);
	*ret_object = found;
	return OC_OK;
}

oc_status oc_store_run(oc_store *store, const char *run, cJSON **ret_object, oc_err *err)
{
	return one_run(store, oc_read_stmt(store, "SELECT " RUN_COLUMNS " FROM runs WHERE run = ?1", err), run, ret_object,
		       err);
}

oc_status oc_store_run_by_key(oc_store *store, const char *idempotency, cJSON **ret_object, oc_err *err)
{
	return one_run(store, oc_read_stmt(store, "SELECT " RUN_COLUMNS " FROM runs WHERE idempotency = ?1", err),
		       idempotency, ret_object, err);
}

oc_status oc_store_open_runs(oc_store *store, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       /* In the order of acceptance, which is not that of a clock that was set back meanwhile. */
				       "SELECT " RUN_COLUMNS " FROM runs INDEXED BY runs_open WHERE ended_ms IS NULL ORDER BY rowid",
				       err);
	return s != NULL ? oc_read_rows(store, s, run_row, "cannot read the open runs", ret_array, err) : oc_read_failed(err);
}

/* ---- Outbox ---- */

static bool outbox_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "key", s, 0) && oc_row_str(o, "session", s, 1) && oc_row_str(o, "run", s, 2) &&
	       oc_row_str(o, "channel", s, 3) && oc_row_str(o, "account", s, 4) && oc_row_json(o, "message", s, 5) &&
	       oc_row_i64(o, "attempts", s, 6) && oc_row_i64(o, "nextAt", s, 7) && oc_row_str(o, "error", s, 8) &&
	       oc_row_i64(o, "createdAt", s, 9) && oc_row_str(o, "state", s, 10) && oc_row_i64(o, "id", s, 11);
}

#define OUTBOX_COLUMNS "key, session, run, channel, account, message, attempts, next_ms, error, created_ms, state, id"

oc_status oc_store_outbox(oc_store *store, int64_t limit, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT " OUTBOX_COLUMNS " FROM outbox WHERE state = 'pending' ORDER BY id LIMIT ?1",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	sqlite3_bind_int64(s, 1, oc_read_limit(limit, 100, 10000));
	return oc_read_rows(store, s, outbox_row, "cannot read the outbox", ret_array, err);
}

oc_status oc_store_outbox_each(oc_store *store, int64_t after_id, int64_t limit,
			       bool (*each)(void *arg, const oc_outbox_place *place), void *arg, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT id, channel, account, coalesce(json_extract(message, '$.to'), ''),"
				       " coalesce(json_extract(message, '$.thread'), '') FROM outbox WHERE state = 'pending'"
				       " AND id > ?1 ORDER BY id LIMIT ?2",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	sqlite3_bind_int64(s, 1, after_id);
	sqlite3_bind_int64(s, 2, limit);
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		oc_outbox_place place = {sqlite3_column_int64(s, 0), oc_sql_text(s, 1), oc_sql_text(s, 2), oc_sql_text(s, 3),
					 oc_sql_text(s, 4)};
		if (sqlite3_errcode(store->reader.db) == SQLITE_NOMEM)
			continue; /* a text is missing: the next step says so */
		if (!each(arg, &place))
			break;
	}
	return oc_read_end(store, s, rc, "cannot read the outbox", err);
}

static oc_status one_outbound(oc_store *store, sqlite3_stmt *s, cJSON **ret_object, oc_err *err)
{
	cJSON *array = NULL;
	oc_status status = oc_read_rows(store, s, outbox_row, "cannot read the outbox", &array, err);
	if (status != OC_OK)
		return status;
	cJSON *found = cJSON_DetachItemFromArray(array, 0);
	cJSON_Delete(array);
	if (found == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "there is no such outbound message");
	*ret_object = found;
	return OC_OK;
}

oc_status oc_store_outbox_row(oc_store *store, const char *key, cJSON **ret_object, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT " OUTBOX_COLUMNS " FROM outbox WHERE key = ?1", err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	oc_status status = one_outbound(store, s, ret_object, err);
	return status == OC_E_NOT_FOUND ? oc_fail(err, status, NULL, "there is no outbound message %s", key) : status;
}

oc_status oc_store_outbox_id(oc_store *store, int64_t id, cJSON **ret_object, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT " OUTBOX_COLUMNS " FROM outbox WHERE id = ?1", err);
	if (s == NULL)
		return oc_read_failed(err);
	sqlite3_bind_int64(s, 1, id);
	return one_outbound(store, s, ret_object, err);
}

oc_status oc_store_outbox_counts(oc_store *store, cJSON **ret_object, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT state, count(*) FROM outbox GROUP BY state", err);
	if (s == NULL)
		return oc_read_failed(err);
	cJSON *o = cJSON_CreateObject();
	bool ok = o != NULL && oc_json_set_i64(o, "pending", 0) && oc_json_set_i64(o, "delivered", 0) &&
		  oc_json_set_i64(o, "dead", 0);
	int rc = SQLITE_DONE;
	while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW)
		ok = oc_json_set_i64(o, oc_sql_text(s, 0), sqlite3_column_int64(s, 1));
	oc_status status = oc_read_end(store, s, ok ? rc : SQLITE_DONE, "cannot count the outbox", err);
	if (!ok)
		status = oc_fail(err, OC_E_NOMEM, NULL, "cannot count the outbox");
	if (status == OC_OK)
		*ret_object = o;
	else
		cJSON_Delete(o);
	return status;
}

static bool dead_row(cJSON *o, sqlite3_stmt *s)
{
	return outbox_row(o, s) && oc_row_i64(o, "failedAt", s, 12);
}

oc_status oc_store_dead(oc_store *store, int64_t limit, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT " OUTBOX_COLUMNS ", updated_ms FROM outbox WHERE state = 'dead'"
				       " ORDER BY updated_ms DESC, id DESC LIMIT ?1",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	sqlite3_bind_int64(s, 1, oc_read_limit(limit, 100, 10000));
	return oc_read_rows(store, s, dead_row, "cannot read the dead letters", ret_array, err);
}

int64_t oc_store_dead_count(oc_store *store)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT count(*) FROM outbox WHERE state = 'dead'", NULL);
	int64_t n = s != NULL && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
	sqlite3_reset(s);
	return n;
}

/* ---- kv ---- */

oc_status oc_store_kv_get(oc_store *store, const char *module, oc_str key, oc_buf **ret, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT value FROM kv WHERE module = ?1 AND key = ?2", err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, module);
	sqlite3_bind_blob64(s, 2, key.p, key.n, SQLITE_STATIC);
	int rc = sqlite3_step(s);
	oc_buf *value = NULL;
	if (rc == SQLITE_ROW) {
		const void *p = sqlite3_column_blob(s, 0);
		value = oc_buf_new(oc_str_make(p, (size_t)sqlite3_column_bytes(s, 0)));
	}
	oc_status status = oc_read_end(store, s, rc, "cannot read the value", err);
	if (status == OC_OK && rc == SQLITE_DONE)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "there is no such key");
	if (status == OC_OK && value == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the value");
	if (status == OC_OK)
		*ret = value;
	else
		oc_buf_unref(value);
	return status;
}

oc_status oc_store_kv_each(oc_store *store, const char *module, bool (*each)(void *arg, oc_str key, oc_str value), void *arg,
			   oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT key, value FROM kv WHERE module = ?1 ORDER BY key", err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, module);
	int rc;
	bool go_on = true;
	while (go_on && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		oc_buf *key = oc_buf_new(oc_str_make(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0)));
		oc_buf *value = oc_buf_new(oc_str_make(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)));
		bool memory = key != NULL && value != NULL;
		if (memory)
			go_on = each(arg, oc_buf_str(key), oc_buf_str(value));
		oc_buf_unref(key);
		oc_buf_unref(value);
		if (!memory) {
			(void)oc_read_end(store, s, SQLITE_DONE, "", NULL);
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the values");
		}
	}
	return oc_read_end(store, s, go_on ? rc : SQLITE_DONE, "cannot read the values", err);
}

/* ---- Usage ---- */

#define USAGE_SUMS "sum(calls), sum(input), sum(output), sum(cache_read), sum(cache_write), total(cost)"
#define USAGE_FROM " FROM usage WHERE (?1 IS NULL OR session = ?1) AND day >= ?2 "

static bool total_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_usage(o, s, 0);
}

static bool model_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "provider", s, 0) && oc_row_str(o, "model", s, 1) && oc_row_usage(o, s, 2);
}

static bool day_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "day", s, 0) && oc_row_usage(o, s, 1);
}

oc_status oc_store_usage(oc_store *store, const char *key, int64_t days, cJSON **ret_object, oc_err *err)
{
	char since[11] = "";
	if (days > 0) {
		time_t from = (time_t)(oc_wall_ms() / 1000 - (days - 1) * 86400);
		struct tm tm;
		gmtime_r(&from, &tm);
		strftime(since, sizeof since, "%Y-%m-%d", &tm);
	}
	static const struct {
		const char *name, *sql;
		bool (*row)(cJSON *o, sqlite3_stmt *s);
	} parts[] = {
		{"total", "SELECT " USAGE_SUMS USAGE_FROM, total_row},
		{"byModel", "SELECT provider, model, " USAGE_SUMS USAGE_FROM "GROUP BY 1, 2 ORDER BY 8 DESC, 3 DESC", model_row},
		{"byDay", "SELECT substr(day, 1, 10), " USAGE_SUMS USAGE_FROM "GROUP BY 1 ORDER BY 1", day_row},
	};
	oc_auto_json cJSON *out = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		sqlite3_stmt *s = oc_read_stmt(store, parts[i].sql, err);
		if (s == NULL)
			return oc_read_failed(err);
		oc_sql_bind(s, 1, key);
		oc_sql_bind(s, 2, since);
		cJSON *rows = NULL;
		oc_status status = oc_read_rows(store, s, parts[i].row, "cannot read the usage", &rows, err);
		sqlite3_clear_bindings(s);
		if (status != OC_OK)
			return status;
		if (i == 0) {
			cJSON *total = cJSON_DetachItemFromArray(rows, 0);
			cJSON_Delete(rows);
			rows = total;
		}
		if (!oc_json_set(out, parts[i].name, rows))
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the usage");
	}
	*ret_object = out;
	out = NULL;
	return OC_OK;
}
