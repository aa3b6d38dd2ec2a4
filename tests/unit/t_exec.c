/*
 * The exec module as the gateway uses it: its .so through the registry, the real process service, the real sandbox.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "core/module/call.h"
#include "core/security/process.h"
#include "tests/unit/tree.h"

typedef struct answer {
	int done;
	oc_status status;
	cJSON *result;
	char text[300000], error[1000], progress[5000];
	size_t n_progress;
} answer;

typedef struct world {
	oc_loop *loop;
	oc_owner *owner;
	oc_hooks *hooks;
	oc_config *config;
	oc_procs *procs;
	oc_modules *modules;
	unsigned long live;
	char top[200], state[250], workspace[250];
	answer a, b; /* of the first and of a second call at the same time */
	int started;
} world;

static oc_owner *owner_of(oc_self *self)
{
	return oc_module_owner(self);
}

static void on_started(void *arg, unsigned started, unsigned failed)
{
	world *w = arg;

	w->started = failed == 0 && started > 0 ? (int)started : -1;
	oc_loop_stop(w->loop);
}

static int setup(void **state)
{
	world *w = calloc(1, sizeof(*w));
	oc_procs_options rules = {.level = OC_SANDBOX_STRICT};
	const char *open[2] = {NULL, NULL};
	oc_modules_options o = {0};
	char modules[500];
	oc_err err = {0};

	w->live = oc_mem_live();
	(void)snprintf(w->top, sizeof(w->top), "%s/exec.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(w->top));
	(void)snprintf(w->state, sizeof(w->state), "%s/state", w->top);
	(void)snprintf(w->workspace, sizeof(w->workspace), "%s/state/workspace", w->top);
	assert_int_equal(mkdir(w->state, 0700) | mkdir(w->workspace, 0700), 0);
	assert_int_equal(oc_loop_new(&w->loop, NULL), OC_OK);
	w->owner = oc_owner_new(w->loop, "test");
	assert_int_equal(oc_hooks_new(w->loop, &w->hooks, NULL), OC_OK);
	assert_int_equal(oc_config_load_text(OC_STR("{\"modules\":{\"allow\":[\"exec\"]},\"tools\":{\"exec\":{\"backgroundMs\":1500}}}"),
					     NULL, &w->config, NULL),
			 OC_OK);
	open[0] = w->workspace;
	rules.state_dir = w->state;
	rules.open = open;
	assert_int_equal(oc_procs_new(w->loop, &rules, &w->procs, NULL), OC_OK);
	(void)snprintf(modules, sizeof(modules), "%s/modules/.libs", getenv("OC_TOP_BUILDDIR"));
	o.hooks = w->hooks;
	o.module_dir = modules;
	o.user_dir = "";
	o.search_path = "";
	assert_int_equal(oc_modules_new(w->loop, w->config, &o, &w->modules, NULL), OC_OK);
	assert_int_equal(oc_modules_provide_service(w->modules, OC_SERVICE_PROCESS, 1, 0, oc_process_service(w->procs, owner_of), "exec"),
			 OC_OK);
	assert_int_equal(oc_modules_scan(w->modules, &err), OC_OK);
	oc_modules_start(w->modules, on_started, w);
	while (w->started == 0)
		oc_loop_run(w->loop);
	if (w->started != 1)
		fail_msg("the module did not start from %s", modules);
	*state = w;
	return 0;
}

static void on_stopped(void *arg, unsigned started, unsigned failed)
{
	world *w = arg;

	(void)started;
	(void)failed;
	w->started = 0;
	oc_loop_stop(w->loop);
}

static int teardown(void **state)
{
	world *w = *state;

	oc_modules_stop(w->modules, 2000, on_stopped, w);
	while (w->started != 0)
		oc_loop_run(w->loop);
	oc_modules_free(w->modules);
	oc_procs_free(w->procs);
	oc_hooks_free(w->hooks);
	oc_owner_free(w->owner);
	oc_loop_free(w->loop);
	oc_config_unref(w->config);
	cJSON_Delete(w->a.result);
	cJSON_Delete(w->b.result);
	assert_int_equal(oc_mem_live(), w->live);
	(void)tree_remove(w->top);
	free(w);
	return 0;
}

/* ---- Calls ---- */

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	answer *a = arg;
	size_t n = payload.n < sizeof(a->progress) - 1 - a->n_progress ? payload.n : sizeof(a->progress) - 1 - a->n_progress;

	assert_int_equal(type, OC_EV_PROGRESS);
	memcpy(a->progress + a->n_progress, payload.p, n);
	a->n_progress += n;
	a->progress[a->n_progress] = 0;
	return OC_OK;
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	answer *a = arg;
	const cJSON *item;

	a->done++;
	a->status = status;
	a->text[0] = 0;
	if (status != OC_OK) {
		(void)snprintf(a->error, sizeof(a->error), "%.*s", OC_STR_ARG(result));
		return;
	}
	cJSON_Delete(a->result);
	a->result = NULL;
	assert_int_equal(oc_json_parse(result, NULL, &a->result, NULL), OC_OK); /* the host's wall takes it */
	item = cJSON_GetArrayItem(oc_json_get(a->result, "content"), 0);
	assert_string_equal(oc_json_str(item, "type", ""), "text");
	(void)snprintf(a->text, sizeof(a->text), "%s", oc_json_str(item, "text", "?"));
}

