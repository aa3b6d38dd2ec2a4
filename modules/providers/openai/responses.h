/*
 * The body of POST /responses, OpenAI's other protocol: its reasoning models of the 5.4 generation and later take tools only
 * there, or only there together with reasoning.  Nothing is stored at the provider; encrypted reasoning goes back with the
 * calls it led to.  Pure.  [any]
 */
#ifndef OAI_RESPONSES_H
#define OAI_RESPONSES_H

#include "request.h"

/* Appends the body. False: what is wrong with the request is in why. */
bool oai_responses_build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, prv_text *out,
			 prv_fault *why);

#endif
