/* A job's document: made, changed and checked; when it runs next. Pure but for the time zones' files. */
#ifndef OC_AGENT_CRON_JOB_H
#define OC_AGENT_CRON_JOB_H

#include "core/data/json.h"

/* A new document of what somebody asked for; state {"nextRunAtMs"?}. OC_E_INVALID. */
oc_status oc_cron_job_make(const cJSON *asked, int64_t now_ms, cJSON **ret, oc_err *err);
/* A changed copy. */
oc_status oc_cron_job_patch(const cJSON *job, const cJSON *patch, int64_t now_ms, cJSON **ret, oc_err *err);
/* The first time after after_ms, 0: never again. */
oc_status oc_cron_job_next(const cJSON *job, int64_t after_ms, int64_t *ret_ms, oc_err *err);

#endif
