/*
 * Splitting a document into messages.
 *
 * A border is chosen in a window of what fits, by preference: between paragraphs, lines, lines of a code block, words,
 * characters.  A better kind of border is taken only when the message it ends is reasonably full.
 */
#include "format.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of borders, best first, and how full (in eighths) the window must be for one to be taken at once. */
enum { PARAGRAPH, LINE, CODE_LINE, WORD, CHARACTER, BORDERS };
static const size_t least_eighths[BORDERS] = {3, 4, 3, 1, 0};

typedef struct split {
	const tg_doc *doc;
	const tg_span **held; /* spans that are not cut for a word border: code blocks, code, links; by start */
	size_t n_held;
	const tg_span **pres; /* the code blocks among them; they never overlap */
	size_t n_pres;
	tg_piece *pieces;
	size_t n, cap;
} split;

static bool is_white(char c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

/* What Telegram takes for nothing: a message of nothing else is refused. */
static bool is_seen(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} unseen[] = {{0, ' '},		{0xa0, 0xa0},	  {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f},
		      {0x205f, 0x205f}, {0x2800, 0x2800}, {0x3000, 0x3000}, {0xfeff, 0xfeff}, {0xfffc, 0xfffc}, {0xe0000, 0xe007f}};
	for (size_t i = 0; i < sizeof unseen / sizeof unseen[0]; i++)
		if (c >= unseen[i].from && c <= unseen[i].to)
			return false;
	return true;
}

static int by_from(const void *a, const void *b)
{
	const tg_span *x = *(const tg_span *const *)a, *y = *(const tg_span *const *)b;
	return x->from < y->from ? -1 : x->from > y->from;
}

static oc_status add(split *s, size_t from, size_t to)
{
	const char *p = s->doc->text.p;
	bool visible = false;
	for (size_t i = from; i < to && !visible;) {
		uint32_t c;
		i += tg_utf8_next(p + i, to - i, &c);
		visible = is_seen(c);
	}
	if (!visible)
		return OC_OK;
	if (s->n == s->cap) {
		size_t cap = s->cap == 0 ? 8 : s->cap * 2;
		tg_piece *pieces = realloc(s->pieces, cap * sizeof *pieces);
		if (pieces == NULL)
			return OC_E_NOMEM;
		s->pieces = pieces;
		s->cap = cap;
	}
	s->pieces[s->n++] = (tg_piece){from, to};
	return OC_OK;
}

static bool is_flag_half(uint32_t c)
{
	return c >= 0x1f1e6 && c <= 0x1f1ff;
}

/* Whether a border at `at`, between two halves of flags, cuts one: they pair from the first on. */
static bool cuts_flag(const char *p, size_t from, size_t at)
{
	size_t halves = 0;
	uint32_t c;
	for (; at >= from + 4 && tg_utf8_next(p + at - 4, 4, &c) == 4 && is_flag_half(c); at -= 4)
		halves++;
	return halves % 2 == 1;
}

/* Moves a character border back out of a sequence that shows as one sign (accents, joined emoji, flags keep whole pairs). */
static size_t grapheme_border(const char *p, size_t from, size_t at, size_t to)
{
	size_t best = at;
	for (unsigned tries = 0; tries < 16 && best > from; tries++) {
		uint32_t after = 0, before = 0;
		if (best < to)
			tg_utf8_next(p + best, to - best, &after);
		size_t prev = best - 1;
		while (prev > from && ((unsigned char)p[prev] & 0xc0) == 0x80)
			prev--;
		tg_utf8_next(p + prev, best - prev, &before);
		bool joined = (after >= 0x300 && after <= 0x36f) || after == 0x200d || before == 0x200d
			      || (after >= 0xfe00 && after <= 0xfe0f) || (after >= 0x1f3fb && after <= 0x1f3ff)
			      || (after >= 0x20d0 && after <= 0x20ff) || (after >= 0xe0020 && after <= 0xe007f)
			      || (is_flag_half(after) && is_flag_half(before) && cuts_flag(p, from, best));
		if (!joined)
			return best;
		best = prev;
	}
	return best > from ? best : at;
}

