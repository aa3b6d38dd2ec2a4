/*
 * The points where hooks take part in a turn.  Each point is a row: what to fire, with which payload, what its result
 * changes.  A hook that nobody subscribed costs a look into a table.
 */
#include <string.h>

#include "core/agent/transcript.h"
#include "core/agent/turn.h"
#include "core/base/clock.h"

/* ---- Payloads ---- */

static cJSON *base(const oc_turn *turn)
{
	cJSON *o = cJSON_CreateObject(), *ctx = cJSON_AddObjectToObject(o, "ctx");
	const char *channel = oc_turn_channel(turn);
	oc_json_opt(o, "run", turn->run);
	oc_json_opt(o, "session", turn->session);
	oc_json_opt(o, "agent", turn->agent_id);
	oc_json_opt(o, "origin", turn->origin);
	oc_json_opt(o, "channel", channel);
	oc_json_opt(o, "trace", turn->trace);
	oc_json_opt(ctx, "runId", turn->run);
	oc_json_opt(ctx, "traceId", turn->trace);
	oc_json_opt(ctx, "agentId", turn->agent_id);
	oc_json_opt(ctx, "sessionKey", turn->session);
	oc_json_opt(ctx, "workspaceDir", turn->workspace);
	oc_json_opt(ctx, "messageProvider", channel);
	oc_json_opt(ctx, "channelId", channel);
	oc_json_opt(ctx, "accountId", oc_json_str(turn->deliver, "account", NULL));
	oc_json_opt(ctx, "conversationId", oc_json_str(turn->deliver, "to", NULL));
	return o;
}

static cJSON *with_message(const oc_turn *turn)
{
	cJSON *o = base(turn);
	(void)oc_json_set_str(o, "text", turn->text);
	(void)oc_json_set_str(o, "content", turn->text);
	if (turn->sender != NULL)
		(void)oc_json_set(o, "sender", cJSON_Duplicate(turn->sender, true));
	oc_json_opt(o, "from", oc_json_str(turn->sender, "id", turn->origin));
	if (turn->media != NULL)
		(void)oc_json_set(o, "media", cJSON_Duplicate(turn->media, true));
	return o;
}

static cJSON *with_prompt(const oc_turn *turn)
{
	cJSON *o = base(turn), *history = NULL;
	(void)oc_json_set_str(o, "prompt", turn->text);
	if (oc_store_history(turn->agent->store, turn->session, NULL, &history, NULL) == OC_OK)
		(void)oc_json_set(o, "messages", oc_transcript_list(history));
	return o;
}

static cJSON *with_prompt_only(const oc_turn *turn)
{
	cJSON *o = base(turn);
	(void)oc_json_set_str(o, "prompt", turn->text);
	return o;
}

static cJSON *with_session(const oc_turn *turn)
{
	cJSON *o = base(turn), *s = NULL;
	if (oc_store_session(turn->agent->store, turn->session, &s, NULL) == OC_OK) {
		oc_json_opt(o, "sessionId", oc_json_str(s, "sessionId", NULL));
		oc_json_opt(cJSON_GetObjectItemCaseSensitive(o, "ctx"), "sessionId", oc_json_str(s, "sessionId", NULL));
		cJSON_Delete(s);
	}
	return o;
}

cJSON *oc_turn_session_payload(const oc_turn *turn)
{
	return with_session(turn);
}

static cJSON *with_reply(const oc_turn *turn)
{
	cJSON *o = base(turn);
	const char *text = turn->reply.p != NULL ? turn->reply.p : "";
	(void)oc_json_set_str(o, "text", text);
	oc_json_opt(o, "provider", turn->model.provider);
	oc_json_opt(o, "model", turn->model.id);
	oc_json_opt(o, "stopReason", turn->stop_reason);
	return o;
}

