/* The vtables' functions as calls, and the typed wrappers that core uses. */
#include "core/module/callfn.h"

static const struct {
	uint32_t kind, deadline_ms;
	const char *name; /* for crash reports */
} fns[OC_FN_END] = {
	[OC_FN_START] = {0, OC_START_DEADLINE_MS, "start"},
	[OC_FN_STOP] = {0, OC_STOP_DEADLINE_MS, "stop"},
#define ROW(name, kind, member, function, shape, deadline) [OC_FN_##name] = {OC_KIND_##kind, deadline, #member " " #function},
	OC_FN_MAP(ROW)
#undef ROW
};

bool oc_callfn_has(oc_fn fn, const oc_module *module, const oc_guest *guest)
{
	switch (fn) {
	case OC_FN_START:
		return module->desc.start != NULL;
	case OC_FN_STOP:
		return module->desc.stop != NULL;
#define HAS(name, kind, member, function, ...) \
	case OC_FN_##name:                     \
		return guest->vtbl.member.function != NULL;
		OC_FN_MAP(HAS)
#undef HAS
	case OC_FN_END:
		break;
	}
	return false;
}

const char *oc_fn_name(oc_fn fn)
{
	return fn > 0 && fn < OC_FN_END ? fns[fn].name : "?";
}

uint64_t oc_callfn_deadline(oc_fn fn)
{
	return fns[fn].deadline_ms;
}

static void run_request(void (*function)(void *, oc_call *, const oc_http_request *), void *inst, oc_call *call, const oc_call_args *a)
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

	function(inst, call, &request);
}

#define RUN_1(function) function(guest->inst, call, a->s[0])
#define RUN_2(function) function(guest->inst, call, a->s[0], a->s[1])
#define RUN_3(function) function(guest->inst, call, a->s[0], a->s[1], a->s[2])
#define RUN_REQUEST(function) run_request(function, guest->inst, call, a)

static void run(oc_fn fn, oc_module *module, oc_guest *guest, oc_call *call, const oc_call_args *a)
{
	switch (fn) {
	case OC_FN_START:
		module->desc.start(module->inst, call);
		break;
	case OC_FN_STOP:
		module->desc.stop(module->inst, call, a->deadline_ms);
		break;
#define RUN(name, kind, member, function, shape, deadline) \
	case OC_FN_##name:                                 \
		RUN_##shape(guest->vtbl.member.function);  \
		break;
		OC_FN_MAP(RUN)
#undef RUN
	case OC_FN_END:
		break;
	}
}

void oc_callfn_run(oc_fn fn, oc_module *module, oc_guest *guest, oc_call *call, const oc_call_args *args)
{
	const char *before = oc_visit_call();

	oc_visit_set_call(fns[fn].name);
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

oc_status oc_guest_call(oc_guest *guest, oc_fn fn, const oc_call_args *args, const oc_call_options *options, oc_call **ret)
{
	if (fn <= OC_FN_STOP || fn >= OC_FN_END || fns[fn].kind != guest->kind)
		return OC_E_INVALID;
	return oc_call_start(guest->module, guest, fn, args, options, ret);
}

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
