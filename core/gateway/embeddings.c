/*
 * POST /v1/embeddings: OpenAI's API for vectors, through a provider that makes them.
 *
 * The model is "provider/model" or a name by itself; "openclaw" (and agents' names) is the one that agents.defaults.memorySearch
 * names, else the first provider that has a key and makes vectors.
 */
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "core/agent/embed.h"
#include "core/base/mem.h"
#include "core/gateway/openai.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define DIMENSIONS_MAX 65536

struct asked {
	oc_gateway *gw;
	oc_http_req *req;
	oc_embed *embed;
	bool base64;
};

/* As OpenAI's clients read it: 32-bit numbers, the lowest byte first. */
static void add_base64(oc_sbuf *b, const float *row, size_t n)
{
	size_t size = sodium_base64_encoded_len(n * 4, sodium_base64_VARIANT_ORIGINAL);
	oc_auto_free unsigned char *bytes = oc_alloc(n * 4);
	char *out = bytes != NULL ? oc_sbuf_room(b, size + 2) : NULL;
	if (out == NULL) {
		b->error = b->error != OC_OK ? b->error : OC_E_NOMEM;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t v;
		memcpy(&v, &row[i], sizeof v);
		for (size_t k = 0; k < 4; k++)
			bytes[i * 4 + k] = (unsigned char)(v >> (8 * k));
	}
	out[0] = '"';
	(void)sodium_bin2base64(out + 1, size, bytes, n * 4, sodium_base64_VARIANT_ORIGINAL);
	out[size] = '"'; /* in place of the NUL */
	oc_sbuf_grew(b, size + 1);
}

