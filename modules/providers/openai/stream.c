/* See stream.h. */
#include "stream.h"

#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tool call in the making. */
typedef struct call_slot {
	int64_t index; /* as the server counts, -1 when it does not */
	prv_text id, name, arguments;
	prv_text extra; /* extra_content, as it came */
} call_slot;

/* Where the text stands with regard to a leading <think>…</think>. */
enum { THINK_UNDECIDED, THINK_INSIDE, THINK_NO };

struct oai_stream {
	prv_stream base;
	char provider[64];
	call_slot *calls;
	size_t n_calls;
	prv_text piece;	    /* one decoded string */
	prv_text held;	    /* text that may yet turn out to be a tag */
	prv_text reasoning; /* all of reasoning_content, to be sent back */
	oai_echo echo;
	int think;
	bool after_think;     /* white space after </think> is not text */
	bool reasoning_field; /* reasoning came as reasoning_content */
	bool finished;	      /* a finish_reason was seen */
};

oai_stream *oai_stream_new(prv_sink *sink, void *arg, uint64_t seed, const char *provider)
{
	oai_stream *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	prv_stream_init(&s->base, sink, arg, seed);
	snprintf(s->provider, sizeof(s->provider), "%s", provider);
	prv_text_init(&s->piece, PRV_MAX_BLOCK);
	prv_text_init(&s->held, 64);
	prv_text_init(&s->reasoning, PRV_MAX_BLOCK);
	return s;
}

void oai_stream_free(oai_stream *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_calls; i++) {
		prv_text_free(&s->calls[i].id);
		prv_text_free(&s->calls[i].name);
		prv_text_free(&s->calls[i].arguments);
		prv_text_free(&s->calls[i].extra);
	}
	free(s->calls);
	prv_text_free(&s->piece);
	prv_text_free(&s->held);
	prv_text_free(&s->reasoning);
	oai_echo_free(&s->echo);
	free(s);
}

prv_stream *oai_stream_base(oai_stream *s)
{
	return &s->base;
}

/* ---- Text and reasoning ---- */

/* Decodes a string into s->piece; empty when it is none. */
static oc_str decoded(oai_stream *s, prv_json v)
{
	prv_text_clear(&s->piece);
	prv_json_text(&s->piece, v);
	if (s->piece.failed) {
		prv_stream_fail(&s->base, OC_E_LIMIT, "a piece of the answer is larger than %d MiB",
				PRV_MAX_BLOCK >> 20);
		return (oc_str){"", 0};
	}
	return prv_text_view(&s->piece);
}

static void emit_some(oai_stream *s, uint32_t type, oc_str text)
{
	if (text.n > 0)
		prv_stream_emit(&s->base, type, text);
}

/* How much of the end of text may be the beginning of tag. */
static size_t tag_begun(oc_str text, const char *tag)
{
	size_t n = strlen(tag) - 1;
	for (n = n < text.n ? n : text.n; n > 0; n--)
		if (memcmp(text.p + text.n - n, tag, n) == 0)
			return n;
	return 0;
}

static void plain_text(oai_stream *s, oc_str text)
{
	if (s->after_think) {
		while (text.n > 0 && (*text.p == '\n' || *text.p == '\r' || *text.p == ' '))
			text = prv_str_sub(text, 1, text.n - 1);
		if (text.n > 0)
			s->after_think = false;
	}
	emit_some(s, OC_EV_TEXT, text);
}

static void inside_think(oai_stream *s, oc_str text)
{
	static const char tag[] = "</think>";
	const char *end = text.n > 0 ? memmem(text.p, text.n, tag, strlen(tag)) : NULL;
	if (end == NULL) {
		size_t held = tag_begun(text, tag);
		emit_some(s, OC_EV_THINKING, prv_str_sub(text, 0, text.n - held));
		prv_text_clear(&s->held);
		prv_text_add(&s->held, text.p + text.n - held, held);
		return;
	}
	size_t n = (size_t)(end - text.p);
	emit_some(s, OC_EV_THINKING, prv_str_sub(text, 0, n));
	prv_text_clear(&s->held);
	s->think = THINK_NO;
	s->after_think = true;
	plain_text(s, prv_str_sub(text, n + strlen(tag), text.n));
}

