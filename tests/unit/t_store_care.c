/* core/store: migration, search, check, backup, dead letters, retention, compacting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/store.h"
#include "tests/unit/tree.h"

#define KEY "agent:main:main"
#define WAIT_MS 30000

typedef struct fixture {
	char dir[64], path[128];
	oc_loop *loop;
	oc_owner *owner;
	oc_store *store;
	int waiting;
	oc_status last;
	int64_t changed;
	bool (*until)(struct fixture *f);
	uint64_t deadline;
} fixture;

static oc_store *open_mode(fixture *f, int mode)
{
	oc_err err = {0};
	oc_store *store = NULL;
	if (oc_store_open(f->path, f->loop, mode, &store, &err) != OC_OK)
		fail_msg("open: %s", err.text);
	return store;
}

static int setup_empty(void **state)
{
	fixture *f = calloc(1, sizeof *f);
	oc_log_set_stderr(false);
	snprintf(f->dir, sizeof f->dir, "/tmp/oc-t-care-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/openclaw.db", f->dir);
	assert_int_equal(oc_loop_new(&f->loop, NULL), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	*state = f;
	return 0;
}

static int setup(void **state)
{
	(void)setup_empty(state);
	fixture *f = *state;
	f->store = open_mode(f, OC_STORE_OWNER);
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	oc_store_close(f->store);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(tree_remove(f->dir), 0);
	free(f);
	return 0;
}

static void look(void *arg)
{
	fixture *f = arg;
	if (f->until(f) || oc_now_ms() > f->deadline)
		oc_loop_stop(f->loop);
}

static void run_until(fixture *f, bool (*until)(fixture *f))
{
	if (until(f))
		return;
	f->until = until;
	f->deadline = oc_now_ms() + WAIT_MS;
	oc_watch *timer = oc_timer_start(f->owner, 1, 2, look, f);
	oc_loop_run(f->loop);
	oc_watch_end(timer);
	assert_true(until(f));
}

static void on_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	fixture *f = arg;
	(void)err;
	f->last = status;
	f->changed = oc_batch_changed(b, 0);
	f->waiting--;
}

static bool nothing_waits(fixture *f)
{
	return f->waiting == 0;
}

static void commit(fixture *f, oc_batch *b)
{
	oc_err err = {0};
	f->waiting++;
	if (oc_batch_commit(b, on_done, f, &err) != OC_OK)
		fail_msg("commit: %s", err.text);
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
}

static void say(fixture *f, const char *session, const char *role, const char *text)
{
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_session(b, session, &(oc_session_facts){.agent = strncmp(session, "agent:work:", 11) == 0 ? "work" : "main"});
	oc_batch_message(b, session, "message_received", &(oc_message){.role = role, .text = text});
	commit(f, b);
}

static int64_t number(fixture *f, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	int64_t n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static bool is_indexed(fixture *f)
{
	return number(f, "SELECT count(*) FROM messages WHERE id > (SELECT value FROM meta WHERE key = 'searchUpto')") == 0;
}

/* The problems as one text; "" when whole. */
static char *problems(fixture *f)
{
	cJSON *report = NULL;
	oc_err err = {0};
	if (oc_store_check(f->path, false, &report, &err) != OC_OK)
		fail_msg("check: %s", err.text);
	char *text = oc_json_bool(report, "ok", false) ? oc_strdup("") : oc_json_print(oc_json_get(report, "problems"));
	cJSON_Delete(report);
	return text;
}

static void assert_whole(fixture *f)
{
	char *text = problems(f);
	assert_string_equal(text, "");
	oc_free(text);
}

static int found(fixture *f, const char *query, const oc_search_filter *filter)
{
	cJSON *array = NULL;
	oc_err err = {0};
	if (oc_store_search(f->store, query, filter, &array, &err) != OC_OK)
		fail_msg("%s: %s", query, err.text);
	int n = cJSON_GetArraySize(array);
	cJSON_Delete(array);
	return n;
}

/* ---- Migration ---- */

static void make_v1(fixture *f)
{
	const char *src = getenv("OC_TOP_SRCDIR");
	char path[512], *sql;
	snprintf(path, sizeof path, "%s/tests/unit/store_v1.sql", src != NULL ? src : ".");
	FILE *file = fopen(path, "r");
	if (file == NULL)
		fail_msg("%s cannot be read", path);
	sql = calloc(1, 64 << 10);
	assert_true(fread(sql, 1, (64 << 10) - 1, file) > 1000);
	fclose(file);
	run_sql(f->path, sql);
	free(sql);
}

