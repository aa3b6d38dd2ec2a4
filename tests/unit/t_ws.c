/* WebSocket over real sockets: handshake, the end, slow and silent peers, both roles. */
#include "ws_test.h"

/* ---- Handshake ---- */

static void t_handshake_refusals(void **state)
{
	static const struct {
		int status;
		const char *text;
	} list[] = {
		{426, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
		{426, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n"},
		{426, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
		      "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
		{400, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
		      "Sec-WebSocket-Version: 13\r\n\r\n"},
		{400, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
		      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n\r\n"},
		{400, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nContent-Length: 2\r\n"
		      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nab"},
		{426, "POST /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
		      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
	};
	net_fixture *f = *state;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		char *r = net_talk(f, list[i].text, strlen(list[i].text), 1000);

		if (net_status(r) != list[i].status)
			fail_msg("case %zu: %s", i, r);
		if (list[i].status == 426)
			assert_non_null(strstr(r, "\r\nSec-WebSocket-Version: 13\r\n"));
		free(r);
		assert_int_equal(a.upgrade, OC_E_INVALID);
	}
	assert_int_equal(a.opened, 0);
}

static void t_an_offer_that_is_not_taken(void **state)
{
	/* Another protocol is offered: the request is answered as HTTP, and the next one is read. */
	char *r = net_talk(*state,
			   "GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
			   "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			   sizeof("GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
				  "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") - 1,
			   200);

	assert_int_equal(net_count(r, "HTTP/1.1 404"), 2);
	free(r);
}

static void t_frames_behind_the_handshake(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;

	oc_sbuf_init(&b, 65536);
	oc_sbuf_z(&b, HANDSHAKE);
	frame(&b, 0x81, "early", 5, true);
	for (size_t step = 1; step <= b.n; step += step < 3 ? 1 : 37) {
		int fd = net_connect(f);
		char *r;

		for (size_t i = 0; i < b.n; i += step) {
			net_send(f, fd, b.p + i, b.n - i < step ? b.n - i : step);
			net_turn(f);
		}
		NET_UNTIL(f, a.messages == 1);
		a.messages = 0;
		r = net_read(f, fd, "early", NULL);
		assert_int_equal(net_status(r), 101);
		free(r);
		close(fd);
		NET_UNTIL(f, a.closes == 1);
		a.closes = 0;
	}
	/* The same when the handler takes its time. */
	a.wait = true;
	int fd = net_connect(f);
	net_send(f, fd, b.p, b.n);
	NET_UNTIL(f, a.held != NULL);
	net_wait(f, 10);
	assert_int_equal(a.messages, 0);
	upgrade(a.held);
	assert_int_equal(a.messages, 0); /* never from inside */
	NET_UNTIL(f, a.messages == 1);
	free(net_read(f, fd, "\r\n\r\n\x81", NULL));
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	oc_sbuf_free(&b);
}

/* ---- Closing ---- */

static void t_peer_closes(void **state)
{
	net_fixture *f = *state;
	int fd = open_ws(f);

	send_frame(f, fd, 0x88, "\x0f\xa1" "bye", 5);
	expect_close(f, fd, 4001);
	expect_eof(f, fd);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, 4001);
	assert_string_equal(a.reason, "bye");
	fd = open_ws(f);
	send_frame(f, fd, 0x88, "", 0);
	NET_UNTIL(f, a.closes == 2);
	assert_int_equal(a.code, OC_WS_NO_STATUS);
	close(fd);
}

static void t_we_close(void **state)
{
	net_fixture *f = *state;
	int fd = open_ws(f);
	char text[200];
	size_t n;
	char reason[200];

	memset(reason, 'r', sizeof(reason));
	memcpy(reason + 122, "\xc3\xa4", 2); /* would be cut in two */
	oc_ws_close(a.ws, 4000, oc_str_make(reason, 150));
	assert_int_equal(oc_ws_send(a.ws, OC_STR("late"), false), OC_E_STATE);
	oc_ws_close(a.ws, 4001, OC_STR("again"));
	assert_int_equal(a.closes, 0); /* never from inside */
	assert_int_equal(read_frame(f, fd, text, sizeof(text), &n), 0x88);
	assert_int_equal(n, 2 + 122);
	send_frame(f, fd, 0x81, "ignored", 7);
	send_frame(f, fd, 0x88, "\x0f\xa0", 2);
	expect_eof(f, fd);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, 4000);
	assert_int_equal(a.messages, 0);
	/* A peer that does not answer the close is not waited for for ever. */
	a.options.close_ms = 60;
	fd = open_ws(f);
	oc_ws_close(a.ws, 1000, OC_STR(""));
	NET_UNTIL(f, a.closes == 2);
	assert_int_equal(a.code, 1000);
	close(fd);
	/* From inside a message. */
	a.close_on_message = true;
	fd = open_ws(f);
	send_frame(f, fd, 0x81, "x", 1);
	expect_close(f, fd, 4001);
	close(fd);
	NET_UNTIL(f, a.closes == 3);
}

static void t_abort(void **state)
{
	net_fixture *f = *state;
	int fd = open_ws(f);

	oc_ws_abort(a.ws);
	assert_int_equal(a.closes, 0);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, OC_WS_ABNORMAL);
	expect_eof(f, fd);
}

static void t_server_drains(void **state)
{
	net_fixture *f = *state;
	int fd = open_ws(f);

	oc_http_server_drain(f->server, 2000, NULL, NULL);
	expect_close(f, fd, 1001);
	send_frame(f, fd, 0x88, "\x03\xe9", 2);
	expect_eof(f, fd);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, OC_WS_GOING_AWAY);
}

