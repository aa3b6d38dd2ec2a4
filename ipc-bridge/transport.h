/*
 * The bridge's transport: a listening socket for one guest process, whole messages both ways, in nng's pair1 over a Unix
 * socket.  Two speak it: our own on the loop (transport_loop.c), and libnng (transport_nng.c).  [loop]
 *
 * The guest is let in once: when it is connected the socket's file is removed and nobody else can.
 */
#ifndef OC_BRIDGE_TRANSPORT_H
#define OC_BRIDGE_TRANSPORT_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/loop/loop.h"

typedef struct oc_transport oc_transport;

typedef enum oc_transport_kind {
	OC_TRANSPORT_LOOP = 1,
	OC_TRANSPORT_NNG
} oc_transport_kind;

enum {
	OC_TRANSPORT_PATH_MAX = 100,
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

/* Listens at a path (at most OC_TRANSPORT_PATH_MAX bytes) in a folder of mode 0700. events is static. OC_E_UNAVAILABLE: the
 * library of that kind is missing. */
oc_status oc_transport_listen(oc_loop *loop, oc_transport_kind kind, const char *owner_name, const char *path,
			      const oc_transport_events *events, void *arg, oc_transport **ret, oc_err *err);
/* The same on a connected socket (taken over), for both of its ends. [loop] */
oc_status oc_transport_attach(oc_loop *loop, const char *owner_name, int fd, const oc_transport_events *events, void *arg,
			      oc_transport **ret, oc_err *err);
/* Sends head and body as one message; both are copied. OC_E_LIMIT: too much is unsent, or the message is too long;
 * OC_E_STATE: nobody is connected. */
oc_status oc_transport_send(oc_transport *transport, oc_str head, oc_str body);
/* Waits until the other end has taken all, at most five seconds: for a process that serves nobody else. Not inside a callback. */
bool oc_transport_drain(oc_transport *transport);
/* Nothing more is read until it is called with false: the other end has to wait. What was read already still comes. */
void oc_transport_pause(oc_transport *transport, bool pause);
/* Messages that wait for the guest to read; ret_bytes (may be NULL): how long they are. */
size_t oc_transport_unsent(const oc_transport *transport, size_t *ret_bytes);
/* Ends it and frees; no event follows. What is unsent is dropped. NULL is allowed. */
void oc_transport_close(oc_transport *transport);

/* ---- For the two kinds ---- */

struct oc_transport {
	oc_status (*send)(oc_transport *transport, oc_str head, oc_str body);
	size_t (*unsent)(const oc_transport *transport, size_t *ret_bytes); /* never NULL */
	bool (*drain)(oc_transport *transport); /* NULL: it cannot */
	void (*pause)(oc_transport *transport, bool pause); /* NULL: it cannot */
	void (*close)(oc_transport *transport);
};
oc_status oc_transport_loop_listen(oc_loop *loop, const char *owner_name, const char *path, const oc_transport_events *events,
				   void *arg, oc_transport **ret, oc_err *err);
oc_status oc_transport_nng_listen(oc_loop *loop, const char *owner_name, const char *path, const oc_transport_events *events,
				  void *arg, oc_transport **ret, oc_err *err);

#endif
