/*
 * Sessions of the TypeScript original (releases that keep them as files): their keys, and their transcripts as messages of the
 * store.  [any]
 *
 * A transcript is a file of JSON lines, one entry each: a head {"type":"session"}, then a tree of entries {"type","id",
 * "parentId","timestamp",…} of which the last one is where the conversation stands.  Only the way from it back to the root
 * counts; what lies beside it was edited or rewound away.  The oldest files have neither ids nor parents: every line counts.
 */
#ifndef OC_AGENT_IMPORT_H
#define OC_AGENT_IMPORT_H

#include "core/agent/session.h"
#include "core/data/json.h"
#include "core/store/store.h"

#define OC_IMPORT_BYTES_MAX ((size_t)256 << 20) /* a transcript */

/* Our key for one of theirs. agent: whose folder it was in; account: of the session's last message, "" when not known;
 * main_key: session.mainKey. OC_E_INVALID, OC_E_LIMIT: no session of ours can have it. */
oc_status oc_import_key(const char *theirs, const char *agent, const char *account, const char *main_key,
			char out[OC_SESSION_KEY_MAX], oc_err *err);

typedef struct oc_import oc_import;

/* Borrows the text. Lines that cannot be read are left out and counted: a crash may have cut the last one. */
oc_status oc_import_read(oc_str text, oc_import **ret, oc_err *err);
void oc_import_free(oc_import *im); /* NULL is allowed */
size_t oc_import_rows(const oc_import *im);   /* that become messages */
size_t oc_import_broken(const oc_import *im); /* lines that were left out */
/* The session's own id, "" when the file does not say. */
const char *oc_import_id(const oc_import *im);
/* Of row i: what tells whether a file is the one that was read before, only longer. "" in files without ids. */
const char *oc_import_row_id(const oc_import *im, size_t i);
size_t oc_import_row_bytes(const oc_import *im, size_t i); /* of its line */
/* Adds row i to the batch. first_seq: the number that row 0 has or had in the session's events; all rows follow one another.
 * ret_ts_ms: when it was said, 0 when the file does not say. */
oc_status oc_import_put(const oc_import *im, size_t i, oc_batch *batch, const char *session, int64_t first_seq,
			int64_t *ret_ts_ms, oc_err *err);

#endif
