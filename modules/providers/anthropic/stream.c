/* See stream.h. */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_REDACTED, BLOCK_TOOL, BLOCK_OTHER };

struct ant_stream {
	prv_stream base;
	char model[160];
	prv_text piece; /* one decoded string */
	/* The open block. They come one after the other; a start ends what was open. */
	int kind;
	int64_t index;
	prv_text id, name, body, signature; /* body: arguments, thinking, or redacted data */
	prv_usage usage;
	bool stopped; /* message_stop, or a stop_reason and the end of the connection */
};

ant_stream *ant_stream_new(prv_sink *sink, void *arg, uint64_t seed, const char *model)
{
	ant_stream *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	prv_stream_init(&s->base, sink, arg, seed);
	snprintf(s->model, sizeof(s->model), "%s", model);
	prv_text_init(&s->piece, PRV_MAX_BLOCK);
	prv_text_init(&s->id, 512);
	prv_text_init(&s->name, 256);
	prv_text_init(&s->body, PRV_MAX_BLOCK);
	prv_text_init(&s->signature, PRV_MAX_BLOCK);
	return s;
}

void ant_stream_free(ant_stream *s)
{
	if (s == NULL)
		return;
	prv_text *const all[] = {&s->piece, &s->id, &s->name, &s->body, &s->signature};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		prv_text_free(all[i]);
	free(s);
}

prv_stream *ant_stream_base(ant_stream *s)
{
	return &s->base;
}

/* ---- Blocks ---- */

static void emit_decoded(ant_stream *s, uint32_t type, prv_json v, prv_text *keep)
{
	prv_text_clear(&s->piece);
	prv_json_text(&s->piece, v);
	oc_str text = prv_text_view(&s->piece);
	if (s->piece.failed)
		prv_stream_fail(&s->base, OC_E_LIMIT, "a piece of the answer is larger than %d MiB",
				PRV_MAX_BLOCK >> 20);
	if (s->base.over || text.n == 0)
		return;
	if (keep != NULL)
		prv_text_str(keep, text);
	prv_stream_emit(&s->base, type, text);
}

static void emit_thinking_block(ant_stream *s)
{
	prv_text out;
	if (s->kind == BLOCK_THINKING && s->signature.n == 0)
		return; /* unsigned: a compatible server's, nothing to keep */
	prv_text_init(&out, PRV_MAX_BLOCK * 6);
	if (s->kind == BLOCK_REDACTED) {
		prv_text_z(&out, "{\"type\":\"redacted_thinking\",\"data\":");
		prv_text_json(&out, prv_text_view(&s->body));
	} else {
		prv_text_z(&out, "{\"type\":\"thinking\",\"text\":");
		prv_text_json(&out, prv_text_view(&s->body));
		prv_text_z(&out, ",\"signature\":");
		prv_text_json(&out, prv_text_view(&s->signature));
	}
	prv_text_z(&out, ",\"model\":");
	prv_text_json(&out, oc_str_of(s->model));
	prv_text_char(&out, '}');
	if (!out.failed && !s->body.failed && !s->signature.failed)
		prv_stream_emit(&s->base, OC_EV_BLOCK, prv_text_view(&out));
	prv_text_free(&out);
}

static void close_block(ant_stream *s)
{
	if (s->base.over)
		return;
	bool cut = s->base.stop != NULL && strcmp(s->base.stop, "length") == 0;
	prv_json v;
	if (s->kind == BLOCK_THINKING || s->kind == BLOCK_REDACTED)
		emit_thinking_block(s);
	/* A call cut off by the token limit is not made. */
	if (s->kind == BLOCK_TOOL && !(cut && !(s->body.n > 0 && prv_json_parse(s->body.p, s->body.n, &v)))) {
		if (s->base.calls >= PRV_MAX_CALLS)
			prv_stream_fail(&s->base, OC_E_LIMIT, "the model asked for more than %d tools at once",
					PRV_MAX_CALLS);
		else
			prv_stream_call(&s->base, prv_text_view(&s->id), prv_text_view(&s->name),
					prv_text_view(&s->body));
	}
	s->kind = BLOCK_NONE;
}

