#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"

#define INLINE_BYTES 896u /* in the arena itself: a small call needs one allocation */
#define FIRST_BLOCK 4000u
#define BIGGEST_STEP (64u << 10)

struct block {
	struct block *next;
	size_t used, cap;
	_Alignas(16) char bytes[];
};

struct oc_arena {
	struct block *blocks; /* the newest first; only that one has room */
	size_t used, max;
	size_t inline_used;
	_Alignas(16) char bytes[INLINE_BYTES];
};

size_t oc_arena_bytes(const oc_arena *arena)
{
	return sizeof *arena + arena->used;
}

/* Memory is zeroed when it is given out, not before. */
oc_arena *oc_arena_new(size_t max_bytes)
{
	oc_arena *arena = oc_realloc(NULL, sizeof *arena);
	if (arena != NULL) {
		memset(arena, 0, offsetof(struct oc_arena, bytes));
		arena->max = max_bytes != 0 ? max_bytes : (size_t)64 << 20;
	}
	return arena;
}

static struct block *add_block(oc_arena *arena, size_t bytes)
{
	/* Doubles, so that a call that needs much makes few blocks; a big request gets a block of its own size. */
	size_t step = arena->blocks != NULL ? arena->blocks->cap * 2 : FIRST_BLOCK;
	if (step > BIGGEST_STEP)
		step = BIGGEST_STEP;
	if (step < bytes)
		step = bytes;
	struct block *block = oc_realloc(NULL, sizeof *block + step);
	if (block == NULL)
		return NULL;
	block->cap = step;
	block->used = 0;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

void *oc_arena_alloc(oc_arena *arena, size_t bytes)
{
	if (bytes > SIZE_MAX - 64)
		return NULL;
	size_t need = (bytes + 15) & ~(size_t)15;
	if (need == 0)
		need = 16;
	if (need > arena->max - arena->used)
		return NULL;
	struct block *block = arena->blocks;
	char *p;
	if (block == NULL && need <= INLINE_BYTES - arena->inline_used) {
		p = arena->bytes + arena->inline_used;
		arena->inline_used += need;
	} else {
		if (block == NULL || need > block->cap - block->used) {
			block = add_block(arena, need);
			if (block == NULL)
				return NULL;
		}
		p = block->bytes + block->used;
		block->used += need;
	}
	arena->used += need;
	memset(p, 0, need);
	return p;
}

char *oc_arena_memdup(oc_arena *arena, const void *p, size_t n)
{
	if (n == SIZE_MAX)
		return NULL;
	char *copy = oc_arena_alloc(arena, n + 1);
	if (copy != NULL && n > 0)
		memcpy(copy, p, n);
	return copy;
}

char *oc_arena_strdup(oc_arena *arena, const char *s)
{
	return oc_arena_memdup(arena, s, strlen(s));
}

char *oc_arena_printf(oc_arena *arena, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *out = n < 0 ? NULL : oc_arena_alloc(arena, (size_t)n + 1);
	if (out != NULL)
		vsnprintf(out, (size_t)n + 1, format, again);
	va_end(again);
	return out;
}

void oc_arena_free(oc_arena *arena)
{
	if (arena == NULL)
		return;
	for (struct block *b = arena->blocks, *next; b != NULL; b = next) {
		next = b->next;
		oc_free(b);
	}
	oc_free(arena);
}
