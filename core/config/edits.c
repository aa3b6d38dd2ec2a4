/* Changes of the configuration that are gathered one by one, and made together or not at all. */
#include "core/base/mem.h"
#include "core/config/config.h"

enum { EDITS_MAX = 1000 };

/* What can go wrong is told by the commit: who gathers need not look. */
static void append(oc_config_edits *e, char *path, cJSON *value, bool complete)
{
	oc_config_change *grown = NULL;

	if (complete && path != NULL && e->n < EDITS_MAX)
		grown = oc_realloc(e->changes, (e->n + 1) * sizeof(*grown));
	if (grown == NULL) {
		e->failed = true;
		oc_free(path);
		cJSON_Delete(value);
		return;
	}
	e->changes = grown;
	e->changes[e->n++] = (oc_config_change){path, value};
}

void oc_config_edits_set(oc_config_edits *e, char *path, cJSON *value)
{
	append(e, path, value, value != NULL);
}

void oc_config_edits_remove(oc_config_edits *e, char *path)
{
	append(e, path, NULL, true);
}

void oc_config_edits_drop(oc_config_edits *e)
{
	for (size_t i = 0; i < e->n; i++) {
		oc_free((char *)(uintptr_t)e->changes[i].path);
		cJSON_Delete((cJSON *)(uintptr_t)e->changes[i].value);
	}
	oc_free(e->changes);
	*e = (oc_config_edits){0};
}

oc_status oc_config_edits_commit(oc_config_edits *e, const char *path_file, oc_err *err)
{
	oc_status status = OC_OK;

	if (e->failed)
		status = oc_fail(err, OC_E_LIMIT, NULL, "the configuration is not changed: more than %d changes, or no memory for them", EDITS_MAX);
	else if (e->n > 0)
		status = oc_config_edit_many(path_file, e->changes, e->n, err);
	oc_config_edits_drop(e);
	return status;
}
