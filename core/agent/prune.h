/* Old tool results made short in requests (agents.defaults.contextPruning); the store keeps them whole. */
#ifndef OC_AGENT_PRUNE_H
#define OC_AGENT_PRUNE_H

#include "core/agent/history.h"

/*
 * Mode "cache-ttl": when the session's last model call is older than ttl, so that the provider's cache of the common
 * beginning is gone anyway, results older than the last keepLastAssistants answers are cut to their head and tail (beyond
 * softTrimRatio of the window), then, oldest first, replaced by a placeholder (beyond hardClearRatio).  Within the ttl what
 * was pruned stays pruned and nothing else is, so that the beginning stays the same.  window: in tokens.
 */
void oc_prune_history(oc_turn *turn, oc_history *history, int64_t window);
/* Whether it is switched on for the agent. */
bool oc_prune_on(const oc_turn *turn);

/* Results of the turn itself, oldest first and the last answer's only when nothing else is left, are cut until `excess` tokens are saved. Returns
 * what was saved. */
int64_t oc_prune_own(oc_record *oldest, oc_arena *arena, int64_t excess);

/* The session's marks are not needed any more (reset, compaction); NULL: all. */
void oc_prune_forget(oc_agent *agent, const char *session);

#endif
