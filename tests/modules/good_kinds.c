/* Every kind but tool, each in its simplest right form, in one module. */
#include <openclaw/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

OC_MODULE_MANIFEST("good_kinds.json");

static const oc_host_api *host; /* there is one instance a process */

static oc_status init(const oc_host_api *api, oc_self *self, oc_str config, void **ret)
{
	(void)config;
	host = api;
	*ret = self;
	return OC_OK;
}

static void start(void *inst, oc_call *call)
{
	(void)inst;
	host->call_done(call, OC_OK, OC_STR(""));
}

static void stop(void *inst, oc_call *call, uint64_t deadline_ms)
{
	(void)inst;
	(void)deadline_ms;
	host->call_done(call, OC_OK, OC_STR(""));
}

static void fini(void *inst)
{
	(void)inst;
}

static void cancel(void *inst, oc_call *call)
{
	(void)inst;
	(void)call; /* everything completes at once */
}

static void chat(void *inst, oc_call *call, oc_str request)
{
	(void)inst;
	(void)request;
	(void)host->call_event(call, OC_EV_TEXT, OC_STR("good "));
	(void)host->call_event(call, OC_EV_TEXT, OC_STR("answer"));
	(void)host->call_event(call, OC_EV_USAGE, OC_STR("{\"input\":1,\"output\":2}"));
	host->call_done(call, OC_OK, OC_STR("{\"stopReason\":\"stop\",\"model\":\"one\"}"));
}

static void ok(void *inst, oc_call *call, oc_str text)
{
	(void)inst;
	(void)text;
	host->call_done(call, OC_OK, OC_STR("{\"messageId\":\"1\"}"));
}

static void request(void *inst, oc_call *call, const oc_http_request *request)
{
	(void)inst;
	(void)host->call_event(call, OC_EV_HTTP_HEAD, OC_STR("{\"status\":200,\"headers\":{\"content-type\":\"text/plain\"}}"));
	(void)host->call_event(call, OC_EV_HTTP_BODY, request->path);
	host->call_done(call, OC_OK, OC_STR(""));
}

static oc_str subscriptions(void *inst)
{
	(void)inst;
	return OC_STR("[{\"hook\":\"beforeToolCall\",\"priority\":5},{\"hook\":\"message_sending\"}]");
}

static void handle(void *inst, oc_call *call, oc_str hook, oc_str payload)
{
	(void)inst;
	(void)hook;
	if (strstr(payload.p, "forbidden") != NULL)
		host->call_done(call, OC_OK, OC_STR("{\"block\":true,\"blockReason\":\"forbidden by good-kinds\"}"));
	else
		host->call_done(call, OC_OK, OC_STR("{}"));
}

/* {"a":1,"b":2} to {"sum":3}, without a JSON library. */
static void service(void *inst, oc_call *call, oc_str method, oc_str args)
{
	const char *a = strstr(args.p, "\"a\":"), *b = strstr(args.p, "\"b\":");
	char text[64];

	(void)inst;
	(void)method;
	if (a == NULL || b == NULL) {
		host->call_done(call, OC_E_INVALID, OC_STR("sum needs a and b"));
		return;
	}
	(void)snprintf(text, sizeof(text), "{\"sum\":%ld}", strtol(a + 4, NULL, 10) + strtol(b + 4, NULL, 10));
	host->call_done(call, OC_OK, oc_str_of(text));
}

static const oc_provider_vtbl provider = {.struct_size = sizeof(provider), .chat = chat, .models = ok, .cancel = cancel};
static const oc_channel_vtbl channel = {
	.struct_size = sizeof(channel),
	.flags = OC_CHANNEL_EDITS,
	.connect = ok,
	.send = ok,
	.edit = ok,
	.cancel = cancel,
	.disconnect = ok,
};
static const oc_http_vtbl http = {.struct_size = sizeof(http), .flags = OC_HTTP_PUBLIC, .request = request, .cancel = cancel};
static const oc_hook_vtbl hook = {.struct_size = sizeof(hook), .subscriptions = subscriptions, .handle = handle, .cancel = cancel};
static const oc_service_vtbl sum = {.struct_size = sizeof(sum), .call = service, .cancel = cancel};
static const oc_iface ifaces[] = {
	{OC_KIND_PROVIDER, 1, 0, "good-api", &provider}, {OC_KIND_CHANNEL, 1, 0, "goodchat", &channel},
	{OC_KIND_HTTP, 1, 0, "/good", &http},            {OC_KIND_HOOK, 1, 0, "good-hook", &hook},
	{OC_KIND_SERVICE, 1, 2, "good.sum", &sum},
};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "good-kinds",
	.version = "0.9",
	.ifaces = ifaces,
	.n_ifaces = sizeof(ifaces) / sizeof(ifaces[0]),
	.init = init,
	.start = start,
	.stop = stop,
	.fini = fini,
};
OC_MODULE(&desc);
