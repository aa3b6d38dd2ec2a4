/* Methods that TypeScript plugins add to the gateway's own, whatever protocol the call came in by; and their own calls of methods. */
#include <string.h>

#include "core/base/log.h"
#include "core/gateway/absent.h"
#include "core/base/mem.h"
#include "core/gateway/gateway.h"
#include "core/gateway/plugin_host.h"

typedef struct guest_call {
	oc_client *client;
	oc_method_answer answer;
	void *arg;
	char name[120];
} guest_call;

/* Without a word of the plugin's: for administrators, as in the original. */
static unsigned scope_of(const char *name)
{
	return strcmp(name, "operator.read") == 0 ? OC_SCOPE_READ : strcmp(name, "operator.write") == 0 ? OC_SCOPE_WRITE : OC_SCOPE_ADMIN;
}

const char *oc_method_guest_scope(const char *scope)
{
	unsigned bit = scope_of(scope);
	return bit == OC_SCOPE_READ ? "read" : bit == OC_SCOPE_WRITE ? "write" : "admin";
}

/* Codes of the original's error shapes. */
static oc_status status_of(const char *code)
{
	static const struct {
		const char *code;
		oc_status status;
	} known[] = {{"INVALID_REQUEST", OC_E_INVALID}, {"NOT_FOUND", OC_E_NOT_FOUND}, {"TIMEOUT", OC_E_TIMEOUT},
		     {"AGENT_TIMEOUT", OC_E_TIMEOUT}, {"FORBIDDEN", OC_E_DENIED}, {"UNAUTHORIZED", OC_E_AUTH}, {"CONFLICT", OC_E_EXISTS}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].code, code) == 0)
			return known[i].status;
	return OC_E_UNAVAILABLE;
}

static cJSON *client_json(const oc_client *client)
{
	cJSON *o = cJSON_CreateObject(), *connect = cJSON_AddObjectToObject(o, "connect");
	cJSON *who = cJSON_AddObjectToObject(connect, "client");
	(void)oc_json_set_i64(connect, "minProtocol", 3);
	(void)oc_json_set_i64(connect, "maxProtocol", 3);
	(void)oc_json_set_str(connect, "role", "operator");
	(void)oc_json_set_str(who, "id", "gateway-client");
	(void)oc_json_set_str(who, "version", PACKAGE_VERSION);
	(void)oc_json_set_str(who, "platform", "linux");
	(void)oc_json_set_str(who, "mode", "backend");
	(void)oc_json_set(connect, "scopes", oc_scope_list(client->scopes, "operator."));
	if (client->peer != NULL && !client->peer->is_unix)
		(void)oc_json_set_str(o, "clientIp", client->peer->address);
	return o;
}

static void end(guest_call *c, oc_status status, oc_str result, const oc_err *err)
{
	oc_client *client = c->client;
	c->answer(c->arg, status, result, err);
	oc_free(c);
	oc_client_unref(client);
}

/* respond(false, …): the error's words, and all of it as details. */
static void refused(guest_call *c, const cJSON *answer)
{
	const cJSON *error = oc_json_get(answer, "error"), *payload = oc_json_get(answer, "payload");
	const char *message = cJSON_IsString(error) ? error->valuestring : oc_json_str(error, "message", "");
	const cJSON *details = error != NULL && !cJSON_IsNull(error) ? error : payload;
	oc_err err = {0};
	if (message[0] == 0)
		message = oc_json_str(payload, "error", oc_json_str(payload, "message", "the plugin refused it without a word"));
	(void)oc_fail(&err, status_of(oc_json_str(error, "code", "")), NULL, "%s", message);
	oc_auto_free char *text = details != NULL && !cJSON_IsNull(details) ? oc_json_print(details) : NULL;
	end(c, err.code, text != NULL ? oc_str_of(text) : OC_STR_NONE, &err);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	guest_call *c = arg;
	oc_auto_json cJSON *answer = NULL;
	oc_err err = {0};
	if (status == OC_OK)
		status = oc_json_parse(result, NULL, &answer, &err);
	else
		(void)oc_fail(&err, status, status == OC_E_RETRY ? "call it again" : NULL, "%s: %.*s", c->name, OC_STR_ARG(result));
	if (status != OC_OK) {
		end(c, status, OC_STR_NONE, &err);
	} else if (!oc_json_bool(answer, "ok", false)) {
		refused(c, answer);
	} else {
		const cJSON *payload = oc_json_get(answer, "payload");
		oc_auto_free char *text = payload != NULL ? oc_json_print(payload) : NULL;
		end(c, OC_OK, text != NULL ? oc_str_of(text) : OC_STR("null"), &err);
	}
}

