/*
 * Requests out of the gateway, over libcurl's multi interface on our loop.
 *
 * One oc_http_call lives through several tries (retries, redirects); each try is one easy handle.  libcurl follows no
 * redirect itself, so that every hop goes through the same checks.
 */
#include "core/net/http_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/net/curl.h"
#include "core/net/http_call.h"
#include "core/net/sse.h"
#include "core/net/ssrf.h"

struct socket_watch {
	struct socket_watch *next, **link;
	oc_http_client *client;
	oc_watch *watch;
	curl_socket_t fd;
};

static void check_done(oc_http_client *client);
static void free_call(oc_http_call *call);

/* ---- libcurl on the loop ---- */

/* libcurl's functions for handles must not be called from inside its callbacks: what callbacks cancel is freed, and what
 * they start is begun, when libcurl has returned. */
static void enter_curl(oc_http_client *client)
{
	client->depth++;
}

static void leave_curl(oc_http_client *client)
{
	if (--client->depth > 0)
		return;
	check_done(client);
	while (client->zombies != NULL) {
		oc_http_call *call = client->zombies;
		client->zombies = call->next;
		free_call(call);
	}
}

static void on_socket_ready(void *arg, uint32_t events)
{
	struct socket_watch *w = arg;
	oc_http_client *client = w->client;
	int mask = ((events & OC_FD_READ) != 0 ? CURL_CSELECT_IN : 0) | ((events & OC_FD_WRITE) != 0 ? CURL_CSELECT_OUT : 0)
		   | ((events & OC_FD_HANGUP) != 0 ? CURL_CSELECT_ERR : 0);
	int running;
	enter_curl(client);
	client->curl->multi_socket_action(client->multi, w->fd, mask, &running); /* may free w */
	leave_curl(client);
}

static void end_socket(struct socket_watch *w)
{
	oc_watch_end(w->watch);
	*w->link = w->next;
	if (w->next != NULL)
		w->next->link = w->link;
	oc_free(w);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	oc_http_client *client = arg;
	struct socket_watch *w = socket_arg;
	uint32_t events = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? OC_FD_READ : 0u)
			  | (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? OC_FD_WRITE : 0u);
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			end_socket(w);
		return 0;
	}
	if (w != NULL) {
		oc_fd_events(w->watch, events);
		return 0;
	}
	w = oc_alloc(sizeof *w);
	if (w == NULL)
		return -1;
	*w = (struct socket_watch){client->sockets, &client->sockets, client, NULL, fd};
	w->watch = oc_fd_watch(client->owner, fd, events, on_socket_ready, w);
	if (w->watch == NULL) {
		oc_free(w);
		return -1;
	}
	if (w->next != NULL)
		w->next->link = &w->next;
	client->sockets = w;
	client->curl->multi_assign(client->multi, fd, w);
	return 0;
}

static void on_timeout(void *arg)
{
	oc_http_client *client = arg;
	int running;
	enter_curl(client);
	client->curl->multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	leave_curl(client);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	oc_http_client *client = arg;
	(void)multi;
	if (ms < 0) {
		oc_watch_end(client->timer);
		client->timer = NULL;
	} else if (client->timer != NULL) {
		oc_timer_again(client->timer, (uint64_t)ms);
	} else {
		client->timer = oc_timer_start(client->owner, (uint64_t)ms, 0, on_timeout, client);
	}
	return 0;
}

static oc_status make_multi(oc_http_client *client, oc_err *err)
{
	if (client->multi != NULL)
		return OC_OK;
	oc_status status = oc_curl_load(&client->curl, err);
	if (status != OC_OK)
		return status;
	const oc_curl *curl = client->curl;
	client->multi = curl->multi_init();
	if (client->multi == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "starting libcurl: out of memory");
	curl->multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl->multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl->multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl->multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	curl->multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)client->max_conns);
	curl->multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)client->max_host_conns);
	curl->multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	return OC_OK;
}

/* ---- Ends ---- */

static void unlink_call(oc_http_call *call)
{
	if (call->link == NULL)
		return;
	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
	call->link = NULL;
	call->client->stats.active--;
}

