/*
 * One try of a request: an easy handle, what is set on it, and what libcurl calls while it runs.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/net/http_call.h"
#include "core/net/ssrf.h"

/* ---- What libcurl calls ---- */

/* Brackets a callback into the requester's code: it may cancel the call. Returns whether the call goes on. */
bool oc_http_call_leave(oc_http_call *call, uint64_t entered)
{
	oc_owner_leave(call->owner, entered);
	call->busy--;
	return !call->over;
}

uint64_t oc_http_call_enter(oc_http_call *call)
{
	call->busy++;
	return oc_owner_enter(call->owner);
}

bool oc_http_try_wants_retry(const oc_http_call *call)
{
	return call->tries_left > 0 && !call->handed_on && (call->status == 429 || call->status >= 500);
}

void oc_http_try_hand_on_head(oc_http_call *call)
{
	char *text;
	if (call->handed_on || call->next_url != NULL || oc_http_try_wants_retry(call))
		return;
	call->handed_on = true;
	if (call->r.on_head == NULL)
		return;
	text = oc_json_print(call->head);
	uint64_t entered = oc_http_call_enter(call);
	call->r.on_head(call->r.arg, call->status, oc_str_of(text != NULL ? text : "{}"));
	oc_http_call_leave(call, entered);
	oc_free(text);
}

static void read_status_line(oc_http_call *call, oc_str line)
{
	const char *space = memchr(line.p, ' ', line.n);
	cJSON_Delete(call->head);
	call->head = cJSON_CreateObject();
	call->status = space != NULL ? (int)strtol(space + 1, NULL, 10) : 0;
	oc_url_free(call->next_url);
	call->next_url = NULL;
	oc_free(call->retry_after);
	call->retry_after = NULL;
	call->is_sse = false;
}

static void read_location(oc_http_call *call, oc_str value)
{
	static const int codes[] = {301, 302, 303, 307, 308};
	bool redirect = false;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		redirect = redirect || call->status == codes[i];
	if (redirect && call->redirects_left > 0)
		oc_url_resolve(call->url, value, &call->next_url, NULL);
}

static void read_header(oc_http_call *call, oc_str name, oc_str value)
{
	char lower[256];
	if (name.n >= sizeof lower)
		return;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
	lower[name.n] = 0;
	oc_auto_free char *text = oc_memdup(value.p, value.n);
	if (text == NULL)
		return;
	const char *before = oc_json_str(call->head, lower, NULL);
	oc_auto_free char *joined = before != NULL ? oc_asprintf("%s, %s", before, text) : NULL;
	oc_json_set_str(call->head, lower, joined != NULL ? joined : text);
	if (strcmp(lower, "location") == 0)
		read_location(call, value);
	else if (strcmp(lower, "retry-after") == 0 && call->retry_after == NULL)
		call->retry_after = oc_strdup(text);
	else if (strcmp(lower, "content-type") == 0)
		call->is_sse = strncasecmp(text, "text/event-stream", 17) == 0;
}

static size_t on_header(char *p, size_t one, size_t n, void *arg)
{
	oc_http_call *call = arg;
	oc_str line = oc_str_trim((oc_str){p, n});
	(void)one;
	call->last_byte_ms = oc_now_ms();
	call->head_bytes += n;
	if (call->over || call->head_bytes > MAX_HEAD)
		return 0;
	if (oc_str_starts(line, "HTTP/")) {
		read_status_line(call, line);
	} else if (line.n > 0) {
		const char *colon = memchr(line.p, ':', line.n);
		if (colon != NULL)
			read_header(call, oc_str_make(line.p, (size_t)(colon - line.p)),
				    oc_str_trim(oc_str_make(colon + 1, line.n - (size_t)(colon - line.p) - 1)));
	} else if (call->status >= 200) { /* the end of the head; 1xx heads are followed by another */
		oc_http_try_hand_on_head(call);
	}
	return call->over ? 0 : n;
}

static void on_sse_event(void *arg, oc_str event, oc_str data, oc_str id)
{
	oc_http_call *call = arg;
	if (call->over)
		return;
	uint64_t entered = oc_http_call_enter(call);
	call->r.on_sse(call->r.arg, event, data, id);
	if (!oc_http_call_leave(call, entered))
		oc_sse_stop(call->sse);
}

