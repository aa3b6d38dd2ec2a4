/* Starting a child process through the sandbox helper.  See process.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/security/process_int.h"
#include "core/security/sandbox_int.h"

enum { FD_ARGS = 3, FD_STATUS = 4, FD_PASS = 5 };

/* The options as a file in memory. -1 with errno. */
static int make_args(const oc_proc_options *o, const oc_sandbox_profile *profile, oc_err *err)
{
	int fd = -1;
	oc_sbuf text;

	oc_sbuf_init(&text, SANDBOX_ARGS_MAX);
	oc_sbuf_add(&text, "--status-fd\0" "4", 14);
	if (o->pass_fd > 0)
		oc_sbuf_add(&text, "--keep-fd\0" "5", 12);
	if (o->yields)
		oc_sbuf_add(&text, "--nice\0" "5", 9);
	if (oc_sandbox_encode(profile, &text, err) == OC_OK) {
		fd = memfd_create("openclaw-sandbox", MFD_CLOEXEC);
		if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n) {
			(void)oc_fail_errno(err, errno, "cannot hand the options to the sandbox helper");
			if (fd >= 0)
				(void)close(fd);
			fd = -1;
		}
	}
	oc_sbuf_free(&text);
	return fd;
}

/* A pipe whose parent's end belongs to `handle`; returns the child's end or -1. parent_reads: direction. */
static int make_pipe(oc_proc *p, uv_pipe_t *handle, bool *open, bool parent_reads)
{
	int fds[2], mine, theirs;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	mine = parent_reads ? fds[0] : fds[1];
	theirs = parent_reads ? fds[1] : fds[0];
	(void)uv_pipe_init(oc_loop_uv(p->procs->loop), handle, 0);
	handle->data = p;
	p->handles++;
	*open = true;
	if (uv_pipe_open(handle, mine) != 0) {
		(void)close(mine);
		(void)close(theirs);
		return -1;
	}
	return theirs;
}

static void prepare_cgroup(oc_procs *procs, oc_proc *p, oc_sandbox_profile *profile)
{
	if (!procs->cgroups_known) {
		procs->cgroups_known = true;
		oc_cgroup_find(&procs->cgroups, "");
	}
	if ((profile->without & OC_SANDBOX_CGROUP) == 0 && procs->cgroups.n > 0
	    && oc_cgroup_make(&procs->cgroups, ++procs->next_number,
			      profile->limits.memory_bytes != 0 ? profile->limits.memory_bytes : UINT64_C(2) << 30,
			      (profile->limits.processes != 0 ? profile->limits.processes : 512) + 1, &p->cgroup))
		profile->cgroups = (const char *const *)(uintptr_t)p->cgroup.paths;
}

