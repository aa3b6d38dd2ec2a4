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
	bool lazy;	 /* nobody waits for it */
	bool takes_in;	 /* new work: refused at once when the disk refuses, so that nobody acknowledges it */
	oc_batch_done done;
	void *arg;
	/* results */
	bool skip_rest, duplicate, began, made;
};

/* A new change of `size` bytes at the end, or NULL (remembered). */
void *oc_batch_add(oc_batch *b, size_t size,
		   oc_status (*run)(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err));
/* Copies; NULL stays NULL. */
const char *oc_batch_text(oc_batch *b, const char *s);
oc_str oc_batch_bytes(oc_batch *b, oc_str s);

/* project.c: what is known of the session, which is made when it is not there (*ret_began). Valid until the next call for
 * another session. */
oc_status oc_project_session(oc_tx *tx, const char *key, oc_tx_session **ret, bool *ret_began, oc_err *err);
/* The same, OC_E_NOT_FOUND when there is none. */
oc_status oc_project_find(oc_tx *tx, const char *key, oc_tx_session **ret, oc_err *err);
oc_status oc_project_event(oc_tx *tx, oc_tx_session *s, const char *kind, const char *run, const char *data, int64_t *ret_seq,
			   oc_err *err);
/* The same with the time it happened at; 0: now. */
oc_status oc_project_event_at(oc_tx *tx, oc_tx_session *s, int64_t ts_ms, const char *kind, const char *run, const char *data,
			      int64_t *ret_seq, oc_err *err);
oc_status oc_project_message(oc_tx *tx, oc_tx_session *s, int64_t seq, const oc_message *m, oc_err *err);
/* Closes the epoch (when it had messages) and begins the next one. */
oc_status oc_project_new_epoch(oc_tx *tx, oc_tx_session *s, const char *reason, oc_err *err);
/* batch.c: removes the session and what belongs to it. */
oc_status oc_project_delete(oc_tx *tx, oc_tx_session *s, oc_err *err);
/* Forgets one session without writing it back: its row is gone. */
void oc_project_drop(oc_tx *tx, oc_tx_session *s);

#endif
