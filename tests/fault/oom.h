/*
 * Memory that runs out on purpose.  A test that includes this is linked with --wrap (local.mk), so that every allocation
 * of the core and of the libraries in it (SQLite, libuv, cJSON) is asked here first.
 */
#ifndef OC_TESTS_FAULT_OOM_H
#define OC_TESTS_FAULT_OOM_H

#include <execinfo.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static atomic_bool oom_armed;
static atomic_long oom_count, oom_from, oom_until;
static atomic_llong oom_ms, oom_over_ms; /* the shortage lasts so long instead */
static const char *oom_what = "";

static void oom_arm(const char *what, long nth, long how_many)
{
	oom_what = what;
	atomic_store(&oom_from, nth);
	atomic_store(&oom_until, nth + how_many);
	atomic_store(&oom_ms, 0);
	atomic_store(&oom_over_ms, 0);
	atomic_store(&oom_count, 0);
	atomic_store(&oom_armed, true);
}

static long long oom_clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* From the n-th on all fail, for ms. */
__attribute__((unused)) static void oom_arm_ms(const char *what, long nth, long ms)
{
	oom_arm(what, nth, LONG_MAX / 2);
	atomic_store(&oom_ms, ms);
}

/* Whether an allocation failed since. */
static bool oom_disarm(void)
{
	atomic_store(&oom_armed, false);
	return atomic_load(&oom_count) >= atomic_load(&oom_from);
}

/* Where the first failing allocation was asked for. */
static void *oom_stack[24];
static int oom_depth;

__attribute__((unused)) static void oom_where(void)
{
	(void)!write(1, "# the allocation was asked for at (addr2line -ipfe):\n", 51);
	backtrace_symbols_fd(oom_stack, oom_depth, 1);
}

static bool oom_now(void)
{
	if (!atomic_load_explicit(&oom_armed, memory_order_relaxed))
		return false;
	long n = atomic_fetch_add(&oom_count, 1) + 1;
	if (n < atomic_load(&oom_from) || n >= atomic_load(&oom_until))
		return false;
	if (n == atomic_load(&oom_from)) {
		oom_depth = backtrace(oom_stack, 24);
		atomic_store(&oom_over_ms, oom_clock_ms() + atomic_load(&oom_ms));
	}
	return atomic_load(&oom_ms) == 0 || oom_clock_ms() < atomic_load(&oom_over_ms);
}

void *__wrap_malloc(size_t n)
{
	return oom_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return oom_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return oom_now() ? NULL : __real_realloc(p, n);
}

/* A crash names the allocation. */
static void oom_crashed(int sig)
{
	char text[200];
	int n = snprintf(text, sizeof text, "# signal %d: %s, allocation %ld\n", sig, oom_what, atomic_load(&oom_from));
	(void)!write(1, text, n > 0 ? (size_t)n : 0);
	oom_where();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* libuv ends the process when its table of descriptors cannot grow: there is nothing to be tested in that. */
static void oom_begin(void)
{
	(void)uv_replace_allocator(__wrap_malloc, __real_realloc, __wrap_calloc, free);
#ifndef __SANITIZE_ADDRESS__
	signal(SIGSEGV, oom_crashed);
#endif
	signal(SIGABRT, oom_crashed);
	(void)backtrace(oom_stack, 1); /* loads what it needs */
}

#endif
