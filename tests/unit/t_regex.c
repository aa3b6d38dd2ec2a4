/* Unit tests of regular expressions: JavaScript's meaning, and no pattern that hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/regex.h"

/* pattern, text, whether it matches; "i/" in front: case does not matter */
static const struct {
	const char *pattern, *text;
	bool matches;
} rows[] = {
	{"", "", true},			     {"", "x", true},		       {"a", "xax", true},
	{"a", "xxx", false},		     {"^a", "ba", false},	       {"a$", "ab", false},
	{"^a$", "a", true},		     {"^$", "", true},		       {"^$", "x", false},
	{"^(ab|cd)+$", "abcdab", true},	     {"^(ab|cd)+$", "abc", false},     {"^a|b$", "xb", true},
	{"^(?:a|b|)$", "", true},	     {"^a*$", "", true},	       {"^a*$", "aaaa", true},
	{"^a+$", "", false},		     {"^a?b$", "b", true},	       {"^a?b$", "aab", false},
	{"^a{2}$", "aa", true},		     {"^a{2}$", "aaa", false},	       {"^a{2,}$", "aaaaa", true},
	{"^a{2,}$", "a", false},	     {"^a{1,3}$", "aaa", true},	       {"^a{1,3}$", "aaaa", false},
	{"^a{0}b$", "b", true},		     {"^a{,3}$", "a{,3}", true},       {"^x{$", "x{", true},
	{"^{}$", "{}", true},		     {"^a+?b*?$", "aabb", true},       {"^[abc]$", "b", true},
	{"^[abc]$", "d", false},	     {"^[^abc]$", "d", true},	       {"^[a-c]$", "b", true},
	{"^[a-c-]$", "-", true},	     {"^[]$", "", false},	       {"^[^]$", "\n", true},
	{"^[\\w.-]+$", "a-b.c_1", true},     {"^[\\w.-]+$", "a b", false},     {"^[\\d-x]+$", "1-x", true},
	{"^[\\]\\\\]+$", "]\\", true},	     {"^\\d{3}-\\d+$", "123-4567", true}, {"^\\D$", "1", false},
	{"^\\D$", "\xc3\xa9", true},	     {"^\\W$", "_", false},	       {"^\\s+$", " \t\xc2\xa0\xe2\x80\xa8", true},
	{"^\\S$", " ", false},		     {"^.$", "\xf0\x9f\x98\x80", true}, {"^.$", "\n", false},
	{"^\\u00e9$", "\xc3\xa9", true},     {"^\\u{1F600}$", "\xf0\x9f\x98\x80", true},
	{"^\\ud83d\\ude00$", "\xf0\x9f\x98\x80", true}, {"^\\x41$", "A", true}, {"^[\\u0400-\\u04FF]+$", "\xd0\xb6\xd1\x8f", true},
	{"^\xc3\xa9+$", "\xc3\xa9\xc3\xa9", true}, {"^[\xc3\xa9-\xc3\xbc]$", "\xc3\xaa", true},
	{"\\bfoo\\b", "a foo b", true},	     {"\\bfoo\\b", "afoo b", false},   {"\\Boo\\b", "foo", true},
	{"^\\/a\\.b\\$$", "/a.b$", true},    {"^\\t\\n$", "\t\n", true},       {"(a*)*$", "aaab", true},
	{"^(a*)*$", "aaab", false},	     {"^(a|a|b)*c$", "abababc", true}, {"^(?<year>\\d{4})$", "2026", true},
	{"i/^@?OpenClaw\\b", "@openclaw hi", true}, {"i/[^a]", "A", false},     {"i/^[x-z]+$", "XyZ", true},
	{"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$", "a-valid-label", true},
	{"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$", "-not-valid", false},
	{"^\\cA$", "\x01", true},	     {"^[\\b]$", "\b", true},	       {"^a\\-b$", "a-b", true},
	{"^.$", "\xff", true},		     {"^\\w$", "\xff", false},	       {"^((a|b)(c|d)){2}$", "acbd", true},
};

static void matches_as_javascript_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool fold = strncmp(rows[i].pattern, "i/", 2) == 0;
		oc_regex *regex = NULL;
		oc_err err = {0};
		if (oc_regex_new(oc_str_of(rows[i].pattern + 2 * fold), fold ? OC_REGEX_IGNORE_CASE : 0, &regex, &err) != OC_OK)
			fail_msg("%s: %s", rows[i].pattern, err.text);
		if (oc_regex_match(regex, oc_str_of(rows[i].text)) != (rows[i].matches ? OC_OK : OC_E_NOT_FOUND))
			fail_msg("%s and %s", rows[i].pattern, rows[i].text);
		oc_regex_free(regex);
	}
}

/* Leftmost, then longest; the characters around the place count. */
static void finds_places(void **state)
{
	static const struct {
		const char *pattern, *text;
		size_t from;
		oc_status status;
		size_t at, n;
	} places[] = {
		{"b+", "abbbc bb", 0, OC_OK, 1, 3},	    {"b+", "abbbc bb", 4, OC_OK, 6, 2},	  {"b+", "abbbc bb", 8, OC_E_NOT_FOUND, 0, 0},
		{"a|ab|abc", "xabcd", 0, OC_OK, 1, 3},	    {"x*", "aaa", 0, OC_OK, 0, 0},	  {"^a", "aa", 1, OC_E_NOT_FOUND, 0, 0},
		{"\\bkey", "monkey key", 0, OC_OK, 7, 3},   {"\\bkey", "monkey", 3, OC_E_NOT_FOUND, 0, 0}, {"c$", "cc", 0, OC_OK, 1, 1},
		{"\xc3\xa9+", "x\xc3\xa9\xc3\xa9!", 0, OC_OK, 1, 4}, {"cd|bcde?f", "abcdef", 0, OC_OK, 1, 5}, {"cd|bcx", "abcdef", 0, OC_OK, 2, 2},
	};
	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		oc_regex *regex = NULL;
		size_t at = 0, n = 0;
		assert_int_equal(oc_regex_new(oc_str_of(places[i].pattern), 0, &regex, NULL), OC_OK);
		oc_status status = oc_regex_find(regex, oc_str_of(places[i].text), places[i].from, &at, &n);
		if (status != places[i].status || at != places[i].at || n != places[i].n)
			fail_msg("%s in %s from %zu: %s at %zu, %zu bytes", places[i].pattern, places[i].text, places[i].from,
				 oc_status_name(status), at, n);
		oc_regex_free(regex);
	}
}

