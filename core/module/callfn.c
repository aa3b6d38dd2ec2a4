/* The vtables' functions as calls, and the typed wrappers that core uses. */
#include "core/module/callfn.h"

bool oc_callfn_has(oc_fn fn, const oc_module *module, const oc_guest *guest)
{
	switch (fn) {
	case OC_FN_START:
		return module->desc.start != NULL;
	case OC_FN_STOP:
		return module->desc.stop != NULL;
	case OC_FN_CHANNEL_EDIT:
		return guest->vtbl.channel.edit != NULL;
	case OC_FN_CHANNEL_ACTION:
		return guest->vtbl.channel.action != NULL;
	case OC_FN_CHANNEL_PROBE:
		return guest->vtbl.channel.probe != NULL;
	case OC_FN_PROVIDER_MODELS:
		return guest->vtbl.provider.models != NULL;
	case OC_FN_PROVIDER_EMBED:
		return guest->vtbl.provider.embed != NULL;
	case OC_FN_MEMORY_INDEX:
		return guest->vtbl.memory.index != NULL;
	case OC_FN_MEMORY_STATUS:
		return guest->vtbl.memory.status != NULL;
	default: /* required members: the loader saw to them */
		return true;
	}
}

uint64_t oc_callfn_deadline(oc_fn fn)
{
	switch (fn) {
	case OC_FN_PROVIDER_CHAT:
	case OC_FN_MEMORY_INDEX:
		return 600000;
	case OC_FN_PROVIDER_EMBED:
	case OC_FN_TOOL_INVOKE:
		return 120000;
	case OC_FN_HTTP_REQUEST:
	case OC_FN_CHANNEL_CONNECT:
	case OC_FN_CHANNEL_SEND:
	case OC_FN_CHANNEL_EDIT:
		return 60000;
	case OC_FN_CHANNEL_ACTION:
	case OC_FN_CHANNEL_DISCONNECT:
		return 10000;
	case OC_FN_HOOK_HANDLE:
		return 15000;
	case OC_FN_STOP:
		return OC_STOP_DEADLINE_MS;
	case OC_FN_START:
		return OC_START_DEADLINE_MS;
	default:
		return 30000;
	}
}

static void run_http(oc_guest *guest, oc_call *call, const oc_call_args *a)
{
	oc_http_request request = {
		.struct_size = sizeof(request),
		.flags = a->flags,
		.method = a->s[0],
		.path = a->s[1],
		.query = a->s[2],
		.headers = a->s[3],
		.body = a->s[4],
		.remote = a->s[5],
	};

	guest->vtbl.http.request(guest->inst, call, &request);
}

static void run(oc_fn fn, oc_module *module, oc_guest *guest, oc_call *call, const oc_call_args *a)
{
	switch (fn) {
	case OC_FN_START:
		module->desc.start(module->inst, call);
		break;
	case OC_FN_STOP:
		module->desc.stop(module->inst, call, a->deadline_ms);
		break;
	case OC_FN_CHANNEL_CONNECT:
		guest->vtbl.channel.connect(guest->inst, call, a->s[0]);
		break;
	case OC_FN_CHANNEL_SEND:
		guest->vtbl.channel.send(guest->inst, call, a->s[0]);
		break;
	case OC_FN_CHANNEL_EDIT:
		guest->vtbl.channel.edit(guest->inst, call, a->s[0]);
		break;
	case OC_FN_CHANNEL_ACTION:
		guest->vtbl.channel.action(guest->inst, call, a->s[0]);
		break;
	case OC_FN_CHANNEL_DISCONNECT:
		guest->vtbl.channel.disconnect(guest->inst, call, a->s[0]);
		break;
	case OC_FN_CHANNEL_PROBE:
		guest->vtbl.channel.probe(guest->inst, call, a->s[0]);
		break;
	case OC_FN_PROVIDER_CHAT:
		guest->vtbl.provider.chat(guest->inst, call, a->s[0]);
		break;
	case OC_FN_PROVIDER_MODELS:
		guest->vtbl.provider.models(guest->inst, call, a->s[0]);
		break;
	case OC_FN_PROVIDER_EMBED:
		guest->vtbl.provider.embed(guest->inst, call, a->s[0]);
		break;
	case OC_FN_TOOL_INVOKE:
		guest->vtbl.tool.invoke(guest->inst, call, a->s[0], a->s[1], a->s[2]);
		break;
	case OC_FN_HTTP_REQUEST:
		run_http(guest, call, a);
		break;
	case OC_FN_HOOK_HANDLE:
		guest->vtbl.hook.handle(guest->inst, call, a->s[0], a->s[1]);
		break;
	case OC_FN_SERVICE_CALL:
		guest->vtbl.service.call(guest->inst, call, a->s[0], a->s[1]);
		break;
	case OC_FN_MEMORY_SEARCH:
		guest->vtbl.memory.search(guest->inst, call, a->s[0]);
		break;
	case OC_FN_MEMORY_GET:
		guest->vtbl.memory.get(guest->inst, call, a->s[0]);
		break;
	case OC_FN_MEMORY_INDEX:
		guest->vtbl.memory.index(guest->inst, call, a->s[0]);
		break;
	case OC_FN_MEMORY_STATUS:
		guest->vtbl.memory.status(guest->inst, call, a->s[0]);
		break;
	case OC_FN_STORAGE_PUT:
		guest->vtbl.storage.put(guest->inst, call, a->s[0], a->s[1]);
		break;
	case OC_FN_STORAGE_GET:
		guest->vtbl.storage.get(guest->inst, call, a->s[0]);
		break;
	case OC_FN_STORAGE_LIST:
		guest->vtbl.storage.list(guest->inst, call, a->s[0]);
		break;
	case OC_FN_STORAGE_REMOVE:
		guest->vtbl.storage.remove(guest->inst, call, a->s[0]);
		break;
	}
}

