/* The store over a disk that fails (vfs.h), is cut off from power, is damaged; under a clock that jumps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "tests/fault/vfs.h"
#include "tests/unit/store_wait.h"
#include "tests/unit/tree.h"

#define ROUNDS_USUAL 300
#define KEY "agent:main:main"

/* ---- A clock that can be set ---- */

static atomic_llong wall_shift_s;

/* The program's own; the linker prefers it to the C library's. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ret);
	if (clock == CLOCK_REALTIME)
		ret->tv_sec += (time_t)atomic_load(&wall_shift_s);
	return rc;
}

/* ---- Fixture ---- */

static void open_store(fixture *f)
{
	oc_err err = {0};
	if (oc_store_open(f->path, f->loop, OC_STORE_OWNER, &f->store, &err) != OC_OK)
		fail_msg("open: %s", err.text);
}

static void close_store(fixture *f)
{
	oc_store_close(f->store);
	f->store = NULL;
}

static int setup(void **state)
{
	fixture *f = calloc(1, sizeof *f);
	oc_err err = {0};
	fv_install();
	oc_log_set_stderr(false);
	fv_reset();
	snprintf(f->dir, sizeof f->dir, "/tmp/oc-t-fault-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/0/openclaw.db", f->dir);
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	open_store(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	fv_heal();
	close_store(f);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	fv_reset();
	assert_int_equal(tree_remove(f->dir), 0);
	free(f);
	return 0;
}

static bool stands_still(fixture *f)
{
	return oc_store_health(f->store, NULL) != OC_OK;
}

static bool goes_on(fixture *f)
{
	return oc_store_health(f->store, NULL) == OC_OK;
}

static void commit(fixture *f, oc_batch *b)
{
	oc_err err = {0};
	f->waiting++;
	if (oc_batch_commit(b, on_done, f, &err) != OC_OK)
		fail_msg("commit: %s", err.text);
}

static oc_batch *event(fixture *f, int n)
{
	char data[32];
	oc_batch *b = oc_batch_new(f->store);
	snprintf(data, sizeof data, "{\"n\":%d}", n);
	oc_batch_event(b, KEY, "tool_called", NULL, data);
	return b;
}

static oc_batch *inbound(fixture *f, int n)
{
	char id[16];
	oc_batch *b = oc_batch_new(f->store);
	snprintf(id, sizeof id, "%d", n);
	oc_batch_inbox(b, "c", "a", "chat", id, KEY, NULL);
	oc_batch_message(b, KEY, "message_received", &(oc_message){.role = "user", .text = id});
	oc_batch_outbox_put(b, id, KEY, NULL, "c", "a", "{}");
	return b;
}

static int64_t number(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	int64_t n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

static void assert_whole(const char *path)
{
	cJSON *report = NULL;
	oc_err err = {0};
	if (oc_store_check(path, false, &report, &err) != OC_OK)
		fail_msg("check: %s", err.text);
	if (!oc_json_bool(report, "ok", false)) {
		char *text = oc_json_print_pretty(report);
		fail_msg("%s", text);
	}
	cJSON_Delete(report);
}

/* ---- Faults that last, and end ---- */

typedef struct lasting {
	const char *name;
	fv_op op;
	int rc;
	oc_status status;
	const char *remedy;
} lasting;

static const lasting lastings[] = {
	{"full disk", FV_WRITE, SQLITE_FULL, OC_E_IO, "free space"},
	{"short write", FV_WRITE, FV_SHORT, OC_E_IO, "free space"},
	{"read-only", FV_WRITE, SQLITE_READONLY, OC_E_DENIED, "mode"},
	{"write error", FV_WRITE, SQLITE_IOERR, OC_E_IO, "disk"},
	{"sync error", FV_SYNC, SQLITE_IOERR, OC_E_IO, "disk"},
	{"any operation fails", FV_ANY, SQLITE_IOERR, OC_E_IO, "disk"},
	{"locked by another process", FV_LOCK, SQLITE_BUSY, OC_E_BUSY, "another process"},
};

static void fault_lasts(fixture *f, const lasting *what)
{
	oc_store_stats stats;
	commit(f, inbound(f, 1));
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
	fv_fail(what->op, what->rc, 1, -1);
	/* Work that was accepted waits … */
	for (int i = 0; i < 10; i++)
		commit(f, event(f, i));
	run_until(f, stands_still);
	oc_err err = {0};
	assert_int_equal(oc_store_health(f->store, &err), what->status);
	if (strstr(err.remedy, what->remedy) == NULL)
		fail_msg("%s: '%s' does not say '%s'", err.text, err.remedy, what->remedy);
	assert_true(fv_hits() > 0);
	assert_int_equal(f->waiting, 10);
	/* … and new work is refused at once, with the cause. */
	oc_batch *b = inbound(f, 2);
	memset(&err, 0, sizeof err);
	assert_int_equal(oc_batch_commit(b, on_done, f, &err), what->status);
	assert_non_null(strstr(err.remedy, what->remedy));
	/* More of the old is taken all the same. */
	for (int i = 10; i < 20; i++)
		commit(f, event(f, i));
	/* What is there can be read. */
	cJSON *h = NULL;
	if (what->op == FV_WRITE || what->op == FV_SYNC) {
		assert_int_equal(oc_store_history(f->store, KEY, NULL, &h, &err), OC_OK);
		assert_int_equal(cJSON_GetArraySize(h), 1);
		cJSON_Delete(h);
	}
	oc_store_get_stats(f->store, &stats);
	assert_int_equal(stats.stalls, 1);
	assert_true(stats.stalled_since_ms > 0);
	/* The cause is gone: everything is written, in order, without anybody doing anything. */
	fv_heal();
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
	run_until(f, goes_on);
	commit(f, inbound(f, 2));
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
	cJSON *events = NULL;
	assert_int_equal(oc_store_events(f->store, KEY, 2, 100, &events, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(events), 21);
	for (int i = 0; i < 20; i++)
		assert_int_equal(oc_json_i64(oc_json_get(cJSON_GetArrayItem(events, i), "data"), "n", -1), i);
	cJSON_Delete(events);
	close_store(f);
	assert_whole(f->path);
	assert_int_equal(number(f->path, "SELECT count(*) FROM inbox"), 2);
}

static void faults_that_last_and_end(void **state)
{
	fixture *f = *state;
	for (size_t i = 0; i < sizeof lastings / sizeof *lastings; i++) {
		print_message("# %s\n", lastings[i].name);
		fault_lasts(f, &lastings[i]);
		fv_reset();
		snprintf(f->path, sizeof f->path, "%s/%zu/openclaw.db", f->dir, i + 1);
		open_store(f);
	}
}

/* Only new work comes, nothing waits: it is noticed all the same that the disk is back. */
static void idle_store_notices_the_end(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	fv_fail(FV_ANY, SQLITE_FULL, 1, -1);
	commit(f, inbound(f, 1));
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_E_IO);
	assert_true(f->err.remedy[0] != 0);
	assert_int_equal(oc_store_health(f->store, &err), OC_E_IO);
	fv_heal();
	run_until(f, goes_on);
	commit(f, inbound(f, 1)); /* the network hands it in again */
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
}

/* Closing does not wait for a disk that does not come back, and tells everybody. */
static void closing_with_a_dead_disk(void **state)
{
	fixture *f = *state;
	commit(f, event(f, 0));
	run_until(f, nothing_waits);
	fv_fail(FV_ANY, SQLITE_IOERR, 1, -1);
	for (int i = 0; i < 5; i++)
		commit(f, event(f, i));
	run_until(f, stands_still);
	close_store(f);
	assert_int_equal(f->waiting, 0);
	assert_int_equal(f->last, OC_E_IO);
	fv_heal();
	assert_whole(f->path);
}

/* One place on the disk cannot be read: what needs it fails in the end, the rest goes on. */
static void one_bad_job_does_not_hold_all(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	commit(f, event(f, 0));
	run_until(f, nothing_waits);
	close_store(f);
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	/* A job that SQLite ends with an I/O error whenever it runs. */
	assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER bad BEFORE INSERT ON outbox BEGIN SELECT RAISE(ROLLBACK, 'bad'); END", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	open_store(f);
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_outbox_put(b, "k", KEY, NULL, "c", "a", "{}");
	commit(f, event(f, 1));
	commit(f, b);
	commit(f, event(f, 2));
	run_until(f, nothing_waits);
	run_until(f, goes_on);
	cJSON *events = NULL;
	assert_int_equal(oc_store_events(f->store, KEY, 2, 100, &events, &err), OC_OK);
	assert_int_equal(cJSON_GetArraySize(events), 2);
	cJSON_Delete(events);
}

/* ---- One operation fails, each in its turn ---- */

static void every_operation_fails_once(void **state)
{
	fixture *f = *state;
	static const struct {
		fv_op op;
		int rc;
	} kinds[] = {{FV_READ, SQLITE_IOERR}, {FV_WRITE, SQLITE_FULL}, {FV_WRITE, FV_SHORT}, {FV_SYNC, SQLITE_IOERR}};
	int rounds = 0;
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		for (int64_t n = 1;; n++, rounds++) {
			close_store(f);
			fv_reset();
			snprintf(f->path, sizeof f->path, "%s/k%zu-%d/openclaw.db", f->dir, k, (int)n);
			open_store(f);
			fv_fail(kinds[k].op, kinds[k].rc, n, 1);
			int taken = 0, refused = 0;
			for (int i = 0; i < 6; i++) {
				oc_err err = {0};
				f->waiting++;
				if (oc_batch_commit(inbound(f, i), on_done, f, &err) != OC_OK)
					f->waiting--, refused++;
				else
					run_until(f, nothing_waits), f->last == OC_OK ? taken++ : refused++;
				commit(f, event(f, i));
				run_until(f, nothing_waits);
				assert_int_equal(f->last, OC_OK); /* accepted work always gets there */
			}
			bool hit = fv_hits() > 0;
			close_store(f);
			fv_heal();
			assert_whole(f->path);
			assert_int_equal(number(f->path, "SELECT count(*) FROM inbox"), taken);
			assert_int_equal(number(f->path, "SELECT count(*) FROM events WHERE kind = 'tool_called'"), 6);
			assert_int_equal(taken + refused, 6);
			open_store(f);
			if (!hit)
				break;
		}
	}
	print_message("# %d operations\n", rounds);
	assert_true(rounds > 30);
}

/* ---- Power cuts ---- */

static void go_on_after_the_cut(fixture *f, int round, uint32_t seed)
{
	char to[96];
	close_store(f);
	snprintf(to, sizeof to, "%s/r%d", f->dir, round);
	fv_power_cut(to, seed);
	fv_reset();
	char *slash = strrchr(f->path, '/');
	*slash = 0;
	assert_int_equal(tree_remove(f->path), 0);
	snprintf(f->path, sizeof f->path, "%s/openclaw.db", to);
}

typedef struct load {
	fixture *f;
	int next, flying, limit;
	unsigned char *acknowledged;
} load;

typedef struct item {
	load *l;
	int n;
} item;

static void feed(load *l);

static void item_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	item *it = arg;
	load *l = it->l;
	(void)b;
	(void)err;
	if (status == OC_OK)
		l->acknowledged[it->n] = 1;
	l->flying--;
	free(it);
	feed(l);
}

