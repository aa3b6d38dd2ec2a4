#include "core/gateway/openai.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"
#include "core/module/module.h"

#define TOOLS_MAX 128
#define NAME_MAX_CHARS 64 /* of a function, as OpenAI has it */

bool oc_openai_is_anthropic(const oc_http_req *req)
{
	return oc_http_has_header(req, "anthropic-version") || oc_str_eqz(oc_http_path(req), "/v1/messages");
}

/* ---- Errors ---- */

void oc_openai_refuse(oc_gateway *gw, oc_http_req *req, int status, const char *type, const char *param, const char *code,
		      const char *message)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 8192);
	bool anthropic = oc_openai_is_anthropic(req);
	oc_sbuf_z(&b, anthropic ? "{\"type\":\"error\",\"error\":{\"message\":" : "{\"error\":{\"message\":");
	oc_sbuf_json(&b, oc_str_of(message));
	oc_sbuf_printf(&b, ",\"type\":\"%s\"", anthropic && status == 404 ? "not_found_error" : type);
	if (!anthropic) {
		oc_sbuf_z(&b, ",\"param\":");
		if (param != NULL)
			oc_sbuf_json(&b, oc_str_of(param));
		else
			oc_sbuf_z(&b, "null");
		oc_sbuf_z(&b, ",\"code\":");
		oc_sbuf_json(&b, oc_str_of(code));
	}
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
	case OC_E_NOMEM:
		return 503;
	default:
		return 500;
	}
}

void oc_openai_refuse_err(oc_gateway *gw, oc_http_req *req, const char *param, const oc_err *err)
{
	const char *type;
	int status = error_status(err->code, &type);
	oc_openai_refuse(gw, req, status, type, param, oc_status_name(err->code), err->text);
}

/* ---- Answering ---- */

void oc_openai_begin_stream(oc_openai *o)
{
	if (o->head_sent)
		return;
	o->head_sent = true;
	o->gw->status_class[2]++;
	oc_http_add_header(o->req, "cache-control", OC_STR("no-cache"));
	oc_http_respond_head(o->req, 200, "text/event-stream; charset=utf-8", -1);
}

/* Going away is how OpenAI's clients cancel. DONE still comes and frees. */
static void client_went(oc_openai *o)
{
	if (!o->client_gone)
		oc_agent_cancel(o->gw->agent, o->ref.run, NULL);
	o->client_gone = true;
}

void oc_openai_send(oc_openai *o, oc_sbuf *b)
{
	oc_status status = b->error == OC_OK ? oc_http_write(o->req, oc_sbuf_view(b)) : OC_OK;
	oc_sbuf_free(b);
	if (status == OC_E_LIMIT || status == OC_E_STATE)
		client_went(o);
}

void oc_openai_answer(oc_openai *o, oc_sbuf *b)
{
	o->gw->status_class[2]++;
	oc_http_respond(o->req, 200, "application/json", oc_sbuf_view(b));
	oc_sbuf_free(b);
}

oc_openai_usage oc_openai_usage_of(const cJSON *data)
{
	const cJSON *u = oc_json_get(data, "usage");
	int64_t cached = oc_json_i64(u, "cacheRead", 0);
	return (oc_openai_usage){.input = oc_json_i64(u, "input", 0) + cached + oc_json_i64(u, "cacheWrite", 0),
				 .cached = cached,
				 .output = oc_json_i64(u, "output", 0)};
}

static void free_turn(oc_openai *o)
{
	oc_sbuf_free(&o->said);
	oc_free(o);
}

static void on_failed(oc_openai *o, const cJSON *data)
{
	const cJSON *error = oc_json_get(data, "error");
	const char *code = oc_json_str(error, "code", oc_json_str(data, "status", "internal")), *type;
	char message[1024];
	snprintf(message, sizeof message, "%s%s%s", oc_json_str(error, "message", "the turn did not finish"),
		 oc_json_str(error, "remedy", "")[0] != 0 ? ": " : "", oc_json_str(error, "remedy", ""));
	int status = error_status(oc_status_by_name(code), &type);
	if (o->head_sent) /* too late for a status */
		o->form->failed(o, type, code, message);
	else
		oc_openai_refuse(o->gw, o->req, status, type, NULL, code, message);
}

