/*
 * Long polling.  getUpdates names the update after the last one that the host has committed; Telegram keeps all others,
 * so nothing is lost whenever this process ends.  A batch is taken whole before the next is asked for.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

#define POLL_S 30
#define POLL_SLACK_MS 15000
#define ALBUM_MS 800      /* the parts of an album come in updates of their own */
#define EMPTY_MS 500      /* a server that answers at once with nothing is not asked again at once */
#define CONFLICT_MS 10000 /* another poller: it would be thrown out by us, and we by it */
#define CONFIRM_MS 3000
#define BATCH 100

static void poll(void *arg);
static void drop_webhook(void *arg);

cJSON *tg_allowed_updates(void)
{
	static const char *const kinds[] = {"message", "edited_message", "channel_post", "edited_channel_post"};
	return cJSON_CreateStringArray(kinds, sizeof kinds / sizeof kinds[0]);
}

static void out_of_memory(tg_account *a)
{
	tg_answer answer = {.status = OC_E_NOMEM, .description = "out of memory"};
	tg_account_retry(a, &answer, 1000, poll);
}

/* ---- Before the first poll ---- */

static void on_dropped(void *arg, const tg_answer *answer)
{
	tg_account *a = arg;
	a->request = NULL;
	if (answer->status != OC_OK) {
		tg_account_retry(a, answer, 0, drop_webhook);
		return;
	}
	tg_account_running(a);
	poll(a);
}

/* Telegram does not let a bot with a webhook poll. The updates that wait stay. */
static void drop_webhook(void *arg)
{
	tg_account *a = arg;
	tg_timer_end(a->m, &a->retry);
	cJSON *params = cJSON_CreateObject();
	if (params != NULL && cJSON_AddFalseToObject(params, "drop_pending_updates") != NULL)
		a->request = tg_call(a, "deleteWebhook", params, a->config.call_ms, on_dropped, a);
	else
		cJSON_Delete(params);
	if (a->request == NULL)
		tg_account_failed(a, OC_E_NOMEM, "out of memory");
}

void tg_poll_start(tg_account *a)
{
	drop_webhook(a);
}

/* ---- A batch ---- */

static void again_at(tg_account *a, uint64_t ms)
{
	if (!tg_timer(a->m, &a->retry, ms, poll, a))
		tg_account_failed(a, OC_E_NOMEM, "out of memory");
}

static void batch_done(tg_account *a)
{
	if (a->batch_broken) { /* not confirmed: it comes again, and the host knows what it has */
		out_of_memory(a);
		return;
	}
	a->offset = a->batch_end;
	again_at(a, 0); /* through the loop: this may be deep inside a callback */
}

static void on_committed(tg_module *m, void *arg, oc_call *call, oc_status status)
{
	tg_account *a = arg;
	(void)m;
	(void)call;
	if (status != OC_OK || a->phase != TG_RUNNING)
		return; /* the account ends: the batch comes again with the next start */
	if (--a->batch_left == 0)
		batch_done(a);
}

/* Whether the last update is part of an album whose other parts may still be on their way. */
static bool ends_in_album(const cJSON *updates)
{
	int n = cJSON_GetArraySize(updates);
	const cJSON *last = n > 0 && n < BATCH ? cJSON_GetArrayItem(updates, n - 1) : NULL;
	const cJSON *message = tg_json_obj(last, "message");
	if (message == NULL)
		message = tg_json_obj(last, "channel_post");
	return tg_json_str(message, "media_group_id", NULL) != NULL;
}

/* Reads one update into the batch; parts of an album join the item before. False when out of memory. */
static bool take_update(tg_account *a, const cJSON *update, tg_item **last)
{
	tg_inbound in;
	oc_status status = tg_inbound_read(update, &a->bot, a->id, &in);
	if (status == OC_E_NOMEM)
		return false;
	if (status != OC_OK) {
		tg_log(a->m, a, OC_LOG_WARN, "an update without an update_id was left out");
		return true;
	}
	if (in.update_id >= a->batch_end)
		a->batch_end = in.update_id + 1;
	if (in.migrated_to != 0)
		tg_log(a->m, a, OC_LOG_WARN,
		       "the group %s became the supergroup %" PRId64 "; channels.telegram.groups needs the new id", in.chat,
		       in.migrated_to);
	if (in.message == NULL) {
		tg_inbound_free(&in);
		return true;
	}
	if (*last != NULL && tg_inbound_same_album(tg_item_inbound(*last), &in)) {
		bool merged = tg_inbound_merge(tg_item_inbound(*last), &in);
		tg_inbound_free(&in);
		return merged;
	}
	tg_item *item = tg_item_new(a, &in);
	if (item == NULL || !tg_item_wait(item, on_committed, a, NULL)) {
		if (item == NULL)
			tg_inbound_free(&in);
		else
			tg_item_drop(item, OC_E_NOMEM);
		return false;
	}
	a->batch_left++;
	if (*last != NULL)
		tg_intake_add(*last);
	*last = item;
	return true;
}

