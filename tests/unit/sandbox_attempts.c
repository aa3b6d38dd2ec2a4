/* See sandbox_attempts.h. */
#include "tests/unit/sandbox_attempts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int result(long rc)
{
	return rc >= 0 ? 0 : errno != 0 ? errno : 255;
}

static int try_connect(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atol(port)),
				 .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

/* A path, or a name in the abstract name space after '@'. */
static int try_unix(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t n = strlen(name);

	memcpy(to.sun_path, name, n);
	if (name[0] == '@')
		to.sun_path[0] = 0;
	return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)));
}

/* A server and a client in here: the sandbox's own loopback device. */
static int try_talk_to_self(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(to);
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	if (a < 0 || b < 0 || bind(a, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(a, 1) != 0
	    || getsockname(a, (struct sockaddr *)&to, &n) != 0)
		return errno;
	return result(connect(b, (struct sockaddr *)&to, sizeof(to)));
}

/* As many processes as there may be, all at once; prints how many. */
static int try_forks(const char *limit)
{
	int n = 0, max = (int)atol(limit);

	for (; n < max; n++) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			(void)pause();
			_exit(0);
		}
	}
	(void)printf("%d\n", n);
	if (n < max)
		return errno;
	(void)fflush(stdout);
	(void)sleep(max > 100 ? 30 : 0); /* whoever counts gets his time */
	return 0;
}

static int try_memory(const char *megabytes, int kind)
{
	size_t n = (size_t)atol(megabytes) << 20;
	volatile char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	for (size_t i = 0; i < n; i += 4096)
		p[i] = 1;
	return 0;
}

static int try_write_big(const char *path, const char *megabytes)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	long n = atol(megabytes);
	char *block = calloc(1, 1 << 20);

	(void)signal(SIGXFSZ, SIG_IGN);
	if (fd < 0 || block == NULL)
		return errno;
	for (long i = 0; i < n; i++)
		if (write(fd, block, 1 << 20) != 1 << 20)
			return errno != 0 ? errno : 255;
	return 0;
}

static int other_processes(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	while (proc != NULL && (entry = readdir(proc)) != NULL)
		n += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
	return n;
}

static int capabilities(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[200];
	int bad = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0 || strncmp(line, "CapInh:", 7) == 0)
			bad += strspn(line + 7, "\t0\n") != strlen(line + 7);
	return f == NULL ? 255 : bad;
}

int attempt(const char *what, const char *a, const char *b)
{
	char stack[64] = "";
	uint64_t attr[16] = {0};
	int fd;

	errno = 0;
	if (strcmp(what, "read") == 0) {
		fd = open(a, O_RDONLY);
		return fd < 0 ? errno : read(fd, stack, 1) == 1 ? 0 : errno != 0 ? errno : ENODATA;
	}
	if (strcmp(what, "write") == 0) {
		fd = open(a, O_CREAT | O_WRONLY, 0600);
		return fd < 0 ? errno : result(write(fd, "x", 1));
	}
	if (strcmp(what, "truncate") == 0)
		return result(truncate(a, 0));
	if (strcmp(what, "unlink") == 0)
		return result(unlink(a));
	if (strcmp(what, "mkfifo") == 0)
		return result(mkfifo(a, 0600));
	if (strcmp(what, "device") == 0)
		return result(mknod(a, S_IFBLK | 0600, 8 << 8));
	if (strcmp(what, "link-out") == 0) /* a link made inside that leads out */
		return symlink(b, a) != 0 ? errno : attempt("read", a, NULL);
	if (strcmp(what, "rename") == 0)
		return result(rename(a, b));
	if (strcmp(what, "hardlink") == 0)
		return result(link(a, b));
	if (strcmp(what, "dotdot") == 0)
		return chdir("..") != 0 ? errno : attempt("read", a, NULL);
	if (strcmp(what, "connect") == 0)
		return try_connect(a);
	if (strcmp(what, "unix") == 0)
		return try_unix(a);
	if (strcmp(what, "self") == 0)
		return try_talk_to_self();
	if (strcmp(what, "socket") == 0)
		return result(socket((int)atol(a), (int)atol(b), 0));
	if (strcmp(what, "netlink") == 0)
		return result(socket(AF_NETLINK, SOCK_RAW, (int)atol(a)));
	if (strcmp(what, "ptrace") == 0)
		return result(ptrace(PTRACE_ATTACH, (pid_t)atol(a), NULL, NULL));
	if (strcmp(what, "traceme") == 0)
		return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	if (strcmp(what, "kill") == 0)
		return result(kill((pid_t)atol(a), SIGKILL));
	if (strcmp(what, "mount") == 0)
		return result(mount("none", "/tmp", "tmpfs", 0, NULL));
	if (strcmp(what, "umount") == 0)
		return result(umount2("/proc", MNT_DETACH));
	if (strcmp(what, "newuser") == 0)
		return result(unshare(CLONE_NEWUSER));
	if (strcmp(what, "clone-newuser") == 0) {
		long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);

		if (pid == 0)
			_exit(0);
		return result(pid);
	}
	if (strcmp(what, "chroot") == 0)
		return result(chroot("."));
	if (strcmp(what, "pivot") == 0)
		return result(syscall(SYS_pivot_root, ".", "."));
	if (strcmp(what, "bpf") == 0)
		return result(syscall(SYS_bpf, 0, attr, sizeof(attr)));
	if (strcmp(what, "keyctl") == 0)
		return result(syscall(SYS_add_key, "user", "x", "y", 1, -3));
	if (strcmp(what, "userfaultfd") == 0)
		return result(syscall(SYS_userfaultfd, 1));
	if (strcmp(what, "io_uring") == 0)
		return result(syscall(425 /* io_uring_setup */, 8, attr));
	if (strcmp(what, "unknown-call") == 0)
		return result(syscall(1000));
	if (strcmp(what, "tiocsti") == 0)
		return result(syscall(SYS_ioctl, 0, 0x100005412UL, "x")); /* with a bit that the kernel ignores */
	if (strcmp(what, "setuid") == 0)
		return result(setuid((uid_t)atol(a)));
	if (strcmp(what, "forks") == 0)
		return try_forks(a);
	if (strcmp(what, "memory") == 0)
		return try_memory(a, MAP_PRIVATE);
	if (strcmp(what, "shared-memory") == 0)
		return try_memory(a, MAP_SHARED);
	if (strcmp(what, "big-file") == 0)
		return try_write_big(a, b);
	if (strcmp(what, "processes") == 0)
		return other_processes();
	if (strcmp(what, "caps") == 0)
		return capabilities();
	if (strcmp(what, "no-new-privs") == 0)
		return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
	if (strcmp(what, "fds") == 0) /* nothing but 0, 1, 2 is open */
		return fcntl(3, F_GETFD) < 0 && fcntl(4, F_GETFD) < 0 && fcntl(5, F_GETFD) < 0 && fcntl(17, F_GETFD) < 0 ? 0 : 1;
	if (strcmp(what, "session") == 0)
		return getsid(0) == getpid() || getsid(0) != 0 ? 0 : 1;
	if (strcmp(what, "spin") == 0)
		for (volatile unsigned long i = 0;; i++)
			;
	return 254;
}
