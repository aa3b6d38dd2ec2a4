#include "core/base/clock.h"

#include <stdio.h>
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
