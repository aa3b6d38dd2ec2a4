/* core/loop: order, sweeps while callbacks run, work and posts across threads. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/loop/internal.h"

typedef struct fixture {
	oc_loop *loop;
	oc_owner *owner;
	unsigned long live;
	char trace[256];
	size_t n;
	oc_watch *watch;
	oc_watch *other;
	int count;
	int fds[2];
	oc_ticket *ticket;
} fixture;

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof(*f));
	oc_err err = {0};

	f->live = oc_mem_live();
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	assert_non_null(f->owner);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;

	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(oc_mem_live(), f->live); /* nothing outlives the loop */
	free(f);
	return 0;
}

static void mark(fixture *f, char c)
{
	assert_true(f->n + 1 < sizeof(f->trace));
	f->trace[f->n++] = c;
	f->trace[f->n] = 0;
}

static void stop_cb(void *arg)
{
	oc_loop_stop(((fixture *)arg)->loop);
}

/* Runs the loop, which must end by itself within two seconds. */
static void guard_cb(void *arg)
{
	(void)arg;
	fail_msg("the loop did not end in time");
}

static void run(fixture *f)
{
	oc_owner *guard = oc_owner_new(f->loop, "guard");

	assert_non_null(oc_timer_start(guard, 5000, 0, guard_cb, f));
	oc_loop_run(f->loop);
	oc_owner_free(guard);
}

/* ---- order ---- */

static void mark_a(void *arg)
{
	mark(arg, 'a');
}
static void mark_b(void *arg)
{
	mark(arg, 'b');
}
static void mark_c(void *arg)
{
	mark(arg, 'c');
}

static void t_timers_fire_in_order(void **state)
{
	fixture *f = *state;

	oc_timer_start(f->owner, 30, 0, mark_c, f);
	oc_timer_start(f->owner, 5, 0, mark_a, f);
	oc_timer_start(f->owner, 15, 0, mark_b, f);
	oc_timer_start(f->owner, 45, 0, stop_cb, f);
	run(f);
	assert_string_equal(f->trace, "abc");
}

static void repeat_cb(void *arg)
{
	fixture *f = arg;

	mark(f, 'r');
	if (++f->count == 3) {
		oc_watch_end(f->watch);
		oc_timer_start(f->owner, 10, 0, stop_cb, f);
	}
}

static void t_repeating_timer_ends_inside_itself(void **state)
{
	fixture *f = *state;

	f->watch = oc_timer_start(f->owner, 1, 2, repeat_cb, f);
	run(f);
	assert_string_equal(f->trace, "rrr");
}

static void again_cb(void *arg)
{
	fixture *f = arg;

	mark(f, 't');
	if (++f->count == 1)
		oc_timer_again(f->watch, 3);
	else
		oc_loop_stop(f->loop);
}

static void t_one_shot_timer_can_be_started_again(void **state)
{
	fixture *f = *state;

	f->watch = oc_timer_start(f->owner, 1, 0, again_cb, f);
	run(f);
	assert_string_equal(f->trace, "tt");
}

static void busy_then_timer(void *arg)
{
	fixture *f = arg;
	uint64_t until = oc_now_ms() + 60;

	while (oc_now_ms() < until) {
	}
	f->watch = oc_timer_start(f->owner, 30, 0, stop_cb, f);
}

static void t_timer_counts_from_now_after_a_long_callback(void **state)
{
	fixture *f = *state;
	uint64_t began = oc_now_ms();

	oc_timer_start(f->owner, 0, 0, busy_then_timer, f);
	run(f);
	assert_true(oc_now_ms() - began >= 89);
}

/* ---- defer ---- */

static void defer_inner(void *arg)
{
	mark(arg, '3');
	oc_loop_stop(((fixture *)arg)->loop);
}
static void defer_outer(void *arg)
{
	fixture *f = arg;

	mark(f, '2');
	assert_int_equal(oc_loop_defer(f->loop, f->owner, defer_inner, f), OC_OK);
}
static void defer_start(void *arg)
{
	fixture *f = arg;

	assert_int_equal(oc_loop_defer(f->loop, f->owner, defer_outer, f), OC_OK);
	mark(f, '1'); /* never from inside the call */
}

