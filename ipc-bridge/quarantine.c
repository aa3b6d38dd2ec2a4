/*
 * A plugin whose process ended again and again is left alone, by this gateway and the next, until it is enabled anew or is
 * another one.  Kept in the list that modules' quarantines are in, under the name of its module, with its key for a mark.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/module/crash.h"
#include "ipc-bridge/plugin.h"

/* The mark of those whose code did not load: no key. */
#define NOT_LOADED "not-loaded"

static void refuse_until_enabled(oc_plugin *plugin, const char *reason)
{
	oc_auto_free char *remedy =
		oc_asprintf("openclaw plugins logs %s says more; once it is mended: openclaw plugins enable %s", plugin->id, plugin->id);
	oc_plugin_refuse(plugin, remedy, "%s", reason);
}

static void refuse(oc_plugin *plugin, const char *reason)
{
	refuse_until_enabled(plugin, reason);
	oc_free(plugin->quarantine);
	plugin->quarantine = oc_strdup(reason);
}

static bool has_mark(const oc_plugin *plugin, const char *wanted, char **ret_reason)
{
	char *mark = NULL;
	bool has = wanted != NULL && oc_crash_quarantined(plugin->module_name, &mark, ret_reason) && strcmp(mark, wanted) == 0;
	oc_free(mark);
	return has;
}

void oc_plugin_failed(oc_plugin *plugin, const char *why)
{
	oc_free(plugin->failure);
	plugin->failure = oc_asprintf("it could not be loaded: %s", why);
	if (plugin->failure == NULL)
		return;
	(void)oc_crash_quarantine(plugin->module_name, NOT_LOADED, plugin->failure);
	refuse_until_enabled(plugin, plugin->failure);
}

bool oc_plugin_stays_failed(oc_plugin *plugin)
{
	oc_auto_free char *reason = NULL;
	bool stays = has_mark(plugin, NOT_LOADED, &reason);
	if (stays)
		refuse_until_enabled(plugin, plugin->failure);
	return stays;
}

void oc_plugin_quarantine(oc_plugin *plugin, const char *reason, bool keep)
{
	refuse(plugin, reason);
	if (keep)
		(void)oc_crash_quarantine(plugin->module_name, plugin->key != NULL ? plugin->key : "", reason);
}

bool oc_plugin_recall(oc_plugin *plugin)
{
	oc_auto_free char *reason = NULL;
	bool kept = has_mark(plugin, plugin->key, &reason);
	if (kept) {
		refuse(plugin, reason);
	} else {
		oc_free(plugin->quarantine);
		plugin->quarantine = NULL;
	}
	return kept;
}

oc_status oc_plugin_forgive(const char *id, oc_err *err)
{
	oc_auto_free char *name = oc_plugin_module_name(id);
	return name != NULL ? oc_crash_forgive(name, err) : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin");
}