static cJSON *with_output(const oc_turn *turn)
{
	cJSON *o = with_reply(turn), *texts = cJSON_AddArrayToObject(o, "assistantTexts");
	oc_json_opt(o, "runId", turn->run);
	cJSON_AddItemToArray(texts, cJSON_CreateString(turn->reply.p != NULL ? turn->reply.p : ""));
	(void)oc_json_set(o, "usage", oc_usage_json(&turn->usage));
	return o;
}

cJSON *oc_turn_input_payload(const oc_turn *turn)
{
	cJSON *o = with_prompt(turn);
	oc_json_opt(o, "runId", turn->run);
	oc_json_opt(o, "provider", turn->model.provider);
	oc_json_opt(o, "model", turn->model.id);
	oc_json_opt(o, "systemPrompt", turn->system);
	cJSON *history = cJSON_DetachItemFromObjectCaseSensitive(o, "messages");
	if (history != NULL)
		(void)oc_json_set(o, "historyMessages", history);
	return o;
}

static cJSON *with_sending(const oc_turn *turn)
{
	cJSON *o = base(turn);
	oc_json_opt(o, "to", oc_json_str(turn->deliver, "to", NULL));
	(void)oc_json_set_str(o, "content", turn->reply.p != NULL ? turn->reply.p : "");
	return o;
}

/* An answer of the model, as it would be written. */
static cJSON *with_answer(const oc_turn *turn, const char *content_json)
{
	oc_auto_json cJSON *content = cJSON_Parse(content_json);
	cJSON *o = base(turn), *message = oc_transcript_message("assistant", content, oc_wall_ms());
	oc_json_opt(message, "api", turn->model.api);
	oc_json_opt(message, "provider", turn->model.provider);
	oc_json_opt(message, "model", turn->model.id);
	oc_json_opt(message, "stopReason", turn->stop_reason != NULL && strcmp(turn->stop_reason, "tool_use") == 0 ? "toolUse" : turn->stop_reason);
	(void)oc_json_set(o, "message", message);
	return o;
}

static cJSON *with_final(const oc_turn *turn)
{
	return with_answer(turn, turn->final_content);
}

static cJSON *with_user(const oc_turn *turn)
{
	oc_auto_free char *json = oc_context_user_content((oc_turn *)turn, true);
	oc_auto_json cJSON *content = json != NULL ? cJSON_Parse(json) : NULL;
	cJSON *o = base(turn);
	(void)oc_json_set(o, "message", oc_transcript_message("user", content, oc_wall_ms()));
	return o;
}

/* ---- Effects ---- */

/* Takes a text of the result into *field, in the turn's memory. */
static void take(oc_turn *turn, const cJSON *changes, const char *name, const char **field)
{
	const char *text = oc_json_str(changes, name, NULL);
	if (text != NULL)
		*field = oc_turn_text(turn, text);
}

static void join(oc_turn *turn, const cJSON *changes, const char *name, const char **field)
{
	const char *text = oc_json_str(changes, name, "");
	if (text[0] == 0)
		return;
	oc_auto_free char *both = (*field)[0] != 0 ? oc_asprintf("%s\n\n%s", *field, text) : NULL;
	*field = oc_turn_text(turn, both != NULL ? both : text);
}

/* Somebody else answers: the turn ends with that answer, or with none. */
static bool claim(oc_turn *turn, const oc_hook_result *result, const char *member)
{
	if (!result->claimed)
		return false;
	oc_sbuf_clear(&turn->reply);
	/* A text, or an object with one: {"text"}. */
	const cJSON *reply = oc_json_get(result->changes, member);
	oc_sbuf_z(&turn->reply, cJSON_IsString(reply) ? reply->valuestring : oc_json_str(reply, "text", ""));
	turn->stop_reason = "claimed";
	return true;
}

static bool on_session(oc_turn *turn, const oc_hook_result *result)
{
	join(turn, result->changes, "context", &turn->hook_before);
	return true;
}

static bool on_claim(oc_turn *turn, const oc_hook_result *result)
{
	return !claim(turn, result, "reply");
}

