/* core/module/call: calls end once, in time and never below their start; handles outlive what they stand for. */
#include <pthread.h>

#include "tests/unit/probe_module.h"

/* ---- Completion ---- */

static void completes_later_with_its_result(void **state)
{
	fixture *f = *state;
	oc_call *call = begin(f, answers, options(f));

	assert_true(oc_call_is_open(call));
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, OC_OK);
	assert_string_equal(f->result, "{\"a\":1}");
	assert_int_equal(f->depth_at_done, 0);
	assert_false(oc_call_is_open(call));
	assert_int_equal(number(f, "calls.ok"), 2); /* with the start */
	assert_int_equal(number(f, "calls.open"), 0);
	assert_int_equal(number(f, "violations"), 0);
}

static void answers_twice(oc_call *call, oc_str args)
{
	host->call_done(call, OC_OK, args);
	host->call_done(call, OC_E_IO, OC_STR("second"));
}

static void second_completion_is_counted_and_ignored(void **state)
{
	fixture *f = *state;

	begin(f, answers_twice, options(f));
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, OC_OK);
	assert_int_equal(number(f, "violations"), 1);
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_DEGRADED);
	assert_non_null(strstr(oc_module_reason(f->module), "second time"));
	assert_true(oc_module_running(f->module));
	/* And once it is over and gone. */
	host->call_done(held, OC_OK, OC_STR(""));
	assert_int_equal(host->call_event(held, OC_EV_TEXT, OC_STR("x")), OC_E_STATE);
	run_ms(f, 20);
	assert_int_equal(f->done, 1);
}

static void speaks_after_the_end(oc_call *call, oc_str args)
{
	host->call_done(call, OC_OK, args);
	assert_int_equal(host->call_event(call, OC_EV_TEXT, OC_STR("late")), OC_E_STATE);
}

static void event_after_done_is_an_error(void **state)
{
	fixture *f = *state;

	begin(f, speaks_after_the_end, options(f));
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	assert_string_equal(f->events, "");
	assert_int_equal(number(f, "violations"), 1);
}

static void streams(oc_call *call, oc_str args)
{
	(void)args;
	assert_int_equal(host->call_event(call, OC_EV_TEXT, OC_STR("one ")), OC_OK);
	fx->on_event_busy = 1;
	assert_int_equal(host->call_event(call, OC_EV_THINKING, OC_STR("two")), OC_E_BUSY);
	assert_ptr_equal(oc_module_current(), fx->module);
	host->call_done(call, OC_E_RATE_LIMIT, OC_STR("{\"message\":\"slow down\",\"retryAfterMs\":1500}"));
}

static void events_come_at_once_and_errors_carry_details(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	uint64_t after = 0;

	begin(f, streams, options(f));
	assert_string_equal(f->events, "one two");
	assert_int_equal(f->last_type, OC_EV_THINKING);
	run_ms(f, 2000);
	assert_int_equal(f->status, OC_E_RATE_LIMIT);
	oc_call_error(f->status, oc_str_of(f->result), &err, &after);
	assert_string_equal(err.text, "slow down");
	assert_int_equal(err.code, OC_E_RATE_LIMIT);
	assert_int_equal(after, 1500);
	oc_call_error(OC_E_AUTH, OC_STR("plain words"), &err, &after);
	assert_string_equal(err.text, "plain words");
	assert_int_equal(after, 0);
	oc_call_error(OC_E_AUTH, OC_STR(""), &err, NULL);
	assert_string_equal(err.text, "authentication failed");
}

static void answers_nonsense(oc_call *call, oc_str args)
{
	(void)args;
	host->call_done(call, 42, (oc_str){NULL, 0});
}

static void nonsense_becomes_an_error(void **state)
{
	fixture *f = *state;

	begin(f, answers_nonsense, options(f));
	run_ms(f, 2000);
	assert_int_equal(f->status, OC_E_INTERNAL);
	assert_int_equal(number(f, "violations"), 1);
}

