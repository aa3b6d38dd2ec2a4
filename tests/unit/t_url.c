/* URLs, request paths, query strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/net/url.h"

static void good(const char *in, const char *normal)
{
	oc_url *url = NULL, *twice = NULL;
	oc_err err = {0};

	if (oc_url_parse(oc_str_of(in), &url, &err) != OC_OK)
		fail_msg("%s: %s", in, err.text);
	assert_string_equal(url->text, normal);
	/* Parsing what is normal changes nothing. */
	assert_int_equal(oc_url_parse(oc_str_of(url->text), &twice, &err), OC_OK);
	assert_string_equal(twice->text, normal);
	assert_true(oc_url_same_origin(url, twice));
	oc_url_free(twice);
	oc_url_free(url);
}

static void bad(const char *in)
{
	oc_url *url = NULL;
	oc_err err = {0};

	if (oc_url_parse(oc_str_of(in), &url, &err) == OC_OK)
		fail_msg("%s was taken as %s", in, url->text);
	assert_null(url);
	assert_true(err.text[0] != 0);
}

static void t_normal_forms(void **state)
{
	(void)state;
	good("https://example.com", "https://example.com/");
	good("HTTPS://Example.COM:443/A/b?Q=1#frag", "https://example.com/A/b?Q=1");
	good("http://example.com:8080", "http://example.com:8080/");
	good("http://example.com:80/", "http://example.com/");
	good("http://example.com:/", "http://example.com/");
	good("ws://h.example/x", "ws://h.example/x");
	good("wss://h.example:443/x", "wss://h.example/x");
	good("https://example.com.", "https://example.com/");
	good("https://u:p@example.com/", "https://u:p@example.com/");
	good("https://a@b@example.com/", "https://a@b@example.com/"); /* the last @ counts, as in browsers */
	good("https://example.com?x", "https://example.com/?x");
	good("https://example.com/?", "https://example.com/?");
	good("https://example.com/a/./b/../c/%2E%2e/d", "https://example.com/a/d");
	good("https://example.com/../../x", "https://example.com/x");
	good("https://example.com/a/..", "https://example.com/");
	good("https://example.com/a//b/", "https://example.com/a//b/");
	good("https://example.com/\xc3\xa4?\xc3\xb6=\"<>", "https://example.com/%C3%A4?%C3%B6=%22%3C%3E");
	good("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/");
	good("https://a_b.example-c.com/", "https://a_b.example-c.com/");
}

static void t_addresses(void **state)
{
	(void)state;
	good("http://127.0.0.1/", "http://127.0.0.1/");
	good("http://2130706433/", "http://127.0.0.1/");
	good("http://0x7f000001/", "http://127.0.0.1/");
	good("http://0177.0.0.1/", "http://127.0.0.1/");
	good("http://127.1/", "http://127.0.0.1/");
	good("http://127.0.1/", "http://127.0.0.1/");
	good("http://0x7f.1/", "http://127.0.0.1/");
	good("http://0xA9FEA9FE/", "http://169.254.169.254/");
	good("http://0/", "http://0.0.0.0/");
	good("http://[::1]/", "http://[::1]/");
	good("http://[0:0:0:0:0:0:0:1]:81/", "http://[::1]:81/");
	good("http://[::FFFF:127.0.0.1]/", "http://[::ffff:127.0.0.1]/");
	bad("http://256.0.0.1/");
	bad("http://1.2.3.4.5/");
	good("http://1.2.3.0x/", "http://1.2.3.0/"); /* as browsers read it */
	bad("http://1.2.3.08/");
	bad("http://08.0.0.1/");
	bad("http://4294967296/");
	bad("http://1.16777216/");
	bad("http://foo.1/");
	bad("http://[::1/");
	bad("http://[::1]x/");
	bad("http://[fe80::1%25eth0]/");
	bad("http://[]/");
	bad("http://[1.2.3.4]/");
}

