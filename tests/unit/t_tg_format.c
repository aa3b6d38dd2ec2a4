/* modules/channels/telegram: Markdown -> Telegram HTML. */
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

static char *convert(const char *markdown, size_t n, tg_tables tables)
{
	tg_doc doc;
	tg_sb html;
	tg_doc_init(&doc);
	tg_sb_init(&html, (size_t)1 << 24);
	oc_str source = {markdown, n};
	assert_int_equal(tg_doc_markdown(&doc, source, tables), OC_OK);
	tg_doc_html(&doc, (tg_piece){0, doc.text.n}, &html);
	tg_doc_free(&doc);
	char *text = tg_sb_take(&html);
	assert_non_null(text);
	tg_seen seen = tg_see(text);
	if (seen.wrong != NULL)
		fail_msg("%s in: %s", seen.wrong, text);
	free(seen.text);
	return text;
}

static void is_with(const char *markdown, tg_tables tables, const char *html)
{
	char *got = convert(markdown, strlen(markdown), tables);
	assert_string_equal(got, html);
	free(got);
}

static void is(const char *markdown, const char *html)
{
	is_with(markdown, TG_TABLES_CODE, html);
}

static void emphasis(void **state)
{
	(void)state;
	is("**bold** *it* __bold__ _it_", "<b>bold</b> <i>it</i> <b>bold</b> <i>it</i>");
	is("***both***", "<b><i>both</i></b>");
	is("**a *b* c**", "<b>a <i>b</i> c</b>");
	is("*a **b** c*", "<i>a <b>b</b> c</i>");
	is("*a **b*** c", "<i>a <b>b</b></i> c");
	is("**a** and **b**", "<b>a</b> and <b>b</b>");
	is("~~gone~~ ||secret||", "<s>gone</s> <tg-spoiler>secret</tg-spoiler>");
	is("**~~x~~**", "<b><s>x</s></b>");
	is("**bold across\ntwo lines**", "<b>bold across\ntwo lines</b>");
	is("**über** *日本*", "<b>über</b> <i>日本</i>");
	is("«**q**»", "«<b>q</b>»");
}

static void literal_marks(void **state)
{
	(void)state;
	is("snake_case_name and __init__x", "snake_case_name and __init__x");
	is("2*3*4 = 24", "2*3*4 = 24");
	is("a * b * c", "a * b * c");
	is("** not bold **", "** not bold **");
	is("**open", "**open");
	is("close**", "close**");
	is("a||b||c, x || y || z", "a||b||c, x || y || z");
	is("~a~ ~~~b~~~ |c| |||d|||", "~a~ ~~~b~~~ |c| |||d|||");
	is("a **** b", "a **** b");
	is("**bold*", "*<i>bold</i>");
	is("_a*b_c*", "_a<i>b_c</i>");
}

static void escapes(void **state)
{
	(void)state;
	is("\\*not\\* \\_x\\_ \\`c\\` \\[l\\](u)", "*not* _x_ `c` [l](u)");
	is("a \\ b \\q", "a \\ b \\q");
	is("1 < 2 && \"3\" > 2", "1 &lt; 2 &amp;&amp; &quot;3&quot; &gt; 2");
	is("<b>raw</b> <script>", "&lt;b&gt;raw&lt;/b&gt; &lt;script&gt;");
	is("&amp; &lt;x&gt; &quot; &#39; &#x41; &nbsp;.", "&amp; &lt;x&gt; &quot; ' A \xc2\xa0.");
	is("&bogus; &#; &#xZZ; &", "&amp;bogus; &amp;#; &amp;#xZZ; &amp;");
	is("AT&T", "AT&amp;T");
}

static void code(void **state)
{
	(void)state;
	is("`x`", "<code>x</code>");
	is("`a < b && **c**`", "<code>a &lt; b &amp;&amp; **c**</code>");
	is("`` a`b ``", "<code>a`b</code>");
	is("` `` `", "<code>``</code>");
	is("`open", "`open");
	is("``open`", "``open`");
	is("**bold `code` bold**", "<b>bold </b><code>code</code><b> bold</b>");
	is("`a\nb`", "<code>a b</code>");
}