static oc_call *begin_as(world *w, answer *a, const char *session, const char *tool, const char *args)
{
	oc_call_options o = {.owner = w->owner, .on_event = on_event, .on_done = on_done, .arg = a, .deadline_ms = 60000};
	oc_tool_info info;
	oc_call *call = NULL;
	char context[600];

	a->done = 0;
	a->n_progress = 0;
	a->progress[0] = 0;
	(void)snprintf(context, sizeof(context),
		       "{\"session\":\"%s\",\"agent\":\"main\",\"run\":\"r\",\"workspace\":\"%s\",\"callId\":\"c\",\"sandbox\":\"strict\"}",
		       session, w->workspace);
	assert_true(oc_modules_tool(w->modules, oc_str_of(tool), &info));
	assert_int_equal(oc_tool_invoke(info.guest, oc_str_of(tool), oc_str_of(args), oc_str_of(context), &o, &call), OC_OK);
	return call;
}

static void stop_loop(void *arg)
{
	oc_loop_stop(arg);
}

static void wait_done(world *w, answer *a)
{
	oc_watch *t = oc_timer_start(w->owner, 10, 10, stop_loop, w->loop);
	uint64_t end = oc_now_ms() + 30000;

	while (a->done == 0 && oc_now_ms() < end)
		oc_loop_run(w->loop);
	oc_watch_end(t);
	assert_int_equal(a->done, 1);
}

static void run_for(world *w, uint64_t ms)
{
	oc_watch *t = oc_timer_start(w->owner, ms, 0, stop_loop, w->loop);

	oc_loop_run(w->loop);
	oc_watch_end(t);
}

/* Calls a tool of session "s" and waits. */
static const char *tool(world *w, const char *name, const char *args)
{
	(void)begin_as(w, &w->a, "s", name, args);
	wait_done(w, &w->a);
	assert_int_equal(w->a.status, OC_OK);
	return w->a.text;
}

static bool is_error(const world *w)
{
	return oc_json_bool(w->a.result, "isError", false);
}

static const char *detail(const world *w, const char *name)
{
	return oc_json_str(oc_json_get(w->a.result, "details"), name, "");
}

static const char *with_id(const char *format, const char *id)
{
	static char text[500];
	const char *mark = strchr(format, '@');

	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark - format), format, id, mark + 1);
	return text;
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in \"%.800s\"", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" is in \"%.800s\"", part, text);
}

/* ---- Foreground ---- */

