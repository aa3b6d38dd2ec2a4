/*
 * The store: one SQLite file (WAL) with append-only events and what is derived from them.
 *
 * All writing happens on one writer thread, which commits everything that waits in one transaction with
 * synchronous=FULL: many sessions share one fsync.  Each batch or function is one savepoint in it: it is written whole
 * or not at all, whatever its neighbours do.  `done` runs on the loop thread after the commit reached the disk, in the
 * order of submission.  Reading happens on a second connection on the loop thread and sees what was committed.
 *
 * When the disk refuses (full, read-only, an I/O error, another process holds the lock), the writer keeps what belongs to
 * work that was accepted already and tries again until it can be written; new work (oc_batch_inbox, oc_batch_run_put,
 * oc_store_write, *_now) is refused with the cause, so that nobody acknowledges it.  It goes on by itself.
 *
 * Everything except the functions of oc_tx is for the loop thread.  The writer's thread and connection are made at the
 * first write, so that opening an existing store costs one read and no fsync.
 */
#ifndef OC_STORE_STORE_H
#define OC_STORE_STORE_H

#include <cjson/cJSON.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/loop/loop.h"

typedef struct oc_store oc_store;

/* How a store is opened. */
enum {
	OC_STORE_OWNER = 1,  /* the gateway: no other owner or writer may have it open (OC_E_BUSY names the process) */
	OC_STORE_SHARED = 2, /* a command that runs a turn by itself: not while an owner has it; several may */
	OC_STORE_READER = 3, /* reports: reads only, never creates; loop may be NULL */
	OC_STORE_BESIDE = 4  /* small changes by a command while a gateway may run (pairing): never creates; loop may be NULL */
};

/* The schema version this program writes (PRAGMA user_version). */
#define OC_STORE_SCHEMA 6

/* Opens (and, unless READER, creates with mode 0600 and migrates) the file. OC_E_BUSY: in use; OC_E_VERSION: written by a
 * newer program; OC_E_CORRUPT: not our database or damaged; OC_E_NOT_FOUND: READER or BESIDE and there is none. */
oc_status oc_store_open(const char *path, oc_loop *loop, int mode, oc_store **ret, oc_err *err);
/* Writes out what waits (blocking, their `done` is called here), ends the writer thread, frees. NULL is allowed. */
void oc_store_close(oc_store *store);
const char *oc_store_path(const oc_store *store);
/* Waits (blocking) until everything queued is written, and calls every `done`: for owners of callbacks who go away. */
void oc_store_settle(oc_store *store);

/* ---- Writing: functions -------------------------------------------------- */

typedef struct oc_tx oc_tx; /* the writer's open transaction; valid inside fn, on the thread fn runs on */

typedef oc_status (*oc_store_fn)(oc_tx *tx, void *arg, oc_err *err);
/* status OC_OK: committed. err is never NULL and is empty on success. */
typedef void (*oc_store_done)(void *arg, oc_status status, const oc_err *err);

/* Runs fn(tx, arg) on the writer thread inside a savepoint; anything but OC_OK rolls it back. done may be NULL.
 * OC_E_BUSY: the queue is full (back-pressure: nothing was queued, try again later). OC_E_STATE: READER. */
oc_status oc_store_write(oc_store *store, oc_store_fn fn, oc_store_done done, void *arg);
/* The same on the calling thread, committed on return; for commands without a running loop. */
oc_status oc_store_write_now(oc_store *store, oc_store_fn fn, void *arg, oc_err *err);

sqlite3 *oc_tx_db(oc_tx *tx);
/* A prepared statement, cached by the text's address (pass literals), reset and with cleared bindings. NULL on error. */
sqlite3_stmt *oc_tx_stmt(oc_tx *tx, const char *sql_literal, oc_err *err);
/* Steps a statement that returns no row, resets it. */
oc_status oc_tx_run(oc_tx *tx, sqlite3_stmt *stmt, oc_err *err);
int64_t oc_tx_now_ms(const oc_tx *tx); /* wall clock at the transaction's start */


