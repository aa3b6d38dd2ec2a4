/* session.*: talking to the agent, and what was said. */
#include <stdio.h>
#include <string.h>

#include "core/agent/journal.h"
#include "core/base/mem.h"
#include "core/gateway/events.h"
#include "core/gateway/gateway.h"

#define SESSION_PARAM "\"session\":{\"type\":\"string\",\"maxLength\":512}"
#define OBJECT(members) "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" members "}}"
#define OBJECT_REQ(required, members) \
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[" required "],\"properties\":{" members "}}"

static oc_agent *agent_of(const oc_method_call *call)
{
	return oc_method_gateway(call)->agent;
}

/* Answers with what a reader function returned. */
static void answer(oc_method_call *call, oc_status status, const char *name, cJSON *value, const oc_err *err)
{
	if (status != OC_OK) {
		oc_method_fail(call, err);
		return;
	}
	if (name == NULL) {
		oc_method_reply(call, value);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	if (result == NULL)
		cJSON_Delete(value);
	else
		oc_json_set(result, name, value);
	oc_method_reply(call, result);
}

/* ---- session.message ---- */

struct turn {
	oc_method_call *call;
	bool stream;
	oc_run_ref ref;
};

static cJSON *accepted(const oc_run_ref *ref)
{
	cJSON *result = cJSON_CreateObject();
	oc_json_set_str(result, "runId", ref->run);
	oc_json_set_str(result, "session", ref->session);
	return result;
}

/* Answers with DONE's data; a turn that failed is an error, not a result that says so. */
static void reply_done(struct turn *t, const cJSON *data)
{
	const cJSON *error = oc_json_get(data, "error");
	if (cJSON_IsObject(error)) {
		oc_err err;
		char remedy[sizeof err.remedy];
		const char *what = oc_json_str(error, "remedy", "");
		snprintf(remedy, sizeof remedy, "%.200s%s(reference: %.12s)", what, what[0] != 0 ? " " : "", oc_json_str(data, "trace", ""));
		oc_fail(&err, oc_status_by_name(oc_json_str(error, "code", "internal")), remedy, "%s",
			oc_json_str(error, "message", "the turn failed"));
		oc_method_fail(t->call, &err);
	} else {
		cJSON *result = accepted(&t->ref);
		const cJSON *member;
		cJSON_ArrayForEach(member, data) oc_json_set(result, member->string, cJSON_Duplicate(member, true));
		oc_method_reply(t->call, result);
	}
	oc_free(t);
}

static void on_event(void *arg, const oc_agent_event *event)
{
	struct turn *t = arg;
	if (t->stream)
		oc_events_send(oc_method_client(t->call), event, 0);
	if (event->type == OC_AGENT_EV_DONE)
		reply_done(t, event->data);
}

static void on_wait(void *arg, oc_status status, const cJSON *result)
{
	struct turn *t = arg;
	if (status == OC_OK) {
		reply_done(t, result);
		return;
	}
	oc_method_failf(t->call, status, NULL, "waiting for run %s: %s", t->ref.run, oc_status_text(status));
	oc_free(t);
}

static void session_message(oc_method_call *call, const cJSON *params)
{
	bool wait = oc_json_bool(params, "wait", true);
	const char *queue = oc_json_str(params, "queue", NULL);
	struct turn *t = oc_alloc(sizeof *t);
	if (t == NULL) {
		oc_method_failf(call, OC_E_NOMEM, NULL, "session.message: out of memory");
		return;
	}
	t->call = call;
	char parent[OC_TRACE_MAX] = "";
	(void)oc_trace_parse(oc_json_ostr(params, "traceparent"), parent);
	t->stream = oc_json_bool(params, "stream", false) && oc_method_client(call)->can_events;
	char peer[OC_GATEWAY_PEER_MAX];
	oc_turn_input input = {
		.session = oc_json_ostr(params, "session"),
		.client = oc_gateway_peer(oc_method_client(call)->peer, peer),
		.agent = oc_json_ostr(params, "agent"),
		.text = oc_json_ostr(params, "text"),
		.media = oc_json_get(params, "media"),
		.origin = "rpc",
		.restricted = oc_text_lacks_word(oc_json_ostr(params, "text"), oc_method_client(call)->scopes),
		.model = oc_json_ostr(params, "model"),
		.thinking = oc_json_ostr(params, "thinking"),
		.timeout_ms = (uint64_t)oc_json_i64(params, "timeoutMs", 0),
		.idempotency = oc_json_ostr(params, "idempotencyKey"),
		.trace = parent[0] != 0 ? parent : oc_method_client(call)->trace,
		.queue = queue != NULL && strcmp(queue, "default") == 0 ? "" : queue,
		.on_event = wait ? on_event : NULL,
		.arg = wait ? t : NULL,
	};
	oc_err err = {0};
	if (oc_agent_submit(agent_of(call), &input, &t->ref, &err) != OC_OK) {
		oc_method_fail(call, &err);
		oc_free(t);
	} else if (!wait) {
		cJSON *result = accepted(&t->ref);
		oc_json_set_str(result, "status", t->ref.duplicate ? "duplicate" : "accepted");
		oc_method_reply(call, result);
		oc_free(t);
	} else if (t->ref.duplicate) {
		uint64_t ms = input.timeout_ms != 0 ? input.timeout_ms : 600000;
		if (oc_agent_wait(agent_of(call), t->ref.run, ms, on_wait, t, &err) != OC_OK) {
			oc_method_fail(call, &err);
			oc_free(t);
		}
	}
}

const oc_method oc_method_session_message = {
	"session.message", OC_SCOPE_WRITE,
	"sends a message to the agent; answers when the turn is over, with stream:true sends events meanwhile (WebSocket)",
	OBJECT_REQ("\"text\"",
		   SESSION_PARAM
		   ",\"text\":{\"type\":\"string\",\"minLength\":1},\"agent\":{\"type\":\"string\"},\"model\":{\"type\":\"string\"},"
		   "\"thinking\":{\"enum\":[\"off\",\"minimal\",\"low\",\"medium\",\"high\"]},"
		   "\"queue\":{\"enum\":[\"default\",\"collect\",\"followup\",\"steer\",\"steer-backlog\",\"interrupt\"]},"
		   "\"media\":{\"type\":\"array\",\"maxItems\":10,\"items\":{\"type\":\"object\"}},"
		   "\"stream\":{\"type\":\"boolean\"},\"wait\":{\"type\":\"boolean\"},"
		   "\"timeoutMs\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":86400000},"
		   "\"traceparent\":{\"type\":\"string\",\"maxLength\":200},"
		   "\"idempotencyKey\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}"),
	session_message};

