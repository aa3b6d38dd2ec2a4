/* The jobs: read, shown, changed, and the timer for the next one that is due. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/agent/cron_int.h"
#include "core/agent/cron_job.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#define LOOK_MS 60000	      /* the clock may be set while the timer sleeps */
#define MISSED_AT_ONCE 5      /* after downtime; the others follow */
#define MISSED_GAP_MS 5000
#define BACK_MS 2000	      /* the clock was set back by more than that */

oc_cron_job *oc_cron_job_find(struct oc_cron *cron, const char *id)
{
	for (oc_cron_job *job = cron != NULL ? cron->jobs : NULL; job != NULL; job = job->next)
		if (strcmp(job->id, id) == 0)
			return job;
	return NULL;
}

static struct oc_cron *cron_of(oc_agent *agent)
{
	if (agent->cron == NULL && (agent->cron = oc_alloc(sizeof *agent->cron)) != NULL)
		agent->cron->agent = agent;
	return agent->cron;
}

static bool enabled(const oc_agent *agent)
{
	const char *skip = getenv("OPENCLAW_SKIP_CRON");
	return oc_config_bool(agent->config, "cron.enabled", true) && (skip == NULL || skip[0] == 0 || strcmp(skip, "0") == 0);
}

static int64_t next_of(const oc_cron_job *job)
{
	return oc_json_bool(job->doc, "enabled", true) ? oc_json_i64(oc_json_get(job->doc, "state"), "nextRunAtMs", 0) : 0;
}

void oc_cron_tell(oc_agent *agent, const char *job, const char *action, cJSON *more)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "jobId", job);
	(void)oc_json_set_str(o, "action", action);
	while (more != NULL && more->child != NULL) {
		cJSON *m = cJSON_DetachItemViaPointer(more, more->child);
		oc_auto_free char *name = oc_strdup(m->string);
		if (name == NULL || !oc_json_set(o, name, m))
			break;
	}
	cJSON_Delete(more);
	oc_agent_emit_plain(agent, OC_AGENT_EV_CRON, NULL, o);
}

static void tell_change(oc_agent *agent, const oc_cron_job *job, const char *action)
{
	cJSON *more = cJSON_CreateObject();
	if (job->due_ms > 0)
		(void)oc_json_set_i64(more, "nextRunAtMs", job->due_ms);
	oc_cron_tell(agent, job->id, action, more);
}

/* ---- The timer ---- */

static size_t room(const oc_agent *agent)
{
	size_t most = (size_t)oc_config_i64(agent->config, "cron.maxConcurrentRuns", 1);
	return most > agent->cron->n_running ? most - agent->cron->n_running : 0;
}

/* The clock was set back: what follows a rhythm goes on in it now, instead of waiting until the clock is where it was. */
static void clock_back(struct oc_cron *cron, int64_t now)
{
	for (oc_cron_job *job = cron->jobs; job != NULL; job = job->next) {
		int64_t next = 0;
		bool once = strcmp(oc_json_str(oc_json_get(job->doc, "schedule"), "kind", ""), "at") == 0;
		if (!once && job->due_ms > now && oc_cron_job_next(job->doc, now, &next, NULL) == OC_OK && next > 0 && next < job->due_ms) {
			job->due_ms = next;
			(void)oc_json_set_i64(cJSON_GetObjectItemCaseSensitive(job->doc, "state"), "nextRunAtMs", next);
		}
		job->not_before_ms = 0;
	}
}

static oc_cron_job *most_due(struct oc_cron *cron, int64_t now)
{
	oc_cron_job *found = NULL;
	for (oc_cron_job *job = cron->jobs; job != NULL; job = job->next)
		if (job->due_ms > 0 && job->due_ms <= now && job->not_before_ms <= now && job->running == 0 &&
		    (found == NULL || job->due_ms < found->due_ms))
			found = job;
	return found;
}

static void on_timer(void *arg)
{
	oc_cron_tick(arg);
}

