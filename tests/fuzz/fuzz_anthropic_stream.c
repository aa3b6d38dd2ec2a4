/* The anthropic stream machine. */
#include "stream.h"

#define STREAM(name) ant_stream##name
#define STREAM_NEW(sink, arg) ant_stream_new(sink, arg, 1, "p")
#include "prv_stream_fuzz.h"
