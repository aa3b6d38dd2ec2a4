/*
 * openclaw/json.h - reading and writing small pieces of JSON, for modules that bring no JSON library of their own.
 *
 * Optional and header-only.  The host hands over strict JSON; these functions find their way in it without building a
 * tree and without allocating: a value is the oc_str of its text.  On anything that is not valid JSON they say "not
 * there" and never read outside the text.
 *
 *     oc_str name;
 *     char text[100];
 *     if (ocj_get(args, "name", &name) && ocj_text(name, text, sizeof(text)) < sizeof(text))
 *             …
 */
#ifndef OPENCLAW_JSON_H
#define OPENCLAW_JSON_H

#include <openclaw/module.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OCJ_DEPTH_MAX 64

/* Position of the first byte at or after i that is no white space. */
static inline size_t ocj_skip_(oc_str s, size_t i)
{
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r'))
		i++;
	return i;
}

/* Position after the string that begins at i; s.n + 1 when it does not end. */
static inline size_t ocj_string_end_(oc_str s, size_t i)
{
	for (i++; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return s.n + 1;
}

/* Position after the value that begins at i; s.n + 1 when there is none. */
static inline size_t ocj_value_end_(oc_str s, size_t i)
{
	char open[OCJ_DEPTH_MAX];
	size_t depth = 0, from = i;

	if (i >= s.n)
		return s.n + 1;
	if (s.p[i] == '"')
		return ocj_string_end_(s, i);
	if (s.p[i] != '{' && s.p[i] != '[') {
		while (i < s.n && s.p[i] != ',' && s.p[i] != '}' && s.p[i] != ']' && s.p[i] != ':' && s.p[i] > ' ')
			i++;
		return i > from ? i : s.n + 1;
	}
	while (i < s.n) {
		char c = s.p[i];

		if (c == '"') {
			i = ocj_string_end_(s, i);
			continue;
		}
		if (c == '{' || c == '[') {
			if (depth == OCJ_DEPTH_MAX)
				return s.n + 1;
			open[depth++] = c == '{' ? '}' : ']';
		} else if (c == '}' || c == ']') {
			if (depth == 0 || open[--depth] != c)
				return s.n + 1;
			if (depth == 0)
				return i + 1;
		}
		i++;
	}
	return s.n + 1;
}

static inline oc_str ocj_part_(oc_str s, size_t from, size_t to)
{
	oc_str part;

	part.p = s.p + from;
	part.n = to - from;
	return part;
}

/*
 * Steps through an object or an array.  *at is 0 at first.  1: *ret_value is the next value (and *ret_name, which may be
 * NULL, its name with the quotes, or empty in an array); 0: there are no more.
 */
static inline int ocj_next(oc_str container, size_t *at, oc_str *ret_name, oc_str *ret_value)
{
	size_t i = *at == 0 ? ocj_skip_(container, 0) : *at, end;
	oc_str name;
	int object;

	name.p = "";
	name.n = 0;
	if (container.n == 0 || i >= container.n)
		return 0;
	object = container.p[ocj_skip_(container, 0)] == '{';
	if (*at == 0) {
		if (!object && container.p[i] != '[')
			return 0;
		i = ocj_skip_(container, i + 1);
	} else {
		i = ocj_skip_(container, i);
		if (i >= container.n || container.p[i] != ',')
			return 0;
		i = ocj_skip_(container, i + 1);
	}
	if (i >= container.n || container.p[i] == '}' || container.p[i] == ']')
		return 0;
	if (object) {
		if (container.p[i] != '"' || (end = ocj_string_end_(container, i)) > container.n)
			return 0;
		name = ocj_part_(container, i, end);
		i = ocj_skip_(container, end);
		if (i >= container.n || container.p[i] != ':')
			return 0;
		i = ocj_skip_(container, i + 1);
	}
	end = ocj_value_end_(container, i);
	if (end > container.n)
		return 0;
	if (ret_name != NULL)
		*ret_name = name;
	*ret_value = ocj_part_(container, i, end);
	*at = end;
	return 1;
}

/* The member of an object by name (plain names: without escapes). 1: found, *ret set. 0: not there, or null. */
static inline int ocj_get(oc_str object, const char *name, oc_str *ret)
{
	oc_str key, value;
	size_t at = 0, n = oc_str_of(name).n;

	while (ocj_next(object, &at, &key, &value)) {
		size_t i = 0;

		if (key.n != n + 2)
			continue;
		while (i < n && key.p[i + 1] == name[i])
			i++;
		if (i < n)
			continue;
		if (value.n == 4 && value.p[0] == 'n')
			return 0;
		*ret = value;
		return 1;
	}
	return 0;
}

static inline unsigned ocj_hex_(const char *p)
{
	unsigned v = 0;
	int i;

	for (i = 0; i < 4; i++) {
		char c = p[i];

		v = v << 4
		    | (unsigned)(c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 0);
	}
	return v;
}

/* Appends one byte, or only counts it when there is no room left (one byte is kept for the NUL). */
static inline size_t ocj_byte_(char *out, size_t cap, size_t n, unsigned c)
{
	if (cap > 1 && n < cap - 1)
		out[n] = (char)c;
	return n + 1;
}

/* Appends one code point as UTF-8. */
static inline size_t ocj_put_(char *out, size_t cap, size_t n, unsigned c)
{
	if (c < 0x80)
		return ocj_byte_(out, cap, n, c);
	if (c < 0x800) {
		n = ocj_byte_(out, cap, n, 0xC0 | c >> 6);
	} else if (c < 0x10000) {
		n = ocj_byte_(out, cap, n, 0xE0 | c >> 12);
		n = ocj_byte_(out, cap, n, 0x80 | (c >> 6 & 0x3F));
	} else {
		n = ocj_byte_(out, cap, n, 0xF0 | c >> 18);
		n = ocj_byte_(out, cap, n, 0x80 | (c >> 12 & 0x3F));
		n = ocj_byte_(out, cap, n, 0x80 | (c >> 6 & 0x3F));
	}
	return ocj_byte_(out, cap, n, 0x80 | (c & 0x3F));
}

/*
 * The text of a string value, unescaped and NUL-terminated, into out.  Returns its length: when that is not below cap the
 * text was cut.  A value that is no string gives "".
 */
static inline size_t ocj_text(oc_str value, char *out, size_t cap)
{
	size_t n = 0, i;

	if (value.n >= 2 && value.p[0] == '"') {
		for (i = 1; i + 1 < value.n; i++) {
			unsigned c = (unsigned char)value.p[i];

			if (c != '\\') {
				n = ocj_byte_(out, cap, n, c);
				continue;
			}
			if (++i + 1 >= value.n)
				break;
			switch (value.p[i]) {
			case 'n':
				c = '\n';
				break;
			case 't':
				c = '\t';
				break;
			case 'r':
				c = '\r';
				break;
			case 'b':
				c = '\b';
				break;
			case 'f':
				c = '\f';
				break;
			case 'u':
				if (i + 5 >= value.n) {
					c = 0xFFFD;
					i = value.n;
					break;
				}
				c = ocj_hex_(value.p + i + 1);
				i += 4;
				if (c >= 0xD800 && c < 0xDC00 && i + 7 < value.n && value.p[i + 1] == '\\' && value.p[i + 2] == 'u') {
					unsigned low = ocj_hex_(value.p + i + 3);

					if (low >= 0xDC00 && low < 0xE000) {
						c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
						i += 6;
					}
				}
				if (c >= 0xD800 && c < 0xE000)
					c = 0xFFFD;
				break;
			default:
				c = (unsigned char)value.p[i];
				break;
			}
			n = ocj_put_(out, cap, n, c);
		}
	}
	if (cap > 0)
		out[n < cap ? n : cap - 1] = '\0';
	return n;
}

/* A whole number. 1: *ret is set; 0: it is none, or does not fit. */
static inline int ocj_int(oc_str value, int64_t *ret)
{
	int64_t v = 0;
	size_t i = value.n > 0 && value.p[0] == '-' ? 1 : 0;
	int negative = i == 1;

	if (i == value.n)
		return 0;
	for (; i < value.n; i++) {
		int64_t digit = value.p[i] - '0';

		if (digit < 0 || digit > 9 || v < (INT64_MIN + digit) / 10)
			return 0;
		v = v * 10 - digit; /* downward: the negative range is the larger one */
	}
	if (!negative && v == INT64_MIN)
		return 0;
	*ret = negative ? v : -v;
	return 1;
}

/* 1: it is true. Anything else, and also what is not there, is 0. */
static inline int ocj_true(oc_str value)
{
	return value.n == 4 && value.p[0] == 't';
}

/*
 * Writes text as a JSON string with its quotes, NUL-terminated.  Returns its length: when that is not below cap it was cut.
 */
static inline size_t ocj_quote(oc_str text, char *out, size_t cap)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0, i;

	n = ocj_byte_(out, cap, n, '"');
	for (i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '"' || c == '\\') {
			n = ocj_byte_(out, cap, n, '\\');
			n = ocj_byte_(out, cap, n, c);
		} else if (c < 0x20) {
			n = ocj_byte_(out, cap, n, '\\');
			n = ocj_byte_(out, cap, n, 'u');
			n = ocj_byte_(out, cap, n, '0');
			n = ocj_byte_(out, cap, n, '0');
			n = ocj_byte_(out, cap, n, (unsigned)hex[c >> 4]);
			n = ocj_byte_(out, cap, n, (unsigned)hex[c & 15]);
		} else {
			n = ocj_byte_(out, cap, n, c);
		}
	}
	n = ocj_byte_(out, cap, n, '"');
	if (cap > 0)
		out[n < cap ? n : cap - 1] = '\0';
	return n;
}

#ifdef __cplusplus
}
#endif
#endif
