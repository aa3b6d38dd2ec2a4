/*
 * A turn's life: accepted and committed, waiting for its lane, running, ending with one last commit, over.
 */
#include "core/agent/turn.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/media.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/security/validate.h"

#define TIMEOUT_SECONDS_DEFAULT 600
#define ARENA_MAX ((size_t)256 << 20)

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
	oc_owner_free(turn->owner);
	oc_sbuf_free(&turn->step.text);
	cJSON_Delete(turn->step.content);
	oc_sbuf_free(&turn->messages);
	oc_sbuf_free(&turn->reply);
	cJSON_Delete(turn->media);
	cJSON_Delete(turn->history);
	cJSON_Delete(turn->deliver);
	cJSON_Delete(turn->sender);
	cJSON_Delete(turn->hook_tools_allow);
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

/* ---- The end ---- */

static void remove_turn(oc_turn *turn)
{
	oc_agent *agent = turn->agent;
	oc_map_remove(&agent->runs, &turn->by_run);
	oc_map_remove(&agent->keys, &turn->by_key);
	oc_lane_leave(turn);
	turn->state = OC_TURN_OVER;
}

static const char *status_name(oc_status status)
{
	return status == OC_OK		 ? "ok"
	       : status == OC_E_CANCELED ? "canceled"
	       : status == OC_E_RETRY	 ? "interrupted"
					 : "error";
}

static cJSON *result_json(const oc_turn *turn, oc_status status, const oc_err *err)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", status_name(status));
	(void)oc_json_set_str(o, "text", turn->reply.p != NULL ? turn->reply.p : "");
	oc_json_opt(o, "stopReason", turn->stop_reason);
	(void)oc_json_set_i64(o, "durationMs", turn->began_ms != 0 ? (int64_t)(oc_now_ms() - turn->began_ms) : 0);
	oc_json_opt(o, "model", turn->model.ref);
	(void)oc_json_set(o, "usage", oc_usage_json(&turn->usage));
	if (status != OC_OK) {
		cJSON *error = cJSON_AddObjectToObject(o, "error");
		oc_json_opt(error, "code", oc_status_name(status));
		oc_json_opt(error, "message", err->text);
		oc_json_opt(error, "remedy", err->remedy);
	}
	return o;
}

static void count(oc_agent *agent, const oc_turn *turn, oc_status status)
{
	oc_agent_stats *s = &agent->stats;
	if (status == OC_OK)
		s->turns_ok++;
	else if (status == OC_E_CANCELED)
		s->turns_canceled++;
	else if (status == OC_E_RETRY)
		s->turns_interrupted++;
	else
		s->turns_failed++;
	if (turn->began_ms != 0)
		s->turn_ms_total += oc_now_ms() - turn->began_ms;
}

/* Everything is written (or cannot be): tells the world. */
static void close_turn(oc_turn *turn, oc_status status, const oc_err *err)
{
	oc_agent *agent = turn->agent;
	cJSON *result = result_json(turn, status, err);
	count(agent, turn, status);
	oc_owner_sweep(turn->owner);
	if (status != OC_OK && status != OC_E_CANCELED) {
		cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "code", oc_status_name(status));
		oc_json_opt(data, "message", err->text);
		oc_json_opt(data, "remedy", err->remedy);
		oc_turn_emit_data(turn, OC_AGENT_EV_ERROR, data);
		oc_agent_error(agent, "turn", turn->session, turn->run, err);
	}
	oc_turn_over_hooks(turn, result);
	remove_turn(turn);
	oc_turn_emit(turn, OC_AGENT_EV_DONE, OC_STR_NONE, result);
	oc_waiters_tell(agent, turn->run, result);
	cJSON_Delete(result);
	oc_turn_unref(turn);
	oc_agent_check_drained(agent);
}

static void kick(oc_turn *turn)
{
	if (turn->outbox_key[0] != 0)
		oc_outbound_kick(turn->agent, turn->outbox_key);
	if (turn->files_key[0] != 0)
		oc_outbound_kick(turn->agent, turn->files_key);
}

