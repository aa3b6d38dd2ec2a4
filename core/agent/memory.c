#include "core/agent/memory.h"

#include <string.h>

#include "core/agent/embed.h"
#include "core/agent/internal.h"
#include "core/agent/memory_files.h"
#include "core/agent/memory_index.h"
#include "core/agent/memory_slot.h"
#include "core/agent/model.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/data/utf8.h"

#define ARENA_MAX ((size_t)64 << 20)
#define BATCH_TEXTS 256
#define BATCH_BYTES ((size_t)1 << 20)
#define SEARCH_BATCHES 4   /* a search does not make everybody wait for a first index of thousands of pieces */
#define INDEX_BATCHES 4096
#define SNIPPET_MAX 700
#define QUERY_MAX 8192

enum kind { SEARCH = OC_MEMORY_SEARCH, GET = OC_MEMORY_GET, UPDATE = OC_MEMORY_UPDATE, STATUS = OC_MEMORY_STATUS };

typedef struct oc_memory_request {
	struct oc_memory_request *next;
	oc_agent *agent; /* NULL: it is gone */
	enum kind kind;
	oc_arena *arena; /* the request is in it */
	oc_memory_index *index;
	oc_memory_scope scope;
	const char *agent_id, *index_path;
	oc_memory_query query;
	bool citations, in_work;
	const char *path;
	int64_t from, lines;
	const char *model;	 /* "" none */
	const char *fallback_from, *fallback_why;
	const char *by;		 /* the module that answered; NULL: the built-in memory */
	cJSON *told;		 /* what it said of its index */
	/* progress */
	oc_memory_counts counts;
	oc_memory_missing missing;
	oc_arena *batch_arena;
	float *values; /* of the batch */
	size_t dimensions;
	float *query_vector;
	unsigned batches;
	oc_embed *embed;
	oc_memory_hit *hits;
	size_t n_hits;
	char *text;
	oc_status status;
	oc_err err;
	oc_memory_done done;
	void *arg;
} request;

/* One index for each agent, for as long as the process lives. */
typedef struct memory {
	oc_map_node node;
	oc_memory_index *index;
	char agent_id[];
} memory;

static void free_request(request *r)
{
	if (r->agent != NULL) {
		for (request **at = &r->agent->memory_requests; *at != NULL; at = &(*at)->next)
			if (*at == r) {
				*at = r->next;
				r->agent->n_memory_requests--;
				break;
			}
		oc_embed_cancel(r->embed);
	}
	oc_memory_index_unref(r->index);
	oc_free(r->values);
	oc_free(r->query_vector);
	oc_free(r->text);
	cJSON_Delete(r->told);
	oc_arena_free(r->batch_arena);
	oc_arena_free(r->arena);
}

/* ---- Results ---- */

static void add_model(const request *r, cJSON *o)
{
	if (r->by != NULL) {
		(void)oc_json_set_str(o, "provider", r->by);
		(void)oc_json_set_str(o, "mode", "module");
		return;
	}
	const char *slash = strchr(r->model, '/');
	oc_auto_free char *provider = slash != NULL ? oc_memdup(r->model, (size_t)(slash - r->model)) : NULL;
	(void)oc_json_set_str(o, "provider", provider != NULL ? provider : "none");
	oc_json_opt(o, "model", slash != NULL ? slash + 1 : NULL);
	(void)oc_json_set_str(o, "mode", r->model[0] != 0 ? "hybrid" : "words");
	if (r->fallback_why != NULL) {
		cJSON *f = cJSON_AddObjectToObject(o, "fallback");
		oc_json_opt(f, "from", r->fallback_from);
		oc_json_opt(f, "reason", r->fallback_why);
	}
}

