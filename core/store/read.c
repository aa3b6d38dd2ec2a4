/* Reading sessions, messages and events, on the loop thread's connection. */
#include <string.h>

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/internal.h"
#include "core/store/reader.h"

sqlite3_stmt *oc_read_stmt(oc_store *store, const char *sql, oc_err *err)
{
	if (oc_store_open_reader(store, err) != OC_OK)
		return NULL;
	return oc_stmts_get(&store->reader, sql, err);
}

oc_status oc_read_failed(const oc_err *err)
{
	return err != NULL && err->code != OC_OK ? err->code : OC_E_IO;
}

oc_status oc_read_end(oc_store *store, sqlite3_stmt *stmt, int rc, const char *what, oc_err *err)
{
	oc_status status = rc == SQLITE_DONE || rc == SQLITE_ROW ? OC_OK : oc_sql_fail(err, store->reader.db, rc, what);
	sqlite3_reset(stmt);
	return status;
}

bool oc_row_str(cJSON *obj, const char *name, sqlite3_stmt *stmt, int column)
{
	const char *s = oc_sql_text(stmt, column);
	return s[0] == 0 || oc_json_set_str(obj, name, s);
}

bool oc_row_i64(cJSON *obj, const char *name, sqlite3_stmt *stmt, int column)
{
	return oc_json_set_i64(obj, name, sqlite3_column_int64(stmt, column));
}

bool oc_row_json(cJSON *obj, const char *name, sqlite3_stmt *stmt, int column)
{
	const char *s = oc_sql_text(stmt, column);
	if (s[0] == 0)
		return true;
	/* What we wrote is not checked again: the wall stood before it was written. */
	unsigned long refused = oc_mem_refused();
	cJSON *value = cJSON_Parse(s);
	if (value == NULL && refused != oc_mem_refused())
		return false;
	return value == NULL ? oc_json_set_str(obj, name, s) : oc_json_set(obj, name, value);
}

oc_status oc_read_rows(oc_store *store, sqlite3_stmt *stmt, bool (*row)(cJSON *obj, sqlite3_stmt *stmt), const char *what,
		       cJSON **ret_array, oc_err *err)
{
	cJSON *array = cJSON_CreateArray();
	bool ok = array != NULL;
	int rc = SQLITE_DONE;
	while (ok && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		cJSON *obj = cJSON_CreateObject();
		ok = obj != NULL && row(obj, stmt);
		if (ok)
			cJSON_AddItemToArray(array, obj);
		else
			cJSON_Delete(obj);
	}
	oc_status status = oc_read_end(store, stmt, ok ? rc : SQLITE_DONE, what, err);
	if (!ok)
		status = oc_fail(err, OC_E_NOMEM, NULL, "%s", what);
	if (status == OC_OK)
		*ret_array = array;
	else
		cJSON_Delete(array);
	return status;
}

int64_t oc_read_limit(int64_t limit, int64_t fallback, int64_t max)
{
	return limit <= 0 ? fallback : limit > max ? max : limit;
}

/* The lists are read newest first, to take the newest; people read the oldest first. */
static void reverse(cJSON *array)
{
	cJSON *prev = NULL, *last = array->child;
	for (cJSON *at = array->child, *next; at != NULL; at = next) {
		next = at->next;
		at->next = prev;
		prev = at;
	}
	if (prev == NULL)
		return;
	/* cJSON keeps the last item in the first one's prev. */
	array->child = prev;
	for (cJSON *at = prev, *before = last; at != NULL; before = at, at = at->next)
		at->prev = before;
}

/* ---- Sessions ---- */

#define SESSION_COLUMNS                                                                                             \
	"key, session_id, agent, kind, channel, account, peer, thread, title, state, created_ms, updated_ms, messages," \
	" last_seq, model, thinking, delivery, preview, calls, input, output, cache_read, cache_write, cost, epoch_ms, settings, epoch_seq"

static bool session_row(cJSON *o, sqlite3_stmt *s)
{
	static const char *const texts[] = {"key",  "sessionId", "agent",  "kind",  "channel",
					    "account", "peer",	 "thread", "title", "state"};
	for (int i = 0; i < 10; i++)
		if (!oc_row_str(o, texts[i], s, i))
			return false;
	bool ok = oc_row_i64(o, "createdAt", s, 10) && oc_row_i64(o, "updatedAt", s, 11) &&
		  oc_row_i64(o, "startedAt", s, 24) && oc_row_i64(o, "messages", s, 12) && oc_row_i64(o, "lastSeq", s, 13) &&
		  oc_row_str(o, "model", s, 14) && oc_row_str(o, "thinking", s, 15) && oc_row_json(o, "delivery", s, 16) &&
		  oc_row_str(o, "preview", s, 17) && oc_row_json(o, "settings", s, 25) && oc_row_i64(o, "epochSeq", s, 26);
	cJSON *usage = ok ? cJSON_AddObjectToObject(o, "usage") : NULL;
	return usage != NULL && oc_row_usage(usage, s, 18);
}