static void links(void **state)
{
	(void)state;
	is("[a](https://x.y)", "<a href=\"https://x.y\">a</a>");
	is("[a](HTTPS://x.y)", "<a href=\"HTTPS://x.y\">a</a>");
	is("[a](<https://x.y/z z>)", "<a href=\"https://x.y/z z\">a</a>");
	is("[a](https://x.y \"title\")", "<a href=\"https://x.y\">a</a>");
	is("[a](https://x.y/?a=1&b=\"2\")", "<a href=\"https://x.y/?a=1&amp;b=&quot;2&quot;\">a</a>");
	is("[a](https://en.wikipedia.org/wiki/C_(language))", "<a href=\"https://en.wikipedia.org/wiki/C_(language)\">a</a>");
	is("[**b** c](https://x.y)", "<a href=\"https://x.y\"><b>b</b> c</a>");
	is("**[b](https://x.y)**", "<a href=\"https://x.y\"><b>b</b></a>");
	is("[`c`](https://x.y)", "<a href=\"https://x.y\">c</a>");
	is("![alt](https://x.y/z.png)", "<a href=\"https://x.y/z.png\">alt</a>");
	is("![](https://x.y/z.png)", "https://x.y/z.png");
	is("[u](tg://user?id=1)", "<a href=\"tg://user?id=1\">u</a>");
	is("[a [b] c](https://x.y)", "<a href=\"https://x.y\">a [b] c</a>");
	is("[x](javascript:alert(1))", "x (javascript:alert(1))");
	is("[doc](docs/a)", "doc (docs/a)");
	is("[part](#part)", "part");
	is("[no] (link) [x]( ) []() [", "[no] (link) [x]( ) []() [");
	is("[a](https://x.y", "[a](https://x.y");
	is("https://x.y/a_b_c?d=*e*", "https://x.y/a_b_c?d=*e*");
	is("**https://x.y**", "<b>https://x.y</b>");
	is("(https://x.y/a_(b)).", "(https://x.y/a_(b)).");
	is("<https://x.y/a_b_> <me@x.y> <nope>", "https://x.y/a_b_ me@x.y &lt;nope&gt;");
}

static void blocks(void **state)
{
	(void)state;
	is("# One\n## Two ##\n####### seven", "<b>One</b>\n<b>Two</b>\n####### seven");
	is("# **bold** and *it*", "<b>bold and <i>it</i></b>");
	is("Title\n=====\ntext", "<b>Title</b>\ntext");
	is("Sub\n---\ntext", "<b>Sub</b>\ntext");
	is("a\n\n---\n\nb", "a\n\n———\n\nb");
	is("* * *", "———");
	is("a\n\n\n\nb", "a\n\nb");
	is("\n\na\n\n", "a");
	is("line one\nline two  \nline three\\\nfour", "line one\nline two\nline three\nfour");
	is("a\r\nb\rc", "a\nb\nc");
	is("    indented code\n\n    more\n\ntext", "<pre>indented code\n\nmore</pre>\n\ntext");
	is("#hashtag", "#hashtag");
}

static void lists(void **state)
{
	(void)state;
	is("- a\n* b\n+ c", "• a\n• b\n• c");
	is("1. a\n2) b\n10. c", "1. a\n2) b\n10. c");
	is("- a\n  - b\n    - c", "• a\n  • b\n    • c");
	is("- [ ] open\n- [x] done", "☐ open\n☑ done");
	is("- **bold** item\n- `code`", "• <b>bold</b> item\n• <code>code</code>");
	is("- a\n  continued *it*\n- b", "• a\n  continued <i>it</i>\n• b");
	is("text\n- a", "text\n• a");
	is("1. run\n   ```sh\n   ls\n   ```\n2. done", "1. run\n<pre><code class=\"language-sh\">ls</code></pre>\n2. done");
	is("-not a list\n2024 was", "-not a list\n2024 was");
	is("- ", "-");
}

static void quotes(void **state)
{
	(void)state;
	is("> a\n> b", "<blockquote>a\nb</blockquote>");
	is("> a\n\ntext", "<blockquote>a</blockquote>\n\ntext");
	is("> a\n>\n> b", "<blockquote>a\n\nb</blockquote>");
	is("> a\n> > deeper\n> b", "<blockquote>a\ndeeper\nb</blockquote>");
	is("> **b** and `c`\n> - item", "<blockquote><b>b</b> and <code>c</code>\n• item</blockquote>");
	is("> ```\n> x\n> ```", "<blockquote><pre>x</pre></blockquote>");
	is("a > b", "a &gt; b");
}