static void feed(load *l)
{
	while (!fv_is_cut() && l->flying < 8 && l->next < l->limit) {
		item *it = malloc(sizeof *it);
		oc_err err = {0};
		*it = (item){l, l->next++};
		l->flying++;
		if (oc_batch_commit(inbound(l->f, it->n), item_done, it, &err) != OC_OK) {
			l->flying--;
			free(it);
			return;
		}
	}
}

static load *the_load;
static bool load_is_over(fixture *f)
{
	(void)f;
	return the_load->flying == 0;
}

/* Writes the log back while the load runs, as the automatic checkpoint does under a larger one. */
static void checkpoint_now(fixture *f)
{
	sqlite3 *db = NULL;
	if (sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
		sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	sqlite3_close(db);
}

#define CUTS_OF_A_STORE 25

/* Counts what one store was given, and makes ready for the next. */
static void tally(load *l, int64_t *acknowledged, int *batches)
{
	for (int n = 0; n < l->next; n++)
		*acknowledged += l->acknowledged[n];
	*batches += l->next;
	memset(l->acknowledged, 0, (size_t)l->next);
	l->next = 0;
}

static void power_is_cut_at_any_moment(void **state)
{
	fixture *f = *state;
	const char *env = getenv("ROUNDS"), *env_seed = getenv("SEED");
	int rounds = env != NULL && strtol(env, NULL, 10) > 0 ? (int)strtol(env, NULL, 10) : ROUNDS_USUAL, cuts = 0, most = CUTS_OF_A_STORE * 40;
	uint32_t seed = env_seed != NULL ? (uint32_t)strtoul(env_seed, NULL, 10) : (uint32_t)time(NULL);
	load l = {.f = f, .acknowledged = calloc((size_t)most, 1)};
	assert_non_null(l.acknowledged);
	print_message("# seed %u\n", seed);
	the_load = &l;
	close_store(f);
	fv_reset();
	int64_t kept = 0, acknowledged = 0, kept_in_all = 0;
	int batches = 0;
	for (int r = 0; r < rounds; r++) {
		seed = seed * 1664525u + 1013904223u;
		/* A store is cut so many times in its life; then a new one is made: each look at an old one costs more. */
		if (r % CUTS_OF_A_STORE == 0 && r > 0) {
			tally(&l, &acknowledged, &batches);
			kept_in_all += kept;
			kept = 0;
			fv_reset(); /* it tells files by the last part of their names */
			snprintf(f->path, sizeof f->path, "%s/new%d/openclaw.db", f->dir, r);
		}
		/* Some cuts come while the store is made or opened, most under load, some while it is closed. */
		fv_cut_at(1 + (seed >> 8) % (r % 10 == 0 ? 30 : r % 3 == 0 ? 400 : 120));
		oc_err err = {0};
		if (oc_store_open(f->path, f->loop, OC_STORE_OWNER, &f->store, &err) == OC_OK) {
			l.limit = l.next + 30;
			feed(&l);
			run_until(f, load_is_over);
			if (!fv_is_cut() && r % 3 == 0)
				checkpoint_now(f);
			l.limit = l.next + 8;
			feed(&l);
			run_until(f, load_is_over);
		}
		close_store(f);
		cuts += fv_is_cut();
		go_on_after_the_cut(f, r, seed);
		if (access(f->path, F_OK) != 0) {
			assert_int_equal(kept, 0);
			continue;
		}
		open_store(f); /* brings it up to date when not even that was done */
		close_store(f);
		assert_whole(f->path);
		sqlite3 *db = NULL;
		sqlite3_stmt *s = NULL;
		assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_prepare_v2(db,
						    "SELECT (SELECT count(*) FROM inbox WHERE message_id = ?1)"
						    " + (SELECT count(*) FROM messages WHERE text = ?1)"
						    " + (SELECT count(*) FROM outbox WHERE key = ?1)",
						    -1, &s, NULL),
				 SQLITE_OK);
		/* What is old was looked at in earlier rounds; its number is kept. */
		for (int n = l.next > 200 ? l.next - 200 : 0; n < l.next; n++) {
			char id[16];
			sqlite3_reset(s);
			snprintf(id, sizeof id, "%d", n);
			sqlite3_bind_text(s, 1, id, -1, SQLITE_TRANSIENT);
			assert_int_equal(sqlite3_step(s), SQLITE_ROW);
			int there = sqlite3_column_int(s, 0);
			if (there != 0 && there != 3)
				fail_msg("round %d: batch %d is there in part (%d of 3)", r, n, there);
			if (there == 0 && l.acknowledged[n])
				fail_msg("round %d: batch %d was acknowledged and is lost", r, n);
		}
		sqlite3_finalize(s);
		sqlite3_close(db);
		int64_t now = number(f->path, "SELECT count(*) FROM inbox");
		assert_true(now >= kept);
		kept = now;
	}
	tally(&l, &acknowledged, &batches);
	kept_in_all += kept;
	print_message("# %d rounds, %d cuts, %d batches, %lld acknowledged, %lld kept\n", rounds, cuts, batches, (long long)acknowledged,
		      (long long)kept_in_all);
	assert_true(acknowledged > rounds && kept_in_all >= acknowledged && cuts > rounds / 2);
	free(l.acknowledged);
	open_store(f);
}

