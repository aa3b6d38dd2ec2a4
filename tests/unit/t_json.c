/* Unit tests of the JSON wall: what RFC 8259 allows comes in, all else stays out, and says where it went wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "core/data/json.h"

struct text {
	const char *name;
	const char *p;
	size_t n;
};
#define T(name, literal) {name, literal, sizeof(literal) - 1}

/* The classes of the usual conformance suites: structure, strings, numbers, encoding. */
static const struct text good[] = {
	T("empty array", "[]"),
	T("array with spaces", " [ ] "),
	T("all white space", "\t\r\n [\t\r\n 1 \t\r\n,\t\r\n 2 ] \t\r\n"),
	T("lone string", "\"asd\""),
	T("lone number", "42"),
	T("lone negative", "-0.1"),
	T("lone true", "true"),
	T("lone null", "null"),
	T("empty string", "\"\""),
	T("empty key", "{\"\":0}"),
	T("nested", "[[[[{\"a\":[{}]}]]]]"),
	T("heterogeneous", "[null, 1, \"1\", {}, true, false]"),
	T("several nulls", "[1,null,null,null,2]"),
	T("zero", "[0]"),
	T("minus zero", "[-0]"),
	T("minus zero fraction", "[-0.0]"),
	T("fraction", "[123.456789]"),
	T("exponent", "[1e22, 1E22, 1e+2, 1e-2, 0e1, 0e+1, 1.5E+2]"),
	T("underflow to zero", "[123.456e-789]"),
	T("very many digits", "[3.14159265358979323846264338327950288419716939937510582097494459230781640628620899]"),
	T("long integer", "[100000000000000000000000000000000000000000000000000000000000000000000000000]"),
	T("escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
	T("unicode escape", "[\"\\u0060\\u012a\\u12AB\"]"),
	T("pair of escapes", "[\"\\ud801\\udc37\"]"),
	T("two pairs", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
	T("escaped noncharacters", "[\"\\uFFFF\\uFDD0\\uDBFF\\uDFFF\"]"),
	T("backslash and u", "[\"\\\\u0000\"]"),
	T("raw UTF-8", "[\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\"]"),
	T("raw noncharacters", "[\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\"]"),
	T("line separators", "[\"\xe2\x80\xa8\xe2\x80\xa9\"]"),
	T("raw delete", "[\"\x7f\"]"),
	T("comment inside string", "[\"a/*b*/c//d\"]"),
	T("duplicate in different objects", "[{\"a\":1},{\"a\":2,\"b\":{\"a\":3}}]"),
	T("keys differ by case", "{\"a\":1,\"A\":2}"),
	T("byte order mark inside", "[\"\xef\xbb\xbf\"]"),
};

static const struct text bad[] = {
	T("nothing", ""),
	T("only white space", " \n "),
	T("form feed", "[\f]"),
	T("vertical tab", "[\v]"),
	T("no-break space", "[\xc2\xa0]"),
	T("word joiner", "[\xe2\x81\xa0]"),
	T("byte order mark", "\xef\xbb\xbf{}"),
	T("only a byte order mark", "\xef\xbb\xbf"),
	T("UTF-16", "\xff\xfe[\0\"\0\xe9\0\"\0]\0"),
	T("trailing garbage", "[1]x"),
	T("trailing NUL", "[1]\0"),
	T("NUL then more", "{}\0{}"),
	T("two documents", "[][]"),
	T("trailing bracket", "[1]]"),
	T("trailing hash", "{\"a\":1}#"),
	T("trailing comment", "{\"a\":1}//"),
	T("comment", "{\"a\":/*c*/1}"),
	T("hash comment", "#\n[]"),
	T("trailing comma", "[1,]"),
	T("trailing comma in object", "{\"a\":1,}"),
	T("two trailing commas", "[\"\",,]"),
	T("double comma", "[1,,2]"),
	T("leading comma", "[,1]"),
	T("only comma", "[,]"),
	T("missing comma", "[3[4]]"),
	T("missing comma in object", "{\"a\":1 \"b\":2}"),
	T("missing value", "{\"a\":}"),
	T("missing value with comma", "{\"a\":,}"),
	T("missing colon", "{\"a\" 1}"),
	T("double colon", "{\"a\"::1}"),
	T("comma for colon", "{\"a\",1}"),
	T("colon in array", "[\"\":1]"),
	T("unquoted key", "{a:1}"),
	T("single quoted key", "{'a':1}"),
	T("number key", "{1:1}"),
	T("null key", "{null:1}"),
	T("single quotes", "['a']"),
	T("open array", "["),
	T("open array with value", "[1"),
	T("open array with comma", "[1,"),
	T("open object", "{"),
	T("open object with key", "{\"a\""),
	T("open object with colon", "{\"a\":"),
	T("open object with value", "{\"a\":1"),
	T("closed too early", "]"),
	T("wrong bracket", "[1}"),
	T("wrong brace", "{\"a\":1]"),
	T("star", "*"),
	T("angle brackets", "<null>"),
	T("capitalised", "[True]"),
	T("upper case", "[NULL]"),
	T("cut true", "[tru]"),
	T("long true", "[truee]"),
	T("cut null", "[nul"),
	T("undefined", "[undefined]"),
	T("NaN", "[NaN]"),
	T("minus NaN", "[-NaN]"),
	T("Infinity", "[Infinity]"),
	T("minus Infinity", "[-Infinity]"),
	T("Inf", "[Inf]"),
	T("leading zero", "[012]"),
	T("minus leading zero", "[-012]"),
	T("two zeros", "[00]"),
	T("plus", "[+1]"),
	T("plus plus", "[++1]"),
	T("minus alone", "[-]"),
	T("minus minus", "[--1]"),
	T("minus space", "[- 1]"),
	T("minus word", "[-foo]"),
	T("no integer part", "[.5]"),
	T("minus no integer part", "[-.5]"),
	T("no fraction", "[1.]"),
	T("no fraction before exponent", "[0.e1]"),
	T("no fraction negative", "[-2.]"),
	T("dot alone", "[.]"),
	T("two dots", "[1.2.3]"),
	T("no exponent", "[1e]"),
	T("no exponent with sign", "[1e+]"),
	T("no exponent with minus", "[1.0e-]"),
	T("two exponents", "[1e2e3]"),
	T("fractional exponent", "[1e1.5]"),
	T("hexadecimal", "[0x1F]"),
	T("hexadecimal digits", "[1A]"),
	T("number with letter", "[1a]"),
	T("thousands", "[1 000]"),
	T("underscore", "[1_000]"),
	T("full-width digit", "[\xef\xbc\x91]"),
	T("number and minus", "[1-2]"),
	T("too large", "[1e400]"),
	T("too small", "[-1e+9999]"),
	T("huge exponent", "[1.5e+99999999999999999999]"),
	T("open string", "[\"a"),
	T("only a quote", "\""),
	T("open escape", "[\"\\"),
	T("escape at the end", "[\"\\\"]"),
	T("three backslashes", "[\"\\\\\\\"]"),
	T("unknown escape", "[\"\\a\"]"),
	T("escaped apostrophe", "[\"\\'\"]"),
	T("hexadecimal escape", "[\"\\x00\"]"),
	T("octal escape", "[\"\\0\"]"),
	T("escaped newline", "[\"\\\n\"]"),
	T("escaped NUL byte", "[\"\\\0\"]"),
	T("escaped emoji", "[\"\\\xf0\x9f\x8c\x80\"]"),
	T("short unicode escape", "[\"\\u00A\"]"),
	T("shorter unicode escape", "[\"\\u\"]"),
	T("unicode escape with letter", "[\"\\u00G0\"]"),
	T("upper case U", "[\"\\U0041\"]"),
	T("unicode escape at the end", "[\"\\u12"),
	T("escaped NUL", "[\"\\u0000\"]"),
	T("escaped NUL in key", "{\"a\\u0000b\":1}"),
	T("lone high surrogate", "[\"\\ud800\"]"),
	T("lone low surrogate", "[\"\\udc00\"]"),
	T("high then text", "[\"\\ud800abc\"]"),
	T("high then high", "[\"\\ud800\\ud800\"]"),
	T("high then newline", "[\"\\ud800\\n\"]"),
	T("low then high", "[\"\\udd1e\\ud834\"]"),
	T("high, half escape", "[\"\\ud800\\u"),
	T("high, incomplete escape", "[\"\\ud800\\udc\"]"),
	T("raw tab", "[\"\t\"]"),
	T("raw newline", "[\"\n\"]"),
	T("raw carriage return", "[\"\r\"]"),
	T("raw 0x01", "[\"\x01\"]"),
	T("raw 0x1F", "[\"\x1f\"]"),
	T("raw NUL", "[\"a\0b\"]"),
	T("raw NUL in key", "{\"a\0b\":1}"),
	T("NUL for white space", "[1\0]"),
	T("lone continuation byte", "[\"\x80\"]"),
	T("0xFF", "[\"\xff\"]"),
	T("Latin-1", "[\"\xe9\"]"),
	T("cut sequence", "[\"\xe2\x82\"]"),
	T("cut by the end", "[\"\xf0\x9d"),
	T("overlong two", "[\"\xc0\xaf\"]"),
	T("overlong three", "[\"\xe0\x80\xaf\"]"),
	T("overlong four", "[\"\xf0\x80\x80\xaf\"]"),
	T("overlong NUL", "[\"\xc0\x80\"]"),
	T("surrogate in UTF-8", "[\"\xed\xa0\x80\"]"),
	T("above U+10FFFF", "[\"\xf4\x90\x80\x80\"]"),
	T("five bytes", "[\"\xf8\x88\x80\x80\x80\"]"),
	T("invalid byte outside", "[\xe5]"),
	T("raw letter outside", "[\xc3\xa9]"),
	T("duplicate key", "{\"a\":1,\"a\":2}"),
	T("duplicate key, escaped", "{\"a\":1,\"\\u0061\":2}"),
	T("duplicate empty key", "{\"\":1,\"\":2}"),
	T("duplicate deep", "[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]"),
	T("duplicate around child", "{\"a\":{\"a\":1},\"a\":2}"),
};

static void accepts_what_the_rfc_allows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		oc_err err = {0};
		oc_auto_json cJSON *tree = NULL;
		oc_str text = {good[i].p, good[i].n};
		if (oc_json_parse(text, NULL, &tree, &err) != OC_OK || tree == NULL)
			fail_msg("%s: refused: %s", good[i].name, err.text);
		if (oc_json_check(text, NULL, &err) != OC_OK)
			fail_msg("%s: refused by check: %s", good[i].name, err.text);
		/* What is printed is read back as the same. */
		oc_auto_free char *print = oc_json_print(tree), *pretty = oc_json_print_pretty(tree);
		oc_auto_json cJSON *again = NULL, *third = NULL;
		assert_int_equal(oc_json_parse(oc_str_of(print), NULL, &again, &err), OC_OK);
		assert_int_equal(oc_json_parse(oc_str_of(pretty), NULL, &third, &err), OC_OK);
		if (!oc_json_equal(tree, again) || !oc_json_equal(tree, third))
			fail_msg("%s: printed as %s", good[i].name, print);
	}
}