static oc_status start_helper(oc_proc *p, const oc_proc_options *o, const oc_sandbox_profile *profile, oc_err *err)
{
	char *argv[] = {(char *)(uintptr_t)"openclaw-sandbox", (char *)(uintptr_t)"--args-fd", (char *)(uintptr_t)"3", NULL};
	char *env[] = {NULL};
	uv_stdio_container_t io[6] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE},
				      {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
	uv_process_options_t spawn = {.exit_cb = oc_proc_on_exit, .file = p->procs->helper, .args = argv, .env = env,
				      .flags = UV_PROCESS_DETACHED, .stdio_count = o->pass_fd > 0 ? 6 : 5, .stdio = io};
	int fds[6] = {-1, -1, -1, -1, -1, o->pass_fd}, rc;
	oc_status st = OC_OK;

	fds[FD_ARGS] = make_args(o, profile, err);
	if (fds[FD_ARGS] < 0)
		return err != NULL && err->code != OC_OK ? err->code : OC_E_IO;
	if ((o->flags & OC_PROC_STDIN) != 0 && (fds[0] = make_pipe(p, &p->in, &p->in_open, false)) < 0)
		st = OC_E_IO;
	bool terminal = (o->flags & OC_PROC_TERMINAL) != 0;
	if (st == OC_OK && !terminal && (fds[1] = make_pipe(p, &p->out, &p->out_open, true)) < 0)
		st = OC_E_IO;
	if (st == OC_OK && !terminal && (o->flags & OC_PROC_MERGE) == 0 && (fds[2] = make_pipe(p, &p->errp, &p->err_open, true)) < 0)
		st = OC_E_IO;
	if (st == OC_OK && (fds[FD_STATUS] = make_pipe(p, &p->status, &p->status_open, true)) < 0)
		st = OC_E_IO;
	if (st != OC_OK) {
		st = oc_fail_errno(err, errno, "cannot make pipes for a process");
	} else {
		for (int i = 0; i < 6; i++)
			if (fds[i] >= 0 && (i != FD_PASS || o->pass_fd > 0))
				io[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fds[i]};
		for (int i = 0; i < 3 && terminal; i++)
			io[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = i};
		if ((o->flags & OC_PROC_MERGE) != 0)
			io[2] = io[1];
		p->process.data = p;
		rc = uv_spawn(oc_loop_uv(p->procs->loop), &p->process, &spawn);
		/* Whatever it returned, the handle is the loop's now. */
		p->process_open = true;
		p->handles++;
		if (rc != 0) /* an upgrade goes on, or the package is gone */
			st = oc_fail_errno(err, -rc, "cannot start the sandbox helper %s (after an upgrade, restart the gateway)", p->procs->helper);
	}
	for (int i = 0; i < FD_PASS; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return st;
}

static oc_proc *new_proc(oc_procs *procs, oc_owner *owner, const oc_proc_options *o)
{
	oc_proc *p = oc_alloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->ticket = oc_owner_track(owner, oc_proc_on_sweep, p);
	if (p->ticket == NULL) {
		oc_free(p);
		return NULL;
	}
	p->procs = procs;
	p->owner = owner;
	p->o = *o;
	p->o.profile = (oc_sandbox_profile){0}; /* borrowed: gone when the spawn returns */
	p->exit_code = -1;
	oc_sbuf_init(&p->status_text, 64 * 1024);
	oc_sbuf_init(&p->err_line, OUT_CHUNK + ERR_LINE_MAX);
	oc_proc_link(&procs->first, p);
	procs->n++;
	procs->refs++;
	return p;
}

static oc_status check_ready(oc_procs *procs, oc_err *err)
{
	if (procs->closed)
		return oc_fail(err, OC_E_STATE, NULL, "the gateway is stopping");
	if (procs->n >= procs->max_processes)
		return oc_fail(err, OC_E_LIMIT, "wait for one to end, or end one", "%zu commands run already, as many as allowed",
			       procs->n);
	if (procs->chunk == NULL && (procs->chunk = oc_alloc(OUT_CHUNK + 1)) == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a process");
	return procs->helper != NULL ? OC_OK : oc_sandbox_helper(&procs->helper, err);
}

oc_status oc_proc_spawn(oc_procs *procs, oc_owner *owner, const oc_proc_options *o, oc_proc **ret, oc_err *err)
{
	proc_policy *policy = NULL;
	oc_err local = {0};
	oc_proc *p = NULL;
	oc_status st;

	if (err == NULL)
		err = &local;
	st = check_ready(procs, err);
	if (st != OC_OK)
		return st;
	policy = oc_alloc(sizeof(*policy));
	if (policy == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a process");
	st = oc_proc_policy(procs, o, policy, err);
	if (st == OC_OK && (p = new_proc(procs, owner, o)) == NULL)
		st = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a process");
	if (st == OC_OK) {
		prepare_cgroup(procs, p, &policy->profile);
		st = start_helper(p, o, &policy->profile, err);
		if (st != OC_OK) { /* as if it had never been */
			oc_owner_forget(p->ticket);
			p->ticket = NULL;
			p->owner = NULL;
			oc_proc_end(p);
		}
	}
	oc_proc_policy_free(policy);
	oc_free(policy);
	if (st != OC_OK)
		return st;
	oc_proc_read(p);
	if (o->timeout_ms > 0)
		p->timeout = oc_timer_start(procs->owner, o->timeout_ms, 0, oc_proc_on_timeout, p);
	*ret = p;
	return OC_OK;
}

/* ---- One that never ran ---- */

static void on_stillborn(void *arg)
{
	oc_proc *p = arg;

	oc_watch_end(p->timeout);
	p->timeout = NULL;
	p->exit_code = 0;
	oc_proc_end(p);
}

oc_status oc_proc_stillborn(oc_procs *procs, oc_owner *owner, const oc_proc_options *o, const oc_err *err, oc_proc **ret)
{
	oc_proc *p = procs->closed ? NULL : new_proc(procs, owner, o);

	if (p == NULL)
		return OC_E_NOMEM;
	p->stillborn = true;
	p->failure = *err;
	/* Our own timer: the owner's sweep must not lose it. */
	p->timeout = oc_timer_start(procs->owner, 0, 0, on_stillborn, p);
	if (p->timeout == NULL) {
		oc_owner_forget(p->ticket);
		p->ticket = NULL;
		p->owner = NULL;
		oc_proc_end(p);
		return OC_E_NOMEM;
	}
	*ret = p;
	return OC_OK;
}
