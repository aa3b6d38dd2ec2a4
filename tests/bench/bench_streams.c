/*
 * Many streaming turns at once, both ends of it.
 *
 * usage: bench_streams model CHUNKS INTERVAL_MS
 *            an OpenAI-compatible model that streams slowly: CHUNKS pieces, one every INTERVAL_MS, for each request
 *        bench_streams load PORT TOKEN STREAMS CHUNKS
 *            STREAMS turns at once through POST /v1/chat/completions of a gateway, each in a session of its own, while
 *            GET /health is asked every 5 ms on a connection of its own.  Prints figures; exit code 1 when a turn failed.
 */
#include <llhttp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

static uv_loop_t *loop;
static llhttp_settings_t settings;
static char read_buf[65536];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(read_buf, sizeof(read_buf));
}

static void die(const char *what, int rc)
{
	fprintf(stderr, "bench_streams: %s: %s\n", what, uv_strerror(rc));
	exit(1);
}

static void on_written(uv_write_t *req, int status)
{
	(void)status;
	free(req);
}

/* Copies: the bytes lie behind the request. */
static void send_bytes(uv_tcp_t *tcp, const char *p, size_t n)
{
	uv_write_t *req = malloc(sizeof(*req) + n);
	uv_buf_t buf;

	if (req == NULL)
		die("write", UV_ENOMEM);
	memcpy(req + 1, p, n);
	buf = uv_buf_init((char *)(req + 1), (unsigned)n);
	if (uv_write(req, (uv_stream_t *)tcp, &buf, 1, on_written) != 0)
		free(req);
}

/* ---- The model ---- */

typedef struct model_conn {
	uv_tcp_t tcp;
	uv_timer_t timer;
	llhttp_t parser;
	int sent, handles;
} model_conn;

static int model_chunks;
static uint64_t model_interval;

static void model_closed(uv_handle_t *handle)
{
	model_conn *c = handle->data;

	if (--c->handles == 0)
		free(c);
}

static void model_end(model_conn *c)
{
	if (uv_is_closing((uv_handle_t *)&c->tcp))
		return;
	uv_close((uv_handle_t *)&c->tcp, model_closed);
	uv_close((uv_handle_t *)&c->timer, model_closed);
}

static void send_chunk(model_conn *c, const char *data)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);

	send_bytes(&c->tcp, text, (size_t)n);
}

static void model_tick(uv_timer_t *timer)
{
	model_conn *c = timer->data;
	char data[256];

	if (c->sent++ < model_chunks) {
		snprintf(data, sizeof(data),
			 "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"slow\",\"choices\":[{\"index\":0,"
			 "\"delta\":{\"content\":\"word%d \"},\"finish_reason\":null}]}",
			 c->sent);
		send_chunk(c, data);
		return;
	}
	send_chunk(c, "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"slow\",\"choices\":[{\"index\":0,"
		      "\"delta\":{},\"finish_reason\":\"stop\"}]}");
	send_chunk(c, "[DONE]");
	send_bytes(&c->tcp, "0\r\n\r\n", 5);
	uv_timer_stop(timer);
	c->sent = 0;
}

static int model_request(llhttp_t *parser)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	model_conn *c = parser->data;

	send_bytes(&c->tcp, head, sizeof(head) - 1);
	uv_timer_start(&c->timer, model_tick, model_interval, model_interval);
	return 0;
}

static void model_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	model_conn *c = stream->data;

	if (n < 0 || (n > 0 && llhttp_execute(&c->parser, buf->base, (size_t)n) != HPE_OK))
		model_end(c);
}

static void model_connection(uv_stream_t *server, int status)
{
	model_conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL)
		return;
	uv_tcp_init(loop, &c->tcp);
	uv_timer_init(loop, &c->timer);
	c->tcp.data = c->timer.data = c;
	c->handles = 2;
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
	c->parser.data = c;
	if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 || uv_tcp_nodelay(&c->tcp, 1) != 0
	    || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, model_read) != 0)
		model_end(c);
}

