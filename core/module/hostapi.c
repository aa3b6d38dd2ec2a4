/* The table of host functions that modules get: the only place where core meets the ABI from the other side. */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/module/internal.h"

/* ---- Who is it: the checks every function begins with ---- */

static bool on_loop(const oc_module *m, const char *function)
{
	if (oc_loop_is_thread(m->registry->loop))
		return true;
	oc_error("module", "module %s called %s from a thread of its own: only the loop thread may (use post)", m->name,
		 function);
	return false;
}

static void host_log(oc_self *self, int32_t level, oc_str message)
{
	uint64_t second = oc_now_ms() / 1000;
	char where[80];
	size_t n = message.n < OC_LOG_LINE_MAX ? message.n : OC_LOG_LINE_MAX;

	if (self == NULL || message.p == NULL)
		return;
	if (level < OC_LOG_ERROR || level > OC_LOG_TRACE)
		level = OC_LOG_INFO;
	if (level == OC_LOG_ERROR && oc_loop_is_thread(self->registry->loop) && self->state == OC_MODULE_OPENED) {
		size_t cut = n < sizeof(self->last_error) - 1 ? n : sizeof(self->last_error) - 1;

		memcpy(self->last_error, message.p, cut);
		self->last_error[cut] = '\0';
	}
	if (level > oc_log_level())
		return;
	(void)snprintf(where, sizeof(where), "module %s", self->name);
	if (atomic_exchange(&self->log_second, second) != second) {
		unsigned lines = atomic_exchange(&self->log_lines, 0);

		if (lines > OC_LOG_LINES_A_SECOND)
			oc_warn(where, "%u log lines within one second were left out", lines - OC_LOG_LINES_A_SECOND);
	}
	if (atomic_fetch_add(&self->log_lines, 1) >= OC_LOG_LINES_A_SECOND)
		return;
	oc_log(level, where, "%.*s", (int)n, message.p);
}

/* ---- Memory ---- */

/* In front of every block; 16 bytes keep the block's alignment. */
typedef struct block {
	size_t bytes;
	uint64_t magic;
} block;

#define BLOCK_LIVE UINT64_C(0x6f634d656d4c6976)
#define BLOCK_FREED UINT64_C(0x6f634d656d467265)
_Static_assert(sizeof(block) == 16, "blocks keep 16-byte alignment");

static void *host_alloc(oc_self *self, size_t bytes)
{
	size_t total, now, peak;
	block *b;

	if (__builtin_add_overflow(bytes, sizeof(block), &total))
		return NULL;
	now = atomic_fetch_add(&self->bytes, bytes) + bytes;
	b = now > atomic_load(&self->limit) ? NULL : oc_alloc(total);
	if (b == NULL) {
		(void)atomic_fetch_sub(&self->bytes, bytes);
		return NULL;
	}
	peak = atomic_load(&self->peak);
	while (now > peak && !atomic_compare_exchange_weak(&self->peak, &peak, now))
		;
	(void)atomic_fetch_add(&self->blocks, 1);
	b->bytes = bytes;
	b->magic = BLOCK_LIVE;
	return b + 1;
}

static void host_free(oc_self *self, void *ptr)
{
	block *b;

	if (ptr == NULL)
		return;
	b = (block *)ptr - 1;
	if (b->magic != BLOCK_LIVE) {
		/* Freeing it would corrupt the heap for everybody; leaking it does not. */
		oc_error("module", "module %s freed memory that is not the host's, or freed it twice", self->name);
		return;
	}
	b->magic = BLOCK_FREED;
	(void)atomic_fetch_sub(&self->bytes, b->bytes);
	(void)atomic_fetch_sub(&self->blocks, 1);
	oc_free(b);
}

static oc_buf *host_buf_new(oc_self *self, oc_str bytes)
{
	(void)self;
	return oc_buf_new(bytes.p == NULL ? OC_STR_NONE : bytes);
}

/* ---- Posting and work ---- */

/* A callback that is no call, for `module trace`. */
static void watched(oc_module *m, const char *what, uint64_t began)
{
	if (began != 0 && m->trace != NULL)
		oc_trace_add(m, what, NULL, NULL, began, 0, OC_OK);
}

typedef struct job {
	oc_module *module;
	unsigned instance;
	bool foreign; /* posted from a thread that is neither the loop's nor the pool's */
	void (*fn)(void *arg);
	void (*done)(void *arg, oc_status status);
	void *arg;
} job;

