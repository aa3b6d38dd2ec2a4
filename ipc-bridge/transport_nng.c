/*
 * The transport over libnng: pair1 over a Unix socket.  All of it happens on the loop: nng's own threads only make its two
 * descriptors readable ("something came", "there is room to send") and tell that the peer came or went.
 */
#include <sys/stat.h>
#include <unistd.h>

#include <string.h>

#include "core/base/mem.h"
#include "ipc-bridge/frame.h"
#include "ipc-bridge/nng.h"
#include "ipc-bridge/transport.h"

enum { SOCKET_BUFFER = 128 /* messages in nng's own queues */, BURST = 64 /* messages read a turn */ };

typedef struct unsent {
	struct unsent *next;
	nng_msg *msg;
	size_t bytes;
} unsent;

/* Outlives the transport while nng's threads may still tell of its peer. */
typedef struct door {
	struct nng_transport *transport; /* NULL: closed */
	oc_loop *loop;
	unsigned refs; /* the transport's, and one for each posted note; on the loop thread but for the post itself */
} door;

typedef struct nng_transport {
	oc_transport base;
	const oc_nng *nng;
	oc_owner *owner;
	const oc_transport_events *events;
	void *arg;
	door *door;
	char *path;
	nng_socket socket;
	nng_listener listener;
	oc_watch *readable, *writable;
	unsent *first, **tail;
	size_t n_unsent, unsent_bytes;
	bool listening, connected, over;
} nng_transport;

/* ---- The peer comes and goes (told on a thread of nng's) ---- */

typedef struct note {
	door *door;
	bool came;
} note;

static void end(nng_transport *t, const char *why)
{
	if (t->over)
		return;
	t->over = true;
	oc_watch_end(t->readable);
	oc_watch_end(t->writable);
	t->readable = t->writable = NULL;
	t->events->closed(t->arg, why);
}

static bool drain(nng_transport *t);

/* Its first message may be seen before nng's note of it. */
static void came(nng_transport *t)
{
	if (t->connected)
		return;
	t->connected = true;
	/* Without its file nobody else finds the socket. (Closing the listener would close this connection too.) */
	if (t->listening)
		(void)unlink(t->path);
	t->listening = false;
	t->events->opened(t->arg);
}

static void on_note(void *arg)
{
	note *n = arg;
	door *d = n->door;
	bool has_come = n->came;
	oc_free(n);
	nng_transport *t = d->transport;
	if (t != NULL && !t->over && has_come) {
		came(t);
	} else if (t != NULL && !t->over && t->connected) {
		while (drain(t)) /* what it said before it went */
			;
		if (d->transport != NULL)
			end(t, "the process closed the connection");
	}
	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
		oc_free(d);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	(void)pipe;
	door *d = arg;
	note *n = oc_alloc(sizeof(*n));
	if (n == NULL)
		return;
	*n = (note){.door = d, .came = event == NNG_PIPE_EV_ADD_POST};
	(void)__atomic_add_fetch(&d->refs, 1, __ATOMIC_ACQ_REL);
	if (oc_loop_post(d->loop, on_note, n) != OC_OK) {
		(void)__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL);
		oc_free(n);
	}
}

/* ---- Messages ---- */

/* Reads what is there; at most BURST, the descriptor stays readable for the rest: true. */
static bool drain(nng_transport *t)
{
	door *d = t->door;
	for (int i = 0; i < BURST; i++) {
		nng_msg *msg = NULL;
		int rc = t->nng->recvmsg(t->socket, &msg, NNG_FLAG_NONBLOCK);
		if (rc == NNG_EAGAIN)
			return false;
		if (rc != 0) {
			end(t, t->nng->strerror(rc));
			return false;
		}
		const oc_nng *nng = t->nng;
		came(t);
		if (d->transport != NULL)
			t->events->message(t->arg, (oc_str){nng->msg_body(msg), nng->msg_len(msg)});
		nng->msg_free(msg);
		if (d->transport == NULL || t->over)
			return false;
	}
	return true;
}

