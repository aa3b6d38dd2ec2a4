/* Path containment, see contain.h. */
#include "core/security/contain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/mem.h"

#define LINKS_MAX 40
#define DEPTH_MAX 256
#define WAYS (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)

static atomic_bool walk_always;

void oc_contain_force_walk(bool force)
{
	atomic_store(&walk_always, force);
}

const char *oc_contain_relative(const char *root, const char *path)
{
	size_t n = strlen(root);

	if (path[0] != '/')
		return path;
	while (n > 0 && root[n - 1] == '/')
		n--;
	if (strncmp(path, root, n) != 0 || (path[n] != 0 && path[n] != '/'))
		return NULL;
	path += n;
	path += strspn(path, "/");
	return *path != 0 ? path : ".";
}

/* ---- The walk ---- */

/* Folders from the root to where we are: ".." goes back along this list, never along the file system, which may change. */
typedef struct walk {
	int fds[DEPTH_MAX];
	size_t n; /* at least 1: the root, which is not ours to close */
	char *rest;
	unsigned links;
} walk;

static void walk_up(walk *w)
{
	if (w->n > 1)
		(void)close(w->fds[--w->n]);
}

/* Puts a link's target in front of what is left. */
static int walk_link(walk *w, int dir, const char *name, const char *rest)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
	char *joined;

	if (n < 0)
		return errno;
	if (n == (ssize_t)sizeof(target) - 1)
		return ENAMETOOLONG;
	target[n] = 0;
	if (target[0] == '/')
		return EXDEV;
	if (++w->links > LINKS_MAX)
		return ELOOP;
	joined = oc_asprintf("%s%s", target, rest); /* rest is empty or begins with a slash */
	if (joined == NULL)
		return ENOMEM;
	if (strlen(joined) >= PATH_MAX) {
		oc_free(joined);
		return ENAMETOOLONG;
	}
	oc_free(w->rest);
	w->rest = joined;
	return 0;
}

/* Opens the last component. EAGAIN: it was a link, which is now part of the path. */
static int walk_last(walk *w, const char *name, const char *rest, int flags, mode_t mode, int *ret_fd)
{
	int dir = w->fds[w->n - 1], fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode), rc;
	struct stat st;

	if (fd >= 0) {
		/* (O_PATH opens a link itself.) */
		if ((flags & O_PATH) == 0 || (flags & O_NOFOLLOW) != 0 || fstat(fd, &st) != 0 || !S_ISLNK(st.st_mode)) {
			*ret_fd = fd;
			return 0;
		}
		(void)close(fd);
	} else if ((errno != ELOOP && errno != ENOTDIR) || (flags & O_NOFOLLOW) != 0) {
		return errno;
	} else if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(st.st_mode)) {
		return errno == ELOOP ? EAGAIN : ENOTDIR;
	}
	if ((flags & O_EXCL) != 0)
		return EEXIST;
	rc = walk_link(w, dir, name, rest);
	return rc != 0 ? rc : EAGAIN;
}

static int walk_component(walk *w, const char *name, const char *rest)
{
	int dir = w->fds[w->n - 1], fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0)
		return errno;
	if (fstat(fd, &st) != 0)
		rc = errno;
	else if (S_ISLNK(st.st_mode))
		rc = walk_link(w, dir, name, rest), rc = rc != 0 ? rc : EAGAIN;
	else if (!S_ISDIR(st.st_mode))
		rc = ENOTDIR;
	else if (w->n == DEPTH_MAX)
		rc = ENAMETOOLONG;
	if (rc != 0) {
		(void)close(fd);
		return rc;
	}
	w->fds[w->n++] = fd;
	return 0;
}

static int walk_path(walk *w, int flags, mode_t mode, int *ret_fd)
{
	size_t at = 0;

	for (;;) {
		char name[NAME_MAX + 1];
		const char *part, *rest;
		size_t n;
		int rc;

		at += strspn(w->rest + at, "/");
		part = w->rest + at;
		n = strcspn(part, "/");
		if (n == 0) /* ended in a folder: "", ".", "a/.." */
			return walk_last(w, ".", "", flags & ~O_NOFOLLOW & ~O_CREAT, mode, ret_fd);
		if (n > NAME_MAX)
			return ENAMETOOLONG;
		memcpy(name, part, n);
		name[n] = 0;
		rest = part + n;
		at += n;
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			if (w->n == 1)
				return EXDEV;
			walk_up(w);
			continue;
		}
		if (rest[strspn(rest, "/")] == 0) /* the last one; a final slash asks for a folder */
			rc = walk_last(w, name, rest, flags | (*rest == '/' ? O_DIRECTORY : 0), mode, ret_fd);
		else
			rc = walk_component(w, name, rest);
		if (rc == EAGAIN)
			at = 0;
		else if (rc != 0 || *ret_fd >= 0)
			return rc;
	}
}

static int open_by_walk(int root_fd, const char *path, int flags, mode_t mode)
{
	walk w = {.n = 1, .rest = oc_strdup(path)};
	int fd = -1, rc;

	w.fds[0] = root_fd;
	rc = w.rest == NULL ? ENOMEM : path[0] == '/' ? EXDEV : walk_path(&w, flags, mode, &fd);
	while (w.n > 1)
		walk_up(&w);
	oc_free(w.rest);
	errno = rc;
	return rc == 0 ? fd : -1;
}

/* ---- The kernel ---- */

static int open_by_kernel(int root_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = WAYS};

	if ((flags & (O_CREAT | O_TMPFILE)) != 0)
		how.mode = mode & 07777;
	/* EAGAIN: something was renamed meanwhile and the kernel could not be sure; it says to try again. */
	for (int tries = 0; tries < 128; tries++) {
		int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

		if (fd >= 0 || errno != EAGAIN)
			return fd;
	}
	return -1;
}

static int open_beneath(int root_fd, const char *path, int flags, mode_t mode)
{
	if (path[0] == 0)
		path = ".";
	if (!atomic_load(&walk_always)) {
		int fd = open_by_kernel(root_fd, path, flags, mode);

		/* ENOSYS: older than 5.6. EPERM: some containers' filters say so for what they do not know. */
		if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
			return fd;
	}
	return open_by_walk(root_fd, path, flags, mode);
}

oc_status oc_contain_open(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd, oc_err *err)
{
	int fd = open_beneath(root_fd, path, flags, mode);

	if (fd >= 0) {
		*ret_fd = fd;
		return OC_OK;
	}
	if (errno == EXDEV)
		return oc_fail(err, OC_E_DENIED, "use a path inside", "%s leads out of the folder", path);
	if (errno == ELOOP)
		return oc_fail(err, OC_E_DENIED, "use a path without that link",
			       "%s goes through a symbolic link that is not followed", path);
	return oc_fail_errno(err, errno, "cannot open %s", path);
}
