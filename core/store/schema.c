#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/store/internal.h"

#define APPLICATION_ID 0x6f636c77 /* "oclw" */

/*
 * One step a version; a step never changes once released.  A message's content is stored once: its row in `messages` has
 * the number of the event it belongs to.  An epoch of a session begins at epoch_seq; what is older is its archive.
 */
static const char *const steps[] = {
	"CREATE TABLE sessions("
	" id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL, agent TEXT NOT NULL DEFAULT '',"
	" kind TEXT NOT NULL DEFAULT '', channel TEXT, account TEXT, peer TEXT, thread TEXT, title TEXT,"
	" state TEXT NOT NULL DEFAULT 'active', model TEXT, thinking TEXT, delivery TEXT,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	" epoch_ms INTEGER NOT NULL, epoch_seq INTEGER NOT NULL DEFAULT 1, last_seq INTEGER NOT NULL DEFAULT 0,"
	" messages INTEGER NOT NULL DEFAULT 0, preview TEXT,"
	" calls INTEGER NOT NULL DEFAULT 0, input INTEGER NOT NULL DEFAULT 0, output INTEGER NOT NULL DEFAULT 0,"
	" cache_read INTEGER NOT NULL DEFAULT 0, cache_write INTEGER NOT NULL DEFAULT 0, cost REAL NOT NULL DEFAULT 0);"
	"CREATE INDEX sessions_updated ON sessions(updated_ms);"
	"CREATE TABLE events("
	" id INTEGER PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, ts_ms INTEGER NOT NULL,"
	" kind TEXT NOT NULL, run TEXT, data TEXT, UNIQUE(session, seq));"
	"CREATE TABLE messages("
	" id INTEGER PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, ts_ms INTEGER NOT NULL,"
	" role TEXT NOT NULL, content TEXT, text TEXT NOT NULL DEFAULT '', run TEXT, model TEXT, tool_call_id TEXT,"
	" tool_name TEXT, is_error INTEGER NOT NULL DEFAULT 0, meta TEXT, tokens INTEGER NOT NULL DEFAULT 0,"
	" UNIQUE(session, seq));"
	"CREATE TABLE runs("
	" run TEXT NOT NULL UNIQUE, session TEXT NOT NULL, idempotency TEXT UNIQUE, state TEXT NOT NULL,"
	" accepted_ms INTEGER NOT NULL, ended_ms INTEGER, input TEXT, result TEXT);"
	"CREATE INDEX runs_open ON runs(accepted_ms) WHERE state IN ('accepted', 'running');"
	"CREATE INDEX runs_session ON runs(session);"
	"CREATE TABLE inbox("
	" channel TEXT NOT NULL, account TEXT NOT NULL, chat TEXT NOT NULL, message_id TEXT NOT NULL,"
	" session TEXT, run TEXT, ts_ms INTEGER NOT NULL, PRIMARY KEY(channel, account, chat, message_id)) WITHOUT ROWID;"
	"CREATE INDEX inbox_ts ON inbox(ts_ms);"
	"CREATE TABLE outbox("
	" id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, session TEXT, run TEXT, channel TEXT NOT NULL,"
	" account TEXT NOT NULL, message TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending',"
	" attempts INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL, error TEXT, message_ids TEXT,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE INDEX outbox_pending ON outbox(id) WHERE state = 'pending';"
	"CREATE TABLE kv("
	" module TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(module, key)) WITHOUT ROWID;"
	"CREATE TABLE pairing("
	" channel TEXT NOT NULL, account TEXT NOT NULL, sender TEXT NOT NULL, name TEXT, code TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY(channel, account, sender)) WITHOUT ROWID;"
	"CREATE TABLE allowed("
	" channel TEXT NOT NULL, account TEXT NOT NULL, sender TEXT NOT NULL, name TEXT, via TEXT NOT NULL,"
	" added_ms INTEGER NOT NULL, PRIMARY KEY(channel, account, sender)) WITHOUT ROWID;"
	"CREATE TABLE usage("
	" day TEXT NOT NULL, session TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,"
	" calls INTEGER NOT NULL DEFAULT 0, input INTEGER NOT NULL DEFAULT 0, output INTEGER NOT NULL DEFAULT 0,"
	" cache_read INTEGER NOT NULL DEFAULT 0, cache_write INTEGER NOT NULL DEFAULT 0, cost REAL NOT NULL DEFAULT 0,"
	" PRIMARY KEY(day, session, provider, model)) WITHOUT ROWID;"
	"CREATE INDEX usage_session ON usage(session);",
	/* 2: runs count how often they were begun, and may be laid down for the next start; sessions have settings. */
	"ALTER TABLE runs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE sessions ADD COLUMN settings TEXT;"
	"DROP INDEX runs_open;"
	"CREATE INDEX runs_open ON runs(accepted_ms) WHERE state IN ('accepted', 'running', 'suspended');",
	/* 3: the search index over the messages' texts, which follows them up to meta.searchUpto; events may be cut off at
	 * the front (first_seq is the first that is there); indexes for what retention and dead letters look for. */
	"CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta(key, value) VALUES('" META_SEARCH_UPTO "', 0);"
	"CREATE VIEW messages_text(id, text) AS SELECT id, " SEARCH_TEXT " FROM messages"
	" WHERE id <= (SELECT value FROM meta WHERE key = '" META_SEARCH_UPTO "');"
	"CREATE VIRTUAL TABLE messages_search USING fts5(text, content='messages_text', content_rowid='id',"
	" tokenize='unicode61 remove_diacritics 2');"
	"ALTER TABLE sessions ADD COLUMN first_seq INTEGER NOT NULL DEFAULT 1;"
	"CREATE INDEX outbox_dead ON outbox(updated_ms) WHERE state = 'dead';"
	"CREATE INDEX outbox_delivered ON outbox(updated_ms) WHERE state = 'delivered';"
	"CREATE INDEX runs_ended ON runs(ended_ms) WHERE ended_ms IS NOT NULL;",
	/* 4: what is open has no end: said without a list of states, of which each change of a run made a table. */
	("DROP INDEX runs_open;"
	 "CREATE INDEX runs_open ON runs(accepted_ms) WHERE ended_ms IS NULL;"),
	/* 5: jobs that run by the clock, and what became of each run. */
	("CREATE TABLE cron_jobs(id TEXT NOT NULL PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID;"
	 "CREATE TABLE cron_runs(id INTEGER PRIMARY KEY, job TEXT NOT NULL, run TEXT NOT NULL UNIQUE,"
	 " started_ms INTEGER NOT NULL, ended_ms INTEGER, status TEXT, entry TEXT NOT NULL);"
	 "CREATE INDEX cron_runs_job ON cron_runs(job, id);"
	 "CREATE INDEX cron_runs_open ON cron_runs(id) WHERE ended_ms IS NULL;"),
	/* 6: users of the gateway, and their logins: an id is never used again. */
	("CREATE TABLE users(name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL, password TEXT NOT NULL,"
	 " disabled INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, login_ms INTEGER) WITHOUT ROWID;"
	 "CREATE TABLE logins(id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL COLLATE NOCASE, hash BLOB NOT NULL UNIQUE,"
	 " created_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, address TEXT, client TEXT);"
	 "CREATE INDEX logins_user ON logins(user);"),
};
_Static_assert(sizeof steps / sizeof *steps == OC_STORE_SCHEMA, "one step a schema version");