static void t_defer_runs_after_the_callback_without_sleeping(void **state)
{
	fixture *f = *state;
	uint64_t began;

	oc_timer_start(f->owner, 0, 0, defer_start, f);
	began = oc_now_ms();
	run(f);
	assert_string_equal(f->trace, "123");
	assert_true(oc_now_ms() - began < 20000);
}

static void defer_three(void *arg)
{
	fixture *f = arg;

	oc_loop_defer(f->loop, NULL, mark_a, f);
	oc_loop_defer(f->loop, f->owner, mark_b, f);
	oc_loop_defer(f->loop, NULL, mark_c, f);
	oc_loop_defer(f->loop, NULL, stop_cb, f);
}

static void t_defer_keeps_order(void **state)
{
	fixture *f = *state;

	oc_loop_defer(f->loop, NULL, defer_three, f);
	run(f);
	assert_string_equal(f->trace, "abc");
}

static void sweep_cb(void *arg)
{
	fixture *f = arg;

	oc_owner_sweep(f->owner);
}

static void t_sweep_drops_what_was_deferred_in_the_same_round(void **state)
{
	fixture *f = *state;

	oc_loop_defer(f->loop, NULL, sweep_cb, f);
	oc_loop_defer(f->loop, f->owner, mark_b, f);
	oc_loop_defer(f->loop, NULL, mark_c, f);
	oc_loop_defer(f->loop, NULL, stop_cb, f);
	run(f);
	assert_string_equal(f->trace, "c");
}

/* ---- post ---- */

enum { POSTERS = 4, POSTS = 2000 };

typedef struct post_rec {
	fixture *f;
	struct poster *from;
	int i;
} post_rec;

typedef struct poster {
	fixture *f;
	int last;
	post_rec recs[POSTS];
} poster;

static void posted(void *arg)
{
	post_rec *rec = arg;

	assert_true(oc_loop_is_thread(rec->f->loop));
	assert_int_equal(rec->i, rec->from->last + 1); /* in order of posting */
	rec->from->last = rec->i;
	if (++rec->f->count == POSTERS * POSTS)
		oc_loop_stop(rec->f->loop);
}

static void *post_many(void *arg)
{
	poster *p = arg;

	for (int i = 0; i < POSTS; i++) {
		p->recs[i] = (post_rec){p->f, p, i};
		if (oc_loop_post(p->f->loop, posted, &p->recs[i]) != OC_OK)
			return (void *)1;
	}
	return oc_loop_is_thread(p->f->loop) ? (void *)1 : NULL;
}

