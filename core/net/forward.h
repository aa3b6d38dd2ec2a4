/*
 * Hands requests on to an HTTP/1.1 server on a Unix socket, as a reverse proxy: bodies both ways as they come and no faster
 * than the other side takes them, upgrades as tunnels.  [loop]
 *
 * What frames a message (lengths, codings, hop-by-hop headers) is written anew on both sides, never copied: nothing that
 * was one request here can be two there.
 */
#ifndef OC_NET_FORWARD_H
#define OC_NET_FORWARD_H

#include "core/net/server.h"

typedef struct oc_forward oc_forward;

typedef enum oc_forward_end {
	OC_FORWARD_ANSWERED = 1,
	OC_FORWARD_UNHANDLED, /* the other side does not want it (the header unhandled); the request is still to be answered */
	OC_FORWARD_FAILED,    /* nothing was answered; the request is still to be answered */
	OC_FORWARD_GONE	      /* the client went, or what was begun had to be cut: the request is over */
} oc_forward_end;

typedef struct oc_forward_options {
	const char *headers; /* further header lines, each ended by CRLF */
	const char *own;     /* beginning of header names that no client may send, lower case: "x-openclaw-" */
	const char *unhandled; /* a header by which the other side says that it is nothing for it */
	bool drop_authorization;
	bool gathered;	     /* called in on_request: the body is there. Else in on_head: it is streamed */
	uint32_t first_ms;   /* until the head of the answer; 0: no limit */
	/* Once, later; forward is gone afterwards. status and why: of FAILED. http_status: of ANSWERED (101: a tunnel, when it
	 * begins). */
	void (*done)(void *arg, oc_http_req *req, oc_forward_end end, int http_status, oc_status status, const char *why);
	/* Nobody listens there (yet): true: oc_forward_connect will be called again. NULL: it fails. */
	bool (*refused)(void *arg);
	void *arg;
} oc_forward_options;

/* Takes the request's body from now on (it waits) and its on_close. The texts of options are copied. */
oc_status oc_forward_new(oc_loop *loop, oc_http_req *req, const oc_forward_options *options, oc_forward **ret, oc_err *err);
/* The other side is there: connects and begins. Once, and again after refused. */
void oc_forward_connect(oc_forward *forward, const char *unix_path);
/* It will not be there: as if connecting had failed; done comes from inside. */
void oc_forward_fail(oc_forward *forward, oc_status status, const char *why);

#endif
