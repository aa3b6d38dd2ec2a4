/*
 * The provider modules' pure parts without memory: the first allocation fails, then the second, and so on until a run needs
 * no more.  Each time there is an end with a reason, and nothing is left behind.
 */
#include "prv_test.h"

#include "anthropic/request.h"
#include "anthropic/stream.h"
#include "offline/script.h"
#include "openai/events.h"
#include "openai/responses.h"
#include "openai/stream.h"

/* The linker sends all allocations of the code under test here (--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static long countdown; /* the allocation that fails, and all after it; 0: none */
static long live;
static bool counting;

static bool fails(void)
{
	if (!counting || countdown == 0)
		return false;
	if (countdown > 1) {
		countdown--;
		return false;
	}
	return true;
}

void *__wrap_malloc(size_t n)
{
	void *p = fails() ? NULL : __real_malloc(n);
	live += p != NULL;
	return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = fails() ? NULL : __real_calloc(n, size);
	live += p != NULL;
	return p;
}

void *__wrap_realloc(void *p, size_t n)
{
	void *more = fails() ? NULL : __real_realloc(p, n);
	live += more != NULL && p == NULL;
	return more;
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

/* Runs the job with less and less failing, until nothing fails; true: it did its work. */
static void starve(bool (*job)(void))
{
	long n;
	for (n = 1; n < 100000; n++) {
		long before = live;
		countdown = n;
		counting = true;
		bool worked = job();
		counting = false;
		if (live != before)
			fail_msg("allocation %ld failed: %ld blocks are left", n, live - before);
		if (countdown > 1) {
			assert_true(worked);
			break;
		}
	}
	assert_true(n > 3 && n < 100000);
}

static void ignore(void *arg, uint32_t type, oc_str payload)
{
	(void)arg;
	(void)type;
	assert_int_equal(payload.p[payload.n], 0);
}

static const char request_text[] =
	"{\"endpoint\":{\"provider\":\"openai\",\"headers\":{\"X\":\"y\"}},\"model\":\"gpt-5\",\"system\":\"s\\n\",\"thinking\":\"low\",\"user\":\"u\","
	"\"tools\":[{\"name\":\"f\",\"description\":\"d\\u00e9\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,\"\\n\"]}}}}],\"messages\":["
	"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"/tool f {\\\"a\\\":1}\\n/then\\n/echo x\\n/slow 2\\n/think y\"},{\"type\":\"image\",\"mime\":\"image/png\",\"data\":\"QQ==\"}]},"
	"{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"text\":\"t\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\\n\"},"
	"{\"type\":\"tool_call\",\"id\":\"toolu_0123456789012345678901234567890123456789.\",\"name\":\"f\",\"arguments\":{\"a\":\"\\n\"}}]},"
	"{\"role\":\"tool\",\"toolCallId\":\"toolu_0123456789012345678901234567890123456789.\",\"name\":\"f\",\"content\":[{\"type\":\"text\",\"text\":\"r\\n\"}]}]}";

typedef bool builder(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, prv_text *out, prv_fault *why);

static bool build_with(builder *build)
{
	prv_json request;
	prv_endpoint e;
	prv_fault why;
	prv_text out;
	prv_quirks quirks = {0, 0};
	prv_fault_clear(&why);
	assert_true(prv_json_parse(request_text, sizeof(request_text) - 1, &request));
	if (!prv_endpoint_read(request, "https://api.openai.com/v1", &e, &why))
		return false;
	prv_text_init(&out, 1 << 20);
	bool ok = build(request, &e, &quirks, &out, &why);
	assert_true(ok || why.status != OC_OK);
	prv_text_free(&out);
	oai_request_forget();
	return ok;
}

static bool build_anthropic(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, prv_text *out,
			    prv_fault *why)
{
	const char *beta;
	ant_options options = {.cache_ttl = "5m"};
	return ant_request_build(request, e, quirks, &options, out, &beta, why);
}

static bool job_completions(void)
{
	return build_with(oai_request_build);
}

static bool job_responses(void)
{
	return build_with(oai_responses_build);
}

static bool job_messages(void)
{
	return build_with(build_anthropic);
}

static bool job_script(void)
{
	prv_json request;
	off_script script;
	assert_true(prv_json_parse(request_text, sizeof(request_text) - 1, &request));
	if (!off_script_make(request, &script))
		return false;
	off_script_free(&script);
	return true;
}

static bool job_anthropic_stream(void)
{
	static const char *const events[] = {
		"{\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}",
		"{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"t\\n\"}}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}",
		"{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\"}}",
		"{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}",
		"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}",
		"{\"type\":\"message_stop\"}"};
	ant_stream *s = ant_stream_new(ignore, NULL, 1, "m");
	if (s == NULL)
		return false;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		ant_stream_event(s, oc_str_of(events[i]));
	ant_stream_end(s);
	bool ok = ant_stream_base(s)->fault.status == OC_OK;
	assert_true(ant_stream_base(s)->over);
	ant_stream_free(s);
	return ok;
}

static bool job_stream(void)
{
	static const char *const events[] = {
		"{\"model\":\"m\",\"choices\":[{\"delta\":{\"reasoning_content\":\"r\\n\"}}]}",
		"{\"choices\":[{\"delta\":{\"content\":\"<thi\"}}]}",
		"{\"choices\":[{\"delta\":{\"content\":\"nk>a</think>b\"}}]}",
		"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"\\n\\\"}\"}}]}}]}",
		"{\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1}}",
		"[DONE]"};
	oai_stream *s = oai_stream_new(ignore, NULL, 1, "p");
	if (s == NULL)
		return false;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		oai_stream_event(s, oc_str_of(events[i]));
	oai_stream_end(s);
	bool ok = oai_stream_base(s)->fault.status == OC_OK;
	assert_true(oai_stream_base(s)->over);
	oai_stream_free(s);
	return ok;
}

static bool job_events(void)
{
	static const char *const events[] = {
		"{\"type\":\"response.created\",\"response\":{\"model\":\"m\"}}",
		"{\"type\":\"response.output_text.delta\",\"delta\":\"a\\n\"}",
		"{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"reasoning\",\"encrypted_content\":\"zz\"}}",
		"{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}",
		"{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":3}}}"};
	oai_events *s = oai_events_new(ignore, NULL, 1, "p", "m");
	if (s == NULL)
		return false;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		oai_events_event(s, oc_str_of(events[i]));
	oai_events_end(s);
	bool ok = oai_events_base(s)->fault.status == OC_OK;
	assert_true(oai_events_base(s)->over);
	oai_events_free(s);
	return ok;
}

