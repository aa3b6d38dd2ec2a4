/*
 * The reply as it grows: on channels whose messages can be edited, a first message is sent early and edited at a pace the
 * networks allow.  The last edit is the outbox's, so that the finished reply is delivered like any other.
 */
#include <string.h>

#include "core/agent/turn.h"
#include "core/base/clock.h"
#include "core/data/utf8.h"

#define FIRST_BYTES 30	     /* before that it may still be NO_REPLY */
#define FIRST_MS 250	     /* an answer that is whole by then is one message, not a message and an edit that waits for its pace */
#define INTERVAL_MS 1200
#define SHOWN_MAX 3500	     /* longer ones need several messages: those are sent at the end */
#define CALL_MS 15000

struct oc_preview {
	oc_turn *turn; /* not counted: the turn frees it, and is held while a call runs */
	oc_guest *guest;
	oc_call *call;
	oc_watch *timer;
	char message_id[256];
	size_t shown; /* bytes of the reply */
	uint64_t began_ms, last_ms;
	bool off, ending;
	void (*next)(oc_turn *turn);
};

void oc_preview_free(oc_preview *p)
{
	if (p == NULL)
		return;
	oc_watch_end(p->timer);
	oc_call_abandon(p->call);
	oc_free(p);
}

void oc_preview_restore(oc_turn *turn, const char *message_id)
{
	oc_preview *p = message_id[0] != 0 && turn->deliver != NULL ? oc_alloc(sizeof *p) : NULL;
	if (p == NULL)
		return;
	p->turn = turn;
	snprintf(p->message_id, sizeof p->message_id, "%s", message_id);
	turn->preview = p;
}

/* It is in the store from the first message on: taken up after a crash, the turn goes on with that message. */
static void keep(oc_turn *turn)
{
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_auto_free char *input = oc_turn_input_json(turn);
	if (b != NULL && input != NULL)
		oc_batch_run_input(b, turn->run, input);
	oc_turn_store(turn, b);
}

const char *oc_preview_message(const oc_turn *turn)
{
	return turn->preview != NULL ? turn->preview->message_id : "";
}

bool oc_preview_shows(const oc_turn *turn)
{
	const oc_preview *p = turn->preview;
	return p != NULL && (p->message_id[0] != 0 || !p->off);
}

static bool wanted(const oc_turn *turn, oc_guest *guest)
{
	if (guest == NULL || !oc_guest_running(guest) || (oc_guest_flags(guest) & OC_CHANNEL_EDITS) == 0)
		return false;
	const cJSON *channel = oc_json_get(oc_config_get(turn->config, "channels"), oc_json_str(turn->deliver, "channel", ""));
	const char *mode = oc_json_str(oc_json_get(channel, "streaming"), "mode",
				       oc_json_str(channel, "streaming", oc_json_str(channel, "streamMode", "partial")));
	return strcmp(mode, "off") != 0;
}

static oc_preview *preview_of(oc_turn *turn)
{
	oc_preview *p = turn->preview;
	if (p != NULL && p->guest != NULL)
		return p;
	if (p == NULL)
		p = oc_alloc(sizeof *p);
	if (p == NULL)
		return NULL;
	p->turn = turn;
	p->began_ms = oc_now_ms();
	p->guest = oc_modules_channel(turn->agent->modules, oc_str_of(oc_json_str(turn->deliver, "channel", "")));
	p->off = !wanted(turn, p->guest);
	turn->preview = p;
	return p;
}

static void show(oc_preview *p);

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_preview *p = arg;
	oc_turn *turn = p->turn;
	p->call = NULL;
	if (status != OC_OK) {
		p->off = true; /* the finished reply comes anyway */
	} else if (p->message_id[0] == 0) {
		oc_auto_json cJSON *root = NULL;
		if (oc_json_parse(result, NULL, &root, NULL) == OC_OK)
			snprintf(p->message_id, sizeof p->message_id, "%s", oc_json_str(root, "messageId", ""));
		p->off = p->message_id[0] == 0;
		if (!p->off)
			keep(turn);
	}
	p->last_ms = oc_now_ms();
	if (p->ending) {
		void (*next)(oc_turn *turn) = p->next;
		p->next = NULL;
		if (next != NULL)
			next(turn);
	} else if (!p->off && turn->reply.n > p->shown) {
		show(p);
	}
	oc_turn_unref(turn);
}

static void on_timer(void *arg)
{
	oc_preview *p = arg;
	oc_watch_end(p->timer);
	p->timer = NULL;
	show(p);
}

/* Sends or edits, now or when the pace allows. */
static void show(oc_preview *p)
{
	oc_turn *turn = p->turn;
	if (p->off || p->ending || p->call != NULL || p->timer != NULL || turn->reply.n > SHOWN_MAX)
		return;
	uint64_t now = oc_now_ms(), due = p->last_ms != 0 ? p->last_ms + INTERVAL_MS : p->began_ms + FIRST_MS;
	if (now < due) {
		p->timer = oc_timer_start(turn->agent->owner, due - now, 0, on_timer, p);
		return;
	}
	oc_auto_json cJSON *m = cJSON_Duplicate(turn->deliver, true);
	bool first = p->message_id[0] == 0;
	(void)oc_json_set_str(m, "text", turn->reply.p);
	(void)oc_json_set_str(m, "format", "markdown");
	if (first) {
		char key[64];
		snprintf(key, sizeof key, "run:%s:preview", turn->run);
		(void)oc_json_set_str(m, "idempotencyKey", key);
	} else {
		(void)oc_json_set_str(m, "messageId", p->message_id);
		(void)oc_json_set_bool(m, "final", false);
	}
	oc_auto_free char *json = oc_json_print(m);
	oc_call_options options = {.deadline_ms = CALL_MS, .owner = turn->agent->owner, .on_done = on_done, .arg = p};
	oc_status status = json == NULL ? OC_E_NOMEM
			   : first	? oc_channel_send(p->guest, oc_str_of(json), &options, &p->call)
					: oc_channel_edit(p->guest, oc_str_of(json), &options, &p->call);
	if (status == OC_OK) {
		oc_turn_ref(turn);
		p->shown = turn->reply.n;
	} else {
		p->off = true;
	}
}

void oc_preview_text(oc_turn *turn)
{
	if (turn->deliver == NULL || turn->reply.n < FIRST_BYTES)
		return;
	oc_preview *p = preview_of(turn);
	if (p != NULL)
		show(p);
}

void oc_preview_end(oc_turn *turn, void (*next)(oc_turn *turn))
{
	oc_preview *p = turn->preview;
	if (p != NULL) {
		oc_watch_end(p->timer);
		p->timer = NULL;
		p->ending = true;
		if (p->call != NULL) {
			p->next = next;
			return;
		}
	}
	next(turn);
}
