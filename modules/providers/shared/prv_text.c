/* See prv_text.h. */
#include "prv_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void prv_text_init(prv_text *t, size_t max)
{
	*t = (prv_text){.max = max};
}

void prv_text_free(prv_text *t)
{
	free(t->p);
	prv_text_init(t, t->max);
}

void prv_text_wipe(prv_text *t)
{
	if (t->p != NULL)
		explicit_bzero(t->p, t->cap);
	prv_text_free(t);
}

void prv_text_clear(prv_text *t)
{
	t->n = 0;
	t->failed = false;
	if (t->p != NULL)
		t->p[0] = 0;
}

/* Makes room for n more bytes and the NUL. */
static bool reserve(prv_text *t, size_t n)
{
	if (t->failed)
		return false;
	if (n > t->max || t->n > t->max - n) {
		t->failed = true;
		return false;
	}
	size_t need = t->n + n + 1;
	if (need <= t->cap)
		return true;
	size_t cap = t->cap < 64 ? 64 : t->cap;
	while (cap < need)
		cap *= 2;
	/* Not realloc: a text may hold a key, and realloc leaves the old bytes behind unwiped. */
	char *p = malloc(cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	if (t->p != NULL) {
		memcpy(p, t->p, t->n + 1);
		explicit_bzero(t->p, t->n);
		free(t->p);
	} else {
		p[0] = 0;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void prv_text_add(prv_text *t, const char *p, size_t n)
{
	if (!reserve(t, n))
		return;
	if (n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = 0;
}

void prv_text_str(prv_text *t, oc_str s)
{
	prv_text_add(t, s.p, s.n);
}

void prv_text_z(prv_text *t, const char *nul_terminated)
{
	prv_text_add(t, nul_terminated, strlen(nul_terminated));
}

void prv_text_char(prv_text *t, char c)
{
	prv_text_add(t, &c, 1);
}

void prv_text_printf(prv_text *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !reserve(t, (size_t)n)) {
		t->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf(t->p + t->n, (size_t)n + 1, format, args);
	va_end(args);
	t->n += (size_t)n;
}

size_t prv_utf8_len(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	size_t len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
	if (u[0] < 0xc2 || u[0] > 0xf4 || n < len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90)
	    || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return len;
}

void prv_text_rune(prv_text *t, uint32_t rune)
{
	char out[4];
	size_t n;
	if (rune == 0 || (rune >= 0xd800 && rune <= 0xdfff) || rune > 0x10ffff)
		rune = 0xfffd;
	if (rune < 0x80) {
		out[0] = (char)rune;
		n = 1;
	} else if (rune < 0x800) {
		out[0] = (char)(0xc0 | (rune >> 6));
		out[1] = (char)(0x80 | (rune & 0x3f));
		n = 2;
	} else if (rune < 0x10000) {
		out[0] = (char)(0xe0 | (rune >> 12));
		out[1] = (char)(0x80 | ((rune >> 6) & 0x3f));
		out[2] = (char)(0x80 | (rune & 0x3f));
		n = 3;
	} else {
		out[0] = (char)(0xf0 | (rune >> 18));
		out[1] = (char)(0x80 | ((rune >> 12) & 0x3f));
		out[2] = (char)(0x80 | ((rune >> 6) & 0x3f));
		out[3] = (char)(0x80 | (rune & 0x3f));
		n = 4;
	}
	prv_text_add(t, out, n);
}

/* The escape of one byte inside a JSON string, NULL when it needs none. */
static const char *escape_of(unsigned char c, char buf[8])
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	case 0:
		return "\xef\xbf\xbd";
	default:
		break;
	}
	if (c >= 0x20)
		return NULL;
	snprintf(buf, 8, "\\u%04x", c);
	return buf;
}

void prv_text_json_part(prv_text *t, oc_str s)
{
	char buf[8];
	size_t from = 0, i = 0;
	while (i < s.n) {
		/* Nearly everything is plain. */
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		const char *escape = escape_of(c, buf);
		size_t len = escape != NULL ? 1 : prv_utf8_len(s.p + i, s.n - i);
		if (escape == NULL && len > 0) {
			i += len;
			continue;
		}
		prv_text_add(t, s.p + from, i - from);
		prv_text_z(t, escape != NULL ? escape : "\xef\xbf\xbd");
		from = ++i;
	}
	prv_text_add(t, s.p + from, s.n - from);
}

void prv_text_json(prv_text *t, oc_str s)
{
	prv_text_char(t, '"');
	prv_text_json_part(t, s);
	prv_text_char(t, '"');
}

void prv_text_insert(prv_text *t, size_t at, const char *nul_terminated)
{
	size_t n = strlen(nul_terminated);
	if (at > t->n || !reserve(t, n))
		return;
	memmove(t->p + at + n, t->p + at, t->n - at + 1);
	memcpy(t->p + at, nul_terminated, n);
	t->n += n;
}

oc_str prv_text_view(const prv_text *t)
{
	return t->p != NULL ? (oc_str){t->p, t->n} : (oc_str){"", 0};
}

bool prv_str_eq(oc_str s, const char *nul_terminated)
{
	return strlen(nul_terminated) == s.n && memcmp(s.p, nul_terminated, s.n) == 0;
}

bool prv_str_has(oc_str s, const char *needle)
{
	size_t n = strlen(needle);
	for (size_t i = 0; n <= s.n && i <= s.n - n; i++)
		if (strncasecmp(s.p + i, needle, n) == 0)
			return true;
	return false;
}

bool prv_str_starts(oc_str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return n <= s.n && memcmp(s.p, prefix, n) == 0;
}

bool prv_str_ends(oc_str s, const char *suffix)
{
	size_t n = strlen(suffix);
	return n <= s.n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

oc_str prv_str_sub(oc_str s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return (oc_str){s.p + from, n};
}

uint64_t prv_str_hash(uint64_t sum, oc_str s)
{
	for (size_t i = 0; i < s.n; i++)
		sum = (sum ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return sum;
}