/* What the second version did to it, as that program did it. */
static void make_v2(fixture *f)
{
	make_v1(f);
	run_sql(f->path, "ALTER TABLE runs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;"
			 "ALTER TABLE sessions ADD COLUMN settings TEXT;"
			 "DROP INDEX runs_open;"
			 "CREATE INDEX runs_open ON runs(accepted_ms) WHERE state IN ('accepted', 'running', 'suspended');"
			 "PRAGMA user_version=2;"
			 "UPDATE sessions SET settings = '{\"verbose\":\"on\"}';"
			 "INSERT INTO runs(run, session, state, accepted_ms, input, attempts) VALUES('r3', '" KEY "', 'suspended', 9, '{}', 2)");
}

static void the_second_version_is_brought_up_to_date(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	make_v2(f);
	assert_whole(f);
	f->store = open_mode(f, OC_STORE_OWNER);
	assert_int_equal(number(f, "PRAGMA user_version"), OC_STORE_SCHEMA);
	cJSON *session = NULL, *runs = NULL, *h = NULL;
	assert_int_equal(oc_store_session(f->store, KEY, &session, &err), OC_OK);
	assert_string_equal(oc_json_str(oc_json_get(session, "settings"), "verbose", ""), "on");
	cJSON_Delete(session);
	assert_int_equal(oc_store_history(f->store, KEY, NULL, &h, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(h), 2);
	cJSON_Delete(h);
	assert_int_equal(oc_store_open_runs(f->store, &runs, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(runs), 2);
	/* In the order they came, whatever the clock said then. */
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(runs, 0), "run", ""), "r2");
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(runs, 1), "run", ""), "r3");
	assert_int_equal(oc_json_i64(cJSON_GetArrayItem(runs, 1), "attempts", 0), 2);
	cJSON_Delete(runs);
	say(f, KEY, "user", "And tomorrow?");
	run_until(f, is_indexed);
	assert_int_equal(found(f, "weather", NULL), 1);
	assert_whole(f);
	oc_store_close(f->store);
	f->store = NULL;
	/* A program of the future has had it since. */
	run_sql(f->path, "PRAGMA user_version=6");
	static const int modes[] = {OC_STORE_OWNER, OC_STORE_SHARED, OC_STORE_READER, OC_STORE_BESIDE};
	for (size_t i = 0; i < 4; i++) {
		oc_store *refused = NULL;
		err = (oc_err){0};
		assert_int_equal(oc_store_open(f->path, f->loop, modes[i], &refused, &err), OC_E_VERSION);
		assert_non_null(strstr(err.text, "newer"));
		assert_non_null(strstr(err.remedy, "backup"));
	}
	assert_int_equal(number(f, "PRAGMA user_version"), 6);
	run_sql(f->path, "PRAGMA user_version=5");
	f->store = open_mode(f, OC_STORE_OWNER);
	assert_whole(f);
}

