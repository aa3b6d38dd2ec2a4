/* What the files of core/store share; nobody else includes this. */
#ifndef OC_STORE_INTERNAL_H
#define OC_STORE_INTERNAL_H

#include <pthread.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/store/store.h"

#define STMT_SLOTS 256u /* a power of two, well above the number of statements */

/* Prepared statements of one connection, found by the address of their text. */
typedef struct oc_stmts {
	sqlite3 *db;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
	} slots[STMT_SLOTS];
} oc_stmts;

sqlite3_stmt *oc_stmts_get(oc_stmts *stmts, const char *sql, oc_err *err);
void oc_stmts_clear(oc_stmts *stmts);

/* What a transaction knows of a session: numbered and counted here, written back once (project.c). */
typedef struct oc_tx_session {
	char *key;
	int64_t id, last_seq, epoch_seq, messages, updated_ms;
	bool ended, dirty, has_preview;
	char preview[128];
} oc_tx_session;

#define TX_SESSIONS 128u /* a power of two; more than these are written back in between */

struct oc_tx {
	oc_stmts stmts;
	int64_t now_ms;
	oc_tx_session sessions[TX_SESSIONS];
	size_t n_sessions;
};

typedef struct oc_job {
	struct oc_job *next;
	oc_store_fn fn;
	oc_store_done done;
	void (*again)(void *arg); /* forgets the results of a run that was rolled back; NULL: fn must not run twice */
	void *arg;
	oc_status status;
	oc_err err;
	bool *finished; /* oc_store_write_now through the writer: set and signalled under the mutex */
	bool hold;	/* waits for the disk to come back instead of failing with it */
	bool lazy;	/* nobody waits for it: goes along with the next one, or after LAZY_MS */
	unsigned tries; /* while it was held */
} oc_job;

typedef struct oc_job_list {
	oc_job *first, **tail;
	size_t n;
} oc_job_list;

/* Work that waits until nobody else has any: the writer thread's own (chores.c). Times are monotonic unless said. */
typedef struct oc_chores {
	oc_retention retention;
	bool behind;	    /* there may be messages that are not in the search index */
	bool checkpoint;    /* the log may be worth writing back */
	bool compact;	    /* give back all free pages in this round */
	bool over_disk;	    /* sessions go until the lower limit is reached */
	oc_clock_watch clock;
	uint64_t distrust_ms; /* the clock was set: nothing is removed until then */
	uint64_t quiet_since_ms; /* of the last group */
	uint64_t indexed_ms;	 /* of the last piece of the index */
	uint64_t retry_ms;	 /* after a failure */
	uint64_t prune_at_ms;	 /* the next round of retention, or since when the present one is due; 0: none */
	uint64_t prune_busy_ms;	 /* not before this is a piece of it done while others wait */
	int prune_step;		 /* of the round; 0: no round */
	int64_t prune_cursor;	 /* session id where the step stands */
	int64_t unmerged;	 /* messages removed whose words are still in the search index */
	int64_t sessions;	 /* how many there are, in the step that removes some; 0: not counted yet */
	unsigned unsynced;	 /* pieces since the last sync */
	int64_t now_ms;		 /* wall clock that the round goes by */
	unsigned failures;
	uint64_t rounds, postponed, pruned_sessions, pruned_messages, pruned_events, pruned_rows;
} oc_chores;

struct oc_store {
	char *path;
	oc_loop *loop;
	int mode;
	int lock_fd;
	oc_stmts reader; /* its connection is made by the first read */
	/* Everything below is the writer's, under the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t wake, finished;
	pthread_t thread;
	bool has_thread, stopping, settling;
	oc_job_list queue, done;
	size_t in_work; /* jobs the writer took and has not finished */
	bool hurry;	/* somebody waits for one of the queue */
	uint64_t lazy_until_ms; /* monotonic: then even the lazy ones are written */
	oc_wake *tell; /* the loop, that jobs are done; NULL without a loop */
	bool delivering, closed; /* the loop's: closed by a callback, the delivery frees the memory */
	oc_store_stats stats;
	/* The disk refuses: what may wait waits, the rest is told why. */
	bool stalled;
	oc_err stall, damage; /* damage: what the first change said that met a damaged page */
	uint64_t stall_retry_ms, stall_wait_ms; /* monotonic; the present pause */
	unsigned stall_tries;
	oc_retention retention; /* what to remove, see chores.c */
	bool retention_new, compact_now;
	/* The log is written back on a thread of its own (log.c). */
	pthread_t log_thread;
	bool log_started, log_copied; /* there is a thread to be joined; it has done its work */
	oc_status log_status;
	int log_pages, log_done_pages; /* the writer thread's own: in the log, and how many it had after the last time */
	uint64_t log_retry_ms;
	bool log_told; /* that somebody keeps it from beginning anew */
	int64_t log_bytes_max; /* more: new work is refused */
	int64_t log_full_since_ms; /* wall clock, under the mutex; 0: it is not */
	/* The writer's connection: made on the thread that writes first, used by one thread at a time. */
	oc_tx tx;
	oc_chores chores; /* the writer thread's own */
};

#define OC_STORE_QUEUE_MAX 8192u

/* How many jobs may wait. What was accepted has most of it for itself, because to refuse that is to lose it: new work is refused
 * long before (running turns, which are bounded, have a few jobs here each). */
