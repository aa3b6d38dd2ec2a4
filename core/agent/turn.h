/* One turn, as the files that carry it out see it; nobody else includes this. */
#ifndef OC_AGENT_TURN_H
#define OC_AGENT_TURN_H

#include "core/agent/internal.h"
#include "core/agent/model.h"
#include "core/agent/outbound.h"
#include "core/agent/queue.h"
#include "core/base/mem.h"
#include "core/base/trace.h"

enum {
	OC_TURN_ITERATIONS_MAX = 64,	/* model calls of one turn */
	OC_TURN_TEXT_MAX = 4 << 20,	/* bytes a model may write in one turn */
	OC_TURN_MESSAGE_MAX = 1 << 20,	/* bytes of a message */
	OC_TURN_CALLS_MAX = 64,		/* tool calls of one model answer */
	OC_TURN_REQUEST_MAX = 96 << 20, /* bytes of one request to a model (images are in it) */
};

typedef enum oc_turn_state {
	OC_TURN_ACCEPTING = 1, /* its commit is under way */
	OC_TURN_WAITING,       /* for its lane */
	OC_TURN_RUNNING,
	OC_TURN_ENDING, /* its last commit is under way */
	OC_TURN_OVER
} oc_turn_state;

/* A message of this turn, as it goes into requests and into the store. */
typedef struct oc_turn_message {
	struct oc_turn_message *next;
	const char *role, *content_json, *model, *tool_call_id, *tool_name;
	bool is_error;
	bool transient; /* only in requests: a hint, or half an answer that is being completed */
} oc_turn_message;

/* What one model call has brought so far. */
typedef struct oc_turn_step {
	oc_call *call;
	oc_sbuf text;	/* since the last other part */
	cJSON *content; /* parts in order of arrival */
	int n_calls;
	oc_usage usage;
	bool streamed;	/* something was shown already */
	bool new_segment; /* the next text begins a paragraph of the reply */
	size_t reply_start; /* length of the reply before this step */
	uint64_t began_ms, began_ns;
	bool first_seen; /* its first piece came */
	bool spoiled; /* there was no memory for a part of it */
} oc_turn_step;

typedef struct oc_preview oc_preview;
typedef struct oc_toolset oc_toolset;

struct oc_compact_outcome; /* compact.h */

