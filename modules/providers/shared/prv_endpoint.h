/*
 * The endpoint of a request: where it goes, under which name, with which headers.  [any]
 */
#ifndef PRV_ENDPOINT_H
#define PRV_ENDPOINT_H

#include "prv_fault.h"

typedef struct prv_endpoint {
	char provider[64]; /* "openai"; "" when not told */
	char model[160];   /* as the endpoint knows it, without the provider; "" for requests without one */
	char base[1024];   /* without query and trailing slashes */
	char query[256];   /* "?…" or "" */
	char host[256];	   /* lower case, with the port when there is one */
	char secret[192];  /* the name of the key, "" when none is used */
	uint64_t idle_ms;  /* silence that ends a call, of this endpoint; 0: not told */
	bool local;	   /* this machine or a private network: may well want no key */
	prv_json headers;  /* the operator's own; borrowed from the document */
} prv_endpoint;

/* Reads request.endpoint and request.model. False: what is wrong is in why. */
bool prv_endpoint_read(prv_json request, const char *default_base, prv_endpoint *ret, prv_fault *why);
/* base + path + query; a base that already ends with the path stays as it is. */
void prv_endpoint_url(const prv_endpoint *e, const char *path, prv_text *out);
/* Whether the host is name or a subdomain of it. */
bool prv_endpoint_is(const prv_endpoint *e, const char *name);
/* Whether the operator set this header himself (any case). */
bool prv_endpoint_has_header(const prv_endpoint *e, const char *name);
/* Starts the headers object with the operator's; prv_endpoint_header adds one he did not set; close with '}'. */
void prv_endpoint_headers(const prv_endpoint *e, prv_text *out);
void prv_endpoint_header(const prv_endpoint *e, const char *name, const char *before, oc_str value, prv_text *out);
prv_place prv_endpoint_place(const prv_endpoint *e);

#endif
