/* See prv_exchange.h. */
#include "prv_exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "prv_models.h"

enum {
	MAX_REQUEST = 96 << 20,	  /* bytes of a request body: images in base64 */
	MAX_ANSWER = 256 << 20,	  /* bytes of a stream: some 250 for each token */
	MAX_VECTORS = 63 << 20,	  /* bytes of an answer with embeddings; the host takes 64 MiB */
	MAX_LEARNED = 64,	  /* models whose deviations are kept */
	MAX_LESSONS = 4,	  /* refusals one call learns from before it gives up */
	DRAIN_MS = 2000,	  /* for the end of a connection whose answer is complete */
	PAUSE_MS = 20,		  /* before a slow receiver is offered more */
	IDLE_MS = 120000,	  /* a reasoning model thinks */
	IDLE_LOCAL_MS = 300000,	  /* a model is loaded first, or reads a long prompt without a graphics card */
	WORDLESS = 3,		  /* such times with signs of life alone: servers whose model hangs send those for ever */
	DEFAULT_RETRIES = 0	  /* the host tries again itself, and tells people */
};

typedef struct exchange exchange;

/* What is asked for. */
enum what { CHAT = 1, MODELS, EMBED };

struct prv_instance {
	const oc_host_api *host;
	oc_self *self;
	const oc_http_client_host *http;
	prv_config config;
	exchange *exchanges;
	struct {
		uint64_t key;
		prv_quirks quirks;
	} learned[MAX_LEARNED];
	size_t n_learned;
};

struct exchange {
	exchange *next;
	prv_instance *inst;
	const prv_proto *proto;
	oc_call *call; /* NULL once completed */
	enum what what;
	size_t texts; /* of an EMBED */
	prv_endpoint endpoint;
	prv_json request; /* a view into text */
	char *text;	  /* the host's request; freed when the answer begins */
	oc_buf *key;
	prv_quirks quirks;
	unsigned lessons;
	prv_plan plan;
	oc_http_call *http;
	prv_text answer_headers; /* of an error answer */
	void *stream;
	oc_watch *timer; /* resumes a paused answer, or ends a drain */
	bool paused;
	oc_watch *patience; /* of a chat */
	unsigned wordless;  /* times it came to its end since the model's last word */
};

/* ---- Small parts ---- */

