/* core/agent: turns, lanes, models, context, hooks, sessions, stopping. */
#include "tests/unit/agent_fake.h"

/* ---- The plain turn ---- */

static void one_turn(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.thinking = "hm", .text = "Hello", .text2 = " there",
					 .usage = "{\"input\":1000000,\"output\":500000,\"cacheRead\":3}"}};
	f->script = script;
	oc_run_ref ref = submit(f, "", "hi");
	assert_string_equal(ref.session, "agent:main:main");
	assert_int_equal(f->n_notes, 0); /* nothing happens inside submit */
	wait_done(f, 1);
	static const char *const order[] = {"accepted", "start", "chat one", "thinking", "text Hello", "text  there",
					    "usage",	"reply", "done ok"};
	assert_int_equal(f->n_notes, sizeof order / sizeof *order);
	for (size_t i = 0; i < f->n_notes; i++)
		assert_string_equal(f->notes[i], order[i]);
	assert_string_equal(oc_json_str(f->done, "text", ""), "Hello there");
	assert_string_equal(oc_json_str(f->done, "model", ""), "p/one");
	assert_true(oc_json_num(oc_json_get(f->done, "usage"), "cost", 0) == 2.0);
	assert_history(f, "", "user:hi|assistant:Hello there");
	oc_auto_json cJSON *run = NULL, *session = NULL, *events = NULL;
	assert_int_equal(oc_store_run(f->store, ref.run, &run, NULL), OC_OK);
	assert_string_equal(oc_json_str(run, "state", ""), "done");
	assert_int_equal(oc_agent_session(f->agent, OC_STR("main"), &session, NULL), OC_OK);
	assert_int_equal(oc_json_i64(oc_json_get(session, "usage"), "input", 0), 1000000);
	assert_int_equal(oc_json_i64(session, "messages", 0), 2);
	assert_int_equal(oc_agent_session_events(f->agent, OC_STR(""), 0, 0, &events, NULL), OC_OK);
	static const char *const kinds[] = {"session_started", "message_received", "agent_response"};
	assert_int_equal(cJSON_GetArraySize(events), 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(oc_json_str(cJSON_GetArrayItem(events, i), "kind", ""), kinds[i]);
		assert_int_equal(oc_json_i64(cJSON_GetArrayItem(events, i), "seq", 0), i + 1);
	}
	/* The request has the prompt with the workspace's files, the tools, and the message. */
	oc_auto_json cJSON *request = cJSON_Parse(f->requests[0]);
	assert_non_null(strstr(oc_json_str(request, "system", ""), "## AGENTS.md"));
	assert_non_null(strstr(oc_json_str(request, "system", ""), "## Time"));
	assert_null(strstr(oc_json_str(request, "system", ""), "[MISSING]"));
	assert_true(cJSON_GetArraySize(oc_json_get(request, "tools")) >= 7);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(request, "messages")), 1);
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.turns_ok, 1);
	assert_int_equal(stats.turns_running, 0);
	assert_int_equal(stats.input_tokens, 1000000);
}

static void history_goes_on(void **state)
{
	fixture *f = *state;
	turn(f, "", "first", "ok");
	turn(f, "", "second", "ok");
	oc_auto_json cJSON *request = cJSON_Parse(f->requests[1]);
	const cJSON *messages = oc_json_get(request, "messages");
	assert_int_equal(cJSON_GetArraySize(messages), 3);
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(messages, 1), "role", ""), "assistant");
	assert_string_equal(last_user_text(request), "second");
	turn(f, "other", "third", "ok");
	oc_auto_json cJSON *other = cJSON_Parse(f->requests[2]);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(other, "messages")), 1);
	assert_history(f, "other", "user:third|assistant:third");
	oc_auto_json cJSON *found = NULL;
	assert_int_equal(oc_agent_search(f->agent, OC_STR("SECO*"), &(oc_search_filter){.limit = 10}, &found, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(found), 2);
}

static void bad_input_is_refused_at_once(void **state)
{
	fixture *f = *state;
	oc_run_ref ref;
	oc_err err = {0};
	oc_turn_input in = {.text = OC_STR("  \n")};
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, &err), OC_E_INVALID);
	in.text = OC_STR("\xff");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, &err), OC_E_INVALID);
	in.text = OC_STR("x");
	in.session = OC_STR("agent:main");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, &err), OC_E_INVALID);
	in.session = OC_STR("agent:nobody:main");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, &err), OC_E_NOT_FOUND);
	in.session = OC_STR("agent:main:main");
	in.agent = OC_STR("work");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, &err), OC_E_INVALID);
	assert_int_equal(oc_store_session_count(f->store), 0);
	char *big = malloc((1 << 20) + 10);
	memset(big, 'x', (1 << 20) + 9);
	in = (oc_turn_input){.text = {big, (1 << 20) + 9}};
	big[(1 << 20) + 9] = 0;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, &err), OC_E_LIMIT);
	free(big);
}

