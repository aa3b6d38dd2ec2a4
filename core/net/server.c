/* The HTTP server as a whole: listening, accepting, time, the orderly end. */
#include "core/net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/net/server_inner.h"

#define BACKLOG 4096 /* as many as systems allow: who connects at once must not wait for a second SYN */
#define REFUSED_MAX 64 /* connections above max_conns that are told so; the rest are closed */
#define TICK_MAX_MS 1000u
#define TICK_MIN_MS 10u

uint64_t oc_server_now(const oc_http_server *server)
{
	return uv_now(oc_loop_uv(server->loop));
}

const char *oc_server_date(oc_http_server *server)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct timespec ts;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	if (ts.tv_sec != server->date_s) {
		server->date_s = ts.tv_sec;
		(void)gmtime_r(&ts.tv_sec, &tm);
		/* Not strftime: names must not follow the locale. */
		(void)snprintf(server->date, sizeof(server->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
			       days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100u, months + 3 * tm.tm_mon,
			       (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)tm.tm_hour % 100u,
			       (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
	}
	return server->date;
}

/* ---- Making and freeing ---- */

static void set_default(uint32_t *value, uint32_t fallback)
{
	if (*value == 0)
		*value = fallback;
}

static void set_defaults(oc_http_server_options *o)
{
	if (o->max_body == 0)
		o->max_body = UINT64_C(1) << 20;
	set_default(&o->max_header, 65536);
	set_default(&o->max_conns, 1024);
	set_default(&o->max_queue, 262144);
	set_default(&o->header_ms, 10000);
	set_default(&o->body_ms, 30000);
	set_default(&o->body_rate, 256);
	set_default(&o->write_ms, 30000);
	set_default(&o->idle_ms, 75000);
}

/* Time limits are looked at a few times within the shortest of them. */
static uint32_t choose_tick(const oc_http_server_options *o)
{
	uint32_t least = o->header_ms;

	if (o->body_ms < least)
		least = o->body_ms;
	if (o->write_ms < least)
		least = o->write_ms;
	if (o->idle_ms < least)
		least = o->idle_ms;
	least /= 4;
	return least > TICK_MAX_MS ? TICK_MAX_MS : least < TICK_MIN_MS ? TICK_MIN_MS : least;
}

oc_status oc_http_server_new(oc_loop *loop, const oc_http_server_options *options, oc_http_server **ret, oc_err *err)
{
	oc_http_server *server = oc_alloc(sizeof(*server));
	const char *name = options->server_name;

	if (server == NULL || oc_net_init(&server->net, loop, "http server") != OC_OK) {
		oc_free(server);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the HTTP server");
	}
	server->loop = loop;
	server->options = *options;
	server->options.server_name = NULL; /* borrowed: not to be used later */
	set_defaults(&server->options);
	server->tick_ms = choose_tick(&server->options);
	server->refs = 1;
	if (name != NULL && strlen(name) < 64 && strpbrk(name, "\r\n") == NULL)
		(void)snprintf(server->head_end, sizeof(server->head_end), "Server: %s\r\n\r\n", name);
	else
		memcpy(server->head_end, "\r\n", 3);
	*ret = server;
	return OC_OK;
}

void oc_server_unref(oc_http_server *server)
{
	if (--server->refs > 0)
		return;
	oc_net_destroy(&server->net);
	oc_free(server);
}

static void listener_free(oc_listener *l)
{
	oc_http_server *server = l->server;

	oc_tls_server_unref(l->tls);
	oc_free(l->path);
	oc_free(l);
	oc_server_unref(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
	oc_listener *l = handle->data;

	l->closed = true;
	if (!l->dropping)
		listener_free(l);
}

/* Removes the socket file, if it is still ours. */
static void unlink_own(const oc_listener *l)
{
	struct stat st;

	if (l->path != NULL && lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == l->inode
	    && st.st_dev == l->device)
		(void)unlink(l->path);
}

static void stop_listening(oc_http_server *server)
{
	while (server->listeners != NULL) {
		oc_listener *l = server->listeners;

		server->listeners = l->next;
		unlink_own(l);
		uv_close(&l->uv.handle, on_listener_closed);
	}
}

static void cut_all(oc_http_server *server)
{
	/* Cut connections leave the list later, from the loop. */
	for (oc_conn *c = server->conns; c != NULL; c = c->next)
		oc_conn_cut(c, false);
}

void oc_http_server_free(oc_http_server *server)
{
	if (server == NULL || server->freed)
		return;
	server->freed = true;
	server->draining = true;
	server->drained = NULL;
	oc_watch_end(server->deadline);
	server->deadline = NULL;
	oc_watch_end(server->tick);
	server->tick = NULL;
	stop_listening(server);
	cut_all(server);
	oc_server_unref(server);
}

const oc_hist *oc_http_server_timing(const oc_http_server *server)
{
	return &server->timing;
}

void oc_http_server_queues(const oc_http_server *server, oc_fill q[OC_QUEUE_N])
{
	oc_fill_add(&q[OC_QUEUE_http_connections], server->n_conns, server->options.max_conns);
	oc_conn_fill(NULL, server, q);
	for (const oc_conn *c = server->conns; c != NULL; c = c->next)
		oc_conn_fill(c, server, q);
}

void oc_http_server_get_stats(const oc_http_server *server, oc_http_server_stats *ret)
{
	*ret = server->stats;
	ret->connections = server->n_conns;
	ret->bytes_in = server->net.bytes_in;
	ret->bytes_out = server->net.bytes_out;
}

/* ---- Time ---- */

static void on_tick(void *arg)
{
	oc_http_server *server = arg;
	uint64_t now = oc_server_now(server);
	oc_conn *next;

	/* A tick closes at most the connection it is for; closed ones leave the list later, from the loop. */
	for (oc_conn *c = server->conns; c != NULL; c = next) {
		next = c->next;
		oc_conn_tick(c, now);
	}
}

static void ensure_tick(oc_http_server *server)
{
	if (server->tick == NULL)
		server->tick = oc_timer_start(server->net.owner, server->tick_ms, server->tick_ms, on_tick, server);
}

/* ---- The orderly end ---- */

static void on_drained(void *arg)
{
	oc_http_server *server = arg;
	void (*done)(void *) = server->drained;

	if (done == NULL || server->n_conns > 0)
		return;
	server->drained = NULL;
	oc_watch_end(server->deadline);
	server->deadline = NULL;
	done(server->drained_arg);
}

void oc_server_conn_gone(oc_http_server *server)
{
	if (--server->n_conns > 0)
		return;
	/* An idle server does not wake up. */
	oc_watch_end(server->tick);
	server->tick = NULL;
	if (server->drained != NULL)
		(void)oc_loop_defer(server->loop, server->net.owner, on_drained, server);
}

static void on_deadline(void *arg)
{
	cut_all(arg);
}

void oc_http_server_drain(oc_http_server *server, uint32_t deadline_ms, void (*done)(void *arg), void *arg)
{
	oc_conn *next;

	server->draining = true;
	server->drained = done;
	server->drained_arg = arg;
	stop_listening(server);
	for (oc_conn *c = server->conns; c != NULL; c = next) {
		next = c->next;
		oc_conn_drain(c);
	}
	if (server->n_conns == 0)
		(void)oc_loop_defer(server->loop, server->net.owner, on_drained, server);
	else
		server->deadline = oc_timer_start(server->net.owner, deadline_ms, 0, on_deadline, server);
}

size_t oc_http_server_revoke(oc_http_server *server, bool (*over)(void *arg, uint64_t guard), void *arg, const char *reason)
{
	size_t n = 0;
	oc_conn *next;

	for (oc_conn *c = server->conns; c != NULL; c = next) {
		next = c->next;
		n += c->guard != 0 && over(arg, c->guard) && oc_conn_revoke(c, reason);
	}
	return n;
}

/* ---- Accepting ---- */

static void drop_connection(oc_listener *l);

static void on_dropped(uv_handle_t *handle)
{
	oc_listener *l = handle->data;

	l->dropping = false;
	if (l->closed) {
		listener_free(l);
	} else if (l->drop_owed) {
		l->drop_owed = false;
		drop_connection(l);
	}
}

static void drop_connection(oc_listener *l)
{
	uv_loop_t *uv = oc_loop_uv(l->server->loop);

	if (l->dropping) {
		l->drop_owed = true;
		return;
	}
	if ((l->is_tcp ? uv_tcp_init(uv, &l->drop.tcp) : uv_pipe_init(uv, &l->drop.pipe, 0)) != 0)
		return;
	l->dropping = true;
	l->drop.handle.data = l;
	(void)uv_accept(&l->uv.stream, &l->drop.stream);
	uv_close(&l->drop.handle, on_dropped);
}

static void refuse_one(oc_http_server *server)
{
	server->stats.refused++;
	oc_queue_refused(OC_QUEUE_http_connections);
}

static void on_connection(uv_stream_t *stream, int status)
{
	oc_listener *l = stream->data;
	oc_http_server *server = l->server;
	oc_conn *c;
	bool refused;

	if (status != 0) {
		oc_warn("http", "cannot accept a connection: %s", uv_strerror(status));
		return;
	}
	c = oc_conn_new(server, l->is_tcp);
	if (c == NULL) {
		refuse_one(server);
		drop_connection(l);
		return;
	}
	server->refs++;
	server->n_conns++;
	server->stats.connections_total++;
	refused = server->n_conns > server->options.max_conns;
	if (refused)
		refuse_one(server);
	if (uv_accept(stream, &c->s.uv.stream) != 0 || server->n_conns > server->options.max_conns + REFUSED_MAX) {
		oc_conn_cut(c, false);
		return;
	}
	ensure_tick(server);
	oc_conn_start(c, l->tls, refused);
}

static oc_listener *listener_new(oc_http_server *server, bool is_tcp)
{
	oc_listener *l = oc_alloc(sizeof(*l));

	if (l == NULL)
		return NULL;
	l->server = server;
	l->is_tcp = is_tcp;
	if ((is_tcp ? uv_tcp_init(oc_loop_uv(server->loop), &l->uv.tcp)
		    : uv_pipe_init(oc_loop_uv(server->loop), &l->uv.pipe, 0))
	    != 0) {
		oc_free(l);
		return NULL;
	}
	l->uv.handle.data = l;
	server->refs++;
	return l;
}

static void listener_add(oc_listener *l)
{
	l->next = l->server->listeners;
	l->server->listeners = l;
}

static oc_status tcp_failed(oc_err *err, int rc, const char *address, unsigned port)
{
	switch (rc) {
	case UV_EADDRINUSE:
		return oc_fail(err, OC_E_EXISTS, "stop the other program, or choose another port (gateway.port, --port)",
			       "port %u on %s is in use by another program", port, address);
	case UV_EACCES:
	case UV_EPERM:
		return oc_fail(err, OC_E_DENIED, "ports below 1024 need privileges; choose a higher one",
			       "not permitted to listen on %s port %u", address, port);
	case UV_EADDRNOTAVAIL:
		return oc_fail(err, OC_E_NOT_FOUND, "choose an address of this machine (gateway.bind)",
			       "this machine has no address %s", address);
	default:
		return oc_fail_errno(err, -rc, "cannot listen on %s port %u", address, port);
	}
}

oc_status oc_http_server_listen_tcp(oc_http_server *server, const char *address, uint16_t port, oc_tls_server *tls,
				    uint16_t *ret_port, oc_err *err)
{
	struct sockaddr_storage addr;
	int rc, len = sizeof(addr);
	unsigned flags = 0;
	oc_listener *l;

	memset(&addr, 0, sizeof(addr));
	rc = uv_ip4_addr(address, port, (struct sockaddr_in *)(void *)&addr);
	if (rc != 0) {
		rc = uv_ip6_addr(address, port, (struct sockaddr_in6 *)(void *)&addr);
		flags = UV_TCP_IPV6ONLY; /* 0.0.0.0 and :: can then be listened on side by side */
	}
	if (rc != 0)
		return oc_fail(err, OC_E_INVALID, "write it in numbers, for example 127.0.0.1",
			       "\"%s\" is not an IP address", address);
	l = listener_new(server, true);
	if (l == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a listener");
	rc = uv_tcp_bind(&l->uv.tcp, (struct sockaddr *)&addr, flags);
	if (rc == 0)
		rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
	if (rc == 0)
		rc = uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&addr, &len);
	if (rc != 0) {
		uv_close(&l->uv.handle, on_listener_closed);
		return tcp_failed(err, rc, address, port);
	}
	if (tls != NULL)
		l->tls = oc_tls_server_ref(tls);
	if (ret_port != NULL)
		*ret_port = ntohs(addr.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&addr)->sin_port
							    : ((struct sockaddr_in6 *)(void *)&addr)->sin6_port);
	listener_add(l);
	return OC_OK;
}

/* Makes way for a new socket: removes one that nobody listens on. */
static oc_status clear_path(const char *path, const struct sockaddr_un *un, oc_err *err)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? OC_OK : oc_fail_errno(err, errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return oc_fail(err, OC_E_EXISTS, "move it away", "%s exists and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return oc_fail_errno(err, errno, "cannot make a socket");
	rc = connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 ? 0 : errno;
	(void)close(fd);
	if (rc == 0 || rc == EAGAIN)
		return oc_fail(err, OC_E_EXISTS, "stop it first, or use another state folder (OPENCLAW_STATE_DIR)",
			       "another process listens on %s", path);
	if (rc != ECONNREFUSED)
		return oc_fail_errno(err, rc, "cannot tell whether somebody listens on %s", path);
	if (unlink(path) != 0 && errno != ENOENT)
		return oc_fail_errno(err, errno, "cannot remove the stale socket %s", path);
	return OC_OK;
}

/* Binds with mode 0600 from the first moment. */
static int bind_private(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int rc;

	if (fd < 0)
		return -errno;
	mask = umask(0177);
	rc = bind(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 ? 0 : -errno;
	(void)umask(mask);
	if (rc == 0)
		return fd;
	(void)close(fd);
	return rc;
}

oc_status oc_http_server_listen_unix(oc_http_server *server, const char *path, oc_err *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;
	oc_listener *l;
	oc_status status;
	int fd, rc;

	if (strlen(path) >= sizeof(un.sun_path))
		return oc_fail(err, OC_E_LIMIT, "use a state folder with a shorter path (OPENCLAW_STATE_DIR)",
			       "the socket path %s is longer than %zu bytes", path, sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, strlen(path) + 1);
	status = clear_path(path, &un, err);
	if (status != OC_OK)
		return status;
	fd = bind_private(&un);
	if (fd < 0)
		return oc_fail_errno(err, -fd, "cannot make the socket %s", path);
	l = listener_new(server, false);
	if (l == NULL) {
		(void)close(fd);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a listener");
	}
	rc = uv_pipe_open(&l->uv.pipe, fd);
	if (rc != 0)
		(void)close(fd);
	else
		rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
	l->path = oc_strdup(path);
	if (rc != 0 || l->path == NULL) {
		(void)unlink(path);
		uv_close(&l->uv.handle, on_listener_closed);
		return rc != 0 ? oc_fail_errno(err, -rc, "cannot listen on %s", path)
			       : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a listener");
	}
	if (lstat(path, &st) == 0) {
		l->inode = st.st_ino;
		l->device = st.st_dev;
	}
	listener_add(l);
	return OC_OK;
}