static void session_cancel(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	oc_str run = oc_json_ostr(params, "runId");
	int count = 1;
	oc_status status = run.n > 0 ? oc_agent_cancel(agent_of(call), run.p, &err)
				     : oc_agent_cancel_session(agent_of(call), oc_json_ostr(params, "session"), &count, &err);
	if (status != OC_OK && status != OC_E_NOT_FOUND) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	oc_json_set_i64(result, "canceled", status == OC_OK ? count : 0);
	oc_method_reply(call, result);
}

const oc_method oc_method_session_cancel = {"session.cancel", OC_SCOPE_WRITE,
					    "asks a run, or all runs of a session, to end",
					    OBJECT(SESSION_PARAM ",\"runId\":{\"type\":\"string\"}"), session_cancel};

/* ---- Readers ---- */

static void session_list(oc_method_call *call, const cJSON *params)
{
	oc_session_filter filter = {
		.agent = oc_json_str(params, "agent", NULL),
		.channel = oc_json_str(params, "channel", NULL),
		.kind = oc_json_str(params, "kind", NULL),
		.state = oc_json_str(params, "state", NULL),
		.text = oc_json_str(params, "text", NULL),
		.active_since_ms = oc_json_i64(params, "activeSince", 0),
		.limit = oc_json_i64(params, "limit", 100),
		.offset = oc_json_i64(params, "offset", 0),
	};
	cJSON *list = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_sessions(agent_of(call), &filter, &list, &err);
	answer(call, status, "sessions", list, &err);
}

#define LIMIT_PARAM "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}"
const oc_method oc_method_session_list = {
	"session.list", OC_SCOPE_READ, "lists sessions, newest activity first",
	OBJECT("\"agent\":{\"type\":\"string\"},\"channel\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\"},"
	       "\"activeSince\":{\"type\":\"integer\",\"minimum\":0},\"state\":{\"enum\":[\"active\",\"ended\"]},\"text\":{\"type\":\"string\"}," LIMIT_PARAM
	       ",\"offset\":{\"type\":\"integer\",\"minimum\":0}"),
	session_list};

static void session_get(oc_method_call *call, const cJSON *params)
{
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_session(agent_of(call), oc_json_ostr(params, "session"), &value, &err);
	answer(call, status, NULL, value, &err);
}

const oc_method oc_method_session_get = {"session.get", OC_SCOPE_READ, "tells about one session", OBJECT(SESSION_PARAM),
					 session_get};

