/*
 * Files that came with messages, or went out with them, do not stay for ever: media.ttlHours (168) after they came they go,
 * and the oldest go earlier when all together have more than media.maxTotalMb (2048).  0 switches either off.  Looked after
 * hourly, on a pool thread.
 */
#ifndef OC_AGENT_RETENTION_H
#define OC_AGENT_RETENTION_H

#include <stddef.h>

#include "core/agent/internal.h"

typedef struct oc_retention_limits {
	int64_t age_ms;	  /* 0: any age */
	int64_t bytes;	  /* 0: any size */
	int64_t now_ms;	  /* since 1970 */
} oc_retention_limits;

typedef struct oc_retention_root {
	char *path;
	bool shared; /* people keep files of their own there: only those with our kind of name are ours */
} oc_retention_root;

/* Removes what the limits say from the folders and the folders in them; does not follow links. Blocking, [any]. */
void oc_retention_clean(const oc_retention_root *roots, size_t n, const oc_retention_limits *limits, size_t *ret_removed,
			int64_t *ret_bytes);

/* Begins to look after the agent's media, in a moment and then hourly; ends with the agent's owner. */
oc_status oc_retention_start(oc_agent *agent);

#endif
