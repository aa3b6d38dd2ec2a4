/*
 * What Telegram's own parser takes as HTML, as a judge of what the module makes: known tags, well nested, everything else
 * escaped, nothing inside code, no link in a link, quotations only outside.  Gives the visible text.
 */
#ifndef TG_HTML_H
#define TG_HTML_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct tg_seen {
	char *text; /* visible, NUL-terminated; the caller's */
	size_t n;
	const char *wrong; /* NULL: valid */
} tg_seen;

static inline bool tg_seen_entity(const char **p, char *out)
{
	static const struct {
		const char *text;
		char c;
	} known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		size_t n = strlen(known[i].text);
		if (strncmp(*p, known[i].text, n) == 0) {
			*out = known[i].c;
			*p += n;
			return true;
		}
	}
	return false;
}

static inline const char *tg_seen_open(const char *tag, size_t n, char stack[][16], size_t depth)
{
	static const char *const plain[] = {"b", "i", "s", "tg-spoiler", "code", "pre", "blockquote"};
	bool in_code = false, in_link = false, in_pre = depth > 0 && strcmp(stack[depth - 1], "pre") == 0;
	for (size_t i = 0; i < depth; i++) {
		in_code = in_code || strcmp(stack[i], "code") == 0 || strcmp(stack[i], "pre") == 0;
		in_link = in_link || strcmp(stack[i], "a") == 0;
		if (n == 10 && memcmp(tag, "blockquote", 10) == 0)
			return "a quotation inside something";
		for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++)
			if (strlen(plain[k]) == n && memcmp(tag, plain[k], n) == 0 && strcmp(stack[i], plain[k]) == 0)
				return "a tag inside itself";
	}
	if (n > 3 && strncmp(tag, "a href=\"", 8) == 0 && tag[n - 1] == '"' && n > 9 && memchr(tag + 8, '"', n - 9) == NULL) {
		if (in_code || in_link)
			return "a link inside code or a link";
		memcpy(stack[depth], "a", 2);
		return NULL;
	}
	if (n > 21 && strncmp(tag, "code class=\"language-", 21) == 0 && tag[n - 1] == '"') {
		if (!in_pre)
			return "a language outside pre";
		memcpy(stack[depth], "code", 5);
		return NULL;
	}
	for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++)
		if (strlen(plain[k]) == n && memcmp(tag, plain[k], n) == 0) {
			if (in_code)
				return "a tag inside code";
			memcpy(stack[depth], tag, n);
			stack[depth][n] = 0;
			return NULL;
		}
	return "an unknown tag";
}

static inline tg_seen tg_see(const char *html)
{
	char stack[16][16];
	size_t depth = 0;
	tg_seen seen = {.text = calloc(strlen(html) + 1, 1)};
	const char *p = html;
	while (*p != 0 && seen.wrong == NULL) {
		if (*p == '&') {
			if (!tg_seen_entity(&p, &seen.text[seen.n]))
				seen.wrong = "a bare &";
			else
				seen.n++;
		} else if (*p == '>') {
			seen.wrong = "a bare >";
		} else if (*p != '<') {
			seen.text[seen.n++] = *p++;
		} else {
			const char *end = strchr(p, '>');
			bool close = p[1] == '/';
			const char *name = p + (close ? 2 : 1);
			if (end == NULL || end == name) {
				seen.wrong = "an unclosed tag";
			} else if (close) {
				size_t n = (size_t)(end - name);
				if (depth == 0 || strlen(stack[depth - 1]) != n || memcmp(stack[depth - 1], name, n) != 0)
					seen.wrong = "an end that closes something else";
				else
					depth--;
			} else if (depth == 15) {
				seen.wrong = "too deep";
			} else if ((seen.wrong = tg_seen_open(name, (size_t)(end - name), stack, depth)) == NULL) {
				depth++;
			}
			if (end != NULL)
				p = end + 1;
		}
	}
	if (seen.wrong == NULL && depth != 0)
		seen.wrong = "a tag that is never closed";
	seen.text[seen.n] = 0;
	return seen;
}

#endif
