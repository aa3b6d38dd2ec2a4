/*
 * The runtime: loop, configuration, store, modules, hooks and agent, put together in the right order.  The gateway is a
 * runtime with a server; `openclaw agent` without a gateway is a runtime for one turn.
 */
#ifndef OC_GATEWAY_RUNTIME_H
#define OC_GATEWAY_RUNTIME_H

#include "core/agent/agent.h"
#include "core/config/config.h"
#include "core/hook/hook.h"
#include "core/loop/loop.h"
#include "core/module/module.h"
#include "core/security/process.h"
#include "core/store/store.h"
#include "ipc-bridge/bridge.h"
#include "ipc-bridge/isolate.h"

typedef struct oc_runtime {
	oc_loop *loop;
	oc_owner *owner;
	oc_config *config;
	oc_store *store;
	oc_procs *procs;
	oc_hooks *hooks;
	oc_modules *modules;
	oc_agent *agent;
	oc_isolates *isolates; /* modules in processes of their own */
	oc_bridge *bridge; /* TypeScript plugins */
	struct oc_gateway *gateway; /* around it; NULL: a turn without one */
	struct oc_plugin_op *plugin_ops; /* plugin_host.c: what runs for plugins */
	struct oc_plugin_renewals *plugin_renewals; /* plugin_auth.c: logins that end */
	struct oc_plugin_ear *plugin_ears; /* plugin_events.c: who listens */
	void (*done)(void *arg); /* of the step that is under way */
	void *arg;
	bool one_shot, safe;
} oc_runtime;

enum {
	OC_RUNTIME_ONE_SHOT = 1, /* no channels, the store shared with other commands */
	OC_RUNTIME_SAFE = 2	 /* bundled modules only, no plugins */
};

/* config: loaded by the caller, the reference is taken over on success. flags: of the above. OC_E_BUSY: another gateway owns
 * the store. */
oc_status oc_runtime_new(oc_config *config, unsigned flags, oc_runtime **ret, oc_err *err);
/* Starts modules and agent; done later. What fails is a module's state, shown in status. */
void oc_runtime_start(oc_runtime *rt, void (*done)(void *arg), void *arg);
/* The gateway answers: what may take longer than its start begins now. */
void oc_runtime_ready(oc_runtime *rt, int port);
/* Takes over a new configuration (the reference is added). */
void oc_runtime_configure(oc_runtime *rt, oc_config *config);
/* Drains the agent, stops the modules; done later. */
void oc_runtime_stop(oc_runtime *rt, uint64_t deadline_ms, void (*done)(void *arg), void *arg);
/* The loop must not be running. NULL is allowed. */
void oc_runtime_free(oc_runtime *rt);

#endif