/* Text of the answer. Local servers that know no reasoning field put it at the start, in a <think> element. */
static void on_text(oai_stream *s, oc_str text)
{
	static const char tag[] = "<think>";
	if (text.n == 0)
		return;
	if (s->think == THINK_NO && s->held.n == 0) {
		plain_text(s, text);
		return;
	}
	/* What was held back comes first. */
	prv_text all;
	prv_text_init(&all, s->held.n + text.n);
	prv_text_str(&all, prv_text_view(&s->held));
	prv_text_str(&all, text);
	prv_text_clear(&s->held);
	oc_str t = prv_text_view(&all);
	size_t blank = 0;
	while (blank < t.n && (t.p[blank] == '\n' || t.p[blank] == ' '))
		blank++;
	oc_str rest = prv_str_sub(t, blank, t.n);
	if (all.failed) {
		prv_stream_fail(&s->base, OC_E_NOMEM, "out of memory");
	} else if (s->think == THINK_INSIDE) {
		inside_think(s, t);
	} else if (prv_str_starts(rest, tag)) {
		s->think = THINK_INSIDE;
		inside_think(s, prv_str_sub(rest, strlen(tag), rest.n));
	} else if (rest.n < strlen(tag) && memcmp(rest.p, tag, rest.n) == 0 && t.n < s->held.max) {
		prv_text_str(&s->held, t);
	} else {
		s->think = THINK_NO;
		plain_text(s, t);
	}
	prv_text_free(&all);
}

static void release_held(oai_stream *s)
{
	oc_str held = prv_text_view(&s->held);
	if (held.n > 0 && !s->base.over)
		emit_some(s, s->think == THINK_INSIDE ? OC_EV_THINKING : OC_EV_TEXT, held);
	prv_text_clear(&s->held);
	s->think = THINK_NO;
}

static void on_reasoning(oai_stream *s, prv_json v, bool field)
{
	oc_str text = decoded(s, v);
	if (text.n == 0 || s->base.over)
		return;
	if (field) {
		s->reasoning_field = true;
		prv_text_str(&s->reasoning, text);
	}
	emit_some(s, OC_EV_THINKING, text);
}

/* Mistral's reasoning models send content as parts: text, and thinking with parts of its own. */
static void on_parts(oai_stream *s, prv_json parts)
{
	prv_json key, part, inner;
	size_t at = 0;
	while (!s->base.over && prv_json_next(parts, &at, &key, &part)) {
		prv_json thinking = prv_json_get(part, "thinking");
		if (prv_json_kind(thinking) == PRV_JSON_STRING)
			on_reasoning(s, thinking, false);
		size_t in = 0;
		while (prv_json_kind(thinking) == PRV_JSON_ARRAY && prv_json_next(thinking, &in, &key, &inner))
			on_reasoning(s, prv_json_get(inner, "text"), false);
		if (prv_json_is(prv_json_get(part, "type"), "text"))
			on_text(s, decoded(s, prv_json_get(part, "text")));
	}
}

/* ---- Tool calls ---- */

static call_slot *new_slot(oai_stream *s, int64_t index)
{
	if (s->n_calls >= PRV_MAX_CALLS) {
		prv_stream_fail(&s->base, OC_E_LIMIT, "the model asked for more than %d tools at once", PRV_MAX_CALLS);
		return NULL;
	}
	call_slot *more = realloc(s->calls, (s->n_calls + 1) * sizeof(*more));
	if (more == NULL) {
		prv_stream_fail(&s->base, OC_E_NOMEM, "out of memory");
		return NULL;
	}
	s->calls = more;
	call_slot *slot = &s->calls[s->n_calls++];
	slot->index = index;
	prv_text_init(&slot->id, 512);
	prv_text_init(&slot->name, 256);
	prv_text_init(&slot->arguments, PRV_MAX_ARGUMENTS);
	prv_text_init(&slot->extra, PRV_MAX_BLOCK / 8);
	return slot;
}

static bool whole_arguments(const call_slot *slot)
{
	prv_json v;
	oc_str text = prv_text_view(&slot->arguments);
	return text.n > 0 && prv_json_parse(text.p, text.n, &v);
}

