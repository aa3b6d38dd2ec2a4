#include "fs_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fs_text_init(fs_text *t, size_t max)
{
	*t = (fs_text){.max = max};
}

void fs_text_free(fs_text *t)
{
	free(t->p);
	fs_text_init(t, t->max);
}

void fs_text_add(fs_text *t, const char *p, size_t n)
{
	if (t->failed || t->full)
		return;
	if (n > t->max - t->n) {
		n = fs_utf8_cut(p, n, t->max - t->n);
		t->full = true;
	}
	if (t->n + n + 1 > t->cap) {
		size_t cap = t->cap < 256 ? 256 : t->cap;
		while (cap < t->n + n + 1)
			cap *= 2;
		char *more = realloc(t->p, cap);
		if (more == NULL) {
			t->failed = true;
			return;
		}
		t->p = more;
		t->cap = cap;
	}
	if (n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = 0;
}

void fs_text_z(fs_text *t, const char *nul_terminated)
{
	fs_text_add(t, nul_terminated, strlen(nul_terminated));
}

void fs_text_printf(fs_text *t, const char *format, ...)
{
	char line[4096];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n > 0)
		fs_text_add(t, line, (size_t)n < sizeof line ? (size_t)n : fs_utf8_cut(line, sizeof line - 1, sizeof line - 1));
}

/* Length of the valid sequence at p (RFC 3629), 0 when there is none. */
static size_t sequence(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
	if (len == 1)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	bool wrong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90)
		     || (p[0] == 0xF4 && p[1] > 0x8F);
	return wrong ? 0 : len;
}

size_t fs_utf8_cut(const char *s, size_t n, size_t max)
{
	if (n <= max)
		return n;
	while (max > 0 && ((unsigned char)s[max] & 0xC0) == 0x80)
		max--;
	return max;
}

bool fs_utf8_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = sequence((const unsigned char *)s + i, n - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}
