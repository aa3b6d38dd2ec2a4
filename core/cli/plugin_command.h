/* Commands that TypeScript plugins add. */
#ifndef OC_CLI_PLUGIN_COMMAND_H
#define OC_CLI_PLUGIN_COMMAND_H

#include "core/cli/cli.h"
#include "ipc-bridge/bridge.h"

/* The plugins as a command sees them, without a gateway. */
typedef struct oc_cli_plugins {
	oc_config *config;
	oc_loop *loop;
	oc_owner *owner;
	oc_bridge *bridge;
	int code;
} oc_cli_plugins;

/* false: there is no configuration that can be read. */
bool oc_cli_plugins_enter(oc_cli_plugins *p);
void oc_cli_plugins_leave(oc_cli_plugins *p);
/* Looks at plugins of which nobody knows what they register; false: there was nothing to learn. */
bool oc_cli_plugins_learn(oc_cli_plugins *p);

/* Runs `openclaw argv…` when a plugin has a command of that name; false: none has. */
bool oc_cli_plugin_command(int argc, char **argv, int *ret_code);
/* The part of `openclaw --help` about them; nothing when there are none. */
void oc_cli_plugin_help(FILE *out);

#endif
