/*
 * sessions_send: a message from one conversation to another.
 *
 * The target answers in a turn of its own; the tool waits for it as long as it was told to.  Then the two may go on in turns
 * (session.agentToAgent.maxPingPongTurns), until one says REPLY_SKIP, and at the end the target may tell its own chat about
 * it unless it says ANNOUNCE_SKIP.  Each of these turns is as durable as any; the going-on is not: a restart ends it.
 */
#include <stdio.h>
#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/session_tools.h"
#include "core/agent/subagent.h"
#include "core/base/id.h"
#include "core/base/log.h"

#define WAIT_SECONDS_DEFAULT 30
#define WAIT_SECONDS_MAX 3600
#define STEP_WAIT_MS (10 * 60 * 1000)
#define PING_PONG_DEFAULT 5

typedef enum phase { PHASE_FIRST = 1, PHASE_PING_PONG, PHASE_ANNOUNCE } phase;

typedef struct exchange {
	struct exchange *next, **at;
	oc_agent *agent;
	oc_call *call; /* NULL: answered */
	phase phase;
	char requester[OC_SESSION_KEY_MAX], target[OC_SESSION_KEY_MAX];
	char id[37], run[37], trace[OC_TRACE_MAX];
	char *message, *first, *latest;
	int64_t left, seconds;
	bool requester_speaks;
} exchange;

static void on_reply(void *arg, oc_status status, const cJSON *result);

static void free_exchange(exchange *x)
{
	oc_agent_wait_end(x->agent, x);
	*x->at = x->next;
	if (x->next != NULL)
		x->next->at = x->at;
	x->agent->n_exchanges--;
	oc_free(x->message);
	oc_free(x->first);
	oc_free(x->latest);
	oc_free(x);
}

void oc_exchanges_free(oc_agent *agent)
{
	while (agent->exchanges != NULL)
		free_exchange(agent->exchanges);
}

static void answer(exchange *x, const char *status, const char *reply, const char *error)
{
	oc_call *call = x->call;
	if (call == NULL)
		return;
	x->call = NULL;
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "runId", x->run);
	oc_json_opt(o, "status", status);
	oc_json_opt(o, "sessionKey", x->target);
	if (reply != NULL)
		(void)oc_json_set_str(o, "reply", reply);
	oc_json_opt(o, "error", error);
	oc_builtin_json(call, o);
}

static bool keep(char **to, const char *text)
{
	char *copy = oc_strdup(text);
	if (copy == NULL)
		return false;
	oc_free(*to);
	*to = copy;
	return true;
}

/* ---- Turns ---- */

static char *rules(const exchange *x, const char *speaker)
{
	bool target = strcmp(speaker, x->target) == 0;
	switch (x->phase) {
	case PHASE_FIRST:
		return oc_asprintf("# Message from another conversation\nThe message below was written by the agent of %s, not by a "
				   "person. Your answer goes back to it.",
				   x->requester);
	case PHASE_PING_PONG:
		return oc_asprintf("# Message from another conversation\nYou (%s) are exchanging messages with %s. Up to %lld more "
				   "turns are left. Answer, or say exactly REPLY_SKIP to end the exchange.",
				   speaker, target ? x->requester : x->target, (long long)x->left);
	case PHASE_ANNOUNCE:
	default:
		return oc_asprintf("# After an exchange with another conversation\nThe agent of %s wrote to you: %s\nYour first answer: "
				   "%s\nThe last word: %s\nWhat you say now is posted to this conversation's chat. Say exactly "
				   "ANNOUNCE_SKIP to post nothing.",
				   x->requester, x->message, x->first, x->latest);
	}
}

static oc_status speak(exchange *x, const char *speaker, const char *text, uint64_t wait_ms, oc_err *err)
{
	oc_auto_free char *system = rules(x, speaker);
	oc_auto_json cJSON *sender = cJSON_CreateObject();
	oc_run_ref ref = {0};
	oc_json_opt(sender, "id", strcmp(speaker, x->target) == 0 ? x->requester : x->target);
	oc_turn_input in = {.session = oc_str_of(speaker), .text = oc_str_of(text), .origin = "sessions_send", .sender = sender,
			    .trace = x->trace, .extra_system = oc_str_of(system != NULL ? system : "")};
	if (oc_subagent_key(speaker))
		in.lane = "subagent";
	oc_status status = oc_agent_submit(x->agent, &in, &ref, err);
	if (status != OC_OK)
		return status;
	memcpy(x->run, ref.run, sizeof x->run);
	return oc_agent_wait(x->agent, x->run, wait_ms, on_reply, x, err);
}

static void posted(void *arg, oc_status status, const oc_err *err)
{
	(void)arg;
	if (status != OC_OK)
		oc_log_err(OC_LOG_WARN, "agent", "what came of an exchange cannot be posted", err);
}

