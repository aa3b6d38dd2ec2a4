/*
 * Batches: gathered on the loop thread into an arena, carried out on the writer thread, results read on the loop again.
 * This file has what concerns sessions; batch_queue.c has runs, inbox, outbox, kv and usage.
 */
#include "core/store/batch.h"

#include <string.h>

#include "core/base/log.h"

#define BATCH_BYTES_MAX ((size_t)64 << 20)

oc_batch *oc_batch_new(oc_store *store)
{
	oc_arena *arena = oc_arena_new(BATCH_BYTES_MAX);
	oc_batch *b = arena != NULL ? oc_arena_alloc(arena, sizeof *b) : NULL;
	if (b == NULL) {
		oc_arena_free(arena);
		return NULL;
	}
	b->store = store;
	b->arena = arena;
	b->tail = &b->first;
	return b;
}

void oc_batch_free(oc_batch *batch)
{
	if (batch != NULL)
		oc_arena_free(batch->arena);
}

void oc_batch_spoil(oc_batch *batch)
{
	batch->error = OC_E_NOMEM;
}

void *oc_batch_add(oc_batch *b, size_t size, oc_status (*run)(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err))
{
	oc_op *op = oc_arena_alloc(b->arena, size);
	if (op == NULL) {
		b->error = OC_E_NOMEM;
		return NULL;
	}
	op->run = run;
	*b->tail = op;
	b->tail = &op->next;
	b->count++;
	return op;
}

const char *oc_batch_text(oc_batch *b, const char *s)
{
	if (s == NULL)
		return NULL;
	const char *copy = oc_arena_strdup(b->arena, s);
	if (copy == NULL)
		b->error = OC_E_NOMEM;
	return copy;
}

oc_str oc_batch_bytes(oc_batch *b, oc_str s)
{
	const char *copy = oc_arena_memdup(b->arena, s.p, s.n);
	if (copy == NULL) {
		b->error = OC_E_NOMEM;
		return OC_STR_NONE;
	}
	return (oc_str){copy, s.n};
}

/* ---- Commit ---- */

static oc_status run_all(oc_tx *tx, void *arg, oc_err *err)
{
	oc_batch *b = arg;
	for (oc_op *op = b->first; op != NULL && !b->skip_rest; op = op->next) {
		oc_status status = op->run(b, tx, op, err);
		if (status != OC_OK)
			return status;
	}
	return OC_OK;
}

/* The transaction was rolled back for another batch's sake: this one runs once more. */
static void run_again(void *arg)
{
	oc_batch *b = arg;
	b->skip_rest = b->duplicate = b->began = b->made = false;
	for (oc_op *op = b->first; op != NULL; op = op->next)
		op->seq = 0;
}

static void committed(void *arg, oc_status status, const oc_err *err)
{
	oc_batch *b = arg;
	if (b->done != NULL)
		b->done(b->arg, b, status, err);
	oc_batch_free(b);
}

/* For batches that nobody waits for: the writer logs what was lost. */
static void committed_alone(void *arg, oc_status status, const oc_err *err)
{
	if (status != OC_OK)
		oc_log_err(OC_LOG_ERROR, "store", "a change was lost", err);
	oc_batch_free(arg);
}

oc_status oc_batch_commit(oc_batch *b, oc_batch_done done, void *arg, oc_err *err)
{
	if (b == NULL || b->error != OC_OK) {
		oc_batch_free(b);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot gather the changes for the store");
	}
	b->done = done;
	b->arg = arg;
	int flags = (b->takes_in ? 0 : OC_PUT_HOLD) | (b->lazy ? OC_PUT_LAZY : 0);
	oc_status status = oc_writer_put(b->store, run_all, run_again, done != NULL ? committed : committed_alone, b, flags, err);
	if (status != OC_OK)
		oc_batch_free(b);
	return status;
}

void oc_batch_lazy(oc_batch *b)
{
	if (b != NULL)
		b->lazy = true;
}

/* What may be done on the calling thread (commands without a loop). */
oc_status oc_batch_commit_now(oc_batch *b, oc_err *err)
{
	oc_status status = b == NULL || b->error != OC_OK
				   ? oc_fail(err, OC_E_NOMEM, NULL, "cannot gather the changes for the store")
				   : oc_store_write_now(b->store, run_all, b, err);
	oc_batch_free(b);
	return status;
}

int64_t oc_batch_seq(const oc_batch *b, int index)
{
	const oc_op *op = b->first;
	while (op != NULL && index-- > 0)
		op = op->next;
	return op != NULL ? op->seq : 0;
}

bool oc_batch_is_duplicate(const oc_batch *b)
{
	return b->duplicate;
}

bool oc_batch_began_session(const oc_batch *b)
{
	return b->began || b->made;
}

bool oc_batch_made_session(const oc_batch *b)
{
	return b->made;
}

/* ---- Sessions ---- */

typedef struct session_op {
	oc_op op;
	const char *key;
	oc_session_facts facts;
} session_op;

