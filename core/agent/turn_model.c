/*
 * Talking to models: one call after the other until there are no more tool calls; tries again, falls back to the next
 * model, completes answers that broke off.
 */
#include <string.h>

#include "core/agent/engine.h"
#include "core/agent/aside.h"
#include "core/agent/budget.h"
#include "core/agent/compact.h"
#include "core/agent/culprits.h"
#include "core/agent/keyring.h"
#include "core/agent/shown.h"
#include "core/agent/take.h"
#include "core/agent/toolrun.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/data/utf8.h"

#define RETRIES_MAX 2	   /* of one model, when it failed before it said anything */
#define CONTINUE_MAX 2	   /* answers that broke off in the middle */
#define SHRINK_MAX 3	   /* halvings of the history when the window is full after all */
#define ARGUMENTS_MAX ((size_t)4 << 20)

/* ---- The request ---- */

static const char *thinking_of(const oc_turn *turn)
{
	const char *level = turn->thinking;
	if (level[0] == 0) {
		const cJSON *own = oc_agent_setting(turn->config, turn->agent_id, "thinkingDefault");
		level = cJSON_IsString(own) ? own->valuestring : "";
	}
	if (strcmp(level, "minimal") == 0)
		return "low";
	return strcmp(level, "xhigh") == 0 ? "high" : level;
}

static void add_member(oc_sbuf *b, const char *name, const char *text)
{
	oc_sbuf_printf(b, ",\"%s\":", name);
	oc_sbuf_json(b, oc_str_of(text));
}

/* agents.defaults.models.<ref>.params: temperature and maxTokens of one model; then agents.defaults. */
static void add_parameters(oc_sbuf *b, const oc_turn *turn)
{
	oc_auto_json cJSON *params = turn->model.params_json[0] != 0 ? cJSON_Parse(turn->model.params_json) : NULL;
	const cJSON *own = oc_json_get(params, "maxTokens"), *heat = oc_json_get(params, "temperature");
	if (own == NULL)
		own = oc_agent_setting(turn->config, turn->agent_id, "maxTokens");
	if (heat == NULL)
		heat = oc_agent_setting(turn->config, turn->agent_id, "temperature");
	int64_t max = turn->max_tokens > 0 ? turn->max_tokens : cJSON_IsNumber(own) ? (int64_t)own->valuedouble : turn->model.max_tokens;
	double temperature = turn->has_temperature ? turn->temperature : cJSON_IsNumber(heat) ? heat->valuedouble : -1;
	if (max > 0)
		oc_sbuf_printf(b, ",\"maxTokens\":%lld", (long long)max);
	if (temperature >= 0)
		oc_sbuf_printf(b, ",\"temperature\":%.17g", temperature);
}

static void write_request(oc_turn *turn, oc_sbuf *b)
{
	const oc_model *m = &turn->model;
	oc_sbuf_char(b, '{');
	oc_model_endpoint(m, b);
	add_member(b, "model", m->id);
	add_member(b, "system", turn->system);
	oc_sbuf_z(b, ",\"messages\":[");
	oc_sbuf_str(b, oc_sbuf_view(&turn->messages));
	oc_sbuf_char(b, ']');
	if (turn->tools_json[0] != 0) {
		oc_sbuf_z(b, ",\"tools\":");
		oc_sbuf_z(b, turn->tools_json);
	}
	add_parameters(b, turn);
	const char *thinking = thinking_of(turn);
	if (thinking[0] != 0)
		add_member(b, "thinking", thinking);
	oc_sbuf_char(b, '}');
}

/* ---- What arrives ---- */

static void flush_text(oc_turn_step *step)
{
	if (step->text.n == 0)
		return;
	cJSON *part = cJSON_CreateObject();
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", step->text.p);
	if (part == NULL || !cJSON_AddItemToArray(step->content, part))
		cJSON_Delete(part);
	oc_sbuf_clear(&step->text);
}