static void take_batch(tg_account *a, const cJSON *updates)
{
	const cJSON *update;
	tg_item *last = NULL;
	a->batch_broken = false;
	a->batch_end = a->offset;
	a->batch_left = 1; /* ours, until all are added */
	cJSON_ArrayForEach(update, updates)
	{
		if (!a->batch_broken && !take_update(a, update, &last))
			a->batch_broken = true;
	}
	if (last != NULL)
		tg_intake_add(last);
	if (--a->batch_left == 0)
		batch_done(a);
}

static void on_updates(void *arg, const tg_answer *answer)
{
	tg_account *a = arg;
	a->request = NULL;
	if (answer->status == OC_E_STATE) {
		tg_answer said = *answer;
		/* Not fought over: taking it back every few seconds would serve neither. */
		said.description = tg_answer_says(answer, "webhook")
					   ? "another program set a webhook for this bot; stop that, then restart the gateway"
					   : "another program polls with the same bot token; stop it, or give each its own bot";
		tg_account_retry(a, &said, CONFLICT_MS, poll);
		return;
	}
	if (answer->status != OC_OK || !cJSON_IsArray(answer->result)) {
		tg_answer said = *answer;
		if (answer->status == OC_OK) {
			said.status = OC_E_PROTOCOL;
			said.description = "getUpdates was answered without a list";
		}
		tg_account_retry(a, &said, 0, poll);
		return;
	}
	a->confirmed = a->offset; /* only an answer proves that the question arrived */
	if (a->failures > 0)
		tg_account_running(a);
	uint64_t took = a->m->host->now_ms(a->m->self) - a->asked_at;
	if (cJSON_GetArraySize(answer->result) == 0) {
		again_at(a, took < EMPTY_MS ? EMPTY_MS : 0);
	} else if (!a->album_waited && ends_in_album(answer->result)) {
		a->album_waited = true;
		again_at(a, ALBUM_MS);
	} else {
		a->album_waited = false;
		take_batch(a, answer->result);
	}
}

static void poll(void *arg)
{
	tg_account *a = arg;
	tg_timer_end(a->m, &a->retry);
	if (a->phase != TG_RUNNING)
		return;
	/* After a failure a short question tells sooner that all is well again. */
	int seconds = a->failures > 0 || a->album_waited ? 0 : POLL_S;
	cJSON *params = cJSON_CreateObject(), *kinds = tg_allowed_updates();
	bool ok = params != NULL && kinds != NULL && cJSON_AddNumberToObject(params, "limit", BATCH) != NULL
		  && cJSON_AddNumberToObject(params, "timeout", seconds) != NULL
		  && (a->offset == 0 || cJSON_AddNumberToObject(params, "offset", (double)a->offset) != NULL)
		  && cJSON_AddItemToObject(params, "allowed_updates", kinds);
	if (!ok) {
		if (params == NULL || cJSON_GetObjectItemCaseSensitive(params, "allowed_updates") == NULL)
			cJSON_Delete(kinds);
		cJSON_Delete(params);
	} else {
		a->asked_at = a->m->host->now_ms(a->m->self);
		a->request = tg_call(a, "getUpdates", params, (uint64_t)seconds * 1000 + POLL_SLACK_MS, on_updates, a);
	}
	if (a->request == NULL)
		out_of_memory(a);
}

/* ---- The end ---- */

static void confirmed(void *arg, const tg_answer *answer)
{
	tg_account *a = arg;
	(void)answer; /* when it failed, the host's memory of ids keeps the updates from being taken twice */
	a->request = NULL;
	tg_account_end(a);
}

void tg_poll_confirm(tg_account *a)
{
	cJSON *params = NULL;
	tg_request_cancel(a->request);
	a->request = NULL;
	tg_timer_end(a->m, &a->retry);
	tg_intake_end(a);
	if (a->offset == a->confirmed || (params = cJSON_CreateObject()) == NULL) {
		tg_account_end(a);
		return;
	}
	if (cJSON_AddNumberToObject(params, "offset", (double)a->offset) != NULL
	    && cJSON_AddNumberToObject(params, "limit", 1) != NULL
	    && cJSON_AddNumberToObject(params, "timeout", 0) != NULL)
		a->request = tg_call(a, "getUpdates", params, CONFIRM_MS, confirmed, a);
	else
		cJSON_Delete(params);
	if (a->request == NULL)
		tg_account_end(a);
}
