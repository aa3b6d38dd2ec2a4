/*
 * What TypeScript plugins ask of the gateway by api.runtime: configuration, pairing, turns, events.  See
 * ipc-bridge/PROTOCOL.md, "Calls from a plugin".  For the loop thread.
 */
#ifndef OC_GATEWAY_PLUGIN_HOST_H
#define OC_GATEWAY_PLUGIN_HOST_H

#include "core/gateway/runtime.h"

/* Its arg is a runtime. */
extern const oc_bridge_host oc_plugin_host;

/* Ends what still runs for plugins; before the agent is freed. */
void oc_plugin_host_end(oc_runtime *rt);
/* Once nothing can call back any more. */
void oc_plugin_ops_free(oc_runtime *rt);

/* plugin_auth.c: looks after logins that end, from now on. */
void oc_plugin_renewals_start(oc_runtime *rt);
void oc_plugin_renewals_free(oc_runtime *rt);
/* Changes the configuration for a plugin: list is [{"path","value"?}], without a value it is removed; all or nothing, each its
 * own to change, through the checks of `config set`. modules may be NULL (their settings are not checked then). */
oc_status oc_plugin_config_write(oc_plugin *plugin, const oc_config *config, oc_modules *modules, const cJSON *list, oc_err *err);
void oc_plugin_refuse_call(oc_plugin_ticket ticket, const oc_err *err);

/* ---- among the files of plugin_*.c ---- */

typedef struct oc_plugin_asked {
	oc_runtime *rt;
	oc_plugin_ticket ticket;
	const cJSON *args; /* an array, or NULL */
} oc_plugin_asked;

/* One thing that runs for a plugin and answers later. */
typedef struct oc_plugin_op {
	struct oc_plugin_op *next;
	oc_runtime *rt;
	oc_plugin_ticket ticket;
	char run[37], session[OC_SESSION_KEY_MAX];
	bool is_wait;	  /* of a run that may be another's */
	bool committed;	  /* of a message: it is in the store */
	bool forget;	  /* the session goes with the run */
	bool started;	  /* it has a run */
} oc_plugin_op;

/* Kept until it is dropped, or the runtime ends. NULL: no memory (answered). */
oc_plugin_op *oc_plugin_op_new(const oc_plugin_asked *asked);
void oc_plugin_op_drop(oc_plugin_op *op);
/* Takes result; NULL: no memory. */
void oc_plugin_reply(oc_plugin_ticket ticket, cJSON *result);
/* The nth argument; NULL: it was not given. */
const cJSON *oc_plugin_arg(const oc_plugin_asked *asked, int n);

/* plugin_turns.c */
void oc_plugin_run(const oc_plugin_asked *asked);
void oc_plugin_subagent_run(const oc_plugin_asked *asked);
void oc_plugin_subagent_wait(const oc_plugin_asked *asked);
void oc_plugin_subagent_messages(const oc_plugin_asked *asked);
void oc_plugin_subagent_delete(const oc_plugin_asked *asked);
void oc_plugin_dispatch(const oc_plugin_asked *asked);
/* plugins_method.c */
void oc_plugin_gateway_call(const oc_plugin_asked *asked);
/* plugin_events.c */
void oc_plugin_listen(oc_runtime *rt, oc_plugin *plugin, const char *kind);
void oc_plugin_unlisten(oc_runtime *rt, const oc_plugin *plugin_or_null);

#endif
