/* core/store: group commit, numbering without holes, dedupe, epochs, crash consistency, versions, two processes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/pairing.h"
#include "core/store/store.h"
#include "tests/unit/tree.h"

typedef struct fixture {
	char dir[64];
	char path[128];
	oc_loop *loop;
	oc_store *store;
	int waiting; /* commits under way */
	oc_status last;
	oc_err err;
	int order[64];
	int n_order;
	int64_t seq;
	bool duplicate, began;
} fixture;

static oc_store *open_mode(fixture *f, int mode)
{
	oc_err err = {0};
	oc_store *store = NULL;
	oc_status status = oc_store_open(f->path, f->loop, mode, &store, &err);
	if (status != OC_OK)
		fail_msg("open: %s", err.text);
	return store;
}

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof *f);
	oc_err err = {0};
	snprintf(f->dir, sizeof f->dir, "/tmp/oc-t-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/state/openclaw.db", f->dir);
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->store = open_mode(f, OC_STORE_OWNER);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	oc_store_close(f->store);
	oc_loop_free(f->loop);
	assert_int_equal(tree_remove(f->dir), 0);
	free(f);
	return 0;
}

static void on_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	fixture *f = arg;
	f->last = status;
	f->err = *err;
	f->seq = oc_batch_seq(b, 0);
	f->duplicate = oc_batch_is_duplicate(b);
	f->began = oc_batch_began_session(b);
	if (--f->waiting == 0)
		oc_loop_stop(f->loop);
}

static void commit(fixture *f, oc_batch *b)
{
	f->waiting++;
	oc_err err = {0};
	if (oc_batch_commit(b, on_done, f, &err) != OC_OK)
		fail_msg("commit: %s", err.text);
}

static void wait_all(fixture *f)
{
	if (f->waiting > 0)
		oc_loop_run(f->loop);
	assert_int_equal(f->waiting, 0);
}

static void commit_wait(fixture *f, oc_batch *b)
{
	commit(f, b);
	wait_all(f);
	if (f->last != OC_OK)
		fail_msg("commit: %s", f->err.text);
}

static void say(oc_batch *b, const char *session, const char *role, const char *text)
{
	oc_batch_message(b, session, "message_received", &(oc_message){.role = role, .text = text, .tokens = 3});
}

static cJSON *history(fixture *f, const char *key, const oc_history_filter *filter)
{
	cJSON *array = NULL;
	oc_err err = {0};
	if (oc_store_history(f->store, key, filter, &array, &err) != OC_OK)
		fail_msg("history: %s", err.text);
	return array;
}

static const char *text_of(const cJSON *message)
{
	const cJSON *parts = oc_json_get(message, "content");
	return oc_json_str(parts->child, "text", "");
}

/* ---- Tests ---- */

