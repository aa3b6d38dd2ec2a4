/*
 * Time zones, from the system's zoneinfo (RFC 9636), without the process's own TZ: the C library has one zone a process and
 * locks around it, a schedule has one a job.  [any]
 */
#ifndef OC_DATA_ZONE_H
#define OC_DATA_ZONE_H

#include "core/base/err.h"
#include "core/base/str.h"

enum { OC_ZONE_BYTES_MAX = 256 << 10, OC_ZONE_NAME_MAX = 64 };

typedef struct oc_zone oc_zone;

/* By its IANA name ("Europe/Berlin"); "" the machine's own (TZ, else /etc/localtime, else UTC). OC_E_INVALID: no such name. */
oc_status oc_zone_load(const char *name, oc_zone **ret, oc_err *err);
/* The bytes of a TZif file. */
oc_status oc_zone_parse(oc_str bytes, oc_zone **ret, oc_err *err);
void oc_zone_free(oc_zone *zone); /* NULL is allowed */
/* Seconds east of UTC at that time (seconds since 1970). */
int32_t oc_zone_offset(const oc_zone *zone, int64_t utc_s);
/* The first time after utc_s at which the clocks are set; INT64_MAX: never. */
int64_t oc_zone_next_change(const oc_zone *zone, int64_t utc_s);

/* ---- Dates of the Gregorian calendar ---- */

typedef struct oc_date {
	int64_t year;
	int month, day;		  /* from 1 */
	int hour, minute, second;
	int weekday;		  /* 0: Sunday */
} oc_date;

/* Seconds since 1970 of a local time, as if it were UTC, and back. */
int64_t oc_date_seconds(const oc_date *date);
void oc_date_of(int64_t seconds, oc_date *ret);
int oc_date_month_days(int64_t year, int month);

#endif
