/* ipc-bridge/peer over both transports, against a real Node process that speaks the same protocol in plain JavaScript. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "ipc-bridge/peer.h"
#include "ipc-bridge/use.h"
#include "tests/unit/loop_test.h"

typedef struct fixture {
	oc_transport_kind kind;
	oc_loop *loop;
	oc_owner *owner;
	oc_peer *peer;
	char path[80];
	pid_t child;
	bool ready;
	char closed[256];
	unsigned events, done, asked;
	oc_status status;
	char *result;
} fixture;

static void on_ready(void *arg, oc_str hello)
{
	fixture *f = arg;
	assert_true(oc_str_has(hello, "\"runtime\":\"node\""));
	f->ready = true;
	oc_loop_stop(f->loop);
}

static void on_call(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	fixture *f = arg;
	(void)deadline_ms;
	assert_true(oc_str_eqz(name, "runtime"));
	f->asked++;
	if (oc_str_has(payload, "bad"))
		oc_peer_answer(f->peer, id, OC_E_DENIED, OC_STR("no \"such\" thing"));
	else
		oc_peer_answer(f->peer, id, OC_OK, OC_STR("{\"answer\":42}"));
}

static void on_notify(void *arg, oc_str name, oc_str payload)
{
	(void)arg;
	(void)name;
	(void)payload;
}

static void on_closed(void *arg, const char *why)
{
	fixture *f = arg;
	(void)snprintf(f->closed, sizeof(f->closed), "%s", why);
	oc_loop_stop(f->loop);
}

static const oc_peer_events events = {on_ready, on_call, NULL, on_notify, on_closed};

/* Starts the peer and the Node process with one more variable. */
static void start(fixture *f, const char *secret, const char *variable)
{
	oc_err err = {0};
	const char *src = getenv("OC_TOP_SRCDIR");
	oc_peer_options options = {.name = "test", .path = f->path, .secret = "open sesame", .version = "0", .transport = f->kind, .events = &events, .arg = f};
	assert_non_null(src);
	assert_int_equal(oc_peer_open(f->loop, &options, &f->peer, &err), OC_OK);
	f->child = fork();
	if (f->child == 0) {
		char script[512];
		(void)snprintf(script, sizeof(script), "%s/tests/unit/bridge_peer.js", src);
		(void)setenv("BRIDGE_SOCKET", f->path, 1);
		(void)setenv("BRIDGE_SECRET", secret, 1);
		if (variable != NULL)
			(void)setenv(variable, "1", 1);
		(void)execlp("node", "node", script, (char *)NULL);
		_exit(127);
	}
	run_loop(f->loop, f->owner);
}

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof(*f));
	oc_err err = {0};
	static int n;
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	(void)snprintf(f->path, sizeof(f->path), "/tmp/oc-bridge-%d-%d", (int)getpid(), n++);
	*state = f;
	return 0;
}

static int setup_nng(void **state)
{
	int failed = setup(state);
	((fixture *)*state)->kind = OC_TRANSPORT_NNG;
	return failed;
}

static int teardown(void **state)
{
	fixture *f = *state;
	oc_peer_close(f->peer);
	if (f->child > 0)
		(void)waitpid(f->child, NULL, 0);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(access(f->path, F_OK), -1);
	free(f->result);
	free(f);
	return 0;
}

static void on_event(void *arg, uint32_t type, oc_str payload)
{
	fixture *f = arg;
	(void)type;
	assert_true(oc_str_starts(payload, "{\"i\":"));
	f->events++;
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	fixture *f = arg;
	f->done++;
	f->status = status;
	free(f->result);
	f->result = strndup(result.p, result.n);
	oc_loop_stop(f->loop);
}

static uint32_t begin(fixture *f, const char *method, oc_str payload, uint32_t deadline_ms)
{
	uint32_t id = 0;
	assert_int_equal(oc_peer_call_start(f->peer, &(oc_peer_call){.method = method, .payload = payload, .deadline_ms = deadline_ms,
								    .on_event = on_event, .on_done = on_done, .arg = f}, &id), OC_OK);
	assert_int_not_equal(id, 0);
	return id;
}