static void the_first_version_is_brought_up_to_date(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	make_v1(f);
	/* Who only reads does not change it. */
	oc_store *reader = NULL;
	assert_int_equal(oc_store_open(f->path, NULL, OC_STORE_READER, &reader, &err), OC_E_VERSION);
	assert_non_null(strstr(err.remedy, "gateway"));
	assert_whole(f); /* an old file can be checked as it is */
	f->store = open_mode(f, OC_STORE_OWNER);
	assert_int_equal(number(f, "PRAGMA user_version"), OC_STORE_SCHEMA);
	cJSON *h = NULL, *runs = NULL, *out = NULL, *events = NULL;
	assert_int_equal(oc_store_history(f->store, KEY, NULL, &h, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(h), 2);
	cJSON_Delete(h);
	assert_int_equal(oc_store_open_runs(f->store, &runs, &err), OC_OK);
	assert_string_equal(oc_json_str(runs->child, "run", ""), "r2");
	cJSON_Delete(runs);
	assert_int_equal(oc_store_outbox(f->store, 0, &out, &err), OC_OK);
	assert_string_equal(oc_json_str(out->child, "key", ""), "k2");
	cJSON_Delete(out);
	/* Old messages are found at once, and when the index has caught up. */
	assert_int_equal(found(f, "weather", NULL), 1);
	say(f, KEY, "user", "And tomorrow?");
	run_until(f, is_indexed);
	assert_int_equal(found(f, "tromsø", NULL), 1);
	assert_int_equal(found(f, "tomorrow", NULL), 1);
	assert_int_equal(oc_store_events(f->store, KEY, 0, 100, &events, &err), OC_OK);
	assert_int_equal(oc_json_i64(cJSON_GetArrayItem(events, 5), "seq", 0), 6);
	cJSON_Delete(events);
	/* The same message again is still known. */
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_inbox(b, "telegram", "default", "7", "42", KEY, "r9");
	commit(f, b);
	assert_int_equal(number(f, "SELECT count(*) FROM inbox"), 1);
	assert_whole(f);
	oc_store_close(f->store);
	f->store = NULL;
	/* Compacting makes it a file that gives space back while it is used. */
	int64_t before = 0, after = 0;
	assert_int_equal(number(f, "PRAGMA auto_vacuum"), 0);
	assert_int_equal(oc_store_compact(f->path, &before, &after, &err), OC_OK);
	assert_int_equal(number(f, "PRAGMA auto_vacuum"), 2);
	assert_whole(f);
}

/* ---- Search ---- */

static void search_understands_words(void **state)
{
	fixture *f = *state;
	say(f, KEY, "user", "The quick brown Fox jumps over the lazy dog");
	say(f, KEY, "assistant", "A fox is quick; a dog is lazy. Crème brûlée!");
	say(f, "agent:work:x", "user", "quicksand 100% sure_thing fox@example.org");
	say(f, "agent:work:x", "tool", "東京は晴れです fox");
	for (int i = 0; i < 2; i++) { /* before the index has them, and after */
		assert_int_equal(found(f, "fox", NULL), 4);
		assert_in_range(found(f, "quick fox", NULL), 2, i == 0 ? 3 : 2); /* "quicksand" until the index knows words */
		assert_int_equal(found(f, "\"quick brown\"", NULL), 1);
		assert_int_equal(found(f, "quick*", NULL), 3);
		assert_int_equal(found(f, "fox -lazy", NULL), 2);
		assert_int_equal(found(f, "lazy -\"lazy dog\"", NULL), 1);
		assert_int_equal(found(f, "東京", NULL), 1);
		assert_int_equal(found(f, "晴れ", NULL), 1);
		assert_int_equal(found(f, "%", NULL), 1);
		assert_int_equal(found(f, "fox@example.org", NULL), 1);
		assert_int_equal(found(f, "fox", &(oc_search_filter){.agent = "work"}), 2);
		assert_int_equal(found(f, "fox", &(oc_search_filter){.session = KEY}), 2);
		assert_int_equal(found(f, "fox", &(oc_search_filter){.role = "tool"}), 1);
		assert_int_equal(found(f, "fox", &(oc_search_filter){.limit = 3}), 3);
		assert_int_equal(found(f, "fox", &(oc_search_filter){.until_ms = 1000}), 0);
		assert_int_equal(found(f, "fox", &(oc_search_filter){.since_ms = oc_wall_ms() + 100000}), 0);
		if (i == 1) {
			assert_int_equal(found(f, "creme BRULEE", NULL), 1);
			assert_int_equal(found(f, "quick", NULL), 2); /* words, not parts of them */
		}
		run_until(f, is_indexed);
	}
	/* Newest first, with the words marked. */
	cJSON *a = NULL;
	assert_int_equal(oc_store_search(f->store, "lazy", NULL, &a, NULL), OC_OK);
	assert_non_null(strstr(oc_json_str(a->child, "snippet", ""), "is [lazy]"));
	assert_true(oc_json_i64(a->child, "seq", 0) > oc_json_i64(a->child->next, "seq", 0));
	cJSON_Delete(a);
}

static void no_query_is_syntax(void **state)
{
	fixture *f = *state;
	say(f, KEY, "user", "AND OR NOT NEAR \" quotes * ( ) ^ : text:x + - { } \\ '");
	run_until(f, is_indexed);
	static const char *const queries[] = {"\"",	"\"\"\"", "a\"b\"c", "AND",	"OR x",	 "NEAR(a b)", "NEAR/2", "*",	"^a",
					      "text:x", "(a",	   "a)",	"{a b}: x", "a + b", "-",	      "--",	"- a",	"a -",
					      "\\",	"'",	   "a''b",	"%_",	    "a* *b", "\"a b\"*",   "\"*\"",	"a:*", "\x7f\x01"};
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		cJSON *a = NULL;
		oc_err err = {0};
		oc_status status = oc_store_search(f->store, queries[i], NULL, &a, &err);
		if (status != OC_OK && status != OC_E_INVALID)
			fail_msg("%s: %s", queries[i], err.text);
		cJSON_Delete(a);
	}
	/* Bytes of all kinds. */
	unsigned seed = 7;
	for (int i = 0; i < 3000; i++) {
		static const char alphabet[] = "ab\"*-():^{}+ \\'%_/,.ANDORT\xc3\xa9\xe6\x9d\xb1\t\n";
		char query[24];
		size_t n = 0;
		for (; n < sizeof query - 1; n++)
			query[n] = alphabet[(seed = seed * 1103515245u + 12345u) / 65536 % (sizeof alphabet - 1)];
		query[n] = 0;
		cJSON *a = NULL;
		oc_err err = {0};
		oc_status status = oc_store_search(f->store, query, NULL, &a, &err);
		if (status != OC_OK && status != OC_E_INVALID && status != OC_E_LIMIT)
			fail_msg("%s: %s", query, err.text);
		cJSON_Delete(a);
	}
	char *longer = calloc(1, 5000);
	memset(longer, 'x', 4999);
	cJSON *a = NULL;
	assert_int_equal(oc_store_search(f->store, longer, NULL, &a, NULL), OC_E_LIMIT);
	free(longer);
}

