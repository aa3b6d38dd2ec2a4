/* A store of its own for each test of what is done to stores besides reading and writing. */
#ifndef OC_TEST_STORE_CARE_H
#define OC_TEST_STORE_CARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "tests/unit/store_wait.h"
#include "tests/unit/tree.h"

#define KEY "agent:main:main"

static oc_store *open_mode(fixture *f, int mode)
{
	oc_err err = {0};
	oc_store *store = NULL;
	if (oc_store_open(f->path, f->loop, mode, &store, &err) != OC_OK)
		fail_msg("open: %s", err.text);
	return store;
}

static int setup_empty(void **state)
{
	fixture *f = calloc(1, sizeof *f);
	oc_log_set_stderr(false);
	snprintf(f->dir, sizeof f->dir, "/tmp/oc-t-care-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/openclaw.db", f->dir);
	assert_int_equal(oc_loop_new(&f->loop, NULL), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	*state = f;
	return 0;
}

static int setup(void **state)
{
	(void)setup_empty(state);
	fixture *f = *state;
	f->store = open_mode(f, OC_STORE_OWNER);
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	oc_store_close(f->store);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	assert_int_equal(tree_remove(f->dir), 0);
	free(f);
	return 0;
}

static void commit(fixture *f, oc_batch *b)
{
	oc_err err = {0};
	f->waiting++;
	if (oc_batch_commit(b, on_done, f, &err) != OC_OK)
		fail_msg("commit: %s", err.text);
	run_until(f, nothing_waits);
	assert_int_equal(f->last, OC_OK);
}

static void say(fixture *f, const char *session, const char *role, const char *text)
{
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_session(b, session, &(oc_session_facts){.agent = strncmp(session, "agent:work:", 11) == 0 ? "work" : "main"});
	oc_batch_message(b, session, "message_received", &(oc_message){.role = role, .text = text});
	commit(f, b);
}

static int64_t number(fixture *f, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	int64_t n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static bool is_indexed(fixture *f)
{
	return number(f, "SELECT count(*) FROM messages WHERE id > (SELECT value FROM meta WHERE key = 'searchUpto')") == 0;
}

/* The problems as one text; "" when whole. */
static char *problems(fixture *f)
{
	cJSON *report = NULL;
	oc_err err = {0};
	if (oc_store_check(f->path, false, &report, &err) != OC_OK)
		fail_msg("check: %s", err.text);
	char *text = oc_json_bool(report, "ok", false) ? oc_strdup("") : oc_json_print(oc_json_get(report, "problems"));
	cJSON_Delete(report);
	return text;
}

static void assert_whole(fixture *f)
{
	char *text = problems(f);
	assert_string_equal(text, "");
	oc_free(text);
}

static int found(fixture *f, const char *query, const oc_search_filter *filter)
{
	cJSON *array = NULL;
	oc_err err = {0};
	if (oc_store_search(f->store, query, filter, &array, &err) != OC_OK)
		fail_msg("%s: %s", query, err.text);
	int n = cJSON_GetArraySize(array);
	cJSON_Delete(array);
	return n;
}

#endif
