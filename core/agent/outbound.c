#include "core/agent/outbound.h"

#include <string.h>

#include "core/agent/channels.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/trace.h"
#include "core/config/config.h"

#define CALL_MS 120000
#define ATTEMPTS_MAX 20
#define ATTEMPTS_AWAY_MAX 300 /* while the network cannot be reached or asks for a pause: about a day */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS (5 * 60 * 1000)
#define PAGE_ROWS 256	/* of the store's backlog at a time, between which the loop does other things */
#define SENDING_MAX 64 /* conversations of one channel that are sent to at once: each holds a message in memory, and may be
			* sent again after a crash */
#define LOOK_AGAIN_MS 1000
#define NOTE_AGAIN_MS 500
#define STALL_LOOK_MS 250 /* while the store takes no changes */

/* An undelivered row that is in memory: the first of a conversation, from the try to its end. Texts point into the JSON. */
typedef struct row {
	cJSON *root, *message;
	const char *key, *session, *run, *channel, *account;
	int64_t attempts;
} row;

/* The conversations of one channel. */
typedef struct network {
	oc_map_node node;
	size_t sending;
	struct stream *ready, **ready_tail; /* could be sent to, but SENDING_MAX others are at it */
	char name[];
} network;

/*
 * What goes to one conversation goes in order.  A conversation knows its rows by their number in the store only, eight bytes
 * each, and reads one when it is about to be sent: a backlog of any size costs next to nothing.
 */
typedef struct stream {
	oc_map_node node;
	oc_outbound *outbound;
	network *network;
	struct stream *next_ready;
	int64_t *ids, few[2]; /* ascending: [head, end) */
	size_t head, end, size;
	row *first; /* the row of ids[head], when it is in memory */
	uint64_t not_before_ms; /* monotonic; of the first row */
	bool waited; /* how long the first row must wait was taken from the store already */
	bool queued; /* among the ready */
	bool busy; /* the first row is being sent, or its delivery is being noted */
	bool note_later; /* it is to be noted at the next tick */
	uint64_t sent_ns; /* handed to the channel */
	oc_call *call;
	char *ids_json; /* of the delivery that is being noted */
	oc_watch *timer;
	char key[]; /* channel, account, to, thread, with newlines between */
} stream;

struct oc_outbound {
	oc_agent *agent;
	oc_owner *owner;
	oc_map streams, networks;
	size_t busy;
	/* The store's backlog: rows up to `seen` are in their streams. */
	oc_watch *tick; /* made at the start: what there is no memory for now is tried again, without memory */
	bool reading, short_of_memory;
	int64_t seen;
	size_t taken;
};

static void pump(stream *s);

/* Needs no memory. */
static void look_again(oc_outbound *o)
{
	oc_timer_again(o->tick, LOOK_AGAIN_MS);
}

/* ---- Life ---- */

static void on_tick(void *arg);

oc_status oc_outbound_new(oc_agent *agent, oc_outbound **ret)
{
	oc_outbound *o = oc_alloc(sizeof *o);
	if (o == NULL)
		return OC_E_NOMEM;
	o->agent = agent;
	o->owner = oc_owner_new(agent->loop, "outbound");
	o->tick = o->owner != NULL ? oc_timer_start(o->owner, LOOK_AGAIN_MS, 0, on_tick, o) : NULL;
	if (o->tick == NULL) {
		oc_outbound_free(o);
		return OC_E_NOMEM;
	}
	*ret = o;
	return OC_OK;
}

static void drop_first(stream *s)
{
	if (s->first != NULL)
		cJSON_Delete(s->first->root);
	oc_free(s->first);
	s->first = NULL;
}

static void free_stream(void *arg, oc_map_node *node)
{
	(void)arg;
	stream *s = OC_MAP_OWNER(node, stream, node);
	drop_first(s);
	if (s->ids != s->few)
		oc_free(s->ids);
	oc_free(s->ids_json);
	oc_free(s);
}

