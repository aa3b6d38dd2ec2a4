/*
 * One message from the network to its reply, with the N-th allocation failing, N from 1 until none does.  Whatever fails:
 * the message is acknowledged and answered (with the answer or with what went wrong), or not acknowledged and taken when the
 * network hands it in again; never twice; the next message is answered as usual; nothing leaks; the store is sound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/agent/agent.h"
#include "core/agent/inbound.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "tests/fault/oom.h"
#include "tests/unit/tree.h"

enum { SENT_MAX = 8, WAIT_MS = 6000 };

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
	f.n_sent++;
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

static void broken(long n, const char *what)
{
	oom_where();
	fail_msg("allocation %ld: %s (sent %zu: '%s', '%s')", n, what, f.n_sent, f.n_sent > 0 ? f.sent[0] : "",
		 f.n_sent > 1 ? f.sent[1] : "");
}

static void leaked(long n, unsigned long live)
{
	oom_where();
	fail_msg("allocation %ld: %ld blocks are left", n, (long)(oc_mem_live() - live));
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

/* One message with failing allocations, until it was answered; then one without. true: something failed. */
static bool one_round(long n, long how_many)
{
	char id[60], next[60];
	static unsigned serial;
	snprintf(id, sizeof id, "a%u", ++serial);
	snprintf(next, sizeof next, "b%u", serial);
	f.n_sent = 0;
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

static void sound(void)
{
	static const char *const holes[] = {
		("SELECT 1 FROM sessions s LEFT JOIN events e ON e.session = s.id GROUP BY s.id HAVING count(e.seq) != s.last_seq OR"
		 " min(e.seq) != 1 OR max(e.seq) != s.last_seq"),
		"SELECT 1 FROM runs WHERE state IN ('accepted', 'running')",
		"SELECT 1 FROM outbox WHERE state = 'pending'",
		"SELECT 1 FROM outbox WHERE run IS NOT NULL GROUP BY run HAVING count(*) > 1",
		"SELECT 1 FROM messages WHERE role = 'user' GROUP BY run HAVING count(*) > 1",
		"SELECT 1 FROM pragma_integrity_check WHERE integrity_check != 'ok'",
	};
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(f.db, &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
		sqlite3_stmt *stmt = NULL;
		assert_int_equal(sqlite3_prepare_v2(db, holes[i], -1, &stmt, NULL), SQLITE_OK);
		if (sqlite3_step(stmt) != SQLITE_DONE)
			fail_msg("the store is not sound: %s", holes[i]);
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

/*
 * A turn asks for some thousands of allocations.  The usual test takes one in 37, beginning with another one each time;
 * OC_OOM_STEP=1 takes all (make check-oom), OC_OOM_FROM=N begins there.
 */
static long step(void)
{
	const char *text = getenv("OC_OOM_STEP");
	return text != NULL ? atol(text) : 37;
}

static long first(void)
{
	const char *text = getenv("OC_OOM_FROM");
	return text != NULL ? atol(text) : 1 + (long)(oc_now_ns() / 1000 % (uint64_t)step());
}

/* Each in a fresh process's state: caches are cold, statements not prepared. */
static void cold(long how_many)
{
	oc_err err = {0};
	long n = first();
	print_message("# from allocation %ld in steps of %ld\n", n, step());
	for (bool failed = true; failed; n += step()) {
		unsigned long live = oc_mem_live();
		if (start(&err) != OC_OK)
			fail_msg("%s", err.text);
		uint64_t began = oc_now_ms();
		failed = one_round(n, how_many);
		stop();
		if (getenv("OC_OOM_SLOW") != NULL && oc_now_ms() - began > 1000) {
			print_message("# allocation %ld took %d ms\n", n, (int)(oc_now_ms() - began));
			oom_where();
		}
		if (oc_mem_live() != live)
			leaked(n, live);
	}
	sound();
	print_message("# %ld allocations of one turn\n", n);
}

static void test_turn_cold(void **state)
{
	(void)state;
	cold(1);
}

/* A shortage that lasts longer than one allocation. */
static void test_turn_shortage(void **state)
{
	(void)state;
	if (getenv("OC_OOM_STEP") == NULL)
		skip(); /* the store waits seconds for its memory: part of make check-oom */
	cold(12);
}

/* In one process, one turn after the other: what is kept from turn to turn stays right. */
static void test_turn_warm(void **state)
{
	(void)state;
	oc_err err = {0};
	unsigned long live = oc_mem_live();
	if (start(&err) != OC_OK)
		fail_msg("%s", err.text);
	long n = first();
	for (bool failed = true; failed; n += step())
		failed = one_round(n, 1);
	stop();
	assert_int_equal(oc_mem_live(), live);
	sound();
	print_message("# %ld allocations of one turn\n", n);
}

/* Everything that is made at the start. */
static void test_start(void **state)
{
	(void)state;
	long n = first();
	for (bool failed = true; failed; n += step()) {
		oc_err err = {0};
		unsigned long live = oc_mem_live();
		oom_arm("start", n, 1);
		oc_status status = start(&err);
		failed = oom_disarm();
		if (status != OC_OK && !failed)
			fail_msg("%s", err.text);
		if (status != OC_OK && status != OC_E_NOMEM)
			fail_msg("allocation %ld: the start fails with %s: %s", n, oc_status_name(status), err.text);
		stop();
		if (oc_mem_live() != live)
			leaked(n, live);
	}
	print_message("# %ld allocations of a start\n", n);
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
	oc_err err = {0};
	assert_int_equal(start(&err), OC_OK);
	stop();
	oom_begin();
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return tree_remove(f.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_turn_cold),
		cmocka_unit_test(test_turn_shortage),
		cmocka_unit_test(test_turn_warm),
	};
	if (getenv("OC_TEST_FILTER") != NULL)
		cmocka_set_test_filter(getenv("OC_TEST_FILTER"));
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