/* ---- Writing: batches ------------------------------------------------------ */

/*
 * A batch is a list of changes that belong together (one savepoint), gathered on the loop thread; everything is copied.
 * Running out of memory while gathering is remembered and reported by oc_batch_commit, so calls need no checks.
 */
typedef struct oc_batch oc_batch;

oc_batch *oc_batch_new(oc_store *store); /* NULL when out of memory */
void oc_batch_free(oc_batch *batch);	 /* one that was not committed; NULL is allowed */
/* There was no memory for something that belongs in it: oc_batch_commit will fail with OC_E_NOMEM. */
void oc_batch_spoil(oc_batch *batch);

/* done(arg, batch, status, err): batch is valid during the call, for the results below; freed afterwards. */
typedef void (*oc_batch_done)(void *arg, const oc_batch *batch, oc_status status, const oc_err *err);
/* Hands the batch over, also on failure (then it is freed and done is not called). */
oc_status oc_batch_commit(oc_batch *batch, oc_batch_done done, void *arg, oc_err *err);
/* Before committing: nobody waits for it, so it goes along with the next batch somebody does wait for, or a few milliseconds
 * later by itself. It saves the one who comes next from waiting for a commit of its own. */
void oc_batch_lazy(oc_batch *batch);
/* The same on the calling thread, committed on return; for commands without a running loop. */
oc_status oc_batch_commit_now(oc_batch *batch, oc_err *err);

/* Facts about a session that make or update its row; NULL or 0 members are left as they are. */
typedef struct oc_session_facts {
	const char *agent, *kind, *channel, *account, *peer, *thread, *title;
	const char *model;	   /* override "provider/model"; "" clears it */
	const char *thinking;	   /* override; "" clears it */
	const char *delivery_json; /* where the last message came from: {"channel","account","to","thread"} */
	const char *settings_json; /* merged into what is there (RFC 7396: null removes): {"queue":{…},"verbose":"on",…} */
} oc_session_facts;
void oc_batch_session(oc_batch *b, const char *session, const oc_session_facts *facts);

/* Appends an event. Returns its index for oc_batch_seq. */
int oc_batch_event(oc_batch *b, const char *session, const char *kind, const char *run, const char *data_json);

/* Appends an event of `kind` and the message it carries (the content is stored once, under the event's number). */
typedef struct oc_message {
	const char *role;	  /* user, assistant, tool, system (a note in the history) */
	const char *content_json; /* array of content parts as in the ABI's provider request */
	const char *text;	  /* its plain text, for search and previews */
	const char *run;
	const char *model;	  /* assistant: "provider/model" that wrote it */
	const char *tool_call_id; /* tool */
	const char *tool_name;	  /* tool */
	bool is_error;		  /* tool */
	const char *meta_json;	  /* {"sender":…,"channel":…,"stopReason":…,"usage":…} or NULL */
	int64_t tokens;		  /* estimate, for the budget */
	int64_t ts_ms;		  /* when it was said, for what another program kept; 0: now */
} oc_message;
int oc_batch_message(oc_batch *b, const char *session, const char *kind, const oc_message *m);

/* A new epoch of the session: a new session id, an empty history (the old messages stay, under their epoch). Appends
 * session_ended {"reason"} to the old epoch when it had messages, and session_started to the new one. */
void oc_batch_session_reset(oc_batch *b, const char *session, const char *reason);
/* Marks it ended (reason as event); the next message starts a new epoch. */
void oc_batch_session_end(oc_batch *b, const char *session, const char *reason);
/* When another program's session began and was used last: lists, daily and idle resets go by it. */
void oc_batch_session_times(oc_batch *b, const char *session, int64_t started_ms, int64_t used_ms);
/* Removes the session and everything of it. */
void oc_batch_session_delete(oc_batch *b, const char *session);

