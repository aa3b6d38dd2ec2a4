/* See responses.h. */
#include "responses.h"

#include "dialect.h"
#include "prv_history.h"
#include "request.h"

typedef struct builder {
	prv_text *out;
	const prv_endpoint *e;
	unsigned quirks;
	prv_history h;
	bool first; /* no item written yet */
} builder;

static void open_item(builder *b, const char *start)
{
	prv_text_z(b->out, b->first ? "" : ",");
	prv_text_z(b->out, start);
	b->first = false;
}

/* A text or image of the user or of a tool; false when the part is neither, or empty. */
static bool add_piece(builder *b, prv_json part, bool first)
{
	prv_json text = prv_part_text(part), data = prv_json_get(part, "data"), mime = prv_json_get(part, "mime");
	bool image = prv_part_is(part, "image");
	if (!image && !prv_json_full(text))
		return false;
	if (image && !prv_json_full(data))
		return false;
	prv_text_z(b->out, first ? "" : ",");
	if (!image) {
		prv_text_z(b->out, "{\"type\":\"input_text\",\"text\":");
		prv_json_copy(b->out, text);
		prv_text_char(b->out, '}');
	} else if ((b->quirks & OAI_NO_IMAGES) != 0) {
		prv_text_z(b->out, "{\"type\":\"input_text\",\"text\":\"[image]\"}");
	} else {
		/* Base64 and media types have nothing to escape. */
		prv_text_z(b->out, "{\"type\":\"input_image\",\"image_url\":\"data:");
		if (prv_json_full(mime))
			prv_text_add(b->out, mime.p + 1, mime.n - 2);
		else
			prv_text_z(b->out, "image/png");
		prv_text_z(b->out, ";base64,");
		prv_text_add(b->out, data.p + 1, data.n - 2);
		prv_text_z(b->out, "\"}");
	}
	return true;
}

/* The pieces of a content as a list; `before` is the first one's text when not empty, `empty` stands in for nothing. */
static void add_pieces(builder *b, prv_json content, const char *before, const char *empty)
{
	prv_json part;
	size_t at = 0;
	bool first = true;
	prv_text_char(b->out, '[');
	if (before[0] != 0) {
		prv_text_printf(b->out, "{\"type\":\"input_text\",\"text\":\"%s\"}", before);
		first = false;
	}
	while (prv_history_part(content, &at, &part))
		first = !add_piece(b, part, first) && first;
	if (first)
		prv_text_printf(b->out, "{\"type\":\"input_text\",\"text\":\"%s\"}", empty);
	prv_text_char(b->out, ']');
}

/* The texts of a result as one string. */
static void add_joined(builder *b, prv_json content, const char *before, const char *empty)
{
	prv_json part;
	prv_text all;
	size_t at = 0;
	prv_text_init(&all, content.n * 3 + 64);
	prv_text_z(&all, before);
	while (prv_history_part(content, &at, &part)) {
		prv_json text = prv_part_text(part);
		if (prv_json_full(text) && all.n > 0 && all.p[all.n - 1] != ' ')
			prv_text_char(&all, '\n');
		prv_json_text(&all, text);
	}
	if (all.n == 0)
		prv_text_z(&all, empty);
	if (all.failed)
		b->out->failed = true;
	prv_text_json(b->out, prv_text_view(&all));
	prv_text_free(&all);
}

static bool has_images(prv_json content)
{
	prv_json part;
	size_t at = 0;
	while (prv_history_part(content, &at, &part))
		if (prv_part_is(part, "image"))
			return true;
	return false;
}

static void add_result(builder *b, size_t index, prv_json call)
{
	prv_json id = prv_json_get(call, "id");
	prv_json result = prv_history_result(&b->h, index, id);
	prv_json content = prv_json_get(result, "content");
	bool error = prv_json_bool(prv_json_get(result, "isError"), false);
	open_item(b, "{\"type\":\"function_call_output\",\"call_id\":");
	prv_history_id(b->out, id, PRV_ID_FORTY);
	prv_text_z(b->out, ",\"output\":");
	/* A plain string where it is enough: compatible servers take nothing else. */
	if (has_images(content))
		add_pieces(b, content, error ? "[tool error]" : "", "(no output)");
	else
		add_joined(b, content, error ? "[tool error] " : "", result.n == 0 ? PRV_NO_RESULT : "(no output)");
	prv_text_char(b->out, '}');
}

static void add_call(builder *b, prv_json call)
{
	prv_json arguments = prv_json_get(call, "arguments");
	bool object = prv_json_kind(arguments) == PRV_JSON_OBJECT;
	open_item(b, "{\"type\":\"function_call\",\"call_id\":");
	prv_history_id(b->out, prv_json_get(call, "id"), PRV_ID_FORTY);
	prv_text_z(b->out, ",\"name\":");
	prv_json_copy(b->out, prv_json_get(call, "name"));
	prv_text_z(b->out, ",\"arguments\":");
	prv_text_json(b->out, object ? (oc_str){arguments.p, arguments.n} : OC_STR("{}"));
	prv_text_char(b->out, '}');
}

