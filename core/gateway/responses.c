/*
 * POST /v1/responses: OpenAI's Responses API (and OpenResponses) in front of the agent, streaming and not.
 *
 * A conversation goes on in three ways: with `user` or an x-openclaw-session-key header in that session; with
 * previous_response_id in the session of that answer; else the request begins a session of its own, whose history is what its
 * input has before the last message.  Items of the input are messages, calls of the client's functions and their results; items
 * of reasoning are left out, they are signed for a model that may not be ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/agent/session.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/gateway/openai.h"

#define PREFIX "resp_"
#define UUID_CHARS 36

/* ---- The response object ---- */

static void add_message(const oc_openai *o, oc_sbuf *b, const char *status, oc_str text)
{
	oc_sbuf_printf(b, "{\"type\":\"message\",\"id\":\"%s\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[", o->item, status);
	if (strcmp(status, "completed") == 0) {
		oc_sbuf_z(b, "{\"type\":\"output_text\",\"annotations\":[],\"text\":");
		oc_sbuf_json(b, text);
		oc_sbuf_char(b, '}');
	}
	oc_sbuf_z(b, "]}");
}

/* A call's item has the id of its call, which is the provider's, behind a prefix. */
static void add_call(oc_sbuf *b, const cJSON *call, const char *status)
{
	oc_auto_free char *arguments = oc_json_print(oc_json_get(call, "arguments"));
	oc_sbuf_z(b, "{\"type\":\"function_call\",\"id\":\"fc_");
	for (const char *p = oc_json_str(call, "id", ""); *p != 0; p++)
		oc_sbuf_char(b, (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ? *p : '_');
	oc_sbuf_printf(b, "\",\"status\":\"%s\",\"call_id\":", status);
	oc_sbuf_json(b, oc_json_ostr(call, "id"));
	oc_sbuf_z(b, ",\"name\":");
	oc_sbuf_json(b, oc_json_ostr(call, "name"));
	oc_sbuf_z(b, ",\"arguments\":");
	oc_sbuf_json(b, strcmp(status, "completed") == 0 && arguments != NULL ? oc_str_of(arguments) : OC_STR_NONE);
	oc_sbuf_char(b, '}');
}

static bool is_cut(const cJSON *data)
{
	return strcmp(oc_json_str(data, "stopReason", ""), "length") == 0;
}

/* data NULL: it is under way. */
static void add_response(const oc_openai *o, oc_sbuf *b, const cJSON *data)
{
	const char *status = data == NULL ? "in_progress" : is_cut(data) ? "incomplete" : "completed";
	oc_str text = oc_json_ostr(data, "text");
	const cJSON *calls = oc_json_get(data, "clientCalls"), *call;
	oc_sbuf_printf(b, "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%" PRId64 ",\"status\":\"%s\",\"model\":", o->id, o->created,
		       status);
	oc_sbuf_json(b, oc_str_of(o->model));
	oc_sbuf_z(b, ",\"error\":null,\"incomplete_details\":");
	oc_sbuf_z(b, data != NULL && is_cut(data) ? "{\"reason\":\"max_output_tokens\"}" : "null");
	oc_sbuf_z(b, ",\"output\":[");
	if (data != NULL && (text.n > 0 || cJSON_GetArraySize(calls) == 0))
		add_message(o, b, "completed", text);
	bool more = data != NULL && text.n > 0;
	cJSON_ArrayForEach(call, calls)
	{
		oc_sbuf_z(b, more ? "," : "");
		add_call(b, call, "completed");
		more = true;
	}
	oc_sbuf_z(b, "],\"parallel_tool_calls\":true,\"usage\":");
	oc_openai_usage u = oc_openai_usage_of(data);
	if (data == NULL)
		oc_sbuf_z(b, "null}");
	else
		oc_sbuf_printf(b,
			       "{\"input_tokens\":%" PRId64 ",\"input_tokens_details\":{\"cached_tokens\":%" PRId64
			       "},\"output_tokens\":%" PRId64 ",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%" PRId64 "}}",
			       u.input, u.cached, u.output, u.input + u.output);
}

static void respond(oc_openai *o, const cJSON *data)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_OPENAI_TEXT_MAX + 65536);
	add_response(o, &b, data);
	oc_openai_answer(o, &b);
}

/* ---- The stream ---- */

