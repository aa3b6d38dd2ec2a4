/*
 * A hostile process asks the gateway: questions in any order, of requests that are over, never were or are its own, with what
 * the host answers in between.  The host's tables are here, and abort when they are handed something that is not theirs.
 *
 * Each step: a byte that chooses, two of length, the payload.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "ipc-bridge/isolate_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPEN_MAX = 64 };
enum kind { FREE, CALLED, COMMITS, HTTP, PROCESS };

/* What the host works at for it. */
static struct open {
	enum kind kind;
	void *arg;
	void (*on_text)(void *arg, oc_status status, oc_str result);
	void (*on_status)(void *arg, oc_status status);
	oc_http_client_request http;
	oc_process_options process;
} opens[OPEN_MAX];

static struct open *open_new(enum kind kind)
{
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (opens[i].kind == FREE) {
			opens[i] = (struct open){.kind = kind};
			return &opens[i];
		}
	return NULL;
}

/* Aborts when it is none of those that are open. */
static struct open *mine(const void *handle, enum kind kind)
{
	for (size_t i = 0; i < OPEN_MAX; i++)
		if (handle == &opens[i] && opens[i].kind == kind)
			return &opens[i];
	abort();
}

static oc_status fake_secret(oc_self *self, oc_str name, oc_buf **ret)
{
	(void)self;
	*ret = oc_buf_new(name);
	return *ret != NULL ? OC_OK : OC_E_NOMEM;
}

static oc_status fake_service(oc_self *self, oc_str service, uint16_t major, oc_str method, oc_str args, uint64_t deadline_ms,
			      void (*done)(void *arg, oc_status status, oc_str result), void *arg)
{
	struct open *o = service.n + method.n + args.n + major > 0 ? open_new(CALLED) : NULL;
	(void)self;
	(void)deadline_ms;
	if (o == NULL)
		return OC_E_LIMIT;
	o->on_text = done;
	o->arg = arg;
	return OC_OK;
}

static oc_status commits(void (*done)(void *arg, oc_status status), void *arg)
{
	struct open *o = done != NULL ? open_new(COMMITS) : NULL;
	if (done != NULL && o == NULL)
		return OC_E_BUSY;
	if (o != NULL) {
		o->on_status = done;
		o->arg = arg;
	}
	return OC_OK;
}

static oc_status kv_get(oc_self *self, oc_str key, oc_buf **ret)
{
	return key.n % 2 == 0 ? fake_secret(self, key, ret) : OC_E_NOT_FOUND;
}

static oc_status kv_put(oc_self *self, oc_str key, oc_str value, void (*done)(void *arg, oc_status status), void *arg)
{
	(void)self;
	(void)value;
	return key.n == 0 ? OC_E_INVALID : commits(done, arg);
}

static oc_status receive(oc_self *self, oc_str message, void (*done)(void *arg, oc_status status), void *arg)
{
	(void)self;
	return message.n == 1 ? OC_E_INVALID : commits(done, arg);
}

static void channel_state(oc_self *self, oc_str state)
{
	(void)self;
	if (state.p[state.n] != 0)
		abort();
}

static oc_str media_dir(oc_self *self)
{
	(void)self;
	return OC_STR("/media");
}

static int32_t admits(oc_self *self, oc_str message)
{
	(void)self;
	return message.n > 3;
}

static oc_status http_start(oc_self *self, const oc_http_client_request *r, oc_http_call **ret)
{
	struct open *o = r->url.n > 0 ? open_new(HTTP) : NULL;
	(void)self;
	if (o == NULL)
		return OC_E_INVALID;
	o->http = *r;
	*ret = (oc_http_call *)o;
	return OC_OK;
}

static void http_cancel(oc_http_call *call)
{
	mine(call, HTTP)->kind = FREE;
}

static void http_pause(oc_http_call *call, uint32_t paused)
{
	(void)mine(call, HTTP);
	(void)paused;
}

static oc_status spawn(oc_self *self, const oc_process_options *options, oc_process **ret)
{
	struct open *o = options->spec.n > 0 ? open_new(PROCESS) : NULL;
	(void)self;
	if (o == NULL)
		return OC_E_INVALID;
	o->process = *options;
	*ret = (oc_process *)o;
	return OC_OK;
}

static oc_status process_write(oc_process *process, oc_str bytes)
{
	(void)mine(process, PROCESS);
	return bytes.n > 100 ? OC_E_LIMIT : OC_OK;
}