/* before_dispatch has its reply in "text", and nothing else to say. */
static bool on_dispatch(oc_turn *turn, const oc_hook_result *result)
{
	return !claim(turn, result, "text");
}

static bool on_message(oc_turn *turn, const oc_hook_result *result)
{
	if (claim(turn, result, "reply"))
		return false;
	take(turn, result->changes, "text", &turn->text);
	if (oc_json_get(result->changes, "model") != NULL)
		turn->model_strict = false;
	take(turn, result->changes, "model", &turn->model_override);
	join(turn, result->changes, "context", &turn->hook_before);
	return true;
}

static bool on_model(oc_turn *turn, const oc_hook_result *result)
{
	const char *model = oc_json_str(result->changes, "modelOverride", "");
	const char *provider = oc_json_str(result->changes, "providerOverride", "");
	if (model[0] == 0)
		return true;
	oc_auto_free char *ref = provider[0] != 0 ? oc_asprintf("%s/%s", provider, model) : NULL;
	turn->model_override = oc_turn_text(turn, ref != NULL ? ref : model);
	turn->model_strict = false;
	return true;
}

static bool on_prompt(oc_turn *turn, const oc_hook_result *result)
{
	const cJSON *c = result->changes, *allow = oc_json_get(c, "toolsAllow");
	take(turn, c, "systemPrompt", &turn->hook_system);
	join(turn, c, "prependContext", &turn->hook_before);
	join(turn, c, "appendContext", &turn->hook_after);
	join(turn, c, "prependSystemContext", &turn->hook_system_before);
	join(turn, c, "appendSystemContext", &turn->hook_system_after);
	if (cJSON_IsArray(allow)) {
		cJSON_Delete(turn->hook_tools_allow);
		turn->hook_tools_allow = cJSON_Duplicate(allow, true);
	}
	return on_model(turn, result);
}

static bool replace_reply(oc_turn *turn, const char *text)
{
	if (text == NULL || strcmp(text, turn->reply.p != NULL ? turn->reply.p : "") == 0)
		return true;
	oc_sbuf_clear(&turn->reply);
	oc_sbuf_z(&turn->reply, text);
	/* The history has what was said, not what was meant to be said. */
	if (turn->final_content == NULL)
		return true;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_TEXT_MAX * 7);
	oc_sbuf_z(&b, "[{\"type\":\"text\",\"text\":");
	oc_sbuf_json(&b, oc_str_of(text));
	oc_sbuf_z(&b, "}]");
	if (b.error == OC_OK) {
		turn->final_content = oc_turn_text(turn, b.p);
		turn->final_text = oc_turn_text(turn, text);
	}
	oc_sbuf_free(&b);
	return true;
}

static bool on_reply(oc_turn *turn, const oc_hook_result *result)
{
	turn->withheld |= result->blocked;
	return replace_reply(turn, oc_json_str(result->changes, "text", NULL));
}

static bool on_sending(oc_turn *turn, const oc_hook_result *result)
{
	turn->withheld |= result->blocked;
	const char *text = oc_json_str(result->changes, "content", NULL);
	if (text != NULL) {
		/* Only what is sent changes, as in the original. */
		oc_sbuf_clear(&turn->reply);
		oc_sbuf_z(&turn->reply, text);
	}
	return true;
}

/* The message as the history gets it, and its text, in the turn's memory; false: unchanged. */
static bool rewritten(oc_turn *turn, const oc_hook_result *result, const char **ret_json, const char **ret_text)
{
	oc_auto_json cJSON *content = oc_transcript_content(oc_json_get(result->changes, "message"));
	oc_auto_free char *json = content != NULL ? oc_json_print(content) : NULL;
	oc_auto_free char *text = json != NULL ? oc_turn_text_of_parts(content) : NULL;
	if (text == NULL)
		return false;
	*ret_json = oc_turn_text(turn, json);
	*ret_text = oc_turn_text(turn, text);
	return true;
}

