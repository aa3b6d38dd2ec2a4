/* The HTTP client's pools: making libcurl ready off the loop, its sockets and timers on the loop. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/net/client_inner.h"

/* One descriptor that libcurl wants to be told about. */
struct oc_client_socket {
	oc_pool *pool;
	oc_watch *watch;
	oc_client_socket *next, **prev;
	int fd;
};

/* ---- libcurl on the loop ---- */

static void drive(oc_pool *pool, int fd, int flags)
{
	oc_http_client *client = pool->client;
	const oc_curl *curl = client->curl;
	int running, left;
	CURLMsg *msg;

	client->in_curl++;
	(void)curl->multi_socket_action(pool->multi, fd, flags, &running);
	client->in_curl--;
	while ((msg = curl->multi_info_read(pool->multi, &left)) != NULL) {
		CURLcode result = msg->data.result;
		oc_http_call *call = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
		oc_exchange_ended(call, result);
	}
	oc_client_reap(client);
}

static void on_fd(void *arg, uint32_t events)
{
	oc_client_socket *socket = arg;
	int flags = 0;

	if (events & OC_FD_READ)
		flags |= CURL_CSELECT_IN;
	if (events & OC_FD_WRITE)
		flags |= CURL_CSELECT_OUT;
	if (events & OC_FD_HANGUP)
		flags |= CURL_CSELECT_ERR;
	drive(socket->pool, socket->fd, flags);
}

static void socket_forget(oc_client_socket *socket)
{
	oc_watch_end(socket->watch);
	*socket->prev = socket->next;
	if (socket->next != NULL)
		socket->next->prev = socket->prev;
	oc_free(socket);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
	oc_pool *pool = arg;
	oc_http_client *client = pool->client;
	oc_client_socket *socket = assigned;
	uint32_t events = (what & CURL_POLL_IN ? (uint32_t)OC_FD_READ : 0u) | (what & CURL_POLL_OUT ? (uint32_t)OC_FD_WRITE : 0u);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (socket != NULL)
			socket_forget(socket);
		(void)client->curl->multi_assign(pool->multi, fd, NULL);
		return 0;
	}
	if (socket == NULL) {
		socket = oc_alloc(sizeof(*socket));
		if (socket == NULL)
			return -1;
		socket->pool = pool;
		socket->fd = fd;
		socket->watch = oc_fd_watch(client->owner, fd, events, on_fd, socket);
		if (socket->watch == NULL) {
			oc_free(socket);
			return -1;
		}
		socket->next = client->sockets;
		socket->prev = &client->sockets;
		if (socket->next != NULL)
			socket->next->prev = &socket->next;
		client->sockets = socket;
		(void)client->curl->multi_assign(pool->multi, fd, socket);
	} else {
		oc_fd_events(socket->watch, events);
	}
	return 0;
}

static void on_curl_timeout(void *arg)
{
	drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
	oc_pool *pool = arg;

	(void)multi;
	if (ms < 0) {
		oc_watch_end(pool->timer);
		pool->timer = NULL;
	} else if (pool->timer == NULL) {
		pool->timer = oc_timer_start(pool->client->owner, (uint64_t)ms, 0, on_curl_timeout, pool);
	} else {
		oc_timer_again(pool->timer, (uint64_t)ms);
	}
	return 0;
}

/* ---- Making ready ---- */

/*
 * Loading libcurl takes 10 ms and more, reading the system's certificates 25 ms and more: too long for the loop.  A pool
 * thread does both, the second by a request to nobody, with which libcurl fills the multi handle's cache of certificates.
 */
typedef struct oc_pool_job {
	oc_pool *pool; /* not for the thread: it ends with the client */
	const oc_curl *curl;
	CURLM *multi;
	char *ca_file; /* NULL: libcurl's own */
	bool secure;
	oc_status status;
	oc_err err;
} oc_pool_job;

void oc_pool_set_ca(const oc_curl *curl, CURL *easy, const char *ca_file)
{
	char *own = NULL;

	if (ca_file == NULL || ca_file[0] == 0) {
		(void)curl->easy_getinfo(easy, CURLINFO_CAINFO, &own);
		if (own == NULL || access(own, R_OK) != 0)
			return; /* the folder of certificates then: found one by one */
		ca_file = own;
	}
	(void)curl->easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	(void)curl->easy_setopt(easy, CURLOPT_CAPATH, NULL); /* with a folder libcurl caches nothing */
}

