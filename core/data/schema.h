/*
 * JSON Schema, the part of draft-07 that configurations and tool parameters use: type, enum, const, properties, required,
 * additionalProperties, patternProperties, propertyNames, minProperties, maxProperties, dependencies, items,
 * additionalItems, contains, minItems, maxItems, uniqueItems, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
 * multipleOf, minLength, maxLength, pattern, anyOf, oneOf, allOf, not, if/then/else, local $ref, default, true and false.
 * format, title, description, examples and unknown keywords are ignored.  Recursion is bounded.  [any]
 */
#ifndef OC_DATA_SCHEMA_H
#define OC_DATA_SCHEMA_H

#include "core/data/json.h"

typedef struct oc_schema_issue {
	const char *path;    /* of the value that fails, "" for the whole; oc_json_path's notation */
	const char *keyword; /* the schema's keyword that is not met: "type", "additionalProperties"… */
	const char *message; /* "must be an integer, is a string"; without the path */
	const cJSON *schema; /* the schema that has the keyword */
	const cJSON *value;  /* the failing value; for an unknown member the member itself */
} oc_schema_issue;

/* Called once for each failure, in order; return false to end the check. What it is given lives for the call. */
typedef bool oc_schema_report(void *arg, const oc_schema_issue *issue);

/* Is value what schema asks for?  On failure OC_E_INVALID, err has path and message of the first failure. */
oc_status oc_schema_check(const cJSON *schema, const cJSON *value, oc_err *err);
/* As above after filling in the defaults of absent members (of objects that are there, or whose own default is). */
oc_status oc_schema_check_fill(const cJSON *schema, cJSON *value, oc_err *err);
/* Reports every failure. base_path is put before each path (NULL: ""). OC_E_INVALID when there was any, OC_E_LIMIT when
 * the check was too deep or too long to be finished. */
oc_status oc_schema_report_all(const cJSON *schema, const cJSON *value, const char *base_path, oc_schema_report *report,
			       void *arg);
/* Fills in defaults only. OC_E_NOMEM; OC_E_LIMIT when the schema leads in circles. */
oc_status oc_schema_fill(const cJSON *schema, cJSON *value);
/* Is this a schema that can be checked against: keywords of the right types, patterns that compile, $refs that resolve. */
oc_status oc_schema_valid(const cJSON *schema, oc_err *err);

#endif
