/* What a run has to say, and to whom; and its end. */
#include <string.h>

#include "core/agent/cron_int.h"
#include "core/agent/cron_job.h"
#include "core/agent/heartbeat.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/utf8.h"

#define DELIVERY_MS 60000 /* then the outbox goes on trying by itself */
#define POST_MS 10000
#define ONCE_TRIES 3

static const char *mode_of(const oc_cron_run *run)
{
	return oc_json_str(oc_json_get(run->doc, "delivery"), "mode", "none");
}

static bool is_ok(const oc_cron_run *run)
{
	return strcmp(oc_json_str(run->entry, "status", ""), "ok") == 0;
}

static void note(oc_cron_run *run, bool delivered, const char *status, const char *error)
{
	if (strcmp(status, "not-requested") != 0 && strcmp(status, "unknown") != 0)
		(void)oc_json_set_bool(run->entry, "delivered", delivered);
	(void)oc_json_set_str(run->entry, "deliveryStatus", status);
	oc_json_opt(run->entry, "deliveryError", error);
}

/* ---- The end ---- */

/* Waits longer after each failure; a job for once is tried a few times. */
static void back_off(oc_cron_job *job, cJSON *state, int64_t errors, bool once, int64_t now)
{
	static const int64_t pauses[] = {30000, 60000, 300000, 900000, 3600000};
	int64_t pause = pauses[errors < 5 ? errors - 1 : 4];
	if (once && errors <= ONCE_TRIES)
		job->due_ms = now + pause;
	else if (!once && job->due_ms > 0 && job->due_ms < now + pause)
		job->due_ms = now + pause;
	else
		return;
	(void)oc_json_set_i64(state, "nextRunAtMs", job->due_ms);
}

/* What became of it in the job's document. false: the job is done with. */
static bool note_in_job(oc_cron_run *run, oc_cron_job *job, int64_t now)
{
	oc_agent *agent = run->agent;
	cJSON *state = cJSON_GetObjectItemCaseSensitive(job->doc, "state");
	const char *how = oc_json_str(run->entry, "status", "error"), *error = oc_json_str(run->entry, "error", "");
	bool once = strcmp(oc_json_str(oc_json_get(job->doc, "schedule"), "kind", ""), "at") == 0;
	bool bad = strcmp(how, "error") == 0;
	int64_t errors = bad ? oc_json_i64(state, "consecutiveErrors", 0) + 1 : 0;
	cJSON_DeleteItemFromObjectCaseSensitive(state, "runningAtMs");
	cJSON_DeleteItemFromObjectCaseSensitive(state, "lastError");
	(void)oc_json_set_i64(state, "lastRunAtMs", run->started_ms);
	(void)oc_json_set_str(state, "lastRunStatus", how);
	(void)oc_json_set_str(state, "lastStatus", how);
	(void)oc_json_set_i64(state, "lastDurationMs", now - run->started_ms);
	(void)oc_json_set_i64(state, "consecutiveErrors", errors);
	(void)oc_json_set_str(state, "lastDeliveryStatus", oc_json_str(run->entry, "deliveryStatus", "unknown"));
	if (cJSON_IsBool(oc_json_get(run->entry, "delivered")))
		(void)oc_json_set_bool(state, "lastDelivered", oc_json_bool(run->entry, "delivered", false));
	oc_json_opt(state, "lastError", error);
	if (once && !bad && job->due_ms == 0 && oc_json_bool(job->doc, "deleteAfterRun", false))
		return false;
	if (bad && !run->manual)
		back_off(job, state, errors, once, now);
	if (once && job->due_ms == 0)
		(void)oc_json_set_bool(job->doc, "enabled", false);
	if (bad)
		oc_cron_alert(agent, job, errors, error);
	if (bad) {
		(void)oc_json_set_i64(run->entry, "runAtMs", run->started_ms);
		(void)oc_json_set_i64(run->entry, "durationMs", now - run->started_ms);
		if (job->due_ms > 0)
			(void)oc_json_set_i64(run->entry, "nextRunAtMs", job->due_ms);
		oc_cron_tell_failure(agent, job, run->entry);
	}
	return true;
}

