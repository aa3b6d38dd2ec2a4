/* The sandbox as the rest of the core sees it: profiles on the wire, the helper's place, what this machine can enforce. */
#include "core/security/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/security/sandbox_int.h"

#ifndef OC_LIBEXECDIR
#define OC_LIBEXECDIR "/usr/libexec/openclaw"
#endif
#define PROBE_MS 5000

static const char *const level_names[] = {NULL, "off", "relaxed", "strict"};

int oc_sandbox_level_parse(const char *name)
{
	for (int i = OC_SANDBOX_OFF; name != NULL && i <= OC_SANDBOX_STRICT; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return 0;
}

/* ---- Profiles ---- */

static void put(oc_sbuf *out, const char *option)
{
	oc_sbuf_add(out, option, strlen(option) + 1);
}

static void put2(oc_sbuf *out, const char *option, const char *value)
{
	put(out, option);
	put(out, value);
}

static void put_u64(oc_sbuf *out, const char *option, uint64_t value)
{
	if (value == 0)
		return;
	put(out, option);
	oc_sbuf_printf(out, "%llu", (unsigned long long)value);
	oc_sbuf_char(out, 0);
}

static oc_status put_paths(oc_sbuf *out, const char *option, const char *const *paths, oc_err *err)
{
	for (; paths != NULL && *paths != NULL; paths++) {
		if ((*paths)[0] != '/')
			return oc_fail(err, OC_E_INVALID, "give an absolute path", "the sandbox path \"%s\" is not absolute",
				       *paths);
		put2(out, option, *paths);
	}
	return OC_OK;
}

oc_status oc_sandbox_encode(const oc_sandbox_profile *p, oc_sbuf *out, oc_err *err)
{
	oc_status st;

	if (p->level < OC_SANDBOX_OFF || p->level > OC_SANDBOX_STRICT)
		return oc_fail(err, OC_E_INVALID, "use off, relaxed or strict", "the sandbox level %d does not exist", p->level);
	if (p->cwd == NULL || p->cwd[0] != '/')
		return oc_fail(err, OC_E_INVALID, "give an absolute path", "the working folder of a command is missing");
	if (p->argv == NULL || p->argv[0] == NULL || p->argv[0][0] == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "the command is empty");
	put2(out, "--level", level_names[p->level]);
	if (p->network)
		put(out, "--network");
	if (p->allow_downgrade)
		put(out, "--downgrade");
	put_u64(out, "--without", p->without);
	put_u64(out, "--memory", p->limits.memory_bytes);
	put_u64(out, "--cpu", p->limits.cpu_seconds);
	put_u64(out, "--processes", p->limits.processes);
	put_u64(out, "--file-size", p->limits.file_bytes);
	put_u64(out, "--open-files", p->limits.open_files);
	put_u64(out, "--tmp-size", p->limits.tmp_bytes);
	put2(out, "--cwd", p->cwd);
	if ((st = put_paths(out, "--read", p->read, err)) != OC_OK || (st = put_paths(out, "--write", p->write, err)) != OC_OK
	    || (st = put_paths(out, "--hide", p->hide, err)) != OC_OK
	    || (st = put_paths(out, "--cgroup", p->cgroups, err)) != OC_OK)
		return st;
	for (const char *const *e = p->env; e != NULL && *e != NULL; e++) {
		if ((*e)[0] == '=' || strchr(*e, '=') == NULL)
			return oc_fail(err, OC_E_INVALID, "write NAME=value", "an environment entry has no name");
		put2(out, "--env", *e);
	}
	put(out, "--");
	for (const char *const *a = p->argv; *a != NULL; a++)
		put(out, *a);
	if (out->error == OC_E_LIMIT || out->n > SANDBOX_ARGS_MAX)
		return oc_fail(err, OC_E_LIMIT, "shorten the command or its environment", "the command is longer than 1 MiB");
	if (out->error != OC_OK)
		return oc_fail(err, out->error, NULL, "no memory for the command");
	return OC_OK;
}

/* ---- The helper ---- */

/* The folder of the running program; NULL when unknown. */
static char *own_folder(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash == NULL)
		return NULL;
	*slash = 0;
	return oc_strdup(self);
}

static bool usable(const char *path)
{
	return path != NULL && access(path, X_OK) == 0;
}

static bool self_is_helper;

void oc_sandbox_helper_is_self(void)
{
	self_is_helper = true;
}

