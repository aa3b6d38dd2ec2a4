/* The provider modules as they are built: calls, keys, refusals that teach, cancellation, back-pressure, errors. */
#include "prv_host.h"

static void test_answer(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ""));
	assert_string_equal(last()->method, "POST");
	assert_string_equal(last()->url, FAR "/chat/completions");
	assert_non_null(strstr(last()->headers, "\"authorization\":\"Bearer " KEY "\""));
	assert_non_null(strstr(last()->body, "\"stream\":true"));
	assert_int_equal(last()->request.flags, OC_HTTP_CLIENT_SSE);
	assert_int_equal(last()->request.retries, 0);
	head(200, "{}");
	sse(TEXT("Hel"));
	sse(TEXT("lo"));
	sse(STOP);
	assert_int_equal(call.done, 0);
	sse("[DONE]");
	/* Complete at once, while the connection is read to its end. */
	assert_int_equal(call.done, 1);
	assert_int_equal(call.status, OC_OK);
	assert_string_equal(call.result, "{\"stopReason\":\"stop\",\"model\":\"m-real\"}");
	assert_string_equal(call.events.log.p, "T:Hello");
	assert_int_equal(timers(), 1);
	done(OC_OK, 200, "");
	assert_int_equal(timers(), 0);
	call_free(&call);
	/* One that never ends is cut off. */
	chat(&call, REQUEST(FAR, ""));
	sse(STOP);
	sse("[DONE]");
	assert_true(last()->open);
	assert_true(fire());
	assert_true(last()->cancelled);
	call_free(&call);
	/* Without [DONE], and without a stream. */
	chat(&call, REQUEST(FAR, ""));
	head(200, "{}");
	sse(TEXT("a"));
	sse(STOP);
	done(OC_OK, 200, "");
	assert_int_equal(call.status, OC_OK);
	call_free(&call);
	chat(&call, REQUEST(FAR, ""));
	head(200, "{}");
	done(OC_OK, 200, "{\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}]}");
	assert_int_equal(call.status, OC_OK);
	assert_string_equal(call.events.log.p, "T:whole");
	assert_string_equal(call.result, "{\"stopReason\":\"stop\",\"model\":\"m-1\"}");
	call_free(&call);
	unload();
}

static void test_keys(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	host.key = NULL;
	chat(&call, REQUEST(FAR, ""));
	assert_int_equal(host.n_http, 0); /* nothing was told to anybody */
	assert_int_equal(call.status, OC_E_AUTH);
	assert_non_null(strstr(call.result, "models.providers.acme.apiKey"));
	call_free(&call);
	host.key_status = OC_E_DENIED;
	chat(&call, REQUEST(FAR, ""));
	assert_int_equal(call.status, OC_E_AUTH);
	assert_non_null(strstr(call.result, "granted"));
	call_free(&call);
	host.key_status = OC_OK;
	/* At home a key is not needed. */
	chat(&call, REQUEST("http://127.0.0.1:11434/v1", ""));
	assert_int_equal(host.n_http, 1);
	assert_null(strstr(last()->headers, "uthorization"));
	vtbl->cancel(inst, &call);
	call_free(&call);
	/* The operator's own header instead. */
	chat(&call, "{\"endpoint\":{\"provider\":\"acme\",\"baseUrl\":\"" FAR
		    "\",\"secret\":\"s\",\"headers\":{\"Authorization\":\"Own\"}},\"model\":\"m\",\"messages\":[]}");
	assert_int_equal(host.n_http, 2);
	assert_non_null(strstr(last()->headers, "\"Authorization\":\"Own\""));
	vtbl->cancel(inst, &call);
	call_free(&call);
	/* A line break at the end of the key's file is no part of it. */
	host.key = " " KEY "\n";
	chat(&call, REQUEST(FAR, ""));
	assert_non_null(strstr(last()->headers, "\"Bearer " KEY "\""));
	head(401, "{}");
	done(OC_OK, 401, "{\"error\":{\"message\":\"Incorrect API key provided: " KEY "\"}}");
	assert_int_equal(call.status, OC_E_AUTH);
	call_free(&call);
	unload();
	assert_null(strstr(host.log, KEY));
}

