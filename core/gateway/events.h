/*
 * Event subscriptions of clients: what the agent does, as messages
 * {"jsonrpc":"2.0","method":"event","params":{"type","seq","ts","run"?,"session"?,"text"?,"data"?,"subscription"?}}.
 */
#ifndef OC_GATEWAY_EVENTS_H
#define OC_GATEWAY_EVENTS_H

#include "core/agent/agent.h"
#include "core/gateway/method.h"

/* Subscribes a client to all events, or those of a session or a run (NULL: any), of the types in the comma-separated list
 * (NULL: all). Returns the subscription's id, 0 when out of memory. */
uint64_t oc_events_subscribe(oc_client *client, const char *session, const char *run, const char *types);
bool oc_events_unsubscribe(oc_client *client, uint64_t id);
void oc_events_end_all(oc_client *client);
void oc_events_fill(const oc_gateway *gateway, oc_fill *subscriptions); /* how many each client has */
/* Sends one event to a client right away (the run's own sink of session.message with stream). */
void oc_events_send(oc_client *client, const oc_agent_event *event, uint64_t subscription);

#endif