static bool add_hit(const request *r, cJSON *list, const oc_memory_hit *hit)
{
	cJSON *o = cJSON_CreateObject();
	if (o == NULL || !cJSON_AddItemToArray(list, o)) {
		cJSON_Delete(o);
		return false;
	}
	oc_auto_free char *citation =
		hit->first_line == hit->last_line
			? oc_asprintf("%s#L%lld", hit->path, (long long)hit->first_line)
			: oc_asprintf("%s#L%lld-L%lld", hit->path, (long long)hit->first_line, (long long)hit->last_line);
	oc_str text = oc_str_trim(oc_str_of(hit->text));
	size_t n = oc_utf8_cut(text, SNIPPET_MAX);
	oc_auto_free char *snippet = citation == NULL ? NULL
				     : r->citations   ? oc_asprintf("%.*s%s\n\nSource: %s", (int)n, text.p, n < text.n ? "…" : "", citation)
						      : oc_asprintf("%.*s%s", (int)n, text.p, n < text.n ? "…" : "");
	return snippet != NULL && oc_json_set_str(o, "path", hit->path) && oc_json_set_i64(o, "startLine", hit->first_line) &&
	       oc_json_set_i64(o, "endLine", hit->last_line) &&
	       oc_json_set(o, "score", cJSON_CreateNumber((double)(int64_t)(hit->score * 1e4 + 0.5) / 1e4)) &&
	       oc_json_set_str(o, "snippet", snippet) && oc_json_set_str(o, "source", "memory") &&
	       (!r->citations || oc_json_set_str(o, "citation", citation));
}

static cJSON *result_of(const request *r)
{
	cJSON *o = cJSON_CreateObject();
	if (r->kind == GET) {
		(void)oc_json_set_str(o, "text", r->text != NULL ? r->text : "");
		(void)oc_json_set_str(o, "path", r->path);
		return o;
	}
	if (r->kind == SEARCH) {
		cJSON *list = cJSON_AddArrayToObject(o, "results");
		for (size_t i = 0; i < r->n_hits; i++)
			if (!add_hit(r, list, &r->hits[i])) {
				cJSON_Delete(o);
				return NULL;
			}
		add_model(r, o);
		return o;
	}
	if (r->by != NULL) {
		cJSON_Delete(o);
		o = cJSON_Duplicate(r->told, true);
	}
	oc_json_opt(o, "agent", r->agent_id);
	oc_json_opt(o, "workspace", r->scope.workspace);
	if (r->by != NULL) {
		add_model(r, o);
		return o;
	}
	oc_json_opt(o, "index", r->index_path);
	const struct {
		const char *name;
		int64_t value;
	} counts[] = {{"files", r->counts.files}, {"chunks", r->counts.chunks}, {"vectors", r->counts.vectors},
		      {"read", r->counts.read},	  {"removed", r->counts.removed}, {"tooBig", r->counts.too_big}};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		(void)oc_json_set_i64(o, counts[i].name, counts[i].value);
	add_model(r, o);
	return o;
}

static void finish(request *r)
{
	cJSON *result = r->status == OC_OK ? result_of(r) : NULL;
	if (r->status == OC_OK && result == NULL)
		r->status = oc_fail(&r->err, OC_E_NOMEM, NULL, "cannot show the memory");
	r->done(r->arg, r->status, result, &r->err);
	cJSON_Delete(result);
	free_request(r);
}

/* ---- Work on pool threads ---- */

static bool work(request *r, void (*fn)(void *arg), void (*then)(void *arg, oc_status status))
{
	oc_status status = oc_work(r->agent->owner, fn, then, r);
	r->in_work = status == OC_OK;
	if (status != OC_OK)
		r->status = oc_fail(&r->err, status, NULL, "the memory cannot be read now");
	return status == OC_OK;
}

/* Back on the loop: false when the agent went away meanwhile. */
static bool back(request *r, oc_status status)
{
	r->in_work = false;
	if (r->agent != NULL && status == OC_OK)
		return true;
	free_request(r);
	return false;
}

static void do_search(void *arg)
{
	request *r = arg;
	r->query.model = r->model;
	r->query.vector = r->query_vector;
	r->query.dimensions = r->query_vector != NULL ? r->dimensions : 0;
	r->status = oc_memory_index_search(r->index, &r->query, r->arena, &r->hits, &r->n_hits, &r->err);
}

static void did_last(void *arg, oc_status status)
{
	if (back(arg, status))
		finish(arg);
}

static void do_update(void *arg)
{
	request *r = arg;
	r->status = oc_memory_index_update(r->index, &r->scope, r->model, &r->counts, &r->err);
}