static void free_network(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, network, node));
}

void oc_outbound_free(oc_outbound *o)
{
	if (o == NULL)
		return;
	oc_owner_free(o->owner);
	oc_map_each(&o->streams, free_stream, NULL);
	oc_map_free(&o->streams);
	oc_map_each(&o->networks, free_network, NULL);
	oc_map_free(&o->networks);
	oc_free(o);
}

size_t oc_outbound_busy(const oc_outbound *o)
{
	return o->busy;
}

/* ---- Conversations ---- */

static network *network_of(oc_outbound *o, const char *channel)
{
	oc_map_node *node = oc_map_find(&o->networks, channel);
	if (node != NULL)
		return OC_MAP_OWNER(node, network, node);
	size_t n = strlen(channel) + 1;
	network *w = oc_alloc(sizeof *w + n);
	if (w == NULL)
		return NULL;
	memcpy(w->name, channel, n);
	w->ready_tail = &w->ready;
	oc_map_add(&o->networks, &w->node, w->name);
	return w;
}

/* NULL: out of memory. */
static stream *stream_of(oc_outbound *o, const char *channel, const char *account, const char *to, const char *thread)
{
	oc_auto_free char *key = oc_asprintf("%s\n%s\n%s\n%s", channel, account, to, thread);
	network *w = network_of(o, channel);
	if (key == NULL || w == NULL)
		return NULL;
	oc_map_node *node = oc_map_find(&o->streams, key);
	if (node != NULL)
		return OC_MAP_OWNER(node, stream, node);
	size_t n = strlen(key) + 1;
	stream *s = oc_alloc(sizeof *s + n);
	if (s == NULL)
		return NULL;
	memcpy(s->key, key, n);
	s->outbound = o;
	s->network = w;
	s->ids = s->few;
	s->size = sizeof s->few / sizeof *s->few;
	oc_map_add(&o->streams, &s->node, s->key);
	return s;
}

static void forget(stream *s)
{
	oc_watch_end(s->timer);
	oc_map_remove(&s->outbound->streams, &s->node);
	free_stream(NULL, &s->node);
}

static bool has_room(stream *s)
{
	if (s->end < s->size)
		return true;
	if (s->head >= s->size / 2 && s->head > 0) {
		memmove(s->ids, s->ids + s->head, (s->end - s->head) * sizeof *s->ids);
		s->end -= s->head;
		s->head = 0;
		return true;
	}
	int64_t *more = oc_realloc(s->ids == s->few ? NULL : s->ids, s->size * 2 * sizeof *more);
	if (more == NULL)
		return false;
	if (s->ids == s->few)
		memcpy(more, s->few, sizeof s->few);
	s->ids = more;
	s->size *= 2;
	return true;
}

/* In the order of the store, whatever order they are found in. false: out of memory. */
static bool add_id(stream *s, int64_t id)
{
	size_t at = s->end;
	while (at > s->head && s->ids[at - 1] > id)
		at--;
	if (at > s->head && s->ids[at - 1] == id)
		return true;
	size_t from = at - s->head;
	if (!has_room(s))
		return false;
	at = s->head + from;
	if (at == s->head && s->first != NULL)
		at++; /* that one is being sent */
	memmove(s->ids + at + 1, s->ids + at, (s->end - at) * sizeof *s->ids);
	s->ids[at] = id;
	s->end++;
	s->outbound->agent->stats.outbox_pending++;
	return true;
}

/* The first row is over, or not there any more. */
static void remove_first(stream *s)
{
	drop_first(s);
	s->head++;
	s->not_before_ms = 0;
	s->waited = false;
	s->outbound->agent->stats.outbox_pending--;
}

