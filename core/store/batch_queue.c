/* Changes of runs, inbox, outbox, kv and usage. */
#include <string.h>
#include <time.h>

#include "core/store/batch.h"

#define TEXTS_MAX 8

/* A statement whose arguments are a few texts and numbers, in this order: all changes here but two are just that. */
typedef struct plain_op {
	oc_op op;
	const char *sql;
	const char *texts[TEXTS_MAX];
	int n_texts;
	int64_t numbers[2];
	int n_numbers;
} plain_op;

static sqlite3_stmt *bind_plain(oc_tx *tx, const plain_op *o, oc_err *err)
{
	sqlite3_stmt *stmt = oc_tx_stmt(tx, o->sql, err);
	if (stmt == NULL)
		return NULL;
	/* ?1 is always the time. */
	sqlite3_bind_int64(stmt, 1, oc_tx_now_ms(tx));
	for (int i = 0; i < o->n_texts; i++)
		oc_sql_bind(stmt, 2 + i, o->texts[i]);
	for (int i = 0; i < o->n_numbers; i++)
		sqlite3_bind_int64(stmt, 2 + o->n_texts + i, o->numbers[i]);
	return stmt;
}

static oc_status run_plain(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	return oc_tx_run(tx, bind_plain(tx, (const plain_op *)op, err), err);
}

static plain_op *add_plain(oc_batch *b, const char *sql, const char *const *texts, int n,
			   oc_status (*run)(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err))
{
	plain_op *o = oc_batch_add(b, sizeof *o, run);
	if (o == NULL)
		return NULL;
	o->sql = sql;
	o->n_texts = n;
	for (int i = 0; i < n; i++)
		o->texts[i] = oc_batch_text(b, texts[i]);
	return o;
}

/* ---- Runs ---- */

void oc_batch_run_put(oc_batch *b, const char *run, const char *session, const char *idempotency, const char *input_json)
{
	b->takes_in = true;
	add_plain(b,
		  "INSERT INTO runs(accepted_ms, run, session, idempotency, input, state)"
		  " VALUES(?1, ?2, ?3, nullif(?4, ''), ?5, 'accepted')",
		  (const char *const[]){run, session, idempotency, input_json}, 4, run_plain);
}

static bool is_open(const char *state)
{
	static const char *const open[] = {"accepted", "running", "suspended"};
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		if (strcmp(state, open[i]) == 0)
			return true;
	return false;
}

void oc_batch_run_state(oc_batch *b, const char *run, const char *state, const char *result_json)
{
	/* What is over stays over; its input is no longer needed, the message is in the history.  The states are not listed
	 * in the statement: SQLite makes a table of each list, every time. */
	plain_op *o = add_plain(b,
				"UPDATE runs SET state = ?3, result = ?4,"
				" attempts = CASE ?3 WHEN 'running' THEN attempts + 1 WHEN 'suspended' THEN 0 ELSE attempts END,"
				" ended_ms = CASE WHEN ?5 THEN NULL ELSE ?1 END, input = CASE WHEN ?5 THEN input END"
				" WHERE run = ?2 AND ended_ms IS NULL",
				(const char *const[]){run, state, result_json}, 3, run_plain);
	if (o != NULL) {
		o->numbers[0] = is_open(state);
		o->n_numbers = 1;
	}
}

void oc_batch_run_input(oc_batch *b, const char *run, const char *input_json)
{
	add_plain(b, "UPDATE runs SET input = ?3 WHERE ?1 IS NOT NULL AND run = ?2 AND ended_ms IS NULL",
		  (const char *const[]){run, input_json}, 2, run_plain);
}

static oc_status run_unless(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	sqlite3_stmt *stmt = bind_plain(tx, (const plain_op *)op, err);
	if (stmt == NULL)
		return err->code;
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		b->duplicate = true;
		b->skip_rest = true;
	}
	oc_status status = rc == SQLITE_ROW || rc == SQLITE_DONE
				   ? OC_OK
				   : oc_sql_fail(err, oc_tx_db(tx), rc, "cannot look for the run");
	sqlite3_reset(stmt);
	return status;
}

void oc_batch_unless_run(oc_batch *b, const char *idempotency)
{
	if (idempotency != NULL && idempotency[0] != 0)
		add_plain(b, "SELECT run FROM runs WHERE ?1 IS NOT NULL AND idempotency = ?2",
			  (const char *const[]){idempotency}, 1, run_unless);
}

/* ---- Inbox ---- */

static oc_status run_inbox(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	oc_status status = oc_tx_run(tx, bind_plain(tx, (const plain_op *)op, err), err);
	if (status == OC_OK && sqlite3_changes(oc_tx_db(tx)) == 0) {
		b->duplicate = true;
		b->skip_rest = true;
	}
	return status;
}