static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
	oc_http_call *call = arg;
	(void)one;
	if (call->over)
		return 0;
	if (call->paused)
		return CURL_WRITEFUNC_PAUSE;
	call->last_byte_ms = oc_now_ms();
	call->client->stats.bytes_in += n;
	if (call->next_url != NULL)
		return n; /* nobody sees this body */
	call->received += n;
	if (oc_http_try_wants_retry(call)) { /* kept in case the server wants too long a wait, as far as it fits */
		oc_sbuf_add(&call->body, p, n);
		return n;
	}
	bool streams = (call->r.flags & OC_HTTP_CLIENT_SSE) != 0 && call->r.on_sse != NULL && call->status / 100 == 2;
	if (call->received > call->max_bytes && !(streams && call->is_sse)) {
		call->error = OC_E_LIMIT;
		return 0;
	}
	if (streams && call->is_sse) {
		if (call->sse == NULL && (call->sse = oc_sse_new(0, on_sse_event, call)) == NULL)
			return 0;
		oc_status status = oc_sse_feed(call->sse, (oc_str){p, n});
		if (status != OC_OK && status != OC_E_CANCELED)
			call->error = status;
		return status == OC_OK ? n : 0;
	}
	if (call->r.on_data != NULL && !(streams && !call->is_sse)) {
		uint64_t entered = oc_http_call_enter(call);
		call->r.on_data(call->r.arg, (oc_str){p, n});
		return oc_http_call_leave(call, entered) ? n : 0;
	}
	oc_sbuf_add(&call->body, p, n);
	if (call->body.error != OC_OK)
		call->error = call->body.error;
	return call->body.error == OC_OK ? n : 0;
}

static size_t on_read(char *p, size_t one, size_t n, void *arg)
{
	oc_http_call *call = arg;
	(void)one;
	if (call->over)
		return CURL_READFUNC_ABORT;
	if (call->r.on_body == NULL) {
		size_t left = call->request_n - (size_t)call->sent, take = left < n ? left : n;
		if (take > 0)
			memcpy(p, call->request_body + call->sent, take);
		call->sent += take;
		return take;
	}
	if (call->sent == call->r.body_bytes)
		return 0;
	uint64_t left = call->r.body_bytes - call->sent;
	uint64_t entered = oc_http_call_enter(call);
	int64_t got = call->r.on_body(call->r.arg, call->sent, p, left < n ? left : n);
	if (!oc_http_call_leave(call, entered))
		return CURL_READFUNC_ABORT;
	if (got == OC_E_BUSY) {
		call->body_waits = true;
		return CURL_READFUNC_PAUSE;
	}
	if (got <= 0 || (uint64_t)got > n) {
		call->error = got < 0 ? (oc_status)got : OC_E_IO;
		return CURL_READFUNC_ABORT;
	}
	call->sent += (uint64_t)got;
	call->last_byte_ms = oc_now_ms();
	return (size_t)got;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	oc_http_call *call = arg;
	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	call->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* The guard's last word: the address that is really connected to, whatever the name resolved to before. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	oc_http_call *call = arg;
	oc_err err = {0};
	(void)purpose;
	if ((call->r.flags & OC_HTTP_CLIENT_GUARD) != 0
	    && oc_ssrf_check_addr(&addr->addr, (socklen_t)addr->addrlen, &err) != OC_OK) {
		call->error = OC_E_DENIED;
		return CURL_SOCKET_BAD;
	}
	call->client->stats.connections++;
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	oc_http_call *call = arg;
	(void)dltotal;
	(void)dlnow;
	(void)ultotal;
	(void)ulnow;
	if (call->paused)
		call->last_byte_ms = oc_now_ms(); /* our own silence is not the peer's */
	else if (oc_now_ms() - call->last_byte_ms > call->idle_ms)
		call->error = OC_E_TIMEOUT;
	return call->over || call->error != OC_OK ? 1 : 0;
}

/* ---- A try ---- */

