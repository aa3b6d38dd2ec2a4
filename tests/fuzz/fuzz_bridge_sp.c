/* nng's wire format: the same messages come out however the bytes are cut, and what is written is read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc-bridge/sp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct seen {
	uint64_t sum, n;
	oc_status status;
} seen;

static bool message(void *arg, oc_str body)
{
	seen *s = arg;
	for (size_t i = 0; i < body.n; i++)
		s->sum = s->sum * 1099511628211u + (unsigned char)body.p[i];
	s->sum = s->sum * 31 + body.n;
	return ++s->n < 1000;
}

static seen read_in(const uint8_t *data, size_t size, size_t piece)
{
	oc_sp_reader reader = {0};
	seen s = {0};
	const char *why = NULL;
	for (size_t at = 0; at < size && s.status == OC_OK && s.n < 1000; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		s.status = oc_sp_take(&reader, (oc_str){(const char *)data + at, n}, message, &s, &why);
		if (s.status != OC_OK && why == NULL)
			abort();
	}
	oc_sp_free(&reader);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	seen whole = read_in(data, size, size + 1), bytes = read_in(data, size, 1), pieces = read_in(data, size, 7);
	if (whole.sum != bytes.sum || whole.n != bytes.n || whole.status != bytes.status || whole.sum != pieces.sum || whole.n != pieces.n)
		abort();
	unsigned char *own = malloc(OC_SP_GREETING_BYTES + OC_SP_HEAD + size);
	if (own == NULL)
		return 0;
	memcpy(own, OC_SP_GREETING, OC_SP_GREETING_BYTES);
	oc_sp_head(size, own + OC_SP_GREETING_BYTES);
	if (size > 0)
		memcpy(own + OC_SP_GREETING_BYTES + OC_SP_HEAD, data, size);
	seen back = read_in(own, OC_SP_GREETING_BYTES + OC_SP_HEAD + size, 1 + size / 3);
	if (back.n != 1 || back.status != OC_OK)
		abort();
	free(own);
	return 0;
}
