/*
 * The registry of modules: finds them, says what each is and why it does not run, starts and stops them, and finds the
 * guests they bring.
 *
 * There is one kind of guest: a vtable and an instance.  Who fills the vtable (a bundled .so, a third-party .so, a table
 * linked into the binary, a proxy of the bridge) is nobody's business above this room.  All functions are for the loop
 * thread.  With loop NULL a registry can scan and describe, and nothing else (the CLI).
 */
#ifndef OC_MODULE_MODULE_H
#define OC_MODULE_MODULE_H

#include "core/base/err.h"
#include "core/base/queues.h"
#include "core/config/config.h"
#include "core/data/json.h"
#include "core/hook/hook.h"
#include "core/loop/loop.h"
#include "core/module/manifest.h"
#include "core/module/signature.h"

typedef struct oc_modules oc_modules;
typedef struct oc_self oc_module; /* what the ABI calls oc_self is a module as the registry knows it */
typedef struct oc_guest oc_guest;

/* X(name, text): a module's states. REFUSED, DISABLED and QUARANTINED have a reason and a remedy. */
#define OC_MODULE_STATE_MAP(X)                                                              \
	X(FOUND, "found")         /* a file was seen */                                     \
	X(VERIFIED, "verified")   /* file and manifest are in order */                      \
	X(OPENED, "opened")       /* its code is in memory, the descriptor accepted */      \
	X(INITED, "initialized")  /* init returned an instance */                           \
	X(STARTING, "starting")                                                             \
	X(STARTED, "started")                                                               \
	X(DEGRADED, "degraded")   /* runs, but broke the rules; reason says how */          \
	X(STOPPING, "stopping")                                                             \
	X(STOPPED, "stopped")                                                               \
	X(DISABLED, "disabled")   /* in order, but not enabled */                           \
	X(REFUSED, "refused")     /* not loaded, or failed to start */                      \
	X(QUARANTINED, "quarantined") /* it crashed the gateway again and again: core/module/crash.h */

typedef enum oc_module_state {
	OC_MODULE_STATE_UNSET = 0,
#define OC_MODULE_STATE_ENUM_(name, text) OC_MODULE_##name,
	OC_MODULE_STATE_MAP(OC_MODULE_STATE_ENUM_)
#undef OC_MODULE_STATE_ENUM_
} oc_module_state;

const char *oc_module_state_name(oc_module_state state);

typedef struct oc_modules_options {
	oc_hooks *hooks;          /* where guests of kind hook subscribe and the error hook is fired; NULL: nowhere */
	const char *module_dir;   /* the folder of bundled modules; NULL: the build tree's when run from one, else the
				     configured one; "": none */
	const char *user_dir;     /* third-party modules; NULL: <state>/modules; "": none */
	const char *search_path;  /* further third-party folders, separated by ':', searched first; NULL: OPENCLAW_MODULE_PATH */
	bool safe_mode;           /* only bundled modules run */
	bool no_static;           /* leave out the modules linked into the binary (tests) */
	uint64_t memory_limit;    /* bytes a module may hold through host->alloc; 0: 512 MiB */
} oc_modules_options;

/* config is referenced (NULL: everything at its default). options may be NULL. */
oc_status oc_modules_new(oc_loop *loop, oc_config *config, const oc_modules_options *options, oc_modules **ret, oc_err *err);
/* Modules must be stopped (oc_modules_stop); what still runs is ended without waiting. NULL is allowed. */
void oc_modules_free(oc_modules *modules);

/* Looks at the folders and reads manifests; runs no module code. Again: takes up what appeared, forgets what is gone and not
 * loaded. Fails only for want of memory; what is wrong with a file is that module's state. */
oc_status oc_modules_scan(oc_modules *modules, oc_err *err);

/* Starts every enabled module, services before who asks for them. done (may be NULL) comes later, once each has started or
 * failed. */
typedef void oc_modules_done(void *arg, unsigned started, unsigned failed);
void oc_modules_start(oc_modules *modules, oc_modules_done *done, void *arg);
/* Stops all, in reverse order; at the deadline goes on without those that do not answer. */
void oc_modules_stop(oc_modules *modules, uint64_t deadline_ms, oc_modules_done *done, void *arg);
/* Takes a new configuration: enables, disables, hands new settings to the running (reload, or stop and start). */
void oc_modules_configure(oc_modules *modules, oc_config *config, oc_modules_done *done, void *arg);
/* One module. The done callback's counts are 0 or 1. */
void oc_module_start(oc_module *module, oc_modules_done *done, void *arg);
void oc_module_stop(oc_module *module, uint64_t deadline_ms, oc_modules_done *done, void *arg);
void oc_module_restart(oc_module *module, oc_modules_done *done, void *arg);

