/* core/hook: the table, order, merging, timeouts, failure policies, claims, leaving. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/hook/hook.h"

typedef struct fixture {
	oc_loop *loop;
	oc_owner *owner;
	oc_hooks *hooks;
	unsigned long live;
	char trace[200];
	int open, most_open; /* handlers that have not answered yet */
	int done;
	bool blocked, claimed;
	char reason[200], by[100], changes[500];
	unsigned ran, failed, timed_out;
	uint64_t took_ms;
	oc_watch *guard;
} fixture;

/* A subscriber for tests: says its letter when called, answers what it was told, then or later. */
typedef struct sub {
	fixture *f;
	char letter;
	const char *answer; /* JSON; NULL: nothing to say */
	const char *fail;   /* answers with an error */
	int delay_ms;       /* 0: at once; -1: never */
	char saw[300];
	oc_hook_turn *turn;
	oc_watch *timer;
	int cancelled;
} sub;

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof(*f));

	oc_log_set_stderr(false);
	f->live = oc_mem_live();
	assert_int_equal(oc_loop_new(&f->loop, NULL), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	assert_int_equal(oc_hooks_new(f->loop, &f->hooks, NULL), OC_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;

	oc_hooks_free(f->hooks);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(oc_mem_live(), f->live);
	free(f);
	return 0;
}

static void reply(sub *s)
{
	oc_hook_turn *turn = s->turn;
	cJSON *result = s->answer != NULL ? cJSON_Parse(s->answer) : NULL;

	s->turn = NULL;
	s->f->open--;
	if (s->fail != NULL)
		oc_hook_answer(turn, OC_E_INTERNAL, NULL, s->fail);
	else
		oc_hook_answer(turn, OC_OK, result, NULL);
	cJSON_Delete(result);
}

static void on_timer(void *arg)
{
	sub *s = arg;

	oc_watch_end(s->timer);
	s->timer = NULL;
	reply(s);
}

static void handle(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	sub *s = arg;
	char *text = cJSON_PrintUnformatted(payload);
	size_t n = strlen(s->f->trace);

	assert_true(hook != OC_HOOK_NONE);
	assert_true(n + 2 < sizeof(s->f->trace));
	s->f->trace[n] = s->letter;
	s->f->trace[n + 1] = '\0';
	(void)snprintf(s->saw, sizeof(s->saw), "%s", text);
	assert_string_equal(text, oc_hook_turn_text(turn).p);
	cJSON_free(text);
	s->turn = turn;
	if (++s->f->open > s->f->most_open)
		s->f->most_open = s->f->open;
	if (s->delay_ms == 0)
		reply(s);
	else if (s->delay_ms > 0)
		s->timer = oc_timer_start(s->f->owner, (uint64_t)s->delay_ms, 0, on_timer, s);
}

static void cancelled(void *arg, oc_hook_turn *turn)
{
	sub *s = arg;

	assert_ptr_equal(s->turn, turn);
	s->turn = NULL;
	s->cancelled++;
}

static oc_hook_sub *add(sub *s, const char *hook, int32_t priority, uint32_t timeout_ms)
{
	oc_hook_subscription o = {.hook = hook, .priority = priority, .timeout_ms = timeout_ms, .by = "test", .fn = handle, .arg = s};
	oc_hook_sub *ret = NULL;

	assert_int_equal(oc_hooks_subscribe(s->f->hooks, &o, &ret, NULL), OC_OK);
	return ret;
}

static void too_long(void *arg)
{
	oc_loop_stop(arg);
}

static void fired(void *arg, const oc_hook_result *r)
{
	fixture *f = arg;
	char *text = cJSON_PrintUnformatted(r->changes);

	f->done++;
	f->blocked = r->blocked;
	f->claimed = r->claimed;
	f->ran = r->ran;
	f->failed = r->failed;
	f->timed_out = r->timed_out;
	(void)snprintf(f->reason, sizeof(f->reason), "%s", r->reason);
	(void)snprintf(f->by, sizeof(f->by), "%s", r->by);
	(void)snprintf(f->changes, sizeof(f->changes), "%s", text);
	cJSON_free(text);
	oc_loop_stop(f->loop);
}

static void fire(fixture *f, oc_hook_id hook, const char *payload)
{
	uint64_t began = oc_now_ms();
	int before = f->done;
	oc_watch *guard = oc_timer_start(f->owner, 5000, 0, too_long, f->loop);

	f->trace[0] = '\0';
	assert_int_equal(oc_hooks_fire(f->hooks, hook, payload != NULL ? cJSON_Parse(payload) : NULL, NULL, fired, f), OC_OK);
	assert_int_equal(f->done, before); /* never from inside */
	oc_loop_run(f->loop);
	oc_watch_end(guard);
	assert_int_equal(f->done, before + 1);
	f->took_ms = oc_now_ms() - began;
}

/* ---- The table ---- */

static void table_has_the_eight(void **state)
{
	static const char *const names[] = {"beforeMessage", "afterMessage", "beforeToolCall", "afterToolCall",
					    "sessionStart",  "sessionEnd",   "agentResponse",  "error"};

	(void)state;
	for (int i = 0; i < 8; i++) {
		const oc_hook_info *info = oc_hook_info_of(oc_hook_by_name(oc_str_of(names[i])));

		assert_non_null(info);
		assert_string_equal(info->name, names[i]);
		assert_int_equal(info->native, i);
		assert_int_equal(info->point, i);
		assert_int_equal(info->failure, i == 2 ? OC_HOOK_FAIL_BLOCK : OC_HOOK_FAIL_CONTINUE);
	}
}

static void table_has_the_original_names(void **state)
{
	/* name, point, kind, timeout */
	static const struct {
		const char *name;
		int point;
		oc_hook_kind kind;
	} rows[] = {
		{"message_received", 0, OC_HOOK_KIND_OBSERVE},
		{"inbound_claim", 0, OC_HOOK_KIND_CLAIM},
		{"before_dispatch", 0, OC_HOOK_KIND_CLAIM},
		{"before_model_resolve", 0, OC_HOOK_KIND_MODIFY},
		{"before_prompt_build", 0, OC_HOOK_KIND_MODIFY},
		{"before_agent_start", 0, OC_HOOK_KIND_MODIFY},
		{"agent_end", 1, OC_HOOK_KIND_OBSERVE},
		{"message_sent", 1, OC_HOOK_KIND_OBSERVE},
		{"before_tool_call", 2, OC_HOOK_KIND_MODIFY},
		{"after_tool_call", 3, OC_HOOK_KIND_OBSERVE},
		{"tool_result_persist", 3, OC_HOOK_KIND_TRANSCRIPT},
		{"before_message_write", 3, OC_HOOK_KIND_TRANSCRIPT},
		{"session_start", 4, OC_HOOK_KIND_OBSERVE},
		{"session_end", 5, OC_HOOK_KIND_OBSERVE},
		{"before_reset", 5, OC_HOOK_KIND_OBSERVE},
		{"llm_output", 6, OC_HOOK_KIND_OBSERVE},
		{"message_sending", 6, OC_HOOK_KIND_MODIFY},
		{"gateway_start", -1, OC_HOOK_KIND_OBSERVE},
		{"gateway_stop", -1, OC_HOOK_KIND_OBSERVE},
		{"before_compaction", -1, OC_HOOK_KIND_OBSERVE},
		{"after_compaction", -1, OC_HOOK_KIND_OBSERVE},
		{"llm_input", -1, OC_HOOK_KIND_OBSERVE},
		{"subagent_spawning", -1, OC_HOOK_KIND_MODIFY},
		{"subagent_delivery_target", -1, OC_HOOK_KIND_MODIFY},
		{"subagent_spawned", -1, OC_HOOK_KIND_OBSERVE},
		{"subagent_ended", -1, OC_HOOK_KIND_OBSERVE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const oc_hook_info *info = oc_hook_info_of(oc_hook_by_name(oc_str_of(rows[i].name)));

		assert_non_null(info);
		assert_int_equal(info->native, -1);
		assert_int_equal(info->point, rows[i].point);
		assert_int_equal(info->kind, rows[i].kind);
		assert_true(info->timeout_ms > 0);
	}
	assert_int_equal(oc_hook_by_name(OC_STR("context_assembled")), OC_HOOK_NONE);
	assert_int_equal(OC_HOOK_COUNT - 1, 56);
}

/* ---- Order ---- */

static void order_is_priority_then_registration(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a'}, b = {.f = f, .letter = 'b'}, c = {.f = f, .letter = 'c'}, d = {.f = f, .letter = 'd'};

	add(&a, "agentResponse", 0, 0);
	add(&b, "agentResponse", 10, 0);
	add(&c, "agentResponse", 10, 0);
	add(&d, "agentResponse", -5, 0);
	fire(f, OC_HOOK_AGENT_RESPONSE, "{\"text\":\"x\"}");
	assert_string_equal(f->trace, "bcad");
	assert_int_equal(f->ran, 4);
	assert_string_equal(f->changes, "{}");
}

static void modify_runs_one_after_the_other(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .delay_ms = 30}, b = {.f = f, .letter = 'b', .delay_ms = 30};

	add(&a, "agentResponse", 0, 0);
	add(&b, "agentResponse", 0, 0);
	fire(f, OC_HOOK_AGENT_RESPONSE, NULL);
	assert_true(f->took_ms >= 55);
	assert_int_equal(f->most_open, 1);
}

static void observe_runs_at_once(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .delay_ms = 10, .answer = "{\"text\":\"ignored\"}"};
	sub b = {.f = f, .letter = 'b', .delay_ms = 10};

	add(&a, "afterMessage", 0, 0);
	add(&b, "afterMessage", 1, 0);
	fire(f, OC_HOOK_AFTER_MESSAGE, NULL);
	assert_string_equal(f->trace, "ba");
	assert_int_equal(f->most_open, 2);
	assert_string_equal(f->changes, "{}");
}