static void add_text(oc_turn *turn, oc_str piece)
{
	oc_turn_step *step = &turn->step;
	if (piece.n == 0)
		return;
	oc_sbuf_str(&step->text, piece);
	if (turn->aside != NULL)
		return;
	if (step->new_segment && turn->reply.n > 0) {
		oc_sbuf_z(&turn->reply, "\n\n");
		if (!turn->hold_text)
			oc_turn_emit(turn, OC_AGENT_EV_TEXT, OC_STR("\n\n"), NULL);
	}
	step->new_segment = false;
	oc_sbuf_str(&turn->reply, piece);
	if (turn->hold_text)
		return;
	step->streamed = true;
	oc_turn_emit(turn, OC_AGENT_EV_TEXT, piece, NULL);
	if (turn->state == OC_TURN_RUNNING)
		oc_preview_text(turn);
}

static void add_call(oc_turn *turn, oc_str payload)
{
	oc_turn_step *step = &turn->step;
	static const oc_json_limits limits = {.max_bytes = ARGUMENTS_MAX};
	oc_auto_json cJSON *call = NULL;
	oc_err err = {0};
	if (step->n_calls >= OC_TURN_CALLS_MAX)
		return;
	if (oc_json_parse(payload, &limits, &call, &err) != OC_OK || oc_json_str(call, "name", "")[0] == 0) {
		oc_warn("agent", "%s sent a tool call that cannot be read: %s", turn->model.ref, err.text);
		return;
	}
	flush_text(step);
	/* The calls of one answer are told apart by their ids, which some servers leave out. */
	if (oc_json_str(call, "id", "")[0] == 0) {
		char id[32];
		snprintf(id, sizeof id, "call_%u_%d", turn->iterations, step->n_calls);
		(void)oc_json_set_str(call, "id", id);
	}
	(void)oc_json_set_str(call, "type", "tool_call");
	if (!cJSON_IsObject(oc_json_get(call, "arguments")))
		(void)oc_json_set(call, "arguments", cJSON_CreateObject());
	if (cJSON_AddItemToArray(step->content, call)) {
		call = NULL;
		step->n_calls++;
	}
}

static void add_block(oc_turn *turn, oc_str payload)
{
	oc_auto_json cJSON *block = NULL;
	if (oc_json_parse(payload, NULL, &block, NULL) != OC_OK || !cJSON_IsObject(block))
		return;
	flush_text(&turn->step);
	if (cJSON_AddItemToArray(turn->step.content, block))
		block = NULL;
}

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	oc_turn *turn = arg;
	if (turn->state != OC_TURN_RUNNING)
		return OC_OK;
	unsigned long refused = oc_mem_refused();
	if (!turn->step.first_seen && (type == OC_EV_TEXT || type == OC_EV_THINKING || type == OC_EV_TOOL_CALL)) {
		turn->step.first_seen = true;
		oc_hist_add_ns(&turn->agent->timing.first_token, oc_now_ns() - turn->step.began_ns);
	}
	switch (type) {
	case OC_EV_TEXT:
		add_text(turn, payload);
		break;
	case OC_EV_THINKING:
		if (turn->aside == NULL) {
			oc_shown_thinking(turn, payload);
			oc_turn_emit(turn, OC_AGENT_EV_THINKING, payload, NULL);
		}
		break;
	case OC_EV_TOOL_CALL:
		add_call(turn, payload);
		break;
	case OC_EV_USAGE:
		oc_usage_read(payload, &turn->step.usage);
		break;
	case OC_EV_BLOCK:
		add_block(turn, payload);
		break;
	default:
		break;
	}
	/* Half an answer must not pass for a whole one. */
	turn->step.spoiled |= refused != oc_mem_refused();
	return OC_OK;
}

/* ---- The answer is complete ---- */

char *oc_turn_text_of_parts(const cJSON *content)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_TEXT_MAX * 2);
	const cJSON *part;
	cJSON_ArrayForEach(part, content)
	{
		if (strcmp(oc_json_str(part, "type", ""), "text") == 0)
			oc_sbuf_z(&b, oc_json_str(part, "text", ""));
	}
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}

