/* core/module/call and hostapi: calls end once, in time and never below their start; handles outlive what they stand for. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/module/call.h"

/* ---- A module whose every step the test decides ---- */

typedef struct fixture {
	oc_loop *loop;
	oc_owner *owner;
	oc_modules *modules;
	oc_module *module;
	oc_guest *tool, *http;
	unsigned long live;
	int done;
	oc_status status;
	char result[300], events[300];
	uint32_t last_type;
	int on_event_busy, depth_at_done, depth;
	oc_call *again;
} fixture;

static fixture *fx;
static const oc_host_api *host;
static oc_self *self;
static void (*behaviour)(oc_call *call, oc_str args);
static oc_call *held;
static int cancels, ended, timer_runs, posted, worked;
static oc_status init_status, start_status = OC_OK;
static int never_starts, never_stops, stops, finis, bad_tools;
static oc_watch *watch;

static oc_status init(const oc_host_api *api, oc_self *s, oc_str config, void **ret)
{
	host = api;
	self = s;
	(void)config;
	*ret = fx;
	if (init_status != OC_OK)
		api->log(s, OC_LOG_ERROR, OC_STR("the moon is in the wrong phase"));
	return init_status;
}

static void start(void *inst, oc_call *call)
{
	assert_ptr_equal(inst, fx);
	if (!never_starts)
		host->call_done(call, start_status, start_status == OC_OK ? OC_STR("") : OC_STR("no power"));
}

static void stop(void *inst, oc_call *call, uint64_t deadline_ms)
{
	assert_ptr_equal(inst, fx);
	assert_true(deadline_ms > 0);
	stops++;
	if (!never_stops)
		host->call_done(call, OC_OK, OC_STR(""));
}

static void fini(void *inst)
{
	assert_ptr_equal(inst, fx);
	finis++;
	assert_null(host->timer(self, 1, 0, NULL, NULL));
}

static oc_str tools(void *inst)
{
	(void)inst;
	if (!bad_tools)
		return OC_STR("[{\"name\":\"t\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}]");
	return OC_STR("[{\"name\":\"t\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}},"
		      "{\"name\":\"no good\",\"description\":\"d\",\"parameters\":{}},"
		      "{\"name\":\"no_schema\",\"description\":\"d\",\"parameters\":{\"type\":17}}]");
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	assert_ptr_equal(inst, fx);
	assert_int_equal(tool.p[tool.n], 0);
	assert_string_equal(tool.p, "t");
	assert_int_equal(args.p[args.n], 0);
	assert_int_equal(context.p[context.n], 0);
	assert_ptr_equal(oc_module_current(), fx->module);
	held = call;
	fx->depth++;
	behaviour(call, args);
	fx->depth--;
}

static void cancel(void *inst, oc_call *call)
{
	(void)inst;
	assert_ptr_equal(call, held);
	cancels++;
}

static void session_end(void *inst, oc_str info)
{
	(void)inst;
	assert_string_equal(info.p, "{\"session\":\"s\"}");
	ended++;
}

static void request(void *inst, oc_call *call, const oc_http_request *r)
{
	(void)inst;
	assert_int_equal(r->struct_size, sizeof(*r));
	assert_string_equal(r->method.p, "GET");
	assert_string_equal(r->path.p, "/hook/x");
	held = call;
	behaviour(call, r->body);
}

static const oc_tool_vtbl tool_vtbl = {
	.struct_size = sizeof(tool_vtbl), .tools = tools, .invoke = invoke, .cancel = cancel, .session_end = session_end};
static const oc_http_vtbl http_vtbl = {.struct_size = sizeof(http_vtbl), .request = request, .cancel = cancel};
static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "t", &tool_vtbl}, {OC_KIND_HTTP, 1, 0, "/hook", &http_vtbl}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "probe",
	.version = "1",
	.ifaces = ifaces,
	.n_ifaces = 2,
	.init = init,
	.start = start,
	.stop = stop,
	.fini = fini,
};
static const char manifest[] = "{\"name\":\"probe\",\"version\":\"1\",\"license\":\"MIT\",\"description\":\"d\","
			       "\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"tool\",\"http\"],\"capabilities\":[\"net\"],"
			       "\"services\":[\"demo\",\"guarded\"],\"secrets\":[\"a.*.key\"]}";

/* ---- Running the loop until something happened ---- */

static void too_long(void *arg)
{
	oc_loop_stop(arg);
}

static void run_ms(fixture *f, uint64_t ms)
{
	oc_watch *guard = oc_timer_start(f->owner, ms, 0, too_long, f->loop);

	oc_loop_run(f->loop);
	oc_watch_end(guard);
}

