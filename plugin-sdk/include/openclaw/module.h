/*
 * openclaw/module.h - the OpenClaw module ABI, version 1.0.
 *
 * A module is one shared object that exports one function, oc_module_v1, and
 * carries its manifest (module.json) in the ELF section .oc_manifest, which
 * the gateway reads before it runs any of the module's code.  This header is
 * all a module needs: it links against nothing of the host.  It compiles as
 * C11 and as C++17, and has no padding (-Wpadded).
 *
 * The contract, once, for everything below:
 *
 * Threads.   The host calls a module on one thread, the loop thread, and never
 *            from inside a host function the module is in.  Host functions
 *            marked [any] may be called from any thread, all others [loop]
 *            from the loop thread only.
 * Blocking.  A callback returns within a few milliseconds; the host times
 *            each one.  Blocking work goes to oc_host_api.work().
 * Strings.   oc_str is borrowed: valid until the call it was passed to
 *            returns; p[n] is always 0.  To keep bytes, copy them or use an
 *            oc_buf.  All text is UTF-8, all structured data JSON.
 * Calls.     An oc_call is completed exactly once with call_done(), at once
 *            or later.  cancel() is a request: call_done() must still follow.
 *            Handles stay safe after completion: using one is an error that
 *            is counted against the module, not a crash.
 * Sizes.     Every struct that crosses starts with its size.  The host
 *            refuses one larger than it knows and reads a smaller one as if
 *            the rest were zero; modules test newer members with OC_HAS().
 *            Structs only grow at the end, and never into padding.
 * Ownership. Memory is freed by the side that allocated it.  Descriptor and
 *            vtables are static const and stay valid: code is never unmapped.
 */
#ifndef OPENCLAW_MODULE_H
#define OPENCLAW_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OC_ABI_MAJOR 1
#define OC_ABI_MINOR 0
#define OC_MODULE_MAGIC 0x314c434fu /* "OCL1", little endian */

/* ---- Results ----------------------------------------------------------- */

/* 0 or one of the negative codes below. */
typedef int32_t oc_status;

/* X(name, number, short text).  Numbers never change; new ones are added at the end. */
#define OC_STATUS_MAP(X)                                                                                     \
	X(OC_E_INVALID, -1, "invalid argument or input")                                                     \
	X(OC_E_NOMEM, -2, "out of memory")                                                                   \
	X(OC_E_IO, -3, "input or output failed")                                                             \
	X(OC_E_NOT_FOUND, -4, "not found")                                                                   \
	X(OC_E_EXISTS, -5, "already exists")                                                                 \
	X(OC_E_DENIED, -6, "not permitted")                                                                  \
	X(OC_E_AUTH, -7, "authentication failed")                                                            \
	X(OC_E_LIMIT, -8, "a limit was exceeded")                                                            \
	X(OC_E_TIMEOUT, -9, "timed out")                                                                     \
	X(OC_E_CANCELED, -10, "canceled")                                                                    \
	X(OC_E_BUSY, -11, "busy")                                                                            \
	X(OC_E_UNAVAILABLE, -12, "unavailable for now")                                                      \
	X(OC_E_UNSUPPORTED, -13, "not supported")                                                            \
	X(OC_E_PROTOCOL, -14, "the peer broke the protocol")                                                 \
	X(OC_E_CORRUPT, -15, "stored data is damaged")                                                       \
	X(OC_E_VERSION, -16, "versions do not match")                                                        \
	X(OC_E_STATE, -17, "not possible in this state")                                                     \
	X(OC_E_RATE_LIMIT, -18, "rate limited")                                                              \
	X(OC_E_QUOTA, -19, "quota or credit is used up")                                                     \
	X(OC_E_CONTEXT, -20, "the model's context window is full")                                           \
	X(OC_E_BLOCKED, -21, "blocked by a hook or by policy")                                               \
	X(OC_E_RETRY, -22, "interrupted, may be retried")                                                    \
	X(OC_E_RESTART, -23, "a restart of the module is needed")                                            \
	X(OC_E_INTERNAL, -24, "internal error")

enum {
	OC_OK = 0,
#define OC_STATUS_ENUM_(name, number, text) name = number,
	OC_STATUS_MAP(OC_STATUS_ENUM_)
#undef OC_STATUS_ENUM_
};

/* ---- Basic types ------------------------------------------------------- */

