/* The hooks of sub-agents: which, in what order, with what. */
#include "tests/unit/agent_fake.h"
#include "core/agent/internal.h"

static oc_hook_sub *subs[8];
static char seen[4][2000];

static void on_hook(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	size_t i = (size_t)(uintptr_t)arg;
	char *text = cJSON_PrintUnformatted(payload);
	(void)hook;
	snprintf(seen[i], sizeof seen[i], "%s", text);
	cJSON_free(text);
	note("hook %s", oc_hook_turn_name(turn));
	oc_auto_json cJSON *result = NULL;
	if (i == 0)
		result = cJSON_Parse("{\"status\":\"ok\",\"threadBindingReady\":true}");
	if (i == 2)
		result = cJSON_Parse("{\"origin\":{\"channel\":\"chat\",\"to\":\"elsewhere\",\"threadId\":7}}");
	oc_hook_answer(turn, OC_OK, result, NULL);
}

static void watch_hooks(fixture *f)
{
	static const char *const names[] = {"subagent_spawning", "subagent_spawned", "subagent_delivery_target", "subagent_ended"};
	for (size_t i = 0; i < 4; i++) {
		oc_hook_subscription s = {.hook = names[i], .by = "test", .fn = on_hook, .arg = (void *)(uintptr_t)i};
		assert_int_equal(oc_hooks_subscribe(f->hooks, &s, &subs[i], NULL), OC_OK);
		seen[i][0] = 0;
	}
}

static bool ended(fixture *f)
{
	(void)f;
	return noted_at("hook subagent_ended") >= 0;
}

static const answer spawns[] = {
	{.calls = {"{\"id\":\"c1\",\"name\":\"sessions_spawn\",\"arguments\":{\"task\":\"say hi\",\"label\":\"sub\"}}"}},
	{.text = "started"}, {.text = "hi"}, {.text = "told"},
};
static const answer threads[] = {
	{.calls = {"{\"id\":\"c1\",\"name\":\"sessions_spawn\",\"arguments\":{\"task\":\"say hi\",\"thread\":true,\"mode\":\"session\"}}"}},
	{.text = "started"}, {.text = "hi"}, {.text = "told"},
};

/* One with a thread of its own stays when it has told what it found. */
static bool told(fixture *f)
{
	return noted_at("hook subagent_delivery_target") >= 0 && f->agent->subagents_ok == 1;
}

static void run(fixture *f, const answer *script, bool (*over)(fixture *f))
{
	oc_run_ref ref;
	f->script = script;
	watch_hooks(f);
	assert_int_equal(oc_agent_submit(f->agent, &(oc_turn_input){.text = OC_STR("go"), .origin = "test"}, &ref, NULL), OC_OK);
	UNTIL(f, over);
}

static void a_run(void **state)
{
	fixture *f = *state;
	run(f, spawns, ended);
	assert_int_equal(noted_at("hook subagent_spawning"), -1);
	assert_true(noted_at("hook subagent_spawned") < noted_at("hook subagent_delivery_target"));
	assert_true(noted_at("hook subagent_delivery_target") < noted_at("hook subagent_ended"));
	assert_non_null(strstr(seen[1], "\"label\":\"sub\""));
	assert_non_null(strstr(seen[1], "\"threadRequested\":false"));
	assert_non_null(strstr(seen[1], "\"mode\":\"run\""));
	assert_non_null(strstr(seen[1], "\"requester\":{\"channel\":\"webchat\"}"));
	assert_non_null(strstr(seen[2], "\"spawnMode\":\"run\",\"expectsCompletionMessage\":true"));
	assert_non_null(strstr(seen[3], "\"targetKind\":\"subagent\",\"reason\":\"subagent-complete\",\"sendFarewell\":true"));
	assert_non_null(strstr(seen[3], "\"outcome\":\"ok\""));
	assert_non_null(strstr(seen[3], "\"requesterSessionKey\":\"agent:main:main\""));
}

static void a_thread(void **state)
{
	fixture *f = *state;
	run(f, threads, told);
	assert_int_equal(noted_at("hook subagent_ended"), -1);
	assert_true(noted_at("hook subagent_spawning") >= 0);
	assert_true(noted_at("hook subagent_spawning") < noted_at("hook subagent_spawned"));
	assert_null(strstr(seen[0], "runId"));
	assert_non_null(strstr(seen[0], "\"threadRequested\":true"));
	assert_non_null(strstr(seen[1], "\"mode\":\"session\""));
}

static int setup_it(void **state)
{
	return setup_with(state, CONFIG_DEFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_run, setup_it, teardown),
		cmocka_unit_test_setup_teardown(a_thread, setup_it, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
