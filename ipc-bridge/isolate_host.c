/*
 * The host table for a module in a process of its own: its questions, and news of what they started.
 *
 * Each question is answered through the ordinary host table in the module's name, so what a module may do is decided where it
 * is for modules inside the gateway, whatever its process claims.
 */
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/isolate_int.h"

enum {
	WISHES_MAX = 1024, /* open at once */
	WISH_BYTES_MAX = 64 << 20, /* that they hold here together, when there is more than one */
	UNSENT_MAX = 256,  /* messages that wait for it, before requests of its are paused */
	RESUME_MS = 10,
	BODY_MAX = 256 * 1024, /* bytes of an upload asked for at once */
};

typedef enum wish_kind { WISH_DONE = 1, WISH_HTTP, WISH_PROCESS } wish_kind;

/* Something it asked for that is not over. */
typedef struct oc_wish {
	struct oc_wish *next, **at;
	oc_isolate *iso;
	uint32_t id; /* its number for it */
	wish_kind kind;
	oc_http_call *http;
	oc_process *process;
	oc_watch *resume;
	/* Of an upload: what it sent and the request has not taken. */
	char *body;
	size_t body_n, body_at;
	oc_status body_status;
	bool body_asked;
	size_t bytes; /* of the question that made it: what it started may hold as much */
} oc_wish;

static oc_wish *wish_find(const oc_isolate *iso, uint32_t id, wish_kind kind)
{
	oc_wish *w = iso->wishes;
	while (w != NULL && (w->id != id || w->kind != kind))
		w = w->next;
	return w;
}

static oc_wish *wish_new(oc_isolate *iso, uint32_t id, wish_kind kind)
{
	bool room = iso->n_wishes < WISHES_MAX && (iso->n_wishes == 0 || iso->wish_bytes + iso->question_bytes <= WISH_BYTES_MAX);
	if (!room)
		oc_queue_refused(OC_QUEUE_isolated_requests);
	oc_wish *w = room && wish_find(iso, id, kind) == NULL ? oc_alloc(sizeof(*w)) : NULL;
	if (w == NULL)
		return NULL;
	*w = (oc_wish){.next = iso->wishes, .at = &iso->wishes, .iso = iso, .id = id, .kind = kind, .bytes = iso->question_bytes};
	iso->wish_bytes += w->bytes;
	if (w->next != NULL)
		w->next->at = &w->next;
	iso->wishes = w;
	iso->n_wishes++;
	return w;
}

void oc_isolate_requests_fill(const oc_isolate *iso, oc_fill *requests)
{
	oc_fill_add(requests, iso != NULL ? iso->n_wishes : 0, WISHES_MAX);
}

static void wish_free(oc_wish *w)
{
	*w->at = w->next;
	if (w->next != NULL)
		w->next->at = w->at;
	w->iso->n_wishes--;
	w->iso->wish_bytes -= w->bytes;
	oc_watch_end(w->resume);
	oc_free(w->body);
	oc_free(w);
}

/* The module's owner was swept: what belongs to these has ended and calls nobody back. */
void oc_isolate_wishes_end(oc_isolate *iso)
{
	while (iso->wishes != NULL)
		wish_free(iso->wishes);
}

/* ---- News ---- */

static void tell(oc_isolate *iso, const oc_pack_news *news)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_news_put(&b, news);
	if (iso->peer != NULL && (b.error != OC_OK || oc_peer_notify(iso->peer, "news", oc_sbuf_view(&b)) == OC_E_LIMIT))
		oc_peer_end(iso->peer, "it does not read what it asked for");
	oc_sbuf_free(&b);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_wish *w = arg;
	oc_isolate *iso = w->iso;
	uint32_t id = w->id;
	wish_free(w);
	tell(iso, &(oc_pack_news){.id = id, .what = OC_NEWS_DONE, .status = status, .text = {result}});
}

static void on_committed(void *arg, oc_status status)
{
	on_done(arg, status, OC_STR_NONE);
}

/* A table that it may use, into a pointer of its type. */
static oc_status table_of(const oc_isolate *iso, const char *service, void *ret)
{
	const void *table = NULL;
	oc_status status = iso->host->query(iso->self, oc_str_of(service), 1, 0, &table);
	memcpy(ret, &table, sizeof(table));
	return status;
}

static const oc_http_client_host *http_of(const oc_isolate *iso)
{
	const oc_http_client_host *table;
	return table_of(iso, OC_SERVICE_HTTP_CLIENT, &table) == OC_OK ? table : NULL;
}

