/*
 * Events, and the rows that are derived from them in the same transaction.
 *
 * A group of batches often speaks of few sessions: their numbers and counts are kept in memory while the transaction is
 * open and written back once, before it is committed or before somebody else's SQL may look at them.
 */
#include <string.h>

#include "core/base/hash.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/store/batch.h"

static const char *const NEW_SESSION = "INSERT INTO sessions(key, session_id, created_ms, updated_ms, epoch_ms)"
				       " VALUES(?1, ?2, ?3, ?3, ?3)";
static const char *const FIND_SESSION = "SELECT id, last_seq, epoch_seq, messages, state = 'ended', updated_ms FROM sessions"
					" WHERE key = ?1";
static const char *const NEW_EVENT = "INSERT INTO events(session, seq, ts_ms, kind, run, data)"
				     " VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
static const char *const NEW_MESSAGE =
	"INSERT INTO messages(session, seq, ts_ms, role, content, text, run, model, tool_call_id, tool_name, is_error,"
	" meta, tokens) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
static const char *const WRITE_BACK = "UPDATE sessions SET last_seq = ?2, messages = ?3, updated_ms = ?4,"
				      " preview = coalesce(?5, preview) WHERE id = ?1";
static const char *const NEW_EPOCH =
	"UPDATE sessions SET session_id = ?2, state = 'active', epoch_ms = ?3, updated_ms = ?4,"
	" epoch_seq = ?5, messages = 0, preview = NULL, calls = 0, input = 0, output = 0, cache_read = 0,"
	" cache_write = 0, cost = 0 WHERE id = ?1";

#define PREVIEW_MAX 120
#define CLOCK_SLACK_MS 60000

/* ---- What is known of sessions ---- */

static size_t slot_of(const oc_tx *tx, const char *key)
{
	size_t at = oc_hash_z(OC_HASH_START, key) & (TX_SESSIONS - 1);
	while (tx->sessions[at].key != NULL && strcmp(tx->sessions[at].key, key) != 0)
		at = (at + 1) & (TX_SESSIONS - 1);
	return at;
}

static oc_status write_back(oc_tx *tx, oc_tx_session *s, oc_err *err)
{
	if (!s->dirty)
		return OC_OK;
	sqlite3_stmt *stmt = oc_tx_stmt(tx, WRITE_BACK, err);
	if (stmt == NULL)
		return err->code;
	sqlite3_bind_int64(stmt, 1, s->id);
	sqlite3_bind_int64(stmt, 2, s->last_seq);
	sqlite3_bind_int64(stmt, 3, s->messages);
	sqlite3_bind_int64(stmt, 4, s->updated_ms);
	oc_sql_bind(stmt, 5, s->has_preview ? s->preview : NULL);
	oc_status status = oc_tx_run(tx, stmt, err);
	s->dirty = s->has_preview = status != OC_OK;
	return status;
}

oc_status oc_tx_flush(oc_tx *tx, oc_err *err)
{
	oc_status status = OC_OK;
	for (size_t i = 0; tx->n_sessions > 0 && i < TX_SESSIONS && status == OC_OK; i++)
		if (tx->sessions[i].key != NULL)
			status = write_back(tx, &tx->sessions[i], err);
	return status;
}

void oc_tx_forget(oc_tx *tx)
{
	for (size_t i = 0; tx->n_sessions > 0 && i < TX_SESSIONS; i++) {
		oc_free(tx->sessions[i].key);
		tx->sessions[i] = (oc_tx_session){0};
	}
	tx->n_sessions = 0;
}

void oc_project_drop(oc_tx *tx, oc_tx_session *s)
{
	/* Others may have been put behind it: emptying the slot would hide them, so it stays as one nobody asks for. */
	s->dirty = s->has_preview = false;
	s->key[0] = 0;
	(void)tx;
}

/* sqlite3_step with one result row expected; the caller reads the columns and resets. */
static oc_status step_row(oc_tx *tx, sqlite3_stmt *stmt, const char *what, oc_err *err)
{
	int rc = stmt != NULL ? sqlite3_step(stmt) : SQLITE_ERROR;
	if (rc == SQLITE_ROW)
		return OC_OK;
	if (rc == SQLITE_DONE)
		return OC_E_NOT_FOUND;
	if (stmt == NULL)
		return err->code;
	oc_status status = oc_sql_fail(err, oc_tx_db(tx), rc, what);
	sqlite3_reset(stmt);
	return status;
}

