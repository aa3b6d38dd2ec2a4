/* What the files of process.h share; nobody else includes it. */
#ifndef OC_SECURITY_PROCESS_INT_H
#define OC_SECURITY_PROCESS_INT_H

#include "core/security/cgroup.h"
#include "core/security/process.h"

#define PATHS_MAX 64
#define OUT_CHUNK ((size_t)64 * 1024)
#define STDIN_HIGH ((size_t)64 * 1024)
#define STDIN_MAX ((size_t)4 * 1024 * 1024)
#define ENV_MAX 512

struct oc_procs {
	oc_loop *loop;
	oc_owner *owner; /* of our timers */
	unsigned refs;	 /* the handle and every process whose memory the loop still needs */
	bool closed;

	int level;
	bool allow_downgrade, network;
	oc_sandbox_limits limits;
	size_t max_processes;
	char *state_dir, *path, *config;
	char *open[PATHS_MAX + 1], *read[PATHS_MAX + 1];
	uint32_t without;

	char *helper;
	bool cgroups_known;
	oc_cgroup_base cgroups;
	uint64_t next_number;
	uint32_t said[64]; /* hashes of warnings that were given */
	size_t n_said;

	oc_proc *first;   /* all that are not over */
	oc_proc *leaving; /* over, but their control group cannot be removed yet */
	size_t n;
	char *chunk; /* where output is read to */
};

/* The operator's answer to what a profile asks for: level, network, limits, hidden paths. Pointers into `store`. */
typedef struct proc_policy {
	oc_sandbox_profile profile;
	const char *hide[16];
	const char *read[PATHS_MAX * 2 + 1];
	const char *env[ENV_MAX];
	char *owned[24]; /* to be freed */
	size_t n_owned;
} proc_policy;

oc_status oc_proc_policy(oc_procs *procs, const oc_proc_options *options, proc_policy *ret, oc_err *err);
void oc_proc_policy_free(proc_policy *policy);

/* A process that never ran: reports `err` through on_exit, later. */
oc_status oc_proc_stillborn(oc_procs *procs, oc_owner *owner, const oc_proc_options *options, const oc_err *err, oc_proc **ret);

/* The service must not use these any more. */
void oc_process_service_end(const oc_procs *procs);

#endif
