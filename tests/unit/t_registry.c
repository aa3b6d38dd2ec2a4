/* core/module/registry, scan, policy, lifecycle: what is found, what may run, and the real .so files of tests/modules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
#include "core/module/call.h"
#include "core/module/loader.h"

typedef struct fixture {
	oc_loop *loop;
	oc_owner *owner;
	oc_hooks *hooks;
	oc_modules *modules;
	oc_config *config;
	unsigned long live;
	char top[200], bundled[250], user[250], path[250];
	int done, states;
	oc_status status;
	char result[500], events[500];
	bool blocked;
	char reason[200];
	int errors;
} fixture;

/* ---- Folders and files ---- */

static const char *file_in(const char *folder, const char *name)
{
	static char path[4][400];
	static int at;

	at = (at + 1) % 4;
	(void)snprintf(path[at], sizeof(path[0]), "%s/%s", folder, name);
	return path[at];
}

static const char *put(const char *module, const char *folder, const char *name)
{
	char from[500];
	char *bytes = NULL;
	size_t n = 0;
	const char *to = file_in(folder, name);

	(void)snprintf(from, sizeof(from), "%s/tests/modules/.libs/%s.so", getenv("OC_TOP_BUILDDIR"), module);
	if (oc_path_read(from, 64u << 20, &bytes, &n, NULL) != OC_OK)
		fail_msg("cannot read %s", from);
	(void)unlink(to);
	assert_int_equal(oc_path_write(to, bytes, n, 0644, NULL), OC_OK);
	oc_free(bytes);
	return to;
}

static void configure(fixture *f, const char *json)
{
	oc_config_unref(f->config);
	f->config = NULL;
	assert_int_equal(oc_config_load_text(oc_str_of(json), NULL, &f->config, NULL), OC_OK);
}

/* A configuration that enables a file under a name. */
static void enable(fixture *f, const char *name, const char *path, const char *more)
{
	oc_module_file file = {.fd = -1};
	char sha[65], json[1000];

	assert_int_equal(oc_loader_open(path, false, &file, NULL), OC_OK);
	assert_int_equal(oc_loader_sha256(&file, sha, NULL), OC_OK);
	oc_loader_close(&file);
	(void)snprintf(json, sizeof(json), "{\"modules\":{\"entries\":{\"%s\":{\"enabled\":true,\"sha256\":\"%s\"%s}}}}", name, sha,
		       more);
	configure(f, json);
}

