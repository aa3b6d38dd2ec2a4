/* What the files of `openclaw plugins` share. */
#ifndef OC_CLI_PLUGINS_H
#define OC_CLI_PLUGINS_H

#include "core/cli/cli.h"
#include "core/config/config.h"

extern const oc_command oc_plugins_install_command, oc_plugins_uninstall_command, oc_plugins_update_command;
extern const oc_command oc_plugins_doctor_command, oc_plugins_logs_command;

/* Every plugin, or one with all that is known of it: of the running gateway, else as the folders and the configuration say.
 * The caller's. OC_E_NOT_FOUND. */
oc_status oc_plugins_list(cJSON **ret, oc_err *err);
oc_status oc_plugins_info(const char *id, cJSON **ret, oc_err *err);
/* Waits until the running gateway, if there is one, has loaded a plugin that was just enabled. OC_E_UNAVAILABLE: it could not. */
oc_status oc_plugins_wait(const char *id, oc_err *err);
/* What makes a plugin run: its entry, the list of those allowed where there is one, the slot that its kind fills (else it would
 * stay out). */
void oc_plugins_enable(oc_config_edits *e, const oc_config *config, const char *id, const cJSON *kind);
/* Lists of names: a copy with it, a copy without it. */
cJSON *oc_plugins_with(const cJSON *list, const char *text);
cJSON *oc_plugins_without(const cJSON *list, const char *text);
/* The path of plugins.<map>.<id>[.<member>] in the configuration, whatever the id's letters; oc_free it. */
char *oc_plugins_path(const char *map, const char *id, const char *member);
/* Lines of the gateway's log: all (where NULL), or those by and about one plugin. */
int oc_logs_show(const char *plugin, int64_t lines, int level, bool json, bool follow);

/* Sets a text unless it is NULL. */
static inline void oc_plugins_opt(cJSON *object, const char *name, const char *text)
{
	if (text != NULL)
		(void)oc_json_set_str(object, name, text);
}

#endif
