/* Commands that TypeScript plugins add. */
#ifndef OC_CLI_PLUGIN_COMMAND_H
#define OC_CLI_PLUGIN_COMMAND_H

#include "core/cli/cli.h"

/* Runs `openclaw argv…` when a plugin has a command of that name; false: none has. */
bool oc_cli_plugin_command(int argc, char **argv, int *ret_code);
/* The part of `openclaw --help` about them; nothing when there are none. */
void oc_cli_plugin_help(FILE *out);

#endif