/* bring_back.c: a session as it was, out of its journal. Rows as oc_store_journal gives them, in order, of which those that are
 * there already are skipped; facts as oc_store_session gives them, when these are the last: then the session gets them, and its
 * name. Until then it is under the name `aside`, where nobody talks to it. In a transaction of oc_store_write.
 * OC_E_EXISTS: there is such a session; OC_E_PROTOCOL: the rows are not in order. */
typedef struct oc_bring_back {
	const char *key, *aside;
	const cJSON *rows;
	const cJSON *facts; /* NULL: more rows follow */
	bool first;	    /* nothing of it was brought yet: what an earlier try left aside is removed */
} oc_bring_back;
oc_status oc_tx_bring_back(oc_tx *tx, const oc_bring_back *b, oc_err *err);

/*
 * Runs: one turn each.  Open states: accepted (waits for its lane), running, suspended (laid down by a stop, to go on at
 * the next start).  Final ones: done, failed, canceled, interrupted (reported), merged (another turn took its message),
 * dropped (by the session's queue policy).
 */
void oc_batch_run_put(oc_batch *b, const char *run, const char *session, const char *idempotency, const char *input_json);
/* Of an open run; "running" counts as one more attempt. */
void oc_batch_run_state(oc_batch *b, const char *run, const char *state, const char *result_json);
/* Replaces the input of an open run. */
void oc_batch_run_input(oc_batch *b, const char *run, const char *input_json);

/* Inbox: the first op of a batch that may be a duplicate. When (channel, account, chat, message_id) is known already, the
 * rest of the batch is skipped, the commit succeeds and oc_batch_is_duplicate tells. */
void oc_batch_inbox(oc_batch *b, const char *channel, const char *account, const char *chat, const char *message_id,
		    const char *session, const char *run);
/* The same for a run's idempotency key: skipped when a run with this key exists. */
void oc_batch_unless_run(oc_batch *b, const char *idempotency);

/* Outbox. States: pending (to be sent at next_ms), delivered, dead (given up). The key is unique: a second row with it is
 * not made, oc_batch_is_duplicate tells. */
void oc_batch_outbox_put(oc_batch *b, const char *key, const char *session, const char *run, const char *channel,
			 const char *account, const char *message_json);
void oc_batch_outbox_delivered(oc_batch *b, const char *key, const char *message_ids_json);
/* One failed try: the next at next_ms, or never when dead. */
void oc_batch_outbox_failed(oc_batch *b, const char *key, const char *error, int64_t next_ms, bool dead);

/* value.n == 0 removes the key. */
void oc_batch_kv(oc_batch *b, const char *module, oc_str key, oc_str value);

/* A job that runs by the clock: its document as JSON; NULL removes it, and what is known of its runs. */
void oc_batch_cron_job(oc_batch *b, const char *id, const char *job_json);
void oc_batch_cron_gone(oc_batch *b, const char *id); /* removed, but what is known of its runs stays */
/* One run of a job: it begins, in the commit before anything is done for it; it is over. Of the runs of a job that are over
 * the newest `keep` stay. */
void oc_batch_cron_begin(oc_batch *b, const char *job, const char *run, const char *entry_json);
/* One that was over long ago, elsewhere; nothing when there is one of that name. */
void oc_batch_cron_past(oc_batch *b, const char *job, const char *run, const char *status, const char *entry_json, int64_t ended_ms);
void oc_batch_cron_end(oc_batch *b, const char *job, const char *run, const char *status, const char *entry_json, int64_t keep);

typedef struct oc_usage {
	int64_t calls, input, output, cache_read, cache_write; /* tokens */
	double cost;					       /* USD */
} oc_usage;
/* Adds to the day's row of (session, provider, model) and to the session's totals. */
void oc_batch_usage(oc_batch *b, const char *session, const char *provider, const char *model, const oc_usage *u);

