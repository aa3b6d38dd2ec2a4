/* What the parts of the reader share; nobody else includes it. */
#ifndef OC_DATA_READER_INT_H
#define OC_DATA_READER_INT_H

#include "core/data/reader.h"

/* A member name of an object that is still open, kept to find duplicates. */
struct key {
	const char *p;
	size_t n, at;
	char *owned; /* set when only this entry holds the memory */
};

struct reader {
	const char *p; /* the text */
	size_t n, at;
	bool json5;
	size_t max_nodes, nodes;
	unsigned max_depth, depth;
	struct key *keys; /* a stack: those of the innermost object are on top */
	size_t keys_n, keys_cap;
	oc_arena *arena; /* of the tree; NULL: cJSON's memory */
	oc_spans *spans;
	oc_err *err;
	struct key first_keys[8];
};

static inline int oc_read_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* `digits` hexadecimal digits at `at`; -1 when there are not so many. */
/* The error of what stands at `at`, with its line and column; returns code. */
oc_status oc_read_bad(struct reader *r, oc_status code, size_t at, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
oc_status oc_read_unexpected(struct reader *r, const char *wanted);
oc_status oc_read_no_memory(struct reader *r);
void *oc_read_take(const struct reader *r, size_t bytes); /* zeroed memory of the tree */
/* item NULL: checks only. */
oc_status oc_read_number(struct reader *r, cJSON *item);

#endif