/* ---- Damage ---- */

static void damaged_page_is_told_and_survived(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	char backup[128], *kept = NULL;
	for (int i = 0; i < 400; i++)
		commit(f, inbound(f, i));
	run_until(f, nothing_waits);
	close_store(f);
	snprintf(backup, sizeof backup, "%s/backup.db", f->dir);
	assert_int_equal(oc_store_backup(f->path, backup, NULL, &err), OC_OK);
	/* The page of the messages' tree is overwritten with what a dying disk gives. */
	int64_t page = number(f->path, "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'");
	int64_t size = number(f->path, "PRAGMA page_size");
	FILE *file = fopen(f->path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, (page - 1) * size, SEEK_SET), 0);
	for (int64_t i = 0; i < size; i++)
		fputc((int)(i * 7 % 251), file);
	fclose(file);

	cJSON *report = NULL;
	assert_int_equal(oc_store_check(f->path, false, &report, &err), OC_OK);
	assert_false(oc_json_bool(report, "ok", true));
	assert_true(cJSON_GetArraySize(oc_json_get(report, "problems")) > 0);
	cJSON_Delete(report);
	open_store(f);
	cJSON *h = NULL;
	assert_int_equal(oc_store_history(f->store, KEY, NULL, &h, &err), OC_E_CORRUPT);
	assert_non_null(strstr(err.remedy, "openclaw store"));
	commit(f, inbound(f, 1000));
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_E_CORRUPT);
	/* What does not touch the damage works. */
	commit(f, event(f, 1));
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
	assert_int_equal(oc_store_backup(f->path, "/tmp/never", NULL, &err), OC_E_CORRUPT);
	assert_int_not_equal(access("/tmp/never", F_OK), 0);
	/* Not under a gateway; then it is whole again, and what was there is kept. */
	assert_int_equal(oc_store_restore(f->path, backup, &kept, &err), OC_E_BUSY);
	close_store(f);
	assert_int_equal(oc_store_restore(f->path, backup, &kept, &err), OC_OK);
	assert_int_equal(access(kept, F_OK), 0);
	oc_free(kept);
	assert_whole(f->path);
	open_store(f);
	assert_int_equal(oc_store_history(f->store, KEY, NULL, &h, &err), OC_OK);
	cJSON_Delete(h);
	commit(f, inbound(f, 1000));
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
	/* A damaged file is no backup. */
	snprintf(backup, sizeof backup, "%s/junk.db", f->dir);
	file = fopen(backup, "w");
	for (int i = 0; i < 5000; i++)
		fputs("junk ", file);
	fclose(file);
	close_store(f);
	assert_int_equal(oc_store_restore(f->path, backup, &kept, &err), OC_E_CORRUPT);
	assert_whole(f->path);
	open_store(f);
}

