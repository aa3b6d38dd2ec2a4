#include "core/base/queues.h"

#include <stdatomic.h>

static _Atomic uint64_t refused[OC_QUEUE_N];

const char *oc_queue_name(oc_queue queue)
{
	/* One text and no table of addresses, which the start would have to fill in. */
#define ROW(name) #name "\0"
	const char *at = OC_QUEUES(ROW);
#undef ROW
	for (unsigned i = 0; i < (unsigned)queue; i++)
		while (*at++ != 0)
			;
	return at;
}

void oc_fill_add(oc_fill *fill, uint64_t depth, uint64_t capacity)
{
	if (fill->capacity == 0 || depth > fill->depth) {
		fill->depth = depth;
		fill->capacity = capacity;
	}
	fill->all += depth;
}

void oc_queue_refused(oc_queue queue)
{
	(void)atomic_fetch_add_explicit(&refused[queue], 1, memory_order_relaxed);
}

uint64_t oc_queue_refusals(oc_queue queue)
{
	return atomic_load_explicit(&refused[queue], memory_order_relaxed);
}
