/* Landlock, capabilities and resource limits of the child. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/security/sandbox_int.h"

/*
 * Landlock by its numbers: the headers of a distribution are older than the kernels it runs on.
 */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum {
	LL_EXECUTE = 1 << 0,
	LL_WRITE_FILE = 1 << 1,
	LL_READ_FILE = 1 << 2,
	LL_READ_DIR = 1 << 3,
	LL_REMOVE_DIR = 1 << 4,
	LL_REMOVE_FILE = 1 << 5,
	LL_MAKE_CHAR = 1 << 6,
	LL_MAKE_DIR = 1 << 7,
	LL_MAKE_REG = 1 << 8,
	LL_MAKE_SOCK = 1 << 9,
	LL_MAKE_FIFO = 1 << 10,
	LL_MAKE_BLOCK = 1 << 11,
	LL_MAKE_SYM = 1 << 12,
	LL_REFER = 1 << 13,    /* ABI 2 */
	LL_TRUNCATE = 1 << 14, /* ABI 3 */
	LL_IOCTL_DEV = 1 << 15 /* ABI 5 */
};
enum { LL_NET_BIND = 1, LL_NET_CONNECT = 2 };	 /* ABI 4 */
enum { LL_SCOPE_ABSTRACT_UNIX = 1, LL_SCOPE_SIGNAL = 2 }; /* ABI 6 */

#define LL_READ (LL_EXECUTE | LL_READ_FILE | LL_READ_DIR)
#define LL_WRITE                                                                                                         \
	(LL_WRITE_FILE | LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG | LL_MAKE_SOCK | LL_MAKE_FIFO        \
	 | LL_MAKE_SYM | LL_REFER | LL_TRUNCATE)
#define LL_FILE_ONLY (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV)
#define LL_ALL ((LL_IOCTL_DEV << 1) - 1)

typedef struct ruleset_attr {
	uint64_t fs, net, scoped;
} ruleset_attr;
typedef struct path_attr {
	uint64_t access;
	int32_t fd;
} __attribute__((packed)) path_attr;
enum { LL_RULE_PATH = 1, LL_VERSION_FLAG = 1 };

int sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LL_VERSION_FLAG);

	return abi > 0 ? (int)abi : 0;
}

/* What this ABI knows of a set of rights. */
static uint64_t known(int abi, uint64_t rights)
{
	if (abi < 2)
		rights &= ~(uint64_t)LL_REFER;
	if (abi < 3)
		rights &= ~(uint64_t)LL_TRUNCATE;
	if (abi < 5)
		rights &= ~(uint64_t)LL_IOCTL_DEV;
	return rights;
}

/* Grants rights on a path; one that is missing grants nothing. 0 or an errno. */
static int grant_at(int ruleset, int abi, uint64_t handled, int dir, const char *path, uint64_t rights, int flags)
{
	path_attr attr = {.access = known(abi, rights) & handled, .fd = openat(dir, path, O_PATH | O_CLOEXEC | flags)};
	struct stat st;
	int rc = 0;

	if (attr.fd < 0)
		return 0;
	if (fstat(attr.fd, &st) == 0 && !S_ISDIR(st.st_mode))
		attr.access &= S_ISLNK(st.st_mode) ? 0 : LL_FILE_ONLY; /* a link: what it leads to has its own rules */
	if (attr.access != 0 && syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH, &attr, 0) != 0)
		rc = errno;
	(void)close(attr.fd);
	return rc;
}

static int grant(int ruleset, int abi, uint64_t handled, const char *path, uint64_t rights)
{
	return grant_at(ruleset, abi, handled, AT_FDCWD, path, rights, 0);
}

static bool inside(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || (n == 1 && path[1] != 0));
}

/* The first path that is to be hidden in a folder; NULL: none. */
static const sandbox_path *hidden_in(const sandbox_plan *plan, const char *folder)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->paths[i].kind == PATH_HIDE && inside(plan->paths[i].at, folder))
			return &plan->paths[i];
	return NULL;
}

