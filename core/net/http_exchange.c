/* One try of a request: handing it to libcurl, reading the answer, and whether another try follows. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/net/client_inner.h"
#include "core/net/ssrf.h"

#define DROP_MAX 65536u /* bytes read of a body nobody wants, to keep the connection */

static const size_t write_error = CURL_WRITEFUNC_ERROR;

/* ---- Whether to try again ---- */

static bool retryable(int status)
{
	return status == 429 || (status >= 500 && status != 501 && status != 505);
}

static uint64_t backoff(const oc_http_call *call)
{
	const oc_http_client_options *o = &call->client->options;
	uint64_t ms = o->backoff_ms;
	uint32_t noise;

	for (uint32_t i = 1; i < call->tries && ms < o->backoff_max_ms; i++)
		ms *= 2;
	if (ms > o->backoff_max_ms)
		ms = o->backoff_max_ms;
	/* Between half and all of it, so that many clients do not come back at once. */
	oc_random(&noise, sizeof(noise));
	ms = ms / 2 + noise % (ms / 2 + 1);
	if (call->retry_after_ms > (int64_t)ms)
		ms = (uint64_t)call->retry_after_ms;
	return ms;
}

/* Another try, perhaps to another address. */
static void start_again(oc_http_call *call)
{
	call->state = OC_CALL_WAITING;
	if (oc_pool_ready(call))
		oc_exchange_start(call);
}

static void on_backoff(void *arg)
{
	oc_http_call *call = arg;

	oc_watch_end(call->backoff);
	call->backoff = NULL;
	start_again(call);
}

