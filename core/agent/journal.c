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

/* One object holds so many events at most; one session is copied at a time. */
enum { EVENTS = 500, WAIT_MS = 60 * 1000, FIRST_MS = 1000, RETRY_MS = 2000, RETRY_MAX_MS = 5 * 60 * 1000, SESSIONS_MAX = 1000 };
enum { OBJECT_MAX = 32 << 20, NAME_MAX_BYTES = 200, SESSION_MAX_BYTES = 140, LOOK_BACK_MS = 7 * 24 * 3600 * 1000 };

static const char STORE_NAME[] = "core/journal"; /* no module's name has a slash */

typedef struct dirty {
	oc_map_node node;
	char session[];
} dirty;

typedef struct oc_journal {
	oc_agent *agent;
	oc_map dirty;
	oc_watch *timer;
	bool busy, failing;
	uint64_t retry_ms;
	/* the one under way */
	char *session;
	int64_t made_ms, upto;
} journal;

static void step(void *arg);

static void soon(journal *j, uint64_t ms)
{
	if (j->timer == NULL)
		j->timer = oc_timer_start(j->agent->owner, ms, 0, step, j);
	else
		oc_timer_again(j->timer, ms);
}

static journal *journal_of(oc_agent *agent)
{
	if (agent->journal == NULL && (agent->journal = oc_alloc(sizeof(journal))) != NULL)
		*agent->journal = (journal){.agent = agent, .retry_ms = RETRY_MS};
	return agent->journal;
}

static void mark(journal *j, const char *session)
{
	size_t n = strlen(session) + 1;
	dirty *d = oc_map_find(&j->dirty, session) == NULL ? oc_alloc(sizeof *d + n) : NULL;
	if (d == NULL)
		return;
	memcpy(d->session, session, n);
	oc_map_add(&j->dirty, &d->node, d->session);
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

/* ---- What was copied: "made:seq" under the session's name ---- */

static int64_t copied(const journal *j)
{
	oc_buf *buf = NULL;
	char *rest = NULL;
	int64_t seq = 0;
	if (oc_store_kv_get(j->agent->store, STORE_NAME, oc_str_of(j->session), &buf, NULL) != OC_OK)
		return 0;
	/* A session that was deleted and made anew counts from the beginning. */
	if (strtoll(oc_buf_str(buf).p, &rest, 10) == j->made_ms && *rest == ':')
		seq = strtoll(rest + 1, NULL, 10);
	oc_buf_unref(buf);
	return seq;
}

static void note_copied(const journal *j)
{
	char text[64];
	oc_batch *b = oc_batch_new(j->agent->store);
	if (b == NULL)
		return; /* it is copied once more */
	(void)snprintf(text, sizeof text, "%" PRId64 ":%" PRId64, j->made_ms, j->upto);
	oc_batch_kv(b, STORE_NAME, oc_str_of(j->session), oc_str_of(text));
	oc_batch_lazy(b);
	(void)oc_batch_commit(b, NULL, NULL, NULL);
}

/* ---- One object ---- */

/* "sessions/agent-3amain-3amain/1767225600000/000000000001.jsonl": what is no letter, digit or '_' is written as -xx. Of a
 * session with a long name the beginning is there, then -- and its sum: a storage's names are shorter than a session's. */
static bool object_name(const journal *j, int64_t first, char out[NAME_MAX_BYTES + 1])
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_SESSION_KEY_MAX * 3);
	for (const unsigned char *p = (const unsigned char *)j->session; *p != 0; p++)
		oc_sbuf_printf(&b, isalnum(*p) || *p == '_' ? "%c" : "-%02x", *p);
	if (b.error == OC_OK && b.n > SESSION_MAX_BYTES) {
		b.n = SESSION_MAX_BYTES - 18;
		oc_sbuf_printf(&b, "--%016" PRIx64, oc_hash_z(OC_HASH_START, j->session));
	}
	bool good = b.error == OC_OK && b.n > 0;
	if (good)
		(void)snprintf(out, NAME_MAX_BYTES + 1, "sessions/%s/%" PRId64 "/%012" PRId64 ".jsonl", b.p, j->made_ms, first);
	oc_sbuf_free(&b);
	return good;
}

