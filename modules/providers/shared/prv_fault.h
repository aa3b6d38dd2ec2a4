/*
 * What went wrong at a provider: reading its error bodies, choosing the status that tells the host whether to retry, fall
 * back or compact, and one message for people that names the place and never a key.  [any]
 */
#ifndef PRV_FAULT_H
#define PRV_FAULT_H

#include "prv_json.h"

/* An error as a provider tells it. Members are "" when it does not. */
typedef struct prv_fault {
	oc_status status;	/* OC_OK: no fault */
	int32_t http;		/* 0: none, the fault came inside a stream or there was no answer */
	int64_t retry_after_ms; /* 0: not told */
	char type[64], code[64], param[64];
	char message[768]; /* one line, cut at a UTF-8 border */
} prv_fault;

/* Where it happened, for the message. Strings borrowed; "" when not known. */
typedef struct prv_place {
	const char *provider, *host, *model;
	oc_str key; /* blotted out wherever the provider repeats it */
} prv_place;

void prv_fault_clear(prv_fault *f);
/* A fault found here, not told by the provider. */
void prv_fault_set(prv_fault *f, oc_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Reads an error document: {"error":{…}}, {"error":"…"}, {"type":"error",…}, {"object":"error",…}, {"detail":…}, or the
 * first element of an array of them. False, f unchanged, when it is none of these. Does not choose the status. */
bool prv_fault_read(prv_fault *f, prv_json doc);
/* Fills f from an HTTP error answer (any body) and chooses the status. headers: a JSON object with lower-case names. */
void prv_fault_http(prv_fault *f, int32_t http, prv_json headers, oc_str body, int64_t now_unix);
/* Chooses the status from what is in f; http 0 uses the code when that is a number. */
void prv_fault_classify(prv_fault *f);
/* "retry-after-ms", "retry-after" (seconds or a date), else the time named in the message; 0 when none. */
int64_t prv_retry_after(prv_json headers, const char *message, int64_t now_unix);
/* The payload for call_done: {"message":"what, where","remedy":"what to do"?,"retryAfterMs":n?}. */
void prv_fault_payload(const prv_fault *f, const prv_place *place, prv_text *out);
/* Replaces the key, and whatever looks like one, in place by asterisks. */
void prv_redact(char *text, oc_str key);

#endif