/* What is deleted is not found, and an id that SQLite gives again is. */
static void the_index_follows_deletions(void **state)
{
	fixture *f = *state;
	say(f, KEY, "user", "stays here");
	say(f, "agent:main:b", "user", "walrus one");
	say(f, "agent:main:b", "user", "walrus two");
	run_until(f, is_indexed);
	assert_int_equal(found(f, "walrus", NULL), 2);
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_session_delete(b, "agent:main:b");
	commit(f, b);
	assert_int_equal(found(f, "walrus", NULL), 0);
	assert_whole(f);
	say(f, KEY, "user", "walrus three"); /* takes a number that was used */
	say(f, KEY, "user", "walrus four");
	run_until(f, is_indexed);
	assert_int_equal(found(f, "walrus", NULL), 2);
	assert_int_equal(found(f, "walrus two", NULL), 0);
	assert_whole(f);
	/* A session that is deleted before it was indexed. */
	say(f, "agent:main:c", "user", "walrus five");
	b = oc_batch_new(f->store);
	oc_batch_session_delete(b, "agent:main:c");
	commit(f, b);
	say(f, KEY, "user", "seal");
	run_until(f, is_indexed);
	assert_int_equal(found(f, "seal", NULL), 1);
	assert_int_equal(found(f, "walrus", NULL), 2);
	assert_whole(f);
}

/* ---- Check ---- */

static void check_names_what_is_wrong(void **state)
{
	fixture *f = *state;
	say(f, KEY, "user", "one");
	say(f, KEY, "assistant", "two");
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_run_put(b, "r1", KEY, NULL, "{}");
	oc_batch_outbox_put(b, "k1", KEY, "r1", "c", "a", "{}");
	commit(f, b);
	run_until(f, is_indexed);
	assert_whole(f);
	oc_store_close(f->store);
	f->store = NULL;
	static const struct {
		const char *sql, *says;
	} harms[] = {
		{"DELETE FROM events WHERE seq = 2", "events from 1 to 3 are expected, there are 2"},
		{"UPDATE sessions SET last_seq = 9", "events from 1 to 9"},
		{"UPDATE sessions SET messages = 5", "5 messages are counted, there are 2"},
		{"DELETE FROM messages WHERE seq = 3", "the search index has message 2, which is gone"},
		{"INSERT INTO events(session, seq, ts_ms, kind) VALUES(77, 1, 1, 'x')", "1 events belong to no session"},
		{"INSERT INTO messages(session, seq, ts_ms, role) VALUES(77, 1, 1, 'x')", "1 messages belong to no session"},
		{"UPDATE runs SET state = 'sleeping', ended_ms = 1", "unknown state sleeping"},
		{"UPDATE runs SET state = 'done'", "done, but without an end"},
		{"UPDATE runs SET input = NULL", "its input is gone"},
		{"UPDATE outbox SET state = 'lost'", "unknown state lost"},
		{"UPDATE outbox SET state = 'delivered'", "delivered without a try"},
		{"UPDATE outbox SET message = '{'", "not JSON"},
		{"UPDATE sessions SET state = 'odd'", "unknown state odd"},
		{"UPDATE messages SET text = 'other words' WHERE seq = 2", "does not agree with the messages"},
		{"UPDATE meta SET value = 1", "the search index has message 2"},
		{"INSERT INTO messages(id, session, seq, ts_ms, role) VALUES(0, 1, 7, 1, 'x')", "the search index lacks message 0"},
	};
	char copy[128];
	snprintf(copy, sizeof copy, "%s/copy.db", f->dir);
	assert_int_equal(oc_store_backup(f->path, copy, NULL, NULL), OC_OK);
	char own[128];
	memcpy(own, f->path, sizeof own);
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		snprintf(f->path, sizeof f->path, "%s/harm%zu.db", f->dir, i);
		assert_int_equal(oc_store_backup(copy, f->path, NULL, NULL), OC_OK);
		run_sql(f->path, harms[i].sql);
		char *text = problems(f);
		if (strstr(text, harms[i].says) == NULL)
			fail_msg("%s: '%s' does not say '%s'", harms[i].sql, text, harms[i].says);
		oc_free(text);
		/* Nor does it become a backup. */
		oc_err err = {0};
		char bad[160];
		snprintf(bad, sizeof bad, "%s.backup", f->path);
		assert_int_equal(oc_store_backup(f->path, bad, NULL, &err), OC_E_CORRUPT);
		assert_int_not_equal(access(bad, F_OK), 0);
	}
	memcpy(f->path, own, sizeof own);
}

