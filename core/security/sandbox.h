/*
 * The OS sandbox: what a child process may see and do, and whether this kernel can enforce it.
 *
 * A profile is carried out by a small helper program, openclaw-sandbox, which the gateway starts with a plain spawn; so
 * nothing delicate happens between fork and exec of a process with threads.  The helper makes namespaces, a root folder
 * that holds only what the profile names, Landlock and seccomp rules and limits, runs the command inside, and ends
 * everything the command started when the command ends.
 *
 * `strict` promises: no file outside the profile is read or written, no network unless granted, no view of and no signal to
 * other processes, no system call outside a list, no new privileges, bounded memory, time, files and processes.  When the
 * kernel cannot keep one of these promises, strict refuses with the reason and a remedy unless allow_downgrade is set;
 * relaxed goes on and says what is missing.  `relaxed` shows the whole file system read-only (but for what is hidden) and
 * filters only the dangerous system calls.  `off` only supervises: own session, limits, end of all children.
 */
#ifndef OC_SECURITY_SANDBOX_H
#define OC_SECURITY_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

enum { OC_SANDBOX_OFF = 1, OC_SANDBOX_RELAXED = 2, OC_SANDBOX_STRICT = 3 };

/* "off" "relaxed" "strict"; 0 for anything else. [any] */
int oc_sandbox_level_parse(const char *name);

/* 0 means: the default in brackets. */
typedef struct oc_sandbox_limits {
	uint64_t memory_bytes; /* of each process, and of all together where cgroups are writable [2 GiB] */
	uint64_t cpu_seconds;  /* of each process [3600] */
	uint64_t processes;    /* processes and threads at once [512] */
	uint64_t file_bytes;   /* largest file that can be written [1 GiB] */
	uint64_t open_files;   /* descriptors of each process [1024] */
	uint64_t tmp_bytes;    /* the private /tmp and the private home folder, each [256 MiB] */
} oc_sandbox_limits;

/* Features that can be missing; also for tests, which can pretend that they are (`without`). */
enum {
	OC_SANDBOX_USERNS = 1,    /* user namespaces */
	OC_SANDBOX_MOUNTNS = 2,   /* a root folder of its own */
	OC_SANDBOX_PIDNS = 4,     /* other processes out of sight */
	OC_SANDBOX_NETNS = 8,     /* a network of its own */
	OC_SANDBOX_LANDLOCK = 16, /* file rules that hold without a root folder of its own */
	OC_SANDBOX_SECCOMP = 32,  /* system call filter */
	OC_SANDBOX_CGROUP = 64    /* limits on all processes together */
};

typedef struct oc_sandbox_profile {
	int level;            /* OC_SANDBOX_*; required */
	bool network;         /* the host's network instead of none */
	bool allow_downgrade; /* strict goes on without what the kernel lacks, loudly */
	uint32_t without;     /* tests only: OC_SANDBOX_USERNS | … taken as missing */
	oc_sandbox_limits limits;
	/* Absolute paths that must exist; what is below them is included. `hide`: out of sight even when it is inside
	 * one of the others, unless a longer path of the others is inside it again. */
	const char *const *read, *const *write, *const *hide; /* each ends with NULL; may be NULL */
	const char *const *cgroups; /* folders of cgroups to enter, made and removed by the caller; ends with NULL; may be NULL */
	const char *cwd;            /* absolute, inside what is visible; required */
	const char *const *argv;    /* ends with NULL; argv[0] is looked up in the PATH of env; required */
	const char *const *env;     /* NAME=value, the whole environment; ends with NULL; may be NULL */
} oc_sandbox_profile;

/* The profile as the helper reads it from a descriptor (NUL-separated options, see sandbox.c). OC_E_INVALID names what is
 * wrong; OC_E_LIMIT when it is over 1 MiB. [any] */
oc_status oc_sandbox_encode(const oc_sandbox_profile *profile, oc_sbuf *out, oc_err *err);

/* The helper's path: OPENCLAW_SANDBOX_HELPER, else beside the running program (a build tree), else the installed one.
 * oc_free it. OC_E_NOT_FOUND tells where it was looked for. [any] */
oc_status oc_sandbox_helper(char **ret, oc_err *err);
/* This program is the helper too, when it is run as "openclaw-sandbox": used where there is no other. Before threads. */
void oc_sandbox_helper_is_self(void);

/* What this machine can enforce, for `doctor` and `status`. */
typedef struct oc_sandbox_report {
	uint32_t available;  /* OC_SANDBOX_USERNS | … */
	int landlock_abi;    /* 0: none */
	bool root;           /* runs as uid 0 */
	bool strict;         /* a strict profile works as promised */
	bool relaxed;        /* a relaxed profile works without a warning */
	char problem[512];   /* why strict does not; "" when it does */
	char remedy[256];    /* what to do about it; may be "" */
	char notes[1024];    /* what is weaker than it could be, one a line; may be "" */
} oc_sandbox_report;

/* Tries everything in a child process; takes a few milliseconds, at most 5 s. Blocks. [any] */
oc_status oc_sandbox_probe(oc_sandbox_report *ret, oc_err *err);

/* The helper's main(). Exit status as the command's; 126 and 127 when it could not be run. */
int oc_sandbox_main(int argc, char **argv);

#endif