static void arm(oc_agent *agent, int64_t now)
{
	struct oc_cron *cron = agent->cron;
	int64_t next = 0;
	for (const oc_cron_job *job = cron->jobs; job != NULL; job = job->next) {
		int64_t at = job->due_ms > job->not_before_ms ? job->due_ms : job->not_before_ms;
		/* What is due and waits for room or for itself is looked at when a run ends. */
		if (job->due_ms > 0 && job->running == 0 && (at > now || room(agent) > 0) && (next == 0 || at < next))
			next = at;
	}
	if (next == 0) {
		oc_watch_end(cron->timer);
		cron->timer = NULL;
		return;
	}
	int64_t wait = next <= now ? 1 : next - now < LOOK_MS ? next - now : LOOK_MS;
	if (cron->timer != NULL)
		oc_timer_again(cron->timer, (uint64_t)wait);
	else if ((cron->timer = oc_timer_start(agent->owner, (uint64_t)wait, 0, on_timer, agent)) == NULL)
		oc_error("cron", "there is no memory for a timer: jobs wait until the next change");
}

void oc_cron_tick(oc_agent *agent)
{
	struct oc_cron *cron = agent->cron;
	if (cron == NULL || agent->one_shot || agent->draining)
		return;
	if (!enabled(agent)) {
		oc_watch_end(cron->timer);
		cron->timer = NULL;
		return;
	}
	int64_t now = oc_wall_ms();
	if (now + BACK_MS < cron->seen_ms)
		clock_back(cron, now);
	cron->seen_ms = now;
	for (oc_cron_job *job; room(agent) > 0 && (job = most_due(cron, now)) != NULL;) {
		oc_err err = {0};
		if (oc_cron_begin(agent, job, job->due_ms, false, &err) != OC_OK) {
			oc_log_err(OC_LOG_WARN, "cron", "a job cannot be started now", &err);
			job->not_before_ms = now + 10000;
		}
	}
	arm(agent, now);
}

/* ---- Life ---- */

static oc_cron_job *add_job(struct oc_cron *cron, cJSON *doc)
{
	oc_cron_job *job = oc_alloc(sizeof *job), **at = &cron->jobs;
	if (job == NULL) {
		cJSON_Delete(doc);
		return NULL;
	}
	(void)snprintf(job->id, sizeof job->id, "%s", oc_json_str(doc, "id", ""));
	job->doc = doc;
	job->due_ms = next_of(job);
	while (*at != NULL)
		at = &(*at)->next;
	*at = job;
	cron->n_jobs++;
	return job;
}

void oc_cron_job_drop(struct oc_cron *cron, oc_cron_job *job)
{
	oc_cron_job **at = &cron->jobs;
	while (*at != NULL && *at != job)
		at = &(*at)->next;
	if (*at != NULL) {
		*at = job->next;
		cron->n_jobs--;
	}
	cJSON_Delete(job->doc);
	oc_free(job);
}

/* Many jobs that were missed do not all begin in the same moment. */
static void spread_missed(struct oc_cron *cron, int64_t now)
{
	int n = 0;
	for (oc_cron_job *job = cron->jobs; job != NULL; job = job->next)
		if (job->due_ms > 0 && job->due_ms <= now && ++n > MISSED_AT_ONCE)
			job->not_before_ms = now + (n - MISSED_AT_ONCE) * MISSED_GAP_MS;
	if (n > 0)
		oc_info("cron", "%d job%s missed while the gateway was down", n, n == 1 ? " was" : "s were");
}