/* The call that a delta belongs to, or a new one. */
static call_slot *slot_for(oai_stream *s, prv_json delta)
{
	prv_json id = prv_json_get(delta, "id"), name = prv_json_path(delta, "function.name");
	int64_t index = prv_json_i64(prv_json_get(delta, "index"), -1);
	call_slot *found = NULL;
	for (size_t i = s->n_calls; i > 0 && found == NULL; i--)
		if (index >= 0 && s->calls[i - 1].index == index)
			found = &s->calls[i - 1];
	for (size_t i = 0; i < s->n_calls && index < 0 && prv_json_full(id); i++)
		if (prv_json_is(id, s->calls[i].id.p != NULL ? s->calls[i].id.p : ""))
			found = &s->calls[i];
	if (found == NULL && index < 0 && !prv_json_full(id) && !prv_json_full(name) && s->n_calls > 0)
		found = &s->calls[s->n_calls - 1];
	if (found == NULL)
		return new_slot(s, index);
	/* The same index for another call: another id, or a name again after complete arguments. */
	bool other_id = prv_json_full(id) && found->id.n > 0 && !prv_json_is(id, found->id.p);
	bool again = !prv_json_full(id) && prv_json_full(name) && whole_arguments(found);
	return other_id || again ? new_slot(s, index) : found;
}

static void on_call(oai_stream *s, prv_json delta)
{
	if (prv_json_kind(delta) != PRV_JSON_OBJECT)
		return;
	prv_json function = prv_json_get(delta, "function");
	prv_json name = prv_json_get(function, "name"), arguments = prv_json_get(function, "arguments");
	call_slot *slot = slot_for(s, delta);
	if (slot == NULL)
		return;
	if (slot->id.n == 0)
		prv_json_text(&slot->id, prv_json_get(delta, "id"));
	if (slot->name.n == 0)
		prv_json_text(&slot->name, name);
	if (prv_json_kind(arguments) == PRV_JSON_STRING)
		prv_json_text(&slot->arguments, arguments);
	else if (prv_json_kind(arguments) == PRV_JSON_OBJECT)
		prv_text_add(&slot->arguments, arguments.p, arguments.n);
	prv_json extra = prv_json_get(delta, "extra_content");
	if (slot->extra.n == 0 && prv_json_kind(extra) == PRV_JSON_OBJECT)
		prv_json_copy(&slot->extra, extra);
	if (slot->id.failed || slot->name.failed || slot->arguments.failed)
		prv_stream_fail(&s->base, OC_E_LIMIT, "a tool call is larger than %d MiB", PRV_MAX_ARGUMENTS >> 20);
}

/* The old form: one function_call without an id. */
static void on_function_call(oai_stream *s, prv_json call)
{
	if (prv_json_kind(call) != PRV_JSON_OBJECT)
		return;
	call_slot *slot = s->n_calls > 0 ? &s->calls[0] : new_slot(s, 0);
	if (slot == NULL)
		return;
	if (slot->name.n == 0)
		prv_json_text(&slot->name, prv_json_get(call, "name"));
	prv_json_text(&slot->arguments, prv_json_get(call, "arguments"));
}

/* ---- Chunks ---- */

static void on_usage(oai_stream *s, prv_json usage)
{
	if (prv_json_kind(usage) != PRV_JSON_OBJECT)
		return;
	int64_t prompt = prv_json_i64(prv_json_get(usage, "prompt_tokens"), 0);
	int64_t output = prv_json_i64(prv_json_get(usage, "completion_tokens"), 0);
	int64_t total = prv_json_i64(prv_json_get(usage, "total_tokens"), 0);
	int64_t reasoning = prv_json_i64(prv_json_path(usage, "completion_tokens_details.reasoning_tokens"), 0);
	int64_t read = prv_json_i64(prv_json_path(usage, "prompt_tokens_details.cached_tokens"),
				    prv_json_i64(prv_json_get(usage, "prompt_cache_hit_tokens"), 0));
	int64_t write = prv_json_i64(prv_json_path(usage, "prompt_tokens_details.cache_write_tokens"), 0);
	/* xAI counts reasoning beside completion_tokens, everybody else inside. */
	if (reasoning > 0 && total == prompt + output + reasoning)
		output += reasoning;
	prv_stream_usage(&s->base, (prv_usage){.input = prompt - read - write,
					       .output = output,
					       .cache_read = read,
					       .cache_write = write});
}

