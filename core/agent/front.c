#include "core/agent/front.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/data/json5.h"
#include "core/data/utf8.h"

typedef struct line {
	oc_str text; /* without indentation, comment lines and the end of line */
	oc_str raw;
	size_t indent, number;
} line;

typedef struct parser {
	oc_str rest; /* what is not read yet, up to the closing line */
	size_t number;
	line next; /* looked at, not taken */
	bool has_next;
	unsigned keys;
	oc_err *err;
} parser;

static cJSON *bad(parser *p, size_t number, const char *what)
{
	(void)oc_fail(p->err, OC_E_INVALID, NULL, "line %zu: %s", number, what);
	return NULL;
}

/* ---- Lines ---- */

static bool read_raw(parser *p, line *ret)
{
	if (p->rest.n == 0)
		return false;
	const char *end = memchr(p->rest.p, '\n', p->rest.n);
	size_t n = end != NULL ? (size_t)(end - p->rest.p) : p->rest.n, step = end != NULL ? n + 1 : n;
	oc_str raw = {p->rest.p, n};
	p->rest = (oc_str){p->rest.p + step, p->rest.n - step};
	if (raw.n > 0 && raw.p[raw.n - 1] == '\r')
		raw.n--;
	size_t indent = 0;
	while (indent < raw.n && raw.p[indent] == ' ')
		indent++;
	*ret = (line){.raw = raw, .indent = indent, .number = ++p->number, .text = oc_str_trim(raw)};
	return true;
}

/* The next line with something on it. */
static const line *peek(parser *p)
{
	while (!p->has_next && read_raw(p, &p->next))
		p->has_next = p->next.text.n > 0 && p->next.text.p[0] != '#';
	return p->has_next ? &p->next : NULL;
}

/* ---- Scalars ---- */

static cJSON *string_of(oc_str s)
{
	oc_auto_free char *text = oc_memdup(s.p, s.n);
	return text != NULL ? cJSON_CreateString(text) : NULL;
}

static cJSON *double_quoted(parser *p, oc_str s, size_t number)
{
	/* JSON's escapes are what such heads use. */
	cJSON *value = NULL;
	oc_status status = oc_json_parse(s, NULL, &value, NULL);
	if (status == OC_OK && cJSON_IsString(value))
		return value;
	cJSON_Delete(value);
	if (status == OC_E_NOMEM)
		return NULL;
	return bad(p, number, "a text in quotation marks that does not end, or has an unknown escape");
}

static cJSON *single_quoted(parser *p, oc_str s, size_t number)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_FRONT_MAX);
	size_t i = 1;
	for (; i < s.n; i++) {
		if (s.p[i] != '\'')
			oc_sbuf_char(&b, s.p[i]);
		else if (i + 1 < s.n && s.p[i + 1] == '\'')
			oc_sbuf_char(&b, s.p[i++]);
		else
			break;
	}
	bool ends = i + 1 == s.n;
	cJSON *value = ends ? string_of(oc_sbuf_view(&b)) : NULL;
	oc_sbuf_free(&b);
	return ends ? value : bad(p, number, "a text in quotation marks that does not end");
}

/* A comment begins with a blank and '#'. */
static oc_str without_comment(oc_str s)
{
	for (size_t i = 0; i + 1 < s.n; i++)
		if ((s.p[i] == ' ' || s.p[i] == '\t') && s.p[i + 1] == '#')
			return oc_str_trim((oc_str){s.p, i});
	return s;
}

/* Where the text in quotation marks at the front ends, 0 when it does not. */
static size_t quoted_length(oc_str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[0] == '"' && s.p[i] == '\\')
			i++;
		else if (s.p[i] == s.p[0] && s.p[0] == '\'' && i + 1 < s.n && s.p[i + 1] == '\'')
			i++;
		else if (s.p[i] == s.p[0])
			return i + 1;
	}
	return 0;
}