static void test_refusals_teach(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ",\"temperature\":0.5,\"maxTokens\":9000"));
	assert_non_null(strstr(last()->body, "temperature"));
	head(400, "{}");
	done(OC_OK, 400,
	     "{\"error\":{\"message\":\"'temperature' is not supported with this model\",\"param\":\"temperature\"}}");
	assert_int_equal(host.n_http, 2);
	assert_null(strstr(last()->body, "temperature"));
	head(400, "{}");
	done(OC_OK, 400,
	     "{\"error\":{\"message\":\"max_tokens is too large: 9000. This model supports at most 500 completion tokens\",\"param\":\"max_tokens\"}}");
	assert_int_equal(host.n_http, 3);
	assert_non_null(strstr(last()->body, "\"max_tokens\":500"));
	assert_int_equal(call.done, 0);
	head(200, "{}");
	sse(TEXT("ok"));
	sse(STOP);
	done(OC_OK, 200, "");
	assert_int_equal(call.status, OC_OK);
	call_free(&call);
	assert_non_null(strstr(host.log, "acme/m-1 takes no temperature; asking again"));
	/* Kept for the next call of this model, and only of this. */
	chat(&call, REQUEST(FAR, ",\"temperature\":0.5,\"maxTokens\":9000"));
	assert_null(strstr(last()->body, "temperature"));
	vtbl->cancel(inst, &call);
	call_free(&call);
	chat(&call, REQUEST("https://other.example.com/v1", ",\"temperature\":0.5"));
	assert_non_null(strstr(last()->body, "temperature"));
	vtbl->cancel(inst, &call);
	call_free(&call);
	unload();
}

/* A server that always finds something new to refuse is asked a bounded number of times. */
static void test_refusals_end(void **state)
{
	static const char *const words[] = {"temperature",   "stream_options", "reasoning_effort", "image",
					    "support tools", "max_tokens",     "reasoning_content"};
	oc_call call;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ""));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && call.done == 0; i++) {
		char body[200];
		snprintf(body, sizeof(body), "{\"error\":{\"message\":\"%s: unsupported\"}}", words[i]);
		head(400, "{}");
		done(OC_OK, 400, body);
	}
	assert_int_equal(call.done, 1);
	assert_int_equal(call.status, OC_E_INVALID);
	assert_int_equal(host.n_http, 5);
	call_free(&call);
	unload();
}

/* OpenAI's models that take tools only in the Responses API are asked there; others when they say so. */
static void test_other_protocol(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ",\"tools\":[{\"name\":\"f\"}]"));
	head(400, "{}");
	done(OC_OK, 400,
	     "{\"error\":{\"message\":\"Function tools are not supported for m-1 in /v1/chat/completions. Use /v1/responses.\"}}");
	assert_string_equal(last()->url, FAR "/responses");
	assert_non_null(strstr(last()->body, "\"store\":false"));
	head(200, "{}");
	sse("{\"type\":\"response.output_text.delta\",\"delta\":\"ok\"}");
	sse("{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}");
	assert_int_equal(call.status, OC_OK);
	assert_string_equal(call.events.log.p, "T:ok");
	done(OC_OK, 200, "");
	call_free(&call);
	chat(&call,
	     "{\"endpoint\":{\"provider\":\"openai\",\"baseUrl\":\"https://api.openai.com/v1\",\"secret\":\"k\"},\"model\":\"gpt-6.2-sol\",\"tools\":[{\"name\":\"f\"}],\"messages\":[]}");
	assert_string_equal(last()->url, "https://api.openai.com/v1/responses");
	vtbl->cancel(inst, &call);
	call_free(&call);
	/* by configuration: api "openai-responses" */
	assert_string_equal(desc->ifaces[1].id, "openai-responses");
	const oc_provider_vtbl *responses = desc->ifaces[1].vtbl;
	call_init(&call);
	responses->chat(inst, &call, oc_str_of(REQUEST("https://other.example.com/v1", "")));
	assert_string_equal(last()->url, "https://other.example.com/v1/responses");
	responses->cancel(inst, &call);
	call_free(&call);
	unload();
}

