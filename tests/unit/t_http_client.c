/* Unit tests of the HTTP client against a scripted server on loopback: libcurl is the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http_client.h"

/* ---- A server that sends what the test wrote, an answer a connection; "|" in a script is a pause of 30 ms. ---- */

#define MAX_ANSWERS 8

static struct {
	int fd, port;
	pthread_t thread;
	const char *answers[MAX_ANSWERS];
	int n_answers, served, running;
	char requests[MAX_ANSWERS][4096];
} server;

static void read_request(int fd, char *out, size_t size)
{
	size_t n = 0;
	long body = -1;
	out[0] = 0;
	while (n < size - 1) {
		ssize_t got = read(fd, out + n, size - 1 - n);
		if (got <= 0)
			return;
		n += (size_t)got;
		out[n] = 0;
		char *end = strstr(out, "\r\n\r\n");
		if (end == NULL)
			continue;
		const char *length = strcasestr(out, "content-length:");
		body = length != NULL ? strtol(length + 15, NULL, 10) : 0;
		if (n >= (size_t)(end - out) + 4 + (size_t)body)
			return;
	}
}

static void *serve(void *arg)
{
	(void)arg;
	for (int i = 0; i < server.n_answers; i++) {
		int fd = accept(server.fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		read_request(fd, server.requests[i], sizeof server.requests[i]);
		oc_str rest = oc_str_of(server.answers[i]);
		while (rest.p != NULL) {
			oc_str piece = oc_str_cut(&rest, '|');
			if (piece.n > 0 && send(fd, piece.p, piece.n, MSG_NOSIGNAL) < 0)
				break;
			if (rest.p != NULL)
				nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
		}
		server.served++;
		close(fd);
	}
	return NULL;
}

static void start_server(int n, const char *const *answers)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	server.n_answers = n;
	server.served = 0;
	for (int i = 0; i < n; i++)
		server.answers[i] = answers[i];
	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&addr, sizeof addr), 0);
	assert_int_equal(listen(server.fd, 16), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&addr, &len), 0);
	server.port = ntohs(addr.sin_port);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	server.running = 1;
}

/* Also makes what the thread wrote ours to read. */
static void stop_server(void)
{
	if (!server.running)
		return;
	server.running = 0;
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

/* ---- One request, run to its end ---- */

struct result {
	oc_loop *loop;
	oc_http_call *call;
	int heads, dones, events, cancel_at_event;
	oc_status status;
	int http;
	oc_sbuf data, log;
	char body[4096], headers[2048];
};

static oc_http_client *client;
static oc_owner *owner;

static void on_head(void *arg, int32_t status, oc_str headers)
{
	struct result *r = arg;
	r->heads++;
	r->http = status;
	snprintf(r->headers, sizeof r->headers, "%.*s", OC_STR_ARG(headers));
}

static void on_data(void *arg, oc_str data)
{
	struct result *r = arg;
	oc_sbuf_str(&r->data, data);
}

static void stop(void *arg)
{
	oc_loop_stop(arg);
}

static void on_sse(void *arg, oc_str event, oc_str data, oc_str id)
{
	struct result *r = arg;
	oc_sbuf_printf(&r->log, "[%.*s:%.*s:%.*s]", OC_STR_ARG(event), OC_STR_ARG(data), OC_STR_ARG(id));
	if (++r->events == r->cancel_at_event) {
		oc_http_client_cancel(r->call);
		oc_loop_post(r->loop, stop, r->loop);
	}
}

static void on_done(void *arg, oc_status status, int32_t http, oc_str body)
{
	struct result *r = arg;
	r->dones++;
	r->status = status;
	r->http = http;
	snprintf(r->body, sizeof r->body, "%.*s", OC_STR_ARG(body));
	oc_loop_stop(r->loop);
}

static struct result run(oc_http_client_request request, const char *path)
{
	static char text[256];
	struct result r = {.cancel_at_event = (int)request.flags >> 16};
	oc_err err = {0};
	oc_http_client_options options = {.backoff_ms = 20, .backoff_max_ms = 2000};
	oc_sbuf_init(&r.data, 1 << 20);
	oc_sbuf_init(&r.log, 1 << 20);
	assert_int_equal(oc_loop_new(&r.loop, &err), OC_OK);
	owner = oc_owner_new(r.loop, "test");
	assert_int_equal(oc_http_client_new(r.loop, &options, &client, &err), OC_OK);
	snprintf(text, sizeof text, "http://127.0.0.1:%d%s", server.port, path);
	request.struct_size = sizeof request;
	request.flags &= 0xffff;
	if (request.url.p == NULL)
		request.url = oc_str_of(text);
	if (request.method.p == NULL)
		request.method = OC_STR("GET");
	request.on_done = on_done;
	request.arg = &r;
	r.status = oc_http_client_start(client, owner, &request, &r.call, &err);
	if (r.status == OC_OK)
		oc_loop_run(r.loop);
	else
		snprintf(r.body, sizeof r.body, "%s", err.text);
	oc_http_client_free(client);
	oc_owner_free(owner);
	oc_loop_free(r.loop);
	stop_server();
	return r;
}

static void end(struct result *r)
{
	oc_sbuf_free(&r->data);
	oc_sbuf_free(&r->log);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"

/* ---- Tests ---- */

static void a_body_is_gathered(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){OK_HEAD "X-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nhe|llo"});
	struct result r = run((oc_http_client_request){.on_head = on_head,
						       .method = OC_STR("POST"),
						       .headers = OC_STR("{\"X-Mine\":\"yes\",\"Content-Type\":\"application/json\"}"),
						       .body = OC_STR("{\"a\":1}")},
			      "/path?q=1");
	assert_int_equal(r.status, OC_OK);
	assert_int_equal(r.http, 200);
	assert_string_equal(r.body, "hello");
	assert_int_equal(r.heads, 1);
	assert_non_null(strstr(r.headers, "\"x-a\":\"1, 2\""));
	assert_int_equal(strncmp(server.requests[0], "POST /path?q=1 HTTP/1.1\r\n", 25), 0);
	assert_non_null(strstr(server.requests[0], "X-Mine: yes\r\n"));
	assert_non_null(strstr(server.requests[0], "\r\n\r\n{\"a\":1}"));
	assert_null(strstr(server.requests[0], "Expect:"));
	end(&r);
}

