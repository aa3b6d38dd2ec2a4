#include "web_html.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_LISTS 16
#define MAX_LINK 2000

enum block { NO_BREAK, LINE, PARAGRAPH };

/* Something like <b>: how many are open, and where in out the mark of the last one ends. */
struct style {
	int open;
	size_t at;
};

struct reader {
	const char *p, *end, *base;
	bool markdown, cut;
	size_t max;
	tk_text *out;
	tk_text *title;
	/* what is open */
	int skip_depth;          /* inside elements whose text is not for readers */
	const char *only;        /* "main" or "article": take nothing else; NULL: everything but the frame of the page */
	int only_depth;
	int pre, quote;
	bool fence; /* of a code block */
	struct style code, strong, emphasis;
	int lists[MAX_LISTS], n_lists; /* 0: bullets, else the next number */
	char link[MAX_LINK];
	size_t link_start; /* in out, after the "[" */
	bool in_title, has_link;
	enum block pending; /* a break to come before the next text */
	bool space;         /* white space to come */
	int cells;          /* in the table row */
};

/* ---- Addresses ---- */

static size_t origin_length(const char *base)
{
	const char *host = strstr(base, "://");
	return host == NULL ? 0 : (size_t)(host - base) + 3 + strcspn(host + 3, "/?#");
}

void web_url_join(tk_text *out, const char *base, const char *ref, size_t n)
{
	size_t origin = origin_length(base);
	const char *colon = memchr(ref, ':', n), *slash = memchr(ref, '/', n);
	bool absolute = colon != NULL && (slash == NULL || colon < slash);
	if (absolute || origin == 0) {
		tk_text_add(out, ref, n);
	} else if (n >= 2 && ref[0] == '/' && ref[1] == '/') {
		tk_text_add(out, base, (size_t)(strchr(base, ':') - base) + 1);
		tk_text_add(out, ref, n);
	} else if (n >= 1 && ref[0] == '/') {
		tk_text_add(out, base, origin);
		tk_text_add(out, ref, n);
	} else {
		/* Up to the last slash of the path; "../" steps are left for the reader of the link. */
		size_t path = strcspn(base + origin, "?#");
		while (path > 0 && base[origin + path - 1] != '/')
			path--;
		tk_text_add(out, base, origin + path);
		if (path == 0)
			tk_text_char(out, '/');
		tk_text_add(out, ref, n);
	}
}

/* ---- Characters ---- */

static const struct {
	const char *name;
	uint32_t rune;
} entities[] = {
	{"amp", '&'},	     {"lt", '<'},	  {"gt", '>'},	       {"quot", '"'},	    {"apos", '\''},	 {"nbsp", ' '},
	{"copy", 0xA9},	     {"reg", 0xAE},	  {"trade", 0x2122},   {"hellip", 0x2026},  {"mdash", 0x2014},	 {"ndash", 0x2013},
	{"lsquo", 0x2018},   {"rsquo", 0x2019},	  {"ldquo", 0x201C},   {"rdquo", 0x201D},   {"laquo", 0xAB},	 {"raquo", 0xBB},
	{"bull", 0x2022},    {"middot", 0xB7},	  {"sect", 0xA7},      {"para", 0xB6},	    {"deg", 0xB0},	 {"plusmn", 0xB1},
	{"times", 0xD7},     {"divide", 0xF7},	  {"euro", 0x20AC},    {"pound", 0xA3},	    {"yen", 0xA5},	 {"cent", 0xA2},
	{"larr", 0x2190},    {"uarr", 0x2191},	  {"rarr", 0x2192},    {"darr", 0x2193},    {"harr", 0x2194},	 {"check", 0x2713},
	{"auml", 0xE4},	     {"ouml", 0xF6},	  {"uuml", 0xFC},      {"Auml", 0xC4},	    {"Ouml", 0xD6},	 {"Uuml", 0xDC},
	{"szlig", 0xDF},     {"eacute", 0xE9},	  {"egrave", 0xE8},    {"ecirc", 0xEA},	    {"agrave", 0xE0},	 {"aacute", 0xE1},
	{"acirc", 0xE2},     {"ccedil", 0xE7},	  {"ntilde", 0xF1},    {"oacute", 0xF3},    {"uacute", 0xFA},	 {"iacute", 0xED},
	{"oslash", 0xF8},    {"aring", 0xE5},	  {"aelig", 0xE6},     {"frac12", 0xBD},    {"frac14", 0xBC},	 {"frac34", 0xBE},
	{"sup2", 0xB2},	     {"sup3", 0xB3},	  {"micro", 0xB5},     {"alpha", 0x3B1},    {"beta", 0x3B2},	 {"gamma", 0x3B3},
	{"delta", 0x3B4},    {"lambda", 0x3BB},	  {"mu", 0x3BC},       {"pi", 0x3C0},	    {"sigma", 0x3C3},	 {"omega", 0x3C9},
	{"le", 0x2264},	     {"ge", 0x2265},	  {"ne", 0x2260},      {"infin", 0x221E},   {"asymp", 0x2248},	 {"minus", 0x2212},
	{"ensp", ' '},	     {"emsp", ' '},	  {"thinsp", ' '},     {"shy", 0},	    {"zwnj", 0},	 {"zwj", 0},
};

