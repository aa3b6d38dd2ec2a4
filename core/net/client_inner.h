/* What the files of the HTTP client share.  Inner header of core/net. */
#ifndef OC_NET_CLIENT_INNER_H
#define OC_NET_CLIENT_INNER_H

#include "core/base/str.h"
#include "core/data/json.h"
#include "core/net/curl.h"
#include "core/net/http_client.h"
#include "core/net/sse.h"
#include "core/net/url.h"

typedef struct oc_client_socket oc_client_socket;

/* One pool of connections. Guarded and unguarded requests never share one: a connection that was allowed without the guard
 * must not be reused with it. Requests without TLS have their own, so that they need no certificates. */
typedef struct oc_pool {
	oc_http_client *client;
	CURLM *multi; /* NULL: not ready */
	oc_watch *timer;
	bool guarded, secure, preparing;
} oc_pool;

#define OC_POOLS 4

struct oc_http_client {
	oc_loop *loop;
	oc_owner *owner;
	const oc_curl *curl; /* NULL until the first request */
	oc_http_client_options options;
	char *proxy, *no_proxy, *ca_file, *user_agent;
	oc_pool pools[OC_POOLS];
	oc_http_call *calls; /* all that live */
	unsigned n_over;     /* of them to be freed */
	oc_http_call *todo, **todo_tail; /* to be started or resumed, in order */
	oc_client_socket *sockets;
	unsigned in_curl; /* depth: curl functions must not be entered again */
	unsigned stacked; /* callbacks of ours being run */
	bool reap_scheduled, catch_up_scheduled, freed;
	oc_http_client_stats stats;
};

/* The response's head, gathered line by line. */
typedef struct oc_reply {
	int status;
	oc_sbuf names; /* "name\0value\0…", lower-case names */
	bool complete;
} oc_reply;

typedef enum oc_call_state {
	OC_CALL_WAITING = 1, /* to be started by the loop, when its pool is ready */
	OC_CALL_RUNNING,     /* in the multi handle */
	OC_CALL_BACKOFF,     /* waiting for the next try */
	OC_CALL_OVER	     /* no callback any more; freed soon */
} oc_call_state;

struct oc_http_call {
	oc_http_client *client;
	oc_http_call *next, **prev;
	oc_http_call *todo_next, **todo_prev; /* todo_prev NULL: nothing to do */
	oc_owner *owner;
	oc_ticket *ticket;
	oc_watch *timer;   /* total and idle limits */
	oc_watch *backoff;
	oc_call_state state;
	oc_pool *pool;

	/* the request, copied */
	uint32_t flags, retries, redirects, max_redirects;
	char *method;
	oc_url *url;
	oc_url *origin; /* of the first URL: credentials go nowhere else */
	cJSON *headers;
	oc_buf *body;
	char *proxy;
	uint64_t deadline_ms; /* 0: none */
	uint64_t idle_ms, max_bytes, body_bytes;
	void (*on_head)(void *arg, int32_t http_status, oc_str headers);
	void (*on_data)(void *arg, oc_str data);
	void (*on_sse)(void *arg, oc_str event, oc_str data, oc_str id);
	void (*on_done)(void *arg, oc_status status, int32_t http_status, oc_str body);
	int64_t (*on_body)(void *arg, uint64_t offset, void *out, uint64_t max);
	void *arg;

	/* the current try */
	CURL *easy;
	struct curl_slist *lines;
	char error_text[CURL_ERROR_SIZE];
	uint32_t tries;
	uint64_t active_ms; /* the last sign of life */
	uint64_t sent;	    /* of on_body */
	oc_reply reply;
	bool drop_body;	  /* the reply leads to another try: its body is not the caller's */
	uint64_t dropped;
	char *location;
	int64_t retry_after_ms; /* -1: the server did not say */
	bool uses_proxy;

	/* towards the caller */
	bool head_given, want_pause, unpause;
	bool gather; /* asked for events, got something else */
	bool on_stack; /* its on_done is running */
	uint64_t received;
	oc_sse *sse;
	oc_sbuf gathered;
	oc_err failure; /* our own reason for ending the transfer */
	oc_err denied;	/* the guard refused an address */
};

/* http_client.c */
uint64_t oc_client_now(const oc_http_client *client);
/* Starts or resumes the call soon, in its turn. */
void oc_call_look_after(oc_http_call *call);
/* Frees calls that are over. */
void oc_client_reap(oc_http_client *client);
/* The file of trusted certificates; NULL: libcurl's own. */
const char *oc_client_ca_file(const oc_http_client *client);
void oc_call_finish(oc_http_call *call, oc_status status, const char *message);

/* http_pool.c */
/* Chooses the call's pool by its URL. False: it is being made ready (it is looked after then), or the call was ended. */
bool oc_pool_ready(oc_http_call *call);
/* Tells libcurl which certificates to trust, in the way that lets it cache them. */
void oc_pool_set_ca(const oc_curl *curl, CURL *easy, const char *ca_file);
void oc_pools_end(oc_http_client *client);

/* http_exchange.c */
/* Begins a try: makes the easy handle and adds it. */
void oc_exchange_start(oc_http_call *call);
/* curl says the transfer is over. */
void oc_exchange_ended(oc_http_call *call, CURLcode result);
void oc_exchange_clear(oc_http_call *call);

/* http_head.c */
/* One header line as curl hands it over; true when the head is complete (and no interim one). */
bool oc_reply_line(oc_reply *reply, oc_str line);
void oc_reply_clear(oc_reply *reply);
oc_str oc_reply_get(const oc_reply *reply, const char *lower_name);
void oc_reply_json(const oc_reply *reply, oc_sbuf *out);
/* Retry-After in ms from now, -1 when absent or unreadable. wall_s: the clock, for dates. */
int64_t oc_reply_retry_after(const oc_reply *reply, const oc_curl *curl, int64_t wall_s);

/* http_proxy.c */
/* The proxy for a URL: "" for none. The result is valid as long as client and environment. */
const char *oc_proxy_for(const oc_http_client *client, const char *own, const oc_url *url);
/* Whether a host is in a NO_PROXY list. */
bool oc_no_proxy_match(const char *list, const oc_url *url);

#endif