/* Once; at the start of the gateway, or by the first who asks. rows: to be deleted. */
static oc_status load(oc_agent *agent, cJSON **ret_rows, oc_err *err)
{
	const cJSON *row;
	if (agent->cron_read)
		return OC_OK;
	oc_status status = oc_store_cron(agent->store, ret_rows, err);
	if (status == OC_OK && cJSON_GetArraySize(*ret_rows) > 0 && cron_of(agent) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for jobs");
	if (status != OC_OK)
		return status;
	agent->cron_read = true;
	cJSON_ArrayForEach(row, *ret_rows)
	{
		if (oc_json_get(row, "job") != NULL)
			(void)add_job(agent->cron, cJSON_Duplicate(oc_json_get(row, "job"), true));
	}
	return OC_OK;
}

/* The jobs are there to be looked at. */
static oc_status ready(oc_agent *agent, oc_err *err)
{
	oc_auto_json cJSON *rows = NULL;
	return load(agent, &rows, err);
}

void oc_cron_start(oc_agent *agent)
{
	oc_auto_json cJSON *rows = NULL;
	oc_err err = {0};
	const cJSON *row;
	if (agent->one_shot || agent->draining)
		return;
	if (load(agent, &rows, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "cron", "the jobs cannot be read", &err);
		return;
	}
	if (agent->cron == NULL)
		return; /* there are none: the first one makes it */
	agent->cron->seen_ms = oc_wall_ms();
	spread_missed(agent->cron, oc_wall_ms());
	cJSON_ArrayForEach(row, rows)
	{
		if (oc_json_get(row, "run") != NULL)
			oc_cron_take_up(agent, oc_json_str(row, "run", ""), oc_json_get(row, "entry"));
	}
	oc_cron_tick(agent);
}

void oc_cron_reload(oc_agent *agent)
{
	oc_cron_tick(agent);
}

void oc_cron_free(oc_agent *agent)
{
	struct oc_cron *cron = agent->cron;
	if (cron == NULL)
		return;
	while (cron->runs != NULL)
		oc_cron_run_free(cron->runs);
	while (cron->jobs != NULL)
		oc_cron_job_drop(cron, cron->jobs);
	oc_agent_unsubscribe(cron->ear);
	oc_watch_end(cron->timer);
	oc_free(cron);
	agent->cron = NULL;
}

/* ---- Showing ---- */

const cJSON *oc_cron_find(oc_agent *agent, const char *id)
{
	(void)ready(agent, NULL);
	const oc_cron_job *job = oc_cron_job_find(agent->cron, id);
	return job != NULL ? job->doc : NULL;
}

cJSON *oc_cron_status(oc_agent *agent)
{
	cJSON *o = cJSON_CreateObject();
	int64_t next = 0;
	(void)ready(agent, NULL);
	const oc_cron_job *job = agent->cron != NULL ? agent->cron->jobs : NULL;
	for (; job != NULL; job = job->next)
		if (job->due_ms > 0 && (next == 0 || job->due_ms < next))
			next = job->due_ms;
	bool on = enabled(agent);
	(void)oc_json_set_bool(o, "enabled", on);
	(void)oc_json_set_str(o, "storePath", oc_store_path(agent->store));
	(void)oc_json_set_i64(o, "jobs", agent->cron != NULL ? (int64_t)agent->cron->n_jobs : 0);
	(void)oc_json_set(o, "nextWakeAtMs", on && next > 0 ? cJSON_CreateNumber((double)next) : cJSON_CreateNull());
	return o;
}

static bool wanted(const oc_cron_job *job, const cJSON *filter)
{
	const char *which = oc_json_str(filter, "enabled", oc_json_bool(filter, "includeDisabled", false) ? "all" : "enabled");
	const char *query = oc_json_str(filter, "query", "");
	bool on = oc_json_bool(job->doc, "enabled", true);
	if ((strcmp(which, "enabled") == 0 && !on) || (strcmp(which, "disabled") == 0 && on))
		return false;
	return query[0] == 0 || strcasestr(oc_json_str(job->doc, "name", ""), query) != NULL ||
	       strcasestr(oc_json_str(job->doc, "description", ""), query) != NULL ||
	       strcasestr(oc_json_str(job->doc, "agentId", ""), query) != NULL;
}

typedef struct sorting {
	const char *by;
	int sign;
} sorting;

static int compare(const void *a, const void *b, void *arg)
{
	const oc_cron_job *x = *(const oc_cron_job *const *)a, *y = *(const oc_cron_job *const *)b;
	const sorting *s = arg;
	int64_t p = x->due_ms > 0 ? x->due_ms : INT64_MAX, q = y->due_ms > 0 ? y->due_ms : INT64_MAX;
	if (strcmp(s->by, "name") == 0)
		return s->sign * strcasecmp(oc_json_str(x->doc, "name", ""), oc_json_str(y->doc, "name", ""));
	if (strcmp(s->by, "updatedAtMs") == 0) {
		p = oc_json_i64(x->doc, "updatedAtMs", 0);
		q = oc_json_i64(y->doc, "updatedAtMs", 0);
	}
	return s->sign * ((p > q) - (p < q));
}

/* "total", "offset", "limit", "hasMore", "nextOffset". */
static void add_page(cJSON *o, int64_t total, int64_t offset, int64_t limit, int64_t shown)
{
	bool more = offset + shown < total;
	(void)oc_json_set_i64(o, "total", total);
	(void)oc_json_set_i64(o, "offset", offset);
	(void)oc_json_set_i64(o, "limit", limit);
	(void)oc_json_set_bool(o, "hasMore", more);
	(void)oc_json_set(o, "nextOffset", more ? cJSON_CreateNumber((double)(offset + shown)) : cJSON_CreateNull());
}

cJSON *oc_cron_list(oc_agent *agent, const cJSON *filter)
{
	(void)ready(agent, NULL);
	struct oc_cron *cron = agent->cron;
	size_t n = 0, n_jobs = cron != NULL ? cron->n_jobs : 0;
	oc_auto_free const oc_cron_job **found = oc_alloc((n_jobs + 1) * sizeof *found);
	cJSON *o = cJSON_CreateObject(), *jobs = cJSON_AddArrayToObject(o, "jobs");
	if (found == NULL || jobs == NULL) {
		cJSON_Delete(o);
		return NULL;
	}
	for (const oc_cron_job *job = cron != NULL ? cron->jobs : NULL; job != NULL; job = job->next)
		if (wanted(job, filter))
			found[n++] = job;
	sorting s = {oc_json_str(filter, "sortBy", "nextRunAtMs"), strcmp(oc_json_str(filter, "sortDir", "asc"), "desc") == 0 ? -1 : 1};
	qsort_r(found, n, sizeof *found, compare, &s);
	int64_t total = (int64_t)n, offset = oc_json_i64(filter, "offset", 0), limit = oc_json_i64(filter, "limit", total > 0 ? total : 50);
	limit = limit > 200 ? 200 : limit < 1 ? 1 : limit;
	offset = offset > total ? total : offset;
	int64_t end = offset + limit < total ? offset + limit : total;
	for (int64_t i = offset; i < end; i++)
		cJSON_AddItemToArray(jobs, cJSON_Duplicate(found[i]->doc, true));
	add_page(o, total, offset, limit, end - offset);
	return o;
}

/* One name or several, as "a,b"; NULL: all. */
static const char *chosen(const cJSON *filter, const char *several, const char *one, char out[64])
{
	const cJSON *list = oc_json_get(filter, several), *each;
	size_t n = 0;
	cJSON_ArrayForEach(each, list) n += n < 64 ? (size_t)snprintf(out + n, 64 - n, "%s%s", n > 0 ? "," : "", each->valuestring) : 0;
	if (n == 0)
		(void)snprintf(out, 64, "%s", oc_json_str(filter, one, "all"));
	return strstr(out, "all") != NULL ? NULL : out;
}

oc_status oc_cron_runs(oc_agent *agent, const cJSON *filter, cJSON **ret, oc_err *err)
{
	char statuses[64], deliveries[64];
	oc_str query = oc_str_trim(oc_json_ostr(filter, "query"));
	oc_auto_free char *text = query.n > 0 ? oc_memdup(query.p, query.n) : NULL;
	oc_cron_run_filter f = {
		.job = oc_json_str(filter, "id", oc_json_str(filter, "jobId", NULL)),
		.statuses = chosen(filter, "statuses", "status", statuses),
		.deliveries = chosen(filter, "deliveryStatuses", "deliveryStatus", deliveries),
		.text = text,
		.oldest_first = strcmp(oc_json_str(filter, "sortDir", "desc"), "asc") == 0,
		.limit = oc_json_i64(filter, "limit", 50),
		.offset = oc_json_i64(filter, "offset", 0),
	};
	oc_auto_json cJSON *rows = NULL;
	int64_t total = 0;
	f.limit = f.limit > 200 ? 200 : f.limit;
	oc_status status = oc_store_cron_runs(agent->store, &f, &rows, &total, err);
	if (status != OC_OK)
		return status;
	cJSON *o = cJSON_CreateObject(), *entries = cJSON_AddArrayToObject(o, "entries"), *row;
	cJSON_ArrayForEach(row, rows)
	{
		cJSON *entry = cJSON_DetachItemFromObjectCaseSensitive(row, "entry");
		const oc_cron_job *job = f.job == NULL ? oc_cron_job_find(agent->cron, oc_json_str(entry, "jobId", "")) : NULL;
		if (job != NULL)
			oc_json_opt(entry, "jobName", oc_json_str(job->doc, "name", NULL));
		cJSON_AddItemToArray(entries, entry);
	}
	add_page(o, total, f.offset, f.limit, cJSON_GetArraySize(rows));
	*ret = o;
	return OC_OK;
}

/* ---- Changing ---- */

typedef struct change {
	oc_agent *agent;
	char id[OC_CRON_ID_MAX + 1];
	cJSON *doc; /* NULL: removed */
	bool is_new;
	oc_cron_done done;
	void *arg;
} change;

static void apply(change *c)
{
	oc_agent *agent = c->agent;
	oc_cron_job *job = oc_cron_job_find(agent->cron, c->id);
	if (c->doc == NULL) {
		if (job != NULL)
			oc_cron_job_drop(agent->cron, job);
		oc_cron_tell(agent, c->id, "removed", NULL);
		return;
	}
	if (job == NULL) {
		job = add_job(agent->cron, c->doc);
	} else {
		/* What a run wrote into the state meanwhile stays. */
		cJSON *state = cJSON_DetachItemFromObjectCaseSensitive(job->doc, "state"), *next = cJSON_GetObjectItemCaseSensitive(c->doc, "state");
		if (oc_json_get(next, "nextRunAtMs") != NULL)
			(void)oc_json_set_i64(state, "nextRunAtMs", oc_json_i64(next, "nextRunAtMs", 0));
		else
			cJSON_DeleteItemFromObjectCaseSensitive(state, "nextRunAtMs");
		(void)oc_json_set(c->doc, "state", state);
		cJSON_Delete(job->doc);
		job->doc = c->doc;
		job->due_ms = next_of(job);
		job->not_before_ms = 0;
	}
	c->doc = NULL;
	if (job != NULL)
		tell_change(agent, job, c->is_new ? "added" : "updated");
}

static void changed(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	change *c = arg;
	if (status == OC_OK)
		apply(c);
	const oc_cron_job *job = oc_cron_job_find(c->agent->cron, c->id);
	if (c->done != NULL)
		c->done(c->arg, status, status == OC_OK && job != NULL ? job->doc : NULL, err);
	cJSON_Delete(c->doc);
	if (status == OC_OK)
		oc_cron_tick(c->agent);
	oc_free(c);
}

/* Takes doc. */
static oc_status commit(oc_agent *agent, const char *id, cJSON *doc, bool is_new, oc_cron_done done, void *arg, oc_err *err)
{
	change *c = oc_alloc(sizeof *c);
	oc_batch *b = oc_batch_new(agent->store);
	oc_auto_free char *json = doc != NULL ? oc_json_print(doc) : NULL;
	if (c == NULL || b == NULL || (doc != NULL && json == NULL)) {
		oc_free(c);
		oc_batch_free(b);
		cJSON_Delete(doc);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
	}
	*c = (change){.agent = agent, .doc = doc, .is_new = is_new, .done = done, .arg = arg};
	(void)snprintf(c->id, sizeof c->id, "%s", id);
	oc_batch_cron_job(b, id, json);
	oc_status status = oc_batch_commit(b, changed, c, err);
	if (status != OC_OK) {
		cJSON_Delete(doc);
		oc_free(c);
	}
	return status;
}

static oc_status find(oc_agent *agent, const char *id, oc_cron_job **ret, oc_err *err)
{
	oc_status status = ready(agent, err);
	if (status != OC_OK)
		return status;
	*ret = oc_cron_job_find(agent->cron, id);
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOT_FOUND, "see `openclaw cron list --all`", "unknown cron job id: %.80s", id);
}

