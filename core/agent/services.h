/* The host services "channel" and "kv", which modules ask for. */
#ifndef OC_AGENT_SERVICES_H
#define OC_AGENT_SERVICES_H

#include "core/agent/internal.h"

oc_status oc_services_provide(oc_agent *agent, oc_err *err);
void oc_services_withdraw(oc_agent *agent);

#endif
