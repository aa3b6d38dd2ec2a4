/*
 * Which addresses a request that a model or a stranger can steer may reach.  Pure.  [any]
 *
 * The guard looks at the address that is really connected to, so names that resolve to private addresses, and names that
 * change between check and use, do not pass; the checks by name only refuse earlier and with a better message.
 */
#ifndef OC_NET_SSRF_H
#define OC_NET_SSRF_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/base/err.h"
#include "core/net/url.h"

typedef enum oc_ssrf_class {
	OC_SSRF_PUBLIC = 1,
	OC_SSRF_UNSPECIFIED, /* 0.0.0.0/8, :: */
	OC_SSRF_LOOPBACK,
	OC_SSRF_PRIVATE,     /* RFC 1918, unique local */
	OC_SSRF_SHARED,      /* 100.64/10 */
	OC_SSRF_LINK_LOCAL,  /* with the metadata addresses of clouds */
	OC_SSRF_METADATA,    /* metadata services outside link-local */
	OC_SSRF_MULTICAST,
	OC_SSRF_RESERVED, /* documentation, benchmarking, future use, broadcast, translation prefixes */
	OC_SSRF_NOT_INET  /* anything but IPv4 and IPv6 */
} oc_ssrf_class;

/* IPv4 inside IPv6 (mapped, compatible, 6to4, Teredo, NAT64) is judged by the IPv4 address. */
oc_ssrf_class oc_ssrf_classify(const struct sockaddr *addr, socklen_t len);
const char *oc_ssrf_class_name(oc_ssrf_class c);
/* OC_OK only for public addresses; OC_E_DENIED with the reason. */
oc_status oc_ssrf_check_addr(const struct sockaddr *addr, socklen_t len, oc_err *err);
/* What a URL tells before anything is resolved: literal addresses, localhost and names that are never public (.local,
 * .internal, .localhost, .home.arpa, .lan, single labels), user information in the URL. */
oc_status oc_ssrf_check_url(const oc_url *url, oc_err *err);

#endif
