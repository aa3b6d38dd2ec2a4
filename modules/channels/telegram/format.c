/*
 * Block Markdown: paragraphs, headings, lists, quotations, fenced and indented code, rules, tables.
 *
 * Telegram knows no headings, lists, rules or tables, so these become bold lines, bullets, a dash line and aligned text.
 * Line breaks of the source are kept, as people expect of a chat.
 */
#include "format.h"

#include <stdlib.h>
#include <string.h>

#define QUOTE_DEPTH 8
#define COLUMNS_MAX 32
#define COLUMN_PAD_MAX 48
#define LANGUAGE_MAX 32

typedef struct line {
	const char *p;
	size_t n;
} line;

typedef struct block {
	tg_doc *doc;
	const line *lines;
	size_t n_lines;
	size_t at;
	tg_sb scratch;  /* a paragraph's lines, joined */
	tg_tables tables;
	unsigned depth; /* of quotations */
	bool blank;     /* a blank line came before */
	bool in_list;
	bool first;     /* nothing was written in this container yet */
} block;

static oc_status blocks(tg_doc *doc, const line *lines, size_t n, tg_tables tables, unsigned depth);

/* ---- Documents ---- */

void tg_doc_init(tg_doc *doc)
{
	memset(doc, 0, sizeof *doc);
	tg_sb_init(&doc->text, TG_MARKDOWN_MAX * 4);
}

void tg_doc_free(tg_doc *doc)
{
	for (size_t i = 0; i < doc->n_spans; i++)
		free(doc->spans[i].arg);
	free(doc->spans);
	tg_sb_free(&doc->text);
	tg_doc_init(doc);
}

oc_status tg_doc_span(tg_doc *doc, uint32_t kind, size_t from, size_t to, const char *arg, size_t n)
{
	if (from >= to)
		return OC_OK;
	if (doc->n_spans == doc->cap_spans) {
		size_t cap = doc->cap_spans == 0 ? 16 : doc->cap_spans * 2;
		tg_span *spans = realloc(doc->spans, cap * sizeof *spans);
		if (spans == NULL)
			return OC_E_NOMEM;
		doc->spans = spans;
		doc->cap_spans = cap;
	}
	char *copy = NULL;
	if (n > 0 && (copy = tg_memdup(arg, n)) == NULL)
		return OC_E_NOMEM;
	doc->spans[doc->n_spans] = (tg_span){from, to, copy, kind, (uint32_t)doc->n_spans};
	doc->n_spans++;
	return OC_OK;
}

/* ---- Lines ---- */

static size_t indent_of(line l)
{
	size_t columns = 0;
	for (size_t i = 0; i < l.n; i++) {
		if (l.p[i] == ' ')
			columns++;
		else if (l.p[i] == '\t')
			columns += 4 - columns % 4;
		else
			break;
	}
	return columns;
}

static line skip_indent(line l, size_t columns)
{
	size_t at = 0;
	while (l.n > 0 && at < columns && (*l.p == ' ' || *l.p == '\t')) {
		at += *l.p == ' ' ? 1 : 4 - at % 4;
		l.p++;
		l.n--;
	}
	return l;
}

static line trim_left(line l)
{
	return skip_indent(l, (size_t)-1);
}

static line trim(line l)
{
	l = trim_left(l);
	while (l.n > 0 && (l.p[l.n - 1] == ' ' || l.p[l.n - 1] == '\t'))
		l.n--;
	return l;
}

static bool is_blank(line l)
{
	return trim_left(l).n == 0;
}

static size_t run_of(line l, char c)
{
	size_t n = 0;
	while (n < l.n && l.p[n] == c)
		n++;
	return n;
}

/* ``` or ~~~ of at least three; the length of the run, or 0. */
static size_t fence_of(line l)
{
	l = trim_left(l);
	size_t n = l.n > 0 && (*l.p == '`' || *l.p == '~') ? run_of(l, *l.p) : 0;
	if (n < 3 || (*l.p == '`' && memchr(l.p + n, '`', l.n - n) != NULL))
		return 0;
	return n;
}

/* "# " … "###### "; the level, or 0. */
static size_t heading_of(line l)
{
	l = trim_left(l);
	size_t n = run_of(l, '#');
	return n >= 1 && n <= 6 && (n == l.n || l.p[n] == ' ' || l.p[n] == '\t') ? n : 0;
}

