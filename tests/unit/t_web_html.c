/* Unit tests of the web tool's pure parts: HTML to Markdown and text, encodings, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web_cache.h"
#include "web_charset.h"
#include "web_html.h"
#include "web_json.h"

static char got[20000], title[1100];

static const char *read_html(const char *html, bool markdown, size_t max)
{
	web_page page;
	bool cut = false;
	assert_true(web_html_read(html, strlen(html), "https://example.com/a/b?q=1", markdown, max, &page, &cut));
	assert_true(page.body.n < sizeof got);
	memcpy(got, page.body.p != NULL ? page.body.p : "", page.body.n + 1);
	memcpy(title, page.title.p != NULL ? page.title.p : "", page.title.n + 1);
	web_page_free(&page);
	if (cut)
		strncat(got, "<CUT>", sizeof got - strlen(got) - 1);
	return got;
}

#define MD(html, want) assert_string_equal(read_html(html, true, 10000), want)
#define TEXT(html, want) assert_string_equal(read_html(html, false, 10000), want)

static void blocks_and_inlines(void **state)
{
	(void)state;
	MD("<html><head><title> A &amp; B </title></head><body><h1>Head</h1><p>One\n  two <b>bold</b> <em>it</em>.</p><p>Next<br>line</p>",
	   "# Head\n\nOne two **bold** *it*.\n\nNext\nline");
	assert_string_equal(title, " A & B ");
	MD("<ul><li>a<li>b<ul><li>c</ul></ul><ol><li>x</li><li>y</li></ol>", "- a\n- b\n  - c\n\n1. x\n2. y");
	MD("<pre><code>int a;\n\tb();\n</code></pre>after", "```\nint a;\n\tb();\n```\n\nafter");
	MD("<blockquote><p>q1</p><p>q2</p></blockquote>", "> q1\n> \n> q2");
	MD("<table><tr><th>A<th>B<tr><td>1<td>2</table>", "A | B\n1 | 2");
	MD("a <code>x</code> b", "a `x` b");
	TEXT("<h1>Head</h1><ul><li>a</ul><a href=/x>link</a> <b>b</b>", "Head\n\n- a\n\nlink b");
}

static void links_are_absolute(void **state)
{
	(void)state;
	MD("<a href='/x'>r</a>", "[r](https://example.com/x)");
	MD("<a href=\"c?d=1&amp;e\">r</a>", "[r](https://example.com/a/c?d=1&e)");
	MD("<a href=//other.org/>r</a>", "[r](https://other.org/)");
	MD("<a href='mailto:x@y.z'>m</a>", "[m](mailto:x@y.z)");
	MD("<a href='javascript:alert(1)'>j</a><a href='#top'>t</a>", "jt");
	MD("<a href=/x><img src=y></a>z", "z");
	MD("<a href=/x><img src=y alt='A cat'></a>", "[[image: A cat]](https://example.com/x)");
}

static void what_is_not_content_is_left_out(void **state)
{
	(void)state;
	MD("<script>if (a < b) document.write('<p>no</p>')</script><style>p{}</style><!-- no --><noscript>no</noscript>yes<!doctype html>",
	   "yes");
	MD("<nav>menu</nav><p>text</p><footer>foot</footer>", "text");
	char page[1200] = "<div>outside</div><main><p>";
	for (int i = 0; i < 50; i++)
		strncat(page, "inside ", sizeof page - strlen(page) - 1);
	strncat(page, "</p></main><div>outside</div>", sizeof page - strlen(page) - 1);
	assert_null(strstr(read_html(page, true, 10000), "outside"));
	MD("<p>long</p><main>x</main>", "long\n\nx"); /* an empty main is not the content */
}

static void broken_pages_are_read_all_the_same(void **state)
{
	(void)state;
	MD("a < b && c > d &unknown; &#65;&#x42;&#0;&#xD800;", "a < b && c > d &unknown; AB\xEF\xBF\xBD\xEF\xBF\xBD");
	MD("<p>un<b>closed <i>tags", "un**closed *tags");
	MD("<", "<");
	MD("<a href=\"unclosed", "");
	MD("<!-- never ends", "");
	MD("<script>never ends", "");
	MD("text</p></div></ul></b></a></pre></blockquote>more", "text\n\nmore");
	assert_string_equal(read_html("abcdefghij", true, 5), "abcde<CUT>");
}

