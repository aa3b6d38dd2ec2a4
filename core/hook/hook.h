/*
 * Lifecycle hooks: one table, and everything that is dispatched from it.
 *
 * A subscriber is a C function of core or a guest (a module or a plugin, through core/module); the table below is the one
 * truth about names, kinds, timeouts, failure policies and merging.  Order is priority descending, then registration.
 * A firing never waits longer than its handlers' timeouts.  All functions are for the loop thread.
 *
 * At each native point the caller fires the native row and then the TypeScript rows of the same point, in table order or
 * where the original fires them; oc_hooks_wanted() tells whether building a payload is worth it.
 */
#ifndef OC_HOOK_HOOK_H
#define OC_HOOK_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/hist.h"
#include "core/data/json.h"
#include "core/loop/loop.h"

typedef struct oc_hooks oc_hooks;
typedef struct oc_hook_sub oc_hook_sub;
typedef struct oc_hook_turn oc_hook_turn;

/* OBSERVE: all handlers at once, results ignored. MODIFY: one after the other, results merged. CLAIM: as MODIFY, but the
 * first to say {"handled":true} takes the event. TRANSCRIPT: MODIFY on the way into the transcript: short timeouts, each
 * handler sees what the one before it made of the message. */
typedef enum oc_hook_kind {
	OC_HOOK_KIND_OBSERVE = 1,
	OC_HOOK_KIND_MODIFY,
	OC_HOOK_KIND_CLAIM,
	OC_HOOK_KIND_TRANSCRIPT
} oc_hook_kind;

/* What a handler that fails or takes too long means: go on without it, or block what was to happen. */
typedef enum oc_hook_failure { OC_HOOK_FAIL_CONTINUE = 1, OC_HOOK_FAIL_BLOCK } oc_hook_failure;

/*
 * X(id, name, native, point, kind, timeout ms, failure, merge)
 *
 * native: 0-7, the eight of the native numbering, or -1.  point: the native hook at whose point a TypeScript name is fired,
 * or -1.  Two names with one event (before_tool_call is beforeToolCall) share one ordered list of handlers: fire the
 * canonical one only, see oc_hook_canonical().
 *
 * merge: the result's fields, each "name:rule", applied over the handlers in order; other fields are dropped.
 *   last   a later non-null value replaces an earlier one      first  the first non-null value stays
 *   join   texts joined by an empty line                       append arrays (or single values) one after the other
 *   assign members of objects, later ones win
 *   over   an object laid over the payload's member of that name as it was fired; the last one stands
 *   stop   true (or "block", "error") ends the firing: blocked, or claimed for "handled"
 *   final  true blocks for good, though the handlers after it are still asked; anything else is no decision
 * Each handler's result is read by the row of the name it subscribed.  A field "*" stands for every field.  "rule>" also changes the payload's member of that name for the handlers after.
 * (Not for those who subscribed by a name that is not the canonical one: in the original nobody sees another's changes.)
 * "rule!field" freezes another field from then on.
 */
