/*
 * Pages that were fetched lately: models like to look twice.  A few, for a few minutes, in memory.  One thread.
 */
#ifndef WEB_CACHE_H
#define WEB_CACHE_H

#include "tk.h"

#define WEB_CACHE_ENTRIES 32
#define WEB_CACHE_BYTES ((size_t)4 * 1024 * 1024) /* of all texts together */

typedef struct web_cache_entry {
	char *key, *text, *type;
	size_t n;
	int status;
	uint64_t at_ms;
} web_cache_entry;

typedef struct web_cache {
	web_cache_entry entries[WEB_CACHE_ENTRIES];
	size_t bytes;
} web_cache;

/* The entry, valid until the next put; NULL when there is none or it is older than ttl_ms. */
const web_cache_entry *web_cache_get(const web_cache *cache, const char *key, uint64_t now_ms, uint64_t ttl_ms);
/* Keeps a copy in place of the oldest; out of memory: does not. */
void web_cache_put(web_cache *cache, const char *key, oc_str text, const char *type, int status, uint64_t now_ms);
void web_cache_clear(web_cache *cache);

#endif
