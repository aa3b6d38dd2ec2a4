/* Which addresses guarded requests may reach: see ssrf.h. */
#include "core/net/ssrf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

typedef struct range4 {
	uint32_t base;
	unsigned bits;
	oc_ssrf_class class;
} range4;

/* IANA's special-purpose registry, and what clouds made special. The first match counts. */
static const range4 ranges4[] = {
	{0x00000000, 8, OC_SSRF_UNSPECIFIED},
	{0x0a000000, 8, OC_SSRF_PRIVATE},
	{0x64400000, 10, OC_SSRF_SHARED},
	{0x7f000000, 8, OC_SSRF_LOOPBACK},
	{0xa83f8110, 32, OC_SSRF_METADATA}, /* 168.63.129.16, a public address with a private meaning in Azure */
	{0xa9fe0000, 16, OC_SSRF_LINK_LOCAL},
	{0xac100000, 12, OC_SSRF_PRIVATE},
	{0xc0000000, 24, OC_SSRF_RESERVED},
	{0xc0000200, 24, OC_SSRF_RESERVED},
	{0xc0586300, 24, OC_SSRF_RESERVED}, /* 6to4 relays */
	{0xc0a80000, 16, OC_SSRF_PRIVATE},
	{0xc6120000, 15, OC_SSRF_RESERVED},
	{0xc6336400, 24, OC_SSRF_RESERVED},
	{0xcb007100, 24, OC_SSRF_RESERVED},
	{0xe0000000, 4, OC_SSRF_MULTICAST},
	{0xf0000000, 4, OC_SSRF_RESERVED},
};

static oc_ssrf_class classify4(uint32_t ip)
{
	for (size_t i = 0; i < sizeof(ranges4) / sizeof(ranges4[0]); i++) {
		uint32_t mask = ranges4[i].bits == 32 ? UINT32_MAX : ~(UINT32_MAX >> ranges4[i].bits);

		if ((ip & mask) == ranges4[i].base)
			return ranges4[i].class;
	}
	return OC_SSRF_PUBLIC;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool zeros(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

/* Addresses that carry an IPv4 address the packets may end up at. Returns true and its class. */
static bool embedded4(const uint8_t *a, oc_ssrf_class *ret)
{
	if (zeros(a, 10) && a[10] == 0xff && a[11] == 0xff) { /* mapped */
		*ret = classify4(be32(a + 12));
		return true;
	}
	if (zeros(a, 12)) { /* compatible, long deprecated; :: and ::1 were handled before */
		*ret = classify4(be32(a + 12));
		return true;
	}
	if (be32(a) == 0x0064ff9b && zeros(a + 4, 8)) { /* NAT64 */
		*ret = classify4(be32(a + 12));
		return true;
	}
	if (a[0] == 0x20 && a[1] == 0x02) { /* 6to4 */
		*ret = classify4(be32(a + 2));
		return true;
	}
	if (be32(a) == 0x20010000) { /* Teredo: the server in the clear, the client inverted */
		*ret = classify4(be32(a + 4));
		if (*ret == OC_SSRF_PUBLIC)
			*ret = classify4(~be32(a + 12));
		return true;
	}
	if ((be32(a + 8) & 0xfdffffff) == 0x00005efe) { /* ISATAP */
		*ret = classify4(be32(a + 12));
		return true;
	}
	return false;
}

static oc_ssrf_class classify6(const uint8_t *a)
{
	oc_ssrf_class inner;

	if (zeros(a, 15))
		return a[15] == 0 ? OC_SSRF_UNSPECIFIED : a[15] == 1 ? OC_SSRF_LOOPBACK : OC_SSRF_UNSPECIFIED;
	if (a[0] == 0xff)
		return OC_SSRF_MULTICAST;
	if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		return OC_SSRF_LINK_LOCAL;
	if ((a[0] == 0xfe && (a[1] & 0xc0) == 0xc0) || (a[0] & 0xfe) == 0xfc)
		return OC_SSRF_PRIVATE;
	if (embedded4(a, &inner))
		return inner;
	if (be32(a) == 0x20010db8 || (a[0] == 0x3f && a[1] == 0xff && (a[2] & 0xf0) == 0))
		return OC_SSRF_RESERVED; /* documentation */
	if (a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0)
		return OC_SSRF_RESERVED; /* protocol assignments */
	if ((a[0] & 0xe0) != 0x20)
		return OC_SSRF_RESERVED; /* only 2000::/3 is given out */
	return OC_SSRF_PUBLIC;
}

oc_ssrf_class oc_ssrf_classify(const struct sockaddr *addr, socklen_t len)
{
	if (len >= sizeof(struct sockaddr_in) && addr->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, addr, sizeof(in));
		return classify4(ntohl(in.sin_addr.s_addr));
	}
	if (len >= sizeof(struct sockaddr_in6) && addr->sa_family == AF_INET6) {
		struct sockaddr_in6 in;

		memcpy(&in, addr, sizeof(in));
		return classify6(in.sin6_addr.s6_addr);
	}
	return OC_SSRF_NOT_INET;
}

const char *oc_ssrf_class_name(oc_ssrf_class c)
{
	switch (c) {
	case OC_SSRF_PUBLIC:
		return "a public address";
	case OC_SSRF_UNSPECIFIED:
		return "the unspecified address";
	case OC_SSRF_LOOPBACK:
		return "a loopback address";
	case OC_SSRF_PRIVATE:
		return "a private address";
	case OC_SSRF_SHARED:
		return "a shared (carrier) address";
	case OC_SSRF_LINK_LOCAL:
		return "a link-local address";
	case OC_SSRF_METADATA:
		return "a cloud metadata address";
	case OC_SSRF_MULTICAST:
		return "a multicast address";
	case OC_SSRF_RESERVED:
		return "a reserved address";
	case OC_SSRF_NOT_INET:
		break;
	}
	return "not an internet address";
}

oc_status oc_ssrf_check_addr(const struct sockaddr *addr, socklen_t len, oc_err *err)
{
	oc_ssrf_class c = oc_ssrf_classify(addr, len);
	char text[INET6_ADDRSTRLEN] = "?";

	if (c == OC_SSRF_PUBLIC)
		return OC_OK;
	if (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in))
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, text, sizeof(text));
	else if (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6))
		(void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, text, sizeof(text));
	return oc_fail(err, OC_E_DENIED, "only public internet addresses may be fetched here",
		       "refused to connect to %s: it is %s", text, oc_ssrf_class_name(c));
}

