/*
 * The bridge's transport: a listening socket for one guest process, whole messages both ways.  Behind this header there is
 * libnng's pair1 (transport_nng.c); another one is measured against it by putting it here.  [loop]
 *
 * The guest is let in once: when it is connected the socket's file is removed and nobody else can.
 */
#ifndef OC_BRIDGE_TRANSPORT_H
#define OC_BRIDGE_TRANSPORT_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/loop/loop.h"

typedef struct oc_transport oc_transport;

enum {
	OC_TRANSPORT_UNSENT_MESSAGES = 1024,
	OC_TRANSPORT_UNSENT_BYTES = 64 << 20,
};

typedef struct oc_transport_events {
	void (*opened)(void *arg);
	/* Borrowed for the call. The transport may be closed inside. */
	void (*message)(void *arg, oc_str message);
	/* The guest is gone, or broke the protocol (why says how); at most once, never after oc_transport_close. */
	void (*closed)(void *arg, const char *why);
} oc_transport_events;

/* Listens at a path (at most 100 bytes) in a folder of mode 0700. events is static. OC_E_UNAVAILABLE: libnng is missing. */
oc_status oc_transport_listen(oc_loop *loop, const char *owner_name, const char *path, const oc_transport_events *events,
			      void *arg, oc_transport **ret, oc_err *err);
/* Sends head and body as one message; both are copied. OC_E_LIMIT: too much is unsent, or the message is too long;
 * OC_E_STATE: nobody is connected. */
oc_status oc_transport_send(oc_transport *transport, oc_str head, oc_str body);
/* Messages that wait for the guest to read. */
size_t oc_transport_unsent(const oc_transport *transport);
/* Ends it and frees; no event follows. What is unsent is dropped. NULL is allowed. */
void oc_transport_close(oc_transport *transport);

#endif
