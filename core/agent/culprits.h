/* Which tools and models took how long, by name: what status --deep blames. */
#ifndef OC_AGENT_CULPRITS_H
#define OC_AGENT_CULPRITS_H

#include "core/agent/internal.h"

/* kind: "tool", "model". Beyond a number of names new ones are not told apart. */
void oc_culprit_note(oc_agent *agent, const char *kind, const char *name, uint64_t ns);
void oc_culprits_free(oc_agent *agent);

#endif