static void what_is_empty_leaves_no_marks(void **state)
{
	(void)state;
	MD("<p><i class=icon></i> Save <b></b>now</p>", "Save now");
	MD("<a href=/x><i></i></a><b><b></b>xy</b> <b><i></i></b>z", "**xy** z");
	MD("<table><tr><td>a<td>b<tr><td><td>c</table>", "a | b\n | c");
	MD("<a href=/1>one<a href=/2>two</a>", "[one](https://example.com/1)[two](https://example.com/2)");
	MD("<a href=' /x\n'>r</a>", "[r](https://example.com/x)");
	MD("<a href='&#106;avascript:alert`1`'>j</a><a href=data:text/html,x>d</a><a href='x:y'>s</a>", "jds");
	MD("<a href='?copy=1&copy=2&reg;=3&para=4'>p</a>", "[p](https://example.com/a/?copy=1&copy=2\xC2\xAE=3&para=4)");
}

static void what_is_not_to_be_shown(void **state)
{
	(void)state;
	MD("&#147;quoted&#148; &#150; &#x80; &#129;<pre>\x1b[2J&#27;]0;x&#7;\xC2\x9B" "31m\tok&#155;</pre>",
	   "\xE2\x80\x9Cquoted\xE2\x80\x9D \xE2\x80\x93 \xE2\x82\xAC\n\n```\n[2J]0;x31m\tok\xE2\x80\xBA\n```");
	MD("a<!-->b<!--->c<!-- d -->e", "abce");
	MD("<script>'</scripty>'</script>x<title/>y", "xy");
	MD("<p title = \"a>b\">c</p>", "c");
	MD("<svg><title>t</title></svg>z", "z");
	assert_string_equal(title, "");
}

/* Marks alone: nothing but what the limit allows, and no failure. */
static void marks_have_a_limit(void **state)
{
	static const char *const pieces[] = {"<li>", "<td>", "<hr>", "<b>", "<h6>", "<pre><pre></pre></pre>", "<a href=/x>y</a>", "<ol><li>",
					     "<img alt='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'>", "<blockquote><br>"};
	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		size_t n = strlen(pieces[i]), times = 400000 / n;
		char *html = malloc(n * times + 1);
		web_page page;
		bool cut = false;
		for (size_t k = 0; k < times; k++)
			memcpy(html + k * n, pieces[i], n);
		html[n * times] = 0;
		if (!web_html_read(html, n * times, "https://example.com/", true, 1000, &page, &cut))
			fail_msg("%s", pieces[i]);
		if (page.body.n > 1000 + 4096)
			fail_msg("%s: %zu bytes", pieces[i], page.body.n);
		web_page_free(&page);
		free(html);
	}
	assert_string_equal(read_html("<pre>abcdefghij</pre>", true, 8), "```\nabcd\n```<CUT>");
}

static void encodings(void **state)
{
	(void)state;
	tk_text t;
	tk_text_init(&t, 1000);
	web_to_utf8(&t, "caf\xe9 \x80", 6, "text/html; charset=ISO-8859-1");
	assert_string_equal(t.p, "caf\xC3\xA9 \xE2\x82\xAC");
	tk_text_clear(&t);
	web_to_utf8(&t, "\xFF\xFEh\0i\0=\xD8\0\xDE", 10, "");
	assert_string_equal(t.p, "hi\xF0\x9F\x98\x80");
	tk_text_clear(&t);
	web_to_utf8(&t, "<meta charset='windows-1252'>\x93", 30, "text/html");
	assert_non_null(strstr(t.p, "\xE2\x80\x9C"));
	tk_text_clear(&t);
	web_to_utf8(&t, "a\xFF\0z", 4, "");
	assert_string_equal(t.p, "a\xEF\xBF\xBD\xEF\xBF\xBDz");
	tk_text_clear(&t);
	web_to_utf8(&t, "\xc1\xc2\xd7", 3, "text/plain; charset=KOI8-R");
	assert_string_equal(t.p, "\xD0\xB0\xD0\xB1\xD0\xB2");
	tk_text_clear(&t);
	web_to_utf8(&t, "\x93\xfa\x96\x7b \xff\xff!\x93", 9, "text/html; charset=\"Shift_JIS\"");
	assert_string_equal(t.p, "\xE6\x97\xA5\xE6\x9C\xAC \xEF\xBF\xBD\xEF\xBF\xBD!\xEF\xBF\xBD");
	tk_text_clear(&t);
	web_to_utf8(&t, "ok", 2, "text/html; charset=../../etc/x");
	assert_string_equal(t.p, "ok");
	tk_text_clear(&t);
	web_to_utf8(&t, "ok", 2, "text/html; charset=no-such-thing");
	assert_string_equal(t.p, "ok");
	tk_text_free(&t);
}

