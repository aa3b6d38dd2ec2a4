/* modules/providers/openai/stream.c: what OpenAI and its compatible servers send, as events. */
#include "prv_test.h"

#include "stream.h"

/* Feeds the pieces (up to NULL), ends the connection, and compares events, stop reason or fault. */
static void play(const char *const *pieces, const char *log, const char *stop, oc_status status)
{
	record r;
	record_init(&r);
	oai_stream *s = oai_stream_new(record_event, &r, 0xabc, "acme");
	assert_non_null(s);
	for (; *pieces != NULL; pieces++) {
		/* A copy of exactly that size: the sanitizer sees a byte read too many. */
		size_t n = strlen(*pieces);
		char *piece = malloc(n + 1);
		memcpy(piece, *pieces, n + 1);
		oai_stream_event(s, (oc_str){piece, n});
		free(piece);
	}
	oai_stream_end(s);
	prv_stream *base = oai_stream_base(s);
	assert_true(base->over);
	if (strcmp(r.log.p, log) != 0)
		fail_msg("got\n%s\nwant\n%s", r.log.p, log);
	if (base->fault.status != status)
		fail_msg("status %d: %s", (int)base->fault.status, base->fault.message);
	if (status == OC_OK)
		assert_string_equal(base->stop, stop);
	prv_text_free(&r.log);
	oai_stream_free(s);
}

#define PLAY(log, stop, status, ...) play((const char *const[]){__VA_ARGS__, NULL}, log, stop, status)
#define DELTA(members)                                                                                                        \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{" members \
	"},\"finish_reason\":null}]}"
#define FINISH(reason) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}"
#define USAGE \
	"{\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,\"prompt_tokens_details\":{\"cached_tokens\":60}}}"
#define USAGE_LOG "U:{\"input\":40,\"output\":20,\"cacheRead\":60,\"cacheWrite\":0}"

static void test_text(void **state)
{
	(void)state;
	PLAY("T:Hello, wörld\n" USAGE_LOG, "stop", OC_OK, DELTA("\"role\":\"assistant\",\"content\":\"\""),
	     DELTA("\"content\":\"Hello\""), DELTA("\"content\":\", w\\u00f6rld\""), FINISH("stop"), USAGE, "[DONE]");
	/* After the end nothing counts. */
	PLAY("T:a", "stop", OC_OK, DELTA("\"content\":\"a\""), FINISH("stop"), "[DONE]", DELTA("\"content\":\"late\""),
	     "{\"error\":\"x\"}");
}

static void test_calls(void **state)
{
	(void)state;
	PLAY("C:{\"id\":\"call_1\",\"name\":\"read\",\"arguments\":{\"path\":\"a b\"}}\n"
	     "C:{\"id\":\"call_2\",\"name\":\"list\",\"arguments\":{}}",
	     "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"\"}}]"),
	     DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"path\\\":\"}}]"),
	     DELTA("\"tool_calls\":[{\"index\":1,\"id\":\"call_2\",\"type\":\"function\",\"function\":{\"name\":\"list\",\"arguments\":\"{}\"}}]"),
	     DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"a b\\\"}\"}}]"),
	     FINISH("tool_calls"), "[DONE]");
	/* 64-bit identifiers stay what they are. */
	PLAY("C:{\"id\":\"c\",\"name\":\"f\",\"arguments\":{\"id\":12345678901234567890}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"id\\\":12345678901234567890}\"}}]"),
	     FINISH("tool_calls"));
}