/* Half an answer that was completed by this one belongs before it. */
static void prepend_partial(oc_turn *turn, cJSON *content)
{
	for (const oc_turn_message *m = turn->own; m != NULL; m = m->next) {
		if (!m->transient || strcmp(m->role, "assistant") != 0)
			continue;
		oc_auto_json cJSON *half = cJSON_Parse(m->content_json);
		oc_auto_free char *before = oc_turn_text_of_parts(half);
		cJSON *first = content->child;
		if (before != NULL && strcmp(oc_json_str(first, "type", ""), "text") == 0) {
			oc_auto_free char *both = oc_asprintf("%s%s", before, oc_json_str(first, "text", ""));
			if (both != NULL)
				(void)oc_json_set_str(first, "text", both);
		} else if (before != NULL && before[0] != 0) {
			cJSON *part = cJSON_CreateObject();
			(void)oc_json_set_str(part, "type", "text");
			(void)oc_json_set_str(part, "text", before);
			if (part == NULL || !cJSON_InsertItemInArray(content, 0, part))
				cJSON_Delete(part);
		}
	}
	oc_context_drop_transient(turn);
}

void oc_turn_put_answer(oc_turn *turn, oc_batch *b, const char *content_json, const char *text)
{
	oc_auto_free char *meta = oc_usage_meta(turn);
	oc_batch_message(b, turn->session, "agent_response",
			 &(oc_message){.role = "assistant", .content_json = content_json, .text = text, .run = turn->run,
				       .model = turn->model.ref, .meta_json = meta,
				       .tokens = oc_tokens_of(oc_str_of(content_json))});
	oc_usage_put(turn, b);
}

static void out_of_memory(oc_turn *turn)
{
	oc_err err = {0};
	(void)oc_fail(&err, OC_E_NOMEM, NULL, "the answer needs more memory than there is");
	oc_turn_fail(turn, OC_E_NOMEM, &err);
}

void oc_turn_run_calls(oc_turn *turn)
{
	oc_auto_json cJSON *content = turn->calls;
	turn->calls = NULL;
	oc_toolset_run(turn, content);
}

/* The answer is written down (stored; NULL: a hook keeps it out of the history), then its calls run: after the commit, so
 * that after a crash it is known what may have happened. */
static void run_calls(oc_turn *turn, const char *stored)
{
	oc_auto_json cJSON *kept = stored != NULL ? cJSON_Parse(stored) : NULL;
	oc_auto_free char *text = oc_turn_text_of_parts(kept);
	cJSON_Delete(turn->calls);
	turn->calls = cJSON_Parse(turn->calls_json);
	if (turn->calls == NULL || text == NULL || (stored != NULL && kept == NULL)) {
		out_of_memory(turn);
		return;
	}
	if (stored == NULL) {
		oc_turn_run_calls(turn);
		return;
	}
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_turn_put_answer(turn, b, stored, text);
	turn->owed = (oc_usage){0};
	oc_turn_store_then(turn, b, oc_turn_run_calls);
}

/* Tools are asked for. */
static void with_tools(oc_turn *turn, const cJSON *content)
{
	oc_auto_free char *json = oc_json_print(content), *text = oc_turn_text_of_parts(content);
	if (json == NULL || text == NULL ||
	    oc_context_add(turn, "assistant", json, turn->model.ref, NULL, NULL, false) == NULL) {
		out_of_memory(turn);
		return;
	}
	turn->calls_json = oc_turn_text(turn, json);
	oc_turn_model_said(turn, json, text);
	if (!oc_turn_before_write(turn, run_calls))
		run_calls(turn, turn->calls_json);
}

