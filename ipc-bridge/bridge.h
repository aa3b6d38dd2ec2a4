/*
 * TypeScript plugins: finds them, runs each in a Node process of its own when it is needed, and makes a module of what it
 * registers, so that nothing above knows the difference.  All functions are for the loop thread.
 */
#ifndef OC_BRIDGE_BRIDGE_H
#define OC_BRIDGE_BRIDGE_H

#include "core/config/config.h"
#include "core/hook/hook.h"
#include "core/module/module.h"

typedef struct oc_bridge oc_bridge;
typedef struct oc_plugin oc_plugin;

/* A call of a plugin that waits for its answer; copied by value. An answer to a process that has ended meanwhile goes nowhere. */
typedef struct oc_plugin_ticket {
	oc_plugin *plugin;
	uint32_t epoch, id;
} oc_plugin_ticket;

/* What plugins ask of the floors above. */
typedef struct oc_bridge_host {
	/* A call of api.runtime: answer with oc_bridge_answer, once. false: there is no such path. */
	bool (*runtime)(void *arg, oc_plugin_ticket ticket, const char *path, const cJSON *args);
	/* An event for connected clients. */
	void (*broadcast)(void *arg, oc_plugin *plugin, const char *event, const cJSON *payload);
	/* It wants events of a kind ("agent", "transcript") by oc_bridge_notify, until its process ends. */
	void (*listen)(void *arg, oc_plugin *plugin, const char *kind);
	/* Its process ended, or is about to be another: nothing of it is waited for any more. */
	void (*gone)(void *arg, oc_plugin *plugin);
	/* The accounts of its channels may be others than before, or (others) the channels themselves. */
	void (*channels)(void *arg, oc_plugin *plugin, bool others);
	/* The gateway itself has a method of that name. */
	bool (*has_method)(oc_str name);
} oc_bridge_host;

/* config is referenced. host is static and may be NULL. modules NULL: only for looking (the CLI). */
oc_status oc_bridge_new(oc_loop *loop, oc_config *config, oc_modules *modules, oc_hooks *hooks, const oc_bridge_host *host,
			void *arg, oc_bridge **ret, oc_err *err);
/* Finds plugins and presents those whose registrations are known from before; starts nothing. */
oc_status oc_bridge_scan(oc_bridge *bridge, oc_err *err);
/* Puts that off until oc_bridge_need, which everybody calls who is about to look at what plugins may bring: hooks, tools,
 * modules' lists (the functions below do it themselves). A gateway that nobody asks anything pays nothing for its plugins. */
void oc_bridge_put_off(oc_bridge *bridge);
void oc_bridge_need(oc_bridge *bridge);
/* The gateway answers now, on port: starts the plugins that are new or changed, and those that must run (services). */
void oc_bridge_start(oc_bridge *bridge, int port);
/* A new configuration, as oc_modules_configure. */
void oc_bridge_configure(oc_bridge *bridge, oc_config *config);
/* Ends all processes; done later. */
void oc_bridge_stop(oc_bridge *bridge, void (*done)(void *arg), void *arg);
void oc_bridge_free(oc_bridge *bridge); /* NULL is allowed */

/* The Node.js that runs plugins (plugins.node, else the first of PATH; NULL: none), and the folder of the JavaScript side; oc_free them. */
char *oc_bridge_node(const oc_config *config);
char *oc_bridge_dir(void);
/* For lists and `plugins info`; the caller's. */
cJSON *oc_bridge_describe(oc_bridge *bridge);
/* The bounded queues that every plugin has, by number. */
void oc_bridge_queues(const oc_bridge *bridge, oc_fill queues[OC_QUEUE_N]);
oc_plugin *oc_bridge_find(oc_bridge *bridge, const char *id);
cJSON *oc_plugin_describe(const oc_plugin *plugin, bool detail);
const char *oc_plugin_id(const oc_plugin *plugin);
/* Ends a plugin's quarantine: the operator wants it to be tried again. Without a bridge. */
oc_status oc_plugin_forgive(const char *id, oc_err *err);
/* The module that stands for it; NULL when it registered nothing that needs one. */
oc_module *oc_plugin_module(const oc_plugin *plugin);
/* The folder that is its own; oc_free it. */
char *oc_plugin_state_dir(const oc_plugin *plugin);
/* The accounts that the plugin of a channel says there are, borrowed; NULL: no plugin has such a channel, or it is not known. */
const cJSON *oc_bridge_accounts(oc_bridge *bridge, const char *channel);

/* Calls a method of PROTOCOL.md in the plugin's process, which is started when it does not run. on_done once, later. */
typedef struct oc_plugin_request {
	const char *method;
	oc_str payload; /* copied */
	uint32_t deadline_ms;
	void (*on_event)(void *arg, uint32_t type, oc_str payload); /* may be NULL */
	void (*on_done)(void *arg, oc_status status, oc_str result);
	void *arg;
} oc_plugin_request;
typedef struct oc_plugin_call oc_plugin_call;
/* ret may be NULL; valid until on_done. */
oc_status oc_plugin_ask(oc_plugin *plugin, const oc_plugin_request *request, oc_plugin_call **ret);
void oc_plugin_call_cancel(oc_plugin_call *call);

/* result: JSON, or on an error a text for people. */
void oc_bridge_answer(oc_plugin_ticket ticket, oc_status status, oc_str result);
/* An event of the call, before its answer. OC_E_UNAVAILABLE: nobody is there to hear it. */
oc_status oc_bridge_event(oc_plugin_ticket ticket, oc_str json);
/* Tells its process something, when it runs. */
void oc_bridge_notify(oc_plugin *plugin, const char *name, oc_str json);
/* The configuration as the plugin may see it: secrets are masked but for what is its own (its entry, its channels, its
 * providers), unless plugins.entries.<id>.fullConfig grants the whole. The caller's; NULL: no memory. */
