/* One bot: login, state, what is done about failures, end. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

#define BACKOFF_BASE_MS 1000
#define BACKOFF_MAX_MS 60000

static void login(void *arg);

/* ---- References and the list ---- */

tg_account *tg_account_find(tg_module *m, const char *id)
{
	for (tg_account *a = m->accounts; a != NULL; a = a->next)
		if (strcmp(a->id, id) == 0)
			return a;
	return NULL;
}

void tg_account_ref(tg_account *a)
{
	a->refs++;
}

void tg_account_unref(tg_account *a)
{
	if (--a->refs > 0)
		return;
	tg_wipe(a->token, sizeof a->token);
	tg_wipe(a->webhook_secret, sizeof a->webhook_secret);
	tg_sent_end(a);
	cJSON_Delete(a->commands);
	tg_config_free(&a->config);
	free(a);
}

static void leave_list(tg_account *a)
{
	for (tg_account **at = &a->m->accounts; *at != NULL; at = &(*at)->next)
		if (*at == a) {
			*at = a->next;
			return;
		}
}

/* ---- State ---- */

void tg_account_state(tg_account *a, const char *state, const char *detail)
{
	char *said = NULL;
	if (strcmp(a->state, state) == 0 && strcmp(a->detail, detail != NULL ? detail : "") == 0)
		return;
	snprintf(a->state, sizeof a->state, "%s", state);
	snprintf(a->detail, sizeof a->detail, "%s", detail != NULL ? detail : "");
	tg_scrub(a, a->detail);
	cJSON *json = cJSON_CreateObject();
	if (json != NULL && cJSON_AddStringToObject(json, "account", a->id) != NULL
	    && cJSON_AddStringToObject(json, "state", state) != NULL
	    && (a->detail[0] == 0 || cJSON_AddStringToObject(json, "detail", a->detail) != NULL)
	    && (said = cJSON_PrintUnformatted(json)) != NULL)
		a->m->channel->state(a->m->self, oc_str_of(said));
	cJSON_free(said);
	cJSON_Delete(json);
}

void tg_account_running(tg_account *a)
{
	char detail[160];
	a->failures = 0;
	a->phase = TG_RUNNING;
	snprintf(detail, sizeof detail, "@%s, %s", a->bot.username, *a->config.webhook_url != 0 ? "webhook" : "polling");
	tg_account_state(a, "connected", detail);
	if (a->connecting != NULL) {
		oc_call *call = a->connecting;
		a->connecting = NULL;
		tg_log(a->m, a, OC_LOG_DEBUG, "connected as @%s (%" PRId64 ")", a->bot.username, a->bot.id);
		a->m->host->call_done(call, OC_OK, OC_STR("{}"));
	}
}

void tg_account_failed(tg_account *a, oc_status status, const char *why)
{
	a->phase = TG_FAILED;
	tg_request_cancel(a->request);
	a->request = NULL;
	tg_timer_end(a->m, &a->retry);
	tg_log(a->m, a, OC_LOG_ERROR, "%s", why);
	tg_account_state(a, "failed", why);
	tg_lanes_end(a);
	if (a->connecting != NULL) {
		oc_call *call = a->connecting;
		a->connecting = NULL;
		tg_fail_call(a->m, call, status, "%s", why);
	}
}

static void token_refused(tg_account *a)
{
	char why[512];
	snprintf(why, sizeof why,
		 "Telegram does not know this bot token. Ask @BotFather for it (/mybots, API Token) and set it with: "
		 "openclaw config set %s TOKEN",
		 a->token_path);
	tg_account_failed(a, OC_E_AUTH, why);
}

void tg_account_retry(tg_account *a, const tg_answer *answer, uint64_t least_ms, void (*again)(void *a))
{
	if (a->phase == TG_ENDING || a->phase == TG_FAILED)
		return;
	if (answer->status == OC_E_AUTH) {
		token_refused(a);
		return;
	}
	uint64_t ms = tg_jitter(tg_backoff(a->failures, BACKOFF_BASE_MS, BACKOFF_MAX_MS));
	uint64_t asked = answer->retry_after_s > 0 ? (uint64_t)answer->retry_after_s * 1000 + 500 : 0;
	ms = ms < least_ms ? least_ms : ms;
	ms = ms < asked ? asked : ms;
	/* The first failure and every tenth; what lies between says nothing new. */
	if (a->failures++ % 10 == 0)
		tg_log(a->m, a, OC_LOG_WARN, "%s (trying again)", answer->description);
	tg_account_state(a, a->phase == TG_RUNNING ? "reconnecting" : "connecting", answer->description);
	if (!tg_timer(a->m, &a->retry, ms, again, a))
		tg_account_failed(a, OC_E_NOMEM, "out of memory");
}

/* ---- Login ---- */

static void go(tg_account *a)
{
	if (*a->config.webhook_url != 0)
		tg_webhook_start(a);
	else
		tg_poll_start(a);
}

