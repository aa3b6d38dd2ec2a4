#include "core/agent/session.h"

#include <stdio.h>
#include <string.h>

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '.' || c == '@' || c == '+' || c == '=' || (unsigned char)c >= 0x80;
}

/* ---- Writing ---- */

/* A key while it is written: without memory of its own, so that naming a session can only fail for the name. */
typedef struct writer {
	char text[OC_SESSION_KEY_MAX];
	size_t n;
	bool full;
} writer;

static void add_char(writer *w, char c)
{
	if (w->n + 1 >= sizeof w->text)
		w->full = true;
	else
		w->text[w->n++] = c;
}

static void add_text(writer *w, const char *text)
{
	for (; *text != 0; text++)
		add_char(w, *text);
}

static void add_hex(writer *w, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	add_char(w, '%');
	add_char(w, digits[(unsigned char)c >> 4]);
	add_char(w, digits[(unsigned char)c & 15]);
}

/* Everything that has a meaning in keys, URLs or terminals becomes %XX. */
static void add_escaped(writer *w, const char *part)
{
	for (const char *p = part; *p != 0; p++) {
		if (is_plain(*p))
			add_char(w, *p);
		else
			add_hex(w, *p);
	}
}

/* Names are written by people and by us ("api:7f"); colons are theirs to use. */
static void add_name(writer *w, const char *name)
{
	for (const char *p = name; *p != 0; p++) {
		if (is_plain(*p) || *p == ':' || *p == '/')
			add_char(w, *p);
		else
			add_hex(w, *p);
	}
}

/* Words that begin another kind of key: a session's own name cannot begin with them. */
static bool is_reserved(const char *name)
{
	return strncmp(name, "channel:", 8) == 0 || strncmp(name, "dm:", 3) == 0;
}

static bool is_network_kind(const char *kind)
{
	return strcmp(kind, "dm") == 0 || strcmp(kind, "group") == 0 || strcmp(kind, "channel") == 0 ||
	       strcmp(kind, "thread") == 0;
}

oc_status oc_session_key_build(const oc_session_key *k, char out[OC_SESSION_KEY_MAX], oc_err *err)
{
	writer w = {.n = 0};
	bool named = strcmp(k->kind, "main") == 0 || strcmp(k->kind, "named") == 0 || strcmp(k->kind, "subagent") == 0;
	bool thread = strcmp(k->kind, "thread") == 0;
	bool dm = strcmp(k->kind, "dm") == 0;
	bool complete = k->agent[0] != 0 && (named ? k->name[0] != 0 && !is_reserved(k->name) : k->peer[0] != 0) &&
			(named || is_network_kind(k->kind)) && (!thread || k->thread[0] != 0) &&
			(named || dm || (k->channel[0] != 0 && k->account[0] != 0)) &&
			(k->account[0] == 0 || k->channel[0] != 0);
	if (!complete)
		return oc_fail(err, OC_E_INVALID, NULL, "a session of kind '%s' needs more parts", k->kind);
	add_text(&w, "agent:");
	add_escaped(&w, k->agent);
	add_char(&w, ':');
	if (named) {
		add_name(&w, k->name);
	} else {
		if (k->channel[0] != 0) {
			add_text(&w, "channel:");
			add_escaped(&w, k->channel);
			add_char(&w, ':');
		}
		if (k->account[0] != 0) {
			add_text(&w, "account:");
			add_escaped(&w, k->account);
			add_char(&w, ':');
		}
		add_text(&w, k->kind);
		add_char(&w, ':');
		add_escaped(&w, k->peer);
		if (thread) {
			add_char(&w, '/');
			add_escaped(&w, k->thread);
		}
	}
	if (w.full)
		return oc_fail(err, OC_E_LIMIT, NULL, "the session's key would be too long");
	memcpy(out, w.text, w.n);
	out[w.n] = 0;
	return OC_OK;
}

