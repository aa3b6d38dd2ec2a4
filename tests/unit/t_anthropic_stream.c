/* modules/providers/anthropic/stream.c: the events of the messages protocol, as the host's. */
#include "prv_test.h"

#include "stream.h"

static void play(const char *const *pieces, const char *log, const char *stop, oc_status status)
{
	record r;
	record_init(&r);
	ant_stream *s = ant_stream_new(record_event, &r, 0xabc, "claude-x");
	assert_non_null(s);
	for (; *pieces != NULL; pieces++) {
		size_t n = strlen(*pieces);
		char *piece = malloc(n + 1);
		memcpy(piece, *pieces, n + 1);
		ant_stream_event(s, (oc_str){piece, n});
		free(piece);
	}
	ant_stream_end(s);
	prv_stream *base = ant_stream_base(s);
	assert_true(base->over);
	if (strcmp(r.log.p, log) != 0)
		fail_msg("got\n%s\nwant\n%s", r.log.p, log);
	if (base->fault.status != status)
		fail_msg("status %d: %s", (int)base->fault.status, base->fault.message);
	if (status == OC_OK)
		assert_string_equal(base->stop, stop);
	prv_text_free(&r.log);
	ant_stream_free(s);
}

#define PLAY(log, stop, status, ...) play((const char *const[]){__VA_ARGS__, NULL}, log, stop, status)
#define START                                                                                                                   \
	"{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[]," \
	"\"model\":\"claude-x-1\",\"stop_reason\":null,\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":200,"     \
	"\"cache_read_input_tokens\":3000,\"output_tokens\":1}}}"
#define U0		"U:{\"input\":10,\"output\":1,\"cacheRead\":3000,\"cacheWrite\":200}"
#define U1		"U:{\"input\":10,\"output\":50,\"cacheRead\":3000,\"cacheWrite\":200}"
#define OPEN(n, block)	"{\"type\":\"content_block_start\",\"index\":" #n ",\"content_block\":{" block "}}"
#define DELTA(n, delta) "{\"type\":\"content_block_delta\",\"index\":" #n ",\"delta\":{" delta "}}"
#define CLOSE(n)	"{\"type\":\"content_block_stop\",\"index\":" #n "}"
#define STOP(reason)                                                       \
	"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason \
	"\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":50}}"
#define END		 "{\"type\":\"message_stop\"}"
#define TEXT_BLOCK	 "\"type\":\"text\",\"text\":\"\""
#define TEXT_DELTA(text) "\"type\":\"text_delta\",\"text\":\"" text "\""

static void test_text(void **state)
{
	(void)state;
	PLAY(U0 "\nT:Hello!\n" U1, "stop", OC_OK, START, OPEN(0, TEXT_BLOCK), "{\"type\": \"ping\"}",
	     DELTA(0, TEXT_DELTA("Hello")), DELTA(0, TEXT_DELTA("!")), CLOSE(0), STOP("end_turn"), END,
	     DELTA(0, TEXT_DELTA("late")));
}

static void test_tools(void **state)
{
	(void)state;
	PLAY(U0
	     "\nT:Look.\nC:{\"id\":\"toolu_1\",\"name\":\"read\",\"arguments\":{\"path\":\"a\",\"id\":12345678901234567890}}\n" U1
	     "\nC:{\"id\":\"toolu_2\",\"name\":\"list\",\"arguments\":{}}",
	     "tool_use", OC_OK, START, OPEN(0, TEXT_BLOCK), DELTA(0, TEXT_DELTA("Look.")), CLOSE(0),
	     OPEN(1, "\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"read\",\"input\":{}"),
	     DELTA(1, "\"type\":\"input_json_delta\",\"partial_json\":\"\""),
	     DELTA(1, "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"path\\\": \\\"a\""),
	     DELTA(1, "\"type\":\"input_json_delta\",\"partial_json\":\"\\\",\\\"id\\\":12345678901234567890}\""),
	     CLOSE(1), OPEN(2, "\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"list\",\"input\":{}"), CLOSE(2),
	     STOP("tool_use"), END);
}

static void test_thinking(void **state)
{
	(void)state;
	PLAY(U0
	     "\nR:Let me see.\nB:{\"type\":\"thinking\",\"text\":\"Let me see.\",\"signature\":\"EqQBCg==\",\"model\":\"claude-x\"}\n"
	     "B:{\"type\":\"redacted_thinking\",\"data\":\"abc\\\"d\",\"model\":\"claude-x\"}\nT:Yes\n" U1,
	     "stop", OC_OK, START, OPEN(0, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\""),
	     DELTA(0, "\"type\":\"thinking_delta\",\"thinking\":\"Let me \""),
	     DELTA(0, "\"type\":\"thinking_delta\",\"thinking\":\"see.\""),
	     DELTA(0, "\"type\":\"signature_delta\",\"signature\":\"EqQBCg==\""), CLOSE(0),
	     OPEN(1, "\"type\":\"redacted_thinking\",\"data\":\"abc\\\"d\""), CLOSE(1), OPEN(2, TEXT_BLOCK),
	     DELTA(2, TEXT_DELTA("Yes")), CLOSE(2), STOP("end_turn"), END);
	/* Kept back: no text, but signed, so it still goes back. */
	PLAY(U0 "\nB:{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"sig\",\"model\":\"claude-x\"}\n" U1
		"\nC:{\"id\":\"t\",\"name\":\"f\",\"arguments\":{}}",
	     "tool_use", OC_OK, START, OPEN(0, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\""),
	     DELTA(0, "\"type\":\"signature_delta\",\"signature\":\"sig\""), CLOSE(0),
	     OPEN(1, "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}"), CLOSE(1), STOP("tool_use"),
	     END);
	/* Unsigned: shown, not kept. */
	PLAY(U0 "\nR:hm\nT:a\n" U1, "stop", OC_OK, START, OPEN(0, "\"type\":\"thinking\",\"thinking\":\"hm\""),
	     CLOSE(0), OPEN(1, TEXT_BLOCK), DELTA(1, TEXT_DELTA("a")), CLOSE(1), STOP("end_turn"), END);
}