static void refuses_everything_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		oc_err err = {0};
		cJSON *tree = (cJSON *)&err;
		/* An exact copy without a NUL, so that a sanitizer sees a read beyond the end. */
		char *copy = malloc(bad[i].n + 1);
		assert_non_null(copy);
		memcpy(copy, bad[i].p, bad[i].n);
		copy = realloc(copy, bad[i].n == 0 ? 1 : bad[i].n);
		oc_status parsed = oc_json_parse((oc_str){copy, bad[i].n}, NULL, &tree, &err);
		oc_status checked = oc_json_check((oc_str){copy, bad[i].n}, NULL, NULL);
		free(copy);
		if (parsed != OC_E_INVALID || checked != OC_E_INVALID)
			fail_msg("%s: accepted", bad[i].name);
		assert_ptr_equal(tree, (cJSON *)&err); /* written only on success */
		if (err.text[0] == 0)
			fail_msg("%s: no message", bad[i].name);
	}
}

static void assert_error(const char *text, const char *message)
{
	oc_err err = {0};
	assert_int_equal(oc_json_check(oc_str_of(text), NULL, &err), OC_E_INVALID);
	assert_string_equal(err.text, message);
}

static void says_where(void **state)
{
	(void)state;
	assert_error("", "the text is empty");
	assert_error("{\"a\":1,\n \"b\" 2}", "line 2, column 6: expected ':' after the member name, found '2'");
	assert_error("{\"a\":1,\r\n\r\n  b:2}", "line 3, column 3: expected a member name in double quotes, found 'b'");
	assert_error("[\"\xc3\xa9\xc3\xa9\", x]", "line 1, column 8: expected a value, found 'x'");
	assert_error("[1, \xe2\x82\xac]", "line 1, column 5: expected a value, found '\xe2\x82\xac'");
	assert_error("[1, \x01]", "line 1, column 5: expected a value, found byte 0x01");
	assert_error("[1, 2", "line 1, column 6: expected ',' or ']', found the end");
	assert_error("{\"a\":1,\n\"b\":2,\n\"a\":3}", "line 3, column 1: \"a\" appears twice in the same object");
	assert_error("[1,\n2,]", "line 2, column 2: a comma stands before ']'");
	assert_error("[007]", "line 1, column 2: a number cannot begin with 0");
	assert_error("[\"a\nb\"]", "line 1, column 2: the string that begins here does not end on its line");
}

