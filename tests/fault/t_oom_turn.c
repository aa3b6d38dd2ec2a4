/*
 * One message from the network to its reply, with the N-th allocation failing, N from 1 until none does.  Whatever fails:
 * the message is acknowledged and answered (with the answer or with what went wrong), or not acknowledged and taken when the
 * network hands it in again; never twice; the next message is answered as usual; nothing leaks; the store is sound.
 *
 * Each N is a process of its own over a copy of one and the same store, and the two threads that allocate take turns, so the
 * N-th allocation is the same one in every run.  The usual run takes some of them; all: make check-oom.
 *
 *   OC_OOM_STEP=1  the stride        OC_OOM_FROM=N  the first        OC_OOM_ONE=N  only this one        OC_OOM_SLOW=1  names slow ones
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/agent/agent.h"
#include "core/agent/inbound.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "core/store/internal.h"
#include "tests/fault/oom.h"
#include "tests/unit/tree.h"

/* Instrumented code is slow. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define STRIDE 211
#else
#define STRIDE 31
#endif

enum { SENT_MAX = 8, WAIT_MS = 20000, BROKEN_MAX = 20 };

static struct {
	char dir[80], db[120];
	oc_loop *loop;
	oc_owner *owner;
	oc_config *config;
	oc_store *store;
	oc_hooks *hooks;
	oc_modules *modules;
	oc_agent *agent;
	bool started, committed;
	oc_status commit_status;
	char sent[SENT_MAX][400], keys[SENT_MAX][100];
	size_t n_sent;
} f;

/* ---- A module that needs no memory: provider, tool and channel ---- */

static const oc_host_api *host;

static void chat(void *inst, oc_call *call, oc_str request)
{
	(void)inst;
	bool asked = strstr(request.p, "\"role\":\"tool\"") != NULL;
	(void)host->call_event(call, OC_EV_TEXT, OC_STR("so "));
	if (asked)
		(void)host->call_event(call, OC_EV_TEXT, OC_STR("it is done"));
	else
		(void)host->call_event(call, OC_EV_TOOL_CALL, OC_STR("{\"id\":\"t1\",\"name\":\"look\",\"arguments\":{\"at\":\"x\"}}"));
	(void)host->call_event(call, OC_EV_USAGE, OC_STR("{\"input\":10,\"output\":5}"));
	host->call_done(call, OC_OK, asked ? OC_STR("{\"stopReason\":\"stop\"}") : OC_STR("{\"stopReason\":\"tool_use\"}"));
}

static oc_str tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"look\",\"description\":\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{\"at\":{\"type\":"
		      "\"string\"},\"n\":{\"type\":\"integer\",\"default\":7}},\"required\":[\"at\"]}}]");
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	(void)inst;
	(void)tool;
	(void)args;
	(void)context;
	host->call_done(call, OC_OK, OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"nothing there\"}]}"));
}

static void at_once(void *inst, oc_call *call, oc_str text)
{
	(void)inst;
	(void)text;
	host->call_done(call, OC_OK, OC_STR("{}"));
}

static void copy_member(const char *json, const char *name, char *to, size_t size)
{
	const char *at = strstr(json, name);
	size_t n = 0;
	if (at != NULL)
		for (at += strlen(name); *at != 0 && *at != '"' && n + 1 < size; at++)
			to[n++] = *at;
	to[n] = 0;
}

static void send_message(void *inst, oc_call *call, oc_str message)
{
	(void)inst;
	assert_true(f.n_sent < SENT_MAX);
	copy_member(message.p, "\"text\":\"", f.sent[f.n_sent], sizeof f.sent[0]);
	copy_member(message.p, "\"idempotencyKey\":\"", f.keys[f.n_sent], sizeof f.keys[0]);
	bool known = false; /* a network that carries keys drops what it has */
	for (size_t i = 0; i < f.n_sent; i++)
		known |= strcmp(f.keys[i], f.keys[f.n_sent]) == 0;
	f.n_sent += !known;
	host->call_done(call, OC_OK, OC_STR("{\"messageId\":\"1\",\"messageIds\":[\"1\"]}"));
}

static void cancel(void *inst, oc_call *call)
{
	(void)inst;
	(void)call; /* everything completes at once */
}

static const oc_provider_vtbl provider = {.struct_size = sizeof provider, .chat = chat, .cancel = cancel};
static const oc_tool_vtbl tool_table = {.struct_size = sizeof tool_table, .tools = tools, .invoke = invoke, .cancel = cancel};
static const oc_channel_vtbl channel = {.struct_size = sizeof channel, .flags = OC_CHANNEL_IDEMPOTENT, .connect = at_once,
					.send = send_message, .cancel = cancel, .disconnect = at_once};

