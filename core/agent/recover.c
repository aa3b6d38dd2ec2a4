/*
 * A run is open in the store from the commit that accepted its message to the commit that has its answer.  What a process
 * leaves open, the next one takes up:
 *
 *   nothing of it is in the history    its message is worked on as if it had just come
 *   its message, or results of tools   it goes on from there: the model is asked with what the history has
 *   an answer that calls tools         reported: it is not known whether they took effect, so they are not run again;
 *                                      but where all of them are the agent's own that may be repeated, they are
 *
 * A turn that takes the process down with it must not do so for ever: after ATTEMPTS_MAX crashes it is reported.  From the
 * second one on such turns run one at a time (OC_LANE_SUSPECT), so that the innocent ones get through.
 */
#include "core/agent/recover.h"

#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/turn.h"
#include "core/base/fault.h"
#include "core/base/log.h"

#define ATTEMPTS_MAX 3
#define ROWS_MAX 2000 /* of one run */

/* ---- What a run left in the history ---- */

typedef enum progress {
	NOTHING_DONE = 1,
	CAN_GO_ON,
	TOOLS_UNKNOWN, /* an answer with calls whose results are not there */
	ANSWERED,      /* its last words are there, but not its end */
	UNREADABLE     /* nobody knows: not now */
} progress;

typedef struct look {
	const char *run;
	progress found;
	int n;
	bool failed;
} look;

/* ret_repeatable: all of them may be made again. */
static bool has_calls(const char *content_json, bool *ret_repeatable)
{
	oc_auto_json cJSON *content = content_json[0] != 0 ? cJSON_Parse(content_json) : NULL;
	const cJSON *part;
	bool any = false;
	*ret_repeatable = true;
	cJSON_ArrayForEach(part, content)
	{
		if (strcmp(oc_json_str(part, "type", ""), "tool_call") != 0)
			continue;
		const oc_builtin_tool *tool = oc_builtin_find(oc_json_str(part, "name", ""));
		*ret_repeatable = *ret_repeatable && tool != NULL && tool->repeatable;
		any = true;
	}
	return any;
}

/* The newest message of the run decides; notes of the gateway are none. */
static bool on_last(void *arg, const oc_message_row *row)
{
	look *l = arg;
	if (strcmp(row->role, "system") == 0)
		return ++l->n < ROWS_MAX;
	if (strcmp(row->run, l->run) != 0)
		return false;
	unsigned long refused = oc_mem_refused();
	bool repeatable = false;
	l->found = strcmp(row->role, "assistant") != 0		    ? CAN_GO_ON
		   : !has_calls(row->content_json, &repeatable)	    ? ANSWERED
		   : repeatable					    ? CAN_GO_ON
								    : TOOLS_UNKNOWN;
	l->failed = refused != oc_mem_refused();
	return false;
}

static progress look_at(oc_agent *agent, const char *run, const char *session)
{
	look l = {.run = run, .found = NOTHING_DONE};
	oc_err err = {0};
	oc_status status = oc_store_each_message(agent->store, session, on_last, &l, &err);
	if (status == OC_OK && l.failed)
		status = oc_fail(&err, OC_E_NOMEM, NULL, "there is no memory for a message");
	if (status == OC_OK || status == OC_E_NOT_FOUND)
		return l.found;
	oc_log_err(OC_LOG_ERROR, "agent", "what a run did cannot be read; it is taken up at the next start", &err);
	return UNREADABLE;
}

/* ---- Reporting ---- */

/* The notice's row, in the commit that ends the run: a run that is over was reported, whatever happens to this process. */
static void put_notice(oc_batch *b, const char *key, const char *session, const cJSON *deliver, const char *text)
{
	oc_auto_json cJSON *message = cJSON_Duplicate(deliver, true);
	oc_json_opt(message, "session", session);
	bool whole = oc_json_set_str(message, "text", text);
	oc_auto_free char *json = whole ? oc_json_print(message) : NULL;
	if (json != NULL)
		oc_batch_outbox_put(b, key, session, NULL, oc_json_str(message, "channel", ""),
				    oc_json_str(message, "account", "default"), json);
	else
		oc_batch_spoil(b);
}

typedef struct notice {
	oc_agent *agent;
	char key[60];
} notice;

static void reported(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	notice *n = arg;
	if (status == OC_OK && n->key[0] != 0)
		oc_outbound_kick(n->agent, n->key);
	else if (status != OC_OK)
		oc_log_err(OC_LOG_ERROR, "agent", "an interrupted answer is reported at the next start", err);
	oc_free(n);
}

