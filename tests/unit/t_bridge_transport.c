/* ipc-bridge/transport: our own speaks libnng's protocol; libnng itself is the guest here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>

#include "ipc-bridge/sp.h"
#include "ipc-bridge/transport.h"
#include "tests/unit/loop_test.h"

static struct {
	int (*open)(nng_socket *);
	int (*dial)(nng_socket, const char *, nng_dialer *, int);
	int (*send)(nng_socket, void *, size_t, int);
	int (*recv)(nng_socket, void *, size_t *, int);
	int (*set_ms)(nng_socket, const char *, nng_duration);
	int (*set_size)(nng_socket, const char *, size_t);
	int (*close)(nng_socket);
	void (*free)(void *, size_t);
} nng;

typedef struct fixture {
	oc_loop *loop;
	oc_owner *owner;
	oc_transport *transport;
	char path[80];
	unsigned opened, messages;
	bool close_at_message;
	char last[64], why[128];
	size_t last_n;
} fixture;

static void on_opened(void *arg)
{
	fixture *f = arg;
	f->opened++;
	oc_loop_stop(f->loop);
}

static void on_message(void *arg, oc_str message)
{
	fixture *f = arg;
	f->messages++;
	f->last_n = message.n;
	(void)snprintf(f->last, sizeof(f->last), "%.*s", message.n < 60 ? (int)message.n : 60, message.p);
	if (f->close_at_message) {
		oc_transport_close(f->transport);
		f->transport = NULL;
	}
	oc_loop_stop(f->loop);
}

static void on_closed(void *arg, const char *why)
{
	fixture *f = arg;
	(void)snprintf(f->why, sizeof(f->why), "%s", why);
	oc_loop_stop(f->loop);
}

static const oc_transport_events events = {on_opened, on_message, on_closed};

static void stop(void *arg)
{
	oc_loop_stop(arg);
}

/* Lets the loop do what it has to do now. */
static void breathe(fixture *f)
{
	oc_watch *timer = oc_timer_start(f->owner, 1, 0, stop, f->loop);
	oc_loop_run(f->loop);
	oc_watch_end(timer);
}