static void nobody_subscribed(void **state)
{
	fixture *f = *state;

	assert_false(oc_hooks_wanted(f->hooks, OC_HOOK_BEFORE_MESSAGE));
	fire(f, OC_HOOK_BEFORE_MESSAGE, "{\"text\":\"x\"}");
	assert_false(f->blocked);
	assert_int_equal(f->ran, 0);
	assert_string_equal(f->changes, "{}");
	/* Without done nothing is left to do. */
	assert_int_equal(oc_hooks_fire(f->hooks, OC_HOOK_ERROR, cJSON_CreateObject(), NULL, NULL, NULL), OC_OK);
	assert_int_equal(oc_hooks_fire(f->hooks, OC_HOOK_NONE, cJSON_CreateObject(), NULL, NULL, NULL), OC_E_INVALID);
}

/* ---- Merging ---- */

static void fields_merge_by_their_rules(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"text\":\"A\",\"context\":\"one\",\"model\":\"m1\",\"other\":1}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"text\":\"B\",\"context\":\"two\",\"model\":\"m2\",\"reply\":null}"};

	add(&a, "beforeMessage", 1, 0);
	add(&b, "beforeMessage", 0, 0);
	fire(f, OC_HOOK_BEFORE_MESSAGE, "{\"text\":\"x\",\"channel\":\"c\"}");
	assert_string_equal(f->changes, "{\"text\":\"B\",\"context\":\"one\\n\\ntwo\",\"model\":\"m1\"}");
	/* The second saw the first one's text. */
	assert_string_equal(a.saw, "{\"text\":\"x\",\"channel\":\"c\"}");
	assert_string_equal(b.saw, "{\"text\":\"A\",\"channel\":\"c\"}");
}

