/* Merging what handlers return, field by field, as the table's merge column says. */
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/hook/internal.h"

typedef struct rule {
	oc_str field, name, freezes;
	bool chained;
} rule;

/* Takes the next "field:rule[>][!other]" off *spec; false at the end. */
static bool next_rule(oc_str *spec, rule *ret)
{
	oc_str word = OC_STR_NONE, tail;

	while (spec->p != NULL && word.n == 0)
		word = oc_str_cut(spec, ' ');
	if (word.n == 0)
		return false;
	tail = word;
	ret->field = oc_str_cut(&tail, ':');
	ret->name = tail.p != NULL ? oc_str_cut(&tail, '!') : OC_STR_NONE;
	ret->freezes = tail.p != NULL ? tail : OC_STR_NONE;
	ret->chained = oc_str_ends(ret->name, ">");
	if (ret->chained)
		ret->name.n--;
	return true;
}

static bool frozen(const oc_hook_merge *m, const char *field)
{
	for (unsigned i = 0; i < m->n_frozen; i++)
		if (strcmp(m->frozen[i], field) == 0)
			return true;
	return false;
}

static void freeze(oc_hook_merge *m, oc_str field)
{
	if (field.n == 0 || field.n >= sizeof(m->frozen[0]) || m->n_frozen == OC_HOOK_FROZEN_MAX)
		return;
	memcpy(m->frozen[m->n_frozen], field.p, field.n);
	m->frozen[m->n_frozen][field.n] = '\0';
	m->n_frozen++;
}

static oc_status put(cJSON *object, const char *field, cJSON *value)
{
	return value != NULL && oc_json_set(object, field, value) ? OC_OK : OC_E_NOMEM;
}

static oc_status join(cJSON *changes, const char *field, const cJSON *value)
{
	const char *before = oc_json_str(changes, field, "");
	oc_auto_free char *both = NULL;

	if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
		return OC_OK;
	if (before[0] == '\0')
		return put(changes, field, cJSON_Duplicate(value, true));
	both = oc_asprintf("%s\n\n%s", before, value->valuestring);
	return both == NULL ? OC_E_NOMEM : put(changes, field, cJSON_CreateString(both));
}

static oc_status append(cJSON *changes, const char *field, const cJSON *value)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(changes, field);
	const cJSON *item;

	if (list == NULL) {
		oc_status st = put(changes, field, cJSON_CreateArray());

		if (st != OC_OK)
			return st;
		list = cJSON_GetObjectItemCaseSensitive(changes, field);
	}
	if (!cJSON_IsArray(value)) {
		cJSON *copy = cJSON_Duplicate(value, true);

		return copy != NULL && cJSON_AddItemToArray(list, copy) ? OC_OK : OC_E_NOMEM;
	}
	cJSON_ArrayForEach(item, value) {
		cJSON *copy = cJSON_Duplicate(item, true);

		if (copy == NULL || !cJSON_AddItemToArray(list, copy))
			return OC_E_NOMEM;
	}
	return OC_OK;
}

static oc_status assign(cJSON *changes, const char *field, const cJSON *value)
{
	cJSON *object = cJSON_GetObjectItemCaseSensitive(changes, field);
	const cJSON *item;

	if (!cJSON_IsObject(value))
		return OC_OK;
	if (object == NULL)
		return put(changes, field, cJSON_Duplicate(value, true));
	cJSON_ArrayForEach(item, value) {
		oc_status st = put(object, item->string, cJSON_Duplicate(item, true));

		if (st != OC_OK)
			return st;
	}
	return OC_OK;
}

