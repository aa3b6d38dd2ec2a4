/* See prv_stream.h. */
#include "prv_stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void prv_stream_init(prv_stream *s, prv_sink *sink, void *arg, uint64_t seed)
{
	*s = (prv_stream){.sink = sink, .arg = arg, .seed = seed};
}

void prv_stream_emit(prv_stream *s, uint32_t type, oc_str payload)
{
	s->handed = true;
	if (payload.p[payload.n] == 0) {
		s->sink(s->arg, type, payload);
		return;
	}
	/* A piece of a longer text: strings that cross to the host end with a NUL. */
	prv_text copy;
	prv_text_init(&copy, payload.n);
	prv_text_str(&copy, payload);
	if (copy.failed)
		prv_stream_fail(s, OC_E_NOMEM, "out of memory");
	else
		s->sink(s->arg, type, prv_text_view(&copy));
	prv_text_free(&copy);
}

void prv_stream_usage(prv_stream *s, prv_usage usage)
{
	int64_t *const all[] = {&usage.input, &usage.output, &usage.cache_read, &usage.cache_write};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (*all[i] < 0)
			*all[i] = 0;
	if (memcmp(&usage, &s->usage, sizeof(usage)) == 0)
		return;
	s->usage = usage;
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"input\":%lld,\"output\":%lld,\"cacheRead\":%lld,\"cacheWrite\":%lld}",
			 (long long)usage.input, (long long)usage.output, (long long)usage.cache_read,
			 (long long)usage.cache_write);
	prv_stream_emit(s, OC_EV_USAGE, (oc_str){text, (size_t)n});
}

void prv_stream_fail(prv_stream *s, oc_status status, const char *format, ...)
{
	if (s->over)
		return;
	char line[512];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	prv_fault_clear(&s->fault);
	prv_fault_set(&s->fault, status, "%s", line);
	s->over = true;
}

void prv_stream_model(prv_stream *s, prv_json name)
{
	prv_text t;
	if (!prv_json_full(name))
		return;
	prv_text_init(&t, sizeof(s->model) - 1);
	prv_json_text(&t, name);
	oc_str text = prv_text_view(&t);
	if (!t.failed)
		memcpy(s->model, text.p, text.n + 1);
	prv_text_free(&t);
}

/* Escapes control characters inside strings, the mistake models make when they write code into an argument. */
static void mend(oc_str from, prv_text *out)
{
	bool inside = false;
	for (size_t i = 0; i < from.n; i++) {
		char c = from.p[i];
		if (c == '"')
			inside = !inside;
		if (inside && c == '\\' && i + 1 < from.n)
			prv_text_char(out, from.p[i++]);
		else if (inside && (unsigned char)c < 0x20) {
			prv_text_json_part(out, (oc_str){&c, 1});
			continue;
		}
		prv_text_char(out, from.p[i]);
	}
}

/* The arguments as an object; absent when they are none. mended holds the text when it had to be changed. */
static prv_json read_arguments(oc_str text, prv_text *mended)
{
	prv_json v;
	if (text.n == 0)
		text = OC_STR("{}");
	if (!prv_json_parse(text.p, text.n, &v)) {
		mend(text, mended);
		text = prv_text_view(mended);
		if (mended->failed || !prv_json_parse(text.p, text.n, &v))
			return (prv_json){"", 0};
	}
	if (prv_json_kind(v) == PRV_JSON_NULL)
		return (prv_json){"{}", 2};
	/* Encoded twice: a string that holds the object. */
	if (prv_json_kind(v) == PRV_JSON_STRING) {
		prv_text inner;
		prv_text_init(&inner, PRV_MAX_ARGUMENTS);
		prv_json_text(&inner, v);
		prv_text_clear(mended);
		prv_text_str(mended, prv_text_view(&inner));
		prv_text_free(&inner);
		text = prv_text_view(mended);
		if (mended->failed || !prv_json_parse(text.p, text.n, &v))
			return (prv_json){"", 0};
	}
	return prv_json_kind(v) == PRV_JSON_OBJECT ? v : (prv_json){"", 0};
}

bool prv_stream_call(prv_stream *s, oc_str id, oc_str name, oc_str arguments)
{
	prv_text mended, out;
	prv_text_init(&mended, PRV_MAX_ARGUMENTS * 2);
	prv_text_init(&out, PRV_MAX_ARGUMENTS * 4);
	prv_json object = read_arguments(arguments, &mended);
	bool ok = object.n > 0 && name.n > 0;
	if (ok) {
		prv_text_z(&out, "{\"id\":");
		if (id.n > 0)
			prv_text_json(&out, id);
		else
			prv_text_printf(&out, "\"call_%llx_%u\"", (unsigned long long)s->seed, s->calls);
		prv_text_z(&out, ",\"name\":");
		prv_text_json(&out, name);
		prv_text_z(&out, ",\"arguments\":");
		prv_json_copy(&out, object);
		prv_text_char(&out, '}');
		ok = !out.failed;
	}
	if (ok) {
		s->calls++;
		prv_stream_emit(s, OC_EV_TOOL_CALL, prv_text_view(&out));
	} else if (name.n == 0) {
		prv_stream_fail(s, OC_E_PROTOCOL, "the model asked for a tool without naming it");
	} else {
		prv_stream_fail(s, OC_E_PROTOCOL,
				"the model asked for the tool %.*s with arguments that are no JSON object",
				(int)(name.n < 100 ? name.n : 100), name.p);
	}
	prv_text_free(&mended);
	prv_text_free(&out);
	return ok;
}

void prv_stream_result(const prv_stream *s, prv_text *out)
{
	prv_text_printf(out, "{\"stopReason\":\"%s\",\"model\":", s->stop != NULL ? s->stop : "stop");
	prv_text_json(out, oc_str_of(s->model));
	prv_text_char(out, '}');
}