typedef struct oc_str {
	const char *p; /* never NULL in what the host passes; p[n] == 0 */
	size_t n;      /* bytes */
} oc_str;

typedef struct oc_self oc_self;   /* a module instance, as the host knows it */
typedef struct oc_call oc_call;   /* one request that is completed once */
typedef struct oc_buf oc_buf;     /* immutable bytes with a reference count */
typedef struct oc_watch oc_watch; /* a timer or a watched descriptor */

enum { OC_LOG_ERROR = 1, OC_LOG_WARN = 2, OC_LOG_INFO = 3, OC_LOG_DEBUG = 4, OC_LOG_TRACE = 5 };
enum { OC_FD_READ = 1, OC_FD_WRITE = 2, OC_FD_HANGUP = 4 };

/* ---- What the host offers ---------------------------------------------- */

/* Valid from init until fini has returned. */
typedef struct oc_host_api {
	uint32_t struct_size; /* of the host's */
	/* The host's version. */
	uint16_t abi_major;
	uint16_t abi_minor;
	/* [any] One log line; the host adds the module's name and the call. */
	void (*log)(oc_self *self, int32_t level, oc_str message);
	/* [any] Memory counted against the module; zeroed; NULL when out of memory. free(NULL) is allowed. */
	void *(*alloc)(oc_self *self, size_t bytes);
	void (*free)(oc_self *self, void *ptr);
	/* [any] A counted copy of bytes (NULL when out of memory); ref and unref; a view of it. unref(NULL) is allowed. */
	oc_buf *(*buf_new)(oc_self *self, oc_str bytes);
	oc_buf *(*buf_ref)(oc_buf *buf);
	void (*buf_unref)(oc_buf *buf);
	oc_str (*buf_str)(const oc_buf *buf);
	/* [any] Runs fn(arg) on the loop thread soon. Refused with OC_E_LIMIT when the module has too many waiting. */
	oc_status (*post)(oc_self *self, void (*fn)(void *arg), void *arg);
	/* [loop] Runs fn on a pool thread, then done(arg, status) on the loop thread, exactly once. Refused with OC_E_LIMIT
	 * when the module has too many waiting. */
	oc_status (*work)(oc_self *self, void (*fn)(void *arg), void (*done)(void *arg, oc_status status), void *arg);
	/* [loop] Calls cb after ms, then every repeat_ms unless that is 0. NULL when out of memory.
	 * A one-shot timer stays owned by the module until unwatch(). */
	oc_watch *(*timer)(oc_self *self, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg);
	/* [loop] Watches a non-blocking descriptor, which the module keeps. */
	oc_watch *(*fd)(oc_self *self, int32_t fd, uint32_t events, void (*cb)(void *arg, uint32_t events), void *arg);
	/* [loop] Ends a timer or watch; its callback will not run again. NULL is allowed. */
	void (*unwatch)(oc_watch *watch);
	/* [loop] Sends one event of a call, 0 to n times before call_done. Types: OC_EV_*.
	 * OC_E_STATE when the call is over. OC_E_BUSY: taken, but the receiver is slow; pause if you can. */
	oc_status (*call_event)(oc_call *call, uint32_t type, oc_str payload);
	/* [loop] Completes a call. On OC_OK `result` is what the vtable says; on an error it is a message for
	 * people (what failed, where, what to do), or {"message":…,"retryAfterMs":…} as JSON. */
	void (*call_done)(oc_call *call, oc_status status, oc_str result);
	/* [any] Monotonic milliseconds. */
	uint64_t (*now_ms)(oc_self *self);
	/* [loop] A secret by name, for example "models.providers.openai.apiKey" or "channels.telegram.botToken".
	 * Only names that the manifest asks for and the operator granted: else OC_E_DENIED. OC_E_NOT_FOUND: not set.
	 * The caller unrefs the buffer, whose bytes are wiped then. */
	oc_status (*secret)(oc_self *self, oc_str name, oc_buf **ret);
	/* [loop] A table of further host functions by name and version, see OC_SERVICE_*. The table is static.
	 * OC_E_NOT_FOUND: no such service; OC_E_VERSION: too old; OC_E_DENIED: the manifest does not ask for it. */
	oc_status (*query)(oc_self *self, oc_str service, uint16_t major, uint16_t min_minor, const void **ret);
	/* [loop] Asks a service that another module offers (kind service): method and arguments as JSON.
	 * done(arg, status, result) runs exactly once, later, on the loop thread. deadline_ms 0: the host's default. */
	oc_status (*service_call)(oc_self *self, oc_str service, uint16_t major, oc_str method, oc_str args_json,
				  uint64_t deadline_ms, void (*done)(void *arg, oc_status status, oc_str result),
				  void *arg);
	/* [loop] How full a bounded queue of the module's own is, whenever that changes: for the operator's figures. name: up
	 * to 31 of a-z, 0-9 and '_', ending in _bytes when it counts those; the host keeps up to 16 queues of a module. */
	void (*gauge)(oc_self *self, oc_str name, uint64_t depth, uint64_t capacity);
} oc_host_api;

