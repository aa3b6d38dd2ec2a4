/*
 * The HTTP client for everything that leaves the machine: libcurl, loaded with the first request, in a pool thread.  [loop]
 *
 * Requests are the ABI's oc_http_client_request, for core and modules alike; see there for retries, limits and callbacks.
 * Redirects are followed here, not in libcurl: at most max_redirects, only to http and https, credentials (Authorization,
 * Cookie, API key headers) are not sent to another origin, 303 (and 301, 302 after POST) become GET.
 */
#ifndef OC_NET_HTTP_CLIENT_H
#define OC_NET_HTTP_CLIENT_H

#include <openclaw/module.h>

#include "core/base/err.h"
#include "core/loop/loop.h"

typedef struct oc_http_client oc_http_client;

typedef struct oc_http_client_options {
	const char *proxy;      /* NULL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY of the environment; "": none */
	const char *no_proxy;   /* NULL: NO_PROXY of the environment */
	const char *ca_file;    /* NULL: SSL_CERT_FILE, or libcurl's own (the system's) */
	const char *user_agent; /* NULL: "openclaw" */
	uint32_t max_conns;      /* in each of four pools; 0: 16,384 */
	uint32_t max_host_conns; /* to one host; 0: 10,240 */
	uint32_t connect_ms;     /* 0: 15,000 */
	uint32_t backoff_ms;     /* before the first retry; doubled each time, with jitter; 0: 500 */
	uint32_t backoff_max_ms; /* 0: 30,000; a longer Retry-After ends the request instead */
} oc_http_client_options;

typedef struct oc_http_client_stats {
	uint64_t requests, active, retries, redirects, failures, connections, bytes_in;
} oc_http_client_stats;

/* Options are copied; loads nothing. */
oc_status oc_http_client_new(oc_loop *loop, const oc_http_client_options *options, oc_http_client **ret, oc_err *err);
/* Cancels what runs, without callbacks. NULL is allowed. */
void oc_http_client_free(oc_http_client *client);
/* Everything in the request is copied. The call belongs to owner: its sweep cancels it (no callback then), and callbacks
 * count as the owner's time. *ret may be used until on_done has returned or oc_http_client_cancel was called; ret may be
 * NULL. OC_E_INVALID (URL, headers), OC_E_DENIED (guard), OC_E_NOMEM. A missing libcurl is told by on_done
 * (OC_E_UNAVAILABLE). */
oc_status oc_http_client_start(oc_http_client *client, oc_owner *owner, const oc_http_client_request *request,
			       oc_http_call **ret, oc_err *err);
void oc_http_client_cancel(oc_http_call *call); /* NULL is allowed; allowed inside callbacks */
void oc_http_client_pause(oc_http_call *call, uint32_t paused);
void oc_http_client_get_stats(const oc_http_client *client, oc_http_client_stats *ret); /* for tests */

/* The table of the "http.client" service for modules. One client a process serves it; owner_of maps the module that asks
 * to its owner. */
const oc_http_client_host *oc_http_client_service(oc_http_client *client, oc_owner *(*owner_of)(oc_self *self));

#endif
