/* See prv_fault.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* timegm, strptime, strcasestr */
#endif
#include "prv_fault.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void prv_fault_clear(prv_fault *f)
{
	memset(f, 0, sizeof(*f));
}

/* Copies text as one line into a fixed buffer, cut at a UTF-8 border. */
static void put_line(char *out, size_t size, oc_str s)
{
	size_t n = 0, i = 0;
	while (i < s.n) {
		size_t len = prv_utf8_len(s.p + i, s.n - i);
		bool space = len == 1 && (unsigned char)s.p[i] <= ' ';
		if (len == 0 || s.p[i] == 0x7f || (space && (n == 0 || out[n - 1] == ' '))) {
			i += len == 0 ? 1 : len;
			continue;
		}
		if (n + len >= size)
			break;
		if (space)
			out[n] = ' ';
		else
			memcpy(out + n, s.p + i, len);
		n += len;
		i += len;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = 0;
}

void prv_fault_set(prv_fault *f, oc_status status, const char *format, ...)
{
	char line[sizeof(f->message)];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	f->status = status;
	put_line(f->message, sizeof(f->message),
		 (oc_str){line, n < 0			   ? 0
				: (size_t)n < sizeof(line) ? (size_t)n
							   : sizeof(line) - 1});
}

/* ---- Reading what providers send ---- */

/* A string decoded, or a number's digits. */
static void put_value(char *out, size_t size, prv_json v)
{
	int kind = prv_json_kind(v);
	if (kind == PRV_JSON_STRING) {
		char *text = prv_json_dup(v);
		if (text != NULL)
			put_line(out, size, (oc_str){text, strlen(text)});
		free(text);
	} else if (kind == PRV_JSON_NUMBER) {
		put_line(out, size, (oc_str){v.p, v.n});
	}
}

/* The text of a message that may be a string, or validation details in arrays and objects. */
static void put_message(prv_fault *f, prv_json v)
{
	int kind = prv_json_kind(v);
	if (kind == PRV_JSON_STRING)
		put_value(f->message, sizeof(f->message), v);
	else if (kind == PRV_JSON_OBJECT || kind == PRV_JSON_ARRAY)
		put_line(f->message, sizeof(f->message), (oc_str){v.p, v.n});
}

static prv_json first_of(prv_json object, const char *a, const char *b)
{
	prv_json v = prv_json_get(object, a);
	return v.n > 0 && prv_json_kind(v) != PRV_JSON_NULL ? v : prv_json_get(object, b);
}

bool prv_fault_read(prv_fault *f, prv_json doc)
{
	if (prv_json_kind(doc) == PRV_JSON_ARRAY)
		doc = prv_json_at(doc, 0);
	prv_json error = prv_json_get(doc, "error");
	int kind = prv_json_kind(error);
	if (kind == PRV_JSON_STRING) {
		put_message(f, error);
		put_value(f->code, sizeof(f->code), prv_json_get(doc, "code"));
		return true;
	}
	if (kind != PRV_JSON_OBJECT) {
		bool marked = prv_json_is(prv_json_get(doc, "object"), "error")
			      || prv_json_is(prv_json_get(doc, "type"), "error");
		prv_json detail = prv_json_get(doc, "detail");
		if (!marked && detail.n == 0)
			return false;
		error = doc;
	}
	put_message(f, first_of(error, "message", "detail"));
	put_value(f->type, sizeof(f->type), prv_json_get(error, "type"));
	put_value(f->code, sizeof(f->code), first_of(error, "code", "status"));
	put_value(f->param, sizeof(f->param), prv_json_get(error, "param"));
	/* A router's own message often says nothing; what its upstream said is kept aside. */
	prv_json raw = prv_json_path(error, "metadata.raw");
	if (prv_json_full(raw) && (f->message[0] == 0 || strcasestr(f->message, "provider returned error") != NULL)) {
		char upstream[sizeof(f->message)] = "";
		put_value(upstream, sizeof(upstream), raw);
		prv_json inner;
		prv_fault told = {0};
		if (prv_json_parse(upstream, strlen(upstream), &inner) && prv_fault_read(&told, inner)
		    && told.message[0] != 0)
			memcpy(f->message, told.message, sizeof(f->message));
		else
			memcpy(f->message, upstream, sizeof(f->message));
	}
	return true;
}

/* ---- Choosing the status ---- */

static bool any_of(const char *text, const char *const *needles)
{
	for (; *needles != NULL; needles++)
		if (strcasestr(text, *needles) != NULL)
			return true;
	return false;
}

static bool about_context(const prv_fault *f)
{
	static const char *const codes[] = {"context_length",	 "context_window",	    "exceed_context_size",
					    "request_too_large", "string_above_max_length", NULL};
	static const char *const words[] = {"maximum context length",
					    "context length",
					    "context window",
					    "context size",
					    "prompt is too long",
					    "input is too long",
					    "too many tokens",
					    "reduce the length",
					    "maximum prompt length",
					    "input length and `max_tokens`",
					    "exceeds the maximum number of tokens",
					    "exceeds the limit of",
					    "token limit",
					    "prompt too long",
					    "request too large",
					    "input tokens exceed",
					    NULL};
	return any_of(f->code, codes) || any_of(f->type, codes) || any_of(f->message, words);
}

static bool about_quota(const prv_fault *f)
{
	static const char *const codes[] = {"insufficient_quota", "billing", "insufficient_credit", "payment", NULL};
	static const char *const words[] = {"credit balance",
					    "insufficient credit",
					    "insufficient balance",
					    "insufficient funds",
					    "exceeded your current quota",
					    "insufficient_quota",
					    "billing",
					    "spend limit",
					    "usage limits",
					    "spending limit",
					    "out of credit",
					    "requires more credits",
					    NULL};
	return any_of(f->code, codes) || any_of(f->type, codes) || any_of(f->message, words);
}

static bool about_missing_model(const prv_fault *f)
{
	static const char *const codes[] = {"model_not_found", "not_found_error", "model_decommissioned",
					    "invalid_model", NULL};
	static const char *const words[] = {"model not found", "does not exist",     "not a valid model",
					    "unknown model",   "model_not_found",    "try pulling it first",
					    "decommissioned",  "no endpoints found", NULL};
	return any_of(f->code, codes) || any_of(f->type, codes)
	       || (strcasestr(f->message, "model") != NULL && any_of(f->message, words));
}

/* Inside a stream, or where a proxy answers 200 or 500 for everything, the words decide. */
static oc_status status_by_words(const prv_fault *f)
{
	static const struct {
		const char *word;
		oc_status status;
	} table[] = {
		{"overloaded", OC_E_UNAVAILABLE},
		{"rate_limit", OC_E_RATE_LIMIT},
		{"rate limit", OC_E_RATE_LIMIT},
		{"too_many_requests", OC_E_RATE_LIMIT},
		{"too many requests", OC_E_RATE_LIMIT},
		{"authentication", OC_E_AUTH},
		{"invalid_api_key", OC_E_AUTH},
		{"permission_error", OC_E_AUTH},
		{"unauthorized", OC_E_AUTH},
		{"timeout", OC_E_UNAVAILABLE},
		{"timed out", OC_E_UNAVAILABLE},
		{"server_error", OC_E_UNAVAILABLE},
		{"api_error", OC_E_UNAVAILABLE},
		{"unavailable", OC_E_UNAVAILABLE},
		{"internal", OC_E_UNAVAILABLE},
		{"invalid_request", OC_E_INVALID},
		{"invalid", OC_E_INVALID},
	};
	if (about_quota(f))
		return OC_E_QUOTA;
	if (about_context(f))
		return OC_E_CONTEXT;
	if (about_missing_model(f))
		return OC_E_NOT_FOUND;
	const char *const texts[] = {f->code, f->type, f->message};
	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			if (strcasestr(texts[t], table[i].word) != NULL)
				return table[i].status;
	return OC_E_UNAVAILABLE;
}

void prv_fault_classify(prv_fault *f)
{
	int32_t http = f->http;
	if (http == 0 && f->code[0] >= '4' && f->code[0] <= '5' && strlen(f->code) == 3)
		http = (int32_t)strtol(f->code, NULL, 10);
	switch (http) {
	case 400:
	case 422:
		f->status = about_quota(f)				? OC_E_QUOTA
			    : about_context(f)				? OC_E_CONTEXT
			    : about_missing_model(f)			? OC_E_NOT_FOUND
			    : strcasestr(f->message, "api key") != NULL ? OC_E_AUTH
									: OC_E_INVALID;
		break;
	case 401:
		f->status = OC_E_AUTH;
		break;
	case 402:
		f->status = OC_E_QUOTA;
		break;
	case 403:
		f->status = about_quota(f)				? OC_E_QUOTA
			    : strcasestr(f->message, "flagged") != NULL ? OC_E_INVALID
									: OC_E_AUTH;
		break;
	case 404:
		f->status = OC_E_NOT_FOUND;
		break;
	case 413:
		/* Too many bytes, or more tokens than the plan takes in one request: only a shorter one helps. */
		f->status = OC_E_CONTEXT;
		break;
	case 429:
		f->status = about_quota(f) ? OC_E_QUOTA : OC_E_RATE_LIMIT;
		break;
	default:
		if (http == 0 || http == 500)
			f->status = status_by_words(f);
		else if (http == 408 || http == 409 || http == 425 || http >= 500)
			f->status = OC_E_UNAVAILABLE;
		else
			f->status = http >= 300 && http < 400 ? OC_E_PROTOCOL : OC_E_INVALID;
		/* A 500 for what was asked would be asked again and again; only the clear words count. */
		if (http == 500 && (f->status == OC_E_INVALID || f->status == OC_E_AUTH))
			f->status = OC_E_UNAVAILABLE;
		break;
	}
}

/* ---- When to come back ---- */

/* "1.5s", "250ms", "6m0s", "20 seconds" at p: milliseconds, 0 when there is none. */
static int64_t duration_ms(const char *p)
{
	double total = 0;
	for (;;) {
		while (*p == ' ')
			p++;
		if (*p < '0' || *p > '9')
			return (int64_t)total;
		char *end;
		double value = strtod(p, &end);
		while (*end == ' ')
			end++;
		double unit = strncmp(end, "ms", 2) == 0      ? 1
			      : strncmp(end, "milli", 5) == 0 ? 1
			      : *end == 's'		      ? 1000
			      : *end == 'm'		      ? 60000
			      : *end == 'h'		      ? 3600000
							      : 0;
		if (unit == 0 || value > 1e6)
			return (int64_t)total;
		total += value * unit;
		while (isalpha((unsigned char)*end))
			end++;
		p = end;
	}
}

/* An HTTP date, as milliseconds from now. */
static int64_t date_ms(const char *text, int64_t now_unix)
{
	struct tm tm = {0};
	if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL)
		return 0;
	int64_t at = (int64_t)timegm(&tm);
	return at > now_unix ? (at - now_unix) * 1000 : 0;
}