static void t_refused(void **state)
{
	static const char *const list[] = {
		"",	     "example.com",	 "//example.com/",	"ftp://example.com/", "file:///etc/passwd",
		"http:/x",   "http:///x",	 "http://",		"http://:80/",	      "https://u@/",
		"http://a b/", "http://a\\b/",	 "http://a/\x7f",	"http://a/%zz",	      "http://a/%2",
		"http://a%41/", "http://a..b/",  "http://a../",	 "http://.a/",		"http://a:0/",	      "http://a:65536/",
		"http://a:8x/", "http://a:+8/", "http://a:080000/",	"http://\xc3\xa4.example/",
		"http://a!b/", "http://a\tb/",	 " http://a/",		"http://a/ ",	      "javascript:alert(1)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		bad(list[i]);
}

static void t_long_ones(void **state)
{
	char text[OC_URL_MAX + 64];
	oc_url *url = NULL;
	size_t n = OC_URL_MAX;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://h.example/", 17);
	assert_int_equal(oc_url_parse(oc_str_make(text, n), &url, NULL), OC_OK);
	assert_int_equal(strlen(url->text), n);
	oc_url_free(url);
	assert_int_equal(oc_url_parse(oc_str_make(text, n + 1), &url, NULL), OC_E_LIMIT);
	memset(text + 17, '\xff', sizeof(text) - 17); /* every byte becomes three */
	assert_int_equal(oc_url_parse(oc_str_make(text, n), &url, NULL), OC_OK);
	assert_int_equal(strlen(url->text), 17 + 3 * (n - 17));
	oc_url_free(url);
	/* 64 characters in a label, 254 in a host. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://", 7);
	assert_int_equal(oc_url_parse(oc_str_make(text, 7 + 63), &url, NULL), OC_OK);
	oc_url_free(url);
	assert_int_equal(oc_url_parse(oc_str_make(text, 7 + 64), &url, NULL), OC_E_INVALID);
	for (size_t i = 7 + 50; i < sizeof(text); i += 51)
		text[i] = '.';
	assert_int_equal(oc_url_parse(oc_str_make(text, 7 + 253), &url, NULL), OC_OK);
	oc_url_free(url);
	assert_int_equal(oc_url_parse(oc_str_make(text, 7 + 254), &url, NULL), OC_E_INVALID);
}

static void t_parts(void **state)
{
	oc_url *url = NULL;

	(void)state;
	assert_int_equal(oc_url_parse(OC_STR("https://me:pw@Host.example:8443/p/q?a=b#c"), &url, NULL), OC_OK);
	assert_string_equal(url->scheme, "https");
	assert_true(url->secure);
	assert_string_equal(url->userinfo, "me:pw");
	assert_string_equal(url->host, "host.example");
	assert_int_equal(url->port, 8443);
	assert_string_equal(url->path, "/p/q");
	assert_string_equal(url->query, "a=b");
	assert_false(url->is_ip);
	oc_url_free(url);
	assert_int_equal(oc_url_parse(OC_STR("http://[::1]"), &url, NULL), OC_OK);
	assert_string_equal(url->host, "::1");
	assert_true(url->is_ip);
	assert_int_equal(url->port, 80);
	oc_url_free(url);
}

static void resolves(const char *base_text, const char *ref, const char *expect)
{
	oc_url *base = NULL, *url = NULL;
	oc_err err = {0};

	assert_int_equal(oc_url_parse(oc_str_of(base_text), &base, NULL), OC_OK);
	if (oc_url_resolve(base, oc_str_of(ref), &url, &err) != OC_OK)
		fail_msg("%s: %s", ref, err.text);
	assert_string_equal(url->text, expect);
	oc_url_free(url);
	oc_url_free(base);
}

static void t_references(void **state)
{
	static const char base[] = "http://a.example/b/c/d?q";
	oc_url *url = NULL, *other = NULL;

	(void)state;
	resolves(base, "g", "http://a.example/b/c/g");
	resolves(base, "./g", "http://a.example/b/c/g");
	resolves(base, "g/", "http://a.example/b/c/g/");
	resolves(base, "/g", "http://a.example/g");
	resolves(base, "//g.example", "http://g.example/");
	resolves(base, "?y", "http://a.example/b/c/d?y");
	resolves(base, "g?y", "http://a.example/b/c/g?y");
	resolves(base, "#s", "http://a.example/b/c/d?q");
	resolves(base, "", "http://a.example/b/c/d?q");
	resolves(base, "../g", "http://a.example/b/g");
	resolves(base, "../../../g", "http://a.example/g");
	resolves(base, "https://z.example/x", "https://z.example/x");
	resolves("http://a.example?q", "x", "http://a.example/x");
	assert_int_equal(oc_url_parse(OC_STR("http://a.example"), &url, NULL), OC_OK);
	assert_int_equal(oc_url_resolve(url, OC_STR("mailto:x@y"), &other, NULL), OC_E_INVALID);
	assert_int_equal(oc_url_resolve(url, OC_STR("file:///etc/passwd"), &other, NULL), OC_E_INVALID);
	assert_int_equal(oc_url_parse(OC_STR("https://a.example"), &other, NULL), OC_OK);
	assert_false(oc_url_same_origin(url, other));
	oc_url_free(other);
	oc_url_free(url);
}

static void path(const char *raw, const char *expect)
{
	size_t size = strlen(raw) + 2, n = 99999;
	char *out = malloc(size); /* exact, for the sanitizer */
	oc_status status = oc_url_path_decode(oc_str_of(raw), out, &n);

	if (expect == NULL) {
		assert_int_equal(status, OC_E_INVALID);
	} else {
		assert_int_equal(status, OC_OK);
		assert_string_equal(out, expect);
		assert_int_equal(n, strlen(expect));
	}
	free(out);
}

static void t_request_paths(void **state)
{
	(void)state;
	path("/", "/");
	path("/a/b", "/a/b");
	path("/a/b/", "/a/b/");
	path("//a///b//", "/a/b/");
	path("/a/./b/.", "/a/b/");
	path("/a/../b", "/b");
	path("/a/b/..", "/a/");
	path("/a/..", "/");
	path("/%41%62", "/Ab");
	path("/a%2fb", "/a/b");
	path("/public/%2e%2e/secret", "/secret");
	path("/public/..%2fsecret", "/secret");
	path("/a%20b+c", "/a b+c");
	path("/\xc3\xa4", "/\xc3\xa4");
	path("/...", "/...");
	path("/..a/.b", "/..a/.b");
	path("/..", NULL);
	path("/a/../../b", NULL);
	path("/%2e%2e/%2e%2e/etc", NULL);
	path("", NULL);
	path("a", NULL);
	path("/%", NULL);
	path("/%4", NULL);
	path("/%4g", NULL);
	path("/a%00b", NULL);
	path("/a%0ab", NULL);
	path("/a\x7f", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_normal_forms), cmocka_unit_test(t_addresses), cmocka_unit_test(t_refused),
		cmocka_unit_test(t_long_ones),	  cmocka_unit_test(t_parts),	 cmocka_unit_test(t_references),
		cmocka_unit_test(t_request_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
