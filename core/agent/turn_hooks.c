/*
 * The points where hooks take part in a turn.  Each point is a row: what to fire, with which payload, what its result
 * changes.  A hook that nobody subscribed costs a look into a table.
 */
#include <string.h>

#include "core/agent/transcript.h"
#include "core/agent/turn_payload.h"
#include "core/base/clock.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

void oc_turn_model_said(oc_turn *turn, const char *json, const char *text)
{
	if (!oc_hooks_wanted(turn->agent->hooks, OC_HOOK_LLM_OUTPUT) && !oc_hooks_wanted(turn->agent->hooks, OC_HOOK_AGENT_END))
		return;
	turn->raw_answer = oc_turn_text(turn, json);
	if (turn->said == NULL)
		turn->said = cJSON_CreateArray();
	if (text[0] != 0)
		(void)cJSON_AddItemToArray(turn->said, cJSON_CreateString(text));
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

static void take_prompt(oc_turn *turn, const cJSON *c)
{
	const cJSON *allow = oc_json_get(c, "toolsAllow");
	take(turn, c, "systemPrompt", &turn->hook_system);
	join(turn, c, "prependContext", &turn->hook_before);
	join(turn, c, "appendContext", &turn->hook_after);
	join(turn, c, "prependSystemContext", &turn->hook_system_before);
	join(turn, c, "appendSystemContext", &turn->hook_system_after);
	if (cJSON_IsArray(allow)) {
		cJSON_Delete(turn->hook_tools_allow);
		turn->hook_tools_allow = cJSON_Duplicate(allow, true);
	}
}

static bool on_prompt(oc_turn *turn, const oc_hook_result *result)
{
	take_prompt(turn, result->changes);
	return on_model(turn, result);
}

/* before_agent_start is asked twice, as in the original: before there is a prompt, for the model, and with it. Who answers
 * the first time is not asked again: that answer counts for both. */
static bool on_early_start(oc_turn *turn, const oc_hook_result *result)
{
	cJSON_Delete(turn->early_start);
	turn->early_start = cJSON_GetArraySize(result->changes) > 0 ? cJSON_Duplicate(result->changes, true) : NULL;
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

static void put_user(oc_turn *turn)
{
	if (turn->user_stored)
		return;
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_turn_put_user(turn, b);
	oc_turn_store(turn, b);
}

static void user_written(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	turn->user_unwritten = result->blocked;
	(void)rewritten(turn, result, &turn->user_content, &turn->user_text);
	put_user(turn);
	oc_turn_call_model(turn);
}

bool oc_turn_input_hooks(oc_turn *turn)
{
	oc_hooks *hooks = turn->agent->hooks;
	if (turn->input_told || turn->aside != NULL)
		return false;
	turn->input_told = true;
	if (oc_hooks_wanted(hooks, OC_HOOK_LLM_INPUT))
		oc_agent_observe(turn->agent, OC_HOOK_LLM_INPUT, oc_payload_input(turn));
	if (turn->user_stored)
		return false;
	if (oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) &&
	    oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, oc_payload_user(turn), turn->owner, user_written, turn) == OC_OK)
		return true;
	put_user(turn);
	return false;
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
	       oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, oc_payload_answer(turn, turn->calls_json), turn->owner, answer_written,
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

static bool if_fresh(const oc_turn *turn)
{
	return turn->began_session || turn->after_reset;
}

/* Somebody's message: not what a program asked over HTTP or by the method agent, nor what the gateway tells its agents itself. */
static bool if_message(const oc_turn *turn)
{
	static const char *const others[] = {"http", "agent", "subagent", "sessions_send", "cron", "heartbeat"};
	for (size_t i = 0; i < COUNT(others); i++)
		if (turn->origin != NULL && strcmp(turn->origin, others[i]) == 0)
			return false;
	return true;
}

static bool if_no_early_start(const oc_turn *turn)
{
	return turn->early_start == NULL;
}

static bool if_deliver(const oc_turn *turn)
{
	return turn->deliver != NULL && turn->reply.n > 0;
}

static bool if_model(const oc_turn *turn)
{
	return turn->usage.calls > 0 && turn->slash == NULL; /* not for commands (also not those that ask one) and claimed messages */
}

static bool if_final(const oc_turn *turn)
{
	return turn->final_content != NULL;
}

static bool on_bootstrap(oc_turn *turn, const oc_hook_result *result)
{
	const cJSON *files = oc_json_get(result->changes, "bootstrapFiles");
	cJSON_Delete(turn->bootstrap);
	turn->bootstrap = cJSON_IsArray(files) ? cJSON_Duplicate(files, true) : NULL;
	return true;
}

static bool on_run(oc_turn *turn, const oc_hook_result *result)
{
	const cJSON *tools = oc_json_get(result->changes, "tools");
	cJSON_Delete(turn->offered);
	turn->offered = tools != NULL ? cJSON_Duplicate(tools, true) : NULL;
	return true;
}

static const point before[] = {
	{OC_HOOK_MESSAGE_RECEIVED, oc_payload_message, NULL, if_message},
	{OC_HOOK_SESSION_START, oc_payload_start, on_session, if_fresh},
	{OC_HOOK_TS_SESSION_START, oc_payload_start, NULL, if_began},
	{OC_HOOK_INBOUND_CLAIM, oc_payload_message, on_claim, NULL},
	{OC_HOOK_BEFORE_MESSAGE, oc_payload_message, on_message, NULL},
	{OC_HOOK_BEFORE_DISPATCH, oc_payload_message, on_dispatch, NULL},
	{OC_HOOK_BEFORE_MODEL_RESOLVE, oc_payload_prompt_only, on_model, NULL},
	{OC_HOOK_BEFORE_AGENT_START, oc_payload_prompt_only, on_early_start, NULL},
	{OC_HOOK_INTERNAL_TOOLS, oc_payload_run, on_run, NULL},
	{OC_HOOK_INTERNAL_BOOTSTRAP, oc_payload_bootstrap, on_bootstrap, NULL},
	{OC_HOOK_BEFORE_PROMPT_BUILD, oc_payload_prompt, on_prompt, NULL},
	{OC_HOOK_BEFORE_AGENT_START, oc_payload_prompt, on_prompt, if_no_early_start},
};
static const point after[] = {
	{OC_HOOK_AGENT_RESPONSE, oc_payload_reply, on_reply, if_model},
	{OC_HOOK_BEFORE_MESSAGE_WRITE, oc_payload_final, on_final, if_final},
	{OC_HOOK_AGENT_END, oc_payload_end, NULL, if_model},
	{OC_HOOK_LLM_OUTPUT, oc_payload_output, NULL, if_model},
	{OC_HOOK_MESSAGE_SENDING, oc_payload_sending, on_sending, if_deliver},
};

bool oc_turn_wants_hooks_before(const oc_agent *agent)
{
	for (size_t i = 0; i < COUNT(before); i++)
		if (before[i].apply != NULL && before[i].hook != OC_HOOK_SESSION_START &&
		    oc_hooks_wanted(agent->hooks, before[i].hook))
			return true;
	return oc_hooks_wanted(agent->hooks, OC_HOOK_BEFORE_MESSAGE_WRITE);
}

/* About the message itself, not about the turn that it becomes. */
static bool of_message(oc_hook_id hook)
{
	return hook == OC_HOOK_MESSAGE_RECEIVED || hook == OC_HOOK_INBOUND_CLAIM || hook == OC_HOOK_BEFORE_MESSAGE ||
	       hook == OC_HOOK_BEFORE_DISPATCH;
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
		if (turn->heard == OC_HEARD && of_message(p->hook))
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
	/* With such a subscriber the message is written when the model's input is known. */
	if (!oc_hooks_wanted(turn->agent->hooks, OC_HOOK_BEFORE_MESSAGE_WRITE))
		put_user(turn);
	if (turn->early_start != NULL)
		take_prompt(turn, turn->early_start);
	oc_turn_prepare(turn);
}

/* It was said all the same, so the history has it. */
static void claimed(oc_turn *turn)
{
	put_user(turn);
	if (turn->reply.n > 0 && !turn->hold_text)
		oc_turn_emit(turn, OC_AGENT_EV_TEXT, oc_sbuf_view(&turn->reply), NULL);
	oc_turn_succeed(turn);
}

static void before_done(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	turn->foreseen_ms = 0; /* without knowing what is said now */
	if (before[turn->hook_step - 1].apply(turn, result)) {
		go_before(turn);
		return;
	}
	claimed(turn);
}

void oc_turn_before(oc_turn *turn)
{
	if (turn->heard == OC_HEARING) {
		turn->begin_when_heard = true;
		return;
	}
	turn->hook_step = 0;
	turn->after_reset |= oc_session_take_fresh(turn->agent, turn->session);
	/* What is shown cannot be taken back: with such a subscriber nothing is shown before it had its say. */
	turn->hold_text = oc_hooks_wanted(turn->agent->hooks, OC_HOOK_AGENT_RESPONSE) ||
			  (turn->deliver != NULL && oc_hooks_wanted(turn->agent->hooks, OC_HOOK_MESSAGE_SENDING));
	if (turn->resumed)
		oc_turn_prepare(turn); /* they had their say before it was interrupted */
	else if (turn->heard == OC_HEARD_CLAIMED)
		claimed(turn);
	else
		go_before(turn);
}

/* ---- A message that is put into a running turn ---- */

static void heard(oc_turn *turn, enum oc_heard how)
{
	turn->heard = how;
	if (turn->begin_when_heard && turn->state == OC_TURN_RUNNING)
		oc_turn_before(turn);
}

static void heard_one(void *arg, const oc_hook_result *result);

static void heard_write(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	turn->user_unwritten = result->blocked;
	(void)rewritten(turn, result, &turn->user_content, &turn->user_text);
	heard(turn, OC_HEARD);
}

static void go_hear(oc_turn *turn)
{
	oc_hooks *hooks = turn->agent->hooks;
	while (turn->hook_step < COUNT(before)) {
		const point *p = &before[turn->hook_step++];
		if (!of_message(p->hook) || !oc_hooks_wanted(hooks, p->hook) || (p->when != NULL && !p->when(turn)))
			continue;
		if (p->apply == NULL)
			(void)oc_hooks_fire(hooks, p->hook, p->payload(turn), NULL, NULL, NULL);
		else if (oc_hooks_fire(hooks, p->hook, p->payload(turn), turn->owner, heard_one, turn) == OC_OK)
			return;
	}
	if (!oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) ||
	    oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, oc_payload_user(turn), turn->owner, heard_write, turn) != OC_OK)
		heard(turn, OC_HEARD);
}

