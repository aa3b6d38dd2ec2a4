/* core/agent/memory_slot: what a memory module is asked, which of its answers count, and what is said when it cannot be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/agent/internal.h"
#include "core/agent/memory_slot.h"
#include "core/base/log.h"
#include "core/base/mem.h"

typedef struct fixture {
	oc_agent agent;
	oc_config *config;
	oc_arena *arena;
	unsigned long live;
	/* the module */
	char asked[40], request[300];
	oc_status status;
	const char *answer;
	/* what came of it */
	int done, started;
	char by[40], got[300];
	oc_err why;
} fixture;

static fixture *fx;
static const oc_host_api *host;

/* ---- The module: one memory that can everything, one that keeps no index, one that tells no figures ---- */

static oc_status init(const oc_host_api *api, oc_self *self, oc_str config, void **ret)
{
	(void)self;
	(void)config;
	host = api;
	*ret = fx;
	return OC_OK;
}

static void fini(void *inst)
{
	(void)inst;
}

static void answer(oc_call *call, const char *what, oc_str request)
{
	(void)snprintf(fx->asked, sizeof(fx->asked), "%s", what);
	(void)snprintf(fx->request, sizeof(fx->request), "%.*s", OC_STR_ARG(request));
	host->call_done(call, fx->status, oc_str_of(fx->answer));
}

#define ASKED(what)                                                     \
	static void what(void *inst, oc_call *call, oc_str request)     \
	{                                                               \
		(void)inst;                                             \
		answer(call, #what, request);                           \
	}
ASKED(search)
ASKED(get)
ASKED(index_all)
ASKED(status)

static const oc_memory_vtbl full = {.struct_size = sizeof(full), .search = search, .get = get, .index = index_all, .status = status};
static const oc_memory_vtbl bare = {.struct_size = sizeof(bare), .search = search, .get = get};
static const oc_memory_vtbl quiet = {.struct_size = sizeof(quiet), .search = search, .get = get, .index = index_all};
static const oc_iface ifaces[] = {
	{OC_KIND_MEMORY, 1, 0, "full", &full}, {OC_KIND_MEMORY, 1, 0, "bare", &bare}, {OC_KIND_MEMORY, 1, 0, "quiet", &quiet}};
static const oc_module_desc desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR,
				    .name = "keeper", .version = "1", .ifaces = ifaces, .n_ifaces = 3, .init = init, .fini = fini};
static const char manifest[] = "{\"name\":\"keeper\",\"version\":\"1\",\"license\":\"MIT\",\"description\":\"d\",\"abi\":{\"major\":1,\"minor\":0},"
			       "\"kinds\":[\"memory\"]}";

/* ---- Around it ---- */

static void too_long(void *arg)
{
	oc_loop_stop(arg);
}

static void run(fixture *f)
{
	oc_watch *guard = oc_timer_start(f->agent.owner, 5000, 0, too_long, f->agent.loop);
	oc_loop_run(f->agent.loop);
	oc_watch_end(guard);
}

static void on_started(void *arg, unsigned started, unsigned failed)
{
	fixture *f = arg;
	f->started = (int)(started - failed);
	oc_loop_stop(f->agent.loop);
}

/* The test's own state is who is chosen. */
static int setup(void **state)
{
	char text[100];
	oc_module *module = NULL;
	oc_modules_options o = {.module_dir = "", .user_dir = "", .search_path = "", .no_static = true};
	fixture *f = fx = calloc(1, sizeof(*f));
	oc_log_set_stderr(false);
	f->live = oc_mem_live();
	(void)snprintf(text, sizeof(text), "{\"modules\":{\"slots\":{\"memory\":\"%s\"}}}", (const char *)*state);
	assert_int_equal(oc_config_load_text(oc_str_of(text), "/nowhere/openclaw.json", &f->config, NULL), OC_OK);
	assert_int_equal(oc_loop_new(&f->agent.loop, NULL), OC_OK);
	f->agent.owner = oc_owner_new(f->agent.loop, "test");
	f->arena = oc_arena_new(0);
	assert_int_equal(oc_modules_new(f->agent.loop, f->config, &o, &f->agent.modules, NULL), OC_OK);
	assert_int_equal(oc_modules_add(f->agent.modules, oc_str_of(manifest), &desc, "static", &module, NULL), OC_OK);
	oc_modules_start(f->agent.modules, on_started, f);
	run(f);
	if (f->started != 1)
		fail_msg("the module did not start: %s", oc_module_reason(module));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	oc_modules_free(f->agent.modules);
	oc_owner_free(f->agent.owner);
	oc_loop_free(f->agent.loop);
	oc_config_unref(f->config);
	oc_arena_free(f->arena);
	assert_int_equal(oc_mem_live(), f->live);
	free(f);
	return 0;
}

