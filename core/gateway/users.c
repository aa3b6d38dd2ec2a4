/* users.*, auth.*: users, their logins, and who one is oneself. Each login and each refusal is a line of the log. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"
#include "core/gateway/password.h"

#define TOKEN_CHARS 52 /* 260 bits */
#define HOUR_MS ((int64_t)3600 * 1000)

/* ---- Logging in ---- */

struct attempt {
	oc_login_new login; /* first: the writer's */
	oc_gateway *gw;
	oc_login_done done;
	void *arg;
	char token[sizeof OC_LOGIN_PREFIX + TOKEN_CHARS];
};

int64_t oc_login_life_ms(const oc_config *config)
{
	return oc_config_i64(config, "gateway.auth.sessionHours", 168) * HOUR_MS;
}

const char *oc_login_cookie(const oc_gateway *gw, char out[32])
{
	(void)snprintf(out, 32, "openclaw_%d", gw->port);
	return out;
}

/* Passwords are easier to guess than tokens: counted apart, and on this machine too. */
static const char *tries_key(const char *address, char out[64])
{
	(void)snprintf(out, 64, "login %.50s", address);
	return out;
}

uint64_t oc_login_locked_ms(const oc_gateway *gw, const char *address)
{
	char key[64];
	return oc_auth_locked_ms(&gw->tries, tries_key(address, key), oc_now_ms());
}

/* The end of every attempt. */
static void finish(struct attempt *a, oc_status status, const oc_err *err)
{
	oc_login login = {.id = a->login.id, .expires_ms = a->login.expires_ms};
	const char *name = a->login.user;
	if (status == OC_OK) {
		memcpy(login.user, name, sizeof login.user);
		memcpy(login.role, a->login.role, sizeof login.role);
		oc_info("auth", "login %lld: %s (%s) from %s", (long long)login.id, name, login.role, a->login.address);
	} else if (status != OC_E_CANCELED) {
		oc_warn("auth", "login refused: %s from %s: %s", name[0] != 0 ? name : "(no user's name)", a->login.address, err->text);
	}
	a->done(a->arg, status, a->token, &login, err);
	oc_wipe(a->token, sizeof a->token);
	oc_free(a);
}

static void written(void *arg, oc_status status, const oc_err *err)
{
	finish(arg, status, err);
}

static void checked(void *arg, oc_status status, const char *made)
{
	struct attempt *a = arg;
	oc_err err = {0};
	char key[64];
	(void)made;
	if (status == OC_OK && a->login.role[0] == 0) /* nobody, or one who may not */
		status = OC_E_AUTH;
	if (status == OC_OK) {
		char *end = stpcpy(a->token, OC_LOGIN_PREFIX);
		oc_id_token(end, TOKEN_CHARS);
		(void)crypto_generichash(a->login.hash, sizeof a->login.hash, (const unsigned char *)a->token, strlen(a->token), NULL, 0);
		status = oc_store_write(a->gw->rt->store, oc_login_tx_add, written, &a->login);
		if (status == OC_OK)
			return;
		(void)oc_fail(&err, status, "try again", "the login cannot be written down");
	} else if (status == OC_E_AUTH) {
		oc_auth_failed(&a->gw->tries, a->gw->rt->config, tries_key(a->login.address, key), false, oc_now_ms());
		(void)oc_fail(&err, status, "", "wrong name or password");
	} else {
		(void)oc_fail(&err, status, NULL, "the password was not checked");
	}
	finish(a, status, &err);
}

