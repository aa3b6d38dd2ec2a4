/*
 * A byte stream for the protocols of this room: TCP or Unix socket, with or without TLS, with a queue for what the peer has
 * not taken yet.  Inner header of core/net.  [loop]
 *
 * The oc_stream lies inside the connection it serves.  Writing never calls back: errors and end of stream are reported by
 * on_end, later, from the loop.  The life ends with oc_stream_close and then, from the loop, `closed`, where the memory may
 * be freed.
 */
#ifndef OC_NET_STREAM_H
#define OC_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/loop/loop.h"
#include "core/net/tls.h"

/* What the streams of one server or client share: the read buffer, spare chunks, the list of streams to be flushed. */
typedef struct oc_net {
	oc_loop *loop;
	oc_owner *owner;
	char *read_buf; /* made with the first stream */
	struct oc_chunk *spare;
	unsigned n_spare;
	struct oc_stream *dirty; /* to be looked at before the loop sleeps */
	bool scheduled;
	uint64_t bytes_in, bytes_out;
} oc_net;

#define OC_NET_READ_BYTES 65536u

/* Queued output, in the bytes behind it. */
typedef struct oc_chunk {
	struct oc_chunk *next;
	const char *p;
	size_t n, room; /* room: what can still be appended behind p[n] */
	bool pooled;
} oc_chunk;

typedef struct oc_stream_cbs {
	void (*on_data)(void *arg, oc_str bytes);
	/* The queue fell to a quarter of `high` after it had been above it. May be NULL. */
	void (*on_drain)(void *arg);
	/* Everything was handed to the kernel after oc_stream_notify_flushed. May be NULL. */
	void (*on_flushed)(void *arg);
	/* OC_OK: the peer sent all it will; else the connection is broken. Once; nothing follows but `closed`. */
	void (*on_end)(void *arg, oc_status why);
	/* oc_stream_wake was called. May be NULL. */
	void (*on_wake)(void *arg);
} oc_stream_cbs;

typedef struct oc_stream {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_write_t write_req;
	oc_net *net;
	const oc_stream_cbs *cbs;
	void *arg;
	void (*closed)(void *arg);
	void *closed_arg;
	oc_tls *tls;
	oc_chunk *plain, **plain_tail; /* TLS: not encrypted yet */
	oc_chunk *out, **out_tail;     /* waiting */
	oc_chunk *flight;              /* in write_req */
	size_t queued;                 /* bytes in all three */
	size_t high;
	struct oc_stream *dirty_next, **dirty_prev;
	uint64_t taken; /* bytes the kernel took */
	uint64_t progress_ms, progress_taken; /* when it last took some, as oc_stream_stalled_ms saw it */
	oc_status error;
	unsigned corked;
	bool is_tcp, reading, paused, above, notify_flushed, woken, ended, closing, eof, waiting, shut_wanted;
} oc_stream;

oc_status oc_net_init(oc_net *net, oc_loop *loop, const char *owner_name);
/* All streams must be closed. */
void oc_net_destroy(oc_net *net);

/* Makes the handle; connect or accept into s->uv next. The caller owns the memory until `closed`. */
oc_status oc_stream_init(oc_stream *s, oc_net *net, bool is_tcp, void (*closed)(void *arg), void *closed_arg);
/* Begins to read. tls may be NULL; it is taken over. */
oc_status oc_stream_start(oc_stream *s, const oc_stream_cbs *cbs, void *arg);
void oc_stream_set_tls(oc_stream *s, oc_tls *tls);
void oc_stream_tls_send(void *stream, oc_str bytes); /* for oc_tls_accept */
/* Another protocol takes over. */
void oc_stream_set_callbacks(oc_stream *s, const oc_stream_cbs *cbs, void *arg);
/* Sends or queues copies of all parts. Nothing happens on a broken or closing stream. */
void oc_stream_write(oc_stream *s, const oc_str *parts, size_t n);
/* While corked (by number) nothing is sent; the last uncork sends. */
void oc_stream_cork(oc_stream *s);
void oc_stream_uncork(oc_stream *s);
/* Sends at the end of this round of the loop instead of now: collects small writes. */
void oc_stream_lazy(oc_stream *s);
void oc_stream_flush(oc_stream *s);
/* on_flushed will be called, from the loop, once the queue is empty. */
void oc_stream_notify_flushed(oc_stream *s);
/* on_wake will be called before the loop sleeps. */
void oc_stream_wake(oc_stream *s);
void oc_stream_pause(oc_stream *s, bool paused);
/* Sends FIN after what is queued. */
void oc_stream_shutdown(oc_stream *s);
/* How long the peer has not taken anything although something waits; 0 when nothing waits. */
uint64_t oc_stream_stalled_ms(oc_stream *s, uint64_t now_ms);
/* Drops the queue and closes; reset: so that the peer sees an error. Further calls do nothing. */
void oc_stream_close(oc_stream *s, bool reset);

#endif
