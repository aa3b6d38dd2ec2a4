/*
 * Sessions of the TypeScript original into the store.
 *
 * What was taken over of a session is kept beside it (kv "migrate"), so that a second run adds what is new in the source and
 * leaves alone what went on here.  Rows go in by pieces, each with its note of how far it came: a run that was cut goes on there.
 */
#include <string.h>

#include "core/agent/import.h"
#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/migrate.h"

#define STORE_NAME "migrate"
#define INDEX_BYTES_MAX ((size_t)256 << 20)
#define PIECE_ROWS 500
#define PIECE_BYTES ((size_t)4 << 20)

/* How far a session was taken over. */
typedef struct progress {
	bool known;
	char id[64], last[64];	  /* of the source's session and of the last row */
	int64_t rows, first, seq; /* how many, and the numbers of the first and the last in the session's events */
} progress;

typedef struct source {
	oc_migration *m;
	const char *agent, *dir; /* the folder of the transcripts */
	const cJSON *entry;	 /* of sessions.json */
	char key[OC_SESSION_KEY_MAX];
	oc_import *transcript;
	char *text; /* of it */
	progress before;
} source;

/* ---- What is known ---- */

static void copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
}

static void read_progress(source *s)
{
	oc_buf *buf = NULL;
	oc_auto_json cJSON *o = NULL;
	if (s->m->store == NULL || oc_store_kv_get(s->m->store, STORE_NAME, oc_str_of(s->key), &buf, NULL) != OC_OK)
		return;
	if (oc_json_parse(oc_buf_str(buf), NULL, &o, NULL) == OC_OK) {
		s->before = (progress){.known = true, .rows = oc_json_i64(o, "rows", 0), .first = oc_json_i64(o, "first", 0),
				       .seq = oc_json_i64(o, "seq", 0)};
		copy_text(s->before.id, sizeof s->before.id, oc_json_str(o, "id", ""));
		copy_text(s->before.last, sizeof s->before.last, oc_json_str(o, "last", ""));
	}
	oc_buf_unref(buf);
}

static oc_status put_progress(const source *s, oc_batch *batch, int64_t rows, int64_t first, oc_err *err)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	bool ok = o != NULL && oc_json_set_str(o, "id", oc_import_id(s->transcript)) && oc_json_set_i64(o, "rows", rows) &&
		  oc_json_set_i64(o, "first", first) && oc_json_set_i64(o, "seq", first + rows - 1) &&
		  oc_json_set_str(o, "last", oc_import_row_id(s->transcript, (size_t)rows - 1));
	oc_auto_free char *text = ok ? oc_json_print(o) : NULL;
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the session over");
	oc_batch_kv(batch, STORE_NAME, oc_str_of(s->key), oc_str_of(text));
	return OC_OK;
}

/* ---- What is to be done ---- */

typedef struct plan {
	const char *action, *why; /* why: of keep and skip */
	int64_t from;		  /* the first row to write */
	bool epoch;		  /* the session begins anew with it */
} plan;

/* Whether what was taken over is how the transcript still begins. */
static bool begins_as_before(const source *s)
{
	return s->before.rows > 0 && (size_t)s->before.rows <= oc_import_rows(s->transcript) &&
	       strcmp(s->before.id, oc_import_id(s->transcript)) == 0 &&
	       strcmp(s->before.last, oc_import_row_id(s->transcript, (size_t)s->before.rows - 1)) == 0;
}

static plan decide(const source *s)
{
	oc_auto_json cJSON *ours = NULL;
	bool there = s->m->store != NULL && oc_store_session(s->m->store, s->key, &ours, NULL) == OC_OK;
	bool begins = begins_as_before(s);
	if (!s->before.known)
		return !there || oc_json_i64(ours, "messages", 0) == 0
			       ? (plan){.action = "import"}
			       : (plan){.action = "keep", .why = "there is a session of this name here already"};
	if (!there)
		return (plan){.action = "keep", .why = "it was taken over before and deleted here"};
	if (begins && (size_t)s->before.rows == oc_import_rows(s->transcript))
		return (plan){.action = "same"};
	if (oc_json_i64(ours, "lastSeq", 0) != s->before.seq)
		return (plan){.action = "keep", .why = "it was taken over before and went on here"};
	if (begins)
		return (plan){.action = "append", .from = s->before.rows};
	return (plan){.action = "import", .epoch = true};
}

/* ---- Doing it ---- */

