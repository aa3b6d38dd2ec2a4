/*
 * Markdown as models write it -> a document (visible text and spans over it) -> messages of Telegram HTML.
 *
 * Splitting works on the document, not on the source: a message holds at most so many visible UTF-16 units, and whatever
 * style, link, quotation or code block reaches over a border is closed before it and opened again after it.  All pure.
 */
#ifndef TG_FORMAT_H
#define TG_FORMAT_H

#include "text.h"

enum {
	TG_QUOTE = 1, /* the order is the order of nesting from the outside */
	TG_PRE,       /* arg: language */
	TG_LINK,      /* arg: address */
	TG_BOLD,
	TG_ITALIC,
	TG_STRIKE,
	TG_SPOILER,
	TG_CODE
};

typedef struct tg_span {
	size_t from, to; /* bytes of the text */
	char *arg;       /* owned; NULL when none */
	uint32_t kind;
	uint32_t order;
} tg_span;

typedef struct tg_doc {
	tg_sb text;
	tg_span *spans;
	size_t n_spans, cap_spans;
} tg_doc;

typedef enum { TG_TABLES_CODE, TG_TABLES_BULLETS, TG_TABLES_OFF } tg_tables;

/* The most Markdown that is looked at; longer input is refused by tg_doc_markdown. */
#define TG_MARKDOWN_MAX ((size_t)512 * 1024)
/* What Telegram takes. */
#define TG_TEXT_UNITS 4096
#define TG_CAPTION_UNITS 1024

void tg_doc_init(tg_doc *doc);
void tg_doc_free(tg_doc *doc);
/* Adds a span unless it is empty; takes a copy of arg (n 0: none). */
oc_status tg_doc_span(tg_doc *doc, uint32_t kind, size_t from, size_t to, const char *arg, size_t n);
/* Fills an initialised, empty document. OC_E_NOMEM or OC_E_LIMIT. */
oc_status tg_doc_markdown(tg_doc *doc, oc_str markdown, tg_tables tables);
/* As above without reading any markup. */
oc_status tg_doc_plain(tg_doc *doc, oc_str text);

/* One message: bytes [from, to) of the document's text. */
typedef struct tg_piece {
	size_t from, to;
} tg_piece;

/* Splits into messages of at most `units` visible UTF-16 units (at least 16), on paragraph, line, word or character
 * borders, the best that fills a message well; by_paragraph: every paragraph is a message of its own. Messages without
 * a visible character are left out. *ret is freed with free(). */
oc_status tg_doc_split(const tg_doc *doc, size_t units, bool by_paragraph, tg_piece **ret, size_t *ret_n);
/* Appends a piece as Telegram HTML. */
void tg_doc_html(const tg_doc *doc, tg_piece piece, tg_sb *out);
/* The piece without any formatting: a view into the document. */
oc_str tg_doc_text(const tg_doc *doc, tg_piece piece);

/* For format.c: adds inline Markdown to the document (inline.c). */
oc_status tg_inline(tg_doc *doc, const char *p, size_t n);

#endif
