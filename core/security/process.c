/* Child processes: all of them, signals, the end.  See process.h. */
#include "core/security/process.h"

#include <signal.h>
#include <stdio.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/security/process_int.h"
#include "core/security/sandbox_int.h"

#define KILL_MS 5000
#define LINGER_MS 2000
#define REMOVE_MS 50
#define REMOVE_TRIES 40
/* ---- All of them ---- */

static void free_list(char **list)
{
	for (size_t i = 0; list[i] != NULL; i++) {
		oc_free(list[i]);
		list[i] = NULL;
	}
}

static bool copy_list(char **to, const char *const *from)
{
	size_t n = 0;

	free_list(to);
	for (; from != NULL && *from != NULL && n < PATHS_MAX; from++) {
		to[n] = oc_strdup(*from);
		if (to[n++] == NULL)
			return false;
	}
	return true;
}

oc_status oc_procs_configure(oc_procs *procs, const oc_procs_options *o, oc_err *err)
{
	bool ok = copy_list(procs->open, o->open) && copy_list(procs->read, o->read);

	procs->level = o->level != 0 ? o->level : OC_SANDBOX_STRICT;
	procs->allow_downgrade = o->allow_downgrade;
	procs->network = o->network;
	procs->limits = o->limits;
	procs->max_processes = o->max_processes != 0 ? o->max_processes : 64;
	procs->without = o->without;
	oc_free(procs->state_dir);
	oc_free(procs->path);
	oc_free(procs->config);
	procs->state_dir = o->state_dir != NULL ? oc_strdup(o->state_dir) : oc_path_state_dir();
	procs->path = o->path != NULL ? oc_strdup(o->path) : NULL;
	procs->config = oc_path_config();
	if (!ok || procs->state_dir == NULL || procs->config == NULL || (o->path != NULL && procs->path == NULL))
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the rules of child processes");
	return OC_OK;
}

static void procs_unref(oc_procs *procs)
{
	if (--procs->refs > 0)
		return;
	free_list(procs->open);
	free_list(procs->read);
	oc_cgroup_base_free(&procs->cgroups);
	oc_free(procs->state_dir);
	oc_free(procs->path);
	oc_free(procs->config);
	oc_free(procs->helper);
	oc_free(procs->chunk);
	oc_free(procs);
}