/* ---- Backup ---- */

static void backup_while_others_write(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	char to[160];
	struct stat st;
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < 200; k++) {
			oc_batch *b = oc_batch_new(f->store);
			oc_batch_message(b, KEY, "message_received", &(oc_message){.role = "user", .text = "while it is copied"});
			oc_batch_outbox_put(b, NULL, KEY, NULL, "c", "a", "{}"); /* fails; takes nobody along */
			f->waiting++;
			assert_int_equal(oc_batch_commit(b, on_done, f, &err), OC_OK);
			b = oc_batch_new(f->store);
			oc_batch_message(b, KEY, "message_received", &(oc_message){.role = "user", .text = "while it is copied"});
			f->waiting++;
			assert_int_equal(oc_batch_commit(b, on_done, f, &err), OC_OK);
		}
		int64_t bytes = 0;
		snprintf(to, sizeof to, "%s/backup%d.db", f->dir, i);
		if (oc_store_backup(f->path, to, &bytes, &err) != OC_OK)
			fail_msg("%s", err.text);
		assert_int_equal(stat(to, &st), 0);
		assert_int_equal(st.st_size, bytes);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(oc_store_backup(f->path, to, NULL, &err), OC_E_EXISTS);
		run_until(f, nothing_waits);
	}
	run_until(f, is_indexed);
	assert_whole(f);
	assert_int_equal(number(f, "SELECT count(*) FROM messages"), 1000);
}

/* ---- Dead letters ---- */

