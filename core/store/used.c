/* What was used, row by row: for reports that need more than sums. */
#include <stdio.h>

#include "core/store/reader.h"

static bool used_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "day", s, 0) && oc_row_str(o, "provider", s, 1) && oc_row_str(o, "model", s, 2) && oc_row_usage(o, s, 3);
}

oc_status oc_store_used(oc_store *store, const char *from_day, const char *to_day, int64_t offset_min, cJSON **ret_array, oc_err *err)
{
	char shift[40];
	(void)snprintf(shift, sizeof shift, "%+lld minutes", (long long)offset_min);
	/* What was written as whole days stays so. */
	sqlite3_stmt *s = oc_read_stmt(store,
				       "SELECT iif(length(day) > 10, date(day, ?3), day) AS here, provider, model, sum(calls), sum(input), sum(output),"
				       " sum(cache_read), sum(cache_write), total(cost) FROM usage WHERE day >= date(?1, '-1 day')"
				       " AND day < date(?2, '+2 days') AND here BETWEEN ?1 AND ?2 GROUP BY 1, 2, 3 ORDER BY 1",
				       err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, from_day);
	oc_sql_bind(s, 2, to_day);
	oc_sql_bind(s, 3, shift);
	oc_status status = oc_read_rows(store, s, used_row, "cannot read the usage", ret_array, err);
	sqlite3_clear_bindings(s);
	return status;
}

/* The content stays where it is: of long messages it fills pages of its own. */
#define FACTS                                                                                                      \
	"SELECT m.ts_ms, m.role, m.model, m.tool_name, m.is_error, coalesce(m.meta ->> '$.stopReason', ''),"       \
	" m.meta ->> '$.usage' IS NOT NULL, m.meta ->> '$.usage.input', m.meta ->> '$.usage.output',"              \
	" m.meta ->> '$.usage.cacheRead', m.meta ->> '$.usage.cacheWrite', m.meta ->> '$.usage.cost', "
#define FACTS_FROM                                                                                                 \
	" FROM sessions s JOIN messages m ON m.session = s.id AND m.seq >= s.epoch_seq WHERE s.key = ?1 AND m.ts_ms BETWEEN ?2 AND ?3 "

oc_status oc_store_each_fact(oc_store *store, const char *key, const oc_fact_filter *filter,
			     bool (*each)(void *arg, const oc_message_fact *fact), void *arg, oc_err *err)
{
	/* The newest that fit, oldest first. */
	sqlite3_stmt *s = filter->texts ? oc_read_stmt(store,
						       "SELECT * FROM (" FACTS "m.text, m.seq" FACTS_FROM "ORDER BY m.seq DESC LIMIT ?4)"
						       " ORDER BY 14",
						       err)
					: oc_read_stmt(store, FACTS "''" FACTS_FROM "ORDER BY m.seq LIMIT ?4", err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sql_bind(s, 1, key);
	sqlite3_bind_int64(s, 2, filter->from_ms);
	sqlite3_bind_int64(s, 3, filter->to_ms > 0 ? filter->to_ms : INT64_MAX);
	sqlite3_bind_int64(s, 4, filter->limit > 0 ? filter->limit : -1);
	int rc;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		oc_message_fact fact = {
			.ts_ms = sqlite3_column_int64(s, 0),
			.role = oc_sql_text(s, 1),
			.model = oc_sql_text(s, 2),
			.tool_name = oc_sql_text(s, 3),
			.is_error = sqlite3_column_int(s, 4) != 0,
			.stop_reason = oc_sql_text(s, 5),
			.used = sqlite3_column_int(s, 6) != 0,
			.usage = {1, sqlite3_column_int64(s, 7), sqlite3_column_int64(s, 8), sqlite3_column_int64(s, 9),
				  sqlite3_column_int64(s, 10), sqlite3_column_double(s, 11)},
			.text = oc_sql_text(s, 12),
		};
		if (sqlite3_errcode(store->reader.db) == SQLITE_NOMEM)
			continue; /* a text is missing: the next step says so */
		if (!each(arg, &fact))
			break;
	}
	oc_status status = oc_read_end(store, s, rc, "cannot read the messages", err);
	sqlite3_clear_bindings(s);
	return status;
}