static bool job_fault(void)
{
	prv_fault f;
	prv_text out;
	prv_place place = {.provider = "p", .host = "h", .model = "m", .key = {"secret-key", 10}};
	prv_fault_http(&f, 429, (prv_json){"", 0},
		       OC_STR("{\"error\":{\"message\":\"slow \\n secret-key\",\"code\":\"rate_limit\"}}"), 0);
	assert_int_equal(f.status, OC_E_RATE_LIMIT);
	prv_text_init(&out, 4096);
	prv_fault_payload(&f, &place, &out);
	bool ok = !out.failed && strstr(f.message, "slow") != NULL;
	if (out.p != NULL)
		assert_null(strstr(out.p, "secret-key"));
	prv_text_free(&out);
	return ok;
}

#define STARVE(name)                          \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		starve(job_##name);           \
	}

STARVE(completions)
STARVE(responses)
STARVE(messages)
STARVE(script)
STARVE(anthropic_stream)
STARVE(stream)
STARVE(events)
STARVE(fault)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completions),	 cmocka_unit_test(test_responses),
		cmocka_unit_test(test_messages),	 cmocka_unit_test(test_script),
		cmocka_unit_test(test_anthropic_stream), cmocka_unit_test(test_stream),
		cmocka_unit_test(test_events),		 cmocka_unit_test(test_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