cJSON *oc_plugin_config_view(const oc_plugin *plugin);
/* Whether a part of the configuration is the plugin's own, or was granted to it. */
bool oc_plugin_owns(const oc_plugin *plugin, const char *path);
/* Whether it may call a method of the gateway: one of its own, or one that was granted to it. OC_E_DENIED: which line grants it. */
oc_status oc_plugin_may_call(oc_plugin *plugin, const char *method, oc_err *err);

/* ---- Slash commands (command.c) ---- */

/* Valid until the next turn of the loop. */
typedef struct oc_plugin_command {
	const char *name, *description, *plugin;
	const cJSON *native; /* names on networks; NULL: the same */
	bool takes_args, requires_auth;
} oc_plugin_command;
/* The i-th of all that can be run; false past the end. Of two with one name the first plugin's. */
bool oc_bridge_command(oc_bridge *bridge, size_t i, oc_plugin_command *ret);
/* on_done as oc_plugin_request's; the result is a reply payload. */
oc_status oc_bridge_command_run(oc_bridge *bridge, const char *name, const cJSON *ctx, uint32_t deadline_ms,
				void (*on_done)(void *arg, oc_status status, oc_str result), void *arg, oc_plugin_call **ret);

/* ---- Commands of the command line (cli.c); for a bridge without modules ---- */

/* Valid as long as the bridge has not been told anything new. */
typedef struct oc_plugin_cli {
	const char *name, *help, *id;
	oc_plugin *plugin;
} oc_plugin_cli;
bool oc_bridge_cli_row(oc_bridge *bridge, size_t i, oc_plugin_cli *ret);
/* Whether there are enabled plugins of which nobody knows yet what they register. */
bool oc_bridge_unknown(const oc_bridge *bridge);
/* Starts those to learn it; done later, once each is up or failed. Their processes go with oc_bridge_stop. */
oc_status oc_bridge_inspect(oc_bridge *bridge, void (*done)(void *arg), void *arg);
/* Runs the command in argv[0] (of oc_bridge_cli_row), with the plugin's permissions and what is below the current folder to
 * read, on our terminal. done once, later, with its exit code. */
oc_status oc_plugin_cli_run(oc_plugin *plugin, int argc, char **argv, void (*done)(void *arg, int code), void *arg, oc_err *err);

/* The plugin that knows how to log in to a provider (by its id or another name of it); NULL: none. */
oc_plugin *oc_bridge_provider(oc_bridge *bridge, const char *id);
/* Runs a provider's login on our terminal (method NULL: it asks, or takes the only one). done once, later: result is
 * {"provider","profiles":[{"profileId","credential"}],"configPatch"?,"defaultModel"?,"notes"?}, NULL when there is none. */
oc_status oc_plugin_login(oc_plugin *plugin, const char *provider, const char *method,
			  void (*done)(void *arg, int code, const cJSON *result), void *arg, oc_err *err);

/* Asks the plugin for the successor of an OAuth credential of one of its providers: on_done once, later, with what changed. */
oc_status oc_plugin_renew(oc_plugin *plugin, const cJSON *credential, void (*on_done)(void *arg, oc_status status, oc_str result), void *arg);
/* Remembers for `plugins doctor`, and logs, that a login could not be renewed. */
void oc_plugin_login_failed(oc_plugin *plugin, const char *profile, const char *provider, const char *why);

/* ---- Gateway methods (method.c) ---- */

/* Valid until the next turn of the loop. scope: "operator.read", …, "" when the plugin named none. */
typedef struct oc_plugin_method {
	const char *name, *scope, *plugin;
} oc_plugin_method;
bool oc_bridge_method(oc_bridge *bridge, oc_str name, oc_plugin_method *ret);
bool oc_bridge_method_row(oc_bridge *bridge, size_t i, oc_plugin_method *ret);
/* The result is {"ok":bool,"payload"?,"error"?,"meta"?}. */
oc_status oc_bridge_method_run(oc_bridge *bridge, oc_str name, const cJSON *params, const cJSON *client,
			       void (*on_done)(void *arg, oc_status status, oc_str result), void *arg);

/* ---- HTTP routes (route.c) ---- */

/* A plugin that may answer a request: by which of its routes, in its numbers ("0,3"), or "h": its old handlers. */
typedef struct oc_plugin_http {
	oc_plugin *plugin;
	bool gateway_auth; /* one of the routes is for authenticated clients only */
	char routes[160];
} oc_plugin_http;
/* Whose routes match, the most exact first; each is asked until one wants it. */
size_t oc_bridge_http_match(oc_bridge *bridge, oc_str path, oc_plugin_http *ret, size_t max);
/* Who has handlers for everything that nobody else answers. */
size_t oc_bridge_http_handlers(oc_bridge *bridge, oc_plugin_http *ret, size_t max);
/* Where its HTTP server listens; oc_free it. */
char *oc_plugin_http_socket(const oc_plugin *plugin);
/* Calls fn, later, once its process is up (OC_OK) or cannot be had (why). OC_E_NOMEM: not called. */
oc_status oc_plugin_need(oc_plugin *plugin, void (*fn)(void *arg, oc_status status, const char *why), void *arg);
/* When it is worth asking again. */
uint64_t oc_plugin_retry_ms(const oc_plugin *plugin);

#endif