static bool is_rule(line l)
{
	l = trim(l);
	if (l.n < 3 || (*l.p != '-' && *l.p != '*' && *l.p != '_'))
		return false;
	size_t marks = 0;
	for (size_t i = 0; i < l.n; i++) {
		if (l.p[i] == *l.p)
			marks++;
		else if (l.p[i] != ' ' && l.p[i] != '\t')
			return false;
	}
	return marks >= 3;
}

/* A line of = or - under a line of text makes that a heading. */
static bool is_underline(line l)
{
	l = trim(l);
	return l.n >= 2 && (*l.p == '=' || *l.p == '-') && run_of(l, *l.p) == l.n;
}

static bool is_quote(line l)
{
	return indent_of(l) < 4 && trim_left(l).n > 0 && *trim_left(l).p == '>';
}

/* The bytes of a list mark with the space after it ("- ", "12. "), or 0. */
static size_t item_of(line l)
{
	l = trim_left(l);
	size_t n = 0;
	if (l.n > 0 && (*l.p == '-' || *l.p == '*' || *l.p == '+')) {
		n = 1;
	} else {
		while (n < l.n && n < 9 && l.p[n] >= '0' && l.p[n] <= '9')
			n++;
		if (n == 0 || n >= l.n || (l.p[n] != '.' && l.p[n] != ')'))
			return 0;
		n++;
	}
	if (n < l.n && l.p[n] != ' ' && l.p[n] != '\t')
		return 0;
	while (n < l.n && (l.p[n] == ' ' || l.p[n] == '\t'))
		n++;
	return n == l.n ? 0 : n;
}

/* Cuts a table row into cells; returns how many. A bar inside `code` or behind a backslash belongs to the cell. */
static size_t cells_of(line l, line *cells, size_t max)
{
	l = trim(l);
	if (l.n > 0 && *l.p == '|') {
		l.p++;
		l.n--;
	}
	size_t n = 0, from = 0;
	bool code = false;
	for (size_t i = 0; i <= l.n; i++) {
		if (i < l.n && l.p[i] == '`')
			code = !code;
		if (i < l.n && l.p[i] == '\\' && i + 1 < l.n) {
			i++;
			continue;
		}
		if (i < l.n && (l.p[i] != '|' || code))
			continue;
		if (i == l.n && from == i && n > 0)
			break; /* the bar at the end */
		if (n == max)
			return 0;
		cells[n++] = trim((line){l.p + from, i - from});
		from = i + 1;
	}
	return n;
}

static bool is_delimiter_row(line l)
{
	l = trim(l);
	bool dash = false;
	for (size_t i = 0; i < l.n; i++) {
		if (l.p[i] == '-')
			dash = true;
		else if (l.p[i] != '|' && l.p[i] != ':' && l.p[i] != ' ' && l.p[i] != '\t')
			return false;
	}
	return dash && memchr(l.p, '|', l.n) != NULL;
}

static bool is_table(const block *b, size_t at)
{
	line cells[COLUMNS_MAX];
	if (at + 1 >= b->n_lines || b->lines[at].n == 0 || memchr(b->lines[at].p, '|', b->lines[at].n) == NULL
	    || !is_delimiter_row(b->lines[at + 1]))
		return false;
	size_t n = cells_of(b->lines[at], cells, COLUMNS_MAX);
	return n > 0 && n == cells_of(b->lines[at + 1], cells, COLUMNS_MAX);
}

/* Whether a line ends the paragraph before it. */
static bool is_block_start(const block *b, size_t at)
{
	line l = b->lines[at];
	return is_blank(l) || fence_of(l) > 0 || heading_of(l) > 0 || is_rule(l) || is_quote(l) || item_of(l) > 0
	       || is_table(b, at);
}

/* ---- Writing ---- */

static tg_sb *out(block *b)
{
	return &b->doc->text;
}

/* Begins a block on a line of its own, with one empty line before it where the source has any. */
static void begin(block *b)
{
	if (!b->first)
		tg_sb_z(out(b), b->blank ? "\n\n" : "\n");
	b->first = false;
	b->blank = false;
}