bool oc_row_usage(cJSON *o, sqlite3_stmt *s, int column)
{
	return oc_row_i64(o, "calls", s, column) && oc_row_i64(o, "input", s, column + 1) &&
	       oc_row_i64(o, "output", s, column + 2) && oc_row_i64(o, "cacheRead", s, column + 3) &&
	       oc_row_i64(o, "cacheWrite", s, column + 4) &&
	       oc_json_set(o, "cost", cJSON_CreateNumber(sqlite3_column_double(s, column + 5)));
}

/* "50%_" as a LIKE pattern that means just that. */
char *oc_read_like(const char *text)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 64 << 10);
	oc_sbuf_char(&b, '%');
	for (const char *p = text; *p != 0; p++) {
		if (*p == '%' || *p == '_' || *p == '\\')
			oc_sbuf_char(&b, '\\');
		oc_sbuf_char(&b, *p);
	}
	oc_sbuf_char(&b, '%');
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}

oc_status oc_store_sessions(oc_store *store, const oc_session_filter *filter, cJSON **ret_array, oc_err *err)
{
	static const oc_session_filter none;
	if (filter == NULL)
		filter = &none;
	sqlite3_stmt *s = oc_read_stmt(
		store,
		"SELECT " SESSION_COLUMNS " FROM sessions WHERE (?1 IS NULL OR agent = ?1) AND (?2 IS NULL OR channel = ?2)"
		" AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR state = ?4) AND updated_ms >= ?5"
		" AND (?6 IS NULL OR key LIKE ?6 ESCAPE '\\' OR title LIKE ?6 ESCAPE '\\')"
		" ORDER BY updated_ms DESC, id DESC LIMIT ?7 OFFSET ?8",
		err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_auto_free char *like = filter->text != NULL ? oc_read_like(filter->text) : NULL;
	if (filter->text != NULL && like == NULL)
		return oc_fail(err, OC_E_LIMIT, NULL, "the text to look for is too long");
	oc_sql_bind(s, 1, filter->agent);
	oc_sql_bind(s, 2, filter->channel);
	oc_sql_bind(s, 3, filter->kind);
	oc_sql_bind(s, 4, filter->state);
	sqlite3_bind_int64(s, 5, filter->active_since_ms);
	oc_sql_bind(s, 6, like);
	sqlite3_bind_int64(s, 7, oc_read_limit(filter->limit, 100, 1000));
	sqlite3_bind_int64(s, 8, filter->offset > 0 ? filter->offset : 0);
	oc_status status = oc_read_rows(store, s, session_row, "cannot list the sessions", ret_array, err);
	sqlite3_clear_bindings(s);
	return status;
}

oc_status oc_store_session(oc_store *store, const char *key, cJSON **ret_object, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT " SESSION_COLUMNS " FROM sessions WHERE key = ?1", err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	cJSON *array = NULL;
	oc_status status = oc_read_rows(store, s, session_row, "cannot read the session", &array, err);
	if (status != OC_OK)
		return status;
	cJSON *found = cJSON_DetachItemFromArray(array, 0);
	cJSON_Delete(array);
	if (found == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw sessions list`", "there is no session %s", key);
	*ret_object = found;
	return OC_OK;
}

int64_t oc_store_session_used_ms(oc_store *store, const char *key)
{
	sqlite3_stmt *s = oc_read_stmt(
		store, "SELECT updated_ms FROM sessions WHERE key = ?1 AND state = 'active' AND messages > 0", NULL);
	if (s == NULL)
		return 0;
	oc_sql_bind(s, 1, key);
	int64_t ms = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return ms;
}

int64_t oc_store_session_count(oc_store *store)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT count(*) FROM sessions", NULL);
	int64_t n = s != NULL && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return n;
}

/* ---- Messages ---- */

/* Content of one plain text is stored as the text alone. */
static bool add_content(cJSON *o, const char *content, const char *text)
{
	if (content[0] != 0) {
		unsigned long refused = oc_mem_refused();
		cJSON *parts = cJSON_Parse(content);
		if (parts != NULL || refused != oc_mem_refused())
			return parts != NULL && oc_json_set(o, "content", parts);
		/* Damaged: its text is what is left of it, and the rest of the history can be read. */
	}
	cJSON *parts = cJSON_AddArrayToObject(o, "content");
	cJSON *part = parts != NULL ? cJSON_CreateObject() : NULL;
	if (part == NULL)
		return false;
	cJSON_AddItemToArray(parts, part);
	return oc_json_set_str(part, "type", "text") && oc_json_set_str(part, "text", text);
}

static bool message_row(cJSON *o, sqlite3_stmt *s)
{
	bool ok = oc_row_i64(o, "seq", s, 0) && oc_row_i64(o, "ts", s, 1) && oc_row_str(o, "role", s, 2) &&
		  add_content(o, oc_sql_text(s, 3), oc_sql_text(s, 4)) && oc_row_str(o, "run", s, 5) &&
		  oc_row_str(o, "model", s, 6) && oc_row_str(o, "toolCallId", s, 7) && oc_row_str(o, "toolName", s, 8) &&
		  oc_row_json(o, "meta", s, 10);
	if (ok && strcmp(oc_sql_text(s, 2), "tool") == 0)
		ok = oc_json_set_bool(o, "isError", sqlite3_column_int(s, 9) != 0);
	return ok;
}

/* Removes tool calls from an assistant's message; false when nothing is left of it. */
static bool without_tools(cJSON *message)
{
	if (strcmp(oc_json_str(message, "role", ""), "tool") == 0)
		return false;
	cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
	for (cJSON *part = content != NULL ? content->child : NULL, *next; part != NULL; part = next) {
		next = part->next;
		if (strcmp(oc_json_str(part, "type", ""), "tool_call") == 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(content, part));
	}
	return cJSON_GetArraySize(content) > 0;
}

oc_status oc_store_history(oc_store *store, const char *key, const oc_history_filter *filter, cJSON **ret_array, oc_err *err)
{
	static const oc_history_filter none;
	if (filter == NULL)
		filter = &none;
	sqlite3_stmt *s = oc_read_stmt(
		store,
		"SELECT m.seq, m.ts_ms, m.role, m.content, m.text, m.run, m.model, m.tool_call_id, m.tool_name, m.is_error,"
		" m.meta FROM messages m, sessions s WHERE s.key = ?1 AND m.session = s.id AND m.seq < ?2 AND m.seq > ?3"
		" AND (?4 OR m.seq >= s.epoch_seq) AND (NOT ?5 OR m.role <> 'tool') ORDER BY m.seq DESC LIMIT ?6",
		err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	sqlite3_bind_int64(s, 2, filter->before_seq > 0 ? filter->before_seq : INT64_MAX);
	sqlite3_bind_int64(s, 3, filter->after_seq);
	sqlite3_bind_int(s, 4, filter->all_epochs);
	sqlite3_bind_int(s, 5, filter->no_tools);
	sqlite3_bind_int64(s, 6, oc_read_limit(filter->limit, 100, 1000));
	oc_status status = oc_read_rows(store, s, message_row, "cannot read the history", ret_array, err);
	if (status != OC_OK)
		return status;
	reverse(*ret_array);
	for (cJSON *m = (*ret_array)->child, *next; filter->no_tools && m != NULL; m = next) {
		next = m->next;
		if (!without_tools(m))
			cJSON_Delete(cJSON_DetachItemViaPointer(*ret_array, m));
	}
	return OC_OK;
}

oc_status oc_store_each_message(oc_store *store, const char *key, bool (*each)(void *arg, const oc_message_row *row),
				void *arg, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(
		store,
		"SELECT m.seq, m.ts_ms, m.tokens, m.role, m.content, m.text, m.run, m.tool_call_id, m.tool_name, m.is_error,"
		" m.model, m.meta FROM messages m, sessions s WHERE s.key = ?1 AND m.session = s.id AND m.seq >= s.epoch_seq"
		" AND s.state <> 'ended' ORDER BY m.seq DESC",
		err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		oc_message_row row = {
			.seq = sqlite3_column_int64(s, 0),
			.ts_ms = sqlite3_column_int64(s, 1),
			.tokens = sqlite3_column_int64(s, 2),
			.role = oc_sql_text(s, 3),
			.content_json = oc_sql_text(s, 4),
			.text = oc_sql_text(s, 5),
			.run = oc_sql_text(s, 6),
			.tool_call_id = oc_sql_text(s, 7),
			.tool_name = oc_sql_text(s, 8),
			.is_error = sqlite3_column_int(s, 9) != 0,
			.model = oc_sql_text(s, 10),
			.meta_json = oc_sql_text(s, 11),
		};
		if (sqlite3_errcode(store->reader.db) == SQLITE_NOMEM)
			continue; /* a text is missing: the next step says so */
		if (!each(arg, &row))
			break;
	}
	return oc_read_end(store, s, rc, "cannot read the history", err);
}

/* ---- Events ---- */

/* Events of a session with what is asked of their messages, which begins with the role. */
#define EVENTS_WITH(message)                                                                                  \
	"SELECT e.seq, e.ts_ms, e.kind, e.run, e.data, m.role, " message                                      \
	" FROM sessions s JOIN events e ON e.session = s.id AND e.seq > ?2"                                   \
	" LEFT JOIN messages m ON m.session = e.session AND m.seq = e.seq WHERE s.key = ?1 ORDER BY e.seq LIMIT ?3"

static oc_status event_rows(oc_store *store, const char *sql, const char *key, int64_t after_seq, int64_t limit,
			    bool (*row)(cJSON *o, sqlite3_stmt *s), cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store, sql, err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	sqlite3_bind_int64(s, 2, after_seq);
	sqlite3_bind_int64(s, 3, oc_read_limit(limit, 100, 1000));
	return oc_read_rows(store, s, row, "cannot read the events", ret_array, err);
}

/* The event's own members; *ret_message: it has a message. */
static bool event_head(cJSON *o, sqlite3_stmt *s, bool *ret_message)
{
	*ret_message = oc_sql_text(s, 5)[0] != 0;
	return oc_row_i64(o, "seq", s, 0) && oc_row_i64(o, "ts", s, 1) && oc_row_str(o, "kind", s, 2) && oc_row_str(o, "run", s, 3) &&
	       oc_row_json(o, "data", s, 4);
}

static bool event_row(cJSON *o, sqlite3_stmt *s)
{
	bool message, ok = event_head(o, s, &message);
	if (!ok || !message)
		return ok;
	cJSON *data = cJSON_AddObjectToObject(o, "data");
	return data != NULL && oc_row_str(data, "role", s, 5) && oc_json_set_str(data, "text", oc_sql_text(s, 6)) &&
	       oc_row_str(data, "tool", s, 7);
}

oc_status oc_store_events(oc_store *store, const char *key, int64_t after_seq, int64_t limit, cJSON **ret_array, oc_err *err)
{
	return event_rows(store, EVENTS_WITH("m.text, m.tool_name"), key, after_seq, limit, event_row, ret_array, err);
}

/* ---- What journals are made of ---- */

static bool journal_row(cJSON *o, sqlite3_stmt *s)
{
	bool message, ok = event_head(o, s, &message);
	if (!ok || !message)
		return ok;
	cJSON *m = cJSON_AddObjectToObject(o, "message");
	return m != NULL && oc_row_str(m, "role", s, 5) && oc_row_json(m, "content", s, 6) && oc_row_str(m, "text", s, 7) &&
	       oc_row_str(m, "model", s, 8) && oc_row_str(m, "toolCallId", s, 9) && oc_row_str(m, "toolName", s, 10) &&
	       (sqlite3_column_int(s, 11) == 0 || oc_json_set_bool(m, "isError", true)) && oc_row_json(m, "meta", s, 12) &&
	       oc_row_i64(m, "tokens", s, 13);
}

oc_status oc_store_journal(oc_store *store, const char *key, int64_t after_seq, int64_t limit, cJSON **ret_array, oc_err *err)
{
	return event_rows(store,
			  EVENTS_WITH("m.content, m.text, m.model, m.tool_call_id, m.tool_name, m.is_error, m.meta, m.tokens"), key,
			  after_seq, limit, journal_row, ret_array, err);
}

int64_t oc_store_session_first(oc_store *store, const char *key)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT min(s.first_seq, coalesce((SELECT min(m.seq) FROM messages m WHERE m.session = s.id),"
				       " s.first_seq)) FROM sessions s WHERE s.key = ?1",
				       NULL);
	if (s == NULL)
		return 0;
	oc_sql_bind(s, 1, key);
	int64_t first = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return first;
}

oc_status oc_store_kv_stale(oc_store *store, const char *module, bool (*each)(void *arg, oc_str session), void *arg, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT k.key FROM kv k LEFT JOIN sessions s ON s.key = CAST(k.key AS TEXT)"
				       " WHERE k.module = ?1 AND (s.id IS NULL OR s.first_seq > 1)",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, module);
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (!each(arg, oc_str_make(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0))))
			break;
	return oc_read_end(store, s, rc, "cannot read the values", err);
}
