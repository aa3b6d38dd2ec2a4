/*
 * What the offline provider answers: a script made from the last message of the user, and nothing else.  Pure: the same
 * request gives the same script.  [any]
 */
#ifndef OFF_SCRIPT_H
#define OFF_SCRIPT_H

#include "prv_json.h"

enum { OFF_TEXT = 1, OFF_THINK, OFF_CALL, OFF_ERROR };

typedef struct off_step {
	int kind;
	prv_text text;	   /* said, thought, the error's message; the payload of a call */
	uint32_t delay_ms; /* between words; OFF_UNSET: the module's own */
	oc_status status;  /* of an error */
	uint32_t retry_ms; /* of an error; 0: not told */
} off_step;

enum {
	OFF_MAX_STEPS = 256,
	OFF_MAX_TEXT = 1 << 20, /* bytes of one step */
	OFF_MAX_DELAY_MS = 60000,
	OFF_UNSET = 0xffffffff
};

typedef struct off_script {
	off_step *steps; /* OFF_MAX_STEPS */
	size_t n;
	bool calls;	      /* ends with tool calls */
	int64_t input_tokens; /* a guess: four bytes each */
} off_script;

/* request: the host's. model: without the provider; "steady" answers where "echo" would fail. False: out of memory. */
bool off_script_make(prv_json request, off_script *ret);
void off_script_free(off_script *script);

#endif
