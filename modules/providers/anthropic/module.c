/* The anthropic module: the messages protocol of Anthropic. */
#include <string.h>

#include <openclaw/module.h>

#include "prv_exchange.h"
#include "request.h"
#include "stream.h"

OC_MODULE_MANIFEST("module.json");

/* baseUrl is written with and without the version. */
static bool versioned(const prv_endpoint *e)
{
	return prv_str_ends(oc_str_of(e->base), "/v1");
}

static void add_version(const prv_endpoint *e, prv_text *headers)
{
	prv_endpoint_header(e, "anthropic-version", "", OC_STR("2023-06-01"), headers);
}

static bool build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, const prv_config *config,
		  prv_text *body, prv_text *headers, prv_plan *ret_plan, prv_fault *why)
{
	const char *beta = NULL;
	ant_options options = {.cache_ttl = config->cache_ttl[0] != 0 ? config->cache_ttl : NULL};
	*ret_plan = (prv_plan){.path = versioned(e) ? "/messages" : "/v1/messages"};
	if (!ant_request_build(request, e, quirks, &options, body, &beta, why))
		return false;
	add_version(e, headers);
	if (beta != NULL)
		prv_endpoint_header(e, "anthropic-beta", "", oc_str_of(beta), headers);
	return true;
}

static void authorize(const prv_endpoint *e, oc_str key, prv_text *headers)
{
	prv_endpoint_header(e, "x-api-key", "", key, headers);
}

static const char *list(const prv_endpoint *e, prv_text *headers)
{
	add_version(e, headers);
	return versioned(e) ? "/models?limit=1000" : "/v1/models?limit=1000";
}

static void *stream_new(int mode, prv_sink *sink, void *arg, uint64_t seed, const prv_endpoint *e)
{
	(void)mode;
	return ant_stream_new(sink, arg, seed, e->model);
}

static void stream_free(void *stream)
{
	ant_stream_free(stream);
}

static void stream_event(void *stream, oc_str data)
{
	ant_stream_event(stream, data);
}

static void stream_end(void *stream)
{
	ant_stream_end(stream);
}

static prv_stream *stream_base(void *stream)
{
	return ant_stream_base(stream);
}

static const prv_proto proto = {
	.default_base = "https://api.anthropic.com",
	.build = build,
	.authorize = authorize,
	.list = list,
	.learn = ant_request_learn,
	.forget = ANT_NOT_KEPT,
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

static const oc_iface ifaces[] = {{OC_KIND_PROVIDER, 1, 0, "anthropic-messages", &provider}};

static const oc_module_desc descriptor = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(descriptor),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "anthropic",
	.version = "0.1.0",
	.ifaces = ifaces,
	.n_ifaces = sizeof(ifaces) / sizeof(ifaces[0]),
	.init = prv_instance_init,
	.stop = prv_instance_stop,
	.fini = prv_instance_fini,
	.reload = prv_instance_reload,
};

OC_MODULE(&descriptor);
