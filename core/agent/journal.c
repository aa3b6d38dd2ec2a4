#include "core/agent/journal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/internal.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/module/call.h"

/* One object holds so many events at most; one session is looked after at a time. */
enum { EVENTS = 200, WAIT_MS = 60 * 1000, FIRST_MS = 1000, RETRY_MS = 300, RETRY_MAX_MS = 5 * 60 * 1000, SESSIONS_MAX = 1000 };
enum { OBJECT_MAX = 32 << 20, SESSION_MAX_BYTES = 140, LOOK_BACK_MS = 7 * 24 * 3600 * 1000, ROUND_MS = 3600 * 1000 };

static const char STORE_NAME[] = "core/journal"; /* no module's name has a slash */

typedef struct dirty {
	oc_map_node node;
	char session[];
} dirty;

typedef struct oc_journal {
	oc_agent *agent;
	oc_map dirty;
	oc_watch *timer, *rounds;
	bool busy, failing;
	uint64_t retry_ms, pruned;
	/* the one under way */
	char *session, *storage;
	int64_t made_ms, upto, first; /* made_ms 0: it is gone */
	cJSON *doomed;		      /* objects that go, one after the other */
} journal;

static void step(void *arg);

static void soon(journal *j, uint64_t ms)
{
	if (j->timer == NULL)
		j->timer = oc_timer_start(j->agent->owner, ms, 0, step, j);
	else
		oc_timer_again(j->timer, ms);
}

static bool mark(journal *j, oc_str session)
{
	dirty *d = oc_alloc(sizeof *d + session.n + 1);
	if (d == NULL)
		return false;
	memcpy(d->session, session.p, session.n);
	d->session[session.n] = 0;
	if (oc_map_find(&j->dirty, d->session) == NULL)
		oc_map_add(&j->dirty, &d->node, d->session);
	else
		oc_free(d);
	return true;
}

static void unmark(journal *j, const char *session)
{
	oc_map_node *node = oc_map_find(&j->dirty, session);
	if (node == NULL)
		return;
	dirty *d = OC_MAP_OWNER(node, dirty, node);
	oc_map_remove(&j->dirty, node);
	oc_free(d);
}

/* ---- What was copied: "made:upto:first:storage" under the session's name ---- */

typedef struct noted {
	int64_t made_ms, upto, first;
} noted;

/* Digits up to a mark, which goes with them. */
static bool take_number(oc_str *rest, const char *mark, int64_t *ret)
{
	char *end = NULL;
	size_t n = strlen(mark);
	if (rest->n == 0 || rest->p[0] < '0' || rest->p[0] > '9')
		return false;
	*ret = strtoll(rest->p, &end, 10);
	size_t used = (size_t)(end - rest->p);
	if (used + n > rest->n || memcmp(end, mark, n) != 0)
		return false;
	*rest = (oc_str){end + n, rest->n - used - n};
	return true;
}

/* false: nothing, or into another storage. */
static bool read_note(const journal *j, noted *ret, bool *ret_other)
{
	oc_buf *buf = NULL;
	noted n = {0};
	*ret_other = false;
	if (oc_store_kv_get(j->agent->store, STORE_NAME, oc_str_of(j->session), &buf, NULL) != OC_OK)
		return false;
	oc_str rest = oc_buf_str(buf);
	bool same = take_number(&rest, ":", &n.made_ms) && take_number(&rest, ":", &n.upto) && take_number(&rest, ":", &n.first) &&
		    oc_str_eqz(rest, j->storage);
	oc_buf_unref(buf);
	*ret = n;
	*ret_other = !same;
	return same;
}

/* text NULL: it is forgotten. */
static oc_batch *note(oc_agent *agent, const char *session, const char *text)
{
	oc_batch *b = oc_batch_new(agent->store);
	if (b != NULL)
		oc_batch_kv(b, STORE_NAME, oc_str_of(session), text != NULL ? oc_str_of(text) : OC_STR_NONE);
	return b;
}

