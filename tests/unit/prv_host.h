/*
 * A small host that loads a provider module as it is built, and plays the HTTP client for it: a test sees each request and
 * answers it by hand.  For one test program, which gets all of it.
 */
#ifndef PRV_HOST_H
#define PRV_HOST_H

#include "prv_test.h"

#include <dlfcn.h>

#define KEY "zz-0123456789abcdef"

/* ---- The host ---- */

struct oc_self {
	int unused;
};

struct oc_buf {
	char bytes[128];
	size_t n;
};

struct oc_watch {
	uint64_t ms;
	void (*cb)(void *arg);
	void *arg;
	bool used, repeats;
};

struct oc_call {
	record events;
	int done;
	oc_status status;
	char *result;
	oc_status answer; /* of call_event */
};

struct oc_http_call {
	bool open, cancelled;
	unsigned paused, pauses;
	oc_http_client_request request;
	char *method, *url, *headers, *body;
};

static struct {
	struct oc_self self;
	struct oc_watch timers[16];
	struct oc_http_call http[32];
	size_t n_http;
	int bufs;
	const char *key;      /* NULL: none is set */
	oc_status key_status; /* when not OC_OK */
	char log[4096];
} host;

static void host_log(oc_self *self, int32_t level, oc_str message)
{
	(void)self;
	(void)level;
	size_t n = strlen(host.log);
	snprintf(host.log + n, sizeof(host.log) - n, "%.*s\n", (int)message.n, message.p);
}

static oc_str host_buf_str(const oc_buf *buf)
{
	return (oc_str){buf->bytes, buf->n};
}

static void host_buf_unref(oc_buf *buf)
{
	if (buf == NULL)
		return;
	host.bufs--;
	free(buf);
}

static oc_status host_secret(oc_self *self, oc_str name, oc_buf **ret)
{
	(void)self;
	assert_true(name.n > 0);
	if (host.key_status != OC_OK)
		return host.key_status;
	if (host.key == NULL)
		return OC_E_NOT_FOUND;
	oc_buf *buf = calloc(1, sizeof(*buf));
	buf->n = strlen(host.key);
	memcpy(buf->bytes, host.key, buf->n + 1);
	host.bufs++;
	*ret = buf;
	return OC_OK;
}

static oc_watch *host_timer(oc_self *self, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg)
{
	(void)self;
	for (size_t i = 0; i < sizeof(host.timers) / sizeof(host.timers[0]); i++)
		if (!host.timers[i].used) {
			host.timers[i] = (struct oc_watch){.ms = ms, .cb = cb, .arg = arg, .used = true, .repeats = repeat_ms > 0};
			return &host.timers[i];
		}
	fail_msg("too many timers");
	return NULL;
}

static void host_unwatch(oc_watch *watch)
{
	if (watch == NULL)
		return;
	assert_true(watch->used);
	watch->used = false;
}

static struct oc_watch *timer_of(bool repeats)
{
	for (size_t i = 0; i < sizeof(host.timers) / sizeof(host.timers[0]); i++)
		if (host.timers[i].used && host.timers[i].repeats == repeats)
			return &host.timers[i];
	return NULL;
}

/* Fires one timer that waits; false when there is none. */
static bool fire(void)
{
	struct oc_watch *t = timer_of(false);
	if (t != NULL)
		t->cb(t->arg);
	return t != NULL;
}

static size_t timers(void)
{
	size_t n = 0;
	for (size_t i = 0; i < sizeof(host.timers) / sizeof(host.timers[0]); i++)
		n += host.timers[i].used && !host.timers[i].repeats ? 1 : 0;
	return n;
}

static oc_status host_call_event(oc_call *call, uint32_t type, oc_str payload)
{
	assert_int_equal(call->done, 0);
	if (call->answer != OC_E_STATE)
		record_event(&call->events, type, payload);
	return call->answer;
}

static void host_call_done(oc_call *call, oc_status status, oc_str result)
{
	assert_int_equal(call->done, 0);
	assert_int_not_equal(call->answer, OC_E_STATE);
	call->done = 1;
	call->status = status;
	call->result = strndup(result.p, result.n);
	if (strstr(call->result, KEY) != NULL)
		fail_msg("the key is in: %s", call->result);
}

static uint64_t host_now_ms(oc_self *self)
{
	(void)self;
	return 1000;
}

static char *copy_of(oc_str s)
{
	assert_int_equal(s.p[s.n], 0);
	return strndup(s.p, s.n);
}

