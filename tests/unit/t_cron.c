/* Cron expressions and time zones, against another implementation's answers; jobs' documents and their next times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/agent/cron_job.h"
#include "core/base/clock.h"
#include "core/data/cronexpr.h"

static const struct {
	const char *expr, *zone;
	int64_t after, next;
} cases[] = {
#include "tests/unit/cron_cases.h"
};

static int64_t at(const char *iso)
{
	int64_t ms = 0;
	assert_true(oc_wall_parse(oc_str_of(iso), &ms));
	return ms / 1000;
}

static int64_t next_of(const char *expr, const char *name, const char *after)
{
	oc_cron_expr e;
	oc_zone *zone = NULL;
	oc_err err = {0};
	assert_int_equal(oc_cron_expr_parse(oc_str_of(expr), &e, &err), OC_OK);
	assert_int_equal(oc_zone_load(name, &zone, &err), OC_OK);
	int64_t next = oc_cron_expr_next(&e, zone, at(after));
	oc_zone_free(zone);
	return next;
}

static void another_implementation_agrees(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		oc_cron_expr e;
		oc_zone *zone = NULL;
		oc_err err = {0};
		if (oc_cron_expr_parse(oc_str_of(cases[i].expr), &e, &err) != OC_OK || oc_zone_load(cases[i].zone, &zone, &err) != OC_OK)
			fail_msg("%s %s: %s", cases[i].expr, cases[i].zone, err.text);
		int64_t got = oc_cron_expr_next(&e, zone, cases[i].after), want = cases[i].next != 0 ? cases[i].next : INT64_MAX;
		if (got != want)
			fail_msg("%s in %s after %lld: %lld, not %lld", cases[i].expr, cases[i].zone, (long long)cases[i].after,
				 (long long)got, (long long)want);
		oc_zone_free(zone);
	}
}

/* The C library reads the same files by itself. */
static void offsets_are_those_of_the_c_library(void **state)
{
	(void)state;
	static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Casablanca",
					    "America/St_Johns", "Asia/Kolkata", "Antarctica/Troll", "Europe/Dublin"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		oc_zone *zone = NULL;
		assert_int_equal(oc_zone_load(names[i], &zone, NULL), OC_OK);
		setenv("TZ", names[i], 1);
		tzset();
		for (int64_t t = -2000000000; t < 4000000000; t += 2000003) {
			time_t when = (time_t)t;
			struct tm tm;
			localtime_r(&when, &tm);
			if (tm.tm_gmtoff != oc_zone_offset(zone, t))
				fail_msg("%s at %lld: %d, not %ld", names[i], (long long)t, (int)oc_zone_offset(zone, t), tm.tm_gmtoff);
			int64_t change = oc_zone_next_change(zone, t);
			if (change != INT64_MAX)
				assert_int_not_equal(oc_zone_offset(zone, change), oc_zone_offset(zone, change - 1));
			assert_int_equal(oc_zone_offset(zone, change == INT64_MAX || change > t + 2000003 ? t + 2000002 : change - 1),
					 oc_zone_offset(zone, t));
		}
		oc_zone_free(zone);
	}
	unsetenv("TZ");
	tzset();
}

static void clocks_that_are_set_skip_and_repeat_nothing(void **state)
{
	(void)state;
	/* Forward: 2:30 does not exist on that day. */
	assert_int_equal(next_of("30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z"), at("2026-03-29T01:30:00Z"));
	/* Back: it exists twice, and the second is none. */
	assert_int_equal(next_of("30 2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z"), at("2026-10-25T00:30:00Z"));
	assert_int_equal(next_of("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z"));
	/* Every quarter of an hour is every quarter of an hour, on the day of 25 hours too. */
	for (int64_t t = at("2026-10-24T22:00:00Z"); t < at("2026-10-25T04:00:00Z"); t += 900) {
		char stamp[32];
		assert_int_equal(next_of("*/15 * * * *", "Europe/Berlin", oc_wall_format(t * 1000, stamp, sizeof stamp)), t + 900);
	}
}

