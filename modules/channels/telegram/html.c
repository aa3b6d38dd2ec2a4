/*
 * A piece of a document as Telegram HTML: always well nested, with nothing inside code and no link inside a link, because
 * Telegram refuses the whole message otherwise.
 */
#include "format.h"

#include <stdlib.h>
#include <string.h>

#define KINDS (TG_CODE + 1)

typedef struct html {
	const tg_span **opens;  /* spans of the piece by start */
	const tg_span **closes; /* the same by end */
	size_t n, next_open, next_close;
	size_t active[KINDS];         /* how many spans of a kind are open */
	const tg_span *last[KINDS];   /* the latest opened, for its argument */
	uint32_t stack[KINDS];        /* kinds as written, outermost first */
	const char *stack_arg[KINDS]; /* what they were written with */
	size_t depth;
	tg_sb *out;
} html;

static int by_open(const void *a, const void *b)
{
	const tg_span *x = *(const tg_span *const *)a, *y = *(const tg_span *const *)b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->to != y->to)
		return x->to > y->to ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int by_close(const void *a, const void *b)
{
	const tg_span *x = *(const tg_span *const *)a, *y = *(const tg_span *const *)b;
	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void write_open(html *h, uint32_t kind, const char *arg)
{
	static const char *const tags[KINDS] = {[TG_QUOTE] = "<blockquote>",  [TG_PRE] = "<pre>",
						[TG_BOLD] = "<b>",            [TG_ITALIC] = "<i>",
						[TG_STRIKE] = "<s>",          [TG_SPOILER] = "<tg-spoiler>",
						[TG_CODE] = "<code>"};
	if (kind == TG_LINK) {
		tg_sb_z(h->out, "<a href=\"");
		tg_sb_html(h->out, arg, strlen(arg));
		tg_sb_z(h->out, "\">");
		return;
	}
	tg_sb_z(h->out, tags[kind]);
	if (kind == TG_PRE && arg != NULL) {
		tg_sb_z(h->out, "<code class=\"language-");
		tg_sb_html(h->out, arg, strlen(arg));
		tg_sb_z(h->out, "\">");
	}
}

static void write_close(html *h, uint32_t kind, const char *arg)
{
	static const char *const tags[KINDS] = {[TG_QUOTE] = "</blockquote>",  [TG_PRE] = "</pre>",
						[TG_LINK] = "</a>",            [TG_BOLD] = "</b>",
						[TG_ITALIC] = "</i>",          [TG_STRIKE] = "</s>",
						[TG_SPOILER] = "</tg-spoiler>", [TG_CODE] = "</code>"};
	if (kind == TG_PRE && arg != NULL)
		tg_sb_z(h->out, "</code>");
	tg_sb_z(h->out, tags[kind]);
}

/* Whether a kind is to be seen where others are open too. */
static bool wanted(const html *h, uint32_t kind)
{
	if (h->active[kind] == 0)
		return false;
	if (kind == TG_QUOTE)
		return true;
	if (h->active[TG_PRE] > 0)
		return kind == TG_PRE;
	if (kind == TG_CODE)
		return h->active[TG_LINK] == 0;
	return h->active[TG_CODE] == 0 || kind == TG_LINK || h->active[TG_LINK] > 0;
}

static const char *arg_of(const html *h, uint32_t kind)
{
	return kind == TG_LINK || kind == TG_PRE ? h->last[kind]->arg : NULL;
}

/* Closes what is over and opens what is new, reopening what had to be closed on the way. */
static void settle(html *h, const uint32_t *fresh, size_t n_fresh)
{
	uint32_t again[KINDS];
	size_t n_again = 0, keep = 0;
	while (keep < h->depth && wanted(h, h->stack[keep])
	       && (h->stack[keep] == TG_QUOTE || h->stack_arg[keep] == arg_of(h, h->stack[keep])))
		keep++;
	/* A quotation is always the outermost. */
	if (wanted(h, TG_QUOTE) && (h->depth == 0 || h->stack[0] != TG_QUOTE)) {
		keep = 0;
		again[n_again++] = TG_QUOTE;
	}
	for (size_t i = keep; i < h->depth; i++)
		if (wanted(h, h->stack[i]))
			again[n_again++] = h->stack[i];
	while (h->depth > keep) {
		h->depth--;
		write_close(h, h->stack[h->depth], h->stack_arg[h->depth]);
	}
	/* What was suppressed inside code comes back behind what is new: the order of kinds decides. */
	for (size_t pass = 0; pass < 3; pass++) {
		size_t n = pass == 0 ? n_again : pass == 1 ? n_fresh : KINDS;
		for (size_t i = 0; i < n; i++) {
			uint32_t kind = pass == 0 ? again[i] : pass == 1 ? fresh[i] : (uint32_t)i;
			bool open = kind == 0 || !wanted(h, kind);
			for (size_t k = 0; k < h->depth && !open; k++)
				open = h->stack[k] == kind;
			if (open)
				continue;
			h->stack[h->depth] = kind;
			h->stack_arg[h->depth] = arg_of(h, kind);
			write_open(h, kind, h->stack_arg[h->depth]);
			h->depth++;
		}
	}
}

/* Opens and closes at one position. */
static void turn(html *h, size_t at)
{
	uint32_t fresh[KINDS];
	size_t n_fresh = 0;
	while (h->next_close < h->n && h->closes[h->next_close]->to <= at) {
		const tg_span *s = h->closes[h->next_close++];
		h->active[s->kind]--;
	}
	while (h->next_open < h->n && h->opens[h->next_open]->from <= at) {
		const tg_span *s = h->opens[h->next_open++];
		if (s->to <= at)
			continue;
		h->active[s->kind]++;
		h->last[s->kind] = s;
		bool seen = false;
		for (size_t i = 0; i < n_fresh; i++)
			seen = seen || fresh[i] == s->kind;
		if (!seen)
			fresh[n_fresh++] = s->kind;
	}
	settle(h, fresh, n_fresh);
}

static void write_text(html *h, const tg_doc *doc, tg_piece piece)
{
	size_t at = piece.from;
	turn(h, at);
	while (at < piece.to) {
		size_t next = piece.to;
		if (h->next_open < h->n && h->opens[h->next_open]->from < next)
			next = h->opens[h->next_open]->from;
		if (h->next_close < h->n && h->closes[h->next_close]->to < next)
			next = h->closes[h->next_close]->to;
		tg_sb_html(h->out, doc->text.p + at, next - at);
		at = next;
		if (at < piece.to)
			turn(h, at);
	}
	while (h->depth > 0) {
		h->depth--;
		write_close(h, h->stack[h->depth], h->stack_arg[h->depth]);
	}
}

void tg_doc_html(const tg_doc *doc, tg_piece piece, tg_sb *out)
{
	html h = {.out = out};
	if (piece.from >= piece.to)
		return;
	h.opens = calloc(doc->n_spans + 1, sizeof *h.opens);
	h.closes = calloc(doc->n_spans + 1, sizeof *h.closes);
	if (h.opens == NULL || h.closes == NULL) {
		out->failed = true;
	} else {
		for (size_t i = 0; i < doc->n_spans; i++)
			if (doc->spans[i].from < piece.to && doc->spans[i].to > piece.from)
				h.opens[h.n++] = &doc->spans[i];
		memcpy(h.closes, h.opens, h.n * sizeof *h.opens);
		if (h.n > 1) {
			qsort(h.opens, h.n, sizeof *h.opens, by_open);
			qsort(h.closes, h.n, sizeof *h.closes, by_close);
		}
		write_text(&h, doc, piece);
	}
	free(h.opens);
	free(h.closes);
}

oc_str tg_doc_text(const tg_doc *doc, tg_piece piece)
{
	oc_str view = {doc->text.p == NULL ? "" : doc->text.p + piece.from, piece.to - piece.from};
	return view;
}
