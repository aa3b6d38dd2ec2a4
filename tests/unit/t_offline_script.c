/* modules/providers/offline/script.c: the answer of the offline provider to each instruction. */
#include "prv_test.h"

#include "hashing.h"
#include "script.h"

/* The script for a request as lines "T:…", "R:…", "C:…", "E<status>:…", to free(). */
static char *script_of(const char *request)
{
	prv_json doc;
	off_script s;
	prv_text log;
	if (!prv_json_parse(request, strlen(request), &doc))
		fail_msg("not JSON: %s", request);
	assert_true(off_script_make(doc, &s));
	prv_text_init(&log, 8 << 20);
	prv_text_add(&log, "", 0);
	bool calls = false;
	for (size_t i = 0; i < s.n; i++) {
		const off_step *step = &s.steps[i];
		prv_text_z(&log, i > 0 ? "\n" : "");
		if (step->kind == OFF_ERROR)
			prv_text_printf(&log, "E%d,%u:", (int)step->status, step->retry_ms);
		else if (step->kind == OFF_TEXT && step->delay_ms != OFF_UNSET)
			prv_text_printf(&log, "T%u:", step->delay_ms);
		else
			prv_text_z(&log, step->kind == OFF_TEXT ? "T:" : step->kind == OFF_THINK ? "R:" : "C:");
		prv_text_str(&log, prv_text_view(&step->text));
		if (step->kind == OFF_CALL) {
			wall(prv_text_view(&step->text));
			calls = true;
		}
	}
	assert_int_equal(s.calls, calls);
	assert_true(s.input_tokens > 0);
	off_script_free(&s);
	return log.p;
}

static void script(const char *message, const char *want)
{
	char request[4096];
	snprintf(
		request, sizeof(request),
		"{\"model\":\"echo\",\"system\":\"SYS\",\"tools\":[{\"name\":\"read\"},{\"name\":\"now\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}]}",
		message);
	char *got = script_of(request);
	if (strcmp(got, want) != 0)
		fail_msg("%s:\ngot  %s\nwant %s", message, got, want);
	free(got);
}

static void test_instructions(void **state)
{
	(void)state;
	script("/echo hello  world ", "T:hello  world");
	script("/repeat 3 ab", "T:ab ab ab");
	script("/slow 3 50ms", "T50:word1 word2 word3");
	script("/slow 2 1s", "T1000:word1 word2");
	script("/slow 2", "T100:word1 word2");
	script("/think a b\\n/echo c", "R:a b\nT:c");
	script("/echo a\\n/echo b", "T:a\n\nb");
	script("words before\\n/echo a\\nwords after", "T:a");
	script("/system", "T:SYS");
	script("/tools", "T:Tools:\n- read\n- now");
	script("/context", "T:1 messages (1 user, 0 assistant, 0 tool), 2 tools, 3 bytes of system prompt.");
	script("[Telegram Ada 10:00] /echo hi", "T:hi");
	script("/error rate", "E-18,1000:too many requests for now, as asked for with /error rate");
	script("/error rate 5s", "E-18,5000:too many requests for now, as asked for with /error rate");
	script("/error auth", "E-7,0:the API key was not accepted, as asked for with /error auth");
	script("/error cut",
	       "T:This answer breaks off in the middle of\nE-22,0:the answer was cut off, as asked for with /error cut");
	script("/error what", "T:/error knows rate, auth, quota, context, invalid, unavailable, timeout and cut.");
}

static void test_calls(void **state)
{
	(void)state;
	script("/tool read {\\\"path\\\":\\\"a\\\",\\\"n\\\":12345678901234567890}",
	       "C:{\"id\":\"offline_1_0\",\"name\":\"read\",\"arguments\":{\"path\":\"a\",\"n\":12345678901234567890}}");
	script("/tool now\\n/tool read {}",
	       "C:{\"id\":\"offline_1_0\",\"name\":\"now\",\"arguments\":{}}\nC:{\"id\":\"offline_1_1\",\"name\":\"read\",\"arguments\":{}}");
	script("/echo first\\n/tool now", "T:first\nC:{\"id\":\"offline_1_0\",\"name\":\"now\",\"arguments\":{}}");
	script("/tool now\\n/then\\n/tool read {}", "C:{\"id\":\"offline_1_0\",\"name\":\"now\",\"arguments\":{}}");
	script("/tool read {oops", "T:The arguments after /tool read are no JSON object.");
	script("/tool read [1]", "T:The arguments after /tool read are no JSON object.");
	script("/tool", "T:/tool wants a name: /tool NAME {json}");
}

