/* What nodes tell: messages for the agent, and what happened on them. */
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/chat.h"
#include "core/gateway/node.h"

#define TEXT_MAX 20000
#define HEARD_MAX 50

/* The session that the payload names, else the node's own (by_node) or the main one. false: there is no such. */
static bool session_of(const oc_proto *p, const cJSON *payload, bool by_node, char key[OC_SESSION_KEY_MAX])
{
	oc_err err = {0};
	char id[65], own[160];
	oc_str name = oc_str_trim(oc_json_ostr(payload, "sessionKey"));
	(void)snprintf(own, sizeof own, "node-%.140s", oc_node_id(p));
	if (name.n == 0)
		name = by_node ? oc_str_of(own) : OC_STR("main");
	return oc_session_key_resolve(name, oc_agent_default_id(p->client.gateway->rt->config, id), "main", key, &err) == OC_OK;
}

/* A message that somebody said or wrote on the node; who is at it may not change the session by commands. */
static void submit(oc_proto *p, const cJSON *payload, const char *member, const char *thinking, bool by_node)
{
	oc_gateway *gw = p->client.gateway;
	oc_err err = {0};
	oc_run_ref ref;
	char session[OC_SESSION_KEY_MAX];
	oc_str text = oc_str_trim(oc_json_ostr(payload, member));
	const char *channel = oc_json_str(payload, "channel", ""), *to = oc_json_str(payload, "to", "");
	oc_auto_json cJSON *deliver = NULL;
	if (text.n == 0 || text.n > TEXT_MAX || !session_of(p, payload, by_node, session))
		return;
	if (oc_json_bool(payload, "deliver", false) && channel[0] != 0 && to[0] != 0) {
		deliver = cJSON_CreateObject();
		(void)oc_json_set_str(deliver, "channel", channel);
		(void)oc_json_set_str(deliver, "account", "default");
		(void)oc_json_set_str(deliver, "to", to);
	}
	oc_turn_input input = {.session = oc_str_of(session), .text = text, .origin = "node", .restricted = true, .deliver = deliver,
			       .client = oc_node_id(p), .thinking = thinking != NULL ? oc_str_of(thinking) : OC_STR_NONE,
			       .timeout_ms = (uint64_t)oc_json_i64(payload, "timeoutSeconds", 0) * 1000};
	oc_chats_start(gw);
	if (oc_agent_submit(gw->agent, &input, &ref, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "gateway", "what a node said is not heard", &err);
}

static void tell(oc_proto *p, const cJSON *payload, const char *context, const char *text)
{
	oc_err err = {0};
	char session[OC_SESSION_KEY_MAX];
	if (text != NULL && session_of(p, payload, true, session) &&
	    oc_agent_tell(p->client.gateway->agent, oc_str_of(session), text, context, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "gateway", "what happened on a node is not told", &err);
}

static void notification(oc_proto *p, const cJSON *payload)
{
	const char *change = oc_json_str(payload, "change", ""), *key = oc_json_str(payload, "key", "");
	bool posted = strcmp(change, "posted") == 0;
	if (key[0] == 0 || (!posted && strcmp(change, "removed") != 0))
		return;
	oc_auto_free char *context = oc_asprintf("notification:%.100s", key);
	oc_auto_free char *text = oc_asprintf("Notification %s (node=%.64s key=%.100s)%s%.300s%s%.1000s", change, oc_node_id(p), key, posted ? ": " : "",
					      posted ? oc_json_str(payload, "title", "") : "", posted ? " - " : "",
					      posted ? oc_json_str(payload, "text", "") : "");
	tell(p, payload, context, text);
}

static void command_event(oc_proto *p, const char *what, const cJSON *payload)
{
	const char *command = oc_json_str(payload, "command", ""), *output = oc_json_str(payload, "output", "");
	oc_auto_free char *text = NULL, *context = oc_asprintf("exec:%.100s", oc_json_str(payload, "runId", ""));
	if (oc_json_bool(payload, "suppressNotifyOnExit", false) || !oc_config_bool(p->client.gateway->rt->config, "tools.exec.notifyOnExit", true))
		return;
	if (strcmp(what, "finished") != 0) {
		text = oc_asprintf("Exec %s (node=%.64s%s%.100s)%s%.1000s", what, oc_node_id(p), oc_json_str(payload, "reason", "")[0] != 0 ? ", " : "",
				   oc_json_str(payload, "reason", ""), command[0] != 0 ? ": " : "", command);
	} else if (oc_json_bool(payload, "timedOut", false) || oc_json_i64(payload, "exitCode", -1) != 0 || output[0] != 0) {
		char code[30] = "timeout";
		if (!oc_json_bool(payload, "timedOut", false))
			(void)snprintf(code, sizeof code, "code %lld", (long long)oc_json_i64(payload, "exitCode", -1));
		text = oc_asprintf("Exec finished (node=%.64s, %s)%s%.3000s", oc_node_id(p), code, output[0] != 0 ? "\n" : "", output);
	}
	tell(p, payload, context, text);
}

/* The chat of a session from now on, or no more. */
static void hear(oc_proto *p, const cJSON *payload, bool from_now)
{
	char session[OC_SESSION_KEY_MAX];
	if (oc_json_ostr(payload, "sessionKey").n > 0 && session_of(p, payload, true, session))
		oc_proto_hear(p, session, from_now, HEARD_MAX);
}

void oc_node_event(oc_proto *p, const char *event, const cJSON *payload)
{
	if (strcmp(event, "agent.request") == 0)
		submit(p, payload, "message", oc_json_str(payload, "thinking", NULL), true);
	else if (strcmp(event, "voice.transcript") == 0)
		submit(p, payload, "text", "low", false);
	else if (strcmp(event, "notifications.changed") == 0)
		notification(p, payload);
	else if (strcmp(event, "exec.started") == 0 || strcmp(event, "exec.finished") == 0 || strcmp(event, "exec.denied") == 0)
		command_event(p, event + strlen("exec."), payload);
	else if (strcmp(event, "chat.subscribe") == 0 || strcmp(event, "chat.unsubscribe") == 0)
		hear(p, payload, strcmp(event, "chat.subscribe") == 0);
}
