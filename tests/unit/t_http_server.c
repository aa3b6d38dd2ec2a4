/* The HTTP server over real sockets: split bytes, pipelines, limits, slow and rude clients, streams, the orderly end. */
#include "net_test.h"

#include <sys/stat.h>

/* ---- The handler under test: the path says what to do ---- */

typedef struct app {
	net_fixture *f;
	oc_http_req *held;
	int requests, heads, closes, drains, busy, stream_left, bodies;
	uint64_t upload_n;
	bool upload_last;
	size_t flood_left;
	oc_status flood_last;
	oc_http_peer peer;
	char seen[256];
} app;

static app a;

static void on_close(void *arg, oc_http_req *req)
{
	(void)arg;
	assert_true(oc_http_is_closed(req));
	a.closes++;
}

/* What a handler of a long request does: it ends it once, whatever became of the client. */
static void on_close_end(void *arg, oc_http_req *req)
{
	on_close(arg, req);
	oc_http_abort(req);
	a.held = NULL;
}

static void answer_later(void *arg)
{
	oc_http_req *req = arg;

	oc_http_respond(req, 200, "text/plain", OC_STR("later"));
}

static void stream_step(void *arg)
{
	oc_http_req *req = arg;
	char line[32];

	if (a.stream_left == 0) {
		oc_http_end(req);
		return;
	}
	snprintf(line, sizeof(line), "piece %d\n", a.stream_left--);
	(void)oc_http_write(req, oc_str_of(line));
	(void)oc_timer_start(a.f->owner, 1, 0, stream_step, req);
}

static char flood_piece[65536];

static void flood(void *arg, oc_http_req *req)
{
	(void)arg;
	while (a.flood_left > 0) {
		a.flood_left -= sizeof(flood_piece);
		a.flood_last = oc_http_write(req, oc_str_make(flood_piece, sizeof(flood_piece)));
		if (a.flood_last == OC_E_BUSY) {
			a.busy++;
			return;
		}
		if (a.flood_last != OC_OK)
			break;
	}
	oc_http_end(req);
}

static void on_drain(void *arg, oc_http_req *req)
{
	a.drains++;
	flood(arg, req);
}

static void on_upload(void *arg, oc_http_req *req, oc_str piece, bool last)
{
	(void)arg;
	(void)req;
	a.upload_n += piece.n;
	a.upload_last = last;
}

static void on_head(void *arg, oc_http_req *req)
{
	oc_str path = oc_http_path(req);

	(void)arg;
	a.heads++;
	if (oc_str_eqz(path, "/denied"))
		oc_http_error(req, 401, "unauthorized", "no \"token\"");
	else if (oc_str_eqz(path, "/upload")) {
		oc_http_body_limit(req, 10 << 20);
		oc_http_body_stream(req, on_upload, NULL);
		oc_http_on_close(req, on_close, NULL);
	} else if (oc_str_eqz(path, "/tiny"))
		oc_http_body_limit(req, 4);
	else if (oc_str_eqz(path, "/watched"))
		oc_http_on_close(req, on_close, NULL);
}

