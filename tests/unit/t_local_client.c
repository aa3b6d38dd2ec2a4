/* The command line's client: against our own server, and against one that misbehaves. */
#include "net_test.h"

#include <sys/un.h>

#include "core/net/local_client.h"
#include "core/net/sse.h"

typedef struct app {
	net_fixture *f;
	oc_http_req *held;
	int done, heads, events, http, left;
	oc_status status;
	size_t n;
	char text[1024], type[64], log[512], seen_token[64], seen_body[64];
	/* a server that sends fixed bytes */
	int listener, accepted;
} app;

static app a;

static void step(void *arg)
{
	oc_http_req *req = arg;

	if (a.left == 0) {
		oc_http_end(req);
		return;
	}
	a.left--;
	(void)oc_http_write(req, OC_STR("event: tick\ndata: a\ndata: b\n\n"));
	(void)oc_timer_start(a.f->owner, 2, 0, step, req);
}

static void on_close(void *arg, oc_http_req *req)
{
	(void)arg;
	oc_http_abort(req);
	a.held = NULL;
}

static void on_request(void *arg, oc_http_req *req)
{
	oc_str path = oc_http_path(req);

	(void)arg;
	snprintf(a.seen_token, sizeof(a.seen_token), "%s", oc_http_header(req, "authorization").p);
	snprintf(a.seen_body, sizeof(a.seen_body), "%s %s", oc_http_header(req, "content-type").p, oc_http_body(req).p);
	if (oc_str_eqz(path, "/events")) {
		a.left = 3;
		(void)oc_http_respond_head(req, 200, "text/event-stream", -1);
		step(req);
	} else if (oc_str_eqz(path, "/held")) {
		a.held = req;
		oc_http_on_close(req, on_close, NULL);
	} else if (oc_str_eqz(path, "/big")) {
		char *big = calloc(1, 100000);

		oc_http_respond(req, 200, "text/plain", oc_str_make(big, 100000));
		free(big);
	} else if (oc_str_eqz(path, "/bad")) {
		oc_http_error(req, 403, "forbidden", "no");
	} else {
		oc_http_respond(req, 200, "text/plain", OC_STR("hello"));
	}
}

static int setup(void **state)
{
	memset(&a, 0, sizeof(a));
	a.listener = -1;
	*state = a.f = net_setup(&(oc_http_server_options){.handler = {.on_request = on_request}});
	return 0;
}

static int teardown(void **state)
{
	if (a.listener >= 0)
		close(a.listener);
	net_teardown(*state);
	return 0;
}

static void on_head(void *arg, int status, oc_str type)
{
	(void)arg;
	a.heads++;
	a.http = status;
	snprintf(a.type, sizeof(a.type), "%s", type.p);
}

static void on_sse(void *arg, oc_str event, oc_str data, oc_str id)
{
	size_t n = strlen(a.log);

	(void)arg;
	(void)id;
	snprintf(a.log + n, sizeof(a.log) - n, "[%s:%s]", event.p, data.p);
	a.events++;
}

static void on_done(void *arg, oc_status status, int http, oc_str body)
{
	(void)arg;
	a.done++;
	a.status = status;
	a.http = http;
	a.n = body.n;
	snprintf(a.text, sizeof(a.text), "%.*s", OC_STR_ARG(body));
}