static void resume(void *arg)
{
	oc_wish *w = arg;
	if (oc_peer_unsent(w->iso->peer) > UNSENT_MAX / 2) {
		oc_timer_again(w->resume, RESUME_MS);
		return;
	}
	oc_watch_end(w->resume);
	w->resume = NULL;
	http_of(w->iso)->pause(w->http, 0);
}

/* A module that reads slowly slows down what it reads. */
static void hold_back(oc_wish *w)
{
	if (oc_peer_unsent(w->iso->peer) < UNSENT_MAX || w->resume != NULL)
		return;
	w->resume = oc_timer_start(w->iso->owner, RESUME_MS, 0, resume, w);
	if (w->resume != NULL)
		http_of(w->iso)->pause(w->http, 1);
}

static void on_head(void *arg, int32_t http_status, oc_str headers)
{
	const oc_wish *w = arg;
	tell(w->iso, &(oc_pack_news){.id = w->id, .what = OC_NEWS_HTTP_HEAD, .number = (uint64_t)http_status, .text = {headers}});
}

static void on_data(void *arg, oc_str data)
{
	oc_wish *w = arg;
	tell(w->iso, &(oc_pack_news){.id = w->id, .what = OC_NEWS_HTTP_DATA, .text = {data}});
	hold_back(w);
}

static void on_sse(void *arg, oc_str event, oc_str data, oc_str id)
{
	oc_wish *w = arg;
	tell(w->iso, &(oc_pack_news){.id = w->id, .what = OC_NEWS_HTTP_SSE, .text = {event, data, id}});
	hold_back(w);
}

static void on_http_done(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	oc_wish *w = arg;
	oc_isolate *iso = w->iso;
	uint32_t id = w->id;
	wish_free(w);
	tell(iso, &(oc_pack_news){.id = id, .what = OC_NEWS_HTTP_DONE, .status = status, .number = (uint64_t)http_status, .text = {body}});
}

/* The module is asked for the piece, which http.body brings. */
static int64_t on_body(void *arg, uint64_t offset, void *out, uint64_t max)
{
	oc_wish *w = arg;
	size_t n = w->body_n - w->body_at;
	if (n > 0) {
		n = n < max ? n : (size_t)max;
		memcpy(out, w->body + w->body_at, n);
		w->body_at += n;
		return (int64_t)n;
	}
	if (w->body_status != OC_OK)
		return w->body_status;
	if (!w->body_asked) {
		w->body_asked = true;
		tell(w->iso, &(oc_pack_news){.id = w->id, .what = OC_NEWS_HTTP_BODY, .number = offset, .number2 = max < BODY_MAX ? max : BODY_MAX});
	}
	return OC_E_BUSY;
}

static void on_output(void *arg, uint32_t stream, oc_str data)
{
	const oc_wish *w = arg;
	tell(w->iso, &(oc_pack_news){.id = w->id, .what = OC_NEWS_OUTPUT, .number = stream, .text = {data}});
}

static void on_exit_of(void *arg, oc_status status, int32_t exit_code, int32_t signal, oc_str message)
{
	oc_wish *w = arg;
	oc_isolate *iso = w->iso;
	uint32_t id = w->id;
	wish_free(w);
	tell(iso, &(oc_pack_news){.id = id, .what = OC_NEWS_EXIT, .status = status, .number = (uint32_t)exit_code, .number2 = (uint32_t)signal,
				  .text = {message}});
}

/* ---- Questions: each fills `out`, and says the status ---- */

static oc_status take_buf(oc_status status, oc_buf *buf, oc_sbuf *out)
{
	if (status == OC_OK)
		oc_sbuf_str(out, oc_buf_str(buf));
	oc_buf_unref(buf);
	return status;
}

static oc_status ask_secret(oc_isolate *iso, oc_unpack *u, oc_sbuf *out)
{
	oc_str name = oc_unpack_str(u);
	oc_buf *buf = NULL;
	oc_status status = oc_unpack_done(u) ? iso->host->secret(iso->self, name, &buf) : OC_E_PROTOCOL;
	return take_buf(status, buf, out);
}

static oc_status ask_service(oc_isolate *iso, oc_unpack *u, oc_sbuf *out)
{
	uint32_t id = oc_unpack_u32(u), major = oc_unpack_u32(u);
	oc_str service = oc_unpack_str(u), method = oc_unpack_str(u), args = oc_unpack_str(u);
	uint64_t deadline = oc_unpack_u64(u);
	oc_wish *w = oc_unpack_done(u) && major <= UINT16_MAX ? wish_new(iso, id, WISH_DONE) : NULL;
	(void)out;
	if (w == NULL)
		return OC_E_LIMIT;
	oc_status status = iso->host->service_call(iso->self, service, (uint16_t)major, method, args, deadline, on_done, w);
	if (status != OC_OK)
		wish_free(w);
	return status;
}