static void keeps_its_limits(void **state)
{
	(void)state;
	char deep[1100];
	oc_err err = {0};
	memset(deep, '[', 64);
	memset(deep + 64, ']', 64);
	assert_int_equal(oc_json_check((oc_str){deep, 128}, NULL, &err), OC_OK);
	memset(deep, '[', 65);
	memset(deep + 65, ']', 65);
	assert_int_equal(oc_json_check((oc_str){deep, 130}, NULL, &err), OC_E_LIMIT);
	assert_non_null(strstr(err.text, "64 levels"));
	/* 512 is the most, whatever is asked for. */
	oc_json_limits limits = {.max_depth = 100000};
	memset(deep, '[', 512);
	memset(deep + 512, ']', 512);
	oc_auto_json cJSON *tree = NULL;
	assert_int_equal(oc_json_parse((oc_str){deep, 1024}, &limits, &tree, &err), OC_OK);
	memset(deep, '[', 513);
	assert_int_equal(oc_json_check((oc_str){deep, 1024}, &limits, &err), OC_E_LIMIT);
	limits = (oc_json_limits){.max_nodes = 3};
	assert_int_equal(oc_json_check(oc_str_of("[1,2]"), &limits, &err), OC_OK);
	assert_int_equal(oc_json_check(oc_str_of("[1,2,3]"), &limits, &err), OC_E_LIMIT);
	limits = (oc_json_limits){.max_bytes = 4};
	assert_int_equal(oc_json_check(oc_str_of("[12]"), &limits, &err), OC_OK);
	assert_int_equal(oc_json_check(oc_str_of("[123]"), &limits, &err), OC_E_LIMIT);
}

