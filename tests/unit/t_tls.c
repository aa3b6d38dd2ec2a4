/* TLS: certificates and keys, good and bad; whole exchanges through a real client library (libcurl). */
#include "net_test.h"

#include <pthread.h>
#include <sys/stat.h>

#include "core/net/http_client.h"
#include "core/net/tls.h"

typedef struct app {
	net_fixture *f;
	oc_tls_server *tls;
	char cert[128], key[128];
	uint16_t port;
	int done, requests;
	oc_status status;
	int http;
	size_t body_n;
	char text[512];
	oc_http_peer peer;
} app;

static app a;

static void on_request(void *arg, oc_http_req *req)
{
	(void)arg;
	a.requests++;
	a.peer = *oc_http_get_peer(req);
	if (oc_str_eqz(oc_http_path(req), "/big")) {
		char *big = calloc(1, 1 << 20);

		oc_http_respond(req, 200, "text/plain", oc_str_make(big, 1 << 20));
		free(big);
		return;
	}
	oc_http_respond(req, 200, "text/plain", oc_http_body(req));
}

static int setup_with(void **state, uint32_t header_ms)
{
	oc_err err = {0};

	memset(&a, 0, sizeof(a));
	*state = a.f = net_setup(&(oc_http_server_options){.handler = {.on_request = on_request}, .header_ms = header_ms});
	snprintf(a.cert, sizeof(a.cert), "%s/cert.pem", a.f->dir);
	snprintf(a.key, sizeof(a.key), "%s/key.pem", a.f->dir);
	if (oc_tls_self_signed(a.cert, a.key, "gateway.example", &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(oc_tls_server_new(a.cert, a.key, &a.tls, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_tcp(a.f->server, "127.0.0.1", 0, a.tls, &a.port, &err), OC_OK);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0);
}

static int setup_quick(void **state)
{
	return setup_with(state, 150);
}

static int teardown(void **state)
{
	oc_tls_server_unref(a.tls); /* the server's reference is its own */
	(void)unlink(a.cert);
	(void)unlink(a.key);
	net_teardown(*state);
	return 0;
}

static void on_done(void *arg, oc_status status, int32_t http, oc_str body)
{
	(void)arg;
	a.done++;
	a.status = status;
	a.http = http;
	a.body_n = body.n;
	snprintf(a.text, sizeof(a.text), "%.*s", OC_STR_ARG(body));
}

static void fetch(net_fixture *f, oc_http_client *client, const char *host, const char *path, oc_str body)
{
	char url[128];
	oc_err err = {0};
	oc_http_client_request request = {.struct_size = sizeof(request), .method = OC_STR("POST"), .body = body,
					  .on_done = on_done, .timeout_ms = 4000};

	snprintf(url, sizeof(url), "https://%s:%u%s", host, (unsigned)a.port, path);
	request.url = oc_str_of(url);
	a.done = 0;
	assert_int_equal(oc_http_client_start(client, f->owner, &request, NULL, &err), OC_OK);
	NET_UNTIL(f, a.done == 1);
}

static void t_exchanges(void **state)
{
	net_fixture *f = *state;
	oc_http_client_options options = {.ca_file = a.cert, .proxy = ""};
	oc_http_client_stats stats;
	oc_http_client *client;
	char *big = calloc(1, 200000);

	memset(big, 'x', 200000);
	assert_int_equal(oc_http_client_new(f->loop, &options, &client, NULL), OC_OK);
	fetch(f, client, "localhost", "/", OC_STR("hello"));
	assert_int_equal(a.status, OC_OK);
	assert_string_equal(a.text, "hello");
	assert_true(a.peer.is_tls);
	assert_true(a.peer.is_loopback);
	fetch(f, client, "localhost", "/", oc_str_make(big, 200000));
	assert_int_equal(a.status, OC_OK);
	assert_int_equal(a.body_n, 200000);
	fetch(f, client, "localhost", "/big", OC_STR("x"));
	assert_int_equal(a.status, OC_OK);
	assert_int_equal(a.body_n, 1 << 20);
	oc_http_client_get_stats(client, &stats);
	assert_int_equal(stats.connections, 1); /* kept alive through all of it */
	fetch(f, client, "127.0.0.1", "/", OC_STR("by address"));
	assert_int_equal(a.status, OC_OK);
	oc_http_client_free(client);
	free(big);
}

static void t_untrusted_certificate(void **state)
{
	net_fixture *f = *state;
	oc_http_client *client;

	assert_int_equal(oc_http_client_new(f->loop, &(oc_http_client_options){.proxy = ""}, &client, NULL), OC_OK);
	fetch(f, client, "localhost", "/", OC_STR("hello"));
	assert_int_equal(a.status, OC_E_DENIED);
	assert_non_null(strstr(a.text, "not trusted"));
	assert_int_equal(a.requests, 0);
	oc_http_client_free(client);
}

/* ---- Rude clients ---- */

static int connect_tls_port(net_fixture *f)
{
	uint16_t plain = f->port;
	int fd;

	f->port = a.port;
	fd = net_connect(f);
	f->port = plain;
	return fd;
}

static void t_rude_clients(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fd = connect_tls_port(f);
	char *r;
	size_t n;

	/* Plain HTTP on the TLS port: an alert at most, and closed. */
	NET_SEND(f, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	r = net_read(f, fd, NULL, &n);
	assert_true(n < 64);
	assert_null(strstr(r, "HTTP"));
	free(r);
	close(fd);
	/* A handshake that begins and stops is not waited for. */
	fd = connect_tls_port(f);
	NET_SEND(f, fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
	free(net_read(f, fd, NULL, NULL));
	close(fd);
	/* One that never says anything neither. */
	fd = connect_tls_port(f);
	free(net_read(f, fd, NULL, NULL));
	close(fd);
	/* One that leaves. */
	fd = connect_tls_port(f);
	close(fd);
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.connections == 0));
	assert_int_equal(a.requests, 0);
}

/* ---- Files ---- */

static void t_files(void **state)
{
	oc_tls_server *tls = NULL;
	oc_err err = {0};
	struct stat st;
	char other_cert[128], other_key[128], finger[103];

	assert_int_equal(stat(a.key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	oc_tls_server_fingerprint(a.tls, finger);
	assert_int_equal(strlen(finger), 102);
	assert_memory_equal(finger, "sha256:", 7);
	assert_int_equal(oc_tls_self_signed(a.cert, a.key, NULL, &err), OC_E_EXISTS);
	/* A key of another certificate. */
	snprintf(other_cert, sizeof(other_cert), "%s/c2.pem", a.f->dir);
	snprintf(other_key, sizeof(other_key), "%s/k2.pem", a.f->dir);
	assert_int_equal(oc_tls_self_signed(other_cert, other_key, NULL, &err), OC_OK);
	assert_int_equal(oc_tls_server_new(a.cert, other_key, &tls, &err), OC_E_INVALID);
	assert_non_null(strstr(err.text, "does not belong"));
	/* Swapped, missing, garbage, open to everybody. */
	assert_int_equal(oc_tls_server_new(a.key, a.cert, &tls, &err), OC_E_INVALID);
	assert_true(err.remedy[0] != 0);
	assert_int_equal(chmod(a.key, 0644), 0);
	assert_int_equal(oc_tls_server_new(a.cert, a.key, &tls, &err), OC_E_DENIED);
	assert_non_null(strstr(err.remedy, "chmod 600"));
	assert_int_equal(chmod(a.key, 0600), 0);
	assert_int_equal(oc_path_write(other_cert, "-----BEGIN CERTIFICATE-----\nAAAA\n", 33, 0600, &err), OC_OK);
	assert_int_equal(oc_tls_server_new(other_cert, a.key, &tls, &err), OC_E_INVALID);
	assert_int_equal(unlink(other_cert), 0);
	assert_int_equal(oc_tls_server_new(other_cert, a.key, &tls, &err), OC_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "c2.pem"));
	assert_int_equal(unlink(other_key), 0);
	assert_null(tls);
	(void)state;
}

static void ignore(void *arg, oc_str bytes)
{
	(void)arg;
	(void)bytes;
}

static void t_state_machine(void **state)
{
	oc_tls *tls = NULL;
	oc_err err = {0};

	(void)state;
	assert_int_equal(oc_tls_accept(a.tls, ignore, NULL, &tls), OC_OK);
	assert_false(oc_tls_ready(tls));
	assert_int_equal(oc_tls_write(tls, OC_STR("x")), OC_E_STATE);
	assert_int_equal(oc_tls_feed(tls, OC_STR("\x16"), ignore, NULL, &err), OC_OK);
	assert_int_equal(oc_tls_feed(tls, OC_STR("\xff\xff\xff\xff\xff\xff"), ignore, NULL, &err), OC_E_PROTOCOL);
	assert_true(err.text[0] != 0);
	assert_int_equal(oc_tls_feed(tls, OC_STR("x"), ignore, NULL, &err), OC_E_PROTOCOL); /* stays broken */
	oc_tls_close_notify(tls);
	oc_tls_free(tls);
	oc_tls_free(NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_exchanges),
		T(t_untrusted_certificate),
		cmocka_unit_test_setup_teardown(t_rude_clients, setup_quick, teardown),
		T(t_files),
		T(t_state_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