static oc_status init(const oc_host_api *api, oc_self *me, oc_str config, void **ret)
{
	(void)config;
	host = api;
	*ret = me;
	return OC_OK;
}

static void fini(void *inst)
{
	(void)inst;
}

static const char manifest[] =
	"{\"name\":\"frugal\",\"version\":\"1\",\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"provider\",\"tool\",\"channel\"],"
	"\"license\":\"MIT\",\"description\":\"d\",\"services\":[\"channel\"],\"channels\":[{\"id\":\"chat\",\"label\":\"Chat\"}],"
	"\"providers\":[{\"id\":\"p\",\"api\":\"frugal\",\"baseUrl\":\"\",\"models\":[{\"id\":\"one\",\"contextWindow\":100000}]}]}";
static const oc_iface ifaces[] = {{OC_KIND_PROVIDER, 1, 0, "frugal", &provider},
				  {OC_KIND_TOOL, 1, 0, "frugal", &tool_table},
				  {OC_KIND_CHANNEL, 1, 0, "chat", &channel}};
static const oc_module_desc desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof desc, .abi_major = OC_ABI_MAJOR,
				    .abi_minor = OC_ABI_MINOR, .name = "frugal", .version = "1", .ifaces = ifaces,
				    .n_ifaces = 3, .init = init, .fini = fini};

/* ---- Which allocation is the N-th must be the same in every run ---- */

/*
 * The loop waits until the writer is through with what it was given: the two threads take turns, so their allocations have
 * one order.  Not while the store waits for the memory that fails.
 */
oc_status __real_oc_writer_put(oc_store *store, oc_store_fn fn, void (*again)(void *arg), oc_store_done done, void *arg, int flags,
			       oc_err *err);
oc_status __wrap_oc_writer_put(oc_store *store, oc_store_fn fn, void (*again)(void *arg), oc_store_done done, void *arg, int flags,
			       oc_err *err);

oc_status __wrap_oc_writer_put(oc_store *store, oc_store_fn fn, void (*again)(void *arg), oc_store_done done, void *arg, int flags,
			       oc_err *err)
{
	oc_status status = __real_oc_writer_put(store, fn, again, done, arg, flags & ~OC_PUT_LAZY, err);
	pthread_mutex_lock(&store->mutex);
	while (status == OC_OK && store->queue.n + store->in_work > 0 && !store->stalled)
		pthread_cond_wait(&store->finished, &store->mutex);
	pthread_mutex_unlock(&store->mutex);
	return status;
}

/* What the writer does by the clock would come between. */
uint64_t __wrap_oc_chores_due(oc_store *store);
bool __wrap_oc_chores_overdue(const oc_store *store);

uint64_t __wrap_oc_chores_due(oc_store *store)
{
	(void)store;
	return UINT64_MAX;
}

bool __wrap_oc_chores_overdue(const oc_store *store)
{
	(void)store;
	return false;
}

/* ---- The gateway without its network ---- */

static const char settings[] =
	"{\"agents\":{\"defaults\":{\"model\":{\"primary\":\"p/one\"}}},\"session\":{\"typingMode\":\"never\"},"
	"\"channels\":{\"chat\":{\"dmPolicy\":\"open\",\"replyToMode\":\"all\"}}}";

static void on_started(void *arg, unsigned ok, unsigned failed)
{
	(void)arg;
	(void)ok;
	(void)failed;
	f.started = true;
}

static void tick(void *arg)
{
	oc_loop_stop(arg);
}

static bool until(const bool *flag, size_t n_sent, uint64_t ms)
{
	uint64_t limit = oc_now_ms() + ms;
	for (;;) {
		if ((flag == NULL || *flag) && f.n_sent >= n_sent)
			return true;
		if (oc_now_ms() > limit)
			return false;
		/* The test's own clock must not be what there is no memory for. */
		bool armed = atomic_exchange(&oom_armed, false);
		oc_watch *t = oc_timer_start(f.owner, 1, 0, tick, f.loop);
		atomic_store(&oom_armed, armed);
		oc_loop_run(f.loop);
		oc_watch_end(t);
	}
}

