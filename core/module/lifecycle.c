/* A module's life: open, init, start; stop, fini; reload. One step at a time, nothing waits. */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/module/internal.h"

static void begin_start(oc_module *m);
static void batch_go_on(oc_modules *modules);

/* ---- Batches: who waits for what ---- */

/* NULL: there is no memory, and whoever waits was told so. */
static oc_batch *batch_new(oc_modules *modules, oc_modules_done *done, void *arg)
{
	oc_batch *b = oc_alloc(sizeof(*b));

	if (b == NULL) {
		oc_error("module", "out of memory while modules change state");
		if (done != NULL)
			done(arg, 0, 1);
		return NULL;
	}
	*b = (oc_batch){.registry = modules, .done = done, .arg = arg, .pending = 1};
	return b;
}

static void batches_over(void *arg)
{
	oc_modules *modules = arg;
	oc_batch *list = modules->over;

	modules->over = NULL;
	while (list != NULL) {
		oc_batch b = *list;

		oc_free(list);
		list = b.next;
		if (b.done != NULL)
			b.done(b.arg, b.ok, b.failed);
	}
}

static void batch_drop(oc_batch *b)
{
	oc_modules *modules = b->registry;
	bool first = modules->over == NULL;

	if (--b->pending > 0)
		return;
	/* done is news for the next turn; the registry keeps the batch until then. */
	b->next = modules->over;
	modules->over = b;
	if (first && !modules->freeing && oc_loop_defer(modules->loop, modules->owner, batches_over, modules) != OC_OK)
		batches_over(modules);
}

/* The module's change of state is over. */
static void batch_report(oc_module *m, bool ok)
{
	oc_batch *b = m->batch;

	if (b == NULL)
		return;
	m->batch = NULL;
	if (ok)
		b->ok++;
	else
		b->failed++;
	batch_drop(b);
}

/* ---- Opening ---- */

static oc_status open_code(oc_module *m, oc_err *err)
{
	const oc_module_desc *raw = m->linked;
	oc_module_desc desc;
	oc_status st = OC_OK;

	bool isolate = m->isolate && m->registry->isolator != NULL;

	if (isolate != m->isolated)
		m->desc.name = NULL;
	m->isolated = isolate;
	if (m->isolated) {
		m->desc = *m->registry->isolator->desc;
		m->desc.name = m->name;
		return OC_OK;
	}
	if (m->desc.name != NULL)
		return OC_OK; /* from an earlier start: code is never unmapped */
	if (raw == NULL) {
		oc_visit visit = oc_visit_mark(m);

		st = oc_loader_load(&m->file, m->path, &raw, err);
		oc_visit_unmark(visit);
	}
	if (st == OC_OK)
		st = oc_loader_check(raw, m->manifest, &desc, err);
	if (st == OC_OK)
		m->desc = desc;
	return st;
}

static oc_status add_guests(oc_module *m, oc_err *err)
{
	for (size_t i = 0; i < m->desc.n_ifaces; i++) {
		oc_status st = oc_guest_add(m, &m->desc.ifaces[i], m->inst, NULL, err);

		if (st != OC_OK)
			return st;
	}
	return OC_OK;
}

/* A vtable that is not in order is found before init runs. */
static oc_status check_ifaces(const oc_module *m, oc_err *err)
{
	char table[sizeof(oc_vtbl)];
	uint32_t kinds = 0;

	if (m->isolated)
		return OC_OK; /* told when its process is there */
	for (size_t i = 0; i < m->desc.n_ifaces; i++) {
		oc_status st = oc_loader_check_iface(&m->desc.ifaces[i], m->manifest, table, sizeof(table), err);

		if (st != OC_OK)
			return st;
		kinds |= UINT32_C(1) << m->desc.ifaces[i].kind;
	}
	for (uint32_t kind = 1; kind < 32; kind++)
		if ((m->manifest->kinds >> kind & 1) != 0 && (kinds >> kind & 1) == 0 && m->linked == NULL)
			return oc_fail(err, OC_E_INVALID, "list only the kinds that the descriptor has in module.json",
				       "the manifest lists the kind %s, but the descriptor has no such interface",
				       oc_kind_name(kind));
	return OC_OK;
}

