/* The HTTP client: requests and their ends.  See http_client.h. */
#include "core/net/http_client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/net/client_inner.h"
#include "core/net/ssrf.h"

#define IDLE_DEFAULT 60000u
#define BYTES_DEFAULT ((uint64_t)16 << 20)
#define RETRIES_MAX 20u
#define REDIRECTS_MAX 20u
#define STARTS_AT_ONCE 16
#define HEAD_MAX ((size_t)256 * 1024)

uint64_t oc_client_now(const oc_http_client *client)
{
	return uv_now(oc_loop_uv(client->loop));
}

const char *oc_client_ca_file(const oc_http_client *client)
{
	return client->ca_file != NULL ? client->ca_file : getenv("SSL_CERT_FILE");
}

/* ---- The end of calls ---- */

static void todo_remove(oc_http_call *call);


static void call_free(oc_http_call *call)
{
	oc_exchange_clear(call);
	todo_remove(call);
	if (call->state == OC_CALL_OVER)
		call->client->n_over--;
	*call->prev = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	oc_free(call->method);
	oc_url_free(call->url);
	oc_url_free(call->origin);
	cJSON_Delete(call->headers);
	oc_buf_unref(call->body);
	oc_free(call->proxy);
	oc_free(call->location);
	oc_sse_free(call->sse);
	oc_sbuf_free(&call->gathered);
	oc_sbuf_free(&call->reply.names);
	oc_free(call);
}

/* Frees what is over, when curl is not on the stack. */
static void reap(void *arg)
{
	oc_http_client *client = arg;

	client->reap_scheduled = false;
	oc_client_reap(client);
}

void oc_client_reap(oc_http_client *client)
{
	oc_http_call *next;

	if (client->in_curl > 0 || client->n_over == 0)
		return;
	for (oc_http_call *call = client->calls; call != NULL; call = next) {
		next = call->next;
		if (call->state == OC_CALL_OVER && !call->on_stack)
			call_free(call);
	}
}

static void schedule_reap(oc_http_client *client)
{
	if (!client->reap_scheduled)
		client->reap_scheduled = oc_loop_defer(client->loop, client->owner, reap, client) == OC_OK;
}

/* Ends the call with no further callback; frees it when curl is not on the stack, else soon. */
static void release_call(oc_http_call *call)
{
	oc_http_client *client = call->client;

	if (call->state == OC_CALL_OVER)
		return;
	call->state = OC_CALL_OVER;
	client->n_over++;
	oc_owner_forget(call->ticket);
	call->ticket = NULL;
	oc_watch_end(call->timer);
	oc_watch_end(call->backoff);
	call->timer = call->backoff = NULL;
	client->stats.active--;
	schedule_reap(client);
}

void oc_call_finish(oc_http_call *call, oc_status status, const char *message)
{
	oc_owner *owner = call->owner;
	uint64_t entered;
	oc_str body = message != NULL ? oc_str_of(message) : oc_sbuf_view(&call->gathered);

	if (call->state == OC_CALL_OVER)
		return;
	if (status != OC_OK)
		call->client->stats.failures++;
	call->on_stack = true;
	call->client->stacked++;
	release_call(call);
	entered = oc_owner_enter(owner);
	call->on_done(call->arg, status, call->head_given || status == OC_OK ? call->reply.status : 0, body);
	oc_owner_leave(owner, entered);
	call->on_stack = false;
	call->client->stacked--;
}

void oc_http_client_cancel(oc_http_call *call)
{
	if (call != NULL)
		release_call(call);
}

/* The owner is swept: the ticket is gone already. */
static void on_sweep(void *arg)
{
	oc_http_call *call = arg;

	call->ticket = NULL;
	release_call(call);
}

/* ---- Time limits ---- */

static void arm(oc_http_call *call);