/* Whether host is name or ends in ".name". */
static bool within(oc_str host, const char *name)
{
	size_t n = strlen(name);

	return host.n >= n && memcmp(host.p + host.n - n, name, n) == 0
	       && (host.n == n || host.p[host.n - n - 1] == '.');
}

oc_status oc_ssrf_check_url(const oc_url *url, oc_err *err)
{
	static const char *const private_names[] = {"localhost", "local",  "internal", "intranet", "home.arpa",
						    "lan",	 "corp",   "private",  "onion",	   "localdomain",
						    "test",	 "invalid"};
	oc_str host = oc_str_of(url->host);

	if (url->userinfo[0] != 0)
		return oc_fail(err, OC_E_DENIED, "leave user name and password out of the URL",
			       "refused a URL with user information before the host %s", url->host);
	if (url->is_ip) {
		struct sockaddr_in in4 = {.sin_family = AF_INET};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

		if (inet_pton(AF_INET, url->host, &in4.sin_addr) == 1)
			return oc_ssrf_check_addr((struct sockaddr *)&in4, sizeof(in4), err);
		if (inet_pton(AF_INET6, url->host, &in6.sin6_addr) == 1)
			return oc_ssrf_check_addr((struct sockaddr *)&in6, sizeof(in6), err);
		return oc_fail(err, OC_E_DENIED, NULL, "refused the address %s", url->host);
	}
	if (memchr(host.p, '.', host.n) == NULL)
		return oc_fail(err, OC_E_DENIED, "use a full public host name",
			       "refused the host \"%s\": a name without a dot is a local one", url->host);
	for (size_t i = 0; i < sizeof(private_names) / sizeof(private_names[0]); i++) {
		if (within(host, private_names[i]))
			return oc_fail(err, OC_E_DENIED, "use a full public host name",
				       "refused the host \"%s\": names under \"%s\" are local", url->host,
				       private_names[i]);
	}
	return OC_OK;
}
