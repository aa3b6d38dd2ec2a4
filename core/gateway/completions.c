/*
 * POST /v1/chat/completions: OpenAI's API in front of the agent, streaming and not.
 *
 * The model is "openclaw" (the default agent), "openclaw:ID", "openclaw/ID" or "agent:ID" (that agent), or
 * "provider/model" (the default agent with that model).  Without a `user` or an x-openclaw-session-key header each request
 * is a session of its own and its messages are the history; with one of them the session's stored history is used and only
 * the last message is taken.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/gateway/gateway.h"

struct completion {
	oc_gateway *gw;
	oc_http_req *req;
	oc_run_ref ref;
	char id[64], model[200];
	int64_t created;
	bool stream, include_usage, head_sent, client_gone;
};

#define MAX_TEXT (8u << 20)

static void fail(oc_gateway *gw, oc_http_req *req, int status, const char *type, const char *param, const char *code,
		 const char *message)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 8192);
	oc_sbuf_z(&b, "{\"error\":{\"message\":");
	oc_sbuf_json(&b, oc_str_of(message));
	oc_sbuf_printf(&b, ",\"type\":\"%s\",\"param\":", type);
	if (param != NULL)
		oc_sbuf_json(&b, oc_str_of(param));
	else
		oc_sbuf_z(&b, "null");
	oc_sbuf_z(&b, ",\"code\":");
	oc_sbuf_json(&b, oc_str_of(code));
	oc_sbuf_z(&b, "}}");
	gw->status_class[status / 100]++;
	oc_http_respond(req, status, "application/json", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

/* HTTP status and OpenAI's error type for what a turn can end with. */
static int error_status(oc_status code, const char **ret_type)
{
	*ret_type = "api_error";
	switch (code) {
	case OC_E_INVALID:
	case OC_E_CONTEXT:
		*ret_type = "invalid_request_error";
		return 400;
	case OC_E_NOT_FOUND:
		*ret_type = "invalid_request_error";
		return 404;
	case OC_E_AUTH: /* ours against the provider: the caller's own token was fine */
		return 502;
	case OC_E_DENIED:
	case OC_E_BLOCKED:
		*ret_type = "permission_error";
		return 403;
	case OC_E_RATE_LIMIT:
	case OC_E_QUOTA:
		*ret_type = "rate_limit_error";
		return 429;
	case OC_E_TIMEOUT:
		return 504;
	case OC_E_BUSY:
	case OC_E_UNAVAILABLE:
		return 503;
	default:
		return 500;
	}
}

/* ---- Answering ---- */

static void begin_stream(struct completion *c)
{
	if (c->head_sent)
		return;
	c->head_sent = true;
	c->gw->status_class[2]++;
	oc_http_add_header(c->req, "cache-control", OC_STR("no-cache"));
	oc_http_respond_head(c->req, 200, "text/event-stream; charset=utf-8", -1);
}

static void chunk_head(const struct completion *c, oc_sbuf *b)
{
	oc_sbuf_printf(b, "data: {\"id\":\"%s\",\"object\":\"chat.completion.chunk\",\"created\":%" PRId64 ",\"model\":",
		       c->id, c->created);
	oc_sbuf_json(b, oc_str_of(c->model));
}

/* Going away is how OpenAI's clients cancel. DONE still comes and frees. */
static void client_went(struct completion *c)
{
	if (!c->client_gone)
		oc_agent_cancel(c->gw->agent, c->ref.run, NULL);
	c->client_gone = true;
}

/* One that does not read is cut off by the server, and nobody is left who waits for the rest. */
static void send_bytes(struct completion *c, oc_sbuf *b)
{
	oc_status status = b->error == OC_OK ? oc_http_write(c->req, oc_sbuf_view(b)) : OC_OK;
	oc_sbuf_free(b);
	if (status == OC_E_LIMIT || status == OC_E_STATE)
		client_went(c);
}

static void send_delta(struct completion *c, oc_str text, const char *finish)
{
	bool first = !c->head_sent;
	begin_stream(c);
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_TEXT);
	chunk_head(c, &b);
	oc_sbuf_z(&b, ",\"choices\":[{\"index\":0,\"delta\":{");
	if (first)
		oc_sbuf_z(&b, "\"role\":\"assistant\",");
	if (finish == NULL || first) {
		oc_sbuf_z(&b, "\"content\":");
		oc_sbuf_json(&b, text);
	}
	oc_sbuf_z(&b, "},\"logprobs\":null,\"finish_reason\":");
	if (finish != NULL)
		oc_sbuf_json(&b, oc_str_of(finish));
	else
		oc_sbuf_z(&b, "null");
	oc_sbuf_z(&b, c->include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
	send_bytes(c, &b);
}

