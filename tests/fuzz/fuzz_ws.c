/*
 * WebSocket frames from a hostile peer, without sockets: the machine is attached to a stream whose writes go nowhere (it is
 * never connected).  Bit 0 of the first byte chooses the role, the rest the size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/net/ws_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct peer {
	oc_stream s;
	oc_ws *ws;
	unsigned messages, closes, gone;
	size_t max;
	uint8_t mode;
} peer;

static void on_message(void *arg, oc_ws *ws, oc_str data, bool binary)
{
	peer *p = arg;

	if (data.n > p->max || data.p[data.n] != 0 || p->closes != 0)
		abort();
	p->messages++;
	if (p->mode & 1)
		(void)oc_ws_send(ws, data, binary);
	if ((p->mode & 2) && p->messages == 3)
		oc_ws_close(ws, 4000, data);
	if ((p->mode & 4) && p->messages == 5)
		oc_ws_abort(ws);
}

static void on_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	peer *p = arg;

	if (ws != p->ws || code == 0 || reason.n > 123 || reason.p[reason.n] != 0)
		abort();
	p->closes++;
}

static void on_gone(void *arg, bool open)
{
	peer *p = arg;

	if (open)
		oc_stream_close(&p->s, false);
	p->gone++;
	p->ws = NULL;
}

static void on_closed(void *arg)
{
	free(arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static oc_loop *loop;
	static oc_net net;
	oc_ws_options options = {.on_message = on_message, .on_close = on_close, .max_message = 1000, .max_queue = 4096};
	peer *p;
	size_t step;

	if (size < 2)
		return 0;
	if (loop == NULL && (oc_loop_new(&loop, NULL) != OC_OK || oc_net_init(&net, loop, "fuzz") != OC_OK))
		abort();
	p = calloc(1, sizeof(*p));
	if (p == NULL || oc_stream_init(&p->s, &net, true, on_closed, p) != OC_OK)
		abort();
	options.arg = p;
	p->max = options.max_message;
	p->mode = data[1];
	if (oc_ws_attach(&p->s, (data[0] & 1) == 0, &options, on_gone, p, &p->ws) != OC_OK)
		abort();
	/* Corked: everything said is queued, so that the bound of the queue is tried too. */
	oc_stream_cork(&p->s);
	step = 1 + (data[0] >> 1) % 70;
	for (size_t i = 2; i < size && p->ws != NULL; i += step) {
		size_t n = size - i < step ? size - i : step;
		char *copy = malloc(n);

		memcpy(copy, data + i, n);
		oc_ws_feed(p->ws, oc_str_make(copy, n));
		free(copy);
	}
	if (p->closes != 0)
		abort(); /* never from inside a function of ours */
	oc_ws_cut(p->ws);
	if (p->closes != 1 || p->gone != 1)
		abort();
	for (int i = 0; i < 3; i++)
		(void)uv_run(oc_loop_uv(loop), UV_RUN_NOWAIT);
	return 0;
}
