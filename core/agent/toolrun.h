/*
 * One tool call, from the model's wish to a result: policy, validation, hooks, the tool itself, the size of what comes
 * back.  Whatever goes wrong becomes a result that the model can read.
 */
#ifndef OC_AGENT_TOOLRUN_H
#define OC_AGENT_TOOLRUN_H

#include "core/agent/policy.h"

enum { OC_TOOL_RESULT_MAX = 100 * 1000, /* bytes of text a result may bring to the model */
       OC_TOOL_TIMEOUT_MS = 30 * 60 * 1000 };

typedef struct oc_toolrun_input {
	oc_policy_context policy; /* its texts must live until done */
	oc_owner *owner;	  /* its sweep ends the call; done is not called then */
	const char *run, *session, *workspace, *call_id, *tool;
	const char *trace; /* what it belongs to */
	const cJSON *sender;
	const cJSON *arguments; /* an object; NULL: {} */
	uint64_t timeout_ms;	/* the most; 0: the tool's */
	bool transcript;	/* its result goes into a session's history: the hooks of writing are asked */
	void (*on_start)(void *arg);			  /* hooks and checks passed; may be NULL */
	void (*on_progress)(void *arg, oc_str piece);	  /* may be NULL */
	void (*on_done)(void *arg, oc_toolrun *toolrun); /* later, once; then free it */
	void *arg;
} oc_toolrun_input;

struct oc_toolrun {
	oc_toolrun_input in;
	char *call_id, *tool;
	cJSON *arguments; /* as the tool got them */
	oc_call *call;
	uint64_t began_ms, began_ns;
	/* outcome */
	cJSON *content; /* array of parts */
	cJSON *details; /* or NULL */
	cJSON *stored;	/* what the history gets instead of content; NULL: the same */
	bool unwritten; /* a hook keeps it out of the history */
	bool waits_exec, late_runs; /* for a person's word: about a command (else a hook's wish); nobody's word lets it run */
	bool is_error, blocked, started;
	bool starting, lost; /* inside oc_toolrun_start; it could not even be refused */
	oc_status status; /* of the tool itself */
	oc_err err;
	uint64_t duration_ms;
};

/* Everything is copied. NULL: out of memory. */
oc_toolrun *oc_toolrun_start(const oc_toolrun_input *input);
/* Its texts as one; oc_free it. NULL: out of memory. */
char *oc_toolrun_text(const cJSON *content);
/* {"id","name","isError","durationMs","content","blocked"?}. */
cJSON *oc_toolrun_event(const oc_toolrun *toolrun);
void oc_toolrun_free(oc_toolrun *toolrun);
/* Whether two calls of the tool must not overlap. */
bool oc_tool_is_serial(oc_agent *agent, const char *tool);

#endif
