/* Input: a pattern, NUL, a text.  Any two end soon, without harm, and with the same answer when asked again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/data/regex.h"
#include "core/data/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size == 0 ? NULL : memchr(data, 0, size);
	size_t n = nul == NULL ? size : (size_t)(nul - data);
	oc_str pattern = {(const char *)data, n};
	oc_str text = nul == NULL ? pattern : (oc_str){(const char *)nul + 1, size - n - 1};
	oc_regex *regex = NULL;
	oc_err err = {0};
	oc_status status = oc_regex_new(pattern, size % 2 == 0 ? 0 : OC_REGEX_IGNORE_CASE, &regex, &err);
	if ((status == OC_OK) != (regex != NULL))
		abort();
	if (regex == NULL) {
		if (err.text[0] == 0 || !oc_utf8_valid(oc_str_of(err.text)))
			abort();
		return 0;
	}
	if (oc_regex_match(regex, text) != oc_regex_match(regex, text))
		abort();
	oc_regex_free(regex);
	return 0;
}
