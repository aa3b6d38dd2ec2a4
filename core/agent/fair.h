/*
 * A queue that is fair to the sources of what waits in it: each source has its turn before one of them has a second one,
 * however much a single source brings.  Within a source: first come, first served.  Adding cannot fail: without memory for
 * a source of its own an item joins the common one.
 */
#ifndef OC_AGENT_FAIR_H
#define OC_AGENT_FAIR_H

#include "core/agent/map.h"

typedef struct oc_fair_source oc_fair_source;

/* Part of what is queued. */
typedef struct oc_fair_item {
	struct oc_fair_item *next, *prev;
	oc_fair_source *source; /* NULL: not queued */
} oc_fair_item;

struct oc_fair_source {
	oc_map_node node;
	oc_fair_source *next, *prev; /* in the ring */
	oc_fair_item *first, *last;
};

typedef struct oc_fair {
	oc_fair_source *turn; /* whose turn it is; the ring's beginning */
	oc_map sources;
	oc_fair_source common;
	size_t n;
} oc_fair;

/* One that is queued already is left where it is. */
void oc_fair_push(oc_fair *fair, oc_fair_item *item, const char *source);
/* The next one, or NULL when there is none. */
oc_fair_item *oc_fair_pop(oc_fair *fair);
/* One that is not queued is ignored. */
void oc_fair_remove(oc_fair *fair, oc_fair_item *item);
/* Takes all out. */
void oc_fair_free(oc_fair *fair);

#endif