static void ended_ok(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	oc_turn *turn = arg;
	if (turn->state == OC_TURN_OVER) {
		oc_turn_unref(turn);
		return;
	}
	if (status != OC_OK) {
		close_turn(turn, status, err);
		oc_turn_unref(turn);
		return;
	}
	const char *text = turn->reply.p != NULL ? turn->reply.p : "";
	cJSON *data = cJSON_CreateObject();
	bool silent = turn->reply.n == 0;
	(void)oc_json_set_str(data, "text", text);
	(void)oc_json_set_bool(data, "silent", silent);
	(void)oc_json_set_i64(data, "seq", oc_batch_seq(b, 0));
	oc_json_opt(data, "model", turn->model.ref);
	oc_json_opt(data, "stopReason", turn->stop_reason);
	oc_turn_emit(turn, OC_AGENT_EV_REPLY, oc_str_of(text), data);
	cJSON_Delete(data);
	kick(turn);
	close_turn(turn, OC_OK, err);
	oc_turn_unref(turn);
}

static bool put_row(oc_turn *turn, oc_batch *b, const char *key, const char *run, const cJSON *message)
{
	oc_auto_free char *json = oc_json_print(message);
	if (json != NULL)
		oc_batch_outbox_put(b, key, turn->session, run, oc_json_str(message, "channel", ""),
				    oc_json_str(message, "account", "default"), json);
	return json != NULL;
}

/* The reply's row, when it goes somewhere: what the preview shows is edited into it. Files cannot be edited into a message:
 * after a preview they are a row of their own. */
void oc_turn_put_reply(oc_turn *turn, oc_batch *b, const char *text)
{
	char *rest = NULL;
	if (turn->deliver == NULL || text[0] == 0)
		return;
	oc_auto_json cJSON *message = cJSON_Duplicate(turn->deliver, true), *files = oc_media_attach(turn, text, &rest);
	oc_auto_free char *shown = rest;
	bool edits = oc_preview_message(turn)[0] != 0;
	if (message == NULL)
		return;
	snprintf(turn->outbox_key, sizeof turn->outbox_key, "run:%s", turn->run);
	(void)oc_json_set_str(message, "text", shown == NULL ? text : shown[0] == 0 && edits ? "📎" : shown);
	oc_json_opt(message, "editOf", oc_preview_message(turn));
	if (files != NULL && !edits) {
		(void)oc_json_set(message, "media", files);
		files = NULL;
	}
	if (!put_row(turn, b, turn->outbox_key, turn->run, message)) {
		turn->outbox_key[0] = 0;
		return;
	}
	if (files != NULL) {
		snprintf(turn->files_key, sizeof turn->files_key, "run:%s:files", turn->run);
		cJSON_DeleteItemFromObjectCaseSensitive(message, "editOf");
		(void)oc_json_set_str(message, "text", "");
		(void)oc_json_set(message, "media", files);
		files = NULL;
		if (!put_row(turn, b, turn->files_key, NULL, message)) /* the run is over with its text */
			turn->files_key[0] = 0;
	}
}

static void commit_end(oc_turn *turn, bool withheld)
{
	if (turn->state != OC_TURN_ENDING)
		return;
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_err err = {0};
	if (b != NULL) {
		const char *text = turn->reply.p != NULL ? turn->reply.p : "";
		if (turn->model.ref != NULL && turn->final_content != NULL)
			oc_batch_message(b, turn->session, "agent_response",
					 &(oc_message){.role = "assistant", .content_json = turn->final_content,
						       .text = turn->final_text, .run = turn->run, .model = turn->model.ref,
						       .tokens = oc_tokens_of(oc_str_of(turn->final_content))});
		oc_auto_json cJSON *result = result_json(turn, OC_OK, &err);
		oc_auto_free char *json = oc_json_print(result);
		oc_batch_run_state(b, turn->run, "done", json);
		if (!withheld)
			oc_turn_put_reply(turn, b, text);
	}
	oc_turn_ref(turn);
	if (oc_batch_commit(b, ended_ok, turn, &err) != OC_OK) {
		oc_turn_unref(turn);
		close_turn(turn, err.code, &err);
	}
}