oc_status oc_module_check(oc_module *m, oc_err *err)
{
	oc_status st;

	if (!m->enabled || m->bad)
		return oc_fail(err, OC_E_STATE, NULL, "module %s is not enabled", m->name);
	st = open_code(m, err);
	return st == OC_OK ? check_ifaces(m, err) : st;
}

static oc_status run_init(oc_module *m, oc_err *err)
{
	uint64_t began;
	oc_visit visit;
	oc_status st;

	m->last_error[0] = '\0';
	oc_module_set_state(m, OC_MODULE_OPENED, NULL, NULL);
	m->ended = false;
	m->inited = true; /* what it posts in init is for this instance */
	began = oc_now_ns();
	visit = oc_visit_begin(m);
	oc_visit_set_call("init");
	st = m->desc.init(oc_host_table(), m, oc_str_of(m->config), &m->inst);
	oc_visit_set_call(NULL);
	oc_visit_end(m, visit);
	m->init_us = (oc_now_ns() - began) / 1000;
	if (m->isolated)
		m->init_us = 0; /* the time to start a process */
	if (m->init_us > OC_INIT_BUDGET_MS * 1000)
		oc_warn("module", "init of module %s took %llu ms; %d ms are allowed", m->name,
			(unsigned long long)(m->init_us / 1000), OC_INIT_BUDGET_MS);
	if (st == OC_OK)
		return OC_OK;
	oc_host_release(m);
	oc_owner_sweep(m->owner);
	m->inited = false;
	(void)atomic_fetch_add(&m->instance, 1);
	m->inst = NULL;
	if (m->last_error[0] != '\0')
		return oc_fail(err, st, st == OC_E_INVALID ? "correct its settings in the configuration" : NULL, "%s",
			       m->last_error);
	return oc_fail(err, st, st == OC_E_INVALID ? "correct its settings in the configuration" : NULL,
		       "its init failed: %s", oc_status_text(st));
}

/* FOUND or STOPPED to INITED; REFUSED when something is not in order. */
static bool open_module(oc_module *m)
{
	oc_err err = {0};
	oc_status st = OC_OK;

	if (m->owner == NULL) {
		oc_auto_free char *name = oc_asprintf("module %s", m->name);

		m->owner = name == NULL ? NULL : oc_owner_new(m->registry->loop, name);
		if (m->owner == NULL)
			st = oc_fail(&err, OC_E_NOMEM, NULL, "no memory to start it");
		else
			oc_visit_guard(m);
	}
	m->start_failed = m->replaced = false;
	oc_free(m->config);
	m->config = NULL;
	if (st == OC_OK)
		st = oc_policy_config(m, &m->config, &err);
	if (st == OC_OK)
		st = open_code(m, &err);
	if (st == OC_OK)
		st = check_ifaces(m, &err);
	if (st == OC_OK)
		st = run_init(m, &err);
	if (st == OC_OK) {
		oc_module_set_state(m, OC_MODULE_INITED, NULL, NULL);
		st = add_guests(m, &err);
		if (st != OC_OK)
			oc_module_kill(m);
	}
	if (st != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "module", m->name, &err);
		oc_module_refuse(m, &err);
	}
	return st == OC_OK;
}

/* ---- Starting ---- */

static void started_now(oc_module *m)
{
	if (m->state != OC_MODULE_STARTING)
		return;
	oc_module_set_state(m, OC_MODULE_STARTED, NULL, NULL);
	if (m->init_us > OC_INIT_BUDGET_MS * 1000)
		oc_module_violation(m, "init took %llu ms", (unsigned long long)(m->init_us / 1000));
	oc_guests_open(m);
	batch_report(m, true);
	batch_go_on(m->registry);
}

static void started(void *arg)
{
	oc_visit visit = oc_visit_aside();

	started_now(arg);
	oc_visit_return(visit);
}

