/*
 * OpenClaw's own protocol, versions 3 and 4: frames `req`, `res` and `event` over a WebSocket, the same methods behind it.
 *
 * A connection is challenged, answers with `connect` (connect.c), and then has the gateway's events: those that its scopes
 * let it see, numbered by `seq` without a gap, so that a client notices what a slow line made it miss.  [loop]
 */
#ifndef OC_GATEWAY_PROTO_H
#define OC_GATEWAY_PROTO_H

#include "core/gateway/device.h"
#include "core/gateway/frame.h"
#include "core/gateway/access.h"

enum {
	OC_PROTO_MIN = 3,
	OC_PROTO_MAX = 4,
	OC_PROTO_EARLY_BYTES = 64 * 1024, /* before it is known who it is */
	OC_PROTO_BYTES = OC_FRAME_BYTES,
	OC_PROTO_QUEUE_BYTES = 50 << 20,
	OC_PROTO_TICK_MS = 30000
};

typedef struct oc_proto oc_proto;

/* One connection. */
struct oc_proto {
	oc_client client; /* first: the memory ends with its last reference */
	oc_proto *next, **link; /* of the gateway's list, once connected */
	oc_watch *timer;	/* until then */
	char id[37], nonce[37];
	char *origin, *host; /* headers; until it is connected */
	bool connected, slow, tool_events;
	unsigned char strayed; /* calls one after the other of what the other role may */
	oc_from from;
	oc_access who; /* let in by what the upgrade brought (a cookie, a proxy's word); scopes 0: by nothing */
	uint16_t close_code;	/* when connect fails */
	const char *error_code; /* and its error's code, when it is not the status's */
	uint64_t seq;	     /* of its last event */
	char *device;	     /* id of its key; NULL: none */
	char *presence;	     /* how it is listed, JSON */
	cJSON *node;	     /* what it can do, when it is one (node.h); NULL: an operator */
	cJSON *heard;	     /* keys of sessions whose messages it asked for; NULL: none */
	bool hears_sessions; /* it asked for what happens to them all */
};

/* What the gateway keeps for these connections, from the first one on. */
struct oc_protos {
	oc_proto *first;
	oc_watch *tick, *presence, *health;
	size_t n_hearing; /* connections that asked for what happens to sessions */
	uint64_t presence_version, health_version;
	oc_devices *devices; /* NULL until one is asked for */
	char *health_text;
	uint64_t health_ms; /* when it was made */
	oc_agent_sub *agent; /* for the events of runs */
	struct oc_chats *chats; /* chat.c */
	struct oc_nodes *nodes; /* node.c */
};

/* Answers an upgrade. */
void oc_proto_open(oc_gateway *gw, oc_http_req *req);
/* The connection of a client; NULL: it speaks JSON-RPC. */
oc_proto *oc_proto_of(oc_client *client);
/* NULL: no memory. */
struct oc_protos *oc_protos_of(oc_gateway *gw);
/* The devices' book; NULL: err. */
oc_devices *oc_proto_devices(oc_gateway *gw, oc_err *err);
/* connect.c: a request of a device was decided ("approved", "rejected"). */
void oc_proto_tell_resolved(oc_gateway *gw, const char *request, const char *device, const char *decision);
/* The connection is in: joins the others. */
void oc_proto_join(oc_proto *proto);
/* The gateway stops: tells everybody; and later closes what is left. */
void oc_proto_shutdown(oc_gateway *gw, const char *reason);
void oc_proto_close_all(oc_gateway *gw);
void oc_proto_cleanup(oc_gateway *gw);
/* Closes what came in with a device's key (its token counts no more). */
void oc_proto_drop_device(oc_gateway *gw, const char *device, const char *role);

/* ---- Events ---- */

typedef struct oc_proto_event {
	const char *name;
	oc_str payload;	 /* JSON */
	oc_str payload4; /* for version 4, when it is another */
	unsigned scope;	 /* who does not have it is not told */
	bool drop_if_slow;
	bool versions; /* with stateVersion */
	bool only_tool_events; /* for clients that declared the capability */
	const oc_proto *to; /* NULL: everybody */
	const char *session; /* nodes that listen to it are told, too; NULL: it is not of one */
	bool (*wants)(const oc_proto *proto, const char *session); /* who is told besides; NULL: all */
} oc_proto_event;
void oc_proto_send(oc_gateway *gw, const oc_proto_event *event);
/* The same with a tree, which it takes. */
void oc_proto_send_json(oc_gateway *gw, const char *name, unsigned scope, cJSON *payload);
/* Somebody came, went or changed: told to the others, many changes at once. */
void oc_proto_presence_changed(oc_gateway *gw);
/* A session's key into what the connection hears, or out of it; at most so many. */
void oc_proto_hear(oc_proto *proto, const char *session, bool from_now, int most);
/* What happens to all sessions from now on, or no more. */
void oc_proto_hear_sessions(oc_proto *proto, bool from_now);
/* {"presence":n,"health":n} */
void oc_proto_add_versions(const oc_gateway *gw, oc_sbuf *out);

/* hello.c: the array of who is here; how one is listed (oc_free); and the payload of hello-ok. */
void oc_proto_add_presence(oc_gateway *gw, oc_sbuf *out);
char *oc_proto_presence_text(const oc_proto *proto, const cJSON *params, const cJSON *scopes);
void oc_proto_add_hello(oc_proto *proto, const cJSON *auth, oc_sbuf *out);
/* Names of the events there are; NULL past the end. */
const char *oc_proto_event_name(size_t i);

/* methods_health.c: the channels as channels.status tells them all; NULL: err. And the payload of `health`, made anew after a second at the earliest. */
cJSON *oc_proto_channels(oc_gateway *gw, oc_err *err);
oc_str oc_proto_health(oc_gateway *gw);

#endif