static void heard_one(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	if (before[turn->hook_step - 1].apply(turn, result))
		go_hear(turn);
	else
		heard(turn, OC_HEARD_CLAIMED);
}

void oc_turn_hear(oc_turn *turn)
{
	if (turn->heard != OC_HEARD_NOT)
		return;
	turn->heard = OC_HEARING;
	turn->hook_step = 0;
	go_hear(turn);
}

bool oc_turn_heard(const oc_turn *turn)
{
	return turn->heard == OC_HEARD;
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

void oc_turn_over_hooks(oc_turn *turn, const cJSON *result)
{
	oc_agent *agent = turn->agent;
	/* One that succeeded told it before its reply went out. */
	if (turn->input_told && strcmp(oc_json_str(result, "status", ""), "ok") != 0) {
		if (oc_hooks_wanted(agent->hooks, OC_HOOK_AGENT_END)) {
			cJSON *o = oc_payload_result(turn, result);
			(void)oc_json_set(o, "messages", oc_payload_history(turn, true));
			(void)oc_hooks_fire(agent->hooks, OC_HOOK_AGENT_END, o, NULL, NULL, NULL);
		}
		if (oc_hooks_wanted(agent->hooks, OC_HOOK_LLM_OUTPUT))
			(void)oc_hooks_fire(agent->hooks, OC_HOOK_LLM_OUTPUT, oc_payload_output(turn), NULL, NULL, NULL);
	}
	/* With a delivery under way, afterMessage comes when that is over. */
	if (turn->outbox_key[0] == 0)
		oc_agent_observe(agent, OC_HOOK_AFTER_MESSAGE, oc_payload_result(turn, result));
}

/* ---- Commands ---- */

void oc_turn_tell_message(oc_turn *turn)
{
	if (if_message(turn))
		oc_agent_observe(turn->agent, OC_HOOK_MESSAGE_RECEIVED, oc_payload_message(turn));
}

static void command_told(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	const cJSON *words;
	cJSON_ArrayForEach(words, oc_json_get(result->changes, "messages"))
	{
		if (cJSON_IsString(words) && words->valuestring[0] != 0)
			oc_sbuf_printf(&turn->reply, "%s\n\n", words->valuestring);
	}
	turn->write_after(turn);
}

void oc_turn_command_hooks(oc_turn *turn, const char *action, void (*next)(oc_turn *turn))
{
	oc_hooks *hooks = turn->agent->hooks;
	if (oc_hooks_wanted(hooks, OC_HOOK_INTERNAL_COMMAND)) {
		cJSON *o = oc_payload_session(turn);
		oc_json_opt(o, "action", action);
		oc_json_opt(o, "commandSource", oc_payload_provider(turn));
		oc_json_opt(o, "senderId", oc_json_str(turn->sender, "id", "gateway-client"));
		oc_json_opt(o, "previousSessionId", turn->previous_id);
		turn->write_after = next;
		if (oc_hooks_fire(hooks, OC_HOOK_INTERNAL_COMMAND, o, turn->owner, command_told, turn) == OC_OK)
			return;
	}
	next(turn);
}
