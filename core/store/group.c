/*
 * One transaction for a group of jobs.
 *
 * Jobs nearly always succeed, and a savepoint costs as much as a small change.  So a group runs without savepoints first;
 * when a job fails, all of it is rolled back and runs again with a savepoint for each, where the one that fails leaves
 * nothing and takes nobody along.
 */
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/store/internal.h"

oc_status oc_group_connect(oc_store *store, oc_err *err)
{
	if (store->tx.stmts.db != NULL)
		return OC_OK;
	sqlite3 *db = NULL;
	oc_status status = oc_sql_open(store->path, SQLITE_OPEN_READWRITE, &db, err);
	if (status != OC_OK)
		return status;
	/* Every acknowledged commit survives a power cut; a log that grew under a long reader is cut when it is over. */
	status = oc_sql_exec(db, "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY", err);
	if (status != OC_OK) {
		sqlite3_close(db);
		return status;
	}
	sqlite3_busy_timeout(db, oc_store_patience_ms(store));
	oc_log_connected(store, db);
	store->tx.stmts.db = db;
	return OC_OK;
}

/* Whether the last error is the disk's or another process's fault rather than the statement's. */
static bool is_outside(sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return true;
	default:
		return false;
	}
}

static oc_status simple(oc_store *store, const char *literal, oc_err *err)
{
	sqlite3_stmt *stmt = oc_tx_stmt(&store->tx, literal, err);
	return oc_tx_run(&store->tx, stmt, err);
}

static oc_status begin(oc_store *store, oc_err *err)
{
	oc_status status = oc_group_connect(store, err);
	if (status == OC_OK)
		status = simple(store, "BEGIN IMMEDIATE", err);
	store->tx.now_ms = oc_wall_ms();
	return status;
}

static void roll_back(oc_store *store)
{
	oc_tx_forget(&store->tx);
	if (store->tx.stmts.db != NULL && sqlite3_get_autocommit(store->tx.stmts.db) == 0)
		(void)simple(store, "ROLLBACK", NULL);
	/* Without memory even that can fail; a connection that is gone rolls back for sure. */
	if (store->tx.stmts.db != NULL && sqlite3_get_autocommit(store->tx.stmts.db) == 0)
		oc_stmts_clear(&store->tx.stmts);
}

static oc_status end(oc_store *store, oc_err *err)
{
	oc_status status = oc_tx_flush(&store->tx, err);
	if (status == OC_OK)
		status = simple(store, "COMMIT", err);
	if (status == OC_OK)
		oc_tx_forget(&store->tx);
	return status;
}

/* A failed job whose err says nothing gets a sentence. */
static oc_status settle_error(oc_job *job, oc_status status)
{
	if (status != OC_OK && job->err.code == OC_OK)
		(void)oc_fail(&job->err, status, NULL, "the store refused the change");
	return job->status = status;
}

typedef enum outcome { GROUP_DONE = 1, GROUP_JOB_FAILED, GROUP_OUTSIDE } outcome;

/* What to make of a job's failure: SQLite may have ended the transaction by itself, or the disk be the cause. */
static outcome judge(oc_store *store, oc_err *why, const oc_err *err)
{
	sqlite3 *db = store->tx.stmts.db;
	if (!is_outside(db) && sqlite3_get_autocommit(db) == 0)
		return GROUP_JOB_FAILED;
	*why = *err;
	return GROUP_OUTSIDE;
}

static outcome run_plainly(oc_store *store, oc_job *first, oc_err *why)
{
	for (oc_job *job = first; job != NULL; job = job->next) {
		job->err = (oc_err){0};
		if (settle_error(job, job->fn(&store->tx, job->arg, &job->err)) != OC_OK)
			return judge(store, why, &job->err);
	}
	return GROUP_DONE;
}

static outcome run_guarded(oc_store *store, oc_job *job, oc_err *why)
{
	oc_tx *tx = &store->tx;
	job->err = (oc_err){0};
	oc_status status = simple(store, "SAVEPOINT job", &job->err);
	if (status == OC_OK)
		status = job->fn(tx, job->arg, &job->err);
	if (status == OC_OK)
		status = oc_tx_flush(tx, &job->err);
	if (settle_error(job, status) == OC_OK) {
		oc_tx_forget(tx);
		if (settle_error(job, simple(store, "RELEASE job", &job->err)) == OC_OK)
			return GROUP_DONE;
	}
	outcome what = judge(store, why, &job->err);
	oc_tx_forget(tx);
	if (what == GROUP_JOB_FAILED && (simple(store, "ROLLBACK TO job", why) != OC_OK || simple(store, "RELEASE job", why) != OC_OK))
		return GROUP_OUTSIDE;
	return what;
}

static void all_again(oc_job *first)
{
	for (oc_job *job = first; job != NULL; job = job->next)
		if (job->again != NULL)
			job->again(job->arg);
}

static oc_status finish(oc_store *store, outcome what, oc_err *why)
{
	oc_status status = what == GROUP_DONE ? OC_OK : OC_E_IO;
	if (status == OC_OK && OC_FAULT_STATUS("store-commit") != OC_OK)
		status = oc_fail(why, OC_E_IO, NULL, "the store failed: as the test wants it");
	if (status == OC_OK)
		status = end(store, why);
	if (status == OC_OK)
		OC_FAULT_POINT("store-committed");
	else
		roll_back(store);
	if (status != OC_OK && why->code == OC_OK)
		(void)oc_fail(why, OC_E_IO, NULL, "the store ended the transaction");
	return status == OC_OK ? OC_OK : why->code;
}

oc_status oc_group_commit(oc_store *store, oc_job *first, oc_err *why)
{
	bool guarded = false;
	oc_status status = begin(store, why);
	if (status != OC_OK) {
		roll_back(store);
		return status;
	}
	for (const oc_job *job = first; job != NULL && !guarded; job = job->next)
		guarded = job->again == NULL && (job != first || job->next != NULL);
	if (!guarded) {
		outcome what = run_plainly(store, first, why);
		if (what != GROUP_JOB_FAILED || first->next == NULL) {
			oc_err job_err = first->err;
			oc_status job_status = first->status;
			if (what != GROUP_JOB_FAILED)
				return finish(store, what, why);
			roll_back(store); /* alone in its transaction: nothing is left to be written */
			first->status = job_status;
			first->err = job_err;
			return OC_OK;
		}
		roll_back(store);
		all_again(first);
		status = begin(store, why);
		if (status != OC_OK) {
			roll_back(store);
			return status;
		}
	}
	outcome what = GROUP_DONE;
	for (oc_job *job = first; job != NULL && what != GROUP_OUTSIDE; job = job->next)
		what = run_guarded(store, job, why);
	return finish(store, what == GROUP_OUTSIDE ? GROUP_OUTSIDE : GROUP_DONE, why);
}

oc_status oc_group_alone(oc_store *store, oc_status (*fn)(oc_store *store, oc_err *err), oc_err *err)
{
	oc_status status = begin(store, err);
	if (status == OC_OK)
		status = fn(store, err);
	if (status == OC_OK)
		status = end(store, err);
	if (status != OC_OK)
		roll_back(store);
	return status;
}