static oc_status ask_kv_get(oc_isolate *iso, oc_unpack *u, oc_sbuf *out)
{
	const oc_kv_host *kv;
	oc_str key = oc_unpack_str(u);
	oc_buf *buf = NULL;
	oc_status status = table_of(iso, OC_SERVICE_KV, &kv);
	if (status == OC_OK)
		status = oc_unpack_done(u) ? kv->get(iso->self, key, &buf) : OC_E_PROTOCOL;
	return take_buf(status, buf, out);
}

static oc_status ask_kv_put(oc_isolate *iso, oc_unpack *u, oc_sbuf *out)
{
	const oc_kv_host *kv;
	uint32_t id = oc_unpack_u32(u);
	oc_str key = oc_unpack_str(u), value = oc_unpack_str(u);
	oc_status status = table_of(iso, OC_SERVICE_KV, &kv);
	oc_wish *w = status == OC_OK && oc_unpack_done(u) && id != 0 ? wish_new(iso, id, WISH_DONE) : NULL;
	(void)out;
	if (status != OC_OK || u->bad || (id != 0 && w == NULL))
		return status != OC_OK ? status : OC_E_LIMIT;
	status = kv->put(iso->self, key, value, w != NULL ? on_committed : NULL, w);
	if (status != OC_OK && w != NULL)
		wish_free(w);
	return status;
}

static oc_status ask_channel(oc_isolate *iso, oc_str op, oc_unpack *u, oc_sbuf *out)
{
	const oc_channel_host *channel;
	oc_status status = table_of(iso, OC_SERVICE_CHANNEL, &channel);
	uint32_t id = oc_unpack_u32(u);
	oc_str text = oc_unpack_str(u);
	if (status != OC_OK || !oc_unpack_done(u))
		return status != OC_OK ? status : OC_E_PROTOCOL;
	if (oc_str_eqz(op, "channel.state")) {
		channel->state(iso->self, text);
	} else if (oc_str_eqz(op, "channel.media_dir")) {
		oc_sbuf_str(out, channel->media_dir(iso->self));
	} else if (oc_str_eqz(op, "channel.admits")) {
		oc_sbuf_char(out, channel->admits(iso->self, text) != 0 ? '1' : '0');
	} else if (oc_str_eqz(op, "channel.receive")) {
		oc_wish *w = wish_new(iso, id, WISH_DONE);
		if (w == NULL)
			return OC_E_LIMIT;
		status = channel->receive(iso->self, text, on_committed, w);
		if (status != OC_OK)
			wish_free(w);
	} else {
		return OC_E_UNSUPPORTED;
	}
	return status;
}

static oc_status http_start(oc_isolate *iso, const oc_http_client_host *http, oc_wish *w, oc_unpack *u)
{
	uint32_t flags = oc_unpack_u32(u);
	oc_http_client_request r = {.struct_size = sizeof(r), .flags = flags};
	r.method = oc_unpack_str(u);
	r.url = oc_unpack_str(u);
	r.headers = oc_unpack_str(u);
	r.body = oc_unpack_str(u);
	r.proxy = oc_unpack_str(u);
	r.timeout_ms = oc_unpack_u64(u);
	r.idle_ms = oc_unpack_u64(u);
	r.max_bytes = oc_unpack_u64(u);
	r.body_bytes = oc_unpack_u64(u);
	r.retries = oc_unpack_u32(u);
	r.max_redirects = oc_unpack_u32(u);
	uint32_t wants = oc_unpack_u32(u);
	if (!oc_unpack_done(u))
		return OC_E_PROTOCOL;
	r.on_head = (wants & 1) != 0 ? on_head : NULL;
	r.on_data = (wants & 2) != 0 ? on_data : NULL;
	r.on_sse = (wants & 4) != 0 ? on_sse : NULL;
	r.on_body = (wants & 8) != 0 ? on_body : NULL;
	r.on_done = on_http_done;
	r.arg = w;
	return http->start(iso->self, &r, &w->http);
}

