/* The handler under test of the HTTP server's tests: the path says what to do.  For one test program, which gets all of it. */
#ifndef OC_TESTS_HTTP_APP_H
#define OC_TESTS_HTTP_APP_H

#include "net_test.h"

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
	(void)req;
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
	} else if (oc_str_eqz(path, "/megabyte")) {
		char *text = calloc(1, 1 << 20);

		memset(text, 'b', 1 << 20);
		oc_http_respond(req, 200, "text/plain", oc_str_make(text, 1 << 20));
		free(text);
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

static int teardown(void **state)
{
	net_teardown(*state);
	return 0;
}

#define TALK(f, text) net_talk(f, text, sizeof(text) - 1, sizeof(text))

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
