/* Unit tests of hot reload: real files, a real loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/config.h"
#include "core/loop/loop.h"

#define DEBOUNCE_MS 40u

static struct world {
	char dir[64];
	oc_loop *loop;
	oc_owner *owner, *timers;
	oc_config_watch *watch;
	oc_watch *limit;
	unsigned changes, failures;
	char paths[400]; /* of the last change */
	char error[600];
	int64_t port;
	bool end_inside;
} w;

static const char *at(const char *name)
{
	static char paths[8][160];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", w.dir, name);
	return path;
}

/* As an editor that writes over the file. */
static void write_over(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* As an editor that puts a new file in its place. */
static void put_new(const char *name, const char *text)
{
	write_over("new~", text);
	assert_int_equal(rename(at("new~"), at(name)), 0);
}

static void on_changed(void *arg, oc_config *after, const oc_config_diff *diff, const oc_err *err)
{
	(void)arg;
	if (after == NULL) {
		w.failures++;
		snprintf(w.error, sizeof w.error, "%s", err->text);
	} else {
		w.changes++;
		w.paths[0] = 0;
		for (size_t i = 0; i < diff->n; i++) {
			size_t used = strlen(w.paths);
			snprintf(w.paths + used, sizeof w.paths - used, "%s%s", i == 0 ? "" : " ", diff->paths[i]);
		}
		w.port = oc_config_i64(after, "gateway.port", -1);
	}
	if (w.end_inside) {
		oc_owner_sweep(w.owner);
		w.watch = NULL;
	}
	oc_loop_stop(w.loop);
}

static void on_limit(void *arg)
{
	oc_loop_stop(arg);
}

/* Runs until something is told, or for this long. */
static void run(uint64_t ms)
{
	oc_watch *limit = oc_timer_start(w.timers, ms, 0, on_limit, w.loop);
	oc_loop_run(w.loop);
	oc_watch_end(limit);
}

static void begin(const char *text)
{
	oc_config *c = NULL;
	oc_err err = {0};
	if (text != NULL)
		write_over("openclaw.json", text);
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_OK);
	if (oc_config_watch_start(w.owner, c, DEBOUNCE_MS, on_changed, NULL, &w.watch, &err) != OC_OK)
		fail_msg("%s", err.text);
	oc_config_unref(c);
	run(5 * DEBOUNCE_MS); /* the first look */
	assert_int_equal(w.changes + w.failures, 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	snprintf(w.dir, sizeof w.dir, "/tmp/octw.XXXXXX");
	if (mkdtemp(w.dir) == NULL || oc_loop_new(&w.loop, NULL) != OC_OK)
		return -1;
	setenv("OPENCLAW_STATE_DIR", w.dir, 1);
	unsetenv("OPENCLAW_CONFIG_PATH");
	w.owner = oc_owner_new(w.loop, "test");
	w.timers = oc_owner_new(w.loop, "timers");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[128];
	oc_owner_free(w.owner); /* ends the watch when the test has not */
	oc_owner_free(w.timers);
	oc_loop_free(w.loop);
	snprintf(command, sizeof command, "rm -rf %s", w.dir);
	return system(command) == 0 ? 0 : -1;
}

static void a_change_is_told_once(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	write_over("openclaw.json", "{gateway: {port: 2}}");
	run(3000);
	assert_int_equal(w.changes, 1);
	assert_string_equal(w.paths, "gateway.port");
	assert_int_equal(w.port, 2);
	run(4 * DEBOUNCE_MS);
	assert_int_equal(w.changes, 1);
	put_new("openclaw.json", "{gateway: {port: 3, bind: 'lan'}}");
	run(3000);
	assert_int_equal(w.changes, 2);
	assert_int_equal(w.port, 3);
	assert_string_equal(w.paths, "gateway.port gateway.bind");
}

static void many_writes_are_one_change(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	for (int i = 2; i < 30; i++) {
		char text[64];
		snprintf(text, sizeof text, "{gateway: {port: %d}}", i);
		put_new("openclaw.json", text);
	}
	run(3000);
	run(4 * DEBOUNCE_MS);
	assert_int_equal(w.changes, 1);
	assert_int_equal(w.port, 29);
}

static void comments_and_other_files_are_no_change(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	put_new("openclaw.json", "// only a comment\n{gateway: {port: 1}}");
	write_over("openclaw.db-wal", "x");
	run(6 * DEBOUNCE_MS);
	assert_int_equal(w.changes + w.failures, 0);
}

static void a_broken_file_changes_nothing(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	write_over("openclaw.json", "{gateway: {port: }}");
	run(3000);
	assert_int_equal(w.failures, 1);
	assert_int_equal(w.changes, 0);
	assert_non_null(strstr(w.error, "line 1, column 18"));
	unlink(at("openclaw.json"));
	run(3000);
	assert_int_equal(w.failures, 2);
	assert_non_null(strstr(w.error, "is gone"));
	write_over("openclaw.json", "{gateway: {port: 1}}"); /* as before, but it is good to know */
	run(3000);
	assert_int_equal(w.changes, 1);
	assert_string_equal(w.paths, "");
	write_over("openclaw.json", "{gateway: {port: 5}}");
	run(3000);
	assert_int_equal(w.changes, 2);
	assert_int_equal(w.port, 5);
}

static void new_problems_are_told(void **state)
{
	(void)state;
	begin("{gateway: {port: 18789}}");
	write_over("openclaw.json", "{gateway: {port: 'x'}}"); /* the default counts: the value is the same */
	run(3000);
	assert_int_equal(w.changes, 1);
	assert_string_equal(w.paths, "");
	write_over("openclaw.json", "\n{gateway: {port: 'x'}}"); /* the same problem on another line */
	run(6 * DEBOUNCE_MS);
	assert_int_equal(w.changes, 1);
	write_over("openclaw.json", "{gateway: {port: 18789}}");
	run(3000);
	assert_int_equal(w.changes, 2);
}

static void a_file_may_appear(void **state)
{
	(void)state;
	begin(NULL);
	put_new("openclaw.json", "{gateway: {port: 7}}");
	run(3000);
	assert_int_equal(w.changes, 1);
	assert_int_equal(w.port, 7);
}

static void included_files_and_variables_count(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("parts"), 0700), 0);
	write_over("parts/g.json5", "{port: 10}");
	begin("{gateway: {$include: 'parts/g.json5'}, channels: {$include: 'parts/later.json5'}, messages: {messagePrefix: '${OCT_W}'}}");
	put_new("parts/g.json5", "{port: 11}");
	run(3000);
	assert_int_equal(w.port, 11);
	assert_string_equal(w.paths, "gateway.port");
	write_over("parts/later.json5", "{irc: {}}");
	run(3000);
	assert_string_equal(w.paths, "channels");
	write_over(".env", "OCT_W=x\n");
	run(3000);
	assert_string_equal(w.paths, "messages.messagePrefix");
	assert_int_equal(w.changes, 3);
}

