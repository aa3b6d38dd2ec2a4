/*
 * Cron expressions: when a clock on the wall of a time zone matches next.  [any]
 *
 * Five fields (minute hour day month weekday), six (a second before them) or seven (a year after them); names, lists, ranges,
 * steps, L, LW, 15W, 5L and 5#2; @hourly, @daily, @weekly, @monthly, @yearly.  When day and weekday are both restricted,
 * either is enough; a weekday that begins with + must match besides the day.
 *
 * When clocks are set: a time of day that is left out runs as much later as the clocks were put forward, one that comes
 * twice runs the first time.  An expression for every hour (the field begins with *) goes by the hours that really pass.
 */
#ifndef OC_DATA_CRONEXPR_H
#define OC_DATA_CRONEXPR_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/data/zone.h"

enum { OC_CRON_EXPR_MAX = 256, OC_CRON_YEAR_MAX = 2199 };

typedef struct oc_cron_expr {
	uint64_t seconds, minutes;
	uint32_t hours, days, months;  /* bit n: n; months and days from 1 */
	uint32_t near_days;	       /* 15W: the working day next to it */
	uint8_t weekdays;	       /* bit 0: Sunday */
	uint8_t nth[7];		       /* of a weekday: bits 1 to 5; bit 6: the last */
	bool last_day, last_working_day; /* L, LW */
	bool any_day, any_weekday;     /* not restricted */
	bool both;		       /* +: day and weekday */
	bool every_hour;
	bool has_years;
	uint8_t years[(OC_CRON_YEAR_MAX - 1970) / 8 + 1];
} oc_cron_expr;

/* OC_E_INVALID: err tells what is wrong with it. */
oc_status oc_cron_expr_parse(oc_str text, oc_cron_expr *ret, oc_err *err);
/* The first second after after_s (both since 1970) that it is for; INT64_MAX: there is none. */
int64_t oc_cron_expr_next(const oc_cron_expr *expr, const oc_zone *zone, int64_t after_s);
/* Whether it is for minute 0 of hours that are not named: what everybody's machine would do at the same moment. */
bool oc_cron_expr_on_the_hour(oc_str text);

#endif
