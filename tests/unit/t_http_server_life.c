/* The HTTP server over real sockets: clients that go or are slow and rude, the orderly end, listening, counting. */
#include "http_app.h"

#include <sys/stat.h>

static int setup_quick(void **state)
{
	return setup_with(state, (oc_http_server_options){.header_ms = 80,
							  .body_ms = 80,
							  .write_ms = 80,
							  .idle_ms = 120,
							  .max_conns = 4,
							  .max_header = 2048,
							  .max_queue = 65536});
}

/* ---- Clients that go ---- */

static void t_client_leaves_while_waiting(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fd = net_connect(f);

	NET_SEND(f, fd, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 1);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	assert_null(a.held);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 0);
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.connections == 0));
}

static void t_request_outlives_its_client_and_server(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);

	NET_SEND(f, fd, "GET /stubborn?x HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	close(fd);
	NET_UNTIL(f, a.closes == 1);
	net_wait(f, 20);
	assert_true(oc_str_eqz(oc_http_path(a.held), "/stubborn"));
	assert_int_equal(oc_http_respond_head(a.held, 200, "text/plain", -1), OC_E_STATE);
	assert_int_equal(oc_http_write(a.held, OC_STR("x")), OC_E_STATE);
	oc_http_server_free(f->server);
	f->server = NULL;
	net_wait(f, 20);
	assert_true(oc_str_eqz(oc_http_query(a.held), "x"));
	oc_http_end(a.held);
}

static void t_half_closed_client_gets_its_answer(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, "GET /megabyte HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	shutdown(fd, SHUT_WR);
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 200);
	assert_int_equal(strlen(strstr(r, "\r\n\r\n")) - 4, 1 << 20);
	free(r);
	close(fd);
}

/* ---- Time ---- */

static void t_slow_head(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	uint64_t began = oc_now_ms();
	char *r;

	/* A byte now and then does not help. */
	NET_SEND(f, fd, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
	for (int i = 0; i < 10; i++) {
		NET_SEND(f, fd, "y");
		net_wait(f, 15);
	}
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 408);
	assert_true(oc_now_ms() - began < 20000);
	free(r);
	close(fd);
	/* Nothing at all: closed without a word. */
	fd = net_connect(f);
	r = net_read(f, fd, NULL, NULL);
	assert_string_equal(r, "");
	free(r);
	close(fd);
}

static void t_slow_body(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	char *r;

	NET_SEND(f, fd, "POST /watched HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 408);
	assert_int_equal(a.closes, 1);
	assert_int_equal(a.requests, 0);
	free(r);
	close(fd);
}

static void t_idle_connection_is_closed(void **state)
{
	net_fixture *f = *state;
	int fd = net_connect(f);
	uint64_t began = oc_now_ms();
	char *r;

	NET_SEND(f, fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 200);
	assert_true(oc_now_ms() - began >= 100);
	free(r);
	close(fd);
	/* A long request is not idle. */
	fd = net_connect(f);
	NET_SEND(f, fd, "GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n");
	net_wait(f, 400);
	assert_int_equal(a.closes, 0);
	oc_http_respond(a.held, 200, "text/plain", OC_STR("patience"));
	r = net_read(f, fd, "patience", NULL);
	assert_non_null(strstr(r, "patience"));
	free(r);
	close(fd);
}

static void t_reader_that_stopped(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fd = net_connect(f), small = 4096;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	NET_SEND(f, fd, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.timeouts == 1 && stats.connections == 0));
	close(fd);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 1); /* the handler still waits for on_drain: it has to end what it owns */
	assert_int_equal(a.busy, 1);
	oc_http_abort(a.held);
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.active, 0);
}