static oc_status ask_http(oc_isolate *iso, oc_str op, oc_unpack *u)
{
	const oc_http_client_host *http = http_of(iso);
	uint32_t id = oc_unpack_u32(u);
	oc_wish *w = wish_find(iso, id, WISH_HTTP);
	oc_status status = OC_OK;
	if (http == NULL)
		return OC_E_DENIED;
	if (oc_str_eqz(op, "http.start")) {
		w = wish_new(iso, id, WISH_HTTP);
		status = w == NULL ? OC_E_LIMIT : http_start(iso, http, w, u);
		if (status != OC_OK && w != NULL)
			wish_free(w);
		return status;
	}
	if (w == NULL)
		return OC_E_STATE;
	if (oc_str_eqz(op, "http.cancel")) {
		http->cancel(w->http);
		wish_free(w);
	} else if (oc_str_eqz(op, "http.pause")) {
		http->pause(w->http, oc_unpack_u32(u));
	} else if (oc_str_eqz(op, "http.body")) {
		oc_status said = (oc_status)oc_unpack_u32(u);
		oc_str data = oc_unpack_str(u);
		if (!w->body_asked || data.n > BODY_MAX)
			return OC_E_STATE; /* nobody asked, or not for so much */
		w->body_asked = false;
		if (u->bad || said == OC_E_BUSY)
			return OC_OK; /* nothing yet: asked again when it unpauses */
		w->body_status = said > 0 ? OC_E_PROTOCOL : said; /* a number above would be taken for bytes that are there */
		oc_free(w->body);
		w->body = oc_memdup(data.p, data.n);
		w->body_n = w->body != NULL ? data.n : 0;
		w->body_at = 0;
		http->pause(w->http, 0);
	} else {
		return OC_E_UNSUPPORTED;
	}
	return OC_OK;
}

static oc_status ask_process(oc_isolate *iso, oc_str op, oc_unpack *u, oc_sbuf *out)
{
	const oc_process_host *process;
	oc_status status = table_of(iso, OC_SERVICE_PROCESS, &process);
	uint32_t id = oc_unpack_u32(u);
	if (status != OC_OK)
		return status;
	oc_wish *w = wish_find(iso, id, WISH_PROCESS);
	if (oc_str_eqz(op, "process.spawn")) {
		uint32_t flags = oc_unpack_u32(u), wants = oc_unpack_u32(u);
		oc_process_options o = {.struct_size = sizeof(o), .flags = flags, .spec = oc_unpack_str(u)};
		w = oc_unpack_done(u) ? wish_new(iso, id, WISH_PROCESS) : NULL;
		if (w == NULL)
			return OC_E_LIMIT;
		o.on_output = (wants & 1) != 0 ? on_output : NULL;
		o.on_exit = on_exit_of;
		o.arg = w;
		status = process->spawn(iso->self, &o, &w->process);
		if (status != OC_OK)
			wish_free(w);
		else
			oc_pack_u64(out, (uint64_t)process->pid(w->process));
		return status;
	}
	if (w == NULL)
		return OC_E_STATE;
	if (oc_str_eqz(op, "process.write"))
		return process->write(w->process, oc_unpack_str(u));
	if (oc_str_eqz(op, "process.kill"))
		return process->kill(w->process, (int32_t)oc_unpack_u32(u));
	if (!oc_str_eqz(op, "process.close_stdin"))
		return OC_E_UNSUPPORTED;
	process->close_stdin(w->process);
	return OC_OK;
}

void oc_isolate_asked(oc_isolate *iso, uint32_t id, oc_str op, oc_str payload)
{
	oc_unpack u = {payload, false};
	oc_status status;
	oc_sbuf out;
	oc_sbuf_init(&out, OC_BRIDGE_MESSAGE_MAX);
	iso->question_bytes = payload.n;
	if (iso->self == NULL)
		status = OC_E_STATE;
	else if (oc_str_eqz(op, "secret"))
		status = ask_secret(iso, &u, &out);
	else if (oc_str_eqz(op, "service.call"))
		status = ask_service(iso, &u, &out);
	else if (oc_str_eqz(op, "kv.get"))
		status = ask_kv_get(iso, &u, &out);
	else if (oc_str_eqz(op, "kv.put"))
		status = ask_kv_put(iso, &u, &out);
	else if (oc_str_starts(op, "channel."))
		status = ask_channel(iso, op, &u, &out);
	else if (oc_str_starts(op, "http."))
		status = ask_http(iso, op, &u);
	else if (oc_str_starts(op, "process."))
		status = ask_process(iso, op, &u, &out);
	else
		status = OC_E_UNSUPPORTED;
	/* OC_E_BUSY means taken; the process is told so by the status in front. */
	oc_sbuf answer;
	oc_sbuf_init(&answer, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_u32(&answer, (uint32_t)(out.error != OC_OK ? out.error : status));
	oc_pack_str(&answer, out.error == OC_OK ? oc_sbuf_view(&out) : OC_STR_NONE);
	if (iso->questions != NULL)
		oc_peer_answer(iso->questions, id, answer.error, answer.error == OC_OK ? oc_sbuf_view(&answer) : OC_STR_NONE);
	if (out.p != NULL)
		oc_wipe(out.p, out.n);
	if (answer.p != NULL)
		oc_wipe(answer.p, answer.n);
	oc_sbuf_free(&out);
	oc_sbuf_free(&answer);
}