static oc_status start(oc_err *err)
{
	oc_modules_options o = {.module_dir = "", .user_dir = "", .search_path = "", .no_static = true};
	oc_agent_options options = {.state_dir = f.dir};
	oc_status status = oc_loop_new(&f.loop, err);
	if (status == OC_OK && (f.owner = oc_owner_new(f.loop, "test")) == NULL)
		status = OC_E_NOMEM;
	if (status == OC_OK)
		status = oc_config_load_text(oc_str_of(settings), NULL, &f.config, err);
	if (status == OC_OK)
		status = oc_store_open(f.db, f.loop, OC_STORE_OWNER, &f.store, err);
	if (status == OC_OK)
		status = oc_hooks_new(f.loop, &f.hooks, err);
	o.hooks = f.hooks;
	if (status == OC_OK)
		status = oc_modules_new(f.loop, f.config, &o, &f.modules, err);
	if (status == OC_OK)
		status = oc_agent_new(f.loop, f.config, f.store, f.modules, f.hooks, &options, &f.agent, err);
	if (status == OC_OK)
		status = oc_modules_scan(f.modules, err);
	if (status == OC_OK)
		status = oc_modules_add(f.modules, oc_str_of(manifest), &desc, "static", NULL, err);
	if (status != OC_OK)
		return status;
	f.started = false;
	oc_modules_start(f.modules, on_started, NULL);
	if (!until(&f.started, 0, WAIT_MS))
		return OC_E_TIMEOUT;
	return oc_agent_start(f.agent, err);
}

static void stop(void)
{
	oc_agent_free(f.agent);
	oc_modules_free(f.modules);
	oc_hooks_free(f.hooks);
	oc_store_close(f.store);
	oc_owner_free(f.owner);
	oc_loop_free(f.loop);
	oc_config_unref(f.config);
	f.agent = NULL;
	f.modules = NULL;
	f.hooks = NULL;
	f.store = NULL;
	f.owner = NULL;
	f.loop = NULL;
	f.config = NULL;
}

/* ---- Messages ---- */

static void on_committed(void *arg, oc_status status)
{
	(void)arg;
	f.committed = true;
	f.commit_status = status;
}

static void hand_in(const char *id)
{
	char json[300];
	int n = snprintf(json, sizeof json,
			 "{\"channel\":\"chat\",\"account\":\"default\",\"id\":\"%s\",\"chat\":{\"type\":\"dm\",\"id\":\"c\"},"
			 "\"sender\":{\"id\":\"c\",\"name\":\"C\"},\"text\":\"look there\"}", id);
	f.committed = false;
	oc_agent_inbound(f.agent, oc_str_make(json, (size_t)n), on_committed, NULL);
}

/* How a round ends; it is a process of its own. */
enum { ROUND_FAILED = 0, ROUND_PASSED = 1, ROUND_BROKEN = 2 };

static void broken(long n, const char *what)
{
	oom_where();
	printf("# allocation %ld: %s (sent %zu: '%s', '%s')\n", n, what, f.n_sent, f.n_sent > 0 ? f.sent[0] : "",
	       f.n_sent > 1 ? f.sent[1] : "");
	fflush(stdout);
	_exit(ROUND_BROKEN);
}

static void no_leak(long n, unsigned long live)
{
	char text[60];
	snprintf(text, sizeof text, "%ld blocks are left", (long)(oc_mem_live() - live));
	if (oc_mem_live() != live)
		broken(n, text);
}

static bool is_answer(const char *text)
{
	return strstr(text, "it is done") != NULL;
}

static const bool never;

/* As a network does: hands it in until it is acknowledged. The memory comes back after the first refusal. */
static bool deliver(const char *id, long n)
{
	bool failed = false;
	for (int tries = 0; tries < 300; tries++) {
		hand_in(id);
		if (!until(&f.committed, 0, WAIT_MS))
			broken(n, "it was never said whether the message is taken");
		if (f.commit_status == OC_OK)
			return failed;
		if (atomic_load(&oom_armed))
			failed = oom_disarm();
		if (f.commit_status != OC_E_NOMEM && f.commit_status != OC_E_BUSY)
			broken(n, oc_status_name(f.commit_status));
		(void)until(&never, 0, 10);
	}
	broken(n, "it is not taken any more");
	return false;
}

/* how_many < 0: all allocations for so many milliseconds.
 * One message with failing allocations, until it was answered; then one without. true: something failed. */