/* Digits at the start of text times scale, at most a day; 0 when it does not start with a digit. */
static int64_t number_ms(const char *text, double scale)
{
	enum { MAX_MS = 24 * 3600 * 1000 };
	double ms = text[0] >= '0' && text[0] <= '9' ? strtod(text, NULL) * scale : 0;
	return ms < MAX_MS ? (int64_t)ms : MAX_MS;
}

int64_t prv_retry_after(prv_json headers, const char *message, int64_t now_unix)
{
	enum { MAX_MS = 24 * 3600 * 1000 };
	char value[64] = "";
	put_value(value, sizeof(value), prv_json_get(headers, "retry-after-ms"));
	int64_t ms = number_ms(value, 1);
	if (ms == 0) {
		value[0] = 0;
		put_value(value, sizeof(value), prv_json_get(headers, "retry-after"));
		ms = number_ms(value, 1000);
		if (ms == 0)
			ms = date_ms(value, now_unix);
	}
	if (ms == 0) {
		const char *at = strcasestr(message, "try again in ");
		if (at != NULL)
			ms = duration_ms(at + strlen("try again in "));
	}
	return ms < 0 ? 0 : ms > MAX_MS ? MAX_MS : ms;
}

void prv_fault_http(prv_fault *f, int32_t http, prv_json headers, oc_str body, int64_t now_unix)
{
	prv_json doc;
	prv_fault_clear(f);
	f->http = http;
	bool told = prv_json_parse(body.p, body.n, &doc) && prv_fault_read(f, doc);
	if (!told) {
		size_t at = 0;
		while (at < body.n && (unsigned char)body.p[at] <= ' ')
			at++;
		if (at < body.n && body.p[at] == '<')
			put_line(f->message, sizeof(f->message),
				 OC_STR("it answered with a web page instead of JSON; is baseUrl right?"));
		else
			put_line(f->message, 201, body);
	}
	prv_fault_classify(f);
	if (f->status == OC_E_RATE_LIMIT || f->status == OC_E_UNAVAILABLE)
		f->retry_after_ms = prv_retry_after(headers, f->message, now_unix);
}

