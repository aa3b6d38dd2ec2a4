#include "core/agent/map.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/id.h"
#include "core/base/mem.h"

/* Over a start that nobody outside knows: peers choose session keys, and must not be able to choose one bucket. */
static uint64_t hash_of(const char *key)
{
	static uint64_t seed;
	if (seed == 0)
		oc_random(&seed, sizeof seed);
	uint64_t h = oc_hash_z(seed ^ OC_HASH_START, key);
	return h ^ h >> 29;
}

typedef struct oc_map_walk {
	struct oc_map_walk *outer;
	oc_map_node *next;
} oc_map_walk;

static oc_map_node **bucket_of(const oc_map *map, uint64_t hash)
{
	if (map->buckets == NULL)
		return (oc_map_node **)&map->first;
	return &map->buckets[hash & (map->n_buckets - 1)];
}

static void grow(oc_map *map)
{
	size_t n = map->n_buckets == 0 ? 16 : map->n_buckets * 2;
	oc_map_node **buckets = oc_calloc(n, sizeof(oc_map_node *));
	if (buckets == NULL)
		return;
	oc_map old = *map;
	map->buckets = buckets;
	map->n_buckets = n;
	map->first = NULL;
	for (size_t i = 0; i < (old.n_buckets == 0 ? 1 : old.n_buckets); i++)
		for (oc_map_node *node = old.buckets != NULL ? old.buckets[i] : old.first, *next; node != NULL; node = next) {
			next = node->next;
			oc_map_node **at = bucket_of(map, node->hash);
			node->next = *at;
			*at = node;
		}
	oc_free(old.buckets);
}

oc_map_node *oc_map_find(const oc_map *map, const char *key)
{
	uint64_t hash = hash_of(key);
	for (oc_map_node *node = *bucket_of(map, hash); node != NULL; node = node->next)
		if (node->hash == hash && strcmp(node->key, key) == 0)
			return node;
	return NULL;
}

void oc_map_add(oc_map *map, oc_map_node *node, const char *key)
{
	if (map->n >= map->n_buckets && map->walks == NULL)
		grow(map); /* else later: who walks would meet nodes twice */
	node->key = key;
	node->hash = hash_of(key);
	oc_map_node **at = bucket_of(map, node->hash);
	node->next = *at;
	*at = node;
	map->n++;
}

void oc_map_remove(oc_map *map, oc_map_node *node)
{
	if (node->key == NULL)
		return;
	for (oc_map_node **at = bucket_of(map, node->hash); *at != NULL; at = &(*at)->next)
		if (*at == node) {
			for (oc_map_walk *w = map->walks; w != NULL; w = w->outer)
				if (w->next == node)
					w->next = node->next;
			*at = node->next;
			node->key = NULL;
			map->n--;
			return;
		}
}

oc_map_node *oc_map_any(const oc_map *map)
{
	if (map->buckets == NULL)
		return map->first;
	for (size_t i = 0; i < map->n_buckets; i++)
		if (map->buckets[i] != NULL)
			return map->buckets[i];
	return NULL;
}

void oc_map_each(oc_map *map, void (*fn)(void *arg, oc_map_node *node), void *arg)
{
	oc_map_walk walk = {.outer = map->walks};
	map->walks = &walk;
	for (size_t i = 0; i < (map->n_buckets == 0 ? 1 : map->n_buckets); i++)
		for (oc_map_node *node = map->buckets != NULL ? map->buckets[i] : map->first; node != NULL; node = walk.next) {
			walk.next = node->next;
			fn(arg, node);
		}
	map->walks = walk.outer;
}

void oc_map_free(oc_map *map)
{
	oc_free(map->buckets);
	*map = (oc_map){0};
}