static void test_foreground(void **state)
{
	world *w = *state;

	assert_string_equal(tool(w, "exec", "{\"command\":\"echo hello; echo err >&2; pwd\"}"), with_id("hello\nerr\n@", w->workspace));
	assert_false(is_error(w));
	assert_string_equal(detail(w, "status"), "completed");
	assert_string_equal(w->a.progress, with_id("hello\nerr\n@\n", w->workspace));
	assert_string_equal(tool(w, "exec", "{\"command\":\"true\"}"), "(no output)");
	assert_string_equal(tool(w, "exec", "{\"command\":\"echo no; exit 3\"}"), "no\n\nThe command ended with exit code 3.");
	assert_false(is_error(w));
	assert_int_equal(oc_json_i64(oc_json_get(w->a.result, "details"), "exitCode", -1), 3);
	has(tool(w, "exec", "{\"command\":\"kill -SEGV $$\"}"), "ended by signal 11 (SIGSEGV: ");
	assert_true(is_error(w));
	assert_string_equal(detail(w, "exitSignal"), "SIGSEGV");
	assert_string_equal(detail(w, "status"), "failed");
	has(tool(w, "exec", "{\"command\":\"echo a; sleep 20\",\"timeout\":0.4}"), "a\n\nThe command was ended after 0 seconds");
	assert_true(is_error(w));
	assert_string_equal(tool(w, "exec", "{\"command\":\"echo $A\",\"env\":{\"A\":\"x y\"}}"), "x y");
	(void)tool(w, "exec", "{\"command\":\"mkdir sub && echo in > sub/f\"}");
	assert_string_equal(tool(w, "exec", "{\"command\":\"cat f\",\"workdir\":\"sub\"}"), "in");
	assert_string_equal(tool(w, "exec", "{\"command\":\"cat\"}"), "(no output)"); /* no input, no waiting */
	assert_string_equal(tool(w, "exec", "{\"command\":\"printf '\\\\033[31mred\\\\033[0m \\\\377 \\\\0'\"}"), "red \xef\xbf\xbd ");
	has(tool(w, "exec", "{\"command\":\"tty; echo $TERM\",\"pty\":true}"), "/dev/pts/");
}

static void test_refusals(void **state)
{
	world *w = *state;

	has(tool(w, "exec", "{\"command\":\"  \"}"), "empty");
	assert_true(is_error(w));
	has(tool(w, "exec", "{\"command\":\"id\",\"elevated\":true}"), "elevated");
	has(tool(w, "exec", "{\"command\":\"id\",\"host\":\"gateway\"}"), "sandbox only");
	has(tool(w, "exec", "{\"command\":\"id\",\"env\":{\"A=B\":\"1\"}}"), "env");
	has(tool(w, "exec", "{\"command\":\"id\",\"workdir\":\"/nonexistent\"}"), "could not be run: ");
	assert_true(is_error(w));
	has(w->a.text, "/nonexistent");
	has(tool(w, "process", "{\"action\":\"dance\"}"), "no action");
	has(tool(w, "process", "{\"action\":\"poll\"}"), "sessionId");
	has(tool(w, "process", "{\"action\":\"poll\",\"sessionId\":\"nope\"}"), "no background session \"nope\"");
	has(tool(w, "process", "{\"action\":\"list\"}"), "No commands run");
}

/* The state folder with its keys is out of reach, the workspace inside it is not. */
static void test_contained(void **state)
{
	world *w = *state;
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/openclaw.json", w->state);
	assert_int_equal(oc_path_write(path, "sk-secret", 9, 0600, NULL), OC_OK);
	(void)tool(w, "exec", "{\"command\":\"cat ../openclaw.json; ls -a ..; cat $(find / -name openclaw.json 2>/dev/null)\"}");
	lacks(w->a.text, "sk-secret");
	(void)tool(w, "exec", "{\"command\":\"ln -s ../openclaw.json l; cat l; echo x > ../new; echo x >> ../openclaw.json; touch ok\"}");
	lacks(w->a.text, "sk-secret");
	(void)snprintf(path, sizeof(path), "%s/new", w->state);
	assert_false(oc_path_exists(path));
	(void)snprintf(path, sizeof(path), "%s/ok", w->workspace);
	assert_true(oc_path_exists(path));
	has(tool(w, "exec", "{\"command\":\"exec 3<>/dev/tcp/127.0.0.1/22\"}"), "exit code 1");
	has(tool(w, "exec", "{\"command\":\"cat /proc/1/environ | tr '\\\\0' '\\\\n'; env\"}"), "HOME=");
	lacks(w->a.text, "OC_TOP_BUILDDIR");
}

static void test_much_output(void **state)
{
	world *w = *state;
	size_t n;

	n = strlen(tool(w, "exec", "{\"command\":\"echo first; yes | head -c 3000000; echo last\"}"));
	assert_in_range(n, 199000, 200100);
	has(w->a.text, "first\ny\n");
	has(w->a.text, "bytes left out");
	assert_string_equal(w->a.text + n - 4, "last");
}

/* ---- Background ---- */

