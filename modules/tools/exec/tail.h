/*
 * What is kept of a command's output: the beginning and the end, each up to half of the maximum.  Positions count from the
 * first byte that ever came.  Pure.
 */
#ifndef EX_TAIL_H
#define EX_TAIL_H

#include "tk.h"

typedef struct ex_tail {
	size_t half;  /* bytes kept at either end */
	char *head;   /* the first min(total, half) bytes */
	char *ring;   /* the last bytes after the head: byte number k at ring[k % half] */
	size_t n_head, cap_head, cap_ring;
	uint64_t total;
	bool failed;
} ex_tail;

void ex_tail_init(ex_tail *t, size_t max);
void ex_tail_free(ex_tail *t);
void ex_tail_add(ex_tail *t, const char *p, size_t n);
/* Appends the bytes from position `from` to the end; where some are gone, a line that says how many. */
void ex_tail_read(const ex_tail *t, uint64_t from, tk_text *out);
/* Lines `offset` (from 0; negative: from the end) to offset+limit of what is kept, and the number of lines there are. */
void ex_tail_lines(const ex_tail *t, int64_t offset, int64_t limit, tk_text *out, int64_t *ret_lines);

#endif