/* Servers that leave out or misuse index and id. */
static void test_odd_calls(void **state)
{
	static const char two[] =
		"C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":1}}\nC:{\"id\":\"b\",\"name\":\"g\",\"arguments\":{\"y\":2}}";
	static const char made[] =
		"C:{\"id\":\"call_abc_0\",\"name\":\"f\",\"arguments\":{\"x\":1}}\nC:{\"id\":\"call_abc_1\",\"name\":\"g\",\"arguments\":{\"y\":2}}";
	(void)state;
	/* no index */
	PLAY(two, "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]"),
	     DELTA("\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"y\\\":2}\"}}]"),
	     FINISH("stop"), "[DONE]");
	/* both with index 0 */
	PLAY(two, "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]"),
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"y\\\":2}\"}}]"),
	     FINISH("tool_calls"));
	/* no ids, index 0 for both */
	PLAY(made, "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]"),
	     DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"y\\\":2}\"}}]"),
	     FINISH("tool_calls"));
	/* neither, in one chunk; and pieces that belong to the last one */
	PLAY(made, "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"y\\\"\"}}]"),
	     DELTA("\"tool_calls\":[{\"function\":{\"name\":\"\",\"arguments\":\":2}\"}}]"), FINISH("tool_calls"));
	/* arguments as an object; the name repeated as an empty string or null */
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":1}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]"),
	     FINISH("tool_calls"));
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":1}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\"\"}}]"),
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"\",\"function\":{\"name\":null,\"arguments\":\":1}\"}}]"),
	     FINISH("tool_calls"));
	/* the old function_call */
	PLAY("C:{\"id\":\"call_abc_0\",\"name\":\"f\",\"arguments\":{\"x\":1}}", "tool_use", OC_OK,
	     DELTA("\"function_call\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\"\"}"),
	     DELTA("\"function_call\":{\"arguments\":\":1}\"}"), FINISH("function_call"));
}

static void test_arguments(void **state)
{
	(void)state;
	/* line breaks inside a string, which small models write raw */
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"code\":\"x = \\\"1\\\"\\n\\ty\"}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"code\\\":\\\"x = \\\\\\\"1\\\\\\\"\\n\\ty\\\"}\"}}]"),
	     FINISH("tool_calls"));
	/* encoded twice; null; nothing */
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":1}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\\\"{\\\\\\\"x\\\\\\\":1}\\\"\"}}]"),
	     FINISH("tool_calls"));
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"null\"}}]"),
	     FINISH("tool_calls"));
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}]"), FINISH("tool_calls"));
	/* a name twice: the last counts, as everywhere */
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":2}}", "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1,\\\"x\\\":2}\"}}]"),
	     FINISH("tool_calls"));
	/* beyond mending */
	PLAY("", NULL, OC_E_PROTOCOL,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{oops\"}}]"),
	     FINISH("tool_calls"));
	PLAY("", NULL, OC_E_PROTOCOL,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]"),
	     FINISH("tool_calls"));
	PLAY("", NULL, OC_E_PROTOCOL,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"{}\"}}]"),
	     FINISH("tool_calls"));
	/* cut off by the limit: not made, and no error */
	PLAY("T:so", "length", OC_OK, DELTA("\"content\":\"so\""),
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\"\"}}]"),
	     FINISH("length"));
}

