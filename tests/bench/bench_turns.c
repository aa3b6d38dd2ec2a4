/*
 * Asks POST /v1/chat/completions over keep-alive connections and measures each answer from the first byte of the request to
 * the last of the answer.
 *
 *     bench_turns PORT TOKEN CONNECTIONS REQUESTS [SESSIONS [FILE]]
 *
 * OC_BENCH_SPREAD_MS in the environment: the connections begin one after the other over that time, as people do, instead of
 * in one moment (after which they all would wait for each other in every round).
 * SESSIONS > 0 sends `user` with each request: that many sessions in turn.  FILE has the messages, one a line ("\n" begins
 * another line); without it there is one.  Prints: answers, errors, answers a second, p50, p99 and longest in microseconds.
 *
 * OC_BENCH_COMMITS in the environment, with one connection: after each answer the gateway's /metrics are asked how long its
 * store has been committing so far, and p50 and p99 of what each answer took without its own commits are printed too.
 */
#include <llhttp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { LINES_MAX = 64 };

typedef struct conn {
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_write_t write;
	uv_timer_t start;
	llhttp_t parser;
	char *request;
	uint64_t began, wait_ms;
	int failed; /* an error inside a stream */
	int asked;  /* the metrics, not a turn */
} conn;

static const char *token = "", *lines[LINES_MAX] = {"How is everything?"};
static size_t n_lines = 1, n_sessions, wanted, begun, ended, errors;
static llhttp_settings_t settings;
static char read_buf[65536];
static uint64_t *took, *beyond;
static size_t n_beyond, metrics_n;
static char metrics_text[1 << 20];
static uint64_t commit_ns; /* of all commits until the last look */
static bool per_turn;
static int port;

static void ask(conn *c);

static void on_written(uv_write_t *req, int status)
{
	conn *c = req->data;
	free(c->request);
	c->request = NULL;
	if (status != 0) {
		fprintf(stderr, "bench_turns: write: %s\n", uv_strerror(status));
		exit(1);
	}
}

static void send_request(conn *c, int all)
{
	uv_buf_t buf = uv_buf_init(c->request, (unsigned)all);
	c->write.data = c;
	uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
}

