/*
 * The slot of the context engine: plugins.slots.contextEngine names one that a module offers as the service
 * "context-engine.<id>" 1.0.  It says what of a conversation goes into a request, and hears each turn when it is over.
 * "legacy", nothing, or an engine that fails: the history is what the store has, as ever.
 */
#include "core/agent/engine.h"

#include <string.h>

#include "core/agent/budget.h"
#include "core/agent/history.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/module/call.h"

enum { ASSEMBLE_MS = 60 * 1000, AFTER_MS = 5 * 60 * 1000, WINDOWS = 8 /* as much history as so many context windows hold */ };

static oc_guest *engine_in(const oc_agent *agent, const oc_config *config)
{
	const char *id = oc_config_str(config, "plugins.slots.contextEngine", "legacy");
	if (strcmp(id, "legacy") == 0 || strcmp(id, "none") == 0)
		return NULL;
	oc_auto_free char *name = oc_asprintf("context-engine.%s", id);
	oc_guest *guest = name != NULL ? oc_modules_service(agent->modules, oc_str_of(name), 1) : NULL;
	if (guest == NULL)
		oc_warn("agent", "there is no context engine %s (plugins.slots.contextEngine): its history is taken as it is", id);
	return guest;
}

static oc_guest *engine_of(const oc_turn *turn)
{
	return turn->history == NULL ? engine_in(turn->agent, turn->config) : NULL;
}

/* The session's store row knows which conversation of the session this is. */
static cJSON *about(const oc_turn *turn)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "sessionKey", turn->session);
	(void)oc_json_set_str(o, "runId", turn->run);
	(void)oc_json_set_str(o, "agentId", turn->agent_id);
	(void)oc_json_set_str(o, "model", turn->model.ref != NULL ? turn->model.ref : "");
	(void)oc_json_set_i64(o, "tokenBudget", turn->model.context_window);
	return o;
}

static void add_record(cJSON *list, const oc_record *r)
{
	cJSON *o = cJSON_CreateObject(), *content = r->content != NULL ? cJSON_Parse(r->content) : NULL;
	(void)oc_json_set_str(o, "role", r->role);
	(void)oc_json_set(o, "content", content != NULL ? content : cJSON_CreateArray());
	if (r->ts_ms > 0)
		(void)oc_json_set_i64(o, "timestamp", r->ts_ms);
	if (strcmp(r->role, "tool") == 0) {
		oc_json_opt(o, "toolCallId", r->tool_call_id);
		oc_json_opt(o, "name", r->tool_name);
		(void)oc_json_set_bool(o, "isError", r->is_error);
	}
	if (o == NULL || !cJSON_AddItemToArray(list, o))
		cJSON_Delete(o);
}

/* ---- Before the model ---- */

/* {"messages":[…],"systemPromptAddition"?} */
static bool take(oc_turn *turn, oc_str result)
{
	oc_auto_json cJSON *answer = NULL;
	const cJSON *m;
	if (oc_json_parse(result, NULL, &answer, NULL) != OC_OK || !cJSON_IsArray(oc_json_get(answer, "messages")))
		return false;
	cJSON_ArrayForEach(m, oc_json_get(answer, "messages"))
	{
		if (!cJSON_IsArray(oc_json_get(m, "content")) || oc_json_str(m, "role", "")[0] == 0)
			return false;
	}
	const char *more = oc_json_str(answer, "systemPromptAddition", "");
	if (more[0] != 0) {
		oc_auto_free char *text = oc_asprintf("%s%s%s", turn->extra_system, turn->extra_system[0] != 0 ? "\n\n" : "", more);
		turn->extra_system = text != NULL ? oc_turn_text(turn, text) : turn->extra_system;
		turn->system_model = NULL; /* a prompt that was written before knows nothing of it */
	}
	cJSON_Delete(turn->assembled);
	turn->assembled = cJSON_DetachItemFromObjectCaseSensitive(answer, "messages");
	return true;
}

static void assembled(void *arg, oc_status status, oc_str result)
{
	oc_turn *turn = arg;
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (status != OC_OK || !take(turn, result)) {
		oc_err err = {0};
		if (status != OC_OK)
			oc_call_error(status, result, &err, NULL);
		oc_turn_notice(turn, "context_engine", "the context engine failed, the history is taken as it is: %s",
			       status != OC_OK ? err.text : "its answer has no messages");
	}
	turn->engine_next(turn);
}

void oc_engine_begin(oc_turn *turn, void (*next)(oc_turn *turn))
{
	oc_guest *guest = engine_of(turn);
	oc_history h = {0};
	oc_err err = {0};
	oc_auto_json cJSON *args = guest != NULL ? about(turn) : NULL;
	if (args == NULL) {
		next(turn);
		return;
	}
	cJSON *messages = cJSON_AddArrayToObject(args, "messages");
	(void)oc_json_set_str(args, "prompt", turn->text);
	oc_status status = oc_history_collect(turn, turn->model.context_window * WINDOWS, &h, &err);
	for (const oc_record *r = h.oldest; status == OC_OK && r != NULL; r = r->newer)
		add_record(messages, r);
	oc_history_free(&h);
	oc_auto_free char *json = status == OC_OK ? oc_json_print(args) : NULL;
	oc_call_options options = {.deadline_ms = ASSEMBLE_MS, .owner = turn->owner, .on_done = assembled, .arg = turn};
	turn->engine_next = next;
	if (json == NULL || oc_service_guest_call(guest, OC_STR("assemble"), oc_str_of(json), &options, NULL) != OC_OK)
		next(turn);
}

