/* Modules in processes of their own: see isolate.h. The process's life, and the proxies of the vtables. */
#include "ipc-bridge/isolate_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "ipc-bridge/modhost.h"

enum {
	FAILURES_MAX = 5,	 /* in a row: quarantine */
	BACKOFF_FIRST_MS = 100,	 /* after the second; the first time it is started at once */
	BACKOFF_MAX_MS = 30 * 1000,
	STEADY_MS = 60 * 1000,	 /* up for so long: what failed before is forgotten */
	SILENT_MS = 10 * 1000,	 /* its loop does not turn for so long: hung */
	SILENT_MIN_MS = 300, SILENT_MAX_MS = 600 * 1000,
	END_MS = 100,		 /* from the end of its connection to that of its process, before it is killed */
	MEMORY_MB = 256, MEMORY_MIN_MB = 16, MEMORY_MAX_MB = 64 * 1024,
	THREADS_MAX = 64,
	PATHS_MAX = 32,
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

static void over(oc_isolate *iso, const char *how);

/* ---- Calls ---- */

struct oc_isolate_guest {
	oc_isolate_guest *next;
	oc_isolate *iso;
	uint32_t index, kind;
	char *list; /* tools(), subscriptions() */
	oc_vtbl vtbl;
};

struct oc_asked {
	oc_asked *next, **at;
	oc_isolate *iso;
	oc_call *call;
	uint32_t id;
	oc_fn fn;
};

static void asked_free(oc_asked *a)
{
	*a->at = a->next;
	if (a->next != NULL)
		a->next->at = a->at;
	oc_free(a);
}

static void on_event(void *arg, uint32_t type, oc_str payload)
{
	const oc_asked *a = arg;
	oc_unpack u = {payload, false};
	oc_str text = oc_unpack_str(&u);
	if (oc_unpack_done(&u) && oc_call_is_owed(a->call))
		(void)oc_call_event(a->call, type, text);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_asked *a = arg;
	if (status == OC_E_RETRY && !oc_peer_connected(a->iso->peer))
		a->iso->during = a->fn;
	if (oc_call_is_owed(a->call))
		oc_call_done(a->call, status, result);
	asked_free(a);
}

static void ask(oc_isolate_guest *g, oc_call *call, oc_fn fn, const oc_call_args *args)
{
	oc_isolate *iso = g->iso;
	oc_asked *a = oc_alloc(sizeof(*a));
	oc_status status = OC_E_NOMEM;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	if (a != NULL) {
		*a = (oc_asked){.next = iso->asked, .at = &iso->asked, .iso = iso, .call = call, .fn = fn};
		if (a->next != NULL)
			a->next->at = &a->next;
		iso->asked = a;
		oc_pack_call(&b, g->index, fn, args);
		status = b.error;
	}
	if (status == OC_OK)
		status = iso->peer == NULL ? OC_E_RETRY
					   : oc_peer_call_start(iso->peer, &(oc_peer_call){.method = "call", .payload = oc_sbuf_view(&b),
											   .on_event = on_event, .on_done = on_done, .arg = a},
								&a->id);
	oc_sbuf_free(&b);
	if (status == OC_OK)
		return;
	if (a != NULL)
		asked_free(a);
	oc_call_done(call, status, oc_str_of(status == OC_E_LIMIT ? "the module's process does not keep up" : oc_status_text(status)));
}

static void cancel(void *inst, oc_call *call)
{
	const oc_isolate_guest *g = inst;
	for (const oc_asked *a = g->iso->asked; a != NULL; a = a->next)
		if (a->call == call && g->iso->peer != NULL)
			oc_peer_cancel(g->iso->peer, a->id);
}

/* The proxies, out of the one description of all functions. */
#define PROXY_1(name)                                                             \
	static void ask_##name(void *inst, oc_call *call, oc_str a)               \
	{                                                                         \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {a}});         \
	}
#define PROXY_2(name)                                                             \
	static void ask_##name(void *inst, oc_call *call, oc_str a, oc_str b)     \
	{                                                                         \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {a, b}});      \
	}
