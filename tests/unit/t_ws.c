/* WebSocket over real sockets: handshake, frames in every shape, limits, slow and silent peers, both roles. */
#include "net_test.h"

#include "core/net/local_client.h"
#include "core/net/ws_inner.h"

typedef struct app {
	net_fixture *f;
	oc_ws *ws;
	oc_ws_options options;
	oc_http_req *held;
	int opened, messages, closes, drains;
	bool last_binary, echo, wait, close_on_message, free_on_message;
	uint16_t code;
	char reason[128];
	char last[256];
	size_t last_n;
	oc_status upgrade;
	/* the client's side, where the local client is used */
	oc_ws *client;
	int c_messages, c_closes, c_failed;
	uint16_t c_code;
	oc_status c_status;
	char c_last[256], c_reason[128];
} app;

static app a;

static void on_message(void *arg, oc_ws *ws, oc_str data, bool binary)
{
	assert_ptr_equal(arg, &a);
	assert_int_equal(data.p[data.n], 0);
	a.messages++;
	a.last_binary = binary;
	a.last_n = data.n;
	snprintf(a.last, sizeof(a.last), "%.*s", OC_STR_ARG(data));
	if (a.free_on_message) {
		oc_http_server_free(a.f->server);
		a.f->server = NULL;
	}
	if (a.close_on_message)
		oc_ws_close(ws, 4001, OC_STR("enough"));
	if (a.echo)
		(void)oc_ws_send(ws, data, binary);
}

static void on_drain(void *arg, oc_ws *ws)
{
	(void)arg;
	(void)ws;
	a.drains++;
}

static void on_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	(void)arg;
	assert_ptr_equal(ws, a.ws);
	a.closes++;
	a.code = code;
	snprintf(a.reason, sizeof(a.reason), "%.*s", OC_STR_ARG(reason));
	a.ws = NULL;
}

static void upgrade(oc_http_req *req)
{
	a.options.on_message = on_message;
	a.options.on_drain = on_drain;
	a.options.on_close = on_close;
	a.options.arg = &a;
	(void)oc_http_add_header(req, "X-Extra", OC_STR("1"));
	a.upgrade = oc_http_upgrade_ws(req, &a.options, &a.ws);
	if (a.upgrade == OC_OK)
		a.opened++;
}

static void on_request(void *arg, oc_http_req *req)
{
	(void)arg;
	if (!oc_str_eqz(oc_http_path(req), "/ws"))
		oc_http_error(req, 404, "not_found", "nothing here");
	else if (a.wait)
		a.held = req;
	else
		upgrade(req);
}

static int setup(void **state)
{
	memset(&a, 0, sizeof(a));
	a.echo = true;
	*state = a.f = net_setup(&(oc_http_server_options){
		.handler = {.on_request = on_request}, .header_ms = 200, .idle_ms = 200, .write_ms = 2000});
	return 0;
}

static int teardown(void **state)
{
	net_teardown(*state);
	return 0;
}

/* ---- Raw frames ---- */

#define HANDSHAKE                                                                                   \
	"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"  \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* Appends a client's frame. first: FIN, RSV and opcode. */
static void frame(oc_sbuf *b, uint8_t first, const void *p, size_t n, bool masked)
{
	static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
	const uint8_t *payload = p;
	uint8_t bit = masked ? 0x80 : 0;

	oc_sbuf_char(b, (char)first);
	if (n < 126) {
		oc_sbuf_char(b, (char)(bit | n));
	} else if (n < 65536) {
		oc_sbuf_char(b, (char)(bit | 126));
		oc_sbuf_char(b, (char)(n >> 8));
		oc_sbuf_char(b, (char)n);
	} else {
		oc_sbuf_char(b, (char)(bit | 127));
		for (int i = 7; i >= 0; i--)
			oc_sbuf_char(b, (char)((uint64_t)n >> (8 * i)));
	}
	if (masked)
		oc_sbuf_add(b, mask, 4);
	for (size_t i = 0; i < n; i++)
		oc_sbuf_char(b, (char)(masked ? payload[i] ^ mask[i % 4] : payload[i]));
}