bool oc_method_guest(oc_client *client, oc_str name, const cJSON *params, oc_method_answer answer, void *arg)
{
	oc_bridge *bridge = client->gateway != NULL && client->gateway->rt != NULL ? client->gateway->rt->bridge : NULL;
	oc_plugin_method method;
	oc_err err = {0};
	if (bridge == NULL || !oc_bridge_method(bridge, name, &method))
		return false;
	unsigned scope = scope_of(method.scope);
	if ((scope & ~client->scopes) != 0) {
		if (client->scopes == 0)
			(void)oc_fail(&err, OC_E_AUTH, "send `Authorization: Bearer TOKEN`, or call auth.login first", "%s needs authentication",
				      method.name);
		else
			(void)oc_fail(&err, OC_E_DENIED, NULL, "%s needs a scope that this client does not have", method.name);
		answer(arg, err.code, OC_STR_NONE, &err);
		return true;
	}
	oc_auto_json cJSON *who = client_json(client);
	guest_call *c = oc_alloc(sizeof *c);
	oc_status status = c != NULL ? OC_OK : OC_E_NOMEM;
	if (status == OC_OK) {
		*c = (guest_call){.client = client, .answer = answer, .arg = arg};
		(void)snprintf(c->name, sizeof c->name, "%s", method.name);
		oc_client_ref(client);
		status = oc_bridge_method_run(bridge, name, params, who, on_done, c);
	}
	if (status != OC_OK) {
		(void)oc_fail(&err, status, NULL, "%s: the plugin %s cannot be asked", method.name, method.plugin);
		if (c != NULL)
			oc_client_unref(client);
		oc_free(c);
		answer(arg, status, OC_STR_NONE, &err);
	}
	return true;
}

/* ---- What is called from inside ---- */

void oc_method_ask(oc_gateway *gw, oc_str name, const cJSON *params, oc_method_answer answer, void *arg)
{
	oc_err err = {0};
	oc_client *client = oc_calloc(1, sizeof *client);
	if (client == NULL) {
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "no memory for a call");
		answer(arg, err.code, OC_STR_NONE, &err);
		return;
	}
	*client = (oc_client){.gateway = gw, .refs = 1, .scopes = OC_SCOPE_ALL};
	int row = oc_method_find(name, &err);
	if (row >= 0) {
		oc_method_start(client, row, params, answer, arg);
	} else if (!oc_method_guest(client, name, params, answer, arg)) {
		const oc_absent *absent = oc_absent_find(name);
		if (absent != NULL)
			(void)oc_absent_refuse(absent, client, &err);
		answer(arg, err.code, OC_STR_NONE, &err);
	}
	oc_client_unref(client);
}

static void on_called(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	oc_plugin_op *op = arg;
	if (status == OC_OK)
		oc_bridge_answer(op->ticket, OC_OK, result);
	else
		oc_plugin_refuse_call(op->ticket, err);
	oc_plugin_op_drop(op);
}

/* args: [method, params] */
void oc_plugin_gateway_call(const oc_plugin_asked *asked)
{
	const cJSON *name = oc_plugin_arg(asked, 0), *params = oc_plugin_arg(asked, 1);
	oc_str method = oc_str_of(cJSON_IsString(name) ? name->valuestring : "");
	oc_err err = {0};
	oc_status status = oc_plugin_may_call(asked->ticket.plugin, method.p, &err);
	if (status == OC_OK && asked->rt->gateway == NULL)
		status = oc_fail(&err, OC_E_UNAVAILABLE, "start one with `openclaw gateway run`", "no gateway is running");
	oc_plugin_op *op = status == OC_OK ? oc_plugin_op_new(asked) : NULL;
	if (op != NULL)
		oc_method_ask(asked->rt->gateway, method, params, on_called, op);
	else if (status != OC_OK)
		oc_plugin_refuse_call(asked->ticket, &err);
}
