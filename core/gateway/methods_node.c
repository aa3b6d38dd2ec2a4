/* node.*: what operators ask of nodes, and what nodes answer and tell. */
#include <string.h>

#include "core/agent/skills.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/node.h"
#include "core/gateway/node_book.h"
#include "core/gateway/node_queue.h"

/* ---- Who they are ---- */

static bool is_node(const cJSON *device)
{
	const cJSON *token;
	cJSON_ArrayForEach(token, oc_json_get(device, "tokens"))
		if (strcmp(oc_json_str(token, "role", ""), "node") == 0) return true;
	return oc_json_has_str(oc_json_get(device, "roles"), "node");
}

/* Of the commands that a node has those that it may be asked for. */
static cJSON *allowed_of(const oc_config *config, const cJSON *node)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *one;
	char why[60];
	cJSON_ArrayForEach(one, oc_json_get(node, "commands"))
		if (cJSON_IsString(one) && oc_node_allows(config, node, one->valuestring, why))
			(void)cJSON_AddItemToArray(list, cJSON_Duplicate(one, true));
	return list;
}

/* What is known of a node: its connection says more than the book. */
static cJSON *row_of(const oc_config *config, const cJSON *device, const cJSON *node)
{
	static const char *const kept[] = {"displayName", "platform", "remoteIp"};
	cJSON *row = node != NULL ? cJSON_Duplicate(node, true) : cJSON_CreateObject();
	if (node == NULL) {
		(void)oc_json_set_str(row, "nodeId", oc_json_str(device, "deviceId", ""));
		(void)oc_json_set(row, "caps", cJSON_CreateArray());
	}
	(void)oc_json_set(row, "commands", allowed_of(config, node));
	/* The operator's name for it comes before its own. */
	oc_json_opt(row, "displayName", oc_json_str(device, "displayName", NULL));
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (oc_json_get(row, kept[i]) == NULL)
			oc_json_opt(row, kept[i], oc_json_str(device, kept[i], NULL));
	(void)oc_json_set_bool(row, "paired", device != NULL);
	(void)oc_json_set_bool(row, "connected", node != NULL);
	return row;
}

static const cJSON *device_of(const cJSON *devices, const char *id)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, oc_json_get(devices, "paired"))
		if (strcmp(oc_json_str(one, "deviceId", ""), id) == 0) return is_node(one) ? one : NULL;
	return NULL;
}

/* The devices; NULL: answered. */
static cJSON *devices_of(oc_method_call *call)
{
	oc_err err = {0};
	oc_devices *book = oc_proto_devices(oc_method_gateway(call), &err);
	cJSON *all = book != NULL ? oc_devices_list(book) : NULL;
	if (book == NULL)
		oc_method_fail(call, &err);
	return all;
}

/* Those that are here come first, then by name. */
static void insert(cJSON *list, cJSON *row)
{
	const cJSON *other;
	int at = 0;
	bool here = oc_json_bool(row, "connected", false);
	const char *name = oc_json_str(row, "displayName", oc_json_str(row, "nodeId", ""));
	cJSON_ArrayForEach(other, list)
	{
		bool other_here = oc_json_bool(other, "connected", false);
		if (here != other_here ? here : strcasecmp(name, oc_json_str(other, "displayName", oc_json_str(other, "nodeId", ""))) < 0)
			break;
		at++;
	}
	(void)oc_json_insert(list, at, row);
}

static void node_list(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_auto_json cJSON *devices = devices_of(call);
	const cJSON *one;
	(void)params;
	if (devices == NULL)
		return;
	cJSON *result = cJSON_CreateObject(), *nodes = cJSON_CreateArray();
	cJSON_ArrayForEach(one, oc_json_get(devices, "paired"))
	{
		const oc_proto *p = oc_node_find(gw, oc_json_str(one, "deviceId", ""));
		if (p != NULL || is_node(one))
			insert(nodes, row_of(gw->rt->config, one, p != NULL ? p->node : NULL));
	}
	(void)oc_json_set_i64(result, "ts", oc_wall_ms());
	(void)oc_json_set(result, "nodes", nodes);
	oc_method_reply(call, result);
}

const oc_method oc_method_node_list = {"node.list", OC_SCOPE_READ, "paired nodes, whether they are connected, and what they can do", OC_PARAMS(""),
				       node_list};

static void node_describe(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *devices = devices_of(call);
	const char *id = oc_json_str(params, "nodeId", "");
	if (devices == NULL)
		return;
	const cJSON *device = device_of(devices, id);
	const oc_proto *p = oc_node_find(oc_method_gateway(call), id);
	if (device == NULL && p == NULL) {
		oc_method_failf(call, OC_E_NOT_FOUND, "", "unknown nodeId");
		return;
	}
	cJSON *row = row_of(oc_method_gateway(call)->rt->config, device, p != NULL ? p->node : NULL);
	(void)oc_json_set_i64(row, "ts", oc_wall_ms());
	oc_method_reply(call, row);
}

