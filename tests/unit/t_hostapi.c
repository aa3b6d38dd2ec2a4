/* core/module/hostapi and lifecycle: what the host table gives, and how a module starts and ends. */
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/probe_module.h"

/* ---- The host table ---- */

static void memory_is_counted_and_limited(void **state)
{
	fixture *f = *state;
	void *a = host->alloc(self, 60000), *b;

	assert_non_null(a);
	assert_int_equal((uintptr_t)a % 16, 0);
	assert_int_equal(((char *)a)[59999], 0);
	assert_null(host->alloc(self, 60000)); /* 100,000 are allowed */
	assert_null(host->alloc(self, SIZE_MAX));
	assert_int_equal(number(f, "memory.bytes"), 60000);
	b = host->alloc(self, 0);
	assert_non_null(b);
	host->free(self, a);
	host->free(self, b);
	host->free(self, NULL);
	assert_int_equal(number(f, "memory.bytes"), 0);
	assert_int_equal(number(f, "memory.peakBytes"), 60000);
	assert_int_equal(number(f, "memory.blocks"), 0);
}

static void tick(void *arg)
{
	assert_ptr_equal(arg, fx);
	assert_ptr_equal(oc_module_current(), fx->module);
	if (++timer_runs == 3) {
		host->unwatch(watch);
		host->unwatch(watch); /* once too often: counted, no crash */
	}
}

static void timers_repeat_and_end(void **state)
{
	fixture *f = *state;

	watch = host->timer(self, 5, 5, tick, f);
	assert_non_null(watch);
	run_ms(f, 100);
	assert_int_equal(timer_runs, 3);
	assert_int_equal(number(f, "violations"), 1);
	host->unwatch(NULL);
	assert_null(host->timer(self, 1, 0, NULL, NULL));
	assert_null(host->fd(self, -1, OC_FD_READ, NULL, NULL));
}

static void readable(void *arg, uint32_t events)
{
	int *fds = arg;
	char c;

	assert_true((events & OC_FD_READ) != 0);
	assert_int_equal(read(fds[0], &c, 1), 1);
	timer_runs++;
}

static void descriptors_are_watched(void **state)
{
	fixture *f = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, 04000 /* O_NONBLOCK */), 0);
	watch = host->fd(self, fds[0], OC_FD_READ, readable, fds);
	assert_non_null(watch);
	assert_int_equal(write(fds[1], "x", 1), 1);
	run_ms(f, 30);
	assert_int_equal(timer_runs, 1);
	host->unwatch(watch);
	close(fds[0]);
	close(fds[1]);
}

static void note_post(void *arg)
{
	assert_ptr_equal(arg, fx);
	assert_ptr_equal(oc_module_current(), fx->module);
	posted++;
}

static void *post_many(void *arg)
{
	int refused = 0;

	for (int i = 0; i < 2000; i++)
		refused += host->post(self, note_post, arg) == OC_E_LIMIT;
	assert_int_equal(refused, 2000 - 1024);
	return NULL;
}

static void posts_come_from_any_thread_and_are_limited(void **state)
{
	fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, post_many, f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(posted, 0);
	run_ms(f, 100);
	assert_int_equal(posted, 1024);
	assert_int_equal(host->post(self, NULL, NULL), OC_E_INVALID);
	/* It did not say that it has threads: told once. */
	assert_int_equal(number(f, "violations"), 1);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_DEGRADED);
	assert_non_null(strstr(oc_module_reason(f->module), "OC_MODULE_THREADS"));
}

static void work_fn(void *arg)
{
	assert_ptr_equal(oc_module_current(), fx->module);
	*(int *)arg += 1;
}

static void work_is_done(void *arg, oc_status status)
{
	assert_int_equal(status, OC_OK);
	assert_int_equal(*(int *)arg, 1);
	worked++;
	oc_loop_stop(fx->loop);
}