static int model(int chunks, int interval)
{
	uv_tcp_t server;
	struct sockaddr_in addr;
	int len = sizeof(addr), rc;

	model_chunks = chunks;
	model_interval = (uint64_t)interval;
	settings.on_message_complete = model_request;
	uv_ip4_addr("127.0.0.1", 0, &addr);
	uv_tcp_init(loop, &server);
	if ((rc = uv_tcp_bind(&server, (struct sockaddr *)&addr, 0)) != 0
	    || (rc = uv_listen((uv_stream_t *)&server, 4096, model_connection)) != 0
	    || (rc = uv_tcp_getsockname(&server, (struct sockaddr *)&addr, &len)) != 0)
		die("listen", rc);
	printf("ready on port %u\n", (unsigned)((addr.sin_port >> 8 & 255) | (addr.sin_port & 255) << 8));
	fflush(stdout);
	return uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- The load ---- */

typedef struct stream {
	uv_tcp_t tcp;
	uv_connect_t connect;
	llhttp_t parser;
	uint64_t asked, first, last, longest; /* ns; the longest silence between two pieces */
	int pieces;
	unsigned match; /* of "word" */
	unsigned stop;	/* of "[DONE]" */
	int finished;	/* 1 well, -1 badly */
} stream;

static struct sockaddr_in gateway;
static const char *token;
static stream *streams;
static int n_streams, n_chunks, open_streams, open_max, begun;

static uv_tcp_t health;
static uv_connect_t health_connect;
static uv_timer_t health_timer;
static llhttp_t health_parser;
static uint64_t health_asked, *health_ns;
static size_t n_health, cap_health;

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double at(uint64_t *values, size_t n, double part)
{
	return n == 0 ? 0 : (double)values[(size_t)((double)(n - 1) * part)] / 1e6;
}

static void report(void)
{
	uint64_t *first = calloc((size_t)n_streams, sizeof(*first)), *gap = calloc((size_t)n_streams, sizeof(*gap));
	int failed = 0, cut = 0;
	uint64_t begin = UINT64_MAX, end = 0;

	if (first == NULL || gap == NULL)
		die("report", UV_ENOMEM);
	for (int i = 0; i < n_streams; i++) {
		stream *s = &streams[i];

		failed += s->finished < 0;
		cut += s->finished > 0 && s->pieces != n_chunks;
		first[i] = s->first > 0 ? s->first - s->asked : 0;
		gap[i] = s->longest;
		if (s->asked < begin)
			begin = s->asked;
		if (s->last > end)
			end = s->last;
	}
	qsort(first, (size_t)n_streams, sizeof(*first), by_value);
	qsort(gap, (size_t)n_streams, sizeof(*gap), by_value);
	qsort(health_ns, n_health, sizeof(*health_ns), by_value);
	printf("%d turns in %.2f s, at most %d open at once; %d failed, %d with pieces missing\n", n_streams,
	       (double)(end - begin) / 1e9, open_max, failed, cut);
	printf("first piece after        p50 %8.1f ms  p99 %8.1f ms  max %8.1f ms\n", at(first, (size_t)n_streams, 0.5),
	       at(first, (size_t)n_streams, 0.99), at(first, (size_t)n_streams, 1));
	printf("longest silence          p50 %8.1f ms  p99 %8.1f ms  max %8.1f ms\n", at(gap, (size_t)n_streams, 0.5),
	       at(gap, (size_t)n_streams, 0.99), at(gap, (size_t)n_streams, 1));
	printf("GET /health (%6zu)     p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms\n", n_health, at(health_ns, n_health, 0.5),
	       at(health_ns, n_health, 0.99), at(health_ns, n_health, 1));
	exit(failed + cut > 0);
}

static void stream_end(stream *s, int how)
{
	if (s->finished != 0)
		return;
	s->finished = how;
	s->last = uv_hrtime();
	uv_close((uv_handle_t *)&s->tcp, NULL);
	if (--open_streams == 0 && begun == n_streams)
		report();
}

/* Counts pieces wherever the bytes are cut. */
static int stream_body(llhttp_t *parser, const char *p, size_t n)
{
	static const char word[] = "\"word", done[] = "[DONE]";
	stream *s = parser->data;

	for (size_t i = 0; i < n; i++) {
		s->match = p[i] == word[s->match] ? s->match + 1 : p[i] == word[0];
		s->stop = p[i] == done[s->stop] ? s->stop + 1 : p[i] == done[0];
		if (s->stop == sizeof(done) - 1) {
			s->stop = 0;
			return HPE_USER;
		}
		if (s->match == sizeof(word) - 1) {
			uint64_t now = uv_hrtime();

			s->match = 0;
			s->pieces++;
			if (s->first == 0)
				s->first = now;
			else if (now - s->last > s->longest)
				s->longest = now - s->last;
			s->last = now;
		}
	}
	return 0;
}

static void stream_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	stream *s = tcp->data;
	llhttp_errno_t e;

	if (n == 0 || s->finished != 0)
		return;
	if (n < 0) {
		stream_end(s, -1);
		return;
	}
	e = llhttp_execute(&s->parser, buf->base, (size_t)n);
	if (e != HPE_OK || s->parser.status_code / 100 > 2)
		stream_end(s, e == HPE_USER ? 1 : -1);
}

