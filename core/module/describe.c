/* What the registry tells people and dashboards, as JSON. */
#include <string.h>

#include "core/module/internal.h"

static void set_num(cJSON *o, const char *name, uint64_t value)
{
	(void)oc_json_set(o, name, cJSON_CreateNumber((double)value));
}

static void set_copy(cJSON *o, const char *name, const cJSON *value)
{
	(void)oc_json_set(o, name, value != NULL ? cJSON_Duplicate(value, true) : cJSON_CreateArray());
}

static cJSON *kinds_of(const oc_manifest *manifest)
{
	cJSON *list = cJSON_CreateArray();

	for (uint32_t kind = 1; list != NULL && kind < 32; kind++)
		if ((manifest->kinds >> kind & 1) != 0)
			(void)cJSON_AddItemToArray(list, cJSON_CreateString(oc_kind_name(kind)));
	return list;
}

static void add_manifest(cJSON *o, const oc_manifest *m)
{
	cJSON *abi = cJSON_CreateObject();

	(void)oc_json_set_str(o, "homepage", m->homepage);
	if (abi != NULL) {
		(void)oc_json_set_i64(abi, "major", m->abi_major);
		(void)oc_json_set_i64(abi, "minor", m->abi_minor);
		(void)oc_json_set(o, "abi", abi);
	}
	set_copy(o, "secrets", m->secrets);
	set_copy(o, "services", m->services);
	set_copy(o, "providers", m->providers);
	set_copy(o, "channels", m->channels);
	set_copy(o, "tools", m->tools);
	if (m->config_schema != NULL)
		set_copy(o, "configSchema", m->config_schema);
	(void)oc_json_set_str(o, "configPath", m->config_path);
}

static void add_signature(cJSON *o, const oc_module *module)
{
	cJSON *s = cJSON_CreateObject();
	oc_signature sig = {0};
	oc_err err = {0};

	if (oc_module_signature(module, &sig, &err) != OC_OK)
		(void)oc_json_set_str(s, "state", "bad"), (void)oc_json_set_str(s, "reason", err.text);
	else
		(void)oc_json_set_str(s, "state", oc_signature_state_name(sig.state));
	(void)oc_json_opt(s, "key", sig.key);
	(void)oc_json_opt(s, "comment", sig.comment);
	(void)oc_json_set(o, "signature", s);
}

static void add_guests(cJSON *o, const oc_module *module)
{
	cJSON *list = cJSON_CreateArray();

	for (const oc_guest *g = module->registry->guests; list != NULL && g != NULL; g = g->next) {
		cJSON *item;

		if (g->module != module)
			continue;
		item = cJSON_CreateObject();
		if (item == NULL)
			break;
		(void)oc_json_set_str(item, "kind", oc_kind_name(g->kind));
		(void)oc_json_set_str(item, "id", g->id);
		(void)oc_json_set_i64(item, "major", g->ver_major);
		(void)oc_json_set_i64(item, "minor", g->ver_minor);
		(void)oc_json_set_bool(item, "running", g->running);
		(void)cJSON_AddItemToArray(list, item);
	}
	(void)oc_json_set(o, "interfaces", list);
}

void oc_module_get_stats(const oc_module *m, oc_module_stats *ret)
{
	oc_owner_stats stats = {0};

	if (m->owner != NULL)
		oc_owner_get_stats(m->owner, &stats);
	*ret = (oc_module_stats){
		.calls_open = m->n_calls, .calls_started = m->counts.started, .calls_ok = m->counts.ok,
		.calls_failed = m->counts.failed, .calls_timed_out = m->counts.timed_out,
		.calls_canceled = m->counts.canceled, .violations = m->counts.violations,
		.bytes = atomic_load(&m->bytes), .bytes_limit = atomic_load(&m->limit), .blocks = atomic_load(&m->blocks),
		.posts = atomic_load(&m->posts),
		.callbacks = stats.callbacks, .callback_ns = stats.total_ns, .callback_max_ns = stats.max_ns,
		.over_10ms = stats.over_10ms, .over_100ms = stats.over_100ms,
	};
}

static bool fill(void *arg, oc_module *m)
{
	oc_fill *q = arg;

	oc_fill_add(&q[OC_QUEUE_module_calls], m->n_calls, OC_CALL_MAX_OPEN);
	oc_fill_add(&q[OC_QUEUE_module_posts], atomic_load(&m->posts), OC_POSTS_MAX);
	oc_fill_add(&q[OC_QUEUE_module_watches], m->n_watches, OC_WATCHES_MAX);
	oc_fill_add(&q[OC_QUEUE_module_works], m->n_works, OC_WORKS_MAX);
	return true;
}