/* ---- Events of calls (oc_host_api.call_event) --------------------------- */

enum {
	OC_EV_TEXT = 1,      /* provider: a piece of the answer, raw UTF-8 */
	OC_EV_THINKING = 2,  /* provider: a piece of the reasoning, raw UTF-8 */
	OC_EV_TOOL_CALL = 3, /* provider: {"id","name","arguments":{…}}, complete */
	OC_EV_USAGE = 4,     /* provider: {"input","output","cacheRead","cacheWrite"} tokens, cumulative */
	OC_EV_PROGRESS = 5,  /* tool: a piece of output so far, raw UTF-8 */
	OC_EV_HTTP_HEAD = 6, /* http: {"status":200,"headers":{"content-type":"…"}}, once, before any body */
	OC_EV_HTTP_BODY = 7, /* http: a piece of the body, raw bytes */
	OC_EV_BLOCK = 8      /* provider: a block to be sent back unchanged in the next request, e.g. signed thinking:
				{"type":"thinking","text":…,"signature":…} */
};

/* ---- Kinds -------------------------------------------------------------- */

enum {
	OC_KIND_CHANNEL = 1,
	OC_KIND_PROVIDER = 2,
	OC_KIND_TOOL = 3,
	OC_KIND_STORAGE = 4,
	OC_KIND_MEMORY = 5,
	OC_KIND_HTTP = 6,
	OC_KIND_HOOK = 7,
	OC_KIND_SERVICE = 8
};

/* In every vtable `inst` is what init returned; unset members are NULL; those marked * are required. */

/* Channel, version 1.0: a network where people talk. iface.id is the channel's name ("telegram").
 * Inbound messages go to the host through OC_SERVICE_CHANNEL. */
typedef struct oc_channel_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* OC_CHANNEL_* */
	/* * Starts one account. account: {"account":"default","config":{…},"commands":[{"name","description"}]?},
	 * secrets left out (ask secret()). commands: what the network may show as a menu of slash commands.
	 * Completes when the network accepted the login; the account then runs until disconnect. A lost
	 * connection is the channel's to restore; it reports with oc_channel_host.state(). */
	void (*connect)(void *inst, oc_call *call, oc_str account);
	/* * Sends one message: {"account","to","thread"?,"text","format":"markdown","replyTo"?,
	 * "media":[{"type":"image|audio|video|file","path","mime","name"}]?,"idempotencyKey"}. The channel splits
	 * what is too long. Result: {"messageId":"…","messageIds":["…"]}. */
	void (*send)(void *inst, oc_call *call, oc_str message);
	/* Replaces the text of a sent message: {"account","to","thread"?,"messageId","text","format","final":bool}. */
	void (*edit)(void *inst, oc_call *call, oc_str message);
	/* A chat action: {"account","to","thread"?,"action":"typing"}. */
	void (*action)(void *inst, oc_call *call, oc_str action);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
	/* * Ends one account: {"account":"default"}. */
	void (*disconnect)(void *inst, oc_call *call, oc_str account);
	/* One live check of the account: result {"ok":true,"detail":"…"}. */
	void (*probe)(void *inst, oc_call *call, oc_str account);
} oc_channel_vtbl;

enum { OC_CHANNEL_EDITS = 1, OC_CHANNEL_MEDIA = 2, OC_CHANNEL_THREADS = 4, OC_CHANNEL_IDEMPOTENT = 8 };

/* Provider, version 1.0: a protocol for talking to models. iface.id is the protocol's name
 * ("openai-completions", "anthropic-messages"); one module serves every configured endpoint that speaks it. */
