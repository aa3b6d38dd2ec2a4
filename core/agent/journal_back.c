/* Journals read: what a storage holds, and a session made again from it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/internal.h"
#include "core/agent/journal.h"
#include "core/base/id.h"
#include "core/module/call.h"

enum { WAIT_MS = 60 * 1000, PAGE = 1000, NAMES_MAX = 500 * 1000, LINES_MAX = 64 << 20 };

/* One thing that is asked of the storage, in several calls. */
typedef struct oc_journal_ask {
	struct oc_journal_ask *next;
	oc_agent *agent;
	/* Names below a prefix. */
	char *prefix;
	cJSON *names;
	oc_journal_names on_names;
	/* A session that is brought back. */
	char key[OC_SESSION_KEY_MAX], aside[OC_SESSION_KEY_MAX], folder[OC_JOURNAL_NAME_MAX + 1];
	int64_t made_ms, upto;
	cJSON *objects; /* of it, in order; the first is the next */
	cJSON *rows, *facts;
	bool other_name, begun;
	oc_err err;
	oc_journal_done on_done;
	void *arg;
} ask;

static void free_ask(ask *a)
{
	oc_free(a->prefix);
	cJSON_Delete(a->names);
	cJSON_Delete(a->objects);
	cJSON_Delete(a->rows);
	cJSON_Delete(a->facts);
	oc_free(a);
}

static ask *new_ask(oc_agent *agent, void *arg)
{
	ask *a = oc_alloc(sizeof *a);
	if (a == NULL)
		return NULL;
	*a = (ask){.next = agent->journal_asks, .agent = agent, .arg = arg};
	agent->journal_asks = a;
	return a;
}

static void end_ask(ask *a)
{
	ask **at = &a->agent->journal_asks;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free_ask(a);
}

void oc_journal_asks_free(oc_agent *agent)
{
	while (agent->journal_asks != NULL)
		end_ask(agent->journal_asks);
}

static oc_guest *storage_of(const oc_agent *agent, oc_err *err)
{
	const char *id = NULL;
	oc_guest *guest = oc_modules_slot(agent->modules, OC_KIND_STORAGE, &id);
	if (id == NULL)
		(void)oc_fail(err, OC_E_STATE, "openclaw config set modules.slots.storage NAME", "no storage is chosen");
	else if (guest == NULL)
		(void)oc_fail(err, OC_E_UNAVAILABLE, "openclaw module doctor", "the storage \"%s\" (modules.slots.storage) does not run", id);
	return guest;
}

/* ---- Names below a prefix, a page at a time ---- */

static oc_status ask_page(ask *a, oc_guest *storage);

static void tell_names(ask *a, oc_status status)
{
	oc_journal_names done = a->on_names;
	void *arg = a->arg;
	cJSON *names = a->names;
	oc_err err = a->err;
	a->names = NULL;
	end_ask(a);
	done(arg, status, status == OC_OK ? names : NULL, &err);
	cJSON_Delete(names);
}

/* What it says is not believed: a name that is none of those asked for would be removed, or a page would come for ever. */
static oc_status take_page(ask *a, const cJSON *page)
{
	const cJSON *object;
	int before = cJSON_GetArraySize(a->names);
	cJSON_ArrayForEach(object, oc_json_get(page, "objects"))
	{
		oc_str name = oc_json_ostr(object, "name");
		cJSON *one = NULL;
		if (!oc_str_starts(name, a->prefix) || name.n > OC_JOURNAL_NAME_MAX || strlen(name.p) != name.n)
			return oc_fail(&a->err, OC_E_PROTOCOL, NULL, "the storage lists what was not asked for");
		one = cJSON_CreateString(name.p);
		if (one == NULL || !cJSON_AddItemToArray(a->names, one))
			return oc_fail(&a->err, OC_E_NOMEM, NULL, "no memory for the storage's list");
	}
	int now = cJSON_GetArraySize(a->names);
	if (!oc_json_bool(page, "more", false))
		return OC_OK;
	if (now == before || now > NAMES_MAX)
		return oc_fail(&a->err, OC_E_PROTOCOL, NULL, "the storage's list does not end");
	return OC_E_BUSY;
}

static void on_page(void *arg, oc_status status, oc_str result)
{
	ask *a = arg;
	oc_auto_json cJSON *page = NULL;
	if (status != OC_OK)
		oc_call_error(status, result, &a->err, NULL);
	else
		status = oc_json_parse(result, NULL, &page, &a->err);
	if (status == OC_OK)
		status = take_page(a, page);
	oc_guest *storage = status == OC_E_BUSY ? storage_of(a->agent, &a->err) : NULL;
	if (status == OC_E_BUSY && storage != NULL && (status = ask_page(a, storage)) == OC_OK)
		return;
	tell_names(a, status == OC_E_BUSY ? OC_E_UNAVAILABLE : status);
}

