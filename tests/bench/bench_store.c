/*
 * The store beside plain SQLite.  usage: bench_store append [ROWS] | open [EVENTS] | killed [MEGABYTES] | search [MESSAGES]
 *                                        | old FILE MESSAGES SESSIONS (only makes it, for retention.mjs)
 *
 * append: one event (or message) a batch, handed over singly as turns do, against prepared INSERTs of the same columns in
 * explicit transactions of 100, both with WAL and synchronous=FULL.  Rows per second, and the ratio.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
	if (getenv("OC_BENCH_VERBOSE") != NULL)
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

static double plain_message(const char *name, int rows, size_t bytes);

static void append(int rows)
{
	enum { ROUNDS = 5 };
	double p[ROUNDS], e[ROUNDS], m[ROUNDS], q[ROUNDS];
	for (int r = 0; r < ROUNDS; r++) { /* in turns: a machine's mood goes into all three */
		char name[32];
		snprintf(name, sizeof name, "p%d.db", r);
		p[r] = plain(name, rows, 300);
		snprintf(name, sizeof name, "e%d.db", r);
		e[r] = ours(name, rows, 300, false);
		snprintf(name, sizeof name, "m%d.db", r);
		m[r] = ours(name, rows, 300, true);
		snprintf(name, sizeof name, "q%d.db", r);
		q[r] = plain_message(name, rows, 300);
	}
	qsort(p, ROUNDS, sizeof *p, by_size);
	qsort(e, ROUNDS, sizeof *e, by_size);
	qsort(m, ROUNDS, sizeof *m, by_size);
	qsort(q, ROUNDS, sizeof *q, by_size);
	printf("plain SQLite, INSERTs of 300 B, 100 a commit  %8.0f rows/s\n", p[ROUNDS / 2]);
	printf("store, one event a batch                      %8.0f rows/s, ratio %.2f\n", e[ROUNDS / 2],
	       e[ROUNDS / 2] / p[ROUNDS / 2]);
	printf("plain SQLite, the three rows of a message     %8.0f messages/s\n", q[ROUNDS / 2]);
	printf("store, one message a batch                    %8.0f messages/s, ratio %.2f (to one INSERT: %.2f)\n", m[ROUNDS / 2],
	       m[ROUNDS / 2] / q[ROUNDS / 2], m[ROUNDS / 2] / p[ROUNDS / 2]);
}