static void post(exchange *x, const char *text)
{
	oc_auto_json cJSON *row = NULL, *message = NULL;
	char key[80], idempotency[64];
	oc_err err = {0};
	if (oc_store_session(x->agent->store, x->target, &row, &err) == OC_OK)
		message = cJSON_Duplicate(oc_json_get(row, "delivery"), true);
	if (message == NULL)
		return;
	(void)oc_json_set_str(message, "text", text);
	(void)oc_json_set_str(message, "session", x->target);
	snprintf(idempotency, sizeof idempotency, "a2a:%s", x->id);
	if (oc_agent_send(x->agent, message, oc_str_of(idempotency), key, posted, NULL, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "agent", "what came of an exchange cannot be posted", &err);
}

static bool has_chat(const exchange *x)
{
	oc_auto_json cJSON *row = NULL;
	return oc_store_session(x->agent->store, x->target, &row, NULL) == OC_OK &&
	       oc_json_str(oc_json_get(row, "delivery"), "channel", "")[0] != 0;
}

static void announce(exchange *x)
{
	oc_err err = {0};
	x->phase = PHASE_ANNOUNCE;
	if (!has_chat(x) || speak(x, x->target, "Now tell your own chat about this exchange, if it should know.", STEP_WAIT_MS, &err) != OC_OK)
		free_exchange(x);
}

static void go_on(exchange *x)
{
	oc_err err = {0};
	if (x->left <= 0) {
		announce(x);
		return;
	}
	x->phase = PHASE_PING_PONG;
	x->left--;
	x->requester_speaks = !x->requester_speaks;
	if (speak(x, x->requester_speaks ? x->requester : x->target, x->latest, STEP_WAIT_MS, &err) != OC_OK)
		free_exchange(x);
}

static void first_reply(exchange *x, oc_status status, const cJSON *result)
{
	const char *outcome = oc_json_str(result, "status", ""), *text = oc_json_str(result, "text", "");
	if (status != OC_OK) {
		answer(x, "timeout", NULL, "no answer in time; it may still come in that session");
		free_exchange(x);
		return;
	}
	if (strcmp(outcome, "ok") != 0) {
		answer(x, "error", NULL, oc_json_str(oc_json_get(result, "error"), "message", outcome));
		free_exchange(x);
		return;
	}
	answer(x, "ok", text, NULL);
	if (text[0] == 0 || strcmp(text, "REPLY_SKIP") == 0 || !keep(&x->first, text) || !keep(&x->latest, text))
		free_exchange(x);
	else
		go_on(x);
}

static void on_reply(void *arg, oc_status status, const cJSON *result)
{
	exchange *x = arg;
	oc_str text = oc_str_trim(oc_json_ostr(result, "text"));
	bool ok = status == OC_OK && strcmp(oc_json_str(result, "status", ""), "ok") == 0;
	switch (x->phase) {
	case PHASE_FIRST:
		first_reply(x, status, result);
		return;
	case PHASE_PING_PONG:
		if (!ok || (text.n > 0 && !oc_str_eqz(text, "REPLY_SKIP") && !keep(&x->latest, text.p)))
			free_exchange(x);
		else if (text.n == 0 || oc_str_eqz(text, "REPLY_SKIP"))
			announce(x);
		else
			go_on(x);
		return;
	case PHASE_ANNOUNCE:
	default:
		if (ok && text.n > 0 && !oc_str_eqz(text, "ANNOUNCE_SKIP"))
			post(x, text.p);
		free_exchange(x);
	}
}

/* ---- The tool ---- */

/* Of the sessions with that label, the one used last. */
static bool by_label(const oc_builtin_call *call, oc_str label, char key[OC_SESSION_KEY_MAX])
{
	oc_auto_json cJSON *all = NULL;
	const char *agent_id = oc_json_str(call->args, "agentId", "");
	oc_auto_free char *text = oc_memdup(label.p, label.n);
	oc_session_filter filter = {.text = text, .agent = agent_id[0] != 0 ? agent_id : NULL, .limit = 1000};
	const cJSON *s;
	if (text == NULL || oc_store_sessions(call->agent->store, &filter, &all, NULL) != OC_OK)
		return false;
	cJSON_ArrayForEach(s, all)
	{
		const char *found = oc_json_str(s, "key", "");
		if (!oc_str_eqz(label, oc_json_str(s, "title", "")) ||
		    !oc_session_visible(call->agent, call->agent->config, call->session, found, NULL))
			continue;
		snprintf(key, OC_SESSION_KEY_MAX, "%s", found);
		return true;
	}
	return false;
}

static oc_status find_target(const oc_builtin_call *call, char key[OC_SESSION_KEY_MAX], oc_err *err)
{
	oc_str session = oc_json_ostr(call->args, "sessionKey"), label = oc_json_ostr(call->args, "label");
	char why[200];
	if (session.n > 0 && label.n > 0)
		return oc_fail(err, OC_E_INVALID, NULL, "give either sessionKey or label, not both");
	if (session.n == 0 && label.n == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "sessionKey or label is needed");
	if (label.n > 0 && !by_label(call, label, key))
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "no session with that label can be reached");
	if (session.n > 0) {
		oc_status status = oc_session_key_resolve(session, call->agent_id, oc_agent_main_key(call->agent->config), key, err);
		if (status != OC_OK)
			return status;
	}
	if (!oc_session_visible(call->agent, call->agent->config, call->session, key, why))
		return oc_fail(err, OC_E_DENIED, NULL, "%s", why);
	if (strcmp(key, call->session) == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "a session cannot write to itself");
	oc_auto_json cJSON *row = NULL;
	return oc_store_session(call->agent->store, key, &row, err);
}

