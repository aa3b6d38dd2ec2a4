/* openclaw/json.h: what modules read and write JSON with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openclaw/json.h>

static void text_is(const char *json, const char *text)
{
	char out[100];

	assert_int_equal(ocj_text(oc_str_of(json), out, sizeof(out)), strlen(text));
	assert_string_equal(out, text);
}

static void finds_members(void **state)
{
	oc_str v = OC_STR(""), w = OC_STR("");
	oc_str json = OC_STR(" { \"a\" : 1 , \"b\":{\"a\":2,\"x\":[1,{\"y\":\"}]\"}]}, \"c\":\"q\\\"}\", \"d\":null,\"e\":true,\"\":0 } ");
	int64_t n;

	(void)state;
	assert_true(ocj_get(json, "a", &v));
	assert_true(ocj_int(v, &n));
	assert_int_equal(n, 1);
	assert_true(ocj_get(json, "b", &v));
	assert_true(ocj_get(v, "a", &w));
	assert_true(ocj_int(w, &n));
	assert_int_equal(n, 2);
	assert_true(ocj_get(v, "x", &w));
	assert_int_equal(w.n, strlen("[1,{\"y\":\"}]\"}]"));
	assert_true(ocj_get(json, "c", &v));
	{
		char out[10];

		assert_int_equal(ocj_text(v, out, sizeof(out)), 3);
		assert_string_equal(out, "q\"}");
	}
	assert_false(ocj_get(json, "d", &v)); /* null is as good as absent */
	assert_true(ocj_get(json, "e", &v));
	assert_true(ocj_true(v));
	assert_true(ocj_get(json, "", &v));
	assert_false(ocj_get(json, "x", &v));
	assert_false(ocj_get(OC_STR("[\"a\"]"), "a", &v));
	assert_false(ocj_get(OC_STR(""), "a", &v));
}

static void steps_through_arrays(void **state)
{
	oc_str json = OC_STR("[1, [2,3] ,\"four\",{}]"), v;
	static const char *const parts[] = {"1", "[2,3]", "\"four\"", "{}"};
	size_t at = 0, n = 0;

	(void)state;
	while (ocj_next(json, &at, NULL, &v)) {
		assert_true(n < 4);
		assert_int_equal(v.n, strlen(parts[n]));
		assert_memory_equal(v.p, parts[n], v.n);
		n++;
	}
	assert_int_equal(n, 4);
	at = 0;
	assert_false(ocj_next(OC_STR("[]"), &at, NULL, &v));
	at = 0;
	assert_false(ocj_next(OC_STR("{ }"), &at, NULL, &v));
	at = 0;
	assert_false(ocj_next(OC_STR("7"), &at, NULL, &v));
}

static void unescapes(void **state)
{
	char out[4];

	(void)state;
	text_is("\"\"", "");
	text_is("\"plain\"", "plain");
	text_is("\"\\n\\t\\r\\b\\f\\\\\\/\\\"\"", "\n\t\r\b\f\\/\"");
	text_is("\"\\u0041\\u00e4\\u20ac\\ud83d\\ude00\"", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	text_is("\"\\ud83d\"", "\xef\xbf\xbd");
	text_is("12", "");
	assert_int_equal(ocj_text(OC_STR("\"abcdef\""), out, sizeof(out)), 6); /* cut, and says so */
	assert_string_equal(out, "abc");
	assert_int_equal(ocj_text(OC_STR("\"abc\""), NULL, 0), 3);
}

static void numbers(void **state)
{
	int64_t n = 0;

	(void)state;
	assert_true(ocj_int(OC_STR("0"), &n));
	assert_true(ocj_int(OC_STR("9223372036854775807"), &n));
	assert_true(n == INT64_MAX);
	assert_true(ocj_int(OC_STR("-9223372036854775808"), &n));
	assert_true(n == INT64_MIN);
	assert_false(ocj_int(OC_STR("9223372036854775808"), &n));
	assert_false(ocj_int(OC_STR("-9223372036854775809"), &n));
	assert_false(ocj_int(OC_STR("1.5"), &n));
	assert_false(ocj_int(OC_STR("1e3"), &n));
	assert_false(ocj_int(OC_STR("-"), &n));
	assert_false(ocj_int(OC_STR(""), &n));
	assert_false(ocj_int(OC_STR("\"1\""), &n));
}

static void quotes(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(ocj_quote(OC_STR("a\"b\\c\n\x01\xc3\xa4"), out, sizeof(out)), strlen("\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\""));
	assert_string_equal(out, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\"");
	assert_int_equal(ocj_quote(OC_STR("abcdef"), out, 4), 8);
	assert_string_equal(out, "\"ab");
}

static void broken_text_is_not_there(void **state)
{
	static const char *const broken[] = {"{",       "{\"a",      "{\"a\"",     "{\"a\":",   "{\"a\":}", "{\"a\":[1}",  "{a:1}", "{\"a\":\"x",
					     "{\"a\" 1}", "{\"b\":1 \"a\":2}", "\\",         "{\"a\":[",   "[,",      "{\"a\":\"\\"};
	oc_str deep = {NULL, 0}, v;
	char many[300];

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		size_t n = strlen(broken[i]);
		char *exact = malloc(n);

		memcpy(exact, broken[i], n);
		if (ocj_get((oc_str){exact, n}, "a", &v))
			fail_msg("found something in %s", broken[i]);
		free(exact);
	}
	memset(many, '[', sizeof(many));
	memcpy(many, "{\"a\":", 5);
	deep.p = many;
	deep.n = sizeof(many);
	assert_false(ocj_get(deep, "a", &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_members), cmocka_unit_test(steps_through_arrays), cmocka_unit_test(unescapes),
		cmocka_unit_test(numbers),       cmocka_unit_test(quotes),               cmocka_unit_test(broken_text_is_not_there),
	};

	return cmocka_run_group_tests_name("sdk_json", tests, NULL, NULL);
}
