/*
 * The writer: takes everything that waits, commits it in one transaction, hands the results back.  While it waits for
 * the disk the queue fills, so the next transaction is larger: the group grows with the load by itself.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/queues.h"
#include "core/store/internal.h"

#define GROUP_MAX 1024u
#define DELIVER_NS 4000000u
#define LAZY_MS 10u

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
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&store->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&store->finished, NULL);
	list_init(&store->queue);
	list_init(&store->done);
	store->log_bytes_max = OC_STORE_WAL_FULL;
}

/* ---- When the disk refuses ---- */

#define STALL_FIRST_MS 20u
#define STALL_MAX_MS 1000u
#define STALL_ALONE 3u	 /* from this try on one job at a time: the first may be the only one that cannot be written */
#define STALL_GIVE_UP 20u /* a job that still fails when everything else can be written is given up */

/* Whatever the cause was, the connection may be part of it. */
static void drop_connection(oc_store *store)
{
	oc_stmts_clear(&store->tx.stmts);
}

static oc_status write_probe(oc_store *store, oc_err *err)
{
	return oc_tx_run(&store->tx,
			 oc_tx_stmt(&store->tx, "INSERT OR REPLACE INTO meta(key, value) VALUES('probe', abs(random()))", err),
			 err);
}

/* Called with the mutex held. */
static void begin_stall(oc_store *store, const oc_err *why)
{
	if (!store->stalled) {
		oc_log_err(OC_LOG_ERROR, "store", "writing stands still until this is over", why);
		store->stats.stalls++;
		store->stats.stalled_since_ms = oc_wall_ms();
		store->stall_wait_ms = STALL_FIRST_MS;
		store->stall_tries = 0;
	} else {
		store->stall_wait_ms = store->stall_wait_ms * 2 < STALL_MAX_MS ? store->stall_wait_ms * 2 : STALL_MAX_MS;
	}
	store->stalled = true;
	store->stall = *why;
	store->stall_tries++;
	store->stall_retry_ms = oc_now_ms() + store->stall_wait_ms;
}

static void end_stall(oc_store *store)
{
	if (!store->stalled)
		return;
	store->stalled = false;
	oc_info("store", "writing goes on after %lld ms", (long long)(oc_wall_ms() - store->stats.stalled_since_ms));
	store->stats.stalled_since_ms = 0;
}

/* Called with the mutex held: what may wait goes back to the front of the queue, the rest fails. */
static void put_back(oc_store *store, oc_job_list *group, const oc_err *why)
{
	bool last_chance = store->stopping || store->settling;
	oc_job_list waits, over;
	list_init(&waits);
	list_init(&over);
	for (oc_job *job = group->first, *next; job != NULL; job = next) {
		next = job->next;
		if (job->hold && !last_chance) {
			if (job->again != NULL)
				job->again(job->arg);
			job->tries++;
			list_add(&waits, job);
			continue;
		}
		job->status = why->code;
		job->err = *why;
		list_add(&over, job);
	}
	store->stats.held = waits.n;
	list_move(&waits, &store->queue);
	store->queue = waits;
	store->hurry = true;
	if (waits.first == NULL)
		list_init(&store->queue);
	*group = over;
	if (over.first == NULL)
		list_init(group);
}

/* ---- The thread ---- */

/* Called with the mutex held. */
static void tell_loop(oc_store *store)
{
	if (store->tell != NULL && store->done.first != NULL)
		oc_wake_post(store->tell);
}

static void take_group(oc_store *store, oc_job_list *group)
{
	size_t max = store->stalled && store->stall_tries >= STALL_ALONE && !store->stopping ? 1 : GROUP_MAX;
	list_init(group);
	while (store->queue.first != NULL && group->n < max) {
		oc_job *job = store->queue.first;
		store->queue.first = job->next;
		if (store->queue.first == NULL)
			store->queue.tail = &store->queue.first;
		store->queue.n--;
		list_add(group, job);
	}
	store->hurry &= store->queue.first != NULL;
	store->in_work = group->n;
}

static void count_commit(oc_store_stats *stats, const oc_job_list *group, uint64_t took)
{
	uint64_t us = took / 1000;
	size_t bucket = 0;
	while (bucket < OC_STORE_LATENCY_BUCKETS - 1 && us >= 64ull << bucket)
		bucket++;
	stats->commits++;
	stats->batches += group->n;
	stats->commit_ns_total += took;
	stats->commit_latency[bucket]++;
	if (took > stats->commit_ns_max)
		stats->commit_ns_max = took;
}

