/* Unit tests of core/gateway/notify.c: systemd hears what it must, nobody else is bothered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/gateway/notify.h"

static int manager(struct sockaddr_un *addr, socklen_t n)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)addr, n), 0);
	return fd;
}

static void a_path_socket_hears_it(void **state)
{
	(void)state;
	char dir[] = "/tmp/t_notify.XXXXXX", text[64] = "";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	assert_non_null(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s/n", dir);
	int fd = manager(&addr, sizeof addr);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	oc_notify("READY=1");
	assert_int_equal(recv(fd, text, sizeof text - 1, 0), 7);
	assert_string_equal(text, "READY=1");
	close(fd);
	unlink(addr.sun_path);
	rmdir(dir);
	oc_notify("STOPPING=1"); /* nobody listens any more: no error, no signal */
}

static void an_abstract_socket_hears_it(void **state)
{
	(void)state;
	char name[64], text[64] = "";
	int n = snprintf(name, sizeof name, "@t_notify_%d", (int)getpid());
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	memcpy(addr.sun_path + 1, name + 1, (size_t)n - 1);
	int fd = manager(&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n));
	setenv("NOTIFY_SOCKET", name, 1);
	oc_notify("STOPPING=1");
	assert_int_equal(recv(fd, text, sizeof text - 1, 0), 10);
	assert_string_equal(text, "STOPPING=1");
	close(fd);
}

static void odd_values_are_ignored(void **state)
{
	(void)state;
	char longname[300];
	memset(longname, '/', sizeof longname - 1);
	longname[sizeof longname - 1] = 0;
	unsetenv("NOTIFY_SOCKET");
	oc_notify("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	oc_notify("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	oc_notify("READY=1");
	setenv("NOTIFY_SOCKET", longname, 1);
	oc_notify("READY=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_socket_hears_it),
		cmocka_unit_test(an_abstract_socket_hears_it),
		cmocka_unit_test(odd_values_are_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
