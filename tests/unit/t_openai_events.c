/* modules/providers/openai/events.c: the Responses API's events, as the host's. */
#include "prv_test.h"

#include "events.h"

static void play(const char *const *pieces, const char *log, const char *stop, oc_status status)
{
	record r;
	record_init(&r);
	oai_events *s = oai_events_new(record_event, &r, 0xabc, "acme", "m");
	assert_non_null(s);
	for (; *pieces != NULL; pieces++) {
		size_t n = strlen(*pieces);
		char *piece = malloc(n + 1);
		memcpy(piece, *pieces, n + 1);
		oai_events_event(s, (oc_str){piece, n});
		free(piece);
	}
	oai_events_end(s);
	prv_stream *base = oai_events_base(s);
	assert_true(base->over);
	if (strcmp(r.log.p, log) != 0)
		fail_msg("got\n%s\nwant\n%s", r.log.p, log);
	if (base->fault.status != status)
		fail_msg("status %d: %s", (int)base->fault.status, base->fault.message);
	if (status == OC_OK)
		assert_string_equal(base->stop, stop);
	prv_text_free(&r.log);
	oai_events_free(s);
}

#define PLAY(log, stop, status, ...) play((const char *const[]){__VA_ARGS__, NULL}, log, stop, status)
#define CREATED \
	"{\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"m-real\",\"status\":\"in_progress\",\"output\":[],\"error\":null}}"
#define TEXT(text)	"{\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"" text "\"}"
#define DONE_ITEM(item) "{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{" item "}}"
#define MESSAGE(text) \
	"\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"" text "\"}]"
#define CALL(id, arguments)                                                                                           \
	"\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"" id "\",\"name\":\"f\",\"arguments\":\"" arguments \
	"\""
#define REASONING "\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"encrypted_content\":\"zz\""
#define USAGE \
	"\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":60},\"output_tokens\":20,\"total_tokens\":120}"
#define USAGE_LOG "U:{\"input\":40,\"output\":20,\"cacheRead\":60,\"cacheWrite\":0}"
#define COMPLETED(output)                                                                                                                 \
	"{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"model\":\"m-real\",\"error\":null,\"output\":[" output \
	"]," USAGE "}}"

static void test_text(void **state)
{
	(void)state;
	PLAY("T:Hello\n" USAGE_LOG, "stop", OC_OK, CREATED, "{\"type\":\"response.in_progress\"}", TEXT("Hel"),
	     TEXT("lo"), DONE_ITEM(MESSAGE("Hello")), COMPLETED("{" MESSAGE("Hello") "}"), TEXT("late"));
	PLAY("T:I cannot\n" USAGE_LOG, "refusal", OC_OK, CREATED,
	     "{\"type\":\"response.refusal.delta\",\"delta\":\"I cannot\"}", COMPLETED(""));
}

static void test_calls(void **state)
{
	(void)state;
	PLAY("R:first\n\nsecond\nB:{\"type\":\"reasoning\",\"provider\":\"acme\",\"model\":\"m\",\"item\":{" REASONING
	     "}}\n"
	     "C:{\"id\":\"c1\",\"name\":\"f\",\"arguments\":{\"x\":12345678901234567890}}\nC:{\"id\":\"c2\",\"name\":\"f\",\"arguments\":{}}\n" USAGE_LOG,
	     "tool_use", OC_OK, CREATED, "{\"type\":\"response.reasoning_summary_part.added\"}",
	     "{\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"first\"}",
	     "{\"type\":\"response.reasoning_summary_part.added\"}",
	     "{\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"second\"}", DONE_ITEM(REASONING),
	     "{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{\"}",
	     DONE_ITEM(CALL("c1", "{\\\"x\\\":12345678901234567890}")), DONE_ITEM(CALL("c2", "")),
	     COMPLETED("{" REASONING "},{" CALL("c1", "{}") "},{" CALL("c2", "{}") "}"));
	/* reasoning without its encrypted form is not kept */
	PLAY(USAGE_LOG, "stop", OC_OK, DONE_ITEM("\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]"),
	     COMPLETED("{}"));
	PLAY("", NULL, OC_E_PROTOCOL, DONE_ITEM(CALL("c1", "{oops")));
}

/* What was not streamed is taken from the finished response, and from a body that was no stream. */
static void test_whole(void **state)
{
	(void)state;
	PLAY("T:Hi\nC:{\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}\n" USAGE_LOG, "tool_use", OC_OK,
	     COMPLETED("{" MESSAGE("Hi") "},{" CALL("c1", "{}") "}"));
	PLAY("T:Hi\nC:{\"id\":\"c1\",\"name\":\"f\",\"arguments\":{}}\n" USAGE_LOG, "tool_use", OC_OK, TEXT("Hi"),
	     DONE_ITEM(MESSAGE("Hi")), COMPLETED("{" MESSAGE("Hi") "},{" CALL("c1", "{}") "}"));
	PLAY("T:Hi\n" USAGE_LOG, "stop", OC_OK,
	     "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"error\":null,\"output\":[{" MESSAGE(
		     "Hi") "}]," USAGE "}");
}

static void test_ends(void **state)
{
	(void)state;
	PLAY("T:a\n" USAGE_LOG, "length", OC_OK, TEXT("a"),
	     "{\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}," USAGE
	     "}}");
	PLAY("T:a", "refusal", OC_OK, TEXT("a"),
	     "{\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"}}}");
	PLAY("T:a", NULL, OC_E_UNAVAILABLE, TEXT("a"),
	     "{\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"oh\"}}}");
	PLAY("", NULL, OC_E_RATE_LIMIT,
	     "{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\",\"param\":null}");
	PLAY("", NULL, OC_E_CONTEXT,
	     "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\",\"message\":\"too long\"}}");
	PLAY("T:half", NULL, OC_E_RETRY, CREATED, TEXT("half"));
	PLAY("", NULL, OC_E_PROTOCOL, CREATED);
	PLAY("", NULL, OC_E_PROTOCOL, "{\"type\":");
	PLAY("T:a\n" USAGE_LOG, "stop", OC_OK, "ping", "{}", "[]", "{\"type\":\"response.new\"}", "{\"type\":3}",
	     TEXT("a"), DONE_ITEM("\"type\":\"web_search_call\""), COMPLETED(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_calls),
					   cmocka_unit_test(test_whole), cmocka_unit_test(test_ends)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