/* The answer is there, but more was said meanwhile: it is part of the conversation, and the model goes on. */
static bool steered_on(oc_turn *turn, const char *json, const char *text)
{
	if (!oc_take_steering_waits(turn) ||
	    oc_context_add(turn, "assistant", json, turn->model.ref, NULL, NULL, false) == NULL)
		return false;
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_turn_put_answer(turn, b, json, text);
	turn->owed = (oc_usage){0};
	oc_turn_store(turn, b);
	(void)oc_take_steering(turn);
	if (turn->state == OC_TURN_RUNNING)
		oc_turn_call_model(turn);
	return true;
}

static void without_tools(oc_turn *turn, cJSON *content)
{
	oc_auto_free char *json = oc_json_print(content), *text = oc_turn_text_of_parts(content);
	if (json == NULL || text == NULL) {
		out_of_memory(turn);
		return;
	}
	if (oc_str_trim(oc_str_of(text)).n == 0 && oc_str_trim(oc_sbuf_view(&turn->reply)).n == 0) {
		oc_sbuf_clear(&turn->reply);
		/* Happens; asking once more nearly always helps. */
		if (turn->empty++ == 0 && strcmp(turn->stop_reason, "refusal") != 0) {
			oc_turn_notice(turn, "empty", "%s gave an empty answer; asking again", turn->model.ref);
			oc_turn_call_model(turn);
			return;
		}
		oc_err err = {0};
		bool refused = strcmp(turn->stop_reason, "refusal") == 0;
		(void)oc_fail(&err, refused ? OC_E_BLOCKED : OC_E_PROTOCOL, "ask in another way, or use another model",
			      refused ? "%s declined to answer" : "%s gave an empty answer", turn->model.ref);
		oc_turn_fail(turn, err.code, &err);
		return;
	}
	oc_turn_model_said(turn, json, text);
	if (steered_on(turn, json, text))
		return;
	turn->final_content = oc_turn_text(turn, json);
	turn->final_text = oc_turn_text(turn, text);
	if (strcmp(turn->stop_reason, "length") == 0)
		oc_turn_notice(turn, "length", "the answer reached the model's limit and ends early");
	oc_turn_succeed(turn);
}

/* What the call cost; and what our estimates are worth. */
static void count_usage(oc_turn *turn)
{
	const oc_usage *u = &turn->step.usage;
	oc_budget_learn(turn->agent, turn->model.ref, turn->request_tokens, u->input + u->cache_read + u->cache_write);
	oc_usage_add(turn, u);
}

static void answered(oc_turn *turn, oc_str result)
{
	oc_auto_json cJSON *root = NULL;
	oc_auto_json cJSON *content = turn->step.content;
	unsigned long refused = oc_mem_refused();
	turn->step.content = NULL;
	OC_FAULT_POINT("model-answered");
	if (oc_json_parse(result, NULL, &root, NULL) == OC_OK)
		turn->stop_reason = oc_turn_text(turn, oc_json_str(root, "stopReason", "stop"));
	oc_model_worked(turn->agent, turn->model.ref);
	oc_keyring_worked(turn->agent, &turn->model);
	count_usage(turn);
	if (turn->state != OC_TURN_RUNNING || turn->aside != NULL)
		oc_usage_settle(turn);
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (turn->aside != NULL) {
		oc_aside_answered(turn, content, turn->step.n_calls);
		return;
	}
	prepend_partial(turn, content);
	if (turn->step.spoiled || refused != oc_mem_refused()) {
		out_of_memory(turn);
		return;
	}
	turn->attempts = 0;
	turn->model_failures = NULL;
	if (turn->step.n_calls > 0)
		with_tools(turn, content);
	else
		without_tools(turn, content);
}

/* ---- The answer failed ---- */

static void on_retry(void *arg)
{
	oc_turn *turn = arg;
	oc_watch_end(turn->retry);
	turn->retry = NULL;
	oc_turn_call_model(turn);
}

