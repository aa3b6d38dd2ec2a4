/* The HTTP client against our own server, on one loop: what callbacks may do, pooling, pausing, proxies, time limits. */
#include "net_test.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>

#include "core/net/client_inner.h"

typedef struct app {
	net_fixture *f;
	oc_http_client *client;
	oc_http_call *call;
	oc_http_req *held;
	int served, done, heads, pieces, nested, left, streams;
	oc_status status, status2;
	int http;
	size_t n;
	char text[1024], head[2048], seen[8][64], seen_token[64], seen_key[64];
	bool start_in_data, free_in_data, cancel_in_head, pause_in_data;
	char url[160];
} app;

static app a;

static const char *url(const char *path)
{
	snprintf(a.url, sizeof(a.url), "http://127.0.0.1:%u%s", (unsigned)a.f->port, path);
	return a.url;
}

/* ---- The resolver: libcurl finds this one before libc's (the test exports its symbols) ---- */

static atomic_int rebinds;

/* Everything is built hidden; this one must be seen. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node, const char *restrict service,
						       const struct addrinfo *restrict hints,
						       struct addrinfo **restrict res)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");

	memcpy(&next, &symbol, sizeof(next));
	if (node != NULL && strcmp(node, "rebound.example") == 0) {
		atomic_fetch_add(&rebinds, 1);
		node = "127.0.0.1";
	}
	return next(node, service, hints, res);
}

/* ---- The server ---- */

static void step(void *arg)
{
	oc_http_req *req = arg;
	char *piece = calloc(1, 20000);

	/* A client that went away is told by OC_E_STATE. */
	if (a.left-- == 0 || oc_http_write(req, oc_str_make(piece, 20000)) == OC_E_STATE) {
		oc_http_end(req);
		a.streams--;
	} else {
		(void)oc_timer_start(a.f->owner, 1, 0, step, req);
	}
	free(piece);
}

static void on_close(void *arg, oc_http_req *req)
{
	(void)arg;
	oc_http_abort(req);
	a.held = NULL;
}

static void redirect(oc_http_req *req, int status, const char *to)
{
	(void)oc_http_add_header(req, "Location", oc_str_of(to));
	oc_http_respond(req, status, NULL, OC_STR_NONE);
}

static void on_request(void *arg, oc_http_req *req)
{
	oc_str path = oc_http_path(req);
	char other[100];

	(void)arg;
	snprintf(a.seen[a.served % 8], sizeof(a.seen[0]), "%s %s %s", oc_http_method(req).p, oc_http_target(req).p,
		 oc_http_body(req).p);
	a.served++;
	snprintf(a.seen_token, sizeof(a.seen_token), "%s", oc_http_header(req, "authorization").p);
	snprintf(a.seen_key, sizeof(a.seen_key), "%s", oc_http_header(req, "x-api-key").p);
	if (oc_str_eqz(path, "/stream")) {
		a.left = 20;
		a.streams++;
		(void)oc_http_respond_head(req, 200, "text/plain", -1);
		step(req);
	} else if (oc_str_eqz(path, "/held")) {
		a.held = req;
		oc_http_on_close(req, on_close, NULL);
	} else if (oc_str_eqz(path, "/silent")) {
		a.held = req;
		oc_http_on_close(req, on_close, NULL);
		(void)oc_http_respond_head(req, 200, "text/plain", -1);
		(void)oc_http_write(req, OC_STR("begun"));
	} else if (oc_str_eqz(path, "/other-host")) {
		snprintf(other, sizeof(other), "http://localhost:%u/end", (unsigned)a.f->port);
		redirect(req, 302, other);
	} else if (oc_str_eqz(path, "/same-host")) {
		redirect(req, 307, "/end");
	} else if (oc_str_eqz(path, "/see-other")) {
		redirect(req, 303, "/end");
	} else if (oc_str_eqz(path, "/to-file")) {
		redirect(req, 302, "file:///etc/passwd");
	} else if (oc_str_eqz(path, "/busy") && a.served < 3) {
		(void)oc_http_add_header(req, "Retry-After-Ms", OC_STR("60"));
		oc_http_error(req, 529, "overloaded", "try later");
	} else if (oc_str_eqz(path, "/html")) {
		oc_http_respond(req, 200, "text/html", OC_STR("<p>log in</p>"));
	} else {
		oc_http_respond(req, 200, "text/plain", OC_STR("end"));
	}
}

