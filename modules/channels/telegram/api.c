/*
 * One Bot API call: POST to <root>/bot<token>/<method>, the answer read and named.
 *
 * The token is part of every address, so no address and no text of the HTTP client leaves this file uncleaned.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

#define ANSWER_MAX ((uint64_t)32 * 1024 * 1024)

struct tg_request {
	tg_account *a;
	oc_http_call *http;
	tg_answered answered;
	void *arg;
	tg_body body;
	oc_watch *unsent; /* it could not even be started: the news comes later all the same */
	oc_status unsent_status;
	char method[40];
};

void tg_scrub(const tg_account *a, char *text)
{
	size_t n = a == NULL ? 0 : strlen(a->token);
	for (char *at; n > 0 && (at = strstr(text, a->token)) != NULL;) {
		static const char mark[] = "***";
		size_t keep = n < 3 ? n : 3;
		memcpy(at, mark, keep);
		memmove(at + keep, at + n, strlen(at + n) + 1);
	}
}

bool tg_answer_says(const tg_answer *answer, const char *words)
{
	return strcasestr(answer->description, words) != NULL;
}

static void request_free(tg_request *r)
{
	tg_account *a = r->a;
	tg_timer_end(a->m, &r->unsent);
	if (r->body.end != NULL)
		r->body.end(r->body.arg);
	free(r);
	tg_account_unref(a);
}

void tg_request_cancel(tg_request *r)
{
	if (r == NULL)
		return;
	if (r->http != NULL)
		r->a->m->http->cancel(r->http);
	request_free(r);
}

void tg_request_resume(tg_request *r)
{
	if (r->http != NULL)
		r->a->m->http->pause(r->http, 0);
}

/* Hands the answer on and ends the request, which the callback cannot cancel any more. */
static void answer_with(tg_request *r, tg_answer *answer)
{
	tg_answered answered = r->answered;
	void *arg = r->arg;
	tg_account *a = r->a;
	tg_account_ref(a);
	request_free(r);
	answered(arg, answer);
	tg_account_unref(a);
}

static oc_status status_of(int64_t code, const char *description)
{
	switch (code) {
	case 401:
		return OC_E_AUTH;
	case 403:
		return OC_E_DENIED;
	case 404: /* a token of another form is no path of theirs */
		return strcmp(description, "Not Found") == 0 ? OC_E_AUTH : OC_E_NOT_FOUND;
	case 409:
		return OC_E_STATE;
	case 413:
		return OC_E_LIMIT;
	case 420:
	case 429:
		return OC_E_RATE_LIMIT;
	default:
		return code >= 500 ? OC_E_UNAVAILABLE : OC_E_INVALID;
	}
}

/* An answer that is no JSON of theirs: a proxy's page, another server. */
static void read_foreign(int32_t http_status, tg_answer *answer, char *text, size_t size)
{
	answer->status = http_status >= 500			  ? OC_E_UNAVAILABLE
			 : http_status == 429			  ? OC_E_RATE_LIMIT
			 : http_status >= 300 && http_status < 400 ? OC_E_PROTOCOL
			 : http_status == 413			  ? OC_E_LIMIT
								  : OC_E_PROTOCOL;
	snprintf(text, size, "the server answered %" PRId32 " and not as the Bot API does; is apiRoot (or proxy) right?",
		 http_status);
	answer->description = text;
}

static void read_answer(tg_request *r, int32_t http_status, const cJSON *json)
{
	char text[512];
	tg_answer answer = {.description = "", .http_status = http_status};
	const char *description = tg_json_str(json, "description", "");
	const cJSON *parameters = tg_json_obj(json, "parameters"), *ok = cJSON_GetObjectItemCaseSensitive(json, "ok");
	if (cJSON_IsTrue(ok)) {
		answer.result = cJSON_GetObjectItemCaseSensitive(json, "result");
	} else if (cJSON_IsFalse(ok)) {
		snprintf(text, sizeof text, "%s", *description != 0 ? description : "no reason given");
		tg_scrub(r->a, text);
		answer.description = text;
		answer.status = status_of(tg_json_i64(json, "error_code", http_status), description);
		answer.retry_after_s = tg_json_i64(parameters, "retry_after", 0);
		answer.migrated_to = tg_json_i64(parameters, "migrate_to_chat_id", 0);
	} else {
		read_foreign(http_status, &answer, text, sizeof text);
	}
	answer_with(r, &answer);
}

