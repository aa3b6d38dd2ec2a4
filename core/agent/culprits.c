#include "core/agent/culprits.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"

#define NAMES_MAX 256
#define NAME_BYTES 200

typedef struct culprit {
	oc_map_node node; /* by "kind name" */
	uint64_t n, ns, max_ns;
	char key[];
} culprit;

void oc_culprit_note(oc_agent *agent, const char *kind, const char *name, uint64_t ns)
{
	char key[NAME_BYTES];
	snprintf(key, sizeof key, "%s %s", kind, agent->culprits.n < NAMES_MAX ? name : "(others)");
	oc_map_node *node = oc_map_find(&agent->culprits, key);
	if (node == NULL && agent->culprits.n >= NAMES_MAX) {
		snprintf(key, sizeof key, "%s %s", kind, name);
		node = oc_map_find(&agent->culprits, key);
	}
	culprit *c = node != NULL ? OC_MAP_OWNER(node, culprit, node) : NULL;
	if (c == NULL) {
		size_t n = strlen(key) + 1;
		c = agent->culprits.n < NAMES_MAX + 2 ? oc_calloc(1, sizeof *c + n) : NULL;
		if (c == NULL)
			return;
		memcpy(c->key, key, n);
		oc_map_add(&agent->culprits, &c->node, c->key);
	}
	c->n++;
	c->ns += ns;
	c->max_ns = ns > c->max_ns ? ns : c->max_ns;
}

static void list(void *arg, oc_map_node *node)
{
	const culprit *c = OC_MAP_OWNER(node, culprit, node);
	const char *name = strchr(c->key, ' ');
	char kind[16];
	snprintf(kind, sizeof kind, "%.*s", (int)(name - c->key), c->key);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "kind", kind);
	(void)oc_json_set_str(o, "name", name + 1);
	(void)oc_json_set_i64(o, "count", (int64_t)c->n);
	(void)oc_json_set_i64(o, "totalMs", (int64_t)(c->ns / 1000000));
	(void)oc_json_set_i64(o, "maxMs", (int64_t)(c->max_ns / 1000000));
	if (o == NULL || !cJSON_AddItemToArray(arg, o))
		cJSON_Delete(o);
}

cJSON *oc_agent_culprits(oc_agent *agent)
{
	cJSON *out = cJSON_CreateArray();
	if (out != NULL)
		oc_map_each(&agent->culprits, list, out);
	return out;
}

static void drop(void *arg, oc_map_node *node)
{
	oc_map_remove(arg, node);
	oc_free(OC_MAP_OWNER(node, culprit, node));
}

void oc_culprits_free(oc_agent *agent)
{
	oc_map_each(&agent->culprits, drop, &agent->culprits);
	oc_map_free(&agent->culprits);
}
