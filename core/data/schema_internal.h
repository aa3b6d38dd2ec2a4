/* What schema.c and schema_valid.c share. */
#ifndef OC_DATA_SCHEMA_INTERNAL_H
#define OC_DATA_SCHEMA_INTERNAL_H

#include "core/data/json.h"

#define OC_SCHEMA_MAX_DEPTH 200u /* of schemas in schemas, $refs counted; the wall lets values be 64 deep */

/* The schema that "#/definitions/x" names, or NULL. */
const cJSON *oc_schema_resolve(const cJSON *root, const char *ref);
/* "a whole number" for "integer"; NULL when there is no such type. */
const char *oc_schema_type_text(const char *type);

#endif
