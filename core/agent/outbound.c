#include "core/agent/outbound.h"

#include <string.h>

#include "core/agent/channels.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/trace.h"
#include "core/config/config.h"

#define CALL_MS 120000
#define ATTEMPTS_MAX 20
#define ATTEMPTS_AWAY_MAX 300 /* while the network cannot be reached or asks for a pause: about a day */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS (5 * 60 * 1000)
#define RESUME_MAX 10000
#define STREAM_MAX 100 /* rows of one conversation in memory; what is more waits in the store */
#define LOOK_AGAIN_MS 2000
#define NOTE_AGAIN_MS 500

/* One undelivered row. */
typedef struct row {
	struct row *next;
	char *key, *session, *run, *channel, *account;
	cJSON *message;
	int64_t attempts;
	uint64_t not_before_ms; /* monotonic */
} row;

/* What goes to one conversation goes in order. */
typedef struct stream {
	oc_map_node node;
	oc_outbound *outbound;
	row *first, **tail;
	uint64_t sent_ns; /* handed to the channel */
	size_t n;
	bool more; /* there are more in the store: they are read when these are over */
	bool busy; /* the first row is being sent, or its delivery is being noted */
	oc_call *call;
	char *ids_json; /* of the delivery that is being noted */
	oc_watch *timer;
	char key[];
} stream;

struct oc_outbound {
	oc_agent *agent;
	oc_owner *owner;
	oc_map streams;
	size_t busy;
	oc_watch *look_again; /* the store is asked for rows that could not be read */
};

static void pump(stream *s);

/* ---- Life ---- */

oc_status oc_outbound_new(oc_agent *agent, oc_outbound **ret)
{
	oc_outbound *o = oc_alloc(sizeof *o);
	if (o == NULL)
		return OC_E_NOMEM;
	o->agent = agent;
	o->owner = oc_owner_new(agent->loop, "outbound");
	if (o->owner == NULL) {
		oc_free(o);
		return OC_E_NOMEM;
	}
	*ret = o;
	return OC_OK;
}

static void free_row(row *r)
{
	if (r == NULL)
		return;
	oc_free(r->key);
	oc_free(r->session);
	oc_free(r->run);
	oc_free(r->channel);
	oc_free(r->account);
	cJSON_Delete(r->message);
	oc_free(r);
}

static void free_stream(void *arg, oc_map_node *node)
{
	(void)arg;
	stream *s = OC_MAP_OWNER(node, stream, node);
	for (row *r = s->first, *next; r != NULL; r = next) {
		next = r->next;
		free_row(r);
	}
	oc_free(s->ids_json);
	oc_free(s);
}

void oc_outbound_free(oc_outbound *o)
{
	if (o == NULL)
		return;
	oc_owner_free(o->owner);
	oc_map_each(&o->streams, free_stream, NULL);
	oc_map_free(&o->streams);
	oc_free(o);
}

size_t oc_outbound_busy(const oc_outbound *o)
{
	return o->busy;
}

static stream *stream_of(oc_outbound *o, const row *r)
{
	oc_auto_free char *key = oc_asprintf("%s\n%s\n%s\n%s", r->channel, r->account, oc_json_str(r->message, "to", ""),
					     oc_json_str(r->message, "thread", ""));
	if (key == NULL)
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
	s->tail = &s->first;
	oc_map_add(&o->streams, &s->node, s->key);
	return s;
}