/* Plain SQLite that writes what a message is: its event, its own row, its session's row. */
static double plain_message(const char *name, int rows, size_t bytes)
{
	static const char *const sqls[] = {
		"INSERT INTO events(session, seq, ts_ms, kind, run, data) VALUES(?1, ?2, ?3, 'message_received', ?4, NULL)",
		"INSERT INTO messages(session, seq, ts_ms, role, text, run, tokens) VALUES(?1, ?2, ?3, 'user', ?5, ?4, 60)",
		"UPDATE sessions SET last_seq = ?2, messages = messages + 1, updated_ms = ?3 WHERE id = ?1"};
	char path[128], text[1024];
	oc_err err = {0};
	oc_store *store = NULL;
	sqlite3 *db = NULL;
	sqlite3_stmt *s[3];
	path_of(name, path);
	/* Our schema and settings, without our code. */
	if (oc_store_open(path, NULL, OC_STORE_SHARED, &store, &err) != OC_OK)
		fail("open", &err);
	oc_store_close(store);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		fail("plain", NULL);
	run_sql(db, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000");
	for (int i = 0; i < SESSIONS; i++) {
		char sql[200];
		snprintf(sql, sizeof sql, "INSERT INTO sessions(id, key, session_id, created_ms, updated_ms, epoch_ms) VALUES(%d, 's%d',"
			 " '', 1, 1, 1)", i + 1, i);
		run_sql(db, sql);
	}
	for (int k = 0; k < 3; k++)
		sqlite3_prepare_v2(db, sqls[k], -1, &s[k], NULL);
	uint64_t began = oc_now_ns();
	for (int i = 0; i < rows; i++) {
		if (i % GROUP == 0)
			run_sql(db, "BEGIN IMMEDIATE");
		make_text((unsigned)i, text, bytes);
		for (int k = 0; k < 3; k++) {
			sqlite3_bind_int(s[k], 1, i % SESSIONS + 1);
			sqlite3_bind_int(s[k], 2, i / SESSIONS + 1);
			sqlite3_bind_int64(s[k], 3, oc_wall_ms());
			if (k < 2)
				sqlite3_bind_text(s[k], 4, "0c8f1f7e-7a55-4a3c-9c7a-1f54e6b7a001", -1, SQLITE_STATIC);
			if (k == 1)
				sqlite3_bind_text(s[k], 5, text, -1, SQLITE_STATIC);
			if (sqlite3_step(s[k]) != SQLITE_DONE)
				fail("plain message", NULL);
			sqlite3_reset(s[k]);
		}
		if (i % GROUP == GROUP - 1)
			run_sql(db, "COMMIT");
	}
	if (rows % GROUP != 0)
		run_sql(db, "COMMIT");
	double seconds = (double)(oc_now_ns() - began) / 1e9;
	for (int k = 0; k < 3; k++)
		sqlite3_finalize(s[k]);
	sqlite3_close(db);
	return rows / seconds;
}

/* ---- A large store ---- */

/* Fills a file with messages of 200 bytes in many sessions, quickly: what is measured comes afterwards. */
static void fill(const char *path, int64_t messages, int sessions)
{
	oc_err err = {0};
	oc_store *store = NULL;
	sqlite3 *db = NULL;
	sqlite3_stmt *e = NULL, *m = NULL;
	char sql[400], text[256];
	if (oc_store_open(path, NULL, OC_STORE_SHARED, &store, &err) != OC_OK)
		fail("open", &err);
	oc_store_close(store);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		fail("fill", NULL);
	run_sql(db, "PRAGMA synchronous=OFF; PRAGMA cache_size=-200000; BEGIN");
	int64_t each = messages / sessions;
	for (int i = 0; i < sessions; i++) {
		snprintf(sql, sizeof sql,
			 "INSERT INTO sessions(id, key, session_id, agent, created_ms, updated_ms, epoch_ms, last_seq, messages)"
			 " VALUES(%d, 'agent:main:s%d', 'x%d', 'main', 1, %lld, 1, %lld, %lld)", i + 1, i, i,
			 (long long)oc_wall_ms(), (long long)each + 1, (long long)each);
		run_sql(db, sql);
	}
	sqlite3_prepare_v2(db, "INSERT INTO events(session, seq, ts_ms, kind) VALUES(?1, ?2, ?3, ?4)", -1, &e, NULL);
	sqlite3_prepare_v2(db, "INSERT INTO messages(session, seq, ts_ms, role, text) VALUES(?1, ?2, ?3, ?4, ?5)", -1, &m, NULL);
	for (int64_t seq = 1; seq <= each + 1; seq++)
		for (int i = 0; i < sessions; i++) {
			sqlite3_bind_int(e, 1, i + 1);
			sqlite3_bind_int64(e, 2, seq);
			sqlite3_bind_int64(e, 3, oc_wall_ms());
			sqlite3_bind_text(e, 4, seq == 1 ? "session_started" : "message_received", -1, SQLITE_STATIC);
			if (sqlite3_step(e) != SQLITE_DONE)
				fail("fill", NULL);
			sqlite3_reset(e);
			if (seq == 1)
				continue;
			make_text((unsigned)(seq * sessions + i), text, 200);
			sqlite3_bind_int(m, 1, i + 1);
			sqlite3_bind_int64(m, 2, seq);
			sqlite3_bind_int64(m, 3, oc_wall_ms());
			sqlite3_bind_text(m, 4, seq % 2 == 0 ? "user" : "assistant", -1, SQLITE_STATIC);
			sqlite3_bind_text(m, 5, text, -1, SQLITE_STATIC);
			if (sqlite3_step(m) != SQLITE_DONE)
				fail("fill", NULL);
			sqlite3_reset(m);
		}
	sqlite3_finalize(e);
	sqlite3_finalize(m);
	/* Some work that was cut off. */
	run_sql(db, "INSERT INTO runs(run, session, state, accepted_ms, input) SELECT 'r' || id, key, 'accepted', 1, '{}' FROM sessions"
		    " LIMIT 100;"
		    "INSERT INTO outbox(key, session, channel, account, message, next_ms, created_ms, updated_ms) SELECT 'k' || id, key,"
		    " 'c', 'a', '{}', 1, 1, 1 FROM sessions LIMIT 100; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(db);
}

static double ms_since(uint64_t began)
{
	return (double)(oc_now_ns() - began) / 1e6;
}

/* What a gateway does with its store before it takes work, and its first commit. */
static void open_large(int64_t events)
{
	char path[128];
	oc_err err = {0};
	oc_loop *loop = NULL;
	struct stat st;
	path_of("open.db", path);
	fill(path, events, 1000);
	if (stat(path, &st) != 0 || oc_loop_new(&loop, &err) != OC_OK)
		fail("open", &err);
	printf("file of %lld events                        %8.1f MB\n", (long long)events, (double)st.st_size / 1e6);
	for (int i = 0; i < 3; i++) {
		oc_store *store = NULL;
		cJSON *runs = NULL, *out = NULL, *list = NULL;
		uint64_t began = oc_now_ns();
		if (oc_store_open(path, loop, OC_STORE_OWNER, &store, &err) != OC_OK)
			fail("open", &err);
		double opened = ms_since(began);
		if (oc_store_open_runs(store, &runs, &err) != OC_OK || oc_store_outbox(store, 10000, &out, &err) != OC_OK)
			fail("recover", &err);
		double recovered = ms_since(began);
		oc_batch *b = oc_batch_new(store);
		oc_batch_event(b, "agent:main:s1", "state_changed", NULL, NULL);
		if (oc_batch_commit_now(b, &err) != OC_OK || oc_store_sessions(store, NULL, &list, &err) != OC_OK)
			fail("commit", &err);
		printf("open %.2f ms, with the open runs and undelivered messages %.2f ms, first commit and list %.2f ms\n", opened,
		       recovered, ms_since(began));
		cJSON_Delete(runs);
		cJSON_Delete(out);
		cJSON_Delete(list);
		oc_store_close(store);
	}
	oc_loop_free(loop);
}

static bool is_behind(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	bool behind = true;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "SELECT (SELECT max(id) FROM messages) > (SELECT value FROM meta WHERE key = 'searchUpto')", -1, &s,
			       NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		behind = sqlite3_column_int(s, 0) != 0;
	sqlite3_finalize(s);
	sqlite3_close(db);
	return behind;
}

static void search_large(int64_t messages)
{
	static const struct {
		const char *what, *query, *session;
	} rows[] = {
		{"a word of one message in thousands", "w1234", NULL},
		{"a word of every message", "gateway", NULL},
		{"two common words", "gateway stone", NULL},
		{"a common and a rare word", "gateway w77", NULL},
		{"a phrase", "\"stone cloud\"", NULL},
		{"the beginning of a word", "w12*", NULL},
		{"a common word without another", "river -stone", NULL},
		{"a common word in one session", "gateway", "agent:main:s7"},
		{"a rare word in one session", "w1234", "agent:main:s7"},
		{"a word that is not there", "nowhere", NULL},
		{"signs (no index: all is read)", "%%%", NULL},
	};
	char path[128];
	oc_err err = {0};
	oc_loop *loop = NULL;
	oc_store *store = NULL;
	path_of("search.db", path);
	fill(path, messages, 1000);
	if (oc_loop_new(&loop, &err) != OC_OK || oc_store_open(path, loop, OC_STORE_OWNER, &store, &err) != OC_OK)
		fail("open", &err);
	uint64_t began = oc_now_ns();
	if (oc_store_compact_live(store, &err) != OC_OK)
		fail("index", &err);
	while (is_behind(path))
		usleep(20000);
	double seconds = ms_since(began) / 1000;
	printf("index of %lld messages, beside the work     %8.1f s, %.0f messages/s\n", (long long)messages, seconds,
	       (double)messages / seconds);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double best = 1e9, first = 0;
		int hits = 0;
		for (int k = 0; k < 5; k++) {
			cJSON *a = NULL;
			began = oc_now_ns();
			oc_search_filter f = {.session = rows[i].session};
			if (oc_store_search(store, rows[i].query, &f, &a, &err) != OC_OK)
				fail(rows[i].query, &err);
			double took = ms_since(began);
			first = k == 0 ? took : first;
			best = took < best ? took : best;
			hits = cJSON_GetArraySize(a);
			cJSON_Delete(a);
		}
		printf("%-44s %8.2f ms (first %.2f), %d shown\n", rows[i].what, best, first, hits);
	}
	oc_store_close(store);
	oc_loop_free(loop);
}

/* A process killed with a large log (a reader had kept it from being written back): how long the next start takes. */
static void open_after_kill(int64_t megabytes)
{
	char path[128], wal[140], text[2000];
	oc_err err = {0};
	oc_loop *loop = NULL;
	struct stat st = {0};
	path_of("log.db", path);
	snprintf(wal, sizeof wal, "%s-wal", path);
	fill(path, 10000, 100);
	pid_t pid = fork();
	if (pid == 0) {
		sqlite3 *db = NULL;
		sqlite3_stmt *s = NULL;
		if (sqlite3_open(path, &db) != SQLITE_OK)
			_exit(1);
		run_sql(db, "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; BEGIN");
		sqlite3_prepare_v2(db, "INSERT INTO events(session, seq, ts_ms, kind, data) VALUES(1, ?1, 1, 'k', ?2)", -1, &s, NULL);
		for (int64_t i = 0; stat(wal, &st) != 0 || (int64_t)st.st_size < megabytes << 20; i++) {
			make_text((unsigned)i, text, sizeof text);
			sqlite3_bind_int64(s, 1, 1000000 + i);
			sqlite3_bind_text(s, 2, text, -1, SQLITE_STATIC);
			if (sqlite3_step(s) != SQLITE_DONE)
				_exit(1);
			sqlite3_reset(s);
			if (i % 1000 == 999)
				run_sql(db, "COMMIT; BEGIN");
		}
		_exit(0); /* as kill -9: nothing is closed */
	}
	int rc = 1;
	if (pid < 0 || waitpid(pid, &rc, 0) != pid || rc != 0 || stat(wal, &st) != 0 || oc_loop_new(&loop, &err) != OC_OK)
		fail("a killed process", &err);
	printf("log left by a killed process                 %8.1f MB\n", (double)st.st_size / 1e6);
	oc_store *store = NULL;
	cJSON *runs = NULL;
	uint64_t began = oc_now_ns();
	if (oc_store_open(path, loop, OC_STORE_OWNER, &store, &err) != OC_OK || oc_store_open_runs(store, &runs, &err) != OC_OK)
		fail("recover", &err);
	double recovered = ms_since(began);
	oc_batch *b = oc_batch_new(store);
	oc_batch_event(b, "agent:main:s1", "state_changed", NULL, NULL);
	if (oc_batch_commit_now(b, &err) != OC_OK)
		fail("commit", &err);
	printf("open with the open runs %.2f ms, with the first commit %.2f ms\n", recovered, ms_since(began));
	cJSON_Delete(runs);
	oc_store_close(store);
	oc_loop_free(loop);
}

/* A store as it is after long: sessions that nobody has written in for 90 days, and their messages. */
static void make_old(const char *path, int64_t messages, int sessions)
{
	sqlite3 *db = NULL;
	fill(path, messages, sessions);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		fail("old", NULL);
	run_sql(db, "BEGIN; UPDATE sessions SET updated_ms = updated_ms - 7776000000, created_ms = created_ms - 7776000000;"
		    "UPDATE events SET ts_ms = ts_ms - 7776000000; UPDATE messages SET ts_ms = ts_ms - 7776000000;"
		    "DELETE FROM runs; DELETE FROM outbox; COMMIT");
	sqlite3_close(db);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "append", *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%.40s/ocbs.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		fail("mkdtemp", NULL);
	if (strcmp(what, "append") == 0)
		append(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 100000);
	else if (strcmp(what, "open") == 0)
		open_large(argc > 2 ? strtoll(argv[2], NULL, 10) : 1000000);
	else if (strcmp(what, "killed") == 0)
		open_after_kill(argc > 2 ? strtoll(argv[2], NULL, 10) : 256);
	else if (strcmp(what, "search") == 0)
		search_large(argc > 2 ? strtoll(argv[2], NULL, 10) : 1000000);
	else if (strcmp(what, "old") == 0 && argc > 4)
		make_old(argv[2], strtoll(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
	else
		fprintf(stderr, "usage: bench_store append [ROWS] | open [EVENTS] | killed [MEGABYTES] | search [MESSAGES] | old FILE MESSAGES SESSIONS\n");
	char command[128];
	snprintf(command, sizeof command, "%s", dir);
	fflush(stdout);
	execlp("rm", "rm", "-rf", command, (char *)NULL);
	return 1;
}
