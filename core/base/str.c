#include "core/base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

oc_str oc_str_make(const char *p, size_t n)
{
	return p == NULL ? OC_STR_NONE : (oc_str){p, n};
}

bool oc_str_eq(oc_str a, oc_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool oc_str_eqz(oc_str a, const char *nul_terminated)
{
	return oc_str_eq(a, oc_str_of(nul_terminated));
}

char *oc_put_u64(char *at, uint64_t v)
{
	char digits[OC_U64_CHARS];
	size_t n = 0;
	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

static int fold(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool oc_str_ieq(oc_str a, oc_str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

bool oc_str_starts(oc_str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool oc_str_ends(oc_str s, const char *suffix)
{
	size_t n = strlen(suffix);
	return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

bool oc_str_has(oc_str s, const char *needle)
{
	return memmem(s.p, s.n, needle, strlen(needle)) != NULL;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

oc_str oc_str_trim(oc_str s)
{
	while (s.n > 0 && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

oc_str oc_str_cut(oc_str *rest, char separator)
{
	oc_str part = *rest;
	const char *at = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
	if (at == NULL) {
		*rest = (oc_str){NULL, 0};
		return part;
	}
	part.n = (size_t)(at - part.p);
	rest->p = at + 1;
	rest->n -= part.n + 1;
	return part;
}

bool oc_str_eq_secret(oc_str a, oc_str b)
{
	if (a.n != b.n)
		return false;
	unsigned char differs = 0;
	for (size_t i = 0; i < a.n; i++)
		differs |= (unsigned char)((unsigned char)a.p[i] ^ (unsigned char)b.p[i]);
	__asm__ volatile("" : "+r"(differs)); /* keeps the loop from being cut short */
	return differs == 0;
}

oc_status oc_str_i64(oc_str s, int64_t min, int64_t max, int64_t *ret)
{
	char digits[24];
	if (s.n == 0 || s.n >= sizeof digits)
		return OC_E_INVALID;
	memcpy(digits, s.p, s.n);
	digits[s.n] = 0;
	size_t first = digits[0] == '-' ? 1 : 0;
	if (digits[first] < '0' || digits[first] > '9') /* strtoll would take "+1" and " 1" */
		return OC_E_INVALID;
	char *end;
	errno = 0;
	long long v = strtoll(digits, &end, 10);
	if (*end != 0 || errno != 0)
		return OC_E_INVALID;
	if (v < min || v > max)
		return OC_E_LIMIT;
	*ret = v;
	return OC_OK;
}

size_t oc_str_distance(const char *a, const char *b, size_t cap)
{
	enum { LONGEST = 64 };
	size_t na = strlen(a), nb = strlen(b);
	size_t diff = na > nb ? na - nb : nb - na;
	if (diff >= cap || na > LONGEST || nb > LONGEST)
		return cap;
	size_t row[LONGEST + 1];
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t above = row[j];
			size_t best = diagonal + (fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[nb] < cap ? row[nb] : cap;
}

const char *oc_str_nearest(const char *wrong, const char *const *names, size_t n)
{
	/* A third of the letters wrong is a typing error; more is another word. */
	size_t cap = strlen(wrong) / 3 + 2;
	const char *best = NULL;
	for (size_t i = 0; i < n; i++) {
		size_t d = oc_str_distance(wrong, names[i], cap);
		if (d < cap) {
			cap = d;
			best = names[i];
			if (d == 0)
				break;
		}
	}
	return best;
}
