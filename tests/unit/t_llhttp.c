/* The HTTP/1 parser is compiled from an installed package: that it is whole and counts as its header says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <llhttp.h>

struct seen {
	char url[64], body[64];
	size_t url_n, body_n;
	int complete;
};

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	struct seen *s = p->data;
	assert_true(s->url_n + n < sizeof s->url);
	memcpy(s->url + s->url_n, at, n);
	s->url_n += n;
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	struct seen *s = p->data;
	assert_true(s->body_n + n < sizeof s->body);
	memcpy(s->body + s->body_n, at, n);
	s->body_n += n;
	return 0;
}

static int on_complete(llhttp_t *p)
{
	struct seen *s = p->data;
	s->complete++;
	return 0;
}

static void start(llhttp_t *p, llhttp_settings_t *settings, struct seen *s)
{
	memset(s, 0, sizeof *s);
	llhttp_settings_init(settings);
	settings->on_url = on_url;
	settings->on_body = on_body;
	settings->on_message_complete = on_complete;
	llhttp_init(p, HTTP_REQUEST, settings);
	p->data = s;
}

static void chunked_byte_by_byte(void **state)
{
	(void)state;
	static const char request[] = "POST /rpc?x=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
				      "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
	llhttp_t p;
	llhttp_settings_t settings;
	struct seen s;
	start(&p, &settings, &s);
	for (size_t i = 0; i < sizeof request - 1; i++)
		assert_int_equal(llhttp_execute(&p, request + i, 1), HPE_OK);
	assert_int_equal(p.method, HTTP_POST);
	assert_string_equal(s.url, "/rpc?x=1");
	assert_string_equal(s.body, "abcdefg");
	assert_int_equal(s.complete, 1);
	assert_true(llhttp_should_keep_alive(&p));
}

static void smuggling_is_refused(void **state)
{
	(void)state;
	static const char request[] =
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
	llhttp_t p;
	llhttp_settings_t settings;
	struct seen s;
	start(&p, &settings, &s);
	assert_int_not_equal(llhttp_execute(&p, request, sizeof request - 1), HPE_OK);
	assert_int_equal(s.complete, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunked_byte_by_byte),
		cmocka_unit_test(smuggling_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