static void call(fixture *f, const char *method, const char *payload)
{
	unsigned before = f->done;
	(void)begin(f, method, oc_str_of(payload), 5000);
	run_loop(f->loop, f->owner);
	assert_int_equal(f->done, before + 1);
}

static void calls_go_both_ways(void **state)
{
	fixture *f = *state;
	start(f, "open sesame", NULL);
	assert_true(f->ready);
	assert_int_equal(access(f->path, F_OK), -1); /* nobody else can come */
	call(f, "echo", "{\"a\":[1,\"\\u00e9\"]}");
	assert_int_equal(f->status, OC_OK);
	assert_string_equal(f->result, "{\"a\":[1,\"\303\251\"]}");
	call(f, "count", "{\"to\":5}");
	assert_int_equal(f->events, 5);
	assert_string_equal(f->result, "{\"counted\":5}");
	call(f, "fail", "{}");
	assert_int_equal(f->status, OC_E_NOT_FOUND);
	assert_string_equal(f->result, "it is broken");
	call(f, "nothing", "{}");
	assert_int_equal(f->status, OC_E_UNSUPPORTED);
	call(f, "ask", "{\"question\":\"good\"}");
	assert_string_equal(f->result, "{\"answer\":42}");
	call(f, "ask", "{\"question\":\"bad\"}");
	assert_int_equal(f->status, OC_E_DENIED);
	assert_string_equal(f->result, "no \"such\" thing");
	assert_int_equal(f->asked, 2);
}

static void big_messages_pass(void **state)
{
	fixture *f = *state;
	start(f, "open sesame", NULL);
	size_t n = 8 << 20;
	char *text = malloc(n);
	memset(text, 'x', n);
	text[0] = text[n - 1] = '"';
	(void)begin(f, "echo", (oc_str){text, n}, 10000);
	(void)begin(f, "echo", (oc_str){text, n}, 10000);
	while (f->done < 2)
		run_loop(f->loop, f->owner);
	assert_int_equal(f->status, OC_OK);
	assert_int_equal(strlen(f->result), n);
	free(text);
}

static void many_calls_overlap(void **state)
{
	fixture *f = *state;
	start(f, "open sesame", NULL);
	for (int i = 0; i < 2000; i++) {
		uint32_t id;
		oc_status status = oc_peer_call_start(f->peer, &(oc_peer_call){.method = "echo", .payload = OC_STR("1"), .on_done = on_done, .arg = f}, &id);
		assert_true(status == OC_OK || status == OC_E_LIMIT);
		if (status == OC_E_LIMIT) { /* back-pressure: it takes more when it has read */
			run_loop(f->loop, f->owner);
			i--;
		}
	}
	while (f->done < 2000)
		run_loop(f->loop, f->owner);
}

static void deadlines_and_cancels_reach_the_guest(void **state)
{
	fixture *f = *state;
	start(f, "open sesame", NULL);
	(void)begin(f, "wait", OC_STR("{}"), 50);
	run_loop(f->loop, f->owner);
	assert_int_equal(f->status, OC_E_TIMEOUT);
	uint32_t id = begin(f, "wait", OC_STR("{}"), 0);
	oc_peer_cancel(f->peer, id);
	run_loop(f->loop, f->owner);
	assert_int_equal(f->status, OC_OK);
	call(f, "cancelled", "{}");
	assert_string_equal(f->result, "{\"cancelled\":2}");
	assert_int_equal(f->done, 3);
}

static void its_end_ends_its_calls(void **state)
{
	fixture *f = *state;
	start(f, "open sesame", NULL);
	(void)begin(f, "wait", OC_STR("{}"), 0);
	(void)begin(f, "exit", OC_STR("{}"), 0);
	while (f->closed[0] == 0)
		run_loop(f->loop, f->owner);
	assert_int_equal(f->done, 2);
	assert_int_equal(f->status, OC_E_RETRY);
	assert_false(oc_peer_ready(f->peer));
	assert_int_equal(oc_peer_call_start(f->peer, &(oc_peer_call){.method = "echo"}, NULL), OC_E_UNAVAILABLE);
}