/* Encrypted reasoning is of use to the model that made it, with the calls that came of it. */
static void add_reasoning(builder *b, prv_json part)
{
	prv_json item = prv_json_get(part, "item");
	if ((b->quirks & (OAI_NO_ENCRYPTED | OAI_NO_THINKING_BACK)) != 0 || prv_json_kind(item) != PRV_JSON_OBJECT
	    || !prv_json_is(prv_json_get(part, "provider"), b->e->provider)
	    || !prv_json_is(prv_json_get(part, "model"), b->e->model))
		return;
	open_item(b, "");
	prv_json_copy(b->out, item);
}

static void add_assistant(builder *b, size_t index, prv_json content)
{
	prv_json part;
	size_t at = 0;
	bool calls = false;
	while (prv_history_part(content, &at, &part))
		calls = calls || prv_part_is(part, "tool_call");
	for (at = 0; prv_history_part(content, &at, &part);) {
		prv_json text = prv_part_text(part);
		if (prv_part_is(part, "tool_call")) {
			add_call(b, part);
		} else if (calls && prv_part_is(part, "reasoning")) {
			add_reasoning(b, part);
		} else if (prv_json_full(text)) {
			open_item(b, "{\"role\":\"assistant\",\"content\":");
			prv_json_copy(b->out, text);
			prv_text_char(b->out, '}');
		}
	}
	for (at = 0; calls && prv_history_part(content, &at, &part);)
		if (prv_part_is(part, "tool_call"))
			add_result(b, index, part);
}

static void add_input(builder *b)
{
	prv_text_z(b->out, ",\"input\":[");
	for (size_t i = 0; i < b->h.n; i++) {
		int role = prv_history_role(&b->h, i);
		if (role == PRV_ROLE_ASSISTANT) {
			add_assistant(b, i, prv_history_content(&b->h, i));
		} else if (role == PRV_ROLE_USER || role == PRV_ROLE_SYSTEM) {
			open_item(b, role == PRV_ROLE_USER ? "{\"role\":\"user\",\"content\":"
							   : "{\"role\":\"system\",\"content\":");
			add_pieces(b, prv_history_content(&b->h, i), "", "(empty)");
			prv_text_char(b->out, '}');
		}
	}
	prv_text_char(b->out, ']');
}

static void add_parameters(builder *b, prv_json request, int64_t max_tokens)
{
	oai_dialect d = oai_dialect_of(b->e);
	prv_json temperature = prv_json_get(request, "temperature"), user = prv_json_get(request, "user");
	const char *effort = oai_responses_effort(&d, prv_json_get(request, "thinking"), b->quirks);
	int64_t most = prv_json_i64(prv_json_get(request, "maxTokens"), 0);
	bool reasons = d.openai ? d.reasons : effort != NULL;
	if (max_tokens > 0 && most > max_tokens)
		most = max_tokens;
	if (most > 0)
		prv_text_printf(b->out, ",\"max_output_tokens\":%lld", (long long)(most < 16 ? 16 : most));
	if (reasons) {
		bool summary = (b->quirks & OAI_NO_SUMMARY) == 0;
		if (effort != NULL || summary)
			prv_text_printf(b->out, ",\"reasoning\":{%s%s%s%s%s}", effort != NULL ? "\"effort\":\"" : "",
					effort != NULL ? effort : "", effort != NULL ? "\"" : "",
					effort != NULL && summary ? "," : "", summary ? "\"summary\":\"auto\"" : "");
		if ((b->quirks & OAI_NO_ENCRYPTED) == 0)
			prv_text_z(b->out, ",\"include\":[\"reasoning.encrypted_content\"]");
	} else if (prv_json_kind(temperature) == PRV_JSON_NUMBER && (b->quirks & OAI_NO_TEMPERATURE) == 0) {
		prv_text_z(b->out, ",\"temperature\":");
		prv_json_copy(b->out, temperature);
	}
	if (prv_json_full(user) && (b->quirks & OAI_NO_USER) == 0) {
		prv_text_z(b->out, ",\"user\":");
		prv_json_copy(b->out, user);
	}
}

bool oai_responses_build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, prv_text *out,
			 prv_fault *why)
{
	builder b = {.out = out, .e = e, .quirks = quirks->bits, .first = true};
	prv_json system = prv_json_get(request, "system");
	if (e->model[0] == 0 || prv_json_kind(prv_json_get(request, "messages")) != PRV_JSON_ARRAY) {
		prv_fault_set(why, OC_E_INVALID, "the request names no model or has no messages");
		return false;
	}
	if (!prv_history_load(prv_json_get(request, "messages"), &b.h)) {
		prv_fault_set(why, OC_E_NOMEM, "out of memory");
		return false;
	}
	prv_text_z(out, "{\"model\":");
	prv_text_json(out, oc_str_of(e->model));
	if (prv_json_full(system)) {
		prv_text_z(out, ",\"instructions\":");
		prv_json_copy(out, system);
	}
	add_input(&b);
	(void)oai_request_tools(b.out, prv_json_get(request, "tools"), b.quirks, "{\"type\":\"function\",\"strict\":false,\"name\":", "}");
	add_parameters(&b, request, quirks->max_tokens);
	prv_text_z(out, ",\"store\":false,\"stream\":true}");
	prv_history_free(&b.h);
	if (out->failed) {
		prv_fault_set(why, OC_E_LIMIT, "the request is larger than %zu MiB", out->max >> 20);
		return false;
	}
	return true;
}
