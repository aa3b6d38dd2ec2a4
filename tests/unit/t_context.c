/* Unit tests of what a context is made of: heads of skills, pieces of memory, durations, rests of models, compaction's hooks. */
#include "tests/unit/agent_fake.h"

#include "core/agent/budget.h"
#include "core/agent/front.h"
#include "core/agent/memory_chunk.h"
#include "core/agent/model.h"

static cJSON *head_of(const char *text)
{
	cJSON *head = NULL;
	oc_err err = {0};
	if (oc_front_parse(oc_str_of(text), &head, NULL, &err) != OC_OK)
		fail_msg("%s: %s", text, err.text);
	return head;
}

static void reads(const char *text, const char *json)
{
	oc_auto_json cJSON *head = head_of(text), *expected = cJSON_Parse(json);
	oc_auto_free char *print = oc_json_print(head);
	assert_non_null(expected);
	if (!oc_json_equal(head, expected))
		fail_msg("%s\nis read as %s, not as %s", text, print, json);
}

static void refuses(const char *text, const char *word)
{
	cJSON *head = NULL;
	oc_err err = {0};
	if (oc_front_parse(oc_str_of(text), &head, NULL, &err) == OC_OK)
		fail_msg("accepted: %s", text);
	if (strstr(err.text, word) == NULL)
		fail_msg("%s: %s", text, err.text);
}

static void heads(void **state)
{
	(void)state;
	reads("---\nname: a b\ndescription: \"c: d\"\n---\nbody", "{\"name\":\"a b\",\"description\":\"c: d\"}");
	reads("\xef\xbb\xbf---\r\nname: x # note\r\nurl: http://a/b#c\r\n---\r\n", "{\"name\":\"x\",\"url\":\"http://a/b#c\"}");
	reads("---\nt: true\nf: false\nn: null\ns: 'it''s'\ne:\nnum: 1.5\n---\n",
	      "{\"t\":true,\"f\":false,\"n\":null,\"s\":\"it's\",\"e\":null,\"num\":\"1.5\"}");
	reads("---\na:\n  b: [x, y]\nl:\n  - p\n  - q\n---\n",
	      "{\"a\":{\"b\":[\"x\",\"y\"]},\"l\":[\"p\",\"q\"]}");
}

static void blocks(void **state)
{
	(void)state;
	reads("---\nk: |\n  one\n    two\n\n  three\nf: >-\n  a\n  b\n\n  c\nz: 1\n---\n",
	      "{\"k\":\"one\\n  two\\n\\nthree\",\"f\":\"a b\\nc\",\"z\":\"1\"}");
	reads("---\nm:\n  {\n    \"o\": { \"bins\": [\"x\"], },\n  }\nl: [a, b c, d]\n---\n", "{\"m\":{\"o\":{\"bins\":[\"x\"]}},\"l\":[\"a\",\"b c\",\"d\"]}");
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
	(void)state;
	refuses("name: x\n", "no head");
	refuses("---\nname: x\n", "does not end");
	refuses("---\nname: x\n\tb: c\n---\n", "tabs");
	refuses("---\nname x\n---\n", "line 2");
	refuses("---\na: 1\n  b: 2\n---\n", "line 3");
	refuses("---\na: {\nb: 1\n---\n", "brackets");
	refuses("---\na: \"x\n---\n", "quotation");
	refuses("---\na: *x\n---\n", "anchors");
	char deep[2048] = "---\n";
	size_t n = 4;
	for (int i = 0; i < 20; i++)
		n += (size_t)snprintf(deep + n, sizeof deep - n, "%*sk:\n", i, "");
	snprintf(deep + n, sizeof deep - n, "---\n");
	refuses(deep, "deeply");
}

typedef struct pieces {
	size_t n, first[64], last[64], bytes[64];
} pieces;

static bool on_piece(void *arg, const oc_memory_chunk *c)
{
	pieces *p = arg;
	assert_true(p->n < 64);
	p->first[p->n] = c->first_line;
	p->last[p->n] = c->last_line;
	p->bytes[p->n++] = c->text.n;
	return p->n < 60;
}

