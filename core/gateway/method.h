/*
 * The gateway's methods: one table, whatever protocol the call came in by.
 *
 * A method is declared once, with its scope, its parameters' schema and a summary; the codecs (jsonrpc.c) look it up,
 * check the scope and the parameters, and run it.  A method answers exactly once, now or later, on the loop thread.  When
 * the client is gone by then, the answer is dropped: what was started goes on.
 */
#ifndef OC_GATEWAY_METHOD_H
#define OC_GATEWAY_METHOD_H

#include <stdbool.h>

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/base/trace.h"
#include "core/config/config.h"
#include "core/data/json.h"

typedef struct oc_gateway oc_gateway;
typedef struct oc_client oc_client;
typedef struct oc_method_call oc_method_call;

/* What a client may do. Over OpenClaw's own protocol they are operator.read, operator.write and so on, and the role node. */
enum {
	OC_SCOPE_NONE = 0,
	OC_SCOPE_READ = 1,
	OC_SCOPE_WRITE = 2,
	OC_SCOPE_ADMIN = 4,
	OC_SCOPE_APPROVALS = 8,
	OC_SCOPE_PAIRING = 16,
	OC_SCOPE_ALL = 31, /* of an operator */
	OC_SCOPE_NODE = 32 /* methods for nodes, not for operators */
};
/* "none", "read", "write", "admin", "approvals", "pairing", "node"; of several bits the name of the highest. */
const char *oc_scope_name(unsigned scope);
/* The bits of "read", "write", ... with or without "operator." before it, and of what it contains: write contains read, admin
 * everything. 0: it is none. */
unsigned oc_scope_bits(oc_str name);
/* ["read","write",...] of an operator's bits, with prefix ("", "operator.") before each. NULL: no memory. */
cJSON *oc_scope_list(unsigned scopes, const char *prefix);

/* Schemas of parameters: members are OC_STRING("name"), or written out; required is a list "\"a\",\"b\"". */
#define OC_PARAMS(members) "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" members "}}"
#define OC_PARAMS_REQ(required, members) \
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[" required "],\"properties\":{" members "}}"
#define OC_STRING(name) "\"" name "\":{\"type\":\"string\",\"maxLength\":512}"
#define OC_NAME(name) "\"" name "\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":512}" /* not empty */
#define OC_BOOLEAN(name) "\"" name "\":{\"type\":\"boolean\"}"
#define OC_COUNT(name, most) "\"" name "\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":" #most "}"

typedef struct oc_method {
	const char *name; /* "session.message", "chat.send": of either naming; all can be called over either protocol */
	unsigned scope;   /* what the client must have; OC_SCOPE_NONE: no authentication needed */
	const char *summary;
	const char *params; /* JSON Schema of the parameters object; NULL: whatever comes is ignored */
	void (*run)(oc_method_call *call, const cJSON *params); /* params: an object, never NULL */
} oc_method;

/* ---- Clients ---- */

/* Who calls: one WebSocket connection, or one HTTP request. Reference-counted; calls hold one. */
struct oc_client {
	oc_gateway *gateway;
	unsigned refs, scopes;
	bool gone;      /* the connection is closed */
	char trace[OC_TRACE_MAX]; /* of the request's traceparent header, "" when it has none */
	bool can_events; /* notify works */
	const struct oc_http_peer *peer; /* valid while not gone; NULL: nobody from outside */
	const struct oc_from *from; /* of a WebSocket: whose guesses at secrets count how (access.h) */
	const struct oc_http_req *req; /* of one HTTP request, while not gone; else NULL */
	struct oc_ws *ws; /* valid while not gone; NULL: one HTTP request */
	char *user;	  /* who logged in (access.h); NULL: whoever has the gateway's own secret */
	int64_t login;	  /* by which login; 0: by none */
	void (*notify)(oc_client *client, oc_str json); /* sends one message */
	unsigned protocol; /* of OpenClaw's own protocol: 3 or 4; 0: JSON-RPC */
	/* A first answer to a call that is answered again when it is over; NULL: the protocol has no such thing. */
	void (*interim)(void *arg, oc_str result);
	struct oc_event_sub *subs; /* its subscriptions (events.c) */
};
void oc_client_ref(oc_client *client);
void oc_client_unref(oc_client *client); /* frees at the last one */
/* The connection is closed: ends subscriptions, gives up the connection's reference. */
void oc_client_gone(oc_client *client);

/* ---- Calls ---- */

