/*
 * What the writer does when nobody waits for it: the search index, retention, giving space back.
 *
 * Each piece is one short transaction, and the queue is looked at between any two.  They are written without a sync of
 * their own: losing the last ones in a power cut only means doing them again, and the log keeps their order.
 *
 * A gateway that commits without a pause would never be tidied: there the index gets a piece twice a second, and a round of
 * retention that has waited for some minutes gets a small share of the time, until it is over.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/store/batch.h"

#define INDEX_ROWS 256		/* a piece */
#define INDEX_QUIET_MS 100u	/* after the last change: a turn's next step often follows at once */
#define INDEX_BUSY_MS 500u	/* under load one piece in this time all the same */
#define PRUNE_ROWS 256
#define PRUNE_QUIET_MS 20u
#define PRUNE_PATIENCE_MS 300000u /* that long a round that is due waits for quiet; then it goes on under load, */
#define PRUNE_SHARE 50u		  /* with a piece of one millisecond in so many, */
#define PRUNE_BUSY_MS 50u	  /* and never more often than this */
#define HOUR_MS ((uint64_t)3600 * 1000)
#define JUMP_PAUSE_MS (24 * HOUR_MS)
#define DAY_MS ((int64_t)24 * 3600 * 1000)
#define CHECKPOINT_QUIET_MS 3000u
#define CHECKPOINT_BYTES (4 << 20)
#define FREE_PAGES_KEPT 256
#define VACUUM_PAGES 128
#define UNSYNCED_MAX 32 /* pieces */

enum { STEP_NONE, STEP_OUTBOX, STEP_INBOX, STEP_RUNS, STEP_EVENTS, STEP_ARCHIVE, STEP_SESSIONS, STEP_INDEX, STEP_MERGE, STEP_VACUUM, STEP_END };

/* ---- The search index ---- */

static oc_status one_number(oc_store *store, const char *literal, int64_t *ret, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(&store->tx, literal, err);
	if (s == NULL)
		return err->code;
	int rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(s, 0);
	oc_status status = rc == SQLITE_ROW || rc == SQLITE_DONE ? OC_OK
								 : oc_sql_fail(err, oc_tx_db(&store->tx), rc, "cannot read the store");
	sqlite3_reset(s);
	return status;
}

static oc_status index_piece(oc_store *store, oc_err *err)
{
	oc_tx *tx = &store->tx;
	int64_t upto = 0, last = 0;
	oc_status status = one_number(store, "SELECT value FROM meta WHERE key = '" META_SEARCH_UPTO "'", &upto, err);
	sqlite3_stmt *find = status == OC_OK ? oc_tx_stmt(tx,
							  "SELECT max(id), count(*) FROM (SELECT id FROM messages WHERE id > ?1"
							  " ORDER BY id LIMIT ?2)",
							  err)
					     : NULL;
	if (find == NULL)
		return err->code;
	sqlite3_bind_int64(find, 1, upto);
	sqlite3_bind_int64(find, 2, INDEX_ROWS);
	int rc = sqlite3_step(find);
	last = rc == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
	store->chores.behind = rc == SQLITE_ROW && sqlite3_column_int64(find, 1) == INDEX_ROWS;
	sqlite3_reset(find);
	if (rc != SQLITE_ROW)
		return oc_sql_fail(err, oc_tx_db(tx), rc, "cannot read the messages");
	if (last == 0)
		return OC_OK;
	sqlite3_stmt *add = oc_tx_stmt(tx,
				       "INSERT INTO messages_search(rowid, text) SELECT id, " SEARCH_TEXT
				       " FROM messages WHERE id > ?1 AND id <= ?2",
				       err);
	if (add == NULL)
		return err->code;
	sqlite3_bind_int64(add, 1, upto);
	sqlite3_bind_int64(add, 2, last);
	status = oc_tx_run(tx, add, err);
	sqlite3_stmt *mark = status == OC_OK ? oc_tx_stmt(tx, "UPDATE meta SET value = ?1 WHERE key = '" META_SEARCH_UPTO "'", err)
					     : NULL;
	if (mark == NULL)
		return err->code;
	sqlite3_bind_int64(mark, 1, last);
	return oc_tx_run(tx, mark, err);
}

/* ---- Retention: rows that are done ---- */