static void wrong_expressions_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
					    "5-1 * * * *", "*/0 * * * *", "a * * * *", "1, * * * *", ",1 * * * *", "* * * * MON#6",
					    "* * * * * * * *", "1-2-3 * * * *", "1/ * * * *", "-1 * * * *", "* * * * *X", "@often"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		oc_cron_expr e;
		oc_err err = {0};
		if (oc_cron_expr_parse(oc_str_of(wrong[i]), &e, &err) != OC_E_INVALID || err.text[0] == 0)
			fail_msg("%s is taken", wrong[i]);
	}
	assert_int_equal(next_of("0 0 30 2 *", "UTC", "2026-01-01"), INT64_MAX);
	static const char *const zones[] = {"Mars/Phobos", "../../etc/passwd", "/etc/localtime", "Europe", "Europe/Berlin/"};
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
		oc_zone *zone = NULL;
		assert_int_equal(oc_zone_load(zones[i], &zone, NULL), OC_E_INVALID);
	}
	assert_true(oc_cron_expr_on_the_hour(OC_STR("0 * * * *")));
	assert_true(oc_cron_expr_on_the_hour(OC_STR("0 */2 * * *")));
	assert_false(oc_cron_expr_on_the_hour(OC_STR("0 9 * * *")));
	assert_false(oc_cron_expr_on_the_hour(OC_STR("5 * * * *")));
}

/* ---- Jobs ---- */

#define NOW INT64_C(1795378797249)

static cJSON *job_of(const char *json)
{
	oc_auto_json cJSON *asked = cJSON_Parse(json);
	cJSON *job = NULL;
	oc_err err = {0};
	assert_non_null(asked);
	if (oc_cron_job_make(asked, NOW, &job, &err) != OC_OK)
		fail_msg("%s: %s", json, err.text);
	return job;
}

static int64_t due(const cJSON *job)
{
	return oc_json_i64(oc_json_get(job, "state"), "nextRunAtMs", 0);
}

static void jobs_know_when_they_run(void **state)
{
	(void)state;
	oc_auto_json cJSON *every =
		job_of("{\"name\":\"e\",\"schedule\":{\"kind\":\"every\",\"everyMs\":3600000},\"payload\":{\"kind\":\"systemEvent\",\"text\":\"x\"}}");
	assert_int_equal(due(every), NOW + 3600000);
	assert_string_equal(oc_json_str(every, "sessionTarget", ""), "main");
	int64_t next = 0;
	/* Late by a day and a bit: once, on the old grid. */
	assert_int_equal(oc_cron_job_next(every, NOW + 86400000 + 1234, &next, NULL), OC_OK);
	assert_int_equal(next, NOW + 86400000 + 3600000);
	/* The clock was wrong by a year: the next is within the hour, not in a year. */
	assert_int_equal(oc_cron_job_next(every, NOW - INT64_C(365) * 86400000 + 5, &next, NULL), OC_OK);
	assert_int_equal(next, NOW - INT64_C(365) * 86400000 + 3600000);
	oc_auto_json cJSON *once = job_of("{\"name\":\"o\",\"schedule\":{\"kind\":\"at\",\"atMs\":1893456000000},"
					  "\"payload\":{\"kind\":\"agentTurn\",\"message\":\"m\"}}");
	assert_string_equal(oc_json_str(oc_json_get(once, "schedule"), "at", ""), "2030-01-01T00:00:00.000Z");
	assert_int_equal(due(once), INT64_C(1893456000000));
	assert_true(oc_json_bool(once, "deleteAfterRun", false));
	assert_string_equal(oc_json_str(oc_json_get(once, "delivery"), "mode", ""), "announce");
	oc_auto_json cJSON *just = job_of("{\"name\":\"j\",\"schedule\":{\"at\":\"2026-11-22T20:19:30Z\"},\"payload\":{\"text\":\"x\"}}");
	assert_int_equal(due(just), NOW);
	oc_auto_json cJSON *week = job_of("{\"name\":\"w\",\"schedule\":{\"kind\":\"cron\",\"expr\":\"0 9 * * 1\",\"tz\":\"Europe/Berlin\"},"
					  "\"sessionTarget\":\"isolated\",\"payload\":{\"kind\":\"agentTurn\",\"message\":\"m\"}}");
	assert_int_equal(due(week), INT64_C(1795420800000));
	oc_auto_json cJSON *hour = job_of("{\"name\":\"h\",\"schedule\":{\"expr\":\"0 * * * *\",\"tz\":\"UTC\"},\"payload\":{\"text\":\"x\"}}");
	assert_int_equal(oc_json_i64(oc_json_get(hour, "schedule"), "staggerMs", 0), 300000);
	for (int64_t after = NOW, i = 0; i < 5; i++, after = next) {
		assert_int_equal(oc_cron_job_next(hour, after, &next, NULL), OC_OK);
		assert_true(next > after && next % 3600000 < 300000 && (i == 0 || next - after == 3600000));
	}
}

