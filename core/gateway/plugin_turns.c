/* Turns that plugins ask for: messages of their channels, runs of sub-agents, single questions to a model. */
#include <string.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/gateway/plugin_host.h"

enum { WAIT_MAX_MS = 60 * 60 * 1000, MESSAGES_MAX = 1000 };

static void session_gone(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	(void)arg;
	(void)status;
	(void)result;
	(void)err;
}

static void finish_run(oc_plugin_op *op, const cJSON *data)
{
	cJSON *result = cJSON_Duplicate(data, true);
	(void)oc_json_set_str(result, "runId", op->run);
	oc_plugin_reply(op->ticket, result);
	if (op->forget)
		(void)oc_agent_session_delete(op->rt->agent, oc_str_of(op->session), session_gone, NULL, NULL);
	oc_plugin_op_drop(op);
}

/* ---- One question to a model ---- */

static void run_event(void *arg, const oc_agent_event *event)
{
	oc_plugin_op *op = arg;
	if (event->type == OC_AGENT_EV_DONE)
		finish_run(op, event->data);
}

/* args: [{"prompt","sessionKey"?,"extraSystem"?,"model"?,"thinking"?,"timeoutMs"?,"maxTokens"?,"temperature"?,"noTools"?}]:
 * without a session it has none to remember. The answer is DONE's data. */
void oc_plugin_run(const oc_plugin_asked *asked)
{
	const cJSON *q = oc_plugin_arg(asked, 0), *temperature = oc_json_get(q, "temperature");
	oc_auto_json cJSON *none = cJSON_CreateArray();
	oc_str session = oc_json_ostr(q, "sessionKey");
	char own[120], id[37];
	oc_err err = {0};
	oc_plugin_op *op = oc_plugin_op_new(asked);
	if (op == NULL)
		return;
	op->forget = session.n == 0;
	(void)snprintf(own, sizeof own, "plugin:%.60s:%s", oc_plugin_id(asked->ticket.plugin), oc_id_uuid(id));
	oc_turn_input input = {
		.session = op->forget ? oc_str_of(own) : session,
		.text = oc_json_ostr(q, "prompt"),
		.history = op->forget ? none : NULL,
		.extra_system = oc_json_ostr(q, "extraSystem"),
		.model = oc_json_ostr(q, "model"),
		.thinking = oc_json_ostr(q, "thinking"),
		.media = oc_json_get(q, "media"),
		.timeout_ms = (uint64_t)oc_json_i64(q, "timeoutMs", 0),
		.max_tokens = oc_json_i64(q, "maxTokens", 0),
		.temperature = oc_json_num(q, "temperature", 0),
		.has_temperature = cJSON_IsNumber(temperature),
		.no_tools = oc_json_bool(q, "noTools", false),
		.origin = "plugin",
		.on_event = run_event,
		.arg = op,
	};
	oc_run_ref ref;
	if (oc_agent_submit(asked->rt->agent, &input, &ref, &err) != OC_OK) {
		oc_plugin_refuse_call(asked->ticket, &err);
		oc_plugin_op_drop(op);
		return;
	}
	memcpy(op->run, ref.run, sizeof op->run);
	memcpy(op->session, ref.session, sizeof op->session);
	op->started = true;
}

/* ---- api.runtime.subagent ---- */