static void open_registry(fixture *f)
{
	oc_modules_options o = {.hooks = f->hooks, .module_dir = f->bundled, .user_dir = f->user, .search_path = f->path, .no_static = true};

	oc_modules_free(f->modules);
	f->modules = NULL;
	assert_int_equal(oc_modules_new(f->loop, f->config, &o, &f->modules, NULL), OC_OK);
	assert_int_equal(oc_modules_scan(f->modules, NULL), OC_OK);
}

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof(*f));

	oc_log_set_stderr(false);
	(void)snprintf(f->top, sizeof(f->top), "%s/reg.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(f->top));
	(void)snprintf(f->bundled, sizeof(f->bundled), "%s/bundled", f->top);
	(void)snprintf(f->user, sizeof(f->user), "%s/user", f->top);
	(void)snprintf(f->path, sizeof(f->path), "%s/path", f->top);
	assert_int_equal(mkdir(f->bundled, 0755) | mkdir(f->user, 0755) | mkdir(f->path, 0755), 0);
	f->live = oc_mem_live();
	assert_int_equal(oc_loop_new(&f->loop, NULL), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	assert_int_equal(oc_hooks_new(f->loop, &f->hooks, NULL), OC_OK);
	configure(f, "{}");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;

	oc_modules_free(f->modules);
	oc_hooks_free(f->hooks);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	oc_config_unref(f->config);
	assert_int_equal(oc_mem_live(), f->live);
	free(f);
	return 0;
}

static void is(fixture *f, const char *name, oc_module_state state, const char *reason)
{
	oc_module *m = oc_modules_find(f->modules, name);

	if (m == NULL)
		fail_msg("no module %s", name);
	if (oc_module_get_state(m) != state || strstr(oc_module_reason(m), reason) == NULL)
		fail_msg("%s is %s (%s), not %s (%s)", name, oc_module_state_name(oc_module_get_state(m)), oc_module_reason(m),
			 oc_module_state_name(state), reason);
	assert_int_equal(reason[0] != '\0' && oc_module_remedy(m)[0] == '\0', 0);
	assert_int_equal(oc_module_enabled(m), state == OC_MODULE_VERIFIED || oc_module_running(m));
}

static bool count_one(void *arg, oc_module *module)
{
	(void)module;
	++*(unsigned *)arg;
	return true;
}

static unsigned count(fixture *f)
{
	unsigned n = 0;

	oc_modules_each(f->modules, count_one, &n);
	return n;
}

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

static void start(fixture *f)
{
	f->done = -1;
	oc_modules_start(f->modules, settled, f);
	run_ms(f, 5000);
}

static void stop(fixture *f)
{
	f->done = -1;
	oc_modules_stop(f->modules, 1000, settled, f);
	run_ms(f, 5000);
	assert_int_not_equal(f->done, -1);
}

/* ---- Finding ---- */

static void nothing_there(void **state)
{
	fixture *f = *state;

	open_registry(f);
	assert_int_equal(count(f), 0);
	assert_null(oc_modules_find(f->modules, "x"));
	start(f);
	assert_int_equal(f->done, 0);
}

static void a_file_appears_and_goes(void **state)
{
	fixture *f = *state;
	const char *path;

	open_registry(f);
	path = put("good_tool", f->user, "whatever.so");
	(void)put("good_tool", f->user, "not-a-module.txt");
	assert_int_equal(oc_modules_scan(f->modules, NULL), OC_OK);
	assert_int_equal(count(f), 1);
	is(f, "good-tool", OC_MODULE_DISABLED, "not enabled");
	assert_string_equal(oc_module_remedy(oc_modules_find(f->modules, "good-tool")), "openclaw module enable good-tool");
	assert_string_equal(oc_module_path(oc_modules_find(f->modules, "good-tool")), path);
	assert_string_equal(oc_module_origin(oc_modules_find(f->modules, "good-tool")), "user");
	assert_string_equal(oc_module_version(oc_modules_find(f->modules, "good-tool")), "1.0.0");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(oc_modules_scan(f->modules, NULL), OC_OK);
	assert_int_equal(count(f), 0);
}

static void bundled_is_enabled_third_party_is_not(void **state)
{
	fixture *f = *state;

	put("good_tool", f->bundled, "good_tool.so");
	put("good_kinds", f->path, "good_kinds.so");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_VERIFIED, "");
	assert_true(oc_module_bundled(oc_modules_find(f->modules, "good-tool")));
	is(f, "good-kinds", OC_MODULE_DISABLED, "not enabled");
	assert_false(oc_module_bundled(oc_modules_find(f->modules, "good-kinds")));
	start(f);
	assert_int_equal(f->done, 10);
	is(f, "good-tool", OC_MODULE_STARTED, "");
}

static void every_fault_is_listed_with_its_reason(void **state)
{
	fixture *f = *state;
	const char *path;

	assert_int_equal(mkdir(file_in(f->bundled, "folder.so"), 0755), 0);
	assert_int_equal(symlink("x", file_in(f->bundled, "link.so")), 0);
	assert_int_equal(oc_path_write(file_in(f->bundled, "text.so"), "hello", 5, 0644, NULL), OC_OK);
	put("no_manifest", f->bundled, "plain.so");
	path = put("good_kinds", f->bundled, "open.so");
	assert_int_equal(chmod(path, 0666), 0);
	put("bad_symbol", f->bundled, "bad_symbol.so");
	put("good_tool", f->bundled, "good_tool.so");
	open_registry(f);
	assert_int_equal(count(f), 7);
	is(f, "folder", OC_MODULE_REFUSED, "a folder, not a module");
	is(f, "link", OC_MODULE_REFUSED, "symbolic link");
	is(f, "text", OC_MODULE_REFUSED, "not a shared object");
	is(f, "plain", OC_MODULE_REFUSED, "without a manifest");
	is(f, "open", OC_MODULE_REFUSED, "can be written by");
	is(f, "bad", OC_MODULE_VERIFIED, "");
	start(f);
	assert_int_equal(f->done, 11); /* the good one runs all the same */
	is(f, "good-tool", OC_MODULE_STARTED, "");
	assert_int_equal(oc_module_get_state(oc_modules_find(f->modules, "bad")), OC_MODULE_REFUSED);
	assert_non_null(strstr(oc_module_reason(oc_modules_find(f->modules, "bad")), "oc_module_v1 is missing"));
	/* What has been put right is taken up. */
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(oc_modules_scan(f->modules, NULL), OC_OK);
	is(f, "good-kinds", OC_MODULE_VERIFIED, "");
}

