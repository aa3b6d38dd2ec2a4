/*
 * What the stream machines of all protocols have in common: where events go and what a finished answer says.  The
 * machines are pure: bytes in, events out, no host and no clock, so that they can be tested and fuzzed alone.  [any]
 */
#ifndef PRV_STREAM_H
#define PRV_STREAM_H

#include "prv_fault.h"

enum {
	PRV_MAX_ARGUMENTS = 4 << 20, /* bytes of one tool call's arguments */
	PRV_MAX_BLOCK = 8 << 20,     /* bytes of one thinking block */
	PRV_MAX_CALLS = 128	     /* tool calls in one answer */
};

/* One event; type is OC_EV_TEXT, _THINKING, _TOOL_CALL, _USAGE or _BLOCK, payload as module.h has it. */
typedef void prv_sink(void *arg, uint32_t type, oc_str payload);

typedef struct prv_usage {
	int64_t input, output, cache_read, cache_write; /* tokens; input without what came from or went to the cache */
} prv_usage;

typedef struct prv_stream {
	prv_sink *sink;
	void *arg;
	uint64_t seed;	  /* makes ids for calls that came without one: another number for each answer */
	bool over;	  /* nothing more is taken */
	prv_fault fault;  /* status OC_OK: the answer is complete */
	const char *stop; /* "stop", "length", "tool_use", "refusal"; NULL until it is told */
	char model[160];  /* as the provider names it */
	prv_usage usage;
	unsigned calls; /* tool calls handed on */
	bool handed;	/* whether any event was handed on */
} prv_stream;

void prv_stream_init(prv_stream *s, prv_sink *sink, void *arg, uint64_t seed);
/* payload: of a NUL-terminated text, or a piece of one. */
void prv_stream_emit(prv_stream *s, uint32_t type, oc_str payload);
/* Emits the usage when it changed. */
void prv_stream_usage(prv_stream *s, prv_usage usage);
/* Emits a complete call. arguments: as the model wrote them; empty means {}. Mends what small models get wrong (raw line
 * breaks inside strings); beyond that false, and the fault is set. An empty id gets one. */
bool prv_stream_call(prv_stream *s, oc_str id, oc_str name, oc_str arguments);
/* Ends the stream with a fault; the first one stays. */
void prv_stream_fail(prv_stream *s, oc_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Remembers the model's name. */
void prv_stream_model(prv_stream *s, prv_json name);
/* {"stopReason":"…","model":"…"} */
void prv_stream_result(const prv_stream *s, prv_text *out);

#endif