static void finished(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	oc_cron_run *run = arg;
	oc_agent *agent = run->agent;
	OC_FAULT_POINT("cron-finished");
	if (status != OC_OK)
		oc_log_err(OC_LOG_ERROR, "cron", "the end of a run could not be noted; it is taken up at the next start", err);
	cJSON *entry = run->entry;
	run->entry = NULL;
	cJSON_DeleteItemFromObjectCaseSensitive(entry, "ts");
	cJSON_DeleteItemFromObjectCaseSensitive(entry, "jobId");
	cJSON_DeleteItemFromObjectCaseSensitive(entry, "action");
	oc_cron_tell(agent, run->job, "finished", entry);
	oc_cron_run_free(run);
	oc_cron_tick(agent);
}

/* The entry's members in the order in which they are shown. */
static cJSON *entry_of(oc_cron_run *run, int64_t now, int64_t next)
{
	static const char *const names[] = {"status", "error", "summary", "delivered", "deliveryStatus", "deliveryError", "sessionId",
					    "sessionKey", "runAtMs", "durationMs", "nextRunAtMs", "model", "provider", "usage", NULL};
	size_t n = run->text != NULL ? oc_utf8_cut(oc_str_of(run->text), OC_CRON_SUMMARY_MAX) : 0;
	oc_auto_free char *summary = n > 0 ? oc_memdup(run->text, n) : NULL;
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(run->entry, "summary", summary);
	(void)oc_json_set_i64(run->entry, "runAtMs", run->started_ms);
	(void)oc_json_set_i64(run->entry, "durationMs", now - run->started_ms);
	if (next > 0)
		(void)oc_json_set_i64(run->entry, "nextRunAtMs", next);
	(void)oc_json_set_i64(o, "ts", now);
	(void)oc_json_set_str(o, "jobId", run->job);
	(void)oc_json_set_str(o, "action", "finished");
	for (const char *const *name = names; *name != NULL; name++) {
		const cJSON *m = oc_json_get(run->entry, *name);
		if (m != NULL)
			(void)oc_json_set(o, *name, cJSON_Duplicate(m, true));
	}
	return o;
}

void oc_cron_finish(oc_cron_run *run)
{
	oc_agent *agent = run->agent;
	oc_cron_job *job = oc_cron_job_find(agent->cron, run->job);
	int64_t now = oc_wall_ms();
	oc_err err = {0};
	oc_batch *b = oc_batch_new(agent->store);
	bool stays = job != NULL && note_in_job(run, job, now);
	cJSON *entry = entry_of(run, now, stays ? job->due_ms : 0);
	cJSON_Delete(run->entry);
	run->entry = entry;
	oc_auto_free char *json = oc_json_print(entry);
	if (b != NULL && json == NULL)
		oc_batch_spoil(b);
	if (b != NULL && json != NULL)
		oc_batch_cron_end(b, run->job, run->id, oc_json_str(entry, "status", "error"), json, OC_CRON_RUNS_KEPT);
	if (b != NULL && stays)
		oc_cron_job_put(b, job);
	agent->cron->n_running--;
	if (job != NULL)
		job->running--;
	if (job != NULL && !stays) {
		/* Once and done: what is known of its run stays. */
		if (b != NULL)
			oc_batch_cron_gone(b, run->job);
		oc_cron_job_drop(agent->cron, job);
	}
	oc_status status = b != NULL ? oc_batch_commit(b, finished, run, &err) : oc_fail(&err, OC_E_NOMEM, NULL, "no memory for a run");
	if (status != OC_OK)
		finished(run, NULL, status, &err);
}

/* ---- Posting ---- */

static void posted(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	oc_cron_run *run = arg;
	(void)body;
	run->post = NULL;
	char why[80];
	(void)snprintf(why, sizeof why, "the webhook answered %d", (int)http_status);
	bool ok = status == OC_OK && http_status >= 200 && http_status < 300;
	note(run, ok, ok ? "delivered" : "not-delivered", ok ? NULL : http_status > 0 ? why : oc_status_text(status));
	oc_cron_finish(run);
}

