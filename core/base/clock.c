#include "core/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t oc_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t oc_now_ms(void)
{
	return oc_now_ns() / 1000000u;
}

int64_t oc_wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define JUMP_MS (10 * 60 * 1000)

int64_t oc_clock_jump_ms(oc_clock_watch *watch)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	int64_t offset = oc_wall_ms() - ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000), jump = offset - watch->offset_ms;
	bool jumped = watch->known && (jump > JUMP_MS || jump < -JUMP_MS);
	*watch = (oc_clock_watch){true, offset};
	return jumped ? jump : 0;
}

char *oc_wall_format(int64_t wall_ms, char *out, size_t size)
{
	int64_t s = wall_ms / 1000, ms = wall_ms % 1000;
	if (ms < 0) {
		ms += 1000;
		s--;
	}
	time_t seconds = (time_t)s;
	struct tm tm;
	char day[32] = "";
	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, size, "%s.%03dZ", day, (int)ms);
	return out;
}

/* Exactly n digits at *at, within [low, high]. */
static bool digits(oc_str s, size_t *at, size_t n, int low, int high, int *ret)
{
	int value = 0;
	if (s.n - *at < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s.p[*at + i];
		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	if (value < low || value > high)
		return false;
	*at += n;
	*ret = value;
	return true;
}

static bool one_of(oc_str s, size_t *at, const char *set)
{
	if (*at >= s.n || s.p[*at] == 0 || strchr(set, s.p[*at]) == NULL)
		return false;
	++*at;
	return true;
}

/* "", "Z" or an offset; in minutes. */
static bool zone(oc_str s, size_t *at, int *ret_minutes)
{
	int hours = 0, minutes = 0;
	*ret_minutes = 0;
	if (*at == s.n || one_of(s, at, "Zz"))
		return true;
	bool west = *at < s.n && s.p[*at] == '-';
	if (!one_of(s, at, "+-") || !digits(s, at, 2, 0, 23, &hours))
		return false;
	(void)one_of(s, at, ":");
	if (*at < s.n && !digits(s, at, 2, 0, 59, &minutes))
		return false;
	*ret_minutes = (west ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool oc_wall_parse(oc_str s, int64_t *ret_ms)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct tm tm = {0};
	int year, month, day, ms = 0, minutes = 0;
	size_t at = 0;
	if (!digits(s, &at, 4, 1970, 9999, &year) || !one_of(s, &at, "-") || !digits(s, &at, 2, 1, 12, &month) ||
	    !one_of(s, &at, "-") || !digits(s, &at, 2, 1, 31, &day) ||
	    day > month_days[month - 1] + (month == 2 && is_leap(year)))
		return false;
	if (at < s.n) {
		if (!one_of(s, &at, "Tt ") || !digits(s, &at, 2, 0, 23, &tm.tm_hour) || !one_of(s, &at, ":") ||
		    !digits(s, &at, 2, 0, 59, &tm.tm_min))
			return false;
		if (one_of(s, &at, ":") && !digits(s, &at, 2, 0, 60, &tm.tm_sec))
			return false;
		if (one_of(s, &at, ".,")) {
			int digit, n = 0;
			for (int scale = 100; digits(s, &at, 1, 0, 9, &digit); scale /= 10, n++)
				ms += scale * digit;
			if (n == 0 || n > 9)
				return false;
		}
		if (!zone(s, &at, &minutes))
			return false;
	}
	if (at != s.n)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	*ret_ms = ((int64_t)timegm(&tm) - (int64_t)minutes * 60) * 1000 + ms;
	return true;
}