typedef struct oc_provider_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* none yet: 0 */
	/* * One model call. request: {"endpoint":{"provider":"openai","baseUrl":"…","headers":{…},"secret":"name"?,"idleMs":n?},
	 *  "model":"gpt-…","system":"…","messages":[…],"tools":[{"name","description","parameters":{…}}]?,
	 *  "maxTokens":n?,"temperature":x?,"thinking":"off|low|medium|high"?,"stop":["…"]?,"user":"…"?}
	 * idleMs: an answer that brings nothing for so long is OC_E_TIMEOUT; without it the module's own measure.
	 * messages: {"role":"user","content":[{"type":"text","text"},{"type":"image","mime","data":base64}]},
	 *  {"role":"assistant","content":[text, {"type":"thinking","text","signature"},
	 *                                 {"type":"tool_call","id","name","arguments":{…}}]},
	 *  {"role":"tool","toolCallId","name","content":[text, image],"isError":bool}.
	 * Events OC_EV_TEXT, _THINKING, _TOOL_CALL, _USAGE, _BLOCK as they arrive.
	 * Result: {"stopReason":"stop|length|tool_use|refusal","model":"…"}. Errors: OC_E_AUTH, _RATE_LIMIT,
	 * _QUOTA, _CONTEXT, _INVALID, _UNAVAILABLE, _TIMEOUT, _PROTOCOL tell the host whether to retry or fall back. */
	void (*chat)(void *inst, oc_call *call, oc_str request);
	/* The endpoint's models: request {"endpoint":{…}}; result {"models":[{"id","name"?,"contextWindow"?}]}. */
	void (*models)(void *inst, oc_call *call, oc_str request);
	/* * Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
	/* Vectors for texts: request {"endpoint":{…},"model":"…","input":["…",…],"dimensions":n?}; 1 to 2048 texts.
	 * Result: {"model":"…","embeddings":[[x,…],…],"usage":{"input":tokens}}: one vector a text, in their order, all of
	 * one length. Errors as for chat. */
	void (*embed)(void *inst, oc_call *call, oc_str request);
} oc_provider_vtbl;

/* Tool, version 1.0: one or more functions the model may call. */
typedef struct oc_tool_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* none yet: 0 */
	/* * A JSON array, valid until fini: [{"name","description","parameters":{JSON Schema},"group":"fs"?,
	 * "capabilities":["fs.read","fs.write","net","exec"],"timeoutMs":n?,"serial":bool?}].
	 * Arguments are validated by the host against `parameters` before invoke. serial: never two at once in one session. */
	oc_str (*tools)(void *inst);
	/* * One call. context: {"session","agent","run","trace"?,"workspace":"/abs/dir","channel"?,"sender"?,"callId",
	 * "sandbox":"off|relaxed|strict","readable"?:["/abs/dir"] (fs.read: further folders),"env"?:{…} (exec: for programs)}. Events: OC_EV_PROGRESS. Result: {"content":[{"type":"text","text":"…"},
	 * {"type":"image","mime","data"}],"isError":bool?,"details":{…}?}. A failure the model should see is isError;
	 * a status other than OC_OK is a failure of the tool itself. */
	void (*invoke)(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
	/* A session ended or was reset: {"session":"…"}; end what runs for it. */
	void (*session_end)(void *inst, oc_str info);
} oc_tool_vtbl;

/* HTTP, version 1.0: a subtree of the gateway's HTTP server. iface.id is its path prefix ("/webhooks/telegram"). */
typedef struct oc_http_request {
	uint32_t struct_size; /* of the host's */
	uint32_t flags; /* none yet: 0 */
	oc_str method;  /* "GET" */
	oc_str path;    /* decoded, normalised, with the prefix */
	oc_str query;   /* raw, without '?' */
	oc_str headers; /* JSON object, lower-case names */
	oc_str body;    /* whole; the host enforces the limit */
	oc_str remote;  /* "address:port" of the client */
} oc_http_request;

typedef struct oc_http_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* OC_HTTP_* */
	/* * Answers with OC_EV_HTTP_HEAD, any OC_EV_HTTP_BODY, then call_done. */
	void (*request)(void *inst, oc_call *call, const oc_http_request *request);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
} oc_http_vtbl;

enum { OC_HTTP_PUBLIC = 1 /* no gateway token asked: the module authenticates by itself (signed webhooks) */ };