static void free_call(oc_http_call *call)
{
	oc_http_try_end(call);
	oc_watch_end(call->deadline);
	oc_watch_end(call->again);
	oc_owner_forget(call->ticket);
	oc_url_free(call->url);
	oc_url_free(call->next_url);
	cJSON_Delete(call->headers);
	oc_wipe(call->request_body, call->request_n);
	oc_free(call->request_body);
	oc_free(call->proxy);
	oc_free(call->retry_after);
	cJSON_Delete(call->head);
	oc_sbuf_free(&call->body);
	oc_free(call);
}

void oc_http_client_cancel(oc_http_call *call)
{
	if (call == NULL || call->over)
		return;
	call->over = true;
	unlink_call(call);
	if (call->busy == 0 && call->client->depth == 0) {
		free_call(call);
		return;
	}
	call->next = call->client->zombies;
	call->client->zombies = call;
}

static void swept(void *arg)
{
	oc_http_call *call = arg;
	call->ticket = NULL; /* the sweep frees tickets itself */
	oc_http_client_cancel(call);
}

static void finish(oc_http_call *call, oc_status status, oc_str body)
{
	call->over = true;
	unlink_call(call);
	if (status != OC_OK)
		call->client->stats.failures++;
	oc_http_try_end(call);
	uint64_t entered = oc_owner_enter(call->owner);
	if (call->r.on_done != NULL)
		call->r.on_done(call->r.arg, status, call->status, body);
	oc_owner_leave(call->owner, entered);
	free_call(call);
}

static void fail_call(oc_http_call *call, oc_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void fail_call(oc_http_call *call, oc_status status, const char *format, ...)
{
	oc_sbuf text;
	va_list args;
	oc_sbuf_init(&text, 2048);
	oc_sbuf_printf(&text, "%s:%u: ", call->url->host, call->url->port);
	va_start(args, format);
	oc_sbuf_vprintf(&text, format, args);
	va_end(args);
	finish(call, status, oc_sbuf_view(&text));
	oc_sbuf_free(&text);
}

/* ---- Trying again ---- */

static void try_again(void *arg)
{
	oc_http_call *call = arg;
	oc_err err = {0};
	oc_watch_end(call->again);
	call->again = NULL;
	oc_status status = oc_http_try_start(call, &err);
	if (status != OC_OK)
		finish(call, status, oc_str_of(err.text));
}

/* ---- After a try ---- */

/* Milliseconds a Retry-After header asks for (seconds or a date); -1 when there is none. */
static int64_t retry_after_ms(const char *text)
{
	int64_t seconds;
	if (text == NULL)
		return -1;
	if (oc_str_i64(oc_str_trim(oc_str_of(text)), 0, 1 << 30, &seconds) == OC_OK)
		return seconds * 1000;
	struct tm tm = {0};
	if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL)
		return -1;
	int64_t ms = (int64_t)timegm(&tm) * 1000 - oc_wall_ms();
	return ms > 0 ? ms : 0;
}

/* Waits and tries again, unless the server wants more patience than is sensible. */
static bool retry(oc_http_call *call)
{
	oc_http_client *client = call->client;
	int64_t asked = retry_after_ms(call->retry_after);
	unsigned shift = call->tries_made < 16 ? call->tries_made : 16;
	uint64_t wait = (uint64_t)client->backoff_ms << shift, jitter;
	if (wait > client->backoff_max_ms)
		wait = client->backoff_max_ms;
	oc_random(&jitter, sizeof jitter);
	wait = wait / 2 + jitter % (wait / 2 + 1);
	if (asked > (int64_t)client->backoff_max_ms)
		return false;
	if (asked >= 0)
		wait = (uint64_t)asked + jitter % 100;
	call->tries_left--;
	call->tries_made++;
	client->stats.retries++;
	call->again = oc_timer_start(client->owner, wait, 0, try_again, call);
	return call->again != NULL;
}

static void follow(oc_http_call *call)
{
	oc_err err = {0};
	oc_url *next = call->next_url;
	call->next_url = NULL;
	call->redirects_left--;
	call->client->stats.redirects++;
	if (!oc_url_same_origin(call->url, next))
		call->foreign = true; /* and stays so: coming back does not make it ours again */
	bool downgrade = call->url->secure && !next->secure;
	oc_url_free(call->url);
	call->url = next;
	bool get = strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
	if (!get && (call->status == 303 || ((call->status == 301 || call->status == 302) && strcmp(call->method, "POST") == 0))) {
		memcpy(call->method, "GET", 4);
		call->body_dropped = true;
	}
	if (downgrade) {
		fail_call(call, OC_E_DENIED, "refusing a redirect from https to http");
		return;
	}
	oc_status status = oc_http_try_start(call, &err);
	if (status != OC_OK)
		finish(call, status, oc_str_of(err.text));
}