/* Takes root over, also on failure. */
static row *new_row(cJSON *root)
{
	row *r = oc_alloc(sizeof *r);
	if (r == NULL) {
		cJSON_Delete(root);
		return NULL;
	}
	*r = (row){
		.root = root,
		.message = cJSON_GetObjectItemCaseSensitive(root, "message"),
		.key = oc_json_str(root, "key", ""),
		.session = oc_json_str(root, "session", ""),
		.run = oc_json_str(root, "run", ""),
		.channel = oc_json_str(root, "channel", ""),
		.account = oc_json_str(root, "account", "default"),
		.attempts = oc_json_i64(root, "attempts", 0),
	};
	return r;
}

/* A row that was read is the first of its stream from here on. false: out of memory. */
static bool set_first(stream *s, cJSON *root)
{
	/* By the clock of the one that tried before; a row of the future says that it was wrong. */
	int64_t now = oc_wall_ms(), wait = oc_json_i64(root, "createdAt", 0) <= now ? oc_json_i64(root, "nextAt", 0) - now : 0;
	s->first = new_row(root);
	if (s->first != NULL && !s->waited && wait > 0)
		s->not_before_ms = oc_now_ms() + (uint64_t)(wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
	s->waited = s->waited || s->first != NULL;
	return s->first != NULL;
}

/* ---- After a try ---- */

static void emit_delivery(oc_agent *agent, const row *r, bool ok, const char *ids_json, const oc_err *err)
{
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "key", r->key);
	oc_json_opt(data, "run", r->run);
	oc_json_opt(data, "trace", oc_json_str(r->message, "trace", NULL));
	oc_json_opt(data, "channel", r->channel);
	oc_json_opt(data, "account", r->account);
	oc_json_opt(data, "to", oc_json_str(r->message, "to", NULL));
	(void)oc_json_set_bool(data, "ok", ok);
	if (ok && ids_json != NULL)
		(void)oc_json_set(data, "messageIds", cJSON_Parse(ids_json));
	if (!ok)
		oc_json_opt(data, "error", err->text);
	oc_agent_emit_plain(agent, OC_AGENT_EV_DELIVERY, r->session, data);
}

static cJSON *hook_payload(const row *r, bool ok, const oc_err *err)
{
	cJSON *o = cJSON_CreateObject(), *ctx = cJSON_AddObjectToObject(o, "ctx");
	oc_json_opt(o, "run", r->run);
	oc_json_opt(o, "session", r->session);
	oc_json_opt(o, "channel", r->channel);
	oc_json_opt(o, "to", oc_json_str(r->message, "to", NULL));
	(void)oc_json_set_str(o, "content", oc_json_str(r->message, "text", ""));
	(void)oc_json_set_str(o, "text", oc_json_str(r->message, "text", ""));
	(void)oc_json_set_bool(o, "success", ok);
	if (!ok)
		oc_json_opt(o, "error", err->text);
	oc_json_opt(ctx, "channelId", r->channel);
	oc_json_opt(ctx, "accountId", r->account);
	oc_json_opt(ctx, "conversationId", oc_json_str(r->message, "to", NULL));
	oc_json_opt(ctx, "sessionKey", r->session);
	return o;
}

/* The row has left the queue: it was delivered, or given up. */
static void row_over(stream *s, bool ok, const oc_err *err)
{
	oc_agent *agent = s->outbound->agent;
	const row *r = s->first;
	emit_delivery(agent, r, ok, s->ids_json, err);
	oc_agent_observe(agent, OC_HOOK_MESSAGE_SENT, hook_payload(r, ok, err));
	if (r->run[0] != 0)
		oc_agent_observe(agent, OC_HOOK_AFTER_MESSAGE, hook_payload(r, ok, err));
	remove_first(s);
}

static void next_ready(network *w);

/* The first row's try is over, whatever became of it. */
static void not_busy(stream *s)
{
	oc_outbound *o = s->outbound;
	network *w = s->network;
	s->busy = false;
	o->busy--;
	w->sending--;
	pump(s);
	next_ready(w);
	oc_agent_check_drained(o->agent);
}

