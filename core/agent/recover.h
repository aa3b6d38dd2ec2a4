/* What the last process left: turns that were accepted or under way. */
#ifndef OC_AGENT_RECOVER_H
#define OC_AGENT_RECOVER_H

#include "core/agent/internal.h"

/* Takes up every open run of the store, or reports it to whom it was for. */
void oc_recover(oc_agent *agent);
/* Loads what the turn had done already into its messages and its reply. */
oc_status oc_recover_messages(oc_turn *turn, oc_err *err);

#endif
