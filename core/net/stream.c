/* Byte streams: see stream.h. */
#include "core/net/stream.h"

#include <signal.h>
#include <string.h>

#include "core/base/mem.h"

#define CHUNK_BYTES 4096u
#define CHUNK_DATA (CHUNK_BYTES - sizeof(oc_chunk))
#define SPARE_MAX 64
#define IOV_MAX_WRITE 32
#define FLIGHT_MAX ((size_t)256 * 1024) /* in one uv_write: bounds how late progress is seen */
#define HIGH_DEFAULT ((size_t)256 * 1024)

/* ---- What streams share ---- */

oc_status oc_net_init(oc_net *net, oc_loop *loop, const char *owner_name)
{
	struct sigaction old;

	memset(net, 0, sizeof(*net));
	net->loop = loop;
	net->owner = oc_owner_new(loop, owner_name);
	/* A peer that went away is an error of the write, not the end of the process. A handler of the program's stays. */
	if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
	return net->owner != NULL ? OC_OK : OC_E_NOMEM;
}

void oc_net_destroy(oc_net *net)
{
	while (net->spare != NULL) {
		oc_chunk *c = net->spare;

		net->spare = c->next;
		oc_free(c);
	}
	oc_free(net->read_buf);
	net->read_buf = NULL;
	oc_owner_free(net->owner);
	net->owner = NULL;
}

static oc_chunk *chunk_new(oc_net *net, size_t at_least)
{
	oc_chunk *c;

	if (at_least <= CHUNK_DATA && net->spare != NULL) {
		c = net->spare;
		net->spare = c->next;
		net->n_spare--;
		memset(c, 0, sizeof(*c));
	} else {
		c = oc_alloc(at_least <= CHUNK_DATA ? CHUNK_BYTES : sizeof(*c) + at_least);
		if (c == NULL)
			return NULL;
	}
	c->p = (char *)(c + 1);
	c->pooled = at_least <= CHUNK_DATA;
	c->room = c->pooled ? CHUNK_DATA : at_least;
	return c;
}

static void chunk_free(oc_net *net, oc_chunk *c)
{
	if (c->pooled && net->n_spare < SPARE_MAX) {
		c->next = net->spare;
		net->spare = c;
		net->n_spare++;
	} else {
		oc_free(c);
	}
}

static void chunks_free(oc_net *net, oc_chunk *c)
{
	while (c != NULL) {
		oc_chunk *next = c->next;

		chunk_free(net, c);
		c = next;
	}
}

/* ---- The round-end list ---- */

static void clean(oc_stream *s)
{
	if (s->dirty_prev == NULL)
		return;
	*s->dirty_prev = s->dirty_next;
	if (s->dirty_next != NULL)
		s->dirty_next->dirty_prev = s->dirty_prev;
	s->dirty_next = NULL;
	s->dirty_prev = NULL;
}

static void end(oc_stream *s, oc_status why)
{
	if (s->ended || s->closing)
		return;
	s->ended = true;
	if (s->reading) {
		(void)uv_read_stop(&s->uv.stream);
		s->reading = false;
	}
	s->cbs->on_end(s->arg, why);
}

static void shut(oc_stream *s);

static void look_after(oc_stream *s)
{
	if (s->closing)
		return;
	oc_stream_flush(s);
	if (s->error != OC_OK) {
		end(s, s->error);
		return;
	}
	if (s->woken) {
		s->woken = false;
		if (s->cbs->on_wake != NULL)
			s->cbs->on_wake(s->arg);
		if (s->closing)
			return;
	}
	if (s->shut_wanted && s->out == NULL)
		shut(s);
	if (s->above && s->queued <= s->high / 4) {
		s->above = false;
		if (s->cbs->on_drain != NULL)
			s->cbs->on_drain(s->arg);
		if (s->closing)
			return;
	}
	if (s->notify_flushed && s->queued == 0) {
		s->notify_flushed = false;
		if (s->cbs->on_flushed != NULL)
			s->cbs->on_flushed(s->arg);
	}
}

static void run_dirty(void *arg)
{
	oc_net *net = arg;
	oc_stream *batch = net->dirty;

	net->scheduled = false;
	/* Those that become dirty meanwhile wait for the next round. */
	net->dirty = NULL;
	if (batch != NULL)
		batch->dirty_prev = &batch;
	while (batch != NULL) {
		oc_stream *s = batch;

		clean(s);
		look_after(s);
	}
}

