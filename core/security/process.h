/*
 * Child processes in the sandbox: spawn, output, input, signals, limits, exactly one end.
 *
 * Everything is on the loop thread.  A process belongs to an owner; the owner's sweep kills it without further callbacks.
 * A process is over when it and everything it started are gone and its output was read to the end.
 */
#ifndef OC_SECURITY_PROCESS_H
#define OC_SECURITY_PROCESS_H

#include "core/base/queues.h"
#include "core/loop/loop.h"
#include "core/security/sandbox.h"

typedef struct oc_procs oc_procs; /* all child processes of this gateway, and the rules for them */
typedef struct oc_proc oc_proc;   /* one of them */

/* The operator's rules. Copied. */
typedef struct oc_procs_options {
	int level;                /* the lowest level allowed and the default (0: strict) */
	bool allow_downgrade;     /* see oc_sandbox_profile */
	bool network;             /* may network be granted at all; asking for it otherwise is OC_E_DENIED */
	oc_sandbox_limits limits; /* defaults and upper bounds */
	size_t max_processes;     /* at once (0: 64) */
	const char *state_dir;    /* out of sight of every sandboxed process (NULL: oc_path_state_dir()) … */
	const char *const *open;  /* … but for these folders inside it (workspaces, media); ends with NULL; may be NULL */
	const char *const *read;  /* further paths every process may read; ends with NULL; may be NULL */
	const char *path;         /* PATH of the children (NULL: the usual system folders) */
	uint32_t without;         /* tests only, see oc_sandbox_profile */
} oc_procs_options;

oc_status oc_procs_new(oc_loop *loop, const oc_procs_options *options, oc_procs **ret, oc_err *err);
/* New rules for what is spawned from now on (configuration reload). */
oc_status oc_procs_configure(oc_procs *procs, const oc_procs_options *options, oc_err *err);
/* Kills everything, without callbacks; memory that the loop still needs goes when it has run. NULL is allowed. */
void oc_procs_free(oc_procs *procs);
size_t oc_procs_count(const oc_procs *procs); /* running now */
void oc_procs_stdin_fill(const oc_procs *procs, oc_fill *bytes); /* what waits to be read by them */

enum {
	OC_PROC_STDIN = 1,  /* keep standard input open for oc_proc_write; else it is /dev/null */
	OC_PROC_MERGE = 2,  /* standard error goes into standard output, in order */
	OC_PROC_LOG_ERR = 4, /* standard error goes to the log, a line each, in the owner's name */
	OC_PROC_TERMINAL = 8 /* standard input, output and error are ours, as they are */
};

typedef struct oc_proc_options {
	uint32_t flags;              /* OC_PROC_* */
	oc_sandbox_profile profile;  /* level 0: the operator's; a lower one than the operator's is raised to it */
	uint64_t timeout_ms;         /* then SIGTERM, five seconds later SIGKILL; 0: none */
	bool env_exact;              /* profile.env is everything; else PATH, HOME, LANG, TERM, TMPDIR are added */
	bool yields;                 /* the processor is everybody else's first; one that is idle is no slower for it */
	int pass_fd;                 /* a descriptor the child gets as number 3 (-1 or 0: none); stays the caller's */
	/* Output, at most 64 KiB a piece. stream 1: stdout, 2: stderr. May be NULL (read and dropped). */
	void (*on_output)(void *arg, uint32_t stream, oc_str data);
	/* Exactly once, after the last output, later than the spawn; the oc_proc is freed when it returns. status: OC_OK,
	 * OC_E_TIMEOUT, OC_E_CANCELED (oc_proc_kill), OC_E_LIMIT (process or memory limit of the sandbox), or why it could not
	 * run; message says it for people. signal 0: exited with exit_code. */
	void (*on_exit)(void *arg, oc_status status, int exit_code, int signal, oc_str message);
	void *arg;
} oc_proc_options;

/* OC_E_LIMIT: too many at once; OC_E_DENIED: a path or the network that the operator does not allow; OC_E_INVALID. */
oc_status oc_proc_spawn(oc_procs *procs, oc_owner *owner, const oc_proc_options *options, oc_proc **ret, oc_err *err);
/* The same from the ABI's JSON spec (oc_process_options.spec), which fills profile, timeout and environment. */
oc_status oc_proc_spawn_spec(oc_procs *procs, oc_owner *owner, oc_str spec, oc_proc_options *options, oc_proc **ret,
			     oc_err *err);
/* Queues bytes for standard input. OC_E_BUSY: taken, but over 64 KiB wait; OC_E_LIMIT: refused, over 4 MiB wait;
 * OC_E_STATE: closed or no OC_PROC_STDIN. */
oc_status oc_proc_write(oc_proc *proc, oc_str data);
void oc_proc_close_stdin(oc_proc *proc); /* after what is queued */
/* Signals everything the process started. 9 at once; SIGTERM, SIGINT, SIGHUP and SIGQUIT are followed by 9 after five
 * seconds; others are only passed on. OC_E_STATE: over already. */
oc_status oc_proc_kill(oc_proc *proc, int signal);
void oc_proc_pause(oc_proc *proc, bool paused); /* stops and restarts reading its output (back-pressure) */
int64_t oc_proc_pid(const oc_proc *proc);       /* of the supervisor, 0 when over */

/* The ABI service "process" over these rules. owner_of finds the owner of the calling module. One gateway a process. */
const oc_process_host *oc_process_service(oc_procs *procs, oc_owner *(*owner_of)(oc_self *self));

#endif
