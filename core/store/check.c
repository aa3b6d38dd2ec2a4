/* Whether a store is whole: SQLite's own check of the pages, and what we promise about the rows in them. */
#include <string.h>
#include <sys/stat.h>

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/reader.h"

#define PROBLEMS_MAX 50

/* A query gives one row for each thing that is wrong: a text for people that names it. */
typedef struct rule {
	const char *sql;
	int since; /* schema */
} rule;

static const rule rules[] = {
	{"SELECT 'session '||key||': events from '||first_seq||' to '||last_seq||' are expected, there are '||n||' from '"
	 " ||coalesce(lo, 0)||' to '||coalesce(hi, 0) FROM (SELECT key, first_seq, last_seq,"
	 " (SELECT count(*) FROM events e WHERE e.session = s.id) n, (SELECT min(seq) FROM events e WHERE e.session = s.id) lo,"
	 " (SELECT max(seq) FROM events e WHERE e.session = s.id) hi FROM sessions s)"
	 " WHERE n <> last_seq - first_seq + 1 OR lo IS NOT first_seq OR hi IS NOT last_seq", 3},
	{"SELECT 'session '||key||': '||messages||' messages are counted, there are '||n FROM (SELECT key, messages,"
	 " (SELECT count(*) FROM messages m WHERE m.session = s.id AND m.seq >= s.epoch_seq) n FROM sessions s) WHERE n <> messages", 1},
	{"SELECT 'session '||s.key||': message '||m.seq||' has no event' FROM messages m JOIN sessions s ON s.id = m.session"
	 " WHERE m.seq >= s.first_seq AND NOT EXISTS (SELECT 1 FROM events e WHERE e.session = m.session AND e.seq = m.seq)", 3},
	{"SELECT count(*)||' events belong to no session' FROM events WHERE session NOT IN (SELECT id FROM sessions)"
	 " HAVING count(*) > 0", 1},
	{"SELECT count(*)||' messages belong to no session' FROM messages WHERE session NOT IN (SELECT id FROM sessions)"
	 " HAVING count(*) > 0", 1},
	{"SELECT 'session '||key||': unknown state '||state FROM sessions WHERE state NOT IN ('active', 'ended')", 1},
	{"SELECT 'run '||run||': '||state||', but '||CASE WHEN ended_ms IS NULL THEN 'without an end' ELSE 'ended' END FROM runs"
	 " WHERE (state IN ('accepted', 'running', 'suspended')) <> (ended_ms IS NULL)", 1},
	{"SELECT 'run '||run||': unknown state '||state FROM runs WHERE state NOT IN ('accepted', 'running', 'suspended', 'done',"
	 " 'failed', 'canceled', 'interrupted', 'merged', 'dropped')", 1},
	{"SELECT 'run '||run||' is open, but its input is gone' FROM runs WHERE state IN ('accepted', 'running', 'suspended')"
	 " AND input IS NULL", 1},
	{"SELECT 'outbound '||key||': unknown state '||state FROM outbox WHERE state NOT IN ('pending', 'delivered', 'dead')", 1},
	{"SELECT 'outbound '||key||': the message is not JSON' FROM outbox WHERE NOT json_valid(message)", 1},
	{"SELECT 'outbound '||key||': '||state||' without a try' FROM outbox WHERE state <> 'pending' AND attempts < 1", 1},
	{"SELECT 'inbound '||channel||' '||message_id||': its run '||i.run||' is open and belongs to another session'"
	 " FROM inbox i JOIN runs r ON r.run = i.run WHERE i.session IS NOT NULL AND r.session <> i.session"
	 " AND r.state IN ('accepted', 'running', 'suspended')", 1},
	/* A session that was deleted takes its runs along; what was received for it is remembered. */
	{"SELECT 'inbound '||i.channel||' '||i.message_id||': it was acknowledged, but its run '||i.run||' is gone' FROM inbox i"
	 " JOIN sessions s ON s.key = i.session WHERE i.run IS NOT NULL AND i.ts_ms >= s.created_ms"
	 " AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run = i.run)", 1},
	{"SELECT 'run '||run||': '||count(*)||' replies' FROM outbox WHERE run IS NOT NULL GROUP BY run HAVING count(*) > 1", 1},
	{"SELECT 'run '||substr(a.key, 5)||': both answered and reported as interrupted' FROM outbox a JOIN outbox b"
	 " ON b.key = 'int:'||substr(a.key, 5) WHERE a.key LIKE 'run:%'", 1},
	{"SELECT 'session '||s.key||': the run '||m.run||' begins '||count(*)||' times' FROM messages m JOIN sessions s"
	 " ON s.id = m.session JOIN events e ON e.session = m.session AND e.seq = m.seq WHERE m.role = 'user' AND m.run IS NOT NULL"
	 " AND e.kind = 'message_received' GROUP BY m.session, m.run, m.text HAVING count(*) > 1", 1},
	{"SELECT 'the search index lacks message '||id FROM messages WHERE id <= (SELECT value FROM meta WHERE key = '"
	 META_SEARCH_UPTO "') AND NOT EXISTS (SELECT 1 FROM messages_search_docsize d WHERE d.id = messages.id)", 3},
	{"SELECT 'the search index has message '||id||', which is gone' FROM messages_search_docsize d WHERE NOT EXISTS"
	 " (SELECT 1 FROM messages m WHERE m.id = d.id AND m.id <= (SELECT value FROM meta WHERE key = '" META_SEARCH_UPTO "'))", 3},
};

