#include "core/gateway/events.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/gateway.h"

#define MAX_EVENT_BYTES (4u << 20)
#define MAX_SUBS_PER_CLIENT 64

struct oc_event_sub {
	struct oc_event_sub *next, *other, **at; /* of the client; of everybody */
	oc_client *client;
	oc_agent_sub *sub;
	uint64_t id;
	uint32_t types; /* bit by event type; 0: all */
};

static void add_member(oc_sbuf *b, const char *name, const char *value)
{
	if (value == NULL || value[0] == 0)
		return;
	oc_sbuf_printf(b, ",\"%s\":", name);
	oc_sbuf_json(b, oc_str_of(value));
}

/* One agent event as the params object of a message, appended to b. */
static void write_event(oc_sbuf *b, const oc_agent_event *e, uint64_t subscription)
{
	oc_sbuf_printf(b, "{\"type\":\"%s\",\"seq\":%" PRIu64 ",\"ts\":%" PRId64, oc_agent_event_name(e->type), e->seq,
		       e->ts_ms);
	add_member(b, "run", e->run);
	add_member(b, "session", e->session);
	add_member(b, "agent", e->agent);
	if (e->trace != NULL)
		add_member(b, "trace", e->trace);
	if (e->text.n > 0) {
		oc_sbuf_z(b, ",\"text\":");
		oc_sbuf_json(b, e->text);
	}
	if (e->data != NULL) {
		oc_sbuf_z(b, ",\"data\":");
		oc_json_add_to(b, e->data);
	}
	if (subscription != 0)
		oc_sbuf_printf(b, ",\"subscription\":%" PRIu64, subscription);
	oc_sbuf_char(b, '}');
}

void oc_events_send(oc_client *client, const oc_agent_event *event, uint64_t subscription)
{
	if (client->gone || !client->can_events)
		return;
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_EVENT_BYTES);
	oc_sbuf_z(&b, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":");
	write_event(&b, event, subscription);
	oc_sbuf_char(&b, '}');
	if (b.error == OC_OK)
		client->notify(client, oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static void on_event(void *arg, const oc_agent_event *event)
{
	struct oc_event_sub *s = arg;
	if (event->type == OC_AGENT_EV_APPROVAL && (s->client->scopes & OC_SCOPE_APPROVALS) == 0)
		return;
	if (s->types == 0 || (s->types & (1u << event->type)) != 0)
		oc_events_send(s->client, event, s->id);
}

static uint32_t types_of(const char *list)
{
	uint32_t types = 0;
	oc_str rest = oc_str_of(list != NULL ? list : "");
	while (rest.n > 0) {
		oc_str name = oc_str_trim(oc_str_cut(&rest, ','));
		for (int t = OC_AGENT_EV_ACCEPTED; t <= OC_AGENT_EV_APPROVAL; t++)
			if (oc_str_eqz(name, oc_agent_event_name(t)))
				types |= 1u << t;
	}
	return types;
}

static size_t subscriptions(const oc_client *client)
{
	size_t n = 0;
	for (const struct oc_event_sub *s = client->subs; s != NULL; s = s->next)
		n++;
	return n;
}

void oc_events_fill(const oc_gateway *gw, oc_fill *q)
{
	oc_fill_add(q, 0, MAX_SUBS_PER_CLIENT);
	for (const struct oc_event_sub *s = gw->subscriptions; s != NULL; s = s->other)
		if (s == s->client->subs) /* once a client */
			oc_fill_add(q, subscriptions(s->client), MAX_SUBS_PER_CLIENT);
}

uint64_t oc_events_subscribe(oc_client *client, const char *session, const char *run, const char *types)
{
	if (subscriptions(client) >= MAX_SUBS_PER_CLIENT) {
		oc_queue_refused(OC_QUEUE_event_subscriptions);
		return 0;
	}
	struct oc_event_sub *s = oc_alloc(sizeof *s);
	if (s == NULL)
		return 0;
	s->client = client;
	s->types = types_of(types);
	s->id = ++client->gateway->next_subscription;
	s->sub = oc_agent_subscribe(client->gateway->agent, session, run, on_event, s);
	if (s->sub == NULL) {
		oc_free(s);
		return 0;
	}
	s->next = client->subs;
	client->subs = s;
	s->at = &client->gateway->subscriptions;
	s->other = *s->at;
	if (s->other != NULL)
		s->other->at = &s->other;
	*s->at = s;
	return s->id;
}

static void end(struct oc_event_sub **link)
{
	struct oc_event_sub *s = *link;
	*link = s->next;
	*s->at = s->other;
	if (s->other != NULL)
		s->other->at = s->at;
	oc_agent_unsubscribe(s->sub);
	oc_free(s);
}

bool oc_events_unsubscribe(oc_client *client, uint64_t id)
{
	for (struct oc_event_sub **link = &client->subs; *link != NULL; link = &(*link)->next) {
		if ((*link)->id == id) {
			end(link);
			return true;
		}
	}
	return false;
}

void oc_events_end_all(oc_client *client)
{
	while (client->subs != NULL)
		end(&client->subs);
}