static void *answer_from_a_thread(void *arg)
{
	host->call_done(arg, OC_OK, OC_STR("from a thread"));
	assert_int_equal(host->call_event(arg, OC_EV_TEXT, OC_STR("x")), OC_E_STATE);
	return NULL;
}

static void answers_from_a_thread(oc_call *call, oc_str args)
{
	pthread_t thread;

	(void)args;
	assert_int_equal(pthread_create(&thread, NULL, answer_from_a_thread, call), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void another_thread_may_not_answer(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);

	o.deadline_ms = 60;
	begin(f, answers_from_a_thread, o);
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, OC_E_TIMEOUT);
}

/* ---- Deadlines and cancelling ---- */

static void deadline_ends_the_call(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);
	oc_call *call;
	uint64_t began = oc_now_ms();

	o.deadline_ms = 50;
	call = begin(f, hangs, o);
	assert_true(oc_call_remaining(call) > 20 && oc_call_remaining(call) <= 50);
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, OC_E_TIMEOUT);
	assert_non_null(strstr(f->result, "probe"));
	assert_true(oc_now_ms() - began >= 45);
	run_ms(f, 10);
	assert_int_equal(cancels, 1);
	assert_false(oc_call_is_open(call));
	assert_int_equal(oc_call_remaining(call), 0);
	assert_int_equal(number(f, "calls.timedOut"), 1);
	assert_int_equal(number(f, "calls.open"), 1); /* the module still owes its completion */
	assert_int_equal(host->call_event(held, OC_EV_TEXT, OC_STR("x")), OC_E_STATE);
	host->call_done(held, OC_E_CANCELED, OC_STR("")); /* which is quietly taken */
	assert_int_equal(number(f, "calls.open"), 0);
	assert_int_equal(number(f, "violations"), 0);
	assert_int_equal(f->done, 1);
}

static void cancel_is_a_request(void **state)
{
	fixture *f = *state;
	oc_call *call = begin(f, hangs, options(f));

	oc_call_cancel(call);
	assert_int_equal(cancels, 1);
	oc_call_cancel(call);
	assert_int_equal(cancels, 1);
	run_ms(f, 30);
	assert_int_equal(f->done, 0);
	assert_int_equal(host->call_event(held, OC_EV_TEXT, OC_STR("last words")), OC_OK);
	host->call_done(held, OC_E_CANCELED, OC_STR("as asked"));
	run_ms(f, 1000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, OC_E_CANCELED);
	assert_string_equal(f->events, "last words");
	assert_string_equal(f->result, "as asked");
	oc_call_cancel(call); /* over: nothing */
	oc_call_cancel(NULL);
	assert_int_equal(cancels, 1);
}

static void cancel_may_come_too_late(void **state)
{
	fixture *f = *state;
	oc_call *call = begin(f, answers, options(f));

	oc_call_cancel(call); /* it has completed already */
	run_ms(f, 1000);
	assert_int_equal(f->status, OC_OK);
	assert_int_equal(cancels, 0);
}

/* They share one timer: each ends at its own time, whenever it was begun. */
static void deadlines_end_calls_in_their_order(void **state)
{
	static const uint64_t ms[] = {900000, 120, 40, 80};
	fixture *f = *state;
	oc_call_options o = options(f);
	oc_call *calls[4];
	uint64_t began = oc_now_ms();

	for (int i = 0; i < 4; i++) {
		o.deadline_ms = ms[i];
		calls[i] = begin(f, hangs, o);
	}
	for (int i = 1, left[] = {0, 2, 3, 1}; i < 4; i++) {
		held = calls[left[i]]; /* as the module's cancel expects */
		run_ms(f, 2000);
		assert_int_equal(f->done, i);
		assert_int_equal(f->status, OC_E_TIMEOUT);
		assert_false(oc_call_is_open(calls[left[i]]));
		assert_true(oc_now_ms() - began >= ms[left[i]] - 5);
	}
	assert_true(oc_call_is_open(calls[0]));
	assert_true(oc_now_ms() - began < 60000);
	/* The timer has gone off for the last time it had reason to; it is set again. */
	o.deadline_ms = 30;
	f->done = 0;
	begin(f, hangs, o);
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	held = calls[0];
	oc_call_abandon(held);
}

