#include "core/data/zone.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"

#define FOLDER "/usr/share/zoneinfo"
#define DAY_S 86400
#define ABOUT_MAX (15 * 3600) /* no offset is larger */

/* When summer time begins or ends in a year: the part of POSIX's TZ that follows a TZif file. */
typedef struct rule {
	char kind;		   /* 'M': month, week, weekday; 'J': day 1 to 365, never 29 February; 'D': day 0 to 365 */
	int month, week, day;
	int32_t at;		   /* seconds after local midnight; may be negative */
} rule;

struct oc_zone {
	size_t n;
	int64_t *times;	   /* when the clocks are set, ascending */
	int32_t *offsets;  /* from then on */
	int32_t first;	   /* before the first of them */
	bool has_rules;	   /* after the last: standard and summer time by rule */
	bool has_tail;	   /* after the last: standard */
	int32_t standard, summer;
	rule begin, end;
};

/* ---- Dates ---- */

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int oc_date_month_days(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970: years begin in March, so that the leap day is the last one. */
static int64_t days_of(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t oc_date_seconds(const oc_date *d)
{
	return days_of(d->year, d->month, d->day) * DAY_S + d->hour * 3600 + d->minute * 60 + d->second;
}

void oc_date_of(int64_t seconds, oc_date *ret)
{
	int64_t days = seconds / DAY_S, rest = seconds % DAY_S;
	if (rest < 0) {
		rest += DAY_S;
		days--;
	}
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	ret->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	ret->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	ret->year = yoe + era * 400 + (ret->month <= 2);
	ret->hour = (int)(rest / 3600);
	ret->minute = (int)(rest / 60 % 60);
	ret->second = (int)(rest % 60);
	int64_t weekday = (days + 4) % 7;
	ret->weekday = (int)(weekday < 0 ? weekday + 7 : weekday);
}

/* ---- Reading ---- */

static int64_t number_at(const char *p, int bytes)
{
	uint64_t v = (unsigned char)p[0] & 0x80 ? ~(uint64_t)0 : 0;
	for (int i = 0; i < bytes; i++)
		v = v << 8 | (unsigned char)p[i];
	return (int64_t)v;
}

typedef struct text {
	const char *p, *end;
} text;

static bool take(text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static bool take_int(text *t, int max, int *ret)
{
	int v = 0;
	const char *from = t->p;
	while (t->p < t->end && *t->p >= '0' && *t->p <= '9' && v <= max)
		v = v * 10 + (*t->p++ - '0');
	*ret = v;
	return t->p > from && v <= max;
}

static bool take_name(text *t)
{
	const char *from = t->p;
	if (take(t, '<')) {
		while (t->p < t->end && *t->p != '>')
			t->p++;
		return take(t, '>');
	}
	while (t->p < t->end && ((*t->p >= 'A' && *t->p <= 'Z') || (*t->p >= 'a' && *t->p <= 'z')))
		t->p++;
	return t->p - from >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(text *t, int32_t *ret)
{
	int h, m = 0, s = 0;
	bool minus = take(t, '-');
	if (!minus)
		(void)take(t, '+');
	if (!take_int(t, 167, &h) || (take(t, ':') && (!take_int(t, 59, &m) || (take(t, ':') && !take_int(t, 59, &s)))))
		return false;
	*ret = (minus ? -1 : 1) * (h * 3600 + m * 60 + s);
	return true;
}

static bool take_rule(text *t, rule *r)
{
	r->at = 2 * 3600;
	if (take(t, 'M')) {
		r->kind = 'M';
		if (!take_int(t, 12, &r->month) || !take(t, '.') || !take_int(t, 5, &r->week) || !take(t, '.') || !take_int(t, 6, &r->day) ||
		    r->month == 0 || r->week == 0)
			return false;
	} else {
		r->kind = take(t, 'J') ? 'J' : 'D';
		if (!take_int(t, 365, &r->day) || (r->kind == 'J' && r->day == 0))
			return false;
	}
	return !take(t, '/') || take_time(t, &r->at);
}

/* "CET-1CEST,M3.5.0,M10.5.0/3"; POSIX counts west. false: it is none. */
static bool read_tail(oc_zone *z, oc_str s)
{
	text t = {s.p, s.p + s.n};
	if (!take_name(&t) || !take_time(&t, &z->standard))
		return false;
	z->standard = -z->standard;
	z->has_tail = true;
	if (t.p == t.end)
		return true;
	if (!take_name(&t))
		return false;
	z->summer = z->standard + 3600;
	if (t.p < t.end && *t.p != ',') {
		if (!take_time(&t, &z->summer))
			return false;
		z->summer = -z->summer;
	}
	z->has_rules = take(&t, ',') && take_rule(&t, &z->begin) && take(&t, ',') && take_rule(&t, &z->end) && t.p == t.end;
	return z->has_rules;
}

typedef struct counts {
	size_t isut, isstd, leap, time, type, chars;
} counts;

/* The head of one of the two blocks: counts, and how long what follows is. false: it does not fit. */
static bool read_head(oc_str s, size_t at, int width, counts *c, size_t *ret_n)
{
	size_t *const members[] = {&c->isut, &c->isstd, &c->leap, &c->time, &c->type, &c->chars};
	if (s.n < at + 44 || memcmp(s.p + at, "TZif", 4) != 0)
		return false;
	for (size_t i = 0; i < 6; i++) {
		int64_t v = number_at(s.p + at + 20 + i * 4, 4);
		if (v < 0 || v > OC_ZONE_BYTES_MAX)
			return false;
		*members[i] = (size_t)v;
	}
	size_t w = (size_t)width;
	*ret_n = c->time * (w + 1) + c->type * 6 + c->chars + c->leap * (w + 4) + c->isstd + c->isut;
	return c->type > 0 && s.n - at - 44 >= *ret_n;
}

static bool read_block(oc_zone *z, const char *p, const counts *c, int width)
{
	const char *types = p + c->time * (size_t)(width + 1);
	z->times = oc_alloc(c->time * sizeof *z->times + 1);
	z->offsets = oc_alloc(c->time * sizeof *z->offsets + 1);
	if (z->times == NULL || z->offsets == NULL)
		return false;
	z->first = (int32_t)number_at(types, 4);
	for (size_t i = 0; i < c->time; i++) {
		size_t type = (unsigned char)p[c->time * (size_t)width + i];
		int64_t at = number_at(p + i * (size_t)width, width);
		if (type >= c->type || (z->n > 0 && at <= z->times[z->n - 1]))
			return false;
		int64_t offset = number_at(types + type * 6, 4);
		if (offset > ABOUT_MAX * 2 || offset < -ABOUT_MAX * 2)
			return false;
		/* Often only the name of the time changes. */
		if (offset != (z->n > 0 ? z->offsets[z->n - 1] : z->first)) {
			z->times[z->n] = at;
			z->offsets[z->n++] = (int32_t)offset;
		}
	}
	return true;
}

oc_status oc_zone_parse(oc_str s, oc_zone **ret, oc_err *err)
{
	counts c;
	size_t n, at = 0;
	int width = 4;
	oc_zone *z = oc_alloc(sizeof *z);
	if (z == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a time zone");
	bool ok = s.n <= OC_ZONE_BYTES_MAX && read_head(s, 0, 4, &c, &n);
	if (ok && s.p[4] >= '2') {
		at = 44 + n;
		width = 8;
		ok = read_head(s, at, 8, &c, &n);
	}
	ok = ok && read_block(z, s.p + at + 44, &c, width);
	if (ok && width == 8) {
		oc_str tail = {s.p + at + 44 + n, s.n - at - 44 - n};
		const char *end = tail.n > 1 && tail.p[0] == '\n' ? memchr(tail.p + 1, '\n', tail.n - 1) : NULL;
		/* Without one that can be read the last offset stays. */
		if (end != NULL && end > tail.p + 1 && !read_tail(z, (oc_str){tail.p + 1, (size_t)(end - tail.p - 1)}))
			z->has_tail = z->has_rules = false;
	}
	if (!ok) {
		oc_zone_free(z);
		return oc_fail(err, OC_E_INVALID, NULL, "not a time zone file");
	}
	*ret = z;
	return OC_OK;
}

void oc_zone_free(oc_zone *z)
{
	if (z == NULL)
		return;
	oc_free(z->times);
	oc_free(z->offsets);
	oc_free(z);
}

/* ---- Loading ---- */

/* Names are paths below the folder: nothing that could lead out of it. */
static bool is_name(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n >= OC_ZONE_NAME_MAX || name[0] == '/' || strstr(name, "..") != NULL)
		return false;
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

static oc_status load_file(const char *path, oc_zone **ret, oc_err *err)
{
	oc_auto_free char *bytes = NULL;
	size_t n = 0;
	oc_status status = oc_path_read(path, OC_ZONE_BYTES_MAX, &bytes, &n, err);
	return status == OC_OK ? oc_zone_parse((oc_str){bytes, n}, ret, err) : status;
}

static oc_status load_utc(oc_zone **ret, oc_err *err)
{
	*ret = oc_alloc(sizeof **ret);
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a time zone");
}

oc_status oc_zone_load(const char *name, oc_zone **ret, oc_err *err)
{
	if (name[0] == 0) {
		const char *tz = getenv("TZ");
		if (tz != NULL && tz[0] == ':')
			tz++;
		if (tz != NULL && tz[0] != 0 && is_name(tz) && oc_zone_load(tz, ret, NULL) == OC_OK)
			return OC_OK;
		if ((tz == NULL || tz[0] == 0) && load_file("/etc/localtime", ret, NULL) == OC_OK)
			return OC_OK;
		return load_utc(ret, err);
	}
	if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0 || strcmp(name, "GMT") == 0)
		return load_utc(ret, err);
	if (!is_name(name))
		return oc_fail(err, OC_E_INVALID, "give one like Europe/Berlin or UTC", "there is no time zone %.80s", name);
	oc_auto_free char *path = oc_path_join(FOLDER, name);
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a time zone");
	oc_status status = load_file(path, ret, NULL);
	if (status == OC_E_NOMEM)
		return oc_fail(err, status, NULL, "no memory for a time zone");
	if (status != OC_OK)
		return oc_fail(err, OC_E_INVALID,
			       oc_path_exists(FOLDER) ? "give one like Europe/Berlin or UTC" : "install the package tzdata; UTC works without",
			       "there is no time zone %s", name);
	return OC_OK;
}

/* ---- Asking ---- */

/* Local seconds, from midnight of 1 January on, at which a rule has effect in a year. */
static int64_t rule_at(const rule *r, int64_t year)
{
	int64_t day = days_of(year, 1, 1);
	if (r->kind == 'M') {
		int64_t first = days_of(year, r->month, 1);
		int weekday = (int)((first + 4) % 7);
		if (weekday < 0)
			weekday += 7;
		int date = 1 + (r->day - weekday + 7) % 7 + (r->week - 1) * 7;
		while (date > oc_date_month_days(year, r->month))
			date -= 7;
		day = first + date - 1;
	} else if (r->kind == 'J') {
		day += r->day - 1 + (is_leap(year) && r->day >= 60);
	} else {
		day += r->day;
	}
	return day * DAY_S + r->at;
}

/* The changes of the years around t by rule, ascending. */
static int rule_changes(const oc_zone *z, int64_t t, int64_t times[6], int32_t offsets[6])
{
	oc_date d;
	int n = 0;
	oc_date_of(t, &d);
	for (int64_t year = d.year - 1; year <= d.year + 1; year++) {
		int64_t begin = rule_at(&z->begin, year) - z->standard, end = rule_at(&z->end, year) - z->summer;
		bool south = begin > end;
		times[n] = south ? end : begin;
		offsets[n++] = south ? z->standard : z->summer;
		times[n] = south ? begin : end;
		offsets[n++] = south ? z->summer : z->standard;
	}
	return n;
}

int32_t oc_zone_offset(const oc_zone *z, int64_t t)
{
	if (z->n > 0 && t < z->times[z->n - 1]) {
		size_t low = 0, high = z->n - 1; /* the first after t */
		while (low < high) {
			size_t mid = low + (high - low) / 2;
			if (z->times[mid] > t)
				high = mid;
			else
				low = mid + 1;
		}
		return low > 0 ? z->offsets[low - 1] : z->first;
	}
	if (z->has_rules) {
		int64_t times[6];
		int32_t offsets[6];
		int i = rule_changes(z, t, times, offsets);
		while (i > 0 && times[i - 1] > t)
			i--;
		return i > 0 ? offsets[i - 1] : z->standard;
	}
	return z->has_tail ? z->standard : z->n > 0 ? z->offsets[z->n - 1] : z->first;
}

int64_t oc_zone_next_change(const oc_zone *z, int64_t t)
{
	for (size_t i = z->n > 0 && t >= z->times[z->n - 1] ? z->n : 0; i < z->n; i++)
		if (z->times[i] > t)
			return z->times[i];
	if (!z->has_rules)
		return INT64_MAX;
	int64_t times[6];
	int32_t offsets[6];
	int n = rule_changes(z, t, times, offsets);
	for (int i = 0; i < n; i++)
		if (times[i] > t && (i == 0 || offsets[i] != offsets[i - 1]))
			return times[i];
	return INT64_MAX;
}
