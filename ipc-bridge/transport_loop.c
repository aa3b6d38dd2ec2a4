/*
 * The transport on our own loop, in nng's wire format: what is written in one turn of the loop goes out with one system call,
 * what came with one is handed on message by message, and no thread is between.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "ipc-bridge/frame.h"
#include "ipc-bridge/sp.h"
#include "ipc-bridge/transport.h"

enum {
	CHUNK = 16 * 1024,	 /* that small messages are put together in */
	PARTS = 16,		 /* chunks of one system call */
	DRAIN_MS = 5000,
	SCRATCH = 64 * 1024,	 /* bytes of one read */
	TURN_BYTES = 1024 * 1024, /* read before others have their turn */
};

typedef struct chunk {
	struct chunk *next;
	size_t n, cap, messages; /* messages that end in it */
	unsigned char bytes[];
} chunk;

typedef struct loop_transport {
	oc_transport base;
	oc_owner *owner;
	const oc_transport_events *events;
	void *arg;
	char *path;
	int listening, fd; /* -1: not */
	oc_watch *door, *line;
	oc_sp_reader reader;
	chunk *first, *last;
	size_t at; /* bytes of the first chunk that are gone */
	size_t n_unsent, unsent_bytes;
	unsigned inside; /* callbacks on the stack */
	bool connected, over, closed, flushing /* will be, this turn */, blocked, paused;
} loop_transport;

/* What is read goes here, and on at once: one for all, as there is one loop. */
static unsigned char scratch[SCRATCH];

/* ---- The end ---- */

static void shut(loop_transport *t)
{
	oc_watch_end(t->door);
	oc_watch_end(t->line);
	t->door = t->line = NULL;
	if (t->listening >= 0) {
		(void)close(t->listening);
		(void)unlink(t->path);
	}
	if (t->fd >= 0)
		(void)close(t->fd);
	t->listening = t->fd = -1;
}

static void end(loop_transport *t, const char *why)
{
	if (t->over)
		return;
	t->over = true;
	shut(t);
	t->events->closed(t->arg, why);
}

static void release(loop_transport *t)
{
	oc_owner_free(t->owner);
	while (t->first != NULL) {
		chunk *next = t->first->next;
		oc_free(t->first);
		t->first = next;
	}
	oc_sp_free(&t->reader);
	oc_free(t->path);
	oc_free(t);
}

static void leave(loop_transport *t)
{
	if (--t->inside == 0 && t->closed)
		release(t);
}

static void close_transport(oc_transport *transport)
{
	loop_transport *t = (loop_transport *)transport;
	t->over = t->closed = true;
	shut(t);
	if (t->inside == 0)
		release(t);
}

/* What is waited for now. */
static void wait_for(loop_transport *t)
{
	if (t->line != NULL)
		oc_fd_events(t->line, (t->paused ? 0 : OC_FD_READ) | (t->blocked ? OC_FD_WRITE : 0));
}

static void pause_reading(oc_transport *transport, bool pause)
{
	loop_transport *t = (loop_transport *)transport;
	t->paused = pause;
	wait_for(t);
}

/* ---- Out ---- */

static void sent(loop_transport *t, size_t n)
{
	t->unsent_bytes -= n;
	while (t->first != NULL && n >= t->first->n - t->at) {
		chunk *done = t->first;
		n -= done->n - t->at;
		t->n_unsent -= done->messages;
		t->at = 0;
		t->first = done->next;
		if (t->first == NULL)
			t->last = NULL;
		oc_free(done);
	}
	t->at += n;
}

/* Writes until all is gone or the guest has to read first. */
static void flush(loop_transport *t)
{
	t->flushing = false;
	while (t->first != NULL && !t->over) {
		struct iovec parts[PARTS];
		struct msghdr message = {.msg_iov = parts};
		for (chunk *c = t->first; c != NULL && message.msg_iovlen < PARTS; c = c->next) {
			size_t at = c == t->first ? t->at : 0;
			parts[message.msg_iovlen++] = (struct iovec){c->bytes + at, c->n - at};
		}
		ssize_t n = sendmsg(t->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			sent(t, (size_t)n);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			t->blocked = true;
			wait_for(t);
			return;
		} else if (errno != EINTR) {
			return; /* reading tells that it is gone, after what it said last */
		}
	}
}

