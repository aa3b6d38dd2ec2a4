#include "core/agent/model.h"

#include <string.h>

#include "core/agent/keyring.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/trace.h"

#define CONTEXT_WINDOW_DEFAULT 128000
#define IDLE_SECONDS_MAX 86400

/* ---- The catalog: manifests of provider modules, with the configuration on top ---- */

static void merge_models(cJSON *into, const cJSON *from, const char *source)
{
	cJSON *models = cJSON_GetObjectItemCaseSensitive(into, "models");
	if (models == NULL)
		models = cJSON_AddArrayToObject(into, "models");
	const cJSON *m;
	cJSON_ArrayForEach(m, from)
	{
		cJSON *known = NULL, *at;
		cJSON_ArrayForEach(at, models) if (strcmp(oc_json_str(at, "id", ""), oc_json_str(m, "id", "?")) == 0) known = at;
		if (known == NULL) {
			known = cJSON_Duplicate(m, true);
			if (known == NULL || !cJSON_AddItemToArray(models, known))
				cJSON_Delete(known);
		} else {
			const cJSON *member;
			cJSON_ArrayForEach(member, m)(void) oc_json_set(known, member->string, cJSON_Duplicate(member, true));
		}
		if (known != NULL)
			(void)oc_json_set_str(known, "source", source);
	}
}

static void add_known(oc_agent *agent, cJSON *catalog)
{
	cJSON *known = oc_modules_known_providers(agent->modules);
	const cJSON *p;
	cJSON_ArrayForEach(p, known)
	{
		const char *id = oc_json_str(p, "id", "");
		if (id[0] == 0 || cJSON_GetObjectItemCaseSensitive(catalog, id) != NULL)
			continue;
		cJSON *entry = cJSON_Duplicate(p, true);
		if (entry == NULL || !cJSON_AddItemToObject(catalog, id, entry)) {
			cJSON_Delete(entry);
			continue;
		}
		cJSON *m;
		cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(entry, "models"))(void)
			oc_json_set_str(m, "source", "module");
	}
	cJSON_Delete(known);
}

static void add_configured(const oc_config *config, cJSON *catalog)
{
	const cJSON *p;
	cJSON_ArrayForEach(p, oc_config_get(config, "models.providers"))
	{
		if (!cJSON_IsObject(p) || !oc_config_usable(config, "models.providers"))
			continue;
		cJSON *entry = cJSON_GetObjectItemCaseSensitive(catalog, p->string);
		if (entry == NULL)
			entry = cJSON_AddObjectToObject(catalog, p->string);
		if (entry == NULL)
			continue;
		static const char *const members[] = {"api", "headers", "auth", "authHeader", "timeoutSeconds"};
		for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
			const cJSON *value = oc_json_get(p, members[i]);
			if (value != NULL)
				(void)oc_json_set(entry, members[i], cJSON_Duplicate(value, true));
		}
		const char *url = oc_json_str(p, "baseUrl", NULL);
		if (url != NULL && strcmp(url, oc_json_str(entry, "baseUrl", "")) != 0) {
			(void)oc_json_set_str(entry, "baseUrl", url);
			/* Another server: whether it wants a key is for the operator to know. */
			(void)oc_json_set_bool(entry, "ownServer", true);
		}
		if (oc_json_str(p, "apiKey", "")[0] != 0)
			(void)oc_json_set_bool(entry, "hasKey", true);
		(void)oc_json_set_bool(entry, "configured", true);
		merge_models(entry, oc_json_get(p, "models"), "config");
	}
}

const cJSON *oc_model_catalog(oc_agent *agent, const oc_config *config)
{
	uint64_t generation = oc_modules_generation(agent->modules);
	if (agent->catalog != NULL && agent->catalog_config == config && agent->catalog_generation == generation)
		return agent->catalog;
	unsigned long refused = oc_mem_refused();
	cJSON *catalog = cJSON_CreateObject();
	if (strcmp(oc_config_str(config, "models.mode", "merge"), "replace") != 0)
		add_known(agent, catalog);
	add_configured(config, catalog);
	if (catalog == NULL || refused != oc_mem_refused()) {
		/* Half a catalog would be wrong until the next change of settings; none is wrong once. */
		cJSON_Delete(catalog);
		return NULL;
	}
	cJSON_Delete(agent->catalog);
	agent->catalog = catalog;
	agent->catalog_config = config;
	agent->catalog_generation = generation;
	return catalog;
}