static void a_key_is_one_run(void **state)
{
	fixture *f = *state;
	oc_turn_input in = {.text = OC_STR("hi"), .idempotency = OC_STR("k1"), .on_event = on_event, .arg = f};
	oc_run_ref a, b, c;
	assert_int_equal(oc_agent_submit(f->agent, &in, &a, NULL), OC_OK);
	assert_int_equal(oc_agent_submit(f->agent, &in, &b, NULL), OC_OK); /* while it runs */
	assert_true(b.duplicate && !a.duplicate);
	assert_string_equal(a.run, b.run);
	wait_done(f, 1);
	assert_int_equal(oc_agent_submit(f->agent, &in, &c, NULL), OC_OK); /* and afterwards */
	assert_true(c.duplicate);
	assert_string_equal(a.run, c.run);
	run_ms(f, 20);
	assert_int_equal(f->n_requests, 1);
}

static void on_wait(void *arg, oc_status status, const cJSON *result)
{
	(void)arg;
	note("waited %s %s", oc_status_name(status), oc_json_str(result, "text", "-"));
}

static bool has_waited(fixture *f)
{
	(void)f;
	return fake->n_notes > 0 && strncmp(fake->notes[fake->n_notes - 1], "waited", 6) == 0;
}

static void waiting_for_runs(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "slow", .delay_ms = 60}};
	f->script = script;
	oc_run_ref ref = submit(f, "", "hi");
	oc_err err = {0};
	assert_int_equal(oc_agent_wait(f->agent, ref.run, 10, on_wait, f, &err), OC_OK);
	UNTIL(f, has_waited);
	assert_string_equal(f->notes[f->n_notes - 1], "waited timeout -");
	f->n_notes = 0;
	assert_int_equal(oc_agent_wait(f->agent, ref.run, 5000, on_wait, f, &err), OC_OK);
	assert_int_equal(oc_agent_wait(f->agent, ref.run, 5000, on_wait, &err, &err), OC_OK);
	oc_agent_wait_end(f->agent, &err);
	UNTIL(f, has_waited);
	run_ms(f, 5);
	assert_int_equal(noted_times("waited ok slow"), 1);
	f->n_notes = 0;
	assert_int_equal(oc_agent_wait(f->agent, ref.run, 0, on_wait, f, &err), OC_OK); /* over: out of the store */
	assert_int_equal(f->n_notes, 0);
	UNTIL(f, has_waited);
	assert_string_equal(f->notes[0], "waited ok slow");
	assert_int_equal(oc_agent_wait(f->agent, "nothing", 0, on_wait, f, &err), OC_E_NOT_FOUND);
}

static void detached_sinks_hear_nothing(void **state)
{
	fixture *f = *state;
	oc_run_ref ref = submit(f, "", "hi");
	oc_agent_detach(f->agent, ref.run, NULL); /* another one's */
	oc_agent_detach(f->agent, ref.run, f);
	oc_err err = {0};
	assert_int_equal(oc_agent_wait(f->agent, ref.run, 5000, on_wait, f, &err), OC_OK);
	UNTIL(f, has_waited);
	assert_int_equal(f->dones, 0);
}

static oc_agent_sub *one_shot_sub;

static void on_any(void *arg, const oc_agent_event *e)
{
	note("any %s", oc_agent_event_name(e->type));
	if (arg != NULL && e->type == OC_AGENT_EV_START) {
		oc_agent_unsubscribe(one_shot_sub); /* inside its own event */
		one_shot_sub = NULL;
	}
}

static void subscriptions_are_filtered(void **state)
{
	fixture *f = *state;
	oc_agent_sub *mine = oc_agent_subscribe(f->agent, "agent:main:main", NULL, on_any, NULL);
	oc_agent_sub *others = oc_agent_subscribe(f->agent, "agent:main:other", NULL, on_event, f);
	one_shot_sub = oc_agent_subscribe(f->agent, NULL, NULL, on_any, f);
	oc_turn_input in = {.text = OC_STR("hi")};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	assert_int_equal(oc_agent_wait(f->agent, ref.run, 5000, on_wait, f, NULL), OC_OK);
	UNTIL(f, has_waited);
	assert_int_equal(noted_times("any start"), 2);
	assert_int_equal(noted_times("any done"), 1);
	assert_int_equal(f->dones, 0);
	oc_agent_unsubscribe(mine);
	oc_agent_unsubscribe(others);
}

/* ---- Lanes ---- */

static void one_at_a_time_in_a_session(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "a", .delay_ms = 400}, {.text = "b", .delay_ms = 30}, {.text = "c", .delay_ms = 1}};
	f->script = script;
	submit(f, "", "1");
	submit(f, "", "2");
	submit(f, "other", "3");
	wait_done(f, 3);
	/* "3" overtakes "2", which waits for "1"; the answers are the script's in order of the calls. */
	assert_history(f, "", "user:1|assistant:a|user:2|assistant:c");
	assert_history(f, "other", "user:3|assistant:b");
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.turns_running_max, 2);
	oc_auto_json cJSON *second = cJSON_Parse(f->requests[2]);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(second, "messages")), 3); /* it saw the first one's answer */
}