typedef struct report {
	sqlite3 *db;
	cJSON *problems;
	int n;
	bool memory;
} report;

static void add_problem(report *r, const char *text)
{
	r->n++;
	if (r->n > PROBLEMS_MAX)
		return;
	cJSON *item = cJSON_CreateString(r->n == PROBLEMS_MAX ? "… and more" : text);
	if (item == NULL || !cJSON_AddItemToArray(r->problems, item)) {
		cJSON_Delete(item);
		r->memory = false;
	}
}

/* Each row of the query is a problem; so is a query that cannot be carried out. except: the text that says all is well. */
static void ask(report *r, const char *sql, const char *except)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(r->db, sql, -1, &s, NULL);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(s)) == SQLITE_ROW && r->n < PROBLEMS_MAX)
			if (except == NULL || strcmp(oc_sql_text(s, 0), except) != 0)
				add_problem(r, oc_sql_text(s, 0));
	if (rc != SQLITE_ROW && rc != SQLITE_DONE && rc != SQLITE_OK) {
		char text[256];
		snprintf(text, sizeof text, "cannot be read: %s", sqlite3_errmsg(r->db));
		add_problem(r, text);
	}
	sqlite3_finalize(s);
}

/* The words of the index against the texts. It takes the write lock: only where nobody else wants it. */
static void check_index(report *r, const char *path)
{
	int fd = -1;
	sqlite3 *db = NULL;
	if (oc_store_lock(path, true, &fd, NULL) != OC_OK)
		return;
	close(fd);
	if (oc_sql_open(path, SQLITE_OPEN_READWRITE, &db, NULL) != OC_OK)
		return;
	/* rank 1: with the texts, not only within itself. */
	int rc = sqlite3_exec(db, "INSERT INTO messages_search(messages_search, rank) VALUES('integrity-check', 1)", NULL, NULL, NULL);
	if ((rc & 0xff) == SQLITE_CORRUPT)
		add_problem(r, "the search index does not agree with the messages");
	sqlite3_close(db);
}

static void add_count(report *r, cJSON *out, const char *name, const char *sql)
{
	int64_t n = oc_sql_pragma(r->db, sql);
	if (n >= 0 && !oc_json_set_i64(out, name, n))
		r->memory = false;
}

