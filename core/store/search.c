/*
 * Searching the messages.
 *
 * Putting a message into a full-text index costs more than storing it, so the index follows: the writer catches up when it
 * has nothing else to do (chores.c), in transactions that move meta.searchUpto along.  What is newer than that is few and
 * is looked through as it is.  The user's text never reaches FTS5 as syntax: each word goes in as a quoted string.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/store/reader.h"

#define TERMS_MAX 12
#define QUERY_MAX 1000

typedef struct term {
	oc_str text;
	bool prefix, exclude;
} term;

typedef struct query {
	term terms[TERMS_MAX];
	int n;
	bool substring; /* the index does not know such words */
} query;

/* ---- The query ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word_byte(unsigned char c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Scripts that do not part words: U+0E00…0EFF (Thai, Lao), U+1000…109F, U+1780…17FF, U+2E80…9FFF, U+AC00…D7AF, U+F900…FAFF,
 * U+FF00…FFEF, and everything above U+FFFF. */
static bool is_unparted(oc_str s)
{
	for (size_t i = 0; i + 1 < s.n; i++) {
		unsigned char a = (unsigned char)s.p[i], b = (unsigned char)s.p[i + 1];
		unsigned char c = i + 2 < s.n ? (unsigned char)s.p[i + 2] : 0;
		if (a >= 0xf0 || (a >= 0xe3 && a <= 0xe9) || (a >= 0xea && a <= 0xed && (a > 0xea || b >= 0xb0)) ||
		    (a == 0xef && ((b >= 0xa4 && b <= 0xab) || b >= 0xbc)))
			return true;
		if (a == 0xe2 && b >= 0xba)
			return true;
		if (a == 0xe0 && b >= 0xb8 && b <= 0xbb)
			return true;
		if (a == 0xe1 && ((b == 0x80 || b == 0x81) || (b == 0x82 && c < 0xa0) || b == 0x9e || b == 0x9f))
			return true;
	}
	return false;
}

static bool has_word(oc_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_word_byte((unsigned char)s.p[i]))
			return true;
	return false;
}

static oc_status parse(const char *text, query *q, oc_err *err)
{
	*q = (query){0};
	bool wanted = false;
	const char *p = text;
	if (strlen(text) > QUERY_MAX)
		return oc_fail(err, OC_E_LIMIT, "use fewer words", "the query is longer than %d bytes", QUERY_MAX);
	for (;;) {
		while (is_space(*p))
			p++;
		if (*p == 0)
			break;
		term t = {0};
		if (*p == '-' && p[1] != 0 && !is_space(p[1]) && p[1] != '-') {
			t.exclude = true;
			p++;
		}
		const char *begin = p;
		if (*p == '"' && strchr(p + 1, '"') != NULL) {
			begin = ++p;
			while (*p != '"')
				p++;
			t.text = oc_str_make(begin, (size_t)(p++ - begin));
		} else {
			while (*p != 0 && !is_space(*p))
				p++;
			t.text = oc_str_make(begin, (size_t)(p - begin));
		}
		if (*p == '*' || (t.text.n > 1 && t.text.p[t.text.n - 1] == '*')) {
			t.prefix = true;
			if (*p == '*')
				p++;
			else
				t.text.n--;
		}
		t.text = oc_str_trim(t.text);
		if (t.text.n == 0)
			continue;
		if (q->n == TERMS_MAX)
			return oc_fail(err, OC_E_LIMIT, "use fewer words", "the query has more than %d words", TERMS_MAX);
		wanted |= !t.exclude;
		q->terms[q->n++] = t;
	}
	if (!wanted)
		return oc_fail(err, OC_E_INVALID, "give a word that must be there", "nothing to look for");
	/* Signs beside words are dropped, as the index does; signs alone are looked for as they stand. */
	bool words = false;
	for (int i = 0; i < q->n; i++) {
		words |= !q->terms[i].exclude && has_word(q->terms[i].text);
		q->substring |= is_unparted(q->terms[i].text);
	}
	q->substring |= !words;
	return OC_OK;
}

static void add_quoted(oc_sbuf *b, const term *t)
{
	oc_sbuf_char(b, '"');
	for (size_t i = 0; i < t->text.n; i++) {
		if (t->text.p[i] == '"')
			oc_sbuf_char(b, '"');
		oc_sbuf_char(b, t->text.p[i]);
	}
	oc_sbuf_char(b, '"');
	if (t->prefix)
		oc_sbuf_z(b, " *");
}

