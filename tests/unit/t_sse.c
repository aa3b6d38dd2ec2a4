/* The incremental reader of server-sent events, with the bytes split at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/net/sse.h"

typedef struct seen {
	oc_sbuf text; /* "event|data|id;" for each */
	oc_sse *sse;
	int count, stop_at;
} seen;

static void on_event(void *arg, oc_str event, oc_str data, oc_str id)
{
	seen *s = arg;

	assert_int_equal(event.p[event.n], 0);
	assert_int_equal(data.p[data.n], 0);
	assert_int_equal(id.p[id.n], 0);
	oc_sbuf_str(&s->text, event);
	oc_sbuf_char(&s->text, '|');
	oc_sbuf_str(&s->text, data);
	oc_sbuf_char(&s->text, '|');
	oc_sbuf_str(&s->text, id);
	oc_sbuf_char(&s->text, ';');
	if (++s->count == s->stop_at)
		oc_sse_stop(s->sse);
}

static void expect_pieces(const char *in, size_t n, const char *out, size_t piece)
{
	seen s = {0};

	oc_sbuf_init(&s.text, 65536);
	s.sse = oc_sse_new(0, on_event, &s);
	for (size_t i = 0; i < n; i += piece)
		assert_int_equal(oc_sse_feed(s.sse, oc_str_make(in + i, n - i < piece ? n - i : piece)), OC_OK);
	assert_string_equal(oc_sbuf_view(&s.text).p, out);
	oc_sse_free(s.sse);
	oc_sbuf_free(&s.text);
}

/* Whole, in pieces of every size, and cut in two at every place. */
static void expect(const char *in, size_t n, const char *out)
{
	for (size_t piece = 1; piece <= n; piece++)
		expect_pieces(in, n, out, piece);
	for (size_t cut = 1; cut < n; cut++) {
		seen s = {0};

		oc_sbuf_init(&s.text, 65536);
		s.sse = oc_sse_new(0, on_event, &s);
		assert_int_equal(oc_sse_feed(s.sse, oc_str_make(in, cut)), OC_OK);
		assert_int_equal(oc_sse_feed(s.sse, oc_str_make(in + cut, n - cut)), OC_OK);
		assert_string_equal(oc_sbuf_view(&s.text).p, out);
		oc_sse_free(s.sse);
		oc_sbuf_free(&s.text);
	}
}
#define EXPECT(in, out) expect(in, sizeof(in) - 1, out)

static void t_line_endings(void **state)
{
	(void)state;
	EXPECT("data: a\n\ndata: b\n\n", "message|a|;message|b|;");
	EXPECT("data: a\r\rdata: b\r\r", "message|a|;message|b|;");
	EXPECT("data: a\r\n\r\ndata: b\r\n\r\n", "message|a|;message|b|;");
	EXPECT("data: a\r\n\ndata: b\n\r", "message|a|;message|b|;");
	EXPECT("data: a\ndata: b\r\n\r\n", "message|a\nb|;");
}

static void t_fields(void **state)
{
	(void)state;
	EXPECT("event: delta\ndata: x\nid: 7\n\ndata: y\n\n", "delta|x|7;message|y|7;");
	EXPECT("data\ndata\n\n", "message|\n|;");
	EXPECT("data:\n\n", "message||;");
	EXPECT("data:  two\n\n", "message| two|;"); /* only one space goes */
	EXPECT("data:a:b\n\n", "message|a:b|;");
	EXPECT(": comment\n:\nfoo: bar\nDATA: no\ndata: y\n\n", "message|y|;");
	EXPECT("event: lost\n\ndata: y\n\n", "message|y|;"); /* no data: no event, and the name is forgotten */
	EXPECT("id: a\0b\ndata: y\n\n", "message|y|;");      /* an id with NUL is ignored */
	EXPECT("id: 1\ndata: y\n\nid\ndata: z\n\n", "message|y|1;message|z|;");
}

