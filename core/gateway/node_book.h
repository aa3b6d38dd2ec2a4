/*
 * Nodes that pair by name and token instead of a key, as old ones do: <state>/nodes/{pending,paired}.json.  [loop]
 */
#ifndef OC_GATEWAY_NODE_BOOK_H
#define OC_GATEWAY_NODE_BOOK_H

#include "core/base/err.h"
#include "core/data/json.h"

/* All results are the caller's; NULL: err. */
/* {"status":"pending","request":{…},"created"} */
cJSON *oc_node_book_ask(const cJSON *params, oc_err *err);
/* {"pending":[…],"paired":[…]} without tokens. */
cJSON *oc_node_book_list(oc_err *err);
/* {"requestId","node":{…,"token"}}, OC_E_NOT_FOUND */
cJSON *oc_node_book_approve(const char *request_id, oc_err *err);
/* {"requestId","nodeId"} */
cJSON *oc_node_book_reject(const char *request_id, oc_err *err);
/* {"ok":true,"node":{…}} or {"ok":false} */
cJSON *oc_node_book_verify(const char *node_id, oc_str token, oc_err *err);
oc_status oc_node_book_rename(const char *node_id, const char *name, oc_err *err);

#endif