static void run_posted(void *arg)
{
	job j = *(job *)arg;
	oc_visit visit;
	uint64_t began;

	oc_free(arg);
	(void)atomic_fetch_sub(&j.module->posts, 1);
	/* Not for an instance that has ended. */
	if (j.instance == atomic_load(&j.module->instance) && j.module->inited) {
		if (j.foreign && (j.module->desc.flags & OC_MODULE_THREADS) == 0 && !j.module->threads_told) {
			j.module->threads_told = true;
			oc_module_violation(j.module, "a post from a thread of its own, without OC_MODULE_THREADS");
		}
		visit = oc_visit_begin(j.module);
		began = j.module->trace != NULL ? oc_now_ns() : 0;
		oc_visit_set_call("post");
		j.fn(j.arg);
		oc_visit_set_call(NULL);
		watched(j.module, "post", began);
		oc_visit_end(j.module, visit);
	}
	oc_module_unref(j.module);
}

static oc_status host_post(oc_self *self, void (*fn)(void *arg), void *arg)
{
	job *j;
	oc_status st;

	if (fn == NULL)
		return OC_E_INVALID;
	if (atomic_fetch_add(&self->posts, 1) >= OC_POSTS_MAX) {
		(void)atomic_fetch_sub(&self->posts, 1);
		oc_queue_refused(OC_QUEUE_module_posts);
		return OC_E_LIMIT;
	}
	j = oc_alloc(sizeof(*j));
	if (j != NULL)
		*j = (job){.module = self, .instance = atomic_load(&self->instance), .fn = fn, .arg = arg,
			   .foreign = !oc_loop_is_thread(self->registry->loop) && oc_module_current() != self};
	(void)atomic_fetch_add(&self->refs, 1);
	st = j == NULL ? OC_E_NOMEM : oc_loop_post(self->registry->loop, run_posted, j);
	if (st != OC_OK) {
		oc_free(j);
		(void)atomic_fetch_sub(&self->refs, 1);
		(void)atomic_fetch_sub(&self->posts, 1);
	}
	return st;
}

static void run_work(void *arg)
{
	job *j = arg;
	oc_visit visit = oc_visit_mark(j->module);

	j->fn(j->arg);
	oc_visit_unmark(visit);
}

static void work_done(void *arg, oc_status status)
{
	job j = *(job *)arg;
	oc_visit visit;
	uint64_t began;

	oc_free(arg);
	if (j.module->registry != NULL) {
		visit = oc_visit_begin_untimed(j.module);
		began = j.module->trace != NULL ? oc_now_ns() : 0;
		oc_visit_set_call("work");
		if (j.done != NULL)
			j.done(j.arg, status);
		oc_visit_set_call(NULL);
		watched(j.module, "work", began);
		oc_visit_end(j.module, visit);
		j.module->n_works--;
		oc_module_idle(j.module);
	}
	oc_module_unref(j.module);
}

static oc_status host_work(oc_self *self, void (*fn)(void *arg), void (*done)(void *arg, oc_status status), void *arg)
{
	job *j;
	oc_status st;

	if (fn == NULL)
		return OC_E_INVALID;
	if (!on_loop(self, "work") || self->ended)
		return OC_E_STATE;
	if (self->n_works >= OC_WORKS_MAX) {
		oc_queue_refused(OC_QUEUE_module_works);
		return OC_E_LIMIT;
	}
	j = oc_alloc(sizeof(*j));
	if (j == NULL)
		return OC_E_NOMEM;
	*j = (job){.module = self, .fn = fn, .done = done, .arg = arg};
	st = oc_work(self->owner, run_work, work_done, j);
	if (st != OC_OK) {
		oc_free(j);
		return st;
	}
	(void)atomic_fetch_add(&self->refs, 1);
	self->n_works++;
	return OC_OK;
}

/* ---- Timers and descriptors ---- */

typedef struct host_watch {
	oc_list link; /* module->watches */
	oc_module *module;
	oc_watch *handle; /* what the module has */
	oc_watch *inner;  /* core/loop's */
	void (*on_time)(void *arg);
	void (*on_fd)(void *arg, uint32_t events);
	void *arg;
} host_watch;

static void watch_free(host_watch *w)
{
	oc_watch_end(w->inner);
	oc_list_remove(&w->link);
	w->module->n_watches--;
	oc_handle_free(w->handle);
	oc_free(w);
}

static host_watch *watch_new(oc_module *m, void *arg)
{
	host_watch *w = m->n_watches < OC_WATCHES_MAX ? oc_alloc(sizeof(*w)) : NULL;

	if (m->n_watches >= OC_WATCHES_MAX)
		oc_queue_refused(OC_QUEUE_module_watches);
	if (w == NULL)
		return NULL;
	w->handle = oc_handle_new(OC_HANDLE_WATCH, w);
	if (w->handle == NULL) {
		oc_free(w);
		return NULL;
	}
	w->module = m;
	w->arg = arg;
	oc_list_add(&m->watches, &w->link);
	m->n_watches++;
	return w;
}