/* Vectors are made or given up: the last step. */
static void last_step(request *r)
{
	r->scope.force = false;
	if (r->kind == STATUS || !work(r, r->kind == SEARCH ? do_search : do_update, did_last))
		finish(r);
}

/* ---- Vectors ---- */

static void next_batch(request *r);

static void without_vectors(request *r, const char *why)
{
	if (r->fallback_why == NULL) { /* a module that failed is the greater news */
		r->fallback_from = r->model;
		r->fallback_why = oc_arena_strdup(r->arena, why);
	}
	r->model = "";
	oc_free(r->query_vector);
	r->query_vector = NULL;
	oc_info("agent", "the memory of %s is searched by words only: %s", r->agent_id, why);
	last_step(r);
}

static void do_put(void *arg)
{
	request *r = arg;
	r->status = oc_memory_index_put(r->index, r->model, r->missing.hashes, r->values, r->missing.n, r->dimensions, &r->err);
}

static void did_put(void *arg, oc_status status)
{
	request *r = arg;
	if (!back(r, status))
		return;
	if (r->status != OC_OK)
		finish(r);
	else if (++r->batches >= (r->kind == SEARCH ? SEARCH_BATCHES : INDEX_BATCHES))
		last_step(r);
	else
		next_batch(r);
}

static void embedded(void *arg, oc_status status, const oc_embeddings *v, const oc_err *err)
{
	request *r = arg;
	size_t n = r->missing.n;
	bool asks = r->kind == SEARCH && r->query_vector == NULL; /* the query is the last text */
	r->embed = NULL;
	if (status != OC_OK || v->n != n + asks || v->dimensions == 0) {
		without_vectors(r, status != OC_OK ? err->text : "the provider sent other vectors than it was asked for");
		return;
	}
	r->agent->stats.cost += v->cost;
	r->dimensions = v->dimensions;
	oc_free(r->values);
	r->values = oc_alloc((n + 1) * v->dimensions * sizeof *r->values);
	if (asks)
		r->query_vector = oc_alloc(v->dimensions * sizeof *r->query_vector);
	if (r->values == NULL || (asks && r->query_vector == NULL)) {
		r->status = oc_fail(&r->err, OC_E_NOMEM, NULL, "cannot keep the memory's vectors");
		finish(r);
		return;
	}
	memcpy(r->values, v->values, n * v->dimensions * sizeof *r->values);
	if (asks)
		memcpy(r->query_vector, v->values + n * v->dimensions, v->dimensions * sizeof *r->query_vector);
	if (n == 0)
		last_step(r);
	else if (!work(r, do_put, did_put))
		finish(r);
}

static void do_missing(void *arg)
{
	request *r = arg;
	r->status = oc_memory_index_missing(r->index, r->model, BATCH_TEXTS, BATCH_BYTES, r->batch_arena, &r->missing, &r->err);
}

static void did_missing(void *arg, oc_status status)
{
	request *r = arg;
	if (!back(r, status))
		return;
	bool asks = r->kind == SEARCH && r->query_vector == NULL;
	size_t n = r->missing.n + asks;
	if (r->status != OC_OK) {
		finish(r);
		return;
	}
	if (n == 0) {
		last_step(r);
		return;
	}
	oc_str *texts = oc_arena_alloc(r->batch_arena, n * sizeof *texts);
	oc_err err = {0};
	if (texts == NULL) {
		without_vectors(r, "there is not enough memory for vectors");
		return;
	}
	if (r->missing.n > 0)
		memcpy(texts, r->missing.texts, r->missing.n * sizeof *texts);
	if (asks)
		texts[r->missing.n] = oc_str_of(r->query.text);
	oc_embed_input input = {.model = r->model, .texts = texts, .n = n, .owner = r->agent->owner, .done = embedded, .arg = r};
	if (oc_embed_start(r->agent, &input, &r->embed, &err) != OC_OK)
		without_vectors(r, err.text);
}

static void next_batch(request *r)
{
	oc_arena_free(r->batch_arena);
	r->batch_arena = oc_arena_new(ARENA_MAX);
	if (r->batch_arena == NULL)
		without_vectors(r, "there is not enough memory for vectors");
	else if (!work(r, do_missing, did_missing))
		finish(r);
}

