/* Which files are an agent's memory, and reading them; never out of the workspace.  [any] */
#ifndef OC_AGENT_MEMORY_FILES_H
#define OC_AGENT_MEMORY_FILES_H

#include "core/agent/memory_index.h"

enum { OC_MEMORY_FILE_MAX = 4 << 20, OC_MEMORY_FILES_MAX = 10000, OC_MEMORY_DEPTH_MAX = 6 };

typedef struct oc_memory_file {
	const char *path; /* as oc_memory_hit has it */
	int root_fd;	  /* to open `name` below */
	const char *name;
	int64_t mtime_ns, size;
} oc_memory_file;

/* Calls each for every memory file; valid during the call. Returns false when each did. */
bool oc_memory_files(const oc_memory_scope *scope, bool (*each)(void *arg, const oc_memory_file *file), void *arg);
/* The whole of it, valid UTF-8 and NUL-terminated. OC_E_LIMIT: too big. */
oc_status oc_memory_file_read(int root_fd, const char *name, char **ret, size_t *ret_n, oc_err *err);
/* `lines` lines of a text from line `from` (0: all). The caller's; NULL: no memory. */
char *oc_memory_lines(oc_str text, int64_t from, int64_t lines);

#endif