static void test_cancel(void **state)
{
	oc_call call, other;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ""));
	chat(&other, REQUEST(FAR, ""));
	struct oc_http_call *first = &host.http[0];
	first->request.on_sse(first->request.arg, OC_STR("message"), oc_str_of(TEXT("a")), OC_STR(""));
	vtbl->cancel(inst, &call);
	assert_true(first->cancelled);
	assert_int_equal(call.status, OC_E_CANCELED);
	assert_int_equal(other.done, 0);
	vtbl->cancel(inst, &call); /* over: nothing happens */
	/* The rest goes with the module. */
	oc_call stop;
	call_init(&stop);
	desc->stop(inst, &stop, 1000);
	assert_int_equal(other.status, OC_E_CANCELED);
	assert_int_equal(stop.status, OC_OK);
	call_free(&call);
	call_free(&other);
	call_free(&stop);
	chat(&call, REQUEST(FAR, ""));
	unload();
	assert_int_equal(call.status, OC_E_CANCELED);
	call_free(&call);
}

static void test_back_pressure(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ""));
	head(200, "{}");
	call.answer = OC_E_BUSY;
	sse(TEXT("a"));
	sse(TEXT("b")); /* what was read before the pause */
	assert_int_equal(last()->paused, 1);
	assert_int_equal(last()->pauses, 1);
	assert_int_equal(timers(), 1);
	call.answer = OC_OK;
	assert_true(fire());
	assert_int_equal(last()->paused, 0);
	sse(TEXT("c"));
	call.answer = OC_E_BUSY;
	sse(TEXT("d"));
	/* The end while paused: the drain is not. */
	sse(STOP);
	sse("[DONE]");
	assert_int_equal(last()->paused, 0);
	assert_int_equal(call.done, 1);
	done(OC_OK, 200, "");
	assert_string_equal(call.events.log.p, "T:abcd");
	call_free(&call);
	/* Cancelled while paused. */
	chat(&call, REQUEST(FAR, ""));
	call.answer = OC_E_BUSY;
	sse(TEXT("a"));
	vtbl->cancel(inst, &call);
	assert_int_equal(timers(), 0);
	call_free(&call);
	unload();
}

/* The host gave the call up: nothing more is handed on, and it is not completed a second time. */
static void test_given_up(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	chat(&call, REQUEST(FAR, ""));
	sse(TEXT("a"));
	call.answer = OC_E_STATE;
	sse(TEXT("b"));
	assert_true(fire());
	assert_true(last()->cancelled);
	assert_int_equal(call.done, 0);
	call_free(&call);
	unload();
}

static void fails(const char *first, oc_status status, int32_t http, const char *headers, const char *body,
		  oc_status want, const char *word)
{
	oc_call call;
	chat(&call, REQUEST(FAR, ""));
	if (http > 0)
		head(http, headers);
	if (first != NULL)
		sse(first);
	done(status, http, body);
	assert_int_equal(call.done, 1);
	if (call.status != want || strstr(call.result, word) == NULL)
		fail_msg("%d %d %s: got %d %s", (int)status, (int)http, body, (int)call.status, call.result);
	wall(oc_str_of(call.result));
	assert_non_null(strstr(call.result, "acme (llm.example.com), model m-1: "));
	call_free(&call);
}

