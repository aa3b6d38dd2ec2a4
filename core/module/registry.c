/* The registry: which modules there are, and in which state. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/path.h"
#include "core/module/callfn.h"
#include "core/module/internal.h"
#include "core/module/static.h"

enum { MODULES_MAX = 1000 };

const char *oc_module_state_name(oc_module_state state)
{
	static const char *const names[] = {
		[OC_MODULE_STATE_UNSET] = "unset",
#define NAME(name, text) [OC_MODULE_##name] = text,
		OC_MODULE_STATE_MAP(NAME)
#undef NAME
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unset";
}

/* ---- The registry itself ---- */

static oc_status dup_option(const char *value, char *fallback, char **ret)
{
	*ret = value != NULL ? oc_strdup(value) : fallback;
	if (value != NULL)
		oc_free(fallback);
	return *ret == NULL ? OC_E_NOMEM : OC_OK;
}

/* Where bundled modules are. Beside a binary that is run from the tree it was built in lies modules/.libs. */
static char *bundled_folder(bool *ret_build_tree)
{
	oc_auto_free char *tree = oc_path_build_tree();

	*ret_build_tree = tree != NULL;
	return tree != NULL ? oc_path_join(tree, "modules/.libs") : oc_path_installed(OC_MODULEDIR);
}

static oc_status take_options(oc_modules *m, const oc_modules_options *o)
{
	const char *path = getenv("OPENCLAW_MODULE_PATH");
	oc_status st;

	m->no_static = o->no_static;
	m->safe_mode = o->safe_mode;
	m->memory_limit = o->memory_limit != 0 ? (size_t)o->memory_limit : (size_t)512 * 1024 * 1024;
	m->hooks = o->hooks;
	m->shared_dir = o->module_dir == NULL;
	st = dup_option(o->module_dir, o->module_dir == NULL ? bundled_folder(&m->build_tree) : NULL, &m->module_dir);
	if (st == OC_OK)
		st = dup_option(o->user_dir, o->user_dir != NULL ? NULL : oc_path_state("modules"), &m->user_dir);
	if (st == OC_OK)
		st = dup_option(o->search_path != NULL ? o->search_path : path != NULL ? path : "", NULL, &m->search_path);
	return st;
}

oc_status oc_modules_new(oc_loop *loop, oc_config *config, const oc_modules_options *options, oc_modules **ret, oc_err *err)
{
	static const oc_modules_options none;
	oc_modules *m = oc_alloc(sizeof(*m));
	oc_status st = OC_E_NOMEM;

	if (m != NULL) {
		m->loop = loop;
		m->generation = 1;
		m->config = config != NULL ? oc_config_ref(config) : NULL;
		st = take_options(m, options != NULL ? options : &none);
		if (st == OC_OK && loop != NULL) {
			m->owner = oc_owner_new(loop, "modules");
			st = m->owner == NULL ? OC_E_NOMEM : OC_OK;
			oc_calls_loop(loop);
		}
	}
	if (st != OC_OK) {
		oc_modules_free(m);
		return oc_fail(err, st, NULL, "no memory for the module registry");
	}
	*ret = m;
	return OC_OK;
}

void oc_modules_free(oc_modules *m)
{
	if (m == NULL)
		return;
	m->freeing = true;
	for (size_t i = m->n; i > 0; i--)
		oc_module_kill(m->list[i - 1]);
	oc_guests_free(m, NULL);
	while (m->n > 0)
		oc_modules_remove(m, m->list[m->n - 1]);
	while (m->over != NULL) {
		oc_batch *b = m->over;

		m->over = b->next;
		oc_free(b);
	}
	while (m->services != NULL) {
		oc_service_row *row = m->services;

		m->services = row->next;
		oc_free(row->name);
		oc_free(row->capability);
		oc_free(row);
	}
	while (m->contexts != NULL) {
		oc_context_row *row = m->contexts;

		m->contexts = row->next;
		oc_free(row->name);
		oc_free(row);
	}
	while (m->on_state != NULL)
		oc_modules_off_state(m, m->on_state->arg);
	oc_owner_free(m->owner);
	oc_config_unref(m->config);
	oc_tools_free(m);
	oc_free(m->list);
	oc_free(m->module_dir);
	oc_free(m->user_dir);
	oc_free(m->search_path);
	oc_free(m);
	oc_handles_trim();
	oc_calls_trim();
}