/* "event: TYPE", "data: {"type":TYPE,"sequence_number":N"; the caller goes on behind it and calls end_event. */
static void begin_event(oc_openai *o, oc_sbuf *b, const char *type)
{
	oc_sbuf_init(b, OC_OPENAI_TEXT_MAX + 65536);
	oc_sbuf_printf(b, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%" PRId64, type, type, o->events++);
}

static void end_event(oc_openai *o, oc_sbuf *b)
{
	oc_sbuf_z(b, "}\n\n");
	oc_openai_send(o, b);
}

static void send_response(oc_openai *o, const char *type, const cJSON *data)
{
	oc_sbuf b;
	begin_event(o, &b, type);
	oc_sbuf_z(&b, ",\"response\":");
	add_response(o, &b, data);
	end_event(o, &b);
}

static void begin_stream(oc_openai *o)
{
	if (o->head_sent)
		return;
	oc_openai_begin_stream(o);
	send_response(o, "response.created", NULL);
	send_response(o, "response.in_progress", NULL);
}

/* Events about the text's part: their common members. */
static void part_event(oc_openai *o, oc_sbuf *b, const char *type)
{
	begin_event(o, b, type);
	oc_sbuf_printf(b, ",\"item_id\":\"%s\",\"output_index\":0,\"content_index\":0", o->item);
}

static void begin_text(oc_openai *o)
{
	oc_sbuf b;
	begin_event(o, &b, "response.output_item.added");
	oc_sbuf_z(&b, ",\"output_index\":0,\"item\":");
	add_message(o, &b, "in_progress", OC_STR_NONE);
	end_event(o, &b);
	part_event(o, &b, "response.content_part.added");
	oc_sbuf_z(&b, ",\"part\":{\"type\":\"output_text\",\"annotations\":[],\"text\":\"\"}");
	end_event(o, &b);
}

static void send_text(oc_openai *o, oc_str piece)
{
	oc_sbuf b;
	begin_stream(o);
	if (o->said.n == 0)
		begin_text(o);
	oc_sbuf_str(&o->said, piece);
	part_event(o, &b, "response.output_text.delta");
	oc_sbuf_z(&b, ",\"logprobs\":[],\"delta\":");
	oc_sbuf_json(&b, piece);
	end_event(o, &b);
}

static void end_text(oc_openai *o, oc_str text)
{
	oc_sbuf b;
	part_event(o, &b, "response.output_text.done");
	oc_sbuf_z(&b, ",\"logprobs\":[],\"text\":");
	oc_sbuf_json(&b, text);
	end_event(o, &b);
	part_event(o, &b, "response.content_part.done");
	oc_sbuf_z(&b, ",\"part\":{\"type\":\"output_text\",\"annotations\":[],\"text\":");
	oc_sbuf_json(&b, text);
	oc_sbuf_char(&b, '}');
	end_event(o, &b);
	begin_event(o, &b, "response.output_item.done");
	oc_sbuf_z(&b, ",\"output_index\":0,\"item\":");
	add_message(o, &b, "completed", text);
	end_event(o, &b);
}

static void send_call(oc_openai *o, const cJSON *call, int index)
{
	static const char *const types[] = {"response.output_item.added", "response.output_item.done"};
	static const char *const argument_types[] = {"response.function_call_arguments.delta", "response.function_call_arguments.done"};
	oc_auto_free char *arguments = oc_json_print(oc_json_get(call, "arguments"));
	oc_sbuf b, item;
	oc_sbuf_init(&item, OC_OPENAI_TEXT_MAX);
	add_call(&item, call, "completed");
	oc_auto_json cJSON *tree = cJSON_Parse(item.p);
	oc_sbuf_free(&item);
	for (int i = 0; i < 2; i++) {
		begin_event(o, &b, types[i]);
		oc_sbuf_printf(&b, ",\"output_index\":%d,\"item\":", index);
		add_call(&b, call, i == 0 ? "in_progress" : "completed");
		end_event(o, &b);
		for (int k = 0; i == 0 && k < 2; k++) {
			begin_event(o, &b, argument_types[k]);
			oc_sbuf_printf(&b, ",\"item_id\":\"%s\",\"output_index\":%d,\"%s\":", oc_json_str(tree, "id", ""), index,
				       k == 0 ? "delta" : "arguments");
			oc_sbuf_json(&b, oc_str_of(arguments != NULL ? arguments : "{}"));
			end_event(o, &b);
		}
	}
}

static void end_stream(oc_openai *o, const cJSON *data)
{
	const cJSON *calls = oc_json_get(data, "clientCalls"), *call;
	oc_str text = oc_json_ostr(data, "text");
	bool has_text = text.n > 0 || o->said.n > 0 || cJSON_GetArraySize(calls) == 0;
	int index = has_text ? 1 : 0;
	begin_stream(o);
	if (has_text && o->said.n == 0)
		begin_text(o);
	if (has_text)
		end_text(o, text);
	cJSON_ArrayForEach(call, calls) send_call(o, call, index++);
	send_response(o, is_cut(data) ? "response.incomplete" : "response.completed", data);
	oc_http_end(o->req);
}

static void stream_failed(oc_openai *o, const char *type, const char *code, const char *message)
{
	oc_sbuf b;
	(void)type;
	begin_event(o, &b, "response.failed");
	oc_sbuf_printf(&b, ",\"response\":{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%" PRId64 ",\"status\":\"failed\",\"model\":", o->id,
		       o->created);
	oc_sbuf_json(&b, oc_str_of(o->model));
	oc_sbuf_z(&b, ",\"output\":[],\"error\":{\"code\":");
	oc_sbuf_json(&b, oc_str_of(code));
	oc_sbuf_z(&b, ",\"message\":");
	oc_sbuf_json(&b, oc_str_of(message));
	oc_sbuf_z(&b, "},\"incomplete_details\":null,\"usage\":null}");
	end_event(o, &b);
	oc_http_end(o->req);
}

static const oc_openai_form form = {
	.prefix = PREFIX, .text = send_text, .end = end_stream, .whole = respond, .failed = stream_failed};

/* ---- The request ---- */

static oc_status read_role(oc_openai_input *in, const cJSON *item, bool last, oc_err *err)
{
	const char *role = oc_json_str(item, "role", "");
	const cJSON *content = oc_json_get(item, "content");
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) {
		if (in->system.n > 0)
			oc_sbuf_z(&in->system, "\n\n");
		return oc_openai_read_content(content, &in->system, NULL, err);
	}
	if (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0)
		return oc_fail(err, OC_E_INVALID, "", "the role \"%s\" is not known", role);
	if (last && strcmp(role, "user") == 0)
		return oc_openai_read_content(content, &in->text, in->media, err);
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	cJSON *media = cJSON_CreateArray();
	oc_status status = oc_openai_read_content(content, &text, media, err);
	if (status == OC_OK)
		status = oc_openai_add_history(in, role, oc_sbuf_view(&text), media, NULL, err);
	else
		cJSON_Delete(media);
	oc_sbuf_free(&text);
	return status;
}

