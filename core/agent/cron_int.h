/* What the files of core/agent/cron*.c share. */
#ifndef OC_AGENT_CRON_INT_H
#define OC_AGENT_CRON_INT_H

#include "core/agent/cron.h"
#include "core/agent/internal.h"
#include "core/net/http_client.h"

enum { OC_CRON_RUNS_KEPT = 500, OC_CRON_SUMMARY_MAX = 2000 };

typedef struct oc_cron_job {
	struct oc_cron_job *next;
	cJSON *doc;
	char id[OC_CRON_ID_MAX + 1];
	int64_t due_ms;	   /* wall clock; 0: never */
	int64_t not_before_ms; /* it could not be begun */
	unsigned running;
} oc_cron_job;

typedef struct oc_cron_run {
	struct oc_cron_run *next;
	oc_agent *agent;
	char id[37], job[OC_CRON_ID_MAX + 1], name[201];
	char turn[37]; /* "" until it is submitted */
	char delivery[80]; /* the outbox row that is waited for, "" none */
	bool manual, took_up;
	bool queued; /* delivery is in the store */
	int64_t slot_ms, started_ms;
	cJSON *doc;   /* the job as it was */
	cJSON *entry; /* of the history */
	char *text;   /* what the model said */
	oc_watch *timer;
	oc_http_call *post;
} oc_cron_run;

struct oc_cron {
	oc_agent *agent;
	oc_cron_job *jobs;
	size_t n_jobs, n_running;
	oc_cron_run *runs;
	oc_watch *timer;
	oc_agent_sub *ear;    /* for deliveries, while somebody waits for one */
	int64_t seen_ms;      /* the wall clock, when it was looked at last */
	uint64_t manual_runs;
};

void oc_cron_job_drop(struct oc_cron *cron, oc_cron_job *job); /* out of the list, freed */
oc_cron_job *oc_cron_job_find(struct oc_cron *cron, const char *id);
/* Looks for what is due, and sets the timer. */
void oc_cron_tick(oc_agent *agent);
/* {"jobId","action",…} to everybody; takes more (NULL: nothing). */
void oc_cron_tell(oc_agent *agent, const char *job, const char *action, cJSON *more);
/* The job's document into the store and its due time out of it. */
void oc_cron_job_put(oc_batch *b, oc_cron_job *job);

/* ---- cron_run.c ---- */

/* Writes the run down, then starts it. slot: what it is due for. */
oc_status oc_cron_begin(oc_agent *agent, oc_cron_job *job, int64_t slot_ms, bool manual, oc_err *err);
/* One that the last process left. */
void oc_cron_take_up(oc_agent *agent, const char *run, const cJSON *entry);
void oc_cron_run_free(oc_cron_run *run);

/* ---- cron_deliver.c ---- */

/* Sends what the run has to say, and notes how that went in its entry; then oc_cron_finish. */
void oc_cron_deliver(oc_cron_run *run);
void oc_cron_finish(oc_cron_run *run);
/* A run failed: word of it goes to the failure destination, when there is one. */
void oc_cron_tell_failure(oc_agent *agent, const oc_cron_job *job, const cJSON *entry);
/* After so many failures in a row somebody is told, when that is configured. */
void oc_cron_alert(oc_agent *agent, oc_cron_job *job, int64_t errors, const char *error);

#endif
