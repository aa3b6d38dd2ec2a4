/* See prv_endpoint.h. */
#include "prv_endpoint.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decodes a string into a fixed buffer; false when it does not fit. */
static bool take(prv_json v, char *out, size_t size)
{
	prv_text t;
	prv_text_init(&t, size - 1);
	prv_json_text(&t, v);
	bool ok = !t.failed;
	oc_str s = prv_text_view(&t);
	if (ok) {
		memcpy(out, s.p, s.n);
		out[s.n] = 0;
	}
	prv_text_free(&t);
	return ok;
}

static bool private_host(const char *host)
{
	char name[256];
	size_t n = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");
	if (n >= sizeof(name))
		return false;
	memcpy(name, host, n);
	name[n] = 0;
	oc_str s = {name, n};
	if (strchr(name, '.') == NULL) /* "localhost", a name of this network, any IPv6 literal */
		return true;
	unsigned a = 0, b = 0;
	char *end;
	a = (unsigned)strtoul(name, &end, 10);
	if (end != name && *end == '.')
		b = (unsigned)strtoul(end + 1, &end, 10);
	bool numeric = strspn(name, "0123456789.") == n;
	return (numeric
		&& (a == 127 || a == 10 || (a == 192 && b == 168) || (a == 172 && b >= 16 && b < 32)
		    || (a == 100 && b >= 64 && b < 128) || (a == 169 && b == 254)))
	       || prv_str_ends(s, ".local") || prv_str_ends(s, ".internal") || prv_str_ends(s, ".lan")
	       || prv_str_ends(s, ".localhost") || prv_str_ends(s, ".home.arpa");
}

/* Splits base into base, query and host. */
static bool split_base(prv_endpoint *e, prv_fault *why)
{
	size_t scheme = strncasecmp(e->base, "https://", 8) == 0 ? 8 : strncasecmp(e->base, "http://", 7) == 0 ? 7 : 0;
	const char *host = e->base + scheme;
	char *query = strpbrk(e->base, "?#");
	if (query != NULL) {
		if (strlen(query) >= sizeof(e->query))
			scheme = 0;
		else if (*query == '?')
			memcpy(e->query, query, strlen(query) + 1);
		*query = 0;
	}
	size_t n = strlen(e->base);
	while (n > scheme && e->base[n - 1] == '/')
		e->base[--n] = 0;
	size_t authority = strcspn(host, "/");
	for (size_t i = 0; i < authority; i++)
		if (host[i] == '@') { /* user:password@ never gets into a message */
			host += i + 1;
			authority -= i + 1;
			i = (size_t)-1;
		}
	if (scheme == 0 || authority == 0 || authority >= sizeof(e->host)) {
		prv_fault_set(why, OC_E_INVALID, "models.providers.%s.baseUrl is no http or https address",
			      e->provider);
		return false;
	}
	for (size_t i = 0; i < authority; i++)
		e->host[i] = (char)tolower((unsigned char)host[i]);
	e->host[authority] = 0;
	e->local = private_host(e->host);
	return true;
}

bool prv_endpoint_read(prv_json request, const char *default_base, prv_endpoint *ret, prv_fault *why)
{
	prv_json endpoint = prv_json_get(request, "endpoint");
	memset(ret, 0, sizeof(*ret));
	ret->headers = prv_json_get(endpoint, "headers");
	bool ok = take(prv_json_get(endpoint, "provider"), ret->provider, sizeof(ret->provider))
		  && take(prv_json_get(request, "model"), ret->model, sizeof(ret->model))
		  && take(prv_json_get(endpoint, "secret"), ret->secret, sizeof(ret->secret))
		  && take(prv_json_get(endpoint, "baseUrl"), ret->base, sizeof(ret->base));
	if (!ok) {
		prv_fault_set(why, OC_E_INVALID, "the endpoint's provider, model, baseUrl or secret is too long");
		return false;
	}
	int64_t idle = prv_json_i64(prv_json_get(endpoint, "idleMs"), 0);
	ret->idle_ms = idle > 0 ? (uint64_t)idle : 0;
	if (ret->base[0] == 0)
		memcpy(ret->base, default_base, strlen(default_base) + 1);
	return split_base(ret, why);
}

void prv_endpoint_url(const prv_endpoint *e, const char *path, prv_text *out)
{
	prv_text_z(out, e->base);
	if (!prv_str_ends(oc_str_of(e->base), path))
		prv_text_z(out, path);
	prv_text_z(out, e->query);
}

bool prv_endpoint_is(const prv_endpoint *e, const char *name)
{
	size_t n = strcspn(e->host, ":"), m = strlen(name);
	return n >= m && memcmp(e->host + n - m, name, m) == 0 && (n == m || e->host[n - m - 1] == '.');
}

bool prv_endpoint_has_header(const prv_endpoint *e, const char *name)
{
	prv_json key, value;
	size_t at = 0, n = strlen(name);
	while (prv_json_next(e->headers, &at, &key, &value))
		if (key.n == n + 2 && strncasecmp(key.p + 1, name, n) == 0)
			return true;
	return false;
}

void prv_endpoint_headers(const prv_endpoint *e, prv_text *out)
{
	prv_json key, value;
	size_t at = 0;
	bool first = true;
	prv_text_char(out, '{');
	while (prv_json_next(e->headers, &at, &key, &value)) {
		if (prv_json_kind(value) != PRV_JSON_STRING)
			continue;
		prv_text_z(out, first ? "" : ",");
		prv_json_copy(out, key);
		prv_text_char(out, ':');
		prv_json_copy(out, value);
		first = false;
	}
}

void prv_endpoint_header(const prv_endpoint *e, const char *name, const char *before, oc_str value, prv_text *out)
{
	if (prv_endpoint_has_header(e, name))
		return;
	oc_str so_far = prv_text_view(out);
	prv_text_z(out, so_far.n > 0 && so_far.p[so_far.n - 1] == '{' ? "\"" : ",\"");
	prv_text_z(out, name);
	prv_text_z(out, "\":\"");
	prv_text_z(out, before);
	prv_text_json_part(out, value);
	prv_text_char(out, '"');
}

prv_place prv_endpoint_place(const prv_endpoint *e)
{
	return (prv_place){.provider = e->provider, .host = e->host, .model = e->model, .key = {"", 0}};
}
