/*
 * Strings: views (oc_str, borrowed), growing builders with a mandatory maximum (oc_sbuf), small checks.  [any]
 */
#ifndef OC_BASE_STR_H
#define OC_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openclaw/module.h>

#define OC_STR_NONE ((oc_str){"", 0})
/* printf("%.*s", OC_STR_ARG(s)) */
#define OC_STR_ARG(s) (int)((s).n > 0x7fffffff ? 0x7fffffff : (s).n), (s).p

oc_str oc_str_make(const char *p, size_t n);
bool oc_str_eq(oc_str a, oc_str b);
bool oc_str_eqz(oc_str a, const char *nul_terminated);
bool oc_str_ieq(oc_str a, oc_str b); /* ASCII case folded */
bool oc_str_starts(oc_str s, const char *prefix);
bool oc_str_ends(oc_str s, const char *suffix);
bool oc_str_has(oc_str s, const char *needle);
oc_str oc_str_trim(oc_str s); /* ASCII white space */
/* Cuts the part before the first `separator` off *rest and returns it; everything when there is none (then *rest is
 * empty and NULL-pointed). Loop: while (rest.p != NULL) part = oc_str_cut(&rest, ','). */
oc_str oc_str_cut(oc_str *rest, char separator);
/* Same bytes and same time whatever differs (secrets); unequal lengths are unequal. */
bool oc_str_eq_secret(oc_str a, oc_str b);
/* A decimal number over the whole string within [min, max]. */
oc_status oc_str_i64(oc_str s, int64_t min, int64_t max, int64_t *ret);
/* Writes v in decimal digits, without a NUL (at most OC_U64_CHARS); returns the place behind them. */
char *oc_put_u64(char *at, uint64_t v);
#define OC_U64_CHARS 20
/* Edits needed to turn a into b (Levenshtein), at most `cap`. */
size_t oc_str_distance(const char *a, const char *b, size_t cap);
/* The name in names[0..n) nearest to `wrong`, or NULL when none is near enough to be meant. */
const char *oc_str_nearest(const char *wrong, const char *const *names, size_t n);

/* Builder. Zero-initialise with oc_sbuf_init; once something fails (memory, maximum) it stays failed and appends are
 * no-ops, so that one check at the end is enough. */
typedef struct oc_sbuf {
	char *p;         /* NUL-terminated; NULL while empty */
	size_t n, cap;   /* bytes */
	size_t max;      /* the most n may become */
	oc_status error; /* OC_OK, OC_E_NOMEM or OC_E_LIMIT */
} oc_sbuf;

void oc_sbuf_init(oc_sbuf *b, size_t max);
void oc_sbuf_free(oc_sbuf *b);  /* and ready for use again with the same maximum */
void oc_sbuf_clear(oc_sbuf *b); /* keeps the memory; clears the error */
void oc_sbuf_add(oc_sbuf *b, const void *p, size_t n);
void oc_sbuf_str(oc_sbuf *b, oc_str s);
void oc_sbuf_z(oc_sbuf *b, const char *nul_terminated);
void oc_sbuf_char(oc_sbuf *b, char c);
void oc_sbuf_printf(oc_sbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void oc_sbuf_vprintf(oc_sbuf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Appends s as a quoted JSON string; invalid UTF-8 becomes U+FFFD. */
void oc_sbuf_json(oc_sbuf *b, oc_str s);
/* How many bytes from the first on JSON writes as they are and are ASCII: nearly all of most texts, sixteen at a time. */
size_t oc_json_plain(const char *text, size_t n);
/* Removes n bytes from the front. */
void oc_sbuf_consume(oc_sbuf *b, size_t n);
/* Room for at least n more bytes, to be written to and then counted with oc_sbuf_grew; NULL on failure. */
char *oc_sbuf_room(oc_sbuf *b, size_t n);
void oc_sbuf_grew(oc_sbuf *b, size_t n);
/* The content; valid until the next change. Never NULL-pointed. */
oc_str oc_sbuf_view(const oc_sbuf *b);
/* Hands the memory over (free with oc_free); NULL when failed or out of memory; never NULL for an empty success. */
char *oc_sbuf_take(oc_sbuf *b);

#endif