/* ---- The message for people ---- */

/* There was no answer to have a status, a type or a code. */
static bool unreachable(const prv_fault *f)
{
	return f->status == OC_E_UNAVAILABLE && f->http == 0 && f->type[0] == 0 && f->code[0] == 0;
}

static const char *what_of(const prv_fault *f)
{
	if (unreachable(f))
		return "it cannot be reached";
	switch (f->status) {
	case OC_E_AUTH:
		return "the API key was not accepted";
	case OC_E_QUOTA:
		return "the account's credit or quota is used up";
	case OC_E_RATE_LIMIT:
		return "too many requests for now";
	case OC_E_CONTEXT:
		return "the conversation is too long for the model";
	case OC_E_NOT_FOUND:
		return "no such model or address";
	case OC_E_INVALID:
		return "the request was refused";
	case OC_E_UNAVAILABLE:
		return "the service is not available for now";
	case OC_E_TIMEOUT:
		return "no answer in time";
	case OC_E_RETRY:
		return "the answer was cut off";
	case OC_E_PROTOCOL:
		return "the answer was not understood";
	default:
		return "the call failed";
	}
}

/* What to do; nothing when the message says it all. */
static void add_remedy(prv_text *t, const prv_fault *f, const prv_place *place)
{
	const char *provider = place->provider[0] != 0 ? place->provider : "<provider>";
	if (unreachable(f)) {
		prv_text_printf(t, "see whether its server runs and models.providers.%.64s.baseUrl is right, or name fallback models", provider);
		return;
	}
	switch (f->status) {
	case OC_E_AUTH:
		prv_text_printf(
			t, "set a valid key as models.providers.%.64s.apiKey or in the provider's environment variable",
			provider);
		break;
	case OC_E_QUOTA:
		prv_text_z(t, "add credit or raise the limit at the provider, or choose another model");
		break;
	case OC_E_RATE_LIMIT:
		if (f->retry_after_ms > 0)
			prv_text_printf(t, "try again in %lld s, or name fallback models",
					(long long)(f->retry_after_ms + 999) / 1000);
		else
			prv_text_z(t, "wait a little, or name fallback models");
		break;
	case OC_E_CONTEXT:
		prv_text_z(t, "shorten or reset the session, or choose a model with a larger context window");
		break;
	case OC_E_NOT_FOUND:
		if (strcmp(provider, "ollama") == 0 && place->model[0] != 0)
			prv_text_printf(t, "get it with: ollama pull %.120s", place->model);
		else
			prv_text_printf(t, "check the model's name and models.providers.%.64s.baseUrl", provider);
		break;
	case OC_E_UNAVAILABLE:
	case OC_E_TIMEOUT:
	case OC_E_RETRY:
		prv_text_z(t, "try again, or name fallback models");
		break;
	default:
		break;
	}
}

