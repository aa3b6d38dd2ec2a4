/*
 * POST /tools/invoke: one tool, under the policy of the session's agent, for a program that has the gateway's token.
 *
 * What starts agents, changes the gateway, runs commands or writes files is not for a token that is meant for lookups:
 * gateway.tools.allow takes tools out of that list, gateway.tools.deny adds to it.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/gateway.h"

typedef struct invoking {
	oc_gateway *gw;
	oc_http_req *req; /* NULL: the client went away */
	char tool[129];
} invoking;

static void answer(oc_gateway *gw, oc_http_req *req, int status, cJSON *o)
{
	oc_auto_free char *json = oc_json_print(o);
	cJSON_Delete(o);
	status = json != NULL ? status : 500;
	gw->status_class[status / 100]++;
	oc_http_respond(req, status, "application/json; charset=utf-8", json != NULL ? oc_str_of(json) : OC_STR("{}"));
}

static cJSON *error_of(const char *type, const char *message)
{
	cJSON *e = cJSON_CreateObject();
	(void)oc_json_set_str(e, "type", type);
	(void)oc_json_set_str(e, "message", message);
	return e;
}

static void fail(oc_gateway *gw, oc_http_req *req, int status, const char *type, const char *message)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", false);
	(void)oc_json_set(o, "error", error_of(type, message));
	answer(gw, req, status, o);
}

static void invalid(oc_gateway *gw, oc_http_req *req, const char *message)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set(o, "error", error_of("invalid_request_error", message));
	answer(gw, req, 400, o);
}

static void not_available(oc_gateway *gw, oc_http_req *req, const char *tool)
{
	oc_auto_free char *message = oc_asprintf("Tool not available: %s", tool);
	fail(gw, req, 404, "not_found", message != NULL ? message : "Tool not available");
}

static bool denied(const oc_config *config, const char *tool)
{
	static const char *const names[] = {"sessions_spawn", "sessions_send", "cron",	"gateway", "nodes", "whatsapp_login", "exec",
					    "process",	      "read",	       "write", "edit",	   "apply_patch",    NULL};
	if (oc_json_names(oc_config_get(config, "gateway.tools.deny"), tool))
		return true;
	for (const char *const *n = names; *n != NULL; n++)
		if (strcmp(*n, tool) == 0)
			return !oc_json_names(oc_config_get(config, "gateway.tools.allow"), tool);
	return false;
}

/* The tool in the agent's list, when it may be used there. */
static cJSON *find_tool(oc_gateway *gw, oc_str session, const char *tool)
{
	oc_auto_json cJSON *tools = NULL;
	cJSON *t;
	if (oc_agent_tools(gw->agent, OC_STR_NONE, session, &tools, NULL) != OC_OK)
		return NULL;
	cJSON_ArrayForEach(t, tools)
	{
		if (strcmp(oc_json_str(t, "name", ""), tool) == 0 && oc_json_bool(t, "allowed", false))
			return cJSON_DetachItemViaPointer(tools, t);
	}
	return NULL;
}

static const char *first_text(const cJSON *result)
{
	return oc_json_str(cJSON_GetArrayItem(oc_json_get(result, "content"), 0), "text", "tool execution failed");
}

static void done(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	invoking *v = arg;
	if (v->req != NULL) {
		oc_http_on_close(v->req, NULL, NULL);
		bool theirs = status == OC_E_INVALID || status == OC_E_DENIED || status == OC_E_BLOCKED;
		if (status == OC_E_NOT_FOUND) {
			not_available(v->gw, v->req, v->tool);
		} else if (status != OC_OK) {
			fail(v->gw, v->req, theirs ? 400 : 500, "tool_error", err->text);
		} else if (oc_json_bool(result, "isError", false)) {
			fail(v->gw, v->req, 400, "tool_error", first_text(result));
		} else {
			cJSON *o = cJSON_CreateObject(), *r = cJSON_CreateObject();
			(void)oc_json_set_bool(o, "ok", true);
			(void)oc_json_set(r, "content", cJSON_Duplicate(oc_json_get(result, "content"), true));
			if (oc_json_get(result, "details") != NULL)
				(void)oc_json_set(r, "details", cJSON_Duplicate(oc_json_get(result, "details"), true));
			(void)oc_json_set(o, "result", r);
			answer(v->gw, v->req, 200, o);
		}
	}
	oc_free(v);
}

static void on_close(void *arg, oc_http_req *req)
{
	invoking *v = arg;
	(void)req;
	v->req = NULL;
}

static void start(oc_gateway *gw, oc_http_req *req, const cJSON *body, const cJSON *tool)
{
	oc_err err = {0};
	invoking *v = oc_alloc(sizeof *v);
	const cJSON *given = oc_json_get(body, "args");
	oc_auto_json cJSON *args = cJSON_IsObject(given) ? cJSON_Duplicate(given, true) : cJSON_CreateObject();
	const char *action = oc_json_str(body, "action", "");
	if (action[0] != 0 && oc_json_get(args, "action") == NULL && oc_json_path(tool, "parameters.properties.action") != NULL)
		(void)oc_json_set_str(args, "action", action);
	if (v == NULL || args == NULL) {
		oc_free(v);
		fail(gw, req, 500, "tool_error", "out of memory");
		return;
	}
	*v = (invoking){.gw = gw, .req = req};
	(void)snprintf(v->tool, sizeof v->tool, "%s", oc_json_str(tool, "name", ""));
	oc_tool_input in = {.session = oc_json_ostr(body, "sessionKey"), .tool = oc_str_of(v->tool), .arguments = args, .done = done, .arg = v};
	oc_http_on_close(req, on_close, v);
	oc_status status = oc_agent_tool_execute(gw->agent, &in, &err);
	if (status != OC_OK) {
		oc_http_on_close(req, NULL, NULL);
		oc_free(v);
		fail(gw, req, status == OC_E_BUSY || status == OC_E_UNAVAILABLE ? 503 : 400, "tool_error", err.text);
	}
}

void oc_gateway_tools_invoke(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_json cJSON *body = NULL, *tool = NULL;
	oc_err err = {0};
	if (oc_json_parse(oc_http_body(req), NULL, &body, &err) != OC_OK) {
		invalid(gw, req, err.text);
		return;
	}
	const char *name = oc_json_str(body, "tool", oc_json_str(body, "name", ""));
	if (name[0] == 0) {
		invalid(gw, req, "tools.invoke requires body.tool");
		return;
	}
	if (strlen(name) <= 128 && !denied(gw->rt->config, name))
		tool = find_tool(gw, oc_json_ostr(body, "sessionKey"), name);
	if (tool == NULL) {
		not_available(gw, req, name);
	} else if (oc_json_bool(body, "dryRun", false)) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_bool(o, "ok", true);
		(void)oc_json_set_bool(o, "dryRun", true);
		answer(gw, req, 200, o);
	} else {
		start(gw, req, body, tool);
	}
}
