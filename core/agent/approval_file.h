/*
 * <state>/exec-approvals.json: what the operator said about commands, in the TypeScript gateway's form:
 * {"version":1,"defaults":{"security","ask","askFallback"},"agents":{"ID or *":{…,"allowlist":[{"id","pattern",…}]}}}.
 *
 * It is read at each use, so that an editor's change counts at once.  A file that cannot be read is an error, never "no rules".
 */
#ifndef OC_AGENT_APPROVAL_FILE_H
#define OC_AGENT_APPROVAL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/data/json.h"

/* {"path","exists","hash","file"}: the file without the secret of its socket, and the hash that a change has to name; the
 * caller's. NULL: err. */
cJSON *oc_approvals_snapshot(oc_err *err);
/* Puts another file in its place; base_hash: of what the caller read (NULL or "": not said). The secret of the socket stays what
 * it was. */
oc_status oc_approvals_put(const cJSON *file, const char *base_hash, oc_err *err);
/* Adds a pattern to an agent's list ("*": everybody's), or takes it out. OC_E_NOT_FOUND: it is not there. */
oc_status oc_approvals_allow(const char *agent_id, const char *pattern, int64_t now_ms, oc_err *err);
oc_status oc_approvals_disallow(const char *agent_id, const char *pattern, oc_err *err);

/* The file as it is, {} when there is none. */
oc_status oc_approvals_load(cJSON **ret, oc_err *err);
/* What it says for an agent: the agent's own word, that of "*", that of the defaults; NULL: nothing. Borrowed from file. */
const char *oc_approvals_word(const cJSON *file, const char *agent_id, const char *name);
/* Whether one of the agent's patterns, or of those of "*", is the path's. */
bool oc_approvals_lists(const cJSON *file, const char *agent_id, const char *path);

#endif
