/*
 * The event loop: libuv behind a small wrapper, with an owner on everything that lives on it.
 *
 * There is one loop, on one thread.  Whatever is created for an owner (a module, a connection, the CLI) is found and
 * ended by oc_owner_sweep, so nothing outlives the thing it was for.  Callbacks are timed; slow ones are logged with the
 * owner's name.  All functions are for the loop thread, except oc_loop_post.
 */
#ifndef OC_LOOP_LOOP_H
#define OC_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/base/err.h"
#include "core/base/hist.h"

typedef struct oc_loop oc_loop;
typedef struct oc_owner oc_owner;
/* oc_watch (from the ABI) is a timer, an fd watch or a signal watch. */

/* libuv's pool threads (4, or UV_THREADPOOL_SIZE) start with the first oc_work. */
oc_status oc_loop_new(oc_loop **ret, oc_err *err);
/* Runs until oc_loop_stop. */
void oc_loop_run(oc_loop *loop);
void oc_loop_stop(oc_loop *loop);
/* Runs what was posted, ends what every owner has (waiting for pool work that runs), closes what is left and frees; must
 * not be running. Owners stay valid, empty and without a loop, until they are freed. NULL is allowed. */
void oc_loop_free(oc_loop *loop);
uv_loop_t *oc_loop_uv(oc_loop *loop);
bool oc_loop_is_thread(const oc_loop *loop);
/* oc_now_ns for the loop thread, right to some microseconds, at less than half the price where the processor's tick counter can
 * be trusted (x86-64 with an invariant one): what is timed by the hundred thousand a second reads this. */
uint64_t oc_loop_now_ns(oc_loop *loop);

/* Runs fn(arg) on the loop thread, in order of posting. [any] OC_E_NOMEM, OC_E_STATE when the loop is gone. */
oc_status oc_loop_post(oc_loop *loop, void (*fn)(void *arg), void *arg);
/* The same for who must not fail for want of memory when the time comes: made beforehand, posted as often as needed. Posted
 * again before it ran it still runs once. Freed on the loop thread, it runs no more; NULL is allowed. */
typedef struct oc_wake oc_wake;
oc_wake *oc_wake_new(oc_loop *loop, void (*fn)(void *arg), void *arg);
void oc_wake_post(oc_wake *wake); /* [any] */
void oc_wake_free(oc_wake *wake);
/* As oc_loop_post from the loop thread: after the current callback, before the loop sleeps; for "never from inside a call".
 * A sweep of the owner (which may be NULL) drops it. OC_E_NOMEM, OC_E_STATE when the owner is being freed. */
oc_status oc_loop_defer(oc_loop *loop, oc_owner *owner, void (*fn)(void *arg), void *arg);

/* How busy the loop is: the time from waking up to going to sleep again, which is what everything else had to wait. */
typedef struct oc_loop_stats {
	uint64_t turns;
	oc_hist busy;
	uint64_t owners, jobs; /* alive; in the pool or waiting for it */
	uint64_t timers, handles; /* libuv handles that are timers, and the others */
} oc_loop_stats;
void oc_loop_get_stats(oc_loop *loop, oc_loop_stats *ret);

/* ---- Owners ---- */

/* name is copied and appears in logs and metrics. */
oc_owner *oc_owner_new(oc_loop *loop, const char *name);
const char *oc_owner_name(const oc_owner *owner);
oc_loop *oc_owner_loop(const oc_owner *owner);
/* Registers something else to be ended by the sweep; returns a ticket for oc_owner_forget; NULL when out of memory. */
typedef struct oc_ticket oc_ticket;
oc_ticket *oc_owner_track(oc_owner *owner, void (*end)(void *arg), void *arg);
void oc_owner_forget(oc_ticket *ticket); /* NULL is allowed */
/* Ends every timer, watch, pending work and tracked thing of the owner. The owner stays usable. */
void oc_owner_sweep(oc_owner *owner);
void oc_owner_free(oc_owner *owner); /* sweeps first; NULL is allowed */
/* Callback time of the owner, in nanoseconds, and counts of callbacks over 10 ms, 100 ms and 1 s. */
typedef struct oc_owner_stats {
	uint64_t callbacks, total_ns, max_ns, over_10ms, over_100ms, over_1s, live;
} oc_owner_stats;
void oc_owner_get_stats(const oc_owner *owner, oc_owner_stats *ret);
/* Brackets a callback into the owner's code (used by the wrapper itself and by core/module). Nests. */
uint64_t oc_owner_enter(oc_owner *owner);
void oc_owner_leave(oc_owner *owner, uint64_t entered);
/* The time alone, for who does himself what the guard is for; by a clock that was just read (oc_loop_now_ns). */
uint64_t oc_owner_clock_in(oc_owner *owner, uint64_t now_ns);
void oc_owner_clock_out(oc_owner *owner, uint64_t entered);
/* Functions told of every such callback, from whichever service it comes: core/module marks whose code runs. Set once, before
 * the owner has anything. */
void oc_owner_set_guard(oc_owner *owner, void (*enter)(void *arg), void (*leave)(void *arg), void *arg);

/* ---- Timers, descriptors, signals, work ---- */

/* All of these return NULL when out of memory, when the owner is being freed, or when the system refuses. A watch stays the
 * caller's, a one-shot timer too, until oc_watch_end or the sweep. */
oc_watch *oc_timer_start(oc_owner *owner, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg);
/* Starts the timer again with ms from now, keeping callback and argument. */
void oc_timer_again(oc_watch *timer, uint64_t ms);
/* An error on the descriptor is reported once as everything watched plus OC_FD_HANGUP; then nothing is watched until
 * oc_fd_events. */
oc_watch *oc_fd_watch(oc_owner *owner, int fd, uint32_t events, void (*cb)(void *arg, uint32_t events), void *arg);
void oc_fd_events(oc_watch *watch, uint32_t events); /* changes what is watched */
oc_watch *oc_signal_watch(oc_owner *owner, int signum, void (*cb)(void *arg), void *arg);
void oc_watch_end(oc_watch *watch); /* NULL is allowed; allowed inside its own callback */
/* fn on a pool thread, then done on the loop thread exactly once (after a sweep: with OC_E_CANCELED, and fn may still be
 * running or skipped; done is then called when fn has returned). */
oc_status oc_work(oc_owner *owner, void (*fn)(void *arg), void (*done)(void *arg, oc_status status), void *arg);

#endif
