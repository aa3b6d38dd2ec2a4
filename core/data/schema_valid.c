/* What is done with a schema apart from checking: filling in its defaults, and checking the schema itself. */
#include <math.h>
#include <string.h>

#include "core/data/regex.h"
#include "core/data/schema.h"
#include "core/data/schema_internal.h"

#define MAX_FILLS 1000000u

/* ---- Defaults ---- */

struct filler {
	const cJSON *root;
	unsigned steps; /* schemas can be followed in circles, and in two circles at once */
};

static oc_status fill(struct filler *f, const cJSON *schema, cJSON *value, unsigned depth);

static oc_status fill_members(struct filler *f, const cJSON *schema, cJSON *value, unsigned depth)
{
	const cJSON *properties = oc_json_get(schema, "properties"), *rest = oc_json_get(schema, "additionalProperties");
	const cJSON *one;
	oc_status status = OC_OK;
	if (!cJSON_IsObject(properties))
		properties = NULL;
	cJSON_ArrayForEach(one, properties)
	{
		const cJSON *own = oc_json_get(one, "default");
		if (own == NULL || oc_json_get(value, one->string) != NULL)
			continue;
		cJSON *copy = cJSON_Duplicate(own, true);
		if (copy == NULL || !cJSON_AddItemToObject(value, one->string, copy)) {
			cJSON_Delete(copy);
			return OC_E_NOMEM;
		}
	}
	for (cJSON *member = value->child; member != NULL && status == OC_OK; member = member->next) {
		one = oc_json_get(properties, member->string);
		if (one != NULL || cJSON_IsObject(rest))
			status = fill(f, one != NULL ? one : rest, member, depth + 1);
	}
	return status;
}

static oc_status fill(struct filler *f, const cJSON *schema, cJSON *value, unsigned depth)
{
	if (depth > OC_SCHEMA_MAX_DEPTH || ++f->steps > MAX_FILLS)
		return OC_E_LIMIT;
	if (!cJSON_IsObject(schema) || (!cJSON_IsObject(value) && !cJSON_IsArray(value)))
		return OC_OK;
	const char *ref = oc_json_str(schema, "$ref", NULL);
	if (ref != NULL)
		return fill(f, oc_schema_resolve(f->root, ref), value, depth + 1);
	oc_status status = OC_OK;
	const cJSON *items = oc_json_get(schema, "items"), *one;
	if (cJSON_IsObject(value))
		status = fill_members(f, schema, value, depth);
	else if (cJSON_IsObject(items))
		for (cJSON *element = value->child; element != NULL && status == OC_OK; element = element->next)
			status = fill(f, items, element, depth + 1);
	cJSON_ArrayForEach(one, oc_json_get(schema, "allOf")) if (status == OC_OK) status = fill(f, one, value, depth + 1);
	return status;
}

oc_status oc_schema_fill(const cJSON *schema, cJSON *value)
{
	struct filler f = {.root = schema};
	return fill(&f, schema, value, 0);
}

oc_status oc_schema_check_fill(const cJSON *schema, cJSON *value, oc_err *err)
{
	oc_status status = oc_schema_fill(schema, value);
	if (status == OC_E_LIMIT)
		return oc_fail(err, status, "", "the schema refers to itself without end");
	if (status != OC_OK)
		return oc_fail(err, status, NULL, "no memory for the defaults");
	return oc_schema_check(schema, value, err);
}

/* ---- Is it a schema? ---- */

enum shape { S_NUMBER = 1, S_COUNT, S_STRING, S_PATTERN, S_BOOL, S_NAMES, S_LIST, S_TYPE, S_SCHEMA, S_SCHEMAS, S_MAP, S_ITEMS, S_DEPS };

static const struct keyword {
	const char *name;
	enum shape shape;
} keywords[] = {
	{"type", S_TYPE},	       {"enum", S_LIST},	     {"properties", S_MAP},	       {"patternProperties", S_MAP},
	{"additionalProperties", S_SCHEMA}, {"propertyNames", S_SCHEMA}, {"required", S_NAMES},	       {"dependencies", S_DEPS},
	{"minProperties", S_COUNT},    {"maxProperties", S_COUNT},   {"items", S_ITEMS},	       {"additionalItems", S_SCHEMA},
	{"prefixItems", S_SCHEMAS},    {"contains", S_SCHEMA},	     {"minItems", S_COUNT},	       {"maxItems", S_COUNT},
	{"uniqueItems", S_BOOL},       {"minimum", S_NUMBER},	     {"maximum", S_NUMBER},	       {"exclusiveMinimum", S_NUMBER},
	{"exclusiveMaximum", S_NUMBER}, {"multipleOf", S_NUMBER},    {"minLength", S_COUNT},	       {"maxLength", S_COUNT},
	{"pattern", S_PATTERN},	       {"anyOf", S_SCHEMAS},	     {"oneOf", S_SCHEMAS},	       {"allOf", S_SCHEMAS},
	{"not", S_SCHEMA},	       {"if", S_SCHEMA},	     {"then", S_SCHEMA},	       {"else", S_SCHEMA},
	{"definitions", S_MAP},	       {"$defs", S_MAP},	     {"$ref", S_STRING},
};

