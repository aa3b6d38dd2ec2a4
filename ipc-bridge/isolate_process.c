/* The process of a module: what it may reach, and how it begins. See isolate.h. */
#include "ipc-bridge/isolate_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "ipc-bridge/modhost.h"

enum {
	SILENT_MS = 10 * 1000, /* its loop does not turn for so long: hung */
	SILENT_MIN_MS = 300, SILENT_MAX_MS = 600 * 1000,
	MEMORY_MB = 256, MEMORY_MIN_MB = 16, MEMORY_MAX_MB = 64 * 1024,
	THREADS_MAX = 64,
	PATHS_MAX = 63, /* and the program: as many as oc_proc_spawn takes */
	TERMS_MAX = 1 << 20,
};

/* Instrumented builds reserve terabytes before main, which count. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_UNIT (UINT64_C(1) << 40)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_UNIT (UINT64_C(1) << 40)
#endif
#endif
#ifndef MEMORY_UNIT
#define MEMORY_UNIT (UINT64_C(1) << 20)
#endif

#define PROGRAM_COPY "run/openclaw"

/* ---- This program, which is openclaw-modhost too ---- */

/* The running program's bytes, whatever lies at its path now. */
static oc_status copy_program(const char *to, oc_err *err)
{
	struct stat sb;
	off_t at = 0;
	ssize_t n = 1;
	(void)unlink(to);
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
	oc_status status = OC_OK;
	if (in < 0 || out < 0 || fstat(in, &sb) != 0)
		status = oc_fail_errno(err, errno, "cannot copy the gateway's program to %s", to);
	while (status == OC_OK && at < sb.st_size && n > 0)
		n = sendfile(out, in, &at, (size_t)(sb.st_size - at));
	if (status == OC_OK && at < sb.st_size)
		status = oc_fail_errno(err, errno, "cannot copy the gateway's program to %s", to);
	if (in >= 0)
		(void)close(in);
	if (out >= 0 && close(out) != 0 && status == OC_OK)
		status = oc_fail_errno(err, errno, "cannot copy the gateway's program to %s", to);
	if (status != OC_OK)
		(void)unlink(to);
	return status;
}

/* After an upgrade another version lies at its path, or none, whose frames need not be ours: then processes get a copy of what
 * runs here, until the gateway is started anew. */