static void contexts_of_the_original_are_joined(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"systemPrompt\":\"SA\",\"prependContext\":\"pa\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"systemPrompt\":\"SB\",\"prependContext\":\"pb\",\"appendSystemContext\":\"z\"}"};

	add(&b, "before_prompt_build", 0, 0);
	add(&a, "before_prompt_build", 10, 0);
	fire(f, OC_HOOK_BEFORE_PROMPT_BUILD, "{\"prompt\":\"p\",\"messages\":[]}");
	assert_string_equal(f->changes,
			    "{\"systemPrompt\":\"SB\",\"prependContext\":\"pa\\n\\npb\",\"appendSystemContext\":\"z\"}");
	assert_string_equal(b.saw, "{\"prompt\":\"p\",\"messages\":[]}"); /* no chaining there */
}

static void first_model_wins(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"modelOverride\":\"A\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"modelOverride\":\"B\",\"providerOverride\":\"PB\"}"};

	add(&a, "before_model_resolve", 10, 0);
	add(&b, "before_model_resolve", 0, 0);
	fire(f, OC_HOOK_BEFORE_MODEL_RESOLVE, NULL);
	assert_string_equal(f->changes, "{\"modelOverride\":\"A\",\"providerOverride\":\"PB\"}");
}

static void transcript_handlers_see_the_message_before_them(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"message\":{\"role\":\"toolResult\",\"n\":1}}"};
	sub b = {.f = f, .letter = 'b'};

	add(&a, "tool_result_persist", 10, 0);
	add(&b, "tool_result_persist", 0, 0);
	fire(f, OC_HOOK_TOOL_RESULT_PERSIST, "{\"message\":{\"n\":0}}");
	assert_string_equal(b.saw, "{\"message\":{\"role\":\"toolResult\",\"n\":1}}");
}

