#include "fs_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fs_root_open(const char *workspace)
{
	return open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

const char *fs_root_relative(const char *workspace, const char *path)
{
	size_t n = strlen(workspace);
	while (n > 1 && workspace[n - 1] == '/')
		n--;
	/* A shell's home folder: without this a file would come to be in a folder with the name "~". */
	if (path[0] == '~' && (path[1] == '/' || path[1] == 0)) {
		errno = EXDEV;
		return NULL;
	}
	if (path[0] == '/') {
		if (strncmp(path, workspace, n) != 0 || (path[n] != '/' && path[n] != 0)) {
			errno = EXDEV;
			return NULL;
		}
		path += n;
	}
	while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	return path[0] == 0 ? "." : path;
}

/* For kernels before 5.6: component by component, refusing every link and "..". */
static int walk(int root, const char *relative, int flags, mode_t mode)
{
	int dir = dup(root);
	while (dir >= 0) {
		char name[256];
		size_t n = strcspn(relative, "/");
		const char *rest = relative + n;
		while (*rest == '/')
			rest++;
		int saved, next;
		if (n >= sizeof name || n == 0) {
			close(dir);
			errno = n == 0 ? EINVAL : ENAMETOOLONG;
			return -1;
		}
		memcpy(name, relative, n);
		name[n] = 0;
		if (strcmp(name, "..") == 0) {
			next = -1;
			saved = EXDEV;
		} else {
			next = *rest == 0 ? openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode)
					  : openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			saved = errno;
		}
		close(dir);
		errno = saved;
		if (next < 0 || *rest == 0)
			return next;
		dir = next;
		relative = rest;
	}
	return -1;
}

int fs_root_at(int root, const char *relative, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (__u64)(unsigned)(flags | O_CLOEXEC | O_NOCTTY),
		.mode = (flags & O_CREAT) != 0 ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd;
	/* EAGAIN: something on the way was renamed while the kernel looked; a few tries are what its manual asks for. */
	for (int i = 0; i < 64; i++) {
		fd = syscall(SYS_openat2, root, relative, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return walk(root, relative, flags, mode);
	return (int)fd;
}

static int make_folder(int root, const char *folder)
{
	/* Each prefix: open it, or make it inside the one before. */
	char path[4096];
	size_t n = strlen(folder);
	int dir = -1;
	if (n >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t at = 0; at < n;) {
		at += strcspn(folder + at, "/");
		memcpy(path, folder, at);
		path[at] = 0;
		int next = fs_root_at(root, path, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0 && errno == ENOENT) {
			const char *slash = strrchr(path, '/');
			if (mkdirat(dir >= 0 ? dir : root, slash != NULL ? slash + 1 : path, 0777) == 0 || errno == EEXIST)
				next = fs_root_at(root, path, O_RDONLY | O_DIRECTORY, 0);
		}
		int saved = errno;
		if (dir >= 0)
			close(dir);
		errno = saved;
		dir = next;
		if (dir < 0)
			return -1;
		while (folder[at] == '/')
			at++;
	}
	return dir;
}

int fs_root_parent(int root, const char *relative, int make, const char **ret_name)
{
	char folder[4096];
	const char *slash = strrchr(relative, '/');
	const char *name = slash != NULL ? slash + 1 : relative;
	if (name[0] == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		errno = EISDIR;
		return -1;
	}
	*ret_name = name;
	if (slash == NULL)
		return fcntl(root, F_DUPFD_CLOEXEC, 0);
	size_t n = (size_t)(slash - relative);
	if (n >= sizeof folder) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(folder, relative, n);
	folder[n] = 0;
	return make ? make_folder(root, folder) : fs_root_at(root, folder, O_RDONLY | O_DIRECTORY, 0);
}

const char *fs_root_why(int errnum)
{
	switch (errnum) {
	case EXDEV:
		return "it is outside the workspace; only paths inside the workspace can be used";
	case ELOOP:
		return "it is, or leads through, a symbolic link that cannot be followed";
	case ENOENT:
		return "there is no such file or folder";
	case EISDIR:
		return "it is a folder";
	case ENOTDIR:
		return "a part of the path is not a folder";
	case EACCES:
	case EPERM:
		return "permission denied";
	default:
		return strerror(errnum);
	}
}
