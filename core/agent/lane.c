/*
 * Lanes: one turn at a time in a session, many sessions at once, and never more turns than the limit of their class
 * (agents.defaults.maxConcurrent and its like).
 *
 * A lane stands in the queue of its class while its first turn may start and only waits for room.  That queue is fair to
 * senders, and a lane whose turn ended goes to its end: neither a busy session nor a sender with many can starve the
 * others.  A lane exists only while something waits or runs in it.
 */
#include <string.h>

#include "core/agent/commands.h"
#include "core/agent/take.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#define WAITING_MAX 200	/* turns of one session */
#define WAITING_ALL_MAX 10000
#define MAIN_DEFAULT 2000
#define SUBAGENT_DEFAULT 8
#define CRON_DEFAULT 1
#define HOLD_TIMES_MAX 10 /* messages that never stop coming hold back their turn for so many quiet times at most */

struct oc_lane {
	oc_map_node node;
	oc_fair_item item; /* in the queue of its class */
	oc_lane_class class;
	oc_agent *agent;
	oc_turn *first, **tail; /* the running one first */
	int n;
	oc_watch *timer; /* while it is held back */
	uint64_t hold_ms; /* its first turn does not start before (monotonic) */
	char key[];
};
#define OC_LANE_OF(the_item) ((oc_lane *)(void *)((char *)(the_item)-offsetof(oc_lane, item)))

/* ---- Classes ---- */

oc_lane_class oc_lane_class_of(const char *name)
{
	return name == NULL ? OC_LANE_MAIN
	       : strcmp(name, "subagent") == 0 ? OC_LANE_SUBAGENT
	       : strcmp(name, "cron") == 0     ? OC_LANE_CRON
					       : OC_LANE_MAIN;
}

const char *oc_lane_class_name(oc_lane_class class)
{
	static const char *const names[] = {NULL, "subagent", "cron", NULL};
	return names[class];
}

static uint64_t limit_of(const oc_agent *agent, oc_lane_class class)
{
	static const struct {
		const char *path;
		int64_t fallback;
	} limits[] = {
		{"agents.defaults.maxConcurrent", MAIN_DEFAULT},
		{"agents.defaults.subagents.maxConcurrent", SUBAGENT_DEFAULT},
		{"cron.maxConcurrentRuns", CRON_DEFAULT},
	};
	if (class == OC_LANE_SUSPECT)
		return 1; /* the next crash shall name one */
	int64_t max = oc_config_i64(agent->config, limits[class].path, limits[class].fallback);
	return max > 0 ? (uint64_t)max : 1;
}

static oc_lane_class class_of(const oc_turn *turn)
{
	return turn->crashes >= 2 ? OC_LANE_SUSPECT : turn->lane_class;
}

/* ---- Entering ---- */

static oc_lane *find(oc_agent *agent, const char *session)
{
	oc_map_node *node = oc_map_find(&agent->lanes, session);
	return node != NULL ? OC_MAP_OWNER(node, oc_lane, node) : NULL;
}

