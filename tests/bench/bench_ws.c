/*
 * WebSockets: the gateway beside the least that libuv can do.  Both sides are here, each on one thread.
 *
 * usage: bench_ws echo                        an echo server; says "ready on port N"
 *        bench_ws call PORT TOKEN CONNECTIONS MS   requests, 16 deep on each connection; TOKEN "": to the echo server
 *        bench_ws crowd PORT TOKEN N PID      N handshakes at once, then all of them idle, then an event for each
 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { DEEP = 16, MAX_CONNS = 20000, SAMPLES = 2000000, HELLO_MAX = 262144 };

static const char upgrade[] = "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)fputs("bench_ws: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* ---- Both sides: what came in and is no whole frame yet; what goes out ---- */

typedef struct conn {
	uv_tcp_t tcp;
	uv_connect_t connect;
	char *in;
	size_t in_n, in_cap;
	bool open, ready; /* the upgrade is done; connect was answered */
	uint64_t sent_ns[DEEP];
	unsigned at, waiting;
	bool told; /* of the event that is waited for */
} conn;

static char read_buf[262144], out_buf[524288];
static uv_loop_t *loop;

static void on_closed(uv_handle_t *handle)
{
	conn *c = handle->data;
	free(c->in);
	c->in = NULL;
}

static void on_written(uv_write_t *req, int status)
{
	if (status < 0)
		die("write: %s", uv_strerror(status));
	free(req);
}

static void send_bytes(conn *c, const char *p, size_t n)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
	int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	if (sent == (int)n)
		return;
	if (sent < 0 && sent != UV_EAGAIN)
		return; /* it is closing */
	size_t done = sent > 0 ? (size_t)sent : 0;
	uv_write_t *req = malloc(sizeof(*req) + n - done);
	if (req == NULL)
		die("no memory");
	memcpy(req + 1, p + done, n - done);
	buf = uv_buf_init((char *)(req + 1), (unsigned)(n - done));
	if (uv_write(req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
		free(req);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(read_buf, sizeof(read_buf));
}

/* A whole frame at p: its length, the body's place and length; 0: more is needed. */
static size_t whole_frame(const uint8_t *p, size_t n, size_t *ret_at, size_t *ret_n)
{
	size_t at = 2, len;
	if (n < 2)
		return 0;
	len = p[1] & 127;
	if (len == 126) {
		if (n < 4)
			return 0;
		len = (size_t)p[2] << 8 | p[3];
		at = 4;
	} else if (len == 127) {
		if (n < 10)
			return 0;
		len = 0;
		for (size_t i = 2; i < 10; i++)
			len = len << 8 | p[i];
		at = 10;
	}
	at += (p[1] & 128) != 0 ? 4 : 0;
	if (n < at + len)
		return 0;
	*ret_at = at;
	*ret_n = len;
	return at + len;
}

/* take: bytes used, from the front. */
static void gather(conn *c, const char *p, size_t n, size_t (*take)(conn *c, char *p, size_t n))
{
	size_t used = 0, one;
	char *all = (char *)(uintptr_t)p;
	if (c->in_n > 0) {
		if (c->in_cap < c->in_n + n) {
			c->in_cap = c->in_n + n + 4096;
			c->in = realloc(c->in, c->in_cap);
			if (c->in == NULL)
				die("no memory");
		}
		memcpy(c->in + c->in_n, p, n);
		c->in_n += n;
		all = c->in;
		n = c->in_n;
	}
	while (used < n && (one = take(c, all + used, n - used)) > 0)
		used += one;
	if (used == n) {
		free(c->in);
		c->in = NULL;
		c->in_n = c->in_cap = 0;
		return;
	}
	if (c->in == NULL) {
		c->in_cap = n - used + 4096;
		c->in = malloc(c->in_cap);
		if (c->in == NULL)
			die("no memory");
	}
	memmove(c->in, all + used, n - used);
	c->in_n = n - used;
}

/* ---- The echo server ---- */

static size_t out_n;

static size_t echo_take(conn *c, char *p, size_t n)
{
	size_t at, len, whole, head;
	if (!c->open) {
		char *end = memmem(p, n, "\r\n\r\n", 4);
		if (end == NULL)
			return 0;
		c->open = true;
		send_bytes(c, accepted, sizeof(accepted) - 1);
		return (size_t)(end + 4 - p);
	}
	whole = whole_frame((uint8_t *)p, n, &at, &len);
	if (whole == 0)
		return 0;
	if (out_n + len + 10 > sizeof(out_buf)) {
		send_bytes(c, out_buf, out_n);
		out_n = 0;
	}
	out_buf[out_n++] = (char)0x81;
	head = len < 126 ? 0 : 2;
	out_buf[out_n++] = head == 0 ? (char)len : 126;
	if (head != 0) {
		out_buf[out_n++] = (char)(len >> 8);
		out_buf[out_n++] = (char)len;
	}
	for (size_t i = 0; i < len; i++)
		out_buf[out_n++] = (char)(p[at + i] ^ p[at - 4 + i % 4]);
	return whole;
}

static void echo_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	if (n < 0) {
		uv_close((uv_handle_t *)stream, on_closed);
		return;
	}
	gather(stream->data, buf->base, (size_t)n, echo_take);
	if (out_n > 0)
		send_bytes(stream->data, out_buf, out_n);
	out_n = 0;
}

