/* Which proxy a request goes through. */
#include <stdlib.h>
#include <string.h>

#include "core/net/client_inner.h"

static const char *env(const char *lower, const char *upper)
{
	const char *value = getenv(lower);

	if (value == NULL && upper != NULL)
		value = getenv(upper);
	return value != NULL && value[0] != 0 ? value : NULL;
}

bool oc_no_proxy_match(const char *list, const oc_url *url)
{
	oc_str host = oc_str_of(url->host), rest = oc_str_of(list);

	while (rest.p != NULL) {
		oc_str entry = oc_str_trim(oc_str_cut(&rest, ','));
		const char *colon = entry.n > 0 ? memrchr(entry.p, ':', entry.n) : NULL;

		if (oc_str_eqz(entry, "*"))
			return true;
		/* "host:port", but not the colons of an IPv6 address. */
		if (colon != NULL && memchr(entry.p, ':', (size_t)(colon - entry.p)) == NULL) {
			oc_str port = oc_str_make(colon + 1, entry.n - (size_t)(colon - entry.p) - 1);
			int64_t number;

			if (oc_str_i64(port, 1, 65535, &number) != OC_OK || number != url->port)
				continue;
			entry.n = (size_t)(colon - entry.p);
		}
		if (entry.n >= 2 && entry.p[0] == '*' && entry.p[1] == '.') {
			entry.p++;
			entry.n--;
		}
		if (entry.n > 0 && entry.p[0] == '.') {
			entry.p++;
			entry.n--;
		}
		if (entry.n == 0 || entry.n > host.n)
			continue;
		if (oc_str_ieq(oc_str_make(host.p + host.n - entry.n, entry.n), entry)
		    && (host.n == entry.n || (!url->is_ip && host.p[host.n - entry.n - 1] == '.')))
			return true;
	}
	return false;
}

const char *oc_proxy_for(const oc_http_client *client, const char *own, const oc_url *url)
{
	const char *proxy = own != NULL ? own : client->proxy;
	const char *no_proxy = client->no_proxy != NULL ? client->no_proxy : env("no_proxy", "NO_PROXY");

	if (proxy == NULL) {
		/* HTTP_PROXY in capitals is left out for http: a CGI server sets it from a header of the request. */
		proxy = url->secure ? env("https_proxy", "HTTPS_PROXY") : env("http_proxy", NULL);
		if (proxy == NULL)
			proxy = env("all_proxy", "ALL_PROXY");
	}
	if (proxy == NULL || proxy[0] == 0)
		return "";
	/* What one request asks for is meant. */
	if (own == NULL && no_proxy != NULL && oc_no_proxy_match(no_proxy, url))
		return "";
	return proxy;
}