static void cancel_that_is_not_heard(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);
	uint64_t began = oc_now_ms();

	o.deadline_ms = 600000;
	oc_call_cancel(begin(f, hangs, o));
	run_ms(f, 6000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, OC_E_CANCELED);
	assert_true(oc_now_ms() - began < OC_CALL_CANCEL_GRACE_MS + 60000);
	host->call_done(held, OC_OK, OC_STR("after all"));
	assert_int_equal(number(f, "violations"), 0);
}

static void abandoned_calls_are_silent(void **state)
{
	fixture *f = *state;
	oc_call *call = begin(f, hangs, options(f));

	oc_call_abandon(call);
	assert_int_equal(cancels, 1);
	assert_false(oc_call_is_open(call));
	assert_int_equal(host->call_event(held, OC_EV_TEXT, OC_STR("x")), OC_E_STATE);
	host->call_done(held, OC_OK, OC_STR(""));
	run_ms(f, 30);
	assert_int_equal(f->done, 0);
	assert_string_equal(f->events, "");
	/* Also one that has completed, but whose end was not told yet. */
	call = begin(f, answers, options(f));
	oc_call_abandon(call);
	run_ms(f, 30);
	assert_int_equal(f->done, 0);
	assert_int_equal(number(f, "calls.open"), 0);
	assert_int_equal(number(f, "violations"), 0);
}

static void callers_owner_is_swept(void **state)
{
	fixture *f = *state;
	oc_owner *owner = oc_owner_new(f->loop, "turn");
	oc_call_options o = options(f);

	o.owner = owner;
	begin(f, hangs, o);
	oc_owner_free(owner);
	assert_int_equal(cancels, 1);
	host->call_done(held, OC_OK, OC_STR(""));
	run_ms(f, 30);
	assert_int_equal(f->done, 0);
	assert_int_equal(number(f, "calls.open"), 0);
}

/* ---- From inside a guest ---- */

static void invoke_again(void *arg, oc_status status, oc_str result)
{
	fixture *f = arg;

	assert_int_equal(status, OC_OK);
	assert_string_equal(result.p, "{\"inner\":true}");
	f->done += 100;
	oc_loop_stop(f->loop);
}

static oc_status starts_another(void *arg, uint32_t type, oc_str payload)
{
	fixture *f = arg;
	oc_call_options o = {.on_done = invoke_again, .arg = f};
	char args[] = "{\"inner\":true}";
	oc_call *outer = held;

	(void)type;
	(void)payload;
	behaviour = answers;
	assert_int_equal(oc_tool_invoke(f->tool, OC_STR("t"), (oc_str){args, sizeof(args) - 1}, OC_STR("{}"), &o, &f->again), OC_OK);
	memset(args, 'x', sizeof(args) - 1); /* borrowed: copied by now */
	assert_ptr_equal(held, outer);       /* nothing ran below */
	oc_modules_session_end(f->modules, OC_STR("{\"session\":\"s\"}"));
	assert_int_equal(ended, 0);
	return OC_OK;
}

static void says_one(oc_call *call, oc_str args)
{
	(void)host->call_event(call, OC_EV_TEXT, OC_STR("one"));
	host->call_done(call, OC_OK, args);
}

static void a_call_from_an_event_starts_on_the_next_turn(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);

	o.on_event = starts_another;
	o.on_done = NULL;
	begin(f, says_one, o);
	assert_true(oc_call_is_open(f->again));
	run_ms(f, 2000);
	assert_int_equal(f->done, 100);
	assert_int_equal(ended, 1);
	oc_modules_session_end(f->modules, OC_STR("{\"session\":\"s\"}"));
	assert_int_equal(ended, 2);
}

