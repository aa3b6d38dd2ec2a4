/*
 * The host side of oc_call: one request to a guest, completed exactly once.
 *
 * An oc_call * is a handle, not an address: it carries a generation, so using one after its completion is an error return
 * (counted against the guest), never a crash.  Completion is always delivered later from the loop, never inside the
 * function that started the call.  Events are delivered at once.  All functions are for the loop thread.
 *
 * Every call has a deadline.  When it passes, the caller gets OC_E_TIMEOUT and the guest is asked to cancel; its late answer
 * is taken quietly.  A cancelled call waits up to OC_CALL_CANCEL_GRACE_MS for the guest's own completion.
 */
#ifndef OC_MODULE_CALL_H
#define OC_MODULE_CALL_H

#include "core/base/buf.h"
#include "core/loop/loop.h"
#include "core/module/module.h"

enum { OC_CALL_CANCEL_GRACE_MS = 2000, OC_CALL_MAX_OPEN = 4096 /* a module */ };
enum { OC_CALL_RESULT_MAX = 64 * 1024 * 1024, OC_CALL_DEADLINE_MAX_MS = 7 * 24 * 3600 * 1000 };

typedef struct oc_call_options {
	uint64_t deadline_ms; /* from now; 0: the kind's default */
	oc_owner *owner;      /* the caller; when it is swept the call is cancelled and no callback follows. NULL: none */
	/* 0 to n times; inside the guest's call_event: do not block. Returning OC_E_BUSY tells the guest that you are slow.
	 * May be NULL. */
	oc_status (*on_event)(void *arg, uint32_t type, oc_str payload);
	/* Exactly once. result is borrowed: JSON as the vtable says, or on an error a message (see oc_call_error). */
	void (*on_done)(void *arg, oc_status status, oc_str result);
	void *arg;
} oc_call_options;

/* ---- The functions of all vtables, as one: for who carries calls to another process ---- */

/* The vtable of any kind. */
typedef union oc_vtbl {
	struct {
		uint32_t struct_size, flags;
	} head;
	oc_channel_vtbl channel;
	oc_provider_vtbl provider;
	oc_tool_vtbl tool;
	oc_http_vtbl http;
	oc_hook_vtbl hook;
	oc_service_vtbl service;
	oc_memory_vtbl memory;
	oc_storage_vtbl storage;
} oc_vtbl;

/* X(name, kind, member of oc_vtbl, function, shape, deadline in ms when the caller names none). The one description of
 * the vtables' asynchronous functions: how they are called here and, by the proxies of ipc-bridge, in another process.
 * Shapes: how many texts follow the call, or REQUEST (an oc_http_request). New ones are added at the end: the numbers travel. */
#define OC_FN_MAP(X)                                                        \
	X(CHANNEL_CONNECT, CHANNEL, channel, connect, 1, 60000)             \
	X(CHANNEL_SEND, CHANNEL, channel, send, 1, 60000)                   \
	X(CHANNEL_EDIT, CHANNEL, channel, edit, 1, 60000)                   \
	X(CHANNEL_ACTION, CHANNEL, channel, action, 1, 10000)               \
	X(CHANNEL_DISCONNECT, CHANNEL, channel, disconnect, 1, 10000)       \
	X(CHANNEL_PROBE, CHANNEL, channel, probe, 1, 30000)                 \
	X(PROVIDER_CHAT, PROVIDER, provider, chat, 1, 600000)               \
	X(PROVIDER_MODELS, PROVIDER, provider, models, 1, 30000)            \
	X(PROVIDER_EMBED, PROVIDER, provider, embed, 1, 120000)             \
	X(TOOL_INVOKE, TOOL, tool, invoke, 3, 120000)                       \
	X(HTTP_REQUEST, HTTP, http, request, REQUEST, 60000)                \
	X(HOOK_HANDLE, HOOK, hook, handle, 2, 15000)                        \
	X(SERVICE_CALL, SERVICE, service, call, 2, 30000)                   \
	X(MEMORY_SEARCH, MEMORY, memory, search, 1, 30000)                  \
	X(MEMORY_GET, MEMORY, memory, get, 1, 30000)                        \
	X(MEMORY_INDEX, MEMORY, memory, index, 1, 600000)                   \
	X(MEMORY_STATUS, MEMORY, memory, status, 1, 30000)                  \
	X(STORAGE_PUT, STORAGE, storage, put, 2, 30000)                     \
	X(STORAGE_GET, STORAGE, storage, get, 1, 30000)                     \
	X(STORAGE_LIST, STORAGE, storage, list, 1, 30000)                   \
	X(STORAGE_REMOVE, STORAGE, storage, remove, 1, 30000)

