/* Inside the namespaces: building the sandbox, being its init, running the command. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/security/sandbox_int.h"

#define COUNT_EVERY_MS 40
#define NICE_EVERY_MS 20
#define NICE_TRIES 150 /* many processes may begin at once */

void sandbox_null_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3 && fd >= 0; i++)
		if (fd != i)
			(void)dup2(fd, i);
	if (fd > 2)
		(void)close(fd);
}

static void fail_now(const sandbox_start *s, int errnum, const char *what)
{
	oc_err err = {0};

	(void)oc_fail_errno(&err, errnum, "the sandbox cannot %s", what);
	sandbox_die(s->args, &err);
}

/* A step that a level needs: strict fails without it, relaxed and downgraded say so. */
static void need(const sandbox_start *s, int errnum, const char *what)
{
	if (errnum == 0)
		return;
	if (s->args->level == OC_SANDBOX_STRICT && !s->args->downgrade)
		fail_now(s, errnum, what);
	sandbox_warn(s->args, "the sandbox cannot %s: %s", what, strerror(errnum));
}

/* ---- The command ---- */

static const char *env_value(const char **env, const char *name)
{
	size_t n = strlen(name);

	for (; env != NULL && *env != NULL; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* Sets or adds NAME=value in the environment array, which has room for a few more. */
static void env_set(const char **env, const char *name, const char *value)
{
	size_t n = strlen(name);
	char *entry = oc_asprintf("%s=%s", name, value);

	if (entry == NULL)
		return;
	for (; *env != NULL; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			break;
	if (*env == NULL)
		env[1] = NULL;
	*env = entry;
}

static int try_exec(const char *file, const sandbox_args *a, const char **env)
{
	(void)execve(file, (char *const *)(uintptr_t)a->argv, (char *const *)(uintptr_t)env);
	return errno;
}

/* execvpe() by the child's own PATH. Returns why it failed. */
static int run_by_path(const sandbox_args *a, const char **env)
{
	const char *path = env_value(env, "PATH"), *name = a->argv[0];
	int rc = ENOENT, last;

	if (strchr(name, '/') != NULL)
		return try_exec(name, a, env);
	if (path == NULL)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (; *path != 0; path += strspn(path, ":")) {
		size_t n = strcspn(path, ":");
		char file[PATH_MAX];

		if (n + strlen(name) + 2 <= sizeof(file)) {
			(void)snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, name);
			last = try_exec(file, a, env);
			if (last != ENOENT && last != ENOTDIR)
				rc = last;
		}
		path += n;
	}
	return rc;
}

static const char **make_env(const sandbox_start *s)
{
	const sandbox_args *a = s->args;
	const char **env = oc_calloc(a->n_env + 4, sizeof(*env));

	if (env == NULL)
		fail_now(s, ENOMEM, "copy the environment");
	for (size_t i = 0; i < a->n_env; i++)
		env[i] = a->env[i];
	if (s->tmp != NULL) {
		env_set(env, "TMPDIR", s->tmp);
		env_set(env, "HOME", s->tmp);
	}
	return env;
}

/* The descriptors of the command: 0, 1, 2, perhaps 3; ours close with exec. */
static void set_descriptors(const sandbox_args *a)
{
	int first = 3;

	if (a->keep_fd >= 0) {
		if (a->keep_fd != 3)
			(void)dup2(a->keep_fd, 3);
		else
			(void)fcntl(3, F_SETFD, 0);
		first = 4;
	}
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */) != 0)
		for (int fd = first; fd < 1024; fd++)
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void lock_down(const sandbox_start *s)
{
	const sandbox_args *a = s->args;
	bool own_root = (s->have & OC_SANDBOX_MOUNTNS) != 0, own_net = (s->have & OC_SANDBOX_NETNS) != 0;
	int rc = sandbox_limits(&a->limits, (s->have & OC_SANDBOX_USERNS) != 0);

	if (rc != 0)
		fail_now(s, rc, "set the resource limits");
	if (a->level == OC_SANDBOX_OFF) {
		need(s, sandbox_limit_memory(&a->limits), "limit the memory");
		return;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail_now(s, errno, "give up new privileges");
	if ((s->have & OC_SANDBOX_LANDLOCK) != 0)
		need(s, sandbox_landlock(a, s->plan, s->shared->landlock_abi, own_root, own_net, s->tmp),
		     "apply the Landlock rules");
	need(s, sandbox_drop_caps(), "drop the capabilities");
	if ((s->have & OC_SANDBOX_SECCOMP) != 0)
		need(s, sandbox_seccomp(a, own_root, own_net), "load the system call filter");
	/* Last: making the filter takes memory, and with a sanitizer in us there is more than the limit already. */
	need(s, sandbox_limit_memory(&a->limits), "limit the memory");
}

/*
 * Outside of cgroups the kernel shares the processor among sessions first, and niceness counts only inside of one.  Everybody
 * but root may say it once in a tenth of a second, all together: false, it is to be said again later.
 */
static bool nice_session(int autogroup_fd, int nice)
{
	char text[8];
	int n = snprintf(text, sizeof text, "%d", nice);

	return write(autogroup_fd, text, (size_t)n) >= 0 || errno != EAGAIN;
}

static void run_command(const sandbox_start *s) __attribute__((noreturn));
static void run_command(const sandbox_start *s)
{
	const sandbox_args *a = s->args;
	const char **env = make_env(s);
	oc_err err = {0};
	sigset_t none;
	int rc;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)setsid();
	if (s->shared->count || a->nice > 0)
		(void)setpriority(PRIO_PROCESS, 0, s->shared->niceness + a->nice);
	if (chdir(a->cwd) != 0) {
		(void)oc_fail_errno(&err, errno, "the working folder %s is not there, or out of the sandbox's sight", a->cwd);
		sandbox_die(a, &err);
	}
	set_descriptors(a);
	lock_down(s);
	if (a->probe)
		_exit(0);
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	rc = run_by_path(a, env);
	(void)oc_fail_errno(&err, rc, "cannot run %s", a->argv[0]);
	sandbox_die(a, &err);
}

/* ---- Init ---- */

/* Processes in our /proc; 0 when there is none. */
static uint64_t count_processes(DIR *proc)
{
	struct dirent *entry;
	uint64_t n = 0;

	if (proc == NULL)
		return 0;
	rewinddir(proc);
	while ((entry = readdir(proc)) != NULL)
		n += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
	return n;
}

/* Reaps; true when the command itself is over. */
static bool reap(const sandbox_start *s, pid_t command)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == command) {
			s->shared->status = status;
			s->shared->has_status = 1;
			return true;
		}
	}
	return false;
}

