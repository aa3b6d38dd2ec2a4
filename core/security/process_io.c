/* What comes from a child process, and what goes to it.  See process.h. */
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/security/process_int.h"

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

		if (newline == NULL && !(last && text.n > 0) && text.n < ERR_LINE_MAX)
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
		oc_proc_close_pipe(&p->errp, &p->err_open);
	else
		oc_proc_close_pipe(&p->out, &p->out_open);
	oc_proc_finish_if_over(p);
}

/* The same warning is given once, not with every command. */
static bool said_before(oc_procs *procs, oc_str text)
{
	uint64_t hash = oc_hash(OC_HASH_START, text);

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
		oc_proc_close_pipe(&p->status, &p->status_open);
		oc_proc_finish_if_over(p);
	}
}

void oc_proc_read(oc_proc *p)
{
	(void)uv_read_start((uv_stream_t *)&p->out, on_alloc, on_read);
	if (p->err_open)
		(void)uv_read_start((uv_stream_t *)&p->errp, on_alloc, on_read);
	(void)uv_read_start((uv_stream_t *)&p->status, on_alloc, on_status);
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
	oc_proc_wait_for_end(p);
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
		oc_proc_close_pipe(&p->in, &p->in_open);
}

oc_status oc_proc_write(oc_proc *p, oc_str data)
{
	stdin_write *w;
	uv_buf_t buf;

	if (p->over || p->stillborn || !p->in_open || p->closing_stdin)
		return OC_E_STATE;
	if (data.n > STDIN_MAX || p->stdin_waiting + data.n > STDIN_MAX) {
		oc_queue_refused(OC_QUEUE_process_stdin_bytes);
		return OC_E_LIMIT;
	}
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

void oc_procs_stdin_fill(const oc_procs *procs, oc_fill *bytes)
{
	oc_fill_add(bytes, 0, STDIN_MAX);
	for (const oc_proc *p = procs->first; p != NULL; p = p->next)
		oc_fill_add(bytes, p->stdin_waiting, STDIN_MAX);
}

void oc_proc_close_stdin(oc_proc *p)
{
	if (!p->in_open)
		return;
	p->closing_stdin = true;
	if (p->stdin_waiting == 0)
		oc_proc_close_pipe(&p->in, &p->in_open);
}

int64_t oc_proc_pid(const oc_proc *p)
{
	return p->process_open && !p->exited ? p->process.pid : 0;
}
