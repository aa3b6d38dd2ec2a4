/* Embeddings: vectors for texts, from the same providers that answer. */
#ifndef OC_AGENT_EMBED_H
#define OC_AGENT_EMBED_H

#include "core/agent/agent.h"
#include "core/base/mem.h"

enum { OC_EMBED_TEXTS_MAX = 2048, OC_EMBED_BYTES_MAX = 8 * 1024 * 1024 /* of one request */ };

typedef struct oc_embeddings {
	const char *model;   /* "provider/id": vectors of different models, or lengths, do not compare */
	const float *values; /* n rows of `dimensions` numbers, in the order of the texts */
	size_t n, dimensions;
	int64_t tokens; /* as the provider counted; 0 when it does not */
	double cost;	/* USD, as far as the price is known */
} oc_embeddings;

typedef struct oc_embed_input {
	const char *model;   /* as for oc_embed_model */
	const oc_str *texts; /* read before oc_embed returns */
	size_t n;
	int64_t dimensions;  /* 0: the model's own */
	uint64_t timeout_ms; /* 0: two minutes */
	oc_owner *owner;     /* when it is swept, the call is given up and done is not called; NULL: the agent's */
	/* Once, later. result (when OC_OK) and err (otherwise) are valid during the call. */
	void (*done)(void *arg, oc_status status, const oc_embeddings *result, const oc_err *err);
	void *arg;
} oc_embed_input;

typedef struct oc_embed oc_embed;

/* Which model makes vectors: wanted is "provider/model", a model or a provider alone, or "" for the first provider that has
 * its key, else one that needs none; offline last. In the arena; NULL: there is none. */
const char *oc_embed_model(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *wanted);
/* Errors found at once: OC_E_INVALID, OC_E_LIMIT (texts), OC_E_NOT_FOUND (model), OC_E_UNSUPPORTED (its module makes no
 * vectors), OC_E_AUTH, OC_E_UNAVAILABLE. ret may be NULL. */
oc_status oc_embed_start(oc_agent *agent, const oc_embed_input *input, oc_embed **ret, oc_err *err);
/* Gives it up; done is not called. NULL is allowed. Not after done. */
void oc_embed_cancel(oc_embed *embed);

#endif
