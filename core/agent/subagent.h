/*
 * Sub-agents: turns that a turn starts in the background, each in a session of its own (agent:<id>:subagent:<uuid>).
 *
 * When a sub-agent's work is over, and that of those it started, its result becomes a message to the session that asked
 * for it (the requester), which answers as to any message.  What has been started is in the store before anybody is told;
 * the announcement is a turn with an idempotency key made of the child's session and run: kill -9 at any moment loses none
 * and makes none twice.  One record a sub-agent stays in memory until it is archived.  Loop thread only.
 */
#ifndef OC_AGENT_SUBAGENT_H
#define OC_AGENT_SUBAGENT_H

#include "core/agent/turn.h"

enum {
	OC_SUBAGENT_TASK_MAX = 256 << 10,
	OC_SUBAGENT_FINDINGS_MAX = 64 << 10, /* bytes of a result that the requester gets */
	OC_SUBAGENTS_MAX = 5000,	     /* records */
	OC_SUBAGENTS_OVER_MAX = 500,	     /* of those that are over: the oldest is forgotten */
};

typedef enum oc_subagent_state {
	OC_SUBAGENT_STARTING = 1, /* its record is being committed */
	OC_SUBAGENT_RUNNING,
	OC_SUBAGENT_ENDED,  /* its work is over; waits for its own sub-agents, or to be announced */
	OC_SUBAGENT_TELLING, /* the announcement's turn is accepted */
	OC_SUBAGENT_OVER
} oc_subagent_state;

typedef struct oc_subagent {
	oc_map_node by_key; /* agent->subagents, by the child's session */
	oc_map_node by_run; /* agent->subagent_runs, by its own run, then by its announcement's */
	struct oc_subagent *over_next; /* those that are over, oldest first */
	oc_agent *agent;
	char key[OC_SESSION_KEY_MAX];
	char requester[OC_SESSION_KEY_MAX];
	char id[37];   /* the key's last part */
	char run[37], announce_run[37];
	char trace[OC_TRACE_MAX]; /* the requester's: what it does belongs to the same */
	char agent_id[65];
	char label[129], model[129], thinking[17];
	char *task;
	cJSON *origin; /* where the requester's conversation is: {"channel","account","to","thread"?}, or NULL */
	int depth;     /* 1: started by a session of a person */
	oc_subagent_state state;
	bool cleanup_delete, session_mode;
	bool killed;  /* nobody wants to hear of it */
	bool telling; /* who asked is being told */
	bool thread;  /* its conversation is a thread of the channel's */
	bool fork;    /* it begins with what was said in the requester's */
	bool forked;  /* and that is in the store */
	bool counted; /* among the active */
	unsigned attempts;
	char outcome[8]; /* ok, error, timeout, killed */
	char *findings;	 /* the last words of its session, or what went wrong */
	int64_t created_ms, ended_ms;
	uint64_t timeout_ms;
	/* Used up by it and by all it started; limits of that, 0: none. */
	int64_t input, output;
	double cost;
	int64_t max_tokens;
	double max_cost;
	unsigned tell_attempts;
	oc_watch *retry;
	void (*spawned)(void *arg, struct oc_subagent *sub, oc_status status, const oc_err *err);
	void *spawned_arg;
} oc_subagent;

typedef struct oc_subagent_spawn {
	const char *requester, *requester_agent; /* session and agent that ask */
	const cJSON *origin;			 /* where an answer of the requester goes, or NULL */
	oc_str task;
	const char *label, *agent_id, *model, *thinking; /* "" when not told */
	int64_t timeout_s;				 /* -1: the configuration's */
	bool cleanup_delete, session_mode, thread, fork;
	const char *run, *call_id; /* the tool call: asked again for the same, the same one is meant. "": none */
	/* Once, later. err: why it was refused. */
	void (*done)(void *arg, oc_subagent *sub, oc_status status, const oc_err *err);
	void *arg;
} oc_subagent_spawn;