static oc_status starts_and_cancels(void *arg, uint32_t type, oc_str payload)
{
	fixture *f = arg;
	oc_call_options o = options(f);

	(void)type;
	(void)payload;
	behaviour = hangs;
	assert_int_equal(oc_tool_invoke(f->tool, OC_STR("t"), OC_STR("{}"), OC_STR("{}"), &o, &f->again), OC_OK);
	oc_call_cancel(f->again);
	oc_call_cancel(held);
	assert_int_equal(cancels, 0); /* not below the event */
	return OC_OK;
}

static void says_one_and_waits(oc_call *call, oc_str args)
{
	(void)args;
	(void)host->call_event(call, OC_EV_TEXT, OC_STR("one"));
}

static void cancelling_from_an_event_waits_too(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);

	o.on_event = starts_and_cancels;
	begin(f, says_one_and_waits, o);
	run_ms(f, 2000);
	assert_int_equal(f->done, 1); /* the one that never began */
	assert_int_equal(f->status, OC_E_CANCELED);
	assert_int_equal(cancels, 1);
	host->call_done(held, OC_E_CANCELED, OC_STR(""));
	run_ms(f, 2000);
	assert_int_equal(f->done, 2);
}

/* ---- HTTP ---- */

static oc_call *to_cancel;

static oc_status cancels_it(void *arg, uint32_t type, oc_str payload)
{
	(void)arg;
	(void)type;
	(void)payload;
	oc_call_cancel(to_cancel);
	assert_int_equal(cancels, 0); /* the module is on the stack */
	return OC_OK;
}

/* Services of other rooms call modules too (HTTP answers, output of processes): they know the owner only, and that has to do. */
static void callbacks_of_services_are_visits(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);
	uint64_t entered;

	o.on_event = cancels_it;
	to_cancel = begin(f, hangs, o);
	assert_null(oc_module_current());
	entered = oc_owner_enter(oc_module_owner(f->module));
	assert_ptr_equal(oc_module_current(), f->module);
	assert_int_equal(host->call_event(held, OC_EV_TEXT, OC_STR("x")), OC_OK);
	assert_ptr_equal(oc_module_current(), f->module);
	assert_int_equal(cancels, 0);
	oc_owner_leave(oc_module_owner(f->module), entered);
	assert_null(oc_module_current());
	run_ms(f, 20);
	assert_int_equal(cancels, 1);
	host->call_done(held, OC_E_CANCELED, OC_STR("as asked"));
	run_ms(f, 1000);
	assert_int_equal(f->done, 1);
}

static void begin_http(fixture *f, void (*how)(oc_call *, oc_str))
{
	oc_call_options o = options(f);
	oc_http_request r = {
		.struct_size = sizeof(r),
		.method = OC_STR("GET"),
		.path = OC_STR("/hook/x"),
		.query = OC_STR(""),
		.headers = OC_STR("{}"),
		.body = OC_STR("body"),
		.remote = OC_STR("127.0.0.1:1"),
	};

	behaviour = how;
	assert_int_equal(oc_http_module_request(f->http, &r, &o, NULL), OC_OK);
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
}

static void http_right(oc_call *call, oc_str body)
{
	assert_int_equal(host->call_event(call, OC_EV_HTTP_HEAD, OC_STR("H")), OC_OK);
	assert_int_equal(host->call_event(call, OC_EV_HTTP_BODY, body), OC_OK);
	assert_int_equal(host->call_event(call, OC_EV_HTTP_HEAD, OC_STR("H")), OC_E_STATE);
	host->call_done(call, OC_OK, OC_STR(""));
}

static void http_body_first(oc_call *call, oc_str body)
{
	assert_int_equal(host->call_event(call, OC_EV_HTTP_BODY, body), OC_E_STATE);
	host->call_done(call, OC_OK, OC_STR(""));
}

