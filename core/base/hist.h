/*
 * A histogram of durations with fixed bounds, as Prometheus wants them: cumulative sums are made when it is read.
 * One thread at a time; a zeroed one is empty.
 */
#ifndef OC_BASE_HIST_H
#define OC_BASE_HIST_H

#include <stddef.h>
#include <stdint.h>

#define OC_HIST_BOUNDS 22 /* and one more bucket for what is longer than all of them */

typedef struct oc_hist {
	uint64_t count[OC_HIST_BOUNDS + 1]; /* per bucket, not cumulative */
	uint64_t n, sum_ns, max_ns, min_ns;
} oc_hist;

/* Upper bounds in nanoseconds, from 100 us to 10 minutes. */
extern const uint64_t oc_hist_bounds_ns[OC_HIST_BOUNDS];

void oc_hist_add_ns(oc_hist *h, uint64_t ns);
/* The duration in seconds under which the part q (0 to 1) lies, by linear interpolation within its bucket; 0 when empty. */
double oc_hist_quantile(const oc_hist *h, double q);
/* The same over any counts: bounds in nanoseconds, n_bounds + 1 counts. max_ns ends the last bucket. */
double oc_hist_quantile_of(const uint64_t *counts, const uint64_t *bounds, size_t n_bounds, uint64_t max_ns, double q);

#endif
