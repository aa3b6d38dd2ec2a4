/* openclaw/json.h reads any text without leaving it, and what it says of valid JSON is what a real parser says. */
#include <stdlib.h>
#include <string.h>

#include <openclaw/json.h>

#include "core/base/mem.h"
#include "core/data/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(oc_str value, unsigned depth)
{
	oc_str name, item;
	size_t at = 0, n = 0;
	char out[64];

	(void)ocj_text(value, out, sizeof(out));
	while (depth < 32 && ocj_next(value, &at, &name, &item)) {
		if (item.p < value.p || item.p + item.n > value.p + value.n)
			__builtin_trap();
		n += 1 + walk(item, depth + 1);
	}
	return n;
}

static size_t count(const cJSON *node, unsigned depth)
{
	const cJSON *item;
	size_t n = 0;

	if (depth == 32)
		return 0;
	cJSON_ArrayForEach(item, node)
		n += 1 + count(item, depth + 1);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	oc_str text = {(const char *)data, size};
	cJSON *tree = NULL;
	size_t seen = walk(text, 0);
	int64_t number;
	char *copy = oc_memdup(data, size);

	(void)ocj_int(text, &number);
	if (copy != NULL && oc_json_parse((oc_str){copy, size}, NULL, &tree, NULL) == OC_OK && seen != count(tree, 0))
		__builtin_trap();
	cJSON_Delete(tree);
	oc_free(copy);
	return 0;
}