oc_gateway *oc_method_gateway(const oc_method_call *call);
oc_client *oc_method_client(const oc_method_call *call);
/* The configuration's file as it is now, which may be newer than what the gateway goes by; the caller's. NULL: the call is answered. */
oc_config *oc_method_config(oc_method_call *call);
/* Exactly one of these. reply takes the tree (NULL: answered as out of memory); reply_text copies a JSON text. */
void oc_method_reply(oc_method_call *call, cJSON *result);
void oc_method_reply_text(oc_method_call *call, oc_str json);
void oc_method_fail(oc_method_call *call, const oc_err *err);
/* As oc_method_fail, with details for programs; takes them (NULL: none). */
void oc_method_fail_with(oc_method_call *call, const oc_err *err, cJSON *details);
/* Before it: "accepted", where the protocol can say so. Takes the tree. */
void oc_method_accept(oc_method_call *call, cJSON *result);
void oc_method_failf(oc_method_call *call, oc_status status, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Whether the text is /approve and whoever says it, with these scopes, may not approve. */
bool oc_text_lacks_word(oc_str text, unsigned scopes);

/* How a codec starts a call. The row of a name; -1: there is none, and err names the nearest one. */
int oc_method_find(oc_str name, oc_err *err);
/* Checks scope and parameters, then runs. answer is called exactly once (maybe before this returns): status OC_OK: result
 * is a JSON text; else err. The client is referenced while the call is open. */
typedef void (*oc_method_answer)(void *arg, oc_status status, oc_str result, const oc_err *err);
void oc_method_start(oc_client *client, int row, const cJSON *params_or_null, oc_method_answer answer, void *arg);

/* plugins_method.c: the same for a method that a plugin adds; false: there is none of that name. On an error result may hold
 * JSON details. */
bool oc_method_guest(oc_client *client, oc_str name, const cJSON *params_or_null, oc_method_answer answer, void *arg);
const char *oc_method_guest_scope(const char *scope); /* "read", "write", "admin" */

/* The same for a method of either, asked by the gateway itself: with all of an operator's scopes. */
void oc_method_ask(oc_gateway *gateway, oc_str name, const cJSON *params_or_null, oc_method_answer answer, void *arg);

/* Checks a value as parameters are checked for OpenClaw's own clients: err says everything that is wrong with `what`. */
oc_status oc_params_check(const cJSON *schema, const char *what, const cJSON *value, oc_err *err);

/* The i-th method, sorted by name; NULL past the end. */
const oc_method *oc_method_row(size_t i);
/* [{"name","scope","summary","params"?}], the documentation of all; the caller's, NULL: no memory. */
cJSON *oc_method_list(void);
/* Frees the parsed schemas. */
void oc_method_cleanup(void);

/* The rows, sorted by the methods' names. */
#define OC_METHOD_LIST(X) \
	X(agent) X(agent_get) X(agent_identity_get) X(agent_list) X(agent_status) X(agent_wait) X(agents_create) \
	X(agents_delete) X(agents_files_get) X(agents_files_list) X(agents_files_set) X(agents_list) X(agents_update) \
	X(auth_login) X(auth_logout) X(auth_me) X(auth_refresh) X(auth_revoke) X(auth_sessions) X(channels_list) X(channels_probe) X(channels_status) X(chat_abort) X(chat_history) \
	X(chat_inject) X(chat_send) X(config_apply) X(config_get) X(config_patch) X(config_schema) X(config_schema_lookup) \
	X(config_set) X(connect) X(cron_add) X(cron_list) X(cron_remove) X(cron_run) X(cron_runs) X(cron_status) \
	X(cron_update) X(device_pair_approve) X(device_pair_list) X(device_pair_reject) X(device_pair_remove) \
	X(device_token_revoke) X(device_token_rotate) X(doctor_memory_status) X(events_subscribe) X(events_unsubscribe) \
	X(exec_approval_get) X(exec_approval_list) X(exec_approval_request) X(exec_approval_resolve) X(exec_approval_waitDecision) \
	X(exec_approvals_get) X(exec_approvals_node_get) X(exec_approvals_node_set) X(exec_approvals_set) X(gateway_identity_get) \
	X(health) X(last_heartbeat) X(logs_tail) X(memory_index) X(memory_search) X(memory_status) X(models_list) \
	X(models_retry) X(modules_doctor) X(modules_info) X(modules_list) X(modules_reload) X(modules_trace) X(node_describe) \
	X(node_event) X(node_invoke) X(node_invoke_result) X(node_list) X(node_pair_approve) X(node_pair_list) X(node_pair_reject) \
	X(node_pair_request) X(node_pair_verify) X(node_pending_ack) X(node_pending_drain) X(node_pending_enqueue) X(node_pending_pull) \
	X(node_rename) \
	X(pairing_approve) X(pairing_list) X(pairing_reject) X(pairing_revoke) X(plugin_approval_list) X(plugin_approval_request) \
	X(plugin_approval_resolve) X(plugin_approval_waitDecision) X(plugins_info) X(plugins_list) \
	X(secrets_reload) X(send) X(session_cancel) X(session_create) X(session_delete) X(session_end) X(session_events) \
	X(session_get) X(session_history) X(session_list) X(session_message) X(session_reset) X(session_restore) \
	X(session_search) X(session_stats) X(session_stored) X(sessions_compact) X(sessions_delete) X(sessions_get) \
	X(sessions_list) X(sessions_messages_subscribe) X(sessions_messages_unsubscribe) X(sessions_patch) \
	X(sessions_preview) X(sessions_reset) X(sessions_resolve) X(sessions_subscribe) \
	X(sessions_unsubscribe) X(sessions_usage) \
	X(sessions_usage_logs) X(sessions_usage_timeseries) X(set_heartbeats) X(skills_bins) X(skills_status) X(skills_update) X(status) \
	X(store_backup) X(store_check) X(store_compact) X(store_dead) X(store_drop) X(store_retry) X(store_stats) \
	X(system_event) X(system_presence) X(system_deep) X(system_health) X(system_methods) X(system_reload) \
	X(system_shutdown) X(system_status) X(system_version) X(tools_catalog) X(tools_execute) X(tools_list) X(usage_cost) \
	X(usage_status) X(users_create) X(users_delete) X(users_list) X(users_update) X(wake)
#define OC_METHOD_DECLARE(name) extern const oc_method oc_method_##name;
OC_METHOD_LIST(OC_METHOD_DECLARE)
#undef OC_METHOD_DECLARE

#endif