/* The lines of a paragraph from `first` on, joined in scratch; moves `at` behind them. */
static void gather(block *b, line first)
{
	tg_sb_clear(&b->scratch);
	line l = first;
	for (;;) {
		line text = b->in_list && b->scratch.n > 0 ? l : trim_left(l);
		text = (line){text.p, text.n};
		while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t'))
			text.n--;
		/* A backslash at the end is a line break, which we keep anyway. */
		bool more = b->at + 1 < b->n_lines && !is_block_start(b, b->at + 1)
			    && !is_underline(b->lines[b->at + 1]);
		if (more && text.n > 0 && text.p[text.n - 1] == '\\')
			text.n--;
		tg_sb_add(&b->scratch, text.p, text.n);
		b->at++;
		if (!more || (b->at + 1 < b->n_lines && is_underline(b->lines[b->at + 1])))
			break; /* the line above an underline is a heading of its own */
		tg_sb_char(&b->scratch, '\n');
		l = b->lines[b->at];
	}
}

static oc_status write_scratch(block *b)
{
	return b->scratch.failed ? OC_E_NOMEM : tg_inline(b->doc, b->scratch.p, b->scratch.n);
}

static oc_status write_heading(block *b, line text)
{
	begin(b);
	size_t from = out(b)->n;
	oc_status status = tg_inline(b->doc, text.p, text.n);
	b->in_list = false;
	return status == OC_OK ? tg_doc_span(b->doc, TG_BOLD, from, out(b)->n, NULL, 0) : status;
}

static oc_status take_heading(block *b)
{
	line l = trim(b->lines[b->at++]);
	size_t level = run_of(l, '#');
	l = trim((line){l.p + level, l.n - level});
	size_t end = l.n;
	while (end > 0 && l.p[end - 1] == '#')
		end--;
	if (end < l.n && (end == 0 || l.p[end - 1] == ' '))
		l = trim((line){l.p, end});
	return l.n == 0 ? OC_OK : write_heading(b, l);
}

static oc_status write_pre(block *b, size_t from, const char *language, size_t n)
{
	tg_sb *text = out(b);
	while (text->n > from && text->p[text->n - 1] == '\n')
		text->p[--text->n] = 0;
	return tg_doc_span(b->doc, TG_PRE, from, text->n, language, n);
}

static oc_status take_fence(block *b)
{
	line open = b->lines[b->at];
	size_t indent = indent_of(open), length = fence_of(open);
	open = trim(open);
	char mark = *open.p;
	line info = trim((line){open.p + length, open.n - length});
	size_t language = 0;
	while (language < info.n && language < LANGUAGE_MAX
	       && (((info.p[language] | 32) >= 'a' && (info.p[language] | 32) <= 'z')
		   || (info.p[language] >= '0' && info.p[language] <= '9')
		   || memchr("+#-_.", info.p[language], 5) != NULL))
		language++;
	if (language < info.n && info.p[language] != ' ' && info.p[language] != ',' && info.p[language] != '{'
	    && info.p[language] != ':')
		language = 0; /* no plain name */
	begin(b);
	size_t from = out(b)->n;
	for (b->at++; b->at < b->n_lines; b->at++) {
		line l = b->lines[b->at], bare = trim(l);
		if (bare.n >= length && *bare.p == mark && run_of(bare, mark) == bare.n) {
			b->at++;
			break;
		}
		l = skip_indent(l, indent);
		tg_sb_add(out(b), l.p, l.n);
		tg_sb_char(out(b), '\n');
	}
	return write_pre(b, from, info.p, language);
}

static oc_status take_indented(block *b)
{
	begin(b);
	size_t from = out(b)->n;
	while (b->at < b->n_lines && (is_blank(b->lines[b->at]) || indent_of(b->lines[b->at]) >= 4)) {
		if (is_blank(b->lines[b->at])) {
			/* A blank line belongs to it only when more follows. */
			size_t next = b->at;
			while (next < b->n_lines && is_blank(b->lines[next]))
				next++;
			if (next == b->n_lines || indent_of(b->lines[next]) < 4)
				break;
			for (; b->at + 1 < next; b->at++) /* all at once: each looks for the end only once */
				tg_sb_char(out(b), '\n');
		}
		line l = skip_indent(b->lines[b->at++], 4);
		tg_sb_add(out(b), l.p, l.n);
		tg_sb_char(out(b), '\n');
	}
	return write_pre(b, from, NULL, 0);
}

