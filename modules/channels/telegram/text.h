/*
 * Text: a growing builder with a maximum, and UTF-8 seen through Telegram's eyes, which counts UTF-16 code units.
 */
#ifndef TG_TEXT_H
#define TG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openclaw/module.h>

/* Once an append fails (memory, maximum) the builder stays failed, so that one check at the end is enough. */
typedef struct tg_sb {
	char *p; /* NUL-terminated; NULL while empty */
	size_t n, cap, max;
	bool failed;
} tg_sb;

void tg_sb_init(tg_sb *b, size_t max);
void tg_sb_free(tg_sb *b);
void tg_sb_clear(tg_sb *b);
void tg_sb_add(tg_sb *b, const char *p, size_t n);
void tg_sb_z(tg_sb *b, const char *s);
void tg_sb_char(tg_sb *b, char c);
void tg_sb_repeat(tg_sb *b, char c, size_t n);
void tg_sb_printf(tg_sb *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Escapes & < > and ". */
void tg_sb_html(tg_sb *b, const char *p, size_t n);
/* One code point as UTF-8; U+FFFD for surrogates and what is beyond Unicode. */
void tg_sb_code_point(tg_sb *b, uint32_t cp);
/* Valid for as long as the builder is not changed. */
oc_str tg_sb_view(const tg_sb *b);
/* Hands the memory over (free()); NULL when failed. */
char *tg_sb_take(tg_sb *b);

/* A NUL-terminated copy; NULL when out of memory. */
char *tg_memdup(const char *p, size_t n);

/* Length in bytes of the character at p (1 for a broken byte); *ret_cp is the code point, U+FFFD when broken. */
size_t tg_utf8_next(const char *p, size_t n, uint32_t *ret_cp);
/* UTF-16 code units of n bytes. */
size_t tg_utf16_len(const char *p, size_t n);
/* Bytes of the longest prefix that has at most `units` UTF-16 code units and ends between characters. */
size_t tg_utf16_cut(const char *p, size_t n, size_t units);
/* Byte offset of a UTF-16 offset; an offset inside a surrogate pair counts as its end. n when beyond. */
size_t tg_utf16_to_byte(const char *p, size_t n, size_t units);

#endif