static void a_million_brackets_do_no_harm(void **state)
{
	(void)state;
	size_t n = 1000000;
	char *text = malloc(n);
	assert_non_null(text);
	memset(text, '[', n);
	assert_int_equal(oc_json_check((oc_str){text, n}, NULL, NULL), OC_E_LIMIT);
	for (size_t i = 0; i + 5 <= n; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_int_equal(oc_json_check((oc_str){text, n}, NULL, NULL), OC_E_LIMIT);
	free(text);
}

static void duplicates_among_very_many(void **state)
{
	(void)state;
	oc_sbuf b;
	oc_sbuf_init(&b, 8 << 20);
	const unsigned members = 100000;
	oc_sbuf_char(&b, '{');
	for (unsigned i = 0; i < members; i++)
		oc_sbuf_printf(&b, "\"key-with-a-common-beginning-%06u\":%u,", i * 7919u % members, i);
	size_t open = b.n;
	oc_sbuf_z(&b, "\"last\":0}");
	uint64_t before = oc_now_ms();
	oc_err err = {0};
	assert_int_equal(oc_json_check(oc_sbuf_view(&b), NULL, &err), OC_OK);
	b.n = open;
	oc_sbuf_z(&b, "\"key-with-a-common-beginning-05000\\u0030\":0}");
	assert_int_equal(oc_json_check(oc_sbuf_view(&b), NULL, &err), OC_E_INVALID);
	assert_non_null(strstr(err.text, "key-with-a-common-beginning-050000\" appears twice"));
	/* Quadratic comparison would need 10^10 steps; this leaves room for valgrind. */
	assert_true(oc_now_ms() - before < 20000);
	oc_sbuf_free(&b);
}

static void numbers_keep_their_value(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
		const char *print;
	} rows[] = {
		{"0", 0, "0"},
		{"-1", -1, "-1"},
		{"999999999999999", 999999999999999.0, "999999999999999"},
		{"9007199254740991", 9007199254740991.0, "9007199254740991"},
		{"12345678901234567890", 12345678901234567890.0, "12345678901234567000"},
		{"1e22", 1e22, "1e+22"},
		{"0.1", 0.1, "0.1"},
		{"-2.5e-3", -0.0025, "-0.0025"},
		{"0.30000000000000004", 0.30000000000000004, "0.30000000000000004"},
		{"5e-324", 5e-324, "4.94065645841247e-324"},
		{"1.7976931348623157e308", 1.7976931348623157e308, "1.7976931348623157e+308"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		oc_auto_json cJSON *tree = NULL;
		oc_err err = {0};
		assert_int_equal(oc_json_parse(oc_str_of(rows[i].text), NULL, &tree, &err), OC_OK);
		assert_true(tree->valuedouble <= rows[i].value && tree->valuedouble >= rows[i].value);
		oc_auto_free char *print = oc_json_print(tree);
		oc_auto_json cJSON *again = NULL;
		assert_int_equal(oc_json_parse(oc_str_of(print), NULL, &again, &err), OC_OK);
		assert_true(oc_json_equal(tree, again));
		if (i != 4) /* there is more than one shortest text */
			assert_string_equal(print, rows[i].print);
	}
	/* A number of more than 63 characters, where cJSON's own reader stops. */
	oc_auto_json cJSON *tree = NULL;
	assert_int_equal(oc_json_parse(oc_str_of("[1.0000000000000000000000000000000000000000000000000000000000000000000001,2]"),
				       NULL, &tree, NULL),
			 OC_OK);
	assert_int_equal(cJSON_GetArraySize(tree), 2);
	oc_auto_json cJSON *nan = cJSON_CreateNumber(NAN);
	oc_auto_free char *print = oc_json_print(nan);
	assert_string_equal(print, "null");
}

static void strings_are_decoded(void **state)
{
	(void)state;
	oc_auto_json cJSON *tree = NULL;
	assert_int_equal(oc_json_parse(oc_str_of("{\"k\\u00e9y\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\\ud83d\\ude00z\"}"), NULL, &tree,
				       NULL),
			 OC_OK);
	assert_string_equal(oc_json_str(tree, "k\xc3\xa9y", NULL), "a\"\\/\b\f\n\r\t\xe2\x82\xac\xf0\x9f\x98\x80z");
	oc_auto_free char *print = oc_json_print(tree);
	assert_string_equal(print, "{\"k\xc3\xa9y\":\"a\\\"\\\\/\\u0008\\u000c\\n\\r\\t\xe2\x82\xac\xf0\x9f\x98\x80z\"}");
	/* A tree made by hand may hold bytes that are no UTF-8: they do not get out. */
	oc_auto_json cJSON *odd = cJSON_CreateString("a\xff" "b");
	oc_auto_free char *text = oc_json_print(odd);
	assert_string_equal(text, "\"a\xef\xbf\xbd" "b\"");
}

static void pretty_print_is_indented(void **state)
{
	(void)state;
	oc_auto_json cJSON *tree = NULL;
	assert_int_equal(oc_json_parse(oc_str_of("{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}"), NULL, &tree, NULL), OC_OK);
	oc_auto_free char *text = oc_json_print_pretty(tree);
	assert_string_equal(text, "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}");
}

static void getters_have_fallbacks(void **state)
{
	(void)state;
	oc_auto_json cJSON *t = NULL;
	assert_int_equal(oc_json_parse(oc_str_of("{\"s\":\"x\",\"n\":7,\"f\":1.5,\"big\":1e300,\"t\":true,\"z\":null,"
						 "\"a\":[{\"b.c\":[10,20]}],\"min\":-9223372036854775808}"),
				       NULL, &t, NULL),
			 OC_OK);
	assert_string_equal(oc_json_str(t, "s", "-"), "x");
	assert_string_equal(oc_json_str(t, "S", "-"), "-");
	assert_string_equal(oc_json_str(t, "n", "-"), "-");
	assert_string_equal(oc_json_str(NULL, "n", "-"), "-");
	assert_int_equal(oc_json_ostr(t, "none").n, 0);
	assert_int_equal(oc_json_i64(t, "n", -1), 7);
	assert_int_equal(oc_json_i64(t, "f", -1), -1);
	assert_int_equal(oc_json_i64(t, "big", -1), -1);
	assert_true(oc_json_i64(t, "min", -1) == INT64_MIN);
	assert_true(oc_json_num(t, "f", 0) > 1.4);
	assert_true(oc_json_bool(t, "t", false));
	assert_true(oc_json_bool(t, "z", true));
	assert_int_equal(oc_json_path(t, "a[0][\"b.c\"][1]")->valueint, 20);
	assert_null(oc_json_path(t, "a[0].b.c"));
	assert_null(oc_json_path(t, "a[1]"));
	assert_null(oc_json_path(t, "a.b"));
	assert_null(oc_json_path(t, "a[0"));
	assert_null(oc_json_path(t, "s.x"));
	assert_true(oc_json_set_i64(t, "n", 8) && oc_json_i64(t, "n", 0) == 8);
	assert_true(oc_json_set_str(t, "new", "v") && strcmp(oc_json_str(t, "new", ""), "v") == 0);
	assert_true(oc_json_set_bool(t, "t", false) && !oc_json_bool(t, "t", true));
	assert_false(oc_json_set(t, "x", NULL));
	assert_false(oc_json_set_i64(cJSON_GetObjectItem(t, "s"), "x", 1));
}

static void equality_ignores_order(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"{\"a\":1,\"b\":[1,2]}", "{\"b\":[1,2],\"a\":1}", true}, {"[1,2]", "[2,1]", false},
		{"{\"a\":1}", "{\"a\":1,\"b\":2}", false},		    {"{\"a\":1}", "{\"b\":1}", false},
		{"[]", "{}", false},					    {"0", "-0", true},
		{"null", "false", false},				    {"\"1\"", "1", false},
		{"{\"a\":null}", "{}", false},				    {"[[]]", "[[]]", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		oc_auto_json cJSON *a = NULL, *b = NULL;
		assert_int_equal(oc_json_parse(oc_str_of(rows[i].a), NULL, &a, NULL), OC_OK);
		assert_int_equal(oc_json_parse(oc_str_of(rows[i].b), NULL, &b, NULL), OC_OK);
		if (oc_json_equal(a, b) != rows[i].same || oc_json_equal(b, a) != rows[i].same)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
	}
}