static const cJSON *model_of(const cJSON *provider, const char *id)
{
	const cJSON *m;
	cJSON_ArrayForEach(m, oc_json_get(provider, "models")) if (strcmp(oc_json_str(m, "id", ""), id) == 0) return m;
	cJSON_ArrayForEach(m, oc_json_get(provider, "embeddings")) if (strcmp(oc_json_str(m, "id", ""), id) == 0) return m;
	return NULL;
}

/* ---- Keys ---- */

/* The first variable of the manifest's "env" (a name or several) that is set. */
static const char *key_in_env(const oc_config *config, const cJSON *provider)
{
	const cJSON *env = oc_json_get(provider, "env");
	if (cJSON_IsString(env))
		return oc_config_env(config, env->valuestring);
	const cJSON *one;
	cJSON_ArrayForEach(one, env)
	{
		const char *value = cJSON_IsString(one) ? oc_config_env(config, one->valuestring) : NULL;
		if (value != NULL)
			return value;
	}
	return NULL;
}

bool oc_model_has_key(const oc_config *config, const cJSON *provider)
{
	return oc_json_bool(provider, "hasKey", false) || key_in_env(config, provider) != NULL;
}

static bool needs_key(const cJSON *provider)
{
	return oc_json_get(provider, "env") != NULL && !oc_json_bool(provider, "ownServer", false);
}

/* ---- Finding ---- */

static void fill_model(oc_model *m, const cJSON *entry)
{
	const cJSON *cost = oc_json_get(entry, "cost");
	m->name = oc_json_str(entry, "name", m->id);
	m->context_window = oc_json_i64(entry, "contextWindow", CONTEXT_WINDOW_DEFAULT);
	if (m->context_window < 1000)
		m->context_window = CONTEXT_WINDOW_DEFAULT;
	m->max_tokens = oc_json_i64(entry, "maxTokens", 0);
	m->reasoning = oc_json_bool(entry, "reasoning", false);
	m->cost_input = oc_json_num(cost, "input", 0);
	m->cost_output = oc_json_num(cost, "output", 0);
	m->cost_cache_read = oc_json_num(cost, "cacheRead", 0);
	m->cost_cache_write = oc_json_num(cost, "cacheWrite", 0);
	const cJSON *input = oc_json_get(entry, "input"), *kind;
	cJSON_ArrayForEach(kind, input) if (cJSON_IsString(kind) && strcmp(kind->valuestring, "image") == 0) m->images = true;
}

/* Headers of the provider, and those of the model over them. */
static const char *headers_of(oc_arena *arena, const cJSON *provider, const cJSON *entry)
{
	oc_auto_json cJSON *headers = cJSON_CreateObject();
	const cJSON *sources[] = {oc_json_get(provider, "headers"), oc_json_get(entry, "headers")}, *h;
	for (int i = 0; i < 2; i++)
		cJSON_ArrayForEach(h, sources[i]) if (cJSON_IsString(h))(void)
			oc_json_set_str(headers, h->string, h->valuestring);
	oc_auto_free char *text = oc_json_print(headers);
	return text != NULL ? oc_arena_strdup(arena, text) : NULL;
}

static uint64_t idle_of(const cJSON *provider)
{
	int64_t seconds = oc_json_i64(provider, "timeoutSeconds", 0);
	return seconds <= 0 ? 0 : (uint64_t)(seconds < IDLE_SECONDS_MAX ? seconds : IDLE_SECONDS_MAX) * 1000;
}