static void settled(void *arg, unsigned ok, unsigned failed)
{
	fixture *f = arg;

	f->done = (int)(ok * 10 + failed);
	oc_loop_stop(f->loop);
}

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof(*f));
	oc_modules_options o = {.module_dir = "", .user_dir = "", .search_path = "", .no_static = true, .memory_limit = 100000};

	oc_log_set_stderr(false);
	fx = f;
	cancels = ended = timer_runs = posted = worked = never_starts = never_stops = stops = finis = bad_tools = 0;
	init_status = start_status = OC_OK;
	held = NULL;
	watch = NULL;
	f->live = oc_mem_live();
	assert_int_equal(oc_loop_new(&f->loop, NULL), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	assert_int_equal(oc_modules_new(f->loop, NULL, &o, &f->modules, NULL), OC_OK);
	assert_int_equal(oc_modules_add(f->modules, oc_str_of(manifest), &desc, "static", &f->module, NULL), OC_OK);
	*state = f;
	return 0;
}

static int setup_started(void **state)
{
	oc_tool_info info;
	fixture *f;

	setup(state);
	f = *state;
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_VERIFIED);
	oc_modules_start(f->modules, settled, f);
	assert_int_equal(f->done, 0);
	run_ms(f, 2000);
	assert_int_equal(f->done, 10);
	f->done = 0;
	assert_int_equal(oc_module_get_state(f->module), OC_MODULE_STARTED);
	assert_true(oc_modules_tool(f->modules, OC_STR("t"), &info));
	f->tool = info.guest;
	f->http = oc_modules_http_match(f->modules, OC_STR("/hook/x"));
	assert_non_null(f->http);
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;

	oc_modules_free(f->modules);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(oc_mem_live(), f->live);
	free(f);
	return 0;
}

static uint64_t number(fixture *f, const char *path)
{
	cJSON *all = oc_module_describe(f->module, true);
	const cJSON *n = oc_json_path(all, path);
	uint64_t value;

	assert_true(cJSON_IsNumber(n));
	value = (uint64_t)n->valuedouble;
	cJSON_Delete(all);
	return value;
}

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	fixture *f = arg;
	size_t n = strlen(f->events);

	assert_null(oc_module_current()); /* host code runs */
	(void)snprintf(f->events + n, sizeof(f->events) - n, "%.*s", OC_STR_ARG(payload));
	f->last_type = type;
	return f->on_event_busy ? OC_E_BUSY : OC_OK;
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	fixture *f = arg;

	assert_int_equal(result.p[result.n], 0);
	f->depth_at_done = f->depth;
	f->done++;
	f->status = status;
	(void)snprintf(f->result, sizeof(f->result), "%.*s", OC_STR_ARG(result));
	oc_loop_stop(f->loop);
}

static oc_call_options options(fixture *f)
{
	return (oc_call_options){.deadline_ms = 1000, .on_event = on_event, .on_done = on_done, .arg = f};
}

static oc_call *begin(fixture *f, void (*how)(oc_call *, oc_str), oc_call_options o)
{
	oc_call *call = NULL;

	behaviour = how;
	assert_int_equal(oc_tool_invoke(f->tool, OC_STR("t"), OC_STR("{\"a\":1}"), OC_STR("{}"), &o, &call), OC_OK);
	assert_int_equal(f->done, 0); /* never below its start */
	return call;
}

/* ---- Completion ---- */

static void answers(oc_call *call, oc_str args)
{
	host->call_done(call, OC_OK, args);
}

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

static void hangs(oc_call *call, oc_str args)
{
	(void)call;
	(void)args;
}

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
	assert_true(oc_now_ms() - began < OC_CALL_CANCEL_GRACE_MS + 1500);
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
		T(cancel_is_a_request),
		T(cancel_may_come_too_late),
		T(cancel_that_is_not_heard),
		T(abandoned_calls_are_silent),
		T(callers_owner_is_swept),
		T(a_call_from_an_event_starts_on_the_next_turn),
		T(cancelling_from_an_event_waits_too),
		T(http_answers_in_order),
		T(http_without_a_head_is_an_error),
		T(http_prefixes_end_at_a_slash),
		T(open_calls_are_limited),
		T(wrong_kinds_and_missing_functions),
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
		T(starts_again),
		T(freed_while_it_runs),
		R(init_says_why),
		R(start_says_why),
		R(stopped_while_it_starts),
		T(calls_survive_want_of_memory),
	};

	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
