/*
 * A turn's life: accepted and committed (turn_accept.c), waiting for its lane (lane.c), running (here), ending with one last
 * commit, over (turn_end.c).
 */
#include "core/agent/turn.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/aside.h"
#include "core/agent/compact.h"
#include "core/agent/commands.h"
#include "core/agent/media.h"
#include "core/agent/take.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"

/* ---- References and events ---- */

oc_turn *oc_turn_ref(oc_turn *turn)
{
	turn->refs++;
	return turn;
}

void oc_turn_unref(oc_turn *turn)
{
	if (--turn->refs > 0)
		return;
	oc_preview_free(turn->preview);
	oc_toolset_free(turn->toolset);
	oc_compact_free(turn->compaction);
	oc_aside_free(turn->aside);
	oc_owner_free(turn->owner);
	oc_sbuf_free(&turn->step.text);
	cJSON_Delete(turn->step.content);
	oc_sbuf_free(&turn->messages);
	oc_sbuf_free(&turn->reply);
	cJSON_Delete(turn->media);
	cJSON_Delete(turn->history);
	cJSON_Delete(turn->client_tools);
	cJSON_Delete(turn->client_calls);
	cJSON_Delete(turn->assembled);
	cJSON_Delete(turn->deliver);
	cJSON_Delete(turn->sender);
	cJSON_Delete(turn->hook_tools_allow);
	cJSON_Delete(turn->calls);
	cJSON_Delete(turn->said);
	cJSON_Delete(turn->bootstrap);
	cJSON_Delete(turn->offered);
	cJSON_Delete(turn->early_start);
	cJSON_Delete(turn->ended);
	cJSON_Delete(turn->settings);
	cJSON_Delete(turn->result);
	oc_sbuf_free(&turn->thoughts);
	oc_sbuf_free(&turn->summary);
	oc_config_unref(turn->config);
	oc_free(turn->workspace);
	oc_arena_free(turn->arena); /* the turn itself is in it */
}

const char *oc_turn_text(oc_turn *turn, const char *s)
{
	const char *copy = s[0] == 0 ? "" : oc_arena_strdup(turn->arena, s);
	if (copy == NULL)
		turn->store_status = OC_E_NOMEM;
	return copy != NULL ? copy : "";
}

void oc_turn_emit(oc_turn *turn, int type, oc_str text, const cJSON *data)
{
	oc_agent_event event = {
		.type = type,
		.seq = ++turn->seq,
		.ts_ms = oc_wall_ms(),
		.run = turn->run,
		.session = turn->session,
		.agent = turn->agent_id,
		.trace = turn->trace,
		.text = text,
		.data = data,
	};
	oc_turn_ref(turn);
	if (turn->on_event != NULL)
		turn->on_event(turn->arg, &event);
	if (turn->agent->subs != NULL)
		oc_agent_emit(turn->agent, &event);
	oc_turn_unref(turn);
}

void oc_turn_emit_data(oc_turn *turn, int type, cJSON *data)
{
	oc_turn_emit(turn, type, OC_STR_NONE, data);
	cJSON_Delete(data);
}

void oc_turn_notice(oc_turn *turn, const char *code, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "code", code);
	oc_json_opt(data, "message", text);
	oc_turn_emit_data(turn, OC_AGENT_EV_NOTICE, data);
}

uint64_t oc_turn_remaining(const oc_turn *turn)
{
	uint64_t used = oc_now_ms() - turn->began_ms;
	return used < turn->timeout_ms ? turn->timeout_ms - used : 1;
}

/* ---- Writing without waiting ---- */

static void stored(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	oc_turn *turn = arg;
	if (status != OC_OK && turn->store_status == OC_OK) {
		turn->store_status = status;
		turn->store_err = *err;
	}
	oc_turn_unref(turn);
}

void oc_turn_store(oc_turn *turn, oc_batch *batch)
{
	oc_err err = {0};
	oc_turn_ref(turn);
	if (oc_batch_commit(batch, stored, turn, &err) == OC_OK)
		return;
	if (turn->store_status == OC_OK) {
		turn->store_status = err.code;
		turn->store_err = err;
	}
	oc_turn_unref(turn);
}

static void stored_then(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	oc_turn *turn = arg;
	void (*next)(oc_turn *turn) = turn->store_next;
	turn->store_next = NULL;
	if (turn->state == OC_TURN_RUNNING && status != OC_OK)
		oc_turn_fail(turn, status, err);
	else if (turn->state == OC_TURN_RUNNING)
		next(turn);
	oc_turn_unref(turn);
}

void oc_turn_store_then(oc_turn *turn, oc_batch *batch, void (*next)(oc_turn *turn))
{
	oc_err err = {0};
	turn->store_next = next;
	oc_turn_ref(turn);
	if (oc_batch_commit(batch, stored_then, turn, &err) == OC_OK)
		return;
	oc_turn_fail(turn, err.code, &err);
	oc_turn_unref(turn);
}

/* ---- Cancelling ---- */

