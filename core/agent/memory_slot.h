/* The memory module of modules.slots.memory, asked in the place of the built-in index. */
#ifndef OC_AGENT_MEMORY_SLOT_H
#define OC_AGENT_MEMORY_SLOT_H

#include "core/agent/memory.h"
#include "core/module/call.h"

typedef enum oc_memory_task { OC_MEMORY_SEARCH = 1, OC_MEMORY_GET, OC_MEMORY_UPDATE, OC_MEMORY_STATUS } oc_memory_task;

/* What a request means once the settings were looked at; all of it is borrowed for the call only. */
typedef struct oc_memory_slot_ask {
	const char *agent_id, *workspace, *query, *path;
	int64_t max_results;
	double min_score;
	bool force;
} oc_memory_slot_ask;

/* answer: as oc_memory_vtbl says, checked, valid during the call; NULL: the module cannot be used, and why says what is wrong
 * (OC_E_DENIED: it does not know the path). by: the module's id, in the arena. */
typedef void (*oc_memory_slot_done)(void *arg, const char *by, const cJSON *answer, const oc_err *why);

/* false: nobody is in the slot. true: done comes later, once; not when the agent is freed before. The arena holds what is
 * needed until then. */
bool oc_memory_slot_begin(oc_agent *agent, oc_memory_task task, const oc_memory_slot_ask *ask, oc_arena *arena,
			  oc_memory_slot_done done, void *arg);

#endif