static void time_passed(void *arg)
{
	const host_watch *w = arg;
	oc_module *m = w->module;
	oc_visit visit = oc_visit_begin_untimed(m);
	uint64_t began;

	began = m->trace != NULL ? oc_now_ns() : 0;
	oc_visit_set_call("timer");
	w->on_time(w->arg); /* w may be gone */
	oc_visit_set_call(NULL);
	watched(m, "timer", began);
	oc_visit_end(m, visit);
}

static void fd_ready(void *arg, uint32_t events)
{
	const host_watch *w = arg;
	oc_module *m = w->module;
	oc_visit visit = oc_visit_begin_untimed(m);
	uint64_t began;

	began = m->trace != NULL ? oc_now_ns() : 0;
	oc_visit_set_call("fd");
	w->on_fd(w->arg, events);
	oc_visit_set_call(NULL);
	watched(m, "fd", began);
	oc_visit_end(m, visit);
}

static oc_watch *host_timer(oc_self *self, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg)
{
	host_watch *w;

	if (cb == NULL || !on_loop(self, "timer") || self->ended)
		return NULL;
	w = watch_new(self, arg);
	if (w == NULL)
		return NULL;
	w->on_time = cb;
	w->inner = oc_timer_start(self->owner, ms, repeat_ms, time_passed, w);
	if (w->inner == NULL) {
		watch_free(w);
		return NULL;
	}
	return w->handle;
}

static oc_watch *host_fd(oc_self *self, int32_t fd, uint32_t events, void (*cb)(void *arg, uint32_t events), void *arg)
{
	host_watch *w;

	if (cb == NULL || fd < 0 || !on_loop(self, "fd") || self->ended)
		return NULL;
	w = watch_new(self, arg);
	if (w == NULL)
		return NULL;
	w->on_fd = cb;
	w->inner = oc_fd_watch(self->owner, fd, events, fd_ready, w);
	if (w->inner == NULL) {
		watch_free(w);
		return NULL;
	}
	return w->handle;
}

static void host_unwatch(oc_watch *watch)
{
	host_watch *w;

	/* The table of handles is the loop thread's: who else calls may not even look. */
	if (watch == NULL || !oc_call_thread("unwatch"))
		return;
	w = oc_handle_get(watch, OC_HANDLE_WATCH);
	if (w == NULL)
		oc_module_violation((oc_module *)oc_module_current(), "unwatch for a timer or watch that has ended");
	else
		watch_free(w);
}

static uint64_t host_now_ms(oc_self *self)
{
	(void)self;
	return oc_now_ms();
}

/* ---- Secrets and services ---- */

/* A value of the configuration as a secret: texts only. */
static oc_status configured_secret(const oc_modules *modules, oc_str name, oc_buf **ret)
{
	oc_auto_free char *path = oc_memdup(name.p, name.n);
	const cJSON *value = path == NULL ? NULL : oc_modules_setting(modules, path);

	if (path == NULL)
		return OC_E_NOMEM;
	if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
		return OC_E_NOT_FOUND;
	*ret = oc_buf_new_secret(oc_str_of(value->valuestring));
	return *ret == NULL ? OC_E_NOMEM : OC_OK;
}

static oc_status host_secret(oc_self *self, oc_str name, oc_buf **ret)
{
	oc_modules *modules = self->registry;
	oc_status st = OC_E_NOT_FOUND;

	if (ret == NULL || name.p == NULL || name.n == 0 || name.n > 256)
		return OC_E_INVALID;
	if (!on_loop(self, "secret"))
		return OC_E_STATE;
	if (!oc_manifest_wants_secret(self->manifest, name)) {
		oc_warn("module", "module %s asked for the secret %.*s, which its manifest does not name", self->name,
			OC_STR_ARG(name));
		return OC_E_DENIED;
	}
	if (modules->secret_fn != NULL)
		st = modules->secret_fn(modules->secret_arg, name, ret);
	return st == OC_E_NOT_FOUND ? configured_secret(modules, name, ret) : st;
}

static oc_status host_query(oc_self *self, oc_str service, uint16_t major, uint16_t min_minor, const void **ret)
{
	oc_status st = OC_E_NOT_FOUND;

	if (ret == NULL || service.p == NULL)
		return OC_E_INVALID;
	if (!on_loop(self, "query"))
		return OC_E_STATE;
	if (!oc_manifest_lists(self->manifest->services, service))
		return OC_E_DENIED;
	for (const oc_service_row *row = self->registry->services; row != NULL; row = row->next) {
		if (!oc_str_eqz(service, row->name))
			continue;
		if (row->major != major || row->minor < min_minor) {
			st = OC_E_VERSION;
			continue;
		}
		if (row->capability != NULL && !oc_module_may(self, oc_str_of(row->capability)))
			return OC_E_DENIED;
		*ret = row->table;
		return OC_OK;
	}
	return st;
}

