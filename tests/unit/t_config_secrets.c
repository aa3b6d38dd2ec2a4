/* Unit tests of where a configuration's secrets come from: the .env file, secret files, commands. */
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

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"

static char dir[64]; /* the state folder of this test */

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/octsec.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	setenv("OPENCLAW_STATE_DIR", dir, 1);
	unsetenv("OPENCLAW_CONFIG_PATH");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command) == 0 ? 0 : -1; /* tests may: the folder is ours */
}

static void put(const char *name, const char *text, mode_t mode)
{
	oc_auto_free char *path = oc_path_join(dir, name);
	assert_int_equal(oc_path_write(path, text, strlen(text), mode, NULL), OC_OK);
	assert_int_equal(chmod(path, mode), 0);
}

/* The configuration with every @ replaced by the test's folder. */
static char *text_of(const char *text)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 16);
	for (; *text != 0; text++)
		if (*text == '@')
			oc_sbuf_z(&b, dir);
		else
			oc_sbuf_char(&b, *text);
	return oc_sbuf_take(&b);
}

static oc_config *load(const char *text)
{
	oc_auto_free char *whole = text_of(text), *path = oc_path_config();
	oc_config *c = NULL;
	oc_err err = {0};
	put("openclaw.json", whole, 0600);
	if (oc_config_load_secrets(path, &c, &err) != OC_OK)
		fail_msg("%s", err.text);
	return c;
}

static void assert_key(const oc_config *c, const char *expected)
{
	if (oc_config_problem_count(c) > 0)
		fail_msg("%s", oc_config_problem_at(c, 0)->message);
	assert_string_equal(oc_config_str(c, "models.providers.p.apiKey", "none"), expected);
}

/* The one problem is that p's key fails, which costs p alone. */
static void assert_fails(oc_config *c, const char *part)
{
	assert_int_equal(oc_config_problem_count(c), 1);
	const oc_config_problem *p = oc_config_problem_at(c, 0);
	if (strstr(p->message, part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, p->message);
	assert_string_equal(p->path, "models.providers.p.apiKey");
	assert_string_equal(p->section, "models.providers.p");
	assert_int_equal(p->severity, OC_CONFIG_ERROR);
	assert_true(p->remedy[0] != 0);
	assert_null(oc_config_get(c, "models.providers.p"));
	oc_config_unref(c);
}

#define KEY(source, provider, id) "models: {providers: {p: {apiKey: {source: '" source "', provider: '" provider "', id: '" id "'}}}}"

/* ---- .env ---- */

static void the_last_of_two_lines_counts(void **state)
{
	(void)state;
	put(".env", "\xEF\xBB\xBFOCS_ONE=old\nOCS_TWO=\"open\nexport OCS_ONE=new\nOCS_THREE=3\n", 0600);
	oc_config *c = load("{}");
	assert_string_equal(oc_config_env(c, "OCS_ONE"), "new");
	/* A quote that does not end costs its line, not the rest of the file. */
	assert_null(oc_config_env(c, "OCS_TWO"));
	assert_string_equal(oc_config_env(c, "OCS_THREE"), "3");
	assert_int_equal(oc_config_problem_count(c), 1);
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "line 2 is not understood"));
	oc_config_unref(c);
}

static void a_file_that_is_no_env_file_has_an_end(void **state)
{
	(void)state;
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	while (b.n < 900000)
		oc_sbuf_z(&b, "what is this\n");
	put(".env", b.p, 0600);
	oc_config *c = load("{}");
	assert_true(oc_config_problem_count(c) > 2 && oc_config_problem_count(c) < 30);
	oc_config_unref(c);
	oc_sbuf_clear(&b);
	for (int i = 0; b.n < 900000; i++)
		oc_sbuf_printf(&b, "OCS_%d=1\n", i);
	put(".env", b.p, 0600);
	c = load("{}");
	assert_int_equal(oc_config_problem_count(c), 1);
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "too many variables"));
	assert_string_equal(oc_config_env(c, "OCS_7"), "1");
	oc_config_unref(c);
	oc_sbuf_free(&b);
}

static void a_list_allows_variables(void **state)
{
	(void)state;
	setenv("OCS_KEY", "k-1", 1);
	oc_config *c = load("{secrets: {providers: {e: {source: 'env', allowlist: ['OCS_KEY']}}}, " KEY("env", "e", "OCS_KEY") "}");
	assert_key(c, "k-1");
	oc_config_unref(c);
	assert_fails(load("{secrets: {providers: {e: {source: 'env', allowlist: ['OTHER']}}}, " KEY("env", "e", "OCS_KEY") "}"),
		     "its allowlist has no OCS_KEY");
}

/* ---- Files ---- */