static void flush_later(void *arg)
{
	flush(arg);
}

static chunk *room_for(loop_transport *t, size_t n)
{
	if (t->last != NULL && t->last->cap - t->last->n >= n)
		return t->last;
	size_t cap = n > CHUNK ? n : CHUNK;
	chunk *c = oc_realloc(NULL, sizeof(*c) + cap);
	if (c == NULL)
		return NULL;
	c->next = NULL;
	c->n = c->messages = 0;
	c->cap = cap;
	if (t->last != NULL)
		t->last->next = c;
	else
		t->first = c;
	t->last = c;
	return c;
}

static oc_status send_message(oc_transport *transport, oc_str head, oc_str body)
{
	loop_transport *t = (loop_transport *)transport;
	size_t bytes = head.n + body.n;
	if (t->fd < 0 || t->over)
		return OC_E_STATE;
	if (bytes > OC_BRIDGE_MESSAGE_MAX || t->n_unsent >= OC_TRANSPORT_UNSENT_MESSAGES ||
	    (t->n_unsent > 0 && t->unsent_bytes + bytes > OC_TRANSPORT_UNSENT_BYTES))
		return OC_E_LIMIT;
	chunk *c = room_for(t, OC_SP_HEAD + bytes);
	if (c == NULL)
		return OC_E_NOMEM;
	/* Only a turn's end writes, and what fills up a chunk; a guest that has to read first is waited for. */
	if (!t->flushing && !t->blocked && t->inside == 0) {
		if (oc_loop_defer(oc_owner_loop(t->owner), t->owner, flush_later, t) != OC_OK)
			return OC_E_NOMEM;
		t->flushing = true;
	}
	oc_sp_head(bytes, c->bytes + c->n);
	memcpy(c->bytes + c->n + OC_SP_HEAD, head.p, head.n);
	if (body.n > 0)
		memcpy(c->bytes + c->n + OC_SP_HEAD + head.n, body.p, body.n);
	c->n += OC_SP_HEAD + bytes;
	c->messages++;
	t->n_unsent++;
	t->unsent_bytes += OC_SP_HEAD + bytes;
	return OC_OK;
}

static bool drain(oc_transport *transport)
{
	loop_transport *t = (loop_transport *)transport;
	struct pollfd writable = {.fd = t->fd, .events = POLLOUT};
	flush(t);
	while (t->first != NULL && !t->over && poll(&writable, 1, DRAIN_MS) > 0 && (writable.revents & (POLLERR | POLLHUP)) == 0)
		flush(t);
	return t->first == NULL;
}

static size_t unsent_messages(const oc_transport *transport, size_t *ret_bytes)
{
	const loop_transport *t = (const loop_transport *)transport;
	*ret_bytes = t->unsent_bytes;
	return t->n_unsent;
}

/* ---- In ---- */

static void came(loop_transport *t)
{
	if (t->connected || t->over)
		return;
	t->connected = true;
	t->events->opened(t->arg);
}

static bool message(void *arg, oc_str body)
{
	loop_transport *t = arg;
	came(t);
	if (!t->over)
		t->events->message(t->arg, body);
	return !t->over;
}

/* One read. Its bytes; 0: nothing more now, or it is over. */
static size_t take_some(loop_transport *t)
{
	size_t room = 0;
	unsigned char *direct = oc_sp_room(&t->reader, &room);
	const char *why = NULL;
	if (direct == NULL || room < SCRATCH / 4) {
		direct = NULL;
		room = SCRATCH;
	}
	ssize_t n = recv(t->fd, direct != NULL ? direct : scratch, room, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			end(t, "the connection to the process broke");
		return 0;
	}
	if (n == 0) {
		end(t, "the process closed the connection");
		return 0;
	}
	if (direct != NULL) {
		(void)oc_sp_took(&t->reader, (size_t)n, message, t);
		return (size_t)n;
	}
	oc_status status = oc_sp_take(&t->reader, (oc_str){(const char *)scratch, (size_t)n}, message, t, &why);
	if (status != OC_OK)
		end(t, why);
	else if (t->reader.greeted)
		came(t);
	return (size_t)n == room && !t->over ? (size_t)n : 0;
}