static int setup(void **state)
{
	static const oc_http_client_options options = {.backoff_ms = 10, .backoff_max_ms = 1000, .proxy = ""};

	memset(&a, 0, sizeof(a));
	*state = a.f = net_setup(&(oc_http_server_options){.handler = {.on_request = on_request}});
	assert_int_equal(oc_http_client_new(a.f->loop, &options, &a.client, NULL), OC_OK);
	return 0;
}

static int teardown(void **state)
{
	oc_http_client_free(a.client);
	NET_UNTIL(a.f, a.streams == 0); /* they notice by their next piece that nobody reads */
	net_teardown(*state);
	return 0;
}

/* ---- The client ---- */

static oc_http_call *start(oc_http_client_request request);

static void on_done(void *arg, oc_status status, int32_t http, oc_str body)
{
	if (arg != NULL) { /* started inside a callback */
		a.nested++;
		a.status2 = status;
		return;
	}
	a.done++;
	a.status = status;
	a.http = http;
	a.n = body.n;
	snprintf(a.text, sizeof(a.text), "%.*s", OC_STR_ARG(body));
}

static void on_head(void *arg, int32_t status, oc_str headers)
{
	(void)arg;
	(void)status;
	a.heads++;
	snprintf(a.head, sizeof(a.head), "%.*s", OC_STR_ARG(headers));
	if (a.cancel_in_head)
		oc_http_client_cancel(a.call);
}

static void on_data(void *arg, oc_str data)
{
	(void)arg;
	a.pieces++;
	a.n += data.n;
	if (a.start_in_data && a.pieces == 1)
		(void)start((oc_http_client_request){.url = oc_str_of(url("/nested")), .arg = &a});
	if (a.pause_in_data && a.pieces == 1)
		oc_http_client_pause(a.call, 1);
	if (a.free_in_data) {
		oc_http_client_free(a.client);
		a.client = NULL;
	}
}

static oc_http_call *start(oc_http_client_request request)
{
	oc_http_call *call = NULL;
	oc_err err = {0};

	request.struct_size = sizeof(request);
	if (request.method.p == NULL)
		request.method = OC_STR("GET");
	request.on_done = on_done;
	if (oc_http_client_start(a.client, a.f->owner, &request, &call, &err) != OC_OK)
		fail_msg("%s", err.text);
	return call;
}

static void run(oc_http_client_request request)
{
	a.done = 0;
	a.n = 0;
	a.call = start(request);
	assert_int_equal(a.done, 0);
	NET_UNTIL(a.f, a.done == 1);
}

/* ---- What callbacks may do ---- */

static void t_start_inside_a_callback(void **state)
{
	a.start_in_data = true;
	run((oc_http_client_request){.url = oc_str_of(url("/stream")), .on_data = on_data});
	NET_UNTIL(*state, a.nested == 1);
	assert_int_equal(a.status, OC_OK);
	assert_int_equal(a.status2, OC_OK);
	assert_int_equal(a.n, 0); /* of on_done: the body went to on_data */
}

static void t_cancel_inside_a_callback(void **state)
{
	net_fixture *f = *state;
	oc_http_client_stats stats;

	a.cancel_in_head = true;
	a.call = start((oc_http_client_request){.url = oc_str_of(url("/stream")), .on_head = on_head, .on_data = on_data});
	NET_UNTIL(f, a.heads == 1);
	net_wait(f, 20);
	assert_int_equal(a.done, 0);
	assert_int_equal(a.pieces, 0);
	oc_http_client_get_stats(a.client, &stats);
	assert_int_equal(stats.active, 0);
}

static void t_free_inside_a_callback(void **state)
{
	a.free_in_data = true;
	a.call = start((oc_http_client_request){.url = oc_str_of(url("/stream")), .on_data = on_data});
	(void)start((oc_http_client_request){.url = oc_str_of(url("/held"))});
	NET_UNTIL(*state, a.client == NULL);
	net_wait(*state, 20);
	assert_int_equal(a.done, 0);
	assert_int_equal(a.pieces, 1);
}

static void t_sweep_of_the_owner(void **state)
{
	net_fixture *f = *state;
	oc_owner *owner = oc_owner_new(f->loop, "module");
	oc_http_client_request request = {.struct_size = sizeof(request), .method = OC_STR("GET"),
					  .url = oc_str_of(url("/held")), .on_done = on_done};

	assert_int_equal(oc_http_client_start(a.client, owner, &request, NULL, NULL), OC_OK);
	NET_UNTIL(f, a.held != NULL);
	oc_owner_free(owner);
	NET_UNTIL(f, a.held == NULL); /* the connection went with it */
	assert_int_equal(a.done, 0);
}