/* NO_REPLY alone says nothing; at the end of a text it is a slip that nobody should read. */
static void strip_silence(oc_turn *turn)
{
	static const char token[] = "NO_REPLY";
	oc_str text = oc_str_trim(oc_sbuf_view(&turn->reply));
	if (!oc_str_ends(text, token))
		return;
	oc_str before = oc_str_trim((oc_str){text.p, text.n - (sizeof token - 1)});
	bool word = before.n == 0 || before.p + before.n < text.p + text.n - (sizeof token - 1);
	if (!word)
		return;
	oc_auto_free char *kept = oc_memdup(before.p, before.n);
	oc_sbuf_clear(&turn->reply);
	oc_sbuf_z(&turn->reply, kept != NULL ? kept : "");
}

static void reply_ready(oc_turn *turn, bool withheld)
{
	if (turn->state != OC_TURN_ENDING)
		return;
	if (withheld)
		oc_sbuf_clear(&turn->reply);
	strip_silence(turn);
	if (turn->hold_text && turn->reply.n > 0)
		oc_turn_emit(turn, OC_AGENT_EV_TEXT, oc_sbuf_view(&turn->reply), NULL);
	commit_end(turn, withheld);
}

static void preview_over(oc_turn *turn)
{
	if (turn->state == OC_TURN_ENDING)
		oc_turn_after_model(turn, reply_ready);
}

void oc_turn_succeed(oc_turn *turn)
{
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (turn->store_status != OC_OK) {
		oc_turn_fail(turn, turn->store_status, &turn->store_err);
		return;
	}
	turn->state = OC_TURN_ENDING;
	oc_watch_end(turn->typing);
	turn->typing = NULL;
	oc_preview_end(turn, preview_over);
}

/* ---- Failure ---- */

static void ended_badly(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	oc_turn *turn = arg;
	if (turn->state != OC_TURN_OVER) {
		if (status != OC_OK)
			oc_log_err(OC_LOG_ERROR, "agent", "the end of a turn could not be written", err);
		else
			kick(turn);
		close_turn(turn, turn->model_err.code, &turn->model_err);
	}
	oc_turn_unref(turn);
}

/* What the model had written stays in the history, so that "go on" means something. */
static void store_partial(oc_turn *turn, oc_batch *b)
{
	oc_auto_free char *parts = oc_turn_text_of_parts(turn->step.content);
	oc_auto_free char *text = oc_asprintf("%s%s", parts != NULL ? parts : "",
					      turn->step.text.p != NULL ? turn->step.text.p : "");
	if (turn->model.ref == NULL || text == NULL || text[0] == 0)
		return;
	oc_batch_message(b, turn->session, "agent_response",
			 &(oc_message){.role = "assistant", .text = text, .run = turn->run, .model = turn->model.ref,
				       .meta_json = "{\"stopReason\":\"interrupted\"}",
				       .tokens = oc_tokens_of(oc_str_of(text))});
}

static const char *run_state_of(oc_status status)
{
	return status == OC_E_CANCELED ? "canceled" : status == OC_E_RETRY ? "interrupted" : "failed";
}

static void commit_failure(oc_turn *turn)
{
	oc_status status = turn->model_err.code;
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_err err = {0};
	if (b != NULL) {
		store_partial(turn, b);
		oc_auto_json cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "code", oc_status_name(status));
		oc_json_opt(data, "message", turn->model_err.text);
		oc_auto_free char *text = oc_json_print(data);
		oc_batch_event(b, turn->session, status == OC_E_CANCELED ? "state_changed" : "error", turn->run, text);
		oc_auto_json cJSON *result = result_json(turn, status, &turn->model_err);
		oc_auto_free char *json = oc_json_print(result);
		oc_batch_run_state(b, turn->run, run_state_of(status), json);
		if (turn->deliver != NULL && status != OC_E_CANCELED) {
			oc_auto_free char *words = oc_asprintf("⚠️ %s%s%s", turn->model_err.text,
							       turn->model_err.remedy[0] != 0 ? "\n" : "",
							       turn->model_err.remedy);
			/* Words that were shown already stay readable above the error. */
			oc_auto_free char *all = words != NULL && turn->reply.n > 0 && oc_preview_message(turn)[0] != 0
							 ? oc_asprintf("%s\n\n%s", turn->reply.p, words)
							 : NULL;
			oc_turn_put_reply(turn, b, all != NULL ? all : words != NULL ? words : "⚠️ error");
		}
	}
	oc_turn_ref(turn);
	if (oc_batch_commit(b, ended_badly, turn, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "agent", "the end of a turn could not be written", &err);
		oc_turn_unref(turn);
		close_turn(turn, turn->model_err.code, &turn->model_err);
	}
}