static void files_are_private(void **state)
{
	fixture *f = *state;
	struct stat st;
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_event(b, "agent:main:main", "state_changed", NULL, NULL);
	commit_wait(f, b);
	char wal[160];
	snprintf(wal, sizeof wal, "%s-wal", f->path);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(wal, sizeof wal, "%s/state", f->dir);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void numbers_have_no_holes(void **state)
{
	fixture *f = *state;
	for (int i = 0; i < 300; i++) {
		char session[32];
		snprintf(session, sizeof session, "agent:main:s%d", i % 7);
		oc_batch *b = oc_batch_new(f->store);
		oc_batch_event(b, session, "tool_called", "run", "{\"n\":1}");
		if (i % 5 == 0) /* a batch that fails takes no number: the inbox needs a channel */
			oc_batch_inbox(b, NULL, "a", "c", "m", NULL, NULL);
		commit(f, b);
	}
	wait_all(f);
	int64_t total = 0;
	for (int i = 0; i < 7; i++) {
		char session[32];
		snprintf(session, sizeof session, "agent:main:s%d", i);
		cJSON *events = NULL;
		assert_int_equal(oc_store_events(f->store, session, 0, 1000, &events, NULL), OC_OK);
		int64_t seq = 0;
		const cJSON *e;
		cJSON_ArrayForEach(e, events) assert_int_equal(oc_json_i64(e, "seq", -1), ++seq);
		total += seq - 1; /* session_started */
		cJSON_Delete(events);
	}
	assert_int_equal(total, 240);
	oc_store_stats stats;
	oc_store_get_stats(f->store, &stats);
	assert_int_equal(stats.batches, 300);
	assert_int_equal(stats.failures, 60);
	assert_true(stats.commits < 300); /* they shared commits */
}

/* What nobody waits for costs no commit of its own when something else comes, and is written all the same when nothing does. */
static void lazy_batches_go_along(void **state)
{
	fixture *f = *state;
	oc_store_stats before, after;
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_kv(b, "m", OC_STR("start"), OC_STR("1"));
	commit_wait(f, b); /* the thread runs */
	oc_store_get_stats(f->store, &before);
	for (int i = 0; i < 20; i++) {
		b = oc_batch_new(f->store);
		oc_batch_event(b, "agent:main:main", "tool_called", "run", "{}");
		oc_batch_lazy(b);
		commit(f, b);
		b = oc_batch_new(f->store);
		oc_batch_event(b, "agent:main:main", "tool_result", "run", "{}");
		commit(f, b);
		wait_all(f);
	}
	oc_store_get_stats(f->store, &after);
	assert_int_equal(after.batches - before.batches, 40);
	assert_in_range(after.commits - before.commits, 20, 25); /* a slow machine may take longer than a lazy one waits */
	cJSON *events = NULL;
	assert_int_equal(oc_store_events(f->store, "agent:main:main", 0, 1000, &events, NULL), OC_OK);
	int64_t seq = 0;
	const cJSON *e;
	cJSON_ArrayForEach(e, events) assert_int_equal(oc_json_i64(e, "seq", -1), ++seq);
	assert_int_equal(seq, 41); /* with session_started, in the order they were handed over */
	cJSON_Delete(events);
	b = oc_batch_new(f->store);
	oc_batch_event(b, "agent:main:main", "tool_called", "run", "{}");
	oc_batch_lazy(b);
	commit_wait(f, b); /* nothing else comes */
	b = oc_batch_new(f->store);
	oc_batch_event(b, "agent:main:main", "tool_called", "run", "{}");
	oc_batch_lazy(b);
	commit(f, b);
	oc_store_settle(f->store); /* nor is it forgotten when all has to be written now */
	assert_int_equal(f->last, OC_OK);
	assert_int_equal(f->waiting, 0);
}

static void failed_batch_leaves_nothing(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	say(b, "agent:main:main", "user", "lost");
	oc_batch_kv(b, "m", OC_STR("k"), OC_STR("v"));
	oc_batch_inbox(b, NULL, "a", "c", "m", NULL, NULL); /* NOT NULL fails */
	commit(f, b);
	wait_all(f);
	assert_int_equal(f->last, OC_E_EXISTS);
	cJSON *o = NULL;
	assert_int_equal(oc_store_session(f->store, "agent:main:main", &o, NULL), OC_E_NOT_FOUND);
	oc_buf *v = NULL;
	assert_int_equal(oc_store_kv_get(f->store, "m", OC_STR("k"), &v, NULL), OC_E_NOT_FOUND);
}

static void messages_and_epochs(void **state)
{
	fixture *f = *state;
	const char *key = "agent:main:main";
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_session(b, key, &(oc_session_facts){.agent = "main", .kind = "main", .title = "T"});
	say(b, key, "user", "one");
	oc_batch_message(b, key, "agent_response",
			 &(oc_message){.role = "assistant",
				       .text = "two",
				       .content_json = "[{\"type\":\"text\",\"text\":\"two\"},{\"type\":\"tool_call\",\"id\":\"1\","
						       "\"name\":\"x\",\"arguments\":{}}]"});
	oc_batch_message(b, key, "tool_result",
			 &(oc_message){.role = "tool", .text = "r", .tool_call_id = "1", .tool_name = "x", .is_error = true});
	commit_wait(f, b);
	assert_true(f->began);
	cJSON *h = history(f, key, NULL);
	assert_int_equal(cJSON_GetArraySize(h), 3);
	assert_string_equal(text_of(cJSON_GetArrayItem(h, 0)), "one");
	assert_true(oc_json_bool(cJSON_GetArrayItem(h, 2), "isError", false));
	cJSON_Delete(h);
	h = history(f, key, &(oc_history_filter){.no_tools = true});
	assert_int_equal(cJSON_GetArraySize(h), 2);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(cJSON_GetArrayItem(h, 1), "content")), 1);
	cJSON_Delete(h);
	h = history(f, key, &(oc_history_filter){.limit = 2});
	assert_int_equal(cJSON_GetArraySize(h), 2);
	assert_string_equal(text_of(cJSON_GetArrayItem(h, 0)), "two"); /* the newest, oldest first */
	int64_t before = oc_json_i64(cJSON_GetArrayItem(h, 0), "seq", 0);
	cJSON_Delete(h);
	h = history(f, key, &(oc_history_filter){.before_seq = before});
	assert_int_equal(cJSON_GetArraySize(h), 1);
	cJSON_Delete(h);

	cJSON *first = NULL, *second = NULL;
	assert_int_equal(oc_store_session(f->store, key, &first, NULL), OC_OK);
	assert_string_equal(oc_json_str(first, "preview", ""), "two");
	b = oc_batch_new(f->store);
	oc_batch_session_reset(b, key, "command");
	commit_wait(f, b);
	assert_true(f->began);
	assert_int_equal(oc_store_session(f->store, key, &second, NULL), OC_OK);
	assert_string_not_equal(oc_json_str(first, "sessionId", ""), oc_json_str(second, "sessionId", ""));
	assert_int_equal(oc_json_i64(second, "messages", -1), 0);
	assert_string_equal(oc_json_str(second, "title", ""), "T");
	cJSON_Delete(first);
	cJSON_Delete(second);
	h = history(f, key, NULL);
	assert_int_equal(cJSON_GetArraySize(h), 0);
	cJSON_Delete(h);
	h = history(f, key, &(oc_history_filter){.all_epochs = true});
	assert_int_equal(cJSON_GetArraySize(h), 3);
	cJSON_Delete(h);

	/* Ended, then spoken to again: a new epoch begins by itself. */
	b = oc_batch_new(f->store);
	say(b, key, "user", "three");
	commit_wait(f, b);
	b = oc_batch_new(f->store);
	oc_batch_session_end(b, key, "operator");
	commit_wait(f, b);
	b = oc_batch_new(f->store);
	say(b, key, "user", "four");
	commit_wait(f, b);
	assert_true(f->began);
	h = history(f, key, NULL);
	assert_int_equal(cJSON_GetArraySize(h), 1);
	assert_string_equal(text_of(h->child), "four");
	cJSON_Delete(h);

	cJSON *events = NULL;
	assert_int_equal(oc_store_events(f->store, key, 0, 100, &events, NULL), OC_OK);
	static const char *const kinds[] = {"session_started",	"message_received", "agent_response",
					    "tool_result",	"session_ended",    "session_started",
					    "message_received", "session_ended",    "session_started",
					    "message_received"};
	assert_int_equal(cJSON_GetArraySize(events), sizeof kinds / sizeof *kinds);
	for (int i = 0; i < cJSON_GetArraySize(events); i++)
		assert_string_equal(oc_json_str(cJSON_GetArrayItem(events, i), "kind", ""), kinds[i]);
	assert_string_equal(oc_json_str(oc_json_get(cJSON_GetArrayItem(events, 1), "data"), "text", ""), "one");
	cJSON_Delete(events);

	b = oc_batch_new(f->store);
	oc_batch_session_delete(b, key);
	commit_wait(f, b);
	assert_int_equal(oc_store_session_count(f->store), 0);
	h = history(f, key, &(oc_history_filter){.all_epochs = true});
	assert_int_equal(cJSON_GetArraySize(h), 0);
	cJSON_Delete(h);
	b = oc_batch_new(f->store);
	oc_batch_session_delete(b, key);
	commit(f, b);
	wait_all(f);
	assert_int_equal(f->last, OC_E_NOT_FOUND);
}

