/* WebSockets: wslay's event interface over a stream.  See ws.h. */
#include "core/net/ws.h"

#include <string.h>
#include <wslay/wslay.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/queues.h"
#include "core/net/sha1.h"
#include "core/net/ws_inner.h"

#define MESSAGE_DEFAULT ((size_t)1 << 20)
#define QUEUE_DEFAULT ((size_t)4 << 20)
#define PING_DEFAULT 30000u
#define PONG_DEFAULT 20000u
#define CLOSE_DEFAULT 2000u
#define REASON_MAX 123
#define CONTROL_QUEUE_MAX ((size_t)65536) /* pongs owed to a peer that only pings */

struct oc_ws {
	oc_stream *s;
	wslay_event_context_ptr ctx;
	oc_ws_options o;
	void (*gone)(void *arg, bool open);
	void *gone_arg;
	oc_str in;	/* what is being fed */
	oc_sbuf early;	/* to be fed from the loop */
	oc_sbuf out;	/* frames of the current call */
	uint64_t last_in_ms, ping_ms, close_ms;
	uint16_t code; /* how it ended */
	char reason[REASON_MAX + 1];
	bool is_server, pinged, closing, done, finished, busy, aborted, bad_close;
	unsigned feeding; /* on the stack below */
};

static const oc_stream_cbs callbacks;

void *oc_ws_holder(const oc_ws *ws)
{
	return ws->gone_arg;
}

size_t oc_ws_capacity(const oc_ws *ws)
{
	return (ws != NULL ? ws->o.max_queue : QUEUE_DEFAULT) + CONTROL_QUEUE_MAX;
}

/* ---- Ending ---- */

static void settle(oc_ws *ws, uint16_t code, oc_str reason)
{
	if (ws->code != 0)
		return;
	ws->code = code;
	if (reason.n > REASON_MAX)
		reason.n = REASON_MAX;
	memcpy(ws->reason, reason.p, reason.n);
	ws->reason[reason.n] = 0;
}

/* From the loop only: tells the user, closes the stream or gives it back, frees. */
static void finish(oc_ws *ws, bool softly)
{
	bool open = softly && ws->is_server && !wslay_event_get_close_received(ws->ctx);

	if (ws->finished)
		return;
	ws->finished = true;
	settle(ws, OC_WS_ABNORMAL, OC_STR_NONE);
	if (!open)
		oc_stream_close(ws->s, false);
	ws->o.on_close(ws->o.arg, ws, ws->code, oc_str_of(ws->reason));
	ws->gone(ws->gone_arg, open);
	wslay_event_context_free(ws->ctx);
	oc_sbuf_free(&ws->early);
	oc_sbuf_free(&ws->out);
	oc_free(ws);
}

/* The rest happens when what is queued was sent, from the loop. */
static void done(oc_ws *ws)
{
	if (ws->done)
		return;
	ws->done = true;
	oc_stream_notify_flushed(ws->s);
}

static void abandon(oc_ws *ws, uint16_t code, const char *reason)
{
	settle(ws, code, oc_str_of(reason));
	if (!ws->closing) {
		ws->closing = true;
		(void)wslay_event_queue_close(ws->ctx, code, (const uint8_t *)reason, strlen(reason));
	}
}

/* ---- Sending ---- */