/* ---- For tools and commands ---- */

/* OC_E_DENIED: the limits or lists of the configuration do not allow it. */
oc_status oc_subagent_start(oc_agent *agent, const oc_subagent_spawn *spawn, oc_err *err);
/* NULL when the session is none, or an archived one. */
oc_subagent *oc_subagent_find(oc_agent *agent, const char *session);
/* 0: not a sub-agent's session. */
int oc_subagent_depth(oc_agent *agent, const char *session);
int oc_subagent_max_depth(const oc_config *config);
bool oc_subagent_active(const oc_subagent *sub);
/* Those a session started, oldest first: an array of pointers to be freed with oc_free; NULL when there are none. */
oc_subagent **oc_subagents_of(oc_agent *agent, const char *requester, size_t *ret_n);
/* Whether `session` is, at any distance, started by `ancestor`. */
bool oc_subagent_descends(oc_agent *agent, const char *session, const char *ancestor);
/* Ends it and all it started; they announce nothing. */
void oc_subagent_kill(oc_subagent *sub);
/* All that a session started. Returns how many were running. */
int oc_subagents_kill(oc_agent *agent, const char *requester);
/* The slash command; oc_free it. */
char *oc_subagents_command(oc_turn *turn, oc_str rest);

/* ---- For the turn ---- */

/* A turn's result is final and in the store. */
void oc_subagents_turn_over(oc_turn *turn, oc_status status, const cJSON *result);
/* A model call was paid for: of a sub-agent's turn it counts against the limits. */
void oc_subagents_usage(oc_turn *turn, const oc_usage *usage);
/* A session was ended, reset or deleted: what it started is stopped. reason: "session-reset", "session-delete"; NULL: a
 * message began it anew, which observers of sub-agents do not hear. */
void oc_subagents_session_over(oc_agent *agent, const char *session, const char *reason);
/* Whether the session is a sub-agent's: "agent:…:subagent:…". */
bool oc_subagent_key(const char *session);

/* ---- Between the files of sub-agents ---- */

/* Into the lists. */
void oc_subagent_add(oc_agent *agent, oc_subagent *sub);
/* Of one that is in no list. */
void oc_subagent_free(oc_subagent *sub);
/* Writes the record, then starts its run. */
void oc_subagent_commit(oc_subagent *sub);

/* Writes the record; to be called after every change of what must outlive the process. */
void oc_subagent_save(oc_subagent *sub, oc_batch *batch);
/* Puts what the requester's conversation has, as far as session.parentForkMaxTokens allows, into the sub-agent's. */
oc_status oc_subagent_fork(oc_subagent *sub, oc_batch *batch, oc_err *err);
/* Takes it out of the store and of memory. */
void oc_subagent_forget(oc_subagent *sub);
/* Its own run is over, or can never be. */
void oc_subagent_end(oc_subagent *sub, const char *outcome, const char *findings);
/* Announces it when everything it waits for is over. */
void oc_subagent_consider(oc_subagent *sub);
/* What the system prompt says to a sub-agent; oc_free it. */
char *oc_subagent_rules(const oc_subagent *sub);
/* Records that need not be kept are forgotten, later. */
void oc_subagents_sweep_soon(oc_agent *agent);
/* {"runId","childSessionKey","requesterSessionKey"}. */
cJSON *oc_subagent_hook_context(const oc_subagent *sub);
/* {"channel","accountId"?,"to"?,"threadId"?}. */
cJSON *oc_subagent_hook_origin(const oc_subagent *sub);
/* An agents.list[].subagents.<name>, else agents.defaults.subagents.<name>. */
const cJSON *oc_subagent_setting(const oc_config *config, const char *agent_id, const char *name);

/* ---- For the agent ---- */

/* After what was left running was taken up. */
void oc_subagents_recover(oc_agent *agent);
void oc_subagents_free(oc_agent *agent);

#endif
