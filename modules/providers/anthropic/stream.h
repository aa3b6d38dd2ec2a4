/*
 * The answer of POST /v1/messages: server-sent events in, the host's events out.  Pure.  [any]
 *
 * Thinking blocks become OC_EV_BLOCK with their signature and the model that made them, to be sent back unchanged.
 */
#ifndef ANT_STREAM_H
#define ANT_STREAM_H

#include "prv_stream.h"

typedef struct ant_stream ant_stream;

/* model: as asked for; the blocks carry it, since they only go back to the same one. NULL when out of memory. */
ant_stream *ant_stream_new(prv_sink *sink, void *arg, uint64_t seed, const char *model);
void ant_stream_free(ant_stream *s); /* NULL is allowed */
/* One event of the stream, or the whole body of an answer that was none. */
void ant_stream_event(ant_stream *s, oc_str data);
/* The connection ended. Afterwards the base is over: complete, or with a fault. */
void ant_stream_end(ant_stream *s);
prv_stream *ant_stream_base(ant_stream *s);

#endif