static bool is_hidden(const sandbox_plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->paths[i].kind == PATH_HIDE && strcmp(plan->paths[i].at, path) == 0)
			return true;
	return false;
}

/* Reading what is in a folder but for what is hidden there: Landlock cannot take back what it gave for the whole. */
static int grant_around(int ruleset, int abi, uint64_t handled, const sandbox_plan *plan, const char *folder, unsigned depth)
{
	DIR *dir = depth < 64 ? opendir(folder) : NULL;
	struct dirent *entry;
	int rc = 0;

	while (rc == 0 && dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%s%s%s", folder, folder[1] == 0 ? "" : "/", entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || n >= (int)sizeof(path) || is_hidden(plan, path))
			continue;
		if (hidden_in(plan, path) != NULL)
			rc = grant_around(ruleset, abi, handled, plan, path, depth + 1);
		else
			rc = grant_at(ruleset, abi, handled, dirfd(dir), entry->d_name, LL_READ, O_NOFOLLOW);
	}
	if (dir != NULL)
		(void)closedir(dir);
	return rc;
}

const char *sandbox_landlock_conflict(const sandbox_plan *plan, const char **ret_hidden)
{
	for (size_t i = 0; i < plan->n; i++) {
		const sandbox_path *p = &plan->paths[i], *hidden = p->kind == PATH_WRITE ? hidden_in(plan, p->at) : NULL;

		if (hidden != NULL) {
			*ret_hidden = hidden->at;
			return p->at;
		}
	}
	return NULL;
}

static int grant_devices(int ruleset, int abi, uint64_t handled, bool own_root)
{
	static const char *const nodes[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(nodes) / sizeof(nodes[0]); i++)
		rc = grant(ruleset, abi, handled, nodes[i], LL_READ_FILE | LL_WRITE_FILE | LL_TRUNCATE | LL_IOCTL_DEV);
	if (rc == 0 && own_root) {
		rc = grant(ruleset, abi, handled, "/dev", LL_READ_FILE | LL_READ_DIR);
		if (rc == 0)
			rc = grant(ruleset, abi, handled, "/dev/shm", LL_READ | LL_WRITE);
		if (rc == 0)
			rc = grant(ruleset, abi, handled, "/dev/pts", LL_READ_FILE | LL_READ_DIR | LL_WRITE_FILE | LL_IOCTL_DEV);
	}
	return rc;
}

static int grant_plan(int ruleset, int abi, uint64_t handled, const sandbox_plan *plan, bool own_root)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->n; i++) {
		const sandbox_path *p = &plan->paths[i];

		switch (p->kind) {
		case PATH_READ:
			/* With a root of its own, /etc holds only what may be read. */
			if (own_root && p->system && strncmp(p->at, "/etc/", 5) == 0)
				break;
			if (own_root || hidden_in(plan, p->at) == NULL)
				rc = grant(ruleset, abi, handled, p->at, LL_READ);
			else
				rc = grant_around(ruleset, abi, handled, plan, p->at, 0);
			break;
		case PATH_WRITE:
			rc = grant(ruleset, abi, handled, p->at, LL_READ | LL_WRITE);
			break;
		case PATH_TMP:
			if (own_root) /* else it is everybody's folder of that name */
				rc = grant(ruleset, abi, handled, p->at, LL_READ | LL_WRITE);
			break;
		default:
			break;
		}
	}
	if (rc == 0 && own_root)
		rc = grant(ruleset, abi, handled, "/etc", LL_READ);
	if (rc == 0)
		rc = grant(ruleset, abi, handled, "/proc", LL_READ_FILE | LL_READ_DIR);
	return rc;
}