static void fences(void **state)
{
	(void)state;
	is("```\nx < y\n```", "<pre>x &lt; y</pre>");
	is("```python\ndef f():\n    return 1\n```\nafter",
	   "<pre><code class=\"language-python\">def f():\n    return 1</code></pre>\nafter");
	is("```c++ title=x\na\n```", "<pre><code class=\"language-c++\">a</code></pre>");
	is("```\"><b>\na\n```", "<pre>a</pre>");
	is("~~~js\na\n```\nb\n~~~", "<pre><code class=\"language-js\">a\n```\nb</code></pre>");
	is("````md\n```js\nx\n```\n````", "<pre><code class=\"language-md\">```js\nx\n```</code></pre>");
	is("```\nnever closed **x**", "<pre>never closed **x**</pre>");
	is("```\n```", "");
	is("before\n```\na\n\n\nb\n```\n\nafter", "before\n<pre>a\n\n\nb</pre>\n\nafter");
	is("``` not a fence ``` x", "<code>not a fence</code> x");
}

static void tables(void **state)
{
	const char *table = "| Name | N |\n|:-----|--:|\n| **a** | 1 |\n| bb | `2` |\n";
	(void)state;
	is(table, "<pre>Name | N\n-----|--\na    | 1\nbb   | 2</pre>");
	is_with(table, TG_TABLES_BULLETS, "<b>a</b>\n• N: 1\n\n<b>bb</b>\n• N: <code>2</code>");
	is_with("|a|b|\n|-|-|\n|1|2|", TG_TABLES_OFF, "|a|b|\n|-|-|\n|1|2|");
	is("a | b\n--|--\n1 | 2\n\ntext", "<pre>a | b\n--|--\n1 | 2</pre>\n\ntext");
	is("| 日本 | x |\n|--|--|\n| a | \\| |", "<pre>日本 | x\n-----|--\na    | |</pre>");
	is("a | b\nno table", "a | b\nno table");
	is("|a|\n|-|-|\n", "|a|\n|-|-|");
}

static void file_names(void **state)
{
	(void)state;
	is("See README.md, src/a.py (and b.rs).",
	   "See <code>README.md</code>, <code>src/a.py</code> (and <code>b.rs</code>).");
	is("`README.md` [x.md](https://x.y/z.md) https://x.y/README.md",
	   "<code>README.md</code> <a href=\"https://x.y/z.md\">x.md</a> https://x.y/README.md");
	is("**notes.md**", "<code>notes.md</code>");
	is("example.com .md a.mdx me@x.md", "example.com .md a.mdx me@x.md");
}

static void broken_input(void **state)
{
	(void)state;
	char *got = convert("a\xff\xc3(b\x00\x01\x1bz\x7f", 10, TG_TABLES_CODE);
	assert_string_equal(got, "a\xef\xbf\xbd\xef\xbf\xbd(bz");
	free(got);
	is("", "");
	is(" \n\t\n", "");
}

static char *repeat(const char *unit, size_t times)
{
	size_t n = strlen(unit);
	char *p = malloc(n * times + 1);
	assert_non_null(p);
	for (size_t i = 0; i < times; i++)
		memcpy(p + i * n, unit, n);
	p[n * times] = 0;
	return p;
}

/* Hostile text must stay cheap: the runner's time limit is the judge. */
static void hostile_input(void **state)
{
	static const char *const units[] = {"[",  "](",  "[](",    "*a ", "*a* b_ ", "`",     "`a``b```", "> ",    ">> a\n", "|a",
					    "**", "||a", "<http:", "&#",  "- ",      "```\n", "a|b\n-|-\n", "![", "[a](b", "_*~~",
					    "http://))))", "`a`\n\n", "\\"};
	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		char *text = repeat(units[i], 200000 / strlen(units[i]));
		free(convert(text, strlen(text), TG_TABLES_CODE));
		free(text);
	}
	/* Blank lines inside an indented block. */
	char *blank = repeat("\n", 400000);
	memcpy(blank, "    a", 5);
	memcpy(blank + 400000 - 5, "    b", 5);
	char *html = convert(blank, 400000, TG_TABLES_CODE);
	assert_int_equal(strlen(html), 400000 - 8 + strlen("<pre></pre>"));
	free(html);
	free(blank);
}

static void too_long(void **state)
{
	tg_doc doc;
	oc_str text = {NULL, TG_MARKDOWN_MAX + 1};
	(void)state;
	tg_doc_init(&doc);
	assert_int_equal(tg_doc_markdown(&doc, text, TG_TABLES_CODE), OC_E_LIMIT);
	tg_doc_free(&doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emphasis),  cmocka_unit_test(literal_marks), cmocka_unit_test(escapes),
		cmocka_unit_test(code),      cmocka_unit_test(links),         cmocka_unit_test(blocks),
		cmocka_unit_test(lists),     cmocka_unit_test(quotes),        cmocka_unit_test(fences),
		cmocka_unit_test(tables),    cmocka_unit_test(file_names),    cmocka_unit_test(broken_input),
		cmocka_unit_test(hostile_input), cmocka_unit_test(too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
