#include "core/agent/take.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/data/utf8.h"

#define SUMMARY_MAX 8192
#define SUMMARY_LINE_MAX 160
#define STEPS_RESERVED 8 /* model calls that a turn keeps for its own end: it cannot be steered for ever */

/* ---- Ends of turns that never ran ---- */

static void end_unrun(oc_turn *turn, const char *status, const char *reason, const char *into)
{
	cJSON *result = cJSON_CreateObject();
	oc_json_opt(result, "status", status);
	(void)oc_json_set_str(result, "text", "");
	oc_json_opt(result, "stopReason", reason);
	oc_json_opt(result, "mergedInto", into);
	(void)oc_json_set_i64(result, "durationMs", 0);
	oc_owner_sweep(turn->owner);
	oc_turn_remove(turn);
	oc_turn_emit(turn, OC_AGENT_EV_DONE, OC_STR_NONE, result);
	oc_waiters_tell(turn->agent, turn->run, result);
	cJSON_Delete(result);
	oc_turn_unref(turn);
}

static void put_merged(oc_batch *b, const oc_turn *turn, const oc_turn *into)
{
	oc_auto_json cJSON *result = cJSON_CreateObject();
	oc_json_opt(result, "status", "ok");
	(void)oc_json_set_str(result, "text", "");
	oc_json_opt(result, "stopReason", "merged");
	oc_json_opt(result, "mergedInto", into->run);
	oc_auto_free char *json = oc_json_print(result);
	if (b != NULL)
		oc_batch_run_state(b, turn->run, "merged", json);
}

void oc_take_drop(oc_turn *turn)
{
	oc_batch *b = oc_batch_new(turn->agent->store);
	turn->agent->stats.turns_dropped++;
	oc_debug("agent", "%s: a message is left out, more than %lld wait", turn->session, (long long)turn->queue.cap);
	if (b != NULL)
		oc_batch_run_state(b, turn->run, "dropped", "{\"status\":\"canceled\",\"text\":\"\",\"stopReason\":\"dropped\"}");
	oc_turn_store(turn, b);
	end_unrun(turn, "canceled", "dropped", NULL);
}

/* The beginning of a text in one line. */
static void add_line(oc_sbuf *b, oc_str text)
{
	text = oc_str_trim(text);
	size_t n = text.n < SUMMARY_LINE_MAX ? text.n : SUMMARY_LINE_MAX;
	while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
		n--;
	if (b->n + n + 8 > SUMMARY_MAX)
		return; /* counted, not shown */
	oc_sbuf_z(b, "- ");
	for (size_t i = 0; i < n; i++)
		oc_sbuf_char(b, text.p[i] == '\n' || text.p[i] == '\r' ? ' ' : text.p[i]);
	oc_sbuf_z(b, n < text.n ? "…\n" : "\n");
}

void oc_take_summarize(oc_turn *turn, oc_turn *heir)
{
	oc_sbuf lines;
	oc_sbuf_init(&lines, SUMMARY_MAX + 16);
	oc_sbuf_str(&lines, oc_sbuf_view(&turn->summary));
	add_line(&lines, oc_str_of(turn->text));
	oc_sbuf_str(&lines, oc_sbuf_view(&heir->summary));
	if (lines.error == OC_OK) {
		oc_sbuf_free(&heir->summary);
		heir->summary = lines;
	} else {
		oc_sbuf_free(&lines);
	}
	heir->left_out += turn->left_out + 1;
	turn->agent->stats.turns_summarized++;
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_auto_free char *input = oc_turn_input_json(heir);
	put_merged(b, turn, heir);
	if (b != NULL && input != NULL)
		oc_batch_run_input(b, heir->run, input);
	oc_turn_store(heir, b);
	end_unrun(turn, "ok", "merged", heir->run);
}

/* ---- Taking ---- */

static bool same(const cJSON *a, const cJSON *b, const char *name)
{
	return strcmp(oc_json_str(a, name, ""), oc_json_str(b, name, "")) == 0;
}

/* Whose answer goes to the same place. */
static bool same_route(const oc_turn *a, const oc_turn *b)
{
	return (a->deliver == NULL) == (b->deliver == NULL) && same(a->deliver, b->deliver, "channel") &&
	       same(a->deliver, b->deliver, "account") && same(a->deliver, b->deliver, "to") &&
	       same(a->deliver, b->deliver, "thread");
}

