#include "fs_glob.h"

#include <stddef.h>
#include <string.h>

/* Steps are counted: a pattern of many stars on a long name would otherwise take exponential time. */
struct match {
	unsigned steps;
};
#define MAX_STEPS 20000u

static bool in_class(const char **p, char c)
{
	const char *q = *p + 1;
	bool negated = *q == '!' || *q == '^', found = false;
	if (negated)
		q++;
	for (bool first = true; *q != 0 && (first || *q != ']'); first = false) {
		char from = *q++, to = from;
		if (*q == '-' && q[1] != ']' && q[1] != 0) {
			to = q[1];
			q += 2;
		}
		if ((unsigned char)c >= (unsigned char)from && (unsigned char)c <= (unsigned char)to)
			found = true;
	}
	if (*q == 0) { /* no closing bracket: an ordinary character */
		(*p)++;
		return c == '[';
	}
	*p = q + 1;
	return c != '/' && found != negated;
}

static bool match_here(struct match *m, const char *p, const char *s);

/* {a,b}: each alternative in turn, with what follows the brace. */
static bool match_braces(struct match *m, const char *p, const char *s)
{
	const char *end = strchr(p, '}');
	char pattern[512];
	if (end == NULL || strlen(end) >= sizeof pattern / 2)
		return *s == '{' && match_here(m, p + 1, s + 1);
	for (const char *from = p + 1; from <= end;) {
		size_t n = strcspn(from, ",}");
		if (n >= sizeof pattern / 2)
			return false;
		memcpy(pattern, from, n);
		memcpy(pattern + n, end + 1, strlen(end + 1) + 1);
		if (match_here(m, pattern, s))
			return true;
		from += n + 1;
	}
	return false;
}

static bool match_stars(struct match *m, const char *p, const char *s)
{
	bool deep = p[1] == '*';
	while (*p == '*')
		p++;
	if (deep && *p == '/') { /* "**" and its slash may stand for nothing */
		if (match_here(m, p + 1, s))
			return true;
	}
	for (;; s++) {
		if (match_here(m, p, s))
			return true;
		if (*s == 0 || (*s == '/' && !deep))
			return false;
	}
}

static bool match_here(struct match *m, const char *p, const char *s)
{
	for (;;) {
		if (++m->steps > MAX_STEPS)
			return false;
		switch (*p) {
		case 0:
			return *s == 0;
		case '*':
			return match_stars(m, p, s);
		case '{':
			return match_braces(m, p, s);
		case '?':
			if (*s == 0 || *s == '/')
				return false;
			p++;
			s++;
			break;
		case '[':
			if (*s == 0 || !in_class(&p, *s))
				return false;
			s++;
			break;
		default:
			if (*p == '\\' && p[1] != 0)
				p++;
			if (*p != *s)
				return false;
			p++;
			s++;
		}
	}
}

bool fs_glob_match(const char *pattern, const char *path)
{
	struct match m = {0};
	const char *slash = strrchr(path, '/');
	while (pattern[0] == '.' && pattern[1] == '/')
		pattern += 2;
	if (pattern[0] == '/')
		pattern++;
	return match_here(&m, pattern, strchr(pattern, '/') == NULL && slash != NULL ? slash + 1 : path);
}