/* Runs a statement with (?1 the limit in time, ?2 how many rows); more: it may have to run again. */
static oc_status remove_rows(oc_store *store, const char *literal, int64_t before_ms, bool *more, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(&store->tx, literal, err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, before_ms);
	sqlite3_bind_int64(s, 2, PRUNE_ROWS);
	oc_status status = oc_tx_run(&store->tx, s, err);
	int n = status == OC_OK ? sqlite3_changes(oc_tx_db(&store->tx)) : 0;
	store->chores.pruned_rows += (uint64_t)n;
	*more = n >= PRUNE_ROWS;
	return status;
}

/* ---- Retention: sessions ---- */

typedef struct candidate {
	int64_t id, first_seq, last_seq, epoch_seq;
	char *key;
} candidate;

static bool read_candidate(sqlite3_stmt *s, candidate *c)
{
	c->id = sqlite3_column_int64(s, 0);
	c->first_seq = sqlite3_column_int64(s, 1);
	c->last_seq = sqlite3_column_int64(s, 2);
	c->epoch_seq = sqlite3_column_int64(s, 3);
	c->key = oc_strdup(oc_sql_text(s, 4));
	return c->key != NULL;
}

/* The number below which the oldest rows are, at most PRUNE_ROWS of them and all older than before_ms; 0: there are none. */
static oc_status old_part(oc_store *store, const char *literal, const candidate *c, int64_t before_ms, int64_t upto_seq,
			  int64_t *ret_seq, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(&store->tx, literal, err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, c->id);
	sqlite3_bind_int64(s, 2, upto_seq);
	sqlite3_bind_int64(s, 3, PRUNE_ROWS);
	*ret_seq = 0;
	int rc;
	/* Read in order until one is young enough: a clock that jumped may have left old times behind newer ones, and
	 * taking those out would make a hole. */
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && sqlite3_column_int64(s, 1) < before_ms)
		*ret_seq = sqlite3_column_int64(s, 0) + 1;
	oc_status status = rc == SQLITE_ROW || rc == SQLITE_DONE ? OC_OK
								 : oc_sql_fail(err, oc_tx_db(&store->tx), rc, "cannot read a session");
	sqlite3_reset(s);
	return status;
}

static oc_status run3(oc_store *store, const char *literal, int64_t a, int64_t b, int64_t c, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(&store->tx, literal, err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, a);
	sqlite3_bind_int64(s, 2, b);
	if (sqlite3_bind_parameter_count(s) > 2)
		sqlite3_bind_int64(s, 3, c);
	return oc_tx_run(&store->tx, s, err);
}

static oc_status cut_events(oc_store *store, const candidate *c, int64_t before_seq, oc_err *err)
{
	oc_status status = run3(store, "DELETE FROM events WHERE session = ?1 AND seq < ?2", c->id, before_seq, 0, err);
	if (status == OC_OK)
		store->chores.pruned_events += (uint64_t)sqlite3_changes(oc_tx_db(&store->tx));
	return status != OC_OK ? status
			       : run3(store, "UPDATE sessions SET first_seq = max(first_seq, ?2) WHERE id = ?1", c->id, before_seq, 0,
				      err);
}

static oc_status cut_messages(oc_store *store, const candidate *c, int64_t before_seq, oc_err *err)
{
	oc_tx *tx = &store->tx;
	oc_status status = oc_search_remove(tx, c->id, before_seq, err);
	if (status == OC_OK)
		status = run3(store, "DELETE FROM messages WHERE session = ?1 AND seq < ?2", c->id, before_seq, 0, err);
	if (status == OC_OK)
		store->chores.pruned_messages += (uint64_t)sqlite3_changes(oc_tx_db(tx));
	if (status == OC_OK)
		status = oc_search_removed(tx, err);
	/* Only what belongs to the present history is counted. */
	return status != OC_OK ? status
			       : run3(store,
				      "UPDATE sessions SET messages = (SELECT count(*) FROM messages m WHERE m.session = ?1"
				      " AND m.seq >= sessions.epoch_seq) WHERE id = ?1 AND epoch_seq < ?2",
				      c->id, before_seq, 0, err);
}

static const char OLD_EVENTS[] = "SELECT seq, ts_ms FROM events WHERE session = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3";
static const char OLD_MESSAGES[] = "SELECT seq, ts_ms FROM messages WHERE session = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3";

