/* Tools for looking into and writing to other sessions, and who may do so with which. */
#ifndef OC_AGENT_SESSION_TOOLS_H
#define OC_AGENT_SESSION_TOOLS_H

#include "core/agent/internal.h"

/*
 * Whether a turn in `requester` may see, or write to, `target`.  tools.sessions.visibility: self (its own session only), tree
 * (and those it started, at any distance), agent (any of its agent), all (any; another agent's only when tools.agentToAgent
 * allows both).  A sandboxed session reaches no further than tree unless sandbox.sessionToolsVisibility says "all".
 * why (200 bytes, may be NULL) tells people.
 */
bool oc_session_visible(oc_agent *agent, const oc_config *config, const char *requester, const char *target, char *why);

/* session_send.c: what waits is forgotten. */
void oc_exchanges_free(oc_agent *agent);

#endif