static oc_status over(oc_hook_merge *m, const char *field, const cJSON *value)
{
	const cJSON *under = oc_json_get(m->payload, field), *item;
	cJSON *object = cJSON_IsObject(under) && cJSON_IsObject(value) ? cJSON_Duplicate(under, true) : cJSON_Duplicate(value, true);

	if (object == NULL || !cJSON_IsObject(under) || !cJSON_IsObject(value))
		return put(m->changes, field, object);
	cJSON_ArrayForEach(item, value) {
		oc_status st = put(object, item->string, cJSON_Duplicate(item, true));

		if (st != OC_OK) {
			cJSON_Delete(object);
			return st;
		}
	}
	return put(m->changes, field, object);
}

static bool means_stop(const cJSON *value)
{
	return cJSON_IsTrue(value)
	       || (cJSON_IsString(value) && (strcmp(value->valuestring, "block") == 0 || strcmp(value->valuestring, "error") == 0));
}

/* Later handlers see the changed payload. */
static oc_status chain(oc_hook_merge *m, const char *field, const cJSON *value)
{
	if (m->chained == NULL)
		m->chained = m->payload != NULL ? cJSON_Duplicate(m->payload, true) : cJSON_CreateObject();
	return m->chained == NULL ? OC_E_NOMEM : put(m->chained, field, cJSON_Duplicate(value, true));
}

static oc_status take_field(oc_hook_merge *m, const rule *r, const char *field, const cJSON *value, bool *stop,
			    bool *chained)
{
	const cJSON *before = oc_json_get(m->changes, field);
	oc_status st = OC_OK;

	if (cJSON_IsNull(value) || frozen(m, field))
		return OC_OK;
	if (oc_str_eqz(r->name, "first")) {
		if (before != NULL)
			return OC_OK;
		st = put(m->changes, field, cJSON_Duplicate(value, true));
	} else if (oc_str_eqz(r->name, "join")) {
		st = join(m->changes, field, value);
	} else if (oc_str_eqz(r->name, "append")) {
		st = append(m->changes, field, value);
	} else if (oc_str_eqz(r->name, "assign")) {
		st = assign(m->changes, field, value);
	} else if (oc_str_eqz(r->name, "over")) {
		st = over(m, field, value);
	} else if (oc_str_eqz(r->name, "stop")) {
		/* "No" is no decision: the next handler may still stop it. */
		if (!means_stop(value) && !cJSON_IsString(value))
			return OC_OK;
		st = put(m->changes, field, cJSON_Duplicate(value, true));
		if (means_stop(value)) {
			*stop = true;
			if (strcmp(field, "handled") == 0)
				m->claimed = true;
			else
				m->blocked = true;
		}
	} else if (oc_str_eqz(r->name, "final")) {
		if (!cJSON_IsTrue(value))
			return OC_OK;
		st = put(m->changes, field, cJSON_Duplicate(value, true));
		m->blocked = true;
	} else {
		st = put(m->changes, field, cJSON_Duplicate(value, true));
	}
	if (st == OC_OK && r->chained) {
		st = chain(m, field, oc_json_get(m->changes, field));
		*chained = true;
	}
	if (st == OC_OK)
		freeze(m, r->freezes);
	return st;
}

oc_status oc_hook_merge_take(oc_hook_merge *m, const char *merge, const cJSON *result, bool *ret_stop, bool *ret_chained)
{
	oc_str spec = oc_str_of(merge);
	rule r;
	oc_status st = OC_OK;

	while (st == OC_OK && next_rule(&spec, &r)) {
		const cJSON *item;

		cJSON_ArrayForEach(item, result) {
			if (item->string == NULL || (!oc_str_eqz(r.field, "*") && !oc_str_eqz(r.field, item->string)))
				continue;
			st = take_field(m, &r, item->string, item, ret_stop, ret_chained);
			if (st != OC_OK)
				break;
		}
	}
	return st;
}

const char *oc_hook_merge_reason(const oc_hook_merge *m)
{
	static const char *const fields[] = {"blockReason", "cancelReason", "reason", "error", "decisionReason"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *text = oc_json_str(m->changes, fields[i], "");

		if (text[0] != '\0')
			return text;
	}
	return "";
}