static bool newest_two(void *arg, const oc_message_row *row)
{
	oc_sbuf *b = arg;
	oc_sbuf_printf(b, "%s=%s;", row->role, row->text);
	return b->n < 20;
}

static void walks_back_from_the_newest(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	for (int i = 0; i < 10; i++) {
		char text[8];
		snprintf(text, sizeof text, "m%d", i);
		say(b, "agent:main:main", i % 2 == 0 ? "user" : "assistant", text);
	}
	commit_wait(f, b);
	oc_sbuf got;
	oc_sbuf_init(&got, 4096);
	assert_int_equal(oc_store_each_message(f->store, "agent:main:main", newest_two, &got, NULL), OC_OK);
	assert_string_equal(got.p, "assistant=m9;user=m8;");
	oc_sbuf_free(&got);
}

static void inbox_and_runs_are_deduplicated(void **state)
{
	fixture *f = *state;
	for (int i = 0; i < 2; i++) {
		char run[8];
		snprintf(run, sizeof run, "run-%d", i);
		oc_batch *b = oc_batch_new(f->store);
		oc_batch_inbox(b, "telegram", "default", "chat", "42", "agent:main:main", run);
		say(b, "agent:main:main", "user", "hello");
		oc_batch_run_put(b, run, "agent:main:main", "", "{\"text\":\"hello\"}");
		commit_wait(f, b);
		assert_int_equal(f->duplicate, i == 1);
	}
	cJSON *h = history(f, "agent:main:main", NULL);
	assert_int_equal(cJSON_GetArraySize(h), 1);
	cJSON_Delete(h);
	/* The same number in another chat is another message. */
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_inbox(b, "telegram", "default", "other", "42", "agent:main:main", "run-9");
	commit_wait(f, b);
	assert_false(f->duplicate);

	for (int i = 0; i < 2; i++) {
		char run[8];
		snprintf(run, sizeof run, "idem%d", i);
		b = oc_batch_new(f->store);
		oc_batch_unless_run(b, "key-1");
		oc_batch_run_put(b, run, "agent:main:main", "key-1", "{}");
		commit_wait(f, b);
		assert_int_equal(f->duplicate, i == 1);
	}

	cJSON *runs = NULL;
	assert_int_equal(oc_store_open_runs(f->store, &runs, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(runs), 2);
	assert_string_equal(oc_json_str(oc_json_get(runs->child, "input"), "text", ""), "hello");
	cJSON_Delete(runs);
	b = oc_batch_new(f->store);
	oc_batch_run_state(b, "run-0", "running", NULL);
	oc_batch_run_state(b, "run-0", "done", "{\"text\":\"bye\"}");
	oc_batch_run_state(b, "run-0", "interrupted", NULL); /* over is over */
	commit_wait(f, b);
	cJSON *run = NULL;
	assert_int_equal(oc_store_run(f->store, "run-0", &run, NULL), OC_OK);
	assert_string_equal(oc_json_str(run, "state", ""), "done");
	assert_string_equal(oc_json_str(oc_json_get(run, "result"), "text", ""), "bye");
	assert_null(oc_json_get(run, "input"));
	cJSON_Delete(run);
	assert_int_equal(oc_store_run_by_key(f->store, "key-1", &run, NULL), OC_OK);
	assert_string_equal(oc_json_str(run, "run", ""), "idem0");
	cJSON_Delete(run);
}

static void outbox_keeps_what_is_not_delivered(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	for (int i = 0; i < 3; i++) {
		char key[8];
		snprintf(key, sizeof key, "k%d", i);
		oc_batch_outbox_put(b, key, "agent:main:main", "r", "telegram", "default", "{\"to\":\"1\",\"text\":\"x\"}");
	}
	commit_wait(f, b);
	b = oc_batch_new(f->store);
	oc_batch_outbox_put(b, "k1", "agent:main:main", "r", "telegram", "default", "{\"text\":\"again\"}");
	commit_wait(f, b);
	assert_true(f->duplicate);
	b = oc_batch_new(f->store);
	oc_batch_outbox_delivered(b, "k0", "[\"7\"]");
	oc_batch_outbox_failed(b, "k1", "no route", 12345, false);
	oc_batch_outbox_failed(b, "k2", "blocked", 0, true);
	commit_wait(f, b);
	cJSON *rows = NULL, *counts = NULL;
	assert_int_equal(oc_store_outbox(f->store, 0, &rows, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(rows), 1);
	assert_string_equal(oc_json_str(rows->child, "key", ""), "k1");
	assert_string_equal(oc_json_str(rows->child, "error", ""), "no route");
	assert_int_equal(oc_json_i64(rows->child, "attempts", -1), 1);
	assert_int_equal(oc_json_i64(rows->child, "nextAt", -1), 12345);
	assert_string_equal(oc_json_str(oc_json_get(rows->child, "message"), "text", ""), "x");
	cJSON_Delete(rows);
	assert_int_equal(oc_store_outbox_counts(f->store, &counts, NULL), OC_OK);
	assert_int_equal(oc_json_i64(counts, "pending", -1), 1);
	assert_int_equal(oc_json_i64(counts, "delivered", -1), 1);
	assert_int_equal(oc_json_i64(counts, "dead", -1), 1);
	cJSON_Delete(counts);
}

static void usage_adds_up(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_session(b, "agent:main:a", &(oc_session_facts){.agent = "main"});
	for (int i = 0; i < 3; i++)
		oc_batch_usage(b, "agent:main:a", "openai", "m", &(oc_usage){1, 10, 20, 5, 1, 0.25});
	oc_batch_usage(b, "agent:main:b", "openai", "n", &(oc_usage){1, 1, 1, 0, 0, 0});
	commit_wait(f, b);
	cJSON *u = NULL, *s = NULL;
	assert_int_equal(oc_store_usage(f->store, "agent:main:a", 1, &u, NULL), OC_OK);
	assert_int_equal(oc_json_i64(oc_json_get(u, "total"), "input", 0), 30);
	assert_true(oc_json_num(oc_json_get(u, "total"), "cost", 0) == 0.75);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(u, "byModel")), 1);
	cJSON_Delete(u);
	assert_int_equal(oc_store_usage(f->store, NULL, 0, &u, NULL), OC_OK);
	assert_int_equal(oc_json_i64(oc_json_get(u, "total"), "calls", 0), 4);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(u, "byModel")), 2);
	cJSON_Delete(u);
	assert_int_equal(oc_store_session(f->store, "agent:main:a", &s, NULL), OC_OK);
	assert_int_equal(oc_json_i64(oc_json_get(s, "usage"), "output", 0), 60);
	cJSON_Delete(s);
}

