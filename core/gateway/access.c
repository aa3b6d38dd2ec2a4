#include "core/gateway/access.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

#define USED_EVERY_MS (5 * 60 * 1000)
#define SWEEP_MS 60000

/* ---- Where from ---- */

/* Every address as one of IPv6; those of IPv4 as ::ffff:a.b.c.d. */
static bool address_of(const char *text, unsigned char out[16])
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	memcpy(out, mapped, sizeof mapped);
	return inet_pton(AF_INET, text, out + 12) == 1 || inet_pton(AF_INET6, text, out) == 1;
}

static bool in_network(const unsigned char address[16], const char *network)
{
	char text[64];
	unsigned char want[16];
	const char *slash = strchr(network, '/');
	size_t n = slash != NULL ? (size_t)(slash - network) : strlen(network);
	if (n >= sizeof text)
		return false;
	memcpy(text, network, n);
	text[n] = 0;
	if (!address_of(text, want))
		return false;
	int64_t most = strchr(text, ':') != NULL ? 128 : 32, bits = most;
	if (slash != NULL && oc_str_i64(oc_str_of(slash + 1), 0, most, &bits) != OC_OK)
		return false;
	bits += 128 - most;
	size_t whole = (size_t)bits / 8, rest = (size_t)bits % 8;
	return memcmp(address, want, whole) == 0 && (rest == 0 || ((address[whole] ^ want[whole]) >> (8 - rest)) == 0);
}

bool oc_address_in(const cJSON *list, const char *address)
{
	const cJSON *one;
	unsigned char bytes[16];
	if (!address_of(address, bytes))
		return false;
	cJSON_ArrayForEach(one, list) if (cJSON_IsString(one) && in_network(bytes, one->valuestring)) return true;
	return false;
}

/* "1.2.3.4:5", "[::1]:5" and quoted ones, as proxies write them. false: it is no address. */
static bool clean_address(oc_str text, char out[64])
{
	unsigned char bytes[16];
	const char *end;
	text = oc_str_trim(text);
	if (text.n > 1 && text.p[0] == '[' && (end = memchr(text.p, ']', text.n)) != NULL)
		text = (oc_str){text.p + 1, (size_t)(end - text.p) - 1};
	else if ((end = memchr(text.p, ':', text.n)) != NULL && memchr(end + 1, ':', text.n - (size_t)(end + 1 - text.p)) == NULL)
		text.n = (size_t)(end - text.p);
	if (text.n == 0 || text.n >= 64)
		return false;
	memcpy(out, text.p, text.n);
	out[text.n] = 0;
	return address_of(out, bytes);
}

/* The last of those that handed it on who is no proxy of ours: what stands before it, anybody may have written, and also what
 * stands before a last one that cannot be read. */
static bool forwarded_for(const cJSON *proxies, oc_str chain, char out[64])
{
	while (chain.n > 0) {
		const char *comma = memrchr(chain.p, ',', chain.n);
		oc_str last = comma != NULL ? (oc_str){comma + 1, chain.n - (size_t)(comma + 1 - chain.p)} : chain;
		chain.n = comma != NULL ? (size_t)(comma - chain.p) : 0;
		if (!clean_address(last, out))
			return false;
		if (!oc_address_in(proxies, out))
			return true;
	}
	return false;
}

/* Headers of one name are one list. */
static char *joined(const oc_http_req *req, const char *name)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 8192);
	for (size_t i = 0; i < oc_http_header_count(req); i++) {
		oc_str key, value;
		oc_http_header_at(req, i, &key, &value);
		if (!oc_str_eqz(key, name))
			continue;
		oc_sbuf_z(&b, b.n > 0 ? "," : "");
		oc_sbuf_str(&b, value);
	}
	return oc_sbuf_take(&b);
}

static bool is_vouched(const oc_gateway *gw, const oc_http_peer *peer)
{
	const cJSON *proxies = oc_config_get(gw->rt->config, "gateway.trustedProxies");
	return !peer->is_unix && cJSON_GetArraySize(proxies) > 0 && oc_address_in(proxies, peer->address);
}

