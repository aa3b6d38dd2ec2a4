/* WebSocket frames over real sockets: messages of all sizes and in every shape, what breaks the protocol, limits. */
#include "ws_test.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WS_TEST(t_echo_of_all_sizes),
		WS_TEST(t_fragments_and_interleaved_control),
		WS_TEST(t_protocol_errors),
		WS_TEST(t_every_reserved_bit_and_opcode),
		WS_TEST(t_frames_out_of_place),
		WS_TEST(t_close_codes),
		WS_TEST(t_utf8_in_pieces),
		WS_TEST(t_too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
