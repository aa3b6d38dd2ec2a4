/*
 * The supervisor: stays outside of the sandbox, starts the process that goes in, hands signals on, and sees to it that
 * nothing is left when the command is over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/security/sandbox_int.h"

#ifndef PR_SET_CHILD_SUBREAPER
#define PR_SET_CHILD_SUBREAPER 36
#endif
#define SECCOMP_ACTION_AVAIL 2u
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET)

static int error_fd = 2; /* for messages when there is no status descriptor */

/* ---- Reporting: one line each, on the status descriptor or for people ---- */

static void say_line(const sandbox_args *args, char kind, const char *text)
{
	char line[1200];
	int n, fd = args->status_fd >= 0 ? args->status_fd : error_fd;

	if (args->status_fd >= 0)
		n = snprintf(line, sizeof(line), "%c%s\n", kind, text);
	else
		n = snprintf(line, sizeof(line), "openclaw-sandbox: %s%s\n", kind == 'W' ? "warning: " : "", text);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	if (write(fd, line, (size_t)n) < 0)
		return;
}

void sandbox_warn(const sandbox_args *args, const char *format, ...)
{
	char text[1024];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	say_line(args, 'W', text);
}

void sandbox_note(const sandbox_args *args, const char *format, ...)
{
	char text[1024];
	va_list list;

	if (args->status_fd < 0)
		return;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	say_line(args, 'N', text);
}

void sandbox_die(const sandbox_args *args, const oc_err *err)
{
	char text[1024];

	if (args->probe) {
		(void)printf("strict=0\nproblem=%s\nremedy=%s\n", err->text, err->remedy);
		(void)fflush(stdout);
		_exit(126);
	}
	if (args->status_fd >= 0)
		(void)snprintf(text, sizeof(text), "%d %s\t%s", (int)err->code, err->text, err->remedy);
	else
		(void)snprintf(text, sizeof(text), "%s%s%s", err->text, err->remedy[0] != 0 ? "; " : "", err->remedy);
	say_line(args, 'E', text);
	_exit(err->code == OC_E_NOT_FOUND ? 127 : 126);
}

void sandbox_miss(sandbox_shared *shared, uint32_t feature, int errnum)
{
	shared->missing |= feature;
	for (unsigned bit = 0; bit < 7; bit++)
		if (feature == 1u << bit)
			shared->why[bit] = errnum;
}

static void die_errno(const sandbox_args *args, int errnum, const char *what)
{
	oc_err err = {0};

	(void)oc_fail_errno(&err, errnum, "the sandbox cannot %s", what);
	sandbox_die(args, &err);
}

/* ---- Starting ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;
	int saved = errno;

	if (fd >= 0)
		(void)close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text);
}

/* The user inside is the user outside, and nobody else exists. */
static bool map_users(pid_t pid)
{
	char path[64], map[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	if (!write_file(path, "deny") && errno != ENOENT)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)getegid(), (unsigned)getegid());
	if (!write_file(path, map))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
	return write_file(path, map);
}

static void enter_cgroups(const sandbox_args *args, sandbox_shared *shared, pid_t pid)
{
	char path[4200], text[32];

	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t i = 0; i < args->n_cgroups; i++) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", args->cgroups[i]);
		if (!write_file(path, text)) {
			sandbox_miss(shared, OC_SANDBOX_CGROUP, errno);
			shared->count = geteuid() == 0;
		}
	}
}

static uint32_t features_of(unsigned long flags)
{
	return ((flags & CLONE_NEWUSER) != 0 ? OC_SANDBOX_USERNS : 0u) | ((flags & CLONE_NEWNS) != 0 ? OC_SANDBOX_MOUNTNS : 0u)
	       | ((flags & CLONE_NEWPID) != 0 ? OC_SANDBOX_PIDNS : 0u) | ((flags & CLONE_NEWNET) != 0 ? OC_SANDBOX_NETNS : 0u);
}

/* Starts the process that goes in; it waits for its byte. -1 with errno. */
static pid_t start_once(sandbox_start *s, unsigned long flags, int *ret_go)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0UL);
	if (pid == 0) {
		(void)close(fds[1]);
		s->go_fd = fds[0];
		s->have = (s->have & ~0xfu) | features_of(flags);
		sandbox_child(s);
	}
	if (pid < 0) {
		int saved = errno;

		(void)close(fds[0]);
		(void)close(fds[1]);
		errno = saved;
		return -1;
	}
	(void)close(fds[0]);
	if ((flags & CLONE_NEWUSER) != 0 && !map_users(pid)) {
		int saved = errno;

		(void)close(fds[1]);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		errno = saved;
		return -1;
	}
	*ret_go = fds[1];
	return pid;
}

