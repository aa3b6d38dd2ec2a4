/* Child processes: spawning through the helper, output, input, signals, the end.  See process.h. */
#include "core/security/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/security/process_int.h"
#include "core/security/sandbox_int.h"

#define KILL_MS 5000
#define LINGER_MS 2000
#define REMOVE_MS 50
#define REMOVE_TRIES 40
#define LINE_MAX_BYTES ((size_t)4096)

enum { FD_ARGS = 3, FD_STATUS = 4, FD_PASS = 5 };

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

static void finish_if_over(oc_proc *p);

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

static void link_proc(oc_proc **list, oc_proc *p)
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

static void close_pipe(oc_proc *p, uv_pipe_t *pipe, bool *open)
{
	(void)p;
	if (!*open)
		return;
	*open = false;
	uv_close((uv_handle_t *)pipe, on_closed);
}

static void close_all(oc_proc *p)
{
	close_pipe(p, &p->in, &p->in_open);
	close_pipe(p, &p->out, &p->out_open);
	close_pipe(p, &p->errp, &p->err_open);
	close_pipe(p, &p->status, &p->status_open);
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

static void end(oc_proc *p)
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
		link_proc(&p->procs->leaving, p);
	else if (p->handles == 0)
		release(p);
}

static void finish_if_over(oc_proc *p)
{
	if (!p->over && p->exited && !p->out_open && !p->err_open && !p->status_open)
		end(p);
}

/* Somebody got away with our pipe (possible only without a pid namespace): do not wait for him. */
static void on_linger(void *arg)
{
	oc_proc *p = arg;

	close_pipe(p, &p->out, &p->out_open);
	close_pipe(p, &p->errp, &p->err_open);
	close_pipe(p, &p->status, &p->status_open);
	finish_if_over(p);
}

static void on_process_exit(uv_process_t *process, int64_t code, int sig)
{
	oc_proc *p = process->data;

	p->exited = true;
	/* What the helper said of the command (status line R) is nearer to the truth than its own end. */
	if (p->exit_code == -1) {
		p->exit_code = sig != 0 ? 0 : (int)code;
		p->signal = sig == SANDBOX_SIGNAL ? SIGKILL : sig;
	}
	oc_cgroup_kill(&p->cgroup);
	if (p->linger == NULL && !p->over && !p->paused)
		p->linger = oc_timer_start(p->procs->owner, LINGER_MS, 0, on_linger, p);
	finish_if_over(p);
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

static void on_timeout(void *arg)
{
	oc_proc *p = arg;

	if (p->exited)
		return;
	p->timed_out = true;
	(void)oc_proc_kill(p, SIGTERM);
}

/* The owner's sweep: no further callbacks; the process is killed and reaped behind the scenes. */
static void on_sweep(void *arg)
{
	oc_proc *p = arg;

	p->ticket = NULL;
	p->owner = NULL;
	if (p->stillborn)
		return; /* its deferred report was swept as well; see on_stillborn */
	close_pipe(p, &p->in, &p->in_open);
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
		end(p);
	}
	while (procs->leaving != NULL)
		leave(procs->leaving);
	oc_process_service_end(procs);
	oc_owner_free(procs->owner);
	procs->owner = NULL;
	procs_unref(procs);
}

/* ---- What comes from it ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	oc_proc *p = handle->data;

	(void)suggested;
	*buf = uv_buf_init(p->procs->chunk, OUT_CHUNK);
}

static void give(oc_proc *p, uint32_t stream, const char *data, size_t n)
{
	oc_owner *owner = p->owner;

	if (owner == NULL || p->o.on_output == NULL)
		return;
	uint64_t entered = oc_owner_enter(owner);
	p->o.on_output(p->o.arg, stream, oc_str_make(data, n));
	oc_owner_leave(owner, entered);
}

/* Standard error a line at a time into the log. */
static void log_lines(oc_proc *p, const char *data, size_t n, bool last)
{
	const char *name = p->owner != NULL ? oc_owner_name(p->owner) : "process";

	oc_sbuf_add(&p->err_line, data, n);
	for (;;) {
		oc_str text = oc_sbuf_view(&p->err_line);
		const char *newline = memchr(text.p, '\n', text.n);
		size_t len = newline != NULL ? (size_t)(newline - text.p) : text.n;

		if (newline == NULL && !(last && text.n > 0) && text.n < LINE_MAX_BYTES)
			return;
		oc_info(name, "%.*s", (int)len, text.p);
		oc_sbuf_consume(&p->err_line, newline != NULL ? len + 1 : len);
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	oc_proc *p = stream->data;
	bool is_err = stream == (uv_stream_t *)&p->errp, to_log = is_err && (p->o.flags & OC_PROC_LOG_ERR) != 0;

	if (n > 0 && to_log)
		log_lines(p, buf->base, (size_t)n, false);
	else if (n > 0)
		give(p, is_err ? 2 : 1, buf->base, (size_t)n);
	if (n >= 0)
		return;
	if (to_log)
		log_lines(p, "", 0, true);
	if (is_err)
		close_pipe(p, &p->errp, &p->err_open);
	else
		close_pipe(p, &p->out, &p->out_open);
	finish_if_over(p);
}

/* The same warning is given once, not with every command. */
static bool said_before(oc_procs *procs, oc_str text)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < text.n; i++)
		hash = (hash ^ (unsigned char)text.p[i]) * 16777619u;
	for (size_t i = 0; i < procs->n_said; i++)
		if (procs->said[i] == hash)
			return true;
	if (procs->n_said < sizeof(procs->said) / sizeof(procs->said[0]))
		procs->said[procs->n_said++] = hash;
	return false;
}