/* Results, in done. */
int64_t oc_batch_seq(const oc_batch *b, int index);
bool oc_batch_is_duplicate(const oc_batch *b);
bool oc_batch_made_session(const oc_batch *b);  /* there was no such session before it */
bool oc_batch_began_session(const oc_batch *b); /* a session or an epoch of one began with it */

/* ---- Reading ----------------------------------------------------------------- */

/* What is returned through ret_… as cJSON is the caller's to delete. */

typedef struct oc_session_filter {
	const char *agent, *channel, *kind; /* NULL: any */
	const char *text;		    /* in key or title, case-insensitive; NULL: any */
	const char *state;		    /* active, ended; NULL: any */
	int64_t active_since_ms;	    /* 0: any */
	int64_t limit, offset;		    /* limit 0: 100; at most 1000 */
} oc_session_filter;
/* Newest activity first: [{"key","sessionId","agent","kind","channel"?,"account"?,"peer"?,"thread"?,"title"?,"state",
 * "createdAt","updatedAt" (ms),"messages","lastSeq","model"?,"thinking"?,"usage":{"input","output","cacheRead","cacheWrite",
 * "cost"},"delivery"?,"preview"?,"settings"?,"startedAt","epochSeq" (of the present history's first event)}]. */
oc_status oc_store_sessions(oc_store *store, const oc_session_filter *filter, cJSON **ret_array, oc_err *err);
oc_status oc_store_session(oc_store *store, const char *key, cJSON **ret_object, oc_err *err);
int64_t oc_store_session_count(oc_store *store);

/* A small text by name that belongs to no session. Put: along with the next commit; `name` outlives the store. [loop]
 * NULL: there is none, or it cannot be read; else the caller's. [loop] */
void oc_store_fact_put(oc_store *store, const char *name, const char *text);
char *oc_store_fact(oc_store *store, const char *name);
/* When it was used last, 0 when there is none, it is ended or empty: cheaper than the whole row. */
int64_t oc_store_session_used_ms(oc_store *store, const char *key);

typedef struct oc_history_filter {
	int64_t before_seq; /* 0: from the end */
	int64_t after_seq;  /* 0: no lower bound */
	int64_t limit;	    /* 0: 100; at most 1000: the newest that fit */
	bool all_epochs;    /* also what was before the last reset */
	bool no_tools;	    /* leave out tool calls and results */
} oc_history_filter;
/* Oldest first: [{"seq","ts","role","content":[…],"run"?,"model"?,"toolCallId"?,"toolName"?,"isError"?,"meta"?}]. */
oc_status oc_store_history(oc_store *store, const char *key, const oc_history_filter *filter, cJSON **ret_array,
			   oc_err *err);
/* [{"seq","ts","kind","run"?,"data"?}], oldest first, after after_seq; message events carry {"role","text"} as data. */
oc_status oc_store_events(oc_store *store, const char *key, int64_t after_seq, int64_t limit, cJSON **ret_array,
			  oc_err *err);
/* The same with all of each message: {"seq","ts","kind","run"?,"data"?,"message"?:{"role","content"?,"text"?,"model"?,
 * "toolCallId"?,"toolName"?,"isError"?,"meta"?,"tokens"}}: what oc_tx_bring_back takes. */
oc_status oc_store_journal(oc_store *store, const char *key, int64_t after_seq, int64_t limit, cJSON **ret_array, oc_err *err);
/* The number of the first event or message of a session that is still there; 0: there is no such session. */
int64_t oc_store_session_first(oc_store *store, const char *key);
/*
 * Messages that have all words of the query, newest first: [{"session","agent"?,"seq","ts","role","snippet"}]; what was
 * found stands between [ and ].  "some words" must follow one another, word* begins a word, -word must not be there; any
 * other character is just text.  Case and accents do not count.  Only the first 16 KiB of a message are searched.  Texts
 * without word limits (Chinese, Japanese, …), signs alone, and messages of the last second are found as substrings.
 */