/* ---- Modules ---- */

oc_module *oc_module_new(oc_modules *modules, const char *name, const char *path, const char *origin)
{
	oc_module *m = oc_alloc(sizeof(*m));

	if (m == NULL)
		return NULL;
	m->registry = modules;
	atomic_store(&m->refs, 1);
	m->file.fd = -1;
	m->origin = origin;
	m->state = OC_MODULE_FOUND;
	m->name = oc_strdup(name);
	m->path = oc_strdup(path);
	atomic_store(&m->limit, modules->memory_limit);
	oc_list_init(&m->calls);
	oc_list_init(&m->requests);
	oc_list_init(&m->watches);
	if (m->name == NULL || m->path == NULL) {
		oc_module_free(m);
		return NULL;
	}
	return m;
}

void oc_module_free(oc_module *m)
{
	if (m == NULL)
		return;
	oc_owner_free(m->owner);
	oc_loader_close(&m->file);
	oc_manifest_free(m->manifest);
	oc_free(m->config);
	oc_free(m->reason);
	oc_free(m->remedy);
	oc_free(m->verdict);
	oc_free(m->unused);
	oc_free(m->handed);
	oc_free(m->handing);
	oc_free(m->name);
	oc_free(m->path);
	m->name = m->path = NULL;
	m->registry = NULL; /* what is still in the thread pool sees that there is nobody to tell */
	oc_module_unref(m);
}

