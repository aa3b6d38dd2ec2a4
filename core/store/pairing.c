#include "core/store/pairing.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/data/json.h"
#include "core/store/reader.h"

/* Without letters and digits that are easily mistaken for one another when read aloud. */
static const char CODE_ALPHABET[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
_Static_assert(sizeof CODE_ALPHABET == 33, "five bits a character");

/* A clock that is set back must not make a code live for days: one from more than its life ahead counts no more. */
#define LIVE(now) "(expires_ms > " now " AND expires_ms <= " now " + 7200000)"
_Static_assert(OC_PAIRING_TTL_MS == 3600000, "twice that is in LIVE");

static void make_code(char out[OC_PAIRING_CODE_LEN + 1])
{
	oc_random(out, OC_PAIRING_CODE_LEN);
	for (int i = 0; i < OC_PAIRING_CODE_LEN; i++)
		out[i] = CODE_ALPHABET[(unsigned char)out[i] & 31];
	out[OC_PAIRING_CODE_LEN] = 0;
}

bool oc_pairing_allowed(oc_store *store, const char *channel, const char *account, const char *sender)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT 1 FROM allowed WHERE channel = ?1 AND account = ?2 AND sender = ?3", NULL);
	if (s == NULL)
		return false;
	oc_sql_bind(s, 1, channel);
	oc_sql_bind(s, 2, account);
	oc_sql_bind(s, 3, sender);
	bool found = sqlite3_step(s) == SQLITE_ROW;
	sqlite3_reset(s);
	return found;
}

/* ---- Requests ---- */

oc_status oc_pairing_tx_request(oc_tx *tx, oc_pairing_ask *ask, oc_err *err)
{
	int64_t now = oc_tx_now_ms(tx);
	sqlite3_stmt *old = oc_tx_stmt(tx, "DELETE FROM pairing WHERE NOT " LIVE("?1"), err);
	if (old == NULL)
		return err->code;
	sqlite3_bind_int64(old, 1, now);
	oc_status status = oc_tx_run(tx, old, err);
	sqlite3_stmt *find = status == OC_OK ? oc_tx_stmt(tx,
							  "SELECT max(CASE WHEN sender = ?3 THEN code END), count(*)"
							  " FROM pairing WHERE channel = ?1 AND account = ?2",
							  err)
					     : NULL;
	if (find == NULL)
		return err->code;
	oc_sql_bind(find, 1, ask->channel);
	oc_sql_bind(find, 2, ask->account);
	oc_sql_bind(find, 3, ask->sender);
	int rc = sqlite3_step(find);
	if (rc != SQLITE_ROW) {
		sqlite3_reset(find);
		return oc_sql_fail(err, oc_tx_db(tx), rc, "cannot read the pairing requests");
	}
	int64_t waiting = sqlite3_column_int64(find, 1);
	ask->is_new = sqlite3_column_type(find, 0) == SQLITE_NULL;
	if (!ask->is_new)
		memcpy(ask->code, oc_sql_text(find, 0), sizeof ask->code);
	sqlite3_reset(find);
	if (!ask->is_new)
		return OC_OK;
	if (waiting >= OC_PAIRING_MAX_PENDING)
		return oc_fail(err, OC_E_LIMIT, "approve or reject some: `openclaw pairing list`",
			       "%d pairing requests wait on %s already", OC_PAIRING_MAX_PENDING, ask->channel);
	make_code(ask->code);
	sqlite3_stmt *add = oc_tx_stmt(tx,
				       "INSERT INTO pairing(channel, account, sender, name, code, created_ms, expires_ms)"
				       " VALUES(?1, ?2, ?3, nullif(?4, ''), ?5, ?6, ?7)",
				       err);
	if (add == NULL)
		return err->code;
	oc_sql_bind(add, 1, ask->channel);
	oc_sql_bind(add, 2, ask->account);
	oc_sql_bind(add, 3, ask->sender);
	oc_sql_bind(add, 4, ask->name);
	oc_sql_bind(add, 5, ask->code);
	sqlite3_bind_int64(add, 6, now);
	sqlite3_bind_int64(add, 7, now + OC_PAIRING_TTL_MS);
	return oc_tx_run(tx, add, err);
}

