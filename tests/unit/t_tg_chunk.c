/* modules/channels/telegram: splitting into messages, and UTF-16 arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "tests/unit/tg_html.h"

typedef struct parts {
	char *html[2048];
	char *text[2048];
	size_t n;
} parts;

static parts split_as(const char *markdown, size_t units, bool by_paragraph)
{
	parts p = {.n = 0};
	tg_doc doc;
	tg_piece *pieces = NULL;
	size_t n = 0;
	tg_doc_init(&doc);
	assert_int_equal(tg_doc_markdown(&doc, oc_str_of(markdown), TG_TABLES_CODE), OC_OK);
	assert_int_equal(tg_doc_split(&doc, units, by_paragraph, &pieces, &n), OC_OK);
	assert_true(n <= 2048);
	for (size_t i = 0; i < n; i++) {
		tg_sb html;
		tg_sb_init(&html, (size_t)1 << 24);
		tg_doc_html(&doc, pieces[i], &html);
		p.html[i] = tg_sb_take(&html);
		tg_seen seen = tg_see(p.html[i]);
		if (seen.wrong != NULL)
			fail_msg("%s in: %s", seen.wrong, p.html[i]);
		oc_str plain = tg_doc_text(&doc, pieces[i]);
		assert_true(tg_utf16_len(plain.p, plain.n) <= units);
		assert_int_equal(plain.n, seen.n);
		assert_memory_equal(plain.p, seen.text, seen.n);
		p.text[i] = seen.text;
		if (i > 0)
			assert_true(pieces[i].from >= pieces[i - 1].to);
	}
	p.n = n;
	free(pieces);
	tg_doc_free(&doc);
	return p;
}

static parts split(const char *markdown, size_t units)
{
	return split_as(markdown, units, false);
}

static void end(parts *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->html[i]);
		free(p->text[i]);
	}
}

#define EXPECT(markdown, units, ...)                                              \
	do {                                                                      \
		const char *want_[] = {__VA_ARGS__};                              \
		parts got_ = split(markdown, units);                              \
		assert_int_equal(got_.n, sizeof want_ / sizeof want_[0]);         \
		for (size_t i_ = 0; i_ < got_.n; i_++)                            \
			assert_string_equal(got_.html[i_], want_[i_]);            \
		end(&got_);                                                       \
	} while (0)

static void short_text_is_one(void **state)
{
	(void)state;
	EXPECT("hello **you**", 4096, "hello <b>you</b>");
	parts none = split(" \n \n", 100);
	assert_int_equal(none.n, 0);
	none = split("\xe2\x80\x8b&nbsp;\xef\xbb\xbf \xe2\xa0\x80", 100); /* Telegram refuses what nobody can see */
	assert_int_equal(none.n, 0);
}

static void borders(void **state)
{
	(void)state;
	/* a paragraph's end wins over a later line's, which wins over a later word's */
	EXPECT("aaaaaaaaaa\n\nbbbb\ncccc dddd", 20, "aaaaaaaaaa", "bbbb\ncccc dddd");
	EXPECT("aaaa aaaa aa\nbbbb cccc dddd", 20, "aaaa aaaa aa", "bbbb cccc dddd");
	EXPECT("aaaa bbbb cccc dddd eeee", 20, "aaaa bbbb cccc dddd", "eeee");
	EXPECT("aaaa bbbb cccc dddd", 19, "aaaa bbbb cccc dddd");
	EXPECT("aaaa bbbb cccc ddddd eeee", 20, "aaaa bbbb cccc ddddd", "eeee");
	EXPECT("aaaaaaaaaaaaaaaaaaaaaaaaa", 20, "aaaaaaaaaaaaaaaaaaaa", "aaaaa");
	/* a border too near to the start would waste the message */
	EXPECT("a\n\nbbbb bbbb bbbb bbbb bbbb", 20, "a\n\nbbbb bbbb bbbb", "bbbb bbbb");
}

static void styles_go_on(void **state)
{
	(void)state;
	EXPECT("**aaaa bbbb *cccc dddd eeee* ffff**", 20, "<b>aaaa bbbb <i>cccc dddd</i></b>", "<b><i>eeee</i> ffff</b>");
	EXPECT("> aaaa bbbb cccc dddd eeee", 20, "<blockquote>aaaa bbbb cccc dddd</blockquote>",
	       "<blockquote>eeee</blockquote>");
}

static void code_blocks_reopen(void **state)
{
	(void)state;
	EXPECT("```js\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\nend", 24,
	       "<pre><code class=\"language-js\">let a = 1;\nlet b = 2;</code></pre>",
	       "<pre><code class=\"language-js\">let c = 3;</code></pre>\nend");
	/* the indentation of the first line behind a border stays */
	EXPECT("```\nif x:\n    aaaaaaaaaaa\n    bbbbbbbbbbb\n```", 24, "<pre>if x:\n    aaaaaaaaaaa</pre>",
	       "<pre>    bbbbbbbbbbb</pre>");
	/* a block goes to the next message as a whole rather than be cut, when that wastes little */
	EXPECT("aaaa aaaa aaaa\n\n```\nbbbb bbb\n```", 20, "aaaa aaaa aaaa", "<pre>bbbb bbb</pre>");
}

