/* core/store: retention, the log written back, space given back: beside readers and a writer that is never idle. */
#include "tests/unit/store_care.h"

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
	assert_true(writer.n > 8); /* others went on meanwhile */
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
		cmocka_unit_test_setup_teardown(old_things_go, setup, teardown),
		cmocka_unit_test_setup_teardown(old_things_go_under_load, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_stays_small, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_reader_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_stays_small, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