static void open_block(ant_stream *s, prv_json block, int64_t index)
{
	static const struct {
		const char *type;
		int kind;
	} kinds[] = {{"text", BLOCK_TEXT},
		     {"thinking", BLOCK_THINKING},
		     {"redacted_thinking", BLOCK_REDACTED},
		     {"tool_use", BLOCK_TOOL}};
	if (s->kind != BLOCK_NONE)
		close_block(s);
	prv_text_clear(&s->id);
	prv_text_clear(&s->name);
	prv_text_clear(&s->body);
	prv_text_clear(&s->signature);
	s->kind = BLOCK_OTHER;
	s->index = index;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (prv_json_is(prv_json_get(block, "type"), kinds[i].type))
			s->kind = kinds[i].kind;
	if (s->kind == BLOCK_TEXT)
		emit_decoded(s, OC_EV_TEXT, prv_json_get(block, "text"), NULL);
	if (s->kind == BLOCK_THINKING) {
		emit_decoded(s, OC_EV_THINKING, prv_json_get(block, "thinking"), &s->body);
		prv_json_text(&s->signature, prv_json_get(block, "signature"));
	}
	if (s->kind == BLOCK_REDACTED)
		prv_json_text(&s->body, prv_json_get(block, "data"));
	if (s->kind == BLOCK_TOOL) {
		prv_json input = prv_json_get(block, "input"), key, value;
		size_t at = 0;
		prv_json_text(&s->id, prv_json_get(block, "id"));
		prv_json_text(&s->name, prv_json_get(block, "name"));
		/* Whole answers and some servers have the arguments here; streams begin with an empty object. */
		if (prv_json_kind(input) == PRV_JSON_OBJECT && prv_json_next(input, &at, &key, &value))
			prv_text_add(&s->body, input.p, input.n);
	}
}

static void on_delta(ant_stream *s, prv_json doc)
{
	prv_json delta = prv_json_get(doc, "delta");
	if (s->kind == BLOCK_NONE || prv_json_i64(prv_json_get(doc, "index"), s->index) != s->index)
		return;
	if (s->kind == BLOCK_TEXT)
		emit_decoded(s, OC_EV_TEXT, prv_json_get(delta, "text"), NULL);
	if (s->kind == BLOCK_THINKING) {
		emit_decoded(s, OC_EV_THINKING, prv_json_get(delta, "thinking"), &s->body);
		prv_json_text(&s->signature, prv_json_get(delta, "signature"));
	}
	if (s->kind == BLOCK_TOOL)
		prv_json_text(&s->body, prv_json_get(delta, "partial_json"));
	if (s->id.failed || s->name.failed || s->body.failed || s->signature.failed)
		prv_stream_fail(&s->base, OC_E_LIMIT, "a block of the answer is larger than %d MiB",
				PRV_MAX_BLOCK >> 20);
}

/* ---- The message ---- */

static void on_usage(ant_stream *s, prv_json usage)
{
	if (prv_json_kind(usage) != PRV_JSON_OBJECT)
		return;
	/* Totals so far; what is left out or null stays. */
	s->usage.input = prv_json_i64(prv_json_get(usage, "input_tokens"), s->usage.input);
	s->usage.output = prv_json_i64(prv_json_get(usage, "output_tokens"), s->usage.output);
	s->usage.cache_read = prv_json_i64(prv_json_get(usage, "cache_read_input_tokens"), s->usage.cache_read);
	s->usage.cache_write = prv_json_i64(prv_json_get(usage, "cache_creation_input_tokens"), s->usage.cache_write);
	prv_stream_usage(&s->base, s->usage);
}

