/* What the two files of modhost.h share; nobody else includes it. */
#ifndef OC_BRIDGE_MODHOST_INT_H
#define OC_BRIDGE_MODHOST_INT_H

#include "core/module/module.h"
#include "ipc-bridge/pack.h"

/* The second line (isolate.h): greets the gateway on a connected socket, and waits for its greeting. */
oc_status oc_line_open(int fd);
/* What the module's host functions need of the gateway; the registry is to have no module yet. */
oc_status oc_line_offer(oc_modules *modules);
/* News of what the module asked for. */
void oc_line_news(oc_module *module, oc_str payload);

#endif
