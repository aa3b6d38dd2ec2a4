#include "core/agent/memory_index.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/agent/memory_chunk.h"
#include "core/agent/memory_files.h"
#include "core/base/path.h"

#define SCHEMA 1
#define HASH_HEX 33
#define TERMS_MAX 32
#define CANDIDATES_MAX 400

struct oc_memory_index {
	unsigned refs; /* loop thread */
	pthread_mutex_t lock;
	sqlite3 *db;
	char path[];
};

oc_memory_index *oc_memory_index_new(const char *path)
{
	size_t n = strlen(path) + 1;
	oc_memory_index *index = oc_alloc(sizeof *index + n);
	if (index == NULL)
		return NULL;
	memcpy(index->path, path, n);
	index->refs = 1;
	pthread_mutex_init(&index->lock, NULL);
	return index;
}

oc_memory_index *oc_memory_index_ref(oc_memory_index *index)
{
	index->refs++;
	return index;
}

void oc_memory_index_unref(oc_memory_index *index)
{
	if (index == NULL || --index->refs > 0)
		return;
	sqlite3_close_v2(index->db);
	pthread_mutex_destroy(&index->lock);
	oc_free(index);
}

/* ---- The database ---- */

static oc_status failed(oc_memory_index *index, int rc, oc_err *err)
{
	oc_status status = rc == SQLITE_NOMEM					  ? OC_E_NOMEM
			   : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB	  ? OC_E_CORRUPT
			   : rc == SQLITE_BUSY || rc == SQLITE_LOCKED		  ? OC_E_BUSY
										  : OC_E_IO;
	return oc_fail(err, status, "delete it: it is made again from the files", "the memory's index %s: %s", index->path,
		       index->db != NULL ? sqlite3_errmsg(index->db) : sqlite3_errstr(rc));
}