/* A piece of a session that is to go; *ret_gone: it was the last. */
static oc_status cut_session(oc_store *store, const candidate *c, bool *ret_gone, oc_err *err)
{
	int64_t seq = 0;
	*ret_gone = false;
	oc_status status = old_part(store, OLD_MESSAGES, c, INT64_MAX, INT64_MAX, &seq, err);
	if (status != OC_OK || seq > 0)
		return status == OC_OK ? cut_messages(store, c, seq, err) : status;
	status = old_part(store, OLD_EVENTS, c, INT64_MAX, c->last_seq - PRUNE_ROWS, &seq, err);
	if (status != OC_OK || seq > 0)
		return status == OC_OK ? cut_events(store, c, seq, err) : status;
	oc_tx_session *s = NULL;
	status = oc_project_find(&store->tx, c->key, &s, err);
	if (status == OC_OK)
		status = oc_project_delete(&store->tx, s, err);
	if (status == OC_OK) {
		*ret_gone = true;
		store->chores.pruned_sessions++;
		store->chores.sessions--;
	}
	return status;
}

/* The least recent session that may go. */
static oc_status find_dead(oc_store *store, candidate *ret, bool *ret_found, oc_err *err)
{
	const oc_retention *r = &store->chores.retention;
	int64_t pages = 0, free_pages = 0, page_size = 0;
	*ret_found = false;
	/* Counted once a round: with many it takes a while. */
	oc_status status = r->sessions_max > 0 && store->chores.sessions == 0
				   ? one_number(store, "SELECT count(*) FROM sessions", &store->chores.sessions, err)
				   : OC_OK;
	if (status == OC_OK && r->disk_bytes > 0) {
		status = one_number(store, "PRAGMA page_count", &pages, err);
		if (status == OC_OK)
			status = one_number(store, "PRAGMA freelist_count", &free_pages, err);
		if (status == OC_OK)
			status = one_number(store, "PRAGMA page_size", &page_size, err);
	}
	if (status != OC_OK)
		return status;
	int64_t used = (pages - free_pages) * page_size;
	if (r->disk_bytes > 0 && used > r->disk_bytes)
		store->chores.over_disk = true;
	else if (r->disk_bytes <= 0 || used <= r->disk_low_bytes)
		store->chores.over_disk = false;
	bool any = store->chores.over_disk || (r->sessions_max > 0 && store->chores.sessions > r->sessions_max);
	sqlite3_stmt *s = oc_tx_stmt(&store->tx,
				     "SELECT id, first_seq, last_seq, epoch_seq, key FROM sessions s WHERE updated_ms < ?1"
				     " AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.session = s.key"
				     " AND r.ended_ms IS NULL)"
				     " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.session = s.key AND o.state = 'pending')"
				     " ORDER BY updated_ms, id LIMIT 1",
				     err);
	if (s == NULL)
		return err->code;
	int64_t before = any ? store->chores.now_ms - DAY_MS : r->sessions_ms > 0 ? store->chores.now_ms - r->sessions_ms : 0;
	sqlite3_bind_int64(s, 1, before);
	int rc = sqlite3_step(s);
	bool memory = rc != SQLITE_ROW || read_candidate(s, ret);
	*ret_found = rc == SQLITE_ROW && memory;
	sqlite3_reset(s);
	if (!memory)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot look for old sessions");
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OC_OK
						     : oc_sql_fail(err, oc_tx_db(&store->tx), rc, "cannot look for old sessions");
}

static oc_status next_session(oc_store *store, candidate *ret, bool *ret_found, oc_err *err)
{
	sqlite3_stmt *s = oc_tx_stmt(&store->tx,
				     "SELECT id, first_seq, last_seq, epoch_seq, key FROM sessions WHERE id > ?1 ORDER BY id LIMIT 1",
				     err);
	if (s == NULL)
		return err->code;
	sqlite3_bind_int64(s, 1, store->chores.prune_cursor);
	int rc = sqlite3_step(s);
	bool memory = rc != SQLITE_ROW || read_candidate(s, ret);
	*ret_found = rc == SQLITE_ROW && memory;
	sqlite3_reset(s);
	if (!memory)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot look through the sessions");
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OC_OK
						     : oc_sql_fail(err, oc_tx_db(&store->tx), rc, "cannot look through the sessions");
}

