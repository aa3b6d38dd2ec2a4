/*
 * The body of POST /v1/messages, with prompt caching and thinking in the form the model takes, and what is learned about
 * endpoints that refuse a part of it.  Pure.  [any]
 */
#ifndef ANT_REQUEST_H
#define ANT_REQUEST_H

#include "prv_endpoint.h"
#include "prv_quirks.h"

/* Bits of prv_quirks. */
enum {
	ANT_ADAPTIVE = 1u << 0,	   /* adaptive thinking, not a token budget */
	ANT_BUDGET = 1u << 1,	   /* a token budget, not adaptive thinking */
	ANT_NO_DISABLED = 1u << 2, /* thinking cannot be turned off */
	ANT_NO_THINKING = 1u << 3, /* no thinking member at all */
	ANT_NO_EFFORT = 1u << 4,
	ANT_NO_TEMPERATURE = 1u << 5,
	ANT_NO_CACHE = 1u << 6,
	ANT_NO_IMAGES = 1u << 7,
	ANT_NO_DISPLAY = 1u << 8,
	ANT_NO_USER = 1u << 9,
	ANT_DROP_BLOCKS = 1u << 10, /* this conversation's thinking blocks are not taken back; never kept */
	ANT_NOT_KEPT = ANT_DROP_BLOCKS
};

typedef struct ant_options {
	const char *cache_ttl; /* NULL: no prompt caching; "5m", "1h" */
} ant_options;

/* Appends the body; *ret_beta is the anthropic-beta header it needs, or NULL. False: what is wrong is in why. */
bool ant_request_build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, const ant_options *options,
		       prv_text *out, const char **ret_beta, prv_fault *why);
/* As oai_request_learn. */
const char *ant_request_learn(const prv_fault *fault, prv_quirks *quirks);

#endif