static int open_ws(net_fixture *f)
{
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, HANDSHAKE);
	r = net_read(f, fd, "\r\n\r\n", NULL);
	assert_memory_equal(r, "HTTP/1.1 101 Switching Protocols\r\n", 34);
	assert_non_null(strstr(r, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")); /* RFC 6455's example */
	assert_non_null(strstr(r, "\r\nX-Extra: 1\r\n"));
	free(r);
	return fd;
}

/* Reads exactly n bytes. */
static void read_n(net_fixture *f, int fd, void *out, size_t n)
{
	size_t have = 0;
	uint64_t deadline = oc_now_ms() + 5000;

	while (have < n) {
		ssize_t got = recv(fd, (char *)out + have, n - have, 0);

		if (got > 0)
			have += (size_t)got;
		else if (got == 0 || errno != EAGAIN)
			fail_msg("the server closed after %zu of %zu bytes", have, n);
		net_turn(f);
		if (oc_now_ms() > deadline)
			fail_msg("%zu of %zu bytes came", have, n);
	}
}

/* Reads one frame of the server; returns its first byte, the payload NUL-terminated in out. */
static int read_frame(net_fixture *f, int fd, char *out, size_t size, size_t *ret_n)
{
	uint8_t head[10];
	uint64_t n;

	read_n(f, fd, head, 2);
	assert_int_equal(head[1] & 0x80, 0); /* a server does not mask */
	n = head[1];
	if (n == 126) {
		read_n(f, fd, head + 2, 2);
		n = (uint64_t)head[2] << 8 | head[3];
	} else if (n == 127) {
		read_n(f, fd, head + 2, 8);
		n = 0;
		for (int i = 2; i < 10; i++)
			n = n << 8 | head[i];
	}
	assert_true(n < size);
	read_n(f, fd, out, n);
	out[n] = 0;
	if (ret_n != NULL)
		*ret_n = n;
	return head[0];
}

/* what: for the message of a failure */
static void expect_close_of(net_fixture *f, int fd, unsigned code, size_t what)
{
	char text[256];
	size_t n;
	int first = read_frame(f, fd, text, sizeof(text), &n);
	unsigned got = n >= 2 ? (unsigned)(uint8_t)text[0] << 8 | (uint8_t)text[1] : 0;

	if (first != 0x88 || got != code)
		fail_msg("case %zu: frame %02x with code %u instead of %u", what, (unsigned)first, got, code);
}

static void expect_close(net_fixture *f, int fd, unsigned code)
{
	expect_close_of(f, fd, code, 0);
}

static void expect_eof(net_fixture *f, int fd)
{
	char *rest = net_read(f, fd, NULL, NULL);

	assert_string_equal(rest, "");
	free(rest);
	close(fd);
}

static void send_frame(net_fixture *f, int fd, uint8_t first, const void *p, size_t n)
{
	oc_sbuf b;

	oc_sbuf_init(&b, 8 << 20);
	frame(&b, first, p, n, true);
	net_send(f, fd, b.p, b.n);
	oc_sbuf_free(&b);
}

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

/* ---- Messages ---- */

static void t_echo_of_all_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 300000};
	net_fixture *f = *state;
	int fd = open_ws(f);
	char *data = malloc(300001), *back = malloc(300001);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = 0;

		memset(data, 'a' + (int)i, sizes[i]);
		send_frame(f, fd, i % 2 ? 0x82 : 0x81, data, sizes[i]);
		assert_int_equal(read_frame(f, fd, back, 300001, &n), i % 2 ? 0x82 : 0x81);
		assert_int_equal(n, sizes[i]);
		assert_memory_equal(data, back, n);
		assert_int_equal(a.last_binary, i % 2);
		assert_int_equal(a.last_n, n);
	}
	free(data);
	free(back);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, OC_WS_ABNORMAL);
}

static void t_fragments_and_interleaved_control(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;
	char text[64];

	oc_sbuf_init(&b, 65536);
	frame(&b, 0x01, "Gr\xc3", 3, true); /* cut inside a character */
	frame(&b, 0x89, "ping", 4, true);
	frame(&b, 0x00, "\xbc\xc3\x9f", 3, true);
	frame(&b, 0x80, "e", 1, true);
	for (size_t step = 1; step <= b.n; step++) {
		int fd = open_ws(f);

		for (size_t i = 0; i < b.n; i += step) {
			net_send(f, fd, b.p + i, b.n - i < step ? b.n - i : step);
			net_turn(f);
		}
		assert_int_equal(read_frame(f, fd, text, sizeof(text), NULL), 0x8a);
		assert_string_equal(text, "ping");
		assert_int_equal(read_frame(f, fd, text, sizeof(text), NULL), 0x81);
		assert_string_equal(text, "Grüße");
		close(fd);
		NET_UNTIL(f, a.ws == NULL);
	}
	oc_sbuf_free(&b);
}

static void expect_refusal(net_fixture *f, const oc_sbuf *b, unsigned code, size_t what)
{
	int fd = open_ws(f);

	a.closes = a.messages = 0;
	net_send(f, fd, b->p, b->n);
	expect_close_of(f, fd, code, what);
	expect_eof(f, fd);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.code, code);
	assert_int_equal(a.messages, 0);
}

