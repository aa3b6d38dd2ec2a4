/* core/agent: tool calls of turns and of clients: order, validation, policy, hooks, limits, repetition. */
#include "tests/unit/agent_fake.h"

#define CALL(id, name, args) "{\"id\":\"" id "\",\"name\":\"" name "\",\"arguments\":" args "}"

/* The content of the tool message with that call id in the last request. */
static const char *result_in(cJSON *request, const char *id)
{
	const cJSON *m;
	cJSON_ArrayForEach(m, oc_json_get(request, "messages"))
	{
		if (strcmp(oc_json_str(m, "toolCallId", ""), id) == 0)
			return oc_json_str(oc_json_get(m, "content")->child, "text", "");
	}
	return "(none)";
}

static bool is_error_in(cJSON *request, const char *id)
{
	const cJSON *m;
	cJSON_ArrayForEach(m, oc_json_get(request, "messages"))
	{
		if (strcmp(oc_json_str(m, "toolCallId", ""), id) == 0)
			return oc_json_bool(m, "isError", false);
	}
	return false;
}

static cJSON *last_request(fixture *f)
{
	return cJSON_Parse(f->requests[f->n_requests - 1]);
}

static void together_and_in_order(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "Let me see.",
					 .calls = {CALL("a", "slow", "{\"id\":\"first\",\"ms\":80}"),
						   CALL("b", "slow", "{\"id\":\"second\",\"ms\":20}")}},
					{.text = "Done."}};
	f->script = script;
	assert_string_equal(turn(f, "", "hi", "ok"), "Let me see.\n\nDone.");
	assert_true(noted_at("end second") < noted_at("end first")); /* at the same time */
	assert_true(noted_at("tool_end b") < noted_at("tool_end a"));
	oc_auto_json cJSON *r = last_request(f);
	const cJSON *messages = oc_json_get(r, "messages");
	assert_int_equal(cJSON_GetArraySize(messages), 4);
	/* The results come back in the order of the calls. */
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(messages, 2), "toolCallId", ""), "a");
	assert_string_equal(result_in(r, "a"), "result of first");
	assert_string_equal(result_in(r, "b"), "result of second");
	assert_history(f, "",
		       "user:hi|assistant:Let me see.<call><call>|tool:result of first|tool:result of second|assistant:Done.");
	oc_auto_json cJSON *events = NULL;
	assert_int_equal(oc_agent_session_events(f->agent, OC_STR(""), 0, 0, &events, NULL), OC_OK);
	int called = 0;
	const cJSON *e;
	cJSON_ArrayForEach(e, events) called += strcmp(oc_json_str(e, "kind", ""), "tool_called") == 0;
	assert_int_equal(called, 2);
}

static void serial_tools_wait_for_each_other(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {CALL("a", "serial", "{\"id\":\"s1\"}"), CALL("b", "serial", "{\"id\":\"s2\"}"),
						   CALL("c", "slow", "{\"id\":\"par\",\"ms\":1}")}},
					{.text = "ok"}};
	f->script = script;
	turn(f, "", "hi", "ok");
	assert_true(noted_at("end s1") < noted_at("invoke serial {\"id\":\"s2\"}"));
	assert_true(noted_at("end par") < noted_at("end s1"));
}

static void wrong_calls_become_results(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {CALL("a", "say", "{\"text\":5}"), CALL("b", "nothing", "{}"),
						   CALL("c", "boom", "{}"), CALL("d", "broken", "{}"), CALL("e", "hang", "{}"),
						   CALL("f", "rooty", "{}"), CALL("g", "netty", "{}"),
						   CALL("h", "say", "{\"text\":\"fine\"}")}},
					{.text = "ok"}};
	f->script = script;
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "Invalid arguments for say"));
	assert_non_null(strstr(result_in(r, "b"), "There is no tool nothing"));
	assert_string_equal(result_in(r, "c"), "the disk is on fire");
	assert_non_null(strstr(result_in(r, "d"), "no valid result"));
	assert_true(is_error_in(r, "e")); /* its own deadline */
	assert_non_null(strstr(result_in(r, "f"), "not granted exec")); /* the manifest asks for net only */
	assert_string_equal(result_in(r, "g"), "ok");
	assert_string_equal(result_in(r, "h"), "said fine");
	for (const char *p = "abcdef"; *p != 0; p++)
		assert_true(is_error_in(r, (char[]){*p, 0}));
	assert_false(is_error_in(r, "h"));
	/* Defaults of the schema were filled in. */
	assert_true(noted_at("invoke say {\"text\":\"fine\",\"n\":7}") >= 0);
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.tool_calls, 8);
	assert_int_equal(stats.tool_errors, 6);
	assert_int_equal(stats.tool_blocked, 1);
}

