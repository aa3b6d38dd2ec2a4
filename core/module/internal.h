/* What the files of core/module share; nobody else includes it. */
#ifndef OC_MODULE_INTERNAL_H
#define OC_MODULE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/module/call.h"
#include "core/module/loader.h"
#include "core/module/module.h"

enum {
	OC_INIT_BUDGET_MS = 50,
	OC_POSTS_MAX = 1024,       /* waiting, a module */
	OC_WATCHES_MAX = 4096,     /* a module */
	OC_WORKS_MAX = 1024,	   /* in the pool or waiting for it, a module */
	OC_GAUGES_MAX = 16,	   /* queues of its own that a module tells the levels of */
	OC_START_DEADLINE_MS = 30000,
	OC_STOP_DEADLINE_MS = 5000,
	OC_LOG_LINES_A_SECOND = 100,
	OC_LOG_LINE_MAX = 4096,
};

/* ---- Circular lists ---- */

typedef struct oc_list {
	struct oc_list *prev, *next;
} oc_list;

static inline void oc_list_init(oc_list *l)
{
	l->prev = l->next = l;
}

static inline void oc_list_add(oc_list *head, oc_list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void oc_list_remove(oc_list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = l;
}

static inline bool oc_list_empty(const oc_list *head)
{
	return head->next == head;
}

#define OC_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- Handles: what modules get instead of addresses ---- */

/* A handle is a number in a pointer: index and generation. Looking up a stale or invented one gives NULL. [loop] */
enum { OC_HANDLE_CALL = 1, OC_HANDLE_WATCH = 2 };
void *oc_handle_new(unsigned kind, void *object); /* NULL when out of memory */
void *oc_handle_get(const void *handle, unsigned kind);
void oc_handle_free(const void *handle);
void oc_handles_trim(void); /* gives the table back when no handle is left */

/* ---- Being inside a module ---- */

/* Brackets every call into a module's code: marks the thread for crash reports, times the loop thread. */
typedef struct oc_visit {
	const oc_module *before;
	uint64_t entered;
	unsigned depth;
	bool timed;
} oc_visit;

oc_visit oc_visit_begin(oc_module *module);           /* [loop] */
oc_visit oc_visit_begin_at(oc_module *module, uint64_t now_ns); /* [loop] by a clock that was just read */
oc_visit oc_visit_begin_untimed(oc_module *module);   /* [loop] for callbacks that core/loop times already */
void oc_visit_end(oc_module *module, oc_visit visit); /* [loop] */
oc_visit oc_visit_mark(const oc_module *module);      /* [any] the mark alone */
/* The name of the vtable function that runs on this thread now; NULL: another callback. For crash reports. */
extern _Thread_local const char *oc_visit_name; /* static */
static inline const char *oc_visit_call(void)
{
	return oc_visit_name;
}

static inline void oc_visit_set_call(const char *name)
{
	oc_visit_name = name;
}

void oc_visit_unmark(oc_visit visit);
/* Host code that a module called runs now: for its time nobody is marked. */
oc_visit oc_visit_host(void);
/* Every callback of the module's owner is a visit from now on. */
void oc_visit_guard(oc_module *module);
/* The host's own business in a callback that merely carries the module's owner, to be swept with it: nobody is visited. */
oc_visit oc_visit_aside(void);
void oc_visit_return(oc_visit visit);
bool oc_visit_inside(void); /* [loop] a module's function is on the stack */

/* ---- Modules ---- */

/* One request to start or stop modules; done is called when all of them have. */
typedef struct oc_batch {
	oc_modules *registry;
	oc_modules_done *done;
	void *arg;
	unsigned pending, ok, failed;
	struct oc_batch *next; /* modules->over */
} oc_batch;

typedef struct oc_module_counts {
	uint64_t started, ok, failed, timed_out, canceled, violations;
} oc_module_counts;

typedef struct oc_module_trace oc_module_trace;

struct oc_self {
	oc_modules *registry;
	atomic_uint refs; /* the registry's, and one for each thing posted or in the pool */
	char *name, *path;
	const char *origin; /* static */
	bool bundled, own_tree;
	bool seen;    /* by the scan under way */
	bool bad;     /* the file or its manifest is not in order */
	bool enabled; /* the configuration wants it */
	bool start_failed; /* REFUSED by what happened when it was started */
	dev_t dev;
	ino_t ino;
	oc_manifest *manifest; /* NULL: could not be read */
	oc_module_state state;
	char *reason, *remedy;
	bool state_event_waiting;
	struct oc_pin {
		int64_t size, mtime_ns, ctime_ns;
		char sha[65]; /* of the file with these marks; "": not made yet */
	} pin;

	oc_module_file file; /* fd open while it may be loaded, and as long as it is */
	const oc_module_desc *linked; /* oc_modules_add */
	oc_module_desc desc;          /* a copy, zero-filled; name NULL: not opened */
	void *inst;
	bool inited;
	bool threads_told; /* that it has threads it did not announce */
	bool ended; /* the host takes nothing new from it: between the last call and fini */
	oc_owner *owner; /* NULL without a loop */
	char *config;    /* JSON text as handed to init or reload */
	char *handing;   /* that its process was asked to take instead; NULL */
	uint64_t init_us;

	atomic_uint instance; /* grows with each fini: what was posted for an earlier one is dropped */
	atomic_uint posts;
	atomic_size_t bytes, peak, limit;
	atomic_uint blocks;
	_Atomic uint64_t log_second;
	atomic_uint log_lines;

	oc_module_trace *trace; /* NULL: nobody watches */
	bool isolate;	/* the configuration wants it in a process of its own */
	bool isolated;	/* what was opened last stands for such a process */
	bool replaced;	/* its file is another than the one its process has */
	char *verdict;	/* why its process is not started again; NULL: it may be */
	bool verdict_kept; /* the list of core/module/crash.h has it */
	char *unused;	/* why the configuration's settings are not those it runs with; NULL: they are */
	char *handed;	/* settings from outside, instead of the configuration's (oc_modules_add_file) */

	oc_list calls;    /* oc_slot.in_module */
	oc_list requests; /* service calls it made */
	oc_list watches;  /* timers and descriptors it has */
	unsigned n_calls, n_works, n_watches;
	oc_module_counts counts;

	oc_module_gauge *gauges; /* OC_GAUGES_MAX of them; NULL: none */
	char last_error[256]; /* what it logged as an error while starting */
	oc_batch *batch;      /* who waits for the change of state that is under way */
	bool in_batch_start;  /* initialised, waits for the services it needs */
	bool in_batch_stop;   /* waits for those that need it */
	bool stop_answered;   /* its stop completed, or there is none */
	bool again;           /* to be started when it has stopped */
	bool fini_due;        /* everything ended but work in the pool */
	oc_watch *stop_timer;
	uint64_t stop_ms;
};

struct oc_guest {
	oc_guest *next;
	oc_module *module;
	uint32_t kind;
	uint16_t ver_major, ver_minor;
	char *id;
	void *inst;
	bool running;
	oc_vtbl vtbl;
	cJSON *spec; /* tools() once it was asked */
	bool spec_asked;
	oc_hook_sub **subs; /* of a running hook guest */
	size_t n_subs;
};

typedef struct oc_service_row {
	struct oc_service_row *next;
	char *name, *capability;
	uint16_t major, minor;
	const void *table;
} oc_service_row;

typedef struct oc_context_row {
	struct oc_context_row *next;
	char *name;
	void *context;
} oc_context_row;

typedef struct oc_state_row {
	struct oc_state_row *next;
	void (*fn)(void *arg, oc_module *module);
	void *arg;
} oc_state_row;

typedef struct oc_tool_row {
	oc_tool_info info;
	char *json;
} oc_tool_row;

/* tools.c: frees the table of tools. */
void oc_tools_free(oc_modules *modules);

struct oc_modules {
	oc_loop *loop; /* NULL: only for looking */
	oc_owner *owner;
	oc_watch *deadlines; /* of calls; NULL: there was none yet */
	uint64_t next_deadline; /* when it goes off; UINT64_MAX: it does not */
	oc_config *config;
	oc_hooks *hooks;
	char *module_dir, *user_dir, *search_path;
	bool no_static, static_added, build_tree, safe_mode;
	bool shared_dir; /* in module_dir lie other people's modules too */
	bool freeing, go_waiting;
	oc_batch *over; /* their done callbacks come with the next turn */
	size_t memory_limit;
	oc_module **list; /* in order of name */
	size_t n, cap;
	oc_guest *guests;
	uint64_t generation, tools_generation;
	oc_tool_row *tools; /* sorted by name, valid for tools_generation */
	size_t n_tools;
	bool tools_valid;
	oc_service_row *services;
	oc_context_row *contexts;
	oc_status (*secret_fn)(void *arg, oc_str name, oc_buf **ret);
	void *secret_arg;
	void (*on_gauge)(const oc_module_gauge *gauge); /* NULL: nobody else wants to know */
	oc_state_row *on_state;
	const oc_isolator *isolator; /* NULL: everything runs in this process */
	void *isolator_arg;
	const oc_remote_services *remote; /* NULL: other modules are here */
	void *remote_arg;
};

/* registry.c */
oc_module *oc_module_new(oc_modules *modules, const char *name, const char *path, const char *origin);
void oc_module_free(oc_module *module); /* and unref */
void oc_module_unref(oc_module *module);
oc_status oc_modules_insert(oc_modules *modules, oc_module *module);
void oc_modules_remove(oc_modules *modules, oc_module *module);
void oc_module_set_state(oc_module *module, oc_module_state state, const char *reason, const char *remedy);
void oc_module_refuse(oc_module *module, const oc_err *err);

/* scan.c: opens the file (again) and reads its manifest; REFUSED when either is not in order. */
void oc_module_inspect(oc_module *module);

/* policy.c */
/* A value of the configuration; NULL when it or the configuration is not there. */
const cJSON *oc_modules_setting(const oc_modules *modules, const char *path);
/* Decides about every module of a name (NULL: about all) from the configuration: REFUSED, DISABLED or VERIFIED; of those that
 * run only `enabled`. */
void oc_policy_apply(oc_modules *modules, const char *name);
oc_status oc_policy_mark(oc_module *module, char out[65], oc_err *err); /* the hash of its file, kept as long as that is the same */
/* The module's settings as JSON text, secrets left out, defaults filled in, checked against its schema. */
oc_status oc_policy_config(const oc_module *module, char **ret, oc_err *err);

/* guest.c */
oc_status oc_guest_add(oc_module *module, const oc_iface *iface, void *inst, oc_guest **ret, oc_err *err);
/* All of a module's guests begin or end to be used. */
void oc_guests_open(oc_module *module);
void oc_guests_shut(oc_module *module);
void oc_guests_changed(oc_module *module); /* after a reload: tool lists are asked for again */
void oc_guests_free(oc_modules *modules, const oc_module *module); /* NULL: of all */
/* Whether a module offers a service that another one's manifest asks for. */
bool oc_module_serves(const oc_module *module, const oc_module *other);

/* lifecycle.c */
void oc_module_take_settings(oc_module *module, oc_modules_done *done, void *arg); /* as they are now, when they are others */
oc_status oc_module_hand_settings(oc_module *module, char *text); /* takes text; as reload, OC_E_BUSY: the answer comes */
void oc_module_kill(oc_module *module); /* ends it without waiting */
void oc_module_idle(oc_module *module); /* its work in the pool returned */

/* hostapi.c */
const oc_host_api *oc_host_table(void);
/* Ends what a module has open with the host: timers, descriptors, service calls. */
void oc_host_release(oc_module *module);

/* trace.c, only while module->trace is set. what, fn: static. began_ns 0: took no time. */
void oc_trace_add(oc_module *module, const char *what, const char *fn, const oc_call *call, uint64_t began_ns, size_t bytes,
		  oc_status status);

/* call.c */
/* Everything of a module that is still open ends now: callers get status. */
void oc_calls_end(oc_module *module, oc_status status, const char *message);
void oc_calls_cancel(oc_module *module);
void oc_calls_trim(void); /* gives back what is kept for the next calls */
/* Whether this is the loop thread; complains in the name of the module whose code runs. [any] */
bool oc_call_thread(const char *what);

oc_status oc_call_start(oc_module *module, oc_guest *guest, oc_fn fn, const oc_call_args *args,
			const oc_call_options *options, oc_call **ret);

#endif
