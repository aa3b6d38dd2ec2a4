/*
 * The workspace as the only world: every path is opened below it by the kernel's own resolution (openat2 with
 * RESOLVE_BENEATH), so no "..", symbolic link or race leads out.  Any thread.
 */
#ifndef FS_ROOT_H
#define FS_ROOT_H

#include <stddef.h>
#include <sys/types.h>

/* Opens the workspace folder; -1 and errno. */
int fs_root_open(const char *workspace);
/* A path of a model as one relative to the workspace: "" and "." are the workspace, an absolute path must be inside it.
 * NULL (errno EXDEV) when it is not. A view into path. */
const char *fs_root_relative(const char *workspace, const char *path);
/* As open(2) below root. errno EXDEV: it leads out; ELOOP: too many links. */
int fs_root_at(int root, const char *relative, int flags, mode_t mode);
/* Opens the folder of relative's last component, making missing folders when make is set; *ret_name is that component. */
int fs_root_parent(int root, const char *relative, int make, const char **ret_name);
/* What went wrong with path, for the model. */
const char *fs_root_why(int errnum);

#endif