/* Hook, version 1.0: takes part in the lifecycle hooks. */
typedef struct oc_hook_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* none yet: 0 */
	/* * A JSON array, valid until fini: [{"hook":"beforeMessage","priority":0?,"timeoutMs":n?}]. Higher priority runs first.
	 * Names that do not exist are accepted and never fire. */
	oc_str (*subscriptions)(void *inst);
	/* * One firing. Result: {} or the changes that the hook allows (see the guide). */
	void (*handle)(void *inst, oc_call *call, oc_str hook, oc_str payload);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
} oc_hook_vtbl;

/* Service, version 1.0: methods for other modules. iface.id is the service's name, iface.ver_* its version. */
typedef struct oc_service_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* none yet: 0 */
	/* * One call of a method; arguments and result are JSON. */
	void (*call)(void *inst, oc_call *call, oc_str method, oc_str args);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
} oc_service_vtbl;

/* Memory, version 1.0: what memory_search and memory_get ask, in the place of the built-in index. The operator chooses one by
 * its iface.id: modules.slots.memory. Every request has "agent" (id) and "workspace" ("/abs/dir", with MEMORY.md and memory/).
 * On an error, an answer that is none, or no answer in time the built-in memory answers in its place, and says why. */
typedef struct oc_memory_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* none yet: 0 */
	/* * request: {"agent","workspace","query","maxResults":1 to 50,"minScore":x}. Result, best first:
	 * {"results":[{"path":"memory/x.md","startLine":n,"endLine":n,"score":0 to 1,"snippet":"…"}]}. path is whatever get
	 * understands; the host leaves out what is beyond maxResults or below minScore. */
	void (*search)(void *inst, oc_call *call, oc_str request);
	/* * request: {"agent","workspace","path"}. Result: {"path","text"}: the whole of it (the host picks lines), empty when
	 * nothing is there. A path that is none of its own: OC_E_DENIED. */
	void (*get)(void *inst, oc_call *call, oc_str request);
	/* Brings an index up to date: {"agent","workspace","force":bool}. Result: {"files"?:n,"chunks"?:n,…}, shown to people.
	 * NULL: there is none. */
	void (*index)(void *inst, oc_call *call, oc_str request);
	/* What it holds: {"agent","workspace"}; result as for index. NULL: as index without force. */
	void (*status)(void *inst, oc_call *call, oc_str request);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
} oc_memory_vtbl;

/* Storage, version 1.0: a place for objects outside the gateway's own store: another disk, a server. The operator chooses one
 * by its iface.id: modules.slots.storage. The gateway's store stays what counts; what is committed there is copied here
 * afterwards (journals of sessions), again until it succeeds. Names: 1 to 200 bytes of A-Z a-z 0-9 . _ - and / between parts,
 * no part begins with a dot. */
typedef struct oc_storage_vtbl {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* none yet: 0 */
	/* * Keeps bytes under a name, whole or not at all; what was there is replaced. To complete with OC_OK is the promise
	 * that they outlive a crash of the machine. The result is not looked at. */
	void (*put)(void *inst, oc_call *call, oc_str name, oc_str bytes);
	/* * The bytes of a name are the result, raw. OC_E_NOT_FOUND. */
	void (*get)(void *inst, oc_call *call, oc_str name);
	/* * request: {"prefix":"sessions/","after":"name"?,"limit":1 to 1000}. Result: {"objects":[{"name","bytes"?:n}],
	 * "more":bool}: names that begin with prefix, in an order that stays the same; after: the last of the page before. */
	void (*list)(void *inst, oc_call *call, oc_str request);
	/* * Forgets a name. One that is not there: OC_OK. */
	void (*remove)(void *inst, oc_call *call, oc_str name);
	/* Asks that a call be ended soon; call_done must still come. */
	void (*cancel)(void *inst, oc_call *call);
} oc_storage_vtbl;

/* One interface of a module. Frozen: it is an element of an array, anything new goes into the vtables. */
typedef struct oc_iface {
	uint32_t kind;      /* OC_KIND_* */
	uint16_t ver_major; /* of the kind's vtable; for services: of the service */
	uint16_t ver_minor; /* the same */
	const char *id;     /* what the kind says of iface.id */
	const void *vtbl;   /* the kind's oc_…_vtbl */
} oc_iface;

/* ---- The descriptor ------------------------------------------------------ */