static void t_pause_and_resume(void **state)
{
	net_fixture *f = *state;
	int pieces;

	a.pause_in_data = true;
	a.call = start((oc_http_client_request){.url = oc_str_of(url("/stream")), .on_data = on_data, .idle_ms = 100});
	NET_UNTIL(f, a.pieces == 1);
	net_wait(f, 250); /* our own pause is not the server's silence */
	pieces = a.pieces;
	assert_int_equal(pieces, 1);
	assert_int_equal(a.done, 0);
	oc_http_client_pause(a.call, 0);
	a.n = 0;
	NET_UNTIL(f, a.done == 1);
	assert_int_equal(a.status, OC_OK);
	assert_true(a.pieces > 1);
}

/* ---- Pooling and guard ---- */

static void t_connections_are_reused(void **state)
{
	oc_http_client_stats stats;

	(void)state;
	for (int i = 0; i < 5; i++)
		run((oc_http_client_request){.url = oc_str_of(url("/x"))});
	oc_http_client_get_stats(a.client, &stats);
	assert_int_equal(stats.requests, 5);
	assert_int_equal(stats.connections, 1);
	assert_string_equal(a.text, "end");
}

static void t_guard_is_not_fooled_by_the_pool(void **state)
{
	oc_http_client_request guarded = {.struct_size = sizeof(guarded), .method = OC_STR("GET"),
					  .flags = OC_HTTP_CLIENT_GUARD, .on_done = on_done};
	oc_err err = {0};

	(void)state;
	run((oc_http_client_request){.url = oc_str_of(url("/x"))}); /* leaves an open connection */
	guarded.url = oc_str_of(url("/x"));
	assert_int_equal(oc_http_client_start(a.client, a.f->owner, &guarded, NULL, &err), OC_E_DENIED);
	assert_non_null(strstr(err.text, "loopback"));
	assert_int_equal(a.served, 1);
}

/* A name that looks public and resolves to loopback, as after DNS rebinding: the address that is connected to decides. */
static void t_guard_looks_at_the_address(void **state)
{
	char text[100];

	(void)state;
	snprintf(text, sizeof(text), "http://rebound.example:%u/x", (unsigned)a.f->port);
	rebinds = 0;
	run((oc_http_client_request){.url = oc_str_of(text)});
	assert_string_equal(a.text, "end");
	assert_true(rebinds > 0); /* our resolver was asked */
	assert_int_equal(a.served, 1);
	run((oc_http_client_request){.url = oc_str_of(text), .flags = OC_HTTP_CLIENT_GUARD, .retries = 2});
	assert_int_equal(a.status, OC_E_DENIED);
	assert_non_null(strstr(a.text, "127.0.0.1: it is a loopback address"));
	assert_int_equal(a.served, 1);
}

/* ---- Redirects ---- */

static void t_redirects(void **state)
{
	(void)state;
	run((oc_http_client_request){.url = oc_str_of(url("/same-host")), .max_redirects = 2, .method = OC_STR("POST"),
				     .body = OC_STR("kept"), .headers = OC_STR("{\"authorization\":\"Bearer t\"}")});
	assert_string_equal(a.seen[1], "POST /end kept");
	assert_string_equal(a.seen_token, "Bearer t");
	run((oc_http_client_request){.url = oc_str_of(url("/see-other")), .max_redirects = 2, .method = OC_STR("PUT"),
				     .body = OC_STR("dropped")});
	assert_string_equal(a.seen[3], "GET /end ");
	run((oc_http_client_request){.url = oc_str_of(url("/other-host")), .max_redirects = 2,
				     .headers = OC_STR("{\"Authorization\":\"Bearer t\",\"x-api-key\":\"k\"}")});
	assert_string_equal(a.text, "end");
	assert_string_equal(a.seen_token, "");
	assert_string_equal(a.seen_key, "");
	run((oc_http_client_request){.url = oc_str_of(url("/same-host"))}); /* none wanted: handed on */
	assert_int_equal(a.http, 307);
	run((oc_http_client_request){.url = oc_str_of(url("/to-file")), .max_redirects = 2});
	assert_int_equal(a.status, OC_E_INVALID);
	assert_non_null(strstr(a.text, "file"));
}

/* ---- Retries and time ---- */

