/*
 * A root folder of its own: everything is cloned first while the old paths still mean what they say, put together on an
 * empty file system, and then becomes "/".  All targets are reached by descriptors, without following symbolic links, so
 * that nothing inside a writable folder can lead a mount astray.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/security/sandbox_int.h"

#define ROOT_FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define DATA_FLAGS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int set_flags(int fd, uint64_t flags, bool recursive)
{
	struct mount_attr attr = {.attr_set = flags};

	return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr));
}

/* A detached copy of what is mounted at a path and below; -1 with errno. */
static int clone_tree(int dir, const char *path, uint64_t flags)
{
	int fd = open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), saved;

	if (fd < 0)
		return -1;
	if (flags != 0 && set_flags(fd, flags, true) != 0) {
		saved = errno;
		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

typedef struct option {
	const char *name, *value;
} option;

/* A detached new file system; -1 with errno. */
static int new_fs(const char *type, const option *options, size_t n, unsigned flags)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC), fd = -1, saved;

	if (fs < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[i].name, options[i].value, 0) != 0)
			goto out;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, flags);
out:
	saved = errno;
	(void)close(fs);
	errno = saved;
	return fd;
}

static int new_tmpfs(uint64_t bytes, const char *mode, unsigned flags)
{
	char size[32];
	const option options[] = {{"size", size}, {"mode", mode}};

	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	return new_fs("tmpfs", options, 2, flags);
}

/* Opens the place for a mount below root, making folders (or, at the end, a file) that are missing. */
static int open_target(int root, const char *path, bool folder)
{
	int dir = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), next;
	char name[NAME_MAX + 1];

	while (dir >= 0) {
		size_t n;
		bool last;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			return dir;
		if (n > NAME_MAX) {
			(void)close(dir);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, n);
		name[n] = 0;
		path += n;
		last = path[strspn(path, "/")] == 0;
		next = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC | (last ? 0 : O_DIRECTORY));
		if (next < 0 && errno == ENOENT) {
			if (!last || folder) {
				(void)!mkdirat(dir, name, 0755);
			} else {
				int made = openat(dir, name, O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0644);

				if (made >= 0)
					(void)close(made);
			}
			next = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC | (last ? 0 : O_DIRECTORY));
		}
		n = (size_t)errno;
		(void)close(dir);
		errno = (int)n;
		dir = next;
	}
	return -1;
}

static bool is_folder(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Attaches a detached mount at a path below root. 0 or an errno. */
static int attach(int tree, int root, const char *path)
{
	int target = open_target(root, path, is_folder(tree)), rc = 0;

	if (target < 0)
		return errno;
	if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
		rc = errno;
	(void)close(target);
	return rc;
}

static void make_link(int root, const char *path, const char *to)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash != NULL ? (size_t)(slash - path) : 0;
	int dir;

	if (slash == NULL || slash[1] == 0 || n >= sizeof(folder))
		return;
	memcpy(folder, path, n);
	folder[n] = 0;
	dir = open_target(root, folder, true);
	if (dir < 0)
		return;
	(void)!symlinkat(to, dir, slash + 1); /* a convenience: what is there already may stay */
	(void)close(dir);
}

/* ---- The steps ---- */

/* Clones what the plan names, while the old root is in place. */
static int clone_plan(const sandbox_args *args, sandbox_plan *plan, const char **ret_step)
{
	for (size_t i = 0; i < plan->n; i++) {
		sandbox_path *p = &plan->paths[i];

		switch (p->kind) {
		case PATH_READ:
			p->tree = clone_tree(AT_FDCWD, p->at, ROOT_FLAGS);
			break;
		case PATH_WRITE:
			p->tree = clone_tree(AT_FDCWD, p->at, DATA_FLAGS);
			break;
		case PATH_TMP:
			p->tree = new_tmpfs(args->limits.tmp_bytes, strcmp(p->at, "/tmp") == 0 || strcmp(p->at, "/var/tmp") == 0 ? "1777" : "0700", DATA_FLAGS);
			break;
		default:
			continue;
		}
		if (p->tree < 0 && !(p->system && p->kind == PATH_READ && strcmp(p->at, "/") != 0)) {
			*ret_step = p->at;
			return errno;
		}
	}
	return 0;
}

/* Hides what is visible at a path; a path that is not in the view needs nothing. */
static int hide(int root, sandbox_path *p)
{
	struct stat st;
	int rc;

	if (fstatat(root, p->at + 1, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	p->tree = S_ISDIR(st.st_mode) ? new_tmpfs(64 * 1024, "0755", DATA_FLAGS)
				      : clone_tree(AT_FDCWD, "/dev/null", MOUNT_ATTR_RDONLY);
	if (p->tree < 0)
		return errno;
	rc = attach(p->tree, root, p->at);
	if (rc == 0 && S_ISDIR(st.st_mode))
		return 0; /* made read-only at the end: folders may have to be made in it */
	(void)close(p->tree);
	p->tree = -1;
	return rc;
}

static int attach_plan(int root, sandbox_plan *plan, const char **ret_step)
{
	for (size_t i = 0; i < plan->n; i++) {
		sandbox_path *p = &plan->paths[i];
		int rc = 0;

		if (strcmp(p->at, "/") == 0)
			continue; /* is the root */
		if (p->kind == PATH_LINK) {
			make_link(root, p->at, p->link);
		} else if (p->kind == PATH_HIDE) {
			rc = hide(root, p);
		} else if (p->tree >= 0) {
			rc = attach(p->tree, root, p->at);
			(void)close(p->tree);
			p->tree = -1;
		}
		if (rc != 0 && !(p->system && p->kind == PATH_READ)) {
			*ret_step = p->at;
			return rc;
		}
	}
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->paths[i].kind == PATH_HIDE && plan->paths[i].tree >= 0) {
			(void)set_flags(plan->paths[i].tree, MOUNT_ATTR_RDONLY, false);
			(void)close(plan->paths[i].tree);
		}
	}
	return 0;
}