/* ---- Clocks ---- */

static bool a_round_was_made(fixture *f)
{
	oc_store_stats s;
	oc_store_get_stats(f->store, &s);
	return s.rounds > 0;
}

static bool was_postponed(fixture *f)
{
	oc_store_stats s;
	oc_store_get_stats(f->store, &s);
	return s.rounds_postponed > 0;
}

static void clock_jumps(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	static const long long shifts[] = {0, 86400LL * 365 * 10, -86400LL * 365 * 5, 3600, 0};
	for (size_t i = 0; i < sizeof shifts / sizeof *shifts; i++) {
		atomic_store(&wall_shift_s, shifts[i]);
		commit(f, inbound(f, (int)i));
		run_until(f, nothing_waits);
		assert_int_equal(f->last, OC_OK);
	}
	/* The newest is what was said last, not what has the latest time. */
	cJSON *s = NULL;
	assert_int_equal(oc_store_session(f->store, KEY, &s, &err), OC_OK);
	int64_t updated = oc_json_i64(s, "updatedAt", 0), now = oc_wall_ms();
	assert_true(updated <= now + 60000 && updated > now - 60000);
	cJSON_Delete(s);
	cJSON *events = NULL;
	int64_t seq = 0;
	assert_int_equal(oc_store_events(f->store, KEY, 0, 100, &events, &err), OC_OK);
	const cJSON *e;
	cJSON_ArrayForEach(e, events) assert_int_equal(oc_json_i64(e, "seq", -1), ++seq);
	cJSON_Delete(events);

	/* A clock that jumps ahead must not make everything old. */
	oc_retention keep_little = {.sessions_ms = 86400000, .events_ms = 86400000, .done_ms = 86400000, .first_ms = 300, .every_ms = 50};
	oc_store_set_retention(f->store, &keep_little);
	usleep(100000);
	atomic_store(&wall_shift_s, 86400LL * 365);
	run_until(f, was_postponed);
	assert_int_equal(number(f->path, "SELECT count(*) FROM inbox"), 5);
	assert_int_equal(number(f->path, "SELECT count(*) FROM sessions"), 1);
	/* Nor one that was wrong from the start: time in which nothing happened counts for a day. */
	close_store(f);
	open_store(f);
	oc_store_set_retention(f->store, &keep_little);
	commit(f, event(f, 1));
	run_until(f, a_round_was_made);
	assert_int_equal(number(f->path, "SELECT count(*) FROM sessions"), 1);
	atomic_store(&wall_shift_s, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(faults_that_last_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_store_notices_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_with_a_dead_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(one_bad_job_does_not_hold_all, setup, teardown),
		cmocka_unit_test_setup_teardown(every_operation_fails_once, setup, teardown),
		cmocka_unit_test_setup_teardown(power_is_cut_at_any_moment, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_page_is_told_and_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_jumps, setup, teardown),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