static void a_cancel_is_final_and_all_are_asked(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"cancel\":true,\"cancelReason\":\"no\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"cancel\":false}"};
	oc_hook_sub *second;

	add(&a, "message_sending", 10, 0);
	second = add(&b, "message_sending", 0, 0);
	fire(f, OC_HOOK_MESSAGE_SENDING, "{\"to\":\"u\",\"content\":\"x\"}");
	assert_string_equal(f->trace, "ab");
	assert_true(f->blocked);
	assert_string_equal(f->reason, "no");
	oc_hooks_unsubscribe(second);
	fire(f, OC_HOOK_MESSAGE_SENDING, "{\"to\":\"u\",\"content\":\"x\"}");
	assert_true(f->blocked);
	assert_string_equal(f->reason, "no");
	assert_string_equal(f->by, "test");
}

static void lists_and_objects_grow(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"findings\":[1],\"metrics\":{\"a\":1,\"b\":1},\"decision\":\"pass\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"findings\":[2,3],\"metrics\":{\"b\":2}}"};

	add(&a, "skill_proposal_evaluate", 1, 0);
	add(&b, "skill_proposal_evaluate", 0, 0);
	fire(f, OC_HOOK_SKILL_PROPOSAL_EVALUATE, NULL);
	assert_string_equal(f->changes, "{\"findings\":[1,2,3],\"metrics\":{\"a\":1,\"b\":2},\"decision\":\"pass\"}");
}

static void any_field_of_the_environment(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"PATH\":\"/a\",\"X\":\"1\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"PATH\":\"/b\"}"};

	add(&a, "resolve_exec_env", 1, 0);
	add(&b, "resolve_exec_env", 0, 0);
	fire(f, OC_HOOK_RESOLVE_EXEC_ENV, NULL);
	assert_string_equal(f->changes, "{\"PATH\":\"/b\",\"X\":\"1\"}");
}

/* ---- Tool calls: veto, both names, failing closed ---- */

static void a_block_is_final(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"block\":true,\"blockReason\":\"policy says no\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"block\":false}"};

	add(&a, "beforeToolCall", 10, 0);
	add(&b, "before_tool_call", 0, 0);
	assert_true(oc_hooks_wanted(f->hooks, OC_HOOK_TS_BEFORE_TOOL_CALL));
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, "{\"toolName\":\"exec\",\"params\":{}}");
	assert_string_equal(f->trace, "a");
	assert_true(f->blocked);
	assert_string_equal(f->reason, "policy says no");
	assert_string_equal(f->by, "test");
}

