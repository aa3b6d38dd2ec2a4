/* What the files of core/agent share; nobody else includes this. */
#ifndef OC_AGENT_INTERNAL_H
#define OC_AGENT_INTERNAL_H

#include "core/agent/agent.h"
#include "core/agent/fair.h"
#include "core/agent/map.h"
#include "core/base/clock.h"
#include "core/data/json.h"
#include "core/module/call.h"

typedef struct oc_turn oc_turn;
typedef struct oc_lane oc_lane;
typedef struct oc_channels oc_channels;
typedef struct oc_outbound oc_outbound;
typedef struct oc_waiter oc_waiter;
typedef struct oc_toolrun oc_toolrun;
typedef struct oc_compaction oc_compaction;
typedef struct oc_aside oc_aside;

/* Turns of a class share a limit. */
typedef enum oc_lane_class {
	OC_LANE_MAIN,
	OC_LANE_SUBAGENT,
	OC_LANE_CRON,
	OC_LANE_SUSPECT, /* was running at two crashes of the process: alone, so that the next one names the culprit */
	OC_LANE_CLASSES
} oc_lane_class;
typedef struct oc_lane_room oc_lane_room;

enum {
	OC_AGENT_DIRECT_MAX = 1000,	     /* tools outside turns */
	OC_AGENT_MEMORY_REQUESTS_MAX = 1000, /* searches of memory under way */
	OC_AGENT_EXCHANGES_MAX = 1000,	     /* conversations between sessions (sessions_send) */
	OC_AGENT_OVERHEARD_BYTES_MAX = 2 << 20, /* said in groups without being meant for us */
};

struct oc_agent {
	oc_loop *loop;
	oc_owner *owner;
	oc_config *config;
	oc_store *store;
	oc_modules *modules;
	oc_hooks *hooks;
	char *state_dir;
	bool one_shot, started, draining;
	const oc_agent_commands *commands; /* of others; NULL: none */
	void *commands_arg;
	oc_agent_gateway gateway; /* NULL: none runs */
	void *gateway_arg;
	/* events.c */
	oc_agent_sub *subs;
	unsigned emitting; /* inside a fan-out: what is unsubscribed then is only marked */
	uint64_t event_seq;
	/* lane.c */
	oc_map lanes;
	struct oc_lane_room {
		oc_fair ready; /* lanes whose next turn may start when there is room */
		uint64_t running;
	} classes[OC_LANE_CLASSES];
	/* turn.c */
	oc_map runs, keys; /* turns by run id and by idempotency key */
	oc_waiter *waiters;
	oc_turn *endings; /* turn_end.c: turns whose end must be written, and that had no memory for a timer of their own */
	oc_watch *ending_timer; /* made at the start */
	oc_map direct_runs; /* direct.c: tools executed outside turns */
	/* model.c */
	cJSON *catalog;
	const oc_config *catalog_config;
	uint64_t catalog_generation;
	oc_map cooldowns;
	struct oc_keyring *keyring; /* keyring.c: keys, when there are several of a provider */
	oc_map calibrations; /* budget.c: what a model counts for an estimated token */
	oc_map memories;     /* memory.c: indexes by agent */
	struct oc_memory_request *memory_requests;
	unsigned n_memory_requests;
	struct oc_journal *journal; /* journal.c; NULL: nothing was copied yet */
	struct oc_journal_ask *journal_asks; /* journal_back.c */
	oc_map prune_marks;  /* prune.c: by session */
	/* workspace.c */
	oc_map seeded; /* workspaces looked after by this process */
	oc_map files;  /* of workspaces, as they were read last */
	/* the others' own */
	struct oc_media_folder *media_folders; /* services.c */
	oc_clock_watch media_clock;		/* retention.c */
	uint64_t media_not_before_ms;		/* the clock was set: files are left alone until then */
	oc_channels *channels;
	const cJSON *(*accounts_fn)(void *arg, const char *channel);
	void *accounts_arg;
	oc_outbound *outbound;
	oc_map subagents, subagent_runs; /* subagent.c: by session, and by the run they wait for */
	oc_watch *subagent_sweep;
	struct oc_subagent *subagents_over, *subagents_over_last; /* those that are over, oldest first */
	size_t subagents_n_over;
	uint64_t subagents_spawned, subagents_ok, subagents_failed, subagents_active;
	struct exchange *exchanges; /* session_send.c */
	unsigned n_exchanges;
	oc_map groups; /* inbound.c: what was said in groups without being meant for us */
	size_t groups_bytes;
	oc_map fresh; /* sessions.c: sessions that were begun anew and had no turn since */
	struct oc_cron *cron; /* cron.c; NULL: there is no job */
	bool cron_read;
	struct waiting *hook_waits; /* hookrun.c */
	struct oc_heartbeat *heartbeat; /* heartbeat.c */
	struct oc_http_client *http; /* for webhooks; NULL: there is none */
	struct oc_approvals *approvals; /* approval.c; NULL: nobody asked yet */
	oc_map told; /* routed.c: what is told to sessions, until their next message */
	/* drain */
	void (*drained)(void *arg);
	void *drained_arg;
	oc_watch *drain_timer;
	int drain_stage; /* 0: not, 1: turns and deliveries, 2: channels */
	oc_agent_stats stats;
	oc_agent_timing timing;
	oc_map culprits; /* culprits.c */
};

