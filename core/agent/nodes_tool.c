/* The agent's tool for nodes: phones and machines that are paired with the gateway and carry out commands. */
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "core/agent/builtin.h"
#include "core/agent/turn.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/path.h"

enum { APPROVAL_MS = 120000 };

/* ---- What it does ---- */

typedef enum { LIST, PAIR, DESCRIBE, INVOKE, ASK, MEDIA, RUN } kind;

static const struct action {
	const char *name;
	kind kind;
	const char *target;  /* the gateway's method, or the node's command */
	const char *params;  /* of the call, "name" or "name=argument", separated by spaces */
	const char *defaults; /* JSON; NULL: {} */
	const char *required; /* one argument; NULL: none */
} actions[] = {
	{"status", LIST, "node.list", "", NULL, NULL},
	{"pending", LIST, "node.pair.list", "", NULL, NULL},
	{"approve", PAIR, "node.pair.approve", "requestId", NULL, "requestId"},
	{"reject", PAIR, "node.pair.reject", "requestId", NULL, "requestId"},
	{"describe", DESCRIBE, "node.describe", "", NULL, "node"},
	{"notify", ASK, "system.notify", "title body sound priority delivery", NULL, "node"},
	{"camera_list", ASK, "camera.list", "", NULL, "node"},
	{"notifications_list", ASK, "notifications.list", "", NULL, "node"},
	{"notifications_action", ASK, "notifications.actions", "key=notificationKey action=notificationAction replyText=notificationReplyText", NULL,
	 "notificationKey"},
	{"device_status", ASK, "device.status", "", NULL, "node"},
	{"device_info", ASK, "device.info", "", NULL, "node"},
	{"device_permissions", ASK, "device.permissions", "", NULL, "node"},
	{"device_health", ASK, "device.health", "", NULL, "node"},
	{"location_get", ASK, "location.get", "maxAgeMs desiredAccuracy timeoutMs=locationTimeoutMs", NULL, "node"},
	{"camera_snap", MEDIA, "camera.snap", "facing maxWidth quality delayMs deviceId",
	 "{\"facing\":\"front\",\"maxWidth\":1600,\"quality\":0.95,\"format\":\"jpg\"}", "node"},
	{"photos_latest", MEDIA, "photos.latest", "limit maxWidth quality", "{\"limit\":1,\"maxWidth\":1600,\"quality\":0.85}", "node"},
	{"camera_clip", MEDIA, "camera.clip", "facing durationMs includeAudio deviceId",
	 "{\"facing\":\"front\",\"durationMs\":3000,\"includeAudio\":true,\"format\":\"mp4\"}", "node"},
	{"screen_record", MEDIA, "screen.record", "durationMs fps screenIndex includeAudio",
	 "{\"durationMs\":10000,\"fps\":10,\"screenIndex\":0,\"includeAudio\":true,\"format\":\"mp4\"}", "node"},
	{"run", RUN, "system.run", "", NULL, "command"},
	{"invoke", INVOKE, "", "", NULL, "invokeCommand"},
};

typedef struct using {
	oc_agent *agent;
	oc_call *call;
	const struct action *action;
	cJSON *args;
	cJSON *run; /* parameters of system.run, once they are prepared */
	char *node; /* its id, once it is found */
	char *workspace, *agent_id, *session;
	char approval[37];
} using;

static void over(using *u)
{
	cJSON_Delete(u->args);
	cJSON_Delete(u->run);
	oc_free(u->node);
	oc_free(u->workspace);
	oc_free(u->agent_id);
	oc_free(u->session);
	oc_free(u);
}

static void refuse(using *u, const char *why)
{
	oc_builtin_text(u->call, true, "nodes %s: %s", u->action->name, why);
	over(u);
}

static void fail(using *u, const oc_err *err)
{
	refuse(u, err->text[0] != 0 ? err->text : oc_status_text(err->code));
}

/* Takes params. The answer comes once, maybe at once, and ends u or goes on with it. */
static void ask_gateway(using *u, const char *method, cJSON *params, oc_agent_answer answer)
{
	u->agent->gateway(u->agent->gateway_arg, method, params, answer, u);
	cJSON_Delete(params);
}

