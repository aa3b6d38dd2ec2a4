/* How turns begin to be: a message becomes a run, committed before anybody is told that it was taken. */
#include "core/agent/turn.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/commands.h"
#include "core/agent/history.h"
#include "core/agent/reset.h"
#include "core/agent/subagent.h"
#include "core/agent/take.h"
#include "core/agent/tell.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/security/validate.h"

#define TIMEOUT_SECONDS_DEFAULT 600
#define ARENA_MAX ((size_t)256 << 20)
#define SUMMARY_MAX ((size_t)16 << 10)

/* ---- Accepting ---- */

static void tell_committed(oc_turn *turn, oc_status status)
{
	void (*committed)(void *arg, oc_status status) = turn->committed;
	turn->committed = NULL;
	/* A store that cannot be written now is a reason to hand the message in again, not to drop it. */
	if (status != OC_OK && status != OC_E_INVALID && status != OC_E_LIMIT)
		status = OC_E_BUSY;
	if (committed != NULL)
		committed(turn->committed_arg, status);
}

/* The conversation before this message had come to its end by time. */
static void tell_expired(oc_turn *turn)
{
	cJSON *info = turn->ended;
	turn->ended = NULL;
	if (info == NULL)
		return;
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "change", "reset");
	oc_json_opt(data, "key", turn->session);
	oc_json_opt(data, "reason", turn->ended_why);
	turn->previous_id = oc_turn_text(turn, oc_json_str(info, "sessionId", ""));
	oc_session_tell_end(turn->agent, info, true, NULL);
	oc_agent_emit_plain(turn->agent, OC_AGENT_EV_SESSION, turn->session, data);
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
	turn->began_session |= status == OC_OK && oc_batch_began_session(b);
	turn->new_session = status == OC_OK && oc_batch_made_session(b);
	OC_FAULT_POINT("inbox-committed");
	tell_committed(turn, status);
	OC_FAULT_POINT("inbox-acknowledged");
	if (status == OC_OK && !turn->duplicate)
		tell_expired(turn);
	if (turn->duplicate) {
		turn->agent->stats.inbound_duplicate++;
		if (turn->on_event != NULL) {
			cJSON *data = cJSON_CreateObject();
			(void)oc_json_set_str(data, "status", "ok");
			(void)oc_json_set_str(data, "text", "");
			(void)oc_json_set_str(data, "stopReason", "duplicate");
			oc_turn_emit_data(turn, OC_AGENT_EV_DONE, data);
		}
		oc_turn_remove(turn);
		oc_turn_unref(turn);
	} else if (status != OC_OK) {
		turn->model_err = *err;
		oc_turn_close(turn, status, err);
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

char *oc_turn_input_json(const oc_turn *turn)
{
	/* The next start works from this: whole, or none. */
	unsigned long refused = oc_mem_refused();
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "text", turn->text);
	oc_json_opt(o, "origin", turn->origin);
	oc_json_opt(o, "trace", turn->trace);
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
	oc_json_opt(o, "lane", oc_lane_class_name(turn->lane_class));
	if (turn->queued)
		oc_json_opt(o, "queue", turn->queue_asked != 0 ? oc_queue_mode_name(turn->queue_asked) : "default");
	if (turn->restricted)
		(void)oc_json_set_bool(o, "restricted", true);
	if (turn->left_out > 0) {
		(void)oc_json_set_i64(o, "leftOut", turn->left_out);
		oc_json_opt(o, "summary", oc_sbuf_view(&turn->summary).p);
	}
	oc_json_opt(o, "preview", oc_preview_message(turn));
	if (turn->history != NULL || turn->client_tools != NULL)
		(void)oc_json_set_bool(o, "ownHistory", true);
	if (turn->light_context)
		(void)oc_json_set_bool(o, "lightContext", true);
	if (turn->no_tools)
		(void)oc_json_set_bool(o, "noTools", true);
	if (turn->max_tokens > 0)
		(void)oc_json_set_i64(o, "maxTokens", turn->max_tokens);
	if (turn->has_temperature)
		(void)oc_json_set(o, "temperature", cJSON_CreateNumber(turn->temperature));
	return refused == oc_mem_refused() ? oc_json_print(o) : NULL;
}

