/*
 * Control groups, where this process may make some: limits on all processes of a sandbox together, and a way to end them
 * all at once.  Version 2, else the memory and pids controllers of version 1.  Everything here is a few small writes.
 * [loop]
 */
#ifndef OC_SECURITY_CGROUP_H
#define OC_SECURITY_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"

#define OC_CGROUP_DIRS 2

/* Where groups can be made; zero: nowhere. */
typedef struct oc_cgroup_base {
	char *dirs[OC_CGROUP_DIRS]; /* version 2: one; version 1: memory, pids (either may be missing) */
	size_t n;
	bool v2;
} oc_cgroup_base;

/* One group. */
typedef struct oc_cgroup {
	char *paths[OC_CGROUP_DIRS + 1]; /* ends with NULL */
	bool v2;
} oc_cgroup;

/* Looks for the place; removes what an earlier process left there. In a group delegated to us alone (systemd's Delegate=)
 * this process moves into a leaf group, as version 2 demands. root: the file system to look at ("" but for tests). */
void oc_cgroup_find(oc_cgroup_base *base, const char *root);
void oc_cgroup_base_free(oc_cgroup_base *base);

/* Makes a group with limits (0: none). false when it cannot be made: then `ret` is empty. */
bool oc_cgroup_make(const oc_cgroup_base *base, uint64_t number, uint64_t memory_bytes, uint64_t processes, oc_cgroup *ret);
/* SIGKILL to everything in it; nothing in version 1. */
void oc_cgroup_kill(const oc_cgroup *group);
/* The kernel ended a process of it because of its memory limit. */
bool oc_cgroup_was_oom(const oc_cgroup *group);
/* Removes it; false while something is still in it. */
bool oc_cgroup_remove(oc_cgroup *group);
void oc_cgroup_free(oc_cgroup *group); /* forgets the paths without removing */

#endif
