/* Unit tests of core/base. */
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

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"

static void err_carries_text_and_remedy(void **state)
{
	(void)state;
	oc_err err = {0};
	assert_int_equal(oc_fail(&err, OC_E_LIMIT, NULL, "body has %d bytes", 9), OC_E_LIMIT);
	assert_string_equal(err.text, "body has 9 bytes");
	assert_string_equal(err.remedy, oc_status_remedy(OC_E_LIMIT));
	assert_int_equal(oc_err_prefix(&err, "POST /rpc"), OC_E_LIMIT);
	assert_string_equal(err.text, "POST /rpc: body has 9 bytes");
	assert_int_equal(oc_fail(NULL, OC_E_IO, NULL, "x"), OC_E_IO);
}

static void err_is_cut_at_a_character(void **state)
{
	(void)state;
	char longtext[600];
	memset(longtext, 'a', sizeof longtext);
	size_t cut = sizeof((oc_err *)0)->text - 1;
	memcpy(longtext + cut - 1, "\xC3\xA9", 2); /* e acute across the cut */
	longtext[sizeof longtext - 1] = 0;
	oc_err err;
	oc_fail(&err, OC_E_IO, NULL, "%s", longtext);
	assert_int_equal(strlen(err.text), cut - 1);
}

static void err_names_every_status(void **state)
{
	(void)state;
#define NAMED(name, number, text)                               \
	assert_string_not_equal(oc_status_name(name), "unknown"); \
	assert_string_equal(oc_status_text(name), text);
	OC_STATUS_MAP(NAMED)
	assert_string_equal(oc_status_name(-999), "unknown");
}

static void arena_keeps_its_limit(void **state)
{
	(void)state;
	unsigned long before = oc_mem_live();
	oc_arena *arena = oc_arena_new(1 << 16);
	assert_non_null(arena);
	for (int i = 0; i < 100; i++) {
		char *s = oc_arena_printf(arena, "number %d", i);
		assert_int_equal((uintptr_t)s % 16, 0);
	}
	assert_null(oc_arena_alloc(arena, 1 << 16));
	assert_null(oc_arena_alloc(arena, SIZE_MAX));
	assert_non_null(oc_arena_alloc(arena, 30000));
	oc_arena_free(arena);
	assert_int_equal(oc_mem_live(), before);
}

static void allocation_fails_on_request(void **state)
{
	(void)state;
	oc_mem_fail_at(2);
	void *first = oc_alloc(8), *second = oc_alloc(8), *third = oc_alloc(8);
	oc_mem_fail_at(0);
	assert_non_null(first);
	assert_null(second);
	assert_null(third);
	oc_free(first);
	assert_null(oc_calloc(SIZE_MAX / 2, 4));
}

static void sbuf_stops_at_its_maximum(void **state)
{
	(void)state;
	oc_sbuf b;
	oc_sbuf_init(&b, 10);
	oc_sbuf_z(&b, "12345");
	oc_sbuf_printf(&b, "%d", 67890);
	assert_int_equal(b.error, OC_OK);
	assert_string_equal(b.p, "1234567890");
	oc_sbuf_char(&b, 'x');
	assert_int_equal(b.error, OC_E_LIMIT);
	oc_sbuf_char(&b, 'y');
	assert_null(oc_sbuf_take(&b));
	oc_sbuf_z(&b, "again");
	oc_sbuf_consume(&b, 2);
	assert_string_equal(b.p, "ain");
	oc_sbuf_free(&b);
	char *empty = oc_sbuf_take(&b);
	assert_string_equal(empty, "");
	oc_free(empty);
}

