/* The agent's tool for jobs by the clock. */
#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/cron.h"
#include "core/agent/heartbeat.h"
#include "core/agent/turn.h"
#include "core/base/mem.h"

static void changed(void *arg, oc_status status, const cJSON *job, const oc_err *err)
{
	oc_call *call = arg;
	if (status != OC_OK)
		oc_builtin_fail(call, err);
	else if (job != NULL)
		oc_builtin_json(call, cJSON_Duplicate(job, true));
	else
		oc_builtin_text(call, false, "The job is removed.");
}

static const char *id_of(const cJSON *args)
{
	return oc_json_str(args, "jobId", oc_json_str(args, "id", ""));
}

/* Jobs outlive the conversation and act by themselves: not for people who may only talk. */
static const char *refused(const oc_builtin_call *call, const char *action)
{
	const oc_turn *turn = oc_lane_running(call->agent, call->session);
	bool reads = strcmp(action, "status") == 0 || strcmp(action, "list") == 0 || strcmp(action, "runs") == 0;
	return turn != NULL && turn->restricted && !reads ? "whoever wrote this may not set up, change or run jobs" : NULL;
}

/* An answer that was asked for here is heard here, and a job of an agent is this agent's. */
static cJSON *job_of(const oc_builtin_call *call)
{
	const oc_turn *turn = oc_lane_running(call->agent, call->session);
	const cJSON *given = oc_json_get(call->args, "job");
	cJSON *job = cJSON_IsObject(given) ? cJSON_Duplicate(given, true) : cJSON_CreateObject();
	bool asks = strcmp(oc_json_str(oc_json_get(job, "payload"), "kind", ""), "agentTurn") == 0 ||
		    oc_json_get(oc_json_get(job, "payload"), "message") != NULL;
	if (oc_json_get(job, "agentId") == NULL)
		oc_json_opt(job, "agentId", call->agent_id);
	if (asks && oc_json_get(job, "delivery") == NULL && turn != NULL && turn->deliver != NULL) {
		cJSON *d = cJSON_AddObjectToObject(job, "delivery");
		oc_json_opt(d, "mode", "announce");
		oc_json_opt(d, "channel", oc_json_str(turn->deliver, "channel", NULL));
		oc_json_opt(d, "to", oc_json_str(turn->deliver, "to", NULL));
		oc_json_opt(d, "accountId", oc_json_str(turn->deliver, "account", NULL));
	}
	return job;
}

static oc_status act(const oc_builtin_call *call, const char *action, oc_err *err)
{
	oc_agent *agent = call->agent;
	cJSON *result = NULL;
	oc_status status = OC_OK;
	if (strcmp(action, "add") == 0) {
		oc_auto_json cJSON *job = job_of(call);
		return oc_cron_add(agent, job, changed, call->call, err);
	}
	if (strcmp(action, "update") == 0)
		return oc_cron_update(agent, id_of(call->args), oc_json_get(call->args, "patch"), changed, call->call, err);
	if (strcmp(action, "remove") == 0)
		return oc_cron_remove(agent, id_of(call->args), changed, call->call, err);
	if (strcmp(action, "wake") == 0) {
		status = oc_heartbeat_wake(agent, oc_json_str(call->args, "text", ""),
					   strcmp(oc_json_str(call->args, "mode", "next-heartbeat"), "now") == 0, err);
		if (status == OC_OK)
			oc_builtin_text(call->call, false, "The main session is told.");
		return status;
	}
	if (strcmp(action, "run") == 0)
		status = oc_cron_run_now(agent, id_of(call->args), true, &result, err);
	else if (strcmp(action, "runs") == 0)
		status = oc_cron_runs(agent, call->args, &result, err);
	else
		result = strcmp(action, "list") == 0 ? oc_cron_list(agent, call->args) : oc_cron_status(agent);
	if (status == OC_OK)
		oc_builtin_json(call->call, result);
	return status;
}

static void invoke(const oc_builtin_call *call)
{
	const char *action = oc_json_str(call->args, "action", ""), *why = refused(call, action);
	oc_err err = {0};
	if (why != NULL)
		oc_builtin_text(call->call, true, "%s", why);
	else if (act(call, action, &err) != OC_OK)
		oc_builtin_fail(call->call, &err);
}

const oc_builtin_tool oc_tool_cron = {
	.name = "cron",
	.spec =
		"{\"name\":\"cron\",\"group\":\"automation\",\"description\":\"Jobs by the clock: reminders and work that is done at a time or "
		"again and again. add takes job {name, schedule {kind:\\\"at\\\", at:\\\"2030-01-31T12:00:00Z\\\"} or {kind:\\\"every\\\", everyMs} or "
		"{kind:\\\"cron\\\", expr, tz}, payload {kind:\\\"systemEvent\\\", text} (told to the main session) or {kind:\\\"agentTurn\\\", message} "
		"(asked in a session of its own, the answer goes to this conversation), delivery? {mode:\\\"announce\\\"|\\\"none\\\"|\\\"webhook\\\", "
		"channel, to}, wakeMode?}. update takes jobId and patch. wake tells the main session text.\",\"parameters\":{\"type\":\"object\","
		"\"required\":[\"action\"],\"properties\":{\"action\":{\"type\":\"string\",\"enum\":[\"status\",\"list\",\"add\",\"update\",\"remove\","
		"\"run\",\"runs\",\"wake\"]},\"job\":{\"type\":\"object\"},\"jobId\":{\"type\":\"string\",\"maxLength\":64},\"id\":{\"type\":\"string\","
		"\"maxLength\":64},\"patch\":{\"type\":\"object\"},\"includeDisabled\":{\"type\":\"boolean\"},\"text\":{\"type\":\"string\",\"maxLength\":"
		"65536},\"mode\":{\"type\":\"string\",\"enum\":[\"now\",\"next-heartbeat\"]},\"limit\":{\"type\":\"integer\",\"minimum\":1,"
		"\"maximum\":200}}}}",
	.invoke = invoke,
};