static bool retry_later(oc_turn *turn, uint64_t after_ms)
{
	uint64_t wait = oc_model_backoff_ms(turn->attempts, after_ms);
	if (wait > OC_MODEL_WAIT_MAX_MS || wait >= oc_turn_remaining(turn))
		return false;
	turn->retry = oc_timer_start(turn->owner, wait, 0, on_retry, turn);
	return turn->retry != NULL;
}

/* One more model that failed, or could not even be asked. */
static void note_failure(oc_turn *turn, const char *ref, const char *text)
{
	const char *before = turn->model_failures;
	const char *name = strstr(text, ref) == NULL ? ref : "";
	int n = (int)oc_utf8_cut(oc_str_of(text), 160);
	const char *all = oc_arena_printf(turn->arena, "%s%s%s%s%.*s", before != NULL ? before : "", before != NULL ? "; " : "", name,
					  name[0] != 0 ? ": " : "", n, text);
	turn->model_failures = all != NULL ? all : before;
}

static void next_candidate(oc_turn *turn, uint64_t retry_after_ms)
{
	oc_err err = {0}, last = turn->model_err;
	note_failure(turn, turn->model.ref, last.text);
	if (turn->model.profile == NULL || !oc_keyring_blames_key(last.code))
		oc_model_failed(turn->agent, turn->model.ref, last.code, retry_after_ms);
	if (turn->candidate + 1 >= turn->n_candidates || oc_turn_use_model(turn, turn->candidate + 1, &err) != OC_OK) {
		if (err.text[0] != 0)
			note_failure(turn, turn->candidates[turn->candidate + 1], err.text);
		for (size_t i = 0; turn->model_failures != NULL && i < turn->n_candidates; i++)
			if (strstr(turn->model_failures, turn->candidates[i]) == NULL)
				note_failure(turn, turn->candidates[i], "not asked, it failed before and rests");
		if (turn->n_candidates > 1 && turn->model_failures != NULL)
			(void)oc_fail(&err, last.code, last.remedy, "no model answered: %s", turn->model_failures);
		else
			err = last;
		oc_turn_fail(turn, last.code, &err);
		return;
	}
	turn->agent->stats.model_fallbacks++;
	oc_turn_notice(turn, "fallback", "%.300s; going on with %s", last.text, turn->model.ref);
	if (turn->state == OC_TURN_RUNNING)
		oc_turn_call_model(turn);
}

/* How often the same model is asked again.  Silence has cost its time already: another model comes first; without one it is
 * asked once more, when there is as much time left. */
static unsigned retries_of(const oc_turn *turn, oc_status status, uint64_t retry_after_ms)
{
	if (status != OC_E_TIMEOUT || retry_after_ms > 0)
		return RETRIES_MAX;
	uint64_t took = (oc_now_ns() - turn->step.began_ns) / 1000000;
	return turn->candidate + 1 >= turn->n_candidates && oc_turn_remaining(turn) > took ? 1 : 0;
}

/* The key was refused or is used up: the same call with another one, when there is one that does not rest. */
static bool other_key(oc_turn *turn)
{
	oc_model with = turn->model;
	if (with.profile == NULL || turn->profile != NULL ||
	    !oc_keyring_choose(turn->agent, turn->arena, turn->agent_id, turn->session, NULL, &with) ||
	    strcmp(with.secret, turn->model.secret) == 0)
		return false;
	turn->agent->stats.model_key_changes++;
	oc_turn_notice(turn, "key", "%.300s; going on with the key %s", turn->model_err.text, with.profile);
	turn->model = with;
	if (turn->state == OC_TURN_RUNNING)
		oc_turn_call_model(turn);
	return true;
}