/* One session's old events or archived messages; *more while there are sessions left. */
static oc_status prune_one(oc_store *store, bool archive, bool *more, oc_err *err)
{
	const oc_chores *ch = &store->chores;
	candidate c = {0};
	int64_t seq = 0;
	oc_status status = next_session(store, &c, more, err);
	if (status == OC_OK && *more) {
		status = archive ? old_part(store, OLD_MESSAGES, &c, ch->now_ms - ch->retention.archive_ms, c.epoch_seq, &seq, err)
				 : old_part(store, OLD_EVENTS, &c, ch->now_ms - ch->retention.events_ms, c.last_seq, &seq, err);
		if (status == OC_OK && seq > 0)
			status = archive ? cut_messages(store, &c, seq, err) : cut_events(store, &c, seq, err);
		/* A session with more to go is looked at again. */
		if (seq == 0)
			store->chores.prune_cursor = c.id;
	}
	oc_free(c.key);
	return status;
}

static oc_status prune_sessions(oc_store *store, bool *more, oc_err *err)
{
	candidate c = {0};
	bool gone = false;
	oc_status status = find_dead(store, &c, more, err);
	if (status == OC_OK && *more)
		status = cut_session(store, &c, &gone, err);
	oc_free(c.key);
	return status;
}

/* ---- A round ---- */

static oc_status prune_piece(oc_store *store, oc_err *err)
{
	oc_chores *ch = &store->chores;
	const oc_retention *r = &ch->retention;
	int64_t done_before = ch->now_ms - r->done_ms;
	bool more = false;
	oc_status status = OC_OK;
	switch (ch->prune_step) {
	case STEP_OUTBOX:
		if (r->done_ms > 0)
			status = remove_rows(store,
					     "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state = 'delivered'"
					     " AND updated_ms < ?1 LIMIT ?2)",
					     done_before, &more, err);
		break;
	case STEP_RUNS:
		if (r->done_ms > 0)
			status = remove_rows(store,
					     "DELETE FROM runs WHERE rowid IN (SELECT rowid FROM runs WHERE ended_ms IS NOT NULL"
					     " AND ended_ms < ?1 AND accepted_ms < ?1 LIMIT ?2)",
					     done_before, &more, err);
		break;
	case STEP_INBOX:
		if (r->done_ms > 0)
			status = remove_rows(store,
					     "DELETE FROM inbox WHERE (channel, account, chat, message_id) IN (SELECT channel,"
					     " account, chat, message_id FROM inbox i WHERE ts_ms < ?1 AND NOT EXISTS (SELECT 1 FROM"
					     " runs r WHERE r.run = i.run AND r.ended_ms IS NULL) LIMIT ?2)",
					     done_before, &more, err);
		break;
	case STEP_EVENTS:
		if (r->events_ms > 0)
			status = prune_one(store, false, &more, err);
		break;
	case STEP_ARCHIVE:
		if (r->archive_ms > 0)
			status = prune_one(store, true, &more, err);
		break;
	case STEP_SESSIONS:
		if (r->sessions_ms > 0 || r->sessions_max > 0 || r->disk_bytes > 0)
			status = prune_sessions(store, &more, err);
		break;
	default:
		break;
	}
	if (status == OC_OK && !more) {
		ch->prune_step++;
		ch->prune_cursor = 0;
	}
	return status;
}

/* Deleting by a clock that is wrong cannot be undone.  A jump while the program runs postpones the round for a day; and time
 * in which nothing was written counts for a day at most, so a machine that wakes up in a wrong year removes nothing. */
static bool clock_is_trusted(oc_store *store)
{
	oc_chores *ch = &store->chores;
	int64_t jump = oc_clock_jump_ms(&ch->clock);
	if (jump != 0) {
		ch->distrust_ms = oc_now_ms() + JUMP_PAUSE_MS;
		oc_warn("store", "the clock was set %s by %lld s: nothing old is removed for a day", jump > 0 ? "forward" : "back",
			(long long)((jump > 0 ? jump : -jump) / 1000));
	}
	return oc_now_ms() >= ch->distrust_ms;
}