static void preview_over_failed(oc_turn *turn)
{
	if (turn->state == OC_TURN_ENDING)
		commit_failure(turn);
}

void oc_turn_fail(oc_turn *turn, oc_status status, const oc_err *err)
{
	if (turn->state == OC_TURN_OVER || turn->state == OC_TURN_ENDING)
		return;
	bool ran = turn->state == OC_TURN_RUNNING;
	oc_err copy = err != NULL ? *err : (oc_err){0};
	copy.code = status;
	turn->model_err = copy;
	if (!ran) {
		/* Its lane never gave it a place: it leaves the queue now, or the running count would be wrong. */
		oc_lane_leave(turn);
	}
	turn->state = OC_TURN_ENDING;
	/* Calls, hooks and timers end here; the toolset, which may be what calls, is freed with the turn. */
	oc_owner_sweep(turn->owner);
	turn->step.call = NULL;
	turn->deadline = turn->retry = turn->typing = NULL;
	oc_preview_end(turn, preview_over_failed);
}

void oc_turn_shelve(oc_turn *turn)
{
	oc_err err = {0};
	(void)oc_fail(&err, OC_E_RETRY, turn->deliver != NULL ? "the answer comes when it runs again" : NULL,
		      "the gateway stopped before this message was worked on");
	if (turn->deliver == NULL) {
		oc_batch *b = oc_batch_new(turn->agent->store);
		if (b != NULL)
			oc_batch_run_state(b, turn->run, "interrupted", NULL);
		oc_turn_store(turn, b);
	}
	close_turn(turn, OC_E_RETRY, &err);
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
	if (oc_loop_defer(turn->agent->loop, turn->agent->owner, cancel_now, turn) != OC_OK)
		oc_turn_unref(turn);
}

static void on_deadline(void *arg)
{
	oc_turn *turn = arg;
	char why[160];
	snprintf(why, sizeof why, "the answer took longer than %llu seconds", (unsigned long long)(turn->timeout_ms / 1000));
	oc_turn_cancel(turn, OC_E_TIMEOUT, why);
}

/* ---- Beginning ---- */

static void send_typing(void *arg)
{
	oc_turn *turn = arg;
	oc_outbound_typing(turn->agent, turn->deliver);
}

void oc_turn_begin(oc_turn *turn)
{
	turn->began_ms = oc_now_ms();
	if (turn->cancel_status != OC_OK)
		return; /* cancel_now is on its way */
	oc_err err = {0};
	turn->workspace = oc_agent_workspace(turn->agent, turn->config, turn->agent_id);
	oc_status status = turn->workspace != NULL ? oc_workspace_prepare(turn->agent, turn->config, turn->workspace, &err)
						   : oc_fail(&err, OC_E_NOMEM, NULL, "cannot begin the turn");
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
	if (!turn->user_stored) {
		oc_batch *b = oc_batch_new(turn->agent->store);
		if (b != NULL)
			oc_batch_run_state(b, turn->run, "running", NULL);
		oc_turn_store(turn, b);
	}
	if (oc_command_is(turn->agent, oc_str_of(turn->text)))
		oc_command_run(turn);
	else
		oc_turn_before(turn);
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
	oc_batch_message(b, turn->session, "message_received",
			 &(oc_message){.role = "user", .content_json = content, .text = turn->text, .run = turn->run,
				       .meta_json = meta_text, .tokens = oc_tokens_of(oc_str_of(turn->text)) + 4});
	turn->user_stored = true;
}

/* ---- Accepting ---- */

static void tell_committed(oc_turn *turn, oc_status status)
{
	void (*committed)(void *arg, oc_status status) = turn->committed;
	turn->committed = NULL;
	if (committed != NULL)
		committed(turn->committed_arg, status);
}