oc_status oc_model_find(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *ref, oc_model *ret, oc_err *err)
{
	const char *slash = strchr(ref, '/');
	char provider_id[65] = "";
	if (slash != NULL && slash > ref && (size_t)(slash - ref) < sizeof provider_id && slash[1] != 0)
		memcpy(provider_id, ref, (size_t)(slash - ref));
	unsigned long refused = oc_mem_refused();
	const cJSON *catalog = oc_model_catalog(agent, config), *provider = oc_json_get(catalog, provider_id);
	if (provider_id[0] == 0)
		return oc_fail(err, OC_E_INVALID, "write it as provider/model, for example anthropic/claude-sonnet-4-5",
			       "'%s' names no model", ref);
	if (catalog == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot look up the model %s", ref);
	if (provider == NULL)
		return oc_fail(err, OC_E_NOT_FOUND,
			       "set models.providers.<name> in the configuration or enable the provider's module",
			       "no provider '%s' is known (model %s)", provider_id, ref);
	const cJSON *entry = model_of(provider, slash + 1);
	oc_model m = {
		.ref = oc_arena_strdup(arena, ref),
		.provider = oc_arena_strdup(arena, provider_id),
		.id = oc_arena_strdup(arena, slash + 1),
		.api = oc_arena_strdup(arena, oc_json_str(entry, "api", oc_json_str(provider, "api", ""))),
		.base_url = oc_arena_strdup(arena, oc_json_str(provider, "baseUrl", "")),
		.headers_json = headers_of(arena, provider, entry),
		.tell_trace = oc_config_bool(config, "diagnostics.traceProviders", false),
		.idle_ms = idle_of(provider),
		.secret = oc_model_has_key(config, provider) || needs_key(provider)
				  ? oc_arena_printf(arena, "models.providers.%s.apiKey", provider_id)
				  : "",
		.params_json = "",
	};
	fill_model(&m, entry);
	m.name = m.name != NULL ? oc_arena_strdup(arena, m.name) : NULL;
	const cJSON *mine = oc_json_get(oc_json_get(oc_config_get(config, "agents.defaults.models"), ref), "params");
	if (cJSON_IsObject(mine)) {
		oc_auto_free char *text = oc_json_print(mine);
		m.params_json = text != NULL ? oc_arena_strdup(arena, text) : NULL;
	}
	if (m.ref == NULL || m.provider == NULL || m.id == NULL || m.api == NULL || m.base_url == NULL ||
	    m.headers_json == NULL || m.secret == NULL || m.name == NULL || m.params_json == NULL || refused != oc_mem_refused())
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot look up the model");
	char main_id[65];
	(void)oc_keyring_choose(agent, arena, oc_agent_default_id(config, main_id), "", NULL, &m);
	*ret = m;
	return OC_OK;
}

const char *oc_model_ref(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *text)
{
	oc_str wanted = oc_str_trim(oc_str_of(text));
	const cJSON *alias;
	cJSON_ArrayForEach(alias, oc_config_get(config, "agents.defaults.models"))
	{
		if (wanted.n > 0 && oc_str_ieq(oc_json_ostr(alias, "alias"), wanted))
			return oc_arena_strdup(arena, alias->string);
	}
	const cJSON *catalog = oc_model_catalog(agent, config), *provider, *m;
	const char *slash = memchr(wanted.p, '/', wanted.n);
	cJSON_ArrayForEach(provider, catalog)
	{
		if (slash != NULL && oc_str_eqz((oc_str){wanted.p, (size_t)(slash - wanted.p)}, provider->string))
			return oc_arena_memdup(arena, wanted.p, wanted.n);
	}
	/* A model's own name may have slashes too. */
	cJSON_ArrayForEach(provider, catalog)
	{
		cJSON_ArrayForEach(m, oc_json_get(provider, "models"))
		{
			if (wanted.n > 0 && oc_str_ieq(oc_json_ostr(m, "id"), wanted))
				return oc_arena_printf(arena, "%s/%s", provider->string, oc_json_str(m, "id", ""));
		}
	}
	return slash != NULL ? oc_arena_memdup(arena, wanted.p, wanted.n) : NULL;
}

/* ---- Choosing ---- */

/*
 * Nothing is configured: the first provider whose key is in the environment; else one that needs neither key nor server,
 * so that a new installation answers at all.
 */
static const char *automatic(oc_agent *agent, const oc_config *config, oc_arena *arena)
{
	const cJSON *provider, *catalog = oc_model_catalog(agent, config);
	for (int pass = 0; pass < 3; pass++)
		cJSON_ArrayForEach(provider, catalog)
		{
			const cJSON *first = cJSON_GetArrayItem(oc_json_get(provider, "models"), 0);
			bool fits = pass == 0	? oc_model_has_key(config, provider) || oc_keyring_has(agent, provider->string)
				    : pass == 1 ? oc_json_bool(provider, "configured", false) && !needs_key(provider)
						: !needs_key(provider) && oc_json_str(provider, "baseUrl", "")[0] == 0;
			if (first != NULL && fits)
				return oc_arena_printf(arena, "%s/%s", provider->string, oc_json_str(first, "id", ""));
		}
	return NULL;
}

typedef struct list {
	const char **refs;
	size_t n, cap;
} list;

static void add(list *l, const char *ref)
{
	for (size_t i = 0; i < l->n; i++)
		if (ref != NULL && strcmp(l->refs[i], ref) == 0)
			return;
	if (ref != NULL && l->n < l->cap)
		l->refs[l->n++] = ref;
}

oc_status oc_model_candidates(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *agent_id,
			      const char *override, bool strict, const char ***ret, size_t *ret_n, oc_err *err)
{
	const cJSON *entry = oc_agent_entry(config, agent_id);
	const cJSON *sources[] = {oc_json_get(entry, "model"), oc_config_get(config, "agents.defaults.model")};
	/* agents.list[].model replaces the defaults' primary; its fallbacks, when given, replace the defaults' too. */
	const char *primary = NULL;
	const cJSON *fallbacks = NULL, *f;
	for (int i = 0; i < 2; i++) {
		if (primary == NULL)
			primary = cJSON_IsString(sources[i]) ? sources[i]->valuestring
							     : oc_json_str(sources[i], "primary", NULL);
		if (fallbacks == NULL)
			fallbacks = oc_json_get(sources[i], "fallbacks");
	}
	list l = {.cap = (size_t)cJSON_GetArraySize(fallbacks) + 2};
	l.refs = oc_arena_alloc(arena, l.cap * sizeof *l.refs);
	if (l.refs == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot choose a model");
	const char *first = NULL;
	if (primary != NULL && primary[0] != 0) {
		first = oc_model_ref(agent, config, arena, primary);
		first = first != NULL ? first : oc_arena_strdup(arena, primary);
	}
	if (override != NULL && override[0] != 0) {
		const char *ref = oc_model_ref(agent, config, arena, override), *slash = first != NULL ? strchr(first, '/') : NULL;
		/* A hook's choice is not checked: the usual provider may know it. */
		if (ref == NULL && !strict && slash != NULL)
			ref = oc_arena_printf(arena, "%.*s/%s", (int)(slash - first), first, override);
		if (ref == NULL)
			return oc_fail(err, OC_E_NOT_FOUND, "write it as provider/model, or see `openclaw models`",
				       "no model '%s' is known", override);
		add(&l, ref);
	}
	if (strict && l.n > 0 && (first == NULL || strcmp(l.refs[0], first) != 0)) {
		*ret = l.refs;
		*ret_n = l.n;
		return OC_OK;
	}
	add(&l, first);
	cJSON_ArrayForEach(f, fallbacks) if (cJSON_IsString(f)) add(&l, oc_model_ref(agent, config, arena, f->valuestring));
	if (l.n == 0)
		add(&l, automatic(agent, config, arena));
	if (l.n == 0)
		return oc_fail(err, OC_E_NOT_FOUND,
			       "run `openclaw onboard`, or set agents.defaults.model.primary and the provider's key",
			       "no model is configured");
	*ret = l.refs;
	*ret_n = l.n;
	return OC_OK;
}

void oc_model_endpoint(const oc_model *model, oc_sbuf *out)
{
	oc_sbuf_z(out, "\"endpoint\":{\"provider\":");
	oc_sbuf_json(out, oc_str_of(model->provider));
	oc_sbuf_z(out, ",\"baseUrl\":");
	oc_sbuf_json(out, oc_str_of(model->base_url));
	/* Off by default: the header tells the provider which requests belong together. */
	const char *own = strchr(model->headers_json, '"'); /* NULL: an empty object */
	if (model->tell_trace && oc_trace_now()[0] != 0) {
		char header[OC_TRACEPARENT_MAX];
		oc_trace_header(oc_trace_now(), header);
		oc_sbuf_printf(out, ",\"headers\":{\"traceparent\":\"%s\"%s%s", header, own != NULL ? "," : "",
			       own != NULL ? own : "}");
	} else {
		oc_sbuf_printf(out, ",\"headers\":%s", model->headers_json);
	}
	if (model->idle_ms > 0)
		oc_sbuf_printf(out, ",\"idleMs\":%llu", (unsigned long long)model->idle_ms);
	if (model->secret[0] != 0) {
		oc_sbuf_z(out, ",\"secret\":");
		oc_sbuf_json(out, oc_str_of(model->secret));
	}
	oc_sbuf_char(out, '}');
}

oc_guest *oc_model_guest(oc_agent *agent, const oc_model *model)
{
	return oc_modules_provider(agent->modules, oc_str_of(model->api));
}

oc_status oc_model_usable(oc_agent *agent, const oc_config *config, const oc_model *model, oc_err *err)
{
	const cJSON *provider = oc_json_get(oc_model_catalog(agent, config), model->provider);
	oc_guest *guest = oc_model_guest(agent, model);
	if (guest == NULL || !oc_guest_running(guest))
		return oc_fail(err, OC_E_UNAVAILABLE, "see `openclaw module list`",
			       "no running module speaks '%s', which %s needs", model->api, model->ref);
	if (model->profile == NULL && needs_key(provider) && !oc_model_has_key(config, provider)) {
		const cJSON *env = oc_json_get(provider, "env");
		const char *name = cJSON_IsString(env) ? env->valuestring : "";
		const cJSON *first = cJSON_IsArray(env) ? cJSON_GetArrayItem(env, 0) : NULL;
		char remedy[200];
		snprintf(remedy, sizeof remedy, "run `openclaw onboard`, or set %s or models.providers.%s.apiKey",
			 cJSON_IsString(first) ? first->valuestring : name, model->provider);
		return oc_fail(err, OC_E_AUTH, remedy, "the provider %s has no API key", model->provider);
	}
	return OC_OK;
}

void oc_models_free(oc_agent *agent)
{
	oc_model_rests_free(agent);
	cJSON_Delete(agent->catalog);
	agent->catalog = NULL;
}

/* ---- Lists for people ---- */

static bool add_model(oc_agent *agent, cJSON *out, const cJSON *provider, const cJSON *m)
{
	cJSON *o = cJSON_CreateObject();
	if (o == NULL || !cJSON_AddItemToArray(out, o)) {
		cJSON_Delete(o);
		return false;
	}
	oc_auto_free char *ref = oc_asprintf("%s/%s", provider->string, oc_json_str(m, "id", ""));
	bool ok = ref != NULL && oc_json_set_str(o, "id", ref) && oc_json_set_str(o, "provider", provider->string) &&
		  oc_json_set_str(o, "name", oc_json_str(m, "name", oc_json_str(m, "id", ""))) &&
		  oc_json_set_bool(o, "configured", oc_model_has_key(agent->config, provider) || !needs_key(provider) ||
							     oc_keyring_has(agent, provider->string)) &&
		  oc_json_set_str(o, "source", oc_json_str(m, "source", "config"));
	static const char *const members[] = {"contextWindow", "maxTokens", "input", "cost", "reasoning"};
	for (size_t i = 0; ok && i < sizeof members / sizeof *members; i++) {
		const cJSON *value = oc_json_get(m, members[i]);
		ok = value == NULL || oc_json_set(o, members[i], cJSON_Duplicate(value, true));
	}
	return ok;
}

oc_status oc_agent_models(oc_agent *agent, cJSON **ret_array, oc_err *err)
{
	cJSON *out = cJSON_CreateArray();
	bool ok = out != NULL;
	const cJSON *provider, *m;
	cJSON_ArrayForEach(provider, oc_model_catalog(agent, agent->config))
	{
		cJSON_ArrayForEach(m, oc_json_get(provider, "models")) ok = ok && add_model(agent, out, provider, m);
	}
	if (!ok) {
		cJSON_Delete(out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot list the models");
	}
	*ret_array = out;
	return OC_OK;
}

oc_status oc_agent_model_status(oc_agent *agent, oc_str agent_id, cJSON **ret_object, oc_err *err)
{
	char id[65];
	if (agent_id.n > 0)
		oc_agent_id_normalize(agent_id, id);
	else
		(void)oc_agent_default_id(agent->config, id);
	oc_arena *arena = oc_arena_new(1 << 20);
	cJSON *out = cJSON_CreateObject(), *fallbacks = cJSON_CreateArray();
	if (arena == NULL || out == NULL || !oc_json_set(out, "fallbacks", fallbacks)) {
		oc_arena_free(arena);
		cJSON_Delete(out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot look at the models");
	}
	const char **refs = NULL;
	size_t n = 0;
	oc_err why = {0};
	oc_model m;
	oc_status status = oc_model_candidates(agent, agent->config, arena, id, "", false, &refs, &n, &why);
	if (status == OC_OK) {
		(void)oc_json_set_str(out, "model", refs[0]);
		for (size_t i = 1; i < n; i++)
			cJSON_AddItemToArray(fallbacks, cJSON_CreateString(refs[i]));
		status = oc_model_find(agent, agent->config, arena, refs[0], &m, &why);
	}
	if (status == OC_OK)
		status = oc_model_usable(agent, agent->config, &m, &why);
	(void)oc_json_set_bool(out, "usable", status == OC_OK);
	if (status != OC_OK) {
		oc_json_opt(out, "reason", why.text);
		oc_json_opt(out, "remedy", why.remedy);
	}
	oc_arena_free(arena);
	*ret_object = out;
	return OC_OK;
}
