/*
 * The command of a secret provider: run without a shell, with nothing of our environment but what the provider names,
 * bounded in time and output.  Its standard error goes nowhere: nobody knows what is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"

#define ARGS_MAX 128
#define ENV_MAX 256
#define TIMEOUT_MS 5000
#define OUTPUT_MAX (1 << 20)
#define LOOK_MS 100u /* how often to look whether anybody waits still */

struct command {
	char file[PATH_MAX], folder[PATH_MAX];
	const char *argv[ARGS_MAX + 2];
	char *env[ENV_MAX + 1];
	uint64_t timeout_ms, silence_ms;
	const atomic_bool *give_up;
	size_t max_output;
};

static int64_t bounded(const cJSON *provider, const char *name, int64_t fallback, int64_t most)
{
	int64_t n = oc_json_i64(provider, name, fallback);
	return n < 1 ? fallback : n > most ? most : n;
}

/* ---- May it be run? ---- */

static bool in_trusted(const cJSON *provider, const char *file)
{
	const cJSON *list = oc_json_get(provider, "trustedDirs"), *one;
	cJSON_ArrayForEach(one, list)
	{
		oc_auto_free char *dir = cJSON_IsString(one) ? oc_path_expand(one->valuestring, NULL) : NULL;
		char real[PATH_MAX];
		size_t n = dir != NULL && realpath(dir, real) != NULL ? strlen(real) : 0;
		if (n > 0 && strncmp(file, real, n) == 0 && (file[n] == '/' || n == 1))
			return true;
	}
	return list == NULL || cJSON_GetArraySize(list) == 0;
}

static oc_status check_file(struct command *x, const cJSON *provider, oc_err *err)
{
	const char *given = oc_json_str(provider, "command", "");
	if (given[0] != '/' && !(given[0] == '~' && given[1] == '/'))
		return oc_fail(err, OC_E_INVALID, "Write the absolute path of a program.", "its command \"%s\" is no absolute path", given);
	oc_auto_free char *path = oc_path_expand(given, NULL);
	struct stat st;
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the command");
	if (lstat(path, &st) != 0 || realpath(path, x->file) == NULL)
		return oc_fail_errno(err, errno, "its command %s", path);
	if (S_ISLNK(st.st_mode) && !oc_json_bool(provider, "allowSymlinkCommand", false))
		return oc_fail(err, OC_E_DENIED, "Name what it leads to, or set allowSymlinkCommand.", "its command %s is a symbolic link",
			       path);
	if (stat(x->file, &st) != 0)
		return oc_fail_errno(err, errno, "its command %s", x->file);
	if (!S_ISREG(st.st_mode) || access(x->file, X_OK) != 0)
		return oc_fail(err, OC_E_DENIED, "Name a program.", "its command %s cannot be run", x->file);
	if (!in_trusted(provider, x->file))
		return oc_fail(err, OC_E_DENIED, "Add its folder to trustedDirs.", "its command %s is in none of its trustedDirs", x->file);
	bool open = (st.st_mode & 022) != 0 || (st.st_uid != geteuid() && st.st_uid != 0);
	if (open && !oc_json_bool(provider, "allowInsecurePath", false))
		return oc_fail(err, OC_E_DENIED, "Let it belong to you or to root (chown) and take the others' right to write (chmod go-w).",
			       "its command %s can be changed by other users", x->file);
	memcpy(x->folder, x->file, sizeof x->folder);
	char *slash = strrchr(x->folder, '/');
	slash[slash == x->folder] = 0;
	return OC_OK;
}

/* ---- Arguments and environment ---- */

static bool add_env(struct command *x, size_t *n, const char *name, const char *value)
{
	if (*n < ENV_MAX && (x->env[*n] = oc_asprintf("%s=%s", name, value)) != NULL)
		++*n;
	else
		return false;
	return true;
}

static oc_status fill(struct command *x, const oc_config *c, const cJSON *provider, oc_err *err)
{
	size_t n = 0, n_env = 0;
	const cJSON *one;
	bool good = true;
	x->argv[n++] = x->file;
	cJSON_ArrayForEach(one, oc_json_get(provider, "args"))
	{
		if (!cJSON_IsString(one) || n > ARGS_MAX)
			return oc_fail(err, OC_E_INVALID, "", "its args are no list of at most %d strings", ARGS_MAX);
		x->argv[n++] = one->valuestring;
	}
	cJSON_ArrayForEach(one, oc_json_get(provider, "passEnv"))
	{
		const char *value = cJSON_IsString(one) ? oc_config_env(c, one->valuestring) : NULL;
		good = good && (value == NULL || add_env(x, &n_env, one->valuestring, value));
	}
	cJSON_ArrayForEach(one, oc_json_get(provider, "env"))
		good = good && cJSON_IsString(one) && one->string != NULL && add_env(x, &n_env, one->string, one->valuestring);
	x->timeout_ms = (uint64_t)bounded(provider, "timeoutMs", TIMEOUT_MS, 120000);
	x->silence_ms = (uint64_t)bounded(provider, "noOutputTimeoutMs", (int64_t)x->timeout_ms, 120000);
	x->give_up = c->give_up;
	x->max_output = (size_t)bounded(provider, "maxOutputBytes", OUTPUT_MAX, 20 << 20);
	return good ? OC_OK : oc_fail(err, OC_E_INVALID, "", "its environment is no object of at most %d strings", ENV_MAX);
}

