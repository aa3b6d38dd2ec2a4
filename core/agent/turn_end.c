/* How turns end: with one last commit that has the answer (or the failure) and its way to the channel, then the world is told. */
#include "core/agent/turn.h"
#include "core/agent/engine.h"
#include "core/agent/journal.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/media.h"
#include "core/agent/shown.h"
#include "core/agent/subagent.h"
#include "core/agent/take.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/trace.h"

#define END_RETRY_MAX_MS 5000

/* ---- The end ---- */

void oc_turn_remove(oc_turn *turn)
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
	oc_json_opt(o, "trace", turn->trace);
	(void)oc_json_set(o, "usage", oc_usage_json(&turn->usage));
	if (turn->thoughts.n > 0 && turn->deliver == NULL) /* of a heartbeat, which sends them itself */
		(void)oc_json_set_str(o, "thoughts", oc_sbuf_view(&turn->thoughts).p);
	if (turn->client_calls != NULL)
		(void)oc_json_set(o, "clientCalls", cJSON_Duplicate(turn->client_calls, true));
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
	if (turn->began_ns == 0)
		return;
	uint64_t took = oc_now_ns() - turn->began_ns;
	s->turn_ms_total += took / 1000000;
	oc_hist_add_ns(status == OC_OK ? &agent->timing.turn_ok : &agent->timing.turn_other, took);
}

static void tell_log(const oc_turn *turn, oc_status status, const oc_err *err)
{
	uint64_t ms = turn->began_ns != 0 ? (oc_now_ns() - turn->began_ns) / 1000000 : 0;
	if (status == OC_OK)
		oc_debug("turn", "%s: answered in %llu ms by %s: %lld model calls, %lld tokens in, %lld out", turn->session,
			 (unsigned long long)ms, turn->model.ref != NULL ? turn->model.ref : "the gateway",
			 (long long)turn->usage.calls, (long long)turn->usage.input, (long long)turn->usage.output);
	else if (status == OC_E_CANCELED || turn->agent->one_shot)
		oc_debug("turn", "%s: %s after %llu ms: %s", turn->session, oc_status_text(status), (unsigned long long)ms, err->text);
	else
		oc_warn("turn", "%s: no answer after %llu ms: %s%s%s%s", turn->session, (unsigned long long)ms, err->text,
			err->remedy[0] != 0 ? " (" : "", err->remedy, err->remedy[0] != 0 ? ")" : "");
}

void oc_turn_close(oc_turn *turn, oc_status status, const oc_err *err)
{
	oc_agent *agent = turn->agent;
	OC_TRACE(turn->trace);
	oc_take_release(turn);
	cJSON *result = status == OC_OK && turn->result != NULL ? turn->result : result_json(turn, status, err);
	if (result == turn->result)
		turn->result = NULL;
	count(agent, turn, status);
	oc_owner_sweep(turn->owner);
	tell_log(turn, status, err);
	if (status != OC_OK && status != OC_E_CANCELED) {
		cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "code", oc_status_name(status));
		oc_json_opt(data, "message", err->text);
		oc_json_opt(data, "remedy", err->remedy);
		oc_turn_emit_data(turn, OC_AGENT_EV_ERROR, data);
		oc_agent_error(agent, "turn", turn->session, turn->run, err);
	}
	oc_turn_over_hooks(turn, result);
	if (status == OC_OK)
		oc_engine_over(turn);
	oc_journal_touch(turn->agent, turn->session);
	oc_turn_remove(turn);
	oc_turn_emit(turn, OC_AGENT_EV_DONE, OC_STR_NONE, result);
	oc_waiters_tell(agent, turn->run, result);
	oc_subagents_turn_over(turn, status, result);
	cJSON_Delete(result);
	oc_turn_unref(turn);
	oc_agent_check_drained(agent);
}

static void kick(oc_turn *turn)
{
	if (turn->thoughts_key[0] != 0)
		oc_outbound_kick(turn->agent, turn->thoughts_key);
	if (turn->outbox_key[0] != 0)
		oc_outbound_kick(turn->agent, turn->outbox_key);
	if (turn->files_key[0] != 0)
		oc_outbound_kick(turn->agent, turn->files_key);
}

static void commit_end(oc_turn *turn, bool withheld);
static void commit_failure(oc_turn *turn);

static void try_end(void *arg)
{
	oc_turn *turn = arg;
	if (turn->state != OC_TURN_ENDING)
		return;
	if (turn->end_failed)
		commit_failure(turn);
	else
		commit_end(turn, turn->end_withheld);
}