/* A session that was left alone for long enough begins anew with this message. What is under way goes on. */
static void expire_session(oc_turn *turn, oc_batch *b)
{
	if (!oc_lane_is_first(turn) || turn->history != NULL)
		return;
	const char *why = oc_reset_due(turn->config, &turn->key, oc_turn_channel(turn),
				       oc_store_session_used_ms(turn->agent->store, turn->session), oc_wall_ms());
	if (why == NULL)
		return;
	turn->ended = oc_session_end_info(turn->agent, turn->session, why);
	turn->ended_why = why;
	oc_batch_session_reset(b, turn->session, why);
}

/* From here on it is the session's. */
static void put_history(oc_turn *turn, oc_batch *b)
{
	const cJSON *m;
	cJSON_ArrayForEach(m, turn->history)
	{
		const char *role = oc_json_str(m, "role", "user");
		bool tool = strcmp(role, "tool") == 0, assistant = strcmp(role, "assistant") == 0;
		const cJSON *content = oc_json_get(m, "content");
		oc_auto_free char *json = oc_json_print(content), *text = oc_turn_text_of_parts(content);
		oc_batch_message(b, turn->session, tool ? "tool_result" : assistant ? "agent_response" : "message_received",
				 &(oc_message){.role = role, .content_json = json, .text = text,
					       .tool_call_id = tool ? oc_json_str(m, "toolCallId", "") : NULL,
					       .tokens = json != NULL ? oc_history_tokens(json) : 0});
	}
	cJSON_Delete(turn->history);
	turn->history = NULL;
}

static oc_status commit_accept(oc_turn *turn, oc_err *err)
{
	oc_agent *agent = turn->agent;
	oc_batch *b = oc_batch_new(agent->store);
	unsigned long refused = oc_mem_refused();
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
		oc_auto_free char *input = oc_turn_input_json(turn);
		oc_batch_run_put(b, turn->run, turn->session, turn->idempotency, input);
		expire_session(turn, b);
		if (turn->keep_history)
			put_history(turn, b);
		/* Nobody is before it and no hook wants a say: the message goes into the history with the same commit. */
		if (oc_lane_is_first(turn) && !oc_turn_wants_hooks_before(agent) && turn->slash == NULL &&
		    cJSON_GetArraySize(turn->media) == 0 &&
		    !(turn->queued && oc_queue_inbound_debounce(turn->config, oc_turn_channel(turn)) > 0)) {
			oc_turn_put_user(turn, b);
			oc_batch_run_state(b, turn->run, "running", NULL);
		}
		/* Something of it is missing: refused, the network brings it again. */
		if (refused != oc_mem_refused())
			oc_batch_spoil(b);
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
		     {&turn->sender, in->sender},
		     {&turn->client_tools, in->client_tools}};
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
	turn->taken_tail = &turn->taken;
	turn->lane_class = oc_lane_class_of(in->lane);
	turn->queued = in->queue != NULL;
	turn->queue_asked = in->queue != NULL ? oc_queue_mode_parse(oc_str_of(in->queue)) : 0;
	turn->restricted = in->restricted;
	turn->source = "";
	oc_sbuf_init(&turn->summary, SUMMARY_MAX);
	turn->stop_reason = "";
	turn->hook_before = turn->hook_after = turn->hook_system = turn->hook_system_before = turn->hook_system_after = "";
	turn->system = turn->tools_json = "";
	turn->max_tokens = in->max_tokens;
	turn->temperature = in->temperature;
	turn->has_temperature = in->has_temperature;
	turn->no_tools = in->no_tools;
	turn->light_context = in->light_context;
	turn->keep_history = in->keep_history;
	/* A job that runs at night should rather be done by another model than not at all. */
	turn->model_strict = in->model.n > 0 && (in->origin == NULL || strcmp(in->origin, "cron") != 0);
	turn->on_event = in->on_event;
	turn->arg = in->arg;
	int64_t seconds = oc_config_i64(agent->config, "agents.defaults.timeoutSeconds", TIMEOUT_SECONDS_DEFAULT);
	turn->timeout_ms = in->timeout_ms > 0 ? in->timeout_ms : (uint64_t)(seconds > 0 ? seconds : TIMEOUT_SECONDS_DEFAULT) * 1000;
	oc_sbuf_init(&turn->step.text, OC_TURN_TEXT_MAX);
	oc_sbuf_init(&turn->messages, OC_TURN_REQUEST_MAX);
	oc_sbuf_init(&turn->reply, OC_TURN_TEXT_MAX);
	oc_sbuf_init(&turn->thoughts, OC_TURN_TEXT_MAX);
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

