/* Any text as a transcript, and as a key: what is a row once can be read again, and its key is one of ours. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/import.h"
#include "core/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MOST ((size_t)64 << 10)

static void check_key(const char *text)
{
	char key[OC_SESSION_KEY_MAX];
	oc_session_key parts;
	if (oc_import_key(text, "main", "", "main", key, NULL) == OC_OK && oc_session_key_parse(oc_str_of(key), &parts, NULL) != OC_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > SIZE_MOST)
		return 0;
	oc_auto_free char *text = oc_memdup((const char *)data, size);
	oc_import *im = NULL;
	if (text == NULL || oc_import_read((oc_str){text, size}, &im, NULL) != OC_OK)
		abort();
	check_key(text);
	oc_batch *batch = oc_batch_new(NULL);
	for (size_t i = 0; i < oc_import_rows(im); i++) {
		int64_t ms = 0;
		if (oc_import_row_bytes(im, i) > size || oc_import_put(im, i, batch, "s", 2, &ms, NULL) != OC_OK || ms < 0)
			abort();
	}
	oc_batch_free(batch);
	oc_import_free(im);
	return 0;
}