#define OC_HOOK_MAP(X)                                                                                                   \
	X(BEFORE_MESSAGE, "beforeMessage", 0, 0, MODIFY, 15000, CONTINUE,                                                \
	  "text:last> context:join model:first handled:stop reply:last reason:last")                                     \
	X(MESSAGE_RECEIVED, "message_received", -1, 0, OBSERVE, 30000, CONTINUE, "")                                     \
	X(INBOUND_CLAIM, "inbound_claim", -1, 0, CLAIM, 15000, CONTINUE, "handled:stop reply:last reason:last")          \
	X(BEFORE_DISPATCH, "before_dispatch", -1, 0, CLAIM, 15000, CONTINUE, "handled:stop text:last")                   \
	X(BEFORE_MODEL_RESOLVE, "before_model_resolve", -1, 0, MODIFY, 15000, CONTINUE,                                  \
	  "modelOverride:first providerOverride:first")                                                                  \
	X(BEFORE_PROMPT_BUILD, "before_prompt_build", -1, 0, MODIFY, 15000, CONTINUE,                                    \
	  "systemPrompt:last prependContext:join appendContext:join prependSystemContext:join "                          \
	  "appendSystemContext:join toolsAllow:last")                                                                    \
	X(BEFORE_AGENT_START, "before_agent_start", -1, 0, MODIFY, 15000, CONTINUE,                                      \
	  "systemPrompt:last prependContext:join appendContext:join prependSystemContext:join "                          \
	  "appendSystemContext:join modelOverride:first providerOverride:first")                                         \
	X(AFTER_MESSAGE, "afterMessage", 1, 1, OBSERVE, 30000, CONTINUE, "")                                             \
	X(AGENT_END, "agent_end", -1, 1, OBSERVE, 30000, CONTINUE, "")                                                   \
	X(MESSAGE_SENT, "message_sent", -1, 1, OBSERVE, 30000, CONTINUE, "")                                             \
	X(BEFORE_TOOL_CALL, "beforeToolCall", 2, 2, MODIFY, 15000, BLOCK,                                                \
	  "params:last> requireApproval:first!params block:stop blockReason:last")                                       \
	X(TS_BEFORE_TOOL_CALL, "before_tool_call", -1, 2, MODIFY, 15000, BLOCK,                                          \
	  "params:over> requireApproval:first!params block:final blockReason:last")                                       \
	X(AFTER_TOOL_CALL, "afterToolCall", 3, 3, MODIFY, 15000, CONTINUE, "result:last>")                               \
	X(TS_AFTER_TOOL_CALL, "after_tool_call", -1, 3, OBSERVE, 30000, CONTINUE, "")                                    \
	X(TOOL_RESULT_PERSIST, "tool_result_persist", -1, 3, TRANSCRIPT, 2000, CONTINUE, "message:last>")                \
	X(BEFORE_MESSAGE_WRITE, "before_message_write", -1, 3, TRANSCRIPT, 2000, CONTINUE, "message:last> block:stop")   \
	X(SESSION_START, "sessionStart", 4, 4, MODIFY, 15000, CONTINUE, "context:join")                                  \
	X(TS_SESSION_START, "session_start", -1, 4, OBSERVE, 30000, CONTINUE, "")                                        \
	X(SESSION_END, "sessionEnd", 5, 5, OBSERVE, 30000, CONTINUE, "")                                                 \
	X(TS_SESSION_END, "session_end", -1, 5, OBSERVE, 30000, CONTINUE, "")                                            \
	X(BEFORE_RESET, "before_reset", -1, 5, OBSERVE, 30000, CONTINUE, "")                                             \
	X(AGENT_RESPONSE, "agentResponse", 6, 6, MODIFY, 15000, CONTINUE, "text:last> withhold:stop reason:last")        \
	X(LLM_OUTPUT, "llm_output", -1, 6, OBSERVE, 30000, CONTINUE, "")                                                 \
	X(MESSAGE_SENDING, "message_sending", -1, 6, MODIFY, 15000, CONTINUE,                                            \
	  "content:last cancel:final cancelReason:last metadata:assign")                                                  \
	X(ERROR, "error", 7, 7, OBSERVE, 30000, CONTINUE, "")                                                            \
	X(GATEWAY_START, "gateway_start", -1, -1, OBSERVE, 30000, CONTINUE, "")                                          \
	X(GATEWAY_STOP, "gateway_stop", -1, -1, OBSERVE, 5000, CONTINUE, "")                                             \
	X(BEFORE_COMPACTION, "before_compaction", -1, -1, OBSERVE, 30000, CONTINUE, "")                                  \
	X(AFTER_COMPACTION, "after_compaction", -1, -1, OBSERVE, 30000, CONTINUE, "")                                    \
	X(LLM_INPUT, "llm_input", -1, -1, OBSERVE, 30000, CONTINUE, "")                                                  \
	X(SUBAGENT_SPAWNING, "subagent_spawning", -1, -1, MODIFY, 15000, CONTINUE,                                       \
	  "status:stop error:last threadBindingReady:last")                                                              \
	X(SUBAGENT_DELIVERY_TARGET, "subagent_delivery_target", -1, -1, MODIFY, 15000, CONTINUE, "origin:first")         \
	X(SUBAGENT_SPAWNED, "subagent_spawned", -1, -1, OBSERVE, 30000, CONTINUE, "")                                    \
	X(SUBAGENT_ENDED, "subagent_ended", -1, -1, OBSERVE, 30000, CONTINUE, "")                                        \
	X(SUBAGENT_PROGRESS, "subagent_progress", -1, -1, OBSERVE, 30000, CONTINUE, "")                                  \
	X(AGENT_TURN_PREPARE, "agent_turn_prepare", -1, -1, MODIFY, 15000, CONTINUE,                                     \
	  "prependContext:join appendContext:join")                                                                      \
	X(BEFORE_AGENT_REPLY, "before_agent_reply", -1, -1, CLAIM, 15000, CONTINUE,                                      \
	  "handled:stop reply:last reason:last")                                                                         \
	X(BEFORE_AGENT_RUN, "before_agent_run", -1, -1, MODIFY, 15000, BLOCK, "outcome:stop block:stop reason:last message:last") \
	X(BEFORE_AGENT_FINALIZE, "before_agent_finalize", -1, -1, MODIFY, 15000, CONTINUE,                               \
	  "action:first reason:first retry:first")                                                                       \
	X(MODEL_CALL_STARTED, "model_call_started", -1, -1, OBSERVE, 30000, CONTINUE, "")                                \
	X(MODEL_CALL_ENDED, "model_call_ended", -1, -1, OBSERVE, 30000, CONTINUE, "")                                    \
	X(REPLY_DISPATCH, "reply_dispatch", -1, -1, CLAIM, 15000, CONTINUE, "handled:stop queuedFinal:last counts:last") \
	X(REPLY_PAYLOAD_SENDING, "reply_payload_sending", -1, -1, MODIFY, 15000, CONTINUE,                               \
	  "payload:last> cancel:stop reason:last")                                                                       \
	X(HEARTBEAT_PROMPT_CONTRIBUTION, "heartbeat_prompt_contribution", -1, -1, MODIFY, 15000, CONTINUE,               \
	  "prependContext:join appendContext:join")                                                                      \
	X(CRON_CHANGED, "cron_changed", -1, -1, OBSERVE, 30000, CONTINUE, "")                                            \
	X(CRON_RECONCILED, "cron_reconciled", -1, -1, OBSERVE, 30000, CONTINUE, "")                                      \
	X(CHANNEL_PAIRING_REQUESTED, "channel_pairing_requested", -1, -1, OBSERVE, 2000, CONTINUE, "")                   \
	X(SKILL_PROPOSAL_EVALUATE, "skill_proposal_evaluate", -1, -1, MODIFY, 120000, CONTINUE,                          \
	  "summary:join findings:append metrics:assign decision:last decisionReason:last evaluatorVersion:last mode:last") \
	X(SKILL_PROPOSAL_CHANGED, "skill_proposal_changed", -1, -1, OBSERVE, 30000, CONTINUE, "")                        \
	X(SKILL_CHANGED, "skill_changed", -1, -1, OBSERVE, 30000, CONTINUE, "")                                          \
	X(BEFORE_INSTALL, "before_install", -1, -1, MODIFY, 15000, BLOCK, "findings:append block:stop blockReason:last") \
	X(RESOLVE_EXEC_ENV, "resolve_exec_env", -1, -1, MODIFY, 15000, CONTINUE, "*:last")                               \
	X(DEACTIVATE, "deactivate", -1, -1, OBSERVE, 5000, CONTINUE, "")                                                 \
	/* For the original's internal hooks (registerHook), where no other row is fired. */                             \
	X(INTERNAL_COMMAND, "internal_command", -1, -1, MODIFY, 15000, CONTINUE, "messages:append")                      \
	X(INTERNAL_BOOTSTRAP, "internal_bootstrap", -1, -1, MODIFY, 15000, CONTINUE, "bootstrapFiles:last>")             \
	/* Which tools factories make for this run, by plugin: {"tools":{"<id>":[name,…]}}. */                           \
	X(INTERNAL_TOOLS, "internal_tools", -1, -1, MODIFY, 5000, CONTINUE, "tools:assign")

