/* core/agent: what becomes of messages that come during a turn, of turns that a stop or a crash cuts short, and who may run. */
#include "tests/unit/agent_fake.h"

#include <sqlite3.h>

/* ---- Helpers ---- */

static int n_committed, committed_wanted;

static void on_committed(void *arg, oc_status status)
{
	(void)arg;
	assert_int_equal(status, OC_OK);
	n_committed++;
}

static bool is_committed(fixture *f)
{
	(void)f;
	return n_committed >= committed_wanted;
}

static void inbound_of(fixture *f, const char *type, const char *chat, const char *sender, const char *text)
{
	static int id;
	char json[600];
	snprintf(json, sizeof json,
		 "{\"channel\":\"chat\",\"account\":\"default\",\"id\":\"m%d\",\"chat\":{\"type\":\"%s\",\"id\":\"%s\"},"
		 "\"sender\":{\"id\":\"%s\",\"name\":\"Ann\"},\"text\":\"%s\",\"timestampMs\":1,\"mentioned\":true}",
		 ++id, type, chat, sender, text);
	committed_wanted = n_committed + 1;
	oc_agent_inbound(f->agent, oc_str_of(json), on_committed, f);
	UNTIL(f, is_committed);
}

static void say(fixture *f, const char *text)
{
	inbound_of(f, "dm", "7", "7", text);
}

static size_t wanted;

static bool has_sent(fixture *f)
{
	return f->n_sent >= wanted;
}

static bool has_asked(fixture *f)
{
	return f->n_requests >= wanted;
}

static void wait_sent(fixture *f, size_t n)
{
	wanted = n;
	UNTIL(f, has_sent);
}

static void wait_asked(fixture *f, size_t n)
{
	wanted = n;
	UNTIL(f, has_asked);
}

static bool idle(fixture *f)
{
	oc_agent_stats s;
	oc_agent_get_stats(f->agent, &s);
	return s.turns_running == 0 && s.turns_waiting == 0 && s.outbox_pending == 0 && f->open_calls == 0;
}

static const char *sent_text(fixture *f, size_t i)
{
	static char text[4000];
	assert_true(i < f->n_sent);
	oc_auto_json cJSON *o = cJSON_Parse(f->sent[i]);
	snprintf(text, sizeof text, "%s", oc_json_str(o, "text", ""));
	return text;
}

/* "user:a|assistant:b|…" of a request's messages. */
static void assert_request(fixture *f, size_t i, const char *want)
{
	assert_true(i < f->n_requests);
	oc_auto_json cJSON *r = cJSON_Parse(f->requests[i]);
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	const cJSON *m, *p;
	cJSON_ArrayForEach(m, oc_json_get(r, "messages"))
	{
		oc_sbuf_printf(&b, "%s%s:", b.n > 0 ? "|" : "", oc_json_str(m, "role", ""));
		cJSON_ArrayForEach(p, oc_json_get(m, "content"))
			oc_sbuf_z(&b, strcmp(oc_json_str(p, "type", ""), "tool_call") == 0 ? "<call>" : oc_json_str(p, "text", "?"));
	}
	if (strcmp(oc_sbuf_view(&b).p, want) != 0)
		fail_msg("request %zu is\n%s\nnot\n%s", i, oc_sbuf_view(&b).p, want);
	oc_sbuf_free(&b);
}

