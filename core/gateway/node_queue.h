/*
 * What waits for nodes: questions after their state (`items`), and commands that a phone could not carry out in the background
 * (`actions`) and takes up when it is looked at again. In memory, a few for each.  [loop]
 */
#ifndef OC_GATEWAY_NODE_QUEUE_H
#define OC_GATEWAY_NODE_QUEUE_H

#include "core/data/json.h"

/* {"revision","queued":{…}}; one of a type waits once. expires_ms 0: never. */
cJSON *oc_node_queue_item(const char *node_id, const char *type, const char *priority, int64_t expires_ms);
/* {"revision","items":[…],"hasMore"}: what waits, at most so many, and the question that every node is asked. */
cJSON *oc_node_queue_items(const char *node_id, int most);
/* The id of the action, "" no memory. */
void oc_node_queue_action(const char *node_id, const char *command, const char *params_json, const char *key, char id[37]);
/* [{"id","command","paramsJSON","enqueuedAtMs"}] */
cJSON *oc_node_queue_actions(const char *node_id);
/* Takes those ids out; how many are left. */
int oc_node_queue_done(const char *node_id, const cJSON *ids);
void oc_node_queue_free(void);

#endif
