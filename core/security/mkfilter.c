/*
 * Makes the system call filters while OpenClaw is built: writes them as C arrays, which sandbox_seccomp.c hands to the
 * kernel as they are.  (libseccomp takes about 3 ms to make them, too long for every command that is run.)
 *
 * usage: mkfilter [ARCHITECTURE]     another than this machine's, by libseccomp's name (aarch64, riscv64 ...)
 *
 * Both levels refuse what is known to be dangerous (EPERM), address families of sockets, new namespaces and typing into a
 * terminal.  strict has besides a list of what may be called; anything else does not exist (ENOSYS, so that the C library
 * falls back), whatever newer kernels bring.  Two filters, because one cannot both allow a call and refuse some of its
 * arguments; the kernel obeys the stricter answer, and of two errors that of the later filter.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const char *arch; /* NULL: this machine's */

/* Separated by spaces. Names the library does not know (of another processor, of a newer kernel) are passed over. */
static const char dangerous[] =
	/* other processes' memory and secrets */
	"ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd perf_event_open "
	"keyctl add_key request_key lookup_dcookie "
	/* the shape of the file system */
	"mount umount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr "
	"statmount listmount quotactl quotactl_fd swapon swapoff open_by_handle_at name_to_handle_at "
	"fanotify_init fanotify_mark nfsservctl "
	/* the machine */
	"reboot kexec_load kexec_file_load init_module finit_module delete_module create_module query_module get_kernel_syms "
	"bpf userfaultfd syslog acct settimeofday clock_settime clock_settime64 clock_adjtime clock_adjtime64 adjtimex stime "
	"sethostname setdomainname iopl ioperm vm86 vm86old modify_ldt vhangup uselib _sysctl sysfs ustat "
	"setns set_mempolicy_home_node migrate_pages move_pages "
	/* ways around this filter */
	"io_uring_setup io_uring_enter io_uring_register";

static const char allowed[] =
	/* files */
	"access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 "
	"fadvise64_64 arm_fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync "
	"fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 "
	"futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch "
	"lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 "
	"mkdir mkdirat mknod mknodat newfstatat _newselect oldfstat oldlstat oldolduname oldstat olduname open openat openat2 pread64 preadv "
	"preadv2 pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv removexattr removexattrat rename "
	"renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx symlink "
	"symlinkat sync sync_file_range sync_file_range2 syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat "
	"utimensat_time64 utimes vmsplice write writev cachestat "
	/* memory */
	"brk get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap "
	"mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages "
	"set_mempolicy "
	/* waiting and time */
	"alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 epoll_create "
	"epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 getitimer "
	"gettimeofday nanosleep pause pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select setitimer signalfd "
	"signalfd4 time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
	"timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times "
	"futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list set_robust_list restart_syscall rseq "
	/* processes and threads */
	"arch_prctl capget capset clone clone3 execve execveat exit exit_group fork getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 "
	"getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 "
	"getrlimit getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset "
	"landlock_restrict_self nice pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease rt_sigaction rt_sigpending "
	"rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
	"sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
	"sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler "
	"sched_yield seccomp set_thread_area set_tid_address get_thread_area set_tls setfsgid setfsgid32 setfsuid setfsuid32 "
	"setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
	"setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 sgetmask sigaction sigaltstack signal sigpending "
	"sigprocmask sigreturn sigsuspend ssetmask sysinfo tgkill tkill ugetrlimit uname unshare vfork wait4 waitid waitpid cacheflush "
	"breakpoint ioctl riscv_flush_icache riscv_hwprobe "
	/* sockets that exist already, and between processes of the sandbox */
	"accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg "
	"send sendmmsg sendmsg sendto setsockopt shutdown socket socketcall socketpair "
	/* System V and POSIX queues: in a namespace of their own, or harmless */
	"ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
	"msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget "
	/* asynchronous files, the old way */
	"io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit";

static int add_names(scmp_filter_ctx ctx, uint32_t action, const char *names)
{
	while (*names != 0) {
		char name[64];
		size_t n = strcspn(names, " ");
		int nr, rc;

		if (n > 0 && n < sizeof(name)) {
			memcpy(name, names, n);
			name[n] = 0;
			nr = seccomp_syscall_resolve_name(name);
			/* Negative: of other processors. They count when the filter is for another. */
			rc = nr >= 0 || (nr != __NR_SCMP_ERROR && arch != NULL) ? seccomp_rule_add(ctx, action, nr, 0) : 0;
			if (rc != 0 && rc != -EEXIST)
				return -rc;
		}
		names += n;
		names += strspn(names, " ");
	}
	return 0;
}