static int64_t count_runs(fixture *f, const char *state)
{
	oc_auto_free char *db = oc_path_join(f->dir, "openclaw.db");
	sqlite3 *sql = NULL;
	sqlite3_stmt *stmt = NULL;
	oc_store_settle(f->store);
	assert_int_equal(sqlite3_open_v2(db, &sql, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(sql, "SELECT count(*) FROM runs WHERE state = ?1", -1, &stmt, NULL), SQLITE_OK);
	sqlite3_bind_text(stmt, 1, state, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(sql);
	return n;
}

static oc_agent_stats stats_of(fixture *f)
{
	oc_agent_stats s;
	oc_agent_get_stats(f->agent, &s);
	return s;
}

#define CONFIG(queue, more)                                                                                              \
	"{\"agents\":{\"defaults\":{\"model\":{\"primary\":\"p/one\"}}},\"messages\":{" queue "},"                    \
	"\"channels\":{\"chat\":{\"dmPolicy\":\"open\",\"groupPolicy\":\"open\",\"allowFrom\":[\"7\"],\"streaming\":\"off\"}}" more "}"
#define QUEUE(mode, more) "\"queue\":{\"mode\":\"" mode "\",\"debounceMs\":10" more "}"
#define SETUP(name, queue, more)                                                                                         \
	static int name(void **state)                                                                                     \
	{                                                                                                                  \
		return setup_with(state, CONFIG(queue, more));                                                             \
	}
SETUP(collect, QUEUE("collect", ""), "")
SETUP(followup, QUEUE("followup", ""), "")
SETUP(steer, QUEUE("steer", ""), "")
SETUP(backlog, QUEUE("steer-backlog", ""), "")
SETUP(interrupt, QUEUE("interrupt", ""), "")
SETUP(cap_summarize, QUEUE("followup", ",\"cap\":2"), "")
SETUP(cap_old, QUEUE("followup", ",\"cap\":2,\"drop\":\"old\""), "")
SETUP(cap_new, QUEUE("followup", ",\"cap\":2,\"drop\":\"new\""), "")
SETUP(debounced, "\"inbound\":{\"debounceMs\":1500}", "")
SETUP(idle_reset, QUEUE("collect", ""), ",\"session\":{\"reset\":{\"mode\":\"idle\",\"idleMinutes\":5}}")

/* ---- Modes ---- */

static const answer slow_then_echo[] = {{.text = "one", .delay_ms = 400}, {.echo = true}, {.echo = true}, {.echo = true},
					{.echo = true}, {.echo = true}};

static void what_waits_becomes_one_turn(void **state)
{
	fixture *f = *state;
	f->script = slow_then_echo;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	say(f, "c");
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 2);
	assert_request(f, 1, "user:a|assistant:one|user:[2 messages came while you were busy]\n\n--- 1 ---\nb\n\n--- 2 ---\nc");
	assert_int_equal(count_runs(f, "merged"), 1);
	assert_int_equal(count_runs(f, "done"), 2);
	assert_int_equal(stats_of(f).turns_merged, 1);
	/* One that came alone is as it is. */
	f->at = 0;
	say(f, "d");
	wait_asked(f, 3);
	say(f, "e");
	wait_sent(f, 4);
	assert_string_equal(sent_text(f, 3), "e");
}

static void each_is_a_turn(void **state)
{
	fixture *f = *state;
	f->script = slow_then_echo;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	say(f, "c");
	wait_sent(f, 3);
	assert_string_equal(sent_text(f, 1), "b");
	assert_string_equal(sent_text(f, 2), "c");
	assert_int_equal(count_runs(f, "done"), 3);
}

static void goes_in_at_the_next_tool(void **state)
{
	fixture *f = *state;
	static const answer script[] = {
		{.text = "looking", .calls = {"{\"id\":\"1\",\"name\":\"slow\",\"arguments\":{\"id\":\"x\",\"ms\":60}}"}},
		{.text = "done with both"}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b, rather");
	say(f, "and c");
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 2);
	assert_request(f, 1, "user:a|assistant:looking<call>|tool:result of x|user:b, rather|user:and c");
	assert_history(f, "", "user:a|assistant:looking<call>|tool:result of x|user:b, rather|user:and c|assistant:done with both");
	assert_string_equal(sent_text(f, 0), "looking\n\ndone with both");
	assert_int_equal(count_runs(f, "merged"), 2);
	assert_int_equal(stats_of(f).turns_steered, 2);
}

static void goes_in_after_an_answer(void **state)
{
	fixture *f = *state;
	f->script = slow_then_echo;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_request(f, 1, "user:a|assistant:one|user:b");
	assert_string_equal(sent_text(f, 0), "one\n\nb");
	assert_history(f, "", "user:a|assistant:one|user:b|assistant:b");
	assert_int_equal(count_runs(f, "done"), 1);
}

/* Answers message hooks, some of them later; notes which were asked about which text. */
static void on_hook(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	const char *text = oc_json_str(payload, "text", oc_json_str(payload, "prompt", ""));
	const cJSON *message = oc_json_get(payload, "message");
	(void)arg;
	if (message != NULL)
		text = oc_json_str(cJSON_GetArrayItem(oc_json_get(message, "content"), 0), "text",
				   oc_json_str(message, "content", "?"));
	note("%s %s", oc_hook_info_of(hook)->name, text);
	oc_auto_json cJSON *result = NULL;
	if (hook == OC_HOOK_BEFORE_MESSAGE && strcmp(text, "b") == 0)
		result = cJSON_Parse("{\"text\":\"b, changed\",\"context\":\"Known: x\"}");
	else if (hook == OC_HOOK_BEFORE_MESSAGE && strcmp(text, "c") == 0)
		result = cJSON_Parse("{\"claim\":true,\"handled\":true,\"reply\":\"I take this\"}");
	oc_hook_answer(turn, OC_OK, result, NULL);
}

static void hear(fixture *f, const char *hook)
{
	oc_hook_subscription s = {.hook = hook, .owner = f->owner, .by = "test", .fn = on_hook};
	assert_int_equal(oc_hooks_subscribe(f->hooks, &s, NULL, NULL), OC_OK);
}

static void goes_in_past_hooks(void **state)
{
	fixture *f = *state;
	static const answer script[] = {
		{.text = "looking", .calls = {"{\"id\":\"1\",\"name\":\"slow\",\"arguments\":{\"id\":\"x\",\"ms\":200}}"}},
		{.text = "done with both"}, {.text = "late"}};
	hear(f, "message_received");
	hear(f, "beforeMessage");
	hear(f, "before_prompt_build");
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	say(f, "c");
	wait_sent(f, 2);
	UNTIL(f, idle);
	/* Asked once about each message, when it came; about turns only for turns. */
	assert_int_equal(noted_times("message_received b"), 1);
	assert_int_equal(noted_times("beforeMessage b"), 1);
	assert_int_equal(noted_times("before_prompt_build b, changed"), 0);
	assert_int_equal(noted_times("before_prompt_build a"), 1);
	assert_request(f, 1, "user:a|assistant:looking<call>|tool:result of x|user:Known: x\n\nb, changed");
	assert_int_equal(stats_of(f).turns_steered, 1);
	/* Who claims it answers it: as a turn of its own. */
	assert_int_equal(noted_times("beforeMessage c"), 1);
	assert_int_equal(f->n_requests, 2);
	assert_string_equal(sent_text(f, 1), "I take this");
	assert_history(f, "", "user:a|assistant:looking<call>|tool:result of x|user:b, changed|assistant:done with both|user:c");
}

static void on_compaction(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	const cJSON *ctx = oc_json_get(payload, "ctx");
	(void)arg;
	note("%s %lld %d %s", oc_hook_info_of(hook)->name, (long long)oc_json_i64(payload, "messageCount", -1),
	     oc_json_i64(payload, "tokenCount", 0) > 0, oc_json_str(ctx, "sessionKey", "?"));
	if (hook == OC_HOOK_AFTER_COMPACTION)
		note("compacted %lld", (long long)oc_json_i64(payload, "compactedCount", -1));
	assert_true(oc_json_str(ctx, "sessionId", "")[0] != 0 && oc_json_str(ctx, "agentId", "")[0] != 0 &&
		    oc_json_str(ctx, "workspaceDir", "")[0] != 0 && oc_json_str(ctx, "messageProvider", "")[0] != 0);
	oc_hook_answer(turn, OC_OK, NULL, NULL);
}

/* As recorded: each hook once, around the model's summary, with the counts before and after. */
static void compact_by_hand(void **state)
{
	fixture *f = *state;
	static const char *const hooks[] = {"before_compaction", "after_compaction"};
	for (int i = 0; i < 2; i++) {
		oc_hook_subscription s = {.hook = hooks[i], .owner = f->owner, .by = "test", .fn = on_compaction};
		assert_int_equal(oc_hooks_subscribe(f->hooks, &s, NULL, NULL), OC_OK);
	}
	static const answer script[] = {{.echo = true}, {.echo = true}, {.echo = true}, {.echo = true}, {.echo = true}, {.echo = true},
					{.text = "They said a to f."}, {.echo = true}};
	f->script = script;
	static const char *const said[] = {"a", "b", "c", "d", "e", "f"};
	for (size_t i = 0; i < 6; i++) {
		say(f, said[i]);
		wait_sent(f, i + 1);
	}
	say(f, "/compact keep the letters");
	wait_sent(f, 7);
	UNTIL(f, idle);
	assert_non_null(strstr(sent_text(f, 6), "ompacted"));
	assert_int_equal(f->n_requests, 7);
	assert_non_null(strstr(f->requests[6], "keep the letters"));
	int before = noted_at("before_compaction 12 1 agent:main:main");
	assert_true(before >= 0);
	int asked = -1, after = -1;
	long long left = -1, gone = -1;
	for (size_t i = 0; i < f->n_notes; i++) {
		if ((int)i > before && asked < 0 && strncmp(f->notes[i], "chat ", 5) == 0)
			asked = (int)i;
		if (sscanf(f->notes[i], "after_compaction %lld", &left) == 1)
			after = (int)i;
		(void)sscanf(f->notes[i], "compacted %lld", &gone);
	}
	assert_true(before < asked && asked < after);
	assert_true(left > 0 && gone > 0 && left + gone == 12);
	assert_int_equal(stats_of(f).compactions, 1);
	say(f, "g");
	wait_sent(f, 8);
	assert_non_null(strstr(f->requests[7], "They said a to f."));
	assert_null(strstr(f->requests[7], "\"text\":\"a\""));
}

static void goes_in_and_is_a_turn_too(void **state)
{
	fixture *f = *state;
	f->script = slow_then_echo;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 3);
	assert_string_equal(sent_text(f, 0), "one\n\nb");
	assert_string_equal(sent_text(f, 1), "b");
	assert_int_equal(count_runs(f, "merged"), 0);
}

