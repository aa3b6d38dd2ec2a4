/* Hands what TypeScript plugins register to the agent and the gateway's methods. */
#ifndef OC_GATEWAY_PLUGINS_H
#define OC_GATEWAY_PLUGINS_H

#include "core/gateway/runtime.h"

/* Once agent and bridge are there. */
void oc_plugins_join(oc_runtime *rt);

#endif