static void add_usage(oc_sbuf *b, const cJSON *usage)
{
	/* OpenAI counts cached tokens as part of the prompt. */
	int64_t cached = oc_json_i64(usage, "cacheRead", 0);
	int64_t input = oc_json_i64(usage, "input", 0) + cached + oc_json_i64(usage, "cacheWrite", 0);
	int64_t output = oc_json_i64(usage, "output", 0);
	oc_sbuf_printf(b,
		       "\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
		       ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64 "}}",
		       input, output, input + output, cached);
}

static const char *finish_reason(const cJSON *data)
{
	const char *reason = oc_json_str(data, "stopReason", "stop");
	return strcmp(reason, "length") == 0 ? "length" : strcmp(reason, "refusal") == 0 ? "content_filter" : "stop";
}

static void end_stream(struct completion *c, const cJSON *data)
{
	send_delta(c, OC_STR_NONE, finish_reason(data));
	oc_sbuf b;
	oc_sbuf_init(&b, 4096);
	if (c->include_usage) {
		chunk_head(c, &b);
		oc_sbuf_z(&b, ",\"choices\":[],");
		add_usage(&b, oc_json_get(data, "usage"));
		oc_sbuf_z(&b, "}\n\n");
	}
	oc_sbuf_z(&b, "data: [DONE]\n\n");
	send_bytes(c, &b);
	oc_http_end(c->req);
}

