/* From a file to a snapshot; the last good copy. */
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"
#include "core/data/json5.h"

static oc_status no_memory(oc_err *err)
{
	return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the configuration");
}

/* Fills in a snapshot from its source text; files[0] has it when there is one. */
static oc_status build(oc_config *c, oc_err *err)
{
	oc_status status;
	if (c->n_files == 0 || c->files[0].text == NULL) {
		c->source = cJSON_CreateObject();
		status = c->source == NULL ? OC_E_NOMEM : OC_OK;
	} else {
		status = oc_json5_parse((oc_str){c->files[0].text, c->files[0].n}, NULL, &c->source, err);
		if (status != OC_OK)
			return oc_err_prefix(err, "%s", c->path), status;
		if (!cJSON_IsObject(c->source))
			return oc_fail(err, OC_E_INVALID, "Put { and } around it.", "%s: the configuration must be an object", c->path);
		status = oc_config_include(c, c->source, err);
		if (status != OC_OK)
			return oc_err_prefix(err, "%s", c->path), status;
	}
	if (status == OC_OK)
		status = oc_config_read_env(c);
	if (status == OC_OK && (c->root = cJSON_Duplicate(c->source, true)) == NULL)
		status = OC_E_NOMEM;
	if (status == OC_OK)
		status = oc_config_substitute(c, c->root);
	if (status == OC_OK)
		status = oc_config_check(c);
	return status == OC_OK ? OC_OK : no_memory(err);
}

/* Takes over text (NULL: there is no file). */
static oc_status load(const char *path, char *text, size_t n, oc_config_loading source, oc_config **ret, oc_err *err)
{
	oc_config *c = oc_config_new(path);
	if (c == NULL) {
		oc_free(text);
		return no_memory(err);
	}
	c->exists = text != NULL;
	c->run_commands = source.run_commands;
	c->previous = source.previous;
	c->give_up = source.give_up;
	oc_status status = oc_config_add_file(c, path, "", text, n) == OC_OK ? build(c, err) : no_memory(err);
	if (status != OC_OK) {
		oc_config_unref(c);
		return status;
	}
	c->previous = NULL; /* borrowed for the load */
	c->give_up = NULL;
	*ret = c;
	return OC_OK;
}

static oc_status load_text(oc_str text, const char *path, oc_config_loading source, oc_config **ret, oc_err *err)
{
	char *copy = oc_memdup(text.p, text.n);
	if (copy == NULL)
		return no_memory(err);
	return load(path == NULL ? "(text)" : path, copy, text.n, source, ret, err);
}

oc_status oc_config_load_text(oc_str text, const char *path, oc_config **ret, oc_err *err)
{
	return load_text(text, path, (oc_config_loading){0}, ret, err);
}

static oc_status load_file(const char *path, oc_config_loading source, oc_config **ret, oc_err *err)
{
	oc_auto_free char *own = path == NULL ? oc_path_config() : oc_strdup(path);
	if (own == NULL)
		return no_memory(err);
	char *text = NULL;
	size_t n = 0;
	oc_err local = {0};
	oc_status status = oc_path_read(own, OC_CONFIG_MAX_BYTES, &text, &n, &local);
	if (status != OC_OK && status != OC_E_NOT_FOUND) {
		if (err != NULL)
			*err = local;
		return status;
	}
	return load(own, text, n, source, ret, err);
}

oc_status oc_config_load(const char *path, oc_config **ret, oc_err *err)
{
	return load_file(path, (oc_config_loading){0}, ret, err);
}

oc_status oc_config_load_secrets(const char *path, oc_config **ret, oc_err *err)
{
	return load_file(path, (oc_config_loading){.run_commands = true}, ret, err);
}

oc_status oc_config_load_again(const char *path, oc_config_loading source, oc_config **ret, oc_err *err)
{
	return load_file(path, source, ret, err);
}

/* ---- The last good copy ----
 *
 * It holds the source with its includes, so that it stands alone, but without variables' values.  Its first line names the
 * file it is a copy of: another configuration in the same state folder does not take it for its own. */

static char *copy_path(void)
{
	return oc_path_state("cache/openclaw.json.last-good");
}

static char *copy_head(const char *path)
{
	return oc_asprintf("// last good copy of %s\n", path);
}

static oc_status read_copy(const char *path, oc_config **ret)
{
	oc_auto_free char *file = copy_path(), *head = copy_head(path), *text = NULL;
	size_t n = 0;
	if (file == NULL || head == NULL || oc_path_read(file, 2 * OC_CONFIG_MAX_BYTES, &text, &n, NULL) != OC_OK)
		return OC_E_NOT_FOUND;
	if (!oc_str_starts((oc_str){text, n}, head))
		return OC_E_NOT_FOUND;
	return load_text((oc_str){text, n}, path, (oc_config_loading){.run_commands = true}, ret, NULL);
}

/* Not being able to keep a copy is no reason not to run; it is written only when it changes. */
void oc_config_keep_copy(const oc_config *c)
{
	oc_auto_free char *file = copy_path(), *head = copy_head(c->path), *body = oc_json_print_pretty(c->source);
	oc_auto_free char *whole = head == NULL || body == NULL ? NULL : oc_asprintf("%s%s\n", head, body);
	oc_auto_free char *old = NULL;
	size_t n = 0;
	if (file == NULL || whole == NULL)
		return;
	bool same = oc_path_read(file, 2 * OC_CONFIG_MAX_BYTES, &old, &n, NULL) == OC_OK && strcmp(old, whole) == 0;
	oc_auto_free char *folder = oc_path_state("cache");
	if (!same && folder != NULL && oc_path_mkdirs(folder, 0700, NULL) == OC_OK)
		oc_path_write(file, whole, strlen(whole), 0600, NULL);
}

oc_status oc_config_load_gateway(const char *path, oc_config **ret, oc_err *err)
{
	oc_auto_free char *own = path == NULL ? oc_path_config() : oc_strdup(path);
	if (own == NULL)
		return no_memory(err);
	oc_err why = {0};
	oc_config *c = NULL;
	oc_status status = oc_config_load_secrets(own, &c, &why);
	if (status == OC_OK) {
		if (c->exists && oc_config_error_count(c) == 0)
			oc_config_keep_copy(c);
		*ret = c;
		return OC_OK;
	}
	if (status == OC_E_NOMEM || read_copy(own, &c) != OC_OK) {
		if (err != NULL)
			*err = why;
		return status;
	}
	c->last_good = true;
	if (oc_config_add_problem(c, OC_CONFIG_ERROR, "", why.remedy[0] != 0 ? why.remedy : "Correct it; `openclaw config validate` checks it.",
				  "%s; the last good copy is used instead", why.text)
	    != OC_OK) {
		oc_config_unref(c);
		return no_memory(err);
	}
	*ret = c;
	return OC_OK;
}
