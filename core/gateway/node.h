/*
 * Nodes: phones and machines that connect with the role `node` and carry out commands for operators and agents.
 *
 * A node says in `connect` what it can do (caps, commands); what it is asked for must be among that, and be allowed by the defaults
 * of its platform, gateway.nodes.allowCommands and gateway.nodes.denyCommands.  [loop]
 */
#ifndef OC_GATEWAY_NODE_H
#define OC_GATEWAY_NODE_H

#include "core/gateway/proto.h"

enum { OC_NODE_INVOKE_MS = 30000, OC_NODE_INVOKE_MS_MAX = 600000, OC_NODE_INVOKES_MAX = 500 };

/* What a connection's `connect` says about the node; the connection's. NULL: no memory. */
cJSON *oc_node_of(const oc_proto *proto, const cJSON *connect_params);
/* Its connection is closed: what it was asked for has failed. */
void oc_node_gone(oc_proto *proto);
void oc_nodes_free(oc_gateway *gw);
const char *oc_node_id(const oc_proto *proto);
/* The newest connection of a node; NULL: it is not connected. */
oc_proto *oc_node_find(oc_gateway *gw, const char *node_id);
/* Whether a node may be asked for a command; why (60 bytes): in words for programs. */
bool oc_node_allows(const oc_config *config, const cJSON *node, const char *command, char *why);
/* "ios", "android", "macos", "windows", "linux", "unknown" */
const char *oc_node_platform(const cJSON *node);

/* What came of a command: payload_json, "" when there is none; code and message of a failure. */
typedef struct oc_node_outcome {
	bool ok;
	oc_str payload_json;
	const char *code, *message;
} oc_node_outcome;
typedef void (*oc_node_done)(void *arg, const oc_node_outcome *outcome);
/* Asks a node. done is called once, maybe at once: the node is not connected, or does not answer within timeout_ms (0: 30 s). */
void oc_node_invoke(oc_gateway *gw, const char *node_id, const char *command, const cJSON *params, uint64_t timeout_ms, const char *key,
		    oc_node_done done, void *arg);
/* A node's answer. false: nobody waits for it any more. */
bool oc_node_answer(oc_proto *proto, const char *id, const oc_node_outcome *outcome);

/* node_event.c: something that a node tells. */
void oc_node_event(oc_proto *proto, const char *event, const cJSON *payload);

#endif