static void did_update(void *arg, oc_status status)
{
	request *r = arg;
	if (!back(r, status))
		return;
	if (r->status != OC_OK || r->kind == STATUS)
		finish(r);
	else if (r->model[0] != 0 && r->counts.chunks > 0)
		next_batch(r);
	else
		last_step(r);
}

static void do_get(void *arg)
{
	request *r = arg;
	r->status = oc_memory_read(&r->scope, r->path, r->from, r->lines, &r->text, &r->err);
	if (r->status == OC_E_NOT_FOUND)
		r->status = OC_OK; /* an empty text: nothing was written there yet */
}

/* ---- Beginning ---- */

static const cJSON *setting(oc_agent *agent, const char *agent_id, const char *path)
{
	oc_auto_free char *full = oc_asprintf("memorySearch.%s", path);
	return full != NULL ? oc_agent_setting(agent->config, agent_id, full) : NULL;
}

static double number(oc_agent *agent, const char *agent_id, const char *path, double low, double high, double fallback)
{
	const cJSON *v = setting(agent, agent_id, path);
	double d = cJSON_IsNumber(v) ? v->valuedouble : fallback;
	return d < low ? low : d > high ? high : d;
}

static oc_memory_index *index_of(oc_agent *agent, const char *agent_id, const char *path)
{
	oc_map_node *node = oc_map_find(&agent->memories, agent_id);
	if (node != NULL)
		return OC_MAP_OWNER(node, memory, node)->index;
	size_t n = strlen(agent_id) + 1;
	memory *m = oc_alloc(sizeof *m + n);
	if (m == NULL)
		return NULL;
	m->index = oc_memory_index_new(path);
	if (m->index == NULL) {
		oc_free(m);
		return NULL;
	}
	memcpy(m->agent_id, agent_id, n);
	oc_map_add(&agent->memories, &m->node, m->agent_id);
	return m->index;
}

/* What makes the vectors; "" when nobody does. A provider without an address knows words and no meanings: it is asked only
 * when it is named. */
static const char *model_of(request *r)
{
	oc_agent *agent = r->agent;
	const cJSON *provider = setting(agent, r->agent_id, "provider"), *model = setting(agent, r->agent_id, "model");
	const char *p = cJSON_IsString(provider) ? provider->valuestring : "", *m = cJSON_IsString(model) ? model->valuestring : "";
	if (strcmp(p, "none") == 0 || strcmp(p, "local") == 0)
		return "";
	if (strcmp(p, "auto") == 0)
		p = "";
	oc_auto_free char *both = p[0] != 0 && m[0] != 0 && strchr(m, '/') == NULL ? oc_asprintf("%s/%s", p, m) : NULL;
	const char *wanted = both != NULL ? both : m[0] != 0 ? m : p;
	const char *ref = oc_embed_model(agent, agent->config, r->arena, wanted);
	oc_model found;
	if (ref == NULL) {
		if (wanted[0] != 0) {
			r->fallback_from = r->fallback_from != NULL ? r->fallback_from : oc_arena_strdup(r->arena, wanted);
			r->fallback_why = r->fallback_why != NULL ? r->fallback_why : "no such provider makes vectors";
		}
		return "";
	}
	if (wanted[0] == 0 && (oc_model_find(agent, agent->config, r->arena, ref, &found, NULL) != OC_OK || found.base_url[0] == 0))
		return "";
	return ref;
}

static bool read_scope(request *r)
{
	oc_agent *agent = r->agent;
	oc_auto_free char *workspace = oc_agent_workspace(agent, agent->config, r->agent_id);
	const cJSON *extra = setting(agent, r->agent_id, "extraPaths"), *one;
	r->scope.workspace = workspace != NULL ? oc_arena_strdup(r->arena, workspace) : NULL;
	r->scope.extra = oc_arena_alloc(r->arena, ((size_t)cJSON_GetArraySize(extra) + 1) * sizeof(char *));
	if (r->scope.workspace == NULL || r->scope.extra == NULL)
		return false;
	cJSON_ArrayForEach(one, extra)
	{
		oc_auto_free char *path = cJSON_IsString(one) ? oc_path_expand(one->valuestring, workspace) : NULL;
		if (path != NULL && (r->scope.extra[r->scope.n_extra] = oc_arena_strdup(r->arena, path)) != NULL)
			r->scope.n_extra++;
	}
	r->scope.chunk_tokens = (size_t)number(agent, r->agent_id, "chunking.tokens", 32, 8000, 400);
	r->scope.chunk_overlap = (size_t)number(agent, r->agent_id, "chunking.overlap", 0, 4000, 80);
	return true;
}

