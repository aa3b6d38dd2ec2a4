/* A server under test and raw sockets that talk to it, on one thread: the loop turns while a client reads or writes. */
#ifndef OC_TESTS_NET_TEST_H
#define OC_TESTS_NET_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/loop/loop.h"
#include "core/net/server.h"

typedef struct net_fixture {
	oc_loop *loop;
	oc_owner *owner;
	oc_http_server *server;
	oc_http_server_options options;
	unsigned long live;
	uint16_t port;
	char dir[64];
} net_fixture;

static inline void net_turn(net_fixture *f)
{
	(void)uv_run(oc_loop_uv(f->loop), UV_RUN_NOWAIT);
}

/* Turns the loop for some time. */
static inline void net_wait(net_fixture *f, uint64_t ms)
{
	uint64_t until = oc_now_ms() + ms;

	do {
		net_turn(f);
		usleep(200);
	} while (oc_now_ms() < until);
}

/* Turns the loop until *flag, at most five seconds. */
#define NET_UNTIL(f, condition)                                                    \
	do {                                                                       \
		uint64_t net_deadline = oc_now_ms() + 5000;                        \
		while (!(condition)) {                                             \
			if (oc_now_ms() > net_deadline)                            \
				fail_msg("did not come true in time: " #condition); \
			net_turn(f);                                               \
			usleep(100);                                               \
		}                                                                  \
	} while (0)

static inline int net_connect(const net_fixture *f)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static inline void net_send(net_fixture *f, int fd, const void *p, size_t n)
{
	const char *at = p;
	uint64_t deadline = oc_now_ms() + 10000;

	while (n > 0) {
		ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);

		if (sent > 0) {
			at += sent;
			n -= (size_t)sent;
		} else if (errno != EAGAIN) {
			return; /* the server closed: the test reads why */
		}
		net_turn(f);
		if (oc_now_ms() > deadline)
			fail_msg("the server takes no more bytes");
	}
}

#define NET_SEND(f, fd, literal) net_send(f, fd, "" literal, sizeof(literal) - 1)

/* Reads until the end of the stream, or until the text `until` came (NULL: only the end). Returns a NUL-terminated copy. */
static inline char *net_read(net_fixture *f, int fd, const char *until, size_t *ret_n)
{
	size_t n = 0, cap = 1 << 16;
	char *text = malloc(cap);
	uint64_t deadline = oc_now_ms() + 10000;

	assert_non_null(text);
	text[0] = 0;
	for (;;) {
		ssize_t got;

		if (cap - n < 65536) {
			cap *= 2;
			text = realloc(text, cap);
			assert_non_null(text);
		}
		got = recv(fd, text + n, cap - n - 1, 0);
		if (got > 0) {
			n += (size_t)got;
			text[n] = 0;
			if (until != NULL && memmem(text, n, until, strlen(until)) != NULL)
				break;
			continue;
		}
		if (got == 0 || errno != EAGAIN)
			break;
		net_turn(f);
		usleep(50);
		if (oc_now_ms() > deadline)
			fail_msg("no end of the answer; so far: %.300s", text);
	}
	if (ret_n != NULL)
		*ret_n = n;
	return text;
}

static inline int net_status(const char *answer)
{
	return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

/* How often b is in a. */
static inline int net_count(const char *a, const char *b)
{
	int n = 0;

	while ((a = strstr(a, b)) != NULL) {
		n++;
		a += strlen(b);
	}
	return n;
}

/* One exchange on a connection of its own, sent in pieces of `step` bytes. */
static inline char *net_talk(net_fixture *f, const char *p, size_t n, size_t step)
{
	int fd = net_connect(f);
	char *answer;

	for (size_t i = 0; i < n; i += step) {
		net_send(f, fd, p + i, n - i < step ? n - i : step);
		net_turn(f);
	}
	answer = net_read(f, fd, NULL, NULL);
	close(fd);
	return answer;
}

static inline net_fixture *net_setup(const oc_http_server_options *options)
{
	net_fixture *f = calloc(1, sizeof(*f));
	oc_err err = {0};
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	f->live = oc_mem_live();
	f->options = *options;
	snprintf(f->dir, sizeof(f->dir), "%.40s/ocn.XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	assert_int_equal(oc_http_server_new(f->loop, &f->options, &f->server, &err), OC_OK);
	assert_int_equal(oc_http_server_listen_tcp(f->server, "127.0.0.1", 0, NULL, &f->port, &err), OC_OK);
	return f;
}

static inline void net_teardown(net_fixture *f)
{
	oc_http_server_free(f->server);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	(void)rmdir(f->dir);
	/* Nothing is left behind, whatever the test did. */
	assert_int_equal(oc_mem_live(), f->live);
	free(f);
}

#endif