#define JSON_FILE "secrets: {providers: {f: {source: 'file', path: '@/s.json'}}}"

static void a_json_file_has_many(void **state)
{
	(void)state;
	put("s.json", "{\"providers\": {\"open/ai~\": {\"keys\": [\"a\", \"secret-b\"]}, \"n\": 5, \"e\": \"\"}}", 0600);
	oc_config *c = load("{" JSON_FILE ", " KEY("file", "f", "/providers/open~1ai~0/keys/1") "}");
	assert_key(c, "secret-b");
	oc_config_unref(c);
	/* The reference may leave the provider to secrets.defaults. */
	c = load("{secrets: {defaults: {file: 'f'}, providers: {f: {source: 'file', path: '@/s.json'}}},"
		 "models: {providers: {p: {apiKey: {source: 'file', id: '/providers/open~1ai~0/keys/0'}}}}}");
	assert_key(c, "a");
	oc_config_unref(c);
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "/providers/none") "}"), "it has nothing of this id");
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "/providers/n") "}"), "is no text");
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "/providers/e") "}"), "is empty");
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "providers") "}"), "is no JSON pointer");
	assert_fails(load("{" JSON_FILE ", " KEY("file", "g", "/x") "}"), "there is no such provider");
	assert_fails(load("{" JSON_FILE ", " KEY("file", "F", "/x") "}"), "no name of a provider");
	assert_fails(load("{" JSON_FILE ", " KEY("exec", "f", "x") "}"), "it is of source \"file\"");
	put("s.json", "{\"a\": }", 0600);
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "/a") "}"), "line 1, column 7");
}

static void a_plain_file_has_one(void **state)
{
	(void)state;
	static const char config[] = "{secrets: {providers: {f: {source: 'file', mode: 'singleValue', maxBytes: 50, path: '@/key'}}}, "
				     KEY("file", "f", "value") "}";
	put("key", "abc def\r\n", 0600);
	oc_config *c = load(config);
	assert_key(c, "abc def");
	oc_config_unref(c);
	put("key", "\n", 0600);
	assert_fails(load(config), "its file is empty");
	put("key", "0123456789012345678901234567890123456789012345678901234567890123456789", 0600);
	assert_fails(load(config), "has more than 50 bytes");
}

static void a_secret_file_is_nobody_elses(void **state)
{
	(void)state;
	oc_auto_free char *link = oc_path_join(dir, "link.json"), *file = oc_path_join(dir, "s.json");
	put("s.json", "{\"a\": \"x\"}", 0640);
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "/a") "}"), "is open to other users");
	oc_config *c = load("{secrets: {providers: {f: {source: 'file', path: '@/s.json', allowInsecurePath: true}}}, " KEY("file", "f", "/a") "}");
	assert_key(c, "x");
	oc_config_unref(c);
	chmod(file, 0600);
	assert_int_equal(symlink(file, link), 0);
	assert_fails(load("{secrets: {providers: {f: {source: 'file', path: '@/link.json'}}}, " KEY("file", "f", "/a") "}"), "is a symbolic link");
	assert_fails(load("{secrets: {providers: {f: {source: 'file', path: '@'}}}, " KEY("file", "f", "/a") "}"), "is no regular file");
	assert_fails(load("{secrets: {providers: {f: {source: 'file', path: 's.json'}}}, " KEY("file", "f", "/a") "}"), "is not absolute");
	unlink(file);
	assert_fails(load("{" JSON_FILE ", " KEY("file", "f", "/a") "}"), "No such file");
}

/* ---- Commands ---- */

#define COMMAND(more) "secrets: {providers: {x: {source: 'exec', command: '@/run'" more "}}}"

