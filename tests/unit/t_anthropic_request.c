/* modules/providers/anthropic/request.c: bodies of the messages protocol, and what refusals teach. */
#include "prv_test.h"

#include "request.h"

static char *build_with(const char *request, prv_quirks quirks, const char *ttl, const char **ret_beta)
{
	prv_json doc;
	prv_endpoint e;
	prv_fault why;
	prv_text out;
	const char *beta = NULL;
	ant_options options = {.cache_ttl = ttl};
	prv_fault_clear(&why);
	if (!prv_json_parse(request, strlen(request), &doc))
		fail_msg("not JSON: %s", request);
	assert_true(prv_endpoint_read(doc, "https://api.anthropic.com", &e, &why));
	prv_text_init(&out, 1 << 20);
	if (!ant_request_build(doc, &e, &quirks, &options, &out, &beta, &why)) {
		assert_int_not_equal(why.status, OC_OK);
		prv_text_free(&out);
		return NULL;
	}
	wall(prv_text_view(&out));
	if (ret_beta != NULL)
		*ret_beta = beta;
	return out.p;
}

static void messages(const char *model, unsigned bits, const char *history, const char *want)
{
	char request[8192];
	snprintf(request, sizeof(request), "{\"model\":\"%s\",\"messages\":%s}", model, history);
	char *got = build_with(request, (prv_quirks){bits, 0}, NULL, NULL);
	assert_non_null(got);
	cJSON *doc = cJSON_Parse(got);
	char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(doc, "messages"));
	same_json(text, want);
	free(text);
	cJSON_Delete(doc);
	free(got);
}

/* max_tokens, thinking, output_config and temperature of the body, in this order. */
static void settings(const char *head, prv_quirks quirks, const char *want)
{
	static const char *const names[] = {"max_tokens", "thinking", "output_config", "temperature"};
	char request[4096];
	prv_text line;
	snprintf(request, sizeof(request), "{%s,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", head);
	char *got = build_with(request, quirks, NULL, NULL);
	assert_non_null(got);
	cJSON *doc = cJSON_Parse(got);
	prv_text_init(&line, 4096);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(doc, names[i]));
		prv_text_printf(&line, "%s%s", i > 0 ? " " : "", text != NULL ? text : "-");
		free(text);
	}
	if (strcmp(line.p, want) != 0)
		fail_msg("%s:\ngot  %s\nwant %s", head, line.p, want);
	prv_text_free(&line);
	cJSON_Delete(doc);
	free(got);
}

#define TOOLS \
	"\"tools\":[{\"name\":\"now\"},{\"name\":\"read\",\"description\":\"Reads\",\"parameters\":{\"type\":\"object\"}}]"
#define MARK "\"cache_control\":{\"type\":\"ephemeral\"}"

/* The whole, with the marks for prompt caching where they belong. */
static void test_caching(void **state)
{
	(void)state;
	static const char request[] =
		"{\"model\":\"claude-haiku-4-5\",\"system\":\"Be kind.\",\"maxTokens\":100,\"stop\":[\"X\"],\"user\":\"u1\"," TOOLS
		",\"messages\":["
		"{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"1\"}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"two\"},{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"QQ==\"}]},{\"role\":\"assistant\",\"content\":\"2\"},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"three\"}]}]}";
	char *got = build_with(request, (prv_quirks){0, 0}, "5m", NULL);
	same_json(
		got,
		"{\"model\":\"claude-haiku-4-5\",\"system\":[{\"type\":\"text\",\"text\":\"Be kind.\"," MARK "}],"
		"\"tools\":[{\"name\":\"now\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}},{\"name\":\"read\",\"description\":\"Reads\",\"input_schema\":{\"type\":\"object\"}," MARK
		"}],"
		"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"1\"}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"two\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"QQ==\"}," MARK
		"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"2\"}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"three\"," MARK
		"}]}],"
		"\"max_tokens\":100,\"stop_sequences\":[\"X\"],\"metadata\":{\"user_id\":\"u1\"},\"stream\":true}");
	free(got);
	got = build_with(request, (prv_quirks){0, 0}, "1h", NULL);
	assert_non_null(strstr(got, "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"));
	free(got);
	got = build_with(request, (prv_quirks){0, 0}, NULL, NULL);
	assert_null(strstr(got, "cache_control"));
	free(got);
	got = build_with(request, (prv_quirks){ANT_NO_CACHE, 0}, "5m", NULL);
	assert_null(strstr(got, "cache_control"));
	free(got);
}