static void start(oc_local_request request)
{
	oc_err err = {0};

	request.on_done = on_done;
	if (request.unix_path == NULL && request.address == NULL) {
		request.address = "127.0.0.1";
		request.port = a.f->port;
	}
	a.done = 0;
	if (oc_local_start(a.f->owner, &request, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(a.done, 0);
}

static void run(oc_local_request request)
{
	start(request);
	NET_UNTIL(a.f, a.done == 1);
}

static void t_requests(void **state)
{
	net_fixture *f = *state;
	char path[100];

	run((oc_local_request){.target = "/x", .token = "secret", .on_head = on_head});
	assert_int_equal(a.status, OC_OK);
	assert_int_equal(a.http, 200);
	assert_string_equal(a.text, "hello");
	assert_string_equal(a.type, "text/plain");
	assert_string_equal(a.seen_token, "Bearer secret");
	run((oc_local_request){.target = "/x", .body = OC_STR("{}")});
	assert_string_equal(a.seen_body, "application/json {}");
	run((oc_local_request){.target = "/x", .method = "HEAD"});
	assert_int_equal(a.status, OC_OK);
	assert_string_equal(a.text, "");
	run((oc_local_request){.target = "/bad"});
	assert_int_equal(a.http, 403);
	assert_non_null(strstr(a.text, "forbidden"));
	run((oc_local_request){.target = "/big"});
	assert_int_equal(a.n, 100000);
	run((oc_local_request){.target = "/big", .max_body = 5000});
	assert_int_equal(a.status, OC_E_LIMIT);
	snprintf(path, sizeof(path), "%s/s", f->dir);
	assert_int_equal(oc_http_server_listen_unix(f->server, path, NULL), OC_OK);
	run((oc_local_request){.target = "/x", .unix_path = path});
	assert_string_equal(a.text, "hello");
	assert_string_equal(a.seen_token, "");
}

static void t_events(void **state)
{
	(void)state;
	run((oc_local_request){.target = "/events", .on_sse = on_sse});
	assert_int_equal(a.status, OC_OK);
	assert_string_equal(a.log, "[tick:a\nb][tick:a\nb][tick:a\nb]");
	/* Something else than events is gathered. */
	run((oc_local_request){.target = "/bad", .on_sse = on_sse});
	assert_non_null(strstr(a.text, "forbidden"));
	assert_int_equal(a.events, 3);
}

static void t_nobody_there(void **state)
{
	char path[120];
	oc_err err = {0};

	(void)state;
	snprintf(path, sizeof(path), "%s/nothing", a.f->dir);
	run((oc_local_request){.target = "/x", .unix_path = path});
	assert_int_equal(a.status, OC_E_UNAVAILABLE);
	assert_int_equal(a.http, 0);
	assert_non_null(strstr(a.text, "no gateway listens on"));
	assert_non_null(strstr(a.text, path));
	run((oc_local_request){.target = "/x", .address = "127.0.0.1", .port = 1});
	assert_int_equal(a.status, OC_E_UNAVAILABLE);
	assert_int_equal(oc_local_start(a.f->owner, &(oc_local_request){.target = "/ x", .address = "127.0.0.1", .on_done = on_done}, &err),
			 OC_E_INVALID);
	assert_int_equal(
		oc_local_start(a.f->owner, &(oc_local_request){.target = "/x", .token = "a\r\nb", .address = "127.0.0.1", .on_done = on_done}, &err),
		OC_E_INVALID);
	assert_int_equal(
		oc_local_start(a.f->owner, &(oc_local_request){.target = "/x", .address = "localhost", .on_done = on_done}, &err),
		OC_E_INVALID);
	net_wait(a.f, 10);
}

static void t_time_and_sweep(void **state)
{
	net_fixture *f = *state;
	oc_owner *owner;

	run((oc_local_request){.target = "/held", .timeout_ms = 40});
	assert_int_equal(a.status, OC_E_TIMEOUT);
	NET_UNTIL(f, a.held == NULL);
	a.done = 0;
	owner = oc_owner_new(f->loop, "short");
	assert_int_equal(oc_local_start(owner,
					&(oc_local_request){.target = "/held", .address = "127.0.0.1", .port = f->port, .on_done = on_done}, NULL),
			 OC_OK);
	NET_UNTIL(f, a.held != NULL);
	oc_owner_free(owner);
	NET_UNTIL(f, a.held == NULL); /* the server notices */
	assert_int_equal(a.done, 0);
}

/* ---- A server that sends what the test says ---- */

static oc_watch *peer_watch;
static int peer_fd;

static void on_peer(void *arg, uint32_t events)
{
	const char *bytes = arg;
	char in[2048];

	(void)events;
	(void)!read(peer_fd, in, sizeof(in));
	(void)!write(peer_fd, bytes, strlen(bytes));
	oc_watch_end(peer_watch);
	close(peer_fd);
	a.accepted++;
}

static void on_accept(void *arg, uint32_t events)
{
	(void)events;
	peer_fd = accept(a.listener, NULL, NULL);
	if (peer_fd >= 0)
		peer_watch = oc_fd_watch(a.f->owner, peer_fd, OC_FD_READ, on_peer, arg);
}

static void answers(const char *bytes, oc_local_request request)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	oc_watch *watch;

	a.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(a.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(a.listener, 5), 0);
	assert_int_equal(getsockname(a.listener, (struct sockaddr *)&addr, &len), 0);
	watch = oc_fd_watch(a.f->owner, a.listener, OC_FD_READ, on_accept, (void *)(uintptr_t)bytes);
	request.target = "/";
	request.address = "127.0.0.1";
	request.port = ntohs(addr.sin_port);
	run(request);
	oc_watch_end(watch);
	net_turn(a.f);
	close(a.listener);
	a.listener = -1;
}

static void t_misbehaving_servers(void **state)
{
	(void)state;
	answers("", (oc_local_request){0});
	assert_int_equal(a.status, OC_E_IO);
	assert_non_null(strstr(a.text, "without an answer"));
	answers("SSH-2.0-OpenSSH\r\n", (oc_local_request){0});
	assert_int_equal(a.status, OC_E_PROTOCOL);
	answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", (oc_local_request){0});
	assert_int_equal(a.status, OC_E_IO);
	assert_non_null(strstr(a.text, "in the middle"));
	answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", (oc_local_request){0});
	assert_int_equal(a.status, OC_E_IO);
	answers("HTTP/1.1 200 OK\r\n\r\nuntil the end", (oc_local_request){0});
	assert_int_equal(a.status, OC_OK);
	assert_string_equal(a.text, "until the end");
	answers("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (oc_local_request){0});
	assert_int_equal(a.status, OC_OK);
	assert_string_equal(a.text, "ok");
	answers("HTTP/1.1 204 No Content\r\n\r\n", (oc_local_request){0});
	assert_int_equal(a.http, 204);
}

static void t_fetch(void **state)
{
	net_fixture *f = *state;
	oc_local_request request = {.target = "/x", .address = "127.0.0.1", .port = f->port};
	char *body = NULL;
	size_t n = 0;
	int status = 0;
	oc_err err = {0};

	assert_int_equal(oc_local_fetch(f->loop, &request, &status, &body, &n, &err), OC_OK);
	assert_int_equal(status, 200);
	assert_string_equal(body, "hello");
	assert_int_equal(n, 5);
	oc_free(body);
	body = NULL;
	request.port = 1;
	assert_int_equal(oc_local_fetch(f->loop, &request, &status, &body, &n, &err), OC_E_UNAVAILABLE);
	assert_null(body);
	assert_non_null(strstr(err.remedy, "openclaw gateway run"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_requests), T(t_events), T(t_nobody_there), T(t_time_and_sweep), T(t_misbehaving_servers), T(t_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
