/* One TypeScript plugin, as the files of ipc-bridge see it; nobody else includes this. */
#ifndef OC_BRIDGE_PLUGIN_H
#define OC_BRIDGE_PLUGIN_H

#include "core/module/call.h"
#include "core/security/process.h"
#include "ipc-bridge/bridge.h"
#include "ipc-bridge/intake.h"
#include "ipc-bridge/output.h"
#include "ipc-bridge/peer.h"
#include "ipc-bridge/use.h"

typedef enum oc_plugin_phase {
	OC_PLUGIN_DOWN = 1,
	OC_PLUGIN_STARTING, /* spawned, until its registrations came */
	OC_PLUGIN_UP,
	OC_PLUGIN_ENDING,  /* the connection is gone, the process not yet */
	OC_PLUGIN_STOPPING /* we asked it to end */
} oc_plugin_phase;

/* What waits for the process to be up. */
enum { OC_PLUGIN_WAITS_MAX = 4096 /* calls that wait for its process to begin */ };
typedef struct oc_plugin_wait {
	struct oc_plugin_wait *next;
	void (*fn)(void *arg, oc_status status, const char *why);
	void *arg;
} oc_plugin_wait;

typedef struct oc_passing oc_passing;
typedef struct oc_plugin_hook oc_plugin_hook;
typedef struct oc_plugin_channel oc_plugin_channel;
typedef struct oc_plugin_engine oc_plugin_engine;

struct oc_plugin {
	oc_plugin *next;
	oc_bridge *bridge;
	/* What it is (discover.c). */
	char *id, *name, *version, *root, *entry;
	const char *origin; /* "config", "workspace", "global"; static */
	cJSON *manifest;    /* NULL: none that can be used */
	cJSON *config;      /* its own part, checked, defaults filled in */
	char *key;	    /* of its contents and configuration: the snapshot is good for this */
	bool enabled;
	char *group;	  /* whose process it shares; NULL: it has one of its own */
	char *why;	  /* it is disabled or in error: the reason; NULL */
	char *remedy;	  /* NULL */
	bool broken;	  /* the reason is an error */
	char *quarantine; /* why it is left alone; NULL: it is not */
	char *failure;	  /* why its code did not load, as long as nothing about it changed; NULL: it did, or was not tried */
	bool probing, withdrawing;
	bool presented; /* what the snapshot says is there to be used; it may be hooks only, without a module */
	bool seen, gone;  /* found by the last look; not there any more */
	/* What it registered. */
	cJSON *snapshot; /* NULL: not known yet */
	bool outdated;	 /* the snapshot is of before a change: it stands until its process, which is asked anew, says what there is now */
	oc_module *module;
	oc_module_desc desc;
	oc_iface ifaces[1];
	char *module_name, *tools_json;
	oc_passing *passing; /* tool calls under way */
	oc_plugin_hook *hooks, *hooks_before; /* before: while it is shown anew */
	oc_plugin_channel *channels;
	oc_plugin_engine *engines;
	const oc_channel_host *channel_host; /* NULL: its module was not started */
	/* Its process (process.c). */
	oc_plugin_phase phase;
	oc_owner *owner;
	oc_proc *proc;
	oc_peer *peer;
	uint32_t epoch; /* of the process: grows with each */
	oc_intake intake;
	oc_plugin_wait *waits, **waits_tail;
	unsigned n_waits;
	unsigned failures; /* in a row */
	uint64_t started_ms, not_before_ms; /* monotonic */
	oc_watch *retry, *patience; /* its next start; how long its end may take */
	char *ended; /* its process is gone while its connection is not: how it ended */
	cJSON *missing;	 /* what it asked for and did not get: {"sdk":[…],…} */
	cJSON *troubles; /* [{"kind","count","last","at"}], NULL: none */
	/* Its output (output.c), its memory, and what it computes (watchdog.c). */
	oc_output output;
	uint64_t memory;
	oc_busy busy;
	oc_watch *watchdog;
	/* service.c */
	unsigned service_next; /* the first of its services that was not asked to start in this process */
	bool service_starting, services_asked; /* a start is under way; they were asked to stop */
	bool greeted; /* it was told gateway_start in this process */
};

struct oc_bridge {
	oc_loop *loop;
	oc_owner *owner;
	oc_config *config;
	oc_modules *modules;
	oc_hooks *hooks;
	oc_procs *procs;
	char *state, *node_dir, *node;
	oc_plugin *plugins;
	bool started, stopping;
	bool waiting; /* plugins have not been looked at yet: oc_bridge_need */
	char *key;    /* of all plugins and their configuration, from before they were looked at; NULL: not known */
	int port; /* that the gateway answers on */
	const oc_bridge_host *host;
	void *host_arg;
	unsigned stop_pending, n_behind; /* plugins of whose calls and notes some wait */
	uint64_t services_until; /* monotonic; until when services may stop, 0: not asked yet */
	void (*stop_done)(void *arg);
	void *stop_arg;
};

