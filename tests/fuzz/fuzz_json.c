/* Any bytes: the wall accepts or refuses without harm, and what it accepts is printed and read back as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/data/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	oc_str text = {(const char *)data, size};
	oc_err err;
	cJSON *tree = NULL, *again = NULL;
	oc_status checked = oc_json_check(text, NULL, &err);
	oc_status parsed = oc_json_parse(text, NULL, &tree, &err);
	if (checked != parsed || (parsed == OC_OK) != (tree != NULL))
		abort();
	if (tree == NULL) {
		if (err.text[0] == 0 || !oc_utf8_valid(oc_str_of(err.text)))
			abort();
		return 0;
	}
	char *print = oc_json_print(tree), *pretty = oc_json_print_pretty(tree);
	if (print == NULL || oc_json_parse(oc_str_of(print), NULL, &again, &err) != OC_OK || !oc_json_equal(tree, again))
		abort();
	cJSON_Delete(again);
	if (pretty == NULL || oc_json_parse(oc_str_of(pretty), NULL, &again, &err) != OC_OK || !oc_json_equal(tree, again))
		abort();
	/* cJSON's own reader, which accepts more, must accept it too. */
	cJSON *other = cJSON_Parse(print);
	if (other == NULL)
		abort();
	cJSON_Delete(other);
	cJSON_Delete(again);
	cJSON_Delete(tree);
	oc_free(print);
	oc_free(pretty);
	return 0;
}
