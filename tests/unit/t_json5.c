/* Unit tests of JSON5: reading, and editing text so that what people wrote stays as they wrote it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/json5.h"

static const struct {
	const char *text, *json;
} reads[] = {
	{"{}", "{}"},
	{" // c\n [1, /* x\n y */ 2,] // end", "[1,2]"},
	{"{a: 1, 'b': 2, \"c\": 3,}", "{\"a\":1,\"b\":2,\"c\":3}"},
	{"{$_a1: 1, \xc3\xa9t\xc3\xa9: 2, \\u0061b: 3, null: 4, if: 5}", "{\"$_a1\":1,\"\xc3\xa9t\xc3\xa9\":2,\"ab\":3,\"null\":4,\"if\":5}"},
	{"[.5, 5., +1, -0x1F, 0Xff, 1e3, -.5e-1, +0]", "[0.5,5,1,-31,255,1000,-0.05,0]"},
	{"'it\\'s \"x\"'", "\"it's \\\"x\\\"\""},
	{"'\\v\\x41\\q\\\n\\\r\nz'", "\"\\u000bAqz\""},
	{"'tab\there'", "\"tab\\there\""},
	{"'\xe2\x80\xa8'", "\"\xe2\x80\xa8\""},
	{"\xef\xbb\xbf{}", "{}"},
	{"\xc2\xa0[\xe2\x80\xa8]\v\f", "[]"},
	{"// no end of line\r[1]", "[1]"},
	{"/**/ true /***/", "true"},
	{"[[],[[]],]", "[[],[[]]]"},
	{"{a:{b:[{c:null}]}}", "{\"a\":{\"b\":[{\"c\":null}]}}"},
};

static const char *const refused[] = {
	"",	   "// only a comment", "[,]",	      "[1,,2]",	  "{,}",	"{a}",	    "{a:}",	 "{1:2}",      "{a-b:1}",
	"{a:1 b:2}", "{a:1,a:2}",	  "{a:1,\"a\":2}", "{a:1,\\u0061:2}", "[01]",	"[0x]",	    "[.]",	 "[+]",	       "[1e]",
	"[- 1]",   "Infinity",		"-Infinity",  "NaN",	  "+NaN",	"[0x1.5]",  "'a\nb'",	 "'\\1'",      "'\\0'",
	"'\\01'",  "'\\x0'",		"'\\x00'",    "'\\u00'",  "'\\ud800'",	"/* open",  "[1] /* open", "[1] x",    "undefined",
	"truex",   "true1",		"[1}",	      "{a:1]",	  "'a",		"\"a'",	    "#\n1",	 "1 2",	       "{\\u0031a:1}",
	"{\\x61:1}", "\xff",		"'\xc0\x80'", "// \xff\n1", "[0x" "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff]",
};

static void reads_json5(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
		oc_auto_json cJSON *tree = NULL, *expected = NULL;
		oc_err err = {0};
		if (oc_json5_parse(oc_str_of(reads[i].text), NULL, &tree, &err) != OC_OK)
			fail_msg("%s: %s", reads[i].text, err.text);
		assert_int_equal(oc_json_parse(oc_str_of(reads[i].json), NULL, &expected, &err), OC_OK);
		oc_auto_free char *print = oc_json_print(tree);
		if (!oc_json_equal(tree, expected))
			fail_msg("%s: read as %s", reads[i].text, print);
	}
}

static void refuses_what_is_not_json5(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		oc_err err = {0};
		cJSON *tree = NULL;
		if (oc_json5_parse(oc_str_of(refused[i]), NULL, &tree, &err) != OC_E_INVALID || err.text[0] == 0)
			fail_msg("accepted: %s", refused[i]);
	}
	cJSON *tree = NULL;
	assert_int_equal(oc_json5_parse((oc_str){"[1]\0", 4}, NULL, &tree, NULL), OC_E_INVALID);
	assert_int_equal(oc_json5_parse((oc_str){"'\0'", 3}, NULL, &tree, NULL), OC_E_INVALID);
}

static void tells_the_place(void **state)
{
	(void)state;
	oc_err err = {0};
	cJSON *tree = NULL;
	assert_int_equal(oc_json5_parse(oc_str_of("{\n  // c\n  port: 18789\n  bind: 'lan'\n}"), NULL, &tree, &err), OC_E_INVALID);
	assert_string_equal(err.text, "line 4, column 3: expected ',' or '}', found 'b'");
	assert_int_equal(oc_json5_parse(oc_str_of("{\n a: 1 /* x\n\n"), NULL, &tree, &err), OC_E_INVALID);
	assert_string_equal(err.text, "line 2, column 7: the comment that begins here does not end");
	static const char text[] = "// c\n{\n  a: 1,\n  b: [{c: 2}, {c: 3,\n\td: 4}],\n}";
	unsigned line = 0, column = 0;
	assert_int_equal(oc_json5_locate(oc_str_of(text), "b[1].d", &line, &column), OC_OK);
	assert_int_equal(line, 5);
	assert_int_equal(column, 2);
	assert_int_equal(oc_json5_locate(oc_str_of(text), "b[0]", &line, &column), OC_OK);
	assert_int_equal(line, 4);
	assert_int_equal(column, 7);
	assert_int_equal(oc_json5_locate(oc_str_of(text), "b[2]", &line, &column), OC_E_NOT_FOUND);
	assert_int_equal(oc_json5_locate(oc_str_of("{"), "b", &line, &column), OC_E_INVALID);
}

