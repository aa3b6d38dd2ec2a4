/*
 * The command line's side of a running gateway: one method call over the Unix socket (no token needed), or over TCP when
 * OPENCLAW_GATEWAY_URL says so (http://ADDRESS:PORT, token from OPENCLAW_GATEWAY_TOKEN or the configuration).
 */
#ifndef OC_CLI_REMOTE_H
#define OC_CLI_REMOTE_H

#include "core/base/err.h"
#include "core/data/json.h"
#include "core/loop/loop.h"

typedef struct oc_remote {
	char *unix_path; /* NULL: TCP */
	char address[64];
	int port;
	char *token; /* NULL on the Unix socket */
} oc_remote;

/* Where the gateway is. OC_E_INVALID: OPENCLAW_GATEWAY_URL is wrong. Nothing is connected yet. */
oc_status oc_remote_find(oc_remote *remote, oc_err *err);
void oc_remote_free(oc_remote *remote);
/* Whether a gateway answers there; quick. */
bool oc_remote_alive(void);
/* Whether it is gone: asks, where oc_remote_alive takes a gateway that was named for one that runs. */
bool oc_remote_gone(void);
/* A pidfd of the gateway on the local socket, readable once the process has ended; the caller closes it. -1: not known. */
int oc_remote_process(void);
/* Whether OPENCLAW_GATEWAY_URL names a gateway, which may be on another machine. */
bool oc_remote_named(void);
/* Calls a method and waits. params is taken over (NULL: none). OC_E_UNAVAILABLE: no gateway runs. timeout_ms 0: 10 s. */
oc_status oc_remote_call(const char *method, cJSON *params, unsigned timeout_ms, cJSON **ret_result, oc_err *err);
/* The same without waiting: params are copied; done once, later, unless the owner is swept first; result is the
 * receiver's. */
typedef void (*oc_remote_done)(void *arg, oc_status status, cJSON *result, const oc_err *err);
oc_status oc_remote_start(oc_owner *owner, const char *method, const cJSON *params, unsigned timeout_ms, oc_remote_done done, void *arg,
			  oc_err *err);
/* After a command changed the configuration: waits until the gateway of this state folder, if one runs, goes by it, so that the
 * next command finds it so. What is wrong is said; the change is in the file anyway. */
void oc_remote_take_up(void);
/* For commands: prints the error and returns OC_EXIT_NOT_RUNNING or OC_EXIT_FAILED. */
int oc_remote_fail(const oc_err *err);

#endif
