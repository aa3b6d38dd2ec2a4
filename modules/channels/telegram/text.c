#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tg_sb_init(tg_sb *b, size_t max)
{
	memset(b, 0, sizeof *b);
	b->max = max;
}

void tg_sb_free(tg_sb *b)
{
	free(b->p);
	tg_sb_init(b, b->max);
}

void tg_sb_clear(tg_sb *b)
{
	b->n = 0;
	b->failed = false;
	if (b->p != NULL)
		b->p[0] = 0;
}

static char *room(tg_sb *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (n > b->max - b->n) {
		b->failed = true;
		return NULL;
	}
	if (b->p == NULL || b->cap - b->n <= n) {
		size_t cap = b->cap < 64 ? 64 : b->cap;
		while (cap - b->n <= n)
			cap *= 2;
		if (cap > b->max + 1)
			cap = b->max + 1;
		char *p = realloc(b->p, cap);
		if (p == NULL) {
			b->failed = true;
			return NULL;
		}
		b->p = p;
		b->cap = cap;
	}
	return b->p + b->n;
}

void tg_sb_add(tg_sb *b, const char *p, size_t n)
{
	char *to = room(b, n);
	if (to == NULL)
		return;
	if (n > 0)
		memcpy(to, p, n);
	b->n += n;
	b->p[b->n] = 0;
}

void tg_sb_z(tg_sb *b, const char *s)
{
	tg_sb_add(b, s, strlen(s));
}

void tg_sb_char(tg_sb *b, char c)
{
	tg_sb_add(b, &c, 1);
}

void tg_sb_repeat(tg_sb *b, char c, size_t n)
{
	while (n-- > 0)
		tg_sb_char(b, c);
}

void tg_sb_printf(tg_sb *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char small[256];
	int n = vsnprintf(small, sizeof small, format, args);
	va_end(args);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if ((size_t)n < sizeof small) {
		tg_sb_add(b, small, (size_t)n);
		return;
	}
	char *to = room(b, (size_t)n);
	if (to == NULL)
		return;
	va_start(args, format);
	vsnprintf(to, (size_t)n + 1, format, args);
	va_end(args);
	b->n += (size_t)n;
}

void tg_sb_html(tg_sb *b, const char *p, size_t n)
{
	size_t from = 0;
	for (size_t i = 0; i < n; i++) {
		const char *with = NULL;
		switch (p[i]) {
		case '&':
			with = "&amp;";
			break;
		case '<':
			with = "&lt;";
			break;
		case '>':
			with = "&gt;";
			break;
		case '"':
			with = "&quot;";
			break;
		default:
			continue;
		}
		tg_sb_add(b, p + from, i - from);
		tg_sb_z(b, with);
		from = i + 1;
	}
	tg_sb_add(b, p + from, n - from);
}

void tg_sb_code_point(tg_sb *b, uint32_t cp)
{
	char out[4];
	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = 0xfffd;
	if (cp < 0x80) {
		tg_sb_char(b, (char)cp);
	} else if (cp < 0x800) {
		out[0] = (char)(0xc0 | (cp >> 6));
		out[1] = (char)(0x80 | (cp & 0x3f));
		tg_sb_add(b, out, 2);
	} else if (cp < 0x10000) {
		out[0] = (char)(0xe0 | (cp >> 12));
		out[1] = (char)(0x80 | ((cp >> 6) & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		tg_sb_add(b, out, 3);
	} else {
		out[0] = (char)(0xf0 | (cp >> 18));
		out[1] = (char)(0x80 | ((cp >> 12) & 0x3f));
		out[2] = (char)(0x80 | ((cp >> 6) & 0x3f));
		out[3] = (char)(0x80 | (cp & 0x3f));
		tg_sb_add(b, out, 4);
	}
}

oc_str tg_sb_view(const tg_sb *b)
{
	oc_str s = {b->p != NULL ? b->p : "", b->n};
	return s;
}

char *tg_sb_take(tg_sb *b)
{
	if (!b->failed && b->p == NULL)
		tg_sb_add(b, "", 0);
	char *p = b->failed ? NULL : b->p;
	if (p == NULL)
		free(b->p);
	tg_sb_init(b, b->max);
	return p;
}

char *tg_memdup(const char *p, size_t n)
{
	char *copy = malloc(n + 1);
	if (copy == NULL)
		return NULL;
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = 0;
	return copy;
}

size_t tg_utf8_next(const char *p, size_t n, uint32_t *ret_cp)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)p[0];
	if (c < 0x80) {
		*ret_cp = c;
		return 1;
	}
	size_t len = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc0 && c < 0xe0 ? 2 : 0;
	*ret_cp = 0xfffd;
	if (len == 0 || len > n)
		return 1;
	uint32_t cp = c & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		unsigned char d = (unsigned char)p[i];
		if ((d & 0xc0) != 0x80)
			return 1;
		cp = (cp << 6) | (d & 0x3fu);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 1;
	*ret_cp = cp;
	return len;
}

size_t tg_utf16_len(const char *p, size_t n)
{
	size_t units = 0;
	for (size_t i = 0; i < n;) {
		uint32_t cp;
		i += tg_utf8_next(p + i, n - i, &cp);
		units += cp > 0xffff ? 2 : 1;
	}
	return units;
}

size_t tg_utf16_cut(const char *p, size_t n, size_t units)
{
	size_t i = 0;
	while (i < n) {
		uint32_t cp;
		size_t len = tg_utf8_next(p + i, n - i, &cp);
		size_t need = cp > 0xffff ? 2 : 1;
		if (need > units)
			break;
		units -= need;
		i += len;
	}
	return i;
}

size_t tg_utf16_to_byte(const char *p, size_t n, size_t units)
{
	size_t i = 0;
	while (i < n && units > 0) {
		uint32_t cp;
		i += tg_utf8_next(p + i, n - i, &cp);
		size_t took = cp > 0xffff ? 2 : 1;
		units -= took < units ? took : units;
	}
	return i;
}