static void pieces_of_memory(void **state)
{
	(void)state;
	pieces p = {0};
	assert_true(oc_memory_chunks(OC_STR("one\ntwo\n"), 400, 80, on_piece, &p));
	assert_int_equal(p.n, 1);
	assert_int_equal(p.first[0], 1);
	assert_int_equal(p.last[0], 2);
	p = (pieces){0};
	assert_true(oc_memory_chunks(OC_STR(" \n\n"), 400, 80, on_piece, &p));
	assert_int_equal(p.n, 0);
	/* Forty lines of 20 bytes in pieces of 160 bytes with 40 bytes of overlap: eight lines, two of them of the one before. */
	char text[801];
	for (int i = 0; i < 40; i++)
		snprintf(text + i * 20, 21, "line %03d ..........\n", i + 1);
	p = (pieces){0};
	assert_true(oc_memory_chunks((oc_str){text, 800}, 40, 10, on_piece, &p));
	assert_int_equal(p.first[0], 1);
	assert_int_equal(p.last[0], 8);
	assert_int_equal(p.first[1], 7);
	assert_int_equal(p.last[1], 14);
	assert_int_equal(p.last[p.n - 1], 40);
	for (size_t i = 0; i < p.n; i++)
		assert_true(p.bytes[i] <= 160);
	/* One line longer than a piece is cut between characters. */
	char wide[1200];
	for (int i = 0; i < 400; i++)
		memcpy(wide + i * 3, "\xe2\x82\xac", 3);
	p = (pieces){0};
	assert_true(oc_memory_chunks((oc_str){wide, sizeof wide}, 40, 10, on_piece, &p));
	for (size_t i = 0; i < p.n; i++)
		assert_int_equal(p.bytes[i] % 3, 0);
}

static void durations(void **state)
{
	(void)state;
	assert_int_equal(oc_duration_ms("5m", 1, -1), 300000);
	assert_int_equal(oc_duration_ms("1h30m", 1, -1), 5400000);
	assert_int_equal(oc_duration_ms("250ms", 1, -1), 250);
	assert_int_equal(oc_duration_ms("7", 60000, -1), 420000);
	assert_int_equal(oc_duration_ms("soon", 1, -1), -1);
	assert_int_equal(oc_duration_ms("5x", 1, -1), -1);
	assert_int_equal(oc_duration_ms("", 1, -1), -1);
}

static void backing_off(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		uint64_t first = oc_model_backoff_ms(0, 0), second = oc_model_backoff_ms(1, 0), told = oc_model_backoff_ms(0, 2000);
		assert_true(first >= 375 && first <= 625);
		assert_true(second >= 750 && second <= 1250);
		assert_true(told >= 2000 && told <= 2200); /* never sooner than it was asked for */
	}
}

static void resting(void **state)
{
	fixture *f = *state;
	oc_status why = OC_OK;
	assert_int_equal(oc_model_resting(f->agent, "p/x", NULL), 0);
	oc_model_failed(f->agent, "p/x", OC_E_INVALID, 0);
	assert_int_equal(oc_model_resting(f->agent, "p/x", NULL), 0); /* the request's fault */
	oc_model_failed(f->agent, "p/x", OC_E_UNAVAILABLE, 0);
	uint64_t once = oc_model_resting(f->agent, "p/x", &why);
	assert_true(once > 10000 && once <= 15000 && why == OC_E_UNAVAILABLE);
	oc_model_failed(f->agent, "p/x", OC_E_UNAVAILABLE, 0);
	assert_true(oc_model_resting(f->agent, "p/x", NULL) <= 15000); /* while it rests: one failure of turns side by side */
	oc_model_failed(f->agent, "p/w", OC_E_UNAVAILABLE, 1);
	while (oc_model_resting(f->agent, "p/w", NULL) > 0)
		usleep(1000);
	oc_model_failed(f->agent, "p/w", OC_E_UNAVAILABLE, 0);
	assert_true(oc_model_resting(f->agent, "p/w", NULL) > 25000); /* once more: longer */
	oc_model_worked(f->agent, "p/x");
	assert_int_equal(oc_model_resting(f->agent, "p/x", NULL), 0);
	oc_model_failed(f->agent, "p/y", OC_E_QUOTA, 0);
	assert_true(oc_model_resting(f->agent, "p/y", NULL) > 4 * 3600000u); /* auth.cooldowns.billingBackoffHours */
	oc_model_failed(f->agent, "p/z", OC_E_RATE_LIMIT, 1234000);
	assert_true(oc_model_resting(f->agent, "p/z", NULL) > 1200000); /* as the provider said */
}

static void learning(void **state)
{
	fixture *f = *state;
	assert_true(oc_budget_factor(f->agent, "p/x") == 1);
	oc_budget_learn(f->agent, "p/x", 100, 400); /* too short to say anything */
	assert_true(oc_budget_factor(f->agent, "p/x") == 1);
	oc_budget_learn(f->agent, "p/x", 1000, 2000);
	assert_true(oc_budget_factor(f->agent, "p/x") == 2);
	oc_budget_learn(f->agent, "p/x", 1000, 1000);
	double after = oc_budget_factor(f->agent, "p/x");
	assert_true(after < 2 && after > 1.5); /* down slowly */
	oc_budget_learn(f->agent, "p/x", 1000, 100000);
	assert_true(oc_budget_factor(f->agent, "p/x") <= 4);
	assert_true(oc_budget_factor(f->agent, "p/other") == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),
		cmocka_unit_test(blocks),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(pieces_of_memory),
		cmocka_unit_test(durations),
		cmocka_unit_test(backing_off),
		cmocka_unit_test_setup_teardown(resting, setup, teardown),
		cmocka_unit_test_setup_teardown(learning, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
