/*
 * The top commands.  Each is defined as `const oc_command oc_cmd_<name>` in core/cli/<name>.c; a new one gets a
 * declaration and a line in OC_COMMANDS, which is also the order of --help.
 */
#ifndef OC_CLI_COMMANDS_H
#define OC_CLI_COMMANDS_H

#include "core/cli/cli.h"

extern const oc_command oc_cmd_module;

/* clang-format off */
#define OC_COMMANDS \
	&oc_cmd_module,
/* clang-format on */

#endif
