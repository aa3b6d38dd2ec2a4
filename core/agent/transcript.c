#include "core/agent/transcript.h"

#include <string.h>

#include "core/agent/internal.h"
#include "core/base/mem.h"
#include "core/data/json.h"

/* What the parts are called: X(ours, theirs) for a part's type, and for its members. */
typedef struct rename {
	const char *type, *member, *theirs;
} rename_row;

static const rename_row renames[] = {
	{"tool_call", NULL, "toolCall"},
	{"thinking", "text", "thinking"},
	{"thinking", "signature", "thinkingSignature"},
	{"image", "mime", "mimeType"},
};

static bool rename_member(cJSON *part, const char *from, const char *to)
{
	cJSON *value = cJSON_DetachItemFromObjectCaseSensitive(part, from);
	return value == NULL || oc_json_set(part, to, value);
}

static bool translate(cJSON *part, bool out)
{
	for (size_t i = 0; i < sizeof renames / sizeof *renames; i++) {
		const rename_row *r = &renames[i];
		const char *type = oc_json_str(part, "type", "");
		if (r->member == NULL) {
			if (strcmp(type, out ? r->type : r->theirs) == 0 && !oc_json_set_str(part, "type", out ? r->theirs : r->type))
				return false;
		} else if (strcmp(type, r->type) == 0 && !rename_member(part, out ? r->member : r->theirs, out ? r->theirs : r->member)) {
			return false;
		}
	}
	return true;
}

static cJSON *parts(const cJSON *content, bool out)
{
	cJSON *copy = cJSON_IsArray(content) ? cJSON_Duplicate(content, true) : cJSON_CreateArray(), *part;
	bool ok = copy != NULL;
	if (ok && cJSON_IsString(content)) {
		part = cJSON_CreateObject();
		ok = part != NULL && cJSON_AddItemToArray(copy, part) && oc_json_set_str(part, "type", "text") &&
		     oc_json_set_str(part, "text", content->valuestring);
		return ok ? copy : (cJSON_Delete(copy), NULL);
	}
	cJSON_ArrayForEach(part, copy) ok = ok && (!cJSON_IsObject(part) || translate(part, out));
	if (ok)
		return copy;
	cJSON_Delete(copy);
	return NULL;
}

cJSON *oc_transcript_message(const char *role, const cJSON *content, int64_t ts_ms)
{
	cJSON *m = cJSON_CreateObject(), *list = parts(content, true);
	bool ok = m != NULL && list != NULL && oc_json_set_str(m, "role", strcmp(role, "tool") == 0 ? "toolResult" : role);
	if (ok) {
		ok = oc_json_set(m, "content", list);
		list = NULL;
	}
	if (ok && ts_ms > 0)
		ok = oc_json_set_i64(m, "timestamp", ts_ms);
	if (ok)
		return m;
	cJSON_Delete(list);
	cJSON_Delete(m);
	return NULL;
}

/* One of the store's messages as a message of the original: its members and no others. */
static cJSON *from_store(const cJSON *m)
{
	const char *role = oc_json_str(m, "role", ""), *ref = oc_json_str(m, "model", ""), *slash = strchr(ref, '/');
	cJSON *o = oc_transcript_message(role, oc_json_get(m, "content"), oc_json_i64(m, "ts", 0));
	if (slash != NULL) {
		oc_auto_free char *provider = oc_memdup(ref, (size_t)(slash - ref));
		oc_json_opt(o, "provider", provider);
		oc_json_opt(o, "model", slash + 1);
	}
	if (strcmp(role, "tool") == 0) {
		oc_json_opt(o, "toolCallId", oc_json_str(m, "toolCallId", NULL));
		oc_json_opt(o, "toolName", oc_json_str(m, "toolName", NULL));
		(void)oc_json_set_bool(o, "isError", oc_json_bool(m, "isError", false));
	}
	return o;
}

cJSON *oc_transcript_list(cJSON *messages)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *m;
	bool ok = list != NULL;
	cJSON_ArrayForEach(m, messages)
	{
		cJSON *one = ok ? from_store(m) : NULL;
		ok = one != NULL && cJSON_AddItemToArray(list, one);
		if (!ok)
			cJSON_Delete(one);
	}
	cJSON_Delete(messages);
	if (ok)
		return list;
	cJSON_Delete(list);
	return NULL;
}

cJSON *oc_transcript_content(const cJSON *message)
{
	const cJSON *content = oc_json_get(message, "content");
	return cJSON_IsArray(content) || cJSON_IsString(content) ? parts(content, false) : NULL;
}