int sandbox_landlock(const sandbox_args *args, const sandbox_plan *plan, int abi, bool own_root, bool own_net,
		     const char *tmp)
{
	ruleset_attr attr = {.fs = known(abi, LL_ALL)};
	size_t size = abi >= 6 ? sizeof(attr) : abi >= 4 ? offsetof(ruleset_attr, scoped) : offsetof(ruleset_attr, net);
	int fd, rc;

	/* (Inside a network of its own a program may talk to itself.) */
	if (abi >= 4 && !args->network && !own_net)
		attr.net = LL_NET_BIND | LL_NET_CONNECT;
	if (abi >= 6)
		attr.scoped = LL_SCOPE_ABSTRACT_UNIX | LL_SCOPE_SIGNAL;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		return errno;
	rc = grant_plan(fd, abi, attr.fs, plan, own_root);
	if (rc == 0)
		rc = grant_devices(fd, abi, attr.fs, own_root);
	if (rc == 0 && tmp != NULL)
		rc = grant(fd, abi, attr.fs, tmp, LL_READ | LL_WRITE);
	if (rc == 0 && own_root) /* to walk about in: the root folder itself holds nothing else */
		rc = grant(fd, abi, attr.fs, "/", args->level == OC_SANDBOX_STRICT ? LL_READ_DIR : LL_READ);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, fd, 0) != 0)
		rc = errno;
	(void)close(fd);
	return rc;
}

/* ---- Capabilities ---- */

int sandbox_drop_caps(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	for (int cap = 0; cap < 64; cap++) {
		/* Without CAP_SETPCAP (a plain user outside a namespace) the bounding set stays, and means nothing with
		 * no_new_privs. */
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EPERM)
			return errno;
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}

/* ---- Limits ---- */

static rlim_t at_most(uint64_t value, rlim_t bound)
{
	return (rlim_t)value < bound ? (rlim_t)value : bound;
}

static int limit(int resource, uint64_t value)
{
	struct rlimit now, set;

	if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
		return errno;
	set.rlim_cur = at_most(value, now.rlim_max);
	/* Seconds: SIGXCPU, which says what it is, comes before SIGKILL only when there is something between the two. */
	set.rlim_max = at_most(resource == RLIMIT_CPU ? value + 5 : value, now.rlim_max);
	return setrlimit((__rlimit_resource_t)resource, &set) == 0 ? 0 : errno;
}

/* Tasks of this user, on the whole machine. */
static uint64_t tasks_of_user(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t n = 0;
	uid_t me = getuid();

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		char path[300];
		struct stat st;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/task", entry->d_name);
		if (stat(path, &st) == 0 && st.st_uid == me && st.st_nlink > 2)
			n += st.st_nlink - 2;
	}
	if (proc != NULL)
		(void)closedir(proc);
	return n;
}

/* Since Linux 5.14 a user namespace counts its own tasks; before, and without one, the count is the user's everywhere. */
static bool counts_by_namespace(void)
{
	struct utsname name;
	unsigned long major, minor;
	char *end;

	if (uname(&name) != 0)
		return false;
	major = strtoul(name.release, &end, 10);
	minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return major > 5 || (major == 5 && minor >= 14);
}

int sandbox_limits(const oc_sandbox_limits *l, bool own_users)
{
	uint64_t processes = l->processes;
	int rc = 0;

	if (!own_users || !counts_by_namespace())
		processes += tasks_of_user();
	if ((rc = limit(RLIMIT_CPU, l->cpu_seconds)) != 0
	    || (rc = limit(RLIMIT_FSIZE, l->file_bytes)) != 0 || (rc = limit(RLIMIT_NOFILE, l->open_files)) != 0
	    || (rc = limit(RLIMIT_NPROC, processes)) != 0 || (rc = limit(RLIMIT_CORE, 0)) != 0)
		return rc;
	return 0;
}

int sandbox_limit_memory(const oc_sandbox_limits *l)
{
	/* Not RLIMIT_AS: programs reserve address space by the terabyte and use little of it. */
	return limit(RLIMIT_DATA, l->memory_bytes);
}
