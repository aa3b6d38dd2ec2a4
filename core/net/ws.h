/*
 * WebSocket (RFC 6455) over a connection of the server, or of the local client.  [loop]
 *
 * Text must be UTF-8 (1007), messages have a limit (1009), the peer must answer pings, and a peer that does not read is
 * closed (1008 "slow consumer") when too much waits for it.
 */
#ifndef OC_NET_WS_H
#define OC_NET_WS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

typedef struct oc_ws oc_ws;
struct oc_http_peer;

enum {
	OC_WS_NORMAL = 1000,
	OC_WS_GOING_AWAY = 1001,
	OC_WS_PROTOCOL = 1002,
	OC_WS_UNSUPPORTED = 1003,
	OC_WS_NO_STATUS = 1005, /* never sent: the peer gave no code */
	OC_WS_ABNORMAL = 1006,  /* never sent: the connection was lost */
	OC_WS_INVALID = 1007,
	OC_WS_POLICY = 1008,
	OC_WS_TOO_BIG = 1009,
	OC_WS_INTERNAL = 1011,
	OC_WS_RESTART = 1012,
	OC_WS_TRY_LATER = 1013
};

typedef struct oc_ws_options {
	/* A whole message; data is NUL-terminated and valid during the call. Required. */
	void (*on_message)(void *arg, oc_ws *ws, oc_str data, bool binary);
	/* The queue has become short again after oc_ws_send said OC_E_BUSY. May be NULL. */
	void (*on_drain)(void *arg, oc_ws *ws);
	/* Exactly once, never from inside a function of this header; then ws is gone. code: the peer's, or ours when we closed
	 * first. Required. */
	void (*on_close)(void *arg, oc_ws *ws, uint16_t code, oc_str reason);
	void *arg;
	size_t max_message;   /* 0: 1 MiB */
	size_t max_queue;     /* bytes waiting to be sent; 0: 4 MiB. A quarter of it makes oc_ws_send say OC_E_BUSY */
	uint32_t ping_ms;     /* a ping after so long without a byte from the peer; 0: 30,000 */
	uint32_t pong_ms;     /* the peer is gone when it stays silent so long after a ping; 0: 20,000 */
	uint32_t close_ms;    /* how long to wait for the peer's close frame; 0: 2,000 */
	const char *protocol; /* server: the chosen Sec-WebSocket-Protocol; NULL: none */
} oc_ws_options;

/* OC_OK; OC_E_BUSY: taken, but the peer is slow; OC_E_STATE: closing; OC_E_LIMIT: the queue is full: not taken, the
 * connection is being closed with 1008. Text is not checked here: pass UTF-8. */
oc_status oc_ws_send(oc_ws *ws, oc_str data, bool binary);
/* Sends a close frame (reason: at most 123 bytes, cut) and reads no more messages; on_close follows. Further calls do nothing. */
void oc_ws_close(oc_ws *ws, uint16_t code, oc_str reason);
/* Drops the connection; on_close follows with 1006. */
void oc_ws_abort(oc_ws *ws);
/* For example after authentication. */
void oc_ws_set_max_message(oc_ws *ws, size_t max_message);

#endif