/* Lets wslay turn what is queued in it into bytes for the stream. */
static void flush(oc_ws *ws)
{
	if (wslay_event_want_write(ws->ctx) && wslay_event_send(ws->ctx) != 0) {
		settle(ws, OC_WS_INTERNAL, OC_STR_NONE);
		ws->closing = true;
		done(ws);
		return;
	}
	if (ws->out.n > 0) {
		oc_str all = oc_sbuf_view(&ws->out);

		oc_stream_write(ws->s, &all, 1);
		if (ws->out.cap > 65536)
			oc_sbuf_free(&ws->out);
		else
			oc_sbuf_clear(&ws->out);
	}
	if (wslay_event_get_close_sent(ws->ctx)) {
		if (ws->close_ms == 0)
			ws->close_ms = uv_now(oc_loop_uv(ws->s->net->loop));
		ws->closing = true;
		/* Both sides have said goodbye, or the peer broke the protocol and nothing it says counts. */
		if (wslay_event_get_close_received(ws->ctx) || !wslay_event_get_read_enabled(ws->ctx))
			done(ws);
	}
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *user)
{
	oc_ws *ws = user;

	(void)flags;
	oc_sbuf_add(&ws->out, p, n);
	if (ws->out.error != OC_OK) {
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *p, size_t n, void *user)
{
	(void)ctx;
	(void)user;
	oc_random(p, n);
	return 0;
}

oc_status oc_ws_send(oc_ws *ws, oc_str data, bool binary)
{
	struct wslay_event_msg msg = {
		.opcode = binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME, .msg = (const uint8_t *)data.p, .msg_length = data.n};

	if (ws->closing)
		return OC_E_STATE;
	if (ws->s->queued + data.n > ws->o.max_queue) {
		oc_queue_refused(OC_QUEUE_websocket_send_bytes);
		abandon(ws, OC_WS_POLICY, "slow consumer");
		flush(ws);
		return OC_E_LIMIT;
	}
	if (wslay_event_queue_msg(ws->ctx, &msg) != 0) {
		abandon(ws, OC_WS_INTERNAL, "out of memory");
		flush(ws);
		return OC_E_NOMEM;
	}
	oc_stream_lazy(ws->s); /* messages of one round travel together */
	flush(ws);
	ws->busy = ws->busy || ws->s->queued > ws->o.max_queue / 4;
	return ws->s->queued > ws->o.max_queue / 4 ? OC_E_BUSY : OC_OK;
}

void oc_ws_close(oc_ws *ws, uint16_t code, oc_str reason)
{
	if (ws->closing)
		return;
	if (reason.n > REASON_MAX) {
		/* Not in the middle of a character. */
		reason.n = REASON_MAX;
		while (reason.n > 0 && ((unsigned char)reason.p[reason.n] & 0xc0) == 0x80)
			reason.n--;
	}
	settle(ws, code, reason);
	ws->closing = true;
	(void)wslay_event_queue_close(ws->ctx, code, (const uint8_t *)reason.p, reason.n);
	flush(ws);
}

void oc_ws_abort(oc_ws *ws)
{
	settle(ws, OC_WS_ABNORMAL, OC_STR_NONE);
	ws->closing = ws->done = ws->aborted = true;
	oc_stream_wake(ws->s);
}

void oc_ws_cut(oc_ws *ws)
{
	if (ws->feeding > 0)
		oc_ws_abort(ws); /* a handler of ours called for it */
	else
		finish(ws, false);
}

/* ---- Receiving ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n, int flags, void *user)
{
	oc_ws *ws = user;

	(void)flags;
	if (ws->in.n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n > ws->in.n)
		n = ws->in.n;
	memcpy(p, ws->in.p, n);
	ws->in.p += n;
	ws->in.n -= n;
	return (ssize_t)n;
}

static void on_frame(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
	oc_ws *ws = user;

	/* Half a status code, which wslay takes for none. */
	if (frame->opcode == WSLAY_CONNECTION_CLOSE && frame->payload_length == 1) {
		ws->bad_close = true;
		wslay_event_shutdown_read(ctx);
	}
}

static void on_msg(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *msg, void *user)
{
	oc_ws *ws = user;
	const char *text = (const char *)msg->msg;
	char *copy;

	(void)ctx;
	if (ws->bad_close)
		return;
	if (msg->opcode == WSLAY_CONNECTION_CLOSE) {
		uint16_t code = msg->status_code != 0 ? msg->status_code : OC_WS_NO_STATUS;
		oc_str reason = msg->msg_length > 2 ? oc_str_make(text + 2, msg->msg_length - 2) : OC_STR_NONE;

		settle(ws, code, reason);
		ws->closing = true;
		return;
	}
	if (msg->opcode != WSLAY_TEXT_FRAME && msg->opcode != WSLAY_BINARY_FRAME)
		return; /* pongs count as a sign of life; pings are answered by wslay */
	if (ws->closing)
		return;
	/* The promised NUL: wslay's buffer has none. */
	copy = oc_memdup(text != NULL ? text : "", msg->msg_length);
	if (copy == NULL) {
		abandon(ws, OC_WS_INTERNAL, "out of memory");
		return;
	}
	ws->o.on_message(ws->o.arg, ws, oc_str_make(copy, msg->msg_length), msg->opcode == WSLAY_BINARY_FRAME);
	oc_free(copy);
}

