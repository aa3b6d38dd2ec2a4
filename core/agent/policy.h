/*
 * Which tools an agent may use in a conversation.  Filters come one after the other and each can only take away; what is
 * denied anywhere is denied; a tool whose capabilities its module was not granted is never callable.
 */
#ifndef OC_AGENT_POLICY_H
#define OC_AGENT_POLICY_H

#include "core/agent/turn.h"

typedef struct oc_policy_context {
	oc_agent *agent;
	const oc_config *config;
	const char *agent_id;
	const char *model;  /* "provider/model" or "" */
	const oc_session_key *key;
	const char *channel, *account; /* where the message came from, "" when nowhere */
	const char *chat;   /* group's id, "" when none */
	const char *sender, *sender_name; /* "" when none */
	const cJSON *offered; /* what factories make for this run, by plugin; NULL: not asked */
	const cJSON *only;  /* names that remain (a hook's toolsAllow), NULL: no limit */
} oc_policy_context;

/* Whether the tool may be called. reason (may be NULL, at least 200 bytes) tells why not. */
bool oc_policy_allows(const oc_policy_context *context, const oc_tool_info *tool, char *reason);
/* agents.*.sandbox.mode: whether the conversation is one of those that run in a sandbox in the original. */
bool oc_policy_sandboxed(const oc_policy_context *context);
void oc_policy_context_of(const oc_turn *turn, oc_policy_context *ret);
/* The tools a turn may use, as the request's "tools" array; NULL when there are none. */
oc_status oc_policy_tools_json(oc_turn *turn, char **ret, oc_err *err);
/* The same for a tool that is only known by name: names, "*", "web_*", "group:fs". */
bool oc_policy_name_matches(const char *pattern, const char *tool);

#endif
