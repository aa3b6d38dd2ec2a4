#include "core/store/users.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/store/reader.h"

/* A clock that is set back must not make a login live for ever: one from the future counts no more. */
#define LIVE(now) "l.expires_ms > " now " AND l.created_ms <= " now " + 3600000"

/* One that was removed stays as a name without a role: where a proxy says who somebody is, its users are everybody, and that one
 * is not. */
#define PRESENT "role <> ''"

bool oc_user_name_ok(const char *name)
{
	size_t n = strlen(name);
	return n >= 1 && n <= OC_USER_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-") == n;
}

static void copy(char *out, size_t size, sqlite3_stmt *s, int column)
{
	(void)snprintf(out, size, "%s", oc_sql_text(s, column));
}

/* ---- Reading ---- */

bool oc_user_find(oc_store *store, const char *name, oc_user *ret)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT name, role, password, disabled FROM users WHERE name = ?1", NULL);
	if (s == NULL)
		return false;
	oc_sql_bind(s, 1, name);
	bool found = sqlite3_step(s) == SQLITE_ROW;
	if (found) {
		copy(ret->name, sizeof ret->name, s, 0);
		copy(ret->role, sizeof ret->role, s, 1);
		copy(ret->password, sizeof ret->password, s, 2);
		ret->disabled = sqlite3_column_int(s, 3) != 0;
	}
	sqlite3_reset(s);
	return found;
}

static bool user_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "name", s, 0) && oc_row_str(o, "role", s, 1) && cJSON_AddBoolToObject(o, "disabled", sqlite3_column_int(s, 2) != 0) != NULL
	       && oc_row_i64(o, "createdAt", s, 3) && oc_row_i64(o, "changedAt", s, 4)
	       && (sqlite3_column_type(s, 5) == SQLITE_NULL || oc_row_i64(o, "lastLoginAt", s, 5)) && oc_row_i64(o, "sessions", s, 6);
}

oc_status oc_users_list(oc_store *store, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT name, role, disabled, created_ms, changed_ms, login_ms,"
				       " (SELECT count(*) FROM logins l WHERE l.user = users.name AND " LIVE("?1") ") FROM users WHERE " PRESENT " ORDER BY name",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	sqlite3_bind_int64(s, 1, oc_wall_ms());
	return oc_read_rows(store, s, user_row, "cannot list the users", ret_array, err);
}

static bool login_of(sqlite3_stmt *s, oc_login *ret)
{
	bool found = sqlite3_step(s) == SQLITE_ROW;
	if (found) {
		ret->id = sqlite3_column_int64(s, 0);
		ret->used_ms = sqlite3_column_int64(s, 1);
		ret->expires_ms = sqlite3_column_int64(s, 2);
		copy(ret->user, sizeof ret->user, s, 3);
		copy(ret->role, sizeof ret->role, s, 4);
	}
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return found;
}

#define LOGIN "SELECT l.id, l.used_ms, l.expires_ms, u.name, u.role FROM logins l JOIN users u ON u.name = l.user AND u.disabled = 0 WHERE "

bool oc_login_find(oc_store *store, const unsigned char hash[OC_LOGIN_HASH_BYTES], oc_login *ret)
{
	sqlite3_stmt *s = oc_read_stmt(store, LOGIN "l.hash = ?1 AND " LIVE("?2"), NULL);
	if (s == NULL)
		return false;
	sqlite3_bind_blob(s, 1, hash, OC_LOGIN_HASH_BYTES, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, oc_wall_ms());
	return login_of(s, ret);
}

bool oc_login_get(oc_store *store, int64_t id, oc_login *ret)
{
	sqlite3_stmt *s = oc_read_stmt(store, LOGIN "l.id = ?1 AND " LIVE("?2"), NULL);
	if (s == NULL)
		return false;
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, oc_wall_ms());
	return login_of(s, ret);
}

static bool login_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_i64(o, "id", s, 0) && oc_row_str(o, "user", s, 1) && oc_row_str(o, "role", s, 2) && oc_row_i64(o, "createdAt", s, 3)
	       && oc_row_i64(o, "usedAt", s, 4) && oc_row_i64(o, "expiresAt", s, 5) && oc_row_str(o, "address", s, 6) && oc_row_str(o, "client", s, 7);
}

