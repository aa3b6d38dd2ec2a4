/* The reader of manifests takes any text. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/module/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	oc_manifest *m = NULL;
	oc_err err = {0};
	char *text = oc_memdup(data, size);

	if (text == NULL)
		return 0;
	if (oc_manifest_parse((oc_str){text, size}, &m, &err) == OC_OK) {
		if (!oc_manifest_name_ok(oc_str_of(m->name)) || m->kinds == 0 || m->version[0] == '\0')
			__builtin_trap();
		(void)oc_manifest_wants_secret(m, OC_STR("models.providers.openai.apiKey"));
		(void)oc_manifest_lists(m->capabilities, OC_STR("net"));
	} else if (m != NULL || err.text[0] == '\0') {
		__builtin_trap();
	}
	oc_manifest_free(m);
	oc_free(text);
	return 0;
}