static void links_and_code_stay_whole(void **state)
{
	(void)state;
	EXPECT("aaaa bbbb [cccc dddd eeee](https://x.y)", 20, "aaaa bbbb",
	       "<a href=\"https://x.y\">cccc dddd eeee</a>");
	EXPECT("aaaa bbbb `cccc dddd eeee` f", 20, "aaaa bbbb", "<code>cccc dddd eeee</code> f");
}

static void characters_stay_whole(void **state)
{
	(void)state;
	/* each face is two units: nine fit in 19 */
	parts p = split("😀😀😀😀😀😀😀😀😀😀", 19);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.text[0], "😀😀😀😀😀😀😀😀😀");
	end(&p);
	/* a family is one sign of four faces and three joiners */
	p = split("aaaaaaaaaaaa👨‍👩‍👧‍👦", 16);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.text[0], "aaaaaaaaaaaa");
	end(&p);
	/* flags are pairs of letters, or a black flag with the letters of a region behind it */
	p = split("aaaaaaaaaaaaa🇩🇪", 16);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.text[1], "🇩🇪");
	end(&p);
	p = split("🇩🇪🇫🇷🇮🇹🇪🇸🇵🇱", 18);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.text[0], "🇩🇪🇫🇷🇮🇹🇪🇸");
	end(&p);
	p = split("aaaa🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", 16);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.text[0], "aaaa");
	end(&p);
	p = split("aaaaaaaaaaaaaaae\xcc\x81", 16); /* e with a combining accent */
	assert_int_equal(p.n, 2);
	assert_string_equal(p.text[1], "e\xcc\x81");
	end(&p);
}

static void by_paragraphs(void **state)
{
	(void)state;
	parts p = split_as("a\nb\n\nc\n\n```\nd\n\ne\n```\n\nf", 4096, true);
	assert_int_equal(p.n, 4);
	assert_string_equal(p.html[0], "a\nb");
	assert_string_equal(p.html[1], "c");
	assert_string_equal(p.html[2], "<pre>d\n\ne</pre>");
	assert_string_equal(p.html[3], "f");
	end(&p);
}

/* Nothing visible is lost, doubled or reordered. */
static void nothing_is_lost(void **state)
{
	(void)state;
	tg_sb source;
	tg_sb_init(&source, 1 << 20);
	for (unsigned i = 0; i < 400; i++) {
		tg_sb_printf(&source, "Word%u **bold%u text** ", i, i);
		if (i % 7 == 0)
			tg_sb_printf(&source, "\n\n```c\nint x%u;\n  int y%u;\n```\n\n", i, i);
		if (i % 11 == 0)
			tg_sb_printf(&source, "\n- item%u\n- `code%u`\n\n", i, i);
	}
	for (size_t units = 16; units < 300; units += 37) {
		parts p = split(source.p, units);
		char *at = NULL, want[32];
		tg_sb all;
		tg_sb_init(&all, 1 << 20);
		for (size_t i = 0; i < p.n; i++) {
			tg_sb_z(&all, p.text[i]);
			tg_sb_char(&all, '\n');
		}
		at = all.p;
		for (unsigned i = 0; i < 400; i++) {
			snprintf(want, sizeof want, "Word%u", i);
			at = strstr(at, want);
			if (at == NULL)
				fail_msg("%s is missing at %zu units", want, units);
		}
		tg_sb_free(&all);
		end(&p);
	}
	tg_sb_free(&source);
}

static void full_size(void **state)
{
	(void)state;
	char *text = malloc(20001);
	assert_non_null(text);
	for (size_t i = 0; i < 20000; i++)
		text[i] = i % 80 == 79 ? '\n' : i % 6 == 5 ? ' ' : 'x';
	text[20000] = 0;
	parts p = split(text, TG_TEXT_UNITS);
	assert_int_equal(p.n, 5);
	end(&p);
	free(text);
}

static void utf16(void **state)
{
	(void)state;
	const char *s = "aé日😀z"; /* 1+2+3+4+1 bytes, 1+1+1+2+1 units */
	assert_int_equal(tg_utf16_len(s, strlen(s)), 6);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 0), 0);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 2), 3);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 3), 6);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 4), 10);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 5), 10);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 6), 11);
	assert_int_equal(tg_utf16_to_byte(s, strlen(s), 99), 11);
	assert_int_equal(tg_utf16_cut(s, strlen(s), 4), 6);
	assert_int_equal(tg_utf16_cut(s, strlen(s), 5), 10);
	assert_int_equal(tg_utf16_cut("", 0, 5), 0);
}

static void builder_limits(void **state)
{
	(void)state;
	tg_sb b;
	tg_sb_init(&b, 10);
	tg_sb_z(&b, "123456789");
	assert_false(b.failed);
	tg_sb_z(&b, "ab");
	assert_true(b.failed);
	assert_int_equal(b.n, 9);
	assert_null(tg_sb_take(&b));
	tg_sb_init(&b, 1000);
	tg_sb_printf(&b, "%0300d", 7);
	assert_int_equal(b.n, 300);
	tg_sb_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_text_is_one),
		cmocka_unit_test(borders),
		cmocka_unit_test(styles_go_on),
		cmocka_unit_test(code_blocks_reopen),
		cmocka_unit_test(links_and_code_stay_whole),
		cmocka_unit_test(characters_stay_whole),
		cmocka_unit_test(by_paragraphs),
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(full_size),
		cmocka_unit_test(utf16),
		cmocka_unit_test(builder_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
