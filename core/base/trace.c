#include "core/base/trace.h"

#include <stdio.h>
#include <string.h>

#include "core/base/id.h"

static _Thread_local char current[OC_TRACE_MAX];

static void hex(const unsigned char *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = 0;
}

void oc_trace_new(char out[OC_TRACE_MAX])
{
	unsigned char bytes[16];
	oc_random(bytes, sizeof bytes);
	bytes[15] |= 1; /* never all zero */
	hex(bytes, sizeof bytes, out);
}

/* n digits, lower case, not all zero. */
static bool digits_ok(const char *s, size_t n)
{
	bool zero = true;
	for (size_t i = 0; i < n; i++) {
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
		zero = zero && s[i] == '0';
	}
	return !zero;
}

bool oc_trace_ok(const char *trace)
{
	return strlen(trace) == 32 && digits_ok(trace, 32);
}

bool oc_trace_parse(oc_str header, char out[OC_TRACE_MAX])
{
	const char *p = header.p;
	/* version "-" trace "-" parent "-" flags; later versions may add to it, ff is none. */
	if (header.n < 55 || p[2] != '-' || p[35] != '-' || p[52] != '-' || (header.n > 55 && p[55] != '-'))
		return false;
	bool first = memcmp(p, "00", 2) == 0;
	if ((first && header.n != 55) || memcmp(p, "ff", 2) == 0 || (!first && !digits_ok(p, 2)))
		return false;
	const char flags[3] = {p[53], p[54], 0};
	if (!digits_ok(p + 3, 32) || !digits_ok(p + 36, 16) || strspn(flags, "0123456789abcdef") != 2)
		return false;
	memcpy(out, p + 3, 32);
	out[32] = 0;
	return true;
}

void oc_trace_header(const char *trace, char out[OC_TRACEPARENT_MAX])
{
	unsigned char bytes[8];
	char span[17];
	oc_random(bytes, sizeof bytes);
	bytes[7] |= 1;
	hex(bytes, sizeof bytes, span);
	snprintf(out, OC_TRACEPARENT_MAX, "00-%.32s-%s-01", trace, span);
}

const char *oc_trace_now(void)
{
	return current;
}

oc_trace_scope oc_trace_enter(const char *trace)
{
	oc_trace_scope scope;
	memcpy(scope.before, current, sizeof current);
	size_t n = trace != NULL ? strlen(trace) : 0;
	if (n >= sizeof current)
		n = sizeof current - 1;
	if (n > 0)
		memcpy(current, trace, n);
	current[n] = 0;
	return scope;
}

void oc_trace_leave(oc_trace_scope *scope)
{
	memcpy(current, scope->before, sizeof current);
}