static void t_retry_after_in_ms(void **state)
{
	uint64_t began = oc_now_ms();
	oc_http_client_stats stats;

	(void)state;
	run((oc_http_client_request){.url = oc_str_of(url("/busy")), .retries = 3, .on_head = on_head});
	assert_string_equal(a.text, "end");
	assert_int_equal(a.served, 3);
	assert_int_equal(a.heads, 1);
	assert_true(oc_now_ms() - began >= 115);
	oc_http_client_get_stats(a.client, &stats);
	assert_int_equal(stats.retries, 2);
	assert_int_equal(stats.connections, 1); /* an answer of a few bytes is read to its end */
}

static void t_idle_limit(void **state)
{
	(void)state;
	run((oc_http_client_request){.url = oc_str_of(url("/silent")), .on_data = on_data, .idle_ms = 60, .retries = 3});
	assert_int_equal(a.status, OC_E_TIMEOUT);
	assert_int_equal(a.http, 200);
	assert_int_equal(a.pieces, 1);
	assert_int_equal(a.served, 1);
	NET_UNTIL(a.f, a.held == NULL);
	run((oc_http_client_request){.url = oc_str_of(url("/held")), .timeout_ms = 60});
	assert_int_equal(a.status, OC_E_TIMEOUT);
	assert_int_equal(a.http, 0);
}

static void t_events_wanted_but_a_page_came(void **state)
{
	(void)state;
	run((oc_http_client_request){.url = oc_str_of(url("/html")), .flags = OC_HTTP_CLIENT_SSE, .on_data = on_data,
				     .on_sse = (void (*)(void *, oc_str, oc_str, oc_str))1 /* never called */});
	assert_string_equal(a.text, "<p>log in</p>");
	assert_int_equal(a.pieces, 0);
}

static void t_struct_sizes(void **state)
{
	oc_http_client_request request = {.struct_size = sizeof(request) + 8, .method = OC_STR("GET"), .on_done = on_done};
	oc_err err = {0};

	(void)state;
	request.url = oc_str_of(url("/x"));
	assert_int_equal(oc_http_client_start(a.client, a.f->owner, &request, NULL, &err), OC_E_VERSION);
	/* A module compiled before on_body and proxy existed: what is behind its struct is not looked at. */
	request.struct_size = offsetof(oc_http_client_request, on_body);
	request.on_body = (int64_t(*)(void *, uint64_t, void *, uint64_t))1;
	assert_int_equal(oc_http_client_start(a.client, a.f->owner, &request, NULL, &err), OC_OK);
	NET_UNTIL(a.f, a.done == 1);
	assert_string_equal(a.text, "end");
}

/* ---- Proxies ---- */

static void t_proxy_is_used(void **state)
{
	char proxy[64];

	(void)state;
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", (unsigned)a.f->port);
	run((oc_http_client_request){.url = OC_STR("http://public.example/page"), .proxy = oc_str_of(proxy)});
	assert_string_equal(a.seen[0], "GET http://public.example/page ");
	assert_string_equal(a.text, "end");
	/* With the guard too: the proxy's own address is the operator's choice, the target is still checked by name. */
	run((oc_http_client_request){.url = OC_STR("http://public.example/page"), .proxy = oc_str_of(proxy),
				     .flags = OC_HTTP_CLIENT_GUARD});
	assert_string_equal(a.text, "end");
	oc_http_client_request r = {.struct_size = sizeof(r), .method = OC_STR("GET"), .on_done = on_done,
				    .url = OC_STR("http://169.254.169.254/"), .proxy = oc_str_of(proxy),
				    .flags = OC_HTTP_CLIENT_GUARD};
	assert_int_equal(oc_http_client_start(a.client, a.f->owner, &r, NULL, NULL), OC_E_DENIED);
}

static bool matches(const char *list, const char *text)
{
	oc_url *u = NULL;
	bool result;

	assert_int_equal(oc_url_parse(oc_str_of(text), &u, NULL), OC_OK);
	result = oc_no_proxy_match(list, u);
	oc_url_free(u);
	return result;
}

static void t_no_proxy(void **state)
{
	(void)state;
	assert_true(matches("*", "http://a.example"));
	assert_true(matches("a.example", "http://a.example"));
	assert_true(matches("example", "http://a.example"));
	assert_true(matches(".a.example", "http://b.a.example"));
	assert_true(matches("*.a.example", "http://b.a.example"));
	assert_true(matches(" x , a.example ", "http://a.example"));
	assert_true(matches("A.Example", "http://a.example"));
	assert_true(matches("127.0.0.1", "http://127.0.0.1:8080"));
	assert_true(matches("a.example:81", "http://a.example:81"));
	assert_true(matches("::1", "http://[::1]/"));
	assert_false(matches("a.example:81", "http://a.example:82"));
	assert_false(matches("b.example", "http://a.example"));
	assert_false(matches("a.example", "http://notA.example"));
	assert_false(matches("0.0.1", "http://127.0.0.1"));
	assert_false(matches("", "http://a.example"));
	assert_false(matches(",,", "http://a.example"));
}