/* Starts with as many of the wanted namespaces as this machine gives, and records what it does not give. */
static pid_t start_most(sandbox_start *s, unsigned long *flags, int *ret_go)
{
	const unsigned long drop[] = {0, CLONE_NEWNET, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, NAMESPACES};
	unsigned long users[] = {CLONE_NEWUSER, 0};
	int first_errno = 0, last_errno = 0;

	for (size_t u = (*flags & CLONE_NEWUSER) != 0 ? 0 : 1; u < 2; u++) {
		for (size_t d = 0; d < sizeof(drop) / sizeof(drop[0]); d++) {
			unsigned long try = (*flags & NAMESPACES & ~drop[d]) | users[u];
			pid_t pid;

			if (u == 0 && (try & NAMESPACES) == 0)
				continue; /* a user namespace alone is no protection */
			pid = start_once(s, try, ret_go);
			if (pid >= 0) {
				unsigned long lost = *flags & ~try;

				for (uint32_t bit = OC_SANDBOX_USERNS; bit <= OC_SANDBOX_NETNS; bit <<= 1)
					if ((features_of(lost) & bit) != 0)
						sandbox_miss(s->shared, bit, bit == OC_SANDBOX_USERNS ? first_errno : last_errno);
				*flags = try;
				return pid;
			}
			last_errno = errno;
			if (first_errno == 0)
				first_errno = last_errno;
		}
	}
	errno = last_errno;
	return -1;
}

/* ---- Ending ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	(void)remove(path);
	return 0;
}

static pid_t parent_of(const char *pid)
{
	char path[64], text[512];
	const char *p;
	int fd, n;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? (int)read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		(void)close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	p = strrchr(text, ')'); /* "pid (name) state ppid" */
	return p != NULL && strlen(p) > 4 ? (pid_t)strtol(p + 4, NULL, 10) : -1;
}

/* Without a pid namespace: orphans become our children (subreaper); kill children until there are none. */
static void end_children(void)
{
	for (int round = 0; round < 1000; round++) {
		DIR *proc;
		struct dirent *entry;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return;
		proc = opendir("/proc");
		while (proc != NULL && (entry = readdir(proc)) != NULL)
			if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && parent_of(entry->d_name) == getpid())
				(void)kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
		if (proc != NULL)
			(void)closedir(proc);
		(void)poll(NULL, 0, 1);
	}
}

/* Hands a signal on to everything inside. */
static void hand_on(const sandbox_start *s, pid_t pid, int sig)
{
	bool own_pids = (s->have & OC_SANDBOX_PIDNS) != 0;

	if (own_pids && sig == SIGKILL) {
		(void)kill(pid, SIGKILL);
	} else if (own_pids) {
		(void)sigqueue(pid, SANDBOX_SIGNAL, (union sigval){.sival_int = sig});
	} else {
		if (kill(-pid, sig) != 0) /* not yet a group of its own */
			(void)kill(pid, sig);
		if (sig == SIGKILL)
			end_children();
	}
}

