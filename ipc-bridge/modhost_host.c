/*
 * What a module's process has not itself: secrets, the services of the gateway and of other modules.  Each is a question on
 * the second line (isolate_host.c answers), for whose answer the module waits as it waits for a host function; what it
 * started is told of later, on the first line.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/frame.h"
#include "ipc-bridge/modhost_int.h"
#include "ipc-bridge/sp.h"

/* ---- The line ---- */

static int line = -1;
static uint32_t last_id;

static void broken(void)
{
	_exit(0); /* the gateway is gone, or wants us gone */
}

static void write_all(const void *bytes, size_t n)
{
	const char *p = bytes;
	while (n > 0) {
		ssize_t w = send(line, p, n, MSG_NOSIGNAL);
		if (w <= 0)
			broken();
		p += w;
		n -= (size_t)w;
	}
}

static void read_all(void *bytes, size_t n)
{
	char *p = bytes;
	while (n > 0) {
		ssize_t r = recv(line, p, n, 0);
		if (r <= 0)
			broken();
		p += r;
		n -= (size_t)r;
	}
}

static void write_frame(const oc_frame *frame)
{
	unsigned char sp[OC_SP_HEAD], head[OC_FRAME_HEAD_MAX];
	size_t n = oc_frame_head(frame, head);
	oc_sp_head(n + frame->payload.n, sp);
	write_all(sp, sizeof(sp));
	write_all(head, n);
	write_all(frame->payload.p, frame->payload.n);
}

/* The next message; oc_free it. */
static char *read_frame(oc_frame *ret)
{
	unsigned char sp[OC_SP_HEAD];
	uint64_t n = 0;
	read_all(sp, sizeof(sp));
	for (size_t i = 1; i < 9; i++)
		n = n << 8 | sp[i];
	n -= 4; /* the hops */
	char *body = n <= OC_BRIDGE_MESSAGE_MAX ? oc_alloc((size_t)n + 1) : NULL;
	if (body == NULL)
		broken();
	read_all(body, (size_t)n);
	if (oc_frame_decode((oc_str){body, (size_t)n}, ret, NULL) != OC_OK)
		broken();
	return body;
}

oc_status oc_line_open(int fd)
{
	char greeting[OC_SP_GREETING_BYTES];
	oc_frame hello;
	line = fd;
	write_all(OC_SP_GREETING, OC_SP_GREETING_BYTES);
	write_frame(&(oc_frame){.kind = OC_FRAME_HELLO, .payload = OC_STR("{\"protocol\":1}")});
	read_all(greeting, sizeof(greeting));
	oc_free(read_frame(&hello));
	return hello.kind == OC_FRAME_HELLO ? OC_OK : OC_E_PROTOCOL;
}

/* Asks, and waits. b is freed. result (may be NULL): the caller's, also with a status other than OC_OK. */
static oc_status ask(const char *op, oc_sbuf *b, oc_buf **result)
{
	oc_frame frame = {.kind = OC_FRAME_CALL, .id = ++last_id, .name = oc_str_of(op), .payload = oc_sbuf_view(b)};
	oc_status status = b->error;
	if (status != OC_OK) {
		oc_sbuf_free(b);
		return status;
	}
	write_frame(&frame);
	oc_sbuf_free(b);
	char *body = read_frame(&frame);
	if (frame.kind == OC_FRAME_ERROR) {
		status = -(oc_status)frame.number;
	} else {
		oc_unpack u = {frame.payload, false};
		status = (oc_status)oc_unpack_u32(&u);
		oc_str text = oc_unpack_str(&u);
		if (result != NULL && status == OC_OK) {
			*result = oc_buf_new_secret(text);
			if (*result == NULL)
				status = OC_E_NOMEM;
		}
		oc_wipe(body, (size_t)(frame.payload.p - body) + frame.payload.n);
	}
	oc_free(body);
	return status;
}

static oc_sbuf question(void)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX - OC_FRAME_HEAD_MAX);
	return b;
}

static oc_status ask_text(const char *op, uint32_t id, oc_str text, oc_buf **result)
{
	oc_sbuf b = question();
	oc_pack_u32(&b, id);
	oc_pack_str(&b, text);
	return ask(op, &b, result);
}