static oc_status post(oc_agent *agent, const char *url, const char *json, void (*done)(void *, oc_status, int32_t, oc_str), void *arg,
		      oc_http_call **ret, oc_err *err)
{
	const char *token = oc_config_str(agent->config, "cron.webhookToken", "");
	oc_auto_json cJSON *headers = cJSON_CreateObject();
	(void)oc_json_set_str(headers, "content-type", "application/json");
	oc_auto_free char *bearer = token[0] != 0 ? oc_asprintf("Bearer %s", token) : NULL;
	oc_json_opt(headers, "authorization", bearer);
	oc_auto_free char *head = oc_json_print(headers);
	if (head == NULL || json == NULL || (token[0] != 0 && bearer == NULL))
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a webhook");
	if (agent->http == NULL)
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "there is no HTTP client");
	oc_http_client_request request = {
		.struct_size = sizeof request,
		.flags = OC_HTTP_CLIENT_GUARD,
		.method = OC_STR("POST"),
		.url = oc_str_of(url),
		.headers = oc_str_of(head),
		.body = oc_str_of(json),
		.timeout_ms = POST_MS,
		.max_bytes = 64 << 10,
		.retries = 2,
		.on_done = done,
		.arg = arg,
	};
	return oc_http_client_start(agent->http, agent->owner, &request, ret, err);
}

static void deliver_post(oc_cron_run *run)
{
	oc_err err = {0};
	oc_cron_job *job = oc_cron_job_find(run->agent->cron, run->job);
	oc_auto_json cJSON *o = entry_of(run, oc_wall_ms(), job != NULL ? job->due_ms : 0);
	oc_auto_free char *json = oc_json_print(o);
	const char *url = oc_json_str(oc_json_get(run->doc, "delivery"), "to", "");
	if (post(run->agent, url, json, posted, run, &run->post, &err) != OC_OK) {
		note(run, false, "not-delivered", err.text);
		oc_cron_finish(run);
	}
}

/* ---- Sending ---- */

static oc_cron_run *waiting_for(struct oc_cron *cron, const char *key)
{
	for (oc_cron_run *run = cron->runs; run != NULL; run = run->next)
		if (run->delivery[0] != 0 && strcmp(run->delivery, key) == 0)
			return run;
	return NULL;
}

static void delivery_over(oc_cron_run *run)
{
	run->delivery[0] = 0;
	oc_watch_end(run->timer);
	run->timer = NULL;
	oc_cron_finish(run);
}

static void on_delivery(void *arg, const oc_agent_event *event)
{
	oc_agent *agent = arg;
	if (event->type != OC_AGENT_EV_DELIVERY)
		return;
	oc_cron_run *run = waiting_for(agent->cron, oc_json_str(event->data, "key", ""));
	if (run == NULL || !run->queued)
		return;
	bool ok = oc_json_bool(event->data, "ok", false);
	note(run, ok, ok ? "delivered" : "not-delivered", ok ? NULL : oc_json_str(event->data, "error", "it could not be sent"));
	delivery_over(run);
}

static void delivery_late(void *arg)
{
	oc_cron_run *run = arg;
	note(run, false, "unknown", "it waits in the outbox");
	delivery_over(run);
}

/* The job's own session tells the main one what nobody was told otherwise. */
static void tell_main(oc_cron_run *run)
{
	char context[80];
	oc_err err = {0};
	(void)snprintf(context, sizeof context, "cron:%s", run->job);
	oc_auto_free char *text = oc_asprintf("Cron%s: %s", is_ok(run) ? "" : " (error)", run->text);
	oc_auto_free char *session = oc_asprintf("agent:%s:%s", oc_json_str(run->doc, "agentId", "main"), oc_agent_main_key(run->agent->config));
	if (text == NULL || session == NULL ||
	    oc_agent_tell(run->agent, oc_json_get(run->doc, "agentId") != NULL ? oc_str_of(session) : OC_STR_NONE, text, context, &err) != OC_OK)
		oc_warn("cron", "the main session cannot be told of a run: %s", err.text);
	else if (strcmp(oc_json_str(run->doc, "wakeMode", ""), "now") == 0)
		oc_heartbeat_request(run->agent, oc_json_str(run->doc, "agentId", ""), "cron");
}

