/*
 * Trace ids: one for what belongs together, from a message's arrival to its reply; 32 hexadecimal digits, as in the W3C's
 * traceparent header.  [any]
 */
#ifndef OC_BASE_TRACE_H
#define OC_BASE_TRACE_H

#include <stdbool.h>

#include <openclaw/module.h>

#define OC_TRACE_MAX 33
#define OC_TRACEPARENT_MAX 56

void oc_trace_new(char out[OC_TRACE_MAX]);
/* The trace of a traceparent header. false (and out untouched) when it is none by the rules. */
bool oc_trace_parse(oc_str traceparent, char out[OC_TRACE_MAX]);
/* Whether the text is a trace id: 32 lower-case hexadecimal digits, not all zero. */
bool oc_trace_ok(const char *trace);
/* A header for a call that belongs to the trace: a new span, sampled. */
void oc_trace_header(const char *trace, char out[OC_TRACEPARENT_MAX]);

/* What this thread works for now, "" when for nothing in particular: log lines carry it. */
const char *oc_trace_now(void);

typedef struct oc_trace_scope {
	char before[OC_TRACE_MAX];
} oc_trace_scope;
oc_trace_scope oc_trace_enter(const char *trace); /* copied; NULL: none */
void oc_trace_leave(oc_trace_scope *scope);
/* To the end of the block this thread works for the trace. */
#define OC_TRACE(trace) \
	__attribute__((cleanup(oc_trace_leave), unused)) oc_trace_scope oc_trace_scope_ = oc_trace_enter(trace)

#endif
