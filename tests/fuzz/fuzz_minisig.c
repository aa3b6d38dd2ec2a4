/* The reader of module signatures takes any text. */
#include <stddef.h>
#include <stdint.h>

#include "core/base/mem.h"
#include "core/module/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	oc_err err = {0};
	oc_minisig sig;
	char *text = oc_memdup(data, size);

	if (text == NULL)
		return 0;
	if (oc_minisig_parse((oc_str){text, size}, &sig, &err) == OC_OK) {
		if (sig.comment.n > size || sig.comment.p < text || sig.comment.p + sig.comment.n > text + size)
			__builtin_trap();
	} else if (err.text[0] == '\0') {
		__builtin_trap();
	}
	oc_free(text);
	return 0;
}