static void pieces_are_handed_on(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n|2\r\nde\r\n0\r\n\r\n"});
	struct result r = run((oc_http_client_request){.on_data = on_data}, "/");
	assert_int_equal(r.status, OC_OK);
	assert_string_equal(r.data.p, "abcde");
	assert_string_equal(r.body, "");
	end(&r);
}

static void events_are_read_as_they_come(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
					      "data: on|e\n\neve|nt: x\ndata: two\ndata: lines\nid: 7\n\n"});
	struct result r = run((oc_http_client_request){.flags = OC_HTTP_CLIENT_SSE, .on_sse = on_sse}, "/");
	assert_int_equal(r.status, OC_OK);
	assert_string_equal(r.log.p, "[message:one:][x:two\nlines:7]");
	end(&r);
}

static void an_error_answer_to_an_event_request_is_a_body(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"});
	struct result r = run((oc_http_client_request){.flags = OC_HTTP_CLIENT_SSE, .on_sse = on_sse}, "/");
	assert_int_equal(r.http, 400);
	assert_string_equal(r.body, "{}");
	assert_int_equal(r.events, 0);
	end(&r);
}

static void cancel_inside_a_callback_ends_it(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
					      "data: 1\n\ndata: 2\n\ndata: 3\n\n|data: 4\n\n"});
	struct result r = run((oc_http_client_request){.flags = OC_HTTP_CLIENT_SSE | (2 << 16), .on_sse = on_sse}, "/");
	assert_int_equal(r.dones, 0);
	assert_string_equal(r.log.p, "[message:1:][message:2:]");
	end(&r);
}

static void failures_are_tried_again(void **state)
{
	(void)state;
	start_server(3, (const char *const[]){"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy", "",
					      OK_HEAD "Content-Length: 2\r\n\r\nok"});
	struct result r = run((oc_http_client_request){.retries = 3, .on_head = on_head,
						       .method = OC_STR("POST"), .body = OC_STR("same")}, "/");
	assert_int_equal(r.status, OC_OK);
	assert_string_equal(r.body, "ok");
	assert_int_equal(r.heads, 1);
	assert_int_equal(server.served, 3);
	assert_non_null(strstr(server.requests[2], "\r\n\r\nsame"));
	end(&r);
}

static void retry_after_is_obeyed(void **state)
{
	(void)state;
	start_server(2, (const char *const[]){"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
					      OK_HEAD "Content-Length: 2\r\n\r\nok"});
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	struct result r = run((oc_http_client_request){.retries = 1}, "/");
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_string_equal(r.body, "ok");
	assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 990);
	end(&r);
}

static void too_long_a_wait_hands_the_answer_on(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){"HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 4\r\n\r\nwait"});
	struct result r = run((oc_http_client_request){.retries = 5, .on_head = on_head}, "/");
	assert_int_equal(r.status, OC_OK);
	assert_int_equal(r.http, 429);
	assert_string_equal(r.body, "wait");
	assert_non_null(strstr(r.headers, "\"retry-after\":\"3600\""));
	end(&r);
}

static void what_was_handed_on_is_not_tried_again(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){OK_HEAD "Content-Length: 100\r\n\r\nhalf|"});
	struct result r = run((oc_http_client_request){.retries = 3, .on_data = on_data}, "/");
	assert_int_equal(r.status, OC_E_RETRY);
	assert_string_equal(r.data.p, "half");
	assert_non_null(strstr(r.body, "cut"));
	assert_int_equal(server.served, 1);
	end(&r);
}