static int setup_narrow(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/one\",\"maxConcurrent\":2}}}");
}

static void never_more_than_allowed(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.echo = true, .delay_ms = 5}, {.echo = true, .delay_ms = 5}, {.echo = true, .delay_ms = 5},
					{.echo = true, .delay_ms = 5}, {.echo = true, .delay_ms = 5}, {.echo = true, .delay_ms = 5}};
	f->script = script;
	char session[16];
	for (int i = 0; i < 6; i++) {
		snprintf(session, sizeof session, "s%d", i % 3);
		submit(f, session, "x");
	}
	oc_auto_json cJSON *runs = NULL;
	assert_int_equal(oc_agent_runs(f->agent, &runs, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(runs), 6);
	wait_done(f, 6);
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.turns_running_max, 2);
	assert_int_equal(stats.turns_waiting, 0);
}

/* ---- Ending early ---- */

static bool one_text(fixture *f)
{
	return f->text[0] != 0;
}

static void canceling(void **state)
{
	fixture *f = *state;
	/* The second is slow, so that a slow machine too sees the end of the first before it. */
	static const answer script[] = {{.text = "half an ans", .hang = true}, {.text = "next", .delay_ms = 400}};
	f->script = script;
	oc_run_ref ref = submit(f, "", "go");
	submit(f, "", "waits");
	UNTIL(f, one_text);
	oc_err err = {0};
	assert_int_equal(oc_agent_cancel(f->agent, ref.run, &err), OC_OK);
	assert_int_equal(oc_agent_cancel(f->agent, ref.run, &err), OC_OK); /* twice is once */
	assert_int_equal(f->dones, 0);
	wait_done(f, 1);
	assert_string_equal(oc_json_str(f->done, "status", ""), "canceled");
	assert_string_equal(oc_json_str(f->done, "text", ""), "half an ans");
	wait_done(f, 2);
	assert_string_equal(oc_json_str(f->done, "text", ""), "next");
	assert_int_equal(f->canceled, 1);
	assert_int_equal(f->open_calls, 0);
	assert_history(f, "", "user:go|assistant:half an ans|user:waits|assistant:next");
	assert_int_equal(oc_agent_cancel(f->agent, ref.run, &err), OC_E_NOT_FOUND);
	assert_int_equal(noted_times("error canceled"), 0); /* asked for: no error */
	oc_auto_json cJSON *run = NULL;
	assert_int_equal(oc_store_run(f->store, ref.run, &run, NULL), OC_OK);
	assert_string_equal(oc_json_str(run, "state", ""), "canceled");
}

static void canceling_a_whole_session(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "x", .hang = true}};
	f->script = script;
	int n = 0;
	submit(f, "", "1");
	submit(f, "", "2");
	submit(f, "", "3");
	/* The first is on its way into the store, the others behind it. */
	assert_int_equal(oc_agent_cancel_session(f->agent, OC_STR("main"), &n, NULL), OC_OK);
	assert_int_equal(n, 3);
	wait_done(f, 3);
	assert_int_equal(noted_times("done canceled"), 3);
	assert_int_equal(oc_agent_cancel_session(f->agent, OC_STR("main"), &n, NULL), OC_E_NOT_FOUND);
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.turns_running + stats.turns_waiting, 0);
	f->script = NULL;
	turn(f, "", "works again", "ok");
}

static void deadlines(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "x", .hang = true}, {.text = "y"}};
	f->script = script;
	oc_turn_input in = {.text = OC_STR("hi"), .timeout_ms = 40, .on_event = on_event, .arg = f};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 1);
	assert_string_equal(oc_json_str(f->done, "status", ""), "error");
	assert_true(error_count(f, "timeout"));
	assert_true(oc_json_str(oc_json_get(f->done, "error"), "remedy", "")[0] != 0);
	assert_int_equal(f->canceled, 1);
}

/* ---- Models that fail ---- */

static void retries_before_falling_back(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.status = OC_E_UNAVAILABLE, .error = "{\"message\":\"down\",\"retryAfterMs\":5}"},
					{.status = OC_E_TIMEOUT, .error = "{\"message\":\"slow\",\"retryAfterMs\":5}"},
					{.text = "there"}};
	f->script = script;
	assert_string_equal(turn(f, "", "hi", "ok"), "there");
	assert_int_equal(noted_times("chat one"), 3);
	assert_int_equal(noted_times("notice retry"), 2);
	assert_history(f, "", "user:hi|assistant:there");
}

