/* What the server and the local client need of WebSockets beside ws.h.  Inner header of core/net.  [loop] */
#ifndef OC_NET_WS_INNER_H
#define OC_NET_WS_INNER_H

#include "core/net/stream.h"
#include "core/net/ws.h"

/* Takes a stream over after the handshake. gone(arg, open) is called, from the loop, when the oc_ws is freed. The stream is
 * closing then, unless open: a server whose peer has not said goodbye gets it back, to be closed softly, since closing with
 * unread input would take the close frame from the peer. OC_E_NOMEM: nothing was taken. */
oc_status oc_ws_attach(oc_stream *s, bool is_server, const oc_ws_options *options, void (*gone)(void *arg, bool open),
		       void *arg, oc_ws **ret);
/* What gone is called with. */
void *oc_ws_holder(const oc_ws *ws);
/* Bytes that may wait to be sent, what the protocol itself says included; NULL: unless the options say otherwise. */
size_t oc_ws_capacity(const oc_ws *ws);
/* Bytes that arrived before the stream was taken over: now, or (copied) from the loop. */
void oc_ws_feed(oc_ws *ws, oc_str bytes);
void oc_ws_feed_later(oc_ws *ws, oc_str bytes);
/* To be called every second or so: pings and time limits. */
void oc_ws_tick(oc_ws *ws, uint64_t now_ms);
/* Drops the connection: on_close (1006) and gone are called from here, or from the loop when a callback of the WebSocket is
 * running. */
void oc_ws_cut(oc_ws *ws);

/* The answer to a Sec-WebSocket-Key: 28 characters and NUL. */
void oc_ws_accept_key(oc_str key, char out[29]);

#endif