/* Takes params. */
static void ask_node(using *u, const char *command, cJSON *params, oc_agent_answer answer)
{
	char key[37];
	cJSON *o = cJSON_CreateObject();
	int64_t ms = oc_json_i64(u->args, "invokeTimeoutMs", 0);
	(void)oc_json_set_str(o, "nodeId", u->node);
	(void)oc_json_set_str(o, "command", command);
	(void)oc_json_set(o, "params", params);
	(void)oc_json_set_str(o, "idempotencyKey", oc_id_uuid(key));
	if (ms > 0)
		(void)oc_json_set_i64(o, "timeoutMs", ms);
	ask_gateway(u, "node.invoke", o, answer);
}

/* ---- Answers ---- */

/* The answer; NULL: u is over. */
static cJSON *parsed(using *u, oc_status status, oc_str result, const oc_err *err)
{
	cJSON *o = NULL;
	oc_err bad = {0};
	if (status != OC_OK)
		fail(u, err);
	else if (oc_json_parse(result, NULL, &o, &bad) != OC_OK)
		fail(u, &bad);
	return o;
}

static void on_told(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	using *u = arg;
	cJSON *o = parsed(u, status, result, err);
	if (o == NULL)
		return;
	if (u->action->kind == PAIR) /* the node's secret is not the model's */
		cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "node"), "token");
	cJSON_DeleteItemFromObjectCaseSensitive(o, "payloadJSON"); /* payload, again */
	oc_builtin_json(u->call, o);
	over(u);
}

static void on_asked(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	using *u = arg;
	oc_auto_json cJSON *o = parsed(u, status, result, err);
	if (o == NULL)
		return;
	cJSON *payload = cJSON_DetachItemFromObjectCaseSensitive(o, "payload");
	if (!cJSON_IsObject(payload)) {
		cJSON_Delete(payload);
		payload = cJSON_CreateObject();
		(void)oc_json_set_bool(payload, "ok", true);
	}
	oc_builtin_json(u->call, payload);
	over(u);
}

/* ---- Pictures and recordings ---- */

static const char *mime_of(const char *format)
{
	return strcasecmp(format, "jpg") == 0 || strcasecmp(format, "jpeg") == 0 ? "image/jpeg"
	       : strcasecmp(format, "png") == 0					 ? "image/png"
	       : strcasecmp(format, "mp4") == 0					 ? "video/mp4"
										 : NULL;
}

