/* modules/providers/openai/request.c: bodies of chat completions, and what refusals teach. */
#include "prv_test.h"

#include "responses.h"

/* The body for a request, to free(); NULL when it is refused. */
static char *build_with(const char *request, prv_quirks quirks)
{
	prv_json doc;
	prv_endpoint e;
	prv_fault why;
	prv_text out;
	prv_fault_clear(&why);
	if (!prv_json_parse(request, strlen(request), &doc))
		fail_msg("not JSON: %s", request);
	assert_true(prv_endpoint_read(doc, "https://api.openai.com/v1", &e, &why));
	prv_text_init(&out, 1 << 20);
	if (!oai_request_build(doc, &e, &quirks, &out, &why)) {
		assert_int_not_equal(why.status, OC_OK);
		assert_true(why.message[0] != 0);
		prv_text_free(&out);
		return NULL;
	}
	wall(prv_text_view(&out));
	return out.p;
}

static char *build(const char *request)
{
	return build_with(request, (prv_quirks){0, 0});
}

static void builds(const char *request, const char *want)
{
	char *got = build(request);
	assert_non_null(got);
	same_json(got, want);
	free(got);
}

/* The messages of the body alone. */
static void messages(const char *endpoint, const char *history, const char *want)
{
	char request[8192];
	snprintf(request, sizeof(request), "{\"endpoint\":%s,\"model\":\"m\",\"messages\":%s}", endpoint, history);
	char *got = build(request);
	assert_non_null(got);
	cJSON *doc = cJSON_Parse(got);
	char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(doc, "messages"));
	same_json(text, want);
	free(text);
	cJSON_Delete(doc);
	free(got);
}

/* One member of the body, as text; "-" when it is not there. */
static void member(const char *head, unsigned bits, const char *name, const char *want)
{
	char request[4096];
	snprintf(request, sizeof(request),
		 "{%s,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}", head);
	char *got = build_with(request, (prv_quirks){bits, 0});
	assert_non_null(got);
	cJSON *doc = cJSON_Parse(got);
	char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(doc, name));
	if (strcmp(text != NULL ? text : "-", want) != 0)
		fail_msg("%s: %s is %s, want %s", head, name, text, want);
	free(text);
	cJSON_Delete(doc);
	free(got);
}

#define AT_OPENAI "\"endpoint\":{\"provider\":\"openai\"}"
#define AT_OTHER  "\"endpoint\":{\"provider\":\"acme\",\"baseUrl\":\"https://llm.example.com/v1\"}"
#define TOOL \
	"\"tools\":[{\"name\":\"read\",\"description\":\"Reads\",\"parameters\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"maximum\":12345678901234567890}}}},{\"name\":\"now\"}]"