void oc_module_unref(oc_module *m)
{
	if (atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	oc_free(m->trace);
	oc_free(m);
}

static int compare(const oc_module *a, const oc_module *b)
{
	int c = strcmp(a->name, b->name);

	return c != 0 ? c : strcmp(a->path, b->path);
}

oc_status oc_modules_insert(oc_modules *modules, oc_module *module)
{
	size_t at = modules->n;

	if (modules->n >= MODULES_MAX)
		return OC_E_LIMIT;
	if (modules->n == modules->cap) {
		size_t cap = modules->cap == 0 ? 16 : modules->cap * 2;
		oc_module **list = oc_realloc(modules->list, cap * sizeof(*list));

		if (list == NULL)
			return OC_E_NOMEM;
		modules->list = list;
		modules->cap = cap;
	}
	for (; at > 0 && compare(modules->list[at - 1], module) > 0; at--)
		modules->list[at] = modules->list[at - 1];
	modules->list[at] = module;
	modules->n++;
	return OC_OK;
}

void oc_modules_remove(oc_modules *modules, oc_module *module)
{
	for (size_t i = 0; i < modules->n; i++) {
		if (modules->list[i] != module)
			continue;
		memmove(&modules->list[i], &modules->list[i + 1], (modules->n - i - 1) * sizeof(modules->list[0]));
		modules->n--;
		break;
	}
	oc_guests_free(modules, module);
	oc_module_free(module);
}

oc_status oc_modules_add(oc_modules *modules, oc_str manifest_json, const oc_module_desc *desc, const char *origin,
			 oc_module **ret, oc_err *err)
{
	oc_manifest *manifest = NULL;
	oc_module *m;
	oc_status st = oc_manifest_parse(manifest_json, &manifest, err);

	if (st != OC_OK)
		return st;
	m = oc_module_new(modules, manifest->name, "", origin);
	st = m == NULL ? OC_E_NOMEM : oc_modules_insert(modules, m);
	if (st != OC_OK) {
		oc_module_free(m);
		oc_manifest_free(manifest);
		return oc_fail(err, st, NULL, "no room for one more module");
	}
	m->manifest = manifest;
	m->linked = desc;
	m->bundled = true;
	oc_policy_apply(modules, m->name);
	if (ret != NULL)
		*ret = m;
	return OC_OK;
}

/* ---- States ---- */

static void tell_state(void *arg)
{
	oc_module *module = arg;
	oc_modules *modules = module->registry;
	oc_visit visit = oc_visit_aside();

	module->state_event_waiting = false;
	for (oc_state_row *row = modules->on_state, *next; row != NULL; row = next) {
		next = row->next; /* a listener may leave */
		row->fn(row->arg, module);
	}
	oc_visit_return(visit);
}

void oc_module_set_state(oc_module *module, oc_module_state state, const char *reason, const char *remedy)
{
	oc_modules *modules = module->registry;
	char *new_reason = reason != NULL && reason[0] != '\0' ? oc_strdup(reason) : NULL;
	char *new_remedy = remedy != NULL && remedy[0] != '\0' ? oc_strdup(remedy) : NULL;

	oc_free(module->reason);
	oc_free(module->remedy);
	module->reason = new_reason;
	module->remedy = new_remedy;
	module->state = state;
	if (modules->on_state == NULL || modules->freeing || module->owner == NULL || module->state_event_waiting)
		return;
	module->state_event_waiting = oc_loop_defer(modules->loop, module->owner, tell_state, module) == OC_OK;
}

static void fire_error(oc_module *module)
{
	oc_modules *modules = module->registry;
	cJSON *payload;

	if (modules->hooks == NULL || modules->freeing || !oc_hooks_wanted(modules->hooks, OC_HOOK_ERROR))
		return;
	payload = cJSON_CreateObject();
	if (payload == NULL)
		return;
	(void)oc_json_set_str(payload, "source", "module");
	(void)oc_json_set_str(payload, "module", module->name);
	(void)oc_json_set_str(payload, "error", oc_module_reason(module));
	(void)oc_json_set_str(payload, "remedy", oc_module_remedy(module));
	(void)oc_hooks_fire(modules->hooks, OC_HOOK_ERROR, payload, modules->owner, NULL, NULL);
}

void oc_module_refuse(oc_module *module, const oc_err *err)
{
	module->start_failed = true;
	oc_module_set_state(module, OC_MODULE_REFUSED, err->text, err->remedy);
	fire_error(module);
}

void oc_module_violation(oc_module *module, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (module == NULL) {
		oc_warn("module", "a module broke the contract: %s", text);
		return;
	}
	module->counts.violations++;
	/* A module that does this all the time must not fill the log. */
	if (module->counts.violations <= 5 || module->counts.violations % 1000 == 0)
		oc_warn("module", "module %s broke the contract: %s (%llu so far)", module->name, text,
			(unsigned long long)module->counts.violations);
	if (module->state == OC_MODULE_STARTED) {
		oc_module_set_state(module, OC_MODULE_DEGRADED, text, "report this to the module's author");
		fire_error(module);
	}
}

oc_status oc_modules_on_state(oc_modules *modules, void (*fn)(void *arg, oc_module *module), void *arg)
{
	oc_state_row *row = oc_alloc(sizeof(*row)), **end = &modules->on_state;

	if (row == NULL)
		return OC_E_NOMEM;
	*row = (oc_state_row){.fn = fn, .arg = arg};
	while (*end != NULL)
		end = &(*end)->next;
	*end = row;
	return OC_OK;
}

void oc_modules_off_state(oc_modules *modules, void *arg)
{
	oc_state_row **at = &modules->on_state;

	while (*at != NULL) {
		oc_state_row *row = *at;

		if (row->arg != arg) {
			at = &row->next;
			continue;
		}
		*at = row->next;
		oc_free(row);
	}
}

/* ---- Reading ---- */

/* Of several with one name: the one that runs, else the one that may, else a bundled one, else the first. */
oc_module *oc_modules_find(oc_modules *modules, const char *name)
{
	oc_module *best = NULL;
	int best_rank = -1;

	for (size_t i = 0; i < modules->n; i++) {
		oc_module *m = modules->list[i];
		int rank = m->inited ? 3 : m->enabled ? 2 : m->bundled ? 1 : 0;

		if (strcmp(m->name, name) == 0 && rank > best_rank) {
			best = m;
			best_rank = rank;
		}
	}
	return best;
}

void oc_modules_each(oc_modules *modules, bool (*fn)(void *arg, oc_module *module), void *arg)
{
	for (size_t i = 0; i < modules->n; i++)
		if (!fn(arg, modules->list[i]))
			return;
}

const char *oc_module_name(const oc_module *module)
{
	return module->name;
}

const char *oc_module_version(const oc_module *module)
{
	return module->manifest != NULL ? module->manifest->version : "";
}

const char *oc_module_path(const oc_module *module)
{
	return module->path;
}

const char *oc_module_origin(const oc_module *module)
{
	return module->origin;
}

const char *oc_module_reason(const oc_module *module)
{
	return module->reason != NULL ? module->reason : "";
}

const char *oc_module_remedy(const oc_module *module)
{
	return module->remedy != NULL ? module->remedy : "";
}

const oc_manifest *oc_module_manifest(const oc_module *module)
{
	return module->manifest;
}

oc_module_state oc_module_get_state(const oc_module *module)
{
	return module->state;
}

bool oc_module_bundled(const oc_module *module)
{
	return module->bundled;
}

bool oc_module_enabled(const oc_module *module)
{
	return module->enabled;
}

bool oc_module_running(const oc_module *module)
{
	return module->state == OC_MODULE_STARTED || module->state == OC_MODULE_DEGRADED;
}

oc_owner *oc_module_owner(oc_module *module)
{
	return module->owner;
}

bool oc_module_may(const oc_module *module, oc_str capability)
{
	return module->manifest != NULL && oc_manifest_lists(module->manifest->capabilities, capability);
}

oc_modules *oc_module_registry(const oc_module *module)
{
	return module->registry;
}

/* The file that is open, or opens it into *own, which the caller closes. */
static oc_status file_of(const oc_module *module, oc_module_file *own, const oc_module_file **ret, oc_err *err)
{
	oc_status st = OC_OK;

	own->fd = -1;
	*ret = &module->file;
	if (module->path[0] == '\0')
		return oc_fail(err, OC_E_UNSUPPORTED, "", "%s is part of the binary", module->name);
	if (module->file.fd < 0) {
		st = oc_loader_open(module->path, module->own_tree, own, err);
		*ret = own;
	}
	return st;
}

oc_status oc_module_sha256(const oc_module *module, char out[65], oc_err *err)
{
	oc_module_file own = {.fd = -1};
	const oc_module_file *file;
	oc_status st = file_of(module, &own, &file, err);

	if (st == OC_OK)
		st = oc_loader_sha256(file, out, err);
	oc_loader_close(&own);
	return st;
}

oc_status oc_module_signature(const oc_module *module, oc_signature *ret, oc_err *err)
{
	oc_module_file own = {.fd = -1};
	const oc_module_file *file;
	oc_status st = file_of(module, &own, &file, err);

	if (st == OC_OK)
		st = oc_signature_check(file, module->path, oc_modules_setting(module->registry, "modules.trustedKeys"), ret, err);
	oc_loader_close(&own);
	return st;
}

/* ---- What others hand in ---- */

oc_status oc_modules_provide_service(oc_modules *modules, const char *name, uint16_t major, uint16_t minor,
				     const void *table, const char *capability)
{
	oc_service_row *row = oc_alloc(sizeof(*row));

	if (row == NULL)
		return OC_E_NOMEM;
	row->name = oc_strdup(name);
	row->capability = capability != NULL ? oc_strdup(capability) : NULL;
	if (row->name == NULL || (capability != NULL && row->capability == NULL)) {
		oc_free(row->name);
		oc_free(row->capability);
		oc_free(row);
		return OC_E_NOMEM;
	}
	row->major = major;
	row->minor = minor;
	row->table = table;
	row->next = modules->services; /* the latest of two with one name and major serves */
	modules->services = row;
	return OC_OK;
}

void oc_modules_on_gauge(oc_modules *modules, void (*fn)(const oc_module_gauge *gauge))
{
	modules->on_gauge = fn;
}

void oc_modules_set_secret_source(oc_modules *modules, oc_status (*fn)(void *arg, oc_str name, oc_buf **ret), void *arg)
{
	modules->secret_fn = fn;
	modules->secret_arg = arg;
}

oc_status oc_modules_set_context(oc_modules *modules, const char *name, void *context)
{
	oc_context_row *row;

	for (row = modules->contexts; row != NULL; row = row->next) {
		if (strcmp(row->name, name) == 0) {
			row->context = context;
			return OC_OK;
		}
	}
	row = oc_alloc(sizeof(*row));
	if (row == NULL)
		return OC_E_NOMEM;
	row->name = oc_strdup(name);
	if (row->name == NULL) {
		oc_free(row);
		return OC_E_NOMEM;
	}
	row->context = context;
	row->next = modules->contexts;
	modules->contexts = row;
	return OC_OK;
}

void *oc_modules_context(const oc_modules *modules, const char *name)
{
	for (const oc_context_row *row = modules->contexts; row != NULL; row = row->next)
		if (strcmp(row->name, name) == 0)
			return row->context;
	return NULL;
}
