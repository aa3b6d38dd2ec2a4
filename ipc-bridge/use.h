/* What a process and those below it use, and whether they compute without a pause.  [any] */
#ifndef OC_BRIDGE_USE_H
#define OC_BRIDGE_USE_H

#include <stdint.h>

typedef struct oc_use {
	uint64_t memory;    /* resident bytes */
	uint64_t cpu_ms;    /* of processors, since they began */
	uint64_t queued_ms; /* that they could have computed, had nobody else; 0 where the kernel does not say */
	unsigned processes;
} oc_use;

/* Adds a process and all below it; one that is gone adds nothing but its number. */
void oc_use_add(long pid, oc_use *sum);

typedef struct oc_busy {
	uint64_t cpu_ms, queued_ms;
	unsigned looks;
} oc_busy;

/* To be called every span_ms: how many times in a row they wanted a processor nearly all the time since the last look. */
unsigned oc_busy_look(oc_busy *busy, const oc_use *use, uint64_t span_ms);

#endif