static void on_end_retry(void *arg)
{
	oc_turn *turn = arg;
	oc_watch_end(turn->retry);
	turn->retry = NULL;
	try_end(turn);
}

static void on_endings(void *arg)
{
	oc_agent *agent = arg;
	oc_turn *all = agent->endings;
	agent->endings = NULL;
	for (oc_turn *turn = all, *next; turn != NULL; turn = next) {
		next = turn->next_ending;
		turn->ending_listed = false;
		try_end(turn);
		oc_turn_unref(turn);
	}
}

oc_status oc_turn_endings_new(oc_agent *agent)
{
	agent->ending_timer = oc_timer_start(agent->owner, END_RETRY_MAX_MS, 0, on_endings, agent);
	return agent->ending_timer != NULL ? OC_OK : OC_E_NOMEM;
}

void oc_turn_endings_forget(oc_agent *agent)
{
	for (oc_turn *turn = agent->endings, *next; turn != NULL; turn = next) {
		next = turn->next_ending;
		turn->ending_listed = false;
		oc_turn_unref(turn);
	}
	agent->endings = NULL;
}

/* Needs no memory. */
static bool end_with_others(oc_turn *turn, uint64_t wait_ms)
{
	oc_agent *agent = turn->agent;
	if (turn->ending_listed)
		return true;
	turn->ending_listed = true;
	turn->next_ending = agent->endings;
	agent->endings = oc_turn_ref(turn);
	oc_timer_again(agent->ending_timer, wait_ms);
	return true;
}

/* How a turn ended must get into the store, or its reply is lost until the next start: tried again until the store works
 * (a disk was full, memory was short), at most as long as a turn may take. */
static bool end_again(oc_turn *turn, oc_status status, const oc_err *err)
{
	uint64_t now = oc_now_ms();
	if (status != OC_E_IO && status != OC_E_BUSY && status != OC_E_NOMEM && status != OC_E_DENIED)
		return false;
	if (turn->end_since_ms == 0) {
		turn->end_since_ms = now;
		oc_log_err(OC_LOG_WARN, "agent", "the end of a turn cannot be written yet", err);
	}
	uint64_t passed = now - turn->end_since_ms, wait = passed / 2 + 20;
	if (passed > turn->timeout_ms || turn->retry != NULL)
		return false;
	turn->retry = oc_timer_start(turn->owner, wait < END_RETRY_MAX_MS ? wait : END_RETRY_MAX_MS, 0, on_end_retry, turn);
	return turn->retry != NULL || end_with_others(turn, wait < END_RETRY_MAX_MS ? wait : END_RETRY_MAX_MS);
}

static void ended_ok(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	oc_turn *turn = arg;
	if (turn->state == OC_TURN_OVER) {
		oc_turn_unref(turn);
		return;
	}
	if (status != OC_OK) {
		if (!end_again(turn, status, err))
			oc_turn_close(turn, status, err);
		oc_turn_unref(turn);
		return;
	}
	OC_FAULT_POINT("reply-committed");
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
	oc_turn_close(turn, OC_OK, err);
	oc_turn_unref(turn);
}

/* A reply that cannot be put down is no reason to say that the turn is over: the commit fails and is tried again. */
static void put_row(oc_turn *turn, oc_batch *b, const char *key, const char *run, const cJSON *message)
{
	oc_auto_free char *json = oc_json_print(message);
	if (json != NULL)
		oc_batch_outbox_put(b, key, turn->session, run, oc_json_str(message, "channel", ""),
				    oc_json_str(message, "account", "default"), json);
	else
		oc_batch_spoil(b);
}

/* messages.responsePrefix in front of a text; NULL: nothing is. */
static char *with_prefix(const oc_turn *turn, const char *text)
{
	const char *prefix = oc_config_str(turn->config, "messages.responsePrefix", "");
	oc_auto_free char *own = NULL;
	if (strcmp(prefix, "auto") == 0) {
		const cJSON *entry = oc_agent_entry(turn->config, turn->agent_id);
		const char *name = oc_json_str(oc_json_get(entry, "identity"), "name", oc_json_str(entry, "name", ""));
		own = name[0] != 0 ? oc_asprintf("[%s]", name) : NULL;
		prefix = own != NULL ? own : "";
	}
	return prefix[0] == 0 || strncmp(text, prefix, strlen(prefix)) == 0 ? NULL : oc_asprintf("%s %s", prefix, text);
}

/* The reply's row, when it goes somewhere: what the preview shows is edited into it. Files cannot be edited into a message:
 * after a preview they are a row of their own. */
