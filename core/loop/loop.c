/* The loop itself: running, posting from other threads, deferring. */
#include "core/loop/loop.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/loop/internal.h"

#define FREE_TASKS_MAX 64

static void on_async(uv_async_t *async);
static void on_prepare(uv_prepare_t *prepare);
static void on_check(uv_check_t *check);

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* being active is its whole purpose */
}

oc_status oc_loop_new(oc_loop **ret, oc_err *err)
{
	oc_loop *loop = oc_alloc(sizeof(*loop));
	int rc;

	if (loop == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the event loop");
	rc = uv_loop_init(&loop->uv);
	if (rc != 0) {
		oc_free(loop);
		return oc_fail_errno(err, -rc, "cannot create the event loop");
	}
	/* None of these makes a descriptor: libuv has one eventfd for all async handles of a loop. */
	rc = uv_async_init(&loop->uv, &loop->async, on_async);
	if (rc != 0) {
		(void)uv_loop_close(&loop->uv);
		oc_free(loop);
		return oc_fail_errno(err, -rc, "cannot create the event loop's wake-up");
	}
	(void)uv_prepare_init(&loop->uv, &loop->prepare);
	(void)uv_check_init(&loop->uv, &loop->check);
	(void)uv_idle_init(&loop->uv, &loop->idle);
	(void)uv_prepare_start(&loop->prepare, on_prepare);
	(void)uv_check_start(&loop->check, on_check);
	loop->uv.data = loop;
	(void)pthread_mutex_init(&loop->lock, NULL);
	loop->post_tail = &loop->post_head;
	oc_link_init(&loop->deferred);
	oc_link_init(&loop->owners);
	oc_pace_init(&loop->pace);
	atomic_store(&loop->thread, pthread_self());
	*ret = loop;
	return OC_OK;
}

uv_loop_t *oc_loop_uv(oc_loop *loop)
{
	return &loop->uv;
}

bool oc_loop_is_thread(const oc_loop *loop)
{
	return pthread_equal(atomic_load(&loop->thread), pthread_self()) != 0;
}

void oc_loop_run(oc_loop *loop)
{
	atomic_store(&loop->thread, pthread_self());
	/* The async handle keeps uv_run from returning when nothing else is left. */
	while (!loop->stop)
		(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->stop = false;
}

void oc_loop_stop(oc_loop *loop)
{
	loop->stop = true;
	uv_stop(&loop->uv);
}

static void count_handle(uv_handle_t *handle, void *arg)
{
	oc_loop_stats *stats = arg;

	if (uv_handle_get_type(handle) == UV_TIMER)
		stats->timers++;
	else
		stats->handles++;
}

void oc_loop_get_stats(oc_loop *loop, oc_loop_stats *ret)
{
	*ret = (oc_loop_stats){.turns = loop->busy.n, .busy = loop->busy, .jobs = loop->n_jobs};
	for (const oc_link *l = loop->owners.next; l != &loop->owners; l = l->next)
		ret->owners++;
	uv_walk(&loop->uv, count_handle, ret);
}

/* ---- Posting ---- */

oc_status oc_loop_post(oc_loop *loop, void (*fn)(void *arg), void *arg)
{
	oc_task *task = oc_alloc(sizeof(*task));
	oc_status status = OC_OK;
	bool wake = false;

	if (task == NULL)
		return OC_E_NOMEM;
	task->fn = fn;
	task->arg = arg;
	(void)pthread_mutex_lock(&loop->lock);
	if (loop->closed) {
		status = OC_E_STATE;
	} else {
		wake = loop->post_head == NULL;
		*loop->post_tail = task;
		loop->post_tail = &task->next;
		/* Under the lock, so that the handle cannot be closed between the check and the call. */
		if (wake)
			(void)uv_async_send(&loop->async);
	}
	(void)pthread_mutex_unlock(&loop->lock);
	if (status != OC_OK)
		oc_free(task);
	return status;
}

struct oc_wake {
	oc_task task;
	oc_loop *loop;
	bool waits, dead; /* under the loop's lock */
};

oc_wake *oc_wake_new(oc_loop *loop, void (*fn)(void *arg), void *arg)
{
	oc_wake *wake = oc_alloc(sizeof(*wake));

	if (wake == NULL)
		return NULL;
	wake->loop = loop;
	wake->task.fn = fn;
	wake->task.arg = arg;
	wake->task.wake = wake;
	return wake;
}

void oc_wake_post(oc_wake *wake)
{
	oc_loop *loop = wake->loop;

	(void)pthread_mutex_lock(&loop->lock);
	if (!loop->closed && !wake->waits) {
		bool first = loop->post_head == NULL;

		wake->waits = true;
		wake->task.next = NULL;
		*loop->post_tail = &wake->task;
		loop->post_tail = &wake->task.next;
		if (first)
			(void)uv_async_send(&loop->async);
	}
	(void)pthread_mutex_unlock(&loop->lock);
}

void oc_wake_free(oc_wake *wake)
{
	if (wake == NULL)
		return;
	(void)pthread_mutex_lock(&wake->loop->lock);
	wake->dead = true;
	bool waits = wake->waits;
	(void)pthread_mutex_unlock(&wake->loop->lock);
	if (!waits)
		oc_free(wake); /* else when its turn comes */
}

/* false: it was freed in the meantime. */
static bool wake_taken(oc_wake *wake)
{
	(void)pthread_mutex_lock(&wake->loop->lock);
	wake->waits = false;
	(void)pthread_mutex_unlock(&wake->loop->lock);
	if (!wake->dead)
		return true;
	oc_free(wake);
	return false;
}

static void run_posted(oc_loop *loop)
{
	oc_task *task, *next;

	(void)pthread_mutex_lock(&loop->lock);
	task = loop->post_head;
	loop->post_head = NULL;
	loop->post_tail = &loop->post_head;
	(void)pthread_mutex_unlock(&loop->lock);
	for (; task != NULL; task = next) {
		void (*fn)(void *) = task->fn;
		void *arg = task->arg;

		next = task->next;
		if (task->wake == NULL)
			oc_free(task);
		else if (!wake_taken(task->wake))
			continue;
		fn(arg);
	}
}

static void on_async(uv_async_t *async)
{
	run_posted(async->loop->data);
}

/* ---- Deferring ---- */

static void task_release(oc_loop *loop, oc_task *task)
{
	if (loop->n_free_tasks >= FREE_TASKS_MAX) {
		oc_free(task);
		return;
	}
	task->next = loop->free_tasks;
	loop->free_tasks = task;
	loop->n_free_tasks++;
}

oc_status oc_loop_defer(oc_loop *loop, oc_owner *owner, void (*fn)(void *arg), void *arg)
{
	oc_task *task = loop->free_tasks;

	if (task != NULL) {
		loop->free_tasks = task->next;
		loop->n_free_tasks--;
		task->item.owner = NULL;
		task->wake = NULL;
	} else {
		task = oc_alloc(sizeof(*task));
		if (task == NULL)
			return OC_E_NOMEM;
	}
	if (owner != NULL && !oc_item_add(owner, &task->item, OC_ITEM_DEFER)) {
		task_release(loop, task);
		return OC_E_STATE;
	}
	task->fn = fn;
	task->arg = arg;
	oc_link_append(&loop->deferred, &task->link);
	return OC_OK;
}

void oc_task_abandon(oc_item *item)
{
	oc_task *task = OC_CONTAINER(item, oc_task, item);
	oc_loop *loop = item->owner->loop;

	oc_link_remove(&task->link);
	task_release(loop, task);
}

/* Runs what was deferred up to now; what those functions defer in turn waits for the next round, so that I/O is not
 * starved. */
static void run_deferred(oc_loop *loop)
{
	oc_link batch;

	if (loop->deferred.next == &loop->deferred) {
		if (uv_is_active((uv_handle_t *)&loop->idle))
			(void)uv_idle_stop(&loop->idle);
		return;
	}
	/* Puts the whole queue under another head: a sweep can still unlink any of it. */
	batch = loop->deferred;
	batch.next->prev = &batch;
	batch.prev->next = &batch;
	oc_link_init(&loop->deferred);
	while (batch.next != &batch) {
		oc_task *task = OC_CONTAINER(batch.next, oc_task, link);
		oc_owner *owner = task->item.owner;
		void (*fn)(void *) = task->fn;
		void *arg = task->arg;
		uint64_t entered = 0;

		oc_link_remove(&task->link);
		if (owner != NULL) {
			oc_item_drop(&task->item);
			entered = oc_owner_enter(owner);
		}
		task_release(loop, task);
		fn(arg);
		if (owner != NULL)
			oc_owner_leave(owner, entered);
	}
	if (loop->deferred.next != &loop->deferred)
		(void)uv_idle_start(&loop->idle, on_idle);
	else
		(void)uv_idle_stop(&loop->idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
	oc_loop *loop = prepare->loop->data;

	run_deferred(loop);
	if (loop->woke_ns != 0)
		oc_hist_add_ns(&loop->busy, oc_loop_now_ns(loop) - loop->woke_ns);
	loop->woke_ns = 0;
}

static void on_check(uv_check_t *check)
{
	oc_loop *loop = check->loop->data;

	/* The first callback of an owner has noted when the loop woke up; what has no owner is short. */
	if (loop->woke_ns == 0 && loop->deferred.next != &loop->deferred)
		loop->woke_ns = oc_loop_now_ns(loop);
	run_deferred(loop);
}

/* ---- The end ---- */

static void close_left(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Sweeps every owner; looked up afresh each time, because ending one may free another. */
static void sweep_all(oc_loop *loop)
{
	oc_link *l = loop->owners.next;

	while (l != &loop->owners) {
		oc_owner *owner = OC_CONTAINER(l, oc_owner, link);

		if (owner->dead) {
			l = l->next;
			continue;
		}
		owner->dead = true;
		oc_owner_sweep(owner);
		l = loop->owners.next;
	}
}

void oc_loop_free(oc_loop *loop)
{
	oc_link *l;

	if (loop == NULL)
		return;
	atomic_store(&loop->thread, pthread_self());
	/* What other threads handed over is run, not dropped: it may own memory. */
	run_posted(loop);
	sweep_all(loop);
	while (loop->n_jobs > 0) /* abandoned pool work still reports */
		(void)uv_run(&loop->uv, UV_RUN_ONCE);
	(void)pthread_mutex_lock(&loop->lock);
	loop->closed = true;
	(void)pthread_mutex_unlock(&loop->lock);
	run_posted(loop);
	/* An owner outlives its loop until whoever made it frees it. */
	while ((l = loop->owners.next) != &loop->owners) {
		oc_link_remove(l);
		OC_CONTAINER(l, oc_owner, link)->loop = NULL;
	}
	uv_walk(&loop->uv, close_left, NULL);
	while (uv_loop_close(&loop->uv) == UV_EBUSY)
		(void)uv_run(&loop->uv, UV_RUN_ONCE);
	while ((l = loop->deferred.next) != &loop->deferred) {
		oc_task *task = OC_CONTAINER(l, oc_task, link);

		oc_link_remove(l);
		oc_free(task);
	}
	while (loop->free_tasks != NULL) {
		oc_task *task = loop->free_tasks;

		loop->free_tasks = task->next;
		oc_free(task);
	}
	(void)pthread_mutex_destroy(&loop->lock);
	oc_free(loop);
}
