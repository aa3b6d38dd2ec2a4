/* Calls over a transport: see peer.h. */
#include "ipc-bridge/peer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/data/json.h"

/* A call of ours. Its id is the slot's number in the low 16 bits and a generation above, so that a late answer to an older
 * call finds nobody. */
typedef struct slot {
	uint32_t id; /* 0: free */
	uint16_t generation;
	uint16_t next_free;
	oc_peer *peer;
	void (*on_event)(void *arg, uint32_t type, oc_str payload);
	void (*on_done)(void *arg, oc_status status, oc_str result);
	void *arg;
	oc_watch *deadline;
} slot;

struct oc_peer {
	oc_loop *loop;
	oc_owner *owner;
	oc_transport *transport;
	const oc_peer_events *events;
	void *arg;
	char *name, *secret, *version;
	slot **slots; /* each stays where it is */
	size_t n_slots;
	uint16_t free; /* the first free slot + 1 */
	oc_watch *timer; /* until the hello: its deadline; then heartbeats while calls are open */
	uint64_t heard_ms; /* monotonic */
	uint32_t silent_ms;
	oc_queue queue;
	bool always; /* heartbeats without open calls too */
	bool guest, connected, ready, closed, paused, probed;
	unsigned inside; /* callbacks on the stack */
	uint32_t open; /* calls that wait for their answers */
};

static void fail_all(oc_peer *peer, oc_status status, const char *why);

/* ---- Lifetime: callbacks may close the peer they come from ---- */

static void release(oc_peer *peer)
{
	oc_owner_free(peer->owner);
	for (size_t i = 0; i < peer->n_slots; i++)
		oc_free(peer->slots[i]);
	oc_free(peer->slots);
	if (peer->secret != NULL)
		oc_wipe(peer->secret, strlen(peer->secret));
	oc_free(peer->secret);
	oc_free(peer->version);
	oc_free(peer->name);
	oc_free(peer);
}

static void enter(oc_peer *peer)
{
	peer->inside++;
}

/* false: it was closed meanwhile and is gone. */
static bool leave(oc_peer *peer)
{
	if (--peer->inside > 0 || !peer->closed)
		return !peer->closed;
	release(peer);
	return false;
}

void oc_peer_close(oc_peer *peer)
{
	if (peer == NULL || peer->closed)
		return;
	peer->closed = true;
	oc_transport_close(peer->transport);
	peer->transport = NULL;
	oc_owner_sweep(peer->owner);
	if (peer->inside == 0)
		release(peer);
}

/* The connection ended or broke: tells everybody. */
static void lost(oc_peer *peer, const char *why)
{
	enter(peer);
	oc_transport_close(peer->transport);
	peer->transport = NULL;
	peer->ready = false;
	oc_watch_end(peer->timer);
	peer->timer = NULL;
	fail_all(peer, OC_E_RETRY, why);
	if (!peer->closed)
		peer->events->closed(peer->arg, why);
	(void)leave(peer);
}

void oc_peer_end(oc_peer *peer, const char *why)
{
	if (peer->transport != NULL)
		lost(peer, why);
}

/* ---- Sending ---- */

static oc_status send_frame(oc_peer *peer, const oc_frame *frame)
{
	unsigned char head[OC_FRAME_HEAD_MAX];
	size_t n = oc_frame_head(frame, head);
	if (peer->transport == NULL)
		return OC_E_UNAVAILABLE;
	if (n == 0)
		return OC_E_INVALID;
	oc_status status = oc_transport_send(peer->transport, (oc_str){(char *)head, n}, frame->payload);
	if (status == OC_E_LIMIT)
		oc_queue_refused(peer->queue + 1);
	if (status != OC_OK)
		return status == OC_E_STATE ? OC_E_UNAVAILABLE : status;
	return OC_OK;
}

oc_status oc_peer_notify(oc_peer *peer, const char *method, oc_str payload)
{
	if (!peer->ready)
		return OC_E_UNAVAILABLE;
	return send_frame(peer, &(oc_frame){.kind = OC_FRAME_NOTIFY, .name = oc_str_of(method), .payload = payload});
}

oc_status oc_peer_event(oc_peer *peer, uint32_t id, uint32_t type, oc_str payload)
{
	return send_frame(peer, &(oc_frame){.kind = OC_FRAME_EVENT, .id = id, .number = type, .payload = payload});
}

size_t oc_peer_unsent(const oc_peer *peer)
{
	return peer->transport != NULL ? oc_transport_unsent(peer->transport, NULL) : 0;
}