/* text, path, value (NULL: remove), expected text (NULL: refused) */
static const struct {
	const char *name, *text, *path, *value, *after;
} edits[] = {
	{"replace", "{ a: 1, // one\n  b: 2 }", "a", "5", "{ a: 5, // one\n  b: 2 }"},
	{"replace by the same keeps the writing", "{a: 0x10}", "a", "16", "{a: 0x10}"},
	{"replace a string", "{a: 'x' /* c */}", "a", "\"y\"", "{a: \"y\" /* c */}"},
	{"replace in a list", "[1, 2, 3]", "[1]", "20", "[1, 20, 3]"},
	{"append to a list", "{a: [1, 2]}", "a[2]", "3", "{a: [1, 2, 3]}"},
	{"append to an empty list", "{a: []}", "a[0]", "3", "{a: [3]}"},
	{"no holes in lists", "{a: [1, 2]}", "a[3]", "3", NULL},
	{"insert in lines", "{\n  a: 1, // one\n  // more\n}\n", "b", "2", "{\n  a: 1, // one\n  b: 2,\n  // more\n}\n"},
	{"insert without trailing comma", "{\n  \"a\": 1 // one\n}\n", "b", "2", "{\n  \"a\": 1, // one\n  \"b\": 2\n}\n"},
	{"insert inline", "{a: 1}", "b", "2", "{a: 1, b: 2}"},
	{"insert inline behind a comma", "{a: 1, }", "b", "2", "{a: 1, b: 2, }"},
	{"insert with block comment", "{\n\ta: 1 /* one */, /* still */\n}", "b", "2", "{\n\ta: 1 /* one */, /* still */\n\tb: 2,\n}"},
	{"comma first", "{ a: 1\n, b: 2\n}", "c", "3", "{ a: 1\n, b: 2, c: 3\n}"},
	{"insert nested", "{\n  \"a\": 1\n}\n", "x.y[0].z", "true",
	 "{\n  \"a\": 1,\n  \"x\": {\n    \"y\": [\n      {\n        \"z\": true\n      }\n    ]\n  }\n}\n"},
	{"insert into empty", "{\n  a: {},\n}", "a.b", "1", "{\n  a: {\n    b: 1\n  },\n}"},
	{"insert into inline empty", "{ x: 0, a: {} }", "a.b", "1", "{ x: 0, a: { b: 1 } }"},
	{"insert into commented empty", "{\n  // nothing yet\n}\n", "a", "1", "{\n  // nothing yet\n  \"a\": 1\n}\n"},
	{"insert into inline commented", "{ /* none */ }", "a", "1", "{ /* none */ \"a\": 1 }"},
	{"new document", "", "gateway.port", "1", "{\n  \"gateway\": {\n    \"port\": 1\n  }\n}\n"},
	{"only comments", "// mine", "a", "1", "// mine\n{\n  \"a\": 1\n}\n"},
	{"four spaces", "{\n    a: 1\n}", "b", "{\"c\": 1}", "{\n    a: 1,\n    b: {\n        c: 1\n    }\n}"},
	{"carriage returns", "{\r\n  a: 1\r\n}\r\n", "b", "2", "{\r\n  a: 1,\r\n  b: 2\r\n}\r\n"},
	{"null becomes an object", "{a: null}", "a.b", "1", "{a: { b: 1 }}"},
	{"odd name", "{a: 1}", "[\"b c\"]", "1", "{a: 1, \"b c\": 1}"},
	{"name with dot", "{a: {\"x.y\": 1}}", "a[\"x.y\"]", "2", "{a: {\"x.y\": 2}}"},
	{"quoting follows the neighbours", "{a: {'q': 1}}", "a.b", "2", "{a: {'q': 1, \"b\": 2}}"},
	{"short lists stay on a line", "{\n  a: 1\n}", "b", "[\"x\", \"y\"]", "{\n  a: 1,\n  b: [\"x\", \"y\"]\n}"},
	{"through a string", "{a: 'x'}", "a.b", "1", NULL},
	{"through a list", "{a: []}", "a.b", "1", NULL},
	{"index of an object", "{a: {}}", "a[0]", "1", NULL},
	{"broken text", "{a: ", "a", "1", NULL},
	{"malformed path", "{}", "a..b", "1", NULL},
	{"not an object", "17", "a", "1", NULL},

	{"remove a line", "{\n  // about a\n  a: 1, // one\n  b: 2, // two\n}", "a", NULL,
	 "{\n  // about a\n  b: 2, // two\n}"},
	{"remove the last line", "{\n  \"a\": 1, // one\n  \"b\": 2 // two\n}", "b", NULL, "{\n  \"a\": 1 // one\n}"},
	{"remove the last line, trailing comma", "{\n  a: 1,\n  b: 2,\n}", "b", NULL, "{\n  a: 1,\n}"},
	{"remove first inline", "{ a: 1, b: 2 }", "a", NULL, "{ b: 2 }"},
	{"remove last inline", "{ a: 1, b: 2 }", "b", NULL, "{ a: 1 }"},
	{"remove middle inline", "[1, 2, 3]", "[1]", NULL, "[1, 3]"},
	{"remove the only one", "{\n  a: {\n    b: 1,\n  },\n}", "a.b", NULL, "{\n  a: {},\n}"},
	{"remove the only one, comment stays", "{ /* c */ a: 1 }", "a", NULL, "{ /* c */ }"},
	{"remove over lines", "{\n  a: {\n    x: 1,\n  },\n  b: 2\n}", "a", NULL, "{\n  b: 2\n}"},
	{"remove before the bracket", "{\n  a: 1,\n  b: 2}", "b", NULL, "{\n  a: 1\n  }"},
	{"remove nothing", "{a: 1}", "b", NULL, NULL},
	{"remove nothing deep", "{a: 1}", "a.b.c", NULL, NULL},
};