/* A frame that cannot be read: wslay would close without a code, so the last frame is ours. */
static void broken(oc_ws *ws, uint16_t code)
{
	const char frame[4] = {(char)0x88, 2, (char)(code >> 8), (char)(code & 255)};
	oc_str last = oc_str_make(frame, sizeof(frame));

	settle(ws, code, OC_STR_NONE);
	if (ws->is_server && !wslay_event_get_close_sent(ws->ctx))
		oc_stream_write(ws->s, &last, 1);
	ws->closing = true;
	done(ws);
}

void oc_ws_feed(oc_ws *ws, oc_str bytes)
{
	if (ws->done || ws->finished)
		return;
	ws->last_in_ms = uv_now(oc_loop_uv(ws->s->net->loop));
	ws->pinged = false;
	ws->in = bytes;
	ws->feeding++;
	oc_stream_cork(ws->s);
	while (ws->in.n > 0 && !ws->aborted && wslay_event_want_read(ws->ctx)) {
		int rc = wslay_event_recv(ws->ctx);

		if (rc != 0) {
			broken(ws, rc == WSLAY_ERR_NOMEM ? OC_WS_INTERNAL : OC_WS_PROTOCOL);
			break;
		}
	}
	if (ws->bad_close && !ws->done)
		broken(ws, OC_WS_PROTOCOL);
	/* wslay answers a broken protocol by queueing a close frame and reading no more. */
	if (!ws->closing && !ws->done && !wslay_event_get_read_enabled(ws->ctx)) {
		ws->closing = true;
		flush(ws);
		settle(ws, wslay_event_get_status_code_sent(ws->ctx), OC_STR_NONE);
	}
	if (!ws->done)
		flush(ws);
	if (!ws->closing && ws->s->queued > oc_ws_capacity(ws)) {
		oc_queue_refused(OC_QUEUE_websocket_send_bytes);
		abandon(ws, OC_WS_POLICY, "slow consumer");
		flush(ws);
	}
	oc_stream_uncork(ws->s);
	ws->feeding--;
}

void oc_ws_feed_later(oc_ws *ws, oc_str bytes)
{
	oc_sbuf_str(&ws->early, bytes);
	if (ws->early.error != OC_OK)
		oc_ws_abort(ws);
	else
		oc_stream_wake(ws->s);
}

/* ---- The stream's side ---- */

static void on_data(void *arg, oc_str bytes)
{
	oc_ws_feed(arg, bytes);
}

static void on_drain(void *arg)
{
	oc_ws *ws = arg;

	if (ws->busy && !ws->closing) {
		ws->busy = false;
		if (ws->o.on_drain != NULL)
			ws->o.on_drain(ws->o.arg, ws);
	}
}

static void on_flushed(void *arg)
{
	oc_ws *ws = arg;

	if (ws->done)
		finish(ws, true);
}

static void on_wake(void *arg)
{
	oc_ws *ws = arg;

	if (ws->aborted) {
		finish(ws, false);
		return;
	}
	if (ws->early.n > 0) {
		oc_sbuf early = ws->early;

		oc_sbuf_init(&ws->early, early.max);
		oc_ws_feed(ws, oc_sbuf_view(&early));
		oc_sbuf_free(&early);
	}
}

static void on_end(void *arg, oc_status why)
{
	(void)why;
	finish(arg, false);
}

static const oc_stream_cbs callbacks = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_flushed = on_flushed,
	.on_end = on_end,
	.on_wake = on_wake,
};