static void put_report(oc_batch *b, const char *run, const char *session, const char *words)
{
	oc_auto_json cJSON *result = cJSON_CreateObject(), *data = cJSON_CreateObject();
	oc_json_opt(result, "status", "interrupted");
	(void)oc_json_set_str(result, "text", "");
	cJSON *error = cJSON_AddObjectToObject(result, "error");
	oc_json_opt(error, "code", oc_status_name(OC_E_RETRY));
	oc_json_opt(error, "message", words);
	oc_json_opt(data, "state", "interrupted");
	oc_json_opt(data, "message", words);
	oc_auto_free char *json = oc_json_print(result), *event = oc_json_print(data);
	oc_batch_run_state(b, run, "interrupted", json);
	oc_batch_event(b, session, "state_changed", run, event);
}

static void report(oc_agent *agent, const char *run, const char *session, const cJSON *input, const char *words)
{
	const cJSON *deliver = oc_json_get(input, "deliver");
	oc_err err = {0};
	notice *n = oc_alloc(sizeof *n);
	oc_batch *b = oc_batch_new(agent->store);
	if (n != NULL && b != NULL) {
		n->agent = agent;
		put_report(b, run, session, words);
		if (cJSON_IsObject(deliver)) {
			snprintf(n->key, sizeof n->key, "int:%s", run);
			put_notice(b, n->key, session, deliver, words);
		}
	} else {
		oc_batch_free(b);
		b = NULL;
	}
	if (oc_batch_commit(b, reported, n, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "agent", "an interrupted answer is reported at the next start", &err);
		oc_free(n);
		return;
	}
	agent->stats.turns_interrupted++;
}

/* ---- Taking up ---- */

static oc_status take_up(oc_agent *agent, const cJSON *r, bool resumed, oc_err *err)
{
	const cJSON *input = oc_json_get(r, "input");
	const char *queue = oc_json_str(input, "queue", NULL);
	oc_turn_input in = {
		.session = oc_json_ostr(r, "session"),
		.text = oc_json_ostr(input, "text"),
		.media = oc_json_get(input, "media"),
		.origin = oc_json_str(input, "origin", "recovered"),
		.trace = oc_json_str(input, "trace", NULL),
		.model = oc_json_ostr(input, "model"),
		.thinking = oc_json_ostr(input, "thinking"),
		.extra_system = oc_json_ostr(input, "extraSystem"),
		.deliver = oc_json_get(input, "deliver"),
		.sender = oc_json_get(input, "sender"),
		.timeout_ms = (uint64_t)oc_json_i64(input, "timeoutMs", 0),
		.lane = oc_json_str(input, "lane", NULL),
		.queue = queue != NULL && strcmp(queue, "default") == 0 ? "" : queue,
		.restricted = oc_json_bool(input, "restricted", false),
		.no_tools = oc_json_bool(input, "noTools", false),
		.light_context = oc_json_bool(input, "lightContext", false),
		.max_tokens = oc_json_i64(input, "maxTokens", 0),
		.temperature = oc_json_num(input, "temperature", 0),
		.has_temperature = oc_json_get(input, "temperature") != NULL,
	};
	oc_recovery recovery = {
		.run = oc_json_str(r, "run", ""),
		.attempts = (unsigned)oc_json_i64(r, "attempts", 0),
		.input = input,
		.resumed = resumed,
	};
	oc_run_ref ref;
	return oc_turn_submit(agent, &in, NULL, NULL, NULL, &recovery, &ref, err);
}

/* true: it is taken up. */
static bool recover_run(oc_agent *agent, const cJSON *r)
{
	const char *run = oc_json_str(r, "run", ""), *session = oc_json_str(r, "session", "");
	const cJSON *input = oc_json_get(r, "input");
	bool crashed = strcmp(oc_json_str(r, "state", ""), "running") == 0;
	int64_t attempts = oc_json_i64(r, "attempts", 0);
	progress found = look_at(agent, run, session);
	char words[300];
	/* Taken for one that did nothing, its message would be in the history twice. */
	if (found == UNREADABLE)
		return true;
	if (found == TOOLS_UNKNOWN) {
		snprintf(words, sizeof words,
			 "I was interrupted before I could finish my answer (the gateway stopped while a tool was at work, and "
			 "it is not known whether that took effect). Ask again, or say \"go on\".");
	} else if (found == ANSWERED || !cJSON_IsObject(input) || oc_json_bool(input, "ownHistory", false)) {
		/* The last: a client's request with a history of its own, which went with its connection. */
		snprintf(words, sizeof words,
			 "I was interrupted before I could finish my answer (the gateway stopped). Ask again, or say \"go on\".");
	} else if (crashed && attempts >= ATTEMPTS_MAX) {
		snprintf(words, sizeof words,
			 "I gave this message up: the gateway stopped %lld times while I worked on it. Ask in another way; "
			 "`openclaw logs` may tell what is wrong.",
			 (long long)attempts);
		oc_error("agent", "%s: the run %s is given up, the gateway stopped %lld times during it", session, run,
			 (long long)attempts);
	} else {
		oc_err err = {0};
		oc_status status = take_up(agent, r, found == CAN_GO_ON, &err);
		if (status == OC_OK)
			return true;
		oc_log_err(OC_LOG_ERROR, "agent", "an accepted message cannot be taken up", &err);
		/* What passes does not end it: its run stays open for the next start. */
		if (status == OC_E_UNAVAILABLE || status == OC_E_BUSY || status == OC_E_NOMEM || status == OC_E_IO)
			return true;
		snprintf(words, sizeof words, "I could not take your message up again: %.200s", err.text);
	}
	report(agent, run, session, input, words);
	return false;
}