static void on_readable(void *arg, uint32_t events)
{
	(void)events;
	nng_transport *t = arg;
	door *d = t->door;
	(void)__atomic_add_fetch(&d->refs, 1, __ATOMIC_ACQ_REL);
	(void)drain(t);
	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
		oc_free(d);
}

/* false: no room now. */
static bool send_now(nng_transport *t, nng_msg *msg, int *ret_rc)
{
	*ret_rc = t->nng->sendmsg(t->socket, msg, NNG_FLAG_NONBLOCK);
	return *ret_rc != NNG_EAGAIN;
}

static void drop_first(nng_transport *t, bool sent)
{
	unsent *u = t->first;
	t->first = u->next;
	if (t->first == NULL)
		t->tail = &t->first;
	t->n_unsent--;
	t->unsent_bytes -= u->bytes;
	if (!sent)
		t->nng->msg_free(u->msg);
	oc_free(u);
}

static void on_writable(void *arg, uint32_t events)
{
	(void)events;
	nng_transport *t = arg;
	while (t->first != NULL) {
		int rc;
		if (!send_now(t, t->first->msg, &rc))
			return;
		drop_first(t, rc == 0);
		if (rc != 0) {
			end(t, t->nng->strerror(rc));
			return;
		}
	}
	oc_fd_events(t->writable, 0);
}

static oc_status queue(nng_transport *t, nng_msg *msg, size_t bytes)
{
	unsent *u = oc_alloc(sizeof(*u));
	if (u == NULL)
		return OC_E_NOMEM;
	*u = (unsent){.msg = msg, .bytes = bytes};
	*t->tail = u;
	t->tail = &u->next;
	t->n_unsent++;
	t->unsent_bytes += bytes;
	oc_fd_events(t->writable, OC_FD_READ); /* nng's "may send" descriptor becomes readable */
	return OC_OK;
}

static oc_status send_message(oc_transport *transport, oc_str head, oc_str body)
{
	nng_transport *t = (nng_transport *)transport;
	size_t bytes = head.n + body.n;
	if (!t->connected || t->over)
		return OC_E_STATE;
	if (bytes > OC_BRIDGE_MESSAGE_MAX || t->n_unsent >= OC_TRANSPORT_UNSENT_MESSAGES ||
	    t->unsent_bytes + bytes > OC_TRANSPORT_UNSENT_BYTES + OC_FRAME_HEAD_MAX)
		return OC_E_LIMIT;
	nng_msg *msg = NULL;
	if (t->nng->msg_alloc(&msg, bytes) != 0)
		return OC_E_NOMEM;
	char *p = t->nng->msg_body(msg);
	memcpy(p, head.p, head.n);
	if (body.n > 0)
		memcpy(p + head.n, body.p, body.n);
	int rc = 0;
	if (t->first != NULL || !send_now(t, msg, &rc)) {
		oc_status status = queue(t, msg, bytes);
		if (status != OC_OK)
			t->nng->msg_free(msg);
		return status;
	}
	if (rc != 0) {
		t->nng->msg_free(msg);
		return OC_E_IO;
	}
	return OC_OK;
}

static size_t unsent_messages(const oc_transport *transport, size_t *ret_bytes)
{
	const nng_transport *t = (const nng_transport *)transport;
	*ret_bytes = t->unsent_bytes;
	return t->n_unsent;
}

/* ---- Beginning and end ---- */

