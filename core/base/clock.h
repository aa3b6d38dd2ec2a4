/* Clocks. [any] */
#ifndef OC_BASE_CLOCK_H
#define OC_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t oc_now_ns(void);      /* monotonic */
uint64_t oc_now_ms(void);      /* monotonic */
int64_t oc_wall_ms(void);      /* since 1970, UTC; may jump */
/* "2026-01-31T12:34:56.789Z" into at least 25 bytes; returns out. */
char *oc_wall_format(int64_t wall_ms, char *out, size_t size);

#endif