static bool one_round(long n, long how_many)
{
	char id[60], next[60];
	static unsigned serial;
	snprintf(id, sizeof id, "a%u", ++serial);
	snprintf(next, sizeof next, "b%u", serial);
	f.n_sent = 0;
	if (how_many < 0)
		oom_arm_ms("turn", n, -how_many);
	else
		oom_arm("turn", n, how_many);
	bool failed = deliver(id, n);
	if (!until(NULL, 1, WAIT_MS))
		broken(n, "no answer");
	if (atomic_load(&oom_armed))
		failed = oom_disarm();
	if (!is_answer(f.sent[0]) && strstr(f.sent[0], "⚠️") == NULL && strstr(f.sent[0], "memory") == NULL)
		broken(n, "that is no answer");
	if (!failed && !is_answer(f.sent[0]))
		broken(n, "nothing failed, and yet");
	(void)deliver(id, n); /* handed in again it is known */
	(void)deliver(next, n);
	if (!until(NULL, 2, WAIT_MS))
		broken(n, "the next message is not answered");
	if (f.n_sent != 2 || !is_answer(f.sent[1]) || strcmp(f.keys[0], f.keys[1]) == 0)
		broken(n, "the next answer is another");
	return failed;
}

static void sound(long n)
{
	static const char *const holes[] = {
		"SELECT 1 FROM runs WHERE state IN ('accepted', 'running')",
		"SELECT 1 FROM outbox WHERE state = 'pending'",
		"SELECT 1 FROM messages WHERE role = 'user' GROUP BY run HAVING count(*) > 1",
	};
	sqlite3 *db = NULL;
	oc_err err = {0};
	oc_auto_json cJSON *report = NULL;
	if (oc_store_check(f.db, false, &report, &err) != OC_OK || !oc_json_bool(report, "ok", false)) {
		oc_auto_free char *text = oc_json_print(report);
		broken(n, text != NULL ? text : err.text);
	}
	if (sqlite3_open(f.db, &db) != SQLITE_OK)
		broken(n, "the store cannot be opened");
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
		sqlite3_stmt *stmt = NULL;
		if (sqlite3_prepare_v2(db, holes[i], -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_DONE)
			broken(n, holes[i]);
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

/* ---- Rounds ---- */

static long number(const char *name, long fallback)
{
	const char *text = getenv(name);
	int64_t n = 0;
	return text != NULL && oc_str_i64(oc_str_of(text), 1, 1 << 30, &n) == OC_OK ? (long)n : fallback;
}

static void *empty_store;
static size_t empty_bytes;

static void write_empty_store(void)
{
	FILE *file = fopen(f.db, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(empty_store, 1, empty_bytes, file), empty_bytes);
	fclose(file);
}

static void keep_empty_store(void)
{
	struct stat st;
	assert_int_equal(stat(f.db, &st), 0);
	empty_bytes = (size_t)st.st_size;
	empty_store = malloc(empty_bytes);
	FILE *file = fopen(f.db, "r");
	assert_non_null(file);
	assert_int_equal(fread(empty_store, 1, empty_bytes, file), empty_bytes);
	fclose(file);
}

/* Rounds mostly wait (for the store to try again, for a timer): several at once, each with a folder of its own. */
enum { AT_ONCE = 12 };

typedef struct child {
	pid_t pid; /* 0: none */
	long n;
	uint64_t began;
} child;

static void fresh_folder(int slot)
{
	size_t n = strlen(f.dir);
	snprintf(f.dir + n, sizeof f.dir - n, "/%d", slot);
	snprintf(f.db, sizeof f.db, "%s/openclaw.db", f.dir);
	(void)tree_remove(f.dir);
	assert_int_equal(mkdir(f.dir, 0700), 0);
	write_empty_store();
}

/* One N in a fresh process and store. */
static child start_child(int slot, int (*round)(long n, long how_many), long n, long how_many)
{
	fflush(stdout);
	child c = {.pid = fork(), .n = n, .began = oc_now_ms()};
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		alarm(300);
		fresh_folder(slot);
		oom_begin();
		int ret = round(n, how_many);
		fflush(stdout);
		_exit(ret);
	}
	return c;
}

static int result_of(const child *c, int rc)
{
	if (getenv("OC_OOM_SLOW") != NULL && oc_now_ms() - c->began > 1000)
		print_message("# allocation %ld took %d ms\n", c->n, (int)(oc_now_ms() - c->began));
	if (WIFEXITED(rc) && WEXITSTATUS(rc) <= ROUND_PASSED)
		return WEXITSTATUS(rc);
	if (WIFSIGNALED(rc))
		print_message("# allocation %ld: signal %d\n", c->n, WTERMSIG(rc));
	return ROUND_BROKEN;
}

/* Waits for any of them: how it went. */
static int next_result(child children[AT_ONCE], int *ret_slot)
{
	int rc = 0;
	pid_t pid = waitpid(-1, &rc, 0);
	for (int i = 0; i < AT_ONCE; i++)
		if (pid > 0 && children[i].pid == pid) {
			children[i].pid = 0;
			*ret_slot = i;
			return result_of(&children[i], rc);
		}
	fail_msg("waitpid");
	return ROUND_BROKEN;
}

static void every(const char *what, int (*round)(long n, long how_many), long how_many)
{
	/* Shortages are waited out, which takes time: fewer of them. */
	long stride = number("OC_OOM_STEP", how_many == 1 ? STRIDE : how_many > 1 ? 3 * STRIDE : 6 * STRIDE);
	long only = number("OC_OOM_ONE", 0), n = only > 0 ? only : number("OC_OOM_FROM", 1), last = 0;
	child children[AT_ONCE] = {{0}};
	int n_running = 0, n_broken = 0;
	bool more = true;
	for (int slot = 0; more || n_running > 0;) {
		if (more && n_running < AT_ONCE) {
			while (children[slot].pid != 0)
				slot = (slot + 1) % AT_ONCE;
			children[slot] = start_child(slot, round, n, how_many);
			n_running++;
			last = n;
			n += stride;
			more = only == 0;
			continue;
		}
		int rc = next_result(children, &slot);
		n_running--;
		n_broken += rc == ROUND_BROKEN;
		more = more && rc != ROUND_PASSED && n_broken < BROKEN_MAX;
	}
	print_message("# %s: %ld allocations, one in %ld\n", what, last, stride);
	if (n_broken > 0)
		fail_msg("%d of them are not survived", n_broken);
}

/* Everything is made for it: caches are empty, statements not prepared. */
static int cold_round(long n, long how_many)
{
	oc_err err = {0};
	unsigned long live = oc_mem_live();
	if (start(&err) != OC_OK)
		broken(n, err.text);
	bool failed = one_round(n, how_many);
	stop();
	no_leak(n, live);
	sound(n);
	return failed ? ROUND_FAILED : ROUND_PASSED;
}

/* After another turn: what is kept from turn to turn stays right. */
static int warm_round(long n, long how_many)
{
	oc_err err = {0};
	unsigned long live = oc_mem_live();
	if (start(&err) != OC_OK)
		broken(n, err.text);
	(void)one_round(LONG_MAX / 2, 1);
	bool failed = one_round(n, how_many);
	stop();
	no_leak(n, live);
	sound(n);
	return failed ? ROUND_FAILED : ROUND_PASSED;
}

/* Everything that is made at the start, and no turn. */
static int start_round(long n, long how_many)
{
	oc_err err = {0};
	unsigned long live = oc_mem_live();
	oom_arm("start", n, how_many);
	oc_status status = start(&err);
	bool failed = oom_disarm();
	if (status != OC_OK && !failed)
		broken(n, err.text);
	if (status != OC_OK && status != OC_E_NOMEM)
		broken(n, err.text);
	stop();
	no_leak(n, live);
	return failed ? ROUND_FAILED : ROUND_PASSED;
}

static void test_start(void **state)
{
	(void)state;
	every("start", start_round, 1);
}

static void test_turn_cold(void **state)
{
	(void)state;
	every("first turn", cold_round, 1);
}

static void test_turn_warm(void **state)
{
	(void)state;
	every("second turn", warm_round, 1);
}

/* Shortages that last longer than one allocation. */
static void test_turn_shortage(void **state)
{
	(void)state;
	every("12 in a row", cold_round, 12);
}

static void test_turn_long_shortage(void **state)
{
	(void)state;
	every("300 ms of them", cold_round, -300);
}

static int make_folder(void **state)
{
	(void)state;
	oc_log_set_stderr(getenv("OC_TEST_LOG") != NULL);
	/* Thousands of stores: in memory where that can be. */
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
	snprintf(f.dir, sizeof f.dir, "%s/oc-oom-XXXXXX", tmp);
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.db, sizeof f.db, "%s/openclaw.db", f.dir);
	pid_t pid = fork(); /* this process keeps to one thread */
	if (pid == 0) {
		oc_err err = {0};
		oc_status status = start(&err);
		stop();
		_exit(status == OC_OK ? 0 : 1);
	}
	int rc = 0;
	assert_int_equal(waitpid(pid, &rc, 0), pid);
	assert_int_equal(rc, 0);
	keep_empty_store();
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	free(empty_store);
	return tree_remove(f.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_turn_cold),
		cmocka_unit_test(test_turn_warm),
		cmocka_unit_test(test_turn_shortage),
		cmocka_unit_test(test_turn_long_shortage),
	};
	if (getenv("OC_TEST_FILTER") != NULL)
		cmocka_set_test_filter(getenv("OC_TEST_FILTER"));
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
