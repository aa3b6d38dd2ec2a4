/* core/security/validate: every limit, at it and one beyond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/security/validate.h"

#define BASE "\"channel\":\"telegram\",\"id\":\"1\",\"chat\":{\"type\":\"dm\",\"id\":\"5\"},\"sender\":{\"id\":\"7\"}"

static oc_status text(const char *s, size_t n)
{
	oc_err err = {0};
	oc_status st = oc_validate_text(oc_str_make(s, n), 0, &err);

	assert_int_equal(err.code, st);
	if (st != OC_OK)
		assert_true(err.text[0] != 0);
	return st;
}

static void test_text(void **state)
{
	char *big = oc_alloc(OC_VALIDATE_TEXT_MAX + 2);

	(void)state;
	memset(big, 'x', OC_VALIDATE_TEXT_MAX + 1);
	assert_int_equal(text("", 0), OC_OK);
	assert_int_equal(text("tab\tnew\nline\r\n", 14), OC_OK);
	assert_int_equal(text("gr\xc3\xbc\xc3\x9f \xf0\x9f\xa6\x9e", 11), OC_OK);
	assert_int_equal(text(big, OC_VALIDATE_TEXT_MAX), OC_OK);
	assert_int_equal(text(big, OC_VALIDATE_TEXT_MAX + 1), OC_E_LIMIT);
	assert_int_equal(text("a\0b", 3), OC_E_INVALID);
	assert_int_equal(text("a\x1b[31m", 6), OC_E_INVALID);
	assert_int_equal(text("a\x7f", 2), OC_E_INVALID);
	assert_int_equal(text("a\xc2\x9b", 3), OC_E_INVALID); /* CSI as one character */
	assert_int_equal(text("a\xc2\xa0", 3), OC_OK);
	assert_int_equal(text("\xff", 1), OC_E_INVALID);
	assert_int_equal(text("\xc3", 1), OC_E_INVALID);
	assert_int_equal(text("\xed\xa0\x80", 3), OC_E_INVALID); /* a surrogate */
	assert_int_equal(text("\xc0\x80", 2), OC_E_INVALID);	  /* NUL, overlong */
	assert_int_equal(oc_validate_text(OC_STR("1234"), 3, NULL), OC_E_LIMIT);
	oc_free(big);
}

static void test_names(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(oc_validate_name("it", OC_STR(""), NULL), OC_E_INVALID);
	assert_int_equal(oc_validate_name("it", oc_str_make(name, 256), NULL), OC_OK);
	assert_int_equal(oc_validate_name("it", oc_str_make(name, 257), NULL), OC_E_LIMIT);
	assert_int_equal(oc_validate_name("it", OC_STR("a\nb"), NULL), OC_E_INVALID);
	assert_int_equal(oc_validate_name("it", OC_STR("a\xe2\x80\xae" "b"), NULL), OC_E_INVALID); /* right-to-left override */
	assert_int_equal(oc_validate_name("it", OC_STR("\xe2\x80\x93"), NULL), OC_OK);
}

static void scrub(const char *in, size_t n, const char *expected)
{
	oc_sbuf out;

	oc_sbuf_init(&out, 1000);
	oc_validate_scrub(oc_str_make(in, n), &out);
	assert_int_equal(out.error, OC_OK);
	assert_string_equal(oc_sbuf_view(&out).p, expected);
	assert_int_equal(oc_validate_text(oc_sbuf_view(&out), 0, NULL), OC_OK);
	oc_sbuf_free(&out);
}

static void test_scrub(void **state)
{
	(void)state;
	scrub("a\0b\x1b[1m\x7f", 8, "ab[1m");
	scrub("l1\r\nl2\rl3", 9, "l1\nl2\nl3");
	scrub("x\xffy\xc2\x9bz", 6, "x\xef\xbf\xbdyz");
	scrub("\t\xc3\xbc", 3, "\t\xc3\xbc");
}

static oc_status message(const char *json)
{
	oc_auto_json cJSON *m = cJSON_Parse(json);
	oc_err err = {0};
	oc_status st;

	assert_non_null(m);
	st = oc_validate_message(m, &err);
	assert_int_equal(err.code, st);
	return st;
}

static void test_message(void **state)
{
	(void)state;
	assert_int_equal(message("{" BASE "}"), OC_OK);
	assert_int_equal(message("{" BASE ",\"text\":\"hi\",\"account\":\"default\",\"replyTo\":{\"id\":\"3\",\"text\":\"x\"}}"),
			 OC_OK);
	assert_int_equal(message("[]"), OC_E_INVALID);
	assert_int_equal(message("{\"channel\":\"t\",\"id\":\"1\",\"chat\":{\"type\":\"dm\",\"id\":\"5\"}}"), OC_E_INVALID);
	assert_int_equal(message("{\"channel\":\"t\",\"id\":1,\"chat\":{\"type\":\"dm\",\"id\":\"5\"},\"sender\":{\"id\":\"7\"}}"),
			 OC_E_INVALID);
	assert_int_equal(message("{" BASE ",\"text\":7}"), OC_E_INVALID);
	assert_int_equal(message("{" BASE ",\"text\":\"\\u001b[0m\"}"), OC_E_INVALID);
	assert_int_equal(message("{" BASE ",\"thread\":\"\"}"), OC_E_INVALID);
	assert_int_equal(message("{" BASE ",\"replyTo\":{\"id\":\"a\\nb\"}}"), OC_E_INVALID);
}

