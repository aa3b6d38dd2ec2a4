/* Embeddings: the body of POST /embeddings and the vectors in its answer.  Pure.  [any] */
#ifndef OAI_EMBED_H
#define OAI_EMBED_H

#include "prv_endpoint.h"

/* Appends the body. False: the request has no texts, or too many; why tells. */
bool oai_embed_build(prv_json request, const prv_endpoint *e, prv_text *body, prv_fault *why);
/* Appends {"model","embeddings","usage"} for the answer to a request with n texts, in their order. False: it is no list of as
 * many vectors of one length; why tells. */
bool oai_embed_read(oc_str answer, size_t n, const prv_endpoint *e, prv_text *out, prv_fault *why);
/* How many texts a request has. */
size_t oai_embed_count(prv_json request);

#endif
