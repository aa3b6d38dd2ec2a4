/*
 * Memory: checked allocation that can be made to fail, and an arena for what lives as long as one call.
 *
 * Everything in core allocates through these, so that tests can fail the N-th allocation.  [any]
 */
#ifndef OC_BASE_MEM_H
#define OC_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#include <openclaw/module.h>

/* Zeroed memory; NULL when out of memory. Free with oc_free, which allows NULL. */
void *oc_alloc(size_t bytes) __attribute__((malloc, warn_unused_result));
/* n * size with overflow check. */
void *oc_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));
void *oc_realloc(void *ptr, size_t bytes) __attribute__((warn_unused_result));
void oc_free(void *ptr);
/* Copies; NULL when out of memory. oc_memdup adds a NUL after the bytes. */
char *oc_strdup(const char *s) __attribute__((malloc, warn_unused_result));
char *oc_memdup(const void *p, size_t n) __attribute__((malloc, warn_unused_result));
/* A new formatted string; NULL when out of memory. */
char *oc_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, warn_unused_result));
/* Overwrites with zeros in a way the compiler keeps. */
void oc_wipe(void *p, size_t n);

/* __attribute__((cleanup)) helpers: `oc_auto_free char *s = …;` */
void oc_cleanup_free(void *pointer_to_pointer);
#define oc_auto_free __attribute__((cleanup(oc_cleanup_free)))

/* On a local variable that is large and set before it is read, where microseconds count: the compiler, which is told to clear
 * them all (-ftrivial-auto-var-init), leaves this one alone. */
#define OC_UNSET __attribute__((uninitialized))

/* Makes the n-th allocation from now (1 = the next) and all later ones fail; 0 turns it off. Tests only. */
void oc_mem_fail_at(unsigned long n);
/* Allocations made so far by this process, for tests of oc_mem_fail_at and for leak checks: live blocks. */
unsigned long oc_mem_live(void);

/* Allocations that this thread was refused so far. What is built of many small pieces (a tree, a catalog) is whole when this
 * is the same after as before; that saves a check after each piece. [any] */
unsigned long oc_mem_refused(void);

/* ---- Arena: a bump allocator freed as a whole; not for sharing between threads. ---- */

typedef struct oc_arena oc_arena;
/* max_bytes: the most it will ever hold (0: 64 MiB). */
oc_arena *oc_arena_new(size_t max_bytes);
void *oc_arena_alloc(oc_arena *arena, size_t bytes); /* zeroed, 16-byte aligned; NULL at the limit */
char *oc_arena_strdup(oc_arena *arena, const char *s);
char *oc_arena_memdup(oc_arena *arena, const void *p, size_t n); /* NUL-terminated */
char *oc_arena_printf(oc_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t oc_arena_bytes(const oc_arena *arena); /* given out so far */
void oc_arena_free(oc_arena *arena); /* NULL is allowed */

#endif