static bool read_query(request *r, const oc_memory_input *in)
{
	oc_agent *agent = r->agent;
	const char *id = r->agent_id;
	r->query.text = oc_arena_memdup(r->arena, in->query.p != NULL ? in->query.p : "", in->query.n);
	double max = in->max_results > 0 ? (double)in->max_results : number(agent, id, "query.maxResults", 1, 50, 6);
	r->query.max_results = (size_t)(max > 50 ? 50 : max);
	r->query.min_score = in->min_score >= 0 ? in->min_score : number(agent, id, "query.minScore", 0, 1, 0.35);
	r->query.vector_weight = number(agent, id, "query.hybrid.vectorWeight", 0, 1, 0.7);
	r->query.text_weight = number(agent, id, "query.hybrid.textWeight", 0, 1, 0.3);
	double sum = r->query.vector_weight + r->query.text_weight;
	if (sum <= 0) {
		r->query.vector_weight = 0.7;
		r->query.text_weight = 0.3;
	} else {
		r->query.vector_weight /= sum;
		r->query.text_weight /= sum;
	}
	r->query.candidates = r->query.max_results * (size_t)number(agent, id, "query.hybrid.candidateMultiplier", 1, 20, 4);
	if (r->query.candidates > 200)
		r->query.candidates = 200;
	return r->query.text != NULL;
}

static request *new_request(oc_agent *agent, enum kind kind, const oc_memory_input *in)
{
	oc_arena *arena = oc_arena_new(ARENA_MAX);
	request *r = arena != NULL ? oc_arena_alloc(arena, sizeof *r) : NULL;
	char id[65];
	if (r == NULL) {
		oc_arena_free(arena);
		return NULL;
	}
	r->arena = arena;
	r->kind = kind;
	r->done = in->done;
	r->arg = in->arg;
	r->citations = in->citations;
	r->from = in->from;
	r->lines = in->lines;
	r->model = "";
	if (in->agent.n > 0)
		oc_agent_id_normalize(in->agent, id);
	else
		(void)oc_agent_default_id(agent->config, id);
	r->agent_id = oc_arena_strdup(arena, id);
	r->path = oc_arena_memdup(arena, in->path.p != NULL ? in->path.p : "", in->path.n);
	oc_auto_free char *name = oc_asprintf("cache/memory-%s.db", id);
	oc_auto_free char *path = name != NULL ? oc_path_join(agent->state_dir, name) : NULL;
	r->index_path = path != NULL ? oc_arena_strdup(arena, path) : NULL;
	oc_memory_index *index = r->agent_id != NULL && r->index_path != NULL ? index_of(agent, id, r->index_path) : NULL;
	r->agent = agent;
	r->next = agent->memory_requests;
	agent->memory_requests = r;
	agent->n_memory_requests++;
	if (index != NULL)
		r->index = oc_memory_index_ref(index);
	if (index == NULL || r->path == NULL || !read_scope(r) || !read_query(r, in)) {
		free_request(r);
		return NULL;
	}
	r->scope.force = in->force;
	return r;
}

static bool begin_own(request *r)
{
	if (r->kind != GET)
		r->model = model_of(r);
	return work(r, r->kind == GET ? do_get : do_update, r->kind == GET ? did_last : did_update);
}

static bool take_hits(request *r, const cJSON *results)
{
	const cJSON *hit;
	r->hits = oc_arena_alloc(r->arena, ((size_t)cJSON_GetArraySize(results) + 1) * sizeof *r->hits);
	cJSON_ArrayForEach(hit, results)
	{
		oc_memory_hit h = {.score = oc_json_num(hit, "score", 0), .first_line = oc_json_i64(hit, "startLine", 1)};
		if (r->hits == NULL || r->n_hits >= r->query.max_results || h.score < r->query.min_score)
			continue;
		h.last_line = oc_json_i64(hit, "endLine", h.first_line);
		h.path = oc_arena_strdup(r->arena, oc_json_str(hit, "path", ""));
		h.text = oc_arena_strdup(r->arena, oc_json_str(hit, "snippet", ""));
		if (h.path == NULL || h.text == NULL)
			return false;
		r->hits[r->n_hits++] = h;
	}
	return r->hits != NULL;
}