static void refuse(oc_call *call, const oc_err *err)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", err->code == OC_E_DENIED ? "forbidden" : "error");
	oc_json_opt(o, "error", err->text);
	oc_builtin_json(call, o);
}

static void invoke(const oc_builtin_call *call)
{
	oc_agent *agent = call->agent;
	char key[OC_SESSION_KEY_MAX];
	oc_err err = {0};
	int64_t seconds = oc_json_i64(call->args, "timeoutSeconds", WAIT_SECONDS_DEFAULT);
	int64_t turns = oc_config_i64(agent->config, "session.agentToAgent.maxPingPongTurns", PING_PONG_DEFAULT);
	oc_status status = find_target(call, key, &err);
	if (status == OC_OK && agent->n_exchanges >= OC_AGENT_EXCHANGES_MAX) {
		oc_queue_refused(OC_QUEUE_session_exchanges);
		status = oc_fail(&err, OC_E_BUSY, NULL, "too many messages between sessions are under way");
	}
	exchange *x = status == OC_OK ? oc_alloc(sizeof *x) : NULL;
	if (x == NULL) {
		if (status == OC_OK)
			(void)oc_fail(&err, OC_E_NOMEM, NULL, "out of memory");
		refuse(call->call, &err);
		return;
	}
	*x = (exchange){.agent = agent, .call = call->call, .phase = PHASE_FIRST,
			.left = turns < 0 ? 0 : turns > PING_PONG_DEFAULT ? PING_PONG_DEFAULT : turns};
	x->seconds = seconds < 0 ? 0 : seconds > WAIT_SECONDS_MAX ? WAIT_SECONDS_MAX : seconds;
	x->next = agent->exchanges;
	if (x->next != NULL)
		x->next->at = &x->next;
	x->at = &agent->exchanges;
	agent->exchanges = x;
	agent->n_exchanges++;
	oc_id_uuid(x->id);
	snprintf(x->trace, sizeof x->trace, "%s", oc_trace_now());
	memcpy(x->target, key, sizeof key);
	snprintf(x->requester, sizeof x->requester, "%s", call->session);
	const char *message = oc_json_str(call->args, "message", "");
	status = keep(&x->message, message) ? OC_OK : oc_fail(&err, OC_E_NOMEM, NULL, "out of memory");
	if (status == OC_OK)
		status = speak(x, x->target, message, x->seconds > 0 ? (uint64_t)x->seconds * 1000 : STEP_WAIT_MS, &err);
	if (status != OC_OK) {
		refuse(x->call, &err);
		free_exchange(x);
	} else if (x->seconds == 0) {
		answer(x, "accepted", NULL, NULL);
	}
}

static void cancel(oc_agent *agent, oc_call *call)
{
	for (exchange *x = agent->exchanges; x != NULL; x = x->next)
		if (x->call == call) {
			free_exchange(x); /* what was sent stays sent */
			return;
		}
}

const oc_builtin_tool oc_tool_sessions_send = {
	.name = "sessions_send",
	.spec = "{\"name\":\"sessions_send\",\"group\":\"sessions\",\"description\":\"Send a message to another conversation and wait "
		"for its answer.\",\"timeoutMs\":3660000,\"parameters\":{\"type\":\"object\",\"properties\":{\"sessionKey\":{\"type\":"
		"\"string\"},\"label\":{\"type\":\"string\",\"maxLength\":128,\"description\":\"Instead of the key\"},\"agentId\":{"
		"\"type\":\"string\",\"maxLength\":64,\"description\":\"Whose label\"},\"message\":{\"type\":\"string\",\"minLength\":1,"
		"\"maxLength\":262144},\"timeoutSeconds\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"How long to wait for the "
		"answer (30); 0: not at all\"}},\"required\":[\"message\"]}}",
	.invoke = invoke,
	.cancel = cancel,
};
