/* What changed between two snapshots. */
#include <string.h>

#include "core/base/mem.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"

struct differ {
	oc_config_diff *diff;
	oc_sbuf path;
	oc_status status;
};

static void add(struct differ *d)
{
	char **paths = oc_realloc(d->diff->paths, (d->diff->n + 1) * sizeof *paths);
	char *path = oc_strdup(oc_sbuf_view(&d->path).p);
	if (paths != NULL)
		d->diff->paths = paths;
	if (paths == NULL || path == NULL) {
		oc_free(path);
		d->status = OC_E_NOMEM;
		return;
	}
	d->diff->paths[d->diff->n++] = path;
}

static void compare(struct differ *d, const cJSON *a, const cJSON *b);

static void compare_member(struct differ *d, const char *name, const cJSON *a, const cJSON *b)
{
	size_t before = d->path.n;
	oc_jpath_add_name(&d->path, name);
	compare(d, a, b);
	d->path.n = before;
	if (d->path.p != NULL)
		d->path.p[before] = 0;
}

static void compare(struct differ *d, const cJSON *a, const cJSON *b)
{
	const cJSON *one;
	if (d->status != OC_OK)
		return;
	if (!cJSON_IsObject(a) || !cJSON_IsObject(b)) {
		if (!oc_json_equal(a, b))
			add(d);
		return;
	}
	cJSON_ArrayForEach(one, a) compare_member(d, one->string, one, oc_json_get(b, one->string));
	cJSON_ArrayForEach(one, b) if (oc_json_get(a, one->string) == NULL) compare_member(d, one->string, NULL, one);
}

oc_status oc_config_compare(const oc_config *before, const oc_config *after, oc_config_diff **ret)
{
	struct differ d = {.diff = oc_alloc(sizeof *d.diff)};
	if (d.diff == NULL)
		return OC_E_NOMEM;
	oc_sbuf_init(&d.path, 64 << 10);
	compare(&d, before->root, after->root);
	if (d.status == OC_OK)
		d.status = d.path.error;
	oc_sbuf_free(&d.path);
	if (d.status != OC_OK) {
		oc_config_diff_free(d.diff);
		return d.status;
	}
	*ret = d.diff;
	return OC_OK;
}

void oc_config_diff_free(oc_config_diff *diff)
{
	if (diff == NULL)
		return;
	for (size_t i = 0; i < diff->n; i++)
		oc_free(diff->paths[i]);
	oc_free(diff->paths);
	oc_free(diff);
}

bool oc_config_diff_touches(const oc_config_diff *diff, const char *path)
{
	for (size_t i = 0; i < diff->n; i++)
		if (oc_jpath_under(diff->paths[i], path) || oc_jpath_under(path, diff->paths[i]))
			return true;
	return false;
}