/* ---- After the turn ---- */

static void heard(void *arg, oc_status status, oc_str result)
{
	(void)arg;
	if (status != OC_OK)
		oc_warn("agent", "the context engine could not take in what it was told: %.*s", OC_STR_ARG(result));
}

void oc_engine_over(oc_turn *turn)
{
	oc_guest *guest = turn->user_stored ? engine_of(turn) : NULL;
	oc_arena *arena = guest != NULL ? oc_arena_new((size_t)64 << 20) : NULL;
	oc_record *own = NULL;
	oc_auto_json cJSON *args = arena != NULL ? about(turn) : NULL;
	cJSON *messages = cJSON_AddArrayToObject(args, "messages");
	if (arena != NULL && oc_history_own(turn, arena, &own)) {
		for (const oc_record *r = own; r != NULL; r = r->newer)
			add_record(messages, r);
		if (turn->final_content != NULL)
			add_record(messages, &(oc_record){.role = "assistant", .content = turn->final_content, .ts_ms = oc_wall_ms()});
		oc_auto_free char *json = oc_json_print(args);
		oc_call_options options = {.deadline_ms = AFTER_MS, .owner = turn->agent->owner, .on_done = heard};
		if (json != NULL)
			(void)oc_service_guest_call(guest, OC_STR("afterTurn"), oc_str_of(json), &options, NULL);
	}
	oc_arena_free(arena);
}

/* ---- Compaction ---- */

/* {"ok","compacted","reason"?,"result":{"summary"?,"tokensBefore"?,"tokensAfter"?}?} */
static void compacted(void *arg, oc_status status, oc_str result)
{
	oc_turn *turn = arg;
	oc_auto_json cJSON *answer = NULL;
	oc_compact_outcome outcome = {.status = status, .summary = ""};
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (status == OC_OK)
		outcome.status = oc_json_parse(result, NULL, &answer, &outcome.err);
	else
		oc_call_error(status, result, &outcome.err, NULL);
	const cJSON *figures = oc_json_get(answer, "result");
	const char *reason = oc_json_str(answer, "reason", "the context engine did not make it shorter");
	if (outcome.status == OC_OK && !oc_json_bool(answer, "compacted", false))
		outcome.status = oc_fail(&outcome.err, oc_json_bool(answer, "ok", false) ? OC_E_NOT_FOUND : OC_E_INTERNAL, NULL, "%s", reason);
	outcome.summary = oc_json_str(figures, "summary", "");
	outcome.tokens_before = oc_json_i64(figures, "tokensBefore", 0);
	outcome.tokens_after = oc_json_i64(figures, "tokensAfter", 0);
	turn->engine_compacted(turn, &outcome);
}

bool oc_engine_compact(oc_turn *turn, const char *instructions, oc_compact_done done)
{
	oc_guest *guest = engine_of(turn);
	oc_auto_json cJSON *args = guest != NULL ? about(turn) : NULL;
	if (args == NULL)
		return false;
	(void)oc_json_set_bool(args, "force", true);
	if (instructions[0] != 0)
		(void)oc_json_set_str(args, "customInstructions", instructions);
	oc_auto_free char *json = oc_json_print(args);
	oc_call_options options = {.deadline_ms = AFTER_MS, .owner = turn->owner, .on_done = compacted, .arg = turn};
	turn->engine_compacted = done;
	return json != NULL && oc_service_guest_call(guest, OC_STR("compact"), oc_str_of(json), &options, NULL) == OC_OK;
}

/* ---- Sub-agents ---- */

static bool tell(oc_agent *agent, const char *method, const char *other, const char *child, const oc_call_options *options)
{
	oc_guest *guest = engine_in(agent, agent->config);
	oc_auto_json cJSON *args = guest != NULL ? cJSON_CreateObject() : NULL;
	if (args == NULL)
		return false;
	oc_json_opt(args, strcmp(method, "onSubagentEnded") == 0 ? "reason" : "parentSessionKey", other);
	oc_json_opt(args, "childSessionKey", child);
	oc_auto_free char *json = oc_json_print(args);
	return json != NULL && oc_service_guest_call(guest, oc_str_of(method), oc_str_of(json), options, NULL) == OC_OK;
}

void oc_engine_subagent(oc_agent *agent, const char *method, const char *other, const char *child)
{
	(void)tell(agent, method, other, child, &(oc_call_options){.deadline_ms = AFTER_MS, .owner = agent->owner, .on_done = heard});
}

bool oc_engine_spawn(oc_agent *agent, const char *parent, const char *child, void (*done)(void *arg, oc_status status, oc_str result), void *arg)
{
	return tell(agent, "prepareSubagentSpawn", parent, child,
		    &(oc_call_options){.deadline_ms = ASSEMBLE_MS, .owner = agent->owner, .on_done = done, .arg = arg});
}