static oc_status begin_round(oc_store *store, oc_err *err)
{
	oc_chores *ch = &store->chores;
	int64_t newest = 0, wall = oc_wall_ms();
	oc_status status = one_number(store, "SELECT coalesce(max(updated_ms), 0) FROM sessions", &newest, err);
	ch->now_ms = newest + DAY_MS < wall ? newest + DAY_MS : wall;
	ch->prune_step = STEP_OUTBOX;
	ch->prune_cursor = ch->sessions = 0;
	return status;
}

static oc_status vacuum_piece(oc_store *store, oc_err *err)
{
	int64_t free_pages = 0, mode = 0;
	oc_status status = one_number(store, "PRAGMA freelist_count", &free_pages, err);
	if (status == OC_OK)
		status = one_number(store, "PRAGMA auto_vacuum", &mode, err);
	if (status != OC_OK || mode != 2 || free_pages <= (store->chores.compact ? 0 : FREE_PAGES_KEPT)) {
		store->chores.prune_step = STEP_END;
		return status;
	}
	_Static_assert(VACUUM_PAGES == 128, "the text below");
	sqlite3_stmt *s = oc_tx_stmt(&store->tx, "PRAGMA incremental_vacuum(128)", err);
	if (s == NULL)
		return err->code;
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) /* one page a step */
		continue;
	status = rc == SQLITE_DONE ? OC_OK : oc_sql_fail(err, oc_tx_db(&store->tx), rc, "cannot give space back");
	sqlite3_reset(s);
	return status;
}

/* What was removed stays in the index's oldest part, with a mark in a newer one, until the two become one.  That writes the
 * whole index anew: worth it when a quarter of it is gone, or when somebody asked for the space. */
static oc_status look_at_index(oc_store *store, oc_err *err)
{
	oc_chores *ch = &store->chores;
	int64_t most = 0; /* messages that may be left */
	oc_status status = one_number(store, "SELECT coalesce(max(id) - min(id) + 1, 0) FROM messages", &most, err);
	if (status == OC_OK && ch->unmerged > 0 && (ch->compact || ch->unmerged >= most / 4)) {
		/* A negative number: all parts become one, in steps of so many pages, of which the others follow. */
		status = oc_tx_run(&store->tx, oc_tx_stmt(&store->tx, "INSERT INTO messages_search(messages_search, rank) VALUES('merge', -64)",
							  err), err);
		if (status == OC_OK)
			ch->unmerged = 0;
	}
	if (status == OC_OK)
		ch->prune_step = STEP_MERGE;
	return status;
}

/* Brings the index's parts together, a little at a time; when nothing changes any more it is done. */
static oc_status merge_piece(oc_store *store, oc_err *err)
{
	sqlite3 *db = oc_tx_db(&store->tx);
	int before = sqlite3_total_changes(db);
	oc_status status = oc_tx_run(
		&store->tx,
		oc_tx_stmt(&store->tx, "INSERT INTO messages_search(messages_search, rank) VALUES('merge', 64)", err), err);
	if (status == OC_OK && sqlite3_total_changes(db) - before < 2)
		store->chores.prune_step = STEP_VACUUM;
	return status;
}

static void publish(oc_store *store)
{
	oc_chores *ch = &store->chores;
	pthread_mutex_lock(&store->mutex);
	store->stats.pruned_sessions += ch->pruned_sessions;
	store->stats.pruned_messages += ch->pruned_messages;
	ch->unmerged += (int64_t)ch->pruned_messages;
	store->stats.pruned_events += ch->pruned_events;
	store->stats.pruned_rows += ch->pruned_rows;
	store->stats.rounds = ch->rounds;
	store->stats.rounds_postponed = ch->postponed;
	pthread_mutex_unlock(&store->mutex);
	ch->pruned_sessions = ch->pruned_messages = ch->pruned_events = ch->pruned_rows = 0;
}

static void end_round(oc_store *store)
{
	oc_chores *ch = &store->chores;
	uint64_t every = ch->retention.every_ms > 0 ? (uint64_t)ch->retention.every_ms : HOUR_MS;
	ch->prune_step = STEP_NONE;
	ch->prune_at_ms = oc_now_ms() + every;
	ch->rounds++;
	ch->checkpoint = true;
	if (ch->compact)
		oc_info("store", "compacted");
	ch->compact = false;
}

/* ---- The writer's view ---- */

void oc_store_set_retention(oc_store *store, const oc_retention *retention)
{
	pthread_mutex_lock(&store->mutex);
	store->retention = *retention;
	store->retention_new = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->mutex);
}

