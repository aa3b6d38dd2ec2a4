/* core/security/process: output, input, signals, time limits, one end; sweeps; the JSON form and the service. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/security/cgroup.h"
#include "core/security/process.h"

typedef struct world {
	oc_loop *loop;
	oc_owner *owner;
	oc_procs *procs;
	oc_procs_options rules;
	char base[200], state[256];
	unsigned long live;
	oc_proc *proc;
	int exits;
	oc_status status;
	int code, signal;
	char message[900];
	oc_sbuf out, err;
	size_t total;
	const char *until; /* stop the loop when the output has this */
} world;

static void on_output(void *arg, uint32_t stream, oc_str data)
{
	world *w = arg;

	assert_int_equal(w->exits, 0); /* never after the end */
	assert_true(data.n > 0 && data.n <= 64 * 1024);
	w->total += data.n;
	oc_sbuf_str(stream == 2 ? &w->err : &w->out, data);
	if (w->until != NULL && w->out.p != NULL && strstr(w->out.p, w->until) != NULL) {
		w->until = NULL;
		oc_loop_stop(w->loop);
	}
}

static void on_exit_(void *arg, oc_status status, int code, int sig, oc_str message)
{
	world *w = arg;

	w->exits++;
	w->status = status;
	w->code = code;
	w->signal = sig;
	(void)snprintf(w->message, sizeof(w->message), "%.*s", OC_STR_ARG(message));
	oc_loop_stop(w->loop);
}

static int setup(void **state)
{
	world *w = calloc(1, sizeof(*w));
	const char *tmp = getenv("TMPDIR");
	oc_err err = {0};

	w->live = oc_mem_live();
	(void)snprintf(w->base, sizeof(w->base), "%s/process-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->base));
	(void)snprintf(w->state, sizeof(w->state), "%s/state", w->base);
	assert_int_equal(mkdir(w->state, 0700), 0);
	assert_int_equal(oc_loop_new(&w->loop, &err), OC_OK);
	w->owner = oc_owner_new(w->loop, "test");
	w->rules = (oc_procs_options){.level = OC_SANDBOX_STRICT, .state_dir = w->state};
	assert_int_equal(oc_procs_new(w->loop, &w->rules, &w->procs, &err), OC_OK);
	oc_sbuf_init(&w->out, 4 * 1024 * 1024);
	oc_sbuf_init(&w->err, 64 * 1024);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world *w = *state;
	char command[300];
	int rc;

	oc_sbuf_free(&w->out);
	oc_sbuf_free(&w->err);
	oc_procs_free(w->procs);
	oc_owner_free(w->owner);
	oc_loop_free(w->loop);
	assert_int_equal(oc_mem_live(), w->live); /* nothing is left */
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->base);
	rc = system(command);
	free(w);
	return rc;
}

static oc_status start_with(world *w, oc_proc_options *o, const char *script)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL}, *write[] = {w->base, NULL};
	oc_err err = {0};
	oc_status st;

	w->exits = 0;
	oc_sbuf_clear(&w->out);
	oc_sbuf_clear(&w->err);
	w->total = 0;
	o->profile.argv = argv;
	if (o->profile.cwd == NULL) {
		o->profile.cwd = w->base;
		o->profile.write = write;
	}
	o->on_output = on_output;
	o->on_exit = on_exit_;
	o->arg = w;
	st = oc_proc_spawn(w->procs, w->owner, o, &w->proc, &err);
	if (st != OC_OK)
		(void)snprintf(w->message, sizeof(w->message), "%s", err.text);
	assert_int_equal(w->exits, 0); /* never from inside the spawn */
	return st;
}

static void start(world *w, uint32_t flags, uint64_t timeout_ms, const char *script)
{
	oc_proc_options o = {.flags = flags, .timeout_ms = timeout_ms};

	assert_int_equal(start_with(w, &o, script), OC_OK);
}

static void wait_end(world *w)
{
	while (w->exits == 0)
		oc_loop_run(w->loop);
	assert_int_equal(w->exits, 1);
}

static void run(world *w, uint32_t flags, const char *script)
{
	start(w, flags, 20000, script);
	wait_end(w);
}