typedef enum oc_hook_id {
	OC_HOOK_NONE = 0, /* a name nobody fires */
#define OC_HOOK_ENUM_(id, name, native, point, kind, timeout, failure, merge) OC_HOOK_##id,
	OC_HOOK_MAP(OC_HOOK_ENUM_)
#undef OC_HOOK_ENUM_
		OC_HOOK_COUNT
} oc_hook_id;

typedef struct oc_hook_info {
	const char *name;
	int native, point;
	oc_hook_kind kind;
	uint32_t timeout_ms;
	oc_hook_failure failure;
	const char *merge;
} oc_hook_info;

const oc_hook_info *oc_hook_info_of(oc_hook_id hook); /* NULL for OC_HOOK_NONE and beyond */
oc_hook_id oc_hook_by_name(oc_str name);              /* OC_HOOK_NONE when unknown */
oc_hook_id oc_hook_canonical(oc_hook_id hook);        /* before_tool_call: beforeToolCall; else itself */
const char *oc_hook_kind_name(oc_hook_kind kind);     /* "observe" … */

/* ---- Subscribing ---- */

/* One handler's turn. It answers exactly once with oc_hook_answer, at once or later. payload is valid until then. */
typedef void (*oc_hook_fn)(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload);

typedef struct oc_hook_subscription {
	const char *hook;    /* a name of the table; others are kept, listed and never fired */
	int32_t priority;    /* higher runs first */
	uint32_t timeout_ms; /* 0: the table's; at most 600,000 */
	oc_owner *owner;     /* may be NULL; its sweep unsubscribes */
	const char *by;      /* for people: "module audit-log", "agent" */
	oc_hook_fn fn;
	/* The turn timed out or is no longer wanted; it is gone when this returns and must not be answered any more. NULL: a
	 * late answer is taken and ignored. */
	void (*cancel)(void *arg, oc_hook_turn *turn);
	void *arg;
} oc_hook_subscription;

