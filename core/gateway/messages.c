/*
 * POST /v1/messages: Anthropic's Messages API in front of the agent, streaming and not.
 *
 * Each request is a session of its own and its messages are the history, unless an x-openclaw-session-key header names a session
 * that lasts (metadata.user_id says who asks, not in which conversation).  Blocks of thinking in the history are left out: they
 * are signed for a model that may not be ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/openai.h"

/* ---- Answering ---- */

static const char *stop_reason(const cJSON *data)
{
	const char *reason = oc_json_str(data, "stopReason", "stop");
	return cJSON_GetArraySize(oc_json_get(data, "clientCalls")) > 0 ? "tool_use"
	       : strcmp(reason, "length") == 0				? "max_tokens"
	       : strcmp(reason, "refusal") == 0				? "refusal"
									: "end_turn";
}

/* data NULL: nothing is counted yet. Anthropic does not count what comes from the cache as input. */
static void add_usage(oc_sbuf *b, const cJSON *data)
{
	const cJSON *u = oc_json_get(data, "usage");
	oc_sbuf_printf(b,
		       "\"usage\":{\"input_tokens\":%" PRId64 ",\"cache_creation_input_tokens\":%" PRId64
		       ",\"cache_read_input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64 "}",
		       oc_json_i64(u, "input", 0), oc_json_i64(u, "cacheWrite", 0), oc_json_i64(u, "cacheRead", 0),
		       oc_json_i64(u, "output", 0));
}

static void add_head(const oc_openai *o, oc_sbuf *b)
{
	oc_sbuf_printf(b, "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", o->id);
	oc_sbuf_json(b, oc_str_of(o->model));
	oc_sbuf_z(b, ",\"content\":[");
}

static void add_tool_use(oc_sbuf *b, const cJSON *call, const char *input)
{
	oc_sbuf_z(b, "{\"type\":\"tool_use\",\"id\":");
	oc_sbuf_json(b, oc_json_ostr(call, "id"));
	oc_sbuf_z(b, ",\"name\":");
	oc_sbuf_json(b, oc_json_ostr(call, "name"));
	oc_sbuf_z(b, ",\"input\":");
	oc_sbuf_z(b, input);
	oc_sbuf_char(b, '}');
}

static char *print_arguments(const cJSON *call)
{
	const cJSON *arguments = oc_json_get(call, "arguments");
	return cJSON_IsObject(arguments) ? oc_json_print(arguments) : oc_strdup("{}");
}

static void respond(oc_openai *o, const cJSON *data)
{
	const cJSON *calls = oc_json_get(data, "clientCalls"), *call;
	oc_str text = oc_json_ostr(data, "text");
	bool more = text.n > 0 || cJSON_GetArraySize(calls) == 0;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_OPENAI_TEXT_MAX + 65536);
	add_head(o, &b);
	if (more) {
		oc_sbuf_z(&b, "{\"type\":\"text\",\"text\":");
		oc_sbuf_json(&b, text);
		oc_sbuf_char(&b, '}');
	}
	cJSON_ArrayForEach(call, calls)
	{
		oc_auto_free char *input = print_arguments(call);
		oc_sbuf_z(&b, more ? "," : "");
		add_tool_use(&b, call, input != NULL ? input : "{}");
		more = true;
	}
	oc_sbuf_printf(&b, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,", stop_reason(data));
	add_usage(&b, data);
	oc_sbuf_char(&b, '}');
	oc_openai_answer(o, &b);
}

/* ---- The stream ---- */