static void folder_that_others_can_write(void **state)
{
	fixture *f = *state;

	put("good_tool", f->user, "good_tool.so");
	assert_int_equal(chmod(f->user, 0777), 0);
	open_registry(f);
	is(f, "good_tool", OC_MODULE_REFUSED, "module folder can be written by");
}

static void one_file_by_two_ways_is_one_module(void **state)
{
	fixture *f = *state;

	put("good_tool", f->bundled, "good_tool.so");
	(void)snprintf(f->path, sizeof(f->path), "%s", f->bundled);
	assert_int_equal(link(file_in(f->bundled, "good_tool.so"), file_in(f->user, "hard.so")), 0);
	open_registry(f);
	assert_int_equal(count(f), 1);
	is(f, "good-tool", OC_MODULE_VERIFIED, ""); /* bundled, whichever way it was reached first */
	assert_true(oc_module_bundled(oc_modules_find(f->modules, "good-tool")));
}

static void a_stranger_does_not_take_a_bundled_name(void **state)
{
	fixture *f = *state;
	const char *stranger;
	oc_module *m;

	put("good_tool", f->bundled, "good_tool.so");
	stranger = put("good_tool", f->path, "good_tool.so");
	open_registry(f);
	assert_int_equal(count(f), 2);
	m = oc_modules_find(f->modules, "good-tool");
	assert_true(oc_module_bundled(m));
	assert_true(oc_module_enabled(m));
	/* Unless the operator confirmed exactly that file. */
	enable(f, "good-tool", stranger, "");
	open_registry(f);
	m = oc_modules_find(f->modules, "good-tool");
	assert_false(oc_module_bundled(m));
	assert_true(oc_module_enabled(m));
	start(f);
	assert_int_equal(f->done, 10);
}

static void single_files_and_folders_from_the_configuration(void **state)
{
	fixture *f = *state;
	char json[900];

	assert_int_equal(mkdir(file_in(f->top, "more"), 0755), 0);
	put("good_tool", file_in(f->top, "more"), "a.so");
	put("good_kinds", f->top, "single.so");
	(void)snprintf(json, sizeof(json), "{\"modules\":{\"paths\":[\"%s/more\",\"%s/single.so\",\"%s/nowhere\"]}}", f->top, f->top,
		       f->top);
	configure(f, json);
	open_registry(f);
	assert_int_equal(count(f), 2);
	assert_string_equal(oc_module_origin(oc_modules_find(f->modules, "good-kinds")), "config");
}

static void looking_needs_no_loop(void **state)
{
	fixture *f = *state;
	oc_modules_options o = {.module_dir = f->bundled, .user_dir = "", .search_path = "", .no_static = true};
	cJSON *list;

	put("good_tool", f->bundled, "good_tool.so");
	assert_int_equal(oc_modules_new(NULL, f->config, &o, &f->modules, NULL), OC_OK);
	assert_int_equal(oc_modules_scan(f->modules, NULL), OC_OK);
	list = oc_modules_describe(f->modules);
	assert_string_equal(oc_json_str(oc_json_path(list, "[0]"), "name", ""), "good-tool");
	assert_string_equal(oc_json_str(oc_json_path(list, "[0]"), "license", ""), "MIT");
	assert_string_equal(oc_json_str(oc_json_path(list, "[0]"), "state", ""), "verified");
	cJSON_Delete(list);
}

