/* What the kinds of changes share; only for core/store/batch*.c. */
#ifndef OC_STORE_BATCH_H
#define OC_STORE_BATCH_H

#include "core/base/mem.h"
#include "core/store/internal.h"

/* One change: the head of a struct with its copied arguments, which `run` knows. */
typedef struct oc_op {
	struct oc_op *next;
	oc_status (*run)(oc_batch *b, oc_tx *tx, struct oc_op *op, oc_err *err);
	int64_t seq; /* result of event and message */
} oc_op;

struct oc_batch {
	oc_store *store;
	oc_arena *arena;
	oc_op *first, **tail;
	int count;
	oc_status error; /* of gathering */
	oc_batch_done done;
	void *arg;
	/* results */
	bool skip_rest, duplicate, began;
	char duplicate_run[64];
};

/* A new change of `size` bytes at the end, or NULL (remembered). */
void *oc_batch_add(oc_batch *b, size_t size,
		   oc_status (*run)(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err));
/* Copies; NULL stays NULL. */
const char *oc_batch_text(oc_batch *b, const char *s);
oc_str oc_batch_bytes(oc_batch *b, oc_str s);

/* project.c: the session's row, made when it is not there (*ret_began). */
typedef struct oc_tx_session {
	int64_t id, last_seq, epoch_seq, messages;
	bool ended;
} oc_tx_session;
oc_status oc_project_session(oc_tx *tx, const char *key, oc_tx_session *ret, bool *ret_began, oc_err *err);
oc_status oc_project_event(oc_tx *tx, int64_t session, const char *kind, const char *run, const char *data,
			   int64_t *ret_seq, oc_err *err);
oc_status oc_project_message(oc_tx *tx, int64_t session, int64_t seq, const oc_message *m, oc_err *err);
/* Closes the epoch (when it had messages) and begins the next one. */
oc_status oc_project_new_epoch(oc_tx *tx, const char *key, const oc_tx_session *s, const char *reason, oc_err *err);

#endif
