/*
 * The top commands.  Each is defined as `const oc_command oc_cmd_<name>` in core/cli/<name>.c; a new one gets a
 * declaration and a line in OC_COMMANDS, which is also the order of --help.
 */
#ifndef OC_CLI_COMMANDS_H
#define OC_CLI_COMMANDS_H

#include "core/cli/cli.h"

/* clang-format off */
extern const oc_command oc_cmd_admin;
extern const oc_command oc_cmd_agent;
extern const oc_command oc_cmd_approvals;
extern const oc_command oc_cmd_completion;
extern const oc_command oc_cmd_config;
extern const oc_command oc_cmd_cron;
extern const oc_command oc_cmd_daemon;
extern const oc_command oc_cmd_dashboard;
extern const oc_command oc_cmd_doctor;
extern const oc_command oc_cmd_gateway;
extern const oc_command oc_cmd_health;
extern const oc_command oc_cmd_logs;
extern const oc_command oc_cmd_memory;
extern const oc_command oc_cmd_migrate;
extern const oc_command oc_cmd_models;
extern const oc_command oc_cmd_module;
extern const oc_command oc_cmd_onboard;
extern const oc_command oc_cmd_devices;
extern const oc_command oc_cmd_pairing;
extern const oc_command oc_cmd_plugins;
extern const oc_command oc_cmd_sessions;
extern const oc_command oc_cmd_skills;
extern const oc_command oc_cmd_status;
extern const oc_command oc_cmd_store;
extern const oc_command oc_cmd_system;

/* Of openclaw models, in a file of its own. */
extern const oc_command oc_cmd_models_auth;

/* Of openclaw module, in a file of their own. */
extern const oc_command oc_cmd_module_trace;
extern const oc_command oc_cmd_module_new;
extern const oc_command oc_cmd_module_build;
extern const oc_command oc_cmd_module_test;
extern const oc_command oc_cmd_module_verify;
extern const oc_command oc_cmd_module_pack;

#define OC_COMMANDS \
	&oc_cmd_onboard, \
	&oc_cmd_gateway, \
	&oc_cmd_agent, \
	&oc_cmd_status, \
	&oc_cmd_health, \
	&oc_cmd_dashboard, \
	&oc_cmd_doctor, \
	&oc_cmd_config, \
	&oc_cmd_models, \
	&oc_cmd_module, \
	&oc_cmd_plugins, \
	&oc_cmd_sessions, \
	&oc_cmd_store, \
	&oc_cmd_memory, \
	&oc_cmd_skills, \
	&oc_cmd_cron, \
	&oc_cmd_system, \
	&oc_cmd_pairing, \
	&oc_cmd_devices, \
	&oc_cmd_admin, \
	&oc_cmd_approvals, \
	&oc_cmd_migrate, \
	&oc_cmd_daemon, \
	&oc_cmd_logs, \
	&oc_cmd_completion,
/* clang-format on */

#endif
