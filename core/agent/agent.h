/*
 * The agent: takes messages, runs turns, keeps sessions.
 *
 * One turn at a time in a session, many sessions at once (agents.defaults.maxConcurrent).  A turn: the message is
 * committed, hooks, context, model stream, tool calls under policy, reply committed, delivered.  Everything here is for
 * the loop thread; nothing blocks; callbacks never run inside the function they were handed to.  cJSON handed in is
 * copied, what is returned through ret_… is the caller's to delete, what a callback gets is valid during the callback.
 */
#ifndef OC_AGENT_AGENT_H
#define OC_AGENT_AGENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/agent/session.h"
#include "core/base/err.h"
#include "core/base/hist.h"
#include "core/base/queues.h"
#include "core/base/str.h"
#include "core/base/trace.h"
#include "core/config/config.h"
#include "core/hook/hook.h"
#include "core/loop/loop.h"
#include "core/module/module.h"
#include "core/store/store.h"

typedef struct oc_agent oc_agent;
struct oc_http_client;

/* ---- Life ---------------------------------------------------------------- */

typedef struct oc_agent_options {
	const char *state_dir; /* NULL: oc_path_state_dir() */
	bool one_shot;	       /* a command without a gateway: no channels, no recovery of other runs */
} oc_agent_options;

/* Registers the services "channel" and "kv" with modules (so: before oc_modules_start). Takes a reference to config. */
oc_status oc_agent_new(oc_loop *loop, oc_config *config, oc_store *store, oc_modules *modules, oc_hooks *hooks,
		       const oc_agent_options *options, oc_agent **ret, oc_err *err);
/* When the modules are started: connects the configured channel accounts, takes up or reports what the last process left
 * (accepted runs are run, interrupted ones reported, undelivered replies sent). */
oc_status oc_agent_start(oc_agent *agent, oc_err *err);
/* New configuration; running turns end with the old one. Channel accounts whose section changed are reconnected. */
void oc_agent_reload(oc_agent *agent, oc_config *config);
/* Takes no new turns (OC_E_UNAVAILABLE), waits for running turns and deliveries, cancels what is left after deadline_ms
 * (marked interrupted in the store), disconnects channels, then done(arg). */
void oc_agent_drain(oc_agent *agent, uint64_t deadline_ms, void (*done)(void *arg), void *arg);
/* After drain, or at once: what runs is canceled without waiting. NULL is allowed. */
void oc_agent_free(oc_agent *agent);

/* How the agent's own tools ask for what the gateway has: by the name of a method. The answer, a JSON text or an error, comes
 * exactly once, maybe at once. Until it is set no gateway runs. */
typedef void (*oc_agent_answer)(void *arg, oc_status status, oc_str result, const oc_err *err);
typedef void (*oc_agent_gateway)(void *arg, const char *method, const cJSON *params, oc_agent_answer answer, void *answer_arg);
void oc_agent_set_gateway(oc_agent *agent, oc_agent_gateway gateway, void *arg);
/* What cron jobs post to webhooks with; before oc_agent_start. Outlives the agent. */
void oc_agent_set_http(oc_agent *agent, struct oc_http_client *http);
/* The gateway answers: jobs by the clock and heartbeats begin. */
void oc_agent_ready(oc_agent *agent);

/* ---- Events ---------------------------------------------------------------- */