static void the_running_one_is_stopped(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "a long story", .hang = true}, {.echo = true}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	run_ms(f, 5);
	say(f, "b");
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_int_equal(f->canceled, 1);
	assert_request(f, 1, "user:a|assistant:a long story|user:b");
	assert_int_equal(count_runs(f, "canceled"), 1);
}

static void too_many(fixture *f)
{
	f->script = slow_then_echo;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	say(f, "c");
	say(f, "d");
	say(f, "e");
	wait_sent(f, 3);
	UNTIL(f, idle);
	assert_int_equal(f->n_sent, 3);
}

static void the_oldest_leave_a_line(void **state)
{
	fixture *f = *state;
	too_many(f);
	assert_request(f, 1, "user:a|assistant:one|user:[2 earlier messages came while you were busy and were left out, because too "
			     "many were waiting. They began:]\n- b\n- c\n\n[The message for you now]\nd");
	assert_string_equal(sent_text(f, 2), "e");
	assert_int_equal(stats_of(f).turns_summarized, 2);
	assert_int_equal(count_runs(f, "merged"), 2);
}

static void the_oldest_are_dropped(void **state)
{
	fixture *f = *state;
	too_many(f);
	assert_string_equal(sent_text(f, 1), "d");
	assert_string_equal(sent_text(f, 2), "e");
	assert_int_equal(count_runs(f, "dropped"), 2);
}

