/* See events.h. */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct oai_events {
	prv_stream base;
	char provider[64], model[160];
	prv_text piece;
	size_t items;	    /* finished output items that were seen */
	bool text, thought; /* any was handed on */
	bool gap;	    /* a new part of the summary begins: a paragraph between */
};

oai_events *oai_events_new(prv_sink *sink, void *arg, uint64_t seed, const char *provider, const char *model)
{
	oai_events *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	prv_stream_init(&s->base, sink, arg, seed);
	snprintf(s->provider, sizeof(s->provider), "%s", provider);
	snprintf(s->model, sizeof(s->model), "%s", model);
	prv_text_init(&s->piece, PRV_MAX_BLOCK);
	return s;
}

void oai_events_free(oai_events *s)
{
	if (s == NULL)
		return;
	prv_text_free(&s->piece);
	free(s);
}

prv_stream *oai_events_base(oai_events *s)
{
	return &s->base;
}

/* ---- Items ---- */

static void emit_decoded(oai_events *s, uint32_t type, prv_json v)
{
	prv_text_clear(&s->piece);
	if (type == OC_EV_THINKING && s->gap && s->thought && prv_json_full(v))
		prv_text_z(&s->piece, "\n\n");
	prv_json_text(&s->piece, v);
	oc_str text = prv_text_view(&s->piece);
	if (s->piece.failed)
		prv_stream_fail(&s->base, OC_E_LIMIT, "a piece of the answer is larger than %d MiB",
				PRV_MAX_BLOCK >> 20);
	if (s->base.over || text.n == 0)
		return;
	if (type == OC_EV_THINKING) {
		s->thought = true;
		s->gap = false;
	} else {
		s->text = true;
	}
	prv_stream_emit(&s->base, type, text);
}

static void on_call(oai_events *s, prv_json item)
{
	prv_json arguments = prv_json_get(item, "arguments");
	prv_text id, name, text;
	if (s->base.calls >= PRV_MAX_CALLS) {
		prv_stream_fail(&s->base, OC_E_LIMIT, "the model asked for more than %d tools at once", PRV_MAX_CALLS);
		return;
	}
	prv_text_init(&id, 512);
	prv_text_init(&name, 256);
	prv_text_init(&text, PRV_MAX_ARGUMENTS);
	prv_json_text(&id, prv_json_get(item, "call_id"));
	prv_json_text(&name, prv_json_get(item, "name"));
	if (prv_json_kind(arguments) == PRV_JSON_OBJECT)
		prv_text_add(&text, arguments.p, arguments.n);
	else
		prv_json_text(&text, arguments);
	if (id.failed || name.failed || text.failed)
		prv_stream_fail(&s->base, OC_E_LIMIT, "a tool call is larger than %d MiB", PRV_MAX_ARGUMENTS >> 20);
	else
		prv_stream_call(&s->base, prv_text_view(&id), prv_text_view(&name), prv_text_view(&text));
	prv_text_free(&id);
	prv_text_free(&name);
	prv_text_free(&text);
}

static void on_reasoning_item(oai_events *s, prv_json item)
{
	prv_text out;
	if (!prv_json_full(prv_json_get(item, "encrypted_content")))
		return; /* nothing to send back */
	prv_text_init(&out, PRV_MAX_BLOCK * 2);
	prv_text_z(&out, "{\"type\":\"reasoning\",\"provider\":");
	prv_text_json(&out, oc_str_of(s->provider));
	prv_text_z(&out, ",\"model\":");
	prv_text_json(&out, oc_str_of(s->model));
	prv_text_z(&out, ",\"item\":");
	prv_json_copy(&out, item);
	prv_text_char(&out, '}');
	if (!out.failed)
		prv_stream_emit(&s->base, OC_EV_BLOCK, prv_text_view(&out));
	prv_text_free(&out);
}

/* The text of a finished message, for answers that were not streamed. */
static void on_message_item(oai_events *s, prv_json item)
{
	prv_json key, part;
	size_t at = 0;
	bool told = s->text;
	while (!told && prv_json_next(prv_json_get(item, "content"), &at, &key, &part)) {
		emit_decoded(s, OC_EV_TEXT, prv_json_get(part, "text"));
		emit_decoded(s, OC_EV_TEXT, prv_json_get(part, "refusal"));
	}
}

static void on_item(oai_events *s, prv_json item)
{
	prv_json type = prv_json_get(item, "type");
	s->items++;
	if (prv_json_is(type, "function_call"))
		on_call(s, item);
	else if (prv_json_is(type, "reasoning"))
		on_reasoning_item(s, item);
	else if (prv_json_is(type, "message"))
		on_message_item(s, item);
}

/* ---- The response ---- */

