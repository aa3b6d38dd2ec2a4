#include "core/agent/embed.h"

#include <stdlib.h>
#include <string.h>

#include <openclaw/json.h>

#include "core/agent/model.h"

struct oc_embed {
	oc_agent *agent;
	oc_ticket *ticket;
	oc_call *call;
	char *ref;
	double price; /* USD per million tokens */
	size_t n;
	int64_t dimensions; /* asked for; 0: any */
	void (*done)(void *arg, oc_status status, const oc_embeddings *result, const oc_err *err);
	void *arg;
};

/* ---- Which model ---- */

static const char *first_of(oc_arena *arena, const cJSON *provider)
{
	const char *id = oc_json_str(cJSON_GetArrayItem(oc_json_get(provider, "embeddings"), 0), "id", "");
	return id[0] != 0 ? oc_arena_printf(arena, "%s/%s", provider->string, id) : NULL;
}

static bool usable(oc_agent *agent, const oc_config *config, const char *ref, oc_model *ret, oc_arena *arena, oc_err *err)
{
	return oc_model_find(agent, config, arena, ref, ret, err) == OC_OK && oc_model_usable(agent, config, ret, err) == OC_OK;
}

static const char *automatic(oc_agent *agent, const oc_config *config, oc_arena *arena)
{
	const cJSON *provider, *catalog = oc_model_catalog(agent, config);
	const char *plain = NULL;
	cJSON_ArrayForEach(provider, catalog)
	{
		oc_err why = {0};
		oc_model m;
		const char *ref = first_of(arena, provider);
		if (ref == NULL || !usable(agent, config, ref, &m, arena, &why))
			continue;
		/* Without an address it is the offline one, which knows words and no meanings. */
		if (m.base_url[0] != 0)
			return ref;
		plain = plain == NULL ? ref : plain;
	}
	return plain;
}

const char *oc_embed_model(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *wanted)
{
	const cJSON *provider, *m, *catalog = oc_model_catalog(agent, config);
	if (wanted == NULL || wanted[0] == 0)
		return automatic(agent, config, arena);
	const char *slash = strchr(wanted, '/');
	cJSON_ArrayForEach(provider, catalog)
	{
		if (strcmp(provider->string, wanted) == 0)
			return first_of(arena, provider);
		if (slash != NULL && oc_str_eqz((oc_str){wanted, (size_t)(slash - wanted)}, provider->string))
			return oc_arena_strdup(arena, wanted);
	}
	cJSON_ArrayForEach(provider, catalog)
	{
		cJSON_ArrayForEach(m, oc_json_get(provider, "embeddings"))
		{
			if (strcmp(oc_json_str(m, "id", ""), wanted) == 0)
				return oc_arena_printf(arena, "%s/%s", provider->string, wanted);
		}
	}
	return NULL;
}

/* ---- The answer ---- */

static void free_embed(oc_embed *e)
{
	oc_owner_forget(e->ticket);
	oc_free(e->ref);
	oc_free(e);
}

static void tell(oc_embed *e, oc_status status, const oc_embeddings *result, const oc_err *err)
{
	void (*done)(void *, oc_status, const oc_embeddings *, const oc_err *) = e->done;
	void *arg = e->arg;
	if (status != OC_OK) {
		free_embed(e);
		done(arg, status, NULL, err);
		return;
	}
	oc_auto_free char *ref = e->ref; /* result has it */
	(void)ref;
	e->ref = NULL;
	free_embed(e);
	done(arg, status, result, NULL);
}

/* Not through a tree: an answer may hold millions of numbers. */
static bool read_row(oc_str row, float *out, size_t n)
{
	oc_str value;
	size_t at = 0, i = 0;
	while (ocj_next(row, &at, NULL, &value)) {
		char *end;
		float x = strtof(value.p, &end);
		if (i == n || end != value.p + value.n || !(x > -1e30f && x < 1e30f))
			return false;
		out[i++] = x;
	}
	return i == n;
}

static size_t count(oc_str array)
{
	oc_str value;
	size_t at = 0, n = 0;
	while (ocj_next(array, &at, NULL, &value))
		n++;
	return n;
}

static oc_status read_answer(oc_embed *e, oc_str result, float **ret_values, oc_embeddings *ret, oc_err *err)
{
	oc_str list, row, usage, tokens;
	size_t at = 0, rows = 0, dimensions = 0;
	float *values = NULL;
	bool ok = ocj_get(result, "embeddings", &list) && count(list) == e->n;
	while (ok && ocj_next(list, &at, NULL, &row)) {
		if (values == NULL) {
			dimensions = count(row);
			values = oc_calloc(e->n * dimensions, sizeof *values);
			if (values == NULL && dimensions > 0)
				return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the vectors");
		}
		ok = dimensions > 0 && read_row(row, values + rows * dimensions, dimensions);
		rows++;
	}
	if (ok && e->dimensions > 0 && dimensions != (size_t)e->dimensions) {
		oc_free(values);
		return oc_fail(err, OC_E_UNSUPPORTED, "ask for the model's own length, or another model",
			       "%s gives vectors of %zu numbers, not of %lld", e->ref, dimensions, (long long)e->dimensions);
	}
	if (!ok) {
		oc_free(values);
		return oc_fail(err, OC_E_PROTOCOL, "try another embedding model",
			       "%s answered with something other than %zu vectors of one length", e->ref, e->n);
	}
	*ret = (oc_embeddings){.model = e->ref, .values = values, .n = e->n, .dimensions = dimensions};
	if (ocj_get(result, "usage", &usage) && ocj_get(usage, "input", &tokens))
		(void)ocj_int(tokens, &ret->tokens);
	ret->cost = (double)ret->tokens * e->price / 1e6;
	*ret_values = values;
	return OC_OK;
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_embed *e = arg;
	oc_agent *agent = e->agent;
	oc_err err = {0};
	oc_embeddings out = {0};
	oc_auto_free float *values = NULL;
	if (status != OC_OK)
		oc_call_error(status, result, &err, NULL);
	else
		status = read_answer(e, result, &values, &out, &err);
	if (status == OC_OK) {
		agent->stats.input_tokens += (uint64_t)(out.tokens > 0 ? out.tokens : 0);
		agent->stats.cost += out.cost;
	}
	tell(e, status, &out, &err);
}