static void the_newest_are_dropped(void **state)
{
	fixture *f = *state;
	too_many(f);
	assert_string_equal(sent_text(f, 1), "b");
	assert_string_equal(sent_text(f, 2), "c");
	assert_int_equal(count_runs(f, "dropped"), 2);
}

static void one_breath_is_one_message(void **state)
{
	fixture *f = *state;
	say(f, "a");
	say(f, "b");
	say(f, "c");
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 1);
	assert_request(f, 0, "user:a\nb\nc");
	assert_int_equal(count_runs(f, "merged"), 2);
	/* Commands wait for nothing. */
	uint64_t began = oc_now_ms();
	say(f, "/whoami");
	wait_sent(f, 2);
	assert_true(oc_now_ms() - began < 1500);
}

static void a_session_s_own_mode(void **state)
{
	fixture *f = *state;
	say(f, "/queue followup cap:5 debounce:5ms");
	wait_sent(f, 1);
	assert_string_equal(sent_text(f, 0), "⚙️ The queue is changed.");
	f->script = slow_then_echo;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	say(f, "c");
	wait_sent(f, 4);
	assert_string_equal(sent_text(f, 3), "c");
	say(f, "/queue");
	wait_sent(f, 5);
	assert_non_null(strstr(sent_text(f, 4), "mode=followup, debounce=5ms, cap=5, drop=summarize"));
	say(f, "/queue default");
	wait_sent(f, 6);
	say(f, "/queue");
	wait_sent(f, 7);
	assert_non_null(strstr(sent_text(f, 6), "mode=collect, debounce=10ms, cap=20"));
}