static void t_byte_order_mark(void **state)
{
	(void)state;
	EXPECT("\xef\xbb\xbf" "data: a\n\n", "message|a|;");
	EXPECT("\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\ndata: b\n\n", "message|b|;"); /* the second is part of a name */
	EXPECT("\xef\xbb" "data: a\n\ndata: b\n\n", "message|b|;");
	EXPECT("data: \xef\xbb\xbf\n\n", "message|\xef\xbb\xbf|;");
}

static void t_unfinished_event_is_dropped(void **state)
{
	(void)state;
	EXPECT("data: a\n\ndata: b\n", "message|a|;");
	EXPECT("data: a", "");
}

static void t_retry_is_no_event(void **state)
{
	seen s = {0};

	(void)state;
	oc_sbuf_init(&s.text, 100);
	s.sse = oc_sse_new(0, on_event, &s);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("retry: 1500\nretry: -1\nretry: 2x\nretry:\n")), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("data: a\n\n")), OC_OK);
	assert_string_equal(oc_sbuf_view(&s.text).p, "message|a|;");
	oc_sse_free(s.sse);
	oc_sbuf_free(&s.text);
}

static void t_limits(void **state)
{
	seen s = {0};
	char big[3000];

	(void)state;
	memset(big, 'x', sizeof(big));
	oc_sbuf_init(&s.text, 65536);
	s.sse = oc_sse_new(1000, on_event, &s);
	/* Exactly the limit passes. */
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("data: ")), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, oc_str_make(big, 1000)), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("\n\n")), OC_OK);
	assert_int_equal(s.count, 1);
	/* One more does not, also when it comes in several lines. */
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("data: ")), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, oc_str_make(big, 900)), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("\ndata: ")), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, oc_str_make(big, 100)), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("\n")), OC_E_LIMIT);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("\n\n")), OC_E_LIMIT); /* stays failed */
	assert_int_equal(s.count, 1);
	oc_sse_free(s.sse);
	/* An endless line. */
	s.sse = oc_sse_new(1000, on_event, &s);
	assert_int_equal(oc_sse_feed(s.sse, oc_str_make(big, 3000)), OC_OK);
	assert_int_equal(oc_sse_feed(s.sse, oc_str_make(big, 3000)), OC_E_LIMIT);
	oc_sse_free(s.sse);
	oc_sbuf_free(&s.text);
}

static void t_stop(void **state)
{
	seen s = {.stop_at = 1};

	(void)state;
	oc_sbuf_init(&s.text, 100);
	s.sse = oc_sse_new(0, on_event, &s);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("id: 9\ndata: a\n\ndata: b\n\n")), OC_E_CANCELED);
	assert_int_equal(s.count, 1);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("data: c\n\n")), OC_E_CANCELED);
	assert_string_equal(oc_sbuf_view(&s.text).p, "message|a|9;");
	oc_sse_free(s.sse);
	oc_sbuf_free(&s.text);
	oc_sse_free(NULL);
}

static void t_out_of_memory(void **state)
{
	seen s = {0};
	unsigned long live = oc_mem_live();

	(void)state;
	oc_sbuf_init(&s.text, 100);
	oc_mem_fail_at(1);
	assert_null(oc_sse_new(0, on_event, &s));
	oc_mem_fail_at(0);
	s.sse = oc_sse_new(0, on_event, &s);
	oc_mem_fail_at(1);
	assert_int_equal(oc_sse_feed(s.sse, OC_STR("data: a\n\n")), OC_E_NOMEM);
	oc_mem_fail_at(0);
	assert_int_equal(s.count, 0);
	oc_sse_free(s.sse);
	oc_sbuf_free(&s.text);
	assert_int_equal(oc_mem_live(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_line_endings), cmocka_unit_test(t_fields),
		cmocka_unit_test(t_byte_order_mark), cmocka_unit_test(t_unfinished_event_is_dropped),
		cmocka_unit_test(t_retry_is_no_event), cmocka_unit_test(t_limits),
		cmocka_unit_test(t_stop), cmocka_unit_test(t_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