static int open_socket(nng_transport *t, int *ret_in, int *ret_out)
{
	const oc_nng *nng = t->nng;
	int rc = nng->pair1_open(&t->socket);
	if (rc == 0)
		rc = nng->socket_set_int(t->socket, NNG_OPT_SENDBUF, SOCKET_BUFFER);
	if (rc == 0)
		rc = nng->socket_set_int(t->socket, NNG_OPT_RECVBUF, SOCKET_BUFFER);
	if (rc == 0)
		rc = nng->socket_set_size(t->socket, NNG_OPT_RECVMAXSZ, OC_BRIDGE_MESSAGE_MAX);
	if (rc == 0)
		rc = nng->pipe_notify(t->socket, NNG_PIPE_EV_ADD_POST, on_pipe, t->door);
	if (rc == 0)
		rc = nng->pipe_notify(t->socket, NNG_PIPE_EV_REM_POST, on_pipe, t->door);
	if (rc == 0)
		rc = nng->socket_get_int(t->socket, NNG_OPT_RECVFD, ret_in);
	if (rc == 0)
		rc = nng->socket_get_int(t->socket, NNG_OPT_SENDFD, ret_out);
	return rc;
}

static int open_listener(nng_transport *t, const char *url)
{
	int rc = t->nng->listener_create(&t->listener, t->socket, url);
	if (rc == 0)
		rc = t->nng->listener_set_int(t->listener, NNG_OPT_IPC_PERMISSIONS, S_IRUSR | S_IWUSR);
	if (rc == 0)
		rc = t->nng->listener_start(t->listener, 0);
	t->listening = rc == 0;
	return rc;
}

static oc_status set_up(nng_transport *t, oc_err *err)
{
	oc_auto_free char *url = oc_asprintf("ipc://%s", t->path);
	int in, out;
	if (url == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the bridge");
	int rc = open_socket(t, &in, &out);
	if (rc != 0)
		return oc_fail(err, OC_E_IO, NULL, "cannot make a socket for the bridge: %s", t->nng->strerror(rc));
	t->readable = oc_fd_watch(t->owner, in, OC_FD_READ, on_readable, t);
	t->writable = oc_fd_watch(t->owner, out, 0, on_writable, t);
	if (t->readable == NULL || t->writable == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the bridge");
	rc = open_listener(t, url);
	if (rc != 0)
		return oc_fail(err, OC_E_IO, NULL, "cannot listen on %s: %s", t->path, t->nng->strerror(rc));
	return OC_OK;
}

static void close_transport(oc_transport *transport)
{
	nng_transport *t = (nng_transport *)transport;
	door *d = t->door;
	d->transport = NULL;
	t->over = true;
	oc_owner_free(t->owner);
	while (t->first != NULL)
		drop_first(t, false);
	/* Ends the listener and waits for nng's callbacks of this socket: none comes afterwards. */
	if (t->socket.id != 0)
		(void)t->nng->close(t->socket);
	if (t->listening)
		(void)unlink(t->path);
	oc_free(t->path);
	oc_free(t);
	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) == 0)
		oc_free(d);
}

oc_status oc_transport_nng_listen(oc_loop *loop, const char *owner_name, const char *path, const oc_transport_events *events,
				  void *arg, oc_transport **ret, oc_err *err)
{
	const oc_nng *nng;
	oc_status status = oc_nng_load(&nng, err);
	if (status != OC_OK)
		return status;
	nng_transport *t = oc_alloc(sizeof(*t));
	door *d = oc_alloc(sizeof(*d));
	if (t != NULL)
		*t = (nng_transport){.base = {send_message, unsent_messages, NULL, NULL, close_transport}, .nng = nng, .events = events,
				     .arg = arg, .door = d, .owner = oc_owner_new(loop, owner_name), .path = oc_strdup(path), .tail = &t->first};
	if (t == NULL || d == NULL || t->owner == NULL || t->path == NULL) {
		if (t != NULL) {
			oc_owner_free(t->owner);
			oc_free(t->path);
		}
		oc_free(t);
		oc_free(d);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the bridge");
	}
	*d = (door){.transport = t, .loop = loop, .refs = 1};
	status = set_up(t, err);
	if (status != OC_OK) {
		close_transport(&t->base);
		return status;
	}
	*ret = &t->base;
	return OC_OK;
}
