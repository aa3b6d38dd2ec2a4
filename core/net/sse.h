/*
 * Server-sent events, read piece by piece (the HTML standard's text/event-stream).  Pure: bytes in, events out.  [any]
 *
 * Lines end in LF, CR or CRLF, wherever the bytes are split; a leading byte order mark is skipped; several data lines are
 * joined by LF; comments and unknown fields are ignored; what follows the last blank line is dropped, as the standard says.
 * So is `retry:`: whoever reads here asks once, for one answer; nothing of ours takes a stream up again.
 */
#ifndef OC_NET_SSE_H
#define OC_NET_SSE_H

#include "core/base/str.h"

typedef struct oc_sse oc_sse;
/* event is "message" when the stream names none; id is the last one seen. Valid during the call. The callback may call
 * oc_sse_stop, but not feed or free. */
typedef void oc_sse_cb(void *arg, oc_str event, oc_str data, oc_str id);

/* max_event: the most bytes of one event's data (0: 4 MiB); NULL when out of memory. */
oc_sse *oc_sse_new(size_t max_event, oc_sse_cb *cb, void *arg);
void oc_sse_free(oc_sse *sse); /* NULL is allowed */
/* OC_OK; OC_E_LIMIT when a line or an event is too long; OC_E_NOMEM. After an error every further call returns it. */
oc_status oc_sse_feed(oc_sse *sse, oc_str bytes);
/* From inside the callback: nothing more is reported, feed returns OC_E_CANCELED. */
void oc_sse_stop(oc_sse *sse);

#endif
