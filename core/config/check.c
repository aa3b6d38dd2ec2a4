/*
 * Validation: every failure becomes a problem, and costs what the table says.
 *
 * All failures are collected first and applied afterwards, because applying one moves what the others point to.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/config/internal.h"
#include "core/config/table.h"
#include "core/data/jpath.h"
#include "core/data/json5.h"
#include "core/data/schema.h"

#define MAX_PROBLEMS 500u

/* A part of the tree that goes or is replaced. */
struct loss {
	const cJSON *node;
	cJSON *instead; /* NULL: nothing */
};

struct checker {
	oc_config *c;
	const cJSON *schema; /* of the section at hand */
	struct loss *losses;
	size_t n;
	oc_status status;
	bool too_many;
};

/* The first `steps` steps of a path. */
static char *prefix_of(const char *path, size_t steps)
{
	oc_jpath it;
	oc_jpath_begin(&it, path);
	for (size_t i = 0; i < steps; i++)
		if (oc_jpath_next(&it) != OC_OK)
			break;
	return oc_memdup(path, (size_t)(it.rest - path));
}

/* What a person can do, and what holds until then. */
static char *remedy_for(const struct checker *k, const char *path, const char *section, const oc_config_cost *cost)
{
	if (cost->value != NULL) {
		oc_auto_free char *value = oc_json_print(cost->value);
		return value == NULL ? NULL : oc_asprintf("Correct it; until then %s is %s, so that nothing is allowed by mistake.", section, value);
	}
	if (strcmp(path, section) != 0)
		return oc_asprintf("Correct it; until then %s is left out.", section);
	oc_auto_json cJSON *own = oc_config_default_of(k->schema, path);
	oc_auto_free char *value = own == NULL ? NULL : oc_json_print(own);
	return value == NULL ? oc_strdup("Correct it; until then it is left out.") : oc_asprintf("Correct it; until then it is %s.", value);
}

/* Decides what problem number i costs. */
static oc_status add_loss(struct checker *k, size_t number)
{
	oc_config_problem *p = &k->c->problems[number].shown;
	oc_config_cost cost = oc_config_cost_of(k->schema, p->path);
	cJSON *node = oc_config_node(k->c->root, p->path, cost.steps, NULL);
	char *section = prefix_of(p->path, cost.steps);
	struct loss *losses = oc_realloc(k->losses, (k->n + 1) * sizeof *losses);
	if (losses != NULL)
		k->losses = losses;
	cJSON *instead = cost.value == NULL ? NULL : cJSON_Duplicate(cost.value, true);
	if (section == NULL || losses == NULL || (cost.value != NULL && instead == NULL)) {
		oc_free(section);
		cJSON_Delete(instead);
		return OC_E_NOMEM;
	}
	if (p->remedy[0] == 0) {
		char *remedy = remedy_for(k, p->path, section, &cost);
		if (remedy != NULL) {
			oc_free((char *)(uintptr_t)p->remedy);
			p->remedy = remedy;
		}
	}
	oc_free((char *)(uintptr_t)p->section);
	p->section = section;
	for (size_t i = 0; i < k->n; i++)
		if (k->losses[i].node == node)
			node = NULL; /* two failures in the same part */
	if (node == NULL)
		cJSON_Delete(instead);
	else
		k->losses[k->n++] = (struct loss){node, instead};
	return OC_OK;
}

/* A value that has failed already, because its variable is not set or its file is missing, has not its real value. */
static bool has_failed(const oc_config *c, const char *path)
{
	for (size_t i = 0; i < c->n_marks; i++)
		if (oc_jpath_under(path, c->problems[c->marks[i]].shown.path))
			return true;
	return false;
}

static bool on_issue(void *arg, const oc_schema_issue *issue)
{
	struct checker *k = arg;
	oc_config *c = k->c;
	bool unknown = strcmp(issue->keyword, "additionalProperties") == 0;
	if (has_failed(c, issue->path))
		return true;
	if (c->n_problems >= MAX_PROBLEMS)
		return (k->too_many |= !unknown), unknown; /* enough warnings are no harm, enough errors are */
	k->status = oc_config_add_problem(c, unknown ? OC_CONFIG_WARNING : OC_CONFIG_ERROR, issue->path,
					  unknown ? "Correct its name or remove it; `openclaw config schema` lists all." : "", "%s",
					  issue->message);
	if (k->status == OC_OK && !unknown)
		k->status = add_loss(k, c->n_problems - 1);
	return k->status == OC_OK;
}

static oc_status unknown_section(oc_config *c, const cJSON *section)
{
	char near[64];
	oc_sbuf path;
	oc_sbuf_init(&path, 8192);
	oc_jpath_add_name(&path, section->string);
	bool found = oc_config_section_nearest(section->string, near, sizeof near) != NULL;
	oc_status status = oc_config_add_problem(c, OC_CONFIG_WARNING, oc_sbuf_view(&path).p,
						 "Correct its name or remove it; `openclaw config schema` lists all.",
						 "is not known%s%s%s", found ? "; did you mean \"" : "", found ? near : "",
						 found ? "\"?" : "");
	oc_sbuf_free(&path);
	return status;
}

