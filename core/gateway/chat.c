/* See chat.h. */
#include "core/gateway/chat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/agent/map.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/claw_subscribe.h"

#define DELTA_MS 150
#define KEPT_MS 300000
#define KEPT 1000
#define MOST_AWAITING 1000
#define MAX_TEXT (4u << 20)
#define MAX_PAYLOAD (24u << 20)

/* One run. When it has ended only its name stays, for a while. */
struct run {
	oc_chat chat; /* first */
	oc_map_node by_run, by_name;
	struct run *next; /* of the ended */
	uint64_t seq;	 /* of its last `agent` event */
	uint64_t told_ms; /* when its text was told last */
	oc_sbuf text;	 /* of the whole answer */
	size_t told;	 /* so much of it was told */
	size_t part;	 /* where the text after the last tool begins */
	bool after_tool;
};

/* Somebody waits for a run that has not begun. */
struct awaiting {
	struct awaiting *next;
	struct oc_chats *all;
	oc_watch *timer;
	void (*done)(void *arg, const oc_chat *chat);
	void *arg;
	char name[OC_CHAT_NAME_MAX];
};

struct oc_chats {
	oc_gateway *gw;
	oc_map by_run, by_name;
	struct run *oldest, *newest; /* ended */
	size_t n_ended, n_awaiting;
	struct awaiting *awaiting;
};

static struct oc_chats *chats_of(const oc_gateway *gw)
{
	return gw->protos != NULL ? gw->protos->chats : NULL;
}

static struct run *find(const struct oc_chats *all, const char *id)
{
	oc_map_node *node = oc_map_find(&all->by_run, id);
	if (node != NULL)
		return OC_MAP_OWNER(node, struct run, by_run);
	node = oc_map_find(&all->by_name, id);
	return node != NULL ? OC_MAP_OWNER(node, struct run, by_name) : NULL;
}

static struct run *add(struct oc_chats *all, const char *id, const char *session, oc_str name)
{
	struct run *r = oc_alloc(sizeof *r);
	if (r == NULL)
		return NULL;
	(void)snprintf(r->chat.run, sizeof r->chat.run, "%s", id);
	(void)snprintf(r->chat.name, sizeof r->chat.name, "%.*s", OC_STR_ARG(name));
	(void)snprintf(r->chat.session, sizeof r->chat.session, "%s", session);
	oc_sbuf_init(&r->text, MAX_TEXT);
	oc_map_add(&all->by_run, &r->by_run, r->chat.run);
	oc_map_add(&all->by_name, &r->by_name, r->chat.name);
	return r;
}

static void forget(struct oc_chats *all, struct run *r)
{
	oc_map_remove(&all->by_run, &r->by_run);
	oc_map_remove(&all->by_name, &r->by_name);
	oc_sbuf_free(&r->text);
	oc_free(r);
}

static void keep_ended(struct oc_chats *all, struct run *r)
{
	oc_sbuf_free(&r->text);
	r->next = NULL;
	if (all->newest != NULL)
		all->newest->next = r;
	else
		all->oldest = r;
	all->newest = r;
	all->n_ended++;
	while (all->oldest != NULL && (all->n_ended > KEPT || oc_wall_ms() - all->oldest->chat.ended_ms > KEPT_MS)) {
		struct run *old = all->oldest;
		all->oldest = old->next;
		if (all->oldest == NULL)
			all->newest = NULL;
		all->n_ended--;
		forget(all, old);
	}
}

/* ---- Telling ---- */

static oc_str trimmed_end(oc_str s)
{
	while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
		s.n--;
	return s;
}

