#include "core/data/jpath.h"

#include <string.h>

#include "core/data/utf8.h"

/* Characters that a name may have without being quoted when it is printed. */
static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80
	       || (c != 0 && strchr("_$-/:@+*<>", c) != NULL);
}

void oc_jpath_begin(oc_jpath *it, const char *path)
{
	*it = (oc_jpath){.rest = path, .first = true};
}

/* Copies a quoted name; *at is behind the opening quote and ends behind the closing one. */
static oc_status quoted(oc_jpath *it, const char **at)
{
	size_t n = 0;
	const char *p = *at;
	for (; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (*p == 0 || n + 1 >= sizeof it->name)
			return OC_E_INVALID;
		it->name[n++] = *p;
	}
	it->name[n] = 0;
	*at = p + 1;
	return OC_OK;
}

static oc_status bracket(oc_jpath *it, const char *p)
{
	if (*p == '"') {
		p++;
		if (quoted(it, &p) != OC_OK || *p != ']')
			return OC_E_INVALID;
	} else {
		size_t value = 0;
		const char *digits = p;
		for (; *p >= '0' && *p <= '9'; p++) {
			if (p - digits >= 9)
				return OC_E_INVALID;
			value = value * 10 + (size_t)(*p - '0');
		}
		if (p == digits || *p != ']')
			return OC_E_INVALID;
		it->index = value;
		it->is_index = true;
		it->name[0] = 0;
	}
	it->rest = p + 1;
	return OC_OK;
}

oc_status oc_jpath_next(oc_jpath *it)
{
	const char *p = it->rest;
	if (*p == 0)
		return OC_E_NOT_FOUND;
	bool first = it->first;
	it->first = false;
	it->is_index = false;
	if (*p == '[')
		return bracket(it, p + 1);
	if (!first && *p++ != '.')
		return OC_E_INVALID;
	/* Between dots any character stands for itself, so that ids such as "+49…" need no quotes. */
	size_t n = strcspn(p, ".[");
	if (n == 0 || n >= sizeof it->name || memchr(p, '"', n) != NULL || memchr(p, ']', n) != NULL)
		return OC_E_INVALID;
	memcpy(it->name, p, n);
	it->name[n] = 0;
	it->rest = p + n;
	return OC_OK;
}

oc_status oc_jpath_check(const char *path, oc_err *err)
{
	static const char remedy[] = "Write names joined by dots, [n] for an index and [\"…\"] for a name with dots: "
				     "a.b[0][\"c.d\"].";
	if (*path == 0)
		return oc_fail(err, OC_E_INVALID, remedy, "the path is empty");
	if (!oc_utf8_valid((oc_str){path, strlen(path)}))
		return oc_fail(err, OC_E_INVALID, remedy, "the path is not valid UTF-8");
	oc_jpath it;
	oc_jpath_begin(&it, path);
	const char *before = path;
	oc_status status;
	while ((status = oc_jpath_next(&it)) == OC_OK)
		before = it.rest;
	if (status == OC_E_NOT_FOUND)
		return OC_OK;
	return oc_fail(err, OC_E_INVALID, remedy, "the path \"%s\" is malformed at \"%s\"", path, before);
}

void oc_jpath_add_name(oc_sbuf *path, const char *name)
{
	bool simple = name[0] != 0;
	for (const char *p = name; simple && *p != 0; p++)
		simple = plain(*p);
	if (simple) {
		if (path->n > 0)
			oc_sbuf_char(path, '.');
		oc_sbuf_z(path, name);
		return;
	}
	oc_sbuf_z(path, "[\"");
	for (const char *p = name; *p != 0; p++) {
		if (*p == '"' || *p == '\\')
			oc_sbuf_char(path, '\\');
		oc_sbuf_char(path, *p);
	}
	oc_sbuf_z(path, "\"]");
}

void oc_jpath_add_index(oc_sbuf *path, size_t index)
{
	oc_sbuf_printf(path, "[%zu]", index);
}

bool oc_jpath_under(const char *path, const char *prefix)
{
	oc_jpath a, b;
	oc_jpath_begin(&a, path);
	oc_jpath_begin(&b, prefix);
	for (;;) {
		oc_status end = oc_jpath_next(&b);
		if (end != OC_OK)
			return end == OC_E_NOT_FOUND;
		if (oc_jpath_next(&a) != OC_OK || a.is_index != b.is_index || (a.is_index && a.index != b.index)
		    || strcmp(a.name, b.name) != 0)
			return false;
	}
}
