/* A loop that a unit test runs until something happens. */
#ifndef OC_TEST_LOOP_H
#define OC_TEST_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/loop/loop.h"

static void give_up(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for 15 seconds");
}

/* Until somebody calls oc_loop_stop; 15 seconds are the bound, not a time that is waited for. */
static void run_loop(oc_loop *loop, oc_owner *owner)
{
	oc_watch *guard = oc_timer_start(owner, 15000, 0, give_up, NULL);
	oc_loop_run(loop);
	oc_watch_end(guard);
}

#endif