/* ---- Enabling ---- */

static void enabled_with_its_hash(void **state)
{
	fixture *f = *state;
	const char *path = put("good_tool", f->user, "good_tool.so");
	char sha[65];
	FILE *file;

	enable(f, "good-tool", path, "");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_VERIFIED, "");
	assert_int_equal(oc_module_sha256(oc_modules_find(f->modules, "good-tool"), sha, NULL), OC_OK);
	assert_int_equal(strlen(sha), 64);
	/* One byte more at the end: still a good module, but not the one that was confirmed. */
	file = fopen(path, "ab");
	assert_non_null(file);
	assert_int_equal(fwrite("x", 1, 1, file), 1);
	assert_int_equal(fclose(file), 0);
	open_registry(f);
	is(f, "good-tool", OC_MODULE_REFUSED, "changed since it was enabled");
	start(f);
	assert_int_equal(f->done, 0);
}

static void enabled_without_its_hash_is_not_enough(void **state)
{
	fixture *f = *state;

	put("good_tool", f->user, "good_tool.so");
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"enabled\":true}}}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_DISABLED, "no sha256");
}

static void switches_of_the_configuration(void **state)
{
	fixture *f = *state;

	put("good_tool", f->bundled, "good_tool.so");
	configure(f, "{\"modules\":{\"enabled\":false}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_DISABLED, "modules.enabled");
	configure(f, "{\"modules\":{\"deny\":[\"good-tool\"]}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_DISABLED, "modules.deny");
	configure(f, "{\"modules\":{\"allow\":[\"other\"]}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_DISABLED, "modules.allow");
	configure(f, "{\"modules\":{\"allow\":[\"good-tool\"]}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_VERIFIED, "");
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"enabled\":false}}}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_DISABLED, "disabled by the configuration");
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"isolation\":\"process\"}}}}");
	open_registry(f);
	is(f, "good-tool", OC_MODULE_REFUSED, "process of its own");
}

/* ---- Running ---- */

static void on_done(void *arg, oc_status status, oc_str result)
{
	fixture *f = arg;

	f->done++;
	f->status = status;
	(void)snprintf(f->result, sizeof(f->result), "%.*s", OC_STR_ARG(result));
	oc_loop_stop(f->loop);
}

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	fixture *f = arg;
	size_t n = strlen(f->events);

	(void)snprintf(f->events + n, sizeof(f->events) - n, "%u:%.*s;", type, OC_STR_ARG(payload));
	return OC_OK;
}

static oc_call_options options(fixture *f)
{
	f->done = 0;
	f->status = OC_E_INTERNAL;
	f->result[0] = f->events[0] = '\0';
	return (oc_call_options){.deadline_ms = 3000, .on_event = on_event, .on_done = on_done, .arg = f};
}

static void use(fixture *f, const char *tool, const char *args, oc_status status, const char *result)
{
	oc_tool_info info;
	oc_call_options o = options(f);

	assert_true(oc_modules_tool(f->modules, oc_str_of(tool), &info));
	assert_int_equal(oc_tool_invoke(info.guest, oc_str_of(tool), oc_str_of(args), OC_STR("{}"), &o, NULL), OC_OK);
	run_ms(f, 4000);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->status, status);
	if (strstr(f->result, result) == NULL)
		fail_msg("%s answered %s", tool, f->result);
}

static void start_both(fixture *f, const char *config)
{
	put("good_tool", f->bundled, "good_tool.so");
	put("good_kinds", f->bundled, "good_kinds.so");
	configure(f, config);
	open_registry(f);
	start(f);
	assert_int_equal(f->done, 20);
}

static bool tool_name(void *arg, const oc_tool_info *tool)
{
	fixture *f = arg;
	size_t n = strlen(f->events);

	(void)snprintf(f->events + n, sizeof(f->events) - n, "%s ", tool->name);
	return strcmp(tool->name, "wait") != 0;
}

static void tools_do_what_they_say(void **state)
{
	fixture *f = *state;
	oc_call_options o;
	oc_tool_info info;
	oc_call *call = NULL;

	start_both(f, "{\"models\":{\"providers\":{\"x\":{\"apiKey\":\"sesame\"}}}}");
	f->events[0] = '\0';
	oc_modules_each_tool(f->modules, tool_name, f);
	assert_string_equal(f->events, "config echo secret sum wait ");
	use(f, "echo", "{\"hello\":1}", OC_OK, "{\"hello\":1}");
	use(f, "work", "{}", OC_OK, "5050");
	use(f, "wait", "{}", OC_OK, "waited");
	assert_string_equal(f->events, "5:waited;");
	use(f, "sum", "{\"a\":2,\"b\":40}", OC_OK, "{\"sum\":42}");
	use(f, "sum", "{}", OC_E_INVALID, "needs a and b");
	use(f, "secret", "models.providers.x.apiKey", OC_OK, "sesame");
	use(f, "secret", "models.providers.y.apiKey", OC_E_NOT_FOUND, "");
	use(f, "secret", "gateway.auth.token", OC_E_DENIED, "");
	/* Cancelled, it says so by itself. */
	o = options(f);
	assert_true(oc_modules_tool(f->modules, OC_STR("wait"), &info));
	assert_int_equal(oc_tool_invoke(info.guest, OC_STR("wait"), OC_STR("{}"), OC_STR("{}"), &o, &call), OC_OK);
	oc_call_cancel(call);
	run_ms(f, 2000);
	assert_int_equal(f->status, OC_E_CANCELED);
	stop(f);
}

static void other_kinds_are_found_and_answer(void **state)
{
	fixture *f = *state;
	oc_call_options o;
	oc_guest *g;
	cJSON *known;

	start_both(f, "{}");
	g = oc_modules_provider(f->modules, OC_STR("good-api"));
	assert_non_null(g);
	assert_true(oc_guest_has(g, "models"));
	o = options(f);
	assert_int_equal(oc_provider_chat(g, OC_STR("{}"), &o, NULL), OC_OK);
	run_ms(f, 2000);
	assert_string_equal(f->events, "1:good ;1:answer;4:{\"input\":1,\"output\":2};");
	assert_string_equal(f->result, "{\"stopReason\":\"stop\",\"model\":\"one\"}");

	g = oc_modules_channel(f->modules, OC_STR("goodchat"));
	assert_non_null(g);
	assert_int_equal(oc_guest_flags(g), OC_CHANNEL_EDITS);
	assert_true(oc_guest_has(g, "edit"));
	assert_false(oc_guest_has(g, "probe"));
	o = options(f);
	assert_int_equal(oc_channel_probe(g, OC_STR("{}"), &o, NULL), OC_E_UNSUPPORTED);
	assert_int_equal(oc_channel_send(g, OC_STR("{}"), &o, NULL), OC_OK);
	run_ms(f, 2000);
	assert_string_equal(f->result, "{\"messageId\":\"1\"}");

	assert_non_null(oc_modules_service(f->modules, OC_STR("good.sum"), 1));
	assert_null(oc_modules_service(f->modules, OC_STR("good.sum"), 2));
	assert_non_null(oc_modules_http_match(f->modules, OC_STR("/good/x")));
	assert_null(oc_modules_channel(f->modules, OC_STR("telegram")));

	known = oc_modules_known_providers(f->modules);
	assert_string_equal(oc_json_str(oc_json_path(known, "[0]"), "id", ""), "good");
	assert_string_equal(oc_json_str(oc_json_path(known, "[0]"), "module", ""), "good-kinds");
	cJSON_Delete(known);
	known = oc_modules_known_channels(f->modules);
	assert_string_equal(oc_json_str(oc_json_path(known, "[0]"), "id", ""), "goodchat");
	cJSON_Delete(known);
	stop(f);
}

static void hooked(void *arg, const oc_hook_result *r)
{
	fixture *f = arg;

	f->done++;
	f->blocked = r->blocked;
	(void)snprintf(f->reason, sizeof(f->reason), "%s|%s", r->by, r->reason);
	oc_loop_stop(f->loop);
}

static void hook_guests_take_part(void **state)
{
	fixture *f = *state;

	start_both(f, "{}");
	f->done = 0;
	assert_true(oc_hooks_wanted(f->hooks, OC_HOOK_BEFORE_TOOL_CALL));
	assert_int_equal(oc_hooks_fire(f->hooks, OC_HOOK_BEFORE_TOOL_CALL, cJSON_Parse("{\"toolName\":\"forbidden\"}"), NULL, hooked, f),
			 OC_OK);
	run_ms(f, 2000);
	assert_int_equal(f->done, 1);
	assert_true(f->blocked);
	assert_string_equal(f->reason, "module good-kinds|forbidden by good-kinds");
	assert_int_equal(oc_hooks_fire(f->hooks, OC_HOOK_BEFORE_TOOL_CALL, cJSON_Parse("{\"toolName\":\"fine\"}"), NULL, hooked, f), OC_OK);
	run_ms(f, 2000);
	assert_int_equal(f->done, 2);
	assert_false(f->blocked);
	stop(f);
	assert_false(oc_hooks_wanted(f->hooks, OC_HOOK_BEFORE_TOOL_CALL));
}

static void settings_are_checked_and_filled_and_without_secrets(void **state)
{
	fixture *f = *state;
	oc_module *m;

	put("good_tool", f->bundled, "good_tool.so");
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"apiKey\":\"sesame\"}}}}}");
	open_registry(f);
	start(f);
	use(f, "config", "{}", OC_OK, "{\"greeting\":\"hello\"}");
	stop(f);
	/* Also what the schema calls sensitive below lists and members of any name. */
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"boxes\":{\"a\":{\"pin\":\"1234\",\"size\":1,\"keys\":[\"k1\"],"
		     "\"shelf\":[{\"code\":{\"v\":\"1234\"},\"n\":2}]}}}}}}}");
	open_registry(f);
	start(f);
	use(f, "config", "{}", OC_OK,
	    "{\"boxes\":{\"a\":{\"size\":1,\"keys\":[],\"shelf\":[{\"n\":2}]}},\"greeting\":\"hello\"}");
	stop(f);
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"gretting\":\"x\"}}}}}");
	open_registry(f);
	start(f);
	assert_int_equal(f->done, 1);
	m = oc_modules_find(f->modules, "good-tool");
	assert_int_equal(oc_module_get_state(m), OC_MODULE_REFUSED);
	assert_non_null(strstr(oc_module_reason(m), "modules.entries.good-tool.config"));
	assert_non_null(strstr(oc_module_reason(m), "gretting"));
	configure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"refuse\":true}}}}}");
	open_registry(f);
	start(f);
	m = oc_modules_find(f->modules, "good-tool");
	assert_string_equal(oc_module_reason(m), "told to refuse by its settings");
}