static void paths_are_written_as_they_are_read(void **state)
{
	(void)state;
	static const char *const names[] = {"a", "b.c", "d[0]", "e\"f\\g", "+49 170", "openai/gpt-4.1", "", "x-y_z"};
	oc_sbuf path;
	oc_sbuf_init(&path, 4096);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		oc_jpath_add_name(&path, names[i]);
		oc_jpath_add_index(&path, i);
	}
	assert_string_equal(path.p, "a[0][\"b.c\"][1][\"d[0]\"][2][\"e\\\"f\\\\g\"][3][\"+49 170\"][4][\"openai/gpt-4.1\"][5]"
				    "[\"\"][6].x-y_z[7]");
	assert_int_equal(oc_jpath_check(path.p, NULL), OC_OK);
	oc_jpath it;
	oc_jpath_begin(&it, path.p);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(oc_jpath_next(&it), OC_OK);
		assert_false(it.is_index);
		assert_string_equal(it.name, names[i]);
		assert_int_equal(oc_jpath_next(&it), OC_OK);
		assert_true(it.is_index && it.index == i);
	}
	assert_int_equal(oc_jpath_next(&it), OC_E_NOT_FOUND);
	oc_sbuf_free(&path);
	static const char *const malformed[] = {"",	".",   "a.",	  ".a",	   "a..b", "a[",     "a[]",
						"a[x]", "a]",  "a[\"b]",  "a[1]b", "a[-1]", "a[1", "a[99999999999]",
						"a\"b", "a[\"x\"", "a\xff"};
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
		if (oc_jpath_check(malformed[i], NULL) == OC_OK)
			fail_msg("accepted: %s", malformed[i]);
	assert_true(oc_jpath_under("a.b[0].c", "a.b"));
	assert_true(oc_jpath_under("a.b", "a[\"b\"]"));
	assert_true(oc_jpath_under("a", ""));
	assert_false(oc_jpath_under("a.bc", "a.b"));
	assert_false(oc_jpath_under("a", "a.b"));
	assert_false(oc_jpath_under("a[1]", "a[2]"));
}