void oc_ws_tick(oc_ws *ws, uint64_t now_ms)
{
	if (ws->closing) {
		if (ws->close_ms != 0 && now_ms - ws->close_ms > ws->o.close_ms)
			finish(ws, true);
		return;
	}
	if (ws->pinged) {
		if (now_ms - ws->ping_ms > ws->o.pong_ms) {
			settle(ws, OC_WS_ABNORMAL, OC_STR("no answer to a ping"));
			finish(ws, false);
		}
		return;
	}
	if (now_ms - ws->last_in_ms > ws->o.ping_ms) {
		struct wslay_event_msg msg = {.opcode = WSLAY_PING};

		ws->pinged = true;
		ws->ping_ms = now_ms;
		if (wslay_event_queue_msg(ws->ctx, &msg) == 0)
			flush(ws);
	}
}

/* ---- Settings ---- */

void oc_ws_set_max_message(oc_ws *ws, size_t max_message)
{
	ws->o.max_message = max_message;
	wslay_event_config_set_max_recv_msg_length(ws->ctx, max_message);
}

oc_status oc_ws_attach(oc_stream *s, bool is_server, const oc_ws_options *options, void (*gone)(void *arg, bool open), void *arg, oc_ws **ret)
{
	static const struct wslay_event_callbacks server_cbs = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_frame,
		.on_msg_recv_callback = on_msg};
	static const struct wslay_event_callbacks client_cbs = {.recv_callback = on_recv,
								.send_callback = on_send,
								.genmask_callback = on_mask,
								.on_frame_recv_start_callback = on_frame,
								.on_msg_recv_callback = on_msg};
	oc_ws *ws = oc_alloc(sizeof(*ws));

	if (ws == NULL)
		return OC_E_NOMEM;
	if ((is_server ? wslay_event_context_server_init(&ws->ctx, &server_cbs, ws)
		       : wslay_event_context_client_init(&ws->ctx, &client_cbs, ws))
	    != 0) {
		oc_free(ws);
		return OC_E_NOMEM;
	}
	ws->s = s;
	ws->is_server = is_server;
	ws->o = *options;
	ws->o.protocol = NULL;
	if (ws->o.max_message == 0)
		ws->o.max_message = MESSAGE_DEFAULT;
	if (ws->o.max_queue == 0)
		ws->o.max_queue = QUEUE_DEFAULT;
	if (ws->o.ping_ms == 0)
		ws->o.ping_ms = PING_DEFAULT;
	if (ws->o.pong_ms == 0)
		ws->o.pong_ms = PONG_DEFAULT;
	if (ws->o.close_ms == 0)
		ws->o.close_ms = CLOSE_DEFAULT;
	wslay_event_config_set_max_recv_msg_length(ws->ctx, ws->o.max_message);
	ws->gone = gone;
	ws->gone_arg = arg;
	ws->last_in_ms = uv_now(oc_loop_uv(s->net->loop));
	oc_sbuf_init(&ws->early, OC_NET_READ_BYTES * 4);
	oc_sbuf_init(&ws->out, ws->o.max_queue + CONTROL_QUEUE_MAX * 2);
	s->high = ws->o.max_queue / 4;
	oc_stream_set_callbacks(s, &callbacks, ws);
	*ret = ws;
	return OC_OK;
}

void oc_ws_accept_key(oc_str key, char out[29])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[24 + sizeof(magic)];
	uint8_t hash[21];
	size_t n = key.n < 24 ? key.n : 24;

	memcpy(text, key.p, n);
	memcpy(text + n, magic, sizeof(magic) - 1);
	oc_sha1(text, n + sizeof(magic) - 1, hash);
	hash[20] = 0;
	for (size_t i = 0; i < 7; i++) {
		uint32_t v = (uint32_t)hash[3 * i] << 16 | (uint32_t)hash[3 * i + 1] << 8 | hash[3 * i + 2];

		for (size_t j = 0; j < 4; j++)
			out[4 * i + j] = digits[v >> (18 - 6 * j) & 63];
	}
	out[27] = '=';
	out[28] = 0;
}
