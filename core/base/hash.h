/*
 * FNV-1a, 64 bits: for tables, and to see whether something changed. Never against somebody who chooses the text on purpose,
 * unless the sum begins with a secret of this process.  Some sums are in the store (what a resting key is about, the names of
 * sub-agents): the values do not change from version to version.  [any]
 */
#ifndef OC_BASE_HASH_H
#define OC_BASE_HASH_H

#include <stdint.h>

#include <openclaw/module.h>

#define OC_HASH_START 0xcbf29ce484222325ULL /* the sum of nothing */

/* One byte more; or a number over 255, which no text can bring, as a mark between two texts. */
static inline uint64_t oc_hash_step(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3ULL;
}

/* The sum with the bytes of s behind what is in it. */
static inline uint64_t oc_hash(uint64_t sum, oc_str s)
{
	for (size_t i = 0; i < s.n; i++)
		sum = oc_hash_step(sum, (unsigned char)s.p[i]);
	return sum;
}

/* The same of a NUL-terminated text; NULL adds nothing. */
static inline uint64_t oc_hash_z(uint64_t sum, const char *text)
{
	for (; text != NULL && *text != 0; text++)
		sum = oc_hash_step(sum, (unsigned char)*text);
	return sum;
}

#endif