/* A job for nobody would fail each time. */
static oc_status check_agent(const oc_agent *agent, const cJSON *doc, oc_err *err)
{
	const char *id = oc_json_str(doc, "agentId", "");
	if (id[0] == 0 || oc_agent_is_known(agent->config, id))
		return OC_OK;
	return oc_fail(err, OC_E_INVALID, "add it to agents.list", "there is no agent %s", id);
}

oc_status oc_cron_add(oc_agent *agent, const cJSON *asked, oc_cron_done done, void *arg, oc_err *err)
{
	cJSON *doc = NULL;
	oc_status status = ready(agent, err);
	struct oc_cron *cron = status == OC_OK ? cron_of(agent) : NULL;
	if (cron == NULL)
		return status != OC_OK ? status : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
	if (cron->n_jobs >= OC_CRON_JOBS_MAX)
		return oc_fail(err, OC_E_LIMIT, "remove some: openclaw cron rm ID", "there are %d jobs already", OC_CRON_JOBS_MAX);
	status = oc_cron_job_make(asked, oc_wall_ms(), &doc, err);
	if (status == OC_OK)
		status = check_agent(agent, doc, err);
	if (status != OC_OK)
		cJSON_Delete(doc);
	return status == OC_OK ? commit(agent, oc_json_str(doc, "id", ""), doc, true, done, arg, err) : status;
}

