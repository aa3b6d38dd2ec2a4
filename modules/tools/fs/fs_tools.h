/* The tools, each a function that runs on a pool thread: arguments and workspace in, text out. */
#ifndef FS_TOOLS_H
#define FS_TOOLS_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tk.h"

#define FS_MAX_OUT (256u << 10) /* bytes of a tool's text */

typedef struct fs_job {
	const cJSON *args; /* checked against the tool's schema by the host */
	const char *workspace;
	int root; /* its descriptor */
	atomic_bool canceled;
	tk_text out;
	bool is_error;
	char *image; /* base64, malloc; NULL: none */
	const char *image_mime;
} fs_job;

/* Says what went wrong, to the model. */
void fs_fail(fs_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Argument helpers: the value, or the fallback. */
const char *fs_arg(const fs_job *job, const char *name, const char *other_name);
long fs_arg_long(const fs_job *job, const char *name, long fallback, long min, long max);
bool fs_arg_bool(const fs_job *job, const char *name);
/* The path argument relative to the workspace; NULL after fs_fail. fallback NULL: it is required. */
const char *fs_arg_path(fs_job *job, const char *fallback);

void fs_read(fs_job *job);
void fs_write(fs_job *job);
void fs_edit(fs_job *job);
void fs_ls(fs_job *job);
void fs_find(fs_job *job);
void fs_grep(fs_job *job);

/* Whole file of at most max bytes, malloc and NUL-terminated; NULL and errno (EFBIG: larger). */
char *fs_read_file(int fd, size_t max, size_t *ret_n);
/* Replaces root/relative by text at once (temporary file, rename), keeping an existing file's mode. -1 and errno. */
int fs_replace_file(int root, const char *relative, const char *text, size_t n, bool *ret_existed);

#endif