/* The same for a row that was delivered: the next one's turn. */
static void row_settled(stream *s, bool ok, const oc_err *err)
{
	row_over(s, ok, err);
	oc_free(s->ids_json);
	s->ids_json = NULL;
	not_busy(s);
}

/*
 * The delivered mark.  Until it is in the store the row stays where it is: a message that is known to be delivered and not
 * noted would be sent again by the next start.
 */
static void note_delivery(stream *s);

static void on_note_again(void *arg)
{
	stream *s = arg;
	oc_watch_end(s->timer);
	s->timer = NULL;
	note_delivery(s);
}

static void note_again(stream *s, const oc_err *err)
{
	oc_log_err(OC_LOG_ERROR, "outbound", "a delivery cannot be noted yet, the message may be sent again", err);
	s->timer = oc_timer_start(s->outbound->owner, NOTE_AGAIN_MS, 0, on_note_again, s);
	s->note_later = s->timer == NULL;
	if (s->note_later)
		look_again(s->outbound);
}

static void noted(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	stream *s = arg;
	if (status == OC_OK || status == OC_E_STATE)
		row_settled(s, true, err);
	else
		note_again(s, err);
}

static void note_delivery(stream *s)
{
	oc_agent *agent = s->outbound->agent;
	const row *r = s->first;
	oc_auto_json cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "channel", r->channel);
	oc_json_opt(data, "key", r->key);
	if (s->ids_json != NULL)
		(void)oc_json_set(data, "messageIds", cJSON_Parse(s->ids_json));
	oc_auto_free char *data_json = oc_json_print(data);
	oc_batch *b = oc_batch_new(agent->store);
	oc_err err = {0};
	if (b != NULL) {
		oc_batch_outbox_delivered(b, r->key, s->ids_json);
		if (r->session[0] != 0)
			oc_batch_event(b, r->session, "message_sent", r->run[0] != 0 ? r->run : NULL, data_json);
	}
	if (oc_batch_commit(b, noted, s, &err) != OC_OK)
		note_again(s, &err);
	OC_FAULT_POINT("delivered-queued");
}

static void delivered(stream *s, oc_str result)
{
	oc_agent *agent = s->outbound->agent;
	const row *r = s->first;
	oc_auto_json cJSON *root = NULL;
	(void)oc_json_parse(result, NULL, &root, NULL);
	const cJSON *ids = oc_json_get(root, "messageIds");
	oc_free(s->ids_json);
	s->ids_json = ids != NULL ? oc_json_print(ids) : NULL;
	agent->stats.delivered++;
	oc_debug("outbound", "%s: delivered to %s in %llu ms", r->key, r->channel,
		 (unsigned long long)((oc_now_ns() - s->sent_ns) / 1000000));
	oc_channels_note(agent, r->channel, r->account, false, NULL);
	note_delivery(s);
}

static bool final_failure(oc_status status)
{
	return status == OC_E_INVALID || status == OC_E_DENIED || status == OC_E_NOT_FOUND || status == OC_E_LIMIT ||
	       status == OC_E_UNSUPPORTED || status == OC_E_BLOCKED;
}