static void test_stops(void **state)
{
	static const struct {
		const char *reason, *stop;
	} cases[] = {{"end_turn", "stop"},     {"stop_sequence", "stop"}, {"max_tokens", "length"},
		     {"refusal", "refusal"},   {"pause_turn", "stop"},	  {"model_context_window_exceeded", "length"},
		     {"something_new", "stop"}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char delta[200];
		snprintf(delta, sizeof(delta), "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\"}}",
			 cases[i].reason);
		PLAY("T:a", cases[i].stop, OC_OK, OPEN(0, TEXT_BLOCK), DELTA(0, TEXT_DELTA("a")), CLOSE(0), delta, END);
	}
	/* the end without message_stop, once the reason was told */
	PLAY("T:a\nU:{\"input\":0,\"output\":50,\"cacheRead\":0,\"cacheWrite\":0}", "stop", OC_OK, OPEN(0, TEXT_BLOCK),
	     DELTA(0, TEXT_DELTA("a")), STOP("end_turn"));
	/* a call cut off by the limit is not made, the ones before it are */
	PLAY("C:{\"id\":\"a\",\"name\":\"f\",\"arguments\":{\"x\":1}}\nU:{\"input\":0,\"output\":50,\"cacheRead\":0,\"cacheWrite\":0}",
	     "length", OC_OK, OPEN(0, "\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}"),
	     DELTA(0, "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":1}\""), CLOSE(0),
	     OPEN(1, "\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"f\",\"input\":{}"),
	     DELTA(1, "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":\""), CLOSE(1), STOP("max_tokens"),
	     END);
}

static void test_errors(void **state)
{
	(void)state;
	PLAY(U0 "\nT:a", NULL, OC_E_UNAVAILABLE, START, OPEN(0, TEXT_BLOCK), DELTA(0, TEXT_DELTA("a")),
	     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}", END);
	PLAY("", NULL, OC_E_RATE_LIMIT,
	     "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\"}}");
	PLAY(U0 "\nT:half", NULL, OC_E_RETRY, START, OPEN(0, TEXT_BLOCK), DELTA(0, TEXT_DELTA("half")));
	PLAY("", NULL, OC_E_PROTOCOL, "");
	PLAY(U0, NULL, OC_E_PROTOCOL, START, "{\"type\":\"content_block_start\",");
	PLAY("", NULL, OC_E_PROTOCOL, OPEN(0, "\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\""),
	     DELTA(0, "\"partial_json\":\"{oops\""), CLOSE(0), END);
}

static void test_noise(void **state)
{
	(void)state;
	PLAY("T:ab", "stop", OC_OK, "hello", "{}", "{\"type\":\"new_thing\",\"x\":1}", DELTA(0, TEXT_DELTA("nowhere")),
	     OPEN(0, TEXT_BLOCK), DELTA(0, TEXT_DELTA("a")), DELTA(7, TEXT_DELTA("elsewhere")),
	     DELTA(0, "\"type\":\"citations_delta\",\"citation\":{}"), CLOSE(0),
	     OPEN(1, "\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}"),
	     DELTA(1, "\"partial_json\":\"{}\""), CLOSE(1), OPEN(2, "\"type\":\"text\",\"text\":\"b\""), CLOSE(2),
	     "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":null}}", END);
}

static void test_whole(void **state)
{
	(void)state;
	PLAY("B:{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"s\",\"model\":\"claude-x\"}\nT:Hi\nC:{\"id\":\"t\",\"name\":\"f\",\"arguments\":{\"a\":[1]}}\nU:{\"input\":3,\"output\":4,\"cacheRead\":0,\"cacheWrite\":0}",
	     "tool_use", OC_OK,
	     "{\"type\":\"message\",\"model\":\"m\",\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4},\"content\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"s\"},"
	     "{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":[1]}}]}");
}

static void test_result(void **state)
{
	record r;
	prv_text out;
	(void)state;
	record_init(&r);
	ant_stream *s = ant_stream_new(record_event, &r, 1, "claude-x");
	ant_stream_event(s, oc_str_of(START));
	ant_stream_event(s, oc_str_of(STOP("end_turn")));
	ant_stream_event(s, oc_str_of(END));
	assert_true(ant_stream_base(s)->over);
	prv_text_init(&out, 1000);
	prv_stream_result(ant_stream_base(s), &out);
	assert_string_equal(out.p, "{\"stopReason\":\"stop\",\"model\":\"claude-x-1\"}");
	prv_text_free(&out);
	prv_text_free(&r.log);
	ant_stream_free(s);
	ant_stream_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),  cmocka_unit_test(test_tools),  cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_stops), cmocka_unit_test(test_errors), cmocka_unit_test(test_noise),
		cmocka_unit_test(test_whole), cmocka_unit_test(test_result),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
