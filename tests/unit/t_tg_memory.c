/* modules/channels/telegram: every allocation of the pure parts fails once; the result is an error, never a leak or a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static unsigned long fail_at, seen; /* 0: never */

static bool fails(void)
{
	return fail_at != 0 && ++seen >= fail_at;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* Runs fn with the n-th allocation and all later ones failing, for n = 1 … until it succeeds. */
static void torture(oc_status (*fn)(void))
{
	oc_status status = OC_E_NOMEM;
	for (unsigned long n = 1; status != OC_OK; n++) {
		assert_true(n < 100000);
		seen = 0;
		fail_at = n;
		status = fn();
		fail_at = 0;
		assert_true(status == OC_OK || status == OC_E_NOMEM || status == OC_E_LIMIT);
	}
}

static const char markdown[] = "# Title **b**\n\n> quote [l](https://x.y) `c`\n\n| a | b |\n|--|--|\n| `x` | **y** |\n\n"
			       "- item ~~s~~ README.md\n\n```js\nlet a;\nlet b;\n```\nthe end ||of|| *it* &amp; [f](file) ![i](https://i.j)";

static oc_status format_all(void)
{
	tg_doc doc;
	tg_piece *pieces = NULL;
	size_t n = 0;
	tg_doc_init(&doc);
	oc_status status = tg_doc_markdown(&doc, oc_str_of(markdown), TG_TABLES_CODE);
	if (status == OC_OK)
		status = tg_doc_split(&doc, 40, false, &pieces, &n);
	for (size_t i = 0; i < n && status == OC_OK; i++) {
		tg_sb html;
		tg_sb_init(&html, 1 << 20);
		tg_doc_html(&doc, pieces[i], &html);
		status = html.failed ? OC_E_NOMEM : OC_OK;
		tg_sb_free(&html);
	}
	free(pieces);
	tg_doc_free(&doc);
	return status;
}

static oc_status plan_all(void)
{
	tg_config config = {.text_units = 24, .file_max_out = 1000};
	const char *wrong = NULL;
	unsigned long armed = fail_at;
	tg_plan plan = {0};
	tg_shown shown = {.n = 2, .numbers = {5, 6}};
	fail_at = 0; /* cJSON has its own allocator */
	cJSON *message = cJSON_CreateObject();
	cJSON_AddStringToObject(message, "text", markdown);
	fail_at = armed;
	oc_status status = tg_plan_send(&config, message, &plan, &wrong);
	tg_plan_free(&plan);
	if (status == OC_OK)
		status = tg_plan_edit(&config, message, &shown, &plan, &wrong);
	if (status == OC_OK) {
		fail_at = 0;
		assert_true(plan.n > 3);
		assert_int_equal(plan.steps[0].kind, TG_STEP_EDIT);
		assert_int_equal(plan.steps[0].number, 5);
		assert_int_equal(plan.steps[2].kind, TG_STEP_TEXT);
	}
	tg_plan_free(&plan);
	fail_at = 0;
	cJSON_Delete(message);
	return status;
}

static void formatting(void **state)
{
	(void)state;
	torture(format_all);
}

static void planning(void **state)
{
	(void)state;
	torture(plan_all);
}

/* What an edit consists of when a message got shorter, stayed, or has no text any more. */
static void edits(void **state)
{
	tg_config config = {.text_units = 4000};
	const char *wrong = NULL;
	tg_shown shown = {.n = 3, .numbers = {5, 6, 7}};
	tg_plan plan = {0};
	(void)state;
	cJSON *message = cJSON_CreateObject();
	cJSON_AddStringToObject(message, "text", "short");
	assert_int_equal(tg_plan_edit(&config, message, &shown, &plan, &wrong), OC_OK);
	assert_int_equal(plan.n, 3);
	assert_int_equal(plan.steps[0].kind, TG_STEP_EDIT);
	assert_int_equal(plan.steps[1].kind, TG_STEP_DELETE);
	assert_int_equal(plan.steps[1].number, 7);
	assert_int_equal(plan.steps[2].number, 6);
	tg_plan_free(&plan);
	cJSON_ReplaceItemInObjectCaseSensitive(message, "text", cJSON_CreateString(" "));
	assert_int_equal(tg_plan_edit(&config, message, &shown, &plan, &wrong), OC_OK);
	assert_int_equal(plan.n, 0);
	tg_plan_free(&plan);
	cJSON_Delete(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formatting),
		cmocka_unit_test(planning),
		cmocka_unit_test(edits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
