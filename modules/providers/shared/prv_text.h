/*
 * A growing piece of text with a mandatory maximum: what the provider modules build requests, answers and messages in.
 *
 * Once something fails (memory, maximum) the text stays failed and appends are no-ops, so that one check at the end is
 * enough.  Plain malloc: the files of this folder run in unit tests and fuzzers without a host.  [any]
 */
#ifndef PRV_TEXT_H
#define PRV_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <openclaw/module.h>

typedef struct prv_text {
	char *p;       /* NUL-terminated; NULL while empty */
	size_t n, cap; /* bytes */
	size_t max;    /* the most n may become */
	bool failed;
} prv_text;

void prv_text_init(prv_text *t, size_t max);
void prv_text_free(prv_text *t);  /* and ready for use again with the same maximum */
void prv_text_wipe(prv_text *t);  /* as free, after overwriting: for text that holds a key */
void prv_text_clear(prv_text *t); /* keeps the memory */
void prv_text_add(prv_text *t, const char *p, size_t n);
void prv_text_str(prv_text *t, oc_str s);
void prv_text_z(prv_text *t, const char *nul_terminated);
void prv_text_char(prv_text *t, char c);
void prv_text_printf(prv_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends bytes as a quoted JSON string; invalid UTF-8 and NUL become U+FFFD. */
void prv_text_json(prv_text *t, oc_str s);
/* As above without the quotes, for a string that is put together piece by piece. */
void prv_text_json_part(prv_text *t, oc_str s);
/* Appends one code point as UTF-8; surrogates and values out of range become U+FFFD. */
void prv_text_rune(prv_text *t, uint32_t rune);
/* Puts text in before the byte at `at`. */
void prv_text_insert(prv_text *t, size_t at, const char *nul_terminated);
/* The content; valid until the next change. Never NULL-pointed. */
oc_str prv_text_view(const prv_text *t);

/* The length of the UTF-8 sequence at p (1 to 4), 0 when there is no valid one in n bytes. */
size_t prv_utf8_len(const char *p, size_t n);

bool prv_str_eq(oc_str s, const char *nul_terminated);
/* ASCII case folded. */
bool prv_str_has(oc_str s, const char *needle);
bool prv_str_starts(oc_str s, const char *prefix);
bool prv_str_ends(oc_str s, const char *suffix);
oc_str prv_str_sub(oc_str s, size_t from, size_t n);

/* FNV-1a, 64 bits: the sum with the bytes of s behind what is in it already. */
#define PRV_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t prv_str_hash(uint64_t sum, oc_str s);

#endif
