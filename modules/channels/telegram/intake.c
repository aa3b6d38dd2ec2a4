/*
 * Messages on their way to the host.  Those of one chat go one after the other, in the order Telegram gave them; many chats go
 * at once, so that the host can commit all of them together.  Files are fetched for a few at a time.  Whoever waits for a
 * message hears of it when it is committed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

#define AHEAD 4 /* items whose files are fetched at once */
#define AT_ONCE 100 /* items that are looked at: what one answer of getUpdates brings */
#define ITEMS_MAX 400
#define RETRY_MS 100
#define RETRY_MAX_MS 5000

typedef struct waiter {
	struct waiter *next;
	tg_committed done;
	void *arg;
	oc_call *call;
} waiter;

typedef struct slot {
	tg_item *item;
	tg_fetch *fetch;
	char *path; /* NULL: not there (yet) */
} slot;

struct tg_item {
	tg_item *next; /* in the account's list, or the module's of orphans */
	tg_account *a; /* NULL: the account ended while the host had the message */
	tg_module *m;
	tg_inbound in;
	waiter *waiters;
	slot slots[TG_FILES_MAX];
	size_t fetching;
	oc_watch *retry;
	unsigned tries;
	bool started;  /* its files are being fetched or are there */
	bool received; /* the host has it */
};

static void advance(tg_account *a);

void tg_intake_tell(tg_module *m)
{
	size_t most = 0;
	for (const tg_account *a = m->accounts; a != NULL; a = a->next)
		most = a->n_items > most ? a->n_items : most;
	if (OC_HAS(m->host, gauge))
		m->host->gauge(m->self, OC_STR("intake"), most < ITEMS_MAX ? most : ITEMS_MAX, ITEMS_MAX);
}

tg_item *tg_item_new(tg_account *a, tg_inbound *in)
{
	tg_item *item = calloc(1, sizeof *item);
	if (item == NULL)
		return NULL;
	item->a = a;
	item->m = a->m;
	item->in = *in;
	memset(in, 0, sizeof *in);
	tg_account_ref(a);
	return item;
}

tg_inbound *tg_item_inbound(tg_item *item)
{
	return &item->in;
}

bool tg_item_wait(tg_item *item, tg_committed done, void *arg, oc_call *call)
{
	waiter *w = calloc(1, sizeof *w);
	if (w == NULL)
		return false;
	*w = (waiter){item->waiters, done, arg, call};
	item->waiters = w;
	return true;
}

static void tell(tg_module *m, waiter *w, oc_status status)
{
	while (w != NULL) {
		waiter *next = w->next;
		w->done(m, w->arg, w->call, status);
		free(w);
		w = next;
	}
}

static void item_free(tg_item *item, oc_status status)
{
	waiter *w = item->waiters;
	tg_account *a = item->a;
	tg_module *m = item->m;
	tg_timer_end(m, &item->retry);
	for (size_t i = 0; i < TG_FILES_MAX; i++) {
		tg_fetch_cancel(item->slots[i].fetch);
		free(item->slots[i].path);
	}
	tg_inbound_free(&item->in);
	free(item);
	tell(m, w, status);
	if (a != NULL)
		tg_account_unref(a);
}

void tg_item_drop(tg_item *item, oc_status status)
{
	item_free(item, status);
}

/* ---- Files ---- */

static void note_missing(tg_item *item, const tg_file *file, const char *why)
{
	char line[512];
	snprintf(line, sizeof line, "[the %s \"%s\" was not loaded: %s]", file->noun, file->name, why);
	if (!tg_inbound_note(&item->in, line))
		tg_log(item->m, item->a, OC_LOG_ERROR, "out of memory");
	tg_log(item->m, item->a, OC_LOG_WARN, "%s", line);
}

static void on_fetched(void *arg, oc_status status, const char *path_or_text)
{
	slot *s = arg;
	tg_item *item = s->item;
	s->fetch = NULL;
	item->fetching--;
	if (status == OC_OK)
		s->path = tg_memdup(path_or_text, strlen(path_or_text));
	if (status != OC_OK || s->path == NULL)
		note_missing(item, &item->in.files[s - item->slots], status != OC_OK ? path_or_text : "out of memory");
	advance(item->a);
}