static void reconfigure(fixture *f, const char *json)
{
	configure(f, json);
	f->done = -1;
	oc_modules_configure(f->modules, f->config, settled, f);
	run_ms(f, 4000);
	assert_int_not_equal(f->done, -1);
}

static void new_settings_reach_a_running_module(void **state)
{
	fixture *f = *state;
	oc_module *m;

	put("good_tool", f->bundled, "good_tool.so");
	open_registry(f);
	start(f);
	m = oc_modules_find(f->modules, "good-tool");
	reconfigure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"greeting\":\"hi\"}}}}}");
	use(f, "config", "{}", OC_OK, "{\"greeting\":\"hi\"}");
	/* The module refuses: the old ones stay. */
	reconfigure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"refuse\":true}}}}}");
	use(f, "config", "{}", OC_OK, "{\"greeting\":\"hi\"}");
	/* It asks for a restart. */
	reconfigure(f, "{\"modules\":{\"entries\":{\"good-tool\":{\"config\":{\"greeting\":\"restart\"}}}}}");
	assert_int_equal(f->done, 10);
	use(f, "config", "{}", OC_OK, "{\"greeting\":\"restart\"}");
	/* Disabled, and enabled again. */
	reconfigure(f, "{\"modules\":{\"deny\":[\"good-tool\"]}}");
	assert_false(oc_module_running(m));
	assert_int_equal(oc_module_get_state(m), OC_MODULE_DISABLED);
	reconfigure(f, "{}");
	assert_true(oc_module_running(m));
	use(f, "config", "{}", OC_OK, "{\"greeting\":\"hello\"}");
	/* The same again changes nothing. */
	reconfigure(f, "{}");
	assert_int_equal(f->done, 0);
	stop(f);
	assert_int_equal(oc_module_get_state(m), OC_MODULE_STOPPED);
}