static oc_status read_result(oc_openai_input *in, const cJSON *item, bool last, oc_err *err)
{
	const cJSON *output = oc_json_get(item, "output");
	const char *id = oc_json_str(item, "call_id", "");
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	oc_status status = id[0] != 0 ? oc_openai_read_content(output, &text, NULL, err)
				      : oc_fail(err, OC_E_INVALID, "", "function_call_output needs the call_id");
	if (status == OC_OK && last)
		status = oc_openai_say_result(in, id, oc_sbuf_view(&text), err);
	else if (status == OC_OK)
		status = oc_openai_add_history(in, "tool", oc_sbuf_view(&text), NULL, id, err);
	oc_sbuf_free(&text);
	return status;
}

static bool is_type(const cJSON *item, const char *type)
{
	return strcmp(oc_json_str(item, "type", "message"), type) == 0;
}

/* Where what is said now begins: the results at the end, or the last message. */
static int first_of_now(const cJSON *items, int n)
{
	int at = n;
	while (at > 0 && is_type(cJSON_GetArrayItem(items, at - 1), "function_call_output"))
		at--;
	return at < n || n == 0 ? at : n - 1;
}

static oc_status read_items(const cJSON *items, oc_openai_input *in, oc_err *err)
{
	int n = cJSON_GetArraySize(items), now = first_of_now(items, n), i = 0;
	const cJSON *item;
	cJSON_ArrayForEach(item, items)
	{
		bool last = i >= now;
		oc_status status;
		if (is_type(item, "message"))
			status = read_role(in, item, last, err);
		else if (is_type(item, "function_call"))
			status = oc_openai_add_call(in, oc_json_str(item, "call_id", ""), oc_json_str(item, "name", ""),
						    oc_json_ostr(item, "arguments"), err);
		else if (is_type(item, "function_call_output"))
			status = read_result(in, item, last, err);
		else
			status = is_type(item, "reasoning") ? OC_OK
							    : oc_fail(err, OC_E_INVALID, "", "items of type \"%s\" are not supported here",
								      oc_json_str(item, "type", ""));
		if (status != OC_OK) {
			if (err->code == OC_OK)
				(void)oc_fail(err, status, NULL, "it is too large");
			oc_err_prefix(err, "input[%d]", i);
			return status;
		}
		i++;
	}
	return OC_OK;
}