static void test_errors(void **state)
{
	(void)state;
	load("openai", "{\"retries\":3,\"idleTimeoutMs\":5000}");
	fails(NULL, OC_OK, 429, "{\"retry-after\":\"7\"}", "{\"error\":{\"message\":\"slow down\"}}", OC_E_RATE_LIMIT,
	      "\"retryAfterMs\":7000");
	assert_int_equal(last()->request.retries, 3);
	assert_int_equal(last()->request.idle_ms, 5000);
	fails(NULL, OC_OK, 503, "{}", "", OC_E_UNAVAILABLE, "HTTP 503");
	fails(NULL, OC_E_UNAVAILABLE, 0, "{}", "cannot connect: refused", OC_E_UNAVAILABLE, "cannot connect: refused");
	fails(NULL, OC_E_TIMEOUT, 0, "{}", "silent for 5 seconds", OC_E_TIMEOUT, "no answer in time");
	fails(TEXT("half"), OC_E_TIMEOUT, 200, "{}", "silent for 5 seconds", OC_E_TIMEOUT, "silent for 5 seconds");
	fails(NULL, OC_E_DENIED, 0, "{}", "refused by the guard", OC_E_DENIED, "guard");
	fails(TEXT("half"), OC_E_IO, 200, "{}", "connection reset", OC_E_RETRY, "connection reset");
	fails(TEXT("half"), OC_OK, 200, "{}", "", OC_E_RETRY, "before the answer was complete");
	fails(NULL, OC_OK, 200, "{}", "", OC_E_PROTOCOL, "without an answer");
	fails(NULL, OC_OK, 200, "{}", "<html>hello</html>", OC_E_PROTOCOL, "without an answer");
	/* Broken after it was complete is complete. */
	oc_call call;
	chat(&call, REQUEST(FAR, ""));
	sse(TEXT("all"));
	sse(STOP);
	done(OC_E_IO, 200, "connection reset");
	assert_int_equal(call.status, OC_OK);
	call_free(&call);
	/* An error in the middle. */
	chat(&call, REQUEST(FAR, ""));
	sse(TEXT("a"));
	sse("{\"error\":{\"message\":\"overloaded\",\"code\":503}}");
	assert_int_equal(call.status, OC_E_UNAVAILABLE);
	done(OC_OK, 200, "");
	call_free(&call);
	/* Requests that are none. */
	static const char *const wrong[] = {"", "{", "{}",
					    "{\"endpoint\":{\"baseUrl\":\"ftp://x\"},\"model\":\"m\",\"messages\":[]}"};
	size_t before = host.n_http;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		host.key = i == 2 ? KEY : NULL;
		chat(&call, wrong[i]);
		assert_int_equal(call.status, OC_E_INVALID);
		call_free(&call);
	}
	assert_int_equal(host.n_http, before);
	unload();
}

static void test_models(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	call_init(&call);
	vtbl->models(inst, &call,
		     oc_str_of("{\"endpoint\":{\"provider\":\"acme\",\"baseUrl\":\"" FAR "\",\"secret\":\"k\"}}"));
	assert_string_equal(last()->method, "GET");
	assert_string_equal(last()->url, FAR "/models");
	head(200, "{}");
	done(OC_OK, 200,
	     "{\"object\":\"list\",\"data\":[{\"id\":\"a\",\"context_length\":8192},{\"id\":\"b\",\"name\":\"Bee\",\"max_model_len\":100},{\"x\":1}]}");
	assert_string_equal(
		call.result,
		"{\"models\":[{\"id\":\"a\",\"contextWindow\":8192},{\"id\":\"b\",\"name\":\"Bee\",\"contextWindow\":100}]}");
	call_free(&call);
	call_init(&call);
	vtbl->models(inst, &call,
		     oc_str_of("{\"endpoint\":{\"provider\":\"acme\",\"baseUrl\":\"" FAR "\",\"secret\":\"k\"}}"));
	done(OC_OK, 200, "hello");
	assert_int_equal(call.status, OC_E_PROTOCOL);
	call_free(&call);
	unload();
}

#define EMBED(more) "{\"endpoint\":{\"provider\":\"acme\",\"baseUrl\":\"" FAR "\",\"secret\":\"k\"},\"model\":\"v-1\"" more "}"

static void embed(oc_call *call, const char *request)
{
	call_init(call);
	vtbl->embed(inst, call, oc_str_of(request));
}