static void respond(struct completion *c, const cJSON *data)
{
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_TEXT + 8192);
	oc_sbuf_printf(&b, "{\"id\":\"%s\",\"object\":\"chat.completion\",\"created\":%" PRId64 ",\"model\":", c->id,
		       c->created);
	oc_sbuf_json(&b, oc_str_of(c->model));
	oc_sbuf_z(&b, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
	oc_sbuf_json(&b, oc_json_ostr(data, "text"));
	oc_sbuf_printf(&b, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}],", finish_reason(data));
	add_usage(&b, oc_json_get(data, "usage"));
	oc_sbuf_char(&b, '}');
	c->gw->status_class[2]++;
	oc_http_respond(c->req, 200, "application/json", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static void respond_error(struct completion *c, const cJSON *data)
{
	const cJSON *error = oc_json_get(data, "error");
	const char *code = oc_json_str(error, "code", oc_json_str(data, "status", "internal")), *type;
	char message[1024];
	snprintf(message, sizeof message, "%s%s%s", oc_json_str(error, "message", "the turn did not finish"),
		 oc_json_str(error, "remedy", "")[0] != 0 ? ": " : "", oc_json_str(error, "remedy", ""));
	int status = error_status(oc_status_by_name(code), &type);
	if (!c->head_sent) {
		fail(c->gw, c->req, status, type, NULL, code, message);
		return;
	}
	/* Too late for a status: OpenAI's own servers send the error as an event and end. */
	oc_sbuf b;
	oc_sbuf_init(&b, 8192);
	oc_sbuf_z(&b, "data: {\"error\":{\"message\":");
	oc_sbuf_json(&b, oc_str_of(message));
	oc_sbuf_printf(&b, ",\"type\":\"%s\",\"param\":null,\"code\":", type);
	oc_sbuf_json(&b, oc_str_of(code));
	oc_sbuf_z(&b, "}}\n\n");
	send_bytes(c, &b);
	oc_http_end(c->req);
}

static void on_done(struct completion *c, const cJSON *data)
{
	if (c->client_gone)
		oc_http_abort(c->req);
	else if (strcmp(oc_json_str(data, "status", ""), "ok") != 0)
		respond_error(c, data);
	else if (c->stream)
		end_stream(c, data);
	else
		respond(c, data);
	oc_free(c);
}

static void on_event(void *arg, const oc_agent_event *event)
{
	struct completion *c = arg;
	if (event->type == OC_AGENT_EV_TEXT && c->stream && !c->client_gone)
		send_delta(c, event->text, NULL);
	else if (event->type == OC_AGENT_EV_DONE)
		on_done(c, event->data);
}

static void on_close(void *arg, oc_http_req *req)
{
	(void)req;
	client_went(arg);
}

/* ---- The request ---- */

/* "data:image/png;base64,…" as a media part. */
static cJSON *image_of(const cJSON *part, oc_err *err)
{
	const cJSON *image = oc_json_get(part, "image_url");
	oc_str url = cJSON_IsString(image) ? oc_str_of(image->valuestring) : oc_json_ostr(image, "url");
	const char *comma = url.n > 0 ? memchr(url.p, ',', url.n) : NULL;
	oc_str head = comma != NULL ? (oc_str){url.p, (size_t)(comma - url.p)} : OC_STR_NONE;
	if (!oc_str_starts(head, "data:image/") || !oc_str_ends(head, ";base64")) {
		oc_fail(err, OC_E_INVALID, "", "image_url must be a data: URL with base64, such as data:image/png;base64,…");
		return NULL;
	}
	char mime[64];
	snprintf(mime, sizeof mime, "%.*s", (int)(head.n - 5 - 7), head.p + 5);
	cJSON *media = cJSON_CreateObject();
	oc_json_set_str(media, "type", "image");
	oc_json_set_str(media, "mime", mime);
	oc_json_set_str(media, "data", comma + 1);
	return media;
}

/* Splits a message's content into its text and its media (an array). */
static oc_status read_content(const cJSON *content, oc_sbuf *text, cJSON *media, oc_err *err)
{
	if (cJSON_IsString(content)) {
		oc_sbuf_z(text, content->valuestring);
		return text->error;
	}
	const cJSON *part;
	cJSON_ArrayForEach(part, content)
	{
		const char *type = oc_json_str(part, "type", "");
		if (strcmp(type, "text") == 0) {
			if (text->n > 0)
				oc_sbuf_char(text, '\n');
			oc_sbuf_str(text, oc_json_ostr(part, "text"));
		} else if (strcmp(type, "image_url") == 0 && media != NULL) {
			cJSON *image = image_of(part, err);
			if (image == NULL)
				return err->code != OC_OK ? err->code : OC_E_NOMEM;
			cJSON_AddItemToArray(media, image);
		} else {
			return oc_fail(err, OC_E_INVALID, "", "content parts of type \"%s\" are not supported here", type);
		}
	}
	return text->error;
}

static void add_text_part(cJSON *message, const char *text)
{
	cJSON *content = cJSON_AddArrayToObject(message, "content"), *part = cJSON_CreateObject();
	oc_json_set_str(part, "type", "text");
	oc_json_set_str(part, "text", text);
	if (content != NULL)
		cJSON_AddItemToArray(content, part);
	else
		cJSON_Delete(part);
}

static void add_tool_calls(cJSON *message, const cJSON *calls)
{
	cJSON *content = cJSON_GetObjectItem(message, "content");
	const cJSON *call;
	cJSON_ArrayForEach(call, calls)
	{
		const cJSON *fn = oc_json_get(call, "function");
		cJSON *part = cJSON_CreateObject(), *arguments = NULL;
		oc_json_set_str(part, "type", "tool_call");
		oc_json_set_str(part, "id", oc_json_str(call, "id", ""));
		oc_json_set_str(part, "name", oc_json_str(fn, "name", ""));
		if (oc_json_parse(oc_json_ostr(fn, "arguments"), NULL, &arguments, NULL) != OC_OK)
			arguments = cJSON_CreateObject();
		oc_json_set(part, "arguments", arguments);
		cJSON_AddItemToArray(content, part);
	}
}

struct parsed {
	oc_sbuf system, text;
	cJSON *history, *media;
};

static void parsed_free(struct parsed *p)
{
	oc_sbuf_free(&p->system);
	oc_sbuf_free(&p->text);
	cJSON_Delete(p->history);
	cJSON_Delete(p->media);
}

static oc_status add_history(struct parsed *p, const cJSON *m, const char *role, oc_err *err)
{
	oc_sbuf text;
	oc_sbuf_init(&text, MAX_TEXT);
	cJSON *message = cJSON_CreateObject(), *media = cJSON_CreateArray();
	oc_status status = read_content(oc_json_get(m, "content"), &text, media, err);
	if (status == OC_OK && message != NULL) {
		oc_json_set_str(message, "role", role);
		add_text_part(message, text.p != NULL ? text.p : "");
		cJSON *content = cJSON_GetObjectItem(message, "content");
		while (cJSON_GetArraySize(media) > 0)
			cJSON_AddItemToArray(content, cJSON_DetachItemFromArray(media, 0));
		if (strcmp(role, "tool") == 0)
			oc_json_set_str(message, "toolCallId", oc_json_str(m, "tool_call_id", ""));
		else
			add_tool_calls(message, oc_json_get(m, "tool_calls"));
		cJSON_AddItemToArray(p->history, message);
		message = NULL;
	}
	oc_sbuf_free(&text);
	cJSON_Delete(message);
	cJSON_Delete(media);
	return status;
}

static oc_status read_messages(const cJSON *messages, struct parsed *p, oc_err *err)
{
	int n = cJSON_GetArraySize(messages), i = 0;
	const cJSON *m;
	cJSON_ArrayForEach(m, messages)
	{
		const char *role = oc_json_str(m, "role", "");
		bool last = ++i == n;
		oc_status status = OC_OK;
		if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) {
			if (p->system.n > 0)
				oc_sbuf_z(&p->system, "\n\n");
			status = read_content(oc_json_get(m, "content"), &p->system, NULL, err);
		} else if (last && strcmp(role, "user") == 0) {
			status = read_content(oc_json_get(m, "content"), &p->text, p->media, err);
		} else if (last) {
			status = oc_fail(err, OC_E_INVALID, "", "the last message must have the role \"user\"");
		} else if (strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 || strcmp(role, "tool") == 0) {
			status = add_history(p, m, role, err);
		} else {
			status = oc_fail(err, OC_E_INVALID, "", "messages[%d].role \"%s\" is not known", i - 1, role);
		}
		if (status != OC_OK)
			return err->code != OC_OK ? status : oc_fail(err, status, NULL, "messages[%d] is too large", i - 1);
	}
	if (p->text.n == 0 && cJSON_GetArraySize(p->media) == 0)
		return oc_fail(err, OC_E_INVALID, "", "messages must end with a user message that is not empty");
	return OC_OK;
}

