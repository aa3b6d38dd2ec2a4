/* core/store: migration, search, check, backup, dead letters. */
#include "tests/unit/store_care.h"

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
	run_sql(f->path, "PRAGMA user_version=99");
	static const int modes[] = {OC_STORE_OWNER, OC_STORE_SHARED, OC_STORE_READER, OC_STORE_BESIDE};
	for (size_t i = 0; i < 4; i++) {
		oc_store *refused = NULL;
		err = (oc_err){0};
		assert_int_equal(oc_store_open(f->path, f->loop, modes[i], &refused, &err), OC_E_VERSION);
		assert_non_null(strstr(err.text, "newer"));
		assert_non_null(strstr(err.remedy, "backup"));
	}
	assert_int_equal(number(f, "PRAGMA user_version"), 99);
	char now[64];
	snprintf(now, sizeof now, "PRAGMA user_version=%d", OC_STORE_SCHEMA);
	run_sql(f->path, now);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
