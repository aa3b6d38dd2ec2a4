#include "ipc-bridge/intake.h"

#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

enum {
	SHARE = 10,		  /* a tenth of the loop's time is for those that wait, all together */
	BURST_NS = 5 * 1000000,	  /* after a quiet time */
	CALL_NS = 20 * 1000,	  /* that a call costs besides what is seen: its answer, what it begins */
	TURN_MS = 4,		  /* so that one takes less than a millisecond */
	TELL_MS = 1000,		  /* behind for so long: told */
};

struct oc_intake_item {
	oc_intake_item *next;
	oc_frame frame; /* its views are of bytes */
	char bytes[];
};

/* Of this thread: that somebody else had the processor meanwhile is not the plugin's doing. */
static int64_t used_ns(void)
{
	struct timespec t = {0};
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool may(oc_plugin *plugin)
{
	oc_intake *in = &plugin->intake;
	uint64_t now = oc_now_ns(), behind = plugin->bridge->n_behind > 1 ? plugin->bridge->n_behind : 1;
	uint64_t more = (now - in->at_ns) / (SHARE * behind);
	in->at_ns = now;
	in->credit_ns = more < BURST_NS && in->credit_ns + (int64_t)more < BURST_NS ? in->credit_ns + (int64_t)more : BURST_NS;
	return in->credit_ns > 0;
}

static void run(oc_plugin *plugin, const oc_frame *frame)
{
	int64_t before = used_ns();
	if (frame->kind == OC_FRAME_CALL)
		oc_plugin_called(plugin, frame->id, frame->name, frame->payload, frame->number);
	else
		oc_plugin_noted(plugin, frame->name, frame->payload);
	plugin->intake.credit_ns -= used_ns() - before + (frame->kind == OC_FRAME_CALL ? CALL_NS : 0);
}

static void pause_reading(oc_plugin *plugin, bool pause)
{
	if (plugin->intake.paused != pause && plugin->peer != NULL)
		oc_peer_pause(plugin->peer, pause);
	plugin->intake.paused = pause;
}

static void caught_up(oc_plugin *plugin)
{
	oc_intake *in = &plugin->intake;
	if (in->turn == NULL)
		return;
	oc_watch_end(in->turn);
	in->turn = NULL;
	plugin->bridge->n_behind--;
}

static void tell(oc_plugin *plugin)
{
	oc_intake *in = &plugin->intake;
	uint64_t now = oc_now_ms();
	if (now - in->behind_ms < TELL_MS)
		return;
	oc_plugin_trouble(plugin, "calls", "it asks more of the gateway than it may: %llu calls and notes of a second had to wait",
			  (unsigned long long)in->waited);
	in->behind_ms = now;
	in->waited = 0;
}

static void take_turn(void *arg)
{
	oc_plugin *plugin = arg;
	oc_intake *in = &plugin->intake;
	/* A handler may end the process, and with it what waits. */
	while (in->first != NULL && may(plugin)) {
		oc_intake_item *item = in->first;
		in->first = item->next;
		in->n--;
		in->bytes -= item->frame.payload.n;
		run(plugin, &item->frame);
		oc_free(item);
	}
	tell(plugin);
	if (in->first == NULL)
		caught_up(plugin);
	if (in->n <= OC_INTAKE_BACKLOG_MAX / 2 && in->bytes <= OC_INTAKE_BACKLOG_BYTES / 2)
		pause_reading(plugin, false);
}

/* false: there is no memory for it. */
static bool keep(oc_plugin *plugin, const oc_frame *frame)
{
	oc_intake *in = &plugin->intake;
	oc_intake_item *item = oc_alloc(sizeof(*item) + frame->name.n + frame->payload.n);
	if (item == NULL)
		return false;
	if (in->turn == NULL) {
		if ((in->turn = oc_timer_start(plugin->owner, TURN_MS, TURN_MS, take_turn, plugin)) == NULL) {
			oc_free(item);
			return false;
		}
		plugin->bridge->n_behind++;
		in->behind_ms = oc_now_ms();
		in->waited = 0;
	}
	item->next = NULL;
	item->frame = *frame;
	item->frame.name.p = memcpy(item->bytes, frame->name.p, frame->name.n);
	item->frame.payload.p = memcpy(item->bytes + frame->name.n, frame->payload.p, frame->payload.n);
	if (in->first == NULL)
		in->last = &in->first;
	*in->last = item;
	in->last = &item->next;
	in->waited++;
	in->bytes += frame->payload.n;
	if ((++in->n >= OC_INTAKE_BACKLOG_MAX || in->bytes >= OC_INTAKE_BACKLOG_BYTES) && !in->paused) {
		oc_queue_refused(OC_QUEUE_plugin_backlog);
		pause_reading(plugin, true);
	}
	return true;
}

void oc_plugin_take(oc_plugin *plugin, const oc_frame *frame)
{
	if ((plugin->intake.first == NULL && may(plugin)) || !keep(plugin, frame))
		run(plugin, frame);
}

void oc_plugin_take_event(oc_plugin *plugin, void (*fn)(void *arg, uint32_t type, oc_str payload), void *arg, uint32_t type, oc_str payload)
{
	if (!may(plugin)) {
		oc_plugin_trouble(plugin, "events", "it tells more of how far it is than can be told on: what was too much was dropped");
		return;
	}
	int64_t before = used_ns();
	fn(arg, type, payload);
	plugin->intake.credit_ns -= used_ns() - before;
}

void oc_intake_end(oc_plugin *plugin)
{
	oc_intake *in = &plugin->intake;
	caught_up(plugin);
	while (in->first != NULL) {
		oc_intake_item *next = in->first->next;
		oc_free(in->first);
		in->first = next;
	}
	in->n = in->calls = 0;
	in->bytes = 0;
	in->paused = false;
}