static void long_results_lose_their_middle(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {CALL("a", "huge", "{}")}}, {.text = "ok"}};
	f->script = script;
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	const char *text = result_in(r, "a");
	assert_true(strlen(text) < 110000);
	assert_string_equal(text + strlen(text) - 4, "xEND");
	assert_non_null(strstr(text, "left out here"));
}

static void repeating_is_stopped(void **state)
{
	fixture *f = *state;
	static answer script[20];
	for (int i = 0; i < 20; i++)
		script[i].calls[0] = CALL("a", "say", "{\"text\":\"same\"}");
	f->script = script;
	turn(f, "", "hi", "error");
	assert_true(error_count(f, "limit"));
	assert_int_equal(noted_times("invoke say {\"text\":\"same\",\"n\":7}"), 3);
	assert_int_equal(f->n_requests, 6);
	assert_non_null(strstr(f->requests[4], "Not run: you made this very call"));
	/* The next turn starts with a clean slate. */
	f->script = NULL;
	assert_string_equal(turn(f, "", "again", "ok"), "again");
}

static int setup_few_calls(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/one\",\"maxToolCalls\":2,\"temperature\":0.25,\"maxTokens\":77}}}");
}

static void calls_of_a_turn_can_be_limited(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {CALL("a", "say", "{\"text\":\"1\"}"), CALL("b", "say", "{\"text\":\"2\"}"),
						   CALL("c", "say", "{\"text\":\"3\"}")}},
					{.text = "ok"}};
	f->script = script;
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_null(strstr(result_in(r, "b"), "Not run"));
	assert_non_null(strstr(result_in(r, "c"), "agents.defaults.maxToolCalls"));
	assert_int_equal(oc_json_i64(r, "maxTokens", 0), 77);
	assert_true(oc_json_num(r, "temperature", 0) == 0.25);
}

static void endless_turns_end(void **state)
{
	fixture *f = *state;
	static answer script[70];
	static char calls[70][100];
	for (int i = 0; i < 70; i++) {
		snprintf(calls[i], sizeof calls[i], CALL("c%d", "say", "{\"text\":\"n%d\"}"), i, i);
		script[i].calls[0] = calls[i];
	}
	f->script = script;
	turn(f, "", "hi", "error");
	assert_true(error_count(f, "limit"));
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.model_calls, 64);
}

static bool slow_runs(fixture *f)
{
	return f->open_calls > 0 && noted_at("invoke slow {\"id\":\"x\",\"ms\":100000}") >= 0;
}

static void canceling_ends_tools(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {CALL("a", "slow", "{\"id\":\"x\",\"ms\":100000}"),
						   CALL("b", "slow", "{\"id\":\"y\",\"ms\":100000}")}}};
	f->script = script;
	oc_run_ref ref = submit(f, "", "hi");
	UNTIL(f, slow_runs);
	oc_agent_cancel(f->agent, ref.run, NULL);
	wait_done(f, 1);
	assert_string_equal(oc_json_str(f->done, "status", ""), "canceled");
	run_ms(f, 5);
	assert_int_equal(f->canceled, 2);
	assert_int_equal(f->open_calls, 0);
	/* The calls have no results: the next request says so, or providers would refuse it. */
	f->script = NULL;
	turn(f, "", "go on", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "interrupted"));
	assert_non_null(strstr(result_in(r, "b"), "interrupted"));
}