static void try_later(oc_http_call *call)
{
	uint64_t ms = backoff(call);

	call->client->stats.retries++;
	call->state = OC_CALL_BACKOFF;
	call->backoff = oc_timer_start(call->client->owner, ms, 0, on_backoff, call);
	if (call->backoff == NULL)
		oc_call_finish(call, OC_E_NOMEM, "no memory for a request");
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The reply's head is complete: hand it on, or decide on another try. False ends the transfer. */
static bool decide(oc_http_call *call)
{
	int status = call->reply.status;
	oc_str location = oc_reply_get(&call->reply, "location");

	call->retry_after_ms = -1;
	/* One redirect too many is handed on as it is: the caller sees where it would have led. */
	if (is_redirect(status) && location.n > 0 && call->redirects < call->max_redirects) {
		oc_free(call->location);
		call->location = oc_memdup(location.p, location.n);
		call->drop_body = call->location != NULL;
		return call->drop_body;
	}
	if (retryable(status) && call->tries <= call->retries) {
		int64_t after = oc_reply_retry_after(&call->reply, call->client->curl, oc_wall_ms() / 1000);

		/* A server that wants a long rest gets it: the caller decides, not we. */
		if (after <= (int64_t)call->client->options.backoff_max_ms) {
			call->retry_after_ms = after;
			call->drop_body = true;
			return true;
		}
	}
	return true;
}

/* ---- What libcurl hands over ---- */

static void on_event(void *arg, oc_str event, oc_str data, oc_str id)
{
	oc_http_call *call = arg;

	if (call->state == OC_CALL_OVER)
		oc_sse_stop(call->sse);
	else
		call->on_sse(call->arg, event, data, id);
}

static bool give_head(oc_http_call *call)
{
	oc_str type = oc_reply_get(&call->reply, "content-type");
	oc_sbuf json;
	uint64_t entered;

	call->head_given = true;
	if ((call->flags & OC_HTTP_CLIENT_SSE) && call->on_sse != NULL && call->reply.status < 300) {
		/* Something else than events is gathered, whoever asked for events cannot read it piece by piece. */
		call->gather = type.n > 0 && !(type.n >= 17 && strncasecmp(type.p, "text/event-stream", 17) == 0);
		if (!call->gather)
			call->sse = oc_sse_new(0, on_event, call);
		if (!call->gather && call->sse == NULL)
			return false;
	}
	if (call->on_head == NULL)
		return true;
	oc_sbuf_init(&json, call->reply.names.max * 6);
	oc_reply_json(&call->reply, &json);
	if (json.error == OC_OK) {
		entered = oc_owner_enter(call->owner);
		call->on_head(call->arg, call->reply.status, oc_sbuf_view(&json));
		oc_owner_leave(call->owner, entered);
	}
	oc_sbuf_free(&json);
	return call->state != OC_CALL_OVER;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	oc_http_call *call = arg;

	if (call->state == OC_CALL_OVER)
		return 0;
	call->active_ms = oc_client_now(call->client);
	if (!oc_reply_line(&call->reply, oc_str_make(p, size * n))) {
		if (call->reply.names.error == OC_OK)
			return size * n;
		(void)oc_fail(&call->failure, OC_E_LIMIT, NULL, "the head of the answer is too large");
		return 0;
	}
	if (!decide(call) || (!call->drop_body && !give_head(call)))
		return 0;
	return size * n;
}

static size_t on_write(char *p, size_t size, size_t n, void *arg)
{
	oc_http_call *call = arg;
	oc_str bytes = oc_str_make(p, size * n);
	uint64_t entered;
	oc_status status = OC_OK;

	if (call->state == OC_CALL_OVER)
		return write_error;
	call->active_ms = oc_client_now(call->client);
	if (call->drop_body) {
		call->dropped += bytes.n;
		return call->dropped > DROP_MAX ? write_error : bytes.n;
	}
	if (call->want_pause)
		return CURL_WRITEFUNC_PAUSE;
	call->received += bytes.n;
	call->client->stats.bytes_in += bytes.n;
	if (call->received > call->max_bytes) {
		(void)oc_fail(&call->failure, OC_E_LIMIT, NULL, "%s: the answer is larger than %llu bytes", call->url->host,
			      (unsigned long long)call->max_bytes);
		return write_error;
	}
	entered = oc_owner_enter(call->owner);
	if (call->sse != NULL) {
		status = oc_sse_feed(call->sse, bytes);
	} else if (call->on_data != NULL && !call->gather) {
		call->on_data(call->arg, bytes);
	} else {
		oc_sbuf_str(&call->gathered, bytes);
		status = call->gathered.error;
	}
	oc_owner_leave(call->owner, entered);
	if (call->state == OC_CALL_OVER)
		return write_error;
	if (status != OC_OK) {
		(void)oc_fail(&call->failure, status, NULL, "%s: the answer could not be taken: %s", call->url->host,
			      oc_status_text(status));
		return write_error;
	}
	return bytes.n;
}

static size_t on_read(char *out, size_t size, size_t n, void *arg)
{
	oc_http_call *call = arg;
	uint64_t room = size * n, left = call->body_bytes - call->sent;
	uint64_t entered;
	int64_t got;

	if (call->state == OC_CALL_OVER)
		return CURL_READFUNC_ABORT;
	call->active_ms = oc_client_now(call->client);
	if (left == 0)
		return 0;
	if (call->want_pause)
		return CURL_READFUNC_PAUSE;
	entered = oc_owner_enter(call->owner);
	got = call->on_body(call->arg, call->sent, out, room < left ? room : left);
	oc_owner_leave(call->owner, entered);
	if (call->state == OC_CALL_OVER)
		return CURL_READFUNC_ABORT;
	if (got == OC_E_BUSY)
		return CURL_READFUNC_PAUSE;
	if (got <= 0 || (uint64_t)got > room || (uint64_t)got > left) {
		(void)oc_fail(&call->failure, got < 0 ? (oc_status)got : OC_E_INVALID, NULL,
			      "the body of the request could not be read");
		return CURL_READFUNC_ABORT;
	}
	call->sent += (uint64_t)got;
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int whence)
{
	oc_http_call *call = arg;

	if (whence != SEEK_SET || offset < 0 || (uint64_t)offset > call->body_bytes)
		return CURL_SEEKFUNC_FAIL;
	call->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* The address is final here: whatever the name resolved to, this is where the bytes would go. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	oc_http_call *call = arg;
	int fd;

	(void)purpose;
	if (call->pool->guarded && !call->uses_proxy) {
		oc_err err = {0};

		if (oc_ssrf_check_addr(&address->addr, address->addrlen, &err) != OC_OK) {
			call->denied = err;
			return CURL_SOCKET_BAD;
		}
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	call->client->stats.connections++;
	return fd;
}

/* ---- Handing the request over ---- */

static bool carries_credentials(const char *name)
{
	static const char *const parts[] = {"auth", "cookie", "key", "token", "secret", "signature", "password"};
	char lower[128];
	size_t i;

	for (i = 0; name[i] != 0 && i + 1 < sizeof(lower); i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	lower[i] = 0;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strstr(lower, parts[i]) != NULL)
			return true;
	}
	return false;
}

static bool add_line(oc_http_call *call, const char *line)
{
	struct curl_slist *grown = call->client->curl->slist_append(call->lines, line);

	if (grown != NULL)
		call->lines = grown;
	return grown != NULL;
}

static bool add_headers(oc_http_call *call, bool has_body)
{
	const cJSON *item;
	bool same = oc_url_same_origin(call->url, call->origin);
	bool has_type = false, has_encoding = false;

	cJSON_ArrayForEach(item, call->headers)
	{
		char *line;
		bool ok;
		oc_str name = oc_str_of(item->string);

		if (!same && carries_credentials(item->string))
			continue;
		/* Lengths and codings are libcurl's to say. */
		if (oc_str_ieq(name, OC_STR("content-length")) || oc_str_ieq(name, OC_STR("transfer-encoding")))
			continue;
		if (oc_str_ieq(name, OC_STR("content-type"))) {
			if (!has_body)
				continue;
			has_type = true;
		}
		has_encoding = has_encoding || oc_str_ieq(name, OC_STR("accept-encoding"));
		/* "Name;" is libcurl's way to write an empty value. */
		line = item->valuestring[0] != 0 ? oc_asprintf("%s: %s", item->string, item->valuestring)
						 : oc_asprintf("%s;", item->string);
		ok = line != NULL && add_line(call, line);
		oc_free(line);
		if (!ok)
			return false;
	}
	if (has_body && !has_type && !add_line(call, "Content-Type:"))
		return false;
	/* Events must not wait in a decompressor. */
	if (!(call->flags & OC_HTTP_CLIENT_SSE) && !has_encoding)
		(void)call->client->curl->easy_setopt(call->easy, CURLOPT_ACCEPT_ENCODING, "");
	return add_line(call, "Expect:");
}

static void set_method(oc_http_call *call, bool has_body)
{
	const oc_curl *curl = call->client->curl;
	CURL *easy = call->easy;

	if (has_body) {
		(void)curl->easy_setopt(easy, CURLOPT_POST, 1L);
		(void)curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
		if (call->on_body != NULL) {
			(void)curl->easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
			(void)curl->easy_setopt(easy, CURLOPT_READDATA, call);
			(void)curl->easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
			(void)curl->easy_setopt(easy, CURLOPT_SEEKDATA, call);
		} else {
			(void)curl->easy_setopt(easy, CURLOPT_POSTFIELDS, oc_buf_str(call->body).p);
		}
		if (strcmp(call->method, "POST") != 0)
			(void)curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	} else if (strcmp(call->method, "HEAD") == 0) {
		(void)curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else {
		(void)curl->easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		if (strcmp(call->method, "GET") != 0)
			(void)curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	}
}

static void set_options(oc_http_call *call)
{
	oc_http_client *client = call->client;
	const oc_curl *curl = client->curl;
	CURL *easy = call->easy;
	const char *proxy = oc_proxy_for(client, call->proxy, call->url);

	(void)curl->easy_setopt(easy, CURLOPT_PRIVATE, call);
	(void)curl->easy_setopt(easy, CURLOPT_URL, call->url->text);
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void)curl->easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	(void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	(void)curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->options.connect_ms);
	(void)curl->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	(void)curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl->easy_setopt(easy, CURLOPT_HEADERDATA, call);
	(void)curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	(void)curl->easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	(void)curl->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
	(void)curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error_text);
	(void)curl->easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
	/* Decided here, so that the guard knows whose address it looks at. */
	(void)curl->easy_setopt(easy, CURLOPT_PROXY, proxy);
	(void)curl->easy_setopt(easy, CURLOPT_NOPROXY, "");
	call->uses_proxy = proxy[0] != 0;
	oc_pool_set_ca(curl, easy, oc_client_ca_file(client));
}