static inline size_t oc_store_queue_max(bool accepted)
{
	size_t fresh = OC_STORE_QUEUE_MAX / 4;
#ifdef OC_FAULT_POINTS
	const char *fewer = getenv("OPENCLAW_FAULT_QUEUE");
	if (fewer != NULL)
		fresh = strtoul(fewer, NULL, 10);
#endif
	return accepted ? OC_STORE_QUEUE_MAX : fresh;
}

/* How long another process' lock is waited for. The gateway's accepted work is tried again anyway, and new work should hear
 * soon that it must wait. */
static inline int oc_store_patience_ms(const oc_store *store)
{
	return store->mode == OC_STORE_OWNER ? 1000 : 5000;
}

/* The table `meta`. */
#define META_SEARCH_UPTO "searchUpto" /* messages up to this id are in the search index */

/* Translates the connection's last error. what: "cannot read the session". */
oc_status oc_sql_fail(oc_err *err, sqlite3 *db, int rc, const char *what);
/* Opens a connection with our settings. flags as sqlite3_open_v2. */
oc_status oc_sql_open(const char *path, int flags, sqlite3 **ret, oc_err *err);
oc_status oc_sql_exec(sqlite3 *db, const char *sql, oc_err *err);
/* PRAGMA with one number as result; -1 when it cannot be read. */
int64_t oc_sql_pragma(sqlite3 *db, const char *pragma);

void oc_sql_bind(sqlite3_stmt *stmt, int at, const char *text_or_null);
static inline const char *oc_sql_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *p = sqlite3_column_text(stmt, column);
	return p != NULL ? (const char *)p : "";
}

/* store.c: makes the reader's connection when there is none yet. */
oc_status oc_store_open_reader(oc_store *store, oc_err *err);

/* store.c: who has the store open is told by a lock beside it; *ret_fd is closed to give it up. */
oc_status oc_store_lock(const char *path, bool alone, int *ret_fd, oc_err *err);

/* schema.c: brings the file to OC_STORE_SCHEMA; OC_E_VERSION when it is newer. */
oc_status oc_schema_migrate(sqlite3 *db, const char *path, oc_err *err);
/* Whether the file's header says that there is nothing to migrate and nothing to refuse. */
bool oc_schema_is_current(const char *path);
oc_status oc_schema_version_check(sqlite3 *db, const char *path, int64_t *ret_version, oc_err *err);

/* wal.c */
/* Whoever has the lock, before anything else is opened: tells the log, and keeps a log that a disk damaged. */
void oc_wal_look(const char *path);

/* writer.c */
void oc_writer_init(oc_store *store);
void oc_writer_stop(oc_store *store);
/* On the loop: tells whoever waits that their jobs are done. */
void oc_writer_deliver(void *arg);
/* As oc_store_write; again, hold and lazy as in oc_job. */
enum { OC_PUT_HOLD = 1, OC_PUT_LAZY = 2 };
oc_status oc_writer_put(oc_store *store, oc_store_fn fn, void (*again)(void *arg), oc_store_done done, void *arg, int flags,
			oc_err *err);

/* group.c: carries out a list of jobs in one transaction. Anything but OC_OK: nothing of it was written, for a reason that
 * lies outside of the jobs (the disk, another process). */
oc_status oc_group_commit(oc_store *store, oc_job *first, oc_err *ret_why);
oc_status oc_group_connect(oc_store *store, oc_err *err);
/* One transaction without jobs, on the writer's connection: begin, fn, commit. */
oc_status oc_group_alone(oc_store *store, oc_status (*fn)(oc_store *store, oc_err *err), oc_err *err);

/* project.c: writes back what the transaction knows of sessions; forgetting happens after a rollback. */
oc_status oc_tx_flush(oc_tx *tx, oc_err *err);
void oc_tx_forget(oc_tx *tx);

/* chores.c: on the writer thread, without the mutex. Milliseconds until there is something to do; UINT64_MAX: nothing. */
uint64_t oc_chores_due(oc_store *store);
void oc_chores_run(oc_store *store);
void oc_chores_wrote(oc_store *store); /* after a group */
/* Under load: the index must not be put off for ever. */
bool oc_chores_overdue(const oc_store *store); /* with the mutex held */
void oc_chores_busy(oc_store *store);
void oc_chores_closing(oc_store *store);

/* log.c: on the writer thread, without the mutex. Connected: a connection for writing is new. Wrote: after a commit. */
void oc_log_connected(oc_store *store, sqlite3 *db);
void oc_log_wrote(oc_store *store);
/* Writes the rest back and cuts the log; false: a reader, who is not waited for, keeps it. */
bool oc_log_cut(oc_store *store);
/* The mutex is held: OC_OK, or why no new work is taken. */
oc_status oc_log_full(const oc_store *store, oc_err *err);
bool oc_log_busy(oc_store *store); /* it is being written back */
void oc_log_stop(oc_store *store); /* when the writer is gone; waits */

/* search.c: what goes into the index, which must be the same when it is taken out. */
#define SEARCH_TEXT "substr(text, 1, 16384)"
/* Takes a session's messages with seq < ?2 (or all) out of the index, before they are deleted; ids before the watermark. */
oc_status oc_search_remove(oc_tx *tx, int64_t session, int64_t before_seq, oc_err *err);
/* Rows were deleted: an id that is given again must be indexed again. */
oc_status oc_search_removed(oc_tx *tx, oc_err *err);

#endif