oc_status oc_hooks_new(oc_loop *loop, oc_hooks **ret, oc_err *err);
/* Ends what is still running: its done callbacks are not called. NULL is allowed. */
void oc_hooks_free(oc_hooks *hooks);
/* Copies. ret may be NULL. */
oc_status oc_hooks_subscribe(oc_hooks *hooks, const oc_hook_subscription *subscription, oc_hook_sub **ret, oc_err *err);
/* Its open turns are answered as if it had nothing to say (with failure policy BLOCK: as failed). NULL is allowed. */
void oc_hooks_unsubscribe(oc_hook_sub *sub);

/* status OC_OK: result is an object with the fields of the table, or NULL for "nothing to change". Else: message says what
 * went wrong. Borrowed. The turn is gone afterwards. */
void oc_hook_answer(oc_hook_turn *turn, oc_status status, const cJSON *result, const char *message);
/* The payload as JSON text (made once a firing); valid until the turn answered. */
oc_str oc_hook_turn_text(oc_hook_turn *turn);
/* The name under which the subscriber asked for this event, and the time it has. */
const char *oc_hook_turn_name(const oc_hook_turn *turn);
uint32_t oc_hook_turn_timeout(const oc_hook_turn *turn);
/* A pointer for the subscriber's own use, NULL at first. */
void **oc_hook_turn_data(oc_hook_turn *turn);

/* ---- Firing ---- */

typedef struct oc_hook_result {
	const cJSON *changes;    /* the merged result, an object, {} when nobody changed anything; valid during done */
	bool blocked, claimed;
	const char *reason;      /* why it was blocked, or "" */
	const char *by;          /* who blocked or claimed it, or "" */
	unsigned ran, failed, timed_out;
} oc_hook_result;

/* Whether anybody subscribed; a table look-up. */
bool oc_hooks_wanted(oc_hooks *hooks, oc_hook_id hook);
/* fn is called once, before the next such question is answered: for subscribers who come only when something happens. */
void oc_hooks_on_question(oc_hooks *hooks, void (*fn)(void *arg), void *arg);
/* Fires. payload is taken over (may be NULL: {}). done (may be NULL) is called exactly once, later, from the loop, also when
 * nobody subscribed. owner: when it is swept before, done is not called. On an error nothing was fired, done is not called
 * and payload is freed. */
oc_status oc_hooks_fire(oc_hooks *hooks, oc_hook_id hook, cJSON *payload, oc_owner *owner,
			void (*done)(void *arg, const oc_hook_result *result), void *arg);
/* How long firings took that somebody listened to, since the start. */
const oc_hist *oc_hooks_timing(const oc_hooks *hooks);
/* Handlers that failed or took too long. */
uint64_t oc_hooks_failures(const oc_hooks *hooks);
/* Everything for `system.*` and the dashboard: the table and its subscribers with counts. The caller's. */
cJSON *oc_hooks_describe(const oc_hooks *hooks);

#endif
