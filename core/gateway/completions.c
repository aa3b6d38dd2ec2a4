/*
 * POST /v1/chat/completions: OpenAI's chat API in front of the agent, streaming and not.
 *
 * Without a `user` or an x-openclaw-session-key header each request is a session of its own and its messages are the history;
 * with one of them the session's stored history is used and only what stands at the end is taken.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/openai.h"

/* ---- Answering ---- */

static void chunk_head(const oc_openai *o, oc_sbuf *b)
{
	oc_sbuf_printf(b, "data: {\"id\":\"%s\",\"object\":\"chat.completion.chunk\",\"created\":%" PRId64 ",\"model\":",
		       o->id, o->created);
	oc_sbuf_json(b, oc_str_of(o->model));
}

static void begin_choice(oc_openai *o, oc_sbuf *b)
{
	bool first = !o->head_sent;
	oc_openai_begin_stream(o);
	oc_sbuf_init(b, OC_OPENAI_TEXT_MAX);
	chunk_head(o, b);
	oc_sbuf_z(b, ",\"choices\":[{\"index\":0,\"delta\":{");
	if (first)
		oc_sbuf_z(b, "\"role\":\"assistant\",");
}

static void end_choice(oc_openai *o, oc_sbuf *b, const char *finish)
{
	oc_sbuf_z(b, "},\"logprobs\":null,\"finish_reason\":");
	if (finish != NULL)
		oc_sbuf_json(b, oc_str_of(finish));
	else
		oc_sbuf_z(b, "null");
	oc_sbuf_z(b, o->include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
	oc_openai_send(o, b);
}

static void send_text(oc_openai *o, oc_str text)
{
	oc_sbuf b;
	begin_choice(o, &b);
	oc_sbuf_z(&b, "\"content\":");
	oc_sbuf_json(&b, text);
	end_choice(o, &b, NULL);
}

/* The calls handed to the client; numbered: with their index, as in a stream. */
static void add_calls(oc_sbuf *b, const cJSON *data, bool numbered)
{
	const cJSON *call;
	int i = 0;
	oc_sbuf_z(b, "\"tool_calls\":[");
	cJSON_ArrayForEach(call, oc_json_get(data, "clientCalls"))
	{
		oc_auto_free char *arguments = oc_json_print(oc_json_get(call, "arguments"));
		oc_sbuf_z(b, i > 0 ? ",{" : "{");
		if (numbered)
			oc_sbuf_printf(b, "\"index\":%d,", i);
		oc_sbuf_z(b, "\"id\":");
		oc_sbuf_json(b, oc_json_ostr(call, "id"));
		oc_sbuf_z(b, ",\"type\":\"function\",\"function\":{\"name\":");
		oc_sbuf_json(b, oc_json_ostr(call, "name"));
		oc_sbuf_z(b, ",\"arguments\":");
		oc_sbuf_json(b, oc_str_of(arguments != NULL ? arguments : "{}"));
		oc_sbuf_z(b, "}}");
		i++;
	}
	oc_sbuf_char(b, ']');
}

static void add_usage(oc_sbuf *b, const cJSON *data)
{
	oc_openai_usage u = oc_openai_usage_of(data);
	oc_sbuf_printf(b,
		       "\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
		       ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64 "}}",
		       u.input, u.output, u.input + u.output, u.cached);
}

static bool has_calls(const cJSON *data)
{
	return cJSON_GetArraySize(oc_json_get(data, "clientCalls")) > 0;
}

static const char *finish_reason(const cJSON *data)
{
	const char *reason = oc_json_str(data, "stopReason", "stop");
	return has_calls(data)			  ? "tool_calls"
	       : strcmp(reason, "length") == 0	  ? "length"
	       : strcmp(reason, "refusal") == 0	  ? "content_filter"
						  : "stop";
}

static void end_stream(oc_openai *o, const cJSON *data)
{
	oc_sbuf b;
	if (has_calls(data)) {
		begin_choice(o, &b);
		add_calls(&b, data, true);
		end_choice(o, &b, NULL);
	}
	bool first = !o->head_sent;
	begin_choice(o, &b);
	if (first)
		oc_sbuf_z(&b, "\"content\":\"\"");
	end_choice(o, &b, finish_reason(data));
	oc_sbuf_init(&b, 4096);
	if (o->include_usage) {
		chunk_head(o, &b);
		oc_sbuf_z(&b, ",\"choices\":[],");
		add_usage(&b, data);
		oc_sbuf_z(&b, "}\n\n");
	}
	oc_sbuf_z(&b, "data: [DONE]\n\n");
	oc_openai_send(o, &b);
	oc_http_end(o->req);
}

static void respond(oc_openai *o, const cJSON *data)
{
	oc_str text = oc_json_ostr(data, "text");
	oc_sbuf b;
	oc_sbuf_init(&b, OC_OPENAI_TEXT_MAX + 8192);
	oc_sbuf_printf(&b, "{\"id\":\"%s\",\"object\":\"chat.completion\",\"created\":%" PRId64 ",\"model\":", o->id, o->created);
	oc_sbuf_json(&b, oc_str_of(o->model));
	oc_sbuf_z(&b, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
	if (has_calls(data) && text.n == 0)
		oc_sbuf_z(&b, "null");
	else
		oc_sbuf_json(&b, text);
	oc_sbuf_z(&b, ",\"refusal\":null");
	if (has_calls(data)) {
		oc_sbuf_char(&b, ',');
		add_calls(&b, data, false);
	}
	oc_sbuf_printf(&b, "},\"logprobs\":null,\"finish_reason\":\"%s\"}],", finish_reason(data));
	add_usage(&b, data);
	oc_sbuf_char(&b, '}');
	oc_openai_answer(o, &b);
}

/* OpenAI's own servers send the error as an event and end. */
static void stream_failed(oc_openai *o, const char *type, const char *code, const char *message)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 8192);
	oc_sbuf_z(&b, "data: {\"error\":{\"message\":");
	oc_sbuf_json(&b, oc_str_of(message));
	oc_sbuf_printf(&b, ",\"type\":\"%s\",\"param\":null,\"code\":", type);
	oc_sbuf_json(&b, oc_str_of(code));
	oc_sbuf_z(&b, "}}\n\n");
	oc_openai_send(o, &b);
	oc_http_end(o->req);
}

