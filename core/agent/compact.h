/*
 * Compaction: older messages of a session are summed up by the model, and the summary takes their place in requests from
 * then on.  The messages stay in the store.
 *
 * A compaction belongs to a running turn (its lane keeps the session to itself) and ends with it.  Before it, once a
 * compaction, the model may write down what should be known later (memoryFlush).
 */
#ifndef OC_AGENT_COMPACT_H
#define OC_AGENT_COMPACT_H

#include "core/agent/turn.h"

typedef struct oc_compact_outcome {
	/* OC_OK: a summary is stored. OC_E_NOT_FOUND: there is nothing to sum up. Else err says why there is none. */
	oc_status status;
	oc_err err;
	int64_t messages_before, messages_after, compacted; /* messages in requests */
	int64_t tokens_before, tokens_after;		    /* estimates */
	const char *summary;				    /* valid during the call; "" when there is none */
} oc_compact_outcome;

typedef void (*oc_compact_done)(oc_turn *turn, const oc_compact_outcome *outcome);

/* For "/compact [instructions]": whatever the size of the history. instructions may be "". done is called later, once, unless
 * the turn ends before. A turn without a model gets the one it would use. */
void oc_compact_command(oc_turn *turn, const char *instructions, oc_compact_done done);

/* Before a model call, when oc_context_build said that the history is over the threshold: true when a compaction was started,
 * which calls oc_turn_call_model when it is over. */
bool oc_compact_if_due(oc_turn *turn);
/* The provider said that the context is full: true when a compaction was started, as above. At most once a turn. */
bool oc_compact_after_overflow(oc_turn *turn);

/* The turn is freed. */
void oc_compact_free(oc_compaction *compaction);

#endif
