/*
 * Jobs by the clock: at a time, every so often, or by a cron expression; in the main session or in one of the job's own.
 *
 * Jobs and runs are in the store.  A run is written down before anything is done for it, together with the time of the next
 * one; its turn has an idempotency key made of it, and so has what is delivered: kill -9 at any moment loses no run and makes
 * none twice.  What was missed while the gateway was down runs once when it is up again.  One timer for the job that is due
 * next, looked at again every minute because the clock may be set.  Loop thread only; nothing is loaded when there are no
 * jobs.
 */
#ifndef OC_AGENT_CRON_H
#define OC_AGENT_CRON_H

#include "core/agent/agent.h"

enum { OC_CRON_JOBS_MAX = 1000, OC_CRON_ID_MAX = 64 };

/* ---- Jobs ---- */

/* {"enabled","storePath","jobs":n,"nextWakeAtMs":n|null}. */
cJSON *oc_cron_status(oc_agent *agent);
/* filter: {"includeDisabled"?,"enabled"?:"all|enabled|disabled","query"?,"sortBy"?:"nextRunAtMs|updatedAtMs|name","sortDir"?,
 * "limit"?,"offset"?}. {"jobs":[…],"total","offset","limit","hasMore","nextOffset"}; NULL: no memory. */
cJSON *oc_cron_list(oc_agent *agent, const cJSON *filter);
/* The job of that id as it is shown, borrowed until the next change; NULL: there is none. */
const cJSON *oc_cron_find(oc_agent *agent, const char *id);

/* Committed; job is borrowed, NULL when it failed or is removed. */
typedef void (*oc_cron_done)(void *arg, oc_status status, const cJSON *job, const oc_err *err);
/* OC_E_INVALID: err tells what is wrong with it. After an error done is not called. */
oc_status oc_cron_add(oc_agent *agent, const cJSON *asked, oc_cron_done done, void *arg, oc_err *err);
oc_status oc_cron_update(oc_agent *agent, const char *id, const cJSON *patch, oc_cron_done done, void *arg, oc_err *err);
/* OC_E_NOT_FOUND. A run under way goes on. */
oc_status oc_cron_remove(oc_agent *agent, const char *id, oc_cron_done done, void *arg, oc_err *err);
/* Runs it now; unless force only when it is due. {"ok":true,"enqueued":true,"runId"} or {"ok":true,"ran":false,"reason"}. */
oc_status oc_cron_run_now(oc_agent *agent, const char *id, bool force, cJSON **ret, oc_err *err);
/* filter: {"id"|"jobId"?,"limit"?,"offset"?,"status"?,"sortDir"?}: {"entries":[…],"total",…}. */
oc_status oc_cron_runs(oc_agent *agent, const cJSON *filter, cJSON **ret, oc_err *err);

/* ---- Life ---- */

/* The gateway answers: jobs are read, what was cut short is taken up, what was missed runs. */
void oc_cron_start(oc_agent *agent);
void oc_cron_reload(oc_agent *agent);
void oc_cron_free(oc_agent *agent);

#endif