static void make_dirty(oc_stream *s)
{
	oc_net *net = s->net;

	if (s->dirty_prev != NULL || s->closing)
		return;
	s->dirty_next = net->dirty;
	s->dirty_prev = &net->dirty;
	if (net->dirty != NULL)
		net->dirty->dirty_prev = &s->dirty_next;
	net->dirty = s;
	if (!net->scheduled)
		net->scheduled = oc_loop_defer(net->loop, net->owner, run_dirty, net) == OC_OK;
}

void oc_stream_wake(oc_stream *s)
{
	s->woken = true;
	make_dirty(s);
}

void oc_stream_lazy(oc_stream *s)
{
	make_dirty(s);
}

void oc_stream_notify_flushed(oc_stream *s)
{
	s->notify_flushed = true;
	make_dirty(s);
}

static void fail(oc_stream *s, oc_status why)
{
	if (s->error == OC_OK)
		s->error = why;
	make_dirty(s);
}

/* ---- Starting and ending ---- */

oc_status oc_stream_init(oc_stream *s, oc_net *net, bool is_tcp, void (*closed)(void *arg), void *closed_arg)
{
	int rc;

	memset(s, 0, sizeof(*s));
	if (net->read_buf == NULL) {
		net->read_buf = oc_alloc(OC_NET_READ_BYTES);
		if (net->read_buf == NULL)
			return OC_E_NOMEM;
	}
	rc = is_tcp ? uv_tcp_init(oc_loop_uv(net->loop), &s->uv.tcp) : uv_pipe_init(oc_loop_uv(net->loop), &s->uv.pipe, 0);
	if (rc != 0)
		return OC_E_IO;
	s->net = net;
	s->is_tcp = is_tcp;
	s->closed = closed;
	s->closed_arg = closed_arg;
	s->uv.handle.data = s;
	s->plain_tail = &s->plain;
	s->out_tail = &s->out;
	s->high = HIGH_DEFAULT;
	return OC_OK;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	oc_stream *s = handle->data;

	(void)suggested;
	*buf = uv_buf_init(s->net->read_buf, OC_NET_READ_BYTES);
}