/* The agent or model the client named. */
static bool read_model(const char *model, oc_str *ret_agent, oc_str *ret_model)
{
	static const char *const prefixes[] = {"openclaw:", "openclaw/", "agent:"};
	if (model[0] == 0 || strcmp(model, "openclaw") == 0 || strcmp(model, "openclaw/default") == 0
	    || strcmp(model, "default") == 0)
		return true;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(model, prefixes[i], n) == 0) {
			*ret_agent = oc_str_of(model + n);
			return true;
		}
	}
	if (strchr(model, '/') == NULL)
		return false;
	*ret_model = oc_str_of(model);
	return true;
}

static const char *unsupported(const cJSON *body)
{
	const cJSON *n = oc_json_get(body, "n"), *format = oc_json_get(body, "response_format");
	if (cJSON_IsNumber(n) && n->valueint != 1)
		return "n";
	if (cJSON_GetArraySize(oc_json_get(body, "tools")) > 0)
		return "tools";
	if (cJSON_IsObject(format) && strcmp(oc_json_str(format, "type", "text"), "text") != 0)
		return "response_format";
	return NULL;
}

static void submit(struct completion *c, const cJSON *body, struct parsed *p, oc_turn_input *input)
{
	char session[OC_SESSION_KEY_MAX];
	oc_str key = oc_http_header(c->req, "x-openclaw-session-key"), user = oc_json_ostr(body, "user");
	oc_str agent = oc_http_header(c->req, "x-openclaw-agent-id"), model = oc_http_header(c->req, "x-openclaw-model");
	if (agent.n > 0)
		input->agent = agent;
	if (model.n > 0)
		input->model = model;
	if (key.n > 0) {
		input->session = key;
	} else {
		if (user.n > 0)
			snprintf(session, sizeof session, "openai-user:%.*s", OC_STR_ARG(user));
		else
			snprintf(session, sizeof session, "openai:%s", c->id + strlen("chatcmpl-"));
		input->session = oc_str_of(session);
	}
	if (key.n == 0 && user.n == 0)
		input->history = p->history;
	const cJSON *tokens = oc_json_get(body, "max_completion_tokens"), *heat = oc_json_get(body, "temperature");
	input->max_tokens = cJSON_IsNumber(tokens) ? oc_json_i64(body, "max_completion_tokens", 0)
						   : oc_json_i64(body, "max_tokens", 0);
	input->has_temperature = cJSON_IsNumber(heat);
	input->temperature = input->has_temperature ? heat->valuedouble : 0;
	input->text = oc_sbuf_view(&p->text);
	input->extra_system = oc_sbuf_view(&p->system);
	input->media = cJSON_GetArraySize(p->media) > 0 ? p->media : NULL;
	input->thinking = oc_json_ostr(body, "reasoning_effort");
	char trace[OC_TRACE_MAX] = "";
	(void)oc_trace_parse(oc_http_header(c->req, "traceparent"), trace);
	input->trace = trace;
	char peer[OC_GATEWAY_PEER_MAX];
	input->client = oc_gateway_peer(oc_http_get_peer(c->req), peer);
	input->origin = "http";
	input->on_event = on_event;
	input->arg = c;
	oc_err err = {0};
	oc_http_on_close(c->req, on_close, c);
	if (oc_agent_submit(c->gw->agent, input, &c->ref, &err) != OC_OK) {
		const char *type;
		int status = error_status(err.code, &type);
		oc_http_on_close(c->req, NULL, NULL);
		fail(c->gw, c->req, status, type, NULL, oc_status_name(err.code), err.text);
		oc_free(c);
	}
}