/* ---- Policy ---- */

static bool offered(fixture *f, const char *tool)
{
	oc_auto_json cJSON *r = last_request(f);
	const cJSON *t;
	cJSON_ArrayForEach(t, oc_json_get(r, "tools")) if (strcmp(oc_json_str(t, "name", ""), tool) == 0) return true;
	return false;
}

static void with_tools(fixture *f, const char *tools)
{
	char json[1000];
	snprintf(json, sizeof json,
		 "{\"agents\":{\"defaults\":{\"model\":\"p/one\"},\"list\":[{\"id\":\"main\",\"default\":true},"
		 "{\"id\":\"shy\",\"tools\":{\"deny\":[\"sl*\"]}}]},\"tools\":%s}", tools);
	oc_config *config = NULL;
	oc_err err = {0};
	if (oc_config_load_text(oc_str_of(json), NULL, &config, &err) != OC_OK)
		fail_msg("%s", err.text);
	oc_agent_reload(f->agent, config);
	oc_config_unref(config);
}

static void policies(void **state)
{
	fixture *f = *state;
	static const struct {
		const char *tools;
		bool say, slow, boom;
	} rows[] = {
		{"{}", true, true, true},
		{"{\"profile\":\"full\"}", true, true, true},
		{"{\"profile\":\"minimal\"}", false, false, false},
		{"{\"profile\":\"coding\"}", true, false, false}, /* say says that it is of the group fs */
		{"{\"profile\":\"coding\",\"alsoAllow\":[\"boom\"]}", true, false, true},
		{"{\"allow\":[\"say\",\"sl*\"]}", true, true, false},
		{"{\"allow\":[\"SAY\"]}", true, false, false},
		{"{\"allow\":[\"*\"],\"deny\":[\"group:fs\"]}", false, true, true},
		{"{\"deny\":[\"*\"]}", false, false, false},
		{"{\"allow\":[\"fake\"]}", true, true, true}, /* the module's name */
		{"{\"byProvider\":{\"p\":{\"allow\":[\"boom\"]}}}", false, false, true},
		{"{\"byProvider\":{\"p/one\":{\"deny\":[\"boom\"]},\"p\":{\"deny\":[\"say\"]}}}", true, true, false},
		{"{\"byProvider\":{\"other\":{\"deny\":[\"*\"]}}}", true, true, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		with_tools(f, rows[i].tools);
		turn(f, "", "hi", "ok");
		if (offered(f, "say") != rows[i].say || offered(f, "slow") != rows[i].slow || offered(f, "boom") != rows[i].boom)
			fail_msg("%s: say %d, slow %d, boom %d", rows[i].tools, offered(f, "say"), offered(f, "slow"),
				 offered(f, "boom"));
	}
	with_tools(f, "{\"allow\":[\"slow\",\"say\"]}");
	turn(f, "agent:shy:main", "hi", "ok");
	assert_true(offered(f, "say"));
	assert_false(offered(f, "slow")); /* the agent's own list takes more away */
	oc_auto_json cJSON *list = NULL;
	assert_int_equal(oc_agent_tools(f->agent, OC_STR("shy"), OC_STR(""), &list, NULL), OC_OK);
	const cJSON *t;
	cJSON_ArrayForEach(t, list)
	{
		bool want = strcmp(oc_json_str(t, "name", ""), "say") == 0;
		assert_int_equal(oc_json_bool(t, "allowed", !want), want);
		assert_int_equal(oc_json_str(t, "reason", "")[0] == 0, want);
	}
}

/* What is not offered is not run either, even when a model makes it up. */
static void denied_calls_do_not_run(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.calls = {CALL("a", "boom", "{}")}}, {.text = "ok"}};
	f->script = script;
	with_tools(f, "{\"deny\":[\"boom\"]}");
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "may not be used here"));
	assert_int_equal(noted_at("invoke boom {}"), -1);
}