static void cannot_send(oc_cron_run *run, const oc_err *err)
{
	bool best = oc_json_bool(oc_json_get(run->doc, "delivery"), "bestEffort", false);
	bool named = oc_json_str(oc_json_get(run->doc, "delivery"), "to", "")[0] != 0;
	note(run, false, "not-delivered", err->text);
	/* A place that was named and is not there is a failure; nobody having written yet is none. */
	if (named && !best) {
		(void)oc_json_set_str(run->entry, "status", "error");
		(void)oc_json_set_str(run->entry, "error", err->text);
	} else {
		tell_main(run);
	}
	oc_cron_finish(run);
}

static void queued(void *arg, oc_status status, const oc_err *err)
{
	oc_cron_run *run = arg;
	if (run->agent->draining)
		return; /* at the next start */
	run->queued = true;
	if (status != OC_OK) {
		run->delivery[0] = 0;
		cannot_send(run, err);
		return;
	}
	oc_auto_json cJSON *row = NULL;
	if (oc_store_outbox_row(run->agent->store, run->delivery, &row, NULL) == OC_OK &&
	    strcmp(oc_json_str(row, "state", "pending"), "pending") != 0) {
		/* The last process had sent it. */
		bool ok = strcmp(oc_json_str(row, "state", ""), "delivered") == 0;
		note(run, ok, ok ? "delivered" : "not-delivered", oc_json_str(row, "error", NULL));
		delivery_over(run);
		return;
	}
	run->timer = oc_timer_start(run->agent->owner, DELIVERY_MS, 0, delivery_late, run);
	if (run->timer == NULL)
		delivery_late(run);
}

static void deliver_chat(oc_cron_run *run)
{
	oc_agent *agent = run->agent;
	const cJSON *d = oc_json_get(run->doc, "delivery");
	char agent_id[65], main[OC_SESSION_KEY_MAX], key[48];
	oc_err err = {0};
	cJSON *where = NULL;
	const char *id = oc_json_str(run->doc, "agentId", "");
	if (id[0] != 0)
		oc_agent_id_normalize(oc_str_of(id), agent_id);
	else
		(void)oc_agent_default_id(agent->config, agent_id);
	oc_status status = oc_session_key_resolve(oc_json_ostr(run->doc, "sessionKey"), agent_id, oc_agent_main_key(agent->config), main, &err);
	if (status == OC_OK)
		status = oc_route_find(agent, main, oc_json_str(d, "channel", ""), oc_json_str(d, "to", ""), oc_json_str(d, "accountId", ""),
				       &where, &err);
	if (status == OC_OK && !oc_json_set_str(where, "text", run->text))
		status = oc_fail(&err, OC_E_NOMEM, NULL, "no memory for a message");
	if (status == OC_OK && agent->cron->ear == NULL &&
	    (agent->cron->ear = oc_agent_subscribe(agent, NULL, NULL, on_delivery, agent)) == NULL)
		status = oc_fail(&err, OC_E_NOMEM, NULL, "no memory for a message");
	(void)snprintf(key, sizeof key, "cron:%s", run->id);
	if (status == OC_OK)
		status = oc_agent_send(agent, where, oc_str_of(key), run->delivery, queued, run, &err);
	cJSON_Delete(where);
	if (status != OC_OK && agent->draining)
		return;
	if (status != OC_OK) {
		run->delivery[0] = 0;
		cannot_send(run, &err);
	}
}