static void t_protocol_errors(void **state)
{
	static const struct {
		unsigned code;
		uint8_t first;
		bool masked;
		const char *p;
		size_t n;
	} list[] = {
		{1002, 0x81, false, "unmasked", 8},
		{1002, 0x83, true, "x", 1},    /* unknown opcode */
		{1002, 0x8b, true, "x", 1},
		{1002, 0xc1, true, "x", 1},    /* RSV1 without an extension */
		{1002, 0x09, true, "x", 1},    /* a control frame in pieces */
		{1002, 0x80, true, "x", 1},    /* a continuation of nothing */
		{1002, 0x88, true, "\x03", 1}, /* half a code */
		{1002, 0x88, true, "\x03\xed", 2}, /* 1005 must not be sent */
		{1002, 0x88, true, "\x00\x00", 2},
		{1007, 0x88, true, "\x03\xe8\xff", 3},
		{1007, 0x81, true, "\xc3\x28", 2},
		{1007, 0x81, true, "\xed\xa0\x80", 3}, /* a surrogate */
		{1007, 0x81, true, "\xf4\x90\x80\x80", 4},
		{1007, 0x81, true, "cut \xc3", 5},
	};
	oc_sbuf b;

	oc_sbuf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		oc_sbuf_clear(&b);
		frame(&b, list[i].first, list[i].p, list[i].n, list[i].masked);
		expect_refusal(*state, &b, list[i].code, i);
	}
	oc_sbuf_free(&b);
}

static void t_every_reserved_bit_and_opcode(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;

	oc_sbuf_init(&b, 1000);
	for (unsigned first = 0x80; first < 0x100; first++) {
		unsigned op = first & 15;

		if ((first & 0x70) == 0 && (op == 1 || op == 2 || (op >= 8 && op <= 10)))
			continue;
		oc_sbuf_clear(&b);
		frame(&b, (uint8_t)first, "\x03\xe8", 2, true);
		expect_refusal(f, &b, 1002, first);
	}
	oc_sbuf_free(&b);
}

static void t_frames_out_of_place(void **state)
{
	static const struct {
		unsigned code;
		const char *p;
		size_t n;
	} raw[] = {
		{1002, "\x89\xfe\0\x7e", 4},			    /* a control frame of 126 bytes */
		{1002, "\x81\xfe\0\x7d" "1234", 8},			    /* 125 in two bytes */
		{1002, "\x82\xff\0\0\0\0\0\0\xff\xff" "1234", 14},    /* 65535 in eight */
		{1002, "\x82\xff\x80\0\0\0\0\x01\0\0" "1234", 14},   /* a negative length */
		{1009, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" "1234", 14},
		{1009, "\x82\xff\0\0\0\0\0\x10\0\x01" "1234", 14},    /* one above the limit */
		{1002, "\x81\x00", 2},					    /* empty, and not masked */
	};
	net_fixture *f = *state;
	oc_sbuf b;

	oc_sbuf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		oc_sbuf_clear(&b);
		oc_sbuf_add(&b, raw[i].p, raw[i].n);
		expect_refusal(f, &b, raw[i].code, i);
	}
	for (uint8_t second = 0x81; second <= 0x82; second++) { /* a new message within one */
		oc_sbuf_clear(&b);
		frame(&b, 0x01, "one", 3, true);
		frame(&b, second, "two", 3, true);
		expect_refusal(f, &b, 1002, second);
	}
	oc_sbuf_clear(&b); /* the end of a message that has ended */
	frame(&b, 0x01, "", 0, true);
	frame(&b, 0x80, "", 0, true);
	frame(&b, 0x80, "x", 1, true);
	int fd = open_ws(f);
	net_send(f, fd, b.p, b.n);
	assert_int_equal(read_frame(f, fd, a.last, sizeof(a.last), NULL), 0x81);
	assert_int_equal(a.last[0], 0);
	expect_close(f, fd, 1002);
	expect_eof(f, fd);
	NET_UNTIL(f, a.ws == NULL);
	oc_sbuf_free(&b);
}

static void t_close_codes(void **state)
{
	net_fixture *f = *state;
	oc_sbuf b;
	char reason[126];

	oc_sbuf_init(&b, 1000);
	memset(reason, 'r', sizeof(reason));
	for (unsigned code = 0; code <= 0xffff; code += code < 1020 || (code > 2990 && code < 3001) || (code > 4990 && code < 5010) ? 1 : 499) {
		bool ok = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code < 5000);
		size_t n = code % 2 != 0 ? 125 : 2, back;
		char text[200];
		int fd;

		if (code > 3 && code < 990)
			continue;
		reason[0] = (char)(code >> 8);
		reason[1] = (char)code;
		oc_sbuf_clear(&b);
		frame(&b, 0x88, reason, n, true);
		frame(&b, 0x81, "nobody listens", 14, true);
		if (!ok) {
			expect_refusal(f, &b, 1002, code);
			continue;
		}
		fd = open_ws(f);
		a.closes = a.messages = 0;
		net_send(f, fd, b.p, b.n);
		assert_int_equal(read_frame(f, fd, text, sizeof(text), &back), 0x88);
		assert_int_equal(back, n);
		assert_memory_equal(text, reason, n);
		expect_eof(f, fd);
		NET_UNTIL(f, a.closes == 1);
		assert_int_equal(a.code, code);
		assert_int_equal(strlen(a.reason), n - 2);
		assert_int_equal(a.messages, 0);
	}
	oc_sbuf_clear(&b);
	frame(&b, 0x88, "\x03\xe8 cut \xe2\x82", 9, true);
	expect_refusal(f, &b, 1007, 0);
	oc_sbuf_free(&b);
}

