#include "core/data/utf8.h"

#include <string.h>

/* Length of the valid sequence at p, of at most n >= 1 bytes; 0 when invalid. */
static size_t sequence(const unsigned char *p, size_t n)
{
	unsigned char c = p[0];
	if (c < 0x80)
		return 1;
	if (c < 0xC2 || c > 0xF4)
		return 0;
	size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
	if (len > n)
		return 0;
	/* The second byte's range is what excludes overlong forms, surrogates and numbers above U+10FFFF. */
	unsigned char low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
	unsigned char high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

size_t oc_utf8_check(oc_str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0;
	while (i < s.n) {
		/* Eight ASCII bytes at a time: most text is. */
		uint64_t word;
		if (s.n - i >= sizeof word) {
			memcpy(&word, p + i, sizeof word);
			if ((word & 0x8080808080808080ull) == 0) {
				i += sizeof word;
				continue;
			}
		}
		size_t len = sequence(p + i, s.n - i);
		if (len == 0)
			return i;
		i += len;
	}
	return s.n;
}

bool oc_utf8_valid(oc_str s)
{
	return oc_utf8_check(s) == s.n;
}

size_t oc_utf8_decode(oc_str s, uint32_t *ret_code)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t len = s.n == 0 ? 0 : sequence(p, s.n);
	if (len == 0)
		return 0;
	uint32_t code = len == 1 ? p[0] : len == 2 ? p[0] & 0x1Fu : len == 3 ? p[0] & 0x0Fu : p[0] & 0x07u;
	for (size_t i = 1; i < len; i++)
		code = code << 6 | (p[i] & 0x3Fu);
	*ret_code = code;
	return len;
}

size_t oc_utf8_encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xC0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		return 0;
	if (code < 0x10000) {
		out[0] = (char)(0xE0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3F));
		out[2] = (char)(0x80 | (code & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3F));
	out[2] = (char)(0x80 | (code >> 6 & 0x3F));
	out[3] = (char)(0x80 | (code & 0x3F));
	return 4;
}

size_t oc_utf8_cut(oc_str s, size_t max)
{
	if (s.n <= max)
		return s.n;
	/* A character that begins at most three bytes before the cut may reach over it. */
	for (size_t back = 1; back <= 3 && back <= max; back++) {
		size_t at = max - back;
		size_t len = sequence((const unsigned char *)s.p + at, s.n - at);
		if (len > 0)
			return len > back ? at : max;
	}
	return max;
}

size_t oc_utf8_count(oc_str s)
{
	size_t count = 0;
	for (size_t i = 0; i < s.n; count++) {
		size_t len = sequence((const unsigned char *)s.p + i, s.n - i);
		i += len == 0 ? 1 : len;
	}
	return count;
}