/* An error in the middle of a stream: the provider's own words choose the status. */
static bool on_error(oai_stream *s, prv_json doc)
{
	prv_fault fault;
	prv_fault_clear(&fault);
	if (!prv_fault_read(&fault, doc))
		return false;
	prv_fault_classify(&fault);
	fault.retry_after_ms = prv_retry_after((prv_json){"", 0}, fault.message, 0);
	s->base.fault = fault;
	s->base.over = true;
	return true;
}

static void on_finish(oai_stream *s, prv_json reason, prv_json choice)
{
	if (prv_json_kind(reason) != PRV_JSON_STRING)
		return;
	s->finished = true;
	if (prv_json_is(reason, "length") || prv_json_is(reason, "model_length"))
		s->base.stop = "length";
	else if (prv_json_is(reason, "tool_calls") || prv_json_is(reason, "function_call"))
		s->base.stop = "tool_use";
	else if (prv_json_is(reason, "content_filter"))
		s->base.stop = "refusal";
	else if (prv_json_is(reason, "error")) {
		if (!s->base.over && !on_error(s, choice))
			prv_stream_fail(&s->base, OC_E_UNAVAILABLE, "the provider broke off with an error");
	} else if (s->base.stop == NULL) {
		s->base.stop = "stop";
	}
}

static void on_choice(oai_stream *s, prv_json choice)
{
	enum { DELTA, MESSAGE, FINISH, CHOICE_N };
	enum { CONTENT, FIELD, REASONING, DETAILS, REFUSAL, CALLS, CALL, DELTA_N };
	static const char *const in_choice[CHOICE_N] = {"delta", "message", "finish_reason"};
	static const char *const in_delta[DELTA_N] = {"content", "reasoning_content", "reasoning",    "reasoning_details",
						      "refusal", "tool_calls",	      "function_call"};
	prv_json key, call, of[CHOICE_N], m[DELTA_N];
	size_t at = 0;
	prv_json_members(choice, in_choice, CHOICE_N, of);
	/* A message: an answer that was not streamed. */
	prv_json_members(prv_json_kind(of[DELTA]) == PRV_JSON_OBJECT ? of[DELTA] : of[MESSAGE], in_delta, DELTA_N, m);
	if (prv_json_full(m[FIELD]))
		on_reasoning(s, m[FIELD], true);
	else
		on_reasoning(s, m[REASONING], false);
	oai_echo_details(&s->echo, m[DETAILS]);
	if (prv_json_kind(m[CONTENT]) == PRV_JSON_ARRAY)
		on_parts(s, m[CONTENT]);
	else
		on_text(s, decoded(s, m[CONTENT]));
	if (prv_json_full(m[REFUSAL])) {
		on_text(s, decoded(s, m[REFUSAL]));
		s->base.stop = "refusal";
	}
	while (prv_json_kind(m[CALLS]) == PRV_JSON_ARRAY && !s->base.over && prv_json_next(m[CALLS], &at, &key, &call))
		on_call(s, call);
	on_function_call(s, m[CALL]);
	on_finish(s, of[FINISH], choice);
}

void oai_stream_event(oai_stream *s, oc_str data)
{
	enum { ERROR, MODEL, CHOICES, USAGE, GROQ, DOC_N };
	static const char *const names[DOC_N] = {"error", "model", "choices", "usage", "x_groq"};
	prv_json doc, choice;
	while (data.n > 0 && (unsigned char)*data.p <= ' ')
		data = prv_str_sub(data, 1, data.n);
	while (data.n > 0 && (unsigned char)data.p[data.n - 1] <= ' ')
		data.n--;
	if (s->base.over || data.n == 0)
		return;
	if (prv_str_eq(data, "[DONE]")) {
		/* Without a finish_reason this is all the same how some servers say that they are done. */
		s->finished = true;
		oai_stream_end(s);
		return;
	}
	/* Keep-alive words of proxies are no JSON and mean nothing. */
	if (*data.p != '{' && *data.p != '[')
		return;
	if (!prv_json_parse(data.p, data.n, &doc)) {
		prv_stream_fail(&s->base, OC_E_PROTOCOL, "a piece of the stream is no valid JSON");
		return;
	}
	prv_json m[DOC_N];
	prv_json_members(doc, names, DOC_N, m);
	int kind = prv_json_kind(m[ERROR]);
	if ((kind == PRV_JSON_OBJECT || kind == PRV_JSON_STRING || m[CHOICES].n == 0) && on_error(s, doc))
		return;
	if (s->base.model[0] == 0)
		prv_stream_model(&s->base, m[MODEL]);
	choice = prv_json_at(m[CHOICES], 0);
	if (choice.n > 0 && prv_json_i64(prv_json_get(choice, "index"), 0) == 0)
		on_choice(s, choice);
	if (s->base.over)
		return;
	on_usage(s, m[USAGE]);
	on_usage(s, prv_json_get(m[GROQ], "usage"));
}

