/* Where TypeScript plugins and the rest of the runtime meet: neither the agent nor the bridge knows of the other. */
#include "core/gateway/plugins.h"

#include <string.h>

#include "core/base/mem.h"

/* ---- Slash commands ---- */

static bool command_row(void *arg, size_t i, oc_agent_command *ret)
{
	const oc_runtime *rt = arg;
	oc_plugin_command command;
	if (!oc_bridge_command(rt->bridge, i, &command))
		return false;
	*ret = (oc_agent_command){.name = command.name, .help = command.description, .by = command.plugin, .native = command.native,
				  .takes_args = command.takes_args, .open = !command.requires_auth};
	return true;
}

typedef struct command_run {
	void (*done)(void *arg, oc_status status, const cJSON *reply, const char *why);
	void *arg;
	oc_plugin_call *call;
	bool cancelled;
} command_run;

static void command_done(void *arg, oc_status status, oc_str result)
{
	command_run *r = arg;
	oc_auto_json cJSON *reply = NULL;
	oc_err err = {0};
	if (status == OC_OK)
		status = oc_json_parse(result, NULL, &reply, &err);
	else
		(void)oc_fail(&err, status, NULL, "%.*s", OC_STR_ARG(result));
	if (!r->cancelled)
		r->done(r->arg, status, reply, err.text);
	oc_free(r);
}

static oc_status command_start(void *arg, const char *name, const cJSON *ctx, uint64_t deadline_ms,
			       void (*done)(void *done_arg, oc_status status, const cJSON *reply, const char *why), void *done_arg,
			       void **ret_handle)
{
	const oc_runtime *rt = arg;
	command_run *r = oc_alloc(sizeof(*r));
	if (r == NULL)
		return OC_E_NOMEM;
	*r = (command_run){.done = done, .arg = done_arg};
	oc_status status = oc_bridge_command_run(rt->bridge, name, ctx, deadline_ms < UINT32_MAX ? (uint32_t)deadline_ms : 0,
						 command_done, r, &r->call);
	if (status != OC_OK)
		oc_free(r);
	else
		*ret_handle = r;
	return status;
}

static void command_cancel(void *arg, void *handle)
{
	command_run *r = handle;
	(void)arg;
	r->cancelled = true;
	oc_plugin_call_cancel(r->call);
}

static const oc_agent_commands commands = {command_row, command_start, command_cancel};

void oc_plugins_join(oc_runtime *rt)
{
	oc_agent_set_commands(rt->agent, &commands, rt);
}
