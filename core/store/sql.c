/* The little that every file here needs of SQLite. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/store/internal.h"

#ifdef OC_SQLITE_PARTS
/* SQLite's static archive brings FTS3 and R-trees into every program, 170 KB that the store, which uses FTS5, would carry
 * for nothing, and both have had their security holes. These two, found by the linker first, keep them out. */
int sqlite3Fts3Init(sqlite3 *db);
int sqlite3RtreeInit(sqlite3 *db);

int sqlite3Fts3Init(sqlite3 *db)
{
	(void)db;
	return SQLITE_OK;
}

int sqlite3RtreeInit(sqlite3 *db)
{
	(void)db;
	return SQLITE_OK;
}
#endif

oc_status oc_sql_fail(oc_err *err, sqlite3 *db, int rc, const char *what)
{
	int said = errno;
	oc_status status;
	const char *remedy = NULL;
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		status = OC_E_BUSY;
		remedy = "another process writes to the store: wait for it, or stop the second gateway";
		break;
	case SQLITE_NOMEM:
		status = OC_E_NOMEM;
		break;
	case SQLITE_FULL:
		status = OC_E_IO;
		remedy = "free space on the disk of the state folder";
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		status = OC_E_DENIED;
		remedy = "check owner and mode of the store and its folder";
		break;
	case SQLITE_CANTOPEN:
		status = OC_E_IO;
		remedy = "check that the state folder exists and may be written";
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		status = OC_E_CORRUPT;
		remedy = "see `openclaw store check`; `openclaw store restore FILE` puts a backup in its place";
		break;
	case SQLITE_CONSTRAINT:
		status = OC_E_EXISTS;
		break;
	case SQLITE_TOOBIG:
		status = OC_E_LIMIT;
		break;
	case SQLITE_INTERRUPT:
		status = OC_E_CANCELED;
		break;
	case SQLITE_IOERR:
		status = OC_E_IO;
		remedy = "look at the disk of the state folder (`dmesg`, free space); work goes on by itself when it is back";
		break;
	default:
		status = OC_E_INTERNAL;
		break;
	}
	/* "unable to open database file" can be a missing folder or too many open files, "disk I/O error" a quota: the system
	 * knows, though of a failed COMMIT SQLite does not keep what it said. */
	int system = db != NULL && status == OC_E_IO ? sqlite3_system_errno(db) : 0;
	if (system == 0 && (rc & 0xff) == SQLITE_IOERR)
		system = said;
	if (system == EMFILE || system == ENFILE)
		remedy = "let the process open more files (ulimit -n, LimitNOFILE=)";
	else if (system == EFBIG)
		remedy = "let the process write larger files (ulimit -f, LimitFSIZE=)";
	else if (system == EDQUOT)
		remedy = "free space in the state folder, or raise the quota";
	return oc_fail(err, status, remedy, "%s: %s%s%s", what, db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc), system != 0 ? ": " : "",
		       system != 0 ? strerror(system) : "");
}

oc_status oc_sql_exec(sqlite3 *db, const char *sql, oc_err *err)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? OC_OK : oc_sql_fail(err, db, rc, "the store failed");
}

int64_t oc_sql_pragma(sqlite3 *db, const char *pragma)
{
	sqlite3_stmt *stmt = NULL;
	int64_t value = -1;
	if (sqlite3_prepare_v2(db, pragma, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

/* A store that nobody can write, on a medium that is mounted for reading or in a folder of somebody else's, is read as it is:
 * otherwise SQLite makes files beside it first.  NULL: it is not such a store, or its log would be left out. */
static char *frozen(const char *path)
{
	struct stat st;
	const char *slash = strrchr(path, '/');
	oc_auto_free char *folder = slash != NULL ? oc_memdup(path, (size_t)(slash - path) + 1) : oc_strdup("."), *log = oc_asprintf("%s-wal", path);
	if (folder == NULL || log == NULL || access(folder, W_OK) == 0 || access(path, R_OK) != 0 || (stat(log, &st) == 0 && st.st_size > 0))
		return NULL;
	oc_sbuf b;
	oc_sbuf_init(&b, 16384);
	oc_sbuf_z(&b, "file:");
	for (const char *p = path; *p != 0; p++)
		oc_sbuf_printf(&b, strchr("%?#", *p) != NULL ? "%%%02x" : "%c", (unsigned char)*p);
	oc_sbuf_z(&b, "?immutable=1");
	char *uri = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return uri;
}

oc_status oc_sql_open(const char *path, int flags, sqlite3 **ret, oc_err *err)
{
	sqlite3 *db = NULL;
	oc_auto_free char *uri = (flags & SQLITE_OPEN_READONLY) != 0 ? frozen(path) : NULL;
	flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (uri != NULL ? SQLITE_OPEN_URI : 0);
	int rc = sqlite3_open_v2(uri != NULL ? uri : path, &db, flags, NULL);
	if (rc != SQLITE_OK) {
		oc_status status = oc_sql_fail(err, db, rc, "cannot open the store");
		oc_err_prefix(err, "%s", path);
		sqlite3_close(db);
		return status;
	}
	sqlite3_busy_timeout(db, 5000);
	/* The file is data, never code: a crafted schema must not call functions or write to itself. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	*ret = db;
	return OC_OK;
}

sqlite3_stmt *oc_stmts_get(oc_stmts *stmts, const char *sql, oc_err *err)
{
	size_t at = ((uintptr_t)sql >> 3) * 0x9e3779b97f4a7c15ULL >> 56 & (STMT_SLOTS - 1);
	for (size_t tries = 0; tries < STMT_SLOTS; tries++, at = (at + 1) & (STMT_SLOTS - 1)) {
		if (stmts->slots[at].sql == sql) {
			sqlite3_reset(stmts->slots[at].stmt);
			sqlite3_clear_bindings(stmts->slots[at].stmt);
			return stmts->slots[at].stmt;
		}
		if (stmts->slots[at].sql != NULL)
			continue;
		sqlite3_stmt *stmt = NULL;
		int rc = sqlite3_prepare_v3(stmts->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
		if (rc != SQLITE_OK) {
			(void)oc_sql_fail(err, stmts->db, rc, "the store cannot be asked");
			return NULL;
		}
		stmts->slots[at].sql = sql;
		stmts->slots[at].stmt = stmt;
		return stmt;
	}
	(void)oc_fail(err, OC_E_LIMIT, NULL, "too many kinds of statements");
	return NULL;
}

void oc_stmts_clear(oc_stmts *stmts)
{
	for (size_t i = 0; i < STMT_SLOTS; i++)
		sqlite3_finalize(stmts->slots[i].stmt);
	memset(stmts->slots, 0, sizeof stmts->slots);
	sqlite3_close(stmts->db);
	stmts->db = NULL;
}

void oc_sql_bind(sqlite3_stmt *stmt, int at, const char *text)
{
	if (text == NULL)
		sqlite3_bind_null(stmt, at);
	else
		sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}
