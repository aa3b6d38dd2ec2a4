#include "web_cache.h"

#include <stdlib.h>
#include <string.h>

static void drop(web_cache *cache, web_cache_entry *e)
{
	if (e->key != NULL)
		cache->bytes -= e->n;
	free(e->key);
	free(e->text);
	free(e->type);
	*e = (web_cache_entry){0};
}

const web_cache_entry *web_cache_get(const web_cache *cache, const char *key, uint64_t now_ms, uint64_t ttl_ms)
{
	for (size_t i = 0; i < WEB_CACHE_ENTRIES; i++) {
		const web_cache_entry *e = &cache->entries[i];

		if (e->key != NULL && strcmp(e->key, key) == 0)
			return now_ms - e->at_ms < ttl_ms ? e : NULL;
	}
	return NULL;
}

/* The place for a key: its own, a free one, or that of the oldest. */
static web_cache_entry *place(web_cache *cache, const char *key)
{
	web_cache_entry *best = NULL;

	for (size_t i = 0; i < WEB_CACHE_ENTRIES; i++) {
		web_cache_entry *e = &cache->entries[i];

		if (e->key != NULL && strcmp(e->key, key) == 0)
			return e;
		if (best == NULL || (best->key != NULL && (e->key == NULL || e->at_ms < best->at_ms)))
			best = e;
	}
	return best;
}

static web_cache_entry *oldest(web_cache *cache)
{
	web_cache_entry *best = NULL;

	for (size_t i = 0; i < WEB_CACHE_ENTRIES; i++) {
		web_cache_entry *e = &cache->entries[i];

		if (e->key != NULL && (best == NULL || e->at_ms < best->at_ms))
			best = e;
	}
	return best;
}

void web_cache_put(web_cache *cache, const char *key, oc_str text, const char *type, int status, uint64_t now_ms)
{
	web_cache_entry *e = place(cache, key), *old;

	drop(cache, e);
	if (text.n > WEB_CACHE_BYTES / 4)
		return;
	while (cache->bytes + text.n > WEB_CACHE_BYTES && (old = oldest(cache)) != NULL)
		drop(cache, old);
	e->key = strdup(key);
	e->text = strndup(text.p, text.n);
	e->type = strdup(type);
	e->n = text.n;
	e->status = status;
	e->at_ms = now_ms;
	cache->bytes += text.n;
	if (e->key != NULL && e->text != NULL && e->type != NULL)
		return;
	cache->bytes -= text.n;
	free(e->key);
	e->key = NULL;
	drop(cache, e);
}

void web_cache_clear(web_cache *cache)
{
	for (size_t i = 0; i < WEB_CACHE_ENTRIES; i++)
		drop(cache, &cache->entries[i]);
}
