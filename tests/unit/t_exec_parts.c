/* modules/tools/exec: cleaning output, keeping both ends of it, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clean.h"
#include "keys.h"
#include "tail.h"

/* ---- Cleaning ---- */

static void clean_in(const char *in, size_t n, size_t piece, const char *expected)
{
	ex_clean c = {0};
	tk_text out;

	tk_text_init(&out, 100000);
	for (size_t at = 0; at < n; at += piece)
		ex_clean_add(&c, in + at, n - at < piece ? n - at : piece, at + piece >= n, &out);
	if (strcmp(tk_text_view(&out).p, expected) != 0)
		print_message("pieces of %zu: \"%s\"\n", piece, tk_text_view(&out).p);
	assert_string_equal(tk_text_view(&out).p, expected);
	assert_int_equal(c.n_part, 0);
	tk_text_free(&out);
}

/* The same whatever the pieces. */
static void clean(const char *in, size_t n, const char *expected)
{
	for (size_t piece = 1; piece <= n; piece++)
		clean_in(in, n, piece, expected);
}
#define CLEAN(in, expected) clean(in, sizeof(in) - 1, expected)

static void test_clean(void **state)
{
	(void)state;
	CLEAN("plain\n\ttext", "plain\n\ttext");
	CLEAN("a\r\nb\r\n", "a\nb\n");
	CLEAN("10%\r20%\r30%\n", "10%\n20%\n30%\n");
	CLEAN("end\r", "end\n");
	CLEAN("\r\r\nx", "\nx");
	CLEAN("\x1b[1;31mred\x1b[0m and \x1b[38;5;208mmore\x1b[K", "red and more");
	CLEAN("\x1b]0;title\x07text", "text");
	CLEAN("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link");
	CLEAN("\x1b(Bx\x1b=y\x1bMz", "xyz");
	CLEAN("\x1b[12\nnot swallowed", "not swallowed");
	CLEAN("\x1b]never closed\nnot swallowed", "not swallowed");
	CLEAN("a\0b\x01\x08\x7f" "c", "abc");
	CLEAN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa6\x9e", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa6\x9e");
	CLEAN("\xff", "\xef\xbf\xbd");
	CLEAN("a\xc3", "a\xef\xbf\xbd");
	CLEAN("\xc3(", "\xef\xbf\xbd(");
	CLEAN("\xe2\x82(", "\xef\xbf\xbd(");
	CLEAN("\xf0\x9f\xa6", "\xef\xbf\xbd");
	CLEAN("\xc3\xc3\xbc", "\xef\xbf\xbd\xc3\xbc");
	CLEAN("\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"); /* a surrogate */
	CLEAN("\xc2\x9b" "31mred\xc2\x85", "red");
	CLEAN("\x1b[31\xc3\xbcx", "x"); /* a broken sequence ends, its character with it */
}

/* ---- Both ends ---- */

static char *tail_text(const ex_tail *t, uint64_t from)
{
	static char text[4096];
	tk_text out;

	tk_text_init(&out, sizeof(text) - 1);
	ex_tail_read(t, from, &out);
	assert_false(out.failed);
	(void)snprintf(text, sizeof(text), "%s", tk_text_view(&out).p);
	tk_text_free(&out);
	return text;
}