/* Strangers must not fill the disk: their files are loaded when the host would let the message in. */
static bool is_admitted(tg_item *item)
{
	tg_module *m = item->m;
	if (item->in.n_files == 0 || !OC_HAS(m->channel, admits))
		return true;
	char *text = cJSON_PrintUnformatted(item->in.message);
	bool admitted = text != NULL && m->channel->admits(m->self, oc_str_of(text)) != 0;
	cJSON_free(text);
	for (size_t i = 0; i < item->in.n_files && !admitted; i++) {
		char line[200];
		snprintf(line, sizeof line, "[%s %s]", item->in.files[i].noun, item->in.files[i].name);
		(void)tg_inbound_note(&item->in, line);
	}
	return admitted;
}

static void start_files(tg_item *item)
{
	char prefix[80];
	item->started = true;
	if (!is_admitted(item))
		return;
	for (size_t i = 0; i < item->in.n_files; i++) {
		slot *s = &item->slots[i];
		const tg_file *file = &item->in.files[i];
		s->item = item;
		if (file->bytes >= 0 && (uint64_t)file->bytes > item->a->config.file_max_in) {
			char why[160];
			snprintf(why, sizeof why, "it has %.1f MB, and the limit is %.1f MB (channels.telegram.mediaMaxMb)",
				 (double)file->bytes / 1048576, (double)item->a->config.file_max_in / 1048576);
			note_missing(item, file, why);
			continue;
		}
		snprintf(prefix, sizeof prefix, "%s-%.40s", item->in.chat, tg_json_str(item->in.message, "id", "0"));
		s->fetch = tg_fetch_start(item->a, file, prefix, on_fetched, s);
		if (s->fetch == NULL)
			note_missing(item, file, "out of memory");
		else
			item->fetching++;
	}
}

static bool add_media(tg_item *item)
{
	cJSON *media = cJSON_CreateArray();
	bool ok = media != NULL;
	cJSON_DeleteItemFromObjectCaseSensitive(item->in.message, "media"); /* of an earlier try */
	for (size_t i = 0; ok && i < item->in.n_files; i++) {
		const tg_file *file = &item->in.files[i];
		if (item->slots[i].path == NULL)
			continue;
		cJSON *one = cJSON_CreateObject();
		ok = one != NULL && cJSON_AddItemToArray(media, one)
		     && cJSON_AddStringToObject(one, "type", file->type) != NULL
		     && cJSON_AddStringToObject(one, "path", item->slots[i].path) != NULL
		     && cJSON_AddStringToObject(one, "mime", file->mime) != NULL
		     && cJSON_AddStringToObject(one, "name", file->name) != NULL
		     && (file->bytes < 0 || cJSON_AddNumberToObject(one, "bytes", (double)file->bytes) != NULL);
	}
	if (ok && cJSON_GetArraySize(media) > 0)
		return cJSON_AddItemToObject(item->in.message, "media", media);
	cJSON_Delete(media);
	return ok;
}

/* ---- To the host ---- */

static void retry_now(void *arg)
{
	tg_item *item = arg;
	tg_timer_end(item->m, &item->retry);
	advance(item->a);
}

static void remove_item(tg_account *a, const tg_item *item)
{
	tg_item **at = &a->items, *before = NULL;
	while (*at != item) {
		before = *at;
		at = &before->next;
	}
	*at = item->next;
	if (a->items_end == item)
		a->items_end = before;
	a->n_items--;
	tg_intake_tell(a->m);
}

static void forget_orphan(const tg_item *item)
{
	for (tg_item **at = &item->m->orphans; *at != NULL; at = &(*at)->next)
		if (*at == item) {
			*at = item->next;
			return;
		}
}

void tg_orphans_end(tg_module *m)
{
	while (m->orphans != NULL) {
		tg_item *item = m->orphans;
		m->orphans = item->next;
		item_free(item, OC_E_CANCELED);
	}
}