static void on_done(oc_openai *o, const cJSON *data)
{
	if (o->client_gone)
		oc_http_abort(o->req);
	else if (strcmp(oc_json_str(data, "status", ""), "ok") != 0)
		on_failed(o, data);
	else if (o->stream)
		o->form->end(o, data);
	else
		o->form->whole(o, data);
	free_turn(o);
}

static void on_event(void *arg, const oc_agent_event *event)
{
	oc_openai *o = arg;
	if (event->type == OC_AGENT_EV_TEXT && o->stream && !o->client_gone)
		o->form->text(o, event->text);
	else if (event->type == OC_AGENT_EV_DONE)
		on_done(o, event->data);
}

static void on_close(void *arg, oc_http_req *req)
{
	(void)req;
	client_went(arg);
}

/* ---- The request ---- */

void oc_openai_input_init(oc_openai_input *in)
{
	*in = (oc_openai_input){.history = cJSON_CreateArray(), .media = cJSON_CreateArray()};
	oc_sbuf_init(&in->system, OC_OPENAI_TEXT_MAX);
	oc_sbuf_init(&in->text, OC_OPENAI_TEXT_MAX);
}

void oc_openai_input_free(oc_openai_input *in)
{
	oc_sbuf_free(&in->system);
	oc_sbuf_free(&in->text);
	cJSON_Delete(in->history);
	cJSON_Delete(in->media);
	cJSON_Delete(in->tools);
}

cJSON *oc_openai_body(oc_gateway *gw, oc_http_req *req, const char *config)
{
	oc_json_limits limits = {.max_bytes = OC_OPENAI_BODY_MAX};
	cJSON *body = NULL;
	oc_err err = {0};
	char path[80], text[160];
	snprintf(path, sizeof path, "gateway.http.endpoints.%s.enabled", config);
	oc_bridge_need(gw->rt->bridge);
	if (!oc_config_bool(gw->rt->config, path, true)) {
		snprintf(text, sizeof text, "this endpoint is off: set %s to true", path);
		oc_openai_refuse(gw, req, 404, "invalid_request_error", NULL, "not_found", text);
	} else if (oc_json_parse(oc_http_body(req), &limits, &body, &err) != OC_OK) {
		oc_openai_refuse(gw, req, 400, "invalid_request_error", NULL, "invalid_json", err.text);
	}
	return body;
}

bool oc_openai_read_model(oc_gateway *gw, oc_http_req *req, const char *model, oc_openai_input *in)
{
	static const char *const prefixes[] = {"openclaw:", "openclaw/", "agent:"};
	if (model[0] == 0 || strcmp(model, "openclaw") == 0 || strcmp(model, "openclaw/default") == 0 ||
	    strcmp(model, "default") == 0)
		return true;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(model, prefixes[i], n) == 0) {
			in->agent = oc_str_of(model + n);
			return true;
		}
	}
	if (strchr(model, '/') != NULL) {
		in->model = oc_str_of(model);
		return true;
	}
	oc_openai_refuse(gw, req, 404, "invalid_request_error", "model", "model_not_found",
			 "no such model: use \"openclaw\", \"openclaw:AGENT\" or \"provider/model\"");
	return false;
}

cJSON *oc_openai_media(const char *type, const char *mime, const char *data, const char *name, oc_err *err)
{
	cJSON *media = cJSON_CreateObject();
	bool ok = media != NULL && oc_json_set_str(media, "type", type) && oc_json_set_str(media, "mime", mime) &&
		  oc_json_set_str(media, "data", data) && (name[0] == 0 || oc_json_set_str(media, "name", name));
	if (ok)
		return media;
	cJSON_Delete(media);
	oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	return NULL;
}

