/*
 * Modules in processes of their own (openclaw-modhost), for core/module: each is one module whose descriptor asks the process.
 *
 * The gateway's end of two lines: on the first it calls the module's functions and hears their events and answers; on the
 * second the process asks for what the host table offers, one question after the other, each answered at once, while the
 * module waits inside the host function.  What such a question started (a request, a child process) is told of on the first.
 */
#ifndef OC_BRIDGE_ISOLATE_H
#define OC_BRIDGE_ISOLATE_H

#include "core/config/config.h"
#include "core/module/module.h"

typedef struct oc_isolates oc_isolates;

/* config is referenced. Before oc_modules_scan. */
oc_status oc_isolates_new(oc_loop *loop, oc_config *config, oc_modules *modules, oc_isolates **ret, oc_err *err);
/* New grants, for processes that begin from now on. */
void oc_isolates_configure(oc_isolates *isolates, oc_config *config);
/* The bounded queues that each of them has, by number. */
void oc_isolates_queues(const oc_isolates *isolates, oc_fill queues[OC_QUEUE_N]);
/* After the registry is gone. NULL is allowed. */
void oc_isolates_free(oc_isolates *isolates);

#endif