static void tell_agent(oc_gateway *gw, struct run *r, const oc_agent_event *e, const char *stream, const oc_sbuf *data)
{
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_PAYLOAD);
	oc_sbuf_z(&b, "{\"runId\":");
	oc_sbuf_json(&b, oc_str_of(r->chat.name));
	oc_sbuf_printf(&b, ",\"stream\":\"%s\",\"data\":", stream);
	oc_sbuf_str(&b, oc_sbuf_view(data));
	oc_sbuf_z(&b, ",\"sessionKey\":");
	oc_sbuf_json(&b, oc_str_of(r->chat.session));
	oc_sbuf_z(&b, ",\"agentId\":");
	oc_sbuf_json(&b, oc_str_of(e->agent));
	oc_sbuf_printf(&b, ",\"seq\":%" PRIu64 ",\"ts\":%" PRId64 "}", ++r->seq, e->ts_ms);
	if (b.error == OC_OK && data->error == OC_OK)
		oc_proto_send(gw, &(oc_proto_event){.name = "agent", .payload = oc_sbuf_view(&b), .scope = OC_SCOPE_READ,
						    .session = r->chat.session, .drop_if_slow = strcmp(stream, "assistant") == 0,
						    .only_tool_events = strcmp(stream, "tool") == 0});
	oc_sbuf_free(&b);
}