static void a_command_answers_for_all_at_once(void **state)
{
	(void)state;
	setenv("OCS_TOLD", "told", 1);
	setenv("OCS_SECRET", "not told", 1);
	put("run", "#!/bin/sh\necho run >>runs\n/bin/cat >request\n/usr/bin/env >environment\necho \"$@\" >>environment\n"
		   "echo '{\"protocolVersion\": 1, \"values\": {\"a/b\": \"secret-1\", \"c\": \"secret-2\"}, \"errors\": {\"d\": {\"message\": \"gone\"}}}'\n",
	    0700);
	oc_config *c = load("{" COMMAND(", args: ['--x', 'y z'], passEnv: ['OCS_TOLD'], env: {OWN: 'own'}")
			    ", models: {providers: {p: {apiKey: {source: 'exec', provider: 'x', id: 'a/b'}},"
			    " q: {apiKey: {source: 'exec', provider: 'x', id: 'c'}}, r: {apiKey: {source: 'exec', provider: 'x', id: 'd'}}}}}");
	assert_int_equal(oc_config_problem_count(c), 1);
	assert_string_equal(oc_config_problem_at(c, 0)->section, "models.providers.r");
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "its command says: gone"));
	assert_string_equal(oc_config_str(c, "models.providers.p.apiKey", ""), "secret-1");
	assert_string_equal(oc_config_str(c, "models.providers.q.apiKey", ""), "secret-2");
	oc_auto_free char *request = NULL, *environment = NULL, *runs = NULL, *again = NULL;
	oc_auto_free char *p1 = oc_path_join(dir, "request"), *p2 = oc_path_join(dir, "environment"), *p3 = oc_path_join(dir, "runs");
	assert_int_equal(oc_path_read(p1, 4096, &request, NULL, NULL), OC_OK);
	assert_string_equal(request, "{\"protocolVersion\":1,\"provider\":\"x\",\"ids\":[\"a/b\",\"c\",\"d\"]}");
	assert_int_equal(oc_path_read(p2, 4096, &environment, NULL, NULL), OC_OK);
	assert_non_null(strstr(environment, "OCS_TOLD=told\n"));
	assert_non_null(strstr(environment, "OWN=own\n"));
	assert_non_null(strstr(environment, "--x y z\n"));
	assert_null(strstr(environment, "not told"));
	/* A reload takes the answers that are there, unless it is told to ask again. */
	oc_config *next = NULL;
	oc_auto_free char *path = oc_path_config();
	assert_int_equal(oc_config_load_again(path, (oc_config_loading){.run_commands = true, .previous = c}, &next, NULL), OC_OK);
	assert_string_equal(oc_config_str(next, "models.providers.p.apiKey", ""), "secret-1");
	oc_config_unref(c);
	assert_int_equal(oc_path_read(p3, 4096, &runs, NULL, NULL), OC_OK);
	assert_string_equal(runs, "run\nrun\n"); /* the second time for r, which has no answer yet */
	assert_int_equal(oc_config_load_again(path, (oc_config_loading){.run_commands = true}, &c, NULL), OC_OK);
	assert_int_equal(oc_path_read(p3, 4096, &again, NULL, NULL), OC_OK);
	assert_string_equal(again, "run\nrun\nrun\n");
	oc_config_unref(next);
	oc_config_unref(c);
	/* Looking at the configuration runs nothing. */
	assert_int_equal(oc_config_load(path, &c, NULL), OC_OK);
	assert_int_equal(oc_config_problem_count(c), 0);
	assert_non_null(strstr(oc_config_str(c, "models.providers.p.apiKey", ""), "not asked for here"));
	oc_free(again);
	again = NULL;
	assert_int_equal(oc_path_read(p3, 4096, &again, NULL, NULL), OC_OK);
	assert_string_equal(again, "run\nrun\nrun\n");
	oc_config_unref(c);
}

static void a_command_may_write_the_secret_itself(void **state)
{
	(void)state;
	static const char config[] = "{" COMMAND(", jsonOnly: false") ", " KEY("exec", "x", "value") "}";
	put("run", "#!/bin/sh\necho ' plain secret '\n", 0700);
	oc_config *c = load(config);
	assert_key(c, "plain secret");
	oc_config_unref(c);
	put("run", "#!/bin/sh\necho 12345\n", 0700);
	c = load(config);
	assert_key(c, "12345");
	oc_config_unref(c);
	put("run", "#!/bin/sh\necho '\"quoted\"'\n", 0700);
	c = load(config);
	assert_key(c, "quoted");
	oc_config_unref(c);
	put("run", "#!/bin/sh\necho plain\n", 0700);
	assert_fails(load("{" COMMAND("") ", " KEY("exec", "x", "value") "}"), "the answer of its command: line 1");
}

