/* The snapshot: its parts, its problems, reading from it. */
#include "core/config/config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"
#include "core/data/utf8.h"

oc_config *oc_config_new(const char *path)
{
	oc_config *c = oc_alloc(sizeof *c);
	if (c == NULL)
		return NULL;
	atomic_init(&c->refs, 1);
	c->path = oc_strdup(path);
	if (c->path != NULL)
		return c;
	oc_free(c);
	return NULL;
}

oc_config *oc_config_ref(oc_config *config)
{
	atomic_fetch_add(&config->refs, 1);
	return config;
}

void oc_config_unref(oc_config *c)
{
	if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	for (size_t i = 0; i < c->n_files; i++) {
		oc_free(c->files[i].path);
		oc_free(c->files[i].mount);
		oc_wipe(c->files[i].text, c->files[i].n);
		oc_free(c->files[i].text);
	}
	for (size_t i = 0; i < c->n_vars; i++) {
		oc_wipe(c->vars[i].value, strlen(c->vars[i].value));
		oc_free(c->vars[i].name);
		oc_free(c->vars[i].value);
	}
	for (size_t i = 0; i < c->n_problems; i++) {
		oc_config_problem *p = &c->problems[i].shown;
		const char *strings[] = {p->path, p->section, p->message, p->remedy, p->file};
		for (size_t k = 0; k < sizeof strings / sizeof *strings; k++)
			oc_free((char *)(uintptr_t)strings[k]);
	}
	for (size_t i = 0; i < c->n_refinements; i++) {
		oc_free(c->refinements[i].path);
		cJSON_Delete(c->refinements[i].schema);
	}
	for (size_t i = 0; i < c->n_secrets; i++) {
		oc_wipe(c->secrets[i].value, strlen(c->secrets[i].value));
		oc_free(c->secrets[i].provider);
		oc_free(c->secrets[i].id);
		oc_free(c->secrets[i].value);
	}
	oc_free(c->secrets);
	oc_free(c->refinements);
	oc_free(c->files);
	oc_free(c->vars);
	oc_free(c->problems);
	oc_free(c->marks);
	cJSON_Delete(c->source);
	cJSON_Delete(c->root);
	oc_free(c->path);
	oc_free(c);
}

/* ---- Building ---- */

/* Room for one more element. */
static bool grow(void *pointer_to_array, size_t n, size_t size)
{
	void *old, *bigger;
	memcpy(&old, pointer_to_array, sizeof old);
	if ((n & (n - 1)) != 0)
		return true; /* the room doubles at powers of two */
	bigger = oc_realloc(old, (n == 0 ? 1 : n * 2) * size);
	if (bigger == NULL)
		return false;
	memcpy(pointer_to_array, &bigger, sizeof bigger);
	return true;
}

oc_status oc_config_add_problem(oc_config *c, int severity, const char *path, const char *remedy, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char message[600];
	if (vsnprintf(message, sizeof message, format, args) >= (int)sizeof message)
		message[oc_utf8_cut((oc_str){message, sizeof message - 1}, sizeof message - 2)] = 0;
	va_end(args);
	oc_config_problem p = {severity, oc_strdup(path), oc_strdup(path), oc_strdup(message), oc_strdup(remedy), oc_strdup(c->path), 0, 0};
	if (p.path == NULL || p.section == NULL || p.message == NULL || p.remedy == NULL || p.file == NULL
	    || !grow(&c->problems, c->n_problems, sizeof *c->problems)) {
		const char *strings[] = {p.path, p.section, p.message, p.remedy, p.file};
		for (size_t k = 0; k < sizeof strings / sizeof *strings; k++)
			oc_free((char *)(uintptr_t)strings[k]);
		return OC_E_NOMEM;
	}
	c->problems[c->n_problems++] = (oc_config_entry){.shown = p};
	return OC_OK;
}

oc_status oc_config_mark_last(oc_config *c)
{
	if (!grow(&c->marks, c->n_marks, sizeof *c->marks))
		return OC_E_NOMEM;
	c->marks[c->n_marks++] = c->n_problems - 1;
	return OC_OK;
}

