/* URLs: see url.h. */
#include "core/net/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"

#define BAD(err, remedy, ...) oc_fail(err, OC_E_INVALID, remedy, __VA_ARGS__)

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- Hosts ---- */

/* One part of an IPv4 address in the old notations: decimal, 0octal, 0xhex. */
static bool ipv4_part(oc_str s, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t v = 0;

	if (s.n >= 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'X')) {
		base = 16;
		s.p += 2;
		s.n -= 2;
	} else if (s.n >= 2 && s.p[0] == '0') {
		base = 8;
	}
	for (size_t i = 0; i < s.n; i++) {
		int d = hex(s.p[i]);

		if (d < 0 || (unsigned)d >= base)
			return false;
		v = v * base + (unsigned)d;
		if (v > UINT32_MAX)
			return false;
	}
	*ret = v;
	return true;
}

/* Whether the last label makes the host an IPv4 address, well formed or not (WHATWG "ends in a number"). */
static bool ends_in_number(oc_str host)
{
	size_t start = host.n;

	while (start > 0 && host.p[start - 1] != '.')
		start--;
	host.p += start;
	host.n -= start;
	if (host.n == 0)
		return false;
	if (host.n >= 2 && host.p[0] == '0' && (host.p[1] == 'x' || host.p[1] == 'X')) {
		for (size_t i = 2; i < host.n; i++) {
			if (hex(host.p[i]) < 0)
				return false;
		}
		return true;
	}
	for (size_t i = 0; i < host.n; i++) {
		if (!is_digit(host.p[i]))
			return false;
	}
	return true;
}

static bool ipv4_parse(oc_str host, char *out, size_t size)
{
	uint64_t part[4], value = 0;
	size_t n = 0;
	oc_str rest = host;

	while (rest.p != NULL) {
		oc_str label = oc_str_cut(&rest, '.');

		if (n == 4 || label.n == 0 || !ipv4_part(label, &part[n]))
			return false;
		n++;
	}
	for (size_t i = 0; i + 1 < n; i++) {
		if (part[i] > 255)
			return false;
		value |= part[i] << (8 * (3 - i));
	}
	/* The last part fills what is left. */
	if (part[n - 1] >= UINT64_C(1) << (8 * (5 - n)))
		return false;
	value |= part[n - 1];
	(void)snprintf(out, size, "%u.%u.%u.%u", (unsigned)(value >> 24 & 255), (unsigned)(value >> 16 & 255),
		       (unsigned)(value >> 8 & 255), (unsigned)(value & 255));
	return true;
}

#define HOST_MAX 254

static oc_status host_name(oc_str raw, char out[HOST_MAX], oc_err *err)
{
	size_t label = 0;

	if (raw.n > 0 && raw.p[raw.n - 1] == '.')
		raw.n--;
	if (raw.n == 0)
		return BAD(err, NULL, "the URL has no host");
	if (raw.n >= HOST_MAX)
		return BAD(err, NULL, "the URL's host is too long");
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '.') {
			if (label == 0)
				return BAD(err, NULL, "the URL's host \"%.*s\" has an empty label", OC_STR_ARG(raw));
			label = 0;
		} else if (is_alpha(c) || is_digit(c) || c == '-' || c == '_') {
			if (++label > 63)
				return BAD(err, NULL, "the URL's host has a label of more than 63 characters");
		} else if ((unsigned char)c >= 0x80) {
			return BAD(err, "write the name in its ASCII form (xn--…)", "the URL's host is not ASCII");
		} else {
			return BAD(err, NULL, "the URL's host has a character that hosts cannot have");
		}
		out[i] = lower(c);
	}
	if (label == 0)
		return BAD(err, NULL, "the URL's host \"%.*s\" has an empty label", OC_STR_ARG(raw));
	out[raw.n] = 0;
	return OC_OK;
}