void oc_peer_fill(const oc_peer *peer, oc_queue queue, oc_fill q[OC_QUEUE_N])
{
	size_t bytes = 0, n = peer != NULL && peer->transport != NULL ? oc_transport_unsent(peer->transport, &bytes) : 0;
	oc_fill_add(&q[queue], peer != NULL ? peer->open : 0, OC_PEER_CALLS_MAX);
	oc_fill_add(&q[queue + 1], n, OC_TRANSPORT_UNSENT_MESSAGES);
	oc_fill_add(&q[queue + 2], bytes, OC_TRANSPORT_UNSENT_BYTES);
}

void oc_peer_pause(oc_peer *peer, bool pause)
{
	peer->paused = pause;
	peer->heard_ms = oc_now_ms();
	if (peer->transport != NULL)
		oc_transport_pause(peer->transport, pause);
}

void oc_peer_probe(oc_peer *peer)
{
	if (!peer->ready || peer->probed)
		return;
	if (peer->open == 0)
		peer->heard_ms = oc_now_ms();
	peer->probed = send_frame(peer, &(oc_frame){.kind = OC_FRAME_PING, .id = 1}) == OC_OK;
}

bool oc_peer_drain(oc_peer *peer)
{
	return peer->transport != NULL && oc_transport_drain(peer->transport);
}

void oc_peer_answer(oc_peer *peer, uint32_t id, oc_status status, oc_str result)
{
	oc_frame frame = {.kind = OC_FRAME_RESULT, .id = id, .payload = result};
	oc_sbuf text;
	char name[32] = "";
	oc_sbuf_init(&text, OC_BRIDGE_MESSAGE_MAX);
	if (status != OC_OK) {
		const char *lower = oc_status_name(status);
		size_t n = strlen(lower) < sizeof(name) ? strlen(lower) : sizeof(name) - 1;
		for (size_t i = 0; i < n; i++)
			name[i] = (char)(lower[i] >= 'a' && lower[i] <= 'z' ? lower[i] - 'a' + 'A' : lower[i]);
		oc_sbuf_z(&text, "{\"message\":");
		oc_sbuf_json(&text, result);
		oc_sbuf_char(&text, '}');
		frame.kind = OC_FRAME_ERROR;
		frame.number = (uint32_t)-status;
		frame.name = (oc_str){name, n};
		frame.payload = oc_sbuf_view(&text);
	}
	/* An answer that cannot be sent leaves the guest waiting for its own deadline: better end the connection. */
	if (send_frame(peer, &frame) != OC_OK && peer->ready)
		lost(peer, "it does not read its answers");
	oc_sbuf_free(&text);
}

/* ---- Calls of ours ---- */

static slot *find(oc_peer *peer, uint32_t id)
{
	size_t i = id & 0xffffu;
	return id != 0 && i < peer->n_slots && peer->slots[i]->id == id ? peer->slots[i] : NULL;
}

static slot *take(oc_peer *peer)
{
	if (peer->free == 0) {
		if (peer->n_slots >= OC_PEER_CALLS_MAX)
			return NULL;
		if ((peer->n_slots & (peer->n_slots - 1)) == 0) { /* a power of two, or nothing: full */
			size_t cap = peer->n_slots == 0 ? 1 : 2 * peer->n_slots;
			slot **grown = oc_realloc(peer->slots, cap * sizeof(slot *));
			if (grown == NULL)
				return NULL;
			peer->slots = grown;
		}
		slot *made = oc_alloc(sizeof(*made));
		if (made == NULL)
			return NULL;
		made->peer = peer;
		peer->slots[peer->n_slots++] = made;
		peer->free = (uint16_t)peer->n_slots;
	}
	uint16_t i = (uint16_t)(peer->free - 1);
	slot *s = peer->slots[i];
	peer->free = s->next_free;
	s->generation = (uint16_t)(s->generation == 0xffff ? 1 : s->generation + 1);
	s->id = (uint32_t)s->generation << 16 | i;
	peer->open++;
	return s;
}

static void give_back(oc_peer *peer, slot *s)
{
	uint32_t i = s->id & 0xffffu;
	oc_watch_end(s->deadline);
	s->deadline = NULL;
	s->id = 0;
	s->next_free = peer->free;
	peer->free = (uint16_t)(i + 1);
	peer->open--;
}

static void finish(oc_peer *peer, slot *s, oc_status status, oc_str result)
{
	void (*on_done)(void *, oc_status, oc_str) = s->on_done;
	void *arg = s->arg;
	give_back(peer, s);
	if (on_done != NULL)
		on_done(arg, status, result);
}