static void wait_output(world *w, const char *text)
{
	w->until = text;
	while (w->until != NULL && w->exits == 0)
		oc_loop_run(w->loop);
	assert_int_equal(w->exits, 0);
}

static const char *out(const world *w)
{
	return oc_sbuf_view(&w->out).p;
}

/* Lets the loop run for a while. */
static void stop_loop(void *arg)
{
	oc_loop_stop(arg);
}

static void run_for(world *w, uint64_t ms)
{
	oc_watch *t = oc_timer_start(w->owner, ms, 0, stop_loop, w->loop);

	oc_loop_run(w->loop);
	oc_watch_end(t);
}

/* ---- Output and end ---- */

static void test_exit(void **state)
{
	world *w = *state;

	run(w, 0, "echo out; echo err >&2; exit 3");
	assert_int_equal(w->status, OC_OK);
	assert_int_equal(w->code, 3);
	assert_int_equal(w->signal, 0);
	assert_string_equal(out(w), "out\n");
	assert_string_equal(oc_sbuf_view(&w->err).p, "err\n");
	run(w, OC_PROC_MERGE, "echo 1; echo 2 >&2; echo 3");
	assert_string_equal(out(w), "1\n2\n3\n");
	run(w, 0, "kill -SEGV $$");
	assert_int_equal(w->status, OC_OK);
	assert_int_equal(w->signal, SIGSEGV);
	run(w, 0, ":");
	assert_int_equal(w->code, 0);
	run(w, 0, "exec 1>&- 2>&-; sleep 0.2; exit 4");
	assert_int_equal(w->code, 4);
	assert_int_equal(oc_procs_count(w->procs), 0);
}

static void test_not_there(void **state)
{
	world *w = *state;
	const char *argv[] = {"no-such-program", "x", NULL};
	oc_proc_options o = {.profile = {.cwd = "/", .argv = argv}, .on_exit = on_exit_, .arg = w};

	assert_int_equal(oc_proc_spawn(w->procs, w->owner, &o, &w->proc, NULL), OC_OK);
	wait_end(w);
	assert_int_equal(w->status, OC_E_NOT_FOUND);
	assert_int_equal(w->code, 127);
	assert_non_null(strstr(w->message, "no-such-program"));
	w->exits = 0;
	argv[0] = "/etc/passwd";
	assert_int_equal(oc_proc_spawn(w->procs, w->owner, &o, &w->proc, NULL), OC_OK);
	wait_end(w);
	assert_int_equal(w->status, OC_E_DENIED);
	assert_int_equal(w->code, 126);
}

static void test_much_output(void **state)
{
	world *w = *state;

	start(w, 0, 60000, "head -c 30000000 /dev/zero; echo done >&2");
	oc_sbuf_free(&w->out);
	oc_sbuf_init(&w->out, 10); /* too small on purpose: only counted */
	wait_end(w);
	assert_int_equal(w->total, 30000000 + 5);
	assert_int_equal(w->code, 0);
}

static void test_pause(void **state)
{
	world *w = *state;
	size_t before;

	start(w, 0, 20000, "yes");
	wait_output(w, "y\ny\n");
	oc_proc_pause(w->proc, true);
	before = w->total;
	run_for(w, 200);
	assert_int_equal(w->total, before); /* the pipe is full, the writer waits */
	oc_proc_pause(w->proc, false);
	run_for(w, 50);
	assert_true(w->total > before);
	oc_sbuf_free(&w->out);
	assert_int_equal(oc_proc_kill(w->proc, SIGKILL), OC_OK);
	wait_end(w);
	assert_int_equal(w->status, OC_E_CANCELED);
	assert_int_equal(w->signal, SIGKILL);
}