static oc_status run(oc_memory_index *index, const char *sql, oc_err *err)
{
	int rc = sqlite3_exec(index->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? OC_OK : failed(index, rc, err);
}

static const char tables[] =
	"CREATE TABLE files(path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, hash TEXT NOT NULL,"
	" seen INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE chunks(id INTEGER PRIMARY KEY, path TEXT NOT NULL, first_line INTEGER NOT NULL, last_line INTEGER NOT NULL,"
	" hash TEXT NOT NULL, text TEXT NOT NULL);"
	"CREATE INDEX chunks_path ON chunks(path);"
	"CREATE INDEX chunks_hash ON chunks(hash);"
	"CREATE VIRTUAL TABLE words USING fts5(text, content='chunks', content_rowid='id',"
	" tokenize='porter unicode61 remove_diacritics 2');"
	"CREATE TRIGGER chunks_in AFTER INSERT ON chunks BEGIN INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;"
	"CREATE TRIGGER chunks_out AFTER DELETE ON chunks BEGIN"
	" INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text); END;"
	"CREATE TABLE vectors(model TEXT NOT NULL, hash TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY(model, hash));"
	"CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

static int version_of(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int version = -1;
	if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		version = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return version;
}

static oc_status open_once(oc_memory_index *index, oc_err *err)
{
	oc_auto_free char *folder = oc_memdup(index->path, (size_t)(oc_path_base(index->path) - index->path));
	if (folder == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot open the memory's index");
	oc_status status = oc_path_mkdirs(folder, 0700, err);
	if (status != OC_OK)
		return status;
	int rc = sqlite3_open_v2(index->path, &index->db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK)
		return failed(index, rc, err);
	(void)chmod(index->path, 0600);
	sqlite3_busy_timeout(index->db, 5000);
	/* It can be made again: no fsync is worth waiting for. */
	status = run(index, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;", err);
	int version = status == OC_OK ? version_of(index->db) : -1;
	if (version == SCHEMA)
		return OC_OK;
	if (status == OC_OK && version == 0) {
		status = run(index, "BEGIN IMMEDIATE", err);
		if (status == OC_OK && version_of(index->db) == 0) {
			status = run(index, tables, err);
			if (status == OC_OK)
				status = run(index, "PRAGMA user_version=1", err);
		}
		if (status == OC_OK)
			status = run(index, "COMMIT", err);
		else
			(void)run(index, "ROLLBACK", NULL);
		return status;
	}
	return status != OC_OK ? status : oc_fail(err, OC_E_CORRUPT, NULL, "the memory's index %s is of another version", index->path);
}

static void close_db(oc_memory_index *index)
{
	sqlite3_close_v2(index->db);
	index->db = NULL;
}

/* It is made anew with the next use. */
static void throw_away(oc_memory_index *index)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	close_db(index);
	for (int i = 0; i < 3; i++) {
		oc_auto_free char *path = oc_asprintf("%s%s", index->path, suffixes[i]);
		if (path != NULL)
			(void)unlink(path);
	}
}

/* What is damaged, or of another version, is made anew. */
static oc_status ready(oc_memory_index *index, oc_err *err)
{
	if (index->db != NULL)
		return OC_OK;
	oc_err why = {0};
	oc_status status = open_once(index, &why);
	if (status == OC_E_CORRUPT) {
		throw_away(index);
		why = (oc_err){0};
		status = open_once(index, &why);
	}
	if (status != OC_OK) {
		close_db(index);
		if (err != NULL)
			*err = why;
	}
	return status;
}

/* One step of work under the lock. A damaged database is closed, so that the next step makes it anew. */
static oc_status leave(oc_memory_index *index, oc_status status)
{
	if (index->db != NULL && sqlite3_get_autocommit(index->db) == 0)
		(void)run(index, status == OC_OK ? "COMMIT" : "ROLLBACK", NULL);
	if (status == OC_E_CORRUPT)
		throw_away(index);
	pthread_mutex_unlock(&index->lock);
	return status;
}

static void hash_of(oc_str text, char out[HASH_HEX])
{
	unsigned char hash[16];
	(void)crypto_generichash(hash, sizeof hash, (const unsigned char *)text.p, text.n, NULL, 0);
	(void)sodium_bin2hex(out, HASH_HEX, hash, sizeof hash);
}

/* ---- Updating ---- */

typedef struct update {
	oc_memory_index *index;
	const oc_memory_scope *scope;
	oc_memory_counts *counts;
	int64_t round;
	sqlite3_stmt *find, *touch, *put, *forget, *add;
	const char *path;
	oc_status status;
	oc_err *err;
} update;

static bool step(update *u, sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		u->status = failed(u->index, rc, u->err);
	sqlite3_reset(s);
	return u->status == OC_OK;
}

static bool add_chunk(void *arg, const oc_memory_chunk *chunk)
{
	update *u = arg;
	char hash[HASH_HEX];
	hash_of(chunk->text, hash);
	sqlite3_bind_text(u->add, 1, u->path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(u->add, 2, (int64_t)chunk->first_line);
	sqlite3_bind_int64(u->add, 3, (int64_t)chunk->last_line);
	sqlite3_bind_text(u->add, 4, hash, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(u->add, 5, chunk->text.p, (int)chunk->text.n, SQLITE_STATIC);
	return step(u, u->add);
}

static bool read_file(update *u, const oc_memory_file *file, const char *known_hash)
{
	oc_auto_free char *text = NULL;
	size_t n = 0;
	char hash[HASH_HEX];
	oc_status status = oc_memory_file_read(file->root_fd, file->name, &text, &n, NULL);
	if (status == OC_E_LIMIT)
		u->counts->too_big++;
	if (status != OC_OK)
		return true; /* gone meanwhile, or unreadable: as if it were not there */
	hash_of((oc_str){text, n}, hash);
	u->counts->read++;
	if (strcmp(hash, known_hash) != 0 || u->scope->force) {
		sqlite3_bind_text(u->forget, 1, file->path, -1, SQLITE_STATIC);
		u->path = file->path;
		if (!step(u, u->forget) ||
		    !oc_memory_chunks((oc_str){text, n}, u->scope->chunk_tokens, u->scope->chunk_overlap, add_chunk, u))
			return false;
	}
	sqlite3_bind_text(u->put, 1, file->path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(u->put, 2, file->mtime_ns);
	sqlite3_bind_int64(u->put, 3, file->size);
	sqlite3_bind_text(u->put, 4, hash, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(u->put, 5, u->round);
	return step(u, u->put);
}

static bool on_file(void *arg, const oc_memory_file *file)
{
	update *u = arg;
	char hash[HASH_HEX] = "";
	bool same = false;
	sqlite3_bind_text(u->find, 1, file->path, -1, SQLITE_STATIC);
	int rc = sqlite3_step(u->find);
	if (rc == SQLITE_ROW) {
		const char *known = (const char *)sqlite3_column_text(u->find, 2);
		same = sqlite3_column_int64(u->find, 0) == file->mtime_ns && sqlite3_column_int64(u->find, 1) == file->size;
		snprintf(hash, sizeof hash, "%s", known != NULL ? known : "");
	}
	sqlite3_reset(u->find);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		u->status = failed(u->index, rc, u->err);
		return false;
	}
	if (!same || u->scope->force)
		return read_file(u, file, hash);
	sqlite3_bind_text(u->touch, 1, file->path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(u->touch, 2, u->round);
	return step(u, u->touch);
}

static int64_t number(oc_memory_index *index, const char *sql, const char *text)
{
	sqlite3_stmt *s = NULL;
	int64_t n = 0;
	if (sqlite3_prepare_v2(index->db, sql, -1, &s, NULL) == SQLITE_OK) {
		if (text != NULL)
			sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
		if (sqlite3_step(s) == SQLITE_ROW)
			n = sqlite3_column_int64(s, 0);
	}
	sqlite3_finalize(s);
	return n;
}

/* Other pieces than last time make all of them new. */
static oc_status same_pieces(oc_memory_index *index, const oc_memory_scope *scope, bool *ret_same, oc_err *err)
{
	char now[64], sql[256];
	sqlite3_stmt *s = NULL;
	snprintf(now, sizeof now, "%zu/%zu", scope->chunk_tokens, scope->chunk_overlap);
	*ret_same = false;
	if (sqlite3_prepare_v2(index->db, "SELECT value FROM facts WHERE name = 'pieces'", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		*ret_same = strcmp((const char *)sqlite3_column_text(s, 0), now) == 0;
	sqlite3_finalize(s);
	if (*ret_same)
		return OC_OK;
	snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO facts VALUES('pieces', '%s')", now);
	return run(index, sql, err);
}

static oc_status update_all(update *u)
{
	oc_memory_index *index = u->index;
	oc_memory_scope scope = *u->scope;
	bool same = false;
	u->status = same_pieces(index, &scope, &same, u->err);
	if (u->status != OC_OK)
		return u->status;
	scope.force |= !same;
	u->scope = &scope;
	u->round = number(index, "SELECT coalesce(max(seen), 0) + 1 FROM files", NULL);
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} statements[] = {
		{&u->find, "SELECT mtime_ns, size, hash FROM files WHERE path = ?1"},
		{&u->touch, "UPDATE files SET seen = ?2 WHERE path = ?1"},
		{&u->put, "INSERT OR REPLACE INTO files(path, mtime_ns, size, hash, seen) VALUES(?1, ?2, ?3, ?4, ?5)"},
		{&u->forget, "DELETE FROM chunks WHERE path = ?1"},
		{&u->add, "INSERT INTO chunks(path, first_line, last_line, hash, text) VALUES(?1, ?2, ?3, ?4, ?5)"},
	};
	for (size_t i = 0; i < sizeof statements / sizeof *statements && u->status == OC_OK; i++) {
		int rc = sqlite3_prepare_v2(index->db, statements[i].sql, -1, statements[i].stmt, NULL);
		if (rc != SQLITE_OK)
			u->status = failed(index, rc, u->err);
	}
	if (u->status == OC_OK)
		(void)oc_memory_files(&scope, on_file, u);
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		sqlite3_finalize(*statements[i].stmt);
	if (u->status != OC_OK)
		return u->status;
	char sql[256];
	snprintf(sql, sizeof sql,
		 "DELETE FROM chunks WHERE path IN (SELECT path FROM files WHERE seen <> %lld); DELETE FROM files WHERE seen <> %lld;",
		 (long long)u->round, (long long)u->round);
	u->status = run(index, sql, u->err);
	u->counts->removed = u->status == OC_OK ? sqlite3_changes(index->db) : 0;
	/* Vectors of texts that are nowhere any more; what was moved keeps its own. */
	if (u->status == OC_OK && (u->counts->read > 0 || u->counts->removed > 0))
		u->status = run(index, "DELETE FROM vectors WHERE hash NOT IN (SELECT hash FROM chunks)", u->err);
	return u->status;
}

static oc_status update_once(oc_memory_index *index, const oc_memory_scope *scope, const char *model, oc_memory_counts *ret,
			     oc_err *err)
{
	*ret = (oc_memory_counts){0};
	pthread_mutex_lock(&index->lock);
	oc_status status = ready(index, err);
	if (status == OC_OK)
		status = run(index, "BEGIN IMMEDIATE", err);
	if (status == OC_OK) {
		update u = {.index = index, .scope = scope, .counts = ret, .err = err};
		status = update_all(&u);
	}
	if (status == OC_OK) {
		ret->files = number(index, "SELECT count(*) FROM files", NULL);
		ret->chunks = number(index, "SELECT count(*) FROM chunks", NULL);
		ret->vectors = number(index, "SELECT count(*) FROM chunks c JOIN vectors v ON v.model = ?1 AND v.hash = c.hash", model);
	}
	return leave(index, status);
}

oc_status oc_memory_index_update(oc_memory_index *index, const oc_memory_scope *scope, const char *model, oc_memory_counts *ret,
				 oc_err *err)
{
	oc_status status = update_once(index, scope, model, ret, err);
	if (status != OC_E_CORRUPT)
		return status;
	if (err != NULL)
		*err = (oc_err){0};
	return update_once(index, scope, model, ret, err);
}

/* ---- Vectors ---- */

oc_status oc_memory_index_missing(oc_memory_index *index, const char *model, size_t max, size_t max_bytes, oc_arena *arena,
				  oc_memory_missing *ret, oc_err *err)
{
	*ret = (oc_memory_missing){0};
	oc_str *texts = oc_arena_alloc(arena, max * sizeof *texts);
	const char **hashes = oc_arena_alloc(arena, max * sizeof *hashes);
	if (texts == NULL || hashes == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the memory's index");
	pthread_mutex_lock(&index->lock);
	sqlite3_stmt *s = NULL;
	oc_status status = ready(index, err);
	int rc = status != OC_OK ? SQLITE_DONE
				 : sqlite3_prepare_v2(index->db,
						      "SELECT hash, min(text) FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM vectors v"
						      " WHERE v.model = ?1 AND v.hash = c.hash) GROUP BY hash LIMIT ?2",
						      -1, &s, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(s, 1, model, -1, SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, (int64_t)max);
	}
	size_t bytes = 0;
	while (status == OC_OK && rc != SQLITE_DONE && (rc = sqlite3_step(s)) == SQLITE_ROW && ret->n < max) {
		size_t n = (size_t)sqlite3_column_bytes(s, 1);
		if (ret->n > 0 && bytes + n > max_bytes)
			break;
		bytes += n;
		const char *text = oc_arena_memdup(arena, sqlite3_column_text(s, 1), n);
		const char *hash = oc_arena_strdup(arena, (const char *)sqlite3_column_text(s, 0));
		if (text == NULL || hash == NULL) {
			status = oc_fail(err, OC_E_NOMEM, NULL, "cannot read the memory's index");
			break;
		}
		texts[ret->n] = (oc_str){text, n};
		hashes[ret->n++] = hash;
	}
	if (status == OC_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
		status = failed(index, rc, err);
	sqlite3_finalize(s);
	ret->texts = texts;
	ret->hashes = hashes;
	return leave(index, status);
}

oc_status oc_memory_index_put(oc_memory_index *index, const char *model, const char *const *hashes, const float *values, size_t n,
			      size_t dimensions, oc_err *err)
{
	pthread_mutex_lock(&index->lock);
	sqlite3_stmt *s = NULL;
	oc_status status = ready(index, err);
	if (status == OC_OK)
		status = run(index, "BEGIN IMMEDIATE", err);
	int rc = status == OC_OK ? sqlite3_prepare_v2(index->db, "INSERT OR REPLACE INTO vectors(model, hash, vector) VALUES(?1, ?2, ?3)",
						      -1, &s, NULL)
				 : SQLITE_OK;
	for (size_t i = 0; i < n && status == OC_OK && rc == SQLITE_OK; i++) {
		sqlite3_bind_text(s, 1, model, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, hashes[i], -1, SQLITE_STATIC);
		sqlite3_bind_blob64(s, 3, values + i * dimensions, dimensions * sizeof *values, SQLITE_STATIC);
		rc = sqlite3_step(s) == SQLITE_DONE ? sqlite3_reset(s) : sqlite3_errcode(index->db);
	}
	if (status == OC_OK && rc != SQLITE_OK)
		status = failed(index, rc, err);
	sqlite3_finalize(s);
	return leave(index, status);
}

/* ---- Searching ---- */

typedef struct candidate {
	int64_t id;
	double words, meaning; /* 0 to 1 */
	double score;
} candidate;

typedef struct search {
	oc_memory_index *index;
	const oc_memory_query *query;
	candidate list[CANDIDATES_MAX];
	size_t n;
	oc_err *err;
} search;

static candidate *candidate_of(search *s, int64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].id == id)
			return &s->list[i];
	if (s->n == CANDIDATES_MAX)
		return NULL;
	s->list[s->n] = (candidate){.id = id};
	return &s->list[s->n++];
}

/* "word" OR "other": every word in quotation marks, so that nothing in it is taken for syntax. Returns how many. */
static size_t match_expression(const char *text, oc_sbuf *out)
{
	size_t n = 0;
	for (const char *p = text; *p != 0 && n < TERMS_MAX;) {
		const char *from = p;
		while ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_' ||
		       ((unsigned char)*p & 0x80) != 0)
			p++;
		if (p == from) {
			p++;
			continue;
		}
		oc_sbuf_printf(out, "%s\"%.*s\"", n > 0 ? " OR " : "", (int)(p - from), from);
		n++;
	}
	return n;
}

/* How many of the query's words a chunk has: each asked for alone, so that word forms count as they do in the search. */
static oc_status count_terms(search *s, size_t terms, const char *expression)
{
	static const char sql[] = "SELECT rowid FROM words WHERE words MATCH ?1";
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->index->db, sql, -1, &stmt, NULL);
	unsigned found[CANDIDATES_MAX] = {0};
	oc_str rest = oc_str_of(expression);
	for (size_t i = 0; i < terms && rc == SQLITE_OK; i++) {
		const char *next = strstr(rest.p, " OR ");
		size_t n = next != NULL ? (size_t)(next - rest.p) : strlen(rest.p);
		sqlite3_bind_text(stmt, 1, rest.p, (int)n, SQLITE_TRANSIENT);
		int got;
		while ((got = sqlite3_step(stmt)) == SQLITE_ROW)
			for (size_t k = 0; k < s->n; k++)
				found[k] += s->list[k].id == sqlite3_column_int64(stmt, 0);
		rc = got == SQLITE_DONE ? sqlite3_reset(stmt) : got;
		rest.p += n + (next != NULL ? 4 : 0);
	}
	sqlite3_finalize(stmt);
	if (rc != SQLITE_OK)
		return failed(s->index, rc, s->err);
	/* Half is how well it ranks, half how much of the question it has. */
	for (size_t k = 0; k < s->n; k++)
		s->list[k].words = s->list[k].words * 0.5 + 0.5 * (double)found[k] / (double)terms;
	return OC_OK;
}

static oc_status by_words(search *s)
{
	oc_sbuf expression;
	oc_sbuf_init(&expression, 16 << 10);
	size_t terms = match_expression(s->query->text, &expression);
	sqlite3_stmt *stmt = NULL;
	oc_status status = expression.error;
	if (status != OC_OK || terms == 0) {
		oc_sbuf_free(&expression);
		return status == OC_OK ? OC_OK : oc_fail(s->err, status, "ask for less", "the query is too long");
	}
	int rc = sqlite3_prepare_v2(s->index->db, "SELECT rowid, bm25(words) FROM words WHERE words MATCH ?1 ORDER BY 2 LIMIT ?2", -1,
				    &stmt, NULL);
	double best = 0;
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, expression.p, (int)expression.n, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 2, (int64_t)s->query->candidates);
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
			double rank = -sqlite3_column_double(stmt, 1);
			candidate *c = candidate_of(s, sqlite3_column_int64(stmt, 0));
			best = rank > best ? rank : best;
			if (c != NULL)
				c->words = best > 0 ? rank / best : 1;
		}
	}
	sqlite3_finalize(stmt);
	status = rc == SQLITE_DONE ? count_terms(s, terms, expression.p) : failed(s->index, rc, s->err);
	oc_sbuf_free(&expression);
	return status;
}

static double length_of(const float *v, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)v[i] * (double)v[i];
	return sqrt(sum);
}

/* Keeps the nearest: the one farthest away of a full list gives way. */
static void offer(candidate *nearest, size_t *n, size_t max, int64_t id, double meaning)
{
	size_t worst = 0;
	if (*n < max) {
		nearest[(*n)++] = (candidate){.id = id, .meaning = meaning};
		return;
	}
	for (size_t i = 1; i < *n; i++)
		if (nearest[i].meaning < nearest[worst].meaning)
			worst = i;
	if (meaning > nearest[worst].meaning)
		nearest[worst] = (candidate){.id = id, .meaning = meaning};
}

/* The cosine with every chunk: some ten thousand of them take some ten milliseconds. */
static oc_status by_meaning(search *s)
{
	const oc_memory_query *q = s->query;
	double own = q->vector != NULL ? length_of(q->vector, q->dimensions) : 0;
	if (own <= 0)
		return OC_OK;
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->index->db,
				    "SELECT c.id, v.vector FROM chunks c JOIN vectors v ON v.model = ?1 AND v.hash = c.hash", -1, &stmt,
				    NULL);
	candidate nearest[CANDIDATES_MAX / 2];
	size_t n = 0, max = q->candidates < CANDIDATES_MAX / 2 ? q->candidates : CANDIDATES_MAX / 2;
	float *row = oc_alloc(q->dimensions * sizeof *row);
	if (row == NULL)
		rc = SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		sqlite3_bind_text(stmt, 1, q->model, -1, SQLITE_STATIC);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		if (rc != SQLITE_ROW || (size_t)sqlite3_column_bytes(stmt, 1) != q->dimensions * sizeof *row)
			continue;
		memcpy(row, sqlite3_column_blob(stmt, 1), q->dimensions * sizeof *row);
		double dot = 0, length = length_of(row, q->dimensions);
		for (size_t i = 0; i < q->dimensions; i++)
			dot += (double)row[i] * (double)q->vector[i];
		double cosine = length > 0 ? dot / (length * own) : 0;
		if (cosine > 0)
			offer(nearest, &n, max, sqlite3_column_int64(stmt, 0), cosine > 1 ? 1 : cosine);
	}
	sqlite3_finalize(stmt);
	oc_free(row);
	if (rc != SQLITE_DONE)
		return failed(s->index, rc, s->err);
	for (size_t i = 0; i < n; i++) {
		candidate *c = candidate_of(s, nearest[i].id);
		if (c != NULL)
			c->meaning = nearest[i].meaning;
	}
	return OC_OK;
}