static void t_environment(void **state)
{
	oc_http_client client = {0};
	oc_url *plain = NULL, *secure = NULL;

	(void)state;
	assert_int_equal(oc_url_parse(OC_STR("http://a.example"), &plain, NULL), OC_OK);
	assert_int_equal(oc_url_parse(OC_STR("https://a.example"), &secure, NULL), OC_OK);
	assert_string_equal(oc_proxy_for(&client, NULL, plain), "");
	setenv("HTTPS_PROXY", "http://p:1", 1);
	setenv("HTTP_PROXY", "http://evil:1", 1);
	assert_string_equal(oc_proxy_for(&client, NULL, secure), "http://p:1");
	assert_string_equal(oc_proxy_for(&client, NULL, plain), ""); /* HTTP_PROXY may come from a request's Proxy header */
	setenv("http_proxy", "http://q:1", 1);
	assert_string_equal(oc_proxy_for(&client, NULL, plain), "http://q:1");
	setenv("NO_PROXY", "a.example", 1);
	assert_string_equal(oc_proxy_for(&client, NULL, secure), "");
	assert_string_equal(oc_proxy_for(&client, "http://own:1", secure), "http://own:1");
	unsetenv("HTTPS_PROXY");
	unsetenv("HTTP_PROXY");
	unsetenv("http_proxy");
	unsetenv("NO_PROXY");
	oc_url_free(plain);
	oc_url_free(secure);
}

/* ---- Heads ---- */

static void t_heads(void **state)
{
	oc_reply reply = {0};
	oc_sbuf json;
	const oc_curl *curl;

	(void)state;
	assert_int_equal(oc_curl_load(&curl, NULL), OC_OK);
	oc_sbuf_init(&reply.names, 4096);
	oc_sbuf_init(&json, 4096);
	assert_false(oc_reply_line(&reply, OC_STR("HTTP/1.1 103 Early Hints\r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("Link: x\r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("\r\n"))); /* an interim answer */
	assert_false(oc_reply_line(&reply, OC_STR("HTTP/2 429 \r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("X-A:  1 \r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("x-a: 2\r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("Set-Cookie: a=1, b\r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("Set-Cookie: c=2\r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("no colon\r\n")));
	assert_false(oc_reply_line(&reply, OC_STR("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n")));
	assert_true(oc_reply_line(&reply, OC_STR("\r\n")));
	assert_int_equal(reply.status, 429);
	oc_reply_json(&reply, &json);
	assert_string_equal(json.p, "{\"x-a\":\"1, 2\",\"set-cookie\":\"a=1, b\\nc=2\","
				    "\"retry-after\":\"Sun, 06 Nov 1994 08:49:37 GMT\"}");
	assert_int_equal(oc_reply_retry_after(&reply, curl, 784111777 - 90), 90000);
	assert_int_equal(oc_reply_retry_after(&reply, curl, 784111777 + 5), 0); /* in the past */
	oc_reply_clear(&reply);
	assert_int_equal(oc_reply_retry_after(&reply, curl, 0), -1);
	(void)oc_reply_line(&reply, OC_STR("Retry-After: 7\r\n"));
	assert_int_equal(oc_reply_retry_after(&reply, curl, 0), 7000);
	oc_reply_clear(&reply);
	(void)oc_reply_line(&reply, OC_STR("Retry-After: soon\r\n"));
	assert_int_equal(oc_reply_retry_after(&reply, curl, 0), -1);
	oc_sbuf_free(&reply.names);
	oc_sbuf_free(&json);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_start_inside_a_callback),
		T(t_cancel_inside_a_callback),
		T(t_free_inside_a_callback),
		T(t_sweep_of_the_owner),
		T(t_pause_and_resume),
		T(t_connections_are_reused),
		T(t_guard_is_not_fooled_by_the_pool),
		T(t_guard_looks_at_the_address),
		T(t_redirects),
		T(t_retry_after_in_ms),
		T(t_idle_limit),
		T(t_events_wanted_but_a_page_came),
		T(t_struct_sizes),
		T(t_proxy_is_used),
		cmocka_unit_test(t_no_proxy),
		cmocka_unit_test(t_environment),
		cmocka_unit_test(t_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