static void a_file_enabled_while_the_gateway_runs(void **state)
{
	fixture *f = *state;
	const char *path;

	open_registry(f);
	start(f);
	path = put("good_kinds", f->user, "good_kinds.so");
	enable(f, "good-kinds", path, "");
	f->done = -1;
	oc_modules_configure(f->modules, f->config, settled, f);
	run_ms(f, 4000);
	assert_int_equal(f->done, 10);
	is(f, "good-kinds", OC_MODULE_STARTED, "");
	assert_non_null(oc_modules_provider(f->modules, OC_STR("good-api")));
	stop(f);
}

static void state_changed(void *arg, oc_module *module)
{
	fixture *f = arg;
	size_t n = strlen(f->events);

	f->states++;
	(void)snprintf(f->events + n, sizeof(f->events) - n, "%s ", oc_module_state_name(oc_module_get_state(module)));
}

static void count_states(void *arg, oc_module *module)
{
	(void)module;
	++*(int *)arg;
}

static void failures_are_told(void **state)
{
	fixture *f = *state;

	put("bad_null", f->bundled, "bad_null.so");
	open_registry(f);
	int others = 0, gone = 0;
	assert_int_equal(oc_modules_on_state(f->modules, state_changed, f), OC_OK);
	assert_int_equal(oc_modules_on_state(f->modules, count_states, &gone), OC_OK);
	assert_int_equal(oc_modules_on_state(f->modules, count_states, &others), OC_OK);
	oc_modules_off_state(f->modules, &gone);
	start(f);
	run_ms(f, 20);
	assert_int_equal(f->done == 1 || f->states > 0, 1);
	assert_string_equal(f->events, "refused ");
	assert_true(others == f->states && gone == 0);
}