static void echo_accept(uv_stream_t *server, int status)
{
	conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL)
		return;
	(void)uv_tcp_init(loop, &c->tcp);
	c->tcp.data = c;
	if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 || uv_tcp_nodelay(&c->tcp, 1) != 0
	    || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, echo_read) != 0)
		uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static int echo(void)
{
	static uv_tcp_t server;
	struct sockaddr_in addr;
	int len = sizeof(addr);
	(void)uv_ip4_addr("127.0.0.1", 0, &addr);
	(void)uv_tcp_init(loop, &server);
	if (uv_tcp_bind(&server, (struct sockaddr *)&addr, 0) != 0 || uv_listen((uv_stream_t *)&server, 511, echo_accept) != 0
	    || uv_tcp_getsockname(&server, (struct sockaddr *)&addr, &len) != 0)
		die("cannot listen");
	printf("ready on port %u\n", (unsigned)ntohs(addr.sin_port));
	fflush(stdout);
	return uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- The client ---- */

static struct {
	struct sockaddr_in addr;
	const char *token;
	size_t n, ready, opened, told;
	bool crowd, counting;
	char request[256];
	size_t request_n;
	uint64_t calls, began_ns;
	size_t samples;
	conn *conns;
} client;
static uint32_t times[SAMPLES];

/* One text frame, masked with zeros. */
static size_t frame(char *to, const char *text, size_t n)
{
	size_t at = 0;
	to[at++] = (char)0x81;
	if (n < 126) {
		to[at++] = (char)(0x80 | n);
	} else {
		to[at++] = (char)0xfe;
		to[at++] = (char)(n >> 8);
		to[at++] = (char)n;
	}
	memset(to + at, 0, 4);
	memcpy(to + at + 4, text, n);
	return at + 4 + n;
}

static void ask(conn *c, unsigned n)
{
	char all[sizeof(client.request) * DEEP];
	size_t at = 0;
	for (; n > 0; n--) {
		memcpy(all + at, client.request, client.request_n);
		at += client.request_n;
		c->sent_ns[(c->at + c->waiting++) % DEEP] = uv_hrtime();
	}
	send_bytes(c, all, at);
}

static void all_ready(void);

static void say_connect(conn *c)
{
	char text[700], whole[750];
	int n = snprintf(text, sizeof(text),
			 "{\"type\":\"req\",\"id\":\"1\",\"method\":\"connect\",\"params\":{\"minProtocol\":3,\"maxProtocol\":3,\"client\":"
			 "{\"id\":\"test\",\"version\":\"1\",\"platform\":\"linux\",\"mode\":\"test\"},\"role\":\"operator\",\"scopes\":[\"operator.admin\"],"
			 "\"auth\":{\"token\":\"%s\"}}}",
			 client.token);
	send_bytes(c, whole, frame(whole, text, (size_t)n));
}

static void became_ready(conn *c)
{
	c->ready = true;
	if (++client.ready == client.n)
		all_ready();
}

static void heard(conn *c, const char *p, size_t n)
{
	if (!c->ready) {
		if (memmem(p, n < 200 ? n : 200, "hello-ok", 8) != NULL)
			became_ready(c);
		else if (memmem(p, n, "connect.challenge", 17) != NULL)
			say_connect(c);
		else if (memmem(p, n < 60 ? n : 60, "\"ok\":false", 10) != NULL)
			die("connect is refused: %.*s", (int)(n < 300 ? n : 300), p);
		return;
	}
	if (client.token[0] != 0 && memmem(p, n < 40 ? n : 40, "\"event\"", 7) != NULL) {
		if (client.counting && !c->told && memmem(p, n < 80 ? n : 80, "\"shutdown\"", 10) != NULL) {
			c->told = true;
			client.told++;
		}
		return;
	}
	if (c->waiting == 0)
		return;
	if (client.samples < SAMPLES)
		times[client.samples++] = (uint32_t)(uv_hrtime() - c->sent_ns[c->at]);
	c->at = (c->at + 1) % DEEP;
	c->waiting--;
	client.calls++;
}

static size_t client_take(conn *c, char *p, size_t n)
{
	size_t at, len, whole;
	if (!c->open) {
		char *end = memmem(p, n, "\r\n\r\n", 4);
		if (end == NULL)
			return 0;
		if (memcmp(p, "HTTP/1.1 101", 12) != 0)
			die("refused: %.*s", 80, p);
		c->open = true;
		client.opened++;
		if (client.token[0] == 0)
			became_ready(c);
		return (size_t)(end + 4 - p);
	}
	whole = whole_frame((uint8_t *)p, n, &at, &len);
	if (whole > 0 && (p[0] & 15) == 1)
		heard(c, p + at, len);
	return whole;
}

static void client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	conn *c = stream->data;
	if (n < 0) {
		if (!client.counting)
			die("a connection was lost after %zu of %zu handshakes: %s", client.ready, client.n, uv_strerror((int)n));
		uv_close((uv_handle_t *)stream, NULL);
		return;
	}
	gather(c, buf->base, (size_t)n, client_take);
	if (c->ready && !client.crowd && client.ready == client.n && c->waiting < DEEP)
		ask(c, DEEP - c->waiting);
}