static void start_answered(void *arg, oc_status status, oc_str result)
{
	oc_module *m = arg;
	oc_err err = {0};

	if (m->state != OC_MODULE_STARTING)
		return; /* it is being stopped meanwhile */
	if (status == OC_OK) {
		started_now(m);
		return;
	}
	oc_call_error(status, result, &err, NULL);
	if (!m->isolated) /* there it is init that answers here */
		(void)oc_err_prefix(&err, "it did not start");
	oc_log_err(OC_LOG_ERROR, "module", m->name, &err);
	oc_module_kill(m);
	oc_module_refuse(m, &err);
	batch_report(m, false);
	batch_go_on(m->registry);
}

static void begin_start(oc_module *m)
{
	oc_call_options options = {.on_done = start_answered, .arg = m};
	static const oc_call_args none;
	oc_call_args args = none;
	oc_status st;

	m->in_batch_start = false;
	oc_module_set_state(m, OC_MODULE_STARTING, NULL, NULL);
	if (m->desc.start == NULL) {
		/* On the next turn, as an answer would come. */
		if (oc_loop_defer(m->registry->loop, m->owner, started, m) != OC_OK)
			start_answered(m, OC_E_NOMEM, OC_STR_NONE);
		return;
	}
	st = oc_call_start(m, NULL, OC_FN_START, &args, &options, NULL);
	if (st != OC_OK)
		start_answered(m, st, OC_STR_NONE);
}

static bool may_start(const oc_module *m)
{
	if (m->inited || m->batch != NULL || m->bad || !m->enabled)
		return false;
	return m->state == OC_MODULE_VERIFIED || m->state == OC_MODULE_STOPPED || m->state == OC_MODULE_REFUSED;
}

/* Opens one and lets it wait for its services. */
static void enqueue_start(oc_module *m, oc_batch *b)
{
	b->pending++;
	m->batch = b;
	if (open_module(m))
		m->in_batch_start = true;
	else
		batch_report(m, false);
}

/* ---- Stopping ---- */

static void finish(oc_module *m)
{
	oc_visit visit;
	unsigned blocks;

	oc_watch_end(m->stop_timer);
	m->stop_timer = NULL;
	m->fini_due = false;
	visit = oc_visit_begin(m);
	oc_visit_set_call("fini");
	m->desc.fini(m->inst);
	oc_visit_set_call(NULL);
	oc_visit_end(m, visit);
	oc_owner_sweep(m->owner);
	m->state_event_waiting = false; /* the sweep took it */
	m->inited = false;
	m->inst = NULL;
	(void)atomic_fetch_add(&m->instance, 1);
	blocks = atomic_load(&m->blocks);
	if (blocks > 0)
		oc_warn("module", "module %s ended without freeing %u blocks (%zu bytes) of memory", m->name, blocks,
			atomic_load(&m->bytes));
}

static void stopped(oc_module *m)
{
	oc_modules *modules = m->registry;
	bool again = m->again;

	m->again = false;
	oc_module_set_state(m, OC_MODULE_STOPPED, NULL, NULL);
	if (again && m->enabled && open_module(m)) {
		m->in_batch_start = true;
	} else {
		batch_report(m, !again);
		oc_policy_apply(modules, NULL);
	}
	batch_go_on(modules);
}

/* No call, no watch is left; only work in the pool may still run, and it uses the instance. */
static void end_everything(oc_module *m, const char *why)
{
	oc_watch_end(m->stop_timer);
	m->stop_timer = NULL;
	m->stop_answered = true;
	oc_calls_end(m, OC_E_UNAVAILABLE, why);
	oc_host_release(m);
	oc_owner_sweep(m->owner);
	m->state_event_waiting = false; /* the sweep took it */
}

/* Its thread still uses the instance: freeing that would crash. It is left as it is, for good. */
static void give_up(void *arg)
{
	oc_module *m = arg;

	oc_error("module", "module %s has work that does not end; it cannot be started again in this process", m->name);
	oc_watch_end(m->stop_timer);
	m->stop_timer = NULL;
	m->fini_due = m->inited = m->again = false;
	m->inst = NULL;
	m->bad = true;
	(void)atomic_fetch_add(&m->instance, 1);
	oc_module_set_state(m, OC_MODULE_REFUSED, "its work did not end when it was stopped", "restart the gateway");
	batch_report(m, false);
	batch_go_on(m->registry);
}

