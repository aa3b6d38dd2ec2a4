/* One run of a job, from the row that says that it began to the row that says how it ended. */
#include <string.h>

#include "core/agent/cron_int.h"
#include "core/agent/cron_job.h"
#include "core/agent/heartbeat.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/fault.h"

#define WAIT_MS ((uint64_t)7 * 86400000) /* a turn has a time limit of its own; it may have to wait for its lane */
#define BUSY_MS 120000			 /* the main session may be busy for so long before a heartbeat is only asked for */
#define BUSY_LOOK_MS 1000

/* ---- Records ---- */

void oc_cron_run_free(oc_cron_run *run)
{
	struct oc_cron *cron = run->agent->cron;
	for (oc_cron_run **at = &cron->runs; *at != NULL; at = &(*at)->next)
		if (*at == run) {
			*at = run->next;
			break;
		}
	oc_agent_wait_end(run->agent, run);
	oc_watch_end(run->timer);
	oc_http_client_cancel(run->post);
	cJSON_Delete(run->doc);
	cJSON_Delete(run->entry);
	oc_free(run->text);
	oc_free(run);
}

static oc_cron_run *new_run(oc_agent *agent, const cJSON *job, const char *id)
{
	oc_cron_run *run = oc_alloc(sizeof *run);
	if (run == NULL)
		return NULL;
	run->agent = agent;
	run->doc = cJSON_Duplicate(job, true);
	run->entry = cJSON_CreateObject();
	if (id != NULL)
		(void)snprintf(run->id, sizeof run->id, "%s", id);
	else
		(void)oc_id_uuid(run->id);
	(void)snprintf(run->job, sizeof run->job, "%s", oc_json_str(job, "id", ""));
	(void)snprintf(run->name, sizeof run->name, "%s", oc_json_str(job, "name", ""));
	run->next = agent->cron->runs;
	agent->cron->runs = run;
	if (run->doc == NULL || run->entry == NULL) {
		oc_cron_run_free(run);
		return NULL;
	}
	return run;
}

void oc_cron_job_put(oc_batch *b, oc_cron_job *job)
{
	oc_auto_free char *json = oc_json_print(job->doc);
	if (json == NULL)
		oc_batch_spoil(b);
	else
		oc_batch_cron_job(b, job->id, json);
}

static bool is_main(const oc_cron_run *run)
{
	return strcmp(oc_json_str(run->doc, "sessionTarget", ""), "main") == 0;
}

static const char *agent_of(const oc_cron_run *run, char out[65])
{
	const char *id = oc_json_str(run->doc, "agentId", "");
	if (id[0] == 0)
		return oc_agent_default_id(run->agent->config, out);
	oc_agent_id_normalize(oc_str_of(id), out);
	return out;
}

