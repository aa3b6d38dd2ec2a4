/*
 * `openclaw NAME` for a NAME that a TypeScript plugin registered: found in what is known of its registrations, run in a Node
 * process that has this terminal.
 */
#include "core/cli/plugin_command.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/cli/remote.h"
#include "ipc-bridge/bridge.h"

void oc_cli_plugins_leave(oc_cli_plugins *p)
{
	oc_bridge_free(p->bridge);
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
	if (status == OC_OK)
		status = oc_bridge_new(p->loop, p->config, NULL, NULL, NULL, NULL, &p->bridge, &err);
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