static bool no_report(void *arg, const oc_schema_issue *issue)
{
	(void)arg;
	(void)issue;
	return false;
}

/* ---- Keys that nothing here reads ---- */

static const cJSON *schema_of_member(const cJSON *schema, const char *name)
{
	const cJSON *known = oc_json_get(oc_json_get(schema, "properties"), name);
	return known != NULL ? known : oc_json_get(schema, "additionalProperties");
}

static bool asks_for_nothing(const cJSON *schema, const cJSON *value)
{
	const cJSON *but = oc_json_get(schema, "x-no-effect-but");
	return but != NULL && oc_json_equal(but, value);
}

/* Says so of each that is set; c NULL: only tells whether there is one. */
static bool without_effect(oc_config *c, const cJSON *schema, const cJSON *value, oc_sbuf *path)
{
	bool found = false;
	size_t at = path->n, i = 0;
	if (oc_json_bool(schema, "x-no-effect", false)) {
		if (asks_for_nothing(schema, value))
			return false;
		if (c != NULL && c->n_problems < MAX_PROBLEMS)
			(void)oc_config_add_problem(c, OC_CONFIG_WARNING, oc_sbuf_view(path).p,
						    oc_json_str(schema, "description", "Nothing here reads it: remove it, or keep it for the original."),
						    "has no effect here");
		return true;
	}
	for (const cJSON *child = value->child; child != NULL && (c != NULL || !found); child = child->next, i++) {
		const cJSON *own = cJSON_IsArray(value) ? oc_json_get(schema, "items") : schema_of_member(schema, child->string);
		if (own == NULL || cJSON_IsBool(own))
			continue;
		if (cJSON_IsArray(value))
			oc_jpath_add_index(path, i);
		else
			oc_jpath_add_name(path, child->string);
		found |= without_effect(c, own, child, path);
		path->n = at;
		if (path->p != NULL)
			path->p[at] = 0;
	}
	return found;
}

/* The usual case, quickly: nothing is wrong with it. */
static bool is_good(oc_config *c, const cJSON *section, oc_sbuf *path)
{
	for (size_t i = 0; i < c->n_marks; i++)
		if (oc_jpath_under(c->problems[c->marks[i]].shown.path, oc_sbuf_view(path).p))
			return false;
	oc_auto_json cJSON *schema = oc_config_section_schema(section->string, section);
	return schema != NULL && !without_effect(NULL, schema, section, path) &&
	       oc_schema_report_all(schema, section, oc_sbuf_view(path).p, no_report, NULL) == OC_OK;
}

static oc_status check_with(struct checker *k, const cJSON *section, const char *name, const cJSON *schema)
{
	oc_config *c = k->c;
	oc_status status = OC_OK;
	k->schema = schema;
	for (size_t i = 0; i < c->n_marks && status == OC_OK; i++)
		if (oc_jpath_under(c->problems[c->marks[i]].shown.path, name))
			status = add_loss(k, c->marks[i]);
	if (status != OC_OK)
		return status;
	if (!oc_config_section_known(section->string))
		return unknown_section(c, section);
	status = oc_schema_report_all(schema, section, name, on_issue, k);
	/* What cannot be checked to its end counts as failed. */
	if (status == OC_E_LIMIT || k->too_many) {
		status = oc_config_add_problem(c, OC_CONFIG_ERROR, name, "", "is too large or has too many mistakes to be checked");
		if (status == OC_OK)
			status = add_loss(k, c->n_problems - 1);
	}
	return k->status != OC_OK ? k->status : status;
}

/* One top-level key. */
static oc_status check_section(struct checker *k, const cJSON *section)
{
	oc_sbuf path;
	oc_sbuf_init(&path, 8192);
	oc_jpath_add_name(&path, section->string);
	oc_status status = path.error == OC_OK ? OC_OK : OC_E_NOMEM;
	if (status == OC_OK && !is_good(k->c, section, &path)) {
		oc_auto_json cJSON *schema = oc_config_section_schema(section->string, NULL);
		status = schema == NULL && oc_config_section_known(section->string) ? OC_E_NOMEM
										   : check_with(k, section, oc_sbuf_view(&path).p, schema);
		if (schema != NULL && (status == OC_OK || status == OC_E_INVALID))
			(void)without_effect(k->c, schema, section, &path);
		k->schema = NULL;
		k->too_many = false;
	}
	oc_sbuf_free(&path);
	return status == OC_E_INVALID ? OC_OK : status;
}

/* ---- Applying ---- */

static struct loss *loss_of(struct checker *k, const cJSON *node)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->losses[i].node == node)
			return &k->losses[i];
	return NULL;
}