static void sessions_are_filtered_and_searched(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	static const char *const keys[] = {"agent:main:100%", "agent:main:1000", "agent:work:x"};
	for (int i = 0; i < 3; i++) {
		oc_batch_session(b, keys[i], &(oc_session_facts){.agent = i < 2 ? "main" : "work", .kind = "named"});
		say(b, keys[i], "user", i == 1 ? "The Quick brown fox" : "100% sure_thing");
	}
	commit_wait(f, b);
	cJSON *a = NULL;
	assert_int_equal(oc_store_sessions(f->store, &(oc_session_filter){.agent = "main"}, &a, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(a), 2);
	cJSON_Delete(a);
	assert_int_equal(oc_store_sessions(f->store, &(oc_session_filter){.text = "100%"}, &a, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(a), 1); /* the percent sign means itself */
	cJSON_Delete(a);
	assert_int_equal(oc_store_sessions(f->store, &(oc_session_filter){.limit = 1, .offset = 1}, &a, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(a), 1);
	cJSON_Delete(a);
	assert_int_equal(oc_store_search(f->store, "quick BROWN", NULL, &a, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(a), 1);
	assert_string_equal(oc_json_str(a->child, "session", ""), keys[1]);
	cJSON_Delete(a);
	assert_int_equal(oc_store_search(f->store, "sure_", &(oc_search_filter){.session = "agent:work:x"}, &a, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(a), 1);
	cJSON_Delete(a);
	assert_int_equal(oc_store_search(f->store, "", NULL, &a, NULL), OC_E_INVALID);
}

static void kv_replaces_and_removes(void **state)
{
	fixture *f = *state;
	oc_buf *v = NULL;
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_kv(b, "m", (oc_str){"a\0b", 3}, (oc_str){"\0\1", 2});
	oc_batch_kv(b, "n", OC_STR("a"), OC_STR("other module"));
	commit_wait(f, b);
	assert_int_equal(oc_store_kv_get(f->store, "m", (oc_str){"a\0b", 3}, &v, NULL), OC_OK);
	assert_int_equal(oc_buf_str(v).n, 2);
	oc_buf_unref(v);
	assert_int_equal(oc_store_kv_get(f->store, "m", OC_STR("a"), &v, NULL), OC_E_NOT_FOUND);
	b = oc_batch_new(f->store);
	oc_batch_kv(b, "m", (oc_str){"a\0b", 3}, OC_STR_NONE);
	commit_wait(f, b);
	assert_int_equal(oc_store_kv_get(f->store, "m", (oc_str){"a\0b", 3}, &v, NULL), OC_E_NOT_FOUND);
}

static void pairing_codes_expire_and_are_few(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	oc_pairing_ask ask = {.channel = "telegram", .account = "default", .sender = "1", .name = "Ann"};
	assert_int_equal(oc_pairing_request(f->store, &ask, &err), OC_OK);
	assert_true(ask.is_new);
	assert_int_equal(strlen(ask.code), OC_PAIRING_CODE_LEN);
	oc_pairing_ask again = ask;
	memset(again.code, 0, sizeof again.code);
	assert_int_equal(oc_pairing_request(f->store, &again, &err), OC_OK);
	assert_false(again.is_new);
	assert_string_equal(again.code, ask.code);
	oc_pairing_ask other = {.channel = "telegram", .account = "default", .sender = "2"};
	assert_int_equal(oc_pairing_request(f->store, &other, &err), OC_OK);
	other.sender = "3";
	assert_int_equal(oc_pairing_request(f->store, &other, &err), OC_OK);
	other.sender = "4";
	assert_int_equal(oc_pairing_request(f->store, &other, &err), OC_E_LIMIT);
	other.account = "second"; /* another bot has its own three */
	assert_int_equal(oc_pairing_request(f->store, &other, &err), OC_OK);
	cJSON *list = NULL;
	assert_int_equal(oc_pairing_list(f->store, "telegram", &list, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(list), 4);
	cJSON_Delete(list);

	assert_false(oc_pairing_allowed(f->store, "telegram", "default", "1"));
	char lower[OC_PAIRING_CODE_LEN + 1];
	for (size_t i = 0; i < sizeof lower; i++)
		lower[i] = ask.code[i] >= 'A' && ask.code[i] <= 'Z' ? (char)(ask.code[i] + 32) : ask.code[i];
	cJSON *request = NULL;
	assert_int_equal(oc_pairing_approve(f->store, "telegram", lower, &request, &err), OC_OK);
	assert_string_equal(oc_json_str(request, "sender", ""), "1");
	assert_string_equal(oc_json_str(request, "name", ""), "Ann");
	cJSON_Delete(request);
	assert_true(oc_pairing_allowed(f->store, "telegram", "default", "1"));
	assert_false(oc_pairing_allowed(f->store, "telegram", "second", "1"));
	assert_int_equal(oc_pairing_approve(f->store, "telegram", lower, NULL, &err), OC_E_NOT_FOUND);
	assert_int_equal(oc_pairing_revoke(f->store, "telegram", "default", "1", &err), OC_OK);
	assert_false(oc_pairing_allowed(f->store, "telegram", "default", "1"));
	assert_int_equal(oc_pairing_revoke(f->store, "telegram", "default", "1", &err), OC_E_NOT_FOUND);
	assert_int_equal(oc_pairing_reject(f->store, NULL, other.code, &err), OC_OK);

	/* An hour later the rest is gone and there is room again. */
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE pairing SET expires_ms = 1", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(oc_pairing_list(f->store, NULL, &list, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(list), 0);
	cJSON_Delete(list);
	other.account = "default";
	assert_int_equal(oc_pairing_request(f->store, &other, &err), OC_OK);
	assert_true(other.is_new);
}

static void let_in(oc_store *store, const char *sender)
{
	oc_pairing_ask ask = {.channel = "telegram", .account = "default", .sender = sender};
	assert_int_equal(oc_pairing_request(store, &ask, NULL), OC_OK);
	assert_int_equal(oc_pairing_approve(store, "telegram", ask.code, NULL, NULL), OC_OK);
}

/* While the writer's thread works, a write on the calling thread still has its answer on return. */
static void write_now_beside_the_thread(void **state)
{
	fixture *f = *state;
	for (int i = 0; i < 50; i++) {
		oc_batch *b = oc_batch_new(f->store);
		oc_batch_event(b, "agent:main:main", "x", NULL, NULL);
		commit(f, b);
	}
	let_in(f->store, "9");
	assert_true(oc_pairing_allowed(f->store, "telegram", "default", "9"));
	wait_all(f);
	cJSON *events = NULL;
	assert_int_equal(oc_store_events(f->store, "agent:main:main", 0, 100, &events, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(events), 51);
	cJSON_Delete(events);
}

static void closing_writes_what_waits(void **state)
{
	fixture *f = *state;
	for (int i = 0; i < 200; i++) {
		oc_batch *b = oc_batch_new(f->store);
		oc_batch_event(b, "agent:main:main", "x", NULL, NULL);
		commit(f, b);
	}
	oc_store_close(f->store);
	assert_int_equal(f->waiting, 0);
	f->store = open_mode(f, OC_STORE_OWNER);
	cJSON *s = NULL;
	assert_int_equal(oc_store_session(f->store, "agent:main:main", &s, NULL), OC_OK);
	assert_int_equal(oc_json_i64(s, "lastSeq", 0), 201);
	cJSON_Delete(s);
}

static oc_status never_ends(oc_tx *tx, void *arg, oc_err *err)
{
	(void)tx;
	(void)err;
	while (!atomic_load((atomic_bool *)arg))
		usleep(1000);
	return OC_OK;
}

static void queue_has_a_bound(void **state)
{
	fixture *f = *state;
	atomic_bool go = false;
	assert_int_equal(oc_store_write(f->store, never_ends, NULL, &go), OC_OK);
	oc_status status = OC_OK;
	int n = 0;
	for (; n < 20000 && status == OC_OK; n++) {
		oc_batch *b = oc_batch_new(f->store);
		oc_batch_event(b, "agent:main:main", "x", NULL, NULL);
		oc_err err = {0};
		f->waiting++;
		status = oc_batch_commit(b, on_done, f, &err);
		if (status != OC_OK)
			f->waiting--;
	}
	atomic_store(&go, true);
	assert_int_equal(status, OC_E_BUSY);
	assert_true(n > 8000 && n < 10000);
	wait_all(f);
}

/* ---- Other processes ---- */

static void second_owner_is_refused(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	oc_store *other = NULL;
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_OWNER, &other, &err), OC_E_BUSY);
	char pid[32];
	snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
	assert_non_null(strstr(err.text, pid));
	assert_true(err.remedy[0] != 0);
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_SHARED, &other, &err), OC_E_BUSY);
	/* Reports and small changes go beside it. */
	other = open_mode(f, OC_STORE_READER);
	assert_int_equal(oc_store_write_now(other, never_ends, NULL, &err), OC_E_STATE);
	oc_store_close(other);
	other = open_mode(f, OC_STORE_BESIDE);
	let_in(other, "5");
	oc_store_close(other);
	assert_true(oc_pairing_allowed(f->store, "telegram", "default", "5"));
	/* Two commands may run beside each other, and a gateway then may not. */
	oc_store_close(f->store);
	f->store = open_mode(f, OC_STORE_SHARED);
	other = open_mode(f, OC_STORE_SHARED);
	oc_store *third = NULL;
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_OWNER, &third, &err), OC_E_BUSY);
	oc_store_close(other);
}

static void newer_and_foreign_files_are_refused(void **state)
{
	fixture *f = *state;
	oc_store_close(f->store);
	f->store = NULL;
	sqlite3 *db = NULL;
	oc_err err = {0};
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=999", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_OWNER, &f->store, &err), OC_E_VERSION);
	assert_non_null(strstr(err.text, "newer"));
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_READER, &f->store, &err), OC_E_VERSION);

	snprintf(f->path, sizeof f->path, "%s/foreign.db", f->dir);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_OWNER, &f->store, &err), OC_E_CORRUPT);

	snprintf(f->path, sizeof f->path, "%s/garbage.db", f->dir);
	FILE *file = fopen(f->path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", file);
	fclose(file);
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_OWNER, &f->store, &err), OC_E_CORRUPT);

	snprintf(f->path, sizeof f->path, "%s/none.db", f->dir);
	assert_int_equal(oc_store_open(f->path, f->loop, OC_STORE_READER, &f->store, &err), OC_E_NOT_FOUND);
	snprintf(f->path, sizeof f->path, "%s/folder.db", f->dir);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_not_equal(oc_store_open(f->path, f->loop, OC_STORE_OWNER, &f->store, &err), OC_OK);
	f->store = NULL;
}