const oc_method oc_method_node_describe = {"node.describe", OC_SCOPE_READ, "one node, as node.list has it",
					   OC_PARAMS_REQ("\"nodeId\"", OC_NAME("nodeId")), node_describe};

static void node_rename(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	oc_devices *book = oc_proto_devices(oc_method_gateway(call), &err);
	oc_auto_json cJSON *devices = devices_of(call);
	const char *id = oc_json_str(params, "nodeId", ""), *given = oc_json_str(params, "displayName", "");
	oc_str name = oc_str_trim(oc_str_of(given));
	oc_auto_free char *text = oc_memdup(name.p, name.n);
	if (devices == NULL)
		return;
	if (name.n == 0 || text == NULL) {
		oc_method_failf(call, OC_E_INVALID, "", "displayName required");
		return;
	}
	oc_status status = device_of(devices, id) != NULL ? oc_devices_rename(book, id, text, &err) : oc_node_book_rename(id, text, &err);
	if (status != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "nodeId", id);
	(void)oc_json_set_str(result, "displayName", text);
	oc_method_reply(call, result);
}

const oc_method oc_method_node_rename = {"node.rename", OC_SCOPE_PAIRING, "gives a node a name",
					 OC_PARAMS_REQ("\"nodeId\",\"displayName\"", OC_NAME("nodeId") "," OC_NAME("displayName")), node_rename};

/* ---- Asking them ---- */

struct asked {
	oc_method_call *call;
	bool rules; /* exec.approvals.node.*: the payload is the answer */
	bool phone; /* that may be in somebody's pocket */
	char *node, *command, *params, *key;
};

static void free_asked(struct asked *a)
{
	oc_free(a->node);
	oc_free(a->command);
	oc_free(a->params);
	oc_free(a->key);
	oc_free(a);
}

static cJSON *error_of(const oc_node_outcome *o)
{
	cJSON *details = cJSON_CreateObject(), *node = cJSON_CreateObject();
	(void)oc_json_set_str(node, "code", o->code);
	(void)oc_json_set_str(node, "message", o->message);
	(void)oc_json_set(details, "nodeError", node);
	return details;
}

/* What needs the screen, or the senses, of a phone that is not looked at. */
static bool needs_foreground(const char *command)
{
	static const char *const families[] = {"canvas.", "camera.", "screen.", "talk."};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (strncmp(command, families[i], strlen(families[i])) == 0)
			return true;
	return false;
}

static void fail_asked(struct asked *a, const oc_node_outcome *o)
{
	oc_err err = {0};
	if (a->phone && needs_foreground(a->command) && strstr(o->code, "BACKGROUND_UNAVAILABLE") != NULL) {
		char id[37] = "";
		oc_node_queue_action(a->node, a->command, a->params, a->key, id);
		cJSON *details = error_of(o);
		(void)oc_json_set_str(details, "code", "QUEUED_UNTIL_FOREGROUND");
		(void)oc_json_set_str(details, "queuedActionId", id);
		(void)oc_fail(&err, OC_E_UNAVAILABLE, "", "node command queued until iOS returns to foreground");
		oc_method_fail_with(a->call, &err, details);
		return;
	}
	cJSON *details = error_of(o);
	if (!a->rules && strcmp(o->message, "node not connected") == 0) {
		cJSON_Delete(details);
		details = cJSON_CreateObject();
		(void)oc_json_set_str(details, "code", "NOT_CONNECTED");
		(void)oc_fail(&err, OC_E_UNAVAILABLE, "", "node not connected");
	} else {
		(void)oc_fail(&err, OC_E_UNAVAILABLE, "", "%s: %.300s", o->code, o->message);
	}
	oc_method_fail_with(a->call, &err, details);
}

static void on_answer(void *arg, const oc_node_outcome *o)
{
	struct asked *a = arg;
	if (!o->ok) {
		fail_asked(a, o);
		free_asked(a);
		return;
	}
	cJSON *payload = NULL;
	(void)oc_json_parse(o->payload_json, NULL, &payload, NULL);
	if (a->rules) {
		oc_method_reply(a->call, payload != NULL ? payload : cJSON_CreateObject());
	} else {
		cJSON *result = cJSON_CreateObject();
		(void)oc_json_set_bool(result, "ok", true);
		(void)oc_json_set_str(result, "nodeId", a->node);
		(void)oc_json_set_str(result, "command", a->command);
		(void)oc_json_set(result, "payload", payload != NULL ? payload : cJSON_CreateNull());
		(void)oc_json_set(result, "payloadJSON", o->payload_json.n > 0 ? cJSON_CreateString(o->payload_json.p) : cJSON_CreateNull());
		oc_method_reply(a->call, result);
	}
	free_asked(a);
}