static oc_status status_of_curl(CURLcode code, const char **ret_text)
{
	*ret_text = NULL;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		*ret_text = "the name cannot be resolved";
		return OC_E_UNAVAILABLE;
	case CURLE_COULDNT_CONNECT:
		*ret_text = "nobody answers there";
		return OC_E_UNAVAILABLE;
	case CURLE_OPERATION_TIMEDOUT:
		*ret_text = "no connection in time";
		return OC_E_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return OC_E_AUTH;
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		*ret_text = "the connection was cut in the middle of the answer";
		return OC_E_RETRY;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
		*ret_text = "the connection was closed without an answer";
		return OC_E_UNAVAILABLE;
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return OC_E_PROTOCOL;
	case CURLE_OUT_OF_MEMORY:
		return OC_E_NOMEM;
	default:
		return OC_E_IO;
	}
}

static bool may_be_retried(oc_status status)
{
	return status == OC_E_UNAVAILABLE || status == OC_E_TIMEOUT || status == OC_E_RETRY || status == OC_E_IO;
}

static void fail_try(oc_http_call *call, CURLcode code)
{
	const char *text;
	oc_status status = status_of_curl(code, &text);
	if (call->error != OC_OK) /* we ended it ourselves and know better */
		status = call->error;
	if (call->error == OC_OK && may_be_retried(status) && !call->handed_on && call->tries_left > 0 && retry(call))
		return;
	if (call->error == OC_E_DENIED)
		fail_call(call, status, "the address is not public: requests of tools may not go there");
	else if (call->error == OC_E_TIMEOUT)
		fail_call(call, status, "silent for %llu seconds", (unsigned long long)call->idle_ms / 1000);
	else if (call->error == OC_E_LIMIT)
		fail_call(call, status, "the answer is larger than %llu bytes", (unsigned long long)call->max_bytes);
	else
		fail_call(call, status, "%s", text != NULL ? text : call->client->curl->easy_strerror(code));
}

/* The server wants a longer wait than is sensible: the requester gets the answer as it is. */
static void hand_on_all(oc_http_call *call)
{
	oc_sbuf body = call->body;
	oc_sbuf_init(&call->body, call->body.max);
	call->tries_left = 0;
	enter_curl(call->client); /* a cancel in a callback must leave the call to us */
	oc_http_try_hand_on_head(call);
	if (!call->over && call->r.on_data != NULL && body.n > 0) {
		uint64_t entered = oc_http_call_enter(call);
		call->r.on_data(call->r.arg, oc_sbuf_view(&body));
		oc_http_call_leave(call, entered);
	}
	oc_http_client *client = call->client;
	if (!call->over)
		finish(call, OC_OK, call->r.on_data != NULL ? OC_STR_NONE : oc_sbuf_view(&body));
	oc_sbuf_free(&body);
	leave_curl(client);
}

static void on_try_done(oc_http_call *call, CURLcode code)
{
	if (code == CURLE_OK && call->next_url != NULL) {
		oc_http_try_end(call);
		follow(call);
	} else if (code == CURLE_OK && oc_http_try_wants_retry(call)) {
		oc_http_try_end(call);
		if (!retry(call))
			hand_on_all(call);
	} else if (code == CURLE_OK) {
		oc_sbuf body = call->body;
		oc_sbuf_init(&call->body, call->body.max);
		finish(call, OC_OK, oc_sbuf_view(&body));
		oc_sbuf_free(&body);
	} else {
		oc_http_try_end(call);
		fail_try(call, code);
	}
}

static void check_done(oc_http_client *client)
{
	CURLMsg *message;
	int left;
	while ((message = client->curl->multi_info_read(client->multi, &left)) != NULL) {
		if (message->msg != CURLMSG_DONE)
			continue;
		oc_http_call *call = NULL;
		CURLcode code = message->data.result;
		client->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		if (!call->over) /* else it was cancelled in a callback and is among the zombies */
			on_try_done(call, code);
	}
}