/* Writes the normalised host and tells whether it is an address. */
static oc_status parse_host(oc_str raw, char out[HOST_MAX], bool *is_ip, oc_err *err)
{
	oc_status status;

	if (raw.n > 0 && raw.p[0] == '[') {
		char text[64];
		struct in6_addr addr;

		if (raw.n < 4 || raw.n - 2 >= sizeof(text) || raw.p[raw.n - 1] != ']')
			return BAD(err, NULL, "the URL's IPv6 address is not closed by ]");
		memcpy(text, raw.p + 1, raw.n - 2);
		text[raw.n - 2] = 0;
		if (strlen(text) != raw.n - 2 || inet_pton(AF_INET6, text, &addr) != 1)
			return BAD(err, NULL, "the URL's IPv6 address is malformed");
		(void)inet_ntop(AF_INET6, &addr, out, HOST_MAX);
		*is_ip = true;
		return OC_OK;
	}
	status = host_name(raw, out, err);
	if (status != OC_OK)
		return status;
	*is_ip = false;
	if (ends_in_number(oc_str_of(out))) {
		char dotted[16];

		if (!ipv4_parse(oc_str_of(out), dotted, sizeof(dotted)))
			return BAD(err, NULL, "the URL's host \"%s\" is neither a name nor an address", out);
		memcpy(out, dotted, strlen(dotted) + 1);
		*is_ip = true;
	}
	return OC_OK;
}

static oc_status parse_port(oc_str raw, uint16_t fallback, uint16_t *ret, oc_err *err)
{
	int64_t port = fallback;

	if (raw.n > 0
	    && (raw.n > 5 || !is_digit(raw.p[0]) || oc_str_i64(raw, 1, 65535, &port) != OC_OK))
		return BAD(err, "use a number from 1 to 65535", "the URL's port \"%.*s\" is not valid", OC_STR_ARG(raw));
	*ret = (uint16_t)port;
	return OC_OK;
}

/* ---- Paths ---- */

/* Whether a raw segment is "." (1) or ".." (2), also written with %2e; 0 otherwise. */
static int dots(oc_str seg)
{
	int count = 0;
	size_t i = 0;

	while (i < seg.n) {
		if (seg.p[i] == '.') {
			i++;
		} else if (seg.n - i >= 3 && seg.p[i] == '%' && seg.p[i + 1] == '2' && lower(seg.p[i + 2]) == 'e') {
			i += 3;
		} else {
			return 0;
		}
		if (++count > 2)
			return 0;
	}
	return count;
}

/* Copies a raw path, resolving dot segments; out holds at least raw.n + 2. Climbing above the root stays at the root. */
static size_t normalise_path(oc_str raw, char *out)
{
	size_t n = 0;
	size_t i = raw.n > 0 && raw.p[0] == '/' ? 1 : 0;

	for (;;) {
		size_t end = i;
		oc_str seg;
		bool last;
		int d;

		while (end < raw.n && raw.p[end] != '/')
			end++;
		seg = oc_str_make(raw.p + i, end - i);
		last = end >= raw.n;
		d = dots(seg);
		if (d == 2) {
			size_t j = n;

			while (j > 0 && out[j - 1] != '/')
				j--;
			n = j > 0 ? j - 1 : 0;
		}
		if (d == 0) {
			out[n++] = '/';
			memcpy(out + n, seg.p, seg.n);
			n += seg.n;
		} else if (last) {
			out[n++] = '/';
		}
		if (last)
			break;
		i = end + 1;
	}
	out[n] = 0;
	return n;
}

static oc_status unescape(oc_str raw, bool plus, char *out, size_t size, size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '%') {
			int hi = raw.n - i > 2 ? hex(raw.p[i + 1]) : -1;
			int lo = hi >= 0 ? hex(raw.p[i + 2]) : -1;

			if (lo < 0)
				return OC_E_INVALID;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == 0)
			return OC_E_INVALID;
		if (n + 1 >= size)
			return OC_E_LIMIT;
		out[n++] = c;
	}
	out[n] = 0;
	*ret_n = n;
	return OC_OK;
}

oc_status oc_url_path_decode(oc_str raw, char *out, size_t *ret_n)
{
	size_t n, r = 0, w = 0;

	if (raw.n == 0 || raw.p[0] != '/' || unescape(raw, false, out, raw.n + 1, &n) != OC_OK)
		return OC_E_INVALID;
	/* In place: what is written never overtakes what is read. */
	while (r < n) {
		size_t start = ++r, len;

		while (r < n && out[r] != '/') {
			if ((unsigned char)out[r] < 0x20 || out[r] == 0x7f)
				return OC_E_INVALID;
			r++;
		}
		len = r - start;
		if (len == 2 && out[start] == '.' && out[start + 1] == '.') {
			if (w == 0)
				return OC_E_INVALID;
			while (out[--w] != '/') {
			}
		} else if (len != 0 && !(len == 1 && out[start] == '.')) {
			out[w++] = '/';
			memmove(out + w, out + start, len);
			w += len;
			continue;
		}
		if (r == n)
			out[w++] = '/';
	}
	out[w] = 0;
	*ret_n = w;
	return OC_OK;
}