static int best_first(const void *a, const void *b)
{
	const candidate *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static oc_status hits_of(search *s, oc_arena *arena, oc_memory_hit **ret, size_t *ret_n)
{
	const oc_memory_query *q = s->query;
	size_t max = q->max_results < s->n ? q->max_results : s->n, n = 0;
	oc_memory_hit *hits = oc_arena_alloc(arena, (max + 1) * sizeof *hits);
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->index->db, "SELECT path, text, first_line, last_line FROM chunks WHERE id = ?1", -1, &stmt, NULL);
	bool memory = hits != NULL;
	for (size_t i = 0; i < s->n && n < max && memory && rc == SQLITE_OK; i++) {
		if (s->list[i].score < q->min_score)
			break;
		sqlite3_bind_int64(stmt, 1, s->list[i].id);
		if (sqlite3_step(stmt) == SQLITE_ROW) {
			const char *path = (const char *)sqlite3_column_text(stmt, 0);
			oc_memory_hit hit = {.path = oc_arena_strdup(arena, path != NULL ? path : ""),
					     .text = oc_arena_memdup(arena, sqlite3_column_text(stmt, 1),
								     (size_t)sqlite3_column_bytes(stmt, 1)),
					     .first_line = sqlite3_column_int64(stmt, 2),
					     .last_line = sqlite3_column_int64(stmt, 3),
					     .score = s->list[i].score};
			memory = hit.path != NULL && hit.text != NULL;
			hits[n++] = hit;
		}
		rc = sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
	if (!memory)
		return oc_fail(s->err, OC_E_NOMEM, NULL, "cannot search the memory");
	if (rc != SQLITE_OK)
		return failed(s->index, rc, s->err);
	*ret = hits;
	*ret_n = n;
	return OC_OK;
}

oc_status oc_memory_index_search(oc_memory_index *index, const oc_memory_query *query, oc_arena *arena, oc_memory_hit **ret,
				 size_t *ret_n, oc_err *err)
{
	search *s = oc_arena_alloc(arena, sizeof *s);
	if (s == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot search the memory");
	s->index = index;
	s->query = query;
	s->err = err;
	pthread_mutex_lock(&index->lock);
	oc_status status = ready(index, err);
	if (status == OC_OK)
		status = by_words(s);
	if (status == OC_OK)
		status = by_meaning(s);
	for (size_t i = 0; i < s->n; i++) {
		candidate *c = &s->list[i];
		c->score = query->vector == NULL ? c->words : c->words * query->text_weight + c->meaning * query->vector_weight;
	}
	if (status == OC_OK) {
		qsort(s->list, s->n, sizeof *s->list, best_first);
		status = hits_of(s, arena, ret, ret_n);
	}
	return leave(index, status);
}