/* ---- Starting ---- */

static void on_deadline(void *arg)
{
	oc_http_call *call = arg;
	fail_call(call, OC_E_TIMEOUT, "no complete answer within %llu seconds",
		  (unsigned long long)(call->r.timeout_ms + 500) / 1000);
}

static oc_status check_headers(const cJSON *headers, oc_err *err)
{
	const cJSON *h;
	cJSON_ArrayForEach(h, headers)
	{
		bool ok = cJSON_IsString(h) && h->string[0] != 0 && h->valuestring[strcspn(h->valuestring, "\r\n")] == 0
			  && h->string[strcspn(h->string, "\r\n:; \t")] == 0;
		if (!ok)
			return oc_fail(err, OC_E_INVALID, "", "\"%s\" is not a header that can be sent",
				       h->string != NULL ? h->string : "");
	}
	return OC_OK;
}

static oc_status copy_request(oc_http_call *call, const oc_http_client_request *r, oc_err *err)
{
	/* A module compiled against an older header hands in less: the rest is zero. */
	memcpy(&call->r, r, r->struct_size < sizeof call->r ? r->struct_size : sizeof call->r);
	if (call->r.method.n == 0 || call->r.method.n >= sizeof call->method)
		return oc_fail(err, OC_E_INVALID, "", "the HTTP method is missing or too long");
	memcpy(call->method, call->r.method.p, call->r.method.n);
	oc_status status = oc_url_parse(call->r.url, &call->url, err);
	if (status == OC_OK && strncmp(call->url->scheme, "http", 4) != 0)
		status = oc_fail(err, OC_E_INVALID, "", "\"%s\" is not http or https", call->url->scheme);
	if (status == OC_OK && call->r.headers.n > 0)
		status = oc_json_parse(call->r.headers, NULL, &call->headers, err);
	if (status == OC_OK)
		status = check_headers(call->headers, err);
	if (status == OC_OK && (call->r.flags & OC_HTTP_CLIENT_GUARD) != 0)
		status = oc_ssrf_check_url(call->url, err);
	if (status != OC_OK)
		return status;
	if (call->r.body.n > 0 && call->r.on_body == NULL) {
		call->request_body = oc_memdup(call->r.body.p, call->r.body.n);
		call->request_n = call->r.body.n;
	}
	if (call->r.proxy.n > 0)
		call->proxy = oc_memdup(call->r.proxy.p, call->r.proxy.n);
	if ((call->r.body.n > 0 && call->r.on_body == NULL && call->request_body == NULL)
	    || (call->r.proxy.n > 0 && call->proxy == NULL))
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	call->idle_ms = call->r.idle_ms != 0 ? call->r.idle_ms : 60000;
	call->max_bytes = call->r.max_bytes != 0 ? call->r.max_bytes : 16u << 20;
	call->tries_left = call->r.retries;
	call->redirects_left = call->r.max_redirects;
	oc_sbuf_init(&call->body, call->max_bytes);
	return OC_OK;
}

