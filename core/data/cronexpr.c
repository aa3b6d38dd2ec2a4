#include "core/data/cronexpr.h"

#include <string.h>

#define DAY_S 86400

typedef struct field {
	const char *what;
	int min, max;
	const char *names; /* three letters each, from min on; NULL: none */
} field;

static const field second_field = {"second", 0, 59, NULL}, minute_field = {"minute", 0, 59, NULL}, hour_field = {"hour", 0, 23, NULL},
		   day_field = {"day of the month", 1, 31, NULL},
		   month_field = {"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
		   weekday_field = {"day of the week", 0, 7, "SUNMONTUEWEDTHUFRISAT"},
		   year_field = {"year", 1970, OC_CRON_YEAR_MAX, NULL};

static oc_status wrong(oc_err *err, const field *f, oc_str part)
{
	return oc_fail(err, OC_E_INVALID, "see https://crontab.guru for the form", "cron expression: %.40s is not a %s (%d to %d)",
		       part.n > 0 ? part.p : "an empty part", f->what, f->min, f->max);
}

/* A number or a name at the front of *s. */
static bool take_value(const field *f, oc_str *s, int *ret)
{
	if (s->n >= 3 && f->names != NULL) {
		for (int i = 0; f->names[i * 3] != 0; i++)
			if (oc_str_ieq((oc_str){s->p, 3}, (oc_str){f->names + i * 3, 3})) {
				*ret = f->min + i;
				*s = (oc_str){s->p + 3, s->n - 3};
				return true;
			}
	}
	int v = 0;
	size_t n = 0;
	while (n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9')
		v = v * 10 + (s->p[n++] - '0');
	if (n == 0 || v < f->min || v > f->max)
		return false;
	*ret = v;
	*s = (oc_str){s->p + n, s->n - n};
	return true;
}

/* What a part stands for, as a range with a step; rest: what follows it. */
static oc_status take_range(const field *f, oc_str part, int *ret_from, int *ret_to, int *ret_step, oc_str *ret_rest, oc_err *err)
{
	oc_str s = part;
	bool open = false;
	if (s.n > 0 && (s.p[0] == '*' || (s.p[0] == '?' && (f == &day_field || f == &weekday_field)))) {
		*ret_from = f->min;
		*ret_to = f == &weekday_field ? 6 : f->max;
		s = (oc_str){s.p + 1, s.n - 1};
	} else {
		if (!take_value(f, &s, ret_from))
			return wrong(err, f, part);
		*ret_to = *ret_from;
		open = true;
		if (s.n > 0 && s.p[0] == '-') {
			s = (oc_str){s.p + 1, s.n - 1};
			open = false;
			if (!take_value(f, &s, ret_to) || *ret_to < *ret_from)
				return wrong(err, f, part);
		}
	}
	*ret_step = 1;
	if (s.n > 0 && s.p[0] == '/') {
		int64_t step;
		if (oc_str_i64((oc_str){s.p + 1, s.n - 1}, 1, f->max, &step) != OC_OK)
			return wrong(err, f, part);
		*ret_step = (int)step;
		if (open)
			*ret_to = f->max;
		s.n = 0;
	}
	*ret_rest = s;
	return OC_OK;
}

static oc_status parse_bits(const field *f, oc_str text, uint64_t *ret, oc_err *err)
{
	uint64_t bits = 0;
	while (text.p != NULL) {
		oc_str part = oc_str_cut(&text, ','), rest;
		int from, to, step;
		oc_status status = take_range(f, part, &from, &to, &step, &rest, err);
		if (status != OC_OK)
			return status;
		if (rest.n > 0)
			return wrong(err, f, part);
		for (int v = from; v <= to; v += step)
			bits |= (uint64_t)1 << v;
	}
	*ret = bits;
	return OC_OK;
}

static oc_status parse_days(oc_str text, oc_cron_expr *e, oc_err *err)
{
	e->any_day = oc_str_eqz(text, "*") || oc_str_eqz(text, "?");
	while (text.p != NULL) {
		oc_str part = oc_str_cut(&text, ','), rest;
		int from, to, step;
		if (oc_str_ieq(part, OC_STR("L"))) {
			e->last_day = true;
			continue;
		}
		if (oc_str_ieq(part, OC_STR("LW"))) {
			e->last_working_day = true;
			continue;
		}
		oc_status status = take_range(&day_field, part, &from, &to, &step, &rest, err);
		if (status != OC_OK)
			return status;
		bool near = oc_str_ieq(rest, OC_STR("W")) && from == to;
		if (rest.n > 0 && !near)
			return wrong(err, &day_field, part);
		for (int v = from; v <= to; v += step)
			*(near ? &e->near_days : &e->days) |= (uint32_t)1 << v;
	}
	return OC_OK;
}

static oc_status parse_weekdays(oc_str text, oc_cron_expr *e, oc_err *err)
{
	if (text.n > 1 && text.p[0] == '+') {
		e->both = true;
		text = (oc_str){text.p + 1, text.n - 1};
	}
	e->any_weekday = oc_str_eqz(text, "*") || oc_str_eqz(text, "?");
	while (text.p != NULL) {
		oc_str part = oc_str_cut(&text, ','), rest;
		int from, to, step;
		oc_status status = take_range(&weekday_field, part, &from, &to, &step, &rest, err);
		if (status != OC_OK)
			return status;
		uint8_t nth = 0;
		if (oc_str_ieq(rest, OC_STR("L")) || oc_str_ieq(rest, OC_STR("#L")))
			nth = 1 << 6;
		else if (rest.n == 2 && rest.p[0] == '#' && rest.p[1] >= '1' && rest.p[1] <= '5')
			nth = (uint8_t)(1 << (rest.p[1] - '0'));
		else if (rest.n > 0)
			return wrong(err, &weekday_field, part);
		for (int v = from; v <= to; v += step) {
			if (nth != 0)
				e->nth[v % 7] |= nth;
			else
				e->weekdays |= (uint8_t)(1 << v % 7);
		}
	}
	return OC_OK;
}

static oc_status parse_years(oc_str text, oc_cron_expr *e, oc_err *err)
{
	e->has_years = !oc_str_eqz(text, "*");
	while (e->has_years && text.p != NULL) {
		oc_str part = oc_str_cut(&text, ','), rest;
		int from, to, step;
		oc_status status = take_range(&year_field, part, &from, &to, &step, &rest, err);
		if (status != OC_OK)
			return status;
		if (rest.n > 0)
			return wrong(err, &year_field, part);
		for (int v = from; v <= to; v += step)
			e->years[(v - 1970) / 8] |= (uint8_t)(1 << (v - 1970) % 8);
	}
	return OC_OK;
}

static oc_str nickname(oc_str text)
{
	static const char *const names[][2] = {
		{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
		{"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (oc_str_ieq(text, oc_str_of(names[i][0])))
			return oc_str_of(names[i][1]);
	return text;
}

/* The words of the expression; how many there are, 8 for more than fit. */
static int split(oc_str text, oc_str words[7])
{
	int n = 0;
	for (size_t i = 0; i < text.n;) {
		size_t from = i;
		while (i < text.n && text.p[i] != ' ' && text.p[i] != '\t')
			i++;
		if (i > from) {
			if (n == 7)
				return 8;
			words[n++] = (oc_str){text.p + from, i - from};
		} else {
			i++;
		}
	}
	return n;
}

oc_status oc_cron_expr_parse(oc_str text, oc_cron_expr *ret, oc_err *err)
{
	oc_str words[7] = {0};
	oc_cron_expr e = {0};
	uint64_t hours = 0, months = 0;
	text = nickname(oc_str_trim(text));
	int n = text.n <= OC_CRON_EXPR_MAX ? split(text, words) : 8;
	if (n < 5 || n > 7)
		return oc_fail(err, OC_E_INVALID, "minute hour day month weekday, as in \"0 9 * * 1-5\"",
			       "cron expression '%.*s': it needs five fields, or six or seven with seconds and a year",
			       (int)(text.n < 80 ? text.n : 80), text.p);
	const oc_str *w = n > 5 ? words : words - 1; /* w[0]: the second, when there is one */
	oc_status status = OC_OK;
	e.seconds = 1;
	if (n > 5)
		status = parse_bits(&second_field, words[0], &e.seconds, err);
	if (status == OC_OK)
		status = parse_bits(&minute_field, w[1], &e.minutes, err);
	if (status == OC_OK)
		status = parse_bits(&hour_field, w[2], &hours, err);
	if (status == OC_OK)
		status = parse_days(w[3], &e, err);
	if (status == OC_OK)
		status = parse_bits(&month_field, w[4], &months, err);
	if (status == OC_OK)
		status = parse_weekdays(w[5], &e, err);
	if (status == OC_OK && n == 7)
		status = parse_years(w[6], &e, err);
	if (status != OC_OK)
		return status;
	e.hours = (uint32_t)hours;
	e.months = (uint32_t)months;
	e.every_hour = w[2].p[0] == '*';
	*ret = e;
	return OC_OK;
}

bool oc_cron_expr_on_the_hour(oc_str text)
{
	oc_str words[7] = {0};
	int n = split(nickname(oc_str_trim(text)), words), at = n > 5;
	return n >= 5 && n <= 6 && (n == 5 || oc_str_eqz(words[0], "0")) && oc_str_eqz(words[at], "0") &&
	       memchr(words[at + 1].p, '*', words[at + 1].n) != NULL;
}

/* ---- Next ---- */

/* The working day next to `day` in its month. */
static int near_working(int64_t year, int month, int day, int weekday)
{
	int last = oc_date_month_days(year, month);
	if (weekday == 6)
		return day > 1 ? day - 1 : day + 2;
	if (weekday == 0)
		return day < last ? day + 1 : day - 2;
	return day;
}

static bool day_matches(const oc_cron_expr *e, const oc_date *d)
{
	int last = oc_date_month_days(d->year, d->month);
	bool day = (e->days >> d->day & 1) != 0 || (e->last_day && d->day == last);
	/* 15W names another day when the 15th is none of work: look at the days around that could mean this one. */
	for (int v = d->day > 2 ? d->day - 2 : 1; !day && e->near_days != 0 && v <= d->day + 2 && v <= last; v++)
		day = (e->near_days >> v & 1) != 0 && near_working(d->year, d->month, v, (d->weekday + v - d->day + 14) % 7) == d->day;
	if (!day && e->last_working_day)
		day = near_working(d->year, d->month, last, (d->weekday + last - d->day) % 7) == d->day;
	bool weekday = (e->weekdays >> d->weekday & 1) != 0 || (e->nth[d->weekday] >> ((d->day - 1) / 7 + 1) & 1) != 0 ||
		       ((e->nth[d->weekday] >> 6 & 1) != 0 && d->day + 7 > last);
	/* One that is not restricted says nothing. */
	return e->any_day || e->any_weekday || e->both ? day && weekday : day || weekday;
}

static bool year_matches(const oc_cron_expr *e, int64_t year)
{
	return !e->has_years || (year >= 1970 && (e->years[(year - 1970) / 8] >> (year - 1970) % 8 & 1) != 0);
}

/* The first local time that matches, not before `local`, before `until`; INT64_MAX: none. */
static int64_t next_local(const oc_cron_expr *e, int64_t local, int64_t until)
{
	oc_date d;
	oc_date_of(local, &d);
	while (d.year <= OC_CRON_YEAR_MAX && local < until) {
		if (!year_matches(e, d.year)) {
			d = (oc_date){.year = d.year + 1, .month = 1, .day = 1};
		} else if ((e->months >> d.month & 1) == 0) {
			bool over = d.month == 12;
			d = (oc_date){.year = d.year + over, .month = over ? 1 : d.month + 1, .day = 1};
		} else if (!day_matches(e, &d)) {
			d.hour = d.minute = d.second = 0;
			local = oc_date_seconds(&d) + DAY_S;
			oc_date_of(local, &d);
			continue;
		} else if ((e->hours >> d.hour & 1) == 0) {
			d.minute = d.second = 0;
			local = oc_date_seconds(&d) + 3600;
			oc_date_of(local, &d);
			continue;
		} else if ((e->minutes >> d.minute & 1) == 0) {
			d.second = 0;
			local = oc_date_seconds(&d) + 60;
			oc_date_of(local, &d);
			continue;
		} else if ((e->seconds >> d.second & 1) == 0) {
			local++;
			oc_date_of(local, &d);
			continue;
		} else {
			return local;
		}
		local = oc_date_seconds(&d);
		oc_date_of(local, &d);
	}
	return INT64_MAX;
}

/* By the time that really passes: piece by piece between the moments at which the clocks are set. */
static int64_t next_passing(const oc_cron_expr *e, const oc_zone *zone, int64_t at)
{
	for (int pieces = 0; pieces < 1000; pieces++) {
		int64_t change = oc_zone_next_change(zone, at), offset = oc_zone_offset(zone, at);
		int64_t local = next_local(e, at + offset, change == INT64_MAX ? INT64_MAX : change + offset);
		if (local != INT64_MAX && local - offset < change)
			return local - offset;
		if (change == INT64_MAX)
			return INT64_MAX;
		at = change;
	}
	return INT64_MAX;
}

/* By what the clock on the wall shows. */
static int64_t next_shown(const oc_cron_expr *e, const oc_zone *zone, int64_t after)
{
	int64_t local = after + 1 + oc_zone_offset(zone, after + 1);
	/* An hour before, should the clocks just have been put forward over what it is for. */
	for (local -= 3 * 3600;; local++) {
		local = next_local(e, local, INT64_MAX);
		if (local == INT64_MAX)
			return INT64_MAX;
		int32_t before = oc_zone_offset(zone, local - DAY_S - oc_zone_offset(zone, local));
		int32_t later = oc_zone_offset(zone, local + DAY_S - oc_zone_offset(zone, local));
		int64_t first = local - before, second = local - later;
		int64_t at = oc_zone_offset(zone, first) == before || oc_zone_offset(zone, second) != later ? first : second;
		if (at > after)
			return at;
	}
}

int64_t oc_cron_expr_next(const oc_cron_expr *e, const oc_zone *zone, int64_t after)
{
	return e->every_hour ? next_passing(e, zone, after + 1) : next_shown(e, zone, after);
}
