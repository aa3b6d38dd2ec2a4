/* The tools that running modules offer, and what manifests say about providers and channels. */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/data/schema.h"
#include "core/module/internal.h"

/* Names the model sees: what every provider accepts. */
static bool tool_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 64)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return true;
}

/* NULL when the tool is in order, else what is wrong. */
static const char *tool_fault(const cJSON *tool)
{
	const cJSON *parameters = oc_json_get(tool, "parameters");

	if (!cJSON_IsObject(tool))
		return "it is no object";
	if (!tool_name_ok(oc_json_str(tool, "name", "")))
		return "its name must have 1 to 64 of A-Z, a-z, 0-9, '_' and '-'";
	if (oc_json_ostr(tool, "description").n == 0)
		return "it has no description";
	if (!cJSON_IsObject(parameters))
		return "its parameters are no JSON Schema object";
	if (oc_schema_valid(parameters, NULL) != OC_OK)
		return "its parameters are no valid JSON Schema";
	return NULL;
}

static void ask_tools(oc_guest *g)
{
	oc_err err = {0};
	cJSON *list = NULL, *item, *next;
	oc_visit visit;
	oc_str text;

	g->spec_asked = true;
	visit = oc_visit_begin(g->module);
	text = g->vtbl.tool.tools(g->inst);
	oc_visit_end(g->module, visit);
	if (text.p == NULL || oc_json_parse(text, NULL, &list, &err) != OC_OK || !cJSON_IsArray(list)) {
		cJSON_Delete(list);
		oc_module_violation(g->module, "the tools of \"%s\" are no JSON list: %s", g->id, err.text);
		return;
	}
	for (item = list->child; item != NULL; item = next) {
		const char *fault = tool_fault(item);

		next = item->next;
		if (fault == NULL)
			continue;
		oc_module_violation(g->module, "tool \"%.64s\" is left out: %s", oc_json_str(item, "name", ""), fault);
		cJSON_Delete(cJSON_DetachItemViaPointer(list, item));
	}
	g->spec = list;
}

/* Who has a name when several want it: our own modules before others', and those before plugins. */
static int rank(const oc_tool_row *row)
{
	const oc_module *module = row->info.guest->module;

	return strcmp(oc_module_origin(module), "plugin") == 0 ? 2 : oc_module_bundled(module) ? 0 : 1;
}

static int by_tool_name(const oc_tool_row *a, const oc_tool_row *b)
{
	int c = strcmp(a->info.name, b->info.name);

	return c != 0 ? c : rank(a) - rank(b);
}

/* Stable: of two with one name the one asked first stays first. */
static void sort_rows(oc_tool_row *rows, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		oc_tool_row row = rows[i];
		size_t at = i;

		for (; at > 0 && by_tool_name(&rows[at - 1], &row) > 0; at--)
			rows[at] = rows[at - 1];
		rows[at] = row;
	}
}

static void free_rows(oc_tool_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		oc_free(rows[i].json);
	oc_free(rows);
}

void oc_tools_free(oc_modules *modules)
{
	free_rows(modules->tools, modules->n_tools);
	modules->tools = NULL;
	modules->n_tools = 0;
	modules->tools_valid = false;
}

/* Written once: every request to a model has all of them. */
static char *row_json(const cJSON *spec)
{
	oc_sbuf b;
	char *text;

	oc_sbuf_init(&b, (size_t)8 << 20);
	oc_sbuf_z(&b, "{\"name\":");
	oc_sbuf_json(&b, oc_json_ostr(spec, "name"));
	oc_sbuf_z(&b, ",\"description\":");
	oc_sbuf_json(&b, oc_json_ostr(spec, "description"));
	oc_sbuf_z(&b, ",\"parameters\":");
	oc_json_add_to(&b, oc_json_get(spec, "parameters"));
	oc_sbuf_char(&b, '}');
	text = b.error == OC_OK ? oc_sbuf_take(&b) : NULL;
	oc_sbuf_free(&b);
	return text;
}

static bool add_row(oc_tool_row *row, const cJSON *item, oc_guest *g)
{
	row->json = row_json(item);
	row->info = (oc_tool_info){.name = oc_json_str(item, "name", ""), .spec = item, .json = row->json, .guest = g};
	return row->json != NULL;
}

static bool fill_table(oc_modules *modules)
{
	size_t total = 0, n = 0;
	oc_tool_row *rows;

	if (modules->tools_valid)
		return true;
	for (oc_guest *g = modules->guests; g != NULL; g = g->next) {
		if (!g->running || g->kind != OC_KIND_TOOL)
			continue;
		if (!g->spec_asked)
			ask_tools(g);
		total += (size_t)cJSON_GetArraySize(g->spec);
	}
	rows = oc_calloc(total + 1, sizeof(*rows));
	if (rows == NULL)
		return false;
	for (oc_guest *g = modules->guests; g != NULL; g = g->next) {
		const cJSON *item;

		if (!g->running || g->kind != OC_KIND_TOOL)
			continue;
		cJSON_ArrayForEach(item, g->spec)
			if (!add_row(&rows[n++], item, g)) {
				free_rows(rows, n);
				return false;
			}
	}
	sort_rows(rows, n);
	oc_tools_free(modules);
	modules->tools = rows;
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(rows[i].info.name, rows[modules->n_tools - 1].info.name) == 0) {
			oc_warn("module", "tool %s of module %s is left out: module %s has one of that name", rows[i].info.name,
				rows[i].info.guest->module->name, rows[modules->n_tools - 1].info.guest->module->name);
			oc_free(rows[i].json);
			continue;
		}
		rows[modules->n_tools++] = rows[i];
	}
	modules->tools_valid = true;
	return true;
}