typedef enum oc_fn {
	OC_FN_START = 1,
	OC_FN_STOP,
#define OC_FN_ENUM_(name, ...) OC_FN_##name,
	OC_FN_MAP(OC_FN_ENUM_)
#undef OC_FN_ENUM_
	OC_FN_END
} oc_fn;

/* The arguments of any of them, in the vtable's order. */
typedef struct oc_call_args {
	oc_str s[6];
	uint32_t flags; /* of an http request */
	uint64_t deadline_ms; /* of stop */
} oc_call_args;

const char *oc_fn_name(oc_fn fn); /* "tool invoke" */
oc_status oc_guest_call(oc_guest *guest, oc_fn fn, const oc_call_args *args, const oc_call_options *options, oc_call **ret);

/* ---- Starting: the wrappers over the vtables ----
 *
 * On OC_OK the call runs and *ret (may be NULL) is its handle, valid until on_done.  On anything else nothing was started and
 * no callback follows: OC_E_UNAVAILABLE (the module is not running), OC_E_UNSUPPORTED (it has no such function), OC_E_LIMIT,
 * OC_E_NOMEM.  Called from inside a guest (an event), the call starts on the loop's next turn with copied arguments. */

oc_status oc_provider_chat(oc_guest *provider, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_provider_models(oc_guest *provider, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_provider_embed(oc_guest *provider, oc_str request, const oc_call_options *options, oc_call **ret);

oc_status oc_tool_invoke(oc_guest *guest, oc_str tool, oc_str args, oc_str context, const oc_call_options *options,
			 oc_call **ret);

oc_status oc_channel_connect(oc_guest *channel, oc_str account, const oc_call_options *options, oc_call **ret);
oc_status oc_channel_send(oc_guest *channel, oc_str message, const oc_call_options *options, oc_call **ret);
oc_status oc_channel_edit(oc_guest *channel, oc_str message, const oc_call_options *options, oc_call **ret);
oc_status oc_channel_action(oc_guest *channel, oc_str action, const oc_call_options *options, oc_call **ret);
oc_status oc_channel_disconnect(oc_guest *channel, oc_str account, const oc_call_options *options, oc_call **ret);
oc_status oc_channel_probe(oc_guest *channel, oc_str account, const oc_call_options *options, oc_call **ret);

/* request is read before this returns. Events: OC_EV_HTTP_HEAD once, then OC_EV_HTTP_BODY; the order is enforced. */
oc_status oc_http_module_request(oc_guest *http, const oc_http_request *request, const oc_call_options *options,
				 oc_call **ret);

oc_status oc_hook_guest_handle(oc_guest *hook, oc_str name, oc_str payload, const oc_call_options *options, oc_call **ret);

/* Method of a service by name and major version: see oc_modules_service(). */
oc_status oc_service_guest_call(oc_guest *service, oc_str method, oc_str args, const oc_call_options *options,
				oc_call **ret);

/* As oc_memory_vtbl and oc_storage_vtbl say. */
oc_status oc_memory_guest_search(oc_guest *memory, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_memory_guest_get(oc_guest *memory, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_memory_guest_index(oc_guest *memory, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_memory_guest_status(oc_guest *memory, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_storage_put(oc_guest *storage, oc_str name, oc_str bytes, const oc_call_options *options, oc_call **ret);
oc_status oc_storage_get(oc_guest *storage, oc_str name, const oc_call_options *options, oc_call **ret);
oc_status oc_storage_list(oc_guest *storage, oc_str request, const oc_call_options *options, oc_call **ret);
oc_status oc_storage_remove(oc_guest *storage, oc_str name, const oc_call_options *options, oc_call **ret);

/* ---- While it runs ---- */

/* Asks the guest to end it; on_done follows (usually OC_E_CANCELED). Ignored when the call is over; NULL is allowed. */
void oc_call_cancel(oc_call *call);
/* As cancel, but on_event and on_done will not be called any more. */
void oc_call_abandon(oc_call *call);
bool oc_call_is_open(const oc_call *call); /* for tests */
/* Milliseconds until the deadline; 0 when the call is over. */
uint64_t oc_call_remaining(const oc_call *call);

/* Reads an error result: {"message","retryAfterMs"} or plain text. err gets status and message; ret_retry_after_ms (may be
 * NULL) 0 when not told. */
void oc_call_error(oc_status status, oc_str result, oc_err *err, uint64_t *ret_retry_after_ms);

/* ---- The guest's side, for proxies that fill a vtable inside core (modules use the host table) ---- */

oc_status oc_call_event(oc_call *call, uint32_t type, oc_str payload);
void oc_call_done(oc_call *call, oc_status status, oc_str result);
/* Whether the guest still has to complete it; also true when the caller went away meanwhile. */
bool oc_call_is_owed(const oc_call *call);

#endif
