/* What the files of the sandbox helper share; nobody else includes it.  The helper is single-threaded. */
#ifndef OC_SECURITY_SANDBOX_INT_H
#define OC_SECURITY_SANDBOX_INT_H

#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/security/sandbox.h"

/* Sent to the supervisor with the signal to hand on as its value; without a value (parent's death): SIGKILL. */
#define SANDBOX_SIGNAL (SIGRTMIN + 1)
#define SANDBOX_ARGS_MAX ((size_t)1024 * 1024)

enum {
	PATH_READ = 1,
	PATH_WRITE = 2,
	PATH_HIDE = 3,
	PATH_TMP = 4,  /* a private empty folder */
	PATH_LINK = 5, /* a symbolic link to `link` */
	PATH_DEV = 6   /* a device node: readable and writable, bound from outside */
};

/* One thing in the child's view of the file system. */
typedef struct sandbox_path {
	int kind;         /* PATH_* */
	const char *at;   /* absolute, without symbolic links */
	const char *link; /* PATH_LINK only */
	bool system;      /* ours, not the profile's: skipped when it does not exist */
	int tree;         /* the detached mount while the view is being built; -1 */
} sandbox_path;

#define PLAN_MAX 384
typedef struct sandbox_plan {
	sandbox_path paths[PLAN_MAX];
	size_t n;
	bool full;
} sandbox_plan;

/* What the helper was asked to do: points into the option text. */
typedef struct sandbox_args {
	int level;
	bool network, downgrade, probe;
	uint32_t without;
	oc_sandbox_limits limits;
	const char **read, **write, **hide, **cgroups, **env, **argv;
	size_t n_read, n_write, n_hide, n_cgroups, n_env;
	const char *cwd;
	int status_fd, keep_fd; /* -1: none */
	int nice;		/* more than ours */
} sandbox_args;

/* Shared between the supervisor and the process in the namespaces. */
typedef struct sandbox_shared {
	uint32_t missing; /* OC_SANDBOX_*: found missing so far */
	int why[7];       /* errno of each, by bit number */
	int landlock_abi;
	int has_status; /* `status` holds the command's wait status */
	int status;
	int over_processes; /* was ended because of too many processes */
	int retry;          /* the process in the namespaces wants to be started again with fewer of them */
	int count;          /* count processes: nothing else limits them */
	int niceness;       /* of the supervisor */
	char step[256]; /* where the building of the root folder failed */
} sandbox_shared;

/* How the process in the namespaces was started. */
typedef struct sandbox_start {
	const sandbox_args *args;
	sandbox_shared *shared;
	sandbox_plan *plan;
	uint32_t have;   /* OC_SANDBOX_USERNS | …: what it is in, or can use */
	const char *tmp; /* private folder where there is no root of its own; NULL */
	int go_fd;       /* a byte comes when it may begin */
} sandbox_start;

/* ---- sandbox_args.c ---- */

/* Parses options (NULL-terminated). Allocates the arrays. False with a message in err. */
bool sandbox_args_parse(char **argv, sandbox_args *ret, oc_err *err);

/* ---- sandbox_helper.c: reporting ---- */

void sandbox_warn(const sandbox_args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sandbox_note(const sandbox_args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reports and ends the process with status 126. */
void sandbox_die(const sandbox_args *args, const oc_err *err) __attribute__((noreturn));
void sandbox_miss(sandbox_shared *shared, uint32_t feature, int errnum);

/* ---- sandbox_plan.c ---- */

/* The view for the arguments, in the order it has to be built. home may be NULL. */
bool sandbox_plan_make(const sandbox_args *args, const char *home, sandbox_plan *plan, oc_err *err);

/* ---- sandbox_mount.c ---- */

/* Builds the view and makes it the root folder. 0 or an errno; on failure the old root is still in place. */
int sandbox_mount_root(const sandbox_args *args, sandbox_plan *plan, bool new_pids, const char **ret_step);
/* Brings the loopback device of a new network namespace up. */
void sandbox_loopback_up(void);

/* ---- sandbox_rules.c ---- */

int sandbox_landlock_abi(void); /* 0: not there */
/* Restricts this process for ever to the plan. own_root: the root folder is the plan's already. 0 or an errno. */
int sandbox_landlock(const sandbox_args *args, const sandbox_plan *plan, int abi, bool own_root, bool own_net,
		     const char *tmp);
/* Landlock alone cannot hide what is in a folder that may be written: the first such folder and what is in it, or NULL. */
const char *sandbox_landlock_conflict(const sandbox_plan *plan, const char **ret_hidden);
int sandbox_drop_caps(void);
int sandbox_limits(const oc_sandbox_limits *limits, bool own_users); /* all but memory */
int sandbox_limit_memory(const oc_sandbox_limits *limits);

/* ---- sandbox_seccomp.c, and what mkfilter.c makes for it ---- */

extern const struct sock_fprog sandbox_filter_allowed;       /* strict: nothing else can be called */
extern const struct sock_fprog sandbox_filter_refused[2][2]; /* [Unix sockets allowed][internet sockets allowed] */

int sandbox_seccomp(const sandbox_args *args, bool own_root, bool own_net);

/* ---- sandbox_judge.c ---- */

/* Whether what there is keeps the promises of the level: warns, notes, or dies. In a probe: prints. */
void sandbox_judge(const sandbox_start *start);

/* ---- sandbox_child.c ---- */

/* Runs in the new namespaces: builds the sandbox, runs the command and, with pid namespaces, stands in as init. */
void sandbox_child(const sandbox_start *start) __attribute__((noreturn));
/* Opens /dev/null as descriptors 0 to 2. */
void sandbox_null_stdio(void);

#endif