void oc_from_request(const oc_gateway *gw, const oc_http_req *req, oc_from *ret)
{
	static const char *const marks[] = {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"};
	const oc_http_peer *peer = oc_http_get_peer(req);
	bool handed_on = false, found = false;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		handed_on |= oc_http_has_header(req, marks[i]);
	*ret = (oc_from){.is_vouched = is_vouched(gw, peer), .is_tls = peer->is_tls};
	(void)snprintf(ret->address, sizeof ret->address, "%s", peer->address);
	ret->is_local = peer->is_unix || (peer->is_loopback && !handed_on);
	if (!ret->is_vouched || !handed_on)
		return;
	const cJSON *proxies = oc_config_get(gw->rt->config, "gateway.trustedProxies");
	oc_auto_free char *chain = joined(req, "x-forwarded-for");
	char address[64];
	found = chain != NULL && forwarded_for(proxies, oc_str_of(chain), address);
	if (!found && oc_config_bool(gw->rt->config, "gateway.allowRealIpFallback", false))
		found = clean_address(oc_http_header(req, "x-real-ip"), address);
	if (found)
		memcpy(ret->address, address, sizeof address);
	ret->is_local = false;
	oc_str scheme = oc_http_header(req, "x-forwarded-proto");
	ret->is_tls |= oc_str_ieq(oc_str_trim(oc_str_cut(&scheme, ',')), OC_STR("https"));
}

void oc_from_guesser(const oc_gateway *gw, const oc_http_req *req, oc_from *ret)
{
	oc_from_request(gw, req, ret);
	ret->is_local = ret->is_local && !oc_http_has_header(req, "origin");
}

/* ---- Origins ---- */

oc_str oc_origin_host(oc_str url)
{
	const char *scheme = url.n > 0 ? memmem(url.p, url.n, "://", 3) : NULL;
	if (scheme == NULL)
		return OC_STR_NONE;
	oc_str rest = {scheme + 3, url.n - (size_t)(scheme + 3 - url.p)};
	return oc_str_cut(&rest, '/');
}

bool oc_host_is_loopback(oc_str host)
{
	if (host.n > 0 && host.p[0] == '[')
		return oc_str_starts(host, "[::1]");
	oc_str name = oc_str_cut(&host, ':');
	return oc_str_ieq(name, OC_STR("localhost")) || oc_str_eqz(name, "127.0.0.1") || oc_str_ends(name, ".localhost");
}

oc_str oc_access_host(const oc_gateway *gw, const oc_http_req *req)
{
	oc_str host = oc_http_header(req, "x-forwarded-host");
	if (host.n > 0 && is_vouched(gw, oc_http_get_peer(req)))
		return oc_str_trim(oc_str_cut(&host, ','));
	return oc_http_header(req, "host");
}

bool oc_access_is_foreign(const oc_gateway *gw, const oc_http_req *req)
{
	const cJSON *one, *allowed = oc_config_get(gw->rt->config, "gateway.controlUi.allowedOrigins");
	if (!oc_http_has_header(req, "origin"))
		return oc_str_eqz(oc_http_header(req, "sec-fetch-site"), "cross-site");
	oc_str origin = oc_http_header(req, "origin"), host = oc_origin_host(origin);
	cJSON_ArrayForEach(one, allowed) if (cJSON_IsString(one) && oc_str_ieq(origin, oc_str_of(one->valuestring))) return false;
	return host.n == 0 || !oc_str_ieq(host, oc_access_host(gw, req));
}

/* What changes something, or opens a way to: a page of another site must not make a browser ask for it. */
static bool is_tempting(const oc_http_req *req)
{
	return !(oc_http_is(req, "GET") || oc_http_is(req, "OPTIONS")) || oc_http_has_header(req, "upgrade");
}

/* ---- By what ---- */

static const struct {
	const char *name;
	unsigned scopes;
} roles[] = {
	{"admin", OC_SCOPE_ALL},
	{"operator", OC_SCOPE_READ | OC_SCOPE_WRITE | OC_SCOPE_APPROVALS | OC_SCOPE_PAIRING},
	{"viewer", OC_SCOPE_READ},
};

unsigned oc_role_scopes(const char *role)
{
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (strcmp(role, roles[i].name) == 0)
			return roles[i].scopes;
	return 0;
}

static void used(void *arg, oc_status status, const oc_err *err)
{
	(void)status;
	(void)err;
	oc_free(arg);
}

static void note_use(oc_gateway *gw, const oc_login *login)
{
	int64_t age = oc_wall_ms() - login->used_ms;
	if (age >= 0 && age < USED_EVERY_MS)
		return;
	oc_login_use *use = oc_alloc(sizeof *use);
	if (use == NULL)
		return;
	*use = (oc_login_use){.id = login->id};
	if (oc_store_write(gw->rt->store, oc_login_tx_use, used, use) != OC_OK)
		oc_free(use);
}

void oc_access_of_login(const oc_login *login, oc_access *ret)
{
	*ret = (oc_access){.scopes = oc_role_scopes(login->role), .login = login->id, .guard = OC_GUARD_LOGIN(login->id)};
	(void)snprintf(ret->user, sizeof ret->user, "%s", login->user);
}

static bool by_login(oc_gateway *gw, oc_str token, oc_access *ret)
{
	unsigned char hash[OC_LOGIN_HASH_BYTES];
	oc_login login;
	if (token.n < 20 || token.n > 200 || !oc_str_starts(token, OC_LOGIN_PREFIX) || gw->rt->store == NULL)
		return false;
	(void)crypto_generichash(hash, sizeof hash, (const unsigned char *)token.p, token.n, NULL, 0);
	if (!oc_login_find(gw->rt->store, hash, &login))
		return false;
	note_use(gw, &login);
	oc_access_of_login(&login, ret);
	return ret->scopes != 0;
}

bool oc_access_secret(oc_gateway *gw, oc_str secret, oc_access *ret)
{
	if (!oc_auth_secret_ok(&gw->auth, secret))
		return by_login(gw, secret, ret);
	*ret = (oc_access){.scopes = OC_SCOPE_ALL, .guard = OC_GUARD_SECRET};
	return true;
}

static oc_str cookie_of(const oc_gateway *gw, const oc_http_req *req)
{
	char name[32];
	oc_str rest = oc_http_header(req, "cookie"), want = oc_str_of(oc_login_cookie(gw, name));
	while (rest.p != NULL && rest.n > 0) {
		oc_str pair = oc_str_trim(oc_str_cut(&rest, ';')), key = oc_str_cut(&pair, '=');
		if (oc_str_eq(key, want))
			return pair;
	}
	return OC_STR_NONE;
}

static void mask(oc_str value)
{
	if (value.n > 0)
		memset((char *)(uintptr_t)value.p, '-', value.n); /* in the server's own copy of the head */
}

/* All of them: whoever can set one for a path of his makes it stand before the right one. */
void oc_access_hide(oc_gateway *gw, oc_http_req *req)
{
	char name[32];
	oc_str key, value, want = oc_str_of(oc_login_cookie(gw, name));
	oc_access who;
	for (size_t i = 0; i < oc_http_header_count(req); i++) {
		oc_http_header_at(req, i, &key, &value);
		if ((oc_str_eqz(key, "authorization") || oc_str_eqz(key, "x-api-key")) && oc_access_secret(gw, oc_auth_bearer(value), &who))
			mask(value);
		while (oc_str_eqz(key, "cookie") && value.p != NULL && value.n > 0) {
			oc_str pair = oc_str_trim(oc_str_cut(&value, ';'));
			if (oc_str_eq(oc_str_cut(&pair, '='), want))
				mask(pair);
		}
	}
}

static const char *lower(const char *text, char out[128])
{
	size_t n = 0;
	for (; text[n] != 0 && n < 127; n++)
		out[n] = text[n] >= 'A' && text[n] <= 'Z' ? (char)(text[n] + 32) : text[n];
	out[n] = 0;
	return out;
}

static uint64_t guard_named(const char *user)
{
	char name[256];
	unsigned char hash[crypto_generichash_BYTES];
	uint64_t number = 0;
	size_t n = 0;
	for (; user[n] != 0 && n < sizeof name; n++)
		name[n] = user[n] >= 'A' && user[n] <= 'Z' ? (char)(user[n] + 32) : user[n]; /* as the store compares names */
	(void)crypto_generichash(hash, sizeof hash, (const unsigned char *)name, n, NULL, 0);
	memcpy(&number, hash, sizeof number);
	return number | OC_GUARD_NAMED;
}

/* A proxy that adds the header to what the client sent would let the client choose. */
static oc_str only_header(const oc_http_req *req, const char *name)
{
	oc_str key, value, found = OC_STR_NONE;
	size_t n = 0;
	for (size_t i = 0; i < oc_http_header_count(req); i++) {
		oc_http_header_at(req, i, &key, &value);
		if (oc_str_eqz(key, name) && n++ == 0)
			found = oc_str_trim(value);
	}
	return n == 1 ? found : OC_STR_NONE;
}

static bool by_proxy(oc_gateway *gw, const oc_http_req *req, oc_access *ret)
{
	const oc_config *config = gw->rt->config;
	const cJSON *one, *allowed = oc_config_get(config, "gateway.auth.trustedProxy.allowUsers");
	char name[128];
	if (!is_vouched(gw, oc_http_get_peer(req))) {
		ret->why = "only the proxy of gateway.trustedProxies may ask";
		return false;
	}
	cJSON_ArrayForEach(one, oc_config_get(config, "gateway.auth.trustedProxy.requiredHeaders"))
	{
		oc_str value = cJSON_IsString(one) ? oc_http_header(req, lower(one->valuestring, name)) : OC_STR_NONE;
		if (oc_str_trim(value).n == 0) {
			ret->why = "the proxy left out a header of gateway.auth.trustedProxy.requiredHeaders";
			return false;
		}
	}
	const char *header = oc_config_str(config, "gateway.auth.trustedProxy.userHeader", "");
	oc_str user = only_header(req, lower(header, name));
	oc_access who = {.scopes = OC_SCOPE_ALL, .guard = OC_GUARD_SECRET};
	if (user.n == 0 || user.n >= sizeof who.user) {
		ret->why = "the proxy names no user, or several";
		return false;
	}
	memcpy(who.user, user.p, user.n);
	who.user[user.n] = 0;
	who.guard = guard_named(who.user);
	if (cJSON_GetArraySize(allowed) > 0 && !oc_json_has_str(allowed, who.user)) {
		ret->why = "the user is not among gateway.auth.trustedProxy.allowUsers";
		return false;
	}
	oc_user known;
	if (oc_user_find(gw->rt->store, who.user, &known)) /* then its role counts */
		who.scopes = known.disabled ? 0 : oc_role_scopes(known.role);
	if (who.scopes == 0)
		who.why = known.role[0] != 0 ? "the user is disabled" : "the user was removed";
	*ret = who;
	return who.scopes != 0;
}

/* With no authentication at all a name that somebody made point here (DNS rebinding) must not open the door. */
static bool by_mode_none(const oc_gateway *gw, const oc_http_req *req, oc_access *ret)
{
	char address[64];
	/* Also behind a proxy on this machine: the page can write what such a one would. */
	oc_str hosts[] = {oc_http_header(req, "host"), oc_access_host(gw, req)};
	for (size_t i = 0; i < 2; i++) {
		if (hosts[i].n == 0 || oc_host_is_loopback(hosts[i]) || clean_address(hosts[i], address))
			continue;
		ret->why = "with gateway.auth.mode \"none\" the gateway answers only to localhost and to addresses in numbers";
		return false;
	}
	*ret = (oc_access){.scopes = OC_SCOPE_ALL, .guard = OC_GUARD_SECRET};
	return true;
}

bool oc_access_ambient(oc_gateway *gw, const oc_http_req *req, oc_access *ret)
{
	const oc_http_peer *peer = oc_http_get_peer(req);
	/* On the Unix socket the kernel says who it is; root may do anything anyway. */
	if (peer->is_unix && (peer->uid == geteuid() || peer->uid == 0)) {
		*ret = (oc_access){.scopes = OC_SCOPE_ALL};
		return true;
	}
	bool tempting = is_tempting(req), foreign = tempting && oc_access_is_foreign(gw, req);
	if (gw->auth.mode == OC_AUTH_NONE || gw->auth.mode == OC_AUTH_PROXY) {
		if (!foreign)
			return gw->auth.mode == OC_AUTH_NONE ? by_mode_none(gw, req, ret) : by_proxy(gw, req, ret);
		ret->why = "a page of another site may not ask; gateway.controlUi.allowedOrigins names those that may";
		return false;
	}
	oc_str cookie = cookie_of(gw, req);
	if (cookie.n == 0 || foreign)
		return false;
	/* A client that says no origin, and is no page that would have to: it must have meant to send the cookie. */
	if (tempting && !oc_http_has_header(req, "origin") && !oc_http_has_header(req, "x-openclaw-csrf"))
		return false;
	return by_login(gw, cookie, ret);
}

void oc_access_refused(oc_gateway *gw, const oc_from *guesser)
{
	oc_auth_failed(&gw->tries, gw->rt->config, guesser->address, guesser->is_local, oc_now_ms());
}

static void count_failure(oc_gateway *gw, const oc_http_req *req)
{
	oc_from from;
	oc_from_guesser(gw, req, &from);
	oc_access_refused(gw, &from);
}

uint64_t oc_access_locked_ms(const oc_gateway *gw, const oc_http_req *req)
{
	oc_from from;
	uint64_t now = oc_now_ms();
	if (gw->tries.locked_ms <= now || oc_http_get_peer(req)->is_unix)
		return 0;
	oc_from_request(gw, req, &from);
	return oc_auth_locked_ms(&gw->tries, from.address, now);
}

/* ---- Until when ---- */

struct sweep {
	oc_gateway *gw;
	const char *user;
	size_t open; /* by logins that count still */
};

static bool is_over(void *arg, uint64_t guard)
{
	struct sweep *s = arg;
	oc_login login;
	if (guard == OC_GUARD_SECRET)
		return false;
	if ((guard & OC_GUARD_NAMED) != 0)
		return s->user != NULL && guard == guard_named(s->user);
	bool over = !oc_login_get(s->gw->rt->store, (int64_t)(guard - OC_GUARD_LOGIN(0)), &login);
	s->open += !over;
	return over;
}

void oc_access_sweep(oc_gateway *gw, const char *user, const char *why)
{
	struct sweep s = {.gw = gw, .user = user};
	if (gw->server == NULL) /* the gateway ends, and the store tells what it still wrote */
		return;
	(void)oc_http_server_revoke(gw->server, is_over, &s, why);
	if (s.open > 0)
		return;
	oc_watch_end(gw->sweep);
	gw->sweep = NULL;
}

static void on_sweep(void *arg)
{
	oc_access_sweep(arg, NULL, "the login is over: log in again");
}

/* A connection that a login lets in must not outlast it. */
static void sweep_later(oc_gateway *gw)
{
	if (gw->sweep == NULL && !gw->stopping)
		gw->sweep = oc_timer_start(gw->rt->owner, SWEEP_MS, SWEEP_MS, on_sweep, gw);
}

/* ---- All together ---- */

bool oc_access_request(oc_gateway *gw, oc_http_req *req, oc_access *ret)
{
	oc_str header = oc_http_header(req, "authorization");
	if (header.n == 0) /* as Anthropic's clients send it */
		header = oc_http_header(req, "x-api-key");
	bool ok = oc_access_locked_ms(gw, req) == 0;
	*ret = (oc_access){0};
	if (ok && header.n > 0 && !oc_http_get_peer(req)->is_unix && gw->auth.mode != OC_AUTH_NONE && gw->auth.mode != OC_AUTH_PROXY) {
		ok = oc_access_secret(gw, oc_auth_bearer(header), ret);
		if (!ok)
			count_failure(gw, req);
	} else if (ok) {
		ok = oc_access_ambient(gw, req, ret);
	}
	if (ok)
		oc_http_guard(req, ret->guard, ret->scopes);
	if (ok && ret->login != 0 && oc_http_has_header(req, "upgrade"))
		sweep_later(gw);
	return ok;
}

void oc_access_recall(oc_gateway *gw, const oc_http_req *req, oc_access *ret)
{
	uint64_t guard = oc_http_guarded_by(req);
	oc_login login;
	*ret = (oc_access){.guard = guard};
	if ((guard & OC_GUARD_NAMED) != 0)
		(void)by_proxy(gw, req, ret);
	else if (guard > OC_GUARD_SECRET && oc_login_get(gw->rt->store, (int64_t)(guard - OC_GUARD_LOGIN(0)), &login))
		oc_access_of_login(&login, ret);
	ret->scopes = oc_http_rights(req);
}

void oc_access_grant(oc_client *client, const oc_access *a, unsigned at_most)
{
	client->scopes = a->scopes & at_most;
	client->login = a->login;
	oc_free(client->user);
	client->user = a->user[0] != 0 ? oc_strdup(a->user) : NULL;
	if (client->ws != NULL)
		oc_http_guard_ws(client->ws, a->guard);
	if (client->ws != NULL && a->login != 0)
		sweep_later(client->gateway);
}