static void t_server_is_freed(void **state)
{
	net_fixture *f = *state;
	int fd = open_ws(f);

	oc_http_server_free(f->server);
	f->server = NULL;
	assert_int_equal(a.closes, 1);
	assert_int_equal(a.code, OC_WS_ABNORMAL);
	close(fd);
}

static void t_server_is_freed_inside_a_message(void **state)
{
	net_fixture *f = *state;
	int fd = open_ws(f);

	a.free_on_message = true;
	send_frame(f, fd, 0x81, "x", 1);
	NET_UNTIL(f, a.closes == 1);
	assert_null(f->server);
	assert_int_equal(a.code, OC_WS_ABNORMAL);
	close(fd);
}

/* ---- Time and pressure ---- */

static void t_pings(void **state)
{
	net_fixture *f = *state;
	char text[64];
	int fd;

	a.options.ping_ms = 60;
	a.options.pong_ms = 100;
	fd = open_ws(f);
	assert_int_equal(read_frame(f, fd, text, sizeof(text), NULL), 0x89);
	send_frame(f, fd, 0x8a, "", 0);
	net_wait(f, 30);
	assert_int_equal(a.closes, 0);
	assert_int_equal(read_frame(f, fd, text, sizeof(text), NULL), 0x89);
	NET_UNTIL(f, a.closes == 1); /* no answer this time */
	assert_int_equal(a.code, OC_WS_ABNORMAL);
	assert_non_null(strstr(a.reason, "ping"));
	close(fd);
}

static void t_slow_consumer(void **state)
{
	net_fixture *f = *state;
	char *piece = calloc(1, 65536);
	int busy = 0, fd;
	oc_status status = OC_OK;

	a.options.max_queue = 1 << 20;
	a.options.close_ms = 100;
	fd = open_ws(f);
	for (int i = 0; i < 1000 && status != OC_E_LIMIT; i++) {
		status = oc_ws_send(a.ws, oc_str_make(piece, 65536), true);
		busy += status == OC_E_BUSY;
		net_turn(f);
	}
	assert_int_equal(status, OC_E_LIMIT);
	assert_true(busy > 0);
	assert_int_equal(oc_ws_send(a.ws, OC_STR("x"), false), OC_E_STATE);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, OC_WS_POLICY);
	assert_string_equal(a.reason, "slow consumer");
	close(fd);
	free(piece);
}

static void t_drain_callback(void **state)
{
	net_fixture *f = *state;
	char *piece = calloc(1, 65536), *back = malloc(65537);
	int sent = 0, fd = open_ws(f);
	oc_status status = OC_OK;

	while (status == OC_OK) {
		status = oc_ws_send(a.ws, oc_str_make(piece, 65536), true);
		sent++;
		net_turn(f);
	}
	assert_int_equal(status, OC_E_BUSY);
	assert_int_equal(a.drains, 0);
	for (int i = 0; i < sent; i++)
		assert_int_equal(read_frame(f, fd, back, 65537, NULL), 0x82);
	NET_UNTIL(f, a.drains == 1);
	assert_int_equal(a.closes, 0);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	free(piece);
	free(back);
}

static void t_ping_flood(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;
	int fd, small = 4096;

	a.options.max_queue = 65536;
	a.options.close_ms = 100;
	fd = open_ws(f);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	oc_sbuf_init(&b, 1 << 20);
	for (int i = 0; i < 400; i++)
		frame(&b, 0x89, "0123456789012345678901234567890123456789012345678901234567890123456789", 70, true);
	/* Pongs are owed, and never read. */
	for (int i = 0; i < 500 && a.closes == 0; i++) {
		(void)send(fd, b.p, b.n, MSG_NOSIGNAL);
		net_turn(f);
	}
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, OC_WS_POLICY);
	close(fd);
	oc_sbuf_free(&b);
}

/* ---- The client's side ---- */

static void c_message(void *arg, oc_ws *ws, oc_str data, bool binary)
{
	(void)arg;
	(void)ws;
	(void)binary;
	a.c_messages++;
	snprintf(a.c_last, sizeof(a.c_last), "%.*s", OC_STR_ARG(data));
}