static void put_reply(oc_turn *turn, oc_batch *b, const char *text)
{
	char *rest = NULL;
	if (turn->deliver == NULL || text[0] == 0 || strcmp(oc_json_str(turn->settings, "sendPolicy", ""), "deny") == 0)
		return;
	oc_auto_json cJSON *message = cJSON_Duplicate(turn->deliver, true), *files = oc_media_attach(turn, text, &rest);
	oc_auto_free char *shown = rest;
	bool edits = oc_preview_message(turn)[0] != 0;
	snprintf(turn->outbox_key, sizeof turn->outbox_key, "run:%s", turn->run);
	oc_json_opt(message, "trace", turn->trace);
	const char *body = shown == NULL ? text : shown[0] == 0 && edits ? "📎" : shown;
	oc_auto_free char *prefixed = body[0] != 0 ? with_prefix(turn, body) : NULL;
	if (!oc_json_set_str(message, "text", prefixed != NULL ? prefixed : body) ||
	    (edits && !oc_json_set_str(message, "editOf", oc_preview_message(turn)))) {
		oc_batch_spoil(b);
		return;
	}
	if (files != NULL && !edits) {
		(void)oc_json_set(message, "media", files);
		files = NULL;
	}
	put_row(turn, b, turn->outbox_key, turn->run, message);
	if (files != NULL) {
		snprintf(turn->files_key, sizeof turn->files_key, "run:%s:files", turn->run);
		cJSON_DeleteItemFromObjectCaseSensitive(message, "editOf");
		(void)oc_json_set_str(message, "text", "");
		(void)oc_json_set(message, "media", files);
		files = NULL;
		put_row(turn, b, turn->files_key, NULL, message); /* the run is over with its text */
	}
}

