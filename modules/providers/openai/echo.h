/*
 * What a server wants back as it sent it, beside the calls it led to: OpenRouter's reasoning_details, which come in pieces, and
 * the extra_content of calls, where Gemini signs its thoughts.  Pure.  [any]
 */
#ifndef OAI_ECHO_H
#define OAI_ECHO_H

#include "prv_json.h"

typedef struct oai_detail oai_detail;
typedef struct oai_echo {
	oai_detail *details;
	size_t n, bytes;
	bool failed; /* out of memory, or beyond the limits: then nothing is sent back */
} oai_echo;

void oai_echo_free(oai_echo *echo);
/* One chunk's reasoning_details. */
void oai_echo_details(oai_echo *echo, prv_json details);
/* Appends the block for the host: {"type":"thinking","field":"reasoning_details",…}. False: there is none. */
bool oai_echo_block(const oai_echo *echo, const char *provider, prv_text *out);

/* ---- On the way back ---- */

/* The value of such a block of this provider in an assistant message; absent when there is none. */
prv_json oai_echo_find(prv_json content, const char *field, const char *member, const char *provider);

#endif
