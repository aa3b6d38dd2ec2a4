/* One tool executed outside a turn: tools.execute of the gateway, `openclaw tools run`. */
#include <string.h>

#include "core/agent/toolrun.h"
#include "core/agent/workspace.h"
#include "core/base/id.h"
#include "core/base/trace.h"

typedef struct direct {
	oc_map_node node; /* in agent->direct_runs, by id */
	oc_agent *agent;
	oc_owner *owner;
	oc_toolrun *run;
	char trace[OC_TRACE_MAX];
	char id[37], agent_id[65], session[OC_SESSION_KEY_MAX];
	oc_session_key key;
	char *workspace;
	oc_config *config;
	void (*on_progress)(void *arg, oc_str piece);
	void (*done)(void *arg, oc_status status, const cJSON *result, const oc_err *err);
	void *arg;
} direct;

static void free_direct(direct *d)
{
	oc_toolrun_free(d->run);
	oc_owner_free(d->owner);
	oc_free(d->workspace);
	oc_config_unref(d->config);
	oc_free(d);
}

static void on_progress(void *arg, oc_str piece)
{
	direct *d = arg;
	if (d->on_progress != NULL)
		d->on_progress(d->arg, piece);
}

static void finish(direct *d, oc_status status, const cJSON *result, const oc_err *err)
{
	oc_map_remove(&d->agent->direct_runs, &d->node);
	d->done(d->arg, status, result, err);
}

static void on_done(void *arg, oc_toolrun *run)
{
	direct *d = arg;
	d->run = run;
	oc_auto_json cJSON *result = oc_toolrun_event(run);
	if (result != NULL && run->details != NULL)
		(void)oc_json_set(result, "details", cJSON_Duplicate(run->details, true));
	/* A tool that ran and failed in its own words is a result; one that could not run is an error. */
	finish(d, run->status, result, &run->err);
	free_direct(d);
}

static oc_status prepare(direct *d, const oc_tool_input *in, oc_err *err)
{
	oc_agent *agent = d->agent;
	if (in->agent.n > 0)
		oc_agent_id_normalize(in->agent, d->agent_id);
	else
		(void)oc_agent_default_id(agent->config, d->agent_id);
	oc_status status = oc_session_key_resolve(in->session, d->agent_id, oc_agent_main_key(agent->config), d->session, err);
	if (status == OC_OK)
		status = oc_session_key_parse(oc_str_of(d->session), &d->key, err);
	if (status != OC_OK)
		return status;
	memcpy(d->agent_id, d->key.agent, sizeof d->agent_id);
	d->owner = oc_owner_new(agent->loop, "tool");
	d->workspace = oc_agent_workspace(agent, agent->config, d->agent_id);
	if (d->owner == NULL || d->workspace == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot run the tool");
	return oc_workspace_prepare(agent, agent->config, d->workspace, err);
}

oc_status oc_agent_tool_execute(oc_agent *agent, const oc_tool_input *in, oc_err *err)
{
	if (agent->draining)
		return oc_fail(err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	if (in->arguments != NULL && !cJSON_IsObject(in->arguments))
		return oc_fail(err, OC_E_INVALID, NULL, "the arguments of a tool are an object");
	if (agent->direct_runs.n >= OC_AGENT_DIRECT_MAX) {
		oc_queue_refused(OC_QUEUE_direct_tools);
		return oc_fail(err, OC_E_BUSY, "try again when some of them are over", "too many tools run at once");
	}
	direct *d = oc_alloc(sizeof *d);
	oc_auto_free char *tool = oc_memdup(in->tool.p, in->tool.n);
	if (d == NULL || tool == NULL) {
		oc_free(d);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot run the tool");
	}
	d->agent = agent;
	d->config = oc_config_ref(agent->config);
	d->on_progress = in->on_progress;
	d->done = in->done;
	d->arg = in->arg;
	oc_id_uuid(d->id);
	if (oc_trace_now()[0] != 0)
		memcpy(d->trace, oc_trace_now(), sizeof d->trace);
	else
		oc_trace_new(d->trace);
	oc_status status = prepare(d, in, err);
	if (status != OC_OK) {
		free_direct(d);
		return status;
	}
	bool group = strcmp(d->key.kind, "group") == 0 || strcmp(d->key.kind, "channel") == 0 || strcmp(d->key.kind, "thread") == 0;
	oc_toolrun_input input = {
		.policy = {.agent = agent, .config = d->config, .agent_id = d->agent_id, .model = "", .key = &d->key,
			   .channel = d->key.channel, .account = d->key.account, .chat = group ? d->key.peer : "", .sender = "",
			   .sender_name = ""},
		.owner = d->owner,
		.run = d->id,
		.trace = d->trace,
		.session = d->session,
		.workspace = d->workspace,
		.call_id = d->id,
		.tool = tool,
		.arguments = in->arguments,
		.timeout_ms = in->timeout_ms,
		.on_progress = on_progress,
		.on_done = on_done,
		.arg = d,
	};
	oc_map_add(&agent->direct_runs, &d->node, d->id);
	d->run = oc_toolrun_start(&input);
	if (d->run == NULL) {
		oc_map_remove(&agent->direct_runs, &d->node);
		free_direct(d);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot run the tool");
	}
	return OC_OK;
}

static void drop(void *arg, oc_map_node *node)
{
	oc_agent *agent = arg;
	direct *d = OC_MAP_OWNER(node, direct, node);
	oc_map_remove(&agent->direct_runs, node);
	free_direct(d);
}

void oc_direct_free(oc_agent *agent)
{
	oc_map_each(&agent->direct_runs, drop, agent);
	oc_map_free(&agent->direct_runs);
}
