/* Events, and the rows that are derived from them in the same transaction. */
#include <string.h>

#include "core/base/id.h"
#include "core/store/batch.h"

static const char *const NEW_SESSION = "INSERT INTO sessions(key, session_id, created_ms, updated_ms, epoch_ms)"
				       " VALUES(?1, ?2, ?3, ?3, ?3)";
static const char *const FIND_SESSION = "SELECT id, last_seq, epoch_seq, messages, state = 'ended' FROM sessions"
					" WHERE key = ?1";
static const char *const NEXT_SEQ = "UPDATE sessions SET last_seq = last_seq + 1 WHERE id = ?1 RETURNING last_seq";
static const char *const NEW_EVENT = "INSERT INTO events(session, seq, ts_ms, kind, run, data)"
				     " VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
static const char *const NEW_MESSAGE =
	"INSERT INTO messages(session, seq, ts_ms, role, content, text, run, model, tool_call_id, tool_name, is_error,"
	" meta, tokens) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
static const char *const COUNT_MESSAGE = "UPDATE sessions SET messages = messages + 1, updated_ms = max(updated_ms, ?2),"
					 " preview = coalesce(?3, preview) WHERE id = ?1";
static const char *const NEW_EPOCH =
	"UPDATE sessions SET session_id = ?2, state = 'active', epoch_ms = ?3, updated_ms = max(updated_ms, ?3),"
	" epoch_seq = last_seq + 1, messages = 0, preview = NULL, calls = 0, input = 0, output = 0, cache_read = 0,"
	" cache_write = 0, cost = 0 WHERE id = ?1";

#define PREVIEW_MAX 120

/* sqlite3_step with one result row expected; the caller reads the columns and resets. */
static oc_status step_row(oc_tx *tx, sqlite3_stmt *stmt, const char *what, oc_err *err)
{
	int rc = stmt != NULL ? sqlite3_step(stmt) : SQLITE_ERROR;
	if (rc == SQLITE_ROW)
		return OC_OK;
	if (rc == SQLITE_DONE)
		return OC_E_NOT_FOUND;
	return stmt == NULL ? err->code : oc_sql_fail(err, oc_tx_db(tx), rc, what);
}

oc_status oc_project_session(oc_tx *tx, const char *key, oc_tx_session *ret, bool *ret_began, oc_err *err)
{
	for (int tries = 0; tries < 2; tries++) {
		sqlite3_stmt *find = oc_tx_stmt(tx, FIND_SESSION, err);
		if (find != NULL)
			oc_sql_bind(find, 1, key);
		oc_status status = step_row(tx, find, "cannot read the session", err);
		if (status == OC_OK) {
			ret->id = sqlite3_column_int64(find, 0);
			ret->last_seq = sqlite3_column_int64(find, 1);
			ret->epoch_seq = sqlite3_column_int64(find, 2);
			ret->messages = sqlite3_column_int64(find, 3);
			ret->ended = sqlite3_column_int(find, 4) != 0;
			sqlite3_reset(find);
			return OC_OK;
		}
		if (status != OC_E_NOT_FOUND)
			return status;
		sqlite3_reset(find);
		char uuid[37];
		sqlite3_stmt *make = oc_tx_stmt(tx, NEW_SESSION, err);
		if (make == NULL)
			return err->code;
		oc_sql_bind(make, 1, key);
		oc_sql_bind(make, 2, oc_id_uuid(uuid));
		sqlite3_bind_int64(make, 3, oc_tx_now_ms(tx));
		status = oc_tx_run(tx, make, err);
		if (status == OC_OK)
			status = oc_project_event(tx, sqlite3_last_insert_rowid(oc_tx_db(tx)), "session_started", NULL,
						  NULL, NULL, err);
		if (status != OC_OK)
			return status;
		*ret_began = true;
	}
	return oc_fail(err, OC_E_INTERNAL, NULL, "the session %s cannot be made", key);
}

