/* See clean.h. */
#include "clean.h"

#include <string.h>

enum {
	PLAIN = 0,
	ESCAPE,	    /* after ESC */
	SEQUENCE,   /* ESC [ … letter */
	STRING,	    /* ESC ] … BEL or ESC \ (also P, X, ^, _) */
	STRING_END, /* ESC inside a string */
	ONE_MORE    /* ESC ( and the like: one more character */
};

/* One ASCII character (or one of U+0080–U+009F as 0x80–0x9f). */
static void control(ex_clean *c, unsigned char ch, tk_text *out)
{
	switch (c->state) {
	case ESCAPE:
		c->state = ch == '['                                                     ? SEQUENCE
			   : ch == ']' || ch == 'P' || ch == 'X' || ch == '^' || ch == '_' ? STRING
			   : ch >= 0x20 && ch <= 0x2f                                      ? ONE_MORE
											   : PLAIN;
		return;
	case SEQUENCE:
		if (ch >= 0x40 && ch <= 0x7e)
			c->state = PLAIN;
		else if (ch == '\n' || ch == 0x1b) /* broken: do not swallow what follows */
			c->state = ch == 0x1b ? ESCAPE : PLAIN;
		return;
	case STRING:
		if (ch == 0x07 || ch == 0x9c)
			c->state = PLAIN;
		else if (ch == 0x1b)
			c->state = STRING_END;
		else if (ch == '\n')
			c->state = PLAIN;
		return;
	case STRING_END:
		c->state = ch == '\\' ? PLAIN : STRING;
		return;
	case ONE_MORE:
		if (ch < 0x20 || ch > 0x2f)
			c->state = PLAIN;
		return;
	default:
		break;
	}
	if (ch == 0x1b)
		c->state = ESCAPE;
	else if (ch == 0x9b)
		c->state = SEQUENCE;
	else if (ch == '\n' || ch == '\t' || (ch >= 0x20 && ch < 0x7f))
		tk_text_char(out, (char)ch);
}

static void character(ex_clean *c, const char *p, size_t n, uint32_t rune, tk_text *out)
{
	if (c->cr && c->state == PLAIN) {
		c->cr = false;
		if (rune != '\n' && rune != '\r')
			tk_text_char(out, '\n');
	}
	if (rune == '\r' && c->state == PLAIN)
		c->cr = true;
	else if (rune < 0xa0)
		control(c, (unsigned char)rune, out);
	else if (c->state == PLAIN)
		tk_text_add(out, p, n);
	else if (c->state != STRING)
		c->state = PLAIN;
}

static void bad_byte(ex_clean *c, tk_text *out)
{
	if (c->state == PLAIN)
		character(c, "\xef\xbf\xbd", 3, 0xfffd, out);
}

/* Whether bytes may be the beginning of a character. */
static bool may_grow(const char *p, size_t n)
{
	unsigned char b = (unsigned char)p[0];
	size_t want = b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return false;
	/* Overlong forms, surrogates, beyond U+10FFFF: seen in the second byte. */
	if (n > 1) {
		unsigned char c = (unsigned char)p[1];

		if ((b == 0xe0 && c < 0xa0) || (b == 0xed && c > 0x9f) || (b == 0xf0 && c < 0x90) || (b == 0xf4 && c > 0x8f))
			return false;
	}
	return n < want;
}

/* Plain ASCII without anything special, the common case: the length of its run. */
static size_t plain_run(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && ((p[i] >= 0x20 && p[i] < 0x7f) || p[i] == '\n' || p[i] == '\t'))
		i++;
	return i;
}

void ex_clean_add(ex_clean *c, const char *p, size_t n, bool last, tk_text *out)
{
	size_t at = 0;

	while (at < n) {
		uint32_t rune = 0;
		size_t len;

		if (c->n_part == 0) {
			size_t run = c->state == PLAIN && !c->cr ? plain_run(p + at, n - at) : 0;

			if (run > 0) {
				tk_text_add(out, p + at, run);
				at += run;
				continue;
			}
		}
		c->part[c->n_part++] = p[at++];
		len = tk_utf8(c->part, c->n_part, &rune);
		if (len > 0) {
			character(c, c->part, len, rune, out);
			c->n_part = 0;
		} else if (!may_grow(c->part, c->n_part)) {
			/* The first byte is bad; the last one may begin something else. */
			if (c->n_part > 1)
				at--;
			bad_byte(c, out);
			c->n_part = 0;
		}
	}
	if (last) {
		if (c->n_part > 0)
			bad_byte(c, out);
		if (c->cr)
			tk_text_char(out, '\n');
		*c = (ex_clean){0};
	}
}