/* What may be part of the other at all: nothing that asks for other means, or comes from somebody with other rights. */
static bool compatible(const oc_turn *a, const oc_turn *b)
{
	return b->queued && b->slash == NULL && b->state == OC_TURN_WAITING && b->restricted == a->restricted &&
	       b->lane_class == a->lane_class && strcmp(a->model_override, b->model_override) == 0 &&
	       strcmp(a->thinking, b->thinking) == 0 && strcmp(a->extra_system, b->extra_system) == 0 &&
	       a->history == NULL && b->history == NULL && same_route(a, b);
}

/* Out of its lane; it is not over before the other one's commit. */
static void take(oc_turn *turn, oc_turn *other)
{
	oc_lane_leave(other);
	other->state = OC_TURN_ENDING;
	*turn->taken_tail = other;
	turn->taken_tail = &other->lane_next;
}

static void take_media(oc_turn *turn, oc_turn *other)
{
	for (cJSON *m = cJSON_DetachItemFromArray(other->media, 0); m != NULL; m = cJSON_DetachItemFromArray(other->media, 0)) {
		if (turn->media == NULL)
			turn->media = cJSON_CreateArray();
		if (turn->media == NULL || !cJSON_AddItemToArray(turn->media, m))
			cJSON_Delete(m);
	}
}

static bool is_collecting(oc_queue_mode mode)
{
	return mode == OC_QUEUE_COLLECT || mode == OC_QUEUE_INTERRUPT;
}

typedef struct gathering {
	oc_sbuf text;
	int n;
	bool numbered;
} gathering;

static void add_text(gathering *g, const char *text)
{
	g->n++;
	if (g->numbered)
		oc_sbuf_printf(&g->text, "%s--- %d ---\n", g->text.n > 0 ? "\n\n" : "", g->n);
	else if (g->text.n > 0)
		oc_sbuf_char(&g->text, '\n');
	oc_sbuf_z(&g->text, text);
}

/* How many behind the turn belong to it. */
static int count_following(const oc_turn *turn, bool *ret_debounced)
{
	int n = 0;
	size_t bytes = strlen(turn->text);
	*ret_debounced = turn->debounced;
	for (const oc_turn *t = turn->lane_next; t != NULL && compatible(turn, t); t = t->lane_next) {
		bool one_breath = turn->debounced && t->debounced && same(turn->sender, t->sender, "id");
		bool collected = is_collecting(turn->queue.mode) && is_collecting(t->queue.mode);
		bytes += strlen(t->text) + 32;
		if ((!one_breath && !collected) || bytes > OC_TURN_MESSAGE_MAX)
			break;
		*ret_debounced &= one_breath;
		n++;
	}
	return n;
}

/* "N messages were left out …" before the text. */
static void add_summary(oc_turn *turn)
{
	oc_auto_free char *text =
		oc_asprintf("[%u earlier message%s came while you were busy and %s left out, because too many were waiting. "
			    "%s began:]\n%s\n[The message%s for you now]\n%s",
			    turn->left_out, turn->left_out == 1 ? "" : "s", turn->left_out == 1 ? "was" : "were",
			    turn->left_out == 1 ? "It" : "They", oc_sbuf_view(&turn->summary).p,
			    turn->taken != NULL ? "s" : "", turn->text);
	if (text != NULL)
		turn->text = oc_turn_text(turn, text);
}

void oc_take_waiting(oc_turn *turn)
{
	if (!turn->queued || turn->user_stored || turn->slash != NULL || turn->lane == NULL)
		return;
	if (turn->queue.mode == 0)
		oc_queue_of_session(turn->agent, turn->config, turn->session, oc_turn_channel(turn), &turn->queue);
	bool one_breath;
	int n = count_following(turn, &one_breath);
	if (n > 0) {
		gathering g = {.numbered = !one_breath};
		oc_sbuf_init(&g.text, OC_TURN_MESSAGE_MAX * 2);
		if (g.numbered)
			oc_sbuf_printf(&g.text, "[%d messages came while you were busy]", n + 1);
		add_text(&g, turn->text);
		for (; n > 0; n--) {
			oc_turn *next = turn->lane_next;
			add_text(&g, next->text);
			take_media(turn, next);
			/* The answer is one to the newest. */
			cJSON *deliver = turn->deliver;
			turn->deliver = next->deliver;
			next->deliver = deliver;
			take(turn, next);
			OC_FAULT_POINT("messages-collected");
			turn->agent->stats.turns_merged++;
		}
		if (g.text.error == OC_OK)
			turn->text = oc_turn_text(turn, g.text.p);
		else
			turn->store_status = g.text.error; /* fails it: nothing is stored, all run again at the next start */
		oc_sbuf_free(&g.text);
	}
	if (turn->left_out > 0)
		add_summary(turn);
}

