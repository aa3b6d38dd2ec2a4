/* What the files of process.h share; nobody else includes it. */
#ifndef OC_SECURITY_PROCESS_INT_H
#define OC_SECURITY_PROCESS_INT_H

#include <uv.h>

#include "core/security/cgroup.h"
#include "core/security/process.h"

#define PATHS_MAX 64
#define OUT_CHUNK ((size_t)64 * 1024)
#define STDIN_HIGH ((size_t)64 * 1024)
#define STDIN_MAX ((size_t)4 * 1024 * 1024)
#define ENV_MAX 512
#define ERR_LINE_MAX ((size_t)4096) /* of standard error in the log */

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
	uint64_t said[64]; /* hashes of warnings that were given */
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

/* ---- One process ---- */

struct oc_proc {
	oc_procs *procs;
	oc_proc *next, *prev;
	oc_owner *owner; /* NULL once swept or reported: no further callbacks */
	oc_ticket *ticket;
	oc_proc_options o; /* flags and callbacks only */

	uv_process_t process;
	uv_pipe_t in, out, errp, status;
	bool in_open, out_open, err_open, status_open, process_open;
	unsigned handles; /* not yet closed by the loop */
	bool exited, paused, closing_stdin, timed_out, killed, over, stillborn;
	int exit_code, signal;
	size_t stdin_waiting;
	oc_sbuf status_text, err_line;
	oc_err failure; /* from the helper */
	char limit[128];
	oc_watch *timeout, *hard, *linger;
	oc_cgroup cgroup;
	unsigned remove_tries;
};

/* process.c: its end. */
void oc_proc_link(oc_proc **list, oc_proc *p);
void oc_proc_close_pipe(uv_pipe_t *pipe, bool *open);
void oc_proc_finish_if_over(oc_proc *p);
void oc_proc_wait_for_end(oc_proc *p); /* once the helper is gone: of its output, but not for ever */
void oc_proc_end(oc_proc *p);
void oc_proc_on_exit(uv_process_t *process, int64_t code, int sig);
void oc_proc_on_timeout(void *arg);
void oc_proc_on_sweep(void *arg);

/* process_io.c: begins to read its output and the helper's status. */
void oc_proc_read(oc_proc *p);

/* A process that never ran: reports `err` through on_exit, later. */
oc_status oc_proc_stillborn(oc_procs *procs, oc_owner *owner, const oc_proc_options *options, const oc_err *err, oc_proc **ret);

/* The service must not use these any more. */
void oc_process_service_end(const oc_procs *procs);

#endif
