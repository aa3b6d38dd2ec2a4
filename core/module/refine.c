/* Checks the channels' parts of a configuration against what their modules' manifests say. */
#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "core/module/module.h"

oc_status oc_modules_refine(oc_modules *modules, oc_config *config)
{
	oc_auto_json cJSON *channels = oc_modules_known_channels(modules);
	const cJSON *channel;
	oc_status status = channels == NULL ? OC_E_NOMEM : OC_OK;

	cJSON_ArrayForEach(channel, channels) {
		const cJSON *schema = oc_json_get(channel, "configSchema");
		oc_sbuf path;

		if (schema == NULL || status != OC_OK)
			continue;
		oc_sbuf_init(&path, 1024);
		oc_sbuf_z(&path, "channels");
		oc_jpath_add_name(&path, oc_json_str(channel, "id", ""));
		status = path.error == OC_OK ? oc_config_refine(config, oc_sbuf_view(&path).p, schema) : path.error;
		oc_sbuf_free(&path);
	}
	return status;
}

oc_status oc_modules_refiner(void *modules, oc_config *config)
{
	return modules != NULL ? oc_modules_refine(modules, config) : OC_OK;
}