oc_status oc_lane_enter(oc_turn *turn, oc_err *err)
{
	oc_agent *agent = turn->agent;
	oc_lane *lane = find(agent, turn->session);
	/* With a queue policy the policy keeps the number down; what is on its way to the store comes on top. */
	int max = WAITING_MAX + (turn->queued ? OC_QUEUE_CAP_MAX : 0);
	bool lane_full = lane != NULL && lane->n >= max;
	if (!turn->recovered && (lane_full || agent->stats.turns_waiting >= WAITING_ALL_MAX)) {
		agent->stats.turns_refused++;
		oc_queue_refused(lane_full ? OC_QUEUE_session_turns : OC_QUEUE_turns_waiting);
		return oc_fail(err, OC_E_BUSY, "wait for the answers that are under way, or send /stop",
			       "too many messages wait in %s", lane != NULL ? turn->session : "all sessions together");
	}
	if (lane == NULL) {
		size_t n = strlen(turn->session) + 1;
		lane = oc_alloc(sizeof *lane + n);
		if (lane == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot queue the message");
		memcpy(lane->key, turn->session, n);
		lane->agent = agent;
		lane->tail = &lane->first;
		oc_map_add(&agent->lanes, &lane->node, lane->key);
	}
	turn->lane = lane;
	turn->lane_next = NULL;
	*lane->tail = turn;
	lane->tail = &turn->lane_next;
	lane->n++;
	agent->stats.turns_waiting++;
	return OC_OK;
}

/* ---- Starting ---- */

static bool runs(const oc_turn *turn)
{
	return turn != NULL && (turn->state == OC_TURN_RUNNING || turn->state == OC_TURN_ENDING);
}

/* Puts the lane where it belongs now: into the queue of its class, or behind a timer, or nowhere. */
static void schedule(oc_lane *lane);

static void hold_over(void *arg)
{
	oc_lane *lane = arg;
	oc_watch_end(lane->timer);
	lane->timer = NULL;
	schedule(lane);
	oc_lane_pump(lane->agent);
}

static void schedule(oc_lane *lane)
{
	oc_turn *turn = lane->first;
	if (lane->item.source != NULL || turn == NULL || turn->state != OC_TURN_WAITING)
		return;
	uint64_t now = oc_now_ms();
	if (lane->hold_ms > now && !lane->agent->draining) {
		if (lane->timer == NULL)
			lane->timer = oc_timer_start(lane->agent->owner, lane->hold_ms - now, 0, hold_over, lane);
		if (lane->timer != NULL)
			return;
	}
	lane->class = class_of(turn);
	oc_fair_push(&lane->agent->classes[lane->class].ready, &lane->item, turn->source);
}

void oc_lane_pump(oc_agent *agent)
{
	for (int i = 0; i < OC_LANE_CLASSES; i++) {
		oc_lane_room *room = &agent->classes[i];
		uint64_t max = limit_of(agent, (oc_lane_class)i);
		while (!agent->draining && room->ready.n > 0 && room->running < max) {
			oc_lane *lane = OC_LANE_OF(oc_fair_pop(&room->ready));
			oc_turn *turn = lane->first;
			turn->state = OC_TURN_RUNNING;
			turn->room = room;
			room->running++;
			agent->stats.turns_waiting--;
			agent->stats.turns_started++;
			if (++agent->stats.turns_running > agent->stats.turns_running_max)
				agent->stats.turns_running_max = agent->stats.turns_running;
			oc_turn_begin(turn);
		}
	}
}

static void pump_later(void *arg)
{
	oc_lane_pump(arg);
}

static bool anything_ready(const oc_agent *agent)
{
	for (int i = 0; i < OC_LANE_CLASSES; i++)
		if (agent->classes[i].ready.n > 0)
			return true;
	return false;
}

/* ---- Arriving ---- */

/* The first of the lane that waits under a queue policy. */
static oc_turn *oldest_waiting(const oc_lane *lane, int *ret_n)
{
	oc_turn *oldest = NULL;
	int n = 0;
	for (oc_turn *t = lane->first; t != NULL; t = t->lane_next) {
		if (t->state != OC_TURN_WAITING || !t->queued || t->slash != NULL)
			continue;
		n++;
		if (oldest == NULL)
			oldest = t;
	}
	*ret_n = n;
	return oldest;
}

/* More wait than may: one leaves, as the policy says. The newest is always there, so one is left. */
static void keep_cap(oc_lane *lane, oc_turn *newest)
{
	int n;
	oc_turn *oldest = oldest_waiting(lane, &n);
	if (n <= newest->queue.cap)
		return;
	if (newest->queue.drop == OC_DROP_NEW || oldest == newest) {
		oc_take_drop(newest);
	} else if (newest->queue.drop == OC_DROP_OLD) {
		oc_take_drop(oldest);
	} else {
		oc_turn *heir = oldest->lane_next;
		while (heir != newest && (heir->state != OC_TURN_WAITING || !heir->queued || heir->slash != NULL))
			heir = heir->lane_next;
		oc_take_summarize(oldest, heir);
	}
}

/* Waits for quiet: ms after the newest message, but not for ever. */
static void hold(oc_lane *lane, uint64_t ms)
{
	uint64_t now = oc_now_ms(), first = lane->first->state == OC_TURN_WAITING ? lane->first->arrived_ms : now;
	uint64_t latest = first + ms * HOLD_TIMES_MAX;
	lane->hold_ms = now + ms < latest ? now + ms : latest;
	oc_fair_remove(&lane->agent->classes[lane->class].ready, &lane->item);
}

/* A message under a queue policy: what it does to what runs and waits. */
static void arrive(oc_lane *lane, oc_turn *turn)
{
	bool busy = runs(lane->first);
	bool plain = turn->slash == NULL && cJSON_GetArraySize(turn->media) == 0;
	uint64_t debounce = plain ? oc_queue_inbound_debounce(turn->config, oc_turn_channel(turn)) : 0;
	if (!plain)
		lane->hold_ms = 0;
	if (!busy && debounce > 0) {
		turn->debounced = true;
		hold(lane, debounce);
	}
	if (lane->first == turn)
		return;
	oc_queue_of_session(turn->agent, turn->config, turn->session, oc_turn_channel(turn), &turn->queue);
	if (turn->queue_asked != 0)
		turn->queue.mode = turn->queue_asked;
	if (busy && turn->queue.mode == OC_QUEUE_INTERRUPT)
		oc_turn_cancel(lane->first, OC_E_CANCELED, "a newer message came");
	else if (busy && plain && (turn->queue.mode == OC_QUEUE_COLLECT || turn->queue.mode == OC_QUEUE_FOLLOWUP))
		hold(lane, turn->queue.debounce_ms);
	if (busy && plain && (turn->queue.mode == OC_QUEUE_STEER || turn->queue.mode == OC_QUEUE_STEER_BACKLOG))
		oc_turn_hear(turn);
	if (turn->slash == NULL && !turn->recovered) /* what was taken before a crash stays taken */
		keep_cap(lane, turn);
}

/* Who begins anew does not wait for what is left behind by it. */
static void clear_before(const oc_turn *turn)
{
	for (oc_turn *t = turn->lane->first, *next; t != NULL && t != turn; t = next) {
		next = t->lane_next;
		oc_turn_cancel(t, OC_E_CANCELED, "a new session was asked for");
	}
}

void oc_lane_ready(oc_turn *turn)
{
	oc_agent *agent = turn->agent;
	turn->state = OC_TURN_WAITING;
	turn->ready_ns = oc_now_ns();
	turn->arrived_ms = oc_now_ms();
	if (turn->instant) {
		turn->state = OC_TURN_RUNNING;
		oc_turn_begin(turn);
		return;
	}
	if (turn->slash != NULL && (turn->slash->flags & OC_SLASH_CLEARS) != 0 && !turn->restricted)
		clear_before(turn);
	if (turn->queued) {
		oc_turn_ref(turn);
		arrive(turn->lane, turn);
		bool gone = turn->state != OC_TURN_WAITING; /* it was the one that had to leave */
		oc_turn_unref(turn);
		if (gone)
			return;
	}
	schedule(turn->lane);
	oc_lane_pump(agent);
}

/* ---- Leaving ---- */

void oc_lane_leave(oc_turn *turn)
{
	oc_agent *agent = turn->agent;
	oc_lane *lane = turn->lane;
	if (lane == NULL)
		return;
	if (turn->room != NULL) {
		turn->room->running--;
		turn->room = NULL;
		agent->stats.turns_running--;
	} else {
		agent->stats.turns_waiting--;
	}
	if (lane->first == turn && lane->item.source != NULL)
		oc_fair_remove(&agent->classes[lane->class].ready, &lane->item);
	for (oc_turn **at = &lane->first; *at != NULL; at = &(*at)->lane_next)
		if (*at == turn) {
			*at = turn->lane_next;
			if (lane->tail == &turn->lane_next)
				lane->tail = at;
			lane->n--;
			break;
		}
	turn->lane = NULL;
	turn->lane_next = NULL;
	if (lane->first != NULL) {
		schedule(lane);
	} else {
		oc_watch_end(lane->timer);
		oc_map_remove(&agent->lanes, &lane->node);
		oc_free(lane);
	}
	if (anything_ready(agent) && oc_loop_defer(agent->loop, agent->owner, pump_later, agent) != OC_OK)
		oc_lane_pump(agent);
}

/* ---- Looking ---- */

bool oc_lane_is_first(const oc_turn *turn)
{
	return turn->lane != NULL && turn->lane->first == turn;
}

bool oc_lane_has_room(const oc_turn *turn)
{
	const oc_agent *agent = turn->agent;
	oc_lane_class class = class_of(turn);
	return oc_lane_is_first(turn) && !agent->draining && agent->classes[class].running < limit_of(agent, class);
}

oc_turn *oc_lane_running(oc_agent *agent, const char *session)
{
	const oc_lane *lane = find(agent, session);
	return lane != NULL && runs(lane->first) ? lane->first : NULL;
}

int oc_lane_waiting(oc_agent *agent, const char *session)
{
	const oc_lane *lane = find(agent, session);
	return lane != NULL ? lane->n - (runs(lane->first) ? 1 : 0) : 0;
}

int oc_lane_each(oc_agent *agent, const char *session, void (*fn)(void *arg, oc_turn *turn), void *arg)
{
	const oc_lane *lane = find(agent, session);
	int n = 0;
	oc_turn *turn = lane != NULL ? lane->first : NULL;
	for (oc_turn *next; turn != NULL; turn = next) {
		next = turn->lane_next;
		fn(arg, turn);
		n++;
	}
	return n;
}

void oc_lanes_free(oc_agent *agent)
{
	for (int i = 0; i < OC_LANE_CLASSES; i++)
		oc_fair_free(&agent->classes[i].ready);
	oc_map_free(&agent->lanes);
}

static void look(void *arg, oc_map_node *node)
{
	const oc_lane *lane = OC_MAP_OWNER(node, oc_lane, node);
	oc_fill_add(arg, (uint64_t)lane->n, lane->first != NULL && lane->first->queued ? WAITING_MAX + OC_QUEUE_CAP_MAX : WAITING_MAX);
}

void oc_lanes_fill(oc_agent *agent, oc_fill *q)
{
	oc_fill_add(&q[OC_QUEUE_turns_running], agent->classes[OC_LANE_MAIN].running, limit_of(agent, OC_LANE_MAIN));
	oc_fill_add(&q[OC_QUEUE_subagent_turns_running], agent->classes[OC_LANE_SUBAGENT].running, limit_of(agent, OC_LANE_SUBAGENT));
	oc_fill_add(&q[OC_QUEUE_cron_turns_running], agent->classes[OC_LANE_CRON].running, limit_of(agent, OC_LANE_CRON));
	oc_fill_add(&q[OC_QUEUE_turns_waiting], agent->stats.turns_waiting, WAITING_ALL_MAX);
	oc_fill_add(&q[OC_QUEUE_session_turns], 0, WAITING_MAX);
	oc_map_each(&agent->lanes, look, &q[OC_QUEUE_session_turns]);
}