/* Writes the file into the workspace; its path there, oc_free it. NULL: why. */
static char *keep_file(const using *u, const cJSON *one, const char **why)
{
	oc_str text = oc_json_ostr(one, "base64");
	const char *format = oc_json_str(one, "format", "");
	oc_auto_free char *folder = oc_path_join(u->workspace, "media/inbound");
	oc_auto_free unsigned char *bytes = text.n > 0 ? oc_alloc(text.n) : NULL;
	char unique[9];
	size_t n = 0;
	*why = text.n == 0 ? "the node sent no file with its answer; files that it offers by an address are not fetched" : "out of memory";
	if (folder == NULL || bytes == NULL)
		return NULL;
	if (mime_of(format) == NULL || sodium_base642bin(bytes, text.n, text.p, text.n, "\r\n", &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
		*why = "the node's file is of no known format (jpg, png, mp4), or not whole";
		return NULL;
	}
	char *path = oc_asprintf("media/inbound/%s-%s.%s", oc_id_token(unique, 8), u->action->name, format);
	oc_auto_free char *full = path != NULL ? oc_path_join(u->workspace, path) : NULL;
	if (full != NULL && oc_path_mkdirs(folder, 0700, NULL) == OC_OK && oc_path_write(full, bytes, n, 0600, NULL) == OC_OK)
		return path;
	*why = "the file cannot be written into the workspace";
	oc_free(path);
	return NULL;
}

static bool add_file(using *u, cJSON *content, const cJSON *one, const char **why)
{
	oc_auto_free char *path = keep_file(u, one, why), *line = path != NULL ? oc_asprintf("MEDIA:%s", path) : NULL;
	const char *mime = mime_of(oc_json_str(one, "format", ""));
	if (line == NULL)
		return false;
	cJSON *text = cJSON_CreateObject();
	(void)oc_json_set_str(text, "type", "text");
	(void)oc_json_set_str(text, "text", line);
	(void)cJSON_AddItemToArray(content, text);
	if (strncmp(mime, "image/", 6) == 0) {
		cJSON *image = cJSON_CreateObject();
		(void)oc_json_set_str(image, "type", "image");
		(void)oc_json_set_str(image, "mime", mime);
		(void)oc_json_set_str(image, "data", oc_json_str(one, "base64", ""));
		(void)cJSON_AddItemToArray(content, image);
	}
	return true;
}

static void on_media(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	using *u = arg;
	oc_auto_json cJSON *o = parsed(u, status, result, err), *content = cJSON_CreateArray();
	const char *why = "there is no picture";
	if (o == NULL)
		return;
	const cJSON *payload = oc_json_get(o, "payload"), *photos = oc_json_get(payload, "photos"), *one;
	bool ok = cJSON_IsArray(photos) || add_file(u, content, payload, &why);
	cJSON_ArrayForEach(one, photos) ok = ok && add_file(u, content, one, &why);
	if (!ok || cJSON_GetArraySize(content) == 0) {
		refuse(u, why);
		return;
	}
	oc_builtin_content(u->call, content);
	over(u);
}

/* ---- Commands of a machine's shell: prepared, run, and asked about where its rules want a person's word ---- */

static void on_decided(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	using *u = arg;
	oc_auto_json cJSON *o = parsed(u, status, result, err);
	if (o == NULL)
		return;
	const char *decision = oc_json_str(o, "decision", "");
	if (strncmp(decision, "allow-", 6) != 0) {
		refuse(u, strcmp(decision, "deny") == 0 ? "the command was denied" : "nobody decided about the command in time");
		return;
	}
	(void)oc_json_set_str(u->run, "runId", u->approval);
	(void)oc_json_set_bool(u->run, "approved", true);
	(void)oc_json_set_str(u->run, "approvalDecision", decision);
	ask_node(u, "system.run", cJSON_Duplicate(u->run, true), on_asked);
}

static void on_run(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	using *u = arg;
	if (status == OC_OK || strstr(err->text, "SYSTEM_RUN_DENIED: approval required") == NULL) {
		on_asked(u, status, result, err);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", oc_id_uuid(u->approval));
	(void)oc_json_set_str(o, "command", oc_json_str(u->run, "rawCommand", ""));
	(void)oc_json_set(o, "commandArgv", cJSON_Duplicate(oc_json_get(u->run, "command"), true));
	oc_json_opt(o, "cwd", oc_json_str(u->run, "cwd", NULL));
	(void)oc_json_set_str(o, "nodeId", u->node);
	(void)oc_json_set_str(o, "host", "node");
	(void)oc_json_set_str(o, "agentId", u->agent_id);
	(void)oc_json_set_str(o, "sessionKey", u->session);
	(void)oc_json_set_i64(o, "timeoutMs", APPROVAL_MS);
	ask_gateway(u, "exec.approval.request", o, on_decided);
}

static cJSON *environment(const cJSON *pairs)
{
	cJSON *env = cJSON_CreateObject();
	const cJSON *one;
	cJSON_ArrayForEach(one, pairs)
	{
		const char *eq = cJSON_IsString(one) ? strchr(one->valuestring, '=') : NULL;
		oc_auto_free char *name = eq != NULL && eq != one->valuestring ? oc_memdup(one->valuestring, (size_t)(eq - one->valuestring)) : NULL;
		if (name != NULL)
			(void)oc_json_set_str(env, name, eq + 1);
	}
	return env;
}

static void on_prepared(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	static const char *const names[][2] = {{"command", "argv"}, {"rawCommand", "commandText"}, {"cwd", "cwd"}, {"agentId", "agentId"},
					       {"sessionKey", "sessionKey"}};
	using *u = arg;
	oc_auto_json cJSON *o = parsed(u, status, result, err);
	const cJSON *plan = oc_json_get(oc_json_get(o, "payload"), "plan");
	if (o == NULL)
		return;
	if (cJSON_GetArraySize(oc_json_get(plan, "argv")) == 0) {
		refuse(u, "the node did not prepare the command");
		return;
	}
	u->run = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (oc_json_get(plan, names[i][1]) != NULL && !cJSON_IsNull(oc_json_get(plan, names[i][1])))
			(void)oc_json_set(u->run, names[i][0], cJSON_Duplicate(oc_json_get(plan, names[i][1]), true));
	if (oc_json_get(u->args, "env") != NULL)
		(void)oc_json_set(u->run, "env", environment(oc_json_get(u->args, "env")));
	if (oc_json_i64(u->args, "commandTimeoutMs", 0) > 0)
		(void)oc_json_set_i64(u->run, "timeoutMs", oc_json_i64(u->args, "commandTimeoutMs", 0));
	ask_node(u, "system.run", cJSON_Duplicate(u->run, true), on_run);
}

static void run(using *u)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set(o, "command", cJSON_Duplicate(oc_json_get(u->args, "command"), true));
	oc_json_opt(o, "cwd", oc_json_str(u->args, "cwd", NULL));
	(void)oc_json_set_str(o, "agentId", u->agent_id);
	(void)oc_json_set_str(o, "sessionKey", u->session);
	ask_node(u, "system.run.prepare", o, on_prepared);
}

/* ---- Any command ---- */

static void invoke_any(using *u)
{
	const char *command = oc_json_str(u->args, "invokeCommand", "");
	oc_str text = oc_str_trim(oc_json_ostr(u->args, "invokeParamsJson"));
	cJSON *params = NULL;
	oc_err err = {0};
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (actions[i].kind == MEDIA && strcasecmp(actions[i].target, command) == 0) {
			oc_auto_free char *why = oc_asprintf("%s brings files, which do not fit here: use the action %s", command, actions[i].name);
			refuse(u, why != NULL ? why : "use the action for it");
			return;
		}
	if (text.n > 0 && oc_json_parse(text, NULL, &params, &err) != OC_OK) {
		oc_err_prefix(&err, "invokeParamsJson");
		fail(u, &err);
		return;
	}
	/* No model says for a person that a command is approved. */
	cJSON_DeleteItemFromObjectCaseSensitive(params, "approved");
	cJSON_DeleteItemFromObjectCaseSensitive(params, "approvalDecision");
	ask_node(u, command, params != NULL ? params : cJSON_CreateObject(), on_told);
}

/* The call's parameters from the tool's arguments. */
static cJSON *params_of(const using *u)
{
	cJSON *o = NULL;
	if (u->action->defaults == NULL || oc_json_parse(oc_str_of(u->action->defaults), NULL, &o, NULL) != OC_OK)
		o = cJSON_CreateObject();
	oc_str rest = oc_str_of(u->action->params);
	while (rest.p != NULL) {
		oc_str word = oc_str_cut(&rest, ' '), name = word;
		if (word.n > 0 && memchr(word.p, '=', word.n) != NULL)
			name = oc_str_cut(&word, '=');
		oc_auto_free char *to = oc_memdup(name.p, name.n), *from = oc_memdup(word.p, word.n);
		const cJSON *given = from != NULL ? oc_json_get(u->args, from) : NULL;
		if (to != NULL && given != NULL)
			(void)oc_json_set(o, to, cJSON_Duplicate(given, true));
	}
	return o;
}

static void act(using *u)
{
	cJSON *o;
	switch (u->action->kind) {
	case DESCRIBE:
		o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "nodeId", u->node);
		ask_gateway(u, u->action->target, o, on_told);
		break;
	case ASK:
		ask_node(u, u->action->target, params_of(u), on_asked);
		break;
	case MEDIA:
		ask_node(u, u->action->target, params_of(u), on_media);
		break;
	case RUN:
		run(u);
		break;
	default:
		invoke_any(u);
	}
}