struct oc_turn {
	oc_agent *agent;
	oc_turn_state state;
	unsigned refs; /* one for being alive, one for each commit under way */
	oc_arena *arena;
	oc_owner *owner; /* timers, calls and hooks of the turn: one sweep ends them */
	oc_config *config;
	/* who and where */
	char run[37];
	char trace[OC_TRACE_MAX];
	char session[OC_SESSION_KEY_MAX];
	oc_session_key key;
	char agent_id[65];
	oc_map_node by_run, by_key;
	/* queueing */
	oc_lane *lane; /* NULL: of no lane (an instant command), or out of it */
	oc_turn *lane_next;
	oc_lane_room *room; /* that it takes up, NULL: it waits */
	oc_lane_class lane_class;
	const char *source; /* whose it is, for fairness */
	bool queued;	    /* queue modes apply to it */
	bool instant;	    /* a command that waits for nobody */
	bool debounced;	    /* waits for more of the same breath */
	bool steered;	    /* was put into a running turn already and is one of its own too */
	bool restricted;    /* its sender may not change the state of the session */
	oc_queue_mode queue_asked;
	oc_queue_settings queue; /* mode 0: not looked up yet */
	uint64_t arrived_ms;
	oc_turn *taken, **taken_tail; /* whose messages are in this one, until that is committed */
	oc_sbuf summary;	      /* of messages that had to leave the queue */
	unsigned left_out;
	const struct oc_slash *slash; /* the command it is, NULL: none */
	oc_str slash_rest;
	cJSON *ended; /* what the hooks hear of the conversation that ended before this message, NULL: none */
	const char *ended_why;
	/* input (in the arena) */
	const char *text, *origin, *model_override, *thinking, *extra_system, *idempotency;
	cJSON *media, *history, *deliver, *sender;
	uint64_t timeout_ms;
	int64_t max_tokens;
	double temperature;
	bool has_temperature, no_tools, light_context;
	bool model_strict; /* a person chose model_override: no other model answers in its place */
	oc_agent_event_fn on_event;
	void *arg;
	oc_inbox_ref inbox;
	void (*committed)(void *arg, oc_status status);
	void *committed_arg;
	/* progress */
	uint64_t seq;
	uint64_t began_ms;     /* monotonic */
	uint64_t ready_ns, began_ns; /* the same, more exact: committed, begun */
	bool user_stored;      /* the message is in the history */
	bool began_session, after_reset;
	bool new_session; /* there was none before this message: it has no settings */
	bool duplicate;
	bool recovered;	   /* its run was in the store already */
	bool resumed;	   /* it goes on from messages of its own that are in the store */
	unsigned crashes; /* times it was begun before */
	oc_status store_status; /* of what was written without waiting */
	oc_err store_err;
	oc_watch *deadline, *retry, *typing;
	uint64_t end_since_ms; /* when its last commit failed first */
	bool end_withheld, end_failed; /* which end that is */
	oc_turn *next_ending;	/* there was no memory for a timer: it waits in the agent's list for another try */
	bool ending_listed;
	bool failed_running;	/* it failed after it had begun */
	bool user_late;		/* its message is stored by the commit of its failure */
	/* cancel asked for */
	bool cancel_posted;
	oc_status cancel_status;
	char cancel_why[160];
	/* hooks */
	size_t hook_step;
	enum oc_heard { OC_HEARD_NOT, OC_HEARING, OC_HEARD, OC_HEARD_CLAIMED } heard; /* those of the message, while it waits */
	bool begin_when_heard;
	void (*hook_next)(oc_turn *turn, bool withheld);
	bool withheld;
	/* What hooks add: around the message, in place of the system prompt, around it. "" when nothing. */
	const char *hook_before, *hook_after, *hook_system, *hook_system_before, *hook_system_after;
	cJSON *hook_tools_allow;
	cJSON *early_start; /* what before_agent_start answered before there was a prompt; NULL: nothing */
	bool hold_text; /* agentResponse may change the reply: nothing is shown before */
	/* What before_message_write makes of messages: the user's in the history, and who goes on after one of the model's. */
	const char *user_content, *user_text;
	cJSON *offered;		 /* the names of tools that factories make for this run, by plugin; NULL: all they have */
	cJSON *bootstrap;	 /* what internal hooks make of the workspace's files; NULL: they stay as they are */
	void (*write_after)(oc_turn *turn); /* who goes on after the hooks of a command */
	int n_stopped; /* by /stop */
	const char *previous_id; /* the session before /new */
	bool user_unwritten;
	void (*write_next)(oc_turn *turn, const char *content_json_or_null);
	bool input_told;	/* llm_input was fired */
	cJSON *said;		/* the texts the model gave, for llm_output; NULL: nobody asks */
	const char *raw_answer; /* the last answer as the model gave it; NULL: none */
	/* model */
	const char **candidates; /* "provider/model" */
	size_t n_candidates, candidate;
	oc_model model; /* of the current candidate */
	const char *profile; /* the key that a person chose, NULL: any */
	unsigned attempts;	 /* of the current candidate in this step */
	unsigned continued;	 /* broken answers that were completed */
	unsigned shrunk;	 /* times the history was cut for a full window */
	int64_t history_most;	 /* what it may have since, in tokens */
	unsigned iterations;
	unsigned empty;
	oc_err model_err; /* why the last model call failed */
	const char *model_failures; /* of all models that were asked in vain, each with its name; NULL: none yet */
	/* context */
	char *workspace;
	cJSON *assembled;	    /* what the context engine chose instead of the history, NULL: none did */
	void (*engine_next)(oc_turn *turn);
	void (*engine_compacted)(oc_turn *turn, const struct oc_compact_outcome *outcome);
	const char *system;	    /* the prompt */
	const char *tools_json;	    /* "" when there are none */
	const char *system_model;   /* the model prompt and tools were written for; NULL: not yet */
	uint64_t foreseen_ms;	    /* when model, prompt and tools were looked up before the message was committed; 0: not */
	const char *foreseen_for;   /* model_override at that time */
	oc_sbuf messages;	    /* the messages of the request, joined by commas */
	const char *messages_model; /* the model they were written for */
	const char *history_model;  /* the model the history at the beginning of messages was written for; NULL: none is there */
	size_t history_bytes;	    /* of messages */
	int64_t system_tokens;	    /* of prompt and tools */
	int64_t history_tokens, request_tokens; /* estimates */
	int64_t trigger;	    /* above so many tokens the history is compacted */
	bool history_cut;	    /* older messages did not fit */
	bool history_flushed;	    /* the memory was written down since the last summary */
	bool history_over;	    /* above the threshold: it should be compacted */
	bool pruned;		    /* what is pruned was decided */
	bool compact_tried, flush_tried, overflow_compacted;
	oc_compaction *compaction;  /* under way */
	oc_aside *aside;	    /* model calls whose words go to nobody (memory flush) */
	oc_turn_message *own, **own_tail;
	oc_turn_step step;
	const char *calls_json; /* the answer whose calls run */
	cJSON *calls; /* an answer whose tools run when it is committed */
	bool keep_history; /* history comes into the store, and is then read from there */
	cJSON *client_tools, *client_calls; /* what the client can run; calls it is asked for, which end the turn */
	bool yielded; /* a tool asked for the end of the turn: no model call after these results */
	void (*store_next)(oc_turn *turn);
	oc_toolset *toolset;
	uint64_t loop_hashes[24]; /* the last tool calls and their results */
	size_t n_loop_hashes;
	unsigned loop_warnings;
	int64_t calls_made; /* of tools; agents.defaults.maxToolCalls ends them */
	/* outcome */
	oc_sbuf reply;		    /* everything the model said to people in this turn */
	const char *final_content, *final_text; /* its last message, for the history; NULL when there is none */
	const char *stop_reason;
	oc_usage usage;
	oc_usage owed; /* the part of it that is not in the store yet */
	cJSON *result; /* as it was stored */
	oc_preview *preview;
	char outbox_key[80], files_key[80], thoughts_key[80];
	/* what the chat is shown besides it (shown.c) */
	cJSON *settings; /* of the session */
	oc_sbuf thoughts;
	unsigned n_shown;
};

