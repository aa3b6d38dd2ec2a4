/*
 * Deviations of one endpoint and model from what its protocol documents, learned from refusals.  Bits are the protocol's.
 */
#ifndef PRV_QUIRKS_H
#define PRV_QUIRKS_H

#include "prv_fault.h"

typedef struct prv_quirks {
	unsigned bits;
	int64_t max_tokens; /* the most output tokens the model takes; 0: not known */
} prv_quirks;

/* Whether a refusal speaks of something not supported, rather than of a wrong value in our data. */
bool prv_quirk_refusal(const prv_fault *fault);
/* Whether the refused parameter, or the message, has this word. */
bool prv_quirk_names(const prv_fault *fault, const char *word);
/* "max_tokens: 64000 > 8192, …", "supports at most 16384 completion tokens": the limit told, 0 when none. */
int64_t prv_quirk_limit(const prv_fault *fault);

#endif
