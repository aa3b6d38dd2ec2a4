/* Small texts by name that belong to no session, in the table meta. */
#include <string.h>

#include "core/base/mem.h"
#include "core/store/internal.h"
#include "core/store/reader.h"

typedef struct fact {
	const char *name;
	char text[];
} fact;

static oc_status put(oc_tx *tx, void *arg, oc_err *err)
{
	const fact *f = arg;
	sqlite3_stmt *s = oc_tx_stmt(tx, "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)", err);
	if (s == NULL)
		return err->code;
	oc_sql_bind(s, 1, f->name);
	oc_sql_bind(s, 2, f->text);
	return oc_tx_run(tx, s, err);
}

static void nothing_to_forget(void *arg)
{
	(void)arg;
}

static void over(void *arg, oc_status status, const oc_err *err)
{
	(void)status;
	(void)err;
	oc_free(arg);
}

void oc_store_fact_put(oc_store *store, const char *name, const char *text)
{
	size_t n = strlen(text) + 1;
	fact *f = oc_alloc(sizeof *f + n);
	if (f == NULL)
		return;
	f->name = name;
	memcpy(f->text, text, n);
	if (oc_writer_put(store, put, nothing_to_forget, over, f, OC_PUT_HOLD | OC_PUT_LAZY, NULL) != OC_OK)
		oc_free(f);
}

char *oc_store_fact(oc_store *store, const char *name)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT value FROM meta WHERE key = ?1", NULL);
	char *text = NULL;
	if (s == NULL)
		return NULL;
	oc_sql_bind(s, 1, name);
	if (sqlite3_step(s) == SQLITE_ROW)
		text = oc_strdup(oc_sql_text(s, 0));
	sqlite3_reset(s);
	return text;
}
