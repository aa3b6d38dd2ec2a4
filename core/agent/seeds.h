/* What a new workspace begins with. */
#ifndef OC_AGENT_SEEDS_H
#define OC_AGENT_SEEDS_H

#define OC_SEED_COUNT 6

typedef struct oc_seed {
	const char *name, *text;
} oc_seed;

extern const oc_seed oc_seeds[OC_SEED_COUNT];

#endif
