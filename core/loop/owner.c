/* Owners: what belongs to whom, the sweep, and the time spent in each owner's callbacks. */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/internal.h"

#define MS_NS UINT64_C(1000000)
#define SLOW_LOG_EVERY_MS 1000

struct oc_ticket {
	oc_item item;
	void (*end)(void *arg);
	void *arg;
};

oc_owner *oc_owner_new(oc_loop *loop, const char *name)
{
	oc_owner *owner = oc_alloc(sizeof(*owner));

	if (owner == NULL)
		return NULL;
	owner->name = oc_strdup(name);
	if (owner->name == NULL) {
		oc_free(owner);
		return NULL;
	}
	owner->loop = loop;
	owner->refs = 1;
	oc_link_init(&owner->items);
	oc_link_append(&loop->owners, &owner->link);
	return owner;
}

const char *oc_owner_name(const oc_owner *owner)
{
	return owner->name;
}

oc_loop *oc_owner_loop(const oc_owner *owner)
{
	return owner->loop;
}

void oc_owner_ref(oc_owner *owner)
{
	owner->refs++;
}

void oc_owner_unref(oc_owner *owner)
{
	if (--owner->refs > 0)
		return;
	oc_free(owner->name);
	oc_free(owner);
}

bool oc_item_add(oc_owner *owner, oc_item *item, oc_item_kind kind)
{
	if (owner->dead)
		return false;
	item->owner = owner;
	item->kind = kind;
	item->seq = ++owner->loop->next_seq;
	oc_link_append(&owner->items, &item->link);
	owner->stats.live++;
	return true;
}

void oc_item_drop(oc_item *item)
{
	oc_link_remove(&item->link);
	item->owner->stats.live--;
}

/* ---- Tracked things ---- */

oc_ticket *oc_owner_track(oc_owner *owner, void (*end)(void *arg), void *arg)
{
	oc_ticket *ticket = oc_alloc(sizeof(*ticket));

	if (ticket == NULL)
		return NULL;
	if (!oc_item_add(owner, &ticket->item, OC_ITEM_TICKET)) {
		oc_free(ticket);
		return NULL;
	}
	ticket->end = end;
	ticket->arg = arg;
	return ticket;
}

void oc_owner_forget(oc_ticket *ticket)
{
	if (ticket == NULL)
		return;
	oc_item_drop(&ticket->item);
	oc_free(ticket);
}

static void end_ticket(oc_item *item)
{
	oc_ticket *ticket = OC_CONTAINER(item, oc_ticket, item);
	void (*end)(void *) = ticket->end;
	void *arg = ticket->arg;

	oc_free(ticket);
	end(arg);
}

/* ---- The sweep ---- */

/* The newest item that existed at `limit`; NULL when there is none. */
static oc_item *newest_until(oc_owner *owner, uint64_t limit)
{
	oc_link *l;

	for (l = owner->items.prev; l != &owner->items; l = l->prev) {
		oc_item *item = OC_CONTAINER(l, oc_item, link);

		if (item->seq <= limit)
			return item;
	}
	return NULL;
}

void oc_owner_sweep(oc_owner *owner)
{
	uint64_t limit;
	oc_item *item;

	if (owner->loop == NULL)
		return;
	limit = owner->loop->next_seq;
	oc_owner_ref(owner);
	/* Newest first, as destructors do: later things use earlier ones. Looked up afresh each time, because ending one
	 * thing may end others or free the owner. */
	while ((item = newest_until(owner, limit)) != NULL) {
		oc_item_drop(item);
		switch (item->kind) {
		case OC_ITEM_TIMER:
		case OC_ITEM_FD:
		case OC_ITEM_SIGNAL:
			oc_watch_close(item);
			break;
		case OC_ITEM_WORK:
			oc_work_abandon(item);
			break;
		case OC_ITEM_DEFER:
			oc_task_abandon(item);
			break;
		case OC_ITEM_TICKET:
			end_ticket(item);
			break;
		}
	}
	oc_owner_unref(owner);
}

void oc_owner_free(oc_owner *owner)
{
	if (owner == NULL)
		return;
	owner->dead = true;
	oc_owner_sweep(owner);
	if (owner->loop != NULL)
		oc_link_remove(&owner->link);
	oc_owner_unref(owner);
}

/* ---- Time ---- */

void oc_owner_get_stats(const oc_owner *owner, oc_owner_stats *ret)
{
	*ret = owner->stats;
}

static uint64_t now_of(const oc_owner *owner)
{
	return owner->loop != NULL ? oc_loop_now_ns(owner->loop) : oc_now_ns();
}

uint64_t oc_owner_enter(oc_owner *owner)
{
	uint64_t entered = oc_owner_clock_in(owner, now_of(owner));

	if (owner->guard_enter != NULL)
		owner->guard_enter(owner->guard_arg);
	return entered;
}

uint64_t oc_owner_clock_in(oc_owner *owner, uint64_t now)
{
	oc_loop *loop = owner->loop;

	oc_owner_ref(owner);
	if (loop != NULL) {
		if (loop->woke_ns == 0)
			loop->woke_ns = now;
		if (loop->depth < OC_FRAMES_MAX)
			loop->frames[loop->depth] = (oc_frame){.owner = owner, .start_ns = now};
		loop->depth++;
	}
	return now;
}

void oc_owner_set_guard(oc_owner *owner, void (*enter)(void *arg), void (*leave)(void *arg), void *arg)
{
	owner->guard_enter = enter;
	owner->guard_leave = leave;
	owner->guard_arg = arg;
}

static void report_slow(oc_owner *owner, uint64_t ns)
{
	uint64_t now = oc_now_ms();

	if (owner->last_slow_ms != 0 && now - owner->last_slow_ms < SLOW_LOG_EVERY_MS)
		return;
	owner->last_slow_ms = now;
	oc_warn("loop", "a callback of %s took %llu ms and held everything else up", owner->name,
		(unsigned long long)(ns / MS_NS));
}

/* Two readings on either side of a correction may be a few nanoseconds the wrong way round. */
static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

void oc_owner_leave(oc_owner *owner, uint64_t entered)
{
	if (owner->guard_leave != NULL)
		owner->guard_leave(owner->guard_arg);
	oc_owner_clock_out(owner, entered);
}

void oc_owner_clock_out(oc_owner *owner, uint64_t entered)
{
	oc_loop *loop = owner->loop;
	uint64_t now = now_of(owner), ns = since(now, entered);
	oc_owner_stats *st = &owner->stats;

	/* An owner pays for its own time, not for that of another it called into. */
	if (loop != NULL && loop->depth > 0) {
		loop->depth--;
		if (loop->depth < OC_FRAMES_MAX) {
			uint64_t own = since(ns, loop->frames[loop->depth].child_ns);

			if (loop->depth > 0)
				loop->frames[loop->depth - 1].child_ns += ns;
			ns = own;
		}
	}
	st->callbacks++;
	st->total_ns += ns;
	if (ns > st->max_ns)
		st->max_ns = ns;
	if (ns >= 10 * MS_NS) {
		st->over_10ms++;
		if (ns >= 100 * MS_NS) {
			st->over_100ms++;
			if (ns >= 1000 * MS_NS)
				st->over_1s++;
			report_slow(owner, ns);
		}
	}
	oc_owner_unref(owner);
}
