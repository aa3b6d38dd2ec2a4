/*
 * Who may use the gateway besides whoever has its own token: users with a role and a password, and their logins.
 *
 * The functions of oc_tx are for the writer (oc_store_write) or for a command (oc_store_write_now); the others read.  Of a
 * password only its Argon2id hash is here, of a login's token only its hash.
 */
#ifndef OC_STORE_USERS_H
#define OC_STORE_USERS_H

#include "core/store/store.h"

enum {
	OC_USER_NAME_MAX = 64,
	OC_USER_ROLE_MAX = 15,
	OC_USER_HASH_MAX = 127,
	OC_USERS_MAX = 1000,
	OC_LOGIN_HASH_BYTES = 32,
	OC_LOGINS_MAX = 50 /* of one user; another ends the one that was used the longest ago */
};

typedef struct oc_user {
	char name[OC_USER_NAME_MAX + 1], role[OC_USER_ROLE_MAX + 1], password[OC_USER_HASH_MAX + 1];
	bool disabled;
} oc_user;

/* 1 to 64 letters, digits and ._@+- of ASCII; their case does not count. */
bool oc_user_name_ok(const char *name);
/* false: there is none of that name, or it cannot be read. */
bool oc_user_find(oc_store *store, const char *name, oc_user *ret);
/* [{"name","role","disabled","createdAt","changedAt","lastLoginAt"?,"sessions"}], by name. */
oc_status oc_users_list(oc_store *store, cJSON **ret_array, oc_err *err);

/* What becomes of a user. A new password, another role, disabling and removing end the user's logins. */
enum { OC_USER_ADD = 1, OC_USER_SET, OC_USER_REMOVE };
typedef struct oc_user_change {
	int what;
	char name[OC_USER_NAME_MAX + 1];
	char role[OC_USER_ROLE_MAX + 1], password[OC_USER_HASH_MAX + 1]; /* "": as it is */
	int disabled; /* -1: as it is */
} oc_user_change;
/* OC_E_EXISTS, OC_E_NOT_FOUND, OC_E_LIMIT. An oc_store_fn; arg is the change. */
oc_status oc_user_tx_change(oc_tx *tx, void *arg, oc_err *err);

/* ---- Logins ---- */

typedef struct oc_login {
	int64_t id, used_ms, expires_ms;
	char user[OC_USER_NAME_MAX + 1], role[OC_USER_ROLE_MAX + 1];
} oc_login;
/* false: no such login, it is over, or its user may not. */
bool oc_login_find(oc_store *store, const unsigned char hash[OC_LOGIN_HASH_BYTES], oc_login *ret);
bool oc_login_get(oc_store *store, int64_t id, oc_login *ret);
/* [{"id","user","role","createdAt","usedAt","expiresAt","address"?,"client"?}], newest first; user NULL: of all. */
oc_status oc_logins_list(oc_store *store, const char *user, cJSON **ret_array, oc_err *err);

typedef struct oc_login_new {
	char user[OC_USER_NAME_MAX + 1], address[64], client[128];
	char password[OC_USER_HASH_MAX + 1], role[OC_USER_ROLE_MAX + 1]; /* of when it was checked: others by now? Then there is no login */
	unsigned char hash[OC_LOGIN_HASH_BYTES];
	int64_t life_ms;
	int64_t id, expires_ms; /* results */
} oc_login_new;
/* OC_E_AUTH: the user is gone, disabled or has another password or role. arg: oc_login_new. */
oc_status oc_login_tx_add(oc_tx *tx, void *arg, oc_err *err);

/* Ends the login of that id, or all of a user. OC_E_NOT_FOUND: there was none. */
typedef struct oc_login_end {
	int64_t id;			     /* 0: all of the user */
	char user[OC_USER_NAME_MAX + 1]; /* "": whose it is does not matter */
} oc_login_end;
oc_status oc_login_tx_end(oc_tx *tx, void *arg, oc_err *err);
/* It was used now; life_ms other than 0: and ends so much later. OC_E_NOT_FOUND: it is over. */
typedef struct oc_login_use {
	int64_t id, life_ms;
} oc_login_use;
oc_status oc_login_tx_use(oc_tx *tx, void *arg, oc_err *err);

#endif
