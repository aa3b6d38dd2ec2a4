/*
 * Any text as a configuration: what is loaded satisfies the schema but for unknown keys, whatever was wrong with it; nothing
 * that is called a secret is shown; the same text has no differences from itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/config/config.h"
#include "core/data/schema.h"
#include "core/data/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool hear(void *arg, const oc_schema_issue *issue)
{
	(void)arg;
	if (strcmp(issue->keyword, "additionalProperties") != 0)
		abort();
	return true;
}

static void look_for_secrets(const cJSON *node)
{
	for (const cJSON *child = node->child; child != NULL; child = child->next) {
		if (child->string != NULL && oc_config_sensitive(child->string) && cJSON_IsString(child)
		    && child->valuestring[0] != 0 && strcmp(child->valuestring, "***") != 0 && child->valuestring[0] != '$')
			abort();
		look_for_secrets(child);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static cJSON *schema;
	if (schema == NULL) {
		setenv("OPENCLAW_STATE_DIR", "/nonexistent", 1);
		schema = oc_config_schema();
	}
	oc_config *c = NULL;
	oc_err err = {0};
	oc_str text = {(const char *)data, size};
	if (oc_config_load_text(text, "/nonexistent/openclaw.json", &c, &err) != OC_OK) {
		if (c != NULL || err.text[0] == 0 || !oc_utf8_valid(oc_str_of(err.text)))
			abort();
		return 0;
	}
	oc_schema_report_all(schema, oc_config_root(c), NULL, hear, NULL);
	for (size_t i = 0; i < oc_config_problem_count(c); i++) {
		const oc_config_problem *p = oc_config_problem_at(c, i);
		if (p->message[0] == 0 || p->remedy[0] == 0 || !oc_utf8_valid(oc_str_of(p->message))
		    || (p->severity == OC_CONFIG_ERROR && oc_config_usable(c, p->path)))
			abort();
	}
	cJSON *shown = oc_config_to_json(c, "", true);
	if (shown != NULL)
		look_for_secrets(shown);
	cJSON_Delete(shown);
	oc_config_diff *diff = NULL;
	if (oc_config_compare(c, c, &diff) == OC_OK && diff->n != 0)
		abort();
	oc_config_diff_free(diff);
	oc_config_unref(c);
	return 0;
}
