/*
 * Lanes: one turn at a time in a session, many sessions at once, and never more than agents.defaults.maxConcurrent turns.
 *
 * A lane is in the ready queue while its first turn may start and waits for room only.  A lane whose turn ended goes to
 * the queue's end: a busy session cannot starve the others.
 */
#include <string.h>

#include "core/agent/turn.h"

#define WAITING_MAX 200	/* turns of one session */
#define WAITING_ALL_MAX 20000
#define CONCURRENT_DEFAULT 2000

struct oc_lane {
	oc_map_node node;
	oc_lane *next; /* in the ready queue */
	bool queued;
	oc_turn *first, **tail; /* the running one first */
	int n;
	char key[OC_SESSION_KEY_MAX];
};

oc_status oc_lane_enter(oc_turn *turn, oc_err *err)
{
	oc_agent *agent = turn->agent;
	oc_map_node *node = oc_map_find(&agent->lanes, turn->session);
	oc_lane *lane = node != NULL ? OC_MAP_OWNER(node, oc_lane, node) : NULL;
	if ((lane != NULL && lane->n >= WAITING_MAX) || agent->stats.turns_waiting >= WAITING_ALL_MAX)
		return oc_fail(err, OC_E_BUSY, "wait for the answers that are under way, or send /stop",
			       "too many messages wait in %s", lane != NULL ? turn->session : "all sessions together");
	if (lane == NULL) {
		lane = oc_alloc(sizeof *lane);
		if (lane == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot queue the message");
		memcpy(lane->key, turn->session, sizeof lane->key);
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

static void queue(oc_agent *agent, oc_lane *lane)
{
	if (lane->queued || lane->first == NULL || lane->first->state != OC_TURN_WAITING)
		return;
	lane->queued = true;
	lane->next = NULL;
	if (agent->ready == NULL)
		agent->ready_tail = &agent->ready;
	*agent->ready_tail = lane;
	agent->ready_tail = &lane->next;
}

static void unqueue(oc_agent *agent, oc_lane *lane)
{
	if (!lane->queued)
		return;
	oc_lane **at = &agent->ready;
	while (*at != lane)
		at = &(*at)->next;
	*at = lane->next;
	if (agent->ready_tail == &lane->next)
		agent->ready_tail = at;
	lane->queued = false;
}

void oc_lane_pump(oc_agent *agent)
{
	int64_t max = oc_config_i64(agent->config, "agents.defaults.maxConcurrent", CONCURRENT_DEFAULT);
	while (!agent->draining && agent->ready != NULL && (int64_t)agent->stats.turns_running < (max > 0 ? max : 1)) {
		oc_lane *lane = agent->ready;
		agent->ready = lane->next;
		lane->queued = false;
		oc_turn *turn = lane->first;
		turn->state = OC_TURN_RUNNING;
		agent->stats.turns_waiting--;
		agent->stats.turns_started++;
		if (++agent->stats.turns_running > agent->stats.turns_running_max)
			agent->stats.turns_running_max = agent->stats.turns_running;
		oc_turn_begin(turn);
	}
}

static void pump_later(void *arg)
{
	oc_lane_pump(arg);
}

void oc_lane_ready(oc_turn *turn)
{
	turn->state = OC_TURN_WAITING;
	queue(turn->agent, turn->lane);
	oc_lane_pump(turn->agent);
}

void oc_lane_leave(oc_turn *turn)
{
	oc_agent *agent = turn->agent;
	oc_lane *lane = turn->lane;
	if (lane == NULL)
		return;
	bool ran = turn->state == OC_TURN_RUNNING || turn->state == OC_TURN_ENDING;
	if (ran)
		agent->stats.turns_running--;
	else
		agent->stats.turns_waiting--;
	if (lane->first == turn)
		unqueue(agent, lane);
	for (oc_turn **at = &lane->first; *at != NULL; at = &(*at)->lane_next)
		if (*at == turn) {
			*at = turn->lane_next;
			if (lane->tail == &turn->lane_next)
				lane->tail = at;
			lane->n--;
			break;
		}
	turn->lane = NULL;
	if (lane->first != NULL) {
		queue(agent, lane);
	} else {
		unqueue(agent, lane);
		oc_map_remove(&agent->lanes, &lane->node);
		oc_free(lane);
	}
	if (agent->ready != NULL && oc_loop_defer(agent->loop, agent->owner, pump_later, agent) != OC_OK)
		oc_lane_pump(agent);
}

bool oc_lane_is_first(const oc_turn *turn)
{
	return turn->lane != NULL && turn->lane->first == turn;
}

oc_turn *oc_lane_running(oc_agent *agent, const char *session)
{
	oc_map_node *node = oc_map_find(&agent->lanes, session);
	oc_turn *first = node != NULL ? OC_MAP_OWNER(node, oc_lane, node)->first : NULL;
	return first != NULL && (first->state == OC_TURN_RUNNING || first->state == OC_TURN_ENDING) ? first : NULL;
}

int oc_lane_each(oc_agent *agent, const char *session, void (*fn)(void *arg, oc_turn *turn), void *arg)
{
	oc_map_node *node = oc_map_find(&agent->lanes, session);
	int n = 0;
	oc_turn *turn = node != NULL ? OC_MAP_OWNER(node, oc_lane, node)->first : NULL;
	for (oc_turn *next; turn != NULL; turn = next) {
		next = turn->lane_next;
		fn(arg, turn);
		n++;
	}
	return n;
}
