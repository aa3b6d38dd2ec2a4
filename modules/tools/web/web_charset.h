/* Bytes of a page as UTF-8: by its byte order mark, the Content-Type header, a <meta> tag, or the look of it.  Pure. */
#ifndef WEB_CHARSET_H
#define WEB_CHARSET_H

#include "tk.h"

/* content_type may be "". Understands UTF-8, UTF-16, windows-1252, ISO-8859-1 and -15, US-ASCII, and what the C library
 * knows; anything else is read as UTF-8, with U+FFFD for what is not. */
void web_to_utf8(tk_text *out, const char *p, size_t n, const char *content_type);

#endif