void prv_redact(char *text, oc_str key)
{
	if (key.n >= 6)
		for (char *at = text; (at = memmem(at, strlen(at), key.p, key.n)) != NULL; at += key.n)
			memset(at, '*', key.n);
	/* Half-hidden keys ("sk-ab***yz") and other people's: a run of key characters after a known prefix. */
	static const char *const prefixes[] = {"sk-", "gsk_", "xai-", "Bearer ", NULL};
	for (size_t i = 0; prefixes[i] != NULL; i++)
		for (char *at = text; (at = strstr(at, prefixes[i])) != NULL;) {
			bool inside = at > text && isalnum((unsigned char)at[-1]); /* "task-…" is a word */
			at += strlen(prefixes[i]);
			if (inside)
				continue;
			size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*.");
			if (n >= 6)
				memset(at, '*', n);
			at += n;
		}
}

void prv_fault_payload(const prv_fault *f, const prv_place *place, prv_text *out)
{
	prv_text t;
	char detail[sizeof(f->message)];
	prv_text_init(&t, 4096);
	if (place->provider[0] != 0)
		prv_text_printf(&t, "%.80s", place->provider);
	if (place->host[0] != 0)
		prv_text_printf(&t, place->provider[0] != 0 ? " (%.200s)" : "%.200s", place->host);
	if (place->model[0] != 0)
		prv_text_printf(&t, "%smodel %.120s", t.n > 0 ? ", " : "", place->model);
	prv_text_printf(&t, "%s%s", t.n > 0 ? ": " : "", what_of(f));
	if (f->http != 0)
		prv_text_printf(&t, " (HTTP %d)", (int)f->http);
	memcpy(detail, f->message, sizeof(detail));
	prv_redact(detail, place->key);
	size_t n = strlen(detail);
	if (n > 0 && detail[n - 1] == '.')
		detail[n - 1] = 0;
	if (detail[0] != 0)
		prv_text_printf(&t, ": %s", detail);
	prv_text_z(out, "{\"message\":");
	prv_text_json(out, prv_text_view(&t));
	prv_text_clear(&t);
	add_remedy(&t, f, place);
	if (t.n > 0) {
		prv_text_z(out, ",\"remedy\":");
		prv_text_json(out, prv_text_view(&t));
	}
	if (f->retry_after_ms > 0)
		prv_text_printf(out, ",\"retryAfterMs\":%lld", (long long)f->retry_after_ms);
	prv_text_char(out, '}');
	prv_text_free(&t);
}
