/*
 * Input: a schema as JSON, NUL, a value as JSON.  Any two of them are checked without harm and with the same answer by every
 * way of asking; a message names the failure; filling in defaults twice is as good as once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/schema.h"
#include "core/data/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool hear(void *arg, const oc_schema_issue *issue)
{
	unsigned *n = arg;
	if (!oc_utf8_valid(oc_str_of(issue->message)) || issue->message[0] == 0 || issue->value == NULL)
		abort();
	return ++*n < 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const oc_json_limits limits = {.max_bytes = 4096, .max_nodes = 500};
	const uint8_t *nul = size == 0 ? NULL : memchr(data, 0, size);
	if (nul == NULL)
		return 0;
	cJSON *schema = NULL, *value = NULL;
	size_t n = (size_t)(nul - data);
	if (oc_json_parse((oc_str){(const char *)data, n}, &limits, &schema, NULL) != OC_OK
	    || oc_json_parse((oc_str){(const char *)nul + 1, size - n - 1}, &limits, &value, NULL) != OC_OK) {
		cJSON_Delete(schema);
		return 0;
	}
	oc_err err = {0};
	unsigned issues = 0;
	oc_schema_valid(schema, &err);
	oc_status first = oc_schema_check(schema, value, &err);
	oc_status all = oc_schema_report_all(schema, value, NULL, hear, &issues);
	if ((first == OC_OK) != (all == OC_OK) || (all == OC_E_INVALID) != (issues > 0 && all != OC_E_LIMIT))
		abort();
	if (first != OC_OK && (err.text[0] == 0 || !oc_utf8_valid(oc_str_of(err.text))))
		abort();
	if (oc_schema_fill(schema, value) == OC_OK) {
		cJSON *once = cJSON_Duplicate(value, true);
		if (oc_schema_fill(schema, value) == OC_OK && !oc_json_equal(once, value))
			abort();
		cJSON_Delete(once);
	}
	cJSON_Delete(schema);
	cJSON_Delete(value);
	return 0;
}