static void ask_commits(conn *c)
{
	c->asked = 1;
	metrics_n = 0;
	c->request = malloc(400);
	if (c->request == NULL)
		exit(1);
	send_request(c, snprintf(c->request, 400, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", token));
}

/* The turn before has waited for its commits: they are in the sum by now. */
static void take_commits(conn *c)
{
	static const char name[] = "\nopenclaw_store_commit_seconds_sum ";
	metrics_text[metrics_n] = 0;
	const char *at = strstr(metrics_text, name);
	if (at == NULL) {
		fprintf(stderr, "bench_turns: no store_commit_seconds among the metrics\n");
		exit(1);
	}
	uint64_t sum = (uint64_t)(strtod(at + sizeof name - 1, NULL) * 1e9 + 0.5), own = sum - commit_ns;
	if (ended > 0)
		beyond[n_beyond++] = took[ended - 1] > own ? took[ended - 1] - own : 0;
	commit_ns = sum;
	c->asked = 0;
	ask(c);
}

static void ask(conn *c)
{
	char body[4096], user[64] = "";
	if (begun >= wanted) {
		uv_close((uv_handle_t *)&c->tcp, NULL);
		uv_close((uv_handle_t *)&c->start, NULL);
		return;
	}
	size_t i = begun++;
	if (n_sessions > 0)
		snprintf(user, sizeof user, ",\"user\":\"u%zu\"", i % n_sessions);
	/* Not in step with the sessions, so that each gets every line. */
	int n = snprintf(body, sizeof body, "{\"model\":\"openclaw\",\"stream\":true%s,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", user,
			 lines[(n_sessions > 0 ? i + i / n_sessions : i) % n_lines]);
	size_t size = (size_t)n + 400;
	c->request = malloc(size);
	if (c->request == NULL || n >= (int)sizeof body)
		exit(1);
	int all = snprintf(c->request, size,
			   "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
			   "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", token, n, body);
	c->failed = 0;
	c->began = uv_hrtime();
	send_request(c, all);
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
	conn *c = parser->data;
	if (c->asked && metrics_n + n < sizeof metrics_text) {
		memcpy(metrics_text + metrics_n, at, n);
		metrics_n += n;
		return 0;
	}
	if (memmem(at, n, "\"error\":", 8) != NULL) {
		if (errors + (size_t)c->failed < 3)
			fprintf(stderr, "bench_turns: %.*s\n", (int)(n < 300 ? n : 300), at);
		c->failed = 1;
	}
	return 0;
}

static int on_complete(llhttp_t *parser)
{
	conn *c = parser->data;
	if (c->asked) {
		take_commits(c);
		return 0;
	}
	took[ended++] = uv_hrtime() - c->began;
	errors += parser->status_code != 200 || c->failed;
	if (per_turn)
		ask_commits(c);
	else
		ask(c);
	return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(read_buf, sizeof read_buf);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	conn *c = stream->data;
	if (n < 0 || (n > 0 && llhttp_execute(&c->parser, buf->base, (size_t)n) != HPE_OK)) {
		fprintf(stderr, "bench_turns: the connection ended: %s\n", n < 0 ? uv_strerror((int)n) : "not HTTP");
		exit(1);
	}
}

static void on_start(uv_timer_t *timer)
{
	if (per_turn)
		ask_commits(timer->data);
	else
		ask(timer->data);
}

static void on_connected(uv_connect_t *req, int status)
{
	conn *c = req->data;
	if (status != 0) {
		fprintf(stderr, "bench_turns: %s\n", uv_strerror(status));
		exit(1);
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	uv_timer_start(&c->start, on_start, c->wait_ms, 0);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void read_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	n_lines = 0;
	while (f != NULL && n_lines < LINES_MAX && (n = getline(&line, &cap, f)) > 0) {
		line[n - 1] = 0;
		lines[n_lines++] = strdup(line);
	}
	free(line);
	if (f == NULL || n_lines == 0) {
		fprintf(stderr, "bench_turns: cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	port = atoi(argv[1]);
	token = argv[2];
	size_t n = strtoul(argv[3], NULL, 10);
	wanted = strtoul(argv[4], NULL, 10);
	n_sessions = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
	if (argc > 6)
		read_lines(argv[6]);
	const char *text = getenv("OC_BENCH_SPREAD_MS");
	uint64_t spread = text != NULL ? strtoull(text, NULL, 10) : 0;
	conn *conns = calloc(n, sizeof *conns);
	took = calloc(wanted + 1, sizeof *took);
	beyond = calloc(wanted + 1, sizeof *beyond);
	per_turn = n == 1 && getenv("OC_BENCH_COMMITS") != NULL;
	if (conns == NULL || took == NULL || beyond == NULL)
		return 1;
	llhttp_settings_init(&settings);
	settings.on_body = on_body;
	settings.on_message_complete = on_complete;
	struct sockaddr_in addr;
	uv_ip4_addr("127.0.0.1", port, &addr);
	for (size_t i = 0; i < n; i++) {
		conn *c = &conns[i];
		uv_tcp_init(uv_default_loop(), &c->tcp);
		uv_timer_init(uv_default_loop(), &c->start);
		c->tcp.data = c->connect.data = c->start.data = c;
		c->wait_ms = i * spread / n;
		llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
		c->parser.data = c;
		uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&addr, on_connected);
	}
	uint64_t began = uv_hrtime();
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	double seconds = (double)(uv_hrtime() - began) / 1e9;
	qsort(took, ended, sizeof *took, by_size);
	if (ended == 0)
		return 1;
	printf("%zu %zu %.1f %llu %llu %llu", ended, errors, (double)ended / seconds, (unsigned long long)took[ended / 2] / 1000,
	       (unsigned long long)took[ended * 99 / 100] / 1000, (unsigned long long)took[ended - 1] / 1000);
	qsort(beyond, n_beyond, sizeof *beyond, by_size);
	if (n_beyond > 0)
		printf(" %llu %llu", (unsigned long long)beyond[n_beyond / 2] / 1000, (unsigned long long)beyond[n_beyond * 99 / 100] / 1000);
	puts("");
	return 0;
}