/* "data:image/png;base64,…" as a media part. */
static cJSON *media_of(const char *type, oc_str url, const char *name, oc_err *err)
{
	const char *comma = url.n > 0 ? memchr(url.p, ',', url.n) : NULL;
	oc_str head = comma != NULL ? (oc_str){url.p, (size_t)(comma - url.p)} : OC_STR_NONE;
	if (!oc_str_starts(head, "data:") || !oc_str_ends(head, ";base64") ||
	    (strcmp(type, "image") == 0 && !oc_str_starts(head, "data:image/"))) {
		oc_fail(err, OC_E_INVALID, "", "%s must be a data: URL with base64, such as data:image/png;base64,…",
			strcmp(type, "image") == 0 ? "image_url" : "file_data");
		return NULL;
	}
	char mime[128];
	snprintf(mime, sizeof mime, "%.*s", (int)(head.n - 5 - 7), head.p + 5);
	return oc_openai_media(type, mime, comma + 1, name, err);
}

/* {"image_url":"…"} or {"image_url":{"url":"…"}}; {"filename","file_data"}, itself or in {"file":…}. NULL: err says why. */
static cJSON *read_media(const cJSON *part, bool image, oc_err *err)
{
	const cJSON *url = oc_json_get(part, "image_url"), *file = oc_json_get(part, "file");
	if (image)
		return media_of("image", cJSON_IsString(url) ? oc_str_of(url->valuestring) : oc_json_ostr(url, "url"), "", err);
	file = cJSON_IsObject(file) ? file : part;
	return media_of("file", oc_json_ostr(file, "file_data"), oc_json_str(file, "filename", ""), err);
}

oc_status oc_openai_read_content(const cJSON *content, oc_sbuf *text, cJSON *media, oc_err *err)
{
	if (cJSON_IsString(content)) {
		oc_sbuf_z(text, content->valuestring);
		return text->error;
	}
	const cJSON *part;
	cJSON_ArrayForEach(part, content)
	{
		const char *type = oc_json_str(part, "type", "");
		bool image = strcmp(type, "image_url") == 0 || strcmp(type, "input_image") == 0;
		bool file = strcmp(type, "file") == 0 || strcmp(type, "input_file") == 0;
		if (strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0 || strcmp(type, "output_text") == 0) {
			if (text->n > 0)
				oc_sbuf_char(text, '\n');
			oc_sbuf_str(text, oc_json_ostr(part, "text"));
		} else if ((image || file) && media != NULL) {
			cJSON *one = read_media(part, image, err);
			if (one == NULL || !cJSON_AddItemToArray(media, one))
				return err->code != OC_OK ? err->code : OC_E_NOMEM;
		} else {
			return oc_fail(err, OC_E_INVALID, "", "content parts of type \"%s\" are not supported here", type);
		}
	}
	return text->error;
}

static cJSON *new_message(oc_openai_input *in, const char *role)
{
	cJSON *message = cJSON_CreateObject(), *content = cJSON_AddArrayToObject(message, "content");
	if (content != NULL && oc_json_set_str(message, "role", role) && cJSON_AddItemToArray(in->history, message))
		return message;
	cJSON_Delete(message);
	return NULL;
}

static bool add_part(cJSON *message, cJSON *part)
{
	if (part != NULL && cJSON_AddItemToArray(cJSON_GetObjectItem(message, "content"), part))
		return true;
	cJSON_Delete(part);
	return false;
}

oc_status oc_openai_add_history(oc_openai_input *in, const char *role, oc_str text, cJSON *media, const char *call_id, oc_err *err)
{
	cJSON *message = new_message(in, role), *part = cJSON_CreateObject();
	oc_auto_free char *copy = oc_memdup(text.p, text.n);
	bool ok = message != NULL && copy != NULL && oc_json_set_str(part, "type", "text") && oc_json_set_str(part, "text", copy);
	if (ok && (text.n > 0 || strcmp(role, "assistant") != 0)) {
		ok = add_part(message, part);
		part = NULL;
	}
	while (ok && cJSON_GetArraySize(media) > 0)
		ok = add_part(message, cJSON_DetachItemFromArray(media, 0));
	if (ok && call_id != NULL)
		ok = oc_json_set_str(message, "toolCallId", call_id);
	cJSON_Delete(part);
	cJSON_Delete(media);
	return ok ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
}

