/*
 * `openclaw NAME` for a NAME that a TypeScript plugin registered: found in what is known of its registrations, run in a Node
 * process that has this terminal.
 */
#include "core/cli/plugin_command.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/cli/remote.h"
#include "core/gateway/method.h"
#include "core/gateway/plugin_host.h"
#include "ipc-bridge/bridge.h"

/* ---- What a command asks of the gateway: this program stands between them ---- */

static void on_called(void *arg, oc_status status, cJSON *result, const oc_err *err)
{
	oc_plugin_ticket *ticket = arg;
	oc_auto_json cJSON *own = result;
	oc_auto_free char *text = status == OC_OK ? oc_json_print(own) : NULL;
	if (text != NULL)
		oc_bridge_answer(*ticket, OC_OK, oc_str_of(text));
	else if (status == OC_OK)
		oc_bridge_answer(*ticket, OC_E_NOMEM, OC_STR("out of memory"));
	else
		oc_plugin_refuse_call(*ticket, err);
	oc_free(ticket);
}

/* args: [method, params, {"timeoutMs"}] */
static oc_status gateway_call(oc_cli_plugins *p, oc_plugin_ticket ticket, const cJSON *args, oc_err *err)
{
	const cJSON *name = cJSON_GetArrayItem(args, 0);
	const char *method = cJSON_IsString(name) ? name->valuestring : "";
	int64_t ms = oc_json_i64(cJSON_GetArrayItem(args, 2), "timeoutMs", 0);
	oc_status status = oc_plugin_may_call(ticket.plugin, method, err);
	if (status != OC_OK)
		return status;
	oc_plugin_ticket *kept = oc_alloc(sizeof *kept);
	if (kept != NULL)
		*kept = ticket;
	status = kept != NULL ? oc_remote_start(p->owner, method, cJSON_GetArrayItem(args, 1), ms > 0 && ms < UINT32_MAX ? (unsigned)ms : 0, on_called, kept, err)
			      : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a call");
	if (status != OC_OK)
		oc_free(kept);
	return status;
}

static bool runtime(void *arg, oc_plugin_ticket ticket, const char *path, const cJSON *args)
{
	oc_cli_plugins *p = arg;
	oc_err err = {0};
	oc_status status;
	if (strcmp(path, "gateway.call") == 0) {
		status = gateway_call(p, ticket, args, &err);
	} else if (strcmp(path, "config.write") == 0) {
		status = oc_plugin_config_write(ticket.plugin, p->config, NULL, cJSON_GetArrayItem(args, 0), &err);
		if (status == OC_OK)
			oc_bridge_answer(ticket, OC_OK, OC_STR("null"));
	} else {
		status = oc_fail(&err, OC_E_UNSUPPORTED, NULL, "api.runtime.%s works in the gateway's process of the plugin, not in a command", path);
	}
	if (status != OC_OK)
		oc_plugin_refuse_call(ticket, &err);
	return true;
}

static void nothing_event(void *arg, oc_plugin *plugin, const char *event, const cJSON *payload)
{
	(void)arg, (void)plugin, (void)event, (void)payload;
}

static void nothing_kind(void *arg, oc_plugin *plugin, const char *kind)
{
	(void)arg, (void)plugin, (void)kind;
}

static void nothing(void *arg, oc_plugin *plugin)
{
	(void)arg, (void)plugin;
}

static bool has_method(oc_str name)
{
	return oc_method_find(name, NULL) >= 0;
}

static void nothing_new(void *arg, oc_plugin *plugin, bool others)
{
	(void)arg, (void)plugin, (void)others;
}

static const oc_bridge_host host = {runtime, nothing_event, nothing_kind, nothing, nothing_new, has_method};

/* ---- The plugins ---- */

void oc_cli_plugins_leave(oc_cli_plugins *p)
{
	oc_bridge_free(p->bridge);
	oc_owner_free(p->owner);
	oc_loop_free(p->loop);
	oc_config_unref(p->config);
}

bool oc_cli_plugins_enter(oc_cli_plugins *p)
{
	oc_err err = {0};
	*p = (oc_cli_plugins){.code = OC_EXIT_FAILED};
	oc_status status = oc_config_load(NULL, &p->config, &err);
	if (status == OC_OK)
		status = oc_loop_new(&p->loop, &err);
	if (status == OC_OK && (p->owner = oc_owner_new(p->loop, "command")) == NULL)
		status = OC_E_NOMEM;
	if (status == OC_OK)
		status = oc_bridge_new(p->loop, p->config, NULL, NULL, &host, p, &p->bridge, &err);
	if (status == OC_OK)
		status = oc_bridge_scan(p->bridge, &err);
	if (status != OC_OK)
		oc_cli_plugins_leave(p);
	return status == OC_OK;
}

static bool find(oc_bridge *bridge, const char *name, oc_plugin_cli *ret)
{
	for (size_t i = 0; oc_bridge_cli_row(bridge, i, ret); i++)
		if (strcmp(ret->name, name) == 0)
			return true;
	return false;
}

static void stop_loop(void *arg)
{
	oc_loop_stop(((oc_cli_plugins *)arg)->loop);
}

bool oc_cli_plugins_learn(oc_cli_plugins *p)
{
	/* A gateway has looked at all plugins already. */
	if (!oc_bridge_unknown(p->bridge) || oc_remote_alive() || oc_bridge_inspect(p->bridge, stop_loop, p) != OC_OK)
		return false;
	oc_loop_run(p->loop);
	oc_bridge_stop(p->bridge, stop_loop, p);
	oc_loop_run(p->loop);
	return true;
}

static void on_done(void *arg, int code)
{
	oc_cli_plugins *p = arg;
	p->code = code;
	oc_loop_stop(p->loop);
}

bool oc_cli_plugin_command(int argc, char **argv, int *ret_code)
{
	oc_cli_plugins p;
	oc_plugin_cli command;
	oc_err err = {0};
	if (argv[0][0] == '-' || !oc_cli_plugins_enter(&p))
		return false;
	bool found = find(p.bridge, argv[0], &command) || (oc_cli_plugins_learn(&p) && find(p.bridge, argv[0], &command));
	if (found && oc_plugin_cli_run(command.plugin, argc, argv, on_done, &p, &err) == OC_OK) {
		oc_loop_run(p.loop);
		*ret_code = p.code;
	} else if (found) {
		*ret_code = oc_cli_fail(&err);
	}
	oc_cli_plugins_leave(&p);
	return found;
}

void oc_cli_plugin_help(FILE *out)
{
	oc_cli_plugins p;
	oc_plugin_cli command;
	if (!oc_cli_plugins_enter(&p))
		return;
	for (size_t i = 0; oc_bridge_cli_row(p.bridge, i, &command); i++) {
		oc_auto_free char *text = oc_asprintf("%s%s(plugin %s)", command.help, command.help[0] != 0 ? " " : "", command.id);
		fprintf(out, "%s  %-16s ", i == 0 ? "\nCommands of plugins:\n" : "", command.name);
		oc_cli_text(out, oc_str_of(text != NULL ? text : ""), 200, true);
		fputc('\n', out);
	}
	oc_cli_plugins_leave(&p);
}