static bool on_final(oc_turn *turn, const oc_hook_result *result)
{
	if (result->blocked)
		turn->final_content = NULL;
	else
		(void)rewritten(turn, result, &turn->final_content, &turn->final_text);
	return true;
}

static bool on_user(oc_turn *turn, const oc_hook_result *result)
{
	turn->user_unwritten = result->blocked;
	(void)rewritten(turn, result, &turn->user_content, &turn->user_text);
	return true;
}

static void answer_written(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	const char *json = turn->calls_json, *text;
	(void)rewritten(turn, result, &json, &text);
	turn->write_next(turn, result->blocked ? NULL : json);
}

bool oc_turn_before_write(oc_turn *turn, void (*next)(oc_turn *turn, const char *content_json_or_null))
{
	oc_hooks *hooks = turn->agent->hooks;
	turn->write_next = next;
	return oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) &&
	       oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, with_answer(turn, turn->calls_json), turn->owner, answer_written,
			     turn) == OC_OK;
}

/* ---- The points ---- */

typedef struct point {
	oc_hook_id hook;
	cJSON *(*payload)(const oc_turn *turn);
	bool (*apply)(oc_turn *turn, const oc_hook_result *result); /* NULL: an observer; false: the turn is claimed */
	bool (*when)(const oc_turn *turn); /* NULL: always */
} point;

static bool if_began(const oc_turn *turn)
{
	return turn->began_session;
}

static bool if_deliver(const oc_turn *turn)
{
	return turn->deliver != NULL && turn->reply.n > 0;
}

static bool if_model(const oc_turn *turn)
{
	return turn->usage.calls > 0; /* not for commands and claimed messages */
}

static bool if_final(const oc_turn *turn)
{
	return turn->final_content != NULL;
}