static void close_stdin(oc_process *process)
{
	(void)mine(process, PROCESS);
}

static oc_status process_kill(oc_process *process, int32_t signal)
{
	(void)mine(process, PROCESS);
	return signal > 64 ? OC_E_INVALID : OC_OK;
}

static int64_t process_pid(const oc_process *process)
{
	(void)mine(process, PROCESS);
	return 42;
}

static const oc_kv_host kv = {sizeof(kv), 0, kv_get, kv_put};
static const oc_channel_host channel = {sizeof(channel), 0, receive, channel_state, media_dir, admits};
static const oc_http_client_host http = {sizeof(http), 0, http_start, http_cancel, http_pause};
static const oc_process_host process = {sizeof(process), 0, spawn, process_write, close_stdin, process_kill, process_pid};

static oc_status query(oc_self *self, oc_str service, uint16_t major, uint16_t minor, const void **ret)
{
	(void)self;
	(void)major;
	(void)minor;
	*ret = oc_str_eqz(service, "kv") ? (const void *)&kv : oc_str_eqz(service, "channel") ? (const void *)&channel
	       : oc_str_eqz(service, "http.client") ? (const void *)&http : (const void *)&process;
	return OC_OK;
}

/* The host goes on with one of them; what comes last is over first. */
static void go_on(size_t i, uint8_t how, oc_str text)
{
	struct open o = opens[i % OPEN_MAX];
	char room[64];
	bool last = how % 4 == 0;
	if (last)
		opens[i % OPEN_MAX].kind = FREE;
	if (o.kind == CALLED && last) {
		o.on_text(o.arg, how % 3 == 0 ? OC_OK : OC_E_IO, text);
	} else if (o.kind == COMMITS && last) {
		o.on_status(o.arg, how % 3 == 0 ? OC_OK : OC_E_IO);
	} else if (o.kind == HTTP && last) {
		o.http.on_done(o.http.arg, OC_OK, 200, text);
	} else if (o.kind == HTTP && how % 4 == 1 && o.http.on_head != NULL) {
		o.http.on_head(o.http.arg, 200, text);
	} else if (o.kind == HTTP && o.http.on_body != NULL) {
		int64_t n = o.http.on_body(o.http.arg, 0, room, sizeof(room));
		if (n > (int64_t)sizeof(room))
			abort();
	} else if (o.kind == PROCESS && last) {
		o.process.on_exit(o.process.arg, OC_OK, 0, 9, text);
	} else if (o.kind == PROCESS && o.process.on_output != NULL) {
		o.process.on_output(o.process.arg, 1, text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const ops[] = {"secret", "service.call", "kv.get", "kv.put", "channel.state", "channel.receive", "channel.admits",
					  "channel.media_dir", "http.start", "http.cancel", "http.pause", "http.body", "process.spawn", "process.write",
					  "process.kill", "process.close_stdin", "process.", "nonsense"};
	enum { OPS = sizeof(ops) / sizeof(ops[0]) };
	oc_host_api api = {.struct_size = sizeof(api), .secret = fake_secret, .query = query, .service_call = fake_service};
	oc_isolate iso = {.name = (char *)(uintptr_t)"hostile", .self = (oc_self *)(uintptr_t)&api, .host = &api};
	memset(opens, 0, sizeof(opens));
	while (size >= 3) {
		size_t n = data[1] | (size_t)data[2] << 8;
		uint8_t what = data[0];
		n = n < size - 3 ? n : size - 3;
		/* A copy of its own: what reads beyond it is seen. */
		char *copy = malloc(n + 1);
		if (copy == NULL)
			break;
		memcpy(copy, data + 3, n);
		copy[n] = 0;
		if (what < 200)
			oc_isolate_asked(&iso, 1, oc_str_of(ops[what % OPS]), (oc_str){copy, n});
		else
			go_on(n > 0 ? (uint8_t)copy[0] : 0, what, (oc_str){copy, n});
		free(copy);
		data += 3 + n;
		size -= 3 + n;
	}
	if (iso.n_wishes > 1024 || iso.wish_bytes > ((size_t)64 << 20) + 65536)
		abort();
	oc_isolate_wishes_end(&iso);
	if (iso.n_wishes != 0 || iso.wish_bytes != 0)
		abort();
	return 0;
}
