/*
 * Tools that the agent itself provides (memory, sessions, …).
 *
 * They are guests like any module's: the module "core", whose vtable is filled here, so that policy, validation, hooks,
 * results and every list treat them as they treat all others.  A tool is one oc_builtin_tool in the file of its subject,
 * named in builtin.c's list.
 */
#ifndef OC_AGENT_BUILTIN_H
#define OC_AGENT_BUILTIN_H

#include "core/agent/internal.h"

typedef struct oc_builtin_call {
	oc_agent *agent;
	oc_call *call;	     /* a handle: stays usable (and does nothing) when the call is over */
	const cJSON *args;   /* an object that fits the tool's parameters */
	const cJSON *context; /* as oc_tool_vtbl.invoke gets it */
	const char *session, *agent_id, *run, *workspace, *call_id; /* of the context; "" when absent */
} oc_builtin_call;

typedef struct oc_builtin_tool {
	const char *name;
	const char *spec; /* JSON: one element of oc_tool_vtbl.tools */
	/* Whether an agent's configuration offers it; NULL: always. false: why (200 bytes) tells people. */
	bool (*offered)(const oc_config *config, const char *agent_id, char *why);
	/* The call's members are valid only during this; the end is one of the functions below, now or later. */
	void (*invoke)(const oc_builtin_call *call);
	/* Asked to end early: whatever the tool has under way for the handle should stop. NULL: nothing to stop. The call itself
	 * is completed by builtin.c. */
	void (*cancel)(oc_agent *agent, oc_call *call);
	bool repeatable; /* a call that a crash cut short may be made again: it reads only, or knows what it did */
} oc_builtin_tool;

/* Whether the memory is ours: plugins.slots.memory. */
bool oc_builtin_memory(const oc_config *config);
/* The module "core" in the registry: before the modules start. */
oc_status oc_builtin_add(oc_agent *agent, oc_err *err);
/* The tool of that name; NULL when the core has none. */
const oc_builtin_tool *oc_builtin_find(const char *name);

/* ---- Ends of a call; after the call is over they do nothing ---- */

/* A text for the model. */
void oc_builtin_text(oc_call *call, bool is_error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* An object: as JSON for the model, as "details" for everybody else. Takes it; NULL: out of memory. */
void oc_builtin_json(oc_call *call, cJSON *result);
/* Parts: texts and pictures, as a tool's result has them. Borrowed. */
void oc_builtin_content(oc_call *call, const cJSON *content);
/* A failure in words that the model reads, with its remedy. */
void oc_builtin_fail(oc_call *call, const oc_err *err);

/* ---- The tools ---- */

extern const oc_builtin_tool oc_tool_memory_search, oc_tool_memory_get; /* memory_tools.c */
extern const oc_builtin_tool oc_tool_sessions_spawn, oc_tool_subagents, oc_tool_sessions_yield; /* subagent_tools.c */
extern const oc_builtin_tool oc_tool_sessions_list, oc_tool_sessions_history, oc_tool_session_status, oc_tool_agents_list;
extern const oc_builtin_tool oc_tool_sessions_send; /* session_send.c */
extern const oc_builtin_tool oc_tool_message; /* message_tool.c */
extern const oc_builtin_tool oc_tool_cron; /* cron_tool.c */
extern const oc_builtin_tool oc_tool_nodes; /* nodes_tool.c */

#endif
