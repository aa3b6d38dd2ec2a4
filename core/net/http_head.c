/* The head of a response from libcurl, line by line. */
#include <string.h>

#include "core/net/client_inner.h"

void oc_reply_clear(oc_reply *reply)
{
	oc_sbuf_clear(&reply->names);
	reply->status = 0;
	reply->complete = false;
}

/* "HTTP/2 200", "HTTP/1.1 404 Not Found". */
static int status_of(oc_str line)
{
	size_t i = 5;
	int status = 0, digits = 0;

	while (i < line.n && line.p[i] != ' ')
		i++;
	while (i < line.n && line.p[i] == ' ')
		i++;
	for (; i < line.n && digits < 3 && line.p[i] >= '0' && line.p[i] <= '9'; i++, digits++)
		status = status * 10 + (line.p[i] - '0');
	return digits == 3 ? status : 0;
}

bool oc_reply_line(oc_reply *reply, oc_str line)
{
	const char *colon;
	oc_str name, value;

	while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	if (line.n == 0) {
		reply->complete = reply->status >= 200;
		return reply->complete;
	}
	if (reply->complete)
		return false; /* a trailer */
	if (oc_str_starts(line, "HTTP/")) {
		oc_reply_clear(reply); /* the one before was an interim answer */
		reply->status = status_of(line);
		return false;
	}
	colon = memchr(line.p, ':', line.n);
	if (colon == NULL || colon == line.p)
		return false;
	name = oc_str_make(line.p, (size_t)(colon - line.p));
	value = oc_str_trim(oc_str_make(colon + 1, line.n - name.n - 1));
	for (size_t i = 0; i < name.n; i++)
		oc_sbuf_char(&reply->names, name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 32) : name.p[i]);
	oc_sbuf_char(&reply->names, 0);
	oc_sbuf_str(&reply->names, value);
	oc_sbuf_char(&reply->names, 0);
	return false;
}

/* Steps through the pairs; false at the end. */
static bool next(const oc_reply *reply, size_t *at, oc_str *name, oc_str *value)
{
	const char *p = reply->names.p;

	if (*at >= reply->names.n)
		return false;
	*name = oc_str_of(p + *at);
	*at += name->n + 1;
	*value = *at < reply->names.n ? oc_str_of(p + *at) : OC_STR_NONE;
	*at += value->n + 1;
	return true;
}

oc_str oc_reply_get(const oc_reply *reply, const char *lower_name)
{
	oc_str name, value;

	for (size_t at = 0; next(reply, &at, &name, &value);) {
		if (oc_str_eqz(name, lower_name))
			return value;
	}
	return OC_STR_NONE;
}

void oc_reply_json(const oc_reply *reply, oc_sbuf *out)
{
	oc_str name, value, other, other_value;
	oc_sbuf joined;
	bool first = true;

	oc_sbuf_init(&joined, reply->names.max);
	oc_sbuf_char(out, '{');
	for (size_t at = 0; next(reply, &at, &name, &value);) {
		bool seen = false;

		for (size_t before = 0; !seen && next(reply, &before, &other, &other_value) && other.p < name.p;)
			seen = oc_str_eq(other, name);
		if (seen)
			continue;
		oc_sbuf_clear(&joined);
		oc_sbuf_str(&joined, value);
		for (size_t after = at; next(reply, &after, &other, &other_value);) {
			if (!oc_str_eq(other, name))
				continue;
			/* Cookies hold commas of their own. */
			oc_sbuf_z(&joined, oc_str_eqz(name, "set-cookie") ? "\n" : ", ");
			oc_sbuf_str(&joined, other_value);
		}
		if (!first)
			oc_sbuf_char(out, ',');
		first = false;
		oc_sbuf_json(out, name);
		oc_sbuf_char(out, ':');
		oc_sbuf_json(out, oc_sbuf_view(&joined));
	}
	oc_sbuf_char(out, '}');
	oc_sbuf_free(&joined);
}

int64_t oc_reply_retry_after(const oc_reply *reply, const oc_curl *curl, int64_t wall_s)
{
	oc_str value = oc_reply_get(reply, "retry-after-ms");
	int64_t number;
	time_t date;

	if (value.n > 0 && oc_str_i64(value, 0, INT64_C(1) << 40, &number) == OC_OK)
		return number;
	value = oc_reply_get(reply, "retry-after");
	if (value.n == 0)
		return -1;
	if (oc_str_i64(value, 0, INT64_C(1) << 30, &number) == OC_OK)
		return number * 1000;
	date = curl->getdate(value.p, NULL);
	if (date == (time_t)-1)
		return -1;
	return date > wall_s ? (date - wall_s) * 1000 : 0;
}