/* ("a" AND "b" *) NOT "c" */
static void match_text(const query *q, oc_sbuf *b)
{
	int n = 0;
	oc_sbuf_char(b, '(');
	for (int i = 0; i < q->n; i++) {
		if (q->terms[i].exclude || !has_word(q->terms[i].text))
			continue;
		oc_sbuf_z(b, n++ > 0 ? " AND " : "");
		add_quoted(b, &q->terms[i]);
	}
	oc_sbuf_char(b, ')');
	for (int i = 0; i < q->n; i++) {
		if (!q->terms[i].exclude || !has_word(q->terms[i].text))
			continue;
		oc_sbuf_z(b, " NOT ");
		add_quoted(b, &q->terms[i]);
	}
}

/* ---- Reading ---- */

static bool search_row(cJSON *o, sqlite3_stmt *s)
{
	return oc_row_str(o, "session", s, 0) && oc_row_str(o, "agent", s, 1) && oc_row_i64(o, "seq", s, 2) &&
	       oc_row_i64(o, "ts", s, 3) && oc_row_str(o, "role", s, 4) && oc_row_str(o, "snippet", s, 5);
}

#define FILTERS                                                                                                  \
	" AND (?2 IS NULL OR s.key = ?2) AND (?3 IS NULL OR s.agent = ?3) AND (?4 IS NULL OR m.role = ?4)"       \
	" AND m.ts_ms >= ?5 AND m.ts_ms <= ?6 ORDER BY m.id DESC LIMIT ?7"

static void bind_filter(sqlite3_stmt *s, const oc_search_filter *f, int64_t limit)
{
	oc_sql_bind(s, 2, f->session);
	oc_sql_bind(s, 3, f->agent);
	oc_sql_bind(s, 4, f->role);
	sqlite3_bind_int64(s, 5, f->since_ms);
	sqlite3_bind_int64(s, 6, f->until_ms > 0 ? f->until_ms : INT64_MAX);
	sqlite3_bind_int64(s, 7, limit);
}

/* The term as a text of its own, for LIKE and for the place in the snippet. */
static char *term_text(const term *t)
{
	return oc_memdup(t->text.p, t->text.n);
}