#define PROXY_3(name)                                                                   \
	static void ask_##name(void *inst, oc_call *call, oc_str a, oc_str b, oc_str c) \
	{                                                                               \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {a, b, c}});         \
	}
#define PROXY_REQUEST(name)                                                                                             \
	static void ask_##name(void *inst, oc_call *call, const oc_http_request *r)                                     \
	{                                                                                                               \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {r->method, r->path, r->query, r->headers, r->body, r->remote}, \
							      .flags = r->flags});                                      \
	}
#define PROXY(name, kind, member, function, shape, deadline) PROXY_##shape(name)
OC_FN_MAP(PROXY)

static oc_str list_of(void *inst)
{
	const oc_isolate_guest *g = inst;
	return oc_str_of(g->list);
}

static void session_end(void *inst, oc_str info)
{
	const oc_isolate_guest *g = inst;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_u32(&b, g->index);
	oc_pack_str(&b, info);
	if (b.error == OC_OK && g->iso->peer != NULL)
		(void)oc_peer_notify(g->iso->peer, "session_end", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

/* Everything the kind has; then without what the module's own lacks. */
static bool fill(oc_isolate_guest *g, const oc_pack_iface *iface)
{
	size_t size = 0;
#define FILL(name, k, member, function, shape, deadline)              \
	if (iface->kind == OC_KIND_##k) {                             \
		g->vtbl.member.function = ask_##name;                 \
		g->vtbl.member.cancel = cancel;                       \
		size = sizeof(g->vtbl.member);                        \
	}
	OC_FN_MAP(FILL)
#undef FILL
	if (size == 0)
		return false;
	if (iface->kind == OC_KIND_TOOL) {
		g->vtbl.tool.tools = list_of;
		g->vtbl.tool.session_end = session_end;
	} else if (iface->kind == OC_KIND_HOOK) {
		g->vtbl.hook.subscriptions = list_of;
	}
	g->vtbl.head.struct_size = (uint32_t)size;
	g->vtbl.head.flags = iface->flags;
	for (size_t i = 0; 8 + 8 * i < size; i++)
		if ((iface->has >> i & 1) == 0)
			memset((char *)&g->vtbl + 8 + 8 * i, 0, 8);
	return true;
}

static void guests_free(oc_isolate *iso)
{
	while (iso->guests != NULL) {
		oc_isolate_guest *g = iso->guests;
		iso->guests = g->next;
		oc_free(g->list);
		oc_free(g);
	}
}

static oc_status add_guest(oc_isolate *iso, const oc_pack_iface *iface, uint32_t index, oc_err *err)
{
	oc_isolate_guest *g = oc_alloc(sizeof(*g));
	oc_iface offered = {iface->kind, iface->ver_major, iface->ver_minor, iface->id.p, NULL};
	if (g == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for an interface");
	*g = (oc_isolate_guest){.next = iso->guests, .iso = iso, .index = index, .kind = iface->kind, .list = oc_strdup(iface->list.p)};
	iso->guests = g;
	if (g->list == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for an interface");
	if (!fill(g, iface)) {
		const char *kind = oc_kind_name(iface->kind);
		return oc_fail(err, OC_E_UNSUPPORTED, "set \"isolation\": \"inprocess\" in its entry of the configuration",
			       "an interface of kind %s, which cannot run in a process of its own yet", kind != NULL ? kind : "(unknown)");
	}
	offered.vtbl = &g->vtbl;
	return oc_guest_register(iso->self, &offered, g, NULL, err);
}

/* ---- Starting ---- */

static void tell_start(oc_isolate *iso, oc_status status, const char *text)
{
	oc_call *call = iso->starting;
	iso->starting = NULL;
	if (call != NULL) {
		oc_call_done(call, status, oc_str_of(text));
		return;
	}
	iso->answered = true;
	iso->start_status = status;
	oc_free(iso->start_text);
	iso->start_text = oc_strdup(text);
}

static void on_started(void *arg, oc_status status, oc_str result)
{
	oc_isolate *iso = arg;
	oc_pack_iface ifaces[OC_PACK_IFACES_MAX];
	uint32_t n = 0, kinds = 0;
	oc_err err = {0};
	if (!oc_peer_connected(iso->peer))
		return; /* it died: over() says how */
	if (status != OC_OK) {
		tell_start(iso, status, result.p);
		return;
	}
	if (!oc_unpack_ifaces(result, ifaces, &n) || n == 0)
		status = oc_fail(&err, OC_E_PROTOCOL, NULL, "its process does not say what it offers");
	for (uint32_t i = 0; i < n && status == OC_OK; i++) {
		status = add_guest(iso, &ifaces[i], i, &err);
		kinds |= UINT32_C(1) << (ifaces[i].kind & 31);
	}
	if (status == OC_OK && (oc_module_manifest(iso->self)->kinds & ~kinds) != 0)
		status = oc_fail(&err, OC_E_INVALID, "list only the kinds that the descriptor has in module.json",
				 "the manifest lists a kind of which the descriptor has no interface");
	if (status == OC_OK) {
		iso->started = true;
		iso->ready_ms = oc_now_ms() - iso->began_ms;
		oc_info("module", "module %s runs in process %lld", iso->name, (long long)oc_proc_pid(iso->proc));
	}
	tell_start(iso, status, err.text);
}

static void on_ready(void *arg, oc_str hello)
{
	oc_isolate *iso = arg;
	oc_sbuf b;
	(void)hello;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_str(&b, oc_str_of(iso->settings));
	oc_pack_u32(&b, (uint32_t)oc_log_level());
	oc_status status = b.error;
	if (status == OC_OK)
		status = oc_peer_call_start(iso->peer, &(oc_peer_call){.method = "start", .payload = oc_sbuf_view(&b), .on_done = on_started, .arg = iso}, NULL);
	oc_sbuf_free(&b);
	if (status != OC_OK)
		tell_start(iso, status, oc_status_text(status));
}

/* ---- What it says unasked ---- */

static void on_call(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	oc_isolate *iso = arg;
	(void)name;
	(void)payload;
	(void)deadline_ms;
	oc_peer_answer(iso->peer, id, OC_E_UNSUPPORTED, OC_STR("questions go over the other line"));
}

static void on_notify(void *arg, oc_str name, oc_str payload)
{
	oc_isolate *iso = arg;
	oc_unpack u = {payload, false};
	if (oc_str_eqz(name, "figures"))
		for (size_t i = 0; i < sizeof(iso->figures) / sizeof(iso->figures[0]); i++)
			iso->figures[i] = oc_unpack_u64(&u);
	if (oc_str_eqz(name, "gauge")) {
		oc_str queue = oc_unpack_str(&u);
		uint64_t depth = oc_unpack_u64(&u), capacity = oc_unpack_u64(&u);
		if (oc_unpack_done(&u))
			iso->host->gauge(iso->self, queue, depth, capacity);
	}
	if (!oc_str_eqz(name, "violation"))
		return;
	oc_str text = oc_unpack_str(&u);
	if (oc_unpack_done(&u))
		oc_module_violation(iso->self, "%.*s", (int)(text.n < 180 ? text.n : 180), text.p);
}

static void on_question(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	(void)deadline_ms;
	oc_isolate_asked(arg, id, name, payload);
}

static void ignore_ready(void *arg, oc_str hello)
{
	(void)arg;
	(void)hello;
}

static void ignore_notify(void *arg, oc_str name, oc_str payload)
{
	(void)arg;
	(void)name;
	(void)payload;
}

/* ---- The end ---- */

static void kill_it(void *arg)
{
	oc_isolate *iso = arg;
	oc_watch_end(iso->patience);
	iso->patience = NULL;
	if (iso->proc != NULL)
		(void)oc_proc_kill(iso->proc, 9);
}

/* Its own end, which follows a crash at once, says more than the connection's. */
static void on_closed(void *arg, const char *why)
{
	oc_isolate *iso = arg;
	oc_free(iso->why);
	iso->why = oc_strdup(why);
	if (iso->proc == NULL) {
		over(iso, why);
		return;
	}
	iso->patience = oc_timer_start(iso->owner, END_MS, 0, kill_it, iso);
	if (iso->patience == NULL)
		kill_it(iso);
}

static void questions_closed(void *arg, const char *why)
{
	oc_isolate *iso = arg;
	oc_peer_end(iso->peer, why);
}

static const oc_peer_events peer_events = {on_ready, on_call, NULL, on_notify, on_closed};
static const oc_peer_events question_events = {ignore_ready, on_question, NULL, ignore_notify, questions_closed};

static void on_exit_of(void *arg, oc_status status, int exit_code, int signal, oc_str message)
{
	oc_isolate *iso = arg;
	char how[300];
	bool killed = iso->why != NULL && iso->patience == NULL; /* by us, for what the connection said */
	char during[80] = "";
	if (iso->during != 0)
		(void)snprintf(during, sizeof(during), " while it did %s", oc_fn_name(iso->during));
	else if (!iso->started)
		(void)snprintf(during, sizeof(during), " while it started");
	iso->proc = iso->output.proc = NULL;
	oc_watch_end(iso->patience);
	iso->patience = NULL;
	if (killed || (iso->why != NULL && status == OC_OK && signal == 0 && exit_code == 0))
		(void)snprintf(how, sizeof(how), "%s", iso->why);
	else if (status != OC_OK)
		(void)snprintf(how, sizeof(how), "its process: %.*s", OC_STR_ARG(message));
	else if (signal != 0)
		(void)snprintf(how, sizeof(how), "its process crashed with signal %d%s%s", signal, signal == 11 ? " (segmentation fault)" : "", during);
	else
		(void)snprintf(how, sizeof(how), "its process ended with status %d%s", exit_code, during);
	over(iso, how);
}

static void again(void *arg)
{
	oc_isolate *iso = arg;
	oc_watch_end(iso->retry);
	iso->retry = NULL;
	oc_module *m = oc_modules_find(iso->all->modules, iso->name);
	if (m == NULL || !oc_module_enabled(m) || !oc_module_isolated(m))
		return;
	if (iso->self != NULL) { /* what ends it is on its way */
		iso->retry = oc_timer_start(iso->all->owner, 5, 0, again, iso);
		return;
	}
	iso->restarts++;
	iso->retried = true;
	oc_module_start(m, NULL, NULL);
}

static void failed(oc_isolate *iso, const char *how)
{
	oc_isolates *all = iso->all;
	oc_module *m = iso->self;
	uint64_t ms = 0;
	char text[400];
	if (iso->started && oc_now_ms() - iso->began_ms > STEADY_MS)
		iso->failures = 0;
	iso->failures++;
	oc_free(iso->last);
	iso->last = oc_strdup(how);
	for (unsigned i = 1; i < iso->failures; i++)
		ms = ms == 0 ? BACKOFF_FIRST_MS : ms * 4 < BACKOFF_MAX_MS ? ms * 4 : BACKOFF_MAX_MS;
	if (iso->failures >= FAILURES_MAX) {
		(void)snprintf(text, sizeof(text), "its process ended %d times in a row, at last: %s", FAILURES_MAX, how);
		oc_error("module", "module %s is quarantined: %s", iso->name, text);
	} else {
		(void)snprintf(text, sizeof(text), "%s; it starts again in %llu ms", how, (unsigned long long)ms);
		oc_warn("module", "module %s: %s", iso->name, text);
		oc_watch_end(iso->retry);
		iso->retry = oc_timer_start(all->owner, ms, 0, again, iso);
	}
	unsigned failures = iso->failures;
	if (iso->started)
		oc_module_lost(m, text, failures < FAILURES_MAX ? "" : "openclaw module reload");
	else
		tell_start(iso, OC_E_RETRY, how);
	if (failures >= FAILURES_MAX)
		oc_module_quarantine(m, text);
}

/* Connection and process are gone, by whatever cause. */
static void over(oc_isolate *iso, const char *how)
{
	oc_auto_free char *reason = oc_strdup(how);
	if (iso->self == NULL)
		return;
	oc_peer_end(iso->peer, how);
	if (iso->stopping != NULL) {
		oc_call *call = iso->stopping;
		iso->stopping = NULL;
		oc_call_done(call, OC_OK, OC_STR_NONE);
		return;
	}
	failed(iso, reason != NULL ? reason : "its process ended");
}

/* ---- The process ---- */

/* This program, which is openclaw-modhost too. */
static oc_status program_path(char ret[PATH_MAX], oc_err *err)
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	ret[n > 0 ? n : 0] = 0;
	if (n <= 0 || access(ret, X_OK) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "restart the gateway", "the gateway's program is not there any more: %s", ret);
	return OC_OK;
}

typedef struct grants {
	const char *read[PATHS_MAX + 1], *write[PATHS_MAX + 1];
	size_t n_read, n_write, n_made;
	char *made[2 * PATHS_MAX];
} grants;

static void grant(grants *g, const char **list, size_t *n, char *path)
{
	if (path == NULL || *n == PATHS_MAX || access(path, F_OK) != 0) {
		oc_free(path);
		return;
	}
	g->made[g->n_made++] = path;
	list[(*n)++] = path;
}

/* What the manifest asks for was shown to the operator who enabled it; its entry may give more, and less. */
static void take_grants(const oc_isolate *iso, const cJSON *entry, const oc_host_api *host, grants *g)
{
	const char *state = iso->all->state;
	const char *workspace = oc_config_str(iso->all->config, "agents.defaults.workspace", "workspace");
	const void *table = NULL;
	const cJSON *one;
	if (oc_module_may(iso->self, OC_STR("fs.write")))
		grant(g, g->write, &g->n_write, oc_path_expand(workspace, state));
	else if (oc_module_may(iso->self, OC_STR("fs.read")))
		grant(g, g->read, &g->n_read, oc_path_expand(workspace, state));
	if (host->query(iso->self, OC_STR(OC_SERVICE_CHANNEL), 1, 0, &table) == OC_OK) {
		oc_str media = ((const oc_channel_host *)table)->media_dir(iso->self);
		grant(g, g->write, &g->n_write, media.n > 0 ? oc_strdup(media.p) : NULL);
	}
	cJSON_ArrayForEach(one, oc_json_get(entry, "read"))
		if (cJSON_IsString(one))
			grant(g, g->read, &g->n_read, oc_path_expand(one->valuestring, state));
	cJSON_ArrayForEach(one, oc_json_get(entry, "write"))
		if (cJSON_IsString(one))
			grant(g, g->write, &g->n_write, oc_path_expand(one->valuestring, state));
}

static int64_t bounded(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static void on_output(void *arg, uint32_t stream, oc_str data)
{
	oc_isolate *iso = arg;
	(void)stream;
	oc_output_take(&iso->output, iso->proc, data);
}

/* Its own log lines come as JSON, with their level; anything else it prints is told as it is. */
static void on_line(void *arg, oc_str line)
{
	const oc_isolate *iso = arg;
	oc_auto_json cJSON *o = NULL;
	char where[96];
	(void)snprintf(where, sizeof(where), "module %s", iso->name);
	if (line.p[0] == '{' && oc_json_parse(line, NULL, &o, NULL) == OC_OK && oc_json_get(o, "message") != NULL) {
		int level = oc_log_level_parse(oc_json_str(o, "level", "info"));
		oc_log(level != 0 ? level : OC_LOG_INFO, where, "%s", oc_json_str(o, "message", ""));
	} else {
		oc_info(where, "%.*s", OC_STR_ARG(line));
	}
}

static void on_dropped(void *arg, uint64_t lines)
{
	oc_isolate *iso = arg;
	oc_module_violation(iso->self, "it printed more than %d lines in a second: %llu were dropped", OC_OUTPUT_LINES,
			    (unsigned long long)lines);
}

static oc_status spawn(oc_isolate *iso, int fd, oc_err *err)
{
	const cJSON *entry = oc_module_entry(iso->self);
	const char *level = oc_json_str(entry, "sandbox", "strict");
	char program[PATH_MAX];
	grants g = {.n_read = 0};
	oc_status status = program_path(program, err);
	if (status != OC_OK)
		return status;
	take_grants(iso, entry, iso->host, &g);
	g.read[g.n_read < PATHS_MAX ? g.n_read : PATHS_MAX - 1] = program;
	const char *argv[] = {program, OC_MODHOST_ARGUMENT, iso->name, NULL};
	oc_proc_options options = {
		.profile = {.level = oc_sandbox_level_parse(level) != 0 ? oc_sandbox_level_parse(level) : OC_SANDBOX_STRICT,
			    .network = oc_module_may(iso->self, OC_STR("net")) && oc_json_bool(entry, "network", true),
			    .read = g.read, .write = g.write, .cwd = "/", .argv = argv,
			    .limits = {.memory_bytes = (uint64_t)bounded(oc_json_i64(entry, "memoryMb", MEMORY_MB), MEMORY_MIN_MB, MEMORY_MAX_MB) * MEMORY_UNIT,
				       .processes = THREADS_MAX, .cpu_seconds = UINT32_MAX}},
		.flags = OC_PROC_MERGE, .pass_fd = fd, .on_output = on_output, .on_exit = on_exit_of, .arg = iso,
	};
	status = oc_proc_spawn(iso->all->procs, iso->owner, &options, &iso->proc, err);
	for (size_t i = 0; i < g.n_made; i++)
		oc_free(g.made[i]);
	return status;
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
	return sendmsg(line, &message, MSG_NOSIGNAL) == 1 ? OC_OK : oc_fail_errno(err, 5, "cannot hand a module to its process");
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static oc_status launch(oc_isolate *iso, oc_err *err)
{
	int fds[5] = {-1, -1, -1, -1, -1}; /* first line: ours, its; second: ours, its; the file */
	const cJSON *entry = oc_module_entry(iso->self);
	oc_peer_options options = {.name = iso->name, .queue = OC_QUEUE_isolated_calls, .version = PACKAGE_VERSION, .events = &peer_events, .arg = iso,
				   .silent_ms = (uint32_t)bounded(oc_json_i64(entry, "hangMs", SILENT_MS), SILENT_MIN_MS, SILENT_MAX_MS)};
	oc_status status = oc_module_copy(iso->self, &fds[4], err);
	if (status == OC_OK && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &fds[0]) != 0 ||
				socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &fds[2]) != 0))
		status = oc_fail_errno(err, 24, "no connection to a process");
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
		options.events = &question_events;
		options.silent_ms = 0;
		status = oc_peer_open(iso->all->loop, &options, &iso->questions, err);
	}
	if (status == OC_OK)
		status = spawn(iso, fds[1], err);
	close_all(fds, 5);
	return status;
}

/* ---- The descriptor ---- */

static oc_isolate *record(oc_isolates *all, const char *name)
{
	oc_isolate *iso;
	for (iso = all->first; iso != NULL; iso = iso->next)
		if (strcmp(iso->name, name) == 0)
			return iso;
	iso = oc_alloc(sizeof(*iso));
	if (iso == NULL)
		return NULL;
	*iso = (oc_isolate){.next = all->first, .all = all, .name = oc_strdup(name)};
	if (iso->name == NULL) {
		oc_free(iso);
		return NULL;
	}
	all->first = iso;
	return iso;
}

/* Everything of the process, which is ended if it is not. */
static void fini(void *inst)
{
	oc_isolate *iso = inst;
	iso->starting = iso->stopping = NULL;
	oc_isolate_wishes_end(iso);
	oc_peer_close(iso->peer);
	oc_peer_close(iso->questions);
	iso->peer = iso->questions = NULL;
	while (iso->asked != NULL)
		asked_free(iso->asked);
	oc_output_end(&iso->output);
	iso->patience = NULL;
	oc_owner_free(iso->owner);
	iso->owner = NULL;
	iso->proc = NULL;
	guests_free(iso);
	oc_free(iso->settings);
	oc_free(iso->why);
	oc_free(iso->start_text);
	iso->settings = iso->why = iso->start_text = NULL;
	iso->started = iso->answered = false;
	iso->during = 0;
	memset(iso->figures, 0, sizeof(iso->figures));
	iso->self = NULL;
}

static oc_status init(const oc_host_api *host, oc_self *self, oc_str settings, void **ret)
{
	oc_isolates *all = oc_modules_isolator_arg(oc_module_registry(self));
	oc_isolate *iso = record(all, oc_module_name(self));
	oc_auto_free char *owner = oc_asprintf("process of module %s", oc_module_name(self));
	oc_err err = {0};
	if (iso == NULL || owner == NULL)
		return OC_E_NOMEM;
	if (!iso->retried)
		iso->failures = 0; /* somebody wants it to be tried */
	iso->retried = false;
	iso->self = self;
	iso->host = host;
	iso->began_ms = oc_now_ms();
	iso->settings = oc_memdup(settings.p, settings.n);
	iso->owner = oc_owner_new(all->loop, owner);
	iso->output = (oc_output){.owner = iso->owner, .line = on_line, .dropped = on_dropped, .arg = iso};
	oc_status status = iso->settings == NULL || iso->owner == NULL ? OC_E_NOMEM : launch(iso, &err);
	if (status != OC_OK) {
		host->log(self, OC_LOG_ERROR, oc_str_of(err.text));
		fini(iso);
		return status;
	}
	*ret = iso;
	return OC_OK;
}

static void start(void *inst, oc_call *call)
{
	oc_isolate *iso = inst;
	iso->starting = call;
	if (iso->answered)
		tell_start(iso, iso->start_status, iso->start_text != NULL ? iso->start_text : "");
}

static void on_stopped(void *arg, oc_status status, oc_str result)
{
	oc_isolate *iso = arg;
	oc_call *call = iso->stopping;
	iso->stopping = NULL;
	if (call != NULL)
		oc_call_done(call, status == OC_E_RETRY ? OC_OK : status, result);
}

static void stop(void *inst, oc_call *call, uint64_t deadline_ms)
{
	oc_isolate *iso = inst;
	oc_sbuf b;
	oc_watch_end(iso->retry);
	iso->retry = NULL;
	iso->stopping = call;
	oc_sbuf_init(&b, 64);
	oc_pack_u64(&b, deadline_ms);
	if (!iso->started || oc_peer_call_start(iso->peer, &(oc_peer_call){.method = "stop", .payload = oc_sbuf_view(&b), .on_done = on_stopped,
									   .deadline_ms = (uint32_t)bounded((int64_t)deadline_ms, 1, 60000), .arg = iso}, NULL) != OC_OK)
		on_stopped(iso, OC_OK, OC_STR_NONE);
	oc_sbuf_free(&b);
}

static const oc_module_desc desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR,
				    .abi_minor = OC_ABI_MINOR, .init = init, .start = start, .stop = stop, .fini = fini};

