/* chat.inject, sessions.compact: what clients of OpenClaw's own protocol change in a history. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/agent/transcript.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/chat.h"

/* ---- chat.inject ---- */

struct injecting {
	oc_method_call *call;
	char key[OC_SESSION_KEY_MAX];
	char *text;
};

static void free_injecting(struct injecting *in)
{
	oc_free(in->text);
	oc_free(in);
}

/* Clients that show the session see it at once. */
static void tell(oc_gateway *gw, const struct injecting *in, const char *id)
{
	char run[40];
	cJSON *event = cJSON_CreateObject(), *content = cJSON_CreateArray(), *part = cJSON_CreateObject();
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", in->text);
	(void)cJSON_AddItemToArray(content, part);
	cJSON *message = oc_transcript_message("assistant", content, oc_wall_ms());
	cJSON_Delete(content);
	(void)oc_json_set_str(message, "stopReason", "stop");
	(void)oc_json_set_str(message, "provider", "openclaw");
	(void)oc_json_set_str(message, "model", "gateway-injected");
	(void)snprintf(run, sizeof run, "inject-%s", id);
	(void)oc_json_set_str(event, "runId", run);
	(void)oc_json_set_str(event, "sessionKey", in->key);
	(void)oc_json_set_i64(event, "seq", 0);
	(void)oc_json_set_str(event, "state", "final");
	(void)oc_json_set(event, "message", message);
	oc_proto_send_json(gw, "chat", OC_SCOPE_NONE, event);
}

static void on_injected(void *arg, int64_t seq, const oc_err *err)
{
	struct injecting *in = arg;
	char id[24];
	if (seq > 0) {
		cJSON *result = cJSON_CreateObject();
		(void)snprintf(id, sizeof id, "%" PRId64, seq);
		tell(oc_method_gateway(in->call), in, id);
		(void)oc_json_set_bool(result, "ok", true);
		(void)oc_json_set_str(result, "messageId", id);
		oc_method_reply(in->call, result);
	} else {
		oc_method_fail(in->call, err);
	}
	free_injecting(in);
}

static void chat_inject(oc_method_call *call, const cJSON *params)
{
	oc_agent *agent = oc_method_gateway(call)->agent;
	const char *label = oc_json_str(params, "label", ""), *message = oc_json_str(params, "message", "");
	struct injecting *in = oc_alloc(sizeof *in);
	oc_err err = {0};
	if (in == NULL || (in->text = label[0] != 0 ? oc_asprintf("[%s]\n\n%s", label, message) : oc_strdup(message)) == NULL) {
		oc_free(in);
		oc_method_failf(call, OC_E_NOMEM, NULL, "out of memory");
		return;
	}
	in->call = call;
	if (!oc_chat_session(call, oc_json_ostr(params, "sessionKey"), OC_STR_NONE, in->key)) {
		free_injecting(in);
		return;
	}
	oc_status status = oc_agent_inject(agent, oc_str_of(in->key), in->text, on_injected, in, &err);
	if (status == OC_OK)
		return;
	if (status == OC_E_NOT_FOUND)
		(void)oc_fail(&err, OC_E_INVALID, "", "session not found");
	oc_method_fail(call, &err);
	free_injecting(in);
}

const oc_method oc_method_chat_inject = {
	"chat.inject", OC_SCOPE_ADMIN, "puts a message into a session as if the assistant had said it; refused while a turn runs there",
	OC_PARAMS_REQ("\"sessionKey\",\"message\"", OC_NAME("sessionKey") ",\"message\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1048576},"
			  "\"label\":{\"type\":\"string\",\"maxLength\":100}"),
	chat_inject};

/* ---- sessions.compact ---- */

struct compacting {
	oc_method_call *call;
	char key[OC_SESSION_KEY_MAX];
	oc_run_ref ref;
};

/* Up to where the run's summary reaches; -1: it made none. */
static int64_t summed_up(oc_gateway *gw, const struct compacting *c)
{
	oc_history_filter filter = {.limit = 10};
	oc_auto_json cJSON *rows = NULL;
	oc_err err = {0};
	const cJSON *row;
	int64_t through = -1;
	if (oc_agent_history(gw->agent, oc_str_of(c->key), &filter, &rows, &err) == OC_OK)
		cJSON_ArrayForEach(row, rows)
		{
			const cJSON *facts = oc_json_get(oc_json_get(row, "meta"), "compaction");
			if (facts != NULL && strcmp(oc_json_str(row, "run", ""), c->ref.run) == 0)
				through = oc_json_i64(facts, "through", -1);
		}
	return through;
}

static void answer_compacted(oc_method_call *call, const char *key, const char *why_not, int64_t kept)
{
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "ok", true);
	(void)oc_json_set_str(result, "key", key);
	(void)oc_json_set_bool(result, "compacted", why_not == NULL);
	oc_json_opt(result, "reason", why_not);
	if (kept >= 0)
		(void)oc_json_set_i64(result, "kept", kept);
	oc_method_reply(call, result);
}

static void on_compacted(void *arg, const oc_agent_event *event)
{
	struct compacting *c = arg;
	if (event->type != OC_AGENT_EV_DONE)
		return;
	oc_gateway *gw = oc_method_gateway(c->call);
	int64_t through = summed_up(gw, c), kept = 0;
	oc_history_filter filter = {.after_seq = through, .limit = 1000};
	oc_auto_json cJSON *rows = NULL;
	const cJSON *error = oc_json_get(event->data, "error"), *row;
	oc_err err = {0};
	if (through >= 0 && oc_agent_history(gw->agent, oc_str_of(c->key), &filter, &rows, &err) == OC_OK)
		cJSON_ArrayForEach(row, rows) kept += strcmp(oc_json_str(row, "role", ""), "system") != 0;
	if (cJSON_IsObject(error))
		oc_method_failf(c->call, OC_E_UNAVAILABLE, oc_json_str(error, "remedy", ""), "%s", oc_json_str(error, "message", "the turn failed"));
	else
		answer_compacted(c->call, c->key, through >= 0 ? NULL : oc_json_str(event->data, "text", "nothing to compact"), through >= 0 ? kept : -1);
	oc_free(c);
}

static void sessions_compact(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	struct compacting *c = oc_alloc(sizeof *c);
	oc_auto_json cJSON *session = NULL;
	oc_err err = {0};
	if (c == NULL) {
		oc_method_failf(call, OC_E_NOMEM, NULL, "out of memory");
		return;
	}
	c->call = call;
	if (!oc_chat_session(call, oc_json_ostr(params, "key"), OC_STR_NONE, c->key)) {
		oc_free(c);
		return;
	}
	if (oc_agent_session(gw->agent, oc_str_of(c->key), &session, &err) != OC_OK) {
		answer_compacted(call, c->key, "no sessionId", -1);
		oc_free(c);
		return;
	}
	oc_turn_input input = {.session = oc_str_of(c->key), .text = OC_STR("/compact"), .origin = "rpc", .on_event = on_compacted, .arg = c};
	if (oc_agent_submit(gw->agent, &input, &c->ref, &err) != OC_OK) {
		oc_method_fail(call, &err);
		oc_free(c);
	}
}

const oc_method oc_method_sessions_compact = {
	"sessions.compact", OC_SCOPE_ADMIN, "sums up a session's older messages by its model, as /compact does; nothing is thrown away, maxLines does nothing",
	OC_PARAMS_REQ("\"key\"", OC_NAME("key") ",\"maxLines\":{\"type\":\"integer\",\"minimum\":1}"), sessions_compact};