static void test_reasoning(void **state)
{
	(void)state;
	PLAY("R:hmm well\nT:yes", "stop", OC_OK, DELTA("\"reasoning_content\":\"hmm \",\"content\":null"),
	     DELTA("\"reasoning_content\":\"well\""), DELTA("\"content\":\"yes\",\"reasoning_content\":null"),
	     FINISH("stop"));
	PLAY("R:hmm\nT:yes", "stop", OC_OK, DELTA("\"reasoning\":\"hmm\",\"content\":\"\""),
	     DELTA("\"content\":\"yes\""), FINISH("stop"));
	/* both names for the same: once */
	PLAY("R:hmm\nT:yes", "stop", OC_OK, DELTA("\"reasoning\":\"hmm\",\"reasoning_content\":\"hmm\""),
	     DELTA("\"content\":\"yes\""), FINISH("stop"));
	/* beside a tool call it is kept, to be sent back to this provider */
	PLAY("R:I look\nB:{\"type\":\"thinking\",\"text\":\"I look\",\"signature\":\"\",\"field\":\"reasoning_content\",\"provider\":\"acme\"}\n"
	     "C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{}}",
	     "tool_use", OC_OK, DELTA("\"reasoning_content\":\"I look\""),
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"),
	     FINISH("tool_calls"));
	/* OpenRouter's details come in pieces and go back whole: texts joined, the signature last, the encrypted as they are */
	PLAY("R:I look\nB:{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"\",\"field\":\"reasoning_details\",\"provider\":\"acme\",\"details\":["
	     "{\"type\":\"reasoning.text\",\"format\":\"anthropic-claude-v1\",\"index\":0,\"text\":\"I \\\"look\",\"signature\":\"sig==\"},"
	     "{\"type\":\"reasoning.encrypted\",\"data\":\"AAA\",\"id\":\"r1\",\"index\":1},"
	     "{\"type\":\"reasoning.text\",\"index\":2,\"text\":\"next\"},{\"type\":\"reasoning.other\",\"x\":[1]}]}\n"
	     "C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{}}",
	     "tool_use", OC_OK,
	     DELTA("\"reasoning\":\"I \",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"I \\\"\",\"format\":\"anthropic-claude-v1\",\"index\":0}]"),
	     DELTA("\"reasoning\":\"look\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"look\",\"format\":\"anthropic-claude-v1\",\"index\":0}]"),
	     DELTA("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":\"sig==\",\"index\":0},{\"type\":\"reasoning.encrypted\",\"data\":\"AAA\",\"id\":\"r1\",\"index\":1}]"),
	     DELTA("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"index\":2,\"text\":\"next\"},{\"type\":\"reasoning.other\",\"x\":[1]},7]"),
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"), FINISH("tool_calls"));
	/* without a call they are not kept */
	PLAY("R:hm\nT:yes", "stop", OC_OK,
	     DELTA("\"reasoning\":\"hm\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\"}],\"content\":\"yes\""), FINISH("stop"));
	/* Gemini signs calls, of parallel ones the first */
	PLAY("B:{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"\",\"field\":\"extra_content\",\"provider\":\"acme\",\"calls\":["
	     "{\"google\":{\"thought_signature\":\"c2ln\"}},null]}\n"
	     "C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{}}\nC:{\"id\":\"b\",\"name\":\"g\",\"arguments\":{}}",
	     "tool_use", OC_OK,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"extra_content\":{\"google\":{\"thought_signature\":\"c2ln\"}},\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
		   "{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]"),
	     FINISH("tool_calls"));
	/* Mistral's parts */
	PLAY("R:first\nT:then", "stop", OC_OK,
	     DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"first\"}]}]"),
	     DELTA("\"content\":[{\"type\":\"text\",\"text\":\"then\"}]"), FINISH("stop"));
}

static void test_think_tag(void **state)
{
	(void)state;
	PLAY("R:\nso it is\n\nT:Yes <think> no", "stop", OC_OK, DELTA("\"content\":\"<thi\""),
	     DELTA("\"content\":\"nk>\\nso it\""), DELTA("\"content\":\" is\\n</th\""),
	     DELTA("\"content\":\"ink>\\n\\n\""), DELTA("\"content\":\"Yes \""), DELTA("\"content\":\"<think> no\""),
	     FINISH("stop"));
	PLAY("R:a\nT:b", "stop", OC_OK, DELTA("\"content\":\" \\n<think>a</think>b\""), FINISH("stop"));
	/* Only at the start, and only when it is one. */
	PLAY("T:<thin", "stop", OC_OK, DELTA("\"content\":\"<thin\""), FINISH("stop"));
	PLAY("T:<thinker>", "stop", OC_OK, DELTA("\"content\":\"<thin\""), DELTA("\"content\":\"ker>\""),
	     FINISH("stop"));
	PLAY("T:a<think>b</think>", "stop", OC_OK, DELTA("\"content\":\"a<think>b</think>\""), FINISH("stop"));
	/* never closed */
	PLAY("R:on and </thin", "length", OC_OK, DELTA("\"content\":\"<think>on and </thin\""), FINISH("length"));
}