/* Where the outside is root, the files of /proc that change the whole machine belong to the child: cover them. */
static void cover_proc(int root)
{
	static const char *const read_only[] = {"proc/sys", "proc/irq", "proc/bus", "proc/fs", "proc/acpi", "proc/scsi"};
	static const char *const hidden[] = {"proc/sysrq-trigger", "proc/kcore", "proc/keys", "proc/kmsg",
					     "proc/timer_list",    "proc/sched_debug", "proc/kpagecount"};

	for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		int tree = clone_tree(root, read_only[i], ROOT_FLAGS);

		if (tree >= 0) {
			(void)attach(tree, root, read_only[i]);
			(void)close(tree);
		}
	}
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		int tree = faccessat(root, hidden[i], F_OK, 0) == 0 ? clone_tree(AT_FDCWD, "/dev/null", MOUNT_ATTR_RDONLY) : -1;

		if (tree >= 0) {
			(void)attach(tree, root, hidden[i]);
			(void)close(tree);
		}
	}
}

static int attach_proc(int root, bool new_pids)
{
	int tree = new_pids ? new_fs("proc", NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) : -1, rc;

	/* Containers that cover parts of /proc forbid a new one: then there is none rather than that of the outside. */
	if (tree < 0 && new_pids)
		return 0;
	if (tree < 0)
		tree = clone_tree(AT_FDCWD, "/proc", ROOT_FLAGS);
	if (tree < 0)
		return errno;
	rc = attach(tree, root, "/proc");
	(void)close(tree);
	if (rc == 0 && geteuid() == 0)
		cover_proc(root);
	return rc;
}

static int attach_dev(int root)
{
	static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const option pts_options[] = {{"ptmxmode", "0666"}, {"mode", "0620"}};
	char path[64];
	int dev = new_tmpfs(16 * 1024 * 1024, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), rc, tree, fd;

	if (dev < 0)
		return errno;
	rc = attach(dev, root, "/dev");
	for (size_t i = 0; rc == 0 && i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		(void)snprintf(path, sizeof(path), "/dev/%s", nodes[i]);
		tree = clone_tree(AT_FDCWD, path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		if (tree < 0)
			continue;
		fd = openat(dev, nodes[i], O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0644);
		if (fd >= 0)
			(void)close(fd);
		rc = attach(tree, root, path);
		(void)close(tree);
	}
	(void)!symlinkat("/proc/self/fd", dev, "fd");
	(void)!symlinkat("/proc/self/fd/0", dev, "stdin");
	(void)!symlinkat("/proc/self/fd/1", dev, "stdout");
	(void)!symlinkat("/proc/self/fd/2", dev, "stderr");
	(void)!symlinkat("pts/ptmx", dev, "ptmx");
	(void)!mkdirat(dev, "shm", 01777);
	(void)!fchmodat(dev, "shm", 01777, 0);
	tree = new_fs("devpts", pts_options, 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (tree >= 0 && rc == 0) {
		(void)attach(tree, root, "/dev/pts");
		(void)close(tree);
	}
	(void)close(dev);
	return rc;
}

/* Makes root "/". The old root goes away. */
static int enter(int root)
{
	if (fchdir(root) != 0)
		return errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) != 0)
			return errno;
	} else if (errno != EINVAL || chroot(".") != 0) {
		/* (EINVAL: we are in a chroot. One more is as good for a process that is about to lose all capabilities
		 * and has no descriptor of a folder outside.) */
		return errno;
	}
	return chdir("/") == 0 ? 0 : errno;
}

/* Puts the new root over a folder that surely exists: it has to be attached somewhere before it can be "/". */
static int place(int root)
{
	static const char *const places[] = {"/tmp", "/mnt", "/run", "/usr"};
	int rc = ENOENT;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (move_mount(root, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH) == 0)
			return 0;
		rc = errno;
	}
	return rc;
}

int sandbox_mount_root(const sandbox_args *args, sandbox_plan *plan, bool new_pids, const char **ret_step)
{
	int root, rc;

	*ret_step = "/";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return errno;
	rc = clone_plan(args, plan, ret_step);
	if (rc != 0)
		return rc;
	*ret_step = "the new root folder";
	if (args->level == OC_SANDBOX_STRICT)
		root = new_tmpfs(1024 * 1024, "0755", DATA_FLAGS);
	else
		root = plan->n > 0 ? plan->paths[0].tree : -1;
	if (root < 0)
		return errno;
	rc = place(root);
	if (rc == 0)
		rc = attach_plan(root, plan, ret_step);
	if (rc == 0) {
		*ret_step = "/proc";
		rc = attach_proc(root, new_pids);
	}
	if (rc == 0) {
		*ret_step = "/dev";
		rc = attach_dev(root);
	}
	if (rc == 0) {
		*ret_step = "the new root folder";
		if (args->level == OC_SANDBOX_STRICT && set_flags(root, MOUNT_ATTR_RDONLY, false) != 0)
			rc = errno;
	}
	if (rc == 0)
		rc = enter(root);
	(void)close(root);
	return rc;
}

void sandbox_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
		request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
		(void)ioctl(fd, SIOCSIFFLAGS, &request);
	}
	(void)close(fd);
}