static void sbuf_writes_json_strings(void **state)
{
	(void)state;
	oc_sbuf b;
	oc_sbuf_init(&b, 1000);
	oc_sbuf_json(&b, OC_STR("a\"\\\n\x01\xC3\xA9\xFF\xED\xA0\x80z"));
	assert_string_equal(b.p, "\"a\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"");
	oc_sbuf_free(&b);
}

static void strings_compare_cut_and_parse(void **state)
{
	(void)state;
	oc_str rest = OC_STR("a,,b");
	assert_true(oc_str_eqz(oc_str_cut(&rest, ','), "a"));
	assert_true(oc_str_eqz(oc_str_cut(&rest, ','), ""));
	assert_true(oc_str_eqz(oc_str_cut(&rest, ','), "b"));
	assert_null(rest.p);
	assert_true(oc_str_eqz(oc_str_trim(OC_STR(" \t x y\n")), "x y"));
	int64_t v = 7;
	assert_int_equal(oc_str_i64(OC_STR("-12"), -20, 20, &v), OC_OK);
	assert_int_equal(v, -12);
	assert_int_equal(oc_str_i64(OC_STR("21"), -20, 20, &v), OC_E_LIMIT);
	assert_int_equal(oc_str_i64(OC_STR(" 1"), 0, 9, &v), OC_E_INVALID);
	assert_int_equal(oc_str_i64(OC_STR("+1"), 0, 9, &v), OC_E_INVALID);
	assert_int_equal(oc_str_i64(OC_STR("1x"), 0, 9, &v), OC_E_INVALID);
	assert_int_equal(oc_str_i64(OC_STR("99999999999999999999"), INT64_MIN, INT64_MAX, &v), OC_E_INVALID);
	assert_int_equal(v, -12);
	assert_true(oc_str_eq_secret(OC_STR("abc"), OC_STR("abc")));
	assert_false(oc_str_eq_secret(OC_STR("abc"), OC_STR("abd")));
	assert_false(oc_str_eq_secret(OC_STR("abc"), OC_STR("ab")));
}

static void nearest_name_is_suggested(void **state)
{
	(void)state;
	static const char *const names[] = {"gateway", "agents", "channels", "models"};
	assert_string_equal(oc_str_nearest("gatway", names, 4), "gateway");
	assert_string_equal(oc_str_nearest("Chanels", names, 4), "channels");
	assert_null(oc_str_nearest("zzzzzz", names, 4));
	assert_int_equal(oc_str_distance("kitten", "sitting", 10), 3);
	assert_int_equal(oc_str_distance("kitten", "sitting", 2), 2);
}

static void ids_have_their_form(void **state)
{
	(void)state;
	char a[37], b[37], t[17];
	oc_id_uuid(a);
	oc_id_uuid(b);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(a[14], '7');
	assert_string_not_equal(a, b);
	assert_int_equal(strspn(oc_id_token(t, 16), "abcdefghijklmnopqrstuvwxyz234567"), 16);
	char when[32];
	assert_string_equal(oc_wall_format(1769862896789, when, sizeof when), "2026-01-31T12:34:56.789Z");
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} times[] = {
		{"2026-01-31T12:34:56.789Z", 1769862896789}, {"2026-01-31T12:34:56,7890001Z", 1769862896789},
		{"2026-01-31 13:34:56.789+01:00", 1769862896789}, {"2026-01-31T07:04:56.789-0530", 1769862896789},
		{"2026-01-31", 1769817600000}, {"1970-01-01T00:00", 0}, {"2024-02-29T00:00:00Z", 1709164800000},
		{"2026-02-29", -1}, {"2026-13-01", -1}, {"2026-01-31T24:00Z", -1}, {"2026-01-31T12:34:56.Z", -1},
		{"2026-01-31T12:34:56Zx", -1}, {"2026-01-31T12", -1}, {"26-01-31", -1}, {"", -1}, {"2026-01-31T12:34+1", -1},
	};
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		int64_t ms = -1;
		assert_int_equal(oc_wall_parse(oc_str_of(times[i].text), &ms), times[i].ms >= 0);
		assert_int_equal(ms, times[i].ms);
	}
}

/* The published values: what is in a store was made with them. */
static void sums_are_fnv_1a(void **state)
{
	(void)state;
	assert_true(oc_hash(OC_HASH_START, oc_str_of("a")) == 0xaf63dc4c8601ec8cULL);
	assert_true(oc_hash_z(oc_hash_z(oc_hash_z(OC_HASH_START, "foo"), NULL), "bar") == 0x85944171f73967e8ULL);
	assert_true(oc_hash_step(oc_hash(OC_HASH_START, OC_STR_NONE), 'a') == 0xaf63dc4c8601ec8cULL);
}

