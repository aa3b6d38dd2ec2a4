/* node.pair.*: nodes that pair by name and token; node.pending.*: what waits for nodes. */
#include <string.h>

#include "core/base/clock.h"
#include "core/gateway/node.h"
#include "core/gateway/node_book.h"
#include "core/gateway/node_queue.h"

/* Takes the result; NULL: err. */
static bool answer(oc_method_call *call, cJSON *result, const oc_err *err)
{
	if (result != NULL)
		oc_method_reply(call, result);
	else
		oc_method_fail(call, err);
	return result != NULL;
}

static void node_pair_request(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	cJSON *result = oc_node_book_ask(params, &err);
	if (oc_json_bool(result, "created", false))
		oc_proto_send_json(oc_method_gateway(call), "node.pair.requested", OC_SCOPE_PAIRING, cJSON_Duplicate(oc_json_get(result, "request"), true));
	(void)answer(call, result, &err);
}

#define NAMES(name) "\"" name "\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}}"
const oc_method oc_method_node_pair_request = {
	"node.pair.request", OC_SCOPE_PAIRING, "asks for a node that pairs by name and token",
	OC_PARAMS_REQ("\"nodeId\"", OC_NAME("nodeId") "," OC_STRING("displayName") "," OC_STRING("platform") "," OC_STRING("version") ","
					OC_STRING("coreVersion") "," OC_STRING("uiVersion") "," OC_STRING("deviceFamily") "," OC_STRING("modelIdentifier") ","
					NAMES("caps") "," NAMES("commands") ",\"permissions\":{\"type\":\"object\"}," OC_STRING("remoteIp") ","
					OC_BOOLEAN("silent")),
	node_pair_request};

static void node_pair_list(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	(void)params;
	(void)answer(call, oc_node_book_list(&err), &err);
}

const oc_method oc_method_node_pair_list = {"node.pair.list", OC_SCOPE_PAIRING, "nodes that wait and that are paired by name and token", OC_PARAMS(""),
					    node_pair_list};

static void tell_resolved(oc_gateway *gw, const char *request, const char *node, const char *decision)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "requestId", request);
	(void)oc_json_set_str(o, "nodeId", node);
	(void)oc_json_set_str(o, "decision", decision);
	(void)oc_json_set_i64(o, "ts", oc_wall_ms());
	oc_proto_send_json(gw, "node.pair.resolved", OC_SCOPE_PAIRING, o);
}

static void node_pair_approve(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	const char *id = oc_json_str(params, "requestId", "");
	cJSON *result = oc_node_book_approve(id, &err);
	if (result != NULL)
		tell_resolved(oc_method_gateway(call), id, oc_json_str(oc_json_get(result, "node"), "nodeId", ""), "approved");
	(void)answer(call, result, &err);
}

#define REQUEST OC_PARAMS_REQ("\"requestId\"", OC_NAME("requestId"))
const oc_method oc_method_node_pair_approve = {"node.pair.approve", OC_SCOPE_PAIRING, "pairs a node that asked; its token is in the answer", REQUEST,
					       node_pair_approve};

static void node_pair_reject(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	const char *id = oc_json_str(params, "requestId", "");
	cJSON *result = oc_node_book_reject(id, &err);
	if (result != NULL)
		tell_resolved(oc_method_gateway(call), id, oc_json_str(result, "nodeId", ""), "rejected");
	(void)answer(call, result, &err);
}

const oc_method oc_method_node_pair_reject = {"node.pair.reject", OC_SCOPE_PAIRING, "refuses a node that asked", REQUEST, node_pair_reject};

static void node_pair_verify(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	(void)answer(call, oc_node_book_verify(oc_json_str(params, "nodeId", ""), oc_json_ostr(params, "token"), &err), &err);
}

const oc_method oc_method_node_pair_verify = {"node.pair.verify", OC_SCOPE_PAIRING, "whether a node's token is its own",
					      OC_PARAMS_REQ("\"nodeId\",\"token\"", OC_NAME("nodeId") "," OC_NAME("token")), node_pair_verify};

/* ---- What waits ---- */

static void node_pending_enqueue(oc_method_call *call, const cJSON *params)
{
	oc_method_reply(call, oc_node_queue_item(oc_json_str(params, "nodeId", ""), oc_json_str(params, "type", ""),
						 oc_json_str(params, "priority", "normal"), oc_json_i64(params, "expiresInMs", 0)));
}

const oc_method oc_method_node_pending_enqueue = {
	"node.pending.enqueue", OC_SCOPE_WRITE, "a question that a node finds when it asks what waits for it; no phone is woken up",
	OC_PARAMS_REQ("\"nodeId\",\"type\"", OC_NAME("nodeId") ",\"type\":{\"enum\":[\"status.request\",\"location.request\"]},"
					     "\"priority\":{\"enum\":[\"normal\",\"high\"]},\"expiresInMs\":{\"type\":\"integer\",\"minimum\":1000,"
					     "\"maximum\":86400000}," OC_BOOLEAN("wake")),
	node_pending_enqueue};

/* The node that calls; NULL: answered. */
static const oc_proto *caller(oc_method_call *call)
{
	const oc_proto *p = oc_proto_of(oc_method_client(call));
	if (p != NULL && p->node != NULL)
		return p;
	oc_method_failf(call, OC_E_INVALID, "", "nodeId required");
	return NULL;
}

static void node_pending_drain(oc_method_call *call, const cJSON *params)
{
	const oc_proto *p = caller(call);
	if (p != NULL)
		oc_method_reply(call, oc_node_queue_items(oc_node_id(p), (int)oc_json_i64(params, "maxItems", 4)));
}

const oc_method oc_method_node_pending_drain = {"node.pending.drain", OC_SCOPE_NODE, "the questions that wait for the node",
						OC_PARAMS("\"maxItems\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10}"), node_pending_drain};

static void node_pending_pull(oc_method_call *call, const cJSON *params)
{
	const oc_proto *p = caller(call);
	(void)params;
	if (p == NULL)
		return;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "nodeId", oc_node_id(p));
	(void)oc_json_set(result, "actions", oc_node_queue_actions(oc_node_id(p)));
	oc_method_reply(call, result);
}

const oc_method oc_method_node_pending_pull = {"node.pending.pull", OC_SCOPE_NODE, "commands that the node could not carry out in the background",
					       OC_PARAMS(""), node_pending_pull};

static void node_pending_ack(oc_method_call *call, const cJSON *params)
{
	const oc_proto *p = caller(call);
	if (p == NULL)
		return;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "nodeId", oc_node_id(p));
	(void)oc_json_set(result, "ackedIds", cJSON_Duplicate(oc_json_get(params, "ids"), true));
	(void)oc_json_set_i64(result, "remainingCount", oc_node_queue_done(oc_node_id(p), oc_json_get(params, "ids")));
	oc_method_reply(call, result);
}

const oc_method oc_method_node_pending_ack = {
	"node.pending.ack", OC_SCOPE_NODE, "takes commands out that the node carried out",
	OC_PARAMS_REQ("\"ids\"", "\"ids\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":64,\"items\":{\"type\":\"string\",\"minLength\":1}}"), node_pending_ack};