static void status_error(oc_proc *p, oc_str line)
{
	oc_str code = oc_str_cut(&line, ' '), text = line.p != NULL ? oc_str_cut(&line, '\t') : OC_STR_NONE;
	int64_t number = OC_E_INTERNAL;
	char remedy[256] = "";

	(void)oc_str_i64(code, -1000, -1, &number);
	if (line.p != NULL)
		(void)snprintf(remedy, sizeof(remedy), "%.*s", OC_STR_ARG(line));
	(void)oc_fail(&p->failure, (oc_status)number, remedy, "%.*s", OC_STR_ARG(text));
}

static void status_line(oc_proc *p, oc_str line)
{
	char kind = line.n > 0 ? line.p[0] : 0;
	oc_str rest = line.n > 0 ? oc_str_make(line.p + 1, line.n - 1) : OC_STR_NONE;
	int64_t code = 0, sig = 0;

	if (kind == 'E' && p->failure.code == OC_OK) {
		status_error(p, rest);
	} else if (kind == 'W' && !said_before(p->procs, rest)) {
		oc_warn("sandbox", "%.*s", OC_STR_ARG(rest));
	} else if (kind == 'N' && !said_before(p->procs, rest)) {
		oc_warn("sandbox", "weaker than it could be: %.*s", OC_STR_ARG(rest));
	} else if (kind == 'X') {
		(void)snprintf(p->limit, sizeof(p->limit), "%.*s", OC_STR_ARG(rest));
	} else if (kind == 'R') {
		oc_str first = oc_str_cut(&rest, ' ');

		if (rest.p != NULL && oc_str_i64(first, 0, 255, &code) == OC_OK && oc_str_i64(rest, 0, 64, &sig) == OC_OK) {
			p->exit_code = (int)code;
			p->signal = (int)sig;
		}
	}
}

static void on_status(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	oc_proc *p = stream->data;

	if (n > 0) {
		oc_sbuf_add(&p->status_text, buf->base, (size_t)n);
		for (;;) {
			oc_str text = oc_sbuf_view(&p->status_text);
			const char *newline = memchr(text.p, '\n', text.n);

			if (newline == NULL)
				return;
			status_line(p, oc_str_make(text.p, (size_t)(newline - text.p)));
			oc_sbuf_consume(&p->status_text, (size_t)(newline - text.p) + 1);
		}
	}
	if (n < 0) {
		close_pipe(p, &p->status, &p->status_open);
		finish_if_over(p);
	}
}

void oc_proc_pause(oc_proc *p, bool paused)
{
	if (p->paused == paused || p->over || p->stillborn)
		return;
	p->paused = paused;
	if (p->out_open)
		(void)(paused ? uv_read_stop((uv_stream_t *)&p->out) : uv_read_start((uv_stream_t *)&p->out, on_alloc, on_read));
	if (p->err_open)
		(void)(paused ? uv_read_stop((uv_stream_t *)&p->errp)
			      : uv_read_start((uv_stream_t *)&p->errp, on_alloc, on_read));
	if (!paused && p->exited && p->linger == NULL)
		p->linger = oc_timer_start(p->procs->owner, LINGER_MS, 0, on_linger, p);
}

/* ---- What goes to it ---- */

typedef struct stdin_write {
	uv_write_t request;
	oc_proc *proc;
	size_t n;
	char bytes[];
} stdin_write;

static void on_written(uv_write_t *request, int status)
{
	stdin_write *w = request->data;
	oc_proc *p = w->proc;

	p->stdin_waiting -= w->n;
	oc_free(w);
	/* A reader that closed its end: nothing more will be read. */
	if (status < 0 || (p->closing_stdin && p->stdin_waiting == 0))
		close_pipe(p, &p->in, &p->in_open);
}