static void add_row(oc_sbuf *b, const float *row, size_t n, bool base64)
{
	if (base64) {
		add_base64(b, row, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		oc_sbuf_printf(b, "%c%.9g", i == 0 ? '[' : ',', (double)row[i]);
	oc_sbuf_char(b, ']');
}

static void on_done(void *arg, oc_status status, const oc_embeddings *e, const oc_err *err)
{
	struct asked *a = arg;
	oc_http_on_close(a->req, NULL, NULL);
	oc_sbuf b;
	oc_sbuf_init(&b, ANSWER_MAX);
	if (status == OC_OK) {
		oc_sbuf_z(&b, "{\"object\":\"list\",\"data\":[");
		for (size_t i = 0; i < e->n; i++) {
			oc_sbuf_printf(&b, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i > 0 ? "," : "", i);
			add_row(&b, e->values + i * e->dimensions, e->dimensions, a->base64);
			oc_sbuf_char(&b, '}');
		}
		oc_sbuf_z(&b, "],\"model\":");
		oc_sbuf_json(&b, oc_str_of(e->model));
		oc_sbuf_printf(&b, ",\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}}", e->tokens, e->tokens);
	}
	oc_err large = {0};
	if (status == OC_OK && b.error != OC_OK) {
		(void)oc_fail(&large, OC_E_LIMIT, NULL, "the answer is too large: ask for fewer texts at once");
		err = &large;
	}
	if (status != OC_OK || b.error != OC_OK) {
		oc_openai_refuse_err(a->gw, a->req, NULL, err);
	} else {
		a->gw->status_class[2]++;
		oc_http_respond(a->req, 200, "application/json", oc_sbuf_view(&b));
	}
	oc_sbuf_free(&b);
	oc_free(a);
}

static void on_close(void *arg, oc_http_req *req)
{
	struct asked *a = arg;
	oc_embed_cancel(a->embed);
	oc_http_abort(req);
	oc_free(a);
}

/* The texts of `input`, in the arena; 0: refused. */
static size_t read_input(oc_gateway *gw, oc_http_req *req, const cJSON *input, oc_arena *arena, oc_str **ret)
{
	const cJSON *one;
	int n = cJSON_IsArray(input) ? cJSON_GetArraySize(input) : 1;
	oc_str *texts = n > 0 && n <= OC_EMBED_TEXTS_MAX ? oc_arena_alloc(arena, (size_t)n * sizeof *texts) : NULL;
	const char *wrong = texts == NULL ? "input must be a text, or a list of 1 to 2048 texts" : NULL;
	size_t i = 0;
	if (wrong == NULL && cJSON_IsString(input))
		texts[i++] = oc_str_of(input->valuestring);
	else if (wrong == NULL && !cJSON_IsArray(input))
		wrong = "input must be a text or a list of texts";
	for (one = wrong == NULL && cJSON_IsArray(input) ? input->child : NULL; one != NULL && wrong == NULL; one = one->next) {
		if (cJSON_IsString(one))
			texts[i++] = oc_str_of(one->valuestring);
		else
			wrong = "input must be texts; lists of tokens are not taken, since each model has tokens of its own";
	}
	for (size_t k = 0; k < i && wrong == NULL; k++)
		if (texts[k].n == 0)
			wrong = "a text of input is empty";
	if (wrong != NULL)
		oc_openai_refuse(gw, req, 400, "invalid_request_error", "input", "invalid_input", wrong);
	*ret = texts;
	return wrong == NULL ? i : 0;
}

/* What is asked for by name; "" the first that can. */
static const char *model_of(oc_gateway *gw, const char *name, oc_arena *arena)
{
	if (name[0] != 0 && strncmp(name, "openclaw", 8) != 0 && strncmp(name, "agent:", 6) != 0)
		return name;
	const cJSON *memory = oc_config_get(gw->rt->config, "agents.defaults.memorySearch");
	const char *provider = oc_json_str(memory, "provider", ""), *model = oc_json_str(memory, "model", "");
	if (strcmp(provider, "auto") == 0)
		provider = "";
	return provider[0] != 0 && model[0] != 0 && strchr(model, '/') == NULL ? oc_arena_printf(arena, "%s/%s", provider, model)
	       : model[0] != 0							       ? model
										       : provider;
}

/* false: refused. */
static bool read_form(oc_gateway *gw, oc_http_req *req, const cJSON *body, bool *base64, int64_t *dimensions)
{
	const char *form = oc_json_str(body, "encoding_format", "float");
	const cJSON *length = oc_json_get(body, "dimensions");
	*base64 = strcmp(form, "base64") == 0;
	*dimensions = oc_json_i64(body, "dimensions", 0);
	if (!*base64 && strcmp(form, "float") != 0)
		oc_openai_refuse(gw, req, 400, "invalid_request_error", "encoding_format", "invalid_value", "encoding_format must be \"float\" or \"base64\"");
	else if (length != NULL && !cJSON_IsNull(length) && (*dimensions < 1 || *dimensions > DIMENSIONS_MAX))
		oc_openai_refuse(gw, req, 400, "invalid_request_error", "dimensions", "invalid_value", "dimensions must be a whole number of 1 to 65536");
	else
		return true;
	return false;
}

void oc_gateway_embeddings(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_json cJSON *body = oc_openai_body(gw, req, "embeddings");
	struct asked *a = NULL;
	oc_err err = {0};
	oc_str *texts = NULL;
	bool base64;
	oc_embed_input in = {.done = on_done};
	if (body == NULL || !read_form(gw, req, body, &base64, &in.dimensions))
		return;
	oc_arena *arena = oc_arena_new(0);
	in.n = arena != NULL ? read_input(gw, req, oc_json_get(body, "input"), arena, &texts) : 0;
	in.texts = texts;
	in.model = arena != NULL ? model_of(gw, oc_json_str(body, "model", ""), arena) : "";
	if (arena == NULL || (in.n > 0 && (a = oc_alloc(sizeof *a)) == NULL)) {
		oc_openai_refuse(gw, req, 503, "server_error", NULL, "nomem", "out of memory");
	} else if (in.n > 0) {
		*a = (struct asked){.gw = gw, .req = req, .base64 = base64};
		in.arg = a;
		oc_http_on_close(req, on_close, a);
		if (oc_embed_start(gw->agent, &in, &a->embed, &err) != OC_OK) {
			oc_http_on_close(req, NULL, NULL);
			oc_free(a);
			if (err.code == OC_E_NOT_FOUND)
				oc_openai_refuse(gw, req, 404, "invalid_request_error", "model", "model_not_found", err.text);
			else
				oc_openai_refuse_err(gw, req, err.code == OC_E_LIMIT ? "input" : NULL, &err);
		}
	}
	oc_arena_free(arena);
}