static void a_wrong_secret_is_refused(void **state)
{
	fixture *f = *state;
	start(f, "open", NULL);
	assert_false(f->ready);
	assert_string_equal(f->closed, "its hello has a wrong secret");
}

static void garbage_is_refused(void **state)
{
	fixture *f = *state;
	start(f, "open sesame", "BRIDGE_GARBAGE");
	assert_false(f->ready);
	assert_true(strstr(f->closed, "frame") != NULL);
}

static void can_be_closed_while_it_listens(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	oc_peer_options options = {.name = "test", .path = f->path, .secret = "s", .version = "0", .transport = f->kind, .events = &events, .arg = f};
	assert_int_equal(oc_peer_open(f->loop, &options, &f->peer, &err), OC_OK);
	assert_int_equal(access(f->path, F_OK), 0);
}

/* ---- What its processes use (use.h) ---- */

static void who_computes_in_slices_is_busy_whatever_else_runs(void **state)
{
	oc_busy busy = {0};
	oc_use use = {.cpu_ms = 100};
	(void)state;
	assert_int_equal(oc_busy_look(&busy, &use, 3000), 0); /* the first says nothing */
	for (unsigned i = 1; i <= 3; i++) {
		use.cpu_ms += 2750;
		assert_int_equal(oc_busy_look(&busy, &use, 3000), i);
	}
	use.cpu_ms += 1500; /* the other half it stood in line */
	use.queued_ms += 1300;
	assert_int_equal(oc_busy_look(&busy, &use, 3000), 4);
	use.cpu_ms += 2600; /* it paused */
	assert_int_equal(oc_busy_look(&busy, &use, 3000), 0);
	use.cpu_ms += 100; /* hardly anything to do, on a machine that has no time */
	use.queued_ms += 2900;
	assert_int_equal(oc_busy_look(&busy, &use, 3000), 0);
	use = (oc_use){.cpu_ms = 50}; /* another process */
	assert_int_equal(oc_busy_look(&busy, &use, 3000), 0);
}

static void a_child_of_a_child_counts(void **state)
{
	oc_use before = {0}, use = {0};
	(void)state;
	char list[64];
	(void)snprintf(list, sizeof(list), "/proc/self/task/%d/children", (int)getpid());
	if (access(list, R_OK) != 0)
		skip(); /* this kernel does not say who is whose */
	pid_t child = fork();
	(void)setpgid(child, child);
	if (child == 0) {
		(void)setpgid(0, 0);
		if (fork() == 0) {
			for (volatile unsigned i = 0;; i = i + 1)
				if (i % 50000000 == 0)
					(void)usleep(1000);
		}
		(void)pause();
	}
	while (before.processes < 2)
		before = (oc_use){0}, oc_use_add(child, &before);
	while (use.cpu_ms < before.cpu_ms + 50) /* the test's time limit ends it */
		use = (oc_use){0}, oc_use_add(child, &use);
	assert_int_equal(use.processes, 2);
	assert_true(use.memory > 0);
	(void)kill(-child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

int main(void)
{
	if (system("node --version >/dev/null 2>&1") != 0) {
		printf("1..0 # SKIP no node here\n");
		return 0;
	}
#define BOTH(test) {#test " over the loop", test, setup, teardown, NULL}, {#test " over libnng", test, setup_nng, teardown, NULL}
	const struct CMUnitTest tests[] = {
		BOTH(calls_go_both_ways),
		BOTH(big_messages_pass),
		BOTH(many_calls_overlap),
		BOTH(deadlines_and_cancels_reach_the_guest),
		BOTH(its_end_ends_its_calls),
		BOTH(a_wrong_secret_is_refused),
		BOTH(garbage_is_refused),
		BOTH(can_be_closed_while_it_listens),
		cmocka_unit_test(who_computes_in_slices_is_busy_whatever_else_runs),
		cmocka_unit_test(a_child_of_a_child_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