static void session_history(oc_method_call *call, const cJSON *params)
{
	oc_history_filter filter = {
		.before_seq = oc_json_i64(params, "before", 0),
		.after_seq = oc_json_i64(params, "after", 0),
		.limit = oc_json_i64(params, "limit", 100),
		.all_epochs = oc_json_bool(params, "all", false),
		.no_tools = !oc_json_bool(params, "tools", true),
	};
	cJSON *list = NULL;
	oc_err err = {0};
	oc_status status =
		oc_agent_history(agent_of(call), oc_json_ostr(params, "session"), &filter, &list, &err);
	answer(call, status, "messages", list, &err);
}

const oc_method oc_method_session_history = {
	"session.history", OC_SCOPE_READ, "the messages of a session, oldest first",
	OBJECT(SESSION_PARAM ",\"before\":{\"type\":\"integer\",\"minimum\":0},\"after\":{\"type\":\"integer\",\"minimum\":0},"
			     "\"all\":{\"type\":\"boolean\"},\"tools\":{\"type\":\"boolean\"}," LIMIT_PARAM),
	session_history};

static void session_events(oc_method_call *call, const cJSON *params)
{
	cJSON *list = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_session_events(agent_of(call), oc_json_ostr(params, "session"),
						   oc_json_i64(params, "after", 0), oc_json_i64(params, "limit", 100),
						   &list, &err);
	answer(call, status, "events", list, &err);
}

const oc_method oc_method_session_events = {
	"session.events", OC_SCOPE_READ, "the stored events of a session, by sequence number",
	OBJECT(SESSION_PARAM ",\"after\":{\"type\":\"integer\",\"minimum\":0}," LIMIT_PARAM), session_events};

static void session_search(oc_method_call *call, const cJSON *params)
{
	oc_search_filter filter = {
		.agent = oc_json_str(params, "agent", NULL),
		.session = oc_json_str(params, "session", NULL),
		.role = oc_json_str(params, "role", NULL),
		.since_ms = oc_json_i64(params, "since", 0),
		.until_ms = oc_json_i64(params, "until", 0),
		.limit = oc_json_i64(params, "limit", 20),
	};
	cJSON *list = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_search(agent_of(call), oc_json_ostr(params, "query"), &filter, &list, &err);
	answer(call, status, "matches", list, &err);
}

const oc_method oc_method_session_search = {
	"session.search", OC_SCOPE_READ,
	"finds messages by their words, newest first: all words, \"a phrase\", begin*, -without",
	OBJECT_REQ("\"query\"",
		   "\"query\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1000},\"agent\":{\"type\":\"string\"},"
		   "\"role\":{\"enum\":[\"user\",\"assistant\",\"tool\",\"system\"]},"
		   "\"since\":{\"type\":\"integer\",\"minimum\":0},\"until\":{\"type\":\"integer\",\"minimum\":0}," SESSION_PARAM
		   ",\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200}"),
	session_search};

static void session_stats(oc_method_call *call, const cJSON *params)
{
	cJSON *value = NULL;
	oc_err err = {0};
	oc_status status = oc_agent_usage(agent_of(call), oc_json_ostr(params, "session"), oc_json_i64(params, "days", 0),
					  &value, &err);
	answer(call, status, NULL, value, &err);
}

