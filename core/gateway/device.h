/*
 * Devices: who connects with a key of its own (Ed25519), what the operator let it do, and the tokens it got.
 *
 * Kept in <state>/devices/paired.json and pending.json, as the TypeScript gateway keeps them.  [loop]
 */
#ifndef OC_GATEWAY_DEVICE_H
#define OC_GATEWAY_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/data/json.h"

enum { OC_DEVICE_ID_CHARS = 64, OC_DEVICE_TOKEN_CHARS = 43, OC_DEVICE_PENDING_MS = 300000 };

/* ---- The signature ---- */

/* What a device signs: it is read from its connect request. */
typedef struct oc_device_claim {
	oc_str id, public_key, signature, nonce; /* nonce "": an old client's, payload v1 */
	int64_t signed_ms;
	oc_str client_id, client_mode, role, platform, family, token;
	const cJSON *scopes; /* array of strings, or NULL */
} oc_device_claim;

/* Whether id is the SHA-256 of the key. */
bool oc_device_id_ok(const oc_device_claim *claim);
/* Whether the key signed one of the payloads v3 and v2, or v1 when there is no nonce. */
bool oc_device_signature_ok(const oc_device_claim *claim);

/* ---- The book ---- */

typedef struct oc_devices oc_devices;

/* Reads the files. A file that does not parse is an error: it is not overwritten. */
oc_status oc_devices_open(oc_devices **ret, oc_err *err);
void oc_devices_free(oc_devices *devices); /* NULL is allowed */

/* {"pending":[…],"paired":[…]} without tokens' values. NULL: no memory. */
cJSON *oc_devices_list(oc_devices *devices);
/* The paired device of this id and key; NULL: there is none. Borrowed until the next change. */
const cJSON *oc_devices_find(const oc_devices *devices, oc_str id, oc_str public_key);
/* Whether a paired device may have the role with all these scopes. */
/* NULL: no such device is paired. */
const cJSON *oc_devices_get(const oc_devices *devices, const char *id);
bool oc_devices_covers(const cJSON *device, const char *role, const cJSON *scopes);
/* Its token of that role: {"token","role","scopes","createdAtMs",…}; NULL: none that counts. */
const cJSON *oc_devices_token(const cJSON *device, const char *role);
bool oc_devices_token_ok(oc_devices *devices, const cJSON *device, const char *role, oc_str token);

/* Somebody asks to be let in. ask: {"deviceId","publicKey","displayName"?,"platform"?,…,"role","scopes","remoteIp"?}; taken.
 * ret: the request, borrowed until the next change; ret_new: it was not there before. */
oc_status oc_devices_ask(oc_devices *devices, cJSON *ask, bool silent, const cJSON **ret, bool *ret_new, oc_err *err);
const cJSON *oc_devices_request(oc_devices *devices, const char *request_id); /* NULL: unknown or too old */
/* ret: the device, without tokens' values; the caller's. */
oc_status oc_devices_approve(oc_devices *devices, const char *request_id, cJSON **ret, oc_err *err);
/* ret: {"requestId","deviceId"}; the caller's. */
oc_status oc_devices_reject(oc_devices *devices, const char *request_id, cJSON **ret, oc_err *err);
oc_status oc_devices_remove(oc_devices *devices, const char *id, oc_err *err);
/* How a paired device is called from now on. */
oc_status oc_devices_rename(oc_devices *devices, const char *id, const char *name, oc_err *err);
/* A new token in place of the old one; scopes NULL: as before. Borrowed. */
oc_status oc_devices_rotate(oc_devices *devices, const char *id, const char *role, const cJSON *scopes, const cJSON **ret,
			    oc_err *err);
oc_status oc_devices_revoke(oc_devices *devices, const char *id, const char *role, int64_t *ret_ms, oc_err *err);

#endif