oc_status oc_logins_list(oc_store *store, const char *user, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT l.id, l.user, u.role, l.created_ms, l.used_ms, l.expires_ms, l.address, l.client"
				       " FROM logins l JOIN users u ON u.name = l.user"
				       " WHERE (?1 IS NULL OR l.user = ?1) AND " LIVE("?2") " ORDER BY l.id DESC LIMIT 1000",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, user);
	sqlite3_bind_int64(s, 2, oc_wall_ms());
	oc_status status = oc_read_rows(store, s, login_row, "cannot list the logins", ret_array, err);
	sqlite3_clear_bindings(s);
	return status;
}

/* ---- Changing users ---- */

static oc_status missing(oc_err *err, const char *name)
{
	return oc_fail(err, OC_E_NOT_FOUND, "`openclaw admin user list` shows them", "there is no user %s", name);
}

static int64_t changes(oc_tx *tx)
{
	return sqlite3_changes(oc_tx_db(tx));
}

static oc_status end_all(oc_tx *tx, const char *user, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(tx, "DELETE FROM logins WHERE user = ?1", err);
	if (s == NULL)
		return err->code;
	oc_sql_bind(s, 1, user);
	return oc_tx_run(tx, s, err);
}

static oc_status add_user(oc_tx *tx, const oc_user_change *c, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(tx,
				     "INSERT INTO users(name, role, password, disabled, created_ms, changed_ms)"
				     " SELECT ?1, ?2, ?3, ?4, ?5, ?5 WHERE (SELECT count(*) FROM users WHERE " PRESENT ") < ?6"
				     " ON CONFLICT DO UPDATE SET name = ?1, role = ?2, password = ?3, disabled = ?4, created_ms = ?5, changed_ms = ?5, login_ms = NULL"
				     " WHERE role = ''", err);
	if (s == NULL)
		return err->code;
	oc_sql_bind(s, 1, c->name);
	oc_sql_bind(s, 2, c->role);
	oc_sql_bind(s, 3, c->password);
	sqlite3_bind_int(s, 4, c->disabled > 0);
	sqlite3_bind_int64(s, 5, oc_tx_now_ms(tx));
	sqlite3_bind_int(s, 6, OC_USERS_MAX);
	oc_status status = oc_tx_run(tx, s, err);
	if (status == OC_OK && changes(tx) == 0)
		return oc_fail(err, OC_E_EXISTS, "`openclaw admin user passwd` and `role` change a user",
			       "there is a user %s already, or there are %d users", c->name, OC_USERS_MAX);
	return status;
}

oc_status oc_user_tx_change(oc_tx *tx, void *arg, oc_err *err)
{
	const oc_user_change *c = arg;
	if (c->what == OC_USER_ADD)
		return add_user(tx, c, err);
	sqlite3_stmt *s = c->what == OC_USER_REMOVE
				  ? oc_tx_stmt(tx, "UPDATE users SET role = '', password = '', disabled = 1 WHERE name = ?1 AND " PRESENT, err)
				  : oc_tx_stmt(tx,
					       "UPDATE users SET role = iif(?2 = '', role, ?2), password = iif(?3 = '', password, ?3),"
					       " disabled = iif(?4 < 0, disabled, ?4), changed_ms = ?5 WHERE name = ?1 AND " PRESENT, err);
	if (s == NULL)
		return err->code;
	oc_sql_bind(s, 1, c->name);
	if (c->what == OC_USER_SET) {
		oc_sql_bind(s, 2, c->role);
		oc_sql_bind(s, 3, c->password);
		sqlite3_bind_int(s, 4, c->disabled);
		sqlite3_bind_int64(s, 5, oc_tx_now_ms(tx));
	}
	oc_status status = oc_tx_run(tx, s, err);
	if (status == OC_OK && changes(tx) == 0)
		return missing(err, c->name);
	return status == OC_OK ? end_all(tx, c->name, err) : status;
}

/* ---- Logins ---- */