oc_status oc_schema_version_check(sqlite3 *db, const char *path, int64_t *ret_version, oc_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT (SELECT user_version FROM pragma_user_version),"
					" (SELECT application_id FROM pragma_application_id),"
					" (SELECT count(*) FROM sqlite_schema)", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW) {
		oc_status status = oc_sql_fail(err, db, rc, "cannot read the store");
		oc_err_prefix(err, "%s", path);
		sqlite3_finalize(stmt);
		return status;
	}
	int64_t version = sqlite3_column_int64(stmt, 0), id = sqlite3_column_int64(stmt, 1);
	int64_t tables = sqlite3_column_int64(stmt, 2);
	sqlite3_finalize(stmt);
	if (version > OC_STORE_SCHEMA && id == APPLICATION_ID)
		return oc_fail(err, OC_E_VERSION, "use the newer openclaw, or restore a backup made with this one",
			       "the store %s was written by a newer openclaw (schema %lld, this one knows %d)", path,
			       (long long)version, OC_STORE_SCHEMA);
	if (id != APPLICATION_ID && tables > 0)
		return oc_fail(err, OC_E_CORRUPT, "move the file away, or set OPENCLAW_STATE_DIR to another folder",
			       "%s is a database of another program", path);
	*ret_version = version;
	return OC_OK;
}