static void work_runs_in_the_pool(void **state)
{
	fixture *f = *state;
	int value = 0;

	assert_int_equal(host->work(self, work_fn, work_is_done, &value), OC_OK);
	run_ms(f, 2000);
	assert_int_equal(worked, 1);
	assert_int_equal(host->work(self, NULL, NULL, NULL), OC_E_INVALID);
}

static void services_are_asked_for_by_name_and_version(void **state)
{
	fixture *f = *state;
	static const int table = 1, newer = 2;
	const void *got = NULL;

	assert_int_equal(host->query(self, OC_STR("demo"), 1, 0, &got), OC_E_NOT_FOUND);
	assert_int_equal(oc_modules_provide_service(f->modules, "demo", 1, 2, &table, "net"), OC_OK);
	assert_int_equal(oc_modules_provide_service(f->modules, "demo", 2, 0, &newer, NULL), OC_OK);
	assert_int_equal(oc_modules_provide_service(f->modules, "guarded", 1, 0, &table, "exec"), OC_OK);
	assert_int_equal(oc_modules_provide_service(f->modules, "unasked", 1, 0, &table, NULL), OC_OK);
	assert_int_equal(host->query(self, OC_STR("demo"), 1, 2, &got), OC_OK);
	assert_ptr_equal(got, &table);
	assert_int_equal(host->query(self, OC_STR("demo"), 2, 0, &got), OC_OK);
	assert_ptr_equal(got, &newer);
	got = NULL;
	assert_int_equal(host->query(self, OC_STR("demo"), 1, 3, &got), OC_E_VERSION);
	assert_int_equal(host->query(self, OC_STR("demo"), 3, 0, &got), OC_E_VERSION);
	assert_int_equal(host->query(self, OC_STR("guarded"), 1, 0, &got), OC_E_DENIED);
	assert_int_equal(host->query(self, OC_STR("unasked"), 1, 0, &got), OC_E_DENIED);
	assert_null(got);
	assert_true(oc_module_may(f->module, OC_STR("net")));
	assert_false(oc_module_may(f->module, OC_STR("exec")));
}

static oc_status vault(void *arg, oc_str name, oc_buf **ret)
{
	if (!oc_str_eqz(name, "a.b.key"))
		return OC_E_NOT_FOUND;
	*ret = oc_buf_new_secret(oc_str_of(arg));
	return OC_OK;
}

static void secrets_only_by_manifest(void **state)
{
	fixture *f = *state;
	char value[] = "sesame";
	oc_buf *secret = NULL;

	oc_modules_set_secret_source(f->modules, vault, value);
	assert_int_equal(host->secret(self, OC_STR("a.b.key"), &secret), OC_OK);
	assert_string_equal(host->buf_str(secret).p, "sesame");
	host->buf_unref(secret);
	secret = NULL;
	assert_int_equal(host->secret(self, OC_STR("a.c.key"), &secret), OC_E_NOT_FOUND);
	assert_int_equal(host->secret(self, OC_STR("gateway.auth.token"), &secret), OC_E_DENIED);
	assert_null(secret);
}

static void contexts_are_found_by_name(void **state)
{
	fixture *f = *state;

	assert_null(oc_modules_context(f->modules, "agent"));
	assert_int_equal(oc_modules_set_context(f->modules, "agent", f), OC_OK);
	assert_ptr_equal(oc_modules_context(oc_module_registry(f->module), "agent"), f);
	assert_int_equal(oc_modules_set_context(f->modules, "agent", NULL), OC_OK);
	assert_null(oc_modules_context(f->modules, "agent"));
}

static void only_tools_in_order_are_offered(void **state)
{
	fixture *f = *state;
	oc_tool_info info;

	bad_tools = 1;
	oc_module_restart(f->module, settled, f);
	run_ms(f, 3000);
	assert_true(oc_modules_tool(f->modules, OC_STR("t"), &info));
	assert_string_equal(oc_json_str(info.spec, "description", ""), "d");
	assert_false(oc_modules_tool(f->modules, OC_STR("no good"), &info));
	assert_false(oc_modules_tool(f->modules, OC_STR("no_schema"), &info));
	assert_int_equal(number(f, "violations"), 2);
}