/* args: [{"sessionKey","message","extraSystemPrompt"?,"lane"?,"deliver"?,"idempotencyKey"?}] */
void oc_plugin_subagent_run(const oc_plugin_asked *asked)
{
	const cJSON *q = oc_plugin_arg(asked, 0);
	oc_auto_json cJSON *session = NULL;
	oc_err err = {0};
	oc_run_ref ref;
	if (oc_json_bool(q, "deliver", false))
		(void)oc_agent_session(asked->rt->agent, oc_json_ostr(q, "sessionKey"), &session, NULL);
	const char *lane = oc_json_str(q, "lane", "subagent");
	oc_turn_input input = {
		.session = oc_json_ostr(q, "sessionKey"),
		.text = oc_json_ostr(q, "message"),
		.extra_system = oc_json_ostr(q, "extraSystemPrompt"),
		.idempotency = oc_json_ostr(q, "idempotencyKey"),
		.deliver = oc_json_get(session, "delivery"),
		.lane = strcmp(lane, "main") == 0 ? NULL : strcmp(lane, "cron") == 0 ? "cron" : "subagent",
		.origin = "plugin",
	};
	if (oc_agent_submit(asked->rt->agent, &input, &ref, &err) != OC_OK) {
		oc_plugin_refuse_call(asked->ticket, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "runId", ref.run);
	(void)oc_json_set_str(result, "sessionKey", ref.session);
	oc_plugin_reply(asked->ticket, result);
}

static void waited(void *arg, oc_status status, const cJSON *data)
{
	oc_plugin_op *op = arg;
	cJSON *result = cJSON_CreateObject();
	const char *how = oc_json_str(data, "status", "");
	if (status == OC_E_TIMEOUT) {
		(void)oc_json_set_str(result, "status", "timeout");
	} else if (status == OC_OK && strcmp(how, "ok") == 0) {
		(void)oc_json_set_str(result, "status", "ok");
		(void)oc_json_set_str(result, "text", oc_json_str(data, "text", ""));
	} else {
		(void)oc_json_set_str(result, "status", "error");
		(void)oc_json_set_str(result, "error", oc_json_str(oc_json_get(data, "error"), "message",
								   status != OC_OK ? oc_status_text(status) : how));
	}
	oc_plugin_reply(op->ticket, result);
	oc_plugin_op_drop(op);
}

/* args: [{"runId","timeoutMs"?}]; answers {"status":"ok|error|timeout","error"?}. */
void oc_plugin_subagent_wait(const oc_plugin_asked *asked)
{
	const cJSON *q = oc_plugin_arg(asked, 0);
	int64_t ms = oc_json_i64(q, "timeoutMs", 30000);
	oc_err err = {0};
	oc_plugin_op *op = oc_plugin_op_new(asked);
	if (op == NULL)
		return;
	op->is_wait = true;
	if (oc_agent_wait(asked->rt->agent, oc_json_str(q, "runId", ""), (uint64_t)(ms < 1 ? 1 : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms),
			  waited, op, &err) != OC_OK) {
		oc_plugin_refuse_call(asked->ticket, &err);
		oc_plugin_op_drop(op);
	}
}

/* args: [{"sessionKey","limit"?}]; answers {"messages":[…]}, oldest first. */
void oc_plugin_subagent_messages(const oc_plugin_asked *asked)
{
	const cJSON *q = oc_plugin_arg(asked, 0);
	int64_t limit = oc_json_i64(q, "limit", 100);
	oc_history_filter filter = {.limit = limit < 1 ? 1 : limit > MESSAGES_MAX ? MESSAGES_MAX : limit};
	cJSON *messages = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_history(asked->rt->agent, oc_json_ostr(q, "sessionKey"), &filter, &messages, &err);
	if (status != OC_OK && status != OC_E_NOT_FOUND) {
		oc_plugin_refuse_call(asked->ticket, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set(result, "messages", messages != NULL ? messages : cJSON_CreateArray());
	oc_plugin_reply(asked->ticket, result);
}

static void deleted(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	oc_plugin_op *op = arg;
	(void)result;
	if (status == OC_OK || status == OC_E_NOT_FOUND)
		oc_bridge_answer(op->ticket, OC_OK, OC_STR("null"));
	else
		oc_plugin_refuse_call(op->ticket, err);
	oc_plugin_op_drop(op);
}

/* args: [{"sessionKey"}] */
void oc_plugin_subagent_delete(const oc_plugin_asked *asked)
{
	oc_err err = {0};
	oc_plugin_op *op = oc_plugin_op_new(asked);
	if (op == NULL)
		return;
	oc_status status = oc_agent_session_delete(asked->rt->agent, oc_json_ostr(oc_plugin_arg(asked, 0), "sessionKey"), deleted, op, &err);
	if (status != OC_OK)
		deleted(op, status, NULL, &err);
}

/* ---- Messages of a plugin's channels ---- */

static void tell(const oc_plugin_op *op, const char *type, const oc_agent_event *event)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "type", type);
	if (event != NULL && event->text.n > 0)
		(void)oc_json_set_str(o, "text", event->text.p);
	if (event != NULL && event->data != NULL)
		(void)oc_json_set(o, "data", cJSON_Duplicate(event->data, true));
	if (op->run[0] != 0)
		(void)oc_json_set_str(o, "runId", op->run);
	oc_auto_free char *json = o != NULL ? oc_json_print(o) : NULL;
	if (json != NULL)
		(void)oc_bridge_event(op->ticket, oc_str_of(json));
}

static void message_committed(void *arg, oc_status status)
{
	oc_plugin_op *op = arg;
	if (status == OC_OK) {
		op->committed = true;
		tell(op, "committed", NULL);
	} else {
		oc_bridge_answer(op->ticket, status, OC_STR("the message could not be stored: hand it in again"));
	}
}

static void message_event(void *arg, const oc_agent_event *event)
{
	oc_plugin_op *op = arg;
	switch (event->type) {
	case OC_AGENT_EV_START:
	case OC_AGENT_EV_TEXT:
	case OC_AGENT_EV_TOOL_START:
	case OC_AGENT_EV_TOOL_END:
	case OC_AGENT_EV_ERROR:
		tell(op, oc_agent_event_name(event->type), event);
		break;
	case OC_AGENT_EV_DONE:
		if (op->committed)
			finish_run(op, event->data);
		else
			oc_plugin_op_drop(op); /* answered already */
		break;
	default:
		break;
	}
}

/* args: [message, see oc_agent_routed]. Events: {"type":"committed"} once it is safe, then what the run does. The answer is
 * DONE's data. */
void oc_plugin_dispatch(const oc_plugin_asked *asked)
{
	const cJSON *message = oc_plugin_arg(asked, 0);
	oc_guest *guest = oc_modules_channel(asked->rt->modules, oc_json_ostr(message, "channel"));
	oc_err err = {0};
	oc_run_ref ref = {0};
	if (guest == NULL || oc_guest_module(guest) != oc_plugin_module(asked->ticket.plugin)) {
		oc_auto_free char *why = oc_asprintf("the channel %s is not this plugin's", oc_json_str(message, "channel", ""));
		oc_bridge_answer(asked->ticket, OC_E_DENIED, oc_str_of(why));
		return;
	}
	oc_plugin_op *op = oc_plugin_op_new(asked);
	if (op == NULL)
		return;
	oc_auto_free char *files = oc_plugin_state_dir(asked->ticket.plugin);
	oc_routed routed = {.message = message, .media_root = files, .committed = message_committed, .on_event = message_event, .arg = op};
	if (oc_agent_routed(asked->rt->agent, &routed, &ref, &err) != OC_OK) {
		oc_plugin_refuse_call(asked->ticket, &err);
		oc_plugin_op_drop(op);
		return;
	}
	op->started = true;
	memcpy(op->run, ref.run, sizeof op->run);
}