/* Something was shown already: what is there stays, and a model is asked to go on from it. */
static void continue_answer(oc_turn *turn)
{
	oc_turn_step *step = &turn->step;
	oc_auto_json cJSON *content = step->content;
	step->content = NULL;
	for (cJSON *part = content->child, *next; part != NULL; part = next) {
		next = part->next;
		if (strcmp(oc_json_str(part, "type", ""), "text") != 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(content, part));
	}
	prepend_partial(turn, content); /* it may have broken off before */
	oc_auto_free char *json = oc_json_print(content);
	oc_turn_message *half = json != NULL ? oc_context_add(turn, "assistant", json, turn->model.ref, NULL, NULL, false) : NULL;
	oc_turn_message *hint =
		half != NULL ? oc_context_add(turn, "user",
					      "[{\"type\":\"text\",\"text\":\"[Your answer was cut off by a broken connection. Go on "
					      "exactly where it stopped, without repeating anything and without a remark.]\"}]",
					      NULL, NULL, NULL, false)
			     : NULL;
	if (hint == NULL) {
		out_of_memory(turn);
		return;
	}
	half->transient = hint->transient = true;
	turn->continued++;
	oc_turn_notice(turn, "continued", "the connection to %s broke in the middle of the answer; continuing it",
		       turn->model.ref);
	if (turn->state == OC_TURN_RUNNING && !retry_later(turn, 0))
		oc_turn_fail(turn, turn->model_err.code, &turn->model_err);
}

static void failed(oc_turn *turn, oc_status status, uint64_t retry_after_ms)
{
	oc_turn_step *step = &turn->step;
	turn->agent->stats.model_errors++;
	if (step->usage.output > 0 || step->usage.input > 0) {
		count_usage(turn); /* it was paid for */
		oc_usage_settle(turn);
	}
	oc_keyring_failed(turn->agent, &turn->model, status, retry_after_ms);
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (turn->aside != NULL) {
		oc_aside_failed(turn, status, &turn->model_err);
		return;
	}
	if (status == OC_E_CONTEXT && !step->streamed && oc_compact_after_overflow(turn))
		return;
	if (status == OC_E_CONTEXT && !step->streamed && turn->shrunk < SHRINK_MAX && turn->history_bytes > 0) {
		/* Of what was sent: where the window is smaller than it is said to be, half of that window may be more. */
		turn->history_most = turn->history_tokens / 2;
		turn->shrunk++;
		turn->messages_model = turn->history_model = NULL;
		oc_turn_notice(turn, "context", "the context of %s is full; leaving out older messages", turn->model.ref);
		if (turn->state == OC_TURN_RUNNING)
			oc_turn_call_model(turn);
		return;
	}
	flush_text(step);
	if (step->streamed && oc_model_worth_retrying(status)) {
		if (turn->continued < CONTINUE_MAX)
			continue_answer(turn);
		else
			oc_turn_fail(turn, status, &turn->model_err);
		return;
	}
	if (!step->streamed && oc_keyring_blames_key(status) && other_key(turn))
		return;
	if (!step->streamed && oc_model_worth_retrying(status) && turn->attempts < retries_of(turn, status, retry_after_ms) &&
	    retry_later(turn, retry_after_ms)) {
		turn->attempts++;
		turn->agent->stats.model_retries++;
		oc_turn_notice(turn, "retry", "%.300s; trying again", turn->model_err.text);
		return;
	}
	if (step->streamed) {
		/* A model that refused in the middle of its own words: another one cannot finish them honestly. */
		oc_turn_fail(turn, status, &turn->model_err);
		return;
	}
	next_candidate(turn, retry_after_ms);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	oc_turn_step *step = &turn->step;
	step->call = NULL;
	if (turn->state != OC_TURN_RUNNING)
		return;
	oc_hist_add_ns(&turn->agent->timing.model, oc_now_ns() - step->began_ns);
	oc_culprit_note(turn->agent, "model", turn->model.ref, oc_now_ns() - step->began_ns);
	oc_debug("model", "%s: %s after %llu ms", turn->model.ref, status == OC_OK ? "answered" : oc_status_text(status),
		 (unsigned long long)((oc_now_ns() - step->began_ns) / 1000000));
	if (status == OC_OK && (step->text.error != OC_OK || turn->reply.error != OC_OK)) {
		oc_err err = {0};
		(void)oc_fail(&err, OC_E_LIMIT, "ask for less at once", "the answer is longer than %d bytes", OC_TURN_TEXT_MAX);
		oc_turn_fail(turn, OC_E_LIMIT, &err);
		return;
	}
	if (status == OC_OK) {
		flush_text(step);
		answered(turn, result);
		return;
	}
	uint64_t retry_after_ms = 0;
	turn->model_err = (oc_err){0};
	oc_call_error(status, result, &turn->model_err, &retry_after_ms);
	if (strstr(turn->model_err.text, turn->model.provider) == NULL) /* most modules name the place themselves */
		oc_err_prefix(&turn->model_err, "%s", turn->model.ref);
	if (!step->streamed && turn->reply.n > step->reply_start) {
		/* Held back: nobody saw it. */
		turn->reply.n = step->reply_start;
		turn->reply.p[turn->reply.n] = 0;
		oc_sbuf_clear(&step->text);
	}
	failed(turn, status, retry_after_ms);
}

