/* Unit tests of UTF-8: all of Unicode in and out, everything else refused, cuts at borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/data/utf8.h"

#define S(literal) ((oc_str){literal, sizeof(literal) - 1})

static void every_code_point_goes_round(void **state)
{
	(void)state;
	size_t accepted = 0;
	for (uint32_t code = 0; code <= 0x110010; code++) {
		char bytes[4];
		size_t n = oc_utf8_encode(code, bytes);
		if (n == 0) {
			assert_true((code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF);
			continue;
		}
		uint32_t back = 0;
		if (oc_utf8_decode((oc_str){bytes, n}, &back) != n || back != code || !oc_utf8_valid((oc_str){bytes, n}))
			fail_msg("U+%04X", code);
		for (size_t cut = 1; cut < n; cut++)
			if (oc_utf8_decode((oc_str){bytes, cut}, &back) != 0)
				fail_msg("U+%04X cut to %zu", code, cut);
		accepted++;
	}
	assert_int_equal(accepted, 0x110000 - 0x800);
}

/* Of all sequences of three bytes just those are valid that encode can make. */
static void no_other_sequence_is_valid(void **state)
{
	(void)state;
	size_t three = 0;
	for (uint32_t i = 0; i < 1u << 24; i++) {
		char bytes[3] = {(char)(i >> 16), (char)(i >> 8), (char)i};
		uint32_t code;
		if (((unsigned char)bytes[0] & 0xF0) != 0xE0)
			continue;
		if (oc_utf8_decode((oc_str){bytes, 3}, &code) == 3) {
			char again[4];
			assert_int_equal(oc_utf8_encode(code, again), 3);
			assert_memory_equal(again, bytes, 3);
			three++;
		}
	}
	assert_int_equal(three, 0x10000 - 0x800 - 0x800);
}

static void the_first_wrong_byte_is_found(void **state)
{
	(void)state;
	assert_int_equal(oc_utf8_check(S("")), 0);
	assert_true(oc_utf8_valid(S("")));
	assert_int_equal(oc_utf8_check(S("abcdefghijklmnop\x80qrst")), 16);
	assert_int_equal(oc_utf8_check(S("abcdefg\xc3\xa9\xff")), 9);
	assert_int_equal(oc_utf8_check(S("\xc0\x80")), 0);
	assert_int_equal(oc_utf8_check(S("a\xed\xa0\x80")), 1);
	assert_int_equal(oc_utf8_check(S("a\xf4\x90\x80\x80")), 1);
	assert_int_equal(oc_utf8_check(S("a\xf5\x80\x80\x80")), 1);
	assert_int_equal(oc_utf8_check(S("abcdefghabcdefgh\xe2\x82")), 16);
}

static void cuts_do_not_split_characters(void **state)
{
	(void)state;
	const oc_str s = S("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"); /* 1 2 3 4 1 bytes */
	static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
	for (size_t max = 0; max < sizeof expected / sizeof *expected; max++)
		assert_int_equal(oc_utf8_cut(s, max), expected[max]);
	/* Bytes that are no characters are cut anywhere and nothing hangs. */
	assert_int_equal(oc_utf8_cut(S("\x80\x80\x80\x80\x80"), 3), 3);
	assert_int_equal(oc_utf8_cut(S("\xf0\xf0\xf0\xf0\xf0"), 3), 3);
}

static void counts_characters(void **state)
{
	(void)state;
	assert_int_equal(oc_utf8_count(S("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z")), 5);
	assert_int_equal(oc_utf8_count(S("\xff\xfe\xc3")), 3);
	assert_int_equal(oc_utf8_count(S("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_goes_round),
		cmocka_unit_test(no_other_sequence_is_valid),
		cmocka_unit_test(the_first_wrong_byte_is_found),
		cmocka_unit_test(cuts_do_not_split_characters),
		cmocka_unit_test(counts_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
