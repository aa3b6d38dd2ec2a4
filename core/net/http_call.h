/* The insides of the HTTP client: one client, one call, one try. Private to http_client.c and http_try.c. */
#ifndef OC_NET_HTTP_CALL_H
#define OC_NET_HTTP_CALL_H

#include <cjson/cJSON.h>

#include "core/base/str.h"
#include "core/net/curl.h"
#include "core/net/http_client.h"
#include "core/net/sse.h"
#include "core/net/url.h"

#define MAX_HEAD (256u << 10) /* bytes of all headers of one try */

struct oc_http_client {
	oc_owner *owner;
	const oc_curl *curl; /* NULL before the first request */
	CURLM *multi;
	oc_watch *timer;
	struct socket_watch *sockets;
	oc_http_call *calls;
	oc_http_call *zombies; /* cancelled inside a callback */
	unsigned depth;        /* inside libcurl so deep */
	char *proxy, *no_proxy, *ca_file, *user_agent;
	uint32_t max_conns, max_host_conns, connect_ms, backoff_ms, backoff_max_ms;
	oc_http_client_stats stats;
};

struct oc_http_call {
	oc_http_call *next, **link; /* link NULL: in no list */
	oc_http_client *client;
	oc_owner *owner; /* of who asked */
	oc_ticket *ticket;
	oc_http_client_request r; /* its strings are not used after start */
	char method[32];
	oc_url *url, *next_url; /* next_url: where a redirect leads */
	cJSON *headers;         /* to be sent */
	char *request_body, *proxy;
	size_t request_n;
	uint64_t idle_ms, max_bytes;
	uint32_t tries_left, tries_made, redirects_left;
	oc_watch *deadline, *again;
	bool over;         /* done or cancelled */
	bool handed_on;    /* something of the answer reached the requester: no more tries */
	bool paused, body_waits;
	bool foreign;      /* was redirected to another origin: no credentials any more */
	bool body_dropped; /* became a GET on the way */
	unsigned busy;     /* inside so many of the requester's callbacks */
	/* the try */
	CURL *easy;
	struct curl_slist *header_list;
	oc_sse *sse;
	cJSON *head;
	char *retry_after;
	int status;      /* HTTP */
	oc_status error; /* why we ended the try ourselves */
	bool is_sse;
	uint64_t sent, received, last_byte_ms;
	size_t head_bytes;
	oc_sbuf body;
};

/* ---- http_try.c ---- */

oc_status oc_http_try_start(oc_http_call *call, oc_err *err);
void oc_http_try_end(oc_http_call *call); /* frees what belongs to the try; also when there is none */
/* Status and headers to the requester, unless they are not the last word. */
void oc_http_try_hand_on_head(oc_http_call *call);
/* This answer is one to try again after, and may be. */
bool oc_http_try_wants_retry(const oc_http_call *call);
/* Brackets a callback into the requester's code, which may cancel the call; leave tells whether it goes on. */
uint64_t oc_http_call_enter(oc_http_call *call);
bool oc_http_call_leave(oc_http_call *call, uint64_t entered);

#endif