/* The memory module answered; when it cannot be used, the built-in memory does, and the answer says so. */
static void module_answered(void *arg, const char *by, const cJSON *answer, const oc_err *why)
{
	request *r = arg;
	bool kept = false;
	if (answer == NULL) {
		r->fallback_from = by;
		r->fallback_why = oc_arena_strdup(r->arena, why->text);
		if (!begin_own(r))
			finish(r);
		return;
	}
	r->by = by;
	if (r->kind == SEARCH)
		kept = take_hits(r, oc_json_get(answer, "results"));
	else if (r->kind == GET)
		kept = (r->text = oc_memory_lines(oc_json_ostr(answer, "text"), r->from, r->lines)) != NULL;
	else
		kept = (r->told = cJSON_Duplicate(answer, true)) != NULL;
	if (!kept)
		r->status = oc_fail(&r->err, OC_E_NOMEM, NULL, "cannot show the memory");
	finish(r);
}

static oc_status begin(oc_agent *agent, enum kind kind, const oc_memory_input *in, oc_err *err)
{
	if (kind == SEARCH && oc_str_trim(in->query).n == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "query required");
	if (kind == SEARCH && in->query.n > QUERY_MAX)
		return oc_fail(err, OC_E_LIMIT, "ask for less", "the query is longer than %d bytes", QUERY_MAX);
	if (agent->n_memory_requests >= OC_AGENT_MEMORY_REQUESTS_MAX) {
		oc_queue_refused(OC_QUEUE_memory_searches);
		return oc_fail(err, OC_E_BUSY, "try again in a moment", "too many searches of memory are under way");
	}
	char id[65], fallback[65];
	oc_agent_id_normalize(in->agent, id);
	if (in->agent.n > 0 && oc_agent_entry(agent->config, id) == NULL &&
	    strcmp(id, oc_agent_default_id(agent->config, fallback)) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "add it to agents.list", "there is no agent %s", id);
	request *r = new_request(agent, kind, in);
	if (r == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot look into the memory");
	oc_memory_slot_ask ask = {.agent_id = r->agent_id, .workspace = r->scope.workspace, .query = r->query.text, .path = r->path,
				  .max_results = (int64_t)r->query.max_results, .min_score = r->query.min_score,
				  .force = in->force};
	if (oc_memory_slot_begin(agent, (oc_memory_task)kind, &ask, r->arena, module_answered, r) || begin_own(r))
		return OC_OK;
	oc_status status = r->status;
	*err = r->err;
	free_request(r);
	return status;
}

oc_status oc_memory_search(oc_agent *agent, const oc_memory_input *input, oc_err *err)
{
	return begin(agent, SEARCH, input, err);
}

oc_status oc_memory_get(oc_agent *agent, const oc_memory_input *input, oc_err *err)
{
	return begin(agent, GET, input, err);
}

oc_status oc_memory_update(oc_agent *agent, const oc_memory_input *input, oc_err *err)
{
	return begin(agent, UPDATE, input, err);
}

oc_status oc_memory_status(oc_agent *agent, const oc_memory_input *input, oc_err *err)
{
	return begin(agent, STATUS, input, err);
}

/* ---- The end ---- */

static void drop_memory(void *arg, oc_map_node *node)
{
	(void)arg;
	memory *m = OC_MAP_OWNER(node, memory, node);
	oc_memory_index_unref(m->index);
	oc_free(m);
}

void oc_memory_free(oc_agent *agent)
{
	for (request *r = agent->memory_requests, *next; r != NULL; r = next) {
		next = r->next;
		oc_embed_cancel(r->embed);
		r->embed = NULL;
		r->agent = NULL;
		if (!r->in_work)
			free_request(r); /* else when its work is done */
	}
	agent->memory_requests = NULL;
	oc_map_each(&agent->memories, drop_memory, NULL);
	oc_map_free(&agent->memories);
}