/* ---- Stopping ---- */

static void stop_all(fixture *f, uint64_t deadline_ms)
{
	f->done = 0;
	oc_modules_stop(f->modules, deadline_ms, settled, f);
	run_ms(f, 8000);
}

static void stop_ends_everything(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);
	int value = 0;

	begin(f, hangs, o);
	watch = host->timer(self, 5, 5, tick, f);
	assert_int_equal(host->work(self, work_fn, NULL, &value), OC_OK);
	assert_int_equal(host->post(self, note_post, f), OC_OK);
	oc_modules_stop(f->modules, 500, settled, f);
	run_ms(f, 3000); /* the call's end */
	assert_int_equal(f->status, OC_E_UNAVAILABLE);
	run_ms(f, 3000);
	assert_int_equal(stops, 1);
	assert_int_equal(finis, 1);
	assert_int_equal(cancels, 1);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_STOPPED);
	assert_false(oc_guest_running(f->tool));
	assert_int_equal(oc_tool_invoke(f->tool, OC_STR("t"), OC_STR("{}"), OC_STR("{}"), &o, NULL), OC_E_UNAVAILABLE);
	assert_int_equal(number(f, "calls.open"), 0);
	/* What was left of that instance is an error now. */
	host->call_done(held, OC_OK, OC_STR(""));
	assert_null(oc_modules_http_match(f->modules, OC_STR("/hook/x")));
}

static void stop_does_not_wait_for_ever(void **state)
{
	fixture *f = *state;
	uint64_t began = oc_now_ms();

	never_stops = 1;
	stop_all(f, 60);
	assert_int_equal(f->done, 10);
	assert_int_equal(finis, 1);
	assert_true(oc_now_ms() - began >= 55 && oc_now_ms() - began < 3000);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_STOPPED);
}

static void sleeps(void *arg)
{
	(void)arg;
	usleep(150000);
}

static void work_was_waited_for(void *arg, oc_status status)
{
	(void)arg;
	(void)status;
	assert_int_equal(finis, 0); /* the instance is still there */
	worked++;
}

static void stop_waits_for_work(void **state)
{
	fixture *f = *state;

	assert_int_equal(host->work(self, sleeps, work_was_waited_for, f), OC_OK);
	run_ms(f, 20);
	stop_all(f, 1000);
	assert_int_equal(worked, 1);
	assert_int_equal(finis, 1);
	assert_int_equal(f->done, 10);
}

static void configured(fixture *f, const char *json, oc_modules_done *done)
{
	oc_config *config = NULL;

	assert_int_equal(oc_config_load_text(oc_str_of(json), NULL, &config, NULL), OC_OK);
	oc_modules_configure(f->modules, config, done, f);
	oc_config_unref(config);
}

static void allowed_again_while_it_stops(void **state)
{
	fixture *f = *state;

	configured(f, "{\"modules\":{\"deny\":[\"probe\"]}}", NULL);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_STOPPING);
	configured(f, "{}", settled);
	run_ms(f, 3000);
	assert_int_equal(f->done, 10);
	assert_true(stops == 1 && finis == 1);
	assert_true(oc_module_running(f->module));
}

static void tick_on(void *arg)
{
	(void)arg;
	timer_runs++;
}

/* From a pool thread: what is for the loop thread only. */
static void meddle(void *arg)
{
	host->unwatch(arg);
	host->call_done(held, OC_OK, OC_STR("x"));
}