/* Text is looked at as it comes: what no further byte can mend is refused before the message, or even its frame, ends. */
static void t_utf8_in_pieces(void **state)
{
	static const struct {
		bool ok; /* so far */
		const char *text;
	} list[] = {
		{true, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"}, {true, "\xf4\x8f\xbf\xbf"}, {true, "\xed\x9f\xbf"},
		{true, "\xee\x80\x80"}, {true, "\xef\xbf\xbf"}, {true, "\xf0\x90\x80\x80"}, {true, "\xe0\xa0\x80"}, {true, "\xc2\x80"},
		{false, "\xed\xa0"}, {false, "\xf4\x90"}, {false, "\xf5"}, {false, "\xc0"}, {false, "\xc1"}, {false, "\xe0\x9f"},
		{false, "\xf0\x8f"}, {false, "\x80"}, {false, "\xe2\x28"}, {false, "\xf0\x90\x80\x28"}, {false, "ab\xff"},
	};
	net_fixture *f = *state;
	oc_sbuf b;
	char text[64];

	oc_sbuf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		size_t n = strlen(list[i].text);

		for (size_t by = 0; by < 2; by++) { /* a frame for each byte; one frame that never ends */
			oc_sbuf_clear(&b);
			for (size_t k = 0; k < n && by == 0; k++)
				frame(&b, k == 0 ? 0x01 : 0x00, list[i].text + k, 1, true);
			if (by == 1) {
				oc_sbuf_add(&b, "\x01\xfe\x10\0\0\0\0\0", 8); /* 4096 bytes, a mask of zeros */
				oc_sbuf_add(&b, list[i].text, n);
			}
			if (!list[i].ok) {
				expect_refusal(f, &b, 1007, i);
				continue;
			}
			int fd = open_ws(f);
			net_send(f, fd, b.p, b.n);
			if (by == 0) {
				send_frame(f, fd, 0x80, "", 0);
				assert_int_equal(read_frame(f, fd, text, sizeof(text), NULL), 0x81);
				assert_string_equal(text, list[i].text);
			} else {
				net_wait(f, 1);
				assert_non_null(a.ws);
			}
			close(fd);
			NET_UNTIL(f, a.ws == NULL);
		}
	}
	oc_sbuf_free(&b);
}

static void t_too_big(void **state)
{
	net_fixture *f = *state;
	char data[2000];
	int fd;

	memset(data, 'x', sizeof(data));
	a.options.max_message = 1000;
	fd = open_ws(f);
	send_frame(f, fd, 0x81, data, 1000);
	NET_UNTIL(f, a.messages == 1);
	oc_ws_set_max_message(a.ws, 1500);
	send_frame(f, fd, 0x82, data, 1500);
	NET_UNTIL(f, a.messages == 2);
	/* In pieces it is not smaller. */
	send_frame(f, fd, 0x01, data, 1000);
	send_frame(f, fd, 0x80, data, 501);
	NET_UNTIL(f, a.closes == 1);
	assert_int_equal(a.messages, 2);
	assert_int_equal(a.code, OC_WS_TOO_BIG);
	close(fd);
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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_handshake_refusals),
		T(t_an_offer_that_is_not_taken),
		T(t_frames_behind_the_handshake),
		T(t_echo_of_all_sizes),
		T(t_fragments_and_interleaved_control),
		T(t_protocol_errors),
		T(t_every_reserved_bit_and_opcode),
		T(t_frames_out_of_place),
		T(t_close_codes),
		T(t_utf8_in_pieces),
		T(t_too_big),
		T(t_peer_closes),
		T(t_we_close),
		T(t_abort),
		T(t_server_drains),
		T(t_server_is_freed),
		T(t_server_is_freed_inside_a_message),
		T(t_pings),
		T(t_slow_consumer),
		T(t_drain_callback),
		T(t_ping_flood),
		T(t_client),
		T(t_client_failures),
		cmocka_unit_test(t_accept_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
