/*
 * Lanes: the operations of one chat run one after the other, so that the parts of a long message stay together, and their
 * requests go out at the pace that Telegram allows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

#define LANES_MAX 256          /* beyond it, idle ones are forgotten */
#define IDLE_MS 120000         /* longer than any window remembers */
#define SPARE 6                /* of a group's twenty a minute, for what is more than a preview */
#define GROUP_PREVIEW_MS 3000  /* between previews in a group */

static uint64_t now_of(const tg_account *a)
{
	return a->m->host->now_ms(a->m->self);
}

static void forget_idle(tg_account *a)
{
	size_t n = 0;
	uint64_t now = now_of(a);
	for (const tg_lane *lane = a->lanes; lane != NULL; lane = lane->next)
		n++;
	if (n < LANES_MAX)
		return;
	for (tg_lane **at = &a->lanes; *at != NULL;) {
		tg_lane *lane = *at;
		if (lane->ops == NULL && now - lane->last_at > IDLE_MS && lane->blocked_until < now) {
			*at = lane->next;
			free(lane);
		} else {
			at = &lane->next;
		}
	}
}

tg_lane *tg_lane_of(tg_account *a, const char *chat)
{
	for (tg_lane *lane = a->lanes; lane != NULL; lane = lane->next)
		if (strcmp(lane->chat, chat) == 0)
			return lane;
	forget_idle(a);
	tg_lane *lane = calloc(1, sizeof *lane);
	if (lane == NULL)
		return NULL;
	lane->a = a;
	snprintf(lane->chat, sizeof lane->chat, "%s", chat);
	lane->group = *chat == '-' || *chat == '@';
	tg_window_init(&lane->second, 1, 1000);
	tg_window_init(&lane->minute, 20, 60000);
	lane->next = a->lanes;
	a->lanes = lane;
	return lane;
}

/* ---- Pace ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t delay_of(const tg_lane *lane, bool preview)
{
	uint64_t now = now_of(lane->a);
	uint64_t ms = later(tg_window_wait(&lane->second, now, 0), tg_window_wait(&lane->a->all, now, 0));
	if (lane->blocked_until > now)
		ms = later(ms, lane->blocked_until - now);
	if (lane->group) {
		ms = later(ms, tg_window_wait(&lane->minute, now, preview ? SPARE : 0));
		if (preview && lane->last_at + GROUP_PREVIEW_MS > now && lane->last_at != 0)
			ms = later(ms, lane->last_at + GROUP_PREVIEW_MS - now);
	}
	return ms;
}

static void go(tg_lane *lane)
{
	uint64_t now = now_of(lane->a);
	void (*fn)(tg_op *op) = lane->go;
	tg_window_take(&lane->second, now);
	tg_window_take(&lane->a->all, now);
	if (lane->group)
		tg_window_take(&lane->minute, now);
	lane->last_at = now;
	lane->go = NULL;
	fn(lane->ops);
}

static void on_time(void *arg)
{
	tg_lane *lane = arg;
	tg_timer_end(lane->a->m, &lane->timer);
	uint64_t ms = delay_of(lane, lane->preview); /* others may have used what was free */
	if (ms == 0)
		go(lane);
	else if (!tg_timer(lane->a->m, &lane->timer, ms, on_time, lane))
		tg_op_abort(lane->ops, OC_E_NOMEM, "out of memory");
}

void tg_lane_wait(tg_lane *lane, uint64_t least_ms, bool preview, void (*fn)(tg_op *op))
{
	lane->go = fn;
	lane->preview = preview;
	uint64_t ms = later(delay_of(lane, preview), least_ms);
	if (ms == 0)
		go(lane);
	else if (!tg_timer(lane->a->m, &lane->timer, ms, on_time, lane))
		tg_op_abort(lane->ops, OC_E_NOMEM, "out of memory");
}

bool tg_lane_blocked(const tg_lane *lane)
{
	return lane->blocked_until > now_of(lane->a);
}

/* ---- Order ---- */

static void begin_first(tg_lane *lane)
{
	if (lane->ops != NULL && !lane->ops->begun) {
		lane->ops->begun = true;
		tg_op_begin(lane->ops);
	}
}

void tg_lane_add(tg_lane *lane, tg_op *op)
{
	op->next = NULL;
	if (lane->ops_end != NULL)
		lane->ops_end->next = op;
	else
		lane->ops = op;
	lane->ops_end = op;
	begin_first(lane);
}

void tg_lane_remove(tg_lane *lane, tg_op *op)
{
	tg_op *before = NULL;
	bool first = lane->ops == op;
	for (tg_op **at = &lane->ops; *at != NULL; before = *at, at = &(*at)->next)
		if (*at == op) {
			*at = op->next;
			if (lane->ops_end == op)
				lane->ops_end = before;
			break;
		}
	if (first) {
		tg_timer_end(lane->a->m, &lane->timer);
		lane->go = NULL;
		if (!lane->ending)
			begin_first(lane);
	}
}

void tg_lanes_end(tg_account *a)
{
	for (tg_lane *lane = a->lanes; lane != NULL; lane = lane->next) {
		lane->ending = true;
		while (lane->ops != NULL)
			tg_op_abort(lane->ops, OC_E_UNAVAILABLE, "the account was disconnected");
		lane->ending = false;
	}
	if (!a->ended)
		return;
	while (a->lanes != NULL) {
		tg_lane *lane = a->lanes;
		a->lanes = lane->next;
		free(lane);
	}
}