static oc_status read_input(const cJSON *body, oc_openai_input *in, oc_err *err)
{
	const cJSON *input = oc_json_get(body, "input");
	oc_str instructions = oc_json_ostr(body, "instructions");
	oc_status status = OC_OK;
	oc_sbuf_str(&in->system, instructions);
	if (cJSON_IsArray(input))
		status = read_items(input, in, err);
	else if (cJSON_IsString(input))
		oc_sbuf_z(&in->text, input->valuestring);
	else
		return oc_fail(err, OC_E_INVALID, "", "input must be a text or a list of items");
	if (status == OC_OK && in->text.n == 0 && cJSON_GetArraySize(in->media) == 0)
		return oc_fail(err, OC_E_INVALID, "", "input must end with a user message that is not empty, or a function_call_output");
	return status;
}

/* A response's id is "resp_SESSION-TURN": the session it is in, and which answer of it. */
static oc_status session_of(oc_gateway *gw, const char *id, char session[OC_SESSION_KEY_MAX], oc_err *err)
{
	size_t n = strlen(PREFIX);
	bool ok = strncmp(id, PREFIX, n) == 0 && strlen(id) >= n + UUID_CHARS && strspn(id + n, "0123456789abcdef-") >= UUID_CHARS;
	snprintf(session, OC_SESSION_KEY_MAX, "openai:%.*s", UUID_CHARS, ok ? id + n : "");
	oc_auto_json cJSON *row = NULL;
	if (ok && oc_agent_session(gw->agent, oc_str_of(session), &row, NULL) == OC_OK)
		return OC_OK;
	return oc_fail(err, OC_E_NOT_FOUND, "", "there is no response %.100s to go on from", id);
}

static void submit(oc_gateway *gw, oc_http_req *req, const cJSON *body, const oc_openai_input *in)
{
	oc_str key = oc_http_header(req, "x-openclaw-session-key"), user = oc_json_ostr(body, "user");
	const char *previous = oc_json_str(body, "previous_response_id", "");
	char name[OC_SESSION_KEY_MAX] = "", uuid[UUID_CHARS + 1], root[UUID_CHARS + 1];
	oc_err err = {0};
	if (key.n == 0 && user.n > 0)
		snprintf(name, sizeof name, "openai-user:%.*s", OC_STR_ARG(user));
	else if (key.n == 0 && previous[0] != 0 && session_of(gw, previous, name, &err) != OC_OK) {
		oc_openai_refuse(gw, req, 404, "invalid_request_error", "previous_response_id", "previous_response_not_found", err.text);
		return;
	}
	oc_openai *o = oc_openai_new(gw, req, &form, body);
	if (o == NULL)
		return;
	snprintf(o->item, sizeof o->item, "msg_%s", oc_id_uuid(uuid));
	bool stays = key.n > 0 || user.n > 0;
	if (!stays) {
		snprintf(root, sizeof root, "%.36s", name[0] != 0 ? name + strlen("openai:") : o->id + strlen(PREFIX));
		snprintf(name, sizeof name, "openai:%s", root);
		snprintf(o->id, sizeof o->id, PREFIX "%s-%.12s", root, uuid + UUID_CHARS - 12);
	}
	oc_openai_submit(o, body, in, key.n > 0 ? key : oc_str_of(name), stays ? NULL : in->history, true);
}

static oc_status read_body(oc_gateway *gw, const cJSON *body, oc_openai_input *in, const char **ret_member, oc_err *err)
{
	*ret_member = "input";
	oc_status status = read_input(body, in, err);
	if (status != OC_OK)
		return status;
	*ret_member = "tools";
	return oc_openai_read_tools(gw, body, in, err);
}

void oc_gateway_responses(oc_gateway *gw, oc_http_req *req)
{
	oc_openai_serve(gw, req, "responses", read_body, submit);
}
