/* HTML to readable text or Markdown: a tolerant tokenizer, no tree.  Pure; any input ends in valid UTF-8. */
#ifndef WEB_HTML_H
#define WEB_HTML_H

#include "tk.h"

typedef struct web_page {
	tk_text title, body;
} web_page;

/* html must be valid UTF-8. base: the page's address, to make links absolute ("" : as they are). max: bytes of the body at
 * most (more is cut; *ret_cut tells). The page is the caller's to free with web_page_free. false: out of memory. */
bool web_html_read(const char *html, size_t n, const char *base, bool markdown, size_t max, web_page *ret, bool *ret_cut);
void web_page_free(web_page *page);
/* Appends a reference made absolute. */
void web_url_join(tk_text *out, const char *base, const char *reference, size_t n);

#endif