/* The session that the run is in. */
static oc_status session_of(const oc_cron_run *run, char out[OC_SESSION_KEY_MAX], oc_err *err)
{
	char agent_id[65];
	const char *target = oc_json_str(run->doc, "sessionTarget", "");
	oc_auto_free char *name = is_main(run) ? oc_strdup(oc_json_str(run->doc, "sessionKey", ""))
				  : strncmp(target, "session:", 8) == 0 ? oc_strdup(target + 8)
									 : oc_asprintf("cron:%s", run->job);
	if (name == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a run");
	return oc_session_key_resolve(oc_str_of(name), agent_of(run, agent_id), oc_agent_main_key(run->agent->config), out, err);
}

/* ---- Beginning ---- */

static void execute(oc_cron_run *run);

static void begun(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	oc_cron_run *run = arg;
	oc_agent *agent = run->agent;
	OC_FAULT_POINT("cron-begun");
	if (status == OC_OK) {
		cJSON *more = cJSON_CreateObject();
		(void)oc_json_set_i64(more, "runAtMs", run->started_ms);
		oc_cron_tell(agent, run->job, "started", more);
		execute(run);
		return;
	}
	oc_cron_job *job = oc_cron_job_find(agent->cron, run->job);
	oc_log_err(OC_LOG_WARN, "cron", "a job could not be started; it is tried again", err);
	agent->cron->n_running--;
	if (job != NULL) {
		cJSON *state = cJSON_GetObjectItemCaseSensitive(job->doc, "state");
		cJSON_DeleteItemFromObjectCaseSensitive(state, "runningAtMs");
		job->running--;
		if (run->slot_ms > 0) {
			job->due_ms = run->slot_ms;
			(void)oc_json_set_i64(state, "nextRunAtMs", run->slot_ms);
			job->not_before_ms = oc_wall_ms() + 10000;
		}
	}
	oc_cron_run_free(run);
	oc_cron_tick(agent);
}

static void put_begin(oc_cron_run *run, oc_batch *b)
{
	char session[OC_SESSION_KEY_MAX];
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set(o, "job", cJSON_Duplicate(run->doc, true));
	(void)oc_json_set_i64(o, "runAtMs", run->started_ms);
	(void)oc_json_set_bool(o, "manual", run->manual);
	oc_auto_free char *json = oc_json_print(o);
	if (json == NULL)
		oc_batch_spoil(b);
	else
		oc_batch_cron_begin(b, run->job, run->id, json);
	/* One of its own knows nothing of the runs before. */
	if (strcmp(oc_json_str(run->doc, "sessionTarget", ""), "isolated") == 0 && session_of(run, session, NULL) == OC_OK)
		oc_batch_session_reset(b, session, "cron");
}

oc_status oc_cron_begin(oc_agent *agent, oc_cron_job *job, int64_t slot, bool manual, oc_err *err)
{
	if (agent->draining)
		return oc_fail(err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	int64_t now = oc_wall_ms(), next = 0;
	oc_cron_run *run = new_run(agent, job->doc, NULL);
	oc_batch *b = oc_batch_new(agent->store);
	cJSON *state = cJSON_GetObjectItemCaseSensitive(job->doc, "state");
	if (run == NULL || b == NULL) {
		oc_batch_free(b);
		if (run != NULL)
			oc_cron_run_free(run);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a run of %s", job->id);
	}
	run->slot_ms = slot;
	run->started_ms = now;
	run->manual = manual;
	(void)oc_json_set_i64(state, "runningAtMs", now);
	if (slot > 0) {
		/* The slot is used up with the same commit: however often the process dies, it is not run again. */
		(void)oc_cron_job_next(job->doc, now, &next, NULL);
		job->due_ms = next;
		if (next > 0)
			(void)oc_json_set_i64(state, "nextRunAtMs", next);
		else
			cJSON_DeleteItemFromObjectCaseSensitive(state, "nextRunAtMs");
	}
	put_begin(run, b);
	oc_cron_job_put(b, job);
	job->running++;
	agent->cron->n_running++;
	oc_status status = oc_batch_commit(b, begun, run, err);
	if (status != OC_OK) {
		job->running--;
		agent->cron->n_running--;
		cJSON_DeleteItemFromObjectCaseSensitive(state, "runningAtMs");
		if (slot > 0) {
			job->due_ms = slot;
			(void)oc_json_set_i64(state, "nextRunAtMs", slot);
		}
		oc_cron_run_free(run);
	}
	return status;
}

void oc_cron_take_up(oc_agent *agent, const char *id, const cJSON *entry)
{
	const cJSON *doc = oc_json_get(entry, "job");
	oc_cron_job *job = oc_cron_job_find(agent->cron, oc_json_str(doc, "id", ""));
	oc_cron_run *run = new_run(agent, doc, id);
	if (run == NULL) {
		oc_error("cron", "no memory for the run %s: it is taken up at the next start", id);
		return;
	}
	run->started_ms = oc_json_i64(entry, "runAtMs", oc_wall_ms());
	run->manual = oc_json_bool(entry, "manual", false);
	run->took_up = true;
	agent->cron->n_running++;
	if (job != NULL)
		job->running++;
	oc_info("cron", "the run of %s that the last process began is taken up", run->name);
	execute(run);
}

/* ---- A turn of its own ---- */

static void failed(oc_cron_run *run, const char *why)
{
	(void)oc_json_set_str(run->entry, "status", "error");
	(void)oc_json_set_str(run->entry, "error", why);
	oc_cron_deliver(run);
}

/* "provider/model" apart, and what it used. */
static void note_usage(oc_cron_run *run, const cJSON *result)
{
	const char *model = oc_json_str(result, "model", ""), *slash = strchr(model, '/');
	const cJSON *used = oc_json_get(result, "usage");
	if (slash != NULL) {
		oc_auto_free char *provider = oc_memdup(model, (size_t)(slash - model));
		oc_json_opt(run->entry, "model", slash + 1);
		oc_json_opt(run->entry, "provider", provider);
	}
	if (!cJSON_IsObject(used))
		return;
	cJSON *usage = cJSON_CreateObject();
	int64_t in = oc_json_i64(used, "input", 0), out = oc_json_i64(used, "output", 0);
	(void)oc_json_set_i64(usage, "input_tokens", in);
	(void)oc_json_set_i64(usage, "output_tokens", out);
	(void)oc_json_set_i64(usage, "total_tokens",
			      in + out + oc_json_i64(used, "cacheRead", 0) + oc_json_i64(used, "cacheWrite", 0));
	(void)oc_json_set(run->entry, "usage", usage);
}

static void note_session(oc_cron_run *run)
{
	char session[OC_SESSION_KEY_MAX];
	oc_auto_json cJSON *row = NULL;
	if (session_of(run, session, NULL) == OC_OK && oc_store_session(run->agent->store, session, &row, NULL) == OC_OK) {
		oc_json_opt(run->entry, "sessionId", oc_json_str(row, "sessionId", NULL));
		oc_json_opt(run->entry, "sessionKey", session);
	}
}

static void turn_over(void *arg, oc_status status, const cJSON *result)
{
	oc_cron_run *run = arg;
	const char *how = oc_json_str(result, "status", "error"), *text = oc_json_str(result, "text", "");
	bool ok = status == OC_OK && strcmp(how, "ok") == 0;
	const cJSON *error = oc_json_get(result, "error");
	if (run->agent->draining && !ok && strcmp(oc_json_str(error, "code", ""), oc_status_name(OC_E_RETRY)) == 0)
		return; /* it goes on at the next start, and so does the run */
	note_session(run);
	note_usage(run, result);
	run->text = oc_strdup(text);
	if (!ok)
		failed(run, oc_json_str(error, "message", status != OC_OK ? oc_status_text(status) : how));
	else {
		(void)oc_json_set_str(run->entry, "status", "ok");
		oc_cron_deliver(run);
	}
}

static void submit_again(void *arg)
{
	oc_cron_run *run = arg;
	oc_watch_end(run->timer);
	run->timer = NULL;
	execute(run);
}

/* What the model is asked: whose message it is, the words, the time. */
static char *message_of(const oc_cron_run *run)
{
	const cJSON *payload = oc_json_get(run->doc, "payload");
	char now[32];
	bool delivers = strcmp(oc_json_str(oc_json_get(run->doc, "delivery"), "mode", "none"), "none") != 0;
	return oc_asprintf("[cron:%s %s] %s\n\nCurrent time: %s%s", run->job, run->name, oc_json_str(payload, "message", ""),
			   oc_wall_format(oc_wall_ms(), now, sizeof now),
			   delivers ? "\n\nYour answer is delivered by itself: write it as it should be read, and do not send it with a tool."
				    : "");
}

static void run_turn(oc_cron_run *run)
{
	oc_agent *agent = run->agent;
	const cJSON *payload = oc_json_get(run->doc, "payload");
	char session[OC_SESSION_KEY_MAX], key[48], agent_id[65];
	oc_err err = {0};
	oc_run_ref ref;
	(void)snprintf(key, sizeof key, "cron:%s", run->id);
	oc_auto_free char *text = message_of(run);
	oc_status status = text == NULL ? oc_fail(&err, OC_E_NOMEM, NULL, "no memory for a run") : session_of(run, session, &err);
	oc_turn_input in = {
		.session = status == OC_OK ? oc_str_of(session) : OC_STR_NONE,
		.agent = oc_str_of(agent_of(run, agent_id)),
		.text = oc_str_of(text != NULL ? text : ""),
		.origin = "cron",
		.model = oc_json_ostr(payload, "model"),
		.thinking = oc_json_ostr(payload, "thinking"),
		.timeout_ms = (uint64_t)oc_json_i64(payload, "timeoutSeconds", 0) * 1000,
		.idempotency = oc_str_of(key),
		.light_context = oc_json_bool(payload, "lightContext", false),
		.lane = "cron",
		.queue = NULL,
	};
	if (status == OC_OK)
		status = oc_agent_submit(agent, &in, &ref, &err);
	if (status == OC_OK)
		memcpy(run->turn, ref.run, sizeof run->turn);
	if (status == OC_OK && oc_agent_wait(agent, run->turn, WAIT_MS, turn_over, run, &err) == OC_OK)
		return;
	if (agent->draining)
		return; /* at the next start */
	if (status == OC_E_BUSY || status == OC_E_NOMEM || status == OC_E_IO) {
		run->timer = oc_timer_start(agent->owner, 10000, 0, submit_again, run);
		if (run->timer != NULL)
			return;
	}
	failed(run, err.text[0] != 0 ? err.text : oc_status_text(status));
}

/* A run of the last process: its turn may have been accepted already. */
static bool find_turn(oc_cron_run *run)
{
	char key[48];
	oc_auto_json cJSON *row = NULL;
	oc_err err = {0};
	(void)snprintf(key, sizeof key, "cron:%s", run->id);
	if (!run->took_up || oc_store_run_by_key(run->agent->store, key, &row, &err) != OC_OK)
		return false;
	(void)snprintf(run->turn, sizeof run->turn, "%s", oc_json_str(row, "run", ""));
	return oc_agent_wait(run->agent, run->turn, WAIT_MS, turn_over, run, &err) == OC_OK;
}

/* ---- In the main session ---- */

static void heart_over(void *arg, const char *status, const char *reason);

static void ask_heart(oc_cron_run *run)
{
	char agent_id[65], key[48];
	oc_err err = {0};
	(void)snprintf(key, sizeof key, "cron:%s", run->id);
	oc_auto_free char *reason = oc_asprintf("cron:%s", run->job);
	if (oc_heartbeat_run(run->agent, agent_of(run, agent_id), oc_json_str(run->doc, "sessionKey", ""), reason != NULL ? reason : "cron",
			     key, heart_over, run, &err) != OC_OK)
		failed(run, err.text);
}

static void ask_again(void *arg)
{
	oc_cron_run *run = arg;
	oc_watch_end(run->timer);
	run->timer = NULL;
	ask_heart(run);
}

static void heart_over(void *arg, const char *status, const char *reason)
{
	oc_cron_run *run = arg;
	if (run->agent->draining)
		return;
	bool busy = strcmp(reason, "requests-in-flight") == 0;
	if (busy && oc_wall_ms() - run->started_ms < BUSY_MS &&
	    (run->timer = oc_timer_start(run->agent->owner, BUSY_LOOK_MS, 0, ask_again, run)) != NULL)
		return;
	if (busy)
		oc_heartbeat_request(run->agent, oc_json_str(run->doc, "agentId", ""), "cron");
	bool ran = busy || strcmp(status, "ran") == 0 || strcmp(reason, "disabled") == 0; /* then the next message has it */
	(void)oc_json_set_str(run->entry, "status", ran ? "ok" : strcmp(status, "skipped") == 0 ? "skipped" : "error");
	if (!ran)
		oc_json_opt(run->entry, "error", reason);
	oc_cron_deliver(run);
}

static void run_main(oc_cron_run *run)
{
	char session[OC_SESSION_KEY_MAX], context[80];
	oc_err err = {0};
	const char *text = oc_json_str(oc_json_get(run->doc, "payload"), "text", "");
	(void)snprintf(context, sizeof context, "cron:%s", run->job);
	run->text = oc_strdup(text);
	oc_status status = session_of(run, session, &err);
	if (status == OC_OK)
		status = oc_agent_tell(run->agent, oc_str_of(session), text, context, &err);
	if (status != OC_OK) {
		failed(run, err.text);
	} else if (strcmp(oc_json_str(run->doc, "wakeMode", ""), "now") == 0) {
		ask_heart(run);
	} else {
		(void)oc_json_set_str(run->entry, "status", "ok");
		oc_cron_deliver(run);
	}
}

static void execute(oc_cron_run *run)
{
	if (find_turn(run))
		return;
	if (is_main(run))
		run_main(run);
	else
		run_turn(run);
}
