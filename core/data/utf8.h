/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. [any] */
#ifndef OC_DATA_UTF8_H
#define OC_DATA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openclaw/module.h>

bool oc_utf8_valid(oc_str s);
/* The first byte that is not valid UTF-8; s.n when all is. */
size_t oc_utf8_check(oc_str s);
/* Decodes the character at the front: its length in bytes (1–4) and code point; 0 when s is empty or invalid there. */
size_t oc_utf8_decode(oc_str s, uint32_t *ret_code);
/* Writes a code point, not terminated; 0 for surrogates and numbers above U+10FFFF. */
size_t oc_utf8_encode(uint32_t code, char out[4]);
/* The largest prefix of at most max bytes that does not end inside a character. Invalid bytes count as characters. */
size_t oc_utf8_cut(oc_str s, size_t max);
/* Characters (code points); every invalid byte counts as one. */
size_t oc_utf8_count(oc_str s);

#endif