static void test_whole(void **state)
{
	(void)state;
	builds("{" AT_OTHER
	       ",\"model\":\"m-1\",\"system\":\"Be \\\"kind\\\".\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],"
	       "\"maxTokens\":100,\"temperature\":0.5,\"stop\":[\"X\"],\"user\":\"u1\",\"thinking\":\"low\"," TOOL "}",
	       "{\"model\":\"m-1\",\"messages\":[{\"role\":\"system\",\"content\":\"Be \\\"kind\\\".\"},{\"role\":\"user\",\"content\":\"hi\"}],"
	       "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\",\"description\":\"Reads\",\"parameters\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"maximum\":12345678901234567890}}}}},"
	       "{\"type\":\"function\",\"function\":{\"name\":\"now\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],"
	       "\"max_tokens\":100,\"reasoning_effort\":\"low\",\"temperature\":0.5,\"stop\":[\"X\"],\"user\":\"u1\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	/* Schemas keep their digits. */
	char *got =
		build("{" AT_OTHER ",\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]," TOOL "}");
	assert_non_null(strstr(got, "12345678901234567890"));
	free(got);
}

static void test_refused(void **state)
{
	(void)state;
	assert_null(build("{" AT_OTHER ",\"messages\":[]}"));
	assert_null(build("{" AT_OTHER ",\"model\":\"m\"}"));
	assert_null(build("{" AT_OTHER ",\"model\":\"m\",\"messages\":{}}"));
}

static void test_images(void **state)
{
	(void)state;
	messages(
		"{}",
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"what?\"},{\"type\":\"image\",\"mime\":\"image/jpeg\",\"data\":\"QUJD/+==\"},{\"type\":\"image\",\"data\":\"QQ==\"}]}]",
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"what?\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,QUJD/+==\"}},"
		"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,QQ==\"}}]}]");
	char *got = build_with(
		"{" AT_OTHER
		",\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"data\":\"QQ==\"},{\"type\":\"text\",\"text\":\"a\"}]}]}",
		(prv_quirks){OAI_NO_IMAGES, 0});
	assert_non_null(strstr(got, "[image]"));
	assert_null(strstr(got, "QQ=="));
	free(got);
}

static void test_tool_turns(void **state)
{
	(void)state;
	/* two parallel calls, one failed; texts of several parts */
	messages(
		"{}",
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"read\",\"arguments\":{\"x\":\"1\\n\"}},"
		"{\"type\":\"tool_call\",\"id\":\"c2\",\"name\":\"now\",\"arguments\":{}}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"c2\",\"name\":\"now\",\"content\":[{\"type\":\"text\",\"text\":\"late\"}],\"isError\":true},"
		"{\"role\":\"tool\",\"toolCallId\":\"c1\",\"name\":\"read\",\"content\":[]}]",
		"[{\"role\":\"user\",\"content\":\"a\\n\\nb\"},{\"role\":\"assistant\",\"content\":\"look\",\"tool_calls\":["
		"{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{\\\"x\\\":\\\"1\\\\n\\\"}\"}},"
		"{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"now\",\"arguments\":\"{}\"}}]},"
		"{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"(no output)\"},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"[tool error] late\"}]");
}

static void test_loose_ends(void **state)
{
	(void)state;
	/* a call without a result; a result without a call; a result after what the user said in between */
	messages(
		"{}",
		"[{\"role\":\"tool\",\"toolCallId\":\"old\",\"content\":[{\"type\":\"text\",\"text\":\"gone\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}},{\"type\":\"tool_call\",\"id\":\"c2\",\"name\":\"g\",\"arguments\":{}}]},"
		"{\"role\":\"user\",\"content\":\"wait\"},{\"role\":\"tool\",\"toolCallId\":\"c2\",\"content\":\"two\"},{\"role\":\"assistant\",\"content\":[]}]",
		"[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
		"{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
		"{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"No result: the call was interrupted.\"},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"},"
		"{\"role\":\"user\",\"content\":\"wait\"}]");
}

static void test_result_images(void **state)
{
	(void)state;
	messages(
		"{}",
		"[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"shot\",\"arguments\":{}}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":[{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"QQ==\"}]}]",
		"[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"shot\",\"arguments\":\"{}\"}}]},"
		"{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"[image]\"},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Images from the tool results:\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,QQ==\"}}]}]");
}

/* Ids of other models' calls, in the form this one takes, the same for call and result. */
static void test_ids(void **state)
{
	(void)state;
	static const char history[] =
		"[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"toolu_0123456789012345678901234567890123456789\",\"name\":\"f\",\"arguments\":{}}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"toolu_0123456789012345678901234567890123456789\",\"name\":\"f\",\"content\":\"x\"}]";
	static const char *const endpoints[] = {"{}",
						"{\"provider\":\"mistral\",\"baseUrl\":\"https://api.mistral.ai/v1\"}"};
	for (size_t i = 0; i < 2; i++) {
		char request[2048];
		snprintf(request, sizeof(request), "{\"endpoint\":%s,\"model\":\"m\",\"messages\":%s}", endpoints[i],
			 history);
		char *got = build(request);
		cJSON *doc = cJSON_Parse(got), *list = cJSON_GetObjectItem(doc, "messages");
		const char *call = cJSON_GetStringValue(cJSON_GetObjectItem(
			cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "tool_calls"), 0), "id"));
		const char *result =
			cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 1), "tool_call_id"));
		assert_string_equal(call, result);
		assert_true(i == 0 ? strlen(call) <= 40 : strlen(call) == 9);
		if (i == 1)
			assert_string_equal(cJSON_GetStringValue(
						    cJSON_GetObjectItem(cJSON_GetArrayItem(list, 1), "name")),
					    "f");
		cJSON_Delete(doc);
		free(got);
	}
}

