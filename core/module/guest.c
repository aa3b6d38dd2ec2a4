/* Guests: what modules bring, kind by kind, and how core finds it. */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/module/internal.h"

/* ---- Coming and going ---- */

static oc_guest *known(const oc_module *module, uint32_t kind, const char *id)
{
	for (oc_guest *g = module->registry->guests; g != NULL; g = g->next)
		if (g->module == module && g->kind == kind && strcmp(g->id, id) == 0)
			return g;
	return NULL;
}

oc_status oc_guest_add(oc_module *module, const oc_iface *iface, void *inst, oc_guest **ret, oc_err *err)
{
	oc_modules *modules = module->registry;
	char table[sizeof(oc_vtbl)];
	oc_guest *g, **end;
	oc_status st = oc_loader_check_iface(iface, module->manifest, table, sizeof(table), err);

	if (st != OC_OK)
		return st;
	g = known(module, iface->kind, iface->id);
	if (g != NULL && g->running)
		return oc_fail(err, OC_E_EXISTS, "give each interface an id of its own", "two %s interfaces have the id \"%s\"",
			       oc_kind_name(iface->kind), iface->id);
	if (g == NULL) {
		g = oc_alloc(sizeof(*g));
		if (g != NULL)
			g->id = oc_strdup(iface->id);
		if (g == NULL || g->id == NULL) {
			oc_free(g);
			return oc_fail(err, OC_E_NOMEM, NULL, "no memory for an interface of %s", module->name);
		}
		g->module = module;
		g->kind = iface->kind;
		for (end = &modules->guests; *end != NULL; end = &(*end)->next)
			;
		*end = g;
	}
	g->ver_major = iface->ver_major;
	g->ver_minor = iface->ver_minor;
	g->inst = inst;
	memcpy(&g->vtbl, table, sizeof(table));
	if (ret != NULL)
		*ret = g;
	return OC_OK;
}

static void drop_spec(oc_guest *g)
{
	cJSON_Delete(g->spec);
	g->spec = NULL;
	g->spec_asked = false;
}

void oc_guests_free(oc_modules *modules, const oc_module *module)
{
	oc_guest **at = &modules->guests;

	while (*at != NULL) {
		oc_guest *g = *at;

		if (module != NULL && g->module != module) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		drop_spec(g);
		oc_free(g->subs);
		oc_free(g->id);
		oc_free(g);
	}
	modules->tools_valid = false;
	modules->generation++;
}

/* ---- Hooks ---- */

static void hook_done(void *arg, oc_status status, oc_str result)
{
	oc_hook_turn *turn = arg;
	oc_auto_json cJSON *changes = NULL;
	oc_err err = {0};

	if (status == OC_OK && result.n > 0) {
		status = oc_json_parse(result, NULL, &changes, &err);
		if (status == OC_OK && !cJSON_IsObject(changes))
			status = oc_fail(&err, OC_E_PROTOCOL, NULL, "a hook's answer must be a JSON object");
	} else if (status != OC_OK) {
		oc_call_error(status, result, &err, NULL);
	}
	oc_hook_answer(turn, status, changes, err.text);
}

static void hook_fired(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	oc_guest *g = arg;
	oc_call_options options = {.deadline_ms = oc_hook_turn_timeout(turn), .on_done = hook_done, .arg = turn};
	oc_call *call = NULL;
	oc_status st;

	(void)hook;
	(void)payload;
	st = oc_hook_guest_handle(g, oc_str_of(oc_hook_turn_name(turn)), oc_hook_turn_text(turn), &options, &call);
	if (st != OC_OK)
		oc_hook_answer(turn, st, NULL, oc_status_text(st));
	else
		*oc_hook_turn_data(turn) = call;
}

static void hook_cancelled(void *arg, oc_hook_turn *turn)
{
	(void)arg;
	oc_call_abandon(*oc_hook_turn_data(turn));
}