static void test_tail(void **state)
{
	char in[300];
	ex_tail t;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)('a' + i % 26);
	for (size_t piece = 1; piece < 80; piece += 7) {
		ex_tail_init(&t, 40); /* 20 at either end */
		assert_string_equal(tail_text(&t, 0), "");
		for (size_t n = 0; n < 200; n += piece) {
			char expected[400];

			if (t.total <= 40) {
				(void)snprintf(expected, sizeof(expected), "%.*s", (int)t.total, in);
			} else {
				(void)snprintf(expected, sizeof(expected), "%.20s\n[… %llu bytes left out …]\n%.20s", in,
					       (unsigned long long)t.total - 40, in + t.total - 20);
			}
			assert_string_equal(tail_text(&t, 0), expected);
			if (t.total > 10) {
				(void)snprintf(expected, sizeof(expected), "%.5s", in + t.total - 5);
				assert_string_equal(tail_text(&t, t.total - 5), expected);
			}
			assert_string_equal(tail_text(&t, t.total), "");
			ex_tail_add(&t, in + n, piece);
		}
		ex_tail_free(&t);
	}
	/* One piece larger than everything. */
	ex_tail_init(&t, 40);
	ex_tail_add(&t, in, 260);
	assert_int_equal(t.total, 260);
	assert_memory_equal(tail_text(&t, 0), in, 20);
	assert_memory_equal(tail_text(&t, 0) + strlen(tail_text(&t, 0)) - 20, in + 240, 20);
	ex_tail_free(&t);
}

static void test_tail_characters(void **state)
{
	ex_tail t;

	(void)state;
	for (size_t shift = 0; shift < 4; shift++) {
		const char *text;

		ex_tail_init(&t, 40);
		ex_tail_add(&t, "xxxx", shift);
		for (int i = 0; i < 40; i++)
			ex_tail_add(&t, "\xf0\x9f\xa6\x9e", 4);
		ex_tail_add(&t, "abc", shift);
		text = tail_text(&t, 0);
		for (size_t at = 0; at < strlen(text);) {
			size_t n = tk_utf8(text + at, strlen(text + at), NULL);

			assert_int_not_equal(n, 0); /* no character is cut */
			at += n;
		}
		ex_tail_free(&t);
	}
}

static void lines(const ex_tail *t, int64_t offset, int64_t limit, const char *expected)
{
	int64_t n = 0;
	tk_text out;

	tk_text_init(&out, 4096);
	ex_tail_lines(t, offset, limit, &out, &n);
	assert_string_equal(tk_text_view(&out).p, expected);
	assert_int_equal(n, 4);
	tk_text_free(&out);
}

static void test_lines(void **state)
{
	ex_tail t;

	(void)state;
	ex_tail_init(&t, 1000);
	ex_tail_add(&t, "one\ntwo\n\nfour", 13);
	lines(&t, 0, 2, "one\ntwo\n");
	lines(&t, 1, 1, "two\n");
	lines(&t, 2, 100, "\nfour");
	lines(&t, -1, 5, "four");
	lines(&t, -100, 1, "one\n");
	lines(&t, 4, 1, "");
	ex_tail_free(&t);
}

/* ---- Keys ---- */

static void key(const char *name, const char *expected)
{
	tk_text out;

	tk_text_init(&out, 100);
	assert_int_equal(ex_keys_add(name, &out), expected != NULL);
	if (expected != NULL)
		assert_string_equal(tk_text_view(&out).p, expected);
	tk_text_free(&out);
}

static void test_keys(void **state)
{
	tk_text out;

	(void)state;
	key("Enter", "\r");
	key("enter", "\r");
	key("Up", "\x1b[A");
	key("F12", "\x1b[24~");
	key("C-c", "\x03");
	key("c-C", "\x03");
	key("^D", "\x04");
	key("C-[", "\x1b");
	key("M-x", "\x1bx");
	key("M-Left", "\x1b\x1b[D");
	key("C-M-a", "\x1b\x01");
	key("hello", "hello");
	key("C-", "C-");
	key("C-Left", NULL);
	key("C-5", NULL);
	tk_text_init(&out, 100);
	assert_true(ex_keys_hex("1b 5B,0x41", &out));
	assert_string_equal(tk_text_view(&out).p, "\x1b[A");
	assert_false(ex_keys_hex("1", &out));
	assert_false(ex_keys_hex("zz", &out));
	assert_false(ex_keys_hex(" ", &out));
	tk_text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean), cmocka_unit_test(test_tail), cmocka_unit_test(test_tail_characters),
		cmocka_unit_test(test_lines), cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests_name("exec_parts", tests, NULL, NULL);
}