static void test_finish(void **state)
{
	(void)state;
	PLAY("T:a", "length", OC_OK, DELTA("\"content\":\"a\""), FINISH("length"));
	PLAY("T:a", "refusal", OC_OK, DELTA("\"content\":\"a\""), FINISH("content_filter"));
	PLAY("T:I cannot", "refusal", OC_OK, DELTA("\"refusal\":\"I cannot\""), FINISH("stop"));
	PLAY("T:a", "stop", OC_OK, DELTA("\"content\":\"a\""), FINISH("eos"));
	PLAY("T:a", "stop", OC_OK, DELTA("\"content\":\"a\""), FINISH("tool_calls")); /* but there is none */
	/* no [DONE], no finish_reason before [DONE], an empty answer */
	PLAY("T:a", "stop", OC_OK, DELTA("\"content\":\"a\""), "[DONE]");
	PLAY("", "stop", OC_OK, FINISH("stop"), " [DONE] ");
	/* only the first choice */
	PLAY("T:a", "stop", OC_OK, DELTA("\"content\":\"a\""),
	     "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}}]}", FINISH("stop"));
}

static void test_cut(void **state)
{
	(void)state;
	PLAY("T:half an ans", NULL, OC_E_RETRY, DELTA("\"content\":\"half an ans\""));
	PLAY("", NULL, OC_E_PROTOCOL, "");
	PLAY("", NULL, OC_E_PROTOCOL,
	     DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"));
	PLAY("T:a", NULL, OC_E_PROTOCOL, DELTA("\"content\":\"a\""), "{\"choices\":[{");
}

static void test_errors(void **state)
{
	(void)state;
	PLAY("T:a", NULL, OC_E_UNAVAILABLE, DELTA("\"content\":\"a\""),
	     "{\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}", "[DONE]");
	PLAY("T:a", NULL, OC_E_RATE_LIMIT, DELTA("\"content\":\"a\""),
	     "{\"id\":\"g\",\"error\":{\"code\":429,\"message\":\"busy\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}");
	PLAY("", NULL, OC_E_INVALID, "{\"object\":\"error\",\"message\":\"bad\",\"code\":400}");
	PLAY("", NULL, OC_E_UNAVAILABLE, "{\"error\":\"out of memory\"}");
	PLAY("T:a", NULL, OC_E_UNAVAILABLE, DELTA("\"content\":\"a\""), FINISH("error"));
	/* null is no error */
	PLAY("T:a", "stop", OC_OK,
	     "{\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}");
}

static void test_noise(void **state)
{
	(void)state;
	PLAY("T:ab", "stop", OC_OK, "ping", ": OPENROUTER PROCESSING", DELTA("\"content\":\"a\""), "", "  ", "{}", "[]",
	     "{\"choices\":null}", "{\"choices\":[]}", "{\"choices\":[{}]}", "{\"choices\":[{\"delta\":null}]}",
	     "{\"choices\":[{\"delta\":{\"tool_calls\":[null,3],\"content\":7}}]}", DELTA("\"content\":\"b\""),
	     FINISH("stop"));
}

static void test_usage(void **state)
{
	(void)state;
	/* with the last choice; twice the same is once; null is nothing */
	PLAY("U:{\"input\":5,\"output\":2,\"cacheRead\":0,\"cacheWrite\":0}", "stop", OC_OK,
	     "{\"choices\":[],\"usage\":null}",
	     "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}",
	     "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}");
	/* Groq, DeepSeek, OpenRouter with a cache write, xAI with reasoning beside */
	PLAY("U:{\"input\":5,\"output\":2,\"cacheRead\":0,\"cacheWrite\":0}", "stop", OC_OK, FINISH("stop"),
	     "{\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}}");
	PLAY("U:{\"input\":1,\"output\":2,\"cacheRead\":4,\"cacheWrite\":0}", "stop", OC_OK, FINISH("stop"),
	     "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"prompt_cache_hit_tokens\":4}}");
	PLAY("U:{\"input\":1,\"output\":2,\"cacheRead\":4,\"cacheWrite\":3}", "stop", OC_OK, FINISH("stop"),
	     "{\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":3}}}");
	PLAY("U:{\"input\":8,\"output\":12,\"cacheRead\":0,\"cacheWrite\":0}", "stop", OC_OK, FINISH("stop"),
	     "{\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2,\"total_tokens\":20,\"completion_tokens_details\":{\"reasoning_tokens\":10}}}");
	PLAY("U:{\"input\":8,\"output\":12,\"cacheRead\":0,\"cacheWrite\":0}", "stop", OC_OK, FINISH("stop"),
	     "{\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":12,\"total_tokens\":20,\"completion_tokens_details\":{\"reasoning_tokens\":10}}}");
	/* nonsense does not become negative */
	PLAY("U:{\"input\":0,\"output\":0,\"cacheRead\":9,\"cacheWrite\":0}", "stop", OC_OK, FINISH("stop"),
	     "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":-4,\"prompt_tokens_details\":{\"cached_tokens\":9}}}");
}

