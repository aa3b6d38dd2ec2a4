/*
 * Who may talk to the assistant: senders allowed at run time, and pairing codes of strangers who asked.
 *
 * The functions read and write at once on the calling thread (they are rare and small), so that a command can use them
 * while a gateway runs: the gateway reads the table for each message.
 */
#ifndef OC_STORE_PAIRING_H
#define OC_STORE_PAIRING_H

#include "core/store/store.h"

#define OC_PAIRING_CODE_LEN 8
#define OC_PAIRING_TTL_MS (60 * 60 * 1000LL)
#define OC_PAIRING_MAX_PENDING 3 /* a channel account */

/* Whether the sender was let in by a code. */
bool oc_pairing_allowed(oc_store *store, const char *channel, const char *account, const char *sender);
/* A stranger's request: the live code of the sender, made when there is none. is_new: it was made now (tell the sender
 * only then). OC_E_LIMIT: too many are waiting. The second form is for one's own oc_store_write. */
typedef struct oc_pairing_ask {
	const char *channel, *account, *sender, *name; /* name may be NULL */
	char code[OC_PAIRING_CODE_LEN + 1];
	bool is_new;
} oc_pairing_ask;
oc_status oc_pairing_request(oc_store *store, oc_pairing_ask *ask, oc_err *err);
oc_status oc_pairing_tx_request(oc_tx *tx, oc_pairing_ask *ask, oc_err *err);
/* [{"channel","account","sender","name"?,"code","createdAt","expiresAt"}], only live ones. channel NULL: all. */
oc_status oc_pairing_list(oc_store *store, const char *channel, cJSON **ret_array, oc_err *err);
/* [{"channel","account","sender","name"?,"addedAt","via"}]. */
oc_status oc_pairing_allow_list(oc_store *store, const char *channel, cJSON **ret_array, oc_err *err);
/* Moves the request to the allow-list and returns it; codes are compared without case. OC_E_NOT_FOUND: unknown or expired. */
oc_status oc_pairing_approve(oc_store *store, const char *channel, const char *code, cJSON **ret_request, oc_err *err);
oc_status oc_pairing_reject(oc_store *store, const char *channel, const char *code, oc_err *err);
/* Lets a sender in; via: how it came to be ("pairing", "migrate"). */
oc_status oc_pairing_allow(oc_store *store, const char *channel, const char *account, const char *sender, const char *via,
			   oc_err *err);
oc_status oc_pairing_revoke(oc_store *store, const char *channel, const char *account, const char *sender, oc_err *err);

#endif
