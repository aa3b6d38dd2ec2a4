/*
 * The body of POST /chat/completions, and what is learned about endpoints that refuse a part of it.  Pure.  [any]
 */
#ifndef OAI_REQUEST_H
#define OAI_REQUEST_H

#include "prv_endpoint.h"
#include "prv_quirks.h"

/* Deviations of one endpoint and model. Learned from its refusals and kept for the next request: no list of a thousand
 * servers and models stays right for long. */
enum {
	OAI_NO_TEMPERATURE = 1u << 0,
	OAI_NO_EFFORT = 1u << 1,       /* no reasoning_effort */
	OAI_EFFORT_NONE = 1u << 2,     /* tools only with reasoning_effort "none" */
	OAI_OTHER_LIMIT = 1u << 3,     /* the other one of max_tokens and max_completion_tokens */
	OAI_NO_STREAM_USAGE = 1u << 4, /* no stream_options */
	OAI_NO_STOP = 1u << 5,
	OAI_NO_USER = 1u << 6,
	OAI_NO_IMAGES = 1u << 7,
	OAI_NO_TOOLS = 1u << 8,
	OAI_NO_THINKING_BACK = 1u << 9, /* reasoning_content of earlier answers is not taken back */
	OAI_EFFORT_LOW = 1u << 10,	/* reasoning cannot be turned off: "low" instead */
	OAI_RESPONSES = 1u << 11,	/* to be asked through the Responses API */
	OAI_NO_RESPONSES = 1u << 12,	/* there is none */
	OAI_NO_SUMMARY = 1u << 13,	/* Responses: no reasoning.summary */
	OAI_NO_ENCRYPTED = 1u << 14	/* Responses: no encrypted reasoning */
};

/* Appends the body. False: what is wrong with the request is in why. */
bool oai_request_build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, prv_text *out,
		       prv_fault *why);
/* Appends ,"tools":[…] when there are any: before, each one's name, description and parameters, after. Whether there are. */
bool oai_request_tools(prv_text *out, prv_json tools, unsigned quirks, const char *before, const char *after);
/* The last request's tools, as they stood in it. */
oc_str oai_request_known(void);
/* Frees what is kept of them. */
void oai_request_forget(void);
/* Whether this request goes to /responses: the model takes tools only there. */
bool oai_request_wants_responses(prv_json request, const prv_endpoint *e, unsigned bits);
/* Adds the deviation that a refusal tells of and says what it means, for the log; NULL when there is nothing new, then the
 * fault stands. */
const char *oai_request_learn(const prv_fault *fault, prv_quirks *quirks);

#endif