static void ask(oc_method_call *call, const char *node, const char *command, const cJSON *params, uint64_t ms, const char *key, bool rules)
{
	oc_gateway *gw = oc_method_gateway(call);
	const oc_proto *p = oc_node_find(gw, node);
	struct asked *a = oc_alloc(sizeof *a);
	if (a != NULL) {
		*a = (struct asked){.call = call, .rules = rules, .phone = p != NULL && strcmp(oc_node_platform(p->node), "ios") == 0,
				    .node = oc_strdup(node), .command = oc_strdup(command), .key = oc_strdup(key),
				    .params = params != NULL ? oc_json_print(params) : NULL};
	}
	if (a == NULL || a->node == NULL || a->command == NULL || a->key == NULL) {
		if (a != NULL)
			free_asked(a);
		oc_method_failf(call, OC_E_NOMEM, NULL, "out of memory");
		return;
	}
	oc_node_invoke(gw, a->node, a->command, params, ms, a->key, on_answer, a);
}

static void refuse_command(oc_method_call *call, const cJSON *node, const char *command, const char *why)
{
	oc_err err = {0};
	cJSON *details = cJSON_CreateObject();
	(void)oc_json_set_str(details, "reason", why);
	(void)oc_json_set_str(details, "command", command);
	if (strcmp(why, "command not allowlisted") == 0)
		(void)oc_fail(&err, OC_E_DENIED, "", "node command not allowed: \"%.100s\" is not in the allowlist for platform \"%s\"", command,
			      oc_json_str(node, "platform", "unknown"));
	else
		(void)oc_fail(&err, OC_E_DENIED, "", "node command not allowed: %s", why);
	oc_method_fail_with(call, &err, details);
}

static void node_invoke(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	const char *id = oc_json_str(params, "nodeId", ""), *command = oc_json_str(params, "command", "");
	const oc_proto *p = oc_node_find(gw, id);
	oc_auto_json cJSON *forwarded = cJSON_Duplicate(oc_json_get(params, "params"), true);
	char why[60];
	if (strncmp(command, "system.execApprovals.", 21) == 0) {
		oc_err err = {0};
		cJSON *details = cJSON_CreateObject();
		(void)oc_json_set_str(details, "command", command);
		(void)oc_fail(&err, OC_E_INVALID, "", "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*");
		oc_method_fail_with(call, &err, details);
		return;
	}
	if (p != NULL && !oc_node_allows(gw->rt->config, p->node, command, why)) {
		refuse_command(call, p->node, command, why);
		return;
	}
	/* Nobody says for others that a person approved a command. */
	if ((oc_method_client(call)->scopes & OC_SCOPE_APPROVALS) == 0) {
		cJSON_DeleteItemFromObjectCaseSensitive(forwarded, "approved");
		cJSON_DeleteItemFromObjectCaseSensitive(forwarded, "approvalDecision");
	}
	int64_t ms = oc_json_i64(params, "timeoutMs", 0);
	ask(call, id, command, forwarded, ms > 0 ? (uint64_t)ms : 0, oc_json_str(params, "idempotencyKey", ""), false);
}

#define KEY "\"idempotencyKey\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}"
const oc_method oc_method_node_invoke = {
	"node.invoke", OC_SCOPE_WRITE,
	"asks a node for a command that it declared and that its platform's defaults, gateway.nodes.allowCommands and denyCommands allow",
	OC_PARAMS_REQ("\"nodeId\",\"command\",\"idempotencyKey\"",
		      OC_NAME("nodeId") "," OC_NAME("command") ",\"params\":{}," OC_COUNT("timeoutMs", 600000) "," KEY),
	node_invoke};

static void exec_approvals_node_get(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *nothing = cJSON_CreateObject();
	ask(call, oc_json_str(params, "nodeId", ""), "system.execApprovals.get", nothing, 0, "", true);
}

const oc_method oc_method_exec_approvals_node_get = {"exec.approvals.node.get", OC_SCOPE_ADMIN, "a node's own rules about commands, asked from it",
						     OC_PARAMS_REQ("\"nodeId\"", OC_NAME("nodeId")), exec_approvals_node_get};

static void exec_approvals_node_set(oc_method_call *call, const cJSON *params)
{
	oc_auto_json cJSON *sent = cJSON_CreateObject();
	(void)oc_json_set(sent, "file", cJSON_Duplicate(oc_json_get(params, "file"), true));
	oc_json_opt(sent, "baseHash", oc_json_str(params, "baseHash", NULL));
	ask(call, oc_json_str(params, "nodeId", ""), "system.execApprovals.set", sent, 0, "", true);
}

