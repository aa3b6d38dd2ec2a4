/*
 * Markdown in: every message is HTML that Telegram's parser takes, shows exactly the document's text, and fits its size.
 * The first two bytes choose the size and the form of tables.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "tests/unit/tg_html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const tg_doc *doc, tg_piece piece, size_t units)
{
	tg_sb html;
	tg_sb_init(&html, (size_t)1 << 28);
	tg_doc_html(doc, piece, &html);
	if (html.failed)
		abort();
	tg_seen seen = tg_see(html.p != NULL ? html.p : "");
	oc_str plain = tg_doc_text(doc, piece);
	if (seen.wrong != NULL || seen.n != plain.n || memcmp(seen.text, plain.p, plain.n) != 0
	    || tg_utf16_len(plain.p, plain.n) > units || plain.n == 0)
		abort();
	free(seen.text);
	tg_sb_free(&html);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > 65536)
		return 0;
	size_t units = 16 + (size_t)data[0] * 16;
	tg_doc doc;
	tg_piece *pieces = NULL;
	size_t n = 0;
	tg_doc_init(&doc);
	oc_str text = {(const char *)data + 2, size - 2};
	if (tg_doc_markdown(&doc, text, (tg_tables)(data[1] % 3)) != OC_OK)
		abort();
	for (size_t i = 0; i < doc.n_spans; i++)
		if (doc.spans[i].from >= doc.spans[i].to || doc.spans[i].to > doc.text.n)
			abort();
	if (tg_doc_split(&doc, units, data[1] & 4, &pieces, &n) != OC_OK)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].to > doc.text.n || (i > 0 && pieces[i].from < pieces[i - 1].to))
			abort();
		check(&doc, pieces[i], units);
	}
	free(pieces);
	tg_doc_free(&doc);
	return 0;
}