typedef struct oc_module_desc {
	/* The first 16 bytes are frozen for ever. */
	uint32_t magic; /* OC_MODULE_MAGIC */
	uint32_t struct_size; /* sizeof */
	uint16_t abi_major;     /* OC_ABI_MAJOR */
	uint16_t abi_minor;     /* OC_ABI_MINOR: compiled against */
	uint16_t abi_min_minor; /* the oldest host minor it can work with */
	uint16_t reserved0;     /* 0 */
	uint64_t flags; /* OC_MODULE_* */
	/* Both must equal the manifest's. */
	const char *name;
	const char *version;
	const oc_iface *ifaces; /* what it brings; at least one */
	size_t n_ifaces;        /* how many */
	/* * On the loop, within 50 ms, no I/O, no threads: checks the configuration ({} when none) and returns the instance.
	 * All or nothing. May write a message for people with host->log. */
	oc_status (*init)(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst);
	/* Asynchronous; the module's interfaces are used once it completed. NULL: nothing to do. */
	void (*start)(void *inst, oc_call *call);
	/* Asynchronous; at the deadline the host goes on without it. NULL: nothing to do. */
	void (*stop)(void *inst, oc_call *call, uint64_t deadline_ms);
	/* * After the last call completed and every timer, watch and host call was ended. Joins its own threads. */
	void (*fini)(void *inst);
	/* New configuration: OC_OK, OC_E_RESTART (the host stops and starts the module), OC_E_INVALID (the old one stays).
	 * NULL: as OC_E_RESTART. */
	oc_status (*reload)(void *inst, oc_str config);
} oc_module_desc;

enum {
	/* Starts threads of its own. It changes nothing for the module; operators see it, and a module that posts from such a
	 * thread without having said so is shown as degraded. Threads that never call the host are not noticed. */
	OC_MODULE_THREADS = 1
};

/* ---- Host services (oc_host_api.query) ------------------------------------ */

/* "http.client" 1.0: HTTP and HTTPS requests with pooled connections, HTTP/2, proxies. Ask for it in the manifest:
 * "services": ["http.client"] and "capabilities": ["net"]. */
#define OC_SERVICE_HTTP_CLIENT "http.client"
typedef struct oc_http_call oc_http_call;
typedef struct oc_http_client_request {
	uint32_t struct_size; /* sizeof */
	uint32_t flags;      /* OC_HTTP_CLIENT_* */
	oc_str method;       /* "GET", "POST", … */
	oc_str url;          /* http or https */
	oc_str headers;      /* JSON object of strings, or empty */
	oc_str body;         /* copied */
	uint64_t timeout_ms; /* for the whole exchange; 0: none */
	uint64_t idle_ms;    /* without a byte received; 0: 60,000 */
	uint64_t max_bytes;  /* of the body, OC_E_LIMIT beyond; 0: 16 MiB */
	uint32_t retries;    /* extra tries on connection failures, 429 and 5xx before any byte was handed on, with back-off and Retry-After */
	uint32_t max_redirects; /* followed; 0: none */
	/* The response line and headers, once. headers: JSON object, lower-case names. May be NULL. */
	void (*on_head)(void *arg, int32_t http_status, oc_str headers);
	/* A piece of the body. NULL: the body is gathered and handed to on_done. */
	void (*on_data)(void *arg, oc_str data);
	/* One server-sent event (OC_HTTP_CLIENT_SSE and a 2xx answer); then on_data gets nothing. */
	void (*on_sse)(void *arg, oc_str event, oc_str data, oc_str id);
	/* Exactly once, unless cancelled. http_status 0 when there was no answer. body: see on_data; on an error status: the message. */
	void (*on_done)(void *arg, oc_status status, int32_t http_status, oc_str body);
	void *arg; /* handed to each of these */
	/* Instead of `body`, for uploads too big for memory: body_bytes in all, asked for piece by piece, in order, on the
	 * loop thread (again from offset 0 on a retry). Writes at most max bytes and returns how many; OC_E_BUSY: none yet,
	 * pause(call, 0) asks again; any other status ends the request with it. NULL: `body` is sent. */
	int64_t (*on_body)(void *arg, uint64_t offset, void *out, uint64_t max);
	uint64_t body_bytes;
	/* This request's proxy ("http://…", "https://…", "socks5h://user:password@host:port"); empty: the host's own. */
	oc_str proxy;
} oc_http_client_request;
enum {
	OC_HTTP_CLIENT_GUARD = 1, /* SSRF guard: refuse loopback, private, link-local and metadata addresses, also after redirects */
	OC_HTTP_CLIENT_SSE = 2    /* parse text/event-stream */
};
typedef struct oc_http_client_host {
	uint32_t struct_size; /* of the host's */
	uint32_t flags; /* none yet: 0 */
	/* [loop] Starts a request. Callbacks come later, on the loop thread. */
	oc_status (*start)(oc_self *self, const oc_http_client_request *request, oc_http_call **ret);
	/* [loop] Ends it; no callback follows. */
	void (*cancel)(oc_http_call *call);
	/* [loop] Stops (1) and restarts (0) reading the answer and asking on_body (back-pressure). */
	void (*pause)(oc_http_call *call, uint32_t paused);
} oc_http_client_host;