oc_status oc_project_event(oc_tx *tx, int64_t session, const char *kind, const char *run, const char *data,
			   int64_t *ret_seq, oc_err *err)
{
	sqlite3_stmt *next = oc_tx_stmt(tx, NEXT_SEQ, err);
	if (next != NULL)
		sqlite3_bind_int64(next, 1, session);
	oc_status status = step_row(tx, next, "cannot number the event", err);
	if (status == OC_E_NOT_FOUND)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "the session of the event is gone");
	if (status != OC_OK)
		return status;
	int64_t seq = sqlite3_column_int64(next, 0);
	sqlite3_reset(next);
	sqlite3_stmt *add = oc_tx_stmt(tx, NEW_EVENT, err);
	if (add == NULL)
		return err->code;
	sqlite3_bind_int64(add, 1, session);
	sqlite3_bind_int64(add, 2, seq);
	sqlite3_bind_int64(add, 3, oc_tx_now_ms(tx));
	oc_sql_bind(add, 4, kind);
	oc_sql_bind(add, 5, run);
	oc_sql_bind(add, 6, data);
	status = oc_tx_run(tx, add, err);
	if (status == OC_OK && ret_seq != NULL)
		*ret_seq = seq;
	return status;
}

/* The beginning of a text for lists, cut at a character's border. */
static size_t preview_length(const char *s)
{
	size_t n = strlen(s);
	if (n <= PREVIEW_MAX)
		return n;
	n = PREVIEW_MAX;
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	return n;
}

oc_status oc_project_message(oc_tx *tx, int64_t session, int64_t seq, const oc_message *m, oc_err *err)
{
	sqlite3_stmt *add = oc_tx_stmt(tx, NEW_MESSAGE, err);
	if (add == NULL)
		return err->code;
	sqlite3_bind_int64(add, 1, session);
	sqlite3_bind_int64(add, 2, seq);
	sqlite3_bind_int64(add, 3, oc_tx_now_ms(tx));
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
	sqlite3_stmt *count = status == OC_OK ? oc_tx_stmt(tx, COUNT_MESSAGE, err) : NULL;
	if (count == NULL)
		return err->code;
	sqlite3_bind_int64(count, 1, session);
	sqlite3_bind_int64(count, 2, oc_tx_now_ms(tx));
	bool shown = m->text != NULL && m->text[0] != 0 && strcmp(m->role, "tool") != 0;
	if (shown)
		sqlite3_bind_text(count, 3, m->text, (int)preview_length(m->text), SQLITE_STATIC);
	return oc_tx_run(tx, count, err);
}

oc_status oc_project_new_epoch(oc_tx *tx, const char *key, const oc_tx_session *s, const char *reason, oc_err *err)
{
	oc_status status = OC_OK;
	if (s->messages > 0 && !s->ended) {
		oc_sbuf data;
		oc_sbuf_init(&data, 4096);
		oc_sbuf_z(&data, "{\"reason\":");
		oc_sbuf_json(&data, oc_str_of(reason));
		oc_sbuf_printf(&data, ",\"messages\":%lld}", (long long)s->messages);
		status = data.error != OC_OK
				 ? oc_fail(err, data.error, NULL, "cannot end the session %s", key)
				 : oc_project_event(tx, s->id, "session_ended", NULL, oc_sbuf_view(&data).p, NULL, err);
		oc_sbuf_free(&data);
	}
	sqlite3_stmt *next = status == OC_OK ? oc_tx_stmt(tx, NEW_EPOCH, err) : NULL;
	if (next == NULL)
		return err->code;
	char uuid[37];
	sqlite3_bind_int64(next, 1, s->id);
	oc_sql_bind(next, 2, oc_id_uuid(uuid));
	sqlite3_bind_int64(next, 3, oc_tx_now_ms(tx));
	status = oc_tx_run(tx, next, err);
	return status == OC_OK ? oc_project_event(tx, s->id, "session_started", NULL, NULL, NULL, err) : status;
}

oc_status oc_tx_event(oc_tx *tx, const char *session, const char *kind, const char *run, const char *data,
		      int64_t *ret_seq, oc_err *err)
{
	oc_tx_session s;
	bool began = false;
	oc_status status = oc_project_session(tx, session, &s, &began, err);
	return status == OC_OK ? oc_project_event(tx, s.id, kind, run, data, ret_seq, err) : status;
}
