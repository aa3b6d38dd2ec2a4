/*
 * A hash map from text to things that carry their own node.  Adding cannot fail: when there is no memory for more buckets
 * the chains grow.  Keys are the owner's and must live as long as the node is in the map.
 */
#ifndef OC_AGENT_MAP_H
#define OC_AGENT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct oc_map_node {
	struct oc_map_node *next;
	const char *key;
	uint64_t hash;
} oc_map_node;

typedef struct oc_map {
	oc_map_node **buckets;
	size_t n, n_buckets;
	oc_map_node *first;	   /* the only bucket, until there is memory for more */
	struct oc_map_walk *walks; /* calls of oc_map_each that are under way */
} oc_map;

oc_map_node *oc_map_find(const oc_map *map, const char *key); /* NULL when there is none */
void oc_map_add(oc_map *map, oc_map_node *node, const char *key);
void oc_map_remove(oc_map *map, oc_map_node *node); /* one that is not in it is ignored */
/* Any node, or NULL when empty. */
oc_map_node *oc_map_any(const oc_map *map);
/* Calls fn once for each node that is in the map now and still is when its time comes. fn may add and remove (and then free)
 * any node, the one it is given and others, and walk the map itself: one thing that ends takes others with it. A node that is
 * added meanwhile may be left out. Only fn's own node may be freed without being removed, and only when the map is freed or
 * emptied by oc_map_free next. fn does not free the map. */
void oc_map_each(oc_map *map, void (*fn)(void *arg, oc_map_node *node), void *arg);
void oc_map_free(oc_map *map); /* the buckets; nodes are their owners' */

#define OC_MAP_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
