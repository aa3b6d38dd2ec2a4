/* The .env file of the state folder: NAME=value lines as shells, dotenv and systemd's EnvironmentFile= read them. */
#include <string.h>

#include "core/base/mem.h"
#include "core/config/internal.h"
#include "core/data/utf8.h"

#define MAX_VARS 1000u
#define MAX_BAD 20u

static bool name_char(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static bool is_name(oc_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!name_char(s.p[i], i == 0))
			return false;
	return s.n > 0;
}

/* The value behind the '=' of a line: 'as it is', "with \n and \"", or plain up to a blank and '#'. May reach over lines
 * when it is quoted. False when a quote does not end: then only this line is lost, not the rest of the file. */
static bool read_value(oc_str *rest, oc_sbuf *out)
{
	oc_str s = *rest;
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	char quote = s.n > 0 && (s.p[0] == '"' || s.p[0] == '\'') ? s.p[0] : 0;
	size_t i = quote != 0;
	bool closed = quote == 0;
	for (; i < s.n && !(quote == 0 && s.p[i] == '\n'); i++) {
		char c = s.p[i];
		if (quote != 0 && c == quote) {
			closed = true;
			break;
		}
		if (quote == 0 && c == '#' && (i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
			break;
		if (quote == '"' && c == '\\' && i + 1 < s.n) {
			c = s.p[++i];
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
		}
		oc_sbuf_char(out, c);
	}
	if (!closed)
		i = 0;
	const char *end = i < s.n ? memchr(s.p + i, '\n', s.n - i) : NULL;
	size_t used = end == NULL ? s.n : (size_t)(end - s.p);
	*rest = (oc_str){s.p + used, s.n - used};
	while (quote == 0 && out->n > 0 && strchr(" \t\r", out->p[out->n - 1]) != NULL)
		out->p[--out->n] = 0;
	return closed;
}

/* Of two lines with one name the later counts, as it does for systemd. */
static oc_status set_var(oc_config *c, oc_str name, oc_str value)
{
	for (size_t i = 0; i < c->n_vars; i++) {
		if (!oc_str_eqz(name, c->vars[i].name))
			continue;
		char *copy = oc_memdup(value.p, value.n);
		if (copy == NULL)
			return OC_E_NOMEM;
		oc_wipe(c->vars[i].value, strlen(c->vars[i].value));
		oc_free(c->vars[i].value);
		c->vars[i].value = copy;
		return OC_OK;
	}
	return oc_config_add_var(c, name, value);
}

/* One line, or more when a quoted value goes on; *rest is behind it afterwards. */
static oc_status read_entry(oc_config *c, oc_str *rest, bool *ret_bad)
{
	const char *end = memchr(rest->p, '\n', rest->n), *equals;
	oc_str whole = {rest->p, end == NULL ? rest->n : (size_t)(end - rest->p)}, trimmed = oc_str_trim(whole), name = OC_STR_NONE;
	oc_sbuf value;
	oc_status status = OC_OK;
	*ret_bad = false;
	*rest = (oc_str){rest->p + whole.n, rest->n - whole.n};
	if (trimmed.n == 0 || trimmed.p[0] == '#')
		return OC_OK;
	if ((equals = memchr(whole.p, '=', whole.n)) != NULL)
		name = oc_str_trim((oc_str){whole.p, (size_t)(equals - whole.p)});
	if (oc_str_starts(name, "export "))
		name = oc_str_trim((oc_str){name.p + 7, name.n - 7});
	if (!is_name(name)) {
		*ret_bad = true;
		return OC_OK;
	}
	oc_sbuf_init(&value, OC_CONFIG_MAX_VALUE);
	size_t used = (size_t)(equals + 1 - whole.p);
	*rest = (oc_str){equals + 1, rest->n + whole.n - used};
	bool closed = read_value(rest, &value);
	oc_str v = oc_sbuf_view(&value);
	if (value.error == OC_E_NOMEM)
		status = OC_E_NOMEM;
	else if (closed && value.error == OC_OK && memchr(v.p, 0, v.n) == NULL && oc_utf8_valid(v))
		status = set_var(c, name, v);
	else
		*ret_bad = true;
	oc_wipe(value.p, value.cap);
	oc_sbuf_free(&value);
	return status;
}

oc_status oc_config_read_dotenv(oc_config *c, const char *path, oc_str text)
{
	oc_status status = OC_OK;
	oc_str rest = text;
	unsigned line = 1, n_bad = 0;
	if (oc_str_starts(rest, "\xEF\xBB\xBF")) /* some editors put it there */
		rest = (oc_str){rest.p + 3, rest.n - 3};
	while (rest.n > 0 && status == OC_OK) {
		const char *begin = rest.p;
		bool bad;
		if (c->n_vars >= MAX_VARS || n_bad >= MAX_BAD)
			return oc_config_add_problem(c, OC_CONFIG_WARNING, "", "Keep in it what the configuration needs.",
						     "%s has too many %s: nothing is read from line %u on", path,
						     n_bad >= MAX_BAD ? "lines that are not understood" : "variables", line);
		status = read_entry(c, &rest, &bad);
		if (bad) {
			n_bad++;
			status = oc_config_add_problem(c, OC_CONFIG_WARNING, "", "Write NAME=value or NAME=\"value\".",
						       "%s, line %u is not understood and was left out", path, line);
		}
		for (const char *p = begin; p < rest.p; p++)
			line += *p == '\n';
		if (rest.n > 0) { /* at a line end */
			rest = (oc_str){rest.p + 1, rest.n - 1};
			line++;
		}
	}
	return status;
}