static oc_status request(oc_tx *tx, void *arg, oc_err *err)
{
	return oc_pairing_tx_request(tx, arg, err);
}

oc_status oc_pairing_request(oc_store *store, oc_pairing_ask *ask, oc_err *err)
{
	return oc_store_write_now(store, request, ask, err);
}

static bool request_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "channel", s, 0) && oc_row_str(o, "account", s, 1) && oc_row_str(o, "sender", s, 2) &&
	       oc_row_str(o, "name", s, 3) && oc_row_str(o, "code", s, 4) && oc_row_i64(o, "createdAt", s, 5) &&
	       oc_row_i64(o, "expiresAt", s, 6);
}

oc_status oc_pairing_list(oc_store *store, const char *channel, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT channel, account, sender, name, code, created_ms, expires_ms FROM pairing"
				       " WHERE (?1 IS NULL OR channel = ?1) AND " LIVE("?2") " ORDER BY created_ms",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, channel);
	sqlite3_bind_int64(s, 2, oc_wall_ms());
	oc_status status = oc_read_rows(store, s, request_row, "cannot list the pairing requests", ret_array, err);
	sqlite3_clear_bindings(s);
	return status;
}

static bool allowed_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "channel", s, 0) && oc_row_str(o, "account", s, 1) && oc_row_str(o, "sender", s, 2) &&
	       oc_row_str(o, "name", s, 3) && oc_row_i64(o, "addedAt", s, 4) && oc_row_str(o, "via", s, 5);
}

oc_status oc_pairing_allow_list(oc_store *store, const char *channel, cJSON **ret_array, oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT channel, account, sender, name, added_ms, via FROM allowed"
				       " WHERE ?1 IS NULL OR channel = ?1 ORDER BY channel, account, added_ms",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, channel);
	oc_status status = oc_read_rows(store, s, allowed_row, "cannot list the allowed senders", ret_array, err);
	sqlite3_clear_bindings(s);
	return status;
}

/* ---- Decisions ---- */

typedef struct decision {
	const char *channel, *code;
	cJSON *request; /* what was decided on */
	bool approve;
} decision;

static oc_status allow(oc_tx *tx, const char *channel, const char *account, const char *sender, const char *name,
		       const char *via, oc_err *err)
{
	sqlite3_stmt *add = oc_tx_stmt(tx,
				       "INSERT OR REPLACE INTO allowed(channel, account, sender, name, via, added_ms)"
				       " VALUES(?1, ?2, ?3, nullif(?4, ''), ?5, ?6)",
				       err);
	if (add == NULL)
		return err->code;
	oc_sql_bind(add, 1, channel);
	oc_sql_bind(add, 2, account);
	oc_sql_bind(add, 3, sender);
	oc_sql_bind(add, 4, name);
	oc_sql_bind(add, 5, via);
	sqlite3_bind_int64(add, 6, oc_tx_now_ms(tx));
	return oc_tx_run(tx, add, err);
}

static oc_status forget(oc_tx *tx, const char *channel, const char *account, const char *sender, oc_err *err)
{
	sqlite3_stmt *del = oc_tx_stmt(tx, "DELETE FROM pairing WHERE channel = ?1 AND account = ?2 AND sender = ?3", err);
	if (del == NULL)
		return err->code;
	oc_sql_bind(del, 1, channel);
	oc_sql_bind(del, 2, account);
	oc_sql_bind(del, 3, sender);
	return oc_tx_run(tx, del, err);
}