static oc_status take_quote(block *b)
{
	size_t n = 0;
	while (b->at + n < b->n_lines && is_quote(b->lines[b->at + n]))
		n++;
	line *inner = calloc(n, sizeof *inner);
	if (inner == NULL)
		return OC_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		inner[i] = trim_left(b->lines[b->at + i]);
		inner[i].p++;
		inner[i].n--;
		if (inner[i].n > 0 && *inner[i].p == ' ') {
			inner[i].p++;
			inner[i].n--;
		}
	}
	b->at += n;
	begin(b);
	size_t from = out(b)->n;
	oc_status status = blocks(b->doc, inner, n, b->tables, b->depth + 1);
	free(inner);
	b->in_list = false;
	/* Telegram does not nest quotations: the outermost stands for all. */
	if (status == OC_OK && b->depth == 0)
		status = tg_doc_span(b->doc, TG_QUOTE, from, out(b)->n, NULL, 0);
	return status;
}

static oc_status take_item(block *b)
{
	line l = b->lines[b->at];
	size_t level = indent_of(l) / 2, mark = item_of(l);
	l = trim_left(l);
	begin(b);
	tg_sb_repeat(out(b), ' ', (level > 6 ? 6 : level) * 2);
	if (*l.p == '-' || *l.p == '*' || *l.p == '+') {
		line rest = {l.p + mark, l.n - mark};
		bool box = rest.n >= 4 && rest.p[0] == '[' && rest.p[2] == ']' && rest.p[3] == ' '
			   && (rest.p[1] == ' ' || (rest.p[1] | 32) == 'x');
		tg_sb_z(out(b), !box ? "• " : rest.p[1] == ' ' ? "☐ " : "☑ ");
		mark += box ? 4 : 0;
	} else {
		size_t digits = 0;
		while (l.p[digits] >= '0' && l.p[digits] <= '9')
			digits++;
		tg_sb_add(out(b), l.p, digits + 1);
		tg_sb_char(out(b), ' ');
	}
	b->in_list = true;
	line rest = {l.p + mark, l.n - mark};
	if (heading_of(rest) > 0) {
		size_t hashes = run_of(rest, '#');
		rest = trim((line){rest.p + hashes, rest.n - hashes});
	}
	gather(b, rest);
	return write_scratch(b);
}

/* ---- Tables ---- */

static size_t display_width(const char *p, size_t n)
{
	size_t width = 0;
	for (size_t i = 0; i < n;) {
		uint32_t cp;
		i += tg_utf8_next(p + i, n - i, &cp);
		if ((cp >= 0x300 && cp <= 0x36f) || cp == 0x200d || (cp >= 0xfe00 && cp <= 0xfe0f))
			continue;
		width += (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) || (cp >= 0xac00 && cp <= 0xd7a3)
					 || (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0xfe30 && cp <= 0xfe6f)
					 || (cp >= 0xff00 && cp <= 0xff60) || (cp >= 0x1f300 && cp <= 0x1faff)
				 ? 2
				 : 1;
	}
	return width;
}

/* A cell's visible text, without its markup. */
static oc_status cell_text(line cell, tg_doc *ret)
{
	oc_status status = tg_inline(ret, cell.p, cell.n);
	for (size_t i = 0; i < ret->text.n; i++)
		if (ret->text.p[i] == '\n')
			ret->text.p[i] = ' ';
	return status;
}

static oc_status table_widths(const block *b, size_t to, size_t *widths)
{
	oc_status status = OC_OK;
	for (size_t row = b->at; row < to && status == OC_OK; row++) {
		line cells[COLUMNS_MAX];
		size_t n = row == b->at + 1 ? 0 : cells_of(b->lines[row], cells, COLUMNS_MAX);
		for (size_t i = 0; i < n && status == OC_OK; i++) {
			tg_doc text;
			tg_doc_init(&text);
			status = cell_text(cells[i], &text);
			size_t width = text.text.p == NULL ? 0 : display_width(text.text.p, text.text.n);
			if (width > COLUMN_PAD_MAX)
				width = COLUMN_PAD_MAX;
			if (width > widths[i])
				widths[i] = width;
			tg_doc_free(&text);
		}
	}
	return status;
}

static oc_status table_row(block *b, line row, const size_t *widths, size_t columns)
{
	line cells[COLUMNS_MAX];
	size_t n = cells_of(row, cells, COLUMNS_MAX);
	oc_status status = OC_OK;
	for (size_t i = 0; i < columns && status == OC_OK; i++) {
		tg_doc text;
		tg_doc_init(&text);
		if (i < n)
			status = cell_text(cells[i], &text);
		oc_str view = tg_sb_view(&text.text);
		size_t width = display_width(view.p, view.n);
		tg_sb_z(out(b), i == 0 ? "" : " | ");
		tg_sb_add(out(b), view.p, view.n);
		if (i + 1 < columns && width < widths[i])
			tg_sb_repeat(out(b), ' ', widths[i] - width);
		tg_doc_free(&text);
	}
	tg_sb_char(out(b), '\n');
	return status;
}

