/* Events of the agent for plugins that listen: api.runtime.events. */
#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/plugin_host.h"

typedef struct oc_plugin_ear {
	struct oc_plugin_ear *next;
	oc_plugin *plugin;
	oc_agent_sub *sub;
	bool agent, transcript, diagnostic;
} oc_plugin_ear;

static void tell(const oc_plugin_ear *ear, const char *kind, cJSON *payload)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "kind", kind);
	(void)oc_json_set(o, "payload", payload);
	oc_auto_free char *json = oc_json_print(o);
	if (json != NULL)
		oc_bridge_notify(ear->plugin, "event", oc_str_of(json));
}

static void copy(cJSON *to, const char *name, const cJSON *from, const char *member)
{
	const cJSON *value = oc_json_get(from, member);
	if (value != NULL)
		(void)oc_json_set(to, name, cJSON_Duplicate(value, true));
}

/* The stream an event belongs to and its data, in the original's words; NULL: it has none for it. */
static const char *translate(const oc_agent_event *e, cJSON *data)
{
	switch (e->type) {
	case OC_AGENT_EV_START:
		(void)oc_json_set_str(data, "phase", "start");
		(void)oc_json_set_i64(data, "startedAt", e->ts_ms);
		return "lifecycle";
	case OC_AGENT_EV_TEXT:
		(void)oc_json_set_str(data, "delta", e->text.p);
		return "assistant";
	case OC_AGENT_EV_TOOL_START:
		(void)oc_json_set_str(data, "phase", "start");
		copy(data, "name", e->data, "name");
		copy(data, "toolCallId", e->data, "id");
		copy(data, "args", e->data, "arguments");
		return "tool";
	case OC_AGENT_EV_TOOL_END:
		(void)oc_json_set_str(data, "phase", "result");
		copy(data, "name", e->data, "name");
		copy(data, "toolCallId", e->data, "id");
		copy(data, "isError", e->data, "isError");
		copy(data, "result", e->data, "content");
		return "tool";
	case OC_AGENT_EV_DONE: {
		bool ok = strcmp(oc_json_str(e->data, "status", ""), "ok") == 0;
		(void)oc_json_set_str(data, "phase", ok ? "end" : "error");
		(void)oc_json_set_i64(data, "endedAt", e->ts_ms);
		if (!ok)
			(void)oc_json_set_str(data, "error", oc_json_str(oc_json_get(e->data, "error"), "message",
									 oc_json_str(e->data, "status", "")));
		return "lifecycle";
	}
	default:
		return NULL;
	}
}

static cJSON *diagnostic(const oc_agent_event *e, const char *type)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "type", type);
	(void)oc_json_set_str(o, "sessionKey", e->session);
	return o;
}

static void tell_state(const oc_plugin_ear *ear, const oc_agent_event *e, const char *state)
{
	cJSON *o = diagnostic(e, "session.state");
	(void)oc_json_set_str(o, "state", state);
	tell(ear, "diagnostic", o);
}

/* What the original calls diagnostic events: for plugins that measure. */
static void tell_diagnostics(const oc_plugin_ear *ear, const oc_agent_event *e)
{
	if (e->type == OC_AGENT_EV_ACCEPTED) {
		cJSON *queued = diagnostic(e, "message.queued");
		(void)oc_json_set_str(queued, "source", "gateway");
		tell(ear, "diagnostic", queued);
	} else if (e->type == OC_AGENT_EV_START) {
		tell_state(ear, e, "processing");
	} else if (e->type == OC_AGENT_EV_DONE) {
		const char *model = oc_json_str(e->data, "model", ""), *slash = strchr(model, '/');
		bool ok = strcmp(oc_json_str(e->data, "status", ""), "ok") == 0;
		if (slash != NULL && oc_json_get(e->data, "usage") != NULL) {
			cJSON *used = diagnostic(e, "model.usage");
			oc_auto_free char *name = oc_memdup(model, (size_t)(slash - model));
			(void)oc_json_set_str(used, "provider", name != NULL ? name : "");
			(void)oc_json_set_str(used, "model", slash + 1);
			copy(used, "usage", e->data, "usage");
			copy(used, "durationMs", e->data, "durationMs");
			tell(ear, "diagnostic", used);
		}
		cJSON *processed = diagnostic(e, "message.processed");
		(void)oc_json_set_str(processed, "outcome", ok ? "completed" : "error");
		copy(processed, "durationMs", e->data, "durationMs");
		if (!ok)
			(void)oc_json_set_str(processed, "error", oc_json_str(oc_json_get(e->data, "error"), "message", ""));
		tell(ear, "diagnostic", processed);
		tell_state(ear, e, "idle");
	}
}

static void on_event(void *arg, const oc_agent_event *e)
{
	const oc_plugin_ear *ear = arg;
	if (e->run[0] == 0)
		return;
	if (ear->diagnostic)
		tell_diagnostics(ear, e);
	if (ear->agent) {
		cJSON *data = cJSON_CreateObject();
		const char *stream = translate(e, data);
		cJSON *payload = stream != NULL ? cJSON_CreateObject() : NULL;
		if (payload != NULL) {
			(void)oc_json_set_str(payload, "runId", e->run);
			(void)oc_json_set_i64(payload, "seq", (int64_t)e->seq);
			(void)oc_json_set_str(payload, "stream", stream);
			(void)oc_json_set_i64(payload, "ts", e->ts_ms);
			(void)oc_json_set_str(payload, "sessionKey", e->session);
			(void)oc_json_set(payload, "data", data);
			tell(ear, "agent", payload);
		} else {
			cJSON_Delete(data);
		}
	}
	if (ear->transcript && (e->type == OC_AGENT_EV_ACCEPTED || e->type == OC_AGENT_EV_REPLY || e->type == OC_AGENT_EV_TOOL_END)) {
		cJSON *payload = cJSON_CreateObject();
		(void)oc_json_set_str(payload, "sessionKey", e->session);
		(void)oc_json_set_str(payload, "runId", e->run);
		tell(ear, "transcript", payload);
	}
}

void oc_plugin_listen(oc_runtime *rt, oc_plugin *plugin, const char *kind)
{
	oc_plugin_ear *ear = rt->plugin_ears;
	while (ear != NULL && ear->plugin != plugin)
		ear = ear->next;
	if (ear == NULL) {
		ear = oc_alloc(sizeof *ear);
		if (ear == NULL)
			return;
		*ear = (oc_plugin_ear){.plugin = plugin, .next = rt->plugin_ears};
		ear->sub = oc_agent_subscribe(rt->agent, NULL, NULL, on_event, ear);
		if (ear->sub == NULL) {
			oc_free(ear);
			return;
		}
		rt->plugin_ears = ear;
	}
	ear->agent = ear->agent || strcmp(kind, "agent") == 0;
	ear->transcript = ear->transcript || strcmp(kind, "transcript") == 0;
	ear->diagnostic = ear->diagnostic || strcmp(kind, "diagnostic") == 0;
}

void oc_plugin_unlisten(oc_runtime *rt, const oc_plugin *plugin_or_null)
{
	for (oc_plugin_ear **at = &rt->plugin_ears; *at != NULL;) {
		oc_plugin_ear *ear = *at;
		if (plugin_or_null != NULL && ear->plugin != plugin_or_null) {
			at = &ear->next;
			continue;
		}
		*at = ear->next;
		oc_agent_unsubscribe(ear->sub);
		oc_free(ear);
	}
}