static void test_scrub_message(void **state)
{
	oc_auto_json cJSON *m = cJSON_Parse("{" BASE ",\"text\":\"\\u001b[31mred\\u001b[0m\\r\\nx\",\"replyTo\":{\"id\":\"1\",\"text\":\"\\u0007\"},"
					    "\"media\":[{\"type\":\"file\",\"name\":\"a\\u0001b\"}]}");
	oc_auto_json cJSON *odd = cJSON_Parse("{\"text\":1,\"chat\":[],\"media\":{},\"sender\":null}");

	(void)state;
	assert_int_equal(oc_validate_message(m, NULL), OC_E_INVALID);
	assert_int_equal(oc_validate_scrub_message(m, NULL), OC_OK);
	assert_int_equal(oc_validate_message(m, NULL), OC_OK);
	assert_string_equal(oc_json_str(m, "text", ""), "[31mred[0m\nx");
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(oc_json_get(m, "media"), 0), "name", ""), "ab");
	assert_int_equal(oc_validate_scrub_message(odd, NULL), OC_OK);
	for (unsigned long n = 1; n < 4; n++) {
		oc_auto_json cJSON *again = cJSON_Parse("{\"text\":\"a\\u0001\"}");

		oc_mem_fail_at(n);
		assert_int_equal(oc_validate_scrub_message(again, NULL), OC_E_NOMEM);
		oc_mem_fail_at(0);
	}
}

static oc_status media(unsigned n, const char *item)
{
	char *json = oc_alloc(20000);
	oc_status st;
	size_t at = (size_t)snprintf(json, 20000, "{" BASE ",\"media\":[");

	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(json + at, 20000 - at, "%s%s", i > 0 ? "," : "", item);
	(void)snprintf(json + at, 20000 - at, "]}");
	st = message(json);
	oc_free(json);
	return st;
}

static void test_media(void **state)
{
	(void)state;
	assert_int_equal(media(10, "{\"type\":\"image\",\"path\":\"/m/a.png\",\"mime\":\"image/png\",\"name\":\"a\",\"bytes\":52428800}"),
			 OC_OK);
	assert_int_equal(media(11, "{\"type\":\"image\"}"), OC_E_LIMIT);
	assert_int_equal(media(1, "{\"type\":\"image\",\"bytes\":52428801}"), OC_E_LIMIT);
	assert_int_equal(media(1, "{\"type\":\"image\",\"bytes\":-1}"), OC_E_INVALID);
	assert_int_equal(media(1, "{\"type\":\"image\",\"bytes\":\"1\"}"), OC_E_INVALID);
	assert_int_equal(media(1, "{\"type\":\"image\",\"path\":\"a.png\"}"), OC_E_INVALID);
	assert_int_equal(media(1, "{\"type\":\"image\",\"path\":\"/m/../etc/shadow\"}"), OC_E_INVALID);
	assert_int_equal(media(1, "{\"type\":\"image\",\"path\":\"/m/..\"}"), OC_E_INVALID);
	assert_int_equal(media(1, "{\"type\":\"image\",\"path\":\"/m/a\\nb\"}"), OC_E_INVALID);
	assert_int_equal(media(1, "{}"), OC_E_INVALID);
	assert_int_equal(media(1, "7"), OC_E_INVALID);
}

static cJSON *nested(unsigned levels)
{
	cJSON *root = cJSON_CreateObject(), *at = root;

	for (unsigned i = 1; i < levels; i++)
		at = cJSON_AddObjectToObject(at, "x");
	return root;
}

static void test_depth(void **state)
{
	oc_auto_json cJSON *ok = NULL;
	oc_auto_json cJSON *deep = nested(40);

	(void)state;
	assert_int_equal(oc_validate_depth(NULL, 10), 0);
	assert_int_equal(oc_validate_depth(deep, 100), 40);
	assert_int_equal(oc_validate_depth(deep, 33), 33);
	for (unsigned levels = 31; levels <= 32; levels++) {
		cJSON *m = cJSON_Parse("{" BASE "}");

		assert_true(cJSON_AddItemToObject(m, "extra", nested(levels)));
		assert_int_equal(oc_validate_message(m, NULL), levels == 31 ? OC_OK : OC_E_LIMIT);
		cJSON_Delete(ok);
		ok = m;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),    cmocka_unit_test(test_names), cmocka_unit_test(test_scrub),
		cmocka_unit_test(test_message), cmocka_unit_test(test_scrub_message), cmocka_unit_test(test_media), cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests_name("validate", tests, NULL, NULL);
}