static void commit_end(oc_turn *turn, bool withheld)
{
	if (turn->state != OC_TURN_ENDING)
		return;
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_err err = {0};
	unsigned long refused = oc_mem_refused();
	turn->end_withheld = withheld;
	if (b != NULL) {
		const char *text = turn->reply.p != NULL ? turn->reply.p : "";
		if (turn->model.ref != NULL && turn->final_content != NULL)
			oc_turn_put_answer(turn, b, turn->final_content, turn->final_text);
		else
			oc_usage_put(turn, b);
		cJSON_Delete(turn->result);
		turn->result = result_json(turn, OC_OK, &err);
		oc_auto_free char *json = oc_json_print(turn->result);
		oc_batch_run_state(b, turn->run, "done", json);
		if (!withheld) {
			oc_auto_free char *more = oc_shown_reply(turn, text);
			oc_shown_put_thoughts(turn, b);
			put_reply(turn, b, more != NULL ? more : text);
		}
		if (refused != oc_mem_refused())
			oc_batch_spoil(b); /* something is missing in it */
	}
	OC_FAULT_POINT("reply-commit");
	oc_turn_ref(turn);
	if (oc_batch_commit(b, ended_ok, turn, &err) != OC_OK) {
		oc_turn_unref(turn);
		if (!end_again(turn, err.code, &err))
			oc_turn_close(turn, err.code, &err);
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
	if (turn->state != OC_TURN_OVER && (status == OC_OK || !end_again(turn, status, err))) {
		if (status != OC_OK)
			oc_log_err(OC_LOG_ERROR, "agent", "the end of a turn could not be written", err);
		else
			kick(turn);
		oc_turn_close(turn, turn->model_err.code, &turn->model_err);
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
	OC_FAULT_POINT("failure-commit");
	oc_status status = turn->model_err.code;
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_err err = {0};
	unsigned long refused = oc_mem_refused();
	if (b != NULL) {
		/* What was said stays, whatever became of the answer. */
		turn->user_late |= turn->failed_running && !turn->user_stored && turn->slash == NULL;
		if (turn->user_late)
			oc_turn_put_user(turn, b);
		oc_take_put(turn, b);
		store_partial(turn, b);
		oc_usage_put(turn, b);
		oc_auto_json cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "code", oc_status_name(status));
		oc_json_opt(data, "message", turn->model_err.text);
		oc_json_opt(data, "trace", turn->trace);
		oc_auto_free char *text = oc_json_print(data);
		oc_batch_event(b, turn->session, status == OC_E_CANCELED ? "state_changed" : "error", turn->run, text);
		oc_auto_json cJSON *result = result_json(turn, status, &turn->model_err);
		oc_auto_free char *json = oc_json_print(result);
		oc_batch_run_state(b, turn->run, run_state_of(status), json);
		if (turn->deliver != NULL && status != OC_E_CANCELED) {
			oc_auto_free char *words = oc_asprintf("⚠️ %s%s%s\n(reference: %.12s)", turn->model_err.text,
							       turn->model_err.remedy[0] != 0 ? "\n" : "",
							       turn->model_err.remedy, turn->trace);
			/* Words that were shown already, or would have been in a moment, stay readable above the error. */
			oc_auto_free char *all = words != NULL && turn->reply.n > 0 && oc_preview_shows(turn)
							 ? oc_asprintf("%s\n\n%s", turn->reply.p, words)
							 : NULL;
			put_reply(turn, b, all != NULL ? all : words != NULL ? words : "⚠️ error");
		}
		if (refused != oc_mem_refused())
			oc_batch_spoil(b);
	}
	oc_turn_ref(turn);
	turn->end_failed = true;
	if (oc_batch_commit(b, ended_badly, turn, &err) != OC_OK) {
		oc_turn_unref(turn);
		if (end_again(turn, err.code, &err))
			return;
		oc_log_err(OC_LOG_ERROR, "agent", "the end of a turn could not be written", &err);
		oc_turn_close(turn, turn->model_err.code, &turn->model_err);
	}
}

static void preview_over_failed(oc_turn *turn)
{
	if (turn->state == OC_TURN_ENDING)
		commit_failure(turn);
}

/* Calls, hooks and timers end; the toolset, which may be what calls, is freed with the turn. */
static void stop_working(oc_turn *turn)
{
	turn->state = OC_TURN_ENDING;
	oc_owner_sweep(turn->owner);
	turn->step.call = NULL;
	turn->deadline = turn->retry = turn->typing = NULL;
}

void oc_turn_fail(oc_turn *turn, oc_status status, const oc_err *err)
{
	if (turn->state == OC_TURN_OVER || turn->state == OC_TURN_ENDING)
		return;
	bool ran = turn->failed_running = turn->state == OC_TURN_RUNNING;
	oc_err copy = err != NULL ? *err : (oc_err){0};
	copy.code = status;
	turn->model_err = copy;
	if (!ran) {
		/* Its lane never gave it a place: it leaves the queue now, or the running count would be wrong. */
		oc_lane_leave(turn);
	}
	stop_working(turn);
	oc_preview_end(turn, preview_over_failed);
}

/* Somebody waits for the answer on a connection that goes away with the gateway: told now, not answered later. */
static bool answers_a_client(const oc_turn *turn)
{
	return turn->deliver == NULL && turn->on_event != NULL;
}

void oc_turn_shelve(oc_turn *turn)
{
	oc_err err = {0};
	bool over = answers_a_client(turn);
	(void)oc_fail(&err, OC_E_RETRY, over ? NULL : "the answer comes when it runs again",
		      "the gateway stopped before this message was worked on");
	if (over) {
		oc_batch *b = oc_batch_new(turn->agent->store);
		if (b != NULL)
			oc_batch_run_state(b, turn->run, "interrupted", NULL);
		oc_turn_store(turn, b);
	}
	oc_turn_close(turn, OC_E_RETRY, &err);
}

static void suspended(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	oc_turn *turn = arg;
	if (status != OC_OK)
		oc_log_err(OC_LOG_ERROR, "agent", "a turn that goes on at the next start could not be noted as such", err);
	if (turn->state != OC_TURN_OVER)
		oc_turn_close(turn, turn->model_err.code, &turn->model_err);
	oc_turn_unref(turn);
}

static void commit_suspension(oc_turn *turn)
{
	if (turn->state != OC_TURN_ENDING)
		return;
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_err err = {0};
	if (b != NULL) {
		oc_batch_run_state(b, turn->run, "suspended", NULL);
		oc_usage_put(turn, b);
	}
	oc_turn_ref(turn);
	if (oc_batch_commit(b, suspended, turn, &err) != OC_OK) {
		/* It is still "running" there, which is as good but for the count of attempts. */
		oc_turn_unref(turn);
		oc_turn_close(turn, turn->model_err.code, &turn->model_err);
	}
}

void oc_turn_suspend(oc_turn *turn)
{
	/* What tools do cannot be taken up again, and an answer to a client that goes has nobody to go to. */
	if (turn->state != OC_TURN_RUNNING || answers_a_client(turn) || turn->toolset != NULL || turn->calls != NULL ||
	    turn->history != NULL || turn->slash != NULL || turn->agent->one_shot) {
		oc_turn_cancel(turn, OC_E_RETRY, "the gateway had to stop before the answer was finished");
		return;
	}
	(void)oc_fail(&turn->model_err, OC_E_RETRY, "the answer comes when the gateway runs again",
		      "the gateway stopped before the answer was finished");
	stop_working(turn);
	oc_preview_end(turn, commit_suspension);
}