enum oc_agent_event_type {
	OC_AGENT_EV_ACCEPTED = 1, /* committed and waiting for its lane. data {"text","origin"} */
	OC_AGENT_EV_START,	  /* the turn begins. data {"model"} */
	OC_AGENT_EV_TEXT,	  /* text: a piece of the answer */
	OC_AGENT_EV_THINKING,	  /* text: a piece of the reasoning */
	OC_AGENT_EV_TOOL_START,	  /* data {"id","name","arguments"} */
	OC_AGENT_EV_TOOL_PROGRESS, /* text: a piece of output; data {"id","name"} */
	OC_AGENT_EV_TOOL_END,	  /* data {"id","name","isError","durationMs","content":[…],"blocked"?} */
	OC_AGENT_EV_USAGE,	  /* after each model call. data {"provider","model","input","output","cacheRead",
				     "cacheWrite","cost"} */
	OC_AGENT_EV_NOTICE,	  /* something a person should know. data {"code","message"}: a retry, a fallback, … */
	OC_AGENT_EV_REPLY,	  /* the whole reply, committed. text; data {"text","media"?,"silent":bool,"seq",
				     "model","stopReason"} */
	OC_AGENT_EV_ERROR,	  /* the turn failed. data {"code","message","remedy"}: words for people */
	OC_AGENT_EV_DONE,	  /* last event of a run. data {"status":"ok|error|canceled|interrupted","text",
				     "stopReason","durationMs","model","usage":{…},"error"?:{…}} */
	/* not of a run */
	OC_AGENT_EV_SESSION,  /* a session was made, reset, ended, deleted, changed. data {"change","key","reason"?} */
	OC_AGENT_EV_DELIVERY, /* a message went out or was given up. data {"key","channel","to","ok","error"?} */
	OC_AGENT_EV_CHANNEL,  /* a channel account's state. data {"channel","account","state","detail"?} */
	OC_AGENT_EV_PAIRING,  /* a stranger asks. data {"channel","account","sender","name"?,"code"} */
	OC_AGENT_EV_PLUGIN,   /* a plugin tells clients something. data {"plugin","event","payload"?} */
	OC_AGENT_EV_CRON,     /* a job. data {"jobId","action":"added|updated|removed|started|finished",…} */
	OC_AGENT_EV_HEARTBEAT, /* one heartbeat. data {"ts","status","reason"?,"preview"?,"durationMs"?,…} */
	OC_AGENT_EV_APPROVAL  /* somebody is to decide, or did. data {"event":"exec.approval.requested",…,"payload":{…}} */
};
/* "accepted", "start", "text", … Static. */
const char *oc_agent_event_name(int type);

typedef struct oc_agent_event {
	int type;
	uint64_t seq;	     /* of the run, from 1; of the agent for events that are not of a run */
	int64_t ts_ms;	     /* wall clock */
	const char *run;     /* "" when not of a run */
	const char *session; /* key, "" when none */
	const char *agent;   /* id */
	const char *trace;   /* of a run: what it belongs to; NULL otherwise */
	oc_str text;
	const cJSON *data; /* an object, or NULL */
} oc_agent_event;

/* Emits OC_AGENT_EV_PLUGIN; takes payload (NULL: none). */
void oc_agent_announce(oc_agent *agent, const char *plugin, const char *event, cJSON *payload);

typedef void (*oc_agent_event_fn)(void *arg, const oc_agent_event *event);

/* All events, or those of one session (key) or one run; NULL: any. End with oc_agent_unsubscribe (allowed inside fn). */
typedef struct oc_agent_sub oc_agent_sub;
oc_agent_sub *oc_agent_subscribe(oc_agent *agent, const char *session, const char *run, oc_agent_event_fn fn, void *arg);
void oc_agent_unsubscribe(oc_agent_sub *sub); /* NULL is allowed */

/* ---- Commands of others ---------------------------------------------------- */

/* Slash commands that somebody else answers (TypeScript plugins), looked for before the agent's own. */
typedef struct oc_agent_command {
	const char *name, *help, *by; /* valid until the next turn of the loop */
	const cJSON *native;	      /* {"telegram":name,"default":name}: what menus of networks show; NULL: name */
	bool takes_args;	      /* else text behind it makes it a message */
	bool open;		      /* for everybody; else for senders who may give commands */
} oc_agent_command;

typedef struct oc_agent_commands {
	/* The i-th; false past the end. */
	bool (*row)(void *arg, size_t i, oc_agent_command *ret);
	/* Runs one. ctx is borrowed. done is called once, later, unless cancelled; reply: {"text","mediaUrl","mediaUrls"},
	 * NULL or {} for nothing to say; on an error why is for people. */
	oc_status (*run)(void *arg, const char *name, const cJSON *ctx, uint64_t deadline_ms,
			 void (*done)(void *done_arg, oc_status status, const cJSON *reply, const char *why), void *done_arg,
			 void **ret_handle);
	void (*cancel)(void *arg, void *handle);
} oc_agent_commands;
/* commands: static; NULL ends it. */
void oc_agent_set_commands(oc_agent *agent, const oc_agent_commands *commands, void *arg);