/* &#128; to &#159; are meant as Windows has them, and mean that in every browser. */
static uint32_t numbered(uint32_t v)
{
	static const uint16_t windows[32] = {0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
					     0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
					     0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
	return v == 0 ? 0xFFFD : v >= 0x80 && v < 0xA0 ? windows[v - 0x80] : v;
}

/* One character reference at p ('&'); returns its length and the character, 0 when it is none. In an address "&copy=" is a
 * parameter. */
static size_t reference(const char *p, const char *end, bool in_value, uint32_t *ret_rune)
{
	size_t n = 1;
	if (p + 2 < end && p[1] == '#') {
		bool hex = p[2] == 'x' || p[2] == 'X';
		uint32_t v = 0;
		for (n = hex ? 3 : 2; p + n < end && n < 12; n++) {
			char c = p[n];
			int d = c >= '0' && c <= '9'		       ? c - '0'
				: hex && (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
								       : -1;
			if (d < 0)
				break;
			v = v > 0x110000 ? v : v * (hex ? 16u : 10u) + (uint32_t)d;
		}
		*ret_rune = numbered(v);
		return n == (hex ? 3u : 2u) ? 0 : n + (p + n < end && p[n] == ';');
	}
	while (p + n < end && n < 10 && ((p[n] | 32) >= 'a' && (p[n] | 32) <= 'z'))
		n++;
	while (p + n < end && n < 10 && p[n] >= '0' && p[n] <= '9')
		n++;
	for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
		if (strlen(entities[i].name) != n - 1 || memcmp(entities[i].name, p + 1, n - 1) != 0)
			continue;
		if (in_value && p + n < end && p[n] == '=')
			return 0;
		*ret_rune = entities[i].rune;
		return n + (p + n < end && p[n] == ';');
	}
	return 0;
}

/* ---- Output ---- */

static bool taking(const struct reader *r)
{
	return r->skip_depth == 0 && !r->cut && (r->only == NULL || r->only_depth > 0);
}

static void mark(struct reader *r, const char *text)
{
	if (r->markdown && taking(r))
		tk_text_z(r->out, text);
}

static void begin_line(struct reader *r)
{
	for (int i = 0; r->markdown && i < r->quote && i < 8; i++)
		tk_text_z(r->out, "> ");
}

static void flush_break(struct reader *r)
{
	if (r->pending != NO_BREAK && r->out->n > 0) {
		tk_text_char(r->out, '\n');
		if (r->pending == PARAGRAPH) {
			begin_line(r);
			tk_text_char(r->out, '\n');
		}
		begin_line(r);
	} else if (r->pending != NO_BREAK) {
		begin_line(r);
	} else if (r->space && r->out->n > 0) {
		tk_text_char(r->out, ' ');
	}
	r->pending = NO_BREAK;
	r->space = false;
}

static void break_line(struct reader *r, enum block how)
{
	if (taking(r) && r->pending < how)
		r->pending = how;
}

static void put_rune(struct reader *r, uint32_t rune)
{
	if (rune == 0x7F || (rune >= 0x80 && rune < 0xA0) || (rune < ' ' && strchr("\t\n\f\r", (int)rune) == NULL))
		return; /* to a terminal these are orders */
	if (r->in_title) {
		if (r->title->n < 300)
			tk_text_rune(r->title, rune <= ' ' ? ' ' : rune);
		return;
	}
	if (!taking(r) || rune == 0)
		return;
	if (r->out->n >= r->max) {
		r->cut = true;
		return;
	}
	if (r->pre > 0 && rune != '\r') {
		flush_break(r);
		tk_text_rune(r->out, rune);
		if (rune == '\n')
			begin_line(r);
	} else if (rune <= ' ' || rune == 0xA0) {
		r->space = true;
	} else {
		flush_break(r);
		tk_text_rune(r->out, rune);
	}
}

/* ---- Tags ---- */

struct tag {
	char name[16];
	bool closing, empty;
	const char *attrs, *attrs_end;
};

static bool is(const struct tag *t, const char *name)
{
	return strcmp(t->name, name) == 0;
}

static bool one_of(const char *name, const char *list)
{
	size_t n = strlen(name);
	for (const char *p = list; (p = strstr(p, name)) != NULL; p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
			return true;
	return false;
}

/* The raw value of an attribute, NULL when absent. */
static const char *attribute(const struct tag *t, const char *name, size_t *ret_n)
{
	size_t len = strlen(name);
	const char *p = t->attrs, *end = t->attrs_end;
	while (p < end) {
		while (p < end && (strchr(" \t\r\n/", *p) != NULL))
			p++;
		const char *from = p;
		while (p < end && strchr(" \t\r\n=/", *p) == NULL)
			p++;
		bool ours = (size_t)(p - from) == len && strncasecmp(from, name, len) == 0;
		while (p < end && strchr(" \t\r\n", *p) != NULL)
			p++;
		if (p >= end || *p != '=') {
			if (p == from)
				p++;
			continue;
		}
		p++;
		while (p < end && strchr(" \t\r\n", *p) != NULL)
			p++;
		char quote = p < end && (*p == '"' || *p == '\'') ? *p++ : 0;
		const char *value = p;
		while (p < end && (quote != 0 ? *p != quote : strchr(" \t\r\n", *p) == NULL))
			p++;
		if (ours) {
			*ret_n = (size_t)(p - value);
			return value;
		}
		if (p < end)
			p++;
	}
	return NULL;
}

/* An attribute's value with its character references replaced. */
static void add_value(tk_text *out, const char *p, size_t n)
{
	for (const char *end = p + n; p < end;) {
		uint32_t rune;
		size_t len = *p == '&' ? reference(p, end, true, &rune) : 0;
		if (len == 0 && (len = tk_utf8(p, (size_t)(end - p), &rune)) == 0) {
			len = 1;
			rune = 0xFFFD;
		}
		if (rune > ' ')
			tk_text_rune(out, rune);
		else if (rune != 0)
			tk_text_char(out, ' ');
		p += len;
	}
}

static void close_link(struct reader *r)
{
	if (!r->has_link)
		return;
	r->has_link = false;
	if (r->out->n <= r->link_start) { /* no text: an image or an icon */
		tk_text_cut(r->out, r->link_start - 1);
		return;
	}
	tk_text_z(r->out, "](");
	tk_text_z(r->out, r->link);
	tk_text_char(r->out, ')');
}

/* What a reader can go to; "javascript:", "data:" and the like are nothing to read. */
static bool leads_somewhere(const char *url)
{
	static const char *const schemes[] = {"http://", "https://", "mailto:", "tel:", "ftp://"};
	bool known = url[strcspn(url, ":/?#")] != ':'; /* none at all */
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes && !known; i++)
		known = strncasecmp(url, schemes[i], strlen(schemes[i])) == 0;
	return known && strpbrk(url, " ()<>") == NULL;
}

static void open_link(struct reader *r, const struct tag *t)
{
	size_t n;
	const char *href = attribute(t, "href", &n);
	close_link(r); /* there is no link in a link */
	while (href != NULL && n > 0 && (unsigned char)href[0] <= ' ')
		href++, n--;
	while (href != NULL && n > 0 && (unsigned char)href[n - 1] <= ' ')
		n--;
	if (!r->markdown || !taking(r) || href == NULL || n == 0 || n >= MAX_LINK || href[0] == '#')
		return;
	tk_text plain, full;
	tk_text_init(&plain, MAX_LINK);
	tk_text_init(&full, MAX_LINK - 1);
	add_value(&plain, href, n);
	web_url_join(&full, r->base, plain.p != NULL ? plain.p : "", plain.n);
	if (!full.failed && full.n > 0 && leads_somewhere(full.p)) {
		memcpy(r->link, full.p, full.n + 1);
		flush_break(r);
		tk_text_char(r->out, '[');
		r->link_start = r->out->n;
		r->has_link = true;
	}
	tk_text_free(&plain);
	tk_text_free(&full);
}

static void show_image(struct reader *r, const struct tag *t)
{
	size_t n;
	const char *alt = attribute(t, "alt", &n);
	if (alt == NULL || n == 0 || n > 300 || !taking(r))
		return;
	flush_break(r);
	tk_text_z(r->out, r->markdown ? "[image: " : "");
	add_value(r->out, alt, n);
	tk_text_z(r->out, r->markdown ? "]" : "");
}

static void open_item(struct reader *r)
{
	int depth = r->n_lists > 0 ? r->n_lists - 1 : 0;
	break_line(r, LINE);
	if (!taking(r))
		return;
	flush_break(r);
	for (int i = 0; i < depth; i++)
		tk_text_z(r->out, "  ");
	if (r->n_lists > 0 && r->lists[r->n_lists - 1] > 0)
		tk_text_printf(r->out, "%d. ", r->lists[r->n_lists - 1]++);
	else
		tk_text_z(r->out, "- ");
}

static void on_list(struct reader *r, const struct tag *t)
{
	break_line(r, r->n_lists > (t->closing ? 1 : 0) ? LINE : PARAGRAPH);
	if (t->closing && r->n_lists > 0)
		r->n_lists--;
	else if (!t->closing && r->n_lists < MAX_LISTS)
		r->lists[r->n_lists++] = is(t, "ol") ? 1 : 0;
}

static void on_pre(struct reader *r, const struct tag *t)
{
	if (!t->closing) {
		break_line(r, PARAGRAPH);
		if (r->pre++ == 0 && r->markdown && taking(r)) {
			flush_break(r);
			tk_text_z(r->out, "```\n");
			r->fence = true;
		}
	} else if (r->pre > 0 && --r->pre == 0) {
		if (r->fence) {
			r->fence = false;
			if (r->out->n > 0 && r->out->p[r->out->n - 1] != '\n')
				tk_text_char(r->out, '\n');
			tk_text_z(r->out, "```");
		}
		break_line(r, PARAGRAPH);
	}
}

static void on_inline(struct reader *r, const struct tag *t, struct style *style, const char *text)
{
	if (t->closing && style->open > 0) {
		style->open--;
		if (r->markdown && r->out->n == style->at && taking(r))
			tk_text_cut(r->out, style->at - strlen(text)); /* nothing in it: an icon */
		else
			mark(r, text);
		style->at = 0;
	} else if (!t->closing && taking(r)) {
		flush_break(r);
		style->open++;
		mark(r, text);
		style->at = r->out->n;
	}
}

static void on_heading(struct reader *r, const struct tag *t)
{
	break_line(r, PARAGRAPH);
	if (t->closing || !taking(r))
		return;
	flush_break(r);
	for (int i = '0'; r->markdown && i < t->name[1]; i++)
		tk_text_char(r->out, '#');
	mark(r, " ");
}

static void on_cell(struct reader *r, const struct tag *t)
{
	r->space = false;
	if (!t->closing && r->cells++ > 0 && taking(r)) {
		flush_break(r); /* of the row, when its first cell is empty */
		tk_text_z(r->out, " | ");
	}
}

/* What is not for readers, or is the page's frame rather than its content. */
static bool skipped(const struct reader *r, const struct tag *t)
{
	if (one_of(t->name, "noscript template svg iframe object canvas select button dialog"))
		return true;
	return r->only == NULL && one_of(t->name, "nav footer aside");
}

static void on_tag(struct reader *r, const struct tag *t)
{
	if (r->only != NULL && is(t, r->only) && !t->empty)
		r->only_depth += t->closing ? (r->only_depth > 0 ? -1 : 0) : 1;
	if (skipped(r, t)) {
		if (!t->empty)
			r->skip_depth += t->closing ? (r->skip_depth > 0 ? -1 : 0) : 1;
		break_line(r, LINE);
		return;
	}
	if (is(t, "title"))
		r->in_title = !t->closing && !t->empty && r->skip_depth == 0 && r->title->n == 0;
	else if (t->name[0] == 'h' && t->name[1] >= '1' && t->name[1] <= '6' && t->name[2] == 0)
		on_heading(r, t);
	else if (is(t, "a"))
		t->closing ? close_link(r) : open_link(r, t);
	else if (is(t, "br"))
		break_line(r, LINE);
	else if (is(t, "hr")) {
		break_line(r, PARAGRAPH);
		mark(r, r->out->n > 0 ? "\n\n---" : "");
	} else if (is(t, "li")) {
		t->closing ? break_line(r, LINE) : open_item(r);
	} else if (is(t, "ul") || is(t, "ol")) {
		on_list(r, t);
	} else if (is(t, "pre")) {
		on_pre(r, t);
	} else if (is(t, "code") && r->pre == 0) {
		on_inline(r, t, &r->code, "`");
	} else if (is(t, "strong") || is(t, "b")) {
		on_inline(r, t, &r->strong, "**");
	} else if (is(t, "em") || is(t, "i")) {
		on_inline(r, t, &r->emphasis, "*");
	} else if (is(t, "blockquote")) {
		break_line(r, PARAGRAPH);
		r->quote += t->closing ? (r->quote > 0 ? -1 : 0) : 1;
	} else if (is(t, "img")) {
		show_image(r, t);
	} else if (is(t, "tr")) {
		break_line(r, LINE);
		r->cells = 0;
	} else if (is(t, "td") || is(t, "th")) {
		on_cell(r, t);
	} else if (one_of(t->name, "p div section article main header figure figcaption table dl dt dd details summary address form "
				   "fieldset body")) {
		break_line(r, one_of(t->name, "p table section article figure dl") ? PARAGRAPH : LINE);
	}
}

/* ---- Tokens ---- */

/* Past the end of an element whose content is not HTML. */
static const char *skip_raw(const char *p, const char *end, const char *name)
{
	size_t n = strlen(name);
	for (; p < end; p++)
		if (*p == '<' && (size_t)(end - p) > n + 2 && p[1] == '/' && strncasecmp(p + 2, name, n) == 0
		    && strchr(" \t\r\n\f/>", p[n + 2]) != NULL)
			return p;
	return end;
}

static const char *find(const char *p, const char *end, const char *what)
{
	const char *at = memmem(p, (size_t)(end - p), what, strlen(what));
	return at != NULL ? at + strlen(what) : end;
}

static void read_tag(struct reader *r)
{
	struct tag t = {.closing = r->p[1] == '/'};
	const char *p = r->p + (t.closing ? 2 : 1);
	size_t n = 0;
	while (p < r->end && n < sizeof t.name - 1 && (((*p | 32) >= 'a' && (*p | 32) <= 'z') || (*p >= '0' && *p <= '9') || *p == '-'))
		t.name[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p), p++;
	t.attrs = p;
	char quote = 0, before = 0; /* but white space */
	for (; p < r->end && (quote != 0 || *p != '>'); p++) {
		if (quote != 0)
			quote = *p == quote ? 0 : quote;
		else if ((*p == '"' || *p == '\'') && before == '=')
			quote = *p;
		before = (unsigned char)*p > ' ' ? *p : before;
	}
	t.attrs_end = p;
	t.empty = p > t.attrs && p[-1] == '/';
	r->p = p < r->end ? p + 1 : r->end;
	on_tag(r, &t);
	if (!t.closing && !t.empty && (is(&t, "script") || is(&t, "style") || is(&t, "textarea")))
		r->p = skip_raw(r->p, r->end, t.name);
}

static void read_text(struct reader *r)
{
	uint32_t rune = 0;
	size_t n = *r->p == '&' ? reference(r->p, r->end, false, &rune) : 0;
	if (n == 0)
		n = tk_utf8(r->p, (size_t)(r->end - r->p), &rune);
	if (n == 0) {
		n = 1;
		rune = 0xFFFD;
	}
	put_rune(r, rune);
	r->p += n;
}

static void read_all(struct reader *r)
{
	while (r->p < r->end && !r->out->failed && !r->cut) {
		bool tag = *r->p == '<' && r->p + 1 < r->end;
		char next = tag ? r->p[1] : 0;
		if (tag && next == '!')
			r->p = r->end - r->p > 4 && memcmp(r->p, "<!--", 4) == 0 ? find(r->p + 2, r->end, "-->") /* "<!-->" is one */
										 : find(r->p, r->end, ">");
		else if (tag && next == '?')
			r->p = find(r->p, r->end, ">");
		else if (tag && (((next | 32) >= 'a' && (next | 32) <= 'z')
				 || (next == '/' && r->p + 2 < r->end && (r->p[2] | 32) >= 'a' && (r->p[2] | 32) <= 'z')))
			read_tag(r);
		else
			read_text(r);
		/* Marks without any text count too. */
		r->cut = r->cut || r->out->n > r->max;
	}
	if (r->fence)
		tk_text_z(r->out, "\n```");
	close_link(r);
}

static bool contains(const char *html, size_t n, const char *tag)
{
	size_t len = strlen(tag);
	for (const char *p = html, *end = html + n; p + len < end; p++)
		if (*p == '<' && strncasecmp(p, tag, len) == 0 && strchr(" >\t\n", p[len]) != NULL)
			return true;
	return false;
}

bool web_html_read(const char *html, size_t n, const char *base, bool markdown, size_t max, web_page *ret, bool *ret_cut)
{
	/* The part that says it is the content, when there is one with something in it; else all but the page's frame. */
	static const char *const parts[] = {"main", "article", NULL};
	for (int i = 0; i < 3; i++) {
		char tag[16] = "<";
		if (parts[i] != NULL) {
			strncat(tag, parts[i], sizeof tag - 2);
			if (!contains(html, n, tag))
				continue;
		}
		tk_text_init(&ret->body, max + 8192);
		tk_text_init(&ret->title, 1024);
		struct reader r = {.p = html, .end = html + n, .base = base, .markdown = markdown, .max = max, .out = &ret->body,
				   .title = &ret->title, .only = parts[i]};
		read_all(&r);
		*ret_cut = r.cut;
		if (ret->body.failed && !r.cut) {
			web_page_free(ret);
			return false;
		}
		if (parts[i] == NULL || ret->body.n >= 200)
			return true;
		web_page_free(ret);
	}
	return true;
}

void web_page_free(web_page *page)
{
	tk_text_free(&page->title);
	tk_text_free(&page->body);
}