static void not_delivered(stream *s, oc_status status, uint64_t retry_after_ms, const oc_err *err)
{
	oc_agent *agent = s->outbound->agent;
	row *r = s->first;
	bool away = status == OC_E_UNAVAILABLE || status == OC_E_RATE_LIMIT;
	bool dead = final_failure(status) || ++r->attempts >= (away ? ATTEMPTS_AWAY_MAX : ATTEMPTS_MAX);
	uint64_t wait = (uint64_t)BACKOFF_FIRST_MS << (r->attempts < 10 ? r->attempts : 10);
	if (wait > BACKOFF_MAX_MS)
		wait = BACKOFF_MAX_MS;
	if (retry_after_ms > 0)
		wait = retry_after_ms;
	s->not_before_ms = oc_now_ms() + wait;
	oc_channels_note(agent, r->channel, r->account, false, err->text);
	oc_batch *b = oc_batch_new(agent->store);
	if (b != NULL)
		oc_batch_outbox_failed(b, r->key, err->text, oc_wall_ms() + (int64_t)wait, dead);
	(void)oc_batch_commit(b, NULL, NULL, NULL);
	if (!dead) {
		agent->stats.delivery_retries++;
		oc_debug("outbound", "%s to %s: %s; again in %llu ms", r->key, r->channel, err->text, (unsigned long long)wait);
		return;
	}
	agent->stats.delivery_dead++;
	oc_log_err(OC_LOG_ERROR, "outbound", "a message could not be delivered and is given up", err);
	oc_agent_error(agent, "delivery", r->session, r->run, err);
	row_over(s, false, err);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	stream *s = arg;
	oc_outbound *o = s->outbound;
	row *r = s->first;
	OC_TRACE(oc_json_str(r->message, "trace", NULL));
	s->call = NULL;
	oc_hist_add_ns(&o->agent->timing.delivery, oc_now_ns() - s->sent_ns);
	OC_FAULT_POINT("send-finished");
	const char *edited = oc_json_str(r->message, "editOf", "");
	if (status == OC_OK) {
		delivered(s, result);
		return;
	}
	if (edited[0] != 0 && (final_failure(status))) {
		/* The preview is gone or cannot be edited any more: the reply is sent as a message of its own. */
		cJSON_DeleteItemFromObjectCaseSensitive(r->message, "editOf");
	} else {
		oc_err err = {0};
		uint64_t retry_after_ms = 0;
		oc_call_error(status, result, &err, &retry_after_ms);
		oc_err_prefix(&err, "%s", r->channel);
		not_delivered(s, status, retry_after_ms, &err);
	}
	not_busy(s);
}

/* ---- Trying ---- */

static void on_timer(void *arg)
{
	stream *s = arg;
	oc_watch_end(s->timer);
	s->timer = NULL;
	pump(s);
}

static void wait_for(stream *s, uint64_t ms)
{
	s->timer = oc_timer_start(s->outbound->owner, ms, 0, on_timer, s);
	if (s->timer == NULL)
		look_again(s->outbound);
	/* A waiting message is better off in the store. */
	drop_first(s);
}

/* {"account","to","thread"?,"text",…} as the channel's vtable wants it. */
static char *wire_message(const row *r, bool edit)
{
	oc_auto_json cJSON *m = cJSON_Duplicate(r->message, true);
	if (m == NULL)
		return NULL;
	cJSON_DeleteItemFromObjectCaseSensitive(m, "editOf");
	cJSON_DeleteItemFromObjectCaseSensitive(m, "channel");
	(void)oc_json_set_str(m, "account", r->account);
	if (oc_json_get(m, "format") == NULL)
		(void)oc_json_set_str(m, "format", "markdown");
	(void)oc_json_set_str(m, "idempotencyKey", r->key);
	if (edit) {
		(void)oc_json_set_str(m, "messageId", oc_json_str(r->message, "editOf", ""));
		(void)oc_json_set_bool(m, "final", true);
	}
	return oc_json_print(m);
}

/* The first row from the store. false: there is none, or it must wait. */
static bool load_first(stream *s)
{
	oc_outbound *o = s->outbound;
	while (s->first == NULL && s->head < s->end) {
		cJSON *root = NULL;
		oc_err err = {0};
		oc_status status = oc_store_outbox_id(o->agent->store, s->ids[s->head], &root, &err);
		if (status == OC_E_NOT_FOUND || (status == OC_OK && strcmp(oc_json_str(root, "state", ""), "pending") != 0)) {
			cJSON_Delete(root);
			remove_first(s);
			continue;
		}
		if (status == OC_OK && !set_first(s, root))
			status = oc_fail(&err, OC_E_NOMEM, NULL, "there is no memory for a message");
		if (status == OC_OK && cJSON_IsObject(s->first->message))
			break;
		if (status == OC_OK) {
			(void)oc_fail(&err, OC_E_INVALID, "see `openclaw store check`", "the message is damaged in the store");
			not_delivered(s, err.code, 0, &err);
			continue;
		}
		oc_log_err(OC_LOG_ERROR, "outbound", "messages wait that cannot be read", &err);
		wait_for(s, LOOK_AGAIN_MS);
		return false;
	}
	return s->first != NULL;
}