static void on_done(void *arg, const char *by, const cJSON *result, const oc_err *why)
{
	fixture *f = arg;
	oc_auto_free char *text = result != NULL ? oc_json_print(result) : NULL;
	f->done++;
	f->why = *why;
	(void)snprintf(f->by, sizeof(f->by), "%s", by);
	(void)snprintf(f->got, sizeof(f->got), "%s", text != NULL ? text : "");
	oc_loop_stop(f->agent.loop);
}

static bool begin(fixture *f, oc_memory_task task)
{
	static const oc_memory_slot_ask ask = {.agent_id = "main", .workspace = "/w", .query = "tea", .path = "memory/x.md", .max_results = 5,
					       .min_score = 0.5, .force = true};
	f->done = 0;
	f->asked[0] = 0;
	bool is = oc_memory_slot_begin(&f->agent, task, &ask, f->arena, on_done, f);
	assert_int_equal(f->done, 0); /* never below its start */
	return is;
}

static void ask(fixture *f, oc_memory_task task, oc_status how, const char *text)
{
	f->status = how;
	f->answer = text;
	assert_true(begin(f, task));
	run(f);
	assert_int_equal(f->done, 1);
}

#define HIT "{\"path\":\"memory/x.md\",\"startLine\":2,\"endLine\":3,\"score\":0.75,\"snippet\":\"tea\"}"

/* ---- The tests ---- */

static void each_task_asks_its_function(void **state)
{
	static const struct {
		oc_memory_task task;
		const char *asked, *request, *answer;
	} rows[] = {
		{OC_MEMORY_SEARCH, "search", "{\"agent\":\"main\",\"workspace\":\"/w\",\"query\":\"tea\",\"maxResults\":5,\"minScore\":0.5}", "{\"results\":[" HIT "]}"},
		{OC_MEMORY_GET, "get", "{\"agent\":\"main\",\"workspace\":\"/w\",\"path\":\"memory/x.md\"}", "{\"path\":\"memory/x.md\",\"text\":\"tea\"}"},
		{OC_MEMORY_UPDATE, "index_all", "{\"agent\":\"main\",\"workspace\":\"/w\",\"force\":true}", "{\"files\":1}"},
		{OC_MEMORY_STATUS, "status", "{\"agent\":\"main\",\"workspace\":\"/w\",\"force\":true}", "{\"files\":1}"},
	};
	fixture *f = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask(f, rows[i].task, OC_OK, rows[i].answer);
		assert_string_equal(f->asked, rows[i].asked);
		assert_string_equal(f->request, rows[i].request);
		assert_string_equal(f->got, rows[i].answer);
		assert_string_equal(f->by, "full");
	}
}

