/* Handles: a table of objects that modules name by number and generation. */
#include <stdint.h>

#include "core/module/internal.h"

/* bit 0: 1, so that a handle is never a valid address; bits 1-3: kind; bits 4-23: index; bits 24-63: generation. */
enum { INDEX_BITS = 20, INDEX_MAX = 1 << INDEX_BITS };
#define GENERATION_MASK UINT64_C(0xffffffffff)

_Static_assert(sizeof(void *) == 8, "handles are packed into 64-bit pointers");

typedef struct entry {
	void *object; /* NULL: free */
	uint64_t generation;
	uint32_t next_free;
	uint32_t kind;
} entry;

static entry *table;
static uint32_t n_used, n_cap, n_live;
static uint32_t first_free = UINT32_MAX;
static uint64_t serial; /* of the last handle; 2^40 of them last for years */

static void *pack(uint32_t index)
{
	uint64_t bits = 1 | (uint64_t)table[index].kind << 1 | (uint64_t)index << 4 | table[index].generation << 24;

	return (void *)(uintptr_t)bits;
}

void *oc_handle_new(unsigned kind, void *object)
{
	uint32_t index = first_free;

	if (index == UINT32_MAX && n_used == n_cap) {
		uint32_t cap = n_cap == 0 ? 64 : n_cap * 2;
		entry *grown;

		if (cap > INDEX_MAX)
			return NULL;
		grown = oc_realloc(table, cap * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		table = grown;
		n_cap = cap;
	}
	if (index == UINT32_MAX) {
		index = n_used++;
	} else {
		first_free = table[index].next_free;
	}
	serial = (serial + 1) & GENERATION_MASK;
	table[index] = (entry){.object = object, .generation = serial, .kind = kind};
	n_live++;
	return pack(index);
}

static entry *find(const void *handle, unsigned kind)
{
	uint64_t bits = (uint64_t)(uintptr_t)handle;
	uint32_t index = (uint32_t)(bits >> 4) & (INDEX_MAX - 1);
	entry *e;

	if ((bits & 1) == 0 || (bits >> 1 & 7) != kind || index >= n_used)
		return NULL;
	e = &table[index];
	return e->object != NULL && e->kind == kind && e->generation == bits >> 24 ? e : NULL;
}

void *oc_handle_get(const void *handle, unsigned kind)
{
	entry *e = find(handle, kind);

	return e == NULL ? NULL : e->object;
}

void oc_handle_free(const void *handle)
{
	entry *e = find(handle, (unsigned)((uintptr_t)handle >> 1 & 7));

	if (e == NULL)
		return;
	e->object = NULL;
	n_live--;
	e->next_free = first_free;
	first_free = (uint32_t)(e - table);
}

void oc_handles_trim(void)
{
	if (n_live > 0)
		return;
	oc_free(table);
	table = NULL;
	n_used = n_cap = 0;
	first_free = UINT32_MAX;
}
