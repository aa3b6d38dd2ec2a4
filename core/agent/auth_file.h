/*
 * agents/<id>/agent/auth-profiles.json, the file in which TypeScript releases keep logins: {"profiles":{"<profile>":{"type",
 * "provider","key"|"token"|"access","refresh"?,"expires"?}}}.  Kept by the keyring, written by logins and renewals.
 */
#ifndef OC_AGENT_AUTH_FILE_H
#define OC_AGENT_AUTH_FILE_H

#include "core/base/err.h"
#include "core/data/json.h"

/* state_dir NULL: this machine's. oc_free it; NULL: no memory. */
char *oc_auth_file_path(const char *state_dir, const char *agent_id);
/* The caller's (oc_auth_file_wipe, then cJSON_Delete). OC_E_NOT_FOUND: there is none; OC_E_DENIED: others may read or change it. */
oc_status oc_auth_file_read(const char *path, cJSON **ret, oc_err *err);
/* Puts one profile into it, mode 0600; the folder is made. */
oc_status oc_auth_file_save(const char *path, const char *profile, const cJSON *credential, oc_err *err);
void oc_auth_file_wipe(cJSON *root_or_null); /* overwrites what it holds */

#endif
