/* What the files of core/store share; nobody else includes this. */
#ifndef OC_STORE_INTERNAL_H
#define OC_STORE_INTERNAL_H

#include <pthread.h>

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

struct oc_tx {
	oc_stmts stmts;
	int64_t now_ms;
};

typedef struct oc_job {
	struct oc_job *next;
	oc_store_fn fn;
	oc_store_done done;
	void *arg;
	oc_status status;
	oc_err err;
	bool *finished; /* oc_store_write_now through the writer: set and signalled under the mutex */
} oc_job;

typedef struct oc_job_list {
	oc_job *first, **tail;
	size_t n;
} oc_job_list;

/* Outlives the store when a posted wake-up is still under way. */
typedef struct oc_store_link {
	oc_store *store;
} oc_store_link;

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
	bool has_thread, stopping, posted;
	oc_job_list queue, done;
	size_t in_work; /* jobs the writer took and has not finished */
	oc_store_link *link;
	oc_store_stats stats;
	/* The writer's connection: made on the thread that writes first, used by one thread at a time. */
	oc_tx tx;
};

#define OC_STORE_QUEUE_MAX 8192u

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

/* schema.c: brings the file to OC_STORE_SCHEMA; OC_E_VERSION when it is newer. */
oc_status oc_schema_migrate(sqlite3 *db, const char *path, oc_err *err);
/* Whether the file's header says that there is nothing to migrate and nothing to refuse. */
bool oc_schema_is_current(const char *path);
oc_status oc_schema_version_check(sqlite3 *db, const char *path, int64_t *ret_version, oc_err *err);

/* writer.c */
void oc_writer_init(oc_store *store);
void oc_writer_stop(oc_store *store);

#endif