static oc_status http_start(oc_self *self, const oc_http_client_request *request, oc_http_call **ret)
{
	(void)self;
	assert_true(host.n_http < sizeof(host.http) / sizeof(host.http[0]));
	struct oc_http_call *c = &host.http[host.n_http++];
	*c = (struct oc_http_call){.open = true, .request = *request};
	c->method = copy_of(request->method);
	c->url = copy_of(request->url);
	c->headers = copy_of(request->headers);
	c->body = copy_of(request->body);
	wall(request->headers);
	*ret = c;
	return OC_OK;
}

static void http_cancel(oc_http_call *call)
{
	assert_true(call->open);
	call->open = false;
	call->cancelled = true;
}

static void http_pause(oc_http_call *call, uint32_t paused)
{
	assert_true(call->open);
	call->paused = paused;
	call->pauses += paused;
}

static const oc_http_client_host http_table = {.struct_size = sizeof(http_table),
					       .start = http_start,
					       .cancel = http_cancel,
					       .pause = http_pause};

static oc_status host_query(oc_self *self, oc_str service, uint16_t major, uint16_t min_minor, const void **ret)
{
	(void)self;
	(void)min_minor;
	assert_string_equal(service.p, "http.client");
	assert_int_equal(major, 1);
	*ret = &http_table;
	return OC_OK;
}

static const oc_host_api api = {
	.struct_size = sizeof(api),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.log = host_log,
	.buf_unref = host_buf_unref,
	.buf_str = host_buf_str,
	.timer = host_timer,
	.unwatch = host_unwatch,
	.call_event = host_call_event,
	.call_done = host_call_done,
	.now_ms = host_now_ms,
	.secret = host_secret,
	.query = host_query,
};

/* ---- A module and its calls ---- */

static const oc_module_desc *desc;
static const oc_provider_vtbl *vtbl;
static void *inst;

static void load(const char *name, const char *config)
{
	char path[1024];
	const char *folder = getenv("OC_MODULES");
	memset(&host, 0, sizeof(host));
	host.key = KEY;
	snprintf(path, sizeof(path), "%s/%s.so", folder != NULL ? folder : "modules/.libs", name);
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (so == NULL && strlen(getenv("OC_STATIC_MODULES") != NULL ? getenv("OC_STATIC_MODULES") : "") > 0)
		skip();
	if (so == NULL)
		fail_msg("%s", dlerror());
	const oc_module_desc *(*entry)(void);
	void *symbol = dlsym(so, "oc_module_v1");
	assert_non_null(symbol);
	memcpy(&entry, &symbol, sizeof(entry));
	desc = entry();
	assert_string_equal(desc->name, name);
	vtbl = desc->ifaces[0].vtbl;
	assert_int_equal(desc->init(&api, &host.self, oc_str_of(config), &inst), OC_OK);
}

static void call_init(oc_call *call)
{
	*call = (oc_call){0};
	record_init(&call->events);
}

static void call_free(oc_call *call)
{
	prv_text_free(&call->events.log);
	free(call->result);
}

static void unload(void)
{
	desc->fini(inst);
	assert_int_equal(timers(), 0);
	assert_null(timer_of(true));
	assert_int_equal(host.bufs, 0);
	for (size_t i = 0; i < host.n_http; i++) {
		assert_false(host.http[i].open);
		free(host.http[i].method);
		free(host.http[i].url);
		free(host.http[i].headers);
		free(host.http[i].body);
	}
}

#define REQUEST(base, more)                                                                                                            \
	"{\"endpoint\":{\"provider\":\"acme\",\"baseUrl\":\"" base                                                                     \
	"\",\"secret\":\"models.providers.acme.apiKey\"},\"model\":\"m-1\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more \
	"}"
#define FAR "https://llm.example.com/v1"

static void chat(oc_call *call, const char *request)
{
	call_init(call);
	vtbl->chat(inst, call, oc_str_of(request));
}

static struct oc_http_call *last(void)
{
	assert_true(host.n_http > 0);
	return &host.http[host.n_http - 1];
}

static void head(int32_t status, const char *headers)
{
	if (last()->request.on_head != NULL)
		last()->request.on_head(last()->request.arg, status, oc_str_of(headers));
}

static void sse(const char *data)
{
	assert_true(last()->open);
	last()->request.on_sse(last()->request.arg, OC_STR("message"), oc_str_of(data), OC_STR(""));
}

static void done(oc_status status, int32_t http, const char *body)
{
	struct oc_http_call *c = last();
	assert_true(c->open);
	c->open = false;
	c->request.on_done(c->request.arg, status, http, oc_str_of(body));
}

#define TEXT(text) "{\"model\":\"m-real\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}"
#define STOP	   "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}"

#endif
