/* cron.*, wake and heartbeats: what happens by the clock. */
#include <string.h>

#include "core/agent/cron.h"
#include "core/agent/heartbeat.h"
#include "core/gateway/gateway.h"

#define OBJECT_OF(name) "\"" name "\":{\"type\":\"object\"}"
#define ONE_OF(name, values) "\"" name "\":{\"type\":\"string\",\"enum\":[" values "]}"
#define TEXT_OF(name, most) "\"" name "\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":" #most "}"
#define MAYBE(name) "\"" name "\":{\"type\":[\"string\",\"null\"],\"maxLength\":1024}"
#define ALERT "\"failureAlert\":{\"type\":[\"object\",\"boolean\"]}"
#define JOB_MEMBERS                                                                                                     \
	MAYBE("agentId") "," MAYBE("sessionKey") "," MAYBE("description") "," OC_BOOLEAN("enabled") "," OC_BOOLEAN(     \
		"deleteAfterRun") "," OBJECT_OF("schedule") "," OC_STRING("sessionTarget") "," ONE_OF("wakeMode",       \
			"\"now\",\"next-heartbeat\"") "," OBJECT_OF("payload") "," OBJECT_OF("delivery") "," OBJECT_OF("isolation") "," ALERT
#define PAGE "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200},\"offset\":{\"type\":\"integer\",\"minimum\":0}," \
	ONE_OF("sortDir", "\"asc\",\"desc\"")

static const char *id_of(const cJSON *params)
{
	return oc_json_str(params, "id", oc_json_str(params, "jobId", ""));
}

/* Both names are taken; one of them is needed. */
static bool has_id(oc_method_call *call, const char *method, const cJSON *params)
{
	if (id_of(params)[0] != 0)
		return true;
	oc_method_failf(call, OC_E_INVALID, "see cron.list", "invalid %s params: must have required property 'id'", method);
	return false;
}

static void cron_status(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_method_reply(call, oc_cron_status(oc_method_gateway(call)->agent));
}

const oc_method oc_method_cron_status = {"cron.status", OC_SCOPE_READ, "whether jobs run by the clock, and when the next one does", NULL,
					 cron_status};

static void cron_list(oc_method_call *call, const cJSON *params)
{
	oc_method_reply(call, oc_cron_list(oc_method_gateway(call)->agent, params));
}

const oc_method oc_method_cron_list = {
	"cron.list", OC_SCOPE_READ, "the jobs that run by the clock",
	OC_PARAMS(OC_BOOLEAN("includeDisabled") "," ONE_OF("enabled", "\"all\",\"enabled\",\"disabled\"") "," OC_STRING("query") "," ONE_OF(
		"sortBy", "\"nextRunAtMs\",\"updatedAtMs\",\"name\"") "," PAGE),
	cron_list};

static void changed(void *arg, oc_status status, const cJSON *job, const oc_err *err)
{
	if (status == OC_OK)
		oc_method_reply(arg, cJSON_Duplicate(job, true));
	else
		oc_method_fail(arg, err);
}

