/*
 * openclaw/test_host.h - the inside of openclaw/test.h: the host's table and services as a test's fakes.  Include test.h.
 */
#ifndef OPENCLAW_TEST_HOST_H
#define OPENCLAW_TEST_HOST_H

#include <openclaw/json.h>
#include <openclaw/module.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__GNUC__)
#define OCT_API static __attribute__((unused))
#define OCT_FORMAT_(a, b) __attribute__((format(printf, a, b)))
#else
#define OCT_API static
#define OCT_FORMAT_(a, b)
#endif

/* ---- What a test sees ---------------------------------------------------- */

typedef struct oct_host oct_host; /* the gateway of cardboard, from oct_open to oct_close */

typedef struct oct_event {
	uint32_t type; /* OC_EV_* */
	oc_str payload; /* as the module sent it */
} oct_event;

/* A call to the module, kept until oct_close. Its text and events are borrowed from it. */
typedef struct oct_result {
	oc_status status; /* when done */
	oc_str text;      /* its result, or the message of its error; NUL-terminated */
	oct_event *events; /* in order */
	size_t n_events; /* how many */
	int done; /* 1: it was completed */
} oct_result;

/* A request that the module made, or a message that it handed in. */
typedef struct oct_request {
	oc_str method, url, headers, body; /* "http.client" */
	oc_str text;			   /* "process": the spec; "channel": the message or state; services: the arguments */
} oct_request;

/* ---- Its inside ------------------------------------------------------------ */

typedef struct oct_item_ oct_item_;
struct oct_item_ { /* one thing of any list below */
	oct_item_ *next;
	char *key, *value, *more;
	size_t value_n;
	int number;
	oc_status status;
};

typedef struct oct_task_ oct_task_;
struct oct_task_ { /* something to run on the loop */
	oct_task_ *next;
	void (*fn)(oct_host *h, oct_task_ *t);
	void (*user)(void *arg);
	void (*user_status)(void *arg, oc_status status);
	void (*user_result)(void *arg, oc_status status, oc_str result);
	void *arg, *extra;
	oc_status status;
	char *text;
	size_t text_n;
	int number;
};

struct oc_watch {
	oc_watch *next;
	oct_host *host;
	int fd; /* -1: a timer */
	uint32_t events;
	uint64_t due, repeat;
	void (*on_time)(void *arg);
	void (*on_fd)(void *arg, uint32_t events);
	void *arg;
	int ended;
};

struct oc_buf {
	oct_host *host;
	unsigned refs;
	size_t n;
	char *bytes;
};

struct oc_call {
	oct_result result; /* first: what the test has */
	oc_call *next;
	oct_host *host;
	int cancelled;
	char *inputs[4];
};

struct oc_http_call {
	oc_http_call *next;
	oct_host *host;
	oc_http_client_request request;
	oct_item_ *answer;
	int over;
};

struct oc_process {
	oc_process *next;
	oct_host *host;
	oc_process_options options;
	oct_item_ *answer;
	int over;
	char *fed;
	size_t fed_n;
};

struct oc_self {
	oct_host *host;
};

struct oct_host {
	oc_host_api api;
	oc_self self;
	const oc_module_desc *desc;
	void *inst;
	char *manifest;
	int in_module, in_work, started;
	unsigned breaches;
	uint64_t now;
	pthread_t thread;
	pthread_mutex_t lock; /* of tasks, allocations and buffers */
	int wake[2];
	oct_task_ *tasks, **tasks_tail;
	oc_watch *watches;
	oc_call *calls;
	oc_http_call *https;
	oc_process *processes;
	oct_item_ *secrets, *kv, *http_answers, *process_answers, *service_answers, *requests[4], *logs;
	size_t allocations, bufs;
	unsigned long fail_alloc;
	oc_status receive_status;
	int admits;
};

enum { OCT_HTTP, OCT_PROCESS, OCT_CHANNEL, OCT_SERVICE };
enum { OCT_CALL_MS = 60000, OCT_TURNS_MAX = 1000000 };

static unsigned oct_n_tests_, oct_n_failed_;

/* ---- Checks (TAP) ---------------------------------------------------------- */

OCT_API int oct_check_(int good, const char *what, const char *file, int line)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++oct_n_tests_, what);
	if (!good) {
		oct_n_failed_++;
		printf("# %s:%d\n", file, line);
	}
	fflush(stdout);
	return good;
}