static void what_a_memory_does_not_answer(void **state)
{
	static const struct {
		oc_memory_task task;
		const char *answer;
	} rows[] = {
		{OC_MEMORY_SEARCH, "no json"},
		{OC_MEMORY_SEARCH, "[]"},
		{OC_MEMORY_SEARCH, "{\"results\":{}}"},
		{OC_MEMORY_SEARCH, "{\"results\":[" HIT ",7]}"},
		{OC_MEMORY_SEARCH, "{\"results\":[{\"path\":\"\",\"score\":0.5,\"snippet\":\"x\"}]}"},
		{OC_MEMORY_SEARCH, "{\"results\":[{\"path\":\"a\",\"score\":1.5,\"snippet\":\"x\"}]}"},
		{OC_MEMORY_SEARCH, "{\"results\":[{\"path\":\"a\",\"score\":1e999,\"snippet\":\"x\"}]}"},
		{OC_MEMORY_SEARCH, "{\"results\":[{\"path\":\"a\",\"score\":0.5}]}"},
		{OC_MEMORY_SEARCH, "{\"results\":[{\"path\":\"a\",\"score\":0.5,\"startLine\":0,\"snippet\":\"x\"}]}"},
		{OC_MEMORY_SEARCH, "{\"results\":[{\"path\":\"a\",\"score\":0.5,\"startLine\":3,\"endLine\":2,\"snippet\":\"x\"}]}"},
		{OC_MEMORY_GET, "{\"path\":\"a\"}"},
		{OC_MEMORY_GET, "{\"text\":7}"},
		{OC_MEMORY_UPDATE, "[]"},
		{OC_MEMORY_STATUS, "7"},
	};
	fixture *f = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask(f, rows[i].task, OC_OK, rows[i].answer);
		if (f->got[0] != 0 || f->why.code == OC_OK || f->why.text[0] == 0)
			fail_msg("%s was taken for an answer: %s (%s)", rows[i].answer, f->got, f->why.text);
	}
	/* Without lines, and without hits, it is one all the same. */
	ask(f, OC_MEMORY_SEARCH, OC_OK, "{\"results\":[{\"path\":\"a\",\"score\":0,\"snippet\":\"\"}]}");
	assert_string_not_equal(f->got, "");
	ask(f, OC_MEMORY_SEARCH, OC_OK, "{\"results\":[]}");
	assert_string_equal(f->got, "{\"results\":[]}");
}

static void a_text_has_a_bound(void **state)
{
	fixture *f = *state;
	const size_t n = (4 << 20) + 1;
	char *text = malloc(n + 20);
	assert_non_null(text);
	memcpy(text, "{\"text\":\"", 9);
	memset(text + 9, 'a', n);
	memcpy(text + 9 + n, "\"}", 3);
	ask(f, OC_MEMORY_GET, OC_OK, text);
	assert_int_equal(f->why.code, OC_E_PROTOCOL);
	free(text);
}

static void its_errors_are_told(void **state)
{
	fixture *f = *state;
	ask(f, OC_MEMORY_GET, OC_E_DENIED, "not mine");
	assert_int_equal(f->why.code, OC_E_DENIED);
	ask(f, OC_MEMORY_SEARCH, OC_E_RATE_LIMIT, "{\"message\":\"slow down\"}");
	assert_int_equal(f->why.code, OC_E_RATE_LIMIT);
	assert_string_equal(f->why.text, "slow down");
	assert_string_equal(f->got, "");
}

static void one_without_an_index_has_an_empty_one(void **state)
{
	fixture *f = *state;
	ask(f, OC_MEMORY_UPDATE, OC_OK, "");
	assert_string_equal(f->got, "{}");
	ask(f, OC_MEMORY_STATUS, OC_OK, "");
	assert_string_equal(f->got, "{}");
	assert_string_equal(f->asked, "");
	assert_string_equal(f->by, "bare");
}

static void one_without_figures_is_asked_for_its_index(void **state)
{
	ask(*state, OC_MEMORY_STATUS, OC_OK, "{\"chunks\":2}");
	assert_string_equal(fx->asked, "index_all");
	assert_string_equal(fx->got, "{\"chunks\":2}");
}

static void one_that_is_not_there_is_named(void **state)
{
	fixture *f = *state;
	ask(f, OC_MEMORY_SEARCH, OC_OK, "");
	assert_string_equal(f->by, "gone");
	assert_int_equal(f->why.code, OC_E_UNAVAILABLE);
	assert_non_null(strstr(f->why.text, "\"gone\" (modules.slots.memory) does not run"));
}

static void nobody_is_chosen(void **state)
{
	assert_false(begin(*state, OC_MEMORY_SEARCH));
}

#define WITH(slot, test) cmocka_unit_test_prestate_setup_teardown(test, setup, teardown, slot)

int main(void)
{
	static char chosen_full[] = "full", chosen_bare[] = "bare", chosen_quiet[] = "quiet", gone[] = "gone", none[] = "none";
	const struct CMUnitTest tests[] = {
		WITH(chosen_full, each_task_asks_its_function),
		WITH(chosen_full, what_a_memory_does_not_answer),
		WITH(chosen_full, a_text_has_a_bound),
		WITH(chosen_full, its_errors_are_told),
		WITH(chosen_bare, one_without_an_index_has_an_empty_one),
		WITH(chosen_quiet, one_without_figures_is_asked_for_its_index),
		WITH(gone, one_that_is_not_there_is_named),
		WITH(none, nobody_is_chosen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
