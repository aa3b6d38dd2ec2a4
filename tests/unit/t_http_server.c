/* The HTTP server over real sockets: split bytes, pipelines, what is refused, limits, streams in both directions. */
#include "http_app.h"

/* ---- Plain exchanges ---- */

static void t_simple(void **state)
{
	char *r = TALK(*state, "GET /a%20b/../c?q=1 HTTP/1.1\r\nHost: x\r\nX-Test:  v \r\nConnection: close\r\n\r\n");

	assert_int_equal(net_status(r), 200);
	assert_non_null(strstr(r, "\r\n\r\nGET /c ?q=1 [] x=v"));
	assert_non_null(strstr(r, "\r\nX-Answer: yes\r\n"));
	assert_non_null(strstr(r, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(r, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(r, "\r\nDate: "));
	assert_non_null(strstr(r, " GMT\r\n"));
	free(r);
}

static const char pipeline[] = "GET /one HTTP/1.1\r\nHost: x\r\nX-Test: 1\r\n\r\n"
			       "POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
			       "POST /three?x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			       "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
			       "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
			       "GET /four HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static void check_pipeline(char *r)
{
	const char *at = r;
	static const char *const parts[] = {"GET /one ?", "POST /two ?", "[hello]", "POST /three ?x", "[abc0123456789]", "later",
					    "GET /four ?"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		at = strstr(at, parts[i]);
		if (at == NULL)
			fail_msg("missing or out of order: %s in %s", parts[i], r);
	}
	assert_int_equal(net_count(r, "HTTP/1.1 200 OK"), 5);
	free(r);
}

static void t_pipeline_split_everywhere(void **state)
{
	net_fixture *f = *state;
	const size_t n = sizeof(pipeline) - 1;

	check_pipeline(net_talk(f, pipeline, n, n));
	check_pipeline(net_talk(f, pipeline, n, 1));
	check_pipeline(net_talk(f, pipeline, n, 7));
	for (size_t cut = 1; cut < n; cut++) {
		int fd = net_connect(f);

		net_send(f, fd, pipeline, cut);
		net_turn(f);
		net_turn(f);
		net_send(f, fd, pipeline + cut, n - cut);
		check_pipeline(net_read(f, fd, NULL, NULL));
		close(fd);
	}
}

static void t_deep_pipeline_behind_a_slow_request(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;
	char *r;

	oc_sbuf_init(&b, 1 << 20);
	oc_sbuf_z(&b, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 5000; i++) /* more than is kept: reading has to stop and go on */
		oc_sbuf_z(&b, "GET /n HTTP/1.1\r\nHost: x\r\n\r\n");
	oc_sbuf_z(&b, "GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	r = net_talk(f, b.p, b.n, 100000);
	assert_int_equal(net_count(r, "HTTP/1.1 200 OK"), 5002);
	assert_non_null(strstr(r, "GET /end"));
	free(r);
	oc_sbuf_free(&b);
}

static void t_methods_and_bodiless_answers(void **state)
{
	net_fixture *f = *state;
	char *r = TALK(f, "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /empty HTTP/1.1\r\nHost: x\r\n\r\n"
			  "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	const char *at = strstr(r, "\r\n\r\n");

	assert_non_null(strstr(r, "Content-Length: 16\r\n")); /* of "HEAD /x ? [] x=" and what HEAD leaves out */
	assert_memory_equal(at + 4, "HTTP/1.1 204 No Content\r\n", 25);
	at = strstr(at + 4, "\r\n\r\n");
	assert_memory_equal(at + 4, "HTTP/1.1 200 OK\r\n", 17);
	at = strstr(at + 4, "\r\n\r\n");
	assert_memory_equal(at + 4, "HTTP/1.1 200 OK\r\n", 17);
	assert_null(strstr(r, "piece"));
	assert_non_null(strstr(r, "OPTIONS  ?"));
	free(r);
}

static void t_http10(void **state)
{
	net_fixture *f = *state;
	char *r = TALK(f, "GET /stream HTTP/1.0\r\n\r\n");

	assert_non_null(strstr(r, "\r\n\r\npiece 3\npiece 2\npiece 1\n"));
	assert_null(strstr(r, "chunked"));
	free(r);
	r = TALK(f, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(r, "GET /a ?"));
	assert_non_null(strstr(r, "GET /b ?"));
	assert_int_equal(net_count(r, "Connection: keep-alive"), 1);
	free(r);
}

static void t_absolute_target(void **state)
{
	char *r = TALK(*state, "GET http://other.example:80/p?q HTTP/1.1\r\nHost: x\r\n\r\n"
			       "GET http://other.example HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_non_null(strstr(r, "GET /p ?q ["));
	assert_non_null(strstr(r, "GET / ? ["));
	free(r);
}

static void t_headers_as_json(void **state)
{
	char *r = TALK(*state, "GET /headers HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nCookie: a=1\r\nx-a: \"2\"\r\nCookie: b=2\r\n"
			       "Connection: close\r\n\r\n");

	assert_non_null(strstr(r, "{\"host\":\"x\",\"x-a\":\"1, \\\"2\\\"\",\"cookie\":\"a=1; b=2\",\"connection\":\"close\"}"));
	free(r);
}

static void t_expect_continue(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	r = net_read(f, fd, "\r\n\r\n", NULL);
	assert_string_equal(r, "HTTP/1.1 100 Continue\r\n\r\n");
	free(r);
	NET_SEND(f, fd, "ok");
	r = net_read(f, fd, "]", NULL);
	assert_non_null(strstr(r, "[ok]"));
	free(r);
	close(fd);
	/* Too large: the body is not asked for. */
	r = TALK(f, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n");
	assert_int_equal(net_status(r), 413);
	assert_null(strstr(r, "100 Continue"));
	free(r);
	r = TALK(f, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 2\r\n\r\nok");
	assert_int_equal(net_status(r), 417);
	free(r);
}

/* ---- What is refused ---- */

static void t_malformed(void **state)
{
	static const struct {
		int status;
		const char *text;
	} list[] = {
		{400, "GARBAGE\r\n\r\n"},
		{400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{400, "GET / HTTP/1.1\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\tb\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\n: a\r\nHost: a\r\n\r\n"},
		{400, "GET / HTTP/1.1\nHost: a\n\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
		{400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"},
		{400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tContent-Length: 3\r\n\r\nabc"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{505, "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"},
		{400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
		{505, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
		{505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{505, "GET /\r\n\r\n"},
	};
	net_fixture *f = *state;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		for (size_t step = 1; step <= 200; step += 199) {
			char *r = net_talk(f, list[i].text, strlen(list[i].text), step);

			if (net_status(r) != list[i].status)
				fail_msg("case %zu in steps of %zu: %s: %.200s", i, step, list[i].text, r);
			assert_non_null(strstr(r, "\r\nConnection: close\r\n"));
			assert_non_null(strstr(r, "\r\nContent-Type: application/json\r\n"));
			assert_non_null(strstr(r, "{\"error\":{\"code\":\""));
			free(r);
		}
	}
	assert_int_equal(a.requests, 0);
}

/* Each is one request, exactly: the one that follows it in the same bytes is seen as what it is. */
static void t_odd_but_legal_framings(void **state)
{
	static const struct {
		const char *text, *answer;
	} list[] = {
		{"\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a ? []"},
		{"GET /a HTTP/1.1\r\nhOsT:x\r\nx-tEST:v\r\n\r\n", "GET /a ? [] x=v"},
		{"GET /a HTTP/1.1\r\nHost:\t x \t\r\nX-Test: \t v\tw \t \r\n\r\n", "GET /a ? [] x=v\tw"},
		{"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "GET /a ? [abc]"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "POST /a ? []"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0003\r\n\r\nabc", "POST /a ? [abc]"},
		{"POST /a HTTP/1.1\r\nHost: x\r\n\r\n", "POST /a ? []"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "POST /a ? []"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \tchunked \r\n\r\n003\r\nabc\r\n000\r\n\r\n", "POST /a ? [abc]"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na;x;y=z\r\n0123456789\r\nA\r\n0123456789\r\n0;last\r\nX: t\r\n\r\n",
		 "POST /a ? [01234567890123456789]"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n0\r\n\r\n0\r\n\r\n", "POST /a ? [0\r\n]"},
		{"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 100\r\nHost: y\r\n\r\n", "POST /a ? [a]"},
		{"GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n", "GET /a ? []"},
		{"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a ? []"},
		{"GET /a? HTTP/1.1\r\nHost:\r\nConnection: ,, keep-alive ,\r\n\r\n", "GET /a ? []"},
	};
	static const char next[] = "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	char all[600];

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int n = snprintf(all, sizeof(all), "%s%s", list[i].text, next);

		for (size_t step = 1; step <= 600; step += 599) {
			char *r = net_talk(*state, all, (size_t)n, step);

			if (net_status(r) != 200 || net_count(r, "HTTP/1.1 200 OK") != 2 || strstr(r, list[i].answer) == NULL
			    || strstr(r, "GET /next ? []") == NULL)
				fail_msg("case %zu in steps of %zu: %s", i, step, r);
			free(r);
		}
	}
}

static void t_bad_request_after_good_ones(void **state)
{
	char *r = TALK(*state, "GET /one HTTP/1.1\r\nHost: x\r\n\r\nNONSENSE\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_int_equal(net_status(r), 200);
	assert_non_null(strstr(r, "HTTP/1.1 400 Bad Request"));
	assert_null(strstr(r, "/two"));
	free(r);
}

static void t_limits(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;
	char *r;

	oc_sbuf_init(&b, 1 << 20);
	oc_sbuf_z(&b, "GET /");
	for (int i = 0; i < 9000; i++)
		oc_sbuf_char(&b, 'a');
	oc_sbuf_z(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
	r = net_talk(f, b.p, b.n, b.n);
	assert_int_equal(net_status(r), 414);
	free(r);
	oc_sbuf_clear(&b);
	oc_sbuf_z(&b, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
	for (int i = 0; i < 65536; i++)
		oc_sbuf_char(&b, 'a');
	oc_sbuf_z(&b, "\r\n\r\n");
	r = net_talk(f, b.p, b.n, 30000);
	assert_int_equal(net_status(r), 431);
	free(r);
	oc_sbuf_clear(&b);
	oc_sbuf_z(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 300; i++)
		oc_sbuf_printf(&b, "X%d: y\r\n", i);
	oc_sbuf_z(&b, "\r\n");
	r = net_talk(f, b.p, b.n, b.n);
	assert_int_equal(net_status(r), 431);
	free(r);
	/* 250 headers do pass, and the big head does not leak into the next request. */
	oc_sbuf_clear(&b);
	oc_sbuf_z(&b, "GET /many HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 250; i++)
		oc_sbuf_printf(&b, "X%d: %d%d%d%d%d%d\r\n", i, i, i, i, i, i, i);
	oc_sbuf_z(&b, "\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	r = net_talk(f, b.p, b.n, b.n);
	assert_non_null(strstr(r, "GET /many"));
	assert_non_null(strstr(r, "GET /next"));
	free(r);
	oc_sbuf_free(&b);
}

static void t_body_limits(void **state)
{
	net_fixture *f = *state;
	char *big = malloc(300000), *r;
	int n;

	r = TALK(f, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n");
	assert_int_equal(net_status(r), 413);
	free(r);
	r = TALK(f, "POST /tiny HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde");
	assert_int_equal(net_status(r), 413);
	free(r);
	r = TALK(f, "POST /tiny HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	assert_int_equal(net_status(r), 413);
	free(r);
	r = TALK(f, "POST /tiny HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nabcd");
	assert_int_equal(net_status(r), 200);
	free(r);
	/* The client goes on sending: it still gets the answer, not a reset. */
	n = snprintf(big, 300000, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 250000\r\n\r\n");
	memset(big + n, 'z', 250000);
	r = net_talk(f, big, (size_t)n + 250000, 50000);
	assert_int_equal(net_status(r), 413);
	free(r);
	/* The same for an answer that needs no body. */
	n = snprintf(big, 300000, "POST /denied HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n");
	memset(big + n, 'z', 250000);
	r = net_talk(f, big, (size_t)n + 90000, 40000);
	assert_int_equal(net_status(r), 401);
	assert_non_null(strstr(r, "{\"error\":{\"code\":\"unauthorized\",\"type\":\"unauthorized\",\"message\":\"no \\\"token\\\"\"}}"));
	free(r);
	free(big);
	/* Without a body the connection stays. */
	r = TALK(f, "GET /denied HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_int_equal(net_status(r), 401);
	assert_non_null(strstr(r, "GET /x"));
	free(r);
}

static void t_chunk_tricks_are_bounded(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;
	char *r;

	oc_sbuf_init(&b, 1 << 20);
	oc_sbuf_z(&b, "POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x=");
	for (int i = 0; i < 20000; i++)
		oc_sbuf_char(&b, 'e');
	r = net_talk(f, b.p, b.n, b.n);
	assert_int_equal(net_status(r), 400);
	free(r);
	oc_sbuf_clear(&b);
	oc_sbuf_z(&b, "POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: ");
	for (int i = 0; i < 20000; i++)
		oc_sbuf_char(&b, 't');
	r = net_talk(f, b.p, b.n, b.n);
	assert_int_equal(net_status(r), 431);
	free(r);
	oc_sbuf_free(&b);
}

/* ---- Streams ---- */

static void t_streamed_answer(void **state)
{
	char *r = TALK(*state, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	assert_non_null(strstr(r, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(r, "\r\n\r\n8\r\npiece 3\n\r\n8\r\npiece 2\n\r\n8\r\npiece 1\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(r, "GET /after"));
	free(r);
}

static void t_less_than_announced_is_cut(void **state)
{
	char *r = TALK(*state, "GET /short HTTP/1.1\r\nHost: x\r\n\r\nGET /n HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_null(strstr(r, "/n ")); /* the client must not take the next answer for the rest */
	free(r);
	r = TALK(*state, "GET /twice HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_null(strstr(r, "again"));
	free(r);
}

static void t_back_pressure(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	size_t n = 0, zeros = 0;
	char *r;

	NET_SEND(f, fd, "GET /flood HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	net_wait(f, 50); /* nobody reads */
	assert_int_equal(a.busy, 1);
	assert_true(a.flood_left > 0);
	r = net_read(f, fd, NULL, &n);
	close(fd);
	assert_int_equal(a.flood_left, 0);
	assert_true(a.drains > 0);
	for (size_t i = 0; i < n; i++)
		zeros += r[i] == 0;
	assert_int_equal(zeros, 8 << 20);
	assert_memory_equal(r + n - 7, "\r\n0\r\n\r\n", 7);
	free(r);
}

static void t_handler_that_floods_is_cut(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);

	NET_SEND(f, fd, "GET /deaf HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.flood_last == OC_E_LIMIT);
	free(net_read(f, fd, NULL, NULL));
	close(fd);
}

static void t_streamed_upload(void **state)
{
	net_fixture *f = *state;
	char *text = malloc(3 << 20), *r;
	int n = snprintf(text, 1000, "POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n");

	memset(text + n, 'u', 2000000);
	r = net_talk(f, text, (size_t)n + 2000000, 70000);
	assert_non_null(strstr(r, "got 2000000 1"));
	free(r);
	free(text);
}

static void t_client_leaves_during_an_upload(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);

	NET_SEND(f, fd, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
	NET_UNTIL(f, a.upload_n == 3);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.requests, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_simple),
		T(t_pipeline_split_everywhere),
		T(t_deep_pipeline_behind_a_slow_request),
		T(t_methods_and_bodiless_answers),
		T(t_http10),
		T(t_absolute_target),
		T(t_headers_as_json),
		T(t_expect_continue),
		T(t_malformed),
		T(t_odd_but_legal_framings),
		T(t_bad_request_after_good_ones),
		T(t_limits),
		T(t_body_limits),
		T(t_chunk_tricks_are_bounded),
		T(t_streamed_answer),
		T(t_less_than_announced_is_cut),
		T(t_back_pressure),
		T(t_handler_that_floods_is_cut),
		T(t_streamed_upload),
		T(t_client_leaves_during_an_upload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