static void other_threads_change_nothing(void **state)
{
	fixture *f = *state;

	begin(f, hangs, options(f));
	watch = host->timer(self, 5, 5, tick_on, f);
	assert_int_equal(host->work(self, meddle, NULL, watch), OC_OK);
	run_ms(f, 2000); /* ends with the call's deadline */
	assert_int_equal(f->status, OC_E_TIMEOUT);
	assert_true(timer_runs > 3);
	host->unwatch(watch);
}

static void starts_again(void **state)
{
	fixture *f = *state;
	oc_guest *before = f->tool;
	oc_tool_info info;

	assert_int_equal(host->post(self, note_post, f), OC_OK);
	f->done = 0;
	oc_module_restart(f->module, settled, f);
	run_ms(f, 3000);
	assert_int_equal(f->done, 10);
	assert_int_equal(finis, 1);
	assert_true(oc_module_running(f->module));
	assert_true(oc_modules_tool(f->modules, OC_STR("t"), &info));
	assert_ptr_equal(info.guest, before);
	f->done = 0;
	begin(f, answers, options(f));
	run_ms(f, 1000);
	assert_int_equal(f->status, OC_OK);
}

static void freed_while_it_runs(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);

	begin(f, hangs, o);
	watch = host->timer(self, 5, 5, tick, f);
	assert_int_equal(host->post(self, note_post, f), OC_OK);
	oc_modules_free(f->modules);
	f->modules = NULL;
	assert_int_equal(finis, 1);
	assert_int_equal(f->status, OC_E_UNAVAILABLE);
	run_ms(f, 30);
	assert_int_equal(timer_runs, 0);
	assert_int_equal(posted, 0);
}

/* ---- Starting that fails ---- */

static void start_all(fixture *f)
{
	oc_modules_start(f->modules, settled, f);
	run_ms(f, 3000);
}

static void init_says_why(void **state)
{
	fixture *f = *state;

	init_status = OC_E_INVALID;
	start_all(f);
	assert_int_equal(f->done, 1);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_REFUSED);
	assert_string_equal(oc_module_reason(f->module), "the moon is in the wrong phase");
	assert_int_equal(finis, 0); /* all or nothing */
	/* And when that has changed, it starts. */
	init_status = OC_OK;
	f->done = 0;
	start_all(f);
	assert_int_equal(f->done, 10);
}

static void start_says_why(void **state)
{
	fixture *f = *state;

	start_status = OC_E_IO;
	start_all(f);
	assert_int_equal(f->done, 1);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_REFUSED);
	assert_non_null(strstr(oc_module_reason(f->module), "no power"));
	assert_int_equal(finis, 1);
	assert_null(oc_modules_http_match(f->modules, OC_STR("/hook/x")));
}

static void stopped_while_it_starts(void **state)
{
	fixture *f = *state;

	never_starts = 1;
	oc_modules_start(f->modules, settled, f);
	run_ms(f, 30);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_STARTING);
	oc_modules_stop(f->modules, 500, NULL, NULL);
	run_ms(f, 500);
	assert_int_equal(f->done, 1); /* who waited for the start hears that it failed */
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_STOPPED);
	assert_int_equal(finis, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_started, teardown)
#define R(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(memory_is_counted_and_limited),
		T(timers_repeat_and_end),
		T(descriptors_are_watched),
		T(posts_come_from_any_thread_and_are_limited),
		T(work_runs_in_the_pool),
		T(services_are_asked_for_by_name_and_version),
		T(secrets_only_by_manifest),
		T(contexts_are_found_by_name),
		T(only_tools_in_order_are_offered),
		T(stop_ends_everything),
		T(stop_does_not_wait_for_ever),
		T(stop_waits_for_work),
		T(allowed_again_while_it_stops),
		T(other_threads_change_nothing),
		T(starts_again),
		T(freed_while_it_runs),
		R(init_says_why),
		R(start_says_why),
		R(stopped_while_it_starts),
	};

	return cmocka_run_group_tests_name("hostapi", tests, NULL, NULL);
}