static void on_time(void *arg)
{
	oc_http_call *call = arg;
	uint64_t now = oc_client_now(call->client);

	if (call->deadline_ms != 0 && now >= call->deadline_ms) {
		oc_err err = {0};

		(void)oc_fail(&err, OC_E_TIMEOUT, NULL, "%s: no complete answer in the time allowed", call->url->host);
		oc_call_finish(call, OC_E_TIMEOUT, err.text);
		return;
	}
	if (call->want_pause || call->state != OC_CALL_RUNNING)
		call->active_ms = now; /* our own waiting is not the server's silence */
	if (now - call->active_ms >= call->idle_ms) {
		oc_err err = {0};

		(void)oc_fail(&err, OC_E_TIMEOUT, NULL, "%s: silent for %llu seconds", call->url->host,
			      (unsigned long long)(call->idle_ms / 1000));
		oc_call_finish(call, OC_E_TIMEOUT, err.text);
		return;
	}
	arm(call);
}

static void arm(oc_http_call *call)
{
	uint64_t now = oc_client_now(call->client), at = call->active_ms + call->idle_ms;

	if (call->deadline_ms != 0 && call->deadline_ms < at)
		at = call->deadline_ms;
	if (call->timer == NULL)
		call->timer = oc_timer_start(call->client->owner, at > now ? at - now : 0, 0, on_time, call);
	else
		oc_timer_again(call->timer, at > now ? at - now : 0);
}

/* ---- Work that must not happen inside curl or inside the caller ---- */

static void catch_up(void *arg);

static void schedule_catch_up(oc_http_client *client)
{
	if (!client->catch_up_scheduled)
		client->catch_up_scheduled = oc_loop_defer(client->loop, client->owner, catch_up, client) == OC_OK;
}

void oc_call_look_after(oc_http_call *call)
{
	oc_http_client *client = call->client;

	if (call->todo_prev == NULL) {
		call->todo_next = NULL;
		call->todo_prev = client->todo_tail;
		*client->todo_tail = call;
		client->todo_tail = &call->todo_next;
	}
	schedule_catch_up(client);
}

static void todo_remove(oc_http_call *call)
{
	if (call->todo_prev == NULL)
		return;
	*call->todo_prev = call->todo_next;
	if (call->todo_next != NULL)
		call->todo_next->todo_prev = call->todo_prev;
	else
		call->client->todo_tail = call->todo_prev;
	call->todo_prev = NULL;
}

/* A few at a time: starting a request takes libcurl some 0.2 ms, and others want the loop too. */
static void catch_up(void *arg)
{
	oc_http_client *client = arg;

	client->catch_up_scheduled = false;
	for (int i = 0; i < STARTS_AT_ONCE && client->todo != NULL; i++) {
		oc_http_call *call = client->todo;

		todo_remove(call);
		if (call->state == OC_CALL_WAITING && oc_pool_ready(call)) {
			oc_exchange_start(call);
		} else if (call->unpause && call->state == OC_CALL_RUNNING) {
			call->unpause = false;
			client->in_curl++;
			(void)client->curl->easy_pause(call->easy, CURLPAUSE_CONT);
			client->in_curl--;
		}
	}
	oc_client_reap(client);
	if (client->todo != NULL)
		schedule_catch_up(client);
}

void oc_http_client_pause(oc_http_call *call, uint32_t paused)
{
	if (call == NULL || call->state == OC_CALL_OVER)
		return;
	call->want_pause = paused != 0;
	if (paused == 0) {
		call->unpause = true;
		call->active_ms = oc_client_now(call->client);
		oc_call_look_after(call);
	}
}

/* ---- Starting a call ---- */

static bool method_ok(oc_str method)
{
	if (method.n == 0 || method.n > 16)
		return false;
	for (size_t i = 0; i < method.n; i++) {
		if (method.p[i] < 'A' || method.p[i] > 'Z')
			return false;
	}
	return true;
}

static oc_status check_headers(oc_str text, cJSON **ret, oc_err *err)
{
	const cJSON *item;
	oc_status status;

	if (text.n == 0)
		return OC_OK;
	status = oc_json_parse(text, NULL, ret, err);
	if (status != OC_OK)
		return oc_err_prefix(err, "the request's headers");
	if (!cJSON_IsObject(*ret))
		return oc_fail(err, OC_E_INVALID, NULL, "the request's headers are not a JSON object");
	cJSON_ArrayForEach(item, *ret)
	{
		if (!cJSON_IsString(item) || item->string[0] == 0
		    || strpbrk(item->string, "\r\n:; \t(),/<=>?@[\\]{}\"") != NULL
		    || strpbrk(item->valuestring, "\r\n") != NULL)
			return oc_fail(err, OC_E_INVALID, NULL, "the request's header \"%s\" is not valid", item->string);
	}
	return OC_OK;
}