const oc_method oc_method_session_stats = {
	"session.stats", OC_SCOPE_READ, "tokens and cost of one session or of all",
	OBJECT(SESSION_PARAM ",\"days\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":3660}"), session_stats};

/* ---- Changes ---- */

static void on_changed(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	oc_method_call *call = arg;
	if (status != OC_OK) {
		oc_method_fail(call, err);
		return;
	}
	oc_method_reply(call, result != NULL ? cJSON_Duplicate(result, true) : cJSON_CreateObject());
}

static void session_create(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	oc_status status = oc_agent_session_put(agent_of(call), oc_json_ostr(params, "session"),
						oc_json_ostr(params, "agent"),
						&(oc_session_put){.title = oc_json_str(params, "title", NULL), .model = oc_json_str(params, "model", NULL),
								  .thinking = oc_json_str(params, "thinking", NULL)},
						on_changed, call, &err);
	if (status != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_session_create = {
	"session.create", OC_SCOPE_WRITE, "makes a session, or changes the title, model or thinking level of one",
	OBJECT(SESSION_PARAM ",\"agent\":{\"type\":\"string\"},\"title\":{\"type\":\"string\",\"maxLength\":200},"
			     "\"model\":{\"type\":\"string\"},\"thinking\":{\"type\":\"string\"}"),
	session_create};

#define CHANGE(verb, call_it, summary)                                                            \
	static void session_##verb(oc_method_call *call, const cJSON *params)                     \
	{                                                                                         \
		oc_err err = {0};                                                                 \
		oc_str session = oc_json_ostr(params, "session");                                 \
		if ((call_it) != OC_OK)                                                           \
			oc_method_fail(call, &err);                                               \
	}                                                                                         \
	const oc_method oc_method_session_##verb = {"session." #verb, OC_SCOPE_WRITE, summary,    \
						    OBJECT_REQ("\"session\"", SESSION_PARAM), session_##verb};

CHANGE(reset, oc_agent_session_reset(agent_of(call), session, "request", on_changed, call, &err),
       "begins the session's history anew; the old messages are kept")
CHANGE(end, oc_agent_session_end(agent_of(call), session, "request", on_changed, call, &err), "ends a session")
CHANGE(delete, oc_agent_session_delete(agent_of(call), session, on_changed, call, &err),
       "removes a session and all its messages")

/* ---- Journals in the storage ---- */

static void on_stored(void *arg, oc_status status, cJSON *result, const oc_err *err)
{
	answer(arg, status, "journals", result, err);
	if (status != OC_OK)
		cJSON_Delete(result);
}

static void session_stored(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	(void)params;
	if (oc_journal_list(agent_of(call), on_stored, call, &err) != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_session_stored = {"session.stored", OC_SCOPE_READ, "the journals of sessions that the storage holds",
					    OBJECT(""), session_stored};

static void on_restored(void *arg, oc_status status, cJSON *result, const oc_err *err)
{
	answer(arg, status, NULL, result, err);
}

static void session_restore(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	if (oc_journal_restore(agent_of(call), oc_json_ostr(params, "session"), oc_json_ostr(params, "as"), on_restored, call, &err) != OC_OK)
		oc_method_fail(call, &err);
}

const oc_method oc_method_session_restore = {
	"session.restore", OC_SCOPE_WRITE, "brings a session back from the storage, as it was, under its own name or as another",
	OBJECT_REQ("\"session\"", SESSION_PARAM ",\"as\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":512}"), session_restore};

/* ---- events.* ---- */

static void events_subscribe(oc_method_call *call, const cJSON *params)
{
	oc_client *client = oc_method_client(call);
	if (!client->can_events) {
		oc_method_failf(call, OC_E_STATE, "connect to /ws", "events need a WebSocket connection");
		return;
	}
	oc_err err = {0};
	char key[OC_SESSION_KEY_MAX];
	oc_str session = oc_json_ostr(params, "session");
	if (session.n > 0 && oc_session_key_resolve(session, "main", "main", key, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	char types[512] = "";
	const cJSON *type;
	cJSON_ArrayForEach(type, oc_json_get(params, "types"))
	{
		size_t n = strlen(types);
		snprintf(types + n, sizeof types - n, "%s,", type->valuestring);
	}
	uint64_t id = oc_events_subscribe(client, session.n > 0 ? key : NULL, oc_json_str(params, "runId", NULL), types);
	if (id == 0) {
		oc_method_failf(call, OC_E_LIMIT, "end some with events.unsubscribe", "too many subscriptions");
		return;
	}
	cJSON *result = cJSON_CreateObject();
	oc_json_set_i64(result, "subscription", (int64_t)id);
	oc_method_reply(call, result);
}

const oc_method oc_method_events_subscribe = {
	"events.subscribe", OC_SCOPE_READ, "sends `event` notifications for all sessions, or one session or run",
	OBJECT(SESSION_PARAM ",\"runId\":{\"type\":\"string\"},\"types\":{\"type\":\"array\",\"maxItems\":20,\"items\":{\"enum\":["
			     "\"accepted\",\"start\",\"text\",\"thinking\",\"tool_start\",\"tool_progress\",\"tool_end\",\"usage\","
			     "\"notice\",\"reply\",\"error\",\"done\",\"session\",\"delivery\",\"channel\",\"pairing\",\"plugin\"]}}"),
	events_subscribe};

static void events_unsubscribe(oc_method_call *call, const cJSON *params)
{
	uint64_t id = (uint64_t)oc_json_i64(params, "subscription", 0);
	if (!oc_events_unsubscribe(oc_method_client(call), id)) {
		oc_method_failf(call, OC_E_NOT_FOUND, NULL, "this connection has no subscription %llu",
				(unsigned long long)id);
		return;
	}
	oc_method_reply_text(call, OC_STR("{}"));
}

const oc_method oc_method_events_unsubscribe = {
	"events.unsubscribe", OC_SCOPE_READ, "ends a subscription",
	OBJECT_REQ("\"subscription\"", "\"subscription\":{\"type\":\"integer\",\"minimum\":1}"), events_unsubscribe};
