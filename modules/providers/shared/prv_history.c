/* See prv_history.h. */
#include "prv_history.h"

#include <stdlib.h>
#include <string.h>

bool prv_history_load(prv_json messages, prv_history *ret)
{
	prv_json key, value, *list = NULL;
	size_t at = 0, n = 0, cap = 0;
	while (prv_json_next(messages, &at, &key, &value)) {
		if (n == cap) {
			cap = cap == 0 ? 32 : cap * 2;
			prv_json *more = realloc(list, cap * sizeof(*list));
			if (more == NULL) {
				free(list);
				return false;
			}
			list = more;
		}
		list[n++] = value;
	}
	*ret = (prv_history){list, n};
	return true;
}

void prv_history_free(prv_history *h)
{
	free(h->messages);
	*h = (prv_history){NULL, 0};
}

int prv_history_role(const prv_history *h, size_t index)
{
	static const struct {
		const char *name;
		int role;
	} roles[] = {{"user", PRV_ROLE_USER},
		     {"assistant", PRV_ROLE_ASSISTANT},
		     {"tool", PRV_ROLE_TOOL},
		     {"system", PRV_ROLE_SYSTEM}};
	prv_json role = index < h->n ? prv_json_get(h->messages[index], "role") : (prv_json){"", 0};
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (prv_json_is(role, roles[i].name))
			return roles[i].role;
	return PRV_ROLE_OTHER;
}

prv_json prv_history_content(const prv_history *h, size_t index)
{
	return prv_json_get(h->messages[index], "content");
}

prv_json prv_history_result(const prv_history *h, size_t index, prv_json id)
{
	for (size_t i = index + 1; i < h->n; i++) {
		int role = prv_history_role(h, i);
		if (role == PRV_ROLE_ASSISTANT)
			break;
		if (role == PRV_ROLE_TOOL && prv_json_same(prv_json_get(h->messages[i], "toolCallId"), id))
			return h->messages[i];
	}
	return (prv_json){"", 0};
}

bool prv_history_part(prv_json content, size_t *at, prv_json *part)
{
	prv_json key;
	if (prv_json_kind(content) == PRV_JSON_STRING) {
		*part = content;
		return (*at)++ == 0;
	}
	return prv_json_kind(content) == PRV_JSON_ARRAY && prv_json_next(content, at, &key, part);
}

bool prv_part_is(prv_json part, const char *type)
{
	return prv_json_is(prv_json_get(part, "type"), type);
}

prv_json prv_part_text(prv_json part)
{
	if (prv_json_kind(part) == PRV_JSON_STRING)
		return part;
	return prv_part_is(part, "text") ? prv_json_get(part, "text") : (prv_json){"", 0};
}

static bool id_keeps(oc_str id, int rule)
{
	if (id.n == 0 || (rule == PRV_ID_FORTY && id.n > 40) || (rule == PRV_ID_NINE && id.n != 9) || id.n > 128)
		return false;
	for (size_t i = 0; rule != PRV_ID_FORTY && i < id.n; i++) {
		char c = id.p[i];
		bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!word && (rule == PRV_ID_NINE || (c != '_' && c != '-')))
			return false;
	}
	return true;
}

void prv_history_id(prv_text *out, prv_json id, int rule)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char *text = prv_json_dup(id);
	oc_str s = oc_str_of(text);
	if (text == NULL)
		out->failed = true;
	if (id_keeps(s, rule)) {
		prv_text_json(out, s);
		free(text);
		return;
	}
	uint64_t hash = prv_str_hash(PRV_HASH_START, s);
	free(text);
	prv_text_z(out, rule == PRV_ID_NINE ? "\"" : "\"call_");
	for (int i = 0; i < (rule == PRV_ID_NINE ? 9 : 12); i++, hash /= 36)
		prv_text_char(out, digits[hash % 36]);
	prv_text_char(out, '"');
}