/* Process 1 of the namespace: when it ends, the kernel ends everything else in it. */
static void be_init(const sandbox_start *s, pid_t command) __attribute__((noreturn));
static void be_init(const sandbox_start *s, pid_t command)
{
	const struct timespec tick = {.tv_nsec = COUNT_EVERY_MS * 1000000L}, soon = {.tv_nsec = NICE_EVERY_MS * 1000000L};
	DIR *proc = s->shared->count ? opendir("/proc") : NULL;
	sigset_t wanted;
	char path[40];
	int autogroup = -1, tries = NICE_TRIES;

	(void)snprintf(path, sizeof path, "/proc/%d/autogroup", (int)command);
	if (s->args->nice > 0)
		autogroup = open(path, O_WRONLY | O_CLOEXEC); /* before either of us hides from the other */

	sandbox_null_stdio();
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)sandbox_drop_caps();
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigaddset(&wanted, SANDBOX_SIGNAL);
	for (;;) {
		siginfo_t info;
		int sig = sigtimedwait(&wanted, &info, autogroup >= 0 ? &soon : proc != NULL ? &tick : NULL);

		if (sig == SANDBOX_SIGNAL)
			(void)kill(-1, info.si_value.sival_int > 0 ? info.si_value.sival_int : SIGKILL);
		if (reap(s, command))
			_exit(0);
		/* Not before it has a session of its own: ours is the gateway's. */
		if (autogroup >= 0 && getsid(command) == command && (nice_session(autogroup, s->args->nice) || --tries == 0)) {
			(void)close(autogroup);
			autogroup = -1;
		}
		if (count_processes(proc) > s->args->limits.processes + 1) {
			s->shared->over_processes = 1;
			_exit(0);
		}
	}
}

void sandbox_child(const sandbox_start *s)
{
	char go;
	pid_t command;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (read(s->go_fd, &go, 1) != 1)
		_exit(126); /* the supervisor is gone, or could not set us up */
	if ((s->have & OC_SANDBOX_MOUNTNS) != 0) {
		const char *step = "";
		int rc = sandbox_mount_root(s->args, s->plan, (s->have & OC_SANDBOX_PIDNS) != 0, &step);

		if (rc != 0) {
			(void)snprintf(s->shared->step, sizeof(s->shared->step), "%s", step);
			sandbox_miss(s->shared, OC_SANDBOX_MOUNTNS, rc);
			s->shared->retry = 1;
			_exit(126);
		}
		(void)!sethostname("sandbox", 7);
	}
	if ((s->have & OC_SANDBOX_NETNS) != 0)
		sandbox_loopback_up();
	sandbox_judge(s);
	if ((s->have & OC_SANDBOX_PIDNS) == 0)
		run_command(s);
	command = fork();
	if (command < 0)
		fail_now(s, errno, "start a process");
	if (command == 0)
		run_command(s);
	be_init(s, command);
}