static void test_reasoning_back(void **state)
{
	(void)state;
	static const char history[] =
		"[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"hm\",\"signature\":\"\",\"field\":\"reasoning_content\",\"provider\":\"deepseek\"},"
		"{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}]},{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":\"x\"},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"hm2\",\"signature\":\"\",\"field\":\"reasoning_content\",\"provider\":\"deepseek\"},{\"type\":\"text\",\"text\":\"done\"}]}]";
	static const char calls[] =
		"\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"done\"}]";
	char want[1024];
	snprintf(want, sizeof(want), "[{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",%s",
		 calls);
	messages("{\"provider\":\"deepseek\",\"baseUrl\":\"https://api.deepseek.com\"}", history, want);
	/* not to anybody else */
	snprintf(want, sizeof(want), "[{\"role\":\"assistant\",\"content\":null,%s", calls);
	messages("{\"provider\":\"groq\",\"baseUrl\":\"https://api.groq.com/openai/v1\"}", history, want);
}

static void test_signatures_back(void **state)
{
	(void)state;
	static const char details[] =
		"[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"\",\"field\":\"reasoning_details\",\"provider\":\"openrouter\",\"details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"A\"}]},"
		"{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}]},{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":\"x\"}]";
	static const char rest[] =
		"\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"x\"}]";
	char want[1024];
	snprintf(want, sizeof(want), "[{\"role\":\"assistant\",\"content\":null,\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"A\"}],%s", rest);
	messages("{\"provider\":\"openrouter\",\"baseUrl\":\"https://openrouter.ai/api/v1\"}", details, want);
	snprintf(want, sizeof(want), "[{\"role\":\"assistant\",\"content\":null,%s", rest);
	messages("{\"provider\":\"groq\",\"baseUrl\":\"https://api.groq.com/openai/v1\"}", details, want);
	/* Gemini: its own signature on the call it came with; on calls of others the word that it takes instead, once */
#define GOOGLE "{\"provider\":\"google\",\"baseUrl\":\"https://generativelanguage.googleapis.com/v1beta/openai\"},\"model\":\"gemini-3-pro-preview\""
#define TWO(first, second)                                                                                                     \
	"[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}" first \
	"},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}" second                                   \
	"}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"x\"},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"y\"}]"
#define CALLS                                                                                                                  \
	"{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}},{\"type\":\"tool_call\",\"id\":\"c2\",\"name\":\"g\",\"arguments\":{}}]}," \
	"{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":\"x\"},{\"role\":\"tool\",\"toolCallId\":\"c2\",\"content\":\"y\"}]"
	static const char signed_calls[] = "[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"\",\"field\":\"extra_content\",\"provider\":\"google\",\"calls\":["
					   "{\"google\":{\"thought_signature\":\"c2ln\"}},null]}," CALLS;
	messages(GOOGLE, signed_calls, TWO(",\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}}", ""));
	messages("{\"provider\":\"other\",\"baseUrl\":\"https://llm.example.com/v1\"}", signed_calls, TWO("", ""));
	messages(GOOGLE, "[{\"role\":\"assistant\",\"content\":[" CALLS,
		 TWO(",\"extra_content\":{\"google\":{\"thought_signature\":\"skip_thought_signature_validator\"}}", ""));
	messages("{\"provider\":\"google\",\"baseUrl\":\"https://generativelanguage.googleapis.com/v1beta/openai\"},\"model\":\"gemini-2.5-flash\"",
		 "[{\"role\":\"assistant\",\"content\":[" CALLS, TWO("", ""));
}