/* Never more than the four marks the protocol allows, with long histories of tools too. */
static void test_marks(void **state)
{
	prv_text request;
	(void)state;
	prv_text_init(&request, 1 << 20);
	prv_text_z(&request, "{\"model\":\"claude-opus-4-5\",\"system\":\"s\"," TOOLS
			     ",\"messages\":[{\"role\":\"user\",\"content\":\"go\"}");
	for (int i = 0; i < 30; i++)
		prv_text_printf(
			&request,
			",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c%d\",\"name\":\"now\",\"arguments\":{}}]},{\"role\":\"tool\",\"toolCallId\":\"c%d\",\"content\":\"x\"}",
			i, i);
	prv_text_z(&request, "]}");
	char *got = build_with(request.p, (prv_quirks){0, 0}, "5m", NULL);
	int marks = 0;
	for (const char *p = got; (p = strstr(p, "cache_control")) != NULL; p++)
		marks++;
	assert_int_equal(marks, 4);
	/* The last one is in the last block. */
	char *last = strstr(got, "\"tool_use_id\":\"c29\"");
	assert_non_null(strstr(last, "cache_control"));
	free(got);
	prv_text_free(&request);
}

static void test_tool_turns(void **state)
{
	(void)state;
	messages(
		"claude-opus-4-5", 0,
		"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"tool_call\",\"id\":\"c.1\",\"name\":\"read\",\"arguments\":{\"x\":12345678901234567890}},"
		"{\"type\":\"tool_call\",\"id\":\"c2\",\"name\":\"now\"}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":\"late\"}],\"isError\":true},"
		"{\"role\":\"tool\",\"toolCallId\":\"c.1\",\"content\":[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"QQ==\"}]},{\"role\":\"user\",\"content\":\"and?\"}]",
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},"
		"{\"type\":\"tool_use\",\"id\":\"call_rpgaw63gj65r\",\"name\":\"read\",\"input\":{\"x\":12345678901234567890}},{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"now\",\"input\":{}}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"call_rpgaw63gj65r\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"QQ==\"}}]},"
		"{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":\"late\"}],\"is_error\":true},{\"type\":\"text\",\"text\":\"and?\"}]}]");
}

static void test_loose_ends(void **state)
{
	(void)state;
	/* begins and ends with the assistant, neighbours of one role, a call without and a result without the other, blanks */
	messages(
		"claude-opus-4-5", 0,
		"[{\"role\":\"assistant\",\"content\":\"hello\"},{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\" \\n\"},{\"type\":\"text\",\"text\":\"b\"}]},"
		"{\"role\":\"tool\",\"toolCallId\":\"old\",\"content\":\"gone\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}]},{\"role\":\"assistant\",\"content\":\"so\"}]",
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"(the conversation goes on)\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{}}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"No result: the call was interrupted.\"}],\"is_error\":true}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"so\"}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Go on.\"}]}]");
	messages("claude-opus-4-5", 0, "[]",
		 "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"(no message)\"}]}]");
}

#define SIGNED(model) "{\"type\":\"thinking\",\"text\":\"why\",\"signature\":\"sig==\",\"model\":\"" model "\"}"
#define CALL	      "{\"type\":\"tool_call\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}"
#define RESULT	      "{\"role\":\"tool\",\"toolCallId\":\"c1\",\"content\":\"x\"}"
#define TOLD \
	"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]}"

static void test_signed_blocks(void **state)
{
	(void)state;
	static const char back[] =
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"why\",\"signature\":\"sig==\"},"
		"{\"type\":\"redacted_thinking\",\"data\":\"zz\"},{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{}}]}," TOLD
		"]";
	static const char without[] =
		"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{}}]}," TOLD
		"]";
	static const char history[] =
		"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[" SIGNED(
			"claude-x-4-6") ",{\"type\":\"redacted_thinking\",\"data\":\"zz\",\"model\":\"claude-x-4-6\"}," CALL
					"]}," RESULT "]";
	messages("claude-x-4-6", 0, history, back);
	messages("claude-y-4-6", 0, history, without);		     /* another model's */
	messages("claude-x-4-6", ANT_DROP_BLOCKS, history, without); /* refused before */
	messages(
		"claude-x-4-6", 0,
		"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"unsigned\",\"signature\":\"\"}," CALL
		"]}," RESULT "]",
		without);
}