static const point before[] = {
	{OC_HOOK_MESSAGE_RECEIVED, with_message, NULL, NULL},
	{OC_HOOK_SESSION_START, with_session, on_session, if_began},
	{OC_HOOK_TS_SESSION_START, with_session, NULL, if_began},
	{OC_HOOK_INBOUND_CLAIM, with_message, on_claim, NULL},
	{OC_HOOK_BEFORE_MESSAGE, with_message, on_message, NULL},
	{OC_HOOK_BEFORE_DISPATCH, with_message, on_dispatch, NULL},
	{OC_HOOK_BEFORE_MODEL_RESOLVE, with_prompt_only, on_model, NULL},
	{OC_HOOK_BEFORE_PROMPT_BUILD, with_prompt, on_prompt, NULL},
	{OC_HOOK_BEFORE_AGENT_START, with_prompt, on_prompt, NULL},
	{OC_HOOK_BEFORE_MESSAGE_WRITE, with_user, on_user, NULL},
};
static const point after[] = {
	{OC_HOOK_LLM_OUTPUT, with_output, NULL, if_model},
	{OC_HOOK_AGENT_RESPONSE, with_reply, on_reply, if_model},
	{OC_HOOK_BEFORE_MESSAGE_WRITE, with_final, on_final, if_final},
	{OC_HOOK_MESSAGE_SENDING, with_sending, on_sending, if_deliver},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

bool oc_turn_wants_hooks_before(const oc_agent *agent)
{
	for (size_t i = 0; i < COUNT(before); i++)
		if (before[i].apply != NULL && before[i].hook != OC_HOOK_SESSION_START &&
		    oc_hooks_wanted(agent->hooks, before[i].hook))
			return true;
	return false;
}

/* Fires what is wanted from hook_step on. Returns true when all rows are done, false when one is awaited. */
static bool advance(oc_turn *turn, const point *points, size_t n, void (*done)(void *arg, const oc_hook_result *result))
{
	oc_hooks *hooks = turn->agent->hooks;
	while (turn->hook_step < n) {
		const point *p = &points[turn->hook_step];
		turn->hook_step++;
		if (!oc_hooks_wanted(hooks, p->hook) || (p->when != NULL && !p->when(turn)))
			continue;
		if (p->apply == NULL)
			(void)oc_hooks_fire(hooks, p->hook, p->payload(turn), NULL, NULL, NULL);
		else if (oc_hooks_fire(hooks, p->hook, p->payload(turn), turn->owner, done, turn) == OC_OK)
			return false;
	}
	return true;
}

static void before_done(void *arg, const oc_hook_result *result);

static void go_before(oc_turn *turn)
{
	if (!advance(turn, before, COUNT(before), before_done))
		return;
	if (!turn->user_stored) {
		oc_batch *b = oc_batch_new(turn->agent->store);
		if (b != NULL)
			oc_turn_put_user(turn, b);
		oc_turn_store(turn, b);
	}
	oc_turn_prepare(turn);
}

static void before_done(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	if (before[turn->hook_step - 1].apply(turn, result)) {
		go_before(turn);
		return;
	}
	/* Claimed: it was said all the same, so the history has it. */
	if (!turn->user_stored) {
		oc_batch *b = oc_batch_new(turn->agent->store);
		if (b != NULL)
			oc_turn_put_user(turn, b);
		oc_turn_store(turn, b);
	}
	if (turn->reply.n > 0 && !turn->hold_text)
		oc_turn_emit(turn, OC_AGENT_EV_TEXT, oc_sbuf_view(&turn->reply), NULL);
	oc_turn_succeed(turn);
}

void oc_turn_before(oc_turn *turn)
{
	turn->hook_step = 0;
	/* What is shown cannot be taken back: with such a subscriber nothing is shown before it had its say. */
	turn->hold_text = oc_hooks_wanted(turn->agent->hooks, OC_HOOK_AGENT_RESPONSE) ||
			  (turn->deliver != NULL && oc_hooks_wanted(turn->agent->hooks, OC_HOOK_MESSAGE_SENDING));
	if (turn->resumed)
		oc_turn_prepare(turn); /* they had their say before it was interrupted */
	else
		go_before(turn);
}

static void after_done(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	(void)after[turn->hook_step - 1].apply(turn, result);
	if (advance(turn, after, COUNT(after), after_done))
		turn->hook_next(turn, turn->withheld);
}

void oc_turn_after_model(oc_turn *turn, void (*next)(oc_turn *turn, bool withheld))
{
	turn->hook_step = 0;
	turn->hook_next = next;
	if (advance(turn, after, COUNT(after), after_done))
		next(turn, turn->withheld);
}

static cJSON *with_result(const oc_turn *turn, const cJSON *result)
{
	cJSON *o = base(turn);
	bool ok = strcmp(oc_json_str(result, "status", ""), "ok") == 0;
	(void)oc_json_set_bool(o, "success", ok);
	(void)oc_json_set_str(o, "text", oc_json_str(result, "text", ""));
	oc_json_opt(o, "status", oc_json_str(result, "status", NULL));
	oc_json_opt(o, "error", oc_json_str(oc_json_get(result, "error"), "message", NULL));
	(void)oc_json_set_i64(o, "durationMs", oc_json_i64(result, "durationMs", 0));
	return o;
}

void oc_turn_over_hooks(oc_turn *turn, const cJSON *result)
{
	oc_agent *agent = turn->agent;
	if (oc_hooks_wanted(agent->hooks, OC_HOOK_AGENT_END)) {
		cJSON *o = with_result(turn, result), *history = NULL;
		if (oc_store_history(agent->store, turn->session, NULL, &history, NULL) == OC_OK)
			(void)oc_json_set(o, "messages", oc_transcript_list(history));
		(void)oc_hooks_fire(agent->hooks, OC_HOOK_AGENT_END, o, NULL, NULL, NULL);
	}
	/* With a delivery under way, afterMessage comes when that is over. */
	if (turn->outbox_key[0] == 0)
		oc_agent_observe(agent, OC_HOOK_AFTER_MESSAGE, with_result(turn, result));
}