oc_status oc_openai_add_call(oc_openai_input *in, const char *id, const char *name, oc_str arguments, oc_err *err)
{
	cJSON *last = cJSON_GetArrayItem(in->history, cJSON_GetArraySize(in->history) - 1), *values = NULL;
	cJSON *part = cJSON_CreateObject();
	if (last == NULL || strcmp(oc_json_str(last, "role", ""), "assistant") != 0)
		last = new_message(in, "assistant");
	if (oc_json_parse(arguments, NULL, &values, NULL) != OC_OK || !cJSON_IsObject(values)) {
		cJSON_Delete(values);
		values = cJSON_CreateObject();
	}
	bool ok = last != NULL && oc_json_set_str(part, "type", "tool_call") && oc_json_set_str(part, "id", id) &&
		  oc_json_set_str(part, "name", name);
	if (!oc_json_set(part, "arguments", values))
		ok = false;
	if (ok && add_part(last, part))
		return OC_OK;
	if (!ok)
		cJSON_Delete(part);
	return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
}

static const char *name_of_call(const oc_openai_input *in, const char *call_id)
{
	const cJSON *m, *part;
	cJSON_ArrayForEach(m, in->history) cJSON_ArrayForEach(part, oc_json_get(m, "content"))
		if (strcmp(oc_json_str(part, "id", ""), call_id) == 0)
			return oc_json_str(part, "name", NULL);
	return NULL;
}

oc_status oc_openai_say_result(oc_openai_input *in, const char *call_id, oc_str output, oc_err *err)
{
	const char *name = name_of_call(in, call_id);
	oc_status status = name != NULL ? oc_openai_add_history(in, "tool", OC_STR(OC_AGENT_CLIENT_CALL), NULL, call_id, err) : OC_OK;
	if (in->text.n > 0)
		oc_sbuf_z(&in->text, "\n\n");
	oc_sbuf_printf(&in->text, "[Result of %s%scall %s]\n", name != NULL ? name : "", name != NULL ? ", " : "the ", call_id);
	oc_sbuf_str(&in->text, output);
	return status;
}

/* ---- Tools of the client ---- */

static bool is_name(oc_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
			return false;
	}
	return s.n > 0 && s.n <= NAME_MAX_CHARS;
}

static const cJSON *function_of(const cJSON *tool)
{
	const cJSON *nested = oc_json_get(tool, "function");
	return cJSON_IsObject(nested) ? nested : tool;
}

static oc_status read_tool(oc_gateway *gw, const cJSON *tool, int i, cJSON *out, oc_err *err)
{
	const cJSON *fn = function_of(tool), *parameters = oc_json_get(fn, "parameters"), *t;
	const char *type = oc_json_str(tool, "type", "function"), *name = oc_json_str(fn, "name", "");
	oc_tool_info info;
	if (strcmp(type, "function") != 0)
		return oc_fail(err, OC_E_INVALID, "", "tools[%d] of type \"%s\" is not supported here: only functions are", i, type);
	if (!is_name(oc_str_of(name)))
		return oc_fail(err, OC_E_INVALID, "", "tools[%d].name must have 1 to %d of a-z A-Z 0-9 _ -", i, NAME_MAX_CHARS);
	if (parameters != NULL && !cJSON_IsNull(parameters) && !cJSON_IsObject(parameters))
		return oc_fail(err, OC_E_INVALID, "", "tools[%d].parameters must be a JSON Schema object", i);
	cJSON_ArrayForEach(t, out) if (strcmp(oc_json_str(t, "name", ""), name) == 0) return oc_fail(
		err, OC_E_INVALID, "", "tools[%d]: there are two of the name \"%s\"", i, name);
	if (oc_modules_tool(gw->rt->modules, oc_str_of(name), &info))
		return oc_fail(err, OC_E_INVALID, "", "tools[%d]: the agent has a tool \"%s\" of its own; name yours otherwise", i, name);
	cJSON *spec = cJSON_CreateObject();
	bool ok = spec != NULL && oc_json_set_str(spec, "name", name) &&
		  oc_json_set_str(spec, "description", oc_json_str(fn, "description", "")) &&
		  oc_json_set(spec, "parameters", cJSON_IsObject(parameters) ? cJSON_Duplicate(parameters, true)
									      : cJSON_Parse("{\"type\":\"object\"}"));
	if (ok && cJSON_AddItemToArray(out, spec))
		return OC_OK;
	cJSON_Delete(spec);
	return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
}

