/* modules/providers/shared: what went wrong, in the host's terms and for people; endpoints. */
#include "prv_test.h"

#include "prv_endpoint.h"

static prv_json parse(const char *text)
{
	prv_json v = {"", 0};
	if (text[0] != 0 && !prv_json_parse(text, strlen(text), &v))
		fail_msg("not parsed: %s", text);
	return v;
}

static prv_fault http_fault(int32_t http, const char *headers, const char *body)
{
	prv_fault f;
	prv_fault_http(&f, http, parse(headers), oc_str_of(body), 1700000000);
	return f;
}

static void test_statuses(void **state)
{
	static const struct {
		int32_t http;
		const char *body;
		oc_status status;
		const char *message; /* part of it */
	} cases[] = {
		{401,
		 "{\"error\":{\"message\":\"Incorrect API key provided\",\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\"}}",
		 OC_E_AUTH, "Incorrect API key"},
		{401,
		 "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}",
		 OC_E_AUTH, "x-api-key"},
		{403, "{\"error\":{\"message\":\"no access\"}}", OC_E_AUTH, "no access"},
		{403, "{\"error\":{\"message\":\"the input was flagged\",\"code\":403}}", OC_E_INVALID, "flagged"},
		{402, "{\"error\":{\"message\":\"Insufficient credits\",\"code\":402}}", OC_E_QUOTA, "credits"},
		{429,
		 "{\"error\":{\"message\":\"You exceeded your current quota\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
		 OC_E_QUOTA, "quota"},
		{429,
		 "{\"error\":{\"message\":\"Rate limit reached\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
		 OC_E_RATE_LIMIT, "Rate limit"},
		{400,
		 "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to access the API\"}}",
		 OC_E_QUOTA, "credit"},
		{400,
		 "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens\",\"code\":\"context_length_exceeded\"}}",
		 OC_E_CONTEXT, "8192"},
		{400,
		 "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}",
		 OC_E_CONTEXT, "210000"},
		{400,
		 "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size\",\"type\":\"exceed_context_size_error\"}}",
		 OC_E_CONTEXT, "context size"},
		{413,
		 "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"Request exceeds the maximum size\"}}",
		 OC_E_CONTEXT, "maximum size"},
		{404, "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":\"model_not_found\"}}",
		 OC_E_NOT_FOUND, "does not exist"},
		{400, "{\"error\":{\"message\":\"x is not a valid model ID\",\"code\":400}}", OC_E_NOT_FOUND,
		 "valid model"},
		{400,
		 "{\"error\":{\"message\":\"Invalid value: 'q'\",\"type\":\"invalid_request_error\",\"param\":\"messages[0].role\"}}",
		 OC_E_INVALID, "Invalid value"},
		{422,
		 "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"user\"],\"msg\":\"Extra inputs are not permitted\"}]}",
		 OC_E_INVALID, "Extra inputs"},
		{500, "{\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}",
		 OC_E_UNAVAILABLE, "server had"},
		{500, "{\"error\":\"model requires more system memory\"}", OC_E_UNAVAILABLE, "memory"},
		{502, "<html><body>Bad Gateway</body></html>", OC_E_UNAVAILABLE, "web page"},
		{503, "", OC_E_UNAVAILABLE, ""},
		{504, "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"timed out\"}}",
		 OC_E_UNAVAILABLE, "timed out"},
		{529,
		 "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"req_1\"}",
		 OC_E_UNAVAILABLE, "Overloaded"},
		{408, "", OC_E_UNAVAILABLE, ""},
		{301, "moved", OC_E_PROTOCOL, "moved"},
		{418, "teapot", OC_E_INVALID, "teapot"},
		{400,
		 "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\",\"status\":\"INVALID_ARGUMENT\"}}]",
		 OC_E_AUTH, "API key not valid"},
		{404, "{\"error\":\"model 'llama9' not found\"}", OC_E_NOT_FOUND, "llama9"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prv_fault f = http_fault(cases[i].http, "", cases[i].body);
		if (f.status != cases[i].status)
			fail_msg("%d %s: got %d, want %d", (int)cases[i].http, cases[i].body, (int)f.status,
				 (int)cases[i].status);
		if (strstr(f.message, cases[i].message) == NULL)
			fail_msg("%s: message is %s", cases[i].body, f.message);
	}
}

static void test_in_stream(void **state)
{
	static const struct {
		const char *body;
		oc_status status;
	} cases[] = {
		{"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
		 OC_E_UNAVAILABLE},
		{"{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\"}}", OC_E_RATE_LIMIT},
		{"{\"error\":{\"code\":502,\"message\":\"Provider disconnected\"}}", OC_E_UNAVAILABLE},
		{"{\"error\":{\"code\":429,\"message\":\"slow down\"}}", OC_E_RATE_LIMIT},
		{"{\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}", OC_E_UNAVAILABLE},
		{"{\"object\":\"error\",\"message\":\"bad things\",\"code\":400}", OC_E_INVALID},
		{"{\"error\":\"an error was encountered\"}", OC_E_UNAVAILABLE},
		{"{\"error\":{\"message\":\"maximum context length is 10\",\"type\":\"invalid_request_error\"}}",
		 OC_E_CONTEXT},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prv_fault f;
		prv_fault_clear(&f);
		assert_true(prv_fault_read(&f, parse(cases[i].body)));
		prv_fault_classify(&f);
		if (f.status != cases[i].status)
			fail_msg("%s: got %d", cases[i].body, (int)f.status);
	}
	prv_fault f;
	prv_fault_clear(&f);
	assert_false(prv_fault_read(&f, parse("{\"choices\":[],\"error\":null}")));
	assert_false(prv_fault_read(&f, parse("3")));
}

static void test_upstream_words(void **state)
{
	(void)state;
	prv_fault f =
		http_fault(400, "",
			   "{\"error\":{\"message\":\"Provider returned error\",\"code\":400,\"metadata\":{\"raw\":"
			   "\"{\\\"error\\\":{\\\"message\\\":\\\"temperature is not supported\\\"}}\"}}}");
	assert_string_equal(f.message, "temperature is not supported");
	f = http_fault(400, "",
		       "{\"error\":{\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"plain words\"}}}");
	assert_string_equal(f.message, "plain words");
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *headers, *message;
		int64_t ms;
	} cases[] = {
		{"{\"retry-after\":\"20\"}", "", 20000},
		{"{\"retry-after\":\"1.5\"}", "", 1500},
		{"{\"retry-after-ms\":\"250\",\"retry-after\":\"9\"}", "", 250},
		{"{\"retry-after\":\"Tue, 14 Nov 2023 22:13:30 GMT\"}", "", 10000},
		{"{\"retry-after\":\"Tue, 14 Nov 2000 22:13:30 GMT\"}", "", 0},
		{"{\"retry-after\":\"soon\"}", "", 0},
		{"{\"retry-after\":\"9e300\"}", "", 86400000},
		{"", "Please try again in 6m0s. Visit", 360000},
		{"", "Please try again in 1.2s.", 1200},
		{"", "try again in 250ms", 250},
		{"", "Please try again in 20 seconds", 20000},
		{"", "Please try again in a while", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = prv_retry_after(parse(cases[i].headers), cases[i].message, 1700000000);
		if (ms != cases[i].ms)
			fail_msg("%s %s: %lld", cases[i].headers, cases[i].message, (long long)ms);
	}
	prv_fault f = http_fault(429, "{\"retry-after\":\"3\"}", "{\"error\":{\"message\":\"slow\"}}");
	assert_int_equal(f.retry_after_ms, 3000);
	f = http_fault(401, "{\"retry-after\":\"3\"}", "{\"error\":{\"message\":\"no\"}}");
	assert_int_equal(f.retry_after_ms, 0);
}

static char *payload(const prv_fault *f, const char *provider, const char *key)
{
	prv_text out;
	prv_place place = {.provider = provider, .host = "api.example.com", .model = "m-1", .key = oc_str_of(key)};
	prv_text_init(&out, 16384);
	prv_fault_payload(f, &place, &out);
	assert_false(out.failed);
	wall(prv_text_view(&out));
	return out.p;
}

static void test_messages(void **state)
{
	(void)state;
	prv_fault f =
		http_fault(429, "{\"retry-after\":\"3\"}", "{\"error\":{\"message\":\"slow\\ndown \\u0007 now\"}}");
	char *text = payload(&f, "acme", "");
	same_json(
		text,
		"{\"message\":\"acme (api.example.com), model m-1: too many requests for now (HTTP 429): slow down now\","
		"\"remedy\":\"try again in 3 s, or name fallback models\",\"retryAfterMs\":3000}");
	free(text);
	f = http_fault(401, "", "");
	text = payload(&f, "acme", "");
	assert_non_null(strstr(text, "models.providers.acme.apiKey"));
	assert_null(strstr(text, "retryAfterMs"));
	free(text);
	f = http_fault(404, "", "{\"error\":\"model not found\"}");
	text = payload(&f, "ollama", "");
	assert_non_null(strstr(text, "ollama pull m-1"));
	free(text);
}

/* No message has the key, however the provider repeats it. */
static void test_redaction(void **state)
{
	static const char *const bodies[] = {
		"{\"error\":{\"message\":\"Incorrect API key provided: zz-9f8e7d6c5b4a. You can find it at x\"}}",
		"{\"error\":{\"message\":\"zz-9f8e7d6c5b4azz-9f8e7d6c5b4a\"}}",
		"key zz-9f8e7d6c5b4a refused",
		"{\"error\":{\"message\":\"bad\",\"code\":\"zz-9f8e7d6c5b4a\",\"param\":\"zz-9f8e7d6c5b4a\"}}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		prv_fault f = http_fault(401, "", bodies[i]);
		char *text = payload(&f, "acme", "zz-9f8e7d6c5b4a");
		if (strstr(text, "9f8e7d") != NULL)
			fail_msg("the key is in %s", text);
		free(text);
	}
	char other[] = "Incorrect key sk-proj-abcdefghijkl and Bearer abcdefgh; the task-management-system is fine";
	prv_redact(other, (oc_str){"", 0});
	assert_string_equal(
		other, "Incorrect key sk-***************** and Bearer ********; the task-management-system is fine");
}

static bool read_endpoint(const char *json, prv_endpoint *e, prv_fault *why)
{
	prv_fault_clear(why);
	return prv_endpoint_read(parse(json), "https://api.default.com/v1", e, why);
}

static void check_url(const prv_endpoint *e, const char *path, const char *want)
{
	prv_text url;
	prv_text_init(&url, 4096);
	prv_endpoint_url(e, path, &url);
	assert_string_equal(url.p, want);
	prv_text_free(&url);
}

static void test_endpoint(void **state)
{
	prv_endpoint e;
	prv_fault why;
	(void)state;
	assert_true(read_endpoint("{\"endpoint\":{\"provider\":\"p\"},\"model\":\"m\"}", &e, &why));
	check_url(&e, "/chat/completions", "https://api.default.com/v1/chat/completions");
	assert_string_equal(e.host, "api.default.com");
	assert_false(e.local);
	assert_true(read_endpoint(
		"{\"endpoint\":{\"baseUrl\":\"HTTPS://User:pw@Box.Example.com:8443/v1//?api-version=2\"}}", &e, &why));
	check_url(&e, "/models", "HTTPS://User:pw@Box.Example.com:8443/v1/models?api-version=2");
	assert_string_equal(e.host, "box.example.com:8443");
	assert_true(prv_endpoint_is(&e, "example.com"));
	assert_false(prv_endpoint_is(&e, "ample.com"));
	assert_true(read_endpoint("{\"endpoint\":{\"baseUrl\":\"http://127.0.0.1:9/v1/chat/completions\"}}", &e, &why));
	check_url(&e, "/chat/completions", "http://127.0.0.1:9/v1/chat/completions");
	static const char *const wrong[] = {"ftp://x/", "x", "https://", "https:///v1", "https://?x"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char json[200];
		snprintf(json, sizeof(json), "{\"endpoint\":{\"provider\":\"p\",\"baseUrl\":\"%s\"}}", wrong[i]);
		if (read_endpoint(json, &e, &why))
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(why.status, OC_E_INVALID);
	}
}

static void test_local(void **state)
{
	static const char *const local[] = {"127.0.0.1:11434", "localhost", "mybox:8000",
					    "192.168.1.5",     "10.0.0.1",  "172.20.0.1",
					    "box.local",       "[::1]:80",  "host.docker.internal",
					    "100.100.1.1"};
	static const char *const far[] = {"api.openai.com", "8.8.8.8",	      "172.32.0.1",
					  "192.169.0.1",    "10.example.com", "127.0.0.1.evil.com"};
	prv_endpoint e;
	prv_fault why;
	char json[200];
	(void)state;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		snprintf(json, sizeof(json), "{\"endpoint\":{\"baseUrl\":\"http://%s/v1\"}}", local[i]);
		assert_true(read_endpoint(json, &e, &why));
		if (!e.local)
			fail_msg("not local: %s", local[i]);
	}
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		snprintf(json, sizeof(json), "{\"endpoint\":{\"baseUrl\":\"http://%s/v1\"}}", far[i]);
		assert_true(read_endpoint(json, &e, &why));
		if (e.local)
			fail_msg("local: %s", far[i]);
	}
}

static void test_headers(void **state)
{
	prv_endpoint e;
	prv_fault why;
	prv_text out;
	(void)state;
	assert_true(read_endpoint("{\"endpoint\":{\"headers\":{\"Authorization\":\"Mine \\\"x\\\"\",\"X-N\":3}}}", &e,
				  &why));
	prv_text_init(&out, 4096);
	prv_endpoint_headers(&e, &out);
	prv_endpoint_header(&e, "authorization", "Bearer ", OC_STR("k"), &out);
	prv_endpoint_header(&e, "x-one", "", OC_STR("a\"b"), &out);
	prv_text_char(&out, '}');
	same_json(out.p, "{\"Authorization\":\"Mine \\\"x\\\"\",\"x-one\":\"a\\\"b\"}");
	prv_text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),       cmocka_unit_test(test_in_stream),
		cmocka_unit_test(test_upstream_words), cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_messages),       cmocka_unit_test(test_redaction),
		cmocka_unit_test(test_endpoint),       cmocka_unit_test(test_local),
		cmocka_unit_test(test_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