/* ---- For people ---- */

static void set_num(cJSON *o, const char *name, double value)
{
	(void)oc_json_set(o, name, cJSON_CreateNumber(value));
}

/* Of memory and time only the process itself knows. */
static void describe_figures(const oc_isolate *iso, cJSON *o)
{
	cJSON *memory = cJSON_CreateObject(), *callbacks = cJSON_CreateObject();
	const uint64_t *f = iso->figures;
	set_num(memory, "bytes", (double)f[0]);
	set_num(memory, "limitBytes", (double)f[1]);
	set_num(memory, "blocks", (double)f[2]);
	set_num(callbacks, "count", (double)f[3]);
	set_num(callbacks, "totalMs", (double)f[4] / 1e6);
	set_num(callbacks, "maxMs", (double)f[5] / 1e6);
	set_num(callbacks, "over10ms", (double)f[6]);
	set_num(callbacks, "over100ms", (double)f[7]);
	(void)oc_json_set(o, "memory", memory);
	(void)oc_json_set(o, "callbacks", callbacks);
	set_num(o, "violations", (double)f[8]);
}

static void describe(void *arg, const oc_module *module, bool detail, cJSON *o)
{
	const oc_isolates *all = arg;
	const oc_isolate *iso = all->first;
	while (iso != NULL && strcmp(iso->name, oc_module_name(module)) != 0)
		iso = iso->next;
	if (iso == NULL)
		return;
	if (iso->proc != NULL)
		(void)oc_json_set_i64(o, "pid", oc_proc_pid(iso->proc));
	(void)oc_json_set_i64(o, "restarts", iso->restarts);
	(void)oc_json_set_i64(o, "readyMs", (int64_t)iso->ready_ms);
	if (iso->last != NULL)
		(void)oc_json_set_str(o, "lastFailure", iso->last);
	if (detail && iso->started)
		describe_figures(iso, o);
}

