/*
 * A module inside the test, whose every step the test decides, in a registry and a loop of its own.  Included once by a
 * test program.
 */
#ifndef OC_TESTS_PROBE_MODULE_H
#define OC_TESTS_PROBE_MODULE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static __attribute__((unused)) void settled(void *arg, unsigned ok, unsigned failed)
{
	fixture *f = arg;

	f->done = (int)(ok * 10 + failed);
	oc_loop_stop(f->loop);
}

static __attribute__((unused)) int setup(void **state)
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

static __attribute__((unused)) int setup_started(void **state)
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

static __attribute__((unused)) int teardown(void **state)
{
	fixture *f = *state;

	oc_modules_free(f->modules);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(oc_mem_live(), f->live);
	free(f);
	return 0;
}

static __attribute__((unused)) uint64_t number(fixture *f, const char *path)
{
	cJSON *all = oc_module_describe(f->module, true);
	const cJSON *n = oc_json_path(all, path);
	uint64_t value;

	assert_true(cJSON_IsNumber(n));
	value = (uint64_t)n->valuedouble;
	cJSON_Delete(all);
	return value;
}

static __attribute__((unused)) oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	fixture *f = arg;
	size_t n = strlen(f->events);

	assert_null(oc_module_current()); /* host code runs */
	(void)snprintf(f->events + n, sizeof(f->events) - n, "%.*s", OC_STR_ARG(payload));
	f->last_type = type;
	return f->on_event_busy ? OC_E_BUSY : OC_OK;
}

static __attribute__((unused)) void on_done(void *arg, oc_status status, oc_str result)
{
	fixture *f = arg;

	assert_int_equal(result.p[result.n], 0);
	f->depth_at_done = f->depth;
	f->done++;
	f->status = status;
	(void)snprintf(f->result, sizeof(f->result), "%.*s", OC_STR_ARG(result));
	oc_loop_stop(f->loop);
}

static __attribute__((unused)) oc_call_options options(fixture *f)
{
	return (oc_call_options){.deadline_ms = 1000, .on_event = on_event, .on_done = on_done, .arg = f};
}

static __attribute__((unused)) oc_call *begin(fixture *f, void (*how)(oc_call *, oc_str), oc_call_options o)
{
	oc_call *call = NULL;

	behaviour = how;
	assert_int_equal(oc_tool_invoke(f->tool, OC_STR("t"), OC_STR("{\"a\":1}"), OC_STR("{}"), &o, &call), OC_OK);
	assert_int_equal(f->done, 0); /* never below its start */
	return call;
}

/* ---- Behaviours ---- */

static __attribute__((unused)) void answers(oc_call *call, oc_str args)
{
	host->call_done(call, OC_OK, args);
}

static __attribute__((unused)) void hangs(oc_call *call, oc_str args)
{
	(void)call;
	(void)args;
}

#endif
