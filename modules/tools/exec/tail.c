/* See tail.h. */
#include "tail.h"

#include <stdlib.h>
#include <string.h>

void ex_tail_init(ex_tail *t, size_t max)
{
	*t = (ex_tail){.half = max / 2};
}

void ex_tail_free(ex_tail *t)
{
	free(t->head);
	free(t->ring);
	ex_tail_init(t, t->half * 2);
}

static bool grow(char **p, size_t *cap, size_t need, size_t max)
{
	size_t n = *cap == 0 ? 1024 : *cap;
	char *q;

	if (need <= *cap)
		return true;
	while (n < need)
		n *= 2;
	n = n > max ? max : n;
	q = realloc(*p, n);
	if (q == NULL)
		return false;
	*p = q;
	*cap = n;
	return true;
}

void ex_tail_add(ex_tail *t, const char *p, size_t n)
{
	if (t->n_head < t->half && n > 0) {
		size_t take = n < t->half - t->n_head ? n : t->half - t->n_head;

		if (!grow(&t->head, &t->cap_head, t->n_head + take, t->half)) {
			t->failed = true;
			return;
		}
		memcpy(t->head + t->n_head, p, take);
		t->n_head += take;
		t->total += take;
		p += take;
		n -= take;
	}
	if (n == 0)
		return;
	if (t->cap_ring == 0 && !grow(&t->ring, &t->cap_ring, t->half, t->half)) {
		t->failed = true;
		return;
	}
	if (n > t->half) {
		t->total += n - t->half;
		p += n - t->half;
		n = t->half;
	}
	while (n > 0) {
		size_t at = (size_t)(t->total % t->half), take = n < t->half - at ? n : t->half - at;

		memcpy(t->ring + at, p, take);
		t->total += take;
		p += take;
		n -= take;
	}
}

/* The first position that the ring has. */
static uint64_t ring_begin(const ex_tail *t)
{
	return t->total - t->n_head > t->half ? t->total - t->half : t->n_head;
}

static void read_ring(const ex_tail *t, uint64_t from, tk_text *out)
{
	while (from < t->total) {
		size_t at = (size_t)(from % t->half);
		uint64_t left = t->total - from;
		size_t take = left < t->half - at ? (size_t)left : t->half - at;

		tk_text_add(out, t->ring + at, take);
		from += take;
	}
}

/* A place that is no middle of a character. */
static uint64_t border(const ex_tail *t, uint64_t at)
{
	for (int i = 0; i < 3 && at < t->total && ((unsigned char)t->ring[at % t->half] & 0xc0) == 0x80; i++)
		at++;
	return at;
}

/* Without a last character whose rest is gone. */
static size_t whole(const char *p, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		unsigned char b = (unsigned char)p[n - back];

		if (b < 0x80)
			return n;
		if (b >= 0xc0)
			return tk_utf8(p + n - back, back, NULL) == back ? n : n - back;
	}
	return n;
}

void ex_tail_read(const ex_tail *t, uint64_t from, tk_text *out)
{
	uint64_t begin = ring_begin(t);

	if (from < t->n_head) {
		size_t end = begin > t->n_head ? whole(t->head, t->n_head) : t->n_head;

		if (from < end)
			tk_text_add(out, t->head + from, end - (size_t)from);
		from = t->n_head;
	}
	if (from >= t->total)
		return;
	if (from < begin) {
		begin = border(t, begin);
		tk_text_printf(out, "\n[… %llu bytes left out …]\n", (unsigned long long)(begin - from));
		from = begin;
	}
	read_ring(t, from, out);
}

void ex_tail_lines(const ex_tail *t, int64_t offset, int64_t limit, tk_text *out, int64_t *ret_lines)
{
	tk_text all;
	int64_t lines = 0, line = 0;
	size_t start = 0;

	tk_text_init(&all, t->half * 2 + 256);
	ex_tail_read(t, 0, &all);
	for (size_t i = 0; i < all.n; i++)
		lines += all.p[i] == '\n';
	if (all.n > 0 && all.p[all.n - 1] != '\n')
		lines++;
	if (offset < 0)
		offset = offset + lines < 0 ? 0 : offset + lines;
	for (size_t i = 0; i < all.n && line < offset + limit; i++) {
		if (all.p[i] != '\n' && i + 1 < all.n)
			continue;
		if (line >= offset)
			tk_text_add(out, all.p + start, i + 1 - start);
		start = i + 1;
		line++;
	}
	out->failed = out->failed || all.failed;
	*ret_lines = lines;
	tk_text_free(&all);
}
