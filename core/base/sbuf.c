#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"

void oc_sbuf_init(oc_sbuf *b, size_t max)
{
	*b = (oc_sbuf){.max = max};
}

void oc_sbuf_free(oc_sbuf *b)
{
	oc_free(b->p);
	oc_sbuf_init(b, b->max);
}

void oc_sbuf_clear(oc_sbuf *b)
{
	b->n = 0;
	b->error = OC_OK;
	if (b->p != NULL)
		b->p[0] = 0;
}

char *oc_sbuf_room(oc_sbuf *b, size_t n)
{
	if (b->error != OC_OK)
		return NULL;
	if (n > b->max || b->n > b->max - n) {
		b->error = OC_E_LIMIT;
		return NULL;
	}
	if (b->cap <= b->n + n) { /* one more for the NUL */
		size_t cap = b->cap < 64 ? 64 : b->cap;
		while (cap <= b->n + n)
			cap *= 2;
		if (cap > b->max + 1)
			cap = b->max + 1;
		char *p = oc_realloc(b->p, cap);
		if (p == NULL) {
			b->error = OC_E_NOMEM;
			return NULL;
		}
		b->p = p;
		b->cap = cap;
	}
	return b->p + b->n;
}

void oc_sbuf_grew(oc_sbuf *b, size_t n)
{
	if (b->p == NULL)
		return;
	b->n += n;
	b->p[b->n] = 0;
}

void oc_sbuf_add(oc_sbuf *b, const void *p, size_t n)
{
	char *room = oc_sbuf_room(b, n);
	if (room == NULL)
		return;
	if (n > 0)
		memcpy(room, p, n);
	oc_sbuf_grew(b, n);
}

void oc_sbuf_str(oc_sbuf *b, oc_str s)
{
	oc_sbuf_add(b, s.p, s.n);
}

void oc_sbuf_z(oc_sbuf *b, const char *nul_terminated)
{
	oc_sbuf_add(b, nul_terminated, strlen(nul_terminated));
}

void oc_sbuf_char(oc_sbuf *b, char c)
{
	oc_sbuf_add(b, &c, 1);
}

void oc_sbuf_vprintf(oc_sbuf *b, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	char *room = n < 0 ? NULL : oc_sbuf_room(b, (size_t)n);
	if (n < 0 && b->error == OC_OK)
		b->error = OC_E_NOMEM;
	if (room != NULL) {
		vsnprintf(room, (size_t)n + 1, format, again);
		oc_sbuf_grew(b, (size_t)n);
	}
	va_end(again);
}

void oc_sbuf_printf(oc_sbuf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	oc_sbuf_vprintf(b, format, args);
	va_end(args);
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), 0 when invalid. */
static size_t sequence(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
	if (p[0] < 0xC2 || p[0] > 0xF4 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90)
	    || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return len;
}

static void escape(oc_sbuf *b, unsigned char c)
{
	switch (c) {
	case '"':
		oc_sbuf_add(b, "\\\"", 2);
		break;
	case '\\':
		oc_sbuf_add(b, "\\\\", 2);
		break;
	case '\n':
		oc_sbuf_add(b, "\\n", 2);
		break;
	case '\r':
		oc_sbuf_add(b, "\\r", 2);
		break;
	case '\t':
		oc_sbuf_add(b, "\\t", 2);
		break;
	default:
		oc_sbuf_printf(b, "\\u%04x", c);
	}
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

size_t oc_json_plain(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = 0;
	for (; n - i >= 16; i += 16) {
		bytes16 v;
		memcpy(&v, p + i, 16);
		words2 stop = (words2)((v == '"') | (v == '\\') | (v < 0x20) | (v >= 0x80));
		if ((stop[0] | stop[1]) == 0)
			continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ /* the first byte is the lowest: its place is known without another look */
		return i + (size_t)(stop[0] != 0 ? __builtin_ctzll(stop[0]) : 64 + __builtin_ctzll(stop[1])) / 8;
#else
		break;
#endif
	}
	while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

void oc_sbuf_json(oc_sbuf *b, oc_str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t plain = 0; /* start of the run not yet copied */
	oc_sbuf_char(b, '"');
	for (size_t i = 0; i < s.n;) {
		i += oc_json_plain(s.p + i, s.n - i);
		if (i == s.n)
			break;
		unsigned char c = p[i];
		size_t len = sequence(p + i, s.n - i);
		if (c >= 0x20 && c != '"' && c != '\\' && len > 0) {
			i += len;
			continue;
		}
		oc_sbuf_add(b, p + plain, i - plain);
		if (len == 0)
			oc_sbuf_add(b, "\xEF\xBF\xBD", 3);
		else
			escape(b, c);
		plain = ++i;
	}
	oc_sbuf_add(b, p + plain, s.n - plain);
	oc_sbuf_char(b, '"');
}

void oc_sbuf_consume(oc_sbuf *b, size_t n)
{
	if (b->p == NULL)
		return;
	if (n > b->n)
		n = b->n;
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
	b->p[b->n] = 0;
}

oc_str oc_sbuf_view(const oc_sbuf *b)
{
	return b->p == NULL ? OC_STR_NONE : (oc_str){b->p, b->n};
}

char *oc_sbuf_take(oc_sbuf *b)
{
	if (b->error == OC_OK && b->p == NULL)
		oc_sbuf_room(b, 0);
	char *p = b->error == OC_OK ? b->p : NULL;
	if (p != NULL) {
		p[b->n] = 0;
		b->p = NULL;
	}
	oc_sbuf_free(b);
	return p;
}