static oc_batch *note_copied(const journal *j)
{
	oc_auto_free char *text = oc_asprintf("%" PRId64 ":%" PRId64 ":%" PRId64 ":%s", j->made_ms, j->upto, j->first, j->storage);
	return text != NULL ? note(j->agent, j->session, text) : NULL;
}

/* Nobody waits for these: at worst something is done once more. */
static void commit_lazily(oc_batch *b)
{
	if (b == NULL)
		return;
	oc_batch_lazy(b);
	(void)oc_batch_commit(b, NULL, NULL, NULL);
}

void oc_journal_note(oc_agent *agent, const char *session, int64_t made_ms, int64_t upto)
{
	const char *id = NULL;
	(void)oc_modules_slot(agent->modules, OC_KIND_STORAGE, &id);
	oc_auto_free char *text = oc_asprintf("%" PRId64 ":%" PRId64 ":1:%s", made_ms, upto, id != NULL ? id : "");
	if (text != NULL)
		commit_lazily(note(agent, session, text));
}

/* ---- Names ---- */

/* What is no letter, digit or '_' is written as -xx. Of a session with a long name the beginning is there, then -- and its
 * sum: a storage's names are shorter than a session's. */
bool oc_journal_folder(const char *session, char out[OC_JOURNAL_NAME_MAX + 1])
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_SESSION_KEY_MAX * 3);
	for (const unsigned char *p = (const unsigned char *)session; *p != 0; p++)
		oc_sbuf_printf(&b, isalnum(*p) || *p == '_' ? "%c" : "-%02x", *p);
	if (b.error == OC_OK && b.n > SESSION_MAX_BYTES) {
		b.n = SESSION_MAX_BYTES - 18;
		oc_sbuf_printf(&b, "--%016" PRIx64, oc_hash_z(OC_HASH_START, session));
	}
	bool good = b.error == OC_OK && b.n > 0;
	if (good)
		(void)snprintf(out, OC_JOURNAL_NAME_MAX + 1, "sessions/%s/", b.p);
	oc_sbuf_free(&b);
	return good;
}

bool oc_journal_object(oc_str name, oc_str *ret_folder, int64_t *ret_made_ms, int64_t *ret_first)
{
	static const char top[] = "sessions/";
	oc_str rest = name;
	if (!oc_str_starts(name, top))
		return false;
	const char *slash = memchr(name.p + sizeof top - 1, '/', name.n - (sizeof top - 1));
	if (slash == NULL)
		return false;
	size_t n = (size_t)(slash - name.p) + 1;
	*ret_folder = (oc_str){name.p, n};
	rest = (oc_str){name.p + n, name.n - n};
	return take_number(&rest, "/", ret_made_ms) && take_number(&rest, ".jsonl", ret_first) && rest.n == 0;
}

/* ---- What became of an errand ---- */

static void went_wrong(journal *j, const oc_err *err)
{
	j->busy = false;
	if (!j->failing)
		oc_log_err(OC_LOG_WARN, "journal", "the storage does not take care of a session's journal; it is tried again", err);
	j->failing = true;
	soon(j, j->retry_ms);
	j->retry_ms = j->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : j->retry_ms * 2;
}

static void went_well(journal *j)
{
	j->busy = false;
	if (j->failing)
		oc_info("journal", "the storage takes journals again");
	j->failing = false;
	j->retry_ms = RETRY_MS;
	soon(j, 0); /* the same session again, until nothing is left to do for it */
}

static void noted_now(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	journal *j = arg;
	(void)b;
	if (status == OC_OK)
		went_well(j);
	else
		went_wrong(j, err);
}