/* ---- Running ---- */

/* What it reads: a file in memory, so that a command that reads nothing blocks nobody. */
static int make_input(oc_str input)
{
	int fd = memfd_create("secret-request", MFD_CLOEXEC);
	if (fd >= 0 && (write(fd, input.p, input.n) != (ssize_t)input.n || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static oc_status start(const struct command *x, int in, int out, pid_t *ret, oc_err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addchdir_np(&actions, x->folder);
	posix_spawnattr_init(&attributes);
	/* A group of its own: what it started ends with it. */
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	int rc = posix_spawn(ret, x->file, &actions, &attributes, (char *const *)(uintptr_t)x->argv, x->env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return rc == 0 ? OC_OK : oc_fail_errno(err, rc, "running its command %s", x->file);
}

/* Reads to the end, the limit or the time. */
static oc_status drain(const struct command *x, int fd, oc_sbuf *out, oc_err *err)
{
	uint64_t end = oc_now_ms() + x->timeout_ms, silent = oc_now_ms() + x->silence_ms;
	for (;;) {
		uint64_t now = oc_now_ms(), until = end < silent ? end : silent;
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (now >= until)
			return oc_fail(err, OC_E_TIMEOUT, "See why it takes so long, or raise timeoutMs of the provider.",
				       "its command %s gave no answer within %llu ms", x->file,
				       (unsigned long long)(end < silent ? x->timeout_ms : x->silence_ms));
		if (x->give_up != NULL && atomic_load(x->give_up))
			return oc_fail(err, OC_E_CANCELED, NULL, "its command %s was not waited for", x->file);
		uint64_t wait = x->give_up != NULL && until - now > LOOK_MS ? LOOK_MS : until - now;
		if (poll(&p, 1, (int)wait) <= 0)
			continue;
		char *room = oc_sbuf_room(out, 4096);
		ssize_t n = room != NULL ? read(fd, room, 4096) : 0;
		if (room == NULL)
			return oc_fail(err, out->error, NULL, "its command %s wrote more than %zu bytes", x->file, x->max_output);
		if (n == 0)
			return OC_OK;
		if (n < 0 && errno != EINTR)
			return oc_fail_errno(err, errno, "reading from its command %s", x->file);
		if (n > 0) {
			oc_sbuf_grew(out, (size_t)n);
			silent = oc_now_ms() + x->silence_ms;
		}
	}
}

/* Waits for the end, which should have come: its output is closed. */
static int reap(pid_t pid, uint64_t within_ms)
{
	int state = 0;
	uint64_t end = oc_now_ms() + within_ms;
	pid_t got;
	while ((got = waitpid(pid, &state, WNOHANG)) == 0 && oc_now_ms() < end)
		poll(NULL, 0, 5);
	kill(-pid, SIGKILL);
	while (got == 0 && (got = waitpid(pid, &state, 0)) < 0 && errno == EINTR)
		got = 0;
	return got == pid ? state : -1;
}

static oc_status run(const struct command *x, oc_str input, oc_sbuf *out, oc_err *err)
{
	int fds[2], in = make_input(input);
	pid_t pid = -1;
	if (in < 0 || pipe2(fds, O_CLOEXEC) != 0) {
		int e = errno;
		if (in >= 0)
			close(in);
		return oc_fail_errno(err, e, "running its command %s", x->file);
	}
	oc_status status = start(x, in, fds[1], &pid, err);
	close(in);
	close(fds[1]);
	if (status == OC_OK)
		status = drain(x, fds[0], out, err);
	close(fds[0]);
	int state = pid > 0 ? reap(pid, status == OC_OK ? 2000 : 0) : 0;
	if (status == OC_OK && (!WIFEXITED(state) || WEXITSTATUS(state) != 0))
		status = oc_fail(err, OC_E_UNAVAILABLE, "Run it by hand to see what it says.", "its command %s failed with %s %d", x->file,
				 WIFEXITED(state) ? "exit code" : "signal",
				 WIFEXITED(state) ? WEXITSTATUS(state) : WIFSIGNALED(state) ? WTERMSIG(state) : 0);
	return status;
}

oc_status oc_config_run_provider(const oc_config *c, const cJSON *provider, oc_str input, char **ret, size_t *ret_n, oc_err *err)
{
	struct command *x = oc_alloc(sizeof *x);
	oc_sbuf out;
	if (x == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to run a command");
	oc_status status = check_file(x, provider, err);
	if (status == OC_OK)
		status = fill(x, c, provider, err);
	oc_sbuf_init(&out, x->max_output + 4096);
	if (status == OC_OK)
		status = run(x, input, &out, err);
	if (status == OC_OK && out.n > x->max_output)
		status = oc_fail(err, OC_E_LIMIT, NULL, "its command %s wrote more than %zu bytes", x->file, x->max_output);
	size_t n = out.n;
	char *text = NULL;
	if (status == OC_OK && (text = oc_sbuf_take(&out)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for the answer of %s", x->file);
	oc_wipe(out.p, out.cap);
	oc_sbuf_free(&out);
	for (size_t i = 0; i < ENV_MAX && x->env[i] != NULL; i++) {
		oc_wipe(x->env[i], strlen(x->env[i]));
		oc_free(x->env[i]);
	}
	oc_free(x);
	if (status != OC_OK)
		return status;
	*ret = text;
	*ret_n = n;
	return OC_OK;
}