static void test_embed(void **state)
{
	oc_call call;
	(void)state;
	load("openai", "{}");
	embed(&call, EMBED(",\"input\":[\"one\",\"\",\"dr\\u00e9i\"],\"dimensions\":2"));
	assert_string_equal(last()->method, "POST");
	assert_string_equal(last()->url, FAR "/embeddings");
	assert_string_equal(last()->body, "{\"model\":\"v-1\",\"input\":[\"one\",\" \",\"dr\303\251i\"],\"dimensions\":2}");
	assert_non_null(strstr(last()->headers, "\"authorization\":\"Bearer " KEY "\""));
	assert_int_equal(last()->request.flags, 0);
	/* In another order; an index says whose each is. */
	done(OC_OK, 200,
	     "{\"object\":\"list\",\"model\":\"v-1-2026\",\"data\":[{\"index\":2,\"embedding\":[5,6]},{\"index\":0,\"embedding\":[ -1.5e-7, 2]},"
	     "{\"index\":1,\"embedding\":[3,4]}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}");
	assert_int_equal(call.status, OC_OK);
	assert_string_equal(call.result, "{\"model\":\"v-1-2026\",\"embeddings\":[[-1.5e-7,2],[3,4],[5,6]],\"usage\":{\"input\":7}}");
	call_free(&call);
	/* Answers that are none. */
	static const char *const bad[] = {
		"hello",
		"{\"data\":{}}",
		"{\"data\":[{\"index\":0,\"embedding\":[1]}]}",
		"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
		"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":2,\"embedding\":[1]}]}",
		"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":-1,\"embedding\":[1]}]}",
		"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[1,2]}]}",
		"{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]},{\"embedding\":[1]}]}",
		"{\"data\":[{\"embedding\":[]},{\"embedding\":[]}]}",
		"{\"data\":[{\"embedding\":\"AACAPw==\"},{\"embedding\":\"AACAPw==\"}]}",
		"{\"data\":[{\"embedding\":[\"1\"]},{\"embedding\":[null]}]}",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		embed(&call, EMBED(",\"input\":[\"a\",\"b\"]"));
		done(OC_OK, 200, bad[i]);
		if (call.status != OC_E_PROTOCOL)
			fail_msg("taken: %s", bad[i]);
		call_free(&call);
	}
	/* Without indexes the order is the texts'. */
	embed(&call, EMBED(",\"input\":[\"a\",\"b\"]"));
	done(OC_OK, 200, "{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}]}");
	assert_string_equal(call.result, "{\"model\":\"v-1\",\"embeddings\":[[1],[2]],\"usage\":{\"input\":0}}");
	call_free(&call);
	/* Errors are read as for answers; a refusal teaches nothing here. */
	embed(&call, EMBED(",\"input\":[\"a\"]"));
	head(400, "{}");
	done(OC_OK, 400, "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens'\",\"code\":\"unsupported_parameter\",\"param\":\"max_tokens\"}}");
	assert_int_equal(call.status, OC_E_INVALID);
	call_free(&call);
	/* Requests that are none start nothing. */
	static const char *const wrong[] = {EMBED(""), EMBED(",\"input\":[]"), EMBED(",\"input\":\"a\""), EMBED(",\"input\":[1]")};
	size_t before = host.n_http;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		embed(&call, wrong[i]);
		assert_int_equal(call.status, OC_E_INVALID);
		call_free(&call);
	}
	assert_int_equal(host.n_http, before);
	/* Cancelled. */
	embed(&call, EMBED(",\"input\":[\"a\"]"));
	vtbl->cancel(inst, &call);
	assert_true(last()->cancelled);
	assert_int_equal(call.status, OC_E_CANCELED);
	call_free(&call);
	unload();
}