void oc_gateway_completions(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_json cJSON *body = NULL;
	oc_err err = {0};
	oc_json_limits limits = {.max_bytes = 20u << 20};
	oc_bridge_need(gw->rt->bridge);
	if (!oc_config_bool(gw->rt->config, "gateway.http.endpoints.chatCompletions.enabled", true)) {
		fail(gw, req, 404, "invalid_request_error", NULL, "not_found",
		     "this endpoint is off: set gateway.http.endpoints.chatCompletions.enabled to true");
		return;
	}
	if (oc_json_parse(oc_http_body(req), &limits, &body, &err) != OC_OK) {
		fail(gw, req, 400, "invalid_request_error", NULL, "invalid_json", err.text);
		return;
	}
	const cJSON *messages = oc_json_get(body, "messages");
	const char *model = oc_json_str(body, "model", ""), *param = unsupported(body);
	oc_turn_input input = {0};
	struct parsed p = {.history = cJSON_CreateArray(), .media = cJSON_CreateArray()};
	oc_sbuf_init(&p.system, MAX_TEXT);
	oc_sbuf_init(&p.text, MAX_TEXT);
	if (!cJSON_IsArray(messages)) {
		fail(gw, req, 400, "invalid_request_error", "messages", "invalid", "messages must be an array");
	} else if (param != NULL) {
		char text[200];
		snprintf(text, sizeof text, "%s is not supported here: the agent uses its own tools and answers once in text",
			 param);
		fail(gw, req, 400, "invalid_request_error", param, "unsupported_parameter", text);
	} else if (!read_model(model, &input.agent, &input.model)) {
		fail(gw, req, 404, "invalid_request_error", "model", "model_not_found",
		     "no such model: use \"openclaw\", \"openclaw:AGENT\" or \"provider/model\"");
	} else if (read_messages(messages, &p, &err) != OC_OK) {
		fail(gw, req, 400, "invalid_request_error", "messages", oc_status_name(err.code), err.text);
	} else {
		struct completion *c = oc_alloc(sizeof *c);
		char uuid[37];
		if (c == NULL) {
			fail(gw, req, 503, "api_error", NULL, "nomem", "out of memory");
		} else {
			c->gw = gw;
			c->req = req;
			c->created = oc_wall_ms() / 1000;
			c->stream = oc_json_bool(body, "stream", false);
			c->include_usage = oc_json_bool(oc_json_get(body, "stream_options"), "include_usage", false);
			snprintf(c->id, sizeof c->id, "chatcmpl-%s", oc_id_uuid(uuid));
			snprintf(c->model, sizeof c->model, "%s", model[0] != 0 ? model : "openclaw");
			submit(c, body, &p, &input);
		}
	}
	parsed_free(&p);
}

/* GET /v1/models: what may be named as model. */
void oc_gateway_models(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_json cJSON *agents = NULL;
	oc_err err = {0};
	if (oc_agent_agents(gw->agent, &agents, &err) != OC_OK) {
		fail(gw, req, 500, "api_error", NULL, oc_status_name(err.code), err.text);
		return;
	}
	oc_sbuf b;
	oc_sbuf_init(&b, 1u << 20);
	oc_sbuf_printf(&b, "{\"object\":\"list\",\"data\":[{\"id\":\"openclaw\",\"object\":\"model\",\"created\":%" PRId64
			   ",\"owned_by\":\"openclaw\"}",
		       gw->started_wall_ms / 1000);
	const cJSON *agent;
	cJSON_ArrayForEach(agent, oc_json_get(agents, "agents"))
	{
		char id[100];
		snprintf(id, sizeof id, "openclaw/%s", oc_json_str(agent, "id", "main"));
		oc_sbuf_z(&b, ",{\"id\":");
		oc_sbuf_json(&b, oc_str_of(id));
		oc_sbuf_printf(&b, ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"openclaw\"}",
			       gw->started_wall_ms / 1000);
	}
	oc_sbuf_z(&b, "]}");
	gw->status_class[2]++;
	oc_http_respond(req, 200, "application/json", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}