/* ---- Commands beside a turn ---- */

static void commands_do_not_wait(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "a long story", .hang = true}, {.echo = true}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "/status");
	wait_sent(f, 1);
	assert_non_null(strstr(sent_text(f, 0), "🪢 Queue: collect (depth 0)"));
	assert_non_null(strstr(sent_text(f, 0), "▶️ Running"));
	say(f, "/model p/two");
	wait_sent(f, 2);
	assert_string_equal(sent_text(f, 1), "Model set to p/two.");
	say(f, "/frobnicate");	 /* no command: waits like any message */
	say(f, "/status please"); /* neither */
	say(f, "/stop");
	wait_sent(f, 3);
	assert_string_equal(sent_text(f, 2), "⚙️ Agent was aborted.");
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(count_runs(f, "canceled"), 3);
	/* "/new" ends what runs, and the word alone stops only where something runs. */
	f->at = 0;
	say(f, "b");
	wait_asked(f, 2);
	say(f, "/new p/one hello");
	wait_sent(f, 4);
	UNTIL(f, idle);
	assert_request(f, 2, "user:hello");
	assert_int_equal(noted_times("chat one"), 2);
	assert_int_equal(noted_times("chat two"), 1);
	f->script = NULL;
	say(f, "stop");
	wait_sent(f, 5);
	assert_string_equal(sent_text(f, 4), "stop");
}

static void strangers_change_nothing(void **state)
{
	fixture *f = *state;
	static const char *const changes[] = {"/new",	"/reset", "/stop", "/model p/two", "/think high", "/queue steer",
					      "/verbose on", "/compact", "/reasoning on", "/usage full"};
	static const answer script[] = {{.text = "a long story", .hang = true}};
	size_t told = 0;
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		inbound_of(f, "dm", "8", "8", changes[i]); /* the policy is open, the main session is shared */
		if (strcmp(changes[i], "/new") == 0 || strcmp(changes[i], "/reset") == 0 || strcmp(changes[i], "/compact") == 0)
			continue; /* waits for its place */
		wait_sent(f, ++told);
		assert_string_equal(sent_text(f, told - 1), "You may not use this command here.");
	}
	assert_int_equal(f->canceled, 0);
	oc_auto_json cJSON *s = NULL;
	assert_int_equal(oc_agent_session(f->agent, OC_STR(""), &s, NULL), OC_OK);
	assert_null(oc_json_get(s, "model"));
	assert_null(oc_json_get(s, "settings"));
	inbound_of(f, "dm", "8", "8", "/whoami");
	wait_sent(f, ++told);
	assert_non_null(strstr(sent_text(f, told - 1), "May change the session: no"));
	say(f, "/stop");
	wait_sent(f, ++told);
	UNTIL(f, idle);
}

/* ---- Fairness and limits ---- */

SETUP(one_place, QUEUE("collect", ""), ",\"session\":{\"dmScope\":\"per-channel-peer\"}")

static void a_crowd_of_one_starves_nobody(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "x", .delay_ms = 500}, {.text = "x"}, {.text = "x"}, {.text = "x"},
					{.text = "x"},		       {.text = "x"}, {.text = "x"}};
	f->script = script;
	oc_config *config = NULL;
	assert_int_equal(oc_config_load_text(OC_STR("{\"agents\":{\"defaults\":{\"model\":\"p/one\",\"maxConcurrent\":1}},"
						    "\"session\":{\"dmScope\":\"per-channel-peer\"},\"channels\":{\"chat\":{"
						    "\"dmPolicy\":\"open\",\"groupPolicy\":\"open\",\"allowFrom\":[\"7\"],\"streaming\":\"off\"}}}"),
					     NULL, &config, NULL), OC_OK);
	oc_agent_reload(f->agent, config);
	oc_config_unref(config);
	run_ms(f, 5);
	inbound_of(f, "group", "g1", "7", "a");
	wait_asked(f, 1);
	inbound_of(f, "group", "g2", "7", "b");
	inbound_of(f, "group", "g3", "7", "c");
	inbound_of(f, "group", "g4", "7", "d");
	inbound_of(f, "dm", "8", "8", "me too");
	wait_sent(f, 5);
	UNTIL(f, idle);
	assert_int_equal(stats_of(f).turns_running_max, 1);
	oc_auto_json cJSON *third = cJSON_Parse(f->sent[2]);
	oc_auto_json cJSON *second = cJSON_Parse(f->sent[1]);
	/* Sender 8 is next after the one that was at the head when he came. */
	assert_true(strcmp(oc_json_str(second, "to", ""), "8") == 0 || strcmp(oc_json_str(third, "to", ""), "8") == 0);
}