/* ---- Calling ---- */

static bool is_continuation(const oc_turn *turn)
{
	for (const oc_turn_message *m = turn->own; m != NULL; m = m->next)
		if (m->transient)
			return true;
	return false;
}

static oc_status begin_step(oc_turn *turn, oc_err *err)
{
	oc_turn_step *step = &turn->step;
	if (turn->store_status != OC_OK) {
		*err = turn->store_err;
		return turn->store_status;
	}
	if (turn->iterations++ >= OC_TURN_ITERATIONS_MAX)
		return oc_fail(err, OC_E_LIMIT, "ask for a smaller piece of the work", "the turn needed more than %d model calls",
			       OC_TURN_ITERATIONS_MAX);
	oc_usage_settle(turn);
	cJSON_Delete(step->content);
	step->content = cJSON_CreateArray();
	oc_sbuf_clear(&step->text);
	step->n_calls = 0;
	step->usage = (oc_usage){0};
	step->streamed = false;
	step->new_segment = !is_continuation(turn);
	step->reply_start = turn->reply.n;
	step->began_ns = oc_now_ns();
	step->began_ms = step->began_ns / 1000000;
	step->first_seen = step->spoiled = false;
	return step->content != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot call the model");
}

void oc_turn_call_model(oc_turn *turn)
{
	OC_TRACE(turn->trace);
	oc_err err = {0};
	oc_sbuf request;
	oc_sbuf_init(&request, OC_TURN_REQUEST_MAX);
	oc_status status = turn->messages_model == NULL ? oc_context_build(turn, &err) : OC_OK;
	if (status == OC_OK && oc_compact_if_due(turn))
		return;
	if (status == OC_OK && oc_turn_input_hooks(turn))
		return;
	if (status == OC_OK)
		status = begin_step(turn, &err);
	if (status == OC_OK) {
		write_request(turn, &request);
		if (request.error != OC_OK)
			status = oc_fail(&err, request.error, "start anew with /new", "the request to the model is too large");
	}
	if (status == OC_OK) {
		oc_call_options options = {.deadline_ms = oc_turn_remaining(turn) + 1000, .owner = turn->owner,
					   .on_event = on_event, .on_done = on_done, .arg = turn};
		turn->agent->stats.model_calls++;
		OC_FAULT_POINT("model-call");
		status = oc_provider_chat(oc_model_guest(turn->agent, &turn->model), oc_sbuf_view(&request), &options,
					  &turn->step.call);
		if (status != OC_OK)
			(void)oc_fail(&err, status, "see `openclaw module list`", "%s cannot be called: %s", turn->model.ref,
				      oc_status_text(status));
	}
	oc_sbuf_free(&request);
	if (status == OC_OK)
		return;
	turn->model_err = err;
	if (turn->aside != NULL)
		oc_aside_failed(turn, status, &err);
	else if (status == OC_E_UNAVAILABLE || status == OC_E_CONTEXT)
		next_candidate(turn, 0);
	else
		oc_turn_fail(turn, status, &err);
}
