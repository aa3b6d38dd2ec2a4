/*
 * Who asks, and what that one may do: one answer for every way in.
 *
 * Somebody is let in by the gateway's own secret (all scopes), by a login (the scopes of the user's role), by the word of a
 * proxy that gateway.auth.mode "trusted-proxy" trusts, or (mode "none", the Unix socket) by being on this machine.  A login's
 * token counts wherever the gateway's own token does, and as a cookie.  What browsers send along by themselves (the cookie, the
 * proxy's word, being here) counts only for a page's own origin.  [loop]
 */
#ifndef OC_GATEWAY_ACCESS_H
#define OC_GATEWAY_ACCESS_H

#include "core/gateway/gateway.h"
#include "core/store/users.h"

enum { OC_GUARD_SECRET = 1 }; /* oc_http_guard: let in by what the configuration says; a login's number is above that */
#define OC_GUARD_LOGIN(id) ((uint64_t)(id) + 1)
#define OC_GUARD_NAMED ((uint64_t)1 << 63) /* this bit and the user's: by the word of the configured proxy */

/* Where a request comes from, as far as it can be believed: gateway.trustedProxies may speak for others. */
typedef struct oc_from {
	char address[64];
	bool is_local;	 /* from this machine itself, not through a proxy that nobody vouches for */
	bool is_vouched; /* a trusted proxy hands it on */
	bool is_tls;	 /* as the client sees it */
} oc_from;
void oc_from_request(const oc_gateway *gateway, const oc_http_req *req, oc_from *ret);
/* The same for who guesses at secrets: a page in a browser on this machine is not this machine. */
void oc_from_guesser(const oc_gateway *gateway, const oc_http_req *req, oc_from *ret);

typedef struct oc_access {
	unsigned scopes; /* 0: nobody that is known */
	int64_t login;	 /* its id; 0: none */
	uint64_t guard;	 /* for oc_http_guard; 0: the Unix socket, which stays open to its owner */
	char user[256];	 /* "": whoever has the gateway's own secret */
	const char *why; /* not let in although it tried: in words; NULL */
} oc_access;

/* By all that a request brings; guards it (oc_http_rights tells the scopes later). Failed tries count. */
bool oc_access_request(oc_gateway *gateway, oc_http_req *req, oc_access *ret);
/* By what needs no secret in the request: the socket, the mode, the proxy's word, the cookie. Counts nothing. */
bool oc_access_ambient(oc_gateway *gateway, const oc_http_req *req, oc_access *ret);
/* Who it was that oc_access_request let in, later. */
void oc_access_recall(oc_gateway *gateway, const oc_http_req *req, oc_access *ret);
/* By a secret: the gateway's own or a login's token. */
bool oc_access_secret(oc_gateway *gateway, oc_str secret, oc_access *ret);
void oc_access_of_login(const oc_login *login, oc_access *ret);
/* The client is that one from now on: its scopes (no more than at_most), its name, its guard. */
void oc_access_grant(oc_client *client, const oc_access *access, unsigned at_most);

/* Before somebody else's code reads the request: what it was let in by, a cookie or a secret, is none of that one's business. */
void oc_access_hide(oc_gateway *gateway, oc_http_req *req);
/* Somebody else's code on a path without authentication of ours refused the request: what it brought as a secret counts as a
 * wrong one, since it was compared with ours as well (oc_access_hide) and the answer may show it. */
void oc_access_refused(oc_gateway *gateway, const oc_from *guesser);
/* Closes what logins let in that are over, and (not NULL) what the proxy's word for that user did. */
void oc_access_sweep(oc_gateway *gateway, const char *user, const char *why);
/* How long the address of the request is locked out still; 0: it is not. */
uint64_t oc_access_locked_ms(const oc_gateway *gateway, const oc_http_req *req);

/* A page of another site asks, or somebody who hides which. No Origin header: no page. */
bool oc_access_is_foreign(const oc_gateway *gateway, const oc_http_req *req);
/* The host that a browser believes to talk to. */
oc_str oc_access_host(const oc_gateway *gateway, const oc_http_req *req);
oc_str oc_origin_host(oc_str origin);	  /* "https://a.b:1" is "a.b:1"; "" */
bool oc_host_is_loopback(oc_str host);	  /* localhost, 127.0.0.1, [::1], with or without port */
/* The address is one of the list's, or in one of its networks ("10.0.0.0/8"). */
bool oc_address_in(const cJSON *list, const char *address);

/* ---- Roles and logins ---- */

/* 0: there is no such role. */
unsigned oc_role_scopes(const char *role);
#define OC_ROLES "admin, operator, viewer"
#define OC_LOGIN_PREFIX "ocs_"

/* users.c: name and password are checked, then there is a login. token is valid during the call. OC_E_AUTH, OC_E_RATE_LIMIT,
 * OC_E_BUSY, OC_E_CANCELED, … */
typedef void (*oc_login_done)(void *arg, oc_status status, const char *token, const oc_login *login, const oc_err *err);
typedef struct oc_login_ask {
	oc_str user, password, client; /* client: what it calls itself */
	const char *address;
} oc_login_ask;
/* All is copied; done comes later, or (not OC_OK) never. */
oc_status oc_login_start(oc_gateway *gateway, const oc_login_ask *ask, oc_login_done done, void *arg, oc_err *err);
/* How long an address must wait before it may try a password again; 0: it may. */
uint64_t oc_login_locked_ms(const oc_gateway *gateway, const char *address);
/* How long a login lasts: gateway.auth.sessionHours. */
int64_t oc_login_life_ms(const oc_config *config);
/* The name of the cookie: cookies do not tell ports apart. */
const char *oc_login_cookie(const oc_gateway *gateway, char out[32]);
/* Ends a login, now and in the store; done may be NULL. */
void oc_login_end_now(oc_gateway *gateway, int64_t id);

/* login.c: /auth/login and /auth/logout. */
void oc_gateway_login(oc_gateway *gateway, oc_http_req *req);
void oc_gateway_logout(oc_gateway *gateway, oc_http_req *req);

#endif