typedef struct request {
	oc_list link; /* module->requests */
	oc_module *module;
	oc_call *call;
	void (*done)(void *arg, oc_status status, oc_str result);
	void *arg;
} request;

static void answer(request *r, oc_status status, oc_str result)
{
	oc_module *m = r->module;
	void (*done)(void *, oc_status, oc_str) = r->done;
	void *arg = r->arg;
	oc_visit visit;

	oc_list_remove(&r->link);
	oc_free(r);
	visit = oc_visit_begin(m);
	done(arg, status, result);
	oc_visit_end(m, visit);
}

static void service_answered(void *arg, oc_status status, oc_str result)
{
	answer(arg, status, result);
}

static oc_status host_service_call(oc_self *self, oc_str service, uint16_t major, oc_str method, oc_str args_json,
				   uint64_t deadline_ms, void (*done)(void *arg, oc_status status, oc_str result), void *arg)
{
	oc_call_options options = {.deadline_ms = deadline_ms, .on_done = service_answered};
	oc_guest *g;
	request *r;
	oc_status st;

	if (done == NULL || service.p == NULL || method.p == NULL)
		return OC_E_INVALID;
	if (!on_loop(self, "service_call") || self->ended)
		return OC_E_STATE;
	if (!oc_manifest_lists(self->manifest->services, service))
		return OC_E_DENIED;
	g = oc_modules_service(self->registry, service, major);
	if (g == NULL && self->registry->remote == NULL)
		return OC_E_NOT_FOUND;
	r = oc_alloc(sizeof(*r));
	if (r == NULL)
		return OC_E_NOMEM;
	*r = (request){.module = self, .done = done, .arg = arg};
	oc_list_init(&r->link);
	options.arg = r;
	if (args_json.p == NULL)
		args_json = OC_STR("{}");
	if (g != NULL)
		st = oc_service_guest_call(g, method, args_json, &options, &r->call);
	else
		st = self->registry->remote->call(self->registry->remote_arg, service, major, method, args_json, deadline_ms,
						  service_answered, r);
	if (st != OC_OK)
		oc_free(r);
	else
		oc_list_add(&self->requests, &r->link);
	return st;
}

/* ---- Figures ---- */

static bool is_label(oc_str name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((name.p[i] < 'a' || name.p[i] > 'z') && (name.p[i] < '0' || name.p[i] > '9') && name.p[i] != '_')
			return false;
	return name.n > 0;
}

static void host_gauge(oc_self *self, oc_str name, uint64_t depth, uint64_t capacity)
{
	oc_module_gauge *g;

	if (!on_loop(self, "gauge") || self->ended || name.n >= sizeof(g->name) || !is_label(name))
		return;
	if (self->gauges == NULL)
		self->gauges = oc_alloc(OC_GAUGES_MAX * sizeof(*self->gauges));
	if (self->gauges == NULL)
		return;
	g = self->gauges;
	while (g->name[0] != '\0' && !oc_str_eqz(name, g->name))
		if (++g == self->gauges + OC_GAUGES_MAX)
			return;
	if (g->name[0] != '\0' && g->depth == depth && g->capacity == capacity)
		return;
	memcpy(g->name, name.p, name.n);
	g->depth = depth;
	g->capacity = capacity;
	if (self->registry->on_gauge != NULL)
		self->registry->on_gauge(g);
}

/* ---- The end ---- */

void oc_host_release(oc_module *module)
{
	module->ended = true;
	oc_free(module->gauges);
	module->gauges = NULL;
	if (module->registry->remote != NULL)
		module->registry->remote->forget(module->registry->remote_arg);
	while (!oc_list_empty(&module->watches))
		watch_free(OC_OF(module->watches.next, host_watch, link));
	while (!oc_list_empty(&module->requests)) {
		request *r = OC_OF(module->requests.next, request, link);

		oc_call_abandon(r->call);
		answer(r, OC_E_CANCELED, OC_STR("the module stops"));
	}
}

const oc_host_api *oc_host_table(void)
{
	static const oc_host_api table = {
		.struct_size = sizeof(oc_host_api),
		.abi_major = OC_ABI_MAJOR,
		.abi_minor = OC_ABI_MINOR,
		.log = host_log,
		.alloc = host_alloc,
		.free = host_free,
		.buf_new = host_buf_new,
		.buf_ref = oc_buf_ref,
		.buf_unref = oc_buf_unref,
		.buf_str = oc_buf_str,
		.post = host_post,
		.work = host_work,
		.timer = host_timer,
		.fd = host_fd,
		.unwatch = host_unwatch,
		.call_event = oc_call_event,
		.call_done = oc_call_done,
		.now_ms = host_now_ms,
		.secret = host_secret,
		.query = host_query,
		.service_call = host_service_call,
		.gauge = host_gauge,
	};

	return &table;
}