oc_status oc_config_add_file(oc_config *c, const char *path, const char *mount, char *text, size_t n)
{
	oc_config_file file = {oc_strdup(path), oc_strdup(mount), text, n};
	if (file.path == NULL || file.mount == NULL || !grow(&c->files, c->n_files, sizeof file)) {
		oc_free(file.path);
		oc_free(file.mount);
		oc_free(text);
		return OC_E_NOMEM;
	}
	c->files[c->n_files++] = file;
	return OC_OK;
}

cJSON *oc_config_node(cJSON *root, const char *path, size_t steps, cJSON **ret_parent)
{
	cJSON *node = root, *parent = NULL;
	oc_jpath it;
	oc_jpath_begin(&it, path);
	oc_status status = OC_OK;
	for (size_t i = 0; i < steps && node != NULL && (status = oc_jpath_next(&it)) == OC_OK; i++) {
		parent = node;
		if (it.is_index)
			node = cJSON_IsArray(node) ? cJSON_GetArrayItem(node, (int)it.index) : NULL;
		else
			node = cJSON_IsObject(node) ? cJSON_GetObjectItemCaseSensitive(node, it.name) : NULL;
	}
	if (ret_parent != NULL)
		*ret_parent = parent;
	return status == OC_E_INVALID ? NULL : node;
}

/* ---- Reading ---- */

const cJSON *oc_config_root(const oc_config *config)
{
	return config->root;
}

const cJSON *oc_config_source(const oc_config *config)
{
	return config->source;
}

const cJSON *oc_config_get(const oc_config *config, const char *path)
{
	return oc_json_path(config->root, path);
}

const char *oc_config_str(const oc_config *config, const char *path, const char *fallback)
{
	const cJSON *node = oc_config_get(config, path);
	return cJSON_IsString(node) ? node->valuestring : fallback;
}

int64_t oc_config_i64(const oc_config *config, const char *path, int64_t fallback)
{
	const cJSON *node = oc_config_get(config, path);
	if (!cJSON_IsNumber(node) || node->valuedouble != trunc(node->valuedouble) || fabs(node->valuedouble) > 9e18)
		return fallback;
	return (int64_t)node->valuedouble;
}

double oc_config_num(const oc_config *config, const char *path, double fallback)
{
	const cJSON *node = oc_config_get(config, path);
	return cJSON_IsNumber(node) ? node->valuedouble : fallback;
}

bool oc_config_bool(const oc_config *config, const char *path, bool fallback)
{
	const cJSON *node = oc_config_get(config, path);
	return cJSON_IsBool(node) ? cJSON_IsTrue(node) : fallback;
}

const char *oc_config_path(const oc_config *config)
{
	return config->path;
}

bool oc_config_exists(const oc_config *config)
{
	return config->exists;
}

bool oc_config_is_last_good(const oc_config *config)
{
	return config->last_good;
}

size_t oc_config_problem_count(const oc_config *config)
{
	return config->n_problems;
}

const oc_config_problem *oc_config_problem_at(const oc_config *config, size_t i)
{
	return i < config->n_problems ? &config->problems[i].shown : NULL;
}

size_t oc_config_error_count(const oc_config *config)
{
	size_t n = 0;
	for (size_t i = 0; i < config->n_problems; i++)
		n += config->problems[i].shown.severity == OC_CONFIG_ERROR;
	return n;
}

bool oc_config_usable(const oc_config *config, const char *path)
{
	for (size_t i = 0; i < config->n_problems; i++) {
		const oc_config_problem *p = &config->problems[i].shown;
		/* The last good copy's problem is about the whole file, but the copy is sound. */
		if (p->severity != OC_CONFIG_ERROR || p->path[0] == 0)
			continue;
		if (oc_jpath_under(path, p->section))
			return false;
	}
	return true;
}

const char *oc_config_included(const oc_config *c, size_t i)
{
	return i + 1 < c->n_files ? c->files[i + 1].path : NULL;
}