/* Called without the mutex: writes the group, or the probe when there is none. */
static oc_status write_group(oc_store *store, oc_job_list *group, oc_err *why)
{
	oc_status status = group->first != NULL ? oc_group_commit(store, group->first, why)
						: oc_group_alone(store, write_probe, why);
	if (status == OC_OK)
		return OC_OK;
	drop_connection(store);
	oc_err other = {0};
	if (group->n == 1 && group->first->hold && group->first->tries >= STALL_GIVE_UP &&
	    oc_group_alone(store, write_probe, &other) == OC_OK) {
		group->first->status = why->code;
		group->first->err = *why;
		return OC_OK;
	}
	return status;
}

/* Called with the mutex held, which is released while the disk is busy. */
static void work(oc_store *store)
{
	oc_job_list group;
	oc_err why = {0};
	take_group(store, &group);
	pthread_mutex_unlock(&store->mutex);
	uint64_t began = oc_now_ns();
	oc_status status = write_group(store, &group, &why);
	uint64_t took = oc_now_ns() - began;
	if (status == OC_OK && group.n > 0) {
		oc_chores_wrote(store);
		oc_log_wrote(store);
	}
	pthread_mutex_lock(&store->mutex);
	store->in_work = 0;
	if (status == OC_OK) {
		if (group.n > 0)
			count_commit(&store->stats, &group, took);
		end_stall(store);
		store->stats.held = 0;
	} else {
		begin_stall(store, &why);
		put_back(store, &group, &why);
	}
	for (oc_job *job = group.first; job != NULL; job = job->next) {
		if (job->status != OC_OK)
			store->stats.failures++;
		if (job->status == OC_E_CORRUPT && store->damage.code == OC_OK) {
			store->damage = job->err;
			oc_log_err(OC_LOG_ERROR, "store", "a part of the store is damaged", &job->err);
		}
		if (job->finished != NULL)
			*job->finished = true;
	}
	list_move(&store->done, &group);
	pthread_cond_broadcast(&store->finished);
	tell_loop(store);
}

/* Called with the mutex held. */
static void wait_until(oc_store *store, uint64_t ms)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(ms / 1000);
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&store->wake, &store->mutex, &at);
}

/* Called with the mutex held: 0: there is work to do now; else milliseconds until there is, UINT64_MAX: none waits. */
static uint64_t work_due(const oc_store *store)
{
	if (store->queue.first == NULL)
		return UINT64_MAX;
	if (store->hurry || store->stopping || store->settling)
		return 0;
	uint64_t now = oc_now_ms();
	return now < store->lazy_until_ms ? store->lazy_until_ms - now : 0;
}

/* Called with the mutex held: works, or waits for the next reason to. false: the thread is to end. */
static bool step(oc_store *store)
{
	if (store->stalled && !store->stopping && !(store->settling && store->queue.first != NULL)) {
		uint64_t now = oc_now_ms();
		if (now < store->stall_retry_ms)
			wait_until(store, store->stall_retry_ms - now);
		else
			work(store);
		return true;
	}
	uint64_t wait = work_due(store);
	if (wait == 0) {
		work(store);
		if (oc_chores_overdue(store)) {
			pthread_mutex_unlock(&store->mutex);
			oc_chores_busy(store);
			pthread_mutex_lock(&store->mutex);
		}
		return true;
	}
	if (wait != UINT64_MAX) {
		wait_until(store, wait);
		return true;
	}
	if (store->stopping)
		return false;
	pthread_mutex_unlock(&store->mutex);
	uint64_t due = oc_chores_due(store);
	if (due == 0)
		oc_chores_run(store);
	pthread_mutex_lock(&store->mutex);
	/* Between the two locks work may have come, whose signal nobody heard. */
	if (due == 0 || store->queue.first != NULL || store->stopping || store->settling)
		return true;
	if (due == UINT64_MAX)
		pthread_cond_wait(&store->wake, &store->mutex);
	else
		wait_until(store, due);
	return true;
}