static void on_usage(oai_events *s, prv_json usage)
{
	if (prv_json_kind(usage) != PRV_JSON_OBJECT)
		return;
	int64_t input = prv_json_i64(prv_json_get(usage, "input_tokens"), 0);
	int64_t read = prv_json_i64(prv_json_path(usage, "input_tokens_details.cached_tokens"), 0);
	int64_t write = prv_json_i64(prv_json_path(usage, "input_tokens_details.cache_write_tokens"), 0);
	prv_stream_usage(&s->base, (prv_usage){.input = input - read - write,
					       .output = prv_json_i64(prv_json_get(usage, "output_tokens"), 0),
					       .cache_read = read,
					       .cache_write = write});
}

static void on_failed(oai_events *s, prv_json doc)
{
	prv_fault fault;
	prv_fault_clear(&fault);
	if (!prv_fault_read(&fault, doc))
		prv_fault_set(&fault, OC_E_UNAVAILABLE, "the provider broke off with an error");
	prv_fault_classify(&fault);
	fault.retry_after_ms = prv_retry_after((prv_json){"", 0}, fault.message, 0);
	s->base.fault = fault;
	s->base.over = true;
}

/* The finished response: what is not known from the stream is taken from here. */
static void on_response(oai_events *s, prv_json response)
{
	prv_json key, item, reason = prv_json_path(response, "incomplete_details.reason");
	size_t at = 0, n = 0;
	if (prv_json_is(prv_json_get(response, "status"), "failed")
	    || prv_json_kind(prv_json_get(response, "error")) == PRV_JSON_OBJECT) {
		on_failed(s, response);
		return;
	}
	prv_stream_model(&s->base, prv_json_get(response, "model"));
	while (!s->base.over && prv_json_next(prv_json_get(response, "output"), &at, &key, &item))
		if (++n > s->items)
			on_item(s, item);
	on_usage(s, prv_json_get(response, "usage"));
	if (s->base.over)
		return;
	if (prv_json_is(reason, "max_output_tokens"))
		s->base.stop = "length";
	else if (prv_json_is(reason, "content_filter"))
		s->base.stop = "refusal";
	else if (s->base.calls > 0)
		s->base.stop = "tool_use";
	else if (s->base.stop == NULL)
		s->base.stop = "stop";
	s->base.over = true;
}

static void on_typed(oai_events *s, prv_json type, prv_json doc)
{
	if (prv_json_is(type, "response.output_text.delta")) {
		emit_decoded(s, OC_EV_TEXT, prv_json_get(doc, "delta"));
	} else if (prv_json_is(type, "response.refusal.delta")) {
		s->base.stop = "refusal";
		emit_decoded(s, OC_EV_TEXT, prv_json_get(doc, "delta"));
	} else if (prv_json_is(type, "response.reasoning_summary_text.delta")
		   || prv_json_is(type, "response.reasoning_text.delta")) {
		emit_decoded(s, OC_EV_THINKING, prv_json_get(doc, "delta"));
	} else if (prv_json_is(type, "response.reasoning_summary_part.added")) {
		s->gap = true;
	} else if (prv_json_is(type, "response.output_item.done")) {
		on_item(s, prv_json_get(doc, "item"));
	} else if (prv_json_is(type, "response.created")) {
		prv_stream_model(&s->base, prv_json_path(doc, "response.model"));
	} else if (prv_json_is(type, "response.completed") || prv_json_is(type, "response.incomplete")
		   || prv_json_is(type, "response.failed")) {
		on_response(s, prv_json_get(doc, "response"));
	} else if (prv_json_is(type, "error")) {
		on_failed(s, doc);
	}
}

void oai_events_event(oai_events *s, oc_str data)
{
	prv_json doc;
	while (data.n > 0 && (unsigned char)*data.p <= ' ')
		data = prv_str_sub(data, 1, data.n);
	if (s->base.over || data.n == 0 || *data.p != '{')
		return;
	if (!prv_json_parse(data.p, data.n, &doc)) {
		prv_stream_fail(&s->base, OC_E_PROTOCOL, "a piece of the stream is no valid JSON");
		return;
	}
	prv_json type = prv_json_get(doc, "type");
	if (prv_json_kind(type) == PRV_JSON_STRING)
		on_typed(s, type, doc);
	else if (prv_json_kind(prv_json_get(doc, "output")) == PRV_JSON_ARRAY)
		on_response(s, doc);
	else if (prv_json_kind(prv_json_get(doc, "error")) == PRV_JSON_OBJECT)
		on_failed(s, doc);
}

void oai_events_end(oai_events *s)
{
	if (s->base.over)
		return;
	prv_stream_fail(&s->base, s->base.handed ? OC_E_RETRY : OC_E_PROTOCOL,
			s->base.handed ? "the stream ended before the answer was complete"
				       : "the stream ended without an answer");
}