OCT_API int oct_contains_(oc_str text, const char *part, int whole, const char *what, const char *file, int line)
{
	int good = whole ? strlen(part) == text.n && memcmp(text.p, part, text.n) == 0 : strstr(text.p, part) != NULL;
	if (!oct_check_(good, what, file, line))
		printf("# it is: %s\n# %s: %s\n", text.p, whole ? "expected" : "without", part);
	return good;
}

/* One check, which is one line of TAP; for the last two text is an oc_str. They are expressions: 1 when it holds. */
#define OCT_CHECK(condition) oct_check_(!!(condition), #condition, __FILE__, __LINE__)
#define OCT_EQUAL(text, expected) oct_contains_((text), (expected), 1, #text " is " #expected, __FILE__, __LINE__)
#define OCT_CONTAINS(text, part) oct_contains_((text), (part), 0, #text " has " #part, __FILE__, __LINE__)

/* The plan; what main returns. */
OCT_API int oct_end(void)
{
	printf("1..%u\n", oct_n_tests_);
	return oct_n_failed_ != 0;
}

/* ---- Small things ---------------------------------------------------------- */

OCT_API void *oct_get_(size_t n)
{
	void *p = calloc(1, n > 0 ? n : 1);
	if (p == NULL) {
		fputs("Bail out! no memory for the test\n", stdout);
		exit(1);
	}
	return p;
}

OCT_API char *oct_copy_(oc_str s)
{
	char *p = (char *)oct_get_(s.n + 1);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

OCT_FORMAT_(2, 3) OCT_API void oct_breach_(oct_host *h, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	h->breaches++;
	(void)oct_check_(0, text, "the contract", (int)h->breaches);
}

OCT_API void oct_loop_only_(oct_host *h, const char *what)
{
	if (h->in_work || !pthread_equal(h->thread, pthread_self()))
		oct_breach_(h, "%s was called outside the loop thread", what);
}

OCT_API oct_item_ *oct_add_(oct_item_ **list, const char *key, oc_str value, const char *more, int number)
{
	oct_item_ *item = (oct_item_ *)oct_get_(sizeof(*item));
	item->key = oct_copy_(oc_str_of(key));
	item->value = oct_copy_(value);
	item->value_n = value.n;
	item->more = oct_copy_(oc_str_of(more));
	item->number = number;
	while (*list != NULL)
		list = &(*list)->next;
	*list = item;
	return item;
}

OCT_API void oct_drop_(oct_item_ **list, oct_item_ *item)
{
	while (*list != item)
		list = &(*list)->next;
	*list = item->next;
	free(item->key);
	free(item->value);
	free(item->more);
	free(item);
}

OCT_API oc_str oct_value_(const oct_item_ *item)
{
	oc_str s;
	s.p = item->value;
	s.n = item->value_n;
	return s;
}

/* Is `text` an element of the manifest's array? A "*" in one stands for one member of a path. */
OCT_API int oct_listed_(const oct_host *h, const char *array, const char *text)
{
	oc_str list, value;
	size_t at = 0;
	char one[300];
	if (h->manifest == NULL)
		return 1;
	if (!ocj_get(oc_str_of(h->manifest), array, &list))
		return 0;
	while (ocj_next(list, &at, NULL, &value)) {
		const char *p = one, *t = text;
		if (ocj_text(value, one, sizeof(one)) >= sizeof(one))
			continue;
		while (*p != 0 && (*p == *t || *p == '*')) {
			if (*p == '*')
				t += strcspn(t, ".");
			else
				t++;
			p++;
		}
		if (*p == 0 && *t == 0)
			return 1;
	}
	return 0;
}

/* ---- The loop --------------------------------------------------------------- */

OCT_API oct_task_ *oct_post_(oct_host *h, void (*fn)(oct_host *h, oct_task_ *t), void *arg)
{
	oct_task_ *t = (oct_task_ *)oct_get_(sizeof(*t));
	t->fn = fn;
	t->arg = arg;
	(void)pthread_mutex_lock(&h->lock);
	*h->tasks_tail = t;
	h->tasks_tail = &t->next;
	(void)pthread_mutex_unlock(&h->lock);
	if (!pthread_equal(h->thread, pthread_self()))
		(void)!write(h->wake[1], "", 1);
	return t;
}

OCT_API oct_task_ *oct_task_take_(oct_host *h)
{
	oct_task_ *t;
	(void)pthread_mutex_lock(&h->lock);
	t = h->tasks;
	if (t != NULL) {
		h->tasks = t->next;
		if (h->tasks == NULL)
			h->tasks_tail = &h->tasks;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return t;
}

OCT_API void oct_sweep_(oct_host *h)
{
	for (oc_watch **at = &h->watches; *at != NULL;) {
		oc_watch *w = *at;
		if (w->ended) {
			*at = w->next;
			free(w);
		} else {
			at = &w->next;
		}
	}
}

OCT_API oc_watch *oct_due_(oct_host *h)
{
	oc_watch *first = NULL;
	for (oc_watch *w = h->watches; w != NULL; w = w->next)
		if (!w->ended && w->fd < 0 && w->on_time != NULL && w->due != UINT64_MAX && (first == NULL || w->due < first->due))
			first = w;
	return first;
}

OCT_API void oct_fire_(oct_host *h, oc_watch *w)
{
	if (w->due > h->now)
		h->now = w->due;
	w->due = w->repeat > 0 ? h->now + w->repeat : UINT64_MAX;
	h->in_module++;
	w->on_time(w->arg);
	h->in_module--;
}

/* Descriptors; waits for at most ms. How many had something. */
OCT_API int oct_poll_(oct_host *h, int ms)
{
	struct pollfd fds[64];
	oc_watch *of[64];
	nfds_t n = 1;
	int had = 0;
	char drop[64];
	fds[0].fd = h->wake[0];
	fds[0].events = POLLIN;
	for (oc_watch *w = h->watches; w != NULL && n < 64; w = w->next) {
		if (w->ended || w->fd < 0)
			continue;
		of[n] = w;
		fds[n].fd = w->fd;
		fds[n].events = (short)(((w->events & OC_FD_READ) ? POLLIN : 0) | ((w->events & OC_FD_WRITE) ? POLLOUT : 0));
		n++;
	}
	if (poll(fds, n, ms) <= 0)
		return 0;
	if (fds[0].revents != 0 && read(h->wake[0], drop, sizeof(drop)) > 0)
		had++;
	for (nfds_t i = 1; i < n; i++) {
		uint32_t events = ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) ? (uint32_t)OC_FD_READ : 0u) |
				  ((fds[i].revents & POLLOUT) ? (uint32_t)OC_FD_WRITE : 0u) |
				  ((fds[i].revents & (POLLHUP | POLLERR)) ? (uint32_t)OC_FD_HANGUP : 0u);
		if (of[i]->ended || events == 0)
			continue;
		h->in_module++;
		of[i]->on_fd(of[i]->arg, events);
		h->in_module--;
		had++;
	}
	return had;
}

