/*
 * Runs as clients of OpenClaw's own protocol see them: `agent` events (lifecycle, assistant, tool) and `chat` events with the
 * text so far, at most every 150 ms.  A client names its run by its idempotency key, and every event carries that name.  [loop]
 */
#ifndef OC_GATEWAY_CHAT_H
#define OC_GATEWAY_CHAT_H

#include "core/gateway/proto.h"

#define OC_CHAT_NAME_MAX 256

typedef struct oc_chat {
	char run[37], name[OC_CHAT_NAME_MAX];
	char session[OC_SESSION_KEY_MAX];
	bool ended, aborted;
	int64_t started_ms, ended_ms;
	char status[16]; /* of the end: ok, error, canceled, … */
} oc_chat;

/* Listens to the agent's runs from now on. */
void oc_chats_start(oc_gateway *gw);
void oc_chats_free(oc_gateway *gw);
/* A run that was just submitted under a name of the client's. */
void oc_chat_begin(oc_gateway *gw, const oc_run_ref *ref, oc_str name);
/* By name, or by the run's own id; NULL: not one of the last thousand, or longer ago than five minutes. */
const oc_chat *oc_chat_find(oc_gateway *gw, const char *name);
/* done is called once: with the run as soon as one begins by that name, with NULL after so long, or when the gateway ends. */
oc_status oc_chat_await(oc_gateway *gw, const char *name, uint64_t ms, void (*done)(void *arg, const oc_chat *chat), void *arg, oc_err *err);
/* Tells everybody that it was aborted, with the text so far, before it really is. */
void oc_chat_tell_aborted(oc_gateway *gw, const oc_chat *chat, const char *reason);
/* Calls fn with each that runs in the session. */
void oc_chats_each(oc_gateway *gw, const char *session, void (*fn)(void *arg, const oc_chat *chat), void *arg);

/* methods_chat.c: the full key of what a client calls its session, of that agent ("" the default one); false: answered. */
bool oc_chat_session(oc_method_call *call, oc_str name, oc_str agent, char key[OC_SESSION_KEY_MAX]);

#endif
