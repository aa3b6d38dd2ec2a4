/* modules/providers/shared: text, JSON in place, quirks. */
#include "prv_test.h"

#include "prv_quirks.h"

static bool parses(const char *text)
{
	prv_json v;
	return prv_json_parse(text, strlen(text), &v);
}

static prv_json parse(const char *text)
{
	prv_json v;
	if (!prv_json_parse(text, strlen(text), &v))
		fail_msg("not parsed: %s", text);
	return v;
}

static void test_strict(void **state)
{
	static const char *const good[] = {"{}",
					   "[]",
					   " [ 1 , 2 ] ",
					   "\"\"",
					   "\"\\u00e9\\n\"",
					   "-0",
					   "0.5e-3",
					   "1E+2",
					   "true",
					   "null",
					   "{\"a\":{\"b\":[[],{}]}}",
					   "\"\\ud83d\"",
					   "[[[[]]]]",
					   "\t{\"a\" : 1}\r\n"};
	static const char *const bad[] = {"",		" ",	     "{",
					  "[",		"[1",	     "[1,]",
					  "[,1]",	"{\"a\"}",   "{\"a\":}",
					  "{\"a\":1,}", "{a:1}",     "01",
					  "-",		"1.",	     ".5",
					  "1e",		"+1",	     "tru",
					  "nulll",	"\"\\x\"",   "\"\\u12g4\"",
					  "\"a",	"\"\n\"",    "[1]]",
					  "{}{}",	"'a'",	     "NaN",
					  "[1 2]",	"{\"a\" 1}", "]",
					  "\"\\",	"[\"a\",",   "{\"a\":1 \"b\":2}"};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!parses(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parses(bad[i]))
			fail_msg("taken: %s", bad[i]);
	/* A NUL is no white space, and no end. */
	prv_json v;
	assert_false(prv_json_parse("1\0", 2, &v));
	assert_false(prv_json_parse("\0001", 2, &v));
}

static void test_depth(void **state)
{
	char text[2 * PRV_JSON_DEPTH + 4];
	(void)state;
	memset(text, '[', PRV_JSON_DEPTH);
	memset(text + PRV_JSON_DEPTH, ']', PRV_JSON_DEPTH);
	text[2 * PRV_JSON_DEPTH] = 0;
	assert_true(parses(text));
	memset(text, '[', PRV_JSON_DEPTH + 1);
	memset(text + PRV_JSON_DEPTH + 1, ']', PRV_JSON_DEPTH + 1);
	text[2 * PRV_JSON_DEPTH + 2] = 0;
	assert_false(parses(text));
}

static void test_walk(void **state)
{
	(void)state;
	prv_json doc = parse(
		"{ \"a\" : [ 1, \"x,]}\" , {\"b\":{\"c\":\"deep\"}}, [] ] , \"\\u0062\":true, \"n\":null,\"s\":\"\" }");
	prv_json list = prv_json_get(doc, "a"), key, value;
	size_t at = 0, n = 0;
	assert_int_equal(prv_json_kind(list), PRV_JSON_ARRAY);
	while (prv_json_next(list, &at, &key, &value)) {
		assert_int_equal(key.n, 0);
		n++;
	}
	assert_int_equal(n, 4);
	assert_true(prv_json_is(prv_json_at(list, 1), "x,]}"));
	assert_true(prv_json_is(prv_json_path(prv_json_at(list, 2), "b.c"), "deep"));
	assert_int_equal(prv_json_path(doc, "a.b.c").n, 0);
	assert_true(prv_json_bool(prv_json_get(doc, "b"), false)); /* the name is written with an escape */
	assert_int_equal(prv_json_kind(prv_json_get(doc, "n")), PRV_JSON_NULL);
	assert_int_equal(prv_json_kind(prv_json_get(doc, "zzz")), PRV_JSON_ABSENT);
	assert_int_equal(prv_json_kind(prv_json_get(list, "a")), PRV_JSON_ABSENT);
	assert_int_equal(prv_json_at(list, 4).n, 0);
	assert_false(prv_json_full(prv_json_get(doc, "s")));
	at = n = 0;
	while (prv_json_next(doc, &at, &key, &value))
		n++;
	assert_int_equal(n, 4);
	at = 0;
	assert_false(prv_json_next(parse("{ }"), &at, &key, &value));
	assert_false(prv_json_next(parse("3"), &at, &key, &value));
}