static void falls_back_and_rests(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.status = OC_E_AUTH}, {.text = "second model"}, {.text = "second again"}};
	f->script = script;
	assert_string_equal(turn(f, "", "hi", "ok"), "second model");
	assert_string_equal(oc_json_str(f->done, "model", ""), "p/two");
	assert_int_equal(noted_times("chat one"), 1); /* a wrong key is not tried again */
	assert_int_equal(noted_times("notice fallback"), 1);
	turn(f, "", "hi", "ok");
	assert_int_equal(noted_times("chat one"), 1); /* it rests */
	assert_string_equal(oc_json_str(f->done, "model", ""), "p/two");
}

/* Who said nothing for long is not asked to do so again while another can be. */
static void silence_goes_to_the_next(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.status = OC_E_TIMEOUT}, {.status = OC_E_TIMEOUT}, {.text = "second model"}};
	f->script = script;
	assert_string_equal(turn(f, "", "hi", "ok"), "second model");
	assert_int_equal(noted_times("chat one"), 1);
	assert_int_equal(noted_times("chat two"), 2);
	assert_int_equal(noted_times("notice fallback"), 1);
	assert_int_equal(noted_times("notice retry"), 1);
}

static void all_fail(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.status = OC_E_QUOTA, .error = "no credit"}, {.status = OC_E_AUTH, .error = "bad key"}};
	f->script = script;
	turn(f, "", "hi", "error");
	assert_true(error_count(f, "auth"));
	assert_non_null(strstr(oc_json_str(oc_json_get(f->done, "error"), "message", ""), "bad key"));
	/* The message was kept, so that it can be answered later. */
	assert_history(f, "", "user:hi");
	/* Both rest, and yet somebody must be asked. */
	f->script = NULL;
	assert_string_equal(turn(f, "", "again", "ok"), "again");
}

static void broken_in_the_middle(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "The answer is ", .status = OC_E_RETRY, .error = "cut"}, {.text = "forty-two."}};
	f->script = script;
	assert_string_equal(turn(f, "", "hi", "ok"), "The answer is forty-two.");
	assert_string_equal(f->text, "The answer is forty-two."); /* nothing twice, nothing between */
	assert_int_equal(noted_times("notice continued"), 1);
	assert_history(f, "", "user:hi|assistant:The answer is forty-two.");
	oc_auto_json cJSON *request = cJSON_Parse(f->requests[1]);
	const cJSON *messages = oc_json_get(request, "messages");
	assert_int_equal(cJSON_GetArraySize(messages), 3);
	assert_non_null(strstr(last_user_text(request), "cut off"));
}

static void empty_answers(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = " "}, {.text = "now"}, {.text = ""}, {.text = ""}};
	f->script = script;
	turn(f, "", "hi", "ok");
	assert_string_equal(oc_json_str(f->done, "text", "") + strlen(oc_json_str(f->done, "text", "")) - 3, "now");
	turn(f, "", "hi", "error");
	assert_true(error_count(f, "protocol"));
}

static void full_window(void **state)
{
	fixture *f = *state;
	for (int i = 0; i < 6; i++)
		turn(f, "", "some words that will have to go when the window is full", "ok");
	static const answer script[] = {{.status = OC_E_CONTEXT}, {.text = "fits"}};
	f->script = script;
	assert_string_equal(turn(f, "", "hi", "ok"), "fits");
	assert_int_equal(noted_times("notice context"), 1);
}

static void model_overrides(void **state)
{
	fixture *f = *state;
	oc_turn_input in = {.text = OC_STR("hi"), .model = OC_STR("p/two"), .on_event = on_event, .arg = f};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 1);
	assert_string_equal(oc_json_str(f->done, "model", ""), "p/two");
	/* A model that was asked for answers, or nobody does. */
	in.model = OC_STR("nobody/knows");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 2);
	assert_true(error_count(f, "not_found"));
	in.model = OC_STR("locked/m");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 3);
	assert_true(error_count(f, "auth"));
	/* One that merely is the configured one has the configured fallbacks. */
	static const answer refused[] = {{.status = OC_E_AUTH, .error = "HTTP 401"}, {.text = "me"}};
	f->script = refused;
	in.model = OC_STR("p/one");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 4);
	assert_string_equal(oc_json_str(f->done, "model", ""), "p/two");
	assert_int_equal(noted_times("notice fallback"), 1);
	f->at = 0;
	in.model = OC_STR("p/two");
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 5);
	assert_true(error_count(f, "auth"));
	assert_int_equal(noted_times("notice fallback"), 1);
	/* So it is for the session's model. A job that runs on its own may take another. */
	f->script = NULL;
	in.model = OC_STR("locked/m");
	in.origin = "cron";
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 6);
	assert_string_equal(oc_json_str(f->done, "status", ""), "ok");
}

static int setup_locked(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"locked/m\"}}}");
}

static void missing_key_tells_what_to_do(void **state)
{
	fixture *f = *state;
	turn(f, "", "hi", "error");
	assert_true(error_count(f, "auth"));
	assert_non_null(strstr(oc_json_str(oc_json_get(f->done, "error"), "remedy", ""), "OC_TEST_NO_SUCH_KEY"));
	oc_auto_json cJSON *status = NULL;
	assert_int_equal(oc_agent_model_status(f->agent, OC_STR(""), &status, NULL), OC_OK);
	assert_false(oc_json_bool(status, "usable", true));
}