/* ---- Whole URLs ---- */

typedef struct parts {
	oc_str scheme, userinfo, host, port, path, query;
	bool has_query;
} parts;

static oc_status split(oc_str text, parts *p, oc_err *err)
{
	size_t i = 0, end;
	oc_str authority;

	while (i < text.n && text.p[i] != ':' && text.p[i] != '/')
		i++;
	if (i == text.n || text.p[i] != ':' || text.n - i < 3 || memcmp(text.p + i, "://", 3) != 0)
		return BAD(err, "write it like https://host/path", "not a whole URL");
	p->scheme = oc_str_make(text.p, i);
	i += 3;
	for (end = i; end < text.n && text.p[end] != '/' && text.p[end] != '?'; end++) {
	}
	authority = oc_str_make(text.p + i, end - i);
	for (i = end; i < text.n && text.p[i] != '?'; i++) {
	}
	p->path = oc_str_make(text.p + end, i - end);
	p->has_query = i < text.n;
	p->query = p->has_query ? oc_str_make(text.p + i + 1, text.n - i - 1) : OC_STR_NONE;
	p->userinfo = OC_STR_NONE;
	for (i = authority.n; i > 0; i--) {
		if (authority.p[i - 1] == '@') {
			p->userinfo = oc_str_make(authority.p, i - 1);
			authority.p += i;
			authority.n -= i;
			break;
		}
	}
	i = 0;
	if (authority.n > 0 && authority.p[0] == '[') {
		while (i < authority.n && authority.p[i] != ']')
			i++;
		if (i < authority.n)
			i++;
	} else {
		while (i < authority.n && authority.p[i] != ':')
			i++;
	}
	p->host = oc_str_make(authority.p, i);
	p->port = OC_STR_NONE;
	if (i < authority.n) {
		if (authority.p[i] != ':')
			return BAD(err, NULL, "the URL's host is malformed");
		p->port = oc_str_make(authority.p + i + 1, authority.n - i - 1);
	}
	return OC_OK;
}

/* Bytes that may not stand in a URL at all; and escapes must be whole. */
static oc_status check_bytes(oc_str text, oc_err *err)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= 0x20 || c == 0x7f || c == '\\')
			return BAD(err, "percent-encode it", "the URL has a character that is not allowed, at byte %zu", i);
		if (c == '%' && (text.n - i < 3 || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0))
			return BAD(err, "write %%25 for a percent sign", "the URL has a broken percent escape at byte %zu", i);
	}
	return OC_OK;
}

/* Appends with what browsers would escape escaped; NUL at the end. */
static char *put_encoded(char *out, const char *p, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x80 || strchr("\"<>^`{|}", c) != NULL) {
			*out++ = '%';
			*out++ = digits[c >> 4];
			*out++ = digits[c & 15];
		} else {
			*out++ = (char)c;
		}
	}
	*out = 0;
	return out;
}

static char *put(char *out, const char *p, size_t n)
{
	memcpy(out, p, n);
	out[n] = 0;
	return out + n;
}

static const struct {
	const char *name;
	uint16_t port;
	bool secure;
} schemes[] = {{"http", 80, false}, {"https", 443, true}, {"ws", 80, false}, {"wss", 443, true}};

/* Lays the normalised URL out behind the struct: first the parts, each with its NUL, then the whole. */
static oc_status build(const parts *p, size_t scheme, uint16_t port, const char *host, bool is_ip, size_t raw_n,
		       oc_url **ret)
{
	size_t host_n = strlen(host);
	/* Twice everything, every byte escaped at worst, and the fixed pieces. */
	size_t room = 2 * (3 * raw_n + host_n + 64);
	oc_url *url = oc_alloc(sizeof(*url) + room + raw_n + 2);
	char *at, *raw_path;
	size_t n;

	if (url == NULL)
		return OC_E_NOMEM;
	at = (char *)(url + 1);
	raw_path = at + room;
	url->scheme = schemes[scheme].name;
	url->secure = schemes[scheme].secure;
	url->port = port;
	url->is_ip = is_ip;
	url->has_query = p->has_query;
	url->userinfo = at;
	at = put_encoded(at, p->userinfo.p, p->userinfo.n) + 1;
	url->host = at;
	at = put(at, host, host_n) + 1;
	url->path = at;
	n = normalise_path(p->path, raw_path);
	at = put_encoded(at, raw_path, n) + 1;
	url->query = at;
	at = put_encoded(at, p->query.p, p->query.n) + 1;
	url->text = at;
	at = put(at, url->scheme, strlen(url->scheme));
	at = put(at, "://", 3);
	if (url->userinfo[0] != 0) {
		at = put(at, url->userinfo, strlen(url->userinfo));
		*at++ = '@';
	}
	if (strchr(host, ':') != NULL) {
		*at++ = '[';
		at = put(at, host, host_n);
		*at++ = ']';
	} else {
		at = put(at, host, host_n);
	}
	if (port != schemes[scheme].port)
		at += snprintf(at, 7, ":%u", (unsigned)port);
	at = put(at, url->path, strlen(url->path));
	if (url->has_query) {
		*at++ = '?';
		(void)put(at, url->query, strlen(url->query));
	}
	*ret = url;
	return OC_OK;
}

