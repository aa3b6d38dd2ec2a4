/* The openai stream machine. */
#include "stream.h"

#define STREAM(name) oai_stream##name
#define STREAM_NEW(sink, arg) oai_stream_new(sink, arg, 1, "p")
#include "prv_stream_fuzz.h"