static void refuses_what_it_cannot_do(void **state)
{
	(void)state;
	static const struct {
		const char *pattern;
		oc_status status;
	} bad[] = {
		{"(", OC_E_INVALID},	   {")", OC_E_INVALID},	       {"a)b", OC_E_INVALID},	{"[", OC_E_INVALID},
		{"[a", OC_E_INVALID},	   {"*", OC_E_INVALID},	       {"a**", OC_E_INVALID},	{"+a", OC_E_INVALID},
		{"(?a)", OC_E_INVALID},	   {"[z-a]", OC_E_INVALID},    {"\\", OC_E_INVALID},	{"\\x4", OC_E_INVALID},
		{"\\u{110000}", OC_E_INVALID}, {"a{3,2}", OC_E_INVALID}, {"^*", OC_E_INVALID},	{"\xff", OC_E_INVALID},
		{"(?=a)", OC_E_UNSUPPORTED}, {"(?<!a)", OC_E_UNSUPPORTED}, {"(a)\\1", OC_E_UNSUPPORTED},
		{"\\p{L}", OC_E_UNSUPPORTED}, {"a{99999}", OC_E_LIMIT}, {"(((a{100}){100}){100})", OC_E_LIMIT},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		oc_regex *regex = NULL;
		oc_err err = {0};
		if (oc_regex_new(oc_str_of(bad[i].pattern), 0, &regex, &err) != bad[i].status || err.text[0] == 0)
			fail_msg("%s: %s", bad[i].pattern, err.text);
		assert_null(regex);
	}
	oc_err err = {0};
	oc_regex *regex = NULL;
	oc_regex_new(oc_str_of("ab(c"), 0, &regex, &err);
	assert_string_equal(err.text, "the pattern has a ( without ) at character 5");
}

static void nested_groups_have_a_limit(void **state)
{
	(void)state;
	char pattern[4097];
	memset(pattern, '(', sizeof pattern);
	oc_regex *regex = NULL;
	assert_int_equal(oc_regex_new((oc_str){pattern, 4096}, 0, &regex, NULL), OC_E_LIMIT);
	assert_int_equal(oc_regex_new((oc_str){pattern, 4097}, 0, &regex, NULL), OC_E_LIMIT);
	memset(pattern, '|', sizeof pattern);
	assert_int_equal(oc_regex_new((oc_str){pattern, 4096}, 0, &regex, NULL), OC_OK);
	assert_int_equal(oc_regex_match(regex, oc_str_of("x")), OC_OK);
	oc_regex_free(regex);
}

/* What takes a backtracking matcher longer than the universe lasts. */
static void no_pattern_explodes(void **state)
{
	(void)state;
	static const char *const evil[] = {"^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){20}$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"};
	size_t n = 20000;
	char *text = malloc(n + 1);
	assert_non_null(text);
	memset(text, 'a', n);
	text[n] = '!';
	uint64_t before = oc_now_ms();
	for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
		oc_regex *regex = NULL;
		assert_int_equal(oc_regex_new(oc_str_of(evil[i]), 0, &regex, NULL), OC_OK);
		assert_int_equal(oc_regex_match(regex, (oc_str){text, n + 1}), OC_E_NOT_FOUND);
		oc_regex_free(regex);
	}
	assert_true(oc_now_ms() - before < 30000);
	/* And what is too much even so is given up. */
	oc_regex *regex = NULL;
	assert_int_equal(oc_regex_new(oc_str_of("(a?){1000}{8}b"), 0, &regex, NULL), OC_E_INVALID);
	assert_int_equal(oc_regex_new(oc_str_of("((a?){900}){7}b"), 0, &regex, NULL), OC_OK);
	assert_int_equal(oc_regex_match(regex, (oc_str){text, n}), OC_E_LIMIT);
	oc_regex_free(regex);
	free(text);
}

static void survives_every_failed_allocation(void **state)
{
	(void)state;
	unsigned long live = oc_mem_live();
	for (unsigned long n = 1;; n++) {
		oc_regex *regex = NULL;
		oc_mem_fail_at(n);
		oc_status status = oc_regex_new(oc_str_of("^(?:[a-z_]+|\\d{2,40})(x|y|z)*\\s.$"), 0, &regex, NULL);
		oc_status match = status == OC_OK ? oc_regex_match(regex, oc_str_of("abc x")) : status;
		oc_mem_fail_at(0);
		oc_regex_free(regex);
		assert_int_equal(oc_mem_live(), live);
		if (status == OC_OK && match != OC_E_NOMEM)
			break;
		assert_true(match == OC_E_NOMEM || match == OC_E_LIMIT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_as_javascript_does), cmocka_unit_test(finds_places), cmocka_unit_test(refuses_what_it_cannot_do),
		cmocka_unit_test(nested_groups_have_a_limit), cmocka_unit_test(no_pattern_explodes),
		cmocka_unit_test(survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