typedef struct oc_search_filter {
	const char *agent, *session; /* id and key; NULL: any */
	const char *role;	     /* user, assistant, tool; NULL: any */
	int64_t since_ms, until_ms;  /* 0: any */
	int64_t limit;		     /* 0: 20; at most 200 */
} oc_search_filter;
oc_status oc_store_search(oc_store *store, const char *query, const oc_search_filter *filter_or_null, cJSON **ret_array,
			  oc_err *err);

/* Walks the current epoch's messages from the newest back until each returns false. The row is valid during the call. */
typedef struct oc_message_row {
	int64_t seq, ts_ms, tokens;
	const char *role, *content_json, *text, *run, *model, *tool_call_id, *tool_name, *meta_json; /* "" when absent */
	bool is_error;
} oc_message_row;
oc_status oc_store_each_message(oc_store *store, const char *key, bool (*each)(void *arg, const oc_message_row *row),
				void *arg, oc_err *err);

/* {"run","session","state","startedAt","endedAt"?,"result"?,"attempts"}; OC_E_NOT_FOUND. */
oc_status oc_store_run(oc_store *store, const char *run, cJSON **ret_object, oc_err *err);
oc_status oc_store_run_by_key(oc_store *store, const char *idempotency, cJSON **ret_object, oc_err *err);
/* Runs that were open when the last process ended, oldest first, with "input". */
oc_status oc_store_open_runs(oc_store *store, cJSON **ret_array, oc_err *err);
/* For tests and benchmarks: pending outbox rows, oldest first: [{"key","session","run","channel","account","message":{…},"attempts","nextAt","error"?,
 * "createdAt","state","id"}]. */
oc_status oc_store_outbox(oc_store *store, int64_t limit, cJSON **ret_array, oc_err *err);
/* Where the pending rows after after_id go, oldest first, at most limit of them, until each returns false. The texts are
 * valid during the call; to and thread are "" when the message has none. */
typedef struct oc_outbox_place {
	int64_t id;
	const char *channel, *account, *to, *thread;
} oc_outbox_place;
oc_status oc_store_outbox_each(oc_store *store, int64_t after_id, int64_t limit,
			       bool (*each)(void *arg, const oc_outbox_place *place), void *arg, oc_err *err);
/* One row, whatever its state, by key or by id. */
oc_status oc_store_outbox_row(oc_store *store, const char *key, cJSON **ret_object, oc_err *err);
oc_status oc_store_outbox_id(oc_store *store, int64_t id, cJSON **ret_object, oc_err *err);
/* For tests: {"pending":n,"delivered":n,"dead":n}. */
oc_status oc_store_outbox_counts(oc_store *store, cJSON **ret_object, oc_err *err);

/* Every pair of a module, in order of keys; each returns false to stop. Key and value are valid during the call. */
oc_status oc_store_kv_each(oc_store *store, const char *module, bool (*each)(void *arg, oc_str key, oc_str value), void *arg,
			   oc_err *err);
/* Of a module whose keys are sessions: those that are gone, or that lost their beginning to retention. Valid during the call. */
oc_status oc_store_kv_stale(oc_store *store, const char *module, bool (*each)(void *arg, oc_str session), void *arg, oc_err *err);
/* The value, or OC_E_NOT_FOUND. The caller unrefs. */
oc_status oc_store_kv_get(oc_store *store, const char *module, oc_str key, oc_buf **ret, oc_err *err);