/* Rows above (or, with above < 0, all rows) whose text has every term as a substring. */
static oc_status scan(oc_store *store, const query *q, const oc_search_filter *f, int64_t above, int64_t limit, cJSON **ret,
		      oc_err *err)
{
	sqlite3_stmt *s = oc_read_stmt(
		store,
		"SELECT s.key, s.agent, m.seq, m.ts_ms, m.role,"
		" substr(m.text, max(1, instr(lower(m.text), lower(?8)) - 60), 200)"
		" FROM messages m CROSS JOIN sessions s ON s.id = m.session WHERE m.id > ?1"
		" AND m.text LIKE ?10 ESCAPE '\\' AND m.text LIKE ?11 ESCAPE '\\' AND m.text LIKE ?12 ESCAPE '\\'"
		" AND m.text LIKE ?13 ESCAPE '\\' AND m.text LIKE ?14 ESCAPE '\\' AND m.text LIKE ?15 ESCAPE '\\'"
		" AND m.text LIKE ?16 ESCAPE '\\' AND m.text LIKE ?17 ESCAPE '\\' AND m.text LIKE ?18 ESCAPE '\\'"
		" AND m.text LIKE ?19 ESCAPE '\\' AND m.text LIKE ?20 ESCAPE '\\' AND m.text LIKE ?21 ESCAPE '\\'"
		" AND NOT (m.text LIKE ?30 ESCAPE '\\' OR m.text LIKE ?31 ESCAPE '\\' OR m.text LIKE ?32 ESCAPE '\\'"
		" OR m.text LIKE ?33 ESCAPE '\\')" FILTERS,
		err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_auto_free char *first = NULL;
	int wants = 0, excludes = 0;
	bool ok = true;
	sqlite3_bind_int64(s, 1, above);
	bind_filter(s, f, limit);
	for (int i = 0; i < q->n && ok; i++) {
		oc_auto_free char *text = term_text(&q->terms[i]);
		oc_auto_free char *like = text != NULL ? oc_read_like(text) : NULL;
		ok = like != NULL;
		int at = q->terms[i].exclude ? 30 + excludes++ : 10 + wants++;
		if (!ok || at > 33)
			continue;
		sqlite3_bind_text(s, at, like, -1, SQLITE_TRANSIENT);
		if (!q->terms[i].exclude && first == NULL) {
			first = text;
			text = NULL;
		}
	}
	for (; wants < TERMS_MAX; wants++)
		sqlite3_bind_text(s, 10 + wants, "%", -1, SQLITE_STATIC);
	for (; excludes < 4; excludes++)
		sqlite3_bind_text(s, 30 + excludes, "", -1, SQLITE_STATIC); /* nothing to be found is empty */
	oc_sql_bind(s, 8, first);
	oc_status status = ok ? oc_read_rows(store, s, search_row, "cannot search", ret, err)
			      : oc_fail(err, OC_E_NOMEM, NULL, "cannot search");
	sqlite3_clear_bindings(s);
	return status;
}

static oc_status indexed(oc_store *store, const query *q, const oc_search_filter *f, int64_t limit, cJSON **ret, oc_err *err)
{
	/* The index gives rows in falling order by itself, so that the newest are found without reading all. */
	sqlite3_stmt *s = oc_read_stmt(
		store,
		"SELECT s.key, s.agent, m.seq, m.ts_ms, m.role, snippet(messages_search, 0, '[', ']', '…', 32)"
		" FROM messages_search CROSS JOIN messages m ON m.id = messages_search.rowid"
		" CROSS JOIN sessions s ON s.id = m.session WHERE messages_search MATCH ?1"
		" AND (?2 IS NULL OR s.key = ?2) AND (?3 IS NULL OR s.agent = ?3) AND (?4 IS NULL OR m.role = ?4)"
		" AND m.ts_ms >= ?5 AND m.ts_ms <= ?6 ORDER BY messages_search.rowid DESC LIMIT ?7",
		err);
	if (s == NULL)
		return oc_read_failed(err);
	oc_sbuf match;
	oc_sbuf_init(&match, 8 * QUERY_MAX);
	match_text(q, &match);
	oc_status status = match.error != OC_OK ? oc_fail(err, match.error, NULL, "cannot search") : OC_OK;
	if (status == OC_OK) {
		oc_sql_bind(s, 1, oc_sbuf_view(&match).p);
		bind_filter(s, f, limit);
		status = oc_read_rows(store, s, search_row, "cannot search", ret, err);
	}
	sqlite3_clear_bindings(s);
	oc_sbuf_free(&match);
	return status;
}

static int64_t search_upto(oc_store *store)
{
	sqlite3_stmt *s = oc_read_stmt(store, "SELECT value FROM meta WHERE key = '" META_SEARCH_UPTO "'", NULL);
	int64_t upto = s != NULL && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return upto;
}

oc_status oc_store_search(oc_store *store, const char *text, const oc_search_filter *filter, cJSON **ret_array, oc_err *err)
{
	static const oc_search_filter none;
	const oc_search_filter *f = filter != NULL ? filter : &none;
	int64_t limit = oc_read_limit(f->limit, 20, 200);
	query q;
	cJSON *fresh = NULL, *older = NULL;
	oc_status status = parse(text, &q, err);
	if (status == OC_OK && oc_store_open_reader(store, err) != OC_OK)
		status = oc_read_failed(err);
	/* One snapshot: a row that is put into the index in between must be found once. */
	if (status == OC_OK)
		status = oc_sql_exec(store->reader.db, "BEGIN", err);
	if (status != OC_OK)
		return status;
	status = scan(store, &q, f, q.substring ? -1 : search_upto(store), limit, &fresh, err);
	int64_t left = limit - cJSON_GetArraySize(fresh);
	if (status == OC_OK && !q.substring && left > 0)
		status = indexed(store, &q, f, left, &older, err);
	(void)oc_sql_exec(store->reader.db, "COMMIT", NULL);
	if (status != OC_OK) {
		cJSON_Delete(fresh);
		return status;
	}
	for (cJSON *row; older != NULL && (row = cJSON_DetachItemFromArray(older, 0)) != NULL;)
		cJSON_AddItemToArray(fresh, row);
	cJSON_Delete(older);
	*ret_array = fresh;
	return OC_OK;
}

/* ---- Taking out ---- */

oc_status oc_search_remove(oc_tx *tx, int64_t session, int64_t before_seq, oc_err *err)
{
	sqlite3_stmt *stmt = oc_tx_stmt(tx,
					"INSERT INTO messages_search(messages_search, rowid, text)"
					" SELECT 'delete', id, " SEARCH_TEXT " FROM messages WHERE session = ?1 AND seq < ?2"
					" AND id <= (SELECT value FROM meta WHERE key = '" META_SEARCH_UPTO "')",
					err);
	if (stmt == NULL)
		return err->code;
	sqlite3_bind_int64(stmt, 1, session);
	sqlite3_bind_int64(stmt, 2, before_seq);
	return oc_tx_run(tx, stmt, err);
}

oc_status oc_search_removed(oc_tx *tx, oc_err *err)
{
	return oc_tx_run(tx,
			 oc_tx_stmt(tx,
				    "UPDATE meta SET value = min(value, (SELECT coalesce(max(id), 0) FROM messages))"
				    " WHERE key = '" META_SEARCH_UPTO "'",
				    err),
			 err);
}