static void cron_add(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (oc_cron_add(oc_method_gateway(call)->agent, params, changed, call, &err) != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_cron_add = {"cron.add", OC_SCOPE_ADMIN, "adds a job: at a time, every so often, or by a cron expression",
				      OC_PARAMS_REQ("\"name\",\"schedule\",\"payload\"", OC_NAME("name") "," JOB_MEMBERS), cron_add};

static void cron_update(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (has_id(call, "cron.update", params) &&
	    oc_cron_update(oc_method_gateway(call)->agent, id_of(params), oc_json_get(params, "patch"), changed, call, &err) != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_cron_update = {
	"cron.update", OC_SCOPE_ADMIN, "changes a job",
	OC_PARAMS_REQ("\"patch\"", OC_NAME("id") "," OC_NAME("jobId") ",\"patch\":" OC_PARAMS(OC_NAME("name") "," JOB_MEMBERS)), cron_update};

static void answer_removed(oc_method_call *call, bool removed)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_bool(o, "removed", removed);
	oc_method_reply(call, o);
}

static void removed(void *arg, oc_status status, const cJSON *job, const oc_err *err)
{
	(void)job;
	if (status == OC_OK)
		answer_removed(arg, true);
	else
		oc_method_fail(arg, err);
}

static void cron_remove(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (!has_id(call, "cron.remove", params))
		return;
	oc_status status = oc_cron_remove(oc_method_gateway(call)->agent, id_of(params), removed, call, &err);
	if (status == OC_E_NOT_FOUND)
		answer_removed(call, false);
	else if (status != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_cron_remove = {"cron.remove", OC_SCOPE_ADMIN, "removes a job and what is known of its runs",
					 OC_PARAMS(OC_NAME("id") "," OC_NAME("jobId")), cron_remove};

static void cron_run(oc_method_call *call, const cJSON *params)
{
	cJSON *result = NULL;
	oc_err err = {0};
	if (!has_id(call, "cron.run", params))
		return;
	bool force = strcmp(oc_json_str(params, "mode", "force"), "force") == 0;
	if (oc_cron_run_now(oc_method_gateway(call)->agent, id_of(params), force, &result, &err) == OC_OK)
		oc_method_reply(call, result);
	else
		oc_method_fail(call, &err);
}

const oc_method oc_method_cron_run = {"cron.run", OC_SCOPE_ADMIN, "runs a job now",
				      OC_PARAMS(OC_NAME("id") "," OC_NAME("jobId") "," ONE_OF("mode", "\"due\",\"force\"")), cron_run};

static void cron_runs(oc_method_call *call, const cJSON *params)
{
	cJSON *result = NULL;
	oc_err err = {0};
	if (oc_cron_runs(oc_method_gateway(call)->agent, params, &result, &err) == OC_OK)
		oc_method_reply(call, result);
	else
		oc_method_fail(call, &err);
}

#define STATUSES "\"all\",\"ok\",\"error\",\"skipped\""
#define DELIVERIES "\"delivered\",\"not-delivered\",\"unknown\",\"not-requested\""
const oc_method oc_method_cron_runs = {
	"cron.runs", OC_SCOPE_READ, "what became of the runs of a job, or of all",
	OC_PARAMS(OC_NAME("id") "," OC_NAME("jobId") "," ONE_OF("scope", "\"job\",\"all\"") "," ONE_OF(
		"status", STATUSES) ",\"statuses\":{\"type\":\"array\",\"maxItems\":4,\"items\":{\"enum\":[" STATUSES "]}}," ONE_OF(
		"deliveryStatus", DELIVERIES) ",\"deliveryStatuses\":{\"type\":\"array\",\"maxItems\":4,\"items\":{\"enum\":[" DELIVERIES "]}},"
		OC_STRING("query") "," PAGE),
	cron_runs};

/* ---- Heartbeats ---- */

static void answer_ok(oc_method_call *call)
{
	oc_method_reply_text(call, OC_STR("{\"ok\":true}"));
}

static void wake(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	bool now = strcmp(oc_json_str(params, "mode", ""), "now") == 0;
	if (oc_heartbeat_wake(oc_method_gateway(call)->agent, oc_json_str(params, "text", ""), now, &err) == OC_OK)
		answer_ok(call);
	else
		oc_method_fail(call, &err);
}

const oc_method oc_method_wake = {"wake", OC_SCOPE_WRITE, "tells the main session something, now or with its next heartbeat",
				  OC_PARAMS_REQ("\"mode\",\"text\"", ONE_OF("mode", "\"now\",\"next-heartbeat\"") "," TEXT_OF("text", 65536)),
				  wake};

static void system_event(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (oc_heartbeat_wake(oc_method_gateway(call)->agent, oc_json_str(params, "text", ""), false, &err) == OC_OK)
		answer_ok(call);
	else
		oc_method_fail(call, &err);
}

const oc_method oc_method_system_event = {"system-event", OC_SCOPE_ADMIN, "tells the main session something, with its next message",
					  "{\"type\":\"object\",\"required\":[\"text\"],\"properties\":{" TEXT_OF("text", 65536) "}}",
					  system_event};

static void last_heartbeat(oc_method_call *call, const cJSON *params)
{
	(void)params;
	const cJSON *last = oc_heartbeat_last(oc_method_gateway(call)->agent);
	oc_method_reply(call, last != NULL ? cJSON_Duplicate(last, true) : cJSON_CreateNull());
}

const oc_method oc_method_last_heartbeat = {"last-heartbeat", OC_SCOPE_READ, "how the last heartbeat went; null: there was none",
					    "{\"type\":\"object\"}", last_heartbeat};

static void set_heartbeats(oc_method_call *call, const cJSON *params)
{
	oc_agent *agent = oc_method_gateway(call)->agent;
	oc_heartbeat_set(agent, oc_json_bool(params, "enabled", true));
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_bool(o, "enabled", oc_heartbeat_enabled(agent));
	oc_method_reply(call, o);
}

const oc_method oc_method_set_heartbeats = {"set-heartbeats", OC_SCOPE_ADMIN, "heartbeats on or off until the gateway ends",
					    OC_PARAMS_REQ("\"enabled\"", OC_BOOLEAN("enabled")), set_heartbeats};