static void the_originals_handlers_are_all_asked(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"block\":true,\"blockReason\":\"policy says no\"}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"block\":false}"};

	add(&a, "before_tool_call", 10, 0);
	add(&b, "before_tool_call", 0, 0);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, "{\"toolName\":\"exec\",\"params\":{}}");
	assert_string_equal(f->trace, "ab");
	assert_true(f->blocked);
	assert_string_equal(f->reason, "policy says no");
	assert_string_equal(f->by, "test");
}

static void no_block_is_no_decision(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"block\":false}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"block\":true}"};

	add(&a, "before_tool_call", 10, 0);
	add(&b, "before_tool_call", 0, 0);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, NULL);
	assert_string_equal(f->trace, "ab");
	assert_true(f->blocked);
}

static void both_names_share_one_order(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"params\":{\"p\":1}}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"params\":{\"p\":2}}"};
	sub c = {.f = f, .letter = 'c'};
	cJSON *all;

	add(&c, "beforeToolCall", -1, 0);
	add(&b, "before_tool_call", 5, 0);
	add(&a, "beforeToolCall", 10, 0);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, "{\"toolName\":\"t\",\"params\":{\"p\":0}}");
	assert_string_equal(f->trace, "abc");
	assert_string_equal(b.saw, "{\"toolName\":\"t\",\"params\":{\"p\":0}}"); /* the original's contract */
	assert_string_equal(c.saw, "{\"toolName\":\"t\",\"params\":{\"p\":2}}"); /* ours */
	assert_string_equal(f->changes, "{\"params\":{\"p\":2}}");
	all = oc_hooks_describe(f->hooks);
	assert_int_equal(cJSON_GetArraySize(oc_json_get(oc_json_path(all, "hooks[10]"), "handlers")), 3);
	assert_string_equal(oc_json_str(oc_json_path(all, "hooks[10]"), "name", ""), "beforeToolCall");
	cJSON_Delete(all);
}

static void asking_for_approval_freezes_the_parameters(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"params\":{\"p\":1},\"requireApproval\":{\"title\":\"A\"}}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"params\":{\"p\":2},\"requireApproval\":{\"title\":\"B\"}}"};

	add(&a, "before_tool_call", 10, 0);
	add(&b, "before_tool_call", 0, 0);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, "{\"params\":{}}");
	assert_string_equal(f->changes, "{\"params\":{\"p\":1},\"requireApproval\":{\"title\":\"A\"}}");
}

static void failing_handler_blocks_the_tool(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .fail = "database is locked"}, b = {.f = f, .letter = 'b'};

	add(&a, "beforeToolCall", 10, 0);
	add(&b, "beforeToolCall", 0, 0);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, NULL);
	assert_string_equal(f->trace, "a");
	assert_true(f->blocked);
	assert_int_equal(f->failed, 1);
	assert_non_null(strstr(f->reason, "database is locked"));
	assert_non_null(strstr(f->reason, "test"));
}

static void slow_handler_blocks_the_tool(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .delay_ms = -1};

	add(&a, "beforeToolCall", 0, 50);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, NULL);
	assert_true(f->blocked);
	assert_int_equal(f->timed_out, 1);
	assert_true(f->took_ms >= 45 && f->took_ms < 2000);
	reply(&a); /* late: taken, without effect */
	assert_int_equal(f->done, 1);
}

static void failing_handler_elsewhere_is_passed_over(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .fail = "oops"}, b = {.f = f, .letter = 'b', .delay_ms = -1};
	sub c = {.f = f, .letter = 'c', .answer = "{\"text\":\"C\"}"};
	oc_hook_subscription o = {.hook = "agentResponse", .timeout_ms = 40, .fn = handle, .cancel = cancelled, .arg = &b};

	add(&a, "agentResponse", 2, 0);
	o.priority = 1;
	assert_int_equal(oc_hooks_subscribe(f->hooks, &o, NULL, NULL), OC_OK);
	add(&c, "agentResponse", 0, 0);
	fire(f, OC_HOOK_AGENT_RESPONSE, "{\"text\":\"x\"}");
	assert_string_equal(f->trace, "abc");
	assert_false(f->blocked);
	assert_int_equal(f->failed, 2);
	assert_int_equal(f->timed_out, 1);
	assert_int_equal(b.cancelled, 1);
	assert_string_equal(f->changes, "{\"text\":\"C\"}");
}