oc_status oc_store_check(const char *path, bool quick, cJSON **ret_report, oc_err *err)
{
	struct stat st;
	report r = {.memory = true};
	int64_t version = 0;
	if (stat(path, &st) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw status`", "there is no store at %s", path);
	oc_status status = oc_sql_open(path, SQLITE_OPEN_READONLY, &r.db, err);
	if (status != OC_OK)
		return status;
	status = oc_schema_version_check(r.db, path, &version, err);
	cJSON *out = cJSON_CreateObject();
	r.problems = cJSON_AddArrayToObject(out, "problems");
	if (status == OC_OK && r.problems == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "cannot check the store");
	if (status != OC_OK) {
		cJSON_Delete(out);
		sqlite3_close(r.db);
		return status;
	}
	if (version == 0)
		add_problem(&r, "the file is empty");
	ask(&r, quick ? "PRAGMA quick_check(20)" : "PRAGMA integrity_check(20)", "ok");
	for (size_t i = 0; i < sizeof rules / sizeof *rules && version > 0; i++)
		if (version >= rules[i].since)
			ask(&r, rules[i].sql, NULL);
	if (!quick && version >= 3)
		check_index(&r, path);
	r.memory &= oc_json_set_i64(out, "schema", version) && oc_json_set_bool(out, "ok", r.n == 0);
	add_count(&r, out, "sessions", "SELECT count(*) FROM sessions");
	add_count(&r, out, "events", "SELECT count(*) FROM events");
	add_count(&r, out, "messages", "SELECT count(*) FROM messages");
	if (version >= 3)
		add_count(&r, out, "searchBehind",
			  "SELECT count(*) FROM messages WHERE id > (SELECT value FROM meta WHERE key = '" META_SEARCH_UPTO "')");
	sqlite3_close(r.db);
	if (!r.memory) {
		cJSON_Delete(out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot check the store");
	}
	*ret_report = out;
	return OC_OK;
}

/* ---- Figures ---- */

static bool add_states(sqlite3 *db, cJSON *out, const char *name, const char *sql)
{
	sqlite3_stmt *s = NULL;
	cJSON *o = cJSON_AddObjectToObject(out, name);
	bool ok = o != NULL;
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK)
		while (ok && sqlite3_step(s) == SQLITE_ROW)
			ok = oc_json_set_i64(o, oc_sql_text(s, 0), sqlite3_column_int64(s, 1));
	sqlite3_finalize(s);
	return ok;
}

oc_status oc_store_figures(const char *path, cJSON **ret_object, oc_err *err)
{
	static const char *const tables[] = {"sessions", "events", "messages", "runs", "inbox", "outbox", "kv", "allowed", "usage"};
	struct stat st;
	sqlite3 *db = NULL;
	int64_t version = 0;
	if (stat(path, &st) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "start the gateway or send a first message", "there is no store yet at %s", path);
	oc_status status = oc_sql_open(path, SQLITE_OPEN_READONLY, &db, err);
	if (status == OC_OK)
		status = oc_schema_version_check(db, path, &version, err);
	if (status != OC_OK) {
		sqlite3_close(db);
		return status;
	}
	oc_auto_free char *wal = oc_asprintf("%s-wal", path);
	cJSON *out = cJSON_CreateObject(), *rows = cJSON_AddObjectToObject(out, "rows");
	cJSON *bytes = cJSON_AddObjectToObject(out, "bytes");
	bool ok = bytes != NULL && oc_json_set_str(out, "path", path) && oc_json_set_i64(out, "schema", version);
	for (size_t i = 0; ok && i < sizeof tables / sizeof *tables; i++) {
		char sql[64];
		snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
		int64_t n = oc_sql_pragma(db, sql);
		ok = oc_json_set_i64(rows, tables[i], n > 0 ? n : 0);
	}
	int64_t page = oc_sql_pragma(db, "PRAGMA page_size");
	ok = ok && oc_json_set_i64(bytes, "file", (int64_t)st.st_size) &&
	     oc_json_set_i64(bytes, "free", oc_sql_pragma(db, "PRAGMA freelist_count") * page) &&
	     oc_json_set_i64(bytes, "log", wal != NULL && stat(wal, &st) == 0 ? (int64_t)st.st_size : 0) &&
	     oc_json_set_str(out, "vacuum", oc_sql_pragma(db, "PRAGMA auto_vacuum") == 2 ? "incremental" : "none") &&
	     add_states(db, out, "outbox", "SELECT state, count(*) FROM outbox GROUP BY 1") &&
	     add_states(db, out, "runs", "SELECT state, count(*) FROM runs GROUP BY 1");
	if (ok && version >= 3)
		ok = oc_json_set_i64(out, "searchBehind",
				     oc_sql_pragma(db, "SELECT count(*) FROM messages WHERE id > (SELECT value FROM meta WHERE key = '"
						       META_SEARCH_UPTO "')"));
	sqlite3_close(db);
	if (!ok) {
		cJSON_Delete(out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the store's figures");
	}
	*ret_object = out;
	return OC_OK;
}
