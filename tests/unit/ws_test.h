/* A server of WebSockets and raw frames over real sockets, for t_ws.c and t_ws_frames.c. */
#ifndef OC_TEST_WS_TEST_H
#define OC_TEST_WS_TEST_H

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

static inline void on_message(void *arg, oc_ws *ws, oc_str data, bool binary)
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

static inline void on_drain(void *arg, oc_ws *ws)
{
	(void)arg;
	(void)ws;
	a.drains++;
}

static inline void on_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	(void)arg;
	assert_ptr_equal(ws, a.ws);
	a.closes++;
	a.code = code;
	snprintf(a.reason, sizeof(a.reason), "%.*s", OC_STR_ARG(reason));
	a.ws = NULL;
}

static inline void upgrade(oc_http_req *req)
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

static inline void on_request(void *arg, oc_http_req *req)
{
	(void)arg;
	if (!oc_str_eqz(oc_http_path(req), "/ws"))
		oc_http_error(req, 404, "not_found", "nothing here");
	else if (a.wait)
		a.held = req;
	else
		upgrade(req);
}

static inline int setup(void **state)
{
	memset(&a, 0, sizeof(a));
	a.echo = true;
	*state = a.f = net_setup(&(oc_http_server_options){
		.handler = {.on_request = on_request}, .header_ms = 200, .idle_ms = 200, .write_ms = 2000});
	return 0;
}

static inline int teardown(void **state)
{
	net_teardown(*state);
	return 0;
}

/* ---- Raw frames ---- */

#define HANDSHAKE                                                                                   \
	"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"  \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* Appends a client's frame. first: FIN, RSV and opcode. */
static inline void frame(oc_sbuf *b, uint8_t first, const void *p, size_t n, bool masked)
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

static inline int open_ws(net_fixture *f)
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
static inline void read_n(net_fixture *f, int fd, void *out, size_t n)
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
static inline int read_frame(net_fixture *f, int fd, char *out, size_t size, size_t *ret_n)
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
static inline void expect_close_of(net_fixture *f, int fd, unsigned code, size_t what)
{
	char text[256];
	size_t n;
	int first = read_frame(f, fd, text, sizeof(text), &n);
	unsigned got = n >= 2 ? (unsigned)(uint8_t)text[0] << 8 | (uint8_t)text[1] : 0;

	if (first != 0x88 || got != code)
		fail_msg("case %zu: frame %02x with code %u instead of %u", what, (unsigned)first, got, code);
}

static inline void expect_close(net_fixture *f, int fd, unsigned code)
{
	expect_close_of(f, fd, code, 0);
}

static inline void expect_eof(net_fixture *f, int fd)
{
	char *rest = net_read(f, fd, NULL, NULL);

	assert_string_equal(rest, "");
	free(rest);
	close(fd);
}

static inline void send_frame(net_fixture *f, int fd, uint8_t first, const void *p, size_t n)
{
	oc_sbuf b;

	oc_sbuf_init(&b, 8 << 20);
	frame(&b, first, p, n, true);
	net_send(f, fd, b.p, b.n);
	oc_sbuf_free(&b);
}

#define WS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