static oc_status ask_number(const char *op, uint32_t id, uint32_t number)
{
	oc_sbuf b = question();
	oc_pack_u32(&b, id);
	oc_pack_u32(&b, number);
	return ask(op, &b, NULL);
}

/* ---- What is under way ---- */

typedef struct wish {
	struct wish *next;
	uint32_t id;
	void *arg;
	void (*on_text)(void *arg, oc_status status, oc_str result);
	void (*on_status)(void *arg, oc_status status);
	oc_http_client_request http;
	oc_process_options process;
	int64_t pid;
} wish;

static wish *wishes;
static uint32_t last_wish;

static wish *wish_new(void *arg)
{
	wish *w = oc_alloc(sizeof(*w));
	if (w == NULL)
		return NULL;
	w->next = wishes;
	w->id = ++last_wish != 0 ? last_wish : ++last_wish;
	w->arg = arg;
	wishes = w;
	return w;
}

static void wish_free(wish *w)
{
	wish **at = &wishes;
	while (*at != NULL && *at != w)
		at = &(*at)->next;
	if (*at == w) {
		*at = w->next;
		oc_free(w);
	}
}

static oc_status begun(wish *w, oc_status status)
{
	if (status != OC_OK)
		wish_free(w);
	return status;
}

/* ---- Secrets, services of other modules ---- */

static oc_status get_secret(void *arg, oc_str name, oc_buf **ret)
{
	oc_sbuf b = question();
	(void)arg;
	oc_pack_str(&b, name);
	return ask("secret", &b, ret);
}

static oc_status call_service(void *arg, oc_str service, uint16_t major, oc_str method, oc_str args, uint64_t deadline_ms,
			      void (*done)(void *arg, oc_status status, oc_str result), void *done_arg)
{
	oc_sbuf b = question();
	wish *w = wish_new(done_arg);
	(void)arg;
	if (w == NULL)
		return OC_E_NOMEM;
	w->on_text = done;
	oc_pack_u32(&b, w->id);
	oc_pack_u32(&b, major);
	oc_pack_str(&b, service);
	oc_pack_str(&b, method);
	oc_pack_str(&b, args);
	oc_pack_u64(&b, deadline_ms);
	return begun(w, ask("service.call", &b, NULL));
}

static void forget_services(void *arg)
{
	(void)arg;
	for (wish *w = wishes, *next; w != NULL; w = next) {
		next = w->next;
		wish_free(w);
	}
}

/* ---- kv ---- */

static oc_status kv_get(oc_self *self, oc_str key, oc_buf **ret)
{
	oc_sbuf b = question();
	(void)self;
	oc_pack_str(&b, key);
	return ask("kv.get", &b, ret);
}

static oc_status kv_put(oc_self *self, oc_str key, oc_str value, void (*done)(void *arg, oc_status status), void *arg)
{
	oc_sbuf b = question();
	wish *w = done != NULL ? wish_new(arg) : NULL;
	(void)self;
	if (done != NULL && w == NULL)
		return OC_E_NOMEM;
	if (w != NULL)
		w->on_status = done;
	oc_pack_u32(&b, w != NULL ? w->id : 0);
	oc_pack_str(&b, key);
	oc_pack_str(&b, value);
	oc_status status = ask("kv.put", &b, NULL);
	return w != NULL ? begun(w, status) : status;
}

static const oc_kv_host kv = {.struct_size = sizeof(kv), .get = kv_get, .put = kv_put};

/* ---- channel ---- */

static oc_status channel_receive(oc_self *self, oc_str message, void (*done)(void *arg, oc_status status), void *arg)
{
	wish *w = wish_new(arg);
	(void)self;
	if (w == NULL)
		return OC_E_NOMEM;
	w->on_status = done;
	return begun(w, ask_text("channel.receive", w->id, message, NULL));
}

static void channel_state(oc_self *self, oc_str state)
{
	(void)self;
	(void)ask_text("channel.state", 0, state, NULL);
}

static oc_str channel_media_dir(oc_self *self)
{
	static oc_buf *dir; /* as long as the process */
	(void)self;
	if (dir == NULL && ask_text("channel.media_dir", 0, OC_STR_NONE, &dir) != OC_OK)
		return OC_STR_NONE;
	return oc_buf_str(dir);
}

