/*
 * Input: a JSON5 text, then optionally NUL, a path, and again NUL and a JSON value.  Without a value the path is removed.
 * An accepted edit gives a text that reads back as the edited tree; strict JSON stays strict JSON; a readable text is never
 * refused with an internal error.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/json5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void edit(oc_str text, const char *path, const cJSON *value)
{
	char *after = NULL;
	oc_err err;
	oc_status status = oc_json5_edit(text, path, value, &after, &err);
	if (status == OC_E_INTERNAL)
		abort();
	if (status != OC_OK)
		return;
	cJSON *tree = NULL;
	unsigned line, column;
	if (oc_json5_parse(oc_str_of(after), NULL, &tree, &err) != OC_OK)
		abort();
	if (value != NULL && !oc_json_equal(oc_json_path(tree, path), value))
		abort();
	if (value != NULL && oc_json5_locate(oc_str_of(after), path, &line, &column) != OC_OK)
		abort();
	if (value == NULL && path[strlen(path) - 1] != ']' && oc_json_path(tree, path) != NULL)
		abort();
	if (oc_json_check(text, NULL, NULL) == OC_OK && oc_json_check(oc_str_of(after), NULL, NULL) != OC_OK)
		abort();
	cJSON_Delete(tree);
	/* Once set, setting it again changes nothing. */
	if (value != NULL) {
		char *again = NULL;
		if (oc_json5_edit(oc_str_of(after), path, value, &again, &err) != OC_OK || strcmp(after, again) != 0)
			abort();
		oc_free(again);
	}
	oc_free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = oc_memdup(data, size);
	if (copy == NULL)
		return 0;
	oc_str text = {copy, strlen(copy)};
	oc_str path = {copy + text.n, 0}, value = path;
	if (text.n < size) {
		path.p = text.p + text.n + 1;
		path.n = strlen(path.p);
		value.p = path.p + path.n;
		if (text.n + 1 + path.n < size) {
			value.p++;
			value.n = size - text.n - path.n - 2;
		}
	}
	cJSON *tree = NULL, *node = NULL;
	oc_err err;
	if (oc_json5_parse(text, NULL, &tree, &err) == OC_OK) {
		char *print = oc_json_print(tree);
		cJSON *again = NULL;
		if (print == NULL || oc_json_parse(oc_str_of(print), NULL, &again, &err) != OC_OK || !oc_json_equal(tree, again))
			abort();
		oc_free(print);
		cJSON_Delete(again);
	}
	if (oc_json_check(text, NULL, NULL) == OC_OK && tree == NULL)
		abort(); /* JSON is JSON5 */
	cJSON_Delete(tree);
	if (value.n == 0 || oc_json_parse(value, NULL, &node, NULL) == OC_OK)
		edit(text, path.p, node);
	cJSON_Delete(node);
	oc_free(copy);
	return 0;
}
