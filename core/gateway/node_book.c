/* See node_book.h. */
#include "core/gateway/node_book.h"

#include <sodium.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/path.h"

#define FILE_MAX ((size_t)4 << 20)
#define PENDING_MS 300000
#define PENDING_MAX 64
#define PAIRED_MAX 1000

static const char PENDING[] = "nodes/pending.json", PAIRED[] = "nodes/paired.json";

/* {} when there is no file; NULL: err. */
static cJSON *load(const char *name, oc_err *err)
{
	oc_auto_free char *path = oc_path_state(name), *text = NULL;
	size_t n = 0;
	cJSON *tree = NULL;
	if (path == NULL || !oc_path_exists(path))
		return cJSON_CreateObject();
	if (oc_path_read(path, FILE_MAX, &text, &n, err) != OC_OK || oc_json_parse((oc_str){text, n}, NULL, &tree, err) != OC_OK) {
		(void)oc_err_prefix(err, "%s", path);
		return NULL;
	}
	for (cJSON *next, *one = strcmp(name, PENDING) == 0 ? tree->child : NULL; one != NULL; one = next) {
		next = one->next;
		if (oc_wall_ms() - oc_json_i64(one, "ts", 0) > PENDING_MS)
			cJSON_Delete(cJSON_DetachItemViaPointer(tree, one));
	}
	return tree;
}

static oc_status save(const char *name, const cJSON *tree, oc_err *err)
{
	oc_auto_free char *dir = oc_path_state("nodes"), *path = oc_path_state(name), *text = oc_json_print_pretty(tree);
	if (dir == NULL || path == NULL || text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "nodes: out of memory");
	oc_status status = oc_path_mkdirs(dir, 0700, err);
	if (status == OC_OK)
		status = oc_path_write(path, text, strlen(text), 0600, err);
	oc_wipe(text, strlen(text));
	return status;
}

static cJSON *unknown(oc_err *err)
{
	(void)oc_fail(err, OC_E_NOT_FOUND, "", "unknown requestId");
	return NULL;
}

cJSON *oc_node_book_ask(const cJSON *params, oc_err *err)
{
	oc_auto_json cJSON *pending = load(PENDING, err), *paired = pending != NULL ? load(PAIRED, err) : NULL;
	const char *node = oc_json_str(params, "nodeId", "");
	const cJSON *request = NULL, *one;
	char id[37];
	if (paired == NULL)
		return NULL;
	cJSON_ArrayForEach(one, pending) if (strcmp(oc_json_str(one, "nodeId", ""), node) == 0) request = one;
	bool created = request == NULL;
	if (created) {
		if (cJSON_GetArraySize(pending) >= PENDING_MAX) {
			(void)oc_fail(err, OC_E_BUSY, "", "too many nodes ask to be paired");
			return NULL;
		}
		cJSON *made = cJSON_Duplicate(params, true);
		(void)oc_json_set_str(made, "requestId", oc_id_uuid(id));
		(void)oc_json_set_bool(made, "isRepair", oc_json_get(paired, node) != NULL);
		(void)oc_json_set_i64(made, "ts", oc_wall_ms());
		request = made;
		if (!oc_json_set(pending, id, made) || save(PENDING, pending, err) != OC_OK)
			return NULL;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "status", "pending");
	(void)oc_json_set(result, "request", cJSON_Duplicate(request, true));
	(void)oc_json_set_bool(result, "created", created);
	return result;
}

static cJSON *listed(const cJSON *object)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *one;
	cJSON_ArrayForEach(one, object)
	{
		cJSON *copy = cJSON_Duplicate(one, true);
		cJSON_DeleteItemFromObjectCaseSensitive(copy, "token");
		(void)cJSON_AddItemToArray(list, copy);
	}
	return list;
}

cJSON *oc_node_book_list(oc_err *err)
{
	oc_auto_json cJSON *pending = load(PENDING, err), *paired = pending != NULL ? load(PAIRED, err) : NULL;
	cJSON *result = paired != NULL ? cJSON_CreateObject() : NULL;
	if (result != NULL) {
		(void)oc_json_set(result, "pending", listed(pending));
		(void)oc_json_set(result, "paired", listed(paired));
	}
	return result;
}

static void give_token(cJSON *node)
{
	unsigned char bytes[32];
	char text[64];
	randombytes_buf(bytes, sizeof bytes);
	(void)sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)oc_json_set_str(node, "token", text);
	oc_wipe(text, sizeof text);
}

cJSON *oc_node_book_approve(const char *request_id, oc_err *err)
{
	static const char *const of_the_request[] = {"requestId", "isRepair", "ts", "silent"};
	oc_auto_json cJSON *pending = load(PENDING, err), *paired = pending != NULL ? load(PAIRED, err) : NULL;
	if (paired == NULL)
		return NULL;
	oc_auto_json cJSON *node = cJSON_DetachItemFromObjectCaseSensitive(pending, request_id);
	if (node == NULL)
		return unknown(err);
	const char *id = oc_json_str(node, "nodeId", "");
	if (cJSON_GetArraySize(paired) >= PAIRED_MAX) {
		(void)oc_fail(err, OC_E_LIMIT, "", "too many nodes are paired");
		return NULL;
	}
	for (size_t i = 0; i < sizeof of_the_request / sizeof *of_the_request; i++)
		cJSON_DeleteItemFromObjectCaseSensitive(node, of_the_request[i]);
	give_token(node);
	(void)oc_json_set_i64(node, "createdAtMs", oc_json_i64(oc_json_get(paired, id), "createdAtMs", oc_wall_ms()));
	(void)oc_json_set_i64(node, "approvedAtMs", oc_wall_ms());
	if (!oc_json_set(paired, id, cJSON_Duplicate(node, true)) || save(PAIRED, paired, err) != OC_OK || save(PENDING, pending, err) != OC_OK)
		return NULL;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "requestId", request_id);
	(void)oc_json_set(result, "node", cJSON_Duplicate(node, true));
	return result;
}

cJSON *oc_node_book_reject(const char *request_id, oc_err *err)
{
	oc_auto_json cJSON *pending = load(PENDING, err);
	if (pending == NULL)
		return NULL;
	oc_auto_json cJSON *request = cJSON_DetachItemFromObjectCaseSensitive(pending, request_id);
	if (request == NULL)
		return unknown(err);
	if (save(PENDING, pending, err) != OC_OK)
		return NULL;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "requestId", request_id);
	(void)oc_json_set_str(result, "nodeId", oc_json_str(request, "nodeId", ""));
	return result;
}

cJSON *oc_node_book_verify(const char *node_id, oc_str token, oc_err *err)
{
	oc_auto_json cJSON *paired = load(PAIRED, err);
	if (paired == NULL)
		return NULL;
	const cJSON *node = oc_json_get(paired, node_id);
	bool good = node != NULL && token.n > 0 && oc_str_eq_secret(oc_json_ostr(node, "token"), token);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_bool(result, "ok", good);
	if (good)
		(void)oc_json_set(result, "node", cJSON_Duplicate(node, true));
	return result;
}

oc_status oc_node_book_rename(const char *node_id, const char *name, oc_err *err)
{
	oc_auto_json cJSON *paired = load(PAIRED, err);
	if (paired == NULL)
		return err->code;
	cJSON *node = cJSON_GetObjectItemCaseSensitive(paired, node_id);
	if (node == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "", "unknown nodeId");
	(void)oc_json_set_str(node, "displayName", name);
	return save(PAIRED, paired, err);
}
