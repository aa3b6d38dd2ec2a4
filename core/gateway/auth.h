/*
 * The gateway's own secrets, its token and its password, and what gateway.auth.mode makes of them.  access.h tells who may.
 */
#ifndef OC_GATEWAY_AUTH_H
#define OC_GATEWAY_AUTH_H

#include <stdbool.h>

#include "core/base/err.h"
#include "core/config/config.h"

/* gateway.auth.mode. Not set: the token, and the password when there is one. */
typedef enum oc_auth_mode { OC_AUTH_UNSET = 0, OC_AUTH_NONE, OC_AUTH_TOKEN, OC_AUTH_PASSWORD, OC_AUTH_PROXY } oc_auth_mode;

typedef struct oc_auth {
	oc_auth_mode mode;
	char *token;    /* never NULL once set up */
	char *password; /* NULL: none */
	char *policy;   /* all of gateway.auth and trustedProxies that is no secret, to see when it changes */
	bool from_file; /* the token was made by us and is in credentials/gateway-token */
	unsigned version; /* another one as soon as the token, the password or who may otherwise is */
} oc_auth;
const char *oc_auth_mode_name(oc_auth_mode mode); /* "token" when it is not set */

/* Token: given (may be NULL), else OPENCLAW_GATEWAY_TOKEN, else gateway.auth.token, else the one in
 * <state>/credentials/gateway-token, which is made at the first start. Replaces what was there; OC_E_INVALID: the mode lacks
 * what it needs. */
oc_status oc_auth_setup(oc_auth *auth, const oc_config *config, const char *token, oc_err *err);
void oc_auth_free(oc_auth *auth);
/* What stands in an Authorization header: the token of "Bearer …", or all of it. */
oc_str oc_auth_bearer(oc_str header);
/* Whether it is one of those that the mode takes; constant time. */
bool oc_auth_secret_ok(const oc_auth *auth, oc_str secret);

/* ---- Guessing (gateway.auth.rateLimit) ---- */

#define OC_AUTH_ADDRESSES 128

/* Failed attempts by address. Zero-initialised. */
typedef struct oc_auth_tries {
	struct {
		char address[64];
		int64_t failures;
		uint64_t since_ms, locked_ms; /* the first failure of the window; until when it is locked out */
	} at[OC_AUTH_ADDRESSES];
	uint64_t locked_ms; /* the latest of theirs: before, and nearly always, there is nobody to look for */
} oc_auth_tries;

/* How long the address is locked out still; 0: it may try. */
uint64_t oc_auth_locked_ms(const oc_auth_tries *tries, const char *address, uint64_t now_ms);
/* After a failed attempt. Loopback is exempt unless the configuration says otherwise. */
void oc_auth_failed(oc_auth_tries *tries, const oc_config *config, const char *address, bool is_loopback, uint64_t now_ms);

/* The token a client of the same user uses, without making one: as above; NULL when there is none. The caller's. */
char *oc_auth_client_token(const oc_config *config);

#endif