/* Jobs and runs that are not over: [{"job":{…}} or {"run","entry":{…}}], the oldest run first. */
oc_status oc_store_cron(oc_store *store, cJSON **ret_array, oc_err *err);
typedef struct oc_cron_run_filter {
	const char *job; /* NULL: any */
	const char *statuses, *deliveries; /* "ok,error": any of these; NULL: any */
	const char *text; /* in the job's name or number, or what the run said; NULL: any */
	bool oldest_first;
	int64_t limit, offset;
} oc_cron_run_filter;
/* Runs that are over: [{"entry":{…}}]. ret_total: how many there are besides limit and offset. */
oc_status oc_store_cron_runs(oc_store *store, const oc_cron_run_filter *filter, cJSON **ret_array, int64_t *ret_total, oc_err *err);

/* {"total":{…},"byModel":[{"provider","model","calls","input","output","cacheRead","cacheWrite","cost"}],
 *  "byDay":[{"day":"2026-01-31",…}]}; key NULL: all sessions; days 0: all. */
oc_status oc_store_usage(oc_store *store, const char *key_or_null, int64_t days, cJSON **ret_object, oc_err *err);

/* By day and model, oldest first: [{"day","provider","model","calls",…,"cost"}]; both days included. The days are those
 * of a clock that is so many minutes ahead of UTC. */
oc_status oc_store_used(oc_store *store, const char *from_day, const char *to_day, int64_t offset_min, cJSON **ret_array, oc_err *err);

/* What is known of each message of a session's present history besides its content, oldest first, until each returns false. */
typedef struct oc_message_fact {
	int64_t ts_ms;
	const char *role, *model, *tool_name, *stop_reason; /* "" when absent; valid during the call */
	bool is_error, used; /* used: usage says what the model's answer took */
	oc_usage usage;
	const char *text; /* "" unless asked for */
} oc_message_fact;
typedef struct oc_fact_filter {
	int64_t from_ms, to_ms; /* to_ms 0: no upper bound */
	bool texts;	 /* with texts the newest `limit`, else the oldest; limit 0: all */
	int64_t limit;
} oc_fact_filter;
oc_status oc_store_each_fact(oc_store *store, const char *key, const oc_fact_filter *filter,
			     bool (*each)(void *arg, const oc_message_fact *fact), void *arg, oc_err *err);

/* Figures for metrics and status. */
#define OC_STORE_LATENCY_BUCKETS 16
typedef struct oc_store_stats {
	uint64_t queued, queue_max; /* writer queue now, and its bound */
	uint64_t commits, batches;  /* transactions, and what they contained */
	uint64_t commit_ns_total, commit_ns_max;
	/* Commits by time: under 64 us, 128 us, … each bucket twice the one before; the last has all that took longer. */
	uint64_t commit_latency[OC_STORE_LATENCY_BUCKETS];
	uint64_t failures;
	uint64_t stalls, held;	   /* times that the disk refused; changes that wait for it now */
	int64_t stalled_since_ms;  /* wall clock; 0: it does not */
	uint64_t search_behind;	   /* messages that are not in the search index yet */
	uint64_t pruned_sessions, pruned_messages, pruned_events, pruned_rows; /* removed by retention */
	uint64_t rounds, rounds_postponed; /* of retention; put off because the clock jumped */
	uint64_t checkpoints;
	int64_t file_bytes, wal_bytes;
} oc_store_stats;
/* A log larger than this does not come of work: another program has been reading the store for long, which keeps the log. */
#define OC_STORE_WAL_LARGE ((int64_t)64 << 20)
/* From here on new work is refused, as with a full disk, which this would become: the log cannot begin anew before the other
 * program ends.  What was accepted is still written. */
#define OC_STORE_WAL_FULL ((int64_t)1 << 30)
#define OC_STORE_WAL_REMEDY "end what reads openclaw.db beside the gateway (`fuser openclaw.db`): a shell with an open transaction"
void oc_store_set_log_max(oc_store *store, int64_t bytes); /* for tests */
void oc_store_get_stats(oc_store *store, oc_store_stats *ret);
/* The time under which this share of the commits stayed, in microseconds, from the buckets (so: up to twice too much). */
uint64_t oc_store_latency_us(const oc_store_stats *stats, double share);
/* OC_OK: writing works as far as is known; else why it does not. */
oc_status oc_store_health(oc_store *store, oc_err *err);
/* What was found damaged since the start, and refuses changes that need it while others are written; OC_OK: nothing. */
oc_status oc_store_damage(oc_store *store, oc_err *err);
/* Health for new work, which is refused too while the log is as long as it may be. */
oc_status oc_store_admits(oc_store *store, oc_err *err);