static oc_status decide(oc_tx *tx, void *arg, oc_err *err)
{
	decision *d = arg;
	sqlite3_stmt *find = oc_tx_stmt(tx,
					"SELECT channel, account, sender, name, code, created_ms, expires_ms FROM pairing"
					" WHERE (?1 IS NULL OR channel = ?1) AND code = upper(?2) AND " LIVE("?3"),
					err);
	if (find == NULL)
		return err->code;
	oc_sql_bind(find, 1, d->channel);
	oc_sql_bind(find, 2, d->code);
	sqlite3_bind_int64(find, 3, oc_tx_now_ms(tx));
	cJSON *o = cJSON_CreateObject();
	int rc = sqlite3_step(find);
	bool ok = o != NULL && (rc != SQLITE_ROW || request_row(o, find));
	sqlite3_reset(find);
	oc_status status = OC_OK;
	if (!ok)
		status = oc_fail(err, OC_E_NOMEM, NULL, "cannot read the pairing request");
	else if (rc == SQLITE_DONE)
		status = oc_fail(err, OC_E_NOT_FOUND, "see `openclaw pairing list`; codes live for one hour",
				 "no pairing request has the code %s", d->code);
	else if (rc != SQLITE_ROW)
		status = oc_sql_fail(err, oc_tx_db(tx), rc, "cannot read the pairing request");
	const char *channel = oc_json_str(o, "channel", ""), *account = oc_json_str(o, "account", "");
	const char *sender = oc_json_str(o, "sender", "");
	if (status == OC_OK && d->approve)
		status = allow(tx, channel, account, sender, oc_json_str(o, "name", NULL), "pairing", err);
	if (status == OC_OK)
		status = forget(tx, channel, account, sender, err);
	if (status == OC_OK)
		d->request = o;
	else
		cJSON_Delete(o);
	return status;
}

oc_status oc_pairing_approve(oc_store *store, const char *channel, const char *code, cJSON **ret_request, oc_err *err)
{
	decision d = {.channel = channel, .code = code, .approve = true};
	oc_status status = oc_store_write_now(store, decide, &d, err);
	if (status == OC_OK && ret_request != NULL)
		*ret_request = d.request;
	else
		cJSON_Delete(d.request);
	return status;
}

oc_status oc_pairing_reject(oc_store *store, const char *channel, const char *code, oc_err *err)
{
	decision d = {.channel = channel, .code = code};
	oc_status status = oc_store_write_now(store, decide, &d, err);
	cJSON_Delete(d.request);
	return status;
}

typedef struct entry {
	const char *channel, *account, *sender, *via;
	int changes;
} entry;

static oc_status add_entry(oc_tx *tx, void *arg, oc_err *err)
{
	const entry *e = arg;
	return allow(tx, e->channel, e->account, e->sender, NULL, e->via, err);
}

oc_status oc_pairing_allow(oc_store *store, const char *channel, const char *account, const char *sender, const char *via,
			   oc_err *err)
{
	return oc_store_write_now(store, add_entry, &(entry){channel, account, sender, via, 0}, err);
}

static oc_status drop_entry(oc_tx *tx, void *arg, oc_err *err)
{
	entry *e = arg;
	sqlite3_stmt *del = oc_tx_stmt(tx, "DELETE FROM allowed WHERE channel = ?1 AND account = ?2 AND sender = ?3", err);
	if (del == NULL)
		return err->code;
	oc_sql_bind(del, 1, e->channel);
	oc_sql_bind(del, 2, e->account);
	oc_sql_bind(del, 3, e->sender);
	oc_status status = oc_tx_run(tx, del, err);
	e->changes = sqlite3_changes(oc_tx_db(tx));
	return status;
}

oc_status oc_pairing_revoke(oc_store *store, const char *channel, const char *account, const char *sender, oc_err *err)
{
	entry e = {channel, account, sender, NULL, 0};
	oc_status status = oc_store_write_now(store, drop_entry, &e, err);
	if (status == OC_OK && e.changes == 0)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw pairing list --allowed`", "%s was not let in by a code on %s", sender, channel);
	return status;
}
