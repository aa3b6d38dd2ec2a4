/*
 * Journals: with a module in modules.slots.storage, every session's events are copied there after they were committed.
 *
 * The store stays what counts: a turn never waits for a storage, and one that fails is asked again until it has everything.
 * What was copied is noted in the store, so nothing is left out over restarts; at worst an object is written a second time
 * with the same bytes or more.
 */
#ifndef OC_AGENT_JOURNAL_H
#define OC_AGENT_JOURNAL_H

#include "core/agent/agent.h"

/* A session has new events. Cheap; nothing when the slot is empty. */
void oc_journal_touch(oc_agent *agent, const char *session);
/* Takes up what an earlier process left: all sessions of the last week. */
void oc_journal_start(oc_agent *agent);
void oc_journal_free(oc_agent *agent);

#endif
