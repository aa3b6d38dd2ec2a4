/*
 * The gateway: a runtime behind an HTTP and WebSocket server on a TCP port and a Unix socket.
 */
#ifndef OC_GATEWAY_GATEWAY_H
#define OC_GATEWAY_GATEWAY_H

#include "core/gateway/auth.h"
#include "core/gateway/method.h"
#include "core/gateway/runtime.h"
#include "core/net/server.h"

enum { OC_GATEWAY_DEFAULT_PORT = 18789 };

struct oc_gateway {
	oc_runtime *rt;
	oc_agent *agent; /* rt's */
	oc_http_server *server;
	oc_auth auth;
	oc_auth_tries tries;
	struct oc_passwords *passwords; /* password.c; NULL until one is checked */
	oc_watch *sweep; /* access.c: while a login keeps a connection open */
	const char *given_token; /* of the command line; NULL: none */
	oc_config_watch *watch;
	char *socket_path, *host;
	int port;           /* that it listens on */
	bool ready, stopping, tls;
	char fingerprint[103]; /* of the certificate; "" without TLS */
	uint64_t started_ns, ready_ns; /* monotonic */
	int64_t started_wall_ms;
	uint64_t next_subscription;
	struct oc_protos *protos; /* proto.h: clients of OpenClaw's own protocol; NULL until one comes */
	struct oc_event_sub *subscriptions; /* events.c */
	uint64_t requests, rpc_calls, ws_connections, ws_open; /* for metrics */
	oc_hist lag; /* how late the loop's timers are */
	uint64_t lag_due_ns;
	oc_watch *lag_timer;
	uint64_t work_seen, work_trimmed, heap_trims; /* see give_back */
	uint64_t status_class[6];                              /* answers by hundreds of the status */
	struct {
		oc_method_call *call;
		cJSON *result;
	} reloads[16]; /* that wait for the configuration to be read */
	size_t n_reloads;
	oc_err config_error; /* of the last reload that failed; code OC_OK: none */
	int exit_code;
};

typedef struct oc_gateway_options {
	int port;         /* 0: the configuration's; -1: any free one */
	const char *bind; /* NULL: the configuration's; "loopback", "lan" or an address */
	const char *token; /* NULL: the configuration's or the stored one */
	bool verbose;
	bool safe_mode; /* bundled modules only, no plugins */
	uint64_t process_start_ns; /* for the time to ready */
} oc_gateway_options;

/* Runs a gateway until SIGTERM, SIGINT or system.shutdown; returns an exit code. Prints where it listens. */
int oc_gateway_run(const oc_gateway_options *options);
/* Begins the orderly stop. */
void oc_gateway_stop(oc_gateway *gateway, const char *why);
/* Reads the configuration file anew. */
void oc_gateway_reload(oc_gateway *gateway, bool secrets);
/* The same, and answers when what it says is in effect; takes result. */
void oc_gateway_reload_then(oc_gateway *gateway, bool secrets, oc_method_call *call, cJSON *result);
/* {"ok","version","uptimeMs",…}: health for people and probes. The caller's. */
cJSON *oc_gateway_status(oc_gateway *gateway);

/* http.c: the routes; the server's on_head and on_request. */
void oc_gateway_head(void *arg, oc_http_req *req);
void oc_gateway_request(void *arg, oc_http_req *req);
/* rpc.c: POST /rpc and /ws. client.c builds clients. */
struct oc_access;
void oc_gateway_rpc(oc_gateway *gateway, oc_http_req *req);
void oc_gateway_ws(oc_gateway *gateway, oc_http_req *req, const struct oc_access *who); /* NULL: not known yet */
/* completions.c: POST /v1/chat/completions, GET /v1/models and /v1/models/ID; responses.c: POST /v1/responses. */
void oc_gateway_responses(oc_gateway *gateway, oc_http_req *req);
void oc_gateway_messages(oc_gateway *gateway, oc_http_req *req);
void oc_gateway_completions(oc_gateway *gateway, oc_http_req *req);
void oc_gateway_models(oc_gateway *gateway, oc_http_req *req);
void oc_gateway_embeddings(oc_gateway *gateway, oc_http_req *req);
/* tools_invoke.c: POST /tools/invoke. */
void oc_gateway_tools_invoke(oc_gateway *gateway, oc_http_req *req);
/* hooks.c: webhooks. head: in on_head; false: it is for somebody else. request: in on_request. */
bool oc_gateway_hook_head(oc_gateway *gateway, oc_http_req *req);
bool oc_gateway_hook_request(oc_gateway *gateway, oc_http_req *req);
/* control_ui.c: the original's Control UI, when gateway.controlUi.root says where it is: whether the request is for it. */
bool oc_gateway_ui_wants(const oc_gateway *gateway, const oc_http_req *req);
void oc_gateway_ui(oc_gateway *gateway, oc_http_req *req);
/* guest.c: requests for http modules. */
void oc_gateway_guest(oc_gateway *gateway, oc_http_req *req, oc_guest *guest);
/* plugins_http.c: requests for TypeScript plugins. head: in on_head; false: none of them answers this path. Then either
 * refused, before the request is answered otherwise, or begin; and request in on_request (false: it is not one of these). */
bool oc_gateway_plugin_head(oc_gateway *gateway, oc_http_req *req, bool only_routes, bool *ret_auth);
void oc_gateway_plugin_refused(void *user); /* of the request, which was answered */
void oc_gateway_plugin_begin(oc_http_req *req);
bool oc_gateway_plugin_request(oc_http_req *req);
/* methods_store.c: what the writer does, and whether it can; where a backup goes (oc_free). */
cJSON *oc_gateway_store_status(oc_gateway *gateway);
char *oc_store_backup_name(void);
/* claw_config.c: path and one more name, as oc_json_path writes it (oc_free); NULL: no memory. */
char *oc_config_member_path(const char *path, const char *name);
/* metrics.c */
void oc_gateway_metrics(oc_gateway *gateway, oc_sbuf *out);
uint64_t oc_gateway_resident_bytes(void);
/* The name of a client's connection, for fairness between them: "unix:PID", "ADDRESS:PORT". NULL when peer is. */
enum { OC_GATEWAY_PEER_MAX = 96 };
const char *oc_gateway_peer(const oc_http_peer *peer, char out[OC_GATEWAY_PEER_MAX]);
/* Every bounded queue, by number. */
void oc_gateway_queues(const oc_gateway *gateway, oc_fill queues[OC_QUEUE_N]);

#endif