/* ---- Stops and crashes ---- */

static void crash(fixture *f, const char *config)
{
	stop_gateway(f);
	f->n_notes = 0;
	start_gateway(f, config);
}

static bool drained;

static void on_drained(void *arg)
{
	(void)arg;
	drained = true;
}

static bool is_drained(fixture *f)
{
	(void)f;
	return drained;
}

static void a_stop_lays_turns_down(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "half a", .hang = true}, {.text = "now whole"}, {.echo = true}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	drained = false;
	oc_agent_drain(f->agent, 30, on_drained, NULL);
	UNTIL(f, is_drained);
	assert_int_equal(f->n_sent, 0);
	assert_int_equal(count_runs(f, "suspended"), 1);
	assert_int_equal(count_runs(f, "accepted"), 1);
	crash(f, CONFIG(QUEUE("collect", ""), ""));
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_string_equal(sent_text(f, 0), "now whole");
	assert_string_equal(sent_text(f, 1), "b");
	assert_request(f, 1, "user:a");
	assert_history(f, "", "user:a|assistant:now whole|user:b|assistant:b");
	assert_int_equal(count_runs(f, "done"), 2);
}

static void goes_on_from_results_of_tools(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "looking", .calls = {"{\"id\":\"1\",\"name\":\"say\",\"arguments\":{\"text\":\"x\"}}"}},
					{.text = "half", .hang = true},
					{.text = "the rest"}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 2);
	oc_store_settle(f->store);
	crash(f, CONFIG(QUEUE("collect", ""), ""));
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_int_equal(noted_times("invoke say {\"text\":\"x\",\"n\":7}"), 0); /* not again */
	assert_request(f, 2, "user:a|assistant:looking<call>|tool:said x");
	assert_string_equal(sent_text(f, 0), "looking\n\nthe rest");
	assert_history(f, "", "user:a|assistant:looking<call>|tool:said x|assistant:the rest");
}

static void a_tool_at_work_is_reported(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {"{\"id\":\"1\",\"name\":\"hang\",\"arguments\":{}}"}}, {.text = "never"}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	for (int i = 0; i < 500 && noted_times("invoke hang {}") == 0; i++)
		run_ms(f, 10);
	assert_int_equal(noted_times("invoke hang {}"), 1);
	crash(f, CONFIG(QUEUE("collect", ""), ""));
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_non_null(strstr(sent_text(f, 0), "a tool was at work"));
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(count_runs(f, "interrupted"), 1);
	/* Once. */
	crash(f, CONFIG(QUEUE("collect", ""), ""));
	run_ms(f, 20);
	assert_int_equal(f->n_sent, 1);
}

static void a_culprit_is_given_up(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "boom", .hang = true}, {.text = "boom", .hang = true}, {.text = "boom", .hang = true},
					{.echo = true}};
	f->script = script;
	say(f, "a");
	for (size_t i = 1; i <= 3; i++) {
		wait_asked(f, i);
		oc_store_settle(f->store);
		crash(f, CONFIG(QUEUE("collect", ""), ""));
	}
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 3);
	assert_non_null(strstr(sent_text(f, 0), "the gateway stopped 3 times while I worked on it"));
	say(f, "and now?");
	wait_sent(f, 2);
	assert_string_equal(sent_text(f, 1), "and now?");
}

