/* The reader of ELF files takes any bytes. */
#include <stddef.h>
#include <stdint.h>

#include "core/base/mem.h"
#include "core/module/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = NULL;
	size_t n = 0;
	oc_err err = {0};

	if (oc_elf_manifest((oc_str){(const char *)data, size}, &text, &n, &err) == OC_OK) {
		if (n > size || text[n] != '\0')
			__builtin_trap();
	} else if (text != NULL || err.text[0] == '\0') {
		__builtin_trap();
	}
	oc_free(text);
	return 0;
}