oc_status oc_login_start(oc_gateway *gw, const oc_login_ask *ask, oc_login_done done, void *arg, oc_err *err)
{
	char name[OC_USER_NAME_MAX + 1] = "", key[64];
	oc_user user = {0};
	if (oc_login_locked_ms(gw, ask->address) > 0)
		return oc_fail(err, OC_E_RATE_LIMIT, "wait some minutes", "too many wrong passwords from your address");
	if (ask->user.n <= OC_USER_NAME_MAX && ask->user.n > 0) {
		memcpy(name, ask->user.p, ask->user.n);
		name[ask->user.n] = 0;
	}
	bool known = oc_user_name_ok(name) && oc_user_find(gw->rt->store, name, &user);
	struct attempt *a = oc_alloc(sizeof *a);
	if (a == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	*a = (struct attempt){.gw = gw, .done = done, .arg = arg, .login = {.life_ms = oc_login_life_ms(gw->rt->config)}};
	(void)snprintf(a->login.user, sizeof a->login.user, "%s", known ? user.name : oc_user_name_ok(name) ? name : "");
	(void)snprintf(a->login.address, sizeof a->login.address, "%s", ask->address);
	(void)snprintf(a->login.client, sizeof a->login.client, "%.*s", (int)(ask->client.n < 120 ? ask->client.n : 120), ask->client.p);
	(void)snprintf(a->login.password, sizeof a->login.password, "%s", known ? user.password : "");
	if (known && !user.disabled)
		(void)snprintf(a->login.role, sizeof a->login.role, "%s", user.role);
	oc_str password = ask->password.n <= OC_PASSWORD_MAX ? ask->password : OC_STR_NONE;
	oc_status status = oc_password_start(gw, a->login.password, password, tries_key(ask->address, key), checked, a, err);
	if (status != OC_OK)
		oc_free(a);
	return status;
}

/* ---- Ending ---- */

struct ending {
	oc_login_end end; /* first: the writer's */
	oc_gateway *gw;
	oc_method_call *call; /* NULL: nobody waits */
};

static void ended(void *arg, oc_status status, const oc_err *err)
{
	struct ending *e = arg;
	if (e->call != NULL && status == OC_OK)
		oc_method_reply_text(e->call, OC_STR("{\"ok\":true}"));
	else if (e->call != NULL)
		oc_method_fail(e->call, err);
	if (status == OC_OK) /* last: it may be the one that asked */
		oc_access_sweep(e->gw, NULL, "the login was ended");
	oc_free(e);
}

/* One login, or (id 0) all of the user; call NULL: nobody waits. */
static void end_logins(oc_gateway *gw, oc_method_call *call, int64_t id, const char *user)
{
	struct ending *e = oc_alloc(sizeof *e);
	oc_status status = e == NULL ? OC_E_NOMEM : OC_OK;
	if (status == OC_OK) {
		*e = (struct ending){.end = {.id = id}, .gw = gw, .call = call};
		(void)snprintf(e->end.user, sizeof e->end.user, "%s", user);
		status = oc_store_write(gw->rt->store, oc_login_tx_end, ended, &e->end);
	}
	if (status == OC_OK)
		return;
	if (call != NULL)
		oc_method_failf(call, status, NULL, "the login cannot be ended");
	oc_free(e);
}

void oc_login_end_now(oc_gateway *gw, int64_t id)
{
	end_logins(gw, NULL, id, "");
}

/* ---- auth.login, auth.logout, auth.refresh, auth.me ---- */

static cJSON *me(oc_client *client)
{
	cJSON *o = cJSON_CreateObject();
	oc_login login;
	(void)oc_json_set_bool(o, "authenticated", client->scopes != 0);
	(void)oc_json_set(o, "scopes", oc_scope_list(client->scopes, ""));
	oc_json_opt(o, "user", client->user);
	if (client->login != 0 && oc_login_get(client->gateway->rt->store, client->login, &login)) {
		(void)oc_json_set_str(o, "role", login.role);
		(void)oc_json_set_i64(o, "session", login.id);
		(void)oc_json_set_i64(o, "expiresAt", login.expires_ms);
	}
	return o;
}

static void logged_in(void *arg, oc_status status, const char *token, const oc_login *login, const oc_err *err)
{
	oc_method_call *call = arg;
	oc_client *client = oc_method_client(call);
	if (status != OC_OK) {
		oc_method_fail(call, err);
		return;
	}
	oc_access who;
	oc_access_of_login(login, &who);
	if (!client->gone)
		oc_access_grant(client, &who, OC_SCOPE_ALL);
	client->can_events = client->notify != NULL && !client->gone;
	cJSON *result = me(client);
	(void)oc_json_set_bool(result, "ok", true);
	(void)oc_json_set_str(result, "token", token);
	oc_method_reply(call, result);
}

static oc_from from_of(const oc_client *client)
{
	oc_from from = {.is_local = true}; /* nobody from outside */
	if (client->from != NULL)
		from = *client->from;
	else if (client->req != NULL)
		oc_from_guesser(client->gateway, client->req, &from);
	return from;
}

static void auth_login(oc_method_call *call, const cJSON *params)
{
	oc_client *client = oc_method_client(call);
	oc_gateway *gw = client->gateway;
	const oc_http_peer *peer = client->peer;
	const oc_from from = from_of(client);
	bool counts = peer != NULL && !peer->is_unix;
	oc_str token = oc_json_ostr(params, "token"), password = oc_json_ostr(params, "password"), user = oc_json_ostr(params, "user");
	oc_access who = {0};
	oc_err err = {0};
	if (client->protocol != 0) {
		oc_method_failf(call, OC_E_INVALID, "", "this protocol logs in by its first request, connect");
		return;
	}
	if (user.n > 0) {
		oc_login_ask ask = {user, password, OC_STR("JSON-RPC"), from.address};
		if (oc_login_start(gw, &ask, logged_in, call, &err) != OC_OK)
			oc_method_fail(call, &err);
		return;
	}
	if (counts && oc_auth_locked_ms(&gw->tries, from.address, oc_now_ms()) > 0) {
		oc_method_failf(call, OC_E_RATE_LIMIT, "wait some minutes", "too many wrong tokens from your address");
		return;
	}
	if (!oc_access_secret(gw, token.n > 0 ? token : password, &who)) {
		if (counts)
			oc_auth_failed(&gw->tries, gw->rt->config, from.address, from.is_local, oc_now_ms());
		oc_method_failf(call, OC_E_AUTH, "`openclaw status` shows where the token is", "wrong token or password");
		return;
	}
	oc_access_grant(client, &who, OC_SCOPE_ALL);
	client->can_events = client->notify != NULL;
	cJSON *result = me(client);
	(void)oc_json_set_bool(result, "ok", true);
	oc_method_reply(call, result);
}

#define SECRET(name) "\"" name "\":{\"type\":\"string\",\"maxLength\":1024}"
const oc_method oc_method_auth_login = {
	"auth.login", OC_SCOPE_NONE,
	"authenticates this connection by the gateway's token or password, or by a user's name and password: then token is the session's, "
	"which counts where the gateway's own does",
	OC_PARAMS(SECRET("token") "," SECRET("password") "," SECRET("user")), auth_login};

static void auth_logout(oc_method_call *call, const cJSON *params)
{
	const oc_client *client = oc_method_client(call);
	(void)params;
	if (client->login == 0)
		oc_method_failf(call, OC_E_STATE, "", "this connection has no login that could be ended");
	else
		end_logins(client->gateway, call, client->login, "");
}

const oc_method oc_method_auth_logout = {"auth.logout", OC_SCOPE_NONE, "ends the login of this connection, and all connections that it let in",
					 OC_PARAMS(""), auth_logout};

struct refresh {
	oc_login_use use; /* first: the writer's */
	oc_gateway *gw;
	oc_method_call *call;
};

static void refreshed(void *arg, oc_status status, const oc_err *err)
{
	struct refresh *r = arg;
	if (status == OC_OK)
		oc_method_reply(r->call, me(oc_method_client(r->call)));
	else
		oc_method_fail(r->call, err);
	if (status == OC_E_NOT_FOUND)
		oc_access_sweep(r->gw, NULL, "the login is over: log in again");
	oc_free(r);
}

static void auth_refresh(oc_method_call *call, const cJSON *params)
{
	const oc_client *client = oc_method_client(call);
	struct refresh *r = client->login != 0 ? oc_alloc(sizeof *r) : NULL;
	oc_status status = client->login == 0 ? OC_E_STATE : r == NULL ? OC_E_NOMEM : OC_OK;
	(void)params;
	if (status == OC_OK) {
		*r = (struct refresh){.use = {.id = client->login, .life_ms = oc_login_life_ms(client->gateway->rt->config)},
				      .gw = client->gateway, .call = call};
		status = oc_store_write(client->gateway->rt->store, oc_login_tx_use, refreshed, &r->use);
	}
	if (status == OC_OK)
		return;
	oc_free(r);
	oc_method_failf(call, status, "", "this connection has no login that could last longer");
}

const oc_method oc_method_auth_refresh = {"auth.refresh", OC_SCOPE_NONE, "lets the login of this connection last as long as a new one",
					  OC_PARAMS(""), auth_refresh};

static void auth_me(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_method_reply(call, me(oc_method_client(call)));
}

const oc_method oc_method_auth_me = {"auth.me", OC_SCOPE_NONE, "who this connection is and what it may do", OC_PARAMS(""), auth_me};

/* ---- auth.sessions, auth.revoke ---- */

/* Whose logins somebody may see and end: his own, or everybody's. NULL: answered. "": everybody's. */
static const char *whose(oc_method_call *call, const char *user)
{
	const oc_client *client = oc_method_client(call);
	const char *own = client->user != NULL ? client->user : "";
	if ((client->scopes & OC_SCOPE_ADMIN) != 0)
		return user;
	if (own[0] != 0 && client->login != 0 && (user[0] == 0 || strcmp(user, own) == 0))
		return own;
	oc_method_failf(call, OC_E_DENIED, "", "missing scope: operator.admin");
	return NULL;
}

static void auth_sessions(oc_method_call *call, const cJSON *params)
{
	const char *user = whose(call, oc_json_str(params, "user", ""));
	oc_err err = {0};
	cJSON *list = NULL;
	if (user == NULL)
		return;
	if (oc_logins_list(oc_method_gateway(call)->rt->store, user[0] != 0 ? user : NULL, &list, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set(result, "sessions", list);
	oc_method_reply(call, result);
}

const oc_method oc_method_auth_sessions = {"auth.sessions", OC_SCOPE_READ, "logins that count; of everybody only for an admin", OC_PARAMS(OC_NAME("user")),
					   auth_sessions};

static void auth_revoke(oc_method_call *call, const cJSON *params)
{
	const char *user = whose(call, oc_json_str(params, "user", ""));
	int64_t id = oc_json_i64(params, "id", 0);
	if (user == NULL)
		return;
	if (id == 0 && user[0] == 0)
		oc_method_failf(call, OC_E_INVALID, "", "auth.revoke: give id or user");
	else
		end_logins(oc_method_gateway(call), call, id, user);
}

const oc_method oc_method_auth_revoke = {
	"auth.revoke", OC_SCOPE_READ, "ends a login, or all of a user, and the connections that they let in; of others only for an admin",
	OC_PARAMS("\"id\":{\"type\":\"integer\",\"minimum\":1}," OC_NAME("user")), auth_revoke};

/* ---- users.* ---- */

static void users_list(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	cJSON *list = NULL;
	(void)params;
	if (oc_users_list(oc_method_gateway(call)->rt->store, &list, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set(result, "users", list);
	oc_method_reply(call, result);
}

const oc_method oc_method_users_list = {"users.list", OC_SCOPE_ADMIN, "who may log in, with which role", OC_PARAMS(""), users_list};

struct changing {
	oc_user_change change; /* first: the writer's */
	oc_method_call *call;
};

static void changed(void *arg, oc_status status, const oc_err *err)
{
	static const char *const words[] = {[OC_USER_ADD] = "added", [OC_USER_SET] = "changed", [OC_USER_REMOVE] = "removed"};
	struct changing *c = arg;
	oc_gateway *gw = oc_method_gateway(c->call);
	const char *by = oc_method_client(c->call)->user;
	if (status == OC_OK) {
		oc_info("auth", "user %s %s by %s", c->change.name, words[c->change.what], by != NULL ? by : "the gateway's owner");
		cJSON *result = cJSON_CreateObject();
		(void)oc_json_set_bool(result, "ok", true);
		(void)oc_json_set_str(result, "name", c->change.name);
		oc_method_reply(c->call, result);
		oc_access_sweep(gw, c->change.name, "the user was changed: log in again");
	} else {
		oc_method_fail(c->call, err);
	}
	oc_wipe(&c->change, sizeof c->change);
	oc_free(c);
}

static void change_failed(struct changing *c, const oc_err *err)
{
	oc_method_fail(c->call, err);
	oc_free(c);
}

static void write_change(struct changing *c)
{
	oc_err err = {0};
	oc_gateway *gw = oc_method_gateway(c->call);
	if (oc_store_write(gw->rt->store, oc_user_tx_change, changed, &c->change) != OC_OK)
		change_failed(c, (oc_fail(&err, OC_E_BUSY, "try again", "the change cannot be written down"), &err));
}

static void hashed(void *arg, oc_status status, const char *made)
{
	struct changing *c = arg;
	oc_err err = {0};
	if (status != OC_OK) {
		change_failed(c, (oc_fail(&err, status, NULL, "the password cannot be hashed"), &err));
		return;
	}
	(void)snprintf(c->change.password, sizeof c->change.password, "%s", made);
	write_change(c);
}

static void change_user(oc_method_call *call, const cJSON *params, int what)
{
	oc_err err = {0};
	const char *name = oc_json_str(params, "name", ""), *role = oc_json_str(params, "role", "");
	oc_str password = oc_json_ostr(params, "password");
	const cJSON *disabled = oc_json_get(params, "disabled");
	oc_status status = OC_OK;
	if (!oc_user_name_ok(name))
		status = oc_fail(&err, OC_E_INVALID, "", "a user's name has 1 to %d letters, digits and ._@+-", OC_USER_NAME_MAX);
	else if (role[0] != 0 && oc_role_scopes(role) == 0)
		status = oc_fail(&err, OC_E_INVALID, "", "there is no role \"%.40s\"; roles are " OC_ROLES, role);
	else if (what == OC_USER_ADD || oc_json_get(params, "password") != NULL)
		status = oc_password_ok(password, &err);
	struct changing *c = status == OC_OK ? oc_alloc(sizeof *c) : NULL;
	if (status == OC_OK && c == NULL)
		status = oc_fail(&err, OC_E_NOMEM, NULL, "out of memory");
	if (status != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	*c = (struct changing){.call = call, .change = {.disabled = disabled != NULL ? cJSON_IsTrue(disabled) : -1}};
	c->change.what = what;
	(void)snprintf(c->change.name, sizeof c->change.name, "%s", name);
	(void)snprintf(c->change.role, sizeof c->change.role, "%s", role);
	if (password.n == 0)
		write_change(c);
	else if (oc_password_start(oc_method_gateway(call), NULL, password, "users", hashed, c, &err) != OC_OK)
		change_failed(c, &err);
}

static void users_create(oc_method_call *call, const cJSON *params)
{
	change_user(call, params, OC_USER_ADD);
}

#define ROLE "\"role\":{\"enum\":[\"admin\",\"operator\",\"viewer\"]}"
const oc_method oc_method_users_create = {
	"users.create", OC_SCOPE_ADMIN, "lets somebody log in: admin (everything), operator (uses the agents), viewer (looks on)",
	OC_PARAMS_REQ("\"name\",\"role\",\"password\"", OC_NAME("name") "," ROLE "," SECRET("password") "," OC_BOOLEAN("disabled")), users_create};

static void users_update(oc_method_call *call, const cJSON *params)
{
	change_user(call, params, OC_USER_SET);
}

const oc_method oc_method_users_update = {
	"users.update", OC_SCOPE_ADMIN, "gives a user another role or password, or disables it; its logins end",
	OC_PARAMS_REQ("\"name\"", OC_NAME("name") "," ROLE "," SECRET("password") "," OC_BOOLEAN("disabled")), users_update};

static void users_delete(oc_method_call *call, const cJSON *params)
{
	change_user(call, params, OC_USER_REMOVE);
}

const oc_method oc_method_users_delete = {"users.delete", OC_SCOPE_ADMIN, "removes a user; its logins end", OC_PARAMS_REQ("\"name\"", OC_NAME("name")),
					  users_delete};