static void subscribe_one(oc_guest *g, const cJSON *item)
{
	oc_hook_subscription sub = {.fn = hook_fired, .cancel = hook_cancelled, .arg = g};
	int64_t priority = oc_json_i64(item, "priority", 0), timeout = oc_json_i64(item, "timeoutMs", 0);
	oc_auto_free char *by = oc_asprintf("module %s", g->module->name);
	oc_err err = {0};

	sub.hook = oc_json_str(item, "hook", NULL);
	sub.by = by;
	if (sub.hook == NULL || priority < INT32_MIN || priority > INT32_MAX || timeout < 0 || timeout > 600000) {
		oc_module_violation(g->module, "a subscription of \"%s\" is wrong: it needs \"hook\", and \"priority\" and "
						"\"timeoutMs\" within bounds", g->id);
		return;
	}
	sub.priority = (int32_t)priority;
	sub.timeout_ms = (uint32_t)timeout;
	if (by == NULL || oc_hooks_subscribe(g->module->registry->hooks, &sub, &g->subs[g->n_subs], &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "module", g->module->name, &err);
	else
		g->n_subs++;
}

static void subscribe(oc_guest *g)
{
	oc_auto_json cJSON *list = NULL;
	const cJSON *item;
	oc_err err = {0};
	oc_str text;
	oc_visit visit;

	if (g->module->registry->hooks == NULL)
		return;
	visit = oc_visit_begin(g->module);
	text = g->vtbl.hook.subscriptions(g->inst);
	oc_visit_end(g->module, visit);
	if (text.p == NULL || oc_json_parse(text, NULL, &list, &err) != OC_OK || !cJSON_IsArray(list)) {
		oc_module_violation(g->module, "the subscriptions of \"%s\" are no JSON list: %s", g->id, err.text);
		return;
	}
	g->subs = oc_calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*g->subs));
	if (g->subs == NULL)
		return;
	cJSON_ArrayForEach(item, list)
		subscribe_one(g, item);
}

static void unsubscribe(oc_guest *g)
{
	for (size_t i = 0; i < g->n_subs; i++)
		oc_hooks_unsubscribe(g->subs[i]);
	oc_free(g->subs);
	g->subs = NULL;
	g->n_subs = 0;
}

/* ---- Opening and shutting ---- */

/* Ids that core looks up should be one module's. */
static void warn_of_twin(const oc_guest *g)
{
	if (g->kind == OC_KIND_TOOL || g->kind == OC_KIND_HOOK)
		return;
	for (const oc_guest *other = g->module->registry->guests; other != NULL; other = other->next)
		if (other != g && other->running && other->kind == g->kind && strcmp(other->id, g->id) == 0
		    && (g->kind != OC_KIND_SERVICE || other->ver_major == g->ver_major))
			oc_warn("module", "modules %s and %s both have the %s \"%s\"; the one that is listed first is used",
				other->module->name, g->module->name, oc_kind_name(g->kind), g->id);
}

static void open_guest(oc_guest *g)
{
	warn_of_twin(g);
	g->running = true;
	if (g->kind == OC_KIND_HOOK)
		subscribe(g);
}

static void changed(oc_modules *modules)
{
	modules->generation++;
	modules->tools_valid = false;
}

void oc_guests_open(oc_module *module)
{
	for (oc_guest *g = module->registry->guests; g != NULL; g = g->next)
		if (g->module == module && !g->running)
			open_guest(g);
	changed(module->registry);
}

void oc_guests_shut(oc_module *module)
{
	for (oc_guest *g = module->registry->guests; g != NULL; g = g->next) {
		if (g->module != module || !g->running)
			continue;
		g->running = false;
		unsubscribe(g);
		drop_spec(g);
	}
	changed(module->registry);
}

void oc_guests_changed(oc_module *module)
{
	for (oc_guest *g = module->registry->guests; g != NULL; g = g->next) {
		if (g->module != module || !g->running)
			continue;
		drop_spec(g);
		if (g->kind == OC_KIND_HOOK) {
			unsubscribe(g);
			subscribe(g);
		}
	}
	changed(module->registry);
}

oc_status oc_guest_register(oc_module *module, const oc_iface *iface, void *inst, oc_guest **ret, oc_err *err)
{
	oc_guest *g = NULL;
	oc_status st;

	if (!module->inited)
		return oc_fail(err, OC_E_STATE, NULL, "module %s does not run", module->name);
	st = oc_guest_add(module, iface, inst, &g, err);
	if (st != OC_OK)
		return st;
	if (oc_module_running(module)) {
		open_guest(g);
		changed(module->registry);
	}
	if (ret != NULL)
		*ret = g;
	return OC_OK;
}