static void on_done(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	tg_request *r = arg;
	r->http = NULL;
	cJSON *json = http_status != 0 && body.n > 0 ? cJSON_ParseWithLength(body.p, body.n) : NULL;
	if (status != OC_OK && json == NULL) {
		char text[512];
		/* "Authentication" without an answer is TLS's, not the token's. */
		tg_answer answer = {.description = text, .status = status == OC_E_AUTH ? OC_E_PROTOCOL : status};
		snprintf(text, sizeof text, "%.*s", (int)(body.n < 400 ? body.n : 400), body.p);
		tg_scrub(r->a, text);
		if (text[0] == 0)
			snprintf(text, sizeof text, "no connection");
		answer_with(r, &answer);
		return;
	}
	read_answer(r, http_status, json);
	cJSON_Delete(json);
}

static int64_t read_body(void *arg, uint64_t offset, void *out, uint64_t max)
{
	tg_request *r = arg;
	return r->body.read(r->body.arg, offset, out, max);
}

static void on_unsent(void *arg)
{
	tg_request *r = arg;
	tg_answer answer = {.status = r->unsent_status};
	answer.description = r->unsent_status == OC_E_INVALID ? "the address is not valid; see apiRoot and proxy"
							       : "the request could not be started";
	answer_with(r, &answer);
}

static bool build_url(const tg_account *a, const char *method, tg_sb *url)
{
	tg_sb_printf(url, "%s/bot%s/%s", a->config.api_root, a->token, method);
	return !url->failed;
}

tg_request *tg_call_body(tg_account *a, const char *method, oc_str json, const tg_body *body, uint64_t timeout_ms,
			 tg_answered answered, void *arg)
{
	tg_request *r = calloc(1, sizeof *r);
	tg_sb url, headers;
	if (r == NULL)
		return NULL;
	tg_sb_init(&url, 4096);
	tg_sb_init(&headers, 512);
	r->a = a;
	r->answered = answered;
	r->arg = arg;
	snprintf(r->method, sizeof r->method, "%s", method);
	tg_account_ref(a);
	tg_sb_printf(&headers, "{\"content-type\":\"%s\"}", body != NULL ? body->content_type : "application/json");
	bool built = build_url(a, method, &url) && !headers.failed;
	oc_http_client_request request = {
		.struct_size = sizeof request,
		.method = OC_STR("POST"),
		.url = tg_sb_view(&url),
		.headers = tg_sb_view(&headers),
		.body = body == NULL ? json : OC_STR(""),
		.timeout_ms = timeout_ms,
		.idle_ms = timeout_ms,
		.max_bytes = ANSWER_MAX,
		.on_done = on_done,
		.arg = r,
		.proxy = oc_str_of(a->config.proxy),
	};
	if (body != NULL) {
		request.on_body = read_body;
		request.body_bytes = body->bytes;
	}
	oc_status status = !built ? OC_E_NOMEM : OC_OK;
	if (status == OC_OK) {
		if (body != NULL) {
			r->body = *body;
			body->bind(body->arg, r);
		}
		status = a->m->http->start(a->m->self, &request, &r->http);
	}
	tg_wipe(url.p, url.n);
	tg_sb_free(&url);
	tg_sb_free(&headers);
	if (status != OC_OK) {
		r->http = NULL;
		r->unsent_status = status;
		if (!tg_timer(a->m, &r->unsent, 0, on_unsent, r)) {
			memset(&r->body, 0, sizeof r->body);
			request_free(r);
			return NULL;
		}
	}
	return r;
}

tg_request *tg_call(tg_account *a, const char *method, cJSON *params, uint64_t timeout_ms, tg_answered answered, void *arg)
{
	char *json = params != NULL ? cJSON_PrintUnformatted(params) : NULL;
	tg_request *r = NULL;
	if (params == NULL || json != NULL)
		r = tg_call_body(a, method, json != NULL ? oc_str_of(json) : OC_STR("{}"), NULL, timeout_ms, answered, arg);
	cJSON_Delete(params);
	cJSON_free(json);
	return r;
}