/* ---- Claims ---- */

static void first_claim_wins(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"handled\":false}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"handled\":true,\"text\":\"done\"}"};
	sub c = {.f = f, .letter = 'c', .answer = "{\"handled\":true}"};

	add(&a, "before_dispatch", 3, 0);
	add(&b, "before_dispatch", 2, 0);
	add(&c, "before_dispatch", 1, 0);
	fire(f, OC_HOOK_BEFORE_DISPATCH, NULL);
	assert_string_equal(f->trace, "ab");
	assert_true(f->claimed);
	assert_false(f->blocked);
	assert_string_equal(f->changes, "{\"handled\":true,\"text\":\"done\"}");
	assert_string_equal(f->by, "test");
}

static void spawning_error_stops(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .answer = "{\"status\":\"ok\",\"threadBindingReady\":true}"};
	sub b = {.f = f, .letter = 'b', .answer = "{\"status\":\"error\",\"error\":\"no thread\"}"};
	sub c = {.f = f, .letter = 'c'};

	add(&a, "subagent_spawning", 3, 0);
	add(&b, "subagent_spawning", 2, 0);
	add(&c, "subagent_spawning", 1, 0);
	fire(f, OC_HOOK_SUBAGENT_SPAWNING, NULL);
	assert_string_equal(f->trace, "ab");
	assert_true(f->blocked);
	assert_string_equal(f->reason, "no thread");
}

/* ---- Leaving ---- */

static void unknown_names_never_fire(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a'};
	oc_hook_sub *s = add(&a, "loop_iteration_start", 0, 0);
	cJSON *all = oc_hooks_describe(f->hooks);

	assert_string_equal(oc_json_str(oc_json_path(all, "unknown[0]"), "hook", ""), "loop_iteration_start");
	cJSON_Delete(all);
	for (unsigned i = OC_HOOK_NONE + 1; i < OC_HOOK_COUNT; i++)
		assert_false(oc_hooks_wanted(f->hooks, (oc_hook_id)i));
	oc_hooks_unsubscribe(s);
}

static void subscriber_is_swept_with_its_owner(void **state)
{
	fixture *f = *state;
	oc_owner *owner = oc_owner_new(f->loop, "module x");
	sub a = {.f = f, .letter = 'a'};
	oc_hook_subscription o = {.hook = "error", .owner = owner, .fn = handle, .arg = &a};

	assert_int_equal(oc_hooks_subscribe(f->hooks, &o, NULL, NULL), OC_OK);
	assert_true(oc_hooks_wanted(f->hooks, OC_HOOK_ERROR));
	oc_owner_free(owner);
	assert_false(oc_hooks_wanted(f->hooks, OC_HOOK_ERROR));
}

typedef struct leaver {
	fixture *f;
	oc_hook_sub *sub;
} leaver;

static void leave(void *arg)
{
	leaver *l = arg;

	oc_hooks_unsubscribe(l->sub);
}

static void firing_goes_on_when_a_subscriber_leaves(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .delay_ms = -1}, b = {.f = f, .letter = 'b', .answer = "{\"text\":\"B\"}"};
	leaver l = {.f = f};
	oc_watch *t;

	l.sub = add(&a, "agentResponse", 1, 0);
	add(&b, "agentResponse", 0, 0);
	t = oc_timer_start(f->owner, 20, 0, leave, &l);
	fire(f, OC_HOOK_AGENT_RESPONSE, NULL);
	oc_watch_end(t);
	assert_string_equal(f->changes, "{\"text\":\"B\"}");
	assert_int_equal(f->failed, 0);
	reply(&a);
}

