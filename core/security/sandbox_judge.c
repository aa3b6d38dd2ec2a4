/* Whether this machine can keep what a level promises; if not, why, and what can be done about it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/security/sandbox_int.h"

/* The first number in a file; -1 when there is none. */
static long number_in(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	long value = 0;

	if (fd >= 0)
		(void)close(fd);
	if (n <= 0 || text[0] < '0' || text[0] > '9')
		return -1;
	for (const char *p = text; *p >= '0' && *p <= '9' && value < 1000000; p++)
		value = value * 10 + (*p - '0');
	return value;
}

/* What lets namespaces be made. */
static const char *namespace_remedy(void)
{
	if (number_in("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1";
	if (number_in("/proc/sys/user/max_user_namespaces") == 0)
		return "allow user namespaces: sysctl -w user.max_user_namespaces=15000";
	if (number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		return "allow user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
	if (access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0)
		return "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or let the "
		       "container be the sandbox and set tools.exec.sandbox.level to relaxed";
	return "use a kernel with user namespaces or Landlock (Linux 6.12), or set tools.exec.sandbox.level to relaxed";
}

static const char *reason(const sandbox_start *s, uint32_t feature)
{
	for (unsigned bit = 0; bit < 7; bit++)
		if (feature == 1u << bit && s->shared->why[bit] != 0)
			return strerror(s->shared->why[bit]);
	return (s->args->without & feature) != 0 ? "switched off" : "not there";
}

static bool has(const sandbox_start *s, uint32_t feature)
{
	return (s->have & feature) != 0;
}

/* The first promise of strict that cannot be kept; false when all can. */
static bool broken(const sandbox_start *s, oc_err *err)
{
	int abi = has(s, OC_SANDBOX_LANDLOCK) ? s->shared->landlock_abi : 0;

	if (!has(s, OC_SANDBOX_SECCOMP)) {
		(void)oc_fail(err, OC_E_UNSUPPORTED, "use a kernel with CONFIG_SECCOMP_FILTER, or set tools.exec.sandbox.level to relaxed",
			      "the strict sandbox is not possible here: no system call filter (seccomp: %s)",
			      reason(s, OC_SANDBOX_SECCOMP));
		return true;
	}
	if (!has(s, OC_SANDBOX_MOUNTNS) && abi < 3) {
		(void)oc_fail(err, OC_E_UNSUPPORTED, namespace_remedy(),
			      "the strict sandbox is not possible here: files cannot be contained (user namespaces: %s, mount "
			      "namespaces: %s%s%s, Landlock version %d of 3)",
			      has(s, OC_SANDBOX_USERNS) ? "ok" : reason(s, OC_SANDBOX_USERNS), reason(s, OC_SANDBOX_MOUNTNS),
			      s->shared->step[0] != 0 ? " at " : "", s->shared->step, abi);
		return true;
	}
	if (!has(s, OC_SANDBOX_PIDNS) && abi < 6) {
		(void)oc_fail(err, OC_E_UNSUPPORTED, namespace_remedy(),
			      "the strict sandbox is not possible here: other processes cannot be kept out of reach (user "
			      "namespaces: %s, pid namespaces: %s, Landlock version %d of 6)",
			      has(s, OC_SANDBOX_USERNS) ? "ok" : reason(s, OC_SANDBOX_USERNS), reason(s, OC_SANDBOX_PIDNS), abi);
		return true;
	}
	if (!has(s, OC_SANDBOX_MOUNTNS)) {
		const char *hidden = "", *folder = sandbox_landlock_conflict(s->plan, &hidden);

		if (folder != NULL) {
			(void)oc_fail(err, OC_E_UNSUPPORTED, "use a folder that does not contain it, or a machine with user namespaces",
				      "commands may write in %s, and %s in it cannot be hidden from them here (mount namespaces: %s)", folder,
				      hidden, reason(s, OC_SANDBOX_MOUNTNS));
			return true;
		}
	}
	return false;
}

/* What holds, but by one layer instead of two. */
static void notes(const sandbox_start *s, void (*say)(const sandbox_args *args, const char *format, ...))
{
	if (!has(s, OC_SANDBOX_MOUNTNS))
		say(s->args,
		    "no root folder of its own (mount namespaces: %s): files are contained by Landlock alone, and modes and "
		    "times of files outside can still be changed by their owner",
		    reason(s, OC_SANDBOX_MOUNTNS));
	if (!has(s, OC_SANDBOX_PIDNS))
		say(s->args, "no process namespace (%s): other processes are visible, but out of reach",
		    reason(s, OC_SANDBOX_PIDNS));
	if (!has(s, OC_SANDBOX_NETNS) && !s->args->network)
		say(s->args, "no network namespace (%s): sockets are refused by the system call filter alone",
		    reason(s, OC_SANDBOX_NETNS));
	if (s->shared->count && !has(s, OC_SANDBOX_PIDNS))
		say(s->args, "the number of processes is not limited: that of root can only be limited by cgroups or in a process "
			     "namespace");
	if (!has(s, OC_SANDBOX_LANDLOCK))
		say(s->args, "no Landlock (%s): files are contained by the mount namespace alone", reason(s, OC_SANDBOX_LANDLOCK));
}

static void judge_relaxed(const sandbox_start *s)
{
	char text[400] = "";
	size_t n = 0;
	static const struct {
		uint32_t feature;
		const char *what;
	} parts[] = {
		{OC_SANDBOX_MOUNTNS, "a read-only view of files (mount namespaces"},
		{OC_SANDBOX_PIDNS, "hiding other processes (pid namespaces"},
		{OC_SANDBOX_NETNS, "a network of its own (network namespaces"},
		{OC_SANDBOX_SECCOMP, "a system call filter (seccomp"},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (has(s, parts[i].feature) || (parts[i].feature == OC_SANDBOX_NETNS && s->args->network))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s: %s)", n > 0 ? ", " : "", parts[i].what,
				      reason(s, parts[i].feature));
		if (n >= sizeof(text))
			break;
	}
	if (text[0] != 0)
		sandbox_warn(s->args, "the relaxed sandbox goes on without %s", text);
}

static void print_note(const sandbox_args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print_note(const sandbox_args *args, const char *format, ...)
{
	va_list list;

	(void)args;
	(void)fputs("note=", stdout);
	va_start(list, format);
	(void)vprintf(format, list);
	va_end(list);
	(void)putchar('\n');
}

static void judge_probe(const sandbox_start *s)
{
	uint32_t wanted = OC_SANDBOX_MOUNTNS | OC_SANDBOX_PIDNS | OC_SANDBOX_NETNS | OC_SANDBOX_SECCOMP;
	oc_err err = {0};

	(void)printf("available=%u\nlandlock=%d\nroot=%d\nrelaxed=%d\n", s->have, s->shared->landlock_abi, geteuid() == 0,
		     (s->have & wanted) == wanted);
	notes(s, print_note);
	if (broken(s, &err))
		sandbox_die(s->args, &err);
	(void)fflush(stdout);
}

void sandbox_judge(const sandbox_start *s)
{
	oc_err err = {0};

	if (s->args->level == OC_SANDBOX_OFF)
		return;
	if (s->args->probe) {
		judge_probe(s);
		return;
	}
	if (s->args->level == OC_SANDBOX_RELAXED) {
		judge_relaxed(s);
		return;
	}
	if (broken(s, &err)) {
		if (!s->args->downgrade)
			sandbox_die(s->args, &err);
		sandbox_warn(s->args, "%s; it goes on with less, as the configuration allows", err.text);
		return;
	}
	notes(s, sandbox_note);
}
