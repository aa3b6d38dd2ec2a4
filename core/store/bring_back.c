/*
 * Sessions out of their journals: rows go in under the numbers that they had, since later ones speak of earlier ones by
 * them (a compaction's summary), and the search index follows by itself.
 */
#include <string.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/batch.h"

typedef struct place {
	int64_t id, last; /* 0: there is none; its last number */
} place;

static oc_status find(oc_tx *tx, const char *key, place *ret, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(tx, "SELECT id, last_seq FROM sessions WHERE key = ?1", err);
	if (s == NULL)
		return err->code;
	oc_sql_bind(s, 1, key);
	int rc = sqlite3_step(s);
	*ret = (place){0};
	if (rc == SQLITE_ROW)
		*ret = (place){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
	sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OC_OK : oc_sql_fail(err, oc_tx_db(tx), rc, "cannot read the session");
}

/* Made with the number before its first: what retention had taken from its beginning is not missed. */
static oc_status make_aside(oc_tx *tx, const oc_bring_back *b, place *ret, oc_err *err)
{
	char uuid[37];
	int64_t first = oc_json_i64(cJSON_GetArrayItem(b->rows, 0), "seq", 1);
	oc_tx_session *old = NULL;
	oc_err none = {0};
	oc_status status = oc_project_find(tx, b->aside, &old, &none);
	if (status == OC_OK)
		status = oc_project_delete(tx, old, err);
	else if (status == OC_E_NOT_FOUND)
		status = OC_OK;
	sqlite3_stmt *s = status == OC_OK ? oc_tx_stmt(tx,
						       "INSERT INTO sessions(key, session_id, created_ms, updated_ms, epoch_ms, state,"
						       " first_seq, last_seq) VALUES(?1, ?2, ?3, ?3, ?3, 'ended', ?4, ?4 - 1)",
						       err)
					  : NULL;
	if (s == NULL)
		return err->code;
	oc_sql_bind(s, 1, b->aside);
	oc_sql_bind(s, 2, oc_id_uuid(uuid));
	sqlite3_bind_int64(s, 3, oc_tx_now_ms(tx));
	sqlite3_bind_int64(s, 4, first < 1 ? 1 : first);
	status = oc_tx_run(tx, s, err);
	return status == OC_OK ? find(tx, b->aside, ret, err) : status;
}

/* A member as a column: text as it is, anything else as JSON. */
static bool bind_member(sqlite3_stmt *s, int column, const cJSON *o, const char *name)
{
	const cJSON *v = oc_json_get(o, name);
	if (v == NULL || cJSON_IsNull(v))
		return sqlite3_bind_null(s, column) == SQLITE_OK;
	if (cJSON_IsString(v))
		return sqlite3_bind_text(s, column, v->valuestring, -1, SQLITE_TRANSIENT) == SQLITE_OK;
	oc_auto_free char *text = oc_json_print(v);
	return text != NULL && sqlite3_bind_text(s, column, text, -1, SQLITE_TRANSIENT) == SQLITE_OK;
}

static bool bind_all(sqlite3_stmt *s, int column, const cJSON *o, const char *const *names)
{
	for (; *names != NULL; names++)
		if (!bind_member(s, column++, o, *names))
			return false;
	return true;
}

static oc_status add_message(oc_tx *tx, const place *at, const cJSON *row, const cJSON *m, oc_err *err)
{
	static const char *const names[] = {"role", "content", "model", "toolCallId", "toolName", "meta", NULL};
	sqlite3_stmt *s = oc_tx_stmt(tx,
				     "INSERT INTO messages(session, seq, ts_ms, role, content, model, tool_call_id, tool_name, meta,"
				     " text, run, is_error, tokens) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
				     err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, at->id);
	sqlite3_bind_int64(s, 2, at->last);
	sqlite3_bind_int64(s, 3, oc_json_i64(row, "ts", 0));
	bool bound = bind_all(s, 4, m, names);
	oc_sql_bind(s, 10, oc_json_str(m, "text", ""));
	oc_sql_bind(s, 11, oc_json_str(row, "run", NULL));
	sqlite3_bind_int(s, 12, oc_json_bool(m, "isError", false));
	sqlite3_bind_int64(s, 13, oc_json_i64(m, "tokens", 0));
	if (!bound)
		sqlite3_reset(s);
	return bound ? oc_tx_run(tx, s, err) : oc_fail(err, OC_E_NOMEM, NULL, "no memory to bring a session back");
}

static oc_status add_row(oc_tx *tx, place *at, const cJSON *row, oc_err *err)
{
	int64_t seq = oc_json_i64(row, "seq", 0);
	const cJSON *m = oc_json_get(row, "message");
	if (seq <= at->last)
		return OC_OK; /* written a second time */
	if (seq != at->last + 1 || oc_json_str(row, "kind", "")[0] == 0 || (m != NULL && oc_json_str(m, "role", "")[0] == 0))
		return oc_fail(err, OC_E_PROTOCOL, NULL, "the journal is not whole: number %lld is missing or damaged",
			       (long long)at->last + 1);
	sqlite3_stmt *s = oc_tx_stmt(tx, "INSERT INTO events(session, seq, ts_ms, kind, run, data) VALUES(?1, ?2, ?3, ?4, ?5, ?6)", err);
	if (s == NULL)
		return err->code;
	at->last = seq;
	sqlite3_bind_int64(s, 1, at->id);
	sqlite3_bind_int64(s, 2, seq);
	sqlite3_bind_int64(s, 3, oc_json_i64(row, "ts", 0));
	oc_sql_bind(s, 4, oc_json_str(row, "kind", ""));
	oc_sql_bind(s, 5, oc_json_str(row, "run", NULL));
	if (!bind_member(s, 6, row, "data")) {
		sqlite3_reset(s);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to bring a session back");
	}
	oc_status status = oc_tx_run(tx, s, err);
	return status == OC_OK && m != NULL ? add_message(tx, at, row, m, err) : status;
}

static oc_status set_facts(oc_tx *tx, const oc_bring_back *b, const place *at, oc_err *err)
{
	static const char *const names[] = {"agent", "kind", "channel", "account", "peer", "thread", "title", "model", "thinking",
					    "delivery", "settings", "preview", NULL};
	const cJSON *f = b->facts, *usage = oc_json_get(f, "usage");
	bool ended = strcmp(oc_json_str(f, "state", ""), "ended") == 0;
	sqlite3_stmt *s = oc_tx_stmt(tx,
				     "UPDATE sessions SET key = ?2, agent = ?3, kind = ?4, channel = ?5, account = ?6, peer = ?7,"
				     " thread = ?8, title = ?9, model = ?10, thinking = ?11, delivery = ?12, settings = ?13,"
				     " preview = ?14, state = ?15, created_ms = ?16, epoch_ms = ?17, epoch_seq = ?18,"
				     " updated_ms = ?19, calls = ?20, input = ?21, output = ?22, cache_read = ?23,"
				     " cache_write = ?24, cost = ?25, session_id = coalesce(?26, session_id), messages = (SELECT count(*)"
				     " FROM messages WHERE session = ?1 AND seq >= ?18) WHERE id = ?1",
				     err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, at->id);
	oc_sql_bind(s, 2, b->key);
	bool bound = bind_all(s, 3, f, names);
	oc_sql_bind(s, 15, ended ? "ended" : "active");
	sqlite3_bind_int64(s, 16, oc_json_i64(f, "createdAt", oc_tx_now_ms(tx)));
	sqlite3_bind_int64(s, 17, oc_json_i64(f, "startedAt", oc_tx_now_ms(tx)));
	sqlite3_bind_int64(s, 18, oc_json_i64(f, "epochSeq", 1));
	sqlite3_bind_int64(s, 19, oc_tx_now_ms(tx)); /* retention goes by this: what was brought back is wanted */
	sqlite3_bind_int64(s, 20, oc_json_i64(usage, "calls", 0));
	sqlite3_bind_int64(s, 21, oc_json_i64(usage, "input", 0));
	sqlite3_bind_int64(s, 22, oc_json_i64(usage, "output", 0));
	sqlite3_bind_int64(s, 23, oc_json_i64(usage, "cacheRead", 0));
	sqlite3_bind_int64(s, 24, oc_json_i64(usage, "cacheWrite", 0));
	sqlite3_bind_double(s, 25, oc_json_num(usage, "cost", 0));
	oc_sql_bind(s, 26, oc_json_str(f, "sessionId", NULL));
	if (!bound)
		sqlite3_reset(s);
	return bound ? oc_tx_run(tx, s, err) : oc_fail(err, OC_E_NOMEM, NULL, "no memory to bring a session back");
}

oc_status oc_tx_bring_back(oc_tx *tx, const oc_bring_back *b, oc_err *err)
{
	place at, there;
	const cJSON *row;
	oc_status status = oc_tx_flush(tx, err);
	if (status == OC_OK)
		status = find(tx, b->key, &there, err);
	if (status == OC_OK && there.id != 0)
		return oc_fail(err, OC_E_EXISTS, "delete it first, or bring it back under another name (--as)",
			       "there is a session %s", b->key);
	if (status == OC_OK)
		status = b->first ? make_aside(tx, b, &at, err) : find(tx, b->aside, &at, err);
	if (status == OC_OK && at.id == 0)
		return oc_fail(err, OC_E_STATE, NULL, "the session that was being brought back is gone");
	if (status == OC_OK) {
		cJSON_ArrayForEach(row, b->rows)
			if (status == OC_OK)
				status = add_row(tx, &at, row, err);
	}
	sqlite3_stmt *s = status == OC_OK ? oc_tx_stmt(tx, "UPDATE sessions SET last_seq = ?2 WHERE id = ?1", err) : NULL;
	if (s == NULL)
		return status != OC_OK ? status : err->code;
	sqlite3_bind_int64(s, 1, at.id);
	sqlite3_bind_int64(s, 2, at.last);
	status = oc_tx_run(tx, s, err);
	if (status == OC_OK && b->facts != NULL)
		status = set_facts(tx, b, &at, err);
	oc_tx_forget(tx); /* what it remembered of them is old */
	return status;
}