static bool is_credential(const char *name)
{
	static const char *const names[] = {"authorization", "cookie", "proxy-authorization", "x-api-key", "api-key",
					    "x-goog-api-key"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static oc_status add_header(oc_http_call *call, const char *line)
{
	struct curl_slist *more = call->client->curl->slist_append(call->header_list, line);
	if (more == NULL)
		return OC_E_NOMEM;
	call->header_list = more;
	return OC_OK;
}

static oc_status add_headers(oc_http_call *call)
{
	const cJSON *h;
	bool has_body = call->request_n > 0 || call->r.on_body != NULL;
	cJSON_ArrayForEach(h, call->headers)
	{
		if (!cJSON_IsString(h) || (call->foreign && is_credential(h->string))
		    || (call->body_dropped && strncasecmp(h->string, "content-", 8) == 0))
			continue;
		/* "Name;" is how libcurl sends an empty value. */
		oc_auto_free char *line = h->valuestring[0] != 0 ? oc_asprintf("%s: %s", h->string, h->valuestring)
								 : oc_asprintf("%s;", h->string);
		if (line == NULL || add_header(call, line) != OC_OK)
			return OC_E_NOMEM;
	}
	/* No 100-continue: it costs a round trip and many API servers mishandle it. */
	return has_body ? add_header(call, "Expect:") : OC_OK;
}

static void set_body(oc_http_call *call, const oc_curl *curl, CURL *easy)
{
	bool has_body = !call->body_dropped && (call->request_n > 0 || call->r.on_body != NULL);
	const char *method = call->method;
	if (strcmp(method, "HEAD") == 0)
		curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (has_body || strcmp(method, "POST") == 0) {
		curl_off_t n = has_body ? (curl_off_t)(call->r.on_body != NULL ? call->r.body_bytes : call->request_n) : 0;
		curl->easy_setopt(easy, CURLOPT_POST, 1L);
		curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, n);
		curl->easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl->easy_setopt(easy, CURLOPT_READDATA, call);
		curl->easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl->easy_setopt(easy, CURLOPT_SEEKDATA, call);
		if (n == 0)
			curl->easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_options(oc_http_call *call, const oc_curl *curl, CURL *easy)
{
	oc_http_client *client = call->client;
	curl->easy_setopt(easy, CURLOPT_URL, call->url->text);
	curl->easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl->easy_setopt(easy, CURLOPT_HTTPHEADER, call->header_list);
	curl->easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
	curl->easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, (call->r.flags & OC_HTTP_CLIENT_SSE) != 0 ? NULL : "");
	curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_ms);
	curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl->easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl->easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl->easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl->easy_setopt(easy, CURLOPT_XFERINFODATA, call);
	curl->easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
	curl->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl->easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	if ((call->r.flags & OC_HTTP_CLIENT_GUARD) != 0) {
		/* A pooled connection was checked for another request, maybe one without the guard; and through a proxy the
		 * address that is connected to is not the server's. */
		curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
		curl->easy_setopt(easy, CURLOPT_PROXY, "");
	} else if (call->proxy != NULL || client->proxy != NULL) {
		curl->easy_setopt(easy, CURLOPT_PROXY, call->proxy != NULL ? call->proxy : client->proxy);
	}
	if (client->no_proxy != NULL)
		curl->easy_setopt(easy, CURLOPT_NOPROXY, client->no_proxy);
	if (client->ca_file != NULL)
		curl->easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
	set_body(call, curl, easy);
}

oc_status oc_http_try_start(oc_http_call *call, oc_err *err)
{
	oc_http_client *client = call->client;
	const oc_curl *curl = client->curl;
	call->status = 0;
	call->error = OC_OK;
	call->sent = call->received = 0;
	call->head_bytes = 0;
	call->last_byte_ms = oc_now_ms();
	oc_sbuf_clear(&call->body);
	if ((call->r.flags & OC_HTTP_CLIENT_GUARD) != 0) {
		oc_status status = oc_ssrf_check_url(call->url, err);
		if (status != OC_OK)
			return status;
	}
	call->easy = curl->easy_init();
	if (call->easy == NULL || add_headers(call) != OC_OK)
		return oc_fail(err, OC_E_NOMEM, NULL, "%s: out of memory", call->url->host);
	set_options(call, curl, call->easy);
	if (curl->multi_add_handle(client->multi, call->easy) != CURLM_OK)
		return oc_fail(err, OC_E_INTERNAL, NULL, "%s: libcurl refused the request", call->url->host);
	client->stats.requests++;
	return OC_OK;
}

void oc_http_try_end(oc_http_call *call)
{
	oc_http_client *client = call->client;
	if (call->easy != NULL) {
		client->curl->multi_remove_handle(client->multi, call->easy);
		client->curl->easy_cleanup(call->easy);
		call->easy = NULL;
	}
	if (call->header_list != NULL)
		client->curl->slist_free_all(call->header_list);
	call->header_list = NULL;
	oc_sse_free(call->sse);
	call->sse = NULL;
}
