/* Newer clients that want to hear what happens to sessions: `sessions.changed`, `session.message`. [loop] */
#ifndef OC_GATEWAY_CLAW_SUBSCRIBE_H
#define OC_GATEWAY_CLAW_SUBSCRIBE_H

#include "core/gateway/proto.h"

/* An event of the agent's: told to who asked for it. */
void oc_claw_tell_session(oc_gateway *gw, const oc_agent_event *event);
/* claw_sessions.c: a session as sessions.list has it; NULL: there is none. The caller's. */
cJSON *oc_claw_session_row(oc_gateway *gw, const char *key);

#endif