static void block_signals(sigset_t *set)
{
	static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH, SIGALRM};

	(void)sigemptyset(set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		(void)sigaddset(set, wanted[i]);
	(void)sigaddset(set, SANDBOX_SIGNAL);
	(void)sigprocmask(SIG_BLOCK, set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Waits until the process is over; returns its wait status. */
static int supervise(const sandbox_start *s, pid_t pid, const sigset_t *set)
{
	int status;

	for (;;) {
		siginfo_t info;
		int sig = sigwaitinfo(set, &info);
		pid_t got;

		if (sig == SANDBOX_SIGNAL)
			hand_on(s, pid, info.si_value.sival_int > 0 && info.si_value.sival_int < 64 ? info.si_value.sival_int
												    : SIGKILL);
		else if (sig > 0 && sig != SIGCHLD)
			hand_on(s, pid, sig);
		/* hand_on() may have reaped it: then its signal is known. */
		while ((got = waitpid(-1, &status, WNOHANG)) > 0)
			if (got == pid)
				return status;
		if (got < 0 && errno == ECHILD)
			return SIGKILL;
	}
}

static void finish(const sandbox_start *s, int status) __attribute__((noreturn));
static void finish(const sandbox_start *s, int status)
{
	char text[64];

	if (s->shared->has_status)
		status = s->shared->status;
	if ((s->have & OC_SANDBOX_PIDNS) == 0)
		end_children();
	if (s->tmp != NULL)
		(void)nftw(s->tmp, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (s->shared->over_processes) {
		say_line(s->args, 'X', "more processes than allowed");
		status = SIGKILL;
	}
	if (s->args->status_fd >= 0) {
		(void)snprintf(text, sizeof(text), "%d %d", WIFEXITED(status) ? WEXITSTATUS(status) : 0,
			       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		say_line(s->args, 'R', text);
	}
	if (WIFSIGNALED(status)) {
		/* End as the command did, without a core file. */
		const struct rlimit none = {0, 0};
		sigset_t one;

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(WTERMSIG(status), SIG_DFL);
		(void)sigemptyset(&one);
		(void)sigaddset(&one, WTERMSIG(status));
		(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
		(void)raise(WTERMSIG(status));
		_exit(128 + WTERMSIG(status));
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}

/* ---- Main ---- */

static uint32_t usable(const sandbox_args *args, sandbox_shared *shared)
{
	uint32_t action = 0x00050000u /* SECCOMP_RET_ERRNO */, have = 0;

	shared->landlock_abi = (args->without & OC_SANDBOX_LANDLOCK) == 0 ? sandbox_landlock_abi() : 0;
	if (shared->landlock_abi > 0)
		have |= OC_SANDBOX_LANDLOCK;
	else
		sandbox_miss(shared, OC_SANDBOX_LANDLOCK, errno == ENOSYS || errno == EOPNOTSUPP ? errno : 0);
	if ((args->without & OC_SANDBOX_SECCOMP) == 0 && syscall(SYS_seccomp, SECCOMP_ACTION_AVAIL, 0, &action) == 0)
		have |= OC_SANDBOX_SECCOMP;
	else
		sandbox_miss(shared, OC_SANDBOX_SECCOMP, (args->without & OC_SANDBOX_SECCOMP) == 0 ? errno : 0);
	if (args->n_cgroups > 0)
		have |= OC_SANDBOX_CGROUP;
	return have;
}

static unsigned long wanted_flags(const sandbox_args *args, sandbox_shared *shared)
{
	unsigned long flags = CLONE_NEWUSER | NAMESPACES;

	if (args->level == OC_SANDBOX_OFF)
		return 0;
	if (args->network)
		flags &= ~(unsigned long)CLONE_NEWNET;
	if ((args->without & OC_SANDBOX_USERNS) != 0) {
		flags &= ~(unsigned long)CLONE_NEWUSER;
		sandbox_miss(shared, OC_SANDBOX_USERNS, 0);
	}
	if ((args->without & OC_SANDBOX_MOUNTNS) != 0) {
		flags &= ~(unsigned long)CLONE_NEWNS;
		sandbox_miss(shared, OC_SANDBOX_MOUNTNS, 0);
	}
	if ((args->without & OC_SANDBOX_PIDNS) != 0)
		flags &= ~(unsigned long)CLONE_NEWPID;
	if ((args->without & OC_SANDBOX_NETNS) != 0)
		flags &= ~(unsigned long)CLONE_NEWNET;
	return flags;
}

/* Without a root folder of its own: a folder of ours below a public one. */
static const char *make_tmp(void)
{
	static char paths[][32] = {"/tmp/openclaw-XXXXXX", "/var/tmp/openclaw-XXXXXX", "/dev/shm/openclaw-XXXXXX"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (mkdtemp(paths[i]) != NULL)
			return paths[i];
	return NULL;
}

static const char *home_of(const sandbox_args *args)
{
	for (size_t i = 0; i < args->n_env; i++)
		if (strncmp(args->env[i], "HOME=", 5) == 0)
			return args->env[i] + 5;
	return NULL;
}

/* The plan, and what goes with having or not having a root folder of one's own. */
static void prepare(sandbox_start *s, sandbox_args *args, unsigned long *flags)
{
	oc_err err = {0};
	bool own_root = (*flags & CLONE_NEWNS) != 0;

	if (args->level == OC_SANDBOX_OFF)
		return;
	if (!own_root) {
		/* A process namespace without a new /proc breaks /proc/self; Landlock can do without it. */
		if (s->shared->landlock_abi >= 6)
			*flags &= ~(unsigned long)CLONE_NEWPID;
		/* Landlock cannot hide a part of what it shows: show only what strict does. */
		if (args->level == OC_SANDBOX_RELAXED && args->n_hide > 0)
			args->level = OC_SANDBOX_STRICT, args->downgrade = true;
		s->tmp = make_tmp();
	}
	if (!sandbox_plan_make(args, own_root ? home_of(args) : NULL, s->plan, &err))
		sandbox_die(args, &err);
}

static void close_others(const sandbox_args *args)
{
	int low = args->status_fd, high = args->keep_fd;

	if (low > high) {
		low = args->keep_fd;
		high = args->status_fd;
	}
	low = low > 2 ? low : 2;
	high = high > low ? high : low;
	if (low > 3)
		(void)syscall(SYS_close_range, 3u, (unsigned)low - 1, 0u);
	if (high > low + 1)
		(void)syscall(SYS_close_range, (unsigned)low + 1, (unsigned)high - 1, 0u);
	(void)syscall(SYS_close_range, (unsigned)high + 1, ~0u, 0u);
}

static int help(void)
{
	(void)puts("Usage: openclaw-sandbox [option]... -- command [argument]...\n"
		   "Runs a command in the OpenClaw sandbox.\n\n"
		   "  --level strict|relaxed|off   how much it may see and do (strict)\n"
		   "  --network                    the host's network instead of none\n"
		   "  --downgrade                  strict goes on without what the kernel lacks\n"
		   "  --read PATH, --write PATH, --hide PATH\n"
		   "  --cwd PATH, --env NAME=VALUE (the environment is empty otherwise)\n"
		   "  --memory BYTES, --cpu SECONDS, --processes N, --file-size BYTES, --open-files N, --tmp-size BYTES,\n"
		   "  --nice N\n"
		   "  --cgroup FOLDER, --status-fd N, --keep-fd N, --args-fd N (first: options NUL-separated in that file)\n"
		   "  --probe                      print what this machine can enforce");
	return 0;
}

static void settle(const sandbox_args *args)
{
	/* The gateway's end must end us, also when it came before this line. */
	(void)prctl(PR_SET_PDEATHSIG, SANDBOX_SIGNAL, 0, 0, 0);
	if (args->status_fd >= 0) {
		struct pollfd p = {.fd = args->status_fd};

		(void)fcntl(args->status_fd, F_SETFD, FD_CLOEXEC);
		if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL)) != 0)
			_exit(126);
	}
	(void)setsid();
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (geteuid() == 0)
		(void)setgroups(0, NULL);
}

int oc_sandbox_main(int argc, char **argv)
{
	static sandbox_plan plan;
	sandbox_args args = {.status_fd = -1, .keep_fd = -1};
	sandbox_start start = {.args = &args, .plan = &plan};
	unsigned long flags;
	oc_err err = {0};
	sigset_t set;
	pid_t pid;
	int go = -1, status;

	if (argc < 2 || strcmp(argv[1], "--help") == 0)
		return help();
	if (!sandbox_args_parse(argv + 1, &args, &err))
		sandbox_die(&args, &err);
	block_signals(&set);
	close_others(&args);
	if (args.status_fd < 0)
		error_fd = fcntl(2, F_DUPFD_CLOEXEC, 10);
	settle(&args);
	start.shared = mmap(NULL, sizeof(*start.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (start.shared == MAP_FAILED)
		die_errno(&args, errno, "get memory");
	start.have = usable(&args, start.shared);
	start.shared->count = geteuid() == 0 && args.n_cgroups == 0 && args.level != OC_SANDBOX_OFF;
	start.shared->niceness = getpriority(PRIO_PROCESS, 0);
	flags = wanted_flags(&args, start.shared);
	for (int attempt = 0;; attempt++) {
		prepare(&start, &args, &flags);
		pid = start_most(&start, &flags, &go);
		if (pid < 0)
			die_errno(&args, errno, "start a process");
		start.have = (start.have & ~0xfu) | features_of(flags);
		if ((flags & CLONE_NEWNS) == 0 && start.tmp == NULL && args.level != OC_SANDBOX_OFF && attempt == 0) {
			/* Planned with a root folder of its own, got none. */
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
			(void)close(go);
			continue;
		}
		enter_cgroups(&args, start.shared, pid);
		if (start.shared->count) /* a fork bomb must not starve the one who stops it */
			(void)setpriority(PRIO_PROCESS, (id_t)pid, -20);
		(void)!write(go, "", 1);
		(void)close(go);
		status = supervise(&start, pid, &set);
		if (!start.shared->retry || attempt > 1)
			break;
		start.shared->retry = 0;
		flags &= ~(unsigned long)CLONE_NEWNS;
	}
	/* With a process namespace it is its init that ended just now; what the last step came to is noted. */
	if (args.probe && (start.shared->has_status ? start.shared->status : status) == 0)
		(void)puts("strict=1");
	if (args.probe) {
		(void)fflush(stdout);
		start.shared->has_status = 0;
		status = 0;
	}
	finish(&start, status);
}