static oc_status table_as_code(block *b, size_t to)
{
	size_t widths[COLUMNS_MAX] = {0};
	line cells[COLUMNS_MAX];
	size_t columns = cells_of(b->lines[b->at], cells, COLUMNS_MAX);
	oc_status status = table_widths(b, to, widths);
	begin(b);
	size_t from = out(b)->n;
	for (size_t row = b->at; row < to && status == OC_OK; row++) {
		if (row != b->at + 1) {
			status = table_row(b, b->lines[row], widths, columns);
			continue;
		}
		for (size_t i = 0; i < columns; i++) {
			tg_sb_z(out(b), i == 0 ? "" : "-|-");
			tg_sb_repeat(out(b), '-', widths[i]);
		}
		tg_sb_char(out(b), '\n');
	}
	b->at = to;
	return status == OC_OK ? write_pre(b, from, NULL, 0) : status;
}

/* Each row as a bold first cell and "• header: cell" lines. */
static oc_status table_as_bullets(block *b, size_t to)
{
	line heads[COLUMNS_MAX], cells[COLUMNS_MAX];
	size_t columns = cells_of(b->lines[b->at], heads, COLUMNS_MAX);
	oc_status status = OC_OK;
	for (size_t row = b->at + 2; row < to && status == OC_OK; row++) {
		size_t n = cells_of(b->lines[row], cells, COLUMNS_MAX);
		if (n == 0)
			continue;
		b->blank = true;
		status = write_heading(b, cells[0]);
		for (size_t i = 1; i < n && i < columns && status == OC_OK; i++) {
			begin(b);
			tg_sb_z(out(b), "• ");
			status = tg_inline(b->doc, heads[i].p, heads[i].n);
			tg_sb_z(out(b), ": ");
			if (status == OC_OK)
				status = tg_inline(b->doc, cells[i].p, cells[i].n);
		}
	}
	b->at = to;
	return status;
}

static oc_status take_table(block *b)
{
	size_t to = b->at + 2;
	while (to < b->n_lines && !is_blank(b->lines[to]) && memchr(b->lines[to].p, '|', b->lines[to].n) != NULL)
		to++;
	b->in_list = false;
	if (b->tables == TG_TABLES_BULLETS)
		return table_as_bullets(b, to);
	if (b->tables == TG_TABLES_CODE)
		return table_as_code(b, to);
	oc_status status = OC_OK;
	for (; b->at < to && status == OC_OK; b->at++) {
		begin(b);
		status = tg_inline(b->doc, b->lines[b->at].p, b->lines[b->at].n);
	}
	return status;
}

/* ---- The walk ---- */

static oc_status take_block(block *b)
{
	line l = b->lines[b->at];
	if (fence_of(l) > 0)
		return take_fence(b);
	if (indent_of(l) >= 4 && !b->in_list && (b->first || b->blank))
		return take_indented(b);
	if (heading_of(l) > 0)
		return take_heading(b);
	if (is_rule(l)) {
		begin(b);
		tg_sb_z(out(b), "———");
		b->at++;
		b->in_list = false;
		return OC_OK;
	}
	if (is_quote(l) && b->depth < QUOTE_DEPTH)
		return take_quote(b);
	if (item_of(l) > 0)
		return take_item(b);
	if (is_table(b, b->at))
		return take_table(b);
	if (b->at + 1 < b->n_lines && is_underline(b->lines[b->at + 1]) && !(b->in_list && indent_of(l) > 0)) {
		b->at += 2;
		return write_heading(b, trim(l));
	}
	if (indent_of(l) == 0)
		b->in_list = false;
	begin(b);
	if (b->in_list)
		tg_sb_repeat(out(b), ' ', indent_of(l) > 12 ? 12 : indent_of(l));
	gather(b, l);
	return write_scratch(b);
}

static oc_status blocks(tg_doc *doc, const line *lines, size_t n, tg_tables tables, unsigned depth)
{
	block b = {.doc = doc, .lines = lines, .n_lines = n, .tables = tables, .depth = depth, .first = true};
	tg_sb_init(&b.scratch, TG_MARKDOWN_MAX * 4);
	oc_status status = OC_OK;
	while (b.at < n && status == OC_OK) {
		if (is_blank(lines[b.at])) {
			b.blank = !b.first;
			b.at++;
			continue;
		}
		status = take_block(&b);
	}
	tg_sb_free(&b.scratch);
	return status == OC_OK && doc->text.failed ? OC_E_LIMIT : status;
}