static void pretty(const char *in, const char *want)
{
	tk_text t;
	tk_text_init(&t, 1000);
	web_json_pretty(&t, in, strlen(in));
	assert_string_equal(tk_text_view(&t).p, want);
	tk_text_free(&t);
}

static void json_is_laid_out(void **state)
{
	(void)state;
	pretty("{\"a\":[1, 2.50,{}],\"b\" : \"x,{}\\\":y\",\"c\":[ ]}", "{\n  \"a\": [\n    1,\n    2.50,\n    {}\n  ],\n  \"b\": \"x,{}\\\":y\",\n  \"c\": []\n}");
	pretty("12345678901234567890", "12345678901234567890"); /* no double */
	pretty(" [ ] ", "[]");
	pretty("[", "[\n  ");
	pretty("\"open\\", "\"open\\");
}

static void pages_are_kept_for_a_while(void **state)
{
	static web_cache cache;
	char key[20], *big = malloc(WEB_CACHE_BYTES / 4);
	(void)state;
	web_cache_put(&cache, "a", OC_STR("text"), "text/plain", 200, 1000);
	assert_string_equal(web_cache_get(&cache, "a", 1500, 1000)->text, "text");
	assert_null(web_cache_get(&cache, "a", 2000, 1000));
	assert_null(web_cache_get(&cache, "b", 1500, 1000));
	web_cache_put(&cache, "a", OC_STR("newer"), "text/plain", 200, 1600);
	assert_string_equal(web_cache_get(&cache, "a", 2000, 1000)->text, "newer");
	assert_int_equal(cache.bytes, 5);
	for (unsigned i = 0; i < 3 * WEB_CACHE_ENTRIES; i++) {
		snprintf(key, sizeof key, "k%u", i);
		web_cache_put(&cache, key, OC_STR("x"), "", 200, 2000 + i);
	}
	assert_null(web_cache_get(&cache, "a", 2100, 1000000));
	assert_non_null(web_cache_get(&cache, key, 2100, 1000000));
	assert_int_equal(cache.bytes, WEB_CACHE_ENTRIES);
	memset(big, 'x', WEB_CACHE_BYTES / 4);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(key, sizeof key, "big%u", i);
		web_cache_put(&cache, key, (oc_str){big, WEB_CACHE_BYTES / 4}, "", 200, 3000 + i);
		assert_true(cache.bytes <= WEB_CACHE_BYTES);
	}
	assert_non_null(web_cache_get(&cache, key, 3010, 1000000));
	web_cache_clear(&cache);
	assert_int_equal(cache.bytes, 0);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_and_inlines),
		cmocka_unit_test(links_are_absolute),
		cmocka_unit_test(what_is_not_content_is_left_out),
		cmocka_unit_test(broken_pages_are_read_all_the_same),
		cmocka_unit_test(what_is_empty_leaves_no_marks),
		cmocka_unit_test(what_is_not_to_be_shown),
		cmocka_unit_test(marks_have_a_limit),
		cmocka_unit_test(encodings),
		cmocka_unit_test(json_is_laid_out),
		cmocka_unit_test(pages_are_kept_for_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