/* Adds a module whose descriptor is in this process: linked in, or a proxy. Everything is borrowed and must outlive the
 * registry. origin: "static", "plugin". Trusted like a bundled one: who adds it decides whether it may run. */
oc_status oc_modules_add(oc_modules *modules, oc_str manifest_json, const oc_module_desc *desc, const char *origin,
			 oc_module **ret, oc_err *err);
/* What such a module brings is other than before: its manifest (of the same name), what its tools() say. Runs when this
 * returns, also if it had not run before, but for one whose descriptor has a start function. */
oc_status oc_module_renew(oc_module *module, oc_str manifest_json, oc_err *err);

/* ---- Reading ---- */

oc_module *oc_modules_find(oc_modules *modules, const char *name); /* NULL when there is none */
/* In order of name. fn returns false to stop. */
void oc_modules_each(oc_modules *modules, bool (*fn)(void *arg, oc_module *module), void *arg);
const char *oc_module_name(const oc_module *module);
const char *oc_module_version(const oc_module *module);
const char *oc_module_path(const oc_module *module);     /* "" for static ones */
const char *oc_module_origin(const oc_module *module);   /* "bundled", "system" (in the folder of bundled ones, and none), "user", "path", "config", "static", "plugin" */
const char *oc_module_reason(const oc_module *module);   /* "" when there is nothing to say */
const char *oc_module_remedy(const oc_module *module);
const oc_manifest *oc_module_manifest(const oc_module *module); /* NULL when it could not be read */
oc_module_state oc_module_get_state(const oc_module *module);
bool oc_module_bundled(const oc_module *module);
bool oc_module_enabled(const oc_module *module); /* configuration and pin allow it; for tests */
bool oc_module_running(const oc_module *module); /* STARTED or DEGRADED */
oc_owner *oc_module_owner(oc_module *module);    /* everything the module has on the loop; for service tables */
bool oc_module_may(const oc_module *module, oc_str capability); /* the manifest asks for it (and the operator enabled it) */
/* Loads an enabled module's code and checks its descriptor and interfaces, but does not init it: for `module doctor`. Its
 * constructors run. OC_E_STATE: it is not enabled. */
oc_status oc_module_check(oc_module *module, oc_err *err);
/* SHA-256 of the file as 64 hexadecimal digits and NUL, computed now. */
oc_status oc_module_sha256(const oc_module *module, char out[65], oc_err *err);
/* Who signed the file, of the keys in modules.trustedKeys; see signature.h. */
oc_status oc_module_signature(const oc_module *module, oc_signature *ret, oc_err *err);

