/*
 * Files and folders: where OpenClaw keeps its state, and small safe helpers.  Paths are absolute and NUL-terminated; what
 * is returned is the caller's to oc_free.  [any] unless said otherwise
 */
#ifndef OC_BASE_PATH_H
#define OC_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/base/err.h"

/* OPENCLAW_STATE_DIR, else OPENCLAW_HOME/.openclaw, else ~/.openclaw. NULL when out of memory. */
char *oc_path_state_dir(void);
/* OPENCLAW_CONFIG_PATH, else <state>/openclaw.json. */
char *oc_path_config(void);
/* <state>/name ("run/gateway.sock"). */
char *oc_path_state(const char *name);
/* a/b with exactly one slash; b alone when absolute. */
char *oc_path_join(const char *a, const char *b);
/* "~" and "~/x" become the home folder; relative paths are taken from base (NULL: the working folder). */
char *oc_path_expand(const char *path, const char *base);
/* The part after the last slash (a view into path). */
const char *oc_path_base(const char *path);
/* mkdir -p with mode for what it makes. */
oc_status oc_path_mkdirs(const char *path, mode_t mode, oc_err *err);
/* The folder of the running binary when it is run from the tree it was built in, else NULL; oc_free it. */
char *oc_path_build_tree(void);
/* Where an installed file or folder is now: its configured path, or the same place relative to the binary when the
 * installation was moved as a whole. NULL: no memory; oc_free it. */
char *oc_path_installed(const char *configured);
bool oc_path_exists(const char *path);
/* Reads a regular file of at most max bytes; NUL-terminated. OC_E_LIMIT when larger, OC_E_INVALID when no regular file. */
oc_status oc_path_read(const char *path, size_t max, char **ret, size_t *ret_n, oc_err *err);
/* Replaces a file so that a reader or a crash sees the old or the new one: temporary file, fsync, rename, fsync of the folder. */
oc_status oc_path_write(const char *path, const void *bytes, size_t n, mode_t mode, oc_err *err);

#endif
