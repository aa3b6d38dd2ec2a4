/* Channel accounts: which ones the configuration wants, connecting them, what state they are in. */
#ifndef OC_AGENT_CHANNELS_H
#define OC_AGENT_CHANNELS_H

#include "core/agent/internal.h"

oc_status oc_channels_new(oc_agent *agent, oc_channels **ret);
void oc_channels_free(oc_channels *channels); /* NULL is allowed */
/* Connects what is wanted and not there, disconnects what is no longer wanted or has other settings. */
void oc_channels_sync(oc_agent *agent);
/* Disconnects all; done(arg) later, at the latest after deadline_ms. */
void oc_channels_stop(oc_agent *agent, uint64_t deadline_ms, void (*done)(void *arg), void *arg);
/* What a channel says about an account: {"account","state","detail"?}. */
void oc_channels_state(oc_agent *agent, const char *channel, const cJSON *state);
/* A message came in or went out, or failed (error). */
void oc_channels_note(oc_agent *agent, const char *channel, const char *account, bool inbound, const char *error);

/* A setting of an account: channels.<channel>.accounts.<account>.<name>, else channels.<channel>.<name>. */
const cJSON *oc_channel_setting(const oc_config *config, const char *channel, const char *account, const char *name);

#endif