static void copied_now(void *arg, oc_status status, oc_str result)
{
	journal *j = arg;
	oc_err err = {0};
	j->busy = false;
	if (status == OC_OK) {
		note_copied(j);
		if (j->failing)
			oc_info("journal", "the storage takes journals again");
		j->failing = false;
		j->retry_ms = RETRY_MS;
		soon(j, 0); /* the same session again, until nothing is left of it */
		return;
	}
	oc_call_error(status, result, &err, NULL);
	if (!j->failing)
		oc_log_err(OC_LOG_WARN, "journal", "the storage did not take a session's journal; it is tried again", &err);
	j->failing = true;
	soon(j, j->retry_ms);
	j->retry_ms = j->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : j->retry_ms * 2;
}

/* false: there is nothing to copy of it now. */
static bool copy(journal *j, oc_guest *guest)
{
	oc_auto_json cJSON *row = NULL, *events = NULL;
	oc_store *store = j->agent->store;
	char name[NAME_MAX_BYTES + 1];
	const cJSON *e;
	oc_sbuf b;
	if (oc_store_session(store, j->session, &row, NULL) != OC_OK)
		return false;
	j->made_ms = oc_json_i64(row, "createdAt", 0);
	int64_t from = copied(j);
	if (oc_store_events(store, j->session, from, EVENTS, &events, NULL) != OC_OK || cJSON_GetArraySize(events) == 0)
		return false;
	if (!object_name(j, oc_json_i64(cJSON_GetArrayItem(events, 0), "seq", 0), name))
		return false;
	oc_sbuf_init(&b, OBJECT_MAX);
	cJSON_ArrayForEach(e, events)
	{
		oc_auto_free char *line = oc_json_print(e);
		if (line == NULL || b.n + strlen(line) + 2 > OBJECT_MAX)
			break; /* what is left goes into the next */
		oc_sbuf_z(&b, line);
		oc_sbuf_z(&b, "\n");
		j->upto = oc_json_i64(e, "seq", 0);
	}
	oc_call_options options = {.deadline_ms = WAIT_MS, .owner = j->agent->owner, .on_done = copied_now, .arg = j};
	oc_status status = b.error != OC_OK || b.n == 0
				   ? OC_E_NOMEM
				   : oc_storage_put(guest, oc_str_of(name), (oc_str){b.p, b.n}, &options, NULL);
	oc_sbuf_free(&b);
	j->busy = true;
	if (status != OC_OK)
		copied_now(j, status, OC_STR_NONE);
	return true;
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
		j->session = oc_strdup(OC_MAP_OWNER(node, dirty, node)->session);
		if (j->session == NULL)
			return;
		if (copy(j, guest))
			return;
		unmark(j, j->session);
	}
}

/* ---- From outside ---- */

static bool wanted(const oc_agent *agent)
{
	const char *id = NULL;
	(void)oc_modules_slot(agent->modules, OC_KIND_STORAGE, &id);
	return id != NULL && !agent->one_shot;
}

void oc_journal_touch(oc_agent *agent, const char *session)
{
	journal *j = wanted(agent) ? journal_of(agent) : NULL;
	if (j == NULL)
		return;
	mark(j, session);
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
		mark(j, oc_json_str(row, "key", ""));
	soon(j, 0);
}

void oc_journal_start(oc_agent *agent)
{
	journal *j = wanted(agent) ? journal_of(agent) : NULL;
	if (j != NULL && j->timer == NULL)
		j->timer = oc_timer_start(agent->owner, FIRST_MS, 0, look_back, j);
}

static void drop(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, dirty, node));
}

void oc_journal_free(oc_agent *agent)
{
	journal *j = agent->journal;
	if (j == NULL)
		return;
	oc_watch_end(j->timer);
	oc_map_each(&j->dirty, drop, NULL);
	oc_map_free(&j->dirty);
	oc_free(j->session);
	oc_free(j);
	agent->journal = NULL;
}