/* OC_E_NOT_FOUND leaves err empty. */
static oc_status load(oc_tx *tx, const char *key, oc_tx_session **ret, oc_err *err)
{
	size_t at = slot_of(tx, key);
	if (tx->sessions[at].key != NULL) {
		*ret = &tx->sessions[at];
		return OC_OK;
	}
	sqlite3_stmt *find = oc_tx_stmt(tx, FIND_SESSION, err);
	if (find != NULL)
		oc_sql_bind(find, 1, key);
	oc_status status = step_row(tx, find, "cannot read the session", err);
	if (status != OC_OK) {
		sqlite3_reset(find);
		return status;
	}
	oc_tx_session s = {
		.key = oc_strdup(key),
		.id = sqlite3_column_int64(find, 0),
		.last_seq = sqlite3_column_int64(find, 1),
		.epoch_seq = sqlite3_column_int64(find, 2),
		.messages = sqlite3_column_int64(find, 3),
		.ended = sqlite3_column_int(find, 4) != 0,
		.updated_ms = sqlite3_column_int64(find, 5),
	};
	sqlite3_reset(find);
	if (s.key == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the session");
	if (tx->n_sessions >= TX_SESSIONS / 2) {
		status = oc_tx_flush(tx, err);
		if (status != OC_OK) {
			oc_free(s.key);
			return status;
		}
		oc_tx_forget(tx);
		at = slot_of(tx, key);
	}
	tx->sessions[at] = s;
	tx->n_sessions++;
	*ret = &tx->sessions[at];
	return OC_OK;
}

oc_status oc_project_find(oc_tx *tx, const char *key, oc_tx_session **ret, oc_err *err)
{
	oc_status status = load(tx, key, ret, err);
	return status == OC_E_NOT_FOUND
		       ? oc_fail(err, OC_E_NOT_FOUND, "see `openclaw sessions list`", "there is no session %s", key)
		       : status;
}

oc_status oc_project_session(oc_tx *tx, const char *key, oc_tx_session **ret, bool *ret_began, oc_err *err)
{
	if (key == NULL || key[0] == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "a session needs a key");
	oc_status status = load(tx, key, ret, err);
	if (status != OC_E_NOT_FOUND)
		return status;
	char uuid[37];
	sqlite3_stmt *make = oc_tx_stmt(tx, NEW_SESSION, err);
	if (make == NULL)
		return err->code;
	oc_sql_bind(make, 1, key);
	oc_sql_bind(make, 2, oc_id_uuid(uuid));
	sqlite3_bind_int64(make, 3, oc_tx_now_ms(tx));
	status = oc_tx_run(tx, make, err);
	if (status == OC_OK)
		status = load(tx, key, ret, err);
	if (status == OC_OK)
		status = oc_project_event(tx, *ret, "session_started", NULL, NULL, NULL, err);
	if (status == OC_OK)
		*ret_began = true;
	return status == OC_E_NOT_FOUND ? oc_fail(err, OC_E_INTERNAL, NULL, "the session %s cannot be made", key) : status;
}

/* ---- Events and messages ---- */

oc_status oc_project_event(oc_tx *tx, oc_tx_session *s, const char *kind, const char *run, const char *data, int64_t *ret_seq,
			   oc_err *err)
{
	return oc_project_event_at(tx, s, 0, kind, run, data, ret_seq, err);
}

oc_status oc_project_event_at(oc_tx *tx, oc_tx_session *s, int64_t ts_ms, const char *kind, const char *run, const char *data,
			      int64_t *ret_seq, oc_err *err)
{
	sqlite3_stmt *add = oc_tx_stmt(tx, NEW_EVENT, err);
	if (add == NULL)
		return err->code;
	sqlite3_bind_int64(add, 1, s->id);
	sqlite3_bind_int64(add, 2, s->last_seq + 1);
	sqlite3_bind_int64(add, 3, ts_ms > 0 ? ts_ms : oc_tx_now_ms(tx));
	oc_sql_bind(add, 4, kind);
	oc_sql_bind(add, 5, run);
	oc_sql_bind(add, 6, data);
	oc_status status = oc_tx_run(tx, add, err);
	if (status != OC_OK)
		return status;
	s->last_seq++;
	s->dirty = true;
	if (ret_seq != NULL)
		*ret_seq = s->last_seq;
	return OC_OK;
}

/* The beginning of a text for lists, cut at a character's border. */
static size_t preview_length(const char *s)
{
	size_t n = strnlen(s, PREVIEW_MAX + 1);
	if (n <= PREVIEW_MAX)
		return n;
	n = PREVIEW_MAX;
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Lists go by this time. A clock that was set back must not leave a session on top until it has caught up. */
static void touch(oc_tx *tx, oc_tx_session *s)
{
	if (tx->now_ms > s->updated_ms || s->updated_ms > tx->now_ms + CLOCK_SLACK_MS)
		s->updated_ms = tx->now_ms;
	s->dirty = true;
}

oc_status oc_project_message(oc_tx *tx, oc_tx_session *s, int64_t seq, const oc_message *m, oc_err *err)
{
	sqlite3_stmt *add = oc_tx_stmt(tx, NEW_MESSAGE, err);
	if (add == NULL)
		return err->code;
	sqlite3_bind_int64(add, 1, s->id);
	sqlite3_bind_int64(add, 2, seq);
	sqlite3_bind_int64(add, 3, m->ts_ms > 0 ? m->ts_ms : oc_tx_now_ms(tx));
	oc_sql_bind(add, 4, m->role);
	oc_sql_bind(add, 5, m->content_json);
	oc_sql_bind(add, 6, m->text != NULL ? m->text : "");
	oc_sql_bind(add, 7, m->run);
	oc_sql_bind(add, 8, m->model);
	oc_sql_bind(add, 9, m->tool_call_id);
	oc_sql_bind(add, 10, m->tool_name);
	sqlite3_bind_int(add, 11, m->is_error);
	oc_sql_bind(add, 12, m->meta_json);
	sqlite3_bind_int64(add, 13, m->tokens);
	oc_status status = oc_tx_run(tx, add, err);
	if (status != OC_OK)
		return status;
	s->messages++;
	touch(tx, s);
	if (m->text != NULL && m->text[0] != 0 && strcmp(m->role, "tool") != 0) {
		size_t n = preview_length(m->text);
		memcpy(s->preview, m->text, n);
		s->preview[n] = 0;
		s->has_preview = true;
	}
	return OC_OK;
}

oc_status oc_project_new_epoch(oc_tx *tx, oc_tx_session *s, const char *reason, oc_err *err)
{
	oc_status status = OC_OK;
	if (s->messages > 0 && !s->ended) {
		oc_sbuf data;
		oc_sbuf_init(&data, 4096);
		oc_sbuf_z(&data, "{\"reason\":");
		oc_sbuf_json(&data, oc_str_of(reason));
		oc_sbuf_printf(&data, ",\"messages\":%lld}", (long long)s->messages);
		status = data.error != OC_OK ? oc_fail(err, data.error, NULL, "cannot end the session %s", s->key)
					     : oc_project_event(tx, s, "session_ended", NULL, oc_sbuf_view(&data).p, NULL, err);
		oc_sbuf_free(&data);
	}
	sqlite3_stmt *next = status == OC_OK ? oc_tx_stmt(tx, NEW_EPOCH, err) : NULL;
	if (next == NULL)
		return err->code;
	char uuid[37];
	touch(tx, s);
	s->epoch_seq = s->last_seq + 1;
	s->messages = 0;
	s->ended = s->has_preview = false;
	sqlite3_bind_int64(next, 1, s->id);
	oc_sql_bind(next, 2, oc_id_uuid(uuid));
	sqlite3_bind_int64(next, 3, oc_tx_now_ms(tx));
	sqlite3_bind_int64(next, 4, s->updated_ms);
	sqlite3_bind_int64(next, 5, s->epoch_seq);
	status = oc_tx_run(tx, next, err);
	return status == OC_OK ? oc_project_event(tx, s, "session_started", NULL, NULL, NULL, err) : status;
}
