/* What a guest's process prints, a line at a time, and no more of it than anybody could read.  [loop] */
#ifndef OC_BRIDGE_OUTPUT_H
#define OC_BRIDGE_OUTPUT_H

#include "core/security/process.h"

/* Begins as {0} but for the first four. */
typedef struct oc_output {
	oc_owner *owner; /* of its timer */
	void (*line)(void *arg, oc_str line);
	void (*dropped)(void *arg, uint64_t lines); /* so many within a second were too many */
	void *arg;
	char *partial; /* not ended yet */
	unsigned lines;
	uint64_t lines_dropped, window_bytes, window_ms;
	oc_watch *window;
	oc_proc *proc; /* that is not read for a while */
} oc_output;

enum { OC_OUTPUT_LINES = 200 /* of a second are told */ };

void oc_output_take(oc_output *output, oc_proc *proc, oc_str data);
/* Counts a line that came another way; false: it is one too many. */
bool oc_output_may(oc_output *output);
void oc_output_end(oc_output *output); /* frees what it has; it may be used again */

#endif