/* A section that cannot be read closes the tools. */
static void broken_policy_denies(void **state)
{
	fixture *f = *state;
	with_tools(f, "{\"allow\":\"everything\"}");
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_null(oc_json_get(r, "tools"));
}

/* ---- Hooks ---- */

typedef struct hook_row {
	const char *name, *result;
	oc_status status;
} hook_row;

static void on_hook(void *arg, oc_hook_turn *t, oc_hook_id hook, const cJSON *payload)
{
	const hook_row *row = arg;
	oc_auto_free char *params = oc_json_print(oc_json_get(payload, "params"));
	note("hook %s %s %s", oc_hook_info_of(hook)->name, oc_json_str(payload, "toolName", "-"), params != NULL ? params : "-");
	oc_auto_json cJSON *result = row->result != NULL ? cJSON_Parse(row->result) : NULL;
	oc_hook_answer(t, row->status, result, "as told");
}

static void subscribe(fixture *f, const hook_row *row)
{
	oc_hook_subscription s = {.hook = row->name, .owner = f->owner, .by = "guard", .fn = on_hook, .arg = (void *)row};
	assert_int_equal(oc_hooks_subscribe(f->hooks, &s, NULL, NULL), OC_OK);
}

static const answer one_say[] = {{.calls = {CALL("a", "say", "{\"text\":\"x\"}")}}, {.text = "ok"}};

static void hooks_block_calls(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"before_tool_call", "{\"block\":true,\"blockReason\":\"not today\"}", OC_OK};
	f->script = one_say;
	subscribe(f, &row);
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "not today"));
	assert_int_equal(noted_at("invoke say {\"text\":\"x\",\"n\":7}"), -1);
}

static void failing_hooks_block_calls(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"beforeToolCall", NULL, OC_E_INTERNAL};
	f->script = one_say;
	subscribe(f, &row);
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "blocked"));
	assert_int_equal(noted_at("invoke say {\"text\":\"x\",\"n\":7}"), -1);
}

static void hooks_change_calls_and_results(void **state)
{
	fixture *f = *state;
	static const hook_row rows[] = {{"beforeToolCall", "{\"params\":{\"text\":\"changed\",\"n\":1}}", OC_OK},
					{"afterToolCall", "{\"result\":{\"content\":\"other result\",\"isError\":true}}", OC_OK},
					{"after_tool_call", NULL, OC_OK}};
	f->script = one_say;
	for (int i = 0; i < 3; i++)
		subscribe(f, &rows[i]);
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_true(noted_at("hook beforeToolCall say {\"text\":\"x\",\"n\":7}") >= 0);
	assert_true(noted_at("invoke say {\"text\":\"changed\",\"n\":1}") >= 0);
	assert_true(noted_at("hook after_tool_call say {\"text\":\"changed\",\"n\":1}") >= 0);
	assert_string_equal(result_in(r, "a"), "other result");
	assert_true(is_error_in(r, "a"));
}

/* What a hook puts into a call is checked like what a model puts there. */
static void hooks_cannot_break_the_schema(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"beforeToolCall", "{\"params\":{\"bad\":1}}", OC_OK};
	f->script = one_say;
	subscribe(f, &row);
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "Invalid arguments"));
}

static void approvals_nobody_gives_block(void **state)
{
	fixture *f = *state;
	static const hook_row row = {"beforeToolCall", "{\"requireApproval\":{\"title\":\"sure?\",\"timeoutMs\":50}}", OC_OK};
	f->script = one_say;
	subscribe(f, &row);
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_non_null(strstr(result_in(r, "a"), "approval"));
	assert_int_equal(noted_times("notice approval"), 1); /* people are told, not only the model */
}