/* socket(): AF_UNIX, AF_INET, AF_INET6 and routing netlink as allowed; all other families are unknown (EAFNOSUPPORT). */
static int refuse_sockets(scmp_filter_ctx ctx, bool unix_ok, bool inet_ok)
{
	uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	int rc = 0;

	for (unsigned family = 0; rc == 0 && family < 64; family++) {
		bool ok = (family == AF_UNIX && unix_ok) || ((family == AF_INET || family == AF_INET6) && inet_ok);

		if (family == AF_NETLINK && inet_ok)
			rc = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, family, 0),
					      SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE, 0));
		else if (!ok)
			rc = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family, 0));
	}
	/* (The kernel looks at 32 bits, this at 64: the upper ones hide nothing.) */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GE, 64, 0));
	return -rc;
}

/* New namespaces and typing into a terminal. */
static int refuse_by_argument(scmp_filter_ctx ctx)
{
	static const unsigned kinds[] = {CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
					 CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP};
	uint32_t no = SCMP_ACT_ERRNO(EPERM);
	int rc;

	/* The flags of clone3 are in memory, out of a filter's reach: without it the C library uses clone. */
	rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; rc == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		rc = seccomp_rule_add(ctx, no, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, kinds[i], kinds[i]));
		if (rc == 0)
			rc = seccomp_rule_add(ctx, no, SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, kinds[i], kinds[i]));
	}
	if (rc == 0)
		rc = seccomp_rule_add(ctx, no, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, no, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCLINUX));
	return -rc;
}

static int allow_personalities(scmp_filter_ctx ctx)
{
	static const uint64_t harmless[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(harmless) / sizeof(harmless[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_EQ, harmless[i], 0));
	return -rc;
}

static void check(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "mkfilter: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

static scmp_filter_ctx begin(uint32_t action)
{
	scmp_filter_ctx ctx = seccomp_init(action);
	uint32_t token = arch != NULL ? seccomp_arch_resolve_name(arch) : 0;

	check(ctx == NULL ? ENOMEM : 0, "beginning a filter");
	if (arch != NULL && token != seccomp_arch_native()) {
		check(token == 0 ? EINVAL : 0, arch);
		check(seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE), "leaving this machine's architecture");
		check(seccomp_arch_add(ctx, token), arch);
	}
	check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimizing");
	return ctx;
}

/* Prints a filter as an array and frees it. */
static void end(scmp_filter_ctx ctx, const char *name)
{
	FILE *file = tmpfile();
	struct sock_filter code;
	unsigned n = 0;

	check(file == NULL ? errno : seccomp_export_bpf(ctx, fileno(file)), name);
	rewind(file);
	printf("\nstatic const struct sock_filter %s[] = {", name);
	for (; fread(&code, sizeof(code), 1, file) == 1; n++)
		printf("%s{%u, %u, %u, %u},", n % 6 == 0 ? "\n\t" : " ", code.code, code.jt, code.jf, code.k);
	check(n == 0 || n > BPF_MAXINSNS ? E2BIG : 0, name);
	printf("\n};\n");
	fclose(file);
	seccomp_release(ctx);
}

static void make_allowed(void)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ERRNO(ENOSYS));

	check(add_names(ctx, SCMP_ACT_ALLOW, allowed), "allowed calls");
	check(allow_personalities(ctx), "personalities");
	end(ctx, "filter_allowed");
}

static void make_refused(bool unix_ok, bool inet_ok)
{
	static const char *const names[] = {"filter_refused", "filter_refused_unix", "filter_refused_inet",
					    "filter_refused_unix_inet"};
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);

	check(add_names(ctx, SCMP_ACT_ERRNO(EPERM), dangerous), "dangerous calls");
	check(refuse_sockets(ctx, unix_ok, inet_ok), "sockets");
	check(refuse_by_argument(ctx), "arguments");
	end(ctx, names[(unix_ok ? 1 : 0) + (inet_ok ? 2 : 0)]);
}

int main(int argc, char **argv)
{
	arch = argc > 1 ? argv[1] : NULL;
	puts("/* Made by mkfilter.c. */\n#include \"core/security/sandbox_int.h\"");
	make_allowed();
	for (int i = 0; i < 4; i++)
		make_refused((i & 1) != 0, (i & 2) != 0);
	puts("\n#define PROGRAM(filter) {sizeof(filter) / sizeof((filter)[0]), (struct sock_filter *)(uintptr_t)(filter)}\n"
	     "const struct sock_fprog sandbox_filter_allowed = PROGRAM(filter_allowed);\n"
	     "const struct sock_fprog sandbox_filter_refused[2][2] = {\n"
	     "\t{PROGRAM(filter_refused), PROGRAM(filter_refused_inet)},\n"
	     "\t{PROGRAM(filter_refused_unix), PROGRAM(filter_refused_unix_inet)}};");
	if (fflush(stdout) != 0 || ferror(stdout))
		check(errno, "writing");
	return 0;
}