static void say(const prv_instance *inst, int32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(const prv_instance *inst, int32_t level, const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	inst->host->log(inst->self, level, oc_str_of(line));
}

static uint64_t hash_of(const prv_endpoint *e)
{
	uint64_t hash = prv_str_hash(PRV_HASH_START, oc_str_of(e->base));
	return prv_str_hash(prv_str_hash(hash, oc_str_of("\n")), oc_str_of(e->model));
}

static prv_quirks recall(const prv_instance *inst, const prv_endpoint *e)
{
	uint64_t key = hash_of(e);
	for (size_t i = 0; i < MAX_LEARNED; i++)
		if (inst->learned[i].key == key)
			return inst->learned[i].quirks;
	return (prv_quirks){0, 0};
}

static void remember(prv_instance *inst, const prv_endpoint *e, prv_quirks quirks)
{
	uint64_t key = hash_of(e);
	size_t at = 0;
	while (at < MAX_LEARNED && inst->learned[at].key != key)
		at++;
	if (at == MAX_LEARNED)
		at = inst->n_learned++ % MAX_LEARNED;
	inst->learned[at].key = key;
	inst->learned[at].quirks = quirks;
}

/* The key, without the line break that came along from a file. */
static oc_str key_of(const exchange *x)
{
	oc_str key = x->key != NULL ? x->inst->host->buf_str(x->key) : (oc_str){"", 0};
	while (key.n > 0 && (unsigned char)key.p[key.n - 1] <= ' ')
		key.n--;
	while (key.n > 0 && (unsigned char)key.p[0] <= ' ')
		key = prv_str_sub(key, 1, key.n);
	return key;
}

static void exchange_free(exchange *x)
{
	const oc_host_api *host = x->inst->host;
	for (exchange **at = &x->inst->exchanges; *at != NULL; at = &(*at)->next)
		if (*at == x) {
			*at = x->next;
			break;
		}
	if (x->timer != NULL)
		host->unwatch(x->timer);
	if (x->patience != NULL)
		host->unwatch(x->patience);
	if (x->stream != NULL)
		x->proto->stream_free(x->stream);
	if (x->key != NULL)
		host->buf_unref(x->key);
	prv_text_free(&x->answer_headers);
	free(x->text);
	free(x);
}

/* Completes the call; the exchange may live on until its connection is done. */
static void complete(exchange *x, oc_status status, oc_str result)
{
	oc_call *call = x->call;
	x->call = NULL;
	x->inst->host->call_done(call, status, result);
}

static void fail(exchange *x, const prv_fault *fault)
{
	prv_text payload;
	prv_place place = prv_endpoint_place(&x->endpoint);
	place.key = key_of(x);
	prv_text_init(&payload, 16384);
	prv_fault_payload(fault, &place, &payload);
	complete(x, fault->status, prv_text_view(&payload));
	prv_text_free(&payload);
}

/* ---- Asking ---- */

/* Fetches the key. False: there is none and the endpoint is not one that may do without. */
static bool fetch_key(exchange *x, prv_fault *why)
{
	const prv_endpoint *e = &x->endpoint;
	bool own = prv_endpoint_has_header(e, "authorization") || prv_endpoint_has_header(e, "x-api-key")
		   || prv_endpoint_has_header(e, "api-key");
	if (e->secret[0] == 0)
		return true;
	oc_status status = x->inst->host->secret(x->inst->self, oc_str_of(e->secret), &x->key);
	if (status == OC_OK && key_of(x).n > 0)
		return true;
	/* Asking a service of the Internet without a key only tells it what was going to be asked. */
	if (own || e->local)
		return true;
	if (status == OC_E_DENIED)
		prv_fault_set(why, OC_E_AUTH, "the module may not read the key %s: the operator has not granted it",
			      e->secret);
	else
		prv_fault_set(why, OC_E_AUTH, "no API key is set");
	return false;
}

static void on_wordless(void *arg);
static void on_head(void *arg, int32_t http_status, oc_str headers);
static void on_sse(void *arg, oc_str event, oc_str data, oc_str id);
static void on_done(void *arg, oc_status status, int32_t http_status, oc_str body);

static bool get_client(prv_instance *inst, prv_fault *why)
{
	const void *table = NULL;
	if (inst->http != NULL)
		return true;
	if (inst->host->query(inst->self, OC_STR(OC_SERVICE_HTTP_CLIENT), 1, 0, &table) != OC_OK) {
		prv_fault_set(why, OC_E_UNSUPPORTED, "this host has no HTTP client for modules");
		return false;
	}
	inst->http = table;
	return true;
}

/* How long it may stay without a byte of an answer. */
static uint64_t idle_of(const exchange *x)
{
	const prv_endpoint *e = &x->endpoint;
	if (e->idle_ms > 0)
		return e->idle_ms;
	if (x->inst->config.idle_ms > 0)
		return x->inst->config.idle_ms;
	return e->local ? IDLE_LOCAL_MS : IDLE_MS;
}

/* Builds and starts the request. False: nothing runs, why tells. */
static bool ask(exchange *x, prv_fault *why)
{
	prv_instance *inst = x->inst;
	prv_text url, headers, body;
	prv_text_init(&url, 4096);
	prv_text_init(&headers, 65536);
	prv_text_init(&body, MAX_REQUEST);
	prv_endpoint_headers(&x->endpoint, &headers);
	bool ok = true;
	if (x->what != MODELS)
		prv_endpoint_header(&x->endpoint, "content-type", "", OC_STR("application/json"), &headers);
	switch (x->what) {
	case CHAT:
		prv_endpoint_header(&x->endpoint, "accept", "", OC_STR("text/event-stream"), &headers);
		ok = x->proto->build(x->request, &x->endpoint, &x->quirks, &inst->config, &body, &headers, &x->plan,
				     why);
		break;
	case EMBED:
		x->plan.path = x->proto->embed(x->request, &x->endpoint, &body, &x->texts, why);
		ok = x->plan.path != NULL;
		break;
	case MODELS:
		x->plan.path = x->proto->list(&x->endpoint, &headers);
		break;
	}
	if (key_of(x).n > 0)
		x->proto->authorize(&x->endpoint, key_of(x), &headers);
	prv_text_char(&headers, '}');
	prv_endpoint_url(&x->endpoint, x->plan.path != NULL ? x->plan.path : "", &url);
	if (ok && (url.failed || headers.failed)) {
		prv_fault_set(why, OC_E_INVALID, "the endpoint's address or headers are too long");
		ok = false;
	}
	if (ok) {
		oc_http_client_request request = {
			.struct_size = sizeof(request),
			.flags = x->what == CHAT ? OC_HTTP_CLIENT_SSE : 0,
			.method = x->what == MODELS ? OC_STR("GET") : OC_STR("POST"),
			.url = prv_text_view(&url),
			.headers = prv_text_view(&headers),
			.body = prv_text_view(&body),
			.idle_ms = idle_of(x),
			.max_bytes = x->what == CHAT ? MAX_ANSWER : x->what == EMBED ? MAX_VECTORS : 0,
			.retries = inst->config.retries,
			.on_head = on_head,
			.on_sse = x->what == CHAT ? on_sse : NULL,
			.on_done = on_done,
			.arg = x,
			.proxy = {"", 0},
		};
		oc_status status = inst->http->start(inst->self, &request, &x->http);
		if (status != OC_OK) {
			prv_fault_set(why, status == OC_E_NOMEM || status == OC_E_DENIED ? status : OC_E_UNAVAILABLE,
				      "the request could not be started");
			ok = false;
		}
	}
	prv_text_free(&url);
	prv_text_wipe(&headers);
	prv_text_free(&body);
	return ok;
}

static void begin(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request, enum what what)
{
	prv_fault why;
	prv_fault_clear(&why);
	exchange *x = calloc(1, sizeof(*x));
	char *text = malloc(request.n + 1);
	if (x == NULL || text == NULL) {
		free(x);
		free(text);
		inst->host->call_done(call, OC_E_NOMEM, OC_STR("out of memory"));
		return;
	}
	memcpy(text, request.p, request.n);
	text[request.n] = 0;
	*x = (exchange){
		.next = inst->exchanges, .inst = inst, .proto = proto, .call = call, .what = what, .text = text};
	prv_text_init(&x->answer_headers, 65536);
	inst->exchanges = x;
	bool ok = false;
	if (!prv_json_parse_known(text, request.n, proto->known != NULL ? proto->known() : OC_STR(""), &x->request))
		prv_fault_set(&why, OC_E_INVALID, "the request is no valid JSON");
	else if (prv_endpoint_read(x->request, proto->default_base, &x->endpoint, &why)) {
		x->quirks = recall(inst, &x->endpoint);
		if (what == CHAT)
			x->patience = inst->host->timer(inst->self, idle_of(x), idle_of(x), on_wordless, x);
		ok = get_client(inst, &why) && fetch_key(x, &why) && ask(x, &why);
	}
	if (!ok) {
		fail(x, &why);
		exchange_free(x);
	}
}

void prv_exchange_chat(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request)
{
	begin(inst, proto, call, request, CHAT);
}

void prv_exchange_models(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request)
{
	begin(inst, proto, call, request, MODELS);
}

void prv_exchange_embed(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request)
{
	begin(inst, proto, call, request, EMBED);
}

/* ---- The answer ---- */

static void drop_request(exchange *x)
{
	free(x->text);
	x->text = NULL;
	x->request = (prv_json){"", 0};
	x->endpoint.headers = (prv_json){"", 0};
}

static void on_resume(void *arg)
{
	exchange *x = arg;
	x->inst->host->unwatch(x->timer);
	x->timer = NULL;
	x->paused = false;
	x->inst->http->pause(x->http, 0);
}

static void sink(void *arg, uint32_t type, oc_str payload)
{
	exchange *x = arg;
	x->wordless = 0;
	if (x->call == NULL)
		return;
	oc_status status = x->inst->host->call_event(x->call, type, payload);
	if (status == OC_E_STATE)
		x->call = NULL; /* the host has given the call up: to complete it now would be a mistake */
	if (status == OC_E_BUSY && !x->paused && x->timer == NULL) {
		x->timer = x->inst->host->timer(x->inst->self, PAUSE_MS, 0, on_resume, x);
		x->paused = x->timer != NULL;
		if (x->paused)
			x->inst->http->pause(x->http, 1);
	}
}

/* Bytes came, or the connection would have been given up; words did not. A receiver that is slow is not the model's fault. */
static void on_wordless(void *arg)
{
	exchange *x = arg;
	prv_fault why;
	if (x->call == NULL || x->paused || ++x->wordless < WORDLESS)
		return;
	prv_fault_clear(&why);
	prv_fault_set(&why, OC_E_TIMEOUT, "the connection is alive, but no word came for %llu seconds",
		      (unsigned long long)(WORDLESS * idle_of(x) / 1000));
	x->inst->http->cancel(x->http);
	fail(x, &why);
	exchange_free(x);
}

static bool begin_stream(exchange *x)
{
	uint64_t seed = x->inst->host->now_ms(x->inst->self) ^ ((uint64_t)(uintptr_t)x << 20);
	if (x->stream == NULL)
		x->stream = x->proto->stream_new(x->plan.mode, sink, x, seed, &x->endpoint);
	return x->stream != NULL;
}

static void on_head(void *arg, int32_t http_status, oc_str headers)
{
	exchange *x = arg;
	prv_text_clear(&x->answer_headers);
	if (http_status < 200 || http_status > 299)
		prv_text_str(&x->answer_headers, headers);
}

static void on_drained(void *arg)
{
	exchange *x = arg;
	x->inst->http->cancel(x->http);
	exchange_free(x);
}

/* Completes the call when the stream machine has made up its mind. */
static bool settle(exchange *x)
{
	prv_stream *base = x->proto->stream_base(x->stream);
	if (!base->over)
		return false;
	if (base->fault.status != OC_OK) {
		fail(x, &base->fault);
	} else {
		prv_text result;
		prv_text_init(&result, 4096);
		if (base->model[0] == 0)
			memcpy(base->model, x->endpoint.model, sizeof(base->model));
		prv_stream_result(base, &result);
		complete(x, OC_OK, prv_text_view(&result));
		prv_text_free(&result);
	}
	return true;
}

static void on_sse(void *arg, oc_str event, oc_str data, oc_str id)
{
	exchange *x = arg;
	(void)event; /* the data says it, too */
	(void)id;
	if (x->call == NULL)
		return;
	if (!begin_stream(x)) {
		prv_fault why = {.status = OC_E_NOMEM};
		fail(x, &why);
	} else {
		if (x->text != NULL)
			drop_request(x);
		x->proto->stream_event(x->stream, data);
		if (x->call != NULL && !settle(x))
			return;
	}
	/* The rest of the connection is read to its end, so that it can be used again; but not for ever. */
	if (x->timer != NULL)
		x->inst->host->unwatch(x->timer);
	if (x->paused)
		x->inst->http->pause(x->http, 0);
	x->paused = false;
	x->timer = x->inst->host->timer(x->inst->self, DRAIN_MS, 0, on_drained, x);
}

/* Asks again when the refusal says what the endpoint does not take. */
static bool learn(exchange *x, const prv_fault *fault)
{
	prv_fault why;
	if (x->what != CHAT || x->text == NULL || x->lessons >= MAX_LESSONS)
		return false;
	const char *text = x->proto->learn(fault, &x->quirks);
	if (text == NULL)
		return false;
	x->lessons++;
	prv_quirks kept = x->quirks;
	kept.bits &= ~x->proto->forget;
	remember(x->inst, &x->endpoint, kept);
	say(x->inst, OC_LOG_INFO, "%.60s/%.100s %s; asking again", x->endpoint.provider, x->endpoint.model, text);
	prv_fault_clear(&why);
	return ask(x, &why);
}

/* A whole answer: models or vectors. */
static void on_whole(exchange *x, oc_str body)
{
	prv_text out;
	prv_fault why;
	bool ok;
	prv_text_init(&out, x->what == EMBED ? MAX_VECTORS : 16 << 20);
	prv_fault_clear(&why);
	if (x->what == EMBED) {
		ok = x->proto->embed_read(body, x->texts, &x->endpoint, &out, &why);
	} else {
		ok = prv_models_read(body, &out);
		if (!ok)
			prv_fault_set(&why, OC_E_PROTOCOL, "the answer is no list of models");
	}
	if (ok)
		complete(x, OC_OK, prv_text_view(&out));
	else
		fail(x, &why);
	prv_text_free(&out);
}

/* The connection failed, or broke before the answer was complete. */
static void on_broken(exchange *x, oc_status status, oc_str message)
{
	prv_fault why;
	prv_fault_clear(&why);
	if (x->stream != NULL) {
		/* What came may be all there was: many servers close without the formal end. */
		x->proto->stream_end(x->stream);
		prv_stream *base = x->proto->stream_base(x->stream);
		if (base->fault.status == OC_OK) {
			settle(x);
			return;
		}
	}
	bool begun = x->stream != NULL && x->proto->stream_base(x->stream)->handed;
	switch (status) {
	case OC_E_DENIED:
	case OC_E_INVALID:
	case OC_E_LIMIT:
	case OC_E_NOMEM:
	case OC_E_TIMEOUT: /* which the host need not wait for a second time */
		why.status = status;
		break;
	default:
		why.status = begun ? OC_E_RETRY : OC_E_UNAVAILABLE;
		break;
	}
	prv_fault_set(&why, why.status, "%.*s", (int)(message.n < 600 ? message.n : 600), message.p);
	fail(x, &why);
}

static void on_done(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	exchange *x = arg;
	prv_json headers = {"", 0};
	prv_fault fault;
	oc_str text = prv_text_view(&x->answer_headers);
	x->http = NULL;
	if (x->call == NULL) {
		/* Completed before; this was the drain. */
	} else if (http_status >= 300) {
		(void)prv_json_parse(text.p, text.n, &headers);
		prv_fault_http(&fault, http_status, headers, body, (int64_t)time(NULL));
		if (learn(x, &fault))
			return;
		fail(x, &fault);
	} else if (status != OC_OK) {
		on_broken(x, status, body);
	} else if (x->what != CHAT) {
		on_whole(x, body);
	} else if (!begin_stream(x)) {
		on_broken(x, OC_E_NOMEM, OC_STR("out of memory"));
	} else {
		if (body.n > 0)
			x->proto->stream_event(x->stream, body); /* an answer that was not streamed */
		x->proto->stream_end(x->stream);
		settle(x);
	}
	exchange_free(x);
}

/* ---- The host's other wishes ---- */

static void abandon(exchange *x)
{
	if (x->http != NULL)
		x->inst->http->cancel(x->http);
	if (x->call != NULL)
		complete(x, OC_E_CANCELED, OC_STR("canceled"));
	exchange_free(x);
}

void prv_exchange_cancel(void *arg, oc_call *call)
{
	prv_instance *inst = arg;
	for (exchange *x = inst->exchanges; x != NULL; x = x->next)
		if (x->call == call) {
			abandon(x);
			return;
		}
}

static bool read_config(oc_str text, prv_config *ret)
{
	prv_json doc = {"", 0};
	*ret = (prv_config){.retries = DEFAULT_RETRIES, .cache_ttl = "5m"};
	if (text.n > 0 && !prv_json_parse(text.p, text.n, &doc))
		return false;
	int64_t retries = prv_json_i64(prv_json_get(doc, "retries"), DEFAULT_RETRIES);
	prv_json silence = prv_json_get(doc, "idleTimeoutMs");
	int64_t idle = prv_json_i64(silence, 0);
	if (retries < 0 || retries > 10 || (silence.n > 0 && (idle < 1000 || idle > 3600000)))
		return false;
	ret->retries = (uint32_t)retries;
	ret->idle_ms = (uint64_t)idle;
	prv_json cache = prv_json_get(doc, "cache");
	if (prv_json_is(cache, "off"))
		ret->cache_ttl[0] = 0;
	else if (prv_json_is(cache, "1h"))
		memcpy(ret->cache_ttl, "1h", 3);
	return true;
}

oc_status prv_instance_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	prv_instance *inst = calloc(1, sizeof(*inst));
	if (inst == NULL)
		return OC_E_NOMEM;
	inst->host = host;
	inst->self = self;
	if (!read_config(config, &inst->config)) {
		say(inst, OC_LOG_ERROR, "retries must be 0 to 10 and idleTimeoutMs 1000 to 3600000");
		free(inst);
		return OC_E_INVALID;
	}
	*ret_inst = inst;
	return OC_OK;
}

oc_status prv_instance_reload(void *arg, oc_str config)
{
	prv_instance *inst = arg;
	prv_config fresh;
	if (!read_config(config, &fresh))
		return OC_E_INVALID;
	inst->config = fresh;
	return OC_OK;
}

void prv_instance_stop(void *arg, oc_call *call, uint64_t deadline_ms)
{
	prv_instance *inst = arg;
	(void)deadline_ms;
	while (inst->exchanges != NULL)
		abandon(inst->exchanges);
	inst->host->call_done(call, OC_OK, OC_STR("{}"));
}

void prv_instance_fini(void *arg)
{
	prv_instance *inst = arg;
	while (inst->exchanges != NULL)
		abandon(inst->exchanges);
	free(inst);
}