/* "process" 1.0: child processes in the OS sandbox. Manifest: "services": ["process"], "capabilities": ["exec"]. */
#define OC_SERVICE_PROCESS "process"
typedef struct oc_process oc_process;
typedef struct oc_process_options {
	uint32_t struct_size; /* sizeof */
	uint32_t flags; /* OC_PROCESS_* */
	/* {"argv":["sh","-c","…"],"cwd":"/abs","env":{…}?,"sandbox":"off|relaxed|strict"?,"network":bool?,
	 *  "read":["/abs"]?,"write":["/abs"]?,"limits":{"memoryBytes","cpuSeconds","processes","fileBytes"}?,"timeoutMs":n?}.
	 * env is the whole environment besides PATH, HOME, LANG, TERM. The level cannot be lowered below the operator's. */
	oc_str spec;
	/* Output, at most 64 KiB a piece. stream 1: stdout, 2: stderr. */
	void (*on_output)(void *arg, uint32_t stream, oc_str data);
	/* Exactly once, after the last output. signal 0: exited with exit_code. status: OC_OK, OC_E_TIMEOUT, OC_E_CANCELED,
	 * or why it could not run, with the message. */
	void (*on_exit)(void *arg, oc_status status, int32_t exit_code, int32_t signal, oc_str message);
	void *arg; /* handed to each of these */
} oc_process_options;
enum { OC_PROCESS_STDIN = 1, /* keep stdin open for write() */ OC_PROCESS_MERGE = 2 /* stderr into stdout */ };
typedef struct oc_process_host {
	uint32_t struct_size; /* of the host's */
	uint32_t flags; /* none yet: 0 */
	/* [loop] Starts a program; its output and its end come later. */
	oc_status (*spawn)(oc_self *self, const oc_process_options *options, oc_process **ret);
	/* [loop] To its stdin (OC_PROCESS_STDIN), copied; OC_E_STATE when that is closed. */
	oc_status (*write)(oc_process *process, oc_str data);
	/* [loop] The end of its stdin, after what was written. */
	void (*close_stdin)(oc_process *process);
	/* [loop] Signals everything the process started; 9 ends it at once, 15, 2, 1 and 3 are followed by 9 after five seconds. */
	oc_status (*kill)(oc_process *process, int32_t signal);
	/* [loop] Its number, for people. */
	int64_t (*pid)(const oc_process *process);
} oc_process_host;

/* "channel" 1.0: for modules of kind channel. Manifest: "services": ["channel"]. */
#define OC_SERVICE_CHANNEL "channel"
typedef struct oc_channel_host {
	uint32_t struct_size; /* of the host's */
	uint32_t flags; /* none yet: 0 */
	/* [loop] Hands in one message:
	 * {"channel","account","id":"network's id","chat":{"type":"dm|group|channel","id","title"?},"thread"?,
	 *  "sender":{"id","name"?,"username"?,"isBot"?},"text","mentioned":bool?,"replyTo":{"id","text"?,"fromSelf"?}?,
	 *  "media":[{"type","path","mime","name","bytes"}]?,"timestampMs":n,"edited":bool?}.
	 * done(arg, OC_OK) means committed to the store (or a duplicate, or refused by the allow-list): only then tell
	 * the network that it arrived. OC_E_BUSY: wait and hand it in again. */
	oc_status (*receive)(oc_self *self, oc_str message, void (*done)(void *arg, oc_status status), void *arg);
	/* [loop] The account's state: {"account","state":"connecting|connected|reconnecting|failed|stopped","detail"?}. */
	void (*state)(oc_self *self, oc_str state);
	/* [loop] A folder of this channel for inbound media, absolute, made with mode 0700. */
	oc_str (*media_dir)(oc_self *self);
	/* [loop] 1 when a message with these facts (as for receive, without media) would reach the agent now, else 0: to be
	 * asked before anything that strangers could make costly, like loading their files. receive() decides anyway. */
	int32_t (*admits)(oc_self *self, oc_str message);
} oc_channel_host;