static int32_t channel_admits(oc_self *self, oc_str message)
{
	oc_buf *yes = NULL;
	(void)self;
	if (ask_text("channel.admits", 0, message, &yes) != OC_OK)
		return 0;
	int32_t admits = oc_str_eqz(oc_buf_str(yes), "1");
	oc_buf_unref(yes);
	return admits;
}

static const oc_channel_host channel = {.struct_size = sizeof(channel), .receive = channel_receive, .state = channel_state,
					.media_dir = channel_media_dir, .admits = channel_admits};

/* ---- http.client ---- */

static oc_status http_start(oc_self *self, const oc_http_client_request *request, oc_http_call **ret)
{
	oc_sbuf b = question();
	wish *w = wish_new(NULL);
	(void)self;
	if (w == NULL)
		return OC_E_NOMEM;
	size_t n = request->struct_size < sizeof(w->http) ? request->struct_size : sizeof(w->http);
	memcpy(&w->http, request, n);
	w->arg = w->http.arg;
	const oc_http_client_request *r = &w->http;
	oc_pack_u32(&b, w->id);
	oc_pack_u32(&b, r->flags);
	oc_pack_str(&b, r->method);
	oc_pack_str(&b, r->url);
	oc_pack_str(&b, r->headers);
	oc_pack_str(&b, r->on_body != NULL ? OC_STR_NONE : r->body);
	oc_pack_str(&b, r->proxy);
	oc_pack_u64(&b, r->timeout_ms);
	oc_pack_u64(&b, r->idle_ms);
	oc_pack_u64(&b, r->max_bytes);
	oc_pack_u64(&b, r->body_bytes);
	oc_pack_u32(&b, r->retries);
	oc_pack_u32(&b, r->max_redirects);
	oc_pack_u32(&b, (r->on_head != NULL ? 1u : 0) | (r->on_data != NULL ? 2u : 0) | (r->on_sse != NULL ? 4u : 0) |
				(r->on_body != NULL ? 8u : 0));
	oc_status status = begun(w, ask("http.start", &b, NULL));
	if (status == OC_OK && ret != NULL)
		*ret = (oc_http_call *)w;
	return status;
}

static void http_cancel(oc_http_call *call)
{
	wish *w = (wish *)call;
	if (w == NULL)
		return;
	(void)ask_number("http.cancel", w->id, 0);
	wish_free(w);
}

static void http_pause(oc_http_call *call, uint32_t paused)
{
	(void)ask_number("http.pause", ((const wish *)call)->id, paused);
}

/* The gateway may take a piece of an upload. */
static void http_body(const wish *w, uint64_t offset, uint64_t max)
{
	char *piece = max > 0 && max <= OC_BRIDGE_MESSAGE_MAX ? oc_alloc((size_t)max) : NULL;
	int64_t n = piece != NULL && w->http.on_body != NULL ? w->http.on_body(w->arg, offset, piece, max) : OC_E_NOMEM;
	oc_sbuf b = question();
	oc_pack_u32(&b, w->id);
	oc_pack_u32(&b, (uint32_t)(n < 0 ? n : OC_OK));
	oc_pack_str(&b, (oc_str){n > 0 ? piece : "", n > 0 ? (size_t)n : 0});
	(void)ask("http.body", &b, NULL);
	oc_free(piece);
}

static const oc_http_client_host http = {.struct_size = sizeof(http), .start = http_start, .cancel = http_cancel, .pause = http_pause};

/* ---- process ---- */

static oc_status process_spawn(oc_self *self, const oc_process_options *options, oc_process **ret)
{
	oc_sbuf b = question();
	oc_buf *pid = NULL;
	wish *w = wish_new(options->arg);
	(void)self;
	if (w == NULL)
		return OC_E_NOMEM;
	size_t n = options->struct_size < sizeof(w->process) ? options->struct_size : sizeof(w->process);
	memcpy(&w->process, options, n);
	w->arg = w->process.arg;
	oc_pack_u32(&b, w->id);
	oc_pack_u32(&b, w->process.flags);
	oc_pack_u32(&b, w->process.on_output != NULL ? 1 : 0);
	oc_pack_str(&b, w->process.spec);
	oc_status status = begun(w, ask("process.spawn", &b, &pid));
	if (status == OC_OK) {
		oc_unpack u = {oc_buf_str(pid), false};
		w->pid = (int64_t)oc_unpack_u64(&u);
		*ret = (oc_process *)w;
	}
	oc_buf_unref(pid);
	return status;
}