/* delta: what version 4 is told besides; NULL: it is no delta. */
static void tell_chat(oc_gateway *gw, const struct run *r, const char *state, oc_str text, const oc_str *delta, const char *extra)
{
	oc_sbuf b[2];
	for (int v = 0; v < 2; v++) {
		oc_sbuf_init(&b[v], MAX_PAYLOAD);
		oc_sbuf_z(&b[v], "{\"runId\":");
		oc_sbuf_json(&b[v], oc_str_of(r->chat.name));
		oc_sbuf_z(&b[v], ",\"sessionKey\":");
		oc_sbuf_json(&b[v], oc_str_of(r->chat.session));
		oc_sbuf_printf(&b[v], ",\"seq\":%" PRIu64 ",\"state\":\"%s\"%s", r->seq, state, extra);
		if (v == 1 && delta != NULL) {
			oc_sbuf_z(&b[v], ",\"deltaText\":");
			oc_sbuf_json(&b[v], *delta);
		}
		if (text.n > 0) {
			oc_sbuf_z(&b[v], ",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":");
			oc_sbuf_json(&b[v], text);
			oc_sbuf_printf(&b[v], "}],\"timestamp\":%" PRId64 "}", oc_wall_ms());
		}
		oc_sbuf_char(&b[v], '}');
	}
	if (b[0].error == OC_OK && b[1].error == OC_OK)
		oc_proto_send(gw, &(oc_proto_event){.name = "chat", .payload = oc_sbuf_view(&b[0]), .payload4 = oc_sbuf_view(&b[1]),
						    .scope = OC_SCOPE_READ, .session = r->chat.session, .drop_if_slow = delta != NULL});
	oc_sbuf_free(&b[0]);
	oc_sbuf_free(&b[1]);
}

/* The text so far, when there is more than was told. */
static void tell_text(oc_gateway *gw, struct run *r, const oc_agent_event *e)
{
	oc_str all = trimmed_end(oc_sbuf_view(&r->text));
	if (all.n <= r->told || r->chat.aborted)
		return;
	oc_str delta = {all.p + r->told, all.n - r->told};
	size_t part = r->part < all.n ? r->part : all.n, from = r->told > part ? r->told : part;
	oc_sbuf data;
	oc_sbuf_init(&data, MAX_PAYLOAD);
	oc_sbuf_z(&data, "{\"text\":");
	oc_sbuf_json(&data, (oc_str){all.p + part, all.n - part});
	oc_sbuf_z(&data, ",\"delta\":");
	oc_sbuf_json(&data, (oc_str){all.p + from, all.n - from});
	oc_sbuf_char(&data, '}');
	tell_agent(gw, r, e, "assistant", &data);
	oc_sbuf_free(&data);
	tell_chat(gw, r, "delta", all, &delta, "");
	r->told = all.n;
	r->told_ms = oc_now_ms();
}

static void tell_lifecycle(oc_gateway *gw, struct run *r, const oc_agent_event *e, const char *phase, const char *error)
{
	oc_sbuf data;
	oc_sbuf_init(&data, 65536);
	oc_sbuf_printf(&data, "{\"phase\":\"%s\"", phase);
	if (error != NULL) {
		oc_sbuf_z(&data, ",\"error\":");
		oc_sbuf_json(&data, oc_str_of(error));
	}
	oc_sbuf_printf(&data, ",\"%s\":%" PRId64 "}", strcmp(phase, "start") == 0 ? "startedAt" : "endedAt", e->ts_ms);
	tell_agent(gw, r, e, "lifecycle", &data);
	oc_sbuf_free(&data);
}

static void tell_tool(oc_gateway *gw, struct run *r, const oc_agent_event *e)
{
	oc_sbuf data;
	const char *phase = e->type == OC_AGENT_EV_TOOL_START ? "start" : e->type == OC_AGENT_EV_TOOL_END ? "result" : "update";
	tell_text(gw, r, e);
	oc_sbuf_init(&data, MAX_PAYLOAD);
	oc_sbuf_printf(&data, "{\"phase\":\"%s\",\"name\":", phase);
	oc_sbuf_json(&data, oc_json_ostr(e->data, "name"));
	oc_sbuf_z(&data, ",\"toolCallId\":");
	oc_sbuf_json(&data, oc_json_ostr(e->data, "id"));
	if (e->type == OC_AGENT_EV_TOOL_START) {
		oc_sbuf_z(&data, ",\"args\":");
		oc_json_add_to(&data, oc_json_get(e->data, "arguments"));
	} else if (e->type == OC_AGENT_EV_TOOL_PROGRESS) {
		oc_sbuf_z(&data, ",\"partialResult\":{\"content\":[{\"type\":\"text\",\"text\":");
		oc_sbuf_json(&data, e->text);
		oc_sbuf_z(&data, "}]}");
	} else {
		const cJSON *content = oc_json_get(e->data, "content");
		oc_sbuf_printf(&data, ",\"isError\":%s", oc_json_bool(e->data, "isError", false) ? "true" : "false");
		oc_sbuf_z(&data, ",\"result\":{\"content\":");
		if (content != NULL)
			oc_json_add_to(&data, content);
		else
			oc_sbuf_z(&data, "[]");
		oc_sbuf_char(&data, '}');
	}
	oc_sbuf_char(&data, '}');
	tell_agent(gw, r, e, "tool", &data);
	if (data.error == OC_OK)
		oc_claw_tell_tool(gw, e, r->chat.name, r->seq, oc_sbuf_view(&data));
	oc_sbuf_free(&data);
	r->after_tool = e->type == OC_AGENT_EV_TOOL_END;
}

static void take_text(oc_gateway *gw, struct run *r, const oc_agent_event *e)
{
	if (r->after_tool)
		r->part = r->text.n;
	r->after_tool = false;
	oc_sbuf_str(&r->text, e->text);
	while (r->part < r->text.n && strchr("\r\n", r->text.p[r->part]) != NULL) /* the line between what was said before and after */
		r->part++;
	if (oc_now_ms() - r->told_ms >= DELTA_MS)
		tell_text(gw, r, e);
}

/* What was streamed, unless the reply is another: a hook changed it, or nothing was streamed at all. */
static oc_str final_text(const struct run *r, oc_str reply)
{
	oc_str all = trimmed_end(oc_sbuf_view(&r->text));
	reply = trimmed_end(reply);
	return reply.n == 0 || (all.n >= reply.n && memcmp(all.p + all.n - reply.n, reply.p, reply.n) == 0) ? all : reply;
}

static void end(struct oc_chats *all, struct run *r, const oc_agent_event *e)
{
	oc_gateway *gw = all->gw;
	const char *status = oc_json_str(e->data, "status", "ok");
	const cJSON *error = oc_json_get(e->data, "error");
	(void)snprintf(r->chat.status, sizeof r->chat.status, "%s", status);
	r->chat.ended = true;
	r->chat.ended_ms = e->ts_ms;
	tell_text(gw, r, e);
	if (strcmp(status, "ok") == 0) {
		tell_lifecycle(gw, r, e, "end", NULL);
		char extra[64];
		(void)snprintf(extra, sizeof extra, ",\"stopReason\":\"%.30s\"", oc_json_str(e->data, "stopReason", "stop"));
		tell_chat(gw, r, "final", final_text(r, oc_json_ostr(e->data, "text")), NULL, extra);
	} else if (strcmp(status, "canceled") == 0) {
		tell_lifecycle(gw, r, e, "end", NULL);
		if (!r->chat.aborted)
			tell_chat(gw, r, "aborted", trimmed_end(oc_sbuf_view(&r->text)), NULL, ",\"stopReason\":\"stop\"");
	} else {
		const char *why = oc_json_str(error, "message", "the turn failed");
		oc_sbuf extra;
		oc_sbuf_init(&extra, 65536);
		oc_sbuf_z(&extra, ",\"errorMessage\":");
		oc_sbuf_json(&extra, oc_str_of(why));
		tell_lifecycle(gw, r, e, "error", why);
		tell_chat(gw, r, "error", OC_STR_NONE, NULL, oc_sbuf_view(&extra).p);
		oc_sbuf_free(&extra);
	}
	keep_ended(all, r);
}

static void on_event(void *arg, const oc_agent_event *e)
{
	struct oc_chats *all = arg;
	/* What happens by the clock is told as it is. */
	if (e->type == OC_AGENT_EV_CRON || e->type == OC_AGENT_EV_HEARTBEAT)
		oc_proto_send_json(all->gw, oc_agent_event_name(e->type), OC_SCOPE_READ, cJSON_Duplicate(e->data, true));
	else if (e->type == OC_AGENT_EV_APPROVAL)
		oc_proto_send_json(all->gw, oc_json_str(e->data, "event", ""), OC_SCOPE_APPROVALS, cJSON_Duplicate(oc_json_get(e->data, "payload"), true));
	oc_claw_tell_session(all->gw, e);
	if (e->run[0] == 0)
		return;
	struct run *r = find(all, e->run);
	if (r == NULL && e->type != OC_AGENT_EV_DONE && all->gw->protos->first != NULL)
		r = add(all, e->run, e->session, oc_str_of(e->run));
	if (r == NULL || r->chat.ended)
		return;
	switch (e->type) {
	case OC_AGENT_EV_START:
		r->chat.started_ms = e->ts_ms;
		tell_lifecycle(all->gw, r, e, "start", NULL);
		break;
	case OC_AGENT_EV_TEXT:
		take_text(all->gw, r, e);
		break;
	case OC_AGENT_EV_TOOL_START:
	case OC_AGENT_EV_TOOL_PROGRESS:
	case OC_AGENT_EV_TOOL_END:
		tell_tool(all->gw, r, e);
		break;
	case OC_AGENT_EV_DONE:
		end(all, r, e);
		break;
	default:
		break;
	}
}

/* ---- The list ---- */

void oc_chats_start(oc_gateway *gw)
{
	struct oc_protos *protos = oc_protos_of(gw);
	if (protos == NULL || protos->chats != NULL)
		return;
	struct oc_chats *all = oc_alloc(sizeof *all);
	if (all == NULL)
		return;
	all->gw = gw;
	protos->chats = all;
	protos->agent = oc_agent_subscribe(gw->agent, NULL, NULL, on_event, all);
}

/* Takes it out of the list, and answers. */
static void await_over(struct awaiting *w, const oc_chat *chat)
{
	struct awaiting **at = &w->all->awaiting;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->all->n_awaiting--;
	oc_watch_end(w->timer);
	w->done(w->arg, chat);
	oc_free(w);
}

static void await_late(void *arg)
{
	await_over(arg, NULL);
}

oc_status oc_chat_await(oc_gateway *gw, const char *name, uint64_t ms, void (*done)(void *arg, const oc_chat *chat), void *arg, oc_err *err)
{
	struct oc_chats *all = chats_of(gw);
	if (all != NULL && all->n_awaiting >= MOST_AWAITING)
		return oc_fail(err, OC_E_UNAVAILABLE, "", "too many wait for runs that have not begun");
	struct awaiting *w = all != NULL ? oc_alloc(sizeof *w) : NULL;
	if (w != NULL) {
		*w = (struct awaiting){.next = all->awaiting, .all = all, .done = done, .arg = arg};
		(void)snprintf(w->name, sizeof w->name, "%s", name);
		w->timer = oc_timer_start(gw->rt->owner, ms, 0, await_late, w);
	}
	if (w == NULL || w->timer == NULL) {
		oc_free(w);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot wait for the run");
	}
	all->awaiting = w;
	all->n_awaiting++;
	return OC_OK;
}

static void tell_awaiting(struct oc_chats *all, const oc_chat *chat)
{
	for (struct awaiting *next, *w = all->awaiting; w != NULL; w = next) {
		next = w->next;
		if (strcmp(w->name, chat->name) == 0 || strcmp(w->name, chat->run) == 0)
			await_over(w, chat);
	}
}

void oc_chats_free(oc_gateway *gw)
{
	struct oc_chats *all = chats_of(gw);
	oc_map_node *node;
	if (all == NULL)
		return;
	while (all->awaiting != NULL)
		await_over(all->awaiting, NULL);
	oc_agent_unsubscribe(gw->protos->agent);
	while ((node = oc_map_any(&all->by_run)) != NULL)
		forget(all, OC_MAP_OWNER(node, struct run, by_run));
	oc_map_free(&all->by_run);
	oc_map_free(&all->by_name);
	oc_free(all);
	gw->protos->chats = NULL;
}

void oc_chat_begin(oc_gateway *gw, const oc_run_ref *ref, oc_str name)
{
	struct oc_chats *all = chats_of(gw);
	const struct run *r = NULL;
	if (all != NULL && find(all, ref->run) == NULL && name.n < OC_CHAT_NAME_MAX)
		r = add(all, ref->run, ref->session, name);
	if (r != NULL)
		tell_awaiting(all, &r->chat);
}

const oc_chat *oc_chat_find(oc_gateway *gw, const char *name)
{
	struct oc_chats *all = chats_of(gw);
	const struct run *r = all != NULL ? find(all, name) : NULL;
	return r != NULL ? &r->chat : NULL;
}

void oc_chat_tell_aborted(oc_gateway *gw, const oc_chat *chat, const char *reason)
{
	struct run *r = find(chats_of(gw), chat->run);
	char extra[64];
	if (r == NULL || r->chat.ended || r->chat.aborted)
		return;
	(void)snprintf(extra, sizeof extra, ",\"stopReason\":\"%s\"", reason);
	r->seq++;
	tell_chat(gw, r, "aborted", trimmed_end(oc_sbuf_view(&r->text)), NULL, extra);
	r->chat.aborted = true;
}

struct each {
	const char *session;
	void (*fn)(void *arg, const oc_chat *chat);
	void *arg;
};

static void visit(void *arg, oc_map_node *node)
{
	const struct each *each = arg;
	const struct run *r = OC_MAP_OWNER(node, struct run, by_run);
	if (!r->chat.ended && strcmp(r->chat.session, each->session) == 0)
		each->fn(each->arg, &r->chat);
}

void oc_chats_each(oc_gateway *gw, const char *session, void (*fn)(void *arg, const oc_chat *chat), void *arg)
{
	struct oc_chats *all = chats_of(gw);
	struct each each = {session, fn, arg};
	if (all != NULL)
		oc_map_each(&all->by_run, visit, &each);
}