void oc_module_idle(oc_module *m)
{
	if (m->n_works > 0) {
		if (m->fini_due && m->stop_timer == NULL && m->state == OC_MODULE_STOPPING)
			m->stop_timer = oc_timer_start(m->registry->owner, OC_STOP_DEADLINE_MS, 0, give_up, m);
		return;
	}
	if (!m->fini_due)
		return;
	finish(m);
	if (m->state == OC_MODULE_STOPPING)
		stopped(m);
}

static void all_ended(oc_module *m)
{
	m->stop_answered = true;
	m->fini_due = true;
	end_everything(m, "the module stopped");
	oc_module_idle(m);
}

static void stop_answered(void *arg, oc_status status, oc_str result)
{
	oc_module *m = arg;

	if (m->stop_answered)
		return;
	if (status != OC_OK)
		oc_warn("module", "stopping module %s: %.*s", m->name, OC_STR_ARG(result));
	all_ended(m);
}

static void begin_stop(oc_module *m)
{
	oc_call_options options = {.deadline_ms = m->stop_ms, .on_done = stop_answered, .arg = m};
	oc_call_args args = {.deadline_ms = m->stop_ms};

	m->in_batch_stop = false;
	m->in_batch_start = false;
	oc_module_set_state(m, OC_MODULE_STOPPING, NULL, NULL);
	oc_guests_shut(m);
	m->stop_answered = false;
	oc_calls_cancel(m);
	if (m->desc.stop == NULL || oc_call_start(m, NULL, OC_FN_STOP, &args, &options, NULL) != OC_OK)
		all_ended(m);
}

void oc_module_kill(oc_module *m)
{
	oc_batch *b = m->batch;

	if (m->inited) {
		oc_guests_shut(m);
		m->state = OC_MODULE_STOPPING;
		m->stop_answered = true;
		m->fini_due = true;
		end_everything(m, "the module was ended");
		m->state = OC_MODULE_STOPPED;
		oc_module_idle(m);
	}
	/* A registry that is freed takes the batches of its modules with it. */
	if (b != NULL && m->registry->freeing)
		batch_report(m, false);
}

/* ---- Order ---- */

static bool service_pending(const oc_modules *modules, const oc_module *m)
{
	for (size_t i = 0; i < modules->n; i++) {
		const oc_module *other = modules->list[i];

		if ((other->in_batch_start || other->state == OC_MODULE_STARTING) && oc_module_serves(other, m))
			return true;
	}
	return false;
}

static bool still_needed(const oc_modules *modules, const oc_module *m)
{
	for (size_t i = 0; i < modules->n; i++) {
		const oc_module *other = modules->list[i];

		if ((other->in_batch_stop || other->state == OC_MODULE_STOPPING) && oc_module_serves(m, other))
			return true;
	}
	return false;
}

/* Starts and stops what no longer has to wait. When nothing moves, they wait for each other: then the first goes. */
static void batch_go_on(oc_modules *modules)
{
	bool moving, go;

	do {
		go = moving = false;
		for (size_t i = 0; i < modules->n; i++) {
			oc_module *m = modules->list[i];

			if (m->state == OC_MODULE_STARTING || m->state == OC_MODULE_STOPPING)
				moving = true;
			if (m->in_batch_start && !service_pending(modules, m)) {
				begin_start(m);
				go = true;
			} else if (m->in_batch_stop && !still_needed(modules, m)) {
				begin_stop(m);
				go = true;
			}
			if (go)
				break; /* the list may have changed */
		}
		if (go || moving)
			continue;
		for (size_t i = 0; i < modules->n && !go; i++) {
			oc_module *m = modules->list[i];

			if (m->in_batch_start)
				begin_start(m);
			else if (m->in_batch_stop)
				begin_stop(m);
			else
				continue;
			go = true;
		}
	} while (go);
}

/* ---- Orders from outside ---- */