static void decodes(const char *json, const char *want)
{
	char *got = prv_json_dup(parse(json));
	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void test_strings(void **state)
{
	(void)state;
	decodes("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz");
	decodes("\"\\u00e9\\u20ac\\ud83d\\ude00\"", "é€😀");
	decodes("\"\\ud83d x\"", "\xef\xbf\xbd x");		   /* half a pair */
	decodes("\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"); /* the wrong way round */
	decodes("\"a\\u0000b\"", "a\xef\xbf\xbd"
				 "b");
	decodes("\"\xc3(\xff\xed\xa0\x80\"", "\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	decodes("17", "");
	assert_true(prv_json_is(parse("\"\\u0061b\""), "ab"));
	assert_false(prv_json_is(parse("\"ab\""), "abc"));
	assert_true(prv_json_same(parse("\"\\u0061b\""), parse("\"ab\"")));
	assert_false(prv_json_same(parse("\"a\""), parse("1")));
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(prv_json_i64(parse("42"), -1), 42);
	assert_int_equal(prv_json_i64(parse("-7.9"), -1), -7);
	assert_int_equal(prv_json_i64(parse("\"42\""), -1), -1);
	assert_int_equal(prv_json_i64(parse("1e300"), -1), INT64_C(9007199254740992));
	assert_int_equal(prv_json_i64(parse("-1e300"), -1), -INT64_C(9007199254740992));
	assert_int_equal(prv_json_i64((prv_json){"", 0}, 5), 5);
}

static void copies(const char *json, const char *want)
{
	prv_text out;
	prv_text_init(&out, 1 << 20);
	prv_json_copy(&out, parse(json));
	assert_false(out.failed);
	assert_string_equal(out.p, want);
	wall(prv_text_view(&out));
	prv_text_free(&out);
}

static void test_copy(void **state)
{
	(void)state;
	/* Numbers keep their digits: a tree of doubles would not. */
	copies("{ \"id\" : 1234567890123456789 , \"x\":[1.50, -0, 1e5] }",
	       "{\"id\":1234567890123456789,\"x\":[1.50,-0,1e5]}");
	copies("{\"a\":1,\"b\":2,\"\\u0061\":3}", "{\"b\":2,\"a\":3}");
	copies("[\"\\u0000\",\"\\ud800\",\"\\u00e9\\n\",\"\\/\"]",
	       "[\"\xef\xbf\xbd\",\"\xef\xbf\xbd\",\"é\\n\",\"/\"]");
	copies("[1e999,-1e999]", "[null,null]");
	copies(" { } ", "{}");
	copies("[true,false,null,\"\"]", "[true,false,null,\"\"]");
}

static void test_text_limits(void **state)
{
	prv_text t;
	(void)state;
	prv_text_init(&t, 8);
	prv_text_z(&t, "12345678");
	assert_false(t.failed);
	prv_text_char(&t, '9');
	assert_true(t.failed);
	assert_int_equal(t.n, 8);
	prv_text_clear(&t);
	assert_false(t.failed);
	prv_text_printf(&t, "%d-%s", 12, "ab");
	assert_string_equal(t.p, "12-ab");
	prv_text_insert(&t, 2, "xy");
	assert_string_equal(t.p, "12xy-ab");
	prv_text_insert(&t, 99, "z");
	prv_text_insert(&t, 0, "zz");
	assert_true(t.failed);
	prv_text_wipe(&t);
	assert_string_equal(prv_text_view(&t).p, "");
	prv_text_json(&t, (oc_str){"\x01\"\0", 3});
	assert_true(t.failed); /* 12 bytes */
	prv_text_free(&t);
}

static void test_utf8(void **state)
{
	(void)state;
	assert_int_equal(prv_utf8_len("a", 1), 1);
	assert_int_equal(prv_utf8_len("é", 2), 2);
	assert_int_equal(prv_utf8_len("é", 1), 0);
	assert_int_equal(prv_utf8_len("😀", 4), 4);
	assert_int_equal(prv_utf8_len("\xc0\x80", 2), 0);
	assert_int_equal(prv_utf8_len("\xe0\x80\x80", 3), 0);
	assert_int_equal(prv_utf8_len("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(prv_utf8_len("\x80", 1), 0);
	assert_int_equal(prv_utf8_len("", 0), 0);
}

static void test_limits_told(void **state)
{
	static const struct {
		const char *message;
		int64_t limit;
	} cases[] = {
		{"max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku",
		 8192},
		{"max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
		 16384},
		{"`max_tokens` must be less than or equal to `32768`, the maximum value for `max_tokens`", 32768},
		{"something > 500 else", 0},
		{"max_tokens is wrong", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prv_fault f;
		prv_fault_clear(&f);
		prv_fault_set(&f, OC_E_INVALID, "%s", cases[i].message);
		assert_int_equal(prv_quirk_limit(&f), cases[i].limit);
	}
}

/* What is known is passed over where it stands, and changes neither what is taken nor what is found. */
static void test_known(void **state)
{
	static const char known[] = "[{\"a\":[1,\"]\"]},2]";
	static const char *const texts[] = {
		"{\"x\":1,\"t\":[{\"a\":[1,\"]\"]},2],\"y\":\"z\"}", "{\"t\": [{\"a\":[1,\"]\"]},2]}",
		"{\"t\":[{\"a\":[1,\"]\"]},2]x}",	 "{\"t\":[{\"a\":[1,\"]\"]},2]",
		"{\"t\":[{\"a\":[1,\"]\"]},2 ]}",		 "{\"t\":[{\"a\":[1,\"]\"]},2],\"t\":3}",
		"{\"t\":[[{\"a\":[1,\"]\"]},2]]}",	 "[[{\"a\":[1,\"]\"]},2]]",
		"[{\"a\":[1,\"]\"]},2]",			 "{\"s\":\"[{\\\"a\",\"t\":[{\"a\":[1",
	};
	static const char *const names[] = {"t", "y"};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		prv_json plain, with, a[2], b[2];
		size_t n = strlen(texts[i]);
		bool good = prv_json_parse(texts[i], n, &plain);
		assert_int_equal(prv_json_parse_known(texts[i], n, oc_str_of(known), &with), good);
		if (!good)
			continue;
		assert_true(plain.p == with.p && plain.n == with.n);
		prv_json_members(plain, names, 2, a);
		prv_json_members_known(plain, oc_str_of(known), names, 2, b);
		for (size_t m = 0; m < 2; m++)
			assert_true(a[m].n == b[m].n && (a[m].n == 0 || a[m].p == b[m].p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),	    cmocka_unit_test(test_depth),   cmocka_unit_test(test_walk),
		cmocka_unit_test(test_strings),	    cmocka_unit_test(test_numbers), cmocka_unit_test(test_copy),
		cmocka_unit_test(test_text_limits), cmocka_unit_test(test_utf8),    cmocka_unit_test(test_limits_told),
		cmocka_unit_test(test_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