/* ---- turn.c ---- */

oc_turn *oc_turn_ref(oc_turn *turn);
void oc_turn_unref(oc_turn *turn);
/* Emits an event of the run. data stays the caller's. */
void oc_turn_emit(oc_turn *turn, int type, oc_str text, const cJSON *data);
/* The same, taking data. */
void oc_turn_emit_data(oc_turn *turn, int type, cJSON *data);
void oc_turn_notice(oc_turn *turn, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Commits without waiting; a failure ends the turn at its next step. */
void oc_turn_store(oc_turn *turn, oc_batch *batch);
/* Commits, then next(turn) when the turn still runs; a failure ends the turn. One at a time. */
void oc_turn_store_then(oc_turn *turn, oc_batch *batch, void (*next)(oc_turn *turn));
/* Where its files are, made when they are not there. */
oc_status oc_turn_settle_workspace(oc_turn *turn, oc_err *err);
/* A copy in the turn's arena; "" when there is no memory (the turn fails at its end by the arena's state). */
const char *oc_turn_text(oc_turn *turn, const char *s);
/* The turn's answer is complete. */
void oc_turn_succeed(oc_turn *turn);
/* It ends without one. */
void oc_turn_fail(oc_turn *turn, oc_status status, const oc_err *err);
/* The gateway stops before it began: told so, and left in the store for the next start when its answer goes to a channel. */
void oc_turn_shelve(oc_turn *turn);
/* The gateway stops while it runs: it goes on at the next start, or fails when that is impossible. */
void oc_turn_suspend(oc_turn *turn);
/* The input as it is needed to take the run up again; oc_free it. */
char *oc_turn_input_json(const oc_turn *turn);
/* Milliseconds left. */
uint64_t oc_turn_remaining(const oc_turn *turn);
/* Out of all lists; what runs next runs. */
void oc_turn_remove(oc_turn *turn);
/* Everything is written (or cannot be): tells the world, and gives up the turn's own reference. */
void oc_turn_close(oc_turn *turn, oc_status status, const oc_err *err);
/* The agent's part in ends that have to be tried again. */
oc_status oc_turn_endings_new(oc_agent *agent);
void oc_turn_endings_forget(oc_agent *agent);
/* {"channel","account","to",…} of the reply, or NULL. */
static inline const char *oc_turn_channel(const oc_turn *turn)
{
	return turn->inbox.channel != NULL ? turn->inbox.channel : oc_json_str(turn->deliver, "channel", "");
}

/* The user's message into the history, and the reply into the outbox. */
void oc_turn_put_user(oc_turn *turn, oc_batch *batch);

/* ---- turn_hooks.c ---- */

/* Everything at the point beforeMessage, then oc_turn_prepare. */
void oc_turn_before(oc_turn *turn);
/* message_received for a command, which goes no further. */
void oc_turn_tell_message(oc_turn *turn);
/* The internal hook of a command ("new", "reset", "stop") that was carried out: what it has to say goes into the reply, then
 * next(turn). */
void oc_turn_command_hooks(oc_turn *turn, const char *action, void (*next)(oc_turn *turn));
/* What may change the reply, over turn->reply, then next(turn, withheld). */
void oc_turn_after_model(oc_turn *turn, void (*next)(oc_turn *turn, bool withheld));
/* before_message_write about the answer in calls_json, then next(turn, what the history gets; NULL: nothing). false: nobody
 * asked for it, nothing was done. */
bool oc_turn_before_write(oc_turn *turn, void (*next)(oc_turn *turn, const char *content_json_or_null));
/* afterMessage; of a turn that failed, agent_end and llm_output. */
void oc_turn_over_hooks(oc_turn *turn, const cJSON *result);
/* A message that waits is to be put into a running turn: those that see or change messages are asked now, as they are at the
 * arrival of any. Whether it may be put in is then oc_turn_heard's to say. */
void oc_turn_hear(oc_turn *turn);
bool oc_turn_heard(const oc_turn *turn);
bool oc_turn_wants_hooks_before(const oc_agent *agent);
/* The model is about to be asked: llm_input, then before_message_write for the user's words, once a turn. true: a handler is
 * waited for, and oc_turn_call_model goes on. */
bool oc_turn_input_hooks(oc_turn *turn);
/* An answer of the model came, as it came. */
void oc_turn_model_said(oc_turn *turn, const char *json, const char *text);

/* ---- turn_choose.c ---- */

/* The model of the turn, when it has none yet: what the message, the session or the configuration says. */
oc_status oc_turn_choose_model(oc_turn *turn, oc_err *err);
/* The first candidate from `from` on that can be used and does not rest; when all rest, the one that rests shortest. */
oc_status oc_turn_use_model(oc_turn *turn, size_t from, oc_err *err);
/* Looks up the turn's model and writes its prompt and tools while its message is on its way to the store. Nobody sees any of
 * it; oc_turn_prepare takes what still holds. */
void oc_turn_foresee(oc_turn *turn);
/* Model, prompt and history, then the first model call. */
void oc_turn_prepare(oc_turn *turn);

/* ---- turn_model.c ---- */

/* One model call with what the turn has. */
void oc_turn_call_model(oc_turn *turn);
/* The tools that turn->calls asks for, then the next model call. */
void oc_turn_run_calls(oc_turn *turn);
/* The answer of the model that just came, for the history, and what it took. */
void oc_turn_put_answer(oc_turn *turn, oc_batch *batch, const char *content_json, const char *text);
/* The texts among content parts as one; oc_free it. */
char *oc_turn_text_of_parts(const cJSON *content);

/* ---- context.c ---- */

/* Fills workspace, system, tools_json and messages for turn->model. OC_E_CONTEXT: the message alone is too long for it. */
oc_status oc_context_build(oc_turn *turn, oc_err *err);
/* The part of it that needs nothing but the model. */
oc_status oc_context_system(oc_turn *turn, oc_err *err);
/* A group or channel: several people read along. */
bool oc_context_is_group(const oc_turn *turn);
/* Adds a message of this turn to the requests; content is copied. */
oc_turn_message *oc_context_add(oc_turn *turn, const char *role, const char *content_json, const char *model,
				const char *tool_call_id, const char *tool_name, bool is_error);
/* Removes transient ones; the messages are written anew before the next request. */
void oc_context_drop_transient(oc_turn *turn);
/* The user's content parts: the text, then the media. oc_free it. stored: as it is kept (no image data). */
char *oc_context_user_content(oc_turn *turn, bool stored);

/* ---- prompt.c ---- */

char *oc_prompt_build(oc_turn *turn, bool group);

/* ---- toolset.c ---- */

/* Runs the calls of turn->step.content, then oc_turn_call_model. */
void oc_toolset_run(oc_turn *turn, const cJSON *content);
void oc_toolset_free(oc_toolset *set);

/* ---- sessions.c ---- */

/* What the hooks hear of a session's end; NULL when there is no such session or no memory. */
cJSON *oc_session_end_info(oc_agent *agent, const char *key, const char *reason);
/* Tells all who keep something for it. Takes info. subagent_reason: as oc_subagents_session_over has it. */
void oc_session_tell_end(oc_agent *agent, cJSON *info, bool reset, const char *subagent_reason);
/* Whether it was begun anew and had no turn since; asked once. */
bool oc_session_take_fresh(oc_agent *agent, const char *key);
/* A reset asked for by a turn of the session itself, which goes on. */
oc_status oc_session_reset_inside(oc_turn *turn, const char *reason, oc_agent_session_done done, void *arg, oc_err *err);

/* ---- preview.c: the reply as it grows, shown on channels that can edit ---- */

void oc_preview_text(oc_turn *turn); /* turn->reply grew */
/* No more edits; calls next when the last one is over. */
void oc_preview_end(oc_turn *turn, void (*next)(oc_turn *turn));
/* The message that shows the preview, "" when none. */
const char *oc_preview_message(const oc_turn *turn);
/* Whether the reply is shown, or about to be. */
bool oc_preview_shows(const oc_turn *turn);
/* The message of a run that is taken up. */
void oc_preview_restore(oc_turn *turn, const char *message_id);
void oc_preview_free(oc_preview *preview);

#endif