/* Tells the parent through the pipe what was acknowledged, until it is killed. */
typedef struct child {
	oc_store *store;
	oc_loop *loop;
	int fd;
	int next, pending;
} child;

static void child_feed(child *c);

typedef struct child_note {
	child *c;
	int n;
} child_note;

static void child_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	(void)err;
	child_note *note = arg;
	if (status == OC_OK && write(note->c->fd, &note->n, sizeof note->n) != sizeof note->n)
		_exit(1);
	note->c->pending--;
	child_feed(note->c);
	oc_free(note);
}

static void child_feed(child *c)
{
	while (c->pending < 16) {
		char session[32], id[16];
		child_note *note = oc_alloc(sizeof *note);
		*note = (child_note){c, c->next++};
		snprintf(session, sizeof session, "agent:main:s%d", note->n % 5);
		snprintf(id, sizeof id, "%d", note->n);
		oc_batch *b = oc_batch_new(c->store);
		oc_batch_inbox(b, "c", "a", "chat", id, session, NULL);
		say(b, session, "user", id);
		oc_batch_outbox_put(b, id, session, NULL, "c", "a", "{}");
		c->pending++;
		if (oc_batch_commit(b, child_done, note, NULL) != OC_OK)
			_exit(1);
	}
}

static void crash_once(fixture *f, unsigned delay_us, int first, char *seen, size_t seen_size)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		child c = {.fd = fds[1]};
		oc_err err = {0};
		if (oc_loop_new(&c.loop, &err) != OC_OK ||
		    oc_store_open(f->path, c.loop, OC_STORE_OWNER, &c.store, &err) != OC_OK) {
			fprintf(stderr, "%s\n", err.text);
			_exit(1);
		}
		c.next = first;
		child_feed(&c);
		oc_loop_run(c.loop);
		_exit(0);
	}
	close(fds[1]);
	usleep(delay_us);
	kill(pid, SIGKILL);
	int status, n;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(fds[0], &n, sizeof n) == sizeof n)
		if ((size_t)n < seen_size)
			seen[n] = 1;
	close(fds[0]);
}