static void echo(oc_http_req *req)
{
	oc_sbuf b;
	oc_str method = oc_http_method(req), path = oc_http_path(req), query = oc_http_query(req), body = oc_http_body(req);

	oc_sbuf_init(&b, 4 << 20);
	oc_sbuf_printf(&b, "%.*s %.*s ?%.*s [", OC_STR_ARG(method), OC_STR_ARG(path), OC_STR_ARG(query));
	oc_sbuf_str(&b, body);
	oc_sbuf_printf(&b, "] x=%s", oc_http_header(req, "x-test").p);
	assert_int_equal(body.p[body.n], 0);
	(void)oc_http_add_header(req, "X-Answer", OC_STR("yes"));
	oc_http_respond(req, 200, "text/plain", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static void on_request(void *arg, oc_http_req *req)
{
	oc_str path = oc_http_path(req);

	(void)arg;
	a.requests++;
	a.peer = *oc_http_get_peer(req);
	if (oc_str_eqz(path, "/later")) {
		(void)oc_timer_start(a.f->owner, 5, 0, answer_later, req);
	} else if (oc_str_eqz(path, "/held")) {
		a.held = req;
		oc_http_on_close(req, on_close_end, NULL);
	} else if (oc_str_eqz(path, "/stubborn")) {
		a.held = req;
		oc_http_on_close(req, on_close, NULL);
	} else if (oc_str_eqz(path, "/stream")) {
		a.stream_left = 3;
		assert_int_equal(oc_http_respond_head(req, 200, "text/plain", -1), OC_OK);
		stream_step(req);
	} else if (oc_str_eqz(path, "/short")) {
		(void)oc_http_respond_head(req, 200, "text/plain", 10);
		(void)oc_http_write(req, OC_STR("12345"));
		oc_http_end(req); /* less than announced */
	} else if (oc_str_eqz(path, "/flood")) {
		a.flood_left = 8 << 20;
		a.held = req;
		oc_http_on_drain(req, on_drain, NULL);
		(void)oc_http_respond_head(req, 200, "application/octet-stream", -1);
		flood(NULL, req);
	} else if (oc_str_eqz(path, "/deaf")) {
		/* Does not listen to OC_E_BUSY. */
		(void)oc_http_respond_head(req, 200, "text/plain", -1);
		for (a.flood_last = OC_OK; a.flood_last == OC_OK || a.flood_last == OC_E_BUSY;)
			a.flood_last = oc_http_write(req, oc_str_make(flood_piece, sizeof(flood_piece)));
		oc_http_end(req);
	} else if (oc_str_eqz(path, "/buf")) {
		char *text = calloc(1, 1 << 20);
		oc_buf *buf;

		memset(text, 'b', 1 << 20);
		buf = oc_buf_new(oc_str_make(text, 1 << 20));
		free(text);
		oc_http_respond_buf(req, 200, "text/plain", buf);
	} else if (oc_str_eqz(path, "/empty")) {
		oc_http_respond(req, 204, NULL, OC_STR_NONE);
	} else if (oc_str_eqz(path, "/twice")) {
		(void)oc_http_respond_head(req, 200, "text/plain", -1);
		oc_http_respond(req, 200, "text/plain", OC_STR("again"));
	} else if (oc_str_eqz(path, "/badheader")) {
		assert_int_equal(oc_http_add_header(req, "X-A", OC_STR("a\r\nX-B: b")), OC_E_INVALID);
		assert_int_equal(oc_http_add_header(req, "X A", OC_STR("a")), OC_E_INVALID);
		assert_int_equal(oc_http_add_header(req, "Content-Length", OC_STR("3")), OC_E_INVALID);
		assert_int_equal(oc_http_add_header(req, "transfer-encoding", OC_STR("x")), OC_E_INVALID);
		oc_http_respond(req, 200, "text/plain\r\nX-Evil: 1", OC_STR("ok"));
	} else if (oc_str_eqz(path, "/headers")) {
		oc_sbuf b;

		oc_sbuf_init(&b, 65536);
		oc_http_headers_json(req, &b);
		oc_http_respond(req, 200, "application/json", oc_sbuf_view(&b));
		oc_sbuf_free(&b);
	} else if (oc_str_eqz(path, "/upload")) {
		char text[64];

		snprintf(text, sizeof(text), "got %llu %d", (unsigned long long)a.upload_n, a.upload_last);
		oc_http_respond(req, 200, "text/plain", oc_str_of(text));
	} else {
		echo(req);
	}
}

static int setup_with(void **state, oc_http_server_options options)
{
	memset(&a, 0, sizeof(a));
	options.handler = (oc_http_handler){.on_head = on_head, .on_request = on_request};
	*state = a.f = net_setup(&options);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, (oc_http_server_options){.max_body = 100000});
}

static int setup_quick(void **state)
{
	return setup_with(state, (oc_http_server_options){.header_ms = 80,
							  .body_ms = 80,
							  .write_ms = 80,
							  .idle_ms = 120,
							  .max_conns = 4,
							  .max_header = 2048,
							  .max_queue = 65536});
}

static int teardown(void **state)
{
	net_teardown(*state);
	return 0;
}

#define TALK(f, text) net_talk(f, text, sizeof(text) - 1, sizeof(text))

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
				fail_msg("case %zu in steps of %zu: %.200s", i, step, r);
			assert_non_null(strstr(r, "\r\nConnection: close\r\n"));
			assert_non_null(strstr(r, "\r\nContent-Type: application/json\r\n"));
			assert_non_null(strstr(r, "{\"error\":{\"code\":\""));
			free(r);
		}
	}
	assert_int_equal(a.requests, 0);
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
	assert_non_null(strstr(r, "{\"error\":{\"code\":\"unauthorized\",\"message\":\"no \\\"token\\\"\"}}"));
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