static void test_yield(void **state)
{
	world *w = *state;
	char id[20];

	has(tool(w, "exec", "{\"command\":\"echo one; sleep 1; echo two; sleep 0.5; echo three; exit 5\",\"yieldMs\":400}"),
	    "still running, in the background");
	has(w->a.text, "one");
	assert_string_equal(detail(w, "status"), "running");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	assert_int_equal(strlen(id), 6);
	has(tool(w, "process", "{\"action\":\"list\"}"), id);
	has(w->a.text, "running");
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\"}", id)), "(no new output)");
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\",\"timeout\":20000}", id)), "two\nthree\n");
	has(w->a.text, "exit code 5");
	lacks(w->a.text, "one");
	has(tool(w, "process", with_id("{\"action\":\"log\",\"sessionId\":\"@\"}", id)), "one\ntwo\nthree\n");
	assert_string_equal(tool(w, "process", with_id("{\"action\":\"log\",\"sessionId\":\"@\",\"offset\":1,\"limit\":1}", id)), "two\n");
	has(tool(w, "process", with_id("{\"action\":\"kill\",\"sessionId\":\"@\"}", id)), "ended already");
	has(tool(w, "process", with_id("{\"action\":\"write\",\"sessionId\":\"@\",\"data\":\"x\"}", id)), "ended already");
	has(tool(w, "process", with_id("{\"action\":\"clear\",\"sessionId\":\"@\"}", id)), "Forgotten");
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\"}", id)), "no background session");
}

static void test_input(void **state)
{
	world *w = *state;
	char id[20];

	has(tool(w, "exec", "{\"command\":\"while read x; do echo got $x; done; echo eof\",\"background\":true}"), "background");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	(void)tool(w, "process", with_id("{\"action\":\"write\",\"sessionId\":\"@\",\"data\":\"hi\\n\"}", id));
	(void)tool(w, "process", with_id("{\"action\":\"paste\",\"sessionId\":\"@\",\"text\":\"pasted\"}", id));
	(void)tool(w, "process", with_id("{\"action\":\"submit\",\"sessionId\":\"@\"}", id));
	(void)tool(w, "process", with_id("{\"action\":\"send-keys\",\"sessionId\":\"@\",\"literal\":\"keys\",\"hex\":[\"0a\"]}", id));
	has(tool(w, "process", with_id("{\"action\":\"send-keys\",\"sessionId\":\"@\",\"keys\":[\"C-Left\"]}", id)), "no key");
	has(tool(w, "process", with_id("{\"action\":\"write\",\"sessionId\":\"@\",\"data\":\"\",\"eof\":true}", id)), "input closed");
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\",\"timeout\":10000}", id)), "got hi\ngot pasted\ngot keys\neof\n");
	/* One that was not started for it says so. */
	has(tool(w, "exec", "{\"command\":\"sleep 20\",\"yieldMs\":50}"), "background");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	has(tool(w, "process", with_id("{\"action\":\"write\",\"sessionId\":\"@\",\"data\":\"x\"}", id)), "without input");
}

static void test_terminal(void **state)
{
	world *w = *state;
	char id[20];

	has(tool(w, "exec", "{\"command\":\"cat\",\"background\":true,\"pty\":true}"), "background");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	(void)tool(w, "process", with_id("{\"action\":\"send-keys\",\"sessionId\":\"@\",\"keys\":[\"abc\",\"Enter\"]}", id));
	run_for(w, 200);
	(void)tool(w, "process", with_id("{\"action\":\"send-keys\",\"sessionId\":\"@\",\"keys\":[\"C-d\"]}", id));
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\",\"timeout\":10000}", id)), "abc\nabc\n");
}

static void test_kill(void **state)
{
	world *w = *state;
	char id[20];

	(void)tool(w, "exec", "{\"command\":\"while :; do date >> beat; sleep 0.02; done\",\"background\":true}");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	has(tool(w, "process", with_id("{\"action\":\"clear\",\"sessionId\":\"@\"}", id)), "still running");
	has(tool(w, "process", with_id("{\"action\":\"kill\",\"sessionId\":\"@\"}", id)), "told to end");
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\",\"timeout\":8000}", id)), "ended on request");
	(void)tool(w, "exec", "{\"command\":\"sleep 30\",\"background\":true}");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	has(tool(w, "process", with_id("{\"action\":\"remove\",\"sessionId\":\"@\"}", id)), "Ended and forgotten");
	lacks(tool(w, "process", "{\"action\":\"list\"}"), id);
	for (int i = 0; i < 200 && oc_procs_count(w->procs) > 0; i++)
		run_for(w, 50);
	assert_int_equal(oc_procs_count(w->procs), 0);
}