static void test_stdin(void **state)
{
	world *w = *state;
	char block[1024];
	oc_status st = OC_OK;
	size_t n = 0;

	start(w, OC_PROC_STDIN, 20000, "read x; echo got $x; cat; echo end");
	assert_int_equal(oc_proc_write(w->proc, OC_STR("one\n")), OC_OK);
	wait_output(w, "got one\n");
	assert_int_equal(oc_proc_write(w->proc, OC_STR("two\n")), OC_OK);
	assert_int_equal(oc_proc_write(w->proc, OC_STR("three\n")), OC_OK);
	oc_proc_close_stdin(w->proc);
	assert_int_equal(oc_proc_write(w->proc, OC_STR("late")), OC_E_STATE);
	wait_end(w);
	assert_string_equal(out(w), "got one\ntwo\nthree\nend\n");
	/* Without OC_PROC_STDIN there is none. */
	start(w, 0, 20000, "cat; echo eof");
	assert_int_equal(oc_proc_write(w->proc, OC_STR("x")), OC_E_STATE);
	wait_end(w);
	assert_string_equal(out(w), "eof\n");
	/* A reader that does not read: first busy, then full. */
	start(w, OC_PROC_STDIN, 20000, "sleep 30");
	memset(block, 'x', sizeof(block));
	for (; n < 100000 && st != OC_E_LIMIT; n++) {
		st = oc_proc_write(w->proc, oc_str_make(block, sizeof(block)));
		assert_true(st == OC_OK || st == OC_E_BUSY || st == OC_E_LIMIT);
	}
	assert_int_equal(st, OC_E_LIMIT);
	assert_true(n < 6000);
	assert_int_equal(oc_proc_kill(w->proc, SIGKILL), OC_OK);
	wait_end(w);
}

/* ---- Signals and time ---- */