/*
 * Opening a database and asking it for its version costs a millisecond, half of what a start may take; two numbers of the
 * file's header say the same.  They are current: a migration ends with a checkpoint, nothing else changes them.
 */
bool oc_schema_is_current(const char *path)
{
	unsigned char head[100];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? pread(fd, head, sizeof head, 0) : -1;
	if (fd >= 0)
		close(fd);
	/* 18, 19: the log is used; it is not in a file that was restored from a backup. */
	if (n != (ssize_t)sizeof head || memcmp(head, "SQLite format 3", 16) != 0 || head[18] != 2 || head[19] != 2)
		return false;
	static const struct {
		size_t at;
		uint32_t value;
	} numbers[] = {{60, OC_STORE_SCHEMA}, {68, APPLICATION_ID}};
	for (size_t i = 0; i < 2; i++) {
		const unsigned char *p = head + numbers[i].at;
		uint32_t value = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
		if (value != numbers[i].value)
			return false;
	}
	return true;
}

oc_status oc_schema_migrate(sqlite3 *db, const char *path, oc_err *err)
{
	int64_t version;
	oc_status status = oc_schema_version_check(db, path, &version, err);
	if (status == OC_OK && version == OC_STORE_SCHEMA)
		return oc_sql_exec(db, "PRAGMA journal_mode=WAL", err);
	if (status != OC_OK)
		return status;
	/* Properties of the file, set once; they cannot be set inside a transaction. */
	if (version == 0)
		status = oc_sql_exec(db, "PRAGMA auto_vacuum=INCREMENTAL", err);
	if (status == OC_OK)
		status = oc_sql_exec(db, "PRAGMA journal_mode=WAL", err);
	if (status == OC_OK)
		status = oc_sql_exec(db, "BEGIN IMMEDIATE", err);
	if (status != OC_OK)
		return status;
	/* Another process may have migrated it while this one waited for the lock. */
	status = oc_schema_version_check(db, path, &version, err);
	OC_FAULT_POINT("migrate-begin");
	for (; status == OC_OK && version < OC_STORE_SCHEMA; version++) {
		char *sql = sqlite3_mprintf("%s PRAGMA user_version=%d; PRAGMA application_id=%d;", steps[version],
					    (int)version + 1, APPLICATION_ID);
		status = sql != NULL ? oc_sql_exec(db, sql, err)
				     : oc_fail(err, OC_E_NOMEM, NULL, "cannot migrate the store");
		sqlite3_free(sql);
	}
	OC_FAULT_POINT("migrate-commit");
	if (status == OC_OK)
		status = oc_sql_exec(db, "COMMIT", err);
	OC_FAULT_POINT("migrate-committed");
	if (status == OC_OK)
		status = oc_sql_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", err); /* see oc_schema_is_current */
	if (status != OC_OK && sqlite3_get_autocommit(db) == 0)
		(void)oc_sql_exec(db, "ROLLBACK", NULL);
	if (status != OC_OK)
		oc_err_prefix(err, "cannot bring the store %s to schema %d", path, OC_STORE_SCHEMA);
	return status;
}