static void files_are_replaced_whole(void **state)
{
	(void)state;
	char dir[] = "/tmp/t_base.XXXXXX";
	assert_non_null(mkdtemp(dir));
	oc_err err;
	oc_auto_free char *deep = oc_path_join(dir, "a/b/c");
	oc_auto_free char *file = oc_path_join(deep, "f");
	assert_int_equal(oc_path_mkdirs(deep, 0700, &err), OC_OK);
	assert_int_equal(oc_path_write(file, "one", 3, 0600, &err), OC_OK);
	assert_int_equal(oc_path_write(file, "second", 6, 0600, &err), OC_OK);
	oc_auto_free char *text = NULL;
	size_t n = 0;
	assert_int_equal(oc_path_read(file, 100, &text, &n, &err), OC_OK);
	assert_string_equal(text, "second");
	assert_int_equal(n, 6);
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	char *none = NULL;
	assert_int_equal(oc_path_read(file, 3, &none, NULL, &err), OC_E_LIMIT);
	assert_int_equal(oc_path_read(deep, 3, &none, NULL, &err), OC_E_INVALID);
	assert_int_equal(oc_path_mkdirs(file, 0700, &err), OC_E_EXISTS);
	assert_null(none);
	unlink(file);
	rmdir(deep);
	char cmd[64];
	snprintf(cmd, sizeof cmd, "%s/a/b", dir);
	rmdir(cmd);
	snprintf(cmd, sizeof cmd, "%s/a", dir);
	rmdir(cmd);
	rmdir(dir);
}

static void paths_join_and_expand(void **state)
{
	(void)state;
	setenv("HOME", "/home/x", 1);
	setenv("OPENCLAW_STATE_DIR", "~/oc", 1);
	oc_auto_free char *a = oc_path_join("/a/", "b"), *b = oc_path_join("/", "b"), *c = oc_path_state("run/x");
	assert_string_equal(a, "/a/b");
	assert_string_equal(b, "/b");
	assert_string_equal(c, "/home/x/oc/run/x");
}

static char last_line[2000];
static void keep_line(void *arg, int level, oc_str line)
{
	(void)arg;
	(void)level;
	snprintf(last_line, sizeof last_line, "%.*s", OC_STR_ARG(line));
}

static void log_hides_secrets(void **state)
{
	(void)state;
	oc_log_set_stderr(false);
	oc_log_set_sink(keep_line, NULL);
	oc_log_redact(OC_STR("hunter2hunter2"));
	oc_log(OC_LOG_WARN, "test", "password hunter2hunter2 and Bearer abcdefghijk, sk-abcdefghijklmnopqrstuv");
	assert_null(strstr(last_line, "hunter2"));
	assert_null(strstr(last_line, "abcdefghijk"));
	assert_non_null(strstr(last_line, "password **************"));
	oc_log(OC_LOG_WARN, "test", "https://x/bot12345678:AAbbCCddEEffGGhhIIjj/getMe");
	assert_null(strstr(last_line, "AAbb"));
	assert_non_null(strstr(last_line, "/getMe"));
	last_line[0] = 0;
	oc_log(OC_LOG_DEBUG, "test", "below the threshold");
	assert_string_equal(last_line, "");
	oc_log_set_sink(NULL, NULL);
}

