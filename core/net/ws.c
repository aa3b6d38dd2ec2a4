/* WebSockets: frames in and out of a stream, the end, time.  See ws.h. */
#include "core/net/ws.h"

#include <string.h>

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/queues.h"
#include "core/data/utf8.h"
#include "core/net/sha1.h"
#include "core/net/ws_inner.h"

#define MESSAGE_DEFAULT ((size_t)1 << 20)
#define QUEUE_DEFAULT ((size_t)4 << 20)
#define PING_DEFAULT 30000u
#define PONG_DEFAULT 20000u
#define CLOSE_DEFAULT 2000u
#define REASON_MAX 123
#define CONTROL_QUEUE_MAX ((size_t)65536) /* pongs owed to a peer that only pings */

#define CONTROL_MAX 125 /* bytes of a control frame */
#define HEAD_MAX 14

enum { FIN = 0x80, RESERVED = 0x70, MASKED = 0x80 };
enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* Thousands of these lie idle: nothing here is large, and what a message needs is made for it. */
struct oc_ws {
	oc_stream *s;
	oc_ws_options o;
	void (*gone)(void *arg, bool open);
	void *gone_arg;
	oc_sbuf early; /* to be fed from the loop */
	/* The frame that is coming in. */
	uint8_t head[HEAD_MAX], head_n;
	uint8_t op;   /* of the message that is coming in; 0: none */
	bool in_body; /* the head is complete */
	uint8_t mask[4];
	uint64_t left;	   /* bytes of it that have not come */
	size_t taken;	   /* bytes of it that have */
	oc_sbuf message;   /* so far */
	size_t checked;	   /* bytes of it that are UTF-8 */
	char *control;	   /* a control frame's bytes while it is incomplete */
	uint64_t last_in_ms, ping_ms, close_ms;
	uint16_t code; /* how it ended */
	char *reason;  /* NULL: none */
	bool is_server, pinged, closing, done, finished, busy, aborted;
	bool close_sent, close_received, deaf; /* deaf: the peer broke the protocol, nothing it says counts */
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
	ws->reason = reason.n > 0 ? oc_memdup(reason.p, reason.n) : NULL; /* without memory it is not told */
}

/* From the loop only: tells the user, closes the stream or gives it back, frees. */
static void finish(oc_ws *ws, bool softly)
{
	bool open = softly && ws->is_server && !ws->close_received;

	if (ws->finished)
		return;
	ws->finished = true;
	settle(ws, OC_WS_ABNORMAL, OC_STR_NONE);
	if (!open)
		oc_stream_close(ws->s, false);
	ws->o.on_close(ws->o.arg, ws, ws->code, oc_str_of(ws->reason != NULL ? ws->reason : ""));
	ws->gone(ws->gone_arg, open);
	oc_sbuf_free(&ws->early);
	oc_sbuf_free(&ws->message);
	oc_free(ws->control);
	oc_free(ws->reason);
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

/* ---- Sending ---- */

/* What is masked already, or shall be: byte i of it is byte at + i of its frame. Eight at a time. */
static void apply_mask(char *to, const char *from, size_t n, const uint8_t mask[4], size_t at)
{
	uint8_t turned[8];
	uint64_t key, word;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(turned); k++)
		turned[k] = mask[(at + k) % 4];
	memcpy(&key, turned, sizeof(key));
	for (; n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, from + i, sizeof(word));
		word ^= key;
		memcpy(to + i, &word, sizeof(word));
	}
	for (; i < n; i++)
		to[i] = (char)((uint8_t)from[i] ^ turned[i % 4]);
}