static int setup(void **state)
{
	static int n;
	fixture *f = calloc(1, sizeof(*f));
	oc_err err = {0};
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	(void)snprintf(f->path, sizeof(f->path), "/tmp/oc-transport-%d-%d", (int)getpid(), n++);
	assert_int_equal(oc_transport_listen(f->loop, OC_TRANSPORT_LOOP, "test", f->path, &events, f, &f->transport, &err), OC_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	oc_transport_close(f->transport);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(access(f->path, F_OK), -1);
	free(f);
	return 0;
}

static nng_socket guest(fixture *f)
{
	nng_socket socket;
	char url[100];
	(void)snprintf(url, sizeof(url), "ipc://%s", f->path);
	assert_int_equal(nng.open(&socket), 0);
	assert_int_equal(nng.set_ms(socket, NNG_OPT_RECVTIMEO, 15000), 0);
	assert_int_equal(nng.set_ms(socket, NNG_OPT_SENDTIMEO, 15000), 0);
	assert_int_equal(nng.set_size(socket, NNG_OPT_RECVMAXSZ, 0), 0);
	assert_int_equal(nng.dial(socket, url, NULL, NNG_FLAG_NONBLOCK), 0);
	run_loop(f->loop, f->owner);
	assert_int_equal(f->opened, 1);
	assert_int_equal(access(f->path, F_OK), -1); /* nobody else can come */
	return socket;
}

static void hear(nng_socket socket, const char *wanted)
{
	char *text = NULL;
	size_t n = 0;
	assert_int_equal(nng.recv(socket, &text, &n, NNG_FLAG_ALLOC), 0);
	assert_int_equal(n, strlen(wanted));
	assert_memory_equal(text, wanted, n);
	nng.free(text, n);
}

static void libnng_is_understood_and_understands(void **state)
{
	fixture *f = *state;
	assert_int_equal(oc_transport_send(f->transport, OC_STR("too "), OC_STR("early")), OC_E_STATE);
	nng_socket socket = guest(f);
	char hello[] = "hello", none[] = "";
	assert_int_equal(nng.send(socket, hello, 5, 0), 0);
	run_loop(f->loop, f->owner);
	assert_string_equal(f->last, "hello");
	assert_int_equal(nng.send(socket, none, 0, 0), 0);
	run_loop(f->loop, f->owner);
	assert_int_equal(f->last_n, 0);
	/* Of one turn, in order. */
	assert_int_equal(oc_transport_send(f->transport, OC_STR("head,"), OC_STR("body")), OC_OK);
	assert_int_equal(oc_transport_send(f->transport, OC_STR(""), OC_STR("")), OC_OK);
	assert_int_equal(oc_transport_send(f->transport, OC_STR("third"), (oc_str){0}), OC_OK);
	assert_int_equal(oc_transport_unsent(f->transport, NULL), 3);
	breathe(f);
	assert_int_equal(oc_transport_unsent(f->transport, NULL), 0);
	hear(socket, "head,body");
	hear(socket, "");
	hear(socket, "third");
	assert_int_equal(nng.close(socket), 0);
	run_loop(f->loop, f->owner);
	assert_string_equal(f->why, "the process closed the connection");
	assert_int_equal(oc_transport_send(f->transport, OC_STR("too "), OC_STR("late")), OC_E_STATE);
}

static void big_messages_go_both_ways(void **state)
{
	fixture *f = *state;
	nng_socket socket = guest(f);
	size_t n = 24 << 20, got = 0;
	char *big = malloc(n), *back = NULL;
	memset(big, 'b', n);
	assert_int_equal(nng.send(socket, big, n, 0), 0);
	run_loop(f->loop, f->owner);
	assert_int_equal(f->last_n, n);
	assert_int_equal(oc_transport_send(f->transport, OC_STR("x"), (oc_str){big, n}), OC_OK);
	assert_int_equal(oc_transport_send(f->transport, OC_STR("x"), (oc_str){big, n}), OC_OK);
	/* A third of 64 MiB: that much unsent is too much. */
	assert_int_equal(oc_transport_send(f->transport, OC_STR("x"), (oc_str){big, n}), OC_E_LIMIT);
	for (int i = 0; i < 2; i++) {
		while (nng.recv(socket, &back, &got, NNG_FLAG_ALLOC | NNG_FLAG_NONBLOCK) == NNG_EAGAIN)
			breathe(f);
		assert_int_equal(got, n + 1);
		assert_memory_equal(back, "xbbb", 4);
		nng.free(back, got);
	}
	breathe(f);
	assert_int_equal(oc_transport_unsent(f->transport, NULL), 0);
	(void)nng.close(socket);
	free(big);
}

static void may_be_closed_by_what_it_tells(void **state)
{
	fixture *f = *state;
	nng_socket socket = guest(f);
	char text[] = "one";
	f->close_at_message = true;
	for (int i = 0; i < 20; i++)
		assert_int_equal(nng.send(socket, text, 3, 0), 0);
	run_loop(f->loop, f->owner);
	assert_null(f->transport);
	assert_int_equal(f->messages, 1);
	assert_int_equal(nng.close(socket), 0);
}

/* A guest that says other bytes. why: what it is told to have done. */
static void say(fixture *f, const char *bytes, size_t n, const char *why)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	memcpy(at.sun_path, f->path, strlen(f->path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	while (f->why[0] == 0)
		run_loop(f->loop, f->owner);
	assert_string_equal(f->why, why);
	(void)close(fd);
}

static void another_protocol_is_refused(void **state)
{
	say(*state, "GET / HTTP/1.1\r\n", 16, "it does not speak nng's pair1");
}

static void an_endless_message_is_refused(void **state)
{
	say(*state, OC_SP_GREETING "\1\0\0\0\0\x7f\xff\xff\xff\0\0\0\1", OC_SP_GREETING_BYTES + OC_SP_HEAD, "it announced a message longer than may be");
}

static void an_impossible_hop_count_is_refused(void **state)
{
	say(*state, OC_SP_GREETING "\1\0\0\0\0\0\0\0\4\1\0\0\1", OC_SP_GREETING_BYTES + OC_SP_HEAD, "it sent a message with an impossible hop count");
}

/* nng's own reaction to bytes it does not know is not ours to test: only that its functions are there. */
static bool load(void)
{
	void *lib = dlopen("libnng.so.1", RTLD_NOW | RTLD_LOCAL);
	void *symbols[] = {lib != NULL ? dlsym(lib, "nng_pair1_open") : NULL, lib != NULL ? dlsym(lib, "nng_dial") : NULL,
			   lib != NULL ? dlsym(lib, "nng_send") : NULL, lib != NULL ? dlsym(lib, "nng_recv") : NULL,
			   lib != NULL ? dlsym(lib, "nng_socket_set_ms") : NULL, lib != NULL ? dlsym(lib, "nng_socket_set_size") : NULL,
			   lib != NULL ? dlsym(lib, "nng_close") : NULL, lib != NULL ? dlsym(lib, "nng_free") : NULL};
	_Static_assert(sizeof(symbols) == sizeof(nng), "one each");
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (symbols[i] == NULL)
			return false;
	memcpy(&nng, symbols, sizeof(nng));
	return true;
}

int main(void)
{
	if (!load()) {
		printf("1..0 # SKIP no libnng here\n");
		return 0;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(libnng_is_understood_and_understands, setup, teardown),
		cmocka_unit_test_setup_teardown(big_messages_go_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(may_be_closed_by_what_it_tells, setup, teardown),
		cmocka_unit_test_setup_teardown(another_protocol_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_endless_message_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_impossible_hop_count_is_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