const oc_method oc_method_exec_approvals_node_set = {
	"exec.approvals.node.set", OC_SCOPE_ADMIN, "other rules about commands for a node, which keeps them",
	OC_PARAMS_REQ("\"nodeId\",\"file\"", OC_NAME("nodeId") ",\"file\":{\"type\":\"object\"}," OC_STRING("baseHash")), exec_approvals_node_set};

/* ---- From nodes ---- */

static void node_invoke_result(oc_method_call *call, const cJSON *params)
{
	oc_proto *p = oc_proto_of(oc_method_client(call));
	const cJSON *payload = oc_json_get(params, "payload"), *error = oc_json_get(params, "error");
	if (p == NULL || p->node == NULL || strcmp(oc_json_str(params, "nodeId", ""), oc_node_id(p)) != 0) {
		oc_method_failf(call, OC_E_INVALID, "", "nodeId mismatch");
		return;
	}
	oc_str text = oc_json_ostr(params, "payloadJSON");
	oc_auto_free char *printed = text.n == 0 && payload != NULL && !cJSON_IsNull(payload) ? oc_json_print(payload) : NULL;
	oc_node_outcome outcome = {oc_json_bool(params, "ok", false), printed != NULL ? oc_str_of(printed) : text,
				   oc_json_str(error, "code", "UNAVAILABLE"), oc_json_str(error, "message", "node invoke failed")};
	bool waited = oc_node_answer(p, oc_json_str(params, "id", ""), &outcome);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "ok", true);
	if (!waited)
		(void)oc_json_set_bool(result, "ignored", true); /* it came too late */
	oc_method_reply(call, result);
}

#define ERROR_OR_NULL "\"error\":{\"type\":[\"object\",\"null\"]}"
const oc_method oc_method_node_invoke_result = {
	"node.invoke.result", OC_SCOPE_NODE, "a node's answer to node.invoke.request",
	OC_PARAMS_REQ("\"id\",\"nodeId\",\"ok\"", OC_NAME("id") "," OC_NAME("nodeId") "," OC_BOOLEAN("ok") ",\"payload\":{},"
						  "\"payloadJSON\":{\"type\":[\"string\",\"null\"]}," ERROR_OR_NULL),
	node_invoke_result};

static void node_event(oc_method_call *call, const cJSON *params)
{
	oc_proto *p = oc_proto_of(oc_method_client(call));
	oc_auto_json cJSON *parsed = NULL;
	oc_str text = oc_json_ostr(params, "payloadJSON");
	if (text.n > 0)
		(void)oc_json_parse(text, NULL, &parsed, NULL);
	else if (oc_json_get(params, "payload") != NULL)
		parsed = cJSON_Duplicate(oc_json_get(params, "payload"), true);
	if (p != NULL && p->node != NULL && cJSON_IsObject(parsed))
		oc_node_event(p, oc_json_str(params, "event", ""), parsed);
	oc_method_reply_text(call, OC_STR("{\"ok\":true}"));
}

const oc_method oc_method_node_event = {
	"node.event", OC_SCOPE_NODE,
	"something that a node tells: agent.request, voice.transcript, notifications.changed, exec.started, exec.finished, exec.denied, "
	"chat.subscribe, chat.unsubscribe; others do nothing",
	OC_PARAMS_REQ("\"event\"", OC_NAME("event") ",\"payload\":{},\"payloadJSON\":{\"type\":[\"string\",\"null\"]}"), node_event};

/* Programs that skills need, for nodes that tell which of them they have. */
static void skills_bins(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_err err = {0};
	char id[65];
	oc_auto_json cJSON *described = NULL;
	oc_auto_free char *state = oc_path_state_dir();
	oc_arena *arena = oc_arena_new(0);
	oc_skills skills;
	cJSON *result = cJSON_CreateObject();
	(void)params;
	oc_status status = oc_agent_agent(gw->agent, oc_str_of(oc_agent_default_id(gw->rt->config, id)), &described, &err);
	if (status == OC_OK && arena != NULL && state != NULL)
		status = oc_skills_load(gw->rt->config, state, oc_json_str(described, "workspace", "/"), id, arena, &skills, &err);
	if (status == OC_OK) {
		(void)oc_json_set(result, "bins", oc_skills_bins(&skills));
		oc_method_reply(call, result);
	} else {
		cJSON_Delete(result);
		oc_method_fail(call, &err);
	}
	oc_arena_free(arena);
}

const oc_method oc_method_skills_bins = {"skills.bins", OC_SCOPE_NODE, "the programs that skills need", OC_PARAMS(""), skills_bins};