static void leaving_a_veto_blocks(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .delay_ms = -1};
	leaver l = {.f = f};
	oc_watch *t;

	l.sub = add(&a, "beforeToolCall", 1, 0);
	t = oc_timer_start(f->owner, 20, 0, leave, &l);
	fire(f, OC_HOOK_BEFORE_TOOL_CALL, NULL);
	oc_watch_end(t);
	assert_true(f->blocked);
	reply(&a);
}

static void owner_of_the_firing_is_swept(void **state)
{
	fixture *f = *state;
	oc_owner *owner = oc_owner_new(f->loop, "turn");
	sub a = {.f = f, .letter = 'a', .delay_ms = 10};
	oc_watch *guard = oc_timer_start(f->owner, 60, 0, too_long, f->loop);

	add(&a, "agentResponse", 0, 0);
	assert_int_equal(oc_hooks_fire(f->hooks, OC_HOOK_AGENT_RESPONSE, NULL, owner, fired, f), OC_OK);
	oc_owner_free(owner);
	oc_loop_run(f->loop);
	oc_watch_end(guard);
	assert_int_equal(f->done, 0);
	assert_string_equal(f->trace, "a"); /* who was told stays told */
}

static void freed_while_handlers_run(void **state)
{
	fixture *f = *state;
	sub a = {.f = f, .letter = 'a', .delay_ms = -1}, b = {.f = f, .letter = 'b', .delay_ms = -1};
	oc_hook_subscription o = {.hook = "error", .fn = handle, .cancel = cancelled, .arg = &b};
	oc_watch *guard = oc_timer_start(f->owner, 30, 0, too_long, f->loop);

	add(&a, "error", 0, 0);
	assert_int_equal(oc_hooks_subscribe(f->hooks, &o, NULL, NULL), OC_OK);
	assert_int_equal(oc_hooks_fire(f->hooks, OC_HOOK_ERROR, NULL, NULL, fired, f), OC_OK);
	oc_loop_run(f->loop);
	oc_watch_end(guard);
	oc_hooks_free(f->hooks);
	f->hooks = NULL;
	assert_int_equal(f->done, 0);
	assert_int_equal(b.cancelled, 1);
}

static void bad_subscriptions(void **state)
{
	fixture *f = *state;
	oc_hook_subscription o = {.hook = "error", .fn = NULL};
	oc_err err = {0};

	assert_int_equal(oc_hooks_subscribe(f->hooks, &o, NULL, &err), OC_E_INVALID);
	o.fn = handle;
	o.hook = "";
	assert_int_equal(oc_hooks_subscribe(f->hooks, &o, NULL, &err), OC_E_INVALID);
	o.hook = "error";
	o.timeout_ms = 600001;
	assert_int_equal(oc_hooks_subscribe(f->hooks, &o, NULL, &err), OC_E_INVALID);
	assert_non_null(strstr(err.text, "600000"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_has_the_eight),
		cmocka_unit_test(table_has_the_original_names),
		T(order_is_priority_then_registration),
		T(modify_runs_one_after_the_other),
		T(observe_runs_at_once),
		T(nobody_subscribed),
		T(fields_merge_by_their_rules),
		T(contexts_of_the_original_are_joined),
		T(first_model_wins),
		T(transcript_handlers_see_the_message_before_them),
		T(a_cancel_is_final_and_all_are_asked),
		T(lists_and_objects_grow),
		T(any_field_of_the_environment),
		T(a_block_is_final),
		T(the_originals_handlers_are_all_asked),
		T(no_block_is_no_decision),
		T(both_names_share_one_order),
		T(asking_for_approval_freezes_the_parameters),
		T(failing_handler_blocks_the_tool),
		T(slow_handler_blocks_the_tool),
		T(failing_handler_elsewhere_is_passed_over),
		T(first_claim_wins),
		T(spawning_error_stops),
		T(unknown_names_never_fire),
		T(subscriber_is_swept_with_its_owner),
		T(firing_goes_on_when_a_subscriber_leaves),
		T(leaving_a_veto_blocks),
		T(owner_of_the_firing_is_swept),
		T(freed_while_handlers_run),
		T(bad_subscriptions),
	};

	return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}
