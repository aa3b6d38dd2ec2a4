/*
 * Outbound messages: rows of the outbox on their way to channels.  In order for each conversation, tried again with
 * back-off, marked delivered when the network took them.
 */
#ifndef OC_AGENT_OUTBOUND_H
#define OC_AGENT_OUTBOUND_H

#include "core/agent/internal.h"

oc_status oc_outbound_new(oc_agent *agent, oc_outbound **ret);
void oc_outbound_free(oc_outbound *outbound); /* NULL is allowed */
/* A row was committed: sends it when it is its turn. */
void oc_outbound_kick(oc_agent *agent, const char *key);
/* Takes up what is undelivered in the store (start), and tries at once what waits for a channel that is there again. */
void oc_outbound_resume(oc_agent *agent);
void oc_outbound_channel_up(oc_agent *agent, const char *channel, const char *account);
/* Rows that are being sent right now. */
size_t oc_outbound_busy(const oc_outbound *outbound);
/* A "typing" action; failures do not matter. */
void oc_outbound_typing(oc_agent *agent, const cJSON *deliver);

/* Conversations of each channel that are sent to at once. */
void oc_outbound_fill(oc_outbound *outbound, oc_fill *deliveries);

#endif