void oc_recover(oc_agent *agent)
{
	oc_auto_json cJSON *runs = NULL;
	oc_err err = {0};
	int again = 0, reported = 0;
	if (agent->draining)
		return; /* stopped while it started: the next one does it */
	if (oc_store_open_runs(agent->store, &runs, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "agent", "what the last process left cannot be read", &err);
		return;
	}
	const cJSON *r;
	cJSON_ArrayForEach(r, runs)
	{
		if (oc_map_find(&agent->runs, oc_json_str(r, "run", "")) != NULL)
			continue; /* of this process */
		OC_FAULT_POINT("recover-run");
		if (recover_run(agent, r))
			again++;
		else
			reported++;
	}
	agent->stats.turns_resumed += (uint64_t)again;
	if (again + reported > 0)
		oc_info("agent", "left by the last process: %d turn%s taken up, %d reported", again,
			again == 1 ? " is" : "s are", reported);
}

/* ---- Going on ---- */

typedef struct own_row {
	struct own_row *newer;
	const char *role, *content, *model, *tool_call_id, *tool_name, *text;
	bool is_error;
} own_row;

typedef struct loading {
	oc_turn *turn;
	own_row *oldest;
	int n;
} loading;

static const char *content_of(oc_turn *turn, const oc_message_row *row)
{
	if (row->content_json[0] != 0)
		return oc_turn_text(turn, row->content_json);
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_MESSAGE_MAX * 8);
	oc_sbuf_z(&b, "[{\"type\":\"text\",\"text\":");
	oc_sbuf_json(&b, oc_str_of(row->text));
	oc_sbuf_z(&b, "}]");
	const char *content = b.error == OC_OK ? oc_turn_text(turn, b.p) : "[]";
	oc_sbuf_free(&b);
	return content;
}

static bool on_own(void *arg, const oc_message_row *row)
{
	loading *l = arg;
	oc_turn *turn = l->turn;
	if (strcmp(row->role, "system") == 0)
		return ++l->n < ROWS_MAX;
	if (strcmp(row->run, turn->run) != 0 || ++l->n > ROWS_MAX)
		return false;
	own_row *own = oc_arena_alloc(turn->arena, sizeof *own);
	if (own == NULL) {
		turn->store_status = OC_E_NOMEM;
		return false;
	}
	*own = (own_row){
		.newer = l->oldest,
		.role = strcmp(row->role, "tool") == 0 ? "tool" : strcmp(row->role, "user") == 0 ? "user" : "assistant",
		.content = content_of(turn, row),
		.model = oc_turn_text(turn, row->model),
		.tool_call_id = oc_turn_text(turn, row->tool_call_id),
		.tool_name = oc_turn_text(turn, row->tool_name),
		.text = oc_turn_text(turn, row->text),
		.is_error = row->is_error,
	};
	l->oldest = own;
	return true;
}

oc_status oc_recover_messages(oc_turn *turn, oc_err *err)
{
	loading l = {.turn = turn};
	oc_status status = oc_store_each_message(turn->agent->store, turn->session, on_own, &l, err);
	if (status != OC_OK)
		return status;
	for (const own_row *r = l.oldest; r != NULL; r = r->newer) {
		if (oc_context_add(turn, r->role, r->content, r->model, r->tool_call_id, r->tool_name, r->is_error) == NULL)
			turn->store_status = OC_E_NOMEM;
		if (strcmp(r->role, "assistant") == 0 && r->text[0] != 0)
			oc_sbuf_printf(&turn->reply, "%s%s", turn->reply.n > 0 ? "\n\n" : "", r->text);
	}
	if (turn->store_status != OC_OK)
		return oc_fail(err, turn->store_status, NULL, "cannot take the turn up again");
	const own_row *last = l.oldest;
	while (last != NULL && last->newer != NULL)
		last = last->newer;
	/* An answer whose calls are to be made again. */
	if (last != NULL && strcmp(last->role, "assistant") == 0) {
		turn->calls_json = last->content;
		turn->calls = cJSON_Parse(last->content);
		if (turn->calls == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the turn up again");
	}
	return turn->own != NULL ? OC_OK : oc_fail(err, OC_E_NOT_FOUND, NULL, "what the turn had done is gone");
}