OCT_API int oct_outside_(const oct_host *h)
{
	for (const oc_watch *w = h->watches; w != NULL; w = w->next)
		if (!w->ended && w->fd >= 0)
			return 1;
	return (h->desc->flags & OC_MODULE_THREADS) != 0;
}

OCT_API uint64_t oct_clock_(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* One turn of the loop. 0: nothing is left to do before `until`. */
OCT_API int oct_turn_(oct_host *h, uint64_t until)
{
	oct_task_ *t = oct_task_take_(h);
	oc_watch *w;
	if (t != NULL) {
		h->in_module++;
		t->fn(h, t);
		h->in_module--;
		free(t->text);
		free(t);
		oct_sweep_(h);
		return 1;
	}
	if (oct_poll_(h, 0) > 0) {
		oct_sweep_(h);
		return 1;
	}
	w = oct_due_(h);
	if (w != NULL && w->due <= (oct_outside_(h) ? h->now : until)) {
		oct_fire_(h, w);
		oct_sweep_(h);
		return 1;
	}
	if (oct_outside_(h) && h->now < until) {
		uint64_t from = oct_clock_(), left = until - h->now;
		(void)oct_poll_(h, left < 10 ? (int)left : 10);
		h->now += oct_clock_() - from;
		oct_sweep_(h);
		return 1;
	}
	return 0;
}

/* Runs the loop until the call is done or, with NULL, for `ms`. 1: done. */
OCT_API int oct_run(oct_host *h, const oct_result *result, uint64_t ms)
{
	uint64_t until = h->now + ms;
	for (unsigned long turns = 0; result == NULL || !result->done; turns++) {
		if (!oct_turn_(h, until) || h->now > until)
			break;
		if (turns > OCT_TURNS_MAX) {
			oct_breach_(h, "it never comes to rest");
			break;
		}
	}
	if (result == NULL && h->now < until)
		h->now = until;
	return result == NULL || result->done;
}

/* Lets time pass: what is due fires. */
OCT_API void oct_advance(oct_host *h, uint64_t ms)
{
	(void)oct_run(h, NULL, ms);
}

/* ---- The host's table --------------------------------------------------------- */

OCT_API void oct_log_(oc_self *self, int32_t level, oc_str message)
{
	static const char *const names[] = {"", "error", "warn", "info", "debug", "trace"};
	oct_host *h = self->host;
	(void)pthread_mutex_lock(&h->lock);
	(void)oct_add_(&h->logs, "", message, "", level);
	(void)pthread_mutex_unlock(&h->lock);
	printf("# %s: %s\n", level >= 1 && level <= 5 ? names[level] : "?", message.p);
}

OCT_API void *oct_alloc_(oc_self *self, size_t bytes)
{
	oct_host *h = self->host;
	void *p = NULL;
	(void)pthread_mutex_lock(&h->lock);
	if (h->fail_alloc == 0 || --h->fail_alloc > 0)
		p = oct_get_(bytes);
	h->allocations += p != NULL;
	(void)pthread_mutex_unlock(&h->lock);
	return p;
}

OCT_API void oct_free_(oc_self *self, void *ptr)
{
	oct_host *h = self->host;
	if (ptr == NULL)
		return;
	(void)pthread_mutex_lock(&h->lock);
	h->allocations--;
	(void)pthread_mutex_unlock(&h->lock);
	free(ptr);
}

OCT_API oc_buf *oct_buf_new_(oc_self *self, oc_str bytes)
{
	oct_host *h = self->host;
	oc_buf *b;
	(void)pthread_mutex_lock(&h->lock);
	if (h->fail_alloc != 0 && --h->fail_alloc == 0) {
		(void)pthread_mutex_unlock(&h->lock);
		return NULL;
	}
	h->bufs++;
	(void)pthread_mutex_unlock(&h->lock);
	b = (oc_buf *)oct_get_(sizeof(*b));
	b->host = h;
	b->refs = 1;
	b->n = bytes.n;
	b->bytes = oct_copy_(bytes);
	return b;
}

OCT_API oc_buf *oct_buf_ref_(oc_buf *b)
{
	(void)__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	return b;
}

OCT_API void oct_buf_unref_(oc_buf *b)
{
	if (b == NULL || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	(void)pthread_mutex_lock(&b->host->lock);
	b->host->bufs--;
	(void)pthread_mutex_unlock(&b->host->lock);
	free(b->bytes);
	free(b);
}

OCT_API oc_str oct_buf_str_(const oc_buf *b)
{
	oc_str s;
	s.p = b->bytes;
	s.n = b->n;
	return s;
}

OCT_API void oct_do_user_(oct_host *h, oct_task_ *t)
{
	oc_str text;
	(void)h;
	text.p = t->text != NULL ? t->text : "";
	text.n = t->text_n;
	if (t->user != NULL)
		t->user(t->arg);
	else if (t->user_status != NULL)
		t->user_status(t->arg, t->status);
	else if (t->user_result != NULL)
		t->user_result(t->arg, t->status, text);
}

OCT_API oc_status oct_user_post_(oc_self *self, void (*fn)(void *arg), void *arg)
{
	oct_post_(self->host, oct_do_user_, arg)->user = fn;
	return OC_OK;
}

OCT_API void oct_do_work_(oct_host *h, oct_task_ *t)
{
	h->in_work = 1;
	t->user(t->arg);
	h->in_work = 0;
	t->user_status(t->arg, OC_OK);
}

OCT_API oc_status oct_work_(oc_self *self, void (*fn)(void *arg), void (*done)(void *arg, oc_status status), void *arg)
{
	oct_task_ *t;
	oct_loop_only_(self->host, "work");
	t = oct_post_(self->host, oct_do_work_, arg);
	t->user = fn;
	t->user_status = done;
	return OC_OK;
}

OCT_API oc_watch *oct_watch_(oct_host *h, int fd, void *arg)
{
	oc_watch *w;
	if (h->fail_alloc != 0 && --h->fail_alloc == 0)
		return NULL;
	w = (oc_watch *)oct_get_(sizeof(*w));
	w->host = h;
	w->fd = fd;
	w->arg = arg;
	w->next = h->watches;
	h->watches = w;
	return w;
}

OCT_API oc_watch *oct_timer_(oc_self *self, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg)
{
	oc_watch *w;
	oct_loop_only_(self->host, "timer");
	w = oct_watch_(self->host, -1, arg);
	if (w == NULL)
		return NULL;
	w->due = self->host->now + ms;
	w->repeat = repeat_ms;
	w->on_time = cb;
	return w;
}

OCT_API oc_watch *oct_fd_(oc_self *self, int32_t fd, uint32_t events, void (*cb)(void *arg, uint32_t events), void *arg)
{
	oc_watch *w;
	oct_loop_only_(self->host, "fd");
	w = oct_watch_(self->host, fd, arg);
	if (w == NULL)
		return NULL;
	w->events = events;
	w->on_fd = cb;
	return w;
}

OCT_API void oct_unwatch_(oc_watch *w)
{
	if (w == NULL)
		return;
	oct_loop_only_(w->host, "unwatch");
	if (w->ended)
		oct_breach_(w->host, "a timer or watch was ended twice");
	w->ended = 1;
}

OCT_API oc_status oct_call_event_(oc_call *c, uint32_t type, oc_str payload)
{
	oct_event *grown;
	oct_loop_only_(c->host, "call_event");
	if (c->result.done) {
		oct_breach_(c->host, "an event came after the end of its call");
		return OC_E_STATE;
	}
	grown = (oct_event *)realloc(c->result.events, (c->result.n_events + 1) * sizeof(oct_event));
	if (grown == NULL)
		return OC_E_NOMEM;
	c->result.events = grown;
	grown[c->result.n_events].type = type;
	grown[c->result.n_events].payload.n = payload.n;
	grown[c->result.n_events].payload.p = oct_copy_(payload);
	c->result.n_events++;
	return OC_OK;
}

OCT_API void oct_call_done_(oc_call *c, oc_status status, oc_str result)
{
	oct_loop_only_(c->host, "call_done");
	if (c->result.done) {
		oct_breach_(c->host, "a call was completed twice");
		return;
	}
	c->result.done = 1;
	c->result.status = status;
	c->result.text.n = result.n;
	c->result.text.p = oct_copy_(result);
	if (status > 0 || status < -1000)
		oct_breach_(c->host, "call_done with %d, which is no status", (int)status);
}

OCT_API uint64_t oct_now_(oc_self *self)
{
	return self->host->now;
}

OCT_API void oct_gauge_(oc_self *self, oc_str name, uint64_t depth, uint64_t capacity)
{
	oct_loop_only_(self->host, "gauge");
	if (name.n == 0 || name.n > 31 || strspn(name.p, "abcdefghijklmnopqrstuvwxyz0123456789_") < name.n)
		oct_breach_(self->host, "\"%.*s\" is no name for a queue's figures", (int)name.n, name.p);
	else if (capacity == 0 || depth > capacity)
		oct_breach_(self->host, "the queue %.*s has more in it than fits", (int)name.n, name.p);
}

OCT_API oc_status oct_secret_(oc_self *self, oc_str name, oc_buf **ret)
{
	oct_loop_only_(self->host, "secret");
	if (!oct_listed_(self->host, "secrets", name.p)) {
		oct_breach_(self->host, "the manifest does not list the secret \"%s\"", name.p);
		return OC_E_DENIED;
	}
	for (oct_item_ *i = self->host->secrets; i != NULL; i = i->next) {
		if (strcmp(i->key, name.p) == 0) {
			*ret = oct_buf_new_(self, oct_value_(i));
			return *ret != NULL ? OC_OK : OC_E_NOMEM;
		}
	}
	return OC_E_NOT_FOUND;
}

OCT_API oc_status oct_service_call_(oc_self *self, oc_str service, uint16_t major, oc_str method, oc_str args, uint64_t deadline_ms,
				    void (*done)(void *arg, oc_status status, oc_str result), void *arg)
{
	oct_host *h = self->host;
	oct_task_ *t;
	char name[300];
	(void)major;
	(void)deadline_ms;
	oct_loop_only_(h, "service_call");
	if (!oct_listed_(h, "services", service.p)) {
		oct_breach_(h, "the manifest does not list the service \"%s\"", service.p);
		return OC_E_DENIED;
	}
	(void)snprintf(name, sizeof(name), "%s.%s", service.p, method.p);
	(void)oct_add_(&h->requests[OCT_SERVICE], name, args, "", 0);
	t = oct_post_(h, oct_do_user_, arg);
	t->user_result = done;
	t->status = OC_E_NOT_FOUND;
	for (oct_item_ *i = h->service_answers; i != NULL; i = i->next) {
		if (strcmp(i->key, name) == 0) {
			t->status = i->status;
			t->text = oct_copy_(oct_value_(i));
			t->text_n = i->value_n;
			break;
		}
	}
	return OC_OK;
}

#endif
