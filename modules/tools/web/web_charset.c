#include "web_charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

static const uint16_t windows_1252[32] = {
	0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD,
	0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178,
};

static void from_latin(tk_text *out, const unsigned char *p, size_t n, bool euro)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t c = p[i];
		if (c >= 0x80 && c < 0xA0)
			c = windows_1252[c - 0x80]; /* browsers take ISO-8859-1 for windows-1252, so pages do too */
		else if (euro && c == 0xA4)
			c = 0x20AC;
		tk_text_rune(out, c == 0 ? 0xFFFD : c);
	}
}

static void from_utf16(tk_text *out, const unsigned char *p, size_t n, bool big)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		uint32_t c = big ? (uint32_t)(p[i] << 8 | p[i + 1]) : (uint32_t)(p[i + 1] << 8 | p[i]);
		if (c >= 0xD800 && c < 0xDC00 && i + 3 < n) {
			uint32_t d = big ? (uint32_t)(p[i + 2] << 8 | p[i + 3]) : (uint32_t)(p[i + 3] << 8 | p[i + 2]);
			if (d >= 0xDC00 && d < 0xE000) {
				c = 0x10000 + ((c - 0xD800) << 10) + (d - 0xDC00);
				i += 2;
			}
		}
		tk_text_rune(out, c == 0 ? 0xFFFD : c);
	}
}

/* Every other encoding the C library knows (Shift_JIS, GB18030, KOI8-R, …). false: it does not know this one. */
static bool from_other(tk_text *out, const char *name, const char *p, size_t n)
{
	char chunk[4096], *in = (char *)(uintptr_t)p;
	iconv_t cd;

	/* A name comes from the page: nothing but the usual characters goes on to the C library. */
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.:")] != 0)
		return false;
	cd = iconv_open("UTF-8", name);
	if (cd == (iconv_t)-1)
		return false;
	while (n > 0 && !out->failed) {
		char *to = chunk;
		size_t room = sizeof(chunk);
		size_t rc = iconv(cd, &in, &n, &to, &room);

		tk_text_valid(out, chunk, (size_t)(to - chunk));
		if (rc != (size_t)-1 || errno == E2BIG)
			continue;
		/* A byte that means nothing in this encoding, or a character that is cut at the end. */
		tk_text_rune(out, 0xFFFD);
		in++;
		n = errno == EINVAL ? 0 : n - 1;
	}
	(void)iconv_close(cd);
	return true;
}

/* The name after "charset=", lower case; "" when there is none. */
static void find_name(const char *p, size_t n, char *out, size_t size)
{
	size_t k = 0;
	out[0] = 0;
	for (size_t i = 0; i + 8 < n; i++) {
		if (strncasecmp(p + i, "charset=", 8) != 0)
			continue;
		for (i += 8; i < n && (p[i] == '"' || p[i] == '\'' || p[i] == ' '); i++)
			;
		for (; i < n && k < size - 1 && strchr("\"' />;\r\n\t", p[i]) == NULL; i++)
			out[k++] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
		out[k] = 0;
		return;
	}
}

void web_to_utf8(tk_text *out, const char *p, size_t n, const char *content_type)
{
	const unsigned char *b = (const unsigned char *)p;
	char name[40];
	if (n >= 3 && memcmp(b, "\xEF\xBB\xBF", 3) == 0) {
		tk_text_valid(out, p + 3, n - 3);
		return;
	}
	if (n >= 2 && ((b[0] == 0xFE && b[1] == 0xFF) || (b[0] == 0xFF && b[1] == 0xFE))) {
		from_utf16(out, b + 2, n - 2, b[0] == 0xFE);
		return;
	}
	find_name(content_type, strlen(content_type), name, sizeof name);
	if (name[0] == 0)
		find_name(p, n < 2048 ? n : 2048, name, sizeof name);
	if (strcmp(name, "iso-8859-1") == 0 || strcmp(name, "windows-1252") == 0 || strcmp(name, "latin1") == 0
	    || strcmp(name, "cp1252") == 0 || strcmp(name, "us-ascii") == 0)
		from_latin(out, b, n, false);
	else if (strcmp(name, "iso-8859-15") == 0)
		from_latin(out, b, n, true);
	else if (strcmp(name, "utf-16") == 0 || strcmp(name, "utf-16le") == 0 || strcmp(name, "utf-16be") == 0)
		from_utf16(out, b, n, name[6] == 'b');
	else if (name[0] == 0 || strcmp(name, "utf-8") == 0 || strcmp(name, "utf8") == 0 || !from_other(out, name, p, n))
		tk_text_valid(out, p, n);
}
