#include "core/base/hist.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S (1000 * MS)

const uint64_t oc_hist_bounds_ns[OC_HIST_BOUNDS] = {
	100 * US, 250 * US, 500 * US, 1 * MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
	500 * MS, 1 * S,    2500 * MS, 5 * S, 10 * S,	 20 * S, 30 * S,  60 * S,  120 * S, 300 * S,  600 * S,
};

void oc_hist_add_ns(oc_hist *h, uint64_t ns)
{
	size_t i = 0;
	while (i < OC_HIST_BOUNDS && ns > oc_hist_bounds_ns[i])
		i++;
	h->count[i]++;
	if (h->n++ == 0 || ns < h->min_ns)
		h->min_ns = ns;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

double oc_hist_quantile_of(const uint64_t *counts, const uint64_t *bounds, size_t n_bounds, uint64_t max_ns, double q)
{
	uint64_t n = 0, seen = 0;
	for (size_t i = 0; i <= n_bounds; i++)
		n += counts[i];
	if (n == 0)
		return 0;
	double rank = q * (double)n;
	for (size_t i = 0; i <= n_bounds; i++) {
		if (counts[i] == 0 || (double)(seen + counts[i]) < rank) {
			seen += counts[i];
			continue;
		}
		double from = i > 0 ? (double)bounds[i - 1] : 0, to = i < n_bounds ? (double)bounds[i] : (double)max_ns;
		if (max_ns > 0 && to > (double)max_ns)
			to = (double)max_ns;
		if (to < from)
			to = from;
		double part = (rank - (double)seen) / (double)counts[i];
		return (from + (to - from) * (part < 0 ? 0 : part)) / 1e9;
	}
	return (double)max_ns / 1e9;
}

double oc_hist_quantile(const oc_hist *h, double q)
{
	double least = (double)h->min_ns / 1e9;
	double value = oc_hist_quantile_of(h->count, oc_hist_bounds_ns, OC_HIST_BOUNDS, h->max_ns, q);
	return value < least ? least : value;
}
