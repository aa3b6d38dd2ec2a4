/*
 * The tool calls of one answer: all at once, but those of tools that ask for it one after the other; results go back in
 * the order of the calls.  A model that repeats itself is told so, and stopped when it does not listen.
 */
#include <string.h>

#include "core/agent/shown.h"
#include "core/agent/take.h"
#include "core/agent/toolrun.h"
#include "core/base/hash.h"
#include "core/base/log.h"

#define PARALLEL_MAX 16
#define REPEAT_TELL 3	/* the same call with the same result this often: not run again */
#define REPEAT_STOP 3	/* told this often: the turn ends */

typedef struct slot {
	oc_toolset *set;
	oc_toolrun *run;
	const cJSON *part; /* of the content */
	bool serial, started, over, not_made;
	uint64_t call_hash;
} slot;

struct oc_toolset {
	oc_turn *turn;
	cJSON *content; /* the answer with the calls */
	int n, running, over;
	bool pumping;
	slot slots[];
};

void oc_toolset_free(oc_toolset *set)
{
	if (set == NULL)
		return;
	for (int i = 0; i < set->n; i++)
		oc_toolrun_free(set->slots[i].run);
	cJSON_Delete(set->content);
	oc_free(set);
}

/* ---- Repetition ---- */

static uint64_t hash_call(const cJSON *part)
{
	oc_auto_free char *args = oc_json_print(oc_json_get(part, "arguments"));
	return oc_hash_z(oc_hash_z(OC_HASH_START, oc_json_str(part, "name", "")), args);
}

static unsigned times_seen(const oc_turn *turn, uint64_t call_hash)
{
	unsigned n = 0;
	for (size_t i = 0; i < turn->n_loop_hashes; i++)
		n += turn->loop_hashes[i] == call_hash;
	return n;
}

/* Remembers calls whose result was the same as the time before; one that brought something new is no repetition. */
static void remember(oc_turn *turn, uint64_t call_hash, const char *result)
{
	size_t max = sizeof turn->loop_hashes / sizeof *turn->loop_hashes;
	uint64_t both = oc_hash_z(call_hash, result);
	bool seen_same = false, seen_other = false;
	for (size_t i = 0; i < turn->n_loop_hashes; i++) {
		seen_same |= turn->loop_hashes[i] == both;
		seen_other |= turn->loop_hashes[i] == call_hash;
	}
	if (seen_other && !seen_same)
		for (size_t i = 0; i < turn->n_loop_hashes; i++)
			if (turn->loop_hashes[i] == call_hash)
				turn->loop_hashes[i] = 0;
	uint64_t add[2] = {call_hash, both};
	for (int i = 0; i < 2; i++) {
		if (turn->n_loop_hashes == max) {
			memmove(turn->loop_hashes, turn->loop_hashes + 1, (max - 1) * sizeof *turn->loop_hashes);
			turn->n_loop_hashes--;
		}
		turn->loop_hashes[turn->n_loop_hashes++] = add[i];
	}
}

/* ---- Results ---- */