/* Listens on a name of the kernel's choice, outside any folder. */
static int listen_nowhere(char name[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t n = sizeof(un);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&un, sizeof(un.sun_family)) == 0 && listen(fd, 1) == 0
	    && getsockname(fd, (struct sockaddr *)&un, &n) == 0 && n > offsetof(struct sockaddr_un, sun_path) + 1) {
		n -= (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1;
		memcpy(name, un.sun_path + 1, n);
		name[n] = 0;
		return fd;
	}
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static void read_certificates(const oc_pool_job *job)
{
	const oc_curl *curl = job->curl;
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd = listen_nowhere(name), running = 0;
	CURL *easy = fd >= 0 ? curl->easy_init() : NULL;

	if (easy != NULL) { /* else the first connection reads them */
		(void)curl->easy_setopt(easy, CURLOPT_URL, "https://127.0.0.1/");
		(void)curl->easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, name);
		(void)curl->easy_setopt(easy, CURLOPT_PROXY, "");
		(void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
		oc_pool_set_ca(curl, easy, job->ca_file);
		if (curl->multi_add_handle(job->multi, easy) == CURLM_OK) {
			/* It says hello and waits for an answer: that is when it reads them. */
			for (int i = 0; i < 4; i++)
				(void)curl->multi_perform(job->multi, &running);
			(void)curl->multi_remove_handle(job->multi, easy);
		}
		curl->easy_cleanup(easy);
	}
	if (fd >= 0)
		(void)close(fd);
}

static void prepare(void *arg)
{
	oc_pool_job *job = arg;

	job->status = oc_curl_load(&job->curl, &job->err);
	if (job->status != OC_OK)
		return;
	job->multi = job->curl->multi_init();
	if (job->multi == NULL)
		job->status = oc_fail(&job->err, OC_E_NOMEM, NULL, "no memory for the HTTP client");
	else if (job->secure)
		read_certificates(job);
	oc_curl_thread_done();
}

static void fail_waiting(oc_pool *pool, const oc_pool_job *job)
{
	oc_http_client *client = pool->client;
	oc_http_call *call = client->calls;

	client->stacked++; /* nobody frees the client meanwhile */
	while (call != NULL && !client->freed) {
		if (call->state == OC_CALL_WAITING && call->pool == pool) {
			oc_call_finish(call, job->status, job->err.text);
			call = client->calls; /* on_done may have changed the list */
		} else {
			call = call->next;
		}
	}
	client->stacked--;
}

static void prepared(void *arg, oc_status status)
{
	oc_pool_job *job = arg;
	oc_pool *pool = job->pool;
	const oc_curl *curl = job->curl;

	if (status != OC_OK) { /* the client is gone, and the pool with it */
		if (job->multi != NULL)
			(void)curl->multi_cleanup(job->multi);
	} else {
		pool->preparing = false;
		if (job->status != OC_OK) {
			fail_waiting(pool, job);
		} else {
			const oc_http_client_options *o = &pool->client->options;

			pool->client->curl = curl;
			pool->multi = job->multi;
			(void)curl->multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
			(void)curl->multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
			(void)curl->multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
			(void)curl->multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
			(void)curl->multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)o->max_conns);
			(void)curl->multi_setopt(pool->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)o->max_host_conns);
			for (oc_http_call *call = pool->client->calls; call != NULL; call = call->next) {
				if (call->state == OC_CALL_WAITING && call->pool == pool)
					oc_call_look_after(call);
			}
		}
	}
	oc_free(job->ca_file);
	oc_free(job);
}

static oc_status begin_preparing(oc_pool *pool)
{
	const char *ca_file = oc_client_ca_file(pool->client);
	oc_pool_job *job = oc_alloc(sizeof(*job));
	oc_status status = OC_E_NOMEM;

	if (job != NULL) {
		job->pool = pool;
		job->secure = pool->secure;
		job->ca_file = ca_file != NULL ? oc_strdup(ca_file) : NULL;
		if (ca_file == NULL || job->ca_file != NULL)
			status = oc_work(pool->client->owner, prepare, prepared, job);
		if (status != OC_OK) {
			oc_free(job->ca_file);
			oc_free(job);
		}
	}
	pool->preparing = status == OC_OK;
	return status;
}

bool oc_pool_ready(oc_http_call *call)
{
	oc_http_client *client = call->client;
	bool guarded = (call->flags & OC_HTTP_CLIENT_GUARD) != 0;
	oc_pool *pool = &client->pools[(guarded ? 1 : 0) + (call->url->secure ? 2 : 0)];

	call->pool = pool;
	if (pool->multi != NULL)
		return true;
	pool->client = client;
	pool->guarded = guarded;
	pool->secure = call->url->secure;
	if (!pool->preparing && begin_preparing(pool) != OC_OK)
		oc_call_finish(call, OC_E_NOMEM, "no memory for the HTTP client");
	return false;
}

void oc_pools_end(oc_http_client *client)
{
	for (size_t i = 0; i < OC_POOLS; i++) {
		if (client->pools[i].multi != NULL)
			(void)client->curl->multi_cleanup(client->pools[i].multi);
	}
	while (client->sockets != NULL)
		socket_forget(client->sockets);
}