static void on_line(void *arg, uint32_t events)
{
	loop_transport *t = arg;
	t->inside++;
	if ((events & OC_FD_WRITE) != 0 && t->blocked) {
		t->blocked = false;
		wait_for(t);
	}
	if ((events & ~(uint32_t)OC_FD_WRITE) != 0)
		for (size_t sum = 0, n = 1; n > 0 && sum < TURN_BYTES && !t->over && !t->paused; sum += n)
			n = take_some(t);
	if (!t->over && (events & OC_FD_HANGUP) != 0)
		end(t, "the connection to the process broke");
	if (!t->over && !t->blocked && t->first != NULL)
		flush(t); /* the answers of all that came */
	leave(t);
}

/* ---- Beginning ---- */

/* Begins to speak on a connected socket. */
static bool use(loop_transport *t, int fd)
{
	t->fd = fd;
	t->line = oc_fd_watch(t->owner, fd, OC_FD_READ, on_line, t);
	return t->line != NULL && send(fd, OC_SP_GREETING, OC_SP_GREETING_BYTES, MSG_NOSIGNAL) == OC_SP_GREETING_BYTES;
}

static void on_door(void *arg, uint32_t events)
{
	loop_transport *t = arg;
	(void)events;
	int fd = accept4(t->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	/* The only one: without its file nobody else finds the socket. */
	shut(t);
	t->inside++;
	if (!use(t, fd))
		end(t, "its connection cannot be used");
	leave(t);
}

static int open_door(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	memcpy(at.sun_path, path, strlen(path) + 1); /* at most OC_TRANSPORT_PATH_MAX */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* In a folder that is ours alone, so nobody comes between bind and chmod. */
	if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || chmod(path, S_IRUSR | S_IWUSR) != 0 || listen(fd, 1) != 0)) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
		fd = -1;
	}
	return fd;
}

static loop_transport *transport_new(oc_loop *loop, const char *owner_name, const char *path, const oc_transport_events *events,
				     void *arg)
{
	loop_transport *t = oc_alloc(sizeof(*t));
	if (t == NULL)
		return NULL;
	*t = (loop_transport){.base = {send_message, unsent_messages, drain, pause_reading, close_transport}, .events = events, .arg = arg,
			      .owner = oc_owner_new(loop, owner_name), .path = oc_strdup(path), .listening = -1, .fd = -1};
	if (t->owner == NULL || t->path == NULL) {
		close_transport(&t->base);
		t = NULL;
	}
	return t;
}

oc_status oc_transport_attach(oc_loop *loop, const char *owner_name, int fd, const oc_transport_events *events, void *arg,
			      oc_transport **ret, oc_err *err)
{
	loop_transport *t = transport_new(loop, owner_name, "", events, arg);
	if (t == NULL)
		(void)close(fd);
	if (t == NULL || !use(t, fd)) {
		oc_transport_close(t != NULL ? &t->base : NULL);
		return oc_fail(err, OC_E_IO, NULL, "the connection to a process cannot be used");
	}
	*ret = &t->base;
	return OC_OK;
}

oc_status oc_transport_loop_listen(oc_loop *loop, const char *owner_name, const char *path, const oc_transport_events *events,
				   void *arg, oc_transport **ret, oc_err *err)
{
	loop_transport *t = transport_new(loop, owner_name, path, events, arg);
	oc_status status = OC_OK;
	if (t == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the bridge");
	if ((t->listening = open_door(path)) < 0)
		status = oc_fail(err, OC_E_IO, NULL, "cannot listen on %s: %s", path, strerror(errno));
	if (status == OC_OK && (t->door = oc_fd_watch(t->owner, t->listening, OC_FD_READ, on_door, t)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for the bridge");
	if (status != OC_OK) {
		close_transport(&t->base);
		return status;
	}
	*ret = &t->base;
	return OC_OK;
}