/* ---- Keeping it small ---------------------------------------------------------- */

/* What the writer removes when it has nothing else to do, a few rows at a time; where it always has, a piece now and then,
 * for a fiftieth of its time. 0 in a member: nothing is removed for it.
 * Sessions with unfinished runs or undelivered messages are never removed, nor is any dead letter. */
typedef struct oc_retention {
	int64_t sessions_ms;   /* sessions without a message for so long */
	int64_t sessions_max;  /* all but so many, the least recent first */
	int64_t archive_ms;    /* messages so old that a reset has put aside */
	int64_t events_ms;     /* events so old; messages and numbers stay */
	int64_t done_ms;       /* what is known of received, delivered and finished, when it is so old */
	int64_t disk_bytes, disk_low_bytes; /* above the first: sessions, the least recent first, down to the second */
	int64_t first_ms, every_ms; /* the first round after opening, and the pause between rounds; 0: an hour */
	int64_t patience_ms; /* a round that is due for so long does not wait for quiet any more; 0: five minutes */
} oc_retention;
void oc_store_set_retention(oc_store *store, const oc_retention *retention);

/* ---- Dead letters ------------------------------------------------------------------ */

/* Outbox rows that were given up, newest first, as oc_store_outbox with "failedAt". */
oc_status oc_store_dead(oc_store *store, int64_t limit, cJSON **ret_array, oc_err *err);
/* Back to pending with no attempts, or removed. key NULL: all. The count comes as oc_batch_changed(b, index). */
int oc_batch_dead_retry(oc_batch *b, const char *key_or_null);
int oc_batch_dead_drop(oc_batch *b, const char *key_or_null);
int64_t oc_batch_changed(const oc_batch *b, int index);

/* How many there are; -1: cannot be read. */
int64_t oc_store_dead_count(oc_store *store);

/* ---- Care ------------------------------------------------------------------------------ */

/* All of these block and open the file themselves. [any] */

/* {"ok":bool,"problems":[text…],"schema","sessions","events","messages","searchBehind"}: SQLite's own check of the pages,
 * and ours: numbers without holes, projections that agree with the events, states, the search index. OC_OK also when there
 * are problems; an err when the file cannot be read at all. quick: without reading every page. */
oc_status oc_store_check(const char *path, bool quick, cJSON **ret_report, oc_err *err);
/* A consistent copy while others write, mode 0600, checked, on the disk when this returns. OC_E_EXISTS: `to` is there. */
oc_status oc_store_backup(const char *path, const char *to, int64_t *ret_bytes, oc_err *err);
/* Puts a backup in the store's place; what was there is kept under *ret_kept (oc_free; NULL: there was nothing). OC_E_BUSY:
 * a gateway or command has the store open. */
oc_status oc_store_restore(const char *path, const char *from, char **ret_kept, oc_err *err);
/* Rewrites the file without holes. OC_E_BUSY as above. */
oc_status oc_store_compact(const char *path, int64_t *ret_before, int64_t *ret_after, oc_err *err);
/* The same by a running writer, in small pieces beside everything else: begins at once, ends by itself; retention first. */
oc_status oc_store_compact_live(oc_store *store, oc_err *err); /* [loop] */
/* {"schema","rows":{table:n},"bytes":{"file","log","free"},"outbox":{state:n},"runs":{state:n},"searchBehind",
 * "vacuum":"incremental|none"}. */
oc_status oc_store_figures(const char *path, cJSON **ret_object, oc_err *err);

#endif