void oc_batch_inbox(oc_batch *b, const char *channel, const char *account, const char *chat, const char *message_id,
		    const char *session, const char *run)
{
	b->takes_in = true;
	add_plain(b,
		  "INSERT INTO inbox(ts_ms, channel, account, chat, message_id, session, run)"
		  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
		  (const char *const[]){channel, account, chat, message_id, session, run}, 6, run_inbox);
}

/* ---- Outbox ---- */

static oc_status run_outbox_put(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	oc_status status = oc_tx_run(tx, bind_plain(tx, (const plain_op *)op, err), err);
	if (status == OC_OK && sqlite3_changes(oc_tx_db(tx)) == 0)
		b->duplicate = true;
	return status;
}

void oc_batch_outbox_put(oc_batch *b, const char *key, const char *session, const char *run, const char *channel,
			 const char *account, const char *message_json)
{
	add_plain(b,
		  "INSERT INTO outbox(created_ms, updated_ms, next_ms, key, session, run, channel, account,"
		  " message) VALUES(?1, ?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
		  (const char *const[]){key, session, run, channel, account, message_json}, 6, run_outbox_put);
}

void oc_batch_outbox_delivered(oc_batch *b, const char *key, const char *message_ids_json)
{
	add_plain(b,
		  "UPDATE outbox SET state = 'delivered', updated_ms = ?1, message_ids = ?3, error = NULL,"
		  " attempts = attempts + 1 WHERE key = ?2",
		  (const char *const[]){key, message_ids_json}, 2, run_plain);
}

void oc_batch_outbox_failed(oc_batch *b, const char *key, const char *error, int64_t next_ms, bool dead)
{
	plain_op *o = add_plain(b,
				"UPDATE outbox SET updated_ms = ?1, error = ?3, attempts = attempts + 1, next_ms = ?4,"
				" state = CASE WHEN ?5 THEN 'dead' ELSE state END WHERE key = ?2 AND state = 'pending'",
				(const char *const[]){key, error}, 2, run_plain);
	if (o != NULL) {
		o->numbers[0] = next_ms;
		o->numbers[1] = dead;
		o->n_numbers = 2;
	}
}

static oc_status run_counted(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	oc_status status = oc_tx_run(tx, bind_plain(tx, (const plain_op *)op, err), err);
	op->seq = status == OC_OK ? sqlite3_changes(oc_tx_db(tx)) : 0;
	return status;
}

int oc_batch_dead_retry(oc_batch *b, const char *key)
{
	add_plain(b,
		  "UPDATE outbox SET state = 'pending', attempts = 0, error = NULL, next_ms = ?1, updated_ms = ?1"
		  " WHERE state = 'dead' AND (?2 IS NULL OR key = ?2)",
		  (const char *const[]){key}, 1, run_counted);
	return b->count - 1;
}

int oc_batch_dead_drop(oc_batch *b, const char *key)
{
	add_plain(b, "DELETE FROM outbox WHERE ?1 IS NOT NULL AND state = 'dead' AND (?2 IS NULL OR key = ?2)",
		  (const char *const[]){key}, 1, run_counted);
	return b->count - 1;
}

int64_t oc_batch_changed(const oc_batch *b, int index)
{
	return oc_batch_seq(b, index);
}

/* ---- Jobs by the clock ---- */

void oc_batch_cron_gone(oc_batch *b, const char *id)
{
	add_plain(b, "DELETE FROM cron_jobs WHERE ?1 IS NOT NULL AND id = ?2", (const char *const[]){id}, 1, run_plain);
}

void oc_batch_cron_job(oc_batch *b, const char *id, const char *job_json)
{
	if (job_json != NULL) {
		add_plain(b,
			  "INSERT INTO cron_jobs(id, job) SELECT ?2, ?3 WHERE ?1 IS NOT NULL"
			  " ON CONFLICT(id) DO UPDATE SET job = excluded.job",
			  (const char *const[]){id, job_json}, 2, run_plain);
		return;
	}
	oc_batch_cron_gone(b, id);
	add_plain(b, "DELETE FROM cron_runs WHERE ?1 IS NOT NULL AND job = ?2 AND ended_ms IS NOT NULL", (const char *const[]){id}, 1,
		  run_plain);
}

void oc_batch_cron_begin(oc_batch *b, const char *job, const char *run, const char *entry_json)
{
	b->takes_in = true;
	add_plain(b, "INSERT INTO cron_runs(started_ms, job, run, entry) VALUES(?1, ?2, ?3, ?4)",
		  (const char *const[]){job, run, entry_json}, 3, run_plain);
}

void oc_batch_cron_past(oc_batch *b, const char *job, const char *run, const char *status, const char *entry_json, int64_t ended_ms)
{
	plain_op *o = add_plain(b,
				"INSERT OR IGNORE INTO cron_runs(started_ms, ended_ms, job, run, status, entry)"
				" SELECT ?6, ?6, ?2, ?3, ?4, ?5 WHERE ?1 IS NOT NULL",
				(const char *const[]){job, run, status, entry_json}, 4, run_plain);
	if (o != NULL) {
		o->numbers[0] = ended_ms;
		o->n_numbers = 1;
	}
}