static void test_thinking(void **state)
{
	static const struct {
		const char *head, *want;
	} cases[] = {
		/* budgets */
		{"\"model\":\"claude-haiku-4-5\",\"thinking\":\"low\"",
		 "18048 {\"type\":\"enabled\",\"budget_tokens\":2048} - -"},
		{"\"model\":\"claude-haiku-4-5\",\"thinking\":\"medium\",\"maxTokens\":1000",
		 "9192 {\"type\":\"enabled\",\"budget_tokens\":8168} - -"},
		{"\"model\":\"claude-haiku-4-5\",\"thinking\":\"high\",\"temperature\":0.5",
		 "32384 {\"type\":\"enabled\",\"budget_tokens\":16384} - -"},
		{"\"model\":\"claude-haiku-4-5\",\"thinking\":\"xhigh\",\"maxTokens\":64000",
		 "64000 {\"type\":\"enabled\",\"budget_tokens\":32000} - -"},
		{"\"model\":\"claude-opus-4-1-20250805\",\"thinking\":\"xhigh\",\"maxTokens\":32000",
		 "32000 {\"type\":\"enabled\",\"budget_tokens\":30976} - -"},
		{"\"model\":\"claude-haiku-4-5\",\"thinking\":\"off\",\"temperature\":0.5", "16000 - - 0.5"},
		{"\"model\":\"claude-3-7-sonnet-20250219\",\"thinking\":\"minimal\"",
		 "17024 {\"type\":\"enabled\",\"budget_tokens\":1024} - -"},
		{"\"model\":\"claude-3-5-haiku-20241022\",\"thinking\":\"high\"", "8192 - - -"},
		{"\"model\":\"claude-3-opus-20240229\"", "4096 - - -"},
		{"\"model\":\"kimi-k2\",\"thinking\":\"low\"",
		 "10240 {\"type\":\"enabled\",\"budget_tokens\":2048} - -"},
		/* adaptive */
		{"\"model\":\"claude-opus-4-6\",\"thinking\":\"medium\"",
		 "32000 {\"type\":\"adaptive\"} {\"effort\":\"medium\"} -"},
		{"\"model\":\"claude-opus-4-6\",\"temperature\":0.5", "32000 - - 0.5"},
		{"\"model\":\"claude-opus-4-6\",\"thinking\":\"xhigh\"",
		 "32000 {\"type\":\"adaptive\"} {\"effort\":\"high\"} -"},
		{"\"model\":\"claude-opus-4-8\",\"thinking\":\"xhigh\",\"temperature\":0.5",
		 "32000 {\"type\":\"adaptive\",\"display\":\"summarized\"} {\"effort\":\"xhigh\"} -"},
		{"\"model\":\"claude-opus-4-8\",\"temperature\":0.5", "32000 - - -"},
		{"\"model\":\"claude-sonnet-5\",\"maxTokens\":500",
		 "500 {\"type\":\"adaptive\",\"display\":\"summarized\"} - -"},
		{"\"model\":\"claude-sonnet-5\",\"thinking\":\"off\"", "32000 {\"type\":\"disabled\"} - -"},
		{"\"model\":\"claude-opus-5-5\",\"thinking\":\"off\"", "32000 - {\"effort\":\"low\"} -"},
		{"\"model\":\"claude-fable-5-1\",\"thinking\":\"minimal\"",
		 "32000 {\"type\":\"adaptive\",\"display\":\"summarized\"} {\"effort\":\"low\"} -"},
		{"\"model\":\"claude-mythos-preview\",\"thinking\":\"off\"", "32000 - {\"effort\":\"low\"} -"},
		{"\"model\":\"claude-opus-5-5\",\"thinking\":\"max\",\"maxTokens\":900000",
		 "128000 {\"type\":\"adaptive\",\"display\":\"summarized\"} {\"effort\":\"max\"} -"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		settings(cases[i].head, (prv_quirks){0, 0}, cases[i].want);
	settings("\"model\":\"claude-new\",\"thinking\":\"high\"", (prv_quirks){ANT_ADAPTIVE, 0},
		 "8192 {\"type\":\"adaptive\"} {\"effort\":\"high\"} -");
	settings("\"model\":\"claude-sonnet-5\",\"thinking\":\"off\"", (prv_quirks){ANT_NO_DISABLED, 0},
		 "32000 - {\"effort\":\"low\"} -");
	settings("\"model\":\"claude-sonnet-5\",\"thinking\":\"high\"",
		 (prv_quirks){ANT_NO_THINKING | ANT_NO_EFFORT, 0}, "32000 - - -");
	settings("\"model\":\"claude-sonnet-5\",\"thinking\":\"low\"", (prv_quirks){ANT_NO_DISPLAY, 4000},
		 "4000 {\"type\":\"adaptive\"} {\"effort\":\"low\"} -");
}

/* In the middle of tool calls a budget is only possible when the thinking that led there goes back. */
static void test_budget_in_loop(void **state)
{
	const char *beta = NULL;
	(void)state;
	char *got = build_with(
		"{\"model\":\"claude-sonnet-4-5\",\"thinking\":\"low\"," TOOLS
		",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[" CALL
		"]}," RESULT "]}",
		(prv_quirks){0, 0}, NULL, &beta);
	assert_null(strstr(got, "budget_tokens"));
	assert_null(beta);
	free(got);
	got = build_with(
		"{\"model\":\"claude-sonnet-4-5\",\"thinking\":\"low\"," TOOLS
		",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[" SIGNED(
			"claude-sonnet-4-5") "," CALL "]}," RESULT "]}",
		(prv_quirks){0, 0}, NULL, &beta);
	assert_non_null(strstr(got, "budget_tokens"));
	assert_string_equal(beta, "interleaved-thinking-2025-05-14");
	free(got);
	got = build_with(
		"{\"model\":\"claude-sonnet-4-5\",\"thinking\":\"low\"," TOOLS
		",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[" CALL
		"]}," RESULT ",{\"role\":\"user\",\"content\":\"b\"}]}",
		(prv_quirks){0, 0}, NULL, &beta);
	assert_non_null(strstr(got, "budget_tokens"));
	free(got);
}

static void test_refused(void **state)
{
	(void)state;
	assert_null(build_with("{\"messages\":[]}", (prv_quirks){0, 0}, NULL, NULL));
	assert_null(build_with("{\"model\":\"m\"}", (prv_quirks){0, 0}, NULL, NULL));
}

static void test_learning(void **state)
{
	static const struct {
		const char *message;
		unsigned before, after;
	} cases[] = {
		{"\\\"thinking.type.enabled\\\" is not supported for this model. Use \\\"thinking.type.adaptive\\\" and \\\"output_config.effort\\\" to control thinking behavior.",
		 0, ANT_ADAPTIVE},
		{"adaptive thinking is not supported on this model", 0, ANT_BUDGET},
		{"\\\"thinking.type.disabled\\\" is not supported for this model.", 0, ANT_NO_DISABLED},
		{"thinking is not supported", 0, ANT_NO_THINKING},
		{"adaptive thinking is not supported on this model", ANT_ADAPTIVE, ANT_ADAPTIVE | ANT_NO_THINKING},
		{"`temperature` is deprecated for this model.", 0, ANT_NO_TEMPERATURE},
		{"output_config.effort: this model does not support the effort parameter", 0, ANT_NO_EFFORT},
		{"messages.1.content.0: Invalid `signature` in `thinking` block", 0, ANT_DROP_BLOCKS},
		{"messages.3.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block",
		 0, ANT_DROP_BLOCKS},
		{"system.0.cache_control: Extra inputs are not permitted", 0, ANT_NO_CACHE},
		{"metadata: Extra inputs are not permitted", 0, ANT_NO_USER},
		{"messages.0.content.1: image input is not supported", 0, ANT_NO_IMAGES},
		{"messages: roles must alternate", 0, 0},
		{"prompt is too long: 210000 tokens > 200000 maximum", 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[1000];
		prv_fault f;
		prv_quirks q = {cases[i].before, 0};
		snprintf(body, sizeof(body),
			 "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"%s\"}}",
			 cases[i].message);
		prv_fault_http(&f, 400, (prv_json){"", 0}, oc_str_of(body), 0);
		const char *text = ant_request_learn(&f, &q);
		if (q.bits != cases[i].after || q.max_tokens != 0)
			fail_msg("%s: learned %x (%s)", cases[i].message, q.bits, text != NULL ? text : "-");
		for (int round = 0; round < 40 && text != NULL; round++)
			text = ant_request_learn(&f, &q);
		assert_null(text);
	}
	prv_fault f;
	prv_quirks q = {0, 0};
	prv_fault_http(
		&f, 400, (prv_json){"", 0},
		OC_STR("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-x\"}}"),
		0);
	assert_non_null(ant_request_learn(&f, &q));
	assert_int_equal(q.max_tokens, 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caching),	       cmocka_unit_test(test_marks),
		cmocka_unit_test(test_tool_turns),     cmocka_unit_test(test_loose_ends),
		cmocka_unit_test(test_signed_blocks),  cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_budget_in_loop), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_learning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