/* "kv" 1.0: small durable state of the module. Keys at most 200 bytes, values 1 MiB. Manifest: "services": ["kv"]. */
#define OC_SERVICE_KV "kv"
typedef struct oc_kv_host {
	uint32_t struct_size; /* of the host's */
	uint32_t flags; /* none yet: 0 */
	/* [loop] OC_E_NOT_FOUND when there is none. The caller unrefs. */
	oc_status (*get)(oc_self *self, oc_str key, oc_buf **ret);
	/* [loop] Committed when done runs (may be NULL). An empty value removes the key. */
	oc_status (*put)(oc_self *self, oc_str key, oc_str value, void (*done)(void *arg, oc_status status), void *arg);
} oc_kv_host;

/* ---- Helpers and the entry point ------------------------------------------- */

/* Whether a sized struct (by pointer) has a member: its size covers it and it is set. */
#define OC_HAS(ptr, member)                                                                                  \
	((ptr) != NULL && (ptr)->struct_size >= offsetof(__typeof__(*(ptr)), member) + sizeof((ptr)->member) \
	 && (ptr)->member)

/* A string literal as oc_str; a NUL-terminated string as oc_str. */
#ifdef __cplusplus
#define OC_STR(literal) (oc_str{"" literal, sizeof(literal) - 1})
#else
#define OC_STR(literal) ((oc_str){"" literal, sizeof(literal) - 1})
#endif
static inline oc_str oc_str_of(const char *nul_terminated)
{
	oc_str s;
	s.p = nul_terminated != NULL ? nul_terminated : "";
	s.n = 0;
	while (s.p[s.n] != 0)
		s.n++;
	return s;
}

#ifdef __cplusplus
#define OC_EXTERN_C extern "C"
#else
#define OC_EXTERN_C
#endif
#define OC_CONCAT_(a, b) a##b
#define OC_CONCAT(a, b) OC_CONCAT_(a, b)
#define OC_TEXT_(x) #x
#define OC_TEXT(x) OC_TEXT_(x)

/*
 * Embeds module.json, found through the include path, in the section that the host reads first.  Use it once, in one
 * file.  With OC_MODULE_STATIC=name (the module is linked into the host) the manifest goes by a symbol instead.
 */
#ifdef OC_MODULE_STATIC
#define OC_MODULE_MANIFEST(file)                                                                                \
	__asm__(".pushsection .rodata\n.globl oc_manifest_" OC_TEXT(OC_MODULE_STATIC) "\noc_manifest_" OC_TEXT( \
		OC_MODULE_STATIC) ":\n.incbin \"" file "\"\n.byte 0\n.popsection\n")
#define OC_MODULE_ENTRY OC_CONCAT(oc_module_v1_, OC_MODULE_STATIC)
#define OC_MODULE_VISIBLE
#else
#define OC_MODULE_MANIFEST(file) \
	__asm__(".pushsection .oc_manifest,\"aR\",@progbits\n.incbin \"" file "\"\n.byte 0\n.popsection\n")
#define OC_MODULE_ENTRY oc_module_v1
#define OC_MODULE_VISIBLE __attribute__((visibility("default")))
#endif

/* Defines the entry point: OC_MODULE(&descriptor); */
#define OC_MODULE(descriptor)                                                         \
	OC_EXTERN_C OC_MODULE_VISIBLE const oc_module_desc *OC_MODULE_ENTRY(void);    \
	OC_EXTERN_C OC_MODULE_VISIBLE const oc_module_desc *OC_MODULE_ENTRY(void)     \
	{                                                                             \
		return (descriptor);                                                  \
	}                                                                             \
	OC_EXTERN_C OC_MODULE_VISIBLE const oc_module_desc *OC_MODULE_ENTRY(void)

#ifdef __cplusplus
}
#endif
#endif
