/* Modules in processes of their own: see isolate.h. Their lives. */
#include "ipc-bridge/isolate_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"

enum {
	FAILURES_MAX = 5,	 /* in a row: quarantine */
	BACKOFF_FIRST_MS = 100,	 /* after the second; the first time it is started at once */
	BACKOFF_MAX_MS = 30 * 1000,
	STEADY_MS = 60 * 1000,	 /* up for so long: what failed before is forgotten */
	END_MS = 100,		 /* from the end of its connection to that of its process, before it is killed */
	RELOAD_MS = 5000,
	WINDOW_MS = 100, SAID_MAX = 5000, /* messages in that time that answer nothing */
	SLOW_MS = 5, SLOW_MAX_MS = 100, /* not heard for so long, each time longer, when somebody does not keep up with what it says */
};

static void over(oc_isolate *iso, const char *how);

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
		status = oc_isolate_guest_add(iso, &ifaces[i], i, &err);
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

static void hear_again(void *arg)
{
	oc_isolate *iso = arg;
	oc_watch_end(iso->deaf);
	iso->deaf = NULL;
	oc_peer_pause(iso->peer, false);
	oc_peer_pause(iso->questions, false);
}

/* Neither a flood nor a slow receiver costs the gateway more than it has: its process waits, as one that writes into a full
 * pipe. */
void oc_isolate_said(oc_isolate *iso, bool slow)
{
	uint64_t now = oc_now_ms();
	if (now - iso->window_ms >= WINDOW_MS) {
		iso->window_ms = now;
		iso->said = 0;
	}
	bool flood = ++iso->said > SAID_MAX;
	if (!slow && iso->deaf == NULL)
		iso->slow_ms = SLOW_MS;
	if ((!flood && !slow) || iso->deaf != NULL || iso->peer == NULL || iso->questions == NULL)
		return;
	uint64_t ms = flood ? WINDOW_MS - (now - iso->window_ms) + 1 : iso->slow_ms;
	iso->slow_ms = iso->slow_ms * 2 < SLOW_MAX_MS ? iso->slow_ms * 2 : SLOW_MAX_MS;
	iso->deaf = oc_timer_start(iso->owner, ms, 0, hear_again, iso);
	if (iso->deaf == NULL)
		return;
	if (flood && !iso->flooded)
		oc_module_violation(iso->self, "it sent more than %d messages in %d ms that nobody asked for, and is made to wait", SAID_MAX,
				    WINDOW_MS);
	iso->flooded |= flood;
	oc_peer_pause(iso->peer, true);
	oc_peer_pause(iso->questions, true);
}