static cJSON *scalar(parser *p, oc_str s, size_t number)
{
	if (s.p[0] == '"' || s.p[0] == '\'') {
		size_t n = quoted_length(s);
		if (n > 0 && without_comment((oc_str){s.p + n - 1, s.n - n + 1}).n == 1)
			s.n = n;
		return s.p[0] == '"' ? double_quoted(p, s, number) : single_quoted(p, s, number);
	}
	s = without_comment(s);
	if (oc_str_eqz(s, "true") || oc_str_eqz(s, "false"))
		return cJSON_CreateBool(s.p[0] == 't');
	if (oc_str_eqz(s, "null") || oc_str_eqz(s, "~"))
		return cJSON_CreateNull();
	return string_of(s);
}

/* {…} or […], which may go on over lines that are indented further, or until the brackets are closed. */
static cJSON *flow(parser *p, oc_str first, size_t number)
{
	oc_sbuf b;
	oc_sbuf_init(&b, OC_FRONT_MAX);
	oc_sbuf_str(&b, first);
	cJSON *value = NULL;
	oc_err err = {0};
	static const oc_json_limits limits = {.max_bytes = OC_FRONT_MAX, .max_depth = 16};
	for (;;) {
		err = (oc_err){0};
		/* Only what ends with a bracket can be whole. */
		oc_str all = oc_str_trim(oc_sbuf_view(&b));
		bool closed = all.n > 0 && (all.p[all.n - 1] == '}' || all.p[all.n - 1] == ']');
		if (closed && oc_json5_parse(all, &limits, &value, &err) == OC_OK)
			break;
		const line *l = peek(p);
		if (l == NULL || b.error != OC_OK) {
			oc_sbuf_free(&b);
			return bad(p, number, "a value in brackets that cannot be read");
		}
		oc_sbuf_char(&b, '\n');
		oc_sbuf_str(&b, l->text);
		p->has_next = false;
	}
	oc_sbuf_free(&b);
	/* [a, b] without quotation marks is no JSON5; the reader refuses it, and plain_list takes it. */
	return value;
}

/* [a, b c, "d"] with plain words. */
static cJSON *plain_list(parser *p, oc_str s, size_t number)
{
	cJSON *list = cJSON_CreateArray();
	oc_str rest = {s.p + 1, s.n - 2};
	while (list != NULL && rest.p != NULL) {
		oc_str one = oc_str_trim(oc_str_cut(&rest, ','));
		if (one.n == 0)
			continue;
		cJSON *item = scalar(p, one, number);
		if (item == NULL || !cJSON_AddItemToArray(list, item)) {
			cJSON_Delete(item);
			cJSON_Delete(list);
			return NULL;
		}
	}
	return list;
}

static bool is_plain_list(oc_str s)
{
	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < s.n; i++)
		if (strchr("[]{}\"'", s.p[i]) != NULL)
			return false;
	return true;
}

/* "|" keeps the lines, ">" joins them; a "-" behind it drops the last newline, which is dropped here always. */
static cJSON *block(parser *p, char style, size_t parent_indent)
{
	oc_sbuf b;
	size_t indent = 0;
	oc_sbuf_init(&b, OC_FRONT_MAX);
	bool blank = false;
	for (;;) {
		oc_str before = p->rest;
		size_t number = p->number;
		line l;
		if (p->has_next) {
			l = p->next;
			p->has_next = false;
		} else if (!read_raw(p, &l)) {
			break;
		}
		if (l.text.n == 0) {
			blank = true;
			if (style == '|' && b.n > 0)
				oc_sbuf_char(&b, '\n');
			continue;
		}
		if (l.indent <= parent_indent) {
			p->rest = before; /* not ours */
			p->number = number;
			break;
		}
		indent = indent == 0 ? l.indent : indent;
		if (b.n > 0)
			oc_sbuf_char(&b, style == '|' || blank ? '\n' : ' ');
		blank = false;
		size_t skip = l.indent < indent ? l.indent : indent;
		oc_sbuf_add(&b, l.raw.p + skip, l.raw.n - skip);
	}
	cJSON *value = b.error == OC_OK ? string_of(oc_str_trim(oc_sbuf_view(&b))) : NULL;
	oc_sbuf_free(&b);
	return value;
}

