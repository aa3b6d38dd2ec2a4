#include "core/agent/channels.h"

#include <string.h>

#include "core/agent/commands.h"
#include "core/agent/outbound.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#define CONNECT_MS 60000
#define RETRY_FIRST_MS 5000
#define RETRY_MAX_MS 300000

typedef struct account {
	struct account *next;
	oc_agent *agent;
	char channel[65], name[65];
	char *settings; /* what it was connected with, as JSON */
	char state[16], detail[256], last_error[256];
	int64_t since_ms, last_in_ms, last_out_ms;
	bool wanted;	  /* by the configuration as last read */
	bool attached;	  /* connect was called and disconnect was not */
	bool reported;	  /* the channel told a state since connect */
	oc_call *call;	  /* connect or disconnect under way */
	bool leaving;	  /* the call is a disconnect */
	bool remove;	  /* goes when the disconnect is over */
	oc_watch *retry;
	unsigned failures;
} account;

struct oc_channels {
	oc_agent *agent;
	oc_owner *owner;
	account *accounts;
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	oc_watch *stop_timer;
};

static void connect_account(account *a);

/* ---- Settings ---- */

const cJSON *oc_channel_setting(const oc_config *config, const char *channel, const char *account_name, const char *name)
{
	const cJSON *c = oc_json_get(oc_config_get(config, "channels"), channel);
	const cJSON *own = oc_json_get(oc_json_get(oc_json_get(c, "accounts"), account_name), name);
	return own != NULL ? own : oc_json_get(c, name);
}

/* A module asks for its secrets by name; they are not in what it is handed. */
static void drop_secrets(cJSON *node)
{
	for (cJSON *m = node != NULL ? node->child : NULL, *next; m != NULL; m = next) {
		next = m->next;
		if (m->string != NULL && cJSON_IsString(m) && oc_config_sensitive(m->string))
			cJSON_Delete(cJSON_DetachItemViaPointer(node, m));
		else
			drop_secrets(m);
	}
}

/* The channel's settings with the account's own over them. */
static cJSON *settings_of(const oc_config *config, const char *channel, const char *name)
{
	const cJSON *c = oc_json_get(oc_config_get(config, "channels"), channel), *m;
	cJSON *out = cJSON_Duplicate(c, true);
	cJSON_DeleteItemFromObjectCaseSensitive(out, "accounts");
	cJSON_ArrayForEach(m, oc_json_get(oc_json_get(c, "accounts"), name))(void)
		oc_json_set(out, m->string, cJSON_Duplicate(m, true));
	return out;
}

/* {"account":name} */
static char *account_json(const char *name)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "account", name);
	return oc_json_print(o);
}

/* ---- State ---- */

static void set_state(account *a, const char *state, const char *detail)
{
	bool changed = strcmp(a->state, state) != 0;
	snprintf(a->state, sizeof a->state, "%s", state);
	snprintf(a->detail, sizeof a->detail, "%s", detail);
	if (!changed)
		return;
	a->since_ms = oc_wall_ms();
	if (strcmp(state, "failed") == 0)
		oc_warn("channel", "%s (%s): %s: %s", a->channel, a->name, state, detail);
	else
		oc_info("channel", "%s (%s): %s%s%s", a->channel, a->name, state, detail[0] != 0 ? ": " : "", detail);
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "channel", a->channel);
	oc_json_opt(data, "account", a->name);
	oc_json_opt(data, "state", state);
	oc_json_opt(data, "detail", detail);
	oc_agent_emit_plain(a->agent, OC_AGENT_EV_CHANNEL, NULL, data);
	if (strcmp(state, "connected") == 0)
		oc_outbound_channel_up(a->agent, a->channel, a->name);
}