static void t_too_many_connections(void **state)
{
	net_fixture *f = *state;
	int fds[4];
	char *r;

	for (int i = 0; i < 4; i++) {
		fds[i] = net_connect(f);
		NET_SEND(f, fds[i], "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
		free(net_read(f, fds[i], "x=", NULL));
	}
	r = TALK(f, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(net_status(r), 503);
	assert_non_null(strstr(r, "too_many_connections"));
	free(r);
	close(fds[0]);
	net_wait(f, 30);
	r = TALK(f, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_int_equal(net_status(r), 200);
	free(r);
	for (int i = 1; i < 4; i++)
		close(fds[i]);
}

/* ---- The orderly end ---- */

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void t_drain(void **state)
{
	net_fixture *f = *state;
	int idle = net_connect(f), busy = net_connect(f), later;
	bool done = false;
	char *r;

	NET_SEND(f, idle, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
	free(net_read(f, idle, "x=", NULL));
	NET_SEND(f, busy, "GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	oc_http_server_drain(f->server, 5000, set_flag, &done);
	r = net_read(f, idle, NULL, NULL);
	assert_string_equal(r, ""); /* closed at once */
	free(r);
	net_wait(f, 30);
	assert_false(done);
	later = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(connect(later, (struct sockaddr *)&addr, sizeof(addr)), -1);
	close(later);
	oc_http_respond(a.held, 200, "text/plain", OC_STR("last"));
	r = net_read(f, busy, NULL, NULL);
	assert_non_null(strstr(r, "Connection: close"));
	assert_non_null(strstr(r, "last"));
	free(r);
	NET_UNTIL(f, done);
	close(idle);
	close(busy);
}

static void t_drain_deadline(void **state)
{
	net_fixture *f = *state;
	int busy = net_connect(f);
	bool done = false;

	NET_SEND(f, busy, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
	NET_UNTIL(f, a.held != NULL);
	oc_http_server_drain(f->server, 30, set_flag, &done);
	NET_UNTIL(f, done);
	assert_int_equal(a.closes, 1);
	close(busy);
}

static void t_drain_of_an_empty_server(void **state)
{
	net_fixture *f = *state;
	bool done = false;

	oc_http_server_drain(f->server, 1000, set_flag, &done);
	assert_false(done); /* never from inside */
	NET_UNTIL(f, done);
}

/* ---- Listening ---- */

static void t_unix_socket(void **state)
{
	net_fixture *f = *state;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	oc_err err = {0};
	oc_http_server *other;
	char *r;
	int fd;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", f->dir);
	assert_int_equal(oc_http_server_listen_unix(f->server, un.sun_path, &err), OC_OK);
	assert_int_equal(stat(un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	NET_SEND(f, fd, "GET /u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	r = net_read(f, fd, NULL, NULL);
	assert_int_equal(net_status(r), 200);
	free(r);
	close(fd);
	assert_true(a.peer.is_unix);
	assert_int_equal(a.peer.uid, getuid());
	assert_int_equal(a.peer.pid, getpid());
	assert_false(a.peer.is_loopback);
	/* A living one is not taken over. */
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &other, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_unix(other, un.sun_path, &err), OC_E_EXISTS);
	assert_non_null(strstr(err.text, "another process listens"));
	oc_http_server_free(other);
	assert_int_equal(stat(un.sun_path, &st), 0);
	/* It goes with the server. */
	oc_http_server_free(f->server);
	assert_int_equal(stat(un.sun_path, &st), -1);
	/* A dead one is replaced, a file is not. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &f->server, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_unix(f->server, un.sun_path, &err), OC_OK);
	oc_http_server_free(f->server);
	assert_int_equal(oc_path_write(un.sun_path, "x", 1, 0600, &err), OC_OK);
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &f->server, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_unix(f->server, un.sun_path, &err), OC_E_EXISTS);
	assert_int_equal(unlink(un.sun_path), 0);
	memset(un.sun_path, 'x', 107);
	char path[200];
	snprintf(path, sizeof(path), "/%.107s/s", un.sun_path);
	assert_int_equal(oc_http_server_listen_unix(f->server, path, &err), OC_E_LIMIT);
}

static void t_listen_errors(void **state)
{
	net_fixture *f = *state;
	oc_err err = {0};
	uint16_t port = 0;

	assert_int_equal(oc_http_server_listen_tcp(f->server, "127.0.0.1", f->port, NULL, NULL, &err), OC_E_EXISTS);
	assert_non_null(strstr(err.text, "in use"));
	assert_true(err.remedy[0] != 0);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "localhost", 0, NULL, NULL, &err), OC_E_INVALID);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "203.0.113.77", 0, NULL, NULL, &err), OC_E_NOT_FOUND);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "127.0.0.1", 0, NULL, &port, &err), OC_OK);
	assert_true(port != 0 && port != f->port);
}

static void t_peer(void **state)
{
	free(TALK(*state, "GET /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	assert_true(a.peer.is_loopback);
	assert_false(a.peer.is_unix);
	assert_string_equal(a.peer.address, "127.0.0.1");
	assert_true(a.peer.port != 0);
	assert_int_equal(a.peer.uid, (uid_t)-1);
}

static void t_stats(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;

	free(TALK(f, "GET /p HTTP/1.1\r\nHost: x\r\n\r\nGET /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	free(TALK(f, "NONSENSE\r\n\r\n"));
	oc_http_server_get_stats(f->server, &stats);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.bad_requests, 1);
	assert_int_equal(stats.connections_total, 2);
	assert_int_equal(stats.active, 0);
	assert_true(stats.bytes_in > 80 && stats.bytes_out > 200);
}

/* A connection that finds no memory is closed, and does not keep later ones out. */
static void t_no_memory_for_a_connection(void **state)
{
	net_fixture *f = *state;
	oc_http_server_stats stats;
	int fds[3];
	char *answer;
	char byte;

	for (size_t i = 0; i < 3; i++)
		fds[i] = net_connect(f);
	oc_mem_fail_at(1);
	NET_UNTIL(f, (oc_http_server_get_stats(f->server, &stats), stats.refused >= 3));
	oc_mem_fail_at(0);
	for (size_t i = 0; i < 3; i++) {
		NET_UNTIL(f, recv(fds[i], &byte, 1, 0) == 0 || errno != EAGAIN);
		close(fds[i]);
	}
	answer = TALK(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(net_status(answer) > 0);
	free(answer);
}

#define QUICK(name) cmocka_unit_test_setup_teardown(name, setup_quick, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_no_memory_for_a_connection),
		T(t_client_leaves_while_waiting),
		T(t_request_outlives_its_client_and_server),
		T(t_half_closed_client_gets_its_answer),
		QUICK(t_slow_head),
		QUICK(t_slow_body),
		QUICK(t_idle_connection_is_closed),
		QUICK(t_reader_that_stopped),
		QUICK(t_too_many_connections),
		T(t_drain),
		T(t_drain_deadline),
		T(t_drain_of_an_empty_server),
		T(t_unix_socket),
		T(t_listen_errors),
		T(t_peer),
		T(t_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