void oc_modules_start(oc_modules *modules, oc_modules_done *done, void *arg)
{
	oc_batch *b = batch_new(modules, done, arg);

	if (b == NULL)
		return;
	for (size_t i = 0; i < modules->n; i++)
		if (may_start(modules->list[i]))
			enqueue_start(modules->list[i], b);
	batch_go_on(modules);
	batch_drop(b);
}

void oc_module_start(oc_module *module, oc_modules_done *done, void *arg)
{
	oc_batch *b = batch_new(module->registry, done, arg);

	if (b == NULL)
		return;
	if (oc_module_running(module)) {
		b->ok++;
	} else if (!may_start(module)) {
		b->failed++;
	} else {
		enqueue_start(module, b);
		batch_go_on(module->registry);
	}
	batch_drop(b);
}

static void enqueue_stop(oc_module *m, oc_batch *b, uint64_t deadline_ms, bool again)
{
	/* Whoever waits for its start hears that it did not come to that. */
	batch_report(m, false);
	oc_free(m->handing);
	m->handing = NULL;
	b->pending++;
	m->batch = b;
	m->again = again;
	m->stop_ms = deadline_ms != 0 ? deadline_ms : OC_STOP_DEADLINE_MS;
	if (m->state == OC_MODULE_STOPPING)
		return; /* this batch takes over the waiting */
	m->in_batch_start = false;
	m->in_batch_stop = true;
}

/* Stopping runs code of the module and ends its calls, so never below one of its functions. */
static void go_later(void *arg)
{
	oc_modules *modules = arg;

	modules->go_waiting = false;
	batch_go_on(modules);
}

static void go(oc_modules *modules, oc_batch *b)
{
	if (oc_visit_inside() && !modules->go_waiting)
		modules->go_waiting = oc_loop_defer(modules->loop, modules->owner, go_later, modules) == OC_OK;
	if (!modules->go_waiting)
		batch_go_on(modules);
	batch_drop(b);
}

void oc_modules_stop(oc_modules *modules, uint64_t deadline_ms, oc_modules_done *done, void *arg)
{
	oc_batch *b = batch_new(modules, done, arg);

	if (b == NULL)
		return;
	for (size_t i = 0; i < modules->n; i++)
		if (modules->list[i]->inited)
			enqueue_stop(modules->list[i], b, deadline_ms, false);
	go(modules, b);
}

void oc_module_stop(oc_module *module, uint64_t deadline_ms, oc_modules_done *done, void *arg)
{
	oc_batch *b = batch_new(module->registry, done, arg);

	if (b == NULL)
		return;
	if (module->inited)
		enqueue_stop(module, b, deadline_ms, false);
	go(module->registry, b);
}

void oc_module_restart(oc_module *module, oc_modules_done *done, void *arg)
{
	oc_batch *b;

	if (!module->inited) {
		oc_module_start(module, done, arg);
		return;
	}
	b = batch_new(module->registry, done, arg);
	if (b == NULL)
		return;
	enqueue_stop(module, b, 0, true);
	go(module->registry, b);
}

oc_status oc_module_renew(oc_module *m, oc_str manifest_json, oc_err *err)
{
	oc_manifest *manifest = NULL;
	oc_visit visit;
	oc_status st = oc_manifest_parse(manifest_json, &manifest, err);

	if (st != OC_OK)
		return st;
	oc_manifest_free(m->manifest);
	m->manifest = manifest;
	visit = oc_visit_aside();
	if (oc_module_running(m)) {
		oc_guests_changed(m);
	} else if (m->desc.start != NULL || !may_start(m)) {
		oc_module_restart(m, NULL, NULL);
	} else if (open_module(m)) {
		oc_module_set_state(m, OC_MODULE_STARTING, NULL, NULL);
		started_now(m);
	}
	oc_visit_return(visit);
	return OC_OK;
}

/* ---- New settings ---- */