static size_t make_head(uint8_t *head, unsigned op, size_t n, bool masked)
{
	uint8_t bit = masked ? MASKED : 0;

	head[0] = (uint8_t)(FIN | op);
	if (n < 126) {
		head[1] = (uint8_t)(bit | n);
		return 2;
	}
	if (n < 65536) {
		head[1] = bit | 126;
		head[2] = (uint8_t)(n >> 8);
		head[3] = (uint8_t)n;
		return 4;
	}
	head[1] = bit | 127;
	for (size_t i = 0; i < 8; i++)
		head[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
	return 10;
}

static oc_status send_frame(oc_ws *ws, unsigned op, oc_str data)
{
	uint8_t head[HEAD_MAX];
	size_t n = make_head(head, op, data.n, !ws->is_server);
	oc_str parts[2] = {{(const char *)head, n}, data};
	char *masked = NULL;

	if (!ws->is_server) {
		masked = oc_alloc(data.n + 1);
		if (masked == NULL)
			return OC_E_NOMEM;
		oc_random(head + n, 4);
		apply_mask(masked, data.p, data.n, head + n, 0);
		parts[0].n = n + 4;
		parts[1].p = masked;
	}
	oc_stream_write(ws->s, parts, 2);
	oc_free(masked);
	return OC_OK;
}

/* The last frame; code 0 or OC_WS_NO_STATUS: without one. */
static void send_close(oc_ws *ws, uint16_t code, oc_str reason)
{
	char body[CONTROL_MAX] = {(char)(code >> 8), (char)(code & 255)};
	size_t n = code == 0 || code == OC_WS_NO_STATUS ? 0 : 2 + reason.n;

	if (ws->close_sent)
		return;
	if (n > 2)
		memcpy(body + 2, reason.p, reason.n);
	(void)send_frame(ws, OP_CLOSE, (oc_str){body, n});
	ws->close_sent = ws->closing = true;
	ws->close_ms = uv_now(oc_loop_uv(ws->s->net->loop));
	if (ws->close_received || ws->deaf)
		done(ws);
}

static void abandon(oc_ws *ws, uint16_t code, const char *reason)
{
	settle(ws, code, oc_str_of(reason));
	send_close(ws, code, oc_str_of(reason));
}

oc_status oc_ws_send(oc_ws *ws, oc_str data, bool binary)
{
	if (ws->closing)
		return OC_E_STATE;
	if (ws->s->queued + data.n > ws->o.max_queue) {
		oc_queue_refused(OC_QUEUE_websocket_send_bytes);
		abandon(ws, OC_WS_POLICY, "slow consumer");
		return OC_E_LIMIT;
	}
	oc_stream_lazy(ws->s); /* messages of one round travel together */
	if (send_frame(ws, binary ? OP_BINARY : OP_TEXT, data) != OC_OK) {
		abandon(ws, OC_WS_INTERNAL, "out of memory");
		return OC_E_NOMEM;
	}
	if (ws->s->queued <= ws->o.max_queue / 4)
		return OC_OK;
	ws->busy = true;
	return OC_E_BUSY;
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
	send_close(ws, code, reason);
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

/* The peer broke the protocol: it is told, and not listened to any more. */
static void broken(oc_ws *ws, uint16_t code)
{
	settle(ws, code, OC_STR_NONE);
	ws->deaf = ws->closing = true;
	if (ws->close_sent)
		done(ws);
	else
		send_close(ws, code, OC_STR_NONE);
}

/* The codes that may be sent (RFC 6455, 7.4; IANA has added 1012 to 1014). */
static bool code_ok(unsigned code)
{
	return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999);
}

static void take_close(oc_ws *ws, oc_str body)
{
	unsigned code = body.n >= 2 ? (unsigned)(uint8_t)body.p[0] << 8 | (uint8_t)body.p[1] : OC_WS_NO_STATUS;
	oc_str reason = body.n > 2 ? oc_str_make(body.p + 2, body.n - 2) : OC_STR_NONE;

	if (body.n == 1 || (body.n >= 2 && !code_ok(code))) {
		broken(ws, OC_WS_PROTOCOL);
	} else if (!oc_utf8_valid(reason)) {
		broken(ws, OC_WS_INVALID);
	} else {
		settle(ws, (uint16_t)code, reason);
		ws->close_received = true;
		if (ws->close_sent)
			done(ws);
		else
			send_close(ws, (uint16_t)code, reason);
	}
}

static void take_control(oc_ws *ws, unsigned op, oc_str body)
{
	if (op == OP_CLOSE)
		take_close(ws, body);
	else if (op == OP_PING && !ws->closing)
		(void)send_frame(ws, OP_PONG, body);
	/* Pongs are a sign of life like any other byte. */
}

/* Whether more bytes can make a character of these: a valid one begins with them and 80 or A0. */
static bool may_go_on(oc_str cut)
{
	for (int fill = 0x80; cut.n < 4 && fill <= 0xa0; fill += 0x20) {
		char whole[4];
		uint32_t code;

		memset(whole, fill, sizeof(whole));
		memcpy(whole, cut.p, cut.n);
		if (oc_utf8_decode((oc_str){whole, sizeof(whole)}, &code) > cut.n)
			return true;
	}
	return false;
}

/* What is there of a text, up to a character that may be cut when there is more to come. */
static bool text_ok(oc_ws *ws, bool whole)
{
	oc_str rest = {ws->message.p + ws->checked, ws->message.n - ws->checked};
	size_t good = oc_utf8_check(rest);

	ws->checked += good;
	return good == rest.n || (!whole && may_go_on((oc_str){rest.p + good, rest.n - good}));
}

static void end_message(oc_ws *ws)
{
	bool binary = ws->op == OP_BINARY;

	ws->op = 0;
	ws->checked = 0;
	if (!ws->closing)
		ws->o.on_message(ws->o.arg, ws, oc_sbuf_view(&ws->message), binary);
	oc_sbuf_clear(&ws->message);
}

/* The first two bytes of a frame: what can be wrong with it whatever its length. */
static bool start_ok(const oc_ws *ws)
{
	unsigned op = ws->head[0] & 15, n = ws->head[1] & 127;
	bool fin = (ws->head[0] & FIN) != 0;

	if ((ws->head[0] & RESERVED) != 0 || ((ws->head[1] & MASKED) != 0) != ws->is_server)
		return false;
	if (op >= OP_CLOSE)
		return op <= OP_PONG && fin && n <= CONTROL_MAX;
	return op == OP_MORE ? ws->op != 0 : op <= OP_BINARY && ws->op == 0;
}

static size_t head_size(const oc_ws *ws)
{
	unsigned n = ws->head[1] & 127;

	return 2u + (n == 126 ? 2 : n == 127 ? 8 : 0) + ((ws->head[1] & MASKED) != 0 ? 4 : 0);
}

/* The head is there. */
static void begin_frame(oc_ws *ws)
{
	unsigned op = ws->head[0] & 15;
	size_t n = ws->head[1] & 127, at = 2, more = n == 126 ? 2 : n == 127 ? 8 : 0;

	ws->left = more == 0 ? n : 0;
	while (more-- > 0)
		ws->left = ws->left << 8 | ws->head[at++];
	if ((n == 126 && ws->left < 126) || (n == 127 && (ws->left < 65536 || ws->left > INT64_MAX))) {
		broken(ws, OC_WS_PROTOCOL);
		return;
	}
	memcpy(ws->mask, ws->head + at, ws->is_server ? 4 : 0);
	ws->taken = 0;
	ws->in_body = true;
	if (op < OP_CLOSE && op != OP_MORE)
		ws->op = (uint8_t)op;
	if (op < OP_CLOSE && !ws->closing && (ws->message.n > ws->o.max_message || ws->left > ws->o.max_message - ws->message.n))
		broken(ws, OC_WS_TOO_BIG);
}

static void take_data(oc_ws *ws, const char *p, size_t n)
{
	char *to = ws->closing ? NULL : oc_sbuf_room(&ws->message, n + 1);

	if (ws->closing)
		return;
	if (to == NULL) {
		broken(ws, OC_WS_INTERNAL);
		return;
	}
	apply_mask(to, p, n, ws->mask, ws->taken);
	oc_sbuf_grew(&ws->message, n);
	if (ws->op == OP_TEXT && !text_ok(ws, ws->left == n && (ws->head[0] & FIN) != 0))
		broken(ws, OC_WS_INVALID);
}

/* Some bytes of a frame's body, perhaps none. */
static void take(oc_ws *ws, const char *p, size_t n)
{
	unsigned op = ws->head[0] & 15;
	char body[CONTROL_MAX];

	if (op < OP_CLOSE) {
		take_data(ws, p, n);
	} else if (n < ws->left || ws->taken > 0) { /* it comes in pieces */
		if (ws->control == NULL)
			ws->control = oc_alloc(CONTROL_MAX);
		if (ws->control == NULL)
			broken(ws, OC_WS_INTERNAL);
		else
			apply_mask(ws->control + ws->taken, p, n, ws->mask, ws->taken);
	} else {
		apply_mask(body, p, n, ws->mask, 0);
	}
	ws->taken += n;
	ws->left -= n;
	if (ws->left > 0 || ws->deaf)
		return;
	ws->in_body = false;
	ws->head_n = 0;
	if (op < OP_CLOSE) {
		if ((ws->head[0] & FIN) != 0)
			end_message(ws);
		return;
	}
	take_control(ws, op, (oc_str){ws->control != NULL ? ws->control : body, ws->taken});
	oc_free(ws->control);
	ws->control = NULL;
}

/* One frame, or what is there of it. */
static void read_frame(oc_ws *ws, oc_str *in)
{
	size_t n;

	while (!ws->in_body && in->n > 0) {
		ws->head[ws->head_n++] = (uint8_t)*in->p++;
		in->n--;
		if (ws->head_n == 2 && !start_ok(ws)) {
			broken(ws, OC_WS_PROTOCOL);
			return;
		}
		if (ws->head_n >= 2 && ws->head_n == head_size(ws))
			begin_frame(ws);
		if (ws->deaf)
			return;
	}
	if (!ws->in_body || (in->n == 0 && ws->left > 0))
		return;
	n = ws->left < in->n ? (size_t)ws->left : in->n;
	in->p += n;
	in->n -= n;
	take(ws, in->p - n, n);
}

void oc_ws_feed(oc_ws *ws, oc_str bytes)
{
	if (ws->done || ws->finished)
		return;
	ws->last_in_ms = uv_now(oc_loop_uv(ws->s->net->loop));
	ws->pinged = false;
	ws->feeding++;
	oc_stream_cork(ws->s);
	while (bytes.n > 0 && !ws->done && !ws->aborted && !ws->deaf && !ws->close_received)
		read_frame(ws, &bytes);
	if (ws->op == 0 || ws->deaf)
		oc_sbuf_free(&ws->message);
	if (!ws->closing && ws->s->queued > oc_ws_capacity(ws)) {
		oc_queue_refused(OC_QUEUE_websocket_send_bytes);
		abandon(ws, OC_WS_POLICY, "slow consumer");
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
		ws->pinged = true;
		ws->ping_ms = now_ms;
		(void)send_frame(ws, OP_PING, OC_STR_NONE);
	}
}

/* ---- Settings ---- */

void oc_ws_set_max_message(oc_ws *ws, size_t max_message)
{
	ws->o.max_message = max_message;
	ws->message.max = max_message + 1;
}

oc_status oc_ws_attach(oc_stream *s, bool is_server, const oc_ws_options *options, void (*gone)(void *arg, bool open), void *arg, oc_ws **ret)
{
	oc_ws *ws = oc_alloc(sizeof(*ws));

	if (ws == NULL)
		return OC_E_NOMEM;
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
	ws->gone = gone;
	ws->gone_arg = arg;
	ws->last_in_ms = uv_now(oc_loop_uv(s->net->loop));
	oc_sbuf_init(&ws->early, OC_NET_READ_BYTES * 4);
	oc_sbuf_init(&ws->message, ws->o.max_message + 1);
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
