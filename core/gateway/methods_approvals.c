/* exec.approval.*, plugin.approval.*: questions to a person; exec.approvals.*: the operator's rules about commands. */
#include <string.h>

#include "core/agent/approval.h"
#include "core/agent/approval_file.h"
#include "core/base/mem.h"
#include "core/gateway/proto.h"

bool oc_text_lacks_word(oc_str text, unsigned scopes)
{
	static const char command[] = "/approve";
	text = oc_str_trim(text);
	return (scopes & OC_SCOPE_APPROVALS) == 0 && text.n >= sizeof command - 1
	       && oc_str_ieq((oc_str){text.p, sizeof command - 1}, oc_str_of(command));
}

/* ---- The rules ---- */

static void answer_snapshot(oc_method_call *call)
{
	oc_err err = {0};
	cJSON *snapshot = oc_approvals_snapshot(&err);
	if (snapshot != NULL)
		oc_method_reply(call, snapshot);
	else
		oc_method_fail(call, &err);
}

static void exec_approvals_get(oc_method_call *call, const cJSON *params)
{
	(void)params;
	answer_snapshot(call);
}

const oc_method oc_method_exec_approvals_get = {"exec.approvals.get", OC_SCOPE_ADMIN,
						"the rules about commands (exec-approvals.json), and the hash that a change names", OC_PARAMS(""),
						exec_approvals_get};

static void exec_approvals_set(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (oc_approvals_put(oc_json_get(params, "file"), oc_json_str(params, "baseHash", NULL), &err) == OC_OK)
		answer_snapshot(call);
	else
		oc_method_fail(call, &err);
}

#define RULES OC_STRING("security") "," OC_STRING("ask") "," OC_STRING("askFallback") "," OC_BOOLEAN("autoAllowSkills")
#define PATTERN                                                                                                          \
	OC_PARAMS_REQ("\"pattern\"", OC_STRING("id") ",\"pattern\":{\"type\":\"string\",\"maxLength\":4096},"             \
						     "\"lastUsedAt\":{\"type\":\"integer\",\"minimum\":0}," OC_STRING("source") "," \
						     "\"lastUsedCommand\":{\"type\":\"string\"},\"lastResolvedPath\":{\"type\":\"string\"}")
const oc_method oc_method_exec_approvals_set = {
	"exec.approvals.set", OC_SCOPE_ADMIN, "puts other rules about commands in their place",
	OC_PARAMS_REQ("\"file\"",
		      "\"file\":" OC_PARAMS_REQ(
			      "\"version\"",
			      "\"version\":{\"const\":1},\"socket\":{\"type\":\"object\"},\"defaults\":" OC_PARAMS(RULES) ",\"agents\":{\"type\":\"object\","
			      "\"additionalProperties\":" OC_PARAMS(RULES ",\"allowlist\":{\"type\":\"array\",\"maxItems\":1000,\"items\":" PATTERN "}") "}") ","
		      OC_STRING("baseHash")),
	exec_approvals_set};

/* ---- Questions ---- */

static cJSON *told(const oc_approval *a, bool over)
{
	cJSON *o = cJSON_CreateObject();
	if (!over)
		(void)oc_json_set_str(o, "status", "accepted");
	(void)oc_json_set_str(o, "id", a->id);
	if (over)
		(void)oc_json_set(o, "decision", a->decision != NULL ? cJSON_CreateString(a->decision) : cJSON_CreateNull());
	(void)oc_json_set_i64(o, "createdAtMs", a->created_ms);
	(void)oc_json_set_i64(o, "expiresAtMs", a->expires_ms);
	return o;
}

static void on_decided(void *arg, const oc_approval *a)
{
	oc_method_reply(arg, told(a, true));
}

/* Clients that say how long they wait have at least a moment. */
static uint64_t timeout_of(const cJSON *params)
{
	int64_t ms = oc_json_i64(params, "timeoutMs", 0);
	return ms > 0 ? (uint64_t)ms : 0;
}