static void on_received(void *arg, oc_status status)
{
	tg_item *item = arg;
	tg_account *a = item->a;
	item->received = false;
	if (a == NULL) {
		forget_orphan(item);
		item_free(item, OC_E_CANCELED);
		return;
	}
	if (status == OC_E_INVALID || status == OC_E_LIMIT) {
		/* It would be refused every time, and hold up all others. */
		tg_log(a->m, a, OC_LOG_ERROR, "the host refuses message %s of chat %s; it is left out",
		       tg_json_str(item->in.message, "id", "?"), item->in.chat);
		status = OC_OK;
	}
	if (status != OC_OK) {
		if (item->tries == 5)
			tg_log(a->m, a, OC_LOG_WARN, "the host cannot take messages yet (%d); waiting", (int)status);
		uint64_t ms = tg_backoff(item->tries++, RETRY_MS, RETRY_MAX_MS);
		if (!tg_timer(a->m, &item->retry, ms, retry_now, item))
			tg_account_failed(a, OC_E_NOMEM, "out of memory");
		return;
	}
	remove_item(a, item);
	tg_account_ref(a);
	item_free(item, OC_OK);
	advance(a);
	tg_account_unref(a);
}

static void hand_in(tg_item *item)
{
	tg_account *a = item->a;
	char *text = add_media(item) ? cJSON_PrintUnformatted(item->in.message) : NULL;
	item->received = true;
	oc_status status = text == NULL ? OC_E_NOMEM
					: a->m->channel->receive(a->m->self, oc_str_of(text), on_received, item);
	cJSON_free(text);
	if (status != OC_OK)
		on_received(item, status);
}

static bool is_first_of_chat(const tg_account *a, const tg_item *item)
{
	for (const tg_item *before = a->items; before != item; before = before->next)
		if (strcmp(before->in.chat, item->in.chat) == 0)
			return false;
	return true;
}

static void load_files(tg_account *a)
{
	size_t n = 0, loading = 0;
	for (tg_item *item = a->items; item != NULL && n < AT_ONCE; item = item->next, n++) {
		if (!item->started && (item->in.n_files == 0 || loading < AHEAD))
			start_files(item);
		loading += item->fetching > 0;
	}
}

static tg_item *next_to_hand_in(const tg_account *a)
{
	size_t n = 0;
	for (tg_item *item = a->items; item != NULL && n < AT_ONCE; item = item->next, n++)
		if (item->started && item->fetching == 0 && !item->received && item->retry == NULL && is_first_of_chat(a, item))
			return item;
	return NULL;
}

/* Starts what can be started. Handing in may come back here: the outermost call does the work. */
static void advance(tg_account *a)
{
	tg_item *item = NULL;
	if (a->advancing)
		return;
	tg_account_ref(a);
	a->advancing = true;
	do {
		if (a->ended)
			break;
		load_files(a);
		item = a->ended ? NULL : next_to_hand_in(a);
		if (item != NULL)
			hand_in(item);
	} while (item != NULL);
	a->advancing = false;
	tg_account_unref(a);
}

void tg_intake_add(tg_item *item)
{
	tg_account *a = item->a;
	item->next = NULL;
	if (a->items_end != NULL)
		a->items_end->next = item;
	else
		a->items = item;
	a->items_end = item;
	a->n_items++;
	tg_intake_tell(a->m);
	advance(a);
}

bool tg_intake_full(const tg_account *a)
{
	return a->n_items >= ITEMS_MAX;
}

bool tg_waiters_forget(tg_item *item, const oc_call *call)
{
	for (waiter **at = &item->waiters; *at != NULL; at = &(*at)->next)
		if ((*at)->call == call) {
			waiter *w = *at;
			*at = w->next;
			free(w);
			return true;
		}
	return false;
}

bool tg_intake_forget(tg_account *a, const oc_call *call)
{
	for (tg_item *item = a->items; item != NULL; item = item->next)
		if (tg_waiters_forget(item, call))
			return true;
	return false;
}

void tg_intake_end(tg_account *a)
{
	tg_item *item = a->items;
	a->items = a->items_end = NULL;
	a->n_items = 0;
	tg_intake_tell(a->m);
	while (item != NULL) {
		tg_item *next = item->next;
		if (item->received) {
			/* The host calls back with it: until then it stays, without its account. */
			waiter *w = item->waiters;
			item->waiters = NULL;
			item->a = NULL;
			item->next = a->m->orphans;
			a->m->orphans = item;
			tell(a->m, w, OC_E_CANCELED);
			tg_account_unref(a);
		} else {
			item_free(item, OC_E_CANCELED);
		}
		item = next;
	}
}
