/*
 * Passwords of users: Argon2id, which takes 64 MiB and a moment each time.
 *
 * In the gateway that happens on pool threads, few at a time and few waiting, so that nobody can fill the memory or stop the
 * loop by logging in.
 */
#ifndef OC_GATEWAY_PASSWORD_H
#define OC_GATEWAY_PASSWORD_H

#include "core/gateway/gateway.h"

enum { OC_PASSWORD_MIN = 8, OC_PASSWORD_MAX = 1024, OC_PASSWORD_HASH_MAX = 128 };

/* Long enough, and not too long. */
oc_status oc_password_ok(oc_str password, oc_err *err);
/* Blocking. */
oc_status oc_password_hash(oc_str password, char out[OC_PASSWORD_HASH_MAX], oc_err *err);

/* made: the new hash, "" when one was compared. OC_E_AUTH: it is another password; OC_E_NOMEM; OC_E_CANCELED: the gateway ends. */
typedef void (*oc_password_done)(void *arg, oc_status status, const char *made);
/* Compares with a hash, or (compare_with NULL) makes one. Both texts are copied. compare_with "": with one that no password
 * has, which takes as long. key: who asks; of one there may be only some. OC_E_BUSY: too many wait; done is not called then. */
oc_status oc_password_start(oc_gateway *gateway, const char *compare_with, oc_str password, const char *key, oc_password_done done, void *arg,
			    oc_err *err);
/* The loop has ended. */
void oc_passwords_free(oc_gateway *gateway);

#endif