/* Takes over what a row of the store says. false: out of memory, or not there. */
static bool add_row(oc_outbound *o, cJSON *from)
{
	row *r = oc_alloc(sizeof *r);
	if (r == NULL)
		return false;
	r->key = oc_strdup(oc_json_str(from, "key", ""));
	r->session = oc_strdup(oc_json_str(from, "session", ""));
	r->run = oc_strdup(oc_json_str(from, "run", ""));
	r->channel = oc_strdup(oc_json_str(from, "channel", ""));
	r->account = oc_strdup(oc_json_str(from, "account", "default"));
	r->message = cJSON_DetachItemFromObjectCaseSensitive(from, "message");
	r->attempts = oc_json_i64(from, "attempts", 0);
	int64_t wait = oc_json_i64(from, "nextAt", 0) - oc_wall_ms();
	if (wait > 0)
		r->not_before_ms = oc_now_ms() + (uint64_t)(wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
	stream *s = r->key != NULL && r->session != NULL && r->run != NULL && r->channel != NULL && r->account != NULL &&
				    r->message != NULL
			    ? stream_of(o, r)
			    : NULL;
	if (s == NULL) {
		free_row(r);
		return false;
	}
	for (const row *known = s->first; known != NULL; known = known->next)
		if (strcmp(known->key, r->key) == 0) {
			free_row(r);
			return true;
		}
	if (s->more || s->n >= STREAM_MAX) {
		s->more = true;
		free_row(r);
		return true;
	}
	*s->tail = r;
	s->tail = &r->next;
	s->n++;
	o->agent->stats.outbox_pending++;
	pump(s);
	return true;
}

/* ---- After a try ---- */

static void emit_delivery(oc_agent *agent, const row *r, bool ok, const oc_err *err)
{
	cJSON *data = cJSON_CreateObject();
	oc_json_opt(data, "key", r->key);
	oc_json_opt(data, "run", r->run);
	oc_json_opt(data, "trace", oc_json_str(r->message, "trace", NULL));
	oc_json_opt(data, "channel", r->channel);
	oc_json_opt(data, "account", r->account);
	oc_json_opt(data, "to", oc_json_str(r->message, "to", NULL));
	(void)oc_json_set_bool(data, "ok", ok);
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
	row *r = s->first;
	s->first = r->next;
	if (s->first == NULL)
		s->tail = &s->first;
	s->n--;
	agent->stats.outbox_pending--;
	emit_delivery(agent, r, ok, err);
	oc_agent_observe(agent, OC_HOOK_MESSAGE_SENT, hook_payload(r, ok, err));
	if (r->run[0] != 0)
		oc_agent_observe(agent, OC_HOOK_AFTER_MESSAGE, hook_payload(r, ok, err));
	free_row(r);
}

/* The same for a row that was delivered: the next one's turn. */
static void row_settled(stream *s, bool ok, const oc_err *err)
{
	oc_outbound *o = s->outbound;
	oc_free(s->ids_json);
	s->ids_json = NULL;
	row_over(s, ok, err);
	s->busy = false;
	o->busy--;
	pump(s);
	oc_agent_check_drained(o->agent);
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
	if (s->timer == NULL)
		row_settled(s, true, err);
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
	r->not_before_ms = oc_now_ms() + wait;
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
	s->busy = false;
	o->busy--;
	pump(s);
	oc_agent_check_drained(o->agent);
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
		oc_warn("outbound", "no timer for a delivery: it waits for the next message there");
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

static void forget(stream *s)
{
	oc_watch_end(s->timer);
	oc_map_remove(&s->outbound->streams, &s->node);
	oc_free(s->ids_json);
	oc_free(s);
}

static void look_again(oc_outbound *o);

/* The rows that had no place. The stream's key has what they have in common. */
static void read_more(stream *s)
{
	oc_outbound *o = s->outbound;
	oc_auto_json cJSON *rows = NULL;
	oc_auto_free char *copy = oc_strdup(s->key);
	oc_err err = {0};
	const char *part[4] = {"", "", "", ""};
	char *at = copy;
	for (int i = 0; i < 4 && at != NULL; i++) {
		part[i] = at;
		at = strchr(at, '\n');
		if (at != NULL)
			*at++ = 0;
	}
	s->more = false;
	if (copy == NULL || oc_store_outbox_to(o->agent->store, part[0], part[1], part[2], part[3], STREAM_MAX, &rows, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "outbound", "messages wait that cannot be read", &err);
		look_again(o);
		forget(s);
		return;
	}
	if (cJSON_GetArraySize(rows) == 0) {
		forget(s);
		return;
	}
	bool all = cJSON_GetArraySize(rows) < STREAM_MAX;
	s->busy = true; /* no row is sent before all are there */
	cJSON *one;
	cJSON_ArrayForEach(one, rows) if (!add_row(o, one)) look_again(o);
	s->busy = false;
	s->more = !all;
	if (s->first != NULL)
		pump(s);
	else
		forget(s); /* there was no memory: look_again comes back to them */
}

static void pump(stream *s)
{
	oc_outbound *o = s->outbound;
	row *r = s->first;
	if (s->busy)
		return;
	if (r == NULL && s->more) {
		read_more(s);
		return;
	}
	if (r == NULL) {
		forget(s);
		return;
	}
	oc_watch_end(s->timer);
	s->timer = NULL;
	uint64_t now = oc_now_ms();
	if (r->not_before_ms > now) {
		wait_for(s, r->not_before_ms - now);
		return;
	}
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
		return;
	}
	/* The channel's module does not run (yet): nothing was tried, so nothing counts as an attempt. */
	wait_for(s, 5000);
}

/* ---- From outside ---- */

static void on_look_again(void *arg)
{
	oc_outbound *o = arg;
	oc_watch_end(o->look_again);
	o->look_again = NULL;
	oc_outbound_resume(o->agent);
}

/* Rows that could not be taken up are in the store: it is asked for all that is pending, a little later. */
static void look_again(oc_outbound *o)
{
	if (o->look_again == NULL)
		o->look_again = oc_timer_start(o->owner, LOOK_AGAIN_MS, 0, on_look_again, o);
	if (o->look_again == NULL)
		oc_error("outbound", "out of memory: messages wait for the next start");
}

void oc_outbound_kick(oc_agent *agent, const char *key)
{
	oc_auto_json cJSON *found = NULL;
	oc_err err = {0};
	oc_status status = oc_store_outbox_row(agent->store, key, &found, &err);
	if (status != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "outbound", "a message waits", &err);
		if (status != OC_E_NOT_FOUND)
			look_again(agent->outbound);
	} else if (strcmp(oc_json_str(found, "state", ""), "pending") == 0 && !add_row(agent->outbound, found)) {
		look_again(agent->outbound);
	}
}

