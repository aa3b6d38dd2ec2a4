/* Which model answers a turn: of the message, the session, the agent; the next one when that one rests or cannot be used. */
#include <string.h>

#include "core/agent/engine.h"
#include "core/agent/keyring.h"
#include "core/agent/recover.h"
#include "core/agent/shown.h"
#include "core/agent/skills.h"
#include "core/agent/turn.h"
#include "core/base/clock.h"

#define FORESEEN_MS 1000 /* what was looked up before is taken so long; files may have changed since */

/* Makes candidate i the model of the turn. */
static oc_status use_candidate(oc_turn *turn, size_t i, oc_err *err)
{
	oc_model model;
	oc_status status = oc_model_find(turn->agent, turn->config, turn->arena, turn->candidates[i], &model, err);
	if (status == OC_OK)
		(void)oc_keyring_choose(turn->agent, turn->arena, turn->agent_id, turn->session, turn->profile, &model);
	if (status == OC_OK)
		status = oc_model_usable(turn->agent, turn->config, &model, err);
	if (status != OC_OK)
		return status;
	turn->candidate = i;
	turn->model = model;
	turn->attempts = 0;
	turn->messages_model = NULL;
	return OC_OK;
}

oc_status oc_turn_use_model(oc_turn *turn, size_t from, oc_err *err)
{
	oc_err first = {0}, why = {0};
	size_t resting = turn->n_candidates;
	uint64_t shortest = UINT64_MAX;
	for (size_t i = from; i < turn->n_candidates; i++) {
		uint64_t rest = oc_model_resting(turn->agent, turn->candidates[i], NULL);
		if (turn->profile == NULL) {
			uint64_t keys = oc_keyring_resting(turn->agent, turn->agent_id, turn->candidates[i]);
			rest = keys > rest ? keys : rest;
		}
		if (rest > 0) {
			if (rest < shortest) {
				shortest = rest;
				resting = i;
			}
			continue;
		}
		why = (oc_err){0};
		if (use_candidate(turn, i, &why) == OC_OK)
			return OC_OK;
		if (first.code == OC_OK)
			first = why;
	}
	if (resting < turn->n_candidates) {
		why = (oc_err){0};
		if (use_candidate(turn, resting, &why) == OC_OK)
			return OC_OK;
		if (first.code == OC_OK)
			first = why;
	}
	if (first.code == OC_OK)
		return turn->model_err.code != OC_OK ? turn->model_err.code
						     : oc_fail(err, OC_E_UNAVAILABLE, NULL, "no model can be used");
	*err = first;
	return first.code;
}

/* "/name …": somebody asks for a skill by name, also for one that the model is not told of. */
static void call_skill(oc_turn *turn)
{
	oc_arena *arena = turn->text[0] == '/' ? oc_arena_new(0) : NULL;
	oc_skills skills;
	const oc_skill *s = NULL;
	if (arena != NULL && oc_skills_load(turn->config, turn->agent->state_dir, turn->workspace, turn->agent_id, arena, &skills,
					    NULL) == OC_OK)
		s = oc_skills_called(&skills, oc_str_of(turn->text));
	if (s != NULL) {
		oc_auto_free char *words = oc_asprintf("%s%s(The user calls the skill \"%s\": read %s and do as it says. What follows "
						       "the name is its input.)",
						       turn->hook_before, turn->hook_before[0] != 0 ? "\n\n" : "", s->name, s->location);
		turn->hook_before = words != NULL ? oc_turn_text(turn, words) : turn->hook_before;
	}
	oc_arena_free(arena);
}

static oc_status add_user(oc_turn *turn, oc_err *err)
{
	call_skill(turn);
	oc_auto_free char *content = oc_context_user_content(turn, false);
	if (content == NULL || oc_context_add(turn, "user", content, NULL, NULL, NULL, false) == NULL)
		return oc_fail(err, OC_E_LIMIT, "send less at once", "the message with its attachments is too large");
	return OC_OK;
}

/* What the session prefers, unless the message says otherwise. */
static void session_settings(oc_turn *turn)
{
	oc_auto_json cJSON *session = NULL;
	if (turn->new_session || oc_store_session(turn->agent->store, turn->session, &session, NULL) != OC_OK)
		return;
	if (turn->model_override[0] == 0) {
		turn->model_override = oc_turn_text(turn, oc_json_str(session, "model", ""));
		turn->model_strict = true;
	}
	if (turn->thinking[0] == 0)
		turn->thinking = oc_turn_text(turn, oc_json_str(session, "thinking", ""));
	oc_shown_begin(turn, session);
}

static oc_status find_model(oc_turn *turn, oc_err *err)
{
	const char *profile = oc_keyring_named(turn->agent, turn->agent_id, turn->model_override);
	if (profile != NULL) {
		char *ref = oc_arena_memdup(turn->arena, turn->model_override, (size_t)(profile - 1 - turn->model_override));
		if (ref == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot choose a model");
		turn->profile = profile;
		turn->model_override = ref;
	}
	oc_status status = oc_model_candidates(turn->agent, turn->config, turn->arena, turn->agent_id, turn->model_override,
					       turn->model_strict, &turn->candidates, &turn->n_candidates, err);
	return status == OC_OK ? oc_turn_use_model(turn, 0, err) : status;
}

/* The loop would stand still until the commit is there, which no message may overtake; its prompt may. */
void oc_turn_foresee(oc_turn *turn)
{
	oc_err err = {0};
	if (oc_turn_settle_workspace(turn, &err) != OC_OK || find_model(turn, &err) != OC_OK ||
	    oc_context_system(turn, &err) != OC_OK)
		return; /* and will be told to somebody when it fails again */
	turn->foreseen_ms = oc_now_ms();
	turn->foreseen_for = turn->model_override;
}

/* It had to wait after all, or something was said that it did not know. */
static bool foreseen(const oc_turn *turn)
{
	return turn->foreseen_ms != 0 && oc_now_ms() - turn->foreseen_ms < FORESEEN_MS &&
	       strcmp(turn->foreseen_for, turn->model_override) == 0;
}

oc_status oc_turn_choose_model(oc_turn *turn, oc_err *err)
{
	session_settings(turn);
	if (foreseen(turn))
		return OC_OK;
	turn->system_model = NULL;
	return find_model(turn, err);
}

void oc_turn_prepare(oc_turn *turn)
{
	oc_err err = {0};
	oc_status status = oc_turn_choose_model(turn, &err);
	if (status == OC_OK)
		status = turn->resumed ? oc_recover_messages(turn, &err) : add_user(turn, &err);
	if (status != OC_OK) {
		oc_turn_fail(turn, status, &err);
		return;
	}
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "model", turn->model.ref);
	oc_turn_emit_data(turn, OC_AGENT_EV_START, data);
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (turn->calls != NULL)
		oc_turn_run_calls(turn); /* which the last process did not get to the end of */
	else
		oc_engine_begin(turn, oc_turn_call_model);
}