void oc_take_put(oc_turn *turn, oc_batch *b)
{
	for (const oc_turn *t = turn->taken; t != NULL; t = t->lane_next)
		put_merged(b, t, turn);
}

void oc_take_release(oc_turn *turn)
{
	oc_turn *t = turn->taken;
	turn->taken = NULL;
	turn->taken_tail = &turn->taken;
	for (oc_turn *next; t != NULL; t = next) {
		next = t->lane_next;
		t->lane_next = NULL;
		if (turn->user_stored)
			end_unrun(t, "ok", "merged", turn->run);
		else
			end_unrun(t, "interrupted", "interrupted", NULL);
	}
}

/* ---- Steering ---- */

static bool may_steer(const oc_turn *turn, const oc_turn *t)
{
	return t != NULL && !t->steered && oc_turn_heard(t) && compatible(turn, t) && cJSON_GetArraySize(t->media) == 0 && t->left_out == 0 &&
	       (t->queue.mode == OC_QUEUE_STEER || t->queue.mode == OC_QUEUE_STEER_BACKLOG);
}

static oc_turn *first_to_steer(const oc_turn *turn)
{
	oc_turn *t = turn->lane != NULL ? turn->lane_next : NULL;
	while (t != NULL && t->steered)
		t = t->lane_next;
	return may_steer(turn, t) ? t : NULL;
}

/* Those that hooks were asked about. What hooks say of turns and their models is for turns of their own, as in the original. */
bool oc_take_steering_waits(const oc_turn *turn)
{
	return turn->iterations + STEPS_RESERVED < OC_TURN_ITERATIONS_MAX && first_to_steer(turn) != NULL;
}

static bool put_steering(oc_turn *turn, const oc_turn *t, oc_batch *b)
{
	oc_auto_json cJSON *content = cJSON_CreateArray(), *part = cJSON_CreateObject(), *meta = cJSON_CreateObject();
	oc_auto_free char *said = t->hook_before[0] != 0 ? oc_asprintf("%s\n\n%s", t->hook_before, t->text) : oc_strdup(t->text);
	const char *text = t->user_text != NULL ? t->user_text : t->text;
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", said);
	if (part == NULL || said == NULL || !cJSON_AddItemToArray(content, part))
		return false;
	part = NULL;
	if (t->sender != NULL)
		(void)oc_json_set(meta, "sender", cJSON_Duplicate(t->sender, true));
	oc_json_opt(meta, "origin", t->origin);
	oc_auto_free char *json = oc_json_print(content), *meta_text = oc_json_print(meta);
	if (json == NULL || oc_context_add(turn, "user", json, NULL, NULL, NULL, false) == NULL)
		return false;
	if (b != NULL && !t->user_unwritten)
		oc_batch_message(b, turn->session, "message_received",
				 &(oc_message){.role = "user", .content_json = t->user_content, .text = text, .run = turn->run,
					       .meta_json = meta_text, .tokens = oc_tokens_of(oc_str_of(text)) + 4});
	return true;
}

bool oc_take_steering(oc_turn *turn)
{
	if (!oc_take_steering_waits(turn))
		return false;
	oc_batch *b = oc_batch_new(turn->agent->store);
	int n = 0;
	for (oc_turn *t = first_to_steer(turn); t != NULL && put_steering(turn, t, b); t = first_to_steer(turn)) {
		n++;
		turn->agent->stats.turns_steered++;
		if (t->queue.mode == OC_QUEUE_STEER_BACKLOG)
			t->steered = true;
		else
			take(turn, t);
	}
	oc_take_put(turn, b);
	OC_FAULT_POINT("message-steered");
	oc_turn_store(turn, b);
	if (n > 0 && turn->state == OC_TURN_RUNNING)
		oc_turn_notice(turn, "steered", "%d message%s came meanwhile and %s taken into account", n, n == 1 ? "" : "s",
			       n == 1 ? "is" : "are");
	return n > 0;
}