static void c_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	(void)arg;
	assert_ptr_equal(ws, a.client);
	a.c_closes++;
	a.c_code = code;
	snprintf(a.c_reason, sizeof(a.c_reason), "%.*s", OC_STR_ARG(reason));
	a.client = NULL;
}

static void c_opened(void *arg, oc_ws *ws)
{
	(void)arg;
	a.client = ws;
}

static void c_failed(void *arg, oc_status status, oc_str message)
{
	(void)arg;
	a.c_failed++;
	a.c_status = status;
	snprintf(a.c_reason, sizeof(a.c_reason), "%.*s", OC_STR_ARG(message));
}

static oc_local_ws client_of(net_fixture *f, const char *target)
{
	return (oc_local_ws){.address = "127.0.0.1",
			     .port = f->port,
			     .target = target,
			     .ws = {.on_message = c_message, .on_close = c_close},
			     .opened = c_opened,
			     .failed = c_failed};
}

static void t_client(void **state)
{
	net_fixture *f = *state;
	oc_local_ws request = client_of(f, "/ws");
	oc_err err = {0};

	assert_int_equal(oc_local_ws_open(f->owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.client != NULL && a.ws != NULL);
	assert_int_equal(oc_ws_send(a.client, OC_STR("to the server"), false), OC_OK);
	NET_UNTIL(f, a.c_messages == 1);
	assert_string_equal(a.last, "to the server");
	assert_string_equal(a.c_last, "to the server");
	oc_ws_close(a.client, 1000, OC_STR("done"));
	NET_UNTIL(f, a.closes == 1 && a.c_closes == 1);
	assert_int_equal(a.code, 1000);
	assert_string_equal(a.reason, "done");
	assert_int_equal(a.c_code, 1000);
	/* Now the server closes, with a message sent just before. */
	assert_int_equal(oc_local_ws_open(f->owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.client != NULL && a.ws != NULL);
	(void)oc_ws_send(a.ws, OC_STR("last words"), false);
	oc_ws_close(a.ws, 4010, OC_STR("gone"));
	NET_UNTIL(f, a.closes == 2 && a.c_closes == 2);
	assert_string_equal(a.c_last, "last words");
	assert_int_equal(a.c_code, 4010);
	assert_string_equal(a.c_reason, "gone");
	/* The server vanishes. */
	assert_int_equal(oc_local_ws_open(f->owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.client != NULL && a.ws != NULL);
	oc_ws_abort(a.ws);
	NET_UNTIL(f, a.c_closes == 3);
	assert_int_equal(a.c_code, OC_WS_ABNORMAL);
}

static void t_client_failures(void **state)
{
	net_fixture *f = *state;
	oc_local_ws request = client_of(f, "/nothing");
	oc_err err = {0};
	oc_owner *owner;

	assert_int_equal(oc_local_ws_open(f->owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.c_failed == 1);
	assert_int_equal(a.c_status, OC_E_PROTOCOL);
	assert_non_null(strstr(a.c_reason, "404"));
	request.unix_path = "/nonexistent/socket";
	assert_int_equal(oc_local_ws_open(f->owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.c_failed == 2);
	assert_int_equal(a.c_status, OC_E_UNAVAILABLE);
	request = client_of(f, "/ws");
	/* Swept with its owner: told and closed. */
	owner = oc_owner_new(f->loop, "short");
	assert_int_equal(oc_local_ws_open(owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.client != NULL && a.ws != NULL);
	oc_owner_free(owner);
	assert_int_equal(a.c_closes, 1);
	NET_UNTIL(f, a.closes == 1);
	a.wait = true; /* a server that does not answer the handshake */
	request.timeout_ms = 50;
	assert_int_equal(oc_local_ws_open(f->owner, &request, &err), OC_OK);
	NET_UNTIL(f, a.c_failed == 3);
	assert_int_equal(a.c_status, OC_E_TIMEOUT);
	oc_http_abort(a.held);
}

static void t_accept_key(void **state)
{
	char out[29];

	(void)state;
	oc_ws_accept_key(OC_STR("dGhlIHNhbXBsZSBub25jZQ=="), out);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WS_TEST(t_handshake_refusals),
		WS_TEST(t_an_offer_that_is_not_taken),
		WS_TEST(t_frames_behind_the_handshake),
		WS_TEST(t_peer_closes),
		WS_TEST(t_we_close),
		WS_TEST(t_abort),
		WS_TEST(t_server_drains),
		WS_TEST(t_server_is_freed),
		WS_TEST(t_server_is_freed_inside_a_message),
		WS_TEST(t_pings),
		WS_TEST(t_slow_consumer),
		WS_TEST(t_drain_callback),
		WS_TEST(t_ping_flood),
		WS_TEST(t_client),
		WS_TEST(t_client_failures),
		cmocka_unit_test(t_accept_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
