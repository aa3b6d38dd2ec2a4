/* Variables: those of .env and env.vars together, and their use in strings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"
#include "core/data/utf8.h"

static const char *found(const char *value)
{
	return value != NULL && value[0] != 0 ? value : NULL;
}

const char *oc_config_env(const oc_config *config, const char *name)
{
	const char *value = found(getenv(name));
	for (size_t i = 0; value == NULL && i < config->n_vars; i++)
		if (strcmp(config->vars[i].name, name) == 0)
			value = found(config->vars[i].value);
	return value;
}

oc_status oc_config_add_var(oc_config *c, oc_str name, oc_str value)
{
	oc_config_var *vars = oc_realloc(c->vars, (c->n_vars + 1) * sizeof *vars);
	if (vars == NULL)
		return OC_E_NOMEM;
	c->vars = vars;
	oc_config_var var = {oc_memdup(name.p, name.n), oc_memdup(value.p, value.n)};
	if (var.name == NULL || var.value == NULL) {
		oc_free(var.name);
		oc_free(var.value);
		return OC_E_NOMEM;
	}
	c->vars[c->n_vars++] = var;
	return OC_OK;
}

/* ---- ${NAME} ---- */

static bool reference_char(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* The name in "${NAME}" at the front of s; .n is 0 when there is none. */
static oc_str reference(oc_str s)
{
	size_t n = 2;
	if (s.n < 4 || s.p[0] != '$' || s.p[1] != '{')
		return OC_STR_NONE;
	while (n < s.n && reference_char(s.p[n], n == 2))
		n++;
	return n > 2 && n < s.n && s.p[n] == '}' ? (oc_str){s.p + 2, n - 2} : OC_STR_NONE;
}

bool oc_config_is_reference(const char *text)
{
	oc_str s = oc_str_of(text), name = reference(s);
	return name.n > 0 && name.n + 3 == s.n;
}

static const char *lookup(const oc_config *c, oc_str name)
{
	char copy[256];
	if (name.n >= sizeof copy)
		return NULL;
	memcpy(copy, name.p, name.n);
	copy[name.n] = 0;
	return oc_config_env(c, copy);
}

/* Writes text with its references replaced; *ret_missing is the first that is not set (.n 0: none). */
static void replace(const oc_config *c, const char *text, oc_sbuf *out, oc_str *ret_missing)
{
	oc_str rest = oc_str_of(text);
	*ret_missing = OC_STR_NONE;
	while (rest.n > 0) {
		oc_str escaped = rest.p[0] == '$' ? reference((oc_str){rest.p + 1, rest.n - 1}) : OC_STR_NONE;
		oc_str name = reference(rest);
		size_t used = 1;
		if (escaped.n > 0) { /* $${NAME} is ${NAME} */
			used = escaped.n + 4;
			oc_sbuf_add(out, rest.p + 1, used - 1);
		} else if (name.n > 0) {
			const char *value = lookup(c, name);
			used = name.n + 3;
			if (value != NULL)
				oc_sbuf_z(out, value);
			else if (ret_missing->n == 0)
				*ret_missing = name;
		} else {
			oc_sbuf_char(out, rest.p[0]);
		}
		rest.p += used;
		rest.n -= used;
	}
}

/* After adding an error: it costs something. */
static oc_status marked(oc_config *c, oc_status status)
{
	return status == OC_OK ? oc_config_mark_last(c) : status;
}

oc_status oc_config_missing_var(oc_config *c, const char *path, oc_str name)
{
	oc_auto_free char *dotenv = oc_path_state(".env");
	char remedy[600];
	snprintf(remedy, sizeof remedy, "Set %.*s in the environment or in %s.", OC_STR_ARG(name), dotenv == NULL ? ".env" : dotenv);
	oc_status status = oc_config_add_problem(c, OC_CONFIG_ERROR, path, remedy, "needs the variable %.*s, which is not set",
						 OC_STR_ARG(name));
	if (status != OC_OK)
		return status;
	c->problems[c->n_problems - 1].is_environment = true;
	return oc_config_mark_last(c);
}

static oc_status set_string(cJSON *node, oc_str value)
{
	char *copy = oc_memdup(value.p, value.n);
	if (copy == NULL)
		return OC_E_NOMEM;
	cJSON_free(node->valuestring);
	node->valuestring = copy;
	return OC_OK;
}

static oc_status substitute_string(oc_config *c, cJSON *node, const char *path)
{
	if (strstr(node->valuestring, "${") == NULL)
		return OC_OK;
	oc_sbuf out;
	oc_str name;
	oc_sbuf_init(&out, OC_CONFIG_MAX_VALUE);
	replace(c, node->valuestring, &out, &name);
	oc_str value = oc_sbuf_view(&out);
	oc_status status = out.error;
	if (status == OC_E_LIMIT)
		status = marked(c, oc_config_add_problem(c, OC_CONFIG_ERROR, path, "", "is too long with its variables"));
	else if (status == OC_OK && name.n > 0)
		status = oc_config_missing_var(c, path, name);
	else if (status == OC_OK && !oc_utf8_valid(value))
		status = marked(c, oc_config_add_problem(c, OC_CONFIG_ERROR, path, "", "uses a variable that is not valid UTF-8"));
	else if (status == OC_OK)
		status = set_string(node, value);
	oc_sbuf_free(&out);
	return status;
}

static oc_status substitute(oc_config *c, cJSON *node, oc_sbuf *path)
{
	oc_status status = OC_OK;
	if (cJSON_IsString(node))
		return substitute_string(c, node, oc_sbuf_view(path).p);
	size_t before = path->n, i = 0;
	for (cJSON *child = node->child; child != NULL && status == OC_OK; child = child->next, i++) {
		if (cJSON_IsArray(node))
			oc_jpath_add_index(path, i);
		else
			oc_jpath_add_name(path, child->string);
		status = path->error == OC_OK ? substitute(c, child, path) : path->error;
		path->n = before;
		if (path->p != NULL)
			path->p[before] = 0;
	}
	return status;
}

oc_status oc_config_substitute(oc_config *c, cJSON *tree)
{
	oc_sbuf path;
	oc_sbuf_init(&path, 64 << 10);
	oc_status status = substitute(c, tree, &path);
	oc_sbuf_free(&path);
	return status == OC_OK ? oc_config_resolve_secrets(c, tree) : status;
}

/* ---- All variables ---- */

/* One entry of env or env.vars; references in it see the environment and the entries before it. */
static oc_status add_config_var(oc_config *c, const cJSON *entry)
{
	oc_auto_free char *number = cJSON_IsNumber(entry) ? oc_json_print(entry) : NULL;
	const char *text = cJSON_IsString(entry) ? entry->valuestring
			   : cJSON_IsBool(entry) ? (cJSON_IsTrue(entry) ? "true" : "false")
						 : number;
	if (text == NULL)
		return OC_OK; /* of another type: the schema says so */
	oc_sbuf value;
	oc_str absent;
	oc_sbuf_init(&value, OC_CONFIG_MAX_VALUE);
	replace(c, text, &value, &absent);
	oc_status status = value.error;
	if (status == OC_OK && absent.n == 0)
		status = oc_config_add_var(c, oc_str_of(entry->string), oc_sbuf_view(&value));
	oc_sbuf_free(&value);
	return status == OC_E_LIMIT ? OC_OK : status;
}

oc_status oc_config_read_env(oc_config *c)
{
	oc_auto_free char *path = oc_path_state(".env");
	oc_auto_free char *text = NULL;
	size_t n = 0;
	oc_err err;
	if (path == NULL)
		return OC_E_NOMEM;
	oc_status status = oc_path_read(path, OC_CONFIG_MAX_VALUE, &text, &n, &err);
	if (status == OC_E_NOMEM)
		return status;
	if (status == OC_OK)
		status = oc_config_read_dotenv(c, path, (oc_str){text, n});
	else if (status != OC_E_NOT_FOUND)
		status = oc_config_add_problem(c, OC_CONFIG_WARNING, "", err.remedy, "%s", err.text);
	else
		status = OC_OK;
	const cJSON *section = oc_json_get(c->source, "env"), *entry;
	cJSON_ArrayForEach(entry, oc_json_get(section, "vars")) if (status == OC_OK) status = add_config_var(c, entry);
	cJSON_ArrayForEach(entry, section) if (status == OC_OK && cJSON_IsObject(section)
					       && strcmp(entry->string, "vars") != 0 && strcmp(entry->string, "shellEnv") != 0)
		status = add_config_var(c, entry);
	if (text != NULL)
		oc_wipe(text, n);
	return status;
}
