/*
 * Journals: with a module in modules.slots.storage, every session's events are copied there after they were committed.
 *
 * The store stays what counts: a turn never waits for a storage, and one that fails is asked again until it has everything.
 * What was copied is noted in the store, so nothing is left out over restarts; at worst an object is written a second time
 * with the same bytes or more.  A session that is deleted, by whomever, loses its journal too, and one that retention cuts
 * short loses what lies before: nothing stays outside that the operator had removed here.
 */
#ifndef OC_AGENT_JOURNAL_H
#define OC_AGENT_JOURNAL_H

#include "core/agent/agent.h"

/* A session has new events, or is gone. Cheap; nothing when the slot is empty. */
void oc_journal_touch(oc_agent *agent, const char *session);
/* Takes up what an earlier process left: all sessions of the last week, and those that are gone since. */
void oc_journal_start(oc_agent *agent);
void oc_journal_free(oc_agent *agent);

/* ---- journal_back.c: reading them ---- */

/* [{"session"?,"name","createdAt","objects":n,"here":bool}]: what the storage holds, also of a store that was lost. name is
 * enough to bring it back; session is left out where its name does not tell it. done comes once, later. */
typedef void (*oc_journal_done)(void *arg, oc_status status, cJSON *result, const oc_err *err);
oc_status oc_journal_list(oc_agent *agent, oc_journal_done done, void *arg, oc_err *err);
/* Makes a session again from its newest journal, as it was, under its own name or as another. session: a key, a name or a name
 * of the list. Result: {"session","messages"}. OC_E_EXISTS, OC_E_NOT_FOUND, OC_E_STATE (no storage is chosen). */
oc_status oc_journal_restore(oc_agent *agent, oc_str session, oc_str as, oc_journal_done done, void *arg, oc_err *err);

/* ---- For the two files ---- */

enum { OC_JOURNAL_NAME_MAX = 200 };

/* "sessions/agent-3amain-3amain/": where all journals of sessions of that name are. false: it cannot be one. */
bool oc_journal_folder(const char *session, char out[OC_JOURNAL_NAME_MAX + 1]);
/* The folder's journals by when their sessions were made: "sessions/…/1767225600000/000000000001.jsonl" into the two numbers. */
bool oc_journal_object(oc_str name, oc_str *ret_folder, int64_t *ret_made_ms, int64_t *ret_first);
/* What is noted of a session that was copied up to a number. */
void oc_journal_note(oc_agent *agent, const char *session, int64_t made_ms, int64_t upto);

/* Ends what is open of journal_back.c without calling back. */
void oc_journal_asks_free(oc_agent *agent);

/* All names below a prefix; done comes once, later, unless the journal is freed before. */
typedef void (*oc_journal_names)(void *arg, oc_status status, const cJSON *names, const oc_err *err);
oc_status oc_journal_names_below(oc_agent *agent, oc_guest *storage, const char *prefix, oc_journal_names done, void *arg);

#endif