static oc_status run_session(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	const session_op *o = (const session_op *)op;
	oc_tx_session *s = NULL;
	oc_status status = oc_project_session(tx, o->key, &s, &b->made, err);
	if (status != OC_OK)
		return status;
	sqlite3_stmt *set = oc_tx_stmt(tx,
				       "UPDATE sessions SET agent = coalesce(?2, agent), kind = coalesce(?3, kind),"
				       " channel = coalesce(?4, channel), account = coalesce(?5, account),"
				       " peer = coalesce(?6, peer), thread = coalesce(?7, thread),"
				       " title = nullif(coalesce(?8, title), ''), model = nullif(coalesce(?9, model), ''),"
				       " thinking = nullif(coalesce(?10, thinking), ''), delivery = coalesce(?11, delivery),"
				       " settings = CASE WHEN ?12 IS NULL THEN settings"
				       " ELSE nullif(json_patch(coalesce(settings, '{}'), ?12), '{}') END WHERE id = ?1",
				       err);
	if (set == NULL)
		return err->code;
	const oc_session_facts *f = &o->facts;
	sqlite3_bind_int64(set, 1, s->id);
	const char *const values[] = {f->agent, f->kind,  f->channel,  f->account,	f->peer,
				      f->thread, f->title, f->model, f->thinking, f->delivery_json, f->settings_json};
	for (int i = 0; i < (int)(sizeof values / sizeof *values); i++)
		oc_sql_bind(set, i + 2, values[i]);
	return oc_tx_run(tx, set, err);
}

void oc_batch_session(oc_batch *b, const char *session, const oc_session_facts *f)
{
	session_op *o = oc_batch_add(b, sizeof *o, run_session);
	if (o == NULL)
		return;
	o->key = oc_batch_text(b, session);
	o->facts = (oc_session_facts){
		.agent = oc_batch_text(b, f->agent),
		.kind = oc_batch_text(b, f->kind),
		.channel = oc_batch_text(b, f->channel),
		.account = oc_batch_text(b, f->account),
		.peer = oc_batch_text(b, f->peer),
		.thread = oc_batch_text(b, f->thread),
		.title = oc_batch_text(b, f->title),
		.model = oc_batch_text(b, f->model),
		.thinking = oc_batch_text(b, f->thinking),
		.delivery_json = oc_batch_text(b, f->delivery_json),
		.settings_json = oc_batch_text(b, f->settings_json),
	};
}

typedef struct event_op {
	oc_op op;
	const char *key, *kind, *run, *data;
} event_op;

static oc_status run_event(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	const event_op *o = (const event_op *)op;
	oc_tx_session *s = NULL;
	oc_status status = oc_project_session(tx, o->key, &s, &b->made, err);
	return status == OC_OK ? oc_project_event(tx, s, o->kind, o->run, o->data, &op->seq, err) : status;
}

int oc_batch_event(oc_batch *b, const char *session, const char *kind, const char *run, const char *data)
{
	event_op *o = oc_batch_add(b, sizeof *o, run_event);
	if (o != NULL) {
		o->key = oc_batch_text(b, session);
		o->kind = oc_batch_text(b, kind);
		o->run = oc_batch_text(b, run);
		o->data = oc_batch_text(b, data);
	}
	return b->count - 1;
}

typedef struct message_op {
	oc_op op;
	const char *key, *kind;
	oc_message m;
} message_op;

static oc_status run_message(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	const message_op *o = (const message_op *)op;
	oc_tx_session *s = NULL;
	oc_status status = oc_project_session(tx, o->key, &s, &b->made, err);
	if (status == OC_OK && s->ended && strcmp(o->m.role, "user") == 0) {
		/* Talking to an ended session opens it again, with an empty history. */
		status = oc_project_new_epoch(tx, s, "message", err);
		b->began = true;
	}
	if (status == OC_OK)
		status = oc_project_event_at(tx, s, o->m.ts_ms, o->kind, o->m.run, NULL, &op->seq, err);
	return status == OC_OK ? oc_project_message(tx, s, op->seq, &o->m, err) : status;
}

int oc_batch_message(oc_batch *b, const char *session, const char *kind, const oc_message *m)
{
	message_op *o = oc_batch_add(b, sizeof *o, run_message);
	if (o != NULL) {
		o->key = oc_batch_text(b, session);
		o->kind = oc_batch_text(b, kind);
		o->m = (oc_message){
			.role = oc_batch_text(b, m->role),
			.content_json = oc_batch_text(b, m->content_json),
			.text = oc_batch_text(b, m->text),
			.run = oc_batch_text(b, m->run),
			.model = oc_batch_text(b, m->model),
			.tool_call_id = oc_batch_text(b, m->tool_call_id),
			.tool_name = oc_batch_text(b, m->tool_name),
			.is_error = m->is_error,
			.meta_json = oc_batch_text(b, m->meta_json),
			.tokens = m->tokens,
			.ts_ms = m->ts_ms,
		};
	}
	return b->count - 1;
}

/* Reset, end and delete have the same arguments. */
typedef struct end_op {
	oc_op op;
	const char *key, *reason;
} end_op;