oc_status oc_url_parse(oc_str text, oc_url **ret, oc_err *err)
{
	parts p = {0};
	char host[HOST_MAX];
	bool is_ip = false;
	uint16_t port = 0;
	size_t scheme = 0;
	const size_t n_schemes = sizeof(schemes) / sizeof(schemes[0]);
	const char *hash;
	oc_status status;

	if (text.n > OC_URL_MAX)
		return oc_fail(err, OC_E_LIMIT, NULL, "the URL is longer than %d bytes", OC_URL_MAX);
	status = check_bytes(text, err);
	if (status != OC_OK)
		return status;
	hash = text.n > 0 ? memchr(text.p, '#', text.n) : NULL;
	if (hash != NULL)
		text.n = (size_t)(hash - text.p);
	status = split(text, &p, err);
	if (status != OC_OK)
		return status;
	while (scheme < n_schemes && !oc_str_ieq(p.scheme, oc_str_of(schemes[scheme].name)))
		scheme++;
	if (scheme == n_schemes)
		return BAD(err, "use http or https", "the URL's scheme \"%.*s\" is not supported",
			   OC_STR_ARG(oc_str_make(p.scheme.p, p.scheme.n > 32 ? 32 : p.scheme.n)));
	status = parse_host(p.host, host, &is_ip, err);
	if (status == OC_OK)
		status = parse_port(p.port, schemes[scheme].port, &port, err);
	if (status != OC_OK)
		return status;
	status = build(&p, scheme, port, host, is_ip, text.n, ret);
	return status == OC_OK ? OC_OK : oc_fail(err, status, NULL, "no memory for a URL");
}

/* Whether s begins with a scheme and a colon. */
static bool has_scheme(oc_str s)
{
	if (s.n == 0 || !is_alpha(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++) {
		char c = s.p[i];

		if (c == ':')
			return true;
		if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
			return false;
	}
	return false;
}

oc_status oc_url_resolve(const oc_url *base, oc_str reference, oc_url **ret, oc_err *err)
{
	oc_sbuf b;
	oc_status status;
	size_t origin = strlen(base->text) - strlen(base->path) - (base->has_query ? strlen(base->query) + 1 : 0);

	if (has_scheme(reference))
		return oc_url_parse(reference, ret, err);
	oc_sbuf_init(&b, OC_URL_MAX);
	if (reference.n >= 2 && reference.p[0] == '/' && reference.p[1] == '/') {
		oc_sbuf_printf(&b, "%s:", base->scheme);
	} else {
		oc_sbuf_add(&b, base->text, origin);
		if (reference.n == 0 || reference.p[0] == '#') {
			oc_sbuf_z(&b, base->text + origin);
		} else if (reference.p[0] == '?') {
			oc_sbuf_z(&b, base->path);
		} else if (reference.p[0] != '/') {
			const char *slash = strrchr(base->path, '/');

			oc_sbuf_add(&b, base->path, (size_t)(slash - base->path) + 1);
		}
	}
	oc_sbuf_str(&b, reference);
	if (b.error != OC_OK)
		status = oc_fail(err, b.error, NULL, "the resolved URL is longer than %d bytes", OC_URL_MAX);
	else
		status = oc_url_parse(oc_sbuf_view(&b), ret, err);
	oc_sbuf_free(&b);
	return status;
}

void oc_url_free(oc_url *url)
{
	oc_free(url);
}

bool oc_url_same_origin(const oc_url *a, const oc_url *b)
{
	return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0;
}