static oc_status ask_page(ask *a, oc_guest *storage)
{
	const cJSON *last = a->names->child != NULL ? a->names->child->prev : NULL;
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "prefix", a->prefix);
	oc_json_opt(o, "after", last != NULL ? last->valuestring : NULL);
	(void)oc_json_set_i64(o, "limit", PAGE);
	oc_auto_free char *json = oc_json_print(o);
	oc_call_options options = {.deadline_ms = WAIT_MS, .owner = a->agent->owner, .on_done = on_page, .arg = a};
	oc_status status = json != NULL ? oc_storage_list(storage, oc_str_of(json), &options, NULL) : OC_E_NOMEM;
	return status == OC_OK ? OC_OK : oc_fail(&a->err, status, NULL, "the storage cannot be asked: %s", oc_status_text(status));
}

oc_status oc_journal_names_below(oc_agent *agent, oc_guest *storage, const char *prefix, oc_journal_names done, void *arg)
{
	ask *a = new_ask(agent, arg);
	if (a == NULL)
		return OC_E_NOMEM;
	a->prefix = oc_strdup(prefix);
	a->names = cJSON_CreateArray();
	a->on_names = done;
	oc_status status = a->prefix == NULL || a->names == NULL ? OC_E_NOMEM : ask_page(a, storage);
	if (status != OC_OK)
		end_ask(a);
	return status;
}

/* ---- What there is ---- */

