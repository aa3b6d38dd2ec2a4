/* A test's store, and waiting for what becomes of its batches. */
#ifndef OC_TEST_STORE_WAIT_H
#define OC_TEST_STORE_WAIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/store/store.h"

#define WAIT_MS 30000

typedef struct fixture {
	char dir[64], path[128];
	oc_loop *loop;
	oc_owner *owner;
	oc_store *store;
	int waiting; /* batches whose end was not told */
	oc_status last;
	oc_err err; /* of the last */
	int64_t changed;
	bool (*until)(struct fixture *f);
	uint64_t deadline;
} fixture;

static void look(void *arg)
{
	fixture *f = arg;
	if (f->until(f) || oc_now_ms() > f->deadline)
		oc_loop_stop(f->loop);
}

/* Runs the loop until the condition holds; the deadline is a bound. */
static void run_until(fixture *f, bool (*until)(fixture *f))
{
	if (until(f))
		return;
	f->until = until;
	f->deadline = oc_now_ms() + WAIT_MS;
	oc_watch *timer = oc_timer_start(f->owner, 1, 1, look, f);
	oc_loop_run(f->loop);
	oc_watch_end(timer);
	assert_true(until(f));
}

static void on_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	fixture *f = arg;
	f->last = status;
	f->err = *err;
	f->changed = oc_batch_changed(b, 0);
	f->waiting--;
}

static bool nothing_waits(fixture *f)
{
	return f->waiting == 0;
}

#endif