#define TURN(text) "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]}"
#define CALLED \
	"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"offline_1_0\",\"name\":\"now\",\"arguments\":{}}]}"
#define RESULT(text, error)                                                                                                   \
	"{\"role\":\"tool\",\"toolCallId\":\"offline_1_0\",\"name\":\"now\",\"content\":[{\"type\":\"text\",\"text\":\"" text \
	"\"}],\"isError\":" error "}"

static void rounds(const char *messages, const char *want)
{
	char request[4096];
	snprintf(request, sizeof(request), "{\"model\":\"echo\",\"messages\":[%s]}", messages);
	char *got = script_of(request);
	if (strcmp(got, want) != 0)
		fail_msg("%s:\ngot  %s\nwant %s", messages, got, want);
	free(got);
}

static void test_rounds(void **state)
{
	(void)state;
	rounds(TURN("/tool now") "," CALLED "," RESULT("12:00", "false"), "T:The tool now returned:\n12:00");
	rounds(TURN("/tool now") "," CALLED "," RESULT("no clock", "true"), "T:The tool now failed:\nno clock");
	rounds(TURN("/tool now") "," CALLED
				 ",{\"role\":\"tool\",\"toolCallId\":\"offline_1_0\",\"name\":\"now\",\"content\":[]}",
	       "T:The tool now returned:\n(nothing)");
	rounds(TURN("/tool now\\n/then\\n/tool read {}") "," CALLED "," RESULT("12:00", "false"),
	       "C:{\"id\":\"offline_3_0\",\"name\":\"read\",\"arguments\":{}}");
	rounds(TURN("/tool now\\n/then\\n/echo done") "," CALLED "," RESULT("12:00", "false"),
	       "T:The tool now returned:\n12:00\n\ndone");
	/* A new message begins anew. */
	rounds(TURN("/tool now") "," CALLED
				 "," RESULT("12:00",
					    "false") ",{\"role\":\"assistant\",\"content\":\"x\"}," TURN("/echo next"),
	       "T:next");
}

static void test_plain(void **state)
{
	(void)state;
	char *got = script_of("{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":\"How are you?\"}]}");
	assert_non_null(strstr(got, "offline provider: no model is connected"));
	assert_non_null(strstr(got, "You wrote: \"How are you?\"."));
	assert_non_null(strstr(got, "ANTHROPIC_API_KEY"));
	free(got);
	got = script_of(
		"{\"model\":\"echo\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image\",\"data\":\"QQ==\"}]}]}");
	assert_non_null(strstr(got, "\"see\" with 1 image."));
	free(got);
	got = script_of("{\"model\":\"echo\",\"messages\":[]}");
	assert_non_null(strstr(got, "offline provider"));
	free(got);
	/* long ones are cut between characters */
	prv_text request;
	prv_text_init(&request, 8192);
	prv_text_z(&request, "{\"messages\":[{\"role\":\"user\",\"content\":\"x");
	for (int i = 0; i < 400; i++)
		prv_text_z(&request, "é");
	prv_text_z(&request, "\"}]}");
	got = script_of(request.p);
	for (size_t i = 0, n = strlen(got); i < n; i += prv_utf8_len(got + i, n - i))
		assert_int_not_equal(prv_utf8_len(got + i, n - i), 0);
	assert_non_null(strstr(got, "...\""));
	free(got);
	prv_text_free(&request);
}