oc_status oc_http_client_start(oc_http_client *client, oc_owner *owner, const oc_http_client_request *request,
			       oc_http_call **ret, oc_err *err)
{
	oc_status status = make_multi(client, err);
	if (status != OC_OK)
		return status;
	oc_http_call *call = oc_alloc(sizeof *call);
	if (call == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "starting a request: out of memory");
	call->client = client;
	call->owner = owner;
	status = copy_request(call, request, err);
	if (status == OC_OK && (call->ticket = oc_owner_track(owner, swept, call)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "starting a request: out of memory");
	if (status == OC_OK && call->r.timeout_ms > 0
	    && (call->deadline = oc_timer_start(client->owner, call->r.timeout_ms, 0, on_deadline, call)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "starting a request: out of memory");
	if (status == OC_OK && client->depth > 0)
		status = (call->again = oc_timer_start(client->owner, 0, 0, try_again, call)) != NULL
				 ? OC_OK
				 : oc_fail(err, OC_E_NOMEM, NULL, "starting a request: out of memory");
	else if (status == OC_OK)
		status = oc_http_try_start(call, err);
	if (status != OC_OK) {
		free_call(call);
		return status;
	}
	call->next = client->calls;
	call->link = &client->calls;
	if (call->next != NULL)
		call->next->link = &call->next;
	client->calls = call;
	client->stats.active++;
	if (ret != NULL)
		*ret = call;
	return OC_OK;
}

void oc_http_client_pause(oc_http_call *call, uint32_t paused)
{
	if (call == NULL || call->over)
		return;
	bool was = call->paused;
	call->paused = paused != 0;
	call->last_byte_ms = oc_now_ms();
	if (paused == 0 && (was || call->body_waits) && call->easy != NULL && call->busy == 0) {
		oc_http_client *client = call->client;
		call->body_waits = false;
		enter_curl(client);
		client->curl->easy_pause(call->easy, CURLPAUSE_CONT);
		leave_curl(client);
	}
}

/* ---- Life of the client ---- */

static oc_status copy_option(const char *value, char **ret)
{
	*ret = value != NULL ? oc_strdup(value) : NULL;
	return value == NULL || *ret != NULL ? OC_OK : OC_E_NOMEM;
}

oc_status oc_http_client_new(oc_loop *loop, const oc_http_client_options *o, oc_http_client **ret, oc_err *err)
{
	static const oc_http_client_options none;
	if (o == NULL)
		o = &none;
	oc_http_client *client = oc_alloc(sizeof *client);
	if (client != NULL) {
		client->owner = oc_owner_new(loop, "http client");
		client->max_conns = o->max_conns != 0 ? o->max_conns : 256;
		client->max_host_conns = o->max_host_conns != 0 ? o->max_host_conns : 64;
		client->connect_ms = o->connect_ms != 0 ? o->connect_ms : 15000;
		client->backoff_ms = o->backoff_ms != 0 ? o->backoff_ms : 500;
		client->backoff_max_ms = o->backoff_max_ms != 0 ? o->backoff_max_ms : 30000;
	}
	if (client == NULL || client->owner == NULL || copy_option(o->proxy, &client->proxy) != OC_OK
	    || copy_option(o->no_proxy, &client->no_proxy) != OC_OK || copy_option(o->ca_file, &client->ca_file) != OC_OK
	    || copy_option(o->user_agent != NULL ? o->user_agent : "openclaw", &client->user_agent) != OC_OK) {
		oc_http_client_free(client);
		return oc_fail(err, OC_E_NOMEM, NULL, "making the HTTP client: out of memory");
	}
	*ret = client;
	return OC_OK;
}

void oc_http_client_free(oc_http_client *client)
{
	if (client == NULL)
		return;
	while (client->calls != NULL)
		oc_http_client_cancel(client->calls);
	if (client->multi != NULL)
		client->curl->multi_cleanup(client->multi);
	while (client->sockets != NULL)
		end_socket(client->sockets);
	oc_owner_free(client->owner);
	oc_free(client->proxy);
	oc_free(client->no_proxy);
	oc_free(client->ca_file);
	oc_free(client->user_agent);
	oc_free(client);
}

void oc_http_client_get_stats(const oc_http_client *client, oc_http_client_stats *ret)
{
	*ret = client->stats;
}

const char *oc_http_client_version(void)
{
	const oc_curl *curl = oc_curl_loaded();
	return curl != NULL ? curl->version() : "";
}

/* ---- The service of modules ---- */

static oc_http_client *served;
static oc_owner *(*served_owner_of)(oc_self *self);

static oc_status service_start(oc_self *self, const oc_http_client_request *request, oc_http_call **ret)
{
	oc_err err = {0};
	oc_status status = oc_http_client_start(served, served_owner_of(self), request, ret, &err);
	if (status != OC_OK)
		oc_log_err(OC_LOG_WARN, oc_owner_name(served_owner_of(self)), "request not started", &err);
	return status;
}

const oc_http_client_host *oc_http_client_service(oc_http_client *client, oc_owner *(*owner_of)(oc_self *self))
{
	static const oc_http_client_host table = {
		.struct_size = sizeof table,
		.start = service_start,
		.cancel = oc_http_client_cancel,
		.pause = oc_http_client_pause,
	};
	served = client;
	served_owner_of = owner_of;
	return &table;
}