bool oc_module_serves(const oc_module *module, const oc_module *other)
{
	if (module == other || other->manifest->services == NULL)
		return false;
	for (const oc_guest *g = module->registry->guests; g != NULL; g = g->next)
		if (g->module == module && g->kind == OC_KIND_SERVICE
		    && oc_manifest_lists(other->manifest->services, oc_str_of(g->id)))
			return true;
	return false;
}

/* ---- Finding ---- */

static oc_guest *find(oc_modules *modules, uint32_t kind, oc_str id)
{
	for (oc_guest *g = modules->guests; g != NULL; g = g->next)
		if (g->running && g->kind == kind && oc_str_eqz(id, g->id))
			return g;
	return NULL;
}

oc_guest *oc_modules_channel(oc_modules *modules, oc_str id)
{
	return find(modules, OC_KIND_CHANNEL, id);
}

oc_guest *oc_modules_provider(oc_modules *modules, oc_str api)
{
	return find(modules, OC_KIND_PROVIDER, api);
}

oc_guest *oc_modules_service(oc_modules *modules, oc_str name, uint16_t major)
{
	for (oc_guest *g = modules->guests; g != NULL; g = g->next)
		if (g->running && g->kind == OC_KIND_SERVICE && g->ver_major == major && oc_str_eqz(name, g->id))
			return g;
	return NULL;
}

oc_guest *oc_modules_slot(oc_modules *modules, uint32_t kind, const char **ret_id)
{
	const cJSON *id = oc_modules_setting(modules, kind == OC_KIND_MEMORY ? "modules.slots.memory" : "modules.slots.storage");
	bool chosen = cJSON_IsString(id) && id->valuestring[0] != 0 && strcmp(id->valuestring, "none") != 0;

	if (ret_id != NULL)
		*ret_id = chosen ? id->valuestring : NULL;
	return chosen ? find(modules, kind, oc_str_of(id->valuestring)) : NULL;
}

oc_guest *oc_modules_http_match(oc_modules *modules, oc_str path)
{
	oc_guest *best = NULL;
	size_t best_n = 0;

	for (oc_guest *g = modules->guests; g != NULL; g = g->next) {
		size_t n;

		if (!g->running || g->kind != OC_KIND_HTTP)
			continue;
		n = strlen(g->id);
		if (n > best_n && n <= path.n && memcmp(g->id, path.p, n) == 0 && (n == path.n || path.p[n] == '/')) {
			best = g;
			best_n = n;
		}
	}
	return best;
}

void oc_modules_each_guest(oc_modules *modules, uint32_t kind, bool (*fn)(void *arg, oc_guest *guest), void *arg)
{
	for (oc_guest *g = modules->guests; g != NULL; g = g->next)
		if (g->running && (kind == 0 || g->kind == kind) && !fn(arg, g))
			return;
}

uint64_t oc_modules_generation(const oc_modules *modules)
{
	return modules->generation;
}

const char *oc_guest_id(const oc_guest *guest)
{
	return guest->id;
}

oc_module *oc_guest_module(const oc_guest *guest)
{
	return guest->module;
}

bool oc_guest_running(const oc_guest *guest)
{
	return guest->running;
}

uint32_t oc_guest_flags(const oc_guest *guest)
{
	return guest->vtbl.head.flags;
}

bool oc_guest_has(const oc_guest *guest, const char *function)
{
	const oc_channel_vtbl *c = &guest->vtbl.channel;

	if (guest->kind == OC_KIND_PROVIDER)
		return (strcmp(function, "models") == 0 && guest->vtbl.provider.models != NULL)
		       || (strcmp(function, "embed") == 0 && guest->vtbl.provider.embed != NULL);
	if (guest->kind != OC_KIND_CHANNEL)
		return false;
	return (strcmp(function, "edit") == 0 && c->edit != NULL) || (strcmp(function, "action") == 0 && c->action != NULL)
	       || (strcmp(function, "probe") == 0 && c->probe != NULL);
}