oc_status oc_proc_write(oc_proc *p, oc_str data)
{
	stdin_write *w;
	uv_buf_t buf;

	if (p->over || p->stillborn || !p->in_open || p->closing_stdin)
		return OC_E_STATE;
	if (data.n > STDIN_MAX || p->stdin_waiting + data.n > STDIN_MAX)
		return OC_E_LIMIT;
	if (data.n == 0)
		return OC_OK;
	w = oc_alloc(sizeof(*w) + data.n);
	if (w == NULL)
		return OC_E_NOMEM;
	memcpy(w->bytes, data.p, data.n);
	w->proc = p;
	w->n = data.n;
	w->request.data = w;
	buf = uv_buf_init(w->bytes, (unsigned)data.n);
	p->stdin_waiting += data.n;
	if (uv_write(&w->request, (uv_stream_t *)&p->in, &buf, 1, on_written) != 0) {
		p->stdin_waiting -= data.n;
		oc_free(w);
		return OC_E_IO;
	}
	return p->stdin_waiting > STDIN_HIGH ? OC_E_BUSY : OC_OK;
}

void oc_proc_close_stdin(oc_proc *p)
{
	if (!p->in_open)
		return;
	p->closing_stdin = true;
	if (p->stdin_waiting == 0)
		close_pipe(p, &p->in, &p->in_open);
}

int64_t oc_proc_pid(const oc_proc *p)
{
	return p->process_open && !p->exited ? p->process.pid : 0;
}

/* ---- Spawning ---- */

/* The options as a file in memory. -1 with errno. */
static int make_args(const oc_proc_options *o, const oc_sandbox_profile *profile, oc_err *err)
{
	int fd = -1;
	oc_sbuf text;

	oc_sbuf_init(&text, SANDBOX_ARGS_MAX);
	oc_sbuf_add(&text, "--status-fd\0" "4", 14);
	if (o->pass_fd > 0)
		oc_sbuf_add(&text, "--keep-fd\0" "5", 12);
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
	uv_process_options_t spawn = {.exit_cb = on_process_exit, .file = p->procs->helper, .args = argv, .env = env,
				      .flags = UV_PROCESS_DETACHED, .stdio_count = o->pass_fd > 0 ? 6 : 5, .stdio = io};
	int fds[6] = {-1, -1, -1, -1, -1, o->pass_fd}, rc;
	oc_status st = OC_OK;

	fds[FD_ARGS] = make_args(o, profile, err);
	if (fds[FD_ARGS] < 0)
		return err != NULL && err->code != OC_OK ? err->code : OC_E_IO;
	if ((o->flags & OC_PROC_STDIN) != 0 && (fds[0] = make_pipe(p, &p->in, &p->in_open, false)) < 0)
		st = OC_E_IO;
	if (st == OC_OK && (fds[1] = make_pipe(p, &p->out, &p->out_open, true)) < 0)
		st = OC_E_IO;
	if (st == OC_OK && (o->flags & OC_PROC_MERGE) == 0 && (fds[2] = make_pipe(p, &p->errp, &p->err_open, true)) < 0)
		st = OC_E_IO;
	if (st == OC_OK && (fds[FD_STATUS] = make_pipe(p, &p->status, &p->status_open, true)) < 0)
		st = OC_E_IO;
	if (st != OC_OK) {
		st = oc_fail_errno(err, errno, "cannot make pipes for a process");
	} else {
		for (int i = 0; i < 6; i++)
			if (fds[i] >= 0 && (i != FD_PASS || o->pass_fd > 0))
				io[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fds[i]};
		if ((o->flags & OC_PROC_MERGE) != 0)
			io[2] = io[1];
		p->process.data = p;
		rc = uv_spawn(oc_loop_uv(p->procs->loop), &p->process, &spawn);
		/* Whatever it returned, the handle is the loop's now. */
		p->process_open = true;
		p->handles++;
		if (rc != 0)
			st = oc_fail_errno(err, -rc, "cannot start the sandbox helper %s", p->procs->helper);
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
	p->ticket = oc_owner_track(owner, on_sweep, p);
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
	oc_sbuf_init(&p->err_line, OUT_CHUNK + LINE_MAX_BYTES);
	link_proc(&procs->first, p);
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
			end(p);
		}
	}
	oc_proc_policy_free(policy);
	oc_free(policy);
	if (st != OC_OK)
		return st;
	(void)uv_read_start((uv_stream_t *)&p->out, on_alloc, on_read);
	if (p->err_open)
		(void)uv_read_start((uv_stream_t *)&p->errp, on_alloc, on_read);
	(void)uv_read_start((uv_stream_t *)&p->status, on_alloc, on_status);
	if (o->timeout_ms > 0)
		p->timeout = oc_timer_start(procs->owner, o->timeout_ms, 0, on_timeout, p);
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
	end(p);
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
		end(p);
		return OC_E_NOMEM;
	}
	*ret = p;
	return OC_OK;
}