static void *writer_main(void *arg)
{
	oc_store *store = arg;
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_setname_np(pthread_self(), "oc-store");
	pthread_mutex_lock(&store->mutex);
	while (step(store))
		continue;
	pthread_mutex_unlock(&store->mutex);
	oc_chores_closing(store);
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

/* A group may hold a thousand jobs, and what they start takes time: a slice at a time, so that others get the loop too. */
void oc_writer_deliver(void *arg)
{
	oc_store *store = arg;
	uint64_t until = oc_now_ns() + DELIVER_NS;
	oc_job_list done;
	list_init(&done);
	pthread_mutex_lock(&store->mutex);
	list_move(&done, &store->done);
	pthread_mutex_unlock(&store->mutex);
	store->delivering = true;
	/* When a callback closes the store, what was taken is still told. */
	while (done.first != NULL && (store->closed || oc_now_ns() < until)) {
		oc_job *job = done.first;
		done.first = job->next;
		done.n--;
		finish(job);
	}
	store->delivering = false;
	if (store->closed) {
		oc_free(store);
		return;
	}
	if (done.first == NULL)
		return;
	pthread_mutex_lock(&store->mutex);
	list_move(&done, &store->done);
	store->done = done;
	tell_loop(store);
	pthread_mutex_unlock(&store->mutex);
}

static oc_status enqueue(oc_store *store, oc_job *job, oc_err *err)
{
	if (store->mode == OC_STORE_READER)
		return oc_fail(err, OC_E_STATE, NULL, "the store is open for reading only");
	oc_status status = OC_OK;
	pthread_mutex_lock(&store->mutex);
	if (store->stopping) {
		status = oc_fail(err, OC_E_STATE, NULL, "the store is being closed");
	} else if (store->queue.n >= oc_store_queue_max(job->hold)) {
		oc_queue_refused(OC_QUEUE_store_writes);
		status = oc_fail(err, OC_E_BUSY, "the disk is too slow for the load: wait and try again",
				 "%zu changes wait to be written", store->queue.n);
	} else if (store->stalled && !job->hold && (store->queue.n > 0 || oc_now_ms() < store->stall_retry_ms)) {
		/* Told now rather than after the next try: whoever brings new work must not acknowledge it. */
		status = store->stall.code;
		if (err != NULL)
			*err = store->stall;
	} else if (!job->hold && oc_log_full(store, err) != OC_OK) {
		status = OC_E_BUSY;
	} else if (!store->has_thread) {
		int rc = pthread_create(&store->thread, NULL, writer_main, store);
		store->has_thread = rc == 0;
		if (rc != 0)
			status = oc_fail_errno(err, rc, "cannot start the store's writer");
	}
	bool wake = false;
	if (status == OC_OK) {
		bool first = store->queue.first == NULL;
		list_add(&store->queue, job);
		if (first)
			store->lazy_until_ms = oc_now_ms() + LAZY_MS;
		wake = first || !job->lazy;
		store->hurry |= !job->lazy;
	}
	pthread_mutex_unlock(&store->mutex);
	if (wake)
		pthread_cond_signal(&store->wake); /* without the lock, for which the writer would only wait again */
	return status;
}

oc_status oc_writer_put(oc_store *store, oc_store_fn fn, void (*again)(void *arg), oc_store_done done, void *arg, int flags,
			oc_err *err)
{
	oc_job *job = oc_alloc(sizeof *job);
	if (job == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "the store takes no changes");
	job->fn = fn;
	job->again = again;
	job->done = done;
	job->arg = arg;
	job->hold = (flags & OC_PUT_HOLD) != 0;
	job->lazy = (flags & OC_PUT_LAZY) != 0;
	oc_status status = enqueue(store, job, err);
	if (status != OC_OK)
		oc_free(job);
	return status;
}

oc_status oc_store_write(oc_store *store, oc_store_fn fn, oc_store_done done, void *arg)
{
	return oc_writer_put(store, fn, NULL, done, arg, 0, NULL);
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
		oc_err why = {0};
		oc_status status = oc_group_commit(store, &job, &why);
		if (status != OC_OK) {
			drop_connection(store);
			job.status = status;
			job.err = why;
		}
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
	store->settling = true; /* what waits for the disk gets one more try */
	pthread_cond_signal(&store->wake);
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
	store->settling = false;
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
	oc_log_stop(store);
	oc_tx_forget(&store->tx);
	oc_stmts_clear(&store->tx.stmts);
	oc_wake_free(store->tell);
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
	errno = 0; /* oc_sql_fail tells it */
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