static void begin_event(oc_sbuf *b, const char *type)
{
	oc_sbuf_init(b, OC_OPENAI_TEXT_MAX + 65536);
	oc_sbuf_printf(b, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void end_event(oc_openai *o, oc_sbuf *b)
{
	oc_sbuf_z(b, "}\n\n");
	oc_openai_send(o, b);
}

static void begin_block(oc_openai *o, oc_sbuf *b)
{
	begin_event(b, "content_block_start");
	oc_sbuf_printf(b, ",\"index\":%" PRId64 ",\"content_block\":", o->events);
}

static void begin_delta(oc_openai *o, oc_sbuf *b, const char *type, const char *member)
{
	begin_event(b, "content_block_delta");
	oc_sbuf_printf(b, ",\"index\":%" PRId64 ",\"delta\":{\"type\":\"%s\",\"%s\":", o->events, type, member);
}

/* Counts the block. */
static void end_block(oc_openai *o)
{
	oc_sbuf b;
	begin_event(&b, "content_block_stop");
	oc_sbuf_printf(&b, ",\"index\":%" PRId64, o->events++);
	end_event(o, &b);
}

static void begin_stream(oc_openai *o)
{
	oc_sbuf b;
	if (o->head_sent)
		return;
	oc_openai_begin_stream(o);
	begin_event(&b, "message_start");
	oc_sbuf_z(&b, ",\"message\":");
	add_head(o, &b);
	oc_sbuf_z(&b, "],\"stop_reason\":null,\"stop_sequence\":null,");
	add_usage(&b, NULL);
	oc_sbuf_char(&b, '}');
	end_event(o, &b);
}

static void send_text(oc_openai *o, oc_str piece)
{
	oc_sbuf b;
	if (!o->head_sent) {
		begin_stream(o);
		begin_block(o, &b);
		oc_sbuf_z(&b, "{\"type\":\"text\",\"text\":\"\"}");
		end_event(o, &b);
	}
	begin_delta(o, &b, "text_delta", "text");
	oc_sbuf_json(&b, piece);
	oc_sbuf_char(&b, '}');
	end_event(o, &b);
}

static void send_tool_use(oc_openai *o, const cJSON *call)
{
	oc_auto_free char *input = print_arguments(call);
	oc_sbuf b;
	begin_block(o, &b);
	add_tool_use(&b, call, "{}");
	end_event(o, &b);
	begin_delta(o, &b, "input_json_delta", "partial_json");
	oc_sbuf_json(&b, oc_str_of(input != NULL ? input : "{}"));
	oc_sbuf_char(&b, '}');
	end_event(o, &b);
	end_block(o);
}

static void end_stream(oc_openai *o, const cJSON *data)
{
	const cJSON *call;
	oc_sbuf b;
	if (o->head_sent)
		end_block(o);
	begin_stream(o);
	cJSON_ArrayForEach(call, oc_json_get(data, "clientCalls")) send_tool_use(o, call);
	begin_event(&b, "message_delta");
	oc_sbuf_printf(&b, ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},", stop_reason(data));
	add_usage(&b, data);
	end_event(o, &b);
	begin_event(&b, "message_stop");
	end_event(o, &b);
	oc_http_end(o->req);
}

static void stream_failed(oc_openai *o, const char *type, const char *code, const char *message)
{
	oc_sbuf b;
	(void)code;
	begin_event(&b, "error");
	oc_sbuf_printf(&b, ",\"error\":{\"type\":\"%s\",\"message\":", type);
	oc_sbuf_json(&b, oc_str_of(message));
	oc_sbuf_char(&b, '}');
	end_event(o, &b);
	oc_http_end(o->req);
}

static const oc_openai_form form = {
	.prefix = "msg_", .text = send_text, .end = end_stream, .whole = respond, .failed = stream_failed};

/* ---- The request ---- */

static bool is_type(const cJSON *block, const char *type)
{
	return strcmp(oc_json_str(block, "type", ""), type) == 0;
}

/* Text, an image or a document, of a message or of a tool's result. */
static oc_status read_block(const cJSON *block, oc_sbuf *text, cJSON *media, oc_err *err)
{
	const cJSON *source = oc_json_get(block, "source");
	bool image = is_type(block, "image");
	if (is_type(block, "text") || (is_type(block, "document") && is_type(source, "text"))) {
		if (text->n > 0)
			oc_sbuf_char(text, '\n');
		oc_sbuf_str(text, is_type(block, "text") ? oc_json_ostr(block, "text") : oc_json_ostr(source, "data"));
		return text->error;
	}
	if (!image && !is_type(block, "document"))
		return oc_fail(err, OC_E_INVALID, "", "content blocks of type \"%s\" are not supported here", oc_json_str(block, "type", ""));
	if (!is_type(source, "base64"))
		return oc_fail(err, OC_E_INVALID, "", "the source of an image or document must be base64 (a document's also text)");
	cJSON *one = oc_openai_media(image ? "image" : "file", oc_json_str(source, "media_type", ""), oc_json_str(source, "data", ""),
				     oc_json_str(block, "title", ""), err);
	return one != NULL && cJSON_AddItemToArray(media, one) ? OC_OK : err->code != OC_OK ? err->code : OC_E_NOMEM;
}

/* All of it; a text stands for one block. */
static oc_status read_blocks(const cJSON *content, oc_sbuf *text, cJSON *media, oc_err *err)
{
	oc_status status = OC_OK;
	const cJSON *block;
	if (cJSON_IsString(content))
		oc_sbuf_z(text, content->valuestring);
	else
		cJSON_ArrayForEach(block, content) if (status == OC_OK) status = read_block(block, text, media, err);
	return status != OC_OK ? status : text->error;
}

static oc_status read_result(oc_openai_input *in, const cJSON *block, bool last, oc_err *err)
{
	const char *id = oc_json_str(block, "tool_use_id", "");
	cJSON *media = cJSON_CreateArray();
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	oc_status status = id[0] != 0 ? read_blocks(oc_json_get(block, "content"), &text, last ? in->media : media, err)
				      : oc_fail(err, OC_E_INVALID, "", "tool_result needs the tool_use_id");
	if (status == OC_OK && last)
		status = oc_openai_say_result(in, id, oc_sbuf_view(&text), err);
	else if (status == OC_OK) {
		status = oc_openai_add_history(in, "tool", oc_sbuf_view(&text), media, id, err);
		media = NULL;
	}
	cJSON_Delete(media);
	oc_sbuf_free(&text);
	return status;
}

/* What the user says, behind the results of calls: now, or in the history. */
static oc_status read_user(oc_openai_input *in, const cJSON *content, bool last, oc_err *err)
{
	cJSON *media = cJSON_CreateArray();
	const cJSON *block;
	oc_status status = OC_OK;
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	if (cJSON_IsString(content))
		status = read_blocks(content, &text, media, err);
	else
		cJSON_ArrayForEach(block, content)
		{
			if (status != OC_OK)
				break;
			status = is_type(block, "tool_result") ? read_result(in, block, last, err)
							       : read_block(block, &text, last ? in->media : media, err);
		}
	if (status == OC_OK && last) {
		oc_sbuf_z(&in->text, in->text.n > 0 && text.n > 0 ? "\n\n" : "");
		oc_sbuf_str(&in->text, oc_sbuf_view(&text));
		status = in->text.error;
	} else if (status == OC_OK && (text.n > 0 || cJSON_GetArraySize(media) > 0)) {
		status = oc_openai_add_history(in, "user", oc_sbuf_view(&text), media, NULL, err);
		media = NULL;
	}
	cJSON_Delete(media);
	oc_sbuf_free(&text);
	return status;
}

static oc_status read_assistant(oc_openai_input *in, const cJSON *content, oc_err *err)
{
	const cJSON *block;
	oc_status status = OC_OK;
	oc_sbuf text;
	oc_sbuf_init(&text, OC_OPENAI_TEXT_MAX);
	if (cJSON_IsString(content))
		oc_sbuf_z(&text, content->valuestring);
	cJSON_ArrayForEach(block, content) if (is_type(block, "text"))
		oc_sbuf_str(&text, oc_json_ostr(block, "text"));
	status = text.error != OC_OK ? text.error : oc_openai_add_history(in, "assistant", oc_sbuf_view(&text), NULL, NULL, err);
	oc_sbuf_free(&text);
	cJSON_ArrayForEach(block, content)
	{
		if (status != OC_OK)
			break;
		oc_auto_free char *input = oc_json_print(oc_json_get(block, "input"));
		if (is_type(block, "tool_use"))
			status = oc_openai_add_call(in, oc_json_str(block, "id", ""), oc_json_str(block, "name", ""),
						    oc_str_of(input != NULL ? input : "{}"), err);
		else if (!is_type(block, "text") && !is_type(block, "thinking") && !is_type(block, "redacted_thinking"))
			status = oc_fail(err, OC_E_INVALID, "", "content blocks of type \"%s\" are not supported here",
					 oc_json_str(block, "type", ""));
	}
	return status;
}

static oc_status read_messages(const cJSON *body, oc_openai_input *in, oc_err *err)
{
	const cJSON *messages = oc_json_get(body, "messages"), *m;
	int n = cJSON_GetArraySize(messages), i = 0;
	if (!cJSON_IsArray(messages))
		return oc_fail(err, OC_E_INVALID, "", "messages must be an array");
	oc_status status = oc_openai_read_content(oc_json_get(body, "system"), &in->system, NULL, err);
	cJSON_ArrayForEach(m, messages)
	{
		const char *role = oc_json_str(m, "role", "");
		const cJSON *content = oc_json_get(m, "content");
		if (status != OC_OK)
			break;
		if (strcmp(role, "user") == 0)
			status = read_user(in, content, i + 1 == n, err);
		else if (strcmp(role, "assistant") == 0 && i + 1 < n)
			status = read_assistant(in, content, err);
		else
			status = oc_fail(err, OC_E_INVALID, "", strcmp(role, "assistant") == 0 ? "the last message must have the role \"user\""
											      : "the role must be \"user\" or \"assistant\"");
		if (status != OC_OK && err->code == OC_OK)
			(void)oc_fail(err, status, NULL, "it is too large");
		if (status != OC_OK)
			oc_err_prefix(err, "messages[%d]", i);
		i++;
	}
	if (status == OC_OK && in->text.n == 0 && cJSON_GetArraySize(in->media) == 0)
		return oc_fail(err, OC_E_INVALID, "", "messages must end with a user message that is not empty");
	return status;
}

/* tools and tool_choice in the words of OpenAI's, which are read for all three. */
static oc_status read_tools(oc_gateway *gw, const cJSON *body, oc_openai_input *in, oc_err *err)
{
	const cJSON *tool, *choice = oc_json_get(body, "tool_choice");
	const char *type = oc_json_str(choice, "type", "auto");
	oc_auto_json cJSON *theirs = cJSON_CreateObject();
	cJSON *tools = cJSON_AddArrayToObject(theirs, "tools");
	bool ok = tools != NULL;
	cJSON_ArrayForEach(tool, oc_json_get(body, "tools"))
	{
		cJSON *one = cJSON_CreateObject();
		const cJSON *schema = oc_json_get(tool, "input_schema");
		bool custom = strcmp(oc_json_str(tool, "type", "custom"), "custom") == 0;
		ok = ok && one != NULL && oc_json_set_str(one, "type", custom ? "function" : oc_json_str(tool, "type", "")) &&
		     oc_json_set_str(one, "name", oc_json_str(tool, "name", "")) &&
		     oc_json_set_str(one, "description", oc_json_str(tool, "description", "")) &&
		     (schema == NULL || oc_json_set(one, "parameters", cJSON_Duplicate(schema, true)));
		if (!ok || !cJSON_AddItemToArray(tools, one)) {
			cJSON_Delete(one);
			ok = false;
		}
	}
	if (strcmp(type, "tool") == 0) {
		cJSON *named = cJSON_AddObjectToObject(theirs, "tool_choice");
		ok = ok && named != NULL && oc_json_set_str(named, "name", oc_json_str(choice, "name", ""));
	} else {
		ok = ok && oc_json_set_str(theirs, "tool_choice", strcmp(type, "any") == 0 ? "required" : type);
	}
	return ok ? oc_openai_read_tools(gw, theirs, in, err) : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
}

static oc_status read_body(oc_gateway *gw, const cJSON *body, oc_openai_input *in, const char **ret_member, oc_err *err)
{
	*ret_member = "messages";
	oc_status status = read_messages(body, in, err);
	if (status != OC_OK)
		return status;
	*ret_member = "tools";
	return read_tools(gw, body, in, err);
}

static void submit(oc_gateway *gw, oc_http_req *req, const cJSON *body, const oc_openai_input *in)
{
	oc_openai *o = oc_openai_new(gw, req, &form, body);
	oc_str key = oc_http_header(req, "x-openclaw-session-key");
	if (o != NULL)
		oc_openai_submit(o, body, in, key, key.n == 0 ? in->history : NULL, false);
}

void oc_gateway_messages(oc_gateway *gw, oc_http_req *req)
{
	oc_openai_serve(gw, req, "messages", read_body, submit);
}
