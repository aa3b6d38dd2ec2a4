/*
 * Writing the log (-wal) back into the store's file.
 *
 * SQLite would do it inside the commit that makes the log too long: everybody who waits for that commit waits for some ten
 * megabytes and two syncs more, and for a second or two at the first commit after a process died with a large log.  Here
 * another thread with a connection of its own does the copying, which keeps neither readers nor the writer from their work.
 * What was written meanwhile is little; the writer copies that itself, and begins the log anew with its next commit.
 */
#include <signal.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/internal.h"

#define LOG_PAGES 4000	   /* the log may have, 16 MiB */
#define MORE_PAGES 1000	   /* before the next try, when a reader keeps it from beginning anew */
#define LARGE_PAGES (int)(OC_STORE_WAL_LARGE / 4096)
#define RETRY_MS 2000u	   /* after a failure */

static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	((oc_store *)arg)->log_pages = pages;
	return SQLITE_OK;
}

void oc_log_connected(oc_store *store, sqlite3 *db)
{
	/* A command's process has no load, and writes little: SQLite's own way will do. */
	if (store->mode == OC_STORE_OWNER)
		sqlite3_wal_hook(db, on_commit, store);
	else
		sqlite3_wal_autocheckpoint(db, LOG_PAGES);
}

/* Never waits for anybody: what a reader still needs stays where it is. */
static oc_status copy(oc_store *store, sqlite3 *db, bool *ret_all, oc_err *err)
{
	int pages = 0, copied = 0;
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
	*ret_all = rc == SQLITE_OK && pages == copied;
	if (*ret_all) {
		pthread_mutex_lock(&store->mutex);
		store->stats.checkpoints++;
		pthread_mutex_unlock(&store->mutex);
	}
	return rc == SQLITE_OK || rc == SQLITE_BUSY ? OC_OK : oc_sql_fail(err, db, rc, "cannot write the store's log back");
}

static void *log_main(void *arg)
{
	oc_store *store = arg;
	sqlite3 *db = NULL;
	oc_err err = {0};
	bool all = false;
	sigset_t signals;
	sigfillset(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pthread_setname_np(pthread_self(), "oc-store-log");
	oc_status status = oc_sql_open(store->path, SQLITE_OPEN_READWRITE, &db, &err);
	/* A connection that has read nothing does not know yet that there is a log. */
	if (status == OC_OK && oc_sql_pragma(db, "PRAGMA schema_version") >= 0)
		status = copy(store, db, &all, &err);
	sqlite3_close(db);
	if (status != OC_OK)
		oc_log_err(OC_LOG_WARN, "store", "it is tried again", &err);
	pthread_mutex_lock(&store->mutex);
	store->log_status = status;
	store->log_copied = true;
	pthread_mutex_unlock(&store->mutex);
	return NULL;
}

bool oc_log_busy(oc_store *store)
{
	pthread_mutex_lock(&store->mutex);
	bool busy = store->log_started && !store->log_copied;
	pthread_mutex_unlock(&store->mutex);
	return busy;
}

static void began_anew(oc_store *store)
{
	store->log_done_pages = 0;
	store->log_told = false;
	pthread_mutex_lock(&store->mutex);
	int64_t since = store->log_full_since_ms;
	store->log_full_since_ms = 0;
	pthread_mutex_unlock(&store->mutex);
	if (since != 0)
		oc_info("store", "the log began anew: work is taken again after %lld ms", (long long)(oc_wall_ms() - since));
}

bool oc_log_cut(oc_store *store)
{
	sqlite3 *db = store->tx.stmts.db;
	sqlite3_busy_timeout(db, 0);
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(db, oc_store_patience_ms(store));
	pthread_mutex_lock(&store->mutex);
	store->stats.checkpoints += rc == SQLITE_OK;
	pthread_mutex_unlock(&store->mutex);
	if (rc == SQLITE_OK)
		began_anew(store);
	return rc == SQLITE_OK;
}

/* The other thread is done. */
static void copied(oc_store *store)
{
	bool all = false;
	(void)pthread_join(store->log_thread, NULL);
	store->log_started = store->log_copied = false;
	bool was_large = store->log_pages > LARGE_PAGES; /* a file of that size would look as if somebody still kept it */
	store->log_done_pages = store->log_pages;
	if (store->log_status != OC_OK)
		store->log_retry_ms = oc_now_ms() + RETRY_MS;
	else if (store->tx.stmts.db != NULL && copy(store, store->tx.stmts.db, &all, NULL) == OC_OK && all && was_large)
		(void)oc_log_cut(store);
}

static void look_at_size(oc_store *store)
{
	pthread_mutex_lock(&store->mutex);
	bool full = store->log_full_since_ms == 0 && (int64_t)store->log_pages * 4096 > store->log_bytes_max;
	if (full)
		store->log_full_since_ms = oc_wall_ms();
	pthread_mutex_unlock(&store->mutex);
	oc_err why = {0};
	if (full && oc_log_full(store, &why) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "store", "no new work is taken until this is over", &why);
}

oc_status oc_log_full(const oc_store *store, oc_err *err)
{
	if (store->log_full_since_ms == 0)
		return OC_OK;
	return oc_fail(err, OC_E_BUSY, OC_STORE_WAL_REMEDY, "another program has been reading %s for so long that the log beside it has over %lld MiB",
		       store->path, (long long)(store->log_bytes_max >> 20));
}

void oc_store_set_log_max(oc_store *store, int64_t bytes)
{
	store->log_bytes_max = bytes;
}

void oc_log_wrote(oc_store *store)
{
	if (store->mode != OC_STORE_OWNER)
		return;
	if (store->log_pages < store->log_done_pages)
		began_anew(store);
	look_at_size(store);
	if (oc_log_busy(store))
		return;
	if (store->log_started) {
		copied(store);
		return;
	}
	if (store->log_pages > LARGE_PAGES && !store->log_told) {
		store->log_told = true;
		oc_warn("store", "another program has been reading %s for long: the log beside it has %d MiB and grows until that ends",
			store->path, store->log_pages / 256);
	}
	int most = store->log_done_pages > 0 ? store->log_done_pages + MORE_PAGES : LOG_PAGES;
	if (store->log_pages < most || oc_now_ms() < store->log_retry_ms)
		return;
	store->log_copied = false;
	store->log_started = pthread_create(&store->log_thread, NULL, log_main, store) == 0;
	if (!store->log_started)
		store->log_retry_ms = oc_now_ms() + RETRY_MS;
}

void oc_log_stop(oc_store *store)
{
	if (store->log_started)
		(void)pthread_join(store->log_thread, NULL);
	store->log_started = store->log_copied = false;
}