static bool is_error(void *arg, oc_hook_turn *turn, const cJSON *payload)
{
	fixture *f = arg;

	f->errors++;
	(void)snprintf(f->reason, sizeof(f->reason), "%s: %s", oc_json_str(payload, "module", ""), oc_json_str(payload, "error", ""));
	oc_hook_answer(turn, OC_OK, NULL, NULL);
	return true;
}

static void on_error(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	(void)hook;
	(void)is_error(arg, turn, payload);
}

static void the_error_hook_hears_of_it(void **state)
{
	fixture *f = *state;
	oc_hook_subscription s = {.hook = "error", .fn = on_error, .arg = f};

	assert_int_equal(oc_hooks_subscribe(f->hooks, &s, NULL, NULL), OC_OK);
	put("bad_null", f->bundled, "bad_null.so");
	open_registry(f);
	start(f);
	run_ms(f, 50);
	assert_int_equal(f->errors, 1);
	assert_non_null(strstr(f->reason, "bad: oc_module_v1 returned nothing"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(nothing_there),
		T(a_file_appears_and_goes),
		T(bundled_is_enabled_third_party_is_not),
		T(every_fault_is_listed_with_its_reason),
		T(folder_that_others_can_write),
		T(one_file_by_two_ways_is_one_module),
		T(a_stranger_does_not_take_a_bundled_name),
		T(single_files_and_folders_from_the_configuration),
		T(looking_needs_no_loop),
		T(enabled_with_its_hash),
		T(enabled_without_its_hash_is_not_enough),
		T(switches_of_the_configuration),
		T(tools_do_what_they_say),
		T(other_kinds_are_found_and_answer),
		T(hook_guests_take_part),
		T(settings_are_checked_and_filled_and_without_secrets),
		T(new_settings_reach_a_running_module),
		T(a_file_enabled_while_the_gateway_runs),
		T(failures_are_told),
		T(the_error_hook_hears_of_it),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