static void t_posts_from_threads_arrive_all_and_in_order(void **state)
{
	fixture *f = *state;
	pthread_t threads[POSTERS];
	poster *posters = calloc(POSTERS, sizeof(*posters));

	for (int i = 0; i < POSTERS; i++) {
		posters[i].f = f;
		posters[i].last = -1;
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
	}
	run(f);
	for (int i = 0; i < POSTERS; i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_int_equal(f->count, POSTERS * POSTS);
	free(posters);
}

static void t_free_runs_what_was_posted(void **state)
{
	fixture *f = *state;
	oc_loop *loop;
	fixture other = {0};

	assert_int_equal(oc_loop_new(&loop, NULL), OC_OK);
	assert_int_equal(oc_loop_post(loop, mark_a, &other), OC_OK);
	oc_loop_free(loop);
	assert_string_equal(other.trace, "a");
	(void)f;
}

/* ---- sweep ---- */

static void sweep_self(void *arg)
{
	fixture *f = arg;

	mark(f, 's');
	oc_owner_sweep(f->owner); /* ends the timer this runs in */
	assert_non_null(oc_timer_start(f->owner, 5, 0, stop_cb, f)); /* the owner stays usable */
}

static void t_sweep_inside_a_callback_ends_everything(void **state)
{
	fixture *f = *state;
	oc_owner_stats st;

	oc_timer_start(f->owner, 1, 1, sweep_self, f);
	oc_timer_start(f->owner, 1, 1, mark_a, f);
	oc_timer_start(f->owner, 2, 0, mark_b, f);
	assert_non_null(oc_signal_watch(f->owner, SIGUSR1, mark_c, f));
	oc_owner_get_stats(f->owner, &st);
	assert_int_equal(st.live, 4);
	run(f);
	assert_string_equal(f->trace, "s");
	oc_owner_get_stats(f->owner, &st);
	assert_int_equal(st.live, 1);
}

static void free_owner_cb(void *arg)
{
	fixture *f = arg;

	oc_owner_free(f->owner);
	f->owner = oc_owner_new(f->loop, "next");
	oc_timer_start(f->owner, 5, 0, stop_cb, f);
}

static void t_owner_freed_inside_its_own_callback(void **state)
{
	fixture *f = *state;

	oc_timer_start(f->owner, 1, 1, free_owner_cb, f);
	run(f);
	assert_string_equal(oc_owner_name(f->owner), "next");
}

static void end_and_add(void *arg)
{
	fixture *f = arg;

	mark(f, 'e');
	if (f->count++ < 3)
		assert_non_null(oc_owner_track(f->owner, end_and_add, f));
}

static void end_other(void *arg)
{
	fixture *f = arg;

	mark(f, 'o');
	oc_owner_forget(f->ticket);
}

static void t_tracked_things_end_newest_first(void **state)
{
	fixture *f = *state;
	oc_ticket *ticket;

	assert_non_null(oc_owner_track(f->owner, mark_a, f));
	assert_non_null(oc_owner_track(f->owner, mark_b, f));
	ticket = oc_owner_track(f->owner, mark_c, f);
	oc_owner_forget(ticket);
	oc_owner_forget(NULL);
	oc_owner_sweep(f->owner);
	assert_string_equal(f->trace, "ba");
}

static void t_ending_one_thing_may_end_or_add_others(void **state)
{
	fixture *f = *state;

	f->ticket = oc_owner_track(f->owner, mark_a, f);
	oc_owner_track(f->owner, end_other, f);
	oc_owner_sweep(f->owner);
	assert_string_equal(f->trace, "o");
	f->n = 0;
	oc_owner_track(f->owner, end_and_add, f);
	oc_owner_sweep(f->owner); /* what was added meanwhile stays */
	assert_string_equal(f->trace, "e");
	oc_owner_sweep(f->owner);
	assert_string_equal(f->trace, "ee");
	f->count = 99;
}

/* ---- descriptors and signals ---- */

static void fd_cb(void *arg, uint32_t events)
{
	fixture *f = arg;
	char c;

	if (events & OC_FD_READ) {
		ssize_t n = read(f->fds[0], &c, 1);

		if (n == 1) {
			mark(f, c);
			return;
		}
	}
	if (events & OC_FD_HANGUP) {
		mark(f, 'H');
		oc_watch_end(f->watch);
		oc_watch_end(f->watch); /* a second end is harmless within the same callback */
		oc_loop_stop(f->loop);
	}
}

static void write_cb(void *arg)
{
	fixture *f = arg;

	assert_int_equal(write(f->fds[1], "xy", 2), 2);
	close(f->fds[1]);
}

static void t_descriptor_reads_then_hangs_up(void **state)
{
	fixture *f = *state;

	assert_int_equal(pipe(f->fds), 0);
	f->watch = oc_fd_watch(f->owner, f->fds[0], OC_FD_READ | OC_FD_HANGUP, fd_cb, f);
	assert_non_null(f->watch);
	assert_null(oc_fd_watch(f->owner, 9999, OC_FD_READ, fd_cb, f));
	oc_timer_start(f->owner, 1, 0, write_cb, f);
	run(f);
	assert_string_equal(f->trace, "xyH");
	close(f->fds[0]);
}

static void raise_cb(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
}

static void signal_cb(void *arg)
{
	mark(arg, 'S');
	stop_cb(arg);
}

static void t_signal(void **state)
{
	fixture *f = *state;

	f->watch = oc_signal_watch(f->owner, SIGUSR1, signal_cb, f);
	assert_non_null(f->watch);
	assert_null(oc_signal_watch(f->owner, SIGKILL, signal_cb, f));
	oc_timer_start(f->owner, 1, 0, raise_cb, f);
	run(f);
	assert_string_equal(f->trace, "S");
}

/* ---- work ---- */

static atomic_int ran;

static void slow_fn(void *arg)
{
	(void)arg;
	usleep(40000);
	atomic_fetch_add(&ran, 1);
}

static void done_stop(void *arg, oc_status status)
{
	fixture *f = arg;

	mark(f, status == OC_OK ? 'D' : status == OC_E_CANCELED ? 'X' : '?');
	if (--f->count == 0)
		oc_loop_stop(f->loop);
}

static void t_work_reports_on_the_loop(void **state)
{
	fixture *f = *state;

	atomic_store(&ran, 0);
	f->count = 1;
	assert_int_equal(oc_work(f->owner, slow_fn, done_stop, f), OC_OK);
	run(f);
	assert_string_equal(f->trace, "D");
	assert_int_equal(atomic_load(&ran), 1);
}

static atomic_int begun, released;

static void held_fn(void *arg)
{
	(void)arg;
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&released))
		usleep(1000);
	atomic_fetch_add(&ran, 1);
}