/* What is over goes, and of a user with too many those that were used the longest ago. */
static oc_status make_room(oc_tx *tx, const char *user, oc_err *err)
{
	sqlite3_stmt *old = oc_tx_stmt(tx, "DELETE FROM logins AS l WHERE NOT (" LIVE("?1") ")", err);
	if (old == NULL)
		return err->code;
	sqlite3_bind_int64(old, 1, oc_tx_now_ms(tx));
	oc_status status = oc_tx_run(tx, old, err);
	sqlite3_stmt *most = status == OC_OK ? oc_tx_stmt(tx,
							  "DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE user = ?1"
							  " ORDER BY used_ms DESC, id DESC LIMIT -1 OFFSET ?2)", err)
					     : NULL;
	if (most == NULL)
		return err->code;
	oc_sql_bind(most, 1, user);
	sqlite3_bind_int(most, 2, OC_LOGINS_MAX - 1);
	return oc_tx_run(tx, most, err);
}

oc_status oc_login_tx_add(oc_tx *tx, void *arg, oc_err *err)
{
	oc_login_new *l = arg;
	int64_t now = oc_tx_now_ms(tx);
	sqlite3_stmt *seen = oc_tx_stmt(tx, "UPDATE users SET login_ms = ?2 WHERE name = ?1 AND disabled = 0 AND password = ?3 AND role = ?4", err);
	if (seen == NULL)
		return err->code;
	oc_sql_bind(seen, 1, l->user);
	sqlite3_bind_int64(seen, 2, now);
	oc_sql_bind(seen, 3, l->password);
	oc_sql_bind(seen, 4, l->role);
	oc_status status = oc_tx_run(tx, seen, err);
	if (status == OC_OK && changes(tx) == 0)
		status = oc_fail(err, OC_E_AUTH, NULL, "wrong name or password");
	if (status == OC_OK)
		status = make_room(tx, l->user, err);
	sqlite3_stmt *add = status == OC_OK ? oc_tx_stmt(tx,
							 "INSERT INTO logins(user, hash, created_ms, used_ms, expires_ms, address, client)"
							 " VALUES(?1, ?2, ?3, ?3, ?4, nullif(?5, ''), nullif(?6, ''))", err)
					    : NULL;
	if (add == NULL)
		return err->code;
	l->expires_ms = now + l->life_ms;
	oc_sql_bind(add, 1, l->user);
	sqlite3_bind_blob(add, 2, l->hash, sizeof l->hash, SQLITE_STATIC);
	sqlite3_bind_int64(add, 3, now);
	sqlite3_bind_int64(add, 4, l->expires_ms);
	oc_sql_bind(add, 5, l->address);
	oc_sql_bind(add, 6, l->client);
	status = oc_tx_run(tx, add, err);
	l->id = sqlite3_last_insert_rowid(oc_tx_db(tx));
	return status;
}

oc_status oc_login_tx_end(oc_tx *tx, void *arg, oc_err *err)
{
	const oc_login_end *e = arg;
	sqlite3_stmt *s = oc_tx_stmt(tx, "DELETE FROM logins WHERE (?1 = 0 OR id = ?1) AND (?2 = '' OR user = ?2)", err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, e->id);
	oc_sql_bind(s, 2, e->user);
	oc_status status = oc_tx_run(tx, s, err);
	if (status == OC_OK && changes(tx) == 0)
		return oc_fail(err, OC_E_NOT_FOUND, "`openclaw admin sessions` shows them", "there is no such login");
	return status;
}

oc_status oc_login_tx_use(oc_tx *tx, void *arg, oc_err *err)
{
	const oc_login_use *u = arg;
	sqlite3_stmt *s = oc_tx_stmt(tx, "UPDATE logins AS l SET used_ms = ?2, expires_ms = iif(?3 = 0, expires_ms, ?2 + ?3)"
				     " WHERE id = ?1 AND " LIVE("?2"), err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, u->id);
	sqlite3_bind_int64(s, 2, oc_tx_now_ms(tx));
	sqlite3_bind_int64(s, 3, u->life_ms);
	oc_status status = oc_tx_run(tx, s, err);
	return status == OC_OK && changes(tx) == 0 ? oc_fail(err, OC_E_NOT_FOUND, "log in again", "the login is over") : status;
}