oc_status oc_sandbox_helper(char **ret, oc_err *err)
{
	/* Beside the program (build tree), one or two folders up (its tests), the installed places. */
	static const char *const places[] = {"/openclaw-sandbox", "/../openclaw-sandbox", "/../../openclaw-sandbox",
					     "/../../../openclaw-sandbox", "/../libexec/openclaw/openclaw-sandbox"};
	const char *given = getenv("OPENCLAW_SANDBOX_HELPER");
	oc_auto_free char *folder = NULL;

	if (given != NULL && given[0] == '/') {
		if (!usable(given))
			return oc_fail(err, OC_E_NOT_FOUND, "correct or unset OPENCLAW_SANDBOX_HELPER",
				       "the sandbox helper %s cannot be run", given);
		*ret = oc_strdup(given);
		return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a path");
	}
	folder = own_folder();
	for (size_t i = 0; folder != NULL && i < sizeof(places) / sizeof(places[0]); i++) {
		char *path = oc_asprintf("%s%s", folder, places[i]);

		if (usable(path)) {
			*ret = path;
			return OC_OK;
		}
		oc_free(path);
	}
	if (usable(OC_LIBEXECDIR "/openclaw-sandbox") || (self_is_helper && usable("/proc/self/exe"))) {
		*ret = oc_strdup(usable(OC_LIBEXECDIR "/openclaw-sandbox") ? OC_LIBEXECDIR "/openclaw-sandbox" : "/proc/self/exe");
		return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a path");
	}
	return oc_fail(err, OC_E_NOT_FOUND, "install OpenClaw completely, or set OPENCLAW_SANDBOX_HELPER to its path",
		       "the sandbox helper openclaw-sandbox is neither beside the program in %s nor in " OC_LIBEXECDIR,
		       folder != NULL ? folder : "?");
}

/* ---- Probe ---- */

static void copy_line(char *out, size_t size, oc_str line)
{
	size_t n = line.n < size - 1 ? line.n : size - 1;

	memcpy(out, line.p, n);
	out[n] = 0;
}

static void add_note(oc_sandbox_report *r, oc_str line)
{
	size_t used = strlen(r->notes);

	if (used > 0 && used + 1 < sizeof(r->notes))
		r->notes[used++] = '\n';
	copy_line(r->notes + used, sizeof(r->notes) - used, line);
}

static void read_report(oc_str text, oc_sandbox_report *r)
{
	while (text.p != NULL) {
		oc_str line = oc_str_cut(&text, '\n'), key = oc_str_cut(&line, '=');
		int64_t n = 0;

		if (line.p == NULL)
			continue;
		(void)oc_str_i64(line, 0, INT64_MAX, &n);
		if (oc_str_eqz(key, "available"))
			r->available = (uint32_t)n;
		else if (oc_str_eqz(key, "landlock"))
			r->landlock_abi = (int)n;
		else if (oc_str_eqz(key, "root"))
			r->root = n != 0;
		else if (oc_str_eqz(key, "strict"))
			r->strict = n != 0;
		else if (oc_str_eqz(key, "relaxed"))
			r->relaxed = n != 0;
		else if (oc_str_eqz(key, "problem"))
			copy_line(r->problem, sizeof(r->problem), line);
		else if (oc_str_eqz(key, "remedy"))
			copy_line(r->remedy, sizeof(r->remedy), line);
		else if (oc_str_eqz(key, "note"))
			add_note(r, line);
	}
}

/* Reads until the end, the limit or the deadline. */
static void drain(int fd, oc_sbuf *out, uint64_t deadline)
{
	for (;;) {
		uint64_t now = oc_now_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char chunk[1024];
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)(deadline - now)) <= 0)
			return;
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			return;
		oc_sbuf_add(out, chunk, (size_t)n);
	}
}

static oc_status run_probe(const char *helper, oc_sbuf *out, oc_err *err)
{
	char *argv[] = {(char *)(uintptr_t)"openclaw-sandbox", (char *)(uintptr_t)"--probe", NULL};
	char *env[] = {NULL};
	posix_spawn_file_actions_t actions;
	uint64_t deadline = oc_now_ms() + PROBE_MS;
	int fds[2], rc, status = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return oc_fail_errno(err, errno, "cannot make a pipe for the sandbox check");
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	(void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(&pid, helper, &actions, NULL, argv, env);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(fds[1]);
	if (rc != 0) {
		(void)close(fds[0]);
		return oc_fail_errno(err, rc, "cannot run the sandbox helper %s", helper);
	}
	drain(fds[0], out, deadline);
	(void)close(fds[0]);
	if (oc_now_ms() >= deadline)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (out->error != OC_OK || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return oc_fail(err, OC_E_INTERNAL, NULL, "the sandbox check of %s did not end as it should", helper);
	return OC_OK;
}

oc_status oc_sandbox_probe(oc_sandbox_report *ret, oc_err *err)
{
	oc_auto_free char *helper = NULL;
	oc_sandbox_report report = {0};
	oc_status st = oc_sandbox_helper(&helper, err);
	oc_sbuf out;

	if (st != OC_OK)
		return st;
	oc_sbuf_init(&out, 16 * 1024);
	st = run_probe(helper, &out, err);
	if (st == OC_OK) {
		read_report(oc_sbuf_view(&out), &report);
		*ret = report;
	}
	oc_sbuf_free(&out);
	return st;
}