static void on_commands(void *arg, const tg_answer *answer)
{
	tg_account *a = arg;
	a->request = NULL;
	if (answer->status != OC_OK)
		tg_log(a->m, a, OC_LOG_WARN, "the menu of commands was not set: %s", answer->description);
	go(a);
}

/* [{"name","description"}] as Telegram takes them; its names have letters, digits and underscores. */
static cJSON *menu_of(const cJSON *commands)
{
	cJSON *menu = cJSON_IsArray(commands) ? cJSON_CreateArray() : NULL;
	const cJSON *c;
	cJSON_ArrayForEach(c, commands)
	{
		const char *name = tg_json_str(c, "name", "");
		size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
		if (n == 0 || n > 32 || name[n] != 0 || cJSON_GetArraySize(menu) >= 100)
			continue;
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "command", name);
		cJSON_AddStringToObject(o, "description", tg_json_str(c, "description", name));
		if (o != NULL && !cJSON_AddItemToArray(menu, o))
			cJSON_Delete(o);
	}
	return menu;
}

static void on_login(void *arg, const tg_answer *answer)
{
	tg_account *a = arg;
	a->request = NULL;
	if (answer->status != OC_OK) {
		tg_account_retry(a, answer, 0, login);
		return;
	}
	a->bot.id = tg_json_i64(answer->result, "id", 0);
	snprintf(a->bot.username, sizeof a->bot.username, "%s", tg_json_str(answer->result, "username", ""));
	snprintf(a->bot.name, sizeof a->bot.name, "%s", tg_json_str(answer->result, "first_name", ""));
	if (a->bot.id == 0) {
		tg_account_failed(a, OC_E_PROTOCOL, "getMe was answered without a bot; is apiRoot right?");
		return;
	}
	a->failures = 0;
	cJSON *params = a->commands != NULL ? cJSON_CreateObject() : NULL;
	if (params != NULL) {
		/* Once: a login again after a broken line changes nothing about them. */
		cJSON_AddItemToObject(params, "commands", a->commands);
		a->commands = NULL;
		a->request = tg_call(a, "setMyCommands", params, a->config.call_ms, on_commands, a);
	}
	if (a->request == NULL)
		go(a);
}

static void login(void *arg)
{
	tg_account *a = arg;
	tg_timer_end(a->m, &a->retry);
	a->request = tg_call(a, "getMe", NULL, a->config.call_ms, on_login, a);
	if (a->request == NULL)
		tg_account_failed(a, OC_E_NOMEM, "out of memory");
}

static bool id_ok(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
	return n > 0 && n <= 64 && id[n] == 0;
}

/* Reads configuration and secrets; what is wrong with them is told in the call. */
static oc_status set_up(tg_account *a, const cJSON *config)
{
	const char *wrong = NULL;
	oc_status status = tg_config_read(a->id, config, &a->config, &wrong);
	if (status == OC_OK)
		status = tg_token_read(a->m, a->id, config, a->token_path, sizeof a->token_path, a->token, sizeof a->token,
				       &wrong);
	if (status == OC_E_NOT_FOUND || status == OC_E_AUTH) {
		char why[512];
		snprintf(why, sizeof why, "%s. Ask @BotFather for one (/newbot) and set it with: openclaw config set %s TOKEN",
			 wrong, a->token_path);
		tg_account_failed(a, OC_E_AUTH, why);
		return OC_E_AUTH;
	}
	if (status == OC_OK && *a->config.webhook_url != 0)
		status = tg_webhook_secret_read(a->m, a->id, a->webhook_secret, sizeof a->webhook_secret, &wrong);
	if (status != OC_OK)
		tg_account_failed(a, status, wrong != NULL ? wrong : "out of memory");
	return status;
}

void tg_account_connect(tg_module *m, oc_call *call, const cJSON *spec)
{
	const char *id = tg_json_str(spec, "account", "default");
	tg_account *a = tg_account_find(m, id);
	if (!id_ok(id)) {
		tg_fail_call(m, call, OC_E_INVALID, "an account's name is 1 to 64 characters of A-Z a-z 0-9 . _ -");
		return;
	}
	if (a != NULL && a->phase == TG_RUNNING) {
		m->host->call_done(call, OC_OK, OC_STR("{}"));
		return;
	}
	if (a != NULL)
		tg_account_end(a);
	a = calloc(1, sizeof *a);
	if (a == NULL) {
		tg_fail_call(m, call, OC_E_NOMEM, "out of memory");
		return;
	}
	snprintf(a->id, sizeof a->id, "%s", id);
	a->m = m;
	a->refs = 1;
	a->next = m->accounts;
	m->accounts = a;
	a->connecting = call;
	tg_window_init(&a->all, 30, 1000);
	a->commands = menu_of(cJSON_GetObjectItemCaseSensitive(spec, "commands"));
	tg_account_state(a, "connecting", NULL);
	if (set_up(a, tg_json_obj(spec, "config")) == OC_OK)
		login(a);
}

/* ---- Probe ---- */

static void side_end(tg_side *side)
{
	for (tg_side **at = &side->a->sides; *at != NULL; at = &(*at)->next)
		if (*at == side) {
			*at = side->next;
			break;
		}
	free(side);
}