static void apply(struct checker *k, cJSON *node)
{
	for (cJSON *child = node->child, *next; child != NULL; child = next) {
		next = child->next;
		struct loss *loss = loss_of(k, child);
		if (loss == NULL) {
			apply(k, child);
			continue;
		}
		cJSON *instead = loss->instead;
		loss->instead = NULL;
		if (instead != NULL) { /* the place and the name stay */
			cJSON_free(instead->string); /* of the schema's keyword */
			instead->string = child->string;
			child->string = NULL;
			cJSON_ReplaceItemViaPointer(node, child, instead);
		} else {
			cJSON_Delete(cJSON_DetachItemViaPointer(node, child));
		}
	}
}

static void apply_all(struct checker *k)
{
	if (k->n > 0)
		apply(k, k->c->root);
	for (size_t i = 0; i < k->n; i++)
		cJSON_Delete(k->losses[i].instead);
	oc_free(k->losses);
	k->losses = NULL;
	k->n = 0;
}

/* ---- Where ---- */

/* The part of path behind the steps of mount. */
static const char *behind(const char *path, const char *mount)
{
	oc_jpath a, b;
	oc_jpath_begin(&a, path);
	oc_jpath_begin(&b, mount);
	while (oc_jpath_next(&b) == OC_OK)
		oc_jpath_next(&a);
	return a.rest[0] == '.' ? a.rest + 1 : a.rest;
}

/* Finds the line of a problem: in the main file, or else in the included one that has the value. */
static void locate(const oc_config *c, oc_config_problem *p)
{
	if (p->path[0] == 0 || p->line != 0)
		return;
	for (size_t i = 0; i < c->n_files && p->line == 0; i++) {
		const oc_config_file *f = &c->files[i];
		if (f->text == NULL || !oc_jpath_under(p->path, f->mount))
			continue;
		const char *rest = behind(p->path, f->mount);
		if (rest[0] == 0 || oc_json5_locate((oc_str){f->text, f->n}, rest, &p->line, &p->column) != OC_OK)
			continue;
		char *file = oc_strdup(f->path);
		if (file == NULL)
			return;
		oc_free((char *)(uintptr_t)p->file);
		p->file = file;
	}
}

oc_status oc_config_check(oc_config *c)
{
	struct checker k = {.c = c};
	oc_status status = OC_OK;
	for (const cJSON *section = c->root->child; section != NULL && status == OC_OK; section = section->next)
		status = check_section(&k, section);
	apply_all(&k);
	if (status == OC_OK)
		status = oc_config_fill_defaults(c->root);
	for (size_t i = 0; i < c->n_problems; i++)
		locate(c, &c->problems[i].shown);
	return status;
}

static oc_status remember(oc_config *c, const char *path, const cJSON *schema)
{
	for (size_t i = 0; i < c->n_refinements; i++)
		if (strcmp(c->refinements[i].path, path) == 0 && oc_json_equal(c->refinements[i].schema, schema))
			return OC_OK;
	oc_config_refinement *list = oc_realloc(c->refinements, (c->n_refinements + 1) * sizeof *list);
	oc_config_refinement one = {oc_strdup(path), cJSON_Duplicate(schema, true)};
	if (list != NULL)
		c->refinements = list;
	if (list == NULL || one.path == NULL || one.schema == NULL) {
		oc_free(one.path);
		cJSON_Delete(one.schema);
		return OC_E_NOMEM;
	}
	c->refinements[c->n_refinements++] = one;
	return OC_OK;
}

oc_status oc_config_refine_as(oc_config *c, const oc_config *other)
{
	oc_status status = OC_OK;
	for (size_t i = 0; i < other->n_refinements && status != OC_E_NOMEM; i++)
		status = oc_config_refine(c, other->refinements[i].path, other->refinements[i].schema);
	return status == OC_E_NOMEM ? status : OC_OK;
}

oc_status oc_config_refine(oc_config *c, const char *path, const cJSON *schema)
{
	if (remember(c, path, schema) != OC_OK)
		return OC_E_NOMEM;
	cJSON *value = oc_config_node(c->root, path, SIZE_MAX, NULL);
	if (value == NULL || value == c->root)
		return OC_OK;
	oc_jpath first;
	oc_jpath_begin(&first, path);
	oc_jpath_next(&first);
	oc_auto_json cJSON *section = oc_config_section_schema(first.name, NULL);
	struct checker k = {.c = c, .schema = section};
	size_t before = c->n_problems;
	oc_status status = oc_schema_report_all(schema, value, path, on_issue, &k);
	if (status == OC_E_LIMIT || k.too_many) {
		status = oc_config_add_problem(c, OC_CONFIG_ERROR, path, "", "is too large or has too many mistakes to be checked");
		if (status == OC_OK)
			status = add_loss(&k, c->n_problems - 1);
	}
	if (k.status != OC_OK)
		status = k.status;
	bool lost = k.n > 0;
	apply_all(&k);
	for (size_t i = before; i < c->n_problems; i++)
		locate(c, &c->problems[i].shown);
	if (status != OC_OK && status != OC_E_INVALID)
		return status;
	value = lost ? oc_config_node(c->root, path, SIZE_MAX, NULL) : value;
	return value == NULL ? OC_OK : oc_schema_fill(schema, value);
}