static void redirects_are_followed_without_credentials(void **state)
{
	(void)state;
	char location[200], first[400];
	start_server(2, (const char *const[]){first, OK_HEAD "Content-Length: 3\r\n\r\nend"});
	snprintf(location, sizeof location, "http://localhost:%d/there", server.port);
	snprintf(first, sizeof first, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmove",
		 location);
	struct result r = run((oc_http_client_request){.max_redirects = 3,
						       .method = OC_STR("POST"),
						       .body = OC_STR("secret body"),
						       .headers = OC_STR("{\"Authorization\":\"Bearer x\",\"X-Other\":\"1\"}")},
			      "/here");
	assert_string_equal(r.body, "end");
	assert_int_equal(strncmp(server.requests[1], "GET /there", 10), 0);
	assert_null(strstr(server.requests[1], "Bearer"));
	assert_null(strstr(server.requests[1], "secret body"));
	assert_non_null(strstr(server.requests[1], "X-Other: 1"));
	end(&r);
}

static void redirects_have_an_end(void **state)
{
	(void)state;
	static const char *const loop = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	start_server(3, (const char *const[]){loop, loop, loop});
	struct result r = run((oc_http_client_request){.max_redirects = 2}, "/");
	assert_int_equal(r.http, 302);
	assert_int_equal(server.served, 3);
	end(&r);
}

static void the_guard_refuses_loopback_also_after_a_name(void **state)
{
	(void)state;
	start_server(0, NULL);
	struct result r = run((oc_http_client_request){.flags = OC_HTTP_CLIENT_GUARD}, "/");
	assert_int_equal(r.status, OC_E_DENIED);
	oc_sbuf_free(&r.data);
	oc_sbuf_free(&r.log);
	r = run((oc_http_client_request){.flags = OC_HTTP_CLIENT_GUARD, .url = OC_STR("http://localhost/")}, "/");
	assert_int_equal(r.status, OC_E_DENIED);
	end(&r);
}

static void limits_hold(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){OK_HEAD "\r\n0123456789012345"});
	struct result r = run((oc_http_client_request){.max_bytes = 10, .retries = 2}, "/");
	assert_int_equal(r.status, OC_E_LIMIT);
	assert_non_null(strstr(r.body, "10 bytes"));
	end(&r);
	start_server(1, (const char *const[]){"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n|||||||||||||||||||||x"});
	r = run((oc_http_client_request){.timeout_ms = 150}, "/");
	assert_int_equal(r.status, OC_E_TIMEOUT);
	end(&r);
}

static void nobody_there_is_said(void **state)
{
	(void)state;
	start_server(0, NULL);
	stop_server();
	struct result r = run((oc_http_client_request){.retries = 1}, "/");
	assert_int_equal(r.status, OC_E_UNAVAILABLE);
	char where[64];
	snprintf(where, sizeof where, "127.0.0.1:%d", server.port);
	assert_non_null(strstr(r.body, where));
	oc_sbuf_free(&r.data);
	oc_sbuf_free(&r.log);
}

static int64_t give_body(void *arg, uint64_t offset, void *out, uint64_t max)
{
	(void)arg;
	uint64_t n = 10 - offset < 3 ? 10 - offset : 3;
	if (n > max)
		n = max;
	memcpy(out, &"abcdefghij"[offset], n);
	return (int64_t)n;
}

static void bodies_are_streamed_out(void **state)
{
	(void)state;
	start_server(1, (const char *const[]){OK_HEAD "Content-Length: 2\r\n\r\nok"});
	struct result r = run((oc_http_client_request){.method = OC_STR("POST"), .on_body = give_body, .body_bytes = 10}, "/");
	assert_string_equal(r.body, "ok");
	assert_non_null(strstr(server.requests[0], "\r\n\r\nabcdefghij"));
	end(&r);
}

static void wrong_requests_are_refused(void **state)
{
	(void)state;
	start_server(0, NULL);
	struct result r = run((oc_http_client_request){.url = OC_STR("ftp://x/")}, "/");
	assert_int_equal(r.status, OC_E_INVALID);
	oc_sbuf_free(&r.data);
	oc_sbuf_free(&r.log);
	r = run((oc_http_client_request){.headers = OC_STR("{\"X\":\"a\\r\\nY: b\"}")}, "/");
	assert_int_equal(r.status, OC_E_INVALID);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_is_gathered),
		cmocka_unit_test(pieces_are_handed_on),
		cmocka_unit_test(events_are_read_as_they_come),
		cmocka_unit_test(an_error_answer_to_an_event_request_is_a_body),
		cmocka_unit_test(cancel_inside_a_callback_ends_it),
		cmocka_unit_test(failures_are_tried_again),
		cmocka_unit_test(retry_after_is_obeyed),
		cmocka_unit_test(too_long_a_wait_hands_the_answer_on),
		cmocka_unit_test(what_was_handed_on_is_not_tried_again),
		cmocka_unit_test(redirects_are_followed_without_credentials),
		cmocka_unit_test(redirects_have_an_end),
		cmocka_unit_test(the_guard_refuses_loopback_also_after_a_name),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(nobody_there_is_said),
		cmocka_unit_test(bodies_are_streamed_out),
		cmocka_unit_test(wrong_requests_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
