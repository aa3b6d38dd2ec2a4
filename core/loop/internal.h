/* What the files of core/loop share; nobody else includes it. */
#ifndef OC_LOOP_INTERNAL_H
#define OC_LOOP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/loop/loop.h"

/* A link of a circular list; an element that is in no list points at itself. */
typedef struct oc_link {
	struct oc_link *prev, *next;
} oc_link;

static inline void oc_link_init(oc_link *l)
{
	l->prev = l->next = l;
}

static inline void oc_link_append(oc_link *head, oc_link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void oc_link_remove(oc_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = l;
}

#define OC_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

typedef enum oc_item_kind {
	OC_ITEM_TIMER = 1,
	OC_ITEM_FD,
	OC_ITEM_SIGNAL,
	OC_ITEM_WORK,
	OC_ITEM_DEFER,
	OC_ITEM_TICKET,
} oc_item_kind;

/* Everything an owner has starts with one of these. */
typedef struct oc_item {
	oc_link link; /* in owner->items */
	oc_owner *owner;
	uint64_t seq; /* order of creation; a sweep ends only what was there when it began */
	oc_item_kind kind;
} oc_item;

struct oc_owner {
	oc_link link;  /* in loop->owners */
	oc_link items; /* oldest first */
	oc_loop *loop; /* NULL once the loop is gone */
	char *name;
	oc_owner_stats stats;
	uint64_t last_slow_ms;
	unsigned refs; /* the handle, every callback being run, every work in the pool */
	bool dead;     /* being freed: takes nothing new */
	void (*guard_enter)(void *arg), (*guard_leave)(void *arg);
	void *guard_arg;
};

/* Posted from any thread, or deferred. */
typedef struct oc_task {
	struct oc_task *next; /* post queue, free list */
	oc_link link;         /* defer queue */
	oc_item item;         /* deferred with an owner */
	void (*fn)(void *arg);
	void *arg;
	struct oc_wake *wake; /* whose it is, when it is not to be freed after it ran */
} oc_task;

/* Deeper nesting than this is not timed. */
#define OC_FRAMES_MAX 32

typedef struct oc_frame {
	oc_owner *owner;
	uint64_t start_ns, child_ns;
} oc_frame;

/* The processor's tick counter beside the clock: time is the anchor's, plus the ticks since then. now.c */
typedef struct oc_pace {
	bool usable; /* it counts at one speed, whatever the processor does */
	uint64_t anchor_ns, anchor_ticks; /* of this turn; ticks 0: none */
	uint64_t base_ns, base_ticks;	  /* from where the speed is taken next */
	uint64_t ns_per_tick;		  /* times 2^32; 0: not known */
} oc_pace;
void oc_pace_init(oc_pace *pace);

struct oc_loop {
	uv_loop_t uv;
	uv_async_t async;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while something deferred waits, so that the loop does not sleep */
	_Atomic(pthread_t) thread;
	bool stop;

	pthread_mutex_t lock; /* guards the post queue */
	oc_task *post_head, **post_tail;
	bool closed;

	oc_link deferred;
	oc_task *free_tasks;
	unsigned n_free_tasks;

	oc_link owners;
	uint64_t next_seq;
	oc_frame frames[OC_FRAMES_MAX];
	unsigned depth;
	unsigned n_jobs; /* in the pool */
	uint64_t woke_ns; /* 0: it sleeps, or never slept yet */
	oc_pace pace;
	oc_hist busy;
};

/* Puts a new item under an owner; false when the owner takes nothing any more. */
bool oc_item_add(oc_owner *owner, oc_item *item, oc_item_kind kind);
void oc_item_drop(oc_item *item);
void oc_owner_ref(oc_owner *owner);
void oc_owner_unref(oc_owner *owner);
/* Called by the sweep; the item is out of the owner's list already. */
void oc_watch_close(oc_item *item);
void oc_work_abandon(oc_item *item);
void oc_task_abandon(oc_item *item);

#endif