static void killed_processes_lose_nothing(void **state)
{
	fixture *f = *state;
	oc_store_close(f->store);
	f->store = NULL;
	size_t size = 1200000;
	char *seen = calloc(1, size);
	assert_non_null(seen);
	/* On a slow disk it takes more rounds until enough was acknowledged. */
	unsigned rounds = 0;
	for (size_t got = 0; rounds < 12 || (got < 100 && rounds < 60); rounds++) {
		crash_once(f, 8000 + rounds * 4001, (int)rounds * 20000, seen, size);
		got = 0;
		for (size_t n = 0; n < size; n++)
			got += (size_t)seen[n];
	}
	f->store = open_mode(f, OC_STORE_OWNER);
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	/* Everything acknowledged is there, with everything that belongs to it. */
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT (SELECT count(*) FROM inbox WHERE message_id = ?1),"
					    " (SELECT count(*) FROM messages WHERE text = ?1),"
					    " (SELECT count(*) FROM outbox WHERE key = ?1)",
					    -1, &s, NULL), SQLITE_OK);
	int acknowledged = 0, checked = 0;
	for (size_t n = 0; n < size; n++)
		acknowledged += seen[n];
	for (size_t n = 0; n < size && checked < 3000; n++) {
		if (!seen[n])
			continue;
		checked++;
		char id[16];
		snprintf(id, sizeof id, "%zu", n);
		sqlite3_reset(s);
		sqlite3_bind_text(s, 1, id, -1, SQLITE_TRANSIENT);
		assert_int_equal(sqlite3_step(s), SQLITE_ROW);
		for (int i = 0; i < 3; i++)
			assert_int_equal(sqlite3_column_int(s, i), 1);
	}
	sqlite3_finalize(s);
	assert_true(acknowledged > 0);
	/* What was written without being acknowledged is whole too, and no number is missing. */
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT (SELECT count(*) FROM inbox) = (SELECT count(*) FROM outbox),"
					    " (SELECT count(*) FROM inbox) = (SELECT count(*) FROM messages),"
					    " (SELECT sum(last_seq) FROM sessions) = (SELECT count(*) FROM events),"
					    " NOT EXISTS(SELECT 1 FROM sessions s WHERE last_seq <>"
					    "  (SELECT max(seq) FROM events e WHERE e.session = s.id)),"
					    " (SELECT integrity_check FROM pragma_integrity_check) = 'ok'",
					    -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sqlite3_column_int(s, i), 1);
	sqlite3_finalize(s);
	sqlite3_close(db);
	free(seen);
}

