/*
 * What becomes of messages that arrive while their session is busy: the settings (messages.queue, the session's own by
 * /queue) and the texts made of several messages.  The lanes (lane.c) and take.c act on them.
 */
#ifndef OC_AGENT_QUEUE_H
#define OC_AGENT_QUEUE_H

#include "core/agent/internal.h"

enum { OC_QUEUE_CAP_MAX = 1000 };

typedef enum oc_queue_mode {
	OC_QUEUE_COLLECT = 1,	/* all that wait become one turn (the default) */
	OC_QUEUE_FOLLOWUP,	/* each is a turn of its own, one after the other */
	OC_QUEUE_STEER,		/* goes into the running turn at its next step */
	OC_QUEUE_STEER_BACKLOG, /* the same, and is a turn of its own afterwards */
	OC_QUEUE_INTERRUPT	/* the running turn is stopped */
} oc_queue_mode;

typedef enum oc_queue_drop {
	OC_DROP_SUMMARIZE = 1, /* the oldest leaves; its beginning stays as a line of the next turn */
	OC_DROP_OLD,
	OC_DROP_NEW
} oc_queue_drop;

typedef struct oc_queue_settings {
	oc_queue_mode mode;
	oc_queue_drop drop;
	uint64_t debounce_ms; /* quiet before what waits becomes a turn */
	int64_t cap;	      /* messages that may wait in one session */
} oc_queue_settings;

/* The original's names and the older ones ("queue", "steer+backlog"); 0 when it is none. */
oc_queue_mode oc_queue_mode_parse(oc_str name);
const char *oc_queue_mode_name(oc_queue_mode mode);
const char *oc_queue_drop_name(oc_queue_drop drop);
/* The session's own settings (the session row's "settings", NULL: none) before the channel's before the general ones. */
void oc_queue_resolve(const oc_config *config, const char *channel, const cJSON *session_settings, oc_queue_settings *ret);
/* The same, for a session of the store. */
void oc_queue_of_session(oc_agent *agent, const oc_config *config, const char *session, const char *channel,
			 oc_queue_settings *ret);
/* messages.inbound.debounceMs of a channel. */
uint64_t oc_queue_inbound_debounce(const oc_config *config, const char *channel);
/* The arguments of /queue ("collect debounce:2s cap:25 drop:old", "default") as a change of the session's settings:
 * {"queue":{…}} or {"queue":null}. OC_E_INVALID says what was not understood. */
oc_status oc_queue_parse(oc_str args, cJSON **ret_patch, oc_err *err);

#endif