static void test_fails_at_once(void **state)
{
	world *w = *state;

	has(tool(w, "exec", "{\"command\":\"no-such-command-here\",\"background\":true}"), "exit code 127");
	assert_string_equal(detail(w, "status"), "completed");
}

/* One conversation's commands are none of another's business, and go with it. */
static void test_sessions(void **state)
{
	world *w = *state;
	char id[20];

	(void)tool(w, "exec", "{\"command\":\"sleep 30\",\"background\":true}");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	(void)begin_as(w, &w->b, "other", "process", with_id("{\"action\":\"kill\",\"sessionId\":\"@\"}", id));
	wait_done(w, &w->b);
	has(w->b.text, "no background session");
	(void)begin_as(w, &w->b, "other", "process", "{\"action\":\"list\"}");
	wait_done(w, &w->b);
	has(w->b.text, "No commands run");
	oc_modules_session_end(w->modules, OC_STR("{\"session\":\"other\"}"));
	run_for(w, 200);
	assert_int_equal(oc_procs_count(w->procs), 1);
	oc_modules_session_end(w->modules, OC_STR("{\"session\":\"s\"}"));
	for (int i = 0; i < 200 && oc_procs_count(w->procs) > 0; i++)
		run_for(w, 50);
	assert_int_equal(oc_procs_count(w->procs), 0);
	has(tool(w, "process", "{\"action\":\"list\"}"), "No commands run");
}

static void test_cancel(void **state)
{
	world *w = *state;
	char id[20];
	oc_call *call = begin_as(w, &w->a, "s", "exec", "{\"command\":\"echo a; sleep 30\"}");

	run_for(w, 200);
	assert_int_equal(w->a.done, 0);
	oc_call_cancel(call);
	wait_done(w, &w->a);
	assert_int_equal(w->a.status, OC_E_CANCELED);
	for (int i = 0; i < 200 && oc_procs_count(w->procs) > 0; i++)
		run_for(w, 50);
	assert_int_equal(oc_procs_count(w->procs), 0);
	/* A canceled poll leaves the command alone. */
	(void)tool(w, "exec", "{\"command\":\"sleep 30\",\"background\":true}");
	(void)snprintf(id, sizeof(id), "%s", detail(w, "sessionId"));
	call = begin_as(w, &w->b, "s", "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\",\"timeout\":60000}", id));
	run_for(w, 100);
	has(tool(w, "process", with_id("{\"action\":\"poll\",\"sessionId\":\"@\"}", id)), "another poll");
	oc_call_cancel(call);
	wait_done(w, &w->b);
	assert_int_equal(oc_procs_count(w->procs), 1);
}

static void test_parallel(void **state)
{
	world *w = *state;

	(void)begin_as(w, &w->a, "s", "exec", "{\"command\":\"sleep 0.4; echo a\"}");
	(void)begin_as(w, &w->b, "s", "exec", "{\"command\":\"sleep 0.4; echo b\"}");
	wait_done(w, &w->a);
	wait_done(w, &w->b);
	assert_string_equal(w->a.text, "a");
	assert_string_equal(w->b.text, "b");
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONE(test_foreground), ONE(test_refusals), ONE(test_contained), ONE(test_much_output), ONE(test_yield),
		ONE(test_input),      ONE(test_terminal), ONE(test_kill),      ONE(test_fails_at_once), ONE(test_sessions),
		ONE(test_cancel),     ONE(test_parallel),
	};
	oc_sandbox_report report;
	oc_err err = {0};

	oc_log_set_stderr(false);
	if (getenv("OC_STATIC_MODULES") != NULL && getenv("OC_STATIC_MODULES")[0] != 0) {
		(void)puts("1..0 # SKIP the modules are inside the binary");
		return 0;
	}
	if (oc_sandbox_probe(&report, &err) != OC_OK || !report.strict) {
		(void)printf("1..0 # SKIP no strict sandbox on this machine: %s %s\n", err.text, report.problem);
		return 0;
	}
	if (getenv("OC_TEST_ONLY") != NULL)
		cmocka_set_test_filter(getenv("OC_TEST_ONLY"));
	return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}