/* A module broke a rule of the contract: counted, logged, DEGRADED while it runs. module may be NULL. */
void oc_module_violation(oc_module *module, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Modules in processes of their own ----
 *
 * The registry decides which (policy.c) and takes the descriptor below for theirs; what carries it out is ipc-bridge/isolate.c. */

typedef struct oc_isolator {
	/* Its functions ask the process; the instance is made by init, and the guests are registered while it starts
	 * (oc_guest_register). name, version and interfaces are not looked at. Static. */
	const oc_module_desc *desc;
	/* Adds to what oc_module_describe says of a module that is to run so. */
	void (*describe)(void *arg, const oc_module *module, bool detail, cJSON *o);
} oc_isolator;
/* Before the scan; isolator is static. Without one every module runs in this process. */
void oc_modules_set_isolator(oc_modules *modules, const oc_isolator *isolator, void *arg);
void *oc_modules_isolator_arg(const oc_modules *modules);
/* Whether the configuration wants it in a process of its own. */
bool oc_module_isolated(const oc_module *module);
/* A sealed copy of its file, checked against the pin of a third-party module: a descriptor, the caller's. The file may be
 * replaced while the copy runs. */
oc_status oc_module_copy(oc_module *module, int *ret_fd, oc_err *err);
/* modules.entries.<name>; NULL: there is none. */
const cJSON *oc_module_entry(const oc_module *module);
/* Looks at its file and settings again: hands it new settings when there are any, or starts it anew (one in a process of its
 * own; other code is never unloaded); a quarantine is lifted. done later, as oc_module_start. Refused, with nothing changed: OC_E_STATE, when it is not enabled;
 * OC_E_DENIED, when another file than the one that was enabled lies there. */
oc_status oc_module_reload(oc_module *module, oc_modules_done *done, void *arg, oc_err *err);
/* Its process is over: ends open calls with OC_E_RETRY, then as if it had stopped; the reason stays to be read. It may be
 * started again. */
void oc_module_lost(oc_module *module, const char *reason, const char *remedy);
/* What became of new settings that the isolator's reload took with OC_E_BUSY: OC_OK, OC_E_RESTART, or why they are refused. */
void oc_module_settings_answered(oc_module *module, oc_status status);
/* It is not started again, by this gateway nor the next, until it is enabled anew, or its file changes. */
void oc_module_quarantine(oc_module *module, const char *reason);
/* In the process itself: the one module of a registry without folders, from an open file (taken over) and with the settings
 * as they are. It may run. */
oc_status oc_modules_add_file(oc_modules *modules, int fd, const char *settings, oc_module **ret, oc_err *err);
/* There too: hands it other settings. OC_E_RESTART: it has to begin anew with them. */
oc_status oc_module_new_settings(oc_module *module, const char *settings);
/* Services of other modules that are elsewhere: as oc_host_api.service_call, after the manifest allowed it; done is called once
 * unless they were forgotten, when the module stops. Static. */
typedef struct oc_remote_services {
	oc_status (*call)(void *arg, oc_str service, uint16_t major, oc_str method, oc_str args, uint64_t deadline_ms,
			  void (*done)(void *arg, oc_status status, oc_str result), void *done_arg);
	void (*forget)(void *arg);
} oc_remote_services;
void oc_modules_set_remote_services(oc_modules *modules, const oc_remote_services *remote, void *arg);
/* How many functions the vtable of a kind has. */
uint32_t oc_guest_functions(uint32_t kind);
/* The vtable of a guest, zero-filled where the module's is shorter; its version. */
const void *oc_guest_vtbl(const oc_guest *guest, uint32_t *ret_kind, uint16_t *ret_major, uint16_t *ret_minor);
/* tools() or subscriptions() of a guest that has them, asked now. */
oc_str oc_guest_list(const oc_guest *guest);
/* Figures of one module. */
typedef struct oc_module_stats {
	uint64_t calls_open, calls_started, calls_ok, calls_failed, calls_timed_out, calls_canceled, violations;
	uint64_t bytes, bytes_limit, blocks; /* through host->alloc */
	uint64_t posts;			     /* things other threads posted that wait */
	uint64_t callbacks, callback_ns, callback_max_ns, over_10ms, over_100ms;
} oc_module_stats;
void oc_module_get_stats(const oc_module *module, oc_module_stats *ret);
/* The bounded queues that every module has, by number. */
void oc_modules_queues(oc_modules *modules, oc_fill queues[OC_QUEUE_N]);
/* Those of the module's own (oc_host_api.gauge), one after the other. NULL: no more. */
typedef struct oc_module_gauge {
	char name[32];
	uint64_t depth, capacity;
} oc_module_gauge;
const oc_module_gauge *oc_module_gauge_at(const oc_module *module, size_t i);
/* Hands on what modules say of their queues; for a process that is one module's. */
void oc_modules_on_gauge(oc_modules *modules, void (*fn)(const oc_module_gauge *gauge));
/* What the module did after entry `after`: {"next","lost","entries":[{"seq","ts","what","function"?,"call"?,"ms","bytes",
 * "status"}]}; it is watched until ten seconds after the last reading. what: call (ms: inside the function), done (ms: since the
 * call), timer, fd, post, work. NULL: no memory. */
cJSON *oc_module_trace_read(oc_module *module, uint64_t after);
/* JSON for `module list`, `modules.list` and the dashboard; the caller's. detail: manifest, guests, counts. */
cJSON *oc_modules_describe(oc_modules *modules);
cJSON *oc_module_describe(oc_module *module, bool detail);
/* Calls fn on every change of state, later, from the loop, until oc_modules_off_state with the same arg. Several may listen.
 * OC_E_NOMEM. */
oc_status oc_modules_on_state(oc_modules *modules, void (*fn)(void *arg, oc_module *module), void *arg);
void oc_modules_off_state(oc_modules *modules, void *arg); /* not from inside fn for another's arg */

/* The module whose code runs on this thread now (for crash reports: safe to read in a signal handler), or NULL. */
const oc_module *oc_module_current(void);

/* ---- Guests ---- */

/* Guests stay addressable as long as the registry; a guest whose module does not run answers OC_E_UNAVAILABLE. */
oc_guest *oc_modules_channel(oc_modules *modules, oc_str id);
oc_guest *oc_modules_provider(oc_modules *modules, oc_str api); /* by protocol: "openai-completions" */
oc_guest *oc_modules_service(oc_modules *modules, oc_str name, uint16_t major);
/* Who is in the slot modules.slots.<kind> ("memory", "storage"). *ret_id (may be NULL): what stands there, NULL when nobody
 * was chosen; with NULL returned, the one chosen does not run. */
oc_guest *oc_modules_slot(oc_modules *modules, uint32_t kind, const char **ret_id);
/* The longest prefix of path, cut at a '/'. */
oc_guest *oc_modules_http_match(oc_modules *modules, oc_str path);

typedef struct oc_tool_info {
	const char *name;
	const cJSON *spec; /* one element of tools(): name, description, parameters, group, capabilities, … */
	const char *json;  /* {"name","description","parameters"}, as models are told of it */
	oc_guest *guest;
} oc_tool_info;
/* Tools of running modules, in order of name; the first of two with one name wins. Valid until the next turn of the loop. */
void oc_modules_each_tool(oc_modules *modules, bool (*fn)(void *arg, const oc_tool_info *tool), void *arg);
/* false when there is none. */
bool oc_modules_tool(oc_modules *modules, oc_str name, oc_tool_info *ret);
/* Of a tool that is not there: the module whose manifest names it and that is on its way (new settings, a new file, a crash);
 * NULL: nobody brings it. */
const char *oc_modules_tool_comes(const oc_modules *modules, oc_str name);
/* Tells every tool guest that a session ended. */
void oc_modules_session_end(oc_modules *modules, oc_str info_json);
/* Grows by one whenever a guest came or went: for caches of tool lists. */
uint64_t oc_modules_generation(const oc_modules *modules);

/* Every guest of a kind (0: all) of running modules. */
void oc_modules_each_guest(oc_modules *modules, uint32_t kind, bool (*fn)(void *arg, oc_guest *guest), void *arg);
const char *oc_guest_id(const oc_guest *guest);
oc_module *oc_guest_module(const oc_guest *guest);
bool oc_guest_running(const oc_guest *guest);
uint32_t oc_guest_flags(const oc_guest *guest); /* the vtable's: OC_CHANNEL_*, OC_HTTP_* */
/* Whether a channel guest has edit, action, probe; a provider models, embed. */
bool oc_guest_has(const oc_guest *guest, const char *function);

/* Registers one more guest of a running module (a proxy learns of its plugin's tools only when it starts). It goes with the
 * module's stop. */
oc_status oc_guest_register(oc_module *module, const oc_iface *iface, void *inst, oc_guest **ret, oc_err *err);

/* What manifests say about models and channels, of every module in order and not disabled, running or not. Each element is
 * the manifest's own object with "module" added; the caller's. */
cJSON *oc_modules_known_providers(oc_modules *modules);
cJSON *oc_modules_known_channels(oc_modules *modules);
/* Checks channels.<id> of a configuration that nobody shares yet against the channels' schemas; after a scan. What is wrong
 * becomes the configuration's problems. OC_E_NOMEM. */
oc_status oc_modules_refine(oc_modules *modules, oc_config *config);
oc_status oc_modules_refiner(void *modules, oc_config *config); /* the same as an oc_config_refiner; NULL: nobody has a schema */

/* ---- What the host offers to modules ---- */

/* Hands in a table for oc_host_api.query; it is static. capability (may be NULL): the manifest must ask for it too. */
oc_status oc_modules_provide_service(oc_modules *modules, const char *name, uint16_t major, uint16_t minor,
				     const void *table, const char *capability);
/* Where oc_host_api.secret looks after the manifest allowed the name: OC_OK and a secret buffer, or OC_E_NOT_FOUND. Without
 * a source, or when it does not know the name, the configuration's value at that path is the secret. */
void oc_modules_set_secret_source(oc_modules *modules, oc_status (*fn)(void *arg, oc_str name, oc_buf **ret), void *arg);
/* What the functions of such a table, which get an oc_self, need: the registry, and a pointer left there by name ("agent").
 * NULL when nobody left one. The name is borrowed. */
oc_modules *oc_module_registry(const oc_module *module);
oc_status oc_modules_set_context(oc_modules *modules, const char *name, void *context);
void *oc_modules_context(const oc_modules *modules, const char *name);

#endif