static void take_settings(oc_store *store)
{
	oc_chores *ch = &store->chores;
	pthread_mutex_lock(&store->mutex);
	bool fresh = store->retention_new;
	if (store->compact_now) {
		ch->compact = true;
		ch->prune_at_ms = oc_now_ms();
	}
	store->compact_now = false;
	if (fresh)
		ch->retention = store->retention;
	store->retention_new = false;
	pthread_mutex_unlock(&store->mutex);
	if (!fresh)
		return;
	const oc_retention *r = &ch->retention;
	bool wanted = r->sessions_ms > 0 || r->sessions_max > 0 || r->archive_ms > 0 || r->events_ms > 0 || r->done_ms > 0 ||
		      r->disk_bytes > 0;
	uint64_t first = r->first_ms > 0 ? (uint64_t)r->first_ms : HOUR_MS;
	ch->prune_at_ms = wanted ? oc_now_ms() + first : 0;
	ch->prune_step = STEP_NONE;
	(void)clock_is_trusted(store);
}

void oc_chores_wrote(oc_store *store)
{
	oc_chores *ch = &store->chores;
	ch->behind = true;
	ch->checkpoint = true;
	ch->unsynced = 0;
	ch->quiet_since_ms = oc_now_ms();
}

static uint64_t until(uint64_t at, uint64_t now)
{
	return at > now ? at - now : 0;
}

uint64_t oc_chores_due(oc_store *store)
{
	oc_chores *ch = &store->chores;
	take_settings(store);
	uint64_t now = oc_now_ms(), due = UINT64_MAX, at;
	if (now < ch->retry_ms)
		return ch->retry_ms - now;
	if (ch->behind)
		due = until(ch->quiet_since_ms + INDEX_QUIET_MS, now);
	if (ch->prune_step != STEP_NONE && (at = until(ch->quiet_since_ms + PRUNE_QUIET_MS, now)) < due)
		due = at;
	if (ch->prune_at_ms != 0 && ch->prune_step == STEP_NONE && (at = until(ch->prune_at_ms, now)) < due)
		due = at;
	if (ch->checkpoint && (at = until(ch->quiet_since_ms + CHECKPOINT_QUIET_MS, now)) < due)
		due = at;
	return due;
}

static bool round_due(const oc_chores *ch, uint64_t now)
{
	return ch->prune_step != STEP_NONE || (ch->prune_at_ms != 0 && now >= ch->prune_at_ms);
}

/* Somebody waits for what was asked for; the rest may wait a while, but not for ever. */
static bool round_overdue(const oc_chores *ch, uint64_t now)
{
	uint64_t patience = ch->compact ? 0 : ch->retention.patience_ms > 0 ? (uint64_t)ch->retention.patience_ms : PRUNE_PATIENCE_MS;
	return round_due(ch, now) && now >= ch->prune_at_ms + patience && now >= ch->prune_busy_ms;
}

bool oc_chores_overdue(const oc_store *store)
{
	const oc_chores *ch = &store->chores;
	uint64_t now = oc_now_ms();
	if (store->tx.stmts.db == NULL || now < ch->retry_ms)
		return false;
	return (ch->behind && now - ch->indexed_ms > INDEX_BUSY_MS) || round_overdue(ch, now) || store->retention_new ||
	       store->compact_now;
}

/* Writes the log back into the file, so that the next start need not, and cuts it. */
static void checkpoint(oc_store *store)
{
	oc_store_stats stats;
	oc_store_get_stats(store, &stats);
	if (store->tx.stmts.db == NULL || stats.wal_bytes < CHECKPOINT_BYTES)
		return;
	if (oc_log_busy(store)) {
		store->chores.checkpoint = true;
		store->chores.quiet_since_ms = oc_now_ms();
		return;
	}
	if (!oc_log_cut(store) && (stats.wal_bytes > OC_STORE_WAL_LARGE || oc_store_admits(store, NULL) != OC_OK)) {
		/* Who keeps it may end at any time, and nobody writes while new work is refused. */
		store->chores.checkpoint = true;
		store->chores.quiet_since_ms = oc_now_ms();
	}
}