void oc_modules_each_tool(oc_modules *modules, bool (*fn)(void *arg, const oc_tool_info *tool), void *arg)
{
	if (!fill_table(modules))
		return;
	for (size_t i = 0; i < modules->n_tools; i++)
		if (!fn(arg, &modules->tools[i].info))
			return;
}

bool oc_modules_tool(oc_modules *modules, oc_str name, oc_tool_info *ret)
{
	size_t low = 0, high;

	if (!fill_table(modules))
		return false;
	high = modules->n_tools;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *have = modules->tools[mid].info.name;
		size_t n = strlen(have);
		int c = memcmp(have, name.p, n < name.n ? n : name.n);

		if (c == 0 && n == name.n) {
			*ret = modules->tools[mid].info;
			return true;
		}
		if (c < 0 || (c == 0 && n < name.n))
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

const char *oc_modules_tool_comes(const oc_modules *modules, oc_str name)
{
	const cJSON *tool;

	for (size_t i = 0; i < modules->n; i++) {
		const oc_module *m = modules->list[i];

		if (!m->enabled || m->manifest == NULL || oc_module_running(m) || m->state == OC_MODULE_REFUSED ||
		    m->state == OC_MODULE_QUARANTINED || m->state == OC_MODULE_DISABLED)
			continue;
		cJSON_ArrayForEach(tool, m->manifest->tools)
			if (cJSON_IsString(tool) && oc_str_eqz(name, tool->valuestring))
				return m->name;
	}
	return NULL;
}

static void session_end_now(oc_modules *modules, oc_str info_json)
{
	for (oc_guest *g = modules->guests; g != NULL; g = g->next) {
		oc_visit visit;

		if (!g->running || g->kind != OC_KIND_TOOL || g->vtbl.tool.session_end == NULL)
			continue;
		visit = oc_visit_begin(g->module);
		g->vtbl.tool.session_end(g->inst, info_json);
		oc_visit_end(g->module, visit);
	}
}

typedef struct late_end {
	oc_modules *modules;
	char *info;
	size_t n;
	oc_ticket *ticket;
} late_end;

static void late_end_free(void *arg)
{
	late_end *late = arg;

	oc_free(late->info);
	oc_free(late);
}

static void session_end_later(void *arg)
{
	late_end *late = arg;

	oc_owner_forget(late->ticket);
	session_end_now(late->modules, oc_str_make(late->info, late->n));
	late_end_free(late);
}

void oc_modules_session_end(oc_modules *modules, oc_str info_json)
{
	late_end *late;

	if (!oc_visit_inside()) {
		session_end_now(modules, info_json);
		return;
	}
	/* A module is on the stack: on the next turn. The ticket frees what a sweep keeps from running. */
	late = oc_alloc(sizeof(*late));
	if (late == NULL)
		return;
	*late = (late_end){.modules = modules, .info = oc_memdup(info_json.p, info_json.n), .n = info_json.n};
	late->ticket = oc_owner_track(modules->owner, late_end_free, late);
	if (late->info == NULL || late->ticket == NULL
	    || oc_loop_defer(modules->loop, modules->owner, session_end_later, late) != OC_OK) {
		oc_owner_forget(late->ticket);
		late_end_free(late);
	}
}

/* ---- Manifests ---- */

static void add_known(cJSON *out, const oc_module *m, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		cJSON *copy = cJSON_Duplicate(item, true);

		if (copy == NULL)
			return;
		(void)oc_json_set_str(copy, "module", m->name);
		(void)cJSON_AddItemToArray(out, copy);
	}
}

/* All of it or NULL: a list with holes looks like modules that are not there. */
static cJSON *whole(cJSON *list, unsigned long refused)
{
	if (refused == oc_mem_refused())
		return list;
	cJSON_Delete(list);
	return NULL;
}

cJSON *oc_modules_known_providers(oc_modules *modules)
{
	unsigned long refused = oc_mem_refused();
	cJSON *out = cJSON_CreateArray();

	for (size_t i = 0; out != NULL && i < modules->n; i++)
		if (modules->list[i]->enabled)
			add_known(out, modules->list[i], modules->list[i]->manifest->providers);
	return whole(out, refused);
}

cJSON *oc_modules_known_channels(oc_modules *modules)
{
	unsigned long refused = oc_mem_refused();
	cJSON *out = cJSON_CreateArray();

	for (size_t i = 0; out != NULL && i < modules->n; i++)
		if (modules->list[i]->enabled)
			add_known(out, modules->list[i], modules->list[i]->manifest->channels);
	return whole(out, refused);
}