static void test_anthropic(void **state)
{
	oc_call call;
	(void)state;
	load("anthropic", "{\"cache\":\"1h\"}");
	static const char request[] =
		"{\"endpoint\":{\"provider\":\"anthropic\",\"baseUrl\":\"https://api.anthropic.com\",\"secret\":\"k\"},\"model\":\"claude-sonnet-5\",\"system\":\"s\",\"messages\":["
		"{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"w\",\"signature\":\"sig\"},{\"type\":\"text\",\"text\":\"x\"}]},{\"role\":\"user\",\"content\":\"on\"}]}";
	chat(&call, request);
	assert_string_equal(last()->url, "https://api.anthropic.com/v1/messages");
	assert_non_null(strstr(last()->headers, "\"x-api-key\":\"" KEY "\""));
	assert_non_null(strstr(last()->headers, "\"anthropic-version\":\"2023-06-01\""));
	assert_null(strstr(last()->headers, "authorization"));
	assert_non_null(strstr(last()->body, "\"ttl\":\"1h\""));
	assert_non_null(strstr(last()->body, "\"signature\":\"sig\""));
	/* Blocks of another account: left out of this conversation, but it is no rule for the next. */
	head(400, "{}");
	done(OC_OK, 400,
	     "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"messages.1.content.0: Invalid `signature` in `thinking` block\"}}");
	assert_null(strstr(last()->body, "\"signature\""));
	head(200, "{}");
	sse("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
	sse("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}");
	sse("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}");
	sse("{\"type\":\"message_stop\"}");
	done(OC_OK, 200, "");
	assert_int_equal(call.status, OC_OK);
	assert_string_equal(call.events.log.p, "T:Hi");
	call_free(&call);
	chat(&call, request);
	assert_non_null(strstr(last()->body, "\"signature\":\"sig\""));
	head(529, "{}");
	done(OC_OK, 529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}");
	assert_int_equal(call.status, OC_E_UNAVAILABLE);
	call_free(&call);
	call_init(&call);
	vtbl->models(
		inst, &call,
		oc_str_of(
			"{\"endpoint\":{\"provider\":\"anthropic\",\"baseUrl\":\"https://api.anthropic.com/v1/\",\"secret\":\"k\"}}"));
	assert_string_equal(last()->url, "https://api.anthropic.com/v1/models?limit=1000");
	done(OC_OK, 200,
	     "{\"data\":[{\"type\":\"model\",\"id\":\"claude-x\",\"display_name\":\"Claude X\"}],\"has_more\":false}");
	assert_string_equal(call.result, "{\"models\":[{\"id\":\"claude-x\",\"name\":\"Claude X\"}]}");
	call_free(&call);
	unload();
}

static uint64_t silence_allowed(const char *base, const char *more)
{
	char request[400];
	oc_call call;
	snprintf(request, sizeof request,
		 "{\"endpoint\":{\"provider\":\"p\",\"baseUrl\":\"%s\",\"secret\":\"k\"%s},\"model\":\"m\",\"messages\":[]}", base, more);
	chat(&call, request);
	uint64_t ms = last()->request.idle_ms;
	done(OC_E_TIMEOUT, 0, "silent");
	assert_int_equal(call.status, OC_E_TIMEOUT);
	call_free(&call);
	return ms;
}

/* The endpoint's own measure, else the module's, else by where it is. */
static void test_silence(void **state)
{
	(void)state;
	load("openai", "");
	assert_int_equal(silence_allowed(FAR, ""), 120000);
	assert_int_equal(silence_allowed("http://127.0.0.1:11434/v1", ""), 300000);
	assert_int_equal(silence_allowed("http://box.local/v1", ",\"idleMs\":4000"), 4000);
	assert_int_equal(desc->reload(inst, OC_STR("{\"idleTimeoutMs\":60000}")), OC_OK);
	assert_int_equal(silence_allowed("http://127.0.0.1:11434/v1", ""), 60000);
	assert_int_equal(silence_allowed(FAR, ",\"idleMs\":900000"), 900000);
	unload();
}

/* Signs of life alone: a server whose model hangs sends those for ever. */
static void test_wordless(void **state)
{
	(void)state;
	oc_call call;
	load("openai", "{\"idleTimeoutMs\":60000}");
	chat(&call, REQUEST(FAR, ""));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(timer_of(true)->ms, 60000);
		timer_of(true)->cb(timer_of(true)->arg);
		sse("PROCESSING");
	}
	sse(TEXT("a word"));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(call.done, 0);
		sse("PROCESSING");
		timer_of(true)->cb(timer_of(true)->arg);
	}
	assert_int_equal(call.status, OC_E_TIMEOUT);
	assert_non_null(strstr(call.result, "the connection is alive, but no word came for 180 seconds"));
	assert_true(last()->cancelled);
	call_free(&call);
	/* It may also be we who do not listen. */
	chat(&call, REQUEST(FAR, ""));
	call.answer = OC_E_BUSY;
	sse(TEXT("a word"));
	for (int i = 0; i < 4; i++)
		timer_of(true)->cb(timer_of(true)->arg);
	assert_int_equal(call.done, 0);
	assert_true(fire());
	sse(STOP);
	done(OC_OK, 200, "");
	assert_int_equal(call.status, OC_OK);
	call_free(&call);
	unload();
}

