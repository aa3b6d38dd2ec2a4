/* Clocks. [any] */
#ifndef OC_BASE_CLOCK_H
#define OC_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/str.h"

uint64_t oc_now_ns(void);      /* monotonic */
uint64_t oc_now_ms(void);      /* monotonic */
int64_t oc_wall_ms(void);      /* since 1970, UTC; may jump */

/* Removing by age cannot be undone, so whoever does it watches for a wall clock that was set. Zeroed before the first look. */
typedef struct oc_clock_watch {
	bool known;
	int64_t offset_ms; /* wall clock minus time since boot, at the last look */
} oc_clock_watch;
/* By how much the wall clock was moved since the last look; 0: not at all, by less than ten minutes, or it is the first look.
 * A machine that slept has not moved its clock. */
int64_t oc_clock_jump_ms(oc_clock_watch *watch);

/* "2026-01-31T12:34:56.789Z" into at least 25 bytes; returns out. */
char *oc_wall_format(int64_t wall_ms, char *out, size_t size);
/* The other way (ISO 8601): "2026-01-31", "2026-01-31T12:34", with seconds and up to nine decimals, then "Z", "+01:00", "+0100"
 * or nothing, which means UTC; years 1970 to 9999. A blank may stand for the T. false: it is something else, *ret_ms stays. */
bool oc_wall_parse(oc_str text, int64_t *ret_ms);

#endif