static void on_connect(uv_connect_t *req, int status)
{
	conn *c = req->data;
	if (status != 0)
		die("cannot connect: %s", uv_strerror(status));
	(void)uv_tcp_nodelay(&c->tcp, 1);
	(void)uv_read_start((uv_stream_t *)&c->tcp, on_alloc, client_read);
	send_bytes(c, upgrade, sizeof(upgrade) - 1);
}

static void connect_all(size_t n)
{
	client.n = n;
	client.conns = calloc(n, sizeof(*client.conns));
	if (client.conns == NULL)
		die("no memory");
	client.began_ns = uv_hrtime();
	for (size_t i = 0; i < n; i++) {
		conn *c = &client.conns[i];
		(void)uv_tcp_init(loop, &c->tcp);
		c->tcp.data = c->connect.data = c;
		if (uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&client.addr, on_connect) != 0)
			die("cannot connect");
	}
}

static int by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void on_time(uv_timer_t *timer)
{
	(void)timer;
	double s = (double)(uv_hrtime() - client.began_ns) / 1e9;
	if (client.samples == 0)
		die("nothing was answered");
	qsort(times, client.samples, sizeof(times[0]), by_size);
	printf("%.0f %.1f %.1f\n", (double)client.calls / s, times[client.samples / 2] / 1e3, times[client.samples * 99 / 100] / 1e3);
	exit(0);
}