/* ---- Turns ------------------------------------------------------------------- */

/* What stands in the history as the result of a call that the client makes. */
#define OC_AGENT_CLIENT_CALL "Handed to the client, which runs it. The result comes with its next message."

typedef struct oc_turn_input {
	oc_str session;	     /* a key or a name (oc_session_key_resolve); "" the main session */
	oc_str agent;	     /* id; "" the key's or the default agent */
	oc_str text;	     /* up to 1 MiB of UTF-8 */
	const cJSON *media;  /* [{"type":"image|audio|video|file","path"|"data"(base64),"mime","name"?}], NULL: none */
	const char *client;  /* which connection it came over, for fairness; NULL: the session stands for it */
	const char *origin;  /* "cli", "rpc", "http", "channel:telegram", "cron", … for events and hooks */
	oc_str model;	     /* "provider/model", an alias, or "" */
	oc_str thinking;     /* off|minimal|low|medium|high, or "" */
	oc_str extra_system; /* appended to the system prompt */
	const cJSON *history; /* replaces the stored history for this turn: messages as in the ABI's provider request */
	bool keep_history;    /* instead it is added to the stored one, before the message and with the same commit */
	/* [{"name","description"?,"parameters"?}], tools that the client runs itself: a call of one ends the turn, and DONE's data has
	 * "clientCalls":[{"id","name","arguments"}]. NULL: none. */
	const cJSON *client_tools;
	uint64_t timeout_ms; /* of the whole turn; 0: agents.defaults.timeoutSeconds */
	int64_t max_tokens;  /* 0: the model's */
	double temperature;  /* used when has_temperature */
	bool has_temperature;
	bool no_tools;
	bool light_context;  /* without the files of the workspace; of a heartbeat with HEARTBEAT.md alone */
	oc_str idempotency;  /* the same key again gives the same run */
	const char *trace;   /* what it belongs to (core/base/trace.h); NULL or "": what the thread works for, else a new one */
	/* The limit it counts against: NULL: agents.defaults.maxConcurrent; "subagent": agents.defaults.subagents.maxConcurrent;
	 * "cron": cron.maxConcurrentRuns. */
	const char *lane;
	/* What becomes of it while its session is busy. NULL: it waits and is a turn of its own. "": what the session or
	 * messages.queue say. A mode: collect, followup, steer, steer-backlog, interrupt. */
	const char *queue;
	bool restricted; /* who wrote it may talk, but not change the session's state by commands */
	/* Where the reply goes besides the events: {"channel","account","to","thread"?,"replyTo"?}; NULL: nowhere. */
	const cJSON *deliver;
	/* {"id","name"?,"username"?,"channel"?}: who wrote; for hooks, policy and the prompt. */
	const cJSON *sender;
	/* The run's events from ACCEPTED to DONE; NULL: none. A sink is ended by oc_agent_detach. */
	oc_agent_event_fn on_event;
	void *arg;
} oc_turn_input;

typedef struct oc_run_ref {
	char run[37];
	bool duplicate; /* the idempotency key was known: on_event is not called, use oc_agent_wait */
	char session[OC_SESSION_KEY_MAX];
	char trace[OC_TRACE_MAX]; /* "" of a duplicate */
} oc_run_ref;

/* Queues a turn. Errors found at once: OC_E_INVALID (text, session), OC_E_UNAVAILABLE (draining), OC_E_BUSY (queue full).
 * Everything later comes as events; DONE always comes, exactly once. */
oc_status oc_agent_submit(oc_agent *agent, const oc_turn_input *input, oc_run_ref *ret, oc_err *err);
/* The sink with this arg gets no more events (a client went away); the turn goes on. */
void oc_agent_detach(oc_agent *agent, const char *run, void *arg);
/* DONE's data of a run that runs or ran: done(arg, OC_OK, result), later. OC_E_TIMEOUT after timeout_ms; OC_E_NOT_FOUND. */
oc_status oc_agent_wait(oc_agent *agent, const char *run, uint64_t timeout_ms,
			void (*done)(void *arg, oc_status status, const cJSON *result), void *arg, oc_err *err);