static void send_first(stream *s)
{
	oc_outbound *o = s->outbound;
	row *r = s->first;
	OC_FAULT_POINT("send-call");
	oc_guest *guest = oc_modules_channel(o->agent->modules, oc_str_of(r->channel));
	bool edit = oc_json_str(r->message, "editOf", "")[0] != 0 && guest != NULL && oc_guest_has(guest, "edit");
	oc_auto_free char *json = wire_message(r, edit);
	s->sent_ns = oc_now_ns();
	oc_call_options options = {.deadline_ms = CALL_MS, .owner = o->owner, .on_done = on_done, .arg = s};
	oc_status status = guest == NULL  ? OC_E_UNAVAILABLE
			   : json == NULL ? OC_E_NOMEM
			   : edit	  ? oc_channel_edit(guest, oc_str_of(json), &options, &s->call)
					  : oc_channel_send(guest, oc_str_of(json), &options, &s->call);
	if (status == OC_OK) {
		s->busy = true;
		o->busy++;
		s->network->sending++;
		return;
	}
	/* The channel's module does not run (yet): nothing was tried, so nothing counts as an attempt. */
	wait_for(s, status == OC_E_NOMEM ? LOOK_AGAIN_MS : 5000);
}

static void pump(stream *s)
{
	network *w = s->network;
	if (s->busy || s->queued)
		return;
	oc_watch_end(s->timer);
	s->timer = NULL;
	if (s->head == s->end) {
		forget(s);
		return;
	}
	uint64_t now = oc_now_ms();
	if (s->not_before_ms > now) {
		wait_for(s, s->not_before_ms - now);
		return;
	}
	if (w->sending >= SENDING_MAX) {
		s->queued = true;
		s->next_ready = NULL;
		*w->ready_tail = s;
		w->ready_tail = &s->next_ready;
		drop_first(s);
		return;
	}
	/* What is sent now could not be noted: a start after a kill would send all of it again. */
	if (oc_store_health(s->outbound->agent->store, NULL) != OC_OK) {
		drop_first(s);
		oc_timer_again(s->outbound->tick, STALL_LOOK_MS);
		return;
	}
	if (load_first(s)) {
		if (s->not_before_ms > now)
			wait_for(s, s->not_before_ms - now);
		else
			send_first(s);
	} else if (s->head == s->end) {
		forget(s);
	}
}

static void next_ready(network *w)
{
	while (w->ready != NULL && w->sending < SENDING_MAX) {
		stream *s = w->ready;
		w->ready = s->next_ready;
		if (w->ready == NULL)
			w->ready_tail = &w->ready;
		s->queued = false;
		pump(s);
	}
}

/* ---- From outside ---- */

static bool on_pending(void *arg, const oc_outbox_place *place)
{
	oc_outbound *o = arg;
	stream *s = stream_of(o, place->channel, place->account, place->to, place->thread);
	if (s == NULL || !add_id(s, place->id)) {
		o->short_of_memory = true;
		return false;
	}
	o->seen = place->id;
	o->taken++;
	return true;
}

static void pump_waiting(void *arg, oc_map_node *node)
{
	(void)arg;
	stream *s = OC_MAP_OWNER(node, stream, node);
	bool note = s->note_later;
	s->note_later = false;
	if (note)
		note_delivery(s);
	else if (s->timer == NULL)
		pump(s);
}

