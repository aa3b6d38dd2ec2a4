/*
 * The memory's index: what stands in an agent's memory files, in a database of its own in <state>/cache.  It can be deleted
 * at any time: it is made again from the files.
 *
 * All functions block and may run on any thread, one at a time for one index (it has a lock).  Text is searched with FTS5
 * (BM25), meaning with vectors that others made (cosine).
 */
#ifndef OC_AGENT_MEMORY_INDEX_H
#define OC_AGENT_MEMORY_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

typedef struct oc_memory_index oc_memory_index;

/* Nothing is opened yet. Reference-counted. [loop] */
oc_memory_index *oc_memory_index_new(const char *db_path);
oc_memory_index *oc_memory_index_ref(oc_memory_index *index);
void oc_memory_index_unref(oc_memory_index *index); /* NULL is allowed */

typedef struct oc_memory_scope {
	const char *workspace;
	char **extra; /* further files or folders, absolute; n_extra of them */
	size_t n_extra;
	size_t chunk_tokens, chunk_overlap;
	bool force; /* read files again that look unchanged */
} oc_memory_scope;

typedef struct oc_memory_counts {
	int64_t files, chunks, vectors; /* vectors: chunks that have one of the model asked for */
	int64_t read, removed;		/* files, by the last update */
	int64_t too_big;
} oc_memory_counts;

/* Brings the index up to date: reads files whose time or size changed, forgets those that are gone. model (may be ""): for
 * counts->vectors. */
oc_status oc_memory_index_update(oc_memory_index *index, const oc_memory_scope *scope, const char *model,
				 oc_memory_counts *ret, oc_err *err);

/* Chunks without a vector of the model, at most max and max_bytes: texts and their hashes, in the arena. */
typedef struct oc_memory_missing {
	const oc_str *texts;
	const char **hashes;
	size_t n;
} oc_memory_missing;
oc_status oc_memory_index_missing(oc_memory_index *index, const char *model, size_t max, size_t max_bytes, oc_arena *arena,
				  oc_memory_missing *ret, oc_err *err);
/* Keeps vectors: n rows of `dimensions`. */
oc_status oc_memory_index_put(oc_memory_index *index, const char *model, const char *const *hashes, const float *values,
			      size_t n, size_t dimensions, oc_err *err);

typedef struct oc_memory_query {
	const char *text;
	const char *model;   /* whose vectors; "" none */
	const float *vector; /* of the text; NULL: words only */
	size_t dimensions;
	double vector_weight, text_weight; /* of the score */
	size_t max_results, candidates;
	double min_score;
} oc_memory_query;

typedef struct oc_memory_hit {
	const char *path; /* below the workspace, or absolute */
	const char *text;
	int64_t first_line, last_line;
	double score; /* 0 to 1 */
} oc_memory_hit;

/* Best first, in the arena. */
oc_status oc_memory_index_search(oc_memory_index *index, const oc_memory_query *query, oc_arena *arena, oc_memory_hit **ret,
				 size_t *ret_n, oc_err *err);

/* Reads one of them: `lines` lines from line `from` (0: all). Missing: OC_E_NOT_FOUND. The caller's to oc_free. */
oc_status oc_memory_read(const oc_memory_scope *scope, const char *path, int64_t from, int64_t lines, char **ret, oc_err *err);

#endif
