/*
 * Calls in both directions over one transport: ids, deadlines, cancellation, events, heartbeats.  See PROTOCOL.md.
 *
 * A peer is one guest process.  It accepts nothing before a hello with the right secret.  All functions and callbacks are
 * on the loop thread; callbacks may close the peer.
 */
#ifndef OC_BRIDGE_PEER_H
#define OC_BRIDGE_PEER_H

#include "core/base/queues.h"
#include "ipc-bridge/frame.h"
#include "ipc-bridge/transport.h"

typedef struct oc_peer oc_peer;

enum {
	OC_PEER_CALLS_MAX = 4096, /* open at once, each way */
	OC_PEER_PING_MS = 10 * 1000,
	OC_PEER_SILENT_MS = 30 * 1000, /* with calls open: hung */
	OC_PEER_HELLO_MS = 20 * 1000,
};

typedef struct oc_peer_events {
	/* The hello was right: calls may begin. hello: its JSON. */
	void (*ready)(void *arg, oc_str hello);
	/* The guest calls; answer with oc_peer_answer, once, now or later. Views are borrowed. */
	void (*call)(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms);
	/* It gives up a call of its own; an answer is still expected, and ignored. May be NULL. */
	void (*cancel)(void *arg, uint32_t id);
	void (*notify)(void *arg, oc_str name, oc_str payload);
	/* The connection is over, at most once; open calls have ended (OC_E_RETRY) before. */
	void (*closed)(void *arg, const char *why);
} oc_peer_events;

typedef struct oc_peer_options {
	const char *name;   /* for logs and metrics: "plugin voice-call" */
	const char *path;   /* of the socket to listen on; NULL: fd */
	int fd;		    /* a connected socket that nobody else has, taken over: no secret is asked for */
	bool guest;	    /* this is the process's end: it says hello */
	uint32_t silent_ms; /* 0: OC_PEER_SILENT_MS; else it must be heard of so often, calls open or not */
	const char *secret; /* copied, and wiped once it was used */
	const char *version; /* ours, told in the hello */
	oc_queue queue; /* of its open calls, where refusals are counted; the two that follow are its unsent messages and their bytes */
	oc_transport_kind transport;
	const oc_peer_events *events; /* static */
	void *arg;
} oc_peer_options;

oc_status oc_peer_open(oc_loop *loop, const oc_peer_options *options, oc_peer **ret, oc_err *err);
/* Ends it without further callbacks, open calls included; NULL is allowed. */
void oc_peer_close(oc_peer *peer);
/* As if the guest had closed the connection: open calls end with OC_E_RETRY, then events->closed. Nothing when it is over. */
void oc_peer_end(oc_peer *peer, const char *why);
/* The guest is there and its connection is not over. */
bool oc_peer_connected(const oc_peer *peer);
bool oc_peer_ready(const oc_peer *peer);

typedef struct oc_peer_call {
	const char *method;
	oc_str payload;
	uint32_t deadline_ms; /* told to the guest and kept here: OC_E_TIMEOUT; 0: none */
	/* May be NULL. */
	void (*on_event)(void *arg, uint32_t type, oc_str payload);
	/* Once, later. On an error result is a text for people. */
	void (*on_done)(void *arg, oc_status status, oc_str result);
	void *arg;
} oc_peer_call;

/* ret_id (may be NULL) is for oc_peer_cancel. OC_E_UNAVAILABLE: not connected; OC_E_LIMIT: it does not keep up. */
oc_status oc_peer_call_start(oc_peer *peer, const oc_peer_call *call, uint32_t *ret_id);
/* Asks the guest to end it; its answer still comes to on_done. Ignored when the call is over. */
void oc_peer_cancel(oc_peer *peer, uint32_t id);
oc_status oc_peer_notify(oc_peer *peer, const char *method, oc_str payload);
/* Answers a call of the guest: JSON, or on an error a text for people. */
void oc_peer_answer(oc_peer *peer, uint32_t id, oc_status status, oc_str result);
/* As oc_transport_drain. */
bool oc_peer_drain(oc_peer *peer);
/* As oc_transport_pause; it need not be heard of meanwhile. */
void oc_peer_pause(oc_peer *peer, bool pause);
/* It must be heard of within silent_ms, calls open or not, or it is hung. */
void oc_peer_probe(oc_peer *peer);
size_t oc_peer_unsent(const oc_peer *peer); /* messages that the other end has not read */
/* How full its queues are; NULL: their bounds alone. */
void oc_peer_fill(const oc_peer *peer, oc_queue queue, oc_fill queues[OC_QUEUE_N]);
oc_status oc_peer_event(oc_peer *peer, uint32_t id, uint32_t type, oc_str payload);

#endif