static const oc_isolator isolator = {.desc = &desc, .describe = describe};

/* ---- All of them ---- */

static oc_status configure_procs(oc_isolates *all, oc_err *err)
{
	oc_auto_free char *workspace = oc_path_expand(oc_config_str(all->config, "agents.defaults.workspace", "workspace"), all->state);
	oc_auto_free char *media = oc_path_join(all->state, "media");
	const char *open[] = {workspace, media, NULL};
	oc_procs_options options = {.level = OC_SANDBOX_OFF, .network = true, .state_dir = all->state, .open = open, .max_processes = 256,
				    .limits = {.cpu_seconds = UINT32_MAX, .memory_bytes = (uint64_t)MEMORY_MAX_MB * MEMORY_UNIT},
				    .allow_downgrade = oc_config_bool(all->config, "tools.exec.sandbox.allowDowngrade", false)};
	if (workspace == NULL || media == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for modules' processes");
	return all->procs == NULL ? oc_procs_new(all->loop, &options, &all->procs, err) : oc_procs_configure(all->procs, &options, err);
}

oc_status oc_isolates_new(oc_loop *loop, oc_config *config, oc_modules *modules, oc_isolates **ret, oc_err *err)
{
	oc_isolates *all = oc_alloc(sizeof(*all));
	oc_status status = OC_E_NOMEM;
	if (all != NULL) {
		*all = (oc_isolates){.loop = loop, .config = oc_config_ref(config), .modules = modules, .state = oc_path_state_dir(),
				     .owner = oc_owner_new(loop, "modules' processes")};
		status = all->state == NULL || all->owner == NULL ? OC_E_NOMEM : configure_procs(all, err);
	}
	if (status != OC_OK) {
		oc_isolates_free(all);
		return oc_fail(err, status, NULL, "no memory for modules' processes");
	}
	oc_modules_set_isolator(modules, &isolator, all);
	*ret = all;
	return OC_OK;
}

void oc_isolates_configure(oc_isolates *all, oc_config *config)
{
	oc_err err = {0};
	oc_config_unref(all->config);
	all->config = oc_config_ref(config);
	if (configure_procs(all, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "module", "new settings for modules' processes are not used", &err);
}

static void fill_one(oc_fill *q, const oc_isolate *iso)
{
	oc_isolate_requests_fill(iso, &q[OC_QUEUE_isolated_requests]);
	oc_peer_fill(iso != NULL ? iso->peer : NULL, OC_QUEUE_isolated_calls, q);
}

void oc_isolates_queues(const oc_isolates *all, oc_fill q[OC_QUEUE_N])
{
	fill_one(q, NULL);
	for (const oc_isolate *iso = all != NULL ? all->first : NULL; iso != NULL; iso = iso->next)
		fill_one(q, iso);
}

void oc_isolates_free(oc_isolates *all)
{
	if (all == NULL)
		return;
	while (all->first != NULL) {
		oc_isolate *iso = all->first;
		all->first = iso->next;
		oc_free(iso->last);
		oc_free(iso->name);
		oc_free(iso);
	}
	oc_procs_free(all->procs);
	oc_owner_free(all->owner);
	oc_config_unref(all->config);
	oc_free(all->state);
	oc_free(all);
}