void oc_exchange_clear(oc_http_call *call)
{
	const oc_curl *curl = call->client->curl;

	if (call->easy != NULL) {
		/* libcurl may call back from here to give sockets up. */
		call->client->in_curl++;
		(void)curl->multi_remove_handle(call->pool->multi, call->easy);
		curl->easy_cleanup(call->easy);
		call->client->in_curl--;
		call->easy = NULL;
	}
	if (call->lines != NULL) {
		curl->slist_free_all(call->lines);
		call->lines = NULL;
	}
}

void oc_exchange_start(oc_http_call *call)
{
	const oc_curl *curl = call->client->curl;
	bool has_body = call->body != NULL || call->on_body != NULL;
	bool added;

	call->state = OC_CALL_RUNNING;
	call->tries++;
	call->active_ms = oc_client_now(call->client);
	call->sent = call->dropped = 0;
	call->drop_body = false;
	call->error_text[0] = 0;
	memset(&call->denied, 0, sizeof(call->denied));
	oc_reply_clear(&call->reply);
	call->easy = curl->easy_init();
	if (call->easy != NULL) {
		set_options(call);
		/* POST, PUT and PATCH say their length even when it is 0. */
		if (!has_body && (strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0
				  || strcmp(call->method, "PATCH") == 0))
			has_body = true;
		set_method(call, has_body);
	}
	added = call->easy != NULL && add_headers(call, has_body);
	if (added) {
		(void)curl->easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->lines);
		added = curl->multi_add_handle(call->pool->multi, call->easy) == CURLM_OK;
	}
	if (!added)
		oc_call_finish(call, OC_E_NOMEM, "no memory for a request");
}

