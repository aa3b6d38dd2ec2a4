/* See approval_file.h. */
#include "core/agent/approval_file.h"

#include <sodium.h>
#include <string.h>

#include "core/agent/approval_rules.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/path.h"

#define FILE_MAX ((size_t)1 << 20)
#define PATTERNS_MAX 1000

static char *file_path(oc_err *err)
{
	char *path = oc_path_state("exec-approvals.json");
	if (path == NULL)
		(void)oc_fail(err, OC_E_NOMEM, NULL, "exec approvals: out of memory");
	return path;
}

/* hash: of its text, "" when there is none. */
static oc_status load(cJSON **ret, char hash[65], bool *exists, oc_err *err)
{
	unsigned char bytes[crypto_hash_sha256_BYTES];
	oc_auto_free char *path = file_path(err), *text = NULL;
	size_t n = 0;
	cJSON *tree = NULL;
	if (path == NULL)
		return OC_E_NOMEM;
	*exists = oc_path_exists(path);
	oc_status status = *exists ? oc_path_read(path, FILE_MAX, &text, &n, err) : OC_OK;
	if (status == OC_OK && text != NULL)
		status = oc_json_parse((oc_str){text, n}, NULL, &tree, err);
	if (status == OC_OK && tree != NULL && (!cJSON_IsObject(tree) || oc_json_i64(tree, "version", 1) != 1))
		status = oc_fail(err, OC_E_INVALID, "mend it, or take it away", "it is not a file of version 1");
	if (status != OC_OK) {
		cJSON_Delete(tree);
		return oc_err_prefix(err, "%s", path);
	}
	(void)crypto_hash_sha256(bytes, (const unsigned char *)(text != NULL ? text : ""), n);
	(void)sodium_bin2hex(hash, 65, bytes, sizeof bytes);
	*ret = tree != NULL ? tree : cJSON_CreateObject();
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "exec approvals: out of memory");
}

oc_status oc_approvals_load(cJSON **ret, oc_err *err)
{
	char hash[65];
	bool exists;
	return load(ret, hash, &exists, err);
}

static oc_status save(const cJSON *tree, oc_err *err)
{
	oc_auto_free char *path = file_path(err), *dir = oc_path_state_dir(), *text = oc_json_print_pretty(tree);
	if (path == NULL || dir == NULL || text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "exec approvals: out of memory");
	oc_status status = oc_path_mkdirs(dir, 0700, err);
	return status == OC_OK ? oc_path_write(path, text, strlen(text), 0600, err) : status;
}

cJSON *oc_approvals_snapshot(oc_err *err)
{
	static const char *const parts[] = {"defaults", "agents"};
	/* What holds where the file says nothing: a client would show, and then save, what the original takes for it. */
	static const char *const words[][2] = {{"security", "full"}, {"ask", "off"}, {"askFallback", "deny"}};
	oc_auto_free char *path = file_path(err);
	cJSON *file = NULL;
	char hash[65];
	bool exists = false;
	if (path == NULL || load(&file, hash, &exists, err) != OC_OK)
		return NULL;
	cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(file, "socket"), "token");
	if (oc_json_get(file, "version") == NULL)
		(void)oc_json_set_i64(file, "version", 1);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (!cJSON_IsObject(oc_json_get(file, parts[i])))
			(void)oc_json_set(file, parts[i], cJSON_CreateObject());
	cJSON *defaults = cJSON_GetObjectItemCaseSensitive(file, "defaults");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (oc_json_str(defaults, words[i][0], "")[0] == 0)
			(void)oc_json_set_str(defaults, words[i][0], words[i][1]);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "path", path);
	(void)oc_json_set_bool(o, "exists", exists);
	(void)oc_json_set_str(o, "hash", hash);
	(void)oc_json_set(o, "file", file);
	return o;
}

/* Every pattern has an id, by which lists of others name it. */
static void name_patterns(cJSON *file)
{
	cJSON *agent, *row;
	char id[37];
	cJSON_ArrayForEach(agent, oc_json_get(file, "agents"))
		cJSON_ArrayForEach(row, oc_json_get(agent, "allowlist"))
			if (cJSON_IsObject(row) && oc_json_str(row, "id", "")[0] == 0)
				(void)oc_json_set_str(row, "id", oc_id_uuid(id));
}