static oc_status process_write(oc_process *process, oc_str data)
{
	return ask_text("process.write", ((const wish *)process)->id, data, NULL);
}

static void process_close_stdin(oc_process *process)
{
	(void)ask_number("process.close_stdin", ((const wish *)process)->id, 0);
}

static oc_status process_kill(oc_process *process, int32_t signal)
{
	return ask_number("process.kill", ((const wish *)process)->id, (uint32_t)signal);
}

static int64_t process_pid(const oc_process *process)
{
	return ((const wish *)process)->pid;
}

static const oc_process_host process = {.struct_size = sizeof(process), .spawn = process_spawn, .write = process_write,
					.close_stdin = process_close_stdin, .kill = process_kill, .pid = process_pid};

/* ---- News ---- */

static void hand_on(const wish *w, const oc_pack_news *n)
{
	switch (n->what) {
	case OC_NEWS_HTTP_HEAD:
		if (w->http.on_head != NULL)
			w->http.on_head(w->arg, (int32_t)n->number, n->text[0]);
		break;
	case OC_NEWS_HTTP_DATA:
		if (w->http.on_data != NULL)
			w->http.on_data(w->arg, n->text[0]);
		break;
	case OC_NEWS_HTTP_SSE:
		if (w->http.on_sse != NULL)
			w->http.on_sse(w->arg, n->text[0], n->text[1], n->text[2]);
		break;
	case OC_NEWS_HTTP_BODY:
		http_body(w, n->number, n->number2);
		break;
	case OC_NEWS_OUTPUT:
		if (w->process.on_output != NULL)
			w->process.on_output(w->arg, (uint32_t)n->number, n->text[0]);
		break;
	default:
		break;
	}
}

/* It is over: forgotten first, since the module may begin the next from here. */
static void hand_last(wish *w, const oc_pack_news *n)
{
	wish last = *w;
	wish_free(w);
	if (n->what == OC_NEWS_HTTP_DONE && last.http.on_done != NULL)
		last.http.on_done(last.arg, n->status, (int32_t)n->number, n->text[0]);
	else if (n->what == OC_NEWS_EXIT && last.process.on_exit != NULL)
		last.process.on_exit(last.arg, n->status, (int32_t)n->number, (int32_t)n->number2, n->text[0]);
	else if (n->what == OC_NEWS_DONE && last.on_status != NULL)
		last.on_status(last.arg, n->status);
	else if (n->what == OC_NEWS_DONE && last.on_text != NULL)
		last.on_text(last.arg, n->status, n->text[0]);
}

void oc_line_news(oc_module *module, oc_str payload)
{
	oc_pack_news n;
	wish *w = wishes;
	if (module == NULL || !oc_unpack_news(payload, &n))
		return;
	while (w != NULL && w->id != n.id)
		w = w->next;
	if (w == NULL)
		return;
	uint64_t entered = oc_owner_enter(oc_module_owner(module));
	if (n.what == OC_NEWS_DONE || n.what == OC_NEWS_HTTP_DONE || n.what == OC_NEWS_EXIT)
		hand_last(w, &n);
	else
		hand_on(w, &n);
	oc_owner_leave(oc_module_owner(module), entered);
}

oc_status oc_line_offer(oc_modules *modules)
{
	static const oc_remote_services remote = {call_service, forget_services};
	oc_modules_set_secret_source(modules, get_secret, NULL);
	oc_modules_set_remote_services(modules, &remote, NULL);
	oc_status status = oc_modules_provide_service(modules, OC_SERVICE_KV, 1, 0, &kv, NULL);
	if (status == OC_OK)
		status = oc_modules_provide_service(modules, OC_SERVICE_CHANNEL, 1, 0, &channel, NULL);
	if (status == OC_OK)
		status = oc_modules_provide_service(modules, OC_SERVICE_HTTP_CLIENT, 1, 0, &http, "net");
	if (status == OC_OK)
		status = oc_modules_provide_service(modules, OC_SERVICE_PROCESS, 1, 0, &process, "exec");
	return status;
}