/* Opening an existing store is on the way to "ready": it must not start the writer or touch the disk. */
static void opening_is_lazy(void **state)
{
	fixture *f = *state;
	oc_batch *b = oc_batch_new(f->store);
	say(b, "agent:main:main", "user", "x");
	commit_wait(f, b);
	oc_store_close(f->store);
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 40; i++) {
		uint64_t began = oc_now_ns();
		f->store = open_mode(f, OC_STORE_OWNER);
		uint64_t took = oc_now_ns() - began;
		best = took < best ? took : best;
		oc_store_stats stats;
		oc_store_get_stats(f->store, &stats);
		assert_int_equal(stats.commits, 0);
		if (i < 39)
			oc_store_close(f->store);
	}
	print_message("# opening an existing store: %.2f ms\n", (double)best / 1e6);
	assert_true(best < 5000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_have_no_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(lazy_batches_go_along, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_batch_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_and_epochs, setup, teardown),
		cmocka_unit_test_setup_teardown(walks_back_from_the_newest, setup, teardown),
		cmocka_unit_test_setup_teardown(inbox_and_runs_are_deduplicated, setup, teardown),
		cmocka_unit_test_setup_teardown(outbox_keeps_what_is_not_delivered, setup, teardown),
		cmocka_unit_test_setup_teardown(usage_adds_up, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_are_filtered_and_searched, setup, teardown),
		cmocka_unit_test_setup_teardown(kv_replaces_and_removes, setup, teardown),
		cmocka_unit_test_setup_teardown(pairing_codes_expire_and_are_few, setup, teardown),
		cmocka_unit_test_setup_teardown(write_now_beside_the_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_writes_what_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(queue_has_a_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(second_owner_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(newer_and_foreign_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_processes_lose_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(opening_is_lazy, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