static void a_linked_file_is_followed(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("a"), 0700), 0);
	assert_int_equal(mkdir(at("b"), 0700), 0);
	write_over("a/c.json", "{gateway: {port: 20}}");
	write_over("b/c.json", "{gateway: {port: 30}}");
	assert_int_equal(symlink(at("a/c.json"), at("openclaw.json")), 0);
	begin(NULL);
	write_over("a/c.json", "{gateway: {port: 21}}");
	run(3000);
	assert_int_equal(w.port, 21);
	assert_int_equal(symlink(at("b/c.json"), at("link~")), 0);
	assert_int_equal(rename(at("link~"), at("openclaw.json")), 0);
	run(3000);
	assert_int_equal(w.port, 30);
	put_new("b/c.json", "{gateway: {port: 31}}"); /* in the new place */
	run(3000);
	assert_int_equal(w.port, 31);
}

static void an_edit_is_a_change_and_now_means_now(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	cJSON *port = cJSON_CreateNumber(99);
	assert_int_equal(oc_config_edit_checked(NULL, &(oc_config_change){"gateway.port", port}, 1, true, NULL, NULL, NULL), OC_OK);
	cJSON_Delete(port);
	oc_config_watch_now(w.watch, true);
	run(3000);
	assert_int_equal(w.changes, 1);
	assert_int_equal(w.port, 99);
}

static void a_change_before_the_watch_is_not_lost(void **state)
{
	(void)state;
	oc_config *c = NULL;
	write_over("openclaw.json", "{gateway: {port: 1}}");
	assert_int_equal(oc_config_load(NULL, &c, NULL), OC_OK);
	write_over("openclaw.json", "{gateway: {port: 2}}");
	assert_int_equal(oc_config_watch_start(w.owner, c, DEBOUNCE_MS, on_changed, NULL, &w.watch, NULL), OC_OK);
	oc_config_unref(c);
	run(3000);
	assert_int_equal(w.port, 2);
}