/* "none", "auto", "required", or the function that must be called: {"type":"function","name"} or with "function":{"name"}. */
static oc_status read_choice(const cJSON *choice, oc_openai_input *in, oc_err *err)
{
	const char *word = cJSON_IsString(choice) ? choice->valuestring : cJSON_IsObject(choice) ? "function" : "auto";
	const char *name = oc_json_str(function_of(choice), "name", "");
	const cJSON *t, *found = NULL;
	if (strcmp(word, "auto") == 0 || cJSON_IsNull(choice))
		return OC_OK;
	if (strcmp(word, "none") == 0) {
		cJSON_Delete(in->tools);
		in->tools = NULL;
		return OC_OK;
	}
	cJSON_ArrayForEach(t, in->tools) if (strcmp(oc_json_str(t, "name", ""), name) == 0) found = t;
	if (strcmp(word, "function") == 0 && found == NULL)
		return oc_fail(err, OC_E_INVALID, "", "tool_choice names \"%s\", which is none of the tools", name);
	if (strcmp(word, "function") != 0 && strcmp(word, "required") != 0)
		return oc_fail(err, OC_E_INVALID, "", "tool_choice must be none, auto, required or a function");
	if (cJSON_GetArraySize(in->tools) == 0)
		return oc_fail(err, OC_E_INVALID, "", "tool_choice is \"required\", but there are no tools");
	/* Providers differ in how a call is forced; all of them understand words. */
	if (in->system.n > 0)
		oc_sbuf_z(&in->system, "\n\n");
	if (found != NULL) {
		oc_sbuf_printf(&in->system, "Answer by calling the tool %s.", name);
		return OC_OK;
	}
	oc_sbuf_z(&in->system, "Answer by calling one of the client's tools:");
	cJSON_ArrayForEach(t, in->tools) oc_sbuf_printf(&in->system, " %s", oc_json_str(t, "name", ""));
	return OC_OK;
}

oc_status oc_openai_read_tools(oc_gateway *gw, const cJSON *body, oc_openai_input *in, oc_err *err)
{
	const cJSON *tools = oc_json_get(body, "tools"), *tool;
	int i = 0;
	if (cJSON_GetArraySize(tools) > TOOLS_MAX)
		return oc_fail(err, OC_E_INVALID, "", "more than %d tools", TOOLS_MAX);
	in->tools = cJSON_CreateArray();
	cJSON_ArrayForEach(tool, tools)
	{
		oc_status status = read_tool(gw, tool, i++, in->tools, err);
		if (status != OC_OK)
			return status;
	}
	return read_choice(oc_json_get(body, "tool_choice"), in, err);
}

/* ---- The turn ---- */