static void a_command_that_fails_costs_its_section(void **state)
{
	(void)state;
	static const char config[] = "{" COMMAND(", timeoutMs: 300, maxOutputBytes: 5000") ", " KEY("exec", "x", "a") "}";
	static const struct {
		const char *script, *part;
	} rows[] = {
		{"exit 3", "failed with exit code 3"},
		{"kill -9 $$", "failed with signal 9"},
		{":", "wrote nothing"},
		{"echo '[1]'", "does not speak the protocol"},
		{"echo '{\"values\":{\"a\":\"x\"}}'", "does not speak the protocol"},
		{"echo '{\"protocolVersion\":1,\"values\":{}}'", "it has nothing of this id"},
		{"echo '{\"protocolVersion\":1,\"values\":{\"a\":1}}'", "is no text"},
		{"while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", "wrote more than 5000 bytes"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char script[200];
		snprintf(script, sizeof script, "#!/bin/sh\n%s\n", rows[i].script);
		put("run", script, 0700);
		assert_fails(load(config), rows[i].part);
	}
	/* It ends in time, and so does what it started. */
	put("run", "#!/bin/sh\n/bin/sleep 1000 & echo $! >child; /bin/sleep 1000\n", 0700);
	uint64_t from = oc_now_ms();
	assert_fails(load(config), "gave no answer within 300 ms");
	assert_true(oc_now_ms() - from < 30000);
	oc_auto_free char *child = NULL, *path = oc_path_join(dir, "child");
	assert_int_equal(oc_path_read(path, 64, &child, NULL, NULL), OC_OK);
	char proc[64];
	snprintf(proc, sizeof proc, "/proc/%ld/stat", strtol(child, NULL, 10));
	for (int i = 0; i < 1000 && oc_path_exists(proc); i++) {
		oc_auto_free char *stat = NULL;
		if (oc_path_read(proc, 4096, &stat, NULL, NULL) != OC_OK || strstr(stat, ") Z ") != NULL)
			break; /* a zombie until its new parent looks */
		usleep(10000);
		assert_true(i < 999);
	}
}

static void a_command_that_others_can_change_is_not_run(void **state)
{
	(void)state;
	oc_auto_free char *link = oc_path_join(dir, "link"), *file = oc_path_join(dir, "run");
	put("run", "#!/bin/sh\necho '{\"protocolVersion\":1,\"values\":{\"a\":\"ok\"}}'\n", 0722);
	assert_fails(load("{" COMMAND("") ", " KEY("exec", "x", "a") "}"), "can be changed by other users");
	oc_config *c = load("{" COMMAND(", allowInsecurePath: true") ", " KEY("exec", "x", "a") "}");
	assert_key(c, "ok");
	oc_config_unref(c);
	chmod(file, 0600);
	assert_fails(load("{" COMMAND("") ", " KEY("exec", "x", "a") "}"), "cannot be run");
	chmod(file, 0700);
	assert_int_equal(symlink(file, link), 0);
	assert_fails(load("{secrets: {providers: {x: {source: 'exec', command: '@/link'}}}, " KEY("exec", "x", "a") "}"), "is a symbolic link");
	c = load("{secrets: {providers: {x: {source: 'exec', command: '@/link', allowSymlinkCommand: true, trustedDirs: ['@']}}}, "
		 KEY("exec", "x", "a") "}");
	assert_key(c, "ok");
	oc_config_unref(c);
	assert_fails(load("{" COMMAND(", trustedDirs: ['/usr/bin']") ", " KEY("exec", "x", "a") "}"), "is in none of its trustedDirs");
	assert_fails(load("{secrets: {providers: {x: {source: 'exec', command: 'run'}}}, " KEY("exec", "x", "a") "}"), "no absolute path");
	assert_fails(load("{" COMMAND("") ", " KEY("exec", "x", "a/../b") "}"), "is no id of a secret");
	assert_fails(load("{" COMMAND("") ", " KEY("exec", "x", "-a") "}"), "is no id of a secret");
}

static void survives_every_failed_allocation(void **state)
{
	(void)state;
	put("run", "#!/bin/sh\necho '{\"protocolVersion\":1,\"values\":{\"a\":\"ok\"}}'\n", 0700);
	put("s.json", "{\"a\": \"x\"}", 0600);
	put(".env", "OCS_A=1\nOCS_A=2\nbad\n", 0600);
	oc_auto_free char *text = text_of("{secrets: {providers: {x: {source: 'exec', command: '@/run'}, f: {source: 'file', path: '@/s.json'}}},"
					  "models: {providers: {p: {apiKey: {source: 'exec', provider: 'x', id: 'a'}},"
					  "q: {apiKey: {source: 'file', provider: 'f', id: '/a'}}}}}");
	oc_auto_free char *path = oc_path_config();
	put("openclaw.json", text, 0600);
	unsigned long before = oc_mem_live();
	bool done = false;
	for (unsigned long n = 1; !done; n += n < 400 ? 1 : 7) {
		oc_config *c = NULL;
		oc_mem_fail_at(n);
		oc_status status = oc_config_load_secrets(path, &c, NULL);
		oc_mem_fail_at(0);
		done = status == OC_OK && oc_config_problem_count(c) == 1;
		if (status == OC_OK)
			oc_config_unref(c);
		assert_int_equal(oc_mem_live(), before);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_last_of_two_lines_counts),
		T(a_file_that_is_no_env_file_has_an_end),
		T(a_list_allows_variables),
		T(a_json_file_has_many),
		T(a_plain_file_has_one),
		T(a_secret_file_is_nobody_elses),
		T(a_command_answers_for_all_at_once),
		T(a_command_may_write_the_secret_itself),
		T(a_command_that_fails_costs_its_section),
		T(a_command_that_others_can_change_is_not_run),
		T(survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
