#include "core/agent/auth_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/config.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

char *oc_auth_file_path(const char *state_dir, const char *agent_id)
{
	oc_auto_free char *own = state_dir == NULL ? oc_path_state_dir() : NULL;
	const char *dir = state_dir != NULL ? state_dir : own;
	return dir != NULL ? oc_asprintf("%s/agents/%s/agent/auth-profiles.json", dir, agent_id) : NULL;
}

void oc_auth_file_wipe(cJSON *node)
{
	for (cJSON *child = node != NULL ? node->child : NULL; child != NULL; child = child->next)
		oc_auth_file_wipe(child);
	if (node != NULL && cJSON_IsString(node))
		oc_wipe(node->valuestring, strlen(node->valuestring));
}

oc_status oc_auth_file_read(const char *path, cJSON **ret, oc_err *err)
{
	struct stat st;
	char *text = NULL;
	size_t n = 0;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return OC_E_NOT_FOUND;
	if ((st.st_mode & 077) != 0)
		return oc_fail(err, OC_E_DENIED, "run `chmod 600` on it", "others may read or change it");
	oc_status status = oc_path_read(path, FILE_MAX_BYTES, &text, &n, err);
	if (status == OC_OK)
		status = oc_json_parse((oc_str){text, n}, NULL, ret, err);
	if (text != NULL)
		oc_wipe(text, n);
	oc_free(text);
	return status;
}

oc_status oc_auth_file_save(const char *path, const char *profile, const cJSON *credential, oc_err *err)
{
	cJSON *root = NULL;
	char *text = NULL;
	int lock = -1;
	oc_status status = oc_config_lock(path, &lock, err);
	if (status != OC_OK)
		return status;
	status = oc_auth_file_read(path, &root, err);
	if (status == OC_E_NOT_FOUND)
		status = (root = cJSON_CreateObject()) != NULL && oc_json_set_i64(root, "version", 1) ? OC_OK : OC_E_NOMEM;
	cJSON *profiles = cJSON_GetObjectItemCaseSensitive(root, "profiles");
	if (status == OC_OK && !cJSON_IsObject(profiles))
		profiles = oc_json_set(root, "profiles", cJSON_CreateObject()) ? cJSON_GetObjectItemCaseSensitive(root, "profiles") : NULL;
	if (status == OC_OK && (profiles == NULL || !oc_json_set(profiles, profile, cJSON_Duplicate(credential, true)) ||
				(text = oc_json_print(root)) == NULL))
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a login");
	if (status == OC_OK)
		status = oc_path_write(path, text, strlen(text), 0600, err);
	if (text != NULL)
		oc_wipe(text, strlen(text));
	oc_free(text);
	oc_auth_file_wipe(root);
	cJSON_Delete(root);
	(void)close(lock);
	return status;
}