static void edits_leave_the_rest(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		oc_auto_json cJSON *value = NULL;
		oc_err err = {0};
		if (edits[i].value != NULL)
			assert_int_equal(oc_json_parse(oc_str_of(edits[i].value), NULL, &value, NULL), OC_OK);
		oc_auto_free char *after = NULL;
		oc_status status = oc_json5_edit(oc_str_of(edits[i].text), edits[i].path, value, &after, &err);
		if (edits[i].after == NULL) {
			if (status != OC_E_INVALID && status != OC_E_NOT_FOUND)
				fail_msg("%s: not refused", edits[i].name);
			assert_true(err.text[0] != 0);
			continue;
		}
		if (status != OC_OK)
			fail_msg("%s: %s", edits[i].name, err.text);
		if (strcmp(after, edits[i].after) != 0)
			fail_msg("%s:\n%s\ninstead of\n%s", edits[i].name, after, edits[i].after);
	}
}

static void errors_say_what_is_in_the_way(void **state)
{
	(void)state;
	oc_err err = {0};
	char *after = NULL;
	oc_auto_json cJSON *one = cJSON_CreateNumber(1);
	oc_json5_edit(oc_str_of("{a: {b: 'x'}}"), "a.b.c", one, &after, &err);
	assert_string_equal(err.text, "a.b is a string and has no members");
	oc_json5_edit(oc_str_of("{a: [1]}"), "a[7]", one, &after, &err);
	assert_string_equal(err.text, "a[7]: the list has fewer entries");
	assert_int_equal(oc_json5_edit(oc_str_of("{}"), "a.b", NULL, &after, &err), OC_E_NOT_FOUND);
	assert_string_equal(err.text, "a.b is not set");
	oc_auto_json cJSON *odd = cJSON_CreateString("\xff");
	assert_int_equal(oc_json5_edit(oc_str_of("{}"), "a", odd, &after, &err), OC_E_INVALID);
	assert_null(after);
}

static void survives_every_failed_allocation(void **state)
{
	(void)state;
	oc_auto_json cJSON *value = NULL;
	assert_int_equal(oc_json_parse(oc_str_of("{\"x\":[1,{\"y\":\"z\"}]}"), NULL, &value, NULL), OC_OK);
	static const char *const texts[] = {"{\n  a: {b: 'c'}, // comment\n  d: [1, 2],\n}\n", "{a: null}", "// x\n"};
	unsigned long live = oc_mem_live();
	for (size_t t = 0; t < 3; t++)
		for (int removing = 0; removing < 2; removing++)
			for (unsigned long n = 1;; n++) {
				char *after = NULL;
				oc_mem_fail_at(n);
				oc_status status = oc_json5_edit(oc_str_of(texts[t]), removing ? "a" : "a.new[0].q",
								 removing ? NULL : value, &after, NULL);
				oc_mem_fail_at(0);
				oc_free(after);
				assert_int_equal(oc_mem_live(), live);
				if (status == OC_OK || status == OC_E_NOT_FOUND)
					break;
				assert_true(status == OC_E_NOMEM || status == OC_E_INVALID);
				assert_true(n < 10000);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_json5),	       cmocka_unit_test(refuses_what_is_not_json5),
		cmocka_unit_test(tells_the_place),     cmocka_unit_test(edits_leave_the_rest),
		cmocka_unit_test(errors_say_what_is_in_the_way), cmocka_unit_test(survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