/* ---- Context ---- */

static int setup_small(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/small\",\"skipBootstrap\":true,\"compaction\":{\"mode\":\"off\"}}}}");
}

static void history_within_the_budget(void **state)
{
	fixture *f = *state;
	char text[2001];
	memset(text, 'w', 2000);
	text[2000] = 0;
	for (int i = 0; i < 12; i++)
		turn(f, "", text, "ok");
	oc_auto_json cJSON *request = cJSON_Parse(f->requests[11]);
	const cJSON *messages = oc_json_get(request, "messages");
	int n = cJSON_GetArraySize(messages);
	assert_true(n >= 3 && n < 15); /* some went, some stayed */
	assert_string_equal(oc_json_str(messages->child, "role", ""), "user");
	assert_true(strlen(f->requests[11]) < 6000 * 4 + 4000);
	assert_non_null(strstr(oc_json_str(request, "system", ""), "[MISSING] Expected at: ")); /* nothing was seeded */
	char *big = malloc(60001);
	memset(big, 'z', 60000);
	big[60000] = 0;
	turn(f, "", big, "error");
	assert_true(error_count(f, "context"));
	free(big);
}

static void calls_stay_with_their_results(void **state)
{
	fixture *f = *state;
	char pad[3001];
	memset(pad, 'p', 3000);
	pad[3000] = 0;
	static answer script[16];
	for (int i = 0; i < 8; i++) {
		script[2 * i].calls[0] = "{\"id\":\"c1\",\"name\":\"say\",\"arguments\":{\"text\":\"a\"}}";
		script[2 * i].text = pad;
		script[2 * i + 1].text = "done";
	}
	f->script = script;
	for (int i = 0; i < 8; i++)
		turn(f, "", "use the tool", "ok");
	for (size_t r = 0; r < f->n_requests; r++) {
		oc_auto_json cJSON *request = cJSON_Parse(f->requests[r]);
		const cJSON *m, *messages = oc_json_get(request, "messages");
		int open = 0;
		assert_string_equal(oc_json_str(messages->child, "role", ""), "user");
		cJSON_ArrayForEach(m, messages)
		{
			if (strcmp(oc_json_str(m, "role", ""), "tool") == 0) {
				assert_int_equal(open, 1);
				open = 0;
				continue;
			}
			assert_int_equal(open, 0);
			const cJSON *p;
			cJSON_ArrayForEach(p, oc_json_get(m, "content"))
				open += strcmp(oc_json_str(p, "type", ""), "tool_call") == 0;
		}
		assert_int_equal(open, 0);
	}
}

static void given_history_replaces_the_stored_one(void **state)
{
	fixture *f = *state;
	turn(f, "", "stored", "ok");
	oc_auto_json cJSON *given = cJSON_Parse("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"given\"}]},"
						"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"yes\"}]}]");
	oc_turn_input in = {.text = OC_STR("hi"), .history = given, .extra_system = OC_STR("Be brief."), .no_tools = true,
			    .max_tokens = 17, .temperature = 0.5, .has_temperature = true, .thinking = OC_STR("high"),
			    .on_event = on_event, .arg = f};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 2);
	oc_auto_json cJSON *r = cJSON_Parse(f->requests[1]);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(r, "messages")), 3);
	assert_non_null(strstr(f->requests[1], "given"));
	assert_null(strstr(f->requests[1], "stored"));
	assert_non_null(strstr(oc_json_str(r, "system", ""), "Be brief."));
	assert_null(oc_json_get(r, "tools"));
	assert_int_equal(oc_json_i64(r, "maxTokens", 0), 17);
	assert_true(oc_json_num(r, "temperature", 0) == 0.5);
	assert_string_equal(oc_json_str(r, "thinking", ""), "high");
}

static void pictures_are_shown(void **state)
{
	fixture *f = *state;
	oc_auto_free char *path = oc_path_join(f->dir, "cat.png");
	assert_int_equal(oc_path_write(path, "PNG!", 4, 0600, NULL), OC_OK);
	oc_auto_json cJSON *media = cJSON_CreateArray();
	cJSON *m = cJSON_CreateObject();
	cJSON_AddItemToArray(media, m);
	oc_json_set_str(m, "type", "image");
	oc_json_set_str(m, "mime", "image/png");
	oc_json_set_str(m, "path", path);
	oc_json_set_str(m, "name", "../cat.png");
	oc_turn_input in = {.text = OC_STR("look"), .media = media, .on_event = on_event, .arg = f};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 1);
	oc_auto_json cJSON *r = cJSON_Parse(f->requests[0]);
	const cJSON *content = oc_json_get(oc_json_get(r, "messages")->child, "content");
	assert_int_equal(cJSON_GetArraySize(content), 2);
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(content, 1), "data", ""), "UE5HIQ==");
	assert_non_null(strstr(oc_json_str(content->child, "text", ""), "at media/inbound/"));
	assert_null(strstr(oc_json_str(content->child, "text", ""), "inbound/../"));
	in.model = OC_STR("p/two"); /* this one cannot see */
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 2);
	assert_null(strstr(f->requests[1], "UE5HIQ=="));
	assert_non_null(strstr(f->requests[1], "[image: "));
}

