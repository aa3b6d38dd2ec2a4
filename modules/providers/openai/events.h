/*
 * The answer of POST /responses: typed events in, the host's events out.  Pure.  [any]
 *
 * Reasoning items become OC_EV_BLOCK {"type":"reasoning","item":{…},"provider","model"}, to be sent back unchanged.
 */
#ifndef OAI_EVENTS_H
#define OAI_EVENTS_H

#include "prv_stream.h"

typedef struct oai_events oai_events;

/* NULL when out of memory. */
oai_events *oai_events_new(prv_sink *sink, void *arg, uint64_t seed, const char *provider, const char *model);
void oai_events_free(oai_events *s); /* NULL is allowed */
/* One event, or the whole body of an answer that was no stream. */
void oai_events_event(oai_events *s, oc_str data);
/* The connection ended. Afterwards the base is over: complete, or with a fault. */
void oai_events_end(oai_events *s);
prv_stream *oai_events_base(oai_events *s);

#endif