const char *oc_callfn_name(oc_fn fn)
{
	static const char *const names[] = {
		[OC_FN_START] = "start", [OC_FN_STOP] = "stop", [OC_FN_CHANNEL_CONNECT] = "channel connect",
		[OC_FN_CHANNEL_SEND] = "channel send", [OC_FN_CHANNEL_EDIT] = "channel edit", [OC_FN_CHANNEL_ACTION] = "channel action",
		[OC_FN_CHANNEL_DISCONNECT] = "channel disconnect", [OC_FN_CHANNEL_PROBE] = "channel probe",
		[OC_FN_PROVIDER_CHAT] = "provider chat", [OC_FN_PROVIDER_MODELS] = "provider models",
		[OC_FN_PROVIDER_EMBED] = "provider embed", [OC_FN_TOOL_INVOKE] = "tool invoke", [OC_FN_HTTP_REQUEST] = "http request",
		[OC_FN_HOOK_HANDLE] = "hook handle", [OC_FN_SERVICE_CALL] = "service call",
		[OC_FN_MEMORY_SEARCH] = "memory search", [OC_FN_MEMORY_GET] = "memory get", [OC_FN_MEMORY_INDEX] = "memory index",
		[OC_FN_MEMORY_STATUS] = "memory status", [OC_FN_STORAGE_PUT] = "storage put", [OC_FN_STORAGE_GET] = "storage get",
		[OC_FN_STORAGE_LIST] = "storage list", [OC_FN_STORAGE_REMOVE] = "storage remove",
	};

	return (size_t)fn < sizeof(names) / sizeof(names[0]) ? names[fn] : NULL;
}

void oc_callfn_run(oc_fn fn, oc_module *module, oc_guest *guest, oc_call *call, const oc_call_args *args)
{
	const char *before = oc_visit_call();

	oc_visit_set_call(oc_callfn_name(fn));
	run(fn, module, guest, call, args);
	oc_visit_set_call(before);
}

void oc_callfn_cancel(oc_guest *guest, oc_call *call)
{
	void (*cancel)(void *, oc_call *) = NULL;

	switch (guest->kind) {
	case OC_KIND_CHANNEL:
		cancel = guest->vtbl.channel.cancel;
		break;
	case OC_KIND_PROVIDER:
		cancel = guest->vtbl.provider.cancel;
		break;
	case OC_KIND_TOOL:
		cancel = guest->vtbl.tool.cancel;
		break;
	case OC_KIND_HTTP:
		cancel = guest->vtbl.http.cancel;
		break;
	case OC_KIND_HOOK:
		cancel = guest->vtbl.hook.cancel;
		break;
	case OC_KIND_SERVICE:
		cancel = guest->vtbl.service.cancel;
		break;
	case OC_KIND_MEMORY:
		cancel = guest->vtbl.memory.cancel;
		break;
	case OC_KIND_STORAGE:
		cancel = guest->vtbl.storage.cancel;
		break;
	default:
		break;
	}
	if (cancel != NULL)
		cancel(guest->inst, call);
}