/* The borders of each kind nearest to the end of the window [from, limit). A border at i: the next message starts there. */
static void find_borders(const split *s, size_t from, size_t limit, size_t found[BORDERS])
{
	const char *p = s->doc->text.p;
	size_t next = 0, pre_to = 0, held_to = 0;
	while (next < s->n_held && s->held[next]->to <= from)
		next++; /* not a full skip: later ones are checked below */
	for (size_t i = from + 1; i <= limit; i++) {
		for (; next < s->n_held && s->held[next]->from < i; next++) {
			const tg_span *h = s->held[next];
			if (h->to > held_to)
				held_to = h->to;
			if (h->kind == TG_PRE && h->to > pre_to)
				pre_to = h->to;
		}
		if (!is_white(p[i - 1]))
			continue;
		if (i < pre_to) { /* behind a line of a code block */
			if (p[i - 1] == '\n')
				found[CODE_LINE] = i;
			continue;
		}
		if (i < held_to)
			continue;
		if (p[i - 1] == '\n' && i - from >= 2 && p[i - 2] == '\n')
			found[PARAGRAPH] = i;
		if (p[i - 1] == '\n')
			found[LINE] = i;
		found[WORD] = i;
	}
	found[CHARACTER] = grapheme_border(p, from, limit, s->doc->text.n);
}

static size_t choose(const split *s, size_t from, size_t limit)
{
	size_t found[BORDERS] = {0};
	/* A white space just behind the window is a border at its end. */
	find_borders(s, from, limit, found);
	for (size_t kind = 0; kind < BORDERS; kind++)
		if (found[kind] > from && (found[kind] - from) * 8 >= (limit - from) * least_eighths[kind])
			return found[kind];
	return limit;
}

/* Whether a border at `at` would cut a code block. */
static bool in_pre(const split *s, size_t at)
{
	size_t low = 0, high = s->n_pres;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->pres[mid]->to <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n_pres && s->pres[low]->from < at;
}

/* Splits [from, end) by size. */
static oc_status split_range(split *s, size_t from, size_t end, size_t units)
{
	const char *p = s->doc->text.p;
	while (from < end) {
		while (from < end && (p[from] == '\n' || (is_white(p[from]) && !in_pre(s, from + 1))))
			from++;
		size_t fits = tg_utf16_cut(p + from, end - from, units);
		if (fits == 0)
			break;
		size_t to = from + fits;
		if (to < end) {
			/* What follows the window may be white space: then it ends with a whole word. */
			size_t look = to;
			while (look < end && look - to < 2 && is_white(p[look]))
				look++;
			to = choose(s, from, look);
		}
		size_t next = to;
		if (to > from + fits)
			to = from + fits;
		while (to > from && is_white(p[to - 1]))
			to--;
		oc_status status = add(s, from, to);
		if (status != OC_OK)
			return status;
		from = next;
	}
	return OC_OK;
}

/* The next blank line outside code blocks at or behind `from`, or end. */
static size_t paragraph_end(const split *s, size_t from, size_t end)
{
	const char *p = s->doc->text.p;
	for (size_t i = from; i + 1 < end; i++)
		if (p[i] == '\n' && p[i + 1] == '\n' && !in_pre(s, i + 1))
			return i;
	return end;
}

oc_status tg_doc_split(const tg_doc *doc, size_t units, bool by_paragraph, tg_piece **ret, size_t *ret_n)
{
	split s = {.doc = doc};
	size_t end = doc->text.n;
	oc_status status = OC_OK;
	if (units < 16)
		units = 16;
	s.held = calloc(doc->n_spans + 1, sizeof *s.held);
	s.pres = calloc(doc->n_spans + 1, sizeof *s.pres);
	if (s.held == NULL || s.pres == NULL) {
		free(s.held);
		free(s.pres);
		return OC_E_NOMEM;
	}
	for (size_t i = 0; i < doc->n_spans; i++)
		if (doc->spans[i].kind == TG_PRE || doc->spans[i].kind == TG_LINK || doc->spans[i].kind == TG_CODE)
			s.held[s.n_held++] = &doc->spans[i];
	if (s.n_held > 1)
		qsort(s.held, s.n_held, sizeof *s.held, by_from);
	for (size_t i = 0; i < s.n_held; i++)
		if (s.held[i]->kind == TG_PRE)
			s.pres[s.n_pres++] = s.held[i];
	for (size_t from = 0; from < end && status == OC_OK;) {
		size_t to = by_paragraph ? paragraph_end(&s, from, end) : end;
		status = split_range(&s, from, to, units);
		from = to + 1;
	}
	free(s.held);
	free(s.pres);
	if (status != OC_OK) {
		free(s.pieces);
		return status;
	}
	*ret = s.pieces;
	*ret_n = s.n;
	return OC_OK;
}