/* Copies text with valid UTF-8, \n for every line end, and no control character but \n and \t. */
static void clean(oc_str in, tg_sb *to)
{
	for (size_t i = 0; i < in.n;) {
		uint32_t cp;
		size_t len = tg_utf8_next(in.p + i, in.n - i, &cp);
		if (cp == '\r') {
			if (i + 1 >= in.n || in.p[i + 1] != '\n')
				tg_sb_char(to, '\n');
		} else if (cp == 0xfffd) {
			tg_sb_code_point(to, cp);
		} else if ((cp >= ' ' && cp != 0x7f) || cp == '\n' || cp == '\t') {
			tg_sb_add(to, in.p + i, len);
		}
		i += len;
	}
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'
	       || c == '/';
}

/* Whether a word is a file name that Telegram would take for a web address ("README.md" is no site in Moldova). */
static bool is_file_name(const char *p, size_t n)
{
	static const char *const ends[] = {".md", ".py", ".sh", ".rs", ".go", ".pl", ".cc", ".so", ".zip", ".mov"};
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		size_t len = strlen(ends[i]);
		if (n > len && memcmp(p + n - len, ends[i], len) == 0 && p[n - len - 1] != '.' && p[n - len - 1] != '/')
			return true;
	}
	return false;
}

static int by_from(const void *a, const void *b)
{
	const tg_span *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from ? 1 : x->order < y->order ? -1 : 1;
}

/* Marks file names outside code and links as code. */
static oc_status protect_file_names(tg_doc *doc)
{
	const char *p = doc->text.p;
	size_t n = doc->text.n, n_before = doc->n_spans, next = 0, busy_to = 0;
	if (n_before > 1)
		qsort(doc->spans, n_before, sizeof doc->spans[0], by_from);
	for (size_t i = 0; i < n;) {
		if (!word_char(p[i])) {
			i++;
			continue;
		}
		size_t from = i;
		while (i < n && word_char(p[i]))
			i++;
		size_t to = i;
		while (to > from && p[to - 1] == '.')
			to--;
		for (; next < n_before && doc->spans[next].from < to; next++) {
			const tg_span *s = &doc->spans[next];
			if ((s->kind == TG_CODE || s->kind == TG_PRE || s->kind == TG_LINK) && s->to > busy_to)
				busy_to = s->to;
		}
		bool alone = (from == 0 || memchr(" \n\t([\"'", p[from - 1], 7) != NULL)
			     && (i == n || memchr(" \n\t)]\"',;:!?", p[i], 12) != NULL);
		if (alone && from >= busy_to && p[from] != '/' && is_file_name(p + from, to - from)) {
			oc_status status = tg_doc_span(doc, TG_CODE, from, to, NULL, 0);
			if (status != OC_OK)
				return status;
		}
	}
	return OC_OK;
}

oc_status tg_doc_plain(tg_doc *doc, oc_str text)
{
	clean(text, &doc->text);
	return doc->text.failed ? OC_E_LIMIT : OC_OK;
}

oc_status tg_doc_markdown(tg_doc *doc, oc_str markdown, tg_tables tables)
{
	if (markdown.n > TG_MARKDOWN_MAX)
		return OC_E_LIMIT;
	tg_sb source;
	tg_sb_init(&source, TG_MARKDOWN_MAX * 3);
	clean(markdown, &source);
	oc_str text = tg_sb_view(&source);
	size_t n = 1, at = 0;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	line *lines = calloc(n, sizeof *lines);
	oc_status status = lines == NULL || source.failed ? OC_E_NOMEM : OC_OK;
	for (size_t i = 0; status == OC_OK && i < n; i++) {
		const char *end = memchr(text.p + at, '\n', text.n - at);
		lines[i] = (line){text.p + at, end == NULL ? text.n - at : (size_t)(end - text.p) - at};
		at += lines[i].n + 1;
	}
	if (status == OC_OK)
		status = blocks(doc, lines, n, tables, 0);
	if (status == OC_OK)
		status = protect_file_names(doc);
	free(lines);
	tg_sb_free(&source);
	return status;
}
