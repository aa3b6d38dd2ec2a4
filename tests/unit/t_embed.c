/* core/agent/embed: which model makes vectors, what it is asked, what its answer must be, giving up. */
#include "core/agent/embed.h"

#include "tests/unit/agent_fake.h"

static oc_status seen_status;
static char seen_error[sizeof(((oc_err *)0)->text)], seen_model[80];
static size_t seen_n, seen_dimensions;
static float seen[16];
static double seen_cost;
static int seen_times;

static void on_vectors(void *arg, oc_status status, const oc_embeddings *result, const oc_err *err)
{
	(void)arg;
	seen_times++;
	seen_status = status;
	assert_true((status == OC_OK) == (result != NULL));
	if (result == NULL) {
		snprintf(seen_error, sizeof seen_error, "%s", err->text);
		return;
	}
	snprintf(seen_model, sizeof seen_model, "%s", result->model);
	seen_n = result->n;
	seen_dimensions = result->dimensions;
	seen_cost = result->cost;
	assert_true(result->n * result->dimensions <= 16);
	memcpy(seen, result->values, result->n * result->dimensions * sizeof(float));
}

static bool seen_one(fixture *f)
{
	(void)f;
	return seen_times == 1;
}

static const oc_str two[] = {{"a", 1}, {"b\n", 2}};

static oc_status ask(fixture *f, const char *model, int64_t dimensions, oc_owner *owner, oc_embed **ret, oc_err *err)
{
	oc_embed_input in = {.model = model, .texts = two, .n = 2, .dimensions = dimensions, .owner = owner, .done = on_vectors};
	seen_times = 0;
	seen_error[0] = 0;
	return oc_embed_start(f->agent, &in, ret, err);
}

static void vectors_come(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	f->embed_answer = "{\"model\":\"x\",\"embeddings\":[[1, -2.5e0],[0,3]],\"usage\":{\"input\":500000}}";
	assert_int_equal(ask(f, "", 2, NULL, NULL, &err), OC_OK);
	assert_int_equal(seen_times, 0); /* never inside the start */
	UNTIL(f, seen_one);
	assert_int_equal(seen_status, OC_OK);
	assert_string_equal(seen_model, "p/vec");
	assert_true(seen_n == 2 && seen_dimensions == 2 && seen[0] == 1 && seen[1] == -2.5f && seen[2] == 0 && seen[3] == 3);
	assert_true(seen_cost == 1.0);
	oc_auto_json cJSON *request = cJSON_Parse(f->requests[0]);
	assert_string_equal(oc_json_str(request, "model", ""), "vec");
	assert_int_equal(oc_json_i64(request, "dimensions", 0), 2);
	assert_string_equal(oc_json_str(oc_json_get(request, "endpoint"), "provider", ""), "p");
	assert_int_equal(cJSON_GetArraySize(oc_json_get(request, "input")), 2);
	assert_string_equal(cJSON_GetArrayItem(oc_json_get(request, "input"), 1)->valuestring, "b\n");
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.input_tokens, 500000);
}

static void models_are_found_by_any_name(void **state)
{
	fixture *f = *state;
	oc_arena *arena = oc_arena_new(0);
	static const struct {
		const char *wanted, *found;
	} rows[] = {{"", "p/vec"},	{"p", "p/vec"},		  {"p/vec2", "p/vec2"}, {"vec2", "p/vec2"},
		    {"nothing", NULL},	{"nobody/model", NULL},	  {"p/of-its-own", "p/of-its-own"}, {"locked", NULL}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *ref = oc_embed_model(f->agent, f->config, arena, rows[i].wanted);
		if (rows[i].found == NULL)
			assert_null(ref);
		else
			assert_string_equal(ref, rows[i].found);
	}
	oc_arena_free(arena);
	oc_err err = {0};
	assert_int_equal(ask(f, "nothing", 0, NULL, NULL, &err), OC_E_NOT_FOUND);
	assert_int_equal(ask(f, "locked/m", 0, NULL, NULL, &err), OC_E_AUTH);
	oc_embed_input in = {.texts = two, .n = 0, .done = on_vectors};
	assert_int_equal(oc_embed_start(f->agent, &in, NULL, &err), OC_E_LIMIT);
	run_ms(f, 5);
	assert_int_equal(seen_times, 0);
	assert_int_equal(f->n_requests, 0);
}

static void answers_that_are_none(void **state)
{
	fixture *f = *state;
	static const char *const bad[] = {
		"", "{}", "{\"embeddings\":[[1]]}", "{\"embeddings\":[[1],[2],[3]]}", "{\"embeddings\":[[],[]]}",
		"{\"embeddings\":[[1,2],[1]]}", "{\"embeddings\":[[1],[1,2]]}", "{\"embeddings\":[[1],[\"2\"]]}",
		"{\"embeddings\":[[1],[null]]}", "{\"embeddings\":[1,2]}", "{\"embeddings\":[[1e39],[1]]}", "[[1],[2]]",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		f->embed_answer = bad[i];
		assert_int_equal(ask(f, "p/vec", 0, NULL, NULL, NULL), OC_OK);
		UNTIL(f, seen_one);
		if (seen_status == OC_OK)
			fail_msg("taken: %s", bad[i]);
		assert_true(seen_error[0] != 0);
	}
	f->embed_answer = "{\"embeddings\":[[1],[2]]}";
	assert_int_equal(ask(f, "p/vec", 7, NULL, NULL, NULL), OC_OK);
	UNTIL(f, seen_one);
	assert_int_equal(seen_status, OC_E_UNSUPPORTED); /* not of the length that was asked for */
	f->embed_answer = "no";
	f->embed_status = OC_E_RATE_LIMIT;
	assert_int_equal(ask(f, "p/vec", 0, NULL, NULL, NULL), OC_OK);
	UNTIL(f, seen_one);
	assert_int_equal(seen_status, OC_E_RATE_LIMIT);
	assert_non_null(strstr(seen_error, "no"));
}

static bool canceled_one(fixture *f)
{
	return f->canceled == 1;
}

static void giving_up_tells_nobody(void **state)
{
	fixture *f = *state;
	oc_embed *e = NULL;
	assert_int_equal(ask(f, "p/vec", 0, NULL, &e, NULL), OC_OK);
	run_ms(f, 5);
	oc_embed_cancel(e);
	UNTIL(f, canceled_one);
	f->canceled = 0;
	oc_owner *owner = oc_owner_new(f->loop, "asker");
	assert_int_equal(ask(f, "p/vec", 0, owner, NULL, NULL), OC_OK);
	run_ms(f, 5);
	oc_owner_free(owner);
	UNTIL(f, canceled_one);
	run_ms(f, 5);
	assert_int_equal(seen_times, 0);
	/* What is under way when the agent goes, goes with it. */
	assert_int_equal(ask(f, "p/vec", 0, NULL, NULL, NULL), OC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(vectors_come, setup, teardown),
		cmocka_unit_test_setup_teardown(models_are_found_by_any_name, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(giving_up_tells_nobody, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