static void http_answers_in_order(void **state)
{
	fixture *f = *state;

	begin_http(f, http_right);
	assert_int_equal(f->status, OC_OK);
	assert_string_equal(f->events, "Hbody");
	assert_int_equal(number(f, "violations"), 1);
}

static void http_without_a_head_is_an_error(void **state)
{
	fixture *f = *state;

	begin_http(f, http_body_first);
	assert_int_equal(f->status, OC_E_INTERNAL);
	assert_string_equal(f->events, "");
	assert_int_equal(number(f, "violations"), 2);
}

static void http_prefixes_end_at_a_slash(void **state)
{
	fixture *f = *state;

	assert_ptr_equal(oc_modules_http_match(f->modules, OC_STR("/hook")), f->http);
	assert_ptr_equal(oc_modules_http_match(f->modules, OC_STR("/hook/a/b")), f->http);
	assert_null(oc_modules_http_match(f->modules, OC_STR("/hooks")));
	assert_null(oc_modules_http_match(f->modules, OC_STR("/")));
}

/* ---- Limits ---- */

static void open_calls_are_limited(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);
	oc_status st = OC_OK;
	unsigned n = 0;

	o.on_done = NULL;
	behaviour = hangs;
	for (; st == OC_OK && n < 10000; n++)
		st = oc_tool_invoke(f->tool, OC_STR("t"), OC_STR("{}"), OC_STR("{}"), &o, NULL);
	assert_int_equal(st, OC_E_LIMIT);
	assert_int_equal(n - 1, OC_CALL_MAX_OPEN);
}

static void wrong_kinds_and_missing_functions(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);

	assert_int_equal(oc_provider_chat(f->tool, OC_STR("{}"), &o, NULL), OC_E_INVALID);
	assert_int_equal(oc_channel_edit(NULL, OC_STR("{}"), &o, NULL), OC_E_INVALID);
	assert_int_equal(oc_http_module_request(f->tool, &(oc_http_request){.struct_size = sizeof(oc_http_request)}, &o, NULL),
			 OC_E_INVALID);
}

/* ---- Out of memory ---- */

static void calls_survive_want_of_memory(void **state)
{
	fixture *f = *state;
	oc_call_options o = options(f);
	unsigned long n;

	behaviour = answers;
	for (n = 1; n < 60; n++) {
		unsigned long before = oc_mem_live();
		oc_status st;

		f->done = 0;
		oc_mem_fail_at(n);
		st = oc_tool_invoke(f->tool, OC_STR("t"), OC_STR("{}"), OC_STR("{}"), &o, NULL);
		oc_mem_fail_at(0);
		if (st == OC_OK)
			run_ms(f, 1500);
		assert_int_equal(f->done, st == OC_OK);
		if (st == OC_OK && f->status == OC_OK && n > 20)
			break;
		(void)before;
	}
	assert_int_equal(number(f, "calls.open"), 0);
	assert_int_equal(f->status, OC_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_started, teardown)
#define R(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(completes_later_with_its_result),
		T(second_completion_is_counted_and_ignored),
		T(event_after_done_is_an_error),
		T(events_come_at_once_and_errors_carry_details),
		T(nonsense_becomes_an_error),
		T(another_thread_may_not_answer),
		T(deadline_ends_the_call),
		T(deadlines_end_calls_in_their_order),
		T(cancel_is_a_request),
		T(cancel_may_come_too_late),
		T(cancel_that_is_not_heard),
		T(abandoned_calls_are_silent),
		T(callers_owner_is_swept),
		T(a_call_from_an_event_starts_on_the_next_turn),
		T(cancelling_from_an_event_waits_too),
		T(callbacks_of_services_are_visits),
		T(http_answers_in_order),
		T(http_without_a_head_is_an_error),
		T(http_prefixes_end_at_a_slash),
		T(open_calls_are_limited),
		T(wrong_kinds_and_missing_functions),
		T(calls_survive_want_of_memory),
	};

	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