/* ---- Which node ---- */

/* Letters and digits only, others as one '-'. */
static void plain(const char *name, char *out, size_t size)
{
	size_t n = 0;
	for (; *name != 0 && n + 1 < size; name++) {
		bool letter = (*name >= '0' && *name <= '9') || (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name & 0x80) != 0;
		if (letter)
			out[n++] = *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = 0;
}

static bool is_meant(const cJSON *node, const char *query)
{
	const char *id = oc_json_str(node, "nodeId", "");
	char name[200], asked[200];
	plain(oc_json_str(node, "displayName", ""), name, sizeof name);
	plain(query, asked, sizeof asked);
	return strcmp(id, query) == 0 || strcmp(oc_json_str(node, "remoteIp", ""), query) == 0 || (name[0] != 0 && strcmp(name, asked) == 0) ||
	       (strlen(query) >= 6 && strncmp(id, query, strlen(query)) == 0);
}

/* One that is meant, of those that are connected when there are several; NULL: err. */
static const cJSON *choose(const cJSON *nodes, const char *query, oc_err *err)
{
	const cJSON *one, *any = NULL, *here = NULL;
	int n_any = 0, n_here = 0;
	cJSON_ArrayForEach(one, nodes)
	{
		if (!is_meant(one, query))
			continue;
		any = one;
		n_any++;
		if (oc_json_bool(one, "connected", false)) {
			here = one;
			n_here++;
		}
	}
	if (n_any == 1 || n_here == 1)
		return n_any == 1 ? any : here;
	oc_sbuf names;
	oc_sbuf_init(&names, 300);
	cJSON_ArrayForEach(one, nodes)
		if (n_any == 0 || is_meant(one, query))
			oc_sbuf_printf(&names, "%s%s", names.n > 0 ? ", " : "", oc_json_str(one, "displayName", oc_json_str(one, "nodeId", "")));
	(void)oc_fail(err, OC_E_NOT_FOUND, NULL, "%s node: %.100s (%s: %.250s)", n_any == 0 ? "unknown" : "ambiguous", query,
		      n_any == 0 ? "known" : "matches", names.n > 0 ? names.p : "none");
	oc_sbuf_free(&names);
	return NULL;
}

static void on_nodes(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	using *u = arg;
	oc_err bad = {0};
	oc_auto_json cJSON *o = parsed(u, status, result, err);
	if (o == NULL)
		return;
	const cJSON *node = choose(oc_json_get(o, "nodes"), oc_json_str(u->args, "node", ""), &bad);
	if (node == NULL) {
		fail(u, &bad);
	} else if (u->action->kind == RUN && !oc_json_has_str(oc_json_get(node, "commands"), "system.run")) {
		refuse(u, "this node does not run commands (system.run)");
	} else if ((u->node = oc_strdup(oc_json_str(node, "nodeId", ""))) == NULL) {
		refuse(u, "out of memory");
	} else {
		act(u);
	}
}

/* ---- The tool ---- */

/* Why it is not done; NULL: it is. */
static const char *refused(const oc_builtin_call *call, const struct action *action)
{
	const oc_turn *turn = oc_lane_running(call->agent, call->session);
	const cJSON *required = action != NULL && action->required != NULL ? oc_json_get(call->args, action->required) : NULL;
	const char *to_do = oc_json_str(call->args, "notificationAction", "");
	if (turn != NULL && turn->restricted)
		return "whoever wrote this may not use nodes";
	if (call->agent->gateway == NULL)
		return "nodes are connected to a gateway, and none is running here";
	if (action == NULL)
		return "there is no such action";
	if (action->kind >= DESCRIBE && oc_json_ostr(call->args, "node").n == 0)
		return "node is required: its name or id (action status lists them)";
	if (action->required != NULL && (required == NULL || (cJSON_IsString(required) && required->valuestring[0] == 0)))
		return action->required;
	if (action->kind == RUN && cJSON_GetArraySize(required) == 0)
		return "command must be an array of strings, as [\"echo\",\"Hello\"]";
	if (strcmp(action->name, "notify") == 0 && oc_json_ostr(call->args, "title").n == 0 && oc_json_ostr(call->args, "body").n == 0)
		return "title or body is required";
	if (strcmp(action->name, "notifications_action") == 0 && strcmp(to_do, "open") != 0 && strcmp(to_do, "dismiss") != 0 &&
	    (strcmp(to_do, "reply") != 0 || oc_json_ostr(call->args, "notificationReplyText").n == 0))
		return "notificationAction must be open, dismiss, or reply with notificationReplyText";
	return NULL;
}

static void invoke(const oc_builtin_call *call)
{
	const char *name = oc_json_str(call->args, "action", "");
	const struct action *action = NULL;
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(actions[i].name, name) == 0)
			action = &actions[i];
	const char *why = refused(call, action);
	if (why != NULL) {
		bool member = action != NULL && why == action->required;
		oc_builtin_text(call->call, true, "nodes %s: %s%s", name, why, member ? " is required" : "");
		return;
	}
	using *u = oc_calloc(1, sizeof *u);
	if (u != NULL)
		*u = (using){.agent = call->agent, .call = call->call, .action = action, .args = cJSON_Duplicate(call->args, true),
			     .workspace = oc_strdup(call->workspace), .agent_id = oc_strdup(call->agent_id), .session = oc_strdup(call->session)};
	if (u == NULL || u->args == NULL || u->workspace == NULL || u->agent_id == NULL || u->session == NULL) {
		oc_builtin_text(call->call, true, "nodes: out of memory");
		if (u != NULL)
			over(u);
	} else if (action->kind >= DESCRIBE) {
		ask_gateway(u, "node.list", cJSON_CreateObject(), on_nodes);
	} else {
		ask_gateway(u, action->target, params_of(u), on_told);
	}
}