/* ---- Blocks ---- */

static cJSON *value_below(parser *p, size_t indent, int depth, bool list_may_align);

/* What stands behind "key:" or "- ". indent: of the line. */
static cJSON *value_of(parser *p, oc_str s, size_t indent, size_t number, int depth, bool list_may_align)
{
	if (s.n == 0 || s.p[0] == '#')
		return value_below(p, indent, depth, list_may_align);
	if (s.p[0] == '|' || s.p[0] == '>')
		return block(p, s.p[0], indent);
	if (is_plain_list(without_comment(s)))
		return plain_list(p, without_comment(s), number);
	if (s.p[0] == '{' || s.p[0] == '[')
		return flow(p, s, number);
	if (s.p[0] == '&' || s.p[0] == '*' || s.p[0] == '!')
		return bad(p, number, "anchors, aliases and tags are not supported");
	return scalar(p, s, number);
}

/* "key: value" at the front: the key and where the value begins. */
static bool cut_key(oc_str s, oc_str *ret_key, oc_str *ret_value)
{
	size_t from = 0, n;
	if (s.n > 0 && (s.p[0] == '"' || s.p[0] == '\'')) {
		n = quoted_length(s);
		if (n < 2)
			return false;
		*ret_key = (oc_str){s.p + 1, n - 2};
		from = n;
	}
	for (size_t i = from; i < s.n; i++) {
		if (s.p[i] != ':' || (i + 1 < s.n && s.p[i + 1] != ' ' && s.p[i + 1] != '\t'))
			continue;
		if (from == 0)
			*ret_key = oc_str_trim((oc_str){s.p, i});
		*ret_value = oc_str_trim((oc_str){s.p + i + 1, s.n - i - 1});
		return ret_key->n > 0;
	}
	return false;
}

static cJSON *list_at(parser *p, size_t indent, int depth)
{
	cJSON *list = cJSON_CreateArray();
	for (const line *l; list != NULL && (l = peek(p)) != NULL && l->indent == indent && l->text.p[0] == '-' &&
			    (l->text.n == 1 || l->text.p[1] == ' ');) {
		oc_str s = oc_str_trim((oc_str){l->text.p + 1, l->text.n - 1});
		size_t number = l->number;
		p->has_next = false;
		cJSON *item = ++p->keys > OC_FRONT_KEYS_MAX ? bad(p, number, "there are too many entries")
							    : value_of(p, s, indent, number, depth + 1, false);
		if (item == NULL || !cJSON_AddItemToArray(list, item)) {
			cJSON_Delete(item);
			cJSON_Delete(list);
			return NULL;
		}
	}
	return list;
}

static cJSON *mapping_at(parser *p, size_t indent, int depth)
{
	cJSON *map = cJSON_CreateObject();
	for (const line *l; map != NULL && (l = peek(p)) != NULL && l->indent == indent;) {
		oc_str key, value;
		size_t number = l->number;
		cJSON *item = NULL;
		bool ok = cut_key(l->text, &key, &value) && key.n < 256;
		p->has_next = false;
		if (!ok)
			(void)bad(p, number, "neither \"key: value\" nor a list");
		else if (++p->keys > OC_FRONT_KEYS_MAX)
			(void)bad(p, number, "there are too many keys");
		else
			item = value_of(p, value, indent, number, depth + 1, true);
		oc_auto_free char *name = item != NULL ? oc_memdup(key.p, key.n) : NULL;
		if (item != NULL && name == NULL) {
			cJSON_Delete(item);
			item = NULL;
		}
		if (item == NULL) {
			cJSON_Delete(map);
			return NULL;
		}
		(void)oc_json_set(map, name, item); /* the last of two with one name counts */
	}
	return map;
}