/* Whatever allocation fails: a clean error and nothing left behind. */
static void survives_every_failed_allocation(void **state)
{
	(void)state;
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 16);
	oc_sbuf_z(&b, "{\"list\":[1,\"two\",null,{\"\\u0061\":1.23456789012345678901234567890123456789012345678901234567890123456}]");
	for (int i = 0; i < 40; i++)
		oc_sbuf_printf(&b, ",\"k\\u0065y%d\":\"v\\n%d\"", i, i);
	oc_sbuf_char(&b, '}');
	unsigned long live = oc_mem_live();
	unsigned failed = 0;
	for (unsigned long n = 1;; n++) {
		cJSON *tree = NULL;
		oc_err err = {0};
		oc_mem_fail_at(n);
		oc_status status = oc_json_parse(oc_sbuf_view(&b), NULL, &tree, &err);
		oc_status check = oc_json_check(oc_sbuf_view(&b), NULL, NULL);
		oc_mem_fail_at(0);
		cJSON_Delete(tree);
		assert_int_equal(oc_mem_live(), live);
		if (status == OC_OK && check == OC_OK)
			break;
		assert_true(status == OC_OK || status == OC_E_NOMEM);
		assert_true(check == OC_OK || check == OC_E_NOMEM);
		failed++;
	}
	assert_true(failed > 50);
	oc_sbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_what_the_rfc_allows),
		cmocka_unit_test(refuses_everything_else),
		cmocka_unit_test(says_where),
		cmocka_unit_test(keeps_its_limits),
		cmocka_unit_test(a_million_brackets_do_no_harm),
		cmocka_unit_test(duplicates_among_very_many),
		cmocka_unit_test(numbers_keep_their_value),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(pretty_print_is_indented),
		cmocka_unit_test(getters_have_fallbacks),
		cmocka_unit_test(equality_ignores_order),
		cmocka_unit_test(paths_are_written_as_they_are_read),
		cmocka_unit_test(survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
