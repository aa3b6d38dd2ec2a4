/* A turn that somebody outside asked for, in a session of its own: webhooks. Loop thread only. */
#ifndef OC_AGENT_HOOKRUN_H
#define OC_AGENT_HOOKRUN_H

#include "core/agent/agent.h"

typedef struct oc_hook_run {
	const char *name;     /* "Gmail": who asks, for people */
	const char *agent_id; /* "" the default; one that is not configured is the default too */
	const char *session;  /* "" one of its own */
	const char *model, *thinking;
	oc_str message;
	bool trusted; /* else the model is told that nobody vouches for the message */
	bool wake;    /* the main session is asked at once about what came of it */
	bool deliver;
	const char *channel, *to; /* "" the last one the main session was written to from */
	int64_t timeout_s;	  /* 0: the configuration's */
	oc_str idempotency;
} oc_hook_run;

/* What came of it goes to the chat, or else to the main session as a system event. */
oc_status oc_hook_run_start(oc_agent *agent, const oc_hook_run *run, char ret_id[37], oc_err *err);

#endif