/* The original's handlers do not see each other's changes, and what one gives is laid over what the model wrote. */
static void parameters_of_the_original(void **state)
{
	fixture *f = *state;
	static const hook_row rows[] = {{"before_tool_call", "{\"params\":{\"text\":\"a\",\"n\":1}}", OC_OK},
					{"before_tool_call", "{\"params\":{\"n\":2}}", OC_OK}};
	f->script = one_say;
	subscribe(f, &rows[0]);
	subscribe(f, &rows[1]);
	turn(f, "", "hi", "ok");
	assert_int_equal(noted_times("hook before_tool_call say {\"text\":\"x\",\"n\":7}"), 2);
	assert_true(noted_at("invoke say {\"text\":\"x\",\"n\":2}") >= 0);
}

static char direct_text[600];
static oc_status direct_status;
static int direct_done;

static void on_direct(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	(void)arg;
	direct_status = status;
	direct_done++;
	const cJSON *content = oc_json_get(result, "content");
	snprintf(direct_text, sizeof direct_text, "%s", status == OC_OK ? oc_json_str(content->child, "text", "") : err->text);
}

static bool is_direct_done(fixture *f)
{
	(void)f;
	return direct_done > 0;
}

/* ---- The way into the history ---- */

static char writes[600];
static const char *write_answer; /* for the roles in write_roles */
static const char *write_roles;

static void on_write(void *arg, oc_hook_turn *t, oc_hook_id hook, const cJSON *payload)
{
	(void)arg;
	const cJSON *message = oc_json_get(payload, "message"), *part = oc_json_get(message, "content")->child;
	const char *role = oc_json_str(message, "role", "?"), *type = oc_json_str(part, "type", "?");
	size_t n = strlen(writes);
	assert_true(oc_json_i64(message, "timestamp", 0) > 0);
	assert_string_equal(oc_json_str(oc_json_get(payload, "ctx"), "sessionKey", ""), "agent:main:main");
	snprintf(writes + n, sizeof writes - n, "%s%s:%s:%s ", hook == OC_HOOK_TOOL_RESULT_PERSIST ? "p:" : "", role, type,
		 oc_json_str(part, strcmp(type, "toolCall") == 0 ? "name" : "text", "?"));
	oc_auto_json cJSON *result = write_answer != NULL && strstr(write_roles, role) != NULL ? cJSON_Parse(write_answer) : NULL;
	oc_hook_answer(t, OC_OK, result, NULL);
}

static void watch_writes(fixture *f, const char *hook, const char *roles, const char *result)
{
	oc_hook_subscription s = {.hook = hook, .owner = f->owner, .by = "guard", .fn = on_write};
	writes[0] = 0;
	write_roles = roles;
	write_answer = result;
	assert_int_equal(oc_hooks_subscribe(f->hooks, &s, NULL, NULL), OC_OK);
}

static void every_message_is_shown_before_it_is_written(void **state)
{
	fixture *f = *state;
	f->script = one_say;
	watch_writes(f, "tool_result_persist", "", NULL);
	watch_writes(f, "before_message_write", "", NULL);
	turn(f, "", "hi", "ok");
	assert_string_equal(writes, "user:text:hi assistant:toolCall:say p:toolResult:text:said x toolResult:text:said x assistant:text:ok ");
	assert_history(f, "", "user:hi|assistant:<call>|tool:said x|assistant:ok");
	/* Outside a turn nothing is written, so nobody is asked. */
	writes[0] = 0;
	oc_auto_json cJSON *arguments = cJSON_Parse("{\"text\":\"y\"}");
	oc_tool_input in = {.tool = OC_STR("say"), .arguments = arguments, .done = on_direct, .arg = f};
	direct_done = 0;
	assert_int_equal(oc_agent_tool_execute(f->agent, &in, NULL), OC_OK);
	UNTIL(f, is_direct_done);
	assert_string_equal(writes, "");
}