/* A server that answers with the whole at once. */
static void test_whole(void **state)
{
	(void)state;
	PLAY("R:why\nT:Hello\nU:{\"input\":3,\"output\":4,\"cacheRead\":0,\"cacheWrite\":0}\nC:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":[1,2]}}",
	     "tool_use", OC_OK,
	     "{\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"reasoning\":\"why\",\"content\":\"Hello\",\"tool_calls\":"
	     "[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": [1, 2]}\"}}]},\"finish_reason\":\"tool_calls\"}],"
	     "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n");
}

static void test_limits(void **state)
{
	record r;
	char piece[200];
	(void)state;
	record_init(&r);
	oai_stream *s = oai_stream_new(record_event, &r, 1, "acme");
	for (int i = 0; i <= PRV_MAX_CALLS && !oai_stream_base(s)->over; i++) {
		snprintf(
			piece, sizeof(piece),
			"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\",\"function\":{\"name\":\"f\"}}]}}]}",
			i, i);
		oai_stream_event(s, oc_str_of(piece));
	}
	assert_int_equal(oai_stream_base(s)->fault.status, OC_E_LIMIT);
	oai_stream_free(s);
	/* one call's arguments */
	s = oai_stream_new(record_event, &r, 1, "acme");
	prv_text big;
	prv_text_init(&big, 4 << 20);
	prv_text_z(
		&big,
		"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"");
	for (int i = 0; i < 1 << 20; i++)
		prv_text_char(&big, 'x');
	prv_text_z(&big, "\"}}]}}]}");
	for (int i = 0; i < 5; i++)
		oai_stream_event(s, prv_text_view(&big));
	assert_int_equal(oai_stream_base(s)->fault.status, OC_E_LIMIT);
	oai_stream_free(s);
	prv_text_free(&big);
	prv_text_free(&r.log);
}

static void test_result(void **state)
{
	record r;
	prv_text out;
	(void)state;
	record_init(&r);
	oai_stream *s = oai_stream_new(record_event, &r, 1, "acme");
	oai_stream_event(s, oc_str_of(DELTA("\"content\":\"a\"")));
	oai_stream_event(s, oc_str_of(FINISH("stop")));
	oai_stream_end(s);
	prv_text_init(&out, 1000);
	prv_stream_result(oai_stream_base(s), &out);
	assert_string_equal(out.p, "{\"stopReason\":\"stop\",\"model\":\"m-1\"}");
	prv_text_free(&out);
	prv_text_free(&r.log);
	oai_stream_free(s);
	oai_stream_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	  cmocka_unit_test(test_calls),	    cmocka_unit_test(test_odd_calls),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_reasoning), cmocka_unit_test(test_think_tag),
		cmocka_unit_test(test_finish),	  cmocka_unit_test(test_cut),	    cmocka_unit_test(test_errors),
		cmocka_unit_test(test_noise),	  cmocka_unit_test(test_usage),	    cmocka_unit_test(test_whole),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
