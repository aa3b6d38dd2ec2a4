/* Events: from turns and channels to whoever listens. */
#include <string.h>

#include "core/agent/internal.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/trace.h"

struct oc_agent_sub {
	oc_agent_sub *next;
	oc_agent *agent;
	char *session, *run; /* NULL: any */
	oc_agent_event_fn fn; /* NULL: ended, freed after the fan-out */
	void *arg;
};

const char *oc_agent_event_name(int type)
{
	static const char *const names[] = {
		"",	"accepted", "start", "text", "thinking", "tool_start", "tool_progress", "tool_end", "usage",
		"notice", "reply",    "error", "done", "session",  "delivery",   "channel",	"pairing",
		"plugin", "cron",     "heartbeat", "approval",
	};
	return type > 0 && type < (int)(sizeof names / sizeof *names) ? names[type] : "unknown";
}

oc_agent_sub *oc_agent_subscribe(oc_agent *agent, const char *session, const char *run, oc_agent_event_fn fn, void *arg)
{
	oc_agent_sub *sub = oc_alloc(sizeof *sub);
	if (sub == NULL)
		return NULL;
	sub->agent = agent;
	sub->fn = fn;
	sub->arg = arg;
	sub->session = session != NULL ? oc_strdup(session) : NULL;
	sub->run = run != NULL ? oc_strdup(run) : NULL;
	if ((session != NULL && sub->session == NULL) || (run != NULL && sub->run == NULL)) {
		oc_free(sub->session);
		oc_free(sub->run);
		oc_free(sub);
		return NULL;
	}
	/* At the end: a subscription made inside an event does not get that event's later copies first. */
	oc_agent_sub **at = &agent->subs;
	while (*at != NULL)
		at = &(*at)->next;
	*at = sub;
	return sub;
}

static void sub_free(oc_agent_sub *sub)
{
	oc_free(sub->session);
	oc_free(sub->run);
	oc_free(sub);
}

static void sweep(oc_agent *agent)
{
	for (oc_agent_sub **at = &agent->subs; *at != NULL;) {
		oc_agent_sub *sub = *at;
		if (sub->fn != NULL) {
			at = &sub->next;
			continue;
		}
		*at = sub->next;
		sub_free(sub);
	}
}

void oc_agent_unsubscribe(oc_agent_sub *sub)
{
	if (sub == NULL)
		return;
	sub->fn = NULL;
	if (sub->agent->emitting == 0)
		sweep(sub->agent);
}

void oc_agent_subs_free(oc_agent *agent)
{
	for (oc_agent_sub *sub = agent->subs, *next; sub != NULL; sub = next) {
		next = sub->next;
		sub_free(sub);
	}
	agent->subs = NULL;
}

void oc_agent_emit(oc_agent *agent, const oc_agent_event *event)
{
	agent->emitting++;
	for (oc_agent_sub *sub = agent->subs; sub != NULL; sub = sub->next) {
		if (sub->fn == NULL || (sub->session != NULL && strcmp(sub->session, event->session) != 0) ||
		    (sub->run != NULL && strcmp(sub->run, event->run) != 0))
			continue;
		sub->fn(sub->arg, event);
	}
	if (--agent->emitting == 0)
		sweep(agent);
}

void oc_agent_announce(oc_agent *agent, const char *plugin, const char *event, cJSON *payload)
{
	cJSON *data = cJSON_CreateObject();
	(void)oc_json_set_str(data, "plugin", plugin);
	(void)oc_json_set_str(data, "event", event);
	if (payload != NULL)
		(void)oc_json_set(data, "payload", payload);
	oc_agent_emit_plain(agent, OC_AGENT_EV_PLUGIN, NULL, data);
}

void oc_agent_emit_plain(oc_agent *agent, int type, const char *session, cJSON *data)
{
	oc_session_key key = {0};
	if (session != NULL && session[0] != 0)
		(void)oc_session_key_parse(oc_str_of(session), &key, NULL);
	oc_agent_emit(agent, &(oc_agent_event){
				     .type = type,
				     .seq = ++agent->event_seq,
				     .ts_ms = oc_wall_ms(),
				     .run = "",
				     .session = session != NULL ? session : "",
				     .agent = key.agent,
				     .text = OC_STR_NONE,
				     .data = data,
			     });
	cJSON_Delete(data);
}

void oc_agent_error(oc_agent *agent, const char *where, const char *session, const char *run, const oc_err *err)
{
	if (!oc_hooks_wanted(agent->hooks, OC_HOOK_ERROR))
		return;
	cJSON *payload = cJSON_CreateObject();
	oc_json_opt(payload, "where", where);
	oc_json_opt(payload, "session", session);
	oc_json_opt(payload, "run", run);
	oc_json_opt(payload, "trace", oc_trace_now());
	oc_json_opt(payload, "code", oc_status_name(err->code));
	oc_json_opt(payload, "message", err->text);
	oc_json_opt(payload, "remedy", err->remedy);
	(void)oc_hooks_fire(agent->hooks, OC_HOOK_ERROR, payload, NULL, NULL, NULL);
}