oc_status oc_procs_new(oc_loop *loop, const oc_procs_options *options, oc_procs **ret, oc_err *err)
{
	oc_procs *procs = oc_alloc(sizeof(*procs));
	oc_status st;

	if (procs == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for child processes");
	procs->loop = loop;
	procs->refs = 1;
	/* Writing to a command that does not read must fail, not end us. */
	(void)signal(SIGPIPE, SIG_IGN);
	procs->owner = oc_owner_new(loop, "processes");
	st = procs->owner != NULL ? oc_procs_configure(procs, options, err)
				  : oc_fail(err, OC_E_NOMEM, NULL, "no memory for child processes");
	if (st != OC_OK) {
		oc_owner_free(procs->owner);
		procs_unref(procs);
		return st;
	}
	*ret = procs;
	return OC_OK;
}

size_t oc_procs_count(const oc_procs *procs)
{
	return procs->n;
}

/* ---- The end of one ---- */

void oc_proc_link(oc_proc **list, oc_proc *p)
{
	p->prev = NULL;
	p->next = *list;
	if (p->next != NULL)
		p->next->prev = p;
	*list = p;
}

static void unlink_proc(oc_proc **list, oc_proc *p)
{
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		*list = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
}

/* The loop is done with the last handle: nothing refers to it any more. */
static void release(oc_proc *p)
{
	oc_procs *procs = p->procs;

	oc_sbuf_free(&p->status_text);
	oc_sbuf_free(&p->err_line);
	oc_cgroup_free(&p->cgroup);
	oc_free(p);
	procs_unref(procs);
}

static void on_closed(uv_handle_t *handle)
{
	oc_proc *p = handle->data;

	if (--p->handles == 0 && p->over && p->linger == NULL)
		release(p);
}

void oc_proc_close_pipe(uv_pipe_t *pipe, bool *open)
{
	if (!*open)
		return;
	*open = false;
	uv_close((uv_handle_t *)pipe, on_closed);
}

static void close_all(oc_proc *p)
{
	oc_proc_close_pipe(&p->in, &p->in_open);
	oc_proc_close_pipe(&p->out, &p->out_open);
	oc_proc_close_pipe(&p->errp, &p->err_open);
	oc_proc_close_pipe(&p->status, &p->status_open);
	if (p->process_open) {
		p->process_open = false;
		uv_close((uv_handle_t *)&p->process, on_closed);
	}
}

static void end_watches(oc_proc *p)
{
	oc_watch_end(p->timeout);
	oc_watch_end(p->hard);
	oc_watch_end(p->linger);
	p->timeout = p->hard = p->linger = NULL;
}

static void leave(oc_proc *p)
{
	oc_watch_end(p->linger);
	p->linger = NULL;
	unlink_proc(&p->procs->leaving, p);
	if (p->handles == 0)
		release(p);
}

/* A group can be removed only when the kernel has forgotten its processes, a moment after their end. */
static void on_remove(void *arg)
{
	oc_proc *p = arg;

	if (!oc_cgroup_remove(&p->cgroup) && ++p->remove_tries < REMOVE_TRIES) {
		oc_timer_again(p->linger, REMOVE_MS);
		return;
	}
	leave(p);
}

static void describe_end(oc_proc *p, oc_status *ret_status, oc_err *message)
{
	if (p->failure.code != OC_OK)
		*message = p->failure;
	else if (p->timed_out)
		(void)oc_fail(message, OC_E_TIMEOUT, "", "ended because its time was up");
	else if (p->limit[0] != 0)
		(void)oc_fail(message, OC_E_LIMIT, "", "ended because it had %s", p->limit);
	else if (p->cgroup.paths[0] != NULL && oc_cgroup_was_oom(&p->cgroup))
		(void)oc_fail(message, OC_E_LIMIT, "", "ended because it needed more memory than allowed");
	else if (p->killed)
		(void)oc_fail(message, OC_E_CANCELED, "", "ended on request");
	*ret_status = message->code;
}

static void report(oc_proc *p)
{
	oc_owner *owner = p->owner;
	oc_err message = {0};
	oc_status status = OC_OK;
	char text[sizeof(message.text) + sizeof(message.remedy) + 4];

	p->owner = NULL;
	oc_owner_forget(p->ticket);
	p->ticket = NULL;
	if (p->o.on_exit == NULL)
		return;
	describe_end(p, &status, &message);
	(void)snprintf(text, sizeof(text), "%s%s%s", message.text, message.remedy[0] != 0 ? "; " : "", message.remedy);
	uint64_t entered = oc_owner_enter(owner);
	p->o.on_exit(p->o.arg, status, p->exit_code, p->signal, oc_str_of(text));
	oc_owner_leave(owner, entered);
}

void oc_proc_end(oc_proc *p)
{
	p->over = true;
	end_watches(p);
	unlink_proc(&p->procs->first, p);
	p->procs->n--;
	close_all(p);
	if (p->owner != NULL)
		report(p);
	if (p->cgroup.paths[0] != NULL && !oc_cgroup_remove(&p->cgroup) && !p->procs->closed)
		p->linger = oc_timer_start(p->procs->owner, REMOVE_MS, 0, on_remove, p);
	if (p->linger != NULL)
		oc_proc_link(&p->procs->leaving, p);
	else if (p->handles == 0)
		release(p);
}

void oc_proc_finish_if_over(oc_proc *p)
{
	if (!p->over && p->exited && !p->out_open && !p->err_open && !p->status_open)
		oc_proc_end(p);
}

/* Somebody got away with our pipe (possible only without a pid namespace): do not wait for him. */
static void on_linger(void *arg)
{
	oc_proc *p = arg;

	oc_proc_close_pipe(&p->out, &p->out_open);
	oc_proc_close_pipe(&p->errp, &p->err_open);
	oc_proc_close_pipe(&p->status, &p->status_open);
	oc_proc_finish_if_over(p);
}

void oc_proc_wait_for_end(oc_proc *p)
{
	if (p->exited && p->linger == NULL && !p->over && !p->paused)
		p->linger = oc_timer_start(p->procs->owner, LINGER_MS, 0, on_linger, p);
}

void oc_proc_on_exit(uv_process_t *process, int64_t code, int sig)
{
	oc_proc *p = process->data;

	p->exited = true;
	/* What the helper said of the command (status line R) is nearer to the truth than its own end. */
	if (p->exit_code == -1) {
		p->exit_code = sig != 0 ? 0 : (int)code;
		p->signal = sig == SANDBOX_SIGNAL ? SIGKILL : sig;
	}
	oc_cgroup_kill(&p->cgroup);
	oc_proc_wait_for_end(p);
	oc_proc_finish_if_over(p);
}

/* ---- Signals ---- */

static void send_signal(oc_proc *p, int sig)
{
	if (p->process_open && !p->exited && p->process.pid > 0)
		(void)sigqueue(p->process.pid, SANDBOX_SIGNAL, (union sigval){.sival_int = sig});
}

static void on_hard(void *arg)
{
	oc_proc *p = arg;

	oc_watch_end(p->hard);
	p->hard = NULL;
	(void)oc_proc_kill(p, SIGKILL);
}

/* The supervisor itself does not answer: end it, and the kernel ends what hangs on it. */
static void on_supervisor_stuck(void *arg)
{
	oc_proc *p = arg;

	if (!p->exited && p->process.pid > 0)
		(void)kill(p->process.pid, SIGKILL);
	oc_cgroup_kill(&p->cgroup);
}

oc_status oc_proc_kill(oc_proc *p, int sig)
{
	bool ends = sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;

	if (sig <= 0 || sig >= 64)
		return OC_E_INVALID;
	if (p->over || p->exited || p->stillborn)
		return OC_E_STATE;
	if (ends || sig == SIGKILL)
		p->killed = true;
	send_signal(p, sig);
	if (sig == SIGKILL) {
		oc_watch_end(p->hard);
		p->hard = oc_timer_start(p->procs->owner, LINGER_MS, 0, on_supervisor_stuck, p);
	} else if (ends && p->hard == NULL) {
		p->hard = oc_timer_start(p->procs->owner, KILL_MS, 0, on_hard, p);
	}
	return OC_OK;
}

void oc_proc_on_timeout(void *arg)
{
	oc_proc *p = arg;

	if (p->exited)
		return;
	p->timed_out = true;
	(void)oc_proc_kill(p, SIGTERM);
}

/* The owner's sweep: no further callbacks; the process is killed and reaped behind the scenes. */
void oc_proc_on_sweep(void *arg)
{
	oc_proc *p = arg;

	p->ticket = NULL;
	p->owner = NULL;
	if (p->stillborn)
		return; /* its deferred report was swept as well; see on_stillborn */
	oc_proc_close_pipe(&p->in, &p->in_open);
	(void)oc_proc_kill(p, SIGKILL);
}

void oc_procs_free(oc_procs *procs)
{
	if (procs == NULL)
		return;
	procs->closed = true;
	while (procs->first != NULL) {
		oc_proc *p = procs->first;

		oc_owner_forget(p->ticket);
		p->ticket = NULL;
		p->owner = NULL;
		send_signal(p, SIGKILL);
		oc_cgroup_kill(&p->cgroup);
		oc_proc_end(p);
	}
	while (procs->leaving != NULL)
		leave(procs->leaving);
	oc_process_service_end(procs);
	oc_owner_free(procs->owner);
	procs->owner = NULL;
	procs_unref(procs);
}