static void put_facts(const source *s, oc_batch *batch)
{
	const cJSON *e = s->entry, *context = oc_json_get(e, "deliveryContext");
	const char *provider = oc_json_str(e, "providerOverride", ""), *model = oc_json_str(e, "modelOverride", "");
	const char *title = oc_json_str(e, "label", oc_json_str(e, "displayName", oc_json_str(e, "subject", NULL)));
	const char *to = oc_json_str(context, "to", oc_json_str(e, "lastTo", ""));
	oc_session_key k = {0};
	oc_auto_json cJSON *delivery = cJSON_CreateObject(), *settings = cJSON_CreateObject();
	oc_auto_free char *ref = model[0] != 0 && provider[0] != 0 ? oc_asprintf("%s/%s", provider, model) : NULL;
	(void)oc_session_key_parse(oc_str_of(s->key), &k, NULL);
	oc_json_opt(delivery, "channel", oc_json_str(context, "channel", oc_json_str(e, "lastChannel", NULL)));
	oc_json_opt(delivery, "account", oc_json_str(context, "accountId", oc_json_str(e, "lastAccountId", "default")));
	oc_json_opt(delivery, "to", to);
	oc_json_opt(settings, "verbose", oc_json_str(e, "verboseLevel", NULL));
	oc_json_opt(settings, "reasoning", oc_json_str(e, "reasoningLevel", NULL));
	oc_auto_free char *delivery_json = to[0] != 0 ? oc_json_print(delivery) : NULL;
	oc_auto_free char *settings_json = cJSON_GetArraySize(settings) > 0 ? oc_json_print(settings) : NULL;
	oc_batch_session(batch, s->key,
			 &(oc_session_facts){
				 .agent = k.agent,
				 .kind = k.kind,
				 .channel = k.channel[0] != 0 ? k.channel : NULL,
				 .account = k.account[0] != 0 ? k.account : NULL,
				 .peer = k.peer[0] != 0 ? k.peer : NULL,
				 .thread = k.thread[0] != 0 ? k.thread : NULL,
				 .title = title,
				 .model = ref,
				 .thinking = oc_json_str(e, "thinkingLevel", NULL),
				 .delivery_json = delivery_json,
				 .settings_json = settings_json,
			 });
}

static oc_status last_seq(const source *s, int64_t *ret, oc_err *err)
{
	oc_auto_json cJSON *ours = NULL;
	oc_status status = oc_store_session(s->m->store, s->key, &ours, err);
	*ret = oc_json_i64(ours, "lastSeq", 0);
	return status;
}