/* What it registers in its present state is known. */
static inline bool oc_plugin_known(const oc_plugin *plugin)
{
	return plugin->snapshot != NULL && !plugin->outdated;
}

/* What it registered is there to be used. */
static inline bool oc_plugin_offers(const oc_plugin *plugin)
{
	return plugin->enabled && plugin->snapshot != NULL;
}

/* ---- discover.c ---- */

/* Finds the plugins of the configuration's folders; what is known already stays. */
oc_status oc_plugins_discover(oc_bridge *bridge, oc_err *err);
/* Decides about each of them from the configuration and checks its settings. */
void oc_plugins_decide(oc_bridge *bridge);
void oc_plugin_free(oc_plugin *plugin);
void oc_plugin_refuse(oc_plugin *plugin, const char *remedy, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The name of the module that stands for a plugin; oc_free it. */
char *oc_plugin_module_name(const char *id);

/* ---- quarantine.c ---- */

/* Refuses it until it is enabled anew, or its key is another. keep: in the next gateway, too; else, as it is not the plugin's
 * fault, until any change of the configuration. */
void oc_plugin_quarantine(oc_plugin *plugin, const char *reason, bool keep);
/* Whether its key is still in quarantine: then it is refused (again). */
bool oc_plugin_recall(oc_plugin *plugin);

/* Its code did not load: that stands while it is the same plugin, until it is enabled anew; the next gateway tries. */
void oc_plugin_failed(oc_plugin *plugin, const char *why);
/* Whether it still does: then it is refused (again). */
bool oc_plugin_stays_failed(oc_plugin *plugin);

/* ---- group.c ---- */

/* Who shares the process of whom, as the configuration says. */
void oc_groups_decide(oc_bridge *bridge);
/* All of its group, itself included, one after the other (after NULL: the first); NULL: no more. */
oc_plugin *oc_group_next(const oc_plugin *plugin, oc_plugin *after);
/* The same for those who sit in its process now, whatever the configuration says; itself when it has none. */
oc_plugin *oc_group_sharing(const oc_plugin *plugin, oc_plugin *after);

/* ---- snapshot.c ---- */

/* The key of what the plugin's folder, manifest and configuration hold now; oc_free it. */
char *oc_plugin_key(const oc_plugin *plugin);
/* Takes what is kept for this key, if anything. */
void oc_snapshot_load(oc_plugin *plugin);
void oc_snapshot_save(oc_plugin *plugin);
/* The key of what all plugins and the configuration about them are now; oc_free it. */
char *oc_plugins_key(const oc_bridge *bridge);
/* Whether with this key nobody had to run unless asked: then nothing of them needs to be known until something happens. */
bool oc_plugins_were_quiet(const oc_bridge *bridge, const char *key);
/* Remembers whether they are quiet now, under bridge->key. */
void oc_plugins_note_quiet(const oc_bridge *bridge);

/* ---- reads.c: what a plugin may read besides its own folder ---- */

enum { OC_PLUGIN_READS_MAX = 24 };
typedef struct oc_plugin_reads {
	const char *path[OC_PLUGIN_READS_MAX + 1]; /* ends with NULL */
	char *made[OC_PLUGIN_READS_MAX];	   /* those among them that are ours */
	size_t n, made_n;
} oc_plugin_reads;
void oc_plugin_reads_add(oc_plugin_reads *reads, const oc_plugin *plugin);
void oc_plugin_reads_free(oc_plugin_reads *reads);

/* ---- process.c ---- */

/* The plugin's sandbox around one of our scripts. */
typedef struct oc_plugin_launch {
	const char *script;    /* of the JavaScript side */
	const char *folder;    /* that it may write to besides its own */
	const char *read;      /* that it may read besides, and where it runs; NULL: none, in its root */
	const char *env[5];    /* further NAME=value; ends with NULL */
	bool together;	       /* for all of its group */
	uint32_t flags;	       /* OC_PROC_* */
	void (*on_output)(void *arg, uint32_t stream, oc_str data);
	void (*on_exit)(void *arg, oc_status status, int exit_code, int signal, oc_str message);
	void *arg;
} oc_plugin_launch;
oc_status oc_plugin_spawn(oc_plugin *plugin, const oc_plugin_launch *launch, oc_proc **ret, oc_err *err);
enum { OC_PLUGIN_LINES_MAX = 64 * 1024 };
/* Listens for a process that is about to be started: plugin->peer, on a socket in folder (made). lines gets what the process
 * finds it by, a line each: the socket, a secret, the plugin's id. */
oc_status oc_plugin_line_open(oc_plugin *plugin, char *folder, const oc_peer_events *events, void *arg, oc_sbuf *lines, oc_err *err);
/* Of the call `init`; folder: where its sockets go. oc_free it. */
char *oc_plugin_init_params(const oc_plugin *plugin, const char *folder);

/* Calls fn, later, once the process is up (status OC_OK) or cannot be had (why). OC_E_NOMEM: not called. */
oc_status oc_plugin_wake(oc_plugin *plugin, void (*fn)(void *arg, oc_status status, const char *why), void *arg);
/* Ends it: asks, then signals. Open calls end with OC_E_RETRY. */
void oc_plugin_halt(oc_plugin *plugin);
/* Without waiting. */
void oc_plugin_kill(oc_plugin *plugin);
/* It has something that works without being asked. */
bool oc_plugin_must_run(const oc_plugin *plugin);

/* ---- skills.c ---- */

/* Says where the skills of enabled plugins are. */
void oc_plugins_publish_skills(const oc_bridge *bridge);

/* ---- service.c ---- */

/* The process is up (new_process), or the gateway answers: starts what is not started. */
void oc_plugin_services_start(oc_plugin *plugin, bool new_process);
/* Stops the services of all plugins, the last first, then oc_bridge_halt_all (bridge.c). */
void oc_bridge_services_stop(oc_bridge *bridge);
void oc_bridge_halt_all(oc_bridge *bridge);

/* ---- proxy.c ---- */

/* gateway_start: to each new process, when its services run. (The core's firing of it comes before most plugins are there,
 * and a process that is started anew has to hear it again.) */
void oc_plugin_greet(oc_plugin *plugin);
/* Makes what the snapshot says available (again): tools as a module, hooks. */
oc_status oc_plugin_present(oc_plugin *plugin, oc_err *err);
void oc_plugin_withdraw(oc_plugin *plugin);

/* ---- channel.c ---- */

/* Whether it needs a module for other reasons than tools; what the module's manifest says of channels and providers. */
bool oc_plugin_has_guests(const oc_plugin *plugin);
void oc_plugin_describe_guests(const oc_plugin *plugin, cJSON *manifest);
/* The module starts: its channels become guests. */
oc_status oc_plugin_channels_register(oc_plugin *plugin, oc_err *err);
void oc_plugin_channels_free(oc_plugin *plugin);
/* The module has stopped: no account is wanted any more. */
void oc_plugin_channels_forget(oc_plugin *plugin);
/* Its process is up (again), before anything else is asked of it; it is gone. */
void oc_plugin_channels_up(oc_plugin *plugin);
void oc_plugin_channels_down(oc_plugin *plugin);
/* What it says of an account; which accounts there are. */
void oc_plugin_channel_status(oc_plugin *plugin, const cJSON *params);
void oc_plugin_channel_accounts(oc_plugin *plugin, const cJSON *params);

/* ---- engine.c ---- */

void oc_plugin_engines_register(oc_plugin *plugin);
void oc_plugin_engines_free(oc_plugin *plugin);

/* ---- view.c ---- */

/* Tells its process the configuration as it is now. */
void oc_plugin_tell_config(oc_plugin *plugin);

/* ---- intake.c ---- */

/* A call or a notification of its process: oc_plugin_called or oc_plugin_noted, now or in its turn. */
void oc_plugin_take(oc_plugin *plugin, const oc_frame *frame);
/* An event of one of our calls: fn, unless that is too much now. */
void oc_plugin_take_event(oc_plugin *plugin, void (*fn)(void *arg, uint32_t type, oc_str payload), void *arg, uint32_t type, oc_str payload);
/* Its process is gone: what waited is dropped. */
void oc_intake_end(oc_plugin *plugin);

/* ---- hostcall.c ---- */

/* Remembered for `plugins doctor`: what the plugin did wrong, a row a kind. */
void oc_plugin_trouble(oc_plugin *plugin, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, once a name: what it asked for and did not get. */
void oc_plugin_lacks(oc_plugin *plugin, const char *kind, const char *name);
/* A call and a notification of the plugin. */
void oc_plugin_called(oc_plugin *plugin, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms);
void oc_plugin_noted(oc_plugin *plugin, oc_str name, oc_str payload);

#endif