static void test_effort(void **state)
{
	static const struct {
		const char *head, *want;
	} cases[] = {
		{AT_OPENAI ",\"model\":\"gpt-4o\",\"thinking\":\"high\"", "-"},
		{AT_OPENAI ",\"model\":\"gpt-5-chat-latest\",\"thinking\":\"high\"", "-"},
		{AT_OPENAI ",\"model\":\"gpt-5\",\"thinking\":\"off\"", "\"minimal\""},
		{AT_OPENAI ",\"model\":\"gpt-5-mini\",\"thinking\":\"minimal\"", "\"minimal\""},
		{AT_OPENAI ",\"model\":\"gpt-5.1\",\"thinking\":\"off\"", "\"none\""},
		{AT_OPENAI ",\"model\":\"gpt-5.2\",\"thinking\":\"xhigh\"", "\"xhigh\""},
		{AT_OPENAI ",\"model\":\"gpt-5\",\"thinking\":\"xhigh\"", "\"high\""},
		{AT_OPENAI ",\"model\":\"o4-mini\",\"thinking\":\"off\"", "\"low\""},
		{AT_OPENAI ",\"model\":\"o4-mini\",\"thinking\":\"medium\"", "\"medium\""},
		{AT_OPENAI ",\"model\":\"gpt-5\"", "-"},
		{AT_OPENAI ",\"model\":\"gpt-5.4\",\"thinking\":\"high\"", "\"high\""},
		{AT_OPENAI ",\"model\":\"gpt-5.4\",\"thinking\":\"high\"," TOOL, "\"none\""},
		{AT_OPENAI ",\"model\":\"gpt-5.4\"," TOOL, "-"},
		{AT_OPENAI ",\"model\":\"gpt-6-sol\"," TOOL, "\"none\""},
		{AT_OPENAI ",\"model\":\"gpt-5.2\",\"thinking\":\"high\"," TOOL, "\"high\""},
		{AT_OPENAI ",\"model\":\"gpt-oss-20b\",\"thinking\":\"high\"", "-"},
		{AT_OTHER ",\"model\":\"m\",\"thinking\":\"off\"", "-"},
		{AT_OTHER ",\"model\":\"m\",\"thinking\":\"minimal\"", "\"low\""},
		{AT_OTHER ",\"model\":\"m\",\"thinking\":\"medium\"", "\"medium\""},
		{AT_OTHER ",\"model\":\"m\",\"thinking\":\"xhigh\"", "\"high\""},
		{"\"endpoint\":{\"provider\":\"ollama\",\"baseUrl\":\"http://127.0.0.1:11434/v1\"},\"model\":\"m\",\"thinking\":\"off\"",
		 "\"none\""},
		{"\"endpoint\":{\"provider\":\"deepseek\",\"baseUrl\":\"https://api.deepseek.com\"},\"model\":\"m\",\"thinking\":\"low\"",
		 "\"high\""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		member(cases[i].head, 0, "reasoning_effort", cases[i].want);
	member("\"endpoint\":{\"provider\":\"deepseek\",\"baseUrl\":\"https://api.deepseek.com\"},\"model\":\"m\",\"thinking\":\"off\"",
	       0, "thinking", "{\"type\":\"disabled\"}");
	member(AT_OTHER ",\"model\":\"m\",\"thinking\":\"high\"", OAI_NO_EFFORT, "reasoning_effort", "-");
	member(AT_OTHER ",\"model\":\"m\",\"thinking\":\"high\"," TOOL, OAI_EFFORT_NONE, "reasoning_effort",
	       "\"none\"");
	member(AT_OPENAI ",\"model\":\"gpt-6.1-sol\",\"thinking\":\"off\"", OAI_EFFORT_LOW, "reasoning_effort",
	       "\"low\"");
}

static void test_parameters(void **state)
{
	(void)state;
	member(AT_OPENAI ",\"model\":\"gpt-4o\",\"maxTokens\":7", 0, "max_completion_tokens", "7");
	member(AT_OPENAI ",\"model\":\"gpt-4o\",\"maxTokens\":7", 0, "max_tokens", "-");
	member(AT_OTHER ",\"model\":\"m\",\"maxTokens\":7", 0, "max_tokens", "7");
	member(AT_OTHER ",\"model\":\"m\",\"maxTokens\":7", OAI_OTHER_LIMIT, "max_completion_tokens", "7");
	member(AT_OPENAI ",\"model\":\"gpt-4o\",\"temperature\":0.2", 0, "temperature", "0.2");
	member(AT_OPENAI ",\"model\":\"gpt-5\",\"temperature\":0.2", 0, "temperature", "-");
	member(AT_OPENAI ",\"model\":\"gpt-5\",\"stop\":[\"x\"]", 0, "stop", "-");
	member(AT_OTHER ",\"model\":\"m\",\"temperature\":0.2", OAI_NO_TEMPERATURE, "temperature", "-");
	member(AT_OTHER ",\"model\":\"m\"", OAI_NO_STREAM_USAGE, "stream_options", "-");
	member(AT_OTHER ",\"model\":\"m\"," TOOL, OAI_NO_TOOLS, "tools", "-");
	member("\"endpoint\":{\"provider\":\"mistral\",\"baseUrl\":\"https://api.mistral.ai/v1\"},\"model\":\"m\",\"user\":\"u\"",
	       0, "user", "-");
	char *got =
		build_with("{" AT_OTHER
			   ",\"model\":\"m\",\"maxTokens\":90000,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
			   (prv_quirks){0, 4096});
	assert_non_null(strstr(got, "\"max_tokens\":4096"));
	free(got);
}

/* Refusals of real servers, and the bits they set, one after the other. */
static void test_learning(void **state)
{
	static const struct {
		int32_t http;
		const char *body;
		unsigned bits;
	} cases[] = {
		{400,
		 "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.\",\"type\":\"invalid_request_error\",\"param\":\"max_tokens\",\"code\":\"unsupported_parameter\"}}",
		 OAI_OTHER_LIMIT},
		{400,
		 "{\"error\":{\"message\":\"Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.\",\"param\":\"temperature\",\"code\":\"unsupported_value\"}}",
		 OAI_NO_TEMPERATURE},
		{400,
		 "{\"error\":{\"message\":\"Function tools with reasoning_effort are not supported for gpt-5.6-luna in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.\",\"param\":\"reasoning_effort\"}}",
		 OAI_RESPONSES},
		{400,
		 "{\"error\":{\"message\":\"Unsupported value: 'reasoning_effort' does not support 'none' with this model.\",\"param\":\"reasoning_effort\",\"code\":\"unsupported_value\"}}",
		 OAI_EFFORT_LOW},
		{400, "{\"error\":{\"message\":\"Unrecognized request argument supplied: reasoning_effort\"}}",
		 OAI_NO_EFFORT},
		{400, "{\"error\":{\"message\":\"registry.ollama.ai/library/gemma3:latest does not support tools\"}}",
		 OAI_NO_TOOLS},
		{404, "{\"error\":{\"message\":\"No endpoints found that support tool use.\",\"code\":404}}",
		 OAI_NO_TOOLS},
		{400, "{\"error\":{\"message\":\"\\\"llama3\\\" does not support thinking\"}}", OAI_NO_EFFORT},
		{422,
		 "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"stream_options\"],\"msg\":\"Extra inputs are not permitted\"}]}",
		 OAI_NO_STREAM_USAGE},
		{404, "{\"error\":{\"message\":\"No endpoints found that support image input\",\"code\":404}}",
		 OAI_NO_IMAGES},
		{500,
		 "{\"error\":{\"code\":500,\"message\":\"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj\"}}",
		 OAI_NO_IMAGES},
		{400,
		 "{\"error\":{\"message\":\"Unsupported parameter: 'stop' is not supported with this model.\",\"param\":\"stop\"}}",
		 OAI_NO_STOP},
		{401, "{\"error\":{\"message\":\"temperature is not supported\"}}", 0},
		{400,
		 "{\"error\":{\"message\":\"Invalid value for 'temperature': must be a number\",\"param\":\"temperature\"}}",
		 0},
		{400, "{\"error\":{\"message\":\"please stop, user\"}}", 0},
		{404, "{\"error\":{\"message\":\"The model `x` does not exist\"}}", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prv_fault f;
		prv_quirks q = {0, 0};
		prv_fault_http(&f, cases[i].http, (prv_json){"", 0}, oc_str_of(cases[i].body), 0);
		const char *text = oai_request_learn(&f, &q);
		if (q.bits != cases[i].bits || (text != NULL) != (cases[i].bits != 0))
			fail_msg("%s: learned %x (%s)", cases[i].body, q.bits, text != NULL ? text : "-");
		/* The same again teaches nothing more: no endless asking. */
		for (int round = 0; round < 40 && text != NULL; round++)
			text = oai_request_learn(&f, &q);
		assert_null(text);
	}
	prv_fault f;
	prv_quirks q = {0, 0};
	prv_fault_http(
		&f, 400, (prv_json){"", 0},
		OC_STR("{\"error\":{\"message\":\"max_tokens is too large: 100000. This model supports at most 16384 completion tokens\",\"param\":\"max_tokens\"}}"),
		0);
	assert_non_null(oai_request_learn(&f, &q));
	assert_int_equal(q.max_tokens, 16384);
	assert_int_equal(q.bits, 0);
}

/* ---- The Responses API ---- */

static char *respond(const char *request, prv_quirks quirks)
{
	prv_json doc;
	prv_endpoint e;
	prv_fault why;
	prv_text out;
	prv_fault_clear(&why);
	assert_true(prv_json_parse(request, strlen(request), &doc));
	assert_true(prv_endpoint_read(doc, "https://api.openai.com/v1", &e, &why));
	prv_text_init(&out, 1 << 20);
	if (!oai_responses_build(doc, &e, &quirks, &out, &why)) {
		assert_int_not_equal(why.status, OC_OK);
		prv_text_free(&out);
		return NULL;
	}
	wall(prv_text_view(&out));
	return out.p;
}

static void responds(const char *request, const char *want)
{
	char *got = respond(request, (prv_quirks){0, 0});
	assert_non_null(got);
	same_json(got, want);
	free(got);
}

static void test_responses(void **state)
{
	(void)state;
	responds(
		"{" AT_OPENAI
		",\"model\":\"gpt-6.2-sol\",\"system\":\"S\",\"maxTokens\":100,\"temperature\":0.5,\"thinking\":\"off\",\"user\":\"u\"," TOOL
		",\"messages\":["
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"QQ==\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"reasoning\",\"provider\":\"openai\",\"model\":\"gpt-6.2-sol\",\"item\":{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"encrypted_content\":\"zz\"}},"
		"{\"type\":\"text\",\"text\":\"ok\"},{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"read\",\"arguments\":{\"n\":12345678901234567890}},{\"type\":\"tool_call\",\"id\":\"c2\",\"name\":\"now\"}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"bad\"},{\"type\":\"image\",\"data\":\"QQ==\"}],\"isError\":true},{\"role\":\"user\",\"content\":\"and\"}]}",
		"{\"model\":\"gpt-6.2-sol\",\"instructions\":\"S\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"look\"},{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,QQ==\"}]},"
		"{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"encrypted_content\":\"zz\"},{\"role\":\"assistant\",\"content\":\"ok\"},"
		"{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"read\",\"arguments\":\"{\\\"n\\\":12345678901234567890}\"},{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"now\",\"arguments\":\"{}\"},"
		"{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":\"[tool error]\"},{\"type\":\"input_text\",\"text\":\"bad\"},{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,QQ==\"}]},"
		"{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"No result: the call was interrupted.\"},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"and\"}]}],"
		"\"tools\":[{\"type\":\"function\",\"strict\":false,\"name\":\"read\",\"description\":\"Reads\",\"parameters\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"maximum\":12345678901234567890}}}},"
		"{\"type\":\"function\",\"strict\":false,\"name\":\"now\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}],"
		"\"max_output_tokens\":100,\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"include\":[\"reasoning.encrypted_content\"],\"user\":\"u\",\"store\":false,\"stream\":true}");
	/* texts alone are one string */
	responds(
		"{" AT_OPENAI
		",\"model\":\"gpt-4.1\",\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}],\"isError\":true}]}",
		"{\"model\":\"gpt-4.1\",\"input\":[{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"[tool error] a\\nb\"}],"
		"\"store\":false,\"stream\":true}");
	/* no reasoning model: sampling instead */
	responds(
		"{" AT_OPENAI
		",\"model\":\"gpt-4.1\",\"maxTokens\":5,\"temperature\":0.5,\"thinking\":\"high\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
		"{\"model\":\"gpt-4.1\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\"}]}],\"max_output_tokens\":16,\"temperature\":0.5,\"store\":false,\"stream\":true}");
	assert_null(respond("{" AT_OPENAI ",\"messages\":[]}", (prv_quirks){0, 0}));
}

/* Reasoning goes back to the model that made it, beside the calls it led to. */
static void test_responses_reasoning(void **state)
{
	static const char format[] =
		"{\"endpoint\":{\"provider\":\"%s\"},\"model\":\"%s\",\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"reasoning\",\"provider\":\"openai\",\"model\":\"gpt-6-sol\","
		"\"item\":{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"encrypted_content\":\"zz\"}},%s]}]}";
	static const struct {
		const char *provider, *model, *part;
		unsigned bits;
		bool back;
	} cases[] = {
		{"openai", "gpt-6-sol", "{\"type\":\"tool_call\",\"id\":\"c\",\"name\":\"f\"}", 0, true},
		{"openai", "gpt-6-sol", "{\"type\":\"text\",\"text\":\"x\"}", 0, false},
		{"openai", "gpt-6-luna", "{\"type\":\"tool_call\",\"id\":\"c\",\"name\":\"f\"}", 0, false},
		{"acme", "gpt-6-sol", "{\"type\":\"tool_call\",\"id\":\"c\",\"name\":\"f\"}", 0, false},
		{"openai", "gpt-6-sol", "{\"type\":\"tool_call\",\"id\":\"c\",\"name\":\"f\"}", OAI_NO_ENCRYPTED,
		 false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char request[1024];
		snprintf(request, sizeof(request), format, cases[i].provider, cases[i].model, cases[i].part);
		char *got = respond(request, (prv_quirks){cases[i].bits, 0});
		if ((strstr(got, "rs_1") != NULL) != cases[i].back)
			fail_msg("%zu: %s", i, got);
		free(got);
	}
}

static void test_which_protocol(void **state)
{
	static const struct {
		const char *head;
		unsigned bits;
		bool responses;
	} cases[] = {
		{AT_OPENAI ",\"model\":\"gpt-6.2-sol\"," TOOL, 0, true},
		{AT_OPENAI ",\"model\":\"gpt-6.2-sol\"", 0, false},
		{AT_OPENAI ",\"model\":\"gpt-5.2\"," TOOL, 0, false},
		{AT_OPENAI ",\"model\":\"gpt-4.1\"," TOOL, 0, false},
		{AT_OPENAI ",\"model\":\"gpt-6.2-sol\"," TOOL, OAI_NO_RESPONSES, false},
		{AT_OTHER ",\"model\":\"gpt-6.2-sol\"," TOOL, 0, false},
		{AT_OTHER ",\"model\":\"gpt-6.2-sol\"", OAI_RESPONSES, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char request[1024];
		prv_json doc;
		prv_endpoint e;
		prv_fault why;
		snprintf(request, sizeof(request), "{%s}", cases[i].head);
		assert_true(prv_json_parse(request, strlen(request), &doc));
		assert_true(prv_endpoint_read(doc, "https://api.openai.com/v1", &e, &why));
		if (oai_request_wants_responses(doc, &e, cases[i].bits) != cases[i].responses)
			fail_msg("%s", cases[i].head);
	}
	/* An endpoint that names the Responses API and has none is asked the old way again, without reasoning. */
	prv_fault f;
	prv_quirks q = {OAI_RESPONSES, 0};
	prv_fault_http(&f, 404, (prv_json){"", 0}, OC_STR("not found"), 0);
	assert_non_null(oai_request_learn(&f, &q));
	assert_true((q.bits & OAI_NO_RESPONSES) != 0);
	prv_fault_http(
		&f, 400, (prv_json){"", 0},
		OC_STR("{\"error\":{\"message\":\"Function tools with reasoning_effort are not supported. Use /v1/responses or set reasoning_effort to 'none'.\"}}"),
		0);
	assert_non_null(oai_request_learn(&f, &q));
	assert_true((q.bits & OAI_EFFORT_NONE) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_tool_turns),
		cmocka_unit_test(test_loose_ends),
		cmocka_unit_test(test_result_images),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_reasoning_back), cmocka_unit_test(test_signatures_back),
		cmocka_unit_test(test_effort),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_learning),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_responses_reasoning),
		cmocka_unit_test(test_which_protocol),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