static void crashes_lose_no_waiting_message(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "x", .hang = true}, {.text = "one"}, {.echo = true}};
	f->script = script;
	say(f, "a");
	wait_asked(f, 1);
	say(f, "b");
	say(f, "c");
	crash(f, CONFIG(QUEUE("collect", ""), ""));
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_request(f, 2, "user:a|assistant:one|user:[2 messages came while you were busy]\n\n--- 1 ---\nb\n\n--- 2 ---\nc");
	assert_int_equal(count_runs(f, "accepted") + count_runs(f, "running"), 0);
}

/* ---- Sessions that begin anew ---- */

static void age(fixture *f, int64_t minutes)
{
	oc_auto_free char *db = oc_path_join(f->dir, "openclaw.db");
	sqlite3 *sql = NULL;
	char text[120];
	oc_store_settle(f->store);
	snprintf(text, sizeof text, "UPDATE sessions SET updated_ms = updated_ms - %lld", (long long)minutes * 60000);
	assert_int_equal(sqlite3_open(db, &sql), SQLITE_OK);
	sqlite3_busy_timeout(sql, 2000);
	assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sql);
}

static void a_long_silence_ends_a_session(void **state)
{
	fixture *f = *state;
	say(f, "a");
	wait_sent(f, 1);
	age(f, 4);
	say(f, "b");
	wait_sent(f, 2);
	assert_request(f, 1, "user:a|assistant:a|user:b");
	UNTIL(f, idle);
	age(f, 6);
	say(f, "c");
	wait_sent(f, 3);
	assert_request(f, 2, "user:c");
	assert_int_equal(noted_times("session_end agent:main:main"), 1);
	UNTIL(f, idle);
	assert_history(f, "", "user:c|assistant:c");
}

/* ---- What a chat is shown ---- */

static void verbose_reasoning_usage(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.thinking = "let me see",
					 .calls = {"{\"id\":\"1\",\"name\":\"say\",\"arguments\":{\"text\":\"x\"}}"},
					 .usage = "{\"input\":1000,\"output\":5}"},
					{.text = "there", .usage = "{\"input\":200,\"output\":7}"}};
	say(f, "/verbose full");
	say(f, "/reasoning on");
	say(f, "/usage full");
	wait_sent(f, 3);
	f->script = script;
	say(f, "a");
	wait_sent(f, 7);
	UNTIL(f, idle);
	assert_string_equal(sent_text(f, 3), "🛠️ say: `{\"text\":\"x\"}`");
	assert_string_equal(sent_text(f, 4), "📄 say:\n```\nsaid x\n```");
	assert_string_equal(sent_text(f, 5), "💭 Reasoning:\nlet me see");
	assert_string_equal(sent_text(f, 6), "there\n\nUsage: 1200 in / 12 out · est $0.0012 · p/one");
	assert_history(f, "", "user:a|assistant:<call>|tool:said x|assistant:there"); /* the line is for people */
}

#undef T_WITH
#define T_WITH(name, with) cmocka_unit_test_setup_teardown(name, with, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T_WITH(what_waits_becomes_one_turn, collect), T_WITH(each_is_a_turn, followup),
		T_WITH(goes_in_at_the_next_tool, steer), T_WITH(goes_in_after_an_answer, steer), T_WITH(goes_in_past_hooks, steer), T_WITH(compact_by_hand, collect),
		T_WITH(goes_in_and_is_a_turn_too, backlog), T_WITH(the_running_one_is_stopped, interrupt),
		T_WITH(the_oldest_leave_a_line, cap_summarize), T_WITH(the_oldest_are_dropped, cap_old),
		T_WITH(the_newest_are_dropped, cap_new), T_WITH(one_breath_is_one_message, debounced),
		T_WITH(a_session_s_own_mode, collect), T_WITH(commands_do_not_wait, collect),
		T_WITH(strangers_change_nothing, collect), T_WITH(a_crowd_of_one_starves_nobody, one_place),
		T_WITH(a_stop_lays_turns_down, collect), T_WITH(goes_on_from_results_of_tools, collect),
		T_WITH(a_tool_at_work_is_reported, collect), T_WITH(a_culprit_is_given_up, collect),
		T_WITH(crashes_lose_no_waiting_message, collect), T_WITH(a_long_silence_ends_a_session, idle_reset),
		T_WITH(verbose_reasoning_usage, collect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
