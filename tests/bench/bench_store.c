/*
 * The store beside plain SQLite.  usage: bench_store append [ROWS] | open [EVENTS] | search [MESSAGES]
 *
 * append: one event (or message) a batch, handed over singly as turns do, against prepared INSERTs of the same columns in
 * explicit transactions of 100, both with WAL and synchronous=FULL.  Rows per second, and the ratio.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/store.h"

#define SESSIONS 50
#define GROUP 100
#define IN_FLIGHT 256

static char dir[64];

static const char *const words[] = {"river",  "stone",	 "cloud",  "matter", "simple", "answer",  "question", "gateway",
				    "message", "token",	 "light",  "window", "never",  "always",  "small",    "house",
				    "water",  "garden", "letter", "number", "people", "signal",  "memory",   "system",
				    "module", "channel", "reply",  "orange", "planet", "winter"};

/* Text of about n bytes: common words, and every seventh one of 5,000 rare ones. */
static void make_text(unsigned seed, char *out, size_t n)
{
	unsigned s = seed * 2654435761u + 1;
	size_t k = 0;
	while (k + 12 < n) {
		s = s * 1103515245u + 12345u;
		unsigned r = s >> 16;
		k += (size_t)(r % 7 == 0 ? snprintf(out + k, n - k, "w%u ", r % 5000)
					 : snprintf(out + k, n - k, "%s ", words[r % 30]));
	}
	out[k] = 0;
}

static void fail(const char *what, const oc_err *err)
{
	fprintf(stderr, "bench_store: %s: %s\n", what, err != NULL ? err->text : "");
	exit(1);
}

static void path_of(const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", dir, name);
}

/* ---- append ---- */

static void run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "bench_store: %s\n", sqlite3_errmsg(db));
		exit(1);
	}
}

static double plain(const char *name, int rows, size_t bytes)
{
	char path[128], text[1024], json[1100];
	sqlite3 *db = NULL;
	sqlite3_stmt *add = NULL;
	path_of(name, path);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		fail("plain", NULL);
	run_sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
		    "CREATE TABLE events(id INTEGER PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL,"
		    " ts_ms INTEGER NOT NULL, kind TEXT NOT NULL, run TEXT, data TEXT, UNIQUE(session, seq))");
	sqlite3_prepare_v2(db, "INSERT INTO events(session, seq, ts_ms, kind, run, data) VALUES(?1, ?2, ?3, ?4, ?5, ?6)", -1,
			   &add, NULL);
	uint64_t began = oc_now_ns();
	for (int i = 0; i < rows; i++) {
		if (i % GROUP == 0)
			run_sql(db, "BEGIN IMMEDIATE");
		make_text((unsigned)i, text, bytes);
		int n = snprintf(json, sizeof json, "{\"text\":\"%s\"}", text);
		sqlite3_bind_int(add, 1, i % SESSIONS);
		sqlite3_bind_int(add, 2, i / SESSIONS);
		sqlite3_bind_int64(add, 3, oc_wall_ms());
		sqlite3_bind_text(add, 4, "tool_called", -1, SQLITE_STATIC);
		sqlite3_bind_text(add, 5, "0c8f1f7e-7a55-4a3c-9c7a-1f54e6b7a001", -1, SQLITE_STATIC);
		sqlite3_bind_text(add, 6, json, n, SQLITE_STATIC);
		if (sqlite3_step(add) != SQLITE_DONE)
			fail("plain", NULL);
		sqlite3_reset(add);
		if (i % GROUP == GROUP - 1)
			run_sql(db, "COMMIT");
	}
	if (rows % GROUP != 0)
		run_sql(db, "COMMIT");
	double seconds = (double)(oc_now_ns() - began) / 1e9;
	sqlite3_finalize(add);
	sqlite3_close(db);
	return rows / seconds;
}

typedef struct feed {
	oc_store *store;
	oc_loop *loop;
	int next, rows, flying;
	size_t bytes;
	bool messages;
} feed;

static void on_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err);

