/*
 * Webhook mode: Telegram posts updates to a path of the gateway, with a secret in a header, and hears 200 only when the
 * message is committed; until then it keeps the update and tries again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

#define ALBUM_MS 800
#define CONNECTIONS 40

static void set_webhook(void *arg);

/* ---- Registering ---- */

static void on_set(void *arg, const tg_answer *answer)
{
	tg_account *a = arg;
	a->request = NULL;
	if (answer->status == OC_OK) {
		tg_account_running(a);
	} else if (answer->status == OC_E_INVALID) {
		char why[400];
		snprintf(why, sizeof why, "Telegram refuses webhookUrl: %s", answer->description);
		tg_account_failed(a, OC_E_INVALID, why);
	} else {
		tg_account_retry(a, answer, 1500, set_webhook);
	}
}

static void set_webhook(void *arg)
{
	tg_account *a = arg;
	tg_timer_end(a->m, &a->retry);
	cJSON *params = cJSON_CreateObject(), *kinds = tg_allowed_updates();
	bool ok = params != NULL && kinds != NULL && cJSON_AddItemToObject(params, "allowed_updates", kinds);
	if (!ok)
		cJSON_Delete(kinds);
	ok = ok && cJSON_AddStringToObject(params, "url", a->config.webhook_url) != NULL
	     && cJSON_AddStringToObject(params, "secret_token", a->webhook_secret) != NULL
	     && cJSON_AddNumberToObject(params, "max_connections", CONNECTIONS) != NULL
	     && cJSON_AddFalseToObject(params, "drop_pending_updates") != NULL;
	if (!ok) {
		cJSON_Delete(params);
	} else if (*a->config.webhook_cert != 0) {
		tg_upload cert = {"certificate", a->config.webhook_cert, "cert.pem", "application/x-pem-file"};
		a->request = tg_call_upload(a, "setWebhook", params, &cert, on_set, a);
	} else {
		a->request = tg_call(a, "setWebhook", params, a->config.call_ms, on_set, a);
	}
	if (a->request == NULL)
		tg_account_failed(a, OC_E_NOMEM, "out of memory");
}

void tg_webhook_start(tg_account *a)
{
	set_webhook(a);
}

/* ---- Requests ---- */

static void answer(tg_module *m, oc_call *call, int status, const char *text)
{
	char head[160];
	snprintf(head, sizeof head, "{\"status\":%d,\"headers\":{\"content-type\":\"text/plain; charset=utf-8\"%s}}", status,
		 status == 503 ? ",\"retry-after\":\"2\"" : "");
	m->host->call_event(call, OC_EV_HTTP_HEAD, oc_str_of(head));
	if (*text != 0)
		m->host->call_event(call, OC_EV_HTTP_BODY, oc_str_of(text));
	m->host->call_done(call, OC_OK, OC_STR("{}"));
}

/* Telegram is told only now. */
static void on_committed(tg_module *m, void *arg, oc_call *call, oc_status status)
{
	(void)arg;
	answer(m, call, status == OC_OK ? 200 : 503, status == OC_OK ? "" : "not taken; please send it again\n");
}

/* Same time whatever differs; the lengths are no secret. */
static bool same_secret(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned char different = n != m;
	for (size_t i = 0; i < n; i++)
		different |= (unsigned char)((unsigned char)a[i] ^ (unsigned char)b[i < m ? i : 0]);
	return n > 0 && different == 0;
}

static tg_account *account_of(tg_module *m, const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	for (tg_account *a = m->accounts; a != NULL; a = a->next)
		if (a->phase == TG_RUNNING && *a->config.webhook_url != 0 && strlen(a->config.webhook_path) == n
		    && strncmp(a->config.webhook_path, path, n) == 0)
			return a;
	return NULL;
}

static void album_over(void *arg)
{
	tg_account *a = arg;
	tg_item *item = a->album;
	tg_timer_end(a->m, &a->album_timer);
	a->album = NULL;
	if (item != NULL)
		tg_intake_add(item);
}

/* Takes a message over. False when out of memory: nothing was taken. */
static bool take(tg_account *a, oc_call *call, tg_inbound *in)
{
	if (a->album != NULL && tg_inbound_same_album(tg_item_inbound(a->album), in)) {
		if (!tg_item_wait(a->album, on_committed, NULL, call))
			return false;
		if (!tg_inbound_merge(tg_item_inbound(a->album), in))
			tg_log(a->m, a, OC_LOG_ERROR, "out of memory: a part of an album is lost");
		return true;
	}
	bool album = in->album[0] != 0;
	tg_item *item = tg_item_new(a, in);
	if (item == NULL)
		return false;
	if (!tg_item_wait(item, on_committed, NULL, call)) {
		tg_item_drop(item, OC_E_NOMEM); /* which tells nobody */
		return false;
	}
	album_over(a); /* whatever waited is older */
	if (album && tg_timer(a->m, &a->album_timer, ALBUM_MS, album_over, a))
		a->album = item;
	else
		tg_intake_add(item);
	return true;
}

static void take_update(tg_account *a, oc_call *call, const cJSON *update)
{
	tg_inbound in;
	oc_status status = tg_inbound_read(update, &a->bot, a->id, &in);
	if (status != OC_OK) {
		answer(a->m, call, status == OC_E_NOMEM ? 503 : 400, "no update\n");
		return;
	}
	if (in.message == NULL)
		answer(a->m, call, 200, "");
	else if (tg_intake_full(a) || !take(a, call, &in))
		answer(a->m, call, 503, "too much at once; please send it again\n");
	tg_inbound_free(&in);
}

void tg_webhook_request(tg_module *m, oc_call *call, const oc_http_request *request)
{
	tg_account *a = account_of(m, request->path.p);
	cJSON *headers = cJSON_ParseWithLength(request->headers.p, request->headers.n);
	const char *secret = tg_json_str(headers, "x-telegram-bot-api-secret-token", "");
	if (a == NULL) {
		answer(m, call, 404, "no Telegram account takes updates here\n");
	} else if (strcmp(request->method.p, "POST") != 0) {
		answer(m, call, 405, "only POST\n");
	} else if (!same_secret(a->webhook_secret, secret)) {
		tg_log(m, a, OC_LOG_WARN, "a webhook request from %.*s without the right secret was refused",
		       (int)(request->remote.n < 80 ? request->remote.n : 80), request->remote.p);
		answer(m, call, 401, "the secret token is wrong\n");
	} else {
		cJSON *update = cJSON_ParseWithLength(request->body.p, request->body.n);
		if (cJSON_IsObject(update))
			take_update(a, call, update);
		else
			answer(m, call, 400, "the body is not a JSON object\n");
		cJSON_Delete(update);
	}
	cJSON_Delete(headers);
}

void tg_webhook_cancel(tg_module *m, oc_call *call)
{
	for (tg_account *a = m->accounts; a != NULL; a = a->next)
		if ((a->album != NULL && tg_waiters_forget(a->album, call)) || tg_intake_forget(a, call)) {
			tg_fail_call(m, call, OC_E_CANCELED, "canceled");
			return;
		}
}

void tg_webhook_end(tg_account *a)
{
	tg_item *item = a->album;
	tg_timer_end(a->m, &a->album_timer);
	a->album = NULL;
	if (item != NULL)
		tg_item_drop(item, OC_E_CANCELED);
}