static oc_status program_path(oc_isolates *all, char ret[PATH_MAX], oc_err *err)
{
	struct stat ours, there;
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	ret[n > 0 ? n : 0] = 0;
	if (n > 0 && stat("/proc/self/exe", &ours) == 0 && stat(ret, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		return OC_OK;
	if (all->program == NULL) {
		oc_auto_free char *copy = oc_path_join(all->state, PROGRAM_COPY);
		oc_status status = copy != NULL ? copy_program(copy, err) : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a process");
		if (status != OC_OK) {
			if (err != NULL)
				(void)snprintf(err->remedy, sizeof(err->remedy), "restart the gateway: its program was replaced");
			return status;
		}
		oc_info("module", "the gateway's program was replaced: modules' processes run a copy of this one until the gateway is restarted");
		all->program = copy;
		copy = NULL;
	}
	(void)snprintf(ret, PATH_MAX, "%s", all->program);
	return OC_OK;
}

/* ---- What it may ---- */

typedef struct terms {
	const char *read[PATHS_MAX + 2], *write[PATHS_MAX + 1];
	size_t n_read, n_write, n_made;
	char *made[2 * PATHS_MAX];
	int level;
	bool network;
	uint64_t memory_bytes;
	uint32_t silent_ms;
} terms;

static void grant(terms *t, const char **list, size_t *n, char *path)
{
	if (path == NULL || *n == PATHS_MAX || access(path, F_OK) != 0) {
		oc_free(path);
		return;
	}
	t->made[t->n_made++] = path;
	list[(*n)++] = path;
}

static void terms_free(terms *t)
{
	for (size_t i = 0; i < t->n_made; i++)
		oc_free(t->made[i]);
}

/* One that nobody has worked in yet is made: the process would not see it when it comes. */
static void grant_workspace(terms *t, const oc_isolate *iso, char *path)
{
	if (path != NULL)
		(void)oc_path_mkdirs(path, 0700, NULL);
	if (oc_module_may(iso->self, OC_STR("fs.write")))
		grant(t, t->write, &t->n_write, path);
	else
		grant(t, t->read, &t->n_read, path);
}

/* Every agent's: a tool is called for any of them. */
static void grant_workspaces(terms *t, const oc_isolate *iso)
{
	const char *state = iso->all->state;
	const oc_config *config = iso->all->config;
	const cJSON *agent;
	if (!oc_module_may(iso->self, OC_STR("fs.write")) && !oc_module_may(iso->self, OC_STR("fs.read")))
		return;
	grant_workspace(t, iso, oc_path_expand(oc_config_str(config, "agents.defaults.workspace", "workspace"), state));
	cJSON_ArrayForEach(agent, oc_config_get(config, "agents.list"))
	{
		const char *own = oc_json_str(agent, "workspace", ""), *id = oc_json_str(agent, "id", "");
		oc_auto_free char *name = own[0] == 0 && id[0] != 0 ? oc_asprintf("workspace-%s", id) : NULL;
		if (own[0] != 0)
			grant_workspace(t, iso, oc_path_expand(own, state));
		else if (name != NULL && !oc_json_bool(agent, "default", false) && agent->prev != agent)
			grant_workspace(t, iso, oc_path_join(state, name));
	}
}

static int64_t bounded(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

/* What the manifest asks for was shown to the operator who enabled it; its entry may give more, and less. */
static void take_terms(const oc_isolate *iso, terms *t)
{
	const cJSON *entry = oc_module_entry(iso->self), *one;
	const char *state = iso->all->state;
	const void *table = NULL;
	memset(t, 0, sizeof(*t));
	t->level = oc_sandbox_level_parse(oc_json_str(entry, "sandbox", "strict"));
	if (t->level == 0)
		t->level = OC_SANDBOX_STRICT;
	t->network = oc_module_may(iso->self, OC_STR("net")) && oc_json_bool(entry, "network", true);
	t->memory_bytes = (uint64_t)bounded(oc_json_i64(entry, "memoryMb", MEMORY_MB), MEMORY_MIN_MB, MEMORY_MAX_MB) * MEMORY_UNIT;
	t->silent_ms = (uint32_t)bounded(oc_json_i64(entry, "hangMs", SILENT_MS), SILENT_MIN_MS, SILENT_MAX_MS);
	grant_workspaces(t, iso);
	if (iso->host->query(iso->self, OC_STR(OC_SERVICE_CHANNEL), 1, 0, &table) == OC_OK) {
		oc_str media = ((const oc_channel_host *)table)->media_dir(iso->self);
		grant(t, t->write, &t->n_write, media.n > 0 ? oc_strdup(media.p) : NULL);
	}
	cJSON_ArrayForEach(one, oc_json_get(entry, "read"))
		if (cJSON_IsString(one))
			grant(t, t->read, &t->n_read, oc_path_expand(one->valuestring, state));
	cJSON_ArrayForEach(one, oc_json_get(entry, "write"))
		if (cJSON_IsString(one))
			grant(t, t->write, &t->n_write, oc_path_expand(one->valuestring, state));
}

/* As one text, to see whether they changed. */
static char *print_terms(const terms *t)
{
	oc_sbuf b;
	oc_sbuf_init(&b, TERMS_MAX);
	oc_sbuf_printf(&b, "%d %d %llu %u", t->level, t->network, (unsigned long long)t->memory_bytes, (unsigned)t->silent_ms);
	for (size_t i = 0; i < t->n_read; i++)
		oc_sbuf_printf(&b, "\nr%s", t->read[i]);
	for (size_t i = 0; i < t->n_write; i++)
		oc_sbuf_printf(&b, "\nw%s", t->write[i]);
	char *text = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return text;
}

bool oc_isolate_terms_changed(const oc_isolate *iso)
{
	terms t;
	take_terms(iso, &t);
	oc_auto_free char *now = print_terms(&t);
	terms_free(&t);
	return now != NULL && iso->terms != NULL && strcmp(now, iso->terms) != 0;
}

/* ---- Its beginning ---- */

static oc_status spawn(oc_isolate *iso, terms *t, int fd, oc_err *err)
{
	char program[PATH_MAX];
	oc_status status = program_path(iso->all, program, err);
	if (status != OC_OK)
		return status;
	t->read[t->n_read] = program; /* there is room for it */
	const char *argv[] = {program, OC_MODHOST_ARGUMENT, iso->name, NULL};
	oc_proc_options options = {
		.profile = {.level = t->level, .network = t->network, .read = t->read, .write = t->write, .cwd = "/", .argv = argv,
			    .limits = {.memory_bytes = t->memory_bytes, .processes = THREADS_MAX, .cpu_seconds = UINT32_MAX}},
		.flags = OC_PROC_MERGE, .yields = true, .pass_fd = fd, .on_output = oc_isolate_on_output, .on_exit = oc_isolate_on_exit, .arg = iso,
	};
	return oc_proc_spawn(iso->all->procs, iso->owner, &options, &iso->proc, err);
}

/* The module's file and the second line, over the first before it is spoken on. */
static oc_status hand_over(int line, const int fds[2], oc_err *err)
{
	char byte = 'M';
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = {.room = {0}};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	return sendmsg(line, &message, MSG_NOSIGNAL) == 1 ? OC_OK : oc_fail_errno(err, errno, "cannot hand a module to its process");
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

oc_status oc_isolate_launch(oc_isolate *iso, const oc_peer_events *events, const oc_peer_events *question_events, oc_err *err)
{
	int fds[5] = {-1, -1, -1, -1, -1}; /* first line: ours, its; second: ours, its; the file */
	terms t;
	take_terms(iso, &t);
	oc_peer_options options = {.name = iso->name, .queue = OC_QUEUE_isolated_calls, .version = PACKAGE_VERSION, .events = events, .arg = iso, .silent_ms = t.silent_ms};
	oc_status status = oc_module_copy(iso->self, &fds[4], err);
	oc_free(iso->terms);
	iso->terms = print_terms(&t);
	if (status == OC_OK && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &fds[0]) != 0 ||
				socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &fds[2]) != 0))
		status = oc_fail_errno(err, errno, "no connection to a process");
	if (status == OC_OK)
		status = hand_over(fds[0], (int[]){fds[4], fds[3]}, err);
	if (status == OC_OK) {
		options.fd = fds[0];
		fds[0] = -1;
		status = oc_peer_open(iso->all->loop, &options, &iso->peer, err);
	}
	if (status == OC_OK) {
		options.fd = fds[2];
		fds[2] = -1;
		options.events = question_events;
		options.silent_ms = 0;
		status = oc_peer_open(iso->all->loop, &options, &iso->questions, err);
	}
	if (status == OC_OK)
		status = spawn(iso, &t, fds[1], err);
	terms_free(&t);
	close_all(fds, 5);
	return status;
}

/* ---- For all of them ---- */

oc_status oc_isolates_configure_procs(oc_isolates *all, oc_err *err)
{
	const char *open[PATHS_MAX + 1];
	char *made[PATHS_MAX];
	size_t n = 0;
	const cJSON *agent;
	made[n++] = oc_path_expand(oc_config_str(all->config, "agents.defaults.workspace", "workspace"), all->state);
	made[n++] = oc_path_join(all->state, "media");
	made[n++] = oc_path_join(all->state, PROGRAM_COPY);
	cJSON_ArrayForEach(agent, oc_config_get(all->config, "agents.list"))
	{
		const char *own = oc_json_str(agent, "workspace", "");
		oc_auto_free char *name = oc_asprintf("workspace-%s", oc_json_str(agent, "id", ""));
		if (n < PATHS_MAX && name != NULL)
			made[n++] = own[0] != 0 ? oc_path_expand(own, all->state) : oc_path_join(all->state, name);
	}
	oc_status status = OC_OK;
	for (size_t i = 0; i < n; i++) {
		open[i] = made[i];
		if (made[i] == NULL)
			status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for modules' processes");
	}
	open[n] = NULL;
	oc_procs_options options = {.level = OC_SANDBOX_OFF, .network = true, .state_dir = all->state, .open = open, .max_processes = 256,
				    .limits = {.cpu_seconds = UINT32_MAX, .memory_bytes = (uint64_t)MEMORY_MAX_MB * MEMORY_UNIT},
				    .allow_downgrade = oc_config_bool(all->config, "tools.exec.sandbox.allowDowngrade", false)};
	if (status == OC_OK)
		status = all->procs == NULL ? oc_procs_new(all->loop, &options, &all->procs, err) : oc_procs_configure(all->procs, &options, err);
	for (size_t i = 0; i < n; i++)
		oc_free(made[i]);
	return status;
}
