/*
 * The yardstick for the gateway's HTTP server: libuv and llhttp with nothing around them.  It parses every request and
 * answers with fixed bytes, written with one uv_try_write (uv_write for what is left).  Usage: bench_http_bare [port]
 */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Content-Type-Options: nosniff\r\n"
			     "Content-Type: application/json\r\nContent-Length: 28\r\n\r\n{\"ok\":true,\"status\":\"live\"}\n";

typedef struct conn {
	uv_tcp_t tcp;
	llhttp_t parser;
} conn;

typedef struct pending {
	uv_write_t req;
	char bytes[sizeof(answer)];
} pending;

static llhttp_settings_t settings;
static char read_buf[65536];

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_written(uv_write_t *req, int status)
{
	(void)status;
	free(req->data);
}

static int on_complete(llhttp_t *parser)
{
	conn *c = parser->data;
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)answer, sizeof(answer) - 1);
	int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

	if (n < 0)
		n = 0;
	if ((size_t)n < sizeof(answer) - 1) {
		pending *p = malloc(sizeof(*p));

		if (p == NULL)
			return -1;
		p->req.data = p;
		memcpy(p->bytes, answer + n, sizeof(answer) - 1 - (size_t)n);
		buf = uv_buf_init(p->bytes, (unsigned)(sizeof(answer) - 1 - (size_t)n));
		if (uv_write(&p->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
			free(p);
	}
	return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(read_buf, sizeof(read_buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	conn *c = stream->data;

	if (n == 0)
		return;
	if (n < 0 || llhttp_execute(&c->parser, buf->base, (size_t)n) != HPE_OK)
		uv_close((uv_handle_t *)stream, on_closed);
}

static void on_connection(uv_stream_t *server, int status)
{
	conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL)
		return;
	uv_tcp_init(server->loop, &c->tcp);
	c->tcp.data = c;
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
	c->parser.data = c;
	if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 || uv_tcp_nodelay(&c->tcp, 1) != 0
	    || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
		uv_close((uv_handle_t *)&c->tcp, on_closed);
}

int main(int argc, char **argv)
{
	uv_tcp_t server;
	struct sockaddr_in addr;
	int len = sizeof(addr);

	llhttp_settings_init(&settings);
	settings.on_message_complete = on_complete;
	uv_ip4_addr("127.0.0.1", argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0, &addr);
	uv_tcp_init(uv_default_loop(), &server);
	if (uv_tcp_bind(&server, (struct sockaddr *)&addr, 0) != 0
	    || uv_listen((uv_stream_t *)&server, 511, on_connection) != 0
	    || uv_tcp_getsockname(&server, (struct sockaddr *)&addr, &len) != 0) {
		fprintf(stderr, "bench_http_bare: cannot listen\n");
		return 1;
	}
	/* The scripts wait for this line. */
	printf("ready on port %u\n", (unsigned)((addr.sin_port >> 8 & 255) | (addr.sin_port & 255) << 8));
	fflush(stdout);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