/* The status of reload: OC_OK taken, OC_E_RESTART, anything else refused. */
oc_status oc_module_hand_settings(oc_module *m, char *text)
{
	oc_status st = OC_E_RESTART;
	oc_visit visit;

	if (m->desc.reload != NULL) {
		visit = oc_visit_begin(m);
		oc_visit_set_call("reload");
		st = m->desc.reload(m->inst, oc_str_of(text));
		oc_visit_set_call(NULL);
		oc_visit_end(m, visit);
	}
	if (st == OC_OK) {
		oc_free(m->config);
		m->config = text;
		oc_guests_changed(m);
		return OC_OK;
	}
	if (st == OC_E_BUSY && m->isolated)
		m->handing = text;
	else
		oc_free(text);
	return st;
}

static void note_unused(oc_module *m, const char *why)
{
	oc_free(m->unused);
	m->unused = why != NULL ? oc_strdup(why) : NULL;
}

static void refused(oc_module *m, oc_status st)
{
	note_unused(m, "it refuses its new settings and keeps the old ones");
	oc_error("module", "module %s refuses the new settings and keeps the old ones: %s", m->name, oc_status_text(st));
}

void oc_module_settings_answered(oc_module *m, oc_status status)
{
	char *text = m->handing;
	oc_batch *b;

	m->handing = NULL;
	if (text == NULL)
		return;
	if (status == OC_OK) {
		oc_free(m->config);
		m->config = text;
		oc_guests_changed(m);
		oc_info("module", "module %s took new settings", m->name);
		batch_report(m, true);
		return;
	}
	oc_free(text);
	if (status == OC_E_RESTART) {
		b = m->batch;
		m->batch = NULL; /* it goes on waiting, for the new start */
		if (b == NULL)
			b = batch_new(m->registry, NULL, NULL);
		if (b == NULL)
			return;
		enqueue_stop(m, b, 0, true);
		go(m->registry, b);
		return;
	}
	if (status != OC_E_RETRY) /* lost: the next process gets them */
		refused(m, status);
	batch_report(m, false);
}

static void reconfigure(oc_module *m, oc_batch *b)
{
	char *text = NULL;
	oc_err err = {0};
	oc_status st;

	if (m->inited && m->enabled && (m->isolate != m->isolated || m->replaced)) {
		enqueue_stop(m, b, 0, true);
		return;
	}
	if (m->inited && !m->enabled) {
		enqueue_stop(m, b, 0, false);
		return;
	}
	if (m->inited && (m->in_batch_stop || m->state == OC_MODULE_STOPPING)) {
		/* Allowed again while it was on its way out: it ends and comes back. */
		enqueue_stop(m, b, 0, true);
		return;
	}
	if (!m->inited) {
		if (may_start(m))
			enqueue_start(m, b);
		return;
	}
	st = oc_policy_config(m, &text, &err);
	if (st != OC_OK) {
		note_unused(m, err.text);
		oc_log_err(OC_LOG_ERROR, "module", "the new settings are not used", &err);
		return;
	}
	note_unused(m, NULL);
	if (m->config != NULL && strcmp(text, m->config) == 0) {
		oc_free(text);
		return;
	}
	if (oc_module_running(m) && m->handing == NULL) {
		st = oc_module_hand_settings(m, text);
	} else {
		oc_free(text);
		st = OC_E_RESTART;
	}
	if (st == OC_OK) {
		oc_info("module", "module %s took new settings", m->name);
	} else if (st == OC_E_RESTART) {
		enqueue_stop(m, b, 0, true);
	} else if (m->handing != NULL) {
		batch_report(m, false);
		b->pending++;
		m->batch = b;
	} else {
		refused(m, st);
	}
}

void oc_modules_configure(oc_modules *modules, oc_config *config, oc_modules_done *done, void *arg)
{
	oc_batch *b = batch_new(modules, done, arg);
	oc_err err = {0};

	if (b == NULL)
		return;
	oc_config_unref(modules->config);
	modules->config = config != NULL ? oc_config_ref(config) : NULL;
	if (oc_modules_scan(modules, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "module", "looking for modules", &err);
	for (size_t i = 0; i < modules->n; i++)
		reconfigure(modules->list[i], b);
	go(modules, b);
}

void oc_module_take_settings(oc_module *m, oc_modules_done *done, void *arg)
{
	oc_batch *b = batch_new(m->registry, done, arg);

	if (b == NULL)
		return;
	reconfigure(m, b);
	go(m->registry, b);
}