static void thinking_stays_with_its_model(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.block = "{\"type\":\"thinking\",\"text\":\"t\",\"signature\":\"SIG\"}", .text = "a"},
					{.text = "b"}, {.text = "c"}};
	f->script = script;
	turn(f, "", "1", "ok");
	turn(f, "", "2", "ok");
	assert_non_null(strstr(f->requests[1], "SIG"));
	oc_turn_input in = {.text = OC_STR("3"), .model = OC_STR("p/two"), .on_event = on_event, .arg = f};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_OK);
	wait_done(f, 3);
	assert_null(strstr(f->requests[2], "SIG"));
	assert_non_null(strstr(f->requests[2], "\"a\""));
}

/* ---- Hooks ---- */

typedef struct hook_row {
	const char *name, *result;
	oc_status status;
} hook_row;

static void on_hook(void *arg, oc_hook_turn *t, oc_hook_id hook, const cJSON *payload)
{
	const hook_row *row = arg;
	note("hook %s %s", oc_hook_info_of(hook)->name, oc_json_str(payload, "text", oc_json_str(payload, "toolName", "-")));
	oc_auto_json cJSON *result = row->result != NULL ? cJSON_Parse(row->result) : NULL;
	oc_hook_answer(t, row->status, result, "as told");
}

static void subscribe(fixture *f, const hook_row *row)
{
	oc_hook_subscription s = {.hook = row->name, .owner = f->owner, .by = "test", .fn = on_hook, .arg = (void *)row};
	assert_int_equal(oc_hooks_subscribe(f->hooks, &s, NULL, NULL), OC_OK);
}

static void hooks_change_the_message(void **state)
{
	fixture *f = *state;
	static const hook_row rows[] = {{"beforeMessage", "{\"text\":\"changed\",\"context\":\"Known: x\",\"model\":\"p/two\"}", OC_OK},
					{"before_prompt_build", "{\"systemPrompt\":\"ONLY THIS\",\"appendSystemContext\":\"tail\","
								"\"toolsAllow\":[\"say\"]}", OC_OK},
					{"sessionStart", "{\"context\":\"Welcome\"}", OC_OK},
					{"message_received", NULL, OC_OK},
					{"afterMessage", NULL, OC_OK},
					{"agent_end", NULL, OC_OK}};
	for (size_t i = 0; i < 6; i++)
		subscribe(f, &rows[i]);
	turn(f, "", "original", "ok");
	run_ms(f, 5);
	assert_true(noted_at("hook sessionStart -") >= 0);
	assert_true(noted_at("hook message_received original") >= 0);
	assert_true(noted_at("hook beforeMessage original") >= 0);
	assert_int_equal(noted_times("hook afterMessage Welcome"), 0);
	assert_true(noted_at("hook agent_end Welcome\n\nKnown: x\n\nchanged") >= 0);
	oc_auto_json cJSON *r = cJSON_Parse(f->requests[0]);
	assert_string_equal(oc_json_str(r, "model", ""), "two");
	assert_string_equal(last_user_text(r), "Welcome\n\nKnown: x\n\nchanged");
	assert_non_null(strstr(oc_json_str(r, "system", ""), "ONLY THIS"));
	assert_non_null(strstr(oc_json_str(r, "system", ""), "tail"));
	assert_null(strstr(oc_json_str(r, "system", ""), "## Safety"));
	assert_int_equal(cJSON_GetArraySize(oc_json_get(r, "tools")), 1);
	/* The history has the changed message, without what was only context. */
	oc_auto_json cJSON *h = history(f, "");
	assert_string_equal(oc_json_str(oc_json_get(h->child, "content")->child, "text", ""), "changed");
	f->n_notes = 0;
	turn(f, "", "again", "ok");
	assert_int_equal(noted_at("hook sessionStart -"), -1);
}

static void hooks_change_the_reply(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"agentResponse", "{\"text\":\"nicer\"}", OC_OK};
	static const answer script[] = {{.text = "rude", .text2 = " words"}};
	f->script = script;
	subscribe(f, &row);
	assert_string_equal(turn(f, "", "hi", "ok"), "nicer");
	assert_string_equal(f->text, "nicer"); /* the other words were never shown */
	assert_history(f, "", "user:hi|assistant:nicer");
}

static void hooks_withhold_the_reply(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"agentResponse", "{\"withhold\":true,\"reason\":\"no\"}", OC_OK};
	subscribe(f, &row);
	assert_string_equal(turn(f, "", "hi", "ok"), "");
	assert_string_equal(f->text, "");
}

