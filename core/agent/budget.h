/* How many tokens a request may have, and what estimates are worth. */
#ifndef OC_AGENT_BUDGET_H
#define OC_AGENT_BUDGET_H

#include "core/agent/turn.h"

/* All in tokens as oc_tokens_of estimates them: real limits are divided by what the model was found to count more. */
typedef struct oc_budget {
	int64_t window;	 /* of the model, or agents.defaults.contextTokens when that is less */
	int64_t room;	 /* the most a request may have: the answer and a margin are kept free */
	int64_t trigger; /* above this the history is compacted: compaction.reserveTokens and reserveTokensFloor are kept free */
	int64_t keep;	 /* what a compaction leaves of the history (keepRecentTokens, at most maxHistoryShare of the room) */
} oc_budget;

void oc_budget_of(const oc_turn *turn, oc_budget *ret);
/* The provider counted `real` tokens in a request that was estimated at `estimated`. */
void oc_budget_learn(oc_agent *agent, const char *model, int64_t estimated, int64_t real);
/* How many real tokens an estimated one is, for that model; 1 until something was learnt. */
double oc_budget_factor(const oc_agent *agent, const char *model);
void oc_budgets_free(oc_agent *agent);

/* "90s", "5m", "1h", "1h30m", "250ms", a number alone in `unit_ms`; fallback when it is none of these. Milliseconds. */
int64_t oc_duration_ms(const char *text, int64_t unit_ms, int64_t fallback);

#endif