static void tls_plain(void *arg, oc_str bytes)
{
	oc_stream *s = arg;

	if (!s->closing && !s->ended)
		s->cbs->on_data(s->arg, bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	oc_stream *s = stream->data;
	uint64_t entered;
	oc_str bytes;

	if (n == 0)
		return;
	entered = oc_owner_enter(s->net->owner);
	if (n < 0) {
		s->eof = n == UV_EOF;
		end(s, n == UV_EOF ? OC_OK : OC_E_IO);
	} else {
		bytes = oc_str_make(buf->base, (size_t)n);
		s->net->bytes_in += bytes.n;
		if (s->tls == NULL) {
			s->cbs->on_data(s->arg, bytes);
		} else {
			oc_status status;

			oc_stream_cork(s);
			status = oc_tls_feed(s->tls, bytes, tls_plain, s, NULL);
			oc_stream_uncork(s);
			if (status != OC_OK)
				end(s, status == OC_E_CANCELED ? OC_OK : OC_E_PROTOCOL);
		}
	}
	/* s may be closing, but lives until `closed` runs from the loop. */
	oc_owner_leave(s->net->owner, entered);
}

static void read_start(oc_stream *s)
{
	if (s->reading || s->ended || s->closing || s->paused)
		return;
	if (uv_read_start(&s->uv.stream, on_alloc, on_read) == 0)
		s->reading = true;
	else
		fail(s, OC_E_IO);
}

oc_status oc_stream_start(oc_stream *s, const oc_stream_cbs *cbs, void *arg)
{
	s->cbs = cbs;
	s->arg = arg;
	read_start(s);
	return s->reading ? OC_OK : OC_E_IO;
}

void oc_stream_set_tls(oc_stream *s, oc_tls *tls)
{
	s->tls = tls;
}

void oc_stream_set_callbacks(oc_stream *s, const oc_stream_cbs *cbs, void *arg)
{
	s->cbs = cbs;
	s->arg = arg;
}

void oc_stream_pause(oc_stream *s, bool paused)
{
	s->paused = paused;
	if (!paused) {
		read_start(s);
	} else if (s->reading) {
		(void)uv_read_stop(&s->uv.stream);
		s->reading = false;
	}
}

static void on_uv_closed(uv_handle_t *handle)
{
	oc_stream *s = handle->data;

	chunks_free(s->net, s->plain);
	chunks_free(s->net, s->out);
	chunks_free(s->net, s->flight);
	s->plain = s->out = s->flight = NULL;
	oc_tls_free(s->tls);
	s->tls = NULL;
	s->closed(s->closed_arg);
}

void oc_stream_close(oc_stream *s, bool reset)
{
	if (s->closing)
		return;
	s->closing = true;
	clean(s);
	if (!reset || !s->is_tcp || uv_tcp_close_reset(&s->uv.tcp, on_uv_closed) != 0)
		uv_close(&s->uv.handle, on_uv_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	(void)status; /* a failure shows as the end of the stream */
	oc_free(req);
}

static void shut(oc_stream *s)
{
	uv_shutdown_t *req = oc_alloc(sizeof(*req));

	s->shut_wanted = false;
	if (req == NULL || uv_shutdown(req, &s->uv.stream, on_shutdown) != 0) {
		oc_free(req);
		fail(s, OC_E_IO);
	}
}

void oc_stream_shutdown(oc_stream *s)
{
	if (s->closing || s->error != OC_OK)
		return;
	if (s->tls != NULL)
		oc_tls_close_notify(s->tls);
	oc_stream_flush(s);
	/* libuv waits for its own queue, not for ours. */
	s->shut_wanted = true;
	if (s->out == NULL && s->error == OC_OK)
		shut(s);
}

uint64_t oc_stream_stalled_ms(oc_stream *s, uint64_t now_ms)
{
	uint64_t taken = s->taken;

	if (s->queued == 0) {
		s->waiting = false;
		return 0;
	}
	/* What a running uv_write has sent so far shows only in libuv's count. */
	for (oc_chunk *c = s->flight; c != NULL; c = c->next)
		taken += c->n;
	if (s->flight != NULL)
		taken -= uv_stream_get_write_queue_size(&s->uv.stream);
	if (!s->waiting || taken != s->progress_taken)
		s->progress_ms = now_ms;
	s->waiting = true;
	s->progress_taken = taken;
	return now_ms - s->progress_ms;
}

/* ---- Output ---- */

static void append(oc_stream *s, oc_chunk **head, oc_chunk ***tail, const char *p, size_t n)
{
	oc_chunk *last = *head == NULL ? NULL : (oc_chunk *)(void *)((char *)*tail - offsetof(oc_chunk, next));

	while (n > 0) {
		size_t part;

		if (last == NULL || last->room == 0) {
			/* Big pieces get a chunk of their own size, small ones share. */
			last = chunk_new(s->net, n);
			if (last == NULL) {
				fail(s, OC_E_NOMEM);
				return;
			}
			**tail = last;
			*tail = &last->next;
		}
		part = n < last->room ? n : last->room;
		memcpy((char *)(uintptr_t)last->p + last->n, p, part);
		last->n += part;
		last->room -= part;
		s->queued += part;
		p += part;
		n -= part;
	}
}

static void count_queue(oc_stream *s)
{
	if (s->queued > s->high)
		s->above = true;
}

static void on_written(uv_write_t *req, int status)
{
	oc_stream *s = req->data;
	size_t n = 0;

	for (oc_chunk *c = s->flight; c != NULL; c = c->next)
		n += c->n;
	chunks_free(s->net, s->flight);
	s->flight = NULL;
	s->queued -= n;
	if (s->closing)
		return;
	if (status < 0) {
		fail(s, OC_E_IO);
		return;
	}
	s->net->bytes_out += n;
	s->taken += n;
	make_dirty(s); /* sends more, and tells who waits */
}

/* Moves plain bytes through TLS. */
static void encrypt(oc_stream *s)
{
	while (s->plain != NULL && oc_tls_ready(s->tls)) {
		oc_chunk *c = s->plain;

		s->plain = c->next;
		if (s->plain == NULL)
			s->plain_tail = &s->plain;
		s->queued -= c->n;
		if (oc_tls_write(s->tls, oc_str_make(c->p, c->n)) != OC_OK)
			fail(s, OC_E_IO);
		chunk_free(s->net, c);
	}
}

void oc_stream_tls_send(void *stream, oc_str bytes)
{
	oc_stream *s = stream;

	append(s, &s->out, &s->out_tail, bytes.p, bytes.n);
	if (s->corked == 0)
		make_dirty(s);
}

/* Takes n sent bytes off the queue. */
static void sent(oc_stream *s, size_t n)
{
	s->queued -= n;
	s->net->bytes_out += n;
	s->taken += n;
	while (n > 0) {
		oc_chunk *c = s->out;

		if (n < c->n) {
			c->p += n;
			c->n -= n;
			return;
		}
		n -= c->n;
		s->out = c->next;
		if (s->out == NULL)
			s->out_tail = &s->out;
		chunk_free(s->net, c);
	}
}

/* Hands the head of the queue to libuv, which waits for the socket. */
static void take_off(oc_stream *s)
{
	uv_buf_t iov[IOV_MAX_WRITE];
	unsigned n = 0;
	size_t bytes = 0;
	oc_chunk **link = &s->out;

	while (*link != NULL && n < IOV_MAX_WRITE && bytes < FLIGHT_MAX) {
		oc_chunk *c = *link;

		c->room = 0; /* nothing is appended to what is being sent */
		iov[n++] = uv_buf_init((char *)(uintptr_t)c->p, (unsigned)c->n);
		bytes += c->n;
		link = &c->next;
	}
	s->flight = s->out;
	s->out = *link;
	*link = NULL;
	if (s->out == NULL)
		s->out_tail = &s->out;
	s->write_req.data = s;
	if (uv_write(&s->write_req, &s->uv.stream, iov, n, on_written) != 0) {
		chunks_free(s->net, s->flight);
		s->flight = NULL;
		fail(s, OC_E_IO);
	}
}

void oc_stream_flush(oc_stream *s)
{
	if (s->closing || s->error != OC_OK || s->corked > 0)
		return;
	if (s->tls != NULL)
		encrypt(s);
	while (s->out != NULL && s->flight == NULL) {
		uv_buf_t iov[IOV_MAX_WRITE];
		unsigned n = 0;
		size_t bytes = 0;
		int rc;

		for (oc_chunk *c = s->out; c != NULL && n < IOV_MAX_WRITE; c = c->next) {
			iov[n++] = uv_buf_init((char *)(uintptr_t)c->p, (unsigned)c->n);
			bytes += c->n;
		}
		rc = uv_try_write(&s->uv.stream, iov, n);
		if (rc < 0 && rc != UV_EAGAIN) {
			fail(s, OC_E_IO);
			return;
		}
		if (rc > 0)
			sent(s, (size_t)rc);
		if (rc < 0 || (size_t)rc < bytes) {
			take_off(s);
			return;
		}
	}
}

/* Sends directly from the caller's memory when nothing waits; returns how much went. */
static size_t write_through(oc_stream *s, const oc_str *parts, size_t n)
{
	uv_buf_t iov[8];
	unsigned used = 0;
	int rc;

	if (s->out != NULL || s->flight != NULL || s->tls != NULL || n > 8)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].n > 0)
			iov[used++] = uv_buf_init((char *)(uintptr_t)parts[i].p, (unsigned)parts[i].n);
	}
	if (used == 0)
		return 0;
	rc = uv_try_write(&s->uv.stream, iov, used);
	if (rc < 0) {
		if (rc != UV_EAGAIN)
			fail(s, OC_E_IO);
		return 0;
	}
	s->net->bytes_out += (size_t)rc;
	s->taken += (size_t)rc;
	return (size_t)rc;
}

