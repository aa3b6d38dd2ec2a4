#include "core/base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to here glibc's malloc answers from a per-thread cache, which its calloc does not look into. */
#define CACHED_BYTES 1024u

static atomic_ulong live;
static _Thread_local unsigned long refused;
static atomic_ulong fail_in; /* 0: never; n: the n-th allocation from now and all later ones fail */

static int must_fail(void)
{
	unsigned long left = atomic_load_explicit(&fail_in, memory_order_relaxed);
	if (left == 0)
		return 0;
	if (left > 1) {
		atomic_store_explicit(&fail_in, left - 1, memory_order_relaxed);
		return 0;
	}
	return 1;
}

void oc_mem_fail_at(unsigned long n)
{
	atomic_store(&fail_in, n);
}

unsigned long oc_mem_live(void)
{
	return atomic_load(&live);
}

unsigned long oc_mem_refused(void)
{
	return refused;
}

void *oc_alloc(size_t bytes)
{
	return oc_calloc(1, bytes);
}

void *oc_calloc(size_t n, size_t size)
{
	size_t bytes;
	if (must_fail() || __builtin_mul_overflow(n, size, &bytes)) {
		refused++;
		return NULL;
	}
	if (bytes == 0)
		bytes = 1;
	void *p = bytes <= CACHED_BYTES ? malloc(bytes) : calloc(1, bytes);
	if (p != NULL && bytes <= CACHED_BYTES)
		memset(p, 0, bytes);
	if (p != NULL)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	else
		refused++;
	return p;
}

void *oc_realloc(void *ptr, size_t bytes)
{
	void *p = must_fail() ? NULL : realloc(ptr, bytes == 0 ? 1 : bytes);
	if (p == NULL)
		refused++;
	else if (ptr == NULL)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

void oc_free(void *ptr)
{
	if (ptr == NULL)
		return;
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	free(ptr);
}

char *oc_memdup(const void *p, size_t n)
{
	if (n == SIZE_MAX)
		return NULL;
	char *copy = oc_alloc(n + 1);
	if (copy != NULL && n > 0)
		memcpy(copy, p, n);
	return copy;
}

char *oc_strdup(const char *s)
{
	return oc_memdup(s, strlen(s));
}

char *oc_asprintf(const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *out = n < 0 ? NULL : oc_alloc((size_t)n + 1);
	if (out != NULL)
		vsnprintf(out, (size_t)n + 1, format, again);
	va_end(again);
	return out;
}

void oc_wipe(void *p, size_t n)
{
	if (p != NULL && n > 0)
		explicit_bzero(p, n);
}

void oc_cleanup_free(void *pointer_to_pointer)
{
	oc_free(*(void **)pointer_to_pointer);
}
