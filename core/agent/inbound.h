/* Messages of channels on their way in. */
#ifndef OC_AGENT_INBOUND_H
#define OC_AGENT_INBOUND_H

#include "core/agent/internal.h"

/* Frees what was overheard in groups. */
void oc_inbound_free(oc_agent *agent);
/* Whether a message with these facts would reach the agent now; changes nothing. */
bool oc_inbound_admits(oc_agent *agent, oc_str message_json);
/* "text (the sender) …": tells a conversation something that is no reply of a model. */
void oc_inbound_say(oc_agent *agent, const cJSON *deliver, const char *session, const char *key, const char *text);

#endif
