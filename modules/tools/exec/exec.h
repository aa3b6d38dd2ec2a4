/* The exec module: commands in the sandbox, in the foreground and in the background.  Everything is on the loop thread. */
#ifndef EX_EXEC_H
#define EX_EXEC_H

#include "clean.h"
#include "tail.h"
#include "tk.h"

#define EX_OUTPUT_MAX ((size_t)200000) /* bytes kept of a command's output */
#define EX_FINISHED_MAX 50	       /* ended commands that are remembered */
#define EX_RUNNING_MAX 24	       /* of one session */

typedef struct ex_job ex_job;

typedef struct ex_config {
	uint64_t background_ms; /* a command that takes longer goes on in the background */
	uint64_t timeout_ms;
	uint64_t cleanup_ms; /* how long an ended command is remembered */
	bool network;
	char *path;    /* PATH, NULL: the host's */
	cJSON *read;   /* further folders that may be read; NULL: none */
} ex_config;

typedef struct ex_inst {
	const oc_host_api *host;
	oc_self *self;
	const oc_process_host *processes; /* NULL until first used */
	ex_config config;
	ex_job *jobs;
	size_t n_jobs;
	oc_watch *cleanup; /* runs while there are ended jobs */
	char *tools;	   /* the JSON that tools() gives */
	const char *shell;
	uint32_t next;
} ex_inst;

/* Reads the configuration; false with a message in `why`. */
bool ex_config_read(oc_str json, ex_config *ret, char why[200]);
void ex_config_free(ex_config *config);

/* ---- One command ---- */

struct ex_job {
	ex_job *next;
	ex_inst *inst;
	char id[16];
	char *session, *command, *cwd;
	oc_process *process; /* NULL once it is over */
	int64_t pid;
	uint64_t started_ms, ended_ms; /* monotonic; ended_ms 0: runs */
	bool background;	       /* handed over to the process tool */
	bool has_stdin, pty, dropped;  /* dropped: nobody wants to know any more; freed at its end */
	ex_clean clean;
	ex_tail log;
	uint64_t polled; /* position up to which the model has seen the output */
	size_t progress; /* bytes handed on as events */
	oc_status status;
	int32_t exit_code, signal;
	char *message;
	uint64_t timeout_ms;
	oc_call *call; /* the exec call that waits for it */
	oc_watch *yield;
	oc_call *poll; /* a poll that waits for its end */
	oc_watch *poll_timer;
};

/* The tools; they complete the call, at once or later. args and context are borrowed. */
void ex_exec(ex_inst *inst, oc_call *call, const cJSON *args, const cJSON *context);
void ex_process(ex_inst *inst, oc_call *call, const cJSON *args, const cJSON *context);
/* A poll's answer, now. */
void ex_answer_poll(ex_job *job);

/* Signals it; what it says on exit still arrives. */
void ex_job_kill(ex_job *job, int32_t sig);
/* Ends and forgets it. */
void ex_job_drop(ex_job *job);
ex_job *ex_job_find(ex_inst *inst, const char *session, const char *id);
/* "Ended by signal 11 (SIGSEGV: …)." and the like; "" when it ended well. */
const char *ex_job_words(const ex_job *job, char *out, size_t size);
cJSON *ex_job_details(const ex_job *job, const char *status);
bool ex_job_failed(const ex_job *job); /* it could not run, was ended, or ran out of something */

#endif
