/*
 * What the tool modules share: a text with a maximum, reading arguments, writing results.  Plain malloc, so that the parts
 * without side effects run in tests and fuzzers without a host.
 */
#ifndef TK_H
#define TK_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include <openclaw/module.h>

/* A growing text. Once something fails (memory, maximum) it stays failed and appends do nothing. [any] */
typedef struct tk_text {
	char *p;       /* ends with NUL; NULL while empty */
	size_t n, cap; /* bytes */
	size_t max;
	bool failed;
} tk_text;

void tk_text_init(tk_text *t, size_t max);
void tk_text_free(tk_text *t); /* and ready for use again */
void tk_text_clear(tk_text *t);
void tk_text_add(tk_text *t, const char *p, size_t n);
void tk_text_z(tk_text *t, const char *nul_terminated);
void tk_text_char(tk_text *t, char c);
void tk_text_printf(tk_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tk_text_rune(tk_text *t, uint32_t rune); /* as UTF-8; what is no character becomes U+FFFD */
void tk_text_cut(tk_text *t, size_t n);	      /* shortens to n bytes */
oc_str tk_text_view(const tk_text *t);	      /* valid until the next change; never NULL-pointed */

/* The length of the UTF-8 character at p (1 to 4), 0 when there is no valid one. *ret_rune may be NULL. [any] */
size_t tk_utf8(const char *p, size_t n, uint32_t *ret_rune);
/* The largest prefix of at most max bytes that does not end inside a character; the smallest suffix start likewise. [any] */
size_t tk_utf8_cut(const char *p, size_t n, size_t max);
size_t tk_utf8_from(const char *p, size_t n, size_t at);
/* Appends text with U+FFFD for invalid bytes and NUL: what may stand in JSON. [any] */
void tk_text_valid(tk_text *t, const char *p, size_t n);

/* Arguments; the fallback when absent or of another type. Strings are borrowed. */
const char *tk_str(const cJSON *args, const char *name, const char *fallback);
double tk_num(const cJSON *args, const char *name, double fallback);
bool tk_bool(const cJSON *args, const char *name, bool fallback);
/* A whole number between min and max (beyond: the nearest of them); the fallback when absent. */
int64_t tk_int(const cJSON *args, const char *name, int64_t fallback, int64_t min, int64_t max);
/* Parses args or context, which the host checked; NULL only when out of memory or not an object. */
cJSON *tk_parse(oc_str json);

/* Completes a tool call with one text. details is consumed (may be NULL). The text is repaired where it is not valid UTF-8. */
void tk_done(const oc_host_api *host, oc_call *call, oc_str text, bool is_error, cJSON *details);
void tk_done_printf(const oc_host_api *host, oc_call *call, bool is_error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Completes with what is in `content` (an array, consumed). */
void tk_done_content(const oc_host_api *host, oc_call *call, cJSON *content, bool is_error, cJSON *details);

#endif