static void accepted(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	oc_turn *turn = arg;
	if (turn->state == OC_TURN_OVER) {
		/* The agent is being freed. */
		tell_committed(turn, status);
		oc_turn_unref(turn);
		return;
	}
	turn->duplicate = status == OC_OK && oc_batch_is_duplicate(b);
	turn->began_session = status == OC_OK && oc_batch_began_session(b);
	tell_committed(turn, status);
	if (turn->duplicate) {
		turn->agent->stats.inbound_duplicate++;
		remove_turn(turn);
		oc_turn_unref(turn);
	} else if (status != OC_OK) {
		turn->model_err = *err;
		close_turn(turn, status, err);
	} else {
		cJSON *data = cJSON_CreateObject();
		(void)oc_json_set_str(data, "text", turn->text);
		oc_json_opt(data, "origin", turn->origin);
		oc_turn_emit_data(turn, OC_AGENT_EV_ACCEPTED, data);
		if (turn->cancel_status != OC_OK) {
			oc_err why = {0};
			(void)oc_fail(&why, turn->cancel_status, NULL, "%s", turn->cancel_why);
			turn->state = OC_TURN_WAITING;
			oc_turn_fail(turn, turn->cancel_status, &why);
		} else if (turn->agent->draining) {
			turn->state = OC_TURN_WAITING;
			oc_turn_shelve(turn);
		} else {
			oc_lane_ready(turn);
		}
	}
	oc_turn_unref(turn);
}

/* The input as it is needed to take the run up again after a crash. */
static char *input_json(const oc_turn *turn)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "text", turn->text);
	oc_json_opt(o, "origin", turn->origin);
	oc_json_opt(o, "agent", turn->agent_id);
	oc_json_opt(o, "model", turn->model_override);
	oc_json_opt(o, "thinking", turn->thinking);
	oc_json_opt(o, "extraSystem", turn->extra_system);
	const struct {
		const char *name;
		const cJSON *value;
	} trees[] = {{"media", turn->media}, {"deliver", turn->deliver}, {"sender", turn->sender}};
	for (size_t i = 0; i < 3; i++)
		if (trees[i].value != NULL)
			(void)oc_json_set(o, trees[i].name, cJSON_Duplicate(trees[i].value, true));
	(void)oc_json_set_i64(o, "timeoutMs", (int64_t)turn->timeout_ms);
	return oc_json_print(o);
}

static oc_status commit_accept(oc_turn *turn, oc_err *err)
{
	oc_agent *agent = turn->agent;
	oc_batch *b = oc_batch_new(agent->store);
	if (b != NULL && !turn->recovered) {
		if (turn->inbox.channel != NULL)
			oc_batch_inbox(b, turn->inbox.channel, turn->inbox.account, turn->inbox.chat, turn->inbox.message_id,
				       turn->session, turn->run);
		oc_batch_unless_run(b, turn->idempotency);
		oc_auto_free char *delivery = turn->deliver != NULL ? oc_json_print(turn->deliver) : NULL;
		oc_batch_session(b, turn->session,
				 &(oc_session_facts){.agent = turn->agent_id, .kind = turn->key.kind,
						     .channel = turn->key.channel[0] != 0 ? turn->key.channel : NULL,
						     .account = turn->key.account[0] != 0 ? turn->key.account : NULL,
						     .peer = turn->key.peer[0] != 0 ? turn->key.peer : NULL,
						     .thread = turn->key.thread[0] != 0 ? turn->key.thread : NULL,
						     .delivery_json = delivery});
		oc_auto_free char *input = input_json(turn);
		oc_batch_run_put(b, turn->run, turn->session, turn->idempotency, input);
		/* Nobody is before it and no hook wants a say: the message goes into the history with the same commit. */
		if (oc_lane_is_first(turn) && !oc_turn_wants_hooks_before(agent) &&
		    !oc_command_is(agent, oc_str_of(turn->text)) && cJSON_GetArraySize(turn->media) == 0) {
			oc_turn_put_user(turn, b);
			oc_batch_run_state(b, turn->run, "running", NULL);
		}
	}
	oc_turn_ref(turn);
	oc_status status = oc_batch_commit(b, accepted, turn, err);
	if (status != OC_OK)
		turn->refs--;
	return status;
}