static void on_notify(void *arg, oc_str name, oc_str payload)
{
	oc_isolate *iso = arg;
	oc_unpack u = {payload, false};
	bool figures = oc_str_eqz(name, "figures") && iso->owed > 0;
	if (figures)
		iso->owed--; /* they come before the answer of a call */
	else
		oc_isolate_said(iso, false);
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
	oc_isolate_said(arg, false);
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

/* ---- What it prints ---- */

void oc_isolate_on_output(void *arg, uint32_t stream, oc_str data)
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

void oc_isolate_on_exit(void *arg, oc_status status, int exit_code, int signal, oc_str message)
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
	oc_isolate_asked_end(iso);
	oc_output_end(&iso->output);
	iso->patience = iso->deaf = NULL;
	oc_owner_free(iso->owner);
	iso->owner = NULL;
	iso->proc = NULL;
	oc_isolate_guests_free(iso);
	oc_free(iso->settings);
	oc_free(iso->terms);
	oc_free(iso->why);
	oc_free(iso->start_text);
	iso->settings = iso->terms = iso->why = iso->start_text = NULL;
	iso->started = iso->answered = iso->flooded = false;
	iso->owed = iso->said = 0;
	iso->slow_ms = SLOW_MS;
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
	oc_status status = iso->settings == NULL || iso->owner == NULL ? OC_E_NOMEM : oc_isolate_launch(iso, &peer_events, &question_events, &err);
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

/* ---- New settings ---- */

static void on_reloaded(void *arg, oc_status status, oc_str result)
{
	oc_isolate *iso = arg;
	oc_pack_iface ifaces[OC_PACK_IFACES_MAX];
	uint32_t n = 0;
	if (!oc_peer_connected(iso->peer))
		return; /* oc_module_lost tells */
	if (status == OC_E_TIMEOUT || (status == OC_OK && !oc_unpack_ifaces(result, ifaces, &n)))
		status = OC_E_RESTART;
	for (uint32_t i = 0; i < n && status == OC_OK; i++)
		if (!oc_isolate_guest_changed(iso, &ifaces[i], i))
			status = OC_E_RESTART;
	oc_module_settings_answered(iso->self, status);
}

/* Where it may go is settled when its process begins; anything else its own reload decides about. */
static oc_status reload(void *inst, oc_str settings)
{
	oc_isolate *iso = inst;
	oc_sbuf b;
	if (oc_isolate_terms_changed(iso))
		return OC_E_RESTART;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_str(&b, settings);
	oc_status status = b.error;
	if (status == OC_OK)
		status = oc_peer_call_start(iso->peer, &(oc_peer_call){.method = "reload", .payload = oc_sbuf_view(&b), .deadline_ms = RELOAD_MS,
								       .on_done = on_reloaded, .arg = iso}, NULL);
	oc_sbuf_free(&b);
	return status == OC_OK ? OC_E_BUSY : OC_E_RESTART;
}

/* ---- Stopping ---- */

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
									   .deadline_ms = deadline_ms < 1 ? 1 : deadline_ms < 60000 ? (uint32_t)deadline_ms : 60000, .arg = iso}, NULL) != OC_OK)
		on_stopped(iso, OC_OK, OC_STR_NONE);
	oc_sbuf_free(&b);
}

static const oc_module_desc desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR,
				    .abi_minor = OC_ABI_MINOR, .init = init, .start = start, .stop = stop, .fini = fini, .reload = reload};

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

oc_status oc_isolates_new(oc_loop *loop, oc_config *config, oc_modules *modules, oc_isolates **ret, oc_err *err)
{
	oc_isolates *all = oc_alloc(sizeof(*all));
	oc_status status = OC_E_NOMEM;
	if (all != NULL) {
		*all = (oc_isolates){.loop = loop, .config = oc_config_ref(config), .modules = modules, .state = oc_path_state_dir(),
				     .owner = oc_owner_new(loop, "modules' processes")};
		status = all->state == NULL || all->owner == NULL ? OC_E_NOMEM : oc_isolates_configure_procs(all, err);
	}
	if (status != OC_OK) {
		oc_isolates_free(all);
		return oc_fail(err, status, NULL, "no memory for modules' processes");
	}
	oc_modules_set_isolator(modules, &isolator, all);
	*ret = all;
	return OC_OK;
}

/* What one may reach is another now: it begins anew. */
static void look_at_terms(void *arg)
{
	oc_isolates *all = arg;
	for (const oc_isolate *iso = all->first; iso != NULL; iso = iso->next)
		if (iso->self != NULL && iso->started && oc_module_running(iso->self) && oc_isolate_terms_changed(iso)) {
			oc_info("module", "module %s may reach other places now, and begins anew", iso->name);
			oc_module_restart(iso->self, NULL, NULL);
		}
}

void oc_isolates_configure(oc_isolates *all, oc_config *config)
{
	oc_err err = {0};
	oc_config_unref(all->config);
	all->config = oc_config_ref(config);
	if (oc_isolates_configure_procs(all, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "module", "new settings for modules' processes are not used", &err);
	/* Once the registry has them too. */
	(void)oc_loop_defer(all->loop, all->owner, look_at_terms, all);
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
	if (all->program != NULL)
		(void)unlink(all->program);
	oc_free(all->program);
	oc_owner_free(all->owner);
	oc_config_unref(all->config);
	oc_free(all->state);
	oc_free(all);
}