static void test_kill(void **state)
{
	world *w = *state;
	uint64_t began;

	start(w, 0, 20000, "echo ready; sleep 30");
	wait_output(w, "ready");
	assert_true(oc_proc_pid(w->proc) > 0);
	assert_int_equal(oc_proc_kill(w->proc, SIGTERM), OC_OK);
	wait_end(w);
	assert_int_equal(w->status, OC_E_CANCELED);
	assert_int_equal(w->signal, SIGTERM);
	/* One that wants to say goodbye may. */
	start(w, 0, 20000, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
	wait_output(w, "ready");
	assert_int_equal(oc_proc_kill(w->proc, SIGTERM), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "ready\nbye\n");
	assert_int_equal(w->code, 7);
	/* A signal that is no end. */
	start(w, 0, 20000, "trap 'echo usr' USR1; echo ready; while :; do sleep 0.05; done");
	wait_output(w, "ready");
	assert_int_equal(oc_proc_kill(w->proc, SIGUSR1), OC_OK);
	wait_output(w, "usr");
	assert_int_equal(oc_proc_kill(w->proc, 0), OC_E_INVALID);
	assert_int_equal(oc_proc_kill(w->proc, 64), OC_E_INVALID);
	began = oc_now_ms();
	assert_int_equal(oc_proc_kill(w->proc, SIGKILL), OC_OK);
	wait_end(w);
	assert_true(oc_now_ms() - began < 15000);
}

static void test_stubborn(void **state)
{
	world *w = *state;
	uint64_t began;

	start(w, 0, 0, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
	wait_output(w, "ready");
	began = oc_now_ms();
	assert_int_equal(oc_proc_kill(w->proc, SIGTERM), OC_OK);
	wait_end(w);
	assert_in_range(oc_now_ms() - began, 4500, 8000);
	assert_int_equal(w->signal, SIGKILL);
}

static void test_timeout(void **state)
{
	world *w = *state;

	start(w, 0, 1000, "echo ready; sleep 30");
	wait_end(w);
	assert_int_equal(w->status, OC_E_TIMEOUT);
	assert_int_equal(w->signal, SIGTERM);
	assert_string_equal(out(w), "ready\n");
}

/* Whatever was started goes with it: in the background, in its own session, as a daemon. */
static void all_go(world *w, bool kill)
{
	char path[300];
	struct stat before, after;

	(void)snprintf(path, sizeof(path), "%s/beat", w->base);
	start(w, 0, 20000,
	      "(while :; do date >> beat; sleep 0.02; done) & setsid sh -c 'while :; do date >> beat; sleep 0.02; done' "
	      ">/dev/null 2>&1 & (setsid sh -c 'trap \"\" TERM HUP; while :; do date >> beat; sleep 0.02; done' & ); sleep 0.3; "
	      "echo ready; [ -z \"$LONG\" ] || sleep 30");
	if (kill) {
		wait_output(w, "ready");
		assert_int_equal(oc_proc_kill(w->proc, SIGKILL), OC_OK);
	}
	wait_end(w);
	assert_int_equal(stat(path, &before), 0);
	assert_true(before.st_size > 0);
	(void)usleep(200000);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	(void)unlink(path);
}

static void test_nothing_stays(void **state)
{
	world *w = *state;

	all_go(w, false);
	w->rules.level = OC_SANDBOX_OFF;
	assert_int_equal(oc_procs_configure(w->procs, &w->rules, NULL), OC_OK);
	all_go(w, false);
	w->rules.level = OC_SANDBOX_RELAXED;
	w->rules.without = OC_SANDBOX_USERNS | OC_SANDBOX_MOUNTNS | OC_SANDBOX_PIDNS | OC_SANDBOX_NETNS;
	assert_int_equal(oc_procs_configure(w->procs, &w->rules, NULL), OC_OK);
	all_go(w, false);
}

static void beats(void **state, int ways)
{
	world *w = *state;
	char path[300];
	struct stat before, after;

	(void)snprintf(path, sizeof(path), "%s/beat", w->base);
	start(w, 0, 0, "echo ready; while :; do date >> beat; sleep 0.02; done");
	wait_output(w, "ready");
	run_for(w, 100);
	if (ways == 0)
		oc_owner_sweep(w->owner);
	else if (ways == 1)
		oc_procs_free(w->procs), w->procs = NULL;
	run_for(w, 300);
	assert_int_equal(w->exits, 0); /* no callback any more */
	assert_int_equal(stat(path, &before), 0);
	run_for(w, 200);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void test_sweep(void **state)
{
	beats(state, 0);
}

static void test_procs_free(void **state)
{
	beats(state, 1);
}

/* ---- Rules ---- */

static void test_environment(void **state)
{
	world *w = *state;
	const char *env[] = {"ONE=1", "LANG=xx", NULL};
	oc_proc_options o = {.profile = {.env = env}};

	assert_int_equal(setenv("SECRET_API_KEY", "sk-1", 1), 0);
	assert_int_equal(start_with(w, &o, "env | cut -d= -f1 | sort | tr '\\n' ' '"), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "HOME LANG ONE PATH PWD TERM TMPDIR ");
	assert_int_equal(start_with(w, &o, "echo $LANG $TERM $PATH"), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "xx dumb /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
	o.env_exact = true;
	assert_int_equal(start_with(w, &o, "/usr/bin/env | /usr/bin/cut -d= -f1 | /usr/bin/sort | /usr/bin/tr '\\n' ' '"), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "LANG ONE PWD ");
	/* The home folder is writable and private. */
	run(w, 0, "cd ~ && touch a && ls");
	assert_string_equal(out(w), "a\n");
	run(w, 0, "cd ~ && ls");
	assert_string_equal(out(w), "");
	(void)unsetenv("SECRET_API_KEY");
}

static void test_level_is_kept(void **state)
{
	world *w = *state;
	oc_proc_options o = {.profile = {.level = OC_SANDBOX_OFF}};

	assert_int_equal(start_with(w, &o, "grep NoNewPrivs /proc/self/status"), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "NoNewPrivs:\t1\n");
	w->rules.level = OC_SANDBOX_OFF;
	assert_int_equal(oc_procs_configure(w->procs, &w->rules, NULL), OC_OK);
	o.profile.level = OC_SANDBOX_STRICT;
	assert_int_equal(start_with(w, &o, "grep NoNewPrivs /proc/self/status"), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "NoNewPrivs:\t1\n");
}

static void test_too_many(void **state)
{
	world *w = *state;
	oc_proc_options o = {0};

	w->rules.max_processes = 2;
	assert_int_equal(oc_procs_configure(w->procs, &w->rules, NULL), OC_OK);
	start(w, 0, 0, "sleep 30");
	start(w, 0, 0, "sleep 30");
	assert_int_equal(oc_procs_count(w->procs), 2);
	assert_int_equal(start_with(w, &o, "true"), OC_E_LIMIT);
	oc_owner_sweep(w->owner);
	run_for(w, 500);
	assert_int_equal(oc_procs_count(w->procs), 0);
	run(w, 0, "true");
}

static void test_pass_fd(void **state)
{
	world *w = *state;
	int fds[2];
	oc_proc_options o = {0};

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "passed\n", 7), 7);
	(void)close(fds[1]);
	o.pass_fd = fds[0];
	assert_int_equal(start_with(w, &o, "cat <&3; ls /proc/self/fd | tr '\\n' ' '"), OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "passed\n0 1 2 3 4 "); /* 4 is the folder that ls reads */
	assert_true(fcntl(fds[0], F_GETFD) >= 0);
	(void)close(fds[0]);
}

/* It begins at once; its session's share of the processor is said a moment later, when the kernel lets us. */
static void test_yields(void **state)
{
	world *w = *state;
	oc_proc_options o = {.yields = true, .timeout_ms = 20000};
	char nicer[16];
	int nice = getpriority(PRIO_PROCESS, 0) + 5;

	(void)snprintf(nicer, sizeof(nicer), "%d\n", nice < 19 ? nice : 19);
	if (access("/proc/self/autogroup", W_OK) != 0)
		skip();
	assert_int_equal(start_with(w, &o, "until grep -q 'nice 5$' /proc/self/autogroup; do sleep 0.02; done; nice"), OC_OK);
	wait_end(w);
	assert_int_equal(w->status, OC_OK);
	assert_string_equal(out(w), nicer);
}

static char logged[500];
static void on_log(void *arg, int level, oc_str line)
{
	(void)arg;
	(void)level;
	if (oc_str_has(line, "complaint"))
		(void)snprintf(logged, sizeof(logged), "%.*s", OC_STR_ARG(line));
}

static void test_log_err(void **state)
{
	world *w = *state;

	oc_log_set_sink(on_log, NULL);
	run(w, OC_PROC_LOG_ERR, "printf 'a complaint' >&2; echo out");
	oc_log_set_sink(NULL, NULL);
	assert_string_equal(out(w), "out\n");
	assert_string_equal(oc_sbuf_view(&w->err).p, "");
	assert_non_null(strstr(logged, "a complaint"));
	assert_non_null(strstr(logged, "test"));
}

/* ---- JSON and the service ---- */

static void test_spec(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{", "{}", "{\"argv\":[],\"cwd\":\"/\"}", "{\"argv\":\"sh\",\"cwd\":\"/\"}", "{\"argv\":[1],\"cwd\":\"/\"}",
		"{\"argv\":[\"true\"]}", "{\"argv\":[\"true\"],\"cwd\":\"x\"}", "{\"argv\":[\"true\"],\"cwd\":\"/\",\"bogus\":1}",
		"{\"argv\":[\"true\"],\"cwd\":\"/\",\"env\":[\"A=1\"]}", "{\"argv\":[\"true\"],\"cwd\":\"/\",\"env\":{\"A=B\":\"1\"}}",
		"{\"argv\":[\"true\"],\"cwd\":\"/\",\"env\":{\"\":\"1\"}}", "{\"argv\":[\"true\"],\"cwd\":\"/\",\"env\":{\"A\":1}}",
		"{\"argv\":[\"true\"],\"cwd\":\"/\",\"sandbox\":\"none\"}", "{\"argv\":[\"true\"],\"cwd\":\"/\",\"network\":1}",
		"{\"argv\":[\"true\"],\"cwd\":\"/\",\"timeoutMs\":-1}", "{\"argv\":[\"true\"],\"cwd\":\"/\",\"limits\":{\"memory\":1}}",
		"{\"argv\":[\"true\"],\"cwd\":\"/\",\"limits\":7}", "{\"argv\":[\"true\"],\"cwd\":\"/\",\"read\":[\"x\"]}",
	};
	world *w = *state;
	oc_proc_options o = {.on_output = on_output, .on_exit = on_exit_, .arg = w};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		oc_err err = {0};

		assert_int_equal(oc_proc_spawn_spec(w->procs, w->owner, oc_str_of(bad[i]), &o, &w->proc, &err), OC_E_INVALID);
		assert_true(err.text[0] != 0);
	}
	assert_int_equal(oc_proc_spawn_spec(w->procs, w->owner,
					    OC_STR("{\"argv\":[\"sh\",\"-c\",\"echo $A; sleep 20\"],\"cwd\":\"/\",\"env\":{\"A\":\"x y\"},"
						   "\"timeoutMs\":400,\"limits\":{\"processes\":9},\"sandbox\":\"relaxed\"}"),
					    &o, &w->proc, NULL),
			 OC_OK);
	wait_end(w);
	assert_string_equal(out(w), "x y\n");
	assert_int_equal(w->status, OC_E_TIMEOUT);
}

static oc_owner *service_owner;
static oc_owner *owner_of(oc_self *self)
{
	(void)self;
	return service_owner;
}

static void test_service(void **state)
{
	world *w = *state;
	const oc_process_host *host = oc_process_service(w->procs, owner_of);
	oc_process *process = NULL;
	oc_process_options o = {.struct_size = sizeof(o), .flags = OC_PROCESS_STDIN | OC_PROCESS_MERGE,
				.spec = OC_STR("{\"argv\":[\"sh\",\"-c\",\"cat; echo err >&2\"],\"cwd\":\"/\"}"),
				.on_output = on_output, .on_exit = on_exit_, .arg = w};

	service_owner = w->owner;
	assert_int_equal(host->struct_size, sizeof(*host));
	assert_int_equal(host->spawn(NULL, &o, &process), OC_OK);
	assert_true(host->pid(process) > 0);
	assert_int_equal(host->write(process, OC_STR("in\n")), OC_OK);
	host->close_stdin(process);
	wait_end(w);
	assert_string_equal(out(w), "in\nerr\n");
	/* The reason comes with on_exit, later. */
	w->exits = 0;
	o.spec = OC_STR("{\"argv\":[\"true\"],\"cwd\":\"/\",\"network\":true}");
	assert_int_equal(host->spawn(NULL, &o, &process), OC_OK);
	assert_int_equal(w->exits, 0);
	assert_int_equal(host->kill(process, 9), OC_E_STATE);
	assert_int_equal(host->write(process, OC_STR("x")), OC_E_STATE);
	assert_int_equal(host->pid(process), 0);
	wait_end(w);
	assert_int_equal(w->status, OC_E_DENIED);
	assert_non_null(strstr(w->message, "network"));
	/* … and not at all after a sweep. */
	w->exits = 0;
	assert_int_equal(host->spawn(NULL, &o, &process), OC_OK);
	oc_owner_sweep(w->owner);
	run_for(w, 50);
	assert_int_equal(w->exits, 0);
	o.struct_size = 8;
	assert_int_equal(host->spawn(NULL, &o, &process), OC_E_INVALID);
	o.struct_size = sizeof(o) + 8;
	assert_int_equal(host->spawn(NULL, &o, &process), OC_E_VERSION);
	oc_procs_free(w->procs);
	w->procs = NULL;
	o.struct_size = sizeof(o);
	assert_int_equal(host->spawn(NULL, &o, &process), OC_E_UNAVAILABLE);
}

/* Every allocation of a spawn fails once: an error each time, nothing left over, no process either. */
static void test_no_memory(void **state)
{
	world *w = *state;
	oc_proc_options o = {0};
	bool worked = false;

	run(w, 0, "true"); /* what is made only once is there */
	for (unsigned long n = 1; n < 200 && !worked; n++) {
		unsigned long live = oc_mem_live();
		oc_status st;

		oc_mem_fail_at(n);
		st = start_with(w, &o, "true");
		oc_mem_fail_at(0);
		if (st == OC_OK) {
			wait_end(w);
			worked = w->status == OC_OK;
		}
		run_for(w, 5);
		assert_int_equal(oc_procs_count(w->procs), 0);
		run_for(w, worked ? 200 : 1);
		if (!worked && st != OC_OK)
			assert_in_range(oc_mem_live(), 0, live + 2);
	}
	assert_true(worked);
}

/* ---- Control groups, on a made-up file system ---- */

static void put(const char *base, const char *path, const char *text)
{
	char full[500], command[600];
	int fd, rc;

	(void)snprintf(full, sizeof(full), "%s/%s", base, path);
	(void)snprintf(command, sizeof(command), "mkdir -p \"$(dirname '%s')\"", full);
	rc = system(command);
	assert_int_equal(rc, 0);
	fd = open(full, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void test_cgroup_places(void **state)
{
	world *w = *state;
	oc_cgroup_base base;
	char expected[500];

	/* Version 2, delegated, controllers on already. */
	put(w->base, "proc/self/cgroup", "0::/user.slice/x.service\n");
	put(w->base, "proc/self/mounts", "sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n");
	put(w->base, "sys/fs/cgroup/user.slice/x.service/cgroup.controllers", "cpu io memory pids\n");
	put(w->base, "sys/fs/cgroup/user.slice/x.service/cgroup.subtree_control", "memory pids\n");
	oc_cgroup_find(&base, w->base);
	assert_true(base.v2);
	assert_int_equal(base.n, 1);
	(void)snprintf(expected, sizeof(expected), "%s/sys/fs/cgroup/user.slice/x.service", w->base);
	assert_string_equal(base.dirs[0], expected);
	oc_cgroup_base_free(&base);
	/* From the leaf that an earlier start made. */
	put(w->base, "proc/self/cgroup", "0::/user.slice/x.service/openclaw-gateway\n");
	put(w->base, "sys/fs/cgroup/user.slice/x.service/openclaw-gateway/cgroup.procs", "");
	oc_cgroup_find(&base, w->base);
	assert_int_equal(base.n, 1);
	assert_string_equal(base.dirs[0], expected);
	oc_cgroup_base_free(&base);
	/* Without the controllers: nothing. */
	put(w->base, "sys/fs/cgroup/user.slice/x.service/cgroup.controllers", "cpu\n");
	oc_cgroup_find(&base, w->base);
	assert_int_equal(base.n, 0);
	/* Version 1: two folders. */
	put(w->base, "proc/self/cgroup", "8:pids:/a\n4:cpu,memory:/b/c\n0::/\n");
	put(w->base, "proc/self/mounts",
	    "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n");
	put(w->base, "sys/fs/cgroup/memory/b/c/tasks", "");
	put(w->base, "sys/fs/cgroup/pids/a/tasks", "");
	oc_cgroup_find(&base, w->base);
	assert_false(base.v2);
	assert_int_equal(base.n, 2);
	(void)snprintf(expected, sizeof(expected), "%s/sys/fs/cgroup/memory/b/c", w->base);
	assert_string_equal(base.dirs[0], expected);
	oc_cgroup_base_free(&base);
	/* Nonsense. */
	put(w->base, "proc/self/cgroup", "::\n\n:::x\nabc\n0:\n");
	put(w->base, "proc/self/mounts", "\n   \ncgroup2\n");
	oc_cgroup_find(&base, w->base);
	assert_int_equal(base.n, 0);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONE(test_exit),  ONE(test_not_there),     ONE(test_much_output), ONE(test_pause),
		ONE(test_stdin), ONE(test_kill),          ONE(test_stubborn),    ONE(test_timeout),
		ONE(test_nothing_stays), ONE(test_sweep), ONE(test_procs_free),        ONE(test_environment),
		ONE(test_level_is_kept), ONE(test_too_many), ONE(test_pass_fd),  ONE(test_yields),
		ONE(test_log_err),
		ONE(test_spec),  ONE(test_service),       ONE(test_no_memory),   ONE(test_cgroup_places),
	};
	oc_sandbox_report report;
	oc_err err = {0};

	oc_log_set_stderr(false);
	if (oc_sandbox_probe(&report, &err) != OC_OK || !report.strict) {
		(void)printf("1..0 # SKIP no strict sandbox on this machine: %s %s\n", err.text, report.problem);
		return 0;
	}
	if (getenv("OC_TEST_ONLY") != NULL)
		cmocka_set_test_filter(getenv("OC_TEST_ONLY"));
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