static bool copy_input(oc_turn *turn, const oc_turn_input *in, const oc_inbox_ref *inbox)
{
	const struct {
		const char **to;
		oc_str from;
	} texts[] = {
		{&turn->text, in->text},
		{&turn->origin, oc_str_of(in->origin)},
		{&turn->model_override, in->model},
		{&turn->thinking, in->thinking},
		{&turn->extra_system, in->extra_system},
		{&turn->idempotency, in->idempotency},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		*texts[i].to = oc_arena_memdup(turn->arena, texts[i].from.p != NULL ? texts[i].from.p : "", texts[i].from.n);
		if (*texts[i].to == NULL)
			return false;
	}
	const struct {
		cJSON **to;
		const cJSON *from;
	} trees[] = {{&turn->media, in->media}, {&turn->history, in->history}, {&turn->deliver, in->deliver},
		     {&turn->sender, in->sender}};
	for (size_t i = 0; i < sizeof trees / sizeof *trees; i++)
		if (trees[i].from != NULL && (*trees[i].to = cJSON_Duplicate(trees[i].from, true)) == NULL)
			return false;
	if (inbox != NULL) {
		turn->inbox = (oc_inbox_ref){oc_turn_text(turn, inbox->channel), oc_turn_text(turn, inbox->account),
					     oc_turn_text(turn, inbox->chat), oc_turn_text(turn, inbox->message_id)};
		if (turn->store_status != OC_OK)
			return false;
	}
	return true;
}

static oc_turn *new_turn(oc_agent *agent, const oc_turn_input *in, const oc_inbox_ref *inbox)
{
	oc_arena *arena = oc_arena_new(ARENA_MAX);
	oc_turn *turn = arena != NULL ? oc_arena_alloc(arena, sizeof *turn) : NULL;
	if (turn == NULL) {
		oc_arena_free(arena);
		return NULL;
	}
	turn->arena = arena;
	turn->agent = agent;
	turn->refs = 1;
	turn->state = OC_TURN_ACCEPTING;
	turn->config = oc_config_ref(agent->config);
	turn->own_tail = &turn->own;
	turn->stop_reason = "";
	turn->hook_before = turn->hook_after = turn->hook_system = turn->hook_system_before = turn->hook_system_after = "";
	turn->system = turn->tools_json = "";
	turn->max_tokens = in->max_tokens;
	turn->temperature = in->temperature;
	turn->has_temperature = in->has_temperature;
	turn->no_tools = in->no_tools;
	turn->on_event = in->on_event;
	turn->arg = in->arg;
	int64_t seconds = oc_config_i64(agent->config, "agents.defaults.timeoutSeconds", TIMEOUT_SECONDS_DEFAULT);
	turn->timeout_ms = in->timeout_ms > 0 ? in->timeout_ms : (uint64_t)(seconds > 0 ? seconds : TIMEOUT_SECONDS_DEFAULT) * 1000;
	oc_sbuf_init(&turn->step.text, OC_TURN_TEXT_MAX);
	oc_sbuf_init(&turn->messages, OC_TURN_REQUEST_MAX);
	oc_sbuf_init(&turn->reply, OC_TURN_TEXT_MAX);
	turn->owner = oc_owner_new(agent->loop, "turn");
	if (turn->owner == NULL || !copy_input(turn, in, inbox)) {
		oc_turn_unref(turn);
		return NULL;
	}
	return turn;
}