void oc_batch_cron_end(oc_batch *b, const char *job, const char *run, const char *status, const char *entry_json, int64_t keep)
{
	add_plain(b, "UPDATE cron_runs SET ended_ms = ?1, status = ?3, entry = ?4 WHERE run = ?2 AND ended_ms IS NULL",
		  (const char *const[]){run, status, entry_json}, 3, run_plain);
	plain_op *o = add_plain(b,
				"DELETE FROM cron_runs WHERE ?1 IS NOT NULL AND job = ?2 AND ended_ms IS NOT NULL AND id <="
				" (SELECT id FROM cron_runs WHERE job = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
				(const char *const[]){job}, 1, run_plain);
	if (o != NULL) {
		o->numbers[0] = keep;
		o->n_numbers = 1;
	}
}

/* ---- kv ---- */

typedef struct kv_op {
	oc_op op;
	const char *module;
	oc_str key, value;
} kv_op;

static oc_status run_kv(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	const kv_op *o = (const kv_op *)op;
	bool remove = o->value.n == 0;
	sqlite3_stmt *stmt = remove ? oc_tx_stmt(tx, "DELETE FROM kv WHERE module = ?1 AND key = ?2", err)
				    : oc_tx_stmt(tx, "INSERT OR REPLACE INTO kv(module, key, value) VALUES(?1, ?2, ?3)",
						 err);
	if (stmt == NULL)
		return err->code;
	oc_sql_bind(stmt, 1, o->module);
	sqlite3_bind_blob64(stmt, 2, o->key.p, o->key.n, SQLITE_STATIC);
	if (!remove)
		sqlite3_bind_blob64(stmt, 3, o->value.p, o->value.n, SQLITE_STATIC);
	return oc_tx_run(tx, stmt, err);
}

void oc_batch_kv(oc_batch *b, const char *module, oc_str key, oc_str value)
{
	kv_op *o = oc_batch_add(b, sizeof *o, run_kv);
	if (o != NULL) {
		o->module = oc_batch_text(b, module);
		o->key = oc_batch_bytes(b, key);
		o->value = oc_batch_bytes(b, value);
	}
}

/* ---- Usage ---- */

typedef struct usage_op {
	oc_op op;
	const char *session, *provider, *model;
	oc_usage u;
} usage_op;

static oc_status add_usage(oc_tx *tx, sqlite3_stmt *stmt, int at, const oc_usage *u, oc_err *err)
{
	if (stmt == NULL)
		return err->code;
	const int64_t numbers[] = {u->calls, u->input, u->output, u->cache_read, u->cache_write};
	for (int i = 0; i < 5; i++)
		sqlite3_bind_int64(stmt, at + i, numbers[i]);
	sqlite3_bind_double(stmt, at + 5, u->cost);
	return oc_tx_run(tx, stmt, err);
}

static oc_status run_usage(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	const usage_op *o = (const usage_op *)op;
	char day[17];
	time_t seconds = (time_t)(oc_tx_now_ms(tx) / 1000);
	seconds -= seconds % 900; /* so finely that the days of every time zone can be made of it */
	struct tm tm;
	gmtime_r(&seconds, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M", &tm);
	sqlite3_stmt *stmt = oc_tx_stmt(
		tx,
		"INSERT INTO usage(day, session, provider, model, calls, input, output, cache_read, cache_write, cost)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO UPDATE SET calls = calls + ?5,"
		" input = input + ?6, output = output + ?7, cache_read = cache_read + ?8,"
		" cache_write = cache_write + ?9, cost = cost + ?10",
		err);
	if (stmt == NULL)
		return err->code;
	oc_sql_bind(stmt, 1, day);
	oc_sql_bind(stmt, 2, o->session);
	oc_sql_bind(stmt, 3, o->provider);
	oc_sql_bind(stmt, 4, o->model);
	oc_status status = add_usage(tx, stmt, 5, &o->u, err);
	if (status != OC_OK)
		return status;
	stmt = oc_tx_stmt(tx,
			  "UPDATE sessions SET calls = calls + ?2, input = input + ?3, output = output + ?4,"
			  " cache_read = cache_read + ?5, cache_write = cache_write + ?6, cost = cost + ?7 WHERE key = ?1",
			  err);
	if (stmt == NULL)
		return err->code;
	oc_sql_bind(stmt, 1, o->session);
	return add_usage(tx, stmt, 2, &o->u, err);
}

void oc_batch_usage(oc_batch *b, const char *session, const char *provider, const char *model, const oc_usage *u)
{
	usage_op *o = oc_batch_add(b, sizeof *o, run_usage);
	if (o != NULL) {
		o->session = oc_batch_text(b, session);
		o->provider = oc_batch_text(b, provider);
		o->model = oc_batch_text(b, model);
		o->u = *u;
	}
}
