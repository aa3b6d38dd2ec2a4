/* The openai module: the chat completions protocol of OpenAI, spoken by many. */
#include <openclaw/module.h>

#include "prv_exchange.h"
#include "request.h"
#include "stream.h"

OC_MODULE_MANIFEST("module.json");

static bool build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, const prv_config *config,
		  prv_text *body, prv_text *headers, prv_plan *ret_plan, prv_fault *why)
{
	(void)config;
	(void)headers;
	*ret_plan = (prv_plan){.path = "/chat/completions"};
	return oai_request_build(request, e, quirks, body, why);
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

static void *stream_new(int mode, prv_sink *sink, void *arg, uint64_t seed, const prv_endpoint *e)
{
	(void)mode;
	return oai_stream_new(sink, arg, seed, e->provider);
}

static void stream_free(void *stream)
{
	oai_stream_free(stream);
}

static void stream_event(void *stream, oc_str data)
{
	oai_stream_event(stream, data);
}

static void stream_end(void *stream)
{
	oai_stream_end(stream);
}

static prv_stream *stream_base(void *stream)
{
	return oai_stream_base(stream);
}

static const prv_proto proto = {
	.default_base = "https://api.openai.com/v1",
	.build = build,
	.authorize = authorize,
	.list = list,
	.learn = oai_request_learn,
	.stream_new = stream_new,
	.stream_free = stream_free,
	.stream_event = stream_event,
	.stream_end = stream_end,
	.stream_base = stream_base,
};

static void chat(void *inst, oc_call *call, oc_str request)
{
	prv_exchange_chat(inst, &proto, call, request);
}

static void models(void *inst, oc_call *call, oc_str request)
{
	prv_exchange_models(inst, &proto, call, request);
}

static const oc_provider_vtbl provider = {
	.struct_size = sizeof(provider),
	.chat = chat,
	.models = models,
	.cancel = prv_exchange_cancel,
};

static const oc_iface ifaces[] = {{OC_KIND_PROVIDER, 1, 0, "openai-completions", &provider}};

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
	.fini = prv_instance_fini,
	.reload = prv_instance_reload,
};

OC_MODULE(&descriptor);