/* "/help" is the gateway's own. */
static void test_help(void **state)
{
	(void)state;
	char *got = script_of("{\"messages\":[{\"role\":\"user\",\"content\":\"/offline\"}]}");
	assert_non_null(strstr(got, "/tool NAME {json}"));
	assert_non_null(strstr(got, "/offline - this list"));
	free(got);
	got = script_of("{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
	assert_non_null(strstr(got, "write /offline."));
	free(got);
}

static void test_steady(void **state)
{
	(void)state;
	char *got = script_of(
		"{\"model\":\"steady\",\"messages\":[{\"role\":\"user\",\"content\":\"/error unavailable\"}]}");
	assert_string_equal(got, "T:The model offline/steady does not fail; this is its answer.");
	free(got);
}

static void test_limits(void **state)
{
	prv_text request;
	(void)state;
	char *got = script_of(
		"{\"messages\":[{\"role\":\"user\",\"content\":\"/repeat 99999 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\n/slow 99999999999 1h\\n/slow 5 99999999ms\"}]}");
	assert_true(strlen(got) < 3 * OFF_MAX_TEXT);
	free(got);
	prv_text_init(&request, 1 << 20);
	prv_text_z(&request, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
	for (int i = 0; i < 1000; i++)
		prv_text_z(&request, "/tool x\\n/think y\\n/error rate\\n/slow 1\\n");
	prv_text_z(&request, "\"}]}");
	got = script_of(request.p);
	free(got);
	prv_text_free(&request);
}

/* ---- Vectors ---- */

static double likeness(const char *a, const char *b)
{
	float x[OFF_DIMENSIONS], y[OFF_DIMENSIONS];
	double sum = 0;
	off_hashing(oc_str_of(a), x, OFF_DIMENSIONS);
	off_hashing(oc_str_of(b), y, OFF_DIMENSIONS);
	for (size_t i = 0; i < OFF_DIMENSIONS; i++)
		sum += (double)x[i] * (double)y[i];
	return sum;
}

static void test_hashing(void **state)
{
	(void)state;
	const char *cat = "The cat sleeps on the mat.";
	assert_true(likeness(cat, cat) > 0.9999 && likeness(cat, cat) < 1.0001);
	assert_true(likeness(cat, "the CAT sleeps, on the mat") > 0.9999); /* words, not letters' case and marks */
	assert_true(likeness(cat, "A cat slept on its mat") > likeness(cat, "Quarterly revenue grew by nine percent") + 0.2);
	assert_true(likeness("sleeping", "sleeps") > likeness("sleeping", "revenue") + 0.1);
	assert_true(likeness("", cat) == 0 && likeness("?!", "?!") == 0);
	char *longest = malloc(100001);
	memset(longest, 'x', 100000);
	longest[100000] = 0;
	assert_true(likeness(longest, longest) > 0.9999);
	free(longest);
}

static void test_hashing_requests(void **state)
{
	static const struct {
		const char *request, *want; /* NULL: refused */
	} rows[] = {
		{"{\"input\":[\"\",\"!\"],\"dimensions\":8}",
		 "{\"model\":\"hashing\",\"embeddings\":[[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0]],\"usage\":{\"input\":2}}"},
		{"{\"input\":[\"a\"],\"dimensions\":7}", NULL},
		{"{\"input\":[\"a\"],\"dimensions\":4097}", NULL},
		{"{\"input\":[]}", NULL},
		{"{\"input\":\"a\"}", NULL},
		{"{\"input\":[\"a\",1]}", NULL},
		{"{}", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		prv_text out;
		prv_json doc;
		const char *why = NULL;
		prv_text_init(&out, 16);
		assert_true(prv_json_parse(rows[i].request, strlen(rows[i].request), &doc));
		assert_int_equal(off_hashing_answer(doc, &out, &why), rows[i].want != NULL);
		if (rows[i].want != NULL)
			assert_string_equal(out.p, rows[i].want);
		else
			assert_true(why != NULL && why[0] != 0);
		prv_text_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instructions), cmocka_unit_test(test_calls),  cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_plain),	     cmocka_unit_test(test_steady), cmocka_unit_test(test_help), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hashing),	     cmocka_unit_test(test_hashing_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
