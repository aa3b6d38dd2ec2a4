/* What a plugin's process may see and reach; inner header of ipc-bridge.  [loop] */
#ifndef OC_BRIDGE_PERMIT_H
#define OC_BRIDGE_PERMIT_H

#include "ipc-bridge/plugin.h"

enum { OC_PERMIT_MAX = 192 /* paths, and variables */ };

typedef struct oc_permit {
	const char *read[OC_PERMIT_MAX], *write[OC_PERMIT_MAX]; /* end with NULL */
	char *env[OC_PERMIT_MAX];				/* NAME=value; ends with NULL */
	char *texts[OC_PERMIT_MAX];				/* what the lists point to */
	size_t n_read, n_write, n_env, n_texts;
	bool network;
	int level; /* of the sandbox; 0: none that exists */
} oc_permit;

/* Its folders are made. run: that of its sockets; besides: one more that it may read; both may be NULL. oc_permit_free it. */
/* together: what is their own for all of its group. */
oc_status oc_permit_read(const oc_plugin *plugin, const char *run, const char *besides, bool together, oc_permit *ret, oc_err *err);
bool oc_permit_setenv(oc_permit *permit, const char *variable); /* NAME=value */
void oc_permit_free(oc_permit *permit); /* wipes values */
bool oc_permit_network(const oc_plugin *plugin);
uint64_t oc_permit_memory(const oc_plugin *plugin); /* bytes its processes may use together */
/* Where its transpiled code is kept; oc_free it. */
char *oc_plugin_cache(const oc_plugin *plugin);

/* ---- output.c: what it prints ---- */

void oc_plugin_output(void *arg, uint32_t stream, oc_str data);
/* Whether a line that it logs is one of those that are told. */
bool oc_plugin_may_log(oc_plugin *plugin);
/* ---- watchdog.c: what it uses while it runs ---- */

void oc_watchdog_start(oc_plugin *plugin);
void oc_watchdog_end(oc_plugin *plugin);

#endif