static void hooks_claim_the_message(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"inbound_claim", "{\"handled\":true,\"reply\":\"mine\"}", OC_OK};
	subscribe(f, &row);
	assert_string_equal(turn(f, "", "hi", "ok"), "mine");
	assert_string_equal(f->text, "mine");
	assert_int_equal(f->n_requests, 0);
	assert_history(f, "", "user:hi");
}

/* The original's name has its reply in "text"; without "handled" its text means nothing. */
static void dispatch_is_claimed_with_text(void **state)
{
	fixture *f = *state;
	static const hook_row no = {"before_dispatch", "{\"handled\":false,\"text\":\"nothing\"}", OC_OK},
			      yes = {"before_dispatch", "{\"handled\":true,\"text\":\"by the plugin\"}", OC_OK};
	subscribe(f, &no);
	assert_string_equal(turn(f, "", "echo me", "ok"), "echo me");
	subscribe(f, &yes);
	assert_string_equal(turn(f, "", "hi", "ok"), "by the plugin");
	assert_string_equal(oc_json_str(f->done, "stopReason", ""), "claimed");
	assert_int_equal(f->n_requests, 1);
}

static void failing_hooks_do_not_stop_messages(void **state)
{
	fixture *f = *state;
	static const hook_row rows[] = {{"beforeMessage", NULL, OC_E_INTERNAL}, {"agentResponse", NULL, OC_E_INTERNAL}};
	subscribe(f, &rows[0]);
	subscribe(f, &rows[1]);
	assert_string_equal(turn(f, "", "hi", "ok"), "hi");
}

static void errors_are_told_to_hooks(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"error", NULL, OC_OK};
	static const answer script[] = {{.status = OC_E_QUOTA}, {.status = OC_E_QUOTA}};
	f->script = script;
	subscribe(f, &row);
	turn(f, "", "hi", "error");
	run_ms(f, 5);
	assert_true(noted_at("hook error -") >= 0);
}

/* ---- Sessions ---- */

static void on_session(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	(void)arg;
	(void)err;
	note("session %s %s %d", oc_status_name(status), oc_json_str(result, "title", "-"),
	     (int)oc_json_i64(result, "messages", -1));
}

static bool session_told(fixture *f)
{
	(void)f;
	return fake->n_notes > 0 && strncmp(fake->notes[fake->n_notes - 1], "session ", 8) == 0;
}

static void sessions_change(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	static const hook_row row = {"sessionEnd", NULL, OC_OK};
	subscribe(f, &row);
	assert_int_equal(oc_agent_session_put(f->agent, OC_STR("work"), OC_STR(""), &(oc_session_put){.title = "My work", .model = "two"},
					      on_session, f, &err),
			 OC_OK);
	UNTIL(f, session_told);
	assert_string_equal(f->notes[f->n_notes - 1], "session ok My work 0");
	turn(f, "work", "hi", "ok");
	assert_string_equal(oc_json_str(f->done, "model", ""), "p/two"); /* the session's own model */
	assert_int_equal(oc_agent_session_put(f->agent, OC_STR("work"), OC_STR(""), &(oc_session_put){.model = "no such"}, on_session, f, &err),
			 OC_E_NOT_FOUND);
	f->n_notes = 0;
	assert_int_equal(oc_agent_session_reset(f->agent, OC_STR("work"), "test", on_session, f, &err), OC_OK);
	UNTIL(f, session_told);
	assert_string_equal(f->notes[f->n_notes - 1], "session ok My work 0");
	assert_true(noted_at("session_end agent:main:work") >= 0); /* tools heard of it */
	run_ms(f, 5);
	assert_true(noted_at("hook sessionEnd -") >= 0);
	assert_history(f, "work", "");
	/* What runs is ended first, and leaves nothing in the new history. */
	static const answer script[] = {{.text = "partial", .hang = true}};
	f->script = script;
	f->at = 0;
	f->text[0] = 0;
	submit(f, "work", "long");
	UNTIL(f, one_text);
	assert_int_equal(oc_agent_session_reset(f->agent, OC_STR("work"), "test", on_session, f, &err), OC_OK);
	UNTIL(f, session_told);
	assert_int_equal(noted_times("done canceled"), 1);
	assert_history(f, "work", "");
	f->n_notes = 0;
	assert_int_equal(oc_agent_session_delete(f->agent, OC_STR("work"), on_session, f, &err), OC_OK);
	UNTIL(f, session_told);
	assert_string_equal(f->notes[f->n_notes - 1], "session ok - -1");
	assert_int_equal(oc_agent_session_end(f->agent, OC_STR("work"), "x", on_session, f, &err), OC_E_NOT_FOUND);
	oc_auto_json cJSON *list = NULL;
	assert_int_equal(oc_agent_sessions(f->agent, NULL, &list, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(list), 0);
}

static void commands(void **state)
{
	fixture *f = *state;
	turn(f, "", "hi", "ok");
	assert_non_null(strstr(turn(f, "", "/status", "ok"), "agent:main:main"));
	assert_non_null(strstr(turn(f, "", " /HELP", "ok"), "/reset"));
	assert_int_equal(f->n_requests, 1);
	assert_history(f, "", "user:hi|assistant:hi"); /* commands are not part of the conversation */
	turn(f, "", "/new", "ok");
	assert_history(f, "", "");
	assert_string_equal(turn(f, "", "/new now", "ok"), "now");
	assert_history(f, "", "user:now|assistant:now");
	assert_string_equal(turn(f, "", "/unknown x", "ok"), "/unknown x"); /* not ours: the model's */
	assert_string_equal(turn(f, "", "/newspaper", "ok"), "/newspaper");
}

/* ---- Stopping ---- */

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

static bool asked_once(fixture *f)
{
	return f->n_requests == 1;
}

static void draining_waits(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "finished", .delay_ms = 100}};
	f->script = script;
	submit(f, "", "1");
	submit(f, "", "2");
	UNTIL(f, asked_once);
	drained = false;
	oc_agent_drain(f->agent, 5000, on_drained, f);
	oc_turn_input in = {.text = OC_STR("late")};
	oc_run_ref ref;
	assert_int_equal(oc_agent_submit(f->agent, &in, &ref, NULL), OC_E_UNAVAILABLE);
	UNTIL(f, is_drained);
	assert_int_equal(noted_times("done ok"), 1);
	assert_int_equal(noted_times("done interrupted"), 1);
	assert_true(noted_at("disconnect") >= 0);
	assert_history(f, "", "user:1|assistant:finished");
}