static void t_counted_buffer(void **state)
{
	net_fixture *f = *state;
	size_t n = 0;
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, "GET /buf HTTP/1.1\r\nHost: x\r\n\r\nGET /buf HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	r = net_read(f, fd, NULL, &n);
	close(fd);
	assert_int_equal(net_count(r, "HTTP/1.1 200 OK"), 2);
	assert_true(n > 2 << 20);
	free(r);
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

/* ---- Clients that go ---- */

static void t_client_leaves_while_waiting(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fd = net_connect(f);

	NET_SEND(f, fd, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 1);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	assert_null(a.held);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 0);
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.connections == 0));
}

static void t_request_outlives_its_client_and_server(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);

	NET_SEND(f, fd, "GET /stubborn?x HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	net_wait(f, 20);
	assert_true(oc_str_eqz(oc_http_path(a.held), "/stubborn"));
	assert_int_equal(oc_http_respond_head(a.held, 200, "text/plain", -1), OC_E_STATE);
	assert_int_equal(oc_http_write(a.held, OC_STR("x")), OC_E_STATE);
	oc_http_server_free(f->server);
	f->server = NULL;
	net_wait(f, 20);
	assert_true(oc_str_eqz(oc_http_query(a.held), "x"));
	oc_http_end(a.held);
}

static void t_half_closed_client_gets_its_answer(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, "GET /buf HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	shutdown(fd, SHUT_WR);
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 200);
	assert_int_equal(strlen(strstr(r, "\r\n\r\n")) - 4, 1 << 20);
	free(r);
	close(fd);
}

/* ---- Time ---- */

static void t_slow_head(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	uint64_t began = oc_now_ms();
	char *r;

	/* A byte now and then does not help. */
	NET_SEND(f, fd, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
	for (int i = 0; i < 10; i++) {
		NET_SEND(f, fd, "y");
		net_wait(f, 15);
	}
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 408);
	assert_true(oc_now_ms() - began < 2000);
	free(r);
	close(fd);
	/* Nothing at all: closed without a word. */
	fd = net_connect(f);
	r = net_read(f, fd, NULL, NULL);
	assert_string_equal(r, "");
	free(r);
	close(fd);
}

static void t_slow_body(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, "POST /watched HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 408);
	assert_int_equal(a.closes, 1);
	assert_int_equal(a.requests, 0);
	free(r);
	close(fd);
}

static void t_idle_connection_is_closed(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	uint64_t began = oc_now_ms();
	char *r;

	NET_SEND(f, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 200);
	assert_true(oc_now_ms() - began >= 100);
	free(r);
	close(fd);
	/* A long request is not idle. */
	fd = net_connect(f);
	NET_SEND(f, fd, "GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n");
	net_wait(f, 400);
	assert_int_equal(a.closes, 0);
	oc_http_respond(a.held, 200, "text/plain", OC_STR("patience"));
	r = net_read(f, fd, "patience", NULL);
	assert_non_null(strstr(r, "patience"));
	free(r);
	close(fd);
}