static oc_status valid(const cJSON *root, const cJSON *schema, unsigned depth, oc_err *err);

static oc_status valid_each(const cJSON *root, const cJSON *container, unsigned depth, oc_err *err)
{
	const cJSON *one;
	oc_status status = OC_OK;
	cJSON_ArrayForEach(one, container)
	{
		status = valid(root, one, depth, err);
		if (status != OC_OK) {
			if (one->string != NULL)
				oc_err_prefix(err, "%s", one->string);
			break;
		}
	}
	return status;
}

static bool all_strings(const cJSON *list)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, list) if (!cJSON_IsString(one)) return false;
	return cJSON_IsArray(list);
}

static bool type_is_known(const cJSON *type)
{
	const cJSON *one;
	if (cJSON_IsString(type))
		return oc_schema_type_text(type->valuestring) != NULL;
	cJSON_ArrayForEach(one, type) if (!cJSON_IsString(one) || !type_is_known(one)) return false;
	return cJSON_IsArray(type) && type->child != NULL;
}

static oc_status valid_pattern(const char *pattern, oc_err *err)
{
	oc_regex *regex = NULL;
	oc_status status = oc_regex_new(oc_str_of(pattern), 0, &regex, err);
	oc_regex_free(regex);
	return status == OC_E_UNSUPPORTED ? OC_OK : status; /* right, but not checked */
}

static oc_status valid_keyword(const cJSON *root, const struct keyword *k, const cJSON *value, unsigned depth, oc_err *err)
{
	const char *wanted = NULL;
	oc_status status = OC_OK;
	const cJSON *one;
	switch (k->shape) {
	case S_NUMBER:
		wanted = cJSON_IsNumber(value) ? NULL : "a number";
		break;
	case S_COUNT:
		wanted = cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble == floor(value->valuedouble) ? NULL : "a whole number";
		break;
	case S_BOOL:
		wanted = cJSON_IsBool(value) ? NULL : "true or false";
		break;
	case S_LIST:
		wanted = cJSON_IsArray(value) ? NULL : "a list";
		break;
	case S_NAMES:
		wanted = all_strings(value) ? NULL : "a list of names";
		break;
	case S_TYPE:
		wanted = type_is_known(value) ? NULL : "the name of a type";
		break;
	case S_STRING: /* $ref */
		if (!cJSON_IsString(value))
			wanted = "a string";
		else if (oc_schema_resolve(root, value->valuestring) == NULL)
			status = oc_fail(err, OC_E_INVALID, "Use #/definitions/… of the same schema.",
					 "%s leads nowhere in this schema", value->valuestring);
		break;
	case S_PATTERN:
		wanted = cJSON_IsString(value) ? NULL : "a string";
		status = wanted == NULL ? valid_pattern(value->valuestring, err) : OC_OK;
		break;
	case S_ITEMS:
		status = cJSON_IsArray(value) ? valid_each(root, value, depth, err) : valid(root, value, depth, err);
		break;
	case S_SCHEMA:
		status = valid(root, value, depth, err);
		break;
	case S_SCHEMAS:
		wanted = cJSON_IsArray(value) && value->child != NULL ? NULL : "a list of schemas";
		status = wanted == NULL ? valid_each(root, value, depth, err) : OC_OK;
		break;
	case S_DEPS:
		wanted = cJSON_IsObject(value) ? NULL : "an object";
		cJSON_ArrayForEach(one, value) if (status == OC_OK && !all_strings(one)) status = valid(root, one, depth, err);
		break;
	case S_MAP:
		wanted = cJSON_IsObject(value) ? NULL : "an object of schemas";
		status = wanted == NULL ? valid_each(root, value, depth, err) : OC_OK;
		if (strcmp(k->name, "patternProperties") == 0 && wanted == NULL)
			cJSON_ArrayForEach(one, value) if (status == OC_OK) status = valid_pattern(one->string, err);
		break;
	}
	if (wanted != NULL)
		return oc_fail(err, OC_E_INVALID, "", "%s must be %s", k->name, wanted);
	return status == OC_OK ? OC_OK : oc_err_prefix(err, "%s", k->name);
}

static oc_status valid(const cJSON *root, const cJSON *schema, unsigned depth, oc_err *err)
{
	if (cJSON_IsBool(schema))
		return OC_OK;
	if (!cJSON_IsObject(schema))
		return oc_fail(err, OC_E_INVALID, "", "a schema must be an object, true or false");
	if (depth > OC_SCHEMA_MAX_DEPTH / 4)
		return oc_fail(err, OC_E_LIMIT, "", "the schema is too deep");
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
		const cJSON *value = oc_json_get(schema, keywords[i].name);
		oc_status status = value == NULL ? OC_OK : valid_keyword(root, &keywords[i], value, depth + 1, err);
		if (status != OC_OK)
			return status;
	}
	return OC_OK;
}

oc_status oc_schema_valid(const cJSON *schema, oc_err *err)
{
	oc_err local = {0};
	oc_status status = valid(schema, schema, 0, &local);
	if (status != OC_OK && err != NULL)
		*err = local;
	return status;
}