static void fail_all(oc_peer *peer, oc_status status, const char *why)
{
	for (size_t i = 0; i < peer->n_slots && !peer->closed; i++)
		if (peer->slots[i]->id != 0)
			finish(peer, peer->slots[i], status, oc_str_of(why));
}

static void on_deadline(void *arg)
{
	slot *s = arg;
	oc_peer *peer = s->peer;
	enter(peer);
	(void)send_frame(peer, &(oc_frame){.kind = OC_FRAME_CANCEL, .id = s->id});
	finish(peer, s, OC_E_TIMEOUT, OC_STR("no answer in time"));
	(void)leave(peer);
}

oc_status oc_peer_call_start(oc_peer *peer, const oc_peer_call *call, uint32_t *ret_id)
{
	if (!peer->ready)
		return OC_E_UNAVAILABLE;
	slot *s = take(peer);
	if (s == NULL) {
		oc_queue_refused(peer->queue);
		return OC_E_LIMIT;
	}
	s->on_event = call->on_event;
	s->on_done = call->on_done;
	s->arg = call->arg;
	oc_status status = send_frame(peer, &(oc_frame){.kind = OC_FRAME_CALL, .id = s->id, .number = call->deadline_ms,
							.name = oc_str_of(call->method), .payload = call->payload});
	if (status == OC_OK && call->deadline_ms != 0) {
		s->deadline = oc_timer_start(peer->owner, call->deadline_ms, 0, on_deadline, s);
		if (s->deadline == NULL)
			status = OC_E_NOMEM;
	}
	if (status != OC_OK) {
		give_back(peer, s);
		return status;
	}
	if (ret_id != NULL)
		*ret_id = s->id;
	return OC_OK;
}

void oc_peer_cancel(oc_peer *peer, uint32_t id)
{
	if (find(peer, id) != NULL)
		(void)send_frame(peer, &(oc_frame){.kind = OC_FRAME_CANCEL, .id = id});
}

/* ---- Receiving ---- */

static void on_error(oc_peer *peer, slot *s, const oc_frame *frame)
{
	oc_status status = frame->number > 0 && frame->number <= (uint32_t)-OC_E_INTERNAL ? -(oc_status)frame->number : OC_E_INTERNAL;
	cJSON *told = NULL;
	(void)oc_json_parse(frame->payload, NULL, &told, NULL);
	const char *message = oc_json_str(told, "message", "it failed without saying why");
	finish(peer, s, status, oc_str_of(message));
	cJSON_Delete(told);
}

/* What answers our calls. */
static void on_answer(oc_peer *peer, const oc_frame *frame)
{
	slot *s = find(peer, frame->id);
	if (s == NULL)
		return;
	if (frame->kind == OC_FRAME_RESULT)
		finish(peer, s, OC_OK, frame->payload);
	else if (frame->kind == OC_FRAME_ERROR)
		on_error(peer, s, frame);
	else if (s->on_event != NULL)
		s->on_event(s->arg, frame->number, frame->payload);
}

static void heartbeat(void *arg)
{
	oc_peer *peer = arg;
	uint64_t silent = oc_now_ms() - peer->heard_ms;
	if (peer->open == 0 && !peer->always && !peer->probed) {
		peer->heard_ms = oc_now_ms();
		return;
	}
	if (silent >= peer->silent_ms && !peer->paused) {
		char why[80];
		(void)snprintf(why, sizeof(why), "it is hung: nothing was heard of it for %u ms", (unsigned)silent);
		lost(peer, why);
		return;
	}
	(void)send_frame(peer, &(oc_frame){.kind = OC_FRAME_PING, .id = 1});
}

static void no_hello(void *arg)
{
	lost(arg, "it did not say hello in 20 seconds");
}

static void on_hello(oc_peer *peer, const oc_frame *frame)
{
	if (peer->guest) {
		peer->ready = true;
		oc_watch_end(peer->timer);
		peer->timer = NULL;
		peer->events->ready(peer->arg, frame->payload);
		return;
	}
	cJSON *hello = NULL;
	oc_err err = {0};
	const char *why = NULL;
	if (oc_json_parse(frame->payload, NULL, &hello, &err) != OC_OK)
		why = "its hello is no JSON";
	else if (oc_json_i64(hello, "protocol", 0) != 1)
		why = "it speaks another version of the bridge's protocol: after an upgrade, restart the gateway";
	else if (peer->secret == NULL || !oc_str_eq_secret(oc_str_of(oc_json_str(hello, "secret", "")), oc_str_of(peer->secret)))
		why = "its hello has a wrong secret";
	cJSON_Delete(hello);
	if (why != NULL) {
		lost(peer, why);
		return;
	}
	oc_wipe(peer->secret, strlen(peer->secret));
	oc_free(peer->secret);
	peer->secret = NULL;
	oc_auto_free char *answer = oc_asprintf("{\"protocol\":1,\"version\":\"%s\"}", peer->version);
	oc_watch_end(peer->timer);
	uint32_t every = peer->silent_ms / 3;
	peer->timer = oc_timer_start(peer->owner, every, every, heartbeat, peer);
	if (answer == NULL || peer->timer == NULL ||
	    send_frame(peer, &(oc_frame){.kind = OC_FRAME_HELLO, .payload = oc_str_of(answer)}) != OC_OK) {
		lost(peer, "there is no memory for it");
		return;
	}
	peer->ready = true;
	peer->events->ready(peer->arg, frame->payload);
}