static void draining_interrupts(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "never", .hang = true}};
	f->script = script;
	oc_run_ref ref = submit(f, "", "1");
	UNTIL(f, one_text);
	drained = false;
	uint64_t began = oc_now_ms();
	oc_agent_drain(f->agent, 30, on_drained, f);
	UNTIL(f, is_drained);
	assert_true(oc_now_ms() - began < 20000);
	assert_int_equal(noted_times("done interrupted"), 1);
	oc_auto_json cJSON *run = NULL;
	assert_int_equal(oc_store_run(f->store, ref.run, &run, NULL), OC_OK);
	assert_string_equal(oc_json_str(run, "state", ""), "interrupted");
}

/* Freed in the middle of everything: no callback, no leak (teardown counts). */
static void freeing_at_once(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "x", .hang = true},
					{.calls = {"{\"id\":\"1\",\"name\":\"slow\",\"arguments\":{\"ms\":1000}}"}}};
	f->script = script;
	submit(f, "", "1");
	submit(f, "", "2");
	submit(f, "b", "3");
	UNTIL(f, one_text);
	run_ms(f, 10);
	submit(f, "c", "4");
}

static void agents_and_models(void **state)
{
	fixture *f = *state;
	oc_auto_json cJSON *agents = NULL, *one = NULL, *models = NULL;
	assert_int_equal(oc_agent_agents(f->agent, &agents, NULL), OC_OK);
	assert_string_equal(oc_json_str(agents, "defaultId", ""), "main");
	assert_string_equal(oc_json_str(oc_json_get(agents, "agents")->child, "model", ""), "p/one");
	assert_int_equal(oc_agent_agent(f->agent, OC_STR(""), &one, NULL), OC_OK);
	assert_true(cJSON_GetArraySize(oc_json_get(one, "files")) >= 5);
	assert_int_equal(oc_agent_agent(f->agent, OC_STR("nobody"), &one, NULL), OC_E_NOT_FOUND);
	assert_int_equal(oc_agent_models(f->agent, &models, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(models), 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_WITH(name, with) cmocka_unit_test_setup_teardown(name, with, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_turn), T(history_goes_on), T(bad_input_is_refused_at_once), T(a_key_is_one_run), T(waiting_for_runs),
		T(detached_sinks_hear_nothing), T(subscriptions_are_filtered), T(one_at_a_time_in_a_session),
		T_WITH(never_more_than_allowed, setup_narrow), T(canceling), T(canceling_a_whole_session), T(deadlines),
		T(retries_before_falling_back), T(falls_back_and_rests), T(silence_goes_to_the_next), T(all_fail), T(broken_in_the_middle), T(empty_answers),
		T(full_window), T(model_overrides), T_WITH(missing_key_tells_what_to_do, setup_locked),
		T_WITH(history_within_the_budget, setup_small), T_WITH(calls_stay_with_their_results, setup_small),
		T(given_history_replaces_the_stored_one), T(pictures_are_shown), T(thinking_stays_with_its_model),
		T(hooks_change_the_message), T(hooks_change_the_reply), T(hooks_withhold_the_reply), T(hooks_claim_the_message), T(dispatch_is_claimed_with_text),
		T(failing_hooks_do_not_stop_messages), T(errors_are_told_to_hooks), T(sessions_change), T(commands),
		T(draining_waits), T(draining_interrupts), T(freeing_at_once), T(agents_and_models),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
