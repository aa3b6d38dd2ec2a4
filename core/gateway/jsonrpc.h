/*
 * JSON-RPC 2.0 (jsonrpc.org/specification) over the method table: string, number and null ids, notifications, batches.
 *
 * Errors: -32700 not JSON, -32600 not a request, -32601 no such method, -32602 wrong parameters, -32603 internal,
 * -32001 unauthorized, -32002 forbidden, -32003 not found, -32004 timed out, -32005 a limit, -32006 busy or unavailable,
 * -32007 conflicting state, -32008 canceled, -32000 anything else; data is {"code":"not_found","remedy":"…"}.
 */
#ifndef OC_GATEWAY_JSONRPC_H
#define OC_GATEWAY_JSONRPC_H

#include "core/gateway/method.h"

#define OC_JSONRPC_MAX_BYTES (1u << 20)
#define OC_JSONRPC_MAX_BATCH 64

/* Handles one message. done is called exactly once (maybe before this returns): text is the answer, empty when there is
 * none to send (only notifications). */
void oc_jsonrpc_handle(oc_client *client, oc_str message, void (*done)(void *arg, oc_str text), void *arg);

#endif