static account *find(oc_channels *c, const char *channel, const char *name)
{
	for (account *a = c->accounts; a != NULL; a = a->next)
		if (strcmp(a->channel, channel) == 0 && strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

void oc_channels_state(oc_agent *agent, const char *channel, const cJSON *state)
{
	account *a = find(agent->channels, channel, oc_json_str(state, "account", "default"));
	if (a == NULL)
		return;
	a->reported = true;
	if (strcmp(oc_json_str(state, "state", ""), "connected") == 0)
		a->failures = 0;
	set_state(a, oc_json_str(state, "state", "failed"), oc_json_str(state, "detail", ""));
}

void oc_channels_note(oc_agent *agent, const char *channel, const char *name, bool inbound, const char *error)
{
	account *a = find(agent->channels, channel, name);
	if (a == NULL)
		return;
	if (error != NULL)
		snprintf(a->last_error, sizeof a->last_error, "%s", error);
	else if (inbound)
		a->last_in_ms = oc_wall_ms();
	else
		a->last_out_ms = oc_wall_ms();
}

/* ---- Connecting ---- */

static void free_account(oc_channels *c, account *a)
{
	for (account **at = &c->accounts; *at != NULL; at = &(*at)->next)
		if (*at == a) {
			*at = a->next;
			break;
		}
	oc_watch_end(a->retry);
	oc_free(a->settings);
	oc_free(a);
}

static void on_retry(void *arg)
{
	account *a = arg;
	oc_watch_end(a->retry);
	a->retry = NULL;
	connect_account(a);
}

static void retry_later(account *a)
{
	oc_watch_end(a->retry);
	uint64_t wait = (uint64_t)RETRY_FIRST_MS << (a->failures < 6 ? a->failures : 6);
	a->failures++;
	a->retry = oc_timer_start(a->agent->channels->owner, wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS, 0, on_retry, a);
}

static void on_connected(void *arg, oc_status status, oc_str result)
{
	account *a = arg;
	a->call = NULL;
	if (status == OC_OK) {
		a->failures = 0;
		if (!a->reported)
			set_state(a, "connected", "");
	} else {
		oc_err err = {0};
		oc_call_error(status, result, &err, NULL);
		a->attached = false;
		snprintf(a->last_error, sizeof a->last_error, "%.255s", err.text);
		set_state(a, "failed", err.text);
		/* A wrong token or setting stays wrong until somebody changes it, which brings the account back here. */
		if (status != OC_E_AUTH && status != OC_E_INVALID && status != OC_E_DENIED && status != OC_E_UNSUPPORTED)
			retry_later(a);
	}
	if (!a->wanted)
		oc_channels_sync(a->agent);
}

/* What a network may show as a menu; channels.<id>.commands.native or commands.native false: nothing. */
static void add_commands(cJSON *message, const account *a)
{
	const oc_config *config = a->agent->config;
	const cJSON *own = oc_json_get(oc_channel_setting(config, a->channel, a->name, "commands"), "native");
	const oc_slash *s;
	if (cJSON_IsFalse(own != NULL ? own : oc_config_get(config, "commands.native")) ||
	    !oc_config_bool(config, "commands.text", true))
		return;
	cJSON *list = cJSON_AddArrayToObject(message, "commands");
	for (size_t i = 0; (s = oc_slash_row(i)) != NULL; i++) {
		cJSON *o = (s->flags & OC_SLASH_MENU) != 0 ? cJSON_CreateObject() : NULL;
		oc_json_opt(o, "name", s->name);
		oc_json_opt(o, "description", s->help);
		if (o != NULL && !cJSON_AddItemToArray(list, o))
			cJSON_Delete(o);
	}
	oc_agent_command guest;
	for (size_t i = 0; oc_slash_guest_row(a->agent, i, &guest); i++) {
		cJSON *o = cJSON_CreateObject();
		oc_json_opt(o, "name", oc_slash_guest_native(&guest, a->channel));
		oc_json_opt(o, "description", guest.help);
		if (o != NULL && !cJSON_AddItemToArray(list, o))
			cJSON_Delete(o);
	}
}

static void connect_account(account *a)
{
	oc_agent *agent = a->agent;
	oc_guest *guest = oc_modules_channel(agent->modules, oc_str_of(a->channel));
	if (agent->channels->stopping || a->call != NULL || a->attached || guest == NULL || !oc_guest_running(guest))
		return;
	oc_auto_json cJSON *config = cJSON_Parse(a->settings), *message = cJSON_CreateObject();
	drop_secrets(config);
	(void)oc_json_set_str(message, "account", a->name);
	(void)oc_json_set(message, "config", config);
	config = NULL;
	add_commands(message, a);
	oc_auto_free char *json = oc_json_print(message);
	oc_call_options options = {.deadline_ms = CONNECT_MS, .owner = agent->channels->owner, .on_done = on_connected, .arg = a};
	a->reported = false;
	set_state(a, "connecting", "");
	oc_status status = json != NULL ? oc_channel_connect(guest, oc_str_of(json), &options, &a->call) : OC_E_NOMEM;
	if (status == OC_OK) {
		a->attached = true;
	} else {
		set_state(a, "failed", oc_status_text(status));
		retry_later(a);
	}
}

static void check_stopped(oc_channels *c)
{
	if (!c->stopping || c->stopped == NULL)
		return;
	for (account *a = c->accounts; a != NULL; a = a->next)
		if (a->call != NULL)
			return;
	void (*stopped)(void *arg) = c->stopped;
	c->stopped = NULL;
	oc_watch_end(c->stop_timer);
	c->stop_timer = NULL;
	stopped(c->stopped_arg);
}

static void on_disconnected(void *arg, oc_status status, oc_str result)
{
	account *a = arg;
	oc_channels *c = a->agent->channels;
	(void)result;
	a->call = NULL;
	a->leaving = a->attached = false;
	set_state(a, "stopped", status == OC_OK ? "" : oc_status_text(status));
	if (a->remove)
		free_account(c, a);
	else
		connect_account(a); /* with its new settings */
	check_stopped(c);
}

/* false: nothing to wait for. */
static bool disconnect_account(account *a)
{
	oc_guest *guest = oc_modules_channel(a->agent->modules, oc_str_of(a->channel));
	oc_watch_end(a->retry);
	a->retry = NULL;
	if (a->call != NULL && a->leaving)
		return true;
	oc_call_abandon(a->call); /* a connect under way */
	a->call = NULL;
	if (!a->attached || guest == NULL || !oc_guest_running(guest))
		return false;
	oc_auto_free char *json = account_json(a->name);
	if (json == NULL)
		return false;
	oc_call_options options = {.deadline_ms = 10000, .owner = a->agent->channels->owner, .on_done = on_disconnected, .arg = a};
	a->leaving = oc_channel_disconnect(guest, oc_str_of(json), &options, &a->call) == OC_OK;
	a->attached = a->leaving;
	return a->leaving;
}

/* ---- What is wanted ---- */

static void want(oc_agent *agent, const char *channel, const char *name)
{
	oc_channels *c = agent->channels;
	if (strlen(channel) >= sizeof c->accounts->channel || strlen(name) >= sizeof c->accounts->name)
		return;
	oc_auto_json cJSON *settings = settings_of(agent->config, channel, name);
	char *json = oc_json_print(settings);
	account *a = find(c, channel, name);
	if (json == NULL || (a != NULL && a->settings != NULL && strcmp(a->settings, json) == 0)) {
		oc_free(json);
		if (a != NULL) {
			a->wanted = true;
			a->remove = false;
			if (a->retry == NULL && strcmp(a->state, "failed") != 0)
				connect_account(a); /* its module may have come back */
		}
		return;
	}
	if (a == NULL) {
		a = oc_alloc(sizeof *a);
		if (a == NULL) {
			oc_free(json);
			return;
		}
		a->agent = agent;
		snprintf(a->channel, sizeof a->channel, "%s", channel);
		snprintf(a->name, sizeof a->name, "%s", name);
		a->next = c->accounts;
		c->accounts = a;
	}
	oc_free(a->settings);
	a->settings = json;
	a->wanted = true;
	a->remove = false;
	a->failures = 0;
	if (!disconnect_account(a))
		connect_account(a);
}

static bool want_guest(void *arg, oc_guest *guest)
{
	oc_agent *agent = arg;
	const char *channel = oc_guest_id(guest);
	const cJSON *c = oc_json_get(oc_config_get(agent->config, "channels"), channel), *one;
	char path[80];
	snprintf(path, sizeof path, "channels.%.65s", channel);
	if (!cJSON_IsObject(c) || !oc_json_bool(c, "enabled", true) || !oc_config_usable(agent->config, path))
		return true;
	const cJSON *accounts = oc_json_get(c, "accounts");
	const cJSON *told = agent->accounts_fn != NULL ? agent->accounts_fn(agent->accounts_arg, channel) : NULL;
	if (told != NULL) {
		cJSON_ArrayForEach(one, told)
		{
			if (cJSON_IsString(one) && oc_json_bool(oc_json_get(accounts, one->valuestring), "enabled", true))
				want(agent, channel, one->valuestring);
		}
		return true;
	}
	if (cJSON_GetArraySize(accounts) == 0) {
		want(agent, channel, "default");
		return true;
	}
	cJSON_ArrayForEach(one, accounts)
	{
		if (cJSON_IsObject(one) && oc_json_bool(one, "enabled", true))
			want(agent, channel, one->string);
	}
	return true;
}

void oc_channels_sync(oc_agent *agent)
{
	oc_channels *c = agent->channels;
	if (c->stopping || agent->one_shot)
		return;
	for (account *a = c->accounts; a != NULL; a = a->next) {
		oc_guest *guest = oc_modules_channel(agent->modules, oc_str_of(a->channel));
		a->wanted = false;
		/* A module that stopped took its accounts with it. */
		if (a->attached && a->call == NULL && (guest == NULL || !oc_guest_running(guest))) {
			a->attached = false;
			set_state(a, "stopped", "its module does not run");
		}
	}
	oc_modules_each_guest(agent->modules, OC_KIND_CHANNEL, want_guest, agent);
	for (account *a = c->accounts, *next; a != NULL; a = next) {
		next = a->next;
		if (a->wanted)
			continue;
		a->remove = true;
		if (!disconnect_account(a))
			free_account(c, a);
	}
}

void oc_agent_set_accounts(oc_agent *agent, const cJSON *(*fn)(void *arg, const char *channel), void *arg)
{
	agent->accounts_fn = fn;
	agent->accounts_arg = arg;
}

void oc_agent_sync_channels(oc_agent *agent)
{
	if (agent->started)
		oc_channels_sync(agent);
}

/* ---- Life ---- */

oc_status oc_channels_new(oc_agent *agent, oc_channels **ret)
{
	oc_channels *c = oc_alloc(sizeof *c);
	if (c == NULL)
		return OC_E_NOMEM;
	c->agent = agent;
	c->owner = oc_owner_new(agent->loop, "channels");
	if (c->owner == NULL) {
		oc_free(c);
		return OC_E_NOMEM;
	}
	*ret = c;
	return OC_OK;
}

void oc_channels_free(oc_channels *c)
{
	if (c == NULL)
		return;
	oc_owner_free(c->owner);
	for (account *a = c->accounts, *next; a != NULL; a = next) {
		next = a->next;
		oc_free(a->settings);
		oc_free(a);
	}
	oc_free(c);
}

static void stop_late(void *arg)
{
	oc_channels *c = arg;
	oc_watch_end(c->stop_timer);
	c->stop_timer = NULL;
	oc_warn("channel", "not every account could be disconnected in time");
	for (account *a = c->accounts; a != NULL; a = a->next) {
		oc_call_abandon(a->call);
		a->call = NULL;
	}
	check_stopped(c);
}

static void stop_now(void *arg)
{
	check_stopped(arg);
}

void oc_channels_stop(oc_agent *agent, uint64_t deadline_ms, void (*done)(void *arg), void *arg)
{
	oc_channels *c = agent->channels;
	c->stopping = true;
	c->stopped = done;
	c->stopped_arg = arg;
	for (account *a = c->accounts; a != NULL; a = a->next)
		(void)disconnect_account(a);
	c->stop_timer = oc_timer_start(c->owner, deadline_ms, 0, stop_late, c);
	if (oc_loop_defer(agent->loop, c->owner, stop_now, c) != OC_OK)
		check_stopped(c);
}

/* ---- For people ---- */

static void describe_account(cJSON *list, const account *a)
{
	cJSON *o = cJSON_CreateObject();
	if (o == NULL || !cJSON_AddItemToArray(list, o)) {
		cJSON_Delete(o);
		return;
	}
	oc_json_opt(o, "account", a->name);
	oc_json_opt(o, "state", a->state);
	oc_json_opt(o, "detail", a->detail);
	(void)oc_json_set_i64(o, "since", a->since_ms);
	if (a->last_in_ms != 0)
		(void)oc_json_set_i64(o, "lastInbound", a->last_in_ms);
	if (a->last_out_ms != 0)
		(void)oc_json_set_i64(o, "lastOutbound", a->last_out_ms);
	oc_json_opt(o, "lastError", a->last_error);
}

oc_status oc_agent_channels(oc_agent *agent, cJSON **ret_array, oc_err *err)
{
	cJSON *known = oc_modules_known_channels(agent->modules), *out = cJSON_CreateArray();
	const cJSON *k;
	cJSON_ArrayForEach(k, known)
	{
		const char *id = oc_json_str(k, "id", "");
		const cJSON *section = oc_json_get(oc_config_get(agent->config, "channels"), id);
		cJSON *o = cJSON_CreateObject();
		if (o == NULL || !cJSON_AddItemToArray(out, o)) {
			cJSON_Delete(o);
			break;
		}
		oc_json_opt(o, "id", id);
		oc_json_opt(o, "label", oc_json_str(k, "label", NULL));
		oc_json_opt(o, "module", oc_json_str(k, "module", NULL));
		(void)oc_json_set_bool(o, "enabled", cJSON_IsObject(section) && oc_json_bool(section, "enabled", true));
		cJSON *accounts = cJSON_AddArrayToObject(o, "accounts");
		for (const account *a = agent->channels->accounts; a != NULL && accounts != NULL; a = a->next)
			if (strcmp(a->channel, id) == 0)
				describe_account(accounts, a);
	}
	cJSON_Delete(known);
	if (out == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot list the channels");
	*ret_array = out;
	return OC_OK;
}

/* ---- Probing ---- */

typedef struct probe {
	oc_agent *agent;
	char channel[65];
	cJSON *accounts;
	int open;
	bool starting;
	void (*done)(void *arg, oc_status status, const cJSON *result);
	void *arg;
} probe;

typedef struct probe_one {
	probe *p;
	char account[65];
} probe_one;

static void probe_over(void *arg)
{
	probe *p = arg;
	cJSON *result = cJSON_CreateObject();
	oc_json_opt(result, "channel", p->channel);
	(void)oc_json_set(result, "accounts", p->accounts);
	p->done(p->arg, result != NULL ? OC_OK : OC_E_NOMEM, result);
	cJSON_Delete(result);
	oc_free(p);
}

static void probed(void *arg, oc_status status, oc_str text)
{
	probe_one *one = arg;
	probe *p = one->p;
	cJSON *o = cJSON_CreateObject();
	oc_auto_json cJSON *root = NULL;
	oc_json_opt(o, "account", one->account);
	if (status == OC_OK && oc_json_parse(text, NULL, &root, NULL) == OC_OK) {
		(void)oc_json_set_bool(o, "ok", oc_json_bool(root, "ok", true));
		oc_json_opt(o, "detail", oc_json_str(root, "detail", NULL));
	} else {
		oc_err err = {0};
		oc_call_error(status, text, &err, NULL);
		(void)oc_json_set_bool(o, "ok", false);
		oc_json_opt(o, "detail", err.text);
	}
	if (o == NULL || !cJSON_AddItemToArray(p->accounts, o))
		cJSON_Delete(o);
	oc_free(one);
	if (--p->open == 0 && !p->starting)
		probe_over(p);
}

static oc_status probe_account(probe *p, oc_guest *guest, const char *name)
{
	probe_one *one = oc_alloc(sizeof *one);
	if (one == NULL)
		return OC_E_NOMEM;
	one->p = p;
	snprintf(one->account, sizeof one->account, "%s", name);
	oc_auto_free char *json = account_json(one->account);
	if (json == NULL) {
		oc_free(one);
		return OC_E_NOMEM;
	}
	oc_call_options options = {.deadline_ms = 15000, .owner = p->agent->channels->owner, .on_done = probed, .arg = one};
	oc_status status = oc_channel_probe(guest, oc_str_of(json), &options, NULL);
	if (status == OC_OK)
		p->open++;
	else
		oc_free(one);
	return status;
}

oc_status oc_agent_channel_probe(oc_agent *agent, oc_str channel, oc_str name,
				 void (*done)(void *arg, oc_status status, const cJSON *result), void *arg, oc_err *err)
{
	oc_guest *guest = oc_modules_channel(agent->modules, channel);
	if (guest == NULL || channel.n >= 65)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw module list`", "there is no channel %.*s", OC_STR_ARG(channel));
	probe *p = oc_alloc(sizeof *p);
	if (p != NULL)
		p->accounts = cJSON_CreateArray();
	if (p == NULL || p->accounts == NULL) {
		oc_free(p);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot probe the channel");
	}
	p->agent = agent;
	p->done = done;
	p->arg = arg;
	p->starting = true;
	memcpy(p->channel, channel.p, channel.n);
	oc_status status = OC_E_NOT_FOUND;
	for (const account *a = agent->channels->accounts; a != NULL; a = a->next)
		if (strcmp(a->channel, p->channel) == 0 && (name.n == 0 || oc_str_eqz(name, a->name)))
			status = probe_account(p, guest, a->name);
	p->starting = false;
	if (p->open > 0)
		return OC_OK;
	cJSON_Delete(p->accounts);
	oc_free(p);
	if (status == OC_E_NOT_FOUND)
		return oc_fail(err, status, "set it up under channels in the configuration", "no such account is connected");
	return oc_fail(err, status, NULL, "the channel cannot be probed: %s", oc_status_text(status));
}