/* No done is called for waits with this arg. */
void oc_agent_wait_end(oc_agent *agent, void *arg);
/* Asks a run, or all runs of a session (waiting ones too), to end. OC_E_NOT_FOUND: nothing runs. */
oc_status oc_agent_cancel(oc_agent *agent, const char *run, oc_err *err);
oc_status oc_agent_cancel_session(oc_agent *agent, oc_str session, int *ret_count, oc_err *err);
/* [{"run","session","agent","state":"waiting|running","startedAt","model"?,"tool"?,"origin"}]. */
oc_status oc_agent_runs(oc_agent *agent, cJSON **ret_array, oc_err *err);

/* ---- Sessions -------------------------------------------------------------------- */

/* As in store.h; names instead of keys are accepted. A session that runs carries "running":run. */
oc_status oc_agent_sessions(oc_agent *agent, const oc_session_filter *filter, cJSON **ret_array, oc_err *err);
oc_status oc_agent_session(oc_agent *agent, oc_str session, cJSON **ret_object, oc_err *err);
oc_status oc_agent_history(oc_agent *agent, oc_str session, const oc_history_filter *filter, cJSON **ret_array,
			   oc_err *err);
oc_status oc_agent_session_events(oc_agent *agent, oc_str session, int64_t after_seq, int64_t limit, cJSON **ret_array,
				  oc_err *err);
/* The filter's session may be a name. */
oc_status oc_agent_search(oc_agent *agent, oc_str query, const oc_search_filter *filter, cJSON **ret_array, oc_err *err);

/* result: the session as oc_agent_session gives it, NULL on errors and after delete. */
typedef void (*oc_agent_session_done)(void *arg, oc_status status, const cJSON *result, const oc_err *err);
/* What is said of a session. NULL leaves, "" clears; settings: a JSON object of which null removes ({"verbose","reasoning","usage",
 * "sendPolicy","execSecurity","execAsk","queue"}). */
typedef struct oc_session_put {
	const char *title, *model, *thinking, *settings;
} oc_session_put;
/* Makes it when it does not exist ("" makes a new named one). */
oc_status oc_agent_session_put(oc_agent *agent, oc_str session, oc_str agent_id, const oc_session_put *put, oc_agent_session_done done,
			       void *arg, oc_err *err);
/* Whether its setting sendPolicy is "deny": nothing of it goes anywhere. */
bool oc_agent_is_muted(oc_agent *agent, const char *key);
/* Cancel what runs, fire the hooks, then: a fresh history / ended / removed. */
oc_status oc_agent_session_reset(oc_agent *agent, oc_str session, const char *reason, oc_agent_session_done done,
				 void *arg, oc_err *err);
oc_status oc_agent_session_end(oc_agent *agent, oc_str session, const char *reason, oc_agent_session_done done,
			       void *arg, oc_err *err);
oc_status oc_agent_session_delete(oc_agent *agent, oc_str session, oc_agent_session_done done, void *arg, oc_err *err);

/* Puts a message of the assistant's into a session that is there and where nothing runs (OC_E_BUSY). done: its number, 0 with
 * err when it could not be written. */
#define OC_AGENT_INJECTED "openclaw/gateway-injected" /* the model that stands in the history */
oc_status oc_agent_inject(oc_agent *agent, oc_str session, const char *text, void (*done)(void *arg, int64_t seq, const oc_err *err),
			  void *arg, oc_err *err);

/* ---- Agents, models, tools --------------------------------------------------------- */

/* {"defaultId","mainKey","agents":[{"id","name"?,"default":bool,"workspace","model","fallbacks":[…],"tools":n}]}. */
oc_status oc_agent_agents(oc_agent *agent, cJSON **ret_object, oc_err *err);
/* One agent with "systemPromptChars" and "files":[{"name","path","missing","chars","truncated"}]; "" the default. */
oc_status oc_agent_agent(oc_agent *agent, oc_str agent_id, cJSON **ret_object, oc_err *err);
/* [{"id","name"?,"provider","contextWindow"?,"maxTokens"?,"input"?,"cost"?,"configured":bool,"source":"config|module"}]. */
oc_status oc_agent_models(oc_agent *agent, cJSON **ret_array, oc_err *err);
/* Providers' keys where there are several: [{"provider","profile","agent"?,"source","state":"ok|resting|disabled","reason"?,
 * "restMs"?,"used","failed"}]; NULL: no memory. */
