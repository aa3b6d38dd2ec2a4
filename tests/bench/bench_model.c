/*
 * A model server for measurements, speaking OpenAI's chat completions: libuv and llhttp with nothing around them, so that it
 * is not what is measured.  Every request is answered after MS milliseconds with the same few words, streamed when asked.
 * Where the request's text has "Do-call NAME {arguments};" and no result of a tool yet, the answer is that call.
 * Usage: bench_model [MS]
 */
#include <llhttp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define CHUNK(text) "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," text "]}\n\n"
static const char events[] = CHUNK("\"delta\":{\"role\":\"assistant\",\"content\":\"All\"},\"finish_reason\":null}")
	CHUNK("\"delta\":{\"content\":\" is\"},\"finish_reason\":null}") CHUNK("\"delta\":{\"content\":\" well.\"},\"finish_reason\":null}")
		CHUNK("\"delta\":{},\"finish_reason\":\"stop\"}") "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,"
	"\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\ndata: [DONE]\n\n";
static const char call_head[] = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
				"\"delta\":{\"role\":\"assistant\",\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"";
static const char call_tail[] = "\"}}]},\"finish_reason\":null}]}\n\n" CHUNK("\"delta\":{},\"finish_reason\":\"tool_calls\"}") "data: [DONE]\n\n";
static const char whole[] = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":"
			    "{\"role\":\"assistant\",\"content\":\"All is well.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
			    "\"completion_tokens\":3,\"total_tokens\":12}}";

typedef struct conn {
	uv_tcp_t tcp;
	uv_timer_t timer;
	llhttp_t parser;
	bool stream;
	char *body; /* of the request, all of it: what is looked for may be in two pieces */
	size_t n, room;
	int open; /* handles */
} conn;

static llhttp_settings_t settings;
static char read_buf[65536], stream_answer[4096], whole_answer[2048];
static uint64_t wait_ms;

static void on_closed(uv_handle_t *handle)
{
	conn *c = handle->data;
	if (--c->open > 0)
		return;
	free(c->body);
	free(c);
}

static void drop(conn *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
		uv_close((uv_handle_t *)&c->tcp, on_closed);
		uv_close((uv_handle_t *)&c->timer, on_closed);
	}
}

/* The call that the request asks for, whose arguments are quoted already as they have to be. false: there is none. */
static bool write_call(const conn *c, char *to, size_t room)
{
	const char *at = c->stream ? memmem(c->body, c->n, "Do-call ", 8) : NULL;
	const char *end = at != NULL ? memchr(at, ';', c->n - (size_t)(at - c->body)) : NULL;
	const char *space = end != NULL ? memchr(at + 8, ' ', (size_t)(end - at - 8)) : NULL;
	if (space == NULL || memmem(c->body, c->n, "\"role\":\"tool\"", 13) != NULL)
		return false;
	char event[2048];
	int n = snprintf(event, sizeof event, "%s%.*s\",\"arguments\":\"%.*s%s", call_head, (int)(space - at - 8), at + 8,
			 (int)(end - space - 1), space + 1, call_tail);
	return n < (int)sizeof event &&
	       snprintf(to, room, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s", n, event) < (int)room;
}

static void answer(conn *c)
{
	char call[4096];
	char *text = write_call(c, call, sizeof call) ? call : c->stream ? stream_answer : whole_answer;
	uv_buf_t buf = uv_buf_init(text, (unsigned)strlen(text));
	if (uv_try_write((uv_stream_t *)&c->tcp, &buf, 1) != (int)buf.len)
		drop(c); /* two kilobytes on loopback always fit */
}

static void on_timer(uv_timer_t *timer)
{
	answer(timer->data);
}

static int on_begin(llhttp_t *parser)
{
	conn *c = parser->data;
	c->stream = false;
	c->n = 0;
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
	conn *c = parser->data;
	if (c->n + n > c->room) {
		c->room = (c->n + n) * 2;
		c->body = realloc(c->body, c->room);
		if (c->body == NULL)
			exit(1);
	}
	memcpy(c->body + c->n, at, n);
	c->n += n;
	return 0;
}

static int on_complete(llhttp_t *parser)
{
	conn *c = parser->data;
	c->stream = memmem(c->body, c->n, "\"stream\":true", 13) != NULL || memmem(c->body, c->n, "\"stream\": true", 14) != NULL;
	if (wait_ms == 0)
		answer(c);
	else
		uv_timer_start(&c->timer, on_timer, wait_ms, 0);
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
	if (n < 0 || (n > 0 && llhttp_execute(&c->parser, buf->base, (size_t)n) != HPE_OK))
		drop(c);
}

static void on_connection(uv_stream_t *server, int status)
{
	conn *c = status == 0 ? calloc(1, sizeof *c) : NULL;
	if (c == NULL)
		return;
	uv_tcp_init(server->loop, &c->tcp);
	uv_timer_init(server->loop, &c->timer);
	c->open = 2;
	c->tcp.data = c->timer.data = c;
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
	c->parser.data = c;
	if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0) {
		drop(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

int main(int argc, char **argv)
{
	uv_tcp_t server;
	struct sockaddr_in addr;
	int length = sizeof addr;
	wait_ms = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	snprintf(stream_answer, sizeof stream_answer,
		 "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %zu\r\n\r\n%s", sizeof events - 1, events);
	snprintf(whole_answer, sizeof whole_answer,
		 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", sizeof whole - 1, whole);
	llhttp_settings_init(&settings);
	settings.on_message_begin = on_begin;
	settings.on_body = on_body;
	settings.on_message_complete = on_complete;
	uv_tcp_init(uv_default_loop(), &server);
	uv_ip4_addr("127.0.0.1", 0, &addr);
	if (uv_tcp_bind(&server, (const struct sockaddr *)&addr, 0) != 0 || uv_listen((uv_stream_t *)&server, 1024, on_connection) != 0)
		return 1;
	uv_tcp_getsockname(&server, (struct sockaddr *)&addr, &length);
	printf("ready on port %d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