static void add_end(oc_batch *b, const char *session, const char *reason,
		    oc_status (*run)(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err))
{
	end_op *o = oc_batch_add(b, sizeof *o, run);
	if (o != NULL) {
		o->key = oc_batch_text(b, session);
		o->reason = oc_batch_text(b, reason != NULL ? reason : "");
	}
}

static oc_status run_reset(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	const end_op *o = (const end_op *)op;
	oc_tx_session *s = NULL;
	bool made = false;
	oc_status status = oc_project_session(tx, o->key, &s, &made, err);
	b->began = true;
	return status != OC_OK || made ? status : oc_project_new_epoch(tx, s, o->reason, err);
}

void oc_batch_session_reset(oc_batch *b, const char *session, const char *reason)
{
	add_end(b, session, reason, run_reset);
}

static oc_status run_end(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	const end_op *o = (const end_op *)op;
	oc_tx_session *s = NULL;
	oc_status status = oc_project_find(tx, o->key, &s, err);
	if (status != OC_OK)
		return status;
	oc_sbuf data;
	oc_sbuf_init(&data, 4096);
	oc_sbuf_z(&data, "{\"reason\":");
	oc_sbuf_json(&data, oc_str_of(o->reason));
	oc_sbuf_z(&data, "}");
	if (data.error != OC_OK)
		status = oc_fail(err, data.error, NULL, "cannot end the session");
	else
		status = oc_project_event(tx, s, "session_ended", NULL, oc_sbuf_view(&data).p, NULL, err);
	oc_sbuf_free(&data);
	sqlite3_stmt *set = status == OC_OK ? oc_tx_stmt(tx, "UPDATE sessions SET state = 'ended' WHERE id = ?1", err)
					    : NULL;
	if (set == NULL)
		return err->code;
	sqlite3_bind_int64(set, 1, s->id);
	s->ended = true;
	return oc_tx_run(tx, set, err);
}

void oc_batch_session_end(oc_batch *b, const char *session, const char *reason)
{
	add_end(b, session, reason, run_end);
}

typedef struct times_op {
	oc_op op;
	const char *key;
	int64_t started_ms, used_ms;
} times_op;

static oc_status run_times(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	const times_op *o = (const times_op *)op;
	oc_tx_session *s = NULL;
	oc_status status = oc_project_find(tx, o->key, &s, err);
	sqlite3_stmt *set = status != OC_OK ? NULL : oc_tx_stmt(tx, "UPDATE sessions SET created_ms = min(created_ms, ?2), epoch_ms = ?2"
								    " WHERE id = ?1", err);
	if (set == NULL)
		return err->code;
	sqlite3_bind_int64(set, 1, s->id);
	sqlite3_bind_int64(set, 2, o->started_ms);
	s->updated_ms = o->used_ms;
	s->dirty = true;
	return oc_tx_run(tx, set, err);
}

void oc_batch_session_times(oc_batch *b, const char *session, int64_t started_ms, int64_t used_ms)
{
	times_op *o = oc_batch_add(b, sizeof *o, run_times);
	if (o != NULL) {
		o->key = oc_batch_text(b, session);
		o->started_ms = started_ms;
		o->used_ms = used_ms;
	}
}

oc_status oc_project_delete(oc_tx *tx, oc_tx_session *s, oc_err *err)
{
	static const char *const by_id[] = {"DELETE FROM messages WHERE session = ?1",
					    "DELETE FROM events WHERE session = ?1", "DELETE FROM sessions WHERE id = ?1"};
	oc_status status = oc_search_remove(tx, s->id, INT64_MAX, err);
	for (size_t i = 0; status == OC_OK && i < sizeof by_id / sizeof *by_id; i++) {
		sqlite3_stmt *stmt = oc_tx_stmt(tx, by_id[i], err);
		if (stmt == NULL)
			return err->code;
		sqlite3_bind_int64(stmt, 1, s->id);
		status = oc_tx_run(tx, stmt, err);
	}
	if (status == OC_OK)
		status = oc_search_removed(tx, err);
	/* Runs go too: their results hold replies. The outbox stays, what was promised is sent; usage stays, it was paid. */
	sqlite3_stmt *runs = status == OC_OK ? oc_tx_stmt(tx, "DELETE FROM runs WHERE session = ?1", err) : NULL;
	if (runs == NULL)
		return err->code;
	oc_sql_bind(runs, 1, s->key);
	status = oc_tx_run(tx, runs, err);
	oc_project_drop(tx, s);
	return status;
}

static oc_status run_delete(oc_batch *b, oc_tx *tx, oc_op *op, oc_err *err)
{
	(void)b;
	oc_tx_session *s = NULL;
	oc_status status = oc_project_find(tx, ((const end_op *)op)->key, &s, err);
	return status == OC_OK ? oc_project_delete(tx, s, err) : status;
}

void oc_batch_session_delete(oc_batch *b, const char *session)
{
	add_end(b, session, NULL, run_delete);
}