oc_openai *oc_openai_new(oc_gateway *gw, oc_http_req *req, const oc_openai_form *form, const cJSON *body)
{
	oc_openai *o = oc_alloc(sizeof *o);
	char uuid[37];
	if (o == NULL) {
		oc_openai_refuse(gw, req, 503, "api_error", NULL, "nomem", "out of memory");
		return NULL;
	}
	const char *model = oc_json_str(body, "model", "");
	o->gw = gw;
	o->req = req;
	o->form = form;
	o->created = oc_wall_ms() / 1000;
	o->stream = oc_json_bool(body, "stream", false);
	oc_sbuf_init(&o->said, OC_OPENAI_TEXT_MAX);
	snprintf(o->id, sizeof o->id, "%s%s", form->prefix, oc_id_uuid(uuid));
	snprintf(o->model, sizeof o->model, "%s", model[0] != 0 ? model : "openclaw");
	return o;
}

void oc_openai_submit(oc_openai *o, const cJSON *body, const oc_openai_input *in, oc_str session, const cJSON *history, bool keep)
{
	char trace[OC_TRACE_MAX] = "", peer[OC_GATEWAY_PEER_MAX], own[128];
	oc_str agent = oc_http_header(o->req, "x-openclaw-agent-id"), model = oc_http_header(o->req, "x-openclaw-model");
	const cJSON *heat = oc_json_get(body, "temperature");
	oc_err err = {0};
	oc_access who;
	snprintf(own, sizeof own, "openai:%s", o->id + strlen(o->form->prefix));
	(void)oc_trace_parse(oc_http_header(o->req, "traceparent"), trace);
	oc_turn_input input = {
		.session = session.n > 0 ? session : oc_str_of(own),
		.agent = agent.n > 0 ? agent : in->agent,
		.model = model.n > 0 ? model : in->model,
		.text = oc_sbuf_view(&in->text),
		.extra_system = oc_sbuf_view(&in->system),
		.media = cJSON_GetArraySize(in->media) > 0 ? in->media : NULL,
		.client_tools = cJSON_GetArraySize(in->tools) > 0 ? in->tools : NULL,
		.history = history,
		.keep_history = keep,
		.thinking = oc_json_ostr(body, "reasoning_effort"),
		.has_temperature = cJSON_IsNumber(heat),
		.temperature = cJSON_IsNumber(heat) ? heat->valuedouble : 0,
		.trace = trace,
		.client = oc_gateway_peer(oc_http_get_peer(o->req), peer),
		.origin = "http",
		.restricted = oc_text_lacks_word(oc_sbuf_view(&in->text), 0) && !(oc_access_request(o->gw, o->req, &who) && (who.scopes & OC_SCOPE_APPROVALS) != 0),
		.on_event = on_event,
		.arg = o,
	};
	static const char *const limits[] = {"max_output_tokens", "max_completion_tokens", "max_tokens"};
	for (size_t i = 0; i < sizeof limits / sizeof *limits && input.max_tokens == 0; i++)
		input.max_tokens = oc_json_i64(body, limits[i], 0);
	if (input.thinking.n == 0)
		input.thinking = oc_json_ostr(oc_json_get(body, "reasoning"), "effort");
	oc_http_on_close(o->req, on_close, o);
	if (oc_agent_submit(o->gw->agent, &input, &o->ref, &err) != OC_OK) {
		oc_http_on_close(o->req, NULL, NULL);
		oc_openai_refuse_err(o->gw, o->req, NULL, &err);
		free_turn(o);
	}
}

void oc_openai_serve(oc_gateway *gw, oc_http_req *req, const char *config, oc_openai_reader *read, oc_openai_submitter *submit)
{
	oc_auto_json cJSON *body = oc_openai_body(gw, req, config);
	const char *member = NULL;
	oc_openai_input in;
	oc_err err = {0};
	if (body == NULL)
		return;
	oc_openai_input_init(&in);
	if (oc_openai_read_model(gw, req, oc_json_str(body, "model", ""), &in)) {
		if (read(gw, body, &in, &member, &err) == OC_OK)
			submit(gw, req, body, &in);
		else
			oc_openai_refuse_err(gw, req, member, &err);
	}
	oc_openai_input_free(&in);
}
