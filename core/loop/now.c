/*
 * The time on the loop thread.  Every callback is timed at both ends, and reading the clock twice was most of what a call of a
 * module cost.  The kernel's clock is the processor's tick counter, brought up to date with care; here it is read once a turn,
 * and within the turn the ticks are counted.
 */
#include "core/base/clock.h"
#include "core/loop/internal.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <x86intrin.h>

static bool have_ticks(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
}

static uint64_t ticks_now(void)
{
	return __rdtsc();
}
#else /* the clock itself costs as little there, or nobody has measured it */
static bool have_ticks(void)
{
	return false;
}

static uint64_t ticks_now(void)
{
	return 0;
}
#endif

enum {
	SPEED_NS = 10 * 1000 * 1000,  /* the speed is taken over at least this */
	READ_TICKS = 1 << 13,	      /* reading the clock takes less, unless the thread was put aside in between */
};
/* So far from an anchor ticks are believed: most of a second. What a suspended or migrated machine makes of them is beyond, and
 * the product with ns_per_tick has room. */
#define TICKS_MAX (UINT64_C(1) << 31)

void oc_pace_init(oc_pace *pace)
{
	*pace = (oc_pace){.usable = have_ticks()};
}

/* The speed between two anchors, taken anew for ever: a wrong one, from a machine that slept in between, does not last. */
static void take_speed(oc_pace *pace, uint64_t ns, uint64_t ticks)
{
	if (ns - pace->base_ns < SPEED_NS)
		return;
	/* Of the counters that run below 1 GHz none is worth the trouble. */
	if (pace->base_ns != 0 && ns - pace->base_ns < UINT32_MAX && ticks - pace->base_ticks > ns - pace->base_ns)
		pace->ns_per_tick = ((ns - pace->base_ns) << 32) / (ticks - pace->base_ticks);
	pace->base_ns = ns;
	pace->base_ticks = ticks;
}

static uint64_t anchor(oc_pace *pace)
{
	uint64_t before = ticks_now(), ns = oc_now_ns(), took = ticks_now() - before;

	pace->anchor_ticks = 0;
	if (!pace->usable || took > READ_TICKS)
		return ns;
	take_speed(pace, ns, before + took / 2);
	if (pace->ns_per_tick != 0) {
		pace->anchor_ns = ns;
		pace->anchor_ticks = before + took / 2;
	}
	return ns;
}

uint64_t oc_loop_now_ns(oc_loop *loop)
{
	oc_pace *pace = &loop->pace;
	uint64_t ticks;

	if (pace->anchor_ticks == 0 || loop->woke_ns == 0)
		return anchor(pace);
	ticks = ticks_now() - pace->anchor_ticks;
	return ticks < TICKS_MAX ? pace->anchor_ns + (ticks * pace->ns_per_tick >> 32) : anchor(pace);
}
