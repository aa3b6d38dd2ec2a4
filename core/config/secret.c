/* What must not be shown. */
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"

/* Lower-case letters and digits only, so that api_key, apiKey and X-API-Key are one. */
static void plain_name(const char *name, char *out, size_t size)
{
	size_t n = 0;
	for (; *name != 0 && n + 1 < size; name++) {
		char c = *name;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
	}
	out[n] = 0;
}

bool oc_config_sensitive(const char *name)
{
	static const char *const ends[] = {
		"token",	 "apikey",     "password",   "passwd",	    "secret",	  "secretkey",	   "privatekey",   "accesskey",
		"passphrase",	 "credential", "credentials", "authorization", "cookie", "signingkey", "encryptionkey", "masterkey",
		"authkey",	 "bearer",     "webhooksecret", "pin",
	};
	char plain[128];
	plain_name(name, plain, sizeof plain);
	oc_str whole = oc_str_of(plain);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (oc_str_ends(whole, ends[i]) && (strcmp(ends[i], "pin") != 0 || whole.n == 3))
			return true;
	return oc_str_ends(oc_str_of(name), "_KEY"); /* how environment variables with keys are called */
}

/* {source, provider, id} tells where a secret is, not what it is. */
static bool is_secret_place(const cJSON *node)
{
	return cJSON_IsString(oc_json_get(node, "source")) && cJSON_IsString(oc_json_get(node, "id"));
}

static void set_text(cJSON *node, const char *text)
{
	char *copy = oc_strdup(text);
	if (node->valuestring != NULL)
		oc_wipe(node->valuestring, strlen(node->valuestring));
	cJSON_free(node->valuestring);
	node->valuestring = copy;
	node->type = copy != NULL ? cJSON_String : cJSON_NULL; /* out of memory: rather nothing */
}

/* https://user:password@host: the part before @. Returns where it begins, its length in *n; NULL when there is none. */
static const char *user_part(const char *text, size_t *n)
{
	const char *begin = strstr(text, "://");
	if (begin == NULL)
		return NULL;
	begin += 3;
	size_t host = strcspn(begin, "/?# ");
	const char *at = memrchr(begin, '@', host);
	if (at == NULL || memchr(begin, ':', (size_t)(at - begin)) == NULL)
		return NULL;
	*n = (size_t)(at - begin);
	return begin;
}

static void redact_string(cJSON *node, bool sensitive, const char *marker)
{
	const char *text = node->valuestring;
	size_t n = 0;
	if (text[0] == 0 || oc_config_is_reference(text))
		return;
	if (sensitive) {
		set_text(node, marker);
		return;
	}
	const char *user = user_part(text, &n);
	if (user == NULL)
		return;
	oc_auto_free char *shown = oc_asprintf("%.*s%s%s", (int)(user - text), text, marker, user + n);
	set_text(node, shown == NULL ? marker : shown);
}

static void redact(cJSON *node, bool sensitive, const char *marker)
{
	if (cJSON_IsString(node)) {
		redact_string(node, sensitive, marker);
	} else if (cJSON_IsNumber(node) && sensitive) {
		set_text(node, marker);
	} else if (!(sensitive && is_secret_place(node))) {
		bool list = cJSON_IsArray(node);
		for (cJSON *child = node->child; child != NULL; child = child->next)
			redact(child, sensitive || (!list && child->string != NULL && oc_config_sensitive(child->string)), marker);
	}
}

/* Is any step of the path a secret's name? */
static bool sensitive_path(const char *path)
{
	oc_jpath it;
	oc_jpath_begin(&it, path);
	while (oc_jpath_next(&it) == OC_OK)
		if (!it.is_index && oc_config_sensitive(it.name))
			return true;
	return false;
}

void oc_config_redact(cJSON *tree, const char *path, const char *marker)
{
	if (tree != NULL)
		redact(tree, sensitive_path(path), marker == NULL ? "***" : marker);
}

cJSON *oc_config_to_json(const oc_config *config, const char *path, bool redacted)
{
	const cJSON *node = path == NULL || path[0] == 0 ? config->root : oc_config_get(config, path);
	cJSON *copy = node == NULL ? NULL : cJSON_Duplicate(node, true);
	if (copy != NULL && redacted)
		oc_config_redact(copy, path == NULL ? "" : path, NULL);
	return copy;
}

static void register_secrets(const cJSON *node, bool sensitive)
{
	size_t n = 0;
	const char *user;
	if (cJSON_IsString(node)) {
		if (sensitive)
			oc_log_redact(oc_str_of(node->valuestring));
		else if ((user = user_part(node->valuestring, &n)) != NULL)
			oc_log_redact((oc_str){user, n});
		return;
	}
	bool list = cJSON_IsArray(node);
	for (const cJSON *child = node->child; child != NULL; child = child->next)
		register_secrets(child, sensitive || (!list && child->string != NULL && oc_config_sensitive(child->string)));
}

void oc_config_register_secrets(const oc_config *config)
{
	register_secrets(config->root, false);
	for (size_t i = 0; i < config->n_vars; i++)
		if (oc_config_sensitive(config->vars[i].name))
			oc_log_redact(oc_str_of(config->vars[i].value));
}
