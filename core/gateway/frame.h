/*
 * The frames of OpenClaw's own protocol: requests that come in are checked, answers are written. What happens between is
 * proto.h's.  [any]
 */
#ifndef OC_GATEWAY_FRAME_H
#define OC_GATEWAY_FRAME_H

#include "core/data/json.h"

enum { OC_FRAME_BYTES = 25 << 20 };

/* A request; everything lies in the arena it was read into. */
typedef struct oc_frame {
	const cJSON *id;     /* a text that is not empty; of a frame that was refused what it had, NULL: nothing */
	const char *method;  /* not empty */
	const cJSON *params; /* whatever was there; NULL: nothing */
	oc_str traceparent;  /* "" when absent */
} oc_frame;
/* early: nobody knows yet who it is, and may not make us work much. arena NULL: OC_E_NOMEM. */
oc_status oc_frame_parse(oc_arena *arena, oc_str text, bool early, oc_frame *ret, oc_err *err);

/* Appends the answer {"type":"res",…} to an empty builder; id NULL: "invalid". An answer that is too large for the builder
 * becomes an error. */
void oc_frame_result(oc_sbuf *b, const cJSON *id, oc_str payload);
/* code NULL: by the status. details: JSON, "" none: then the remedy is there. */
void oc_frame_error(oc_sbuf *b, const cJSON *id, const char *code, const oc_err *err, oc_str details);

#endif