/* Larger than this is not worth copying into a shared chunk. */
#define COPY_MAX 16384u
#define WRITE_MAX ((size_t)1 << 30) /* of one piece; libuv counts in 32 bits */

void oc_stream_write(oc_stream *s, const oc_str *parts, size_t n)
{
	size_t total = 0, skip = 0;

	if (s->closing || s->error != OC_OK)
		return;
	for (size_t i = 0; i < n; i++)
		total += parts[i].n;
	if (total > WRITE_MAX) {
		fail(s, OC_E_LIMIT);
		return;
	}
	if (total > COPY_MAX && s->tls == NULL) {
		/* What waits goes first; then straight from the caller's memory. */
		unsigned corked = s->corked;

		s->corked = 0;
		oc_stream_flush(s);
		s->corked = corked;
		if (s->error == OC_OK)
			skip = write_through(s, parts, n);
	} else if (s->corked == 0 && s->dirty_prev == NULL) {
		skip = write_through(s, parts, n);
	}
	for (size_t i = 0; i < n; i++) {
		if (skip >= parts[i].n) {
			skip -= parts[i].n;
			continue;
		}
		if (s->tls != NULL)
			append(s, &s->plain, &s->plain_tail, parts[i].p + skip, parts[i].n - skip);
		else
			append(s, &s->out, &s->out_tail, parts[i].p + skip, parts[i].n - skip);
		skip = 0;
	}
	count_queue(s);
	if (s->queued > 0 && s->corked == 0)
		make_dirty(s);
}

void oc_stream_cork(oc_stream *s)
{
	s->corked++;
}

void oc_stream_uncork(oc_stream *s)
{
	if (--s->corked > 0)
		return;
	oc_stream_flush(s);
	if (s->notify_flushed || s->above || s->error != OC_OK)
		make_dirty(s);
}
