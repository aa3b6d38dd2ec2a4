/*
 * Tokens, money, messages and waiting times added up for reports: by day, model and tool.  What a model's answer cost in all was
 * written down when it came; how that divides into input, output and cache goes by the prices of today.  [loop]
 */
#ifndef OC_GATEWAY_TALLY_H
#define OC_GATEWAY_TALLY_H

#include "core/agent/agent.h"

enum {
	OC_SUM_INPUT, OC_SUM_OUTPUT, OC_SUM_CACHE_READ, OC_SUM_CACHE_WRITE, OC_SUM_TOKENS, OC_SUM_COST, OC_SUM_COST_INPUT,
	OC_SUM_COST_OUTPUT, OC_SUM_COST_CACHE_READ, OC_SUM_COST_CACHE_WRITE, OC_SUM_MISSING, /* answers whose price is not known */
	OC_SUM_N
};
typedef struct oc_sums {
	double v[OC_SUM_N];
} oc_sums;
void oc_sums_add(oc_sums *to, const oc_sums *more);
/* Each as a member, under the original's names. */
void oc_sums_put(cJSON *o, const oc_sums *sums);

enum { OC_COUNT_TOTAL, OC_COUNT_USER, OC_COUNT_ASSISTANT, OC_COUNT_CALLS, OC_COUNT_RESULTS, OC_COUNT_ERRORS, OC_COUNT_N };

/* What is added up under one name, of one day or of all. */
typedef struct oc_bucket {
	char date[11], name[200];
	int64_t count;
	oc_sums sums;
	int64_t counts[OC_COUNT_N];
} oc_bucket;
typedef struct oc_buckets {
	oc_bucket *row;
	size_t n, room;
	bool failed; /* no memory for one */
} oc_buckets;
/* Made when it is not there; NULL: no memory. Valid until the next one is made. */
oc_bucket *oc_buckets_of(oc_buckets *list, const char *date, const char *name);
void oc_buckets_free(oc_buckets *list);

/* What models cost: of oc_agent_models, which outlives it. */
oc_sums oc_sums_of(const cJSON *models, const char *model, const oc_usage *usage);

typedef struct oc_wait {
	char date[11];
	int64_t ms;
} oc_wait;
typedef struct oc_tally {
	oc_buckets days, models, model_days, tools;
	oc_sums sums;
	int64_t counts[OC_COUNT_N];
	int64_t first_ms, last_ms, asked_ms; /* asked_ms: the user's last message */
	oc_wait *waits; /* for answers */
	size_t n_waits, waits_room;
} oc_tally;
/* The day of a time, offset_ms ahead of UTC. */
void oc_tally_day(int64_t ms, int64_t offset_ms, char date[11]);
/* Counts a message, its time offset_ms ahead of UTC. */
void oc_tally_add(oc_tally *tally, const cJSON *models, const oc_message_fact *fact, int64_t offset_ms);
/* Adds what another one has; as if it had been counted here. */
void oc_tally_merge(oc_tally *tally, const oc_tally *more);
void oc_tally_sort_days(oc_tally *tally);
bool oc_tally_failed(const oc_tally *tally);
void oc_tally_free(oc_tally *tally);

/* Parts of reports. Each is the caller's, NULL when there is no memory. */
cJSON *oc_tally_counts(const int64_t counts[OC_COUNT_N]);
cJSON *oc_tally_models(const oc_buckets *models);	  /* [{"provider","model","count","totals"}], the dearest first */
cJSON *oc_tally_model_days(const oc_tally *tally);	  /* [{"date","provider","model","tokens","cost","count"}] */
cJSON *oc_tally_tools(const oc_tally *tally);	  /* {"totalCalls","uniqueTools","tools":[{"name","count"}]} */
cJSON *oc_tally_latency(const oc_tally *tally);	  /* {"count","avgMs","p95Ms","minMs","maxMs"}; NULL when there is none, too */
cJSON *oc_tally_latency_days(const oc_tally *tally);

#endif
