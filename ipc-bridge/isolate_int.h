/* One module with a process of its own, as the files of isolate.h see it; nobody else includes this. */
#ifndef OC_BRIDGE_ISOLATE_INT_H
#define OC_BRIDGE_ISOLATE_INT_H

#include "core/module/call.h"
#include "core/security/process.h"
#include "ipc-bridge/isolate.h"
#include "ipc-bridge/output.h"
#include "ipc-bridge/pack.h"
#include "ipc-bridge/peer.h"

typedef struct oc_isolate oc_isolate;
typedef struct oc_isolate_guest oc_isolate_guest;
typedef struct oc_asked oc_asked;

struct oc_isolates {
	oc_loop *loop;
	oc_owner *owner;
	oc_config *config;
	oc_modules *modules;
	oc_procs *procs;
	char *state;
	char *program; /* a copy of the gateway's, once its file was replaced; NULL */
	oc_isolate *first;
};

struct oc_isolate {
	oc_isolate *next;
	oc_isolates *all;
	char *name;
	/* As long as it has a process. */
	oc_self *self; /* NULL: none */
	const oc_host_api *host;
	oc_owner *owner;
	oc_proc *proc;
	oc_peer *peer, *questions; /* the first line, the second */
	char *settings, *terms; /* what it was started with */
	oc_call *starting, *stopping;
	bool started, answered; /* its start is over; it was told so before anybody asked */
	oc_status start_status;
	char *start_text;
	oc_isolate_guest *guests;
	oc_asked *asked; /* its calls that are open */
	struct oc_wish *wishes; /* what it asked for and is not over */
	unsigned n_wishes;
	size_t wish_bytes; /* that they hold here */
	size_t question_bytes; /* of the question that is being answered */
	oc_watch *patience;
	/* Of what it says without being asked. */
	oc_watch *deaf; /* it is not listened to until this is over */
	uint64_t window_ms, slow_ms;
	bool flooded; /* that it sent too much was told */
	unsigned said, owed; /* owed: figures that come with the answers of calls */
	oc_fn during; /* a call that was open then; 0: none */
	char *why; /* its connection ended, before its process did */
	oc_output output;
	uint64_t began_ms; /* monotonic */
	uint64_t figures[9]; /* what it says of itself: see describe() */
	/* Over its processes. */
	unsigned failures, restarts;
	char *last; /* how the last one ended, when that was a failure; NULL */
	oc_watch *retry;
	bool retried; /* its start is by that */
	uint64_t ready_ms; /* how long its last start took */
};

/* isolate_guest.c: its interfaces, and the calls of their functions. */
oc_status oc_isolate_guest_add(oc_isolate *iso, const oc_pack_iface *iface, uint32_t index, oc_err *err);
bool oc_isolate_guest_changed(oc_isolate *iso, const oc_pack_iface *iface, uint32_t index); /* its list is another; false: more is */
void oc_isolate_guests_free(oc_isolate *iso);
void oc_isolate_asked_end(oc_isolate *iso); /* nobody is told */

/* isolate_process.c */
oc_status oc_isolate_launch(oc_isolate *iso, const oc_peer_events *events, const oc_peer_events *question_events, oc_err *err);
bool oc_isolate_terms_changed(const oc_isolate *iso); /* it may reach more or less now than when its process began */
oc_status oc_isolates_configure_procs(oc_isolates *all, oc_err *err);

/* isolate.c */
void oc_isolate_on_output(void *arg, uint32_t stream, oc_str data);
void oc_isolate_on_exit(void *arg, oc_status status, int exit_code, int signal, oc_str message);
/* It said something that nobody asked for; slow: to somebody who does not keep up. Then it may not be heard for a while. */
void oc_isolate_said(oc_isolate *iso, bool slow);

/* isolate_host.c: a question on the second line; what it started ends with the process. */
void oc_isolate_asked(oc_isolate *iso, uint32_t id, oc_str op, oc_str payload);
void oc_isolate_wishes_end(oc_isolate *iso);
/* How many of them are not over; NULL: the bound alone. */
void oc_isolate_requests_fill(const oc_isolate *iso, oc_fill *requests);

#endif
