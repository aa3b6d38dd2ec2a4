/* Newer clients that want to hear what happens to sessions: `sessions.changed`, `session.message`, `session.tool`. [loop] */
#ifndef OC_GATEWAY_CLAW_SUBSCRIBE_H
#define OC_GATEWAY_CLAW_SUBSCRIBE_H

#include "core/gateway/proto.h"

/* An event of the agent's: told to who asked for it. */
void oc_claw_tell_session(oc_gateway *gw, const oc_agent_event *event);
/* A tool began, told something or ended in a run that clients know by that name; data is what its `agent` event has. */
void oc_claw_tell_tool(oc_gateway *gw, const oc_agent_event *event, const char *run, uint64_t seq, oc_str data);
/* claw_sessions.c: a session as sessions.list has it; NULL: there is none. The caller's. */
cJSON *oc_claw_session_row(oc_gateway *gw, const char *key);

#endif
