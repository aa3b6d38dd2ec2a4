/* JSON with line breaks and indentation.  Pure. */
#ifndef WEB_JSON_H
#define WEB_JSON_H

#include "tk.h"

/* Appends the text laid out. It must be valid JSON: only white space is changed, so that long numbers stay what they are. */
void web_json_pretty(tk_text *out, const char *p, size_t n);

#endif
