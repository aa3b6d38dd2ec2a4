/* Server-sent events: any bytes, split anywhere, give the same events as when they come whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct sum {
	uint64_t hash;
	size_t events;
} sum;

static void mix(sum *s, oc_str part)
{
	if (part.p[part.n] != 0)
		abort(); /* what is handed out is NUL-terminated */
	for (size_t i = 0; i <= part.n; i++)
		s->hash = (s->hash ^ (uint8_t)part.p[i]) * UINT64_C(1099511628211);
}

static void on_event(void *arg, oc_str event, oc_str text, oc_str id)
{
	sum *s = arg;

	mix(s, event);
	mix(s, text);
	mix(s, id);
	s->events++;
}

static oc_status run(const char *p, size_t n, size_t step, sum *s)
{
	oc_sse *sse = oc_sse_new(256, on_event, s);
	oc_status status = OC_OK;

	if (sse == NULL)
		abort();
	for (size_t i = 0; i < n && status == OC_OK; i += step)
		status = oc_sse_feed(sse, oc_str_make(p + i, n - i < step ? n - i : step));
	oc_sse_free(sse);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sum whole = {0}, bytes = {0}, pieces = {0};
	size_t step;
	oc_status a, b, c;

	if (size < 1)
		return 0;
	step = 1 + data[0] % 31;
	data++;
	size--;
	a = run((const char *)data, size, size + 1, &whole);
	b = run((const char *)data, size, 1, &bytes);
	c = run((const char *)data, size, step, &pieces);
	/* An over-long line is noticed earlier in small pieces, but never differently when nothing is too long. */
	if (a == OC_OK && b == OC_OK && (whole.hash != bytes.hash || whole.events != bytes.events))
		abort();
	if (a == OC_OK && c == OC_OK && (whole.hash != pieces.hash || whole.events != pieces.events))
		abort();
	return 0;
}