#define TEXT(name) "\"" name "\":{\"type\":\"string\",\"maxLength\":65536},"
#define NUMBER(name) "\"" name "\":{\"type\":\"number\"},"
const oc_builtin_tool oc_tool_nodes = {
	.name = "nodes",
	.spec = "{\"name\":\"nodes\",\"group\":\"nodes\",\"description\":\"Paired phones and machines: which there are (status, describe), pairing (pending, "
		"approve, reject), what they can be asked for. run takes command as an array; invoke takes invokeCommand and invokeParamsJson.\","
		"\"parameters\":{\"type\":\"object\",\"required\":[\"action\"],\"properties\":{\"action\":{\"type\":\"string\",\"enum\":[\"status\","
		"\"describe\",\"pending\",\"approve\",\"reject\",\"notify\",\"camera_snap\",\"camera_list\",\"camera_clip\",\"photos_latest\","
		"\"screen_record\",\"location_get\",\"notifications_list\",\"notifications_action\",\"device_status\",\"device_info\","
		"\"device_permissions\",\"device_health\",\"run\",\"invoke\"]}," TEXT("node") TEXT("requestId") TEXT("title") TEXT("body") TEXT("sound")
		"\"priority\":{\"enum\":[\"passive\",\"active\",\"timeSensitive\"]},\"delivery\":{\"enum\":[\"system\",\"overlay\",\"auto\"]},"
		"\"facing\":{\"enum\":[\"front\",\"back\"]}," NUMBER("maxWidth") NUMBER("quality") NUMBER("delayMs") TEXT("deviceId")
		"\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":20},\"durationMs\":{\"type\":\"number\",\"minimum\":1,\"maximum\":300000},"
		"\"includeAudio\":{\"type\":\"boolean\"}," NUMBER("fps") NUMBER("screenIndex") NUMBER("maxAgeMs") NUMBER("locationTimeoutMs")
		"\"desiredAccuracy\":{\"enum\":[\"coarse\",\"balanced\",\"precise\"]},\"notificationAction\":{\"enum\":[\"open\",\"dismiss\","
		"\"reply\"]}," TEXT("notificationKey") TEXT("notificationReplyText")
		"\"command\":{\"type\":\"array\",\"maxItems\":1000,\"items\":{\"type\":\"string\"}}," TEXT("cwd")
		"\"env\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\"}}," NUMBER("commandTimeoutMs")
		"\"invokeTimeoutMs\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":600000}," TEXT("invokeCommand")
		"\"invokeParamsJson\":{\"type\":\"string\",\"maxLength\":1048576}}}}",
	.invoke = invoke,
};