oc_status oc_approvals_put(const cJSON *file, const char *base_hash, oc_err *err)
{
	static const char again[] = "re-run exec.approvals.get and retry";
	oc_auto_json cJSON *before = NULL, *next = cJSON_Duplicate(file, true);
	char hash[65];
	bool exists = false;
	oc_status status = load(&before, hash, &exists, err);
	if (status != OC_OK)
		return status;
	if (exists && (base_hash == NULL || base_hash[0] == 0))
		return oc_fail(err, OC_E_INVALID, "", "exec approvals base hash required; %s", again);
	if (exists && strcmp(base_hash, hash) != 0)
		return oc_fail(err, OC_E_INVALID, "", "exec approvals changed since last load; %s", again);
	if (next == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "exec approvals: out of memory");
	const cJSON *socket = oc_json_get(before, "socket");
	if (socket != NULL)
		(void)oc_json_set(next, "socket", cJSON_Duplicate(socket, true));
	name_patterns(next);
	return save(next, err);
}

static cJSON *child(cJSON *o, const char *name, bool array)
{
	cJSON *one = cJSON_GetObjectItemCaseSensitive(o, name);
	if (array ? !cJSON_IsArray(one) : !cJSON_IsObject(one)) {
		one = array ? cJSON_CreateArray() : cJSON_CreateObject();
		if (!oc_json_set(o, name, one))
			return NULL;
	}
	return one;
}

static int place_of(const cJSON *list, const char *pattern)
{
	const cJSON *row;
	int i = 0;
	cJSON_ArrayForEach(row, list)
	{
		if (strcmp(cJSON_IsString(row) ? row->valuestring : oc_json_str(row, "pattern", ""), pattern) == 0)
			return i;
		i++;
	}
	return -1;
}

static oc_status change(const char *agent_id, const char *pattern, bool add, int64_t now_ms, oc_err *err)
{
	oc_auto_json cJSON *file = NULL;
	char id[37];
	oc_status status = oc_approvals_load(&file, err);
	if (status != OC_OK)
		return status;
	if (add && strchr(pattern, '/') == NULL)
		return oc_fail(err, OC_E_INVALID, "for example /usr/bin/rg or ~/bin/**", "\"%.200s\" is no path: a pattern is one of a program's file", pattern);
	cJSON *list = child(child(child(file, "agents", false), agent_id, false), "allowlist", true);
	int at = place_of(list, pattern);
	if (!add && at < 0)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw approvals get`", "the list of %s has no such pattern", agent_id);
	if (add && at >= 0)
		return OC_OK;
	if (add && cJSON_GetArraySize(list) >= PATTERNS_MAX)
		return oc_fail(err, OC_E_LIMIT, "take some out", "the list of %s is full", agent_id);
	cJSON *row = add ? cJSON_CreateObject() : NULL;
	if (add) {
		(void)oc_json_set_str(row, "id", oc_id_uuid(id));
		(void)oc_json_set_str(row, "pattern", pattern);
		(void)oc_json_set_i64(row, "lastUsedAt", now_ms);
		if (list == NULL || row == NULL || !cJSON_AddItemToArray(list, row)) {
			cJSON_Delete(row);
			return oc_fail(err, OC_E_NOMEM, NULL, "exec approvals: out of memory");
		}
	} else {
		cJSON_DeleteItemFromArray(list, at);
	}
	if (oc_json_get(file, "version") == NULL)
		(void)oc_json_set_i64(file, "version", 1);
	return save(file, err);
}

oc_status oc_approvals_allow(const char *agent_id, const char *pattern, int64_t now_ms, oc_err *err)
{
	return change(agent_id, pattern, true, now_ms, err);
}

oc_status oc_approvals_disallow(const char *agent_id, const char *pattern, oc_err *err)
{
	return change(agent_id, pattern, false, 0, err);
}

/* ---- What it says ---- */

/* "default" is what old files call the main agent. */
static const cJSON *agent_of(const cJSON *file, const char *agent_id)
{
	const cJSON *agents = oc_json_get(file, "agents"), *one = oc_json_get(agents, agent_id);
	return one == NULL && strcmp(agent_id, "main") == 0 ? oc_json_get(agents, "default") : one;
}

const char *oc_approvals_word(const cJSON *file, const char *agent_id, const char *name)
{
	const cJSON *places[] = {agent_of(file, agent_id), agent_of(file, "*"), oc_json_get(file, "defaults")};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *word = oc_json_str(places[i], name, "");
		if (word[0] != 0)
			return word;
	}
	return NULL;
}

static bool list_fits(const cJSON *agent, const char *path)
{
	const cJSON *row;
	cJSON_ArrayForEach(row, oc_json_get(agent, "allowlist"))
		if (oc_exec_pattern_fits(cJSON_IsString(row) ? row->valuestring : oc_json_str(row, "pattern", ""), path))
			return true;
	return false;
}

bool oc_approvals_lists(const cJSON *file, const char *agent_id, const char *path)
{
	return list_fits(agent_of(file, "*"), path) || list_fits(agent_of(file, agent_id), path);
}