/* A list or mapping on the lines below; nothing there is null. A list may stand as far left as its key. */
static cJSON *value_below(parser *p, size_t indent, int depth, bool list_may_align)
{
	const line *l = peek(p);
	bool is_list = l != NULL && l->text.p[0] == '-' && (l->text.n == 1 || l->text.p[1] == ' ');
	if (l == NULL || l->indent < indent || (l->indent == indent && !(is_list && list_may_align)))
		return cJSON_CreateNull();
	if (depth > OC_FRONT_DEPTH_MAX)
		return bad(p, l->number, "it is nested too deeply");
	if (is_list)
		return list_at(p, l->indent, depth);
	if (l->text.p[0] == '{' || l->text.p[0] == '[') {
		line first = *l;
		p->has_next = false;
		return flow(p, first.text, first.number);
	}
	return mapping_at(p, l->indent, depth);
}

/* ---- The whole ---- */

/* The length of a line of "---" at the front with its newline, 0 when there is none. */
static size_t fence(oc_str s)
{
	const char *end = memchr(s.p, '\n', s.n);
	size_t n = end != NULL ? (size_t)(end - s.p) : s.n, whole = end != NULL ? n + 1 : n;
	while (n > 0 && (s.p[n - 1] == ' ' || s.p[n - 1] == '\r' || s.p[n - 1] == '\t'))
		n--;
	return n == 3 && memcmp(s.p, "---", 3) == 0 ? whole : 0;
}

oc_status oc_front_parse(oc_str text, cJSON **ret, size_t *ret_body, oc_err *err)
{
	size_t from = 0;
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		from = 3;
	size_t head = fence((oc_str){text.p + from, text.n - from});
	if (head == 0)
		return oc_fail(err, OC_E_NOT_FOUND, "begin the file with a line of ---, \"name:\" and \"description:\"",
			       "there is no head");
	size_t begin = from + head, at = begin;
	while (at < text.n && fence((oc_str){text.p + at, text.n - at}) == 0) {
		const char *end = memchr(text.p + at, '\n', text.n - at);
		at = end != NULL ? (size_t)(end - text.p) + 1 : text.n;
		if (at - begin > OC_FRONT_MAX)
			return oc_fail(err, OC_E_LIMIT, NULL, "the head is longer than %d bytes", OC_FRONT_MAX);
	}
	if (at >= text.n)
		return oc_fail(err, OC_E_INVALID, "close it with a second line of ---", "the head does not end");
	oc_str body = {text.p + begin, at - begin};
	if (!oc_utf8_valid(body) || memchr(body.p, 0, body.n) != NULL || memchr(body.p, '\t', body.n) != NULL)
		return oc_fail(err, OC_E_INVALID, "write it in UTF-8 and indent with blanks",
			       "the head has tabs, or bytes that are no text");
	oc_err why = {0};
	parser p = {.rest = body, .number = 1, .err = &why};
	const line *first = peek(&p);
	cJSON *tree = first == NULL ? cJSON_CreateObject() : mapping_at(&p, first->indent, 0);
	const line *left = tree != NULL ? peek(&p) : NULL;
	if (left != NULL) {
		(void)bad(&p, left->number, "it is indented differently from what it belongs to");
		cJSON_Delete(tree);
		tree = NULL;
	}
	if (tree == NULL) {
		if (why.code == OC_OK)
			(void)oc_fail(&why, OC_E_NOMEM, NULL, "cannot read the head");
		if (err != NULL)
			*err = why;
		return why.code;
	}
	*ret = tree;
	if (ret_body != NULL)
		*ret_body = at + fence((oc_str){text.p + at, text.n - at});
	return OC_OK;
}