tg_side *tg_side_new(tg_account *a, oc_call *call)
{
	tg_side *side = calloc(1, sizeof *side);
	if (side == NULL) {
		tg_fail_call(a->m, call, OC_E_NOMEM, "out of memory");
		return NULL;
	}
	side->a = a;
	side->call = call;
	side->next = a->sides;
	a->sides = side;
	return side;
}

void tg_side_done(tg_side *side, const tg_answer *answer)
{
	tg_account *a = side->a;
	oc_call *call = side->call;
	side_end(side);
	if (answer == NULL)
		tg_fail_call(a->m, call, OC_E_NOMEM, "out of memory");
	else if (answer->status == OC_OK)
		a->m->host->call_done(call, OC_OK, OC_STR("{}"));
	else
		tg_fail_call(a->m, call, answer->status, "%s", answer->description);
}

static void probe_done(tg_side *side, const char *detail)
{
	tg_module *m = side->a->m;
	oc_call *call = side->call;
	cJSON *json = cJSON_CreateObject();
	char *text = NULL;
	side_end(side);
	if (json != NULL && cJSON_AddTrueToObject(json, "ok") != NULL
	    && cJSON_AddStringToObject(json, "detail", detail) != NULL)
		text = cJSON_PrintUnformatted(json);
	if (text != NULL)
		m->host->call_done(call, OC_OK, oc_str_of(text));
	else
		tg_fail_call(m, call, OC_E_NOMEM, "out of memory");
	cJSON_free(text);
	cJSON_Delete(json);
}

static void on_webhook_info(void *arg, const tg_answer *answer)
{
	tg_side *side = arg;
	char detail[400];
	if (answer->status != OC_OK) {
		tg_side_done(side, answer);
		return;
	}
	const char *error = tg_json_str(answer->result, "last_error_message", "");
	snprintf(detail, sizeof detail, "@%s, webhook, %" PRId64 " updates waiting%s%s", side->a->bot.username,
		 tg_json_i64(answer->result, "pending_update_count", 0), *error != 0 ? "; Telegram's last failure: " : "",
		 error);
	probe_done(side, detail);
}

static void on_probe(void *arg, const tg_answer *answer)
{
	tg_side *side = arg;
	tg_account *a = side->a;
	char detail[400];
	if (answer->status != OC_OK) {
		tg_side_done(side, answer);
	} else if (*a->config.webhook_url != 0 && a->phase == TG_RUNNING) {
		side->request = tg_call(a, "getWebhookInfo", NULL, a->config.call_ms, on_webhook_info, side);
		if (side->request == NULL)
			tg_side_done(side, NULL);
	} else {
		snprintf(detail, sizeof detail, "@%s (%" PRId64 "), polling", tg_json_str(answer->result, "username", "?"),
			 tg_json_i64(answer->result, "id", 0));
		probe_done(side, detail);
	}
}

void tg_account_probe(tg_account *a, oc_call *call)
{
	if (a->token[0] == 0) {
		tg_fail_call(a->m, call, OC_E_AUTH, "%s", a->detail);
		return;
	}
	tg_side *side = tg_side_new(a, call);
	if (side == NULL)
		return;
	side->request = tg_call(a, "getMe", NULL, a->config.call_ms, on_probe, side);
	if (side->request == NULL)
		tg_side_done(side, NULL);
}

/* ---- End ---- */

void tg_account_end(tg_account *a)
{
	tg_module *m = a->m;
	oc_call *connecting = a->connecting, *disconnecting = a->disconnecting;
	if (a->phase == TG_ENDING && a->ended)
		return;
	a->phase = TG_ENDING;
	a->ended = true;
	a->connecting = a->disconnecting = NULL;
	tg_request_cancel(a->request);
	a->request = NULL;
	tg_timer_end(m, &a->retry);
	tg_webhook_end(a);
	tg_intake_end(a);
	tg_lanes_end(a);
	while (a->sides != NULL) {
		oc_call *call = a->sides->call;
		tg_request_cancel(a->sides->request);
		side_end(a->sides);
		tg_fail_call(m, call, OC_E_CANCELED, "the account was disconnected");
	}
	if (!a->quiet)
		tg_account_state(a, "stopped", NULL);
	leave_list(a);
	tg_account_unref(a);
	tg_fail_call(m, connecting, OC_E_CANCELED, "the account was disconnected");
	if (disconnecting != NULL)
		m->host->call_done(disconnecting, OC_OK, OC_STR("{}"));
	tg_module_idle(m);
}

void tg_account_disconnect(tg_account *a, oc_call *call)
{
	if (a->phase == TG_ENDING) {
		tg_fail_call(a->m, call, OC_E_STATE, "the account is being disconnected already");
		return;
	}
	a->disconnecting = call;
	if (a->phase == TG_RUNNING && *a->config.webhook_url == 0) {
		a->phase = TG_ENDING;
		tg_poll_confirm(a);
	} else {
		tg_account_end(a);
	}
}