static void stream_connected(uv_connect_t *req, int status)
{
	stream *s = req->data;
	static const char body[] = "{\"model\":\"slow/m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"count\"}]}";
	char text[1024];
	int n;

	if (status != 0) {
		stream_end(s, -1);
		return;
	}
	(void)uv_tcp_nodelay(&s->tcp, 1);
	n = snprintf(text, sizeof(text),
		     "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n%s",
		     token, sizeof(body) - 1, body);
	send_bytes(&s->tcp, text, (size_t)n);
	uv_read_start((uv_stream_t *)&s->tcp, on_alloc, stream_read);
}

/* All at once, but not before the backlog can hold them. */
static void begin_some(uv_timer_t *timer)
{
	for (int i = 0; i < 50 && begun < n_streams; i++) {
		stream *s = &streams[begun++];

		uv_tcp_init(loop, &s->tcp);
		s->tcp.data = s->connect.data = s;
		llhttp_init(&s->parser, HTTP_RESPONSE, &settings);
		s->parser.data = s;
		s->asked = uv_hrtime();
		if (++open_streams > open_max)
			open_max = open_streams;
		if (uv_tcp_connect(&s->connect, &s->tcp, (struct sockaddr *)&gateway, stream_connected) != 0)
			stream_end(s, -1);
	}
	if (begun == n_streams)
		uv_timer_stop(timer);
}

static void health_ask(uv_timer_t *timer)
{
	static const char text[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

	(void)timer;
	if (health_asked != 0)
		return; /* the last one is not answered: its time counts */
	health_asked = uv_hrtime();
	send_bytes(&health, text, sizeof(text) - 1);
}

static int health_answered(llhttp_t *parser)
{
	if (parser != &health_parser)
		return 0;
	if (n_health == cap_health) {
		cap_health = cap_health == 0 ? 4096 : cap_health * 2;
		health_ns = realloc(health_ns, cap_health * sizeof(*health_ns));
		if (health_ns == NULL)
			die("health", UV_ENOMEM);
	}
	health_ns[n_health++] = uv_hrtime() - health_asked;
	health_asked = 0;
	return 0;
}

static void health_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	(void)tcp;
	if (n < 0)
		die("GET /health", (int)n);
	(void)llhttp_execute(&health_parser, buf->base, (size_t)n);
}

static void health_connected(uv_connect_t *req, int status)
{
	(void)req;
	if (status != 0)
		die("connect", status);
	(void)uv_tcp_nodelay(&health, 1);
	uv_read_start((uv_stream_t *)&health, on_alloc, health_read);
	uv_timer_start(&health_timer, health_ask, 0, 5);
}

static int load(int port, const char *secret, int n, int chunks)
{
	uv_timer_t starter;

	token = secret;
	n_streams = n;
	n_chunks = chunks;
	streams = calloc((size_t)n, sizeof(*streams));
	if (streams == NULL)
		die("streams", UV_ENOMEM);
	settings.on_body = stream_body;
	settings.on_message_complete = health_answered;
	uv_ip4_addr("127.0.0.1", port, &gateway);
	uv_tcp_init(loop, &health);
	uv_timer_init(loop, &health_timer);
	llhttp_init(&health_parser, HTTP_RESPONSE, &settings);
	health_parser.data = &streams[0]; /* no "word" in its bodies */
	uv_tcp_connect(&health_connect, &health, (struct sockaddr *)&gateway, health_connected);
	uv_timer_init(loop, &starter);
	uv_timer_start(&starter, begin_some, 100, 2);
	return uv_run(loop, UV_RUN_DEFAULT);
}

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

int main(int argc, char **argv)
{
	struct rlimit files;

	loop = uv_default_loop();
	llhttp_settings_init(&settings);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (argc == 4 && strcmp(argv[1], "model") == 0)
		return model(number(argv[2]), number(argv[3]));
	if (argc == 6 && strcmp(argv[1], "load") == 0)
		return load(number(argv[2]), argv[3], number(argv[4]), number(argv[5]));
	fputs("usage: bench_streams model CHUNKS INTERVAL_MS | load PORT TOKEN STREAMS CHUNKS\n", stderr);
	return 2;
}