/* ---- The end ---- */

/* Cut off by the token limit in the middle of a call: such a call is not made. */
static bool not_made(const call_slot *slot, bool cut)
{
	return cut && (slot->name.n == 0 || !whole_arguments(slot));
}

static void emit_reasoning_block(oai_stream *s)
{
	prv_text block;
	if (!s->reasoning_field || s->reasoning.failed || s->n_calls == 0)
		return;
	prv_text_init(&block, PRV_MAX_BLOCK * 6);
	prv_text_z(&block, "{\"type\":\"thinking\",\"text\":");
	prv_text_json(&block, prv_text_view(&s->reasoning));
	prv_text_z(&block, ",\"signature\":\"\",\"field\":\"reasoning_content\",\"provider\":");
	prv_text_json(&block, oc_str_of(s->provider));
	prv_text_char(&block, '}');
	if (!block.failed)
		prv_stream_emit(&s->base, OC_EV_BLOCK, prv_text_view(&block));
	prv_text_free(&block);
}

/* The calls' extra_content, by their order; cut: those that are not made are left out here too. */
static void emit_extra_block(oai_stream *s, bool cut)
{
	prv_text block;
	bool any = false, first = true;
	prv_text_init(&block, PRV_MAX_BLOCK * 6);
	prv_text_z(&block, "{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"\",\"field\":\"extra_content\",\"provider\":");
	prv_text_json(&block, oc_str_of(s->provider));
	prv_text_z(&block, ",\"calls\":[");
	for (size_t i = 0; i < s->n_calls; i++) {
		const call_slot *slot = &s->calls[i];
		bool has = slot->extra.n > 0 && !slot->extra.failed;
		if (not_made(slot, cut))
			continue;
		if (!first)
			prv_text_char(&block, ',');
		prv_text_str(&block, has ? prv_text_view(&slot->extra) : OC_STR("null"));
		first = false;
		any |= has;
	}
	prv_text_z(&block, "]}");
	if (any && !block.failed)
		prv_stream_emit(&s->base, OC_EV_BLOCK, prv_text_view(&block));
	prv_text_free(&block);
}

static void emit_echo_block(oai_stream *s)
{
	prv_text block;
	if (s->n_calls == 0)
		return;
	prv_text_init(&block, PRV_MAX_BLOCK * 6);
	if (oai_echo_block(&s->echo, s->provider, &block))
		prv_stream_emit(&s->base, OC_EV_BLOCK, prv_text_view(&block));
	prv_text_free(&block);
}

void oai_stream_end(oai_stream *s)
{
	if (s->base.over)
		return;
	release_held(s);
	if (!s->finished) {
		prv_stream_fail(&s->base, s->base.handed ? OC_E_RETRY : OC_E_PROTOCOL,
				s->base.handed ? "the stream ended before the answer was complete"
					       : "the stream ended without an answer");
		return;
	}
	bool cut = s->base.stop != NULL && strcmp(s->base.stop, "length") == 0;
	emit_reasoning_block(s);
	emit_echo_block(s);
	emit_extra_block(s, cut);
	for (size_t i = 0; i < s->n_calls && !s->base.over; i++) {
		call_slot *slot = &s->calls[i];
		if (not_made(slot, cut))
			continue;
		prv_stream_call(&s->base, prv_text_view(&slot->id), prv_text_view(&slot->name),
				prv_text_view(&slot->arguments));
	}
	if (s->base.over)
		return;
	if (s->base.calls > 0 && !cut)
		s->base.stop = "tool_use";
	else if (s->base.stop == NULL || (strcmp(s->base.stop, "tool_use") == 0 && s->base.calls == 0))
		s->base.stop = "stop";
	s->base.over = true;
}