static void t_reader_that_stopped(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fd = net_connect(f), small = 4096;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	NET_SEND(f, fd, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.timeouts == 1 && stats.connections == 0));
	close(fd);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 1); /* the handler still waits for on_drain: it has to end what it owns */
	assert_int_equal(a.busy, 1);
	oc_http_abort(a.held);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 0);
}

static void t_too_many_connections(void **state)
{
	net_fixture *f = *state;
	int fds[4];
	char *r;

	for (int i = 0; i < 4; i++) {
		fds[i] = net_connect(f);
		NET_SEND(f, fds[i], "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		free(net_read(f, fds[i], "x=", NULL));
	}
	r = TALK(f, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(net_status(r), 503);
	assert_non_null(strstr(r, "too_many_connections"));
	free(r);
	close(fds[0]);
	net_wait(f, 30);
	r = TALK(f, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_int_equal(net_status(r), 200);
	free(r);
	for (int i = 1; i < 4; i++)
		close(fds[i]);
}

/* ---- The orderly end ---- */

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void t_drain(void **state)
{
	net_fixture *f = *state;
	int idle = net_connect(f), busy = net_connect(f), later;
	bool done = false;
	char *r;

	NET_SEND(f, idle, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	free(net_read(f, idle, "x=", NULL));
	NET_SEND(f, busy, "GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	oc_http_server_drain(f->server, 5000, set_flag, &done);
	r = net_read(f, idle, NULL, NULL);
	assert_string_equal(r, ""); /* closed at once */
	free(r);
	net_wait(f, 30);
	assert_false(done);
	later = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(connect(later, (struct sockaddr *)&addr, sizeof(addr)), -1);
	close(later);
	oc_http_respond(a.held, 200, "text/plain", OC_STR("last"));
	r = net_read(f, busy, NULL, NULL);
	assert_non_null(strstr(r, "Connection: close"));
	assert_non_null(strstr(r, "last"));
	free(r);
	NET_UNTIL(f, done);
	close(idle);
	close(busy);
}

static void t_drain_deadline(void **state)
{
	net_fixture *f = *state;
	int busy = net_connect(f);
	bool done = false;

	NET_SEND(f, busy, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	oc_http_server_drain(f->server, 30, set_flag, &done);
	NET_UNTIL(f, done);
	assert_int_equal(a.closes, 1);
	close(busy);
}

static void t_drain_of_an_empty_server(void **state)
{
	net_fixture *f = *state;
	bool done = false;

	oc_http_server_drain(f->server, 1000, set_flag, &done);
	assert_false(done); /* never from inside */
	NET_UNTIL(f, done);
}

/* ---- Listening ---- */

static void t_unix_socket(void **state)
{
	net_fixture *f = *state;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	oc_err err = {0};
	oc_http_server *other;
	char *r;
	int fd;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", f->dir);
	assert_int_equal(oc_http_server_listen_unix(f->server, un.sun_path, &err), OC_OK);
	assert_int_equal(stat(un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	NET_SEND(f, fd, "GET /u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 200);
	free(r);
	close(fd);
	assert_true(a.peer.is_unix);
	assert_int_equal(a.peer.uid, getuid());
	assert_int_equal(a.peer.pid, getpid());
	assert_false(a.peer.is_loopback);
	/* A living one is not taken over. */
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &other, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_unix(other, un.sun_path, &err), OC_E_EXISTS);
	assert_non_null(strstr(err.text, "another process listens"));
	oc_http_server_free(other);
	assert_int_equal(stat(un.sun_path, &st), 0);
	/* It goes with the server. */
	oc_http_server_free(f->server);
	assert_int_equal(stat(un.sun_path, &st), -1);
	/* A dead one is replaced, a file is not. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &f->server, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_unix(f->server, un.sun_path, &err), OC_OK);
	oc_http_server_free(f->server);
	assert_int_equal(oc_path_write(un.sun_path, "x", 1, 0600, &err), OC_OK);
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &f->server, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_unix(f->server, un.sun_path, &err), OC_E_EXISTS);
	assert_int_equal(unlink(un.sun_path), 0);
	memset(un.sun_path, 'x', 107);
	char path[200];
	snprintf(path, sizeof(path), "/%.107s/s", un.sun_path);
	assert_int_equal(oc_http_server_listen_unix(f->server, path, &err), OC_E_LIMIT);
}

static void t_listen_errors(void **state)
{
	net_fixture *f = *state;
	oc_err err = {0};
	uint16_t port = 0;

	assert_int_equal(oc_http_server_listen_tcp(f->server, "127.0.0.1", f->port, NULL, NULL, &err), OC_E_EXISTS);
	assert_non_null(strstr(err.text, "in use"));
	assert_true(err.remedy[0] != 0);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "localhost", 0, NULL, NULL, &err), OC_E_INVALID);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "203.0.113.77", 0, NULL, NULL, &err), OC_E_NOT_FOUND);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "127.0.0.1", 0, NULL, &port, &err), OC_OK);
	assert_true(port != 0 && port != f->port);
}

static void t_peer(void **state)
{
	free(TALK(*state, "GET /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	assert_true(a.peer.is_loopback);
	assert_false(a.peer.is_unix);
	assert_string_equal(a.peer.address, "127.0.0.1");
	assert_true(a.peer.port != 0);
	assert_int_equal(a.peer.uid, (uid_t)-1);
}

static void t_stats(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;

	free(TALK(f, "GET /p HTTP/1.1\r\nHost: x\r\n\r\nGET /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	free(TALK(f, "NONSENSE\r\n\r\n"));
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.bad_requests, 1);
	assert_int_equal(stats.connections_total, 2);
	assert_int_equal(stats.active, 0);
	assert_true(stats.bytes_in > 80 && stats.bytes_out > 200);
}

/* A connection that finds no memory is closed, and does not keep later ones out. */
static void t_no_memory_for_a_connection(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fds[3];
	char *answer;
	char byte;

	for (size_t i = 0; i < 3; i++)
		fds[i] = net_connect(f);
	oc_mem_fail_at(1);
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.refused >= 3));
	oc_mem_fail_at(0);
	for (size_t i = 0; i < 3; i++) {
		NET_UNTIL(f, recv(fds[i], &byte, 1, 0) == 0 || errno != EAGAIN);
		close(fds[i]);
	}
	answer = TALK(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(net_status(answer) > 0);
	free(answer);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, setup_quick, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_simple),
		T(t_no_memory_for_a_connection),
		T(t_pipeline_split_everywhere),
		T(t_deep_pipeline_behind_a_slow_request),
		T(t_methods_and_bodiless_answers),
		T(t_http10),
		T(t_absolute_target),
		T(t_headers_as_json),
		T(t_expect_continue),
		T(t_malformed),
		T(t_bad_request_after_good_ones),
		T(t_limits),
		T(t_body_limits),
		T(t_chunk_tricks_are_bounded),
		T(t_streamed_answer),
		T(t_less_than_announced_is_cut),
		T(t_back_pressure),
		T(t_handler_that_floods_is_cut),
		T(t_counted_buffer),
		T(t_streamed_upload),
		T(t_client_leaves_during_an_upload),
		T(t_client_leaves_while_waiting),
		T(t_request_outlives_its_client_and_server),
		T(t_half_closed_client_gets_its_answer),
		QUICK(t_slow_head),
		QUICK(t_slow_body),
		QUICK(t_idle_connection_is_closed),
		QUICK(t_reader_that_stopped),
		QUICK(t_too_many_connections),
		T(t_drain),
		T(t_drain_deadline),
		T(t_drain_of_an_empty_server),
		T(t_unix_socket),
		T(t_listen_errors),
		T(t_peer),
		T(t_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