void oc_modules_queues(oc_modules *modules, oc_fill q[OC_QUEUE_N])
{
	oc_modules_each(modules, fill, q);
}

const oc_module_gauge *oc_module_gauge_at(const oc_module *m, size_t i)
{
	return m->gauges != NULL && i < OC_GAUGES_MAX && m->gauges[i].name[0] != 0 ? &m->gauges[i] : NULL;
}

static void add_counts(cJSON *o, const oc_module *m)
{
	cJSON *calls = cJSON_CreateObject(), *memory = cJSON_CreateObject(), *callbacks = cJSON_CreateObject();
	oc_owner_stats stats = {0};

	set_num(calls, "open", m->n_calls);
	set_num(calls, "started", m->counts.started);
	set_num(calls, "ok", m->counts.ok);
	set_num(calls, "failed", m->counts.failed);
	set_num(calls, "timedOut", m->counts.timed_out);
	set_num(calls, "canceled", m->counts.canceled);
	(void)oc_json_set(o, "calls", calls);
	set_num(memory, "bytes", atomic_load(&m->bytes));
	set_num(memory, "peakBytes", atomic_load(&m->peak));
	set_num(memory, "limitBytes", atomic_load(&m->limit));
	set_num(memory, "blocks", atomic_load(&m->blocks));
	(void)oc_json_set(o, "memory", memory);
	if (m->owner != NULL)
		oc_owner_get_stats(m->owner, &stats);
	set_num(callbacks, "count", stats.callbacks);
	(void)oc_json_set(callbacks, "totalMs", cJSON_CreateNumber((double)stats.total_ns / 1e6));
	(void)oc_json_set(callbacks, "maxMs", cJSON_CreateNumber((double)stats.max_ns / 1e6));
	set_num(callbacks, "over10ms", stats.over_10ms);
	set_num(callbacks, "over100ms", stats.over_100ms);
	set_num(callbacks, "over1s", stats.over_1s);
	(void)oc_json_set(o, "callbacks", callbacks);
	(void)oc_json_set(o, "initMs", cJSON_CreateNumber((double)m->init_us / 1e3));
	set_num(o, "violations", m->counts.violations);
	if (m->desc.name != NULL)
		(void)oc_json_set_bool(o, "threads", (m->desc.flags & OC_MODULE_THREADS) != 0);
}

cJSON *oc_module_describe(oc_module *m, bool detail)
{
	cJSON *o = cJSON_CreateObject();
	const oc_manifest *manifest = m->manifest;

	if (o == NULL)
		return NULL;
	(void)oc_json_set_str(o, "name", m->name);
	(void)oc_json_set_str(o, "version", oc_module_version(m));
	(void)oc_json_set_str(o, "state", oc_module_state_name(m->state));
	(void)oc_json_set_bool(o, "enabled", m->enabled);
	(void)oc_json_set_bool(o, "bundled", m->bundled);
	(void)oc_json_set_str(o, "origin", m->origin);
	(void)oc_json_set_str(o, "path", m->path);
	(void)oc_json_set_str(o, "reason", oc_module_reason(m));
	(void)oc_json_set_str(o, "remedy", oc_module_remedy(m));
	(void)oc_json_opt(o, "settingsUnused", m->unused);
	if (manifest != NULL) {
		(void)oc_json_set_str(o, "license", manifest->license);
		(void)oc_json_set_str(o, "description", manifest->description);
		(void)oc_json_set(o, "kinds", kinds_of(manifest));
		set_copy(o, "capabilities", manifest->capabilities);
		(void)oc_json_set_str(o, "isolation", m->isolate ? "process" : "inprocess");
		if (detail)
			add_manifest(o, manifest);
	}
	if (detail) {
		if (!m->bundled)
			add_signature(o, m);
		add_guests(o, m);
		add_counts(o, m);
	}
	if (m->isolate && m->registry->isolator != NULL)
		m->registry->isolator->describe(m->registry->isolator_arg, m, detail, o);
	return o;
}

cJSON *oc_modules_describe(oc_modules *modules)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; list != NULL && i < modules->n; i++)
		(void)cJSON_AddItemToArray(list, oc_module_describe(modules->list[i], false));
	return list;
}