/* request is taken. */
static void ask(oc_method_call *call, const char *kind, const cJSON *params, cJSON *request)
{
	oc_gateway *gw = oc_method_gateway(call);
	const oc_approval *a = NULL;
	oc_err err = {0};
	if (oc_approval_ask(gw->agent, kind, oc_json_str(params, "id", NULL), request, timeout_of(params), NULL, on_decided, call, &a, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	if (oc_json_bool(params, "twoPhase", false))
		oc_method_accept(call, told(a, false));
}

static void exec_approval_request(oc_method_call *call, const cJSON *params)
{
	static const char *const members[] = {"cwd",	"nodeId",	"host",		      "security",     "ask",	     "agentId",
					      "resolvedPath", "sessionKey", "turnSourceChannel", "turnSourceTo", "turnSourceAccountId", "turnSourceThreadId"};
	const char *command = oc_json_str(params, "command", "");
	const cJSON *plan = oc_json_get(params, "systemRunPlan");
	const char *lacks = NULL;
	if (oc_str_trim(oc_str_of(command)).n == 0)
		lacks = "command is required";
	else if (strcmp(oc_json_str(params, "host", ""), "node") == 0) /* whoever decides must see what would run, and where */
		lacks = oc_json_str(params, "nodeId", "")[0] == 0 ? "nodeId is required for host=node"
			: !cJSON_IsObject(plan)			  ? "systemRunPlan is required for host=node"
								  : NULL;
	if (lacks != NULL) {
		oc_method_failf(call, OC_E_INVALID, "", "%s", lacks);
		return;
	}
	cJSON *request = cJSON_CreateObject();
	(void)oc_json_set_str(request, "command", command);
	(void)oc_json_set(request, "systemRunBinding", cJSON_CreateNull());
	oc_approval_add_decisions(request);
	(void)oc_json_set(request, "systemRunPlan", cJSON_IsObject(plan) ? cJSON_Duplicate(plan, true) : cJSON_CreateNull());
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		const cJSON *one = oc_json_get(params, members[i]);
		(void)oc_json_set(request, members[i], one != NULL ? cJSON_Duplicate(one, true) : cJSON_CreateNull());
	}
	ask(call, "exec", params, request);
}

#define ID "\"id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128}"
#define ASKED ID ",\"timeoutMs\":{\"type\":\"integer\",\"minimum\":1}," OC_BOOLEAN("twoPhase")
#define OR_NULL(name) "\"" name "\":{\"type\":[\"string\",\"null\"],\"maxLength\":4096}"
const oc_method oc_method_exec_approval_request = {
	"exec.approval.request", OC_SCOPE_APPROVALS,
	"asks whether a command may run and answers with the decision; null: nobody decided in time (two minutes, or timeoutMs)",
	OC_PARAMS(ASKED ",\"command\":{\"type\":\"string\",\"maxLength\":65536},\"commandArgv\":{\"type\":\"array\"},\"systemRunPlan\":{},"
			"\"env\":{\"type\":\"object\"}," OR_NULL("cwd") "," OR_NULL("nodeId") "," OR_NULL("host") "," OR_NULL("security") "," OR_NULL("ask") ","
			OR_NULL("agentId") "," OR_NULL("resolvedPath") "," OR_NULL("sessionKey") "," OR_NULL("turnSourceChannel") ","
			OR_NULL("turnSourceTo") "," OR_NULL("turnSourceAccountId") ",\"turnSourceThreadId\":{}"),
	exec_approval_request};

static void plugin_approval_request(oc_method_call *call, const cJSON *params)
{
	cJSON *request = cJSON_Duplicate(params, true);
	static const char *const not_of_it[] = {"id", "timeoutMs", "twoPhase"};
	for (size_t i = 0; i < sizeof not_of_it / sizeof *not_of_it; i++)
		cJSON_DeleteItemFromObjectCaseSensitive(request, not_of_it[i]);
	ask(call, "plugin", params, request);
}

const oc_method oc_method_plugin_approval_request = {
	"plugin.approval.request", OC_SCOPE_APPROVALS, "asks whether something of a plugin's may be done, as exec.approval.request",
	OC_PARAMS_REQ("\"title\"", ASKED ",\"title\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},"
					 "\"description\":{\"type\":\"string\",\"maxLength\":4096},\"severity\":{\"enum\":[\"info\",\"warning\",\"critical\"]},"
					 OR_NULL("pluginId") "," OR_NULL("toolName") "," OR_NULL("toolCallId") "," OR_NULL("agentId") "," OR_NULL("sessionKey") ","
					 OR_NULL("turnSourceChannel") "," OR_NULL("turnSourceTo") "," OR_NULL("turnSourceAccountId") ",\"turnSourceThreadId\":{}"),
	plugin_approval_request};

static void wait_decision(oc_method_call *call, const cJSON *params, const char *kind)
{
	oc_err err = {0};
	const char *id = oc_json_str(params, "id", "");
	if (id[0] == 0)
		(void)oc_fail(&err, OC_E_INVALID, "", "id is required");
	else if (oc_approval_wait(oc_method_gateway(call)->agent, kind, id, on_decided, call, &err) == OC_OK)
		return;
	oc_method_fail(call, &err);
}

static void exec_approval_wait(oc_method_call *call, const cJSON *params)
{
	wait_decision(call, params, "exec");
}

static void plugin_approval_wait(oc_method_call *call, const cJSON *params)
{
	wait_decision(call, params, "plugin");
}

const oc_method oc_method_exec_approval_waitDecision = {"exec.approval.waitDecision", OC_SCOPE_APPROVALS,
							"the decision about a command that somebody asked for, when it is there",
							OC_PARAMS(OC_STRING("id")), exec_approval_wait};
const oc_method oc_method_plugin_approval_waitDecision = {"plugin.approval.waitDecision", OC_SCOPE_APPROVALS,
							  "the decision about a plugin's question, when it is there",
							  OC_PARAMS(OC_STRING("id")), plugin_approval_wait};

static void resolve(oc_method_call *call, const cJSON *params, const char *kind)
{
	oc_err err = {0};
	oc_client *client = oc_method_client(call);
	char peer[OC_GATEWAY_PEER_MAX];
	const oc_proto *proto = oc_proto_of(client);
	oc_auto_json cJSON *who = proto != NULL && proto->presence != NULL ? cJSON_Parse(proto->presence) : NULL;
	const char *by = oc_json_str(who, "host", oc_gateway_peer(client->peer, peer));
	oc_status status = oc_approval_decide(oc_method_gateway(call)->agent, kind, oc_json_str(params, "id", ""), oc_json_str(params, "decision", ""),
					      by, &err);
	if (status == OC_E_NOT_FOUND) {
		cJSON *details = cJSON_CreateObject();
		(void)oc_json_set_str(details, "reason", "APPROVAL_NOT_FOUND");
		oc_method_fail_with(call, &err, details);
	} else if (status != OC_OK) {
		oc_method_fail(call, &err);
	} else {
		oc_method_reply_text(call, OC_STR("{\"ok\":true}"));
	}
}

static void exec_approval_resolve(oc_method_call *call, const cJSON *params)
{
	resolve(call, params, "exec");
}

static void plugin_approval_resolve(oc_method_call *call, const cJSON *params)
{
	resolve(call, params, "plugin");
}

#define DECISION OC_PARAMS_REQ("\"id\",\"decision\"", OC_NAME("id") "," OC_NAME("decision"))
const oc_method oc_method_exec_approval_resolve = {"exec.approval.resolve", OC_SCOPE_APPROVALS,
						   "decides about a command: allow-once, allow-always (its programs are listed), deny", DECISION,
						   exec_approval_resolve};
const oc_method oc_method_plugin_approval_resolve = {"plugin.approval.resolve", OC_SCOPE_APPROVALS, "decides about a plugin's question", DECISION,
						     plugin_approval_resolve};

static void exec_approval_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_method_reply(call, oc_approval_list(oc_method_gateway(call)->agent, "exec"));
}

static void plugin_approval_list(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_method_reply(call, oc_approval_list(oc_method_gateway(call)->agent, "plugin"));
}

const oc_method oc_method_exec_approval_list = {"exec.approval.list", OC_SCOPE_APPROVALS, "commands that wait for a decision", OC_PARAMS(""),
						exec_approval_list};
const oc_method oc_method_plugin_approval_list = {"plugin.approval.list", OC_SCOPE_APPROVALS, "plugins' questions that wait for a decision",
						  OC_PARAMS(""), plugin_approval_list};

static void exec_approval_get(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *list = oc_approval_list(oc_method_gateway(call)->agent, "exec");
	cJSON *one;
	cJSON_ArrayForEach(one, list)
	{
		if (strcmp(oc_json_str(one, "id", ""), oc_json_str(params, "id", "")) == 0) {
			oc_method_reply(call, cJSON_DetachItemViaPointer(list, one));
			return;
		}
	}
	oc_method_failf(call, OC_E_NOT_FOUND, "", "unknown or expired approval id");
}

const oc_method oc_method_exec_approval_get = {"exec.approval.get", OC_SCOPE_APPROVALS, "a command that waits for a decision",
					       OC_PARAMS_REQ("\"id\"", OC_NAME("id")), exec_approval_get};
