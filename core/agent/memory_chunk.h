/* Cuts a Markdown file into overlapping pieces for the memory's index.  [any] */
#ifndef OC_AGENT_MEMORY_CHUNK_H
#define OC_AGENT_MEMORY_CHUNK_H

#include <stdbool.h>

#include "core/base/str.h"

typedef struct oc_memory_chunk {
	size_t first_line, last_line; /* from 1 */
	oc_str text;		      /* part of the file's text; never empty after trimming */
} oc_memory_chunk;

/*
 * Calls each for every piece of about `tokens` tokens (four bytes each), in order; a piece begins with the last lines of the one
 * before, as many as fit into `overlap` tokens. Lines are kept whole unless one alone is longer than a piece: then it is cut
 * between characters. Returns false when each did.
 */
bool oc_memory_chunks(oc_str text, size_t tokens, size_t overlap, bool (*each)(void *arg, const oc_memory_chunk *chunk),
		      void *arg);

#endif
