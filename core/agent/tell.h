/* What is told to a conversation without being a message of its own: it is read with the next one. In memory, bounded. */
#ifndef OC_AGENT_TELL_H
#define OC_AGENT_TELL_H

#include "core/agent/internal.h"

enum { OC_TELL_MAX = 20, OC_TELL_SESSIONS_MAX = 500 };

/* Puts what waits for the turn's session before its message. Not for commands. */
void oc_tell_take(oc_turn *turn);
bool oc_tell_waits(const oc_agent *agent, const char *session);
void oc_tell_free(oc_agent *agent);

#endif
