/*
 * The writer: takes everything that waits, commits it in one transaction, hands the results back.  While it waits for
 * the disk the queue fills, so the next transaction is larger: the group grows with the load by itself.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/store/internal.h"

#define GROUP_MAX 1024u

static void list_init(oc_job_list *list)
{
	*list = (oc_job_list){.tail = &list->first};
}

static void list_add(oc_job_list *list, oc_job *job)
{
	job->next = NULL;
	*list->tail = job;
	list->tail = &job->next;
	list->n++;
}

static void list_move(oc_job_list *to, oc_job_list *from)
{
	if (from->first == NULL)
		return;
	*to->tail = from->first;
	to->tail = from->tail;
	to->n += from->n;
	list_init(from);
}

void oc_writer_init(oc_store *store)
{
	pthread_mutex_init(&store->mutex, NULL);
	pthread_cond_init(&store->wake, NULL);
	pthread_cond_init(&store->finished, NULL);
	list_init(&store->queue);
	list_init(&store->done);
}

/* ---- The transaction ---- */

static oc_status open_connection(oc_store *store, oc_err *err)
{
	if (store->tx.stmts.db != NULL)
		return OC_OK;
	sqlite3 *db = NULL;
	oc_status status = oc_sql_open(store->path, SQLITE_OPEN_READWRITE, &db, err);
	if (status != OC_OK)
		return status;
	/* Every acknowledged commit survives a power cut; checkpoints come with a larger log than the default, so that
	 * they are rarer. */
	status = oc_sql_exec(db, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY", err);
	if (status != OC_OK) {
		sqlite3_close(db);
		return status;
	}
	store->tx.stmts.db = db;
	return OC_OK;
}

static void run_job(oc_store *store, oc_job *job)
{
	oc_tx *tx = &store->tx;
	job->err = (oc_err){0};
	oc_status status = oc_sql_exec(tx->stmts.db, "SAVEPOINT job", &job->err);
	if (status == OC_OK) {
		status = job->fn(tx, job->arg, &job->err);
		/* A full disk or a dead one makes SQLite roll the whole transaction back by itself. */
		if (sqlite3_get_autocommit(tx->stmts.db) != 0) {
			if (status == OC_OK)
				status = oc_fail(&job->err, OC_E_IO, NULL, "the store ended the transaction");
		} else if (status == OC_OK) {
			status = oc_sql_exec(tx->stmts.db, "RELEASE job", &job->err);
		} else {
			(void)oc_sql_exec(tx->stmts.db, "ROLLBACK TO job; RELEASE job", NULL);
		}
	}
	job->status = status;
	if (status != OC_OK && job->err.code == OC_OK)
		(void)oc_fail(&job->err, status, NULL, "the store refused the change");
}

/* Nothing of the group reached the disk: whoever thought to have succeeded did not. */
static void fail_group(oc_job *first, const oc_err *err)
{
	for (oc_job *job = first; job != NULL; job = job->next)
		if (job->status == OC_OK) {
			job->status = err->code;
			job->err = *err;
		}
}

static void commit_group(oc_store *store, oc_job *first)
{
	oc_err err = {0};
	oc_tx *tx = &store->tx;
	oc_status status = open_connection(store, &err);
	if (status == OC_OK)
		status = oc_sql_exec(tx->stmts.db, "BEGIN IMMEDIATE", &err);
	if (status == OC_OK) {
		tx->now_ms = oc_wall_ms();
		for (oc_job *job = first; job != NULL; job = job->next) {
			if (sqlite3_get_autocommit(tx->stmts.db) != 0) {
				status = oc_fail(&err, OC_E_IO, NULL, "the store ended the transaction");
				break;
			}
			run_job(store, job);
			if (job->status != OC_OK && sqlite3_get_autocommit(tx->stmts.db) != 0) {
				status = job->status;
				err = job->err;
				break;
			}
		}
		if (status == OC_OK && OC_FAULT_STATUS("store-commit") != OC_OK)
			status = oc_fail(&err, OC_E_IO, NULL, "the store failed: as the test wants it");
		if (status == OC_OK)
			status = oc_sql_exec(tx->stmts.db, "COMMIT", &err);
		if (status == OC_OK)
			OC_FAULT_POINT("store-committed");
		if (status != OC_OK && sqlite3_get_autocommit(tx->stmts.db) == 0)
			(void)oc_sql_exec(tx->stmts.db, "ROLLBACK", NULL);
	}
	if (status != OC_OK)
		fail_group(first, &err);
}

/* ---- The thread ---- */

static void deliver(void *arg);

/* Called with the mutex held. When the loop cannot be told for lack of memory, the next finished group tells it. */
static void tell_loop(oc_store *store)
{
	if (store->posted || store->loop == NULL || store->done.first == NULL)
		return;
	store->posted = oc_loop_post(store->loop, deliver, store->link) == OC_OK;
}

static void take_group(oc_store *store, oc_job_list *group)
{
	list_init(group);
	while (store->queue.first != NULL && group->n < GROUP_MAX) {
		oc_job *job = store->queue.first;
		store->queue.first = job->next;
		if (store->queue.first == NULL)
			store->queue.tail = &store->queue.first;
		store->queue.n--;
		list_add(group, job);
	}
	store->in_work = group->n;
}

/* Called with the mutex held, which is released while the disk is busy. */
static void work(oc_store *store)
{
	oc_job_list group;
	take_group(store, &group);
	pthread_mutex_unlock(&store->mutex);
	uint64_t began = oc_now_ns();
	commit_group(store, group.first);
	uint64_t took = oc_now_ns() - began;
	pthread_mutex_lock(&store->mutex);
	store->in_work = 0;
	store->stats.commits++;
	store->stats.batches += group.n;
	store->stats.commit_ns_total += took;
	if (took > store->stats.commit_ns_max)
		store->stats.commit_ns_max = took;
	for (oc_job *job = group.first; job != NULL; job = job->next) {
		if (job->status != OC_OK)
			store->stats.failures++;
		if (job->finished != NULL)
			*job->finished = true;
	}
	list_move(&store->done, &group);
	pthread_cond_broadcast(&store->finished);
	tell_loop(store);
}

static void *writer_main(void *arg)
{
	oc_store *store = arg;
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_setname_np(pthread_self(), "oc-store");
	pthread_mutex_lock(&store->mutex);
	for (;;) {
		if (store->queue.first != NULL)
			work(store);
		else if (store->stopping)
			break;
		else
			pthread_cond_wait(&store->wake, &store->mutex);
	}
	pthread_mutex_unlock(&store->mutex);
	return NULL;
}

/* ---- The loop's side ---- */

static void finish(oc_job *job)
{
	if (job->done != NULL)
		job->done(job->arg, job->status, &job->err);
	else if (job->status != OC_OK && job->finished == NULL)
		oc_log_err(OC_LOG_ERROR, "store", "a change that nobody waits for was lost", &job->err);
	if (job->finished == NULL)
		oc_free(job);
}

static void deliver(void *arg)
{
	oc_store_link *link = arg;
	oc_store *store = link->store;
	if (store == NULL) {
		oc_free(link);
		return;
	}
	oc_job_list done;
	list_init(&done);
	pthread_mutex_lock(&store->mutex);
	store->posted = false;
	list_move(&done, &store->done);
	pthread_mutex_unlock(&store->mutex);
	for (oc_job *job = done.first, *next; job != NULL; job = next) {
		next = job->next;
		finish(job);
	}
}

static oc_status enqueue(oc_store *store, oc_job *job, oc_err *err)
{
	if (store->mode == OC_STORE_READER)
		return oc_fail(err, OC_E_STATE, NULL, "the store is open for reading only");
	oc_status status = OC_OK;
	pthread_mutex_lock(&store->mutex);
	if (store->stopping) {
		status = oc_fail(err, OC_E_STATE, NULL, "the store is being closed");
	} else if (store->queue.n >= OC_STORE_QUEUE_MAX) {
		status = oc_fail(err, OC_E_BUSY, "the disk is too slow for the load: wait and try again",
				 "%u changes wait to be written", OC_STORE_QUEUE_MAX);
	} else if (!store->has_thread) {
		int rc = pthread_create(&store->thread, NULL, writer_main, store);
		store->has_thread = rc == 0;
		if (rc != 0)
			status = oc_fail_errno(err, rc, "cannot start the store's writer");
	}
	if (status == OC_OK) {
		list_add(&store->queue, job);
		pthread_cond_signal(&store->wake);
	}
	pthread_mutex_unlock(&store->mutex);
	return status;
}

oc_status oc_store_write(oc_store *store, oc_store_fn fn, oc_store_done done, void *arg)
{
	oc_job *job = oc_alloc(sizeof *job);
	if (job == NULL)
		return OC_E_NOMEM;
	job->fn = fn;
	job->done = done;
	job->arg = arg;
	oc_status status = enqueue(store, job, NULL);
	if (status != OC_OK)
		oc_free(job);
	return status;
}

oc_status oc_store_write_now(oc_store *store, oc_store_fn fn, void *arg, oc_err *err)
{
	if (store->mode == OC_STORE_READER)
		return oc_fail(err, OC_E_STATE, NULL, "the store is open for reading only");
	bool finished = false;
	oc_job job = {.fn = fn, .arg = arg, .finished = &finished};
	pthread_mutex_lock(&store->mutex);
	bool threaded = store->has_thread;
	pthread_mutex_unlock(&store->mutex);
	if (!threaded) {
		/* Nobody else can start the thread: that too happens on this one. */
		commit_group(store, &job);
	} else {
		oc_status status = enqueue(store, &job, err);
		if (status != OC_OK)
			return status;
		pthread_mutex_lock(&store->mutex);
		while (!finished)
			pthread_cond_wait(&store->finished, &store->mutex);
		/* The job lives on this stack: it must not stay in the list for the loop. */
		for (oc_job **at = &store->done.first; *at != NULL; at = &(*at)->next)
			if (*at == &job) {
				*at = job.next;
				if (store->done.tail == &job.next)
					store->done.tail = at;
				store->done.n--;
				break;
			}
		pthread_mutex_unlock(&store->mutex);
	}
	if (job.status != OC_OK && err != NULL)
		*err = job.err;
	return job.status;
}

void oc_store_settle(oc_store *store)
{
	pthread_mutex_lock(&store->mutex);
	while (store->queue.n + store->in_work + store->done.n > 0) {
		oc_job_list done;
		list_init(&done);
		while (store->done.n == 0 && store->queue.n + store->in_work > 0)
			pthread_cond_wait(&store->finished, &store->mutex);
		list_move(&done, &store->done);
		pthread_mutex_unlock(&store->mutex);
		for (oc_job *job = done.first, *next; job != NULL; job = next) {
			next = job->next;
			finish(job);
		}
		pthread_mutex_lock(&store->mutex);
	}
	pthread_mutex_unlock(&store->mutex);
}

void oc_writer_stop(oc_store *store)
{
	pthread_mutex_lock(&store->mutex);
	store->stopping = true;
	bool threaded = store->has_thread;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->mutex);
	if (threaded)
		pthread_join(store->thread, NULL);
	store->has_thread = false;
	/* A callback may want to write again: it is told that the store is closing. */
	while (store->done.first != NULL) {
		oc_job_list done;
		list_init(&done);
		list_move(&done, &store->done);
		for (oc_job *job = done.first, *next; job != NULL; job = next) {
			next = job->next;
			finish(job);
		}
	}
	oc_stmts_clear(&store->tx.stmts);
	if (store->link != NULL && store->posted)
		store->link->store = NULL; /* deliver frees it */
	else
		oc_free(store->link);
	pthread_cond_destroy(&store->finished);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->mutex);
}

/* ---- Inside a transaction ---- */

sqlite3 *oc_tx_db(oc_tx *tx)
{
	return tx->stmts.db;
}

sqlite3_stmt *oc_tx_stmt(oc_tx *tx, const char *sql, oc_err *err)
{
	return oc_stmts_get(&tx->stmts, sql, err);
}

oc_status oc_tx_run(oc_tx *tx, sqlite3_stmt *stmt, oc_err *err)
{
	if (stmt == NULL)
		return err != NULL && err->code != OC_OK ? err->code : OC_E_INTERNAL;
	int rc = sqlite3_step(stmt);
	oc_status status = rc == SQLITE_DONE || rc == SQLITE_ROW ? OC_OK
								 : oc_sql_fail(err, tx->stmts.db, rc, "cannot write");
	sqlite3_reset(stmt);
	return status;
}

int64_t oc_tx_now_ms(const oc_tx *tx)
{
	return tx->now_ms;
}