/* ---- Wrappers ---- */

static oc_status start(oc_guest *guest, uint32_t kind, oc_fn fn, oc_str a, oc_str b, oc_str c,
		       const oc_call_options *options, oc_call **ret)
{
	oc_call_args args = {.s = {a, b, c, OC_STR_NONE, OC_STR_NONE, OC_STR_NONE}};

	if (guest == NULL || guest->kind != kind)
		return OC_E_INVALID;
	return oc_call_start(guest->module, guest, fn, &args, options, ret);
}

#define ONE(function, kind, fn)                                                                          \
	oc_status function(oc_guest *guest, oc_str text, const oc_call_options *options, oc_call **ret) \
	{                                                                                                \
		return start(guest, kind, fn, text, OC_STR_NONE, OC_STR_NONE, options, ret);             \
	}

ONE(oc_provider_chat, OC_KIND_PROVIDER, OC_FN_PROVIDER_CHAT)
ONE(oc_provider_models, OC_KIND_PROVIDER, OC_FN_PROVIDER_MODELS)
ONE(oc_provider_embed, OC_KIND_PROVIDER, OC_FN_PROVIDER_EMBED)
ONE(oc_channel_connect, OC_KIND_CHANNEL, OC_FN_CHANNEL_CONNECT)
ONE(oc_channel_send, OC_KIND_CHANNEL, OC_FN_CHANNEL_SEND)
ONE(oc_channel_edit, OC_KIND_CHANNEL, OC_FN_CHANNEL_EDIT)
ONE(oc_channel_action, OC_KIND_CHANNEL, OC_FN_CHANNEL_ACTION)
ONE(oc_channel_disconnect, OC_KIND_CHANNEL, OC_FN_CHANNEL_DISCONNECT)
ONE(oc_channel_probe, OC_KIND_CHANNEL, OC_FN_CHANNEL_PROBE)

ONE(oc_memory_guest_search, OC_KIND_MEMORY, OC_FN_MEMORY_SEARCH)
ONE(oc_memory_guest_get, OC_KIND_MEMORY, OC_FN_MEMORY_GET)
ONE(oc_memory_guest_index, OC_KIND_MEMORY, OC_FN_MEMORY_INDEX)
ONE(oc_memory_guest_status, OC_KIND_MEMORY, OC_FN_MEMORY_STATUS)
ONE(oc_storage_get, OC_KIND_STORAGE, OC_FN_STORAGE_GET)
ONE(oc_storage_list, OC_KIND_STORAGE, OC_FN_STORAGE_LIST)
ONE(oc_storage_remove, OC_KIND_STORAGE, OC_FN_STORAGE_REMOVE)

oc_status oc_storage_put(oc_guest *storage, oc_str name, oc_str bytes, const oc_call_options *options, oc_call **ret)
{
	return start(storage, OC_KIND_STORAGE, OC_FN_STORAGE_PUT, name, bytes, OC_STR_NONE, options, ret);
}

oc_status oc_tool_invoke(oc_guest *guest, oc_str tool, oc_str args, oc_str context, const oc_call_options *options,
			 oc_call **ret)
{
	return start(guest, OC_KIND_TOOL, OC_FN_TOOL_INVOKE, tool, args, context, options, ret);
}

oc_status oc_hook_guest_handle(oc_guest *hook, oc_str name, oc_str payload, const oc_call_options *options, oc_call **ret)
{
	return start(hook, OC_KIND_HOOK, OC_FN_HOOK_HANDLE, name, payload, OC_STR_NONE, options, ret);
}

oc_status oc_service_guest_call(oc_guest *service, oc_str method, oc_str args, const oc_call_options *options,
				oc_call **ret)
{
	return start(service, OC_KIND_SERVICE, OC_FN_SERVICE_CALL, method, args, OC_STR_NONE, options, ret);
}

oc_status oc_http_module_request(oc_guest *http, const oc_http_request *request, const oc_call_options *options,
				 oc_call **ret)
{
	oc_call_args args = {
		.s = {request->method, request->path, request->query, request->headers, request->body, request->remote},
		.flags = request->flags,
	};

	if (http == NULL || http->kind != OC_KIND_HTTP)
		return OC_E_INVALID;
	return oc_call_start(http->module, http, OC_FN_HTTP_REQUEST, &args, options, ret);
}