static void written_messages_are_rewritten_for_later_turns_only(void **state)
{
	fixture *f = *state;
	f->script = one_say;
	watch_writes(f, "before_message_write", "user toolResult assistant",
		     "{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"REWRITTEN\"}]}}");
	assert_string_equal(turn(f, "", "hi", "ok"), "ok"); /* the client sees the original */
	oc_auto_json cJSON *r = last_request(f);
	assert_string_equal(last_user_text(r), "hi"); /* and so does the model, in this turn */
	assert_string_equal(result_in(r, "a"), "said x");
	assert_history(f, "", "user:REWRITTEN|assistant:REWRITTEN|tool:REWRITTEN|assistant:REWRITTEN");
	oc_auto_json cJSON *found = NULL;
	assert_int_equal(oc_agent_search(f->agent, OC_STR("REWRITTEN"), &(oc_search_filter){.limit = 10}, &found, NULL), OC_OK);
	assert_true(cJSON_GetArraySize(found) >= 2);
}

static void written_messages_are_kept_out(void **state)
{
	fixture *f = *state;
	f->script = one_say;
	watch_writes(f, "before_message_write", "user assistant toolResult", "{\"block\":true}");
	assert_string_equal(turn(f, "", "hi", "ok"), "ok");
	assert_history(f, "", "");
	oc_auto_json cJSON *r = last_request(f);
	assert_string_equal(result_in(r, "a"), "said x");
}

static void results_are_changed_for_later_turns(void **state)
{
	fixture *f = *state;
	f->script = one_say;
	watch_writes(f, "tool_result_persist", "toolResult", "{\"message\":{\"role\":\"toolResult\",\"content\":\"short\"}}");
	turn(f, "", "hi", "ok");
	oc_auto_json cJSON *r = last_request(f);
	assert_string_equal(result_in(r, "a"), "said x");
	assert_history(f, "", "user:hi|assistant:<call>|tool:short|assistant:ok");
}

/* ---- Without a turn ---- */

static void execute(fixture *f, const char *tool, const char *args)
{
	oc_auto_json cJSON *arguments = cJSON_Parse(args);
	oc_tool_input in = {.tool = oc_str_of(tool), .arguments = arguments, .done = on_direct, .arg = f};
	oc_err err = {0};
	direct_done = 0;
	if (oc_agent_tool_execute(f->agent, &in, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(direct_done, 0); /* never inside */
}

static void tools_without_a_turn(void **state)
{
	fixture *f = *state;
	execute(f, "say", "{\"text\":\"direct\"}");
	UNTIL(f, is_direct_done);
	assert_int_equal(direct_status, OC_OK);
	assert_string_equal(direct_text, "said direct");
	execute(f, "say", "{}");
	UNTIL(f, is_direct_done);
	assert_int_equal(direct_status, OC_E_INVALID);
	execute(f, "nothing", "{}");
	UNTIL(f, is_direct_done);
	assert_int_equal(direct_status, OC_E_NOT_FOUND);
	execute(f, "boom", "{}");
	UNTIL(f, is_direct_done);
	assert_int_equal(direct_status, OC_E_IO);
	with_tools(f, "{\"deny\":[\"say\"]}");
	execute(f, "say", "{\"text\":\"x\"}");
	UNTIL(f, is_direct_done);
	assert_int_equal(direct_status, OC_E_BLOCKED);
	execute(f, "slow", "{\"id\":\"d\",\"ms\":100000}"); /* left running: teardown ends it */
}

#define T_WITH(name, with) cmocka_unit_test_setup_teardown(name, with, teardown)
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(together_and_in_order), T(serial_tools_wait_for_each_other), T(wrong_calls_become_results),
		T(long_results_lose_their_middle), T(repeating_is_stopped), T(endless_turns_end), T(canceling_ends_tools),
		T_WITH(calls_of_a_turn_can_be_limited, setup_few_calls), T(policies), T(denied_calls_do_not_run), T(broken_policy_denies), T(hooks_block_calls),
		T(failing_hooks_block_calls), T(hooks_change_calls_and_results), T(hooks_cannot_break_the_schema),
		T(approvals_nobody_gives_block), T(parameters_of_the_original), T(every_message_is_shown_before_it_is_written),
		T(written_messages_are_rewritten_for_later_turns_only), T(written_messages_are_kept_out), T(results_are_changed_for_later_turns), T(tools_without_a_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