static void on_stop_reason(ant_stream *s, prv_json reason)
{
	if (prv_json_kind(reason) != PRV_JSON_STRING)
		return;
	s->stopped = true;
	if (prv_json_is(reason, "max_tokens") || prv_json_is(reason, "model_context_window_exceeded"))
		s->base.stop = "length";
	else if (prv_json_is(reason, "tool_use"))
		s->base.stop = "tool_use";
	else if (prv_json_is(reason, "refusal"))
		s->base.stop = "refusal";
	else
		s->base.stop = "stop";
}

static void on_error(ant_stream *s, prv_json doc)
{
	prv_fault fault;
	prv_fault_clear(&fault);
	if (!prv_fault_read(&fault, doc))
		prv_fault_set(&fault, OC_E_UNAVAILABLE, "the provider broke off with an error");
	prv_fault_classify(&fault);
	s->base.fault = fault;
	s->base.over = true;
}

/* An answer that was not streamed. */
static void on_message(ant_stream *s, prv_json doc)
{
	prv_json key, block;
	size_t at = 0;
	int64_t index = 0;
	prv_json content = prv_json_get(doc, "content");
	prv_stream_model(&s->base, prv_json_get(doc, "model"));
	on_stop_reason(s, prv_json_get(doc, "stop_reason"));
	while (prv_json_kind(content) == PRV_JSON_ARRAY && !s->base.over && prv_json_next(content, &at, &key, &block)) {
		open_block(s, block, index++);
		close_block(s);
	}
	on_usage(s, prv_json_get(doc, "usage"));
}

void ant_stream_event(ant_stream *s, oc_str data)
{
	prv_json doc;
	while (data.n > 0 && (unsigned char)*data.p <= ' ')
		data = prv_str_sub(data, 1, data.n);
	if (s->base.over || data.n == 0 || (*data.p != '{' && *data.p != '['))
		return;
	if (!prv_json_parse(data.p, data.n, &doc)) {
		prv_stream_fail(&s->base, OC_E_PROTOCOL, "a piece of the stream is no valid JSON");
		return;
	}
	prv_json type = prv_json_get(doc, "type");
	if (prv_json_is(type, "message_start")) {
		prv_json message = prv_json_get(doc, "message");
		prv_stream_model(&s->base, prv_json_get(message, "model"));
		on_usage(s, prv_json_get(message, "usage"));
	} else if (prv_json_is(type, "content_block_start")) {
		open_block(s, prv_json_get(doc, "content_block"), prv_json_i64(prv_json_get(doc, "index"), 0));
	} else if (prv_json_is(type, "content_block_delta")) {
		on_delta(s, doc);
	} else if (prv_json_is(type, "content_block_stop")) {
		/* Closed with the next block or at the end: only then is it known whether the limit cut it off. A call cut
		 * off in the middle gets its stop event like any other. */
		return;
	} else if (prv_json_is(type, "message_delta")) {
		on_stop_reason(s, prv_json_path(doc, "delta.stop_reason"));
		on_usage(s, prv_json_get(doc, "usage"));
	} else if (prv_json_is(type, "message_stop")) {
		s->stopped = true;
		ant_stream_end(s);
	} else if (prv_json_is(type, "message")) {
		on_message(s, doc);
	} else if (prv_json_is(type, "error") || prv_json_kind(prv_json_get(doc, "error")) == PRV_JSON_OBJECT) {
		on_error(s, doc);
	}
}

void ant_stream_end(ant_stream *s)
{
	if (s->base.over)
		return;
	if (!s->stopped) {
		prv_stream_fail(&s->base, s->base.handed ? OC_E_RETRY : OC_E_PROTOCOL,
				s->base.handed ? "the stream ended before the answer was complete"
					       : "the stream ended without an answer");
		return;
	}
	if (s->kind != BLOCK_NONE)
		close_block(s);
	if (s->base.over)
		return;
	if (s->base.stop == NULL)
		s->base.stop = "stop";
	if (strcmp(s->base.stop, "stop") == 0 && s->base.calls > 0)
		s->base.stop = "tool_use";
	if (strcmp(s->base.stop, "tool_use") == 0 && s->base.calls == 0)
		s->base.stop = "stop";
	s->base.over = true;
}
