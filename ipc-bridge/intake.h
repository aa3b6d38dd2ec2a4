/*
 * What a plugin asks of the gateway, and tells it.  Taken at once while that costs little; a plugin that wants more of the loop
 * than is right waits for its turns, in order, and is not read when too much of it waits: it is slowed down, nobody else.
 * All functions are on the loop thread.
 */
#ifndef OC_BRIDGE_INTAKE_H
#define OC_BRIDGE_INTAKE_H

#include "core/loop/loop.h"
#include "ipc-bridge/frame.h"

enum {
	OC_INTAKE_BACKLOG_MAX = 256, /* calls and notes that wait: then its process is not read */
	OC_INTAKE_BACKLOG_BYTES = 4 << 20, /* the same in bytes */
	OC_INTAKE_CALLS_MAX = 1024,  /* calls of it without an answer yet: further ones are refused */
};

typedef struct oc_intake_item oc_intake_item;

/* Zeroed at first. */
typedef struct oc_intake {
	int64_t credit_ns; /* that it may take at once; below zero: what it took too much */
	uint64_t at_ns;	   /* when that was */
	oc_intake_item *first, **last;
	unsigned n;	    /* that wait */
	size_t bytes;	    /* of them */
	oc_watch *turn;	    /* while some do */
	uint64_t behind_ms; /* monotonic: since when, until it was told */
	uint64_t waited;    /* since it was told */
	unsigned calls;	    /* of its process, not answered yet */
	bool paused;	    /* its process is not read */
} oc_intake;

#endif
