/* The machine for the Responses API. */
#include "events.h"

#define STREAM(name) oai_events##name
#define STREAM_NEW(sink, arg) oai_events_new(sink, arg, 1, "p", "m")
#include "prv_stream_fuzz.h"
