/*
 * One reader for JSON and JSON5; internal to core/data, use json.h and json5.h.
 *
 * It builds the tree itself instead of handing checked text to cJSON's parser, which would read everything twice, cut
 * numbers after 63 characters and depend on the locale.  Depth is bounded, so is the C stack.
 */
#ifndef OC_DATA_READER_H
#define OC_DATA_READER_H

#include "core/data/json.h"

enum { OC_READ_JSON5 = 1, OC_READ_EMPTY_IS_OBJECT = 2 };

/* Where a value is in the text, in bytes. */
typedef struct oc_span {
	const cJSON *node;
	size_t key;        /* where the member's name begins; == start when it is no member */
	size_t start, end; /* the value without white space or comments */
} oc_span;

typedef struct oc_spans {
	oc_span *at;
	size_t n, cap;
} oc_spans;

/* ret NULL: checks only. arena NULL: a tree of its own. spans NULL: not wanted; else freed with oc_spans_free. */
oc_status oc_read_json(oc_str text, const oc_json_limits *limits, unsigned flags, oc_arena *arena, cJSON **ret,
		       oc_spans *spans, oc_err *err);
const oc_span *oc_spans_find(const oc_spans *spans, const cJSON *node);
void oc_spans_free(oc_spans *spans);

/* The first byte at or after `at` that is no white space or comment (JSON5). The text must have been read before. */
size_t oc_read_skip5(oc_str text, size_t at);
/* Line and column (in characters) of a byte, from 1. */
void oc_read_position(oc_str text, size_t at, unsigned *ret_line, unsigned *ret_column);
/* Length of the identifier (JSON5 name without quotes) that fills s as a whole? */
bool oc_read_is_name5(oc_str s);

#endif
