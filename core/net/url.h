/*
 * URLs of http, https, ws and wss, parsed strictly; request paths, decoded and normalised; query strings.  Pure.  [any]
 */
#ifndef OC_NET_URL_H
#define OC_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

#define OC_URL_MAX 8192 /* bytes of a whole URL */

/* One allocation, everything inside it NUL-terminated. */
typedef struct oc_url {
	const char *text;     /* normalised: lower-case scheme and host, no default port, "/" for an empty path, no fragment */
	const char *scheme;   /* "http", "https", "ws", "wss" */
	const char *userinfo; /* raw, "" when there is none */
	const char *host;     /* lower case, without the brackets of an IPv6 address, without a final dot */
	const char *path;     /* raw (percent-encoded), dot segments resolved, begins with '/' */
	const char *query;    /* raw, without '?', "" when there is none */
	uint16_t port;        /* explicit or the scheme's */
	bool secure;          /* https, wss */
	bool is_ip;           /* host is a literal address; IPv4 in any of its odd spellings is normalised to dotted */
	bool has_query;
} oc_url;

/* Free with oc_url_free. Refuses other schemes, control characters, spaces, backslashes, bad percent escapes, bad hosts and
 * ports, with the reason in err. */
oc_status oc_url_parse(oc_str text, oc_url **ret, oc_err *err);
/* A reference (absolute, "//host/x", "/x", "x", "?x") taken from base, e.g. a Location header. */
oc_status oc_url_resolve(const oc_url *base, oc_str reference, oc_url **ret, oc_err *err);
void oc_url_free(oc_url *url); /* NULL is allowed */
bool oc_url_same_origin(const oc_url *a, const oc_url *b);

/* Decodes a raw path and resolves dot segments and double slashes afterwards, so that "%2e%2e" cannot climb. out holds at
 * least raw.n + 2 bytes. OC_E_INVALID: no leading slash, bad escape, NUL or control character, or above the root. */
oc_status oc_url_path_decode(oc_str raw, char *out, size_t *ret_n);

#endif