static void store_results(oc_toolset *set)
{
	oc_turn *turn = set->turn;
	/* What is said aside is no part of the history. */
	oc_batch *b = turn->aside == NULL ? oc_batch_new(turn->agent->store) : NULL;
	for (int i = 0; i < set->n; i++) {
		oc_toolrun *run = set->slots[i].run;
		const cJSON *kept = run->stored != NULL ? run->stored : run->content;
		oc_auto_free char *content = oc_json_print(run->content), *text = oc_toolrun_text(run->content);
		oc_auto_free char *stored = oc_json_print(kept), *stored_text = oc_toolrun_text(kept);
		if (content == NULL || text == NULL || stored == NULL || stored_text == NULL ||
		    oc_context_add(turn, "tool", content, NULL, run->call_id, run->tool, run->is_error) == NULL) {
			oc_err err = {0};
			oc_batch_free(b);
			(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot keep the tools' results");
			oc_turn_fail(turn, OC_E_NOMEM, &err);
			return;
		}
		if (b != NULL && !run->unwritten)
			oc_batch_message(b, turn->session, "tool_result",
					 &(oc_message){.role = "tool", .content_json = stored, .text = stored_text, .run = turn->run,
						       .tool_call_id = run->call_id, .tool_name = run->tool,
						       .is_error = run->is_error, .tokens = oc_tokens_of(oc_str_of(stored))});
		if (!set->slots[i].not_made)
			remember(turn, set->slots[i].call_hash, text);
	}
	if (turn->aside == NULL)
		oc_turn_store(turn, b);
}

static void finish(oc_toolset *set)
{
	oc_turn *turn = set->turn;
	store_results(set);
	turn->toolset = NULL;
	oc_toolset_free(set);
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (turn->loop_warnings >= REPEAT_STOP) {
		oc_err err = {0};
		(void)oc_fail(&err, OC_E_LIMIT, "ask in another way, or use another model",
			      "the model repeats the same tool calls without getting further");
		oc_turn_fail(turn, OC_E_LIMIT, &err);
		return;
	}
	bool more = oc_take_steering(turn);
	if (turn->state != OC_TURN_RUNNING)
		return;
	if ((turn->yielded || turn->client_calls != NULL) && !more) {
		turn->stop_reason = turn->client_calls != NULL ? "tool_calls" : "yield";
		oc_turn_succeed(turn);
		return;
	}
	turn->yielded = false;
	cJSON_Delete(turn->client_calls); /* somebody said something else meanwhile: the model goes on with that */
	turn->client_calls = NULL;
	oc_turn_call_model(turn);
}

/* ---- Running ---- */

static void pump(oc_toolset *set);

static void on_start(void *arg)
{
	slot *s = arg;
	oc_turn *turn = s->set->turn;
	oc_auto_json cJSON *data = cJSON_CreateObject();
	(void)oc_json_set_str(data, "id", oc_json_str(s->part, "id", ""));
	(void)oc_json_set_str(data, "name", oc_json_str(s->part, "name", ""));
	oc_batch *b = oc_batch_new(turn->agent->store);
	oc_auto_free char *text = oc_json_print(data);
	if (b != NULL)
		oc_batch_event(b, turn->session, "tool_called", turn->run, text);
	oc_batch_lazy(b); /* the answer that asks for it is in the store; this goes along with the result */
	oc_turn_store(turn, b);
}

static void on_progress(void *arg, oc_str piece)
{
	slot *s = arg;
	cJSON *data = cJSON_CreateObject();
	(void)oc_json_set_str(data, "id", oc_json_str(s->part, "id", ""));
	(void)oc_json_set_str(data, "name", oc_json_str(s->part, "name", ""));
	oc_turn_emit(s->set->turn, OC_AGENT_EV_TOOL_PROGRESS, piece, data);
	cJSON_Delete(data);
}

static void slot_over(slot *s)
{
	oc_toolset *set = s->set;
	oc_turn *turn = set->turn;
	s->over = true;
	set->over++;
	oc_turn_emit_data(turn, OC_AGENT_EV_TOOL_END, oc_toolrun_event(s->run));
	oc_auto_free char *text = turn->settings != NULL && turn->aside == NULL ? oc_toolrun_text(s->run->content) : NULL;
	if (text != NULL)
		oc_shown_result(turn, s->run->tool, text, s->run->is_error);
	if (turn->state == OC_TURN_RUNNING && turn->toolset == set)
		pump(set);
}

static void on_done(void *arg, oc_toolrun *run)
{
	slot *s = arg;
	s->run = run;
	s->set->running--;
	slot_over(s);
}

/* The result of a call that is not made here, and why. */
static void answer_call(slot *s, const char *why, bool refused)
{
	oc_toolrun *run = oc_alloc(sizeof *run);
	oc_err err = {0};
	oc_auto_json cJSON *part = cJSON_CreateObject();
	s->not_made = true;
	if (run != NULL) {
		run->call_id = oc_strdup(oc_json_str(s->part, "id", ""));
		run->tool = oc_strdup(oc_json_str(s->part, "name", ""));
		run->content = cJSON_CreateArray();
		run->is_error = run->blocked = refused;
	}
	if (run == NULL || part == NULL || run->call_id == NULL || run->tool == NULL || run->content == NULL) {
		oc_toolrun_free(run);
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot run the tools");
		oc_turn_fail(s->set->turn, OC_E_NOMEM, &err);
		return;
	}
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", why);
	cJSON_AddItemToArray(run->content, part);
	part = NULL;
	s->run = run;
	slot_over(s);
}

static void not_made(slot *s, const char *why)
{
	answer_call(s, why, true);
}

static bool is_clients(const oc_turn *turn, const char *tool)
{
	const cJSON *t;
	cJSON_ArrayForEach(t, turn->client_tools) if (strcmp(oc_json_str(t, "name", ""), tool) == 0) return true;
	return false;
}

/* A tool of the client's: it gets the call, and what comes of it is said with its next message. */
static void hand_over(slot *s)
{
	oc_turn *turn = s->set->turn;
	if (turn->client_calls == NULL)
		turn->client_calls = cJSON_CreateArray();
	cJSON *call = cJSON_Duplicate(s->part, true);
	if (call != NULL && turn->client_calls != NULL && cJSON_AddItemToArray(turn->client_calls, call))
		cJSON_DeleteItemFromObjectCaseSensitive(call, "type");
	else
		cJSON_Delete(call);
	answer_call(s, OC_AGENT_CLIENT_CALL, false);
}

static void start(slot *s)
{
	oc_toolset *set = s->set;
	oc_turn *turn = set->turn;
	const cJSON *args = oc_json_get(s->part, "arguments");
	s->started = true;
	cJSON *data = cJSON_CreateObject();
	(void)oc_json_set_str(data, "id", oc_json_str(s->part, "id", ""));
	(void)oc_json_set_str(data, "name", oc_json_str(s->part, "name", ""));
	(void)oc_json_set(data, "arguments", args != NULL ? cJSON_Duplicate(args, true) : cJSON_CreateObject());
	oc_turn_emit_data(turn, OC_AGENT_EV_TOOL_START, data);
	if (turn->state != OC_TURN_RUNNING || turn->toolset != set)
		return; /* a listener ended the turn */
	if (turn->aside == NULL)
		oc_shown_tool(turn, oc_json_str(s->part, "name", ""), args);
	if (is_clients(turn, oc_json_str(s->part, "name", ""))) {
		hand_over(s);
		return;
	}
	if (times_seen(turn, s->call_hash) >= REPEAT_TELL) {
		turn->loop_warnings++;
		not_made(s, "Not run: you made this very call several times and got the same result each time. Use that "
			    "result, try something else, or tell your user what is in the way.");
		return;
	}
	const cJSON *most = oc_agent_setting(turn->config, turn->agent_id, "maxToolCalls");
	if (cJSON_IsNumber(most) && turn->calls_made >= (int64_t)most->valuedouble) {
		not_made(s, "Not run: no more tools may be called in this turn (agents.defaults.maxToolCalls). Answer with what you have.");
		return;
	}
	turn->calls_made++;
	oc_toolrun_input in = {
		.owner = turn->owner,
		.run = turn->run,
		.trace = turn->trace,
		.session = turn->session,
		.workspace = turn->workspace,
		.call_id = oc_json_str(s->part, "id", ""),
		.tool = oc_json_str(s->part, "name", ""),
		.sender = turn->sender,
		.arguments = cJSON_IsObject(args) ? args : NULL,
		.timeout_ms = oc_turn_remaining(turn),
		.transcript = true,
		.on_start = on_start,
		.on_progress = on_progress,
		.on_done = on_done,
		.arg = s,
	};
	oc_policy_context_of(turn, &in.policy);
	set->running++;
	s->run = oc_toolrun_start(&in);
	if (s->run == NULL) {
		oc_err err = {0};
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot run the tools");
		oc_turn_fail(turn, OC_E_NOMEM, &err);
	}
}

/* Starts what may start now. Slots that end at once call this again: the outermost call does the work. */
static void pump(oc_toolset *set)
{
	oc_turn *turn = set->turn;
	if (set->pumping)
		return;
	set->pumping = true;
	for (bool again = true; again;) {
		again = false;
		bool serial_busy = false;
		for (int i = 0; i < set->n; i++)
			serial_busy |= set->slots[i].serial && set->slots[i].started && !set->slots[i].over;
		for (int i = 0; i < set->n && set->running < PARALLEL_MAX; i++) {
			slot *s = &set->slots[i];
			if (s->started || (s->serial && serial_busy))
				continue;
			start(s);
			if (turn->state != OC_TURN_RUNNING || turn->toolset != set)
				return; /* the set may be gone */
			serial_busy |= s->serial && !s->over;
			again = true;
		}
	}
	set->pumping = false;
	if (set->over == set->n)
		finish(set);
}

static void begin(void *arg)
{
	oc_toolset *set = arg;
	pump(set);
}

void oc_toolset_run(oc_turn *turn, const cJSON *content)
{
	int n = 0;
	const cJSON *part;
	cJSON_ArrayForEach(part, content) n += strcmp(oc_json_str(part, "type", ""), "tool_call") == 0;
	oc_toolset *set = oc_alloc(sizeof *set + (size_t)n * sizeof(slot));
	cJSON *copy = cJSON_Duplicate(content, true);
	if (set == NULL || copy == NULL) {
		oc_err err = {0};
		oc_free(set);
		cJSON_Delete(copy);
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot run the tools");
		oc_turn_fail(turn, OC_E_NOMEM, &err);
		return;
	}
	set->turn = turn;
	set->content = copy;
	cJSON_ArrayForEach(part, copy)
	{
		if (strcmp(oc_json_str(part, "type", ""), "tool_call") != 0)
			continue;
		set->slots[set->n++] = (slot){.set = set, .part = part, .call_hash = hash_call(part),
					      .serial = oc_tool_is_serial(turn->agent, oc_json_str(part, "name", ""))};
	}
	turn->toolset = set;
	if (oc_loop_defer(turn->agent->loop, turn->owner, begin, set) != OC_OK)
		begin(set);
}
