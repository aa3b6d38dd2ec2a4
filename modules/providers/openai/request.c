/* See request.h. */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dialect.h"
#include "echo.h"
#include "prv_history.h"

/* ---- Messages ---- */

typedef struct builder {
	prv_text *out;
	const prv_endpoint *e;
	oai_dialect d;
	unsigned quirks;
	int64_t max_tokens;
	prv_history h;
	bool first; /* no message written yet */
	prv_json system, messages, tools, max, temperature, stop, user, thinking; /* of the request */
} builder;

static void open_message(builder *b, const char *role)
{
	prv_text_printf(b->out, "%s{\"role\":\"%s\"", b->first ? "" : ",", role);
	b->first = false;
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

/* Appends the texts of a content, two line breaks between them, as one JSON string. */
static void add_joined_text(builder *b, prv_json content, const char *before)
{
	prv_json part;
	size_t at = 0;
	bool any = false;
	prv_text_char(b->out, '"');
	prv_text_z(b->out, before);
	while (prv_history_part(content, &at, &part)) {
		prv_json text = prv_part_text(part);
		prv_text piece;
		if (!prv_json_full(text)) {
			if (prv_part_is(part, "image"))
				prv_text_z(b->out, any ? "\\n\\n[image]" : "[image]");
			continue;
		}
		prv_text_init(&piece, text.n * 3);
		prv_json_text(&piece, text);
		if (any)
			prv_text_z(b->out, "\\n\\n");
		prv_text_json_part(b->out, prv_text_view(&piece));
		if (piece.failed)
			b->out->failed = true;
		prv_text_free(&piece);
		any = true;
	}
	prv_text_char(b->out, '"');
}

/* One part of a user message; false when there is nothing to write. */
static bool add_part(builder *b, prv_json part, bool first)
{
	prv_json text = prv_part_text(part), data = prv_json_get(part, "data"), mime = prv_json_get(part, "mime");
	if (prv_json_full(text)) {
		prv_text_z(b->out, first ? "{\"type\":\"text\",\"text\":" : ",{\"type\":\"text\",\"text\":");
		prv_json_copy(b->out, text);
		prv_text_char(b->out, '}');
		return true;
	}
	if (!prv_part_is(part, "image") || !prv_json_full(data))
		return false;
	/* Base64 and media types have nothing to escape: megabytes go through as they are. */
	prv_text_z(b->out, first ? "" : ",");
	prv_text_z(b->out, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:");
	if (prv_json_full(mime))
		prv_text_add(b->out, mime.p + 1, mime.n - 2);
	else
		prv_text_z(b->out, "image/png");
	prv_text_z(b->out, ";base64,");
	prv_text_add(b->out, data.p + 1, data.n - 2);
	prv_text_z(b->out, "\"}}");
	return true;
}

static void add_user(builder *b, prv_json content)
{
	open_message(b, "user");
	prv_text_z(b->out, ",\"content\":");
	/* A plain string where it is enough: many servers take nothing else. */
	if ((b->quirks & OAI_NO_IMAGES) != 0 || !has_images(content)) {
		add_joined_text(b, content, "");
	} else {
		prv_json part;
		size_t at = 0;
		bool first = true;
		prv_text_char(b->out, '[');
		while (prv_history_part(content, &at, &part))
			first = !add_part(b, part, first) && first;
		prv_text_char(b->out, ']');
	}
	prv_text_char(b->out, '}');
}

/* What the server signed a call with goes back with it. Gemini refuses calls of others (an earlier model, another provider)
 * without a signature; this word, which its documentation gives for the purpose, stands in on the first call. */
static void add_extra(builder *b, prv_json extras, size_t index)
{
	prv_json extra = prv_json_at(extras, index);
	if ((b->quirks & OAI_NO_THINKING_BACK) != 0)
		return;
	if (prv_json_kind(extra) == PRV_JSON_OBJECT) {
		prv_text_z(b->out, ",\"extra_content\":");
		prv_json_copy(b->out, extra);
	} else if (b->d.gemini && index == 0) {
		prv_text_z(b->out, ",\"extra_content\":{\"google\":{\"thought_signature\":\"skip_thought_signature_validator\"}}");
	}
}

static void add_calls(builder *b, prv_json content)
{
	prv_json part, extras = oai_echo_find(content, "extra_content", "calls", b->e->provider);
	size_t at = 0, index = 0;
	bool first = true;
	while (prv_history_part(content, &at, &part)) {
		if (!prv_part_is(part, "tool_call"))
			continue;
		prv_json arguments = prv_json_get(part, "arguments");
		prv_text raw;
		prv_text_init(&raw, arguments.n + 16);
		if (prv_json_kind(arguments) == PRV_JSON_OBJECT)
			prv_text_add(&raw, arguments.p, arguments.n);
		else
			prv_text_z(&raw, "{}");
		prv_text_z(b->out, first ? ",\"tool_calls\":[{\"id\":" : ",{\"id\":");
		prv_history_id(b->out, prv_json_get(part, "id"), b->d.mistral ? PRV_ID_NINE : PRV_ID_FORTY);
		prv_text_z(b->out, ",\"type\":\"function\",\"function\":{\"name\":");
		prv_json_copy(b->out, prv_json_get(part, "name"));
		prv_text_z(b->out, ",\"arguments\":");
		prv_text_json(b->out, prv_text_view(&raw));
		prv_text_char(b->out, '}');
		add_extra(b, extras, index++);
		prv_text_char(b->out, '}');
		prv_text_free(&raw);
		first = false;
	}
	if (!first)
		prv_text_char(b->out, ']');
}

/* Reasoning goes back only where it came from, only beside tool calls, and only as the field it was: some servers refuse
 * a tool turn without it (DeepSeek its reasoning_content, OpenRouter its reasoning_details), others refuse it elsewhere. */
static void add_reasoning(builder *b, prv_json content)
{
	static const struct {
		const char *field, *member;
	} kinds[] = {{"reasoning_details", "details"}, {"reasoning_content", "text"}};
	for (size_t i = 0; i < 2 && (b->quirks & OAI_NO_THINKING_BACK) == 0; i++) {
		prv_json value = oai_echo_find(content, kinds[i].field, kinds[i].member, b->e->provider);
		if (value.n == 0)
			continue;
		prv_text_printf(b->out, ",\"%s\":", kinds[i].field);
		prv_json_copy(b->out, value);
		return; /* the details hold what the text says */
	}
}

static bool has_part(prv_json content, const char *type)
{
	prv_json part;
	size_t at = 0;
	while (prv_history_part(content, &at, &part))
		if (prv_part_is(part, type))
			return true;
	return false;
}

static bool has_text(prv_json content)
{
	prv_json part;
	size_t at = 0;
	while (prv_history_part(content, &at, &part))
		if (prv_json_full(prv_part_text(part)))
			return true;
	return false;
}

/* The images of tool results, which the tool role cannot carry, as a message of the user after the results. */
static void add_result_images(builder *b, size_t index, prv_json content)
{
	prv_json part, piece;
	size_t at = 0;
	bool open = false;
	while ((b->quirks & OAI_NO_IMAGES) == 0 && prv_history_part(content, &at, &part)) {
		prv_json result = prv_part_is(part, "tool_call")
					  ? prv_history_result(&b->h, index, prv_json_get(part, "id"))
					  : (prv_json){"", 0};
		size_t in = 0;
		while (prv_history_part(prv_json_get(result, "content"), &in, &piece)) {
			if (!prv_part_is(piece, "image"))
				continue;
			if (!open) {
				open_message(b, "user");
				prv_text_z(
					b->out,
					",\"content\":[{\"type\":\"text\",\"text\":\"Images from the tool results:\"}");
			}
			open = true;
			add_part(b, piece, false);
		}
	}
	if (open)
		prv_text_z(b->out, "]}");
}

static void add_results(builder *b, size_t index, prv_json content)
{
	prv_json part;
	size_t at = 0;
	while (prv_history_part(content, &at, &part)) {
		if (!prv_part_is(part, "tool_call"))
			continue;
		prv_json id = prv_json_get(part, "id");
		prv_json result = prv_history_result(&b->h, index, id);
		prv_json told = prv_json_get(result, "content");
		open_message(b, "tool");
		prv_text_z(b->out, ",\"tool_call_id\":");
		prv_history_id(b->out, id, b->d.mistral ? PRV_ID_NINE : PRV_ID_FORTY);
		if (b->d.mistral) {
			prv_text_z(b->out, ",\"name\":");
			prv_json_copy(b->out, prv_json_get(part, "name"));
		}
		prv_text_z(b->out, ",\"content\":");
		if (result.n == 0)
			prv_text_z(b->out, "\"" PRV_NO_RESULT "\"");
		else if (!has_text(told) && !has_images(told))
			prv_text_z(b->out, "\"(no output)\"");
		else
			add_joined_text(b, told,
					prv_json_bool(prv_json_get(result, "isError"), false) ? "[tool error] " : "");
		prv_text_char(b->out, '}');
	}
	add_result_images(b, index, content);
}

static void add_assistant(builder *b, size_t index, prv_json content)
{
	bool calls = has_part(content, "tool_call");
	if (!calls && !has_text(content))
		return;
	open_message(b, "assistant");
	prv_text_z(b->out, ",\"content\":");
	if (has_text(content))
		add_joined_text(b, content, "");
	else
		prv_text_z(b->out, b->d.mistral ? "\"\"" : "null");
	if (calls) {
		add_reasoning(b, content);
		add_calls(b, content);
	}
	prv_text_char(b->out, '}');
	if (calls)
		add_results(b, index, content);
}

static void add_messages(builder *b)
{
	prv_text_z(b->out, ",\"messages\":[");
	if (prv_json_full(b->system)) {
		open_message(b, "system");
		prv_text_z(b->out, ",\"content\":");
		prv_json_copy(b->out, b->system);
		prv_text_char(b->out, '}');
	}
	for (size_t i = 0; i < b->h.n; i++) {
		prv_json content = prv_history_content(&b->h, i);
		int role = prv_history_role(&b->h, i);
		if (role == PRV_ROLE_USER) {
			add_user(b, content);
		} else if (role == PRV_ROLE_ASSISTANT) {
			add_assistant(b, i, content);
		} else if (role == PRV_ROLE_SYSTEM) {
			open_message(b, "system");
			prv_text_z(b->out, ",\"content\":");
			add_joined_text(b, content, "");
			prv_text_char(b->out, '}');
		}
	}
	prv_text_char(b->out, ']');
}

/* ---- Parameters ---- */

static bool add_tools(prv_text *out, prv_json tools, const char *before, const char *after)
{
	static const char *const names[] = {"name", "description", "parameters"};
	prv_json key, tool, member[3];
	size_t at = 0;
	bool first = true;
	while (prv_json_next(tools, &at, &key, &tool)) {
		prv_json_members(tool, names, 3, member);
		prv_text_z(out, first ? ",\"tools\":[" : ",");
		prv_text_z(out, before);
		prv_json_copy(out, member[0]);
		if (prv_json_full(member[1])) {
			prv_text_z(out, ",\"description\":");
			prv_json_copy(out, member[1]);
		}
		prv_text_z(out, ",\"parameters\":");
		if (prv_json_kind(member[2]) == PRV_JSON_OBJECT)
			prv_json_raw(out, member[2]);
		else
			prv_text_z(out, "{\"type\":\"object\",\"properties\":{}}");
		prv_text_z(out, after);
		first = false;
	}
	if (!first)
		prv_text_char(out, ']');
	return !first;
}

/* Request after request brings the same tools: what was made of the last ones is kept. */
enum { MAX_KEPT = 256 << 10 };
static struct {
	prv_text in, out;
	const char *before;
} kept;

oc_str oai_request_known(void)
{
	return prv_text_view(&kept.in);
}

void oai_request_forget(void)
{
	prv_text_free(&kept.in);
	prv_text_free(&kept.out);
}

bool oai_request_tools(prv_text *out, prv_json tools, unsigned quirks, const char *before, const char *after)
{
	if ((quirks & OAI_NO_TOOLS) != 0)
		return false;
	if (tools.n == 0 || kept.out.n == 0 || kept.before != before || kept.in.n != tools.n ||
	    memcmp(kept.in.p, tools.p, tools.n) != 0) {
		size_t from = out->n;
		bool any = add_tools(out, tools, before, after);
		oai_request_forget();
		if (any && !out->failed && tools.n <= MAX_KEPT) {
			kept.in.max = kept.out.max = 2 * MAX_KEPT;
			prv_text_add(&kept.in, tools.p, tools.n);
			prv_text_add(&kept.out, out->p + from, out->n - from);
			kept.before = before;
			if (kept.in.failed || kept.out.failed)
				oai_request_forget();
		}
		return any;
	}
	prv_text_str(out, prv_text_view(&kept.out));
	return true;
}

static void add_effort(builder *b, prv_json thinking, bool tools)
{
	const char *effort = oai_effort(&b->d, thinking, tools, b->quirks);
	if ((b->quirks & OAI_NO_EFFORT) != 0)
		return;
	if (tools && (b->quirks & OAI_EFFORT_NONE) != 0)
		effort = "none";
	if (b->d.deepseek && thinking.n > 0)
		prv_text_printf(b->out, ",\"thinking\":{\"type\":\"%s\"}", effort != NULL ? "enabled" : "disabled");
	if (effort != NULL)
		prv_text_printf(b->out, ",\"reasoning_effort\":\"%s\"", effort);
}

static void read_request(builder *b, prv_json request)
{
	static const char *const names[] = {"system",	   "messages", "tools", "maxTokens", "temperature",
					    "stop", "user",	"thinking"};
	prv_json member[sizeof(names) / sizeof(names[0])];
	prv_json_members_known(request, oai_request_known(), names, sizeof(names) / sizeof(names[0]), member);
	b->system = member[0];
	b->messages = member[1];
	b->tools = member[2];
	b->max = member[3];
	b->temperature = member[4];
	b->stop = member[5];
	b->user = member[6];
	b->thinking = member[7];
}

static void add_parameters(builder *b, bool tools)
{
	bool modern = b->d.openai != ((b->quirks & OAI_OTHER_LIMIT) != 0);
	int64_t most = prv_json_i64(b->max, 0);
	if (b->max_tokens > 0 && most > b->max_tokens)
		most = b->max_tokens;
	if (most > 0)
		prv_text_printf(b->out, ",\"%s\":%lld", modern ? "max_completion_tokens" : "max_tokens",
				(long long)most);
	add_effort(b, b->thinking, tools);
	if (prv_json_kind(b->temperature) == PRV_JSON_NUMBER && !b->d.reasons && (b->quirks & OAI_NO_TEMPERATURE) == 0) {
		prv_text_z(b->out, ",\"temperature\":");
		prv_json_copy(b->out, b->temperature);
	}
	if (prv_json_at(b->stop, 0).n > 0 && !b->d.reasons && (b->quirks & OAI_NO_STOP) == 0) {
		prv_text_z(b->out, ",\"stop\":");
		prv_json_copy(b->out, b->stop);
	}
	if (prv_json_full(b->user) && !b->d.mistral && (b->quirks & OAI_NO_USER) == 0) {
		prv_text_z(b->out, ",\"user\":");
		prv_json_copy(b->out, b->user);
	}
}

bool oai_request_build(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, prv_text *out, prv_fault *why)
{
	builder b = {.out = out,
		     .e = e,
		     .d = oai_dialect_of(e),
		     .quirks = quirks->bits,
		     .max_tokens = quirks->max_tokens,
		     .first = true};
	read_request(&b, request);
	if (e->model[0] == 0 || prv_json_kind(b.messages) != PRV_JSON_ARRAY) {
		prv_fault_set(why, OC_E_INVALID, "the request names no model or has no messages");
		return false;
	}
	if (!prv_history_load(b.messages, &b.h)) {
		prv_fault_set(why, OC_E_NOMEM, "out of memory");
		return false;
	}
	prv_text_z(out, "{\"model\":");
	prv_text_json(out, oc_str_of(e->model));
	add_messages(&b);
	bool tools = oai_request_tools(out, b.tools, b.quirks, "{\"type\":\"function\",\"function\":{\"name\":", "}}");
	add_parameters(&b, tools);
	prv_text_z(out, ",\"stream\":true");
	if ((b.quirks & OAI_NO_STREAM_USAGE) == 0)
		prv_text_z(out, ",\"stream_options\":{\"include_usage\":true}");
	prv_text_char(out, '}');
	prv_history_free(&b.h);
	if (out->failed) {
		prv_fault_set(why, OC_E_LIMIT, "the request is larger than %zu MiB", out->max >> 20);
		return false;
	}
	return true;
}

bool oai_request_wants_responses(prv_json request, const prv_endpoint *e, unsigned bits)
{
	oai_dialect d = oai_dialect_of(e);
	if ((bits & OAI_NO_RESPONSES) != 0)
		return false;
	return (bits & OAI_RESPONSES) != 0
	       || (d.home && d.reasons && d.version >= 504 && (bits & OAI_NO_TOOLS) == 0
		   && prv_json_at(prv_json_get(request, "tools"), 0).n > 0);
}

/* ---- Learning ---- */

static const struct {
	const char *word;
	unsigned bit;
	const char *text;
} lessons[] = {
	{"max_completion_tokens", OAI_OTHER_LIMIT, "wants the other name for the token limit"},
	{"max_tokens", OAI_OTHER_LIMIT, "wants the other name for the token limit"},
	{"temperature", OAI_NO_TEMPERATURE, "takes no temperature"},
	{"stream_options", OAI_NO_STREAM_USAGE, "tells no usage in streams"},
	{"summary", OAI_NO_SUMMARY, "tells no summary of its reasoning"},
	{"encrypted", OAI_NO_ENCRYPTED, "takes no encrypted reasoning"},
	{"reasoning_content", OAI_NO_THINKING_BACK, "takes no earlier reasoning back"},
	{"reasoning_details", OAI_NO_THINKING_BACK, "takes no earlier reasoning back"},
	{"extra_content", OAI_NO_THINKING_BACK, "takes no earlier reasoning back"},
	{"reasoning_effort", OAI_NO_EFFORT, "takes no reasoning effort"},
	{"reasoning", OAI_NO_EFFORT, "takes no reasoning effort"},
	{"thinking", OAI_NO_EFFORT, "takes no reasoning effort"},
	{"support tool", OAI_NO_TOOLS, "takes no tools and is asked without them"},
	{"tool use", OAI_NO_TOOLS, "takes no tools and is asked without them"},
	{"function calling", OAI_NO_TOOLS, "takes no tools and is asked without them"},
	{"image", OAI_NO_IMAGES, "takes no images; they are left out"},
	{"vision", OAI_NO_IMAGES, "takes no images; they are left out"},
	{"multimodal", OAI_NO_IMAGES, "takes no images; they are left out"},
	/* Everyday words: only as the parameter's name. */
	{"=stop", OAI_NO_STOP, "takes no stop sequences"},
	{"=user", OAI_NO_USER, "takes no user name"},
};

static const char *learn(prv_quirks *quirks, unsigned bit, const char *text)
{
	if ((quirks->bits & bit) != 0)
		return NULL;
	quirks->bits |= bit;
	return text;
}

const char *oai_request_learn(const prv_fault *fault, prv_quirks *quirks)
{
	int32_t http = fault->http;
	if (http != 400 && http != 404 && http != 422 && http != 500 && http != 501)
		return NULL;
	int64_t limit = prv_quirk_limit(fault);
	if (limit > 0 && fault->status == OC_E_INVALID && (quirks->max_tokens == 0 || limit < quirks->max_tokens)) {
		quirks->max_tokens = limit;
		return "takes fewer output tokens";
	}
	/* An address that is not there, rather than a model. */
	if ((quirks->bits & OAI_RESPONSES) != 0 && http == 404 && fault->code[0] == 0)
		return learn(quirks, OAI_NO_RESPONSES, "has no Responses API");
	if (!prv_quirk_refusal(fault))
		return NULL;
	if (prv_quirk_names(fault, "/responses") && (quirks->bits & (OAI_RESPONSES | OAI_NO_RESPONSES)) == 0)
		return learn(quirks, OAI_RESPONSES, "is asked through the Responses API");
	bool effort = prv_quirk_names(fault, "reasoning_effort") || prv_quirk_names(fault, "reasoning.effort");
	if (prv_quirk_names(fault, "tool") && effort && prv_quirk_names(fault, "none"))
		return learn(quirks, OAI_EFFORT_NONE, "takes tools only without reasoning");
	if (effort && prv_quirk_names(fault, "'none'") && (quirks->bits & (OAI_EFFORT_LOW | OAI_EFFORT_NONE)) == 0)
		return learn(quirks, OAI_EFFORT_LOW, "cannot turn reasoning off");
	for (size_t i = 0; i < sizeof(lessons) / sizeof(lessons[0]); i++) {
		const char *word = lessons[i].word;
		bool hit = *word == '=' ? strcmp(fault->param, word + 1) == 0 : prv_quirk_names(fault, word);
		const char *text = hit ? learn(quirks, lessons[i].bit, lessons[i].text) : NULL;
		if (text != NULL)
			return text;
	}
	return NULL;
}