static const oc_openai_form form = {
	.prefix = "chatcmpl-", .text = send_text, .end = end_stream, .whole = respond, .failed = stream_failed};

/* ---- The request ---- */

static oc_status add_message(oc_openai_input *in, const cJSON *m, const char *role, oc_err *err)
{
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	bool tool = strcmp(role, "tool") == 0;
	cJSON *media = cJSON_CreateArray();
	const cJSON *calls = tool ? NULL : oc_json_get(m, "tool_calls"), *call;
	oc_status status = oc_openai_read_content(oc_json_get(m, "content"), &text, media, err);
	if (status != OC_OK)
		cJSON_Delete(media);
	else
		status = oc_openai_add_history(in, role, oc_sbuf_view(&text), media, tool ? oc_json_str(m, "tool_call_id", "") : NULL, err);
	cJSON_ArrayForEach(call, calls)
	{
		const cJSON *fn = oc_json_get(call, "function");
		if (status == OC_OK)
			status = oc_openai_add_call(in, oc_json_str(call, "id", ""), oc_json_str(fn, "name", ""), oc_json_ostr(fn, "arguments"), err);
	}
	oc_sbuf_free(&text);
	return status;
}

/* Results of calls at the end are what is said now. */
static oc_status say_result(oc_openai_input *in, const cJSON *m, oc_err *err)
{
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	oc_status status = oc_openai_read_content(oc_json_get(m, "content"), &text, NULL, err);
	if (status == OC_OK)
		status = oc_openai_say_result(in, oc_json_str(m, "tool_call_id", ""), oc_sbuf_view(&text), err);
	oc_sbuf_free(&text);
	return status;
}

/* The first of the tool messages that the list ends with; n when it ends otherwise. */
static int first_result(const cJSON *messages, int n)
{
	while (n > 0 && strcmp(oc_json_str(cJSON_GetArrayItem(messages, n - 1), "role", ""), "tool") == 0)
		n--;
	return n;
}

static oc_status read_messages(const cJSON *messages, oc_openai_input *in, oc_err *err)
{
	int n = cJSON_GetArraySize(messages), results = first_result(messages, n), i = 0;
	const cJSON *m;
	cJSON_ArrayForEach(m, messages)
	{
		const char *role = oc_json_str(m, "role", "");
		bool last = i + 1 == n;
		oc_status status = OC_OK;
		if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) {
			if (in->system.n > 0)
				oc_sbuf_z(&in->system, "\n\n");
			status = oc_openai_read_content(oc_json_get(m, "content"), &in->system, NULL, err);
		} else if (i >= results) {
			status = say_result(in, m, err);
		} else if (last && strcmp(role, "user") == 0) {
			status = oc_openai_read_content(oc_json_get(m, "content"), &in->text, in->media, err);
		} else if (last) {
			status = oc_fail(err, OC_E_INVALID, "", "the last message must have the role \"user\" or \"tool\"");
		} else if (strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 || strcmp(role, "tool") == 0) {
			status = add_message(in, m, role, err);
		} else {
			status = oc_fail(err, OC_E_INVALID, "", "messages[%d].role \"%s\" is not known", i, role);
		}
		if (status != OC_OK)
			return err->code != OC_OK ? status : oc_fail(err, status, NULL, "messages[%d] is too large", i);
		i++;
	}
	if (in->text.n == 0 && cJSON_GetArraySize(in->media) == 0)
		return oc_fail(err, OC_E_INVALID, "", "messages must end with a user message that is not empty");
	return OC_OK;
}

static const char *unsupported(const cJSON *body)
{
	const cJSON *n = oc_json_get(body, "n"), *format = oc_json_get(body, "response_format");
	if (cJSON_IsNumber(n) && n->valueint != 1)
		return "n";
	if (cJSON_IsObject(format) && strcmp(oc_json_str(format, "type", "text"), "text") != 0)
		return "response_format";
	return NULL;
}