cJSON *oc_agent_keys(oc_agent *agent);
/* Models and keys that rest after they refused are asked again; how many there were. [loop] */
size_t oc_agent_rests_end(oc_agent *agent);
/* What the agent would use: {"model","fallbacks":[…],"usable":bool,"reason"?}; reason: words for people. */
oc_status oc_agent_model_status(oc_agent *agent, oc_str agent_id, cJSON **ret_object, oc_err *err);
/* [{"name","description","parameters","group"?,"capabilities"?,"module","allowed":bool,"reason"?}] under the policy of
 * agent and session ("" the defaults). */
oc_status oc_agent_tools(oc_agent *agent, oc_str agent_id, oc_str session, cJSON **ret_array, oc_err *err);

typedef struct oc_tool_input {
	oc_str agent, session; /* "" the defaults */
	oc_str tool;
	const cJSON *arguments; /* object; NULL: {} */
	uint64_t timeout_ms;	/* 0: the tool's */
	void (*on_progress)(void *arg, oc_str piece); /* may be NULL */
	/* Once. result {"content":[…],"isError":bool,"details"?,"durationMs"}; err tells what is wrong when not OC_OK. */
	void (*done)(void *arg, oc_status status, const cJSON *result, const oc_err *err);
	void *arg;
} oc_tool_input;
/* Runs one tool under policy, validation and hooks, outside a turn. */
oc_status oc_agent_tool_execute(oc_agent *agent, const oc_tool_input *input, oc_err *err);

/* ---- Channels ------------------------------------------------------------------------ */

/* One message from a channel, as oc_channel_host.receive: committed(arg, OC_OK) once it is stored, a duplicate, or refused
 * by the access rules; OC_E_BUSY: hand it in again later; OC_E_INVALID: not a message. */
void oc_agent_inbound(oc_agent *agent, oc_str message_json, void (*committed)(void *arg, oc_status status), void *arg);
/* One message of a channel that decided by itself who may talk and which session it belongs to: {"channel","account",
 * "id" (of the network, "" when it has none: then a repetition is not noticed),"session","agent"?,"to","thread"?,"replyTo"?,
 * "dispatch"? (comes back with the answer),"sender":{"id","name"?,"username"?},"text","extraSystem"?,"restricted":bool,
 * "media":[{"type","path","mime","name"}]?}; paths must be below media_root (NULL: no files). committed as
 * oc_agent_inbound; a repetition ends with DONE and the stopReason "duplicate". After an error nothing is called. */
typedef struct oc_routed {
	const cJSON *message;
	const char *media_root;
	void (*committed)(void *arg, oc_status status);
	oc_agent_event_fn on_event; /* the run's, may be NULL */
	void *arg;
} oc_routed;
oc_status oc_agent_routed(oc_agent *agent, const oc_routed *routed, oc_run_ref *ret, oc_err *err);
/* Tells a session something that it reads with its next message; kept in memory only. A second one with the same context
 * ("" none) replaces the first. */
oc_status oc_agent_tell(oc_agent *agent, oc_str session, const char *text, const char *context, oc_err *err);
/* A stranger was given a code, by a channel that does that by itself: tells hooks, clients and the log. name may be NULL. */
void oc_agent_pairing_asked(oc_agent *agent, const char *channel, const char *account, const char *sender, const char *name,
			    const char *code);
/* Which accounts a channel has when its module knows better than the configuration: an array of names, borrowed until the
 * next turn of the loop; NULL: it does not say. */
void oc_agent_set_accounts(oc_agent *agent, const cJSON *(*fn)(void *arg, const char *channel), void *arg);
/* They may have changed: connects and disconnects what must be. */
void oc_agent_sync_channels(oc_agent *agent);
/* [{"id","label"?,"module","enabled":bool,"accounts":[{"account","state","detail"?,"since","lastInbound"?,"lastOutbound"?,
 * "lastError"?}]}]. */
oc_status oc_agent_channels(oc_agent *agent, cJSON **ret_array, oc_err *err);
/* One live check. account "": all of the channel's. result {"channel","accounts":[{"account","ok","detail"}]}. */
oc_status oc_agent_channel_probe(oc_agent *agent, oc_str channel, oc_str account,
				 void (*done)(void *arg, oc_status status, const cJSON *result), void *arg, oc_err *err);
