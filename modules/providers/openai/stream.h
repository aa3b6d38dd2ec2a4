/*
 * The answer of POST /chat/completions: server-sent events in, the host's events out.  Pure.  [any]
 *
 * Written for what compatible servers really send, not only for what OpenAI documents: calls without an index or an id, or
 * all with index 0; arguments as an object; reasoning under three names or as <think> at the start of the text; content as
 * a list of parts; usage in a chunk without choices; no [DONE]; an error object in the middle of a 200 answer; and a whole
 * answer at once from servers that do not stream.
 */
#ifndef OAI_STREAM_H
#define OAI_STREAM_H

#include "prv_stream.h"

typedef struct oai_stream oai_stream;

/* provider: named in the blocks that carry reasoning, so that it goes back only there. NULL when out of memory. */
oai_stream *oai_stream_new(prv_sink *sink, void *arg, uint64_t seed, const char *provider);
void oai_stream_free(oai_stream *s); /* NULL is allowed */
/* One event of the stream, or the whole body of an answer that was none. */
void oai_stream_event(oai_stream *s, oc_str data);
/* The connection ended. Afterwards the base is over: complete, or with a fault. */
void oai_stream_end(oai_stream *s);
/* The common part; valid until free. */
prv_stream *oai_stream_base(oai_stream *s);

#endif