/* The errand is over when its note is in the store: the next one begins by reading it. */
static void commit_note(journal *j, oc_batch *b)
{
	oc_err err = {0};
	j->busy = true;
	if (b == NULL)
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "no memory for a session's journal");
	else
		oc_batch_lazy(b);
	if (b == NULL || oc_batch_commit(b, noted_now, j, &err) != OC_OK)
		went_wrong(j, &err);
}

/* ---- Removing ---- */

static void remove_next(journal *j);

static void removed(void *arg, oc_status status, oc_str result)
{
	journal *j = arg;
	oc_err err = {0};
	if (status == OC_OK) {
		cJSON_DeleteItemFromArray(j->doomed, 0);
		remove_next(j);
		return;
	}
	oc_call_error(status, result, &err, NULL);
	went_wrong(j, &err);
}

static void remove_next(journal *j)
{
	const cJSON *name = cJSON_GetArrayItem(j->doomed, 0);
	oc_guest *guest = oc_modules_slot(j->agent->modules, OC_KIND_STORAGE, NULL);
	oc_call_options options = {.deadline_ms = WAIT_MS, .owner = j->agent->owner, .on_done = removed, .arg = j};
	oc_err err = {0};
	if (name == NULL) {
		commit_note(j, j->made_ms != 0 ? note_copied(j) : note(j->agent, j->session, NULL));
		return;
	}
	oc_status status = guest == NULL ? OC_E_UNAVAILABLE : oc_storage_remove(guest, oc_str_of(name->valuestring), &options, NULL);
	if (status != OC_OK) {
		(void)oc_fail(&err, status, NULL, "%s", oc_status_text(status));
		went_wrong(j, &err);
	}
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* The first number of the object that the first event that is left lies in: those before it go. */
static int64_t limit_of(const journal *j, const cJSON *names)
{
	const cJSON *name;
	oc_str folder;
	int64_t made, first, limit = 0;
	size_t n = 0;
	int64_t *all = oc_calloc((size_t)cJSON_GetArraySize(names) + 1, sizeof *all);
	if (all == NULL)
		return 0;
	cJSON_ArrayForEach(name, names)
		if (oc_journal_object(oc_str_of(name->valuestring), &folder, &made, &first) && made == j->made_ms)
			all[n++] = first;
	qsort(all, n, sizeof *all, by_number);
	for (size_t i = 0; i < n && all[i] <= j->first; i++)
		limit = all[i];
	oc_free(all);
	return limit;
}

/* Those of sessions that are gone, and of this one what lies before its beginning. */
static void listed(void *arg, oc_status status, const cJSON *names, const oc_err *err)
{
	journal *j = arg;
	const cJSON *name;
	oc_str folder;
	int64_t made = 0, first = 0, limit;
	if (status != OC_OK) {
		went_wrong(j, err);
		return;
	}
	limit = limit_of(j, names);
	cJSON_Delete(j->doomed);
	j->doomed = cJSON_CreateArray();
	cJSON_ArrayForEach(name, names)
	{
		bool ours = oc_journal_object(oc_str_of(name->valuestring), &folder, &made, &first);
		if (ours && (made != j->made_ms || first < limit))
			(void)cJSON_AddItemToArray(j->doomed, cJSON_CreateString(name->valuestring));
	}
	remove_next(j);
}

static void begin_removing(journal *j, oc_guest *guest)
{
	char folder[OC_JOURNAL_NAME_MAX + 1];
	oc_err err = {0};
	j->busy = true;
	oc_status status = !oc_journal_folder(j->session, folder) ? OC_E_NOMEM
								  : oc_journal_names_below(j->agent, guest, folder, listed, j);
	if (status != OC_OK) {
		(void)oc_fail(&err, status, NULL, "%s", oc_status_text(status));
		went_wrong(j, &err);
	}
}

/* ---- Copying: one object ---- */

static void copied_now(void *arg, oc_status status, oc_str result)
{
	journal *j = arg;
	oc_err err = {0};
	if (status == OC_OK) {
		commit_note(j, note_copied(j));
		return;
	}
	oc_call_error(status, result, &err, NULL);
	went_wrong(j, &err);
}

static void add_line(oc_sbuf *b, cJSON *line)
{
	oc_auto_free char *text = oc_json_print(line);
	if (text == NULL)
		b->error = OC_E_NOMEM;
	else if (b->n + strlen(text) + 2 <= OBJECT_MAX)
		oc_sbuf_printf(b, "%s\n", text);
}

/* The session as it is now, then what happened in it, a line each. false: there is nothing to copy of it now. */
static bool copy(journal *j, oc_guest *guest, cJSON *session, int64_t from)
{
	oc_auto_json cJSON *events = NULL, *head = cJSON_CreateObject();
	char name[OC_JOURNAL_NAME_MAX + 1];
	cJSON *e;
	oc_sbuf b;
	if (oc_store_journal(j->agent->store, j->session, from, EVENTS, &events, NULL) != OC_OK || cJSON_GetArraySize(events) == 0)
		return false;
	if (!oc_journal_folder(j->session, name))
		return false;
	size_t n = strlen(name);
	(void)snprintf(name + n, sizeof name - n, "%" PRId64 "/%012" PRId64 ".jsonl", j->made_ms,
		       oc_json_i64(cJSON_GetArrayItem(events, 0), "seq", 0));
	oc_sbuf_init(&b, OBJECT_MAX);
	(void)cJSON_AddItemReferenceToObject(head, "session", session);
	add_line(&b, head);
	cJSON_ArrayForEach(e, events)
	{
		size_t before = b.n;
		add_line(&b, e);
		if (b.n == before)
			break; /* what is left goes into the next */
		j->upto = oc_json_i64(e, "seq", 0);
	}
	oc_call_options options = {.deadline_ms = WAIT_MS, .owner = j->agent->owner, .on_done = copied_now, .arg = j};
	oc_status status = b.error != OC_OK || j->upto == from
				   ? OC_E_NOMEM
				   : oc_storage_put(guest, oc_str_of(name), (oc_str){b.p, b.n}, &options, NULL);
	oc_sbuf_free(&b);
	j->busy = true;
	if (status != OC_OK)
		copied_now(j, status, OC_STR_NONE);
	return true;
}

/* ---- One session ---- */

/* It is noted before its first object is written: whatever happens then, it is known that there may be some. */
static bool note_first(journal *j)
{
	j->upto = 0;
	commit_note(j, note_copied(j));
	return true;
}

/* false: there is nothing to do for it now. */
static bool look_after(journal *j, oc_guest *guest)
{
	oc_auto_json cJSON *row = NULL;
	noted was = {0};
	bool other = false, known = read_note(j, &was, &other);
	oc_status status = oc_store_session(j->agent->store, j->session, &row, NULL);
	if (status != OC_OK && status != OC_E_NOT_FOUND)
		return false;
	j->made_ms = status == OC_OK ? oc_json_i64(row, "createdAt", 0) : 0;
	j->first = status == OC_OK ? oc_store_session_first(j->agent->store, j->session) : 0;
	j->upto = known && was.made_ms == j->made_ms ? was.upto : 0;
	if (j->made_ms == 0 && !known) {
		if (other) /* of another storage, which cannot be asked any more */
			commit_lazily(note(j->agent, j->session, NULL));
		return false;
	}
	if (known && (was.made_ms != j->made_ms || was.first < j->first)) {
		begin_removing(j, guest);
		return true;
	}
	return known ? copy(j, guest, row, j->upto) : note_first(j);
}

static void step(void *arg)
{
	journal *j = arg;
	const char *id = NULL;
	oc_guest *guest = oc_modules_slot(j->agent->modules, OC_KIND_STORAGE, &id);
	oc_watch_end(j->timer);
	j->timer = NULL;
	for (;;) {
		oc_map_node *node = oc_map_any(&j->dirty);
		if (node == NULL || id == NULL)
			return;
		if (j->busy)
			return;
		if (guest == NULL) { /* not started yet, or it fell down: what is dirty stays so */
			if (!j->failing)
				oc_warn("journal", "the storage \"%s\" (modules.slots.storage) does not run: journals wait for it", id);
			j->failing = true;
			soon(j, j->retry_ms);
			return;
		}
		oc_free(j->session);
		oc_free(j->storage);
		j->session = oc_strdup(OC_MAP_OWNER(node, dirty, node)->session);
		j->storage = oc_strdup(id);
		if (j->session == NULL || j->storage == NULL)
			return;
		if (look_after(j, guest))
			return;
		unmark(j, j->session);
	}
}

/* ---- Rounds: what the store lost without telling ---- */

static bool mark_stale(void *arg, oc_str session)
{
	return mark(arg, session);
}

/* Retention works in the store's own thread, and a command may have deleted sessions while no gateway ran. */
static void look_for_stale(void *arg)
{
	journal *j = arg;
	(void)oc_store_kv_stale(j->agent->store, STORE_NAME, mark_stale, j, NULL);
	if (!j->busy && j->timer == NULL)
		soon(j, 0);
}

static uint64_t pruned(const journal *j)
{
	oc_store_stats s;
	oc_store_get_stats(j->agent->store, &s);
	return s.pruned_sessions + s.pruned_events;
}

/* ---- From outside ---- */

static bool wanted(const oc_agent *agent)
{
	const char *id = NULL;
	(void)oc_modules_slot(agent->modules, OC_KIND_STORAGE, &id);
	return id != NULL && !agent->one_shot;
}

static journal *journal_of(oc_agent *agent)
{
	if (!wanted(agent))
		return NULL;
	if (agent->journal == NULL && (agent->journal = oc_alloc(sizeof(journal))) != NULL)
		*agent->journal = (journal){.agent = agent, .retry_ms = RETRY_MS};
	return agent->journal;
}

void oc_journal_touch(oc_agent *agent, const char *session)
{
	journal *j = journal_of(agent);
	if (j == NULL)
		return;
	(void)mark(j, oc_str_of(session));
	uint64_t now = pruned(j);
	if (now != j->pruned)
		look_for_stale(j);
	j->pruned = now;
	if (!j->busy && j->timer == NULL)
		soon(j, 0);
}

static void look_back(void *arg)
{
	journal *j = arg;
	oc_session_filter filter = {.active_since_ms = oc_wall_ms() - LOOK_BACK_MS, .limit = SESSIONS_MAX};
	oc_auto_json cJSON *rows = NULL;
	const cJSON *row;
	oc_watch_end(j->timer);
	j->timer = NULL;
	if (oc_store_sessions(j->agent->store, &filter, &rows, NULL) != OC_OK)
		return;
	cJSON_ArrayForEach(row, rows)
		(void)mark(j, oc_json_ostr(row, "key"));
	look_for_stale(j);
}

void oc_journal_start(oc_agent *agent)
{
	journal *j = journal_of(agent);
	if (j == NULL)
		return;
	if (j->timer == NULL)
		j->timer = oc_timer_start(agent->owner, FIRST_MS, 0, look_back, j);
	if (j->rounds == NULL)
		j->rounds = oc_timer_start(agent->owner, ROUND_MS, ROUND_MS, look_for_stale, j);
}

static void drop(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, dirty, node));
}

void oc_journal_free(oc_agent *agent)
{
	journal *j = agent->journal;
	oc_journal_asks_free(agent);
	if (j == NULL)
		return;
	oc_watch_end(j->timer);
	oc_watch_end(j->rounds);
	oc_map_each(&j->dirty, drop, NULL);
	oc_map_free(&j->dirty);
	cJSON_Delete(j->doomed);
	oc_free(j->session);
	oc_free(j->storage);
	oc_free(j);
	agent->journal = NULL;
}
