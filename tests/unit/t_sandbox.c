/*
 * core/security/sandbox: the escapes are really tried.  This program runs itself in the sandbox ("--try WHAT …"), and each
 * attempt reports with its exit status: 0 it worked, otherwise the errno.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/security/process.h"
#include "tests/unit/sandbox_attempts.h"

typedef struct box {
	oc_loop *loop;
	oc_owner *owner;
	oc_procs *procs;
	char base[200], work[256], secret[256], self[512], self_dir[512];
	oc_procs_options rules;
	/* of the last run */
	bool done;
	oc_status status;
	int code, signal;
	char message[900], out[4096];
	size_t n_out;
} box;

static void on_output(void *arg, uint32_t stream, oc_str data)
{
	box *b = arg;
	size_t n = data.n < sizeof(b->out) - 1 - b->n_out ? data.n : sizeof(b->out) - 1 - b->n_out;

	(void)stream;
	memcpy(b->out + b->n_out, data.p, n);
	b->n_out += n;
	b->out[b->n_out] = 0;
}

static void on_exit_(void *arg, oc_status status, int code, int sig, oc_str message)
{
	box *b = arg;

	b->done = true;
	b->status = status;
	b->code = code;
	b->signal = sig;
	(void)snprintf(b->message, sizeof(b->message), "%.*s", OC_STR_ARG(message));
	oc_loop_stop(b->loop);
}

static void run_profile(box *b, const oc_sandbox_profile *profile)
{
	oc_proc_options o = {.flags = OC_PROC_MERGE, .profile = *profile, .timeout_ms = 30000,
			     .on_output = on_output, .on_exit = on_exit_, .arg = b};
	oc_proc *proc = NULL;
	oc_err err = {0};

	b->done = false;
	b->n_out = 0;
	b->out[0] = 0;
	b->status = oc_proc_spawn(b->procs, b->owner, &o, &proc, &err);
	if (b->status != OC_OK) {
		(void)snprintf(b->message, sizeof(b->message), "%s", err.text);
		b->code = -1;
		return;
	}
	while (!b->done)
		oc_loop_run(b->loop);
}

/* Runs an attempt with the workspace writable; returns its result. */
static int run(box *b, const char *what, const char *a1, const char *a2)
{
	const char *argv[] = {b->self, "--try", what, a1 != NULL ? a1 : "", a2 != NULL ? a2 : "", NULL};
	const char *read[] = {b->self_dir, NULL}, *write[] = {b->work, NULL};
	oc_sandbox_profile p = {.cwd = b->work, .argv = argv, .read = read, .write = write};

	run_profile(b, &p);
	if (b->status != OC_OK && b->status != OC_E_LIMIT)
		print_message("%s: %s\n", what, b->message);
	return b->signal != 0 ? 1000 + b->signal : b->code;
}

static void configure(box *b)
{
	oc_err err = {0};

	assert_int_equal(oc_procs_configure(b->procs, &b->rules, &err), OC_OK);
}