void oc_cron_deliver(oc_cron_run *run)
{
	const char *mode = mode_of(run);
	bool main = strcmp(oc_json_str(run->doc, "sessionTarget", ""), "main") == 0;
	char *said = NULL;
	OC_FAULT_POINT("cron-deliver");
	if (strcmp(mode, "webhook") == 0) {
		deliver_post(run);
		return;
	}
	bool nothing = run->text == NULL || oc_heartbeat_strip(oc_str_of(run->text), OC_HEARTBEAT_ACK_CHARS, &said);
	if (!main && said != NULL) {
		oc_free(run->text);
		run->text = said;
		said = NULL;
	}
	oc_free(said);
	if (!main && is_ok(run) && !nothing && strcmp(mode, "announce") == 0) {
		deliver_chat(run);
		return;
	}
	note(run, false, main ? "not-requested" : "not-delivered", NULL);
	oc_cron_finish(run);
}

/* ---- Failures ---- */

static const cJSON *alert_setting(const oc_agent *agent, const oc_cron_job *job, const char *name)
{
	const cJSON *own = oc_json_get(oc_json_get(job->doc, "failureAlert"), name);
	return own != NULL ? own : oc_json_get(oc_config_get(agent->config, "cron.failureAlert"), name);
}

static int64_t alert_number(const oc_agent *agent, const oc_cron_job *job, const char *name, int64_t fallback)
{
	const cJSON *v = alert_setting(agent, job, name);
	return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : fallback;
}

static const char *alert_text(const oc_agent *agent, const oc_cron_job *job, const char *name, const char *fallback)
{
	const cJSON *v = alert_setting(agent, job, name);
	return cJSON_IsString(v) ? v->valuestring : fallback;
}

static void alert_posted(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	(void)arg;
	(void)body;
	if (status != OC_OK || http_status >= 300)
		oc_warn("cron", "the webhook for failures answered %d", (int)http_status);
}

/* Where word of a failure goes. */
struct place {
	const char *mode, *channel, *to, *account;
};

/* more: further members for a webhook; taken. */
static oc_status send_word(oc_agent *agent, const oc_cron_job *job, const struct place *place, const char *text, cJSON *more, oc_err *err)
{
	oc_auto_json cJSON *o = more != NULL ? more : cJSON_CreateObject();
	if (strcmp(place->mode, "webhook") == 0) {
		(void)oc_json_set_str(o, "jobId", job->id);
		(void)oc_json_set_str(o, "jobName", oc_json_str(job->doc, "name", ""));
		(void)oc_json_set_str(o, "message", text);
		oc_auto_free char *json = oc_json_print(o);
		return post(agent, place->to, json, alert_posted, agent, NULL, err);
	}
	char agent_id[65], main[OC_SESSION_KEY_MAX], key[80];
	cJSON *where = NULL;
	oc_status status = oc_session_key_resolve(OC_STR_NONE, oc_agent_default_id(agent->config, agent_id), oc_agent_main_key(agent->config),
						  main, err);
	if (status == OC_OK)
		status = oc_route_find(agent, main, place->channel, place->to, place->account, &where, err);
	if (status == OC_OK && !oc_json_set_str(where, "text", text))
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a message");
	if (status == OC_OK)
		status = oc_agent_send(agent, where, OC_STR_NONE, key, NULL, NULL, err);
	cJSON_Delete(where);
	return status;
}

/* The job's own word goes before the configuration's, member by member; of another mode the address is another too. */
static struct place failure_place(const oc_agent *agent, const oc_cron_job *job)
{
	const cJSON *all = oc_config_get(agent->config, "cron.failureDestination");
	const cJSON *own = oc_json_get(oc_json_get(job->doc, "delivery"), "failureDestination");
	const char *general = oc_json_str(all, "mode", "announce"), *mode = oc_json_str(own, "mode", general);
	bool other = strcmp(mode, general) != 0;
	return (struct place){
		.mode = mode,
		.channel = oc_json_str(own, "channel", oc_json_str(all, "channel", "")),
		.to = oc_json_str(own, "to", other ? "" : oc_json_str(all, "to", "")),
		.account = oc_json_str(own, "accountId", oc_json_str(all, "accountId", "")),
	};
}