static void log_hides_half_a_secret_and_secrets_of_before_the_file(void **state)
{
	(void)state;
	char dir[] = "/tmp/t_log.XXXXXX", path[64];
	static char text[40000];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/l", dir);
	oc_log_redact(OC_STR("correct-horse-battery"));
	assert_int_equal(oc_log_open_file(path, 0, 0, NULL), OC_OK);
	/* Wherever the line is cut, no part of the secret stays. */
	for (size_t from = 16384 - 30; from < 16384; from++) {
		memset(text, 'x', sizeof text - 1);
		memcpy(text + from, "correct-horse-battery", 21);
		oc_log(OC_LOG_INFO, "test", "%s", text);
	}
	oc_log(OC_LOG_INFO, "test", "it is correct-horse-battery");
	oc_log_close();
	oc_auto_free char *log = NULL;
	assert_int_equal(oc_path_read(path, 4 << 20, &log, NULL, NULL), OC_OK);
	assert_null(strstr(log, "xc"));
	assert_null(strstr(log, "horse"));
	assert_non_null(strstr(log, "it is ****"));
	unlink(path);
	rmdir(dir);
}

/* What a stranger writes must not look like a line of ours, nor reach a terminal as an order. */
static void log_text_cannot_be_forged(void **state)
{
	(void)state;
	char path[] = "/tmp/t_log.XXXXXX";
	int file = mkstemp(path), before = dup(2);
	assert_true(file >= 0 && before >= 0);
	dup2(file, 2);
	oc_log_set_stderr(true);
	oc_log(OC_LOG_INFO, "test", "one\n12:00:00.000 error gateway: two\033[2J\a\xC2\x9b" "31m\tend \xC3\xA9");
	oc_log_set_stderr(false);
	dup2(before, 2);
	close(before);
	close(file);
	oc_auto_free char *log = NULL;
	assert_int_equal(oc_path_read(path, 4096, &log, NULL, NULL), OC_OK);
	unlink(path);
	assert_non_null(strstr(log, "test: one\n  12:00:00.000 error gateway: two?[2J??31m\tend \xC3\xA9\n"));
}

static void log_file_rotates(void **state)
{
	(void)state;
	char dir[] = "/tmp/t_log.XXXXXX", path[64], old[64], oldest[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/l", dir);
	snprintf(old, sizeof old, "%s/l.2", dir);
	snprintf(oldest, sizeof oldest, "%s/l.3", dir);
	oc_err err;
	assert_int_equal(oc_log_open_file(path, 2000, 2, &err), OC_OK);
	for (int i = 0; i < 100; i++)
		oc_log(OC_LOG_INFO, "test", "line %d", i);
	oc_log_close();
	assert_true(oc_path_exists(old));
	assert_false(oc_path_exists(oldest));
	struct stat st;
	assert_int_equal(stat(old, &st), 0);
	assert_true(st.st_size <= 2000 && st.st_size > 1000);
	unlink(path);
	unlink(old);
	snprintf(old, sizeof old, "%s/l.1", dir);
	unlink(old);
	rmdir(dir);
}

static void buf_counts_references(void **state)
{
	(void)state;
	unsigned long before = oc_mem_live();
	oc_buf *b = oc_buf_new_secret(OC_STR("xyz"));
	oc_buf_ref(b);
	oc_buf_unref(b);
	assert_string_equal(oc_buf_str(b).p, "xyz");
	oc_buf_unref(b);
	oc_buf_unref(NULL);
	assert_int_equal(oc_mem_live(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_carries_text_and_remedy),
		cmocka_unit_test(err_is_cut_at_a_character),
		cmocka_unit_test(err_names_every_status),
		cmocka_unit_test(arena_keeps_its_limit),
		cmocka_unit_test(allocation_fails_on_request),
		cmocka_unit_test(sbuf_stops_at_its_maximum),
		cmocka_unit_test(sbuf_writes_json_strings),
		cmocka_unit_test(strings_compare_cut_and_parse),
		cmocka_unit_test(nearest_name_is_suggested),
		cmocka_unit_test(ids_have_their_form),
		cmocka_unit_test(sums_are_fnv_1a),
		cmocka_unit_test(files_are_replaced_whole),
		cmocka_unit_test(paths_join_and_expand),
		cmocka_unit_test(log_hides_secrets),
		cmocka_unit_test(log_hides_half_a_secret_and_secrets_of_before_the_file),
		cmocka_unit_test(log_text_cannot_be_forged),
		cmocka_unit_test(log_file_rotates),
		cmocka_unit_test(buf_counts_references),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
