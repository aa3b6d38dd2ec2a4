/*
 * A plugin whose process ended again and again is left alone, by this gateway and the next, until it is enabled anew or is
 * another one.  Kept in the list that modules' quarantines are in, under the name of its module, with its key for a mark.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/module/crash.h"
#include "ipc-bridge/plugin.h"

static void refuse(oc_plugin *plugin, const char *reason)
{
	oc_auto_free char *remedy =
		oc_asprintf("openclaw plugins logs %s says more; once it is mended: openclaw plugins enable %s", plugin->id, plugin->id);
	oc_plugin_refuse(plugin, remedy, "%s", reason);
	oc_free(plugin->quarantine);
	plugin->quarantine = oc_strdup(reason);
}

void oc_plugin_quarantine(oc_plugin *plugin, const char *reason, bool keep)
{
	refuse(plugin, reason);
	if (keep)
		(void)oc_crash_quarantine(plugin->module_name, plugin->key != NULL ? plugin->key : "", reason);
}

bool oc_plugin_recall(oc_plugin *plugin)
{
	char *mark = NULL, *reason = NULL;
	bool kept = plugin->key != NULL && oc_crash_quarantined(plugin->module_name, &mark, &reason) && strcmp(mark, plugin->key) == 0;
	if (kept) {
		refuse(plugin, reason);
	} else {
		oc_free(plugin->quarantine);
		plugin->quarantine = NULL;
	}
	oc_free(mark);
	oc_free(reason);
	return kept;
}

oc_status oc_plugin_forgive(const char *id, oc_err *err)
{
	oc_auto_free char *name = oc_plugin_module_name(id);
	return name != NULL ? oc_crash_forgive(name, err) : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin");
}