static void jobs_are_changed_by_parts(void **state)
{
	(void)state;
	oc_auto_json cJSON *job = job_of("{\"name\":\"a\",\"description\":\"d\",\"schedule\":{\"kind\":\"every\",\"everyMs\":60000},"
					 "\"payload\":{\"kind\":\"agentTurn\",\"message\":\"m\",\"model\":\"x/y\"},\"delivery\":{\"mode\":\"none\"}}");
	oc_auto_json cJSON *off = NULL, *on = NULL;
	oc_auto_json cJSON *patch = cJSON_Parse("{\"enabled\":false,\"description\":null,\"payload\":{\"message\":\"n\"}}");
	assert_int_equal(oc_cron_job_patch(job, patch, NOW + 1, &off, NULL), OC_OK);
	assert_int_equal(due(off), 0);
	assert_null(oc_json_get(off, "description"));
	assert_string_equal(oc_json_str(oc_json_get(off, "payload"), "message", ""), "n");
	assert_string_equal(oc_json_str(oc_json_get(off, "payload"), "model", ""), "x/y");
	assert_string_equal(oc_json_str(oc_json_get(off, "delivery"), "mode", ""), "none");
	oc_auto_json cJSON *again = cJSON_Parse("{\"enabled\":true}");
	assert_int_equal(oc_cron_job_patch(off, again, NOW + 90000, &on, NULL), OC_OK);
	assert_int_equal(due(on), NOW + 120000);
}

static void wrong_jobs_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"{}",
		"{\"name\":\"x\"}",
		"{\"name\":\" \",\"schedule\":{\"everyMs\":1},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"everyMs\":0},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"at\":\"2020-01-01T00:00:00Z\"},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"at\":\"soon\"},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"expr\":\"not a cron\"},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"expr\":\"0 0 30 2 *\"},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"expr\":\"0 0 * * *\",\"tz\":\"Mars/Phobos\"},\"payload\":{\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"everyMs\":60000},\"payload\":{\"kind\":\"systemEvent\",\"text\":\" \"}}",
		"{\"name\":\"x\",\"schedule\":{\"everyMs\":60000},\"sessionTarget\":\"main\",\"payload\":{\"kind\":\"agentTurn\",\"message\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"everyMs\":60000},\"sessionTarget\":\"isolated\",\"payload\":{\"kind\":\"systemEvent\",\"text\":\"x\"}}",
		"{\"name\":\"x\",\"schedule\":{\"everyMs\":60000},\"payload\":{\"message\":\"x\"},\"delivery\":{\"mode\":\"webhook\",\"to\":\"ftp://x\"}}",
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		oc_auto_json cJSON *asked = cJSON_Parse(wrong[i]);
		cJSON *job = NULL;
		oc_err err = {0};
		if (oc_cron_job_make(asked, NOW, &job, &err) != OC_E_INVALID || err.text[0] == 0)
			fail_msg("%s is taken", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_implementation_agrees),
		cmocka_unit_test(offsets_are_those_of_the_c_library),
		cmocka_unit_test(clocks_that_are_set_skip_and_repeat_nothing),
		cmocka_unit_test(wrong_expressions_are_refused),
		cmocka_unit_test(jobs_know_when_they_run),
		cmocka_unit_test(jobs_are_changed_by_parts),
		cmocka_unit_test(wrong_jobs_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