/* One page of the backlog; the next one follows when the loop has done what else there is. */
static void read_page(oc_outbound *o)
{
	oc_err err = {0};
	size_t before = o->taken;
	o->short_of_memory = false;
	oc_status status = oc_store_outbox_each(o->agent->store, o->seen, PAGE_ROWS, on_pending, o, &err);
	if (status != OC_OK || o->short_of_memory) {
		if (status != OC_OK)
			oc_log_err(OC_LOG_ERROR, "outbound", "undelivered messages cannot be read", &err);
		look_again(o);
	} else if (o->taken - before == PAGE_ROWS) {
		oc_timer_again(o->tick, 0);
	} else {
		o->reading = false;
		if (o->taken > 0)
			oc_info("outbound", "%zu undelivered messages are taken up", o->taken);
	}
	oc_map_each(&o->streams, pump_waiting, NULL);
}

static void on_tick(void *arg)
{
	oc_outbound *o = arg;
	if (o->reading)
		read_page(o);
	else
		oc_map_each(&o->streams, pump_waiting, NULL);
}

void oc_outbound_kick(oc_agent *agent, const char *key)
{
	oc_outbound *o = agent->outbound;
	cJSON *found = NULL;
	oc_err err = {0};
	oc_status status = oc_store_outbox_row(agent->store, key, &found, &err);
	if (status == OC_E_NOT_FOUND) {
		oc_log_err(OC_LOG_ERROR, "outbound", "a message waits", &err);
		return;
	}
	int64_t id = oc_json_i64(found, "id", 0);
	bool pending = strcmp(oc_json_str(found, "state", ""), "pending") == 0;
	const cJSON *message = oc_json_get(found, "message");
	/* While the backlog is read, what comes after it keeps its place. */
	if ((status == OC_OK && !pending) || (o->reading && id > o->seen)) {
		cJSON_Delete(found);
		return;
	}
	stream *s = status == OC_OK ? stream_of(o, oc_json_str(found, "channel", ""), oc_json_str(found, "account", "default"),
						oc_json_str(message, "to", ""), oc_json_str(message, "thread", ""))
				    : NULL;
	if (s == NULL || !add_id(s, id)) {
		/* It is in the store: all that is pending there is gone through, a little later. */
		oc_log_err(OC_LOG_ERROR, "outbound", "a message waits for memory", &err);
		cJSON_Delete(found);
		o->reading = true;
		o->seen = 0;
		o->taken = 0;
		look_again(o);
		return;
	}
	if (s->head + 1 == s->end && !s->busy && !s->queued && s->first == NULL && s->not_before_ms == 0)
		(void)set_first(s, found);
	else
		cJSON_Delete(found);
	if (s->timer == NULL)
		pump(s);
}

void oc_outbound_resume(oc_agent *agent)
{
	oc_outbound *o = agent->outbound;
	o->reading = true;
	o->seen = 0;
	o->taken = 0;
	read_page(o);
}

typedef struct up {
	const char *channel, *account;
} up;

static void hurry(void *arg, oc_map_node *node)
{
	const up *u = arg;
	stream *s = OC_MAP_OWNER(node, stream, node);
	size_t n = strlen(u->channel), m = strlen(u->account);
	if (strncmp(s->key, u->channel, n) != 0 || s->key[n] != '\n' || strncmp(s->key + n + 1, u->account, m) != 0 ||
	    s->key[n + 1 + m] != '\n')
		return;
	s->not_before_ms = 0;
	s->waited = true;
	pump(s);
}

void oc_outbound_channel_up(oc_agent *agent, const char *channel, const char *account)
{
	up u = {channel, account};
	oc_map_each(&agent->outbound->streams, hurry, &u);
}

static void look(void *arg, oc_map_node *node)
{
	oc_fill_add(arg, OC_MAP_OWNER(node, network, node)->sending, SENDING_MAX);
}

void oc_outbound_fill(oc_outbound *o, oc_fill *deliveries)
{
	oc_fill_add(deliveries, 0, SENDING_MAX);
	oc_map_each(&o->networks, look, deliveries);
}
