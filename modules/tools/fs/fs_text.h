/* A growing text with a maximum: what a tool hands to the model.  Any thread, one owner. */
#ifndef FS_TEXT_H
#define FS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fs_text {
	char *p; /* NUL-terminated; NULL while empty */
	size_t n, cap, max;
	bool full;   /* the maximum was reached: what came after is left out */
	bool failed; /* out of memory */
} fs_text;

void fs_text_init(fs_text *t, size_t max);
void fs_text_free(fs_text *t);
void fs_text_add(fs_text *t, const char *p, size_t n);
void fs_text_z(fs_text *t, const char *nul_terminated);
void fs_text_printf(fs_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes of s[0..n) up to a maximum that do not cut a UTF-8 sequence. */
size_t fs_utf8_cut(const char *s, size_t n, size_t max);
bool fs_utf8_valid(const char *s, size_t n);

#endif