/* Sends a message through the outbox: {"channel","account"?,"to","thread"?,"text","media"?,"replyTo"?,"session"?}.
 * done: committed (then delivery is certain to be tried, see OC_AGENT_EV_DELIVERY); key_out names the row. */
oc_status oc_agent_send(oc_agent *agent, const cJSON *message, oc_str idempotency, char key_out[80],
			void (*done)(void *arg, oc_status status, const oc_err *err), void *arg, oc_err *err);
/* Tries dead letters once more (their attempts begin anew), or drops them. key NULL: all. done: how many there were. */
oc_status oc_agent_dead_change(oc_agent *agent, const char *key_or_null, bool drop,
			       void (*done)(void *arg, int64_t count, const oc_err *err), void *arg, oc_err *err);
/* Approves a pairing code and tells the sender. result: the request. */
oc_status oc_agent_pairing_approve(oc_agent *agent, const char *channel, const char *code, cJSON **ret_request,
				   oc_err *err);

/* One live check of each provider that the default agent would use (at most 8). done is called once for each, maybe before
 * this returns, which says for how many; not at all when the agent is freed before. took_ms 0: it was not asked. */
typedef void (*oc_agent_probe_done)(void *arg, const char *provider, bool ok, const char *detail, uint64_t took_ms);
int oc_agent_probe_providers(oc_agent *agent, oc_agent_probe_done done, void *arg);

/* ---- Figures --------------------------------------------------------------------------- */

typedef struct oc_agent_stats {
	uint64_t turns_started, turns_ok, turns_failed, turns_canceled, turns_interrupted;
	uint64_t turns_running, turns_waiting, turns_running_max;
	/* of waiting ones: became part of another turn, were put into a running one, left a line, were given up; and those that
	 * were not taken because too many wait */
	uint64_t turns_merged, turns_steered, turns_summarized, turns_dropped, turns_refused;
	uint64_t turns_resumed; /* taken up after a stop or crash */
	uint64_t tool_calls, tool_errors, tool_blocked;
	uint64_t model_calls, model_errors, model_retries, model_fallbacks, model_key_changes, compactions;
	uint64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
	double cost; /* USD, of this process */
	uint64_t inbound, inbound_duplicate, inbound_refused;
	uint64_t delivered, delivery_retries, delivery_dead, outbox_pending;
	uint64_t turn_ms_total; /* of finished turns */
} oc_agent_stats;
void oc_agent_get_stats(const oc_agent *agent, oc_agent_stats *ret);
/* How long things took, since the start. Valid as long as the agent. */
typedef struct oc_agent_timing {
	oc_hist turn_ok, turn_other; /* from its beginning to its end: answered; failed, canceled, interrupted */
	oc_hist wait;		     /* accepted, until its lane let it begin */
	oc_hist first_token;	     /* of a model call */
	oc_hist model;		     /* a model call */
	oc_hist tool;		     /* a tool call that ran */
	oc_hist delivery;	     /* a message handed to a channel, until the channel answered */
} oc_agent_timing;
const oc_agent_timing *oc_agent_timings(const oc_agent *agent);
/* [{"kind":"tool|model","name","count","totalMs","maxMs"}], in no order. NULL: no memory. */
cJSON *oc_agent_culprits(oc_agent *agent);
typedef struct oc_agent_gauges {
	uint64_t sessions_active;	   /* with a turn that waits or runs */
	uint64_t turn_bytes;		   /* memory of turns that wait or run: their arenas and requests */
	uint64_t subagents_active, subagents_spawned, subagents_ok, subagents_failed;
} oc_agent_gauges;
void oc_agent_get_gauges(oc_agent *agent, oc_agent_gauges *ret);
/* Its bounded queues, by number. */
void oc_agent_queues(oc_agent *agent, oc_fill queues[OC_QUEUE_N]);
/* The same as JSON, with {"store":{…},"usage":…} as oc_store_usage gives it; session "" all. */
oc_status oc_agent_usage(oc_agent *agent, oc_str session, int64_t days, cJSON **ret_object, oc_err *err);

/* The agent that answers when none is named; returns out. */
const char *oc_agent_default_id(const oc_config *config, char out[65]);

#endif