static void send_one(feed *f)
{
	char session[32], text[1024], json[1100];
	oc_err err = {0};
	int i = f->next++;
	snprintf(session, sizeof session, "agent:main:s%d", i % SESSIONS);
	make_text((unsigned)i, text, f->bytes);
	oc_batch *b = oc_batch_new(f->store);
	if (f->messages) {
		oc_batch_message(b, session, "message_received",
				 &(oc_message){.role = i % 2 == 0 ? "user" : "assistant",
					       .text = text,
					       .run = "0c8f1f7e-7a55-4a3c-9c7a-1f54e6b7a001",
					       .tokens = 60});
	} else {
		snprintf(json, sizeof json, "{\"text\":\"%s\"}", text);
		oc_batch_event(b, session, "tool_called", "0c8f1f7e-7a55-4a3c-9c7a-1f54e6b7a001", json);
	}
	f->flying++;
	if (oc_batch_commit(b, on_done, f, &err) != OC_OK)
		fail("commit", &err);
}

static void on_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	feed *f = arg;
	(void)b;
	if (status != OC_OK)
		fail("commit", err);
	f->flying--;
	if (f->next < f->rows)
		send_one(f);
	else if (f->flying == 0)
		oc_loop_stop(f->loop);
}

static double ours(const char *name, int rows, size_t bytes, bool messages)
{
	char path[128];
	oc_err err = {0};
	feed f = {.rows = rows, .bytes = bytes, .messages = messages};
	path_of(name, path);
	if (oc_loop_new(&f.loop, &err) != OC_OK || oc_store_open(path, f.loop, OC_STORE_OWNER, &f.store, &err) != OC_OK)
		fail("open", &err);
	uint64_t began = oc_now_ns();
	while (f.flying < IN_FLIGHT && f.next < rows)
		send_one(&f);
	oc_loop_run(f.loop);
	double seconds = (double)(oc_now_ns() - began) / 1e9;
	oc_store_stats stats;
	oc_store_get_stats(f.store, &stats);
	printf("#   %.1f batches a commit, %.0f us a commit\n", (double)stats.batches / (double)stats.commits,
	       (double)stats.commit_ns_total / 1e3 / (double)stats.commits);
	oc_store_close(f.store);
	oc_loop_free(f.loop);
	return rows / seconds;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void append(int rows)
{
	enum { ROUNDS = 5 };
	double p[ROUNDS], e[ROUNDS], m[ROUNDS];
	for (int r = 0; r < ROUNDS; r++) { /* in turns: a machine's mood goes into all three */
		char name[32];
		snprintf(name, sizeof name, "p%d.db", r);
		p[r] = plain(name, rows, 300);
		snprintf(name, sizeof name, "e%d.db", r);
		e[r] = ours(name, rows, 300, false);
		snprintf(name, sizeof name, "m%d.db", r);
		m[r] = ours(name, rows, 300, true);
	}
	qsort(p, ROUNDS, sizeof *p, by_size);
	qsort(e, ROUNDS, sizeof *e, by_size);
	qsort(m, ROUNDS, sizeof *m, by_size);
	printf("plain SQLite, INSERTs of 300 B, 100 a commit  %8.0f rows/s\n", p[ROUNDS / 2]);
	printf("store, one event a batch                      %8.0f rows/s, ratio %.2f\n", e[ROUNDS / 2],
	       e[ROUNDS / 2] / p[ROUNDS / 2]);
	printf("store, one message a batch (event, message,\n"
	       "  session's row)                              %8.0f rows/s, ratio %.2f\n", m[ROUNDS / 2],
	       m[ROUNDS / 2] / p[ROUNDS / 2]);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "append", *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%.40s/ocbs.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		fail("mkdtemp", NULL);
	if (strcmp(what, "append") == 0)
		append(argc > 2 ? atoi(argv[2]) : 100000);
	char command[128];
	snprintf(command, sizeof command, "%s", dir);
	fflush(stdout);
	execlp("rm", "rm", "-rf", command, (char *)NULL);
	return 1;
}
