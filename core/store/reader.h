/* What the reading files of core/store share; nobody else includes this. */
#ifndef OC_STORE_READER_H
#define OC_STORE_READER_H

#include "core/store/internal.h"

sqlite3_stmt *oc_read_stmt(oc_store *store, const char *sql_literal, oc_err *err);
/* The status after oc_read_stmt gave NULL, also when the caller wants no err. */
oc_status oc_read_failed(const oc_err *err);
/* Resets the statement; rc is the last step's. */
oc_status oc_read_end(oc_store *store, sqlite3_stmt *stmt, int rc, const char *what, oc_err *err);
/* All rows of a bound statement as objects; row returns false when out of memory. */
oc_status oc_read_rows(oc_store *store, sqlite3_stmt *stmt, bool (*row)(cJSON *obj, sqlite3_stmt *stmt), const char *what,
		       cJSON **ret_array, oc_err *err);
int64_t oc_read_limit(int64_t limit, int64_t fallback, int64_t max);
/* A pattern for LIKE … ESCAPE '\' that finds text anywhere; oc_free it. */
char *oc_read_like(const char *text);

/* A column as a member; text and JSON are left out when empty. false: out of memory. */
bool oc_row_str(cJSON *obj, const char *name, sqlite3_stmt *stmt, int column);
bool oc_row_i64(cJSON *obj, const char *name, sqlite3_stmt *stmt, int column);
bool oc_row_json(cJSON *obj, const char *name, sqlite3_stmt *stmt, int column);
/* calls, input, output, cache_read, cache_write, cost from `column` on. */
bool oc_row_usage(cJSON *obj, sqlite3_stmt *stmt, int column);

#endif
