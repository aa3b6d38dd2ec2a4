/* Timers, descriptors, signals: one handle each, closed by oc_watch_end or by the owner's sweep. */
#include "core/base/mem.h"
#include "core/loop/internal.h"

struct oc_watch {
	oc_item item;
	union {
		uv_handle_t handle;
		uv_timer_t timer;
		uv_poll_t poll;
		uv_signal_t signal;
	} uv;
	union {
		void (*plain)(void *arg);
		void (*fd)(void *arg, uint32_t events);
	} cb;
	void *arg;
	uint64_t repeat_ms;
	uint32_t events;
	bool ended;
};

static oc_watch *watch_new(oc_owner *owner, oc_item_kind kind)
{
	oc_watch *watch = oc_alloc(sizeof(*watch));

	if (watch == NULL)
		return NULL;
	if (!oc_item_add(owner, &watch->item, kind)) {
		oc_free(watch);
		return NULL;
	}
	return watch;
}

static void on_closed(uv_handle_t *handle)
{
	oc_free(handle->data);
}

void oc_watch_close(oc_item *item)
{
	oc_watch *watch = OC_CONTAINER(item, oc_watch, item);

	/* libuv calls back at the end of the iteration, so the memory outlives the callback that may be running. */
	watch->ended = true;
	watch->uv.handle.data = watch;
	uv_close(&watch->uv.handle, on_closed);
}

void oc_watch_end(oc_watch *watch)
{
	if (watch == NULL || watch->ended)
		return;
	oc_item_drop(&watch->item);
	oc_watch_close(&watch->item);
}

/* Undoes watch_new when libuv refused the handle. */
static oc_watch *watch_refused(oc_watch *watch)
{
	oc_item_drop(&watch->item);
	oc_free(watch);
	return NULL;
}

static void run_plain(oc_watch *watch)
{
	oc_owner *owner = watch->item.owner;
	uint64_t entered = oc_owner_enter(owner);

	watch->cb.plain(watch->arg);
	oc_owner_leave(owner, entered);
}

/* ---- Timers ---- */

static void on_timer(uv_timer_t *timer)
{
	run_plain(timer->data);
}

oc_watch *oc_timer_start(oc_owner *owner, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg)
{
	oc_watch *watch = watch_new(owner, OC_ITEM_TIMER);

	if (watch == NULL)
		return NULL;
	(void)uv_timer_init(&owner->loop->uv, &watch->uv.timer);
	watch->uv.timer.data = watch;
	watch->cb.plain = cb;
	watch->arg = arg;
	watch->repeat_ms = repeat_ms;
	oc_timer_again(watch, ms);
	return watch;
}

void oc_timer_again(oc_watch *timer, uint64_t ms)
{
	if (timer->ended)
		return;
	/* libuv counts from the start of the iteration; a long callback would make the timer early. */
	uv_update_time(timer->uv.timer.loop);
	(void)uv_timer_start(&timer->uv.timer, on_timer, ms, timer->repeat_ms);
}

/* ---- Descriptors ---- */

static int to_uv(uint32_t events)
{
	int ret = 0;

	if (events & OC_FD_READ)
		ret |= UV_READABLE;
	if (events & OC_FD_WRITE)
		ret |= UV_WRITABLE;
	if (events & OC_FD_HANGUP)
		ret |= UV_DISCONNECT;
	return ret;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	oc_watch *watch = poll->data;
	oc_owner *owner = watch->item.owner;
	uint32_t ready = 0;
	uint64_t entered;

	if (status < 0) {
		/* An error on the descriptor: libuv has stopped watching. The reader or writer finds out which one. */
		ready = (watch->events & (OC_FD_READ | OC_FD_WRITE)) | OC_FD_HANGUP;
		watch->events = 0;
	} else {
		if (events & UV_READABLE)
			ready |= OC_FD_READ;
		if (events & UV_WRITABLE)
			ready |= OC_FD_WRITE;
		if (events & UV_DISCONNECT)
			ready |= OC_FD_HANGUP;
	}
	entered = oc_owner_enter(owner);
	watch->cb.fd(watch->arg, ready);
	oc_owner_leave(owner, entered);
}

oc_watch *oc_fd_watch(oc_owner *owner, int fd, uint32_t events, void (*cb)(void *arg, uint32_t events), void *arg)
{
	oc_watch *watch = watch_new(owner, OC_ITEM_FD);

	if (watch == NULL)
		return NULL;
	if (uv_poll_init(&owner->loop->uv, &watch->uv.poll, fd) != 0)
		return watch_refused(watch);
	watch->uv.poll.data = watch;
	watch->cb.fd = cb;
	watch->arg = arg;
	oc_fd_events(watch, events);
	return watch;
}

void oc_fd_events(oc_watch *watch, uint32_t events)
{
	if (watch->ended || watch->events == events)
		return;
	watch->events = events;
	if (events == 0)
		(void)uv_poll_stop(&watch->uv.poll);
	else
		(void)uv_poll_start(&watch->uv.poll, to_uv(events), on_poll);
}

/* ---- Signals ---- */

static void on_signal(uv_signal_t *signal, int signum)
{
	(void)signum;
	run_plain(signal->data);
}

oc_watch *oc_signal_watch(oc_owner *owner, int signum, void (*cb)(void *arg), void *arg)
{
	oc_watch *watch = watch_new(owner, OC_ITEM_SIGNAL);

	if (watch == NULL)
		return NULL;
	if (uv_signal_init(&owner->loop->uv, &watch->uv.signal) != 0)
		return watch_refused(watch);
	watch->uv.signal.data = watch;
	watch->cb.plain = cb;
	watch->arg = arg;
	if (uv_signal_start(&watch->uv.signal, on_signal, signum) != 0) {
		oc_watch_end(watch);
		return NULL;
	}
	return watch;
}