static void on_frame(oc_peer *peer, const oc_frame *frame)
{
	if (!peer->ready) {
		if (frame->kind == OC_FRAME_HELLO)
			on_hello(peer, frame);
		else
			lost(peer, "it did not begin with a hello");
		return;
	}
	switch (frame->kind) {
	case OC_FRAME_RESULT:
	case OC_FRAME_ERROR:
	case OC_FRAME_EVENT:
		on_answer(peer, frame);
		break;
	case OC_FRAME_CALL:
		peer->events->call(peer->arg, frame->id, frame->name, frame->payload, frame->number);
		break;
	case OC_FRAME_CANCEL:
		if (peer->events->cancel != NULL)
			peer->events->cancel(peer->arg, frame->id);
		break;
	case OC_FRAME_NOTIFY:
		peer->events->notify(peer->arg, frame->name, frame->payload);
		break;
	case OC_FRAME_PING:
		(void)send_frame(peer, &(oc_frame){.kind = OC_FRAME_PONG, .id = frame->id});
		break;
	case OC_FRAME_PONG:
		break;
	case OC_FRAME_HELLO:
		lost(peer, "it said hello twice");
		break;
	}
}

static void on_message(void *arg, oc_str message)
{
	oc_peer *peer = arg;
	oc_frame frame;
	oc_err err = {0};
	enter(peer);
	peer->heard_ms = oc_now_ms();
	peer->probed = false;
	if (oc_frame_decode(message, &frame, &err) == OC_OK)
		on_frame(peer, &frame);
	else
		lost(peer, err.text);
	(void)leave(peer);
}

static void on_opened(void *arg)
{
	((oc_peer *)arg)->connected = true;
}

static void on_closed(void *arg, const char *why)
{
	lost(arg, why);
}

static const oc_transport_events transport_events = {on_opened, on_message, on_closed};

oc_status oc_peer_open(oc_loop *loop, const oc_peer_options *options, oc_peer **ret, oc_err *err)
{
	oc_peer *peer = oc_alloc(sizeof(*peer));
	if (peer == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the bridge");
	*peer = (oc_peer){.loop = loop, .events = options->events, .arg = options->arg, .heard_ms = oc_now_ms(), .guest = options->guest, .queue = options->queue,
			  .silent_ms = options->silent_ms != 0 ? options->silent_ms : OC_PEER_SILENT_MS, .always = options->silent_ms != 0,
			  .owner = oc_owner_new(loop, options->name), .name = oc_strdup(options->name),
			  .secret = oc_strdup(options->path != NULL ? options->secret : ""), .version = oc_strdup(options->version)};
	if (peer->owner != NULL)
		peer->timer = oc_timer_start(peer->owner, OC_PEER_HELLO_MS, 0, no_hello, peer);
	oc_status status = OC_E_NOMEM;
	if (peer->timer == NULL || peer->name == NULL || peer->secret == NULL || peer->version == NULL) {
		if (options->path == NULL)
			(void)close(options->fd);
		(void)oc_fail(err, status, NULL, "no memory for the bridge");
	} else if (options->path == NULL) {
		status = oc_transport_attach(loop, options->name, options->fd, &transport_events, peer, &peer->transport, err);
		if (status == OC_OK && options->guest)
			status = send_frame(peer, &(oc_frame){.kind = OC_FRAME_HELLO, .payload = OC_STR("{\"protocol\":1}")});
	} else
		status = oc_transport_listen(loop, options->transport, options->name, options->path, &transport_events, peer, &peer->transport, err);
	if (status != OC_OK) {
		release(peer);
		return status;
	}
	*ret = peer;
	return OC_OK;
}

bool oc_peer_connected(const oc_peer *peer)
{
	return peer->connected && peer->transport != NULL;
}

bool oc_peer_ready(const oc_peer *peer)
{
	return peer->ready;
}