static void submit(oc_gateway *gw, oc_http_req *req, const cJSON *body, const oc_openai_input *in)
{
	oc_openai *o = oc_openai_new(gw, req, &form, body);
	oc_str key = oc_http_header(req, "x-openclaw-session-key"), user = oc_json_ostr(body, "user");
	char session[OC_SESSION_KEY_MAX];
	if (o == NULL)
		return;
	o->include_usage = oc_json_bool(oc_json_get(body, "stream_options"), "include_usage", false);
	if (key.n == 0 && user.n > 0) {
		snprintf(session, sizeof session, "openai-user:%.*s", OC_STR_ARG(user));
		key = oc_str_of(session);
	}
	oc_openai_submit(o, body, in, key, key.n == 0 ? in->history : NULL, false);
}

void oc_gateway_completions(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_json cJSON *body = oc_openai_body(gw, req, "chatCompletions");
	if (body == NULL)
		return;
	const cJSON *messages = oc_json_get(body, "messages");
	const char *param = unsupported(body);
	oc_openai_input in;
	oc_err err = {0};
	char text[200];
	oc_openai_input_init(&in);
	if (!cJSON_IsArray(messages)) {
		oc_openai_refuse(gw, req, 400, "invalid_request_error", "messages", "invalid", "messages must be an array");
	} else if (param != NULL) {
		snprintf(text, sizeof text, "%s is not supported here: the agent answers once, in text", param);
		oc_openai_refuse(gw, req, 400, "invalid_request_error", param, "unsupported_parameter", text);
	} else if (oc_openai_read_model(gw, req, oc_json_str(body, "model", ""), &in)) {
		if (oc_openai_read_tools(gw, body, &in, &err) != OC_OK)
			oc_openai_refuse_err(gw, req, "tools", &err);
		else if (read_messages(messages, &in, &err) != OC_OK)
			oc_openai_refuse_err(gw, req, "messages", &err);
		else
			submit(gw, req, body, &in);
	}
	oc_openai_input_free(&in);
}

/* ---- GET /v1/models, /v1/models/ID: what may be named as model ---- */

static void add_model(const oc_gateway *gw, oc_sbuf *b, const char *id, bool anthropic)
{
	oc_sbuf_z(b, "{\"id\":");
	oc_sbuf_json(b, oc_str_of(id));
	if (anthropic) {
		char at[40];
		oc_sbuf_z(b, ",\"type\":\"model\",\"display_name\":");
		oc_sbuf_json(b, oc_str_of(id));
		oc_sbuf_printf(b, ",\"created_at\":\"%s\"}", oc_wall_format(gw->started_wall_ms, at, sizeof at));
		return;
	}
	oc_sbuf_printf(b, ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"openclaw\"}", gw->started_wall_ms / 1000);
}

void oc_gateway_models(oc_gateway *gw, oc_http_req *req)
{
	static const char list[] = "/v1/models";
	oc_auto_json cJSON *agents = NULL;
	oc_err err = {0};
	oc_str path = oc_http_path(req);
	oc_str one = path.n > sizeof list ? oc_str_make(path.p + sizeof list, path.n - sizeof list) : OC_STR_NONE;
	if (oc_agent_agents(gw->agent, &agents, &err) != OC_OK) {
		oc_openai_refuse_err(gw, req, NULL, &err);
		return;
	}
	const cJSON *agent = NULL, *all = oc_json_get(agents, "agents");
	bool anthropic = oc_openai_is_anthropic(req);
	oc_sbuf b, found;
	oc_sbuf_init(&b, 1u << 20);
	oc_sbuf_init(&found, 4096);
	oc_sbuf_z(&b, anthropic ? "{\"has_more\":false,\"first_id\":\"openclaw\",\"data\":[" : "{\"object\":\"list\",\"data\":[");
	char id[100] = "openclaw";
	for (bool first = true; first || agent != NULL; first = false) {
		oc_sbuf_z(&b, first ? "" : ",");
		add_model(gw, &b, id, anthropic);
		if (oc_str_eqz(one, id))
			add_model(gw, &found, id, anthropic);
		agent = first ? (all != NULL ? all->child : NULL) : agent->next;
		if (agent != NULL)
			snprintf(id, sizeof id, "openclaw/%s", oc_json_str(agent, "id", "main"));
	}
	oc_sbuf_char(&b, ']');
	if (anthropic) {
		oc_sbuf_z(&b, ",\"last_id\":");
		oc_sbuf_json(&b, oc_str_of(id));
	}
	oc_sbuf_char(&b, '}');
	if (one.n > 0 && found.n == 0) {
		oc_openai_refuse(gw, req, 404, "invalid_request_error", "model", "model_not_found", "no such model: GET /v1/models lists them");
	} else {
		gw->status_class[2]++;
		oc_http_respond(req, 200, "application/json", oc_sbuf_view(one.n > 0 ? &found : &b));
	}
	oc_sbuf_free(&b);
	oc_sbuf_free(&found);
}