/* The next piece of a round that is due, or its end. */
static oc_status round_piece(oc_store *store, oc_err *err)
{
	oc_chores *ch = &store->chores;
	if (ch->prune_step == STEP_INDEX)
		return oc_group_alone(store, look_at_index, err);
	if (ch->prune_step == STEP_MERGE)
		return oc_group_alone(store, merge_piece, err);
	if (ch->prune_step == STEP_VACUUM)
		return oc_group_alone(store, vacuum_piece, err);
	if (ch->prune_step == STEP_END) {
		end_round(store);
		return OC_OK;
	}
	if (ch->prune_step != STEP_NONE)
		return oc_group_alone(store, prune_piece, err);
	if (clock_is_trusted(store))
		return oc_group_alone(store, begin_round, err);
	ch->prune_at_ms = ch->distrust_ms;
	ch->postponed++;
	if (ch->compact)
		ch->prune_step = STEP_INDEX; /* space can be given back whatever the time is */
	return OC_OK;
}

static oc_status one_piece(oc_store *store, uint64_t now, oc_err *err)
{
	oc_chores *ch = &store->chores;
	if (ch->behind && now - ch->quiet_since_ms >= INDEX_QUIET_MS) {
		ch->indexed_ms = now;
		return oc_group_alone(store, index_piece, err);
	}
	if (round_due(ch, now))
		return round_piece(store, err);
	ch->checkpoint = false;
	checkpoint(store);
	return OC_OK;
}

static void without_sync(oc_store *store, bool on)
{
	if (store->tx.stmts.db != NULL)
		(void)oc_sql_exec(store->tx.stmts.db, on ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", NULL);
}

static void finish_piece(oc_store *store, oc_status status, const oc_err *err)
{
	oc_chores *ch = &store->chores;
	publish(store);
	if (status == OC_OK) {
		ch->failures = 0;
		ch->retry_ms = 0;
		return;
	}
	/* Nobody waits for it: later, and said once. */
	if (ch->failures++ == 0)
		oc_log_err(OC_LOG_WARN, "store", "keeping the store tidy", err);
	ch->retry_ms = oc_now_ms() + (ch->failures < 6 ? (uint64_t)1000 << ch->failures : 60000);
}

void oc_chores_run(oc_store *store)
{
	oc_err err = {0};
	oc_chores *ch = &store->chores;
	oc_status status = oc_group_connect(store, &err);
	/* Nobody waits for a sync of these, but whoever commits next would wait for all that was not synced before. */
	bool sync = ++ch->unsynced >= UNSYNCED_MAX;
	if (sync)
		ch->unsynced = 0;
	without_sync(store, !sync);
	if (status == OC_OK)
		status = one_piece(store, oc_now_ms(), &err);
	without_sync(store, false);
	finish_piece(store, status, &err);
}

void oc_chores_busy(oc_store *store)
{
	oc_err err = {0};
	oc_chores *ch = &store->chores;
	oc_status status;
	take_settings(store);
	uint64_t began = oc_now_ms();
	without_sync(store, true);
	if (ch->behind && began - ch->indexed_ms > INDEX_BUSY_MS) {
		ch->indexed_ms = began;
		status = oc_group_alone(store, index_piece, &err);
		ch->behind = true;
	} else {
		status = round_overdue(ch, began) ? round_piece(store, &err) : OC_OK;
		uint64_t now = oc_now_ms(), pause = (now - began) * PRUNE_SHARE;
		ch->prune_busy_ms = now + (pause > PRUNE_BUSY_MS ? pause : PRUNE_BUSY_MS);
	}
	without_sync(store, false);
	finish_piece(store, status, &err);
}

/* A command that wrote a little leaves little for others to index. */
void oc_chores_closing(oc_store *store)
{
	oc_err err = {0};
	if (!store->chores.behind || store->tx.stmts.db == NULL || store->stalled)
		return;
	without_sync(store, true);
	(void)oc_group_alone(store, index_piece, &err);
}

static oc_status nothing(oc_tx *tx, void *arg, oc_err *err)
{
	(void)tx;
	(void)arg;
	(void)err;
	return OC_OK;
}

oc_status oc_store_compact_live(oc_store *store, oc_err *err)
{
	pthread_mutex_lock(&store->mutex);
	store->compact_now = true;
	pthread_mutex_unlock(&store->mutex);
	/* The thread may not have been started, or sleep. */
	return oc_writer_put(store, nothing, NULL, NULL, NULL, 0, err);
}