/* What was kept of a run that is taken up. */
static void recover(oc_turn *turn, const oc_recovery *r)
{
	turn->recovered = true;
	turn->crashes = r->attempts;
	turn->resumed = turn->user_stored = r->resumed;
	turn->left_out = (unsigned)oc_json_i64(r->input, "leftOut", 0);
	oc_sbuf_z(&turn->summary, oc_json_str(r->input, "summary", ""));
	snprintf(turn->run, sizeof turn->run, "%s", r->run);
	oc_preview_restore(turn, oc_json_str(r->input, "preview", ""));
}

/* Whose message it is: no sender has more than his share of the places. Sub-agents are their requester's; what a client sends
 * is the client's, whatever the session. */
static oc_status name_source(oc_turn *turn, const char *client, oc_err *err)
{
	const char *sender = oc_json_str(turn->sender, "id", "");
	const oc_subagent *sub = oc_subagent_find(turn->agent, turn->session);
	turn->source = turn->deliver != NULL && sender[0] != 0
			       ? oc_arena_printf(turn->arena, "%s\n%s\n%s", oc_turn_channel(turn),
						 oc_json_str(turn->deliver, "account", ""), sender)
			       : oc_arena_printf(turn->arena, "%s\n%s", turn->origin,
						 client != NULL ? client : sub != NULL ? sub->requester : turn->session);
	return turn->source != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot take the message");
}

/* Its place among the session's turns; commands that wait for nobody have none. */
static oc_status enter(oc_turn *turn, oc_err *err)
{
	turn->slash = oc_slash_find(turn->agent, turn->session, oc_str_of(turn->text), &turn->slash_rest);
	if (turn->history != NULL)
		turn->slash = NULL; /* a client with a history of its own does not talk to the gateway */
	turn->instant = turn->slash != NULL && (turn->slash->flags & OC_SLASH_INSTANT) != 0;
	return turn->instant ? OC_OK : oc_lane_enter(turn, err);
}

oc_status oc_turn_submit(oc_agent *agent, const oc_turn_input *in, const oc_inbox_ref *inbox,
			 void (*committed)(void *arg, oc_status status), void *committed_arg, const oc_recovery *recovery,
			 oc_run_ref *ret, oc_err *err)
{
	*ret = (oc_run_ref){0};
	oc_status status = check_input(agent, in, err);
	if (status != OC_OK || find_duplicate(agent, in->idempotency, ret))
		return status;
	oc_turn *turn = new_turn(agent, in, inbox);
	if (turn == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the message");
	if (in->trace != NULL && oc_trace_ok(in->trace))
		memcpy(turn->trace, in->trace, sizeof turn->trace);
	else if (oc_trace_now()[0] != 0)
		memcpy(turn->trace, oc_trace_now(), sizeof turn->trace);
	else
		oc_trace_new(turn->trace);
	if (recovery != NULL)
		recover(turn, recovery);
	else
		oc_id_uuid(turn->run);
	status = resolve_session(turn, in, err);
	if (status == OC_OK)
		status = name_source(turn, in->client, err);
	if (status == OC_OK)
		status = enter(turn, err);
	if (status == OC_OK && recovery == NULL)
		oc_tell_take(turn);
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
	memcpy(ret->trace, turn->trace, sizeof ret->trace);
	OC_TRACE(turn->trace);
	if (turn->user_stored && oc_lane_has_room(turn))
		oc_turn_foresee(turn);
	oc_debug("turn", "%s: a message of %s is taken, run %s", turn->session, turn->origin, turn->run);
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
	oc_lanes_free(agent);
}