/* Whether the failure goes where the answer would have gone anyway. */
static bool is_delivery(const cJSON *delivery, const struct place *place)
{
	const char *channel = oc_json_str(delivery, "channel", "");
	if (strcmp(oc_json_str(delivery, "mode", "none"), place->mode) != 0 || strcmp(oc_json_str(delivery, "to", ""), place->to) != 0)
		return false;
	return strcmp(place->mode, "webhook") == 0
	       || (strcmp(channel[0] != 0 ? channel : "last", place->channel[0] != 0 ? place->channel : "last") == 0
		   && strcmp(oc_json_str(delivery, "accountId", ""), place->account) == 0);
}

void oc_cron_tell_failure(oc_agent *agent, const oc_cron_job *job, const cJSON *entry)
{
	static const char *const told[] = {"status", "error", "runAtMs", "durationMs", "nextRunAtMs"};
	const cJSON *delivery = oc_json_get(job->doc, "delivery");
	bool has = oc_config_get(agent->config, "cron.failureDestination") != NULL || oc_json_get(delivery, "failureDestination") != NULL;
	struct place place = failure_place(agent, job);
	bool web = strcmp(place.mode, "webhook") == 0;
	if (!has || is_delivery(delivery, &place) || oc_json_bool(delivery, "bestEffort", false) || (web && place.to[0] == 0))
		return;
	oc_err err = {0};
	const char *name = oc_json_str(job->doc, "name", job->id);
	oc_auto_free char *text = oc_asprintf("%sCron job \"%s\" failed: %.300s", web ? "" : "[Cron Failure] ", name, oc_json_str(entry, "error", "unknown error"));
	cJSON *more = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof told / sizeof *told; i++)
		if (oc_json_get(entry, told[i]) != NULL)
			(void)oc_json_set(more, told[i], cJSON_Duplicate(oc_json_get(entry, told[i]), true));
	if (text == NULL)
		cJSON_Delete(more);
	if (text == NULL || send_word(agent, job, &place, text, more, &err) != OC_OK)
		oc_warn("cron", "nobody could be told that %s failed: %s", name, err.text);
}

void oc_cron_alert(oc_agent *agent, oc_cron_job *job, int64_t errors, const char *error)
{
	const cJSON *own = oc_json_get(job->doc, "failureAlert"), *all = oc_config_get(agent->config, "cron.failureAlert");
	cJSON *state = cJSON_GetObjectItemCaseSensitive(job->doc, "state");
	int64_t now = oc_wall_ms(), last = oc_json_i64(state, "lastFailureAlertAtMs", 0);
	bool on = cJSON_IsObject(own) || (!cJSON_IsFalse(own) && cJSON_IsObject(all) && oc_json_bool(all, "enabled", false));
	if (!on || errors < alert_number(agent, job, "after", 2) ||
	    (last > 0 && last <= now && now - last < alert_number(agent, job, "cooldownMs", 3600000)))
		return;
	oc_err err = {0};
	oc_auto_free char *text = oc_asprintf("Cron job \"%s\" failed %lld times\nLast error: %.200s", oc_json_str(job->doc, "name", job->id),
					      (long long)errors, error);
	const cJSON *d = oc_json_get(job->doc, "delivery");
	struct place place = {
		.mode = alert_text(agent, job, "mode", "announce"),
		.channel = alert_text(agent, job, "channel", oc_json_str(d, "channel", "")),
		.to = alert_text(agent, job, "to", oc_json_str(d, "to", "")),
		.account = alert_text(agent, job, "accountId", oc_json_str(d, "accountId", "")),
	};
	if (text == NULL || send_word(agent, job, &place, text, NULL, &err) != OC_OK)
		oc_warn("cron", "nobody could be told that %s fails: %s", oc_json_str(job->doc, "name", job->id), err.text);
	else
		(void)oc_json_set_i64(state, "lastFailureAlertAtMs", now);
}