static void test_config(void **state)
{
	static const char *const wrong[] = {"{", "{\"retries\":11}", "{\"retries\":-1}", "{\"idleTimeoutMs\":1}"};
	(void)state;
	load("openai", "");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		void *other = NULL;
		assert_int_equal(desc->init(&api, &host.self, oc_str_of(wrong[i]), &other), OC_E_INVALID);
		assert_null(other);
		assert_int_equal(desc->reload(inst, oc_str_of(wrong[i])), OC_E_INVALID);
	}
	assert_int_equal(desc->reload(inst, OC_STR("{\"retries\":5}")), OC_OK);
	oc_call call;
	chat(&call, REQUEST(FAR, ""));
	assert_int_equal(last()->request.retries, 5);
	vtbl->cancel(inst, &call);
	call_free(&call);
	unload();
}

static void test_offline(void **state)
{
	oc_call call;
	(void)state;
	load("offline", "{}");
	chat(&call,
	     "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"/think hm hm\\n/echo one two\\n/tool now {\\\"a\\\":1}\"}]}");
	assert_int_equal(call.done, 0); /* never from inside the call */
	while (fire())
		;
	assert_int_equal(call.status, OC_OK);
	assert_string_equal(call.events.log.p,
			    "R:hm hm\nT:one two\nC:{\"id\":\"offline_1_0\",\"name\":\"now\",\"arguments\":{\"a\":1}}\n"
			    "U:{\"input\":13,\"output\":5,\"cacheRead\":0,\"cacheWrite\":0}");
	assert_string_equal(call.result, "{\"stopReason\":\"tool_use\",\"model\":\"echo\"}");
	call_free(&call);
	/* Slowly, word by word, and cancelled on the way. */
	chat(&call, "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"/slow 20 50ms\"}]}");
	fire();
	assert_string_equal(call.events.log.p, "T:word1");
	assert_int_equal(host.timers[0].ms, 50);
	fire();
	fire();
	assert_string_equal(call.events.log.p, "T:word1 word2 word3");
	vtbl->cancel(inst, &call);
	assert_int_equal(call.status, OC_E_CANCELED);
	assert_false(fire());
	call_free(&call);
	/* A slow receiver gets pauses. */
	chat(&call, "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"/echo a b c\"}]}");
	call.answer = OC_E_BUSY;
	int turns = 0;
	while (fire())
		turns++;
	assert_true(turns >= 3);
	assert_int_equal(call.status, OC_OK);
	call_free(&call);
	chat(&call, "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"/error rate 5s\"}]}");
	while (fire())
		;
	assert_int_equal(call.status, OC_E_RATE_LIMIT);
	assert_non_null(strstr(call.result, "\"retryAfterMs\":5000"));
	call_free(&call);
	/* Long ones leave the loop free between. */
	chat(&call, "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"/repeat 1000 a\"}]}");
	for (turns = 0; fire(); turns++)
		;
	assert_true(turns > 3);
	call_free(&call);
	call_init(&call);
	vtbl->models(inst, &call, OC_STR("{}"));
	assert_non_null(strstr(call.result, "\"echo\""));
	wall(oc_str_of(call.result));
	call_free(&call);
	chat(&call, "{\"model\":\"echo\"}");
	assert_int_equal(call.status, OC_E_INVALID);
	call_free(&call);
	chat(&call, "{\"model\":\"echo\",\"messages\":[]}");
	unload();
	assert_int_equal(call.status, OC_E_CANCELED);
	call_free(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),	       cmocka_unit_test(test_keys),
		cmocka_unit_test(test_refusals_teach), cmocka_unit_test(test_refusals_end),
		cmocka_unit_test(test_other_protocol), cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_back_pressure),  cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_errors),	       cmocka_unit_test(test_models),
		cmocka_unit_test(test_embed),
		cmocka_unit_test(test_anthropic),      cmocka_unit_test(test_config),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_wordless),
		cmocka_unit_test(test_offline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
