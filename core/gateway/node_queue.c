/* See node_queue.h. */
#include "core/gateway/node_queue.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"

#define NODES_MAX 200
#define ACTIONS_MAX 64
#define ACTION_MS 600000

/* {node:{"revision":n,"items":[…],"actions":[…]}} */
static cJSON *queues;

static cJSON *queue_of(const char *node_id, bool make)
{
	if (queues == NULL && make)
		queues = cJSON_CreateObject();
	cJSON *one = cJSON_GetObjectItemCaseSensitive(queues, node_id);
	if (one != NULL || !make || queues == NULL)
		return one;
	if (cJSON_GetArraySize(queues) >= NODES_MAX)
		cJSON_DeleteItemFromArray(queues, 0); /* the one that was asked first */
	one = cJSON_CreateObject();
	(void)oc_json_set_i64(one, "revision", 0);
	(void)oc_json_set(one, "items", cJSON_CreateArray());
	(void)oc_json_set(one, "actions", cJSON_CreateArray());
	return oc_json_set(queues, node_id, one) ? one : NULL;
}

static cJSON *list_of(cJSON *queue, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(queue, name);
}

/* member: when it is over, or 0. */
static void drop_old(cJSON *list, const char *member)
{
	for (cJSON *next, *one = list != NULL ? list->child : NULL; one != NULL; one = next) {
		next = one->next;
		int64_t end = oc_json_i64(one, member, 0);
		if (end > 0 && end < oc_wall_ms())
			cJSON_Delete(cJSON_DetachItemViaPointer(list, one));
	}
}

static cJSON *make_item(const char *id, const char *type, const char *priority, int64_t expires_ms)
{
	cJSON *item = cJSON_CreateObject();
	(void)oc_json_set_str(item, "id", id);
	(void)oc_json_set_str(item, "type", type);
	(void)oc_json_set_str(item, "priority", priority);
	(void)oc_json_set_i64(item, "createdAtMs", oc_wall_ms());
	(void)oc_json_set(item, "expiresAtMs", expires_ms > 0 ? cJSON_CreateNumber((double)(oc_wall_ms() + expires_ms)) : cJSON_CreateNull());
	return item;
}

static const cJSON *of_type(const cJSON *items, const char *type)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, items)
		if (strcmp(oc_json_str(one, "type", ""), type) == 0) return one;
	return NULL;
}

cJSON *oc_node_queue_item(const char *node_id, const char *type, const char *priority, int64_t expires_ms)
{
	cJSON *queue = queue_of(node_id, true), *items = list_of(queue, "items");
	char id[37];
	drop_old(items, "expiresAtMs");
	const cJSON *item = of_type(items, type);
	if (item == NULL && items != NULL) {
		cJSON *made = make_item(oc_id_uuid(id), type, priority, expires_ms);
		(void)cJSON_AddItemToArray(items, made);
		(void)oc_json_set_i64(queue, "revision", oc_json_i64(queue, "revision", 0) + 1);
		item = made;
	}
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "nodeId", node_id);
	(void)oc_json_set_i64(result, "revision", oc_json_i64(queue, "revision", 0));
	(void)oc_json_set(result, "queued", cJSON_Duplicate(item, true));
	(void)oc_json_set_bool(result, "wakeTriggered", false);
	return result;
}

/* What is urgent comes first. */
static cJSON *first_of(const cJSON *items, int most)
{
	static const char *const order[] = {"high", "normal", "default"};
	cJSON *list = cJSON_CreateArray();
	const cJSON *one;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		cJSON_ArrayForEach(one, items)
			if (strcmp(oc_json_str(one, "priority", ""), order[i]) == 0 && cJSON_GetArraySize(list) < most)
				(void)cJSON_AddItemToArray(list, cJSON_Duplicate(one, true));
	return list;
}

cJSON *oc_node_queue_items(const char *node_id, int most)
{
	cJSON *queue = queue_of(node_id, false), *items = list_of(queue, "items");
	drop_old(items, "expiresAtMs");
	cJSON *list = first_of(items, most), *result = cJSON_CreateObject();
	bool baseline = of_type(items, "status.request") == NULL, told = baseline && cJSON_GetArraySize(list) < most;
	if (told)
		(void)cJSON_AddItemToArray(list, make_item("baseline-status", "status.request", "default", 0));
	(void)oc_json_set_str(result, "nodeId", node_id);
	(void)oc_json_set_i64(result, "revision", oc_json_i64(queue, "revision", 0));
	(void)oc_json_set_bool(result, "hasMore", cJSON_GetArraySize(items) > cJSON_GetArraySize(list) - told || (baseline && !told));
	(void)oc_json_set(result, "items", list);
	return result;
}

void oc_node_queue_action(const char *node_id, const char *command, const char *params_json, const char *key, char id[37])
{
	cJSON *actions = list_of(queue_of(node_id, true), "actions");
	const cJSON *one;
	drop_old(actions, "expiresAtMs");
	cJSON_ArrayForEach(one, actions)
	{
		if (key[0] != 0 && strcmp(oc_json_str(one, "key", ""), key) == 0) {
			(void)snprintf(id, 37, "%s", oc_json_str(one, "id", ""));
			return;
		}
	}
	if (cJSON_GetArraySize(actions) >= ACTIONS_MAX)
		cJSON_DeleteItemFromArray(actions, 0);
	cJSON *action = cJSON_CreateObject();
	(void)oc_json_set_str(action, "id", oc_id_uuid(id));
	(void)oc_json_set_str(action, "command", command);
	(void)oc_json_set(action, "paramsJSON", params_json != NULL ? cJSON_CreateString(params_json) : cJSON_CreateNull());
	(void)oc_json_set_i64(action, "enqueuedAtMs", oc_wall_ms());
	(void)oc_json_set_i64(action, "expiresAtMs", oc_wall_ms() + ACTION_MS);
	(void)oc_json_set_str(action, "key", key);
	if (actions == NULL || !cJSON_AddItemToArray(actions, action))
		cJSON_Delete(action);
}

cJSON *oc_node_queue_actions(const char *node_id)
{
	cJSON *actions = list_of(queue_of(node_id, false), "actions"), *one;
	drop_old(actions, "expiresAtMs");
	cJSON *list = actions != NULL ? cJSON_Duplicate(actions, true) : cJSON_CreateArray();
	cJSON_ArrayForEach(one, list)
	{
		cJSON_DeleteItemFromObjectCaseSensitive(one, "key");
		cJSON_DeleteItemFromObjectCaseSensitive(one, "expiresAtMs");
	}
	return list;
}

int oc_node_queue_done(const char *node_id, const cJSON *ids)
{
	cJSON *actions = list_of(queue_of(node_id, false), "actions");
	drop_old(actions, "expiresAtMs");
	for (cJSON *next, *one = actions != NULL ? actions->child : NULL; one != NULL; one = next) {
		next = one->next;
		if (oc_json_has_str(ids, oc_json_str(one, "id", "")))
			cJSON_Delete(cJSON_DetachItemViaPointer(actions, one));
	}
	return cJSON_GetArraySize(actions);
}

void oc_node_queue_free(void)
{
	cJSON_Delete(queues);
	queues = NULL;
}