static oc_status fill(oc_http_call *call, const oc_http_client_request *r, oc_err *err)
{
	oc_status status;

	if (!method_ok(r->method))
		return oc_fail(err, OC_E_INVALID, NULL, "the request's method is not valid");
	status = oc_url_parse(r->url, &call->url, err);
	if (status == OC_OK)
		status = oc_url_parse(r->url, &call->origin, err);
	if (status == OC_OK && call->url->scheme[0] == 'w')
		status = oc_fail(err, OC_E_INVALID, "use http or https", "WebSocket addresses cannot be requested");
	if (status == OC_OK && (r->flags & OC_HTTP_CLIENT_GUARD))
		status = oc_ssrf_check_url(call->url, err);
	if (status == OC_OK)
		status = check_headers(r->headers, &call->headers, err);
	if (status != OC_OK)
		return status;
	call->method = oc_memdup(r->method.p, r->method.n);
	if (r->on_body == NULL && r->body.n > 0) {
		call->body = oc_buf_new(r->body);
		call->body_bytes = r->body.n;
		if (call->body == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	}
	if (r->proxy.n > 0)
		call->proxy = oc_memdup(r->proxy.p, r->proxy.n);
	if (call->method == NULL || (r->proxy.n > 0 && call->proxy == NULL))
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	return OC_OK;
}

static void copy_options(oc_http_call *call, const oc_http_client_request *r)
{
	uint64_t now = oc_client_now(call->client);

	call->flags = r->flags;
	call->retries = r->retries < RETRIES_MAX ? r->retries : RETRIES_MAX;
	call->max_redirects = r->max_redirects < REDIRECTS_MAX ? r->max_redirects : REDIRECTS_MAX;
	call->deadline_ms = r->timeout_ms != 0 ? now + r->timeout_ms : 0;
	call->idle_ms = r->idle_ms != 0 ? r->idle_ms : IDLE_DEFAULT;
	call->max_bytes = r->max_bytes != 0 ? r->max_bytes : BYTES_DEFAULT;
	call->on_head = r->on_head;
	call->on_data = r->on_data;
	call->on_sse = r->on_sse;
	call->on_done = r->on_done;
	call->on_body = r->on_body;
	if (r->on_body != NULL)
		call->body_bytes = r->body_bytes;
	call->arg = r->arg;
	call->active_ms = now;
	call->retry_after_ms = -1;
	oc_sbuf_init(&call->gathered, call->max_bytes < SIZE_MAX / 2 ? (size_t)call->max_bytes : SIZE_MAX / 2);
	oc_sbuf_init(&call->reply.names, HEAD_MAX);
}

oc_status oc_http_client_start(oc_http_client *client, oc_owner *owner, const oc_http_client_request *request,
			       oc_http_call **ret, oc_err *err)
{
	oc_http_client_request r = {0};
	oc_http_call *call;
	oc_status status;

	if (request->struct_size > sizeof(r))
		return oc_fail(err, OC_E_VERSION, NULL, "the request is of a newer version of the http.client service");
	memcpy(&r, request, request->struct_size);
	if (r.on_done == NULL)
		return oc_fail(err, OC_E_INVALID, NULL, "the request has no on_done");
	call = oc_alloc(sizeof(*call));
	if (call == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	call->client = client;
	call->owner = owner;
	call->next = client->calls;
	call->prev = &client->calls;
	if (call->next != NULL)
		call->next->prev = &call->next;
	client->calls = call;
	copy_options(call, &r);
	status = fill(call, &r, err);
	if (status == OC_OK) {
		arm(call);
		call->ticket = oc_owner_track(owner, on_sweep, call);
		if (call->ticket == NULL || call->timer == NULL)
			status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
	}
	if (status != OC_OK) {
		oc_owner_forget(call->ticket);
		oc_watch_end(call->timer);
		call_free(call);
		return status;
	}
	call->state = OC_CALL_WAITING;
	client->stats.requests++;
	client->stats.active++;
	oc_call_look_after(call);
	if (ret != NULL)
		*ret = call;
	return OC_OK;
}

/* ---- The client ---- */

static char *copy(const char *s, bool *failed)
{
	char *copied = s != NULL ? oc_strdup(s) : NULL;

	if (s != NULL && copied == NULL)
		*failed = true;
	return copied;
}

static void destroy(void *arg)
{
	oc_http_client *client = arg;

	while (client->calls != NULL)
		call_free(client->calls);
	oc_pools_end(client);
	oc_owner_free(client->owner);
	oc_free(client->proxy);
	oc_free(client->no_proxy);
	oc_free(client->ca_file);
	oc_free(client->user_agent);
	oc_free(client);
}

oc_status oc_http_client_new(oc_loop *loop, const oc_http_client_options *options, oc_http_client **ret, oc_err *err)
{
	/* What limits the load is the number of turns (agents.defaults.maxConcurrent); here only runaways are stopped, since a
	 * request that waits in libcurl for a place looks like a silent server. */
	static const oc_http_client_options defaults = {.max_conns = 16384,
							.max_host_conns = 10240,
							.connect_ms = 15000,
							.backoff_ms = 500,
							.backoff_max_ms = 30000};
	oc_http_client *client = oc_alloc(sizeof(*client));
	struct sigaction old;
	bool failed = false;

	if (client == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the HTTP client");
	client->loop = loop;
	client->todo_tail = &client->todo;
	client->options = options != NULL ? *options : defaults;
#define DEFAULT(member)                    \
	if (client->options.member == 0)   \
		client->options.member = defaults.member;
	DEFAULT(max_conns)
	DEFAULT(max_host_conns)
	DEFAULT(connect_ms)
	DEFAULT(backoff_ms)
	DEFAULT(backoff_max_ms)
#undef DEFAULT
	client->proxy = copy(client->options.proxy, &failed);
	client->no_proxy = copy(client->options.no_proxy, &failed);
	client->ca_file = copy(client->options.ca_file, &failed);
	client->user_agent = copy(client->options.user_agent != NULL ? client->options.user_agent : "openclaw", &failed);
	client->owner = oc_owner_new(loop, "http client");
	if (client->owner == NULL || failed) {
		destroy(client);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the HTTP client");
	}
	/* OpenSSL writes without MSG_NOSIGNAL. */
	if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
	*ret = client;
	return OC_OK;
}

void oc_http_client_free(oc_http_client *client)
{
	if (client == NULL || client->freed)
		return;
	client->freed = true;
	for (oc_http_call *call = client->calls; call != NULL; call = call->next)
		release_call(call);
	if (client->in_curl > 0 || client->stacked > 0)
		(void)oc_loop_defer(client->loop, NULL, destroy, client);
	else
		destroy(client);
}

void oc_http_client_get_stats(const oc_http_client *client, oc_http_client_stats *ret)
{
	*ret = client->stats;
}

/* ---- The service for modules ---- */

static oc_http_client *service_client;
static oc_owner *(*service_owner_of)(oc_self *self);

static oc_status service_start(oc_self *self, const oc_http_client_request *request, oc_http_call **ret)
{
	oc_owner *owner = service_owner_of(self);

	if (owner == NULL)
		return OC_E_STATE;
	return oc_http_client_start(service_client, owner, request, ret, NULL);
}

const oc_http_client_host *oc_http_client_service(oc_http_client *client, oc_owner *(*owner_of)(oc_self *self))
{
	static const oc_http_client_host table = {.struct_size = sizeof(table),
						  .start = service_start,
						  .cancel = oc_http_client_cancel,
						  .pause = oc_http_client_pause};

	service_client = client;
	service_owner_of = owner_of;
	return &table;
}