static oc_status check_input(const oc_agent *agent, const oc_turn_input *in, oc_err *err)
{
	if (agent->draining)
		return oc_fail(err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	if (oc_str_trim(in->text).n == 0 && cJSON_GetArraySize(in->media) == 0)
		return oc_fail(err, OC_E_INVALID, "write something", "the message is empty");
	return oc_validate_text(in->text, OC_TURN_MESSAGE_MAX, err);
}

/* The key is known: the run that runs, or ran, with it. */
static bool find_duplicate(oc_agent *agent, oc_str idempotency, oc_run_ref *ret)
{
	oc_auto_free char *key = idempotency.n > 0 ? oc_memdup(idempotency.p, idempotency.n) : NULL;
	if (key == NULL)
		return false;
	oc_map_node *node = oc_map_find(&agent->keys, key);
	if (node != NULL) {
		const oc_turn *turn = OC_MAP_OWNER(node, oc_turn, by_key);
		snprintf(ret->run, sizeof ret->run, "%s", turn->run);
		snprintf(ret->session, sizeof ret->session, "%s", turn->session);
	} else {
		oc_auto_json cJSON *run = NULL;
		if (oc_store_run_by_key(agent->store, key, &run, NULL) != OC_OK)
			return false;
		snprintf(ret->run, sizeof ret->run, "%s", oc_json_str(run, "run", ""));
		snprintf(ret->session, sizeof ret->session, "%s", oc_json_str(run, "session", ""));
	}
	ret->duplicate = true;
	return true;
}

static oc_status resolve_session(oc_turn *turn, const oc_turn_input *in, oc_err *err)
{
	char agent_id[65];
	if (in->agent.n > 0)
		oc_agent_id_normalize(in->agent, agent_id);
	else
		(void)oc_agent_default_id(turn->config, agent_id);
	oc_status status = oc_session_key_resolve(in->session, agent_id, oc_agent_main_key(turn->config), turn->session, err);
	if (status == OC_OK)
		status = oc_session_key_parse(oc_str_of(turn->session), &turn->key, err);
	if (status != OC_OK)
		return status;
	memcpy(turn->agent_id, turn->key.agent, sizeof turn->agent_id);
	if (in->agent.n > 0 && strcmp(agent_id, turn->agent_id) != 0)
		return oc_fail(err, OC_E_INVALID, "leave the agent out, or name one of its own sessions",
			       "the session %s belongs to the agent %s, not to %s", turn->session, turn->agent_id, agent_id);
	char fallback[65];
	if (oc_agent_entry(turn->config, turn->agent_id) == NULL &&
	    strcmp(turn->agent_id, oc_agent_default_id(turn->config, fallback)) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "add it to agents.list", "there is no agent %s", turn->agent_id);
	return OC_OK;
}

oc_status oc_turn_submit(oc_agent *agent, const oc_turn_input *in, const oc_inbox_ref *inbox,
			 void (*committed)(void *arg, oc_status status), void *committed_arg, const char *run,
			 oc_run_ref *ret, oc_err *err)
{
	*ret = (oc_run_ref){0};
	oc_status status = check_input(agent, in, err);
	if (status != OC_OK || find_duplicate(agent, in->idempotency, ret))
		return status;
	oc_turn *turn = new_turn(agent, in, inbox);
	if (turn == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the message");
	turn->recovered = run != NULL;
	if (run != NULL)
		snprintf(turn->run, sizeof turn->run, "%s", run);
	else
		oc_id_uuid(turn->run);
	status = resolve_session(turn, in, err);
	if (status == OC_OK)
		status = oc_lane_enter(turn, err);
	if (status != OC_OK) {
		oc_turn_unref(turn);
		return status;
	}
	status = commit_accept(turn, err);
	if (status != OC_OK) {
		oc_lane_leave(turn);
		oc_turn_unref(turn);
		return status;
	}
	turn->committed = committed;
	turn->committed_arg = committed_arg;
	oc_map_add(&agent->runs, &turn->by_run, turn->run);
	if (turn->idempotency[0] != 0)
		oc_map_add(&agent->keys, &turn->by_key, turn->idempotency);
	memcpy(ret->run, turn->run, sizeof ret->run);
	memcpy(ret->session, turn->session, sizeof ret->session);
	return OC_OK;
}

static void drop_turn(void *arg, oc_map_node *node)
{
	oc_agent *agent = arg;
	oc_turn *turn = OC_MAP_OWNER(node, oc_turn, by_run);
	oc_owner_sweep(turn->owner);
	oc_map_remove(&agent->keys, &turn->by_key);
	oc_map_remove(&agent->runs, &turn->by_run);
	oc_lane_leave(turn);
	turn->state = OC_TURN_OVER;
	turn->on_event = NULL;
	oc_turn_unref(turn); /* commits under way hold theirs */
}

void oc_turns_free(oc_agent *agent)
{
	oc_map_each(&agent->runs, drop_turn, agent);
	oc_map_free(&agent->runs);
	oc_map_free(&agent->keys);
	oc_map_free(&agent->lanes);
}
