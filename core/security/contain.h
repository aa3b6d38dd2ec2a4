/*
 * Path containment: opening files below a folder such that no "..", symbolic link, magic link or race leads out of it.
 *
 * The kernel resolves (openat2 with RESOLVE_BENEATH); where it has no openat2, a walk component by component does, with the
 * same answers.  Symbolic links inside are followed when they are relative and stay inside.  [any]
 */
#ifndef OC_SECURITY_CONTAIN_H
#define OC_SECURITY_CONTAIN_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/err.h"

/* Opens `path` below the folder root_fd, as open(2) with flags and mode; O_CLOEXEC is added. path is relative to the folder
 * ("" and "." are the folder itself). OC_E_DENIED when it leads out, OC_E_NOT_FOUND, OC_E_EXISTS (O_EXCL), OC_E_IO… */
oc_status oc_contain_open(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd, oc_err *err);
/* The part of `path` below `root` (both absolute; root without a final slash): a view into path, "." for root itself.
 * A relative path is returned as it is; NULL when path is elsewhere. Text only: oc_contain_open decides. */
const char *oc_contain_relative(const char *root, const char *path);
/* Tests: true uses the walk even where openat2 is there. */
void oc_contain_force_walk(bool force);

#endif