/* ---- The end of a try ---- */

static oc_status follow(oc_http_call *call, oc_err *err)
{
	int status = call->reply.status;
	oc_url *target = NULL;
	bool post = strcmp(call->method, "POST") == 0;
	oc_status result = oc_url_resolve(call->url, oc_str_of(call->location), &target, err);

	if (result != OC_OK)
		return oc_err_prefix(err, "%s redirects to an address that cannot be used", call->url->host);
	if (target->scheme[0] == 'w')
		result = oc_fail(err, OC_E_INVALID, NULL, "%s redirects to a WebSocket", call->url->host);
	if (result == OC_OK && call->pool->guarded)
		result = oc_ssrf_check_url(target, err);
	if (result == OC_OK && ((status == 303 && strcmp(call->method, "HEAD") != 0) || (post && (status == 301 || status == 302)))) {
		char *get = oc_strdup("GET");

		if (get == NULL)
			result = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a request");
		else
			oc_free(call->method);
		call->method = get != NULL ? get : call->method;
		oc_buf_unref(call->body);
		call->body = NULL;
		call->on_body = NULL;
		call->body_bytes = 0;
	}
	if (result == OC_OK && call->url->secure && !target->secure && (call->body != NULL || call->on_body != NULL))
		result = oc_fail(err, OC_E_DENIED, NULL, "%s redirects a body to an unencrypted address", call->url->host);
	if (result != OC_OK) {
		oc_url_free(target);
		return result;
	}
	oc_url_free(call->url);
	call->url = target;
	call->redirects++;
	call->tries = 0; /* another address: its own tries */
	call->client->stats.redirects++;
	return OC_OK;
}

/* Failures of the connection, which another try may not meet again. */
static bool passing(CURLcode result)
{
	switch (result) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_OPERATION_TIMEDOUT: /* only the time to connect is limited in libcurl */
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

static oc_status explain(const oc_http_call *call, CURLcode result, oc_err *err)
{
	const char *host = call->url->host;
	const char *text = call->error_text[0] != 0 ? call->error_text : call->client->curl->easy_strerror(result);
	unsigned port = call->url->port;
	long number = 0;

	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: the name cannot be resolved", host, port);
	case CURLE_COULDNT_RESOLVE_PROXY:
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: the proxy cannot be found: %s", host, port, text);
	case CURLE_COULDNT_CONNECT:
		(void)call->client->curl->easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
		return number != 0 ? oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: nobody answers there (%s)", host, port, strerror((int)number))
				   : oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: nobody answers there", host, port);
	case CURLE_OPERATION_TIMEDOUT:
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: no connection in time", host, port);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return oc_fail(err, OC_E_DENIED, NULL, "%s:%u: the certificate is not trusted: %s", host, port, text);
	case CURLE_SSL_CONNECT_ERROR:
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: no TLS connection: %s", host, port, text);
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "%s:%u: the connection was closed without an answer", host, port);
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return oc_fail(err, OC_E_RETRY, NULL, "%s:%u: the connection was cut in the middle of the answer: %s", host, port,
			       text);
	case CURLE_OUT_OF_MEMORY:
		return oc_fail(err, OC_E_NOMEM, NULL, "%s:%u: out of memory", host, port);
	default:
		return oc_fail(err, OC_E_PROTOCOL, NULL, "%s:%u: the request failed: %s", host, port, text);
	}
}

void oc_exchange_ended(oc_http_call *call, CURLcode result)
{
	oc_err err = {0};

	oc_exchange_clear(call);
	if (call->state == OC_CALL_OVER)
		return; /* freed by the reaper */
	if (call->failure.code != OC_OK) {
		oc_call_finish(call, call->failure.code, call->failure.text);
		return;
	}
	if (call->drop_body) {
		if (call->location == NULL) {
			try_later(call);
			return;
		}
		if (follow(call, &err) != OC_OK) {
			oc_call_finish(call, err.code, err.text);
			return;
		}
		oc_free(call->location);
		call->location = NULL;
		start_again(call);
		return;
	}
	if (result == CURLE_OK && call->reply.complete) {
		oc_call_finish(call, OC_OK, NULL);
		return;
	}
	if (result == CURLE_COULDNT_CONNECT && call->denied.code != OC_OK) {
		oc_call_finish(call, call->denied.code, call->denied.text);
		return;
	}
	call->retry_after_ms = -1;
	if (passing(result) && !call->head_given && call->tries <= call->retries) {
		try_later(call);
		return;
	}
	if (result == CURLE_OK)
		(void)oc_fail(&err, OC_E_PROTOCOL, NULL, "%s:%u: no HTTP answer", call->url->host,
			      (unsigned)call->url->port);
	else
		(void)explain(call, result, &err);
	oc_call_finish(call, err.code, err.text);
}
