/*
 * Input: a file as SKILL.md and memory files are.  Its head is read or refused with a line; pieces cover the file without a hole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/front.h"
#include "core/agent/memory_chunk.h"
#include "core/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct seen {
	oc_str text;
	size_t end, last_line;
} seen;

static bool on_chunk(void *arg, const oc_memory_chunk *c)
{
	seen *s = arg;
	size_t begin = (size_t)(c->text.p - s->text.p);
	if (c->text.n == 0 || begin + c->text.n > s->text.n || c->first_line == 0 || c->last_line < c->first_line)
		abort();
	/* What is left out between two pieces is white space. */
	if (begin > s->end && oc_str_trim((oc_str){s->text.p + s->end, begin - s->end}).n > 0)
		abort();
	if (begin + c->text.n <= s->end)
		abort(); /* it would never end */
	s->end = begin + c->text.n;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = oc_memdup(data, size);
	cJSON *head = NULL;
	oc_err err = {0};
	size_t body = 0;
	if (copy == NULL)
		return 0;
	oc_str text = {copy, size};
	oc_status status = oc_front_parse(text, &head, &body, &err);
	if (status == OC_OK && (!cJSON_IsObject(head) || body > size))
		abort();
	if (status != OC_OK && (head != NULL || err.text[0] == 0))
		abort();
	cJSON_Delete(head);
	seen s = {.text = text};
	if (!oc_memory_chunks(text, 16, 4, on_chunk, &s))
		abort();
	if (s.end < size && oc_str_trim((oc_str){copy + s.end, size - s.end}).n > 0)
		abort();
	oc_free(copy);
	return 0;
}
