/*
 * The history of a session as requests need it: records from the newest back to the last summary, or as far as a budget
 * allows, in units that belong together (an answer with tool calls and its results).
 */
#ifndef OC_AGENT_HISTORY_H
#define OC_AGENT_HISTORY_H

#include "core/agent/turn.h"

typedef struct oc_record {
	struct oc_record *newer, *older;
	const char *role; /* user, assistant, tool */
	const char *content, *model, *tool_call_id, *tool_name; /* content: JSON; none is NULL */
	bool is_error, summary; /* summary: of what is older and not in requests any more */
	int64_t seq, ts_ms, tokens; /* seq 0: not from the store */
} oc_record;

typedef struct oc_history {
	oc_arena *arena; /* everything is in it */
	oc_record *oldest, *newest;
	int64_t tokens; /* of all of them, estimated */
	int64_t count;
	bool flushed;	/* the memory was written down since the last summary */
	bool cut;	/* there are older ones, which the budget did not allow */
	const char *summary; /* text of the last summary, NULL when there is none: then it is also the oldest record */
} oc_history;

/* Gathers what turns before this one left. budget: tokens; what is given with the turn (HTTP clients) replaces the store's.
 * Free with oc_history_free, also on errors. */
oc_status oc_history_collect(oc_turn *turn, int64_t budget, oc_history *ret, oc_err *err);
void oc_history_free(oc_history *history);
/* Leaves out the oldest (never the summary) until the rest is within the budget; cut is then true. */
void oc_history_trim(oc_history *history, int64_t budget);
/* Tokens of content parts; a picture counts as one, not as its data. */
int64_t oc_history_tokens(const char *content_json);

/* Writes records, oldest first, as the messages of a request to that model, joined by commas to what is there. */
void oc_history_write(oc_sbuf *out, const oc_record *oldest, const char *model);
/* The turn's own messages as records of the arena; NULL when there are none. false: out of memory. */
bool oc_history_own(const oc_turn *turn, oc_arena *arena, oc_record **ret_oldest);

/* The text of a summary's message, for requests. oc_free it. */
char *oc_history_summary_content(const char *summary);

#endif