static void dead_letters(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	for (int i = 0; i < 4; i++) {
		char key[16];
		snprintf(key, sizeof key, "k%d", i);
		oc_batch_outbox_put(b, key, KEY, NULL, "telegram", "default", "{\"to\":\"1\",\"text\":\"x\"}");
		if (i > 0)
			oc_batch_outbox_failed(b, key, "chat not found", 0, true);
	}
	commit(f, b);
	assert_int_equal(oc_store_dead_count(f->store), 3);
	cJSON *list = NULL;
	assert_int_equal(oc_store_dead(f->store, 2, &list, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(list), 2);
	assert_string_equal(oc_json_str(list->child, "error", ""), "chat not found");
	assert_true(oc_json_i64(list->child, "failedAt", 0) > 0);
	cJSON_Delete(list);
	b = oc_batch_new(f->store);
	assert_int_equal(oc_batch_dead_retry(b, "k0"), 0); /* is not dead */
	commit(f, b);
	assert_int_equal(f->changed, 0);
	b = oc_batch_new(f->store);
	(void)oc_batch_dead_retry(b, "k1");
	commit(f, b);
	assert_int_equal(f->changed, 1);
	cJSON *row = NULL;
	assert_int_equal(oc_store_outbox_row(f->store, "k1", &row, NULL), OC_OK);
	assert_string_equal(oc_json_str(row, "state", ""), "pending");
	assert_int_equal(oc_json_i64(row, "attempts", -1), 0);
	cJSON_Delete(row);
	b = oc_batch_new(f->store);
	(void)oc_batch_dead_drop(b, "k2");
	commit(f, b);
	assert_int_equal(f->changed, 1);
	b = oc_batch_new(f->store);
	(void)oc_batch_dead_drop(b, NULL);
	commit(f, b);
	assert_int_equal(f->changed, 1);
	assert_int_equal(oc_store_dead_count(f->store), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM outbox"), 2);
	assert_whole(f);
}

/* ---- Retention ---- */

static uint64_t rounds(fixture *f)
{
	oc_store_stats s;
	oc_store_get_stats(f->store, &s);
	return s.rounds;
}

static uint64_t rounds_wanted;
static bool a_round_is_over(fixture *f)
{
	return rounds(f) >= rounds_wanted;
}

static void one_round(fixture *f, oc_retention r)
{
	r.first_ms = 1;
	r.every_ms = 10000000;
	rounds_wanted = rounds(f) + 1;
	oc_store_set_retention(f->store, &r);
	run_until(f, a_round_is_over);
}

#define DAY 86400000LL

static void old_things_go(void **state)
{
	fixture *f = *state;
	char sql[512];
	for (int i = 0; i < 600; i++) {
		char id[16];
		oc_batch *b = oc_batch_new(f->store);
		snprintf(id, sizeof id, "%d", i);
		oc_batch_inbox(b, "c", "a", "chat", id, KEY, id);
		oc_batch_message(b, KEY, "message_received", &(oc_message){.role = "user", .text = i % 2 == 0 ? "even" : "odd", .run = id});
		oc_batch_run_put(b, id, KEY, NULL, "{}");
		if (i != 5)
			oc_batch_run_state(b, id, "done", "{}");
		oc_batch_outbox_put(b, id, KEY, id, "c", "a", "{}");
		if (i % 100 == 0)
			oc_batch_outbox_failed(b, id, "no", 0, true);
		else if (i % 100 == 1)
			oc_batch_outbox_failed(b, id, "not yet", 0, false);
		else
			oc_batch_outbox_delivered(b, id, NULL);
		f->waiting++;
		assert_int_equal(oc_batch_commit(b, on_done, f, NULL), OC_OK);
	}
	run_until(f, nothing_waits);
	say(f, "agent:main:fresh", "user", "fresh");
	say(f, "agent:main:stale", "user", "stale walrus");
	say(f, "agent:main:busy", "user", "busy");
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_outbox_put(b, "waits", "agent:main:busy", NULL, "c", "a", "{}");
	oc_batch_session_reset(b, KEY, "test");
	oc_batch_message(b, KEY, "message_received", &(oc_message){.role = "user", .text = "after the reset"});
	commit(f, b);
	run_until(f, is_indexed);
	assert_whole(f);
	/* Forty days ago, but for the last message. */
	long long old = (long long)(oc_wall_ms() - 40 * DAY);
	snprintf(sql, sizeof sql,
		 "UPDATE events SET ts_ms = %lld WHERE seq < 600; UPDATE messages SET ts_ms = %lld WHERE seq < 600;"
		 "UPDATE inbox SET ts_ms = %lld; UPDATE outbox SET updated_ms = %lld; UPDATE runs SET accepted_ms = %lld, ended_ms = %lld WHERE"
		 " ended_ms IS NOT NULL; UPDATE sessions SET updated_ms = %lld WHERE key IN ('agent:main:stale', 'agent:main:busy')",
		 old, old, old, old, old, old, old);
	run_sql(f->path, sql);

	one_round(f, (oc_retention){.done_ms = 30 * DAY});
	assert_int_equal(number(f, "SELECT count(*) FROM inbox"), 1); /* of the run that is open */
	assert_int_equal(number(f, "SELECT count(*) FROM runs"), 1);
	assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE state = 'delivered'"), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE state = 'dead'"), 6);
	assert_int_equal(number(f, "SELECT count(*) FROM outbox WHERE state = 'pending'"), 7);
	assert_int_equal(number(f, "SELECT count(*) FROM messages"), 604);
	assert_whole(f);

	one_round(f, (oc_retention){.events_ms = 30 * DAY});
	assert_int_equal(number(f, "SELECT first_seq FROM sessions WHERE key = '" KEY "'"), 600);
	assert_int_equal(number(f, "SELECT count(*) FROM messages"), 604);
	assert_whole(f);

	one_round(f, (oc_retention){.archive_ms = 30 * DAY});
	assert_int_equal(number(f, "SELECT count(*) FROM messages m JOIN sessions s ON s.id = m.session WHERE key = '" KEY "'"), 3);
	assert_int_equal(found(f, "even", NULL), 1);
	assert_int_equal(found(f, "reset", NULL), 1);
	assert_whole(f);

	one_round(f, (oc_retention){.sessions_ms = 30 * DAY});
	assert_int_equal(number(f, "SELECT count(*) FROM sessions WHERE key = 'agent:main:stale'"), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM sessions"), 3); /* busy has something to send */
	assert_int_equal(found(f, "walrus", NULL), 0);
	assert_whole(f);
	oc_store_stats s;
	oc_store_get_stats(f->store, &s);
	assert_int_equal(s.pruned_sessions, 1);
	assert_true(s.pruned_events >= 599 && s.pruned_messages >= 598 && s.pruned_rows >= 1700);

	/* Too many: the least recent go, but not what was used today. */
	for (int i = 0; i < 20; i++) {
		char key[32];
		snprintf(key, sizeof key, "agent:main:n%d", i);
		say(f, key, "user", "n");
	}
	snprintf(sql, sizeof sql, "UPDATE sessions SET updated_ms = %lld + id WHERE key LIKE 'agent:main:n%%' AND key <> 'agent:main:n19'", old);
	run_sql(f->path, sql);
	one_round(f, (oc_retention){.sessions_max = 10});
	assert_int_equal(number(f, "SELECT count(*) FROM sessions"), 10);
	assert_int_equal(number(f, "SELECT count(*) FROM sessions WHERE key IN ('agent:main:n19', 'agent:main:n18', '" KEY "')"), 3);
	assert_whole(f);
}

/* Some megabytes at a time, as a busy gateway writes them; at most `most` in the log at any time. */
static int64_t write_much(fixture *f, int megabytes)
{
	static char data[200000];
	int64_t most = 0;
	oc_store_stats stats;
	if (data[0] == 0)
		snprintf(data, sizeof data, "{\"text\":\"%0199000d\"}", 1);
	for (int i = 0; i < megabytes; i++) {
		oc_batch *b = oc_batch_new(f->store);
		for (int k = 0; k < 5; k++)
			oc_batch_event(b, KEY, "state_changed", NULL, data);
		commit(f, b);
		oc_store_get_stats(f->store, &stats);
		most = stats.wal_bytes > most ? stats.wal_bytes : most;
	}
	return most;
}

static bool written_back(fixture *f)
{
	oc_store_stats stats;
	(void)write_much(f, 1);
	oc_store_get_stats(f->store, &stats);
	return stats.checkpoints >= 2;
}

/* The log is written back beside the work, and begins anew. */
static void the_log_stays_small(void **state)
{
	fixture *f = *state;
	assert_true(write_much(f, 40) < 40 << 20);
	run_until(f, written_back);
}

static bool log_is_small(fixture *f)
{
	oc_store_stats stats;
	oc_store_get_stats(f->store, &stats);
	return stats.wal_bytes < OC_STORE_WAL_LARGE / 2 && stats.stalled_since_ms == 0;
}

/* A shell with an open transaction needs the log as it is: it grows, which is seen, and is cut when the shell ends. */
static void a_long_reader_is_seen(void **state)
{
	fixture *f = *state;
	sqlite3 *reader = NULL;
	say(f, KEY, "user", "hello");
	assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM sessions", NULL, NULL, NULL), SQLITE_OK);
	assert_true(write_much(f, 80) > OC_STORE_WAL_LARGE);
	assert_int_equal(oc_store_admits(f->store, NULL), OC_OK);
	/* There is an end to it: no new work, said why; what was accepted is still written. */
	oc_store_set_log_max(f->store, OC_STORE_WAL_LARGE);
	say(f, KEY, "user", "the last");
	oc_err err = {0};
	assert_int_equal(oc_store_admits(f->store, &err), OC_E_BUSY);
	assert_int_equal(oc_store_health(f->store, NULL), OC_OK);
	assert_non_null(strstr(err.text, "another program has been reading"));
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_inbox(b, "c", "a", "chat", "1", KEY, "run");
	assert_int_equal(oc_batch_commit(b, on_done, f, &err), OC_E_BUSY);
	say(f, KEY, "assistant", "what was accepted");
	oc_store_stats stats;
	oc_store_get_stats(f->store, &stats);
	assert_true(stats.stalled_since_ms > 0);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	run_until(f, log_is_small);
	assert_int_equal(oc_store_admits(f->store, NULL), OC_OK);
	say(f, KEY, "user", "again");
}

static uint64_t pruned(fixture *f)
{
	oc_store_stats s;
	oc_store_get_stats(f->store, &s);
	return s.pruned_sessions + s.pruned_messages + s.pruned_events;
}

static uint64_t pruned_before;
static bool a_piece_is_done(fixture *f)
{
	return pruned(f) > pruned_before || a_round_is_over(f);
}

/* Retention is many short pieces: whoever writes meanwhile gets in between any two of them. */
static void round_with_talk(fixture *f, oc_retention r)
{
	int between = 0;
	r.first_ms = 1;
	r.every_ms = 10000000;
	rounds_wanted = rounds(f) + 1;
	pruned_before = pruned(f);
	oc_store_set_retention(f->store, &r);
	for (run_until(f, a_piece_is_done); !a_round_is_over(f); run_until(f, a_piece_is_done)) {
		pruned_before = pruned(f);
		say(f, KEY, "user", "in between");
		between++;
	}
	assert_true(between >= 5);
}

static void the_file_stays_small(void **state)
{
	fixture *f = *state;
	char *text = calloc(1, 20000), sql[256];
	memset(text, 'y', 19999);
	for (int i = 0; i < 400; i++) {
		char key[32];
		oc_batch *b = oc_batch_new(f->store);
		snprintf(key, sizeof key, "agent:main:s%d", i % 20);
		for (int k = 0; k < 300; k++) /* words that no other message has */
			text[8 * k + snprintf(text + 8 * k, 8, "%07x", 300 * i + k)] = ' ';
		oc_batch_message(b, key, "message_received", &(oc_message){.role = "user", .text = text});
		f->waiting++;
		assert_int_equal(oc_batch_commit(b, on_done, f, NULL), OC_OK);
	}
	free(text);
	run_until(f, nothing_waits);
	snprintf(sql, sizeof sql, "UPDATE sessions SET updated_ms = %lld + id; PRAGMA wal_checkpoint(TRUNCATE)",
		 (long long)(oc_wall_ms() - 2 * DAY));
	run_sql(f->path, sql);
	say(f, KEY, "user", "the newest");
	run_until(f, is_indexed);
	int64_t words = number(f, "SELECT sum(length(block)) FROM messages_search_data");
	int64_t before = number(f, "PRAGMA page_count") * 4096;
	assert_true(before > 8000000);
	round_with_talk(f, (oc_retention){.disk_bytes = 4000000, .disk_low_bytes = 2000000});
	int64_t left = number(f, "SELECT count(*) FROM sessions");
	assert_true(left > 1 && left < 12);
	/* The words of what went are gone too, not only marked in the index. */
	assert_true(number(f, "SELECT sum(length(block)) FROM messages_search_data") * 4 < words * 3);
	assert_int_equal(number(f, "SELECT count(*) FROM sessions WHERE key = '" KEY "'"), 1);
	int64_t after = number(f, "PRAGMA page_count") * 4096;
	assert_true(after < 4000000);
	assert_whole(f);
	/* On demand, beside everything: nothing free is left. */
	rounds_wanted = rounds(f) + 1;
	assert_int_equal(oc_store_compact_live(f->store, NULL), OC_OK);
	run_until(f, a_round_is_over);
	assert_int_equal(number(f, "PRAGMA freelist_count"), 0);
	assert_whole(f);
}

/* ---- A writer that is never idle ---- */

static struct {
	bool stop;
	int n;
} writer;

static void write_again(void *arg, const oc_batch *b, oc_status status, const oc_err *err);

static void write_one(fixture *f)
{
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_event(b, "agent:main:writer", "state_changed", NULL, "{}");
	f->waiting++;
	assert_int_equal(oc_batch_commit(b, write_again, f, NULL), OC_OK);
}

static void write_again(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	fixture *f = arg;
	(void)b;
	(void)err;
	assert_int_equal(status, OC_OK);
	f->waiting--;
	writer.n++;
	if (!writer.stop)
		write_one(f);
}

static void old_things_go_under_load(void **state)
{
	fixture *f = *state;
	char sql[128];
	oc_batch *b = oc_batch_new(f->store);
	for (int i = 0; i < 1000; i++)
		oc_batch_event(b, KEY, "state_changed", NULL, "{}");
	commit(f, b);
	snprintf(sql, sizeof sql, "UPDATE events SET ts_ms = %lld", (long long)(oc_wall_ms() - 40 * DAY));
	run_sql(f->path, sql);
	writer.stop = false;
	writer.n = 0;
	for (int i = 0; i < 8; i++)
		write_one(f);
	one_round(f, (oc_retention){.events_ms = 30 * DAY, .patience_ms = 1});
	assert_true(writer.n > 20);
	int64_t left = number(f, "SELECT count(*) FROM events e JOIN sessions s ON s.id = e.session WHERE s.key = '" KEY "'");
	assert_true(left <= 1);
	/* And what somebody asks for now. */
	rounds_wanted = rounds(f) + 1;
	assert_int_equal(oc_store_compact_live(f->store, NULL), OC_OK);
	run_until(f, a_round_is_over);
	writer.stop = true;
	run_until(f, nothing_waits);
	assert_whole(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_version_is_brought_up_to_date, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(the_second_version_is_brought_up_to_date, setup_empty, teardown),
		cmocka_unit_test_setup_teardown(search_understands_words, setup, teardown),
		cmocka_unit_test_setup_teardown(no_query_is_syntax, setup, teardown),
		cmocka_unit_test_setup_teardown(the_index_follows_deletions, setup, teardown),
		cmocka_unit_test_setup_teardown(check_names_what_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(backup_while_others_write, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_letters, setup, teardown),
		cmocka_unit_test_setup_teardown(old_things_go, setup, teardown),
		cmocka_unit_test_setup_teardown(old_things_go_under_load, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_stays_small, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_reader_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_stays_small, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