void oc_outbound_resume(oc_agent *agent)
{
	oc_auto_json cJSON *rows = NULL;
	oc_err err = {0};
	if (oc_store_outbox(agent->store, RESUME_MAX, &rows, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "outbound", "undelivered messages cannot be read", &err);
		look_again(agent->outbound);
		return;
	}
	cJSON *one;
	cJSON_ArrayForEach(one, rows) if (!add_row(agent->outbound, one)) look_again(agent->outbound);
	if (cJSON_GetArraySize(rows) > 0 && !agent->started)
		oc_info("outbound", "%d undelivered messages are taken up", cJSON_GetArraySize(rows));
}

typedef struct up {
	const char *channel, *account;
} up;

static void hurry(void *arg, oc_map_node *node)
{
	const up *u = arg;
	stream *s = OC_MAP_OWNER(node, stream, node);
	if (s->first == NULL || strcmp(s->first->channel, u->channel) != 0 || strcmp(s->first->account, u->account) != 0)
		return;
	s->first->not_before_ms = 0;
	pump(s);
}

void oc_outbound_channel_up(oc_agent *agent, const char *channel, const char *account)
{
	up u = {channel, account};
	oc_map_each(&agent->outbound->streams, hurry, &u);
}

void oc_outbound_typing(oc_agent *agent, const cJSON *deliver)
{
	oc_guest *guest = oc_modules_channel(agent->modules, oc_json_ostr(deliver, "channel"));
	if (guest == NULL || !oc_guest_running(guest) || !oc_guest_has(guest, "action"))
		return;
	oc_auto_json cJSON *m = cJSON_Duplicate(deliver, true);
	(void)oc_json_set_str(m, "action", "typing");
	oc_auto_free char *json = oc_json_print(m);
	oc_call_options options = {.deadline_ms = 5000, .owner = agent->owner};
	if (json != NULL)
		(void)oc_channel_action(guest, oc_str_of(json), &options, NULL);
}

/* ---- Sending what is no reply ---- */

typedef struct sending {
	oc_agent *agent;
	char key[80];
	void (*done)(void *arg, oc_status status, const oc_err *err);
	void *arg;
} sending;

static void queued(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	sending *s = arg;
	if (status == OC_OK)
		oc_outbound_kick(s->agent, s->key);
	if (s->done != NULL)
		s->done(s->arg, status, err);
	oc_free(s);
}

oc_status oc_agent_send(oc_agent *agent, const cJSON *message, oc_str idempotency, char key_out[80],
			void (*done)(void *arg, oc_status status, const oc_err *err), void *arg, oc_err *err)
{
	const char *channel = oc_json_str(message, "channel", ""), *to = oc_json_str(message, "to", "");
	if (agent->draining)
		return oc_fail(err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	if (channel[0] == 0 || to[0] == 0 ||
	    (oc_json_str(message, "text", "")[0] == 0 && cJSON_GetArraySize(oc_json_get(message, "media")) == 0))
		return oc_fail(err, OC_E_INVALID, "give channel, to and text", "the message is not complete");
	if (oc_modules_channel(agent->modules, oc_str_of(channel)) == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw module list`", "there is no channel %s", channel);
	if (idempotency.n > 60)
		return oc_fail(err, OC_E_LIMIT, "use at most 60 bytes", "the idempotency key is too long");
	sending *s = oc_alloc(sizeof *s);
	oc_batch *b = oc_batch_new(agent->store);
	oc_auto_free char *json = oc_json_print(message);
	if (s == NULL || b == NULL || json == NULL) {
		oc_free(s);
		oc_batch_free(b);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot send the message");
	}
	*s = (sending){.agent = agent, .done = done, .arg = arg};
	char unique[37];
	if (idempotency.n > 0)
		snprintf(s->key, sizeof s->key, "send:%.*s", (int)idempotency.n, idempotency.p);
	else
		snprintf(s->key, sizeof s->key, "send:%s", oc_id_uuid(unique));
	memcpy(key_out, s->key, sizeof s->key);
	oc_batch_outbox_put(b, s->key, oc_json_str(message, "session", NULL), NULL, channel,
			    oc_json_str(message, "account", "default"), json);
	oc_status status = oc_batch_commit(b, queued, s, err);
	if (status != OC_OK)
		oc_free(s);
	return status;
}
