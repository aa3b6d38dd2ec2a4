/*
 * A cron expression up to the first line break, a time zone file behind it: what comes next is later than what was, the same
 * when asked a second before, and a moment that the expression is for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/cronexpr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const oc_cron_expr *e, const oc_zone *zone, int64_t after)
{
	for (int i = 0; i < 4; i++) {
		int64_t next = oc_cron_expr_next(e, zone, after);
		if (next <= after)
			abort();
		if (next == INT64_MAX)
			return;
		if (oc_cron_expr_next(e, zone, next - 1) != next)
			abort();
		oc_date d;
		oc_date_of(next + oc_zone_offset(zone, next), &d);
		if (e->every_hour && ((e->hours >> d.hour & 1) == 0 || (e->minutes >> d.minute & 1) == 0 || (e->seconds >> d.second & 1) == 0))
			abort();
		after = next;
	}
}

static void check_zone(const oc_zone *zone, int64_t t)
{
	for (int i = 0; i < 8 && t != INT64_MAX; i++) {
		int64_t change = oc_zone_next_change(zone, t);
		if (change <= t)
			abort();
		t = change;
		if (t != INT64_MAX)
			(void)oc_zone_offset(zone, t);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t times[] = {0, 951782400, 1774740600, 1795378797, 4102444800};
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	oc_str text = {(const char *)data, end != NULL ? (size_t)(end - data) : size};
	oc_zone *zone = NULL, *utc = NULL;
	oc_cron_expr e;
	if (end != NULL && oc_zone_parse((oc_str){(const char *)end + 1, size - text.n - 1}, &zone, NULL) == OC_OK)
		for (size_t i = 0; i < sizeof times / sizeof *times; i++)
			check_zone(zone, times[i]);
	if (oc_cron_expr_parse(text, &e, NULL) == OC_OK && oc_zone_load("UTC", &utc, NULL) == OC_OK)
		for (size_t i = 0; i < sizeof times / sizeof *times; i++)
			check(&e, utc, times[i]);
	oc_zone_free(zone);
	oc_zone_free(utc);
	return 0;
}
