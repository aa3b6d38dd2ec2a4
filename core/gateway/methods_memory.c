/* memory.*: the agents' memory, for people. */
#include <string.h>

#include "core/agent/memory.h"
#include "core/gateway/gateway.h"

#define OBJECT(required, members) \
	"{\"type\":\"object\",\"additionalProperties\":false" required ",\"properties\":{\"agent\":{\"type\":\"string\",\"maxLength\":64}" \
	members "}}"

static void answered(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	if (status == OC_OK)
		oc_method_reply(arg, cJSON_Duplicate(result, true));
	else
		oc_method_fail(arg, err);
}

/* For OpenClaw's own clients: who makes vectors, if anybody does. */
static void told_doctor(void *arg, oc_status status, const cJSON *memory, const oc_err *err)
{
	if (status != OC_OK) {
		oc_method_fail(arg, err);
		return;
	}
	const char *provider = oc_json_str(memory, "provider", "none");
	bool there = strcmp(provider, "none") != 0;
	cJSON *result = cJSON_CreateObject(), *embedding = cJSON_CreateObject();
	(void)oc_json_set_str(result, "agentId", oc_json_str(memory, "agent", ""));
	(void)oc_json_set_str(result, "provider", provider);
	(void)oc_json_set_bool(embedding, "ok", there);
	if (!there)
		(void)oc_json_set_str(embedding, "error", oc_json_str(oc_json_get(memory, "fallback"), "reason",
								      "no provider makes vectors: memory is searched by words"));
	(void)oc_json_set(result, "embedding", embedding);
	oc_method_reply(arg, result);
}

static void doctor_memory_status(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	oc_memory_input in = {.agent = oc_json_ostr(params, "agentId"), .min_score = -1, .done = told_doctor, .arg = call};
	if (oc_memory_status(oc_method_gateway(call)->agent, &in, &err) != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_doctor_memory_status = {
	"doctor.memory.status", OC_SCOPE_READ, "who makes the vectors of an agent's memory; memory.status tells more", OC_PARAMS(OC_STRING("agentId")),
	doctor_memory_status};

static void start(oc_method_call *call, const cJSON *params, oc_status (*fn)(oc_agent *, const oc_memory_input *, oc_err *))
{
	oc_err err = {0};
	oc_memory_input in = {
		.agent = oc_json_ostr(params, "agent"),
		.query = oc_json_ostr(params, "query"),
		.max_results = oc_json_i64(params, "maxResults", 0),
		.min_score = oc_json_num(params, "minScore", -1),
		.force = oc_json_bool(params, "force", false),
		.done = answered,
		.arg = call,
	};
	if (fn(oc_method_gateway(call)->agent, &in, &err) != OC_OK)
		oc_method_fail(call, &err);
}

static void memory_status(oc_method_call *call, const cJSON *params)
{
	start(call, params, oc_memory_status);
}

const oc_method oc_method_memory_status = {"memory.status", OC_SCOPE_READ, "what an agent's memory holds", OBJECT("", ""),
					   memory_status};

static void memory_index(oc_method_call *call, const cJSON *params)
{
	start(call, params, oc_memory_update);
}

const oc_method oc_method_memory_index = {"memory.index", OC_SCOPE_WRITE, "brings the index of an agent's memory up to date",
					  OBJECT("", ",\"force\":{\"type\":\"boolean\"}"), memory_index};

static void memory_search(oc_method_call *call, const cJSON *params)
{
	start(call, params, oc_memory_search);
}

const oc_method oc_method_memory_search = {
	"memory.search", OC_SCOPE_READ, "searches an agent's memory",
	OBJECT(",\"required\":[\"query\"]",
	       ",\"query\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192},\"maxResults\":{\"type\":\"integer\",\"minimum\":1,"
	       "\"maximum\":50},\"minScore\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1}"),
	memory_search};