static void sweep_once_begun(void *arg)
{
	fixture *f = arg;

	if (atomic_load(&begun) == 0)
		return;
	oc_owner_sweep(f->owner);
	atomic_store(&released, 1);
}

static void t_swept_work_is_cancelled_exactly_once(void **state)
{
	fixture *f = *state;

	atomic_store(&ran, 0);
	f->count = 12; /* more than the pool has threads: some run, some wait */
	for (int i = 0; i < 12; i++)
		assert_int_equal(oc_work(f->owner, held_fn, done_stop, f), OC_OK);
	oc_timer_start(f->owner, 1, 1, sweep_once_begun, f);
	run(f);
	assert_string_equal(f->trace, "XXXXXXXXXXXX");
	assert_true(atomic_load(&ran) < 12);
	assert_true(atomic_load(&ran) > 0);
}

static void t_work_outlives_its_owner(void **state)
{
	fixture *f = *state;

	f->count = 1;
	assert_int_equal(oc_work(f->owner, slow_fn, done_stop, f), OC_OK);
	oc_owner_free(f->owner);
	f->owner = NULL;
	assert_int_equal(f->n, 0); /* never from inside the sweep */
	run(f);
	assert_string_equal(f->trace, "X");
}

static void done_mark(void *arg, oc_status status)
{
	mark(arg, status == OC_E_CANCELED ? 'X' : 'D');
}

static void t_loop_free_waits_for_work(void **state)
{
	fixture *f = *state;
	oc_loop *loop;
	oc_owner *owner;
	fixture other = {0};

	assert_int_equal(oc_loop_new(&loop, NULL), OC_OK);
	owner = oc_owner_new(loop, "late");
	assert_int_equal(oc_work(owner, slow_fn, done_mark, &other), OC_OK);
	oc_loop_free(loop);
	assert_string_equal(other.trace, "X");
	assert_null(oc_owner_loop(owner));
	oc_owner_sweep(owner);
	oc_owner_free(owner); /* after its loop: allowed */
	(void)f;
}

/* ---- time ---- */

/* What the loop's clock may be wrong in some milliseconds: its speed was taken over ten, by two readings of a microsecond or so. */
enum { WRONG_NS = 100 * 1000 };

static void spin(uint64_t ms)
{
	uint64_t until = oc_now_ns() + ms * 1000000;

	while (oc_now_ns() < until) {
	}
}

static void t_time_is_charged_to_the_owner_that_spent_it(void **state)
{
	fixture *f = *state;
	oc_owner *inner = oc_owner_new(f->loop, "inner");
	oc_owner_stats a, b;
	uint64_t began = oc_now_ns(), out = oc_owner_enter(f->owner), elapsed;
	uint64_t in;

	spin(3);
	in = oc_owner_enter(inner);
	spin(15);
	oc_owner_leave(inner, in);
	oc_owner_leave(f->owner, out);
	elapsed = oc_now_ns() - began;
	oc_owner_get_stats(f->owner, &a);
	oc_owner_get_stats(inner, &b);
	assert_int_equal(a.callbacks, 1);
	assert_int_equal(b.callbacks, 1);
	assert_true(b.total_ns + WRONG_NS >= 15000000 && b.max_ns == b.total_ns);
	assert_int_equal(b.over_10ms, 1);
	/* Nothing is charged twice, however long it was kept from running. */
	assert_true(a.total_ns + WRONG_NS >= 3000000 && a.total_ns + b.total_ns <= elapsed + WRONG_NS);
	oc_owner_free(inner);
}