static void what_modules_said_stays(void **state)
{
	(void)state;
	oc_config *c = NULL;
	oc_auto_json cJSON *schema = cJSON_Parse("{\"properties\":{\"poll\":{\"default\":30}}}");
	write_over("openclaw.json", "{channels: {tg: {}}, gateway: {port: 1}}");
	assert_int_equal(oc_config_load(NULL, &c, NULL), OC_OK);
	assert_int_equal(oc_config_refine(c, "channels.tg", schema), OC_OK);
	assert_int_equal(oc_config_watch_start(w.owner, c, DEBOUNCE_MS, on_changed, NULL, &w.watch, NULL), OC_OK);
	oc_config_unref(c);
	write_over("openclaw.json", "{channels: {tg: {}}, gateway: {port: 2}}");
	run(3000);
	assert_string_equal(w.paths, "gateway.port"); /* not channels.tg.poll */
}

static void it_can_be_ended_from_its_callback(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	w.end_inside = true;
	write_over("openclaw.json", "{gateway: {port: 2}}");
	run(3000);
	assert_int_equal(w.changes, 1);
	write_over("openclaw.json", "{gateway: {port: 3}}");
	run(6 * DEBOUNCE_MS);
	assert_int_equal(w.changes, 1);
}

static const char *with_command(const char *more)
{
	static char text[400];
	snprintf(text, sizeof text,
		 "{secrets: {providers: {x: {source: 'exec', command: '%s/ask'}}}, gateway: {port: 3},"
		 "messages: {messagePrefix: {source: 'exec', provider: 'x', id: 'a'}}%s}",
		 w.dir, more);
	return text;
}

static void commands_of_secrets_do_not_hold_the_loop_up(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	write_over("ask", "#!/bin/sh\necho '{\"protocolVersion\":1,\"values\":{\"a\":\"secret\"}}'\n");
	assert_int_equal(chmod(at("ask"), 0700), 0);
	put_new("openclaw.json", with_command(""));
	run(20000);
	assert_string_equal(w.error, "");
	assert_int_equal(w.changes, 1);
	assert_non_null(strstr(w.paths, "messages.messagePrefix"));
	/* Its answer is known: another change is taken up at once. */
	write_over("ask", "#!/bin/sh\nexit 1\n");
	put_new("openclaw.json", with_command(", logging: {level: 'debug'}"));
	run(20000);
	assert_string_equal(w.paths, "logging.level");
	/* The loop goes on while it is asked (else it would wait for what is written below), and a change meanwhile is not lost. */
	write_over("ask", "#!/bin/sh\necho > asked\nwhile [ ! -e answer ]; do sleep 0.05; done\necho '{\"protocolVersion\":1,\"values\":{\"a\":\"other\"}}'\n");
	oc_config_watch_now(w.watch, true);
	while (access(at("asked"), F_OK) != 0)
		run(20);
	put_new("openclaw.json", with_command(", logging: {level: 'trace'}"));
	run(4 * DEBOUNCE_MS);
	write_over("answer", "");
	w.changes = 0;
	run(20000);
	assert_string_equal(w.paths, "messages.messagePrefix");
	run(20000);
	assert_string_equal(w.paths, "logging.level");
	assert_int_equal(w.changes, 2);
}

static void nobody_waits_for_a_command_at_the_end(void **state)
{
	(void)state;
	begin("{gateway: {port: 1}}");
	write_over("ask", "#!/bin/sh\necho > asked\nexec sleep 600\n");
	assert_int_equal(chmod(at("ask"), 0700), 0);
	put_new("openclaw.json", with_command(""));
	while (access(at("asked"), F_OK) != 0)
		run(20);
	assert_int_equal(w.changes, 0);
	/* Teardown frees the owner and the loop now; the test's own limit would tell. */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_change_is_told_once),
		T(many_writes_are_one_change),
		T(comments_and_other_files_are_no_change),
		T(a_broken_file_changes_nothing),
		T(new_problems_are_told),
		T(a_file_may_appear),
		T(included_files_and_variables_count),
		T(a_linked_file_is_followed),
		T(an_edit_is_a_change_and_now_means_now),
		T(a_change_before_the_watch_is_not_lost),
		T(what_modules_said_stays),
		T(it_can_be_ended_from_its_callback),
		T(commands_of_secrets_do_not_hold_the_loop_up),
		T(nobody_waits_for_a_command_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