/* ---- events.c ---- */

void oc_agent_emit(oc_agent *agent, const oc_agent_event *event);
/* An event that is not of a run. Takes data. */
void oc_agent_emit_plain(oc_agent *agent, int type, const char *session, cJSON *data);
void oc_agent_subs_free(oc_agent *agent);

/* ---- sessions.c ---- */

void oc_sessions_free(oc_agent *agent);

/* ---- lane.c: one turn at a time in a session, many sessions at once ---- */

/* Queues the turn at its session. OC_E_BUSY: too many wait there. */
oc_status oc_lane_enter(oc_turn *turn, oc_err *err);
/* The turn is committed: it may start when it is its turn. */
void oc_lane_ready(oc_turn *turn);
/* It is over, or was never begun. The next one starts later, from the loop. */
void oc_lane_leave(oc_turn *turn);
/* Starts what may start. */
void oc_lane_pump(oc_agent *agent);
/* The session's turns, the running one first; fn may end them. */
int oc_lane_each(oc_agent *agent, const char *session, void (*fn)(void *arg, oc_turn *turn), void *arg);
oc_turn *oc_lane_running(oc_agent *agent, const char *session);
bool oc_lane_is_first(const oc_turn *turn);
/* It is, and would begin if it were ready now. */
bool oc_lane_has_room(const oc_turn *turn);
/* How many wait in the session. */
int oc_lane_waiting(oc_agent *agent, const char *session);
/* "subagent", "cron"; NULL: main, both ways. */
oc_lane_class oc_lane_class_of(const char *name);
const char *oc_lane_class_name(oc_lane_class class);
void oc_lanes_free(oc_agent *agent);
/* For oc_agent_queues. */
void oc_lanes_fill(oc_agent *agent, oc_fill *queues);

/* ---- agents ---- */

/* The agent's own member of agents.list, or NULL. */
const cJSON *oc_agent_entry(const oc_config *config, const char *agent_id);
/* It is listed, or the default one, which need not be. */
bool oc_agent_is_known(const oc_config *config, const char *agent_id);
const char *oc_agent_main_key(const oc_config *config);
/* Absolute; oc_free it. */
char *oc_agent_workspace(oc_agent *agent, const oc_config *config, const char *agent_id);
char *oc_agent_workspace_in(const char *state_dir, const oc_config *config, const char *agent_id);
/* agents.list[].<path> when set, else agents.defaults.<path>. */
const cJSON *oc_agent_setting(const oc_config *config, const char *agent_id, const char *path);

/* ---- turn.c, as others need it ---- */

typedef struct oc_inbox_ref {
	const char *channel, *account, *chat, *message_id;
} oc_inbox_ref;

/* A run of the store that is taken up (recover.c). */
typedef struct oc_recovery {
	const char *run;
	unsigned attempts;
	const cJSON *input;
	bool resumed; /* its message, and what came of it, is in the history */
} oc_recovery;

/* As oc_agent_submit, for messages of channels: the inbox row is written with it. committed (may be NULL) is called with
 * OC_OK when it is stored or was a duplicate. */
oc_status oc_turn_submit(oc_agent *agent, const oc_turn_input *input, const oc_inbox_ref *inbox,
			 void (*committed)(void *arg, oc_status status), void *committed_arg,
			 const oc_recovery *recovery_or_null, oc_run_ref *ret, oc_err *err);
void oc_turn_begin(oc_turn *turn);
/* Asks it to end with that status, later from the loop. why: for people. */
void oc_turn_cancel(oc_turn *turn, oc_status status, const char *why);
/* Ends waits with this run. */
void oc_waiters_tell(oc_agent *agent, const char *run, const cJSON *result);
void oc_waiters_free(oc_agent *agent);
/* Ends every turn at once, without waiting or telling. */
void oc_turns_free(oc_agent *agent);
void oc_direct_free(oc_agent *agent);
/* Called when a turn or a delivery ended: completes a drain. */
void oc_agent_check_drained(oc_agent *agent);

/* ---- usage.c ---- */

int64_t oc_tokens_of(oc_str text);

/* ---- hookrun.c ---- */

void oc_hook_runs_free(oc_agent *agent);

/* ---- hooks ---- */

/* Fires an observing hook; payload is made only when somebody listens. Takes payload. */
#define oc_agent_observe(agent, hook, payload)                                          \
	do {                                                                            \
		if (oc_hooks_wanted((agent)->hooks, hook))                              \
			(void)oc_hooks_fire((agent)->hooks, hook, payload, NULL, NULL, NULL); \
	} while (0)
/* The error hook: where ("turn", "tool", "delivery"), what, and whose. */
void oc_agent_error(oc_agent *agent, const char *where, const char *session, const char *run, const oc_err *err);

#endif