/* ---- The request ---- */

static void end_embed(void *arg)
{
	oc_embed *e = arg;
	e->ticket = NULL;
	oc_call_abandon(e->call);
	free_embed(e);
}

void oc_embed_cancel(oc_embed *embed)
{
	if (embed == NULL)
		return;
	oc_owner_forget(embed->ticket);
	end_embed(embed);
}

static void write_request(const oc_model *m, const oc_embed_input *in, oc_sbuf *b)
{
	oc_sbuf_char(b, '{');
	oc_model_endpoint(m, b);
	oc_sbuf_z(b, ",\"model\":");
	oc_sbuf_json(b, oc_str_of(m->id));
	if (in->dimensions > 0)
		oc_sbuf_printf(b, ",\"dimensions\":%lld", (long long)in->dimensions);
	oc_sbuf_z(b, ",\"input\":[");
	for (size_t i = 0; i < in->n; i++) {
		if (i > 0)
			oc_sbuf_char(b, ',');
		oc_sbuf_json(b, in->texts[i]);
	}
	oc_sbuf_z(b, "]}");
}

static oc_status choose(oc_agent *agent, const oc_embed_input *in, oc_arena *arena, oc_model *ret, oc_err *err)
{
	const char *ref = oc_embed_model(agent, agent->config, arena, in->model);
	if (ref == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "write it as provider/model, or set the key of a provider that makes vectors",
			       "no embedding model '%s' is known", in->model != NULL ? in->model : "");
	oc_status status = oc_model_find(agent, agent->config, arena, ref, ret, err);
	if (status == OC_OK)
		status = oc_model_usable(agent, agent->config, ret, err);
	if (status == OC_OK && !oc_guest_has(oc_model_guest(agent, ret), "embed"))
		return oc_fail(err, OC_E_UNSUPPORTED, "choose a model of another provider", "%s makes no vectors", ret->provider);
	return status;
}

oc_status oc_embed_start(oc_agent *agent, const oc_embed_input *in, oc_embed **ret, oc_err *err)
{
	size_t bytes = 0;
	for (size_t i = 0; i < in->n && bytes <= OC_EMBED_BYTES_MAX; i++)
		bytes += in->texts[i].n;
	if (in->n == 0 || in->n > OC_EMBED_TEXTS_MAX || bytes > OC_EMBED_BYTES_MAX)
		return oc_fail(err, OC_E_LIMIT, "send them in several requests", "one request takes 1 to %d texts of %d MiB in all",
			       OC_EMBED_TEXTS_MAX, OC_EMBED_BYTES_MAX >> 20);
	oc_arena *arena = oc_arena_new(1 << 20);
	oc_embed *e = oc_alloc(sizeof *e);
	oc_model m = {0};
	oc_status status = arena == NULL || e == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "cannot ask for vectors")
						      : choose(agent, in, arena, &m, err);
	if (status == OC_OK) {
		oc_sbuf request;
		*e = (oc_embed){.agent = agent, .ref = oc_strdup(m.ref), .price = m.cost_input, .n = in->n,
				.dimensions = in->dimensions, .done = in->done, .arg = in->arg};
		e->ticket = oc_owner_track(in->owner != NULL ? in->owner : agent->owner, end_embed, e);
		oc_sbuf_init(&request, 6 * OC_EMBED_BYTES_MAX + (1 << 20));
		write_request(&m, in, &request);
		oc_call_options options = {.deadline_ms = in->timeout_ms, .on_done = on_done, .arg = e};
		status = request.error != OC_OK || e->ref == NULL || e->ticket == NULL
				 ? oc_fail(err, OC_E_NOMEM, NULL, "cannot ask for vectors")
				 : oc_provider_embed(oc_model_guest(agent, &m), oc_sbuf_view(&request), &options, &e->call);
		if (status != OC_OK && err != NULL && err->text[0] == 0)
			(void)oc_fail(err, status, NULL, "%s could not be asked for vectors", m.ref);
		oc_sbuf_free(&request);
	}
	oc_arena_free(arena);
	if (status != OC_OK) {
		if (e != NULL)
			free_embed(e);
		return status;
	}
	if (ret != NULL)
		*ret = e;
	return OC_OK;
}