static const char *join(const box *b, const char *name)
{
	static char path[600];

	(void)snprintf(path, sizeof(path), "%s/%s", b->base, name);
	return path;
}

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static int setup(void **state)
{
	box *b = calloc(1, sizeof(*b));
	const char *tmp = getenv("TMPDIR");
	oc_err err = {0};
	ssize_t n;

	(void)snprintf(b->base, sizeof(b->base), "%s/sandbox-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->base));
	(void)snprintf(b->work, sizeof(b->work), "%s/work", b->base);
	(void)snprintf(b->secret, sizeof(b->secret), "%s/secret", b->base);
	assert_int_equal(mkdir(b->work, 0700), 0);
	assert_int_equal(mkdir(join(b, "state"), 0700), 0);
	make_file(b->secret, "secret");
	n = readlink("/proc/self/exe", b->self, sizeof(b->self) - 1);
	assert_true(n > 0);
	b->self[n] = 0;
	(void)snprintf(b->self_dir, sizeof(b->self_dir), "%s", b->self);
	*strrchr(b->self_dir, '/') = 0;
	assert_int_equal(oc_loop_new(&b->loop, &err), OC_OK);
	b->owner = oc_owner_new(b->loop, "test");
	b->rules = (oc_procs_options){.level = OC_SANDBOX_STRICT, .state_dir = strdup(join(b, "state"))};
	assert_int_equal(oc_procs_new(b->loop, &b->rules, &b->procs, &err), OC_OK);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	box *b = *state;
	char command[300];
	int rc;

	oc_procs_free(b->procs);
	oc_owner_free(b->owner);
	oc_loop_free(b->loop);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", b->base);
	rc = system(command);
	free((void *)(uintptr_t)b->rules.state_dir);
	free(b);
	return rc;
}

static bool root(void)
{
	return geteuid() == 0;
}

/* ---- What must not work, whatever enforces it ---- */

static void secret_is_safe(const box *b)
{
	char text[16] = "";
	int fd = open(b->secret, O_RDONLY);

	assert_int_equal(read(fd, text, sizeof(text) - 1), 6);
	assert_string_equal(text, "secret");
	(void)close(fd);
}

static void files_are_contained(box *b)
{
	char inside[300], path[600], host_tmp[] = "/tmp/oct-sandbox-XXXXXX";
	struct stat st;
	int fd = mkstemp(host_tmp);

	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(inside, sizeof(inside), "%s/new", b->work);
	assert_int_equal(run(b, "write", inside, NULL), 0);
	assert_int_equal(run(b, "read", inside, NULL), 0);
	assert_int_equal(stat(inside, &st), 0); /* it is the real folder */
	assert_int_not_equal(run(b, "read", b->secret, NULL), 0);
	/* (Writing may seem to work: where /tmp is private, it makes a file of that name there.) */
	(void)run(b, "write", b->secret, NULL);
	secret_is_safe(b);
	assert_int_not_equal(run(b, "truncate", b->secret, NULL), 0);
	assert_int_not_equal(run(b, "unlink", b->secret, NULL), 0);
	secret_is_safe(b);
	(void)snprintf(path, sizeof(path), "%s/made-outside", b->base);
	(void)run(b, "write", path, NULL);
	assert_int_not_equal(stat(path, &st), 0);
	(void)snprintf(path, sizeof(path), "%s/link", b->work);
	assert_int_not_equal(run(b, "link-out", path, b->secret), 0);
	(void)snprintf(path, sizeof(path), "%s/link2", b->work);
	assert_int_not_equal(run(b, "link-out", path, "../secret"), 0);
	assert_int_not_equal(run(b, "dotdot", "secret", NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/hard", b->work);
	assert_int_not_equal(run(b, "hardlink", b->secret, path), 0);
	assert_int_not_equal(run(b, "rename", inside, b->secret), 0);
	secret_is_safe(b);
	assert_int_not_equal(run(b, "read", "/etc/shadow", NULL), 0);
	assert_int_not_equal(run(b, "write", "/etc/openclaw-test", NULL), 0);
	assert_int_not_equal(run(b, "write", "/usr/openclaw-test", NULL), 0);
	assert_int_not_equal(run(b, "read", host_tmp, NULL), 0);
	(void)run(b, "write", host_tmp, NULL); /* goes into a file of that name in a /tmp of its own */
	assert_int_equal(stat(host_tmp, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_not_equal(run(b, "write", "/proc/sys/kernel/domainname", NULL), 0);
	assert_int_not_equal(run(b, "write", "/proc/sysrq-trigger", NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/device", b->work);
	assert_int_not_equal(run(b, "device", path, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/fifo", b->work);
	assert_int_equal(run(b, "mkfifo", path, NULL), 0);
	assert_int_equal(run(b, "read", "/etc/passwd", NULL), 0);
	assert_int_equal(run(b, "write", "/dev/null", NULL), 0);
	(void)unlink(host_tmp);
}

static int listen_on_loopback(char *ret_port, size_t size)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	(void)snprintf(ret_port, size, "%u", ntohs(at.sin_port));
	return fd;
}

static int listen_unix(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(name);

	memcpy(at.sun_path, name, n);
	if (name[0] == '@')
		at.sun_path[0] = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void network_is_out_of_reach(box *b)
{
	char port[16], path[300], abstract[64];
	int tcp = listen_on_loopback(port, sizeof(port)), by_path, by_name;

	(void)snprintf(path, sizeof(path), "%s/s", b->base);
	(void)snprintf(abstract, sizeof(abstract), "@oct-sandbox-%d", (int)getpid());
	by_path = listen_unix(path);
	by_name = listen_unix(abstract);
	assert_int_not_equal(run(b, "connect", port, NULL), 0);
	assert_int_not_equal(run(b, "unix", path, NULL), 0);
	assert_int_not_equal(run(b, "unix", abstract, NULL), 0);
	assert_int_not_equal(run(b, "socket", "17" /* AF_PACKET */, "3"), 0);
	assert_int_not_equal(run(b, "socket", "38" /* AF_ALG */, "5"), 0);
	assert_int_not_equal(run(b, "socket", "40" /* AF_VSOCK */, "1"), 0);
	assert_int_not_equal(run(b, "netlink", "9" /* audit */, NULL), 0);
	(void)close(tcp);
	(void)close(by_path);
	(void)close(by_name);
	(void)unlink(path);
}

static void other_processes_are_out_of_reach(box *b)
{
	char pid[16];
	pid_t victim = fork();
	int status = 0;

	if (victim == 0) {
		for (;;)
			(void)pause();
	}
	(void)snprintf(pid, sizeof(pid), "%d", (int)victim);
	assert_int_not_equal(run(b, "kill", pid, NULL), 0);
	assert_int_not_equal(run(b, "ptrace", pid, NULL), 0);
	assert_int_equal(waitpid(victim, &status, WNOHANG), 0); /* lives */
	(void)kill(victim, SIGKILL);
	(void)waitpid(victim, &status, 0);
}

static void kernel_is_out_of_reach(box *b)
{
	static const char *const calls[] = {"mount", "umount", "newuser", "clone-newuser", "chroot", "pivot", "bpf", "keyctl",
					    "userfaultfd", "io_uring", "traceme"};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int rc = run(b, calls[i], NULL, NULL);

		if (rc != EPERM)
			print_message("%s: %d\n", calls[i], rc);
		assert_int_equal(rc, EPERM);
	}
	assert_int_equal(run(b, "tiocsti", NULL, NULL), EPERM);
	assert_int_equal(run(b, "caps", NULL, NULL), 0);
	assert_int_equal(run(b, "no-new-privs", NULL, NULL), 0);
	assert_int_equal(run(b, "fds", NULL, NULL), 0);
	assert_int_not_equal(run(b, "setuid", "1234", NULL), 0);
}

static void all_attempts(box *b)
{
	files_are_contained(b);
	network_is_out_of_reach(b);
	other_processes_are_out_of_reach(b);
	kernel_is_out_of_reach(b);
}

/* ---- The tests ---- */

static void test_strict(void **state)
{
	box *b = *state;

	all_attempts(b);
	assert_int_equal(run(b, "unknown-call", NULL, NULL), ENOSYS);
	assert_in_range(run(b, "processes", NULL, NULL), 1, 3);
	assert_int_equal(run(b, "self", NULL, NULL), 0);
	assert_int_equal(run(b, "session", NULL, NULL), 0);
}

/* Each layer on its own keeps its promise. */
static void test_without_landlock(void **state)
{
	box *b = *state;

	b->rules.without = OC_SANDBOX_LANDLOCK;
	configure(b);
	all_attempts(b);
}

static void test_without_user_namespaces(void **state)
{
	box *b = *state;

	b->rules.without = OC_SANDBOX_USERNS;
	configure(b);
	/* Root makes the other namespaces without; a plain user has Landlock left, if it is new enough. */
	if (run(b, "caps", NULL, NULL) == 126) {
		assert_false(root());
		assert_true(strstr(b->message, "strict sandbox is not possible") != NULL);
		skip();
	}
	all_attempts(b);
}

static void test_landlock_alone(void **state)
{
	box *b = *state;
	oc_sandbox_report report;

	assert_int_equal(oc_sandbox_probe(&report, NULL), OC_OK);
	if (report.landlock_abi < 6)
		skip();
	b->rules.without = OC_SANDBOX_USERNS | OC_SANDBOX_MOUNTNS | OC_SANDBOX_PIDNS | OC_SANDBOX_NETNS;
	configure(b);
	all_attempts(b);
	assert_int_equal(run(b, "socket", "1", "1"), EAFNOSUPPORT); /* no Unix sockets: they have no namespace */
	assert_int_equal(run(b, "socket", "2", "1"), EAFNOSUPPORT);
}

/* Landlock alone gives a folder as a whole: what is hidden in it must stay hidden all the same. */
static void test_hidden_by_landlock_alone(void **state)
{
	box *b = *state;
	oc_sandbox_report report;
	char key[600];
	const char *argv[] = {"cat", key, NULL}, *read[] = {NULL, NULL}, *write[] = {NULL, NULL};
	oc_sandbox_profile p = {.cwd = b->work, .argv = argv, .read = read, .write = write};

	assert_int_equal(oc_sandbox_probe(&report, NULL), OC_OK);
	if (report.landlock_abi < 6)
		skip();
	b->rules.without = OC_SANDBOX_USERNS | OC_SANDBOX_MOUNTNS | OC_SANDBOX_PIDNS | OC_SANDBOX_NETNS;
	configure(b);
	(void)snprintf(key, sizeof(key), "%s/state/key", b->base);
	make_file(key, "the key");
	/* To be read: everything beside it. */
	read[0] = b->base;
	write[0] = b->work;
	run_profile(b, &p);
	assert_int_equal(b->status, OC_OK);
	assert_int_not_equal(b->code, 0);
	assert_null(strstr(b->out, "the key"));
	argv[1] = b->secret;
	run_profile(b, &p);
	assert_string_equal(b->out, "secret");
	/* To be written: it refuses and says why. */
	argv[1] = key;
	write[0] = b->base;
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_UNSUPPORTED);
	assert_non_null(strstr(b->message, "/state in it cannot be hidden"));
	assert_null(strstr(b->out, "the key"));
}

static void test_relaxed(void **state)
{
	box *b = *state;
	char path[600];

	b->rules.level = OC_SANDBOX_RELAXED;
	configure(b);
	(void)snprintf(path, sizeof(path), "%s/state/key", b->base);
	make_file(path, "key");
	assert_int_equal(run(b, "read", "/var/lib/dpkg/status", NULL), 0); /* the file system is visible … */
	assert_int_not_equal(run(b, "read", "/etc/shadow", NULL), 0);
	(void)run(b, "write", b->secret, NULL);
	secret_is_safe(b);
	assert_int_not_equal(run(b, "write", "/usr/openclaw-test", NULL), 0);
	assert_int_not_equal(run(b, "read", path, NULL), 0); /* … but for our own state */
	(void)snprintf(path, sizeof(path), "%s/new", b->work);
	assert_int_equal(run(b, "write", path, NULL), 0);
	network_is_out_of_reach(b);
	other_processes_are_out_of_reach(b);
	kernel_is_out_of_reach(b);
}

static void test_relaxed_without_namespaces(void **state)
{
	box *b = *state;
	char path[600];

	b->rules.level = OC_SANDBOX_RELAXED;
	b->rules.without = OC_SANDBOX_USERNS | OC_SANDBOX_MOUNTNS | OC_SANDBOX_PIDNS | OC_SANDBOX_NETNS;
	configure(b);
	(void)snprintf(path, sizeof(path), "%s/state/key", b->base);
	make_file(path, "key");
	assert_int_not_equal(run(b, "read", path, NULL), 0); /* the state stays hidden, at the price of the rest */
	assert_int_not_equal(run(b, "write", b->secret, NULL), 0);
	secret_is_safe(b);
	kernel_is_out_of_reach(b);
}

static void test_strict_refuses(void **state)
{
	box *b = *state;

	b->rules.without = OC_SANDBOX_SECCOMP;
	configure(b);
	assert_int_equal(run(b, "caps", NULL, NULL), 126);
	assert_int_equal(b->status, OC_E_UNSUPPORTED);
	assert_non_null(strstr(b->message, "seccomp"));
	assert_non_null(strstr(b->message, "tools.exec.sandbox.level"));
	b->rules.without = OC_SANDBOX_MOUNTNS | OC_SANDBOX_LANDLOCK;
	configure(b);
	assert_int_equal(run(b, "caps", NULL, NULL), 126);
	assert_int_equal(b->status, OC_E_UNSUPPORTED);
	assert_non_null(strstr(b->message, "files cannot be contained"));
	b->rules.without = OC_SANDBOX_PIDNS | OC_SANDBOX_LANDLOCK;
	configure(b);
	assert_int_equal(run(b, "caps", NULL, NULL), 126);
	assert_non_null(strstr(b->message, "other processes"));
	/* The operator may say otherwise. */
	b->rules.allow_downgrade = true;
	configure(b);
	assert_int_equal(run(b, "caps", NULL, NULL), 0);
	assert_int_equal(b->status, OC_OK);
}

static char last_warning[2000];
static unsigned warnings;
static void on_log(void *arg, int level, oc_str line)
{
	(void)arg;
	if (level != OC_LOG_WARN || !oc_str_has(line, "\"sandbox\""))
		return;
	warnings++;
	(void)snprintf(last_warning, sizeof(last_warning), "%.*s", OC_STR_ARG(line));
}

static void test_downgrade_is_loud_once(void **state)
{
	box *b = *state;

	oc_log_set_sink(on_log, NULL);
	warnings = 0;
	b->rules.without = OC_SANDBOX_SECCOMP;
	b->rules.allow_downgrade = true;
	configure(b);
	assert_int_equal(run(b, "caps", NULL, NULL), 0);
	assert_int_equal(run(b, "caps", NULL, NULL), 0);
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(last_warning, "seccomp"));
	b->rules.level = OC_SANDBOX_RELAXED;
	configure(b);
	assert_int_equal(run(b, "caps", NULL, NULL), 0);
	assert_int_equal(run(b, "caps", NULL, NULL), 0);
	assert_int_equal(warnings, 2);
	oc_log_set_sink(NULL, NULL);
}

static void test_limits(void **state)
{
	box *b = *state;
	char path[300];

	b->rules.limits = (oc_sandbox_limits){.memory_bytes = 64 << 20, .processes = 20, .file_bytes = 4 << 20, .cpu_seconds = 1,
					      .tmp_bytes = 8 << 20};
	configure(b);
	assert_int_equal(run(b, "memory", "32", NULL), 0);
	assert_int_not_equal(run(b, "memory", "128", NULL), 0);
	/* A thousand processes are not made: refused, or all ended. */
	if (run(b, "forks", "1000", NULL) == EAGAIN)
		assert_in_range(atol(b->out), 5, 20);
	else
		assert_int_equal(b->status, OC_E_LIMIT);
	assert_int_equal(run(b, "forks", "5", NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/big", b->work);
	assert_int_equal(run(b, "big-file", path, "3"), 0);
	assert_int_equal(run(b, "big-file", path, "6"), EFBIG);
	assert_int_equal(run(b, "big-file", "/tmp/x", "3"), 0);
	assert_int_equal(run(b, "spin", NULL, NULL), 1000 + SIGXCPU);
}

/* What counts processes when neither the user's limit nor control groups do (root without cgroups). */
static void test_limits_without_cgroups(void **state)
{
	box *b = *state;

	b->rules.without = OC_SANDBOX_CGROUP;
	b->rules.limits = (oc_sandbox_limits){.processes = 20};
	configure(b);
	if (run(b, "forks", "1000", NULL) == EAGAIN)
		assert_in_range(atol(b->out), 5, 20);
	else
		assert_int_equal(b->status, OC_E_LIMIT);
	assert_int_equal(run(b, "forks", "5", NULL), 0);
}

/* Memory of all processes together, where control groups are there. */
static void test_memory_together(void **state)
{
	box *b = *state;

	b->rules.limits = (oc_sandbox_limits){.memory_bytes = 32 << 20};
	configure(b);
	(void)run(b, "shared-memory", "256", NULL);
	if (b->status == OC_OK && b->code == 0)
		skip(); /* no control groups here: only the memory of each process is limited */
	assert_int_equal(b->status, OC_E_LIMIT);
	assert_non_null(strstr(b->message, "memory"));
}

static void test_network_granted(void **state)
{
	box *b = *state;
	char port[16];
	int tcp = listen_on_loopback(port, sizeof(port));
	const char *argv[] = {b->self, "--try", "connect", port, NULL}, *read[] = {b->self_dir, NULL};
	oc_sandbox_profile p = {.cwd = "/", .argv = argv, .read = read, .network = true};

	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_DENIED); /* the operator has not */
	b->rules.network = true;
	configure(b);
	run_profile(b, &p);
	assert_int_equal(b->status, OC_OK);
	assert_int_equal(b->code, 0);
	argv[2] = "socket";
	argv[3] = "40";
	run_profile(b, &p);
	assert_int_equal(b->code, EAFNOSUPPORT); /* the host's network, not its hypervisor */
	(void)close(tcp);
}

static void test_paths(void **state)
{
	box *b = *state;
	char key[600];
	const char *argv[] = {"cat", key, NULL}, *read[] = {NULL, NULL}, *write[] = {NULL, NULL};
	oc_sandbox_profile p = {.cwd = "/", .argv = argv, .read = read, .write = write};

	(void)snprintf(key, sizeof(key), "%s/state/key", b->base);
	make_file(key, "the key");
	/* Our state is not to be had, neither directly nor from above. */
	read[0] = key;
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_DENIED);
	read[0] = b->base;
	run_profile(b, &p);
	assert_int_equal(b->status, OC_OK);
	assert_int_not_equal(b->code, 0);
	assert_null(strstr(b->out, "the key"));
	argv[1] = b->secret;
	run_profile(b, &p);
	assert_int_equal(b->code, 0);
	assert_string_equal(b->out, "secret");
	/* Nothing lies about what is not there. */
	read[0] = "/nonexistent-folder";
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_NOT_FOUND);
	assert_non_null(strstr(b->message, "/nonexistent-folder"));
	read[0] = "relative";
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_INVALID);
	read[0] = "/";
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_DENIED);
	read[0] = NULL;
	write[0] = "/";
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_DENIED);
	/* A folder given by a symbolic link is there under both names. */
	(void)snprintf(key, sizeof(key), "%s/alias", b->base);
	assert_int_equal(symlink(b->work, key), 0);
	make_file(join(b, "work/f"), "by link");
	write[0] = key;
	p.cwd = key;
	argv[1] = "f";
	run_profile(b, &p);
	assert_string_equal(b->out, "by link");
	p.cwd = "/nonexistent";
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_NOT_FOUND);
	assert_non_null(strstr(b->message, "/nonexistent"));
}

static void test_state_opened_up(void **state)
{
	box *b = *state;
	char workspace[600], file[700];
	const char *const open[] = {workspace, NULL}, *write[] = {workspace, NULL};
	const char *argv[] = {"sh", "-c", "cat ../key; cat note", NULL};
	oc_sandbox_profile p = {.cwd = workspace, .argv = argv, .write = write};

	(void)snprintf(workspace, sizeof(workspace), "%s/state/workspace", b->base);
	assert_int_equal(mkdir(workspace, 0700), 0);
	(void)snprintf(file, sizeof(file), "%s/note", workspace);
	make_file(file, "note");
	make_file(join(b, "state/key"), "the key");
	run_profile(b, &p);
	assert_int_equal(b->status, OC_E_DENIED);
	b->rules.open = open;
	for (int level = OC_SANDBOX_RELAXED; level <= OC_SANDBOX_STRICT; level++) {
		b->rules.level = level;
		configure(b);
		run_profile(b, &p);
		assert_int_equal(b->status, OC_OK);
		assert_non_null(strstr(b->out, "note"));
		assert_null(strstr(b->out, "the key"));
	}
	b->rules.open = NULL;
}

static void test_off(void **state)
{
	box *b = *state;

	b->rules.level = OC_SANDBOX_OFF;
	configure(b);
	assert_int_equal(run(b, "read", b->secret, NULL), 0);
	assert_int_equal(run(b, "fds", NULL, NULL), 0);
	b->rules.level = OC_SANDBOX_STRICT;
	configure(b);
	assert_int_not_equal(run(b, "read", b->secret, NULL), 0);
}

static void test_encode(void **state)
{
	const char *argv[] = {"true", NULL}, *bad_env[] = {"NOVALUE", NULL}, *bad_path[] = {"x", NULL};
	oc_sandbox_profile ok = {.level = OC_SANDBOX_STRICT, .cwd = "/", .argv = argv}, p;
	oc_err err = {0};
	oc_sbuf out;

	(void)state;
	oc_sbuf_init(&out, 1000);
	assert_int_equal(oc_sandbox_encode(&ok, &out, &err), OC_OK);
	assert_memory_equal(out.p, "--level\0strict\0--cwd\0/\0--\0true", 31);
	oc_sbuf_clear(&out);
	p = ok;
	p.level = 0;
	assert_int_equal(oc_sandbox_encode(&p, &out, &err), OC_E_INVALID);
	p = ok;
	p.cwd = NULL;
	assert_int_equal(oc_sandbox_encode(&p, &out, &err), OC_E_INVALID);
	p = ok;
	p.env = bad_env;
	assert_int_equal(oc_sandbox_encode(&p, &out, &err), OC_E_INVALID);
	p = ok;
	p.read = bad_path;
	assert_int_equal(oc_sandbox_encode(&p, &out, &err), OC_E_INVALID);
	oc_sbuf_free(&out);
	oc_sbuf_init(&out, 20);
	assert_int_equal(oc_sandbox_encode(&ok, &out, &err), OC_E_LIMIT);
	oc_sbuf_free(&out);
	assert_int_equal(oc_sandbox_level_parse("strict"), OC_SANDBOX_STRICT);
	assert_int_equal(oc_sandbox_level_parse("Strict"), 0);
	assert_int_equal(oc_sandbox_level_parse(NULL), 0);
}

static bool probe_says(const char *options, const char *line)
{
	char command[700], text[2000] = "\n";
	oc_auto_free char *helper = NULL;
	FILE *out;
	size_t n;

	assert_int_equal(oc_sandbox_helper(&helper, NULL), OC_OK);
	(void)snprintf(command, sizeof(command), "'%s' --probe %s", helper, options);
	out = popen(command, "r");
	assert_non_null(out);
	n = fread(text + 1, 1, sizeof(text) - 2, out);
	text[n + 1] = 0;
	assert_int_equal(pclose(out), 0);
	return strstr(text, line) != NULL;
}

/* What it says of machines with less. */
static void test_probe_of_less(void **state)
{
	oc_sandbox_report report = {0};

	(void)state;
	assert_int_equal(oc_sandbox_probe(&report, NULL), OC_OK);
	assert_true(probe_says("", "\nstrict=1\n"));
	if (report.landlock_abi >= 6) {
		assert_true(probe_says("--without 15", "\nstrict=1\n")); /* no namespaces: Landlock alone does */
		assert_true(probe_says("--without 15", "\nrelaxed=0\n"));
		assert_true(probe_says("--without 15", "\nnote="));
	}
	assert_true(probe_says("--without 31", "\nstrict=0\nproblem=the strict sandbox is not possible here: files"));
	assert_true(probe_says("--without 32", "\nstrict=0\nproblem=the strict sandbox is not possible here: no system call filter"));
	assert_true(probe_says("--without 32", "\nremedy=use a kernel"));
}

static void test_probe(void **state)
{
	oc_sandbox_report report = {0};
	oc_err err = {0};

	(void)state;
	assert_int_equal(oc_sandbox_probe(&report, &err), OC_OK);
	assert_int_equal(report.root, root());
	assert_true(report.strict || report.problem[0] != 0);
	assert_int_equal(setenv("OPENCLAW_SANDBOX_HELPER", "/nonexistent", 1), 0);
	assert_int_equal(oc_sandbox_probe(&report, &err), OC_E_NOT_FOUND);
	(void)unsetenv("OPENCLAW_SANDBOX_HELPER");
}

/* Root runs all of the above once more as a user without privileges. */
static void test_as_plain_user(void **state)
{
	char self[512], tmp[] = "/tmp/oct-user-XXXXXX", command[100];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status = 0, code;
	pid_t pid;

	(void)state;
	if (!root() || n <= 0)
		skip();
	self[n] = 0;
	assert_non_null(mkdtemp(tmp));
	assert_int_equal(chmod(tmp, 0777), 0);
	pid = fork();
	if (pid == 0) {
		int out = open("/dev/null", O_WRONLY);

		if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0 || access(self, X_OK) != 0)
			_exit(77);
		(void)setenv("TMPDIR", tmp, 1);
		(void)setenv("HOME", tmp, 1);
		(void)unsetenv("OPENCLAW_STATE_DIR");
		if (getenv("OC_TEST_VERBOSE") == NULL)
			(void)dup2(out, 1);
		(void)execl(self, self, "--as-user", (char *)NULL);
		_exit(78);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", tmp);
	code = system(command);
	assert_int_equal(code, 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* the build tree is closed to other users */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONE(test_strict), ONE(test_without_landlock), ONE(test_without_user_namespaces), ONE(test_landlock_alone),
		ONE(test_hidden_by_landlock_alone),
		ONE(test_relaxed), ONE(test_relaxed_without_namespaces), ONE(test_strict_refuses),
		ONE(test_downgrade_is_loud_once), ONE(test_limits), ONE(test_limits_without_cgroups), ONE(test_memory_together),
		ONE(test_network_granted), ONE(test_paths), ONE(test_state_opened_up), ONE(test_off),
		cmocka_unit_test(test_encode), cmocka_unit_test(test_probe), cmocka_unit_test(test_probe_of_less), cmocka_unit_test(test_as_plain_user),
	};
	oc_sandbox_report report;
	oc_err err = {0};

	if (argc > 4 && strcmp(argv[1], "--try") == 0)
		return attempt(argv[2], argv[3], argc > 4 ? argv[4] : "");
	if (argc > 3 && strcmp(argv[1], "--try") == 0)
		return attempt(argv[2], argv[3], "");
#ifdef OC_SANITIZED
	/* t_process goes through the same code with programs of the system. */
	(void)puts("1..0 # SKIP the attempts are made by this program, and a sanitizer takes more memory than the limit");
	return 0;
#endif
	oc_log_set_stderr(false);
	if (oc_sandbox_probe(&report, &err) != OC_OK || !report.strict) {
		(void)printf("1..0 # SKIP no strict sandbox on this machine: %s %s\n", err.text, report.problem);
		return 0;
	}
	if (getenv("OC_TEST_ONLY") != NULL)
		cmocka_set_test_filter(getenv("OC_TEST_ONLY"));
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