/* ---- Reading ---- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool unescape(oc_str part, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < part.n; i++) {
		char c = part.p[i];
		if (c == '%') {
			if (i + 2 >= part.n || hex(part.p[i + 1]) < 0 || hex(part.p[i + 2]) < 0)
				return false;
			c = (char)(hex(part.p[i + 1]) * 16 + hex(part.p[i + 2]));
			i += 2;
		}
		if (c == 0 || n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	return n > 0;
}

/* Takes "word:value:" off the front. */
static bool take(oc_str *rest, const char *word, char *out, size_t size)
{
	oc_str copy = *rest;
	if (!oc_str_eqz(oc_str_cut(&copy, ':'), word) || copy.p == NULL)
		return false;
	oc_str value = oc_str_cut(&copy, ':');
	if (copy.p == NULL || !unescape(value, out, size))
		return false;
	*rest = copy;
	return true;
}

static bool parse_network(oc_str rest, oc_session_key *k)
{
	if (oc_str_starts(rest, "channel:") && !take(&rest, "channel", k->channel, sizeof k->channel))
		return false;
	if (k->channel[0] != 0 && oc_str_starts(rest, "account:") &&
	    !take(&rest, "account", k->account, sizeof k->account))
		return false;
	oc_str kind = oc_str_cut(&rest, ':');
	if (rest.p == NULL || kind.n >= sizeof k->kind)
		return false;
	memcpy(k->kind, kind.p, kind.n);
	k->kind[kind.n] = 0;
	if (!is_network_kind(k->kind) || memchr(rest.p, ':', rest.n) != NULL)
		return false;
	oc_str thread = rest, peer = oc_str_cut(&thread, '/');
	if (thread.p != NULL && !unescape(thread, k->thread, sizeof k->thread))
		return false;
	return unescape(peer, k->peer, sizeof k->peer);
}

static bool parse(oc_str text, oc_session_key *k)
{
	oc_str rest = text;
	if (text.n >= OC_SESSION_KEY_MAX || memchr(text.p, 0, text.n) != NULL ||
	    !oc_str_eqz(oc_str_cut(&rest, ':'), "agent") || rest.p == NULL)
		return false;
	oc_str agent = oc_str_cut(&rest, ':');
	if (rest.p == NULL || rest.n == 0 || !unescape(agent, k->agent, sizeof k->agent))
		return false;
	if (oc_str_starts(rest, "channel:") || oc_str_starts(rest, "dm:"))
		return parse_network(rest, k);
	snprintf(k->kind, sizeof k->kind, "%s",
		 oc_str_eqz(rest, "main") ? "main" : oc_str_starts(rest, "subagent:") ? "subagent" : "named");
	return unescape(rest, k->name, sizeof k->name);
}

oc_status oc_session_key_parse(oc_str text, oc_session_key *ret, oc_err *err)
{
	oc_session_key k = {0};
	char again[OC_SESSION_KEY_MAX];
	/* One spelling only: what is built from the parts must be the text itself. */
	if (!parse(text, &k) || oc_session_key_build(&k, again, NULL) != OC_OK || !oc_str_eqz(text, again))
		return oc_fail(err, OC_E_INVALID, "see `openclaw sessions list` for the keys that exist",
			       "'%.*s' is not a session key", (int)(text.n > 100 ? 100 : text.n), text.p);
	*ret = k;
	return OC_OK;
}

oc_status oc_session_key_resolve(oc_str text, const char *agent, const char *main_key, char out[OC_SESSION_KEY_MAX],
				 oc_err *err)
{
	oc_session_key k = {0};
	if (oc_str_starts(text, "agent:")) {
		oc_status status = oc_session_key_parse(text, &k, err);
		if (status == OC_OK) {
			memcpy(out, text.p, text.n);
			out[text.n] = 0;
		}
		return status;
	}
	if (main_key == NULL || main_key[0] == 0)
		main_key = "main";
	oc_str name = text.n == 0 || oc_str_eqz(text, "main") ? oc_str_of(main_key) : text;
	if (name.n >= sizeof k.name || memchr(name.p, 0, name.n) != NULL)
		return oc_fail(err, OC_E_LIMIT, "use a name of at most 256 bytes", "the session's name is too long");
	oc_agent_id_normalize(oc_str_of(agent), k.agent);
	memcpy(k.name, name.p, name.n);
	memcpy(k.kind, "named", 6);
	return oc_session_key_build(&k, out, err);
}

void oc_agent_id_normalize(oc_str id, char out[65])
{
	size_t n = 0;
	for (size_t i = 0; i < id.n && n < 64; i++) {
		char c = id.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		bool keep = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (keep)
			out[n++] = c;
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = 0;
	if (n == 0)
		memcpy(out, "main", 5);
}