/* The session's row, empty, and the number its first message will have. */
static oc_status begin(const source *s, bool epoch, int64_t *ret_first, oc_err *err)
{
	oc_batch *b = oc_batch_new(s->m->store);
	if (b == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot take the session over");
	if (epoch)
		oc_batch_session_reset(b, s->key, "migrate");
	put_facts(s, b);
	oc_status status = oc_batch_commit_now(b, err);
	if (status == OC_OK)
		status = last_seq(s, ret_first, err);
	++*ret_first;
	return status;
}

/* As many rows as one piece holds. */
static oc_status put_piece(const source *s, int64_t first, size_t *row, int64_t *started_ms, oc_err *err)
{
	size_t rows = oc_import_rows(s->transcript), end = *row + PIECE_ROWS < rows ? *row + PIECE_ROWS : rows;
	oc_batch *b = oc_batch_new(s->m->store);
	oc_status status = b != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot take the session over");
	int64_t ts_ms = 0;
	for (size_t bytes = 0; status == OC_OK && *row < end && bytes < PIECE_BYTES; ++*row) {
		int64_t ms = 0;
		bytes += oc_import_row_bytes(s->transcript, *row);
		status = oc_import_put(s->transcript, *row, b, s->key, first, &ms, err);
		*started_ms = *started_ms == 0 ? ms : *started_ms;
		ts_ms = ms > 0 ? ms : ts_ms;
	}
	if (status == OC_OK)
		status = put_progress(s, b, (int64_t)*row, first, err);
	if (status != OC_OK) {
		oc_batch_free(b);
		return status;
	}
	int64_t used_ms = oc_json_i64(s->entry, "updatedAt", 0);
	used_ms = used_ms > 0 ? used_ms : ts_ms;
	if (used_ms > 0)
		oc_batch_session_times(b, s->key, *started_ms > 0 ? *started_ms : used_ms, used_ms);
	return oc_batch_commit_now(b, err);
}

static oc_status carry_out(const source *s, const plan *p, oc_err *err)
{
	oc_auto_json cJSON *ours = NULL;
	size_t row = (size_t)p->from;
	int64_t first = s->before.first, started_ms = 0;
	oc_status status = OC_OK;
	if (row == 0)
		status = begin(s, p->epoch, &first, err);
	else if ((status = oc_store_session(s->m->store, s->key, &ours, err)) == OC_OK)
		started_ms = oc_json_i64(ours, "startedAt", 0);
	while (status == OC_OK && row < oc_import_rows(s->transcript))
		status = put_piece(s, first, &row, &started_ms, err);
	return status;
}

/* ---- Looking ---- */

/* The transcript's file: only ever one of this folder, whatever the index says. */
static char *transcript_path(const source *s)
{
	const char *file = oc_path_base(oc_json_str(s->entry, "sessionFile", "")), *id = oc_json_str(s->entry, "sessionId", "");
	oc_auto_free char *named = file[0] != 0 ? oc_asprintf("%s/%s", s->dir, file) : NULL;
	if (named != NULL && oc_path_exists(named))
		return oc_strdup(named);
	return id[0] != 0 && strchr(id, '/') == NULL ? oc_asprintf("%s/%s.jsonl", s->dir, id) : NULL;
}

static void one_session(oc_migration *m, const char *agent, const char *dir, const cJSON *entry)
{
	source s = {.m = m, .agent = agent, .dir = dir, .entry = entry};
	const char *name = entry->string, *main_key = m->config != NULL ? oc_config_str(m->config, "session.mainKey", "main") : "main";
	const char *account = oc_json_str(oc_json_get(entry, "deliveryContext"), "accountId", oc_json_str(entry, "lastAccountId", ""));
	oc_auto_free char *path = transcript_path(&s);
	size_t n = 0;
	oc_err err = {0};
	oc_status status = oc_import_key(name, agent, account, main_key, s.key, &err);
	if (status == OC_OK && (path == NULL || !oc_path_exists(path)))
		return; /* nothing was ever said in it */
	if (status == OC_OK)
		status = oc_path_read(path, OC_IMPORT_BYTES_MAX, &s.text, &n, &err);
	if (status == OC_OK)
		status = oc_import_read((oc_str){s.text, n}, &s.transcript, &err);
	if (status == OC_OK && oc_import_rows(s.transcript) > 0) {
		read_progress(&s);
		plan p = decide(&s);
		bool writes = p.why == NULL && strcmp(p.action, "same") != 0;
		if (writes && m->act)
			status = carry_out(&s, &p, &err);
		if (status == OC_OK) {
			size_t broken = oc_import_broken(s.transcript);
			cJSON *item = oc_migration_note(m, "session", s.key, p.action, "%s", p.why != NULL ? p.why : "");
			if (writes)
				(void)oc_json_set_i64(item, "messages", (int64_t)oc_import_rows(s.transcript) - p.from);
			if (broken > 0)
				(void)oc_json_set_i64(item, "unreadable", (int64_t)broken);
		}
	}
	if (status != OC_OK)
		oc_migration_fail(m, "session", name, &err);
	oc_import_free(s.transcript);
	oc_free(s.text);
}

static void one_agent(oc_migration *m, const char *agent, const char *dir)
{
	static const oc_json_limits limits = {.max_bytes = INDEX_BYTES_MAX, .max_nodes = 20000000};
	oc_auto_free char *path = oc_asprintf("%s/sessions.json", dir), *text = NULL;
	oc_auto_json cJSON *index = NULL;
	const cJSON *entry;
	size_t n = 0;
	oc_err err = {0};
	if (path == NULL || !oc_path_exists(path))
		return;
	oc_status status = oc_path_read(path, INDEX_BYTES_MAX, &text, &n, &err);
	if (status == OC_OK)
		status = oc_json_parse((oc_str){text, n}, &limits, &index, &err);
	if (status == OC_OK && !cJSON_IsObject(index))
		status = oc_fail(&err, OC_E_INVALID, NULL, "%s is no list of sessions", path);
	if (status != OC_OK) {
		oc_err_prefix(&err, "cannot read %s", path);
		oc_migration_fail(m, "session", agent, &err);
		return;
	}
	cJSON_ArrayForEach(entry, index) if (cJSON_IsObject(entry)) one_session(m, agent, dir, entry);
}

static void agent_folder(oc_migration *m, const char *name)
{
	char agent[65];
	oc_auto_free char *dir = oc_asprintf("%s/agents/%s/sessions", m->from, name);
	oc_agent_id_normalize(oc_str_of(name), agent);
	if (dir != NULL)
		one_agent(m, agent, dir);
}

void oc_migrate_sessions(oc_migration *m)
{
	oc_migrate_each(m, "agents", agent_folder);
}