static void cancel_now(void *arg)
{
	oc_turn *turn = arg;
	oc_err err = {0};
	if (turn->state == OC_TURN_ACCEPTING) {
		/* Its commit comes first; accepted() looks at cancel_status. */
		oc_turn_unref(turn);
		return;
	}
	(void)oc_fail(&err, turn->cancel_status, NULL, "%s", turn->cancel_why);
	if (turn->cancel_status == OC_E_TIMEOUT)
		snprintf(err.remedy, sizeof err.remedy, "raise agents.defaults.timeoutSeconds, or ask for less at once");
	oc_turn_fail(turn, turn->cancel_status, &err);
	oc_turn_unref(turn);
}

void oc_turn_cancel(oc_turn *turn, oc_status status, const char *why)
{
	if (turn->state == OC_TURN_OVER || turn->state == OC_TURN_ENDING || turn->cancel_status != OC_OK)
		return;
	turn->cancel_status = status;
	snprintf(turn->cancel_why, sizeof turn->cancel_why, "%s", why);
	oc_turn_ref(turn);
	if (oc_loop_defer(turn->agent->loop, turn->agent->owner, cancel_now, turn) != OC_OK) {
		turn->cancel_status = OC_OK; /* no memory for it: whoever wants it must come again */
		oc_turn_unref(turn);
	}
}

static void on_deadline(void *arg)
{
	oc_turn *turn = arg;
	char why[160];
	snprintf(why, sizeof why, "the answer took longer than %llu seconds", (unsigned long long)(turn->timeout_ms / 1000));
	oc_turn_cancel(turn, OC_E_TIMEOUT, why);
	if (turn->cancel_status == OC_OK)
		oc_timer_again(turn->deadline, 1000);
}

/* ---- Beginning ---- */

static void send_typing(void *arg)
{
	oc_turn *turn = arg;
	oc_outbound_typing(turn->agent, turn->deliver);
}

oc_status oc_turn_settle_workspace(oc_turn *turn, oc_err *err)
{
	if (turn->workspace == NULL)
		turn->workspace = oc_agent_workspace(turn->agent, turn->config, turn->agent_id);
	return turn->workspace != NULL ? oc_workspace_prepare(turn->agent, turn->config, turn->workspace, err)
				       : oc_fail(err, OC_E_NOMEM, NULL, "cannot begin the turn");
}

void oc_turn_begin(oc_turn *turn)
{
	OC_TRACE(turn->trace);
	turn->began_ns = oc_now_ns();
	turn->began_ms = turn->began_ns / 1000000;
	if (turn->ready_ns != 0)
		oc_hist_add_ns(&turn->agent->timing.wait, turn->began_ns - turn->ready_ns);
	OC_FAULT_POINT("turn-begin");
	if (turn->cancel_status != OC_OK)
		return; /* cancel_now is on its way */
	oc_err err = {0};
	oc_take_waiting(turn);
	oc_status status = turn->foreseen_ms != 0 ? OC_OK : oc_turn_settle_workspace(turn, &err);
	if (status != OC_OK) {
		oc_turn_fail(turn, status, &err);
		return;
	}
	oc_media_adopt(turn);
	turn->deadline = oc_timer_start(turn->owner, turn->timeout_ms, 0, on_deadline, turn);
	if (turn->deliver != NULL && strcmp(oc_config_str(turn->config, "session.typingMode", ""), "never") != 0) {
		turn->typing = oc_timer_start(turn->owner, 4500, 4500, send_typing, turn);
		send_typing(turn);
	}
	if (!turn->user_stored || turn->resumed) {
		oc_batch *b = oc_batch_new(turn->agent->store);
		if (b != NULL)
			oc_batch_run_state(b, turn->run, "running", NULL);
		oc_turn_store(turn, b);
	}
	if (turn->slash == NULL) {
		oc_turn_before(turn);
		return;
	}
	if ((turn->slash->flags & OC_SLASH_CLEARS) == 0 || turn->slash_rest.n == 0) /* the rest is a message of its own */
		oc_turn_tell_message(turn);
	oc_slash_run(turn);
}

/* The user's words go into the history when the hooks had their say. */
void oc_turn_put_user(oc_turn *turn, oc_batch *b)
{
	oc_auto_free char *content = cJSON_GetArraySize(turn->media) > 0 ? oc_context_user_content(turn, true) : NULL;
	oc_auto_json cJSON *meta = cJSON_CreateObject();
	if (turn->sender != NULL)
		(void)oc_json_set(meta, "sender", cJSON_Duplicate(turn->sender, true));
	oc_json_opt(meta, "origin", turn->origin);
	oc_auto_free char *meta_text = oc_json_print(meta);
	const char *text = turn->user_text != NULL ? turn->user_text : turn->text;
	if (!turn->user_unwritten)
		oc_batch_message(b, turn->session, "message_received",
				 &(oc_message){.role = "user", .content_json = turn->user_content != NULL ? turn->user_content : content,
					       .text = text, .run = turn->run, .meta_json = meta_text,
					       .tokens = oc_tokens_of(oc_str_of(text)) + 4});
	turn->user_stored = true;
	oc_take_put(turn, b);
}
