/* The openai module: the chat completions protocol of OpenAI, spoken by many, and OpenAI's own Responses API. */
#include <stdlib.h>

#include <openclaw/module.h>

#include "embed.h"
#include "events.h"
#include "prv_exchange.h"
#include "responses.h"
#include "stream.h"

OC_MODULE_MANIFEST("module.json");

/* Which of the two protocols an answer is in. */
enum { COMPLETIONS, RESPONSES };

static bool build_completions(prv_json request, const prv_endpoint *e, const prv_quirks *quirks,
			      const prv_config *config, prv_text *body, prv_text *headers, prv_plan *ret_plan,
			      prv_fault *why)
{
	(void)config;
	(void)headers;
	if (oai_request_wants_responses(request, e, quirks->bits)) {
		*ret_plan = (prv_plan){.path = "/responses", .mode = RESPONSES};
		return oai_responses_build(request, e, quirks, body, why);
	}
	*ret_plan = (prv_plan){.path = "/chat/completions", .mode = COMPLETIONS};
	return oai_request_build(request, e, quirks, body, why);
}

static bool build_responses(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, const prv_config *config,
			    prv_text *body, prv_text *headers, prv_plan *ret_plan, prv_fault *why)
{
	(void)config;
	(void)headers;
	*ret_plan = (prv_plan){.path = "/responses", .mode = RESPONSES};
	return oai_responses_build(request, e, quirks, body, why);
}

static void authorize(const prv_endpoint *e, oc_str key, prv_text *headers)
{
	if (prv_endpoint_is(e, "openai.azure.com"))
		prv_endpoint_header(e, "api-key", "", key, headers);
	else
		prv_endpoint_header(e, "authorization", "Bearer ", key, headers);
}

static const char *list(const prv_endpoint *e, prv_text *headers)
{
	(void)e;
	(void)headers;
	return "/models";
}

static const char *embed_build(prv_json request, const prv_endpoint *e, prv_text *body, size_t *ret_n, prv_fault *why)
{
	*ret_n = oai_embed_count(request);
	return oai_embed_build(request, e, body, why) ? "/embeddings" : NULL;
}

/* A stream of either protocol, behind one handle. */
typedef struct stream {
	oai_stream *completions;
	oai_events *responses;
} stream;

static void stream_free(void *arg)
{
	stream *s = arg;
	oai_stream_free(s->completions);
	oai_events_free(s->responses);
	free(s);
}

static void *stream_new(int mode, prv_sink *sink, void *arg, uint64_t seed, const prv_endpoint *e)
{
	stream *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	if (mode == RESPONSES)
		s->responses = oai_events_new(sink, arg, seed, e->provider, e->model);
	else
		s->completions = oai_stream_new(sink, arg, seed, e->provider);
	if (s->responses == NULL && s->completions == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

static void stream_event(void *arg, oc_str data)
{
	stream *s = arg;
	if (s->responses != NULL)
		oai_events_event(s->responses, data);
	else
		oai_stream_event(s->completions, data);
}

static void stream_end(void *arg)
{
	stream *s = arg;
	if (s->responses != NULL)
		oai_events_end(s->responses);
	else
		oai_stream_end(s->completions);
}

static prv_stream *stream_base(void *arg)
{
	stream *s = arg;
	return s->responses != NULL ? oai_events_base(s->responses) : oai_stream_base(s->completions);
}

#define PROTO(builder)                                                                                                 \
	{                                                                                                              \
		.default_base = "https://api.openai.com/v1", .build = (builder), .authorize = authorize, .list = list, \
		.embed = embed_build, .embed_read = oai_embed_read, .learn = oai_request_learn,                        \
		.known = oai_request_known,                                                                            \
		.stream_new = stream_new, .stream_free = stream_free, .stream_event = stream_event,                    \
		.stream_end = stream_end, .stream_base = stream_base,                                                  \
	}

static const prv_proto completions = PROTO(build_completions), responses = PROTO(build_responses);

static void chat_completions(void *inst, oc_call *call, oc_str request)
{
	prv_exchange_chat(inst, &completions, call, request);
}

static void chat_responses(void *inst, oc_call *call, oc_str request)
{
	prv_exchange_chat(inst, &responses, call, request);
}

static void models(void *inst, oc_call *call, oc_str request)
{
	prv_exchange_models(inst, &completions, call, request);
}

static void embed(void *inst, oc_call *call, oc_str request)
{
	prv_exchange_embed(inst, &completions, call, request);
}

static const oc_provider_vtbl completions_vtbl = {
	.struct_size = sizeof(completions_vtbl),
	.chat = chat_completions,
	.models = models,
	.cancel = prv_exchange_cancel,
	.embed = embed,
};

static const oc_provider_vtbl responses_vtbl = {
	.struct_size = sizeof(responses_vtbl),
	.chat = chat_responses,
	.models = models,
	.cancel = prv_exchange_cancel,
	.embed = embed,
};

static const oc_iface ifaces[] = {
	{OC_KIND_PROVIDER, 1, 0, "openai-completions", &completions_vtbl},
	{OC_KIND_PROVIDER, 1, 0, "openai-responses", &responses_vtbl},
};

static void fini(void *inst)
{
	oai_request_forget();
	prv_instance_fini(inst);
}

static const oc_module_desc descriptor = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(descriptor),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "openai",
	.version = "0.1.0",
	.ifaces = ifaces,
	.n_ifaces = sizeof(ifaces) / sizeof(ifaces[0]),
	.init = prv_instance_init,
	.stop = prv_instance_stop,
	.fini = fini,
	.reload = prv_instance_reload,
};

OC_MODULE(&descriptor);