/* "agent-3amain-3amain" back into the key; false: its name was too long, and a sum stands for its end. */
static bool key_of(oc_str folder, char out[OC_SESSION_KEY_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;
	oc_str part = {folder.p + 9, folder.n - 10}; /* without "sessions/" and the slash */
	for (size_t i = 0; i < part.n; i++) {
		const char *high = NULL, *low = NULL;
		if (n + 1 >= OC_SESSION_KEY_MAX)
			return false;
		if (part.p[i] != '-') {
			out[n++] = part.p[i];
			continue;
		}
		if (i + 2 >= part.n || (high = strchr(digits, part.p[i + 1])) == NULL || (low = strchr(digits, part.p[i + 2])) == NULL)
			return false;
		out[n++] = (char)((high - digits) * 16 + (low - digits));
		i += 2;
	}
	out[n] = 0;
	return n > 0 && strlen(out) == n;
}

static void add_row(oc_agent *agent, cJSON *rows, oc_str folder, int64_t made)
{
	cJSON *row = cJSON_CreateObject();
	char key[OC_SESSION_KEY_MAX];
	oc_auto_json cJSON *here = NULL;
	oc_auto_free char *name = oc_memdup(folder.p + 9, folder.n - 10);
	if (key_of(folder, key)) {
		(void)oc_json_set_str(row, "session", key);
		(void)oc_json_set_bool(row, "here", oc_store_session(agent->store, key, &here, NULL) == OC_OK);
	}
	oc_json_opt(row, "name", name);
	(void)oc_json_set_i64(row, "createdAt", made);
	(void)oc_json_set_i64(row, "objects", 0);
	(void)cJSON_AddItemToArray(rows, row);
}

static void on_listed(void *arg, oc_status status, const cJSON *names, const oc_err *err)
{
	ask *a = arg;
	cJSON *rows = cJSON_CreateArray(), *row = NULL;
	const cJSON *name;
	oc_str before = OC_STR_NONE;
	int64_t made_before = 0;
	/* Objects of one journal mostly follow one another: those that do not give a second row. */
	cJSON_ArrayForEach(name, names)
	{
		oc_str folder;
		int64_t made, first;
		if (!oc_journal_object(oc_str_of(name->valuestring), &folder, &made, &first))
			continue;
		if (!oc_str_eq(folder, before) || made != made_before)
			add_row(a->agent, rows, folder, made);
		before = folder;
		made_before = made;
		row = rows != NULL && rows->child != NULL ? rows->child->prev : NULL;
		(void)oc_json_set_i64(row, "objects", oc_json_i64(row, "objects", 0) + 1);
	}
	oc_journal_done done = a->on_done;
	void *to = a->arg;
	end_ask(a);
	done(to, status, rows, err);
}

static oc_status begin_names(ask *a, const char *prefix, oc_journal_names done, oc_err *err)
{
	oc_guest *storage = storage_of(a->agent, err);
	if (storage == NULL)
		return err->code;
	oc_status status = oc_journal_names_below(a->agent, storage, prefix, done, a);
	return status == OC_OK ? OC_OK : oc_fail(err, status, NULL, "the storage cannot be asked: %s", oc_status_text(status));
}

oc_status oc_journal_list(oc_agent *agent, oc_journal_done done, void *arg, oc_err *err)
{
	ask *a = new_ask(agent, arg);
	if (a == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the storage's list");
	a->on_done = done;
	oc_status status = begin_names(a, "sessions/", on_listed, err);
	if (status != OC_OK)
		end_ask(a);
	return status;
}

/* ---- Bringing one back ---- */

static void next_object(ask *a);

static void over(ask *a, oc_status status)
{
	oc_journal_done done = a->on_done;
	void *arg = a->arg;
	oc_err err = a->err;
	cJSON *result = NULL;
	if (status != OC_OK && a->begun) {
		oc_batch *b = oc_batch_new(a->agent->store);
		if (b != NULL)
			oc_batch_session_delete(b, a->aside);
		(void)oc_batch_commit(b, NULL, NULL, NULL);
	}
	if (status == OC_OK) {
		oc_auto_json cJSON *row = NULL;
		(void)oc_store_session(a->agent->store, a->key, &row, NULL);
		result = cJSON_CreateObject();
		oc_json_opt(result, "session", a->key);
		(void)oc_json_set_i64(result, "messages", oc_json_i64(row, "messages", 0));
		cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "change", "created");
		oc_json_opt(data, "key", a->key);
		oc_agent_emit_plain(a->agent, OC_AGENT_EV_SESSION, a->key, data);
		if (a->other_name)
			oc_journal_touch(a->agent, a->key); /* it gets a journal of its own */
		else
			oc_journal_note(a->agent, a->key, a->made_ms, a->upto);
	}
	end_ask(a);
	done(arg, status, result, &err);
}

static oc_status write_rows(oc_tx *tx, void *arg, oc_err *err)
{
	const ask *a = arg;
	bool last = cJSON_GetArraySize(a->objects) == 0;
	return oc_tx_bring_back(tx, &(oc_bring_back){.key = a->key, .aside = a->aside, .rows = a->rows, .first = !a->begun,
						     .facts = last ? a->facts : NULL}, err);
}

static void on_written(void *arg, oc_status status, const oc_err *err)
{
	ask *a = arg;
	if (status != OC_OK)
		a->err = *err;
	else
		a->begun = true;
	if (status != OC_OK || cJSON_GetArraySize(a->objects) == 0)
		over(a, status);
	else if (!a->agent->draining)
		next_object(a);
}

/* The facts of the session are in the first line; those of the last object count. */
static oc_status take_object(ask *a, oc_str text)
{
	oc_status status = OC_OK;
	cJSON_Delete(a->rows);
	a->rows = cJSON_CreateArray();
	while (text.n > 0 && status == OC_OK) {
		oc_str line = oc_str_cut(&text, '\n');
		cJSON *one = NULL;
		if (line.n == 0)
			continue;
		status = oc_json_parse(line, &(oc_json_limits){.max_bytes = LINES_MAX}, &one, &a->err);
		cJSON *facts = cJSON_DetachItemFromObjectCaseSensitive(one, "session");
		if (facts != NULL) {
			cJSON_Delete(a->facts);
			a->facts = facts;
			cJSON_Delete(one);
		} else if (status == OC_OK) {
			a->upto = oc_json_i64(one, "seq", a->upto);
			(void)cJSON_AddItemToArray(a->rows, one);
		}
	}
	if (status == OC_OK && (a->facts == NULL || cJSON_GetArraySize(a->rows) == 0))
		status = oc_fail(&a->err, OC_E_PROTOCOL, NULL, "an object of the storage is no journal");
	return status;
}

/* Another name: nothing of where the first one's messages came from goes with it. */
static void rename_facts(const ask *a)
{
	static const char *const own[] = {"channel", "account", "peer", "thread", "delivery", "sessionId", "createdAt", NULL};
	oc_session_key parts;
	if (!a->other_name || oc_session_key_parse(oc_str_of(a->key), &parts, NULL) != OC_OK)
		return;
	for (size_t i = 0; own[i] != NULL; i++)
		cJSON_DeleteItemFromObjectCaseSensitive(a->facts, own[i]);
	(void)oc_json_set_str(a->facts, "agent", parts.agent);
	(void)oc_json_set_str(a->facts, "kind", parts.kind);
}

static void on_object(void *arg, oc_status status, oc_str result)
{
	ask *a = arg;
	if (status != OC_OK)
		oc_call_error(status, result, &a->err, NULL);
	else
		status = take_object(a, result);
	if (status == OC_OK) {
		cJSON_DeleteItemFromArray(a->objects, 0);
		rename_facts(a);
		status = oc_store_write(a->agent->store, write_rows, on_written, a);
		if (status != OC_OK)
			(void)oc_fail(&a->err, status, "try again", "the store does not take it now: %s", oc_status_text(status));
	}
	if (status != OC_OK)
		over(a, status);
}

static void next_object(ask *a)
{
	const cJSON *name = cJSON_GetArrayItem(a->objects, 0);
	oc_guest *storage = storage_of(a->agent, &a->err);
	oc_call_options options = {.deadline_ms = WAIT_MS, .owner = a->agent->owner, .on_done = on_object, .arg = a};
	oc_status status = storage == NULL ? a->err.code : oc_storage_get(storage, oc_str_of(name->valuestring), &options, NULL);
	if (status != OC_OK && storage != NULL)
		(void)oc_fail(&a->err, status, NULL, "the storage cannot be asked: %s", oc_status_text(status));
	if (status != OC_OK)
		over(a, status);
}

/* The newest journal's objects, in order of their numbers (which are as long as one another). */
static int by_name(const void *x, const void *y)
{
	return strcmp((*(cJSON *const *)x)->valuestring, (*(cJSON *const *)y)->valuestring);
}

static bool take_newest(ask *a, const cJSON *names)
{
	const cJSON *name;
	oc_str folder;
	int64_t made, first;
	size_t n = 0;
	cJSON **all = oc_calloc((size_t)cJSON_GetArraySize(names) + 1, sizeof(cJSON *));
	cJSON_ArrayForEach(name, names)
		if (oc_journal_object(oc_str_of(name->valuestring), &folder, &made, &first) && made > a->made_ms)
			a->made_ms = made;
	cJSON_ArrayForEach(name, names)
		if (all != NULL && oc_journal_object(oc_str_of(name->valuestring), &folder, &made, &first) && made == a->made_ms)
			all[n++] = (cJSON *)name;
	if (n > 0)
		qsort(all, n, sizeof(cJSON *), by_name);
	a->objects = cJSON_CreateArray();
	for (size_t i = 0; i < n; i++)
		(void)cJSON_AddItemToArray(a->objects, cJSON_CreateString(all[i]->valuestring));
	oc_free(all);
	return n > 0;
}

static void on_found(void *arg, oc_status status, const cJSON *names, const oc_err *err)
{
	ask *a = arg;
	if (status != OC_OK) {
		a->err = *err;
		over(a, status);
	} else if (!take_newest(a, names)) {
		over(a, oc_fail(&a->err, OC_E_NOT_FOUND, "openclaw sessions stored", "the storage has no journal of %s", a->folder));
	} else {
		next_object(a);
	}
}

static oc_status resolve(oc_agent *agent, oc_str name, char out[OC_SESSION_KEY_MAX], oc_err *err)
{
	char id[65];
	return oc_session_key_resolve(name, oc_agent_default_id(agent->config, id), oc_agent_main_key(agent->config), out, err);
}

static oc_status begin_restore(ask *a, oc_str session, oc_str as, oc_err *err)
{
	char token[13], aside[40];
	oc_auto_json cJSON *there = NULL;
	oc_str folder = OC_STR_NONE;
	oc_auto_free char *listed = oc_asprintf("sessions/%.*s/", OC_STR_ARG(session));
	bool by_list = listed != NULL && oc_str_starts(session, "agent-3a") && strlen(listed) <= OC_JOURNAL_NAME_MAX && !oc_str_has(session, "/");
	oc_status status = OC_OK;
	a->other_name = as.n > 0;
	if (by_list) {
		folder = oc_str_of(listed);
		(void)snprintf(a->folder, sizeof a->folder, "%s", listed);
		if (as.n == 0 && !key_of(folder, a->key))
			return oc_fail(err, OC_E_INVALID, "say --as NAME", "the storage's name does not tell that of the session");
	} else {
		status = resolve(a->agent, session, a->key, err);
		if (status == OC_OK && !oc_journal_folder(a->key, a->folder))
			status = oc_fail(err, OC_E_NOMEM, NULL, "no memory to bring a session back");
	}
	if (status == OC_OK && as.n > 0)
		status = resolve(a->agent, as, a->key, err);
	(void)snprintf(aside, sizeof aside, "restoring-%s", oc_id_token(token, 12));
	if (status == OC_OK)
		status = resolve(a->agent, oc_str_of(aside), a->aside, err);
	if (status == OC_OK && oc_store_session(a->agent->store, a->key, &there, NULL) == OC_OK)
		status = oc_fail(err, OC_E_EXISTS, "delete it first, or bring it back under another name (--as)", "there is a session %s",
				 a->key);
	return status == OC_OK ? begin_names(a, a->folder, on_found, err) : status;
}

oc_status oc_journal_restore(oc_agent *agent, oc_str session, oc_str as, oc_journal_done done, void *arg, oc_err *err)
{
	ask *a = new_ask(agent, arg);
	if (a == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to bring a session back");
	a->on_done = done;
	oc_status status = begin_restore(a, session, as, err);
	if (status != OC_OK)
		end_ask(a);
	return status;
}