/* ---- A crowd ---- */

static int gateway_pid;
static size_t memory_before;

static size_t private_memory(void)
{
	char path[64], line[200];
	size_t kb, sum = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", gateway_pid);
	FILE *f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Private_Clean: %zu", &kb) == 1 || sscanf(line, "Private_Dirty: %zu", &kb) == 1)
			sum += kb;
	if (f != NULL)
		(void)fclose(f);
	return sum * 1024;
}

static uint64_t told_from;

static void on_told(uv_timer_t *timer)
{
	if (client.told < client.n) {
		if (uv_hrtime() - told_from > 10000000000u)
			die("only %zu of %zu were told", client.told, client.n);
		return;
	}
	uv_timer_stop(timer);
	exit(0);
}

static uint64_t last_told_ns;

static void watch_told(uv_check_t *check)
{
	(void)check;
	if (client.told == client.n && last_told_ns == 0) {
		last_told_ns = uv_hrtime();
		printf("an event for each of %zu, until the last has it: %.1f ms\n", client.n, (double)(last_told_ns - told_from) / 1e6);
	}
}

static void on_idle(uv_timer_t *timer)
{
	static uv_timer_t poll;
	static uv_check_t check;
	size_t now = private_memory();
	printf("memory of the gateway for each of %zu idle clients: %.1f KB\n", client.n, ((double)now - (double)memory_before) / (double)client.n / 1024);
	fflush(stdout);
	uv_timer_stop(timer);
	client.counting = true;
	(void)uv_check_init(loop, &check);
	(void)uv_check_start(&check, watch_told);
	(void)uv_timer_init(loop, &poll);
	told_from = uv_hrtime();
	(void)uv_timer_start(&poll, on_told, 100, 100);
	(void)uv_kill(gateway_pid, 15); /* "shutdown" is told to everybody at once */
}

static void all_ready(void)
{
	static uv_timer_t timer;
	double ms = (double)(uv_hrtime() - client.began_ns) / 1e6;
	(void)uv_timer_init(loop, &timer);
	if (client.crowd) {
		printf("%zu handshakes at once, none refused: %.0f ms\n", client.n, ms);
		fflush(stdout);
		(void)uv_timer_start(&timer, on_idle, 3000, 0);
		return;
	}
	client.began_ns = uv_hrtime();
	client.calls = client.samples = 0;
	(void)uv_timer_start(&timer, on_time, (uint64_t)(uintptr_t)loop->data, 0);
	for (size_t i = 0; i < client.n; i++)
		ask(&client.conns[i], DEEP);
}

int main(int argc, char **argv)
{
	static const char text[] = "{\"type\":\"req\",\"id\":\"12345\",\"method\":\"health\",\"params\":{}}";
	loop = uv_default_loop();
	if (argc == 2 && strcmp(argv[1], "echo") == 0)
		return echo();
	if (argc != 6 || strlen(argv[3]) > 100)
		die("see the top of its source");
	client.token = argv[3];
	client.request_n = frame(client.request, text, sizeof(text) - 1);
	client.crowd = strcmp(argv[1], "crowd") == 0;
	(void)uv_ip4_addr("127.0.0.1", (int)strtol(argv[2], NULL, 10), &client.addr);
	if (client.crowd) {
		gateway_pid = (int)strtol(argv[5], NULL, 10);
		memory_before = private_memory();
	} else {
		loop->data = (void *)(uintptr_t)strtoul(argv[5], NULL, 10);
	}
	connect_all((size_t)strtoul(argv[4], NULL, 10));
	return uv_run(loop, UV_RUN_DEFAULT);
}