oc_status oc_cron_update(oc_agent *agent, const char *id, const cJSON *patch, oc_cron_done done, void *arg, oc_err *err)
{
	cJSON *doc = NULL;
	oc_cron_job *job;
	oc_status status = find(agent, id, &job, err);
	if (status == OC_OK)
		status = oc_cron_job_patch(job->doc, patch, oc_wall_ms(), &doc, err);
	if (status == OC_OK && oc_json_get(patch, "agentId") != NULL)
		status = check_agent(agent, doc, err);
	if (status != OC_OK)
		cJSON_Delete(doc);
	return status == OC_OK ? commit(agent, id, doc, false, done, arg, err) : status;
}

oc_status oc_cron_remove(oc_agent *agent, const char *id, oc_cron_done done, void *arg, oc_err *err)
{
	oc_cron_job *job;
	oc_status status = find(agent, id, &job, err);
	return status == OC_OK ? commit(agent, id, NULL, false, done, arg, err) : status;
}

static oc_status not_run(const char *why, cJSON **ret, oc_err *err)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_bool(o, "ran", false);
	*ret = o;
	return oc_json_set_str(o, "reason", why) ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a run");
}

oc_status oc_cron_run_now(oc_agent *agent, const char *id, bool force, cJSON **ret, oc_err *err)
{
	oc_cron_job *job;
	int64_t now = oc_wall_ms();
	oc_status status = find(agent, id, &job, err);
	if (status != OC_OK)
		return status;
	if (job->running > 0)
		return not_run("already-running", ret, err);
	bool due = job->due_ms > 0 && job->due_ms <= now;
	if (!force && !due)
		return not_run("not-due", ret, err);
	status = oc_cron_begin(agent, job, due ? job->due_ms : 0, true, err);
	if (status != OC_OK)
		return status;
	oc_auto_free char *run = oc_asprintf("manual:%s:%lld:%llu", job->id, (long long)now, (unsigned long long)++agent->cron->manual_runs);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_bool(o, "enqueued", true);
	oc_json_opt(o, "runId", run);
	*ret = o;
	return OC_OK;
}