static void compare_clocks(oc_loop *loop)
{
	uint64_t before = oc_now_ns(), now = oc_loop_now_ns(loop), after = oc_now_ns();

	assert_true(now + WRONG_NS >= before && now <= after + WRONG_NS);
}

static void t_the_cheap_clock_goes_with_the_other(void **state)
{
	fixture *f = *state;
	oc_pace *pace = &f->loop->pace;
	uint64_t last = 0;

	/* Known or not: the speed is taken when a turn begins, from the second one on that is late enough. */
	for (int turn = 0; turn < 4; turn++) {
		f->loop->woke_ns = 0;
		f->loop->woke_ns = oc_loop_now_ns(f->loop);
		for (int i = 0; i < 1000; i++) {
			uint64_t now = oc_loop_now_ns(f->loop);

			assert_true(now >= last || last - now < WRONG_NS);
			last = now;
		}
		spin(12);
		compare_clocks(f->loop);
	}
	if (!pace->usable) {
		assert_int_equal(pace->anchor_ticks, 0);
		return; /* this processor's counter is not read */
	}
	assert_true(pace->ns_per_tick != 0 && pace->anchor_ticks != 0);
	/* A second later, and after a sleep in which the counter stood still or began anew, the clock is asked. */
	pace->anchor_ticks -= UINT64_C(1) << 31;
	pace->anchor_ns = 0;
	compare_clocks(f->loop);
	pace->anchor_ticks += UINT64_C(1) << 40;
	pace->anchor_ns = 0;
	compare_clocks(f->loop);
	/* A wrong speed does not last. */
	pace->ns_per_tick = 1;
	spin(12);
	f->loop->woke_ns = 0;
	(void)oc_loop_now_ns(f->loop);
	f->loop->woke_ns = 1;
	spin(5);
	compare_clocks(f->loop);
}

static void t_nothing_is_taken_after_out_of_memory(void **state)
{
	fixture *f = *state;
	oc_owner_stats st;

	oc_mem_fail_at(1);
	assert_null(oc_owner_new(f->loop, "x"));
	assert_null(oc_timer_start(f->owner, 1, 0, mark_a, f));
	assert_null(oc_owner_track(f->owner, mark_a, f));
	assert_int_equal(oc_work(f->owner, slow_fn, done_stop, f), OC_E_NOMEM);
	assert_int_equal(oc_loop_post(f->loop, mark_a, f), OC_E_NOMEM);
	assert_int_equal(oc_loop_defer(f->loop, f->owner, mark_a, f), OC_E_NOMEM);
	oc_mem_fail_at(0);
	oc_owner_get_stats(f->owner, &st);
	assert_int_equal(st.live, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_timers_fire_in_order),
		T(t_repeating_timer_ends_inside_itself),
		T(t_one_shot_timer_can_be_started_again),
		T(t_timer_counts_from_now_after_a_long_callback),
		T(t_defer_runs_after_the_callback_without_sleeping),
		T(t_defer_keeps_order),
		T(t_sweep_drops_what_was_deferred_in_the_same_round),
		T(t_posts_from_threads_arrive_all_and_in_order),
		T(t_free_runs_what_was_posted),
		T(t_sweep_inside_a_callback_ends_everything),
		T(t_owner_freed_inside_its_own_callback),
		T(t_tracked_things_end_newest_first),
		T(t_ending_one_thing_may_end_or_add_others),
		T(t_descriptor_reads_then_hangs_up),
		T(t_signal),
		T(t_work_reports_on_the_loop),
		T(t_swept_work_is_cancelled_exactly_once),
		T(t_work_outlives_its_owner),
		T(t_loop_free_waits_for_work),
		T(t_time_is_charged_to_the_owner_that_spent_it),
		T(t_the_cheap_clock_goes_with_the_other),
		T(t_nothing_is_taken_after_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
